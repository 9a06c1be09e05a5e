"""A BME280, all 256 registers: the script's "bme280 0x76" is [°C, hPa, %], or {"raw": [T, P, H]}, or "busy". Its
calibration is that of the worked example of Bosch's BMP280 data sheet, with the humidity of a chip of ours; ["id",
0x61] in the script: that is its number; ["blank"]: it has no calibration.

What is shown becomes raw values by the data sheet's formulas in floating point, turned around by halving: the driver
has those in integers.
"""

from struct import pack

import fake_board
from machine_softi2c import Chip as OnBus
from machine_softi2c import Nak

T = 27504, 26435, -1000
P = 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000
H = 75, 357, 0, 322, 0, 30


def fine_of(raw):
    """The "fine" temperature, 5120 of it are 1 °C."""
    a = (raw / 16384 - T[0] / 1024) * T[1]
    return a + (raw / 131072 - T[0] / 8192) ** 2 * T[2]


def pascal_of(raw, fine):
    a = fine / 2 - 64000
    b = a * a * P[5] / 32768 + a * P[4] * 2
    b = b / 4 + P[3] * 65536
    a = (P[2] * a * a / 524288 + P[1] * a) / 524288
    a = (1 + a / 32768) * P[0]
    p = (1048576 - raw - b / 4096) * 6250 / a
    return p + (P[8] * p * p / 2147483648 + p * P[7] / 32768 + P[6]) / 16


def percent_of(raw, fine):
    h = fine - 76800
    h = (raw - (H[3] * 64 + H[4] / 16384 * h)) * (H[1] / 65536 * (1 + H[5] / 67108864 * h * (1 + H[2] / 67108864 * h)))
    return h * (1 - H[0] * h / 524288)


def raw_of(reading_of, wanted, bits):
    """The raw value at which f comes nearest to `wanted`; f rises or falls."""
    low, high = 0, (1 << bits) - 1
    rises = reading_of(high) > reading_of(low)
    while high - low > 1:
        middle = (low + high) // 2
        if (reading_of(middle) < wanted) == rises:
            low = middle
        else:
            high = middle
    return low if abs(reading_of(low) - wanted) < abs(reading_of(high) - wanted) else high


class Chip(OnBus):
    number = 0x60
    pointer = 0

    def __init__(self, name):
        super().__init__(name)
        registers = self.registers = bytearray(256)
        values = fake_board.script["values"][name]
        registers[0xD0] = values[1] if values[0] == "id" else self.number
        registers[0xF7:0xFF] = b"\x80\0\0\x80\0\0\x80\0"
        if values != ["blank"]:
            registers[0x88:0xA0] = pack("<HhhHhhhhhhhh", *(T + P))
            registers[0xA1] = H[0]
            registers[0xE1:0xE8] = pack("<hBbBbb", H[1], H[2], H[3] >> 4, H[3] & 15 | (H[4] & 15) << 4, H[4] >> 4, H[5])

    def write(self, data):
        self.pointer = data[0]
        for i in range(0, len(data) - 1, 2):
            self.registers[data[i]] = data[i + 1]
            if data[i] == 0xF4 and data[i + 1] & 3 in (1, 2):
                self.measure(9)
                if self.shown:
                    self.fill()
        return len(data)

    def fill(self):
        """The data registers, of what is shown."""
        if isinstance(self.shown, dict):
            t, p, h = self.shown["raw"]
            if self.shown.get("broke_down"):  # its supply: it has forgotten what it was told
                self.registers[0xF2] = self.registers[0xF4] = 0
        else:
            celsius, hectopascal, percent = (list(self.shown) + [50])[:3]
            t = raw_of(lambda raw: fine_of(raw) / 5120, celsius, 20)
            fine = fine_of(t)
            p = raw_of(lambda raw: pascal_of(raw, fine), hectopascal * 100, 20)
            h = raw_of(lambda raw: percent_of(raw, fine), percent, 16)
        self.registers[0xF7:0xFF] = bytes(
            [p >> 12, p >> 4 & 255, p << 4 & 255, t >> 12, t >> 4 & 255, t << 4 & 255, h >> 8, h & 255]
        )

    def read(self, size_b):
        if self.fault == "away":
            raise Nak
        self.registers[0xF3] = 8 if self.busy() else 0
        return bytes(self.registers[self.pointer : self.pointer + size_b])
