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

from tools.build import build, compile_one

FAKES = real.HOST_TESTS / "fakes" / "board"
SSL = real.ROOT / "tools" / "virtual_board" / "frozen" / "ssl.py"  # as an ESP32 has it
KEY = "0123456789abcdef" * 4
SENSORS = [{"type": "dht22", "name": "room", "pin": 4}]
VALUES = {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}
RESET = 3
LARGE_B = 40000
OLD, NEW = b"umqtt-node: started by", b"umqtt-node: renewed by"
WAIT_S = 60

pytestmark = pytest.mark.skipif(not real.micropython_path(), reason="no MicroPython: run `make setup`")


@pytest.fixture(scope="module")
def firmwares(tmp_path_factory):
    """Folders with compiled firmware: "cable"; "new", which says so as it starts, and has a large file more; "bad",
    which raises as it starts."""
    folder = tmp_path_factory.mktemp("firmwares")
    build(folder / "cable")
    for name in ("new", "bad"):
        shutil.copytree(folder / "cable", folder / name)
        (folder / name / "data.bin").write_bytes(os.urandom(LARGE_B))
    app = (folder / "cable" / "app.mpy").read_bytes()
    assert OLD in app and len(OLD) == len(NEW)
    (folder / "new" / "app.mpy").write_bytes(app.replace(OLD, NEW))
    source = folder / "app.py"
    source.write_text("def run(cfg, began_ms):\n    raise RuntimeError('it is bad')\n")
    compile_one(source, folder / "bad" / "app.mpy", "app")
    return folder


class Board:
    """A board that starts again after each reset, as boards do, and can be switched off."""

    def __init__(self, folder, cable, config, ca):
        folder.mkdir()
        self.root, self.log = folder / "root", folder / "log"
        shutil.copytree(cable, self.root)
        (self.root / "config.json").write_text(json.dumps(config))
        if ca:
            (self.root / "ca.der").write_bytes(ca)
            shutil.copy(SSL, self.root)
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

    def __init__(self, folder, port, update, *args, **config):
        path = folder / "board.json"
        path.write_text(json.dumps({"broker": "127.0.0.1", "port": port, **config}))
        env = {key: value for key, value in os.environ.items() if not key.startswith("UMQTT_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.device.ota", "--config", str(path), "--folder", str(update), *args],
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

    def make(port, ca=b"", **keys):
        config = {"wifi_ssid": "lab", "broker": "127.0.0.1", "port": port, "client_id": "n1", "interval_s": 0.5}
        config.update({"sensors": SENSORS, "stop_pin": 0, "ntp_host": "", "commands": True, "ota_key": KEY})
        config.update(keys)
        boards.append(Board(tmp_path / config["client_id"], firmwares / "cable", config, ca))
        return boards[-1]

    yield make
    for board in boards:
        board.close()


def seqs(messages, client_id="n1"):
    return [
        json.loads(message[1])["seq"] for message in messages if message[0].startswith("umqtt/%s/room/" % client_id)
    ]


def test_a_node_is_updated_over_a_cut_and_an_end_of_the_host_and_goes_back_from_a_bad_update(
    make_board, make_broker, make_observer, firmwares, tmp_path
):
    broker = make_broker(persistence=True)
    observer = make_observer(broker.port)
    board = make_board(broker.port, keep_in="flash", timeout_s=3)
    board.wait("took the first readings")

    own = {"client_id": "n1", "ota_key": KEY}
    host = Host(tmp_path, broker.port, firmwares / "new", **own)
    host.until(r" 30 %")
    board.off()
    host.process.send_signal(signal.SIGINT)
    status, said = host.end()
    assert status == 130 and "again" in said, said
    board.on()
    status, said = Host(tmp_path, broker.port, firmwares / "new", **own).end()
    assert status == 0, said + board.said()
    sent_b = int(re.search(r"(\d+) of \d+ B were sent", said)[1])
    assert sent_b < LARGE_B, "what was there before the cut was sent again"
    board.wait(NEW.decode())

    status, said = Host(tmp_path, broker.port, firmwares / "bad", **own).end()
    assert status == 1 and "it is bad" in said, said + board.said()
    board.wait(NEW.decode(), 2)
    board.wait("took the first readings", 3)
    board.stop()
    observer.rest()
    got = seqs(observer.seen)
    assert got == list(range(1, len(got) + 1)), got
    assert KEY not in board.said() and KEY not in broker.log_path.read_text(errors="replace")
    assert not [message for message in observer.seen if KEY.encode() in message[1]]


def test_all_boards_under_a_topic_are_updated_a_sleeper_too_and_lose_no_reading(
    make_board, make_broker, make_observer, firmwares, tmp_path
):
    broker = make_broker(persistence=True)
    observer = make_observer(broker.port)
    awake = make_board(broker.port, client_id="awake")
    sleeper = make_board(
        broker.port,
        client_id="sleeper",
        ota_key=KEY[::-1],
        keep_in="flash",
        deep_sleep=True,
        interval_s=2,
        awake_ms=9000,
    )
    awake.wait("took the first readings")
    sleeper.wait("wake 2:")
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"umqtt/awake": KEY, "umqtt/sleeper": KEY[::-1], "another/board": KEY}))
    args = ["--topic", "umqtt", "--keys", str(keys), "--parallel", "2"]
    status, said = Host(tmp_path, broker.port, firmwares / "new", *args).end()
    assert status == 0 and "2 of 2 boards" in said, said + sleeper.said() + awake.said()
    for board in (awake, sleeper):
        assert NEW.decode() in board.said()
    sleeper.wait("wake ", sleeper.said().count("wake ") + 1)
    sleeper.close()
    awake.stop()
    observer.rest()
    got = seqs(observer.seen, "sleeper")
    assert got == list(range(1, len(got) + 1)), got
    got = seqs(observer.seen, "awake")
    second = got.index(1, 1)
    assert got == [*range(1, second + 1), *range(1, len(got) - second + 1)], got


