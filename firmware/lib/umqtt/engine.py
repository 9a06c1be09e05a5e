"""One MQTT connection without I/O: bytes in, bytes out, `now` (ticks_ms) passed in, packet types as event codes.

In: read up to `need` bytes into the start of `rbuf`, then call `received(k, now)`. Packets are asked for exactly (2
bytes, the rest of the length, the body), so nothing is copied and a short read leaves the stream in step. Out: send
`n` bytes from `ob` at `off`, then call `sent(k, now)`. `n` never grows while a run is under way: TLS must repeat a
write that would block with the same arguments. Imports neither time, socket nor anything that waits; `ticks_diff`
only subtracts.
"""

from time import ticks_diff

from micropython import const

from umqtt.wire import ProtocolError, head, publish, subscribe

_len = len

# event codes: the packet's type [2.2.1], but for these
_NONE = const(0)
_REPEATED = const(1)  # a QoS 2 message that was delivered before: acknowledged, nothing to do
_CONNACK = const(2)
_PUBLISH = const(3)
_PUBREC = const(5)
_PUBREL = const(6)
_SUBACK = const(9)
_PINGRESP = const(13)
_PART = const(14)  # a bite of a message that is larger than rx
_DRAINED = const(15)  # the end of one

# what `need` bytes are
_HEADER = const(0)
_LENGTH = const(1)
_BODY = const(2)
_BITE = const(3)

_SEND_PUBREL = const(1)  # session's action

_NEVER_MS = const(1 << 28)
_MAX_HELD = const(1024)  # QoS 2 messages that a broker may leave without PUBREL: a backlog of Mosquitto's, 4 B each


class _Slice:
    def __getitem__(self, s):
        return s


_ALL = _Slice()[0:]  # a slice object that is kept: emptying tx allocates nothing
del _Slice


