"""Who did not get in: refused logins, connections without a CONNECT, TLS that failed. By address, and by id where that
is known.

The lines of one refusal come one after the other: in a CONNACK that says no, then in an end that adds the address or
the id. Before 2.1 an end often names neither; then `door` decides who stood there, perhaps later.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from typing import Callable, Protocol

from . import events, troubles
from .door import Departure, Door
from .echoes import ECHOES, within_echo
from .events import Time
from .model import Broker, Client, Refusal, Stranger, Subject, host

STRANGERS = 5_000  # addresses that were refused or never sent a CONNECT; then the oldest is only counted
REFUSALS = 10_000  # the latest
NAMES = 20  # ids and TLS errors kept of a stranger
MUTE = 2  # connections without a word of MQTT that are worth a word

NOBODY = ("<unknown>", "(null)", "")
_REFUSALS = {
    1: "unacceptable protocol version",
    2: "id rejected",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorised",
    128: "unspecified error",
    129: "malformed packet",
    130: "protocol error",
    132: "unsupported protocol version",
    133: "client identifier not valid",
    134: "bad user name or password",
    135: "not authorised",
    136: "server unavailable",
    137: "server busy",
    138: "banned",
    140: "bad authentication method",
    144: "topic name invalid",
    149: "packet too large",
    151: "quota exceeded",
    154: "retain not supported",
    155: "QoS not supported",
    159: "connection rate exceeded",
}


class Find(Protocol):
    """Notes a finding of a subject."""

    def __call__(
        self, subject: Subject, code: str, t: Time, example: dict[str, object], distinct: bool = False
    ) -> object: ...


class Strangers:
    """door: where connections stand that have not said who they are. clients: all, by id; client(id) makes one that is
    new. find(subject, code, t, example, distinct) notes a finding, tell(what, subject, thing) tells it at once."""

    def __init__(
        self,
        door: Door,
        clients: dict[str, Client],
        client: Callable[[str], Client],
        find: Find,
        tell: Callable[[str, Subject, object], None],
    ):
        self.all: dict[str, Stranger] = {}
        self.refusals: deque[Refusal] = deque(maxlen=REFUSALS)
        self.refused = self.forgotten = 0
        self.plugin_said = ""  # a plugin refused the login whose end comes next
        self._door = door
        self._clients, self._client = clients, client
        self._find, self._tell = find, tell
        self._refusing: tuple[str, Refusal] | None = None  # a CONNACK said no to this name; its end follows
        self._nobody_end: tuple[Time, str] = (None, "")  # when and how somebody without an id ended last

    def at(self, address: str, t: Time) -> Stranger:
        """The stranger of this IP, seen at t."""
        stranger = self.all.get(address)
        if stranger is None:
            if len(self.all) >= STRANGERS:
                del self.all[next(iter(self.all))]
                self.forgotten += 1
            stranger = self.all[address] = Stranger(address, first=t)
        stranger.last_seen = t
        return stranger

    def is_known(self, who: str) -> bool:
        """Whether this is an address, and no client id."""
        return _is_ip(host(who)) or self._door.knows(who)

    # -- refused logins

    def connack(self, event: events.Connack) -> None:
        """A CONNACK said no. The end of this connection follows and is no other refusal. Before 2.1 the name may be an
        address."""
        why = _REFUSALS.get(event.code, "refused")
        is_address = event.client not in self._clients and self.is_known(event.client)
        name = None if is_address or event.client in NOBODY else event.client
        self.told()
        refusal = self._refuse(event.t, name, event.client if is_address else None, why, event.code, tell=False)
        self._refusing = (event.client, refusal)

    def time(self, t: float) -> None:
        """It is t now: the end of a refusal long ago does not come any more."""
        if self._refusing is not None and not within_echo(self._refusing[1].t, t):
            self.told()

    def told(self) -> None:
        """Nothing more is learnt of the refusal whose CONNACK came."""
        refusing, self._refusing = self._refusing, None
        if refusing is not None:
            self._tell("refusal", self._refused_one(refusing[1]), refusing[1])

    def is_echo(self, event: events.Ended) -> bool:
        """Whether this is the end of the connection whose CONNACK just said no: it adds the address or the id."""
        if self._refusing is None or event.how in ("timeout", "takeover"):
            return False
        name, refusal = self._refusing
        if not within_echo(refusal.t, event.t) or not (
            event.client in NOBODY or refusal.client is None or event.client == name
        ):
            return False
        if refusal.client is None and event.client not in NOBODY:
            refusal.client = event.client
            known = self._client(event.client)
            known.refused += 1
            known.last_seen = event.t
            self._find(known, "refused-login", event.t, {"words": refusal.why, "address": refusal.address})

        def told(departure: Departure) -> None:
            who = departure.who
            if refusal.address is None and who is not None and departure.certain:
                self._refused_from(refusal, who.address, {"words": refusal.why, "id": refusal.client})
            if who is not None:
                if who.host == refusal.address:
                    refusal.address = who.address  # with its port
                self._left(departure, "not-authorised")
            self.told()

        self._door.leave(event.t, event.address or (refusal.address if ":" in str(refusal.address) else None), told)
        return True

    def login_refused(self, event: events.Ended) -> None:
        """An end that says itself that it was a refused login."""
        why = event.detail or "not authorised"
        name = None if event.client in NOBODY else event.client

        def told(departure: Departure) -> None:
            address = departure.who.address if departure.who and departure.certain else None
            refusal = self._refuse(departure.t, name, address, why, None)
            if departure.who is not None:
                self._left(departure, "not-authorised")
            elif name is None:
                self._refused_from(refusal, "", {"words": why, "id": None})
                refusal.address = None

        self._door.leave(event.t, event.address, told)

    def _refuse(
        self, t: Time, name: str | None, address: str | None, why: str, code: int | None, tell: bool = True
    ) -> Refusal:
        """A login was refused: counted for the client, where its id is known, and for the address, where that is."""
        client = self._client(name) if name is not None else None
        user = client.sessions[-1].user if client and client.sessions else None
        refusal = Refusal(t, name, address, user, why)
        self.refused += 1
        self.refusals.append(refusal)
        example: dict[str, object] = {"words": why, "address": address, "id": name}
        if code:
            example["connack"] = code
        if client is not None:
            complaint = client.take_complaint(t)
            client.refused += 1
            client.last_seen = t
            self._find(client, "refused-login", t, {**example, "words": complaint} if complaint else example)
        if address is not None:
            self._refused_from(refusal, address, example)
        if tell:
            self._tell("refusal", self._refused_one(refusal), refusal)
        return refusal

    def _refused_one(self, refusal: Refusal) -> Subject:
        address = host(refusal.address)
        return self._clients.get(refusal.client or "") or self.all.get(address) or Stranger(address)

    def _refused_from(self, refusal: Refusal, address: str, example: dict[str, object]) -> None:
        stranger = self.at(host(address), refusal.t)
        stranger.refused += 1
        refusal.address = example["address"] = address
        if refusal.client and (refusal.client in stranger.ids or len(stranger.ids) < NAMES):
            stranger.ids[refusal.client] = stranger.ids.get(refusal.client, 0) + 1
        self._find(stranger, "refused-login", refusal.t, example)

    # -- connections that never said who they were

    def ended(self, event: events.Ended) -> None:
        """A connection ended that never said who it was."""
        if self.is_echo(event):
            return
        plugin_said, self.plugin_said = self.plugin_said, ""
        if event.how == "closed" and plugin_said:  # to 1.6 only the plugin says why
            self.login_refused(event._replace(detail=plugin_said))
        elif event.how in ("not-authorised", "refused"):
            self.login_refused(event)
        elif not self._is_second_line(event):
            self._door.leave(event.t, event.address, lambda departure: self._left(departure, event.how))

    def _is_second_line(self, event: events.Ended) -> bool:
        before, self._nobody_end = self._nobody_end, (event.t, event.how)
        return (
            before[1] == "timeout"
            and event.how in ECHOES["timeout"]
            and before[0] is not None
            and within_echo(before[0], event.t)
        )

    def _left(self, departure: Departure, how: str) -> None:
        """Counts a connection that was none of MQTT, for its address."""
        caller, t = departure.who, departure.t
        stranger = self.at(caller.host if caller else "", t)
        stranger.connections += 1
        stranger.last = t
        stranger.rhythm.add(caller.t if caller else t)
        if caller and caller.port:
            stranger.ports[caller.port] = stranger.ports.get(caller.port, 0) + 1
        words = [*departure.tls, *(caller.tls if caller else [])]
        how = "tls" if words else how
        stranger.ends[how] = stranger.ends.get(how, 0) + 1
        if words:
            self._tls_words(stranger, t, words)

    def turned_away(self, address: str, t: Time) -> None:
        """The broker, or its host, let this address not even begin."""
        stranger = self.at(host(address), t)
        stranger.connections += 1
        stranger.ends["denied"] = stranger.ends.get("denied", 0) + 1

    def tls_failed(self, stranger: Stranger, t: Time, words: str) -> None:
        """A handshake of this stranger failed, in OpenSSL's words: that connection has ended."""
        stranger.connections += 1
        stranger.ends["tls"] = stranger.ends.get("tls", 0) + 1
        self._tls_words(stranger, t, [words])

    def _tls_words(self, stranger: Stranger, t: Time, words: list[str]) -> None:
        for openssl in words:
            if openssl in stranger.tls or len(stranger.tls) < NAMES:
                stranger.tls[openssl] = stranger.tls.get(openssl, 0) + 1
        # Of several errors of one handshake the first that says more than that it failed.
        telling = next((said for said in words if "handshake failure" not in said), words[0])
        tls = troubles.of_tls(telling)
        if tls.side != "nobody":
            self._find(
                stranger, "tls-failed", t, {"words": telling, "plain": tls.words, "side": tls.side, "do": tls.do}, True
            )

    # -- at the end of the log

    def judge(self, broker: Broker, begins: int) -> None:
        """What the whole of it was. begins: CONNECTs that were accepted."""
        for stranger in self.all.values():
            self._judge(stranger)
        self._judge_refusals(broker, begins)

    def _judge(self, stranger: Stranger) -> None:
        mute = (
            stranger.connections
            - stranger.refused
            - sum(stranger.ends.get(how, 0) for how in ("tls", "denied", "not-authorised"))
        )
        if mute < MUTE:
            return
        every_s = stranger.every_s
        regular = every_s is not None and set(stranger.ends) <= {"closed"} and not stranger.findings
        example = {"connections": mute, "every_s": every_s, "ports": dict(stranger.ports), "hows": dict(stranger.ends)}
        code = "port-check" if regular else "no-connect"
        self._find(stranger, code, stranger.last, example)
        stranger.findings[code].count, stranger.findings[code].first = mute, stranger.first

    def _judge_refusals(self, broker: Broker, begins: int) -> None:
        """Nobody gets in: that is not the fault of each."""
        whose = {refusal.client or refusal.address for refusal in self.refusals if refusal.client or refusal.address}
        if self.refused >= 3 and len(whose) >= 2 and not begins:
            self._find(
                broker,
                "everybody-refused",
                self.refusals[-1].t,
                {
                    "refused": self.refused,
                    "clients": len(whose),
                    "version": (broker.versions or [""])[-1],
                    "since": broker.started,
                },
            )


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
        return True
    except ValueError:
        return False
