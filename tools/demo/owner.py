"""The owner of the board of `make run`: sends it two commands once readings come, and shows what it answers."""

import json
import queue
from typing import Any

from tools.demo.watch import Tally, Watcher

CYCLE = 7  # readings of one measurement


class Owner:
    """turn() at every turn of the run; interval_s: the board's at the start, which one command halves."""

    def __init__(self, watcher: Watcher, board: str, interval_s: float):
        self.watcher, self.topic = watcher, "umqtt/%s/cmd/" % board
        self.to_send = [(CYCLE, "read", ""), (2 * CYCLE, "interval", "%g" % max(0.1, interval_s / 2))]

    def turn(self, tally: Tally, show: Any) -> None:
        """Send the next command when it is time for it, and show the answers that came."""
        if self.to_send and len(tally.received) >= self.to_send[0][0]:
            _, name, say = self.to_send.pop(0)
            show.line("owner: %s%s %s" % (self.topic, name, say))
            self.watcher.client.publish(self.topic + name, say, 2)
        while True:
            try:
                topic, payload = self.watcher.answers.get_nowait()
            except queue.Empty:
                return
            show.line("board answers %s: %s" % (topic.rpartition("/")[2], json.loads(payload)["words"]))
