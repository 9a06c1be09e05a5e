"""pytest: the paths, MicroPython's names on CPython, and every test that lives by the virtual clock across the wrap of
the ticks, where more goes wrong: MicroPython runs the same source from early on (run_mpy.py)."""

import gc
import signal
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

for folder in (ROOT, ROOT / "firmware" / "lib", HERE):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import fakes.shim  # noqa: E402, F401
import pytest  # noqa: E402
from fakes import bench, clock  # noqa: E402

compiled = {}  # path: (source, code)


def compile_once(self, data, path, **options):
    """A board forgets modules and loads them again, in some stories a thousand times: CPython need not compile each
    time."""
    source, code = compiled.get(path, (None, None))
    if source != data:
        code = real_compile(self, data, path, **options)
        compiled[path] = data, code
    return code


real_compile = SourceFileLoader.source_to_code
SourceFileLoader.source_to_code = compile_once


def pytest_collection_finish():
    """The collections that the product asks for pass over what was there before: pytest and all tests."""
    gc.collect()
    gc.freeze()


def pytest_generate_tests(metafunc):
    kinds = []
    if any(hasattr(metafunc.module, name) for name in clock.CLOCK_NAMES):
        kinds = ["wrap"]
    if metafunc.function.__name__ not in getattr(metafunc.module, "NOT_ON_ASYNCIO", [metafunc.function.__name__]):
        kinds.append("asyncio")
    if kinds:
        metafunc.parametrize("clock_start", kinds, indirect=True)


@pytest.fixture(autouse=True)  # one that is named by `pytest_generate_tests` alone pytest leaves out again
def clock_start(request):
    kind = getattr(request, "param", "early")
    clock.start_ms = clock.LATE_MS if kind == "wrap" else clock.EARLY_MS
    bench.on_asyncio = kind == "asyncio"
    yield
    clock.start_ms = clock.EARLY_MS
    bench.on_asyncio = False


# Started in the background, where a shell ignores Ctrl-C, or by nohup: the programs that tests end by a signal would
# inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
