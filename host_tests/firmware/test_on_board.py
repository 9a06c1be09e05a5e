"""Sensors on the board's own pins: contacts and pulses by interrupt, the battery, and what the board says of itself."""

import json
import os

import on_board
from announcement import announcement
from fakes.check import equal, raises
from on_board import World

import fake_board
import network

assert on_board  # the paths
WIFI = {"lab": "12345678"}


def make_sensor(kind, **keys):
    return __import__("sensors." + kind, None, None, ("Sensor",)).Sensor(keys)


def forget():
    """Nothing is kept of the test before, on flash or in RTC memory."""
    from kept import Kept

    Kept.taken_b = 0
    for name in ("pulse-12", "pulse-12.new"):
        try:
            os.remove(name)
        except OSError:
            pass


def bounce(world, pin, levels, ms):
    """The pin's level changes, one after the other, ms apart."""
    for level in levels:
        fake_board.set_level(pin, level)
        world.clock.sleep_ms(ms)


def test_a_contact_that_bounces_is_one_change():
    world = World({"levels": {"12": 0}})
    sensor = make_sensor("binary", pin=12, quantity="door")
    equal((sensor.fields, sensor.read(), sensor.changed()), ((("door", "", 0),), [0], False))
    bounce(world, 12, (1, 0, 1, 0, 1), 5)
    equal(sensor.changed(), False, "it has not stayed so yet")
    world.clock.sleep_ms(50)
    equal((sensor.changed(), sensor.read(), sensor.changed(), sensor.read()), (True, [1], False, [1]))
    bounce(world, 12, (0, 1), 20)
    world.clock.sleep_ms(500)
    equal(sensor.changed(), False, "a glitch")


def test_a_level_counts_once_it_has_stayed_its_whole_time():
    for debounce_ms in (50, 200):
        world = World({"levels": {"12": 0}})
        sensor = make_sensor("binary", pin=12, debounce_ms=debounce_ms)
        fake_board.set_level(12, 1)
        world.clock.sleep_ms(debounce_ms - 1)
        equal(sensor.changed(), False)
        world.clock.sleep_ms(1)
        equal((sensor.changed(), sensor.read()), (True, [1]))
        fake_board.set_level(12, 0)
        world.clock.sleep_ms(debounce_ms)
        fake_board.set_level(12, 1)  # it had stayed, though nobody looked
        equal((sensor.changed(), sensor.read()), (True, [0]))
        fake_board.set_level(12, 0)
        world.clock.sleep_ms(debounce_ms - 1)
        fake_board.set_level(12, 1)
        world.clock.sleep_ms(debounce_ms)
        equal((sensor.changed(), sensor.read()), (True, [1]), "the glitch is none, the level after it is")


def test_of_more_changes_than_can_wait_the_oldest_are_told_and_the_last_is_the_state():
    for changes in range(1, 24):
        world = World({"levels": {"12": 0}})
        sensor = make_sensor("binary", pin=12)
        bounce(world, 12, [(i + 1) % 2 for i in range(changes)], 60)
        got = []
        while sensor.changed():
            got += sensor.read()
        equal(got, [(i + 1) % 2 for i in range(len(got))], changes)
        equal((sensor.read(), got[-1]), ([changes % 2], changes % 2), changes)
        assert len(got) == changes if changes <= 16 else len(got) in (15, 16), (changes, len(got))


def test_changes_that_come_while_the_board_is_busy_all_wait():
    world = World({"levels": {"12": 0}})
    sensor = make_sensor("binary", pin=12, quantity="motion", pull="none")
    bounce(world, 12, (1, 0, 1), 2000)
    got = []
    while sensor.changed():
        got += sensor.read()
    equal(got, [1, 0, 1])
    bounce(world, 12, (0, 1) * 20, 100)
    got = []
    while sensor.changed():
        got += sensor.read()
    assert len(got) >= 14 and got[-1] == 1 and all(earlier != later for earlier, later in zip(got, got[1:])), got


def test_a_leak_that_closes_to_ground_is_1_and_a_missed_interrupt_is_made_up_for():
    world = World({})
    sensor = make_sensor("binary", pin=12, quantity="moisture", inverted=True)
    equal(sensor.read(), [0])
    fake_board.script["levels"] = {"12": 0}  # no interrupt came
    sensor.changed()
    world.clock.sleep_ms(60)
    equal((sensor.changed(), sensor.read()), (True, [1]))


def test_a_pull_that_the_chip_does_not_have_is_told():
    import machine

    World({})
    down = machine.Pin.PULL_DOWN
    del machine.Pin.PULL_DOWN
    try:
        for kind in ("binary", "pulse"):
            assert "pull is down" in str(raises(ValueError, make_sensor, kind, pin=12, pull="down"))
    finally:
        machine.Pin.PULL_DOWN = down
    make_sensor("binary", pin=12, pull="down")


