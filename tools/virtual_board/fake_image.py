"""`python -m tools.virtual_board.fake_image CHIP FILE`: an image of MicroPython's shape, for the virtual board only.

esptool takes it for real: headers, checksums, digests and the partition table are right. Its code does nothing; the
virtual board starts its own MicroPython when it finds a valid image.
"""

import hashlib
import struct
import sys
from pathlib import Path

from esptool.bin_image import ESP32FirmwareImage, ESP8266ROMFirmwareImage, ImageSegment

from tools.device.chips import CHIPS, MIB, PARTITION_TABLE, filesystem

MARK = b"stand-in for MicroPython: runs on the virtual board only"
ROM_MARK = b"; has /rom/lib on sys.path"
_ESP8266_BOOT_B = 0x9000  # the part of MicroPython's ESP8266 image before the code that stays in flash


def partition_table(flash_b: int) -> bytes:
    """The stock partition table of MicroPython for an ESP32 with that much flash."""
    vfs, size = filesystem("esp32", flash_b)
    rows = b"".join(
        struct.pack("<HBBII16sI", 0x50AA, kind, subkind, at, size_b, label, 0)
        for kind, subkind, at, size_b, label in (
            (1, 0x02, 0x9000, 0x6000, b"nvs"),
            (1, 0x01, 0xF000, 0x1000, b"phy_init"),
            (0, 0x00, 0x10000, vfs - 0x10000, b"factory"),
            (1, 0x81, vfs, size, b"vfs"),
        )
    )
    return (rows + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(rows).digest()).ljust(0xC00, b"\xff")


def _segment(address: int, data: bytes) -> ImageSegment:
    segment = ImageSegment(address, data, 0)
    segment.name = ""  # esptool 4 and 5 print it, but only 5's constructor sets it
    return segment


def _esp32_image(path: Path, code: bytes) -> bytes:
    image = ESP32FirmwareImage()
    image.entrypoint = 0x40080400
    image.flash_mode = 2
    image.flash_size_freq = 0x20
    image.segments = [_segment(0x3FFB0000, MARK.ljust(256, b"\0")), _segment(0x40080400, code)]
    image.save(str(path))
    return path.read_bytes()


def build(chip: str, path: Path, flash_b: int = 4 * MIB, code_b: int = 16 * 1024, rom: bool = True) -> None:
    """Write the image for the chip ("esp32" or "esp8266") to path, with code_b bytes that do not compress.

    rom: as ESP8266_GENERIC-FLASH_2M_ROMFS, which has a ROM partition; without it as ESP8266_GENERIC.
    """
    code = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(code_b // 32))
    if chip == "esp32":
        start = CHIPS[chip].image_offset
        image = _esp32_image(path, code[:2048]).ljust(PARTITION_TABLE - start, b"\xff")
        image = (image + partition_table(flash_b)).ljust(0x10000 - start, b"\xff")
        image += _esp32_image(path, code)
    elif chip == "esp8266":
        boot = ESP8266ROMFirmwareImage()
        boot.entrypoint = 0x40100000
        boot.flash_size_freq = 0x20  # 1 MiB, as MicroPython's
        boot.segments = [_segment(0x40100000, (MARK + ROM_MARK * rom).ljust(256, b"\0"))]
        boot.save(str(path))  # to a name of its own making
        saved = path.with_name(path.name + "0x00000.bin")
        length = struct.pack("<I", _ESP8266_BOOT_B + len(code))
        image = saved.read_bytes().ljust(_ESP8266_BOOT_B - 4, b"\xff") + length + code
        saved.unlink()
        image += hashlib.md5(image[4:]).digest()  # flash tools may change the first four bytes
    else:
        raise ValueError("there is a virtual esp32 and a virtual esp8266, but no %s" % chip)
    path.write_bytes(image)


if __name__ == "__main__":
    build(sys.argv[1], Path(sys.argv[2]))
