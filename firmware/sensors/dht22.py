"""DHT22 (AM2302): air temperature and humidity. Keys: pin (GPIO of the data line, with a pull-up of 4.7 to 10 kOhm).

It answers with what it measured when it was asked last: the first answer after a long sleep is as old as that sleep.
"""

from time import sleep_ms

from machine import Pin
from micropython import const

_PAUSE_MS = const(2100)  # it measures every 2 s at most


class Sensor:
    fields = (("temperature", "°C", 1), ("humidity", "%", 1))

    def __init__(self, conf):
        if not isinstance(conf.get("pin"), int):
            raise ValueError("pin is %r; needed is the GPIO of the data line" % conf.get("pin"))
        from dht import DHT22

        self.pin = conf["pin"]
        self.device = DHT22(Pin(self.pin))

    def probe(self):
        """Nothing: the device gives no second answer within 2 s, and the first one is the reading."""

    def read(self):
        """Takes 5 ms with interrupts off; 2 s more when the first answer is missing or garbled, as it is after
        power-on, or when another interrupt came."""
        try:
            return self._ask()
        except OSError:
            sleep_ms(_PAUSE_MS)
            return self._ask()

    def _ask(self):
        try:
            self.device.measure()
        except Exception as e:  # the driver raises a plain Exception on a wrong check sum
            if isinstance(e, OSError):
                raise OSError("no DHT22 answers on GPIO %d" % self.pin)
            raise OSError("DHT22 on GPIO %d: %s" % (self.pin, e))
        celsius = round(self.device.temperature() * 10)
        percent = round(self.device.humidity() * 10)
        if celsius < -400:
            celsius = -celsius - 32768  # clones send two's complement where the driver reads a sign
        if not celsius and not percent:
            # a line that is held low reads as zeros, whose check sum is right; air is never that dry
            raise OSError("DHT22 on GPIO %d: all zeros: is the data line shorted to ground?" % self.pin)
        if not (-400 <= celsius <= 1250 and 0 <= percent <= 1000):
            raise OSError(
                "DHT22 on GPIO %d: %d.%d %% cannot be: is it a DHT11?" % (self.pin, percent // 10, percent % 10)
                if percent > 1000
                else "DHT22 on GPIO %d: %d °C cannot be" % (self.pin, celsius // 10)
            )
        return [celsius, percent]