def test_a_door_that_opens_is_published_at_once():
    world = World({"wifi": WIFI, "levels": {"12": 0}}, interval_s=600,
              sensors=[{"type": "binary", "name": "front", "pin": 12, "quantity": "door"}])  # fmt: skip
    world.run(5000)
    equal([reading["value"] for reading in world.readings("front/door")], [0])
    fake_board.set_level(12, 1)
    now = world.clock.now
    while len(world.readings("front/door")) < 2:
        world.node.turn()
    assert world.clock.now - now < 300, world.clock.now - now
    world.run(2000)
    equal([reading["value"] for reading in world.readings("front/door")], [0, 1])


def test_a_door_is_published_when_it_changes_and_now_and_then():
    world = World({"wifi": WIFI, "levels": {"12": 0}}, interval_s=10,
              sensors=[{"type": "binary", "name": "front", "pin": 12, "send_every_s": 300}])  # fmt: skip
    world.run(100000)
    fake_board.set_level(12, 1)
    world.run(225000)
    equal([reading["value"] for reading in world.readings("front/state")], [0, 1, 1])


def test_pulses_are_counted_in_units_each_once():
    forget()
    world = World({})
    sensor = make_sensor("pulse", pin=12, per_unit=1000, unit="kWh", name="meter")
    equal((sensor.fields, sensor.read()), ((("energy", "kWh", 3),), [0]))
    bounce(world, 12, (0, 1) * 7, 100)
    equal(sensor.read(), [7])
    for _ in range(5):
        bounce(world, 12, (0, 1), 2)  # one pulse whose contact chatters
    world.clock.sleep_ms(50)
    equal(sensor.read(), [8])
    world.clock.now += 7 * 86400000  # a week without one
    bounce(world, 12, (0, 1), 20)
    equal(sensor.read(), [9])
    for keys, fields, want in (
        ({"per_unit": 0.5, "unit": "L"}, ("water", "L", 0), 18),
        ({"per_unit": 3.58, "unit": "mm"}, ("precipitation", "mm", 1), 25),
        ({"unit": "m³", "quantity": "gas", "per_unit": 100}, ("gas", "m³", 2), 9),
        ({"edge": "rising"}, ("count", "", 0), 9),
    ):
        forget()
        world = World({})
        sensor = make_sensor("pulse", pin=12, **keys)
        equal(sensor.fields, (fields,))
        bounce(world, 12, (0, 1) * 9, 100)
        equal(sensor.read(), [want])
    forget()


def test_the_side_of_a_pulse_that_counts_is_the_one_that_is_asked_for():
    for edge, wants in (("falling", (0, 1, 1, 2)), ("rising", (0, 0, 1, 1))):
        forget()
        world = World({"levels": {"12": 1}})
        sensor = make_sensor("pulse", pin=12, edge=edge)
        got = []
        for level in (1, 0, 1, 0):
            fake_board.set_level(12, level)
            world.clock.sleep_ms(100)
            got += sensor.read()
        equal(tuple(got), wants, edge)
    forget()


def test_an_edge_counts_when_the_time_after_the_last_is_over_and_the_first_at_once():
    for debounce_ms, wants in ((10, (1, 1, 1, 2)), (1, (1, 1, 2, 3)), (0, (1, 2, 3, 4))):
        forget()
        world = World({})
        sensor = make_sensor("pulse", pin=12, debounce_ms=debounce_ms)
        got = []
        for pause_ms in (0, 0, 9, 10):  # before each edge
            world.clock.sleep_ms(pause_ms)
            sensor.on_edge(None)
            got += sensor.read()
        equal(tuple(got), wants, debounce_ms)
    forget()


def test_one_pulse_is_seen_in_four_places_at_most():
    for per_unit, places in ((0.5, 0), (1, 0), (2, 1), (10, 1), (11, 2), (1000, 3), (10000, 4), (10001, 4), (10**6, 4)):
        forget()
        World({})
        equal(make_sensor("pulse", pin=12, per_unit=per_unit).fields[0][2], places, per_unit)
    forget()


def test_the_sum_of_pulses_survives_a_reset_and_a_power_cut():
    from kept import Kept

    forget()
    world = World({"wifi": WIFI}, sensors=[{"type": "pulse", "name": "rain", "pin": 12}])
    world.run(3000)
    bounce(world, 12, (0, 1) * 5, 20)
    world.run(200)  # a turn: no reading is due
    Kept.taken_b = 0
    sensor = make_sensor("pulse", pin=12, name="rain")
    equal(sensor.read(), [5], "a reset")
    Kept.taken_b = 0
    equal(make_sensor("pulse", pin=12, name="other").read(), [0])
    world.clock.sleep_ms(3600000)
    bounce(world, 12, (0, 1), 20)
    Kept.taken_b = 0
    sensor = make_sensor("pulse", pin=12, name="rain")
    world.clock.sleep_ms(3600000)
    bounce(world, 12, (0, 1), 20)
    equal(sensor.read(), [6])
    bounce(world, 12, (0, 1), 20)
    equal(sensor.read(), [7], "flash has it in an hour")
    fake_board.use({})  # RTC memory is empty after it
    Kept.taken_b = 0
    equal(make_sensor("pulse", pin=12, name="rain").read(), [6], "a power cut")
    forget()


