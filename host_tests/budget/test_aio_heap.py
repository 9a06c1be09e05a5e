"""What umqtt.aio and umqtt.aio_v5 take of the heap on a real MicroPython: for each message, and by the modules that
stay loaded."""

import os
import subprocess
from pathlib import Path

import pytest

from tools.measure import size
from tools.measure.bench_peer import Peer


def said(program: str, *arguments: str) -> str:
    """What a program of this folder prints, given these arguments and the port of a broker."""
    try:
        micropython = size.micropython()
    except FileNotFoundError as e:
        pytest.skip(str(e))
    with Peer() as peer:
        got = subprocess.run(
            [micropython, "-X", "heapsize=1m", str(Path(__file__).with_name(program)), *arguments, str(peer.port)],
            env={**os.environ, "MICROPYPATH": "%s:.frozen" % size.LIBRARY.parent},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
    return got.stdout.strip()


def test_a_message_without_properties_takes_no_more_than_with_3_1_1() -> None:
    assert 0 < float(said("aio_taken.py", "umqtt.aio_v5")) <= float(said("aio_taken.py", "umqtt.aio"))


def test_what_a_call_needed_for_the_moment_is_forgotten_and_what_nothing_needed_is_not_loaded() -> None:
    loaded = said("aio_loaded.py")
    lines = "connecting engine errors keepalive link polling session transport turns v5 waiting wire"
    assert loaded == "aio aio_v5 client " + lines, loaded
