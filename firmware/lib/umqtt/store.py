"""What must survive a reset or a power cut, in a journal: messages in flight, incoming QoS 2 ids, subscriptions, how
far the outbox was handed over, and a few bytes of the application's.

    store = Store(FileJournal("/journal"))
    client = MQTTClient(client_id, server, store=store)   # what the journal holds is in flight again, ids included

A record is type (1 byte), length of the body (2), CRC-32 of all that (4), body; big-endian. A journal is a snapshot of
what was live, begun by its header, then changes; the types are those of the MQTT packets they stand for:
   1  header        generation (4), CRC-32 of client id and server (4), outbox place (4), last id (2), state bytes
   2  seen          id (2), nothing or 1 and the state bytes: an incoming QoS 2 message was taken
   3  put           outbox place (4), id (2), first byte of the PUBLISH (1), length of the topic (2), topic, payload
   4, 7             PUBACK, PUBCOMP: id (2) is done
   5                PUBREC: id (2) is the broker's
   6                PUBREL: incoming id (2) is free
   8  subscribed    QoS (1), filter
  10  unsubscribed  filter
  12  place         outbox place (4)
What must be on flash before bytes leave is `must`: the client calls sync() before it sends. Acks whose loss only costs
a repeated packet wait for the next sync.
"""

import os
from binascii import crc32
from struct import pack, unpack_from

from micropython import const

_SEEN = const(2)
_PUT = const(3)
_PUBREC = const(5)
_PUBREL = const(6)
_SUBSCRIBED = const(8)
_UNSUBSCRIBED = const(10)
_PLACE = const(12)

_LAZY_B = const(256)  # acks that may wait: so many bytes of them

_len = len


def record(out, kind, body):
    """Append a record of `kind` (1..15) with `body` (up to 65535 bytes) to bytearray `out`."""
    h = pack(">BH", kind, _len(body))
    out.extend(h)
    out.extend(pack(">I", crc32(body, crc32(h))))
    out.extend(body)


def records(f, bad):
    """Yield (kind, body) of each whole record in the open file `f`; `bad[0]` grows by the bytes that belong to none."""
    left = f.seek(0, 2)
    at = 0
    while left > at:
        f.seek(at)
        h = f.read(7)
        if _len(h) == 7:
            kind, n, crc = unpack_from(">BHI", h)
            if 0 < kind < 16 and n <= left - at - 7:
                body = f.read(n)
                if crc32(body, crc32(h[:3])) == crc:
                    yield kind, body
                    at += 7 + n
                    continue
        at += 1
        bad[0] += 1


class FileJournal:
    """A journal in file `path` of a littlefs2 (on a host: POSIX) file system, where a rename replaces its target at
    once.

    `path`.new and `path`.bad are its as well. compact_b: it is rewritten when it would grow beyond this, or, when more
    than that is live, beyond twice of it; up to 128 bytes littlefs2 keeps a file within its directory and erases next
    to nothing. limit_b: what it may never exceed.
    """

    def __init__(self, path, compact_b=128, limit_b=16384):
        self.path = path
        self.f = None
        self.size = -1  # of what is whole; -1: to be rewritten before anything is appended
        self.full = self.compact_b = compact_b
        self.limit_b = limit_b

    def load(self):
        """The journal as an open file; None when there is none. Raises OSError."""
        try:
            return open(self.path, "rb")
        except OSError as e:
            if e.errno != 2:
                raise

    def set_aside(self):
        """Copy the journal, damaged, to `path`.bad. Returns that name. Raises OSError."""
        name = self.path + ".bad"
        with open(self.path, "rb") as f, open(name, "wb") as g:
            b = f.read(64)
            while b:
                g.write(b)
                b = f.read(64)
        return name

    def append(self, data):
        """Write `data` behind the rest and wait until it is on flash. Returns False when it is time to rewrite.
        Raises OSError."""
        n = self.size + _len(data)
        if self.size < 0 or n > self.full:
            return False
        self.size = -1  # a write that fails leaves an end that is not known
        if not self.f:
            self.f = open(self.path, "ab")
        self.f.write(data)
        self.f.flush()
        self.size = n
        return True

    def rewrite(self, data):
        """Replace all by `data`, at once: a power cut leaves the old or the new. Raises OSError; then the old stays."""
        self.close()
        self.size = -1
        n = _len(data)
        if n > self.limit_b:
            raise OSError(28, "store full: %d B in flight, limit %d B" % (n, self.limit_b))
        new = self.path + ".new"
        with open(new, "wb") as f:
            f.write(data)
        os.rename(new, self.path)
        self.size = n
        self.full = min(self.limit_b, self.compact_b if n < self.compact_b else 2 * n)

    def remove(self):
        """Close the file and remove it. Raises OSError."""
        self.close()
        os.remove(self.path)

    def close(self):
        """Close the file. It is opened again when needed."""
        f, self.f = self.f, None
        if f:
            f.close()


