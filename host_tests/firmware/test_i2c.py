"""Chips on the I2C bus, register by register: what they are read as, and in which words they fail.

The worked examples are those of the data sheets.
"""

import on_board
from fakes.check import equal, raises
from on_board import World

import fake_board

WIRES = {"sda": 21, "scl": 22}
assert on_board  # the paths


def make_sensor(kind, script, **keys):
    """A driver on a bus of its own, on a board with these values."""
    fake_board.use({"values": script})
    return made(kind, **keys)


def made(kind, **keys):
    """A driver on a bus of its own."""
    conf = {"i2c": dict(WIRES)}
    conf.update(keys)
    return __import__("sensors." + kind, None, None, ("Sensor",)).Sensor(conf)


def test_the_checksum_is_that_of_the_data_sheet():
    from crc8 import crc8

    equal(crc8(b"\xbe\xef"), 0x92)
    equal(crc8(b"\x00\x00"), 0x81, "zeros are not right by accident")


def test_an_sht4x_reads_hundredths():
    World()
    sensor = make_sensor(
        "sht4x", {"sht4x 0x44": [[21.5, 40.2], [-40.0, 0.0], [125.0, 100.0], [0.0, 104.0], [0.0, -5.0]]}
    )
    sensor.probe()
    equal([sensor.read() for _ in range(5)], [[2150, 4020], [-4000, 0], [12500, 10000], [0, 10000], [0, 0]])
    equal(sensor.fields, (("temperature", "°C", 2), ("humidity", "%", 2)))


def test_a_chip_that_is_not_there_or_garbled_is_said_in_words():
    World()
    sensor = make_sensor("sht4x", {})
    said = str(raises(OSError, sensor.probe))
    equal(said, "no SHT4x answers at 0x44 on I2C (SDA GPIO 21, SCL GPIO 22); there: nobody")
    assert "no SHT3x answers at 0x45" in str(raises(OSError, make_sensor("sht3x", {}, address="0x45").probe))
    sensor = make_sensor("sht4x", {"sht4x 0x45": [[20, 40]], "bme280 0x76": [[20, 1000, 40]]})
    assert str(raises(OSError, sensor.probe)).endswith("; there: 0x45, 0x76")
    sensor = make_sensor(
        "sht4x", {"sht4x 0x45": [[20, 40], "crc", "crc", "stretch", "stretch", [20, 40]]}, address="0x45"
    )
    sensor.probe()
    equal(sensor.read(), [2000, 4000])
    assert "SHT4x at 0x45: the checksum of its answer is wrong" in str(raises(OSError, sensor.read))
    assert "SHT4x at 0x45: the bus failed (110)" in str(raises(OSError, sensor.read)), "it holds SCL down"
    assert "i2c is missing" in str(raises(ValueError, made, "sht4x", i2c={}))


def test_a_chip_that_a_reset_left_in_the_middle_of_a_byte_is_clocked_until_it_lets_go():
    World()
    script = {"sht4x 0x44": [[21.5, 40.2]]}
    for clocks in (1, 5, 9):
        sensor = make_sensor("sht4x", script)
        fake_board.script["held"] = {"21": clocks}
        equal(sensor.read(), [2150, 4020])
        fake_board.script["held"] = {"21": clocks}  # and again while it runs
        equal(sensor.read(), [2150, 4020])


def test_a_bus_that_is_held_low_is_no_chip_full_of_zeros():
    World()
    for pin, name in (("21", "SDA"), ("22", "SCL")):
        sensor = make_sensor("sht4x", {"sht4x 0x44": [[21.5, 40.2]]})
        for _ in range(2):
            fake_board.script["held"] = {pin: -1}
            said = str(raises(OSError, sensor.probe))
            assert said.startswith("I2C: %s (GPIO %s) is held low" % (name, pin)), said
            fake_board.script["held"] = {}
            equal(sensor.read(), [2150, 4020])  # and once more on the open bus


