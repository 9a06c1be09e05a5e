"""At every heap size the firmware works, or says what it needs and tries again: python -m tools.prove.heaps [LIFE ...]

Each life runs from ROM on the real 32-bit MicroPython with --least to --most bytes of free heap, --step apart, to its
first readings or its first reset; no sleep is longer than a moment. A program that ends by itself, without a reset and
without the stop button, would leave a board at its prompt: that is a fault, and so is a board that neither publishes
nor speaks of memory. Below the smallest heap in which main.py itself can be compiled there is no program yet.

The last line: `N heaps, N of them work, N say what they need, N do not start, N faults`. Exit status: 1 with a fault.
"""

import argparse
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List, Tuple

from tools.broker import Broker
from tools.firmware_process import RESET_STATUS
from tools.measure.firmware_heap import LIVES, Life, Rom, live

LIMIT_S = 8  # for the first readings; then it is judged by what it says
WORKS, SAYS, NO_START, FAULT = "works", "says", "does not start", "FAULT"
KINDS = ("ram", "rtc", "flash", "asleep")


def verdict(life: Life) -> str:
    """What became of a life."""
    if life.ended not in (None, RESET_STATUS):
        is_begun = "umqtt-node" in life.said or "trying again" in life.said.lower()
        return FAULT if is_begun or life.ended == 0 else NO_START
    if life.published or "took the first readings" in life.said:
        return WORKS
    return SAYS if life.lacked else FAULT


def sweep(kinds: List[str], sizes: List[int]) -> List[Tuple[str, int, str, Life]]:
    """(life, heap, verdict, what it said) of each."""
    jobs = [(kind, heap_b) for kind in kinds for heap_b in sizes]
    with tempfile.TemporaryDirectory() as scratch:
        rom = Rom(Path(scratch))
        with Broker(Path(scratch)) as broker, ThreadPoolExecutor(4) as at_once:
            lives = at_once.map(lambda job: live(rom, LIVES[job[0]], broker.port, job[1], True, LIMIT_S), jobs)
            return [(kind, heap_b, verdict(life), life) for (kind, heap_b), life in zip(jobs, lives)]


def main() -> int:
    args = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    args.add_argument("kinds", nargs="*", metavar="LIFE", help="of: %s; without: %s" % ("; ".join(LIVES), KINDS))
    args.add_argument("--least", type=int, default=6000, metavar="B")
    args.add_argument("--most", type=int, default=40000, metavar="B")
    args.add_argument("--step", type=int, default=500, metavar="B")
    opts = args.parse_args()
    sizes = list(range(opts.least, opts.most + 1, opts.step))
    rows = sweep(opts.kinds or list(KINDS), sizes)
    for kind, heap_b, word, life in rows:
        print("%-8s %6d B  %s" % (kind, heap_b, word))
        if word == FAULT:
            print(life.said)
    count = Counter(word for _, _, word, _ in rows)
    print("%d heaps, %d of them work, %d say what they need, %d do not start, %d faults" % (
        len(rows), count[WORKS], count[SAYS], count[NO_START], count[FAULT]))  # fmt: skip
    return 1 if count[FAULT] else 0


if __name__ == "__main__":
    sys.exit(main())
