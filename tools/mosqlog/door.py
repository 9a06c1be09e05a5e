"""Who stands at the door: connections that the broker accepted and that have not said yet who they are.

Before 2.1 the end of such a connection names neither address nor, often, an id. Which of those at the door it was is
certain when only one address stands there; else the choice waits until the others have come in or gone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import Callable

from .events import Time
from .model import host

PATIENCE_S = 30  # how long an end waits for certainty
STANDING_S = 900  # after that nobody is at the door any more: the broker closes after 90 s at most
AT_MOST = 5000  # that are remembered
LOOKED_AT = 50  # of them, the latest, when it must be guessed who it was
AT_ONCE_S = 2  # a refusal follows its accept within this


@dataclass
class Caller:
    """A connection that has not sent its CONNECT."""

    t: Time
    address: str
    port: int
    number: int = 0
    tls: list[str] = field(default_factory=list)  # OpenSSL's words about it

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
        self._standing: dict[int, Caller] = {}  # in the order of their coming, by a number of their own
        self._by_address: dict[str, list[int]] = {}
        self._came = 0
        self._waiting: list[Departure] = []
        self._tls: list[tuple[Time, str]] = []  # words whose connection is not known yet

    def accept(self, t: Time, address: str, port: int) -> None:
        """A connection came."""
        self._came += 1
        self._standing[self._came] = Caller(t, address, port, self._came)
        self._by_address.setdefault(address, []).append(self._came)
        first = next(iter(self._standing.values()))
        if len(self._standing) > AT_MOST or (t is not None and not _near(first.t, t, STANDING_S)):
            self._gone(first)

    def knows(self, address: str) -> bool:
        """Whether this address stands here."""
        return address in self._by_address or any(caller.host == address for caller in self._latest(LOOKED_AT))

    def standing_at(self, t: Time) -> bool:
        """Whether somebody came just now and has not gone in."""
        return any(_near(caller.t, t, AT_ONCE_S) for caller in self._latest(LOOKED_AT))

    def enter(self, address: str) -> Caller | None:
        """Somebody went in: a CONNECT passed. Who it was, None when it did not stand here."""
        caller = self._find(address)
        if caller is not None:
            self._gone(caller)
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
                self._gone(departure.who)
                return caller
        return None

    def leave(self, t: Time, address: str | None, told: Callable[[Departure], None]) -> None:
        """Somebody's connection ended. told(departure) is called when it is certain who it was, or cannot become so."""
        tls = [words for since, words in self._tls if _near(since, t, AT_ONCE_S)]
        self._tls.clear()
        if address is not None:
            caller = self._find(address) or Caller(t, address, 0)
            self._gone(caller)
            told(Departure(t, caller, True, tls, told))
            return
        latest = self._latest(LOOKED_AT)
        candidates = [caller for caller in latest if _near(caller.t, t, AT_ONCE_S)] or latest[-1:]
        who = candidates[0] if candidates else None
        if who is not None:
            self._gone(who)
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

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    def clear(self) -> None:
        """The broker stopped: nobody stands here any more."""
        self.settle(None)
        self._standing.clear()
        self._by_address.clear()

    def _latest(self, count: int) -> list[Caller]:
        """Those who came last, the latest at the end."""
        return list(islice(reversed(self._standing.values()), count))[::-1]

    def _find(self, address: str) -> Caller | None:
        """The latest of this address; where the log has no ports, the one of this IP that came first."""
        numbers = self._by_address.get(address)
        if not numbers:
            return None
        return self._standing[numbers[0 if host(address) == address else -1]]

    def _gone(self, caller: Caller) -> None:
        """It does not stand here any more."""
        if self._standing.pop(caller.number, None) is None:
            return
        numbers = self._by_address[caller.address]
        numbers.remove(caller.number)
        if not numbers:
            del self._by_address[caller.address]


def _near(before: Time, after: Time, within_s: float) -> bool:
    return before is None or after is None or abs(after - before) <= within_s
