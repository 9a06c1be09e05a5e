"""umqtt.simple delivers what fits the heap once, tells what does not, and gives the room back."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

from tools.measure import size
from tools.measure.bench_peer import Peer

HEAP_KB = 64
ONCE_B = 25000  # with the client and what it leaves of a heap of 64 KB: once it fits, twice not


def test_a_message_that_fits_once_is_delivered_and_a_larger_one_told(tmp_path: Path) -> None:
    try:
        size.compile_library(tmp_path)
        program = str(ROOT / "host_tests/budget/dropin_sizes.py")
        command = [size.micropython(), "-X", "heapsize=%dk" % HEAP_KB, program]
    except FileNotFoundError as e:
        pytest.skip(str(e))
    sizes = [50, 2000, ONCE_B, 60, 100000, 70, ONCE_B]
    with Peer() as peer:
        got = subprocess.run(
            [*command, str(peer.port), *map(str, sizes)],
            env={"MICROPYPATH": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
    text = got.stdout.decode(errors="replace")
    print(text)
    m = ord("m")
    told = [line for line in text.splitlines() if not line.startswith("used")]
    assert told[0:2] == ["50 bytes 50 %d %d" % (m, m), "2000 bytes 2000 %d %d" % (m, m)], text
    assert told[2] == told[6] == "%d bytearray %d %d %d" % (ONCE_B, ONCE_B, m, m), text
    assert told[3] == "60 bytes 60 %d %d" % (m, m) and told[5] == "70 bytes 70 %d %d" % (m, m), text
    assert re.match(r"100000 told 1000\d\d message of 1000\d\d B dropped", told[4]), text
    used = [int(line.split()[1]) for line in text.splitlines() if line.startswith("used")]
    assert used[-1] - used[0] < 500, text
