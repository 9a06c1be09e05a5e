"""The light blinks what is wrong, and as long as a command asks for."""

from commanded import SCRIPT, Commanded
from fakes.check import equal
from fakes.net import Plan

import fake_board


def blinks(world, ticks=60):
    """What the light shows, a letter for each tick."""
    import machine_timer

    shown = ""
    for _ in range(ticks):
        machine_timer.the[-1].callback(None)
        world.clock.sleep_ms(machine_timer.the[-1].period_ms)
        shown += "#" if fake_board.shown[2] else "."
    return shown


def test_the_light_tells_what_is_wrong_by_its_blinks():
    with Commanded(led=2) as world:
        fake_board.script["wifi"] = {}
        world.run(5000)
        assert ".......#.......#......." in blinks(world), "once: no WiFi"
        fake_board.script["wifi"] = {"lab": "12345678"}
        world.net.plan = Plan(refuse=True)
        world.run(90000)
        assert ".......#.#.......#.#......." in blinks(world), "twice: no broker"
        world.net.plan = Plan()
        fake_board.script["values"] = {}
        world.run(90000)
        assert ".......#.#.#.......#.#.#......." in blinks(world), "three times: a sensor"
        fake_board.script["values"] = SCRIPT["values"]
        world.run(1500000)
        equal(blinks(world, 100).count("#"), 4, "well: a flash every 5 s")
        world.send("identify", "10")
        equal(world.answers("identify"), [(True, "blinking for 10 s")])
        assert ".#.#.#.#.#.#.#.#" in blinks(world, 20)
        world.clock.sleep_ms(10000)
        equal(blinks(world, 100).count("#"), 4)


def test_a_light_blinks_as_long_as_is_asked_ten_seconds_for_a_word_and_an_hour_at_most():
    with Commanded(led=2) as world:
        world.run(5000)
        for sent, seconds in (("1", 1), ("3600", 3600), ("", 10), ("PRESS", 10), ("  7 ", 7), ("-5", 10)):
            world.send("identify", sent)
            equal(world.answers("identify")[-1], (True, "blinking for %d s" % seconds), sent)
            left_ms = clock_ms_left(world)
            assert seconds * 1000 - 10000 <= left_ms <= seconds * 1000, (sent, left_ms)  # a turn
        for sent in ("0", "3601", "99999999"):
            world.send("identify", sent)
            equal(world.answers("identify")[-1], (False, "needed are 1 to 3600 s"), sent)


def clock_ms_left(world):
    from fakes.clock import ticks_diff

    return ticks_diff(world.node.led.t_end, world.clock.ticks_ms())


def test_a_light_that_is_lit_by_a_low_level_is_dark_when_the_program_ends():
    import led
    import machine_timer

    Commanded().__exit__()
    for low in (False, True):
        light = led.Light(2, low)
        light.step(None)
        equal(fake_board.shown[2], 0 if low else 1)
        light.off()
        equal((fake_board.shown[2], machine_timer.the[-1].callback), (1 if low else 0, None))


def test_a_light_tells_of_wifi_that_went_and_has_the_timer_of_its_chip():
    import led
    import machine_timer

    wifi = type("Wifi", (), {"isconnected": staticmethod(bool)})
    real = led.sys
    try:
        for platform, number in (("esp32", 0), ("esp8266", -1)):
            led.sys = type("Sys", (), {"platform": platform})
            fake_board.use({"port": platform})
            light = led.Light(2, False)
            equal(machine_timer.the[-1].number, number)
            light.blinks = led.WELL
            light.look(type("Node", (), {"wifi": wifi}))
            equal(light.blinks, led.NO_WIFI)
            light.off()
    finally:
        led.sys = real
        fake_board.use({})
