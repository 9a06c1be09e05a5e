"""A NOR flash chip in a file: programming only clears bits, and only erasing a whole sector sets them again."""

import fcntl
import os

SECTOR_B = 4096


class NorFlash:
    """`size_b` bytes of flash in the file at `path`, made blank (all ones) when it is absent or of another size.

    Raises BlockingIOError when it is another chip's at this moment, OSError when the file cannot be made or read.
    """

    def __init__(self, path: str, size_b: int):
        self.path = os.path.abspath(path)
        self.size_b = size_b
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise
        if os.path.getsize(path) != size_b:
            os.ftruncate(self._file.fileno(), size_b)
            os.pwrite(self._file.fileno(), b"\xff" * size_b, 0)

    def read(self, offset: int, size_b: int) -> bytes:
        """n bytes from offset; fewer at the chip's end."""
        return os.pread(self._file.fileno(), size_b, offset)

    def program(self, offset: int, data: bytes) -> None:
        """Clear the bits that are 0 in data, as the chip does. Raises ValueError past the chip's end."""
        self._inside(offset, len(data))
        old = int.from_bytes(self.read(offset, len(data)), "little")
        new = old & int.from_bytes(data, "little")
        os.pwrite(self._file.fileno(), new.to_bytes(len(data), "little"), offset)

    def erase(self, offset: int, size_b: int) -> None:
        """Set all bits of every sector that offset .. offset + n touches. Raises ValueError past the chip's end."""
        self._inside(offset, size_b)
        first = offset // SECTOR_B
        last = (offset + size_b + SECTOR_B - 1) // SECTOR_B
        for sector in range(first, last):
            os.pwrite(self._file.fileno(), b"\xff" * SECTOR_B, sector * SECTOR_B)

    def _inside(self, offset: int, size_b: int) -> None:
        if offset < 0 or offset + size_b > self.size_b:
            raise ValueError("0x%x..0x%x lies past the end of the flash, 0x%x" % (offset, offset + size_b, self.size_b))

    def close(self) -> None:
        self._file.close()
