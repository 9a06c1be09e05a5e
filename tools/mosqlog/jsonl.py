"""The result as JSON, one object a line. docs/mosqlog.schema.json describes every field; they are added to, never
renamed or taken away (`format` would then go up).

Every object has `type`, `live` and `broker`. `live` is true for what is told as it happens (--follow), false for what
is known at the end; `broker` is the name that a log was given, or null."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from . import cluster, presence, words
from .analyse import Analyser
from .cluster import Log
from .events import Unknown
from .findings import KINDS, Finding
from .live import Alarm
from .model import Bridge, Client, Family, Restart, Session, Storm, Stranger, Subject
from .options import Options
from .ranking import ranked
from .talkers import Talkers

FORMAT = 2
Object = dict[str, object]


def line(thing: Object) -> str:
    """One line, ASCII. Bytes that are not UTF-8 stand as \\xNN."""
    return json.dumps(_sound(thing))


def _sound(value: object) -> object:
    if isinstance(value, str):
        return words.sound(value)
    if isinstance(value, dict):
        return {words.sound(str(name)): _sound(part) for name, part in value.items()}
    return [_sound(part) for part in value] if isinstance(value, (list, tuple)) else value


def _object(kind: str, broker: str | None, live: bool, **fields: object) -> Object:
    return {"type": kind, "live": live, "broker": broker, **fields}


def heads(logs: Iterable[Log]) -> Iterator[Object]:
    """The `log` object of each log: they come first."""
    for log in logs:
        yield log_object(log)


def objects(options: Options, logs: list[Log], talkers: dict[str | None, Talkers]) -> Iterator[Object]:
    """Everything that is known and everything that was asked for; with --client or --address only what is of those
    clients and addresses."""
    for log in logs:
        yield from _of_log(options, log)
        yield from _answers(options, log, talkers.get(log.name))
    if options.several:
        yield from _across(options, logs)


def _of_log(options: Options, log: Log) -> Iterator[Object]:
    analyser = log.analyser
    for restart in analyser.broker.restarts:
        yield restart_object(restart, log.name)
    if not (options.clients or options.addresses):
        yield from _findings("broker", analyser.broker, log)
    for storm in analyser.storms:
        yield _storm(storm, log)
    for bridge in analyser.bridges.values():
        yield _bridge(bridge, log)
        yield from _findings("bridge", bridge, log)
    for client in ranked(analyser.clients.values(), options.sort):
        if _wanted(options, client):
            yield from _of_client(client, log)
    for family in analyser.families.values():
        yield _family(family, log)
        yield from _findings("family", family, log)
    for stranger in analyser.worst_strangers():
        if _wanted_address(options, stranger.id):
            yield _stranger(stranger, log)
            yield from _findings("stranger", stranger, log)
    if not (options.clients or options.addresses):
        for refusal in analyser.refusals:
            yield _object(
                "refusal",
                log.name,
                False,
                t=refusal.t,
                client=refusal.client,
                address=refusal.address,
                user=refusal.user,
                why=refusal.why,
            )
        for audit in analyser.audits:
            yield _object(
                "audit",
                log.name,
                False,
                t=audit.t,
                client=audit.client,
                user=audit.user,
                command=audit.command,
                arguments=audit.arguments,
            )
        yield from _topics(analyser, log)


def _wanted(options: Options, client: Client) -> bool:
    if not (options.clients or options.addresses):
        return True
    return client.id in options.clients or any(options.addresses.hold(session.address) for session in client.sessions)


def _wanted_address(options: Options, address: str) -> bool:
    if not (options.clients or options.addresses):
        return True
    return address in options.clients or options.addresses.hold(address)


def _of_client(client: Client, log: Log) -> Iterator[Object]:
    yield _client(client, log)
    yield from _findings("client", client, log)
    for session in client.sessions:
        yield session_object(client, session, log.name)
    for sent, delays in sorted(client.delays.items()):
        yield _object(
            "delay",
            log.name,
            False,
            client=client.id,
            direction="to-client" if sent else "from-client",
            n=delays.count,
            mean_s=delays.total_s / delays.count,
            p50_s=delays.at_most_s(0.5),
            p95_s=delays.at_most_s(0.95),
            worst_s=delays.worst_s,
            worst_topic=delays.worst_topic,
            worst_t=delays.worst_t,
        )


def _topics(analyser: Analyser, log: Log) -> Iterator[Object]:
    for name, topic in sorted(analyser.topics.items(), key=lambda item: (-item[1].received_b, item[0])):
        yield _object(
            "topic",
            log.name,
            False,
            topic=name,
            received=topic.received,
            received_b=topic.received_b,
            sent=topic.sent,
            sent_b=topic.sent_b,
            rate_per_s=topic.rate(),
            first=topic.first,
            last=topic.last,
        )


def _answers(options: Options, log: Log, talkers: Talkers | None) -> Iterator[Object]:
    analyser = log.analyser
    for t, clients in analyser.connected_at.items():
        yield _object("connected_at", log.name, False, t=t, clients=clients)
    if options.connected:
        for each in presence.connected(analyser):
            yield _object(
                "connected",
                log.name,
                False,
                client=each.client.id,
                start=each.session.start,
                for_s=each.for_s,
                address=each.session.address,
                user=each.session.user,
                keepalive_s=each.session.keepalive_s,
                silent_s=each.silent_s,
            )
    if options.gone_s is not None:
        for each in presence.gone(analyser, options.gone_s):
            yield _object(
                "gone",
                log.name,
                False,
                client=each.client.id,
                for_s=each.for_s,
                last_seen=each.client.last_seen,
                how=each.how,
                address=each.address,
            )
    for talker in talkers.loudest() if talkers else ():
        yield _object(
            "talker",
            log.name,
            False,
            client=talker.client,
            topic=talker.topic,
            messages=talker.messages,
            size_b=talker.size_b,
            rate_per_s=talker.rate_per_s(),
            first=talker.first,
            last=talker.last,
        )


def _across(options: Options, logs: list[Log]) -> Iterator[Object]:
    for link in cluster.links(logs):
        yield _object("link", link.of, False, bridge=link.bridge.id, client=link.client.id, on=link.on)
    for client in cluster.travellers(logs):
        if options.clients and client not in options.clients:
            continue
        for move in cluster.moves(cluster.stays(logs, client)):
            yield _object(
                "move", None, False, client=client, t=move.t, left=move.left, to=move.to, overlap_s=move.overlap_s
            )


# -- one object each


def log_object(log: Log, live: bool = False) -> Object:
    """The log as such; `live` when it has only begun to be read."""
    analyser, account = log.analyser, log.analyser.account
    return _object(
        "log",
        log.name,
        live,
        format=FORMAT,
        files=log.files,
        lines=account.lines,
        foreign=account.foreign,
        unknown=account.unknown,
        timeless=account.timeless,
        first=account.first,
        last=account.last,
        mosquitto=analyser.broker.versions,
        clients=len(analyser.clients),
        accepts=analyser.accepts,
        topics=len(analyser.topics),
        forgotten_clients=analyser.forgotten,
        forgotten_strangers=analyser.strangers_forgotten,
    )


def restart_object(restart: Restart, broker: str | None, live: bool = False) -> Object:
    """A start of the broker after another run of it."""
    return _object(
        "restart",
        broker,
        live,
        t=restart.t,
        version=restart.version,
        announced=restart.announced,
        why=restart.why,
        away_s=restart.away_s,
    )


def unknown_object(event: Unknown, broker: str | None, live: bool) -> Object:
    """A line that is not understood."""
    return _object("unknown", broker, live, t=event.t, text=event.text)


def session_object(subject: Subject, session: Session, broker: str | None, live: bool = False) -> Object:
    """One session of a client; live: it began (`how` is `open`) or ended."""
    return _object(
        "session",
        broker,
        live,
        client=subject.id,
        start=session.start,
        end=session.end,
        how=session.how,
        address=session.address,
        user=session.user,
        protocol=session.protocol,
        clean=session.clean,
        keepalive_s=session.keepalive_s,
        session_present=session.present,
        will=session.will,
        received=session.received,
        sent=session.sent,
        merged=session.merged,
    )


def trouble_object(alarm: Alarm) -> Object:
    """A trouble, told once while the log is followed."""
    return _object(
        "trouble",
        alarm.broker,
        True,
        of=words.kind(alarm.subject),
        id=alarm.subject.id,
        code=alarm.code,
        t=alarm.t,
        count=alarm.count,
        standing=alarm.standing,
        weight=alarm.weight,
        title=KINDS[alarm.code].title,
        text=alarm.text(),
        example=alarm.example,
    )


def _findings(of: str, subject: Subject, log: Log) -> Iterator[Object]:
    for finding in subject.worst():
        yield _finding(of, subject, finding, log)


def _finding(of: str, subject: Subject, finding: Finding, log: Log) -> Object:
    kind = KINDS[finding.code]
    return _object(
        "finding",
        log.name,
        False,
        of=of,
        id=subject.id,
        code=finding.code,
        count=finding.count,
        first=finding.first,
        last=finding.last,
        weight=finding.weight,
        title=kind.title,
        means=kind.means,
        do=kind.do,
        examples=finding.examples,
    )


def _client(client: Client, log: Log) -> Object:
    return _object(
        "client",
        log.name,
        False,
        client=client.id,
        bridge=client.bridge,
        connects=client.connects,
        refused=client.refused,
        connected=client.session is not None,
        connected_s=client.connected_s,
        ends=client.ends,
        weight=client.weight,
        last_seen=client.last_seen,
        received=client.received,
        received_b=client.received_b,
        sent=client.sent,
        sent_b=client.sent_b,
        pings=client.pings,
        longest_silence_s=client.longest_silence_s,
        in_flight=len(client.flows),
        subscriptions=client.subscriptions,
        wills_fired=client.wills_fired,
        family=client.family,
    )


def _stranger(stranger: Stranger, log: Log) -> Object:
    return _object(
        "stranger",
        log.name,
        False,
        address=stranger.id,
        connections=stranger.connections,
        refused=stranger.refused,
        ports=stranger.ports,
        ends=stranger.ends,
        ids=stranger.ids,
        tls=stranger.tls,
        every_s=stranger.every_s,
        first=stranger.first,
        last=stranger.last,
        sessions=stranger.sessions,
        weight=stranger.weight,
    )


def _bridge(bridge: Bridge, log: Log) -> Object:
    return _object(
        "bridge",
        log.name,
        False,
        bridge=bridge.id,
        address=bridge.address,
        addresses=bridge.addresses,
        state=bridge.state,
        attempts=bridge.attempts,
        connects=bridge.connects,
        failures=bridge.failures,
        local_id=bridge.local_id,
        remote_id=bridge.remote_id,
        every_s=bridge.rhythm.every_s(),
        first=bridge.first,
        last=bridge.last,
        weight=bridge.weight,
    )


def _family(family: Family, log: Log) -> Object:
    return _object(
        "family",
        log.name,
        False,
        family=family.id,
        ids=family.ids,
        address=family.address,
        user=family.user,
        open_now=family.open_now,
        open_at_most=family.open_at_most,
        returned=family.returned,
        ends=family.ends,
        first=family.first,
        last=family.last,
        last_id=family.last_id,
        weight=family.weight,
    )


def _storm(storm: Storm, log: Log) -> Object:
    return _object(
        "storm",
        log.name,
        False,
        first=storm.first,
        last=storm.last,
        clients=storm.clients,
        count=storm.count,
        connected=storm.connected,
        ends=storm.ends,
        cause=storm.cause,
        facts=storm.facts,
    )
