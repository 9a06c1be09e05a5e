"""A short soak (`make soak MINUTES=2` is the long one): nothing lost, repeated or out of order over cuts, stalls and
a stop of the broker. And that its account excuses no more than a killed broker can have taken with it."""

import pytest
import soak
from broker import real

KILLED_S, BACK_S, CONNECTED_S = 100.0, 101.0, 102.5


def test_a_short_soak_loses_and_repeats_nothing():
    if not real.mosquitto_path():
        pytest.skip("no Mosquitto: run `make setup`, or name one with MOSQUITTO=/path/to/mosquitto")
    count, totals = soak.soak(12, seed=11, devices=3, kill=False)
    assert not count.wrong(), (count.wrong()[:10], totals)
    assert totals["sent"] > 200 and totals["commands"] > 50, totals
    assert totals["stops"] + sum(totals["faults"].values()) >= 3, totals


class Told:
    """A device that sent message 1 (QoS 2), which nobody got, and what it said of it."""

    name = "dev"
    total = 2
    connected = (50.0, CONNECTED_S)

    def __init__(self, accepted, handed_over=None, acknowledged=None):
        self.accepted = {0: 10.0, 1: accepted}
        self.handed_over = {} if handed_over is None else {1: handed_over}
        self.acknowledged = {} if acknowledged is None else {1: acknowledged}

    def lost(self):
        kill = soak.Kill(KILLED_S)
        kill.back_s = BACK_S
        count = soak.Count()
        soak.account(count, self, [("dev", 0, 1)], [kill])
        return count.lost


def test_what_the_broker_had_taken_before_it_was_killed_is_excused():
    assert not Told(99.0, acknowledged=99.5).lost()
    # PUBREC came, the broker died before it had saved that, and its successor answers PUBREL with PUBCOMP all the same
    assert not Told(99.0, handed_over=99.5, acknowledged=103.0).lost()
    # a link that stalled has kept the word of the dead broker back
    assert not Told(99.0, acknowledged=101.9).lost()
    assert not Told(99.0, handed_over=101.9, acknowledged=103.0).lost()


def test_what_no_dead_broker_can_have_taken_is_lost():
    assert Told(99.0).lost(), "the broker never had it"
    assert Told(99.0, acknowledged=103.0).lost(), "its successor had it"
    assert Told(99.0, handed_over=103.0, acknowledged=103.5).lost(), "its successor had it"
    assert Told(60.0, handed_over=60.5, acknowledged=61.0).lost(), "it was saved long before"
