"""The command line: every option with an example, checked before anything is read."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, field

from . import cluster, publish, ranking
from .findings import KINDS
from .parse import Parser
from .selection import Addresses, Moment
from .stamp import when

ANY = "any"  # --fail-on any: whatever was found
_UNITS_S = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|m|h|d|w)")


@dataclass
class Options:
    """What the user asked for. Times are seconds since 1970, as the log has them."""

    sources: list[cluster.Source]
    time_format: str | None = None
    follow: bool = False
    clients: list[str] = field(default_factory=list)
    addresses: Addresses = field(default_factory=Addresses)
    since: Moment | None = None
    until: Moment | None = None
    lines: bool = False
    connected: bool = False
    gone_s: float | None = None
    talkers: bool = False
    moments: list[float] = field(default_factory=list)
    unknown: bool = False
    refused: bool = False
    jobs: int = 1
    sort: str = ranking.TROUBLE
    top: int = 20
    json: bool = False
    html: str | None = None
    prometheus: str | None = None
    parquet: str | None = None
    fail_on: frozenset[str] = frozenset()
    command: str | None = None
    topic: publish.Address | None = None

    @property
    def several(self) -> bool:
        """Whether the logs of several brokers are read side by side."""
        return len(self.sources) > 1


def duration_s(text: str) -> float:
    """Seconds of 90s, 30min, 1h, 2d or 1w. Raises ValueError with an example."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a length of time; give it as 90s, 30min, 1h or 2d")
    return float(match[1]) * _UNITS_S[match[2]]


def _moment(text: str) -> Moment:
    """A time, or a length of time before the end of the log."""
    if _DURATION.fullmatch(text.strip()):
        return Moment(before_end_s=duration_s(text))
    try:
        return Moment(t=when(text))
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time; give it as 2026-11-22T11:56:02, as 1795348562, or as a length of "
            f"time before the end of the log: 2h"
        ) from None


def _kinds(text: str) -> list[str]:
    wanted = [kind.strip() for kind in text.split(",")]
    for kind in wanted:
        if kind != ANY and kind not in KINDS:
            raise ValueError(f"{kind!r} is no kind of finding; there are {ANY}, {', '.join(sorted(KINDS))}")
    return wanted


def _typed(convert):
    """`convert` as argparse takes it: its ValueError is the message to the user."""

    def converted(text: str):
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted


