"""A contact or another signal that is on or off: a door, a PIR, a leak. Watched by an interrupt, and published at once
when it has changed and stayed so."""

from time import ticks_diff, ticks_ms

from machine import Pin
from micropython import const

from contact import contact

_KEYS = const(
    (
        ("pin", "gpio_in", None, "GPIO of the contact"),
        (
            "quantity",
            (
                "state", "door", "window", "garage_door", "opening", "lock", "motion", "occupancy", "presence",
                "moisture", "smoke", "gas", "vibration", "sound", "light", "power", "plug", "running", "tamper",
                "problem", "safety", "heat", "cold",
            ),
            "state",
            "what is on or off, in Home Assistant's words: 1 is open, wet, somebody moves",
        ),
        ("inverted", "bool", False, "1 is the low level: a contact to ground that closes when it is on"),
        ("pull", ("up", "down", "none"), "up", "resistor of the chip; none for a signal that is driven both ways"),
        ("debounce_ms", (1, 10000), 50, "so long it must stay as it is to count"),
        ("wake", "bool", True, "with deep_sleep: a change wakes the board (ESP32; needs an RTC GPIO)"),
    )
)  # fmt: skip
_MOST = const(16)  # changes that wait to be read, while the network is joined


class Sensor:
    def __init__(self, conf):
        self.fields = ((conf.get("quantity", "state"), "", 0),)
        self.pin = contact(conf)
        self.flip = 1 if conf.get("inverted") else 0
        self.least_ms = conf.get("debounce_ms", 50)
        self.wakes = conf.get("wake", True)
        self.level = self.state = self.told = self.pin.value()  # as it is; as it has stayed; as it was read
        self.edge_ms = ticks_ms()
        self.waiting = bytearray(_MOST)
        self.put = self.taken = 0  # of the states that wait, counted since the start
        self.pin.irq(self.on_edge, Pin.IRQ_RISING | Pin.IRQ_FALLING)

    def on_edge(self, pin):
        """The interrupt. Allocates nothing."""
        now = ticks_ms()
        if ticks_diff(now, self.edge_ms) >= self.least_ms:
            self.settle()  # it had stayed long enough before it changed again
        self.level = pin.value()
        self.edge_ms = now

    def settle(self):
        """The level has lasted."""
        if self.level != self.state:
            self.state = self.level
            if self.put - self.taken < _MOST:
                self.waiting[self.put % _MOST] = self.state
                self.put += 1
            else:
                self.put -= 1  # with this one the last that waits is undone

    def changed(self):
        """Whether there is a change to be read. Asked in each turn."""
        if self.pin.value() != self.level:
            self.on_edge(self.pin)  # an interrupt that was missed
        elif ticks_diff(ticks_ms(), self.edge_ms) >= self.least_ms:
            self.settle()
        return self.put != self.taken

    def probe(self):
        """Nothing: an open contact looks like none."""

    def read(self):
        """The oldest change that was not read, or the state."""
        if self.changed():
            self.told = self.waiting[self.taken % _MOST]
            self.taken += 1
        else:
            self.told = self.state
        return [self.told ^ self.flip]
