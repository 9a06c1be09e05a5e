"""Tables that fit any width: beside each other where there is room, else one row under the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

NARROWEST = 14  # columns that are left to the first cell of a row before its table is broken up
GAP = 2


@dataclass(frozen=True)
class Column:
    """`right`: figures. `wide` columns are left out where there is no room for them."""

    title: str
    right: bool = False
    wide: bool = False


def show(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Text | str]]) -> None:
    """The rows as a table; the first cell folds when it has to, and a column in which nothing stands is left out.
    Where even that is too wide, the columns that are `wide` are left out, and after that each row is written as lines
    of its own."""
    texts = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    kept = [i for i in range(len(columns)) if i == 0 or any(row[i].plain for row in texts)]
    if not _fits(console, columns, texts, kept):
        kept = [i for i in kept if not columns[i].wide]
    if _fits(console, columns, texts, kept):
        _as_table(console, columns, texts, kept)
    else:
        console.print(Text(columns[0].title, "bold"))
        for row in texts:
            _as_lines(console, columns, row)


def say(console: Console, text: str, indent: int = 0, style: str = "") -> None:
    """A paragraph; each of its lines is indented."""
    for line in Text(text, style).wrap(console, max(console.width - indent, 8), overflow="fold"):
        line.rstrip()
        console.print(Text(" " * indent) + line)


def _widths(columns: Sequence[Column], texts: list[list[Text]], kept: list[int]) -> list[int]:
    return [max([len(columns[i].title), *(line.cell_len for row in texts for line in row[i].split())]) for i in kept]


def _fits(console: Console, columns: Sequence[Column], texts: list[list[Text]], kept: list[int]) -> bool:
    first, *others = _widths(columns, texts, kept)
    return min(first, NARROWEST) + sum(others) + GAP * len(others) <= console.width


def _as_table(console: Console, columns: Sequence[Column], texts: list[list[Text]], kept: list[int]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for i in kept:
        table.add_column(
            columns[i].title, justify="right" if columns[i].right else "left", overflow="fold", no_wrap=i != 0
        )
    for row in texts:
        table.add_row(*(row[i] for i in kept))
    console.print(table)


def _as_lines(console: Console, columns: Sequence[Column], row: list[Text]) -> None:
    console.print(row[0])
    told = Text(", ").join(
        Text.assemble((f"{column.title} ", "dim"), *_joined(cell))
        for column, cell in zip(columns[1:], row[1:])
        if cell.plain
    )
    for line in told.wrap(console, max(console.width - GAP, 8), overflow="fold"):
        line.rstrip()
        console.print(Text(" " * GAP) + line)


def _joined(cell: Text) -> list[Text]:
    """The lines of a cell in one."""
    joined: list[Text] = []
    for line in cell.split():
        joined += [Text(", "), line] if joined else [line]
    return joined
