"""DHT22 (AM2302): air temperature and humidity. Keys: pin (GPIO of the data line, with a pull-up of 4.7 to 10 kOhm).

It answers with what it measured when it was asked last: so it is asked twice where that is long ago.
"""

from time import sleep_ms, ticks_diff, ticks_ms

from machine import Pin
from micropython import const

_KEYS = const((("pin", "gpio", None, "GPIO of the data line, with a pull-up of 4.7 to 10 kOhm"),))
_PAUSE_MS = const(2100)  # it measures every 2 s at most
_OLD_S = const(120)


class Sensor:
    fields = (("temperature", "°C", 1), ("humidity", "%", 1))
    chip = "DHT22"
    pause_ms = _PAUSE_MS  # from one sample to the next

    def __init__(self, conf):
        if not isinstance(conf.get("pin"), int):
            raise ValueError("pin is %r; needed is the GPIO of the data line" % conf.get("pin"))
        import dht

        self.pin = conf["pin"]
        self.device = getattr(dht, self.chip)(Pin(self.pin))
        self.asked_ms = ticks_ms()
        self.is_old = conf.get("asleep_s", 0) >= _OLD_S

    def probe(self):
        """Nothing: the device gives no second answer within 2 s, and the first one is the reading."""

    def read(self):
        """Takes 5 ms with interrupts off, DHT11 25 ms; 2 s more when the first answer is of long ago, or missing or
        garbled, as it is after power-on, or when another interrupt came."""
        now = ticks_ms()
        is_old = self.is_old or not 0 <= ticks_diff(now, self.asked_ms) < _OLD_S * 1000
        self.asked_ms = now
        try:
            values = self._ask()
            if not is_old:
                return values
        except OSError:
            pass  # it is asked again
        sleep_ms(_PAUSE_MS)
        values = self._ask()
        self.is_old = False
        return values

    def wrong(self, words):
        """An OSError that names the device."""
        return OSError("%s on GPIO %d: %s" % (self.chip, self.pin, words))

    def _ask(self):
        device = self.device
        try:
            device.measure()
        except Exception as e:  # the driver raises a plain Exception on a wrong check sum
            if isinstance(e, OSError):
                raise OSError("no %s answers on GPIO %d" % (self.chip, self.pin))
            raise self.wrong(e)
        values = self.checked(device.temperature(), device.humidity())
        if not any(values):
            # a line that is held low reads as zeros, whose check sum is right; air is never that dry
            raise self.wrong("all zeros: is the data line shorted to ground?")
        return values

    def checked(self, celsius, percent):
        """The answer, scaled. Raises OSError for what cannot be."""
        celsius = round(celsius * 10)
        percent = round(percent * 10)
        if celsius < -32367:  # -40.0 °C in two's complement, which clones send where the driver reads a sign
            celsius = -celsius - 32768
        if percent > 1000:
            raise self.wrong("%d.%d %% cannot be: is it a DHT11?" % (percent // 10, percent % 10))
        if not -400 <= celsius <= 1250:
            raise self.wrong("%d °C cannot be" % (celsius // 10))
        return [celsius, percent]
