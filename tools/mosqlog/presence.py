"""Who is connected at the end of the log, and who has not been seen for long."""

from __future__ import annotations

from dataclasses import dataclass

from .analyse import Analyser
from .model import Client, Session


@dataclass(frozen=True)
class Present:
    """A client with an open session at the end of the log."""

    client: Client
    session: Session
    for_s: float | None  # None: it was there before the log, or the log has no times
    silent_s: float | None  # since its last packet; None where packets are not logged


@dataclass(frozen=True)
class Gone:
    """A client that is not connected at the end of the log. `how` is how its last session ended."""

    client: Client
    how: str
    address: str | None
    for_s: float


def connected(analyser: Analyser) -> list[Present]:
    """The clients with an open session, in alphabetical order."""
    last = analyser.account.last
    found = []
    for client in analyser.clients.values():
        session = client.session
        if session is None:
            continue
        found.append(
            Present(
                client,
                session,
                None if session.start is None or last is None else last - session.start,
                None if client.last_heard is None or last is None else last - client.last_heard,
            )
        )
    return sorted(found, key=lambda present: present.client.id)


def gone(analyser: Analyser, for_s: float) -> list[Gone]:
    """The clients that have been away for at least `for_s` seconds at the end of the log, the longest first. Those
    without a known end have been away since the last line that named them."""
    if analyser.account.last is None:
        return []
    found = []
    for client in analyser.clients.values():
        if client.session is not None or client.last_seen is None:
            continue
        last_session = client.sessions[-1] if client.sessions else None
        away_s = analyser.account.last - client.last_seen
        if away_s >= for_s:
            found.append(
                Gone(
                    client,
                    last_session.how if last_session else "open",
                    last_session.address if last_session else None,
                    away_s,
                )
            )
    return sorted(found, key=lambda each: (-each.for_s, each.client.id))
