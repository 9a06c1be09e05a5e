"""Is it the broker that is slow? When CONNECTs of several clients wait together, or keep-alives of several are "missed"
before their time: one alone is that client's own doing."""

from __future__ import annotations

from typing import Callable

from .events import Time
from .model import Broker, Session

SLOW_CONNECT_S = 5  # from accept to CONNECT
TOGETHER_S = 60
SLOW_CLIENTS, EARLY_CLIENTS = 3, 2


class SlowBroker:
    """storms_slow: told (t, waited_s) of each CONNECT that waited with others."""

    def __init__(self, broker: Broker, find: Callable[..., object], storms_slow: Callable[[float, float], None]):
        self._broker, self._find, self._storms_slow = broker, find, storms_slow
        self._late: list[tuple[float, str]] = []  # CONNECTs that were answered late, and whose
        self._early: list[tuple[float, str]] = []  # keep-alives that "missed" too early, and whose

    def connected(self, client: str, accepted: Time, t: Time) -> None:
        """The CONNECT of this client id came at t, over a connection that was accepted then."""
        if accepted is None or t is None or t - accepted < SLOW_CONNECT_S:
            return
        if _several(self._late, t, client) >= SLOW_CLIENTS:
            self._storms_slow(t, t - accepted)
            self._find(self._broker, "broker-slow", t, {"client": client, "connect_waited_s": t - accepted})

    def missed(self, client: str, t: Time, early_s: float | None, keepalive_s: int | None) -> None:
        """The session of this client id ended for its keep-alive, so long before its time."""
        if early_s and t is not None and _several(self._early, t, client) >= EARLY_CLIENTS:
            self._find(
                self._broker, "broker-slow", t, {"client": client, "early_s": early_s, "keepalive_s": keepalive_s}
            )


def _several(latest: list[tuple[float, str]], t: float, client: str) -> int:
    """How many clients the same happened to within TOGETHER_S."""
    latest[:] = [(since, who) for since, who in latest if 0 <= t - since <= TOGETHER_S]
    latest.append((t, client))
    return len({who for _, who in latest})


def missed_early_s(session: Session, how: str, t: Time, heard: Time) -> float | None:
    """How long before its time a keep-alive "missed": it cannot, within one and a half of it after the last sign of
    life."""
    if how != "timeout" or not session.keepalive_s or t is None:
        return None
    since = heard if heard is not None else session.start
    if since is None or t < since:
        return None
    early_s = session.keepalive_s * 1.5 - 2 - (t - since)
    return early_s if early_s > 0 else None