class Store:
    """What a session must remember, kept in `journal` (FileJournal, or umqtt.rtc.RtcJournal). One client at a time.

    A journal that is damaged, or not ours: what is whole is used, the file is copied aside, `report` says so. Raises
    OSError when the flash cannot be read. Attributes: state: the application's bytes, b"" at first; report: what was
    found amiss, in words, else "".
    """

    def __init__(self, journal):
        self.journal = journal
        self.buf = bytearray()  # records that wait for sync
        self.must = False  # they are to be on flash before a byte leaves
        self.cork = False  # the outbox hands over several: one sync for all
        self.place = self.taking = 0  # the outbox's next number: as it is, and as the next put makes it
        self.moved = False  # it did without a put
        self.state = b""
        self.report = ""
        self.s = None
        self.subs = {}
        self.held = []
        self.found = []  # [id, first byte, topic, payload], oldest first; topic None: PUBREC came
        self.gen = self.who = 0
        self.pid = -1
        f = journal.load()
        if f:
            bad = [0]
            with f:
                for kind, b in records(f, bad):
                    self._found(kind, b)
                n = f.seek(0, 2)
            if bad[0]:
                self.report = "journal: %d B of %d B damaged, " % (bad[0], n)
                try:
                    self.report += "set aside as " + journal.set_aside()
                except OSError as e:  # no room: what is whole counts all the same
                    self.report += "not set aside: %s" % e
                self.must = True
            elif self.gen:
                journal.size = n
        self.taking = self.place
        self.window = _len(self.found)  # slots that replay needs

    def _found(self, kind, b):
        if kind == 1:
            self.gen, self.who, self.place, self.pid = unpack_from(">IIIH", b)
            self.state = b[14:]
        elif kind == _SUBSCRIBED:
            self.subs[pack(">H", _len(b) - 1) + b[1:]] = b[0]
        elif kind == _UNSUBSCRIBED:
            self.subs.pop(pack(">H", _len(b)) + b, None)
        elif kind == _PLACE:
            self.place = unpack_from(">I", b)[0]
        elif kind == _SEEN or kind == _PUBREL:
            pid = unpack_from(">H", b)[0]
            if pid in self.held:
                self.held.remove(pid)
            if kind == _SEEN:
                if pid:
                    self.held.append(pid)
                if _len(b) > 2:
                    self.state = b[3:]
        else:
            i = self._slot(unpack_from(">H", b, 4 if kind == _PUT else 0)[0])
            if kind == _PUBREC:
                self.found[i][2:] = (None, None)
            elif kind == _PUT:
                self.place, self.pid, b0, n = unpack_from(">IHBH", b)
                self.found.append([self.found.pop(i)[0], b0, b[9 : 9 + n], b[9 + n :]])
            else:
                self.found.pop(i)

    def _slot(self, pid):
        # the index of message `pid` in found; a new one, as if its PUBREC had come, when it is not there
        for i in range(_len(self.found)):
            if self.found[i][0] == pid:
                return i
        self.found.append([pid, 4, None, None])
        return _len(self.found) - 1

    # the client's side

    def replay(self, session, client_id, server):
        """Put what was found into the session and the client's subscriptions. Returns whether those must be made
        again.

        Another client id or server than before: what the broker has not acknowledged goes out as new messages, with
        new ids, on flash before the first byte; ids that the other session knew are forgotten. `report` says so.
        """
        self.s = session
        who = crc32(server.encode(), crc32(client_id.encode() if isinstance(client_id, str) else client_id))
        changed = self.gen and who != self.who
        self.who = who
        if self.pid >= 0 and not changed:
            session.pid = self.pid
        n = 0
        for pid, b0, topic, payload in self.found:
            if topic is None:
                if not changed:
                    m = session.reserve(0x6A, pid)
                    m[2] = m[3] = b""
            else:
                n += 1
                topic = pack(">H", _len(topic)) + topic
                m = session.reserve(b0) if changed else session.reserve(b0 | 8, pid)
                m[2] = topic
                m[3] = payload
        self.found = []
        if changed:
            self.report += "%sanother client id or server: %d messages go out as new" % (self.report and "; ", n)
            self.held = []
            self.rewrite()
        for pid in self.held:
            session.held.add(pid)
        self.held = []
        session.subs.update(self.subs)
        self.subs = session.subs
        return changed and _len(self.subs) > 0

    def rewrite(self):
        """What stands in the journal is no longer true, as when the broker forgot the session: a snapshot replaces it
        at the next sync."""
        self.journal.size = -1
        self.must = True

    def put(self, m, later=False):
        """The message of slot m (umqtt.session) is the client's; on flash when this returns, unless `later` or corked: then with the next
        sync. Refused, and the slot given back, with OSError: store full, flash broken; ValueError: over 65 kB."""
        pid, b0, topic, payload = m
        if _len(topic) + _len(payload) > 65528:
            self.s.free(self.s.slot(pid))
            raise ValueError("message larger than a record of the store")
        at = _len(self.buf)
        place = self.place
        must = self.must
        b = bytearray(pack(">IHB", self.taking, pid, b0 & 0x37))
        b.extend(topic)
        b.extend(payload)
        record(self.buf, _PUT, b)
        self.place = self.taking
        self.moved = False
        self.must = True
        if not (later or self.cork):
            try:
                self.sync()
            except OSError:
                self.s.free(self.s.slot(pid))
                self.buf = self.buf[:at]
                self.place = place
                self.moved = True
                self.must = must
                raise

    def acked(self, event, pid):
        """PUBACK (4), PUBREC (5), PUBREL (6) or PUBCOMP (7) came for `pid`; to be called before the answer leaves."""
        if event == _PUBREC and self.s.slot(pid) < 0 or not _PUT < event < _SUBSCRIBED:
            return
        record(self.buf, event, pack(">H", pid))
        # PUBACK or PUBCOMP lost: the broker gets a repetition and answers it again
        if event == _PUBREC or event == _PUBREL or _len(self.buf) > _LAZY_B:
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
        record(self.buf, _SEEN, b)
        self.must = True

    def subscribed(self, topic, qos):
        """The broker granted filter `topic` with `qos`, or, None, forgot it."""
        if qos is None:
            record(self.buf, _UNSUBSCRIBED, topic[2:])
        else:
            record(self.buf, _SUBSCRIBED, bytes((qos,)) + topic[2:])

    # the outbox's side

    def mark(self, place):
        """The outbox's message before `place` needs no record here: passed over, or sent in QoS 0."""
        self.place = self.taking = place
        self.moved = True

    # flash

    def sync(self):
        """Bring what waits to flash. Blocks for a flash write. Raises OSError; then it still waits."""
        if self.moved:
            self.moved = False
            record(self.buf, _PLACE, pack(">I", self.place))
        if self.buf or self.must:
            if not self.journal.append(self.buf):
                self._snapshot()
            self.buf = bytearray()
            self.must = False

    def _snapshot(self):
        s = self.s
        self.gen += 1
        out = bytearray()
        record(out, 1, pack(">IIIH", self.gen, self.who, self.place, s.pid) + self.state)
        for f in self.subs:
            record(out, _SUBSCRIBED, bytes((self.subs[f],)) + f[2:])
        for pid in s.held:
            record(out, _SEEN, pack(">H", pid))
        for pid, b0, topic, payload in s.slots[: s.inflight]:
            if b0 & 0x40:
                record(out, _PUBREC, pack(">H", pid))
            elif b0 < 0x40 and payload is not None:  # None: a stream, which nobody can repeat
                b = bytearray(pack(">IHB", self.place, pid, b0 & 0x37))
                b.extend(topic)
                b.extend(payload)
                record(out, _PUT, b)
        self.journal.rewrite(out)

    def close(self):
        """sync(), and the journal's file is closed: before deep sleep. Raises OSError."""
        if self.s:
            self.sync()
        self.journal.close()
