"""The answers for people, in a terminal of any width or as plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich.console import Console
from rich.text import Text

from . import cluster, presence, tables, words
from .analyse import Analyser
from .cluster import Log
from .findings import KINDS, Finding
from .model import Client, Session, Subject
from .options import Options
from .ranking import TROUBLE, ranked
from .tables import Column, say
from .talkers import Talkers

EXAMPLES_OF = 3  # clients named under each kind of finding
TOPIC_ROWS = 10
AUDITS = 20  # the latest
_TROUBLE = ((40, "bold red"), (10, "red"), (1, "yellow"), (0, "green"))
_GOOD_ENDS = ("clean", "open")


def colour(weight: int) -> str:
    """The style of a client or finding of this weight."""
    return next(style for limit, style in _TROUBLE if weight >= limit)


def answer(
    options: Options, logs: list[Log], talkers: dict[str | None, Talkers], console: Console, warn: Callable[[str], None]
) -> None:
    """What was asked for: single questions, else single clients and addresses, else the whole of each log."""
    asked = options.connected or options.gone_s is not None or options.talkers or options.moments
    for log in logs:
        if asked or not (options.clients or options.addresses):
            _head(log, console)
        if options.connected:
            _connected(log.analyser, console)
        if options.gone_s is not None:
            _gone(log.analyser, options.gone_s, console)
        if options.talkers:
            _talkers(talkers[log.name], console, options.top)
        if options.moments:
            _moments(log.analyser, console)
        if not asked and not options.clients and not options.addresses:
            _summary(log, console, options)
    if asked:
        return
    for name in options.clients:
        _named(name, logs, console, warn)
    if options.addresses:
        for log in logs:
            _of_addresses(options, log, console, warn)
    if options.several:
        _across(logs, console, options)


# -- the whole log


def _head(log: Log, console: Console) -> None:
    analyser, account = log.analyser, log.analyser.account
    first, last = account.first, account.last
    length = (
        f"{words.moment(first)} to {words.moment(last)} ({words.span(last - first)})"
        if first is not None and last is not None
        else "no times in this log"
    )
    console.print(Text((f"{log.name}: " if log.name else "") + ", ".join(map(words.shown, log.files)), "bold"))
    console.print(Text(f"{account.lines:,} lines, {length}"))
    connected = sum(client.session is not None for client in analyser.clients.values())
    more = f", {analyser.forgotten:,} more that came once and left" if analyser.forgotten else ""
    version = f"Mosquitto {', '.join(analyser.broker.versions)}; " if analyser.broker.versions else ""
    console.print(
        Text(
            f"{version}{len(analyser.clients):,} clients{more}, {connected:,} connected at the end; "
            f"{len(analyser.topics):,} topics"
        )
    )


def _summary(log: Log, console: Console, options: Options) -> None:
    analyser = log.analyser
    _health(analyser, console)
    worst = ranked(analyser.clients.values(), options.sort)
    if worst:
        _clients(analyser, worst[: options.top], console)
    if len(worst) > options.top:
        rest = worst[options.top :]
        ill = sum(bool(client.findings) for client in rest)
        console.print(
            Text(
                f"... and {len(rest):,} more clients, {ill:,} of them with findings (--top {len(worst)} "
                f"shows all, --json has all)",
                "dim",
            )
        )
    _bridges(analyser, console)
    _families(analyser, console, options.top)
    _strangers(analyser, console, options.top)
    _found(ranked([subject for subject in log.subjects() if subject is not analyser.broker], TROUBLE), console)
    _topics(analyser, console, min(options.top, TOPIC_ROWS))


def _health(analyser: Analyser, console: Console) -> None:
    """The connections, the broker's restarts, and whether the log can tell much at all."""
    account = analyser.account
    if analyser.accepts:
        refused = analyser.refused
        accepted = analyser.begins
        console.print(
            Text(f"{analyser.accepts:,} TCP connections, {accepted:,} accepted and {refused:,} refused CONNECTs")
        )
    for restart in analyser.broker.restarts:
        console.print(Text(words.restart(restart), "yellow" if restart.announced else "red"))
    if account.unknown:
        console.print(Text(f"{account.unknown:,} lines not understood (--unknown shows them)", "yellow"))
    if account.lines and account.lines - account.unknown < account.lines * 0.05:
        console.print(
            Text("Hardly a line is Mosquitto's: is this its log? --time-format tells how its lines begin.", "red")
        )
    elif analyser.clients and not analyser.has_packets():
        console.print(
            Text(
                "The log has no packets: `log_type all` in mosquitto.conf shows heartbeats, messages and their acks.",
                "yellow",
            )
        )
    for note in words.clock(account):
        console.print(Text(note, "yellow"))
    _findings_of(analyser.broker, console)
    _audits(analyser, console)


