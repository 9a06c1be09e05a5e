"""A connection as two generators: bytes in, bytes out. Everything that one connection must remember are their locals.

Neither waits and neither does I/O of its own: `read(buf, n)` and `write(buf, offset, n)` are passed in. They move n > 0
bytes; None: nothing now; 0 from `read`: the broker has closed. A new connection is two new generators; a dead one
cannot be resumed by mistake. Packets are asked for exactly (2 bytes, the rest of the length, the body), so nothing is
copied and a short read leaves the stream in step.

`client` is the session that they serve (umqtt.client). They use of it: `_draft`, `_take_turn`, `_on_ack`,
`_suback_codes`, `_held_packet_ids`, `_error_words`, `_link_up`, `_send_blocked`, `_wrote_ms`, `_heard_ms`,
`_pinged_ms`, `_ping_after_ms`, `_send_ping`; `_on_connack`, `_on_fault`, `_fault`, `_stream`; and, for a message,
`_next_packet`, `_send_packet`, `_view`, `cb`, `_message`, `_taken`, `_is_drop_in`, `_oversize_count`, `_news`. With
`protocol` 5 `_translate` makes of each packet one of MQTT 3.1.1, and judges it, before the reader acts on it
(umqtt.v5).
"""

from time import ticks_diff, ticks_ms

from micropython import const

from umqtt import wire
from umqtt.errors import ProtocolError, link_error
from umqtt.wire import (
    CONNACK,
    FIRST_BYTE,
    IN_USE,
    LEVEL_5,
    PACKET_ID,
    PAYLOAD,
    PUBACK,
    PUBACK_BYTE,
    PUBLISH,
    PUBREC_BYTE,
    QOS,
    QOS_2,
    RETAIN,
)

# Events that the reader yields; any other event is the first byte of the packet that it took.
NOTHING_YET = const(0)
HALF_A_PACKET = const(-1)  # the rest has not come yet
RAISED = const(-2)  # the callback has raised client._fault; the link stays up
LOST = const(-3)  # the link is down, for client._fault
MET = const(-4)  # another call is in the middle: nothing of it may be changed now

# Events that the writer yields, or LOST.
ALL_SENT = const(0)
BLOCKED = const(1)  # the network takes no more now
UNHEARD = const(2)  # all is sent, but no packet has come for long: see whether the link lives

# Flags of a message beside those of its first byte.
MORE = const(16)  # of this message follows: it is larger than the buffer
LATER = const(32)  # a later part of it
_UNWANTED = const(64)  # not to be delivered: it was before, or its callback has raised
_NOT_TAKEN = const(128)  # and so not to be acknowledged
_RAISED = const(192)  # both: its callback has raised. _NOT_TAKEN alone: its view will acknowledge it later

_HEADER_B = const(2)  # of the shortest packet
_MOST_SHIFT = const(21)  # a remaining length has 4 bytes of 7 bits
_NO_PLACE = const(-1)
_NO_HEADER = const(-1)
_UNKNOWN = const(-1)
_ACK = const(12)  # a mask that makes PUBACK of PUBREC, PUBREL, PUBCOMP
_MOST_HELD = const(1024)  # QoS 2 ids: a backlog that Mosquitto sends with max_inflight_messages 0

_FAULTS = Exception, KeyboardInterrupt  # made now: one of them is that there is no memory

_bytes = bytes
_len = len  # MicroPython finds a builtin last, in a linear table; a module's global costs a third of that


class _Slice:
    def __getitem__(self, item):
        return item


_ALL = _Slice()[0:]  # a kept slice object: emptying a bytearray with it allocates nothing
del _Slice


def _own_payload(buf, start):
    """Return the payload of a message that has a buffer of its own: as bytes, or, where the heap cannot hold it twice,
    as that bytearray."""
    try:
        return bytes(memoryview(buf)[start:])
    except MemoryError:
        buf[0:start] = b""  # in place
        return buf


