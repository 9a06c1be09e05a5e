"""Keeps what must survive a reset or a power cut in a journal: messages in flight, incoming QoS 2 ids, subscriptions,
how far the outbox was handed over, and a few bytes of the application's.

    store = Store(FileJournal("/journal"))
    client = MQTTClient(client_id, server, store=store)   # what the journal holds is in flight again, ids included

A record is type (1 byte), length of the body (2), CRC-32 of type, length and body (4), body; big-endian. A journal is a
snapshot, begun by its header, then changes; the types are those of the MQTT packets they stand for:
   1  header        generation (4), CRC-32 of client id and server (4), outbox place (4), last id (2), state bytes
   2  seen          id (2), nothing or 1 and the state bytes: an incoming QoS 2 message was taken
   3  put           id (2), outbox place (4), first byte of the PUBLISH (1), topic with its length before it, payload;
                    with id 0 nothing but the place counts
   4, 7             PUBACK, PUBCOMP: id (2) is done
   5                PUBREC: the broker has the message of id (2)
   6                PUBREL: incoming id (2) is free
   8  subscribed    QoS (1); 128 for not any more; filter with its length before it
   9  properties    id (2), time (4), properties of MQTT 5 with their length before them [5.0: 2.2.2]: those of the put
                    that follows; time: seconds of the board's clock, at which their expiry was what it says
  10  subscribed 5  as subscribed with all options of MQTT 5, behind the filter the properties of its SUBSCRIBE
  11  assigned      the client id that the broker gave
This is version 1. 1.0.0 passes over the types from 9 on: it sends such messages without their properties, and does not
make such subscriptions again. A version that this reader would misread must take other types, 12 to 14: the reader
reports a whole record that makes no sense to it, sets its file aside, and goes on.

While `must` is set the notes have to be on flash before another byte leaves: the client calls sync() before it sends.
An ack whose loss only costs a repeated packet waits for the next sync.
"""

import os
from struct import pack, unpack_from
from time import ticks_diff, ticks_ms, time

from micropython import const

from umqtt import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from umqtt.hints import Journal

try:
    from binascii import crc32
except ImportError:  # an ESP8266 has none: nobody else reads these files, so any checksum will do
    from hashlib import sha256

    def crc32(data, value=0):
        return unpack_from(">I", sha256(pack(">I", value) + data).digest())[0]


NO_MESSAGE = (0, 0, b"", b"")  # in place of a slot

_HEAD_B = const(7)

_HEADER = const(1)
_SEEN = const(2)
_PUT = const(3)
_PUBREC = const(5)
_PUBREL = const(6)
_SUBSCRIBED = const(8)
_PROPERTIES_OF = const(9)
_SUBSCRIBED_5 = const(10)
_ASSIGNED = const(11)
_GONE = const(128)

# a slot of the session, [packet id, first byte, topic with its length, payload]
_ID = const(0)
_FIRST_BYTE = const(1)
_TOPIC = const(2)
_PAYLOAD = const(3)
_STAMP = const(4)  # of a client of MQTT 5: ticks, from which its expiry counts
_PROPERTIES = const(5)
_UNSENT = const(0x37)  # a mask that takes DUP off the first byte of a PUBLISH

_NOTES_B = const(1024)  # once more bytes of notes wait, a snapshot is shorter

_NOT_KNOWN = b"", -1  # a file whose last write failed

_ENOENT = const(2)
_ENOSPC = const(28)

_len = len


def record(out: bytearray, kind: int, data: bytes) -> None:
    """Append a record of `kind` (1..15) with the body `data` to bytearray `out`, all of it or nothing. Raises
    ValueError when that is over 65535 bytes."""
    head = pack(">BH", kind, wire.number(_len(data), 65535, "body"))
    out.extend(head + pack(">I", crc32(data, crc32(head))) + data)


