"""How much heap does each life of the firmware leave free on an ESP8266? `make size` prints it, too.

    python -m tools.measure.firmware_heap [--check] [--docs] [LIFE ...]

The firmware runs as it ships on the real 32-bit MicroPython, executed from a ROMFS image, and publishes to a real
broker. Of the heap it has what an ESP8266 has after its start, less what its names would take there: a board begins
with none, and each pool of them is twice as large as the one before. --check: exit status 1 when a life leaves less
than tools/measure/budgets.json says. --docs: the table goes into docs/size.md.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from tools.broker import Broker
from tools.build import build, compile_one, romfs
from tools.firmware_process import RESET_STATUS
from tools.measure.size import BUDGETS, DOCS, NAME_B, micropython
from tools.ship.rom import port_names

ROOT = Path(__file__).resolve().parents[2]
FAKES = ROOT / "host_tests" / "fakes" / "board"
ESP8266_B = 28_000  # free after its start: of 38 KiB what WiFi and the port leave, 20 to 28 KB
MORE_B = 48_000  # of the interpreter's heap, for what stands in for the board
FIRST_POOL = 20  # names
LEAST_POOLS = 300  # names: so many are always taken off
POOL_B = 24
BLOCK_B = 16
SENSORS = [{"type": "internal", "name": "chip"}, {"type": "dht22", "name": "room", "pin": 4}]
FROZEN = {"MQTTClient", "MQTTException", "", "#", "/rom/lib"}  # the ESP8266's own umqtt has them, or MicroPython itself
FROZEN |= {"DEEPSLEEP", "PWRON_RESET", "HARD_RESET", "WDT_RESET", "DEEPSLEEP_RESET", "SOFT_RESET"}  # or its machine
VALUES = {"chip": [41, 41.5], "dht22 4": [[21.5, 40.2], [21.6, 40.1]]}
KEPT = {"queue_kb": 4, "sensors": SENSORS}
HOME_ASSISTANT = {"ha_prefix": "homeassistant"}
LIVES: Dict[str, dict] = {
    "ram": {"sensors": SENSORS},
    "ram, discovery": {"sensors": SENSORS, **HOME_ASSISTANT},
    "ram, commands": {"sensors": SENSORS, "commands": True},
    "ram, discovery, commands": {"sensors": SENSORS, **HOME_ASSISTANT, "commands": True},
    "rtc": {**KEPT, "keep_in": "rtc"},
    "flash": {**KEPT, "keep_in": "flash"},
    "rtc, after a reset": {**KEPT, "keep_in": "rtc"},
    "flash, after a reset": {**KEPT, "keep_in": "flash"},
    "asleep": {**KEPT, "keep_in": "rtc", "deep_sleep": True},
    "ram, MQTT 5": {"sensors": SENSORS, "protocol": 5},
    "ram, discovery, MQTT 5": {"sensors": SENSORS, **HOME_ASSISTANT, "protocol": 5},
    "ram, commands, MQTT 5": {"sensors": SENSORS, "commands": True, "protocol": 5},
    "rtc, MQTT 5": {**KEPT, "keep_in": "rtc", "protocol": 5},
    "flash, MQTT 5": {**KEPT, "keep_in": "flash", "protocol": 5},
    "flash, after a reset, MQTT 5": {**KEPT, "keep_in": "flash", "protocol": 5},
    "asleep, MQTT 5": {**KEPT, "keep_in": "rtc", "deep_sleep": True, "protocol": 5},
}
ESP32_B = 40_000  # of an ESP32's 100 KB and more: for an ESP8266 MQTT 5 is too much beside most of the rest
HEAPS_B = {
    "asleep": 30_000,  # with 28,000 B a write to RTC memory may find no 500 B in one piece, and is repeated
    "ram, discovery, MQTT 5": ESP32_B,
    "rtc, MQTT 5": ESP32_B,
    "flash, MQTT 5": ESP32_B,
    "flash, after a reset, MQTT 5": ESP32_B,
    "asleep, MQTT 5": ESP32_B,
}
RESET = "after a reset"  # with messages in flight, and a queue that is full
MARK = "<!-- firmware heap -->"
END = "<!-- /firmware heap -->"
CHECKED = "config.checked"
MOST_LIVES = 3
MORE_S = 1.5
WAIT_S = 10
FULL = b"the newest reading is refused"


class Life(NamedTuple):
    """How a life went. free_b: the lowest free heap that the firmware saw, as on a board; 0: it saw none. names: new
    ones; published: readings; said: all that it printed; ended: its exit status when it ended by itself."""

    free_b: int
    names: int
    published: int
    said: str
    ended: Optional[int]

    @property
    def lacked(self) -> bool:
        """Whether memory was short, if only once."""
        return "memory" in self.said.replace("queue: memory for", "")


class Rom:
    """The firmware as it ships, and what stands in for the board's own modules, in an image and a folder below
    `folder`."""

    def __init__(self, folder: Path):
        self.firmware = folder / "firmware"
        self.fakes = folder / "fakes"
        self.image = folder / "image"
        build(self.firmware)
        self.fakes.mkdir()
        for source in set(FAKES.glob("*.py")) - {FAKES / "esp32.py"}:  # an ESP8266 has none
            compile_one(source, self.fakes / (source.stem + ".mpy"), source.stem)
        self.image.write_bytes(romfs(self.firmware, self.fakes))


class Mute:
    """A broker that accepts every connection, and acknowledges nothing."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> "Mute":
        return self

    def __exit__(self, *_: object) -> None:
        self.listening.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed: the end
            while True:
                threading.Thread(target=self._accept, args=self.listening.accept()[:1], daemon=True).start()

    @staticmethod
    def _accept(link: socket.socket) -> None:
        with contextlib.suppress(OSError), link:
            link.recv(4096)
            link.sendall(b"\x20\x02\x00\x00")
            while link.recv(4096):
                pass


