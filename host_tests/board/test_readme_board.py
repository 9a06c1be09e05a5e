"""The README's commands, as they stand there, from a blank board to readings, and to a board that obeys."""

import re
import shutil
import subprocess

import pytest
from conftest import ENV, PATIENCE_S, ROOT

from tools.demo.watch import Watcher


@pytest.mark.parametrize("chip", ["esp32", "esp8266"])
def test_the_readmes_commands_lead_from_a_blank_board_to_readings(boards, images, broker, chip):
    if not shutil.which("make"):
        pytest.skip("there is no make here")
    section = (ROOT / "README.md").read_text().split("## Onto a board")[1].split("##")[0]
    commands = re.findall(r"^(make \w+)", section, re.M)
    assert commands == ["make flash", "make config", "make deploy", "make logs", "make web", "make ota"]
    del commands[-2:]  # have tests of their own, and want a browser and a second firmware
    board = boards(chip)
    env = {
        **ENV, "PORT": board.port, "FIRMWARE": str(images[chip]), "UMQTT_WIFI_SSID": "host",
        "UMQTT_BROKER": "127.0.0.1", "UMQTT_PORT": str(broker.port), "UMQTT_INTERVAL_S": "0.5", "UMQTT_NTP_HOST": "",
    }  # fmt: skip
    env.pop("MAKEFLAGS", None)  # of a `make test` around us
    with Watcher(broker.port) as watcher:
        for command in commands:
            args = {"ARGS": "--seconds 1"} if command == "make logs" else {}  # a reader would press Ctrl-C
            done = subprocess.run(command.split(), cwd=ROOT, env={**env, **args}, stdin=subprocess.DEVNULL, text=True,
                                  timeout=PATIENCE_S, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
            assert done.returncode == 0, command + "\n" + done.stdout
        for line in re.findall(r"^UMQTT_\S+ make .*?(?=  )", section, re.M):
            ours = ["env", *line.replace("UMQTT_BROKER=192.168.1.10 ", "").split()]
            done = subprocess.run(ours, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, text=True,
                                  timeout=PATIENCE_S, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
            assert done.returncode == 0, line + "\n" + done.stdout
        assert "interval_s is 30" in done.stdout
        assert watcher.readings.get(timeout=PATIENCE_S).qos == 2
