"""`make flash`: put MicroPython onto the board at PORT, with the esptool that is installed (4 or 5).

Exit status: 0 the firmware is on the board and verified, 1 it is not (run it again), 2 wrong arguments, no board.
"""

import argparse
import hashlib
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import List, Optional, Tuple

from tools.device.chips import CHIPS, MIB, PARTITION_TABLE, ROM_VARIANT, Chip, partitions, rom
from tools.device.serial_port import ToolError, choose, no_permission, parser, run_tool, stream

ROOT = Path(__file__).resolve().parents[2]
SITE = "https://micropython.org"
# Releases as the download site names them. The library needs 1.22.
RELEASES = {
    "1.22.2": "20240222",
    "1.23.0": "20240602",
    "1.24.1": "20241129",
    "1.25.0": "20250415",
    "1.26.0": "20250809",
    "1.26.1": "20250911",
    "1.27.0": "20251209",
    "1.28.0": "20260406",
    "1.29.0": "20260824",
}
NEWEST = "1.29.0"
# SHA-256 of images. The site publishes none; these are figures that at least two projects of different people, who know
# nothing of each other, noted of what they had fetched from it.
DIGESTS = {
    "ESP32_GENERIC-20260824-v1.29.0.bin": "e67ad6015a0a504c1fec9aa9bbf589d0432ed28e62546f4f8dd8a147f8bd95f6",
    "ESP32_GENERIC_C3-20260824-v1.29.0.bin": "bf72ed9eb88ad3a8f49d02c3d371f9ea34c90a8a303aeb9e324d8efd4a2a655a",
    "ESP32_GENERIC_S3-20260824-v1.29.0.bin": "1dd9dcd27ba2d6a1cb7f7b49a063f46d3d807d68b0151161233920228285e300",
    "ESP32_GENERIC-20260406-v1.28.0.bin": "cd7820d02c35d34dd403b44263129c6a511b350aea8446c229890753fe240784",
}
BEFORE_ROM = ("1.22.2", "1.23.0", "1.24.1")  # without a ROM partition for the ESP8266
_ESP8266_BOOT_B = 0x9000  # where code that stays in the flash begins; its length stands before it