def _free_place(client, held_ids):
    """The index of a free place for the id of an incoming QoS 2 message. Raises MemoryError: nothing has changed."""
    if 0 not in held_ids:
        if _len(held_ids) >= _MOST_HELD:
            # A broker that releases none (NATS 2.10 after a resume) has given up the oldest long ago.
            client._error_words = "the broker releases no QoS 2 message: the oldest id is forgotten"
            del held_ids[0]
        held_ids.append(0)
    return held_ids.index(0)


def writer(client, tx, write):
    """Sends packets: `send(packet)` writes as much of it as the network takes; `send(None)` goes on with the rest.

    tx: a bytearray; its length is its size. A payload that does not fit into it behind its head is sent from where it
    lies, and must not change before that. Yields ALL_SENT, BLOCKED, UNHEARD or LOST.
    """
    size_b = _len(tx)
    is_level_5 = client.protocol == LEVEL_5
    tx[_ALL] = b""  # keeps its memory
    append = tx.append
    extend = tx.extend
    run = tx  # run[offset:end] is being written. It never grows: TLS wants a blocked write repeated with its arguments
    offset = end = 0
    large = None  # the payload that follows tx[:large_at]
    large_at = 0
    event = ALL_SENT
    try:
        while True:
            packet = yield event
            heard = ALL_SENT
            if packet is not None:
                wire.encode_head(append, extend, packet, is_level_5)
                payload = packet[PAYLOAD]
                if large is None and _len(tx) + _len(payload) > size_b:
                    large = payload if client._stream is None else client._stream.piece
                    large_at = _len(tx)
                    payload = None  # not to be kept alive until the next packet
                else:
                    extend(payload)
            while True:
                if offset == end:  # a run has left: find the next
                    if run is tx:
                        end = _len(tx) if large is None else large_at
                        if offset == end and large is not None:
                            run = large
                            offset = 0
                            end = _len(run)
                    elif client._stream is not None and client._stream.fill():
                        run = client._stream.piece
                        offset = 0
                        end = _len(run)
                    else:
                        run = tx
                        offset = large_at
                        end = _len(tx)
                        large = client._stream = None
                    if offset == end:
                        if run is tx and large is None:
                            tx[_ALL] = b""
                            offset = end = 0
                            event = heard
                            break
                        continue
                count = write(run, offset, end - offset)
                if not count:
                    client._send_blocked = True
                    event = BLOCKED
                    break
                client._wrote_ms = now = ticks_ms()
                offset += count
                if ticks_diff(now, client._heard_ms) > client._ping_after_ms:
                    heard = UNHEARD
    except _FAULTS as fault:
        client._on_fault(fault)
    while True:  # a call that another has met may still hold this one
        yield LOST


