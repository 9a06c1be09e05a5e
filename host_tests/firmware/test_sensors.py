"""The sensors: what they read, and in which words they are missing."""

import on_board
from fakes.check import equal, raises
from on_board import World

import fake_board


def sensor(kind, script, **keys):
    fake_board.use({"values": script})
    return __import__("sensors." + kind, None, None, ("Sensor",)).Sensor(keys)


def names(s):
    return [(quantity, unit, places) for quantity, unit, places in s.fields]


def test_dht22_reads_tenths():
    s = sensor("dht22", {"dht22 4": [[21.5, 40.2], [-0.1, 100.0]]}, pin=4)
    equal(s.read(), [215, 402])
    equal(s.read(), [-1, 1000])
    equal(names(s), [("temperature", "°C", 1), ("humidity", "%", 1)])


def test_dht22_that_is_missing_or_garbled_is_said_in_words():
    s = sensor("dht22", {}, pin=4)
    equal(str(raises(OSError, s.read)), "no DHT22 answers on GPIO 4")
    s = sensor("dht22", {"dht22 4": ["checksum"]}, pin=4)
    equal(str(raises(OSError, s.read)), "DHT22 on GPIO 4: checksum error")


def test_ds18b20_reads_hundredths_after_its_conversion_time():
    w = World()
    fake_board.use({"values": {"ds18b20 5": [19.25, -0.06]}})
    s = __import__("sensors.ds18b20", None, None, ("Sensor",)).Sensor({"pin": 5})
    s.probe()
    began = w.clock.now
    equal(s.read(), [1925])
    assert w.clock.now - began >= 750
    equal(s.read(), [-6])


def test_ds18b20_that_is_missing_or_garbled_is_said_in_words():
    World()  # its clock
    s = sensor("ds18b20", {}, pin=5)
    equal(str(raises(OSError, s.probe)), "no DS18B20 answers on GPIO 5")
    s = sensor("ds18b20", {"ds18b20 5": ["crc", None]}, pin=5)
    s.probe()
    equal(str(raises(OSError, s.read)), "DS18B20 on GPIO 5: CRC error")
    equal(str(raises(OSError, s.read)), "no DS18B20 answers on GPIO 5")


def test_ds18b20_after_power_on_is_no_reading_but_a_real_85_is():
    World()
    s = sensor("ds18b20", {"ds18b20 5": [85.0, 20.0, 85.0, 83.0, 85.0]}, pin=5)
    s.probe()
    assert "before any conversion" in str(raises(OSError, s.read))
    equal(s.read(), [2000])
    assert "before any conversion" in str(raises(OSError, s.read))
    equal(s.read(), [8300])
    equal(s.read(), [8500])


def test_ds18b20_is_chosen_by_its_address():
    World()
    script = {"ds18b20 5": [20.0]}
    s = sensor("ds18b20", script, pin=5, rom="28ff010203040505")
    s.probe()
    equal(s.read(), [2000])
    s = sensor("ds18b20", script, pin=5, rom="28ff010203040599")
    said = str(raises(OSError, s.probe))
    assert "28ff010203040599 is not on GPIO 5; there: 28ff010203040505" in said, said
    for rom in ("28ff", "zz", 5):
        assert "16 hexadecimal digits" in str(raises(ValueError, sensor, "ds18b20", script, pin=5, rom=rom))


def test_adc_reads_millivolts_times_the_divider():
    s = sensor("adc", {"adc 34": [1500]}, pin=34)
    equal(s.read(), [1500])
    s = sensor("adc", {"adc 34": [1500]}, pin=34, ratio=2.5)
    equal(s.read(), [3750])
    equal(names(s), [("voltage", "V", 3)])
    for key, value in (("ratio", 0), ("ratio", "2"), ("full_scale_mv", True)):
        assert key in str(raises(ValueError, sensor, "adc", {}, **{"pin": 34, key: value}))


def test_internal_has_uptime_and_heap_and_temperature_where_there_is_one():
    w = World({"values": {}})
    s = __import__("sensors.internal", None, None, ("Sensor",)).Sensor({})
    s.probe()
    equal([q for q, unit, places in s.fields], ["uptime", "heap"])
    w.clock.sleep_ms(3000)
    got = s.read()
    equal((len(got), got[0]), (2, 3))
    s = sensor("internal", {"chip": [41, 42.5]})
    s.probe()
    equal(names(s)[2], ("temperature", "°C", 1))
    equal(s.read()[2], 425)


def test_a_pin_that_is_missing_is_named():
    for kind in ("dht22", "ds18b20", "adc"):
        assert "pin is None" in str(raises(ValueError, sensor, kind, {}))


def test_scaled_integers_become_decimals():
    import app

    for value, places, text in (
        (215, 1, "21.5"),
        (-205, 1, "-20.5"),
        (-5, 1, "-0.5"),
        (5, 3, "0.005"),
        (0, 2, "0.00"),
        (7, 0, "7"),
        (-7, 0, "-7"),
        (123456, 3, "123.456"),
        (None, 1, "null"),
    ):
        equal(app.decimal(value, places), text)


assert on_board  # the paths
