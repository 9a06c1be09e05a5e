"""`c.sock` of umqtt.simple on real sockets: it is polled, has a mode, is read and written, and the stream stays in
step."""

import os
import subprocess
from pathlib import Path

import pytest
from broker import real

from tools.build import build_library

PROGRAM = Path(__file__).parent / "sock_of_dropin.py"
WANTED = """\
silent []
ready True 1
taken [b'one'] []
not blocking None
timeout True True
ack b'\\x03\\x00c\\x01'
raw b'\\xd0\\x00'
in step [b'one', b'two']
closed
"""


@pytest.mark.parametrize("form", ["source", "shipped"])
def test_a_program_polls_reads_writes_and_closes_it(broker, tmp_path, form):
    if not real.micropython_path():
        pytest.skip("no MicroPython: run `make setup`")
    library = real.ROOT / "firmware" / "lib"
    if form == "shipped":
        build_library(tmp_path)
        library = tmp_path / "mpy"
    got = subprocess.run(
        [real.micropython_path(), str(PROGRAM), str(broker.port)],
        env={**os.environ, "MICROPYPATH": str(library)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=real.WAIT_S,
    )
    assert got.stdout == WANTED
