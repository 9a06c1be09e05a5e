"""`esp32`: the script's "chip" is the chip's temperature in °C; without it this chip has no thermometer. What wakes it
is a file of its own, read when it is asked for."""

import fake_board


def __getattr__(name):
    return getattr(__import__("esp32_waking"), name)


def mcu_temperature():
    got = fake_board.value("chip")
    if got is None:
        raise OSError("no temperature sensor")
    return got
