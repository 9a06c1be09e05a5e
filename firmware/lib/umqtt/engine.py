"""One MQTT connection without I/O: bytes in, bytes out, `now` (ticks_ms) passed in, packet types as event codes.

In: read up to `need` bytes into the start of `rbuf`, then call `received(k, now)`. Packets are asked for exactly (2
bytes, the rest of the length, the body), so nothing is copied and a short read leaves the stream in step. Out: send
`tx_n` bytes from `tx_ob` at `tx_off`, then call `sent(k, now)`; when there are none, `stage()` may know some. `tx_n`
never grows while a run is under way: TLS must repeat a write that would block with the same arguments. Imports neither
time, socket nor anything that waits; `ticks_diff` only subtracts.
"""

from time import ticks_diff

from micropython import const

from umqtt.session import Session
from umqtt.wire import ProtocolError

_len = len

# event codes: the packet's type [2.2.1], but for these
_NONE = const(0)
_REPEATED = const(1)  # a QoS 2 message that was delivered before: acknowledged, nothing to do
_CONNACK = const(2)
_PUBLISH = const(3)
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

# ping
_WANTED = const(1)
_STAGED = const(2)
_AWAITED = const(3)

_SEND_PUBREL = const(1)  # session's action

_NEVER_MS = const(1 << 28)
_MAX_HELD = const(1024)  # QoS 2 messages that a broker may leave without PUBREL: a backlog of Mosquitto's, 4 B each


class _Slice:
    def __getitem__(self, s):
        return s


_ALL = _Slice()[0:]  # a slice object that is kept: emptying tx allocates nothing
del _Slice


