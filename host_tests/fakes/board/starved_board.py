"""A board's heap of a given size: what the host's interpreter and the fakes take is beside it. Read only when the
script says `free_heap`: its names are some of those that a program has room for."""

import gc
import sys
import time

import fake_board
import micropython
from micropython import const

_POOL_B = const(2000)  # of 320 names and more; what else a name may take of the heap is less
_MOMENT_MS = const(20)
_RTC_B = const(512)


def make_room_for_names():
    """Names that the ROM has not go into pools of the heap, each twice as large as the one before. How much of a pool
    is free here is chance: begin a new one, which is free, so that a program's names cost nothing."""
    taken_b = gc.mem_alloc()
    made = 0
    while gc.mem_alloc() - taken_b < _POOL_B:
        taken_b = gc.mem_alloc()
        hasattr(sys, "name of nothing %d" % made)
        made += 1


class ShortSleeps:
    """The module time; no sleep in it is longer than a moment."""

    def __init__(self):
        self.sleep_ms = lambda ms: time.sleep_ms(min(ms, _MOMENT_MS))

    def __getattr__(self, name):
        return getattr(time, name)


def fill():
    """Fill the heap: leave the program `free_heap` bytes, in one piece, and room for its names. Returns what takes the
    rest, to be kept."""
    script = fake_board.script
    own = "machine machine_adc machine_rtc machine_wdt network network_more dht ds18x20 onewire ntptime"
    own = own.split()
    if script.get("port") != "esp8266":
        own.append("esp32")
    chips = ["chip_" + name.partition(" 0x")[0] for name in script.get("values", {}) if " 0x" in name]
    if chips:
        own += chips + ["machine_softi2c"]
    for name in own:
        __import__(name)  # the port's own: a board's heap does not hold them
    if script.get("short_sleeps"):
        sys.modules["time"] = ShortSleeps()
    make_room_for_names()
    if script.get("tell_names"):
        micropython.qstr_info(1)
    del own, chips, name
    gc.collect()
    rtc = bytearray(_RTC_B)  # its memory is no heap on a board; here the firmware puts it there
    boards = bytearray(script["free_heap"] - 512)
    ballast = None
    for piece_b in (65536, 4096, 256, 0):
        try:
            while gc.mem_free() > piece_b + 512:
                ballast = (ballast, bytearray(piece_b) if piece_b else None)
        except MemoryError:
            pass  # what is left is in smaller pieces
    del boards, rtc
    gc.collect()
    return ballast
