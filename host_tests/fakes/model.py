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
    f = flt.split("/")
    t = topic.split("/")
    if t[0].startswith("$") and f[0] in ("+", "#"):
        return False
    for i in range(len(f)):
        if f[i] == "#":
            return True
        if i >= len(t) or f[i] != "+" and f[i] != t[i]:
            return False
    return len(f) == len(t)


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
        except Malformed as e:
            self.violations.append("malformed: %s" % e)
            self._drop(link)
            return
        for p in came:
            self.packets += 1
            if link.dead:
                return
            self._came(link, p)

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

    def _came(self, link, p):
        if link.number in self.left:
            self.violations.append("after DISCONNECT: %r" % p)
            return None
        if link.number not in self.owner:
            if p.kind != CONNECT:
                self.violations.append("before CONNECT: %r" % p)
                return self._drop(link)
            return self._connect(link, p)
        kept = self.sessions.get(self.owner[link.number])
        if kept is None or kept.link is not link:
            return None  # taken over, or forgotten
        gap = self.clock.now - kept.last_ms
        kept.last_ms = self.clock.now
        if kept.keepalive_ms and gap > kept.keepalive_ms:
            self.silence_ms = max(self.silence_ms, gap - kept.keepalive_ms)
        k = p.kind
        if k == PUBLISH:
            self._incoming(link, kept, p)
        elif k == PUBREL:
            kept.held.pop(p.pid, None)
            self._send(link, self.codec.encode(PUBCOMP, p.pid))
        elif k in (PUBACK, PUBREC, PUBCOMP):
            self._acked(link, kept, p)
        elif k == SUBSCRIBE:
            self._subscribe(link, kept, p)
        elif k == UNSUBSCRIBE:
            for f in p.filters:
                kept.subs.pop(f, None)
            self._send(link, self.codec.encode(UNSUBACK, p.pid))
        elif k == PINGREQ:
            self._send(link, self.codec.encode(PINGRESP))
        elif k == DISCONNECT:
            self.left.append(link.number)
            kept.will = None
        else:
            self.violations.append("unexpected: %r" % p)
            self._drop(link)

    def _connect(self, link, p):
        self.connects.append(p)
        if self.refuse_code:
            self._send(link, self.codec.encode(CONNACK, code=self.refuse_code))
            self.clock.at(self.ack_ms, self._drop, link)
            return
        old = self.sessions.get(p.client_id)
        if old is not None and old.link is not None:
            taken = old.link
            self._ends(old, taken)
            taken.end("fin")
            old = self.sessions.get(p.client_id)
        if old is None or p.clean or old.clean:
            kept = Kept()
            present = 0
        else:
            kept = old
            present = 1
        self.sessions[p.client_id] = kept
        self.owner[link.number] = p.client_id
        kept.link = link
        kept.clean = bool(p.clean)
        kept.will = p.will
        kept.keepalive_ms = p.keepalive * 1000
        kept.last_ms = self.clock.now
        if p.keepalive:
            self._watch(kept, link)
        self._send(link, self.codec.encode(CONNACK, sp=present if p.level > 3 else 0))
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

    def _incoming(self, link, kept, p):
        if p.qos == 2:
            if p.pid in kept.held:
                if kept.held[p.pid] != p.payload:
                    self.violations.append("id %d is in use: %r" % (p.pid, p))
                if not p.dup:
                    self.violations.append("repeated without DUP: %r" % p)
            else:
                kept.held[p.pid] = p.payload
                self._accept(p)
            self._send(link, self.codec.encode(PUBREC, p.pid))
        else:
            self._accept(p)
            if p.qos:
                self._send(link, self.codec.encode(PUBACK, p.pid))

    def _accept(self, p):
        self.accepted.append((p.topic, bytes(p.payload), p.qos))
        self._publish(p.topic, p.payload, p.qos, p.retain)

    def _publish(self, topic, payload, qos, retain):
        if retain:
            if payload:
                self.retained[topic] = (payload, qos)
            else:
                self.retained.pop(topic, None)
        for kept in list(self.sessions.values()):
            q = max([q for f, q in kept.subs.items() if matches(f, topic)] or [-1])
            if q >= 0 and (kept.link or qos and q):
                kept.queue.append((topic, payload, min(q, qos), 0))
                self._pump(kept)

    def _pump(self, kept):
        while kept.link is not None and kept.queue and len(kept.out) < self.window:
            topic, payload, qos, retain = kept.queue.pop(0)
            row = [0, PUBACK if qos == 1 else PUBREC, topic, payload, qos, retain]
            if qos:
                while True:
                    kept.pid = kept.pid % 65535 + 1
                    if all(kept.pid != r[0] for r in kept.out):
                        break
                row[0] = kept.pid
                kept.out.append(row)
            self._send_row(kept.link, row, 0)

    def _send_row(self, link, row, dup):
        pid, _, topic, payload, qos, retain = row
        self._send(link, self.codec.encode(PUBLISH, pid, topic=topic, payload=payload, qos=qos, dup=dup, retain=retain))

    def _acked(self, link, kept, p):
        row = None
        for r in kept.out:
            if r[0] == p.pid:
                row = r
        if p.kind == PUBREC:
            if row is not None and row[1] in (PUBREC, PUBCOMP):
                row[1] = PUBCOMP
            elif row is not None:
                self.violations.append("wrong ack: %r" % p)
            self._send(link, self.codec.encode(PUBREL, p.pid))
        elif row is None:
            pass  # an ack that came twice
        elif row[1] != p.kind:
            self.violations.append("wrong ack: %r, awaited %d" % (p, row[1]))
        else:
            kept.out.remove(row)
            self._pump(kept)

    def _subscribe(self, link, kept, p):
        for f, q in p.filters:
            kept.subs[f] = q
        self._send(link, self.codec.encode(SUBACK, p.pid, codes=tuple(q for _, q in p.filters)))
        for f, q in p.filters:
            for topic in sorted(self.retained):
                if matches(f, topic):
                    payload, qos = self.retained[topic]
                    kept.queue.append((topic, payload, min(q, qos), 1))
        self._pump(kept)
