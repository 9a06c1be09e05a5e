"""The same in RTC memory, which survives deep sleep, watchdog and reset but not a power cut: no flash is written
until it is full.

    rtc = machine.RTC().memory
    store = Store(RtcJournal(Region(rtc, 64, 384), FileJournal("/journal")))
    outbox = Outbox("/queue", store, stage=Region(rtc, 448, 1600))       # 2048 B on an ESP32, 492 B on an ESP8266
"""

from binascii import crc32
from io import BytesIO
from struct import pack, unpack_from


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
        self.region = region
        self.file = file
        self.size = -1  # as FileJournal's
        self.data = b""
        self.on_file = self.left = False  # the file counts; there is one

    def load(self):
        """The journal as something to read from, None when there is none. Raises OSError."""
        f = self.file.load()
        self.data = self.region.read()
        self.on_file = self.left = f is not None
        if f and self.data:
            # both begin with a header of 7 bytes, then the generation
            h = f.read(11)
            f.seek(0)
            if len(h) == 11 and unpack_from(">I", h, 7)[0] > unpack_from(">I", self.data, 7)[0]:
                self.data = b""
            else:
                self.on_file = False
                f.close()
        if self.on_file:
            return f
        return BytesIO(self.data) if self.data else None

    def set_aside(self):
        """Copy a damaged file to `path`.bad; a region is whole or empty. Returns the name. Raises OSError."""
        return self.file.set_aside()

    def append(self, data):
        """As FileJournal's; blocks for flash only while the file is in use."""
        if self.size < 0:
            return False
        if self.on_file:
            self.file.size = self.size
            done = self.file.append(data)
            self.size = self.file.size
            return done
        if self.size + len(data) > self.region.size_b:
            return False
        self.data += data
        self.region.write(self.data)
        self.size = len(self.data)
        return True

    def rewrite(self, data):
        """As FileJournal's: into the region when it fits, then the file goes."""
        n = len(data)
        self.size = -1
        if n <= self.region.size_b:
            self.data = bytes(data)
            self.region.write(data)
            if self.left:  # else the next power cut would bring back what it says
                self.file.remove()
        else:
            self.file.rewrite(data)
            self.data = b""
            self.region.write(b"")
        self.on_file = self.left = n > self.region.size_b
        self.size = n

    def close(self):
        """Close the file, if it is in use."""
        self.file.close()
