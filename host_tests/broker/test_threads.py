"""Several threads on one client, against a real Mosquitto: each call works or raises OSError in words, nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest
from broker import real

PROGRAM = Path(__file__).parent / "thread_program.py"
HAS_A_GLOBAL_LOCK = "import sys; print(getattr(sys.implementation, '_thread', ''))"


def command(interpreter):
    """The interpreter, or skips the test."""
    if interpreter == "cpython":
        if sys.version_info < (3, 10):
            pytest.skip("this Python changes threads between any two byte-codes; from 3.10 on at jumps and calls alone")
        return [sys.executable]
    path = real.micropython_path()
    if not path or subprocess.check_output([path, "-c", HAS_A_GLOBAL_LOCK]).strip() != b"GIL":
        pytest.skip("MICROPYTHON= names none whose threads have a global lock (the unix port's own have none)")
    return [path, "-X", "heapsize=2m"]


@pytest.mark.parametrize(("interpreter", "rounds"), [("cpython", 80), ("micropython", 2000)])
def test_calls_of_several_threads_work_or_raise_in_words(broker, make_observer, interpreter, rounds):
    program = [*command(interpreter), str(PROGRAM), str(broker.port), "threads", str(rounds)]
    observer = make_observer(broker.port)
    got = subprocess.run(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=2 * real.WAIT_S)
    assert "\nend %d " % (2 * rounds) in got.stdout, got.stdout[-3000:]
    assert "fault" not in got.stdout, got.stdout[-3000:]
    arrived = {(topic, payload) for topic, payload, _, _ in observer.rest()}
    expected = {("threads/%d" % thread, b"%d" % n) for thread in (1, 2) for n in range(rounds)}
    assert not expected - arrived, sorted(expected - arrived)[:10]
