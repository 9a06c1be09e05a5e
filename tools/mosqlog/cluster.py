"""The brokers whose logs are read side by side, and the sessions of a client that moves between them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .analyse import Analyser
from .model import Bridge, Client, Session, Subject
from .parse import Parser

_NAMED = re.compile(r"([\w.-]+)=(.+)", re.DOTALL)
STDIN = "-"


@dataclass(frozen=True)
class Source:
    """The log files of one broker; `name` is None when it is the only one and was given none."""

    name: str | None
    paths: list[str]


@dataclass
class Log:
    """The log of one broker: its files, the oldest first, and all that is known from them."""

    name: str | None
    files: list[str]
    parser: Parser
    analyser: Analyser

    def subjects(self) -> list[Subject]:
        """Whoever can be in trouble: the broker, its bridges, clients, those that forget their ids, strangers."""
        analyser = self.analyser
        return [
            analyser.broker,
            *analyser.bridges.values(),
            *analyser.clients.values(),
            *analyser.families.values(),
            *analyser.strangers.values(),
        ]


@dataclass(frozen=True)
class Stay:
    """One session of a client, and the broker it was with."""

    broker: str
    session: Session


@dataclass(frozen=True)
class Move:
    """A client came to `to` after it had been with `left`. `overlap_s` is for how long the old broker went on
    believing in it: above 0 the old session was open when the new one began; None when a time is not known."""

    t: float | None
    left: str
    to: str
    overlap_s: float | None


@dataclass(frozen=True)
class Travel:
    """How a client moved between brokers. `both`: how often the old session was still open; `overlap_s`: for how long
    at most."""

    client: str
    brokers: list[str]
    moves: int
    both: int
    overlap_s: float


@dataclass(frozen=True)
class Link:
    """A bridge that one broker makes, and the client that it is of another."""

    bridge: Bridge
    of: str
    client: Client
    on: str


def grouped(logs: list[str]) -> list[Source]:
    """The logs of a command line by their broker: NAME=LOG, or LOG alone for a single broker.
    Raises ValueError when only some have a name, or standard input is not alone."""
    by_name: dict[str | None, list[str]] = {}
    for log in logs:
        match = _NAMED.fullmatch(log)
        name, path = (match[1], match[2]) if match else (None, log)
        by_name.setdefault(name, []).append(path)
    if None in by_name and len(by_name) > 1:
        raise ValueError(
            f"{by_name[None][0]} has no name: with several brokers every log is given as NAME=LOG (a "
            f"file whose name holds `=` as ./NAME)"
        )
    paths = [path for group in by_name.values() for path in group]
    if STDIN in paths and len(paths) > 1:
        raise ValueError("- (standard input) goes alone: cat the files together instead")
    return [Source(name, group) for name, group in by_name.items()]


def stays(logs: Iterable[Log], client: str) -> list[Stay]:
    """The sessions of a client with all brokers, in the order in which they began."""
    found = [
        Stay(log.name or "", session)
        for log in logs
        if client in log.analyser.clients
        for session in log.analyser.clients[client].sessions
    ]
    return sorted(found, key=lambda stay: (stay.session.start is not None, stay.session.start or 0))


def travellers(logs: list[Log]) -> list[str]:
    """The ids that were clients of more than one of the brokers, in alphabetical order."""
    seen: dict[str, int] = {}
    for log in logs:
        for client in log.analyser.clients:
            seen[client] = seen.get(client, 0) + 1
    return sorted(client for client, count in seen.items() if count > 1)


def travels(logs: list[Log], clients: Iterable[str]) -> list[Travel]:
    """Those of these clients, the ones that two brokers believed in at once most often first."""
    found = []
    for client in clients:
        way = stays(logs, client)
        overlaps_s = [move.overlap_s or 0 for move in moves(way)]
        both = [overlap_s for overlap_s in overlaps_s if overlap_s > 0]
        found.append(
            Travel(
                client,
                list(dict.fromkeys(stay.broker for stay in way)),
                len(overlaps_s),
                len(both),
                max(both, default=0),
            )
        )
    return sorted(found, key=lambda travel: (-travel.both, -travel.moves, travel.client))


def moves(way: list[Stay]) -> Iterator[Move]:
    """Each change of broker on the way of one client, as stays() gives it."""
    last: Stay | None = None
    for stay in way:
        if last is not None and last.broker != stay.broker:
            yield Move(stay.session.start, last.broker, stay.broker, _overlap_s(last.session, stay.session))
        # The session that lasts longest is the one that the next can overlap.
        if last is None or last.broker == stay.broker or not _outlasts(last.session, stay.session):
            last = stay


def _outlasts(older: Session, newer: Session) -> bool:
    return newer.end is not None and (older.end is None or older.end > newer.end)


def _overlap_s(older: Session, newer: Session) -> float | None:
    """Seconds that both were open; below 0 the seconds between them. None when a time is missing."""
    if newer.start is None:
        return None
    ends = [end for end in (older.end, newer.end) if end is not None]
    return min(ends) - newer.start if ends else None


def links(logs: list[Log]) -> list[Link]:
    """The bridges between the brokers: seen from the one that makes it, and from the one that it is a client of. Its
    id there is the remote_clientid, else the host's name, a dot and the name of the connection."""
    found = []
    for log in logs:
        for bridge in log.analyser.bridges.values():
            for other in logs:
                found += [
                    Link(bridge, log.name or "", client, other.name or "")
                    for client in other.analyser.clients.values()
                    if other is not log
                    and (client.id == bridge.remote_id or client.bridge and client.id.endswith(f".{bridge.id}"))
                ]
    return found
