"""What must survive a reset or a power cut, in a journal: messages in flight, incoming QoS 2 ids, subscriptions, how
far the outbox was handed over, and a few bytes of the application's.

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
   8  subscribed    QoS (1), 128 for not any more, filter with its length before it
This is version 1. A version that another reader would misread must take other types, 9 to 14: a whole record that makes
no sense here is told, set aside with its file, and passed over.

`must` says that notes have to be on flash before another byte leaves: the client calls sync() before it sends. Acks
whose loss only costs a repeated packet wait for the next sync.
"""

import os
from struct import pack, unpack_from

from micropython import const

from umqtt import wire

try:
    from binascii import crc32
except ImportError:  # an ESP8266: nobody else reads these files, so another checksum does
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
_GONE = const(128)

# a slot of the session, [packet id, first byte, topic with its length, payload]
_ID = const(0)
_FIRST_BYTE = const(1)
_TOPIC = const(2)
_PAYLOAD = const(3)
_UNSENT = const(0x37)  # a mask: a PUBLISH's first byte without DUP

_NOTES_B = const(1024)  # so many bytes of notes may wait, a snapshot says more in less

_NOT_KNOWN = b"", -1  # a file whose last write failed

_ENOENT = const(2)
_ENOSPC = const(28)

_len = len


def record(out: bytearray, kind: int, body: bytes) -> None:
    """Append a record of `kind` (1..15) with `body` to bytearray `out`, the whole of it or nothing. Raises ValueError:
    over 65535 bytes."""
    head = pack(">BH", kind, wire.number(_len(body), 65535))
    out.extend(head + pack(">I", crc32(body, crc32(head))) + body)


