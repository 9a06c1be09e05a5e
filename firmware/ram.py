"""The cycle with readings that wait in RAM: a reset loses them."""

import gc
from struct import pack_into, unpack_from
from time import ticks_diff, ticks_ms

from micropython import const

import clock
from node import Node

_HAND_OVER_MS = const(1000)  # no new message in this turn after that: QoS 0 on a slow link takes long
_FEW = const(16)  # readings that may wait before the client has its memory
_RESERVE_B = const(6144)  # of the heap, which waiting readings leave free
_CLIENT_B = const(20000)  # that the library takes, and TLS
_READING = const(">BBiI")  # sensor, field (and 128: no value), value, uptime in seconds
_NO_VALUE = const(128)
_LEVEL_4 = const(4)
_READING_B = const(10)  # calcsize of it


class Waiting:
    """Readings that wait in RAM, in one piece of it: a full queue drops the oldest instead of the heap. `last`: the
    number of the newest; each has the number after the one before it."""

    def __init__(self, most: int):
        self.buf = bytearray(most * _READING_B)
        self.most = most
        self.first = self.count = self.last = 0

    def grow(self, most: int, reserve_b: int = _RESERVE_B) -> None:
        """Room for `most`, or for as many as leave reserve_b of the heap free."""
        while most > self.most:
            gc.collect()
            try:
                if gc.mem_free() - most * _READING_B >= reserve_b:
                    new = Waiting(most)
                    while self.count:
                        new.put(*self.at(0))
                        self.drop()
                    self.buf, self.most, self.first, self.count = new.buf, most, 0, new.count
                    return
            except MemoryError:
                pass  # there is so much, but not in one piece
            most = most * 3 // 4

    def put(self, source: int, field: int, value, up_s: int, seq: int) -> None:
        """One more, when there is room. Allocates nothing."""
        at = (self.first + self.count) % self.most * _READING_B
        if value is None:
            field |= _NO_VALUE
        pack_into(_READING, self.buf, at, source, field, value or 0, up_s)
        self.last = seq
        self.count += 1

    def at(self, i: int):
        """(source, field, value, up_s, seq) of one that waits, 0 for the oldest."""
        source, field, value, up_s = unpack_from(_READING, self.buf, (self.first + i) % self.most * _READING_B)
        seq = self.last - self.count + 1 + i
        return source, field & ~_NO_VALUE, None if field & _NO_VALUE else value, up_s, seq

    def drop(self, n: int = 1) -> None:
        """Forget the oldest n."""
        self.first, self.count = (self.first + n) % self.most, self.count - n  # both or neither, whatever is raised

    def take_back(self, n: int) -> None:
        """Undo drop(n), when nothing was put since."""
        self.first, self.count = (self.first - n) % self.most, self.count + n


class RamNode(Node):
    """A Node whose readings wait in RAM."""

    def make_queue(self) -> None:
        self.journal = None
        self.slots = 4
        self.queue = Waiting(min(_FEW, self.cfg["queue"]))

    def opened(self) -> None:
        queue = self.queue
        queue.grow(self.cfg["queue"])
        if queue.most < self.cfg["queue"]:
            print("queue: memory for %d of %d readings" % (queue.most, self.cfg["queue"]))

    def wait_long(self) -> None:
        self.queue.grow(self.cfg["queue"], _RESERVE_B + _CLIENT_B)

    def waiting(self) -> int:
        return self.queue.count + len(self.aside)

    def keep(self, number: int, field: int, value) -> None:
        queue = self.queue
        if self.json_messages:
            field = self.json_messages.marked(field)
        is_full = queue.count >= queue.most
        if is_full:
            queue.drop()
        up_s = clock.uptime_s()
        queue.put(number, field, value, up_s, self.taken)
        if self.client:  # back before the queue is full: it fills as fast as it did until now
            half_s = (queue.most - queue.count) * up_s // (2 * self.taken)
            self.reconnect.hurry_ms = 1000 * max(1, min(half_s, 60))
        if is_full:  # told last: that may need memory, and this one must not be missing between its neighbours
            self.lost("%d readings wait: the oldest is dropped" % queue.most)

    def hand_over(self, most: int) -> None:
        c = self.client
        queue = self.queue
        expire_s = self.cfg["expire_s"]
        t = ticks_ms()
        while queue.count and most and ticks_diff(ticks_ms(), t) < _HAND_OVER_MS:
            if self.qos and not c.free_slots():
                return
            most -= 1
            n = 1
            if self.json_messages:
                topic, payload, n = self.json_messages.oldest(queue)
            else:
                topic, payload = self.message(*queue.at(0))
            left_s = expire_s - (clock.uptime_s() - queue.at(0)[3])
            before = c.inflight
            queue.drop(n)  # first: once it is the client's nothing may fail before it is gone from here
            try:
                if expire_s and left_s <= 0:
                    self.dropped += n
                    continue
                more = (None, left_s) if expire_s and c.protocol > _LEVEL_4 else ()
                # None: of QoS 0, and older bytes wait
                if c.publish(topic, payload, False, self.qos, False, *more) is None:
                    queue.take_back(n)
                    return
            except Exception:
                if c.inflight > before:  # the link went down, but the message has its slot: again would be twice
                    self.published += n
                else:
                    queue.take_back(n)
                raise
            self.published += n
