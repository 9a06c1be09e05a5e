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
over False True
"""


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
    got = subprocess.run(
        [real.micropython_path(), str(PROGRAM), str(broker.port)],
        env={**os.environ, "MICROPYPATH": "%s:%s:.frozen" % (other, library)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    first, _, rest = got.stdout.partition("\n")
    assert first == "asyncio " + ("asyncio" if asyncio == "frozen" else str(other)), got.stdout
    assert rest == WANTED


def test_a_blinking_task_goes_on_through_a_restart_a_half_open_link_and_large_messages(make_broker):
    # On an idle machine the LED is late by 2 ms at most; here only that nothing blocks, which would be a second.
    if not real.micropython_path():
        pytest.skip("no MicroPython: run `make setup`")
    broker = make_broker(persistence=True)
    program = subprocess.Popen(
        [real.micropython_path(), str(PROGRAM.with_name("aio_led.py")), str(broker.port)],
        env={**os.environ, "MICROPYPATH": "%s:.frozen" % (real.ROOT / "firmware" / "lib")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(60, program.kill)
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
    print(told)
    assert max(int(row[1]) for row in told) < 500, told
