"""The report as one HTML file that loads nothing: totals, the worst clients with their time lines and details, and
the rest of the fleet one click away.

All text of the log is escaped, and a Content-Security-Policy lets nothing run but the report's own script."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from . import cluster, events, strips, words
from .cluster import Log
from .findings import KINDS, Finding
from .model import Client, Session, Subject
from .ranking import ranked
from .strips import Bar, Span

IN_PAGE = 50  # clients with all their details, the worst first
CLIENTS = 6000  # drawn at all; the rest is counted
BARS = 40_000  # sessions drawn of all clients together
BARS_IN_PAGE = 120  # of one client in the page
LEAST_BARS = 4
SESSION_ROWS = 30  # the latest of a client
NAME = 60  # letters of an id that are shown
TOPICS = 100
STRANGERS = 50

STYLE = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
_SCRIPT = Path(__file__).with_name("report.js").read_text(encoding="utf-8")
_GOOD_ENDS = ("clean", "open", "broker-stopped")


def write(logs: list[Log], path: str, first: Iterable[str] = ()) -> None:
    """The report of finished analyses, replacing `path` at once or not at all. The clients named in `first` come
    before the others. Raises OSError."""
    folder = Path(path).resolve().parent
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".mosqlog-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(_page(logs, frozenset(first)))
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _t(text: object) -> str:
    return escape(words.shown(str(text)))


def _cut(text: str) -> str:
    """An id, cut where it is long; the whole stands in the title of what it is in."""
    shown = words.shown(text)
    return escape(shown if len(shown) <= NAME else shown[: NAME - 12] + "…" + shown[-10:])


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _page(logs: list[Log], first: frozenset[str]) -> Iterator[str]:
    policy = (
        f"default-src 'none'; style-src '{_hash(STYLE)}'; script-src '{_hash(_SCRIPT)}'; base-uri 'none'; "
        f"form-action 'none'"
    )
    yield (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Mosquitto log: {_t(_title(logs))}</title><style>{STYLE}</style></head><body>\n"
        f"<h1>What happened to each device</h1>\n"
    )
    for log in logs:
        yield from _head(log)
    yield from _totals(logs)
    for log in logs:
        yield from _of_broker(log)
    yield from _found(logs)
    yield from _Fleet(logs, first).written()
    yield from _across(logs)
    for log in logs:
        yield from _storms(log)
        yield from _bridges(log)
        yield from _families(log)
        yield from _strangers(log)
        yield from _topics(log)
        yield from _moments(log)
    yield f"<script>{_SCRIPT}</script></body></html>\n"


def _title(logs: list[Log]) -> str:
    return ", ".join(log.name or Path(log.files[0]).name for log in logs)


def _of(log: Log) -> str:
    """Which broker a heading is about, when there are several."""
    return f" of {_t(log.name)}" if log.name else ""


# -- totals


def _head(log: Log) -> Iterator[str]:
    account = log.analyser.account
    name = f"<b>{_t(log.name)}</b>: " if log.name else ""
    versions = ", ".join(log.analyser.broker.versions) or "of unknown version"
    yield (
        f'<p>{name}{_t(", ".join(log.files))}<br><span class="dim">{account.lines:,} lines, '
        f"{words.moment(account.first)} to {words.moment(account.last)}; Mosquitto {_t(versions)}"
        f"{f'; {account.unknown:,} lines not understood' if account.unknown else ''}</span></p>\n"
    )


def _totals(logs: list[Log]) -> Iterator[str]:
    clients = [client for log in logs for client in log.analyser.clients.values()]
    ill = sum(bool(client.findings) for client in clients)
    connects = sum(client.connects for client in clients) + sum(log.analyser.forgotten for log in logs)
    refused = sum(log.analyser.refused for log in logs)
    figures = [
        (f"{len(clients) + sum(log.analyser.forgotten for log in logs):,}", "clients", ""),
        (f"{ill:,}", "clients with findings", "bad" if ill else ""),
        (f"{sum(client.session is not None for client in clients):,}", "connected at the end", ""),
        (f"{sum(len(log.analyser.broker.restarts) for log in logs):,}", "restarts of the broker", ""),
    ]
    if connects or refused:  # else the log has nothing but ends
        figures += [(f"{connects:,}", "CONNECTs accepted", ""), (f"{refused:,}", "CONNECTs refused", "")]
    if any(log.analyser.has_packets() for log in logs):  # else nothing is known of them
        figures += [
            (f"{sum(client.received for client in clients):,}", "messages in", ""),
            (f"{sum(client.sent for client in clients):,}", "messages out", ""),
            (f"{sum(client.wills_fired for client in clients):,}", "last wills sent", ""),
        ]
    yield '<div class="totals" id="totals">'
    for number, text, style in figures:
        yield f'<div><b class="{style}">{number}</b><span>{text}</span></div>'
    yield "</div>\n"


def _of_broker(log: Log) -> Iterator[str]:
    broker = log.analyser.broker
    if not (broker.restarts or broker.findings):
        return
    yield f'<div class="panel" id="broker"><h3>The broker{_of(log)}</h3>\n'
    for restart in broker.restarts:
        yield f'<p class="{"dim" if restart.announced else "bad"}">{_t(words.restart(restart))}</p>\n'
    for finding in broker.worst():
        yield from _finding(finding)
    yield "</div>\n"


def _found(logs: list[Log]) -> Iterator[str]:
    """The totals of the findings: of each kind how often and with whom."""
    totals: dict[str, dict[str, list[int]]] = {}  # by code and kind of subject: times, subjects
    for subject in (subject for log in logs for subject in log.subjects()):
        for code, finding in subject.findings.items():
            total = totals.setdefault(code, {}).setdefault(words.kind(subject).replace("stranger", "address"), [0, 0])
            total[0] += finding.count
            total[1] += 1
    if not totals:
        yield '<h2>Findings</h2>\n<p id="findings">None.</p>\n'
        return
    yield '<h2>Findings</h2>\n<div id="findings">\n'
    for code in sorted(totals, key=lambda code: (-KINDS[code].weight, code)):
        kind = KINDS[code]
        # A refused login is one, though both its client and its address have it.
        times = max(count for count, _ in totals[code].values())
        of = ", ".join(f"<b>{count:,}</b> {_plural(name, count)}" for name, (_, count) in totals[code].items())
        yield (
            f'<details class="finding"><summary><span class="{_style(kind.weight)}">{escape(kind.title)}</span> '
            f'<span class="dim">{code}</span><span class="figures"><b>{times:,}</b> {_plural("time", times)}: {of}'
            f"</span></summary><p>{escape(kind.means)}</p><p>To do: {escape(kind.do)}</p></details>\n"
        )
    yield "</div>\n"


def _plural(name: str, count: int) -> str:
    return (
        name
        if count == 1
        else name[:-1] + "ies"
        if name.endswith("y")
        else name + "es"
        if name.endswith("s")
        else name + "s"
    )


def _style(weight: int) -> str:
    return "bad" if weight >= 10 else "warn" if weight else ""


# -- the clients and their time lines


class _Fleet:
    """The list of the clients: the first in the page, the others as data for its script."""

    def __init__(self, logs: list[Log], first: frozenset[str]):
        everybody = {id(client): log for log in logs for client in log.analyser.clients.values()}
        clients = ranked(client for log in logs for client in log.analyser.clients.values())
        if first:
            clients.sort(key=lambda client: client.id not in first)
        self._log_of = everybody
        self._several = len(logs) > 1
        self._with_packets = {id(log) for log in logs if log.analyser.has_packets()}
        self._in_page, self._waiting = clients[:IN_PAGE], clients[IN_PAGE:CLIENTS]
        self._left_out = len(clients) - len(self._in_page) - len(self._waiting)
        times = [t for log in logs for t in (log.analyser.account.first, log.analyser.account.last) if t is not None]
        self._span = Span(min(times), max(times)) if times else None
        self._restarts = [restart for log in logs for restart in log.analyser.broker.restarts if restart.t is not None]
        self._storms = [storm for log in logs for storm in log.analyser.storms if storm.first is not None]
        at_most = max(LEAST_BARS, BARS // max(len(clients[:CLIENTS]), 1))
        self._bars = {
            id(client): self._bars_of(client, BARS_IN_PAGE if i < IN_PAGE else at_most)
            for i, client in enumerate(clients[:CLIENTS])
        }

    def _bars_of(self, client: Client, at_most: int) -> list[Bar]:
        return strips.bars(client, self._span, at_most) if self._span else []

    def written(self) -> Iterator[str]:
        """The heading, the legend, the axis, the rows and the data."""
        total = len(self._in_page) + len(self._waiting)
        yield (
            f'<h2>The clients, the worst first</h2>\n<div class="tools"><input id="find" type="search" '
            f'placeholder="find a client by its id" aria-label="find a client by its id">'
            f'<button id="more" hidden>Show more</button><button id="all" hidden>Show all</button>'
            f'<span id="count" class="dim"></span></div>\n'
            f'<noscript><p class="dim">Without its script this page shows {len(self._in_page)} of {total:,} clients.'
            f"</p></noscript>\n"
        )
        yield from self._legend()
        yield from self._axis()
        yield '<div id="clients">\n'
        for i, client in enumerate(self._in_page):
            yield from self._row(client, i)
        yield "</div>\n"
        if self._left_out:
            yield f'<p class="dim">{self._left_out:,} more clients are left out here; --json has all.</p>\n'
        yield f'<script type="application/json" id="data">{self._data()}</script>\n'

    def _legend(self) -> Iterator[str]:
        """Only what is in the picture."""
        drawn = [bar for bars in self._bars.values() for bar in bars]
        if not drawn:
            return
        ends = {bar.how for bar in drawn} - {"open"}
        key = '<svg><rect width="22" height="12" class="{0}"/>{1}</svg>'
        parts = []
        if any(bar.begun and bar.count == 1 for bar in drawn):
            parts.append((key.format("bar", ""), "connected"))
        if any(bar.count > 1 for bar in drawn):
            parts.append((key.format("several", ""), "several sessions in one, with their worst end"))
        if not all(bar.begun for bar in drawn):
            parts.append(('<svg><rect y="3" width="22" height="6" class="unbegun"/></svg>', "begin not logged"))
        for how in sorted(ends, key=list(words.HOWS).index):
            parts.append(
                (key.format("bar", f'<rect x="17" width="5" height="12" class="{how}"/>'), f"end: {words.HOWS[how]}")
            )
        for style, text, there in (
            ("restart", "broker restarted", any(restart.announced for restart in self._restarts)),
            (
                "crash",
                "broker came back without having stopped",
                not all(restart.announced for restart in self._restarts),
            ),
        ):
            if there:
                parts.append((f'<svg><line x1="11" x2="11" y2="12" class="{style}"/></svg>', text))
        if self._storms:
            parts.append(('<svg><rect width="22" height="12" class="storm"/></svg>', "many fell out at once"))
        yield '<p class="key" id="key">' + "".join(f"<span>{svg}{text}</span>" for svg, text in parts) + "</p>\n"

    def _axis(self) -> Iterator[str]:
        if self._span is None:
            yield '<p class="dim">The log has no times: there is no time line.</p>\n'
            return
        yield (
            '<svg width="0" height="0" aria-hidden="true"><defs><pattern id="several" width="5" height="5" '
            'patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line y2="5" class="stripe"/></pattern>'
            '<symbol id="marks">'
        )
        labels = []
        for i, (t, label) in enumerate(strips.ticks(self._span)):
            part = self._span.part(t)
            yield f'<line x1="{part:.2%}" x2="{part:.2%}" y2="100%" class="marks"/>'
            anchor = "start" if part < 0.04 else "end" if part > 0.96 else "middle"
            style = ' class="odd"' if i % 2 else ""
            labels.append(f'<text x="{part:.2%}" y="14" text-anchor="{anchor}"{style}>{label}</text>')
        for storm in self._storms:
            left, right = self._span.part(storm.first), self._span.part(storm.last)
            start, width = max(left - 0.003, 0), right - left + 0.006
            yield f'<rect x="{start:.2%}" width="{width:.2%}" height="100%" class="storm"/>'
        for restart in self._restarts:
            part, style = self._span.part(restart.t), "restart" if restart.announced else "crash"
            yield (
                f'<line x1="{part:.2%}" x2="{part:.2%}" y2="100%" class="{style}">'
                f"<title>{_t(words.restart(restart))}</title></line>"
            )
        yield f'</symbol></defs></svg>\n<div class="axis"><svg aria-hidden="true">{"".join(labels)}</svg></div>\n'

    def _row(self, client: Client, number: int) -> Iterator[str]:
        broker = f'<span class="dim">{_t(self._log_of[id(client)].name)}: </span>' if self._several else ""
        found = ", ".join(f"{finding.count:,} × {finding.code}" for finding in client.worst())
        yield (
            f'<details class="client" id="c{number}" data-client="{_t(client.id)}"><summary>'
            f'<div class="name" title="{_t(client.id)}"><span class="badge {_style(client.weight)}">'
            f"{client.weight or ''}</span>{broker}{_cut(client.id)}</div>{self._strip(client)}"
            f'<div class="facts" title="{escape(found)}">{escape(found)}</div>'
            f'<div class="facts">{_t(self._facts(client))}</div></summary>\n'
        )
        yield from _details(self._log_of[id(client)], client)
        yield "</details>\n"

    def _facts(self, client: Client) -> str:
        now = "connected" if client.session is not None else ""
        ends = ", ".join(filter(None, [words.ends(client), now]))
        connects = f"{client.connects:,} {_plural('connect', client.connects)}; " if client.connects else ""
        refused = f"{client.refused:,} {_plural('login', client.refused)} refused; " if client.refused else ""
        messages = (
            f"; {client.received:,} in, {client.sent:,} out"
            if id(self._log_of[id(client)]) in self._with_packets
            else ""
        )
        return f"{connects}{refused}{ends or 'no ends'}{messages}"

    def _strip(self, client: Client) -> str:
        if self._span is None:
            return "<div></div>"
        parts = [
            f'<svg class="strip" role="img" aria-label="sessions of {_t(client.id)}">'
            f'<use href="#marks" width="100%" height="100%"/>'
        ]
        for bar in self._bars[id(client)]:
            left, right = self._span.part(bar.start), self._span.part(bar.end)
            top, height, style = (2, 14, "several" if bar.count > 1 else "bar") if bar.begun else (6, 6, "unbegun")
            parts.append(
                f'<g><title>{escape(_tip(bar))}</title><rect x="{left:.2%}" '
                f'width="{right - left:.2%}" y="{top}" height="{height}" class="{style}"/>'
                f"{_cap(bar, right)}</g>"
            )
        return "".join(parts) + "</svg>"

    def _data(self) -> str:
        """What the script draws: JSON in which no tag can end."""
        hows, codes = list(words.HOWS), sorted({code for client in self._waiting for code in client.findings})
        clients = []
        for client in self._waiting:
            name = self._log_of[id(client)].name
            clients.append(
                {
                    "id": words.shown(f"{name}: {client.id}" if self._several else client.id),
                    "weight": client.weight,
                    "facts": words.shown(self._facts(client)),
                    "found": [
                        [codes.index(finding.code), finding.count, self._when(finding)] for finding in client.worst()
                    ],
                    "bars": [
                        [
                            round(bar.start - self._span.first),
                            round(bar.end - bar.start),
                            hows.index(bar.how),
                            bar.count,
                            int(bar.begun),
                        ]
                        for bar in self._bars[id(client)]
                    ],
                }
            )
        data = {
            "length": self._span.length_s if self._span else 1,
            "hows": [[how, words.HOWS[how]] for how in hows],
            "codes": [[code, KINDS[code].title, f"{KINDS[code].means} {KINDS[code].do}"] for code in codes],
            "clients": clients,
        }
        return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")

    @staticmethod
    def _when(finding: Finding) -> str:
        return words.moment(finding.first) + ("" if finding.count == 1 else f" to {words.moment(finding.last)}")


def _cap(bar: Bar, right: float) -> str:
    """The end of a bar, in the colour of how it came; two where it stands for several sessions."""
    if bar.how == "open":
        return ""
    cap = f'<rect x="{right:.2%}" width="4" y="1" height="16" transform="translate(-4 0)" class="{bar.how}"/>'
    if bar.count > 1:
        cap += f'<rect x="{right:.2%}" width="2" y="1" height="16" transform="translate(-7 0)" class="{bar.how}"/>'
    return cap


def _tip(bar: Bar) -> str:
    if bar.count > 1:
        how = ", ".join(f"{count:,} {words.HOWS[how]}" for how, count in bar.ends.most_common())
        how = f"{bar.count:,} sessions: {how}"
    else:
        how = words.HOWS[bar.how]
    begin = words.moment(bar.start) if bar.begun else "begin not logged"
    end = "the end of the log" if bar.how == "open" else words.moment(bar.end)
    return f"{begin} to {end}, {how}" + (f", from {words.shown(bar.address)}" if bar.address else "")


# -- one client


def _details(log: Log, client: Client) -> Iterator[str]:
    told = []
    if client.connects:
        told.append(f"{client.connects:,} {_plural('connect', client.connects)}")
    if client.received or client.sent or client.pings:
        told.append(
            f"{client.received:,} messages in ({words.size(client.received_b)}), {client.sent:,} out "
            f"({words.size(client.sent_b)}); {client.pings:,} heartbeats; longest silence "
            f"{words.span(client.longest_silence_s)}"
        )
    if client.wills_fired:
        told.append(f"last will sent {'once' if client.wills_fired == 1 else f'{client.wills_fired:,} times'}")
    yield f'<div class="body"><p>{"; ".join(told)}'
    if client.subscriptions:
        wanted = list(client.subscriptions.items())
        yield "<br>subscribed: " + ", ".join(f"{_t(text)} (QoS {qos})" for text, qos in wanted[:30])
        yield f" and {len(wanted) - 30:,} more" if len(wanted) > 30 else ""
    for sent, delays in sorted(client.delays.items()):
        yield (
            f"<br>PUBLISH to last ack, {'to' if sent else 'from'} the client: {delays.count:,} messages, mean "
            f"{words.span(delays.total_s / delays.count)}, 95 % within {words.span(delays.at_most_s(0.95))}, worst "
            f"{words.span(delays.worst_s)} ({_t(delays.worst_topic)})"
        )
    yield "</p>\n"
    for finding in client.worst():
        yield from _finding(finding)
    yield from _sessions(log, client.sessions)
    if client.packets:
        yield from _packets(client)
    yield "</div>"


def _finding(finding: Finding) -> Iterator[str]:
    kind = KINDS[finding.code]
    yield f'<p><span class="{_style(kind.weight)}">{finding.count:,} × {escape(kind.title)}</span>'
    for example in finding.examples:
        yield f"<br>{words.moment(example['t'])} {escape(words.example(example))}"
    yield f'<br><span class="dim">{escape(kind.means)} {escape(kind.do)}</span></p>\n'


def _sessions(log: Log, sessions: list[Session]) -> Iterator[str]:
    if not sessions:
        return
    yield (
        '<div class="wide"><table class="sessions"><tr><th>connected</th><th>for</th><th>ended</th><th>address</th>'
        '<th>user</th><th>session</th><th class="n">keep-alive</th><th class="n">in</th><th class="n">out</th></tr>'
        "\n"
    )
    last = log.analyser.account.last
    if len(sessions) > SESSION_ROWS:
        yield f'<tr><td colspan="9" class="dim">the last {SESSION_ROWS} of {len(sessions):,}</td></tr>\n'
    for session in sessions[-SESSION_ROWS:]:
        merged = f" ({session.merged:,} sessions)" if session.merged > 1 else ""
        kept = (
            ""
            if session.clean is None
            else "clean"
            if session.clean
            else {True: "resumed", False: "new", None: "kept"}[session.present]
        )
        keepalive = "" if session.keepalive_s is None else f"{session.keepalive_s} s"
        begin = "not logged" if session.start is None else words.moment(session.start)
        yield (
            f"<tr><td>{begin}</td><td>{words.span(words.duration_s(session, last))}{merged}</td>"
            f'<td class="{"" if session.how in _GOOD_ENDS else "bad"}">{words.HOWS[session.how]}</td>'
            f"<td>{_t(session.address or '')}</td><td>{_t(session.user or '')}</td><td>{kept}</td>"
            f'<td class="n">{keepalive}</td><td class="n">{session.received:,}</td>'
            f'<td class="n">{session.sent:,}</td></tr>\n'
        )
    yield "</table></div>\n"


def _packets(client: Client) -> Iterator[str]:
    """The last packets one under the other; those of the broker are set in."""
    packets = list(client.packets or ())
    yield f'<h3>The last {len(packets)} packets</h3>\n<ul class="packets">\n'
    for event in packets:
        sent = isinstance(event, events.Connack) or getattr(event, "sent", False)
        again = getattr(event, "dup", False) or isinstance(event, (events.Refused, events.UnknownPid))
        style = "end" if isinstance(event, events.Ended) else "to" if sent else "from"
        arrow = {"end": "✕", "to": "◀", "from": "▶"}[style]
        yield (
            f'<li><time>{words.moment(event.t)}</time><span class="{style}{" again" if again else ""}">{arrow} '
            f"{escape(words.packet(event))}</span></li>\n"
        )
    yield "</ul>\n"


# -- the other subjects


def _table(title: str, name: str, columns: list[str], rows: Iterable[list[str]], more: int = 0) -> Iterator[str]:
    """Cells are HTML; a column whose title begins with # has figures."""
    titles = [column.lstrip("#") for column in columns]
    right = [' class="n"' if column.startswith("#") else "" for column in columns]
    yield (
        f'<h2>{title}</h2>\n<table id="{name}" class="cards"><thead><tr>'
        + "".join(f"<th{side}>{text}</th>" for side, text in zip(right, titles))
        + "</tr></thead><tbody>\n"
    )
    for row in rows:
        yield (
            "<tr>"
            + "".join(f'<td{side} data-label="{text}">{cell}</td>' for side, text, cell in zip(right, titles, row))
            + "</tr>\n"
        )
    yield "</tbody></table>\n"
    if more > 0:
        yield f'<p class="dim">{more:,} more; --json has all.</p>\n'


