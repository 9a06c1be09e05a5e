"""`model` for clients of MQTT 5: it takes one unacknowledged message at a time and two topic aliases, and gives aliases
to whoever takes them; a session ends when its time is over, a will waits for its delay. Who breaks these rules stands
in `violations`."""

from fakes import packets5
from fakes.model import Model
from fakes.packets import CONNACK, CONNECT, DISCONNECT, PUBACK, PUBLISH, PUBREC, PUBREL

EXPIRY = 2
RESPONSE_TOPIC = 8
CORRELATION = 9
SESSION_EXPIRY = 17
ASSIGNED_ID = 18
WILL_DELAY = 24
FOR_EVER_S = 0xFFFFFFFF
RECEIVE_MAXIMUM = 33
ALIAS_MAXIMUM = 34
ALIAS = 35


class _Codec:
    """packets5, with what this broker says of itself in each CONNACK."""

    Reader = packets5.Reader

    def __init__(self, connack):
        self.connack = connack
        self.assigned = []  # for the next one

    def encode(self, kind, pid=None, **fields):
        if kind == CONNACK and not fields.get("code"):
            fields["props"] = self.connack + self.assigned
            self.assigned = []
        return packets5.encode(kind, pid, **fields)


class Model5(Model):
    """takes: the client's messages that may be unacknowledged; aliases: how many it knows; says: further properties of
    its CONNACK; refuses: f(PUBLISH), the reason code of one that it does not take, else 0. `published`:
    the PUBLISH packets that it took."""

    def __init__(self, clock, takes=1, aliases=2, says=(), **named):
        Model.__init__(self, clock, **named)
        self.takes = takes
        self.codec = _Codec([(RECEIVE_MAXIMUM, takes), (ALIAS_MAXIMUM, aliases)] + list(says))
        self.refuses = lambda packet: 0
        self.published = []  # the PUBLISH packets that were taken
        self.open_ids = {}  # link number -> ids of the messages without PUBACK, or PUBREL
        self.expiry_s = {}  # link number -> of its session
        self.topics = {}  # link number -> {alias: topic}, the client's
        self.given = {}  # link number -> {topic: alias}, ours
        self.most_given = {}  # link number -> how many the client takes

    def _came(self, link, packet):
        if packet.kind == CONNECT:
            self.open_ids[link.number] = []
            self.topics[link.number] = {}
            self.given[link.number] = {}
            self.most_given[link.number] = dict(packet.props).get(ALIAS_MAXIMUM, 0)
            return self._begin(link, packet)
        elif packet.kind == PUBLISH:
            self._resolve(link, packet)
            open_ids = self.open_ids[link.number]
            if packet.qos and packet.pid not in open_ids:
                if len(open_ids) >= self.takes:
                    self.violations.append("over the receive maximum: %r" % packet)
                open_ids.append(packet.pid)
        elif packet.kind == PUBREL and packet.pid in self.open_ids[link.number]:
            self.open_ids[link.number].remove(packet.pid)
        elif packet.kind == DISCONNECT and link.number in self.owner:
            self.expiry_s[link.number] = dict(packet.props).get(SESSION_EXPIRY, self.expiry_s[link.number])
        return Model._came(self, link, packet)

    def _send(self, link, data):
        Model._send(self, link, data)
        if data[0] >> 4 == PUBACK:
            packet_id = data[2] << 8 | data[3]
            if self.ack_ms:
                self.clock.at(self.ack_ms, self.open_ids[link.number].remove, packet_id)
            else:
                self.open_ids[link.number].remove(packet_id)

    def _begin(self, link, packet):
        if not packet.client_id:
            packet.fields["client_id"] = "auto-%d" % link.number
            self.codec.assigned = [(ASSIGNED_ID, packet.client_id)]
        old = self.sessions.get(packet.client_id)
        delayed = getattr(old, "delayed", None)
        if delayed:
            old.delayed = None
            if packet.clean:  # the session ends, and its will is not waited for any longer [3.1.3.2.2]
                self._publish_will(delayed)
        self.expiry_s[link.number] = dict(packet.props).get(SESSION_EXPIRY, 0)
        Model._came(self, link, packet)

    def _ends(self, kept, link):
        will = kept.will
        expiry_s = self.expiry_s[link.number]
        kept.clean = not expiry_s
        if will and link.number not in self.left:
            delay_s = min(dict(will[4]).get(WILL_DELAY, 0), expiry_s)
            if delay_s:
                kept.will = None
                kept.delayed = will
                self.clock.at(delay_s * 1000, self._waited, kept, will)
        client_id = self.owner[link.number]
        Model._ends(self, kept, link)
        if expiry_s and expiry_s != FOR_EVER_S:
            self.clock.at(expiry_s * 1000, self._expire, client_id, kept, self.clock.now)
        kept.ended = self.clock.now

    def _waited(self, kept, will):
        if kept.delayed is will:
            kept.delayed = None
            self._publish_will(will)

    def _publish_will(self, will):
        self.wills.append(will)
        self._publish(will[0], will[1], will[3], will[2])

    def _expire(self, client_id, kept, since):
        if kept.link is None and kept.ended == since and self.sessions.get(client_id) is kept:
            del self.sessions[client_id]

    def end(self, reason, **named):
        """The broker ends every connection with a DISCONNECT."""
        for kept in list(self.sessions.values()):
            link = kept.link
            if link is not None:
                link.push(packets5.encode(DISCONNECT, reason=reason, long=1, **named))
                self._ends(kept, link)
                link.end("fin")

    def _incoming(self, link, kept, packet):
        reason = self.refuses(packet)
        if not reason or not packet.qos:
            return Model._incoming(self, link, kept, packet)
        if packet.qos == 2:
            self.open_ids[link.number].remove(packet.pid)
        self._send(link, packets5.encode(PUBACK if packet.qos == 1 else PUBREC, packet.pid, reason=reason))

    def _accept(self, packet):
        self.published.append(packet)
        return Model._accept(self, packet)

    def expiries(self, part=""):
        """[(topic, expiry)] of what was taken, None without one."""
        return [(packet.topic, dict(packet.props).get(EXPIRY)) for packet in self.published if part in packet.topic]

    def _resolve(self, link, packet):
        alias = dict(packet.props).get(ALIAS)
        known = self.topics[link.number]
        if alias is None:
            return
        if alias > len(known) + 1 or alias > dict(self.codec.connack)[ALIAS_MAXIMUM]:
            self.violations.append("alias %d: %r" % (alias, packet))
        if packet.topic:
            known[alias] = packet.topic
        packet.fields["topic"] = known.get(alias, "unknown alias")

    def _send_row(self, link, row, dup):
        pid, _, topic, payload, qos, retain = row
        given = self.given[link.number]
        props = [(2, 60), (CORRELATION, b"correlation")]
        sent = topic
        if topic in given:
            props.append((ALIAS, given[topic]))
            sent = ""
        elif len(given) < self.most_given[link.number]:
            given[topic] = len(given) + 1
            props.append((ALIAS, given[topic]))
        fields = {"topic": sent, "payload": payload, "qos": qos, "dup": dup, "retain": retain, "props": props}
        self._send(link, packets5.encode(PUBLISH, pid, **fields))


class Answering(Model5):
    """With somebody behind it who answers each question with its payload and "!", twice."""

    def _accept(self, packet):
        Model5._accept(self, packet)
        props = dict(packet.props)
        if RESPONSE_TOPIC in props:
            own = [(CORRELATION, props[CORRELATION])]
            text = bytes(packet.payload) + b"!"
            for _ in range(2):
                self._send(
                    self.kept("c1").link, packets5.encode(PUBLISH, topic=props[RESPONSE_TOPIC], payload=text, props=own)
                )
