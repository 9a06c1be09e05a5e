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


@pytest.mark.parametrize("form", ["source", "shipped"])
def test_tasks_publish_and_iterate_at_once_and_a_blinking_task_is_never_late(broker, tmp_path, form):
    if not real.micropython_path():
        pytest.skip("no MicroPython: run `make setup`")
    library = real.ROOT / "firmware" / "lib"
    if form == "shipped":
        build_library(tmp_path)
        library = tmp_path / "mpy"
    got = subprocess.run(
        [real.micropython_path(), str(PROGRAM), str(broker.port)],
        env={**os.environ, "MICROPYPATH": "%s:.frozen" % library},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert got.stdout == WANTED


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
