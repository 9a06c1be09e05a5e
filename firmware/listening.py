"""What does the board hear? Its subscriptions, and the messages that come by them. Imported when something listens.

A message is noted inside the client's callback, acknowledged, and taken by its function in the node's turn, where that
may publish and write flash. With a store, a command that was noted but not yet carried out survives a power cut: it is
noted in the same write as its packet id, and is gone from there in the same write as its answer.

Each function costs a board 80 B, so what is rare stands elsewhere (subscribing, commands/).
"""

import gc
import sys
from struct import pack, unpack_from
from time import ticks_diff, ticks_ms

from micropython import const

import clock
from flags import EARLIER, LATER, MORE, OF_THE_PACKET, RETAINED
from subscribing import TRIES

_MOST_B = const(2048)  # of the payloads that wait
_MOST_WAITING_B = const(3072)  # of all that waits, the topics and the heap that a message takes beside its bytes, too
_MESSAGE_B = const(64)

_FILTER = const(0)  # of an ear, a list; 1 is its QoS, for subscribing.py
_TAKE = const(2)
_ASKED = const(3)  # False, the packet id while the broker has not answered, or True
_KEPT_B = const(4)  # of a payload: the rest is not kept


class Listener:
    """Hears for `node`: commands, when `commands` is set, and what hear() asks for.

    turns: {name: f}; f(client) is called in each turn while the link is up, as long as it returns True. awake_until_s:
    the uptime before which a board that sleeps does not.
    """

    def __init__(self, node):
        self.node = node
        self.own = (node.topic + "cmd/").encode()  # of messages that must not be lost in a power cut
        self.ears = []
        self.waiting = []  # (topic, payload, flags)
        self.answers = []  # arguments of publish
        self.turns = {}
        self.then = None  # what is done once the broker has the answer
        self.then_pid = self.t_then = 0
        self.topic = b""  # of a message that comes in parts
        self.most_b = 0  # of its payload that are kept
        self.payload = None
        self.failures = 0  # connections in a row that ended at a subscription
        self.pinged = False  # what the broker had for us has come once it answers
        self.awake_until_s = 0
        if node.cfg["commands"]:
            self.hear(node.topic + "cmd/+", 2, self.obey)

    def hear(self, topic_filter: str, qos: int, take, most_b: int = _MOST_B) -> None:
        """Call take(topic, payload, flags), bytes, bytes, int, for each message of the filter, whose only wildcards may
        be levels. payload is None for one that is too large, or for which there was no memory; with another most_b it
        is its first most_b bytes."""
        self.ears.append([topic_filter.encode(), qos, take, False, most_b])

    def unhear(self, topic_filter: str) -> None:
        """Forget the filter. Raises OSError."""
        name = topic_filter.encode()
        self.ears = [ear for ear in self.ears if ear[_FILTER] != name]
        self.node.client.unsubscribe(name, False)

    def opened(self, client, store) -> None:
        """The client was made; store: its Store or None."""
        client.set_view(self.note)
        state = store.state if store else b""
        at = 0
        while at + 4 <= len(state):
            topic_b, payload_b = unpack_from(">HH", state, at)
            at += 4 + topic_b + payload_b
            self.waiting.append((state[at - topic_b - payload_b : at - payload_b], state[at - payload_b : at], EARLIER))

    def note(self, buf, topic_end: int, start: int, end: int, flags: int):
        """The client's view. Returns what the store is to keep with it."""
        if not flags & LATER:
            self.topic = bytes(memoryview(buf)[2:topic_end]) if topic_end else b""
            self.payload = b""
            self.most_b = _MOST_B
            for ear in self.ears:
                if matches(ear[_FILTER], self.topic):
                    self.most_b = ear[_KEPT_B]
                    break
        try:
            if self.payload is not None and len(self.payload) <= self.most_b:
                if self.most_b < _MOST_B:
                    end = min(end, start + self.most_b - len(self.payload))
                piece = bytes(memoryview(buf)[start:end])
                payload_b = len(self.payload) + len(piece)
                for _, payload, _ in self.waiting:
                    payload_b += len(payload or b"")
                self.payload = self.payload + piece if payload_b <= _MOST_B and not self.is_full() else None
        except MemoryError:
            self.payload = None
        if flags & MORE:
            return None
        if self.is_full() and self.waiting[-1][1] is None:
            return None  # a flood: the one before it is answered so
        self.waiting.append((self.topic, self.payload, flags & OF_THE_PACKET))
        self.payload = None
        return self.kept() if self.topic.startswith(self.own) else None

    def is_full(self) -> bool:
        """Whether no more messages may wait."""
        waiting_b = 0
        for topic, payload, _ in self.waiting:
            waiting_b += len(topic) + len(payload or b"") + _MESSAGE_B
        return waiting_b > _MOST_WAITING_B

    def kept(self) -> bytes:
        """The commands that wait, as the store has them."""
        return b"".join(
            [
                pack(">HH", len(topic), len(payload)) + topic + payload
                for topic, payload, _ in self.waiting
                if payload is not None and topic.startswith(self.own)
            ]
        )

    def obey(self, topic: bytes, payload, flags: int) -> None:
        """Carry out a command. What that takes is loaded now, and forgotten again."""
        name = str(topic[len(self.own) :], "utf-8")
        gc.collect()
        words = ""
        try:
            from commands.inbox import obey

            obey(self.node, name, payload, flags)
        except MemoryError:
            words = "no memory for it: fewer sensors, a shorter queue, or a restart"
        for loaded in [key for key in sys.modules if key.startswith("commands") or key == "reconfigure"]:
            del sys.modules[loaded]
        gc.collect()
        if words:
            self.answer(name, False, words)

    def answer(self, name: str, ok: bool, words: str) -> None:
        """To be published under ack/`name`: what was done, or why not."""
        from json import dumps

        text = '{"ok":%s,"words":%s}' % ("true" if ok else "false", dumps(words))
        self.answers.append((self.node.topic + "ack/" + name, text, False, 1, False))

    def afterwards(self, then) -> None:
        """Call then(node) once the broker has the answers, or does not take them; no command is taken before."""
        self.then = then
        self.t_then = ticks_ms()

    def stay(self, seconds: int) -> None:
        """A board that sleeps does not, for so long from now."""
        self.awake_until_s = clock.uptime_s() + seconds

    def busy(self) -> bool:
        """Whether something is to be heard or answered before a board sleeps."""
        if self.waiting or self.answers or self.then or self.pinged:
            return True
        if self.failures < TRIES:
            for ear in self.ears:
                if ear[_ASKED] is not True:
                    return True
        return False

    def fell(self, c) -> None:
        """The connection of client c has ended."""
        for ear in self.ears:
            if ear[_ASKED] and ear[_ASKED] is not True:
                from subscribing import give_up

                del sys.modules["subscribing"]
                give_up(self, c, ear)

    def work(self, c) -> None:
        """One step with client c: subscribe, take what has come, answer. Raises what publish and subscribe do."""
        for ear in self.ears:
            asked = ear[_ASKED]
            if asked is True:
                continue
            if asked and c.pending(asked):
                break  # one at a time
            if asked:
                ear[_ASKED] = True
                self.failures = 0
                if self.node.cfg["deep_sleep"]:
                    c.ping()
                    self.pinged = True
            # after one that ended the connection readings go first
            elif c.free_slots() and not (
                self.failures and (self.failures == TRIES or c.inflight or self.node.waiting())
            ):
                from subscribing import ask

                del sys.modules["subscribing"]
                ask(c, ear)
                break
        if self.then:
            late = ticks_diff(ticks_ms(), self.t_then) > 2000 * self.node.cfg["timeout_s"]
            if late or not (self.answers or c.pending(self.then_pid)):
                then = self.then
                self.then = None
                then(self.node)
        for name in list(self.turns):
            if not self.turns[name](c):
                del self.turns[name]
        while True:
            while self.answers and c.free_slots():
                pid = c.publish(*self.answers[0])
                if pid is None:
                    break
                self.then_pid = pid
                self.answers.pop(0)
            if self.answers or self.then or not self.waiting:
                break  # the next one is taken once its answer has room
            topic, payload, flags = self.waiting.pop(0)
            for ear in self.ears:
                if matches(ear[_FILTER], topic):
                    ear[_TAKE](topic, payload, flags)
                    break
            else:
                if not topic and not flags & RETAINED:  # it did not fit the buffer
                    self.answer("unknown", False, "a topic that is too long for any command: nothing was done")
            store = self.node.journal
            if store and topic.startswith(self.own):
                store.seen(0, self.kept())  # written with the answer


def matches(topic_filter: bytes, topic: bytes) -> bool:
    """Whether the filter covers the topic [4.7]."""
    levels = topic.split(b"/")
    wanted = topic_filter.split(b"/")
    for i, level in enumerate(wanted):
        if level == b"#":
            return True
        if i == len(levels) or level != b"+" and level != levels[i]:
            return False
    return len(wanted) == len(levels)
