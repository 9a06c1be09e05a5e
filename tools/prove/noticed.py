"""Does a test notice that a file of the firmware has another text? The child of tools.prove.mutants, a process each.

python -m tools.prove.noticed calls TEST_FILE            what each test calls, as JSON
python -m tools.prove.noticed run FILE TEXT TESTS        FILE has the content of the file TEXT; ends with 1, and the
                                                         test's name, at the first of the TESTS (JSON) that is red
"""

from __future__ import annotations

import importlib
import importlib.machinery
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = str(ROOT / "firmware") + os.sep
EARLY, WRAP, ASYNCIO = "early", "wrap", "asyncio"
CLOCK_NAMES = ("Clock", "World", "pair")


def set_up() -> None:
    """The paths, and MicroPython's names, as for a test file that runs alone."""
    os.chdir(tempfile.mkdtemp(prefix="mutant-"))  # some write files where they are
    sys.path[:0] = [str(ROOT / "host_tests"), str(ROOT / "firmware" / "lib"), str(ROOT)]
    importlib.import_module("fakes.shim")


def replace(file: str, text: str) -> None:
    """Whoever imports `file` from now on gets `text`."""
    real = importlib.machinery.SourceFileLoader.get_code

    def get_code(loader, name):  # noqa: ANN001, ANN202 - as importlib has it
        if os.path.abspath(loader.path) == file:
            return compile(text, file, "exec", dont_inherit=True)
        return real(loader, name)

    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore


def tests_of(path: str) -> Iterator[tuple[str, str, Callable[[], None]]]:
    """(name, start, function) of the tests in a file: plain functions, all from early on first."""
    folder, name = os.path.split(path)
    sys.path.insert(0, folder)
    module = importlib.import_module(name[:-3])
    starts = [EARLY]
    if any(hasattr(module, n) for n in CLOCK_NAMES):
        starts.append(WRAP)
    if hasattr(module, "NOT_ON_ASYNCIO"):
        starts.append(ASYNCIO)
    for start in starts:
        for test in sorted(n for n in dir(module) if n.startswith("test_")):
            if start != ASYNCIO or test not in module.NOT_ON_ASYNCIO:
                yield test, start, getattr(module, test)


def run_one(start: str, test: Callable[[], None]) -> bool:
    """Whether it is green. Returns False for a test that wants pytest, too."""
    from fakes import bench, clock
    from fakes.check import Skip

    clock.start_ms = clock.LATE_MS if start == WRAP else clock.EARLY_MS
    bench.on_asyncio = start == ASYNCIO
    try:
        test()
    except Skip:
        pass
    except (Exception, SystemExit):
        return False
    return True


def calls(path: str) -> list[dict]:
    """[{"test", "start", "s", "calls": ["file:function", ...]}] of the green tests of one file, those of the module's
    top for all of them."""
    found = []
    called: set[str] = set()

    def note(frame, event, arg):  # noqa: ANN001, ANN202
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(FIRMWARE):
            called.add("%s:%s" % (code.co_filename[len(FIRMWARE) :], code.co_name))

    for name, start, test in tests_of(path):
        called.clear()
        began_s = time.process_time()
        sys.setprofile(note)
        try:
            is_green = run_one(start, test)
        finally:
            sys.setprofile(None)
        if is_green:
            took_s = round(time.process_time() - began_s, 3)
            found.append({"test": name, "start": start, "s": took_s, "calls": sorted(called)})
    return found


def first_red(wanted: list[list[str]]) -> int | None:
    """The index of the first of these [file, test, start] that fails."""
    ready: dict[str, dict] = {}
    for i, (path, name, start) in enumerate(wanted):
        try:
            if path not in ready:
                ready[path] = {(test, when): function for test, when, function in tests_of(path)}
        except (Exception, SystemExit):
            return i  # it is not even imported
        if not run_one(start, ready[path][name, start]):
            return i
    return None


def main(what: str, path: str, *more: str) -> int:
    path = os.path.abspath(path)
    given = [os.path.abspath(each) for each in more[:2]]
    set_up()
    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115 - as long as the process
    if what == "calls":
        print(json.dumps(calls(path)), file=out)
        return 0
    resource.setrlimit(resource.RLIMIT_CPU, (int(more[2]), int(more[2]) + 5))
    replace(path, Path(given[0]).read_text())
    red = first_red(json.loads(Path(given[1]).read_text()))
    print("" if red is None else red, file=out)
    out.flush()
    os._exit(0 if red is None else 1)  # whatever thread or lock the change has left


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
