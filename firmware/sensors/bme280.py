"""BME280 (Bosch) on I2C: air temperature, humidity, pressure. Source: data sheet BST-BME280-DS002, sections 4.2 and 5.

A board that is sold as one may carry a BMP280, which has no humidity: its type is bmp280.
"""

from struct import unpack

from micropython import const

from i2c import OnI2C

_KEYS = const((("address", ("0x76", "0x77"), "0x76", "I2C address"),))
_MEASURE_MS = const(10)  # all three once: 9.3 ms at most
_MEASURING = const(0x08)
_NOTHING = const(0x80000)  # in place of a measurement that was never made
_NO_HUMIDITY = const(0x8000)
_EACH_ONCE = const(0x24)  # in the control register after a measurement; 0 once the supply broke down


class Sensor(OnI2C):
    fields = (("temperature", "°C", 2), ("pressure", "hPa", 2), ("humidity", "%", 2))
    limits = (-4000, 8500, 30000, 110000, 0, 10000)
    chip = "BME280"
    address = 0x76
    number = 0x60

    def probe(self):
        """By its chip number; its calibration is read."""
        number = self.ask(b"\xd0", 1)[0]
        if number != self.number:
            known = {0x58: "a BMP280", 0x60: "a BME280", 0x61: "a BME680", 0: "none", 0xFF: "none"}
            raise self.wrong(
                "it answers with chip number 0x%02x, which %s has, not 0x%02x"
                % (number, known.get(number, "another"), self.number)
            )
        self.linear = self.ask(b"\x88", 26, 2)  # 2 ms after power-on they are there
        if self.linear[:2] in (b"\0\0", b"\xff\xff"):
            raise self.wrong("its calibration is missing: power it off and on")
        self.curve = self.ask(b"\xe1", 7)
        # it has no checksum, and a bit of it that came wrong would make each reading wrong by degrees
        if self.ask(b"\x88", 26) != self.linear or self.ask(b"\xe1", 7) != self.curve:
            raise self.wrong("its calibration is another each time it is read: long wires, or a weak pull-up?")

    def read(self):
        """Takes 10 ms, and as long again when it is not ready by then, or has not measured all."""
        raw = self._measured() or self._measured(True)
        if not raw:
            raise self.wrong("it has measured nothing")
        t, p, h = raw
        c = unpack("<HhhHhhhhhhhhxB", self.linear)
        fine = warmth(t, c)
        values = [fine * 5 + 128 >> 8, pressure(p, fine, c)]
        if len(self.fields) > 2:
            values.append(humidity(h, fine, c[-1], self.curve))
        return values

    def _measured(self, again=False):
        # raw temperature, pressure, humidity; None when not all were measured: its supply broke down. A real humidity
        # of 63 % has the same number: `again` it is believed of a chip that knows what it was told
        self.ask(b"\xf2\x01\xf4\x25", 0, _MEASURE_MS)  # each quantity once, then sleep
        if self.ask(b"\xf3", 1)[0] & _MEASURING and self.ask(b"\xf3", 1, _MEASURE_MS)[0] & _MEASURING:
            raise self.wrong("its measurement does not end")
        p2, p1, p0, t2, t1, t0, h1, h0 = self.ask(b"\xf7", 8)
        t = t2 << 12 | t1 << 4 | t0 >> 4
        p = p2 << 12 | p1 << 4 | p0 >> 4
        h = h1 << 8 | h0
        missing = (t == _NOTHING) + (p == _NOTHING) + (len(self.fields) > 2 and h == _NO_HUMIDITY)
        if missing:
            humid, _, rest = self.ask(b"\xf2", 3)
            is_told = rest & 0xFC == _EACH_ONCE and (len(self.fields) < 3 or humid & 7 == 1)
            if missing > 1 or not (again and is_told):
                return None
        return t, p, h


def warmth(t, c):
    """The temperature in 1/5120 °C, of its raw value t and the calibration c: T1 to T3, P1 to P9, H1."""
    off = (t >> 4) - c[0]
    return (((t >> 3) - (c[0] << 1)) * c[1] >> 11) + ((off * off >> 12) * c[2] >> 14)


def pressure(p, fine, c):
    """Pa, of its raw value p; None for a calibration that cannot be."""
    f = fine - 128000
    bias = f * f * c[8] + (f * c[7] << 17) + (c[6] << 35)
    slope = ((1 << 47) + (f * f * c[5] >> 8) + (f * c[4] << 12)) * c[3] >> 33
    if not slope:
        return None
    p = ((1048576 - p << 31) - bias) * 3125 // slope
    p = (p + (c[11] * (p >> 13) * (p >> 13) >> 25) + (c[10] * p >> 19) >> 8) + (c[9] << 4)
    return p + 128 >> 8


def humidity(h, fine, h1, curve):
    """Hundredths of a per cent, of its raw value h and the calibration: H1, and H2 to H6 as they lie in the chip."""
    h2, h3, h4, mixed, h5, h6 = unpack("<hBbBbb", curve)
    f = fine - 76800
    h = (h << 14) - ((h4 << 4 | mixed & 15) << 20) - (h5 << 4 | mixed >> 4) * f + 16384 >> 15
    h *= ((((f * h6 >> 10) * ((f * h3 >> 11) + 32768) >> 10) + 2097152) * h2 + 8192) >> 14
    h -= ((h >> 15) * (h >> 15) >> 7) * h1 >> 4
    return min(max(h, 0), 419430400) * 25 + (1 << 19) >> 20  # of 1/4194304 %, and cut as the data sheet says
