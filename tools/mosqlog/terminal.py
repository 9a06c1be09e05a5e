"""The summary for people, in a terminal or as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import words
from .analyse import Analyser
from .findings import KINDS
from .model import Client, Subject

WIDE = 110      # columns from which there is room for how the sessions ended
_TROUBLE = ((40, "bold red"), (10, "red"), (1, "yellow"), (0, "green"))


def colour(weight: int) -> str:
    """The style of a client or finding of this weight."""
    return next(style for limit, style in _TROUBLE if weight >= limit)


def summary(analyser: Analyser, files: list[str], console: Console, top: int) -> None:
    """The whole log: head, fleet, what was found, topics, moments asked for."""
    a = analyser
    _head(a, files, console)
    worst = a.worst_first()
    strangers = [s for s in a.worst_strangers() if s.findings]
    if not worst and not strangers:
        return
    _fleet(a, worst[:top], console)
    if len(worst) > top:
        rest = worst[top:]
        ill = sum(bool(c.findings) for c in rest)
        console.print(Text(f"... and {len(rest)} more clients, {ill} of them with findings "
                           f"(--top {len(worst)} shows all, --json has all)", "dim"))
    _found([*worst, *strangers], console)
    _topics(a, console, top)
    for t, clients in a.connected_at.items():
        console.print()
        console.print(Text(f"Connected at {words.moment(t)}: {len(clients)}", "bold"))
        console.print(Text(", ".join(words.shown(c) for c in clients) or "nobody"))


def _head(a: Analyser, files: list[str], console: Console) -> None:
    first, last = a.account.first, a.account.last
    span = f"{words.moment(first)} to {words.moment(last)} ({words.span(last - first)})" \
        if first is not None and last is not None else "no times in this log"
    console.print(Text(", ".join(words.shown(f) for f in files), "bold"))
    console.print(Text(f"{a.account.lines:,} lines, {span}"))
    connected = sum(c.session is not None for c in a.clients.values())
    more = f", {a.forgotten:,} more that came once and left" if a.forgotten else ""
    version = f"Mosquitto {', '.join(a.broker.versions)}; " if a.broker.versions else ""
    console.print(Text(f"{version}{len(a.clients):,} clients{more}, {connected:,} connected at "
                       f"the end; {len(a.topics):,} topics"))
    if a.accepts:
        refused = sum(c.refused for c in [*a.clients.values(), *a.strangers.values()])
        console.print(Text(f"{a.accepts:,} TCP connections, "
                           f"{sum(c.connects for c in a.clients.values()) + a.forgotten:,} accepted "
                           f"and {refused:,} refused CONNECTs"))
    for restart in a.broker.restarts:
        console.print(Text(words.restart(restart), "yellow" if restart.announced else "red"))
    if a.account.unknown:
        console.print(Text(f"{a.account.unknown:,} lines not understood (--unknown shows them)", "yellow"))
    if a.account.lines and a.account.lines - a.account.unknown < a.account.lines * 0.05:
        console.print(Text("Hardly a line is Mosquitto's: is this its log? --time-format tells how "
                           "its lines begin.", "red"))
    elif a.clients and not a.has_packets():
        console.print(Text("The log has no packets: `log_type all` in mosquitto.conf shows "
                           "heartbeats, messages and their acks.", "yellow"))


def _fleet(a: Analyser, clients: list[Client], console: Console) -> None:
    console.print()
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    wide = console.width >= WIDE
    for name in ("client", "trouble", "connects", "up", "in", "out", *(("ends",) if wide else ()),
                 "findings"):
        left = name in ("client", "ends", "findings")
        table.add_column(name, justify="left" if left else "right", overflow="fold",
                         no_wrap=name != "client")
    length_s = (a.account.last or 0) - (a.account.first or 0)
    for c in clients:
        up_s = c.connected_s
        if c.session is not None and a.account.last is not None:
            start = a.account.first if c.session.start is None else c.session.start
            up_s += max(0, a.account.last - (a.account.last if start is None else start))
        style = colour(c.weight)
        up = f"{100 * up_s / length_s:.0f} %" if length_s else ""
        ends = words.ends(c).split(", ") + ["connected"] * (c.session is not None)
        found = [f"{f.count:,} x {f.code}" for f in c.worst()]
        table.add_row(
            Text(words.shown(c.id), style),
            Text(f"{c.weight or ''}", style), f"{c.connects:,}", up, f"{c.received:,}",
            f"{c.sent:,}", *([Text("\n".join(filter(None, ends)))] if wide else []),
            Text("\n".join(found), style))
    console.print(table)


def _found(clients: Sequence[Subject], console: Console) -> None:
    by_code: dict[str, list[Subject]] = {}
    for client in clients:
        for code in client.findings:
            by_code.setdefault(code, []).append(client)
    for code in sorted(by_code, key=lambda code: -KINDS[code].weight):
        kind, ill = KINDS[code], by_code[code]
        console.print()
        console.print(Text(f"{code}: {kind.title}", colour(kind.weight)))
        for client in ill[:3]:
            finding = client.findings[code]
            console.print(Text(f"  {words.shown(client.id)}: {finding.count} times, "
                               f"{words.moment(finding.first)} to {words.moment(finding.last)}"
                               if finding.count > 1 else
                               f"  {words.shown(client.id)}: {words.moment(finding.first)}"))
            if finding.examples:
                console.print(Text(f"    {words.example(finding.examples[-1])}", "dim"))
        if len(ill) > 3:
            console.print(Text(f"  and {len(ill) - 3} more clients"))
        console.print(Text(f"  {kind.means}"))
        console.print(Text(f"  To do: {kind.do}", "italic"))


def _topics(a: Analyser, console: Console, top: int) -> None:
    ranked = sorted(a.topics.items(), key=lambda x: (-x[1].received_b - x[1].sent_b, x[0]))
    if not ranked:
        return
    console.print()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (("topic", "left"), ("published", "right"), ("bytes", "right"),
                          ("rate", "right"), ("delivered", "right"), ("bytes", "right")):
        table.add_column(name, justify=justify, overflow="fold")
    for name, topic in ranked[:min(top, 10)]:
        table.add_row(Text(words.shown(name)), f"{topic.received:,}", words.size(topic.received_b),
                      words.rate(topic.rate()), f"{topic.sent:,}", words.size(topic.sent_b))
    console.print(table)
    if len(ranked) > min(top, 10):
        console.print(Text(f"... and {len(ranked) - min(top, 10):,} more topics", "dim"))


def client(analyser: Analyser, client: Client, console: Console) -> None:
    """All that is known of one client."""
    a = analyser
    console.print()
    console.print(Text(words.shown(client.id), "bold " + colour(client.weight)))
    console.print(Text(f"{client.connects} connects, {words.ends(client) or 'no ends'}; "
                       f"{client.received} messages in ({words.size(client.received_b)}), "
                       f"{client.sent} out ({words.size(client.sent_b)}), {client.pings} "
                       f"heartbeats, longest silence {words.span(client.longest_silence_s)}"))
    if client.subscriptions:
        console.print(Text("Subscribed: " + ", ".join(
            f"{words.shown(f)} (QoS {q})" for f, q in client.subscriptions.items())))
    for sent, d in sorted(client.delays.items()):
        console.print(Text(
            f"PUBLISH to last ack, {'to' if sent else 'from'} the client: {d.n} messages, mean "
            f"{words.span(d.total_s / d.n)}, half within {words.span(d.at_most_s(.5))}, 95 % "
            f"within {words.span(d.at_most_s(.95))}, worst {words.span(d.worst_s)} "
            f"('{words.shown(d.worst_topic)}', {words.moment(d.worst_t)})"))
    for finding in client.worst():
        kind = KINDS[finding.code]
        console.print()
        console.print(Text(f"{finding.count} x {finding.code}: {kind.title}",
                           colour(kind.weight)))
        for e in finding.examples:
            console.print(Text(f"  {words.moment(e['t'])} {words.example(e)}"))
        console.print(Text(f"  {kind.means}", "dim"))
        console.print(Text(f"  To do: {kind.do}", "italic"))
    console.print()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("connected", "for", "ended", "address", "user", "keep-alive", "session", "in",
                 "out"):
        table.add_column(name, overflow="fold")
    for s in client.sessions:
        kept = "" if s.clean is None else "clean" if s.clean else \
            "resumed" if s.present else "new" if s.present is False else "kept"
        merged = f" ({s.merged} sessions)" if s.merged > 1 else ""
        table.add_row(
            "before the log" if s.start is None else words.moment(s.start),
            words.span(words.duration_s(s, a.account.last)) + merged,
            Text(words.HOWS[s.how], "green" if s.how in ("clean", "open") else "red"),
            Text(words.shown(s.address or "")), Text(words.shown(s.user or "")),
            "" if s.keepalive_s is None else f"{s.keepalive_s} s", kept, str(s.received),
            str(s.sent))
    console.print(table)
    if client.packets:
        console.print()
        console.print(Text(f"The last {len(client.packets)} packets", "bold"))
        for event in client.packets:
            console.print(Text(f"{words.moment(event.t)} {_arrow(event)} {words.packet(event)}"))


def _arrow(event: object) -> str:
    if type(event).__name__ == "Ended":
        return " X "
    sent = getattr(event, "sent", type(event).__name__ == "Connack")
    return "<--" if sent else "-->"