def live(
    rom: Rom,
    config: dict,
    port: int,
    heap_b: int,
    short_sleeps: bool = False,
    limit_s: float = 60,
    mute_port: Optional[int] = None,
    tell_imports: bool = False,
    from_files: bool = False,
    started_before: bool = False,
) -> Life:
    """One life, until it has published its first readings and a little longer, or one wake, on a board whose heap has
    heap_b bytes after its start. short_sleeps: none of its sleeps is longer than a moment. mute_port: of a Mute, on
    which a life before it fills its queue, until a reset. tell_imports: what it prints has them, too. from_files:
    it is not in ROM, but in the file system. started_before: once, with the same configuration,
    of which nothing else is left."""
    free_b = heap_b - pools_b(LEAST_POOLS)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        root.mkdir()
        for name in ("boot.py", "main.py"):
            shutil.copy(rom.firmware / name, root)
        given = {"wifi_ssid": "lab", "broker": "127.0.0.1", "port": port, "interval_s": 0.5, "stop_pin": 0}
        given.update(client_id=Path(scratch).name[-8:], ntp_host="")  # one of its own: several run at once
        given.update(config)
        board = {"port": "esp8266", "values": VALUES, "buttons": {"0": "stop"}, "free_heap": free_b, "clock": False}
        board.update(state="rtc.bin", tell_names="imports" if tell_imports else True, short_sleeps=short_sleeps)
        (root / "board.json").write_text(json.dumps(board))
        log = Path(scratch) / "log"
        command = [micropython(), "-X", "heapsize=%d" % (free_b + MORE_B), "-m", "start", "root"]
        (Path(scratch) / "fakes").symlink_to(rom.fakes)  # MicroPython keeps each path as a name: the same everywhere
        if from_files:
            shutil.copytree(rom.firmware, root, dirs_exist_ok=True)
        else:
            (Path(scratch) / "image").symlink_to(rom.image)
            command.append("image")

        def start(at_port: int, until: bytes) -> "subprocess.Popen[bytes]":
            (root / "config.json").write_text(json.dumps({**given, "port": at_port}))
            with open(log, "wb") as out:
                env = dict(os.environ, MICROPYPATH="fakes")
                process = subprocess.Popen(
                    command, env=env, cwd=scratch, stdin=subprocess.DEVNULL, stdout=out, stderr=out
                )
            end = time.monotonic() + limit_s
            while process.poll() is None and time.monotonic() < end and until not in log.read_bytes():
                time.sleep(0.05)
            return process

        if mute_port is not None:
            process = start(mute_port, FULL)
            process.kill()
            process.wait()
        if started_before:
            fresh = {*root.iterdir(), root / CHECKED}
            process = start(port, b"umqtt-node: started")
            process.kill()
            process.wait()
            for path in set(root.iterdir()) - fresh:  # no reading waits, and none is in flight
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        process = start(port, b"first readings")
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(MORE_S)
            ended = process.poll()
            (root / "stop").touch()
            with contextlib.suppress(subprocess.TimeoutExpired):  # it waits in a pause that the button does not end
                process.wait(WAIT_S)
        finally:
            process.kill()
            process.wait()
        return _life(log.read_text(errors="replace"), process.returncode, ended)


