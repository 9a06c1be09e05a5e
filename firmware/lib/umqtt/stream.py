"""Payloads larger than the memory: `publish` sends one from a reader of known length, a piece at a time.

To receive one in pieces needs no module: see `MQTTClient.set_view`.
"""

from micropython import const

from umqtt import wire
from umqtt.wire import ProtocolError

_W_PUBACK = const(4)


class _Source:
    def __init__(self, reader, length, buf):
        self.reader = reader
        self.length = self.left = length
        self.buf = buf
        self.error = None

    def __len__(self):
        return self.length

    def more(self):
        # the next piece into buf: its length, 0 at the end
        n = min(self.left, len(self.buf))
        if not n:
            return 0
        try:
            k = self.reader.readinto(self.buf if n == len(self.buf) else memoryview(self.buf)[:n])
        except Exception as e:
            self.error = e
            raise
        if not k:
            self.error = ValueError("the reader ended %d bytes early" % self.left)
            raise self.error
        self.left -= k
        return k


def publish(client, topic, reader, length, retain=False, qos=0, timeout_ms=None, piece_b=256):
    """Publish `length` bytes that `reader.readinto(buf)` gives, in pieces of at most piece_b bytes, under `topic`.

    qos: 0 returns 0 once the bytes are with the network, 1 the packet id once acknowledged. There is no QoS 2, and
    no repetition by itself, for the reader cannot go back: after an OSError publish again. A reader that ends early or
    raises leaves a packet that cannot be finished: the link is closed, and ValueError or the reader's exception raised.
    timeout_ms: for all of it. Blocks; takes piece_b + about 200 bytes of heap. Not to be called inside a callback.
    Raises ValueError, OSError, ProtocolError.
    """
    wire.number(qos, 1)
    wire.number(length, 268435455 - 65600)
    topic = wire.text(topic)
    if client.busy:
        raise OSError("not inside a callback")
    source = _Source(reader, length, bytearray(max(piece_b, 1)))
    client._ready(topic, timeout_ms)
    client.t_end = client._end(timeout_ms)
    pid = 0
    m = None
    b0 = 0x31 if retain else 0x30
    if qos:
        b0 |= 2
        while m is None:
            m = client.reserve(b0)
            if m is None:
                client._step(None)
        pid = m[0]
        m[1] |= 8
        m[2] = topic
        m[3] = None
        client.staged += 1
    try:
        size_b = client.tx_size
        client.tx_size = 0  # of any length it goes out from the buffer of its own
        client.packet([pid, b0, topic, source])
        client.tx_size = size_b
        client.big = source.buf
        client.more = source.more
        client._flush()
        while client.more or pid and m[0] == pid:
            if source.error:
                raise source.error  # one that a socket's "try again" looks like
            client._step(None)
    except Exception as e:
        if client.more:
            client._close(e)  # half a packet is out: nothing can follow it
        raise
    finally:
        if pid and m[0] == pid:
            client.free(client.slot(pid))
    return pid
