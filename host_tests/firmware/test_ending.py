"""How a program ends: what waits is sent, "offline" is said, and the sum of it is told, in the time that it has."""

from fakes.check import equal
from fakes.net import Plan
from on_board import Gc, World

import ending

ROOM = {"type": "dht22", "name": "room", "pin": 4}
SCRIPT = {"wifi": {"lab": "12345678"}, "values": {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}}
PRESSED = dict(SCRIPT, buttons={"0": __file__})  # the file is there


def test_the_stop_button_sends_what_waits_says_offline_and_sums_up():
    world = World(PRESSED, sensors=[ROOM], stop_pin=0)
    world.run(15000)
    equal(world.node.run(), False)  # pressed from the start
    equal(world.status(), [b"online", b"offline"])
    equal({qos for topic, payload, qos in world.broker.accepted if topic.endswith("/status")}, {1})
    equal(world.broker.wills, [])
    assert world.said[-1].startswith("summary: taken=4 published=4 acknowledged=4 dropped=0 heap_low_b="), world.said[
        -1
    ]
    equal(world.net.open_sockets(), [])


def test_the_stop_button_ends_a_board_too_that_has_never_reached_its_broker():
    world = World(PRESSED, sensors=[ROOM], stop_pin=0, ha_prefix="homeassistant", commands=True)
    world.net.plan = Plan(refuse=True)
    world.run(5000)
    equal(world.node.run(), False)
    assert world.said[-1].startswith("summary: taken=2 published=0 acknowledged=0 dropped=0 "), world.said[-1]


def test_an_end_whose_broker_is_silent_or_whose_program_breaks_takes_its_time_and_feeds_the_watchdog():
    def broken():
        raise KeyError("bug")

    def silence(world):
        world.broker._incoming = lambda link, kept, packet: None

    def breakage(world):
        world.node.hand_over = broken

    for trouble in (silence, breakage):
        world = World(SCRIPT, sensors=[ROOM], interval_s=1)
        world.run(4000)
        trouble(world)
        world.run(2000)
        fed = []
        world.node.feed = lambda: fed.append(world.clock.now)  # noqa: B023
        before = world.clock.now
        ending.send(world.node, 5000)
        assert 4900 <= world.clock.now - before <= 5100, (trouble, world.clock.now - before)
        assert len(fed) >= 15, fed
    ending.finish(world.node, 5000)  # the broken one's
    equal((world.net.open_sockets(), world.broker.wills, world.status()[-1]), ([], [], b"offline"))


def test_the_sum_counts_readings_of_earlier_lives_refused_ones_and_the_heap_at_the_end():
    world = World(SCRIPT, sensors=[ROOM])
    ending.sum_up(world.node)  # before there was anything, not even a client
    assert world.said[-1].startswith("summary: taken=0 published=0 acknowledged=0 "), world.said
    world.run(15000)
    world.node.before, world.node.refused, world.node.dropped = 3, 2, 1
    ending.gc = Gc()
    ending.sum_up(world.node)
    equal(world.said[-1], "summary: taken=4 published=4 acknowledged=5 dropped=3 heap_low_b=2000")
    world.broker._incoming = lambda link, kept, p: None
    world.run(10000)
    ending.sum_up(world.node)
    assert world.said[-1].startswith("summary: taken=6 published=6 acknowledged=5 "), "two are in flight"


def test_a_board_is_busy_while_an_announcement_waits_and_one_that_sleeps_while_it_looks_for_old_ones():
    world = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant")
    world.run(60000)
    announcer = world.node.announcer
    equal((ending.busy(world.node), announcer.holding, announcer.look), (False, False, None))
    announcer.holding = True
    equal(ending.busy(world.node), True)
    announcer.holding, announcer.look = False, "homeassistant/+/n1/#"
    equal(ending.busy(world.node), False)  # one that is awake goes on looking
    world.node.cfg["deep_sleep"] = True
    equal(ending.busy(world.node), True)
