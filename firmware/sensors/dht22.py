"""DHT22 (AM2302): air temperature and humidity. Keys: pin (GPIO of the data line, with a pull-up of 4.7 to 10
kOhm)."""

from machine import Pin


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
        """Takes 5 ms with interrupts off. The device measures every 2 s at most."""
        try:
            self.device.measure()
        except Exception as e:  # the driver raises a plain Exception on a wrong check sum
            if isinstance(e, OSError):
                raise OSError("no DHT22 answers on GPIO %d" % self.pin)
            raise OSError("DHT22 on GPIO %d: %s" % (self.pin, e))
        return [round(self.device.temperature() * 10), round(self.device.humidity() * 10)]
