"""What must survive a reset or a power cut, in a journal: messages in flight, incoming QoS 2 ids, subscriptions, how
far the outbox was handed over, and a few bytes of the application's.

    store = Store(FileJournal("/journal"))
    client = MQTTClient(client_id, server, store=store)   # what the journal holds is in flight again, ids included

A record is type (1 byte), length of the body (2), CRC-32 of all that (4), body; big-endian. A journal is a snapshot of
what was live, begun by its header, then changes; the types are those of the MQTT packets they stand for:
   1  header        generation (4), CRC-32 of client id and server (4), outbox place (4), last id (2), state bytes
   2  seen          id (2), nothing or 1 and the state bytes: an incoming QoS 2 message was taken
   3  put           id (2), outbox place (4), first byte of the PUBLISH (1), topic with its length before it, payload;
                    with id 0 nothing but the place counts
   4, 7             PUBACK, PUBCOMP: id (2) is done
   5                PUBREC: id (2) is the broker's
   6                PUBREL: incoming id (2) is free
   8  subscribed    QoS (1), 128 for not any more, filter with its length before it
What must be on flash before bytes leave is `must`: the client calls sync() before it sends. Acks whose loss only costs
a repeated packet wait for the next sync.
"""

import os
from collections import OrderedDict
from struct import pack, unpack_from

from micropython import const

from umqtt import wire

try:
    from binascii import crc32
except ImportError:  # an ESP8266: nobody else reads these files, so another checksum does
    from hashlib import sha256

    def crc32(data, value=0):
        return unpack_from(">I", sha256(pack(">I", value) + data).digest())[0]

_HEADER = const(1)
_SEEN = const(2)
_PUT = const(3)
_PUBREC = const(5)
_PUBREL = const(6)
_SUBSCRIBED = const(8)
_GONE = const(128)

_LAZY_B = const(256)  # acks that may wait: so many bytes of them

_len = len


def record(out, kind, body):
    """Append a record of `kind` (1..15) with `body` to bytearray `out`. Raises ValueError: over 65535 bytes."""
    n = wire.number(_len(body), 65535)
    h = pack(">BHI", kind, n, 0)
    out.extend(pack(">BHI", kind, n, crc32(body, crc32(h[:3]))))
    out.extend(body)


def records(f):
    """Yield (kind, body) of each whole record in the open file `f`, and (0, b"") for each byte that belongs to none."""
    n = f.seek(0, 2)
    at = 0
    while at < n:
        f.seek(at)
        h = f.read(7)
        at += 1
        if _len(h) == 7:
            kind, body_b, crc = unpack_from(">BHI", h)
            if kind < 16 and at + 6 + body_b <= n:
                body = f.read(body_b)
                if crc32(body, crc32(h[:3])) == crc:
                    at += 6 + body_b
                    yield kind, body
                    continue
        yield 0, b""


class FileJournal:
    """A journal in file `path` of a littlefs2 (on a host: POSIX) file system, where a rename replaces its target at
    once.

    `path`.new and `path`.bad are its as well. compact_b: it is rewritten when it would grow beyond this, or, when more
    than that is live, beyond twice of it; up to 128 bytes littlefs2 keeps a file within its directory and erases next
    to nothing. limit_b: what it may never exceed.
    """

    def __init__(self, path, compact_b=128, limit_b=16384):
        self.path = path
        self.full = self.compact_b = compact_b
        self.limit_b = limit_b

    def load(self):
        """The journal as an open file; None when there is none. Raises OSError."""
        try:
            return open(self.path, "rb")
        except OSError as e:
            if e.errno != 2:
                raise

    def append(self, data):
        """Write `data` behind the rest; it is on flash when this returns. Returns False when it is time to rewrite.
        Raises OSError; then its end is not known, and it must be rewritten."""
        # not f.seek(0, 2): opening it to write is a write
        if os.stat(self.path)[6] + _len(data) > self.full:
            return False
        with open(self.path, "ab") as f:
            f.write(data)
        return True

    def rewrite(self, data):
        """Replace all by `data`, at once: a power cut leaves the old or the new. Raises OSError; then the old stays."""
        n = _len(data)
        if n > self.limit_b:
            raise OSError(28, "store full: %d B, limit %d B" % (n, self.limit_b))
        new = self.path + ".new"
        with open(new, "wb") as f:
            f.write(data)
        os.rename(new, self.path)
        self.full = min(self.limit_b, self.compact_b if n < self.compact_b else 2 * n)


