"""micropython-lib's own examples and test of umqtt run unchanged with ours, and with its own: PEERS=folder has them.

Nothing of them is kept here. What each must print, publish and be sent is told below. Skipped without PEERS; what the
programs do is covered by host_tests/dropin on its own.
"""

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import List, NamedTuple, Tuple

import pytest
from broker import real

from tools.build import build_library

PEERS = os.environ.get("PEERS", "")
WAIT_S = 120
BOARD = Path(__file__).parent / "as_on_a_board"


class Example(NamedTuple):
    """path: below micropython/ in micropython-lib. lines: to be printed, in this order, others may stand between. sent:
    what others publish, each once that many lines were printed. published: what must reach others. ends: by itself.
    """

    path: str
    lines: List[str]
    sent: List[Tuple[int, str, str]] = []
    published: List[Tuple[str, str]] = []
    ends: bool = False


LED_LINES = ["Connected to 192.168.1.35, subscribed to b'led' topic", "(b'led', b'on')", "pin 2 is 0",
             "(b'led', b'toggle')", "pin 2 is 1"]  # fmt: skip
EXAMPLES = [
    Example("umqtt.simple/test_umqtt_simple.py", [], ends=True),
    Example("umqtt.simple/example_pub.py", [], published=[("foo_topic", "hello")], ends=True),
    Example(
        "umqtt.simple/example_pub_button.py",
        ["Connected to 192.168.1.35, waiting for button presses", "Button pressed"],
        published=[("led", "toggle")],
    ),
    Example("umqtt.simple/example_sub.py", ["(b'foo_topic', b'hello')"], sent=[(0, "foo_topic", "hello")]),
    Example("umqtt.simple/example_sub_led.py", LED_LINES, sent=[(1, "led", "on"), (3, "led", "toggle")]),
    Example(
        "umqtt.robust/example_sub_robust.py",
        ["New session being set up", "(b'foo_topic', b'x')"],
        sent=[(1, "foo_topic", "x")],
    ),
    # its second message is lost with micropython-lib's; with ours it arrives, and is the one that is waited for last
    Example(
        "umqtt.robust/example_resubscribe_robust.py",
        ["Subscribing to b'test/topic/a'", "b'test/topic/a' b'message 1'"],
        published=[("test/topic/a", "message 1"), ("test/topic/a", "message 3")],
        ends=True,
    ),
    Example(
        "umqtt.robust/example_lwt_robust.py",
        [],
        published=[("tele/test/LWT", "Online"), ("tele/test/LWT", "Offline")],
    ),
    # its arguments are those of another version of umqtt
    Example("umqtt.robust/example_check_msg_robust.py", ["TypeError: unexpected keyword argument 'host'"], ends=True),
]


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    """{whose: the folder that holds its umqtt}."""
    if not PEERS:
        pytest.skip("PEERS=folder names no checkout of micropython-lib")
    ours = tmp_path_factory.mktemp("ours")
    build_library(ours)
    theirs = tmp_path_factory.mktemp("theirs")
    (theirs / "umqtt").mkdir()
    for name in ("simple", "robust"):
        shutil.copy(Path(PEERS, "micropython", "umqtt." + name, "umqtt", name + ".py"), theirs / "umqtt")
    return {"ours": ours / "mpy", "theirs": theirs}


class Program:
    """An example that runs, in a folder of its own: beside it stands no umqtt."""

    def __init__(self, source: Path, library: Path, folder: Path, port: int):
        shutil.copy(source, folder)
        path = ":".join([str(folder), str(BOARD), str(library), ".frozen"])
        self.lines: List[str] = []
        self.process = subprocess.Popen(
            [real.micropython_path(), source.name],
            cwd=folder,
            env={**os.environ, "MICROPYPATH": path, "MQTT_PORT": str(port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        for line in self.process.stdout:  # type: ignore[union-attr]
            self.lines.append(line.rstrip("\n"))

    def has_printed(self, wanted: List[str]) -> bool:
        at = 0
        for line in list(self.lines):
            at += at < len(wanted) and line == wanted[at]
        return at == len(wanted)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.thread.join(WAIT_S)


def until(what, program: Program) -> None:
    end = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end, "printed: %s" % program.lines
        time.sleep(0.02)


@pytest.mark.parametrize("whose", ["ours", "theirs"])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.path.split("/")[1])
def test_an_example_prints_and_publishes_what_it_must(libraries, make_broker, tmp_path, example, whose):
    if not real.micropython_path():
        pytest.skip("no MicroPython")
    broker = make_broker()
    seen: List[Tuple[str, str]] = []
    observer = real.Observer(broker.port)
    program = Program(Path(PEERS, "micropython", example.path), libraries[whose], tmp_path, broker.port)
    try:
        if example.sent:  # the observer has subscribed already
            until(lambda: broker.log_path.read_text().count("Received SUBSCRIBE") == 2, program)
        for after, topic, payload in example.sent:
            until(lambda: program.has_printed(example.lines[:after]), program)
            observer.publish(topic, payload, 1)
        if example.ends:
            assert program.process.wait(WAIT_S) is not None
            program.thread.join(WAIT_S)
        until(lambda: program.has_printed(example.lines), program)
        wanted = [row for row in example.published if row[1] != "Offline"]

        def has_come() -> bool:
            seen.extend((message[0], message[1].decode()) for message in observer.rest())
            return all(row in seen for row in wanted)

        until(has_come, program)
        program.kill()
        wanted = example.published
        until(has_come, program)
        if not example.lines or "Error" not in example.lines[0]:
            assert "Traceback" not in "".join(program.lines), program.lines
    finally:
        program.kill()
        observer.close()
