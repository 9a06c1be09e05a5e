"""The sensors: what they read, and in which words they are missing."""

import on_board
from fakes.check import equal, raises
from on_board import World

import fake_board


def make_sensor(kind, script, **keys):
    fake_board.use({"values": script})
    return __import__("sensors." + kind, None, None, ("Sensor",)).Sensor(keys)


def names(sensor):
    return [(quantity, unit, places) for quantity, unit, places in sensor.fields]


def test_dht22_reads_tenths():
    sensor = make_sensor("dht22", {"dht22 4": [[21.5, 40.2], [-0.1, 100.0]]}, pin=4)
    equal(sensor.read(), [215, 402])
    equal(sensor.read(), [-1, 1000])
    equal(names(sensor), [("temperature", "°C", 1), ("humidity", "%", 1)])


def test_dht22_that_is_missing_or_garbled_is_said_in_words():
    World()  # its clock
    sensor = make_sensor("dht22", {}, pin=4)
    equal(str(raises(OSError, sensor.read)), "no DHT22 answers on GPIO 4")
    sensor = make_sensor("dht22", {"dht22 4": ["checksum"]}, pin=4)
    equal(str(raises(OSError, sensor.read)), "DHT22 on GPIO 4: checksum error")


def test_dht11_reads_whole_degrees():
    World()
    sensor = make_sensor("dht11", {"dht11 4": [[21, 40], None, [-5, 4], [0, 0], [1, 3]]}, pin=4)
    equal(sensor.read(), [21, 40])
    equal(sensor.read(), [-5, 4])
    equal(names(sensor), [("temperature", "°C", 0), ("humidity", "%", 0)])
    sensor = make_sensor("dht11", {"dht11 4": [[0, 0]]}, pin=4)
    assert "DHT11 on GPIO 4: all zeros" in str(raises(OSError, sensor.read))
    for celsius in (1, 0):  # the first byte of its temperature, up to 25.5 °C and over
        sensor = make_sensor("dht11", {"dht11 4": [[celsius, 3]]}, pin=4)
        assert "3 % cannot be: is it a DHT22?" in str(raises(OSError, sensor.read))
    equal(str(raises(OSError, make_sensor("dht11", {}, pin=4).read)), "no DHT11 answers on GPIO 4")


def test_frost_of_a_dht11_is_frost_though_the_driver_leaves_out_the_sign():
    sensor = make_sensor("dht11", {"dht11 4": [[-5, 40], [0, 40], [5, 40], [-20, 40]]}, pin=4)
    equal(
        [sensor.device.temperature() for _ in range(2) if not sensor.device.measure()], [5, 0], "as MicroPython's does"
    )
    equal([sensor.read()[0] for _ in range(4)], [5, -20, -5, 0])
    sensor = make_sensor("dht11", {"dht11 4": [[21.7, 40], [-5.7, 40]]}, pin=4)
    equal([sensor.read()[0] for _ in range(2)], [21, -5], "its tenths are no sign")


def test_ds18b20_reads_hundredths_after_its_conversion_time():
    world = World()
    fake_board.use({"values": {"ds18b20 5": [19.25, -0.06]}})
    sensor = __import__("sensors.ds18b20", None, None, ("Sensor",)).Sensor({"pin": 5})
    sensor.probe()
    began = world.clock.now
    equal(sensor.read(), [1925])
    assert world.clock.now - began >= 750
    equal(sensor.read(), [-6])


def test_ds18b20_that_is_missing_or_garbled_is_said_in_words():
    World()  # its clock
    sensor = make_sensor("ds18b20", {}, pin=5)
    equal(str(raises(OSError, sensor.probe)), "no DS18B20 answers on GPIO 5")
    sensor = make_sensor("ds18b20", {"ds18b20 5": ["crc", "crc", None, None]}, pin=5)
    sensor.probe()
    equal(str(raises(OSError, sensor.read)), "DS18B20 on GPIO 5: CRC error")
    equal(str(raises(OSError, sensor.read)), "no DS18B20 answers on GPIO 5")


