"""The bootloader in a chip's ROM, and the flasher stub that esptool uploads to it, as seen from the serial port.

The stub's code is taken and checked but not run: this module answers in its place.
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import Callable, Dict, Optional

from tools.virtual_board.nor_flash import SECTOR_B, NorFlash

CHIP_MAGIC_REG = 0x40001000
_BAD_COMMAND, _FAILED, _BAD_CHECKSUM = 0x05, 0x06, 0x07
_JEDEC_SIZES = {1 << 20: 0x14, 2 << 20: 0x15, 4 << 20: 0x16, 8 << 20: 0x17, 16 << 20: 0x18}


@dataclass(frozen=True)
class Silicon:
    """What esptool can see of a chip. `status_b`: length of the status that ends each answer of the ROM."""

    magic: int
    registers: Dict[int, int]
    spi_base: int
    spi_w0: int
    status_b: int
    rom_commands: bytes
    greeting: bytes


SILICON = {
    "esp32": Silicon(
        magic=0x00F01D83,
        registers={0x3FF40014: 347},  # the UART's divider tells of a 40 MHz crystal
        spi_base=0x3FF42000,
        spi_w0=0x80,
        status_b=4,
        rom_commands=bytes((2, 3, 4, 5, 6, 7, 8, 9, 0xA, 0xB, 0xD, 0xE, 0xF, 0x10, 0x11, 0x12, 0x13)),
        greeting=b"ets Jul 29 2019 12:21:46\r\n\r\nrst:0x1 (POWERON_RESET),"
        b"boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))\r\nwaiting for download\r\n",
    ),
    "esp8266": Silicon(
        magic=0xFFF0C101,
        registers={0x60000014: 451, 0x3FF00058: 0x3000B000},  # a 26 MHz crystal; not an ESP8285
        spi_base=0x60000200,
        spi_w0=0x40,
        status_b=2,
        rom_commands=bytes((2, 3, 4, 5, 6, 7, 8, 9, 0xA)),
        greeting=b"\r\n ets Jan  8 2013,rst cause:1, boot mode:(1,7)\r\n\r\n",
    ),
}


def mac_fuses(chip: str, mac: bytes) -> Dict[int, int]:
    """The fuses that hold the MAC address; an ESP8266's begins with 18:fe:34 whatever `mac` says."""
    if chip == "esp8266":
        return {0x3FF00050: mac[5] << 24, 0x3FF00054: mac[3] << 8 | mac[4], 0x3FF0005C: 0}
    high, low = struct.unpack(">HI", mac)
    return {0x3FF5A004: low, 0x3FF5A008: high}


def slip(packet: bytes) -> bytes:
    """The packet in SLIP framing."""
    return b"\xc0" + packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


class Refused(Exception):
    """The loader answers a command with an error code."""

    def __init__(self, code: int):
        super().__init__("error 0x%02x" % code)
        self.code = code


@dataclass
class _Download:
    """A FLASH_BEGIN or FLASH_DEFL_BEGIN that is not finished. `erased`: the address up to which the flash is blank."""

    at: int
    end: int
    erased: int
    inflate: Optional["zlib._Decompress"]


@dataclass
class _Reading:
    """A READ_FLASH that is not finished."""

    data: bytes
    block_b: int


