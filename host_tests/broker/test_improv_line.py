"""Improv with the firmware as a process: a board without a configuration is given WiFi over its serial line (stdin and
stdout), keeps what else its config.json has, and starts again."""

import json
import os
import select
import shutil
import subprocess
import time

import pytest
from broker import real
from broker.conftest import NO_MICROPYTHON

from tools.build import build

FAKES = real.HOST_TESTS / "fakes" / "board"
RESET = 3


def command(number, *data):
    whole = b"IMPROV\x01\x03" + bytes([len(data) + 2, number, len(data), *data])
    return whole + bytes([sum(whole) % 256]) + b"\n"


def wifi(name, password):
    return command(1, len(name), *name.encode(), len(password), *password.encode())


@pytest.fixture
def board(tmp_path):
    """A board that has never been configured; board(**config) starts it with this config.json."""
    if not real.micropython_path():
        pytest.skip(NO_MICROPYTHON)
    root = tmp_path / "board"
    build(root)
    (root / "board.json").write_text(json.dumps({"wifi": {"lab": "12345678"}}))
    started = []

    def start(slots="", **config):
        if slots:  # in the place of that module
            (root / "slots.mpy").unlink()
            (root / "slots.py").write_text(slots)
        if config:
            (root / "config.json").write_text(json.dumps(config))
        process = subprocess.Popen(
            [real.micropython_path(), "-X", "heapsize=200k", "-m", "start", str(root)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=dict(os.environ, MICROPYPATH=str(FAKES)),
        )  # fmt: skip
        process.root = root
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
    shutil.rmtree(root)


def ask(process, packet, wanted):
    """Send it; what the board says until `wanted` was said."""
    process.stdin.write(packet)
    process.stdin.flush()
    said = b""
    end = time.monotonic() + real.WAIT_S
    while wanted not in said:
        assert time.monotonic() < end, said
        if select.select([process.stdout], [], [], 0.1)[0]:
            got = os.read(process.stdout.fileno(), 4096)
            assert got, said
            said += got
    return said


def test_wifi_is_set_over_the_line_and_the_rest_of_the_configuration_stays(board):
    process = board(broker="10.0.0.1", interval_s=30)
    said = ask(process, command(2), b"IMPROV\x01\x01\x01\x02")  # ready
    assert b"wifi_ssid is missing" in said
    assert b"umqtt-node" in ask(process, command(3), b"IMPROV\x01\x04")
    assert b"\x03lab" in ask(process, command(4), b"\x02\x04\x00")  # the end of the list
    ask(process, wifi("lab", "wrong one"), b"IMPROV\x01\x02\x01\x03")  # unable to connect
    assert "wifi_ssid" not in json.loads((process.root / "config.json").read_text())
    ask(process, wifi("lab", "12345678"), b"\x01\x04\x02\x01\x00")  # done
    assert process.wait(real.WAIT_S) == RESET
    assert json.loads((process.root / "config.json").read_text()) == {
        "broker": "10.0.0.1", "interval_s": 30, "wifi_ssid": "lab", "wifi_password": "12345678",
    }  # fmt: skip


def test_a_board_without_any_configuration_waits_for_one_and_ctrl_c_gives_the_prompt(board):
    process = board()
    ask(process, command(2), b"IMPROV\x01\x01\x01\x02")
    process.stdin.write(b"\x03")
    process.stdin.flush()
    assert process.wait(real.WAIT_S) == 0  # a board shows its prompt
    assert not (process.root / "config.json").exists()


@pytest.mark.parametrize("typed, answers", [(b"IMPROV\x01", True), (b"\r", False)])
def test_a_ctrl_c_before_the_program_runs_is_asked_whether_it_is_improvs(board, typed, answers):
    # a client sends its packets from the moment that it has flashed the board: one can fall into the start
    process = board(
        wifi_ssid="lab",
        wifi_password="12345678",
        broker="10.0.0.1",
        slots="def choose():\n    raise KeyboardInterrupt\n",
    )
    process.stdin.write(typed + (command(2)[8:] if answers else b""))
    process.stdin.flush()
    if answers:
        ask(process, b"", b"IMPROV\x01\x01\x01\x02")  # ready
        return
    said = process.stdout.read()
    assert process.wait(real.WAIT_S) and b"KeyboardInterrupt" in said, said