def test_ds18b20_after_power_on_is_no_reading_but_a_real_85_is():
    World()
    sensor = make_sensor("ds18b20", {"ds18b20 5": [85.0, 85.0, 85.0, 20.0, 85.0, 85.0, 85.0, 83.0, 85.0]}, pin=5)
    sensor.probe()
    assert "before any conversion" in str(raises(OSError, sensor.read))
    equal(sensor.read(), [2000], "the second answer is the right one")
    assert "before any conversion" in str(raises(OSError, sensor.read))
    equal(sensor.read(), [8300])
    equal(sensor.read(), [8500])


def test_ds18b20_is_chosen_by_its_address():
    World()
    script = {"ds18b20 5": [20.0]}
    sensor = make_sensor("ds18b20", script, pin=5, rom="28ff010203040505")
    sensor.probe()
    equal(sensor.read(), [2000])
    sensor = make_sensor("ds18b20", script, pin=5, rom="28ff010203040599")
    said = str(raises(OSError, sensor.probe))
    assert "28ff010203040599 is not on GPIO 5; there: 28ff010203040505" in said, said
    for rom in ("28ff", "zz", 5):
        assert "16 hexadecimal digits" in str(raises(ValueError, make_sensor, "ds18b20", script, pin=5, rom=rom))


def test_of_several_ds18b20_none_is_taken_by_chance():
    World()
    script = {"ds18b20 5": [20.0], "ds18b20 5 more": [30.0]}
    said = str(raises(OSError, make_sensor("ds18b20", script, pin=5).probe))
    assert "rom must say which: 28ff010203040505, 28ff010203040605" in said, said
    sensor = make_sensor("ds18b20", script, pin=5, rom="28ff010203040505")
    sensor.probe()
    equal(sensor.read(), [2000])


def test_adc_reads_millivolts_times_the_divider():
    sensor = make_sensor("adc", {"adc 34": [1500]}, pin=34)
    equal(sensor.read(), [1500])
    sensor = make_sensor("adc", {"adc 34": [1500]}, pin=34, ratio=2.5)
    equal(sensor.read(), [3750])
    equal(names(sensor), [("voltage", "V", 3)])
    for key, value in (("ratio", 0), ("ratio", "2"), ("full_scale_mv", True)):
        assert key in str(raises(ValueError, make_sensor, "adc", {}, **{"pin": 34, key: value}))


def test_a_first_answer_that_fails_is_asked_for_once_more():
    world = World()
    sensor = make_sensor("dht22", {"dht22 4": [None, [21.5, 40.2], "checksum", [21.6, 40.1]]}, pin=4)
    began = world.clock.now
    equal(sensor.read(), [215, 402])
    assert 2000 <= world.clock.now - began < 2300, "the device measures every 2 s at most"
    equal(sensor.read(), [216, 401])
    sensor = make_sensor("ds18b20", {"ds18b20 5": ["crc", 19.25]}, pin=5)
    sensor.probe()
    equal(sensor.read(), [1925])


def test_an_answer_of_a_dht22_that_is_of_long_ago_is_asked_for_again():
    world = World()
    sensor = make_sensor("dht22", {"dht22 4": [[10.0, 40.0], [20.0, 40.0], [30.0, 40.0], [40.0, 40.0]]}, pin=4)
    equal(sensor.read(), [100, 400], "of the start")
    world.clock.sleep_ms(119999)
    equal(sensor.read(), [200, 400])
    world.clock.sleep_ms(120000)
    began = world.clock.now
    equal(sensor.read(), [400, 400], "the first was two minutes old")
    assert 2000 <= world.clock.now - began < 2300
    sensor = make_sensor("dht22", {"dht22 4": [[10.0, 40.0], [20.0, 40.0], [30.0, 40.0]]}, pin=4)
    world.clock.now += 8 * 86400000  # the tick counter has wrapped
    equal(sensor.read(), [200, 400])
    for answers in ([[10.0, 40.0], [20.0, 40.0], [30.0, 40.0]], [None, [20.0, 40.0], [30.0, 40.0]]):
        sensor = make_sensor("dht22", {"dht22 4": answers}, pin=4, asleep_s=120)
        equal([sensor.read(), sensor.read()], [[200, 400], [300, 400]], "after a deep sleep")
    equal(make_sensor("dht22", {"dht22 4": [[10.0, 40.0]]}, pin=4, asleep_s=119).read(), [100, 400])


