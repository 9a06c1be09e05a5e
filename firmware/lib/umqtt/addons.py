"""The verbs that the parts beside the client use (umqtt.publisher, stream, journaling, reconnect): nothing else of a
client's private state is theirs.

A client that uses no such part pays for none of them.
"""

from time import ticks_ms

from umqtt.engine import ALL_SENT, LOST
from umqtt.wire import PACKET_ID, PAYLOAD

# Sending


def exchange(client, first_byte, topic_bytes, payload, timeout_ms, sender):
    """Publish with an ack, and wait for it: sender.send(slot) sends the packet of the slot. topic_bytes: with its
    length before it. Returns the packet id, None inside a callback when older bytes wait. Raises OSError,
    ProtocolError."""
    return client._exchange(first_byte, topic_bytes, payload, True, timeout_ms, sender)


def send_prepared(client, prepared):
    """Send prepared.buf[start : start + packet_b], a whole packet. Returns the writer's event, None when older bytes
    wait: then nothing was sent."""
    if client._send_blocked:
        return None
    try:
        count = client._write_bytes(prepared.buf, prepared.start, prepared.packet_b)
        if count == prepared.packet_b:
            client._wrote_ms = ticks_ms()
            return ALL_SENT
        rest = prepared.start + (count or 0)
        client._send_buf.extend(memoryview(prepared.buf)[rest : prepared.start + prepared.packet_b])
    except Exception as fault:
        client._on_fault(fault)
    return client._send_packet(None) if client._send_packet else LOST


def finish_sending(client, event, timeout_ms):
    """A QoS 0 message was sent, with `event`: wait until the network has all of it. Raises OSError."""
    client._finish_sending(event, timeout_ms)


def send_buf_b(client) -> int:
    """The size of the send buffer."""
    return client._send_buf_b


def await_all_sent(client, timeout_ms) -> int:
    """Wait until everything that waits to be sent has left. Returns the rest of timeout_ms. Raises OSError."""
    return client._await_all_sent(timeout_ms) if client._send_blocked else timeout_ms


def send_stream(client, packet, stream):
    """Send a packet whose payload is `stream`: len(stream) bytes, of which stream.piece holds the first; stream.fill()
    puts the next ones there. It cannot be repeated, and while it goes out a lost link raises, with `reconnect` too.
    Returns the writer's event."""
    client._may_reconnect = False
    client._stream = stream
    event = client._send_packet(packet)
    packet[PAYLOAD] = None
    return event


def end_stream(client, slot, sent: bool) -> None:
    """The stream of `slot` is over; sent: all of it is with the network."""
    client._may_reconnect = True
    if not sent:
        client._close()  # half a packet is out: nothing can follow it
    if client.pending(slot[PACKET_ID]):
        client._free_slot(client._slot_index(slot[PACKET_ID]))


# Messages in flight


def in_flight(client) -> list:
    """The slots in use, oldest first: [packet id, first byte, topic with its length before it, payload, None where
    nobody can repeat it (a stream)]. Allocates."""
    return client._packet_slots[: client.inflight]


def give_up(client, slot, kind: int) -> None:
    """Forget the exchange of `slot`: it is not repeated any more, and a late ack is answered as for an unknown id. A
    store notes it as if an ack of type `kind` had come, in the same write as the next message."""
    packet_id = slot[PACKET_ID]
    client._free_slot(client._slot_index(packet_id))
    if client._durable_store:
        client._durable_store.acked(kind, packet_id)
    if client.on_ended is not None:
        client.on_ended(packet_id, None)


def note_error(client, words: str) -> None:
    """The last error in words, for `diag`."""
    client._error_words = words


def in_callback(client) -> bool:
    """Whether this runs inside a callback of `client`, where nothing waits."""
    return client._in_callback()
