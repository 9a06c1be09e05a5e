"""An update over the air of a virtual board, with its littlefs2 and its boot from flash: from `make config` and
`make deploy` by cable to `make ota`, and back to the cable."""

import argparse
import json
import os
import subprocess
import sys

import pytest
from conftest import ENV, ROOT, config, mpremote, tool

from tools.build import build
from tools.device import ota as ota_tool
from tools.device.serial_port import ToolError

OLD, NEW = b"umqtt-node: started by", b"umqtt-node: renewed by"


def ota(board_id, broker, tmp_path, *args):
    """`make ota`, with a firmware that says that it is new."""
    folder = tmp_path / "new"
    if not folder.exists():
        build(folder)
        app = folder / "app.mpy"
        assert OLD in app.read_bytes()
        app.write_bytes(app.read_bytes().replace(OLD, NEW))
    command = [sys.executable, "-m", "tools.device.ota", "--config", str(tmp_path / "config.json"), "--id", board_id]
    return subprocess.run(
        [*command, "--folder", str(folder), *args],
        cwd=ROOT,
        env=dict(os.environ, **ENV),
        capture_output=True,
        text=True,
    )


def brought_up(board, broker, tmp_path):
    key = "0123456789abcdef" * 4
    given = config(broker, client_id="n1", commands=True, ota_key=key)
    (tmp_path / "config.json").write_text(json.dumps(given))
    keys = {"OTA_KEYS": str(tmp_path / "keys.json")}
    for done in (
        tool("config", "--port", board.port, "--file", str(tmp_path / "config.json"), env=keys),
        tool("deploy", "--port", board.port, "--first-readings", "120"),
    ):
        assert done.returncode == 0, done.stdout
        assert key not in done.stdout
    assert json.loads((tmp_path / "keys.json").read_text()) == {"umqtt/n1": key}


def test_a_board_is_updated_over_the_air_and_the_cable_brings_its_own_back(deployed, broker, tmp_path):
    board = deployed("esp32")
    brought_up(board, broker, tmp_path)
    done = ota("n1", broker, tmp_path)
    assert done.returncode == 0 and "kept: the broker was reached" in done.stdout, done.stdout + done.stderr
    done = tool("deploy", "--port", board.port, "--first-readings", "120")
    assert done.returncode == 0 and NEW.decode() not in done.stdout and OLD.decode() in done.stdout, done.stdout
    assert "boot" not in mpremote(board, "fs", "ls", ":ota").stdout


def test_a_firmware_in_rom_is_not_updated_and_says_so(deployed, broker, tmp_path):
    board = deployed("esp8266")
    brought_up(board, broker, tmp_path)
    done = ota("n1", broker, tmp_path)
    assert done.returncode == 1 and "from ROM" in done.stdout, done.stdout + done.stderr


def chosen_by(known, config=None, **options):
    asked = argparse.Namespace(**{"id": "", "topic": "", **options})
    return [(board.name, board.key) for board in ota_tool.chosen(asked, config or {}, known)]


def test_the_boards_that_are_meant_are_found_or_it_is_said_what_is_missing():
    known = {"umqtt/a": "ka", "umqtt/b": "kb", "barn/c": "kc", "line/*": "shared"}
    assert chosen_by(known, id="a,b") == [("umqtt/a", "ka"), ("umqtt/b", "kb")]
    assert chosen_by(known, topic="barn") == [("barn/c", "kc")]
    assert chosen_by(known, id="x", topic="line") == [("line/x", "shared")], "boards of one image share a key"
    own = {"topic": "shed", "client_id": "d", "ota_key": "kd"}
    assert chosen_by({}, own) == [("shed/d", "kd")]
    for options, words in (
        ({}, "which board"),
        ({"id": "z"}, "no key for umqtt/z"),
        ({"topic": "attic"}, "no key is known of a board under attic"),
    ):
        with pytest.raises(ToolError, match=words):
            chosen_by(known, **options)


def test_what_chooses_the_firmware_is_not_part_of_an_update():
    made = ota_tool.make_update({"main.py": b"m", "boot.py": b"b", "app.mpy": b"a", "lib/umqtt/client.mpy": b"c"}, 6)
    assert made.names == ["the list", "app.mpy", "lib/umqtt/client.mpy"]
    assert made.files[0].decode().splitlines()[0] == "umqtt-node 1 6"


def test_a_folder_without_a_firmware_and_a_broker_that_is_not_there_are_told(tmp_path):
    path = tmp_path / "config.json"
    given = {"broker": "127.0.0.1", "port": 1, "client_id": "n1", "ota_key": "k" * 32}
    for more, words in (
        ({"broker": ""}, "which broker"),
        ({}, "holds no compiled firmware"),
        ({}, "no connection to the broker at 127.0.0.1 port 1"),
    ):
        path.write_text(json.dumps({**given, **more}))
        if "connection" in words:
            (tmp_path / "app.mpy").write_bytes(b"a")
        done = tool("ota", "--config", str(path), "--folder", str(tmp_path))
        assert done.returncode in (1, 2) and words in done.stdout and "Traceback" not in done.stdout, done.stdout
