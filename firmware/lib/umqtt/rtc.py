"""Journal and stage in RTC memory, which survives deep sleep, watchdog and reset but no power cut: nothing is written
to flash until it is full.

    rtc = machine.RTC().memory
    store = Store(RtcJournal(Region(rtc, 64, 384), FileJournal("/journal")))
    outbox = Outbox("/queue", store, stage=Region(rtc, 448, 1600))       # 2048 B on an ESP32, 492 B on an ESP8266
"""

import os
from io import BytesIO
from struct import pack_into, unpack_from

from micropython import const

from umqtt.store import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from umqtt.hints import Memory
    from umqtt.outbox import Outbox
    from umqtt.store import FileJournal

_FRAME = const(">HI")  # stands before the content of a region: its length, its CRC-32
_FRAME_B = const(6)

_HEAD_B = const(7)  # what every record begins with (umqtt.store)
_HEADER = const(1)  # the type of the record that begins a journal; its body begins with the generation

_ENOENT = const(2)


class Region:
    """size_b bytes, from byte `at` on, of `memory`: machine.RTC().memory, where f() returns everything and f(bytes)
    replaces it.

    A region holds 6 bytes less than size_b: a length and a CRC-32 stand first, so that whatever the memory holds after
    power-on counts as nothing. Raises ValueError when the memory is smaller.
    """

    memory: "Memory"
    at: int
    size_b: int

    def __init__(self, memory: "Memory", at: int, size_b: int) -> None:
        self.memory = memory
        self.at = at
        self.size_b = size_b - _FRAME_B

    def read(self) -> bytes:
        """Return the bytes that were written last, b"" when there are none or they are damaged. Allocates."""
        framed = memoryview(self.memory())[self.at : self.at + self.size_b + _FRAME_B]
        if len(framed) > _FRAME_B:
            content_b, crc = unpack_from(_FRAME, framed)
            content = framed[_FRAME_B : _FRAME_B + content_b]
            if len(content) == content_b and crc32(content) == crc:
                return bytes(content)
        return b""

    def write(self, data: "bytes | bytearray") -> None:
        """Replace the content by `data`. Raises ValueError when it has more than `size_b` bytes. Allocates."""
        if len(data) > self.size_b:
            raise ValueError("%d B in a region of %d B" % (len(data), self.size_b))
        memory = bytearray(self.memory())
        memory.extend(bytes(max(0, self.at + self.size_b + _FRAME_B - len(memory))))
        pack_into(_FRAME, memory, self.at, len(data), crc32(data))
        at = self.at + _FRAME_B
        memory[at : at + len(data)] = data
        self.memory(memory)


class RtcJournal:
    """A journal in Region `region`, or in FileJournal `file` while the live data does not fit. The newer one counts."""

    region: Region
    file: "FileJournal"
    path: str
    limit_b: int

    volatile = True  # a power cut may take the region, and leave files that are older

    def __init__(self, region: Region, file: "FileJournal") -> None:
        self.region = region  # when it is empty the file counts, if there is one
        self.file = file
        self.path = file.path  # a region is whole or empty: only the file can be damaged
        self.limit_b = file.limit_b
        self.reserve = file.reserve
        self._in_file = False
        self._head = b""  # of the region as this program left it

    def load(self):
        """Return the journal as something to read from, None when there is none. Raises OSError."""
        file = self.file.load()
        content = self.region.read()
        if file and content:
            file.seek(0)
            if _generation(file.read(_HEAD_B + 4)) > _generation(content):
                content = b""
                self.region.write(content)
            else:
                # a reset came before the file was removed: after a power cut it would bring back what was done long ago
                file.close()
                self._remove_file()
                file = None
        self._in_file = file is not None
        self._head = content[:_HEAD_B]
        return BytesIO(content) if content else file

    def _remove_file(self):
        try:
            os.remove(self.path)
        except OSError as e:
            if e.errno != _ENOENT:
                raise
        self._in_file = False

    def check(self) -> bool:
        """As FileJournal's, for region and file."""
        head = self.region.read()[:_HEAD_B]
        if head and head != self._head:
            from umqtt import recall

            recall.refuse("this RTC memory")
        return self.file.check()

    def append(self, data: bytearray) -> bool:
        """As FileJournal's; blocks for flash only while that is in use."""
        if not self._head:
            return self.file.append(data)
        self.check()
        content = self.region.read()
        if not content or len(content) + len(data) > self.region.size_b:
            return False
        self.region.write(content + data)
        return True

    def rewrite(self, data: "bytes | bytearray") -> None:
        """As FileJournal's: into the region when the data fits; then the file is removed."""
        self.check()
        if len(data) > self.region.size_b:
            self.file.rewrite(data)
            self._in_file = True
            data = b""
        head = bytes(data[:_HEAD_B])
        self.region.write(data)
        self._head = head
        if data and self._in_file:  # else the next power cut would bring back what it says
            self._remove_file()

    def keep_place(self, outbox: "Outbox") -> None:
        """Everything that `outbox` handed over has ended: let the name of its first file say so, for a power cut takes
        what the store says of it."""
        place = outbox.store.place
        files = outbox._files
        if files and files[0] < place < outbox._end(0):
            os.rename(outbox._name(files[0]), outbox._name(place))
            if files[0] == outbox._damaged:
                outbox._damaged = place
            files[0] = place


def _generation(journal):
    if len(journal) < _HEAD_B + 4 or journal[0] != _HEADER:
        return 0  # of another version
    return unpack_from(">I", journal, _HEAD_B)[0]
