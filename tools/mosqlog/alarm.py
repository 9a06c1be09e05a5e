"""A command that is run for each trouble while a log is followed."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from collections.abc import Callable

from . import words
from .live import Alarm

COMMAND_S = 60  # a command that takes longer is ended
WAITING = 1000  # troubles kept while a command runs
_END = None


class Command:
    """Runs a shell command for one trouble after the other, beside the reading of the log.

    The particulars are in environment variables and, as one JSON object, on its standard input: never in the command
    itself, because a client id can hold anything."""

    def __init__(self, command: str, warn: Callable[[str], None]):
        """warn(text) is called, from another thread, when the command ends badly."""
        self._command, self._warn = command, warn
        self._waiting: queue.Queue[tuple[dict[str, str], str] | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def run(self, alarm: Alarm, as_json: str) -> None:
        """Queues the command. Never blocks: where WAITING of them wait, this one is dropped and that is told."""
        particulars = {
            "MOSQLOG_CLIENT": words.shown(alarm.subject.id),
            "MOSQLOG_CODE": alarm.code,
            "MOSQLOG_TEXT": alarm.text(),
            "MOSQLOG_TIME": words.moment(alarm.t),
            "MOSQLOG_COUNT": str(alarm.count),
            "MOSQLOG_BROKER": alarm.broker or "",
        }
        try:
            self._waiting.put_nowait((particulars, as_json + "\n"))
        except queue.Full:
            self._warn(
                f"--exec: {WAITING} troubles wait for the command; {particulars['MOSQLOG_CODE']} of "
                f"{particulars['MOSQLOG_CLIENT']} is passed over"
            )

    def close(self) -> None:
        """Waits until all have run, each for COMMAND_S at most."""
        self._waiting.put(_END)
        self._thread.join()

    def _work(self) -> None:
        while True:
            item = self._waiting.get()
            if item is _END:
                return
            particulars, as_json = item
            try:
                done = subprocess.run(
                    self._command,
                    shell=True,
                    input=as_json.encode(),
                    timeout=COMMAND_S,
                    env={**os.environ, **particulars},
                    stdout=subprocess.DEVNULL,
                    check=False,
                )
                if done.returncode:
                    self._warn(f"--exec: the command ended with status {done.returncode}")
            except subprocess.TimeoutExpired:
                self._warn(f"--exec: the command was ended after {COMMAND_S} s")
            except OSError as error:
                self._warn(f"--exec: the command cannot be run: {error.strerror}")
