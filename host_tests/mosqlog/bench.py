"""What reading a long log costs, as ratios within one run: `make bench-mosqlog`, SIZE=1000000000 for 1 GB.

The log is that of make_log.py. The measure is the CPU time of `awk '{print $3}'` over the same file; each command runs
three times in turn, and the least counts, for a busy machine only adds. With CHECK the limits must hold."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .make_log import lines

ROOT = Path(__file__).resolve().parents[2]
RUNS = 3
AT_MOST = 8  # times awk, of a log so long that the start does not count
PEAK_KB = 40_000
PROGRAM = [sys.executable, "-m", "tools.mosqlog"]


def cost(command: list[str]) -> tuple[float, float, int]:
    """-> CPU seconds, wall seconds, peak memory in kB of a command and its children; its output goes nowhere."""
    began = time.monotonic()
    with open(os.devnull, "wb") as nowhere:
        child = subprocess.Popen(command, cwd=ROOT, stdout=nowhere)
        _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{command} ended with {child.returncode}")
    return used.ru_utime + used.ru_stime, time.monotonic() - began, used.ru_maxrss


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=100_000_000, help="bytes of the log (100 MB)")
    parser.add_argument("--check", action="store_true", help="end with 1 when a limit does not hold")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mosqlog-bench-") as folder:
        log, few = Path(folder) / "big.log", Path(folder) / "few.log"
        with log.open("w") as file:
            file.writelines(lines(args.size))
        with few.open("w") as file:
            file.writelines(lines(10_000))
        commands = {
            "awk '{print $3}'": ["awk", "{print $3}", str(log)],
            "mosqlog (start only)": [*PROGRAM, str(few)],
            "mosqlog": [*PROGRAM, str(log)],
            "mosqlog --jobs 2": [*PROGRAM, "--jobs", "2", str(log)],
        }
        least: dict[str, tuple[float, float, int]] = {}
        for _ in range(RUNS):
            for name, command in commands.items():
                now = cost(command)
                was = least.get(name, now)
                least[name] = min(was[0], now[0]), min(was[1], now[1]), max(was[2], now[2])
    awk_s, start_s = least["awk '{print $3}'"][0], least["mosqlog (start only)"][0]
    print(f"log of {args.size / 1e6:.0f} MB, {os.cpu_count()} processors, CPython {sys.version.split()[0]}")
    for name, (cpu_s, wall_s, peak_kb) in least.items():
        print(
            f"{name:22} {cpu_s:7.2f} s CPU {wall_s:7.2f} s wall {peak_kb / 1000:6.1f} MB {cpu_s / awk_s:7.1f} times awk"
        )
    times = (least["mosqlog"][0] - start_s) / awk_s
    peak_kb = least["mosqlog"][2]
    print(
        f"without its start mosqlog takes {times:.1f} times the CPU of awk (aim: {AT_MOST}), peak "
        f"{peak_kb / 1000:.0f} MB (limit: {PEAK_KB / 1000:.0f})"
    )
    return int(args.check and (times > AT_MOST or peak_kb > PEAK_KB))


if __name__ == "__main__":
    sys.exit(main())
