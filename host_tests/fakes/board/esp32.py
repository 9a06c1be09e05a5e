"""`esp32`: the script's "chip" is the chip's temperature in °C; without it this chip has no thermometer. An
ESP8266 has no such module."""

import fake_board

if fake_board.script.get("port") == "esp8266":
    raise ImportError("no module named 'esp32'")


def mcu_temperature():
    got = fake_board.value("chip")
    if got is None:
        raise OSError("no temperature sensor")
    return got
