"""`dht`: the script's "dht22 PIN" or "dht11 PIN" is [temperature in °C, humidity in %], or "checksum"."""

import fake_board


class DHT22:
    kind = "dht22"

    def __init__(self, pin):
        self.name = "%s %d" % (self.kind, pin.number)
        self.now = [0, 0]

    def measure(self):
        got = fake_board.value(self.name)
        if got is None:
            raise OSError(110)
        if got == "checksum":
            raise Exception("checksum error")
        self.now = got

    def temperature(self):
        return self.now[0]

    def humidity(self):
        return self.now[1]


class DHT11(DHT22):
    """MicroPython's driver has the bytes in `buf`, and leaves out the sign: the highest bit of the fourth."""

    kind = "dht11"
    buf = bytes(5)

    def measure(self):
        super().measure()
        celsius, percent = self.now
        whole, tenths = divmod(round(abs(celsius) * 10), 10)
        self.buf = bytes([percent, 0, whole, tenths | (0x80 if celsius < 0 else 0), 0])

    def temperature(self):
        return self.buf[2]