def records(file):
    """Yield (kind, body) of each whole record in the open `file`, and (0, b"") for each byte outside of one."""
    end = file.seek(0, 2)
    at = 0
    while at < end:
        file.seek(at)
        head = file.read(_HEAD_B)
        at += 1
        if _len(head) == _HEAD_B:
            kind, body_b, crc = unpack_from(">BHI", head)
            behind = at + _HEAD_B - 1 + body_b
            if 0 < kind < 16 and behind <= end:
                body = file.read(body_b)
                if crc32(body, crc32(head[:3])) == crc:
                    at = behind
                    yield kind, body
                    continue
        yield 0, b""


class FileJournal:
    """A journal in file `path` of a littlefs2 (on a host: POSIX) file system, where a rename replaces its target at
    once. Also uses `path`.new, `path`.bad and `path`.reserve.

    compact_b: bytes; the file is rewritten once it would exceed this, or twice the live data if that is more. Up to 128
    bytes littlefs2 keeps a file within its directory and erases next to nothing. limit_b: bytes that the file never
    exceeds. reserve_b: bytes kept in `path`.reserve, 0 for none; they are given up when the file system has no room for
    the journal, so that messages can still end and their files go.

    Before each write the journal checks that nobody else has written the file.
    """

    path: str
    limit_b: int
    compact_b: int
    reserve_b: int

    volatile = False

    def __init__(self, path: str, compact_b: int = 128, limit_b: int = 16384, reserve_b: int = 8000) -> None:
        self.path = path
        self.limit_b = limit_b
        self.compact_b = self._full_b = compact_b
        self.reserve_b = reserve_b
        self._reserved = not reserve_b
        # the file as this program left it: its first bytes, whose CRC differs from snapshot to snapshot, and its size
        self._left = b"", 0

    def load(self):
        """Return the journal as an open file, which is this program's from now on; None when there is none. Raises
        OSError."""
        try:
            file = open(self.path, "rb")
        except OSError as e:
            if e.errno != _ENOENT:
                raise
            return None
        self._left = file.read(_HEAD_B), file.seek(0, 2)
        return file

    def check(self) -> bool:
        """Return whether there is a file. Raises OSError when another program has written it since this one did."""
        left = self._left
        file = self.load()
        if file:
            file.close()
            if left != self._left and left != _NOT_KNOWN:
                self._left = left
                from umqtt import recall

                recall.refuse(self.path)
        return file is not None

    def append(self, data: bytearray) -> bool:
        """Write `data` behind the rest; it is on flash when this returns. Returns False when it is time to rewrite.
        Raises OSError; then nobody knows where the file ends, and it must be rewritten."""
        there = self.check()
        head, size_b = self._left
        size_b += _len(data)
        if not there or size_b > self._full_b:
            return False
        self._left = _NOT_KNOWN
        try:
            # no seek to the end: opening a file to write is a write already
            with open(self.path, "ab") as file:
                file.write(data)
        except OSError as e:
            if e.errno != _ENOSPC:
                raise
            return False  # rewrite has the reserve
        self._left = head, size_b
        return True

    def rewrite(self, data: "bytes | bytearray") -> None:
        """Replace everything by `data` at once: a power cut leaves the old or the new. Raises OSError; then the old
        stays, or the new without its reserve."""
        self.check()
        data_b = _len(data)
        if data_b > self.limit_b:
            raise OSError(_ENOSPC, "store full: %d B, limit %d B" % (data_b, self.limit_b))
        left = bytes(data[:_HEAD_B]), data_b  # allocated now: once the file is replaced nothing may fail
        while True:
            try:
                with open(self.path + ".new", "wb") as file:
                    file.write(data)
                os.rename(self.path + ".new", self.path)
                break
            except OSError as e:
                if e.errno != _ENOSPC:
                    raise
            from umqtt import recall

            self._reserved = False
            recall.forget()
            recall.make_room(self.path)
        self._left = left
        self._full_b = min(self.limit_b, self.compact_b if data_b < self.compact_b else 2 * data_b)
        self.reserve()

    def reserve(self) -> bool:
        """Return whether the reserve is there; make it (again) when there is room. Blocks for flash then. Raises
        OSError when that cannot be written to."""
        if not self._reserved:
            from umqtt import recall

            recall.forget()
            self._reserved = recall.reserve(self.path, self.reserve_b)
        return self._reserved


