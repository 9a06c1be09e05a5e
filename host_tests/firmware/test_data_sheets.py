"""What every driver of a sensor promises: the quantities and units of the docs, the defaults that `make config` shows,
and no reading beyond its data sheet."""

import ast
import os
import re

import on_board
from fakes.check import equal
from on_board import World

import fake_board
import node
from machine_softi2c import crc8

CPYTHON_ONLY = "it reads the docs and the drivers"

ROOT = on_board.ROOT
OWN_KEYS = {"i2c": {"sda": 21, "scl": 22}, "pin": 34, "channel": "0"}
# value in the script of fake_board, and what a chip of that kind is called there
SHOWN = {
    "dht22": ("dht22 34", [20, 50]), "dht11": ("dht11 34", [20, 50]), "ds18b20": ("ds18b20 34", 20),
    "adc": ("adc 34", 1500), "battery": ("adc 34", 3700), "bme280": ("bme280 0x76", [20, 1000, 50]),
    "bmp280": ("bmp280 0x76", [20, 1000]), "sht3x": ("sht3x 0x44", [20, 50]), "sht4x": ("sht4x 0x44", [20, 50]),
    "aht20": ("aht20 0x38", [20, 50]), "bh1750": ("bh1750 0x23", 100), "scd4x": ("scd4x 0x62", [700, 20, 50]),
    "ads1115": ("ads1115 0x48", [1.0] * 4),
}  # fmt: skip


def kinds():
    names = os.listdir(os.path.join(ROOT, "firmware", "sensors"))
    return sorted(name[:-3] for name in names if name.endswith(".py") and name != "__init__.py")


def driver(kind):
    return __import__("sensors." + kind, None, None, ("Sensor",))


def make(kind, **keys):
    import kept

    kept.Kept.taken_b = 0
    return driver(kind).Sensor(dict(OWN_KEYS, i2c=dict(OWN_KEYS["i2c"]), **keys))


def rows():
    """{type: (what it publishes, its keys)} of the table in docs/firmware.md."""
    found = {}
    with open(os.path.join(ROOT, "docs", "firmware.md"), encoding="utf-8") as file:
        for line in file:
            cells = [cell.strip() for cell in line.split("|")]
            if len(cells) == 7 and re.match(r"`[a-z0-9]+`$", cells[1]):
                found[cells[1].strip("`")] = cells[2], cells[3]
    return found


def settings(sensor):
    """What of a sensor is plain: numbers, texts, flags."""
    return {
        name: value
        for name, value in vars(sensor).items()
        if isinstance(value, (int, float, str, bytes, tuple, type(None)))
    }


def keys_of(kind):
    """The rows of its _KEYS, of which nothing goes onto the board."""
    with open(os.path.join(ROOT, "firmware", "sensors", kind + ".py"), encoding="utf-8") as file:
        for statement in ast.parse(file.read()).body:
            if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "_KEYS":
                return ast.literal_eval(statement.value.args[0])
    return ()


def test_each_driver_publishes_the_quantities_of_the_docs_in_their_units():
    World()
    docs = rows()
    for kind in kinds():
        if kind in ("internal", "pulse", "binary"):  # theirs depend on their keys
            continue
        fake_board.use({"values": {}})
        text = docs["dht22"][0] if kind == "dht11" else docs[kind][0]
        want = [(name, "" if unit == "0" else unit) for name, unit in re.findall(r"`(\w+)` ([^ ,]+)", text)]
        equal([(quantity, unit) for quantity, unit, _ in make(kind).fields], want, kind)


def test_a_quantity_has_as_many_places_as_its_sensor_tells_apart():
    World()
    for places, types in (
        ({"temperature": 2, "humidity": 2, "pressure": 2}, ("bme280", "bmp280", "sht3x", "sht4x", "aht20")),
        ({"temperature": 2, "humidity": 2, "co2": 0}, ("scd4x",)),
        ({"temperature": 1, "humidity": 1}, ("dht22",)),
        ({"temperature": 0, "humidity": 0}, ("dht11",)),
        ({"illuminance": 1}, ("bh1750",)),
        ({"voltage": 3}, ("adc",)),
        ({"voltage": 4}, ("ads1115",)),
        ({"voltage": 3, "battery": 0, "low": 0}, ("battery",)),
        ({"temperature": 2}, ("ds18b20",)),
    ):
        for kind in types:
            for quantity, _, count in make(kind).fields:
                equal(count, places[quantity], (kind, quantity))


def test_a_key_that_is_left_out_has_the_default_that_is_shown_for_it():
    World()
    for kind in kinds():
        plain = settings(make(kind))
        for key, _, default, _ in keys_of(kind):
            if default not in (None, ""):
                equal(settings(make(kind, **{key: default})), plain, (kind, key))


def test_every_key_changes_something_and_its_ends_are_taken():
    World()
    for kind in kinds():
        plain = settings(make(kind))
        for key, allowed, default, _ in keys_of(kind):
            if default is None or isinstance(allowed, str) or key in ("empty_v", "full_v", "pull", "edge"):
                continue
            changed = [settings(make(kind, **{key: value})) != plain for value in allowed if value != default]
            assert any(changed), (kind, key)


def read(kind, shown):
    """(what a node makes of it, the line that it prints): the sensor shows this again and again."""
    name = SHOWN[kind][0]
    world = World({"wifi": {"lab": "12345678"}, "values": {name: [shown] * 40}})
    source = node.Source(dict(OWN_KEYS, i2c=dict(OWN_KEYS["i2c"]), type=kind), 0)
    for _ in range(4):
        try:
            got = source.read()
        except (OSError, ValueError) as error:
            return str(error)
        if got[0] is not ...:
            return got
        world.clock.sleep_ms(10000)
    return got


