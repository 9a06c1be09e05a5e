"""What the keys that any sensor may have do with its values."""

import json

import on_board
from fakes.check import equal, raises
from on_board import World, conf

import fake_board

assert on_board  # the paths


def make_world(values, of_node=(), **keys):
    """A board with an SHT4x called t, read every 10 s. of_node: other keys of the configuration."""
    of_node = dict(of_node)
    script = {"wifi": {"lab": "12345678"}, "values": {"sht4x 0x44": values}}
    return World(script, i2c={"sda": 21, "scl": 22}, sensors=[dict(type="sht4x", name="t", **keys)], **of_node)


def shown(world, quantity="temperature"):
    return [reading["value"] for reading in world.readings("t/" + quantity)]


def refused(**keys):
    return str(raises(ValueError, conf, sensors=[dict(type="internal", **keys)]))


def test_scale_comes_before_offset_each_for_its_quantity():
    world = make_world([[20.0, 50.0]], scale={"temperature": 1.5}, offset={"temperature": -0.25, "humidity": 3})
    world.run(15000)
    equal(shown(world)[0], 29.75)
    equal(shown(world, "humidity")[0], 53.0)


def test_a_number_alone_is_for_a_sensor_with_one_quantity():
    World({"wifi": {"lab": "12345678"}, "values": {"adc 34": [1500]}},
          sensors=[{"type": "adc", "pin": 34, "offset": 0.1}])  # fmt: skip
    words = str(raises(ValueError, make_world, [[20, 50]], offset=1))
    assert 'offset is 1; needed is an object that says of which quantity, as {"temperature": 1}' in words, words
    words = str(raises(ValueError, make_world, [[20, 50]], delta={"pressure": 1}))
    assert "delta names pressure; it has temperature, humidity" in words, words


def test_the_median_of_samples_forgets_the_one_that_is_off():
    world = make_world([[20.0, 50.0], [90.0, 50.0], [20.2, 50.0]], median=3)
    world.run(15000)
    equal(shown(world), [20.2, 20.2])


def test_the_median_of_five_is_the_third_and_of_what_nobody_knows_nothing():
    world = make_world([[20.0, 50.0], [24.0, 51.0], [21.0, 54.0], [23.0, 53.0], [22.0, 52.0]], median=5)
    world.run(5000)
    equal((shown(world), shown(world, "humidity")), ([22.0], [52.0]))
    world = World({"wifi": {"lab": "12345678"}, "values": {"chip": [41] + [None] * 20}},
                  sensors=[{"type": "internal", "median": 3}])  # fmt: skip
    world.run(5000)
    equal(world.readings("internal/temperature")[0]["value"], None)
    assert isinstance(world.readings("internal/heap")[0]["value"], int)


def test_degrees_of_fahrenheit_may_be_more_than_the_chips_limit_in_celsius():
    world = make_world([[60.0, 50.0]], scale={"temperature": 1.8}, offset={"temperature": 32})
    world.run(5000)
    equal(shown(world), [140.0])


def test_a_sensor_has_its_time_between_two_samples():
    for entry, least_ms in (({"type": "dht22", "pin": 4}, 2 * 2000), ({"type": "adc", "pin": 34}, 2 * 20)):
        values = {"dht22 4": [[21.5, 40.2]], "adc 34": [1500]}
        world = World({"wifi": {"lab": "12345678"}, "values": values}, sensors=[dict(entry, median=3)])
        began = world.clock.now
        world.node.sources[0].read()
        assert least_ms <= world.clock.now - began < least_ms + 300, (entry, world.clock.now - began)


def test_the_mean_is_of_the_samples_that_came():
    world = make_world([[20.0, 50.0], [21.0, 51.0], "crc", "crc", [22.0, 52.0]], mean=4)
    world.run(5000)
    equal((shown(world), shown(world, "humidity")), ([21.0], [51.0]))
    world = make_world([[20.0, 50.0], "crc", "crc", "crc", "crc"], mean=3)
    world.run(5000)
    equal(shown(world), [])
    assert "sensor t: SHT4x at 0x44: the checksum of its answer is wrong" in world.said[0], "a third is too few"
    for samples, came, is_shown in ((4, 2, True), (5, 2, False)):
        world = make_world([[20.0, 50.0]] * came + ["crc"] * 99, mean=samples)
        try:
            got = world.node.sources[0].read()
        except OSError:
            got = None
        equal(got, [2000, 5000] if is_shown else None, "up to half may fail")


