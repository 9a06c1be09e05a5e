"""An AHT20: the script's "aht20 0x38" is [°C, %], the seven bytes of an answer, "crc", or "busy".

Until it has loaded its calibration the status says so; "uncalibrated" as its only value: it never does.
"""

import fake_board
from machine_softi2c import Chip as OnBus
from machine_softi2c import Nak, crc8


class Chip(OnBus):
    answer = b""
    calibrated = False
    asks_status = False

    def write(self, data):
        self.asks_status = data == b"\x71"
        if data == b"\xbe\x08\x00":
            self.calibrated = fake_board.script["values"][self.name] != ["uncalibrated"]
        elif data == b"\xac\x33\x00":
            self.measure(79)
            if self.fault == "busy":
                self.fault = ""  # slow once: it is ready when it is asked again
                self.ready_ms += 40
            if self.shown and len(self.shown) == 7:
                self.answer = bytes(self.shown)
            elif self.shown:
                raw = round((self.shown[0] + 50) * (1 << 20) / 200)
                rh = min(round(self.shown[1] * (1 << 20) / 100), (1 << 20) - 1)
                six = bytes([0x1F, rh >> 12, rh >> 4 & 255, (rh & 15) << 4 | raw >> 16, raw >> 8 & 255, raw & 255])
                self.answer = six + bytes([crc8(six) ^ (self.fault == "crc")])
        elif not self.asks_status:
            return 0
        return len(data)

    def read(self, size_b):
        if self.fault == "away":
            raise Nak
        status = 0x80 if self.busy() else 0
        if self.asks_status:
            return bytes([status | 0x17 | (8 if self.calibrated else 0)])  # the reserved bits may be anything
        return bytes([self.answer[0] | status]) + self.answer[1:]
