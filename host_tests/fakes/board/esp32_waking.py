"""What wakes an ESP32 from deep sleep: it is in fake_board.armed then."""

import fake_board

WAKEUP_ALL_LOW, WAKEUP_ANY_HIGH = False, True
RTC_GPIOS = (0, 2, 4, 12, 13, 14, 15, 25, 26, 27, 32, 33, 34, 35, 36, 37, 38, 39)  # of the first ESP32


def wake_on_ext0(pin, level):
    _arm("ext0", (pin,), level)


def wake_on_ext1(pins, level):
    _arm("ext1", pins, level)


def _arm(name, pins, level):
    numbers = [pin.number for pin in pins]
    if not all(number in RTC_GPIOS for number in numbers):
        raise ValueError("invalid pin")
    fake_board.armed[name] = numbers, level
