"""The order of the clients in every table."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .model import Client

TROUBLE = "trouble"
KEYS: dict[str, Callable[[Client], object]] = {
    TROUBLE: lambda client: -client.weight,
    "name": lambda client: "",
    "connects": lambda client: -client.connects,
    "published": lambda client: -client.received,
    "delivered": lambda client: -client.sent,
    "bytes": lambda client: -(client.received_b + client.sent_b),
    "up": lambda client: -client.connected_s,
    "silence": lambda client: -client.longest_silence_s,
    "last-seen": lambda client: -(client.last_seen or 0),
}


def ranked(clients: Iterable[Client], key: str = TROUBLE) -> list[Client]:
    """The clients by a key of KEYS, the greatest first (`name`: alphabetical); among equals first who came back latest
    after an outage."""
    by = KEYS[key]
    return sorted(clients, key=lambda client: (by(client), -client.return_s, client.id))
