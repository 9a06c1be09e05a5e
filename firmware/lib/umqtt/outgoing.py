"""Messages of MQTT 5 that leave with properties, and what a broker limits: the window, sizes, retained messages.
`umqtt.v5` imports it with the first of those; messages without any keep to the client's own way."""

from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from umqtt import wire
from umqtt.engine import BLOCKED, LOST
from umqtt.errors import MQTTException, link_error
from umqtt.properties import (
    ALIAS_MAXIMUM,
    CONTENT_TYPE,
    CORRELATION,
    EXPIRY,
    FOUR_BYTES,
    IN_PUBLISH,
    MAXIMUM_PACKET,
    NONE,
    RECEIVE_MAXIMUM,
    RESPONSE_TOPIC,
    RETAIN_AVAILABLE,
    TEXT,
    TO_PUBLISH,
    VARINT,
    encode,
    end_of,
    value_of,
    walk,
)
from umqtt.wire import (
    FIRST_BYTE,
    IN_USE,
    LEVEL_5,
    PACKET_ID,
    PAYLOAD,
    PROPERTIES,
    PUBACK,
    PUBACK_BYTE,
    PUBLISH_BYTE,
    QOS,
    RETAIN,
    SENT,
    SUBSCRIBE_BYTE,
    TOPIC,
    UNSUBSCRIBE_BYTE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TOO_LARGE = const(0x95)
_QUOTA = const(0x97)
_NO_RETAIN = const(0x9A)
_NO_QOS = const(0x9B)
_STAMP = const(4)  # of a slot: the ticks from which on the seconds of its expiry count
_SLOT = const(6)  # items of a slot, with its properties the last
_MOST_WINDOW = const(65535)
_HEAD_B = const(7)  # of a packet beside its topic, properties and payload, at most
NO_TOPIC = [], b"", b""  # a topic that no program can pass

_len = len
_bytes = bytes


def of(client) -> "Outgoing":
    """The `Outgoing` of this client: from now on it has one."""
    if not client._outgoing:
        client._outgoing = Outgoing(client)
    return client._outgoing


def _encoded(expiry_s, response_topic, correlation, content_type, properties):
    own = dict(properties or ())
    for number, value in ((RESPONSE_TOPIC, response_topic), (CORRELATION, correlation), (CONTENT_TYPE, content_type)):
        if value is not None:
            own[number] = value
    if expiry_s is None:
        expiry_s = own.get(EXPIRY)
    own.pop(EXPIRY, None)  # it comes first, so that it is found when it counts down
    return encode(own, TO_PUBLISH, expiry_s)


def check_size(client, first_byte, topic, payload, properties, about="") -> None:
    """Raise MQTTException, which begins with `about`, when the broker takes no packet so large."""
    size_b = _len(topic) + _len(payload) + _len(properties)
    if first_byte & QOS:
        size_b += 2
    size_b += 2 if size_b < 1 << 7 else 3 if size_b < 1 << 14 else 4 if size_b < 1 << 21 else 5
    most_b = client.connack.get(MAXIMUM_PACKET, size_b)
    if size_b > most_b:
        raise _refused(_TOO_LARGE, about + "%d B, the broker takes %d B" % (size_b, most_b))


def _refused(code, about=""):
    from umqtt import refusals

    return refusals.fault(code, about)


class Outgoing:
    """What stands in front of the verbs of a client's session: slots with properties and an expiry, the window.

    window: the broker's receive maximum; aliases: the client's `Aliases`. It sends the packet of a slot, with an alias
    when there is one: the slot keeps its topic, for an alias ends with its connection.
    """

    def __init__(self, client):
        self.client = client
        self.window = _MOST_WINDOW
        self.aliases: "Any" = None
        self.filter_properties = {}  # filter with its length before it: properties of its SUBSCRIBE
        self.topic = NO_TOPIC  # of the last message, with a broker that has limits
        self._packet = [0, 0, b"", b"", 0, NONE]
        client._refusals = []
        self._untold = []  # of messages that have ended: (f, its arguments)
        self._plain_take_slot = client._take_slot
        self._plain_exchange = client._exchange
        self._plain_free_slot = client._free_slot
        self._plain_resume = client._resume
        self._plain_send_slots = client._send_slots
        self._plain_tell_news = client._tell_news
        self._plain_subscribed = client._subscribed
        client._take_slot = self.take_slot
        client._exchange = self.exchange
        client._free_slot = self.free_slot
        client._resume = self.resume
        client._send_slots = self.send_slots
        client._tell_news = self.tell_news
        client._subscribed = self.subscribed

    def begin(self) -> None:
        """A connection is up, with a broker as `connack` has it. Raises MQTTException: it cannot take what is in
        flight."""
        client = self.client
        get = client.connack.get
        self.window = get(RECEIVE_MAXIMUM, _MOST_WINDOW)
        if self.aliases:
            self.aliases.begin(get(ALIAS_MAXIMUM, 0))
        self.topic = NO_TOPIC
        client._last_topic = NO_TOPIC
        for slot in client._packet_slots[: client.inflight]:
            if slot[FIRST_BYTE] < PUBACK_BYTE:
                about = "packet %d is in flight" % slot[PACKET_ID]
                if slot[FIRST_BYTE] & QOS > client._most_qos << 1:
                    if not client._most_qos or slot[FIRST_BYTE] & SENT:
                        raise _refused(_NO_QOS, about)
                    slot[FIRST_BYTE] ^= QOS
                if slot[FIRST_BYTE] & RETAIN and not get(RETAIN_AVAILABLE, 1):
                    raise _refused(_NO_RETAIN, about)
                check_size(client, slot[FIRST_BYTE], slot[TOPIC], slot[PAYLOAD], slot[PROPERTIES], about + ": ")

    # Sending, and what is beneath it

    def publish(self, topic, msg, retain, qos, wait, timeout_ms, own):
        """`publish` of umqtt.v5, for a message with properties or a broker with limits; own: its arguments of MQTT 5,
        None for none."""
        client = self.client
        own = _encoded(*own) if own else NONE
        if msg.__class__ is not _bytes:
            msg = wire.data(msg, "msg")
            if qos or not wait or client._next_packet is None:
                msg = _bytes(msg)
        first_byte = PUBLISH_BYTE
        if retain:
            first_byte |= RETAIN
            if not client.connack.get(RETAIN_AVAILABLE, 1):
                raise _refused(_NO_RETAIN)
        if wire.number(qos, 2, "qos") > client._most_qos:
            if not client.lower_qos:
                raise _refused(_NO_QOS)
            qos = client._most_qos
        first_byte |= qos << 1
        known = self.topic if client._has_limits else client._last_topic
        if topic is not known[0]:
            known = client._know_topic(topic)
        if client._has_limits:
            self.topic = known
            client._last_topic = NO_TOPIC  # so that the next message comes here, too
            check_size(client, first_byte, known[1], msg, own)
        if qos:
            client._hold(first_byte, known[1], msg)
            client._draft[PROPERTIES] = own
            packet_id = client._exchange(wait, timeout_ms)
            if client._refusals and wait:
                self.raise_refusal(packet_id)
            return packet_id
        client._hold(first_byte, known[2] if own is NONE or client.protocol != LEVEL_5 else known[1] + own, msg)
        if client._send_blocked:
            timeout_ms = client._await_turn(wait, timeout_ms)
            if timeout_ms is None:
                return None
        draft = client._draft
        if self.aliases:
            draft[TOPIC] = self.aliases.shortened(draft[TOPIC], known[1], own)
        send = client._send_packet
        event = send(draft) if send else LOST
        draft[PAYLOAD] = b""
        draft[IN_USE] = 0
        if event and wait:
            client._finish_sending(event, timeout_ms)
        elif event == LOST:
            client._link_lost()
            raise client._fault
        return 0

    # The session

    def know_filters(self, filters) -> None:
        """{filter with its length before it: properties of its SUBSCRIBE}, for now and after a resume."""
        self.filter_properties.update(filters)
        for topic_filter in filters:
            if filters[topic_filter] == NONE:
                del self.filter_properties[topic_filter]

    def subscribed(self, topic_filter, qos):
        self._plain_subscribed(topic_filter, qos)
        if qos is None:
            self.filter_properties.pop(topic_filter, None)

    def take_slot(self):
        client = self.client
        draft = client._draft
        payload = draft[PAYLOAD]
        try:
            if draft[FIRST_BYTE] == SUBSCRIBE_BYTE:
                draft[PROPERTIES] = self.filter_properties.get(payload[: end_of(payload, 0, TEXT)], NONE)
            elif draft[FIRST_BYTE] == UNSUBSCRIBE_BYTE and client._link_up:
                check_size(client, UNSUBSCRIBE_BYTE, b"", payload, NONE)
        except (MemoryError, MQTTException):
            draft[IN_USE] = 0
            raise
        slot = self._plain_take_slot()
        for refusal in client._refusals:
            if refusal[0] == slot[PACKET_ID]:
                client._refusals.remove(refusal)  # of an earlier message, for which nobody waited
                break
        while _len(slot) < _SLOT:
            slot.append(NONE)
        slot[_STAMP] = ticks_ms()
        slot[PROPERTIES] = draft[PROPERTIES] or NONE
        draft[PROPERTIES] = NONE
        if slot[FIRST_BYTE] >= SUBSCRIBE_BYTE:
            client._packet_slots.insert(client._slots_sent, client._packet_slots.pop(client.inflight - 1))
        return slot

    def free_slot(self, index):
        client = self.client
        self._plain_free_slot(index)
        if client._slots_sent < client.inflight:
            client._send_blocked = True  # the window has room again

    def resume(self, present):
        self._plain_resume(present)
        client = self.client
        # What is no PUBLISH does not wait for the window [5.0: 3.3.4].
        slots = client._packet_slots
        at = 0
        for i in range(client.inflight):
            if slots[i][FIRST_BYTE] >= PUBACK_BYTE:
                slots.insert(at, slots.pop(i))
                at += 1
        if MAXIMUM_PACKET not in client.connack:
            return
        # For a subscription that is larger than it takes a broker would close again and again [5.0: 3.2.2.3.6].
        for topic_filter in list(client._filters_left):
            try:
                # with a byte of options
                check_size(client, SUBSCRIBE_BYTE, NONE, topic_filter, self.filter_properties.get(topic_filter, NONE))
            except MQTTException as refusal:
                client._filters_left.remove(topic_filter)
                if client.on_refused is not None:
                    self._tell(client.on_refused, topic_filter[2:], refusal)
        for slot in slots[:at]:
            if slot[FIRST_BYTE] >= SUBSCRIBE_BYTE:
                try:
                    check_size(client, slot[FIRST_BYTE], b"", slot[PAYLOAD], slot[PROPERTIES])
                except MQTTException as refusal:
                    self._refuse_filters(slot, refusal)

    def _refuse_filters(self, slot, refusal):
        # as if the broker had refused each filter of this SUBSCRIBE or UNSUBSCRIBE
        payload = slot[PAYLOAD]
        codes = b""
        at = 0
        while at < _len(payload):
            at = end_of(payload, at, TEXT) + (slot[FIRST_BYTE] < UNSUBSCRIBE_BYTE)
            codes += _bytes((_TOO_LARGE,))
        if isinstance(slot[TOPIC], bytearray):
            slot[TOPIC].extend(codes)  # for the call that waits
        self._end_exchange(slot[PACKET_ID], codes, refusal)

    def window_is_full(self) -> bool:
        """Whether as many messages are unacknowledged as the broker takes."""
        count = 0
        for i in range(self.client._slots_sent):
            if self.client._packet_slots[i][FIRST_BYTE] < SUBSCRIBE_BYTE:
                count += 1
        return count >= self.window

    def age(self, slot) -> bool:
        """Take the seconds that passed off the expiry of a message. Returns whether it is of no use any more."""
        properties = slot[PROPERTIES]
        at = end_of(properties, 0, VARINT)
        if _len(properties) <= at or properties[at] != EXPIRY or slot[FIRST_BYTE] >= PUBACK_BYTE:
            return False
        passed_s = ticks_diff(ticks_ms(), slot[_STAMP]) // 1000
        left_s = value_of(properties, at + 1, at + 5, FOUR_BYTES) - passed_s
        if passed_s > 0:
            slot[_STAMP] = ticks_add(slot[_STAMP], passed_s * 1000)
            properties = bytearray(properties)
            least_s = 1 if slot[FIRST_BYTE] & SENT else 0  # some brokers take 0 for never
            properties[at + 1 : at + 5] = max(left_s, least_s).to_bytes(4, "big")
            slot[PROPERTIES] = _bytes(properties)
        return left_s <= 0 and not slot[FIRST_BYTE] & SENT

    def give_up(self, slot, refusal) -> None:
        """The broker does not take the message of this slot: it is not repeated, and its call raises `refusal`."""
        client = self.client
        if client.on_refused is not None:
            if refusal.args[0] == _QUOTA:
                refusal.payload = slot[PAYLOAD]  # a program may want to send it later
            self._tell(client.on_refused, slot[TOPIC][2:], refusal)
        self._end_exchange(slot[PACKET_ID], _bytes((refusal.args[0],)), refusal)

    def raise_refusal(self, packet_id) -> None:
        """Raise the exception for a message that the broker has refused, or that has expired here; its exchange has
        ended."""
        refusals = self.client._refusals
        for i in range(_len(refusals)):
            if refusals[i][0] == packet_id:
                raise refusals.pop(i)[1]

    def _end_exchange(self, packet_id, codes, refusal):
        client = self.client
        client._refusals.append((packet_id, refusal))
        if _len(client._refusals) > _len(client._packet_slots):
            client._refusals.pop(0)  # nobody waits for it
        client._free_slot(client._slot_index(packet_id))
        if client._durable_store:
            client._durable_store.acked(PUBACK, packet_id)
        if client.on_ended is not None:
            self._tell(client.on_ended, packet_id, codes)

    def _tell(self, *news):
        self._untold.append(news)
        self.client._news = self.client._news or ([], None)

    def tell_news(self):
        while self._untold:
            tell, first, second = self._untold.pop(0)
            tell(first, second)
        self._plain_tell_news()

    def properties_of(self, packet_id) -> dict:
        """Those of a message in flight."""
        found = {}
        for slot in self.client._packet_slots:
            if slot[PACKET_ID] == packet_id:
                walk(slot[PROPERTIES], 0, _len(slot[PROPERTIES]), IN_PUBLISH, True, found)
        return found

    # Sending

    def exchange(self, wait, timeout_ms, sender=None):
        client = self.client
        draft = client._draft
        properties = draft[PROPERTIES]
        end = client._end(timeout_ms)
        is_message = draft[FIRST_BYTE] < PUBACK_BYTE
        while client.inflight == _len(client._packet_slots) or sender and is_message and self.window_is_full():
            draft[PROPERTIES] = NONE  # another call may make a packet meanwhile
            if not wait or client._in_callback():
                draft[IN_USE] = 0
                raise link_error("ENOBUFS", "all slots are taken: poll first")
            client._wait_without(end)
            draft[PROPERTIES] = properties
        if is_message and not sender and not client._send_blocked:
            sender = self
        try:
            return self._plain_exchange(wait, ticks_diff(end, ticks_ms()), sender)
        except BaseException:
            if draft[PROPERTIES] is properties:
                draft[PROPERTIES] = NONE
            raise

    def send(self, slot):
        """Returns the writer's event, None when the window is full: then `send_slots` sends it."""
        client = self.client
        if self.window_is_full():
            return None
        send = client._send_packet
        if not send:
            return LOST
        if not self.aliases:
            return send(slot)
        packet = self._packet
        for i in range(_SLOT):
            packet[i] = slot[i]
        self.aliases.shorten(packet)
        slot[FIRST_BYTE] |= SENT  # before it, as the writer does: Ctrl-C may come behind it
        event = send(packet)
        packet[PAYLOAD] = b""
        return event

    def send_slots(self):
        client = self.client
        if client.protocol != LEVEL_5:
            return self._plain_send_slots()
        try:
            send = client._send_packet
            event = send(None) if send else BLOCKED
            while client._link_up and event != LOST and client._slots_sent < client.inflight:
                slot = client._packet_slots[client._slots_sent]
                if slot[FIRST_BYTE] < PUBACK_BYTE:
                    if self.window_is_full():
                        break
                    if self.age(slot):
                        late = link_error("ETIMEDOUT", "its expiry_s was over before it could be sent")
                        self._end_exchange(slot[PACKET_ID], None, late)
                        continue
                size_b = _len(slot[TOPIC]) + _len(slot[PAYLOAD]) + _len(slot[PROPERTIES]) + _HEAD_B
                if event == BLOCKED and _len(client._send_buf) + size_b > client._send_buf_b:
                    break
                event = send(slot)
                client._slots_sent += 1
            if event != BLOCKED and event != LOST:
                client._send_blocked = client._is_connecting
            return event
        finally:
            client._draft[IN_USE] = 0
