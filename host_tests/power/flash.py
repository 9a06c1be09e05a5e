"""A NOR flash in RAM for VfsLfs2, and RTC memory, that lose power at the k-th program, erase or RTC write.
MicroPython only."""

import vfs

BLOCK_B = 4096


class PowerCut(BaseException):
    """The board is dead from here on: no `except Exception` of the program sees it."""


class Power:
    """`at`: the operation (counted from 1) at which power fails, 0 for never; `torn`: that one is done by half, else
    whole."""

    def __init__(self, at=0, torn=False):
        self.at = at
        self.torn = torn
        self.ops = 0

    def operation(self):
        """Before an operation: how it goes; 0 whole, 1 whole and then dark, 2 torn and then dark. Raises PowerCut
        when it is dark already."""
        self.ops += 1
        if not self.at or self.ops < self.at:
            return 0
        if self.ops > self.at:
            raise PowerCut()
        return 2 if self.torn else 1


class Flash:
    """A block device of `blocks` of 4096 bytes. `cells` is what power leaves behind."""

    def __init__(self, power, cells=None, blocks=32):
        self.power = power
        self.cells = bytearray(b"\xff" * (blocks * BLOCK_B)) if cells is None else cells
        self.blocks = len(self.cells) // BLOCK_B
        self.programs = self.programmed_b = self.erases = 0
        self.over = False  # its board is gone: files that nobody closed are finalised later, when nothing may allocate

    def readblocks(self, block, buf, off=0):
        at = block * BLOCK_B + off
        if self.over:
            for i in range(len(buf)):
                buf[i] = self.cells[at + i]
            return
        buf[:] = memoryview(self.cells)[at : at + len(buf)]

    def writeblocks(self, block, buf, off=0):
        at = block * BLOCK_B + off
        if self.over:
            for i in range(len(buf)):
                self.cells[at + i] = buf[i]
            return
        how = self.power.operation()
        written_b = len(buf) if how < 2 else len(buf) // 2
        self.programs += 1
        self.programmed_b += written_b
        for byte in memoryview(self.cells)[at : at + written_b]:
            if byte != 0xFF:
                raise AssertionError("programmed without an erase before: block %d" % block)
        self.cells[at : at + written_b] = memoryview(buf)[:written_b]
        if how:
            raise PowerCut()

    def ioctl(self, op, arg):
        if self.over:
            if op == 6:
                for i in range(arg * BLOCK_B, arg * BLOCK_B + BLOCK_B):
                    self.cells[i] = 0xFF
            return 0
        if op == 4:
            return self.blocks
        if op == 5:
            return BLOCK_B
        if op == 6:
            how = self.power.operation()
            erased_b = BLOCK_B if how < 2 else BLOCK_B // 2
            self.erases += 1
            self.cells[arg * BLOCK_B : arg * BLOCK_B + erased_b] = b"\xff" * erased_b
            if how:
                raise PowerCut()
            return 0


class Rtc:
    """machine.RTC(): `memory()`, `memory(bytes)`. `cells` survive a reset."""

    def __init__(self, power, cells=b"", size_b=2048):
        self.power = power
        self.cells = cells
        self.size_b = size_b
        self.writes = 0

    def memory(self, data=None):
        if data is None:
            return self.cells
        if len(data) > self.size_b:
            raise ValueError("buffer too long")
        how = self.power.operation()
        self.writes += 1
        self.cells = bytes(data)
        if how:
            raise PowerCut()


def formatted(blocks=32):
    """The cells of a fresh file system."""
    flash = Flash(Power(), None, blocks)
    vfs.VfsLfs2.mkfs(flash)
    return bytes(flash.cells)