class Store:
    """What a session must remember, kept in `journal` (FileJournal, or umqtt.rtc.RtcJournal). Serves one client.

    Of a journal that is damaged, or not ours, each whole record counts; the file is copied aside, and `report` says so.
    Blocks for flash. Raises OSError when the flash cannot be read.

    Attributes: `state`, the application's bytes, b"" at first; `report`, the faults that were found, in words, else "";
    `values`, of MQTT 5: {filter with its length before it: properties of its SUBSCRIBE}, and under b"" the client id
    that the broker gave to a client which began without one; None without any.
    """

    journal: "Journal"
    place: int
    pid: int
    state: bytes
    window: int
    report: str
    values: "dict[bytes, bytes] | None"

    def __init__(self, journal: "Journal") -> None:
        from umqtt import recall

        self.journal = journal
        self.cork = False  # set while the outbox hands over: one sync for all of it, and
        self.next_place = 0  # put() makes this the new `place`
        self.out = bytearray()  # records that wait for sync
        self._session = None
        self._found = found = recall.Journal(journal, records)
        self._generation = found.generation
        self._written_b = found.size_b
        # set when a snapshot must replace the journal, whose end or content cannot be trusted
        self._stale = found.faulty or not found.generation
        self.must = found.faulty
        self.place = found.place
        self.pid = found.pid
        self.state = found.state
        self.values = found.values or None
        self.window = _len(found.slots)  # slots that replay() needs
        self.report = found.report

    # the client's side

    def replay(self, session, client_id: "str | bytes", server: "str | bytes") -> bool:
        """Put what was found into the session. Returns whether the subscriptions must be made again.

        Another client id or server than before: what the broker has not acknowledged goes out as new messages, with
        new ids, on flash before the first byte; ids that the other session knew are forgotten. `report` says so.
        """
        from umqtt import recall

        self._who = crc32(wire.data(server, "server"), crc32(wire.data(client_id, "client_id")))
        changed = self._found.replay(session, self._who, int(time()))
        self.report = self._found.report
        self._session = session
        self._found = None
        recall.forget()
        if changed:
            if self.values:
                self.values.pop(b"", None)
            self.rewrite()
        return changed and _len(session._subscriptions()) > 0

    def rewrite(self) -> None:
        """Let a snapshot replace the journal at the next sync: it is no longer true, for the broker forgot the
        session."""
        self._stale = self.must = True

    def put(self, slot: list, later: bool = False) -> None:
        """The message of this slot of the session is the client's; on flash when this returns, unless `later` or
        corked: then with the next sync. Refused, and the slot given back, with OSError: store full, flash broken or
        full; ValueError: over 65 kB."""
        place = self.place
        try:
            self.note(slot, self.next_place if self.cork else place)
            self.must = True
            # refuse a message without room now: later it would be in flight, and every sync would fail
            fits = not self._stale and self._written_b + _len(self.out) <= self.journal.limit_b
            if not fits or not (later or self.cork):
                self.sync()
        except BaseException:
            # its record may stand in the journal, which after an error takes nothing but a snapshot
            self.place = place
            self._session._release(slot)
            raise

    def note(self, slot, place: int) -> None:
        """Let a record of this slot wait for sync(); that of NO_MESSAGE says no more than that the outbox was handed
        over up to `place`."""
        try:
            _record_put(self.out, slot, place)
        except MemoryError:
            self._stale = True  # a snapshot will say it
        self.place = place

    def acked(self, packet_type: int, packet_id: int) -> None:
        """PUBACK (4), PUBREC (5), PUBREL (6) or PUBCOMP (7) came for packet_id; to be called before the answer leaves.
        Another type is ignored."""
        if not _PUT < packet_type < _SUBSCRIBED or packet_type == _PUBREC and not self._session._pending(packet_id):
            return
        self._note(packet_type, packet_id, b"", b"")
        # if PUBACK or PUBCOMP is lost, the broker gets a repetition and answers it again
        if packet_type == _PUBREC or packet_type == _PUBREL:
            self.must = True

    def seen(self, packet_id: int, state=None) -> None:
        """Incoming QoS 2 message `packet_id` was taken (0: one of QoS 0 or 1); `state`: None, or bytes that the
        application wants remembered in the same record."""
        if isinstance(state, (bytes, bytearray)):
            self.state = bytes(state)
            self._note(_SEEN, packet_id, b"\1", self.state)
            self.must = True
        elif packet_id:
            self._note(_SEEN, packet_id, b"", b"")
            self.must = True

    def subscribed(self, filter: bytes, qos: "int | None") -> None:
        """The broker granted `filter` (with its length before it) with `qos`, or, None, forgot it."""
        self._note(_SUBSCRIBED, _GONE if qos is None else qos, b"", filter)

    def _note(self, kind, number, mark, rest):
        # never raises MemoryError: what it notes has already happened
        try:
            if _len(self.out) <= _NOTES_B:
                record(self.out, kind, pack(">B" if kind >= _SUBSCRIBED else ">H", number) + mark + rest)
                return
        except MemoryError:
            pass
        self._stale = True  # a snapshot will say it, and in less

    # flash

    def sync(self) -> None:
        """Write the notes that wait to flash. Blocks for that write. Raises OSError; then they still wait."""
        session = self._session
        if session and (self.out or self.must or self._stale):
            stale = self._stale
            data = self.out
            self._stale = True  # should the write fail, a snapshot will say everything
            self.out = bytearray()
            if stale or not self.journal.append(data):
                data = bytearray()
                self._snapshot(data, session)
                self.journal.rewrite(data)
                self._written_b = 0
            self._written_b += _len(data)
            self._stale = self.must = False

    close = sync

    def _snapshot(self, out, session):
        self._generation += 1
        record(out, _HEADER, pack(">IIIH", self._generation, self._who, self.place, session.pid) + self.state)
        values = self.values or {}
        if b"" in values:
            record(out, _ASSIGNED, values[b""])
        subscriptions = session._subscriptions()
        for filter in subscriptions:
            properties = values.get(filter, b"\0" if subscriptions[filter] > 2 else b"")
            body = bytes((subscriptions[filter],)) + filter + properties
            record(out, _SUBSCRIBED_5 if properties else _SUBSCRIBED, body)
        for packet_id in session._held_ids():
            record(out, _SEEN, pack(">H", packet_id))
        for slot in session._in_flight():
            packet_type = slot[_FIRST_BYTE] >> 4
            if packet_type == _PUBREL:
                record(out, _PUBREC, pack(">H", slot[_ID]))
            elif packet_type == _PUT and isinstance(slot[_PAYLOAD], bytes):  # else a stream
                _record_put(out, slot, self.place)


def _record_put(out, slot, place):
    head = pack(">HIB", slot[_ID], place, slot[_FIRST_BYTE] & _UNSENT)
    if _len(slot) > _PROPERTIES and slot[_PROPERTIES] != b"\0":
        since_s = int(time()) - ticks_diff(ticks_ms(), slot[_STAMP]) // 1000
        record(out, _PROPERTIES_OF, pack(">HI", slot[_ID], since_s & 0xFFFFFFFF) + slot[_PROPERTIES])
    record(out, _PUT, head + slot[_TOPIC] + slot[_PAYLOAD])
