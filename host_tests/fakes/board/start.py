"""Start the firmware in the folder ROOT as a board would:

    MICROPYPATH=FAKES micropython -X heapsize=38k -m start ROOT [IMAGE]
    python3 FAKES/start.py ROOT

FAKES is this folder, or one with its files as .mpy: they take less of the heap. ROOT becomes `/`, so /lib is the
board's. IMAGE: a ROMFS image that becomes /rom, executed in place, with the fakes in its folder `fakes`.
ROOT/board.json may say what the board is like: see fake_board. Exit status: 0 the program ended, 3 the board reset;
ROOT/sleep_ms is how long it sleeps.
"""

import sys

root = sys.argv[1]
image = sys.argv[2] if len(sys.argv) > 2 else ""
fakes = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
del sys.argv[1:]
if sys.implementation.name == "micropython":
    import os

    import vfs

    if image:
        import flash

        fakes = flash.rom(image)
        del flash, sys.modules["flash"]
    else:
        fakes = vfs.VfsPosix(fakes if fakes[0] == "/" else os.getcwd() + "/" + fakes)
    vfs.umount("/")
    vfs.mount(vfs.VfsPosix(root), "/")
    vfs.mount(fakes, "/rom" if image else "/.fakes")
    os.chdir("/")
    sys.path[:] = ["/rom/fakes" if image else "/.fakes", "", ".frozen", "/lib"]
    if image:
        sys.path += ["/rom", "/rom/lib"]  # as a port with ROMFS has them
else:
    __import__("on_cpython").set_up(root)  # apart: a name here is one on the heap of `make run`

import json  # noqa: E402

import fake_board  # noqa: E402

try:
    with open("board.json") as f:
        fake_board.use(json.load(f))
except OSError:
    pass  # any network, no sensors

ballast = None  # what of the heap a board with free_heap has not
if fake_board.script.get("free_heap"):
    import gc

    import flash
    import micropython

    own = ["machine", "machine_adc", "machine_rtc", "machine_wdt", "network", "dht", "ds18x20", "onewire", "ntptime"]
    if fake_board.script.get("port") != "esp8266":
        own.append("esp32")
    chips = ["chip_" + name.partition(" 0x")[0] for name in fake_board.script.get("values", {}) if " 0x" in name]
    if chips:
        own += chips + ["machine_softi2c"]
    for name in own:
        __import__(name)  # the port's own: a board's heap does not hold them
    if fake_board.script.get("short_sleeps"):
        sys.modules["time"] = flash.ShortSleeps()
    flash.make_room_for_names()
    if fake_board.script.get("tell_names"):
        micropython.qstr_info(1)
    del flash, sys.modules["flash"]
    gc.collect()
    rtc = bytearray(fake_board.RTC_B)  # its memory is no heap on a board; here the firmware puts it there
    boards = bytearray(fake_board.script["free_heap"] - 512)
    for piece_b in (65536, 4096, 256, 0):
        try:
            while gc.mem_free() > piece_b + 512:
                ballast = (ballast, bytearray(piece_b) if piece_b else None)
        except MemoryError:
            pass  # what is left is in smaller pieces
    del boards, rtc, piece_b, name, own, chips
    gc.collect()

if isinstance(fake_board.script.get("tell_names"), str):
    __import__(fake_board.script["tell_names"])  # no name of its own: `make run` counts what a program has, too
try:
    for name in ("boot.py", "main.py"):
        with open(name) as f:
            code = compile(f.read(), name, "exec")  # a board compiles it as it comes, and holds no text
        exec(code, {"__name__": "__main__"})
    reset = None
except fake_board.Reset as e:
    reset = e
if fake_board.script.get("tell_names"):
    import micropython

    micropython.qstr_info(1)
if reset:
    with open("sleep_ms", "w") as f:
        f.write(str(reset.args[1]))
    sys.exit(3)