def test_the_board_names_a_key_that_is_missing_or_of_the_wrong_type():
    for entry, words in (
        ({"type": "ads1115"}, "sensors[0] of type ads1115: channel is missing"),
        ({"type": "binary"}, "sensors[0] of type binary: pin is missing"),
        ({"type": "sht4x", "address": []}, "sensors[0] of type sht4x: "),
        ({"type": "sht5x"}, "sensors[0] of type sht5x: "),
        ({"type": "binary", "pin": 4, "pull": "sideways"}, "sensors[0] of type binary: pull is sideways; needed"),
        ({"type": "pulse", "pin": 4, "pull": ["up"]}, "sensors[0] of type pulse: pull is ['up']; needed"),
        ({"type": "internal", "also": ["ip", "mood"]}, "sensors[0] of type internal: also names mood; there"),
    ):
        said = str(raises(ValueError, World, {"values": {}}, i2c=WIRES, sensors=[entry]))
        assert said.startswith("config.json: " + words), said


def test_sensors_share_the_bus_that_the_configuration_names_once():
    world = World(
        {"wifi": {"lab": "12345678"}, "values": {"sht4x 0x44": [[21.5, 40.2]], "sht4x 0x45": [[5.0, 80.0]]}},
        i2c=WIRES,
        sensors=[
            {"type": "sht4x", "name": "in"},
            {"type": "sht4x", "name": "out", "address": "0x45"},
            {"type": "internal"},
        ],
    )
    world.run(30000)
    equal(world.readings("in/temperature")[0]["value"], 21.5)
    equal(world.readings("out/humidity")[0]["value"], 80.0)
    first, broker = [source.sensor.bus for source in world.node.sources[:2]]
    assert first is broker and "open" in first


def test_an_answer_that_is_garbled_or_missing_once_is_asked_for_again():
    World()
    for kind, place, good in (
        ("sht4x", "0x44", [2000, 4000]),
        ("sht3x", "0x44", [2000, 4000]),
        ("aht20", "0x38", [2000, 4000]),
        ("bh1750", "0x23", [200]),
    ):
        for fault in ("crc", None, "stretch"):
            if (kind, fault) == ("bh1750", "crc"):
                continue  # it has none
            value = 20 if kind == "bh1750" else [20, 40]
            sensor = make_sensor(kind, {"%s %s" % (kind, place): [value, fault, value]})
            sensor.probe()
            equal([sensor.read(), sensor.read()], [good, good], (kind, fault))


def test_an_sht3x_reads_hundredths():
    World()
    sensor = make_sensor("sht3x", {"sht3x 0x44": [[21.5, 40.2], [-40.0, 0.0], "crc", "crc", "stretch", "stretch"]})
    sensor.probe()
    equal([sensor.read(), sensor.read()], [[2150, 4020], [-4000, 0]])
    assert "checksum" in str(raises(OSError, sensor.read))
    assert "SHT3x at 0x44: the bus failed (110)" in str(raises(OSError, sensor.read))


def test_an_aht20_reads_what_a_real_one_sent():
    World()
    # 23.191071 %, 31.674576 °C, and a checksum that is right
    real = [0x1C, 0x3B, 0x5E, 0x86, 0x88, 0xB2, 0xD2]
    another = [28, 38, 154, 118, 66, 231, 118]  # 15.079 %, 28.267 °C
    sensor = make_sensor(
        "aht20", {"aht20 0x38": [real, another, [21.5, 40.2], [-40.0, 0.0], [85.0, 100.0], "crc", "crc"]}
    )
    sensor.probe()
    equal([sensor.read() for _ in range(5)], [[3167, 2319], [2827, 1508], [2150, 4020], [-4000, 0], [8500, 10000]])
    assert "AHT20 at 0x38: the checksum" in str(raises(OSError, sensor.read))


def test_an_aht20_that_is_busy_has_a_second_try_and_one_without_calibration_is_told():
    world = World()
    sensor = make_sensor("aht20", {"aht20 0x38": [[20, 40], "busy", "stuck"]})
    sensor.probe()
    equal(sensor.read(), [2000, 4000])
    began = world.clock.now
    equal(sensor.read(), [2000, 4000])
    equal(world.clock.now - began, 160)
    chip = fake_board.chips[0x38]
    chip.busy = lambda: True
    assert "busy, and does not end" in str(raises(OSError, sensor.read))
    sensor = make_sensor("aht20", {"aht20 0x38": ["uncalibrated"]})
    assert "does not load its calibration" in str(raises(OSError, sensor.probe))