def test_a_sample_beyond_what_the_chip_can_measure_is_in_no_mean():
    world = make_world([[20.0, 50.0], [-44.0, 50.0], [20.0, 50.0]], mean=3)
    world.run(5000)
    equal(shown(world), [20.0])
    world = make_world([[-40.0, 0.0], [125.0, 100.0]], mean=2)
    world.run(5000)
    equal((shown(world), shown(world, "humidity")), ([42.5], [50.0]), "it measures up to its limits")
    world = make_world([[-44.0, 50.0]], mean=2)
    world.run(5000)
    equal(world.said[0], "sensor t: temperature cannot be; trying again")


def test_beyond_min_and_max_is_a_trouble_and_no_reading():
    world = make_world(
        [[20.0, 50.0], [70.0, 50.0], [-11.0, 50.0], [-10.0, 50.0], [-9.9, 50.0]],
        min={"temperature": -10}, max={"temperature": 70},
    )  # fmt: skip
    world.run(400000)
    equal(set(shown(world)), {20.0, 70.0, -10.0, -9.9})
    assert "sensor t: temperature -11.0 °C is beyond min or max; trying again" in world.said, world.said


def test_beyond_the_limits_of_a_chip_is_a_trouble_and_no_reading():
    world = make_world([[-44.0, 50.0]])
    world.run(30000)
    equal(shown(world), [])
    assert "sensor t: temperature -44.00 °C cannot be; trying again" in world.said, world.said


def test_changes_are_published_and_all_of_it_from_time_to_time():
    values = [[20.0, 50.0]] * 3 + [[20.4, 50.0], [20.5, 50.0], [20.9, 58.0], [20.5, 58.0], [20.0, 58.0]]
    world = make_world(values, delta={"temperature": 0.5, "humidity": 5}, send_every_s=600)
    world.run(85000)
    equal(shown(world), [20.0, 20.5, 20.0])
    equal(shown(world, "humidity")[:2], [50.0, 58.0])
    world = make_world([[20.0, 50.0]], delta={"temperature": 0.5}, send_every_s=600)
    world.run(1900000)
    got = world.readings("t/temperature")
    equal([reading["value"] for reading in got], [20.0] * 4)
    times = [reading["time"] for reading in got]
    equal([second - first for first, second in zip(times, times[1:])], [600] * 3)


def test_a_value_that_was_not_known_for_a_while_is_published_though_it_is_the_same():
    for values in ([None, 0, 0, None, 0, 0], [None, 41, 41, None, 41, 41]):
        world = World({"wifi": {"lab": "12345678"}, "values": {"chip": [41] + values}},
                      sensors=[{"type": "internal", "delta": {"temperature": 100}}])  # fmt: skip
        world.run(55000)
        got = [reading["value"] for reading in world.readings("internal/temperature")]
        equal(got, [None, values[1], None, values[1]])


def test_what_is_no_number_is_published_each_time_and_stops_no_change():
    inside = {"type": "internal", "also": ["ip"], "send_every_s": 600, "delta": {"temperature": 5}}
    world = World({"wifi": {"lab": "12345678"}, "values": {"chip": [41]}}, sensors=[inside])
    world.run(45000)
    equal([reading["value"] for reading in world.readings("internal/temperature")], [41.0])
    equal([reading["value"] for reading in world.readings("internal/ip")][1:], ["127.0.0.1"] * 4)
    equal([line for line in world.said if "trying again" in line], [])


def test_send_every_s_alone_publishes_any_change():
    world = make_world([[20.0, 50.0], [20.0, 50.0], [20.01, 50.0]], send_every_s=3600)
    world.run(45000)
    equal((shown(world), shown(world, "humidity")), ([20.0, 20.01, 20.0, 20.01][: len(shown(world))], [50.0]))
    assert len(shown(world)) >= 3


def test_a_clock_that_is_set_meanwhile_repeats_but_loses_nothing():
    world = make_world([[20.0, 50.0]], send_every_s=3600)
    world.run(30000)
    world.epoch_s -= 1000000
    world.run(30000)
    equal(shown(world), [20.0, 20.0])


