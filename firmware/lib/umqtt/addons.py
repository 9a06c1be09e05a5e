"""The verbs that the parts beside the client use (umqtt.publisher, stream), and an event loop: nothing else of a
client's private state is theirs. Those that begin and end a connection stand in `connection`.

A client that uses no such part pays for none of them.
"""

from time import ticks_diff, ticks_ms

from micropython import const

from umqtt.engine import ALL_SENT, LOST, UNHEARD
from umqtt.errors import link_error
from umqtt.wire import FIRST_BYTE, IN_USE, LEVEL_5, PACKET_ID, PAYLOAD, QOS, TOPIC

_NO_EVENT = const(0)  # of a poll
# For a client's _may_reconnect: after a `disconnect` it stays False. It is looked at and set without a jump between,
# for there a Timer's callback may disconnect.
_ENDED = {False: False}

# Connecting


def is_connecting(client) -> bool:
    """Whether a connection is under way: from its beginning until subscriptions are made again."""
    return client._is_connecting


def waits_for(client):
    """(stream, mask): the stream that an event loop should look at, and whether `poll(0)` is to be called once it is
    readable (1) or writable (4). (None, 0) without a socket. Other ones after each poll."""
    return (client._socket, client._poll_mask) if client._socket else (None, _NO_EVENT)


def due_ms(client) -> int:
    """Within so many milliseconds `poll(0)` must be called, though nothing happens to the stream: for the keep-alive,
    half a packet, a deadline, the end of a pause. At most `timeout_ms`."""
    left_ms = client.timeout_ms
    if client._socket:
        left_ms = client._watch()
    elif client._auto_reconnect and client._may_reconnect:
        left_ms = client._auto_reconnect.pause_left_ms()
    return min(left_ms, client.timeout_ms)


# Sending


def exchange(client, sender, payload, timeout_ms):
    """Publish with an ack, and wait for it: sender.send(slot) sends the packet of the slot, whose first byte and topic,
    with its length before it, are sender.first_byte and sender.topic_bytes. Returns the packet id, None when older
    bytes wait inside a callback. Raises OSError, ProtocolError."""
    client._hold(sender.first_byte, sender.topic_bytes, payload)
    packet_id = client._exchange(not client._in_callback(), timeout_ms, sender)
    raise_refusal(client, packet_id)
    return packet_id


def raise_refusal(client, packet_id) -> None:
    """The exchange of this message has ended: raise the exception for one that the broker has refused."""
    if client.protocol == LEVEL_5 and client._refusals:
        client._outgoing.raise_refusal(packet_id)


def draft(client) -> list:
    """The list whose item IN_USE is set while a call makes or sends a packet: one that comes in between must not."""
    return client._draft


def send_prepared(client, prepared):
    """Send prepared.buf[start : start + packet_b], a whole packet; prepared.sent_b is set. Returns the writer's event,
    None when nothing was sent: older bytes wait, unless prepared has a QoS, with which `exchange` sees to that; or the
    link is dead, and the client's own way will tell why."""
    if client._send_blocked and not prepared.qos:
        return None
    try:
        prepared.sent_b = client._write_bytes(prepared.buf, prepared.start, prepared.packet_b)
    except Exception:
        return None
    if prepared.sent_b != prepared.packet_b:
        return send_rest(client, prepared)
    client._wrote_ms = ticks_ms()
    return UNHEARD if ticks_diff(client._wrote_ms, client._heard_ms) > client._ping_after_ms else ALL_SENT


def send_rest(client, prepared):
    """The network has taken no more than prepared.sent_b bytes of a prepared packet: the writer sends the rest. Returns
    its event."""
    sent_b = prepared.sent_b or 0
    rest = memoryview(prepared.buf)[prepared.start + sent_b : prepared.start + prepared.packet_b]
    try:
        client._send_buf.extend(rest)
    except MemoryError as fault:
        client._on_fault(fault)  # half a packet is out
        return LOST
    return client._send_packet(None)


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
    puts the next ones there. It cannot be repeated, and while it goes out a lost link raises, with `reconnect` too,
    unless stream.is_awaited: then its call looks. Sets stream.packet_id. Returns the writer's event. Raises OSError:
    this call has met another, and nothing has begun."""
    packet_id = packet[PACKET_ID]
    if not packet_id:
        if client.protocol == LEVEL_5:
            packet[TOPIC] += b"\0"  # no properties
        client._hold(packet[FIRST_BYTE], packet[TOPIC], stream)  # one with an id has its slot, and `exchange` holds it
        packet = client._draft
    stream.packet_id = packet_id  # it has begun
    if not stream.is_awaited:
        client._may_reconnect = _ENDED.get(client._may_reconnect)
    client._stream = stream
    send = client._send_packet
    event = send(packet) if send else LOST
    packet[PAYLOAD] = None
    if not packet_id:
        packet[IN_USE] = 0
    return event


def end_stream(client, packet_id, sent: bool) -> None:
    """The stream of `packet_id` (0: it has none) is over; sent: all of it is with the network."""
    client._may_reconnect = _ENDED.get(client._may_reconnect, True)
    if client.pending(packet_id):
        client._free_slot(client._slot_index(packet_id))
    if not sent and client._socket:  # half a packet is out: nothing can follow it
        try:
            fault = link_error("ECONNABORTED", "half a stream was sent")
        except MemoryError as no_memory:
            fault = no_memory
        client._on_fault(fault)


# Clients of umqtt.aio


def turn(client, end):
    """Awaited: until something has happened, or `end`. Raises OSError."""
    return client._turn(end)


def can_begin(client, qos) -> bool:
    """Whether a message of this QoS can be sent now, with nothing in front of it."""
    return not client._send_blocked and (not qos or client.free_slots() > 0)


def begin_stream(client, packet, stream) -> int:
    """Send a packet whose payload is `stream`. Returns its packet id, 0 for QoS 0."""
    if packet[FIRST_BYTE] & QOS:
        client._hold(packet[FIRST_BYTE], packet[TOPIC], packet[PAYLOAD])
        return client._exchange(False, 0, stream)
    stream.send(packet)
    return 0


def raise_fault(client):
    """Raise the exception that the last connection ended with."""
    raise client._fault


def in_callback(client) -> bool:
    """Whether this runs inside a callback of `client`, where nothing waits."""
    return client._in_callback()