class Engine(Session):
    """`window`: the session's. rx_size, tx_size: bytes of the fixed buffers, 16 or more; a packet that does not fit is
    streamed or drained."""

    def __init__(self, window, rx_size, tx_size):
        if rx_size < 16 or tx_size < 16:
            raise ValueError("rx_size, tx_size: 16 or more needed")
        Session.__init__(self, window)
        self.rx = bytearray(rx_size)
        self.tx = bytearray(tx_size)
        self.tx_size = tx_size
        self.oversize = 0  # messages larger than rx so far
        self.start(0, 0)

    def start(self, keepalive_ms, now):
        """Begin a connection: nothing staged, nothing read, no CONNACK yet. keepalive_ms 0 means none."""
        self.up = False
        self.keepalive_ms = keepalive_ms
        self.ping_state = self.phase = self.got = self.tx_off = self.tx_n = 0
        self.t_tx = self.t_rx = self.t_ping = now
        self.tx[_ALL] = b""
        self.tx_ob = self.tx
        self.big = None  # a payload that goes out from the caller's object, once tx is empty
        self.more = None  # refills big with what follows, returns the number of bytes, 0 at the end
        self.rbuf = self.rx
        self.need = 2
        self.filters = None  # what a SUBACK or UNSUBACK was for

    # bytes out

    def room(self, n):
        """Whether a packet of n bytes can be staged behind what waits."""
        return (self.big is None or self.tx_ob is not self.tx) and _len(self.tx) + n <= self.tx_size

    def packet(self, b0, topic, pid, body):
        """Stage a packet: b0, the remaining length [2.2.3], `topic` (with its length before it), packet id unless 0,
        `body`. What exceeds tx_size together with the body has that not copied: it must stay as it is until sent."""
        tx = self.tx
        tx.append(b0)
        b0 = _len(topic) + _len(body) + (2 if pid else 0)
        while b0 > 127:
            tx.append(b0 & 127 | 128)
            b0 >>= 7
        tx.append(b0)
        tx.extend(topic)
        if pid:
            tx.append(pid >> 8)
            tx.append(pid & 255)
        if _len(tx) + _len(body) > self.tx_size:
            self.big = body
        else:
            tx.extend(body)
        if not self.tx_n:
            self.tx_n = _len(tx)

    def stage(self):
        """Stage what is to be sent next, if there is any, and room for it: a PINGREQ [3.12] that is due, or the
        session's. Returns whether it did."""
        if self.ping_state == _WANTED and not self.tx_n:
            self.ping_state = _STAGED
            self.packet(0xC0, b"", 0, b"")
            return True
        if self.staged == self.inflight:
            return False
        m = self.slots[self.staged]
        b0 = m[1]
        topic = m[2] if b0 < 0x40 else b""
        if self.tx_n and not self.room(_len(topic) + _len(m[3]) + 7):
            return False
        self.packet(b0 if b0 < 0x40 else b0 & 0xF7, topic, m[0], m[3])
        if b0 & 8:
            self.resends += 1
        m[1] = b0 | 8
        self.staged += 1
        return True

    def sent(self, k, now):
        """k of the tx_n bytes are out."""
        self.t_tx = now
        tx = self.tx
        off = self.tx_off + k
        k = self.tx_n - k
        if not k:
            if self.tx_ob is tx:
                k = _len(tx) - off  # staged behind the run
                if not k:
                    tx[_ALL] = b""
                    off = 0
                    if self.ping_state == _STAGED:
                        self.ping_state = _AWAITED
                        self.t_ping = now
                    if self.big is not None:
                        self.tx_ob = self.big
                        k = self.more() if self.more else _len(self.big)
            else:
                off = 0
                if self.more:
                    k = self.more()
            if not k and self.big is not None:
                self.big = self.more = None
                self.tx_ob = tx
                k = _len(tx)
        self.tx_off = off
        self.tx_n = k

    def due(self, now):
        """Milliseconds until the keep-alive wants something; wants a PINGREQ when it is time; 0 or less: the link is
        dead.

        To be asked only when nothing is left to read. PINGREQ after 3/4 of the interval without a byte sent (or
        without a packet received: a busy sender would never notice a dead link), dead half an interval later: before
        1.5 intervals [3.1.2.10].
        """
        half = self.keepalive_ms >> 1
        if not half or not self.up:
            return _NEVER_MS
        quiet = ticks_diff(now, self.t_tx)
        if self.ping_state:
            idle = ticks_diff(now, self.t_ping)
            # PINGREQ stands behind a large payload: progress of that is life
            return half - (quiet if self.ping_state != _AWAITED and quiet < idle else idle)
        idle = ticks_diff(now, self.t_rx)
        if quiet > idle:
            idle = quiet
        idle = half + (half >> 1) - idle
        if idle > 0:
            return idle
        self.pingreq(now)
        return half

    def pingreq(self, now):
        """Want a PINGREQ; its PINGRESP is then expected within half the keep-alive."""
        if not self.ping_state:
            self.ping_state = _WANTED
            self.t_ping = now

    # bytes in

    def received(self, k, now):
        """k of the `need` bytes are in rbuf. Returns an event, 0 when there is none yet. Raises ProtocolError.

        _PUBLISH: topic is rx[2:t_end], payload rx[p_off:p_end], first byte rx_b0, id rx_pid; accept() when the
        application took it. _PART, _DRAINED: the same, for a bite of a message that is larger than rx, and for its
        last one; t_end is 0 when the topic is not in rx.
        """
        if k < self.need:
            self.need -= k
            self.got += k
            self.rbuf = memoryview(self.rx)[self.got :]
            return _NONE
        self.t_rx = now
        rx = self.rx
        if self.got:
            k += self.got
            self.got = 0
            self.rbuf = rx
        phase = self.phase
        if phase > _LENGTH:
            self.phase = _HEADER
            self.need = 2
            return self._publish(k, phase) if self.rx_b0 >> 4 == _PUBLISH else self._ack(k)
        if phase == _HEADER:
            self.rx_b0 = rx[0]
            self.left = self.shift = 0
            k = rx[1]
        else:
            k = rx[0]
        self.left |= (k & 127) << self.shift
        if k > 127:
            self.shift += 7
            if self.shift > 21:
                raise ProtocolError("remaining length over 4 bytes")
            self.phase = _LENGTH
            self.need = 1
            return _NONE
        return self._begin(self.left)

    def _begin(self, n):
        b0 = self.rx_b0
        most = _len(self.rx)
        if b0 >> 4 == _PUBLISH:
            ok = self.up and b0 & 6 != 6 and b0 & 14 != 8 and n > 2
        elif n == 2:
            ok = b0 in b"\x40\x50\x62\x70\xb0" if self.up else b0 == 0x20
        else:
            ok = self.up and (b0 == 0xD0 and not n or b0 == 0x90 and 2 < n <= most)
        if not ok:
            raise ProtocolError("malformed packet, or not in its place", b0, n)
        if not n:
            self.ping_state = self.phase = 0
            self.need = 2
            return _PINGRESP
        self.left = n - most
        self.need = n if n < most else most
        self.phase = _BODY
        return _NONE

    def _ack(self, k):
        rx = self.rx
        pid = rx[0] << 8 | rx[1]
        kind = self.rx_b0 >> 4
        if kind == _CONNACK:
            self.up = not rx[1]
            return kind
        if not pid:
            raise ProtocolError("packet id 0")
        self.rx_pid = pid
        if kind == _PUBREL:
            self.held.discard(pid)
            self.packet(0x70, b"", pid, b"")
            return kind
        if kind >= _SUBACK:
            self._codes(pid, k)
        k = self.on_ack(kind, pid)
        if k < 0:
            raise ProtocolError("ack of the wrong kind", kind, pid)
        if k == _SEND_PUBREL:
            self.packet(0x62, b"", pid, b"")
        return kind if k else _REPEATED

    def _codes(self, pid, n):
        # what a SUBACK or UNSUBACK is for: its slot is free in a moment
        i = self.slot(pid)
        if i >= 0 and self.slots[i][1] & 0x88 == 0x88:
            self.filters = self.slots[i][2]
            self.codes = bytes(self.rx[2:n])
            if n > 2 and (_len(self.codes) != _len(self.filters) or self.codes.strip(b"\0\1\2\x80")):
                raise ProtocolError("SUBACK: return codes")

    def _publish(self, k, phase):
        # k bytes of a PUBLISH stand in rx, its beginning when phase is _BODY
        rx = self.rx
        left = self.left
        if phase == _BODY:
            self.t_end = at = (rx[0] << 8 | rx[1]) + 2
            self.repeated = False
            if left > 0:
                self.oversize += 1
            else:
                left = 0
            if self.rx_b0 & 6:
                at += 2
            if at > k + left or self.t_end == 2:
                raise ProtocolError("PUBLISH: topic length")
        else:
            at = self.skip
        self.p_off = at
        self.p_end = k
        self.skip = 0
        if at > k:  # topic or id go on behind rx: drain to the payload
            self.t_end = 0
            self.skip = at - k
            self.rx_pid = rx[k - 1]  # the id's first byte, should it be cut in two
        elif at and self.rx_b0 & 6:
            self._identified((rx[at - 2] if at > 1 else self.rx_pid) << 8 | rx[at - 1])
        if not left:
            return _REPEATED if self.repeated else _PUBLISH if phase == _BODY else _DRAINED
        k = _len(rx)
        if left < k:
            k = left
        self.left = left - k
        self.need = k
        self.phase = _BITE
        return _NONE if self.skip or self.repeated else _PART

    def _identified(self, pid):
        self.rx_pid = pid
        if not pid:
            raise ProtocolError("packet id 0")
        if self.rx_b0 & 4:
            if pid in self.held:
                self.repeated = True
                self.packet(0x50, b"", pid, b"")
            elif _len(self.held) >= _MAX_HELD:
                raise ProtocolError("too many QoS 2 messages without PUBREL")

    def accept(self):
        """The application took the message: stage its PUBACK, or hold its id and stage the PUBREC."""
        qos = self.rx_b0 & 6
        if qos > 2:
            self.held.add(self.rx_pid)
        if qos:
            self.packet(0x50 if qos > 2 else 0x40, b"", self.rx_pid, b"")
