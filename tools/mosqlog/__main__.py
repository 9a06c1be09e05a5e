"""`python -m tools.mosqlog LOG...`: what happened to each device."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import Progress, TaskID

from . import html, jsonl, read, terminal, words
from .analyse import SEQUENCE, Analyser, Client
from .findings import KINDS
from .parse import Parser, Unknown
from .stamp import when

PLAIN_WIDTH = 160           # columns when it is no terminal
PROGRESS_B = 30_000_000     # shorter logs are read before anybody looks


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    p = argparse.ArgumentParser(
        prog="mosqlog", description="What happened to each device, from the log of a Mosquitto "
        "broker (1.3 to 2.1). Best with `log_type all` in mosquitto.conf.",
        epilog="Every finding is explained in docs/mosqlog.md.")
    p.add_argument("logs", nargs="+", metavar="LOG",
                   help="log files, also .gz, rotated ones in any order; - is standard input")
    p.add_argument("--json", action="store_true", help="one JSON object a line")
    p.add_argument("--html", metavar="FILE", help="write a report that needs nothing but a browser")
    p.add_argument("--follow", action="store_true",
                   help="go on with what is appended, through rotation; Ctrl-C ends it")
    p.add_argument("--client", metavar="ID", action="append", default=[],
                   help="everything about this client (may be repeated)")
    p.add_argument("--at", metavar="TIME", action="append", default=[],
                   help="who was connected then: epoch seconds or 2026-11-22T11:56:02, in the "
                   "log's own zone (may be repeated)")
    p.add_argument("--unknown", action="store_true", help="show the lines not understood")
    p.add_argument("--time-format", metavar="FORMAT",
                   help="the broker's log_timestamp_format, when it is not recognised")
    p.add_argument("--top", type=int, default=20, metavar="N",
                   help="clients in the tables (20), the worst first")
    args = p.parse_args(argv)
    if args.logs.count("-") > 1 or ("-" in args.logs and len(args.logs) > 1):
        p.error("- (standard input) goes alone: cat the files together instead")
    if args.top < 1:
        p.error(f"--top {args.top}: give 1 or more")
    try:
        args.moments = [when(text) for text in args.at]
        Parser(args.time_format)
    except ValueError as e:
        p.error(str(e))
    return args


def main(argv: list[str] | None = None) -> int:
    """Runs the program. Returns its exit status: 0, or 2 when a log cannot be read or the report
    not be written."""
    args = _arguments(argv)
    try:
        return _run(args)
    except read.Unreadable as e:
        print(f"mosqlog: {e}", file=sys.stderr)
        return 2
    except BrokenPipeError:     # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError       # rich would end the program with status 1


def _run(args: argparse.Namespace) -> int:
    console = _Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    files = read.in_order(args.logs, args.time_format)
    analyser = Analyser(at=args.moments, sequence=SEQUENCE if args.html else 0,
                        watched=frozenset(args.client), tell=_teller(args, console))
    parser = Parser(args.time_format)
    with contextlib.suppress(KeyboardInterrupt):
        for batch in _batches(args, files, parser):
            for line in batch:
                event = parser.parse(line)
                analyser.feed(event)
                if args.unknown and type(event) is Unknown:
                    _show_unknown(args, event, console)
    analyser.finish()
    status = 0
    if args.html:
        try:
            html.write(analyser, files, args.html, args.client)
            print(f"mosqlog: report in {args.html}", file=sys.stderr)
        except OSError as e:
            print(f"mosqlog: {args.html} cannot be written: {e.strerror}", file=sys.stderr)
            status = 2
    if args.json:
        for thing in jsonl.objects(analyser, files):
            print(jsonl.line(thing))
    else:
        _show(args, analyser, files, console)
    sys.stdout.flush()
    return status


def _show(args: argparse.Namespace, analyser: Analyser, files: list[str],
          console: Console) -> None:
    if not args.client:
        terminal.summary(analyser, files, console, args.top)
        return
    for name in args.client:
        client = analyser.clients.get(name) or analyser.strangers.get(name)
        if client:
            terminal.client(analyser, client, console)
        else:
            known = sorted(analyser.clients, key=lambda c: (name.lower() not in c.lower(), c))
            print(f"mosqlog: no client {name!r} in this log; there are "
                  f"{', '.join(words.shown(c) for c in known[:5]) or 'none'}"
                  f"{' ...' if len(known) > 5 else ''}", file=sys.stderr)


def _show_unknown(args: argparse.Namespace, event: Unknown, console: Console) -> None:
    if args.json:
        print(jsonl.line({"type": "unknown", "t": event.t, "text": event.text}))
    else:
        console.out("unknown: " + words.shown(event.text))


def _teller(args: argparse.Namespace, console: Console):
    """What follows a growing log is told as it happens."""
    if not args.follow:
        return None

    def tell(what: str, client: Client, thing) -> None:
        if args.client and client.id not in args.client:
            return
        if what == "session":
            thing_json = jsonl.session_object(client, thing)
            t = thing.start if thing.end is None else thing.end
            text, weight = words.HOWS[thing.how], 0 if thing.how in ("open", "clean") else 10
        else:
            code, t = thing["code"], thing["t"]
            thing_json = {"type": "happened", "client": client.id, **thing}
            text = f"{KINDS[code].title}: {words.example(thing)}"
            weight = KINDS[code].weight
        if args.json:
            print(jsonl.line(thing_json), flush=True)
        else:
            console.print(f"{words.moment(t)} {words.shown(client.id)}: {text}",
                          style=terminal.colour(weight), markup=False)
    return tell


def _batches(args: argparse.Namespace, files: list[str], parser: Parser) -> Iterator[list[str]]:
    def warn(text: str) -> None:
        print(f"mosqlog: {text}", file=sys.stderr)

    def idle() -> bool:
        sys.stdout.flush()
        time.sleep(0.25)
        return True

    total_b = read.size_b(files)
    seen = total_b > PROGRESS_B and sys.stderr.isatty() and not args.follow
    with Progress(console=Console(stderr=True), transient=True) if seen else _NoProgress() as bar:
        task = bar.add_task("reading", total=total_b)
        for path in files:
            parser.written(read.written(path))
            if args.follow and path == files[-1]:
                yield from read.follow(path, idle, warn)
            else:
                yield from read.batches(path, warn, lambda b: bar.advance(task, b))


class _NoProgress(contextlib.nullcontext):
    def __enter__(self) -> _NoProgress:
        return self

    def add_task(self, name: str, total: int) -> TaskID:
        return TaskID(0)

    def advance(self, task: TaskID, b: int) -> None:
        pass


if __name__ == "__main__":
    sys.exit(main())
