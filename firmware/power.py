"""Why the board started, what it remembers over a reset, and how it sleeps; ESP32 and ESP8266 differ in all three."""

# the stubs are ESP32's
# pyright: reportAttributeAccessIssue=false

import machine
from micropython import const

WOKE = const("woke from deep sleep")


def cause():
    """Why the board started, in words."""
    got = machine.reset_cause()
    for name, words in (
        ("DEEPSLEEP_RESET", WOKE),
        ("PWRON_RESET", "power on"),
        ("WDT_RESET", "watchdog"),
        ("HARD_RESET", "hard reset"),
        ("SOFT_RESET", "soft reset"),
    ):
        # ESP8266 gives power-on and brown-out one number
        if getattr(machine, name, None) == got:
            return words
    return "reset %s" % got


def chip_id():
    """The chip's own id, hexadecimal digits."""
    return "".join("%02x" % b for b in machine.unique_id())


def deep_sleep(ms):
    """Sleep for ms; the board starts again from the beginning. Never returns.

    ESP8266: GPIO16 must be wired to RST, and its counter ends after 71 minutes: longer sleeps end there.
    """
    rtc = machine.RTC()
    if hasattr(rtc, "ALARM0"):
        rtc.irq(trigger=rtc.ALARM0, wake=machine.DEEPSLEEP)
        rtc.alarm(rtc.ALARM0, min(ms, 4200000))
        machine.deepsleep()
    machine.deepsleep(ms)


def restart():
    """Reset the board. Never returns."""
    machine.reset()


def stop_button(pin):
    """A function that tells whether the button between GPIO `pin` and ground is pressed; never, when pin is
    negative."""
    if pin < 0:
        return bool
    value = machine.Pin(pin, machine.Pin.IN, machine.Pin.PULL_UP).value
    return lambda: not value()