def test_a_bh1750_reads_lux_as_its_data_sheet_does():
    world = World()
    sensor = make_sensor("bh1750", {"bh1750 0x23": [28067, 0, 100.8, 60000, None, None]})
    sensor.probe()
    began = world.clock.now
    equal(sensor.read(), [280667], "1000001110010000: 28067 lx")
    assert world.clock.now - began >= 180, "before, it would answer with the measurement before"
    equal([sensor.read(), sensor.read()], [[0], [1008]])
    assert "brighter than the 54612 lx" in str(raises(OSError, sensor.read))
    assert "no BH1750 answers at 0x23" in str(raises(OSError, sensor.read))
    assert "no BH1750 answers at 0x5c" in str(raises(OSError, make_sensor("bh1750", {}, address="0x5c").probe))


def test_a_chip_that_does_not_take_a_command_is_said_in_words():
    World()
    sensor = make_sensor("sht4x", {"sht4x 0x44": [[20, 40]]})
    sensor.probe()
    fake_board.chips[0x44].write = lambda data: 0
    assert "does not take its commands" in str(raises(OSError, sensor.read))


def test_an_scd4x_answers_as_in_its_data_sheet():
    from chip_scd4x import words

    equal(words((0x01F4, 0x6667, 0x5EB9)), b"\x01\xf4\x33\x66\x67\xa2\x5e\xb9\x3c")
    world = World()
    sensor = make_sensor("scd4x", {"scd4x 0x62": [[500, 25.0, 37.0]]}, altitude_m=1000)
    sensor.probe()
    equal(fake_board.chips[0x62].altitude_m, 1000)
    equal(sensor.read(), [..., ..., ...])
    world.clock.sleep_ms(5100)
    equal(sensor.read(), [..., ..., ...], "the first after a start")
    world.clock.sleep_ms(5000)
    equal(sensor.read(), [500, 2500, 3700])
    equal(sensor.read(), [..., ..., ...], "nothing new")
    world.clock.sleep_ms(5000)
    equal(sensor.read(), [500, 2500, 3700])


def test_an_scd4x_that_measured_while_the_board_slept_is_not_started_again():
    world = World()
    fake_board.use({"values": {"scd4x 0x62": [[800, 20, 50]]}})
    sensor = made("scd4x")
    sensor.probe()
    world.clock.sleep_ms(60000)
    for cause, want in ((4, [800, 2000, 5000]), (1, [..., ..., ...])):
        fake_board.cause[0] = cause
        sensor = made("scd4x")
        sensor.probe()
        equal(sensor.read(), want, "reset cause %d" % cause)
    world.clock.sleep_ms(12000)
    equal(sensor.read(), [800, 2000, 5000])
    world.clock.sleep_ms(6000)
    sensor = made("scd4x")
    sensor.probe()  # after a reset it has its altitude anew
    equal(sensor.read(), [..., ..., ...])
    fake_board.use({"values": {"scd4x 0x62": [[800, 20, 50]]}, "cause": 4})
    sensor = made("scd4x")
    sensor.probe()  # it lost its power while the board slept
    world.clock.sleep_ms(12000)
    equal(sensor.read(), [800, 2000, 5000])


def test_an_scd4x_has_settled_ten_seconds_after_its_start_and_not_before():
    for waits_ms, want in ((9990, [..., ..., ...]), (10000, [800, 2000, 5000])):
        world = World()
        sensor = make_sensor("scd4x", {"scd4x 0x62": [[800, 20, 50]]})
        began = world.clock.now
        sensor.probe()
        world.clock.sleep_ms(began + waits_ms - world.clock.now)
        equal(sensor.read(), want)
    sensor.probe()  # begun anew after a failure: it settles again
    world.clock.sleep_ms(6000)
    equal(sensor.read(), [..., ..., ...])
    world.clock.sleep_ms(4500)
    equal(sensor.read(), [800, 2000, 5000])
    sensor.is_ready = lambda: True
    sensor.words = lambda command, count, wait_ms: [800, 0, 0]
    world.clock.now += 7 * 86400000  # the tick counter has wrapped
    equal(sensor.read()[0], 800, "it has settled for good")


