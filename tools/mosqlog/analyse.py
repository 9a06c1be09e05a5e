"""Events of a log, one after the other, to what happened to each client.

    analyser = Analyser()
    for event in events: analyser.feed(event)
    analyser.finish()
    analyser.broker, analyser.storms, analyser.strangers, analyser.bridges, analyser.clients["dev17"].findings, ...

A client id is in one of these states, and these lines move it:

    state       line                                          moves it to, and means
    ----------  --------------------------------------------  -----------------------------------------------------
    away        New client connected from A as ID             connected: a session begins
    (no open    a packet of ID                                connected: a session that began before the log
    session)    ID disconnected, not authorised (and others)  away: a login of ID was refused, there is no session
                an end of ID, which ended just now            away: the echo of that end (echoes.py), dropped
                "disconnected." or "session taken over" of    away: an echo too, where the log has the begins (1.4
                ID, which ended long ago                      and 2.1 write it when a kept session comes back)
                any other end of ID                           away: a session whose begin is not in the log
    connected   an end of ID                                  away: the session ended so
    (a session  DISCONNECT from ID                            away: ended clean; the line to come is its echo
    is open)    ID ... not authorised, when somebody who      connected: another's login with this id was refused
                just came stands at the door
                New client connected from A as ID             connected: the old session was replaced (no line said
                                                              how it ended)
                ID already connected, closing old connection  away, until the CONNECT that did it
                a line that names another address than the    connected: it is about an older connection
                session's (2.1)
    any         mosquitto version ... starting, terminating   away: the broker stopped

Ends are judged a little later (storms.py): many within seconds are one event. A connection that has not said who it is
stands at the door (door.py); an end of the id of a bridge is the bridge's (bridges.py). What an end says of its client:
verdicts.py; packets: packets.py.

One pass. Memory grows with clients and open flows, not with lines: long lists are thinned, see the limits. Times are
those of the events; where a log has none, everything but durations works.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Callable

from . import events, flows, rhythm
from .bridges import Bridges
from .broker_log import BrokerLog
from .clients import Clients
from .condense import Tick, Traffic
from .door import Door
from .echoes import ECHOES, within_echo
from .events import Time
from .families import Families
from .findings import Finding
from .model import (
    Account,
    Audit,
    Bridge,
    Broker,
    Client,
    Family,
    Session,
    Storm,
    Stranger,
    Subject,
    host,
)
from .packets import Packets
from .ranking import ranked
from .returns import Returns
from .slow_broker import SlowBroker, missed_early_s
from .storms import NOT_STORMS, End, Storms
from .strangers import NOBODY, Strangers
from .topics import Topics
from .verdicts import Verdicts

AUDITS = 2_000
SEQUENCE = 40  # packets kept per client, for its sequence chart
STEP_BACK_S = 2  # a clock that goes back by more is told

_WILL_NOT_SENT = ("clean", "open", "broker-stopped", "takeover", "replaced")
_TLS_FAILED = re.compile(r"Client connection from \S+ failed: (.*?)\.?")
_ADDRESS_IN = re.compile(r"Client connection from (\S+?) (?:denied|failed)")


class Analyser:
    """at: moments (seconds since 1970) to note who was connected, see `.connected_at`.
    sequence: packets kept per client for a chart; watched: ids of which `sequence_watched` are.
    tell: called as tell(what, subject, thing) when it happens: "session" (of a Client; thing: the Session that began or
    ended), "finding" (of any Subject; thing: a dict with `code`, `t` and the example), "refusal" (of the Client or
    Stranger; thing: Refusal), "storm" (of the Broker; thing: Storm)."""

    def __init__(
        self,
        at: list[float] | None = None,
        sequence: int = 0,
        watched: frozenset[str] = frozenset(),
        sequence_watched: int = 2000,
        tell: Callable[[str, Subject, object], None] | None = None,
    ):
        self.account = Account()
        self.broker = Broker("broker")
        self.storms: list[Storm] = []
        self.topics = Topics()
        self.audits: deque[Audit] = deque(maxlen=AUDITS)
        self.accepts = 0
        self.begins = 0  # CONNECTs in the log: where there are none, up times are not known
        self.connected_at: dict[float, list[str]] = {}
        self._at = sorted(at or ())
        self._families, self._door = Families(), Door()
        self._bridges = Bridges(self._find)
        self._known = Clients(self._bridges, self._find, sequence, watched, sequence_watched)
        self.clients = self._known.all
        self._packets = Packets(self._known, self.topics, self._find)
        self._strangers = Strangers(self._door, self.clients, self._known.at, self._find, self._tell)
        self.strangers, self.refusals = self._strangers.all, self._strangers.refusals
        self._log = BrokerLog(
            self.broker, lambda code, t, example: self._find(self.broker, code, t, example, True), self._stop
        )
        self._storms = Storms(self.broker, self._stormed)
        self._slow_broker = SlowBroker(self.broker, self._find, self._storms.slow)
        self._verdicts = Verdicts(self._find, self._slow_broker)
        self._returns = Returns(self._find)
        self._whole = False  # the log has the broker's start, or everybody's begin
        self._lull_s = 0.0  # between the latest two times
        self._by_address: dict[str, str] = {}
        self._keeps_packets = bool(sequence or watched)
        self.tell = tell
        self._does: dict[type, Callable] = {
            events.Publish: self._packets.publish,
            events.Ack: self._packets.ack,
            events.Control: self._control,
            events.Connected: self._connected,
            events.Connack: self._connack,
            events.Ended: self._ended,
            events.Accept: self._accept,
            events.Will: self._will,
            events.WillTopic: self._will_topic,
            events.Filter: self._packets.asked,
            events.Granted: self._packets.granted,
            events.Removed: self._packets.removed,
            events.Refused: self._packets.refused,
            events.Dropping: self._packets.dropping,
            events.UnknownPid: self._packets.unknown_pid,
            events.Expired: self._expired,
            events.Violation: self._violation,
            events.Broker: self._broker,
            events.Trouble: self._trouble,
            events.Host: self._host,
            events.Tls: self._tls,
            events.Bridging: self._bridges.said,
            events.Command: self._command,
            events.Saving: self._saving,
            events.Listening: self._log.listening,
            events.Plugin: self._plugin,
        }

    @property
    def bridges(self) -> dict[str, Bridge]:
        """The bridges of this broker, by name."""
        return self._bridges.all

    @property
    def families(self) -> dict[str, Family]:
        """Devices that make themselves a new id each time, by stem and place."""
        return self._families.found

    @property
    def forgotten(self) -> int:
        """Clients that are only counted."""
        return self._known.forgotten

    @property
    def refused(self) -> int:
        """CONNECTs that the broker refused."""
        return self._strangers.refused

    @property
    def strangers_forgotten(self) -> int:
        """Addresses that are only counted."""
        return self._strangers.forgotten

    @property
    def wants_packets(self) -> bool:
        """Whether each packet matters: some are kept for a chart, or a moment was asked for."""
        return self._keeps_packets or bool(self._at)

    def feed(self, event: events.Event | Traffic | Tick) -> None:
        """Takes the next event of the log."""
        account = self.account
        kind = type(event)
        if kind is Traffic:
            self._packets.traffic(event)
            return
        if kind is Tick:
            account.lines += event.lines
            if event.t is None:
                account.timeless += event.lines
            elif event.t != account.now:
                self._time(event.t)
            return
        account.lines += 1
        if kind is events.Foreign:
            account.foreign += 1
            return
        t = event.t
        if t is None:
            account.timeless += 1
        elif t != account.now:
            self._time(t)
        does = self._does.get(kind)
        if does:
            does(event)
        elif kind is events.Unknown:
            account.unknown += 1

    def settle(self) -> None:
        """Nothing more comes for now (in a log that is followed): what was held back is judged."""
        self._strangers.told()
        self._door.settle(None)
        self._storms.settle(None)

    def finish(self) -> None:
        """At the end of the log: what is still open is judged. The sessions stay open."""
        if self._at:
            self._look(float("inf"))
        self.settle()
        self.tell = None  # from here on it is judged as a whole, which is no news
        self._returns.finish(self.account.last)
        for client in self.clients.values():
            for found in flows.waiting(client, self.account.last):
                self._find(client, *found)
            for found in rhythm.found(client):
                self._find(client, *found)
        for family in self.families.values():
            if not family.findings:
                self._find(
                    family,
                    "new-id-each-time",
                    family.last,
                    {"ids": family.ids, "stem": family.id, "address": family.address, "user": family.user},
                )
        self._strangers.judge(self.broker, self.begins)

    def up_s(self, client: Client) -> float | None:
        """How long it was connected within the log, None where the log does not say: its begins are not in it."""
        if client.beginless > 1 or (client.beginless and not self.begins) or self.account.last is None:
            return None
        up_s = client.connected_s
        if client.session is not None:
            start = self.account.first if client.session.start is None else client.session.start
            up_s += max(0, self.account.last - start) if start is not None else 0
        return up_s

    def worst_first(self) -> list[Client]:
        """All clients, the worst first."""
        return ranked(self.clients.values())

    def worst_strangers(self) -> list[Stranger]:
        """All strangers, the worst first."""
        return sorted(
            self.strangers.values(), key=lambda stranger: (-stranger.weight, -stranger.connections, stranger.id)
        )

    def has_packets(self) -> bool:
        """False when the broker logged connections only."""
        return any(client.received or client.sent or client.pings for client in self.clients.values())

    # -- time

    def _time(self, t: float) -> None:
        account = self.account
        if self._at and t > self._at[0]:
            self._look(t)
        last = account.now
        account.now = t
        if account.first is None or account.last is None:
            account.first = account.last = t
        elif t > account.last:
            account.last = t
        if last is not None:
            self._lull_s = t - last
            if self._lull_s < -STEP_BACK_S and len(account.steps_back) < 100:
                account.steps_back.append((t, -self._lull_s))
                account.first = min(t, account.first if account.first is not None else t)
        self._strangers.time(t)
        if self._door.waiting:
            self._door.settle(t)
        if self._storms.holding:
            self._storms.settle(t)

    def _look(self, t: float) -> None:
        while self._at and t > self._at[0]:
            self.connected_at[self._at.pop(0)] = sorted(client.id for client in self.clients.values() if client.session)

    # -- connections

    def _accept(self, event: events.Accept) -> None:
        self.accepts += 1
        self._door.accept(event.t, event.address, event.port)

    def _connected(self, event: events.Connected) -> None:
        t = event.t
        self._strangers.plugin_said = ""
        client = self._known.at(event.client)
        caller = self._door.enter(event.address)
        if caller is not None:
            self._slow_broker.connected(client.id, caller.t, t)
        known = self.strangers.get(host(event.address))
        if known is not None:
            known.sessions += 1
        if client.session is not None:  # no line said how the old one ended
            self._end(client, t, "replaced")
        session = Session(
            t, event.address, user=event.user, protocol=event.protocol, clean=event.clean, keepalive_s=event.keepalive_s
        )
        client.bridge = event.bridge
        client.last_heard = client.last_seen = t
        client.trail.said_goodbye = False
        client.connects += 1
        self.begins += 1
        self._known.open(client, session)
        if t is not None:
            self._returns.came_back(client, t)
        if host(event.address) != event.address:  # an IP alone may be that of many
            self._by_address[event.address] = event.client
        if client.packets is not None:
            client.packets.append(event)
        if event.clean and client.flows:
            self._packets.lose(client, t)
        if client.trail.taken_over is not None:
            self._verdicts.taken_over(client, session)
        if event.keepalive_s == 0 and not event.bridge:
            self._find(client, "no-keepalive", t, {})
        self._families.connected(client, session)
        self._tell("session", client, session)

    def _connack(self, event: events.Connack) -> None:
        if event.code:
            self._strangers.connack(event)
            return
        if self._bridges.owner(event.client) and event.client not in self.clients:
            return
        client = self._known.present(event.client)
        if client.session is None:
            return
        client.session.present = event.session_present
        if event.session_present is False and client.flows:
            self._packets.lose(client, event.t)
        if event.session_present is False:
            client.subscriptions.clear()
        if client.packets is not None:
            client.packets.append(event)

    def _ended(self, event: events.Ended) -> None:
        if event.client in NOBODY:
            self._strangers.ended(event)
            return
        client = self.clients.get(event.client)
        if client is None:
            bridge = self._bridges.owner(event.client)
            if bridge:
                self._bridges.ended(bridge, event)
                if bridge.client and bridge.client.session:
                    bridge.client.session = None
                return
        if self._strangers.is_echo(event):
            return
        if event.how in ("not-authorised", "refused") and self._is_refused_login(client, event):
            self._strangers.login_refused(event)
            return
        if client is None:
            if event.how == "takeover" and not event.detail:
                return  # 2.1 says so of kept sessions too: who was not there was not taken over
            client = self._known.at(event.client)
        session = client.session
        if session is None:
            self._ended_while_away(client, event)
        elif not (event.address and session.address and event.address != session.address):
            self._end(client, event.t, event.how, event.detail if event.how != "takeover" else "")
            if event.how == "takeover":
                client.trail.taken_over = session

    def _is_refused_login(self, client: Client | None, event: events.Ended) -> bool:
        if event.detail == "no longer authorised":
            return False
        if client is None or client.session is None:
            return not (
                client and within_echo(client.trail.ended_t, event.t) and client.trail.ended_how == "not-authorised"
            )
        if event.address and client.session.address:
            return event.address != client.session.address
        return self._door.standing_at(event.t)

    def _ended_while_away(self, client: Client, event: events.Ended) -> None:
        trail, how = client.trail, event.how
        last = client.sessions[-1] if client.sessions else None
        # The broker took offence at the DISCONNECT itself.
        if trail.said_goodbye and last and how in ("protocol-error", "malformed", "error"):
            trail.said_goodbye = False
            self._count(client, "clean", -1)
            self._count(client, how, 1)
            last.how = how
            self._verdicts.ended(
                client, last, event.t, how, event.detail or client.take_complaint(event.t), client.last_heard
            )
            return
        if last and within_echo(trail.ended_t, event.t) and how in ECHOES.get(trail.ended_how, ()):
            return
        if last and (trail.said_goodbye or trail.ended_how == "broker-stopped") and how in ("clean", "closed"):
            trail.said_goodbye = False  # 1.3 has only "Socket error" for it, whenever it comes
            return
        if how == "takeover" and not event.detail or (how == "clean" and last and last.start is not None):
            return
        client.beginless += 1
        self._known.open(client, Session(address=event.address))
        self._end(client, event.t, how, event.detail if how != "takeover" else "")

    def _end(self, client: Client, t: Time, how: str, detail: str = "") -> None:
        session, connected = self._known.close(client)
        session.end, session.how = t, how
        client.last_seen = t
        trail = client.trail
        trail.taken_over = None
        trail.ended_t, trail.ended_how = t, how
        self._count(client, how, 1)
        if t is not None and session.start is not None:
            client.connected_s += max(0, t - session.start)
        elif t is not None and not client.beginless and self.account.first is not None:
            client.connected_s += max(0, t - self.account.first)
        if session.will is not None and how not in _WILL_NOT_SENT:
            client.wills_fired += 1
        if session.address:
            self._by_address.pop(session.address, None)
        if session.clean and session.protocol != 5:
            client.subscriptions.clear()
            if client.flows and how != "broker-stopped":
                self._packets.lose(client, t)
        if client.packets is not None and how != "clean":
            client.packets.append(events.Ended(t, client.id, how, session.address, detail))
        heard = client.last_heard
        words = detail or client.take_complaint(t)
        if t is None or how in NOT_STORMS:
            self._verdicts.ended(client, session, t, how, words, heard)
        else:
            self._storms.hold(
                End(
                    t,
                    client,
                    session,
                    lambda: self._verdicts.ended(client, session, t, how, words, heard),
                    missed_early_s(session, how, t, heard),
                ),
                connected if self._whole else None,
                self._lull_s,
            )
        for name in self._families.ended(client, session):
            self._known.drop(name)
        self._tell("session", client, session)

    def _stormed(self, storm: Storm) -> None:
        self.storms.append(storm)
        self._find(
            self.broker,
            "many-at-once",
            storm.first,
            {
                "clients": storm.count,
                "connected": storm.connected,
                "hows": dict(storm.ends),
                "cause": storm.cause,
                "within_s": (storm.last or 0) - (storm.first or 0),
                **storm.facts,
            },
        )
        self._returns.fell_out(
            [self.clients[name] for name in storm.clients if name in self.clients], storm.last, "storm"
        )
        self._tell("storm", self.broker, storm)

    @staticmethod
    def _count(client: Client, how: str, more: int) -> None:
        client.ends[how] = client.ends.get(how, 0) + more
        if not client.ends[how]:
            del client.ends[how]

    def _expired(self, event: events.Expired) -> None:
        client = self._known.at(event.client)
        self._find(client, "session-expired", event.t, {})
        if client.flows:
            self._packets.lose(client, event.t)
        client.subscriptions.clear()

    # -- what else is said of a client

    def _control(self, event: events.Control) -> None:
        if event.sent:
            client = self.clients.get(event.client)
            if client is not None and client.packets is not None:
                client.packets.append(event)
            return
        if event.name == "DISCONNECT":
            client = self.clients.get(event.client)
            if client is None or client.session is not None:
                client = self._known.heard(event.client, event)
                # 1.3 writes nothing more; later versions add a line, which then ends nothing.
                self._end(client, event.t, "clean")
                client.trail.said_goodbye = True
            return
        client = self._known.heard(event.client, event)
        if event.name == "PINGREQ":
            client.pings += 1

    def _will(self, event: events.Will) -> None:
        client = self.clients.get(event.client or "")
        if client and client.session:
            client.session.will = ""

    def _will_topic(self, event: events.WillTopic) -> None:
        client = self.clients.get(event.client or "")
        if client and client.session:
            client.session.will = event.topic

    def _violation(self, event: events.Violation) -> None:
        name = self._by_address.get(event.who, event.who)
        client: Subject | None = self.clients.get(name)
        if client is None:
            # Who is not connected is named by his address, if he was not yet asked for his id.
            address = host(event.who)
            if not self._strangers.is_known(event.who):
                address = ""
            client = self._strangers.at(address, event.t)
        client.last_seen = event.t
        failed = _TLS_FAILED.fullmatch(event.text)
        if failed and isinstance(client, Stranger):
            self._strangers.tls_failed(client, event.t, failed[1])
            return
        self._find(client, "misbehaved", event.t, {"words": event.text})

    # -- the broker

    def _broker(self, event: events.Broker) -> None:
        if self.clients or self.accepts:
            self._log.alive()
        self._log.said(event, self._lull_s)
        if event.state == "starting":
            self._whole = True
            self._returns.broker_began(event.t)

    def _stop(self, t: Time) -> None:
        self._door.clear()
        self._storms.settle(None)
        there = [client for client in self.clients.values() if client.session]
        for client in there:
            self._end(client, t, "broker-stopped")
        if there:
            self._returns.fell_out(there, t, "restart")
        self._known.connected = 0

    def _trouble(self, event: events.Trouble) -> None:
        if event.code == "broker-limit" or event.code == "broker-tcpd":
            match = _ADDRESS_IN.match(event.text)
            if match:
                self._strangers.turned_away(match[1], event.t)
        self._log.trouble(event)

    def _host(self, event: events.Host) -> None:
        self._log.host(event)

    def _tls(self, event: events.Tls) -> None:
        bridge = self._bridges.connecting(event.t)
        if bridge is not None and not self._door.standing_at(event.t):
            self._bridges.tls(bridge, event.t, event.text)
        else:
            self._door.tls(event.t, event.text)

    def _command(self, event: events.Command) -> None:
        self.audits.append(Audit(event.t, event.client, event.user, event.command, event.arguments))

    def _saving(self, event: events.Saving) -> None:
        self.broker.last_saved = event.t

    def _plugin(self, event: events.Plugin) -> None:
        if event.refused:
            self._strangers.plugin_said = event.text
            self._find(self.broker, "plugin-refuses", event.t, {"words": event.text}, True)

    # -- judgement

    def _tell(self, what: str, subject: Subject, thing: object) -> None:
        if self.tell:
            self.tell(what, subject, thing)

    def _find(
        self, subject: Subject, code: str, t: Time, example: dict[str, object], distinct: bool = False
    ) -> dict[str, object]:
        finding = subject.findings.get(code)
        if finding is None:
            finding = subject.findings[code] = Finding(code)
        kept = finding.add(t, example, distinct)
        if self.tell:
            self.tell("finding", subject, {"code": code, **kept, "t": t})
        return kept