def _audits(analyser: Analyser, console: Console) -> None:
    """What administrators told the dynamic security plugin to change."""
    changes = [audit for audit in analyser.audits if audit.changes]
    if not changes:
        return
    console.print()
    tables.show(
        console,
        [Column("administrator"), Column("when"), Column("command"), Column("on")],
        [
            [
                words.shown(audit.user or audit.client),
                words.moment(audit.t),
                words.shown(audit.command),
                words.shown(
                    ", ".join(f"{name} {value}" for name, value in audit.arguments.items() if name != "password")
                ),
            ]
            for audit in changes[-AUDITS:]
        ],
    )
    _and_more(len(changes), AUDITS, console)


def _clients(analyser: Analyser, clients: Iterable[Client], console: Console) -> None:
    console.print()
    rows, packets = [], analyser.has_packets()
    for client in clients:
        style = colour(client.weight)
        ends = words.ends(client).split(", ") + ["connected"] * (client.session is not None)
        found = [f"{finding.count:,} x {finding.code}" for finding in client.worst()]
        rows.append(
            [
                Text(words.shown(client.id), style),
                Text(f"{client.weight or ''}", style),
                f"{client.connects:,}",
                _up(analyser, client),
                f"{client.received:,}" if packets else "",
                f"{client.sent:,}" if packets else "",
                "\n".join(filter(None, ends)),
                Text("\n".join(found), style),
            ]
        )
    tables.show(
        console,
        [
            Column("client"),
            Column("trouble", right=True),
            Column("connects", right=True),
            Column("up", right=True),
            Column("in", right=True),
            Column("out", right=True),
            Column("ends", wide=True),
            Column("findings"),
        ],
        rows,
    )


def _up(analyser: Analyser, client: Client) -> str:
    """The part of the log's time that the client was connected for, where that is known."""
    first, last = analyser.account.first, analyser.account.last
    if first is None or last is None or last <= first:
        return ""
    up_s = analyser.up_s(client)
    return f"{100 * up_s / (last - first):.0f} %" if up_s is not None else "?"


def _bridges(analyser: Analyser, console: Console) -> None:
    if not analyser.bridges:
        return
    console.print()
    tables.show(
        console,
        [Column("bridge"), Column("to"), Column("state"), Column("attempts", right=True), Column("why it failed")],
        [
            [
                Text(words.shown(bridge.id), colour(bridge.weight)),
                words.shown(bridge.address),
                bridge.state,
                f"{bridge.attempts:,}",
                _counts(bridge.failures),
            ]
            for bridge in analyser.bridges.values()
        ],
    )


def _families(analyser: Analyser, console: Console, top: int) -> None:
    families = sorted(analyser.families.values(), key=lambda family: (-family.ids, family.id))
    if not families:
        return
    console.print()
    tables.show(
        console,
        [
            Column("device that forgets its id"),
            Column("ids", right=True),
            Column("from"),
            Column("user"),
            Column("open", right=True),
            Column("ends", wide=True),
        ],
        [
            [
                Text(words.shown(family.id), colour(family.weight)),
                f"{family.ids:,}",
                words.shown(family.address or "several addresses"),
                words.shown(family.user or ""),
                f"{family.open_now:,}",
                _counts(family.ends, words.HOWS),
            ]
            for family in families[:top]
        ],
    )
    _and_more(len(families), top, console)


def _strangers(analyser: Analyser, console: Console, top: int) -> None:
    strangers = analyser.worst_strangers()
    if not strangers:
        return
    console.print()
    tables.show(
        console,
        [
            Column("never became a client"),
            Column("connections", right=True),
            Column("refused", right=True),
            Column("every", right=True),
            Column("port"),
            Column("ended"),
            Column("as", wide=True),
        ],
        [
            [
                Text(words.shown(stranger.id) or "address not logged", colour(stranger.weight)),
                f"{stranger.connections:,}",
                f"{stranger.refused:,}",
                words.span(stranger.every_s) if stranger.every_s else "",
                ", ".join(map(str, stranger.ports)),
                _counts(stranger.ends, words.HOWS),
                words.shown(", ".join(stranger.ids)),
            ]
            for stranger in strangers[:top]
        ],
    )
    _and_more(len(strangers), top, console)


