"""A traceback of the shipped library, as a real MicroPython prints it, is told in the source's names."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "host_tests")]

from run_mpy import interpreter  # noqa: E402

from tools.build import build_library  # noqa: E402
from tools.device.logs import Lines, SourceNames  # noqa: E402
from tools.ship import read_map  # noqa: E402
from tools.ship.translate import Translator  # noqa: E402

WITHOUT_A_LINK = """
import sys
sys.path[:] = [%r]
from umqtt.client import MQTTClient
c = MQTTClient("c1", "127.0.0.1", port=1)
try:
    c.publish("t", "x")
except OSError as e:
    sys.print_exception(e)
"""
SMALL = {
    "folder": "firmware/lib/umqtt",
    "inlined": {"wire.part": "client.MQTTClient.f"},
    "attributes": {"_up": "__lt__", "_place": "__lt__"},
    "functions": {
        "client": [
            {"shipped": n, "module": "engine", "name": s, "first_line": 3, "last_line": 9, "is_class": False}
            for n, s in (("__add__", "Engine._a"), ("__add__", "Other._b"), ("f", "Engine.f"))
        ]
    },
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    build_library(folder)
    return folder


def test_a_traceback_names_file_lines_and_function_of_the_source(built):
    if not interpreter():
        pytest.skip("no MicroPython: run `make setup`")
    script = WITHOUT_A_LINK % str(built / "mpy")
    said = subprocess.run([interpreter(), "-c", script], stdout=subprocess.PIPE, check=True, text=True).stdout
    assert 'File "umqtt.client", line 1, in publish' in said, said
    translator = Translator(read_map(built))
    told = [translator.line(line) for line in said.splitlines()]
    assert told[0] == said.splitlines()[0] and "not connected" in told[-1]
    found = [line for line in told if "in MQTTClient.publish" in line]
    assert len(found) == 1, told
    path, first, last = found[0].split('"')[1], *(int(w.strip(",")) for w in found[0].split() if w.strip(",").isdigit())
    lines = (ROOT / path).read_text().splitlines()
    assert lines[first - 1].strip().startswith("def publish(") and last > first


def test_what_has_one_name_on_the_board_is_told_as_either():
    translator = Translator(SMALL)
    told = translator.line('  File "umqtt.client", line 1, in __add__')
    assert told == (
        '  File "firmware/lib/umqtt/engine.py", lines 3 to 9, in Engine._a or '
        '"firmware/lib/umqtt/engine.py", lines 3 to 9, in Other._b'
    )
    told = translator.line("AttributeError: 'MQTTClient' object has no attribute '__lt__'")
    assert told.endswith("no attribute '_place' or '_up'")


def test_frozen_modules_and_a_module_s_top_level_are_told_too():
    translator = Translator(SMALL)
    assert "Engine.f" in translator.line('  File "umqtt/client.py", line 1, in f')
    assert translator.line('  File "umqtt.client", line 1, in <module>').endswith('client.py", in its top level')


def test_what_is_not_the_library_s_stays_as_it_is():
    translator = Translator(SMALL)
    for line in ('  File "app", line 1, in run', "broker: not connected", "", '  File "main.py", line 3, in <module>'):
        assert translator.line(line) == line


def test_the_tool_reads_a_file_and_refuses_one_that_is_not_there(built, tmp_path):
    tool = [sys.executable, "-m", "tools.ship", "--traceback"]
    # with the firmware, which always connects again, the client is a part of reconnect
    for module, extra in (("reconnect", []), ("client", ["--names", str(built / "names.json")])):
        (tmp_path / "log").write_text('  File "umqtt.%s", line 1, in publish\n' % module)
        command = [*tool, str(tmp_path / "log"), *extra]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        assert "in MQTTClient.publish" in done.stdout, done.stdout
    done = subprocess.run([*tool, str(tmp_path / "none")], cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("ship: "), done.stderr


def test_make_logs_tells_a_traceback_and_leaves_the_rest(capsys):
    lines = Lines(SourceNames().line)
    lines.feed(b'broker: not connected\r\n  File "umqtt.reconnect", line 1, in pub')
    lines.feed(b"lish\r\n")
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "broker: not connected"
    assert "in MQTTClient.publish" in out[1]
