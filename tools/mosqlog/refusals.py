r"""Refused logins, a line each, for fail2ban and its like.

    2026-11-22 11:56:02 mosquitto: login refused from 203.0.113.7 port 48732, client "dev17", user "": not authorised

The address comes before everything that the one refused has chosen himself, so that no client id can have another
address banned: a filter anchors at the beginning (fail2ban takes the time off by itself):

    failregex = ^\s*mosquitto: login refused from <ADDR>(?: port \d+)?, client\s

A refusal whose address is not logged, or not certain, has `login refused, address not logged` there and matches none.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone

from . import words
from .model import Refusal, host


def line(refusal: Refusal, zone: timezone | None = None) -> str:
    """The line of one refusal, without its end. zone: of the time; None is this machine's, as fail2ban expects."""
    t = refusal.t
    when = datetime.now(zone) if t is None else datetime.fromtimestamp(t, zone)
    address = refusal.address or ""
    ip = host(address)
    port = address[len(ip) + 1 :] if address.startswith(ip + ":") else ""
    whence = (
        f"login refused from {ip}" + (f" port {port}" if port.isdecimal() else "")
        if ip
        else "login refused, address not logged"
    )
    return (
        f"{when:%Y-%m-%d %H:%M:%S} mosquitto: {whence}, client {_quoted(refusal.client)}, user "
        f"{_quoted(refusal.user)}: {words.shown(refusal.why)}"
    )


def _quoted(text: str | None) -> str:
    return json.dumps(words.shown(text or ""), ensure_ascii=False)
