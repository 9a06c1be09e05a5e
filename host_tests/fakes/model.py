"""A broker that acts by itself and remembers like a real one: sessions, ids in flight in both directions, retained
messages, wills.

It keeps book of what it accepted (`accepted`) and of every rule that the client broke (`violations`); it can be
stopped, started, and made
to forget. Its codec is fakes.packets, never the library's.
"""

from fakes import packets
from fakes.packets import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
    Malformed,
)


def matches(flt, topic):
    """Whether a filter covers a topic [4.7]."""
    levels = flt.split("/")
    parts = topic.split("/")
    if parts[0].startswith("$") and levels[0] in ("+", "#"):
        return False
    for i in range(len(levels)):
        if levels[i] == "#":
            return True
        if i >= len(parts) or levels[i] != "+" and levels[i] != parts[i]:
            return False
    return len(levels) == len(parts)


class Kept:
    """What outlives a connection. `out`: [pid, state, topic, payload, qos, retain] in the order of sending; state is
    what is awaited."""

    def __init__(self):
        self.subs = {}
        self.out = []
        self.queue = []
        self.held = {}  # incoming QoS 2: pid -> payload
        self.pid = 0
        self.link = None
        self.clean = True
        self.will = None
        self.keepalive_ms = 0
        self.last_ms = 0


