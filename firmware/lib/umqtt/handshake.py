"""How a connection of MQTT 5 begins and ends: CONNECT, what a broker may say in its CONNACK, the will, DISCONNECT. The
client of umqtt.v5 imports it for each of them, and forgets it."""

import sys

from micropython import const

from umqtt import wire
from umqtt.errors import MQTTException
from umqtt.keepalive import NEVER_MS, QUARTER_MS
from umqtt.properties import (
    ALIAS_MAXIMUM,
    ASSIGNED_ID,
    AUTH_DATA,
    BROKEN,
    IN_CONNACK,
    IN_DISCONNECT,
    MAXIMUM_PACKET,
    MAXIMUM_QOS,
    METHOD,
    RECEIVE_MAXIMUM,
    RETAIN_AVAILABLE,
    SERVER_KEEPALIVE,
    SERVER_REFERENCE,
    SESSION_EXPIRY,
    TO_CONNECT,
    TO_DISCONNECT,
    TO_WILL,
    WILL_DELAY,
    broken,
    encode,
    found_in,
)
from umqtt.wire import LEVEL_5, QOS_2

_TOO_LARGE = const(0x95)
_USE_ANOTHER = const(0x9C)
_MOVED = const(0x9D)
_MOST_WINDOW = const(65535)
_FOR_EVER_S = const(0xFFFFFFFF)
_WITH_WILL = const(4)
_WAS_TRIED = const(2)  # of _referred_by: [server, port of the one before, whether an attempt there has begun]


def prepare(client, protocol, authentication, topic_aliases) -> None:
    """What the arguments of a new client ask for. Raises ValueError."""
    if protocol not in (LEVEL_5, "auto"):
        raise ValueError('protocol: 5, "auto"')
    client._properties = own = dict(client._properties or ())
    encode(own, TO_CONNECT)
    if SESSION_EXPIRY in own:
        client.session_expiry_s = own.pop(SESSION_EXPIRY)
    if authentication:
        from umqtt.authentication import Authentication

        client._authentication = Authentication(*authentication)
    if topic_aliases or ALIAS_MAXIMUM in own:
        from umqtt import outgoing
        from umqtt.aliases import Aliases

        outgoing.of(client).aliases = Aliases(client, topic_aliases, own.get(ALIAS_MAXIMUM, 0))
    if protocol == "auto":
        from umqtt.fallback import Fallback

        Fallback(client)


def connect_head(client) -> bytes:
    """The variable header and payload of a CONNECT [5.0: 3.1]. Raises ValueError."""
    if client._referred_by and not client._socket:
        _take_or_leave_reference(client)
    own = dict(client._properties or ())
    is_clean = client.clean_session
    if is_clean == wire.WIPE:
        is_clean = False  # of the session that a clean start ends the will is published; this one just does not last
    elif _session_expiry_s(client):
        own[SESSION_EXPIRY] = _session_expiry_s(client)
    if client._authentication:
        own[METHOD] = client._authentication.method
        if client._is_connecting:  # else this looks at the arguments only
            data = client._authentication.answer(None)
            if data is not None:
                own[AUTH_DATA] = data
    payload = encode(own, TO_CONNECT) + wire.text(client.client_id, wire.ANY_TEXT, "client_id")
    flags = 2 if is_clean else 0
    if client._last_will:
        topic, message, retain, qos = client._last_will
        flags |= 4 | qos << 3 | (32 if retain else 0)
        payload += client._will_properties + wire.text(topic) + wire.text(message, wire.ANY_BYTES, "msg")
    if client.user:
        flags |= 128
        payload += wire.text(client.user, wire.ANY_TEXT, "user")
    if client.pswd is not None:
        flags |= 64
        payload += wire.text(client.pswd, wire.ANY_BYTES, "password")
    wire.number(client.keepalive, 65535, "keepalive")
    if client._outgoing:
        for slot in client._packet_slots[: client.inflight]:
            client._outgoing.age(slot)  # now and then, for ticks wrap
    return b"\0\4MQTT\5" + bytes((flags, client.keepalive >> 8, client.keepalive & 255)) + payload


def _take_or_leave_reference(client):
    # an attempt begins: the first at the server that the broker has named, or the one after it
    if client._referred_by[_WAS_TRIED]:
        client.server, client.port, _ = client._referred_by
        client._referred_by = None
    else:
        client._referred_by[_WAS_TRIED] = True


