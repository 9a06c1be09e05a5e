"""The lines of log files: plain, gzip, standard input, rotated files in order, a growing one."""

from __future__ import annotations

import os
import re
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Callable

from .parse import Parser

CHUNK_B = 1 << 18
LINE_B = 1 << 16        # what is longer is cut: no Mosquitto line is, and memory is bounded
_ROTATED = re.compile(r"\.(\d+)(?:\.gz)?$")


class Unreadable(Exception):
    """A log that cannot be read; its text says which, why and what to do."""


def in_order(paths: list[str], time_format: str | None = None) -> list[str]:
    """The files of one log, the oldest first: by the first time in each, where there is none by
    the number of the rotation (`.2.gz` before `.1`), else as given. Raises Unreadable."""
    if len(paths) < 2 or "-" in paths:
        return list(paths)
    keyed = []
    for i, path in enumerate(paths):
        number = _ROTATED.search(path)
        keyed.append((_first_time(path, time_format), -int(number[1]) if number else 0, i, path))
    if any(t is None for t, *_ in keyed):
        keyed = [(0, *rest) for _, *rest in keyed]
    return [path for *_, path in sorted(keyed)]


def _first_time(path: str, time_format: str | None) -> float | None:
    with _opened(path) as file:
        parser = Parser(time_format, os.fstat(file.fileno()).st_mtime)
        lines = next(_lines(_bytes(file, path, _silent), path, _silent), [])
    return next((t for t in (parser.parse(line).t for line in lines[:200]) if t is not None), None)


def _silent(warning: str) -> None:
    pass


def batches(path: str, warn: Callable[[str], None],
            took: Callable[[int], object] = lambda b: None) -> Iterator[list[str]]:
    """The lines of a file (or of standard input, "-"), some at a time, without their ends. A last
    line without an end is cut in half and left out, with a warning; a damaged gzip file gives what
    can be read, and a warning. took(n) is told of every n bytes of the file read.
    Raises Unreadable."""
    with _opened(path) as file:
        yield from _lines(_bytes(file, path, warn, took), path, warn)


def follow(path: str, idle: Callable[[], bool], warn: Callable[[str], None]
           ) -> Iterator[list[str]]:
    """As batches(), and then what is appended, through rotation (renamed, or truncated in place),
    until idle() returns False; that is called whenever there is nothing to read and may wait.
    Standard input is followed by itself. Raises Unreadable."""
    if path == "-":
        yield from batches(path, warn)
        return
    file = _opened(path)
    try:
        yield from _lines(_growing(file, path, idle, warn), path, warn)
    finally:
        file.close()


def size_b(paths: list[str]) -> int:
    """Bytes in the files; 0 when one has no size (standard input, a pipe)."""
    try:
        sizes = [os.stat(path).st_size for path in paths if path != "-"]
    except OSError:
        return 0
    return sum(sizes) if len(sizes) == len(paths) else 0


def written(path: str) -> float:
    """When the log was written last, seconds since 1970; now, where that cannot be told."""
    try:
        return os.stat(path).st_mtime if path != "-" else time.time()
    except OSError:
        return time.time()


def _opened(path: str) -> BinaryIO:
    try:
        if path == "-":
            return open(os.dup(sys.stdin.fileno()), "rb", buffering=0)
        if Path(path).is_dir():
            raise Unreadable(f"{path} is a folder; name the log files in it, as {path}/*.log*")
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        raise Unreadable(f"{path} does not exist; `log_dest file` in mosquitto.conf says where "
                         f"the broker logs") from None
    except PermissionError:
        raise Unreadable(f"{path} may not be read by this user; try with sudo, or pipe it in: "
                         f"sudo cat {path} | ... -") from None
    except OSError as e:
        raise Unreadable(f"{path} cannot be opened: {e.strerror}") from None


def _chunk(file: BinaryIO, path: str) -> bytes:
    try:
        return file.read(CHUNK_B) or b""
    except OSError as e:
        raise Unreadable(f"{path} cannot be read: {e.strerror}") from None


def _bytes(file: BinaryIO, path: str, warn: Callable[[str], None],
           took: Callable[[int], object] = lambda b: None) -> Iterator[bytes]:
    chunk = _chunk(file, path)
    if chunk[:2] == b"\x1f\x8b":
        yield from _gunzipped(file, path, chunk, warn, took)
        return
    for magic, name in ((b"\xfd7zXZ", "xz"), (b"BZh", "bzip2"), (b"\x28\xb5\x2f\xfd", "zstd")):
        if chunk.startswith(magic):
            raise Unreadable(f"{path} is packed with {name}; use: {name} -dc {path} | ... -")
    while chunk:
        took(len(chunk))
        yield chunk
        chunk = _chunk(file, path)


def _gunzipped(file: BinaryIO, path: str, chunk: bytes, warn: Callable[[str], None],
               took: Callable[[int], object]) -> Iterator[bytes]:
    # By hand: gzip.open() throws away what it has unpacked when the file ends too early.
    unpack, told_b = zlib.decompressobj(31), 0
    try:
        while chunk:
            took(file.tell() - told_b if file.seekable() else 0)
            told_b = file.tell() if file.seekable() else 0
            out = unpack.decompress(chunk, CHUNK_B)
            if out:
                yield out
            if unpack.eof:
                chunk = unpack.unused_data.lstrip(b"\0") or _chunk(file, path).lstrip(b"\0")
                if chunk:
                    unpack = zlib.decompressobj(31)
            else:
                chunk = unpack.unconsumed_tail or _chunk(file, path)
        if not unpack.eof:
            warn(f"{path} is cut short: read as far as it goes")
    except zlib.error:
        warn(f"{path} is damaged: read as far as it goes")


def _growing(file: BinaryIO, path: str, idle: Callable[[], bool], warn: Callable[[str], None]
             ) -> Iterator[bytes]:
    yield from _bytes(file, path, warn)
    while True:
        chunk = _chunk(file, path)
        if chunk:
            yield chunk
            continue
        here = os.fstat(file.fileno())
        if here.st_size < file.tell():      # truncated in place
            file.seek(0)
            yield b"\n"
            continue
        try:
            there = os.stat(path)
        except OSError:
            there = None                    # renamed, the new one is not there yet
        if there and (there.st_ino, there.st_dev) != (here.st_ino, here.st_dev):
            chunk = _chunk(file, path)      # written between the last look and the renaming
            if not chunk:
                new = _opened(path)
                os.dup2(new.fileno(), file.fileno())
                new.close()
                chunk = b"\n"
            yield chunk
            continue
        yield b""
        if not idle():
            return


def _lines(chunks: Iterator[bytes], path: str, warn: Callable[[str], None]
           ) -> Iterator[list[str]]:
    tail, skipping = b"", False
    for chunk in chunks:
        data = tail + chunk
        end = data.rfind(b"\n")
        if end < 0:
            if len(data) > LINE_B and not skipping:
                yield [data[:LINE_B].decode("utf-8", "surrogateescape")]
                skipping = True
            tail = b"" if skipping else data
            if not chunk:
                yield []
            continue
        # A cut in the middle of a character can only be in the tail, behind the last line end.
        lines = data[:end].decode("utf-8", "surrogateescape").split("\n")
        if skipping:
            del lines[0]
        skipping, tail = False, data[end + 1:]
        yield lines
    if tail.strip(b"\0"):
        # "Received PINGREQ from sensor-1" may be the half of "... from sensor-17".
        warn(f"{path}: the last line has no end and is left out")
