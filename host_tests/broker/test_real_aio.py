"""umqtt.aio against a real Mosquitto, on MicroPython's own asyncio: as source and as a board loads it."""

import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from broker import real

from tools.build import build_library

PROGRAM = Path(__file__).parent / "aio_program.py"
WANTED = """\
granted b'\\x02\\x00'
taken [True, True, True]
large 0
up True
over False
"""
LATE_MS = 500  # on an idle machine 2; a call that blocks does it for seconds
ATTEMPTS = 3  # a machine that stood still makes one late; a call that blocks, each


@pytest.mark.parametrize(
    ("form", "asyncio"), [("source", "frozen"), ("shipped", "frozen"), ("source", "v1.22.0"), ("source", "v1.28.0")]
)
def test_tasks_publish_and_iterate_at_once_and_a_blinking_task_is_never_late(broker, tmp_path, form, asyncio):
    if not real.micropython_path():
        pytest.skip("no MicroPython: run `make setup`")
    library = real.ROOT / "firmware" / "lib"
    if form == "shipped":
        build_library(tmp_path)
        library = tmp_path / "mpy"
    other = real.ROOT / ".cache" / "asyncio" / asyncio
    if asyncio != "frozen" and not (other / "asyncio" / "core.py").exists():
        pytest.skip("no asyncio of MicroPython %s: run `make setup`" % asyncio)
    late_ms = []
    while not late_ms or late_ms[-1] >= LATE_MS and len(late_ms) < ATTEMPTS:
        got = subprocess.run(
            [real.micropython_path(), str(PROGRAM), str(broker.port)],
            env={**os.environ, "MICROPYPATH": "%s:%s:.frozen" % (other, library)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=real.WAIT_S,
        )
        first, _, rest = got.stdout.partition("\n")
        assert first == "asyncio " + ("asyncio" if asyncio == "frozen" else str(other)), got.stdout
        rest, _, late = rest.rpartition("late ")
        assert rest == WANTED, got.stdout
        late_ms.append(int(late))
    assert min(late_ms) < LATE_MS, late_ms


def test_a_blinking_task_goes_on_through_a_restart_a_half_open_link_and_large_messages(make_broker):
    if not real.micropython_path():
        pytest.skip("no MicroPython: run `make setup`")
    late_ms = []
    while not late_ms or late_ms[-1] >= LATE_MS and len(late_ms) < ATTEMPTS:
        late_ms.append(latest_blink(make_broker(persistence=True)))
    assert min(late_ms) < LATE_MS, late_ms


def latest_blink(broker):
    """By how many ms the LED was late at most while the broker is restarted, falls silent and sends a large message."""
    program = subprocess.Popen(
        [real.micropython_path(), str(PROGRAM.with_name("aio_led.py")), str(broker.port)],
        env={**os.environ, "MICROPYPATH": "%s:.frozen" % (real.ROOT / "firmware" / "lib")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(real.WAIT_S, program.kill)
    watchdog.start()
    try:
        told = [program.stdout.readline().split()]
        broker.stop()
        told.append(program.stdout.readline().split())
        broker.start()
        told.append(program.stdout.readline().split())
        broker.process.send_signal(signal.SIGSTOP)
        told.append(program.stdout.readline().split())
        broker.process.send_signal(signal.SIGCONT)
        rest = program.communicate()[0].split()
    finally:
        watchdog.cancel()
        program.kill()
    told += [rest[:2], rest[2:]]
    assert [row[0] for row in told] == ["up", "down", "up", "down", "up", "large"], (told, rest)
    return max(int(row[1]) for row in told)
