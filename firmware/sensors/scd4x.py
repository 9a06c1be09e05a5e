"""SCD40, SCD41, SCD43 (Sensirion) on I2C: CO2, air temperature and humidity. Source: data sheet SCD4x, version 1.6,
sections 3.6 to 3.10.

It measures every 5 s by itself, also while the board sleeps.
"""

from time import ticks_diff, ticks_ms

import machine
from micropython import const

from crc8 import Words, crc8

_KEYS = const((("altitude_m", (0, 3000), 0, "metres above the sea: the thinner the air, the less gas is in it"),))
_STOP_MS = const(500)
_SETTLED_MS = const(10000)  # its second measurement
_SILENT_MS = const(60000)


class Sensor(Words):
    fields = (("co2", "ppm", 0), ("temperature", "°C", 2), ("humidity", "%", 2))
    limits = (1, 40000, -1000, 6000, 0, 10000)  # 0 ppm is its answer when it has none
    chip = "SCD4x"
    address = 0x62

    def __init__(self, conf):
        super().__init__(conf)
        self.altitude_m = conf.get("altitude_m", 0)

    def is_ready(self):
        """Whether it has measured since it was read."""
        return self.words(b"\xe4\xb8", 1, 1)[0] & 0x7FF

    def probe(self):
        """Start it, which takes 0.5 s, unless it went on while the board slept: it would have to settle again."""
        self.new_ms = self.began_ms = ticks_ms()
        self.settling = False
        if machine.reset_cause() == machine.DEEPSLEEP_RESET and self.is_ready():
            return
        self.ask(b"\x3f\x86", 0, _STOP_MS)  # while it measures it obeys nothing else
        self.words(b"\x36\x82", 3, 1)  # its serial number
        metres = bytes((self.altitude_m >> 8, self.altitude_m & 255))
        self.ask(b"\x24\x27" + metres + bytes((crc8(metres),)), 0, 1)
        self.ask(b"\x21\xb1")
        self.settling = True

    def read(self):
        """What it measured last, nothing until then. Raises OSError when it has measured nothing for a minute."""
        now = ticks_ms()
        nothing = [..., ..., ...]
        if not self.is_ready():
            if ticks_diff(now, self.new_ms) > _SILENT_MS:
                raise self.wrong("it has measured nothing for a minute: is its supply strong enough (200 mA)?")
            return nothing
        self.new_ms = now
        co2, t, rh = self.words(b"\xec\x05", 3, 1)
        if self.settling and ticks_diff(now, self.began_ms) < _SETTLED_MS:
            return nothing  # its first is not yet right
        self.settling = False
        return [co2, (17500 * t + 32767) // 65535 - 4500, (10000 * rh + 32767) // 65535]
