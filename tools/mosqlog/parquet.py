"""The events of a log as Parquet files, for questions that outgrow one pass: DIR/day=2026-11-22/broker=north/*.parquet.

One row for each line, one schema for all events (SCHEMA; docs/mosqlog-data.md describes it). A file is whole or not
there. Writing the same log once more, longer by now perhaps, replaces its files: they are named by its first lines."""

from __future__ import annotations

import hashlib
import os
import re
import time
from pathlib import Path
from typing import Any

from . import events, words
from .cluster import Log

ROWS = 50_000  # in memory, and in a row group
OPEN = 3  # files written to at one time: logs are nearly in order
HEAD = 20  # events by which a log is known again
NO_DAY = "1970-01-01"  # of events before the first time: one folder without a date, and `day` is no date any more
NO_NAME = "mosquitto"  # of the only broker, when it was given no name

# Column -> its type in Arrow's words.
SCHEMA = {
    "t": "timestamp[us, tz=UTC]",
    "line": "int64",
    "kind": "string",
    "sent": "bool",
    "client": "string",
    "address": "string",
    "port": "int32",
    "user": "string",
    "packet": "string",
    "topic": "string",
    "qos": "int8",
    "dup": "bool",
    "retain": "bool",
    "pid": "int32",
    "size_b": "int64",
    "code": "int32",
    "session_present": "bool",
    "protocol": "int8",
    "clean": "bool",
    "keepalive_s": "int32",
    "bridge": "bool",
    "how": "string",
    "name": "string",
    "trouble": "string",
    "detail": "string",
}
# Fields of events that have another name here; what has no column stands in `detail` as `name=value`.
_COLUMN = {"filter": "topic", "who": "client", "text": "detail"}
_COLUMN_OF = {
    (events.Ack, "name"): "packet",
    (events.Control, "name"): "packet",
    (events.UnknownPid, "name"): "packet",
    (events.Trouble, "code"): "trouble",
    (events.Host, "code"): "trouble",
}
_KIND = re.compile(r"(?<!^)(?=[A-Z])")


class NotWritten(Exception):
    """The files cannot be written; its text says why and what to do."""


class Writer:
    """Writes the events that it is fed into a folder. A context manager: left by an exception, it leaves no file that
    was not whole."""

    def __init__(self, folder: str):
        """Raises NotWritten when pyarrow is missing or the folder cannot be made."""
        try:
            import pyarrow as pa
            import pyarrow.parquet  # noqa: F401 - makes pa.parquet
        except ImportError:
            raise NotWritten(
                "--parquet needs pyarrow: .venv/bin/python -m pip install -r requirements-parquet.txt"
            ) from None
        self._arrow = pa
        self._folder = Path(folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NotWritten(f"{folder} cannot be made: {error.strerror}") from None
        self._schema = pa.schema([(name, _arrow_type(pa, kind)) for name, kind in SCHEMA.items()])
        self._rows = 0
        self._heads: dict[str, list[events.Event]] = {}
        self._waiting: dict[tuple[str, str], dict[str, list[Any]]] = {}
        self._open: dict[tuple[str, str], _File] = {}
        self._cleared: set[tuple[str, str]] = set()
        self._days: dict[str, tuple[float, str]] = {}  # of the last line of each broker that had a time

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        try:
            if kind is None:
                self._flush()
        finally:
            for file in self._open.values():
                file.close(whole=kind is None)

    def feed(self, event: events.Event, log: Log, number: int) -> None:
        """Takes the event of line `number` of that log. Raises NotWritten."""
        broker = log.name or NO_NAME
        head = self._heads.setdefault(broker, [])
        if len(head) < HEAD:
            head.append(event)
        place = (self._day_of(event.t, broker), broker)
        columns = self._waiting.get(place)
        if columns is None:
            columns = self._waiting[place] = {name: [] for name in SCHEMA}
        row = _row(event, number)
        for name, values in columns.items():
            values.append(row.get(name))
        self._rows += 1
        if self._rows >= ROWS:
            self._flush()

    def _day_of(self, t: float | None, broker: str) -> str:
        number, day = self._days.get(broker, (-1, NO_DAY))
        if t is None or t // 86400 == number:
            return day
        try:
            day = time.strftime("%Y-%m-%d", time.gmtime(t))
        except (ValueError, OverflowError, OSError):
            day = NO_DAY  # figures that are no time of this world
        self._days[broker] = (t // 86400, day)
        return day

    def _flush(self) -> None:
        try:
            for place, columns in self._waiting.items():
                table = self._arrow.table(columns, schema=self._schema)
                self._file(place).write(table)
        except (OSError, self._arrow.ArrowException) as error:
            raise NotWritten(f"{self._folder}: cannot be written: {error}") from None
        self._waiting.clear()
        self._rows = 0

    def _file(self, place: tuple[str, str]) -> _File:
        file = self._open.pop(place, None)
        if file is None:
            if len(self._open) >= OPEN:
                self._open.pop(next(iter(self._open))).close(whole=True)
            file = self._new(place)
        self._open[place] = file  # the one written last comes last
        return file

    def _new(self, place: tuple[str, str]) -> _File:
        day, broker = place
        folder = self._folder / f"day={day}" / f"broker={broker}"
        folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(repr((broker, self._heads[broker])).encode("utf-8", "surrogateescape")).hexdigest()[:12]
        if place not in self._cleared:
            self._cleared.add(place)
            for old in folder.glob(f"{name}-*.parquet"):
                old.unlink()
        number = next(i for i in range(10**9) if not (folder / f"{name}-{i}.parquet").exists())
        return _File(self._arrow, folder / f"{name}-{number}.parquet", self._schema)


class _File:
    def __init__(self, arrow: Any, path: Path, schema: Any):
        self._path, self._being_written = path, path.with_name(f".{path.name}.{os.getpid()}")
        self._writer = arrow.parquet.ParquetWriter(self._being_written, schema, compression="zstd")

    def write(self, table: Any) -> None:
        self._writer.write_table(table)

    def close(self, whole: bool) -> None:
        """Gives the file its name, or removes it."""
        try:
            self._writer.close()
            if whole:
                os.replace(self._being_written, self._path)
        finally:
            if self._being_written.exists():
                self._being_written.unlink()


def kind_of(event: type) -> str:
    """The `kind` of an event's class: `unknown_pid` of UnknownPid."""
    return _KIND.sub("_", event.__name__).lower()


def _row(event: events.Event, number: int) -> dict[str, object]:
    kind = type(event)
    row: dict[str, object] = {"line": number, "kind": kind_of(kind)}
    more: list[str] = []
    for name, value in zip(event._fields, event):
        column = _COLUMN_OF.get((kind, name)) or _COLUMN.get(name, name)
        if value is None or value == "":
            continue
        if column in SCHEMA and column not in row:
            row[column] = value if not isinstance(value, str) else words.sound(value)
        else:
            more.append(f"{name}={words.sound(str(value))}")
    if more:
        row["detail"] = "; ".join(filter(None, [str(row.get("detail", "")), *more]))
    t = row.get("t")
    if t is not None:
        row["t"] = int(t * 1_000_000)
    return row


def _arrow_type(arrow: Any, kind: str) -> Any:
    if kind.startswith("timestamp"):
        return arrow.timestamp("us", tz="UTC")
    return getattr(arrow, "bool_" if kind == "bool" else kind)()
