"""The flash chip and where things lie in it."""

import pytest

from tools.device.chips import CHIPS, MIB, filesystem, partitions
from tools.virtual_board.fake_image import partition_table
from tools.virtual_board.nor_flash import SECTOR_B, NorFlash


@pytest.fixture
def flash(tmp_path):
    chip = NorFlash(str(tmp_path / "flash"), 4 * SECTOR_B)
    yield chip
    chip.close()


def test_a_new_chip_is_blank(flash):
    assert flash.read(0, 4 * SECTOR_B) == b"\xff" * 4 * SECTOR_B


def test_programming_only_clears_bits(flash):
    flash.program(5, b"\xf0")
    flash.program(5, b"\x3c")
    assert flash.read(4, 3) == b"\xff\x30\xff"


def test_erasing_takes_every_sector_that_is_touched(flash):
    flash.program(0, b"\0" * 4 * SECTOR_B)
    flash.erase(SECTOR_B + 1, SECTOR_B)
    assert flash.read(0, 4 * SECTOR_B) == b"\0" * SECTOR_B + b"\xff" * 2 * SECTOR_B + b"\0" * SECTOR_B


def test_nothing_is_written_past_the_end(flash):
    for change in (lambda: flash.program(4 * SECTOR_B - 1, b"\0\0"), lambda: flash.erase(3 * SECTOR_B, 2 * SECTOR_B)):
        with pytest.raises(ValueError, match="past the end"):
            change()
    assert flash.read(0, 4 * SECTOR_B) == b"\xff" * 4 * SECTOR_B


def test_the_contents_outlive_the_power(tmp_path):
    path = str(tmp_path / "flash")
    chip = NorFlash(path, SECTOR_B)
    chip.program(0, b"abc")
    chip.close()
    chip = NorFlash(path, SECTOR_B)
    assert chip.read(0, 4) == b"abc\xff"
    chip.close()


def test_a_chip_is_one_boards_at_a_time(flash):
    with pytest.raises(BlockingIOError):
        NorFlash(flash.path, 4 * SECTOR_B)
    flash.program(0, b"x")
    assert flash.read(0, 1) == b"x"


@pytest.mark.parametrize(
    ("chip", "flash_b", "offset", "size_b"),
    [
        ("esp32", 4 * MIB, 0x200000, 0x200000),
        ("esp32", 8 * MIB, 0x200000, 0x600000),
        ("esp32", 2 * MIB, 0x170000, 0x50000),
        ("esp8266", 4 * MIB, 0x100000, 0x2FB000),
        ("esp8266", 2 * MIB, 0x100000, 0xFB000),
        ("esp8266", MIB, 0x99000, 0x62000),
    ],
)
def test_the_file_system_lies_where_stock_micropython_has_it(chip, flash_b, offset, size_b):
    assert filesystem(chip, flash_b) == (offset, size_b)


def test_the_partition_table_has_the_last_word():
    table = partition_table(8 * MIB)
    assert [row.label for row in partitions(table)] == ["nvs", "phy_init", "factory", "vfs"]
    assert filesystem("esp32", 4 * MIB, table) == (0x200000, 0x600000)
    with pytest.raises(ValueError, match="no 'vfs' partition"):
        filesystem("esp32", 4 * MIB, table[:96])


def test_a_flash_without_room_for_files_is_told():
    with pytest.raises(ValueError, match="less than 1 MiB"):
        filesystem("esp8266", MIB // 2)


def test_image_offsets_are_those_of_the_makers_table():
    offsets = {name: chip.image_offset for name, chip in CHIPS.items()}
    assert offsets["esp32"] == offsets["esp32s2"] == 0x1000
    assert offsets["esp32c5"] == offsets["esp32p4"] == 0x2000
    assert {offsets[chip] for chip in ("esp8266", "esp32s3", "esp32c2", "esp32c3", "esp32c6", "esp32h2")} == {0}
