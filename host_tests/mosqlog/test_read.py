"""Where the lines come from: plain and gzip files, rotated ones in order, damage."""

import gzip
import os
import tempfile
from pathlib import Path

import pytest

from tools.mosqlog import read
from tools.mosqlog.parse import parse


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="mosqlog-") as name:
        yield Path(name)


def lines(path, warnings=None):
    warnings = [] if warnings is None else warnings
    return [line for batch in read.batches(str(path), warnings.append) for line in batch]


def test_a_file_gives_its_lines(folder):
    (folder / "log").write_bytes(b"one\r\ntwo \xff\n\nfour\n")
    assert lines(folder / "log") == ["one\r", "two \udcff", "", "four"]


def test_an_empty_file_gives_nothing(folder):
    (folder / "log").write_bytes(b"")
    assert lines(folder / "log") == []


def test_a_last_line_without_an_end_is_left_out_with_a_warning(folder):
    (folder / "log").write_bytes(b"one\nReceived PINGREQ from sensor-1")
    warnings = []
    assert lines(folder / "log", warnings) == ["one"]
    assert "the last line has no end" in warnings[0]


def test_lines_across_chunks_stay_whole(folder, monkeypatch):
    monkeypatch.setattr(read, "CHUNK_B", 7)
    wanted = [f"line {i} é" for i in range(100)]
    (folder / "log").write_text("\n".join(wanted) + "\n")
    assert lines(folder / "log") == wanted
    with gzip.open(folder / "log.gz", "wt") as file:
        file.write("\n".join(wanted) + "\n")
    assert lines(folder / "log.gz") == wanted


def test_a_line_without_end_is_cut_and_the_next_is_whole(folder, monkeypatch):
    monkeypatch.setattr(read, "CHUNK_B", 100)
    monkeypatch.setattr(read, "LINE_B", 1000)
    (folder / "log").write_bytes(b"x" * 50_000 + b"\nnext\n")
    got = lines(folder / "log")
    assert [len(got[0]), got[1:]] == [1000, ["next"]]


def test_gzip_is_told_by_its_content_and_may_have_several_members(folder):
    (folder / "log").write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n"))
    assert lines(folder / "log") == ["one", "two"]


def test_a_gzip_file_cut_short_gives_what_is_there(folder):
    text = "".join(f"line {i}\n" for i in range(50_000))
    whole = gzip.compress(text.encode())
    (folder / "log.gz").write_bytes(whole[: len(whole) // 2])
    warnings = []
    got = lines(folder / "log.gz", warnings)
    assert 10_000 < len(got) < 40_000 and got == text.split("\n")[: len(got)]
    assert "cut short" in warnings[0]


def test_a_damaged_gzip_file_gives_what_is_before_the_damage(folder):
    whole = bytearray(gzip.compress(os.urandom(3000).hex().encode() + b"\n" + b"line\n" * 9))
    whole[1000:1100] = b"\xff" * 100
    (folder / "log.gz").write_bytes(b"".join([gzip.compress(b"good\n"), whole]))
    warnings = []
    assert lines(folder / "log.gz", warnings)[0] == "good"
    assert any("damaged" in warning for warning in warnings)


@pytest.mark.parametrize("magic, name", [(b"\xfd7zXZ\0", "xz"), (b"BZh9", "bzip2"), (b"\x28\xb5\x2f\xfd", "zstd")])
def test_another_packing_is_refused_with_the_command_to_use(folder, magic, name):
    (folder / "log").write_bytes(magic + b"....")
    with pytest.raises(read.Unreadable, match=f"{name} -dc"):
        lines(folder / "log")


def test_what_cannot_be_opened_is_refused_in_words(folder):
    with pytest.raises(read.Unreadable, match="does not exist"):
        lines(folder / "none")
    with pytest.raises(read.Unreadable, match="is a folder"):
        lines(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_refused_in_words(folder):
    (folder / "log").write_text("x\n")
    (folder / "log").chmod(0)
    with pytest.raises(read.Unreadable, match="sudo cat"):
        lines(folder / "log")


def test_rotated_files_come_in_the_order_of_their_times(folder):
    for name, t in (("m.log", 3), ("m.log.1", 2), ("m.log.10.gz", 0), ("m.log.2.gz", 1)):
        data = b"cut in half\n%d: mosquitto version 2.0.11 starting\n" % (1795348560 + t)
        (folder / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    paths = [str(folder / n) for n in ("m.log", "m.log.1", "m.log.10.gz", "m.log.2.gz")]
    assert [Path(path).name for path in read.in_order(paths)] == ["m.log.10.gz", "m.log.2.gz", "m.log.1", "m.log"]


def test_rotated_files_without_times_come_in_the_order_of_their_numbers(folder):
    for name in ("m.log", "m.log.1", "m.log.10", "m.log.2"):
        (folder / name).write_text("Received PINGREQ from a\n")
    paths = [str(folder / n) for n in ("m.log", "m.log.1", "m.log.10", "m.log.2")]
    assert [Path(path).name for path in read.in_order(paths)] == ["m.log.10", "m.log.2", "m.log.1", "m.log"]


def test_a_hole_of_nuls_after_a_truncation_is_skipped():
    from tools.mosqlog.events import Control
    from tools.mosqlog.parse import parse

    assert parse(b"\0" * 500 + b"1795348562: Received PINGREQ from a") == Control(1795348562, False, "PINGREQ", "a")


def test_a_last_line_without_an_end_that_ends_as_messages_do_is_taken(folder):
    warnings = []
    for whole in ("1: Client a closed its connection.", "1: Sending CONNACK to a (0, 0)"):
        (folder / "log").write_text("one\n" + whole)
        assert lines(folder / "log", warnings) == ["one", whole]
    assert warnings == []


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_what_an_editor_or_powershell_wrote_is_read(folder, encoding):
    text = (
        "1795348562: New connection from 10.0.0.9 on port 1883.\r\n1795348563: Client \u00e9 closed its connection.\r\n"
    )
    (folder / "log").write_bytes(text.encode(encoding))
    events = [parse(line) for line in lines(folder / "log")]
    assert [type(event).__name__ for event in events] == ["Accept", "Ended"] and events[1].client == "\u00e9"


def test_a_packed_file_beside_its_unpacked_one_is_not_read_twice(folder):
    text = b"1795348562: Client a closed its connection.\n"
    (folder / "x.log.2").write_bytes(text)
    (folder / "x.log.2.gz").write_bytes(gzip.compress(text))
    (folder / "x.log.3.gz").write_bytes(gzip.compress(b"1795348000: Client a closed its connection.\n"))
    paths = [str(folder / name) for name in ("x.log.2", "x.log.2.gz", "x.log.3.gz")]
    assert read.in_order(paths) == [paths[2], paths[0]]
    (folder / "x.log.2").write_bytes(b"1795349999: Client b closed its connection.\n")
    assert len(read.in_order(paths)) == 3
