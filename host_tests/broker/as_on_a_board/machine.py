"""A board with a button at pin 0, pressed once at the third look, and an LED at pin 2, which says what it is told."""


def unique_id():
    return b"board"


class Pin:
    IN, OUT = 0, 1

    def __init__(self, number, mode, value=0):
        self.number = number
        self.looks = 0

    def value(self, level=None):
        if level is not None:
            print("pin", self.number, "is", level)
            return None
        self.looks += 1
        return 0 if self.looks == 3 else 1
