"""The board itself: uptime, free heap, and the chip's temperature where the port has it. What a sensor's file
must have: README.md beside this one."""

# each chip has a module esp32 of its own
# pyright: reportAttributeAccessIssue=false

import gc
from time import ticks_diff, ticks_ms

from micropython import const

_KEYS = const((("also", "list rssi reset woken ip version awake", (), "what else it says of itself"),))
_FIELDS = (("uptime", "s", 0), ("heap", "B", 0))


class Sensor:
    diagnostic = True  # it tells of the board, not of what is around it

    def __init__(self, conf):
        self.also = ()
        if conf.get("also"):
            from board_facts import facts

            known = facts()
            for name in conf["also"]:
                if name not in known:
                    raise ValueError("also names %s; there are %s" % (name, ", ".join(sorted(known))))
            self.also = [known[name] for name in conf["also"]]
        if "treatment" in conf:
            self.quantities = "uptime heap temperature rssi awake".split()  # that it may have
        self.fields = _FIELDS
        self.celsius = None
        self.t = ticks_ms()
        self.up_ms = 0

    def probe(self):
        """The chip's temperature is there or it is not; the rest always is."""
        try:
            import esp32

            if hasattr(esp32, "mcu_temperature"):
                self.celsius = esp32.mcu_temperature
            else:  # the first ESP32 tells Fahrenheit
                self.celsius = lambda: (esp32.raw_temperature() - 32) * 5 / 9
            self.celsius()
            self.fields = _FIELDS + (("temperature", "°C", 1),)
        except (ImportError, AttributeError, OSError):
            self.celsius = None  # ESP8266, and C-chips before MicroPython 1.22
            self.fields = self.fields[:2]
        self.fields += tuple([field for field, _ in self.also])

    def read(self):
        now = ticks_ms()
        self.up_ms += ticks_diff(now, self.t)
        self.t = now
        values: list = [self.up_ms // 1000, gc.mem_free()]
        if self.celsius:
            try:
                celsius = round(self.celsius() * 10)
            except (OSError, ValueError):
                celsius = None  # the rest is known all the same
            values.append(celsius if celsius is not None and -400 <= celsius <= 1250 else None)
        for _, read in self.also:
            try:
                values.append(read())
            except (OSError, ValueError, RuntimeError):  # of a radio that has just lost its network
                values.append(None)
        return values
