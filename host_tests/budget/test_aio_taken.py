"""A message without properties takes no more heap from a task with MQTT 5 than with 3.1.1."""

import os
import subprocess
from pathlib import Path

import pytest

from tools.measure import size
from tools.measure.bench_peer import Peer


def taken_b(module: str) -> float:
    """Bytes of heap for each message that a task takes."""
    try:
        micropython = size.micropython()
    except FileNotFoundError as e:
        pytest.skip(str(e))
    with Peer() as peer:
        got = subprocess.run(
            [micropython, "-X", "heapsize=1m", str(Path(__file__).with_name("aio_taken.py")), module, str(peer.port)],
            env={**os.environ, "MICROPYPATH": "%s:.frozen" % size.LIBRARY.parent},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
    return float(got.stdout)


def test_a_message_without_properties_takes_no_more_than_with_3_1_1() -> None:
    assert 0 < taken_b("umqtt.aio_v5") <= taken_b("umqtt.aio")