def test_numbers_that_cannot_be_are_refused_with_their_key():
    for key, bad, part in (
        ("offset", "1", "a number from"),
        ("offset", {"temperature": None}, "a number from"),
        ("scale", 0, "not 0"),
        ("scale", {"temperature": 0}, "not 0"),
        ("delta", -1, "a number from 0.0"),
        ("median", 1, "a whole number from 2 to 25"),
        ("median", 2.5, "a whole number from 2 to 25"),
        ("median", {"temperature": 3}, "a whole number from 2 to 25"),
        ("mean", 26, "a whole number from 2 to 25"),
        ("send_every_s", 0, "a whole number from 1 to 86400"),
        ("min", True, "a number from"),
    ):
        said = refused(**{key: bad})
        assert "sensors[0].%s is %s" % (key, json.dumps(bad)) in said and part in said, said
    assert "sensors[0].median and mean are given" in refused(median=3, mean=3)


def test_home_assistant_waits_as_long_as_the_heartbeat_takes():
    from announcement import announcement

    world = make_world([[20.0, 50.0]], {"ha_prefix": "homeassistant"}, send_every_s=600)
    payload = announcement(world.node.announcer, world.node.sources[0], 0)[1]
    equal(json.loads(payload)["exp_aft"], 30 + 60 + 600)
    world = make_world([[20.0, 50.0]], {"ha_prefix": "homeassistant"}, offset={"temperature": 1})
    payload = announcement(world.node.announcer, world.node.sources[0], 0)[1]
    equal(json.loads(payload)["exp_aft"], 30 + 60, "without one each reading comes")
    equal(make_world([[20.0, 50.0]], send_every_s=600).node.sources[0].sensor.memory, None, "it never sleeps")


def test_a_sleeping_board_remembers_what_it_published_and_for_whom():
    from kept import Kept

    World()
    fake_board.use({"values": {}})
    for count in (1, 3):
        Kept.taken_b = 0
        first, second = Kept("a", count), Kept("b", 2)
        equal(first.read(), None)
        first.write([-5] * count)
        second.write([1 << 30, 7])
        Kept.taken_b = 0
        equal(Kept("a", count).read(), [-5] * count)
        equal(Kept("b", 2).read(), [1 << 30, 7])
        Kept.taken_b = 0
        equal(Kept("b", 2).read(), None, "another order, another sensor")
        fake_board.use({"values": {}})
    Kept.taken_b = 0
    assert "no room" in str(raises(ValueError, lambda: [Kept("x", 9) for _ in range(9)]))
    Kept.taken_b = 0


def test_changes_only_hold_over_a_deep_sleep():
    from kept import Kept
    from treatment import Treated

    world = make_world([[20.0, 50.0]])
    keys = {"name": "t", "kept": True, "send_every_s": 600}
    got = []
    for _ in range(3):
        Kept.taken_b = 0
        got.append(Treated(world.node.sources[0].sensor, dict(keys)).read())
    Kept.taken_b = 0
    equal(got, [[2000, 5000], [..., ...], [..., ...]])


def test_of_a_contact_no_change_is_lost_in_a_median():
    door = {"type": "binary", "name": "front", "pin": 12, "quantity": "door", "median": 5}
    world = World({"wifi": {"lab": "12345678"}, "levels": {"12": 0}}, sensors=[door], interval_s=600)
    world.run(5000)
    for level in (1, 0, 1):
        fake_board.set_level(12, level)
        world.clock.sleep_ms(100)
    world.run(5000)
    equal([reading["value"] for reading in world.readings("front/door")], [0, 1, 0, 1])


def test_a_chips_own_temperature_may_be_treated_though_it_is_found_later():
    inside = {"type": "internal", "offset": {"temperature": -5, "rssi": 1}}
    world = World({"wifi": {"lab": "12345678"}, "values": {"chip": [41]}}, sensors=[inside])
    world.run(5000)
    equal(world.readings("internal/temperature")[0]["value"], 36.0)
    words = str(raises(ValueError, World, None, sensors=[{"type": "internal", "offset": {"wetness": 1}}]))
    assert "offset names wetness; it has uptime, heap, temperature, rssi, awake" in words, words
