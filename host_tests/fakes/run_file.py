"""Run the test_* functions of one file, on MicroPython: `micropython run_file.py FILE [NAME_PART [early | wrap]]`.
Started by run_mpy.py. early, wrap: what lives by the clock runs once, from early on or across the wrap of its ticks,
not both ways.

The last line is `N passed, N failed, N skipped`.
"""

import gc
import sys

here = __file__.rsplit("/", 2)[0]
sys.path.insert(0, here)
sys.path.insert(0, here + "/../firmware/lib")

from fakes import bench, clock  # noqa: E402
from fakes.check import Skip  # noqa: E402

ON_ASYNCIO = "[asyncio]"
GARBAGE_B = 2 << 20  # a heap full of garbage is slow: MicroPython looks for each free block from its beginning


def run(path, part, only):
    folder, name = path.rsplit("/", 1)
    sys.path.insert(0, folder)
    module = __import__(name[:-3])
    counts = [0, 0, 0]
    starts = [("", clock.EARLY_MS)]
    if any(hasattr(module, name_of_clock) for name_of_clock in clock.CLOCK_NAMES):
        starts = [("[early]", clock.EARLY_MS), ("[wrap]", clock.LATE_MS)]
        starts = [start for start in starts if only in start[0]]
    if hasattr(module, "NOT_ON_ASYNCIO"):
        starts.append((ON_ASYNCIO, clock.EARLY_MS))
    for test in sorted(
        name_of_clock for name_of_clock in dir(module) if name_of_clock.startswith("test_") and part in name_of_clock
    ):
        for word, start in starts:
            clock.start_ms = start
            bench.on_asyncio = word == ON_ASYNCIO
            if bench.on_asyncio and test in module.NOT_ON_ASYNCIO:
                continue
            try:
                getattr(module, test)()
                counts[0] += 1
            except Skip as error:
                print("SKIP %s %s%s: %s" % (path, test, word, error))
                counts[2] += 1
            except Exception as error:
                print("FAIL %s %s%s" % (path, test, word))
                sys.print_exception(error)
                counts[1] += 1
    print("%d passed, %d failed, %d skipped" % tuple(counts))
    return counts[1]


if hasattr(gc, "threshold"):
    gc.threshold(GARBAGE_B)
_, file, *wanted = sys.argv
name_part, only = (wanted + ["", ""])[:2]
sys.exit(1 if run(file, name_part, only) else 0)