def _counts(counts: dict[str, int], names: dict[str, str] | None = None) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return "\n".join(f"{count:,} {words.shown((names or {}).get(what, what))}" for what, count in ordered)


def _and_more(count: int, top: int, console: Console) -> None:
    if count > top:
        console.print(Text(f"... and {count - top:,} more (--top {count} shows all, --json has all)", "dim"))


def _found(subjects: list[Subject], console: Console) -> None:
    by_code: dict[str, list[Subject]] = {}
    for subject in subjects:
        for code in subject.findings:
            by_code.setdefault(code, []).append(subject)
    for code in sorted(by_code, key=lambda code: -KINDS[code].weight):
        kind, ill = KINDS[code], by_code[code]
        console.print()
        console.print(Text(f"{code}: {kind.title}", colour(kind.weight)))
        for subject in ill[:EXAMPLES_OF]:
            finding = subject.findings[code]
            times = (
                f"{finding.count:,} times, {words.moment(finding.first)} to {words.moment(finding.last)}"
                if finding.count > 1
                else words.moment(finding.first)
            )
            say(console, f"{words.named(subject)}: {times}", 2)
            facts = words.example(finding.examples[-1]) if finding.examples else ""
            if facts:
                say(console, facts, 4, "dim")
        if len(ill) > EXAMPLES_OF:
            say(console, f"and {len(ill) - EXAMPLES_OF:,} more", 2)
        say(console, kind.means, 2)
        say(console, f"To do: {kind.do}", 2, "italic")


def _topics(analyser: Analyser, console: Console, top: int) -> None:
    ranking = sorted(analyser.topics.items(), key=lambda item: (-item[1].received_b - item[1].sent_b, item[0]))
    if not ranking:
        return
    console.print()
    tables.show(
        console,
        [
            Column("topic"),
            Column("published", right=True),
            Column("bytes", right=True),
            Column("rate", right=True),
            Column("delivered", right=True),
            Column("bytes", right=True),
        ],
        [
            [
                words.shown(name),
                f"{topic.received:,}",
                words.size(topic.received_b),
                words.rate(topic.rate()),
                f"{topic.sent:,}",
                words.size(topic.sent_b),
            ]
            for name, topic in ranking[:top]
        ],
    )
    if len(ranking) > top:
        console.print(Text(f"... and {len(ranking) - top:,} more topics", "dim"))


# -- single questions


def _moments(analyser: Analyser, console: Console) -> None:
    for t, clients in analyser.connected_at.items():
        console.print()
        console.print(Text(f"Connected at {words.moment(t)}: {len(clients)}", "bold"))
        console.print(Text(", ".join(words.shown(client) for client in clients) or "nobody"))


def _connected(analyser: Analyser, console: Console) -> None:
    present = presence.connected(analyser)
    console.print()
    console.print(Text(f"Connected at the end of the log: {len(present):,}", "bold"))
    if present:
        tables.show(
            console,
            [
                Column("client"),
                Column("since"),
                Column("for", right=True),
                Column("address"),
                Column("user", wide=True),
                Column("keep-alive", right=True),
                Column("last packet", right=True),
            ],
            [
                [
                    words.shown(each.client.id),
                    "before the log" if each.session.start is None else words.moment(each.session.start),
                    "" if each.for_s is None else words.span(each.for_s),
                    words.shown(each.session.address or ""),
                    words.shown(each.session.user or ""),
                    _seconds(each.session.keepalive_s),
                    "" if each.silent_s is None else f"{words.span(each.silent_s)} ago",
                ]
                for each in present
            ],
        )


def _gone(analyser: Analyser, for_s: float, console: Console) -> None:
    gone = presence.gone(analyser, for_s)
    console.print()
    console.print(Text(f"Gone for {words.span(for_s)} or longer at the end of the log: {len(gone):,}", "bold"))
    if gone:
        tables.show(
            console,
            [Column("client"), Column("for", right=True), Column("last seen"), Column("went by"), Column("address")],
            [
                [
                    words.shown(each.client.id),
                    words.span(each.for_s),
                    words.moment(each.client.last_seen),
                    words.HOWS[each.how] if each.how != "open" else "not logged",
                    words.shown(each.address or ""),
                ]
                for each in gone
            ],
        )


def _talkers(talkers: Talkers, console: Console, top: int) -> None:
    loudest = talkers.loudest()
    console.print()
    if not loudest:
        console.print(
            Text("Nothing was published, or the log has no packets: `log_type all` in mosquitto.conf.", "yellow")
        )
        return
    tables.show(
        console,
        [
            Column("client"),
            Column("messages", right=True),
            Column("bytes", right=True),
            Column("rate", right=True),
            Column("topic"),
        ],
        [
            [
                words.shown(talker.client),
                f"{talker.messages:,}",
                words.size(talker.size_b),
                words.rate(talker.rate_per_s()),
                words.shown(talker.topic),
            ]
            for talker in loudest[:top]
        ],
    )
    _and_more(len(loudest), top, console)


