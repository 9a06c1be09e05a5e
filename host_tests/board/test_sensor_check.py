"""Sensors that cannot be so are refused before anything is written, with what to write instead; and a driver of one's
own is tried before it goes onto a board."""

import ast
import json
import subprocess
import sys
from types import SimpleNamespace

from conftest import ENV, ROOT, config, mpremote, tool, until

from tools.demo.watch import Watcher
from tools.device import drivers
from tools.device.config import chip_of

I2C = {"i2c": {"sda": 21, "scl": 22}}


def said(sensors, chip="", own="", **keys):
    """The lines of the check of a whole configuration."""
    sys.path.insert(0, str(ROOT / "firmware"))
    from config_check import check

    given = {"wifi_ssid": "net", "broker": "b", "sensors": sensors, **keys}
    done = subprocess.run(
        [sys.executable, "-m", "tools.device.sensor_check", chip], input=json.dumps(check(given)), text=True,
        cwd=ROOT, env=dict(ENV, SENSORS=str(own)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.stdout.splitlines()


def contract(own):
    """What breaks the contract in drivers of one's own."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.device.sensor_check", "esp32", "--contract"], text=True, cwd=ROOT,
        env=dict(ENV, SENSORS=str(own)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.stdout


def test_the_board_has_the_limits_that_the_drivers_tell():
    """What make config reads of the drivers, the board has in its check: there `_KEYS` does not exist."""
    told = {}
    for kind, path in drivers.types().items():
        keys = [
            statement.value
            for statement in ast.parse(path.read_text()).body
            if ast.unparse(statement).startswith("_KEYS = ")
        ]
        for key, allowed, *_ in ast.literal_eval(keys[0].args[0]) if keys else ():  # type: ignore
            if isinstance(allowed, tuple) and [type(limit) in (int, float) for limit in allowed] == [True, True]:
                told[kind, key] = allowed
    sys.path.insert(0, str(ROOT / "firmware"))
    from config_check import _OF_DRIVERS

    assert {(kind, key): (least, most) for kinds, key, least, most in _OF_DRIVERS for kind in kinds.split()} == told


def test_each_type_of_the_firmware_can_be_configured():
    every = []
    pins = iter(range(4, 20))
    for kind in sorted(drivers.types()):
        more = {"dht11": 1, "dht22": 1, "ds18b20": 1, "binary": 1, "pulse": 1}
        entry = {"type": kind}
        if kind in more:
            entry["pin"] = next(pins)
        if kind in ("adc", "battery"):
            entry["pin"] = 34
        if kind == "ads1115":
            entry["channel"] = "0"
        if kind in ("bmp280", "sht4x"):
            entry["address"] = {"bmp280": "0x77", "sht4x": "0x45"}[kind]
        every.append(entry)
    assert said(every, **I2C) == []


MINE = """from micropython import const

_KEYS = const((("level", (0, 9), 1, "how much"),))


class Sensor:
    fields = (("level", "", 0),)

    def __init__(self, conf):
        self.level = conf.get("level", 1)

    def probe(self):
        pass

    def read(self):
        return [self.level]
"""


def test_what_is_wrong_is_named_with_what_is_right(tmp_path):
    wrong = {
        "bme208": ({"type": "bme208"}, '.type is "bme208", which there is not; the closest is bme280'),
        "key": ({"type": "sht4x", "addr": "0x44"}, "addr is not a key of it; the closest is address"),
        "treatment": ({"type": "adc", "pin": 34, "offsets": 1}, "offsets is not a key of it; the closest is offset"),
        "address": ({"type": "sht4x", "address": "0x47"}, 'address is "0x47"; needed is one of "0x44", "0x45", "0x46"'),
        "channel": ({"type": "ads1115"}, "channel is missing; needed is the input"),
        "range": ({"type": "ads1115", "channel": 0, "range_mv": 5000}, "range_mv is 5000; needed is one of 6144"),
        "offset": ({"type": "sht4x", "offset": 1}, 'as {"temperature": 1}'),
        "delta": ({"type": "sht4x", "delta": {"pressure": 1}}, "delta names pressure; it has temperature, humidity"),
    }
    entries = [dict(entry, name=name) for name, (entry, _) in wrong.items()]
    lines = said(entries, **I2C)
    assert len(lines) == len(wrong), lines
    for line, (_, words) in zip(lines, wrong.values()):
        assert words in line, line
    assert said([{"type": "ads1115", "channel": 3, "address": 72, "range_mv": 256, "ratio": 2}], **I2C) == []
    assert "i2c is missing" in said([{"type": "sht4x"}])[0]
    asleep = said([{"type": "pulse", "pin": 4}], deep_sleep=True, keep_in="rtc")
    assert len(asleep) == 1 and asleep[0].endswith("deep_sleep is true; it counts nothing while the board sleeps")
    own = tmp_path / "mine.py"  # numbers of our own drivers are the board's check
    own.write_text(MINE)
    assert "level is 10; needed is a whole number from 0 to 9" in said([{"type": "mine", "level": 10}], own=own)[0]
    assert said([{"type": "mine", "level": 9}], own=own) == []


def test_pins_that_a_chip_cannot_use_so_or_that_are_used_twice_are_told():
    for chip, entry, words in (
        ("esp8266", {"type": "dht22", "pin": 6}, "a GPIO that an ESP8266 can use so: 0 to 5, 12 to 15"),
        ("esp8266", {"type": "adc", "pin": 34}, "can use so: 0 "),
        ("", {"type": "adc", "pin": 22}, "an ESP32 can use so: 0 to 20, 25 to 27, 32 to 39"),
        ("esp32", {"type": "adc", "pin": 1}, "0, 2, 4, 12 to 15, 25 to 27, 32 to 39"),
        ("esp32", {"type": "dht22", "pin": 6}, "0 to 5, 12 to 19, 21 to 23, 25 to 27, 32 to 33"),
        ("esp32", {"type": "dht22", "pin": 34}, "a GPIO that an ESP32 can use so"),
        ("esp32", {"type": "binary", "pin": 34}, 'no resistor of its own; needed is "pull": "none"'),
        ("esp32s3", {"type": "dht22", "pin": 27}, "an ESP32S3 can use so: 0 to 21, 33 to 48"),
        ("esp32c3", {"type": "adc", "pin": 34}, "an ESP32C3 can use so: 0 to 5"),
        ("esp32c6", {"type": "dht22", "pin": 49}, "0 to 48"),
        ("esp32", {"type": "dht22", "pin": "4"}, 'pin is "4"'),
        ("esp32", {"type": "dht22", "pin": True}, "pin is true"),
    ):
        lines = said([entry], chip)
        assert len(lines) == 1 and words in lines[0], lines
    assert said([{"type": "binary", "pin": 34, "pull": "none"}], "esp32") == []
    two = [{"type": "dht22", "name": "a", "pin": 4}, {"type": "ds18b20", "name": "b", "pin": 4}]
    assert said(two) == ["GPIO 4 is used twice, by sensors[0] and by sensors[1]"]
    assert said([{"type": "dht22", "pin": 22}], **I2C) == ["GPIO 22 is used twice, by i2c.scl and by sensors[0]"]
    assert said([{"type": "dht22", "pin": 0}], stop_pin=0) == ["GPIO 0 is used twice, by stop_pin and by sensors[0]"]
    assert said([{"type": "dht22", "pin": 2}], led=2) == ["GPIO 2 is used twice, by led and by sensors[0]"]


def test_a_chip_that_two_sensors_would_read_is_told():
    def both(one, other):
        return said([dict(one, name="a"), dict(other, name="b")], **I2C)

    words = ["sensors[1] of type sht4x: address 0x44 is that of sensors[0], too; needed is one of its own"]
    assert both({"type": "sht4x"}, {"type": "sht4x"}) == words
    assert both({"type": "sht3x"}, {"type": "sht4x", "address": "0x44"}) == words
    assert both({"type": "sht4x"}, {"type": "sht4x", "address": "0x45"}) == []
    assert both({"type": "sht4x"}, {"type": "sht4x", "i2c": {"sda": 25, "scl": 26}}) == []
    ads = {"type": "ads1115", "channel": "0"}
    assert both(ads, dict(ads, channel="1")) == []
    assert len(both(ads, ads)) == 1
    ds = {"type": "ds18b20", "pin": 5, "rom": "28ff010203040506"}
    assert both(ds, dict(ds, rom="28ff010203040507")) == []
    assert "rom 28FF010203040506 is that of sensors[0]" in both(ds, dict(ds, rom="28FF010203040506"))[0]
    bus = [{"type": "ds18b20", "name": digit, "pin": 4, "rom": "28ff01020304050" + digit} for digit in "12"]
    assert said(bus) == [], "a bus is for several"
    assert said([{"type": "adc", "name": "a", "pin": 34}, {"type": "adc", "name": "b", "pin": 34}]) == []


OWN = '''"""A light dependent resistor."""
from micropython import const
_KEYS = const((("pin", "adc", None, "GPIO of the divider"),))
class Sensor:
    fields = (("light", "%", 0),)
    def __init__(self, conf):
        self.pin = conf["pin"]
    def probe(self):
        pass
    def read(self):
        return [42]
'''


def test_a_driver_of_ones_own_is_a_type_like_ours(tmp_path):
    (tmp_path / "light.py").write_text(OWN)
    for own in (tmp_path, tmp_path / "light.py"):
        assert said([{"type": "light", "pin": 34}], own=own) == []
        assert "pin is missing; needed is the GPIO of the divider" in said([{"type": "light"}], own=own)[0]
    assert "the closest is light" in said([{"type": "lihgt", "pin": 34}], own=tmp_path)[0]


def test_the_driver_on_the_page_about_the_firmware_is_one(tmp_path):
    page = (ROOT / "docs" / "firmware.md").read_text(encoding="utf-8")
    (tmp_path / "ldr.py").write_text(page.split("```python\n", 1)[1].split("```", 1)[0], encoding="utf-8")
    assert contract(tmp_path) == ""
    assert said([{"type": "ldr", "pin": 34}], own=tmp_path) == []
    assert "needed is the GPIO of the divider" in said([{"type": "ldr"}], own=tmp_path)[0]


BROKEN = [
    ("return [42]", "return [4.2]", "read() gives 4.2 for light; needed is an integer"),
    ("return [42]", "return 42", "read() gives 42; needed is a list"),
    ("return [42]", "return [1, 2]", "needed is a list with a value for each"),
    ("return [42]", "return [True]", "read() gives True for light"),
    ("return [42]", "raise KeyError(5)", "read() raises KeyError(5) where nothing is connected"),
    ("return [42]", "raise OSError(19)", "read() raises OSError(19); needed is an OSError in words"),
    ("        pass\n", "        return self.nothing\n", "probe() raises AttributeError"),
    ("    def probe(self):\n        pass\n", "", "Sensor has no probe()"),
    ("class Sensor", "class Light", "it has no class Sensor"),
    ('"%", 0', '"%", 0.5', "0.5 decimals"),
    ('"light"', '"light/1"', "no quantity: a text without + # /"),
    ('(("light", "%", 0),)', "5", "fields is 5"),
    ("import const", "import nothing", "it cannot be imported"),
    ('self.pin = conf["pin"]', "self.pin = conf.pin", "Sensor() raises AttributeError"),
]  # fmt: skip


def test_a_driver_that_breaks_the_contract_is_told_how(tmp_path):
    for i, (old, new, _) in enumerate(BROKEN):
        assert old in OWN
        (tmp_path / ("light_%d.py" % i)).write_text(OWN.replace(old, new))
    lines = contract(tmp_path).splitlines()
    for i, (_, _, words) in enumerate(BROKEN):
        own = [line for line in lines if line.startswith("light_%d.py: " % i)]
        assert own and any(words in line for line in own), (words, own)


def test_our_own_drivers_keep_the_contract():
    names = " ".join(str(path) for path in drivers.types().values())
    assert contract(names) == ""


def test_a_driver_of_ones_own_goes_onto_the_board_and_a_bad_one_changes_nothing(flashed, broker, tmp_path, monkeypatch):
    board = flashed("esp32")
    (tmp_path / "light.py").write_text(OWN.replace("return [42]", "return [4.2]"))
    monkeypatch.setitem(ENV, "SENSORS", str(tmp_path / "dark.py"))
    done = tool("deploy", "--port", board.port)
    assert done.returncode == 2 and "dark.py is no driver" in done.stdout, done.stdout
    monkeypatch.setitem(ENV, "SENSORS", str(tmp_path / "light.py"))
    done = tool("deploy", "--port", board.port)
    assert done.returncode == 1 and "read() gives 4.2 for light" in done.stdout, done.stdout
    assert "app.mpy" not in mpremote(board, "fs", "ls").stdout
    (tmp_path / "light.py").write_text(OWN)
    sensors = [{"type": "light", "name": "hall", "pin": 34}, {"type": "bme280", "name": "loft"}]
    (tmp_path / "config.json").write_text(json.dumps(config(broker, sensors=sensors, interval_s=1, **I2C)))
    done = tool("config", "--port", board.port, "--file", str(tmp_path / "config.json"))
    assert done.returncode == 0, done.stdout
    with Watcher(broker.port) as watcher:
        done = tool("deploy", "--port", board.port, "--first-readings", "120")
        assert done.returncode == 0 and "light.py keep the contract" in done.stdout, done.stdout
        assert "light.mpy" in mpremote(board, "fs", "ls", ":sensors").stdout
        until(watcher, lambda reading: reading.sensor == "hall/light" and reading.value == 42)
        until(watcher, lambda reading: reading.sensor == "loft/pressure" and 1009 < reading.value < 1010)


def test_the_chip_is_the_one_that_the_board_says_it_has():
    for machine, port, chip in (
        ("Generic ESP32 module with ESP32", "esp32", "esp32"),
        ("Generic ESP32S3 module with ESP32S3", "esp32", "esp32s3"),
        ("LOLIN_S2_MINI with ESP32-S2FN4R2", "esp32", "esp32s2"),
        ("ESP module with ESP8266", "esp8266", "esp8266"),
        ("a board of somebody's", "esp32", ""),
        ("a board of somebody's", "esp8266", "esp8266"),
    ):
        found = SimpleNamespace(machine=machine, port_name=port)
        assert chip_of(found) == chip, machine  # pyright: ignore[reportArgumentType]
