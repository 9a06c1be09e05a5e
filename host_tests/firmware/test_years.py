"""A part of `make years`: days of the whole firmware, everything around it failing. And that the count sees it when
something is lost."""

import on_board  # noqa: F401 - the paths
from fakes.check import equal
from fakes.net import Plan
from on_board import World
from years import Life

import fake_board
import network
import node


def verdict(kind, days, seed, **more):
    life = Life(kind, seed, **more)
    try:
        return life.live(days).verdict()
    finally:
        life.close()


def sound(got):
    equal({name: got[name] for name in ("lost", "repeated", "out of order", "stuck", "violations")},
          {"lost": 0, "repeated": 0, "out of order": 0, "stuck": 0, "violations": 0}, got)  # fmt: skip


def test_hours_of_outages_lose_and_repeat_nothing_however_readings_are_kept():
    for kind in ("ram", "flash", "rtc"):
        got = verdict(kind, 0.3, 3, interval_s=120)
        sound(got)
        assert got["received"] > 250, got


def test_hours_of_a_sleeper_lose_and_repeat_nothing():
    got = verdict("rtc-sleep", 0.5, 4, interval_s=900)
    sound(got)
    assert got["lives"] > 45, got


def test_hours_of_outages_with_mqtt_5_lose_and_repeat_nothing_in_any_life():
    for kind, days, interval_s in (("ram", 0.3, 120), ("flash", 0.3, 120), ("rtc", 0.3, 120), ("rtc-sleep", 0.5, 900)):
        got = verdict(kind, days, 3, interval_s=interval_s, protocol=5)
        sound(got)
        assert got["received"] > 80, got


def test_after_half_and_whole_rounds_of_the_ticks_everything_is_tried_at_once():
    # a pause whose beginning seemed to lie in the future lasted for six days once
    for ticks in (1 << 29, 1 << 30, 3 << 29):
        for more_ms in (-2000, 0, 2000):
            world = World(interval_s=10, reset_after_s=0, sensors=[{"type": "internal"}])
            world.run(30000)
            world.net.plan = Plan(refuse=True)  # broker, clock, WiFi and a sensor are in trouble
            fake_board.script.update({"wifi": {}, "clock": False})
            network.WLAN(network.STA_IF).lose()
            world.broker.stop("silence")
            world.node.sources[0].trouble.failed("test")
            world.run(120000)
            world.clock.now += ticks + more_ms
            world.net.plan = Plan()
            fake_board.script.update({"wifi": {"lab": "12345678"}, "clock": True})
            accepted = len(world.broker.accepted)
            world.run(150000)
            assert world.node.client.isconnected() and len(world.broker.accepted) > accepted + 10, (ticks, more_ms)


def test_the_count_sees_a_reading_that_is_thrown_away_and_one_that_is_sent_twice():
    real = node.Node.message
    for what in ("lost", "repeated"):
        numbers = []

        def message(self, number, field, value, up_s, seq, numbers=numbers, what=what):
            numbers.append(seq)
            return real(self, number, field, value, up_s, seq - (what == "repeated" and seq == 20))

        node.Node.message = message
        try:
            life = Life("ram", 1, outages=(), interval_s=300)
            try:
                if what == "lost":
                    life.broker._accept = (
                        lambda packet, took=life.broker._accept: b'"seq":20}' in packet.payload or took(packet)
                    )
                got = life.live(0.2).verdict()
            finally:
                life.close()
        finally:
            node.Node.message = real
        equal(got[what], 1, got)
