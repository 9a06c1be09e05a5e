"""SHT40, SHT41, SHT43, SHT45 (Sensirion) on I2C: air temperature and humidity. Source: data sheet SHT4x, version 6.5,
sections 4.4 to 4.6."""

from micropython import const

from crc8 import Words

_KEYS = const((("address", ("0x44", "0x45", "0x46"), "0x44", "I2C address"),))
_MEASURE_MS = const(10)  # high precision: 8.3 ms at most


class Sensor(Words):
    fields = (("temperature", "°C", 2), ("humidity", "%", 2))
    limits = (-4000, 12500, 0, 10000)
    chip = "SHT4x"
    address = 0x44

    def probe(self):
        """By its serial number."""
        self.words(b"\x89", 2, 1)

    def read(self):
        """Takes 10 ms."""
        t, rh = self.words(b"\xfd", 2, _MEASURE_MS)
        # near 0 and 100 % it may go beyond: the data sheet says to cut there
        return [(17500 * t + 32767) // 65535 - 4500, min(max((12500 * rh + 32767) // 65535 - 600, 0), 10000)]
