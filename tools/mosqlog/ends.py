"""How a connection ended, by the last words of the line that says so."""

from __future__ import annotations

import re

from .events import Ended, Time

# Ends by their last words; the longer before the shorter that it ends with.
_ENDS = (
    (" disconnected, session taken over.", "takeover"),
    (" already connected, closing old connection.", "takeover"),
    (" closed its connection.", "closed"),
    (" has exceeded timeout, disconnecting.", "timeout"),
    (" disconnected due to protocol error.", "protocol-error"),
    (" disconnected due to malformed packet.", "malformed"),
    (" disconnected due to oversize packet.", "oversize"),
    (" disconnected due to oversize payload.", "oversize"),
    (" disconnected due to out of memory.", "no-memory"),
    (" disconnected due to exceeding the receive maximum.", "protocol-error"),
    (" disconnected, not authorised.", "not-authorised"),
    (" disconnected, no longer authorised.", "not-authorised"),
    (" disconnected, bad username or password.", "not-authorised"),
    (" disconnected, bad authentication method.", "refused"),
    (" disconnected, client identifier not valid.", "refused"),
    (" disconnected, client banned.", "refused"),
    (" disconnected, connection rate exceeded.", "refused"),
    (" disconnected, non-matching http origin.", "refused"),
    (" disconnected, server busy.", "refused"),
    (" disconnected, server unavailable.", "refused"),
    (" disconnected, quota exceeded.", "error"),
    (" disconnected, implementation specific error.", "error"),
    (" been disconnected by administrative action.", "administrative"),
    (" disconnected.", "clean"),
)


# The words behind "disconnected: " (2.1, and some distributions' 2.0), in small letters.
_REASONS = {
    "session taken over": "takeover",
    "connection closed by client": "closed",
    "the connection was lost": "closed",
    "exceeded timeout": "timeout",
    "keepalive exceeded": "timeout",
    "keepalive timeout": "timeout",
    "protocol error": "protocol-error",
    "receive maximum exceeded": "protocol-error",
    "exceeding the receive maximum": "protocol-error",
    "malformed packet": "malformed",
    "oversize packet": "oversize",
    "packet too large": "oversize",
    "oversize payload": "oversize",
    "out of memory": "no-memory",
    "not authorised": "not-authorised",
    "not authorized": "not-authorised",
    "no longer authorised": "not-authorised",
    "bad username or password": "not-authorised",
    "bad user name or password": "not-authorised",
    "bad authentication method": "refused",
    "client identifier not valid": "refused",
    "client banned": "refused",
    "banned": "refused",
    "connection rate exceeded": "refused",
    "non-matching http origin": "refused",
    "server busy": "refused",
    "server unavailable": "refused",
    "unsupported protocol version": "refused",
    "administrative action": "administrative",
    "disconnected by administrative action": "administrative",
    "client disconnected": "clean",
    "normal disconnection": "clean",
}


_WORDS_OF_REFUSAL = re.compile(r" disconnected, ([^,]*)\.$")
_ALREADY = re.compile(r" (already connected)")  # beyond doubt a takeover; "session taken over" is not
_NOT_SUPPORTED = re.compile(r"(.*) disconnected due to (.*QoS too high.*?)\.?")
_OTHER_END = re.compile(r"(.*?)( \[[^\[\]]*\])? disconnected: (.+?)\.?")
_BRACKET = re.compile(r"(.*) \[([^\[\]]*:\d+)\]")


def ended(t: Time, text: str) -> Ended | None:
    """The end that a line which begins with "Client " tells of, None when it tells of none."""
    for words, how in _ENDS:
        if text.endswith(words):
            said = _WORDS_OF_REFUSAL.search(words) if how in ("not-authorised", "refused") else _ALREADY.search(words)
            return _ended(t, text[7 : -len(words)], how, said[1] if said else "")
    match = _NOT_SUPPORTED.fullmatch(text, 7)
    if match:
        return _ended(t, match[1], "error", match[2])
    match = _OTHER_END.fullmatch(text, 7)
    if match:
        return _reasoned(t, match[1] + (match[2] or ""), match[3])
    return None


def _reasoned(t: Time, who: str, reason: str) -> Ended | None:
    how = _REASONS.get(reason.lower())
    if how is None:
        return _ended(t, who, "error", reason)
    return _ended(t, who, how, reason if how in ("not-authorised", "refused") or "maximum" in reason else "")


def _ended(t: Time, who: str, how: str, detail: str) -> Ended | None:
    match = _BRACKET.fullmatch(who)
    if match:
        return Ended(t, match[1], how, match[2], detail)
    return Ended(t, who, how, None, detail) if who or how == "takeover" else None  # 0.15 has empty ids
