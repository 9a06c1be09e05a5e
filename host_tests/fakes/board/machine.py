"""`machine` of an ESP32 or ESP8266, as far as sensor programs use it; pins and sensors are fake_board's.

ADC, RTC, WDT, Timer and SoftI2C are files of their own, read when they are asked for: what a test board costs of the
heap is not there for the firmware.
"""

import fake_board

DEEPSLEEP = 4
if fake_board.script.get("port") == "esp8266":
    PWRON_RESET, WDT_RESET, SOFT_RESET, DEEPSLEEP_RESET, HARD_RESET = 0, 1, 4, 5, 6
else:
    PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5


def __getattr__(name):
    try:
        if name in ("ADC", "RTC", "WDT", "Timer", "SoftI2C"):
            return getattr(__import__("machine_" + name.lower()), name)
        return getattr(__import__("umachine"), name)  # what the unix port has of its own: mem32, idle, Signal
    except ImportError:
        raise AttributeError(name)


def reset_cause():
    return fake_board.cause[0]


def unique_id():
    return b"\xa1\xb2\xc3\xd4\xe5" + bytes([fake_board.script.get("chip", 0xF6)])


def reset():
    fake_board.reset(HARD_RESET)


def deepsleep(ms=None):
    fake_board.reset(DEEPSLEEP_RESET, fake_board.alarm[0] if ms is None else ms)


if fake_board.script.get("port") != "esp8266":
    EXT0_WAKE, EXT1_WAKE, TIMER_WAKE, TOUCHPAD_WAKE, ULP_WAKE = 2, 3, 4, 5, 6

    def wake_reason():
        return fake_board.script.get("woken", 0)


class Pin:
    IN, OUT, OPEN_DRAIN, PULL_UP = 1, 3, 7, 2
    IRQ_RISING, IRQ_FALLING = 1, 2
    if fake_board.script.get("port") != "esp8266":
        PULL_DOWN = 1

    def __init__(self, number, mode=-1, pull=-1, value=None):
        if not 0 <= number <= 48:
            raise ValueError("invalid pin")
        self.number = number
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is None:
            return fake_board.level(self.number)
        if level and fake_board.shown.get(self.number) == 0:
            fake_board.clock()
        fake_board.shown[self.number] = level

    def irq(self, handler=None, trigger=3):
        fake_board.handlers[self.number] = handler, trigger, self
