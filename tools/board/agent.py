"""Runs inside MicroPython: makes the interpreter look like a board's, then runs what the board sends.

argv: the number of the control channel's file descriptor. The first message on it is the board's description.
Messages to here: kind (F file, C code, S line of the friendly REPL), number, length, source.
Messages from here: kind (B begun, D done, X SystemExit, E error), number, length, traceback;
M: RTC memory; R: the program reset the board: cause and milliseconds of sleep before the start.
"""

import gc
import io
import json
import os
import select
import struct
import sys

import micropython
import vfs

_HEAD = "<BII"


class Nor:
    """Block device on a partition of the flash file; programming only clears bits."""

    def __init__(self, path, offset, size_b):
        self.f = open(path, "r+b")  # noqa: SIM115 - for the life of the process
        self.offset = offset
        self.blocks = size_b // 4096

    def readblocks(self, block, buf, off=0):
        self.f.seek(self.offset + block * 4096 + off)
        self.f.readinto(buf)

    def writeblocks(self, block, buf, off=None):
        at = self.offset + block * 4096
        if off is None:
            self.ioctl(6, block)
        else:
            at += off
        self.f.seek(at)
        old = self.f.read(len(buf))
        for i in range(len(buf)):
            if old[i] != 255:
                buf = bytes([old[k] & buf[k] for k in range(len(buf))])
                break
        self.f.seek(at)
        self.f.write(buf)

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        if op == 5:
            return 4096
        if op == 6:
            self.f.seek(self.offset + arg * 4096)
            self.f.write(b"\xff" * 4096)
        return 0


class Frozen:
    """The firmware's own modules: a folder of the host that can only be read."""

    def __init__(self, folder):
        self.fs = vfs.VfsPosix(folder)
        self.open = self._open
        self.stat = self.fs.stat

    def mount(self, readonly, mkfs):
        pass

    def umount(self):
        pass

    def chdir(self, path):
        raise OSError(30)

    def _open(self, path, mode):
        if "w" in mode or "a" in mode or "+" in mode:
            raise OSError(30)
        return self.fs.open(path, mode)


class Like:
    """A module with some of its names replaced."""

    def __init__(self, module, **names):
        self._module = module
        for name in names:
            setattr(self, name, names[name])

    def __getattr__(self, name):
        return getattr(self._module, name)


def disguise(board):
    """Give sys and os what they have on the board, and hide the mount of the frozen modules."""
    chip = board["chip"]
    real_sys, real_os = sys, os
    machine = board["machine"]
    version = ".".join(str(n) for n in sys.implementation[1][:3])
    uname = (chip, chip, version + ".0", "v%s on 2025-01-01" % version, machine)

    def ilistdir(path=""):
        top = path in ("", ".", "/") and (path == "/" or real_os.getcwd() == "/")
        for entry in real_os.ilistdir(path):
            if not (top and entry[0] == ".frozen"):
                yield entry

    def listdir(path=""):
        return [entry[0] for entry in ilistdir(path)]

    from collections import namedtuple

    def mount(*args, **kwargs):
        got = vfs.mount(*args, **kwargs)
        return got if args else [pair for pair in got if pair[1] != "/.frozen"]

    names = namedtuple("uname", ("sysname", "nodename", "release", "version", "machine"))
    implementation = namedtuple("implementation", ("name", "version", "_machine", "_mpy"))(
        "micropython", sys.implementation[1], machine, board["mpy"]
    )
    real_sys.modules["sys"] = Like(sys, platform=chip, implementation=implementation)
    real_sys.modules["vfs"] = Like(vfs, mount=mount)
    fake_os = Like(os, uname=lambda: names(*uname), ilistdir=ilistdir, listdir=listdir)
    real_sys.modules["os"] = real_sys.modules["uos"] = fake_os


