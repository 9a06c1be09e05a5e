"""What else can a board say of itself? Imported only when `also` of the sensor internal asks for it."""

# the stubs are of one port
# pyright: reportAttributeAccessIssue=false

from time import ticks_ms

import machine
import network

import power


def quoted(_) -> str:
    """Why the board started, as JSON."""
    return '"%s"' % power.cause()


def version(_) -> str:
    """The library's version, as JSON."""
    from umqtt import __version__

    return '"%s"' % __version__


def dotted(address: int) -> str:
    """An IPv4 address, as JSON."""
    return '"%d.%d.%d.%d"' % (address >> 24 & 255, address >> 16 & 255, address >> 8 & 255, address & 255)


def woken(reason: int) -> str:
    """What ended the sleep, as JSON."""
    for name in ("PIN_WAKE", "EXT0_WAKE", "EXT1_WAKE", "TIMER_WAKE", "TOUCHPAD_WAKE", "ULP_WAKE"):
        if getattr(machine, name, None) == reason:
            return '"%s"' % name[:-5].lower()
    return '"none"'


def facts():
    """{name: (field, what reads it)}."""
    sta = network.WLAN(network.STA_IF)

    def rssi():
        return sta.status("rssi") if sta.isconnected() else None

    def address():
        if not sta.isconnected():
            return None
        a, b, c, d = [int(n) for n in sta.ifconfig()[0].split(".")]
        return (a - 256 if a > 127 else a) << 24 | b << 16 | c << 8 | d  # 32 bits with a sign

    return {
        "rssi": (("rssi", "dBm", 0), rssi),
        "reset": (("reset", "", quoted), int),
        "woken": (("woken", "", woken), getattr(machine, "wake_reason", int)),
        "ip": (("ip", "", dotted), address),
        "version": (("version", "", version), int),
        "awake": (("awake", "ms", 0), ticks_ms),
    }
