"""The parts of docs/operators.md that `make fleet DOCS=1` and `make herd DOCS=1` make, and docs/fleet.svg."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, List
from xml.sax.saxutils import escape

from tools.prove.brokers_page import between

if TYPE_CHECKING:
    from tools.prove.fleet import Account, Event

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, PICTURE = DOCS / "operators.md", DOCS / "fleet.svg"
WORDS = {
    "restart": "Broker stopped (SIGTERM) and started", "kill": "Broker killed (SIGKILL) and started",
    "network": "Network silent", "password": "Password changed, and changed back",
    "command": "Command to all (another interval), answered",
    "update": "Update over the air of all, a quarter at a time, kept",
}  # fmt: skip
BAR_S = 0.5
WIDTH, PANEL_H, LEFT, TOP, BOTTOM = 860, 150, 46, 34, 26
STYLE = ("text{font:12px sans-serif;fill:#333}.title{font-weight:bold}.bar{fill:#3a7ca5}.axis{stroke:#999}"
         ".grid{stroke:#ddd}")  # fmt: skip


def _put(mark: str, lines: List[str]) -> None:
    PAGE.write_text(between(PAGE.read_text(), mark, lines))


def write_herd(lines: List[str]) -> None:
    """Put the tables of the simulation into the page."""
    _put("make herd", lines)


def write_fleet(account: Account) -> None:
    """Write the picture, and put the figures of a fleet into the page."""
    PICTURE.write_text(histogram(account.boards, account.events))
    lines = ["| %d boards: what happened | away | back after it: first, median, 90 %%, last, s | never away |" %
             account.boards, "|---|--:|---|--:|"]  # fmt: skip
    for event in account.events:
        back_s = event.back_s
        spread = (
            "%.1f, %.1f, %.1f, %.1f"
            % (back_s[0], statistics.median(back_s), back_s[int(len(back_s) * 0.9)], back_s[-1])
            if back_s
            else "–"
        )
        away = "%g s" % event.away_s if event.away_s else "–"
        lines.append("| %s | %s | %s | %d |" % (WORDS[event.kind], away, spread, event.untouched))
    lines += ["", "%d readings taken, %d received, %d dropped by full queues, %d lost, %d repeated, %d that the killed"
              " broker had acknowledged and not yet saved. A board's process takes %.0f kB of memory of its own and"
              " %.2f %% of a core." % (
                  account.taken, account.received, account.dropped, account.lost, account.repeated, account.unsaved,
                  account.own_b / 1000, account.cpu_percent), ""]  # fmt: skip
    lines += ["`tools/mosqlog` on the broker's log: " + "; ".join(account.log_says) + "."]
    _put("make fleet", lines)


def histogram(boards: int, events: List[Event]) -> str:
    """An SVG with a panel for each event: how many boards came back in each half second after it."""
    longest_s = max((event.back_s[-1] for event in events if event.back_s), default=1.0)
    bars = int(longest_s / BAR_S) + 1
    height = PANEL_H * len(events) + 30
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">' % (
        WIDTH, height, "How many of %d boards came back in each half second" % boards),
        "<style>%s</style>" % STYLE, '<rect width="100%%" height="100%%" fill="#fff"/>']  # fmt: skip
    for row, event in enumerate(events):
        counts = [0] * bars
        for back_s in event.back_s:
            counts[int(back_s / BAR_S)] += 1
        out += _panel(row * PANEL_H, event, counts, boards)
    out.append('<text x="%d" y="%d" text-anchor="middle">seconds after it was over</text>' % (WIDTH // 2, height - 8))
    return "\n".join([*out, "</svg>", ""])


def _panel(top: int, event: Event, counts: List[int], boards: int) -> List[str]:
    inner_w, inner_h = WIDTH - LEFT - 12, PANEL_H - TOP - BOTTOM
    most = max(counts + [1])
    bar_w = inner_w / len(counts)
    base = top + TOP + inner_h
    title = "%s for %g s: %d of %d boards were away" % (WORDS[event.kind], event.away_s, len(event.back_s), boards)
    if not event.away_s:
        title = "%s by %d of %d boards" % (WORDS[event.kind], len(event.back_s), boards)
    out = ['<text class="title" x="%d" y="%d">%s</text>' % (LEFT, top + 20, escape(title)),
           '<text x="%d" y="%d" text-anchor="end">%d</text>' % (LEFT - 6, top + TOP + 10, most),
           '<line class="axis" x1="%d" y1="%d" x2="%d" y2="%d"/>' % (LEFT, base, LEFT + inner_w, base)]  # fmt: skip
    for i, count in enumerate(counts):
        if count:
            bar_h = inner_h * count / most
            out.append('<rect class="bar" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>' % (
                LEFT + i * bar_w + 0.5, base - bar_h, max(bar_w - 1, 0.5), bar_h))  # fmt: skip
    step_s = 5 if len(counts) * BAR_S <= 60 else 10
    for second in range(0, int(len(counts) * BAR_S) + 1, step_s):
        left = LEFT + second / BAR_S * bar_w
        out.append('<line class="axis" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>' % (left, base, left, base + 4))
        out.append('<text x="%.1f" y="%d" text-anchor="middle">%d</text>' % (left, base + 17, second))
    return out