def test_a_board_is_updated_over_tls_by_a_broker_that_both_sides_have_checked(
    make_board, make_broker, make_observer, firmwares, tmp_path
):
    tls = pytest.importorskip("broker.test_real_tls", reason="no `cryptography`: run `make setup`")
    authority = tls.Authority("ours")
    cert, key = authority.issue("localhost")
    broker = make_broker(tls.CONFIG, files={"ca": authority.pem(), "cert": cert, "key": key})
    board = make_board(broker.port, broker="localhost", tls=True, tls_ca="ca.der", ca=authority.der(), timeout_s=3)
    board.wait("took the first readings")
    theirs = {"client_id": "n1", "ota_key": KEY, "broker": "localhost", "tls": True}
    (tmp_path / "ca.pem").write_bytes(authority.pem())
    (tmp_path / "stranger.pem").write_bytes(tls.Authority("another").pem())
    stranger = dict(theirs, tls_ca=str(tmp_path / "stranger.pem"))
    status, said = Host(tmp_path, broker.port, firmwares / "new", **stranger).end()
    assert status == 1 and "certificate" in said and "asked" not in said, said
    theirs["tls_ca"] = str(tmp_path / "ca.pem")
    status, said = Host(tmp_path, broker.port, firmwares / "new", **theirs).end()
    assert status == 0 and "kept: the broker was reached" in said, said + board.said()
    assert board.said().count(NEW.decode()) == 1
    board.stop()


def test_an_update_with_a_wrong_key_is_refused_in_words(make_board, make_broker, firmwares, tmp_path):
    broker = make_broker()
    board = make_board(broker.port)
    board.wait("took the first readings")
    status, said = Host(tmp_path, broker.port, firmwares / "new", client_id="n1", ota_key="x" * 40).end()
    assert status == 1 and "the signature is not that of this board's ota_key" in said, said
    assert not list((board.root / "ota").glob("[0-9]*"))


def test_a_host_whose_clock_was_once_far_ahead_does_not_lock_its_owner_out(
    make_board, make_broker, firmwares, tmp_path
):
    broker = make_broker()
    board = make_board(broker.port)
    (board.root / "ota").mkdir(exist_ok=True)
    (board.root / "ota" / "taken").write_text(json.dumps({"serial": int(time.time()) + 10**9, "digest": "0"}))
    board.wait("took the first readings")
    status, said = Host(tmp_path, broker.port, firmwares / "cable", client_id="n1", ota_key=KEY).end()
    assert status == 0 and "a clock that was 999" in said and "1 of 1 boards run the new firmware" in said, said


def test_a_boot_loop_ends_in_safe_mode_which_takes_an_update(
    make_board, make_broker, make_observer, firmwares, tmp_path
):
    broker = make_broker()
    observer = make_observer(broker.port)
    broken = [{"type": "dht22", "name": "room", "pin": 4}, {"type": "hangs", "name": "h"}]
    board = make_board(broker.port, sensors=broken, future=1)  # a key of the update that the loop went back from
    board.wait("config.json: ")
    board.off()
    (board.root / "ota").mkdir()
    (board.root / "ota" / "starts").write_text('{"starts": 6}')
    board.on()
    board.wait("safe mode")
    board.wait("broker: connected")
    config = json.loads((board.root / "config.json").read_text())
    del config["future"]
    (board.root / "config.json").write_text(json.dumps(dict(config, sensors=SENSORS)))
    status, said = Host(tmp_path, broker.port, firmwares / "new", client_id="n1", ota_key=KEY).end()
    assert status == 0, said + board.said()
    while not seqs(observer.seen):
        observer.next()
    assert NEW.decode() in board.said() and board.said().count("safe mode") == 1
