"""The firmware as a process of its own, compiled on the 32-bit MicroPython and as it is on CPython, against a real
Mosquitto; and the trap that stock firmware sets for it."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest
from broker import real

from tools.build import build
from tools.mosqlog.events import Connected, Will

FAKES = real.HOST_TESTS / "fakes" / "board"
SENSORS = [{"type": "dht22", "name": "room", "pin": 4}, {"type": "adc", "name": "battery", "pin": 34}]
VALUES = {"dht22 4": [[21.5, 40.2], None, [21.6, 40.1]], "adc 34": [1985]}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built") / "firmware"
    build(folder)
    return folder


@pytest.fixture(params=real.INTERPRETERS)
def board(request, built, tmp_path):
    """board(port, **config) starts the firmware; its process has `log` and `root`."""
    command = real.command_of(request.param)
    if not command:
        pytest.skip("no MicroPython: run `make setup`")
    root = tmp_path / "root"
    shutil.copytree(built if request.param == "micropython" else real.ROOT / "firmware", root)
    if request.param == "micropython":
        # nothing is executed in place here, so the heap holds the code as well
        command += ["-X", "heapsize=90k", "-m", "start"]
    else:
        command += [str(FAKES / "start.py")]
    env = dict(os.environ, MICROPYPATH=str(FAKES), PYTHONDONTWRITEBYTECODE="1")
    started = []

    def start(port, files=None, **config):
        for name, data in (files or {}).items():
            (root / name).write_bytes(data)
        (root / "stop").unlink(missing_ok=True)
        given = {"wifi_ssid": "lab", "broker": "127.0.0.1", "port": port, "client_id": "n1", "interval_s": 0.2}
        given.update({"sensors": SENSORS, "stop_pin": 0, "ntp_host": ""})
        given.update(config)
        (root / "config.json").write_text(json.dumps(given))
        (root / "board.json").write_text(json.dumps({"values": VALUES, "buttons": {"0": "stop"}}))
        log = open(tmp_path / "log", "wb")  # noqa: SIM115 - the process has it
        process = subprocess.Popen(command + [str(root)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        log.close()
        process.root = root
        process.log = tmp_path / "log"
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def stop(process):
    """Press the button; the figures that the firmware sums up."""
    (process.root / "stop").touch()
    assert process.wait(real.WAIT_S) == 0, process.log.read_text()
    found = re.search(r"^summary: (.*)$", process.log.read_text(), re.M)
    assert found, process.log.read_text()
    return {name: int(number) for name, number in (pair.split("=") for pair in found.group(1).split())}


def readings(messages):
    return [dict(json.loads(message[1]), topic=message[0]) for message in messages if message[0].count("/") == 3]


def seqs(messages):
    return [reading["seq"] for reading in readings(messages)]


def test_every_reading_arrives_once_and_the_stop_is_clean(board, make_broker, make_observer):
    broker = make_broker()
    observer = make_observer(broker.port)
    node = board(broker.port)
    while len(seqs(observer.seen)) < 12:
        observer.next()
    said = stop(node)
    observer.rest()
    assert said["taken"] == said["published"] == said["acknowledged"] and said["dropped"] == 0, said
    assert seqs(observer.seen) == list(range(1, said["published"] + 1))
    assert {message[2] for message in observer.seen if "/room/" in message[0]} == {2}
    assert ("umqtt/n1/status", b"offline") in [message[:2] for message in observer.seen]
    reading = readings(observer.seen)[0]
    assert reading["topic"] == "umqtt/n1/room/temperature" and (reading["value"], reading["unit"]) == (21.5, "°C")
    assert abs(reading["time"] - time.time()) < 60
    connected = [event for event in broker.events("n1") if isinstance(event, Connected)]
    assert [(event.clean, event.keepalive_s) for event in connected] == [
        (True, 60),
        (False, 60),
    ]  # the first wipes an earlier life
    assert [event for event in broker.events("n1") if isinstance(event, Will)]


def test_a_broker_that_restarts_costs_no_reading(board, make_broker, make_observer):
    broker = make_broker(persistence=True)
    observer = make_observer(broker.port)
    node = board(broker.port, queue=200)
    while len(seqs(observer.seen)) < 5:
        observer.next()
    observer.close()
    observer.messages.queue.clear()
    observer.seen.clear()
    broker.stop()
    broker.start()
    observer = make_observer(broker.port, client_id="second")
    first = seqs([observer.next() for _ in range(8)])
    assert first
    said = stop(node)
    observer.rest()
    got = seqs(observer.seen)
    assert got == list(range(got[0], said["published"] + 1)), got
    assert said["acknowledged"] == said["published"]


def test_tls_checks_the_broker_against_the_ca_in_the_configuration(board, make_broker, make_observer):
    tls = pytest.importorskip("broker.test_real_tls", reason="no `cryptography`: run `make setup`")
    authority, stranger = tls.Authority("ours"), tls.Authority("another")
    cert, key = authority.issue("localhost")
    broker = make_broker(tls.CONFIG, files={"ca": authority.pem(), "cert": cert, "key": key})
    node = board(broker.port, broker="localhost", tls=True, tls_ca="ca.der", files={"ca.der": authority.der()})
    if "-m" in node.args:
        pytest.skip("Debian's MicroPython has no TLS")
    broker.wait(lambda events: [event for event in events if isinstance(event, Will)], "n1")
    assert stop(node)["acknowledged"]
    node = board(broker.port, broker="localhost", tls=True, tls_ca="ca.der", files={"ca.der": stranger.der()})
    end = time.monotonic() + real.WAIT_S
    while "broker: TLS" not in node.log.read_text() and time.monotonic() < end:
        time.sleep(0.05)
    assert "TLS" in node.log.read_text(), node.log.read_text()
    assert stop(node)["published"] == 0


def test_a_killed_device_is_announced_as_offline(board, make_broker, make_observer):
    broker = make_broker()
    observer = make_observer(broker.port)
    node = board(broker.port)
    while not seqs(observer.seen):
        observer.next()
    node.kill()
    while observer.next()[:2] != ("umqtt/n1/status", b"offline"):
        pass


def test_wrong_credentials_are_said_once_without_them(board, make_broker):
    broker = make_broker(
        "allow_anonymous false\npassword_file $DIR/pw\n", files={"pw": real.password_line("me", "right")}
    )
    node = board(broker.port, user="me", password="wrong")
    end = time.monotonic() + real.WAIT_S
    while "broker: " not in node.log.read_text() and time.monotonic() < end:
        time.sleep(0.05)
    stop(node)
    text = node.log.read_text()
    assert len([line for line in text.split("\n") if line.startswith("broker: ") and "password" in line]) == 1, text
    assert "wrong" not in text


def test_ctrl_c_gives_the_summary(board, make_broker):
    broker = make_broker()
    node = board(broker.port)
    if "-m" in node.args:
        pytest.skip("the unix port ends at once on SIGINT in a module that -m started; test_node.py has it")
    broker.wait(lambda events: [event for event in events if isinstance(event, Will)], "n1")
    node.send_signal(signal.SIGINT)
    node.wait(real.WAIT_S)
    assert "summary: " in node.log.read_text()


def test_a_wrong_configuration_is_a_line_for_each_wrong_key(board):
    node = board(1883, interval_s="1", colour="red")
    assert node.wait(real.WAIT_S) == 0
    said = node.log.read_text().strip().split("\n")
    assert len(said) == 2 and "colour" in said[0] and "interval_s" in said[1], said


@pytest.mark.skipif(not real.micropython_path(), reason="no MicroPython: run `make setup`")
def test_a_frozen_umqtt_hides_ours_until_boot_puts_lib_first(built, tmp_path):
    # the interpreter executes this with a folder in the place of .frozen: to the import they are alike
    frozen = tmp_path / "frozen"
    (frozen / "umqtt").mkdir(parents=True)
    (frozen / "umqtt" / "simple.py").write_text("class MQTTClient:\n    frozen = True\n")
    board = tmp_path / "board"
    shutil.copytree(built, board)
    program = """
