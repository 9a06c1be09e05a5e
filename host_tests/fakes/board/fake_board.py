"""The board behind the fake `machine`, `network`, `dht` and so on: what it is, what its pins and sensors show.

A test calls use(script); a process on its own finds it in board.json in the current directory. Every key may be
missing:

    {"port": "esp32",                        or "esp8266": what of `machine` there is
     "chip": 246,                            last byte of unique_id()
     "cause": 1,                             reset_cause() after a start that no reset or sleep preceded
     "wifi": {"my network": "password"},     the networks in reach; without the key any network and password will do
     "join_ms": 0,                           how long joining takes
     "values": {"dht22 4": [[21.5, 40.2], null], "ds18b20 5": [19.25], "adc 34": [1500], "chip": [41]},
                                             one for each reading, then from the start again; null: no answer;
                                             a sensor that is not named is not connected; adc in mV, chip in °C
                                             "sht4x 0x44": [[21.5, 40.2]], ...: a chip on I2C, see chip_TYPE.py
     "held": {"21": 5},                      GPIO 21 is held low until another pin went up 5 times; -1: for ever
     "levels": {"12": 0},                    of GPIOs; 1 where none is given; set_level() changes one
     "woken": 4,                             wake_reason() of an ESP32
     "buttons": {"0": "stop"},               GPIO 0 is pressed while there is a file of this name
     "free_heap": 28000,                     bytes of heap after the start, in one piece, and room for names beside it
                                             (MicroPython)
     "short_sleeps": true,                   with it: no sleep of the program is longer than a moment
     "tell_names": true,                     with it: print the names that are no ROM's, before the program and after;
                                             "imports": each import and the first reading, too (imports.py)
     "clock": false,                         the NTP server does not answer
     "state": "rtc.bin"}                     file that keeps RTC memory and the reset cause from one process to the
     next
"""

from time import (
    ticks_ms,  # noqa: F401 - the fakes' clock; a test puts its own here
    time,
)

script = {}
rtc = [b""]
handlers = {}  # interrupts of GPIOs
chips = {}  # on I2C, by their address: they live as long as they have power
cause = [1]
alarm = [0]
armed = {}  # what wakes an ESP32 from deep sleep: "ext0" and "ext1", each (GPIOs, level)
shown = {}  # the level that the program gave a GPIO
turn = {}


class Reset(BaseException):
    """The board resets: args are (reset cause, milliseconds of sleep before the start). No `except Exception` of a
    program sees it."""


def now_s():
    """The right time, in the port's epoch."""
    return int(time())


def use(new):
    """A new script: every sensor begins with its first value; RTC memory is as the state file has it, or empty."""
    script.clear()
    script.update(new)
    turn.clear()
    chips.clear()
    handlers.clear()
    armed.clear()
    shown.clear()
    cause[0] = script.get("cause", 1)
    rtc[0] = b""
    try:
        with open(script.get("state", ""), "rb") as file:
            cause[0] = file.read(1)[0]
            rtc[0] = file.read()
    except OSError:
        pass


def value(name):
    """The next value of a sensor; None when it does not answer or is not there."""
    values = script.get("values", {}).get(name)
    if not values:
        return None
    at = turn.get(name, 0)
    turn[name] = at + 1
    return values[at % len(values)]


def level(pin):
    """The level of a GPIO: 0 while its button is pressed, or while something, or the program, holds it low."""
    if held().get(str(pin)) or shown.get(pin) == 0:
        return 0
    try:
        open(script.get("buttons", {}).get(str(pin), "")).close()
        return 0
    except OSError:
        return script.get("levels", {}).get(str(pin), 1)


def held():
    """Pins that something holds low, with the clocks after which it lets go."""
    return script.setdefault("held", {})


def clock():
    """The program lets a pin that it held low go up: a clock for what holds another."""
    for pin, clocks in held().items():
        held()[pin] = clocks - 1 if clocks > 0 else clocks


def reset(why, sleep_ms=0):
    """Start again: what survives is kept, then Reset is raised."""
    cause[0] = why
    if "state" in script:
        with open(script["state"], "wb") as file:
            file.write(bytes([why]) + rtc[0])
    raise Reset(why, sleep_ms)


def __getattr__(name):
    return getattr(__import__("fake_board_more"), name)
