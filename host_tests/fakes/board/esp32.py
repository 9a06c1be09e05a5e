"""`esp32`: the script's "chip" is the chip's temperature in °C; without it this chip has no thermometer."""

import fake_board


def mcu_temperature():
    got = fake_board.value("chip")
    if got is None:
        raise OSError("no temperature sensor")
    return got