def test_an_scd4x_that_falls_silent_or_shows_nothing_is_no_reading():
    world = World({"wifi": {"lab": "12345678"}, "values": {"scd4x 0x62": [[0, 20, 50]]}}, i2c=WIRES,
              sensors=[{"type": "scd4x"}])  # fmt: skip
    world.run(60000)
    assert "sensor scd4x: co2 0 ppm cannot be; trying again" in world.said, world.said
    equal(world.readings(), [])
    sensor = make_sensor("scd4x", {"scd4x 0x62": ["silent"]})
    sensor.probe()
    world.clock.sleep_ms(59000)
    equal(sensor.read(), [..., ..., ...])
    world.clock.sleep_ms(1001)
    assert "nothing for a minute" in str(raises(OSError, sensor.read))
    sensor = make_sensor("scd4x", {"scd4x 0x62": [[800, 20, 50]] * 4 + ["silent"] * 99})
    sensor.probe()
    world.clock.sleep_ms(21000)
    equal(sensor.read()[0], 800)
    world.clock.sleep_ms(59000)
    equal(sensor.read()[0], ..., "the minute begins with the last measurement")
    world.clock.sleep_ms(2000)
    raises(OSError, sensor.read)
    sensor = make_sensor("scd4x", {"scd4x 0x62": [[800, 20, 50], [800, 20, 50], [800, 20, 50], "crc"]})
    sensor.probe()
    world.clock.sleep_ms(22000)
    assert "SCD4x at 0x62: the checksum" in str(raises(OSError, sensor.read))
    fake_board.script["values"]["scd4x 0x62"] = None
    assert "no SCD4x answers" in str(raises(OSError, sensor.read))
    sensor = make_sensor("scd4x", {"scd4x 0x62": [[800, 20, 50]]})
    sensor.probe()
    fake_board.chips[0x62].read = lambda size_b: bytes(size_b)
    assert "checksum" in str(raises(OSError, sensor.probe)), "something else that answers there"


def test_an_ads1115_reads_each_of_its_inputs_and_ranges():
    World()
    volts = [1.5, 0.5, -0.1, 3.0]
    for channel, range_mv, want in (
        (0, 4096, [15000]), ("1", 4096, [5000]), ("2", 4096, [-1000]), ("3", 6144, [30000]), ("0-1", 2048, [10000]),
        ("0-3", 2048, [-15000]), ("1-3", 4096, [-25000]), ("2", 256, [-100000]), ("1", 1024, [500000]),
    ):  # fmt: skip
        sensor = make_sensor("ads1115", {"ads1115 0x48": [volts]}, channel=channel, range_mv=range_mv)
        sensor.probe()
        equal(sensor.read(), want, (channel, range_mv))
    sensor = make_sensor("ads1115", {"ads1115 0x48": [volts]}, channel="0", ratio=2.5)
    equal(sensor.read(), [37500])
    equal(fake_board.chips[0x48].config, 0xC383, "one conversion, AIN0, 4.096 V, 128 a second, no comparator")
    sensor = make_sensor("ads1115", {"ads1115 0x48": [volts]}, channel="2", range_mv=512)
    equal(sensor.fields, (("voltage", "V", 6),))


def test_an_ads1115_at_the_end_of_its_range_or_another_chip_is_no_reading():
    World()
    for volts, range_mv in (([4.2, 0, 0, 0], 4096), ([-0.6, 0, 0, 0], 512)):
        sensor = make_sensor("ads1115", {"ads1115 0x48": [volts]}, channel="0", range_mv=range_mv)
        assert str(raises(OSError, sensor.read)).startswith("ADS1115 at 0x48: more than it can measure")
    sensor = make_sensor("ads1115", {"ads1115 0x48": [[1, 1, 1, 1], "busy"]}, channel="0")
    sensor.probe()
    assert "does not end" in str(raises(OSError, sensor.read))
    sensor = make_sensor("ads1115", {"ads1115 0x48": ["deaf"]}, channel="0", range_mv=2048)
    fake_board.chips.clear()
    sensor = make_sensor("ads1115", {"ads1115 0x48": ["deaf"]}, channel="0")
    sensor.command = b"\x01\xc3\x81"
    assert "does not keep" in str(raises(OSError, sensor.probe))
    for keys in ({"channel": "4"}, {"channel": "0", "range_mv": 5000}, {"channel": "1-0"}):
        assert "it does not have" in str(raises(ValueError, make_sensor, "ads1115", {}, **keys))


