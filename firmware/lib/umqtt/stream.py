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
        self.left = length
        self.buf = buf
        self.error = None

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
    topic = bytes(wire.text(topic))
    if client.busy:
        raise OSError("not inside a callback")
    source = _Source(reader, length, bytearray(max(piece_b, 1)))
    end = client._end(timeout_ms)
    client._ready(len(topic) + 9, timeout_ms)
    e = client.e
    s = client.s
    pid = i = 0
    b0 = 0x31 if retain else 0x30
    if qos:
        b0 |= 2
        i = s.reserve(_W_PUBACK, b0, topic, None)
        while i < 0:
            client._turn(end)
            i = s.reserve(_W_PUBACK, b0, topic, None)
        pid = s.pids[i]
        s.staged(i)
    try:
        wire.publish(e.tx, length, b0, topic, pid)
        e.big = source.buf
        e.more = source.more
        e.n = len(e.tx)
        client._step(-1)
        while e.more or pid and s.pids[i] == pid:
            if source.error:
                raise source.error  # one that a socket's "try again" looks like
            client._step(client._left(end))
    except (OSError, ValueError, ProtocolError):
        if e.more:
            client._close()  # half a packet is out: nothing can follow it
        if source.error:
            raise source.error
        raise
    finally:
        if pid and s.pids[i] == pid:
            s.free(i)
    return pid
