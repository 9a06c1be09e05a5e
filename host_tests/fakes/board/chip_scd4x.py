"""An SCD4x: the script's "scd4x 0x62" is [ppm, °C, %] of each measurement, 5 s apart, or "crc". While it measures it
acknowledges nothing but a question for its measurement and the order to stop."""

from time import ticks_diff

import fake_board
from machine_softi2c import Chip as OnBus
from machine_softi2c import words

_PERIOD_MS = 5000


class Chip(OnBus):
    answer = b""
    measuring = unread = False
    altitude_m = 0
    stopped_ms = None

    def go_on(self):
        """What it has measured by now."""
        while self.measuring and ticks_diff(fake_board.ticks_ms(), self.next_ms) >= 0:
            self.measure(0)
            self.unread = self.fault != "silent"
            self.next_ms = (self.next_ms + _PERIOD_MS) % (1 << 30)

    def write(self, data):
        self.go_on()
        command = data[0] << 8 | data[1]
        if command == 0x3F86:
            self.measuring = self.unread = False
            self.stopped_ms = fake_board.ticks_ms()
        elif command == 0xE4B8:
            self.answer = words((0x8006 if self.unread else 0x8000,))
        elif command == 0xEC05:
            if not self.unread:
                return 1
            self.unread = False
            ppm, celsius, percent = self.shown
            raw = ppm, round((celsius + 45) * 65535 / 175), round(percent * 65535 / 100)
            self.answer = words(raw, self.fault == "crc")
        elif self.measuring or self.stopped_ms is not None and self.deaf():
            return 0
        elif command == 0x3682:
            self.answer = words((0xF896, 0x9F07, 0x3BBE))
        elif command == 0x2427:
            if words((data[2] << 8 | data[3],)) == data[2:]:
                self.altitude_m = data[2] << 8 | data[3]
        elif command == 0x21B1:
            self.measuring = True
            self.next_ms = (fake_board.ticks_ms() + _PERIOD_MS) % (1 << 30)
        else:
            return 0
        return len(data)

    def deaf(self):
        """For 0.5 s after the order to stop."""
        return ticks_diff(fake_board.ticks_ms(), self.stopped_ms) < 500

    def read(self, size_b):
        return self.answer
