"""The part of docs/brokers.md that `make interop` makes: who was run, the matrix, what each broker does not do."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Tuple

from tools.prove.checks import CHECKS
from tools.prove.deviations import deviation

if TYPE_CHECKING:
    from tools.prove.cluster import Story
    from tools.prove.interop import Result, Verdict

PAGE = Path(__file__).resolve().parents[2] / "docs" / "brokers.md"
SIGNS = {"pass": "✓", "broker": "**b**", "not offered": "–", "FAILED": "**FAILED**"}


def between(page: str, mark: str, lines: List[str]) -> str:
    """The page with the lines in the place of what stands between its marks. Raises ValueError where it has none."""
    begin, end = "<!-- made by %s: begin -->\n" % mark, "<!-- made by %s: end -->" % mark
    if begin not in page or end not in page:
        raise ValueError("%s has no marks of %s" % (PAGE, mark))
    head, _, rest = page.partition(begin)
    return head + begin + "\n".join(lines) + "\n" + end + rest.partition(end)[2]


def write(results: List[Result]) -> None:
    """Put the results of a whole run into the page."""
    PAGE.write_text(between(PAGE.read_text(), "make interop", page_lines(results)))


def page_lines(results: List[Result]) -> List[str]:
    """The Markdown of the made part."""
    ran = [result for result in results if not result.skipped]
    skipped = [result for result in results if result.skipped]
    lines = ["| | broker | from | pass | the broker's fault | not offered | refuses with |",
             "|--|---|---|--:|--:|--:|---|"]  # fmt: skip
    for number, result in enumerate(ran, 1):
        codes = [
            remark.split()[-1]
            for verdict in result.verdicts
            for remark in verdict.remarks
            if remark.startswith("refuses with code")
        ]
        lines.append("| %d | %s | %s | %d | %d | %d | %s |" % (
            number, result.title, result.origin, result.count("pass"), result.count("broker"),
            result.count("not offered"),
            "code " + codes[0] if codes else "–"))  # fmt: skip
    lines += (
        ["", "Not run: " + "; ".join("%s (%s)" % (result.title, result.skipped) for result in skipped) + "."]
        if skipped
        else []
    )
    lines += ["", "✓ passes; **b** the broker does not do it (below); – the broker has no such thing, or not as it is"
              " configured here.", ""]  # fmt: skip
    lines += ["| check | " + " | ".join(str(i + 1) for i in range(len(ran))) + " |", "|---|" + ":-:|" * len(ran)]
    for name, (words, _) in CHECKS.items():
        row = [SIGNS[verdict.kind] if verdict else " " for verdict in (_verdict(result, name) for result in ran)]
        lines.append("| %s | %s |" % (words, " | ".join(row)))
    return [*lines, *_deviations(ran), *_remarks(ran)]


def _verdict(result: Result, name: str) -> Verdict | None:
    return next((verdict for verdict in result.verdicts if verdict.check == name), None)


def _deviations(ran: List[Result]) -> List[str]:
    told: Dict[Tuple[str, str], Tuple[Dict[str, None], Dict[int, None]]] = {}
    for number, result in enumerate(ran, 1):
        for verdict in result.verdicts:
            known = deviation(result.broker, verdict.check)
            if verdict.kind == "broker" and known:
                checks, brokers = told.setdefault((known.broker_does, known.client_does), ({}, {}))
                checks[CHECKS[verdict.check][0]] = None
                brokers[number] = None
    lines = ["", "### What a broker does not do, and what the client does about it", ""]
    lines += ["| brokers | checks | the broker | the client |", "|---|---|---|---|"]
    for (broker_does, client_does), (checks, brokers) in told.items():
        numbers = ", ".join(map(str, brokers))
        lines.append("| %s | %s | %s | %s |" % (numbers, "; ".join(checks), broker_does, client_does))
    return lines


def _remarks(ran: List[Result]) -> List[str]:
    lines = [""]
    for result in ran:
        told = sorted(
            {
                remark
                for verdict in result.verdicts
                for remark in verdict.remarks
                if not remark.startswith(("refuses", "failed at first"))
            }
        )
        wire = sorted(
            {re.sub(r" \d+ times$", "", breach) for verdict in result.verdicts for breach in verdict.broker_breaches}
        )
        if wire:
            told.append("in the bytes " + ", ".join(wire))
        if told:
            lines += textwrap.wrap("- %s: %s." % (result.title, "; ".join(told)), 140, subsequent_indent="  ")
    return [*lines, ""]


def write_cluster(stories: List[Story]) -> None:
    """Put the account of the clusters into the page."""
    lines = []
    for story in stories:
        lines += ["**%s**" % story.place.title, "", "| fault, in turn | whom it hit | publisher goes on after |"
                  " subscriber goes on after |", "|---|---|--:|--:|"]  # fmt: skip
        for row in story.rows:
            lines.append(
                "| %s node %d | %s | %s | %s |"
                % (
                    row["fault"],
                    row["node"],
                    " and ".join(row["hit"]) or "nobody",
                    shown(row["pub"]),
                    shown(row["sub"]),
                )
            )
        lines += ["", *[line[0].upper() + line[1:] + ".  " for line in story.account], ""]
    PAGE.write_text(between(PAGE.read_text(), "make cluster", lines))


def shown(time_s: float | None) -> str:
    """A time as a reader wants it."""
    return "–" if time_s is None else "%.1f s" % time_s if time_s >= 1 else "%d ms" % (time_s * 1000)
