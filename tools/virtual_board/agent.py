"""Runs inside MicroPython: makes the interpreter look like a board's, then runs what the board sends.

argv: the number of the control channel's file descriptor. The first message on it is the board's description.
Messages to here: kind (F file, C code, S line of the friendly REPL), number, length, source.
Messages from here: kind, number, length, data. B: begun; N: over, no Ctrl-C any more; then D: well, X: by SystemExit,
E: with this traceback; M: RTC memory; R: the program reset the board: cause and milliseconds of sleep before the start.
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


_BLANK = b"\xff" * 4096


class Nor:
    """Block device on a partition of the flash file; programming only clears bits.

    A file that is not closed is written by the collector, inside of which nothing can be allocated. When that happens
    inside another file's operation this MicroPython crashes, for its block device is this Python; a board's is not.
    """

    def __init__(self, path, offset, size_b):
        self.f = open(path, "r+b")  # noqa: SIM115 - for the life of the process
        self.offset = offset
        self.blocks = size_b // 4096
        self.page = bytearray(4096)

    def readblocks(self, block, buf, off=0):
        self.f.seek(self.offset + block * 4096 + off)
        self.f.readinto(buf)

    def writeblocks(self, block, buf, off=None):
        at = self.offset + block * 4096
        if off is None:
            self.ioctl(6, block)
        else:
            at += off
        page = self.page
        size_b = len(buf)
        self.f.seek(at)
        self.f.readinto(page, size_b)
        for i in range(size_b):
            page[i] &= buf[i]
        self.f.seek(at)
        self.f.write(page, 0, size_b)

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        if op == 5:
            return 4096
        if op == 6:
            self.f.seek(self.offset + arg * 4096)
            self.f.write(_BLANK)
        return 0


class Rom:
    """The partition whose files are executed where they lie: mapped into this process, and written as NOR flash is."""

    def __init__(self, path, offset, size_b):
        import ffi
        import uctypes

        self.nor = Nor(path, offset, size_b)
        libc = ffi.open("libc.so.6")
        fd = libc.func("i", "open", "si")(path, 0)
        # PROT_READ, MAP_SHARED: what is programmed shows at once
        address = libc.func("p", "mmap", "PIiiil")(0, size_b, 1, 1, fd, offset)
        self.memory = memoryview(uctypes.bytearray_at(address, size_b))

    def ioctl(self, op, number=0, at=0, data=b""):
        """vfs.rom_ioctl of the ESP8266: 1 how many, 2 the memory, 3 erase `at` bytes, 4 program."""
        if op == 1:
            return 1
        if op == 2:
            return self.memory
        if op == 3:
            for block in range((at + 4095) // 4096):
                self.nor.ioctl(6, block)
            return 4
        if op == 4:
            view = memoryview(data)
            for i in range(0, len(view), 4096):
                self.nor.writeblocks(0, view[i : i + 4096], at + i)
            return 0
        return -22


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


def disguise(board, rom):
    """Give sys, os and vfs what they have on the board, and hide the mount of the frozen modules."""
    chip = board["chip"]
    real_sys, real_os = sys, os
    machine = board["machine"]
    numbers = tuple(board["version"]) or sys.implementation[1]
    version = ".".join(str(number) for number in numbers[:3])
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
        "micropython", numbers, machine, board["mpy"]
    )
    real_sys.modules["sys"] = Like(sys, platform=chip, implementation=implementation)
    real_sys.modules["vfs"] = Like(vfs, mount=mount, **({"rom_ioctl": rom.ioctl} if rom else {}))
    fake_os = Like(os, uname=lambda: names(*uname), ilistdir=ilistdir, listdir=listdir)
    real_sys.modules["os"] = real_sys.modules["uos"] = fake_os


def boot(board):
    """Mount the file system where it lies in the flash, set the paths, load the board's modules."""
    nor = Nor(board["flash"], board["offset"], board["size"])
    frozen = Frozen(board["frozen"])
    rom = Rom(board["flash"], *board["rom"]) if board["rom"][1] else None
    vfs.umount("/")
    try:
        vfs.mount(vfs.VfsLfs2(nor), "/")
    except OSError:
        vfs.VfsLfs2.mkfs(nor)  # as the firmware does on its first start
        vfs.mount(vfs.VfsLfs2(nor), "/")
        with open("/boot.py", "w") as file:
            file.write("# This file is executed on every boot (including wake-boot from deepsleep)\n")
    vfs.mount(frozen, "/.frozen")
    os.chdir("/")
    sys.path[:] = ["", ".frozen", "/.frozen"]
    if rom:
        try:
            vfs.mount(vfs.VfsRom(rom.memory), "/rom")
            sys.path += ["/rom", "/rom/lib"]
        except OSError:
            pass  # nothing is in it yet
    sys.path += ["/lib", "/"] if board["chip"] == "esp8266" else ["/lib"]
    del sys.argv[:]
    disguise(board, rom)
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


