"""Store and forward: messages wait in files, in order, until a client takes them over; a policy per message.

    outbox = Outbox("/queue", store)
    outbox.add("node/temperature", b"21.5", qos=2)            # at any time, with or without a link
    outbox.drain(client)                                      # when connected, then client.poll(), and again

Each message has a number, higher than the one before, across resets too. The store's `place` is the first number that
was not handed over; it moves in the same record that makes a message of QoS 1 or 2 the client's, so none is lost or
handed over twice. Files in the folder are named by a number (8 hex digits): none of their messages has a lower one, and
every message below it was handed over or passed over. They hold records (umqtt.store) of type 15: number (4), time
taken (4), expiry in seconds (4), first byte of the PUBLISH (1), policy (1), length of the topic (2), topic, payload.
This is version 1; another one must take another type: records that make no sense here are reported and set aside.

Policies: MUST is handed over; an add() that finds no room is refused. LATEST, and any n up to 254: only the last n of
that topic are handed over. DROP: handed to the client at once, or dropped when it is not connected.
"""

import os
from io import BytesIO
from struct import pack, unpack_from
from time import time

from micropython import const

from umqtt import wire
from umqtt.errors import MQTTException
from umqtt.store import NO_MESSAGE, record, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from umqtt.client import MQTTClient
    from umqtt.hints import Clock
    from umqtt.rtc import Region
    from umqtt.store import Store

MUST = 0
LATEST = 1
DROP = 255

_MESSAGE = const(15)
_FORMAT = const(">IIIBBH")  # number, taken_s, expire_s, first byte, policy, length of the topic
_TOPIC = const(16)  # where it begins
_NUMBER = const(7)  # where the number of a message is in its record
_INLINE_B = const(128)  # a file of up to so many bytes costs littlefs2 no block of its own
_FEW = const(8)

_NO_MESSAGE = const(-1)  # in place of a number
_STAGED = const(-1)  # among the numbers of files: the stage
_NO_FILE = const(-2)
_CLOSED = const(-1)  # in place of the size of the last file: nothing is appended to it

_ENOENT = const(2)
_ENOSPC = const(28)

_FULL = "storage full: remove files, or connect, so that messages can leave"

_len = len


