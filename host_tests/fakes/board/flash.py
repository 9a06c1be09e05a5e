"""What a board has outside of its heap: flash that code is executed from, as a ROMFS image (MicroPython 1.25 and
newer)."""

import os

import ffi
import uctypes
import vfs
from micropython import const

_PROT_READ = const(1)
_MAP_PRIVATE = const(2)


def rom(path):
    """The file system in the file `path`. Raises OSError, also where the C library is not found."""
    # in one text: short ones are names, which take some of the room that a program has for its own
    library, number, text_number, pointer, mapped, takes = "libc.so.6 i si p mmap PIiiii".split()
    libc = ffi.open(library)
    size_b = os.stat(path)[6]
    fd = libc.func(number, "open", text_number)(path, 0)
    address = libc.func(pointer, mapped, takes)(0, size_b, _PROT_READ, _MAP_PRIVATE, fd, 0)
    return vfs.VfsRom(uctypes.bytearray_at(address, size_b))
