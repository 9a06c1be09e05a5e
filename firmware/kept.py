"""What does a sensor remember over a reset or a deep sleep? A few integers at the end of RTC memory; a power cut takes
them."""

from struct import pack, unpack

import machine
from micropython import const

ESP32_B = const(128)  # what the queue in RTC memory leaves free for it
ESP8266_B = const(48)
_HEAD_B = const(4)  # whose they are, and a checksum


def room_b() -> int:
    """Bytes of RTC memory for it."""
    return ESP8266_B if hasattr(machine.RTC, "ALARM0") else ESP32_B


def mixed(data) -> int:
    """A checksum of 16 bits."""
    a = b = 1
    for byte in data:
        a = (a + byte) % 251
        b = (b + a) % 251
    return a << 8 | b


class Kept:
    """`count` integers of 32 bits of the sensor `name`. Raises ValueError when the others have left no room."""

    taken_b = 0

    def __init__(self, name: str, count: int):
        self.name = mixed(name.encode())
        self.form = ">HH%di" % count
        self.size_b = _HEAD_B + 4 * count
        Kept.taken_b += self.size_b
        self.end_b = Kept.taken_b  # from the end of the memory
        if self.end_b > room_b():
            raise ValueError("RTC memory has no room for what it remembers: fewer sensors with delta, or fewer pulse")

    def read(self):
        """What was written last, a list; None after power-on, or for another sensor."""
        whole = machine.RTC().memory()
        at = total_b() - self.end_b
        framed = whole[at : at + self.size_b]
        if len(framed) == self.size_b:
            name, check, *values = unpack(self.form, framed)
            if name == self.name and check == mixed(framed[_HEAD_B:]):
                return values
        return None

    def write(self, values) -> None:
        """Keep them instead."""
        memory = machine.RTC().memory
        whole = bytearray(memory())
        at = total_b() - self.end_b
        whole.extend(bytes(max(0, at + self.size_b - len(whole))))
        body = pack(self.form, 0, 0, *values)[_HEAD_B:]
        whole[at : at + self.size_b] = pack(">HH", self.name, mixed(body)) + body
        memory(whole)


def total_b() -> int:
    """Size of RTC memory."""
    return 492 if hasattr(machine.RTC, "ALARM0") else 2048