def test_a_bme280_computes_as_in_the_worked_example():
    World()
    sensor = make_sensor("bmp280", {"bmp280 0x76": [{"raw": [519888, 415148, 0]}]})
    sensor.probe()
    equal(sensor.read(), [2508, 100653], "25.08 °C, 100653.27 Pa")


def test_a_bme280_agrees_with_the_formulas_in_floating_point():
    World()
    shown = [[21.5, 1006.53, 40.2], [-39.0, 310.0, 5.0], [84.0, 1090.0, 95.0], [0.0, 850.0, 70.0], [35.0, 1013.25, 20]]
    sensor = make_sensor("bme280", {"bme280 0x77": shown}, address="0x77")
    sensor.probe()
    for celsius, hectopascal, percent in shown:
        temperature, pressure, humidity = sensor.read()
        assert (
            abs(temperature - celsius * 100) <= 2
            and abs(pressure - hectopascal * 100) <= 3
            and abs(humidity - percent * 100) <= 4
        ), (
            temperature,
            pressure,
            humidity,
        )


def test_humidity_of_a_bme280_is_that_of_the_formula_with_every_calibration():
    import chip_bme280

    World()
    real = chip_bme280.H
    for calibration in (
        (75, 357, 0, 322, 0, 30), (75, 370, 5, 307, 50, 30), (128, 340, 255, 360, -50, -20), (0, 420, 0, -5, 1, 0),
    ):  # fmt: skip
        chip_bme280.H = calibration
        for raw_temperature in (400000, 519888, 620000):
            sensor = make_sensor(
                "bme280",
                {"bme280 0x76": [{"raw": [raw_temperature, 415148, raw]} for raw in range(20000, 42000, 2111)]},
            )
            sensor.probe()
            for raw in range(20000, 42000, 2111):
                want = min(max(chip_bme280.percent_of(raw, chip_bme280.fine_of(raw_temperature)), 0), 100)
                got = sensor.read()[2] / 100
                assert abs(got - want) < 0.012, (calibration, raw_temperature, raw, got, want)
    chip_bme280.H = real


def test_humidity_of_a_bme280_is_cut_where_the_data_sheet_says():
    World()
    sensor = make_sensor("bme280", {"bme280 0x76": [{"raw": [519888, 415148, 0]}, {"raw": [519888, 415148, 65535]}]})
    sensor.probe()
    equal([sensor.read()[2], sensor.read()[2]], [0, 10000])


def test_a_bme280_that_is_another_chip_blank_busy_or_asleep_is_said_in_words():
    World()
    for kind, values, part in (
        ("bme280", {"bmp280 0x76": [[20, 1000]]}, "0x58, which a BMP280 has, not 0x60"),
        ("bmp280", {"bme280 0x76": [[20, 1000, 50]]}, "0x60, which a BME280 has, not 0x58"),
        ("bme280", {"bme280 0x76": ["id", 0x61]}, "which a BME680 has"),
        ("bme280", {"bme280 0x76": ["id", 0x00]}, "which none has"),
        ("bme280", {"bme280 0x76": ["id", 0xFF]}, "which none has"),
        ("bme280", {"bme280 0x76": ["id", 0x01]}, "which another has"),
        ("bme280", {"bme280 0x76": ["blank"]}, "calibration is missing"),
        ("bme280", {}, "no BME280 answers at 0x76"),
    ):
        assert part in str(raises(OSError, make_sensor(kind, values).probe)), part
    sensor = make_sensor("bme280", {"bme280 0x76": ["nothing", "nothing", [20, 1000, 50], "busy"]})
    sensor.probe()
    assert "measured nothing" in str(raises(OSError, sensor.read))
    equal(sensor.read()[0], 2000)
    assert "does not end" in str(raises(OSError, sensor.read))


