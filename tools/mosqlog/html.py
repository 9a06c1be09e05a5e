"""The report as one HTML file: nothing is loaded from anywhere, all text is escaped."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path

from . import parse, words
from .analyse import Analyser
from .findings import KINDS, Finding
from .model import Client, Session

ROWS = 2000         # clients in the time line and in the table, the worst first
BARS = 30_000       # sessions in the time line
DETAILS = 100       # clients with a section of their own
SESSION_ROWS = 60

_COLOURS = {
    "clean": "#4c9f70", "open": "#3b7dd8", "broker-stopped": "#8a8f98", "replaced": "#8a8f98",
    "closed": "#e0a030", "administrative": "#e0a030", "takeover": "#b04fc4",
    "timeout": "#d9433f", "error": "#d9433f",
}
_WRONG = "#a3142e"      # of the ends that a client brought on itself

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --paper: #fff; --line: #d5d9e0; --dim: #667; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7ec; --paper: #171a20; --line: #3a404b; --dim: #9aa3b2; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1180px; margin: 0 auto; padding: 1em; }
h1 { font-size: 1.5em; margin: .2em 0; } h2 { font-size: 1.2em; margin: 1.6em 0 .4em; }
table { border-collapse: collapse; width: 100%; } .wide { overflow-x: auto; }
th, td { text-align: left; padding: .2em .6em .2em 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
th { white-space: nowrap; } td.n, th.n { text-align: right; white-space: nowrap; }
.dim { color: var(--dim); } .bad { color: #c8322e; font-weight: 600; } .warn { color: #b7791f; }
svg { display: block; width: 100%; min-width: 700px; height: auto; } svg text { fill: var(--ink); }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5em 0; padding: .3em .8em; }
summary { cursor: pointer; font-weight: 600; overflow-wrap: anywhere; }
.key span { white-space: nowrap; margin-right: 1em; }
.key i { display: inline-block; width: .9em; height: .9em; border-radius: 2px; margin-right: .3em;
  vertical-align: -1px; }
input { font: inherit; padding: .2em .5em; width: 20em; max-width: 100%; }
"""
_SCRIPT = """
const find = document.getElementById('find');
find.addEventListener('input', () => {
  const wanted = find.value.toLowerCase();
  for (const x of document.querySelectorAll('[data-client]'))
    x.style.display = x.dataset.client.toLowerCase().includes(wanted) ? '' : 'none';
});
for (const a of document.querySelectorAll('a[href^="#c"]'))
  a.addEventListener('click', () => {
    const x = document.getElementById(a.getAttribute('href').slice(1)); if (x) x.open = true; });
"""


def write(analyser: Analyser, files: list[str], path: str, first: list[str] | None = None) -> None:
    """The report of a finished analysis, replacing `path` at once or not at all. The clients
    named in `first` come before the others. Raises OSError."""
    folder = Path(path).resolve().parent
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".mosqlog-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(_page(analyser, files, first or []))
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _t(text: object) -> str:
    return escape(words.shown(str(text)))


def _page(a: Analyser, files: list[str], first: list[str]) -> Iterator[str]:
    clients = a.worst_first()
    if first:
        clients.sort(key=lambda c: c.id not in first)
    ill = sum(bool(c.findings) for c in clients)
    yield (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
           f'<meta name="viewport" content="width=device-width">'
           f"<title>Mosquitto log: {_t(files[0])}</title><style>{_STYLE}</style></head><body>\n"
           f"<h1>What happened to each device</h1>\n<p>{_t(', '.join(files))}<br>"
           f"{a.account.lines:,} lines, {words.moment(a.account.first)} to {words.moment(a.account.last)}; "
           f"Mosquitto {_t(', '.join(a.broker.versions) or 'of unknown version')}; "
           f"{len(a.clients):,} clients, {ill:,} with findings"
           f"{f'; {a.account.unknown:,} lines not understood' if a.account.unknown else ''}</p>\n")
    for restart in a.broker.restarts:
        yield f'<p class="warn">{_t(words.restart(restart))}</p>\n'
    yield ('<p><input id="find" type="search" placeholder="show clients whose id contains" '
           'aria-label="show clients whose id contains"></p>\n')
    yield from _timeline(a, clients)
    yield from _fleet(a, clients)
    yield from _found(clients)
    yield '<h2 id="clients">Client by client</h2>\n'
    for i, client in enumerate(clients[:DETAILS]):
        yield from _client(a, client, i)
    if len(clients) > DETAILS:
        yield (f'<p class="dim">{len(clients) - DETAILS:,} more clients: name one with '
               f"--client ID to have it here.</p>\n")
    yield from _topics(a)
    for t, names in a.connected_at.items():
        yield (f"<h2>Connected at {words.moment(t)}: {len(names)}</h2>\n"
               f"<p>{_t(', '.join(names) or 'nobody')}</p>\n")
    yield f"<script>{_SCRIPT}</script></body></html>\n"


