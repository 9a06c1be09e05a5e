"""The lines of log files: plain, gzip, standard input, rotated files in order."""

from __future__ import annotations

import codecs
import os
import re
import sys
import time
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Callable

from .parse import Parser

CHUNK_B = 1 << 18
LINE_B = 1 << 16  # what is longer is cut: no Mosquitto line is, and memory is bounded
TAIL_B, TAIL_LINES = 1 << 16, 1000  # where the last time of a log is looked for
_WHOLE = re.compile(rb"[.)][\"'`,\s]*$")  # how a message ends that is not cut
_UTF_16 = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_ROTATED = re.compile(r"\.(\d+)(?:\.gz)?$")


class Unreadable(Exception):
    """A log that cannot be read; its text says which, why and what to do."""


def in_order(paths: list[str], time_format: str | None = None) -> list[str]:
    """The files of one log, the oldest first: by the first time in each, where there is none by
    the number of the rotation (`.2.gz` before `.1`), else as given. A packed file whose unpacked one
    is there too (the rotation was interrupted) is left out. Raises Unreadable."""
    paths = [path for path in paths if not _is_double(path, paths)]
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
    with opened(path) as file:
        parser = Parser(time_format, os.fstat(file.fileno()).st_mtime)
        first = next(lines(unpacked(file, path, _silent), path, _silent), [])
    return next((t for t in (parser.parse(line).t for line in first[:200]) if t is not None), None)


def _is_double(path: str, paths: list[str]) -> bool:
    """Whether this is X.gz of an X among the files, with the same lines."""
    plain = path[:-3] if path.endswith(".gz") else None
    if plain is None or plain not in paths:
        return False
    heads = [next(chunks(each, _silent), b"") for each in (plain, path)]
    size_b = min(map(len, heads))
    return size_b > 0 and heads[0][:size_b] == heads[1][:size_b]


def _silent(warning: str) -> None:
    pass


def batches(
    path: str, warn: Callable[[str], None], took: Callable[[int], object] = lambda _: None
) -> Iterator[list[str]]:
    """The lines of a file (or of standard input, "-"), some at a time, without their ends. A last line without an end
    is taken when it ends as messages do, else it may be cut in half and is left out, with a warning; a damaged gzip
    file gives what can be read, and a warning. took(n) is told of every n bytes of the file read.
    Raises Unreadable."""
    yield from lines(chunks(path, warn, took), path, warn)


def chunks(path: str, warn: Callable[[str], None], took: Callable[[int], object] = lambda _: None) -> Iterator[bytes]:
    """The bytes of a file, unpacked where it is gzip. Raises Unreadable."""
    with opened(path) as file:
        yield from unpacked(file, path, warn, took)


def tail(path: str) -> list[str]:
    """The lines in the last TAIL_B bytes of a file, unpacked where it is gzip. Raises Unreadable."""
    with opened(path) as file:
        if file.read(2) != b"\x1f\x8b":
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_B))
            return file.read(TAIL_B).decode("utf-8", "surrogateescape").split("\n")
    last: deque[str] = deque(maxlen=TAIL_LINES)
    for batch in batches(path, _silent):
        last.extend(batch)
    return list(last)


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


def opened(path: str) -> BinaryIO:
    """The file, or standard input for "-", without a buffer. Raises Unreadable."""
    try:
        if path == "-":
            return open(os.dup(sys.stdin.fileno()), "rb", buffering=0)
        if Path(path).is_dir():
            raise Unreadable(f"{path} is a folder; name the log files in it, as {path}/*.log*")
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        raise Unreadable(
            f"{path} does not exist; `log_dest file` in mosquitto.conf says where the broker logs"
        ) from None
    except PermissionError:
        raise Unreadable(
            f"{path} may not be read by this user; try with sudo, or pipe it in: sudo cat {path} | ... -"
        ) from None
    except OSError as error:
        raise Unreadable(f"{path} cannot be opened: {error.strerror}") from None


def _chunk(file: BinaryIO, path: str) -> bytes:
    try:
        return file.read(CHUNK_B) or b""
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from None


def unpacked(
    file: BinaryIO, path: str, warn: Callable[[str], None], took: Callable[[int], object] = lambda _: None
) -> Iterator[bytes]:
    """The bytes of an open file from where it stands, unpacked where they are gzip. Raises Unreadable."""
    chunk = _chunk(file, path)
    if chunk[:2] == b"\x1f\x8b":
        yield from _gunzipped(file, path, chunk, warn, took)
        return
    for magic, name in ((b"\xfd7zXZ", "xz"), (b"BZh", "bzip2"), (b"\x28\xb5\x2f\xfd", "zstd")):
        if chunk.startswith(magic):
            raise Unreadable(f"{path} is packed with {name}; use: {name} -dc {path} | ... -")
    encoding = _utf_16(chunk)
    decoder = codecs.getincrementaldecoder(encoding)("replace") if encoding else None
    while chunk:
        took(len(chunk))
        yield decoder.decode(chunk).encode("utf-8", "replace") if decoder else chunk
        chunk = _chunk(file, path)


def _utf_16(chunk: bytes) -> str | None:
    """The encoding of a log that an editor or PowerShell wrote as UTF-16; None: it is not."""
    for mark, encoding in _UTF_16:
        if chunk.startswith(mark):
            return encoding
    head = chunk[:200]
    if len(head) >= 20 and head.count(0) * 5 >= len(head) * 2:
        if not any(head[0::2]) and all(head[1::2]):
            return "utf-16-be"
        if not any(head[1::2]) and all(head[0::2]):
            return "utf-16-le"
    return None


def _gunzipped(
    file: BinaryIO, path: str, chunk: bytes, warn: Callable[[str], None], took: Callable[[int], object]
) -> Iterator[bytes]:
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


def lines(chunks_of: Iterator[bytes], path: str, warn: Callable[[str], None]) -> Iterator[list[str]]:
    """The lines in chunks of bytes, some at a time, without their ends; an empty list for an empty
    chunk. A last line without an end that may be cut in half is left out, with a warning."""
    for block in blocks(chunks_of, path, warn):
        yield block[:-1].split("\n") if block else []


def blocks(chunks_of: Iterator[bytes], path: str, warn: Callable[[str], None]) -> Iterator[str]:
    """The same, the lines of a chunk together, each with its end; an empty text for an empty chunk."""
    tail, skipping = b"", False
    for chunk in chunks_of:
        data = tail + chunk
        end = data.rfind(b"\n")
        if end < 0:
            if len(data) > LINE_B and not skipping:
                yield data[:LINE_B].decode("utf-8", "surrogateescape") + "\n"
                skipping = True
            tail = b"" if skipping else data
            if not chunk:
                yield ""
            continue
        # A cut in the middle of a character can only be in the tail, behind the last line end.
        begin = data.index(b"\n") + 1 if skipping else 0
        if begin <= end:
            yield data[begin : end + 1].decode("utf-8", "surrogateescape")
        skipping, tail = False, data[end + 1 :]
    if _WHOLE.search(tail):
        yield tail.decode("utf-8", "surrogateescape") + "\n"
    elif tail.strip(b"\0"):
        # "Received PINGREQ from sensor-1" may be the half of "... from sensor-17".
        warn(f"{path}: the last line has no end and is left out")