def _counts(counts: dict, names: dict[str, str] | None = None) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    return ", ".join(f"{count:,} × {_t((names or {}).get(what, what))}" for what, count in ordered)


def _trouble(subject: Subject) -> str:
    return "<br>".join(
        f'<span class="{_style(finding.weight)}">{finding.count:,} × {escape(KINDS[finding.code].title)}</span>'
        for finding in subject.worst()
    )


def _across(logs: list[Log]) -> Iterator[str]:
    """The bridges between the brokers, and the clients that were with more than one."""
    links = cluster.links(logs)
    if links:
        yield from _table(
            "Bridges between the brokers",
            "links",
            ["bridge", "of", "#attempts", "why it failed", "is client", "of", "ended there"],
            (
                [
                    _cut(link.bridge.id),
                    _t(link.of),
                    f"{link.bridge.attempts:,}",
                    _counts(link.bridge.failures),
                    _cut(link.client.id),
                    _t(link.on),
                    _counts(link.client.ends, words.HOWS),
                ]
                for link in links
            ),
        )
    travels = cluster.travels(logs, cluster.travellers(logs))
    if travels:
        yield from _table(
            "With more than one broker",
            "travels",
            ["client", "#moves", "#old session still open", "for at most", "brokers"],
            (
                [
                    _cut(travel.client),
                    f"{travel.moves:,}",
                    f"{travel.both:,}",
                    words.span(travel.overlap_s) if travel.both else "",
                    _t(", ".join(travel.brokers)),
                ]
                for travel in travels[:STRANGERS]
            ),
            len(travels) - STRANGERS,
        )


