"""An update over the air of a virtual board, with its littlefs2 and its boot from flash: from `make config` and
`make deploy` by cable to `make ota`, and back to the cable."""

import json
import os
import subprocess
import sys

from conftest import ENV, ROOT, config, mpremote, tool

from tools.build import build

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


def test_a_board_is_updated_over_the_air_and_the_cable_brings_its_own_back(flashed, broker, tmp_path):
    board = flashed("esp32")
    brought_up(board, broker, tmp_path)
    done = ota("n1", broker, tmp_path)
    assert done.returncode == 0 and "kept: the broker was reached" in done.stdout, done.stdout + done.stderr
    done = tool("deploy", "--port", board.port, "--first-readings", "120")
    assert done.returncode == 0 and NEW.decode() not in done.stdout and OLD.decode() in done.stdout, done.stdout
    assert "boot" not in mpremote(board, "fs", "ls", ":ota").stdout


def test_a_firmware_in_rom_is_not_updated_and_says_so(flashed, broker, tmp_path):
    board = flashed("esp8266")
    brought_up(board, broker, tmp_path)
    done = ota("n1", broker, tmp_path)
    assert done.returncode == 1 and "from ROM" in done.stdout, done.stdout + done.stderr
