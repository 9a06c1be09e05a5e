"""A short soak (`make soak MINUTES=2` is the long one): nothing lost, repeated or out of order over cuts, stalls and
a stop of the broker."""

import pytest
import soak
from broker import real


def test_a_short_soak_loses_and_repeats_nothing():
    if not real.mosquitto_path():
        pytest.skip("no Mosquitto: run `make setup`, or name one with MOSQUITTO=/path/to/mosquitto")
    count, totals = soak.soak(12, seed=11, devices=3, kill=False)
    assert not count.wrong(), (count.wrong()[:10], totals)
    assert totals["sent"] > 200 and totals["commands"] > 50, totals
    assert totals["stops"] + sum(totals["faults"].values()) >= 3, totals
