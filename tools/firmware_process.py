"""The board of `make run`: the compiled firmware under a real MicroPython with a board's heap."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Optional

from tools import children
from tools.build import compile_one, romfs

ROOT = Path(__file__).resolve().parents[1]
FAKES = ROOT / "host_tests" / "fakes" / "board"
STOP_TIMEOUT_S = 20
HEAP_OF_FILES_KB = 72  # an ESP32 has that; the .mpy of firmware and library alone fill an ESP8266's
RESET_STATUS = 3
SUMMARY = re.compile(r"^summary: (.*)$", re.M)
# values as a room has them; the first sensor misses one answer, as DHT22 do
VALUES = {
    "chip": [41, 41.5, 42, 41.5],
    "dht22 4": [[21.5, 40.2], [21.6, 40.1], [21.6, 40.3], [21.7, 40.2], [21.5, 39.9]],
    "ds18b20 5": [19.25, 19.31, 19.25, 19.19],
    "adc 34": [1985, 1984, 1986],
    "sht4x 0x44": [[18.5, 61.3], [18.6, 61.1], [18.6, 60.8]],
}


class BoardError(Exception):
    """Why the firmware does not run, in words."""


def micropython() -> Optional[str]:
    """$MICROPYTHON, the project's (the 32-bit one first), or that on PATH; None when there is none.

    Raises BoardError when MICROPYTHON names something that cannot be run.
    """
    cached = ROOT / ".cache" / "micropython" / "micropython"
    named = os.environ.get("MICROPYTHON")
    if named and Path(named) != cached:
        if not shutil.which(named):
            raise BoardError("MICROPYTHON=%s cannot be run; name the program with its path" % named)
        return named
    return str(cached) if cached.exists() else shutil.which("micropython")


class HostBoard:
    """`with HostBoard(root, config, heap_kb) as board:` runs the firmware that stands in `root`.

    config: what config.json holds. heap_kb: of the board, in KiB; 0 afterwards where none
    can be set. in_place: executed from flash where the interpreter can; else loaded from its files into the heap, as on
    an ESP32. Raises BoardError when it cannot start.
    """

    STOP_PIN = 0

    def __init__(self, root: Path, config: dict, heap_kb: int, in_place: bool = True):
        self.root, self.heap_kb = root, heap_kb
        self.folder = root.parent  # that its process starts in
        self.log = root.parent / "board.log"
        self.notes: list[str] = []
        self.is_64_bit = False
        self.env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
        self.running: Optional[subprocess.Popen] = None
        self.shown_b = 0
        self.wakes_at_s = 0.0  # while it sleeps
        self.starts = 1
        (root / "config.json").write_text(json.dumps(config))
        # those of sensors that are not there would take some of the board's heap
        kinds = {"chip", *(sensor["type"] for sensor in config.get("sensors", ()))}
        values = {name: value for name, value in VALUES.items() if name.split()[0] in kinds}
        board = {"buttons": {str(self.STOP_PIN): "stop"}, "values": values, "state": "rtc.bin", "clock": False}
        (root / "board.json").write_text(json.dumps(board))
        program = micropython()
        if program:
            self.name = self._version(program)
            self._install(program, in_place)
        else:
            shutil.copytree(ROOT / "firmware", root, dirs_exist_ok=True)  # .mpy is not CPython's
            self.command = [sys.executable, "-u", str(FAKES / "start.py"), str(root)]
            self.heap_kb = 0
            self.name = "CPython %d.%d.%d instead of MicroPython" % sys.version_info[:3]
            self.notes.append("There is no MicroPython here: the firmware runs on CPython, with no board's heap."
                              " `make setup` tries to get one.")  # fmt: skip

    def _install(self, program: str, in_place: bool) -> None:
        """Put the compiled firmware where the board has it: in flash that it is executed from, or into files.

        The modules that stand in for the port's own go with it: those are in flash on every board.
        """
        fakes = self.root.parent / "fakes"
        fakes.mkdir()
        for source in FAKES.glob("*.py"):
            compile_one(source, fakes / (source.stem + ".mpy"), source.stem)
        self.env["MICROPYPATH"] = str(fakes)
        image = self._flash_image(program, fakes) if in_place else []
        if self.is_64_bit:
            self.heap_kb *= 2
            self.notes.append("This MicroPython is a 64-bit one, whose objects are twice as large: so is its heap.")
        # short paths, from where nothing else can be imported: each is a name on the board's heap
        self.folder = fakes
        self.env["MICROPYPATH"] = "."
        program = os.path.abspath(program) if os.sep in program else program
        self.command = [program, "-X", "heapsize=%dk" % self.heap_kb, "-m", "start", "../" + self.root.name, *image]

    def _flash_image(self, program: str, fakes: Path) -> list[str]:
        # as an argument, the image that has the firmware now; none where the interpreter executes nothing in place
        image = self.root.parent / "flash.romfs"
        image.write_bytes(romfs(self.root, fakes))
        if not self._runs(program, "import flash; flash.rom(%r)" % str(image)):
            self.heap_kb = HEAP_OF_FILES_KB
            self.notes.append("This MicroPython executes nothing in place (1.25 and newer on Linux do): the firmware is"
                              " loaded into the heap, which is %d KiB therefore." % self.heap_kb)  # fmt: skip
            return []
        for entry in self.root.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.suffix == ".mpy":
                entry.unlink()
        return ["../" + image.name]

    def _runs(self, program: str, code: str) -> bool:
        done = subprocess.run([program, "-c", code], env=self.env, capture_output=True, timeout=20)
        return done.returncode == 0

    def _version(self, program: str) -> str:
        ask = "import sys; print(*sys.implementation[1][:3], sys.maxsize > 2**31)"
        try:
            got = subprocess.run([program, "-c", ask], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BoardError("%s cannot be run: %s" % (program, error)) from None
        words = got.stdout.decode(errors="replace").split()
        if got.returncode or len(words) != 4:
            raise BoardError("%s is no MicroPython that runs here: %s" % (program, " ".join(words)))
        self.is_64_bit = words[3] == "True"
        return "MicroPython %s.%s.%s, %d bit" % (*words[:3], 64 if self.is_64_bit else 32)

    def __enter__(self) -> "HostBoard":
        self.start()
        return self

    def start(self) -> None:
        """Power on."""
        with open(self.log, "ab") as log:
            self.running = children.start(self.command, stdout=log, stderr=log, env=self.env, cwd=self.folder)

    def is_running(self) -> bool:
        """Whether the board is on; it starts again after a reset, or when its deep sleep is over."""
        if self.running is None:
            return False
        if self.running.poll() == RESET_STATUS:
            if not self.wakes_at_s:
                self.wakes_at_s = time.monotonic() + int((self.root / "sleep_ms").read_text()) / 1000
                self.starts += 1
            if time.monotonic() >= self.wakes_at_s:
                self.wakes_at_s = 0.0
                self.start()
            return True
        return self.running.poll() is None

    def has_woken(self) -> bool:
        """Whether it has slept, or was reset, and runs again."""
        return self.starts > 1 and not self.wakes_at_s

    def end_in_words(self) -> str:
        return "the firmware ended by itself"

    def new_lines(self) -> list[str]:
        """What the firmware printed since the last call, whole lines."""
        with open(self.log, "rb") as log:
            log.seek(self.shown_b)
            text = log.read()
        whole_b = text.rfind(b"\n") + 1
        self.shown_b += whole_b
        return text[:whole_b].decode(errors="replace").splitlines()

    def last_lines(self, count: int = 12) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()[-count:]

    def stop(self) -> None:
        """Press the stop button and wait; a firmware that does not end is killed, and then has no figures."""
        (self.root / "stop").touch()
        if self.running:
            try:
                self.running.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.running.kill()
                self.running.wait()

    def figures(self) -> Optional[dict]:
        """What the firmware says of itself at its end: name to number; None when it said nothing.

        A board that sleeps says it before each sleep: the sums, and the lowest of the heaps.
        """
        figures: dict = {}
        for line in SUMMARY.findall(self.log.read_text(errors="replace")):
            for name, number in (pair.split("=") for pair in line.split()):
                known = figures.get(name)
                lowest = name == "heap_low_b" and known is not None
                figures[name] = min(known, int(number)) if lowest else (known or 0) + int(number)
        return figures or None

    def __exit__(self, *_: object) -> None:
        if self.running and self.running.poll() is None:
            self.running.kill()
            self.running.wait()