import os, sys, vfs
vfs.umount("/")
vfs.mount(vfs.VfsPosix(%r), "/")
vfs.mount(vfs.VfsPosix(%r), "/frozen")
os.chdir("/")
sys.path[:] = ["", "/frozen", "/lib"]   # as the ports have it, with their frozen modules
if %d:
    exec(open("boot.py").read())
from umqtt.simple import MQTTClient
print(getattr(MQTTClient, "frozen", False))
try:
    import umqtt.wire
    print("wire")
except ImportError as e:
    print("no wire")
"""
    said = []
    for with_boot in (0, 1):
        code = program % (str(board), str(frozen), with_boot)
        done = subprocess.run(
            [real.micropython_path(), "-X", "heapsize=200k", "-c", code], capture_output=True, timeout=real.WAIT_S
        )
        said.append((done.stdout + done.stderr).decode().split())
    assert said == [["True", "no", "wire"], ["False", "wire"]], said


def test_what_the_board_compiles_itself_is_small():
    # main.py also chooses the firmware, and starts the old one when an update cannot be loaded
    for name, most in (("boot.py", 15), ("main.py", 20)):
        assert len((real.ROOT / "firmware" / name).read_text().splitlines()) <= most, name


def test_a_sleeping_board_sends_in_batches_and_a_kill_between_costs_nothing(board, make_broker, make_observer):
    broker = make_broker(persistence=True)
    observer = make_observer(broker.port)
    keys = {"keep_in": "flash", "deep_sleep": True, "connect_every": 2, "interval_s": 0.5, "awake_ms": 8000}
    for wake in range(9):
        node = board(broker.port, **keys)
        if wake in (3, 6):
            time.sleep(0.15 * wake / 3)  # somewhere in its work
            node.kill()
            node.wait()
        else:
            assert node.wait(real.WAIT_S) == 3, node.log.read_text()
            assert int((node.root / "sleep_ms").read_text()) <= 500
    observer.rest()
    got = seqs(observer.seen)
    assert got == list(range(1, len(got) + 1)), got
    assert len(got) >= 15, "3 readings for each wake, two wakes cut short"
    assert {message[2] for message in observer.seen if "/room/" in message[0]} == {2}