class Store:
    """What a session must remember, kept in `journal` (FileJournal, or umqtt.rtc.RtcJournal). One client at a time.

    A journal that is damaged, or not ours: what is whole is used, the file is copied aside, `report` says so. Raises
    OSError when the flash cannot be read. Attributes: state: the application's bytes, b"" at first; report: what was
    found amiss, in words, else "".
    """

    def __init__(self, journal):
        self.journal = journal
        self.out = bytearray()  # records that wait for sync
        self.must = False  # they are to be on flash before a byte leaves
        self.anew = True  # a snapshot must replace the journal: its end, or what it says, is not to be relied on
        self.place = 0  # the outbox's next number
        self.cork = 0  # while the outbox hands over, one sync for all: `place` as the next put() makes it
        self.state = b""
        self.report = ""
        self.s = None
        self.gen = self.who = 0
        self.pid = -1
        self.subs = {}
        self.held = set()
        self.slots = slots = OrderedDict()  # id: slot as a session's, oldest first
        f = journal.load()
        if f:
            with f:
                bad = 0
                for kind, b in records(f):
                    if not kind:
                        bad += 1
                    elif kind == _HEADER:
                        self.gen, self.who, self.place, self.pid = unpack_from(">IIIH", b)
                        self.state = b[14:]
                    elif kind == _SUBSCRIBED:
                        self.subs[b[1:]] = b[0]
                        if b[0] == _GONE:
                            del self.subs[b[1:]]
                    else:
                        pid = unpack_from(">H", b)[0]
                        if kind == _PUBREL:
                            self.held.discard(pid)
                        elif kind == _SEEN:
                            if pid:
                                self.held.add(pid)
                            if _len(b) > 2:
                                self.state = b[3:]
                        elif kind == _PUBREC:
                            slots[pid] = pid, 0x6A, b"", b""
                        else:
                            slots.pop(pid, None)
                            if kind == _PUT:
                                self.place = unpack_from(">HIB", b)[1]
                                if pid:
                                    self.pid = pid
                                    n = 9 + (b[7] << 8 | b[8])
                                    slots[pid] = pid, b[6] | 8, b[7:n], b[n:]
                if bad:
                    self.must = True
                    n = f.seek(0, 2)
                    f.seek(0)
                    name = journal.path + ".bad"
                    try:
                        with open(name, "wb") as g:
                            b = f.read(64)
                            while b:
                                g.write(b)
                                b = f.read(64)
                    except OSError as e:  # no room: what is whole counts all the same
                        name = e
                    self.report = "journal: %d B of %d B damaged, copy: %s" % (bad, n, name)
                elif self.gen:
                    self.anew = False
        self.window = _len(slots)  # slots that replay needs

    # the client's side

    def replay(self, s, client_id, server):
        """Put what was found into session `s`. Returns whether the subscriptions must be made again.

        Another client id or server than before: what the broker has not acknowledged goes out as new messages, with
        new ids, on flash before the first byte; ids that the other session knew are forgotten. `report` says so.
        """
        self.s = s
        who = crc32(wire.data(server), crc32(wire.data(client_id)))
        changed = self.gen and who != self.who
        self.who = who
        n = 0
        for pid, b0, topic, payload in self.slots.values():
            if changed:
                if b0 & 0x40:
                    continue
                b0 &= 0x37
                pid = 0
                n += 1
            m = s._reserve(b0, pid)
            m[2] = topic
            m[3] = payload
        s._subs.update(self.subs)
        self.subs = s._subs
        if changed:
            self.report += "%sanother client id or server: %d messages go out as new" % (self.report and "; ", n)
            self.rewrite()
        else:
            s._held.update(self.held)
            if self.pid >= 0:
                s.pid = self.pid
        self.slots = self.held = None
        return changed and _len(self.subs) > 0

    def rewrite(self):
        """What stands in the journal is no longer true, as when the broker forgot the session: a snapshot replaces it
        at the next sync."""
        self.anew = self.must = True

    def put(self, m, later=False):
        """The message of slot m (umqtt.session) is the client's; on flash when this returns, unless `later` or corked:
        then with the next sync. Refused, and the slot given back, with OSError: store full, flash broken; ValueError:
        over 65 kB."""
        try:
            self.note(m, self.cork or self.place)
            if later or self.cork:
                self.must = True
            else:
                self.sync()
        except Exception:
            # its record may stand in out, but after an error the journal takes no more but a snapshot
            self.s._free(self.s._slot(m[0]))
            raise

    def note(self, m, place):
        """Let a record of slot m wait for sync(); with id 0 it says no more than that the outbox was handed over up to
        `place`."""
        b = bytearray(pack(">HIB", m[0], place, m[1] & 0x37))
        b.extend(m[2])
        b.extend(m[3])
        record(self.out, _PUT, b)
        self.place = place

    def acked(self, kind, pid):
        """PUBACK (4), PUBREC (5), PUBREL (6) or PUBCOMP (7) came for `pid`; to be called before the answer leaves."""
        if not _PUT < kind < _SUBSCRIBED or kind == _PUBREC and self.s._slot(pid) < 0:
            return
        record(self.out, kind, pack(">H", pid))
        # PUBACK or PUBCOMP lost: the broker gets a repetition and answers it again
        if kind == _PUBREC or kind == _PUBREL or _len(self.out) > _LAZY_B:
            self.must = True

    def seen(self, pid, state=None):
        """Incoming QoS 2 message `pid` was taken (0: one of QoS 0 or 1); `state`: None, or bytes that the application
        wants remembered in the same record."""
        b = pack(">H", pid)
        if isinstance(state, (bytes, bytearray)):
            self.state = bytes(state)
            b += b"\1" + self.state
        elif not pid:
            return
        record(self.out, _SEEN, b)
        self.must = True

    def subscribed(self, topic, qos):
        """The broker granted filter `topic` (with its length before it) with `qos`, or, None, forgot it."""
        record(self.out, _SUBSCRIBED, bytes((_GONE if qos is None else qos,)) + topic)

    # flash

    def sync(self):
        """Bring what waits to flash. Blocks for a flash write. Raises OSError; then it still waits."""
        s = self.s
        if s and (self.out or self.must):
            anew = self.anew
            self.anew = True  # should it fail
            if anew or not self.journal.append(self.out):
                must = self.must
                self.out = bytearray()
                self.gen += 1
                record(self.out, _HEADER, pack(">IIIH", self.gen, self.who, self.place, s.pid) + self.state)
                for f in self.subs:
                    self.subscribed(f, self.subs[f])
                for pid in s._held:
                    self.seen(pid)
                for m in s._slots[: s.inflight]:
                    if m[1] & 0x40:
                        self.acked(_PUBREC, m[0])
                    elif m[1] < 0x40 and m[3] is not None:  # None: a stream, which nobody can repeat
                        self.note(m, self.place)
                self.must = must
                self.journal.rewrite(self.out)
            self.out = bytearray()
            self.anew = self.must = False

    close = sync
