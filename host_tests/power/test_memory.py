"""memory.py in a bounded form."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import run_mpy  # noqa: E402


def test_a_memory_error_at_any_allocation_loses_and_repeats_nothing() -> None:
    micropython = run_mpy.interpreter()
    if not micropython:
        pytest.skip("no MicroPython: run `make setup`")
    got = subprocess.run(
        [micropython, "-X", "heapsize=1m", str(HERE / "memory.py"), "--every", "4"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    text = got.stdout.decode(errors="replace")
    total = re.search(r"^(\d+) runs, (\d+) MemoryErrors, (\d+) faults$", text, re.M)
    assert total and got.returncode == 0, text
    assert int(total.group(2)) > 500, text
