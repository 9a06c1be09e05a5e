"""DHT11: air temperature and humidity, in whole degrees and per cent. Source: data sheet of Aosong, version 1.3.

It answers with what it measured when it was asked last, as a DHT22 does.
"""

from micropython import const

from sensors.dht22 import Sensor as Dht22

_KEYS = const((("pin", "gpio", None, "GPIO of the data line, with a pull-up of 4.7 to 10 kOhm"),))
_BELOW_ZERO = const(0x80)  # in the byte of the tenths, at which MicroPython's driver does not look
_DRY = const(3)  # air is never so dry, and more the first byte of a DHT22 never is


class Sensor(Dht22):
    fields = (("temperature", "°C", 0), ("humidity", "%", 0))
    limits = (-20, 60, 4, 100)
    chip = "DHT11"

    def checked(self, celsius, percent):
        if percent <= _DRY and (celsius or percent):
            raise self.wrong("%d %% cannot be: is it a DHT22?" % percent)
        if self.device.buf[3] & _BELOW_ZERO:
            celsius = -celsius
        return [celsius, percent]
