"""A session and its connection without I/O: bytes in, bytes out, `_now` (ticks_ms) passed in, packet types as event
codes.

In: `_receive()` calls read(buf, n), which puts up to n bytes into the start of buf and returns how many, None when
there are none yet, 0 at the end. Packets are asked for exactly (2 bytes, the rest of the length, the body), so nothing
is copied and a short read leaves the stream in step. Out: `_transmit()` calls write(buf, off, n), which returns how
many of those bytes it took, or None. A run that it did not take whole never grows, for TLS must repeat a write that
would block with the same arguments. Imports neither time, socket nor anything that waits; `ticks_diff` only subtracts.

A frame of more than 11 words (locals, evaluation stack, 3 for each handler) would come from the heap at every call:
what runs for each packet has few locals, and finds its arguments in attributes.
"""
# What a subclass has is not declared, for that would cost.
# pyright: reportAttributeAccessIssue=false

from time import ticks_diff

from micropython import const

from umqtt.session import Session

_len = len  # a builtin is found last in a linear table; a module global costs a third of it

# packet types [2.2.1]: the events
_CONNACK = const(2)
_PUBLISH = const(3)
_PINGRESP = const(13)

# phase: what `_need` bytes are; 7, 14, 21: more of the remaining length, to be shifted by so much
_HEADER = const(0)
_MOST_SHIFT = const(21)
_BODY = const(22)
_BITE = const(23)

# pinging: whether a PINGREQ is to go out, or its PINGRESP to come
_WANTED = const(1)
_STAGED = const(2)
_AWAITED = const(3)

# flags, beside the first byte's: of a message that is larger than rx
_MORE = const(16)
_LATER = const(32)
_DROPPED = const(64)  # neither delivered nor acknowledged

_NEVER_MS = const(1 << 28)
_MAX_HELD = const(1024)  # QoS 2 messages that a broker may leave without PUBREL: a backlog of Mosquitto's, 4 B each


class _Slice:
    def __getitem__(self, s):
        return s


_ALL = _Slice()[0:]  # a slice object that is kept: emptying tx allocates nothing
del _Slice


