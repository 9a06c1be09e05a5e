"""`make kills` in a bounded form: firmware killed, link cut, broker restarted; each reading arrives once."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COUNTS = re.compile(r"readings taken (\d+), arrived (\d+), lost (\d+), repeated (\d+), out of order (\d+)")


def kills(*args: str) -> "tuple[int, list[int], str]":
    """(exit status, [taken, arrived, lost, repeated, out of order], all that it printed)."""
    got = subprocess.run(
        [sys.executable, "-m", "tools.prove.kills", *args],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    text = got.stdout.decode(errors="replace")
    if got.returncode == 2:
        pytest.skip(text)
    found = COUNTS.search(text)
    return got.returncode, [int(number) for number in found.groups()] if found else [], text


def test_each_reading_arrives_once_though_everything_is_killed() -> None:
    status, counts, text = kills("8", "--seed", "1")
    assert status == 0, text
    assert counts[0] > 20 and counts[0] == counts[1] and counts[2:] == [0, 0, 0], text


def test_each_reading_of_the_whole_firmware_arrives_once() -> None:
    status, counts, text = kills("4", "--seed", "2", "--app")
    assert status == 0, text
    assert counts[0] > 10 and counts[0] == counts[1] and counts[2:] == [0, 0, 0], text


def test_a_firmware_that_forgets_its_journal_is_seen() -> None:
    status, counts, text = kills("8", "--seed", "1", "--forget")
    assert status == 1, text
    assert counts[2] + counts[3] > 0, text


def test_a_killed_broker_is_blamed_only_for_what_it_acknowledged() -> None:
    status, counts, text = kills("6", "--seed", "3", "--broker-kill")
    assert status == 0, text
    assert "missing and not among them 0" in text