def _timeline(a: Analyser, clients: list[Client]) -> Iterator[str]:
    yield "<h2>Time line</h2>\n"
    if a.account.first is None or a.account.last is None:
        yield "<p>The log has no times.</p>\n"
        return
    rows, bars = [], 0
    for number, client in enumerate(clients):
        bars += len(client.sessions)
        if client.sessions and len(rows) < ROWS and (bars <= BARS or not rows):
            rows.append((number, client))
    left, width, step = 210, 1150, 18
    length_s = max(a.account.last - a.account.first, 1)
    height = len(rows) * step + 34

    def x(t: float | None, otherwise: float) -> float:
        t = otherwise if t is None else t
        return left + (width - left - 10) * min(max((t - a.account.first) / length_s, 0), 1)

    yield ('<p class="key">' + "".join(
        f'<span><i style="background:{colour}"></i>{words.HOWS[how]}</span> '
        for how, colour in [*((h, _COLOURS[h]) for h in (
            "open", "clean", "closed", "timeout", "takeover", "broker-stopped")),
            ("protocol-error", _WRONG)]) + "</p>\n")
    yield (f'<div class="wide"><svg id="timeline" viewBox="0 0 {width} {height}" '
           f'font-size="12" role="img" aria-label="sessions of all clients">\n')
    ticks = max(1, min(5, int(length_s)))
    for tick in range(ticks + 1):
        t = a.account.first + length_s * tick / ticks
        at = x(t, a.account.first)
        anchor = "start" if tick == 0 else "end" if tick == ticks else "middle"
        label = words.moment(int(t), day=length_s > 86400 or tick == 0)
        yield (f'<line x1="{at:.1f}" x2="{at:.1f}" y1="20" y2="{height}" '
               f'stroke="var(--line)"/><text x="{at:.1f}" y="13" '
               f'text-anchor="{anchor}">{label}</text>\n')
    for restart in a.broker.restarts:
        at = x(restart.t, a.account.first)
        yield (f'<line x1="{at:.1f}" x2="{at:.1f}" y1="18" y2="{height}" '
               f'stroke="{"#8a8f98" if restart.announced else _WRONG}" stroke-dasharray="4 3">'
               f"<title>{_t(words.restart(restart))}</title></line>\n")
    for i, (number, client) in enumerate(rows):
        y = 26 + i * step
        name = words.shown(client.id)
        name = name if len(name) < 30 else name[:28] + "…"
        yield (f'<g data-client="{_t(client.id)}"><a href="#c{number}">'
               f'<text x="{left - 8}" y="{y + 11}" text-anchor="end">{escape(name)}</text>'
               f"</a>")
        for s in client.sessions:
            x1, x2 = x(s.start, a.account.first), x(s.end, a.account.last)
            faint = ' fill-opacity=".6"' if s.merged > 1 else ""
            tip = (f"{words.shown(client.id)}: {words.moment(s.start)} to "
                   f"{words.moment(s.end) if s.how != 'open' else 'the end of the log'} "
                   f"({words.span(words.duration_s(s, a.account.last))}), {words.HOWS[s.how]}"
                   + (f", {s.merged} sessions" if s.merged > 1 else "")
                   + (f", from {words.shown(s.address)}" if s.address else ""))
            yield (f'<rect x="{x1:.1f}" y="{y}" width="{max(x2 - x1, 2):.1f}" '
                   f'height="13" rx="2" fill="{_COLOURS.get(s.how, _WRONG)}"'
                   f"{faint}>"
                   f"<title>{escape(tip)}</title></rect>")
        yield "</g>\n"
    yield "</svg></div>\n"
    shown = sum(bool(c.sessions) for c in clients)
    if shown > len(rows):
        yield f'<p class="dim">{shown - len(rows):,} more clients are not drawn.</p>\n'


