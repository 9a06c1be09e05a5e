"""Which events were asked for: by client, by address, by time."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Union

from . import events

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


@dataclass(frozen=True)
class Moment:
    """A time: `t` seconds since 1970, or `before_end_s` seconds before the end of the log."""

    t: float | None = None
    before_end_s: float | None = None

    def at(self, end: Callable[[], float | None]) -> float | None:
        """Seconds since 1970; `end` gives the last time of the log. None when the log has no times."""
        if self.before_end_s is None:
            return self.t
        last = end()
        return None if last is None else last - self.before_end_s


@dataclass(frozen=True)
class Addresses:
    """IP addresses and networks that were asked for; none of them is no wish."""

    networks: list[Network] = field(default_factory=list)

    @staticmethod
    def one(text: str) -> Addresses:
        """Of `192.168.1.7`, `2001:db8::1` or `192.168.1.0/24`. Raises ValueError with an example."""
        try:
            return Addresses([ipaddress.ip_network(text.strip("[]"), strict=False)])
        except ValueError:
            raise ValueError(
                f"{text!r} is no IP address; give it as 192.168.1.7, 2001:db8::1 or 192.168.1.0/24"
            ) from None

    def __bool__(self) -> bool:
        return bool(self.networks)

    def hold(self, address: str | None) -> bool:
        """Whether one of them is the address, or holds it. `address` is as the broker logs it, with a port or not."""
        ip = ip_of(address)
        return ip is not None and any(ip in network for network in self.networks)


def ip_of(address: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP of IP, IP:PORT or [IP]:PORT; None when it is no IP. An IPv4 address in IPv6 clothes is the IPv4 one."""
    text = address or ""
    candidates = [text, text.rpartition(":")[0].strip("[]")]
    # "::1:50000" is also an IPv6 address by itself: ports of five figures are no group of one.
    if text.count(":") > 1 and len(text.rpartition(":")[2]) == 5:
        candidates.reverse()
    for candidate in candidates:
        try:
            ip = ipaddress.ip_address(candidate)
        except ValueError:
            continue
        return getattr(ip, "ipv4_mapped", None) or ip
    return None


class Selection:
    """The events of one log that are of the clients and addresses asked for, and of the time asked for.

    An event belongs to an address when it names it, or when its client is connected from there."""

    def __init__(
        self,
        clients: Iterable[str] = (),
        addresses: Addresses | None = None,
        since: float | None = None,
        until: float | None = None,
    ):
        self._clients, self._addresses = frozenset(clients), addresses or Addresses()
        self._since, self._until = since, until
        self._last: float | None = None  # a line without a time has that of the line before it
        self._inside: set[str] = set()  # clients connected from an address asked for

    def in_time(self, event: events.Event) -> bool:
        """Whether it lies between `since` and `until`; True for lines before the first time of the log."""
        if event.t is not None:
            self._last = event.t
        if self._last is None:
            return True
        return (self._since is None or self._last >= self._since) and (self._until is None or self._last <= self._until)

    def wants(self, event: events.Event) -> bool:
        """Whether it is of a client or an address asked for; of whomever, when none was. To be asked of every event
        of the log in turn."""
        if not self._clients and not self._addresses:
            return True
        client = getattr(event, "client", None)
        if client is not None and client in self._clients:
            return True
        return bool(self._addresses) and self._from_there(event, client)

    def _from_there(self, event: events.Event, client: str | None) -> bool:
        address = getattr(event, "address", None) or getattr(event, "who", None)
        there = self._addresses.hold(address)
        if client is None:
            return there or address in self._inside
        if type(event) is events.Connected:
            (self._inside.add if there else self._inside.discard)(client)
        return there or client in self._inside or self._addresses.hold(client)
