"""Does a test notice that a file of the firmware has another text? The child of tools.prove.mutants.

python -m tools.prove.noticed calls TEST_FILE     what each test calls, as JSON
python -m tools.prove.noticed serve               a question a line, an answer a line, both JSON: see `answer`

The server compiles every file once and forks for each question, so that a change costs the tests that are run for it
and little else.
"""

from __future__ import annotations

import gc
import importlib
import importlib.machinery
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
import types
from pathlib import Path
from typing import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = str(ROOT / "firmware") + os.sep
EARLY, WRAP, ASYNCIO = "early", "wrap", "asyncio"
LAYERS = ("unit", "story", "dropin", "firmware")
COMPILED = ("firmware", "host_tests/fakes", *("host_tests/" + layer for layer in LAYERS))
TIMES_SLOWER = 10  # than it was when it was measured, in CPU seconds: the test never ends
LEAST_CPU_S = 2.0
MOST_B = 2 << 30  # of memory: a change may make a loop that collects
TIMEOUT_S = 300  # a child that waits for ever, on however busy a machine
NO_END = -1  # in place of a test's number


def set_up() -> None:
    """The paths, and MicroPython's names, as for a test file that runs alone."""
    sys.path[:0] = [str(ROOT / "host_tests"), str(ROOT / "firmware" / "lib"), str(ROOT)]
    importlib.import_module("fakes.shim")


def compile_once() -> dict[str, types.CodeType]:
    """{path: code} of every file that a test may import; who imports one from now on gets this, in a child as well."""
    codes = {}
    for path in (p for folder in COMPILED for p in sorted((ROOT / folder).rglob("*.py"))):
        codes[str(path)] = compile(path.read_text(), str(path), "exec", dont_inherit=True)
    real = importlib.machinery.SourceFileLoader.get_code

    def get_code(loader, name):  # noqa: ANN001, ANN202 - as importlib has it
        return codes.get(os.path.abspath(loader.path)) or real(loader, name)

    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore
    return codes


def tests_of(path: str) -> Iterator[tuple[str, str, Callable[[], None]]]:
    """(name, start, function) of the tests in a file: plain functions, all from early on first."""
    from fakes.clock import CLOCK_NAMES

    folder, name = os.path.split(path)
    sys.path.insert(0, folder)
    module = importlib.import_module(name[:-3])
    starts = [EARLY]
    if any(hasattr(module, name_of_clock) for name_of_clock in CLOCK_NAMES):
        starts.append(WRAP)
    if hasattr(module, "NOT_ON_ASYNCIO"):
        starts.append(ASYNCIO)
    for start in starts:
        for test in sorted(name_of_clock for name_of_clock in dir(module) if name_of_clock.startswith("test_")):
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
    except BaseException as ended:
        if type(ended).__name__ != "Skipped":  # pytest's own skip, no Exception: it ended the round for a whole file
            raise
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
        sys.setprofile(note)
        threading.setprofile(note)
        try:
            is_green = run_one(start, test)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore
        began_s = time.process_time()
        if is_green and run_one(start, test):
            took_s = round(time.process_time() - began_s, 4)
            found.append({"test": name, "start": start, "s": took_s, "calls": sorted(called)})
    return found


def ready(wanted: list) -> Iterator[tuple[float, str, Callable[[], None]]]:
    """(seconds, start, function) of each of these [file, test, start, seconds], its file imported when its turn has
    come."""
    files: dict[str, dict] = {}
    for path, name, start, cpu_s in wanted:
        if path not in files:
            files[path] = {(test, when): function for test, when, function in tests_of(path)}
        yield cpu_s, start, files[path][name, start]