class Outbox:
    """Messages that wait in folder `path`, at most limit_b bytes in files of segment_b; what `store` journals is
    taken.

    stage: where messages gather until one write brings them all to flash: a umqtt.rtc.Region (survives deep sleep and
    reset, no power cut), or a number of bytes of RAM (survives nothing); None: add() returns once the message is on
    flash. client: takes messages of policy DROP. clock: returns seconds that go on during sleep. Where the file system
    has less room than limit_b needs, `report` says so and the outbox takes as much as there is. Blocks for flash.
    Raises ValueError, OSError.

    Attributes: next: the number that the next message gets; waiting; dropped, expired: counts; most_qos: in which what
    was added with a higher one is handed over; report: the faults that were found, in words, else "".
    """

    path: str
    store: "Store"
    client: "MQTTClient | None"
    clock: "Clock"
    next: int
    report: str

    def __init__(
        self,
        path: str,
        store: "Store",
        stage: "Region | int | None" = None,
        limit_b: int = 65536,
        segment_b: int = 2048,
        client: "MQTTClient | None" = None,
        clock: "Clock" = time,
    ) -> None:
        from umqtt import recall

        self.path = path
        self.store = store
        self.client = client
        self.clock = clock
        self.segment_b = segment_b
        self.dropped = self.expired = 0
        self.most_qos = 2
        self._stage = None if isinstance(stage, int) else stage
        self._stage_b: int = self._stage.size_b if self._stage else stage or 0  # pyright: ignore
        if self._stage_b > segment_b:
            raise ValueError("stage: at most segment_b")
        self._chooser = None  # of umqtt.wanted, once a message has a policy or an expiry
        found = recall.Folder(path, messages)
        self.report = found.report
        self._files = found.files  # the numbers that name them, in order
        self._tail_b = found.tail_b  # bytes in the last one, or CLOSED
        self._damaged = found.damaged  # one that is set aside when it is used up
        self._torn = _NO_FILE  # one whose first write failed: it goes before the next one
        if self._files:
            store.place = max(store.place, self._files[0])
        self.next = max(found.last + 1, store.place)
        self._staged = bytearray()
        if self._stage:
            for number, body in recall.staged(self._stage.read(), messages, self.next - 1):
                record(self._staged, _MESSAGE, body)
                self.next = number + 1
        self.most = max(1, limit_b // segment_b)
        if self._files or not self._stage:  # a board that wakes with an empty queue need not look through all its flash
            self.most, words = recall.most_files(path, _len(self._files), self.most, segment_b)
            self.report = self.report or words

    def _name(self, file):
        return "%s/%08x" % (self.path, file)

    @property
    def waiting(self) -> int:
        """How many messages were not yet handed over, those that will be passed over included."""
        return self.next - self.store.place

    def add(
        self,
        topic: "str | bytes",
        payload: "str | bytes",
        qos: int = 1,
        retain: bool = False,
        keep: int = MUST,
        expire_s: int = 0,
        taken: "float | None" = None,
    ) -> "int | None":
        """Let a message wait for drain(). Returns its number; with DROP the packet id, or None when it was dropped.

        taken: when the reading was taken, in seconds of `clock`, else now; older than expire_s (0: never) it is not
        handed over, unless the clock was not set at one of the two times. Raises ValueError, OSError: no room,
        nothing changed. Blocks for a flash write, unless it was staged.
        """
        name = wire.text(topic)[2:]
        data = wire.data(payload, "payload")
        first_byte = wire.number(qos, 2, "qos") << 1 | (0x31 if retain else 0x30)
        if wire.number(keep, 255, "keep") == DROP:
            packet_id = None
            if self.client and self.client.isconnected() and self.client.free_slots():
                packet_id = self.client.publish(name, data, retain, qos, False)
            self.dropped += packet_id is None
            return packet_id
        if keep or expire_s:
            self._choose()
        number = self.next
        taken_s = max(0, int(self.clock() if taken is None else taken)) & 0xFFFFFFFF
        head = pack(
            _FORMAT, number, taken_s, wire.number(expire_s, 0x3FFFFFFF, "expire_s"), first_byte, keep, _len(name)
        )
        staged = bytearray(self._staged)
        record(staged, _MESSAGE, head + name + data)
        message_b = _len(staged) - _len(self._staged)
        most_b = min(self.segment_b, self.store.journal.limit_b // 2)
        if message_b > most_b:
            raise ValueError("message of %d B, at most %d" % (message_b, most_b))
        if _len(staged) > self._stage_b:
            self._write(staged)
        else:
            if self._stage:
                self._stage.write(staged)
            self._staged = staged
        self.next = number + 1
        if self._chooser:
            self._chooser.counts = None
        return number

    def flush(self) -> None:
        """Write the staged messages to flash. Blocks for that write. Raises OSError when there is no room."""
        if self._staged:
            self._write(self._staged)

    def _write(self, data):
        # the staged messages, and perhaps one more, to flash. Raises OSError: then they are where they were
        if self._torn != _NO_FILE:
            self._remove(self._torn)
            self._torn = _NO_FILE
        first = unpack_from(">I", data, _NUMBER)[0]
        end_b = self._tail_b + _len(data)
        few = _len(self._files) < min(_FEW, self.most // 2)
        # with few messages waiting, keep each file under 128 B: littlefs2 then gives it no block of its own
        new = not self._files or self._tail_b == _CLOSED or end_b > (_INLINE_B if few else self.segment_b)
        if new and _len(self._files) >= self.most:
            chooser = self._chooser
            self._choose().squeeze(self)
            self._chooser = chooser
            if _len(self._files) >= self.most:
                found = first - self.store.place, self.most * self.segment_b
                raise OSError(_ENOSPC, "outbox full: %d messages in %d B" % found)
        self._check(first)
        files = self._files
        if new:
            files = files + [first]
            end_b = _len(data)
        nothing = bytearray()
        try:
            with open(self._name(files[-1]), "ab") as f:
                f.write(data)
        except BaseException as e:
            if new:
                self._torn = first
            else:
                self._tail_b = _CLOSED  # its end is not known,
                self.next += 1  # and a message that is refused may stand in it: its number is used up
            if isinstance(e, OSError) and e.errno == _ENOSPC:
                raise OSError(_ENOSPC, _FULL)
            raise
        self._files = files
        self._tail_b = end_b
        self._staged = nothing
        self._clear_stage()

    def _check(self, first):
        # raises OSError unless there is room, and no other program in this folder: that would give its messages the
        # same numbers, and append them to the last file or begin one with `first`
        if not self.store.journal.reserve():
            raise OSError(_ENOSPC, _FULL)
        strange = self._size_b(first)
        if not self._files:
            self.store.journal.check()  # it may have handed all over
        elif self._tail_b != _CLOSED:
            strange = strange or self._size_b(self._files[-1]) != self._tail_b
        if strange:
            from umqtt import recall

            recall.refuse(self.path)

    def _size_b(self, file):
        try:
            return os.stat(self._name(file))[6]
        except OSError:
            return 0

    def _clear_stage(self):
        if self._stage:
            try:
                self._stage.write(b"")
            except MemoryError:
                pass  # the numbers in it tell that they are on flash

    def drain(self, client: "MQTTClient", most: int = 65535) -> int:
        """Hand what waits to `client`, if it is connected and as far as it has free slots, `most` messages at most.
        Returns how many.

        They are staged, and leave with the client's next poll(), after one write to flash for all of them. Blocks for
        flash. Raises OSError; a message whose number the store's place has passed is the client's. A message that the
        client refuses for good (ValueError) is dropped, and told in `report`.
        """
        if self.store.journal.volatile and not client.inflight:
            self.store.journal.keep_place(self)  # pyright: ignore - RtcJournal's
        if not self.waiting or not client.isconnected():
            return 0
        store = self.store
        place = store.place
        handed_over = 0
        waiting = self._waiting(self._files + [_STAGED])
        store.cork = True
        try:
            for body in waiting:
                if not client.free_slots() or handed_over >= most:
                    break
                number, _, expire_s, first_byte, keep, topic_b = unpack_from(_FORMAT, body)
                if not (keep or expire_s) or self._choose().is_wanted(self, body):
                    store.next_place = number + 1  # noted in the record that makes the message the client's
                    topic = body[_TOPIC : _TOPIC + topic_b]
                    taken = None
                    try:
                        payload = body[_TOPIC + topic_b :]
                        retain = first_byte & 1 == 1
                        qos = min(first_byte >> 1 & 3, self.most_qos)
                        if expire_s and client.protocol == wire.LEVEL_5:
                            left_s = self._choose().left_s(self, body)
                            publish: "Any" = client.publish  # of umqtt.v5
                            taken = publish(topic, payload, retain, qos, False, None, left_s)
                        else:
                            taken = client.publish(topic, payload, retain, qos, False)
                        handed_over += taken is not None
                    except (ValueError, MQTTException) as e:
                        taken = 0  # it never will be, and must not block the others
                        self.dropped += 1
                        self.report = "outbox: a message of %s was dropped: %s" % (topic, e)
                    finally:
                        if keep and taken is None:
                            self._chooser.counts[topic] += 1  # it is next again
                    if taken is None:
                        break
                place = number + 1
            else:
                place = self.next  # the numbers that no message has are passed over, too
        finally:
            waiting.close()
            store.cork = False
            if place > store.place:  # passed over, or sent in QoS 0
                store.note(NO_MESSAGE, place)
        self._tidy()
        return handed_over

    def _end(self, at):
        # the number that follows the messages of the file files[at]
        if at + 1 < _len(self._files):
            return self._files[at + 1]
        return unpack_from(">I", self._staged, _NUMBER)[0] if self._staged else self.next

    def _tidy(self):
        # remove files whose messages were all handed over, once flash knows that they were
        store = self.store
        while self._files and self._end(0) <= store.place:
            store.sync()
            self._remove(self._files[0])
            self._files.pop(0)
        if self._staged and not self.waiting:
            store.sync()
            self._staged = bytearray()
            self._clear_stage()

    def _remove(self, file):
        try:
            if file == self._damaged:
                os.rename(self._name(file), self.path + "/bad")
            else:
                os.remove(self._name(file))
        except OSError as e:
            if e.errno != _ENOENT:
                raise

    def _waiting(self, files):
        # yield the bodies of the messages in these files that wait
        last = self.store.place - 1
        for file in files:
            if file != _STAGED and not self._size_b(file):
                continue  # somebody has removed it
            with BytesIO(self._staged) if file == _STAGED else open(self._name(file), "rb") as f:  # pyright: ignore[reportArgumentType, reportCallIssue]
                for number, body in messages(f):
                    if number == _NO_MESSAGE:
                        self._damaged = file
                        self.report = "outbox: records damaged in " + self._name(file)
                    elif number > last:  # an interrupted squeeze leaves some twice
                        last = number
                        yield body

    def _choose(self):
        # imported for policies and expiry alone, gone with its Chooser: a program without them does not pay for them
        if not self._chooser:
            from umqtt.wanted import Chooser

            self._chooser = Chooser()
        return self._chooser


def messages(file):
    """Yield (number, body) of each message in the open `file`, and (-1, b"") for each record or byte that is none."""
    for kind, body in records(file):
        if kind == _MESSAGE and _len(body) >= _TOPIC:
            number, _, _, first_byte, _, topic_b = unpack_from(_FORMAT, body)
            if 0 < topic_b <= _len(body) - _TOPIC and first_byte & 0xF8 == 0x30 and first_byte & 6 != 6:
                yield number, body
                continue
        yield _NO_MESSAGE, b""
