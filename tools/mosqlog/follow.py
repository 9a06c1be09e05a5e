"""A log that is being written: what is appended to it, through rotation, without losing a line.

Three ways in which a log begins anew:
- the file is renamed, and the broker told to open a new one: the old one is read to its end first;
- it is copied and then truncated (logrotate's `copytruncate`): what was written between the last look and the copy
  is read from the copy, then the file from its beginning. Lines written between logrotate's copy and its truncation
  are lost to everybody;
- it is truncated and grows beyond its old length between two looks: told by its first bytes."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import select
import signal
import stat
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from . import read
from .cluster import Log

LOOK_S = 0.25  # between two looks
HEAD_B = 1024  # by which a file is known again
MARK_B = 512  # by which the copy of a file is known: what was read last of it
NOTHING_YET = b""
# How rotated logs are called: LOG.1, LOG.2.gz, LOG-20261127, LOG-20261127-1764201600, LOG.2026-11-27.gz
_ROTATED = re.compile(r"[.-](\d{1,4}|\d{4}-?\d\d-?\d\d(?:[-_.T]?\d+)?)(?:\.gz)?")
DATE_FIGURES = 8
TRIES = 5  # to see files that are being rotated at rest


def batches(path: str, warn: Callable[[str], None]) -> Iterator[list[str]]:
    """The lines of a log as they come, some at a time; an empty list whenever nothing is there to read. Never ends
    and never blocks on a file; that does not have to exist yet. Standard input ("-") ends with itself.
    Raises read.Unreadable."""
    chunks = _standard_input() if path == "-" else _Growing(path, warn).chunks()
    yield from read.lines(chunks, path, warn)


def _standard_input() -> Iterator[bytes]:
    descriptor = sys.stdin.fileno()
    # A pipe can be asked whether there is something; a file always says yes.
    waits = not stat.S_ISREG(os.fstat(descriptor).st_mode)
    while True:
        if waits and not select.select([descriptor], [], [], 0)[0]:
            yield NOTHING_YET
            continue
        chunk = os.read(descriptor, read.CHUNK_B)
        if not chunk:
            return
        yield chunk


class _Growing:
    """One log that is being written. `_read_b` is how far the open file has been read."""

    def __init__(self, path: str, warn: Callable[[str], None]):
        self._path, self._warn = path, warn
        self._file: BinaryIO | None = None
        self._read_b = 0
        self._head = self._mark = b""  # its first bytes, and those read last

    def chunks(self) -> Iterator[bytes]:
        """Bytes as they come, NOTHING_YET where there are none."""
        yield from self._awaited()
        assert self._file is not None
        if self._file.read(2) == b"\x1f\x8b":  # packed: it does not grow any more
            self._file.close()
            yield from read.chunks(self._path, self._warn)
            self._open()
            self._read_b = os.fstat(self._file.fileno()).st_size
        while True:
            chunk = self._next()
            if self._begun_anew():  # asked after reading: what was read may be of the file's new life
                yield from self._rest_of_copy()
                yield b"\n"  # half a line that the cut left behind is one by itself
                self._read_b, self._head, self._mark = 0, b"", b""
                continue
            if chunk:
                self._note(chunk)
                yield chunk
            elif self._renamed():
                # Once more: it was perhaps written to between the last look and the renaming.
                chunk = self._next()
                if chunk:
                    self._note(chunk)
                    yield chunk
                    continue
                yield from self._change_over()
            else:
                yield NOTHING_YET

    def _awaited(self) -> Iterator[bytes]:
        told = False
        while not Path(self._path).exists():
            if not told:
                self._warn(f"{self._path} is not there yet: waiting for it")
                told = True
            yield NOTHING_YET
        self._open()

    def _open(self) -> None:
        old = self._file
        self._file = read.opened(self._path)
        self._read_b, self._head, self._mark = 0, b"", b""
        if old is not None:
            old.close()

    def _next(self) -> bytes:
        return os.pread(self._file.fileno(), read.CHUNK_B, self._read_b)

    def _note(self, chunk: bytes) -> None:
        """These bytes have been read, and the file is still the same."""
        if len(self._head) < HEAD_B and self._read_b == len(self._head):
            self._head += chunk[: HEAD_B - len(self._head)]
        self._read_b += len(chunk)
        self._mark = (self._mark + chunk)[-MARK_B:]

    def _begun_anew(self) -> bool:
        """Whether the open file was truncated since it was read last."""
        size_b = os.fstat(self._file.fileno()).st_size
        if size_b < self._read_b:
            return True
        return size_b > self._read_b and os.pread(self._file.fileno(), len(self._head), 0) != self._head

    def _renamed(self) -> bool:
        """Whether another file has the log's name now and the broker writes to it. An empty one was made by
        logrotate (`create`): until it is told to open it, the broker goes on with the old one."""
        try:
            there = os.stat(self._path)
        except OSError:
            return False  # the new one is not there yet
        return there.st_size > 0 and not os.path.samestat(there, os.fstat(self._file.fileno()))

    def _change_over(self) -> Iterator[bytes]:
        """The open file was renamed and is read: gives those that were the log after it, and opens the present one."""
        for _ in range(TRIES):
            with contextlib.ExitStack() as closing:
                try:
                    new = closing.enter_context(read.opened(self._path))
                    between = [
                        closing.enter_context(open(path, "rb", buffering=0))
                        for path in self._rotated_after(self._is_open)
                    ]
                    # Renamed once more meanwhile? Then something is missing in between.
                    if not os.path.samestat(os.stat(self._path), os.fstat(new.fileno())):
                        continue
                except (OSError, read.Unreadable):
                    continue
                for file in between:
                    yield b"\n"
                    yield from read.unpacked(file, self._path, self._warn)
                yield b"\n"  # half a line at the end of a file is one by itself
                os.dup2(new.fileno(), self._file.fileno())
                self._read_b, self._head, self._mark = 0, b"", b""
                return
        yield NOTHING_YET  # it is being rotated right now: at the next look

    def _is_open(self, path: Path) -> bool:
        return os.path.samestat(path.stat(), os.fstat(self._file.fileno()))

    def _rotated_after(self, is_it: Callable[[Path], bool]) -> list[Path]:
        """The rotated files that were the log after the one that is_it() knows, the oldest first: rotated twice
        between two looks, LOG is now LOG.2, and LOG.1 was never read. Raises OSError when they are just moving."""
        log = Path(self._path)
        rotated: dict[int, Path] = {}
        for path in log.parent.glob(_literal(log.name) + "?*"):
            match = _ROTATED.fullmatch(path.name[len(log.name) :])
            if match:
                figures = int(re.sub(r"\D", "", match[1]))
                # LOG.2 is older than LOG.1, LOG-20261126 than LOG-20261127.
                age = -figures if len(match[1]) < DATE_FIGURES else figures
                if age not in rotated or path.suffix != ".gz":  # both are there while one is being packed
                    rotated[age] = path
        newer: list[Path] = []
        for _, path in sorted(rotated.items(), reverse=True):
            if is_it(path):
                return newer[::-1]
            newer.append(path)
        return []

    def _rest_of_copy(self) -> Iterator[bytes]:
        """The open file was truncated: gives what its copy has behind the bytes that were read, and the copies made
        after that one. The copy is a file beside the log, whose name begins with the log's, that has these bytes
        where they were."""
        if not self._mark:
            return
        for _ in range(TRIES):  # they may be moved or packed between our looking for them and opening them
            with contextlib.ExitStack() as closing:
                try:
                    copy = self._copy()
                    if copy is None:
                        continue
                    file = closing.enter_context(_unpacked(copy))
                    newer = [
                        closing.enter_context(open(path, "rb", buffering=0))
                        for path in self._rotated_after(copy.__eq__)
                    ]
                    if copy != self._copy():
                        continue
                    file.seek(self._read_b)
                except (OSError, EOFError):
                    continue
                yield from iter(lambda: file.read(read.CHUNK_B), b"")  # noqa: B023 - used at once
                for later in newer:
                    yield b"\n"
                    yield from read.unpacked(later, self._path, self._warn)
                return
        self._warn(
            f"{self._path} was truncated; lines written shortly before are lost, as there is no copy of it beside it"
        )

    def _copy(self) -> Path | None:
        """Raises OSError when the files are just moving."""
        log = Path(self._path)
        beside = [path for path in log.parent.glob(_literal(log.name) + "?*") if path.is_file()]
        # The newest first; plain ones before, because a .gz may be in the making while its original is still there.
        for path in sorted(beside, key=lambda path: (path.suffix != ".gz", _written(path)), reverse=True):
            try:
                with _unpacked(path) as file:
                    file.seek(self._read_b - len(self._mark))
                    if file.read(len(self._mark)) == self._mark:
                        return path
            except (PermissionError, EOFError, gzip.BadGzipFile, zlib.error):
                continue  # not ours
        return None


def _unpacked(path: Path) -> BinaryIO:
    return gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb")  # type: ignore[return-value]


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0


class Stop:
    """Set by Ctrl-C or SIGTERM: the program ends with its summary, at the next line."""

    def __init__(self) -> None:
        # No threading.Event: its lock is held while it is waited for, and a signal that sets it then waits for ever.
        self._is_asked = False

    def __enter__(self) -> Stop:
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _ask(self, *_: object) -> None:
        self._is_asked = True

    def __bool__(self) -> bool:
        return self._is_asked


def together(logs: list[Log], stop: Stop, warn: Callable[[str], None]) -> Iterator[tuple[int, list[str]]]:
    """Lines of several logs as they come, with the number of their log; an empty list when that log has no more for
    now. Ends when it is asked to stop, or when all were standard input that ended. Raises read.Unreadable."""
    for i, log in enumerate(logs):
        for path in log.files[:-1]:
            log.parser.written(read.written(path))
            for batch in read.batches(path, warn):
                yield i, batch
                if stop:
                    return
    growing: dict[int, Iterator[list[str]]] = {}
    for i, log in enumerate(logs):
        log.parser.written(read.written(log.files[-1]))
        growing[i] = batches(log.files[-1], warn)
    while growing and not stop:
        quiet = True
        for i, lines_of in list(growing.items()):
            batch = next(lines_of, None)
            if batch is None:
                del growing[i]
                batch = []
            quiet = quiet and not batch
            yield i, batch
            if stop:
                return
        if quiet and growing:
            sys.stdout.flush()
            time.sleep(LOOK_S)
