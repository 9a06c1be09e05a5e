"""MQTT 5: the client of `umqtt.client` with properties, reason codes and all that a broker may ask for in its CONNACK.

    c = MQTTClient("kitchen", "192.168.1.10", session_expiry_s=3600)
    c.connect()
    c.publish("kitchen/temperature", b"21.5", qos=1, expiry_s=600)

The session, the engine and the deadlines are those of MQTT 3.1.1. A packet that came is made one of MQTT 3.1.1 in its
place (`_translate`), so that nothing beneath knows of properties; one that leaves has them as the last item of its
list. Brackets as [5.0: 3.3.2] are sections of the MQTT 5 standard; docs/mqtt5.md has its clauses with their tests.

What a program does not ask for is not loaded: `authentication`, `aliases`; or for the moment only: `options`,
`refusals`. Further properties are dicts {number: value}, with the numbers of [5.0: 2.2.2.2]: an int, a str, bytes, and
for 38, user properties, a list of (name, value).
"""

from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from umqtt import client, wire
from umqtt.engine import BLOCKED, LOST
from umqtt.errors import MQTTException, ProtocolError, link_error
from umqtt.properties import (
    ALIAS,
    ALIAS_MAXIMUM,
    BROKEN,
    CONTENT_TYPE,
    CORRELATION,
    EXPIRY,
    FOUR_BYTES,
    FROM_BROKER,
    IDENTIFIER,
    IN_ACK,
    IN_PUBLISH,
    KIND,
    MALFORMED,
    NONE,
    REASON,
    RESPONSE_TOPIC,
    SERVER_REFERENCE,
    TEXT,
    TO_CONNECT,
    TO_PUBLISH,
    USER,
    VARINT,
    broken,
    encode,
    end_of,
    found_in,
    value_of,
    walk,
)
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

    from umqtt.hints import DurableStore, Payload, Properties

_TOO_LARGE = const(0x95)
_NO_RETAIN = const(0x9A)
_NO_QOS = const(0x9B)
_LEVEL_4 = const(4)
_LEVEL_REFUSED = const(0x84)
_LEVEL_REFUSED_BY_4 = const(1)  # a return code of MQTT 3.1.1

_AUTH = const(15)
_DISCONNECT = const(14)
_ACKS = (PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK)

_STAMP = const(4)  # of a slot: the ticks from which on the seconds of its expiry count
_FOR_EVER_S = const(0xFFFFFFFF)
_MOST_WINDOW = const(65535)
_LEAST_START = const(4)  # of the properties of a PUBLISH of QoS 1 and 2 without a topic
_HEAD_B = const(7)  # of a packet beside its topic, properties and payload, at most

_len = len
_bytes = bytes


class Received:
    """The properties of the message that the callback has, valid while it runs. A client has one of them.

    Attribute topic: b"", or that of a message that came with an alias alone, whose topic no view can see in its buffer.
    """

    topic: bytes

    def __init__(self, buf: bytes = b"") -> None:
        self.topic = b""
        self._buf = buf
        self._start = 0
        self._end = _len(buf)

    def get(self, number: int) -> "Any":
        """Return property `number`, None when the message has none: an int, str or bytes; for 38, user properties, a
        list of (name, value), for 11 a list of subscription identifiers. Allocates what it returns."""
        found = []
        buf = self._buf
        at = self._start
        while at < self._end:
            kind = FROM_BROKER[buf[at]] & KIND
            end = end_of(buf, at + 1, kind)
            if buf[at] == number:
                value = value_of(buf, at + 1, end, kind)
                if number != USER and number != IDENTIFIER:
                    return value
                found.append(value)
            at = end
        return found or None

    @property
    def expiry_s(self) -> "int | None":
        """Seconds for which the message is still of use, as the broker counted them."""
        return self.get(EXPIRY)

    @property
    def response_topic(self) -> "str | None":
        """Where an answer is expected."""
        return self.get(RESPONSE_TOPIC)

    @property
    def correlation(self) -> "bytes | None":
        """The bytes that the answer must carry."""
        return self.get(CORRELATION)

    @property
    def content_type(self) -> "str | None":
        """What the payload is."""
        return self.get(CONTENT_TYPE)