class _WithExamples(argparse.RawDescriptionHelpFormatter):
    """The example of an option stands on a line of its own, to be copied."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        told, _, example = text.partition("Example: ")
        return super()._split_lines(told, width) + ([f"Example: {example}"] if example else [])


def parser() -> argparse.ArgumentParser:
    """The description of the command line; `--help` is made from it."""
    made = argparse.ArgumentParser(
        prog="mosqlog",
        formatter_class=_WithExamples,
        usage="mosqlog LOG... [options]",
        description="What happened to each device, from the log of a Mosquitto broker (1.3 to 2.1).\n"
        "Best with `log_type all` in mosquitto.conf.",
        epilog="Exit status: 0, 1 when --fail-on found something, 2 when a log cannot be read or a file not be\n"
        "written. Every finding is explained in docs/mosqlog-findings.md.",
    )
    made.add_argument(
        "logs",
        nargs="+",
        metavar="LOG",
        help="log files, also .gz, rotated ones in any order; - is standard input; NAME=LOG when there "
        "are several brokers. Example: north=/var/log/north.log south=/var/log/south.log",
    )

    reading = made.add_argument_group("what to read")
    reading.add_argument(
        "--follow",
        action="store_true",
        help="go on with what is appended, through rotation; wait for a log that is not there yet; "
        "Ctrl-C or SIGTERM ends it with the summary. Example: --follow",
    )
    reading.add_argument(
        "--since",
        metavar="TIME",
        type=_typed(_moment),
        help="only what was logged from then on: a time in the log's own zone, epoch seconds, or a "
        "length of time before the end of the log. Example: --since 2h",
    )
    reading.add_argument(
        "--until",
        metavar="TIME",
        type=_typed(_moment),
        help="only what was logged up to then. Example: --until 2026-11-22T11:56:02",
    )
    reading.add_argument(
        "--time-format",
        metavar="FORMAT",
        help="the broker's log_timestamp_format, when it is not recognised. "
        "Example: --time-format '%%d|%%m|%%y %%H.%%M.%%S'",
    )

    reading.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="processes that parse a long log (1); not with --html, --parquet, --talkers, --client, "
        "--address, --since, --until, --at, --unknown and --follow, which take line after line. "
        "Example: --jobs 4",
    )

    about = made.add_argument_group("about whom")
    about.add_argument(
        "--client",
        metavar="ID",
        action="append",
        default=[],
        help="everything about this client (may be repeated). Example: --client dev17",
    )
    about.add_argument(
        "--address",
        metavar="IP",
        type=_typed(Addresses.one),
        action="append",
        default=[],
        help="everything about whoever came from this address or network (may be repeated). "
        "Example: --address 192.168.1.0/24",
    )

    questions = made.add_argument_group("questions")
    questions.add_argument(
        "--lines",
        action="store_true",
        help="the log itself, its times in this machine's zone, cut down by --client, --address, "
        "--since and --until. Example: --lines",
    )
    questions.add_argument(
        "--connected", action="store_true", help="who is connected at the end of the log. Example: --connected"
    )
    questions.add_argument(
        "--gone",
        metavar="AGE",
        type=_typed(duration_s),
        dest="gone_s",
        help="who was seen, but not for this long before the end of the log. Example: --gone 1h",
    )
    questions.add_argument(
        "--at",
        metavar="TIME",
        type=_typed(when),
        action="append",
        default=[],
        dest="moments",
        help="who was connected then: epoch seconds or a time in the log's own zone (may be "
        "repeated). Example: --at 2026-11-22T11:56:02",
    )
    questions.add_argument(
        "--talkers",
        action="store_true",
        help="who publishes what: messages, bytes and rate per client and topic, the most first. Example: --talkers",
    )
    questions.add_argument(
        "--refused",
        action="store_true",
        help="each refused login in a line that fail2ban takes, with --follow as they come; "
        "docs/mosqlog.md has the failregex. Example: --refused",
    )
    questions.add_argument("--unknown", action="store_true", help="show the lines not understood. Example: --unknown")

    output = made.add_argument_group("output")
    output.add_argument(
        "--sort",
        metavar="KEY",
        choices=list(ranking.KEYS),
        default=ranking.TROUBLE,
        help=f"order of the clients: {', '.join(ranking.KEYS)}. Example: --sort connects",
    )
    output.add_argument("--top", type=int, default=20, metavar="N", help="rows in each table (20). Example: --top 100")
    output.add_argument(
        "--json",
        action="store_true",
        help="one JSON object a line; docs/mosqlog.schema.json describes them. Example: --json",
    )
    output.add_argument(
        "--html", metavar="FILE", help="write a report that needs nothing but a browser. Example: --html report.html"
    )
    output.add_argument(
        "--prometheus",
        metavar="FILE",
        help="write the totals as metrics for node_exporter's textfile collector; while following, "
        "every 15 s. Example: --prometheus /var/lib/node_exporter/mosquitto.prom",
    )
    output.add_argument(
        "--parquet",
        metavar="DIR",
        help="write every event into Parquet files by day and broker, for DuckDB, Spark or "
        "ClickHouse; needs pyarrow. Example: --parquet events",
    )

    alarm = made.add_argument_group("alarm")
    alarm.add_argument(
        "--fail-on",
        metavar="KIND",
        type=_typed(_kinds),
        action="append",
        default=[],
        help="end with status 1 when this was found (may be repeated; `any` for whatever it is). "
        "Example: --fail-on two-devices,flapping",
    )
    alarm.add_argument(
        "--exec",
        metavar="COMMAND",
        dest="command",
        help="while following, run this in a shell for each trouble: it stands in $MOSQLOG_CLIENT, "
        "$MOSQLOG_CODE, $MOSQLOG_TEXT and, as JSON, on standard input. "
        "Example: --exec 'logger \"$MOSQLOG_CLIENT: $MOSQLOG_TEXT\"'",
    )
    alarm.add_argument(
        "--publish",
        metavar="URL",
        type=_typed(publish.Address.parsed),
        dest="topic",
        help="while following, publish each trouble as JSON to this topic; a password is taken from "
        "$MOSQLOG_PASSWORD. Example: --publish mqtt://watcher@127.0.0.1:1883/alarms/mosquitto",
    )
    return made


# Options that ask something of the whole log, when it has been read.
_SUMS_UP = {
    "--connected": "connected",
    "--gone": "gone_s",
    "--at": "moments",
    "--talkers": "talkers",
    "--unknown": "unknown",
    "--json": "json",
    "--html": "html",
    "--prometheus": "prometheus",
    "--parquet": "parquet",
    "--fail-on": "fail_on",
    "--exec": "command",
    "--publish": "topic",
}


def arguments(argv: list[str] | None) -> Options:
    """The options of a command line. Ends the program with status 2 and a message where they are wrong."""
    described = parser()
    given = described.parse_args(argv)
    if given.top < 1:
        described.error(f"--top {given.top}: give 1 or more")
    if given.jobs < 1:
        described.error(f"--jobs {given.jobs}: give 1 or more")
    try:
        sources = cluster.grouped(given.logs)
        Parser(given.time_format)
    except ValueError as error:
        described.error(str(error))
    if given.follow and given.until:
        described.error("--until ends, --follow does not: leave one of them out")
    for option, value in (("--exec", given.command), ("--publish", given.topic)):
        if value and not given.follow:
            described.error(f"{option} acts while the log grows: add --follow")
    alone = "--refused" if given.refused else "--lines" if given.lines else None
    for option, name in {**_SUMS_UP, **({"--lines": "lines"} if given.refused else {})}.items():
        if alone and getattr(given, name) not in (None, False, []):
            described.error(f"{alone} writes lines of its own and sums nothing up: leave out {option}")
    return Options(
        sources=sources,
        time_format=given.time_format,
        follow=given.follow,
        clients=given.client,
        addresses=Addresses([network for each in given.address for network in each.networks]),
        since=given.since,
        until=given.until,
        lines=given.lines,
        connected=given.connected,
        gone_s=given.gone_s,
        talkers=given.talkers,
        moments=given.moments,
        unknown=given.unknown,
        refused=given.refused,
        jobs=given.jobs,
        sort=given.sort,
        top=given.top,
        json=given.json,
        html=given.html,
        prometheus=given.prometheus,
        parquet=given.parquet,
        fail_on=frozenset(kind for kinds in given.fail_on for kind in kinds),
        command=given.command,
        topic=given.topic,
    )
