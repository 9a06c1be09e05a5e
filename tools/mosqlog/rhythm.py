"""Sessions that all last equally long, or end in one rhythm, are a timer's work."""

from __future__ import annotations

from .flows import Found
from .model import Client, Rhythm

CLOCKWORK = 4  # sessions of one length
BROKE_OFF = ("closed", "timeout", "error", "protocol-error", "malformed", "oversize")


def found(client: Client) -> Found:
    """What the sessions of this client tell."""
    broken = [
        session
        for session in client.sessions
        if session.how in BROKE_OFF and session.merged == 1 and not session.together and session.end is not None
    ]
    lengths = sorted(
        session.end - session.start for session in broken if session.start is not None and session.end is not None
    )
    silent = [
        session
        for session in broken
        if session.how == "timeout"
        and session.keepalive_s
        and session.start is not None
        and session.end is not None
        and session.keepalive_s * 1.5 - 2
        <= session.end - session.start
        <= session.keepalive_s * 1.5 + max(15, session.keepalive_s)
    ]
    if len(silent) >= CLOCKWORK - 1 and len(silent) * 4 >= len(broken) * 3 and not client.received + client.pings:
        last = silent[-1]
        example: dict[str, object] = {
            "times": len(silent),
            "after_s": (last.end or 0) - (last.start or 0),
            "keepalive_s": last.keepalive_s,
        }
        return [("silent-after-connect", last.end, example)]
    every_s = _equal(lengths)
    if every_s is not None:
        return [("like-clockwork", broken[-1].end, {"sessions": len(lengths), "each_s": every_s})]
    if not lengths:
        ends = Rhythm()
        for session in broken:
            ends.add(session.end)
        every_s = ends.every_s()
        if every_s is not None:
            return [("like-clockwork", broken[-1].end, {"ends": len(broken), "every_s": every_s})]
    return []


def _equal(lengths: list[float]) -> float | None:
    """The length that three quarters of at least CLOCKWORK keep within 2 % (or 1.5 s)."""
    if len(lengths) < CLOCKWORK:
        return None
    middle = lengths[len(lengths) // 2]
    near = [length for length in lengths if abs(length - middle) <= max(1.5, middle / 50)]
    if middle < 5 or len(near) * 4 < len(lengths) * 3:
        return None
    return sum(near) / len(near)