def _fleet(a: Analyser, clients: list[Client]) -> Iterator[str]:
    yield ('<h2>The fleet, the worst first</h2>\n<div class="wide"><table id="fleet"><tr>'
           '<th>client</th><th class="n">trouble</th><th class="n">connects</th>'
           '<th class="n">in</th><th class="n">out</th><th>ends</th><th>findings</th></tr>\n')
    for i, c in enumerate(clients[:ROWS]):
        name = _t(c.id)
        link = f'<a href="#c{i}">{name}</a>' if i < DETAILS else name
        found = ", ".join(f"{f.count} × {f.code}" for f in c.worst())
        ill = "bad" if c.weight >= 10 else "warn" if c.weight else ""
        yield (f'<tr data-client="{_t(c.id)}"><td>{link}</td><td class="n {ill}">'
               f'{c.weight or ""}</td><td class="n">{c.connects:,}</td>'
               f'<td class="n">{c.received:,}</td><td class="n">{c.sent:,}</td>'
               f"<td>{words.ends(c)}{' (connected)' if c.session else ''}</td>"
               f'<td class="{ill}">{found}</td></tr>\n')
    yield "</table></div>\n"
    if len(clients) > ROWS:
        yield f'<p class="dim">{len(clients) - ROWS:,} more clients; --json has all.</p>\n'


def _found(clients: list[Client]) -> Iterator[str]:
    codes: dict[str, int] = {}
    for client in clients:
        for code in client.findings:
            codes[code] = codes.get(code, 0) + 1
    if not codes:
        yield "<h2>Findings</h2>\n<p>None.</p>\n"
        return
    yield ('<h2>Findings</h2>\n<div class="wide"><table id="findings"><tr><th>finding</th>'
           '<th class="n">clients</th><th>what it usually means</th><th>what to do</th></tr>\n')
    for code in sorted(codes, key=lambda code: -KINDS[code].weight):
        kind = KINDS[code]
        yield (f'<tr><td><b>{code}</b><br>{escape(kind.title)}</td><td class="n">{codes[code]:,}'
               f"</td><td>{escape(kind.means)}</td><td>{escape(kind.do)}</td></tr>\n")
    yield "</table></div>\n"


def _client(a: Analyser, c: Client, number: int) -> Iterator[str]:
    codes = ", ".join(f.code for f in c.worst()) or "no findings"
    yield (f'<details id="c{number}" data-client="{_t(c.id)}"{" open" if number == 0 else ""}>'
           f'<summary>{_t(c.id)} <span class="dim">{codes}</span></summary>\n'
           f"<p>{c.connects:,} connects; {c.received:,} messages in ({words.size(c.received_b)}), "
           f"{c.sent:,} out ({words.size(c.sent_b)}); {c.pings:,} heartbeats; longest silence "
           f"{words.span(c.longest_silence_s)}")
    if c.subscriptions:
        yield "<br>subscribed: " + ", ".join(
            f"{_t(f)} (QoS {q})" for f, q in list(c.subscriptions.items())[:50])
    for sent, d in sorted(c.delays.items()):
        yield (f"<br>PUBLISH to last ack, {'to' if sent else 'from'} the client: {d.n:,} messages, "
               f"mean {words.span(d.total_s / d.n)}, 95 % within {words.span(d.at_most_s(.95))}, "
               f"worst {words.span(d.worst_s)} ({_t(d.worst_topic)})")
    yield "</p>\n"
    for finding in c.worst():
        yield from _finding(finding)
    yield from _sessions(a, c)
    if c.packets:
        yield from _sequence(c)
    yield "</details>\n"


def _finding(finding: Finding) -> Iterator[str]:
    kind = KINDS[finding.code]
    yield (f'<p><span class="{"bad" if kind.weight >= 10 else "warn"}">{finding.count:,} × '
           f"{escape(kind.title)}</span>")
    for e in finding.examples:
        yield f"<br>{words.moment(e['t'])} {escape(words.example(e))}"
    yield f'<br><span class="dim">{escape(kind.means)} {escape(kind.do)}</span></p>\n'


def _sessions(a: Analyser, c: Client) -> Iterator[str]:
    if not c.sessions:
        return
    yield ('<div class="wide"><table><tr><th>connected</th><th>for</th><th>ended</th>'
           '<th>address</th><th>user</th><th>session</th><th class="n">keep-alive</th>'
           '<th class="n">in</th><th class="n">out</th></tr>\n')
    if len(c.sessions) > SESSION_ROWS:
        yield f'<tr><td colspan="9" class="dim">the last {SESSION_ROWS}</td></tr>\n'
    for s in c.sessions[-SESSION_ROWS:]:
        yield _session(a, s)
    yield "</table></div>\n"


