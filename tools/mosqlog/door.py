"""Who stands at the door: connections that the broker accepted and that have not said yet who they are.

Before 2.1 the end of such a connection names neither address nor, often, an id. Which of those at the door it was is
certain when only one address stands there; else the choice waits until the others have come in or gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Callable

from .model import Time, host

PATIENCE_S = 30         # how long an end waits for certainty
STANDING_S = 900        # after that nobody is at the door any more: the broker closes after 90 s at most
AT_ONCE_S = 2           # a refusal follows its accept within this


@dataclass
class Caller:
    """A connection that has not sent its CONNECT."""
    t: Time
    address: str
    port: int
    tls: list[str] = field(default_factory=list)        # OpenSSL's words about it

    @property
    def host(self) -> str:
        return host(self.address)


@dataclass
class Departure:
    """An end of somebody at the door. `who` is None when nobody stood there, `certain` when it could be no other."""
    t: Time
    who: Caller | None
    certain: bool
    tls: list[str]
    told: Callable[[Departure], None]
    candidates: list[Caller] = field(default_factory=list)


class Door:
    def __init__(self) -> None:
        self._standing: list[Caller] = []
        self._waiting: list[Departure] = []
        self._tls: list[tuple[Time, str]] = []      # words whose connection is not known yet

    def accept(self, t: Time, address: str, port: int) -> None:
        """A connection came."""
        if len(self._standing) > 5000:
            del self._standing[:2500]
        self._standing.append(Caller(t, address, port))

    def knows(self, address: str) -> bool:
        """Whether this address stands here."""
        return any(caller.address == address or caller.host == address for caller in self._standing)

    def standing_at(self, t: Time) -> bool:
        """Whether somebody came just now and has not gone in."""
        return any(_near(caller.t, t, AT_ONCE_S) for caller in self._standing)

    def enter(self, address: str) -> Caller | None:
        """Somebody went in: a CONNECT passed. Who it was, None when it did not stand here."""
        caller = self._find(address)
        if caller is not None:
            self._standing.remove(caller)
            for departure in self._waiting:
                if caller in departure.candidates:
                    departure.candidates.remove(caller)
            return caller
        # It was taken for one that had left: then that one was another.
        for departure in self._waiting:
            if departure.who is not None and departure.who.address == address and len(departure.candidates) > 1:
                caller = departure.who
                departure.candidates.remove(caller)
                departure.who = departure.candidates[0]
                if departure.who in self._standing:
                    self._standing.remove(departure.who)
                return caller
        return None

    def leave(self, t: Time, address: str | None, told: Callable[[Departure], None]) -> None:
        """Somebody's connection ended. told(departure) is called when it is certain who it was, or cannot become so."""
        tls = [words for since, words in self._tls if _near(since, t, AT_ONCE_S)]
        self._tls.clear()
        if address is not None:
            caller = self._find(address) or Caller(t, address, 0)
            if caller in self._standing:
                self._standing.remove(caller)
            told(Departure(t, caller, True, tls, told))
            return
        candidates = [caller for caller in self._standing if _near(caller.t, t, AT_ONCE_S)] or self._standing[-1:]
        who = candidates[0] if candidates else None
        if who is not None:
            self._standing.remove(who)
        certain = len({caller.host for caller in candidates}) <= 1
        departure = Departure(t, who, certain, tls, told, candidates)
        if certain:
            told(departure)
        else:
            self._waiting.append(departure)

    def tls(self, t: Time, words: str) -> None:
        """OpenSSL said something about a connection that it does not name: the end that follows is its."""
        self._tls.append((t, words))
        del self._tls[:-10]

    def take_tls(self) -> list[str]:
        """The words that no end has claimed."""
        words = [words for _, words in self._tls]
        self._tls.clear()
        return words

    def settle(self, t: Time) -> None:
        """Tells the departures that have become certain, or have waited long enough; t None: all of them."""
        for departure in list(self._waiting):
            hosts = {caller.host for caller in departure.candidates}
            if len(hosts) <= 1 or t is None or not _near(departure.t, t, PATIENCE_S):
                departure.certain = len(hosts) <= 1
                self._waiting.remove(departure)
                departure.told(departure)
        while self._standing and t is not None and not _near(self._standing[0].t, t, STANDING_S):
            del self._standing[0]

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    def lingering(self) -> Iterator[Caller]:
        """Those who still stand here."""
        yield from self._standing

    def clear(self) -> None:
        """The broker stopped: nobody stands here any more."""
        self.settle(None)
        self._standing.clear()

    def _find(self, address: str) -> Caller | None:
        """The latest of this address; where the log has no ports, the one of this IP that came first."""
        exact = [caller for caller in self._standing if caller.address == address]
        if exact:
            return exact[0] if host(address) == address else exact[-1]
        return None


def _near(before: Time, after: Time, within_s: float) -> bool:
    return before is None or after is None or abs(after - before) <= within_s