class Engine(Session):
    """`inflight`: the session's. rx_size, tx_size: bytes of the fixed buffers, 16 or more; a packet that does not fit
    is streamed or drained.

    A subclass has `_read`, `_write`, `_now`; `keepalive`, in seconds, 0 for none; and
    - `_deliver(n, start, end)`, which takes a message: its topic is rx[2:n], its payload rx[start:end], `_flags` are
      its first byte's (1 retained, 2 and 4 the QoS, 8 DUP). Of one that is larger than rx it takes the parts: flags
      has 16 when more follows, 32 for a later one; n is 0 when the topic is not in rx (any more). What it raises
      leaves the message unacknowledged.
    - `_fail(words)`, which ends the connection and raises a ProtocolError.
    """

    def __init__(self, inflight, rx_size, tx_size):
        if inflight < 1 or rx_size < 16 or tx_size < 16:
            raise ValueError("inflight: 1, rx_size, tx_size: 16 at least")
        Session.__init__(self, inflight)
        self._rx = bytearray(rx_size)
        self._tx = bytearray(tx_size)
        self._tx_size = tx_size
        self._oversize = 0  # messages larger than rx so far
        self._spare = [0, 0, b"", b""]  # a slot for packets that wait for no ack
        self._now = 0
        self._start()

    def _start(self):
        """Begin a connection: nothing staged, nothing read, no CONNACK yet."""
        self._up = False
        self._pinging = self._phase = self._tx_off = self._tx_n = self._tx_cut = 0
        self._rx_b0 = self._left = self._skip = self._flags = self._rx_pid = 0
        self._t_tx = self._t_rx = self._t_ping = self._now
        self._tx[_ALL] = b""
        self._tx_ob = self._tx  # what the run of tx_n bytes at tx_off is in
        # a payload that goes out from the caller's object behind the run, a packet's head: tx[:tx_cut]; refills it
        self._big = self._more = None
        self._rbuf = self._rx
        self._need = 2

    # bytes out

    def _room(self, n):
        """Whether a packet of n bytes can be staged behind what waits."""
        return _len(self._tx) + n <= self._tx_size

    def _packet(self, slot):
        """Stage the packet of a slot: its first byte, the remaining length [2.2.3], topic (with its length before it),
        packet id unless 0, payload. A payload that does not fit behind that in tx_size is not copied: it must stay as
        it is until sent."""
        tx = self._tx
        topic = slot[2]
        body = slot[3]
        n = slot[1]
        if n > 0x80:
            topic = b""  # that of a SUBSCRIBE is a list
        k = _len(topic) + 7
        if k > self._tx_size:  # tx grows now or never: half a packet in it would be sent
            tx.extend(bytes(k))
            tx[_ALL] = b""
        tx.append(n if n < 0x40 else n & 0xF7)  # 8 is DUP in a PUBLISH, and a note of ours in the others
        n = _len(topic) + _len(body)
        if slot[0]:
            n += 2
        k = n + 2
        while n > 127:
            tx.append(n & 127 | 128)
            n >>= 7
            k += 1
        tx.append(n)
        tx.extend(topic)
        n = slot[0]
        if n:
            tx.append(n >> 8)
            tx.append(n & 255)
        if k > self._tx_size:
            self._big = body
            k -= _len(body)
        else:
            tx.extend(body)
        if not self._tx_n:
            self._tx_n = k

    def _answer(self, b0, pid):
        """Stage a packet that holds nothing but an id, or (0) not even that."""
        slot = self._spare
        slot[0] = pid
        slot[1] = b0
        slot[2] = slot[3] = b""
        self._packet(slot)

    def _stage(self):
        """Stage what is to be sent next, if there is any, and room for it: a PINGREQ [3.12] that is due, or the
        session's. Returns whether it did."""
        if not self._up:
            return False
        if self._pinging == _WANTED and not self._tx_n:
            self._pinging = _STAGED
            self._answer(0xC0, 0)
            return True
        if self._staged == self.inflight:
            return False
        slot = self._slots[self._staged]
        if self._tx_n and (slot[1] > 0x80 or not self._room(_len(slot[2]) + _len(slot[3]) + 7)):
            return False
        self._packet(slot)
        if slot[1] & 8:
            self._resends += 1
        slot[1] |= 8
        self._staged += 1
        return True

    def _transmit(self):
        """Let `_write` take what is staged and what can be, until it takes no more. Raises what it does."""
        while self._tx_n or (self._staged < self.inflight or self._pinging == _WANTED) and self._stage():
            tx = self._tx
            n = self._tx_n
            off = self._tx_off
            k = self._write(self._tx_ob, off, n)
            if not k:
                return
            self._t_tx = self._now
            n -= k
            off += k
            if not n:
                if self._tx_ob is tx:
                    n = _len(tx) - off  # staged behind the run
                    if not n:
                        tx[_ALL] = b""
                        off = 0
                        if self._pinging == _STAGED:
                            self._pinging = _AWAITED
                            self._t_ping = self._now
                    if self._big is not None:
                        self._tx_cut = off
                        off = 0
                        self._tx_ob = self._big
                        n = self._more() if self._more else _len(self._big)
                else:
                    off = 0
                    if self._more:
                        n = self._more()
                if not n and self._big is not None:
                    self._big = self._more = None
                    self._tx_ob = tx
                    off = self._tx_cut
                    self._tx_cut = 0
                    n = _len(tx) - off
            self._tx_off = off
            self._tx_n = n

    def _due(self):
        """Milliseconds until the keep-alive wants something; stages a PINGREQ when it is time; 0 or less: the link is
        dead.

        To be asked only when nothing is left to read. PINGREQ after 3/4 of the interval without a byte sent (or
        without a packet received: a busy sender would never notice a dead link), dead half an interval later: before
        1.5 intervals [3.1.2.10].
        """
        half = self.keepalive * 500
        if not half or not self._up:
            return _NEVER_MS
        quiet = ticks_diff(self._now, self._t_tx)
        if self._pinging:
            idle = ticks_diff(self._now, self._t_ping)
            # PINGREQ stands behind a large payload, or acks leave no room to read PINGRESP: progress of that is life
            if quiet < idle and (self._pinging != _AWAITED or self._tx_n and not self._room(4)):
                idle = quiet
            return half - idle
        idle = ticks_diff(self._now, self._t_rx)
        if quiet > idle:
            idle = quiet
        idle = half + (half >> 1) - idle
        if idle > 0:
            return idle
        self._pinging = _WANTED
        self._t_ping = self._now
        return half

    # bytes in

    def _receive(self):
        """Read one packet, or one part of a message that is larger than rx. Returns its type; None: nothing (more) has
        come; 0: the end. Raises what `_read`, `_fail` and `_deliver` do."""
        if self._tx_n and not self._room(4):
            return None  # for its ack
        rx = self._rx
        while 1:
            k = self._read(self._rbuf, self._need)
            if not k:
                return k
            if k < self._need:
                self._need -= k
                self._rbuf = memoryview(self._rbuf)[k:]
                continue
            self._t_rx = self._now
            if self._rbuf is not rx:
                k += _len(rx) - _len(self._rbuf)
                self._rbuf = rx
            b0 = self._phase
            if b0 > _MOST_SHIFT:
                k = self._body(k, b0)
                if k:
                    return k
                continue
            if b0:
                k = rx[0]
            else:
                self._rx_b0 = rx[0]
                self._left = 0
                k = rx[1]
            self._left |= (k & 127) << b0
            if k > 127:
                self._phase = b0 + 7
                self._need = 1
                if b0 == _MOST_SHIFT:
                    self._fail("remaining length over 4 bytes")
                continue
            k = self._left
            b0 = self._rx_b0
            if not self._up and b0 != 0x20 or not (
                b0 & 6 != 6 and b0 & 14 != 8 and k > 2
                if b0 >> 4 == _PUBLISH
                else b0 in b"\x40\x50\x62\x70\xb0" or b0 == 0x20 and not self._up
                if k == 2
                else b0 == 0xD0 and not k or b0 == 0x90 and 2 < k <= _len(rx)
            ):
                self._fail("packet malformed or out of place")
            if not k:
                self._pinging = self._phase = 0
                self._need = 2
                return _PINGRESP
            self._left = k - _len(rx)
            self._need = k if self._left < 0 else _len(rx)
            self._phase = _BODY

    def _body(self, n, end):
        # n bytes of a packet stand in rx, its beginning when `end`, the phase, is _BODY. Returns the event, 0 for a
        # piece of a topic, or of what is dropped
        self._phase = _HEADER
        self._need = 2
        rx = self._rx
        at = self._rx_b0
        if at == 0x20:
            self._up = not rx[1]
            return _CONNACK
        if at >> 4 != _PUBLISH:
            end = bytes(rx[2:n]) if n > 2 else b""
            self._rx_pid = rx[0] << 8 | rx[1]
            n = self._on_ack(at, self._rx_pid, end) if self._rx_pid else -1
            if n < 0:
                self._fail("ack of the wrong kind or codes")
            if n:
                self._answer(n, self._rx_pid)
            return at >> 4
        if end == _BODY:
            end = at = (rx[0] << 8 | rx[1]) + 2
            self._flags = self._rx_b0 & 15
            if self._flags & 6:
                at += 2
            if self._left < 0:
                self._left = 0
            elif self._left:
                self._oversize += 1
            if at > n + self._left or end == 2:
                self._fail("PUBLISH: topic length")
        else:
            end = 0
            at = self._skip
        self._skip = 0
        if at > n:  # topic or id go on behind rx: drain to the payload
            self._skip = at - n
            self._rx_pid = rx[n - 1]  # the id's first byte, should it be cut in two
        elif at and self._rx_b0 & 6:
            self._rx_pid = (rx[at - 2] if at > 1 else self._rx_pid) << 8 | rx[at - 1]
            if not self._rx_pid:
                self._fail("packet id 0")
            if self._rx_b0 & 4:
                if self._rx_pid in self._held:
                    self._flags = _DROPPED
                    self._answer(0x50, self._rx_pid)
                elif _len(self._held) >= _MAX_HELD:
                    self._fail("too many QoS 2 without PUBREL")
        if self._left:
            self._need = _len(rx) if self._left > _len(rx) else self._left
            self._left -= self._need
            self._phase = _BITE
            if self._skip or self._flags & _DROPPED:
                return 0
            self._flags |= _MORE
            self._deliver(end, at, n)
            self._flags = self._rx_b0 & 15 | _LATER
        elif not self._flags & _DROPPED:
            self._deliver(end, at, n)
            if self._rx_b0 & 4:
                self._held.add(self._rx_pid)
                self._answer(0x50, self._rx_pid)
            elif self._rx_b0 & 2:
                self._answer(0x40, self._rx_pid)
        return _PUBLISH