def _session(a: Analyser, s: Session) -> str:
    start = "before the log" if s.start is None else words.moment(s.start)
    merged = f" ({s.merged} sessions)" if s.merged > 1 else ""
    kept = "" if s.clean is None else "clean" if s.clean else \
        "resumed" if s.present else "new" if s.present is False else "kept"
    keepalive = "" if s.keepalive_s is None else f"{s.keepalive_s} s"
    ill = "" if s.how in ("clean", "open", "broker-stopped") else "bad"
    return (f"<tr><td>{start}</td><td>{words.span(words.duration_s(s, a.account.last))}{merged}</td>"
            f'<td class="{ill}">{words.HOWS[s.how]}</td><td>{_t(s.address or "")}</td>'
            f'<td>{_t(s.user or "")}</td><td>{kept}</td><td class="n">{keepalive}</td>'
            f'<td class="n">{s.received:,}</td><td class="n">{s.sent:,}</td></tr>\n')


def _sequence(c: Client) -> Iterator[str]:
    """The packets as arrows between two life lines; a red cross where a connection ended badly."""
    packets = list(c.packets or ())
    step, width, a, b = 22, 900, 190, 860
    height = len(packets) * step + 34
    yield (f'<p class="dim">The last {len(packets)} packets</p>\n'
           f'<div class="wide"><svg class="sequence" viewBox="0 0 {width} {height}" '
           f'font-size="12" role="img" aria-label="sequence of packets">'
           f'<text x="{a}" y="14" text-anchor="middle">device</text>'
           f'<text x="{b}" y="14" text-anchor="middle">broker</text>'
           f'<line x1="{a}" x2="{a}" y1="20" y2="{height}" stroke="var(--dim)"/>'
           f'<line x1="{b}" x2="{b}" y1="20" y2="{height}" stroke="var(--dim)"/>\n')
    before = None
    for i, event in enumerate(packets):
        y = 38 + i * step
        label = words.packet(event)
        full, label = escape(label), escape(label if len(label) < 90 else label[:88] + "…")
        when = words.moment(event.t) if event.t != before else ""
        before = event.t
        yield f'<text x="4" y="{y + 4}" class="dim">{when}</text>'
        if isinstance(event, parse.Ended):
            colour = _COLOURS.get(event.how, _WRONG)
            yield (f'<line x1="{a}" x2="{b}" y1="{y}" y2="{y}" stroke="{colour}" '
                   f'stroke-width="3"/><text x="{(a + b) // 2}" y="{y - 5}" '
                   f'text-anchor="middle" font-weight="600">{label}<title>{full}</title>'
                   f"</text>\n")
            continue
        sent = isinstance(event, parse.Connack) or getattr(event, "sent", False)
        x1, x2 = (b, a) if sent else (a, b)
        tip = 8 if sent else -8
        again = getattr(event, "dup", False) or isinstance(event, (parse.Refused, parse.UnknownPid))
        colour = "#d9433f" if again else "#3b7dd8" if sent else "#4c9f70"
        yield (f'<g stroke="{colour}" fill="{colour}"><line x1="{x1}" x2="{x2}" '
               f'y1="{y}" y2="{y}"/><path d="M{x2} {y}l{tip} -4v8z"/></g>'
               f'<text x="{(a + b) // 2}" y="{y - 4}" text-anchor="middle">{label}'
               f"<title>{full}</title></text>\n")
    yield "</svg></div>\n"


def _topics(a: Analyser) -> Iterator[str]:
    ranked = sorted(a.topics.items(), key=lambda x: (-x[1].received_b - x[1].sent_b, x[0]))
    if not ranked:
        return
    yield ('<h2>Topics</h2>\n<div class="wide"><table id="topics"><tr><th>topic</th>'
           '<th class="n">published</th><th class="n">bytes</th><th class="n">rate</th>'
           '<th class="n">delivered</th><th class="n">bytes</th></tr>\n')
    for name, topic in ranked[:100]:
        yield (f'<tr><td>{_t(name)}</td><td class="n">{topic.received:,}</td>'
               f'<td class="n">{words.size(topic.received_b)}</td>'
               f'<td class="n">{words.rate(topic.rate())}</td><td class="n">{topic.sent:,}</td>'
               f'<td class="n">{words.size(topic.sent_b)}</td></tr>\n')
    yield "</table></div>\n"
    if len(ranked) > 100:
        yield f'<p class="dim">{len(ranked) - 100:,} more topics; --json has all.</p>\n'