def test_frost_of_a_dht22_that_sends_twos_complement_is_frost():
    sensor = make_sensor("dht22", {"dht22 4": [[-3274.5, 69.5], [-3276.7, 69.5], [-2.3, 69.5]]}, pin=4)
    equal([sensor.read()[0] for _ in range(3)], [-23, -1, -23])
    equal(make_sensor("dht22", {"dht22 4": [[-3236.8, 69.5]]}, pin=4).read()[0], -400)
    World()
    sensor = make_sensor("dht22", {"dht22 4": [[-3236.7, 69.5]]}, pin=4)
    assert "cannot be" in str(raises(OSError, sensor.read)), "-40.1 °C"


def test_what_no_air_and_no_water_can_be_is_no_reading():
    World()
    for kind, key, values, part in (
        ("dht22", "dht22 4", [0.0, 0.0], "all zeros"),
        ("dht22", "dht22 4", [200.0, 50.0], "200 °C cannot be"),
        ("dht22", "dht22 4", [-41.0, 50.0], "-41 °C cannot be"),
        ("dht22", "dht22 4", [21.5, 1024.0], "is it a DHT11?"),
        ("ds18b20", "ds18b20 5", -127.0, "cannot be"),
        ("ds18b20", "ds18b20 5", 125.5, "cannot be"),
        ("ds18b20", "ds18b20 5", "zeros", "shorted to ground"),
    ):
        sensor = make_sensor(kind, {key: [values]}, pin=int(key.split()[1]))
        sensor.probe()
        assert part in str(raises(OSError, sensor.read)), (values, part)
    for kind, key, values, want in (
        ("dht22", "dht22 4", [0.0, 40.0], [0, 400]),
        ("dht22", "dht22 4", [-40.0, 0.1], [-400, 1]),
        ("dht22", "dht22 4", [125.0, 100.0], [1250, 1000]),
        ("ds18b20", "ds18b20 5", 0.0, [0]),
        ("ds18b20", "ds18b20 5", -55.0, [-5500]),
        ("ds18b20", "ds18b20 5", 125.0, [12500]),
    ):
        sensor = make_sensor(kind, {key: [values]}, pin=int(key.split()[1]))
        sensor.probe()
        equal(sensor.read(), want)


def test_a_bus_that_raises_while_it_is_searched_has_no_sensor():
    sensor = make_sensor("ds18b20", {}, pin=5)

    def scan():
        raise Exception("no presence")

    sensor.bus.scan = scan
    equal(str(raises(OSError, sensor.probe)), "no DS18B20 answers on GPIO 5 (no presence)")


def test_an_adc_at_the_end_of_its_range_is_no_reading():
    sensor = make_sensor("adc", {"adc 34": [3300]}, pin=34)
    assert "more than it can measure" in str(raises(OSError, sensor.read))
    sensor = make_sensor("adc", {"adc 34": [0]}, pin=34)
    equal(sensor.read(), [0])
    equal(make_sensor("adc", {"adc 34": [0]}, pin=34, ratio=1000.0).read(), [0])

    def taken():
        raise OSError(-263, "ESP_ERR_TIMEOUT")

    sensor.adc.read_uv = taken
    assert "ADC on GPIO 34" in str(raises(OSError, sensor.read)), "ADC2 while WiFi is on"


def test_a_chip_without_an_answer_for_its_temperature_tells_the_rest():
    World({"values": {}})
    sensor = make_sensor("internal", {"chip": [41, None, 900]})
    sensor.probe()
    equal(sensor.read()[2], None)
    equal(sensor.read()[2], None)
    equal(sensor.read()[2], 410)


def test_internal_has_uptime_and_heap_and_temperature_where_there_is_one():
    world = World({"values": {}})
    sensor = __import__("sensors.internal", None, None, ("Sensor",)).Sensor({})
    sensor.probe()
    equal([quantity for quantity, unit, places in sensor.fields], ["uptime", "heap"])
    world.clock.sleep_ms(3000)
    got = sensor.read()
    equal((len(got), got[0]), (2, 3))
    sensor = make_sensor("internal", {"chip": [41, 42.5]})
    sensor.probe()
    equal(names(sensor)[2], ("temperature", "°C", 1))
    equal(sensor.read()[2], 425)


