"""`make release`: the files of a release's page, in build/release/VERSION.

    python -m tools.release.page [--micropython FILE ...] [--only CHIP ...] [--output FOLDER]

umqtt-VERSION-mpy6.zip    the library as `mip install` puts it onto a board, for .mpy version 6
umqtt-VERSION-py.zip      the same as source, for a MicroPython that loads another version
umqtt-node-VERSION-CHIP-micropython-NUMBER.bin
                          MicroPython and the firmware, without a configuration, for `esptool write-flash 0x0`
umqtt_node_stubs-VERSION-py3-none-any.whl
                          the types, for editors
CHANGES.md                what CHANGELOG.md says of this version
SHA256SUMS                of all of them

MicroPython comes from --micropython, or as `make flash` gets it; a chip for which it cannot be had has no image, which
is said. The same source and the same MicroPython make the same bytes.
Exit status: 0 done, for a version on the way to a release too; 1 something is wrong, in words; 2 called wrongly.
"""

import argparse
import hashlib
import io
import os
import re
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from tools.build import BuildError
from tools.device.chips import CHIPS, MIB, Chip
from tools.device.flash import NEWEST, SITE, fetch, image_chip
from tools.device.image import merge
from tools.device.serial_port import ToolError
from tools.release import package, stubs
from tools.release.version import is_release, version
from tools.ship import LIBRARY

ROOT = Path(__file__).resolve().parents[2]
FLASH_MIB = (4, 8, 16)  # the smallest that the chip's MicroPython is for
ZIP_TIME = (2020, 1, 1, 0, 0, 0)  # of every file
LIB = "lib/"  # on the board


def archive(files: Dict[str, bytes]) -> bytes:
    """A .zip with these files. Nothing is compressed: what does that differs from computer to computer."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archived:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, ZIP_TIME)
            entry.create_system = 3  # Unix, wherever it is made
            entry.external_attr = 0o644 << 16
            archived.writestr(entry, data)
    return out.getvalue()


def on_board(files: Dict[str, bytes]) -> Dict[str, bytes]:
    """Files as mip names them, by their place on the board."""
    return {target[3:] if target.startswith("../") else LIB + target: data for target, data in files.items()}


def library_files() -> Dict[str, bytes]:
    """The archives of the library. Raises BuildError."""
    sources = {"umqtt/" + path.name: path.read_bytes() for path in LIBRARY.glob("*.py")}
    sources[package.FIRST + ".py"] = package.first((LIBRARY / "__init__.py").read_text(), ".py").encode()
    return {
        "umqtt-%s-mpy%d.zip" % (version(), package.MPY_VERSION): archive(on_board(package.library())),
        "umqtt-%s-py.zip" % version(): archive(on_board(sources)),
    }


def image(micropython: bytes) -> bytes:
    """The flash with this MicroPython and the firmware, and no configuration. Raises ToolError."""
    for size_mib in FLASH_MIB:
        try:
            return merge(micropython, size_mib * MIB, {})
        except ToolError as error:
            if "larger flash" not in str(error) or size_mib == FLASH_MIB[-1]:
                raise
    raise AssertionError("FLASH_MIB is empty")


def micropython_of(chip: Chip, given: Dict[str, Tuple[str, bytes]], site: str) -> Tuple[str, bytes]:
    """MicroPython's version and image for the chip. Raises ToolError."""
    if chip.name in given:
        return given[chip.name]
    if not site:
        raise ToolError("no --micropython, and the site is not to be reached")
    return NEWEST, fetch(chip, NEWEST, FLASH_MIB[0] * MIB, site, "", ROOT / ".cache" / "firmware").read_bytes()


def read_given(paths: List[str]) -> Dict[str, Tuple[str, bytes]]:
    """The images of --micropython by chip: version, content. The version is the one in the file's name. Raises
    ToolError."""
    given = {}
    for path in paths:
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise ToolError("cannot read %s: %s" % (path, error.strerror), 2) from None
        number = re.search(r"v?(\d+\.\d+\.\d+)", Path(path).name)
        given[image_chip(data)] = (number.group(1) if number else "given", data)
    return given


def changes(number: str) -> str:
    """What CHANGELOG.md says of this version; of one on the way to a release, what is not released."""
    heading = number if is_release(number) else "Unreleased"
    found = re.search(
        r"^## %s\b[^\n]*\n(.*?)(?=^## |\Z)" % re.escape(heading), (ROOT / "CHANGELOG.md").read_text(), re.M | re.S
    )
    if not found:
        raise ToolError("CHANGELOG.md has no heading for %s" % heading)
    return found.group(1).strip() + "\n"


def build(out: Path, given: Dict[str, Tuple[str, bytes]], only: List[str], site: str) -> List[str]:
    """Fill `out`, replacing what is there; what has no image, and why. Raises ToolError, BuildError, StubsError."""
    os.environ.pop("SENSORS", None)  # a driver of one's own is no part of a release
    number = version()
    files = {**library_files(), "CHANGES.md": changes(number).encode()}
    missing = []
    for chip in CHIPS.values():
        if only and chip.name not in only:
            continue
        try:
            its_version, micropython = micropython_of(chip, given, site)
            files["umqtt-node-%s-%s-micropython-%s.bin" % (number, chip.name, its_version)] = image(micropython)
        except ToolError as error:
            missing.append("%s: %s" % (chip.name, error))
            if "urlopen error" in str(error):  # the site, not its file: the others need not be tried
                site = ""
    shutil.rmtree(out, ignore_errors=True)
    wheel = stubs.build(out)
    for name, data in files.items():
        (out / name).write_bytes(data)
    files[wheel.name] = wheel.read_bytes()
    sums = ["%s  %s\n" % (hashlib.sha256(data).hexdigest(), name) for name, data in sorted(files.items())]
    (out / "SHA256SUMS").write_text("".join(sums))
    return missing


def main(argv: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="make release", description="Build the files of a release's page.")
    parser.add_argument("--micropython", action="append", default=[], metavar="FILE",
                   help="MicroPython's .bin for a chip; default: %s of its download site" % NEWEST)  # fmt: skip
    parser.add_argument(
        "--only", action="append", default=[], choices=list(CHIPS), metavar="CHIP", help="one of %s" % ", ".join(CHIPS)
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="default: build/release/VERSION")
    parser.add_argument("--site", default=os.environ.get("MICROPYTHON_SITE", SITE), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    out = args.output or ROOT / "build" / "release" / version()
    try:
        wrong = package.check(ROOT) if is_release(version()) else []
        if wrong:
            raise ToolError("\n".join(wrong))
        missing = build(out, read_given(args.micropython), args.only, args.site)
    except (ToolError, BuildError, stubs.StubsError) as error:
        print("release: %s" % error, file=sys.stderr)
        return getattr(error, "status", 1)
    for words in missing:
        print("no image for %s" % words)
    for path in sorted(out.iterdir()):
        print("%9d %s" % (path.stat().st_size, path.name))
    if not is_release(version()):
        print("%s is on the way to a release: CONTRIBUTING.md says how to make it one" % version())
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
