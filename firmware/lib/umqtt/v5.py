"""MQTT 5: the client of `umqtt.client` with properties, reason codes and all that a broker may ask for in its CONNACK.

    c = MQTTClient("kitchen", "192.168.1.10", session_expiry_s=3600)
    c.connect()
    c.publish("kitchen/temperature", b"21.5", qos=1, expiry_s=600)

The session, the engine and the deadlines are those of MQTT 3.1.1. A packet that came is made one of MQTT 3.1.1 in its
place (`_translate`), so that nothing beneath knows of properties; one that leaves has them as the last item of its
list. Brackets as [5.0: 3.3.2] are sections of the MQTT 5 standard; docs/mqtt5.md has its clauses with their tests.

Further properties are dicts {number: value}, with the numbers of [5.0: 2.2.2.2]: an int, a str, bytes, and for 38, user
properties, a list of (name, value).
"""

from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from umqtt import client, wire
from umqtt.engine import BLOCKED, LOST
from umqtt.errors import MQTTException, ProtocolError, link_error
from umqtt.keepalive import NEVER_MS, QUARTER_MS
from umqtt.wire import (
    CONNACK,
    DISCONNECT_BYTE,
    FIRST_BYTE,
    IN_USE,
    LEVEL_5,
    PACKET_ID,
    PAYLOAD,
    PINGRESP,
    PROPERTIES,
    PUBACK,
    PUBACK_BYTE,
    PUBCOMP,
    PUBLISH_BYTE,
    PUBREC,
    PUBREL,
    QOS,
    QOS_2,
    REFUSED,
    RETAIN,
    SENT,
    SUBACK,
    SUBSCRIBE_BYTE,
    TOPIC,
    UNSUBACK,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from umqtt.hints import Payload, Properties

# Properties [5.0: 2.2.2.2].
_EXPIRY = const(2)
_CONTENT_TYPE = const(3)
_RESPONSE_TOPIC = const(8)
_CORRELATION = const(9)
_IDENTIFIER = const(11)
_SESSION_EXPIRY = const(17)
_ASSIGNED_ID = const(18)
_SERVER_KEEPALIVE = const(19)
_METHOD = const(21)
_AUTH_DATA = const(22)
_WILL_DELAY = const(24)
_SERVER_REFERENCE = const(28)
_REASON = const(31)
_RECEIVE_MAXIMUM = const(33)
_ALIAS_MAXIMUM = const(34)
_ALIAS = const(35)
_MAXIMUM_QOS = const(36)
_RETAIN_AVAILABLE = const(37)
_USER = const(38)
_MAXIMUM_PACKET = const(39)
_WILDCARDS = const(40)
_IDENTIFIERS = const(41)
_SHARED = const(42)
_LAST = const(42)

# What a property is.
_KIND = const(7)  # a mask
_BYTE = const(1)
_TWO_BYTES = const(2)
_FOUR_BYTES = const(3)
_VARINT = const(4)
_TEXT = const(5)
_BINARY = const(6)
_PAIR = const(7)

# In which packets of a broker it may stand: bits beside its kind.
_IN_PUBLISH = const(8)
_IN_CONNACK = const(16)
_IN_ACK = const(32)
_IN_DISCONNECT = const(64)
_IN_AUTH = const(128)

# In which of ours: bits of the other table.
_TO_PUBLISH = const(1)
_TO_WILL = const(2)
_TO_CONNECT = const(4)
_TO_SUBSCRIBE = const(8)
_TO_DISCONNECT = const(16)
_TO_AUTH = const(32)

# by number, from 0
_FROM_BROKER = (
    b"\0\x09\x0b\x0d\0\0\0\0\x0d\x0e\0\x0c\0\0\0\0\0\x13\x15\x12\0\x95\x96\1\3\1\x15\0\x55\0\0\xf5"
    b"\0\x12\x12\x0a\x11\x11\xff\x13\x11\x11\x11"
)
_TO_BROKER = b"\0\3\3\3\0\0\0\0\3\3\0\x08\0\0\0\0\0\x14\0\0\0\x24\x24\4\2\4\0\0\0\0\0\x30\0\4\4\0\0\0\x3f\4\0\0\0"
_NOT_ZERO = (_IDENTIFIER, _RECEIVE_MAXIMUM, _ALIAS, _MAXIMUM_PACKET)
_LIMITS = (0, 1, 65535, 0xFFFFFFFF, 0xFFFFFFF)  # by kind

_NONE = b"\0"  # no properties: their length

_MALFORMED = const(0x81)
_BROKEN = const(0x82)
_ALIAS_INVALID = const(0x94)
_NOT_AUTHORISED = const(0x87)
_TOO_LARGE = const(0x95)
_NO_RETAIN = const(0x9A)
_NO_QOS = const(0x9B)
_NO_SHARED = const(0x9E)
_NO_IDENTIFIERS = const(0xA1)
_NO_WILDCARDS = const(0xA2)
_USE_ANOTHER = const(0x9C)
_MOVED = const(0x9D)
_LEVEL_4 = const(4)
_LEVEL_REFUSED = const(0x84)
_LEVEL_REFUSED_BY_4 = const(1)  # a return code of MQTT 3.1.1

_AUTH = const(15)
_AUTH_BYTE = const(0xF0)
_DISCONNECT = const(14)
_CONTINUE = const(0x18)
_AGAIN = const(0x19)

_STAMP = const(4)  # of a slot: the ticks from which on the seconds of its expiry count
_FOR_EVER_S = const(0xFFFFFFFF)
_MOST_WINDOW = const(65535)
_MOST_OPTIONS = const(46)  # of a SUBSCRIBE
_MOST_HEADER_B = const(5)
_LEAST_START = const(4)  # of the properties of a PUBLISH of QoS 1 and 2 without a topic
_HEAD_B = const(7)  # of a packet beside its topic, properties and payload, at most
_NO_TOPIC = b"\0\0"  # in a packet with an alias
_OF_FILTERS = (SUBACK, UNSUBACK)

_len = len
_bytes = bytes


def _varint(number):
    """[5.0: 1.5.5]"""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return out


def _put(out, number, value, packet):
    """Append property `number` to bytearray `out`, for one of ours."""
    name = "property %s" % number
    if not isinstance(number, int) or not 0 < number <= _LAST or not _TO_BROKER[number] & packet:
        raise ValueError("%s: not in this packet" % name)
    kind = _FROM_BROKER[number] & _KIND
    if kind == _PAIR:
        for row in value if isinstance(value, (list, tuple)) else (value,):
            if not isinstance(row, (list, tuple)) or _len(row) != 2:
                raise ValueError("%s: a list of (name, value) needed" % name)
            out.append(number)
            out.extend(wire.text(row[0], wire.ANY_TEXT, name) + wire.text(row[1], wire.ANY_TEXT, name))
        return
    out.append(number)
    if kind == _TEXT:
        out.extend(wire.text(value, wire.TOPIC_NAME if number == _RESPONSE_TOPIC else wire.ANY_TEXT, name))
    elif kind == _BINARY:
        out.extend(wire.text(value, wire.ANY_BYTES, name))
    else:
        wire.number(value, _LIMITS[kind], name)
        if not value and number in _NOT_ZERO:
            raise ValueError(name + ": 0")
        if kind == _VARINT:
            out.extend(_varint(value))
        else:
            out.extend(value.to_bytes(1 << kind - 1, "big"))


def encode(properties: "Properties | None", packet: int, expiry_s: "int | None" = None) -> bytes:
    """Return `properties` with their length before them, those of our packet of one kind; expiry_s comes first. Raises
    ValueError."""
    out = bytearray()
    if expiry_s is not None:
        _put(out, _EXPIRY, expiry_s, packet)
    for number in properties or ():
        _put(out, number, properties[number], packet)  # pyright: ignore[reportOptionalSubscript]
    return _bytes(_varint(_len(out)) + out)


def _end_of(buf, at, kind):
    """Where the value that begins at buf[at] ends, should it be there."""
    if kind < _VARINT:
        return at + (1 << kind - 1)
    if kind == _VARINT:
        while buf[at] > 127:
            at += 1
        return at + 1
    end = at + 2 + (buf[at] << 8 | buf[at + 1])
    return end if kind != _PAIR else end + 2 + (buf[end] << 8 | buf[end + 1])


def _value(buf, at, end, kind) -> "Any":
    """The value at buf[at:end]."""
    if kind < _VARINT:
        return int.from_bytes(_bytes(buf[at:end]), "big")
    if kind == _VARINT:
        number = 0
        while at < end:
            end -= 1
            number = number << 7 | buf[end] & 127
        return number
    if kind == _PAIR:
        middle = _end_of(buf, at, _TEXT)
        return _value(buf, at, middle, _TEXT), _value(buf, middle, end, _TEXT)
    value = _bytes(buf[at + 2 : end])
    return value if kind == _BINARY else str(value, "utf-8")


class Received:
    """The properties of the message that the callback has, valid while it runs. A client has one of them.

    Attribute topic: b"", or that of a message that came with an alias alone, whose topic no view can see in its buffer.
    """

    topic: bytes

    def __init__(self) -> None:
        self.topic = b""
        self._buf = b""
        self._start = self._end = 0

    def get(self, number: int) -> "Any":
        """Return property `number`, None when the message has none: an int, str or bytes; for 38, user properties, a
        list of (name, value), for 11 a list of subscription identifiers. Allocates what it returns."""
        found = []
        buf = self._buf
        at = self._start
        while at < self._end:
            kind = _FROM_BROKER[buf[at]] & _KIND
            end = _end_of(buf, at + 1, kind)
            if buf[at] == number:
                value = _value(buf, at + 1, end, kind)
                if number != _USER and number != _IDENTIFIER:
                    return value
                found.append(value)
            at = end
        return found or None

    @property
    def expiry_s(self) -> "int | None":
        """Seconds for which the message is still of use, as the broker counted them."""
        return self.get(_EXPIRY)

    @property
    def response_topic(self) -> "str | None":
        """Where an answer is expected."""
        return self.get(_RESPONSE_TOPIC)

    @property
    def correlation(self) -> "bytes | None":
        """The bytes that the answer must carry."""
        return self.get(_CORRELATION)

    @property
    def content_type(self) -> "str | None":
        """What the payload is."""
        return self.get(_CONTENT_TYPE)


class _Sender:
    """Sends the packet of a slot when the window has room, with an alias when there is one: the slot keeps its topic,
    for an alias ends with its connection."""

    def __init__(self, owner):
        self.client = owner
        self.packet = [0, 0, b"", b"", 0, _NONE]

    def send(self, slot):
        """Returns the writer's event, None when the window is full: then `_send_slots` sends it."""
        owner = self.client
        if owner._window_is_full():
            return None
        send = owner._send_packet
        if not send:
            return LOST
        if not owner._alias_maximum:
            return send(slot)
        packet = self.packet
        for i in range(IN_USE):
            packet[i] = slot[i]
        packet[PROPERTIES] = slot[PROPERTIES]
        owner._alias(packet)
        event = send(packet)
        slot[FIRST_BYTE] |= SENT
        packet[PAYLOAD] = b""
        return event


class MQTTClient(client.MQTTClient):
    """As `umqtt.client.MQTTClient`, with its arguments, and:

    - protocol: 5, or "auto": 5, and 4 with a broker that does not know 5. Properties are not sent then.
    - session_expiry_s: seconds that the broker keeps the session without a connection, 0xFFFFFFFF for ever. None: for
      ever, with clean_session not at all.
    - properties: further ones of CONNECT, {number: value}: 33 receive maximum, 34 topic alias maximum (0 without), 39
      maximum packet size, 25, 23, 38.
    - authentication: (method, f): f(None) returns the first data, f(data) what is answered to each AUTH, and is called
      with the data of the CONNACK; what it raises ends the connection.
    - topic_aliases: let numbers stand for topics, as many as the broker takes.
    - lower_qos: whether a QoS above the broker's maximum is lowered, or refused.
    - follow_reference: whether the next connection goes to the server that the broker has named.

    Attributes: connack, the properties of the last CONNACK, {number: value}; received, the `Received` of the message
    that the callback has; server_reference, in the broker's words, "" when it has named none.

    `on_ended` has the reason code of a refused message as a byte, and the broker's reason codes for a subscription.
    """

    topic_aliases: bool
    session_expiry_s: "int | None"
    lower_qos: bool
    follow_reference: bool
    connack: "dict[int, Any]"
    received: Received
    server_reference: str

    _fault_code = _MALFORMED  # for the DISCONNECT before a ProtocolError
    _window = _MOST_WINDOW  # the broker's receive maximum
    _most_packet_b = 0  # that the broker takes, 0 for any
    _sends_retained = True
    _alias_maximum = 0  # of the broker
    _codes = b""  # of the SUBACK or UNSUBACK that came last
    server_reference = ""

    def __init__(
        self,
        *args: "Any",
        protocol: "int | str" = LEVEL_5,
        session_expiry_s: "int | None" = None,
        properties: "Properties | None" = None,
        authentication: "tuple[str, Callable[[bytes | None], bytes | None]] | None" = None,
        topic_aliases: bool = False,
        lower_qos: bool = True,
        follow_reference: bool = False,
        **named: "Any",
    ) -> None:
        if protocol not in (LEVEL_5, "auto"):
            raise ValueError('protocol: 5, "auto"')
        client.MQTTClient.__init__(self, *args, protocol=LEVEL_5, **named)
        self._is_auto = protocol == "auto"
        if session_expiry_s is None and not self.clean_session:
            session_expiry_s = _FOR_EVER_S
        self.session_expiry_s = session_expiry_s
        self._properties = dict(properties or ())
        encode(self._properties, _TO_CONNECT)
        self._authentication = authentication
        self.topic_aliases = topic_aliases
        self.lower_qos = lower_qos
        self.follow_reference = follow_reference
        self.connack = {}
        self.received = Received()
        self._refusals = []  # [packet id, exception] of messages that the broker refused, until their calls look
        self._sender = _Sender(self)
        self._aliases = {}  # topic with its length before it: properties that are its alias alone
        self._topics = {}  # alias of the broker: topic
        self._filter_properties = {}  # filter with its length before it: properties of its SUBSCRIBE
        self._will_properties = _NONE
        self._ended = []  # (packet id, codes) of messages whose end is to be told
        self._goodbye = b""  # the body of the next DISCONNECT
        if _ALIAS_MAXIMUM in self._properties:
            self._message = self._message_of_alias
        self._draft.append(_NONE)
        for slot in self._packet_slots:
            slot.append(ticks_ms())
            slot.append(_NONE)

    def set_last_will(
        self,
        topic: "str | bytes",
        msg: "Payload",
        retain: bool = False,
        qos: int = 0,
        delay_s: int = 0,
        properties: "Properties | None" = None,
    ) -> None:
        """As `umqtt.client`'s. delay_s: seconds that the broker waits before it publishes, and does not should this
        client come back meanwhile. properties: those of the message."""
        own = dict(properties or ())
        if delay_s:
            own[_WILL_DELAY] = delay_s
        own = encode(own, _TO_WILL)
        client.MQTTClient.set_last_will(self, topic, msg, retain, qos)
        self._will_properties = own

    # Connecting

    def connect(self, timeout_ms: "int | None" = None) -> bool:
        """As `umqtt.client`'s. MQTTException has the broker's reason code and its words."""
        level = self.protocol
        try:
            return client.MQTTClient.connect(self, timeout_ms)
        except (OSError, MQTTException):
            if level == self.protocol:
                raise
        return client.MQTTClient.connect(self, timeout_ms)

    def _connect_head(self):
        if self.protocol != LEVEL_5:
            return client.MQTTClient._connect_head(self)
        own = self._properties
        if self.session_expiry_s:
            own[_SESSION_EXPIRY] = self.session_expiry_s
        if self._authentication:
            own[_METHOD] = self._authentication[0]
            if self._is_connecting:  # else this looks at the arguments only
                data = self._answer(None)
                if data is not None:
                    own[_AUTH_DATA] = data
        payload = encode(own, _TO_CONNECT) + wire.text(self.client_id, wire.ANY_TEXT, "client_id")
        flags = 2 if self.clean_session else 0
        if self._last_will:
            topic, message, retain, qos = self._last_will
            flags |= 4 | qos << 3 | (32 if retain else 0)
            payload += self._will_properties + wire.text(topic) + wire.text(message, wire.ANY_BYTES, "msg")
        if self.user:
            flags |= 128
            payload += wire.text(self.user, wire.ANY_TEXT, "user")
        if self.pswd is not None:
            flags |= 64
            payload += wire.text(self.pswd, wire.ANY_BYTES, "password")
        wire.number(self.keepalive, 65535, "keepalive")
        now = ticks_ms()
        for slot in self._packet_slots:
            self._age(slot, now)  # now and then, for ticks wrap
        return b"\0\4MQTT\5" + _bytes((flags, self.keepalive >> 8, self.keepalive & 255)) + payload

    def _accepted(self, connack):
        # obey what the broker has said in its CONNACK
        self.connack = connack
        get = connack.get
        if _ASSIGNED_ID in connack:
            self.client_id = get(_ASSIGNED_ID)
        self._watched_s = get(_SERVER_KEEPALIVE, self.keepalive)
        self._ping_after_ms = self._watched_s * 3 * QUARTER_MS or NEVER_MS
        was_limited = self._window < _len(self._packet_slots)
        self._window = get(_RECEIVE_MAXIMUM, _MOST_WINDOW)
        if self._window < _len(self._packet_slots):
            self._exchange = self._exchange_within
            self._free_slot = self._free_within
        elif was_limited:
            del self._exchange
            del self._free_slot
        self._most_packet_b = get(_MAXIMUM_PACKET, 0)
        self._sends_retained = get(_RETAIN_AVAILABLE, 1)
        self._most_qos = get(_MAXIMUM_QOS, QOS_2 >> 1)
        self._alias_maximum = get(_ALIAS_MAXIMUM, 0) if self.topic_aliases else 0
        self._aliases.clear()
        self._topics.clear()
        if _AUTH_DATA in connack and self._authentication:
            self._answer(get(_AUTH_DATA))
        for slot in self._packet_slots[: self.inflight]:
            if slot[FIRST_BYTE] < PUBACK_BYTE:
                if slot[FIRST_BYTE] & QOS > self._most_qos << 1:
                    if not self._most_qos or slot[FIRST_BYTE] & SENT:
                        raise self._refused(_NO_QOS, "packet %d is in flight" % slot[PACKET_ID])
                    slot[FIRST_BYTE] ^= QOS
                if slot[FIRST_BYTE] & RETAIN and not self._sends_retained:
                    raise self._refused(_NO_RETAIN, "packet %d is in flight" % slot[PACKET_ID])
                self._check_size(slot)

    def _refused(self, code, about="", found=None):
        # the exception for reason code `code` of the broker; found: the properties that came with it
        from umqtt import refusals

        words = refusals.words(code)
        if about:
            words = about + ": " + words
        if found:
            words += "".join([": " + found[number] for number in (_REASON, _SERVER_REFERENCE) if number in found])
            if _SERVER_REFERENCE in found:
                self.server_reference = found[_SERVER_REFERENCE]
                if self.follow_reference and _USE_ANOTHER <= code <= _MOVED:
                    self._follow(self.server_reference.split(" ")[0])
        return MQTTException(code, words)

    def _follow(self, reference):
        # host, host:port or [address]:port; the standard leaves the form to the broker
        host, _, port = reference.rpartition(":")
        if not port.isdigit() or ":" in host and host[-1] != "]":
            host = reference
            port = self.port
        self.server = host.strip("[]")
        self.port = int(port)
        self._address = None

    def _broken(self, words, code=_MALFORMED):
        self._fault_code = code
        return ProtocolError(words)

    def _on_fault(self, fault):
        send = self._send_packet
        if send and self.protocol == LEVEL_5 and isinstance(fault, ProtocolError):
            try:
                send([0, DISCONNECT_BYTE, _bytes((self._fault_code,)), b""])
            except Exception:
                pass  # it is the writer's own fault
            self._fault_code = _MALFORMED
        if self._is_auto and send and self._is_connecting and not self._link_up and fault.args:
            # A broker that does not know level 5 says so, or just closes.
            if isinstance(fault, OSError) or fault.args[0] in (_LEVEL_REFUSED_BY_4, _LEVEL_REFUSED):
                self.protocol = LEVEL_5 + _LEVEL_4 - self.protocol
        client.MQTTClient._on_fault(self, fault)

    # Packets from the broker

    def _translate(self, first_byte, buf, start, length):
        """Judge a packet that came, and make one of MQTT 3.1.1 of it. A PUBLISH, of whose length bytes as many are here
        as buf has room for: returns where its payload begins, behind `start` and its properties. Any other: leaves what
        it would be in the receive buffer, and returns its length. Raises ProtocolError; MQTTException: the broker has
        said no."""
        if not start:
            return self._take_other(first_byte, buf, length)
        received = self.received
        received._end = 0
        received.topic = b""
        if start < length and start < _len(buf) and not buf[start] and start > _LEAST_START:
            return start + 1  # no properties, and a topic
        return self._take_properties(buf, start, length)

    def _take_other(self, first_byte, buf, length):
        packet_type = first_byte >> 4
        flags = first_byte & 15
        connected = self._link_up
        if length > _len(buf):
            raise self._broken("packet of %d B is larger than the memory" % length, _TOO_LARGE)
        if packet_type == _AUTH and not flags and self._authentication:
            return self._go_on_authenticating(buf, length)
        if flags != (2 if packet_type == PUBREL else 0) or connected == (packet_type == CONNACK):
            raise self._broken("packet malformed or out of place")
        if packet_type == PINGRESP and not length:
            return 0
        if packet_type == _DISCONNECT:
            found = self._found(buf, 1, length, _IN_DISCONNECT)
            raise self._refused(buf[0] if length else 0, "the broker disconnects", found)
        if length < 2 or not (packet_type == CONNACK or PUBACK <= packet_type <= PUBCOMP or packet_type in _OF_FILTERS):
            raise self._broken("packet malformed or out of place")
        rx = self._receive_buf
        rx[0] = buf[0]
        rx[1] = buf[1]
        if packet_type == CONNACK:
            code = buf[1]
            if length == 2 and code:
                return 2  # a broker of MQTT 3.1.1
            found = self._found(buf, 2, length, _IN_CONNACK)
            if length == 2:
                raise self._broken("CONNACK without properties", _BROKEN)
            if code:
                raise self._refused(code, "", found)
            if buf[0] and self.clean_session:
                raise self._broken("CONNACK: a session, of a clean start", _BROKEN)
            self._accepted(found)
            return 2
        if packet_type not in _OF_FILTERS:
            reason = buf[2] if length > 2 else 0
            found = self._found(buf, 3, length, _IN_ACK)
            if reason < REFUSED or packet_type > PUBREC:  # from there on the message is the broker's
                return 2
            self._take_refusal(buf[0] << 8 | buf[1], reason, found)
            return 0  # it is dealt with
        start = self._walk(buf, 2, length, _IN_ACK, False)
        self._codes = codes = _bytes(buf[start:length])
        if not codes:
            raise self._broken("SUBACK: return codes")
        if packet_type == UNSUBACK:
            return 2
        length = 2
        for code in codes:
            rx[length] = code if code < REFUSED else REFUSED
            length += 1
        return length

    def _take_refusal(self, packet_id, reason, found):
        # an ack has ended the exchange of a message: it is not repeated
        if not packet_id:
            raise self._broken("packet id 0", _BROKEN)
        index = self._slot_index(packet_id)
        sent = self._packet_slots[index][FIRST_BYTE] if index >= 0 else 0
        if sent & SENT and sent < SUBSCRIBE_BYTE:  # else of an earlier life
            self._refusals.append((packet_id, self._refused(reason, "", found)))
            if _len(self._refusals) > _len(self._packet_slots):
                self._refusals.pop(0)  # nobody waits for it
            self._end_exchange(packet_id, _bytes((reason,)))

    def _end_exchange(self, packet_id, codes):
        self._free_slot(self._slot_index(packet_id))
        if self._durable_store:
            self._durable_store.acked(PUBACK, packet_id)
        if self.on_ended is not None:
            self._ended.append((packet_id, codes))
            self._news = self._news or ([], None)

    def _tell_news(self):
        while self._ended:
            self.on_ended(*self._ended.pop(0))  # pyright: ignore[reportOptionalCall]
        first, codes = self._news  # pyright: ignore[reportGeneralTypeIssues]
        if isinstance(codes, _bytes) and codes and self.protocol == LEVEL_5:
            self._news = first, self._codes
        client.MQTTClient._tell_news(self)

    def _raise_refusal(self, packet_id):
        for refused_id, refusal in self._refusals:
            if refused_id == packet_id:
                self._refusals.remove((refused_id, refusal))
                raise refusal

    def _walk(self, buf, at, length, packet, is_last=True, found=None):
        # Check the properties that begin with their length at buf[at], for this kind of packet; is_last: nothing may
        # follow them. Puts their values into the dict `found`. Returns where they end
        seen = 0
        try:
            start = _end_of(buf, at, _VARINT)
            end = start + _value(buf, at, start, _VARINT)
            if start - at > 4 or end > length or is_last and end != length:
                raise IndexError
            at = start
            while at < end:
                number = buf[at]
                kind = _FROM_BROKER[number] if number <= _LAST else 0
                if not kind & packet:
                    raise self._broken("property %d does not belong here" % number)
                kind &= _KIND
                start = at + 1
                at = _end_of(buf, start, kind)
                if at > end or kind == _VARINT and at - start > 4:
                    raise IndexError
                if number != _USER:
                    if number != _IDENTIFIER:
                        bit = 1 << number % 30  # no two of a packet share one
                        if seen & bit:
                            raise self._broken("property %d twice" % number, _BROKEN)
                        seen |= bit
                    if kind < _TEXT:
                        value = _value(buf, start, at, kind)
                        if kind == _BYTE and value > 1 or not value and number in _NOT_ZERO:
                            raise self._broken("property %d: %d" % (number, value), _BROKEN)
                if kind == _TEXT or kind == _PAIR:
                    middle = _end_of(buf, start, _TEXT)
                    wire.text(buf[start + 2 : middle], wire.ANY_TEXT)
                    if kind == _PAIR:
                        wire.text(buf[middle + 2 : at], wire.ANY_TEXT)
                if number == _RESPONSE_TOPIC:
                    wire.text(buf[start + 2 : at])
                if found is not None and number != _USER:
                    found[number] = _value(buf, start, at, kind)
                elif found is not None:
                    found.setdefault(_USER, []).append(_value(buf, start, at, kind))
        except (IndexError, ValueError):
            raise self._broken("properties malformed")
        return end

    def _found(self, buf, at, length, packet):
        # the properties of a packet whose last part they are; they may be missing
        found = {}
        if length > at:
            self._walk(buf, at, length, packet, True, found)
        return found

    def _take_properties(self, buf, start, length):
        # of a PUBLISH. Returns where its payload begins
        received = self.received
        need_b = min(length, _len(buf))
        topic_end = (buf[0] << 8 | buf[1]) + 2
        after = start + 1
        while after - start < 4 and after <= need_b and buf[after - 1] > 127:
            after += 1
        end = after
        if after <= need_b:
            end += _value(buf, start, after, _VARINT)
        if end > length or after > length or after <= need_b and buf[after - 1] > 127:
            raise self._broken("properties malformed")
        if end > need_b:
            # Without an id or an alias nothing is lost with them: such a message is too large as it is.
            if after > need_b or _ALIAS_MAXIMUM in self._properties:
                raise self._broken("topic and properties over rx_size", _TOO_LARGE)
            return end
        self._walk(buf, start, end, _IN_PUBLISH)
        received._buf = buf
        received._start = after
        received._end = end
        alias = received.get(_ALIAS)
        if alias is None:
            if topic_end == 2:
                raise self._broken("PUBLISH: no topic", _BROKEN)
            return end
        if alias > self._properties.get(_ALIAS_MAXIMUM, 0):
            raise self._broken("topic alias %d, over the maximum" % alias, _ALIAS_INVALID)
        if topic_end > 2:
            topic = _bytes(buf[2:topic_end])
            self._topics[alias] = topic
        elif alias not in self._topics:
            raise self._broken("topic alias %d, never given" % alias, _BROKEN)
        else:
            received.topic = self._topics[alias]
        return end

    def _message_of_alias(self, topic, payload, retained):
        if self.cb is not None:
            return self.cb(topic or self.received.topic, payload, retained)
        return None

    def _go_on_authenticating(self, buf, length):
        found = self._found(buf, 1, length, _IN_AUTH)
        code = buf[0] if length else 0
        if (
            code not in (0, _CONTINUE)
            or not self._link_up
            and not code
            or length
            and found.get(_METHOD) != self._authentication[0]
        ):
            raise self._broken("AUTH out of place", _BROKEN)
        data = self._answer(found.get(_AUTH_DATA))
        if code:
            self._send_auth(_CONTINUE, data)
        return 0

    def _answer(self, data):
        try:
            return self._authentication[1](data)  # pyright: ignore[reportOptionalSubscript]
        except Exception as wrong:
            raise self._broken("authentication: %s" % wrong, _NOT_AUTHORISED)

    def _send_auth(self, code, data):
        own = {_METHOD: self._authentication[0]}  # pyright: ignore[reportOptionalSubscript]
        if data is not None:
            own[_AUTH_DATA] = data
        return self._send_packet([0, _AUTH_BYTE, _bytes((code,)) + encode(own, _TO_AUTH), b""])

    # The session

    def _resume(self, present):
        client.MQTTClient._resume(self, present)
        self._is_auto = False  # it is known now
        # What is no PUBLISH does not wait for the window [5.0: 3.3.4].
        slots = self._packet_slots
        at = 0
        for i in range(self.inflight):
            if slots[i][FIRST_BYTE] >= PUBACK_BYTE:
                slots.insert(at, slots.pop(i))
                at += 1

    def _take_slot(self):
        slot = client.MQTTClient._take_slot(self)
        draft = self._draft
        slot[_STAMP] = ticks_ms()
        slot[PROPERTIES] = draft[PROPERTIES]
        draft[PROPERTIES] = _NONE
        if slot[FIRST_BYTE] >= SUBSCRIBE_BYTE:
            payload = slot[PAYLOAD]
            if slot[FIRST_BYTE] == SUBSCRIBE_BYTE:
                slot[PROPERTIES] = self._filter_properties.get(payload[: _end_of(payload, 0, _TEXT)], _NONE)
            self._packet_slots.insert(self._slots_sent, self._packet_slots.pop(self.inflight - 1))
        return slot

    def _messages(self, many):
        # how many of the first so many slots have a message
        count = 0
        for i in range(many):
            if self._packet_slots[i][FIRST_BYTE] < SUBSCRIBE_BYTE:
                count += 1
        return count

    def _window_is_full(self):
        return self._messages(self._slots_sent) >= self._window

    def _age(self, slot, now):
        # Take the seconds that passed off the expiry of a message. Returns whether it is of no use any more
        properties = slot[PROPERTIES]
        at = _end_of(properties, 0, _VARINT)
        if _len(properties) <= at or properties[at] != _EXPIRY or slot[FIRST_BYTE] >= PUBACK_BYTE:
            return False
        passed_s = ticks_diff(now, slot[_STAMP]) // 1000
        left_s = _value(properties, at + 1, at + 5, _FOUR_BYTES) - passed_s
        if passed_s > 0:
            slot[_STAMP] = ticks_add(slot[_STAMP], passed_s * 1000)
            properties = bytearray(properties)
            least_s = 1 if slot[FIRST_BYTE] & SENT else 0  # some brokers take 0 for never
            properties[at + 1 : at + 5] = max(left_s, least_s).to_bytes(4, "big")
            slot[PROPERTIES] = _bytes(properties)
        return left_s <= 0 and not slot[FIRST_BYTE] & SENT

    # Sending

    def _exchange_within(self, wait, timeout_ms, sender=None):
        # as `_exchange`, for a window that is smaller than the slots, for aliases, for a message with properties
        draft = self._draft
        properties = draft[PROPERTIES]
        end = self._end(timeout_ms)
        is_message = draft[FIRST_BYTE] < PUBACK_BYTE
        while self.inflight == _len(self._packet_slots) or sender and is_message and self._window_is_full():
            draft[PROPERTIES] = _NONE  # another call may make a packet meanwhile
            if not wait or self._in_callback():
                draft[IN_USE] = 0
                raise link_error("ENOBUFS", "all slots are taken: poll first")
            self._wait_without(end)
            draft[PROPERTIES] = properties
        if is_message and not sender and not self._send_blocked:
            sender = self._sender
        try:
            return client.MQTTClient._exchange(self, wait, ticks_diff(end, ticks_ms()), sender)
        except BaseException:
            if draft[PROPERTIES] is properties:
                draft[PROPERTIES] = _NONE
            raise

    def _free_within(self, index):
        client.MQTTClient._free_slot(self, index)
        if self._slots_sent < self.inflight:
            self._send_blocked = True  # the window has room again

    def _await_turn(self, wait, timeout_ms):
        draft = self._draft
        properties = draft[PROPERTIES]
        draft[PROPERTIES] = _NONE
        left_ms = client.MQTTClient._await_turn(self, wait, timeout_ms)
        if left_ms is not None:
            draft[PROPERTIES] = properties
        return left_ms

    def _send_loose(self, first_byte, head, payload=b""):
        if first_byte == DISCONNECT_BYTE and self.protocol == LEVEL_5:
            head = self._goodbye
        return client.MQTTClient._send_loose(self, first_byte, head, payload)

    def _send_slots(self):
        if self.protocol != LEVEL_5:
            return client.MQTTClient._send_slots(self)
        try:
            send = self._send_packet
            event = send(None) if send else BLOCKED
            while self._link_up and event != LOST and self._slots_sent < self.inflight:
                slot = self._packet_slots[self._slots_sent]
                if slot[FIRST_BYTE] < PUBACK_BYTE:
                    if self._window_is_full():
                        break
                    if self._age(slot, ticks_ms()):
                        self._end_exchange(slot[PACKET_ID], None)
                        continue
                size_b = _len(slot[TOPIC]) + _len(slot[PAYLOAD]) + _len(slot[PROPERTIES]) + _HEAD_B
                if event == BLOCKED and _len(self._send_buf) + size_b > self._send_buf_b:
                    break
                event = send(slot)
                self._slots_sent += 1
            if event != BLOCKED and event != LOST:
                self._send_blocked = self._is_connecting
            return event
        finally:
            self._draft[IN_USE] = 0

    def _check_size(self, packet):
        # raise MQTTException when the broker takes no packet so large, and let the draft go
        size_b = _len(packet[TOPIC]) + _len(packet[PAYLOAD]) + _len(packet[PROPERTIES])
        if packet[FIRST_BYTE] & QOS:
            size_b += 2
        size_b += 2 if size_b < 1 << 7 else 3 if size_b < 1 << 14 else 4 if size_b < 1 << 21 else 5
        if 0 < self._most_packet_b < size_b:
            if packet is self._draft:
                packet[PAYLOAD] = b""
                packet[PROPERTIES] = _NONE
                packet[IN_USE] = 0
            raise self._refused(_TOO_LARGE, "%d B, the broker takes %d B" % (size_b, self._most_packet_b))

    def _alias(self, packet):
        # let an alias stand for the topic of a packet that is about to leave, or make one; without memory it goes as it
        # is
        topic = packet[TOPIC]
        properties = packet[PROPERTIES]
        try:
            known = alone = self._aliases.get(topic)
            if known is None:
                number = _len(self._aliases) + 1
                if number > self._alias_maximum or _len(topic) < 6:
                    return
                alone = _bytes((3, _ALIAS, number >> 8, number & 255))
            if properties == _NONE:
                properties = alone
            else:
                at = _end_of(properties, 0, _VARINT)
                properties = _bytes(_varint(_len(properties) - at + 3)) + properties[at:] + alone[1:]
            if known is None:
                self._aliases[topic] = alone
            else:
                packet[TOPIC] = _NO_TOPIC
            packet[PROPERTIES] = properties
        except MemoryError:
            pass

    def publish(
        self,
        topic: "str | bytes",
        msg: "Payload",
        retain: bool = False,
        qos: int = 0,
        wait: bool = True,
        timeout_ms: "int | None" = None,
        expiry_s: "int | None" = None,
        response_topic: "str | bytes | None" = None,
        correlation: "bytes | None" = None,
        content_type: "str | None" = None,
        properties: "Properties | None" = None,
    ) -> "int | None":
        """As `umqtt.client`'s [5.0: 3.3]. expiry_s: seconds after which nobody wants the message: they count while it
        waits here, and one whose time is over before it was sent is dropped, and told to `on_ended` with None.
        response_topic, correlation: where and with which bytes an answer is expected. content_type: what the payload
        is. properties: further ones. Allocates nothing without properties.

        A QoS above the broker's maximum is lowered, with `lower_qos` False refused. Raises in addition
        MQTTException(code, words): the broker refused the message, or has said that it takes no retained ones, or none
        so large; then nothing was published.
        """
        if msg.__class__ is not _bytes:
            msg = wire.data(msg, "msg")
            if qos or not wait or self._next_packet is None:
                msg = _bytes(msg)
        own = None
        if (
            expiry_s is not None
            or properties is not None
            or response_topic is not None
            or correlation is not None
            or content_type is not None
        ):
            own = dict(properties or ())
            for number, value in (
                (_RESPONSE_TOPIC, response_topic),
                (_CORRELATION, correlation),
                (_CONTENT_TYPE, content_type),
            ):
                if value is not None:
                    own[number] = value
            own = encode(own, _TO_PUBLISH, expiry_s)
        first_byte = PUBLISH_BYTE
        if retain:
            first_byte |= RETAIN
            if not self._sends_retained:
                raise self._refused(_NO_RETAIN)
        if qos:
            if qos > self._most_qos:
                wire.number(qos, 2, "qos")
                if not self.lower_qos:
                    raise self._refused(_NO_QOS)
                qos = self._most_qos
            elif qos != 1:
                wire.number(qos, 2, "qos")
            first_byte |= qos << 1
        known = self._last_topic
        if topic is not known[0]:
            known = self._take_topic(topic)
        draft = self._draft
        draft[IN_USE] += 1
        if draft[IN_USE] > 1:
            self._hold()
        draft[FIRST_BYTE] = first_byte
        draft[TOPIC] = known[1]
        draft[PAYLOAD] = msg
        if own is not None:
            draft[PROPERTIES] = own
        if self._most_packet_b:
            self._check_size(draft)
        if first_byte & QOS:
            if own is None and not self._alias_maximum:
                packet_id = self._exchange(wait, timeout_ms)
            else:
                packet_id = self._exchange_within(wait, timeout_ms)
            if self._refusals and wait:
                self._raise_refusal(packet_id)
            return packet_id
        if self._send_blocked:
            timeout_ms = self._await_turn(wait, timeout_ms)
            if timeout_ms is None:
                return None
        if self._alias_maximum:
            self._alias(draft)
            own = _NONE
        send = self._send_packet
        event = send(draft) if send else LOST
        draft[PAYLOAD] = b""
        if own is not None:
            draft[PROPERTIES] = _NONE
        draft[IN_USE] = 0
        if event and wait:
            self._finish_sending(event, timeout_ms)
        elif event == LOST:
            self._link_lost()
            raise self._fault
        return 0

    # Subscribing

    def subscribe(
        self,
        topic: "str | bytes | bytearray | list[tuple[str | bytes, int]]",
        qos: int = 0,
        wait: bool = True,
        timeout_ms: "int | None" = None,
        identifier: int = 0,
        properties: "Properties | None" = None,
    ) -> "bytes | None":
        """As `umqtt.client`'s [5.0: 3.8]. To each QoS may be added: 4 no messages of this client's own, 8 the retain
        flag as it was published, 16 retained messages only for a new subscription, 32 none. identifier: the number that
        messages of these filters carry, 0 for none."""
        self._prepare(topic, qos, identifier, properties)
        try:
            return client.MQTTClient.subscribe(self, topic, qos, wait, timeout_ms)
        except MQTTException as fault:
            raise self._more_exactly(fault)

    def unsubscribe(
        self, topic: "str | bytes | bytearray | list[str | bytes]", wait: bool = True, timeout_ms: "int | None" = None
    ) -> None:
        """As `umqtt.client`'s. Raises MQTTException when the broker refused."""
        client.MQTTClient.unsubscribe(self, topic, wait, timeout_ms)
        if wait and not self._in_callback():
            self._check_removed()

    def _prepare(self, topic, qos, identifier, properties):
        # look at the options of a SUBSCRIBE, and keep its properties for the filters
        own = dict(properties or ())
        if identifier:
            own[_IDENTIFIER] = identifier
        own = encode(own, _TO_SUBSCRIBE)
        rows = topic if isinstance(topic, (list, tuple)) else ((topic, qos),)
        size_b = _len(own) + 2 + _MOST_HEADER_B
        for row in rows:
            if isinstance(row, (list, tuple)) and len(row) == 2 and isinstance(row[1], int):
                options = row[1]
                if not 0 <= options <= _MOST_OPTIONS or options & 3 == 3 or options & 48 == 48:
                    raise ValueError("options: QoS, + 4 no local, + 8 retain as published, + 16 or 32 for retained")
                topic_filter = wire.text(row[0], wire.FILTER, "filter")
                if topic_filter[2:9] == b"$share/":
                    group, _, shared = topic_filter[9:].partition(b"/")
                    if not group or b"+" in group or b"#" in group or not shared:
                        raise ValueError("filter: $share/, a group, / and a filter needed")
                    if options & 4:
                        raise ValueError("no local: not of a shared subscription")
                if self.connack:
                    self._check_available(topic_filter, identifier)
                size_b += _len(topic_filter) + 1
                self._filter_properties.pop(topic_filter, None)
                if own != _NONE:
                    self._filter_properties[topic_filter] = own
        if 0 < self._most_packet_b < size_b:
            raise self._refused(_TOO_LARGE, "%d B, the broker takes %d B" % (size_b, self._most_packet_b))

    def _check_available(self, topic_filter, identifier):
        # raise MQTTException for what the broker has said that it does not do
        get = self.connack.get
        if not get(_WILDCARDS, 1) and (b"+" in topic_filter or b"#" in topic_filter):
            raise self._refused(_NO_WILDCARDS)
        if not get(_SHARED, 1) and topic_filter[2:9] == b"$share/":
            raise self._refused(_NO_SHARED)
        if not get(_IDENTIFIERS, 1) and identifier:
            raise self._refused(_NO_IDENTIFIERS)

    def _more_exactly(self, fault):
        # a refused subscription with the reason of its filter
        if fault.args[0] == REFUSED and self.protocol == LEVEL_5:
            for code in self._codes:
                if code >= REFUSED:
                    return self._refused(code, fault.args[1])
        return fault

    def _check_removed(self):
        for code in self._codes if self.protocol == LEVEL_5 else ():
            if code >= REFUSED:
                raise self._refused(code, "unsubscribe")

    # The end

    def disconnect(
        self,
        timeout_ms: "int | None" = None,
        with_will: bool = False,
        session_expiry_s: "int | None" = None,
        properties: "Properties | None" = None,
    ) -> None:
        """As `umqtt.client`'s [5.0: 3.14]. with_will: the broker publishes the will all the same. session_expiry_s:
        another one than that of the connection."""
        self._set_goodbye(with_will, session_expiry_s, properties)
        client.MQTTClient.disconnect(self, timeout_ms)

    def _set_goodbye(self, with_will, session_expiry_s, properties):
        own = dict(properties or ())
        if session_expiry_s is not None:
            if session_expiry_s and not self.session_expiry_s:
                raise ValueError("session_expiry_s: 0, for the connection began with 0")
            own[_SESSION_EXPIRY] = session_expiry_s
        own = encode(own, _TO_DISCONNECT)
        self._ended = []  # (packet id, codes) of messages whose end is to be told
        self._goodbye = b"" if own == _NONE and not with_will else _bytes((4 if with_will else 0,)) + own

    def authenticate_again(self) -> None:
        """Begin the exchange of `authentication` anew on the connection that is up [5.0: 4.12.1]: its callback is
        called with None now, and with what the broker answers from `poll`. Raises OSError."""
        if not self._link_up or not self._authentication:
            raise link_error("ENOTCONN", "not connected")
        data = self._answer(None)
        self._hold()
        try:
            self._send_auth(_AGAIN, data)
        finally:
            self._draft[IN_USE] = 0
