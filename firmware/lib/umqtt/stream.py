"""Payloads larger than the memory: `publish` sends one from a reader of known length, a piece at a time.

To receive one in pieces needs no module: see `MQTTClient.set_view`.
"""

from umqtt import wire


def publish(client, topic, reader, length, retain=False, qos=0, timeout_ms=None, piece_b=256):
    """Publish `length` bytes that `reader.readinto(buf)` gives, in pieces of at most piece_b bytes, under `topic`.

    qos: 0 returns 0 once the bytes are with the network, 1 the packet id once acknowledged. There is no QoS 2, and
    no repetition by itself, for the reader cannot go back: after an OSError publish again. A reader that ends early or
    raises leaves a packet that cannot be finished: the link is closed, and ValueError or the reader's exception raised.
    timeout_ms: for all of it. Blocks; takes piece_b + about 200 bytes of heap. Not to be called inside a callback.
    Raises ValueError, OSError, ProtocolError.
    """
    wire.number(qos, 1)
    left = wire.number(length, 268435455 - 65600)
    topic = wire.text(topic)
    if client._busy:
        raise OSError("not inside a callback")
    buf = bytearray(max(piece_b, 1))

    error = None

    def more():
        # the next piece into buf: its length, 0 at the end
        nonlocal left, error
        n = min(left, len(buf))
        if n:
            try:
                n = reader.readinto(buf if n == len(buf) else memoryview(buf)[:n])
                if not n:
                    raise ValueError("the reader ended %d bytes early" % left)
            except Exception as e:
                error = e  # an OSError of the reader's would be taken for the link's
                raise
            left -= n
        return n

    client._ready(topic, timeout_ms)
    m = [0, 0, topic, None]
    pid = 0
    redial = client._redial
    size_b = client._tx_size
    try:
        if qos:
            m = client._reserve(0)
            while m is None:
                client._step(None)
                # else an ack, or what a callback published, goes first
                if client._staged == client.inflight and client._up and not client._tx_n:
                    m = client._reserve(0)
            client._staged += 1
            pid = m[0]
        client._redial = None  # on another link half a message cannot be gone on with
        client._tx_size = 0  # of any length it goes out from the buffer of its own
        m[1] = qos << 1 | (0x31 if retain else 0x30)
        m[2] = topic
        m[3] = range(length)  # the engine asks for nothing but its length
        client._more = more
        client._packet(m)
        client._tx_size = size_b
        m[1] |= 8
        m[3] = None
        client._big = buf
        client._flush()
        while client._more or pid and m[0] == pid:
            client._step(None)
    except Exception:
        if error:
            raise error
        raise
    finally:
        client._redial = redial
        client._tx_size = size_b
        if client._more:
            client._close()  # half a packet is out: nothing can follow it
        pid = pid or m and m[0]  # Ctrl-C may have come before it was noted
        if pid and m[0] == pid:
            client._free(client._slot(pid))
    return pid
