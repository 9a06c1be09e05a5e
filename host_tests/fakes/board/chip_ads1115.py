"""An ADS1115: the script's "ads1115 0x48" is the volts of its inputs, [V0, V1, V2, V3], or "busy"; "deaf" as its only
value: another chip, which keeps nothing."""

import fake_board
from machine_softi2c import Chip as OnBus

_FULL_V = (6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256)
_PAIRS = ((0, 1), (0, 3), (1, 3), (2, 3), (0, None), (1, None), (2, None), (3, None))


class Chip(OnBus):
    config = 0x8583
    counts = pointer = 0

    def write(self, data):
        self.pointer = data[0]
        if len(data) == 3 and data[0] == 1 and fake_board.script["values"][self.name] != ["deaf"]:
            self.config = data[1] << 8 | data[2]
            if self.config & 0x8000 and self.config & 0x0100:
                self.measure(8)
                plus, minus = _PAIRS[self.config >> 12 & 7]
                if self.shown:
                    volts = self.shown[plus] - (self.shown[minus] if minus is not None else 0)
                    self.counts = min(max(round(volts * 32768 / _FULL_V[self.config >> 9 & 7]), -32768), 32767)
        return len(data)

    def read(self, size_b):
        if self.pointer == 1:
            got = self.config & 0x7FFF | (0 if self.busy() else 0x8000)
        else:
            got = self.counts & 0xFFFF
        return bytes([got >> 8, got & 255])
