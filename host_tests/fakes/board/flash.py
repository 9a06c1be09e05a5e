"""Flash that code is executed from, as on a board: a ROMFS image (MicroPython 1.25 and newer) outside of the heap."""

import os

import ffi
import uctypes
import vfs

_PROT_READ = 1
_MAP_PRIVATE = 2


def rom(image):
    """The file system in the file `image`. Raises OSError, also where the C library is not found."""
    libc = ffi.open("libc.so.6")
    size_b = os.stat(image)[6]
    fd = libc.func("i", "open", "si")(image, 0)
    address = libc.func("p", "mmap", "PIiiii")(0, size_b, _PROT_READ, _MAP_PRIVATE, fd, 0)
    return vfs.VfsRom(uctypes.bytearray_at(address, size_b))
