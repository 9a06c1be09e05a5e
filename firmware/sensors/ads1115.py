"""One channel of an ADS1115 (Texas Instruments) on I2C: a voltage. Source: data sheet SBAS444, sections 7.3 to 8.1."""

from micropython import const

from i2c import OnI2C

_KEYS = const(
    (
        ("channel", ("0", "1", "2", "3", "0-1", "0-3", "1-3", "2-3"), None, "input, or the two of a difference"),
        ("address", ("0x48", "0x49", "0x4a", "0x4b"), "0x48", "I2C address"),
        ("range_mv", (6144, 4096, 2048, 1024, 512, 256), 4096, "millivolts at the end of the range, either sign"),
        ("ratio", (0.001, 1000.0), 1, "of the divider before the input, 1 without one"),
    )
)
_CHANNELS = ("0-1", "0-3", "1-3", "2-3", "0", "1", "2", "3")
_CONVERT_MS = const(9)  # 128 a second, 10 % slower at most
_FINE_MV = const(2048)  # below it a step is less than 0.1 mV


class Sensor(OnI2C):
    chip = "ADS1115"
    address = 0x48

    def __init__(self, conf):
        super().__init__(conf)
        range_mv = conf.get("range_mv", 4096)
        channel = str(conf["channel"])
        if channel not in _CHANNELS or range_mv not in (6144, 4096, 2048, 1024, 512, 256):
            raise ValueError("channel is %s and range_mv %s; one of them it does not have" % (channel, range_mv))
        gain = 0
        while 4096 >> gain > range_mv:
            gain += 1
        gain += range_mv < 6144
        # start one conversion, power down behind it, no comparator
        self.command = bytes((1, 0x81 | _CHANNELS.index(channel) << 4 | gain << 1, 0x83))
        self.places = 4 if range_mv >= _FINE_MV else 6
        self.step = range_mv * 10 ** (self.places - 3) * conf.get("ratio", 1)
        self.fields = (("voltage", "V", self.places),)

    def probe(self):
        """By its configuration, which it keeps."""
        self.ask(self.command, 0, _CONVERT_MS)
        if self.ask(b"\x01", 2)[1] != self.command[2]:
            raise self.wrong("it does not keep what is written to it: is it another chip?")

    def read(self):
        """Takes 9 ms. Raises OSError at the end of the range."""
        self.ask(self.command, 0, _CONVERT_MS)
        if not self.ask(b"\x01", 2)[0] & 0x80:
            raise self.wrong("its conversion does not end")
        high, low = self.ask(b"\x00", 2)
        counts = (high << 8 | low) - (high >> 7 << 16)
        if counts in (0x7FFF, -0x8000):
            raise self.wrong("more than it can measure: check the divider, or give a larger range_mv")
        return [round(counts * self.step / 32768)]
