"""The bridges that this broker makes: a state each, and why an attempt failed.

    connecting  "Connecting bridge NAME (host:port)" was the last line
    connected   a CONNACK came, or its subscriptions were made, or nothing bad followed for a while
    failed      an attempt ended before that
    closed      a connection that stood ended

On the broker a bridge is a client with an id of its own (by default local.HOST.NAME), so the ends of that id are the
bridge's, never a device's.
"""

from __future__ import annotations

import re
from typing import Callable

from . import troubles
from .events import Bridging, Ended, Time
from .model import Bridge, Client

AT_ONCE_S = 10  # an end within this after the attempt means that it never stood
_PORT_AS_HOST = re.compile(r"\d+:\d+")
_LOCAL = re.compile(r"local\.(?:[^.]+\.)?(.+)")
_ENDS = {
    "timeout": "the far end did not answer in time (keep-alive)",
    "closed": "closed by the far end",
    "takeover": "taken over: another client or bridge has its client id",
}
_REASONS = (
    (
        r"Name or service not known|[Ll]ookup|resolve|Temporary failure|No address associated|Try again",
        "its name is not found (DNS)",
    ),
    (r"[Cc]onnection refused", "nobody listens at the other end (connection refused)"),
    (r"[Nn]etwork is unreachable|No route|[Hh]ost is (?:down|unreachable)", "there is no way to it in the network"),
    (r"[Tt]imed? ?out", "no answer (timed out)"),
    (r"Invalid argument", "its address is no address (invalid argument)"),
    (r"not authorised", "login refused: not authorised"),
    (r"bad user name", "login refused: bad user name or password"),
    (r"identifier rejected", "login refused: client id rejected"),
    (r"protocol version", "login refused: MQTT version"),
    (r"certificate verify failed", "this broker does not trust the other's certificate: check bridge_cafile"),
)