def records(file):
    """Yield (kind, body) of each whole record in the open `file`, and (0, b"") for each byte that belongs to none."""
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

    compact_b: the file is rewritten when it would exceed this, or twice the live data if that is more; up to 128 bytes
    littlefs2 keeps a file within its directory and erases next to nothing. limit_b: what it may never exceed.
    reserve_b: so much room is kept in `path`.reserve, and given up when the file system has no room for the journal:
    then messages can still end, and their files go. 0: none.

    Before each write it is checked that nobody else has written the file.
    """

    volatile = False

    def __init__(self, path: str, compact_b: int = 128, limit_b: int = 16384, reserve_b: int = 8000):
        self.path = path
        self.limit_b = limit_b
        self.compact_b = self._full_b = compact_b
        self.reserve_b = reserve_b
        self._reserved = not reserve_b
        # the file as this program left it: its first bytes, the CRC in them differs from snapshot to snapshot, and its
        # size
        self._left = b"", 0

    def load(self):
        """The journal as an open file, this program's from now on; None when there is none. Raises OSError."""
        try:
            file = open(self.path, "rb")
        except OSError as e:
            if e.errno != _ENOENT:
                raise
            return None
        self._left = file.read(_HEAD_B), file.seek(0, 2)
        return file

    def check(self) -> bool:
        """Whether there is a file. Raises OSError when another program has written it since this one did."""
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
        Raises OSError; then its end is not known, and it must be rewritten."""
        there = self.check()
        head, size_b = self._left
        size_b += _len(data)
        if not there or size_b > self._full_b:
            return False
        self._left = _NOT_KNOWN
        try:
            # not f.seek(0, 2): opening it to write is a write
            with open(self.path, "ab") as file:
                file.write(data)
        except OSError as e:
            if e.errno != _ENOSPC:
                raise
            return False  # rewrite has the reserve
        self._left = head, size_b
        return True

    def rewrite(self, data: bytearray) -> None:
        """Replace all by `data`, at once: a power cut leaves the old or the new. Raises OSError; then the old stays."""
        self.check()
        data_b = _len(data)
        if data_b > self.limit_b:
            raise OSError(_ENOSPC, "store full: %d B, limit %d B" % (data_b, self.limit_b))
        left = bytes(data[:_HEAD_B]), data_b  # now: once the file is replaced nothing may fail
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
            recall.make_room(self.path)
        self._left = left
        self._full_b = min(self.limit_b, self.compact_b if data_b < self.compact_b else 2 * data_b)
        self.reserve()

    def reserve(self) -> bool:
        """Whether the reserve is there; it is made (again) when there is room for it. Blocks for flash then."""
        if not self._reserved:
            from umqtt import recall

            self._reserved = recall.reserve(self.path, self.reserve_b)
        return self._reserved


class Store:
    """What a session must remember, kept in `journal` (FileJournal, or umqtt.rtc.RtcJournal). One client at a time.

    A journal that is damaged, or not ours: each whole record counts, the file is copied aside, `report` says so. Raises
    OSError when the flash cannot be read. Attributes: state: the application's bytes, b"" at first; report: the faults
    that were found, in words, else ""; window: slots that replay needs; pid: the packet id given out last, -1 when
    nothing of an earlier life was found.
    """

    def __init__(self, journal):
        from umqtt import recall

        self.journal = journal
        self.cork = False  # the outbox hands over: one sync for all, and
        self.next_place = 0  # `place` as the next put() makes it
        self.out = bytearray()  # records that wait for sync
        self._session = None
        self._found = found = recall.Journal(journal, records)
        self._generation = found.generation
        self._written_b = found.size_b
        # a snapshot must replace the journal: its end, or its content, is not to be relied on
        self._stale = found.faulty or not found.generation
        self.must = found.faulty
        self.place = found.place
        self.pid = found.pid
        self.state = found.state
        self.window = _len(found.slots)
        self.report = found.report

    # the client's side

    def replay(self, session, client_id: "str | bytes", server: "str | bytes") -> bool:
        """Put what was found into the session. Returns whether the subscriptions must be made again.

        Another client id or server than before: what the broker has not acknowledged goes out as new messages, with
        new ids, on flash before the first byte; ids that the other session knew are forgotten. `report` says so.
        """
        from umqtt import recall

        self._who = crc32(wire.data(server), crc32(wire.data(client_id)))
        changed = self._found.replay(session, self._who)
        self.report = self._found.report
        self._session = session
        self._found = None
        recall.forget()
        if changed:
            self.rewrite()
        return changed and _len(session._subscriptions()) > 0

    def rewrite(self) -> None:
        """The journal is no longer true, as when the broker forgot the session: a snapshot replaces it at the next
        sync."""
        self._stale = self.must = True

    def put(self, slot: list, later: bool = False) -> None:
        """The message of this slot of the session is the client's; on flash when this returns, unless `later` or
        corked: then with the next sync. Refused, and the slot given back, with OSError: store full, flash broken or
        full; ValueError: over 65 kB."""
        place = self.place
        try:
            self.note(slot, self.next_place if self.cork else place)
            self.must = True
            # a message that has no room is refused now: later it would be in flight, and every sync would fail
            fits = not self._stale and self._written_b + _len(self.out) <= self.journal.limit_b
            if not fits or not (later or self.cork):
                self.sync()
        except BaseException:
            # its record may stand in the journal, but after an error that takes no more but a snapshot
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
        # PUBACK or PUBCOMP lost: the broker gets a repetition and answers it again
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
        # raises no MemoryError: what is noted has happened
        try:
            if _len(self.out) <= _NOTES_B:
                record(self.out, kind, pack(">B" if kind == _SUBSCRIBED else ">H", number) + mark + rest)
                return
        except MemoryError:
            pass
        self._stale = True  # a snapshot will say it, and in less

    # flash

    def sync(self) -> None:
        """Bring the notes that wait to flash. Blocks for a flash write. Raises OSError; then they still wait."""
        session = self._session
        if session and (self.out or self.must or self._stale):
            stale = self._stale
            data = self.out
            self._stale = True  # should it fail, a snapshot will say all
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
        subscriptions = session._subscriptions()
        for filter in subscriptions:
            record(out, _SUBSCRIBED, bytes((subscriptions[filter],)) + filter)
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
    record(out, _PUT, head + slot[_TOPIC] + slot[_PAYLOAD])
