"""umqtt.aio against a real Mosquitto, on MicroPython's own asyncio: as source and as a board loads it."""

import os
import subprocess
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
