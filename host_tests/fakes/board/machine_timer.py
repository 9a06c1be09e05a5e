"""`machine.Timer`: an ESP32's are 0 to 3, an ESP8266's are virtual, -1. It keeps what it was given; a test is the clock
and calls `the[-1].callback(None)`."""

import fake_board

the = []


class Timer:
    def __init__(self, number):
        if number not in ((-1,) if fake_board.script.get("port") == "esp8266" else (0, 1, 2, 3)):
            raise ValueError("invalid Timer number")
        self.number = number
        self.callback = None
        the.append(self)

    def init(self, *, period, callback):
        self.period_ms = period
        self.callback = callback

    def deinit(self):
        self.callback = None
