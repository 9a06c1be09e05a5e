"""Facts about the chips: where MicroPython's image and its file system lie in the flash."""

import struct
from dataclasses import dataclass
from typing import List, Tuple

PARTITION_TABLE = 0x8000
SECTOR_B = 4096
MIB = 1 << 20
ROM_VARIANT = "FLASH_2M_ROMFS"  # of the ESP8266's stock MicroPython, since 1.25


# The fourth byte of an ESP8266's image tells it how much flash it has, in MiB. The stock ones say 1.
_ESP8266_SIZES = {1: 0x20, 2: 0x30, 4: 0x40, 8: 0x80, 16: 0x90}


@dataclass(frozen=True)
class Chip:
    """One kind of chip. `image_offset`: where MicroPython's .bin goes in the flash."""

    name: str  # as esptool's --chip takes it
    label: str  # as esptool and the chip's maker write it
    image_offset: int
    image_id: int  # in the image's extended header; -1 where there is none
    board: str  # the generic board's name at micropython.org
    heap_floor_b: int  # free heap to be left with the firmware imported


CHIPS = {
    c.name: c
    for c in (
        Chip("esp8266", "ESP8266", 0x0, -1, "ESP8266_GENERIC", 6_000),
        Chip("esp32", "ESP32", 0x1000, 0, "ESP32_GENERIC", 50_000),
        Chip("esp32s2", "ESP32-S2", 0x1000, 2, "ESP32_GENERIC_S2", 50_000),
        Chip("esp32c3", "ESP32-C3", 0x0, 5, "ESP32_GENERIC_C3", 50_000),
        Chip("esp32s3", "ESP32-S3", 0x0, 9, "ESP32_GENERIC_S3", 50_000),
        Chip("esp32c2", "ESP32-C2", 0x0, 12, "ESP32_GENERIC_C2", 30_000),
        Chip("esp32c6", "ESP32-C6", 0x0, 13, "ESP32_GENERIC_C6", 50_000),
        Chip("esp32h2", "ESP32-H2", 0x0, 16, "ESP32_GENERIC_H2", 50_000),
        Chip("esp32p4", "ESP32-P4", 0x2000, 18, "ESP32_GENERIC_P4", 50_000),
        Chip("esp32c5", "ESP32-C5", 0x2000, 23, "ESP32_GENERIC_C5", 50_000),
    )
}


@dataclass(frozen=True)
class Partition:
    """One row of an ESP32 partition table. Offset and size in bytes; kind 0 is an application, 1 is data."""

    kind: int
    subkind: int
    offset: int
    size: int
    label: str


def partitions(table: bytes) -> List[Partition]:
    """The rows of the partition table that begins `table`; an empty list when there is none."""
    rows = []
    for i in range(0, len(table) - 31, 32):
        magic, kind, subkind, offset, size, label = struct.unpack_from("<HBBII16s", table, i)
        if magic != 0x50AA:  # the MD5 row, or the end
            break
        text = label.rstrip(b"\0").decode("utf-8", "replace")
        rows.append(Partition(kind, subkind, offset, size, text))
    return rows


def rom(chip: str, program: bytes) -> Tuple[int, int]:
    """Offset and size in bytes of the partition that this MicroPython mounts at /rom; (0, 0) when it has none.

    `program`: MicroPython's image. Of the stock ones only the ESP8266's ROM_VARIANT has one; it is told by the folder
    that it puts on sys.path.
    """
    offset, size_b = 0xB0000, 0x50000
    return (offset, size_b) if chip == "esp8266" and b"/rom/lib" in program[:offset] else (0, 0)


def esp8266_flash(image: bytes) -> int:
    """How many bytes of flash an ESP8266 with this image believes to have; 0 when the image says nothing known."""
    return next((mib * MIB for mib, code in _ESP8266_SIZES.items() if code == image[3] & 0xF0), 0)


def with_esp8266_flash(image: bytes, flash_b: int) -> bytes:
    """The image for an ESP8266 with that much flash. Raises KeyError for a size that is not made."""
    return image[:3] + bytes((image[3] & 0x0F | _ESP8266_SIZES[flash_b // MIB],)) + image[4:]


def filesystem(chip: str, flash_b: int, table: bytes = b"") -> Tuple[int, int]:
    """Offset and size in bytes of the littlefs partition of stock MicroPython.

    `table`: the flash from PARTITION_TABLE on, where the chip has one; it is then the truth.
    Raises ValueError when there is no room for a file system.
    """
    if chip == "esp8266":
        if flash_b < MIB:
            raise ValueError("an ESP8266 with less than 1 MiB of flash has no file system")
        start = 0x99000 if flash_b == MIB else 0x100000
        return start, flash_b - start - 20 * 1024  # the SDK keeps its parameters in the last 20 KiB
    rows = partitions(table)
    for row in rows:
        if row.kind == 1 and row.label == "vfs":
            return row.offset, row.size
    if rows:
        raise ValueError("the partition table has no 'vfs' partition")
    if flash_b < 2 * MIB:
        raise ValueError("MicroPython for %s needs 2 MiB of flash" % chip)
    return (0x170000, 0x50000) if flash_b == 2 * MIB else (0x200000, flash_b - 0x200000)