def reader(client, rx, read, send):
    """Takes one packet at each `next`: acts on it, calls back, answers through `send`. Yields its first byte, or
    NOTHING_YET, HALF_A_PACKET, RAISED, LOST, MET.

    rx: a bytearray, the place for one packet. A message larger than it goes to a view in parts; else it has a buffer of
    its own where client._is_drop_in says so, or is drained and acknowledged, and left in client._news.
    """
    draft = client._draft
    held = False  # the client, by this
    try:
        size_b = _len(rx)
        rx_view = memoryview(rx)
        held_ids = client._held_packet_ids
        on_ack = client._on_ack
        taken = client._taken
        translate = client._translate if client.protocol == LEVEL_5 else None
        ack = [0, 0, b"", b""]
        topic = b""  # of the last message: most topics come again and again
        buf = rx
        view = rx_view
        part_b = size_b
        need_b = _HEADER_B
        remaining_b = _NO_HEADER
        first_byte = packet_type = flags = length = shift = start = topic_end = packet_id = 0
        place = _NO_PLACE
        busy = 0
        is_judged = had_properties = False
        next_packet = None  # this generator's own `send`
        while True:
            got_b = 0
            stalled = False
            while got_b < need_b:
                count = read(memoryview(buf)[got_b:] if got_b else buf, need_b - got_b)
                if count:
                    got_b += count
                    stalled = False
                elif count is not None:
                    raise link_error("ECONNRESET", "closed by the broker")
                elif remaining_b == _NO_HEADER and need_b == _HEADER_B and not got_b:  # between two packets
                    yield NOTHING_YET
                else:
                    if not stalled:
                        client._heard_ms = ticks_ms()  # the deadline of half a packet counts from here
                        stalled = True
                    yield HALF_A_PACKET

            if remaining_b == _NO_HEADER:
                # The fixed header [2.2]: 2 bytes, then the rest of the remaining length one by one.
                length_byte = rx[need_b - 1]
                if need_b == _HEADER_B:
                    first_byte = rx[0]
                    length = shift = 0
                length |= (length_byte & 127) << shift
                shift += 7
                if length_byte > 127:
                    if shift > _MOST_SHIFT:
                        raise ProtocolError("remaining length over 4 bytes")
                    need_b = 1
                    continue
                packet_type = first_byte >> 4
                flags = first_byte & 15
                legal = wire.is_legal(packet_type, flags, length, client._link_up, size_b)
                is_judged = (  # by umqtt.v5: an ack with two bytes and a PINGRESP are the same in both versions
                    translate is not None
                    and packet_type != PUBLISH
                    and (not legal or length and packet_type & _ACK != PUBACK)
                )
                if not legal and not is_judged:
                    raise ProtocolError("packet malformed or out of place")
                # The body comes in parts of at most the buffer's size: only a PUBLISH has more than one. Of MQTT 5 any
                # packet can be larger, and all but a PUBLISH are needed as a whole.
                part_b = size_b
                if length > size_b and (client._is_drop_in or is_judged):
                    try:
                        buf = bytearray(length)
                        view = memoryview(buf)
                        part_b = length
                    except MemoryError:
                        buf = rx
                remaining_b = length
                need_b = part_b if remaining_b > part_b else remaining_b
                remaining_b -= need_b
                start = _UNKNOWN  # of the payload in buf
                topic_end = packet_id = 0
                place = _NO_PLACE
                if need_b:
                    continue

            if packet_type == PUBLISH:
                if start == _UNKNOWN:
                    topic_end = start = (buf[0] << 8 | buf[1]) + 2
                    if flags & QOS:
                        start += 2
                    if translate is not None:
                        if had_properties or topic_end == 2 or start >= need_b or buf[start]:
                            had_properties = start + 1
                            start = translate(first_byte, buf, start, length)
                            had_properties = start > had_properties
                        else:
                            start += 1
                        if flags & QOS:
                            packet_id = buf[topic_end] << 8 | buf[topic_end + 1]
                    elif topic_end == 2 or start > length:
                        client._error_words = "PUBLISH without its topic"
                        if start > length:
                            raise ProtocolError(client._error_words)
                        # NATS 2.10 sends a resumed message so, too, beside the whole one, and again on each link until
                        # it is acknowledged: nothing is lost without it.
                        flags |= _UNWANTED
                if start <= need_b:
                    if not flags & LATER:
                        if topic_end != _len(topic) + 2 or not buf.startswith(topic, 2):
                            topic = bytes(view[2:topic_end]) if topic_end else b""
                            wire.check_topic(topic)
                        if flags & QOS:
                            if translate is None:
                                packet_id = (buf[start - 2] if start > 1 else packet_id) << 8 | buf[start - 1]
                            if not packet_id:
                                raise ProtocolError("packet id 0")
                            if flags & QOS_2:
                                if packet_id in held_ids:
                                    flags |= _UNWANTED
                                else:
                                    place = _free_place(client, held_ids)
                    if remaining_b:
                        flags |= MORE
                    if not flags & _UNWANTED:
                        if next_packet is None:
                            next_packet = client._next_packet
                        outcome = None
                        try:
                            client._next_packet = None  # inside a callback nothing waits
                            if place != _NO_PLACE:
                                # before the callback: its effect must not come twice, whatever interrupts
                                held_ids[place] = packet_id
                            view_part = client._view
                            if view_part is not None:
                                outcome = view_part(buf, topic_end, start, need_b, flags)
                                if outcome is client:
                                    flags |= _NOT_TAKEN
                                    if place != _NO_PLACE:
                                        held_ids[place] = 0
                            elif not flags & (MORE | LATER) and topic_end:
                                message = client._message or client.cb
                                if message is not None:
                                    outcome = message(
                                        topic,
                                        _bytes(view[start:need_b]) if buf is rx else _own_payload(buf, start),
                                        flags & RETAIN == RETAIN,
                                    )
                            elif not remaining_b:
                                client._oversize_count += 1
                                client._news = topic, length
                        except BaseException as raised:
                            flags |= _UNWANTED | _NOT_TAKEN
                            client._fault = raised
                            if place != _NO_PLACE:
                                held_ids[place] = 0
                        if taken is not None and not remaining_b and not flags & _NOT_TAKEN:
                            held = client._take_turn()
                            while not held:
                                client._next_packet = next_packet
                                client._send_blocked = True  # as below
                                yield MET
                                held = client._take_turn()
                            taken(packet_id if flags & QOS_2 else 0, outcome)
                            held = False
                            draft[IN_USE] = 0
                        if client._send_packet is send:
                            client._next_packet = next_packet
                        # The callback has ended this connection, or a Timer's has, at the jump of that `if`.
                        if client._send_packet is not send:
                            if not client._send_packet:
                                client._next_packet = client._send_packet = None
                            yield RAISED if flags & _UNWANTED else first_byte
                        if flags & _UNWANTED:
                            yield RAISED
                    flags = flags & ~MORE | LATER
                    start = topic_end = 0
                else:  # topic, packet id or properties go on in the next part
                    topic_end = 0
                    if translate is None:
                        packet_id = buf[need_b - 1]
                    start -= need_b
                if remaining_b:
                    need_b = part_b if remaining_b > part_b else remaining_b
                    remaining_b -= need_b
                    continue

            client._heard_ms = ticks_ms()
            if is_judged:
                length = translate(first_byte, buf, 0, length)
            remaining_b = _NO_HEADER
            need_b = _HEADER_B
            buf = rx
            view = rx_view  # lets go of a message's own buffer
            if flags & _RAISED == _RAISED:
                continue
            answer = 0
            if not length:
                client._pinged_ms = None
            elif packet_type != PUBLISH or flags & QOS:
                draft[IN_USE] += 1
                held = draft[IN_USE] == 1
                if not held:
                    held = client._take_turn()
                    while not held:
                        client._send_blocked = True  # so that the next poll does not wait for another packet first
                        yield MET
                        held = client._take_turn()
                if packet_type == PUBLISH:
                    if not flags & _NOT_TAKEN:
                        answer = PUBREC_BYTE if flags & QOS_2 else PUBACK_BYTE
                elif packet_type == CONNACK:
                    client._on_connack(rx[0], rx[1])
                else:
                    packet_id = rx[0] << 8 | rx[1]
                    if not packet_id:
                        raise ProtocolError("packet id 0")
                    if length > 2:
                        client._suback_codes = bytes(rx_view[2:length])
                    answer = on_ack(first_byte, packet_id)
                if answer:
                    ack[PACKET_ID] = packet_id
                    ack[FIRST_BYTE] = answer
                    if send(ack) == LOST:
                        break
                held = False
                draft[IN_USE] = 0
            if not answer:
                # A busy receiver is never idle, yet must send something now and then: look at every fourth packet.
                busy = busy + 1 & 3
                if not busy and ticks_diff(client._heard_ms, client._wrote_ms) >= client._ping_after_ms:
                    client._send_ping()
            yield first_byte
    except _FAULTS as fault:
        client._on_fault(fault)
        client._send_packet = None
    if held:
        draft[IN_USE] = 0
    yield LOST