def test_the_first_esp32_tells_fahrenheit_and_what_no_chip_can_have_is_no_temperature():
    import esp32

    World({"values": {}})
    real = esp32.mcu_temperature
    del esp32.mcu_temperature
    esp32.raw_temperature = lambda: 122
    try:
        sensor = make_sensor("internal", {})
        sensor.probe()
        equal(sensor.read()[2], 500)
    finally:
        del esp32.raw_temperature
        esp32.mcu_temperature = real
    for celsius, want in ((-40, -400), (125, 1250), (-40.1, None), (125.1, None), (0, 0)):
        sensor = make_sensor("internal", {"chip": [20, celsius]})
        sensor.probe()
        equal(sensor.read()[2], want)


def test_internal_tells_of_the_board_in_whole_seconds_and_bytes_however_often_it_is_asked():
    world = World({"values": {}})
    sensor = make_sensor("internal", {})
    for _ in range(2):  # after a failure it is looked for again
        sensor.probe()
        equal(names(sensor), [("uptime", "s", 0), ("heap", "B", 0)])
    sensor = make_sensor("internal", {"chip": [20, None]}, also=["rssi"])
    for quantities in (["uptime", "heap", "temperature", "rssi"], ["uptime", "heap", "rssi"]):
        sensor.probe()
        equal([quantity for quantity, _, _ in names(sensor)], quantities)
    sensor = make_sensor("internal", {})
    sensor.probe()
    assert sensor.diagnostic, "nobody wants a card of it"
    got = []
    for _ in range(5):
        world.clock.sleep_ms(1500)
        got.append(sensor.read()[0])
    equal(got, [1, 3, 4, 6, 7])


def test_an_adc_of_an_esp8266_is_the_one_that_it_has():
    import machine_adc

    real = machine_adc.ADC.ATTN_11DB
    del machine_adc.ADC.ATTN_11DB
    made = []
    init = machine_adc.ADC.__init__
    machine_adc.ADC.__init__ = lambda self, *args, **named: made.append((args, named))
    try:
        make_sensor("adc", {}, pin=0)
        equal(made, [((0,), {})])
    finally:
        machine_adc.ADC.__init__ = init
        machine_adc.ADC.ATTN_11DB = real


def test_a_single_sample_under_the_end_of_the_range_is_a_reading():
    sensor = make_sensor("adc", {"adc 34": [1000]}, pin=34)
    for raws, is_reading in (((65520,) * 8, False), ((65520,) * 7 + (65519,), True), ((65535,) * 8, False)):

        class Adc:
            left = list(raws)

            def read_u16(self):
                return self.left.pop(0)

            def read_uv(self):
                return 2450000

        sensor.adc = Adc()
        if is_reading:
            equal(sensor.read(), [2450])
        else:
            raises(OSError, sensor.read)


def test_an_adc_in_microvolts_is_the_mean_of_eight_in_millivolts():
    sensor = make_sensor("adc", {"adc 34": [1000]}, pin=34)

    class Adc:
        left = [1000999, 1000000, 1001000, 999999, 0, 2000000, 1000000, 1000000]
        read_u16 = staticmethod(int)

        def read_uv(self):
            return self.left.pop(0)

    sensor.adc = Adc()
    equal(sensor.read(), [1000])


def test_a_pin_that_is_missing_is_named():
    for kind in ("dht22", "ds18b20", "adc"):
        assert "pin is None" in str(raises(ValueError, make_sensor, kind, {}))


def test_scaled_integers_become_decimals():
    from node import decimal

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
        equal(decimal(value, places), text)


assert on_board  # the paths