def _storms(log: Log) -> Iterator[str]:
    storms = log.analyser.storms
    if storms:
        yield from _table(
            f"Many at once{_of(log)}",
            "storms",
            ["when", "#clients", "how they ended", "likely cause"],
            (
                [
                    f"{words.moment(storm.first)} to {words.moment(storm.last)}",
                    f"{storm.count:,}" + ("" if storm.connected is None else f" of {storm.connected:,}"),
                    _counts(storm.ends, words.HOWS),
                    _t(words.cause({**storm.facts, "cause": storm.cause})),
                ]
                for storm in storms
            ),
        )


def _bridges(log: Log) -> Iterator[str]:
    bridges = list(log.analyser.bridges.values())
    if bridges:
        yield from _table(
            f"Bridges{_of(log)}",
            "bridges",
            ["bridge", "to", "state", "#attempts", "why it failed", "findings"],
            (
                [
                    _cut(bridge.id),
                    _t(bridge.address),
                    _t(bridge.state),
                    f"{bridge.attempts:,}",
                    _counts(bridge.failures),
                    _trouble(bridge),
                ]
                for bridge in bridges
            ),
        )


def _families(log: Log) -> Iterator[str]:
    families = list(log.analyser.families.values())
    if families:
        yield from _table(
            f"Devices that forget their id{_of(log)}",
            "families",
            ["ids", "#how many", "from", "user", "ends", "findings"],
            (
                [
                    _cut(family.id),
                    f"{family.ids:,}",
                    _t(family.address or "several addresses"),
                    _t(family.user or ""),
                    _counts(family.ends, words.HOWS),
                    _trouble(family),
                ]
                for family in families
            ),
        )