class Bridges:
    """find(bridge, code, t, example) notes a finding."""

    def __init__(self, find: Callable[[Bridge, str, Time, dict[str, object]], None]):
        self.all: dict[str, Bridge] = {}
        self._find = find
        self._by_id: dict[str, Bridge] = {}  # local and remote ids
        self._last: Bridge | None = None  # that a line without a name is about

    def owner(self, client_id: str) -> Bridge | None:
        """The bridge that has this client id on the broker."""
        bridge = self._by_id.get(client_id)
        if bridge is not None or not (client_id.startswith("local.") or self.all):
            return bridge
        for bridge in self.all.values():
            if (
                client_id == "local." + bridge.id
                or client_id == bridge.id
                or (client_id.startswith("local.") and client_id.endswith("." + bridge.id))
            ):
                return self._named(bridge, client_id)
        if client_id.startswith("local.") and self._last is not None and self._last.local_id is None:
            return self._named(self._last, client_id)  # local_clientid need not hold the name
        match = _LOCAL.fullmatch(client_id)
        return self._named(self._get(match[1], None), client_id) if match else None

    def as_client(self, bridge: Bridge) -> Client:
        """What the bridge does as a client of this broker."""
        if bridge.client is None:
            bridge.client = Client(bridge.local_id or bridge.id, bridge=True)
        return bridge.client

    def connecting(self, t: Time) -> Bridge | None:
        """The bridge that just tries, for words that name nobody."""
        bridge = self._last
        return bridge if bridge and bridge.state == "connecting" and _within(bridge.last, t, AT_ONCE_S) else None

    def said(self, event: Bridging) -> None:
        """A line about a bridge."""
        bridge = self._of(event)
        if bridge is None:
            return
        t = event.t
        if event.what == "try":
            if (
                event.detail == ""
                and bridge.state == "connecting"
                and _within(bridge.last, t, 2)
                and bridge.address == event.address
            ):
                return  # (step 2) of the same attempt
            self._try(bridge, t, event.address or "")
        elif event.what == "connect":
            bridge.remote_id = event.name
            bridge.asked = True
        elif event.what in ("connack", "ready"):
            if bridge.state != "connected" and event.detail in ("", "0") or event.what == "ready":
                bridge.connects += bridge.state != "connected"
                bridge.state = "connected"
        elif event.what == "downgrade":
            self._find(bridge, "bridge-downgraded", t, {"words": event.detail})
        elif event.what in ("refused", "error", "unable", "idle"):
            if bridge.state == "connected" and event.what == "refused":
                bridge.connects -= 1  # its CONNACK said no
            self._failed(
                bridge,
                t,
                event.detail or "unable to connect",
                "bridge-refused" if event.what == "refused" else "bridge-unreachable",
            )
        bridge.last_seen = t

    def tls(self, bridge: Bridge, t: Time, openssl: str) -> None:
        """OpenSSL's words while it tried."""
        bridge.state = "connecting"
        why = reason(openssl)
        self._failed(bridge, t, why if why != openssl else "TLS: " + troubles.of_tls(openssl).words, "bridge-tls")

    def ended(self, bridge: Bridge, event: Ended) -> None:
        """The connection of this id ended."""
        t = event.t
        if bridge.state == "failed" and _within(bridge.last, t, 2):
            return  # the second line of one failure
        # Where CONNECT is logged, so is the CONNACK: without it the bridge never stood.
        at_once = bridge.state == "connecting" and (bridge.asked or _within(bridge.last, t, AT_ONCE_S))
        since = bridge.last
        bridge.last_seen = t
        if at_once:
            waited_s = t - since if t is not None and since is not None else 0
            words = event.detail or (
                "closed by the far end right after CONNECT"
                if waited_s <= AT_ONCE_S
                else f"no answer to its CONNECT for {waited_s:.0f} s"
            )
            self._failed(bridge, t, words, "bridge-closed-at-once")
            return
        how = _ENDS.get(event.how) or event.detail or event.how
        bridge.failures[how] = bridge.failures.get(how, 0) + 1
        after_s = t - since if t is not None and since is not None and t >= since else None
        bridge.state, bridge.last = "closed", t
        after = {} if after_s is None else {"after_s": after_s}
        self._find(bridge, "bridge-lost", t, {"words": how, **after})

    def _try(self, bridge: Bridge, t: Time, address: str) -> None:
        bridge.attempts += 1
        bridge.address = address
        bridge.addresses[address] = bridge.addresses.get(address, 0) + 1
        bridge.state, bridge.last, bridge.asked = "connecting", t, False
        bridge.first = t if bridge.attempts == 1 else bridge.first
        bridge.rhythm.add(t)
        if _PORT_AS_HOST.fullmatch(address):
            self._find(bridge, "bridge-address", t, {"address": address})
        self._last = bridge

    def _failed(self, bridge: Bridge, t: Time, words: str, code: str) -> None:
        why = reason(words)
        bridge.failures[why] = bridge.failures.get(why, 0) + 1
        bridge.state, bridge.last = "failed", t
        self._find(bridge, code, t, {"words": why, "address": bridge.address})

    def _of(self, event: Bridging) -> Bridge | None:
        if event.name is None:
            return self._last
        if event.what in ("try", "unable", "downgrade"):
            return self._get(event.name, event.t)
        # The other lines give its remote or local id, of which the name is the end.
        known = self._by_id.get(event.name) or self.all.get(event.name)
        if known is None:
            known = next((bridge for name, bridge in self.all.items() if event.name.endswith("." + name)), None)
        if known is None and self._last is not None and event.what in ("connect", "connack", "ready"):
            known = self._last
        if known is not None:
            self._by_id[event.name] = known
        return known

    def _get(self, name: str, t: Time) -> Bridge:
        bridge = self.all.get(name)
        if bridge is None:
            bridge = self.all[name] = Bridge(name, first=t)
        return bridge

    def _named(self, bridge: Bridge, client_id: str) -> Bridge:
        self._by_id[client_id] = bridge
        bridge.local_id = client_id
        return bridge


def reason(words: str) -> str:
    """Why a bridge does not come about, in plain words; the broker's own where it is none of the usual reasons."""
    return next((plain for pattern, plain in _REASONS if re.search(pattern, words)), words)


def _within(before: Time, after: Time, seconds: float) -> bool:
    return before is None or after is None or 0 <= after - before <= seconds
