"""A log that is being written: nothing of it is lost when it is renamed, copied and truncated, or not there yet."""

import gzip
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tools.mosqlog import follow


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="mosqlog-") as name:
        yield Path(name)


def followed(path, *steps):
    """-> (the lines while each of `steps` is done when all before it has been read, the warnings)"""
    steps, lines, warnings = list(steps), [], []
    for batch in follow.batches(str(path), warnings.append):
        lines += batch
        if not batch:
            if not steps:
                return [line for line in lines if line], warnings
            steps.pop(0)()
    raise AssertionError("a file never ends")


def append(path, data):
    with open(path, "ab") as file:
        file.write(data)


def truncate_like_logrotate(log, copy, pack=False):
    """copytruncate: a copy beside the log, then the log is emptied in place."""
    shutil.copy2(log, copy)
    os.truncate(log, 0)
    if pack:
        copy.with_name(copy.name + ".gz").write_bytes(gzip.compress(copy.read_bytes()))
        copy.unlink()


def test_a_growing_file_is_followed_and_half_a_line_is_awaited(folder):
    log = folder / "log"
    log.write_bytes(b"one\ntw")
    assert followed(log, lambda: append(log, b"o\nth"), lambda: append(log, b"ree\n")) == (["one", "two", "three"], [])


def test_a_file_that_is_not_there_yet_is_awaited_and_that_is_told_once(folder):
    log = folder / "log"
    lines, warnings = followed(log, lambda: None, lambda: log.write_bytes(b"one\n"))
    assert lines == ["one"]
    assert len(warnings) == 1 and "waiting for it" in warnings[0]


def test_a_renamed_file_is_read_to_its_end_and_the_new_one_from_its_beginning(folder):
    log = folder / "log"
    log.write_bytes(b"one\n")

    def rotate():
        log.rename(folder / "log.1")
        append(folder / "log.1", b"last of the old\n")

    assert followed(log, rotate, lambda: log.write_bytes(b"first of the new\n"), lambda: append(log, b"second\n")) == (
        ["one", "last of the old", "first of the new", "second"],
        [],
    )


def test_an_empty_new_file_is_not_taken_before_the_broker_writes_to_it(folder):
    """logrotate's `create`: the broker goes on with the old file until it is told."""
    log = folder / "log"
    log.write_bytes(b"one\n")

    def rotate():
        log.rename(folder / "log.1")
        log.write_bytes(b"")

    assert followed(log, rotate, lambda: append(folder / "log.1", b"two\n"), lambda: append(log, b"three\n")) == (
        ["one", "two", "three"],
        [],
    )


def test_half_a_line_at_the_end_of_a_renamed_file_is_not_joined_to_the_next_file(folder):
    log = folder / "log"
    log.write_bytes(b"one\nhalf a li")

    def rotate():
        log.rename(folder / "log.1")
        log.write_bytes(b"two\n")

    assert followed(log, rotate)[0] == ["one", "half a li", "two"]


@pytest.mark.parametrize("packed", [False, True])
def test_files_rotated_twice_between_two_looks_are_all_read(folder, packed):
    log = folder / "log"
    log.write_bytes(b"one\n")

    def rotate_twice():
        log.rename(folder / "log.2")
        append(folder / "log.2", b"two\n")
        if packed:
            (folder / "log.1.gz").write_bytes(gzip.compress(b"three\n"))
        else:
            (folder / "log.1").write_bytes(b"three\n")
        log.write_bytes(b"four\n")

    assert followed(log, rotate_twice)[0] == ["one", "two", "three", "four"]


