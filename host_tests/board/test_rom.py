"""The loader's protocol, packet by packet; the packets are made here, not by the loader's own code."""

import hashlib
import struct
import zlib

import pytest

from tools.virtual_board.boot_rom import RomLoader
from tools.virtual_board.nor_flash import SECTOR_B, NorFlash

SIZE_B = 1 << 20


class Host:
    """esptool's end of the line."""

    def __init__(self, chip, path):
        self.flash = NorFlash(path, SIZE_B)
        self.sent = b""
        self.runs = 0
        self.rom = RomLoader(chip, bytes(range(6)), self.flash, self._take, self._ran)

    def _take(self, data):
        self.sent += data

    def _ran(self):
        self.runs += 1

    def answers(self):
        """[(op, value, body)] since the last call."""
        parts, self.sent = self.sent.split(b"\xc0"), b""
        found = []
        for part in parts:
            part = part.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
            if part[:1] == b"\x01":
                _, op, length_b, value = struct.unpack_from("<BBHI", part)
                assert len(part) == 8 + length_b
                found.append((op, value, part[8:]))
            elif part:
                found.append(part)
        return found

    def ask(self, op, body=b"", checksum=0):
        packet = struct.pack("<BBHI", 0, op, len(body), checksum) + body
        packet = packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
        self.rom.feed(b"\xc0" + packet + b"\xc0")
        return self.answers()

    def data(self, op, block, seq=0):
        check = 0xEF
        for byte in block:
            check ^= byte
        return self.ask(op, struct.pack("<IIII", len(block), seq, 0, 0) + block, check)

    def load_stub(self):
        assert self.ask(0x06, struct.pack("<II", 0, 0x400BE000))[-1] == b"OHAI"


@pytest.fixture(params=["esp32", "esp8266"])
def host(request, tmp_path):
    made = Host(request.param, str(tmp_path / "flash"))
    made.status_b = {"esp32": 4, "esp8266": 2}[request.param]
    yield made
    made.flash.close()


def test_sync_is_answered_eight_times(host):
    found = host.ask(0x08, b"\x07\x07\x12\x20" + 32 * b"\x55")
    assert len(found) == 8 and all(op == 0x08 and value for op, value, _ in found)


def test_a_packet_may_come_byte_by_byte(host):
    for byte in b"\xc0\x00\x0a\x04\x00\x00\x00\x00\x00\x00\x10\x00\x40\xc0":
        host.rom.feed(bytes([byte]))
    ((op, value, _),) = host.answers()
    assert op == 0x0A and value in (0x00F01D83, 0xFFF0C101)


def test_noise_before_a_packet_does_no_harm(host):
    host.rom.feed(b"\r\n\x00garbage")
    assert len(host.ask(0x08, b"\x07\x07\x12\x20" + 32 * b"\x55")) == 8


def test_an_unknown_command_is_refused(host):
    ((_, _, body),) = host.ask(0x14)
    assert body[:2] == b"\x01\x05" and len(body) == host.status_b


def test_what_only_the_stub_can_do_the_rom_refuses(host):
    ((_, _, body),) = host.ask(0xD0)
    assert body[:2] == b"\x01\x05"
    host.load_stub()
    ((_, _, body),) = host.ask(0xD0)
    assert body == b"\0\0"


def test_a_wrong_checksum_writes_nothing(host):
    host.ask(0x02, struct.pack("<IIII", SECTOR_B, 1, SECTOR_B, 0))
    ((_, _, body),) = host.ask(0x03, struct.pack("<IIII", 4, 0, 0, 0) + b"\0\0\0\0", 0x12)
    assert body[:2] == b"\x01\x07"
    assert host.flash.read(0, 4) == b"\xff" * 4


def test_data_without_a_beginning_is_refused(host):
    ((_, _, body),) = host.data(0x03, b"\0" * 16)
    assert body[0] == 1 and host.flash.read(0, 4) == b"\xff" * 4


def test_a_write_erases_first_and_ends_in_the_flash(host):
    host.flash.program(0, b"\0" * 2 * SECTOR_B)
    host.load_stub()
    host.ask(0x02, struct.pack("<IIII", SECTOR_B, 1, SECTOR_B, 0))
    assert host.data(0x03, b"\xc0\xdb" * 8)[0][2] == b"\0\0"
    assert host.flash.read(0, SECTOR_B) == (b"\xc0\xdb" * 8).ljust(SECTOR_B, b"\xff")
    assert host.flash.read(SECTOR_B, 1) == b"\0"  # and not a sector more


def test_without_an_erase_old_bits_stay_cleared(tmp_path):
    host = Host("esp32", str(tmp_path / "flash"))
    host.flash.program(0, b"\0" * 4)
    host.ask(0x02, struct.pack("<IIII", 0, 1, SECTOR_B, 0))  # a size of 0: erase nothing
    host.data(0x03, b"\xff\x0f\xf0\xaa")
    assert host.flash.read(0, 4) == b"\0" * 4
    host.flash.close()


def test_compressed_blocks_may_be_cut_anywhere(host):
    host.load_stub()
    plain = bytes(range(256)) * 40
    host.flash.program(0, b"\0" * len(plain))
    packed = zlib.compress(plain)
    host.ask(0x10, struct.pack("<IIII", len(plain), 3, 100, 0))
    for i in range(0, len(packed), 100):
        assert host.data(0x11, packed[i : i + 100], i // 100)[0][2] == b"\0\0"
    assert host.flash.read(0, len(plain)) == plain
    ((_, _, body),) = host.ask(0x13, struct.pack("<IIII", 0, len(plain), 0, 0))
    assert body[:16] == hashlib.md5(plain).digest()


def test_bad_compressed_data_is_refused(host):
    host.load_stub()
    host.ask(0x10, struct.pack("<IIII", 100, 1, 100, 0))
    ((_, _, body),) = host.data(0x11, b"not zlib")
    assert body[0] == 1


def test_what_lies_past_the_end_is_refused(host):
    host.load_stub()
    for op in (0x02, 0x10):
        ((_, _, body),) = host.ask(op, struct.pack("<IIII", SECTOR_B, 1, SECTOR_B, SIZE_B))
        assert body[0] == 1
    ((_, _, body),) = host.ask(0xD1, struct.pack("<II", SIZE_B - SECTOR_B, 2 * SECTOR_B))
    assert body[0] == 1


def test_reading_goes_on_only_when_the_host_has_taken_a_block(host):
    host.load_stub()
    host.flash.program(0, b"0123456789")
    answer, first = host.ask(0xD2, struct.pack("<IIII", 0, 10, 6, 1))
    assert first == b"012345"
    host.rom.feed(b"\xc0" + struct.pack("<I", 6) + b"\xc0")
    assert host.answers() == [b"6789"]
    host.rom.feed(b"\xc0" + struct.pack("<I", 10) + b"\xc0")
    assert host.answers() == [hashlib.md5(b"0123456789").digest()]


def test_the_end_of_flashing_starts_the_program_when_asked(host):
    host.ask(0x04, struct.pack("<I", 1))
    assert host.runs == 0
    host.ask(0x04, struct.pack("<I", 0))
    assert host.runs == 1
