"""The time line of a report: each client's sessions as bars, few enough to draw, and the axis above them."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from .model import Client, Session

_STEPS_S = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    10800,
    21600,
    43200,
    86400,
    172800,
    604800,
    1209600,
    2592000,
    7776000,
    31536000,
)
# Of several ends in one bar the first of these gives it its colour.
WORST_FIRST = (
    "protocol-error",
    "malformed",
    "oversize",
    "tls",
    "refused",
    "not-authorised",
    "denied",
    "no-memory",
    "error",
    "timeout",
    "takeover",
    "closed",
    "administrative",
    "broker-stopped",
    "replaced",
    "clean",
    "open",
)


@dataclass
class Bar:
    """One session, or neighbours too close to be drawn apart. `begun`: its begin is known; else `start` is only the
    earliest that it can have begun."""

    start: float
    end: float
    how: str
    begun: bool = True
    address: str | None = None
    ends: Counter[str] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """How many sessions it stands for."""
        return sum(self.ends.values())


@dataclass(frozen=True)
class Span:
    """The time that a time line shows, seconds since 1970."""

    first: float
    last: float

    @property
    def length_s(self) -> float:
        return max(self.last - self.first, 1)

    def part(self, t: float) -> float:
        """Where a time lies: 0 at the begin, 1 at the end."""
        return min(max((t - self.first) / self.length_s, 0), 1)


def bars(client: Client, span: Span, at_most: int) -> list[Bar]:
    """The client's sessions, neighbours merged until there are no more than `at_most` and all are a thousandth of
    the time line apart."""
    found: list[Bar] = []
    for session in client.sessions:
        bar = _bar(session, found[-1].end if found else span.first, span)
        if bar is not None:
            found.append(bar)
    apart_s = span.length_s / 1000
    merged = _merged(found, apart_s)
    while len(merged) > at_most:
        apart_s *= 2
        merged = _merged(found, apart_s)
    return merged


def _bar(session: Session, earliest: float, span: Span) -> Bar | None:
    end = span.last if session.end is None else session.end
    begun = session.start is not None
    if session.start is None and session.end is None and session.how != "open":
        return None  # neither is known
    start = min(earliest, end) if session.start is None else session.start
    return Bar(start, max(start, end), session.how, begun, session.address, Counter({session.how: session.merged}))


def _merged(found: list[Bar], apart_s: float) -> list[Bar]:
    """Bars that are shorter than `apart_s` are one with a neighbour that is nearer than that."""
    merged: list[Bar] = []
    for bar in found:
        last = merged[-1] if merged else None
        short = last is not None and (bar.end - bar.start < apart_s or last.end - last.start < apart_s)
        if last is None or not short or bar.start - last.end >= apart_s or bar.end - last.start >= 4 * apart_s:
            merged.append(bar)
            continue
        ends = last.ends + bar.ends
        merged[-1] = Bar(
            last.start,
            max(last.end, bar.end),
            min(last.how, bar.how, key=WORST_FIRST.index),
            last.begun,
            last.address if last.address == bar.address else None,
            ends,
        )
    return merged


def ticks(span: Span, at_most: int = 6) -> list[tuple[float, str]]:
    """Round times along the axis with their labels, a date where the day is a new one."""
    step_s = next((step for step in _STEPS_S if span.length_s / step <= at_most), span.length_s)
    t, found, day = -(-span.first // step_s) * step_s, [], ""
    while t <= span.last:
        moment = time.gmtime(t)
        new_day = time.strftime("%Y-%m-%d", moment)
        clock = time.strftime("%H:%M:%S" if step_s < 60 else "%H:%M", moment)
        label = new_day if step_s >= 86400 else clock if new_day == day else f"{new_day[5:]} {clock}"
        found.append((t, label))
        day, t = new_day, t + step_s
    return found
