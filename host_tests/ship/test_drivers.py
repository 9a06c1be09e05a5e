"""Every driver as a board loads it, merged and renamed, one of a user's own beside them, and one that was copied onto
the board later, by itself: each reads its chip on a 32-bit MicroPython."""

import subprocess

from tools.build import build
from tools.measure.size import ROOT, micropython

OWN = """
from i2c import OnI2C

class Sensor(OnI2C):
    fields = (("illuminance", "lx", 0),)
    chip = "my own"
    address = 0x5C

    def probe(self):
        self.ask(b"\\x01")

    def read(self):
        high, low = self.ask(b"\\x20", 2, 180)
        if high > 200:
            raise self.wrong("too bright")
        return [high << 8 | low]
"""
COPIED = """
from crc8 import Words, crc8
from i2c import OnI2C

class Sensor(Words):
    fields = (("temperature", "°C", 2),)
    chip = "copied"
    address = 0x44

    def probe(self):
        assert isinstance(self, OnI2C) and crc8(b"\\xbe\\xef") == 0x92  # of the chip's data sheet

    def read(self):
        return [(17500 * self.words(b"\\xfd", 2, 10)[0] + 32767) // 65535 - 4500]
"""
PROGRAM = """
import sys
sys.path[:] = ["FAKES", "BOARD", "BOARD/lib", ".frozen"]
import fake_board
fake_board.use({"levels": {"12": 0}, "values": {
    "dht22 4": [[21.5, 40.2]], "dht11 5": [[21, 40]], "ds18b20 6": [19.25], "adc 34": [1850],
    "bme280 0x76": [[21.5, 1006.53, 40.2]], "bmp280 0x77": [[20.5, 1000]], "sht4x 0x44": [[21.5, 40.2]],
    "sht3x 0x45": [[21.5, 40.2]], "aht20 0x38": [[21.5, 40.2]], "bh1750 0x23": [1000], "bh1750 0x5c": [1000],
    "scd4x 0x62": [[500, 25, 37]], "ads1115 0x48": [[1.5, 1, 1, 1]]}})
bus = {"sda": 21, "scl": 22}
for kind, keys in (
    ("internal", {"also": ["reset", "woken", "ip", "rssi"]}), ("dht22", {"pin": 4}), ("dht11", {"pin": 5}),
    ("ds18b20", {"pin": 6}), ("adc", {"pin": 34}), ("battery", {"pin": 34, "ratio": 2}), ("bme280", {}),
    ("bmp280", {"address": "0x77"}), ("sht4x", {}), ("sht3x", {"address": "0x45"}), ("aht20", {}), ("bh1750", {}),
    ("scd4x", {}), ("ads1115", {"channel": "0"}), ("binary", {"pin": 12}), ("pulse", {"pin": 13}), ("own", {}),
    ("copied", {}),
):
    s = __import__("sensors." + kind, None, None, ("Sensor",)).Sensor(dict(keys, i2c=bus))
    s.probe()
    values = s.read()
    for i in range(len(values)):
        if not isinstance(s.fields[i][2], int) and values[i] is not None:
            values[i] = s.fields[i][2](values[i])
    print(kind, values[2:] if kind == "internal" else values)
"""
WANT = """internal ['"power on"', '"none"', None, None]
dht22 [215, 402]
dht11 [21, 40]
ds18b20 [1925]
adc [1850]
battery [3700, 50, 0]
bme280 [2150, 100653, 4020]
bmp280 [2050, 100000]
sht4x [2150, 4020]
sht3x [2150, 4020]
aht20 [2150, 4020]
bh1750 [10000]
scd4x [Ellipsis, Ellipsis, Ellipsis]
ads1115 [15000]
binary [0]
pulse [0]
own [1200]
copied [2150]
"""


def test_each_driver_reads_in_the_form_that_is_shipped(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    build(tmp_path / "board", drivers=[tmp_path / "own.py"])
    (tmp_path / "board" / "sensors" / "copied.py").write_text(COPIED, encoding="utf-8")
    program = PROGRAM.replace("FAKES", str(ROOT / "host_tests/fakes/board")).replace("BOARD", str(tmp_path / "board"))
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run([micropython(), "-X", "heapsize=400k", str(tmp_path / "program.py")], cwd=tmp_path,
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    assert done.stdout == WANT
