"""`machine` of an ESP32 or ESP8266, as far as sensor programs use it; pins and sensors are fake_board's.

ADC, RTC, WDT, Timer and SoftI2C are files of their own, read when they are asked for: what a test board
costs of the heap, and of the room for names, is not there for the firmware.
"""

import fake_board


def __getattr__(name):
    # Of the causes of a start; as a text, for each name would take some of the room that a program has for its own.
    if fake_board.script.get("port") == "esp8266":
        numbers = "DEEPSLEEP 4 PWRON_RESET 0 WDT_RESET 1 SOFT_RESET 4 DEEPSLEEP_RESET 5 HARD_RESET 6"
    else:
        numbers = (
            "DEEPSLEEP 4 PWRON_RESET 1 HARD_RESET 2 WDT_RESET 3 DEEPSLEEP_RESET 4 SOFT_RESET 5"
            " EXT0_WAKE 2 EXT1_WAKE 3 TIMER_WAKE 4 TOUCHPAD_WAKE 5 ULP_WAKE 6"
        )
    numbers = numbers.split()
    if name in numbers:
        return int(numbers[numbers.index(name) + 1])
    try:
        for module in "machine_adc machine_rtc machine_wdt machine_timer machine_softi2c".split():
            if module.endswith("_" + name.lower()):
                return getattr(__import__(module), name)
        return getattr(__import__("umachine"), name)  # what the unix port has of its own: mem32, idle, Signal
    except ImportError:
        raise AttributeError(name)


def reset_cause():
    return fake_board.cause[0]


def unique_id():
    return b"\xa1\xb2\xc3\xd4\xe5" + bytes([fake_board.script.get("chip", 0xF6)])


if fake_board.script.get("port") != "esp8266":

    def wake_reason():
        return fake_board.script.get("woken", 0)


def reset():
    fake_board.reset(__getattr__("HARD_RESET"))


def deepsleep(ms=None):
    fake_board.reset(__getattr__("DEEPSLEEP_RESET"), fake_board.alarm[0] if ms is None else ms)


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
