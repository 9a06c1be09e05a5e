"""The result as JSON, one object a line. The fields are described in docs/mosqlog.md; they are
added to, never renamed or taken away."""

from __future__ import annotations

import json
from collections.abc import Iterator

from .analyse import Analyser
from .findings import KINDS, Finding
from .model import Client, Session, Subject


def line(thing: dict[str, object]) -> str:
    """One line, ASCII. Bytes that are not UTF-8 stand as \\xNN."""
    return json.dumps(_sound(thing))


def _sound(x: object) -> object:
    if isinstance(x, str):
        try:
            x.encode()
            return x
        except UnicodeEncodeError:
            return x.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(x, dict):
        return {_sound(k): _sound(v) for k, v in x.items()}
    return [_sound(v) for v in x] if isinstance(x, (list, tuple)) else x


def objects(analyser: Analyser, files: list[str]) -> Iterator[dict[str, object]]:
    """Everything the analyser knows: the log, restarts, then client after client (the worst
    first) with its findings, sessions and delays, then topics and moments asked for."""
    a = analyser
    yield {"type": "log", "format": 2, "files": files, "lines": a.account.lines, "unknown": a.account.unknown,
           "first": a.account.first, "last": a.account.last, "mosquitto": a.broker.versions, "clients": len(a.clients),
           "accepts": a.accepts, "forgotten_clients": a.forgotten,
           "forgotten_strangers": a.strangers_forgotten, "topics": len(a.topics)}
    for restart in a.broker.restarts:
        yield {"type": "restart", "t": restart.t, "version": restart.version,
               "announced": restart.announced}
    for client in a.worst_first():
        yield _client(client)
        for finding in client.worst():
            yield _finding("client", client, finding)
        for session in client.sessions:
            yield session_object(client, session)
        for sent, delays in sorted(client.delays.items()):
            yield {"type": "delay", "client": client.id,
                   "direction": "to-client" if sent else "from-client", "n": delays.n,
                   "mean_s": delays.total_s / delays.n, "p50_s": delays.at_most_s(.5),
                   "p95_s": delays.at_most_s(.95), "worst_s": delays.worst_s,
                   "worst_topic": delays.worst_topic, "worst_t": delays.worst_t}
    for stranger in a.worst_strangers():
        yield {"type": "stranger", "address": stranger.id, "connections": stranger.connections,
               "refused": stranger.refused, "ports": stranger.ports, "ends": stranger.ends,
               "ids": stranger.ids, "tls": stranger.tls, "every_s": stranger.every_s,
               "first": stranger.first, "last": stranger.last, "sessions": stranger.sessions,
               "weight": stranger.weight}
        for finding in stranger.worst():
            yield _finding("stranger", stranger, finding)
    for name, topic in sorted(a.topics.items(), key=lambda x: (-x[1].received_b, x[0])):
        yield {"type": "topic", "topic": name, "received": topic.received,
               "received_b": topic.received_b, "sent": topic.sent, "sent_b": topic.sent_b,
               "rate_per_s": topic.rate(), "first": topic.first, "last": topic.last}
    for t, clients in a.connected_at.items():
        yield {"type": "connected_at", "t": t, "clients": clients}


def _finding(of: str, subject: Subject, finding: Finding) -> dict[str, object]:
    kind = KINDS[finding.code]
    return {"type": "finding", "of": of, "id": subject.id, "code": finding.code, "count": finding.count,
            "first": finding.first, "last": finding.last, "weight": finding.weight,
            "title": kind.title, "means": kind.means, "do": kind.do, "examples": finding.examples}


def _client(client: Client) -> dict[str, object]:
    return {"type": "client", "client": client.id,
            "connects": client.connects, "refused": client.refused,
            "connected": client.session is not None, "connected_s": client.connected_s,
            "ends": dict(client.ends), "weight": client.weight, "last_seen": client.last_seen,
            "received": client.received, "received_b": client.received_b, "sent": client.sent,
            "sent_b": client.sent_b, "pings": client.pings, "longest_silence_s": client.longest_silence_s,
            "in_flight": len(client.flows), "subscriptions": client.subscriptions}


def session_object(client: Client, session: Session) -> dict[str, object]:
    s = session
    return {"type": "session", "client": client.id, "start": s.start, "end": s.end, "how": s.how,
            "address": s.address, "user": s.user, "protocol": s.protocol, "clean": s.clean,
            "keepalive_s": s.keepalive_s, "session_present": s.present, "will": s.will,
            "received": s.received, "sent": s.sent, "merged": s.merged}
