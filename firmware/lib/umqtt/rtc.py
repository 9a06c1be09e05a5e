"""The same in RTC memory, which survives deep sleep, watchdog and reset but not a power cut: no flash is written
until it is full.

    rtc = machine.RTC().memory
    store = Store(RtcJournal(Region(rtc, 64, 384), FileJournal("/journal")))
    outbox = Outbox("/queue", store, stage=Region(rtc, 448, 1600))       # 2048 B on an ESP32, 492 B on an ESP8266
"""

import os
from io import BytesIO
from struct import pack, unpack_from

from umqtt.store import crc32


class Region:
    """size_b bytes from `at` on of `memory`, machine.RTC().memory: f() returns all of it, f(bytes) replaces it.

    It holds 6 bytes less than that: a length and a CRC-32 stand before, so that what power-on left there is nothing.
    Raises ValueError when the memory is smaller.
    """

    def __init__(self, memory, at, size_b):
        self.memory = memory
        self.at = at
        self.size_b = size_b - 6

    def read(self):
        """What was written last, b"" when there is nothing or it is damaged."""
        m = self.memory()[self.at : self.at + self.size_b + 6]
        if len(m) > 6:
            n, crc = unpack_from(">HI", m)
            m = m[6 : 6 + n]
            if len(m) == n and crc32(m) == crc:
                return bytes(m)
        return b""

    def write(self, data):
        """Replace it by `data`, at most size_b bytes. Raises ValueError."""
        if len(data) > self.size_b:
            raise ValueError("%d B in a region of %d B" % (len(data), self.size_b))
        m = bytearray(self.memory())
        m.extend(bytes(max(0, self.at + self.size_b + 6 - len(m))))
        data = pack(">HI", len(data), crc32(data)) + data
        m[self.at : self.at + len(data)] = data
        self.memory(m)


class RtcJournal:
    """A journal in Region `region`; while what is live does not fit, in FileJournal `file`. The newer one counts."""

    def __init__(self, region, file):
        self.region = region  # empty: the file counts, if there is one
        self.file = file
        self.path = file.path  # a region is whole or empty: what is damaged is the file
        self.left = False  # there is a file

    def load(self):
        """The journal as something to read from, None when there is none. Raises OSError."""
        f = self.file.load()
        m = self.region.read()
        self.left = f is not None
        if f and m:
            # both begin with a header of 7 bytes, then the generation
            f.seek(0)
            h = f.read(11)
            if len(h) == 11 and unpack_from(">I", h, 7) > unpack_from(">I", m, 7):
                m = b""
                self.region.write(m)
            else:
                f.close()
        return BytesIO(m) if m else f

    def append(self, data):
        """As FileJournal's; blocks for flash only while that is in use."""
        m = self.region.read()
        if not m:
            return self.file.append(data)
        if len(m) + len(data) > self.region.size_b:
            return False
        self.region.write(m + data)
        return True

    def rewrite(self, data):
        """As FileJournal's: into the region when it fits, then the file goes."""
        if len(data) > self.region.size_b:
            self.file.rewrite(data)
            self.left = True
            data = b""
        self.region.write(data)
        if data and self.left:  # else the next power cut would bring back what it says
            os.remove(self.path)
            self.left = False
