"""Lists messages that the broker does not acknowledge, gives them up, or asks for them again: for a program that wants
to lower the QoS of a message, or to let the others pass it. A friend of the client's, as `addons` is: on a board this
is loaded where there is no room for those verbs, too."""

from umqtt.errors import link_error
from umqtt.wire import FIRST_BYTE, IN_USE, LEVEL_5, PACKET_ID, PAYLOAD, PUBACK, PUBREL_BYTE, QOS, RETAIN
from umqtt.wire import SUBSCRIBE_BYTE, TOPIC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from umqtt.client import MQTTClient


def unacknowledged(client: "MQTTClient") -> "list[tuple[int, bytes, int]]":
    """Return the messages in flight, the oldest first: [(packet id, topic, QoS), ...]. The topic is b"" once the broker
    has the message (its PUBREC came). Allocates."""
    return [
        (slot[PACKET_ID], slot[TOPIC][2:], (slot[FIRST_BYTE] & QOS) >> 1)
        for slot in _in_flight(client)
        if slot[FIRST_BYTE] < SUBSCRIBE_BYTE
    ]


def take_back(client: "MQTTClient", packet_id: int) -> "tuple[bytes, bytes, bool, int] | None":
    """Give up message or subscription `packet_id`: its slot is free, and a late ack is answered and changes nothing.

    Returns (topic, payload, retain, QoS), or None when it is no message, or the broker has it already. With a store the
    same write notes this and the next message: neither is lost, and not both are there.
    """
    for slot in _in_flight(client):
        first_byte = slot[FIRST_BYTE]
        if slot[PACKET_ID] == packet_id:
            message = slot[TOPIC][2:], slot[PAYLOAD], first_byte & RETAIN == RETAIN, (first_byte & QOS) >> 1
            _give_up(client, packet_id)
            return None if first_byte >= PUBREL_BYTE else message
    return None


def send_again(client: "MQTTClient", packet_id: int, qos: int) -> "int | None":
    """Give up a message that the broker does not have, and publish it as a new one in this QoS, with its properties,
    behind the others in flight. Returns its new packet id; None when it is no message, or the broker has it already.
    Raises what publish does."""
    # umqtt.v5's, which a board without MQTT 5 has not even the names of
    named = client._properties_of(packet_id) if client.protocol == LEVEL_5 else {}  # pyright: ignore
    message = take_back(client, packet_id)
    if message:
        topic, payload, retain, _ = message
        return client.publish(topic, payload, retain, qos, False, **named)
    return None


def connect_again(client: "MQTTClient", words: str) -> None:
    """End the connection that is up, for the reason `words`, and let the `reconnect` of the client make another, on
    which what is in flight is repeated: there is no other way to ask the broker again. Does not block."""
    client._on_fault(link_error("ECONNABORTED", words))


def _in_flight(client):
    # the slots in use, the oldest first
    return client._packet_slots[: client.inflight]


def _give_up(client, packet_id):
    # a store notes it as if the ack had come, in the same write as the next message
    client._hold()
    try:
        client._free_slot(client._slot_index(packet_id))
        if client._durable_store:
            client._durable_store.acked(PUBACK, packet_id)
    finally:
        client._draft[IN_USE] = 0
    if client.on_ended is not None:
        client.on_ended(packet_id, None)
