"""The condensed events of a log's files, taken apart by one process or by several.

With several, blocks of lines go to processes that parse and condense them; what they make of each block comes back in
the order of the log, and one process does the rest. The result is the same. A log whose lines have hours but no date
is read by one process: its days are counted from line to line.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Callable, Union

from . import parse, read
from .condense import Condenser, Tick, Traffic
from .events import Event

BLOCK_B = 4_000_000  # of text that go to a process at a time
_CUT_WITHIN = 200_000  # of its end, for a line that depends on none before it
Found = Union[Event, Traffic, Tick]


def events(
    files: list[str],
    parser: parse.Parser,
    warn: Callable[[str], None],
    took: Callable[[int], object] = lambda size_b: None,
    jobs: int = 1,
) -> Iterator[Found]:
    """The events of the files, one after the other; jobs: how many processes parse them. The first lines teach the
    parser what stands before their messages. Raises read.Unreadable."""
    blocks = _blocks(files, parser, warn, took)
    if jobs > 1:
        first = next(blocks, None)
        if first is None:
            return
        if parser.dated:
            yield from _by_several(_joined(first, blocks), parser, jobs)
            return
        blocks = _joined(first, blocks)
    condenser = Condenser(parser)
    for block, written in blocks:
        parser.written(written)
        yield from condenser.events(block)
    yield from condenser.rest()


def _joined(first: tuple[str, float], blocks: Iterable[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    yield first
    yield from blocks


def _blocks(
    files: list[str], parser: parse.Parser, warn: Callable[[str], None], took: Callable[[int], object]
) -> Iterator[tuple[str, float]]:
    """Lines, and when their file was written."""
    learned = False
    for path in files:
        written = read.written(path)
        parser.written(written)
        for block in read.blocks(read.chunks(path, warn, took), path, warn):
            if not learned:
                parser.learn(block.split("\n", parse.LEARN_LINES))
                learned = True
            yield block, written


# -- several processes

_of_this_process: list[tuple[parse.Parser, Condenser]] = []


def _begin(time_format: str | None, lines: list[str]) -> None:
    parser = parse.Parser(time_format)
    parser.learn(lines)
    _of_this_process[:] = [(parser, Condenser(parser, from_the_start=False))]


def _condensed(block: str, written: float) -> list[Found]:
    parser, condenser = _of_this_process[0]
    parser.written(written)
    condenser.begin_anew()
    return [*condenser.events(block), *condenser.rest()]


def _by_several(blocks: Iterator[tuple[str, float]], parser: parse.Parser, jobs: int) -> Iterator[Found]:
    large = _large(blocks)
    first = next(large)
    lines = first[0].split("\n", parse.LEARN_LINES)[: parse.LEARN_LINES]
    with multiprocessing.get_context().Pool(jobs, _begin, (parser.time_format, lines)) as pool:
        waiting = deque([pool.apply_async(_condensed, first)])
        for block in large:
            waiting.append(pool.apply_async(_condensed, block))
            if len(waiting) > jobs + 1:
                yield from waiting.popleft().get()
        while waiting:
            yield from waiting.popleft().get()


def _large(blocks: Iterator[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    """Blocks of about BLOCK_B, cut before a PUBLISH: it depends on no line before it."""
    parts: list[str] = []
    size, of = 0, None
    for block, written in blocks:
        if of is not None and (written != of or size > BLOCK_B):
            text = "".join(parts)
            cut = _cut(text) if written == of else len(text)
            yield text[:cut], of
            parts, size = [text[cut:]], len(text) - cut
        of = written
        parts.append(block)
        size += len(block)
    if parts and of is not None:
        yield "".join(parts), of


def _cut(text: str) -> int:
    at = text.rfind(" PUBLISH ", max(0, len(text) - _CUT_WITHIN))
    return text.rfind("\n", 0, at) + 1 if at > 0 else len(text)
