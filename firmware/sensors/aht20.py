"""AHT20, AHT21, AHT25 (Aosong) on I2C: air temperature and humidity. Source: data sheet AHT20, version 1.1, sections 5
and 6."""

from micropython import const

from crc8 import GARBLED, crc8
from i2c import OnI2C

_MEASURE_MS = const(80)
_START_MS = const(40)  # after power-on, and after its calibration was loaded
_BUSY = const(0x80)
_CALIBRATED = const(0x08)
_NO_BYTE = const(0xFF)  # nobody pulls the line down


class Sensor(OnI2C):
    fields = (("temperature", "°C", 2), ("humidity", "%", 2))
    limits = (-4000, 8500, 0, 10000)
    chip = "AHT20"
    address = 0x38

    def probe(self):
        """Its status byte; it loads its calibration, should that not have happened at power-on."""
        if not self.ask(b"\x71", 1, _START_MS)[0] & _CALIBRATED:
            self.ask(b"\xbe\x08\x00")
            if not self.ask(b"\x71", 1, _START_MS)[0] & _CALIBRATED:
                raise self.wrong("it does not load its calibration: power it off and on")

    def read(self):
        """Takes 80 ms, and as long again when it is not ready by then, or its answer is garbled."""
        measure = b"\xac\x33\x00"
        a = self.ask(measure, 7, _MEASURE_MS)
        if a[0] & _BUSY or crc8(a[:6]) != a[6]:
            a = self.ask(b"" if a[0] & _BUSY else measure, 7, _MEASURE_MS)
        if a[0] & _BUSY:
            raise self.wrong("it is busy, and does not end")
        if crc8(a[:6]) != a[6]:
            raise self.wrong(GARBLED if a[6] != _NO_BYTE else "it sends no checksum: is it an AHT10?")
        rh = a[1] << 12 | a[2] << 4 | a[3] >> 4
        t = (a[3] & 15) << 16 | a[4] << 8 | a[5]
        return [(t * 20000 + 0x80000 >> 20) - 5000, rh * 10000 + 0x80000 >> 20]
