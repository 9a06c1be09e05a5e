"""How a program ends: what waits is sent, "offline" is said, and the sum of it is told, in the time that it has."""

from fakes.check import equal
from fakes.net import Plan
from on_board import World

import ending

ROOM = {"type": "dht22", "name": "room", "pin": 4}
SCRIPT = {"wifi": {"lab": "12345678"}, "values": {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}}
PRESSED = dict(SCRIPT, buttons={"0": __file__})  # the file is there


def test_the_stop_button_sends_what_waits_says_offline_and_sums_up():
    w = World(PRESSED, sensors=[ROOM], stop_pin=0)
    w.run(15000)
    equal(w.node.run(), False)  # pressed from the start
    equal(w.status(), [b"online", b"offline"])
    equal({qos for topic, payload, qos in w.broker.accepted if topic.endswith("/status")}, {1})
    equal(w.broker.wills, [])
    assert w.said[-1].startswith("summary: taken=4 published=4 acknowledged=4 dropped=0 heap_low_b="), w.said[-1]
    equal(w.net.open_sockets(), [])


def test_the_stop_button_ends_a_board_too_that_has_never_reached_its_broker():
    w = World(PRESSED, sensors=[ROOM], stop_pin=0, ha_prefix="homeassistant", commands=True)
    w.net.plan = Plan(refuse=True)
    w.run(5000)
    equal(w.node.run(), False)
    assert w.said[-1].startswith("summary: taken=2 published=0 acknowledged=0 dropped=0 "), w.said[-1]


def test_an_end_whose_broker_is_silent_or_whose_program_breaks_takes_its_time_and_feeds_the_watchdog():
    def broken():
        raise KeyError("bug")

    def silence(w):
        w.broker._incoming = lambda link, kept, p: None

    def breakage(w):
        w.node.hand_over = broken

    for trouble in (silence, breakage):
        w = World(SCRIPT, sensors=[ROOM], interval_s=1)
        w.run(4000)
        trouble(w)
        w.run(2000)
        fed = []
        w.node.feed = lambda: fed.append(w.clock.now)  # noqa: B023
        before = w.clock.now
        ending.send(w.node, 5000)
        assert 4900 <= w.clock.now - before <= 5100, (trouble, w.clock.now - before)
        assert len(fed) >= 15, fed
    ending.finish(w.node, 5000)  # the broken one's
    equal((w.net.open_sockets(), w.broker.wills, w.status()[-1]), ([], [], b"offline"))


class Gc:
    """In place of gc: with a collection 2000 B are free, without one 1000."""

    free_b = 1000

    def collect(self):
        self.free_b = 2000

    def mem_free(self):
        return self.free_b


def test_the_sum_counts_readings_of_earlier_lives_refused_ones_and_the_heap_at_the_end():
    w = World(SCRIPT, sensors=[ROOM])
    w.run(15000)
    w.node.before, w.node.refused, w.node.dropped = 3, 2, 1
    ending.gc = Gc()
    ending.sum_up(w.node)
    equal(w.said[-1], "summary: taken=4 published=4 acknowledged=5 dropped=3 heap_low_b=2000")