class Model:
    """`window`: messages in flight to one client. `ack_ms`: time it takes over every answer."""

    codec = packets

    def __init__(self, clock, window=20, ack_ms=0):
        self.clock = clock
        self.window = window
        self.ack_ms = ack_ms
        self.sessions = {}
        self.retained = {}
        self.accepted = []  # (topic, payload, qos) as they were passed on
        self.wills = []
        self.violations = []
        self.readers = {}  # link number -> Reader
        self.owner = {}  # link number -> client id, once CONNECT came
        self.left = []  # link numbers that sent DISCONNECT
        self.connects = []  # the CONNECT packets
        self.silence_ms = 0  # the longest, beyond the keep-alive
        self.refuse_code = 0
        self.packets = 0

    # from the world

    def inject(self, topic, payload, qos=0, retain=0):
        """Somebody else publishes."""
        self._publish(topic, payload.encode() if isinstance(payload, str) else payload, qos, retain)

    def stop(self, how="rst"):
        """The broker process ends: every link with it."""
        for kept in list(self.sessions.values()):
            link = kept.link
            if link is not None:
                self._ends(kept, link)
                link.end(how)

    def forget(self):
        """Its sessions are gone, as after a start without persistence."""
        self.sessions = {}

    def kept(self, client_id):
        return self.sessions[client_id]

    # the peer of the links

    def opened(self, link):
        self.readers[link.number] = self.codec.Reader()

    def data(self, link, data):
        try:
            came = self.readers[link.number].feed(data)
        except Malformed as error:
            self.violations.append("malformed: %s" % error)
            self._drop(link)
            return
        for packet in came:
            self.packets += 1
            if link.dead:
                return
            self._came(link, packet)

    def ended(self, link):
        client_id = self.owner.get(link.number)
        kept = self.sessions.get(client_id)
        if kept is not None and kept.link is link:
            self._ends(kept, link)

    def _ends(self, kept, link):
        kept.link = None
        if kept.will and link.number not in self.left:
            self.wills.append(kept.will)
            self._publish(kept.will[0], kept.will[1], kept.will[3], kept.will[2])
        kept.will = None
        if kept.clean:
            self.sessions.pop(self.owner[link.number], None)

    def _drop(self, link):
        link.end("fin")

    def _send(self, link, data):
        if self.ack_ms:
            self.clock.at(self.ack_ms, link.push, data)
        else:
            link.push(data)

    def _came(self, link, packet):
        if link.number in self.left:
            self.violations.append("after DISCONNECT: %r" % packet)
            return None
        if link.number not in self.owner:
            if packet.kind != CONNECT:
                self.violations.append("before CONNECT: %r" % packet)
                return self._drop(link)
            return self._connect(link, packet)
        kept = self.sessions.get(self.owner[link.number])
        if kept is None or kept.link is not link:
            return None  # taken over, or forgotten
        gap = self.clock.now - kept.last_ms
        kept.last_ms = self.clock.now
        if kept.keepalive_ms and gap > kept.keepalive_ms:
            self.silence_ms = max(self.silence_ms, gap - kept.keepalive_ms)
        kind = packet.kind
        if kind == PUBLISH:
            self._incoming(link, kept, packet)
        elif kind == PUBREL:
            kept.held.pop(packet.pid, None)
            self._send(link, self.codec.encode(PUBCOMP, packet.pid))
        elif kind in (PUBACK, PUBREC, PUBCOMP):
            self._acked(link, kept, packet)
        elif kind == SUBSCRIBE:
            self._subscribe(link, kept, packet)
        elif kind == UNSUBSCRIBE:
            for asked in packet.filters:
                kept.subs.pop(asked, None)
            self._send(link, self.codec.encode(UNSUBACK, packet.pid))
        elif kind == PINGREQ:
            self._send(link, self.codec.encode(PINGRESP))
        elif kind == DISCONNECT:
            self.left.append(link.number)
            kept.will = None
        else:
            self.violations.append("unexpected: %r" % packet)
            self._drop(link)

    def _connect(self, link, packet):
        self.connects.append(packet)
        if self.refuse_code:
            self._send(link, self.codec.encode(CONNACK, code=self.refuse_code))
            self.clock.at(self.ack_ms, self._drop, link)
            return
        old = self.sessions.get(packet.client_id)
        if old is not None and old.link is not None:
            taken = old.link
            self._ends(old, taken)
            taken.end("fin")
            old = self.sessions.get(packet.client_id)
        if old is None or packet.clean or old.clean:
            kept = Kept()
            present = 0
        else:
            kept = old
            present = 1
        self.sessions[packet.client_id] = kept
        self.owner[link.number] = packet.client_id
        kept.link = link
        kept.clean = bool(packet.clean)
        kept.will = packet.will
        kept.keepalive_ms = packet.keepalive * 1000
        kept.last_ms = self.clock.now
        if packet.keepalive:
            self._watch(kept, link)
        self._send(link, self.codec.encode(CONNACK, sp=present if packet.level > 3 else 0))
        for row in kept.out:
            if row[1] == PUBCOMP:
                self._send(link, self.codec.encode(PUBREL, row[0]))
            else:
                self._send_row(link, row, 1)
        self._pump(kept)

    def _watch(self, kept, link):
        if kept.link is not link or link.dead:
            return
        left = kept.last_ms + kept.keepalive_ms * 3 // 2 - self.clock.now
        if left <= 0:
            self.violations.append("exceeded the keep-alive")
            self._drop(link)
        else:
            self.clock.at(left, self._watch, kept, link)

    def _incoming(self, link, kept, packet):
        if packet.qos == 2:
            if packet.pid in kept.held:
                if kept.held[packet.pid] != packet.payload:
                    self.violations.append("id %d is in use: %r" % (packet.pid, packet))
                if not packet.dup:
                    self.violations.append("repeated without DUP: %r" % packet)
            else:
                kept.held[packet.pid] = packet.payload
                self._accept(packet)
            self._send(link, self.codec.encode(PUBREC, packet.pid))
        else:
            self._accept(packet)
            if packet.qos:
                self._send(link, self.codec.encode(PUBACK, packet.pid))

    def _accept(self, packet):
        self.accepted.append((packet.topic, bytes(packet.payload), packet.qos))
        self._publish(packet.topic, packet.payload, packet.qos, packet.retain)

    def _publish(self, topic, payload, qos, retain):
        if retain:
            if payload:
                self.retained[topic] = (payload, qos)
            else:
                self.retained.pop(topic, None)
        for kept in list(self.sessions.values()):
            granted = max([granted for flt, granted in kept.subs.items() if matches(flt, topic)] or [-1])
            if granted >= 0 and (kept.link or qos and granted):
                kept.queue.append((topic, payload, min(granted, qos), 0))
                self._pump(kept)

    def _pump(self, kept):
        while kept.link is not None and kept.queue and len(kept.out) < self.window:
            topic, payload, qos, retain = kept.queue.pop(0)
            row = [0, PUBACK if qos == 1 else PUBREC, topic, payload, qos, retain]
            if qos:
                while True:
                    kept.pid = kept.pid % 65535 + 1
                    if all(kept.pid != row[0] for row in kept.out):
                        break
                row[0] = kept.pid
                kept.out.append(row)
            self._send_row(kept.link, row, 0)

    def _send_row(self, link, row, dup):
        pid, _, topic, payload, qos, retain = row
        self._send(link, self.codec.encode(PUBLISH, pid, topic=topic, payload=payload, qos=qos, dup=dup, retain=retain))

    def _acked(self, link, kept, packet):
        row = None
        for sent in kept.out:
            if sent[0] == packet.pid:
                row = sent
        if packet.kind == PUBREC:
            if row is not None and row[1] in (PUBREC, PUBCOMP):
                row[1] = PUBCOMP
            elif row is not None:
                self.violations.append("wrong ack: %r" % packet)
            self._send(link, self.codec.encode(PUBREL, packet.pid))
        elif row is None:
            pass  # an ack that came twice
        elif row[1] != packet.kind:
            self.violations.append("wrong ack: %r, awaited %d" % (packet, row[1]))
        else:
            kept.out.remove(row)
            self._pump(kept)

    def _subscribe(self, link, kept, packet):
        for flt, granted in packet.filters:
            kept.subs[flt] = granted
        self._send(link, self.codec.encode(SUBACK, packet.pid, codes=tuple(granted for _, granted in packet.filters)))
        for flt, granted in packet.filters:
            for topic in sorted(self.retained):
                if matches(flt, topic):
                    payload, qos = self.retained[topic]
                    kept.queue.append((topic, payload, min(granted, qos), 1))
        self._pump(kept)
