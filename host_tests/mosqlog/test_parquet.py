"""The events as Parquet files: one schema for all of them, and the questions of the manual asked with DuckDB."""

import re
import sys
from typing import get_args, get_type_hints

import pytest

from tools.mosqlog import parquet
from tools.mosqlog.analyse import Analyser
from tools.mosqlog.cluster import Log
from tools.mosqlog.events import Event
from tools.mosqlog.parse import Parser, parse

from .program import LOG, ROOT, run

pa = pytest.importorskip("pyarrow", reason="no pyarrow: pip install -r requirements-parquet.txt")
pq = pytest.importorskip("pyarrow.parquet")
duckdb = pytest.importorskip("duckdb", reason="no duckdb: pip install -r requirements-parquet.txt")

PAGE = (ROOT / "docs" / "mosqlog-data.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


def rows(folder, query="SELECT * FROM events ORDER BY line"):
    """Of a query over all files; `events` stands for them."""
    with duckdb.connect() as link:
        link.execute(f"CREATE VIEW events AS FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = true)")
        answer = link.execute(query)
        names = [column[0] for column in answer.description]
        return [dict(zip(names, row)) for row in answer.fetchall()]


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.parquet"))


def test_every_line_is_a_row_with_its_types(tmp_path):
    assert run("--parquet", tmp_path / "events", LOG)[0] == 0
    found = rows(tmp_path / "events")
    assert [row["line"] for row in found] == list(range(1, 200))
    publish = next(row for row in found if row["kind"] == "publish" and row["qos"] == 2)
    assert (
        publish["client"],
        publish["topic"],
        publish["pid"],
        publish["size_b"],
        publish["retain"],
        publish["sent"],
        publish["t"].timestamp(),
    ) == ("steady", "t/steady/2", 12, 5, True, False, 1795466812)
    assert {(row["day"].isoformat(), row["broker"]) for row in found} == {("2026-11-23", "mosquitto")}


def test_the_schema_is_the_one_of_the_manual(tmp_path):
    assert run("--parquet", tmp_path / "events", LOG)[0] == 0
    schema = pq.read_schema(next((tmp_path / "events").rglob("*.parquet")))
    assert {field.name: str(field.type) for field in schema} == parquet.SCHEMA
    described = {}
    for line in PAGE.split("| column | type | is |")[1].split("\n\n")[0].splitlines():
        if line.startswith("| `"):
            names, kinds = line.split(" | ")[:2]
            names, kinds = re.findall(r"`(\w+)`", names), kinds.split(", ") if "[" not in kinds else [kinds]
            described.update(zip(names, kinds * len(names) if len(kinds) == 1 else kinds))
    described = {name: kind for name, kind in described.items() if kind != "from the folders"}
    assert described == parquet.SCHEMA


def filled(event, number):
    """An event with something in every field, of the type that it has."""
    hints = get_type_hints(event)
    values = []
    for name in event._fields:
        types = [kind for kind in (get_args(hints[name]) or (hints[name],)) if kind is not type(None)]
        texts = {bool: True, int: number, float: 1795348560.5, str: f"{name} of {event.__name__}"}
        values.append(texts.get(types[0], {"key": f"{name} of {event.__name__}"}))
    return event(*values)


@pytest.mark.skipif(sys.version_info < (3, 10), reason="the hints of the events are written as in Python 3.10")
def test_every_field_of_every_event_has_a_column_or_stands_in_the_details(tmp_path):
    log = Log(None, ["x"], Parser(), Analyser())
    kinds = get_args(Event)
    with parquet.Writer(str(tmp_path)) as writer:
        for number, kind in enumerate(kinds, 1):
            writer.feed(filled(kind, number), log, number)
    for number, (kind, row) in enumerate(zip(kinds, rows(tmp_path)), 1):
        assert row["kind"] == parquet.kind_of(kind) and row["t"].timestamp() == 1795348560.5
        told = "; ".join(str(value) for value in row.values())
        for name, value in zip(kind._fields[1:], filled(kind, number)[1:]):
            assert str(value) in told, (kind.__name__, name)


def test_days_and_brokers_are_folders_and_lines_without_a_time_have_theirs(tmp_path):
    log = tmp_path / "log"
    log.write_text(
        "Received PINGREQ from a\n1795392000: Received PINGREQ from a\n1795478400: Received PINGREQ from b\n"
    )
    assert run("--parquet", tmp_path / "events", f"north={log}", f"south={LOG}")[0] == 0
    folders = {name.rpartition("/")[0] for name in files(tmp_path / "events")}
    assert folders == {
        "day=1970-01-01/broker=north",
        "day=2026-11-23/broker=north",
        "day=2026-11-24/broker=north",
        "day=2026-11-23/broker=south",
    }
    assert [
        (row["day"].isoformat(), row["client"])
        for row in rows(tmp_path / "events", "FROM events WHERE broker = 'north' ORDER BY line")
    ] == [("1970-01-01", "a"), ("2026-11-23", "a"), ("2026-11-24", "b")]


def test_the_same_log_written_again_replaces_its_files_and_another_adds_to_them(tmp_path):
    log, events = tmp_path / "log", tmp_path / "events"
    story = [f"{1795392000 + i * 3600}: Received PINGREQ from a{i}\n" for i in range(40)]
    log.write_text("".join(story[:30]))
    assert run("--parquet", events, log)[0] == 0
    first = files(events)
    log.write_text("".join(story))
    assert run("--parquet", events, log)[0] == 0
    assert files(events) == first and len(rows(events)) == 40
    assert run("--parquet", events, LOG)[0] == 0
    assert len(files(events)) == len(first) + 1 and len(rows(events)) == 40 + 199


def test_lines_out_of_order_and_more_than_fit_into_memory_are_all_written_once(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROWS", 10)
    log = Log(None, ["x"], Parser(), Analyser())
    with parquet.Writer(str(tmp_path)) as writer:
        for i in range(200):
            writer.feed(parse(f"{1795392000 + i % 7 * 86400}: Received PINGREQ from a"), log, i)
    assert sorted(row["line"] for row in rows(tmp_path)) == list(range(200))
    assert not list(tmp_path.rglob(".*"))


def test_bytes_that_are_not_utf_8_stand_as_their_figures(tmp_path):
    assert run("--parquet", tmp_path / "events", "-", stdin=b"1795348562: Received PINGREQ from a\xff\n")[0] == 0
    assert rows(tmp_path / "events")[0]["client"] == "a\\xff"


def test_nothing_half_written_is_left_when_the_log_cannot_be_read(tmp_path):
    (tmp_path / "log").write_text("1795392000: Received PINGREQ from a\n")
    (tmp_path / "packed").write_bytes(b"BZh91795")
    status, _, err = run("--parquet", tmp_path / "events", f"a={tmp_path / 'log'}", f"b={tmp_path / 'packed'}")
    assert status == 2 and "bzip2" in err
    assert [path for path in (tmp_path / "events").rglob("*") if path.is_file()] == []


def test_a_file_that_is_not_whole_is_not_left_there(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROWS", 2)
    log = Log(None, ["x"], Parser(), Analyser())
    with pytest.raises(KeyboardInterrupt), parquet.Writer(str(tmp_path)) as writer:
        for number in range(5):
            writer.feed(parse("1795392000: Received PINGREQ from a"), log, number)
        assert [path for path in tmp_path.rglob("*") if path.is_file()]  # it is being written
        raise KeyboardInterrupt
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "events").write_text("")
    status, _, err = run("--parquet", tmp_path / "events", LOG)
    assert status == 2 and "cannot be made" in err and "Traceback" not in err


def test_the_questions_of_the_manual_are_answered(tmp_path, monkeypatch):
    assert run("--parquet", tmp_path / "events", LOG)[0] == 0
    monkeypatch.chdir(tmp_path)
    flapping, publishing, before = (rows("events", question) for question in QUESTIONS)
    assert {name: flapping[0][name] for name in ("client", "connects", "addresses")} == {
        "client": "twin",
        "connects": 4,
        "addresses": 2,
    }
    assert next(row["silent"] for row in flapping if row["client"] == "silent") == 1
    assert (publishing[0]["client"], publishing[0]["messages"]) == ("twice", 2) or publishing[0]["size_b"] > 0
    assert {"silent", "killed", "twin"} <= {row["client"] for row in before}
    assert any(row["client"] == "killed" and row["kind"] == "connack" for row in before)
