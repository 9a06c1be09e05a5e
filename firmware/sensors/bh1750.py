"""BH1750FVI (Rohm) on I2C: illuminance. Source: data sheet, revision D, instruction set and measurement procedure."""

from micropython import const

from i2c import OnI2C

_KEYS = const((("address", ("0x23", "0x5c"), "0x23", "I2C address, 0x5c with ADDR high"),))
_MEASURE_MS = const(180)  # one H-resolution measurement, at most; before, it answers with the last one


class Sensor(OnI2C):
    fields = (("illuminance", "lx", 1),)
    chip = "BH1750"
    address = 0x23

    def probe(self):
        """By its acknowledgement of "power on": it has no number of its own."""
        self.ask(b"\x01")

    def read(self):
        """Takes 180 ms. Raises OSError at the end of the range."""
        high, low = self.ask(b"\x20", 2, _MEASURE_MS)
        counts = high << 8 | low
        if counts == 0xFFFF:
            raise self.wrong("brighter than the 54612 lx that it can measure")
        return [(counts * 25 + 1) // 3]  # 1.2 counts are 1 lx
