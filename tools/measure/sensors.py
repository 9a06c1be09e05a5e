"""What does each sensor take of a board's heap? `python -m tools.measure.sensors` prints it: the driver loaded, its
object made, its first reading taken; as a board loads it from files, and executed in place from ROM.

Heap of a 32-bit MicroPython, in bytes. The port's own modules and the stand-ins of the chips are loaded before, and not
counted; what several drivers share (i2c, crc8) is counted for each that is alone. Exit status 2: a tool is missing.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, Iterable, Tuple

from tools.build import build, romfs
from tools.measure.size import NAME_B, NEW_TABLE, micropython

ROOT = Path(__file__).resolve().parents[2]
FAKES = ROOT / "host_tests" / "fakes" / "board"
I2C = {"i2c": {"sda": 21, "scl": 22}}
# type: its keys, and what the board's stand-in shows
SENSORS: Dict[str, Tuple[dict, dict]] = {
    "internal": ({}, {"chip": [41]}),
    "internal also": ({"also": ["rssi", "reset", "woken", "ip", "version", "awake"]}, {"chip": [41]}),
    "dht22": ({"pin": 4}, {"dht22 4": [[21.5, 40.2]]}),
    "dht11": ({"pin": 4}, {"dht11 4": [[21, 40]]}),
    "ds18b20": ({"pin": 4}, {"ds18b20 4": [19.25]}),
    "adc": ({"pin": 34}, {"adc 34": [1500]}),
    "battery": ({"pin": 34, "ratio": 2}, {"adc 34": [1900]}),
    "binary": ({"pin": 12}, {}),
    "pulse": ({"pin": 12}, {}),
    "bme280": (I2C, {"bme280 0x76": [[21.5, 1006.5, 40.2]]}),
    "bmp280": (I2C, {"bmp280 0x76": [[21.5, 1006.5]]}),
    "sht3x": (I2C, {"sht3x 0x44": [[21.5, 40.2]]}),
    "sht4x": (I2C, {"sht4x 0x44": [[21.5, 40.2]]}),
    "aht20": (I2C, {"aht20 0x38": [[21.5, 40.2]]}),
    "bh1750": (I2C, {"bh1750 0x23": [100]}),
    "scd4x": (I2C, {"scd4x 0x62": [[800, 21.5, 40.2]]}),
    "ads1115": ({"channel": "0", **I2C}, {"ads1115 0x48": [[1, 1, 1, 1]]}),
}
PROGRAM = (
    """
import sys
sys.path[:] = [FAKES]
import fake_board
fake_board.use({"values": VALUES})
for name in ("dht", "ds18x20", "onewire", "esp32", "network", "machine_adc", "machine_rtc", "machine_softi2c"):
    __import__(name)
for name in VALUES:
    if " 0x" in name:
        __import__("chip_" + name.partition(" 0x")[0])
import gc, os, struct, time, binascii
if IMAGE:
    import flash, vfs
    vfs.mount(flash.rom(IMAGE), "/rom")
sys.path[:] = ["/rom", "/rom/lib", FAKES] if IMAGE else [BOARD, BOARD + "/lib", FAKES]
import umqtt
import app, discovery  # what is there before, with the names that it has
from machine import SoftI2C, Pin, ADC, RTC
SoftI2C(Pin(1), Pin(2))
conf = CONF
"""
    + NEW_TABLE
    + """
import micropython
micropython.qstr_info()
gc.collect()
before = gc.mem_alloc()
s = __import__("sensors.KIND", None, None, ("Sensor",)).Sensor(conf)
s.probe()
s.read()
gc.collect()
print(gc.mem_alloc() - before)
micropython.qstr_info()
"""
)


def measure(sensors: Iterable[str] = tuple(SENSORS)) -> Dict[str, Tuple[int, int]]:
    """{sensor: (bytes from files, bytes from ROM)} of these keys of SENSORS. Raises FileNotFoundError without
    MicroPython, RuntimeError for what does not run."""
    rows = {}
    with tempfile.TemporaryDirectory() as scratch:
        board = Path(scratch) / "board"
        build(board)
        (Path(scratch) / "image").write_bytes(romfs(board))
        (Path(scratch) / "fakes").symlink_to(
            FAKES
        )  # MicroPython keeps the path of a module: it must be the same everywhere
        for name in sensors:
            conf, values = SENSORS[name]
            rows[name] = tuple(_run(Path(scratch), rom, name.split()[0], conf, values) for rom in ("", "image"))
    return rows  # type: ignore


def _run(scratch: Path, image: str, kind: str, conf: dict, values: dict) -> int:
    text = PROGRAM.replace("KIND", kind)
    for name, value in (("FAKES", "fakes"), ("IMAGE", image), ("BOARD", "board"), ("CONF", conf), ("VALUES", values)):
        text = text.replace(name, json.dumps(value) if isinstance(value, str) else repr(value))
    command = [micropython(), "-X", "heapsize=400k", "-c", text]
    done = subprocess.run(command, cwd=scratch, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    names = [int(number) for number in re.findall(r"n_qstr=(\d+)", done.stdout)]
    heap_b = re.findall(r"^(\d+)$", done.stdout, re.M)
    if len(names) != 2 or len(heap_b) != 1:
        raise RuntimeError("%s: %s" % (kind, done.stdout))
    return int(heap_b[0]) + NAME_B * (names[1] - names[0])


if __name__ == "__main__":
    try:
        for sensor, (files_b, rom_b) in measure().items():
            print("%-14s %6d B from files %6d B from ROM" % (sensor, files_b, rom_b))
    except FileNotFoundError as e:
        print(e, file=sys.stderr)
        sys.exit(2)