@pytest.mark.parametrize("packed", [False, True])
def test_lines_written_just_before_a_copy_and_truncation_are_read_from_the_copy(folder, packed):
    log = folder / "log"
    log.write_bytes(b"one\ntwo\n")

    def rotate():
        append(log, b"three\nfour\n")
        truncate_like_logrotate(log, folder / "log.1", packed)
        append(log, b"five\n")

    assert followed(log, rotate, lambda: append(log, b"six\n")) == (["one", "two", "three", "four", "five", "six"], [])


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_copied_and_truncated_twice_between_two_looks_is_read_from_both_copies(folder, packed):
    log = folder / "log"
    log.write_bytes(b"one\n")

    def rotate_twice():
        append(log, b"two\n")
        truncate_like_logrotate(log, folder / "log.2", packed)
        append(log, b"three\n")
        truncate_like_logrotate(log, folder / "log.1", packed)
        append(log, b"four\n")

    assert followed(log, rotate_twice, lambda: append(log, b"five\n")) == (["one", "two", "three", "four", "five"], [])


@pytest.mark.parametrize(
    "names",
    [
        ["log-20261126", "log-20261127"],
        ["log.2026-11-26.gz", "log.2026-11-27.gz"],
        ["log-20261127-1795000000", "log-20261127-1795003600"],
        ["log.10", "log.9"],
    ],
)
def test_rotated_files_are_known_by_number_and_by_date(folder, names):
    log = folder / "log"
    log.write_bytes(b"one\n")
    (folder / "log.swp").write_bytes(b"an editor's\n")
    (folder / "log.1.txt").write_bytes(b"somebody's\n")

    def rotate_twice():
        log.rename(folder / names[0])
        data = b"two\n"
        (folder / names[1]).write_bytes(gzip.compress(data) if names[1].endswith("gz") else data)
        log.write_bytes(b"three\n")

    assert followed(log, rotate_twice) == (["one", "two", "three"], [])


def test_a_truncated_file_that_has_outgrown_its_old_length_is_read_from_its_beginning(folder):
    log = folder / "log"
    log.write_bytes(b"one\n")

    def rotate():
        append(log, b"two\n")
        truncate_like_logrotate(log, folder / "log.1")
        append(log, b"three is longer than all before\n")

    assert followed(log, rotate) == (["one", "two", "three is longer than all before"], [])


def test_the_copy_is_known_among_older_ones_by_its_bytes(folder):
    log = folder / "log"
    log.write_bytes(b"one\n")
    (folder / "log.2").write_bytes(b"old\nolder\n")
    (folder / "log.old").write_bytes(b"one, nearly\n")

    def rotate():
        append(log, b"two\n")
        truncate_like_logrotate(log, folder / "log.1")
        os.utime(folder / "log.1", (1, 1))

    assert followed(log, rotate, lambda: append(log, b"three\n"))[0] == ["one", "two", "three"]


def test_a_copy_that_is_just_being_packed_is_read_from_the_plain_one(folder):
    log = folder / "log"
    log.write_bytes(b"one\n" * 50_000)

    def rotate():
        append(log, b"two\n" * 50_000)
        truncate_like_logrotate(log, folder / "log.1")
        packed = gzip.compress((folder / "log.1").read_bytes())
        (folder / "log.1.gz").write_bytes(packed[: len(packed) * 9 // 10])

    lines, warnings = followed(log, rotate, lambda: append(log, b"three\n"))
    assert (lines.count("one"), lines.count("two"), lines.count("three"), warnings) == (50_000, 50_000, 1, [])


def test_a_truncation_without_a_copy_is_told_and_the_file_read_again(folder):
    log = folder / "log"
    log.write_bytes(b"a long first line\n")
    lines, warnings = followed(log, lambda: os.truncate(log, 0), lambda: append(log, b"new\n"))
    assert lines == ["a long first line", "new"]
    assert "no copy of it" in warnings[0]


def test_a_packed_file_is_read_and_what_comes_after_it_under_its_name(folder):
    log = folder / "log"
    log.write_bytes(gzip.compress(b"one\n"))

    def replace():
        log.unlink()
        log.write_bytes(b"two\n")

    assert followed(log, replace)[0] == ["one", "two"]
