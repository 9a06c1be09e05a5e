"""A turn of umqtt.aio's task in which nothing happens takes of the heap what asyncio takes to wait, no more."""

import os
import subprocess
from pathlib import Path

import pytest

from tools.measure import size
from tools.measure.bench_peer import Peer


def test_an_idle_turn_allocates_what_asyncio_does_and_nothing_else() -> None:
    try:
        micropython = size.micropython()
    except FileNotFoundError as e:
        pytest.skip(str(e))
    with Peer() as peer:
        got = subprocess.run(
            [micropython, "-X", "heapsize=1m", str(Path(__file__).with_name("aio_turns.py")), str(peer.port)],
            env={**os.environ, "MICROPYPATH": "%s:.frozen" % size.LIBRARY.parent},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
    turn_b, wait_b = map(float, got.stdout.split())
    assert 0 < turn_b <= wait_b, got.stdout
