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


# of a CONNACK: receive maximum 1, topic alias maximum 3, maximum packet size 5000
LIMITS = b"\x21\0\1\x22\0\3\x27\0\0\x13\x88"


def steady(library: Path, case: str, *module: str, says: bytes = b"") -> subprocess.CompletedProcess:
    with Peer(says=says) as peer:
        return subprocess.run(
            [
                size.micropython(),
                "-X",
                "heapsize=96k",
                str(ROOT / "host_tests/budget/steady_state.py"),
                str(peer.port),
                case,
                *(module or ("client",)),
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


@pytest.mark.parametrize("case", [case for case in CASES if case != "prepared"])
def test_messages_without_properties_allocate_nothing_with_mqtt_5_either(library: Path, case: str) -> None:
    got = steady(library, case, "v5")
    assert got.returncode == 0 and got.stdout.startswith(b"ok"), got.stdout.decode()


@pytest.mark.parametrize("case", ["publish0", "publish1", "publish2", "large_publish2"])
def test_nor_with_a_broker_that_has_limits_and_with_topic_aliases(library: Path, case: str) -> None:
    got = steady(library, case, "v5", "aliases", says=LIMITS)
    assert got.returncode == 0 and got.stdout.startswith(b"ok"), got.stdout.decode()


def test_an_allocation_under_the_locked_heap_is_seen(library: Path) -> None:
    got = steady(library, "allocates")
    assert b"MemoryError" in got.stdout, got.stdout.decode()