def _session_expiry_s(client):
    if client.session_expiry_s is None and not client.clean_session:
        return _FOR_EVER_S
    return client.session_expiry_s


def take_connack(client, first_byte, buf, length) -> int:
    """Obey the broker's CONNACK, buf[:length] [5.0: 3.2], and leave in the receive buffer what it would be with MQTT
    3.1.1. Returns its length. Raises MQTTException: refused; ProtocolError."""
    if length > len(buf):
        raise broken("packet of %d B is larger than the memory" % length, _TOO_LARGE)
    if client._link_up:
        raise broken("packet malformed or out of place", BROKEN)
    if first_byte & 15 or length < 2 or buf[0] > 1:
        raise broken("packet malformed or out of place")
    code = buf[1]
    client._receive_buf[0] = buf[0]
    client._receive_buf[1] = code
    if length == 2 and code:
        return 2  # a broker of MQTT 3.1.1: its code speaks for itself
    found = found_in(buf, 2, length, IN_CONNACK)
    if length == 2:
        raise broken("CONNACK without properties")
    if code:
        raise refused(client, code, "", found)
    if buf[0] and client.clean_session and client.clean_session != wire.WIPE:
        raise broken("CONNACK: a session, of a clean start", BROKEN)
    client.connack = found
    if client._referred_by:
        client._referred_by[_WAS_TRIED] = False
    received = sys.modules.get("umqtt.received")
    if received:
        received.forget(client)
    get = found.get
    client.client_id = get(ASSIGNED_ID, client.client_id)
    client._watched_s = get(SERVER_KEEPALIVE, client.keepalive)
    client._ping_after_ms = client._watched_s * 3 * QUARTER_MS or NEVER_MS
    client._most_qos = get(MAXIMUM_QOS, QOS_2 >> 1)
    client._has_limits = (
        MAXIMUM_PACKET in found
        or not get(RETAIN_AVAILABLE, 1)
        or client._most_qos < QOS_2 >> 1
        or not client.lower_qos
        or client._outgoing is not None
        and client._outgoing.aliases is not None
    )
    if client._outgoing or client._has_limits or get(RECEIVE_MAXIMUM, _MOST_WINDOW) < len(client._packet_slots):
        from umqtt import outgoing

        outgoing.of(client).begin()
    if client._authentication and AUTH_DATA in found:
        client._authentication.answer(found[AUTH_DATA])
    return 2


def refused(client, code, about, found) -> MQTTException:
    """The exception for a reason code of a CONNACK or DISCONNECT; found: its properties. Follows a server reference
    where the client may."""
    if SERVER_REFERENCE in found:
        client.server_reference = reference = found[SERVER_REFERENCE]
        if client.follow_reference and _USE_ANOTHER <= code <= _MOVED:
            # host, host:port or [address]:port: the standard leaves the form to the broker; it may name several
            reference = reference.split(" ")[0]
            host, _, port = reference.rpartition(":")
            if not port.isdigit() or ":" in host and host[-1] != "]":
                host = reference
                port = client.port
            client._referred_by = [client.server, client.port, False]
            client.server = host.strip("[]")
            client.port = int(port)
    from umqtt import refusals

    return refusals.fault(code, about, found)


def take_disconnect(client, buf, length) -> MQTTException:
    """The exception for a DISCONNECT of the broker [5.0: 3.14]."""
    found = found_in(buf, 1, length, IN_DISCONNECT)
    return refused(client, buf[0] if length else 0, "the broker disconnects", found)


def will_properties(delay_s, properties) -> bytes:
    """[5.0: 3.1.3.2]. Raises ValueError."""
    own = dict(properties or ())
    if delay_s:
        own[WILL_DELAY] = delay_s
    return encode(own, TO_WILL)


def authenticate_again(client) -> None:
    """Raises ValueError, OSError."""
    if not client._authentication:
        raise ValueError("authentication: none was given")
    client._authentication.again(client)


def goodbye(client, with_will, session_expiry_s, properties) -> bytes:
    """The body of a DISCONNECT [5.0: 3.14]. Raises ValueError."""
    if client.protocol != LEVEL_5:
        return b""
    own = dict(properties or ())
    if session_expiry_s is not None:
        if session_expiry_s and not _session_expiry_s(client):
            raise ValueError("session_expiry_s: 0, for the connection began with 0")
        own[SESSION_EXPIRY] = session_expiry_s
    if not own and not with_will:
        return b""
    return bytes((_WITH_WILL if with_will else 0,)) + encode(own, TO_DISCONNECT)