class Ballast:
    """Takes of the heap what a board has not: `free_b` bytes are left after its start, in one piece."""

    PAGE_B = 1024
    SMALL_B = 512  # a source that the board itself has room for: most of those of mpremote, and a collection takes long

    def __init__(self, free_b):
        gc.collect()
        # pages for sources, which on a board are compiled as they come and lie nowhere
        self.pages = [bytearray(self.PAGE_B) for _ in range(16)]
        boards = bytearray(free_b - 1024)
        self.rest = None  # a chain of tuples: a list would have to grow where nothing is left to grow
        for piece_b in (65536, 4096, 256):
            try:
                while gc.mem_free() > piece_b + 512:
                    self.rest = (self.rest, bytearray(piece_b))
            except MemoryError:
                pass  # what is left is in smaller pieces
        while gc.mem_free() > 512:
            for _ in range(gc.mem_free() // 64):  # half of it at a time: each look at what is free walks the heap
                self.rest = (self.rest, None)
        boards = None  # noqa: F841 - this is the board's
        gc.collect()

    def lend(self, size_b):
        """Room for a source of n bytes."""
        if size_b <= self.SMALL_B:
            return
        del self.pages[: size_b // self.PAGE_B + 1]
        gc.collect()

    def take_back(self):
        if len(self.pages) == 16:
            return
        gc.collect()
        try:
            while len(self.pages) < 16:
                self.pages.append(bytearray(self.PAGE_B))
        except MemoryError:
            pass


def text_of(error):
    """The traceback, without the frames of this file."""
    out = io.StringIO()
    sys.print_exception(error, out)
    lines = [line for line in out.getvalue().split("\n") if 'agent.py"' not in line]
    return "\r\n".join(lines).encode()


class Job:
    """One message of the board, from its receipt to the answer. A Ctrl-C may fall anywhere in between."""

    def __init__(self, kind, number, source):
        self.kind, self.number, self.source = kind, number, source
        self.started = self.ended = False
        self.error = None

    def run(self, names, compiled):
        """Run it, to whatever end; `compiled` is called when the source is no longer needed."""
        if self.started:  # a Ctrl-C that came twice ended it outside of the `try` below
            self.error, self.ended = KeyboardInterrupt(), True
            return
        self.started = True
        try:
            if self.kind == "F":
                name = self.source.decode()
                try:
                    with open(name) as file:
                        self.source = file.read()
                except OSError:
                    self.source = ""
            else:
                name = "<stdin>"
            code = compile(self.source, name, "single" if self.kind == "S" else "exec")
            self.source = None
            compiled()
            exec(code, names)
        except BaseException as error:
            self.error = error
        self.ended = True


class Agent:
    """The loop: receive, run, answer."""

    def __init__(self, control):
        self.control = control
        self.poller = select.poll()
        self.poller.register(control, select.POLLIN)
        self.job = None
        self.fake = self.rtc = self.reserve = self.ballast = None
        self.names = {"__name__": "__main__"}

    def receive(self):
        self.poller.poll()  # a Ctrl-C that comes too late ends this, and never the reading
        head = self.control.read(9)
        if len(head) < 9:
            sys.exit()
        kind, number, size_b = struct.unpack(_HEAD, head)
        if size_b and self.ballast:
            self.ballast.lend(size_b)
        return Job(chr(kind), number, self.control.read(size_b) if size_b else b"")

    def reply(self, kind, number, data=b""):
        self.control.write(struct.pack(_HEAD, ord(kind), number, len(data)) + data)

    def turn(self):
        """The next step of the job in hand. KeyboardInterrupt: call again; the board drops what it hears twice."""
        if not self.job:
            self.job = self.receive()
        job = self.job
        if not job.ended:
            if not job.started:
                micropython.kbd_intr(3)
                self.reply("B", job.number)
            job.run(self.names, self.ballast.take_back)
        self.reserve = None
        gc.collect()  # first of all: a Ctrl-C inside a collection leaves the heap locked, which the next one undoes
        self.reply("N", job.number)
        if self.fake and self.fake.rtc[0] != self.rtc:
            self.rtc = bytes(self.fake.rtc[0])
            self.reply("M", job.number, self.rtc)
        error = job.error
        if error is None:
            self.reply("D", job.number)
        elif isinstance(error, SystemExit):
            self.reply("X", job.number)
        elif self.fake and isinstance(error, self.fake.Reset):
            self.reply("R", job.number, struct.pack("<II", *error.args))
        else:
            self.reply("E", job.number, text_of(error))
        self.job = job = error = None
        try:
            self.reserve = bytearray(8192)
        except MemoryError:
            pass  # the program took its place: its next end will be told out of what is left


def main():
    agent = Agent(open(int(sys.argv[1]), "r+b"))  # noqa: SIM115
    board = json.loads(agent.receive().source)
    agent.fake = boot(board)
    agent.rtc = agent.fake and bytes(agent.fake.rtc[0])
    free_b = board["free_heap"] * (2 if sys.maxsize > 2**31 else 1)  # objects of 64 bits are twice as large
    board = None
    agent.reserve = bytearray(8192)  # given up while the end of a program is told, which must work on a full heap
    agent.ballast = Ballast(free_b)
    agent.reply("D", 0)
    while True:
        try:
            agent.turn()
        except KeyboardInterrupt:
            pass


main()