def _strangers(log: Log) -> Iterator[str]:
    strangers = log.analyser.worst_strangers()
    if strangers:
        yield from _table(
            f"Addresses that never became a client{_of(log)}",
            "strangers",
            ["address", "#connections", "#refused", "every", "ports", "ids", "findings"],
            (
                [
                    _t(stranger.id) or "not logged",
                    f"{stranger.connections:,}",
                    f"{stranger.refused:,}",
                    words.span(stranger.every_s) if stranger.every_s else "",
                    _counts(stranger.ports),
                    _counts(stranger.ids),
                    _trouble(stranger),
                ]
                for stranger in strangers[:STRANGERS]
            ),
            len(strangers) - STRANGERS,
        )


def _topics(log: Log) -> Iterator[str]:
    topics = sorted(log.analyser.topics.items(), key=lambda item: (-item[1].received_b - item[1].sent_b, item[0]))
    if topics:
        yield from _table(
            f"Topics{_of(log)}",
            "topics",
            ["topic", "#published", "#bytes in", "#rate", "#delivered", "#bytes out"],
            (
                [
                    _t(name),
                    f"{topic.received:,}",
                    words.size(topic.received_b),
                    words.rate(topic.rate()),
                    f"{topic.sent:,}",
                    words.size(topic.sent_b),
                ]
                for name, topic in topics[:TOPICS]
            ),
            len(topics) - TOPICS,
        )


def _moments(log: Log) -> Iterator[str]:
    for t, names in log.analyser.connected_at.items():
        yield (
            f"<h2>Connected{_of(log)} at {words.moment(t)}: {len(names):,}</h2>\n"
            f"<p>{_t(', '.join(names) or 'nobody')}</p>\n"
        )