def _to_stdout(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


class Esptool:
    """The esptool of this Python, or of the interpreter `python`. Raises ToolError when there is none."""

    def __init__(self, port: str, baud: int = 460800, python: str = sys.executable):
        self.port = port
        self.baud = baud
        self._command = [python, "-m", "esptool"]
        got = subprocess.run([*self._command, "version"], stdout=subprocess.PIPE, text=True)
        found = re.search(r"(\d+)\.\d+", got.stdout)
        if got.returncode or not found:
            raise ToolError("esptool is missing; `make setup` gets it", 2)
        self.major = int(found.group(1))

    def spell(self, word: str) -> str:
        """A command or option as this version writes it."""
        return word if self.major >= 5 else word.replace("-", "_")

    def run(self, chip: str, command: str, *arguments: str, show: bool = True) -> str:
        """Run one command on the board; what it printed. Raises ToolError when it fails, in words."""
        line = [*self._command, "--chip", chip, "--port", self.port, "--baud", str(self.baud)]
        line += [self.spell(command), *arguments]
        status, text = stream(line, _to_stdout if show else lambda data: None)
        if status:
            raise ToolError(self._why(text))
        return text

    def _why(self, said: str) -> str:
        if "Permission denied" in said or "Errno 13" in said:
            return no_permission(self.port)
        if "busy" in said or "exclusively lock" in said or "Errno 16" in said:
            return "%s is in use by another program; end it" % self.port
        if "Failed to connect" in said or "No serial data" in said or "Wrong boot mode" in said:
            return (
                "the chip at %s does not answer. Hold its BOOT (or FLASH, GPIO0) button, press RESET (EN), let go"
                " of both, and run this again" % self.port
            )
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        fatal = [line for line in lines if re.search("fatal error|exception error|Error:", line)]
        why = (fatal or lines or ["esptool said nothing"])[0 if fatal else -1].rstrip(".")
        return "flashing stopped: %s. Check the cable and run this again" % why


def identify(tool: Esptool) -> Tuple[Chip, int]:
    """The chip at the port and the size of its flash in bytes. Raises ToolError."""
    said = tool.run("auto", "flash-id", show=False)
    labels = re.findall(r"(?:Chip type:|Chip is|Detecting chip type\.\.\.)\s*(ESP\S+)", said)
    size = re.search(r"Detected flash size: (\d+)(MB|KB)", said)
    for label in labels:
        # the longest label first: "ESP32-S3" also begins with "ESP32"
        for chip in sorted(CHIPS.values(), key=lambda one: -len(one.label)):
            if label.startswith(chip.label):
                size_b = int(size.group(1)) << (20 if size.group(2) == "MB" else 10) if size else 0
                return chip, size_b
    raise ToolError("esptool did not say which chip this is:\n" + said)


def image_chip(data: bytes) -> str:
    """The chip an image is for. Raises ToolError when it is none of MicroPython's."""
    if len(data) < 0x1000 or data[0] != 0xE9:
        start = data[:4].hex()
        raise ToolError("this is no image for an ESP chip: it begins with %s, not with e9" % start)
    # the extended header of an ESP32's bootloader says which; an ESP8266's has none, but enters its own RAM
    if 0x40100000 <= struct.unpack_from("<I", data, 4)[0] < 0x40110000:
        return "esp8266"
    number = struct.unpack_from("<H", data, 12)[0]
    for chip in CHIPS.values():
        if chip.image_id == number:
            return chip.name
    raise ToolError("this image is for a chip that is not known here (number %d)" % number)


def check_image(data: bytes, chip: Chip) -> None:
    """Whether the image is for the chip and whole: checksums and digests. Raises ToolError."""
    made_for = image_chip(data)
    if made_for != chip.name:
        raise ToolError(
            "wrong image: it is for %s, the chip is %s. MicroPython for it is called %s"
            % (CHIPS[made_for].label, chip.label, chip.board)
        )
    if chip.name == "esp8266":
        # MicroPython's own trailer; the first four bytes may be changed by flash tools
        length_b = struct.unpack_from("<I", data.ljust(_ESP8266_BOOT_B, b"\0"), _ESP8266_BOOT_B - 4)[0]
        if (
            not _ESP8266_BOOT_B <= length_b <= len(data) - 16
            or hashlib.md5(data[4:length_b]).digest() != data[length_b : length_b + 16]
        ):
            raise ToolError("the image is not whole or not intact: %d bytes, its MD5 is wrong" % len(data))
        return
    check_program(data, "the bootloader", chip)
    rows = partitions(data[PARTITION_TABLE - chip.image_offset :])
    programs = [row for row in rows if row.kind == 0]
    if not programs:
        raise ToolError("the image is not whole: its partition table has no program")
    check_program(data[programs[0].offset - chip.image_offset :], "the program", chip)


def check_program(data: bytes, what: str, chip: Chip) -> None:
    """One ESP32 image: the segments' checksum and the SHA-256 that follows it. Raises ToolError."""
    broken = ToolError("the image is not whole or not intact: %s is damaged. Fetch it again" % what)
    if len(data) < 24 or data[0] != 0xE9:
        raise broken
    at, check = 24, 0xEF
    for _ in range(data[1]):
        if len(data) < at + 8:
            raise broken
        length_b = struct.unpack_from("<I", data, at + 4)[0]
        if len(data) < at + 8 + length_b:
            raise broken
        for byte in data[at + 8 : at + 8 + length_b]:
            check ^= byte
        at += 8 + length_b
    at = (at // 16 + 1) * 16  # the checksum is the last byte of a block of 16
    if len(data) < at or data[at - 1] != check:
        raise broken
    if data[23] and data[at : at + 32] != hashlib.sha256(data[:at]).digest():
        raise broken


def variant(chip: Chip, version: str, flash_b: int) -> str:
    """What the download site calls the image for this chip with so much flash: of the ESP8266's the one that can
    execute the firmware from flash, where there is one."""
    if chip.name != "esp8266":
        return chip.board
    if flash_b and flash_b < 2 * MIB:
        return chip.board + "-FLASH_1M"
    return chip.board if version in BEFORE_ROM else chip.board + "-" + ROM_VARIANT


def fetch(chip: Chip, version: str, flash_b: int, site: str, sha256: str, cache: Path) -> Path:
    """MicroPython's image for the chip from the download site, kept in `cache`. Raises ToolError."""
    if version not in RELEASES:
        raise ToolError("FIRMWARE is a file or one of %s" % ", ".join(RELEASES), 2)
    name = "%s-%s-v%s.bin" % (variant(chip, version, flash_b), RELEASES[version], version)
    wanted = (sha256 or DIGESTS.get(name, "")).lower()
    path = cache / name
    url = "%s/resources/firmware/%s" % (site, name)
    if not path.exists():
        print("fetching %s" % url, flush=True)
        cache.mkdir(parents=True, exist_ok=True)
        try:
            with web(url, bool(wanted)) as answer:
                data = read_with_progress(answer)
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise ToolError(
                "cannot fetch %s: %s. Without a network name a file: FIRMWARE=%s" % (url, error, name)
            ) from None
        check_digest(name, data, wanted)
        check_image(data, chip)  # a page of the site in its place is not kept
        part = path.with_suffix(".part")
        part.write_bytes(data)
        part.replace(path)
    data = path.read_bytes()
    try:
        check_digest(name, data, wanted)
        check_image(data, chip)
    except ToolError as error:
        path.unlink()
        raise ToolError("%s; removed it from %s" % (error, cache)) from None
    if wanted:
        print("%s, SHA-256 %s as it must be" % (name, wanted))
    else:
        print("note: no SHA-256 of %s is known here, and micropython.org publishes none. It has %s, and is whole as far"
              " as the image itself tells. Whoever knows what it must be says so: FIRMWARE_SHA256=..."
              % (name, hashlib.sha256(data).hexdigest()))  # fmt: skip
    return path


def check_digest(name: str, data: bytes, wanted: str) -> None:
    """Whether the image's SHA-256 is `wanted`; "" is anything. Raises ToolError."""
    got = hashlib.sha256(data).hexdigest()
    if wanted and got != wanted:
        raise ToolError("%s has the SHA-256 %s, not %s: this is not the image that it should be" % (name, got, wanted))


class _NeverToPlain(urllib.request.HTTPRedirectHandler):
    """Follows a redirect, but not from https to anything else: there, anybody on the way can put in another image."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if req.type == "https" and not newurl.lower().startswith("https:"):
            raise urllib.error.URLError("the site sends us on to %s, which is not https" % newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def web(url: str, digest_known: bool):
    """The answer to a GET. Plain http is asked only on loopback, or when it is known what must come. Raises URLError,
    ValueError."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1") and not digest_known:
        raise ValueError("plain http, and no SHA-256 is given to know the image by (FIRMWARE_SHA256=...)")
    return urllib.request.build_opener(_NeverToPlain).open(url, timeout=30)


def read_with_progress(answer) -> bytes:
    """The whole body. Raises OSError when it is cut off."""
    total = int(answer.headers.get("Content-Length") or 0)
    data = b""
    while True:
        piece = answer.read(65536)
        if not piece:
            break
        data += piece
        if sys.stdout.isatty() and total:
            print("\r%3d %%" % (100 * len(data) // total), end="", flush=True)
    if sys.stdout.isatty() and total:
        print()
    if total and len(data) != total:
        raise OSError("cut off after %d of %d bytes" % (len(data), total))
    return data


def flash(tool: Esptool, chip: Chip, image: Path, offset: int, erase: bool) -> None:
    """Erase, write, and let the chip compare. Raises ToolError."""
    arguments = [hex(offset), str(image)]
    if erase:
        arguments.insert(0, "--erase-all")  # both versions spell it so
    if chip.name == "esp8266":  # its image says 1 MiB, and MicroPython believes it
        arguments = ["--flash-size" if tool.major >= 5 else "--flash_size", "detect", *arguments]
    said = tool.run(chip.name, "write-flash", *arguments)
    if "Hash of data verified" not in said:
        raise ToolError("esptool did not confirm what it wrote; run this again")


def main(argv: Optional[List[str]] = None) -> int:
    options = parser(
        "flash",
        "Put MicroPython onto an ESP32 or ESP8266: erase, write, verify. Everything on the board is"
        " erased, its files too, unless --keep-files is given.",
        "PORT",
        "FIRMWARE",
        "BOARD",
    )
    options.add_argument("--firmware", default=os.environ.get("FIRMWARE", ""),
                   help="a .bin file or a release to fetch (%s); default: FIRMWARE, or %s"
                   % (", ".join(RELEASES), NEWEST))  # fmt: skip
    options.add_argument("--sha256", default=os.environ.get("FIRMWARE_SHA256", ""),
                   help="what the image's SHA-256 must be; default: FIRMWARE_SHA256")  # fmt: skip
    options.add_argument("--board", default=os.environ.get("BOARD", ""),
                   help="the chip you expect (%s): another one is refused; default: BOARD"
                   % ", ".join(CHIPS))  # fmt: skip
    options.add_argument("--keep-files", action="store_true", help="do not erase the board's file system")
    options.add_argument("--baud", type=int, default=460800, help="speed while flashing; default 460800")
    options.add_argument("--site", default=os.environ.get("MICROPYTHON_SITE", SITE), help=argparse.SUPPRESS)
    options.add_argument("--python", default=sys.executable, help=argparse.SUPPRESS)
    args = options.parse_args(argv)

    if args.board and args.board not in CHIPS:
        raise ToolError("BOARD is one of %s" % ", ".join(CHIPS), 2)
    is_file = "/" in args.firmware or args.firmware.endswith(".bin") or Path(args.firmware).is_file()
    if is_file and not Path(args.firmware).is_file():
        raise ToolError("there is no file %s" % args.firmware, 2)
    tool = Esptool(choose(args.port), args.baud, args.python)
    chip, flash_b = identify(tool)
    print("%s with %d MiB of flash at %s" % (chip.label, flash_b >> 20, tool.port), flush=True)
    if args.board and args.board != chip.name:
        raise ToolError("BOARD=%s, but the chip at %s is %s" % (args.board, tool.port, chip.name))
    if is_file:
        image = Path(args.firmware)
    else:
        version = (args.firmware or NEWEST).lstrip("v")
        image = fetch(chip, version, flash_b, args.site, args.sha256, ROOT / ".cache" / "firmware")
    data = image.read_bytes()
    if args.sha256 and hashlib.sha256(data).hexdigest() != args.sha256.lower():
        raise ToolError("%s has another SHA-256 than FIRMWARE_SHA256" % image)
    offset = chip.image_offset
    if data[:1] == b"\xff" and offset:  # merged from address 0 on (`make image`)
        check_image(data[offset:], chip)
        offset = 0
    else:
        check_image(data, chip)
    if flash_b and offset + len(data) > flash_b:
        raise ToolError("the image is larger than the board's flash")
    with tempfile.TemporaryDirectory() as scratch:  # what was checked is what is written
        copy = Path(shutil.copy(image, scratch))
        flash(tool, chip, copy, offset, not args.keep_files)
    if chip.name == "esp8266" and not rom(chip.name, data)[1]:
        print("note: this MicroPython has no ROM partition, and an ESP8266 has too little heap for the firmware without"
              " one. It takes 2 MiB of flash and %s-%s" % (chip.board, ROM_VARIANT))  # fmt: skip
    print("MicroPython is on the board. Next: make config, make deploy")
    return 0


if __name__ == "__main__":
    run_tool("flash", main)
