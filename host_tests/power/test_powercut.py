"""The power cuts of powercut.py in a bounded form, and the proof that they see what a careless store loses or
repeats."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import run_mpy  # noqa: E402

TOTAL = re.compile(r"^(\d+) cut points, (\d+) lost, (\d+) repeated, (\d+) out of order, (\d+) other faults$", re.M)


def powercut(*args: str) -> "tuple[list[int], str]":
    """([cut points, lost, repeated, out of order, other faults], all that it printed)."""
    micropython = run_mpy.interpreter()
    if not micropython:
        pytest.skip("no MicroPython: run `make setup`")
    got = subprocess.run(
        [micropython, "-X", "heapsize=32m", str(HERE / "powercut.py"), *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    text = got.stdout.decode(errors="replace")
    total = TOTAL.search(text)
    assert total, text
    counts = [int(number) for number in total.groups()]
    assert got.returncode == (1 if sum(counts[1:]) else 0), text
    return counts, text


@pytest.mark.parametrize(
    "scene",
    [
        "Send",
        "Large",
        "Batch",
        "Qos1",
        "Direct",
        "Forgetful",
        "Receive",
        "Relay",
        "Latest",
        "Full",
        "FlashFull",
        "RtcReset",
        "RtcFull",
        "RtcCut",
        "DiskFull",
        "Send5",
        "Assigned5",
    ],
)
def test_nothing_is_lost_or_repeated_when_power_fails(scene: str) -> None:
    counts, text = powercut("--every", "20" if scene == "DiskFull" else "4", scene)
    assert counts[0] > 8, text
    assert counts[1:] == [0, 0, 0, 0], text


@pytest.mark.parametrize("scene", ["Update", "UpdateBad", "UpdateHangs"])
def test_an_update_leaves_one_whole_firmware_wherever_power_fails(scene: str) -> None:
    counts, text = powercut("--every", "40", scene)
    assert counts[0] > 30, text
    assert counts[1:] == [0, 0, 0, 0], text


@pytest.mark.parametrize("scene", ["Config", "ConfigBack"])
def test_a_change_of_config_json_leaves_one_whole_configuration_wherever_power_fails(scene: str) -> None:
    counts, text = powercut(scene)
    assert counts[0] > 90, text
    assert counts[1:] == [0, 0, 0, 0], text


@pytest.mark.parametrize("scene", ["LinkOut", "LinkIn", "LinkOut5"])
def test_one_message_arrives_once_though_link_and_power_fail(scene: str) -> None:
    counts, text = powercut("--every", "3", scene)
    assert counts[0] > 20, text
    assert counts[1:] == [0, 0, 0, 0], text


def test_nothing_is_lost_or_repeated_in_random_histories() -> None:
    counts, text = powercut("--histories", "40", "Mixed", "RtcMixed", "Mixed5")
    assert counts[0] > 60, text
    assert counts[1:] == [0, 0, 0, 0], text


@pytest.mark.parametrize(
    ("sabotage", "scene"),
    [
        ("lazy_pubrec", "Send"),
        ("late_put", "Direct"),
        ("no_place", "Send"),
        ("lazy_seen", "Receive"),
        ("no_place", "Mixed"),
        ("early_tidy", "Send"),
        ("early_switch", "Update"),
        ("careless_config", "Config"),
    ],
)
def test_the_cuts_see_a_store_that_writes_too_late(sabotage: str, scene: str) -> None:
    counts, text = powercut("--first", "--sabotage", sabotage, scene)
    assert sum(counts[1:]) > 0, text
