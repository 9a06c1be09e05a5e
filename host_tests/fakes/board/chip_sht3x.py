"""An SHT3x: the script's "sht3x 0x44" is [°C, %], or "crc".

Commands have two bytes; it does not acknowledge a read while it measures.
"""

from machine_softi2c import Chip as OnBus
from machine_softi2c import Nak, words

_TAKES_MS = {b"\x24\x00": 15, b"\x24\x0b": 6, b"\x24\x16": 4}


class Chip(OnBus):
    answer = b""

    def write(self, data):
        command = data[:2]
        if command in _TAKES_MS:
            self.measure(_TAKES_MS[command])
            if self.shown:
                celsius, percent = self.shown
                raw = round((celsius + 45) * 65535 / 175), round(percent * 65535 / 100)
                self.answer = words(raw, self.fault == "crc")
        elif command == b"\xf3\x2d":
            self.answer = words((0x8010,))
        elif command != b"\x30\xa2":
            return 0
        return len(data)

    def read(self, size_b):
        if self.busy() or self.fault == "away":
            raise Nak
        return self.answer