def test_a_bme280_that_is_slow_once_is_waited_for():
    world = World()
    sensor = make_sensor("bme280", {"bme280 0x76": [[20, 1000, 50]]})
    sensor.probe()
    chip = fake_board.chips[0x76]
    measure = chip.measure
    for takes_ms, in_ms in ((9, 10), (15, 20)):
        chip.measure = lambda ms: measure(takes_ms)  # noqa: B023
        began = world.clock.now
        equal((sensor.read()[0], world.clock.now - began), (2000, in_ms))


def test_a_bme280_that_measured_one_quantity_alone_is_asked_again_and_is_no_reading():
    # its supply broke down: what it has not measured stands at half of its range, which is 819 hPa or 63 %
    World()
    good = {"raw": [519888, 415148, 30000]}
    for raw in ([0x80000, 415148, 30000], [519888, 0x80000, 30000], [519888, 415148, 0x8000]):
        broken = {"raw": raw, "broke_down": True}
        sensor = make_sensor("bme280", {"bme280 0x76": [good, broken, good, broken]})
        sensor.probe()
        once = sensor.read()
        equal(sensor.read(), once, "the second answer is the right one")
        script = fake_board.script["values"]
        script["bme280 0x76"] = [broken]
        assert "BME280 at 0x76: it has measured nothing" in str(raises(OSError, sensor.read)), raw
    sensor = make_sensor("bmp280", {"bmp280 0x76": [{"raw": [519888, 415148, 0x8000]}]})
    sensor.probe()
    equal(sensor.read(), [2508, 100653], "a BMP280 has no humidity to measure")


def test_a_humidity_that_is_measured_as_half_of_the_range_is_a_reading():
    # in still air of 63 % it is so several times in a row
    World()
    for raw in ([519888, 415148, 0x8000], [0x80000, 415148, 30000]):
        readings = []
        for more in (0, 1):
            sensor = make_sensor("bme280", {"bme280 0x76": [{"raw": [raw[0] + more, raw[1], raw[2] + more]}]})
            sensor.probe()
            readings.append(sensor.read())
        for value, other in zip(*readings):
            assert abs(value - other) < 5, readings


def test_a_calibration_that_came_garbled_is_not_believed():
    # it has no checksum, and would make each reading wrong by some degrees until the next start
    World()
    sensor = make_sensor("bme280", {"bme280 0x76": [[20, 1000, 50]]})
    for pointer in (0x88, 0xE1):
        fake_board.chips.clear()
        from machine import SoftI2C

        SoftI2C(None, None)
        chip = fake_board.chips[0x76]
        real = chip.read
        spoilt = [pointer]

        def read(size_b):
            data = bytearray(real(size_b))
            if chip.pointer in spoilt:
                spoilt.remove(chip.pointer)
                data[1] ^= 0x10
            return bytes(data)

        chip.read = read
        assert "its calibration is another each time it is read" in str(raises(OSError, sensor.probe))
        sensor.probe()


def test_a_chip_of_another_type_at_the_same_address_is_told():
    World()
    for kind, other in (("sht3x", "sht4x"), ("sht4x", "sht3x")):
        sensor = make_sensor(kind, {other + " 0x44": [[20, 40]]})
        said = str(raises(OSError, sensor.probe))
        equal(said, "%s at 0x44: it does not take its commands: is it another chip?" % sensor.chip)
        fake_board.chips[0x44].write = len  # it acknowledges, and then has no answer
        fake_board.chips[0x44].busy = lambda: True
        equal(str(raises(OSError, sensor.probe)), said)
    sensor = make_sensor("aht20", {"aht20 0x38": [[0x18, 0x80, 0, 6, 0, 0, 0xFF]]})
    sensor.probe()
    assert "sends no checksum: is it an AHT10?" in str(raises(OSError, sensor.read))
