"""A prepared topic: QoS 0 messages under it leave in one write from a buffer of their own, and nothing is allocated.

Layout of the buffer: room for the header, topic length, topic, payload. The header ends where the topic's length
begins, so a payload of another length moves nothing but the header's start.
"""

from time import ticks_ms

from umqtt import wire

_len = len
_bytes = bytes


class _Slice:
    def __getitem__(self, s):
        return s


class Publisher:
    """`publish(msg)` is `client.publish(topic, msg, retain)`. size: bytes of the longest payload that is prepared for.

    Takes size + the topic + 100 bytes of heap. Raises ValueError, as `publish` does.
    """

    def __init__(self, client, topic, retain=False, size=128):
        self.c = client
        self.topic = topic
        self.retain = retain
        self.size = wire.number(size, 65535)
        self.buf = bytearray(5)
        self.buf.extend(wire.text(topic))
        self.rest_b = _len(self.buf) - 5  # of the packet behind its header, but for the payload
        self.tail = _Slice()[_len(self.buf) :]  # kept: writing through it allocates nothing
        self.buf[self.tail] = bytes(size)  # the buffer keeps this room
        self.payload_b = -1
        self.off = self.n = self.k = 0

    def publish(self, msg):
        """Publish in QoS 0; returns 0 once the bytes are with the network. msg: bytes; anything else, what is longer
        than `size`, and what must wait for older bytes goes the client's way. Raises OSError, ValueError."""
        if (
            self.c._tx_n
            or msg.__class__ is not _bytes
            or _len(msg) != self.payload_b
            and not self._fits(_len(msg))
            or self.c._staged < self.c.inflight
            or not self.c._up
        ):
            return self.c.publish(self.topic, msg, self.retain)
        self.buf[self.tail] = msg
        try:
            self.k = self.c._write(self.buf, self.off, self.n)  # a local more and the frame is on the heap
        except Exception:
            self.k = 0  # sending it again tells why
        if self.k != self.n:
            return self._rest(self.k or 0)
        self.c._t_tx = ticks_ms()
        return 0

    def _fits(self, n):
        if n > self.size:
            return False
        buf = self.buf
        left = n + self.rest_b
        off = 4 if left < 128 else 3 if left < 16384 else 2
        self.off = off - 1
        self.n = 6 - off + left
        buf[off - 1] = 0x31 if self.retain else 0x30
        while off < 4:
            buf[off] = left & 127 | 128
            left >>= 7
            off += 1
        buf[4] = left
        self.payload_b = n
        return True

    def _rest(self, k):
        # the rest stands in the engine as a large payload does, and the buffer is left alone until it is out
        c = self.c
        c._tx_ob = c._big = self.buf
        c._tx_off = self.off + k
        c._tx_n = self.n - k
        c._flush()
        if c._tx_n and not c._busy:
            c._drain(None)
        return 0
