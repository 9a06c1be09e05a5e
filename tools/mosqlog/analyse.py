"""Events of a log, one after the other, to what happened to each client.

    analyser = Analyser()
    for event in events: analyser.feed(event)
    analyser.finish()
    analyser.clients["dev17"].sessions, .findings, ...

One pass. Memory grows with clients and open flows, not with lines: long lists are thinned, see
the limits. Times are those of the events; where a log has none, everything but durations works.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import deque
from typing import Callable

from . import parse
from .findings import Finding

SESSIONS = 256          # kept per client; beyond that neighbours among the older are merged
TOPICS = 20_000         # beyond that the smaller half goes into OTHER_TOPICS
CLIENTS = 50_000        # beyond that those that came once and left cleanly are only counted
STRANGERS = 5_000       # addresses that were refused or never sent a CONNECT
OTHER_TOPICS = "(other topics)"
SEQUENCE = 40           # packets kept per client, for its sequence chart
FLAP_ENDS, FLAP_WINDOW_S = 5, 600
TWIN_WINDOW_S = 600     # of takeovers back and forth between two addresses
ROW_WINDOW_S = 120      # of four takeovers in a row from one address
WAITING_S = 30          # a flow open for longer at the end of the log is a finding
SLOW_ACK_S = 10

_REFUSALS = {
    1: "unacceptable protocol version", 2: "id rejected", 3: "server unavailable",
    4: "bad user name or password", 5: "not authorised", 128: "unspecified error",
    129: "malformed packet", 130: "protocol error", 132: "unsupported protocol version",
    133: "client identifier not valid", 134: "bad user name or password", 135: "not authorised",
    136: "server unavailable", 137: "server busy", 138: "banned",
    140: "bad authentication method", 144: "topic name invalid", 149: "packet too large",
    151: "quota exceeded", 154: "retain not supported", 155: "QoS not supported",
    159: "connection rate exceeded",
}
_END_FINDINGS = {
    "closed": "closed-without-disconnect", "timeout": "keepalive-missed",
    "protocol-error": "protocol-error", "malformed": "malformed", "oversize": "oversize",
    "not-authorised": "not-authorised", "no-memory": "no-memory",
    "administrative": "administrative", "error": "socket-error",
}
_FLAPS = ("closed", "timeout", "error", "protocol-error", "malformed", "oversize")
_ADDRESS = re.compile(r"[0-9a-fA-F.:]+|<unknown>|\(null\)")
_DELAYS_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)


class Session:
    """One connection. `start` None: it was there before the log; `end` None: it is open.
    `how` is one of parse.HOWS, "broker-stopped", "replaced" (no line said how) or "open".
    `merged` counts the sessions that this one stands for (its times then span them all)."""

    __slots__ = ("start", "end", "how", "address", "user", "protocol", "clean", "keepalive_s",
                 "present", "will", "received", "sent", "merged")

    def __init__(self, start: float | None, address: str | None = None):
        self.start, self.how, self.address = start, "open", address
        self.end: float | None = None
        self.user: str | None = None
        self.protocol: int | None = None
        self.clean: bool | None = None
        self.keepalive_s: int | None = None
        self.present: bool | None = None    # the session, as the CONNACK said
        self.will: str | None = None        # its topic, "" when that was not logged
        self.received = self.sent = 0       # PUBLISH packets
        self.merged = 1


class Flow:
    """A QoS 1 or 2 message on its way; `step` is the last packet seen of it."""

    __slots__ = ("t", "sent", "pid", "qos", "topic", "size_b", "step", "copies")

    def __init__(self, event: parse.Publish):
        self.t, self.sent, self.pid, self.qos = event.t, event.sent, event.pid, event.qos
        self.topic, self.size_b = event.topic, event.size_b
        self.step, self.copies = "PUBLISH", 1


class Delays:
    """Seconds from PUBLISH to the last ack: a histogram and the worst one."""

    __slots__ = ("counts", "n", "total_s", "worst_s", "worst_topic", "worst_t")

    def __init__(self) -> None:
        self.counts = [0] * (len(_DELAYS_S) + 1)
        self.n, self.total_s, self.worst_s = 0, 0.0, -1.0
        self.worst_topic, self.worst_t = "", None

    def add(self, s: float, flow: Flow) -> None:
        self.counts[bisect_left(_DELAYS_S, s)] += 1
        self.n, self.total_s = self.n + 1, self.total_s + s
        if s > self.worst_s:
            self.worst_s, self.worst_topic, self.worst_t = s, flow.topic, flow.t

    def at_most_s(self, part: float) -> float:
        """The bound that `part` (0..1) of the delays kept, one of _DELAYS_S or the worst."""
        seen, wanted = 0, part * self.n
        for i, count in enumerate(self.counts):
            seen += count
            if seen >= wanted and i < len(_DELAYS_S):
                return min(_DELAYS_S[i], self.worst_s)
        return self.worst_s


class Topic:
    __slots__ = ("received", "received_b", "sent", "sent_b", "first", "last")

    def __init__(self, t: float | None):
        self.received = self.received_b = self.sent = self.sent_b = 0
        self.first = self.last = t

    def rate(self) -> float | None:
        """Messages received a second, None where the log is too short to tell."""
        if self.received < 2 or self.first is None or not self.last or self.last <= self.first:
            return None
        return (self.received - 1) / (self.last - self.first)


class Client:
    """What is known of one id. `now` is the open session or None."""

    __slots__ = ("id", "stranger", "sessions", "connects", "now", "ends", "findings", "flows",
                 "heard", "gap_s", "received", "received_b", "sent", "sent_b", "pings",
                 "delays", "filters", "packets", "connected_s", "seen", "asked",
                 "abnormal", "takeovers", "taken", "refused", "goodbye")

    def __init__(self, client: str, stranger: bool = False):
        self.id, self.stranger = client, stranger
        self.sessions: list[Session] = []
        self.connects = 0
        self.now: Session | None = None
        self.ends: dict[str, int] = {}
        self.findings: dict[str, Finding] = {}
        self.flows: dict[tuple[bool, int], Flow] = {}
        self.heard: float | None = None         # last packet from the client
        self.gap_s = 0.0                        # the longest silence within a session
        self.received = self.received_b = self.sent = self.sent_b = self.pings = 0
        self.delays: dict[bool, Delays] = {}    # by `sent`
        self.filters: dict[str, int] = {}       # subscriptions in force, with their QoS
        self.packets: deque | None = None
        self.connected_s = 0.0
        self.seen: float | None = None          # last line that named it
        self.asked = 0                          # CONNECTs refused
        self.abnormal: deque | None = None
        self.takeovers: deque | None = None
        self.taken: Session | None = None       # the session the last takeover ended
        self.refused = False
        self.goodbye = False                    # DISCONNECT came, the broker's own line did not

    @property
    def weight(self) -> int:
        return sum(finding.weight for finding in self.findings.values())

    def worst(self) -> list[Finding]:
        """The findings, the heaviest first."""
        return sorted(self.findings.values(), key=lambda f: (-f.weight, f.code))


class Analyser:
    """at: moments (seconds since 1970) to note who was connected, see `.connected_at`.
    sequence: packets kept per client for a chart; watched: ids of which `sequence_watched` are.
    tell: called as tell(what, client, thing) when it happens, what is "session" (thing: the
    Session that began or ended) or "finding" (thing: code and example)."""

    def __init__(self, at: list[float] | None = None, sequence: int = 0,
                 watched: frozenset[str] = frozenset(), sequence_watched: int = 2000,
                 tell: Callable[[str, Client, object], None] | None = None):
        self.clients: dict[str, Client] = {}
        self.strangers: dict[str, Client] = {}
        self.topics: dict[str, Topic] = {}
        self.lines = self.unknown = 0
        self.first: float | None = None
        self.last: float | None = None
        self.versions: list[str] = []
        self.restarts: list[tuple[float | None, str, bool]] = []    # t, version, announced
        self.accepts = self.forgotten = self.strangers_forgotten = 0
        self.connected_at: dict[float, list[str]] = {}
        self._at = sorted(at or ())
        self._up: bool | None = None        # None: not known, the log began in the middle
        self._by_address: dict[str, str] = {}
        self._sequence, self._watched, self._sequence_watched = sequence, watched, sequence_watched
        self._tell = tell
        self._forget_at = CLIENTS
        self._does = {
            parse.Publish: self._publish, parse.Ack: self._ack, parse.Control: self._control,
            parse.Connected: self._connected, parse.Connack: self._connack,
            parse.Ended: self._ended, parse.Accept: self._accept, parse.Will: self._will,
            parse.WillTopic: self._will_topic, parse.Filter: self._filter,
            parse.Granted: self._granted, parse.Removed: self._removed,
            parse.Refused: self._refused, parse.Dropping: self._dropping,
            parse.UnknownPid: self._unknown_pid, parse.Expired: self._expired,
            parse.Violation: self._violation, parse.Broker: self._broker,
        }

    def feed(self, event: parse.Event) -> None:
        """Takes the next event of the log."""
        self.lines += 1
        kind = type(event)
        t = event.t
        if t is not None and t != self.last:
            if self._at and t > self._at[0]:
                self._look(t)
            if self.first is None or self.last is None:
                self.first = self.last = t
            elif t > self.last:     # lines can be a little out of order
                self.last = t
        does = self._does.get(kind)
        if does:
            does(event)
        elif kind is parse.Unknown:
            self.unknown += 1

    def finish(self) -> None:
        """At the end of the log: what is still open is judged. The sessions stay open."""
        if self._at:
            self._look(float("inf"))
        for client in self.clients.values():
            for flow in list(client.flows.values()):
                away = client.now is None
                if away or (self.last or 0) - (flow.t or 0) > WAITING_S:
                    self._find(client, "waiting-flow", flow.t, _flow(flow, away=away))

    def _look(self, t: float) -> None:
        while self._at and t > self._at[0]:
            self.connected_at[self._at.pop(0)] = sorted(
                c.id for c in self.clients.values() if c.now)

    # -- connections

    def _client(self, name: str) -> Client:
        client = self.clients.get(name)
        if client is None:
            if len(self.clients) >= self._forget_at:
                self._forget()
            client = self.clients[name] = Client(name)
            if self._sequence or name in self._watched:
                client.packets = deque(
                    maxlen=self._sequence_watched if name in self._watched else self._sequence)
        return client

    def _forget(self) -> None:
        for name in [c.id for c in self.clients.values()
                     if not (c.now or c.findings or c.flows) and c.connects <= 1]:
            del self.clients[name]
            self.forgotten += 1
        self._forget_at = max(CLIENTS, 2 * len(self.clients))

    def _present(self, name: str) -> Client:
        """The client that a line shows to be connected, whatever was logged of it before."""
        client = self.clients.get(name)
        if client is None or (client.now is None and not client.sessions):
            client = self._client(name)
            client.now = Session(None)
            client.sessions.append(client.now)
        return client

    def _heard(self, name: str, event: parse.Event) -> Client:
        """A packet came from the client: a sign of life."""
        client = self._present(name)
        t, session = event.t, client.now
        if session is None:         # its CONNECT is missing from the log, a file lost perhaps
            session = client.now = Session(None)
            client.sessions.append(session)
            self._thin(client)
            client.heard = None
        if t is not None:
            if client.heard is not None:
                gap_s = t - client.heard
                if gap_s > client.gap_s:
                    client.gap_s = gap_s
                # Whole seconds: a gap of n can be one of nearly n + 1 or n - 1.
                if session.keepalive_s and gap_s > session.keepalive_s + 1:
                    self._find(client, "late-heartbeat", t, {
                        "gap_s": gap_s, "keepalive_s": session.keepalive_s})
            client.heard = t
        client.seen = t
        if client.packets is not None:
            client.packets.append(event)
        return client

    def _accept(self, event: parse.Accept) -> None:
        self.accepts += 1

    def _connected(self, event: parse.Connected) -> None:
        client, t = self._client(event.client), event.t
        if client.now is not None:          # no line said how the old one ended
            self._end(client, t, "replaced")
        session = Session(t, event.address)
        session.user, session.protocol, session.clean = event.user, event.protocol, event.clean
        session.keepalive_s = event.keepalive_s
        client.now, client.heard, client.seen, client.goodbye = session, t, t, False
        client.connects += 1
        client.sessions.append(session)
        if _host(event.address) != event.address:       # an IP alone may be that of many
            self._by_address[event.address] = event.client
        if client.packets is not None:
            client.packets.append(event)
        if event.clean and client.flows:
            self._lose(client, t)
        if client.taken is not None:
            self._taken(client, session)
        if event.keepalive_s == 0 and not event.bridge:
            self._find(client, "no-keepalive", t, {})
        self._thin(client)
        if self._tell:
            self._tell("session", client, session)

    def _taken(self, client: Client, session: Session) -> None:
        old, client.taken = client.taken, None
        a, b = _host(old.address), _host(session.address)
        t = session.start
        self._find(client, "taken-over", t, {"old": old.address, "new": session.address})
        if client.takeovers is None:
            client.takeovers = deque(maxlen=4)
        client.takeovers.append((t, a, b))
        last = list(client.takeovers)
        back = len(last) >= 2 and last[-2][1] == b != a
        # One address: many in a row, each soon after the other.
        row = len(last) == 4 and len({x for _, *ab in last for x in ab}) == 1
        since = last[-2][0] if back else last[0][0]
        if (back or row) and (t is None or since is None or t - since <= (
                TWIN_WINDOW_S if back else ROW_WINDOW_S)):
            self._find(client, "two-devices", t, {"a": old.address, "b": session.address})

    def _connack(self, event: parse.Connack) -> None:
        if event.code:
            known = self.clients.get(event.client)
            if known or not _ADDRESS.fullmatch(event.client):
                client = self._client(event.client)
                client.refused = True
            else:
                client = self._stranger(event.client)
            client.asked += 1
            client.seen = event.t
            self._find(client, "refused-login", event.t, {
                "connack": event.code, "words": self._complaint(client, event.t)
                or _REFUSALS.get(event.code, "refused")})
            return
        client = self._present(event.client)
        if client.now is None:
            return
        client.now.present = event.session_present
        if event.session_present is False and client.flows:
            self._lose(client, event.t)
        if event.session_present is False:
            client.filters.clear()
        if client.packets is not None:
            client.packets.append(event)

    def _stranger(self, address: str) -> Client:
        client = self.strangers.get(address)
        if client is None:
            if len(self.strangers) >= STRANGERS:
                del self.strangers[next(iter(self.strangers))]
                self.strangers_forgotten += 1
            client = self.strangers[address] = Client(address, stranger=True)
        return client

    def _ended(self, event: parse.Ended) -> None:
        client = self.clients.get(event.client)
        if client is None:
            stranger = (_ADDRESS.fullmatch(event.client)
                        or (event.address and _host(event.address) == event.client))
            # 2.1 writes "session taken over" also when nothing was: who is not known to have
            # been there is not known to have been taken over.
            if not stranger and event.how != "takeover":
                client = self._present(event.client)
                self._end(client, event.t, event.how, event.detail)
            return
        if client.refused:
            client.refused = False
            if event.how == "not-authorised" or not client.now:
                return
        session = client.now
        if session is None:
            last = client.sessions[-1] if client.sessions else None
            # The broker took offence at the DISCONNECT itself.
            if client.goodbye and last and event.how in ("protocol-error", "malformed", "error"):
                client.goodbye = False
                self._count(client, "clean", -1)
                self._count(client, event.how, 1)
                last.how = event.how
                self._ill(client, last, event.t, event.how, event.detail)
            return
        if event.address and session.address and event.address != session.address:
            return
        self._end(client, event.t, event.how, event.detail)
        if event.how == "takeover":
            client.taken = session

    def _end(self, client: Client, t: float | None, how: str, detail: str = "") -> None:
        session, client.now = client.now, None
        assert session is not None
        session.end, session.how = t, how
        client.seen = t
        client.taken = None
        self._count(client, how, 1)
        start = self.first if session.start is None else session.start
        if t is not None and start is not None:
            client.connected_s += max(0, t - start)
        if session.address:
            self._by_address.pop(session.address, None)
        self._ill(client, session, t, how, detail)
        if session.clean and session.protocol != 5:
            client.filters.clear()
            if client.flows and how != "broker-stopped":
                self._lose(client, t)
        if client.packets is not None and how != "clean":
            client.packets.append(parse.Ended(t, client.id, how, session.address, detail))
        if self._tell:
            self._tell("session", client, session)

    def _ill(self, client: Client, session: Session, t: float | None, how: str,
             detail: str) -> None:
        code = _END_FINDINGS.get(how)
        if code is None:
            return
        example: dict[str, object] = {"address": session.address}
        if t is not None and session.start is not None:
            example["after_s"] = t - session.start
        if t is not None and client.heard is not None:
            example["silent_s"] = t - client.heard
        if session.keepalive_s:
            example["keepalive_s"] = session.keepalive_s
        words = detail or self._complaint(client, t)
        if words:
            example["words"] = words
        self._find(client, code, t, example)
        if how in _FLAPS:
            if client.abnormal is None:
                client.abnormal = deque(maxlen=FLAP_ENDS)
            client.abnormal.append(t)
            first = client.abnormal[0]
            if len(client.abnormal) == FLAP_ENDS and t is not None and first is not None \
                    and t - first <= FLAP_WINDOW_S:
                self._find(client, "flapping", t, {"ends": FLAP_ENDS, "within_s": t - first})
                client.abnormal.clear()

    @staticmethod
    def _complaint(client: Client, t: float | None) -> str:
        """Takes the broker's complaint back that just came: it belongs to what follows it."""
        complaint = client.findings.get("misbehaved")
        if complaint is None or complaint.last != t or not complaint.examples:
            return ""
        complaint.count -= 1
        if not complaint.count:
            del client.findings["misbehaved"]
        return str(complaint.examples.pop()["words"])

    @staticmethod
    def _count(client: Client, how: str, n: int) -> None:
        client.ends[how] = client.ends.get(how, 0) + n
        if not client.ends[how]:
            del client.ends[how]

    def _thin(self, client: Client) -> None:
        """Merges neighbours among the older three quarters when there are too many."""
        sessions = client.sessions
        if len(sessions) <= SESSIONS:
            return
        old = SESSIONS * 3 // 4
        merged = []
        for a, b in zip(sessions[0:old:2], sessions[1:old:2]):
            b.start, b.merged = a.start, a.merged + b.merged
            b.received, b.sent = a.received + b.received, a.sent + b.sent
            if a.how != "clean":
                b.how = a.how
            merged.append(b)
        sessions[:old] = merged

    def _expired(self, event: parse.Expired) -> None:
        client = self._client(event.client)
        self._find(client, "session-expired", event.t, {})
        if client.flows:
            self._lose(client, event.t)
        client.filters.clear()

    # -- packets

    def _publish(self, event: parse.Publish) -> None:
        t, sent, name, dup, qos, _, pid, topic_name, size_b = event
        topic = self.topics.get(topic_name)
        if topic is None:
            topic = self._topic(topic_name, t)
        size_b = size_b or 0
        if sent:
            client = self._present(name)
            client.seen = t
            if client.packets is not None:
                client.packets.append(event)
            client.sent += 1
            client.sent_b += size_b
            topic.sent += 1
            topic.sent_b += size_b
            if client.now:
                client.now.sent += 1
        else:
            client = self._heard(name, event)
            client.received += 1
            client.received_b += size_b
            client.now.received += 1
            topic.received += 1
            topic.received_b += size_b
            topic.last = t
        if qos:
            self._begin(client, event)

    def _begin(self, client: Client, event: parse.Publish) -> None:
        key = (event.sent, event.pid)
        flow = client.flows.get(key)
        if event.dup:
            example = {"pid": event.pid, "qos": event.qos, "topic": event.topic}
            code = "resent-by-broker" if event.sent else "sent-twice"
            self._find(client, code, event.t, example)
            if flow is not None:
                flow.copies += 1
                return
        elif flow is not None:
            code = "unfinished-flow" if event.sent else "pid-reused"
            self._find(client, code, event.t, _flow(flow))
        client.flows[key] = Flow(event)

    def _ack(self, event: parse.Ack) -> None:
        t, sent, name, client_name, pid, code = event
        if sent:
            client = self._present(client_name)
            client.seen = t
            if client.packets is not None:
                client.packets.append(event)
        else:
            client = self._heard(client_name, event)
        # PUBREL goes the way of its PUBLISH, the others against it.
        key = (sent, pid) if name == "PUBREL" else (not sent, pid)
        flow = client.flows.get(key)
        if flow is None:
            return
        if name == "PUBREL" and flow.step == "PUBREL":
            flow.copies += 1
            if sent:
                self._find(client, "resent-by-broker", t, {
                    "pid": pid, "qos": 2, "topic": flow.topic, "packet": "PUBREL"})
        last = "PUBACK" if flow.qos == 1 else "PUBCOMP"
        if name != last and not (code and code >= 128):
            flow.step = name
            return
        del client.flows[key]
        if t is not None and flow.t is not None:
            s = t - flow.t
            delays = client.delays.get(flow.sent)
            if delays is None:
                delays = client.delays[flow.sent] = Delays()
            delays.add(s, flow)
            if s >= SLOW_ACK_S:
                self._find(client, "slow-ack", t, {**_flow(flow), "delay_s": s})

    def _lose(self, client: Client, t: float | None) -> None:
        for flow in client.flows.values():
            self._find(client, "unfinished-flow", t, _flow(flow))
        client.flows.clear()

    def _topic(self, name: str, t: float | None) -> Topic:
        if len(self.topics) >= TOPICS:
            by_size = sorted(self.topics, key=lambda x: self.topics[x].received_b
                             + self.topics[x].sent_b)
            other = self.topics.get(OTHER_TOPICS) or Topic(t)
            for small in by_size[:TOPICS // 2]:
                topic = self.topics.pop(small)
                if topic is other:
                    continue
                other.received += topic.received
                other.received_b += topic.received_b
                other.sent += topic.sent
                other.sent_b += topic.sent_b
            self.topics[OTHER_TOPICS] = other
        topic = self.topics[name] = Topic(t)
        return topic

    def _control(self, event: parse.Control) -> None:
        if event.sent:
            client = self.clients.get(event.client)
            if client is not None and client.packets is not None:
                client.packets.append(event)
            return
        if event.name == "DISCONNECT":
            client = self.clients.get(event.client)
            if client is None or client.now is not None:
                client = self._heard(event.client, event)
                # 1.3 writes nothing more; later versions add a line, which then ends nothing.
                self._end(client, event.t, "clean")
                client.goodbye = True
            return
        client = self._heard(event.client, event)
        if event.name == "PINGREQ":
            client.pings += 1

    def _filter(self, event: parse.Filter) -> None:
        if event.denied:
            self._find(self._present(event.client), "denied", event.t, {
                "packet": "SUBSCRIBE", "topic": event.filter})

    def _granted(self, event: parse.Granted) -> None:
        self._present(event.client).filters[event.filter] = event.qos

    def _removed(self, event: parse.Removed) -> None:
        self._present(event.client).filters.pop(event.filter, None)

    def _will(self, event: parse.Will) -> None:
        client = self.clients.get(event.client or "")
        if client and client.now:
            client.now.will = ""

    def _will_topic(self, event: parse.WillTopic) -> None:
        client = self.clients.get(event.client or "")
        if client and client.now:
            client.now.will = event.topic

    def _refused(self, event: parse.Refused) -> None:
        client = self._present(event.client) if event.sent else self._heard(event.client, event)
        self._find(client, "denied" if event.why == "denied" else "dropped", event.t, {
            "packet": "PUBLISH", "sent": event.sent, "why": event.why, "topic": event.topic})

    def _dropping(self, event: parse.Dropping) -> None:
        self._find(self._client(event.client), "dropped", event.t, {"why": "queue full"})

    def _unknown_pid(self, event: parse.UnknownPid) -> None:
        self._find(self._heard(event.client, event), "unknown-packet-id", event.t, {
            "packet": event.name, "pid": event.pid})

    def _violation(self, event: parse.Violation) -> None:
        name = self._by_address.get(event.who, event.who)
        client = self.clients.get(name)
        if client is None:
            client = self._stranger(_host(event.who))
        client.seen = event.t
        self._find(client, "misbehaved", event.t, {"words": event.text})

    # -- the broker

    def _broker(self, event: parse.Broker) -> None:
        if event.version not in self.versions:
            self.versions.append(event.version)
        if event.state == "starting":
            # Without "terminating" before it, the broker was killed or crashed.
            if self._up is not None or self.clients or self.accepts:
                self.restarts.append((event.t, event.version, self._up is False))
            self._stop(event.t)
            self._up = True
        elif event.state == "terminating":
            self._stop(event.t)
            self._up = False
        else:
            self._up = True

    def _stop(self, t: float | None) -> None:
        for client in self.clients.values():
            if client.now:
                self._end(client, t, "broker-stopped")

    def _find(self, client: Client, code: str, t: float | None,
              example: dict[str, object]) -> None:
        finding = client.findings.get(code)
        if finding is None:
            finding = client.findings[code] = Finding(code)
        finding.add(t, example)
        if self._tell:
            self._tell("finding", client, {"code": code, "t": t, **example})

    def has_packets(self) -> bool:
        """False when the broker logged connections only."""
        return any(c.received or c.sent or c.pings for c in self.clients.values())

    def worst_first(self) -> list[Client]:
        """All clients and those strangers with findings, the worst first."""
        everybody = [*self.clients.values(), *(s for s in self.strangers.values() if s.findings)]
        return sorted(everybody, key=lambda c: (-c.weight, c.stranger, c.id))


def _flow(flow: Flow, **more: object) -> dict[str, object]:
    return {"pid": flow.pid, "qos": flow.qos, "topic": flow.topic, "sent": flow.sent,
            "last": flow.step, "copies": flow.copies, "since": flow.t, **more}


def _host(address: str | None) -> str:
    """IP of IP:PORT, and of IP. The port of an IPv6 client is told by its five figures."""
    host, _, port = (address or "").rpartition(":")
    if ":" in host and len(port) != 5:
        return address or ""
    return host or address or ""
