"""`dht.DHT11`."""

from dht import DHT22


class DHT11(DHT22):
    """MicroPython's driver has the bytes in `buf`, and leaves out the sign: the highest bit of the fourth."""

    buf = bytes(5)

    def measure(self):
        super().measure()
        celsius, percent = self.now
        whole, tenths = divmod(round(abs(celsius) * 10), 10)
        self.buf = bytes([percent, 0, whole, tenths | (0x80 if celsius < 0 else 0), 0])

    def temperature(self):
        return self.buf[2]
