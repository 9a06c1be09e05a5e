"""Payloads larger than the memory: `publish` sends one from a reader of known length, a piece at a time.

To receive one in pieces you need no module: see `MQTTClient.set_view`.
"""

from micropython import const

from umqtt import addons, wire
from umqtt.errors import link_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from umqtt.client import MQTTClient
    from umqtt.hints import Reader

_MOST_B = const(268435455 - 65600)  # remaining length [2.2.3] less the longest topic
_NOT_BEGUN = const(-1)  # in place of a packet id


class _Stream:
    """The payload of one message: `len` gives its length, `piece` holds the bytes to send next."""

    def __init__(self, client, reader, length, piece_b):
        self.client = client
        self.is_awaited = hasattr(client, "__aenter__")
        self.first_byte = 0
        self.topic_bytes = b""
        self.reader = reader
        self.length = length
        self.left_b = length  # still to be read
        self.buf = self.piece = bytearray(min(piece_b, length))
        self.error = None
        self.packet_id = _NOT_BEGUN  # 0 for QoS 0
        self.sent = False  # whether all of it is with the network

    def __len__(self):
        return self.length

    def fill(self):
        """Read the next piece. Returns whether there was one. Raises ValueError, and the reader's exceptions."""
        if not self.left_b:
            self.sent = True
            return False
        if self.left_b < len(self.buf):
            self.piece = memoryview(self.buf)[: self.left_b]
        got_b = 0
        try:
            while got_b < len(self.piece):
                count = self.reader.readinto(memoryview(self.piece)[got_b:] if got_b else self.piece)
                if not count:
                    raise ValueError("the reader ended %d bytes early" % (self.left_b - got_b))
                got_b += count
        except Exception as error:
            self.error = error  # else an OSError of the reader's would be taken for the link's
            raise
        self.left_b -= got_b
        return True

    def send(self, slot):
        """For the client: send the packet of `slot`, whose payload this is. Returns the writer's event."""
        if slot[wire.PACKET_ID]:  # else it begins with a turn of its own
            self.packet_id = slot[wire.PACKET_ID]
        return addons.send_stream(self.client, slot, self)


def publish(
    client: "MQTTClient",
    topic: "str | bytes",
    reader: "Reader",
    length: int,
    retain: bool = False,
    qos: int = 0,
    timeout_ms: "int | None" = None,
    piece_b: int = 256,
) -> "int | None":
    """Publish `length` bytes that `reader.readinto(buf)` gives, in pieces of piece_b bytes, under `topic` [3.3].

    With qos 0 returns 0 once the bytes are with the network, with qos 1 the packet id once the broker has acknowledged.
    There is no QoS 2, and nothing is repeated by itself, for the reader cannot go back: after an OSError publish again.
    A reader that ends early or raises after the first piece leaves a packet that nobody can finish: the link is closed,
    and ValueError or the reader's exception is raised.

    timeout_ms: for all of it. Blocks; takes piece_b + about 300 bytes of heap. Raises ValueError, OSError (inside a
    callback too), ProtocolError, and what the reader raises.
    """
    stream, packet = begin(client, topic, reader, length, retain, qos, piece_b)
    if not packet:
        return client.publish(topic, stream.piece, retain, qos, True, timeout_ms)
    try:
        if qos:
            stream.first_byte, stream.topic_bytes = packet[1], packet[2]
            return addons.exchange(client, stream, stream, timeout_ms)
        timeout_ms = addons.await_all_sent(client, timeout_ms)
        addons.finish_sending(client, stream.send(packet), timeout_ms)
        return 0
    except Exception:
        if stream.error:
            raise stream.error
        raise
    finally:
        end(client, stream)


def begin(client, topic, reader, length, retain, qos, piece_b):
    """(the stream, with its first piece; its packet: None when it is no larger than a message that waits to be sent).
    Raises ValueError, OSError inside a callback, and what the reader raises."""
    wire.number(qos, 1, "qos")
    topic_bytes = wire.text(topic)
    if addons.in_callback(client):
        raise link_error("ENOTCONN", "not inside a callback")
    stream = _Stream(client, reader, wire.number(length, _MOST_B, "length"), max(piece_b, addons.send_buf_b(client)))
    stream.fill()  # it may raise: before a byte or a slot is taken
    if length <= addons.send_buf_b(client):
        return stream, None
    return stream, [0, wire.PUBLISH_BYTE | (wire.RETAIN if retain else 0) | qos << 1, topic_bytes, stream]


def end(client, stream) -> None:
    """It is over, whether all of it was sent or not."""
    if stream.packet_id != _NOT_BEGUN:
        addons.end_stream(client, stream.packet_id, stream.sent)