# -- one client, one address


def _named(name: str, logs: list[Log], console: Console, warn: Callable[[str], None]) -> None:
    found = False
    for log in logs:
        subject = log.analyser.clients.get(name) or log.analyser.strangers.get(name)
        if subject is None:
            continue
        found = True
        if log.name:
            console.print()
            console.print(Text(f"{log.name}:", "bold"))
        if isinstance(subject, Client):
            _client(log.analyser, subject, console)
        else:
            console.print()
            console.print(Text(words.named(subject), "bold " + colour(subject.weight)))
            _findings_of(subject, console)
    if not found:
        known = sorted(
            {client for log in logs for client in log.analyser.clients},
            key=lambda client: (name.lower() not in client.lower(), client),
        )
        warn(
            f"no client {name!r} in this log; there are "
            f"{', '.join(words.shown(client) for client in known[:5]) or 'none'}{' ...' if len(known) > 5 else ''}"
        )


def _client(analyser: Analyser, client: Client, console: Console) -> None:
    """All that is known of one client."""
    console.print()
    console.print(Text(words.shown(client.id), "bold " + colour(client.weight)))
    wills = f", last will sent {_times(client.wills_fired)}" if client.wills_fired else ""
    packets = (
        (
            f"; {client.received:,} messages in ({words.size(client.received_b)}), {client.sent:,} out "
            f"({words.size(client.sent_b)}), {client.pings:,} heartbeats, longest silence "
            f"{words.span(client.longest_silence_s)}"
        )
        if analyser.has_packets()
        else ""
    )
    console.print(Text(f"{client.connects:,} connects, {words.ends(client) or 'no ends'}{packets}{wills}"))
    if client.subscriptions:
        console.print(
            Text(
                "Subscribed: "
                + ", ".join(f"{words.shown(wanted)} (QoS {qos})" for wanted, qos in client.subscriptions.items())
            )
        )
    for sent, delays in sorted(client.delays.items()):
        console.print(
            Text(
                f"PUBLISH to last ack, {'to' if sent else 'from'} the client: {delays.count:,} messages, mean "
                f"{words.span(delays.total_s / delays.count)}, half within {words.span(delays.at_most_s(0.5))}, "
                f"95 % within {words.span(delays.at_most_s(0.95))}, worst {words.span(delays.worst_s)} "
                f"('{words.shown(delays.worst_topic)}', {words.moment(delays.worst_t)})"
            )
        )
    _findings_of(client, console)
    console.print()
    _sessions(analyser, client.sessions, console)
    if client.packets:
        console.print()
        console.print(Text(f"The last {len(client.packets)} packets", "bold"))
        for event in client.packets:
            console.print(Text(f"{words.moment(event.t)} {_arrow(event)} {words.packet(event)}"))


def _sessions(analyser: Analyser, sessions: list[Session], console: Console) -> None:
    rows, packets = [], analyser.has_packets()
    for session in sessions:
        merged = f" ({session.merged} sessions)" if session.merged > 1 else ""
        rows.append(
            [
                "before the log" if session.start is None else words.moment(session.start),
                words.span(words.duration_s(session, analyser.account.last)) + merged,
                Text(words.HOWS[session.how], "green" if session.how in _GOOD_ENDS else "red"),
                words.shown(session.address or ""),
                words.shown(session.user or ""),
                _seconds(session.keepalive_s),
                _kept(session),
                f"{session.received:,}" if packets else "",
                f"{session.sent:,}" if packets else "",
            ]
        )
    tables.show(
        console,
        [
            Column("connected"),
            Column("for"),
            Column("ended"),
            Column("address"),
            Column("user", wide=True),
            Column("keep-alive", wide=True),
            Column("session", wide=True),
            Column("in", right=True),
            Column("out", right=True),
        ],
        rows,
    )


def _kept(session: Session) -> str:
    if session.clean is None:
        return ""
    if session.clean:
        return "clean"
    return {True: "resumed", False: "new", None: "kept"}[session.present]


def _findings_of(subject: Subject, console: Console) -> None:
    for finding in subject.worst():
        console.print()
        _finding(finding, console)


