"""Zero means zero: steady traffic allocates nothing, shown by a locked heap on the real 32-bit MicroPython."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

from tools.measure import size
from tools.measure.bench_peer import Peer


@pytest.fixture(scope="module", params=size.FORMS)
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        size.micropython()
        folder = tmp_path_factory.mktemp(request.param)
        size.compile_library(folder, request.param)
    except FileNotFoundError as e:
        pytest.skip(str(e))
    return folder


def steady(library: Path, case: str) -> subprocess.CompletedProcess:
    with Peer() as peer:
        return subprocess.run(
            [
                size.micropython(),
                "-X",
                "heapsize=64k",
                str(ROOT / "host_tests/budget/steady_state.py"),
                str(peer.port),
                case,
            ],
            env={"MICROPYPATH": str(library)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )


CASES = [
    "publish0",
    "prepared",
    "publish1",
    "publish2",
    "large_publish2",
    "receive0",
    "receive1",
    "receive2",
    "large_receive2",
    "ping",
    "idle",
]


@pytest.mark.parametrize("case", CASES)
def test_steady_traffic_allocates_nothing(library: Path, case: str) -> None:
    got = steady(library, case)
    assert got.returncode == 0 and got.stdout.startswith(b"ok"), got.stdout.decode()


def test_an_allocation_under_the_locked_heap_is_seen(library: Path) -> None:
    got = steady(library, "allocates")
    assert b"MemoryError" in got.stdout, got.stdout.decode()
