"""The light: blinks what is wrong, so that it can be counted. Imported only when `led` names its GPIO."""

import sys
from time import ticks_add, ticks_diff, ticks_ms

from machine import Pin, Timer
from micropython import const

WELL = const(0)  # a flash every 5 s
NO_WIFI = const(1)  # blinks, then a pause
NO_BROKER = const(2)
NO_SENSOR = const(3)

_TICK_MS = const(200)
_PAUSE_TICKS = const(6)
_WELL_TICKS = const(25)


class Light:
    """pin: its GPIO; low: lit by a low level. It blinks by a timer, whatever the program waits for."""

    def __init__(self, pin: int, low: bool):
        self.lit = 0 if low else 1
        self.pin = Pin(pin, Pin.OUT)
        self.blinks = NO_WIFI
        self.tick = 0
        self.t_end = self.t_identify = ticks_ms()
        self.timer = Timer(-1 if sys.platform == "esp8266" else 0)
        self.timer.init(period=_TICK_MS, callback=self.step)

    def look(self, node) -> None:
        """See what is wrong with the node; it is shown from now on."""
        if not node.wifi.isconnected():
            self.blinks = NO_WIFI
        elif not node.client or not node.client.isconnected():
            self.blinks = NO_BROKER
        else:
            self.blinks = NO_SENSOR if [source for source in node.sources if not source.found] else WELL

    def identify(self, seconds: int) -> None:
        """Blink fast for so long."""
        self.t_end = ticks_add(ticks_ms(), seconds * 1000)

    def step(self, _) -> None:
        """A tick of the timer."""
        tick = self.tick
        if ticks_diff(self.t_end, ticks_ms()) > 0:
            on = tick & 1
            self.tick = tick ^ 1
        else:
            blinks = self.blinks
            on = not tick & 1 and tick < 2 * (blinks or 1)
            self.tick = (tick + 1) % (2 * blinks + _PAUSE_TICKS if blinks else _WELL_TICKS)
        self.pin.value(self.lit if on else 1 - self.lit)

    def off(self) -> None:
        """Dark, and no timer."""
        self.timer.deinit()
        self.pin.value(1 - self.lit)
