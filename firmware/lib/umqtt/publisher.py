"""A prepared topic: each message under it leaves in one write from a buffer of its own, and allocates nothing.

The buffer holds room for the fixed header, the topic with its length, the packet id (QoS 1), the payload. The header
ends where the topic's length begins, so a payload of another length moves nothing but the header's start.
"""

from umqtt import addons, wire
from umqtt.addons import exchange, finish_sending, send_prepared
from umqtt.wire import FIRST_BYTE, IN_USE, PACKET_ID, PAYLOAD, SENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from umqtt.client import MQTTClient
    from umqtt.hints import Payload

_len = len
_bytes = bytes
_HEADER_B = 5


class _Slice:
    def __getitem__(self, item):
        return item


class Publisher:
    """Publishes under one topic without allocating. size: bytes of the longest payload that it prepares for. qos: 0 or
    1.

    Takes size + the topic + 130 bytes of heap. Raises ValueError.
    """

    def __init__(
        self, client: "MQTTClient", topic: "str | bytes", retain: bool = False, size: int = 128, qos: int = 0
    ) -> None:
        self.client = client
        self.topic = topic
        self.retain = retain
        self.size = wire.number(size, 65535, "size")
        self.qos = wire.number(qos, 1, "qos")
        self.topic_bytes = wire.text(topic)
        self.first_byte = wire.PUBLISH_BYTE | (wire.RETAIN if retain else 0) | qos << 1
        self.buf = bytearray(_HEADER_B) + self.topic_bytes + bytes(2 * qos)
        self.id_at = _len(self.buf) - 2
        self.rest_b = _len(self.buf) - _HEADER_B  # of the packet behind its header, but for the payload
        self.tail = _Slice()[_len(self.buf) :]  # kept, so that writing through it allocates nothing
        self.buf[self.tail] = bytes(size)  # the buffer keeps this room
        if hasattr(client, "__aenter__") or client.protocol == wire.LEVEL_5:
            self.size = -1  # nothing fits: umqtt.aio's own call is what can be awaited, umqtt.v5's has properties
        self.payload_b = -1
        self.start = self.packet_b = self.sent_b = 0
        self.draft = addons.draft(client)

    def publish(self, msg: "Payload", timeout_ms: "int | None" = None) -> "int | None":
        """Publish `msg` (bytes) [3.3]. Returns 0 once the bytes are with the network, with QoS 1 the packet id once
        the broker has acknowledged. Another type, a payload longer than `size`, and a message that must wait for
        older bytes are given to `client.publish`, which may allocate. Blocks; with a client of umqtt.aio it is
        awaited. Raises OSError, ValueError, ProtocolError."""
        if msg.__class__ is _bytes and _len(msg) <= self.size:
            if self.qos:
                outcome = exchange(self.client, self, msg, timeout_ms)
                if outcome:
                    return outcome
            else:
                draft = self.draft
                draft[IN_USE] = in_use = draft[IN_USE] + 1
                if in_use == 1:  # else this has met another call: the client waits, or says so
                    if _len(msg) != self.payload_b:
                        self._set_length(_len(msg))
                    self.buf[self.tail] = msg  # pyright: ignore - bytes
                    outcome = send_prepared(self.client, self)
                    draft[IN_USE] = 0
                    if outcome:
                        finish_sending(self.client, outcome, timeout_ms)
                    if outcome is not None:
                        return 0
        return self._clients_way(msg, timeout_ms)

    def _clients_way(self, msg, timeout_ms):
        return self.client.publish(self.topic, msg, self.retain, self.qos, True, timeout_ms)

    def send(self, slot):
        """Send the prepared packet with the id of `slot`. Returns the writer's event, None when nothing was sent."""
        packet_id = slot[PACKET_ID]
        if _len(slot[PAYLOAD]) != self.payload_b:
            self._set_length(_len(slot[PAYLOAD]))
        self.buf[self.tail] = slot[PAYLOAD]
        self.buf[self.id_at] = packet_id >> 8
        self.buf[self.id_at + 1] = packet_id & 255
        event = send_prepared(self.client, self)
        if event is not None:
            slot[FIRST_BYTE] |= SENT
        return event

    def _set_length(self, payload_b):
        buf = self.buf
        remaining_b = payload_b + self.rest_b
        at = 4 if remaining_b < 128 else 3 if remaining_b < 16384 else 2
        self.start = at - 1
        self.packet_b = _HEADER_B + 1 - at + remaining_b
        buf[at - 1] = self.first_byte
        while at < 4:
            buf[at] = remaining_b & 127 | 128
            remaining_b >>= 7
            at += 1
        buf[4] = remaining_b
        self.payload_b = payload_b
