"""What a board has outside of its heap: flash that code is executed from, as a ROMFS image (MicroPython 1.25 and
newer), and the names of its ROM."""

import gc
import os
import sys
import time

import ffi
import uctypes
import vfs
from micropython import const

_POOL_B = const(2000)  # of 320 names and more; what else a name may take of the heap is less
_MOMENT_MS = const(20)
_PROT_READ = const(1)
_MAP_PRIVATE = const(2)


def make_room_for_names():
    """Names that the ROM has not go into pools of the heap, each twice as large as the one before. How much of a pool
    is free here is chance: begin a new one, which is free, so that a program's names cost nothing."""
    taken_b = gc.mem_alloc()
    n = 0
    while gc.mem_alloc() - taken_b < _POOL_B:
        taken_b = gc.mem_alloc()
        hasattr(sys, "name of nothing %d" % n)
        n += 1


class ShortSleeps:
    """The module time; no sleep in it is longer than a moment."""

    def __init__(self):
        self.sleep_ms = lambda ms: time.sleep_ms(min(ms, _MOMENT_MS))

    def __getattr__(self, name):
        return getattr(time, name)


def rom(image):
    """The file system in the file `image`. Raises OSError, also where the C library is not found."""
    libc = ffi.open("libc.so.6")
    size_b = os.stat(image)[6]
    fd = libc.func("i", "open", "si")(image, 0)
    address = libc.func("p", "mmap", "PIiiii")(0, size_b, _PROT_READ, _MAP_PRIVATE, fd, 0)
    return vfs.VfsRom(uctypes.bytearray_at(address, size_b))
