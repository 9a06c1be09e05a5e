"""`machine.SoftI2C`: the chips on it are those that the script's "values" names, as "sht4x 0x44"; each is a file
chip_TYPE.py with a class Chip. It fails as MicroPython's does: OSError 19 where nobody acknowledges the address, fewer
bytes acknowledged than written, OSError 110 where a chip holds SCL down for longer than `timeout`; then SDA stays as it
was in the middle of a byte: low."""

from time import ticks_diff

import fake_board
from micropython import const

_NOBODY = const(19)  # ENODEV
_TIMEOUT = const(110)


class Nak(Exception):
    """A chip does not acknowledge."""


class Chip:
    """A chip on the bus, which answers bytes to bytes. A subclass has write(data): how many it acknowledges, and
    read(n). Attribute stretch: how long it holds SCL down."""

    def __init__(self, name):
        self.name = name
        self.stretch = 0
        self.ready_ms = fake_board.ticks_ms()
        self.shown = None  # what it was made to measure: a value of the script
        self.fault = ""  # or how it fails

    def measure(self, ms):
        """Begin a measurement that takes ms: the next value of the script. null: the chip is away until the next;
        a text: a way to fail, at the values measured before."""
        self.ready_ms = (fake_board.ticks_ms() + ms) % (1 << 30)
        got = fake_board.value(self.name)
        self.fault = got if isinstance(got, str) else "" if got is not None else "away"
        if not self.fault:
            self.shown = got
        self.stretch = 1 << 30 if self.fault == "stretch" else 0

    def busy(self):
        """Whether it still measures."""
        return self.fault == "busy" or ticks_diff(self.ready_ms, fake_board.ticks_ms()) > 0


def crc8(data):
    """As a table-free shift register of the data sheets has it: polynomial 0x31, from 0xFF."""
    crc = 0xFF
    for byte in data:
        for i in range(7, -1, -1):
            top = (crc >> 7 ^ byte >> i) & 1
            crc = crc << 1 & 0xFF
            if top:
                crc ^= 0x31
    return crc


def words(numbers, wrong=False):
    """16-bit words, each with its CRC; wrong: with a bit of it turned."""
    out = b""
    for number in numbers:
        two = bytes([number >> 8 & 0xFF, number & 0xFF])
        out += two + bytes([crc8(two) ^ (1 if wrong else 0)])
    return out


class SoftI2C:
    def __init__(self, scl, sda, *, freq=400000, timeout=50000):
        self.scl, self.sda = scl, sda
        self.timeout = timeout
        for name in fake_board.script.get("values", {}):
            kind, _, place = name.partition(" 0x")
            if place and int(place, 16) not in fake_board.chips:
                fake_board.chips[int(place, 16)] = __import__("chip_" + kind).Chip(name)

    def at(self, address):
        chip = fake_board.chips.get(address)
        if not fake_board.level(self.scl.number):
            raise OSError(_TIMEOUT)  # it waits for SCL before it touches SDA
        if chip is None or fake_board.script["values"][chip.name] is None:
            raise OSError(_NOBODY)
        if chip.stretch > self.timeout:
            chip.stretch = 0
            self.sda.value(0)
            raise OSError(_TIMEOUT)
        return chip

    def writeto(self, address, data, stop=True):
        try:
            return self.at(address).write(bytes(data))
        except Nak:
            raise OSError(_NOBODY)

    def readfrom(self, address, size_b, stop=True):
        try:
            # nobody pulls the line down behind its end
            return (self.at(address).read(size_b) + b"\xff" * size_b)[:size_b]
        except Nak:
            raise OSError(_NOBODY)

    def scan(self):
        values = fake_board.script.get("values", {})
        return sorted([at for at, chip in fake_board.chips.items() if chip.fault != "away" and values.get(chip.name)])
