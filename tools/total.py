"""Run make targets, some side by side, and add up their tests: `python -m tools.total [--jobs 2] TARGET ...`

Each target says `N passed, N failed, N skipped` (or pytest's words for it) on its last such line. A target that ends
badly without a failed test, or says no figures, counts as one failure: nothing is passed over in silence. They begin in
the order given; with one job the output of each is passed on as it comes, with more as a whole when it has ended.
Each has a folder of its own for temporary files, which goes with it: what it left there is told.
Behind each stands the time that it took, and the processors' time for it and all that it started and waited for: on a
busy machine the first says little.
Ends with 1 when anything failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

FIGURE = re.compile(r"(\d+) (passed|failed|skipped|errors?|xfailed|xpassed)\b")
ROLE = {"error": "failed", "errors": "failed", "xpassed": "failed", "xfailed": "skipped"}


def figures(line: str) -> Counter:
    found: Counter = Counter()
    for count, word in FIGURE.findall(line):
        found[ROLE.get(word, word)] += int(count)
    return found


def run(target: str, at_once: bool) -> tuple[Counter, float]:
    """The figures of one target, and its CPU seconds; its output is passed on, `at_once` or when it has ended."""
    print("== %s" % target + ("" if at_once else " has begun"), flush=True)
    began_s = time.monotonic()
    last: Counter = Counter()
    said = []
    scratch = tempfile.mkdtemp(prefix="umqtt-%s-" % target)
    os.chmod(scratch, 0o755)  # a Mosquitto that root starts reads its files as another user
    env = dict(os.environ, TMPDIR=scratch)
    try:
        with subprocess.Popen(
            ["make", target], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as made:
            assert made.stdout
            for line in made.stdout:
                if at_once:
                    print(line, end="", flush=True)
                else:
                    said.append(line)
                last = figures(line) or last
            _, status, used = os.wait4(made.pid, 0)
            made.returncode = os.waitstatus_to_exitcode(status)
        left = sorted(os.listdir(scratch))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if left:
        said.append("%s left temporary files: %s\n" % (target, " ".join(left)))
    if not sum(last.values()):
        said.append("%s: no test ran\n" % target)
        last["failed"] += 1
    elif made.returncode and not last["failed"]:
        said.append("%s: ended with status %d\n" % (target, made.returncode))
        last["failed"] += 1
    heading = "" if at_once else "== %s\n" % target
    cpu_s = used.ru_utime + used.ru_stime
    took_s = time.monotonic() - began_s
    print("%s%s-- %s: %.1f s, %.0f s of CPU" % (heading, "".join(said), target, took_s, cpu_s), flush=True)
    return last, cpu_s


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1, help="how many targets run at one time")
    parser.add_argument("targets", nargs="+")
    opts = parser.parse_args(arguments)
    with ThreadPoolExecutor(opts.jobs) as pool:
        got = dict(zip(opts.targets, pool.map(lambda target: run(target, opts.jobs == 1), opts.targets)))
    sums: Counter = sum((last for last, _ in got.values()), Counter())
    red = [target for target in opts.targets if got[target][0]["failed"]]
    print("%d layers, %.0f s of CPU" % (len(got), sum(cpu_s for _, cpu_s in got.values())))
    if red:
        print("Failed: " + " ".join(red))
    print("%d passed, %d failed, %d skipped" % (sums["passed"], sums["failed"], sums["skipped"]))
    return 1 if sums["failed"] else 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
