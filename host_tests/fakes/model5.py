"""`model` for clients of MQTT 5: it takes one unacknowledged message at a time and two topic aliases, and gives aliases
to whoever takes them. Who breaks these rules stands in `violations`."""

from fakes import packets5
from fakes.model import Model
from fakes.packets import CONNACK, CONNECT, PUBACK, PUBLISH, PUBREL

RECEIVE_MAXIMUM = 33
ALIAS_MAXIMUM = 34
ALIAS = 35


class _Codec:
    """packets5, with what this broker says of itself in each CONNACK."""

    Reader = packets5.Reader

    def __init__(self, connack):
        self.connack = connack

    def encode(self, kind, pid=None, **fields):
        if kind == CONNACK and not fields.get("code"):
            fields["props"] = self.connack
        return packets5.encode(kind, pid, **fields)


class Model5(Model):
    """takes: the client's messages that may be unacknowledged; aliases: how many it knows."""

    def __init__(self, clock, takes=1, aliases=2, **named):
        Model.__init__(self, clock, **named)
        self.takes = takes
        self.codec = _Codec([(RECEIVE_MAXIMUM, takes), (ALIAS_MAXIMUM, aliases)])
        self.open_ids = {}  # link number -> ids of the messages without PUBACK, or PUBREL
        self.topics = {}  # link number -> {alias: topic}, the client's
        self.given = {}  # link number -> {topic: alias}, ours
        self.most_given = {}  # link number -> how many the client takes

    def _came(self, link, p):
        if p.kind == CONNECT:
            self.open_ids[link.number] = []
            self.topics[link.number] = {}
            self.given[link.number] = {}
            self.most_given[link.number] = dict(p.props).get(ALIAS_MAXIMUM, 0)
        elif p.kind == PUBLISH:
            self._resolve(link, p)
            open_ids = self.open_ids[link.number]
            if p.qos and p.pid not in open_ids:
                if len(open_ids) >= self.takes:
                    self.violations.append("over the receive maximum: %r" % p)
                open_ids.append(p.pid)
        elif p.kind == PUBREL and p.pid in self.open_ids[link.number]:
            self.open_ids[link.number].remove(p.pid)
        return Model._came(self, link, p)

    def _send(self, link, data):
        Model._send(self, link, data)
        if data[0] >> 4 == PUBACK:
            packet_id = data[2] << 8 | data[3]
            if self.ack_ms:
                self.clock.at(self.ack_ms, self.open_ids[link.number].remove, packet_id)
            else:
                self.open_ids[link.number].remove(packet_id)

    def _resolve(self, link, p):
        alias = dict(p.props).get(ALIAS)
        known = self.topics[link.number]
        if alias is None:
            return
        if alias > len(known) + 1 or alias > dict(self.codec.connack)[ALIAS_MAXIMUM]:
            self.violations.append("alias %d: %r" % (alias, p))
        if p.topic:
            known[alias] = p.topic
        p.fields["topic"] = known.get(alias, "unknown alias")

    def _send_row(self, link, row, dup):
        pid, _, topic, payload, qos, retain = row
        given = self.given[link.number]
        props = [(2, 60), (9, b"correlation")]
        sent = topic
        if topic in given:
            props.append((ALIAS, given[topic]))
            sent = ""
        elif len(given) < self.most_given[link.number]:
            given[topic] = len(given) + 1
            props.append((ALIAS, given[topic]))
        fields = {"topic": sent, "payload": payload, "qos": qos, "dup": dup, "retain": retain, "props": props}
        self._send(link, packets5.encode(PUBLISH, pid, **fields))