def _finding(finding: Finding, console: Console) -> None:
    kind = KINDS[finding.code]
    console.print(Text(f"{finding.count:,} x {finding.code}: {kind.title}", colour(kind.weight)))
    for example in finding.examples:
        say(console, f"{words.moment(example['t'])} {words.example(example)}", 2)
    say(console, kind.means, 2, "dim")
    say(console, f"To do: {kind.do}", 2, "italic")


def _of_addresses(options: Options, log: Log, console: Console, warn: Callable[[str], None]) -> None:
    analyser, hold = log.analyser, options.addresses.hold
    console.print()
    if log.name:
        console.print(Text(f"{log.name}:", "bold"))
    strangers = [stranger for address, stranger in analyser.strangers.items() if hold(address)]
    for stranger in strangers:
        console.print(Text(words.shown(stranger.id), "bold " + colour(stranger.weight)))
        _findings_of(stranger, console)
    theirs = [
        client for client in analyser.clients.values() if any(hold(session.address) for session in client.sessions)
    ]
    for client in ranked(theirs, options.sort)[: options.top]:
        console.print()
        console.print(Text(words.shown(client.id), "bold " + colour(client.weight)))
        found = ", ".join(f"{finding.count:,} x {finding.code}" for finding in client.worst())
        if found:
            say(console, found, 2, colour(client.weight))
        _sessions(analyser, [session for session in client.sessions if hold(session.address)], console)
    if len(theirs) > options.top:
        console.print(Text(f"... and {len(theirs) - options.top:,} more clients (--top)", "dim"))
    if not theirs and not strangers:
        warn("nobody came from " + ", ".join(map(str, options.addresses.networks)))


# -- several brokers


def _across(logs: list[Log], console: Console, options: Options) -> None:
    """The bridges between the brokers, and the clients that were with more than one."""
    links = cluster.links(logs)
    if links:
        console.print()
        tables.show(
            console,
            [
                Column("bridge"),
                Column("of"),
                Column("attempts", right=True),
                Column("why it failed"),
                Column("is client"),
                Column("of"),
                Column("sessions there", right=True),
                Column("ended there"),
            ],
            [
                [
                    Text(words.shown(link.bridge.id), colour(link.bridge.weight)),
                    link.of,
                    f"{link.bridge.attempts:,}",
                    _counts(link.bridge.failures),
                    words.shown(link.client.id),
                    link.on,
                    f"{sum(session.merged for session in link.client.sessions):,}",
                    _counts(link.client.ends, words.HOWS),
                ]
                for link in links
            ],
        )
    travellers = [name for name in cluster.travellers(logs) if not options.clients or name in options.clients]
    if not travellers:
        return
    console.print()
    console.print(Text("With more than one broker", "bold"))
    rows = [
        [
            Text(words.shown(travel.client), "red" if travel.both else ""),
            f"{travel.moves:,}",
            f"{travel.both:,}" + (f", up to {words.span(travel.overlap_s)}" if travel.both else ""),
            ", ".join(travel.brokers),
        ]
        for travel in cluster.travels(logs, travellers)
    ]
    tables.show(
        console,
        [
            Column("client"),
            Column("moves", right=True),
            Column("old session still open", right=True),
            Column("brokers"),
        ],
        rows[: options.top],
    )
    _and_more(len(rows), options.top, console)
    for name in options.clients:
        if name in travellers:
            _way(name, logs, console)


def _way(name: str, logs: list[Log], console: Console) -> None:
    console.print()
    console.print(Text(f"The way of {words.shown(name)}", "bold"))
    way = cluster.stays(logs, name)
    tables.show(
        console,
        [Column("connected"), Column("broker"), Column("until"), Column("ended"), Column("address")],
        [
            [
                "before the log" if stay.session.start is None else words.moment(stay.session.start),
                stay.broker,
                "" if stay.session.end is None else words.moment(stay.session.end),
                words.HOWS[stay.session.how],
                words.shown(stay.session.address or ""),
            ]
            for stay in way
        ],
    )
    for move in cluster.moves(way):
        if (move.overlap_s or 0) > 0:
            console.print(
                Text(
                    f"{words.moment(move.t)} came to {move.to} while {move.left} still believed in it, for "
                    f"{words.span(move.overlap_s)}",
                    "red",
                )
            )


# -- small things


def _seconds(seconds: int | None) -> str:
    return "" if seconds is None else f"{seconds} s"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _arrow(event: object) -> str:
    if type(event).__name__ == "Ended":
        return " X "
    sent = getattr(event, "sent", type(event).__name__ == "Connack")
    return "<--" if sent else "-->"
