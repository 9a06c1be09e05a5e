"""Lists messages that the broker does not acknowledge, and gives them up: for a program that wants to lower the QoS of
a message, or to let the others pass it."""

from umqtt import addons
from umqtt.wire import FIRST_BYTE, PACKET_ID, PAYLOAD, PUBACK, PUBREL_BYTE, QOS, RETAIN, SUBSCRIBE_BYTE, TOPIC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from umqtt.client import MQTTClient


def unacknowledged(client: "MQTTClient") -> "list[tuple[int, bytes, int]]":
    """Return the messages in flight, the oldest first: [(packet id, topic, QoS), ...]. The topic is b"" once the broker
    has the message (its PUBREC came). Allocates."""
    return [
        (slot[PACKET_ID], slot[TOPIC][2:], (slot[FIRST_BYTE] & QOS) >> 1)
        for slot in addons.in_flight(client)
        if slot[FIRST_BYTE] < SUBSCRIBE_BYTE
    ]


def take_back(client: "MQTTClient", packet_id: int) -> "tuple[bytes, bytes, bool, int] | None":
    """Give up message or subscription `packet_id`: its slot is free, and a late ack is answered and changes nothing.

    Returns (topic, payload, retain, QoS), or None when it is no message, or the broker has it already. With a store the
    same write notes this and the next message: neither is lost, and not both are there.
    """
    for slot in addons.in_flight(client):
        first_byte = slot[FIRST_BYTE]
        if slot[PACKET_ID] == packet_id:
            message = slot[TOPIC][2:], slot[PAYLOAD], first_byte & RETAIN == RETAIN, (first_byte & QOS) >> 1
            addons.give_up(client, slot, PUBACK)
            return None if first_byte >= PUBREL_BYTE else message
    return None
