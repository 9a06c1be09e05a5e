"""DS18B20 on a 1-Wire bus: temperature. Keys: pin (GPIO with a pull-up of 4.7 kOhm), rom (its 16 digits, where several
share the bus)."""

from binascii import hexlify, unhexlify
from time import sleep_ms

from machine import Pin
from micropython import const

_KEYS = const(
    (
        ("pin", "gpio", None, "GPIO of the bus, with a pull-up of 4.7 kOhm"),
        ("rom", "text", "", "its 16 hexadecimal digits, where several share the bus"),
    )
)
_CONVERSION_MS = const(750)  # at 12 bits
_FAMILIES = b"\x28\x22\x10\x3b\x42"  # DS18B20 and the others that the driver reads


class Sensor:
    fields = (("temperature", "°C", 2),)

    def __init__(self, conf):
        if not isinstance(conf.get("pin"), int):
            raise ValueError("pin is %r; needed is the GPIO of the bus" % conf.get("pin"))
        self.pin = conf["pin"]
        self.wanted = self.rom = None
        if "rom" in conf:
            try:
                self.wanted = unhexlify(conf["rom"])
            except (ValueError, TypeError):
                self.wanted = b""
            if len(self.wanted) != 8:
                raise ValueError("rom is %r; needed are its 16 hexadecimal digits" % conf["rom"])
        from ds18x20 import DS18X20
        from onewire import OneWire

        self.bus = DS18X20(OneWire(Pin(self.pin)))
        self.last = None

    def probe(self):
        try:
            roms = [bytes(r) for r in self.bus.scan() if r[0] in _FAMILIES]
        except Exception as e:  # OneWireError: no presence pulse
            raise OSError("no DS18B20 answers on GPIO %d (%s)" % (self.pin, e))
        if not roms:
            raise OSError("no DS18B20 answers on GPIO %d" % self.pin)
        found = ", ".join([str(hexlify(r), "utf-8") for r in roms])
        if self.wanted and self.wanted not in roms:
            raise OSError(
                "DS18B20 %s is not on GPIO %d; there: %s" % (str(hexlify(self.wanted), "utf-8"), self.pin, found)
            )
        if not self.wanted and len(roms) > 1:  # else one more on the bus might be read in the place of this one
            raise OSError("several DS18B20 are on GPIO %d: rom must say which: %s" % (self.pin, found))
        self.rom = self.wanted or roms[0]

    def read(self):
        """Blocks 750 ms for the conversion, and as long again when the first answer is none, or the 85 of power-on."""
        try:
            return self._ask()
        except OSError:
            return self._ask()

    def _ask(self):
        try:
            self.bus.convert_temp()
            sleep_ms(_CONVERSION_MS)
            celsius = self.bus.read_temp(self.rom)
            # a line that is held low reads as zeros, whose check sum is right; a real scratchpad never is
            zeros = celsius == 0 and hasattr(self.bus, "read_scratch") and not any(self.bus.read_scratch(self.rom))
        except Exception as e:  # OneWireError, and a plain Exception on a wrong check sum
            raise OSError("DS18B20 on GPIO %d: %s" % (self.pin, e))
        if celsius is None:
            raise OSError("no DS18B20 answers on GPIO %d" % self.pin)
        if zeros:
            raise OSError("DS18B20 on GPIO %d: all zeros: is the line shorted to ground?" % self.pin)
        if celsius == 85 and (self.last is None or abs(self.last - 85) > 5):
            # what the scratchpad holds after power-on: the supply broke down during the conversion
            raise OSError("DS18B20 on GPIO %d: 85 is its value before any conversion: check the supply" % self.pin)
        if not -55 <= celsius <= 125:
            raise OSError("DS18B20 on GPIO %d: %d °C cannot be" % (self.pin, celsius))
        self.last = celsius
        return [round(celsius * 100)]
