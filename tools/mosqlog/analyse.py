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
from collections import deque
from typing import Callable

from . import parse
from .findings import Finding
from .model import (
    SESSIONS,
    Account,
    Audit,
    Bridge,
    Broker,
    Client,
    Delays,
    Family,
    Flow,
    Refusal,
    Restart,
    Session,
    Storm,
    Stranger,
    Topic,
    host,
)

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
# A takeover sends the will of a session that is not kept, a stop of the broker that of all, to nobody: not counted.
_KEEPS_WILL = ("clean", "takeover", "replaced", "broker-stopped")
_FLAPS = ("closed", "timeout", "error", "protocol-error", "malformed", "oversize")
_ADDRESS = re.compile(r"[0-9a-fA-F.:]+|<unknown>|\(null\)")


class Analyser:
    """at: moments (seconds since 1970) to note who was connected, see `.connected_at`.
    sequence: packets kept per client for a chart; watched: ids of which `sequence_watched` are.
    tell: called as tell(what, client, thing) when it happens, what is "session" (thing: the
    Session that began or ended) or "finding" (thing: code and example)."""

    def __init__(self, at: list[float] | None = None, sequence: int = 0,
                 watched: frozenset[str] = frozenset(), sequence_watched: int = 2000,
                 tell: Callable[[str, Client, object], None] | None = None):
        self.clients: dict[str, Client] = {}
        self.families: dict[str, Family] = {}
        self.strangers: dict[str, Stranger] = {}
        self.bridges: dict[str, Bridge] = {}
        self.broker = Broker("broker")
        self.storms: list[Storm] = []
        self.audits: list[Audit] = []
        self.refusals: list[Refusal] = []
        self.account = Account()
        self.topics: dict[str, Topic] = {}
        self.accepts = self.forgotten = self.strangers_forgotten = 0
        self.connected_at: dict[float, list[str]] = {}
        self._at = sorted(at or ())
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
        self.account.lines += 1
        kind = type(event)
        t = event.t
        if t is not None and t != self.account.last:
            if self._at and t > self._at[0]:
                self._look(t)
            if self.account.first is None or self.account.last is None:
                self.account.first = self.account.last = t
            elif t > self.account.last:     # lines can be a little out of order
                self.account.last = t
        does = self._does.get(kind)
        if does:
            does(event)
        elif kind is parse.Unknown:
            self.account.unknown += 1

    def finish(self) -> None:
        """At the end of the log: what is still open is judged. The sessions stay open."""
        if self._at:
            self._look(float("inf"))
        for client in self.clients.values():
            for flow in list(client.flows.values()):
                away = client.session is None
                if away or (self.account.last or 0) - (flow.t or 0) > WAITING_S:
                    self._find(client, "waiting-flow", flow.t, _flow(flow, away=away))

    def _look(self, t: float) -> None:
        while self._at and t > self._at[0]:
            self.connected_at[self._at.pop(0)] = sorted(
                c.id for c in self.clients.values() if c.session)

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
                     if not (c.session or c.findings or c.flows) and c.connects <= 1]:
            del self.clients[name]
            self.forgotten += 1
        self._forget_at = max(CLIENTS, 2 * len(self.clients))

    def _present(self, name: str) -> Client:
        """The client that a line shows to be connected, whatever was logged of it before."""
        client = self.clients.get(name)
        if client is None or (client.session is None and not client.sessions):
            client = self._client(name)
            client.session = Session(None)
            client.sessions.append(client.session)
        return client

    def _heard(self, name: str, event: parse.Event) -> Client:
        """A packet came from the client: a sign of life."""
        client = self._present(name)
        t, session = event.t, client.session
        if session is None:         # its CONNECT is missing from the log, a file lost perhaps
            session = client.session = Session(None)
            client.sessions.append(session)
            self._thin(client)
            client.last_heard = None
        if t is not None:
            if client.last_heard is not None:
                gap_s = t - client.last_heard
                if gap_s > client.longest_silence_s:
                    client.longest_silence_s = gap_s
                # Whole seconds: a gap of n can be one of nearly n + 1 or n - 1.
                if session.keepalive_s and gap_s > session.keepalive_s + 1:
                    self._find(client, "late-heartbeat", t, {
                        "gap_s": gap_s, "keepalive_s": session.keepalive_s})
            client.last_heard = t
        client.last_seen = t
        if client.packets is not None:
            client.packets.append(event)
        return client

    def _accept(self, event: parse.Accept) -> None:
        self.accepts += 1

    def _connected(self, event: parse.Connected) -> None:
        client, t = self._client(event.client), event.t
        if client.session is not None:          # no line said how the old one ended
            self._end(client, t, "replaced")
        session = Session(t, event.address)
        session.user, session.protocol, session.clean = event.user, event.protocol, event.clean
        session.keepalive_s = event.keepalive_s
        client.session, client.last_heard, client.last_seen, client.trail.said_goodbye = session, t, t, False
        client.connects += 1
        client.sessions.append(session)
        if host(event.address) != event.address:       # an IP alone may be that of many
            self._by_address[event.address] = event.client
        if client.packets is not None:
            client.packets.append(event)
        if event.clean and client.flows:
            self._lose(client, t)
        if client.trail.taken_over is not None:
            self._taken(client, session)
        if event.keepalive_s == 0 and not event.bridge:
            self._find(client, "no-keepalive", t, {})
        self._thin(client)
        if self._tell:
            self._tell("session", client, session)

    def _taken(self, client: Client, session: Session) -> None:
        old, client.trail.taken_over = client.trail.taken_over, None
        a, b = host(old.address), host(session.address)
        t = session.start
        self._find(client, "taken-over", t, {"old": old.address, "new": session.address})
        client.trail.takeovers.append((t, a, b))
        last = list(client.trail.takeovers)
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
                client.trail.refused = True
            else:
                client = self._stranger(event.client)
            client.refused += 1
            client.last_seen = event.t
            self._find(client, "refused-login", event.t, {
                "connack": event.code, "words": self._complaint(client, event.t)
                or _REFUSALS.get(event.code, "refused")})
            return
        client = self._present(event.client)
        if client.session is None:
            return
        client.session.present = event.session_present
        if event.session_present is False and client.flows:
            self._lose(client, event.t)
        if event.session_present is False:
            client.subscriptions.clear()
        if client.packets is not None:
            client.packets.append(event)

    def _stranger(self, address: str) -> Stranger:
        client = self.strangers.get(address)
        if client is None:
            if len(self.strangers) >= STRANGERS:
                del self.strangers[next(iter(self.strangers))]
                self.strangers_forgotten += 1
            client = self.strangers[address] = Stranger(address)
        return client

    def _ended(self, event: parse.Ended) -> None:
        client = self.clients.get(event.client)
        if client is None:
            stranger = (_ADDRESS.fullmatch(event.client)
                        or (event.address and host(event.address) == event.client))
            # 2.1 writes "session taken over" also when nothing was: who is not known to have
            # been there is not known to have been taken over.
            if not stranger and event.how != "takeover":
                client = self._present(event.client)
                self._end(client, event.t, event.how, event.detail)
            return
        if client.trail.refused:
            client.trail.refused = False
            if event.how == "not-authorised" or not client.session:
                return
        session = client.session
        if session is None:
            last = client.sessions[-1] if client.sessions else None
            # The broker took offence at the DISCONNECT itself.
            if client.trail.said_goodbye and last and event.how in ("protocol-error", "malformed", "error"):
                client.trail.said_goodbye = False
                self._count(client, "clean", -1)
                self._count(client, event.how, 1)
                last.how = event.how
                client.wills_fired += last.will is not None
                self._ill(client, last, event.t, event.how, event.detail)
            return
        if event.address and session.address and event.address != session.address:
            return
        self._end(client, event.t, event.how, event.detail)
        if event.how == "takeover":
            client.trail.taken_over = session

    def _end(self, client: Client, t: float | None, how: str, detail: str = "") -> None:
        session, client.session = client.session, None
        assert session is not None
        session.end, session.how = t, how
        client.last_seen = t
        client.trail.taken_over = None
        self._count(client, how, 1)
        start = self.account.first if session.start is None else session.start
        if t is not None and start is not None:
            client.connected_s += max(0, t - start)
        if session.address:
            self._by_address.pop(session.address, None)
        if session.will is not None and how not in _KEEPS_WILL:
            client.wills_fired += 1
        self._ill(client, session, t, how, detail)
        if session.clean and session.protocol != 5:
            client.subscriptions.clear()
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
        if t is not None and client.last_heard is not None:
            example["silent_s"] = t - client.last_heard
        if session.keepalive_s:
            example["keepalive_s"] = session.keepalive_s
        words = detail or self._complaint(client, t)
        if words:
            example["words"] = words
        self._find(client, code, t, example)
        if how in _FLAPS:
            client.trail.broken.append(t)
            first = client.trail.broken[0]
            if len(client.trail.broken) == FLAP_ENDS and t is not None and first is not None \
                    and t - first <= FLAP_WINDOW_S:
                self._find(client, "flapping", t, {"ends": FLAP_ENDS, "within_s": t - first})
                client.trail.broken.clear()

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
        client.subscriptions.clear()

    # -- packets

    def _publish(self, event: parse.Publish) -> None:
        t, sent, name, dup, qos, _, pid, topic_name, size_b = event
        topic = self.topics.get(topic_name)
        if topic is None:
            topic = self._topic(topic_name, t)
        size_b = size_b or 0
        if sent:
            client = self._present(name)
            client.last_seen = t
            if client.packets is not None:
                client.packets.append(event)
            client.sent += 1
            client.sent_b += size_b
            topic.sent += 1
            topic.sent_b += size_b
            if client.session:
                client.session.sent += 1
        else:
            client = self._heard(name, event)
            client.received += 1
            client.received_b += size_b
            client.session.received += 1
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
        client.flows[key] = Flow.begun(event)

    def _ack(self, event: parse.Ack) -> None:
        t, sent, name, client_name, pid, code = event
        if sent:
            client = self._present(client_name)
            client.last_seen = t
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
            delays.add(s, flow.topic, flow.t)
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
            if client is None or client.session is not None:
                client = self._heard(event.client, event)
                # 1.3 writes nothing more; later versions add a line, which then ends nothing.
                self._end(client, event.t, "clean")
                client.trail.said_goodbye = True
            return
        client = self._heard(event.client, event)
        if event.name == "PINGREQ":
            client.pings += 1

    def _filter(self, event: parse.Filter) -> None:
        if event.denied:
            self._find(self._present(event.client), "denied", event.t, {
                "packet": "SUBSCRIBE", "topic": event.filter})

    def _granted(self, event: parse.Granted) -> None:
        self._present(event.client).subscriptions[event.filter] = event.qos

    def _removed(self, event: parse.Removed) -> None:
        self._present(event.client).subscriptions.pop(event.filter, None)

    def _will(self, event: parse.Will) -> None:
        client = self.clients.get(event.client or "")
        if client and client.session:
            client.session.will = ""

    def _will_topic(self, event: parse.WillTopic) -> None:
        client = self.clients.get(event.client or "")
        if client and client.session:
            client.session.will = event.topic

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
            client = self._stranger(host(event.who))
        client.last_seen = event.t
        self._find(client, "misbehaved", event.t, {"words": event.text})

    # -- the broker

    def _broker(self, event: parse.Broker) -> None:
        if event.version not in self.broker.versions:
            self.broker.versions.append(event.version)
        if event.state == "starting":
            # Without "terminating" before it, the broker was killed or crashed.
            if self.broker.up is not None or self.clients or self.accepts:
                self.broker.restarts.append(
                    Restart(event.t, event.version, self.broker.up is False))
            self._stop(event.t)
            self.broker.up = True
        elif event.state == "terminating":
            self._stop(event.t)
            self.broker.up = False
        else:
            self.broker.up = True

    def _stop(self, t: float | None) -> None:
        for client in self.clients.values():
            if client.session:
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
        """All clients, the worst first."""
        return sorted(self.clients.values(), key=lambda c: (-c.weight, c.id))

    def worst_strangers(self) -> list[Stranger]:
        """All strangers, the worst first."""
        return sorted(self.strangers.values(), key=lambda s: (-s.weight, -s.connections, s.id))


def _flow(flow: Flow, **more: object) -> dict[str, object]:
    return {"pid": flow.pid, "qos": flow.qos, "topic": flow.topic, "sent": flow.sent,
            "last": flow.step, "copies": flow.copies, "since": flow.t, **more}