def first_red(wanted: list) -> int | None:
    """The index of the first of these tests that fails, or whose file cannot be imported. One that does not end ends
    the process."""
    done = 0
    signal.setitimer(signal.ITIMER_PROF, TIMES_SLOWER * LEAST_CPU_S)
    try:
        for cpu_s, start, test in ready(wanted):
            signal.setitimer(signal.ITIMER_PROF, max(LEAST_CPU_S, TIMES_SLOWER * cpu_s))
            if not run_one(start, test):
                return done
            done += 1
    except (Exception, SystemExit):
        return done
    return None


def lines_run(file: str, wanted: list) -> list[list[int] | None]:
    """The lines of `file` that each of these tests runs: none for one that is red, None for one that traces by itself
    and may run any."""
    lines: set[int] = set()

    def on_line(frame, event, arg):  # noqa: ANN001, ANN202
        lines.add(frame.f_lineno)
        return on_line

    def on_call(frame, event, arg):  # noqa: ANN001, ANN202
        return on_line if frame.f_code.co_filename == file else None

    found: list[list[int] | None] = []
    for _, start, test in ready(wanted):
        lines.clear()
        sys.settrace(on_call)
        threading.settrace(on_call)
        is_green = run_one(start, test)
        is_ours = sys.gettrace() is on_call
        sys.settrace(None)
        threading.settrace(None)  # type: ignore
        found.append((sorted(lines) if is_ours else None) if is_green else [])
    return found


def answer(question: dict, codes: dict[str, types.CodeType]) -> object:
    """{"file", "text", "tests": [[file, test, start, seconds], ...]}: the index of the first red one, or None.
    {"file", "lines": True, "tests"}: the lines of the file that each runs."""
    if question.get("lines"):
        return lines_run(question["file"], question["tests"])
    codes[question["file"]] = compile(question["text"], question["file"], "exec", dont_inherit=True)
    return first_red(question["tests"])


def in_a_child(work: Callable[[], object]) -> object:
    """What `work` returns in a fork, in a folder of its own; NO_END when it does not end."""
    folder = tempfile.mkdtemp(prefix="mutant-")
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        os.chdir(folder)  # some tests write files where they are
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        resource.setrlimit(resource.RLIMIT_AS, (MOST_B, MOST_B))
        got = json.dumps(work()).encode()
        with os.fdopen(writing, "wb") as out:
            out.write(got)
        os._exit(0)  # whatever thread or lock the change has left
    os.close(writing)
    said, end_s = b"", time.monotonic() + TIMEOUT_S
    with os.fdopen(reading, "rb", 0) as pipe:
        while select.select([pipe], [], [], max(0.0, end_s - time.monotonic()))[0]:
            more = pipe.read(1 << 16)
            if not more:
                break
            said += more
        else:
            os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    shutil.rmtree(folder, ignore_errors=True)
    return json.loads(said) if said else NO_END


def imported_by_tests() -> list[str]:
    """The names of the modules, other than ours, that all tests together import."""
    for layer in LAYERS:
        for path in sorted((ROOT / "host_tests" / layer).glob("test_*.py")):
            try:
                list(tests_of(str(path)))
            except (Exception, SystemExit):
                pass  # it wants pytest
    ours = str(ROOT) + os.sep
    return [
        name
        for name, module in list(sys.modules.items())
        if not str(getattr(module, "__file__", None) or ours).startswith(ours) or "site-packages" in str(module)
    ]


def serve(out) -> None:  # noqa: ANN001 - a text file
    codes = compile_once()
    names = in_a_child(imported_by_tests)
    for name in names if isinstance(names, list) else []:
        try:
            importlib.import_module(name)
        except Exception:
            pass  # a part of a module, or one that is imported only beside ours
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(in_a_child(lambda: answer(question, codes))), file=out, flush=True)  # noqa: B023


def main(what: str, *more: str) -> int:
    set_up()
    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115 - as long as the process
    if what == "calls":
        path = os.path.abspath(more[0])
        with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
            os.chdir(folder)
            print(json.dumps(calls(path)), file=out)
            os.chdir(ROOT)
        return 0
    serve(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