def boot(board):
    """Mount the file system where it lies in the flash, set the paths, load the board's modules."""
    nor = Nor(board["flash"], board["offset"], board["size"])
    frozen = Frozen(board["frozen"])
    vfs.umount("/")
    try:
        vfs.mount(vfs.VfsLfs2(nor), "/")
    except OSError:
        vfs.VfsLfs2.mkfs(nor)  # as the firmware does on its first start
        vfs.mount(vfs.VfsLfs2(nor), "/")
        with open("/boot.py", "w") as f:
            f.write("# This file is executed on every boot (including wake-boot from deepsleep)\n")
    vfs.mount(frozen, "/.frozen")
    os.chdir("/")
    sys.path[:] = ["", ".frozen", "/.frozen", "/lib"]
    del sys.argv[:]
    disguise(board)
    return power_up(board)


def power_up(board):
    """Load the board's own modules, which on a board are in flash. Returns fake_board, or None without it."""
    if "fake_board" not in board["modules"]:
        return None
    fake = __import__("fake_board")
    fake.use(board["script"])
    fake.cause[0] = board["cause"]
    fake.rtc[0] = bytes(board["rtc"])
    for name in board["modules"]:
        __import__(name)
    unique_id = bytes(board["unique_id"])
    sys.modules["machine"].unique_id = lambda: unique_id
    return fake


def reduce_heap(free_b):
    """Leave as much heap as a board has after its start, in one piece. What is taken is returned, to be kept."""
    taken = []
    for piece_b in (4096, 256, 16):
        gc.collect()
        while gc.mem_free() > free_b + piece_b:
            taken.append(bytearray(piece_b))
    return taken


def text_of(e):
    """The traceback, without the frames of this file."""
    out = io.StringIO()
    sys.print_exception(e, out)
    lines = [line for line in out.getvalue().split("\n") if 'agent.py"' not in line]
    return "\r\n".join(lines).encode()


def main():
    control = open(int(sys.argv[1]), "r+b")  # noqa: SIM115
    poller = select.poll()
    poller.register(control, select.POLLIN)

    def receive():
        while True:
            try:
                poller.poll()
                for _ in range(2):  # a Ctrl-C that came too late is raised here, not inside the read
                    pass
                break
            except KeyboardInterrupt:
                pass
        head = control.read(9)
        if len(head) < 9:
            sys.exit()
        kind, number, n = struct.unpack(_HEAD, head)
        return chr(kind), number, control.read(n) if n else b""

    def reply(kind, number, data=b""):
        message = struct.pack(_HEAD, ord(kind), number, len(data)) + data
        while True:  # the board drops what it gets twice
            try:
                control.write(message)
                return
            except KeyboardInterrupt:
                pass

    board = json.loads(receive()[2])
    fake = boot(board)
    rtc = fake and fake.rtc[0]
    names = {"__name__": "__main__"}
    free_b = board["free_heap"]
    board = None
    reserve = bytearray(8192)  # given up while the end of a program is told, which must work on a full heap
    ballast = reduce_heap(free_b)  # noqa: F841 - held, not used
    reply("D", 0)
    while True:
        kind, number, source = receive()
        result, error = "D", b""
        try:
            micropython.kbd_intr(3)
            reply("B", number)
            if kind == "F":
                name = source.decode()
                try:
                    with open(name) as f:
                        source = f.read()
                except OSError:
                    source = ""
            else:
                name = "<stdin>"
            code = compile(source, name, "single" if kind == "S" else "exec")
            source = None
            exec(code, names)
        except SystemExit:
            result = "X"
        except BaseException as e:
            reserve = None
            gc.collect()
            if fake and isinstance(e, fake.Reset):
                result, error = "R", struct.pack("<II", *e.args)
            else:
                result, error = "E", text_of(e)
        code = source = reserve = None
        gc.collect()
        if fake and fake.rtc[0] != rtc:
            rtc = fake.rtc[0]
            reply("M", number, rtc)
        reply(result, number, error)
        error = None
        gc.collect()
        try:
            reserve = bytearray(8192)  # noqa: F841
        except MemoryError:
            pass  # the program took its place: its next end will be told out of what is left


main()
