"""Who came back late after an outage that hit many: the broker's restart, or a storm.

Each of those that fell out together is waited for. One is late when it came long after the others, most of which were
back: the outage was everybody's, the rest of its absence is its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Callable

from .events import Time
from .model import Client

CLIENTS = 4  # that fell out together, at least
SHARE = 0.5  # of them that must be back before anybody is late
SPREADS, LATE_S = 2, 5.0  # later than three quarters of the others by so many of their spreads, and so long


@dataclass
class Outage:
    """Many sessions that ended together."""

    over_t: float  # when they could come back: the broker's start, a storm's end
    cause: str  # "restart" or "storm"
    waiting: dict[str, Client]  # not yet back, by id
    back_s: list[float] = field(default_factory=list)  # after over_t, of those that are back

    def late_after_s(self) -> float | None:
        """Who comes back later than this is late; None: too few are back to say."""
        if len(self.back_s) < max(CLIENTS - 1, SHARE * (len(self.back_s) + len(self.waiting))):
            return None
        quarter, three_quarters = (sorted(self.back_s)[int(part * (len(self.back_s) - 1))] for part in (0.25, 0.75))
        return three_quarters + SPREADS * (three_quarters - quarter) + LATE_S


class Returns:
    """find(client, code, t, example) notes a finding of a client that was late."""

    def __init__(self, find: Callable[[Client, str, Time, dict[str, object]], object]):
        self._find = find
        self._outage: Outage | None = None  # the latest

    def fell_out(self, clients: Iterable[Client], over_t: Time, cause: str) -> None:
        """All of them were put out together. Those of an earlier outage that are still away are waited for no longer:
        this one hides how long they would have taken. Where fewer than CLIENTS did, nobody can be late."""
        all_of_them = list(clients)
        if over_t is None or len(all_of_them) < CLIENTS:
            return
        self._outage = outage = Outage(over_t, cause, {})
        for client in all_of_them:
            if client.session is None:
                outage.waiting[client.id] = client
            elif client.session.start is not None:  # a storm is judged when some are back already
                outage.back_s.append(max(0.0, client.session.start - over_t))
                client.return_s = max(client.return_s, outage.back_s[-1])

    def broker_began(self, t: Time) -> None:
        """Those that went with the broker can come back from now on."""
        if self._outage is not None and self._outage.cause == "restart" and t is not None:
            self._outage.over_t = t

    def came_back(self, client: Client, t: float) -> None:
        """Its CONNECT was accepted."""
        outage = self._outage
        if outage is None or outage.waiting.pop(client.id, None) is None:
            return
        back_s = max(0.0, t - outage.over_t)
        client.return_s = max(client.return_s, back_s)
        late_after_s = outage.late_after_s()
        if late_after_s is not None and back_s > late_after_s:
            self._late(outage, client, t, back_s, True)
        outage.back_s.append(back_s)

    def finish(self, last: Time) -> None:
        """At the end of the log: those that never came back, although most did."""
        outage, self._outage = self._outage, None
        if outage is None or last is None:
            return
        away_s, late_after_s = last - outage.over_t, outage.late_after_s()
        if late_after_s is not None and away_s > late_after_s:
            for client in outage.waiting.values():
                client.return_s = max(client.return_s, away_s)
                self._late(outage, client, last, away_s, False)

    def _late(self, outage: Outage, client: Client, t: Time, away_s: float, is_back: bool) -> None:
        usual_s = sorted(outage.back_s)[len(outage.back_s) // 2]
        self._find(
            client,
            "back-late",
            t,
            {
                "away_s": away_s,
                "others_s": usual_s,
                "others": len(outage.back_s),
                "back": is_back,
                "after": outage.cause,
            },
        )
