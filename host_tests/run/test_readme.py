"""What the README says is so: its program runs, its targets and files exist."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tools import firmware_process
from tools.broker import Broker
from tools.demo.watch import Watcher

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "CONTRIBUTING.md")


def program(text):
    return re.search(r"```python\n(.*?)```", text, re.S).group(1)


@pytest.mark.parametrize("page", PAGES)
def test_every_target_that_is_named_exists(page):
    named = set(re.findall(r"`?make ([a-z][a-z-]*)", (ROOT / page).read_text()))
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))
    assert named and named <= targets


def test_make_help_lists_every_target_in_its_group():
    if not shutil.which("make"):
        pytest.skip("there is no make here")
    done = subprocess.run(["make", "help"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    parts = dict(re.findall(r"^(\w[^\n]*)\n((?:  make .*\n)+)", done.stdout, re.M))
    assert list(parts) == ["Try it", "Your board", "The broker's log", "Develop"], done.stdout
    told = re.findall(r"^  make (\S+)", done.stdout, re.M)
    targets = re.findall(r"^([a-z][a-z-]*):.*## ", (ROOT / "Makefile").read_text(), re.M)
    assert sorted(told) == sorted(targets) and "[" not in done.stdout.replace("[chip]", "")
    for group, target in (("Try it", "run"), ("Your board", "deploy"), ("Develop", "test")):
        assert " make %s " % target in parts[group], group


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_linked_exists(page):
    linked = re.findall(r"\]\((?!http)([^)#]+)", (ROOT / page).read_text())
    assert linked and [name for name in linked if not (ROOT / name).exists()] == []


def test_the_program_publishes_receives_and_leaves_its_will(tmp_path):
    micropython = firmware_process.micropython()
    if not micropython:
        pytest.skip("no MicroPython here")
    text = program((ROOT / "README.md").read_text())
    assert '"192.168.1.10"' in text
    got = []
    with Broker(tmp_path) as broker, Watcher(broker.port) as watcher:
        watcher.client.on_message = lambda _c, _d, m: got.append((m.topic, m.payload, m.qos))
        source = tmp_path / "program.py"
        lib = ROOT / "firmware" / "lib"
        here = text.replace('"192.168.1.10"', '"127.0.0.1", %d' % broker.port)
        source.write_text("import sys\nsys.path.insert(0, %r)\n%s" % (str(lib), here))
        with subprocess.Popen([micropython, str(source)], stdout=subprocess.PIPE, text=True) as started:
            try:
                wait_for(got, ("kitchen/temperature", b"21.5", 2))
                watcher.client.publish("kitchen/light/set", "on", qos=1)
                assert started.stdout.readline() == "b'kitchen/light/set' b'on'\n"
            finally:
                started.kill()
        wait_for(got, ("kitchen/status", b"offline", 0))


def wait_for(got, message, timeout_s=180):
    deadline_s = time.monotonic() + timeout_s
    while message not in got:
        assert time.monotonic() < deadline_s, got
        time.sleep(0.02)