def _life(said: str, status: int, ended: Optional[int]) -> Life:
    parts = said.split("qstr pool:")
    text = "".join(line for line in said.splitlines(True) if not line.startswith(("Q(", "qstr pool:")))
    figures = re.search(r"published=(\d+) .*heap_low_b=(\d+)", said)
    if not figures or not (len(parts) > 2 or status == RESET_STATUS):
        return Life(0, 0, 0, text, ended)
    before, after = (set(re.findall(r"^Q\((.*)\)$", part, re.M)) for part in (parts[1], parts[-1]))
    # the path of each file is a name, too (py/builtinimport.c, do_load); what the port has is no new one
    new = {name for name in after - before if not name.startswith("/rom/fakes/")} - port_names() - FROZEN
    names = len(new) if len(parts) > 2 else 0
    free_b = int(figures[2]) + pools_b(LEAST_POOLS) - pools_b(names or LEAST_POOLS)
    return Life(free_b, names, int(figures[1]), text, ended)


def pools_b(names: int) -> int:
    """Bytes of heap that the pools of so many new names take, on a board that had none."""
    taken_b, places = 0, FIRST_POOL
    while names > 0:
        taken_b += (POOL_B + NAME_B * places + BLOCK_B - 1) // BLOCK_B * BLOCK_B
        names -= places
        places *= 2
    return taken_b


def least_free() -> Dict[str, int]:
    """{life: bytes that it leaves free at least}, of the budgets."""
    return {row["life"]: row["least"] for row in json.loads(BUDGETS.read_text())["firmware_heap"]}


def measure(names: List[str]) -> Dict[str, Life]:
    """Each of these lives. Four at a time: they wait most of theirs. Where one leaves less than its budget, the best of
    MOST_LIVES: the messages that happen to be on their way at the lowest moment are up to 400 B."""
    least = least_free()
    with tempfile.TemporaryDirectory() as scratch:
        rom = Rom(Path(scratch))
        with Broker(Path(scratch)) as broker, Mute() as mute, ThreadPoolExecutor(4) as at_once:

            def one(name: str) -> Life:
                mute_port = mute.port if RESET in name else None
                heap_b = HEAPS_B.get(name, ESP8266_B)
                best = live(rom, LIVES[name], broker.port, heap_b, mute_port=mute_port)
                for _ in range(MOST_LIVES - 1):
                    if not 0 < best.free_b < least[name]:
                        break
                    life = live(rom, LIVES[name], broker.port, heap_b, mute_port=mute_port)
                    best = max(best, life, key=lambda life: life.free_b)
                return best

            return dict(zip(names, at_once.map(one, names)))


def table(lives: Dict[str, Life], least: Dict[str, int]) -> str:
    """As Markdown."""
    rows = ["| life, two sensors | free at the lowest, B | at least | new names |", "|---|--:|--:|--:|"]
    for name, life in lives.items():
        heap_b = HEAPS_B.get(name)
        name = "%s, of %d B" % (name, heap_b) if heap_b else name
        rows.append(
            "| %s | %d | %d | %s |" % (name, life.free_b, least.get(name.split(", of")[0], 0), life.names or "not told")
        )
    return "\n".join(rows)


def main() -> int:
    args = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    args.add_argument("lives", nargs="*", metavar="LIFE", help="of: %s; all when none is given" % "; ".join(LIVES))
    args.add_argument("--check", action="store_true", help="fail when a life leaves too little")
    args.add_argument("--docs", action="store_true", help="write the table into docs/size.md")
    opts = args.parse_args()
    least = least_free()
    lives = measure(opts.lives or list(LIVES))
    text = table(lives, least)
    print(text)
    wrong = ["%s: %d B are free, at least %d must be" % (name, life.free_b, least.get(name, 0))
             for name, life in lives.items() if life.free_b < least.get(name, 0)]  # fmt: skip
    wrong += [
        "%s: memory was short:\n%s" % (name, life.said)
        for name, life in lives.items()
        if life.lacked and name != "asleep"
    ]
    if opts.docs:
        head, rest = DOCS.read_text().split(MARK)
        DOCS.write_text(head + MARK + "\n" + text + "\n" + END + rest.split(END)[1])
    if opts.check and wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
