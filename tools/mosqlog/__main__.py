"""`python -m tools.mosqlog LOG...`: what happened to each device."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from heapq import merge

from rich.console import Console
from rich.progress import Progress, TaskID

from . import follow, html, jobs, jsonl, lines, parquet, read, refusals, terminal, words
from .analyse import SEQUENCE, Analyser
from .cluster import STDIN, Log, Source
from .events import Event, Unknown
from .model import Subject
from .options import ANY, Options, arguments
from .parse import Parser
from .selection import Selection
from .talkers import Talkers
from .teller import Teller

OK, FOUND, FAILED = 0, 1, 2  # exit status
PLAIN_WIDTH = 160  # columns when it is no terminal
GC_THRESHOLD = 100_000, 50, 1000  # messages in flight come and go; none of them is part of a circle
PROGRESS_B = 30_000_000  # shorter logs are read before anybody looks
METRICS_S = 15  # between two writings of the metrics while following
SETTLED_S = 2  # of silence, after which what could belong together has come together


def main(argv: list[str] | None = None) -> int:
    """Runs the program. Returns its exit status: OK, FOUND for --fail-on, or FAILED when a log cannot be read or a
    file not be written."""
    for stream in (sys.stdout, sys.stderr):
        # An id can hold what the terminal's encoding has no letter for.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    options = arguments(argv)
    gc.set_threshold(*GC_THRESHOLD)
    try:
        return _run(options)
    except (read.Unreadable, parquet.NotWritten) as error:
        _warn(str(error))
        return FAILED
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def _warn(text: str) -> None:
    sys.stderr.write(f"mosqlog: {words.shown(text)}\n")  # in one piece: threads _warn, too
    sys.stderr.flush()


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # rich would end the program with status 1


def _run(options: Options) -> int:
    console = _Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    with contextlib.ExitStack() as closing:
        if options.refused:
            _show_refused(options)
            return OK
        teller = Teller(options, console, closing, _warn) if options.follow and not options.lines else None
        logs = [_log(source, options, teller) for source in options.sources]
        if options.lines:
            _show_lines(options, logs)
            return OK
        unknown = closing.enter_context(_Unknown(options, console)) if options.unknown else None
        readers = _readers(options, logs, unknown, closing)
        if options.json and options.follow:
            _print_json(jsonl.log_object(log, live=True) for log in logs)
        if teller:
            _follow(options, logs, readers, teller)
        else:
            _read(logs, readers, options.jobs)
        for log in logs:
            log.analyser.finish()
        talkers = {log.name: reader.talkers for log, reader in zip(logs, readers) if reader.talkers}
        _show(options, logs, talkers, unknown, console)
    status = _write(options, logs)
    if status == OK and _found(options, logs):
        return FOUND
    return status


def _show_refused(options: Options) -> None:
    """Each refused login as it is read; in a log that grows until Ctrl-C or SIGTERM."""

    def tell(kind: str, subject: Subject, thing) -> None:
        if kind == "refusal":
            print(refusals.line(thing), flush=options.follow)

    logs = [_log(source, options, None) for source in options.sources]
    for log in logs:
        log.analyser.tell = tell
    readers = [_Reader(log, _in_time(options, log), None, None, None) for log in logs]
    if not options.follow:
        _read(logs, readers)
    else:
        with follow.Stop() as stop:
            for i, batch in follow.together(logs, stop, _warn):
                readers[i].take(batch)
                if not batch:
                    logs[i].analyser.settle()
    for log in logs:
        log.analyser.finish()


def _log(source: Source, options: Options, teller: Teller | None) -> Log:
    there = source.paths
    if options.follow:  # the one that is not there yet will be the newest
        there = [path for path in there if path == STDIN or os.path.exists(path)]
    files = read.in_order(there, options.time_format)
    files += [path for path in source.paths if path not in there]
    analyser = Analyser(
        at=options.moments,
        sequence=SEQUENCE if options.html else 0,
        watched=frozenset(options.clients),
        tell=teller.live.teller(source.name) if teller else None,
    )
    return Log(source.name, files, Parser(options.time_format), analyser)


# -- reading


class _Reader:
    """Takes the lines of one log: to its analyser, and to those who were asked for besides it."""

    def __init__(
        self,
        log: Log,
        selection: Selection | None,
        unknown: _Unknown | None,
        events: parquet.Writer | None,
        talkers: Talkers | None,
    ):
        self._log, self._selection, self._unknown = log, selection, unknown
        self._events, self.talkers = events, talkers
        self._lines = 0
        self._learned = False

    @property
    def only_the_sum(self) -> bool:
        """Nobody wants to see each packet: they may come condensed."""
        return not (
            self._selection or self._unknown or self._events or self.talkers or self._log.analyser.wants_packets
        )

    def take(self, batch: list[str]) -> None:
        """The next lines of the log."""
        if not self._learned:
            self._learned = bool(batch)
            self._log.parser.learn(batch)
        events, feed = self._log.parser.events, self._log.analyser.feed
        if not (self._selection or self._unknown or self._events or self.talkers):
            for event in events(batch):
                feed(event)
            return
        for event in events(batch):
            self._lines += 1
            if self._selection and not self._selection.in_time(event):
                continue
            feed(event)
            self._tell(event)

    def _tell(self, event: Event) -> None:
        if self._unknown and type(event) is Unknown:
            self._unknown.show(event, self._log.name)
        if self.talkers:
            self.talkers.feed(event)
        if self._events:
            self._events.feed(event, self._log, self._lines)


def _readers(
    options: Options, logs: list[Log], unknown: _Unknown | None, closing: contextlib.ExitStack
) -> list[_Reader]:
    events = closing.enter_context(parquet.Writer(options.parquet)) if options.parquet else None
    return [
        _Reader(log, _in_time(options, log), unknown, events, Talkers() if options.talkers else None) for log in logs
    ]


def _in_time(options: Options, log: Log) -> Selection | None:
    if not (options.since or options.until or options.lines):
        return None
    last: list[float | None] = []  # looked for once, and only when it is needed

    def end() -> float | None:
        if not last:
            last.append(_last_time(options, log))
        return last[0]

    return Selection(
        options.clients,
        options.addresses,
        options.since and options.since.at(end),
        options.until and options.until.at(end),
    )


def _last_time(options: Options, log: Log) -> float | None:
    """The time of the last line of the log as it is now; None when there is none."""
    for path in reversed(log.files):
        if path == STDIN:
            raise read.Unreadable(
                "standard input has no end yet: give --since and --until as times, for example 2026-11-22T11:56:02"
            )
        if not os.path.exists(path):
            continue
        parser, last, lines_of = Parser(options.time_format, read.written(path)), None, read.tail(path)
        parser.learn(lines_of)
        for line in lines_of:
            event = parser.parse(line)
            last = last if event.t is None else event.t
        if last is not None:
            return last
    return None


def _read(logs: list[Log], readers: list[_Reader], processes: int = 1) -> None:
    paths = [path for log in logs for path in log.files]
    total_b = read.size_b(paths)
    seen = total_b > PROGRESS_B and sys.stderr.isatty()
    with (
        contextlib.suppress(KeyboardInterrupt),
        Progress(console=Console(stderr=True), transient=True) if seen else _NoProgress() as bar,
    ):
        task = bar.add_task("reading", total=total_b)
        for log, reader in zip(logs, readers):
            if reader.only_the_sum:
                for event in jobs.events(
                    log.files, log.parser, _warn, lambda size_b: bar.advance(task, size_b), processes
                ):
                    log.analyser.feed(event)
                continue
            for batch in _batches(log, lambda size_b: bar.advance(task, size_b)):
                reader.take(batch)


def _batches(log: Log, took=lambda size_b: None) -> Iterator[list[str]]:
    for path in log.files:
        log.parser.written(read.written(path))
        yield from read.batches(path, _warn, took)


class _NoProgress(contextlib.nullcontext):
    def __enter__(self) -> _NoProgress:
        return self

    def add_task(self, name: str, total: int) -> TaskID:
        return TaskID(0)

    def advance(self, task: TaskID, size_b: int) -> None:
        pass


class _Unknown:
    """Shows lines that are not understood: at once, in JSON behind the `log` object that comes first."""

    def __init__(self, options: Options, console: Console):
        self._at_once = not options.json or options.follow
        self._json, self._console = options.json, console
        self._kept = tempfile.SpooledTemporaryFile(1_000_000, "w+", encoding="ascii")  # noqa: SIM115 - see __exit__

    def __enter__(self) -> _Unknown:
        return self

    def __exit__(self, *exception: object) -> None:
        self._kept.close()

    def show(self, event: Unknown, broker: str | None) -> None:
        """Shows the line, or keeps it until after the `log` object."""
        if not self._json:
            self._console.out("unknown: " + words.shown(event.text))
            return
        text = jsonl.line(jsonl.unknown_object(event, broker, live=self._at_once))
        print(text, file=sys.stdout if self._at_once else self._kept)

    def show_kept(self) -> None:
        """What was kept."""
        self._kept.seek(0)
        for line in self._kept:
            sys.stdout.write(line)


# -- following


def _follow(options: Options, logs: list[Log], readers: list[_Reader], teller: Teller) -> None:
    restarts = [0] * len(logs)
    written, told = time.monotonic(), set()
    quiet_since = [written] * len(logs)
    for log in logs:
        if log.files[-1] == STDIN:  # what comes down a pipe is news
            teller.live.caught_up(log.name, [])
    with follow.Stop() as stop:
        for i, batch in follow.together(logs, stop, _warn):
            readers[i].take(batch)
            log = logs[i]
            if batch:
                quiet_since[i] = time.monotonic()
                new = log.analyser.broker.restarts[restarts[i] :]
                restarts[i] += len(new)
                for restart in new:
                    teller.restarted(log, restart)
                continue
            if i not in told or time.monotonic() - quiet_since[i] >= SETTLED_S:
                log.analyser.settle()
            if i not in told:
                told.add(i)
                _warn(f"following {log.files[-1]}; Ctrl-C or SIGTERM ends it with the summary")
            teller.live.caught_up(log.name, [subject for subject in log.subjects() if subject.findings])
            if options.prometheus and time.monotonic() - written >= METRICS_S:
                _write_prometheus(options, logs)
                written = time.monotonic()


# -- showing


def _show_lines(options: Options, logs: list[Log]) -> None:
    width = max(len(log.name or "") for log in logs)

    def show(log: Log, line: str) -> None:
        name = f"{log.name:<{width}} " if log.name else ""
        sys.stdout.write(f"{name}{lines.local(line)}\n")

    selections = [_in_time(options, log) for log in logs]
    if options.follow:
        with follow.Stop() as stop:
            for i, batch in follow.together(logs, stop, _warn):
                for _, log, line in _wanted_lines(logs[i], selections[i], [batch]):
                    show(log, line)
        return
    wanted = [_wanted_lines(log, selection, _batches(log)) for log, selection in zip(logs, selections)]
    with contextlib.suppress(KeyboardInterrupt):
        for _, log, line in merge(*wanted, key=lambda each: each[0]) if options.several else wanted[0]:
            show(log, line)
    sys.stdout.flush()


def _wanted_lines(log: Log, selection: Selection, batches: Iterable[list[str]]) -> Iterator[tuple[float, Log, str]]:
    """Each line asked for, with its time (that of the line before, where it has none) and its log."""
    last, learned = float("-inf"), False
    for batch in batches:
        if batch and not learned:
            learned = True
            log.parser.learn(batch)
        for line in batch:
            wanted = False
            for event in log.parser.events([line]):  # several, where a copy glued lines together
                last = last if event.t is None else event.t
                wanted = selection.wants(event) and selection.in_time(event) or wanted
            if wanted:
                yield last, log, line


def _print_json(objects: Iterable[dict[str, object]]) -> None:
    for each in objects:
        print(jsonl.line(each))
    sys.stdout.flush()


def _show(
    options: Options, logs: list[Log], talkers: dict[str | None, Talkers], unknown: _Unknown | None, console: Console
) -> None:
    if options.json:
        _print_json(jsonl.heads(logs))
        if unknown:
            unknown.show_kept()
        _print_json(jsonl.objects(options, logs, talkers))
    else:
        terminal.answer(options, logs, talkers, console, _warn)
    sys.stdout.flush()


def _write(options: Options, logs: list[Log]) -> int:
    status = OK
    if options.html:
        try:
            html.write(logs, options.html, options.clients)
            _warn(f"report in {options.html}")
        except OSError as error:
            _warn(f"{options.html} cannot be written: {error.strerror}")
            status = FAILED
    if options.prometheus and not _write_prometheus(options, logs):
        status = FAILED
    return status


def _write_prometheus(options: Options, logs: list[Log]) -> bool:
    from . import prometheus  # its library is 3 MB, which only --prometheus should cost

    try:
        prometheus.write(logs, options.prometheus, options.clients)
    except OSError as error:
        _warn(f"{options.prometheus} cannot be written: {error.strerror}")
        return False
    return True


def _found(options: Options, logs: list[Log]) -> bool:
    """Whether there is a finding that --fail-on names."""
    found = {code for log in logs for subject in log.subjects() for code in subject.findings}
    return bool(found and ANY in options.fail_on or found & options.fail_on)


if __name__ == "__main__":
    sys.exit(main())
