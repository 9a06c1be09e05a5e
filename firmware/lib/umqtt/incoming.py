"""The packets of a broker of MQTT 5 that are no message, in their long forms: judged, and made those of MQTT 3.1.1.
`umqtt.v5` imports it for each of them: they come once a connection or a subscription, or with bad news."""

from micropython import const

from umqtt.properties import BROKEN, IN_ACK, broken, found_in, walk
from umqtt.wire import (
    FIRST_BYTE,
    PINGRESP,
    PUBACK,
    PUBACK_BYTE,
    PUBCOMP,
    PUBREC,
    PUBREL,
    PUBREL_BYTE,
    QOS_2,
    REFUSED,
    SENT,
    SUBACK,
    UNSUBACK,
)

_TOO_LARGE = const(0x95)
_AUTH = const(15)
_DISCONNECT = const(14)
_FROM_BROKER = (0, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, PINGRESP, _DISCONNECT)  # 0: no packet at all


def take(client, first_byte, buf, length) -> int:
    """Judge packet buf[:length]. Leaves in the receive buffer what it would be with MQTT 3.1.1, and returns its length,
    0: it is dealt with. Raises ProtocolError; MQTTException: the broker has said no."""
    packet_type = first_byte >> 4
    flags = first_byte & 15
    if length > len(buf):
        raise broken("packet of %d B is larger than the memory" % length, _TOO_LARGE)
    authentication = client._authentication if packet_type == _AUTH else None
    if not authentication and (packet_type not in _FROM_BROKER or not client._link_up):
        raise broken("packet malformed or out of place", BROKEN)
    if flags != (2 if packet_type == PUBREL else 0):
        raise broken("packet malformed or out of place")
    if authentication:
        authentication.go_on(client, buf, length)
        return 0
    if packet_type == PINGRESP and not length:
        return 0
    if packet_type == _DISCONNECT:
        from umqtt import handshake

        raise handshake.take_disconnect(client, buf, length)
    if length < 2 or not PINGRESP > packet_type > 0:
        raise broken("packet malformed or out of place")
    rx = client._receive_buf
    rx[0] = buf[0]
    rx[1] = buf[1]
    if packet_type == SUBACK or packet_type == UNSUBACK:
        codes = bytes(buf[walk(buf, 2, length, IN_ACK, False) : length])
        if not 0 < len(codes) < len(rx) - 1:
            raise broken("SUBACK: return codes")
        rx[2 : 2 + len(codes)] = codes
        return 2 + len(codes)
    reason = buf[2] if length > 2 else 0
    found = found_in(buf, 3, length, IN_ACK)
    if reason < REFUSED or packet_type > PUBREC:  # from there on the message is the broker's
        return 2
    packet_id = buf[0] << 8 | buf[1]
    index = client._slot_index(packet_id)
    slot = client._packet_slots[index]
    sent = slot[FIRST_BYTE]
    if packet_id and (index < 0 or not sent & SENT):
        return 0  # it came twice, or is of an earlier life
    is_message = sent < PUBACK_BYTE and (packet_type == PUBACK or sent & QOS_2)
    if not packet_id or not is_message and not (packet_type == PUBREC and sent & ~SENT == PUBREL_BYTE):
        return 2  # the session says what is wrong with it
    from umqtt import outgoing, refusals

    outgoing.of(client).give_up(slot, refusals.fault(reason, "", found))
    return 0