class Engine:
    """`session`: a Session. rx_size, tx_size: bytes of the fixed buffers, 16 or more; a packet that does not fit is
    streamed or drained."""

    def __init__(self, session, rx_size, tx_size):
        if rx_size < 16 or tx_size < 16:
            raise ValueError("rx_size, tx_size: 16 or more needed")
        self.s = session
        self.rx = bytearray(rx_size)
        self.tx = bytearray(tx_size)
        self.tx_size = tx_size
        self.hdr = bytearray(2)
        self.oversize = 0  # messages larger than rx so far
        self.start(0, 0)

    def start(self, keepalive_ms, now):
        """Begin a connection: nothing staged, nothing read, no CONNACK yet. keepalive_ms 0 means none."""
        self.up = False
        self.keepalive = keepalive_ms
        self.ping = 0  # 1: PINGREQ staged, 2: it is out, its PINGRESP is awaited
        self.t_tx = self.t_rx = self.t_ping = now
        self.tx[_ALL] = b""
        self.ob = self.tx
        self.off = self.n = self.cut = 0
        self.big = None  # a payload that goes out from the caller's object, behind tx[:cut]
        self.more = None  # refills big with what follows, returns the number of bytes, 0 at the end
        self.left = self.got = 0
        self._want(self.hdr, 2, _HEADER)

    def _want(self, rbuf, need, phase):
        self.rbuf = rbuf
        self.need = need
        self.phase = phase

    # bytes out

    def room(self, n):
        """Whether a packet of n bytes can be staged now: behind what waits, or alone."""
        return not self.n or _len(self.tx) + n <= self.tx_size

    def publish(self, b0, topic, pid, payload):
        """Stage a PUBLISH. `payload` is not copied when the packet exceeds tx_size: it must stay as it is until sent.
        """
        publish(self.tx, _len(payload), b0, topic, pid)
        if _len(self.tx) + _len(payload) > self.tx_size:
            self.big = payload
        else:
            self.tx.extend(payload)
        if not self.n:
            self.n = _len(self.tx)

    def ack(self, b0, pid):
        """Stage one of the packets that hold nothing but an id."""
        head(self.tx, b0, 2, pid)
        if not self.n:
            self.n = 4

    def stage(self):
        """Stage the session's oldest packet that is to be sent, if there is one and room for it. Returns whether it
        did."""
        s = self.s
        i = s.oldest()
        if i < 0:
            return False
        state = s.state[i]  # the rest is read where it is used: a local more and the frame comes from the heap
        if state < _PUBREL:
            if self.n and not self.room(_len(s.topic[i]) + _len(s.payload[i]) + 9):
                return False
            self.publish(s.b0[i], s.topic[i], s.pids[i], s.payload[i])
        elif self.n:
            return False
        elif state > _SUBACK - 1:
            subscribe(self.tx, s.pids[i], s.topic[i], s.payload[i])
            self.n = _len(self.tx)
        else:
            self.ack(0x62, s.pids[i])
        s.staged(i)
        return True

    def sent(self, k, now):
        """k of the n bytes are out."""
        self.t_tx = now
        off = self.off + k
        k = self.n - k
        if not k:
            if self.big is not None:
                if self.ob is self.tx:
                    self.cut = off
                    self.ob = self.big
                    k = _len(self.big)
                if self.more:
                    k = self.more()
                off = 0
                if not k:
                    self.ob = self.tx
                    off = self.cut
                    self.big = self.more = None
            if not k:
                k = _len(self.tx) - off
                if not k:
                    self.tx[_ALL] = b""
                    off = 0
                    if self.ping == 1:
                        self.ping = 2
                        self.t_ping = now
        self.off = off
        self.n = k

    def due(self, now):
        """Milliseconds until the keep-alive wants something; stages the PINGREQ when it is time; 0 or less: the link
        is dead.

        To be asked only when nothing is left to read. PINGREQ after 3/4 of the interval without a byte sent (or
        without a packet received: a busy sender would never notice a dead link), dead half an interval later: before
        1.5 intervals [3.1.2.10].
        """
        ka = self.keepalive
        if not ka or not self.up:
            return _NEVER_MS
        quiet = ticks_diff(now, self.t_tx)
        if self.ping:
            idle = ticks_diff(now, self.t_ping)
            # PINGREQ stands behind a large payload: progress of that is life
            return (ka >> 1) - (quiet if self.ping == 1 and quiet < idle else idle)
        idle = ticks_diff(now, self.t_rx)
        if quiet > idle:
            idle = quiet
        idle = ka - (ka >> 2) - idle
        if idle > 0:
            return idle
        self.pingreq(now)
        return ka >> 1

    def pingreq(self, now):
        """Stage a PINGREQ [3.12]."""
        self.tx.extend(b"\xc0\0")
        if not self.n:
            self.n = 2
        if not self.ping:
            self.ping = 1
            self.t_ping = now

    # bytes in

    def received(self, k, now):
        """k of the `need` bytes are in rbuf. Returns an event, 0 when there is none yet. Raises ProtocolError.

        _PUBLISH: topic is rx[2:t_end], payload rx[p_off:p_end], header hdr[0], id pid; accept() when the application
        took it. _PART, _DRAINED: the same, for a bite of a message that is larger than rx, and for its last one;
        t_end is 0 when the topic is not in rx.
        """
        if k < self.need:
            self.need -= k
            self.got += k
            self.rbuf = memoryview(self.rx if self.phase else self.hdr)[self.got :]
            return _NONE
        self.t_rx = now
        phase = self.phase
        if self.got:
            k += self.got
            self.got = 0
        if phase > _LENGTH:
            if self.hdr[0] >> 4 == _PUBLISH:
                return self._message(k, phase)
            self._want(self.hdr, 2, _HEADER)
            return self._packet(k)
        if phase == _HEADER:
            k = self.hdr[1]
            if k < 128:
                self.left = k
                return self._begin(k)
            self.left = self.shift = 0
        else:
            k = self.rx[0]
        self.left |= (k & 127) << self.shift
        self.shift += 7
        if k < 128:
            return self._begin(self.left)
        if self.shift > 21:
            raise ProtocolError("remaining length over 4 bytes")
        self._want(self.rx, 1, _LENGTH)
        return _NONE

    def _begin(self, n):
        b0 = self.hdr[0]
        if not self.up and b0 != 0x20:
            raise ProtocolError("no CONNACK first")
        if b0 >> 4 == _PUBLISH:
            ok = b0 & 6 != 6 and b0 & 14 != 8 and n > 2
        elif b0 in b"\x20\x40\x50\x62\x70\xb0":
            ok = n == 2 and not (self.up and b0 == 0x20)
        elif b0 == 0x90:
            ok = 2 < n <= _len(self.rx)
        else:
            ok = b0 == 0xD0 and not n
        if not ok:
            raise ProtocolError("malformed packet", b0, n)
        if not n:
            self.ping = 0
            self._want(self.hdr, 2, _HEADER)
            return _PINGRESP
        if n > _len(self.rx):
            self._bite(_BODY)
        else:
            self.left = 0
            self._want(self.rx, n, _BODY)
        return _NONE

    def _bite(self, phase):
        n = _len(self.rx)
        if self.left < n:
            n = self.left
        self.left -= n
        self._want(self.rx, n, phase)

    def _packet(self, n):
        rx = self.rx
        pid = rx[0] << 8 | rx[1]
        kind = self.hdr[0] >> 4
        if kind == _CONNACK:
            self.up = not rx[1]
            return kind
        if not pid:
            raise ProtocolError("packet id 0")
        self.pid = pid
        self.p_end = n
        if kind == _PUBREL:
            self.s.release(pid)
            self.ack(0x70, pid)
            return kind
        if kind >= _SUBACK:
            self._filters(kind, pid)
        n = self.s.on_ack(kind, pid)
        if n < 0:
            raise ProtocolError("ack of the wrong kind", kind, pid)
        if n == _SEND_PUBREL:
            self.ack(0x62, pid)
        return kind if n else _REPEATED

    def _filters(self, kind, pid):
        # what a SUBACK or UNSUBACK is for: its slot is free in a moment
        s = self.s
        if pid in s.pids:
            i = s.pids.index(pid)
            self.filters = s.topic[i]
            self.wanted = s.payload[i]
            if kind == s.state[i] == _SUBACK:
                i = self.p_end
                ok = _len(self.filters) == i - 2
                while ok and i > 2:
                    i -= 1
                    ok = self.rx[i] in b"\0\1\2\x80"
                if not ok:
                    raise ProtocolError("SUBACK: return codes")

    def _message(self, n, phase):
        # n bytes of a PUBLISH stand in rx, its beginning when phase is _BODY
        rx = self.rx
        left = self.left
        if phase == _BODY:
            self.t_end = at = (rx[0] << 8 | rx[1]) + 2
            self.repeated = False
            self.oversize += left > 0
            if self.hdr[0] & 6:
                at += 2
            if at > n + left or self.t_end == 2:
                raise ProtocolError("PUBLISH: topic length")
        else:
            at = self.skip
        self.p_off = at
        self.p_end = n
        if at > n:  # topic or id go on behind rx: drain to the payload
            self.t_end = 0
            self.skip = at - n
            self.pid = rx[n - 1]  # the id's first byte, should it be cut in two
            self._bite(_BITE)
            return _NONE
        if (phase == _BODY or at) and self.hdr[0] & 6:
            self.pid = (rx[at - 2] if at > 1 else self.pid) << 8 | rx[at - 1]
            self._identified()
        self.skip = 0
        if left:
            self._bite(_BITE)
            return _NONE if self.repeated else _PART
        self._want(self.hdr, 2, _HEADER)
        return _REPEATED if self.repeated else _PUBLISH if phase == _BODY else _DRAINED

    def _identified(self):
        pid = self.pid
        held = self.s.held
        if not pid:
            raise ProtocolError("packet id 0")
        if self.hdr[0] & 4:
            if pid in held:
                self.repeated = True
                self.ack(0x50, pid)
            elif _len(held) >= _MAX_HELD and 0 not in held:
                raise ProtocolError("too many QoS 2 messages without PUBREL")

    def accept(self):
        """The application took the message: stage its PUBACK, or hold its id and stage the PUBREC."""
        qos = self.hdr[0] & 6
        if qos == 2:
            self.ack(0x40, self.pid)
        elif qos:
            self.s.hold(self.pid)
            self.ack(0x50, self.pid)
