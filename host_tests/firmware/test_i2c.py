"""Chips on the I2C bus, register by register: what they are read as, and in which words they fail.

The worked examples are those of the data sheets.
"""

import on_board
from fakes.check import equal, raises
from on_board import World

import fake_board

WIRES = {"sda": 21, "scl": 22}
assert on_board  # the paths


def sensor(kind, script, **keys):
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
    s = sensor("sht4x", {"sht4x 0x44": [[21.5, 40.2], [-40.0, 0.0], [125.0, 100.0], [0.0, 104.0], [0.0, -5.0]]})
    s.probe()
    equal([s.read() for _ in range(5)], [[2150, 4020], [-4000, 0], [12500, 10000], [0, 10000], [0, 0]])
    equal(s.fields, (("temperature", "°C", 2), ("humidity", "%", 2)))


def test_a_chip_that_is_not_there_or_garbled_is_said_in_words():
    World()
    s = sensor("sht4x", {})
    said = str(raises(OSError, s.probe))
    equal(said, "no SHT4x answers at 0x44 on I2C (SDA GPIO 21, SCL GPIO 22): check address and wires")
    s = sensor("sht4x", {"sht4x 0x45": [[20, 40], "crc", "stretch", [20, 40]]}, address="0x45")
    s.probe()
    equal(s.read(), [2000, 4000])
    assert "SHT4x at 0x45: the checksum of its answer is wrong" in str(raises(OSError, s.read))
    assert "SHT4x at 0x45: the bus failed (110)" in str(raises(OSError, s.read)), "it holds SCL down"
    assert "i2c is missing" in str(raises(ValueError, made, "sht4x", i2c={}))


def test_a_chip_that_a_reset_left_in_the_middle_of_a_byte_is_clocked_until_it_lets_go():
    World()
    script = {"sht4x 0x44": [[21.5, 40.2]]}
    for clocks in (1, 5, 9):
        s = sensor("sht4x", script)
        fake_board.script["held"] = {"21": clocks}
        equal(s.read(), [2150, 4020])
        fake_board.script["held"] = {"21": clocks}  # and again while it runs
        equal(s.read(), [2150, 4020])


def test_a_bus_that_is_held_low_is_no_chip_full_of_zeros():
    World()
    for pin, name in (("21", "SDA"), ("22", "SCL")):
        s = sensor("sht4x", {"sht4x 0x44": [[21.5, 40.2]]})
        fake_board.script["held"] = {pin: -1}
        assert "%s (GPIO %s) is held low" % (name, pin) in str(raises(OSError, s.probe))
        fake_board.script["held"] = {}
        equal(s.read(), [2150, 4020])


def test_sensors_share_the_bus_that_the_configuration_names_once():
    w = World(
        {"wifi": {"lab": "12345678"}, "values": {"sht4x 0x44": [[21.5, 40.2]], "sht4x 0x45": [[5.0, 80.0]]}},
        i2c=WIRES,
        sensors=[
            {"type": "sht4x", "name": "in"},
            {"type": "sht4x", "name": "out", "address": "0x45"},
            {"type": "internal"},
        ],
    )
    w.run(30000)
    equal(w.readings("in/temperature")[0]["value"], 21.5)
    equal(w.readings("out/humidity")[0]["value"], 80.0)
    a, b = [source.sensor.bus for source in w.node.sources[:2]]
    assert a is b and "open" in a