def test_a_raw_value_becomes_the_hundredth_that_is_nearest_to_the_formula_of_the_data_sheet():
    World()
    for kind, bits, slope, zero, percent_slope, percent_zero in (
        ("sht3x", 16, 175, -45, 100, 0),
        ("sht4x", 16, 175, -45, 125, -6),
        ("scd4x", 16, 175, -45, 100, 0),
        ("aht20", 20, 200, -50, 100, 0),
    ):
        full = 65535 if bits == 16 else 1 << 20
        sensor = make(kind)
        for raw in [*range(0, full, full // 700), full - 1]:
            if kind == "aht20":
                six = (0x18 << 40 | raw << 20 | raw).to_bytes(6, "big")
                sensor.ask = lambda *_: six + bytes([crc8(six)])  # noqa: B023
            else:
                sensor.settling = False
                sensor.is_ready = lambda: True
                sensor.words = lambda command, count, wait_ms: [raw] * count  # noqa: B023
            for got, slope_b, zero_b in zip(sensor.read()[-2:], (slope, percent_slope), (zero, percent_zero)):
                off = got * full - 100 * (slope_b * raw + zero_b * full)
                cut = slope_b == 125 and got in (0, 10000)
                assert cut or abs(off) * 2 <= full, (kind, raw, got)


def test_the_ends_of_a_data_sheet_are_readings_and_one_step_beyond_is_none():
    for kind, at, ends in (
        ("dht11", [20, 50], ((-20, 60), (4, 100))),
        ("sht3x", [20, 50], ((-40, 125), (0, 100))),
        ("sht4x", [20, 50], ((-40, 125), (0, 100))),
        ("aht20", [20, 50], ((-40, 85), (0, 100))),
        ("bme280", [20, 1000, 50], ((-40, 85), (300, 1100), (0, 100))),
        ("bmp280", [20, 1000], ((-40, 85), (300, 1100))),
        ("scd4x", [700, 20, 50], ((1, 40000), (-10, 60), (0, 100))),
    ):
        step = 1 if kind == "dht11" else 0.01
        places = [places for _, _, places in make(kind).fields]
        equal(
            make(kind).limits, tuple(round(end * 10**place) for place, pair in zip(places, ends) for end in pair), kind
        )
        for i, (least, most) in enumerate(ends):
            for value, inside in (
                (least, True), (most, True), (least + step, True), (most - step, True),
                (least - step, False), (most + step, False),
            ):  # fmt: skip
                quantity = driver(kind).Sensor.fields[i][0]
                if quantity == "humidity" and not inside and kind != "dht11":
                    continue  # the chip's formula ends there
                shown = list(at)
                shown[i] = round(value) if kind == "scd4x" and not i else value
                if kind == "scd4x" and not i and (0 < shown[0] <= 40000) != inside:
                    continue
                got = read(kind, shown)
                assert isinstance(got, list) == inside, (kind, quantity, value, got)
                assert inside or "cannot be" in got or kind == "dht11", (kind, quantity, got)


def test_a_bmp280_is_a_bme280_without_humidity_and_is_called_by_its_name():
    World()
    equal(read("bmp280", [21.5, 1000.0]), [2150, 100000])
    fake_board.use({"values": {"bme280 0x76": [[20, 1000, 50]]}})
    said = ""
    try:
        make("bmp280").probe()
    except OSError as error:
        said = str(error)
    assert "BMP280" in said and "0x76" in said, said


def test_an_aht20_or_bh1750_has_the_time_that_its_data_sheet_wants():
    for kind, shown, least_ms, most_ms in (
        ("aht20", [20, 50], 80, 90),
        ("bh1750", 100, 180, 190),
        ("sht3x", [20, 50], 16, 20),
        ("sht4x", [20, 50], 9, 12),
        ("ads1115", [1.0] * 4, 9, 12),
    ):
        world = World({"values": {SHOWN[kind][0]: [shown] * 4}})
        sensor = make(kind)
        sensor.probe()
        began = world.clock.now
        sensor.read()
        assert least_ms <= world.clock.now - began <= most_ms, (kind, world.clock.now - began)


def test_a_battery_is_low_at_its_mark_and_well_five_per_cent_over_it():
    World()
    mv = [3300 + 8 * percent for percent in (11, 10, 15, 16, 15, 11, 10, 0)] + [3200, 4200]
    fake_board.use({"values": {"adc 34": [value / 2 for value in mv for _ in range(16)]}})
    sensor = make("battery", ratio=2)
    equal((sensor.is_low, sensor.rest_s), (False, 0), "until it was read")
    got = [sensor.read()[1:] for _ in mv]
    percents = [11, 10, 15, 16, 15, 11, 10, 0, 0, 100]
    lows = [0, 1, 1, 0, 0, 0, 1, 1, 1, 0]
    equal(got, [[percent, low] for percent, low in zip(percents, lows)])
    assert driver("battery").Sensor.diagnostic


def test_a_battery_whose_full_is_not_over_its_empty_is_refused():
    World()
    for empty_v, full_v, is_right in ((3.3, 3.3, False), (3.4, 3.3, False), (3.299, 3.3, True)):
        try:
            make("battery", empty_v=empty_v, full_v=full_v)
            refused = False
        except ValueError:
            refused = True
        equal(refused, not is_right, (empty_v, full_v))
