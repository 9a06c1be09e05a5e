"""`machine` for the programs of examples/: a pin tells its level, RTC memory is a file, deepsleep ends the life."""

import sys


class Pin:
    OUT = 1

    def __init__(self, number, mode=0):
        self.number = number

    def value(self, level):
        print("pin %d: %d" % (self.number, level))


class RTC:
    def memory(self, content=None):
        if content is None:
            try:
                with open("rtc", "rb") as file:
                    return file.read()
            except OSError:
                return b""
        with open("rtc", "wb") as file:
            file.write(content)


def deepsleep(ms):
    print("sleeps for %d ms" % ms)
    sys.exit()