class RomLoader:
    """Bytes from the port in (`feed`), answers out through `send`. `run()` leaves for the flashed program."""

    def __init__(
        self,
        chip: str,
        mac: bytes,
        flash: NorFlash,
        send: Callable[[bytes], None],
        run: Callable[[], None],
    ):
        self._silicon = SILICON[chip]
        self._esp8266 = chip == "esp8266"
        self._flash = flash
        self._send = send
        self._run = run
        self._registers = dict(self._silicon.registers)
        self._registers.update(mac_fuses(chip, mac))
        self._registers[CHIP_MAGIC_REG] = self._silicon.magic
        self._frame: Optional[bytearray] = None
        self._download: Optional[_Download] = None
        self._reading: Optional[_Reading] = None
        self.stub = False
        self._commands = {
            0x02: self._flash_begin,
            0x03: self._flash_data,
            0x04: self._flash_end,
            0x05: self._nothing,  # MEM_BEGIN
            0x06: self._mem_end,
            0x07: self._mem_data,
            0x08: self._sync,
            0x09: self._write_reg,
            0x0A: self._read_reg,
            0x0B: self._nothing,  # SPI_SET_PARAMS
            0x0D: self._nothing,  # SPI_ATTACH
            0x0E: self._read_flash_slow,
            0x0F: self._nothing,  # CHANGE_BAUDRATE
            0x10: self._flash_begin,
            0x11: self._flash_data,
            0x12: self._flash_end,
            0x13: self._flash_md5,
            0xD0: self._erase_chip,
            0xD1: self._erase_region,
            0xD2: self._read_flash,
            0xD3: self._run_user_code,
        }

    def greet(self) -> None:
        """Say what the ROM says when it enters download mode."""
        self._send(self._silicon.greeting)

    @property
    def between_packets(self) -> bool:
        """Whether what comes next begins a packet, or is noise."""
        return not self._frame

    def feed(self, data: bytes) -> None:
        """Take bytes from the host and answer every whole packet in them."""
        for byte in data:
            if byte != 0xC0:
                if self._frame is not None:
                    self._frame.append(byte)
            else:
                if self._frame:
                    packet = bytes(self._frame)
                    packet = packet.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
                    self._packet(packet)
                self._frame = bytearray()

    def _packet(self, packet: bytes) -> None:
        if self._reading:
            self._read_on(struct.unpack("<I", packet[:4].ljust(4, b"\0"))[0])
            return
        if len(packet) < 8 or packet[0] != 0:
            return
        _, op, size_b, checksum = struct.unpack_from("<BBHI", packet)
        body = packet[8 : 8 + size_b]
        words = struct.unpack_from("<%dI" % (len(body) // 4), body)
        known = op in self._commands and (self.stub or op in self._silicon.rom_commands)
        try:
            if not known:
                raise Refused(_BAD_COMMAND)
            self._commands[op](op, words, body, checksum)
        except Refused as error:
            self._answer(op, error=error.code)
        except (ValueError, IndexError, zlib.error):
            self._answer(op, error=_FAILED)

    def _answer(self, op: int, value: int = 0, data: bytes = b"", error: int = 0) -> None:
        status = bytes((1 if error else 0, error)).ljust(2 if self.stub else self._silicon.status_b, b"\0")
        head = struct.pack("<BBHI", 1, op, len(data) + len(status), value)
        self._send(slip(head + data + status))

    def _nothing(self, op, words, body, checksum):
        self._answer(op)

    def _sync(self, op, words, body, checksum):
        for _ in range(8):  # the ROM repeats itself; esptool reads a value of 0 as "a stub runs"
            self._answer(op, 0 if self.stub else 0x20120707)

    def _checked(self, words, body, checksum) -> bytes:
        block = body[16 : 16 + words[0]]
        check = 0xEF
        for byte in block:
            check ^= byte
        if check != checksum & 0xFF or len(block) != words[0]:
            raise Refused(_BAD_CHECKSUM)
        return block

    def _mem_data(self, op, words, body, checksum):
        self._checked(words, body, checksum)
        self._answer(op)

    def _mem_end(self, op, words, body, checksum):
        self._answer(op)
        if words[0] == 0:  # "run what was loaded"
            self.stub = True
            self._send(slip(b"OHAI"))

    def _read_reg(self, op, words, body, checksum):
        self._answer(op, self._registers.get(words[0], 0))

    def _write_reg(self, op, words, body, checksum):
        for i in range(0, len(words) - 1, 4):  # address, value, mask, delay
            self._poke(words[i], words[i + 1])
        self._answer(op)

    def _poke(self, address: int, value: int) -> None:
        base = self._silicon.spi_base
        if address == base and value & 1 << 18:  # an SPI command of the user's: only RDID answers
            command = self._registers.get(base + 0x24, 0) & 0xFF
            jedec = _JEDEC_SIZES[self._flash.size_b] << 16 | 0x40EF
            self._registers[base + self._silicon.spi_w0] = jedec if command == 0x9F else 0
            value = 0
        self._registers[address] = value

    def _flash_begin(self, op, words, body, checksum):
        erase_b, _, _, at = words[:4]
        packed = op == 0x10
        end = at + erase_b
        if self._esp8266 and not self.stub:
            # this ROM erases more than it is told to, and esptool asks for less in turn
            sectors, head = erase_b // SECTOR_B, 16 - at // SECTOR_B % 16
            more = at + SECTOR_B * (2 * sectors if sectors <= head else sectors + head)
            end = max(end, min(more, self._flash.size_b))
        erased = at
        if self.stub and packed:
            self._flash.program(max(end - 1, 0), b"\xff")  # in range? The stub erases as it goes
        elif end > at:
            self._flash.erase(at, end - at)
            erased = (end + SECTOR_B - 1) // SECTOR_B * SECTOR_B
        self._download = _Download(at, end, erased, zlib.decompressobj() if packed else None)
        self._answer(op)

    def _flash_data(self, op, words, body, checksum):
        block = self._checked(words, body, checksum)
        todo = self._download
        if not todo:
            raise Refused(_FAILED)
        if todo.inflate:
            block = todo.inflate.decompress(block)
        end = todo.at + len(block)
        if todo.inflate and self.stub and end > todo.erased:
            self._flash.erase(todo.erased, end - todo.erased)
            todo.erased = (end + SECTOR_B - 1) // SECTOR_B * SECTOR_B
        self._flash.program(todo.at, block[: self._flash.size_b - todo.at])
        todo.at = end
        self._answer(op)

    def _flash_end(self, op, words, body, checksum):
        self._download = None
        self._answer(op)
        if words and words[0] == 0:
            self._run()

    def _flash_md5(self, op, words, body, checksum):
        digest = hashlib.md5(self._flash.read(words[0], words[1]))
        self._answer(op, data=digest.digest() if self.stub else digest.hexdigest().encode())

    def _read_flash_slow(self, op, words, body, checksum):
        self._answer(op, data=self._flash.read(words[0], 64))

    def _erase_chip(self, op, words, body, checksum):
        self._flash.erase(0, self._flash.size_b)
        self._answer(op)

    def _erase_region(self, op, words, body, checksum):
        self._flash.erase(words[0], words[1])
        self._answer(op)

    def _read_flash(self, op, words, body, checksum):
        at, size_b, block_b = words[:3]
        self._answer(op)
        self._reading = _Reading(self._flash.read(at, size_b), block_b)
        self._read_on(0)

    def _read_on(self, received: int) -> None:
        data = self._reading.data
        if received < len(data):
            self._send(slip(data[received : received + self._reading.block_b]))
        else:
            self._reading = None
            self._send(slip(hashlib.md5(data).digest()))

    def _run_user_code(self, op, words, body, checksum):
        self._run()