def battery(mv, **keys):
    """A board on a battery, fully up."""
    entry = dict({"type": "battery", "name": "cell", "pin": 34, "ratio": 2}, **keys)
    return World({"wifi": WIFI, "values": {"adc 34": mv}}, sensors=[entry])


def of(world, quantity):
    return [reading["value"] for reading in world.readings("cell/" + quantity)]


def test_a_battery_tells_volts_and_per_cent():
    world = battery([1850])
    world.run(5000)
    equal((of(world, "voltage"), of(world, "battery"), of(world, "low")), ([3.7], [50], [0]))
    for mv, percent, low in ((2100, 100, 0), (2045, 98, 0), (1640, 0, 1)):  # over full_v, below it, under empty_v
        world = battery([mv], sleep_s=0)
        world.run(5000)
        equal((of(world, "battery"), of(world, "low")), ([percent], [low]))
    for keys, part in (({"empty_v": 4.2, "full_v": 4.2}, "full_v"),):
        assert part in str(raises(ValueError, battery, [1800], **keys))


def test_a_low_battery_says_so_and_puts_the_board_to_sleep_for_long():
    world = battery([1850] * 32 + [1680] * 16)
    fault = raises(fake_board.Reset, world.run, 60000)
    equal(fault.args, (4, 3600000))
    equal((of(world, "low"), of(world, "battery")[-1]), ([0, 0, 1], 7))
    assert "battery: low: once what waits is sent, sleeping for 3600 s" in world.said, world.said
    equal(world.status()[-1], b"offline")


def test_a_low_battery_without_a_broker_does_not_keep_the_radio_on():
    from fakes.net import Plan

    world = battery([1600], sleep_s=7200)
    world.net.plan = Plan(refuse=True)
    began = world.clock.now
    fault = raises(fake_board.Reset, world.run, 200000)
    equal(fault.args[1], 7200000)
    assert 60000 <= world.clock.now - began < 90000


def test_a_battery_that_recovers_goes_on_and_sleep_s_0_never_sleeps():
    world = battery([1680] * 16 + [1710] * 16 + [1760] * 16, sleep_s=0)
    world.run(25000)
    equal(
        (of(world, "battery"), of(world, "low")), ([7, 15, 27], [1, 1, 0]), "5 per cent over the limit it is well again"
    )


def test_internal_says_what_else_it_is_asked_for():
    from umqtt import __version__

    world = World({"wifi": WIFI, "cause": 3, "woken": 4},
              sensors=[{"type": "internal", "also": ["rssi", "reset", "woken", "ip", "version", "awake"]}])  # fmt: skip
    world.run(15000)
    got = {
        quantity: world.readings("internal/" + quantity)[-1]["value"]
        for quantity in ("rssi", "reset", "woken", "ip", "version")
    }
    equal(got, {"rssi": -61, "reset": "watchdog", "woken": "timer", "ip": "127.0.0.1", "version": __version__})
    equal(world.readings("internal/rssi")[0]["value"], None, "WiFi is being joined while the first reading is taken")
    assert isinstance(world.readings("internal/awake")[-1]["value"], int)
    from board_facts import dotted, facts

    equal(
        [dotted(number) for number in (-1, 0x0A000001, -0x3F57FFFE)],
        ['"255.255.255.255"', '"10.0.0.1"', '"192.168.0.2"'],
    )
    real = network.WLAN.ifconfig
    try:
        for ip in ("0.0.0.0", "127.255.255.255", "128.0.0.1", "255.255.255.255", "1.2.3.4"):
            network.WLAN.ifconfig = lambda self, ip=ip: (ip, "", "", "")
            value = facts()["ip"][1]()
            equal((dotted(value), -(1 << 31) <= value < 1 << 31), ('"%s"' % ip, True))
    finally:
        network.WLAN.ifconfig = real


def test_a_radio_that_does_not_say_how_strong_it_hears_hides_nothing_else_of_the_board():
    world = World({"wifi": WIFI}, sensors=[{"type": "internal", "also": ["rssi", "awake"]}])
    real = network.WLAN.status
    for error in (OSError(-0x300F, "Wifi Not Connected"), RuntimeError("Wifi Unknown Error 0x300f"), ValueError()):

        def status(sta, what=None):
            if what == "rssi":
                raise error  # noqa: B023 - the access point vanished a moment ago
            return real(sta, what)

        network.WLAN.status = status
        try:
            world.run(15000)
        finally:
            network.WLAN.status = real
        last = {name: world.readings("internal/" + name)[-1]["value"] for name in ("uptime", "rssi", "awake")}
        assert last["rssi"] is None and last["uptime"] > 0 and last["awake"] > 0, last
    equal([line for line in world.said if line.startswith("sensor internal")], [])


