"""A log that is being written: what is appended to it, through rotation, without losing a line.

Three ways in which a log begins anew:
- the file is renamed, and the broker told to open a new one: the old one is read to its end first;
- it is copied and then truncated (logrotate's `copytruncate`): what was written between the last look and the copy
  is read from the copy, then the file from its beginning. Lines written between logrotate's copy and its truncation
  are lost to everybody;
- it is truncated and grows beyond its old length between two looks: told by its first bytes."""

from __future__ import annotations

import gzip
import os
import re
import select
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from . import read

HEAD_B = 1024       # by which a file is known again
MARK_B = 512        # by which the copy of a file is known: what was read last of it
NOTHING_YET = b""
_NUMBER = re.compile(r"\.(\d+)(?:\.gz)?")


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
        self._head = self._mark = b""       # its first bytes, and those read last

    def chunks(self) -> Iterator[bytes]:
        """Bytes as they come, NOTHING_YET where there are none."""
        yield from self._awaited()
        assert self._file is not None
        if self._file.read(2) == b"\x1f\x8b":       # packed: it does not grow any more
            self._file.close()
            yield from read.chunks(self._path, self._warn)
            self._open()
            self._read_b = os.fstat(self._file.fileno()).st_size
        while True:
            if self._begun_anew():
                yield from self._rest_of_copy()
                yield b"\n"     # half a line that the cut left behind is one by itself
                self._read_b, self._head, self._mark = 0, b"", b""
            chunk = self._next()
            if chunk:
                yield chunk
            elif self._renamed():
                # Once more: it was perhaps written to between the last look and the renaming.
                chunk = self._next()
                if chunk:
                    yield chunk
                    continue
                for between in self._rotated_since():
                    yield b"\n"
                    yield from read.chunks(between, self._warn)
                yield b"\n"     # half a line at the end of a file is one by itself
                self._open()
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
        chunk = os.pread(self._file.fileno(), read.CHUNK_B, self._read_b)
        if chunk:
            if len(self._head) < HEAD_B and self._read_b == len(self._head):
                self._head += chunk[:HEAD_B - len(self._head)]
            self._read_b += len(chunk)
            self._mark = (self._mark + chunk)[-MARK_B:]
        return chunk

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
            return False        # the new one is not there yet
        return there.st_size > 0 and not os.path.samestat(there, os.fstat(self._file.fileno()))

    def _rotated_since(self) -> list[str]:
        """The files that were the log after the open one and before the present one, the oldest first: rotated
        twice between two looks, LOG is now LOG.2, and LOG.1 was never open."""
        path, here = Path(self._path), os.fstat(self._file.fileno())
        numbered = {}
        for each in path.parent.glob(_literal(path.name) + ".*"):
            number = _NUMBER.fullmatch(each.name[len(path.name):])
            if number and each.is_file():
                numbered[int(number[1])] = each
        ours = [number for number, each in numbered.items() if os.path.samestat(each.stat(), here)]
        return [str(numbered[number]) for number in sorted(numbered, reverse=True) if ours and number < ours[0]]

    def _rest_of_copy(self) -> Iterator[bytes]:
        """What the copy of the truncated file has behind the bytes that were read. The copy is the newest file
        beside the log, whose name begins with the log's, that has these bytes where they were."""
        path = Path(self._path)
        if not self._mark:
            return
        beside = [each for each in path.parent.glob(_literal(path.name) + "?*") if each.is_file()]
        # Plain ones first: a .gz may be in the making, and its original is there until it is whole.
        for copy in sorted(beside, key=lambda each: (each.suffix != ".gz", _written(each)), reverse=True):
            try:
                with (gzip.open if copy.suffix == ".gz" else open)(copy, "rb") as file:
                    file.seek(self._read_b - len(self._mark))
                    if file.read(len(self._mark)) != self._mark:
                        continue
                    while True:
                        chunk = file.read(read.CHUNK_B)
                        if not chunk:
                            return
                        yield chunk
            except (OSError, EOFError):
                continue        # gone, or not ours
        self._warn(f"{self._path} was truncated; lines written shortly before are lost, as there is no copy of it "
                   f"beside it")


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0
