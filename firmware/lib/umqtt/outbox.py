"""Store and forward: messages wait in files, in order, until a client takes them over; a policy per message.

    outbox = Outbox("/queue", store)
    outbox.add("node/temperature", b"21.5", qos=2)            # at any time, with or without a link
    outbox.drain(client)                                      # when connected, then client.poll(), and again

A message has a number, one higher than the one before, kept across resets; the store's `place` is the first number
that was not handed over, and moves in the same record that makes a message of QoS 1 or 2 the client's: never lost,
never handed over twice. Files in the folder are named by the number of their first message (8 hex digits) and hold
records (umqtt.store) of type 15: number (4), time taken (4), expiry in seconds (4), first byte of the PUBLISH (1),
policy (1), length of the topic (2), topic, payload.

Policies: MUST is handed over; an add() that finds no room is refused. LATEST, and any n up to 254: only the last n of
that topic are handed over. DROP: handed to the client at once, or dropped when it is not connected.
"""

import os
from io import BytesIO
from struct import pack, unpack_from
from time import time

from micropython import const

from umqtt import wire
from umqtt.store import record, records

MUST = 0
LATEST = 1
DROP = 255

_MESSAGE = const(15)
_FORMAT = const(">IIIBBH")
_INLINE_B = const(128)  # a file of up to so many bytes costs littlefs2 no block of its own
_FEW = const(8)
# a clock that is behind this was never set: 2019 where time begins in 2000, 1989 where it begins in 1970
_SET_S = const(600000000)

_len = len