class _Sender:
    """Sends the packet of a slot when the window has room, with an alias when there is one: the slot keeps its topic,
    for an alias ends with its connection."""

    def __init__(self, owner):
        self.client = owner
        self.packet = [0, 0, b"", b"", 0, NONE]

    def send(self, slot):
        """Returns the writer's event, None when the window is full: then `_send_slots` sends it."""
        owner = self.client
        if owner._window_is_full():
            return None
        send = owner._send_packet
        if not send:
            return LOST
        if not owner._aliases or not owner._aliases.most:
            return send(slot)
        packet = self.packet
        for i in range(IN_USE):
            packet[i] = slot[i]
        packet[PROPERTIES] = slot[PROPERTIES]
        owner._aliases.shorten(packet)
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

    `on_ended` has the reason code of a refused message as a byte, and the broker's reason codes for a subscription. A
    program may set `on_refused` to f(topic, exception), which `poll` calls for each message that the broker refused.
    """

    session_expiry_s: "int | None"
    lower_qos: bool
    follow_reference: bool
    connack: "dict[int, Any]"
    received: Received
    server_reference: str

    _window = _MOST_WINDOW  # the broker's receive maximum, where it is smaller than the slots
    _most_packet_b = 0  # that the broker takes, 0 for any
    _sends_retained = True
    _codes = b""  # of the SUBACK or UNSUBACK that came last
    _goodbye = b""  # the body of the next DISCONNECT
    on_refused: "Callable[[bytes, MQTTException], object] | None"
    on_refused = None
    _is_auto = False  # until it is known which level the broker speaks
    _authentication: "Any"
    _aliases: "Any"
    _authentication = _aliases = None
    lower_qos = True
    follow_reference = False
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
        inflight: int = 4,
        store: "DurableStore | None" = None,
        **named: "Any",
    ) -> None:
        if protocol not in (LEVEL_5, "auto"):
            raise ValueError('protocol: 5, "auto"')
        if store:
            inflight = max(inflight, store.window)
        client.MQTTClient.__init__(self, *args, protocol=LEVEL_5, inflight=inflight, **named)
        # What is seldom otherwise stays the class's: in a table of names that is nearly full each look-up costs more.
        if protocol == "auto":
            self._is_auto = True
        if session_expiry_s is None and not self.clean_session:
            session_expiry_s = _FOR_EVER_S
        self.session_expiry_s = session_expiry_s
        self._properties = dict(properties or ())
        encode(self._properties, TO_CONNECT)
        if authentication:
            from umqtt.authentication import Authentication

            self._authentication = Authentication(*authentication)
        if topic_aliases or ALIAS_MAXIMUM in self._properties:
            from umqtt.aliases import Aliases

            self._aliases = Aliases(topic_aliases, self._properties.get(ALIAS_MAXIMUM, 0))
            self._message = self._message_of_alias
        if not lower_qos:
            self.lower_qos = False
        if follow_reference:
            self.follow_reference = True
        self.connack = {}
        self.received = Received()
        self._refusals = []  # [packet id, exception] of messages that the broker refused, until their calls look
        self._sender = _Sender(self)
        self._filter_properties = {}  # filter with its length before it: properties of its SUBSCRIBE
        self._will_properties = NONE
        self._ended = []  # (packet id, codes), (topic, exception) of messages whose end is to be told
        self._draft.append(NONE)
        for slot in self._packet_slots:
            slot.append(ticks_ms())
            slot.append(NONE)
        if store:
            from umqtt import journaling
            from umqtt.journaling_v5 import KeptSession5, client_id

            self._durable_store = store
            if journaling.keep(self, store, KeptSession5):  # behind all that a slot of MQTT 5 has
                self._filters_left = list(self._granted_qos)
            self.client_id = client_id(self, store)

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
        from umqtt import handshake

        own = handshake.will_properties(delay_s, properties)
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
        from umqtt import handshake

        return handshake.connect_head(self)

    def _set_window(self, window):
        # the broker takes so many unacknowledged messages
        was_limited = self._window < _MOST_WINDOW
        if window < _len(self._packet_slots):
            self._window = window
            self._exchange = self._exchange_within
            self._free_slot = self._free_within
        elif was_limited:
            del self._window
            del self._exchange
            del self._free_slot

    def _refused(self, code, about="", found=None):
        # the exception for reason code `code` of the broker; found: the properties that came with it
        from umqtt import refusals

        words = refusals.words(code)
        if about:
            words = about + ": " + words
        if found:
            words += "".join([": " + found[number] for number in (REASON, SERVER_REFERENCE) if number in found])
        return MQTTException(code, words)

    def _on_fault(self, fault):
        send = self._send_packet
        if send and self.protocol == LEVEL_5 and isinstance(fault, ProtocolError):
            try:
                send([0, DISCONNECT_BYTE, _bytes((getattr(fault, "reason", MALFORMED),)), b""])
            except Exception:
                pass  # it is the writer's own fault
        if self._is_auto and send and self._is_connecting and not self._link_up and fault.args:
            # A broker that does not know level 5 says so, or just closes. One that was told to end a session has closed
            # without a word of ours.
            if isinstance(fault, OSError) and fault.args[-1] or fault.args[0] in (_LEVEL_REFUSED_BY_4, _LEVEL_REFUSED):
                if self.protocol == LEVEL_5:  # no refusal of ours: the other level is tried without a long pause
                    fault = link_error("ECONNABORTED", str(fault.args[-1]))
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
            raise broken("packet of %d B is larger than the memory" % length, _TOO_LARGE)
        if packet_type == _AUTH and not flags and self._authentication:
            self._authentication.go_on(self, buf, length)
            return 0
        if flags != (2 if packet_type == PUBREL else 0) or connected == (packet_type == CONNACK):
            raise broken("packet malformed or out of place")
        if packet_type == PINGRESP and not length:
            return 0
        if packet_type == _DISCONNECT:
            from umqtt import handshake

            raise handshake.take_disconnect(self, buf, length)
        if length < 2 or packet_type not in _ACKS and packet_type != CONNACK:
            raise broken("packet malformed or out of place")
        rx = self._receive_buf
        rx[0] = buf[0]
        rx[1] = buf[1]
        if packet_type == CONNACK:
            from umqtt import handshake

            handshake.take_connack(self, buf, length)
            return 2
        if packet_type != SUBACK and packet_type != UNSUBACK:
            reason = buf[2] if length > 2 else 0
            found = found_in(buf, 3, length, IN_ACK)
            if reason < REFUSED or packet_type > PUBREC:  # from there on the message is the broker's
                return 2
            self._take_refusal(buf[0] << 8 | buf[1], reason, found)
            return 0  # it is dealt with
        start = walk(buf, 2, length, IN_ACK, False)
        self._codes = codes = _bytes(buf[start:length])
        if not codes:
            raise broken("SUBACK: return codes")
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
            raise broken("packet id 0", BROKEN)
        index = self._slot_index(packet_id)
        sent = self._packet_slots[index][FIRST_BYTE] if index >= 0 else 0
        if sent & SENT and sent < SUBSCRIBE_BYTE:  # else of an earlier life
            refusal = self._refused(reason, "", found)
            if self.on_refused is not None:
                self._ended.append((self._packet_slots[index][TOPIC][2:], refusal))
                self._news = self._news or ([], None)
            self._refusals.append((packet_id, refusal))
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
            first, second = self._ended.pop(0)
            told: "Any" = self.on_refused if isinstance(second, MQTTException) else self.on_ended
            told(first, second)
        first, codes = self._news  # pyright: ignore[reportGeneralTypeIssues]
        if isinstance(codes, _bytes) and codes and self.protocol == LEVEL_5:
            self._news = first, self._codes
        client.MQTTClient._tell_news(self)

    def _raise_refusal(self, packet_id):
        for refused_id, refusal in self._refusals:
            if refused_id == packet_id:
                self._refusals.remove((refused_id, refusal))
                raise refusal

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
            end += value_of(buf, start, after, VARINT)
        if end > length or after > length or after <= need_b and buf[after - 1] > 127:
            raise broken("properties malformed")
        if end > need_b:
            # Without an id or an alias nothing is lost with them: such a message is too large as it is.
            if after > need_b or self._aliases:
                raise broken("topic and properties over rx_size", _TOO_LARGE)
            return end
        walk(buf, start, end, IN_PUBLISH)
        received._buf = buf
        received._start = after
        received._end = end
        alias = received.get(ALIAS) if self._aliases else None
        if alias is not None:
            topic = self._aliases.resolve(alias, _bytes(buf[2:topic_end]))
            if topic_end == 2:
                received.topic = topic
        elif topic_end == 2:
            raise broken("PUBLISH: no topic", BROKEN)
        return end

    def _message_of_alias(self, topic, payload, retained):
        if self.cb is not None:
            return self.cb(topic or self.received.topic, payload, retained)
        return None

    # The session

    def _resume(self, present):
        client.MQTTClient._resume(self, present)
        if self._is_auto:
            self._is_auto = False
        # What is no PUBLISH does not wait for the window [5.0: 3.3.4].
        slots = self._packet_slots
        at = 0
        for i in range(self.inflight):
            if slots[i][FIRST_BYTE] >= PUBACK_BYTE:
                slots.insert(at, slots.pop(i))
                at += 1

    def _take_slot(self):
        draft = self._draft
        if draft[FIRST_BYTE] == SUBSCRIBE_BYTE:
            payload = draft[PAYLOAD]
            try:
                draft[PROPERTIES] = self._filter_properties.get(payload[: end_of(payload, 0, TEXT)], NONE)
            except MemoryError:
                draft[IN_USE] = 0
                raise
        slot = client.MQTTClient._take_slot(self)
        slot[_STAMP] = ticks_ms()
        slot[PROPERTIES] = draft[PROPERTIES]
        draft[PROPERTIES] = NONE
        if slot[FIRST_BYTE] >= SUBSCRIBE_BYTE:
            self._packet_slots.insert(self._slots_sent, self._packet_slots.pop(self.inflight - 1))
        return slot

    def _on_filters(self, slot, granted):
        client.MQTTClient._on_filters(self, slot, granted)
        if isinstance(slot[TOPIC], bytearray) and self.protocol == LEVEL_5:
            slot[TOPIC][:] = self._codes  # for the call that waits: its own, though others come meanwhile

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
        at = end_of(properties, 0, VARINT)
        if _len(properties) <= at or properties[at] != EXPIRY or slot[FIRST_BYTE] >= PUBACK_BYTE:
            return False
        passed_s = ticks_diff(now, slot[_STAMP]) // 1000
        left_s = value_of(properties, at + 1, at + 5, FOUR_BYTES) - passed_s
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
            draft[PROPERTIES] = NONE  # another call may make a packet meanwhile
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
                draft[PROPERTIES] = NONE
            raise

    def _free_within(self, index):
        client.MQTTClient._free_slot(self, index)
        if self._slots_sent < self.inflight:
            self._send_blocked = True  # the window has room again

    def _await_turn(self, wait, timeout_ms):
        draft = self._draft
        properties = draft[PROPERTIES]
        draft[PROPERTIES] = NONE
        left_ms = client.MQTTClient._await_turn(self, wait, timeout_ms)
        if left_ms is not None:
            draft[PROPERTIES] = properties
        return left_ms

    def _send_loose(self, first_byte, head, payload=b""):
        if first_byte == DISCONNECT_BYTE and self.protocol == LEVEL_5:
            head = self._goodbye
        return client.MQTTClient._send_loose(self, first_byte, head, payload)

    def _properties_of(self, packet_id):
        # of a message in flight, as `publish` takes them (takeback)
        for slot in self._packet_slots:
            if slot[PACKET_ID] == packet_id:
                found = {}
                walk(slot[PROPERTIES], 0, _len(slot[PROPERTIES]), IN_PUBLISH, True, found)
                return {"properties": found}
        return {}

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
                packet[PROPERTIES] = NONE
                packet[IN_USE] = 0
            raise self._refused(_TOO_LARGE, "%d B, the broker takes %d B" % (size_b, self._most_packet_b))

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
                (RESPONSE_TOPIC, response_topic),
                (CORRELATION, correlation),
                (CONTENT_TYPE, content_type),
            ):
                if value is not None:
                    own[number] = value
            own = encode(own, TO_PUBLISH, expiry_s)
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
            if own is None and not self._aliases:
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
        if self._aliases and self._aliases.most:
            self._aliases.shorten(draft)
            own = NONE
        send = self._send_packet
        event = send(draft) if send else LOST
        draft[PAYLOAD] = b""
        if own is not None:
            draft[PROPERTIES] = NONE
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
        from umqtt import options

        options.prepare(self, topic, qos, identifier, properties)
        codes = client.MQTTClient.subscribe(self, topic, qos, wait, timeout_ms)
        if codes and max(codes) >= REFUSED:
            from umqtt import options

            raise options.refusal(self, True, topic, codes)
        return codes

    def unsubscribe(
        self, topic: "str | bytes | bytearray | list[str | bytes]", wait: bool = True, timeout_ms: "int | None" = None
    ) -> None:
        """As `umqtt.client`'s. Raises MQTTException when the broker refused."""
        codes: "Any" = client.MQTTClient.unsubscribe(self, topic, wait, timeout_ms)
        if codes and max(codes) >= REFUSED:
            from umqtt import options

            raise options.refusal(self, False, topic, codes)

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
        if with_will or session_expiry_s is not None or properties:
            from umqtt import handshake

            self._goodbye = handshake.goodbye(self, with_will, session_expiry_s, properties)
        client.MQTTClient.disconnect(self, timeout_ms)
        if self._goodbye:
            self._goodbye = b""

    def authenticate_again(self) -> None:
        """Begin the exchange of `authentication` anew on the connection that is up [5.0: 4.12.1]: its callback is
        called with None now, and with what the broker answers from `poll`. Raises OSError."""
        if not self._authentication:
            raise ValueError("authentication: none was given")
        self._authentication.again(self)