def test_an_esp8266_sleeps_by_its_alarm_and_for_70_minutes_at_most():
    import machine
    import machine_rtc
    import power

    wakes = []

    class Alarmed(machine_rtc.RTC):
        ALARM0 = 0

        def irq(self, trigger, wake):
            wakes.append((trigger, wake))

        def alarm(self, alarm, ms):
            fake_board.alarm[0] = ms

    machine.RTC = Alarmed
    try:
        for ms, slept_ms in ((60000, 60000), (4200000, 4200000), (7200000, 4200000)):
            equal(raises(fake_board.Reset, power.deep_sleep, ms).args, (machine.DEEPSLEEP_RESET, slept_ms))
    finally:
        del machine.RTC
    equal(wakes, [(0, machine.DEEPSLEEP)] * 3)
    equal(raises(fake_board.Reset, power.deep_sleep, 7200000).args, (machine.DEEPSLEEP_RESET, 7200000))


def test_an_announcement_has_the_class_of_each_quantity():
    from announcement import class_of

    for quantity, unit, want in (
        ("co2", "ppm", ("sensor", "carbon_dioxide", "measurement")),
        ("illuminance", "lx", ("sensor", "illuminance", "measurement")),
        ("pressure", "hPa", ("sensor", "atmospheric_pressure", "measurement")),
        ("rssi", "dBm", ("sensor", "signal_strength", "measurement")),
        ("awake", "ms", ("sensor", "duration", "measurement")),
        ("moisture", "%", ("sensor", "moisture", "measurement")),
        ("battery", "%", ("sensor", "battery", "measurement")),
        ("light", "%", ("sensor", "", "measurement")),
        ("energy", "kWh", ("sensor", "energy", "total_increasing")),
        ("water", "L", ("sensor", "water", "total_increasing")),
        ("precipitation", "mm", ("sensor", "precipitation", "total_increasing")),
        ("gas", "m³", ("sensor", "gas", "total_increasing")),
        ("count", "", ("sensor", "", "total_increasing")),
        ("door", "", ("binary_sensor", "door", "")),
        ("moisture", "", ("binary_sensor", "moisture", "")),
        ("gas", "", ("binary_sensor", "gas", "")),
        ("low", "", ("binary_sensor", "battery", "")),
        ("state", "", ("binary_sensor", "", "")),
        ("ph", "", ("sensor", "ph", "measurement")),
        ("index", "", ("sensor", "", "measurement")),
        # with a unit that is none of its class, or none, Home Assistant would refuse the sensor
        ("temperature", "C", ("sensor", "", "measurement")),
        ("temperature", "", ("sensor", "", "measurement")),
        ("temperature", "K", ("sensor", "temperature", "measurement")),
        ("humidity", "g/m³", ("sensor", "", "measurement")),
        ("power", "%", ("sensor", "", "measurement")),
        ("ph", "pH", ("sensor", "", "measurement")),
        ("co2", "%", ("sensor", "", "measurement")),
        ("pressure", "m", ("sensor", "", "measurement")),
        ("energy", "", ("sensor", "", "total_increasing")),
        ("energy", "mAh", ("sensor", "", "total_increasing")),
        ("gas", "L", ("sensor", "", "total_increasing")),
        ("data_size ", "B", ("sensor", "", "measurement")),
    ):
        equal(class_of(quantity, unit, 0), want, quantity)
    equal(class_of("ip", "", str), ("sensor", "", ""))
    meter = {"type": "pulse", "name": "meter", "pin": 12, "quantity": "gas"}
    world = World({"wifi": WIFI}, ha_prefix="ha", sensors=[meter])
    topic, payload = announcement(world.node.announcer, world.node.sources[0], 0)
    equal((topic, '"stat_cla":"total_increasing"' in payload), ("ha/sensor/n1/meter_gas/config", True), "not on or off")
    world = World({"wifi": WIFI, "levels": {"12": 0}}, ha_prefix="ha",
              sensors=[{"type": "binary", "name": "front", "pin": 12, "quantity": "door"}])  # fmt: skip
    topic, payload = announcement(world.node.announcer, world.node.sources[0], 0)
    equal(topic, "ha/binary_sensor/n1/front_door/config")
    got = json.loads(payload)
    equal((got["pl_on"], got["pl_off"], got["dev_cla"]), ("1", "0", "door"))
    assert "unit_of_meas" not in got and "stat_cla" not in got