class Outbox:
    """Messages that wait in folder `path`, at most limit_b bytes in files of segment_b; what `store` journals is
    taken.

    stage: a umqtt.rtc.Region (survives deep sleep and reset, not a power cut), or a number of bytes of RAM (survives
    nothing), where messages gather until one write brings them all to flash; None: add() returns when it is on flash.
    client: for messages of policy DROP. clock: seconds that go on during sleep. Raises OSError. Attributes: dropped,
    expired: counts; report: what was found amiss, in words, else "".
    """

    def __init__(self, path, store, stage=None, limit_b=65536, segment_b=2048, client=None, clock=time):
        self.path = path
        self.store = store
        self.client = client
        self.clock = clock
        self.segment_b = segment_b
        self.most = max(1, limit_b // segment_b)
        self.dropped = self.expired = 0
        self.report = ""
        self.bad = -1  # a damaged file: set aside as "bad" when it is used up
        self.counts = None  # topic: messages of a last-n policy that wait; known while it is needed
        self.staged = bytearray()
        self.stage = None if isinstance(stage, int) else stage
        self.stage_b = self.stage.size_b if self.stage else stage or 0
        if self.stage_b > segment_b:
            raise ValueError("stage: at most segment_b")
        try:
            os.mkdir(path)
        except OSError as e:
            if e.errno != 17:
                raise
        self.segs = []
        for name in os.listdir(path):
            try:
                if _len(name) == 8:  # not "new", "bad"
                    self.segs.append(int(name, 16))
            except ValueError:
                self.report = "outbox: %s/%s is not ours" % (path, name)
        self.segs.sort()
        self.tail = segment_b  # bytes in the last file; segment_b: nothing is appended to it
        self.next = 0
        if self.segs:
            self.next = seg = self.segs[-1]
            for b in self._waiting([seg]):
                self.next = unpack_from(">I", b)[0] + 1
            if self.bad < 0:
                self.tail = os.stat(self._name(seg))[6]
        self.next = max(self.next, store.place)
        if self.stage:
            for kind, b in records(BytesIO(self.stage.read())):
                n = unpack_from(">I", b)[0]
                if n >= self.next:  # not yet on flash: a reset can come between the write there and the clearing here
                    self._stage(b, n)

    def _name(self, seg):
        return "%s/%08x" % (self.path, seg)

    def _stage(self, b, n):
        if not self.staged:
            self.first = n  # the number of the first one staged
        record(self.staged, _MESSAGE, b)
        self.next = n + 1

    def _unstage(self):
        self.staged = bytearray()
        if self.stage:
            self.stage.write(b"")

    @property
    def waiting(self):
        """Messages not yet handed over, those that will be passed over included."""
        return self.next - self.store.place

    def add(self, topic, payload, qos=1, retain=False, keep=MUST, expire_s=0, taken=None):
        """Let a message wait for drain(). Returns its number; with DROP the packet id, or None when it was dropped.

        taken: when the reading was taken, in seconds of `clock`, else now; older than expire_s (0: never) it is not
        handed over, unless the clock was not set at one of the two times. Raises ValueError, OSError: no room,
        nothing changed. Blocks for a flash write, unless it was staged.
        """
        topic = wire.text(topic)[2:]
        payload = wire.data(payload)
        b0 = wire.number(qos, 2) << 1 | (0x31 if retain else 0x30)
        n = None
        if wire.number(keep, 255) == DROP:
            c = self.client
            if c and c.isconnected():
                n = c.publish(topic, payload, retain, qos, False)
            if n is None:
                self.dropped += 1
            return n
        n = self.next
        taken = self.clock() if taken is None else taken
        b = bytearray(pack(_FORMAT, n, int(taken), expire_s, b0, keep, _len(topic)))
        b.extend(topic)
        b.extend(payload)
        if _len(b) + 7 > self.segment_b:
            raise ValueError("message of %d B, segment_b is less" % _len(b))
        at = _len(self.staged)
        self._stage(b, n)
        if _len(self.staged) > self.stage_b:
            try:
                self.flush()
            except OSError:
                self.staged = self.staged[:at]
                self.next = n
                raise
        elif self.stage:
            self.stage.write(self.staged)
        if keep:
            self.counts = None
        return n

    def flush(self):
        """Bring what is staged to flash. Raises OSError: no room."""
        data = self.staged
        if not data:
            return
        segs = self.segs
        n = self.tail + _len(data)
        # while few wait each file stays small enough to cost no block
        if n > self.segment_b or n > _INLINE_B and _len(segs) < min(_FEW, self.most // 2):
            n = _len(data)
            if _len(segs) >= self.most:
                self._squeeze()
                segs = self.segs
                if _len(segs) >= self.most:
                    k = self.first - self.store.place
                    raise OSError(28, "outbox full: %d messages in %d B" % (k, self.most * self.segment_b))
            if self.first not in segs:
                segs.append(self.first)
        self.tail = self.segment_b  # a write that fails leaves an end that is not known
        with open(self._name(segs[-1]), "ab") as f:
            f.write(data)
        self.tail = n
        self._unstage()

    def drain(self, client):
        """Hand what waits to `client`, if it is connected and as far as it has free slots. Returns how many messages.

        They are staged, and leave with the client's next poll(), after one write to flash for all of them. Blocks for
        flash. Raises OSError; a message whose number the store's place has passed is the client's.
        """
        if not self.waiting or client.inflight == _len(client._slots) or not client.isconnected():
            return 0
        st = self.store
        place = st.place
        done = 0
        waiting = self._waiting(self.segs + [-1])
        try:
            for b in waiting:
                n, taken, expire_s, b0, keep, k = unpack_from(_FORMAT, b)
                topic = b[16 : 16 + k]
                if not self._useless(b):
                    st.cork = n + 1  # noted in the record that makes the message the client's
                    if client.publish(topic, b[16 + k :], b0 & 1 == 1, b0 >> 1 & 3, False) is None:
                        break
                    done += 1
                    if keep and self.counts:
                        self.counts[topic] -= 1
                place = n + 1
        finally:
            waiting.close()
            st.cork = 0
            if place > st.place:  # passed over, or sent in QoS 0
                st.note([0, 0, b"", b""], place)
        self._tidy()
        return done

    def _tidy(self):
        # files whose messages were all handed over go, once flash knows that they were
        st = self.store
        while self.segs and (self.segs + [self.first if self.staged else self.next])[1] <= st.place:
            st.sync()
            seg = self.segs.pop(0)
            if seg == self.bad:
                os.rename(self._name(seg), self.path + "/bad")
            else:
                os.remove(self._name(seg))
            if not self.segs:
                self.tail = self.segment_b
        if self.staged and not self.waiting:
            st.sync()
            self._unstage()

    def _waiting(self, segs):
        # records' bodies of what waits in these files; -1: in the stage
        last = self.store.place - 1
        for seg in segs:
            with BytesIO(self.staged) if seg < 0 else open(self._name(seg), "rb") as f:  # pyright: ignore[reportArgumentType, reportCallIssue]
                for kind, b in records(f):
                    if not kind:
                        self.bad = seg
                        self.report = "outbox: records damaged in " + self._name(seg)
                        continue
                    n = unpack_from(">I", b)[0]
                    if n > last:  # an interrupted squeeze leaves some twice
                        last = n
                        yield b

    def _useless(self, b):
        # whether the message expired, or enough newer ones of its topic wait: then it is passed over, and counted so
        n, taken, expire_s, b0, keep, k = unpack_from(_FORMAT, b)
        topic = b[16 : 16 + k]
        now = self.clock()
        if keep and self.counts is None:
            self.counts = counts = {}
            for m in self._waiting(self.segs + [-1]):
                if m[13]:
                    m = m[16 : 16 + (m[14] << 8 | m[15])]
                    counts[m] = counts.get(m, 0) + 1
        if expire_s and (taken < _SET_S) == (now < _SET_S) and now - taken > expire_s:
            self.expired += 1
        elif keep and self.counts[topic] > keep:
            self.dropped += 1
        else:
            return False
        if keep:
            self.counts[topic] -= 1
        return True

    def _squeeze(self):
        # write the files anew without what is useless; but first see whether that frees one
        self._tidy()
        new = self.path + "/new"
        for dry in (True, False):
            was = self.dropped, self.expired
            self.counts = None
            segs = []
            f = None
            n = self.segment_b
            for b in self._waiting(self.segs):
                if self._useless(b):
                    continue
                n += _len(b) + 7
                if n > self.segment_b:
                    n = _len(b) + 7
                    if f:
                        f.close()
                        os.rename(new, self._name(segs[-1]))
                    f = None if dry else open(new, "wb")
                    segs.append(unpack_from(">I", b)[0])
                if f:
                    r = bytearray()
                    record(r, _MESSAGE, b)
                    f.write(r)
            self.counts = None
            if dry:
                self.dropped, self.expired = was
                if _len(segs) >= _len(self.segs):
                    return
                continue
            if f:
                f.close()
                os.rename(new, self._name(segs[-1]))
            old = self.segs
            self.segs = segs
            self.tail = self.segment_b
            for seg in old:
                if seg not in segs:
                    os.remove(self._name(seg))
