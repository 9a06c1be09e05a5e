"""A meter that gives pulses: rain, water, energy, gas. Counted in an interrupt; the sum is kept in RTC memory over a
reset, and once an hour on flash over a power cut."""

import os
from time import ticks_add, ticks_diff, ticks_ms

from machine import Pin
from micropython import const

from contact import contact
from kept import Kept

_KEYS = const(
    (
        ("pin", "gpio_in", None, "GPIO of the contact"),
        ("per_unit", (0.0001, 1000000.0), 1, "pulses for one unit, as 1000 for a meter with 1000 imp/kWh"),
        ("unit", "text", "", "of the sum, as kWh, L, m³, mm"),
        ("quantity", ("count", "energy", "water", "gas", "precipitation"), "count", "of the sum"),
        ("edge", ("falling", "rising"), "falling", "the side of the pulse that counts"),
        ("pull", ("up", "down", "none"), "up", "resistor of the chip; none for a signal that is driven both ways"),
        ("debounce_ms", (0, 1000), 10, "so long after an edge no other counts"),
    )
)
_NOT_ASLEEP = const("it counts nothing while the board sleeps")
_QUANTITIES = {"kWh": "energy", "Wh": "energy", "L": "water", "m³": "water", "mm": "precipitation", "ft³": "gas"}
_HOUR_MS = const(3600000)
_MOST_PLACES = const(4)


class Sensor:
    def __init__(self, conf):
        self.per_unit = conf.get("per_unit", 1)
        places = 0
        while places < _MOST_PLACES and 10**places < self.per_unit:
            places += 1  # one pulse is to be seen
        self.one = 10**places
        unit = conf.get("unit", "")
        if not isinstance(unit, str) or '"' in unit or "\\" in unit or min(unit or " ") < " ":
            raise ValueError("unit is %r; needed is a text without quotes, backslashes and line ends" % (unit,))
        self.fields = ((conf.get("quantity") or _QUANTITIES.get(unit, "count"), unit, places),)
        self.least_ms = conf.get("debounce_ms", 10)
        name = conf.get("name", "pulse")
        self.path = "pulse-%d" % conf["pin"]
        self.kept = Kept(name, 1)
        self.flashed = self.on_flash()
        self.count = self.saved = max(self.flashed, (self.kept.read() or (0,))[0])
        self.flash_ms = ticks_ms()
        self.edge_ms = ticks_add(self.flash_ms, -self.least_ms)
        contact(conf).irq(self.on_edge, Pin.IRQ_RISING if conf.get("edge") == "rising" else Pin.IRQ_FALLING)

    def on_edge(self, pin):
        """The interrupt. Allocates nothing."""
        now = ticks_ms()
        # after six days without a pulse the difference is negative
        if not 0 <= ticks_diff(now, self.edge_ms) < self.least_ms:
            self.count += 1
        self.edge_ms = now

    def on_flash(self):
        """The sum that a power cut has left."""
        try:
            with open(self.path) as f:
                return int(f.read())
        except (OSError, ValueError):
            return 0

    def changed(self):
        """Keep the sum, in each turn; there is never a change to be read at once."""
        if self.count != self.saved:
            self.saved = self.count
            self.kept.write((self.saved,))
        return False

    def probe(self):
        """Nothing: a meter at rest looks like none."""

    def read(self):
        """The sum since the first start. Writes it to flash at most once an hour."""
        self.changed()
        if self.saved != self.flashed and ticks_diff(ticks_ms(), self.flash_ms) >= _HOUR_MS:
            self.flash_ms = ticks_ms()
            self.flashed = self.saved
            try:
                with open(self.path + ".new", "w") as f:
                    f.write(str(self.flashed))
                os.rename(self.path + ".new", self.path)
            except OSError as e:
                print("pulse: the sum is not in %s: %s" % (self.path, e))
        counted = self.saved * self.one
        if isinstance(self.per_unit, int):  # a float has 24 bits on an ESP32
            return [(2 * counted + self.per_unit) // (2 * self.per_unit)]
        return [round(counted / self.per_unit)]
