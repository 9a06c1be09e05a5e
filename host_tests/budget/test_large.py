"""Payloads of 1 MB in each direction through a client on a heap of 34 KB."""

import hashlib
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

from tools.measure import size
from tools.measure.bench_peer import Peer

SIZE_B = 1000000


def test_1_mb_in_each_direction_on_a_heap_of_34_kb(tmp_path: Path) -> None:
    try:
        size.compile_library(tmp_path)
        command = [size.micropython(), "-X", "heapsize=34k", str(ROOT / "host_tests/budget/large.py")]
    except FileNotFoundError as e:
        pytest.skip(str(e))
    with Peer(digest=True) as peer:
        got = subprocess.run(
            [*command, str(peer.port)],
            env={"MICROPYPATH": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
            check=False,
        )
    text = got.stdout.decode(errors="replace")
    print(text)
    assert got.returncode == 0 and text.startswith("ok %d received" % SIZE_B), text
    want = hashlib.sha256(bytes(i * 7 >> 3 & 255 for i in range(SIZE_B))).hexdigest()
    assert peer.digests[:2] == [want, want]
