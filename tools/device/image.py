"""`make image`: MicroPython, the firmware and its configuration in one file, for esptool to write in one call.

Exit status: 0 written, 1 something is wrong, in words; 2 wrong arguments.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Dict, List, Optional

from littlefs import LittleFS, LittleFSError

from tools.device.chips import CHIPS, MIB, PARTITION_TABLE, ROM_VARIANT, SECTOR_B, filesystem, rom, with_esp8266_flash
from tools.device.config import check, given, read_ca
from tools.device.deploy import MANIFEST, build_firmware
from tools.device.flash import check_image, image_chip
from tools.device.serial_port import ToolError, parser, run_tool
from tools.printable import quoted

ROOT = Path(__file__).resolve().parents[2]
SPARE_BLOCKS = 16  # for the readings that wait, the crash log, and littlefs itself


def filesystem_image(files: Dict[str, bytes], size_b: int) -> bytes:
    """A littlefs2 file system of size_b bytes as MicroPython's VfsLfs2 makes it. Raises ToolError when it is full."""
    fs = LittleFS(
        block_size=SECTOR_B,
        block_count=size_b // SECTOR_B,
        read_size=32,
        prog_size=32,
        cache_size=128,
        lookahead_size=32,
        disk_version=0x00020000,  # 2.0 is read by every MicroPython
    )
    try:
        for path, data in sorted(files.items()):
            folder = path.rpartition("/")[0]
            if folder:
                fs.makedirs(folder, exist_ok=True)
            with fs.open(path, "wb") as file:
                file.write(data)
    except (LittleFSError, OSError) as error:
        raise ToolError("the files do not fit into %d KiB: %s" % (size_b >> 10, error)) from None
    if size_b // SECTOR_B - fs.used_block_count < SPARE_BLOCKS:
        raise ToolError("the files leave less than %d KiB of the file system" % (SPARE_BLOCKS * 4))
    return bytes(fs.context.buffer)


def merge(micropython: bytes, flash_b: int, config: Dict[str, bytes]) -> bytes:
    """The flash from address 0 to the last byte that is not blank: MicroPython, the firmware (in the ROM partition
    where there is one) and the files of `config`. Raises ToolError."""
    chip = CHIPS[image_chip(micropython)]
    check_image(micropython, chip)
    table = micropython[PARTITION_TABLE - chip.image_offset :] if chip.image_id >= 0 else b""
    rom_offset, rom_b = rom(chip.name, micropython)
    if chip.name == "esp8266" and not rom_b:
        raise ToolError("on an ESP8266 the firmware must be executed from flash, and this MicroPython has no ROM"
                        " partition: take %s-%s" % (chip.board, ROM_VARIANT))  # fmt: skip
    try:
        offset, size_b = filesystem(chip.name, flash_b, table)
    except ValueError as error:
        raise ToolError(str(error)) from None
    if offset + size_b > flash_b:
        raise ToolError("this MicroPython is for a larger flash than %d MiB" % (flash_b // MIB))
    firmware = build_firmware(in_rom=rom_b > 0)
    files = {**firmware.files, MANIFEST: as_json(sorted(firmware.files)), **config}
    whole = b"\xff" * chip.image_offset + micropython
    for at, limit, data in (
        (rom_offset, rom_b, firmware.image),
        (offset, size_b, filesystem_image(files, size_b)),
    ):
        if len(data) > limit:
            raise ToolError("the firmware has %d B, the ROM partition %d B" % (len(data), limit))
        if data and len(whole) > at:
            raise ToolError("this MicroPython does not leave room for what belongs at 0x%x" % at)
        whole = whole.ljust(at, b"\xff") + data if data else whole
    if chip.name == "esp8266":
        whole = with_esp8266_flash(whole, flash_b)
    used = len(whole.rstrip(b"\xff"))
    return whole[: (used + SECTOR_B - 1) // SECTOR_B * SECTOR_B]


def main(argv: Optional[List[str]] = None) -> int:
    options = parser(
        "image",
        "One file with MicroPython, the firmware and the configuration, for a production line. It holds"
        " the passwords: it is written with mode 600.",
        "FIRMWARE",
        "CONFIG",
    )
    options.add_argument("--firmware", default=os.environ.get("FIRMWARE", ""), metavar="FILE",
                   help="MicroPython's .bin for the chip; default: FIRMWARE")  # fmt: skip
    options.add_argument("--config", default=os.environ.get("CONFIG", ""), metavar="FILE",
                   help="config.json; default: CONFIG; environment variables (UMQTT_...) count too, see"
                   " make config ARGS=--help")  # fmt: skip
    options.add_argument("--ca", default="", help="certificate of the CA that signed the broker's (PEM or DER)")
    options.add_argument("--flash-size", type=int, default=4, metavar="MIB", help="of the boards; default 4")
    options.add_argument("--output", default="", metavar="FILE", help="default: build/image/CHIP.bin")
    args = options.parse_args(argv)
    if not args.firmware:
        raise ToolError("name MicroPython's image for the chip: FIRMWARE=ESP32_GENERIC-....bin", 2)
    micropython = read_micropython(args.firmware)
    chip = CHIPS[image_chip(micropython)]
    config = given(args.config, dict(os.environ))
    extra = with_ca(config, args.config, args.ca)
    check(config, chip.name)
    extra["/config.json"] = as_json(config)
    whole = merge(micropython, args.flash_size * MIB, extra)
    out = Path(args.output) if args.output else ROOT / "build" / "image" / (chip.name + ".bin")
    out.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.chmod(out, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(whole)
    print("%s: %d KiB, SHA-256 %s" % (out, len(whole) >> 10, hashlib.sha256(whole).hexdigest()))
    print("esptool --chip %s --port PORT write-flash --erase-all 0x0 %s" % (chip.name, quoted(out)))
    return 0


def read_micropython(path: str) -> bytes:
    """MicroPython's .bin for a chip. Raises ToolError."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ToolError("cannot read %s: %s" % (path, error.strerror), 2) from None


def with_ca(config: Dict[str, Any], config_path: str, ca_path: str) -> Dict[str, bytes]:
    """The CA's certificate as a file of the board: of ca_path, which config then names, or of the one that it names,
    beside config_path. Raises ToolError."""
    if ca_path:
        config["tls"], config["tls_ca"] = True, "ca.der"
        return {"/ca.der": read_ca(ca_path)}
    if config.get("tls_ca") and config_path:  # where `make config ARGS="--output ..."` puts it
        return {"/" + config["tls_ca"]: read_ca(str(Path(config_path).with_name(config["tls_ca"])))}
    return {}


def as_json(value: object) -> bytes:
    """As deploy and config write it."""
    return json.dumps(value, separators=(",", ":")).encode()


if __name__ == "__main__":
    run_tool("image", main)
