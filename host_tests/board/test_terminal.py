"""The tools at a terminal: questions, wrong answers, Ctrl-C, Ctrl-D, progress."""

import json
import re
import shutil
import sys

import pytest
from conftest import at_terminal, mpremote, tool

from tools.virtual_board import fake_image

SECRET = "geheim-wort-7"
CONFIG = [sys.executable, "-m", "tools.device.config"]
NO_UPDATES = ""  # over the air
ANSWERS = ["net", SECRET, "10.0.0.1", "", "me", " geheim 2 ", "no", "", "5", "internal adc:b:34"]


def lines(*answers):
    return [answer + "\n" for answer in answers]


def test_questions_fill_the_configuration_and_secrets_stay_unseen(tmp_path):
    out = tmp_path / "config.json"
    status, said = at_terminal([*CONFIG, "--output", str(out)], lines(*ANSWERS, NO_UPDATES))
    assert status == 0, said
    got = json.loads(out.read_text())
    assert SECRET not in said and "geheim 2" not in said
    assert got["wifi_password"] == SECRET and got["password"] == " geheim 2 "  # a password may begin with a space
    assert "ota_key" not in got, "updates over the air were not asked for"
    assert got["user"] == "me" and got["interval_s"] == 5 and got["sensors"][1]["pin"] == 34


def test_a_sensor_on_i2c_has_its_bus_asked_for_and_a_mistaken_type_is_asked_again(tmp_path):
    out = tmp_path / "config.json"
    again = [*[""] * 9, "internal sht4x:cellar", "21", "21:22", NO_UPDATES]
    answers = lines(*ANSWERS[:-1], "internal sth4x:cellar", NO_UPDATES, *again)
    status, said = at_terminal([*CONFIG, "--output", str(out)], answers)
    assert status == 0, said
    assert 'sensors[1].type is "sth4x", which there is not; the closest is sht4x' in said
    assert "i2c is SDA:SCL, two GPIOs, as 21:22" in said
    got = json.loads(out.read_text())
    assert got["i2c"] == {"sda": 21, "scl": 22} and got["sensors"][1] == {"type": "sht4x", "name": "cellar"}


def test_enter_keeps_what_is_on_the_board_and_a_dash_puts_back_the_default(flashed):
    board = flashed("esp32")
    env = {"UMQTT_WIFI_SSID": "net", "UMQTT_WIFI_PASSWORD": SECRET, "UMQTT_BROKER": "b", "UMQTT_USER": "me",
           "UMQTT_PASSWORD": "x", "UMQTT_INTERVAL_S": "9"}  # fmt: skip
    assert tool("config", "--port", board.port, env=env).returncode == 0
    before = json.loads(mpremote(board, "fs", "cat", ":config.json").stdout)
    answers = lines("", "", "", "", "-", "-", "", "", "-", "", "")
    status, said = at_terminal([*CONFIG, "--port", board.port], answers)
    assert status == 0 and "its password (empty: open network) [unchanged]" in said, said
    after = json.loads(mpremote(board, "fs", "cat", ":config.json").stdout)
    for key in ("user", "password", "interval_s"):
        del before[key]
    assert after == before


def test_a_wrong_answer_is_asked_again(tmp_path):
    out = tmp_path / "config.json"
    (tmp_path / "ca.txt").write_text("hello")
    answers = lines("net", "kurz", "b", "many", "0", "", "", "perhaps", "yes", "", "", "dht22:room:x", "internal", "",
                    str(tmp_path / "ca.txt"), "")  # fmt: skip
    again = lines("", SECRET, *[""] * 10)  # the password was too short: the questions come once more
    status, said = at_terminal([*CONFIG, "--output", str(out)], answers + again)
    assert status == 0, said
    for words in ("port is a number, not 'many'", "tls is true or false", "the pin is a number", "is no certificate",
                  "Once more:"):  # fmt: skip
        assert words in said, said
    got = json.loads(out.read_text())
    assert got["wifi_password"] == SECRET and got["port"] == 0 and got["tls"] is True and "tls_ca" not in got
    assert got["tls_insecure"] is True  # for no CA was named


def test_a_wrong_key_that_nobody_asks_for_ends_it(tmp_path):
    answers = lines(*ANSWERS, NO_UPDATES)
    status, said = at_terminal([*CONFIG, "--output", str(tmp_path / "c")], answers, env={"UMQTT_QOS": "7"})
    assert status == 1 and "qos is 7" in said and not (tmp_path / "c").exists()


def test_ctrl_c_and_ctrl_d_at_a_question_write_nothing(tmp_path):
    for key in "\x03\x04":
        status, said = at_terminal([*CONFIG, "--output", str(tmp_path / "c")], ["net\n", key])
        assert status == 130 and "interrupted" in said and "Traceback" not in said, said
        assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("at", [" with 4 MiB", "Configuring flash size"])
def test_ctrl_c_while_flashing_is_told_and_the_next_run_mends_it(boards, tmp_path, at):
    fake_image.build("esp32", tmp_path / "image.bin", code_b=1 << 20)
    board = boards("esp32")
    flash = [sys.executable, "-m", "tools.device.flash", "--port", board.port]
    flash += ["--firmware", str(tmp_path / "image.bin")]
    status, said = at_terminal(flash, ctrl_c_at=at)
    assert status == 130 and "interrupted; running it again mends" in said and "Traceback" not in said, said
    status, said = at_terminal(flash)
    assert status == 0 and "Hash of data verified" in said and re.search(r"100(\.0)? ?%", said), said
    assert mpremote(board, "eval", "6*7").stdout.strip() == "42"


def test_ctrl_c_while_deploying_is_told_and_the_next_run_mends_it(flashed):
    for chip, at in (("esp8266", "ROM partition:   0 %"), ("esp32", "[ 3/")):
        board = flashed(chip, name=chip)
        deploy = [sys.executable, "-m", "tools.device.deploy", "--port", board.port]
        status, said = at_terminal(deploy, ctrl_c_at=at)
        assert status == 130 and "interrupted; running it again mends" in said and "Traceback" not in said, said
        status, said = at_terminal(deploy)
        assert status == 0 and "/lib/umqtt; " in said, said


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make here")
def test_ctrl_c_at_make_logs_is_how_it_ends_and_no_error(flashed):
    board = flashed("esp32")
    ticks = "import time\nwhile True:\n    print('tick')\n    time.sleep_ms(100)\n"
    start = "with open('main.py', 'w') as f: f.write(%r)\nimport machine\nmachine.reset()" % ticks
    assert mpremote(board, "exec", "--no-follow", start).returncode == 0
    status, said = at_terminal(["make", "logs"], ctrl_c_at="tick", env={"PORT": board.port, "MAKEFLAGS": ""})
    assert status == 0 and "***" not in said and "Traceback" not in said, (status, said)
