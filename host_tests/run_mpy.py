"""Run the unit and story tests on a real MicroPython, one interpreter process for each file.

    .venv/bin/python host_tests/run_mpy.py [FILE_OR_FOLDER ...] [-k NAME_PART] [--shipped]

--shipped: on the library as a board loads it (host_tests/shipped.py), else on its source. What lives by the virtual
clock starts early with the source, and shortly before the ticks wrap with the shipped form, as the source on CPython.
The interpreter: $MICROPYTHON, else .cache/micropython/micropython32, else `micropython` on PATH.
Exit status: 0 all passed, 1 a test failed, 2 there is no interpreter.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOTAL = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.M)
FILE_TIMEOUT_S = 300
CPYTHON_ONLY = re.compile(r'^CPYTHON_ONLY = "(.*)"$', re.M)  # the line of a test file that says why


def interpreter() -> str:
    """The MicroPython to use, "" when there is none."""
    chosen = os.environ.get("MICROPYTHON")
    if chosen:
        return shutil.which(chosen) or ""
    cached = HERE.parent / ".cache" / "micropython" / "micropython32"
    return str(cached) if cached.exists() else shutil.which("micropython") or ""


def run_file_py(path: Path) -> Path:
    """The program that runs a test file: that of the same checkout, for it takes the library of that."""
    folder = next(parent for parent in path.parents if parent.name == HERE.name)
    return folder / "fakes" / "run_file.py"


def run_file(micropython: str, path: Path, part: str, start: str) -> tuple:
    """(passed, failed, skipped) of one file; a process that dies without a total counts as one failure. start: "early",
    or "wrap"."""
    cmd = [micropython, "-X", "heapsize=16m", str(run_file_py(path)), str(path), part, start]
    try:
        got = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=FILE_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        print("FAIL %s: no end after %d s\n%s" % (path, FILE_TIMEOUT_S, (error.stdout or b"").decode(errors="replace")))
        return 0, 1, 0
    text = got.stdout.decode(errors="replace")
    total = TOTAL.search(text)
    shown = TOTAL.sub("", text).strip()
    if shown:
        print(shown)
    if not total:
        print("FAIL %s: the interpreter ended with %d before the total" % (path, got.returncode))
        return 0, 1, 0
    return tuple(int(number) for number in total.groups())


def as_shipped(files: list) -> list:
    """The same tests in the checkout with the shipped library, but for those that say why they cannot."""
    from shipped import SOURCE_FORM_ONLY, make

    folder = make()
    kept = without(files, SOURCE_FORM_ONLY, "not for the shipped form")
    return [folder / path.resolve().relative_to(HERE.parent) for path in kept]


def without(files: list, marked: "re.Pattern", words: str) -> list:
    """The files but those that have the mark, whose reason is told."""
    kept = []
    for path in files:
        reason = marked.search(path.read_text())
        if reason:
            print("%s: %s, %s" % (words, path.name, reason.group(1)))
        else:
            kept.append(path)
    return kept


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("paths", nargs="*", default=[str(HERE / "unit"), str(HERE / "story")], help="files or folders")
    args.add_argument("-k", default="", metavar="PART", help="only tests with this in their name")
    args.add_argument("--shipped", action="store_true", help="on the library as a board loads it")
    opts = args.parse_args()
    micropython = interpreter()
    if not micropython:
        print("No MicroPython: run `make setup`, or name one with MICROPYTHON=/path/to/micropython.", file=sys.stderr)
        return 2
    files = []
    for p in map(Path, opts.paths):
        if not p.exists():
            print("There is no %s." % p, file=sys.stderr)
            return 2
        files += sorted(p.glob("test_*.py")) if p.is_dir() else [p]
    files = without(files, CPYTHON_ONLY, "not for MicroPython")
    sums = [0, 0, 0]
    if opts.shipped:
        files = as_shipped(files)
    for path in files:
        for i, n in enumerate(run_file(micropython, path.resolve(), opts.k, "wrap" if opts.shipped else "early")):
            sums[i] += n
    print("MicroPython%s: %d files" % (", shipped" if opts.shipped else "", len(files)))
    print("%d passed, %d failed, %d skipped" % tuple(sums))
    return 1 if sums[1] or not sums[0] else 0


if __name__ == "__main__":
    sys.exit(main())