def test_the_limits_of_each_chip_are_readings_and_what_is_beyond_is_none():
    World()
    for kind, key, good, bad in (
        ("dht22", "dht22 4", ([-40.0, 50.0], [125.0, 50.0], [20.0, 100.0], [20.0, 0.0], [-0.1, 0.0]),
         ([-40.1, 50.0], [125.1, 50.0], [20.0, 100.1])),
        ("ds18b20", "ds18b20 5", (-55.0, 125.0, 0.06), (-55.06, 125.06)),
    ):  # fmt: skip
        for value in good:
            sensor = make_sensor(kind, {key: [value]}, pin=int(key.split()[1]))
            sensor.probe()
            sensor.read()
        for value in bad:
            sensor = make_sensor(kind, {key: [value]}, pin=int(key.split()[1]))
            sensor.probe()
            assert "cannot be" in str(raises(OSError, sensor.read)), value
    sensor = make_sensor("dht22", {"dht22 4": [[21.5, 100.1]]}, pin=4)
    assert "100.1 % cannot be" in str(raises(OSError, sensor.read))
    sensor = make_sensor("dht22", {"dht22 4": [[130.0, 100.0]]}, pin=4)
    assert "130 °C cannot be" in str(raises(OSError, sensor.read))


def test_a_ds18b20_is_asked_to_convert_and_by_its_own_address():
    world = World()
    sensor = make_sensor("ds18b20", {"ds18b20 5": [20.0]}, pin=5)
    equal(names(sensor), [("temperature", "°C", 2)])
    asked = []
    sensor.bus.convert_temp = lambda: asked.append("convert")
    real = sensor.bus.read_temp
    sensor.bus.read_temp = lambda rom: asked.append(rom) or real(rom)
    sensor.probe()
    began = world.clock.now
    sensor.read()
    equal(asked, ["convert", b"\x28\xff\x01\x02\x03\x04\x05\x05"])
    equal(world.clock.now - began, 750)
    for last, believed in ((80.0, True), (79.9, False), (90.0, True), (90.1, False)):
        sensor = make_sensor("ds18b20", {"ds18b20 5": [last, 85.0, 85.0]}, pin=5)
        sensor.probe()
        sensor.read()
        if believed:
            equal(sensor.read(), [8500])
        else:
            raises(OSError, sensor.read)


def test_an_adc_without_calibration_has_the_full_scale_that_is_given():
    for full_scale_mv, raw, want in ((None, 32768, 500), (3300, 32768, 1650), (None, 13107, 200)):
        keys = {"pin": 34} if full_scale_mv is None else {"pin": 34, "full_scale_mv": full_scale_mv}
        sensor = make_sensor("adc", {"adc 34": [1650]}, **keys)

        class Plain:
            read_u16 = staticmethod(lambda: raw)  # noqa: B023

        sensor.adc = Plain()
        equal(sensor.read(), [want])


def no_other_meters():
    """A board whose RTC memory has room."""
    import kept

    World()
    kept.Kept.taken_b = 0


def test_a_meter_counts_each_pulse_however_many_they_were():
    # a float of an ESP32 has 24 bits
    no_other_meters()
    for per_unit, count, want in (
        (1000, (1 << 60) + 1, (1 << 60) + 1),
        (1, (1 << 60) + 1, (1 << 60) + 1),
        (800, (1 << 57) + 1, ((1 << 57) + 1) * 5 // 4),
        (3, 2, 7),
        (0.1, 7, 70),
    ):
        sensor = make_sensor("pulse", {}, pin=13, per_unit=per_unit)
        sensor.count = sensor.flashed = sensor.saved = count
        equal(sensor.read(), [want], per_unit)


def test_a_unit_that_would_break_the_message_is_refused():
    no_other_meters()
    for unit in ('m"3', "m\\3", "L\n", 5, None, ["L"]):
        assert "unit is " in str(raises(ValueError, make_sensor, "pulse", {}, pin=13, unit=unit)), unit
    for unit in ("m³", "", "kWh", "m/s"):
        equal(make_sensor("pulse", {}, pin=13, unit=unit).fields[0][1], unit)


def test_a_driver_that_gives_a_number_alone_is_no_trouble_of_flash_or_network():
    world = World(sensors=[{"type": "internal", "name": "yard"}])
    sensor = world.node.sources[0].sensor
    for code in (19, 5, 110, 116):

        def read(code=code):
            raise OSError(code)

        sensor.read = read
        world.run(700000)
        words = "its driver failed (%d): check its wires, its address and its supply" % code
        assert "sensor yard: %s; trying again" % words in world.said, world.said
