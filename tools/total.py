"""Run make targets one after another and add up their tests: `python -m tools.total TARGET ...`

Each target says `N passed, N failed, N skipped` (or pytest's words for it) on its last such line. A target that ends
badly without a failed test, or says no figures, counts as one failure: nothing is passed over in silence.
Ends with 1 when anything failed.
"""

import re
import signal
import subprocess
import sys
import time
from collections import Counter

FIGURE = re.compile(r"(\d+) (passed|failed|skipped|errors?|xfailed|xpassed)\b")
ROLE = {"error": "failed", "errors": "failed", "xpassed": "failed", "xfailed": "skipped"}


def figures(line: str) -> Counter:
    found: Counter = Counter()
    for count, word in FIGURE.findall(line):
        found[ROLE.get(word, word)] += int(count)
    return found


def run(target: str) -> Counter:
    """The figures of one target, whose output is passed on as it comes."""
    print("== %s" % target, flush=True)
    began_s = time.monotonic()
    last: Counter = Counter()
    with subprocess.Popen(["make", target], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as made:
        assert made.stdout
        for line in made.stdout:
            print(line, end="", flush=True)
            last = figures(line) or last
    if not sum(last.values()):
        print("%s: no test ran" % target)
        last["failed"] += 1
    elif made.returncode and not last["failed"]:
        print("%s: ended with status %d" % (target, made.returncode))
        last["failed"] += 1
    print("-- %s: %.1f s" % (target, time.monotonic() - began_s), flush=True)
    return last


def main(targets: list[str]) -> int:
    sums: Counter = Counter()
    red = []
    for target in targets:
        got = run(target)
        sums.update(got)
        if got["failed"]:
            red.append(target)
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
