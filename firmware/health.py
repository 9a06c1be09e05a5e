"""How the program is: what is wrong, told once; the watchdog; the crash log."""

import io
import sys
from random import getrandbits
from time import ticks_diff, ticks_ms

from micropython import const

_CRASH_LOG_B = const(2048)


def words(e):
    """What an exception says, with what to check where a port gives nothing but a number."""
    code = e.args[0] if e.args else e
    if len(e.args) > 1:
        return str(e.args[1])  # the client's: (number, words)
    if code in (104, 111):  # lwIP tells a closed port as a reset
        return "refused (%d): is the broker running, is the port right?" % code
    if code in (11, 110, 113, 115, 116, 119):
        return "no answer (%d): is it running, is the address right?" % code
    if code in (-2, -202):
        return "no such name"
    return str(e) if isinstance(e, (OSError, ValueError)) else repr(e)


class Trouble:
    """One thing that can fail: said once in words, tried again after a random pause that doubles from first_ms to
    most_ms."""

    def __init__(self, name, first_ms=1000, most_ms=60000):
        self.name = name
        self.first_ms = first_ms
        self.most_ms = most_ms
        self.words = ""
        self.count = 0  # failures since it was well
        self.since = self.pause_ms = 0

    def attempt(self, f, *args):
        """f(*args), or True when that is nothing. None when it failed, and without a call while the pause after a
        failure lasts."""
        if self.count and ticks_diff(ticks_ms(), self.since) < self.pause_ms:
            return None
        try:
            return f(*args) or True
        except Exception as e:  # of the ports' drivers each raises its own
            self.failed(words(e))

    def failed(self, words):
        """It did not work, again or for the first time."""
        self.pause_ms = 1 + getrandbits(24) % min(self.most_ms, self.first_ms << min(self.count, 16))
        self.since = ticks_ms()
        self.count += 1
        if words != self.words:
            self.words = words
            print("%s: %s; trying again" % (self.name, words))

    def ended(self):
        """It works."""
        if self.count:
            print("%s: well again after %d failures" % (self.name, self.count))
            self.count = 0
            self.words = ""


def watchdog(timeout_s):
    """The function that feeds a watchdog which resets the board after timeout_s without it; on 0, and on ESP8266, it
    does nothing.

    On ESP32 it cannot be stopped again: it resets a board whose program was ended by Ctrl-C, too. ESP8266 has one of
    its own.
    """
    if not timeout_s or sys.platform == "esp8266":
        return bool
    from machine import WDT

    return WDT(timeout=timeout_s * 1000).feed


def crashed(e, path="crash.log"):
    """Print the exception and append it to the crash log, which keeps the newest 2048 B; the same one again is not
    written again."""
    text = io.StringIO()
    sys.print_exception(e, text)
    text = text.getvalue()
    print(text)
    try:
        log = ""
        try:
            with open(path) as f:
                log = f.read()
        except OSError:
            pass  # the first crash
        if not log.endswith(text):  # a crash at each turn must not wear out the flash
            with open(path, "w") as f:
                f.write((log + text)[-_CRASH_LOG_B:])
    except OSError as full:
        print(path, full)
