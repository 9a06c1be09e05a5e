"""Updates over the air of a real running node: the compiled firmware on the 32-bit MicroPython, a real Mosquitto, and
`make ota` as a process of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from broker import real

from tools.build import build

FAKES = real.HOST_TESTS / "fakes" / "board"
KEY = "0123456789abcdef" * 4
SENSORS = [{"type": "dht22", "name": "room", "pin": 4}]
VALUES = {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}
RESET = 3
WAIT_S = 60

pytestmark = pytest.mark.skipif(not real.micropython_path(), reason="no MicroPython: run `make setup`")


@pytest.fixture(scope="module")
def firmwares(tmp_path_factory):
    """Folders with compiled firmware: "cable"; "new", of which most files differ; "bad", which raises as it starts."""
    folder = tmp_path_factory.mktemp("firmwares")
    build(folder / "cable")
    text = (real.ROOT / "firmware" / "app.py").read_text()
    for name, old, new in (
        ("new", '"umqtt-node: started by', '"umqtt-node: the new one, started by'),
        ("bad", "def run(", "raise RuntimeError('it is bad')\n\n\ndef run("),
    ):
        assert old in text
        source = folder / "source" / name
        shutil.copytree(real.ROOT / "firmware", source)
        (source / "app.py").write_text(text.replace(old, new))
        build(folder / name, source, optimize=2)
    return folder


class Board:
    """A board that starts again after each reset, as boards do, and can be switched off."""

    def __init__(self, folder, cable, config):
        self.root, self.log = folder / "root", folder / "log"
        shutil.copytree(cable, self.root)
        (self.root / "config.json").write_text(json.dumps(config))
        (self.root / "board.json").write_text(json.dumps(
            {"values": VALUES, "buttons": {"0": "stop"}, "state": "rtc.bin"}))  # fmt: skip
        self.command = [real.micropython_path(), "-X", "heapsize=110k", "-m", "start", str(self.root)]
        self.env = dict(os.environ, MICROPYPATH=str(FAKES), PYTHONDONTWRITEBYTECODE="1")
        self.process = None
        self.starts = 0
        self.over = False
        self.on()
        self.watcher = threading.Thread(target=self._watch)
        self.watcher.start()

    def on(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env
            )
        self.starts += 1

    def off(self):
        """The power fails."""
        process, self.process = self.process, None
        process.kill()
        process.wait()

    def _watch(self):
        while not self.over:
            if self.process and self.process.poll() == RESET:
                time.sleep(int((self.root / "sleep_ms").read_text()) / 1000)
                self.on()
            time.sleep(0.02)

    def said(self):
        return self.log.read_text(errors="replace")

    def wait(self, what, times=1):
        end = time.monotonic() + WAIT_S
        while self.said().count(what) < times:
            ended = not self.process or self.process.poll() not in (None, RESET)
            assert time.monotonic() < end and not ended, "it does not say %r:\n%s" % (what, self.said())
            time.sleep(0.02)

    def stop(self):
        (self.root / "stop").touch()
        self.process.wait(real.WAIT_S)
        self.close()

    def close(self):
        self.over = True
        self.watcher.join()
        if self.process:
            self.process.kill()
            self.process.wait()


class Host:
    """`make ota`."""

    def __init__(self, folder, port, update, *args):
        config = folder / "board.json"
        config.write_text(json.dumps({"broker": "127.0.0.1", "port": port, "client_id": "n1", "ota_key": KEY}))
        env = {k: v for k, v in os.environ.items() if not k.startswith("UMQTT_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.device.ota", "--config", str(config), "--folder", str(update), *args],
            cwd=real.ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.lines = []

    def until(self, pattern):
        """Read its lines up to one that matches."""
        for line in self.process.stdout:
            self.lines.append(line)
            if re.search(pattern, line):
                return
        raise AssertionError("no %r in\n%s" % (pattern, "".join(self.lines)))

    def end(self):
        """(exit status, all that it said)."""
        self.lines.append(self.process.stdout.read())
        return self.process.wait(WAIT_S), "".join(self.lines)


@pytest.fixture
def make_board(firmwares, tmp_path):
    boards = []

    def make(port, **keys):
        config = {"wifi_ssid": "lab", "broker": "127.0.0.1", "port": port, "client_id": "n1", "interval_s": 0.5}
        config.update({"sensors": SENSORS, "stop_pin": 0, "ntp_host": "", "commands": True, "ota_key": KEY})
        config.update(keys)
        boards.append(Board(tmp_path, firmwares / "cable", config))
        return boards[-1]

    yield make
    for board in boards:
        board.close()


def seqs(messages):
    return [json.loads(m[1])["seq"] for m in messages if "/room/" in m[0]]


def test_a_node_is_updated_over_a_cut_and_an_end_of_the_host_and_goes_back_from_a_bad_update(
    make_board, make_broker, make_observer, firmwares, tmp_path
):
    broker = make_broker(persistence=True)
    observer = make_observer(broker.port)
    board = make_board(broker.port, keep_in="flash", timeout_s=3)
    board.wait("took the first readings")

    host = Host(tmp_path, broker.port, firmwares / "new")
    host.until(r" [34]\d %")
    board.off()
    host.process.send_signal(signal.SIGINT)
    status, said = host.end()
    assert status == 130 and "again" in said, said
    board.on()
    status, said = Host(tmp_path, broker.port, firmwares / "new").end()
    assert status == 0, said + board.said()
    sent_b, all_b = [int(n) for n in re.search(r"(\d+) of (\d+) B were sent", said).groups()]
    assert sent_b < all_b * 3 / 4, said
    board.wait("umqtt-node: the new one, started by")

    status, said = Host(tmp_path, broker.port, firmwares / "bad").end()
    assert status == 1 and "it is bad" in said, said + board.said()
    board.wait("umqtt-node: the new one, started by", 2)
    board.wait("took the first readings", 3)
    board.stop()
    observer.rest()
    got = seqs(observer.seen)
    assert got == list(range(1, len(got) + 1)), got
    assert KEY not in board.said() and KEY not in broker.log_path.read_text(errors="replace")
    assert not [m for m in observer.seen if KEY.encode() in m[1]]
