"""`dht`: the script's "dht22 PIN" or "dht11 PIN" is [temperature in °C, humidity in %], or "checksum". DHT11 stands in
a file of its own, read when it is asked for."""

import fake_board


class DHT22:
    def __init__(self, pin):
        self.name = "%s %d" % (self.__class__.__name__.lower(), pin.number)
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


def __getattr__(name):
    return getattr(__import__("dht_older"), name)
