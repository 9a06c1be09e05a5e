"""Which line is the echo of another? Versions write several for one end."""

from __future__ import annotations

from .events import Time

ECHO_S = 1  # between the two lines of one end

# Further lines that versions write for an end that was told already.
ECHOES = {
    "timeout": ("closed", "error"),  # up to 1.5: Socket error behind it
    "takeover": ("closed", "clean", "error", "takeover"),
    "clean": ("closed", "clean", "error"),
    "error": ("closed", "error"),
    "protocol-error": ("closed", "protocol-error"),
    "malformed": ("closed",),
    "oversize": ("closed",),
    "no-memory": ("closed",),
    "administrative": ("closed", "clean"),
    "not-authorised": ("closed", "not-authorised"),
    "broker-stopped": ("closed", "error", "clean"),
}


def within_echo(before: Time, after: Time) -> bool:
    """Whether two lines can be about one end, by their times."""
    return before is None or after is None or abs(after - before) <= ECHO_S
