"""MQTT 5: the client of `umqtt.client` with properties, reason codes and all that a broker may ask for in its CONNACK.

    c = MQTTClient("kitchen", "192.168.1.10", session_expiry_s=3600)
    c.connect()
    c.publish("kitchen/temperature", b"21.5", qos=1, expiry_s=600)

The session, the engine and the deadlines are those of MQTT 3.1.1. A packet that came is made one of MQTT 3.1.1 in its
place (`_translate`), so that nothing beneath knows of properties; one that leaves has them as the last item of its
list, one of QoS 0 behind its topic. Brackets as [5.0: 3.3.2] are sections of the MQTT 5 standard; docs/mqtt5.md has its
clauses with their tests.

What is not asked for is not loaded. `received` and `outgoing` come with the first message that has properties (the
latter with a broker that has limits, too), `authentication`, `aliases` and `fallback` for a client that is given them;
`handshake`, `incoming` and `options` for one call, and are forgotten then, unless a program has imported them before
this. Further properties are dicts {number: value}, with the numbers of [5.0: 2.2.2.2]: an int, a str, bytes, and for
38, user properties, a list of (name, value).
"""

import sys

from micropython import const

from umqtt import client, wire
from umqtt.engine import LOST
from umqtt.errors import ProtocolError
from umqtt.wire import (
    CONNACK,
    DISCONNECT_BYTE,
    FIRST_BYTE,
    IN_USE,
    LEVEL_5,
    PAYLOAD,
    PUBLISH_BYTE,
    REFUSED,
    RETAIN,
    TOPIC,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from umqtt.errors import MQTTException
    from umqtt.hints import DurableStore, Payload, Properties
    from umqtt.received import Received

_NONE = b"\0"  # no properties: their length
_ANY: "Properties" = {}  # in place of no properties: a message that may meet a limit of the broker
_NO_TOPIC = [], b"", b""  # a topic that no program can pass
_ACKS = b"\x40\x50\x62\x70"  # first bytes of PUBACK, PUBREC, PUBREL, PUBCOMP
_MALFORMED = const(0x81)
_PROTOCOL_ERROR = const(0x82)
_WITH_REASON_B = const(3)  # length of an ack that has no properties

_len = len
_bytes = bytes

# Those for one call, without those that a program has loaded because it has the room. As a set it is made of names.
_passing = {"handshake", "incoming", "options", "properties"}
for _name in list(_passing):
    if "umqtt." + _name in sys.modules:
        _passing.remove(_name)


def _forget():
    # the modules that were loaded for one call: the heap has them back when it returns
    package = sys.modules["umqtt"]
    for name in _passing:
        is_needed = name == "properties" and (hasattr(package, "received") or hasattr(package, "outgoing"))
        if not is_needed and "umqtt." + name in sys.modules:
            del sys.modules["umqtt." + name]
            delattr(sys.modules["umqtt"], name)


def _granted(subscribes, filters, codes):
    # what the broker has answered for each filter, None without `wait`
    if codes and max(codes) >= REFUSED:
        from umqtt import options

        _forget()
        raise options.refusal(subscribes, filters, codes)
    return codes


class MQTTClient(client.MQTTClient):
    """As `umqtt.client.MQTTClient`, with its arguments, and:

    - protocol: 5, or "auto": 5, and 4 with a broker that does not know 5, within one `connect`. Properties are not sent
      then.
    - session_expiry_s: seconds that the broker keeps the session without a connection, 0xFFFFFFFF for ever. None: for
      ever, with clean_session not at all.
    - properties: further ones of CONNECT, {number: value}: 33 receive maximum, 34 topic alias maximum (0 without), 39
      maximum packet size, 25, 23, 38.
    - authentication: (method, f): f(None) returns the first data, f(data) what is answered to each AUTH, and is called
      with the data of the CONNACK; what it raises ends the connection.
    - topic_aliases: let numbers stand for topics, as many as the broker takes, 32 at most.
    - lower_qos: whether a QoS above the broker's maximum is lowered, or refused.
    - follow_reference: whether the next connection goes to the server that the broker has named; one that fails there
      is followed by one to the server before.

    Attributes: connack, the properties of the last CONNACK, {number: value}; received, the `Received` of the message
    that the callback has; server_reference, in the broker's words, "" when it has named none.

    `connect` and `poll` raise MQTTException with the broker's reason code and its words. `on_ended` has the reason code
    of a refused message as a byte, and the broker's reason codes for a subscription. A program may set `on_refused` to
    f(topic, exception), which `poll` calls for each message that the broker refused, and for each subscription that is
    not made again, for it is larger than this broker takes.
    """

    session_expiry_s: "int | None"
    lower_qos: bool
    follow_reference: bool
    connack: "dict[int, Any]"
    received: "Received"
    server_reference: str

    on_refused: "Callable[[bytes, MQTTException], object] | None"
    on_refused = None

    _has_limits: bool  # that a message without properties may meet, too
    _will_properties: bytes  # of `_last_will`
    _goodbye = b""  # the body of the next DISCONNECT
    _outgoing: "Any"
    _authentication: "Any"
    _referred_by: "Any"
    _outgoing = _authentication = _referred_by = None
    _refusals: "Any" = ()  # (packet id, exception) of messages that the broker refused, until their calls look
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
        store: "DurableStore | None" = None,
        **named: "Any",
    ) -> None:
        if store:
            from umqtt import outgoing

            outgoing.of(self)  # beneath the store, which keeps properties, too
        client.MQTTClient.__init__(self, *args, protocol=LEVEL_5, store=store, **named)
        if store:
            from umqtt import journaling_v5

            journaling_v5.keep(self, store)
        for slot in self._packet_slots[self.inflight :]:
            slot.append(_NONE)
        self._last_topic = _NO_TOPIC
        self.session_expiry_s = session_expiry_s
        self.connack = {}
        self._properties = properties
        # Those of every message, bound: MicroPython finds them sooner than in the second class.
        self.publish = self.publish
        self.poll = self.poll
        self._step = self._step
        self._exchange = self._exchange
        self._take_slot = self._take_slot
        self._free_slot = self._free_slot
        self.lower_qos = lower_qos
        self.follow_reference = follow_reference
        self._has_limits = not lower_qos
        if properties or authentication or topic_aliases or protocol != LEVEL_5:
            from umqtt import handshake

            _forget()
            handshake.prepare(self, protocol, authentication, topic_aliases)

    def __getattr__(self, name):
        if name != "received":
            raise AttributeError(name)
        from umqtt.received import Received

        self.received = received = Received()
        return received

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

        _forget()
        own = handshake.will_properties(delay_s, properties)
        client.MQTTClient.set_last_will(self, topic, msg, retain, qos)
        self._will_properties = own

    # Connecting

    def _connect_head(self):
        self._last_topic = _NO_TOPIC  # the other level has another form of it
        if self.protocol != LEVEL_5:
            return client.MQTTClient._connect_head(self)
        from umqtt import handshake  # kept until CONNACK or the end: the heap of one loading is there for the next

        return handshake.connect_head(self)

    def _on_fault(self, fault):
        send = self._send_packet
        # [5.0: 4.13.1] Those of the engine have none: out of place is a message before CONNACK, and an acknowledgement
        # that does not fit, on which the reader acts while it holds the client.
        is_misplaced = self._draft[IN_USE] or not self._link_up
        reason = getattr(fault, "reason", _PROTOCOL_ERROR if is_misplaced else _MALFORMED)
        try:
            _forget()
            if send and reason and self.protocol == LEVEL_5 and isinstance(fault, ProtocolError):
                send([0, DISCONNECT_BYTE, _bytes((reason,)), b""])
        except Exception:
            pass  # it is the writer's own fault, or there is no memory
        client.MQTTClient._on_fault(self, fault)

    # Packets from the broker

    def _translate(self, first_byte, buf, start, length):
        """Judge a packet that came, and make one of MQTT 3.1.1 of it. A PUBLISH with properties, or the one after it,
        of whose length bytes as many are here as buf has room for: returns where its payload begins, behind `start` and
        its properties. Any other but an ack of two bytes: leaves what it would be in the receive buffer, and returns
        its length. Raises ProtocolError; MQTTException: the broker has said no."""
        if start:
            from umqtt import received

            return received.take(self, buf, start, length)
        if length == _WITH_REASON_B and self._link_up and first_byte in _ACKS and buf[2] < REFUSED:
            return 2
        if first_byte >> 4 == CONNACK:
            from umqtt import handshake

            length = handshake.take_connack(self, first_byte, buf, length)
        else:
            from umqtt import incoming

            length = incoming.take(self, first_byte, buf, length)
        _forget()
        return length

    # Sending

    def _send_loose(self, first_byte, head, payload=b""):
        if first_byte == DISCONNECT_BYTE:
            head = self._goodbye
        return client.MQTTClient._send_loose(self, first_byte, head, payload)

    def _properties_of(self, packet_id):
        # of a message in flight, as `publish` takes them (takeback)
        # written so that it is called: in its place `takeback` would have these names on each board
        if self._outgoing:
            return {"properties": self._outgoing.properties_of(packet_id)}
        return {}

    def _know_topic(self, topic):
        # as `_take_topic`; the third item is for QoS 0: with its properties
        topic_bytes = wire.text(topic, wire.TOPIC_NAME, "topic")
        if _len(topic_bytes) > self._send_buf_b:
            bytearray(_len(topic_bytes))  # MemoryError now, not when half a packet is in the buffer
        if not isinstance(topic, (str, _bytes)):
            topic = []  # it may be another the next time
        head = topic_bytes + _NONE if self.protocol == LEVEL_5 else topic_bytes
        self._last_topic = known = topic, topic_bytes, head
        return known

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
        last, topic_bytes, head = self._last_topic
        if topic is not last:
            if self._has_limits:  # then no topic is the last one, and every message comes here
                if expiry_s is content_type and response_topic is properties and correlation is None:
                    properties = _ANY
            else:
                last, topic_bytes, head = self._know_topic(topic)
        # Two at a time, which are never the same but when there are none: a comparison less for each pair.
        if expiry_s is not content_type or response_topic is not properties or correlation is not None:
            if not self._outgoing:
                from umqtt import outgoing

                outgoing.of(self)
            own = None
            if properties is not _ANY:  # else nothing may be allocated
                own = expiry_s, response_topic, correlation, content_type, properties
            return self._outgoing.publish(topic, msg, retain, qos, wait, timeout_ms, own)
        # From here on `publish` of umqtt.client, written again: a call of it is a tenth of all that one of QoS 0 takes.
        if msg.__class__ is not _bytes:
            msg = wire.data(msg, "msg")
            if qos or not wait or self._next_packet is None:
                msg = _bytes(msg)
        if qos and qos != 1:
            wire.number(qos, 2, "qos")
            if qos > self._most_qos:
                qos = self._most_qos
        draft = self._draft
        draft[IN_USE] = in_use = draft[IN_USE] + 1
        if in_use > 1:
            self._hold()
        draft[PAYLOAD] = msg
        if qos:
            draft[FIRST_BYTE] = (PUBLISH_BYTE | RETAIN if retain else PUBLISH_BYTE) | qos << 1
            draft[TOPIC] = topic_bytes
            packet_id = self._exchange(wait, timeout_ms)
            if self._refusals and wait:
                self._outgoing.raise_refusal(packet_id)
            return packet_id
        draft[FIRST_BYTE] = PUBLISH_BYTE | RETAIN if retain else PUBLISH_BYTE
        draft[TOPIC] = head
        if self._send_blocked:
            timeout_ms = self._await_turn(wait, timeout_ms)
            if timeout_ms is None:
                return None
        send = self._send_packet
        event = send(draft) if send else LOST
        draft[PAYLOAD] = b""
        draft[IN_USE] = 0
        if event:
            if wait:
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
        from umqtt import options  # kept until the SUBACK, for which half of it is needed again

        topic, qos = options.prepare(self, topic, qos, identifier, properties)
        return _granted(True, topic, client.MQTTClient.subscribe(self, topic, qos, wait, timeout_ms))

    def unsubscribe(
        self, topic: "str | bytes | bytearray | list[str | bytes]", wait: bool = True, timeout_ms: "int | None" = None
    ) -> None:
        """As `umqtt.client`'s. Raises MQTTException when the broker refused."""
        _granted(False, topic, client.MQTTClient.unsubscribe(self, topic, wait, timeout_ms))

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

            _forget()
            self._goodbye = handshake.goodbye(self, with_will, session_expiry_s, properties)
        client.MQTTClient.disconnect(self, timeout_ms)
        if self._goodbye:
            self._goodbye = b""

    def authenticate_again(self) -> None:
        """Begin the exchange of `authentication` anew on the connection that is up [5.0: 4.12.1]: its callback is
        called with None now, and with what the broker answers from `poll`. Raises OSError."""
        from umqtt import handshake

        _forget()
        handshake.authenticate_again(self)
