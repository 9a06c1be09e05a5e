"""Ends of many clients within seconds: one event, not many.

Each end is held back until it is clear whether others followed. A group of them is a storm when it hit enough of those
that were connected; then the single findings yield to it. Else each end is judged by itself.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Callable

from .events import Time
from .model import Broker, Client, Session, Storm, host

GAP_S = 1.5  # between two ends of one storm
AT_MOST_S = 60  # that ends are held back
BEFORE_S = 300  # whose ends say what is usual
BURST_S, BURST_TIMES = 5, 5  # in a longer row, so many seconds with so many times the usual number
CLIENTS = 4  # at least
SHARE = 0.4  # of those connected, at least
MANY = 20  # that are a storm whatever the share
UNKNOWN_CLIENTS = 5  # at least, where the log does not say how many were connected
SAVED_BEFORE_S = 120
NAMED = 1000
NOT_STORMS = ("clean", "broker-stopped", "replaced", "not-authorised", "refused", "administrative")


@dataclass
class End:
    """An end that is held back."""

    t: float
    client: Client
    session: Session
    judge: Callable[[], None]  # makes the single finding of it
    early_s: float | None  # a keep-alive that "missed" this long before it could have


class Storms:
    """told(storm) is called for each storm when it is over."""

    def __init__(self, broker: Broker, told: Callable[[Storm], None]):
        self._broker, self._told = broker, told
        self._ends: list[End] = []
        self._before: deque[tuple[float, int]] = deque()  # ends of the last minutes: when, how many
        self._connected: int | None = None  # when the first of them ended
        self._lull_s = 0.0  # how long the log was silent before
        self._slow_s = 0.0  # how long a CONNECT had been kept waiting lately
        self._slow_t: Time = None

    def hold(self, end: End, connected: int | None, lull_s: float) -> None:
        """An end. connected: how many were before it, None where that is not known. lull_s: since the line before."""
        if self._ends and (
            end.t - self._ends[-1].t > GAP_S or end.t - self._ends[0].t > AT_MOST_S or end.t < self._ends[-1].t
        ):
            self.settle(None)
        if not self._ends:
            self._connected, self._lull_s = connected, lull_s
        self._ends.append(end)

    def slow(self, t: Time, waited_s: float) -> None:
        """A CONNECT was answered so long after its accept."""
        self._slow_t, self._slow_s = t, max(waited_s, self._slow_s if _near(self._slow_t, t, 60) else 0)

    def settle(self, t: Time) -> None:
        """Judges the ends that nothing can join any more; t None: all."""
        if not self._ends or (t is not None and 0 <= t - self._ends[-1].t <= GAP_S):
            return
        ends, self._ends = self._ends, []
        first, last = _burst(ends)
        burst = ends[first:last]
        if not self._is_storm(burst) or self._is_usual(burst):
            first = last = 0
        self._before.append((ends[-1].t, len(ends)))
        for i, end in enumerate(ends):
            if first <= i < last:
                end.session.together = True
            else:
                end.judge()
        if last:
            self._told(self._storm(burst))

    @property
    def holding(self) -> bool:
        return bool(self._ends)

    def _is_storm(self, ends: list[End]) -> bool:
        if len(ends) < CLIENTS:
            return False
        first = ends[0].t
        # Sessions that began and ended within it are somebody's coming and going.
        before = {end.client.id for end in ends if end.session.start is None or end.session.start < first}
        if len(before) < CLIENTS or len(before) * 2 < len(ends):
            return False
        if len(before) >= MANY:
            return self._connected is None or len(before) >= SHARE / 4 * self._connected
        if self._connected is None:
            return len(before) >= UNKNOWN_CLIENTS
        return len(before) >= SHARE * self._connected

    def _is_usual(self, ends: list[End]) -> bool:
        """Where bursts like this come and go all the time, none is an event."""
        first = ends[0].t
        while self._before and not 0 <= first - self._before[0][0] <= BEFORE_S:
            self._before.popleft()
        before = sum(count for _, count in self._before)
        if not self._before or first <= self._before[0][0]:
            return False
        a_second = before / max(first - self._before[0][0], BURST_S)
        return len(ends) < BURST_TIMES * a_second * (ends[-1].t - first + 1)

    def _storm(self, ends: list[End]) -> Storm:
        hows: dict[str, int] = {}
        for end in ends:
            hows[end.session.how] = hows.get(end.session.how, 0) + 1
        ids = list(dict.fromkeys(end.client.id for end in ends))
        cause, facts = self._cause(ends, hows)
        return Storm(ends[0].t, ends[-1].t, ids[:NAMED], len(ids), self._connected, hows, cause, facts)

    def _cause(self, ends: list[End], hows: dict[str, int]) -> tuple[str, dict[str, object]]:
        first = ends[0].t
        facts: dict[str, object] = {}
        saved = self._broker.last_saved
        if saved is not None and 0 <= first - saved <= SAVED_BEFORE_S:
            facts["saved_before_s"] = first - saved
        early = [end.early_s for end in ends if end.early_s]
        if early:
            facts["early"], facts["early_s"] = len(early), max(early)
        if self._slow_s and _near(self._slow_t, first, 120):
            facts["connect_waited_s"] = self._slow_s
        if self._lull_s >= 15:
            facts["lull_s"] = self._lull_s
        hosts = {host(end.session.address) for end in ends if end.session.address}
        if len(hosts) == 1 and all(end.session.address for end in ends):
            facts["address"] = next(iter(hosts))
        most = max(hows, key=lambda how: hows[how])
        if "saved_before_s" in facts and most in ("timeout", "closed", "error"):
            return "saved", facts
        if early or "connect_waited_s" in facts:
            return "stalled", facts
        if most == "timeout":
            return "silence", facts
        if most == "takeover":
            return "takeover", facts
        if "address" in facts:
            return "one-address", facts
        return ("network", facts) if most in ("closed", "error") else ("unknown", facts)


def _burst(ends: list[End]) -> tuple[int, int]:
    """From where to where they came much more densely than the others around them: where many come and go all the time,
    that alone is no event."""
    if ends[-1].t - ends[0].t <= BURST_S * 2:
        return 0, len(ends)
    best, best_at, left = 0, 0, 0
    for right, end in enumerate(ends):
        while end.t - ends[left].t > BURST_S:
            left += 1
        if right + 1 - left > best:
            best, best_at = right + 1 - left, left
    others_s = ends[-1].t - ends[0].t - BURST_S
    usual = (len(ends) - best) * BURST_S / others_s
    return (best_at, best_at + best) if best >= usual * BURST_TIMES else (0, 0)


def _near(before: Time, after: Time, within_s: float) -> bool:
    return before is not None and after is not None and abs(after - before) <= within_s
