"""Join a WiFi network: import wifi; wifi.join("name", "password")."""

from time import sleep_ms, ticks_add, ticks_diff, ticks_ms

import network


def join(name, password, timeout_ms=15_000):
    """Blocks until the board has an address. Raises OSError when it has none in time."""
    network.WLAN(network.AP_IF).active(False)  # an ESP8266 starts with an open one
    station = network.WLAN(network.STA_IF)
    station.active(True)
    if not station.isconnected():
        station.connect(name, password)
    end_ms = ticks_add(ticks_ms(), timeout_ms)
    while not station.isconnected():
        if ticks_diff(end_ms, ticks_ms()) < 0:
            raise OSError("WiFi: %s is not joined, status %d" % (name, station.status()))
        sleep_ms(100)
