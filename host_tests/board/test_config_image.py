"""`make config` and `make image`, on virtual boards and without."""

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import PATIENCE_S, config, mpremote, run, tool, until

from tools.demo.watch import Watcher
from tools.device.chips import CHIPS, MIB
from tools.device.config import as_words, given, keys, sensors, shown, value_of
from tools.device.image import filesystem_image
from tools.device.serial_port import ToolError
from tools.release import page

SECRET = "geheim-wort-7"


def on_board(board):
    return json.loads(mpremote(board, "fs", "cat", ":config.json").stdout)


def test_config_from_the_environment_keeps_secrets_to_itself(flashed):
    board = flashed("esp32")
    env = {
        "UMQTT_WIFI_SSID": "net", "UMQTT_WIFI_PASSWORD": SECRET, "UMQTT_BROKER": "10.0.0.1", "UMQTT_USER": "me",
        "UMQTT_PASSWORD": SECRET + "2", "UMQTT_TLS": "no", "UMQTT_INTERVAL_S": "0.5",
        "UMQTT_SENSORS": "internal dht22:room:4",
    }  # fmt: skip
    done = tool("config", "--port", board.port, env=env)
    assert done.returncode == 0, done.stdout
    assert SECRET not in done.stdout and "(13 characters)" in done.stdout
    got = on_board(board)
    assert got["wifi_password"] == SECRET and got["interval_s"] == 0.5 and got["tls"] is False
    assert got["sensors"] == [{"type": "internal"}, {"type": "dht22", "name": "room", "pin": 4}]
    # what is there stays where nothing new is given
    assert tool("config", "--port", board.port, env={"UMQTT_BROKER": "10.0.0.2"}).returncode == 0
    assert on_board(board) == {**got, "broker": "10.0.0.2"}


def test_a_wrong_value_changes_nothing_and_is_named(flashed):
    board = flashed("esp32")
    env = {"UMQTT_WIFI_SSID": "net", "UMQTT_BROKER": "10.0.0.1"}
    assert tool("config", "--port", board.port, env=env).returncode == 0
    before = on_board(board)
    done = tool("config", "--port", board.port, env={"UMQTT_QOS": "7", "UMQTT_WIFI_PASSWORD": "kurz"})
    assert done.returncode == 1 and "nothing was written" in done.stdout
    assert "qos is 7" in done.stdout and "wifi_password" in done.stdout and "kurz" not in done.stdout
    done = tool("config", "--port", board.port, env={"UMQTT_PASSWORD": "x"})
    assert done.returncode == 1 and "user is not" in done.stdout
    assert on_board(board) == before


def test_a_file_for_images_is_readable_by_its_owner_alone(tmp_path):
    out = tmp_path / "config.json"
    for path in (out, tmp_path / "config.json.new"):  # the second: of a run that was killed
        path.write_text("old")
        os.chmod(path, 0o644)
    env = {"UMQTT_WIFI_SSID": "net", "UMQTT_WIFI_PASSWORD": SECRET, "UMQTT_BROKER": "b"}
    done = tool("config", "--output", str(out), env=env)
    assert done.returncode == 0 and SECRET not in done.stdout
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert json.loads(out.read_text())["wifi_password"] == SECRET
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]


def test_a_key_for_updates_is_made_and_noted_for_its_owner_alone(tmp_path):
    path, keys_path = tmp_path / "config.json", tmp_path / "keys.json"
    env = {"UMQTT_WIFI_SSID": "net", "UMQTT_BROKER": "b", "UMQTT_OTA_KEY": "new", "OTA_KEYS": str(keys_path)}
    done = tool("config", "--output", str(path), env=env)
    assert done.returncode == 0, done.stdout
    got = json.loads(path.read_text())
    assert len(got["ota_key"]) == 64 and got["commands"] is True and got["ota_key"] not in done.stdout
    assert json.loads(keys_path.read_text()) == {"umqtt/*": got["ota_key"]}, "boards of one image share it"
    assert stat.S_IMODE(keys_path.stat().st_mode) == 0o600
    assert tool("config", "--output", str(path), env=env).returncode == 0
    assert json.loads(path.read_text())["ota_key"] != got["ota_key"]
    done = tool("config", "--output", str(path), env=dict(env, UMQTT_OTA_KEY="short"))
    assert done.returncode == 1 and "ota_key" in done.stdout and '"short"' not in done.stdout, done.stdout


def test_the_broker_is_tried_from_the_host(broker, tmp_path):
    out = str(tmp_path / "config.json")
    env = {"UMQTT_WIFI_SSID": "net", "UMQTT_BROKER": "127.0.0.1", "UMQTT_PORT": str(broker.port)}
    done = tool("config", "--output", out, "--test-broker", env=env)
    assert done.returncode == 0 and "lets us in" in done.stdout, done.stdout
    os.unlink(out)
    done = tool("config", "--output", out, "--test-broker", env={**env, "UMQTT_PORT": "1"})
    assert done.returncode == 1 and "no connection to the broker" in done.stdout, done.stdout
    assert not os.path.exists(out)


def test_each_broker_of_a_list_is_tried_from_the_host(broker, tmp_path):
    out = str(tmp_path / "config.json")
    env = {"UMQTT_WIFI_SSID": "net", "UMQTT_BROKER": "127.0.0.1:1, 127.0.0.1", "UMQTT_PORT": str(broker.port)}
    done = tool("config", "--output", out, "--test-broker", env=env)
    assert done.returncode == 0 and "lets us in" in done.stdout, done.stdout
    assert "note: no connection to the broker at 127.0.0.1 port 1" in done.stdout, done.stdout
    assert json.loads(Path(out).read_text())["broker"] == ["127.0.0.1:1", "127.0.0.1"]
    env["UMQTT_BROKER"] = '["127.0.0.1:1", "127.0.0.1:2"]'
    done = tool("config", "--output", out, "--test-broker", env=env)
    assert done.returncode == 1 and done.stdout.count("no connection to the broker") == 2, done.stdout


def test_a_file_is_taken_as_an_editor_writes_it_and_a_key_that_stands_twice_is_told(tmp_path):
    path, out = tmp_path / "mine.json", tmp_path / "out" / "config.json"
    text = '{"wifi_ssid": "Küche",\r\n "broker": "10.0.0.1"}'
    done = tool("config", "--file", str(path), "--output", str(out))
    assert done.returncode == 2 and "cannot read" in done.stdout, done.stdout
    path.write_bytes(text.encode())
    done = tool("config", "--file", str(path), "--output", str(out))
    assert done.returncode == 2 and "cannot write" in done.stdout and "Traceback" not in done.stdout, done.stdout
    out.parent.mkdir()
    for data in (text.encode(), text.encode("utf-8-sig"), text.encode("utf-16")):
        path.write_bytes(data)
        done = tool("config", "--file", str(path), "--output", str(out))
        assert done.returncode == 0 and json.loads(out.read_text())["wifi_ssid"] == "Küche", (data, done.stdout)
    twice = text[:-1] + ', "sensors": [{"type": "internal", "name": "a", "name": "b"}]}'
    deep = text[:-1] + ', "sensors": ' + "[" * 9000 + "]" * 9000 + "}"
    for data, words in (
        (twice.encode(), 'the key "name" stands there twice'),
        (text.encode("latin-1"), "is not UTF-8, in which JSON is written"),
        (deep.encode(), "is not JSON: "),
    ):
        path.write_bytes(data)
        done = tool("config", "--file", str(path), "--output", str(out))
        assert done.returncode == 1 and words in done.stdout and "Traceback" not in done.stdout, done.stdout


def test_values_are_taken_as_the_keys_ask():
    assert value_of("tls", "yes", False) is True and value_of("port", "8883", 0) == 8883
    assert value_of("topic", "7", "umqtt") == "7"
    for key, text, default in (("tls", "perhaps", False), ("port", "many", 0)):
        with pytest.raises(ToolError, match=key):
            value_of(key, text, default)
    with pytest.raises(ToolError, match="pin is a number"):
        sensors("dht22:room:x")
    entries = [{"type": "adc", "name": "battery", "pin": 34}]
    assert sensors(as_words(entries)) == entries
    odd = [{"type": "adc", "name": "battery", "pin": 34, "ratio": 2.0}]
    assert sensors(as_words(odd)) == odd
    assert set(given("", {"UMQTT_BROKER": "b", "UMQTT_NONSENSE": "1"})) == {"broker"}
    assert "sensors" in keys()
    assert all(SECRET not in line for line in shown({"password": SECRET, "wifi_password": SECRET}))


FILL = """
i, n = 0, 440
try:
    while True:
        with open('f%d' % i, 'wb') as f:
            for _ in range(n):
                f.write(bytes(4096))
        i, n = i + 1, 1
except OSError as e:
    print(e.errno)
"""


def test_a_full_file_system_is_told_and_nothing_half_written_stays(flashed):
    board = flashed("esp32")
    env = {"UMQTT_WIFI_SSID": "net", "UMQTT_BROKER": "10.0.0.1"}
    assert tool("config", "--port", board.port, env=env).returncode == 0
    before = on_board(board)
    assert mpremote(board, "exec", FILL).stdout.strip() == "28"
    done = tool("config", "--port", board.port, env={**env, "UMQTT_USER": "u" * 120, "UMQTT_BROKER": "b" * 200})
    assert done.returncode == 1 and "file system is full" in done.stdout, done.stdout
    assert on_board(board) == before and "config.json.new" not in mpremote(board, "fs", "ls").stdout


def test_an_esp8266_is_not_given_what_it_cannot_do(flashed, images):
    board = flashed("esp8266")
    tls = {"UMQTT_WIFI_SSID": "net", "UMQTT_BROKER": "10.0.0.1", "UMQTT_TLS": "yes"}
    done = tool("config", "--port", board.port, env={**tls, "UMQTT_TLS_CA": "ca.der"})
    assert done.returncode == 1 and "checks no certificate" in done.stdout, done.stdout
    done = tool("image", "--firmware", str(images["esp8266"]), env={**tls, "UMQTT_TLS_CA": "ca.der"})
    assert done.returncode == 1 and "checks no certificate" in done.stdout, done.stdout
    done = tool("config", "--port", board.port, env=tls)
    assert done.returncode == 1 and "tls_insecure" in done.stdout, done.stdout
    done = tool("config", "--port", board.port, env={**tls, "UMQTT_TLS_INSECURE": "yes"})
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("chip", ["esp32", "esp8266"])
def test_one_image_is_written_with_one_call_and_readings_arrive(boards, images, broker, tmp_path, chip):
    (tmp_path / "config.json").write_text(json.dumps(config(broker)))
    out = tmp_path / "whole.bin"
    done = tool("image", "--firmware", str(images[chip]), "--config", str(tmp_path / "config.json"),
                "--output", str(out))  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    board = boards(chip)
    with Watcher(broker.port) as watcher:
        flashed = run(sys.executable, "-m", "esptool", "--chip", chip, "--port", board.port, "write_flash",
                      "--erase-all", "0x0", str(out))  # fmt: skip
        assert flashed.returncode == 0, flashed.stdout
        mpremote(board, "resume", "exec", "--no-follow", "import machine; machine.reset()")
        assert until(watcher, lambda reading: True).sensor.startswith("chip/")
    df = mpremote(board, "df").stdout
    assert "/" in df and "VfsLfs2" in df


def test_the_image_of_a_release_wants_a_configuration_and_nothing_else(boards, images, broker, tmp_path):
    page.build(tmp_path / "page", page.read_given([str(images["esp8266"])]), ["esp8266"], "")
    (image,) = (tmp_path / "page").glob("*.bin")
    board = boards("esp8266")
    flashed = run(sys.executable, "-m", "esptool", "--chip", "esp8266", "--port", board.port, "write_flash",
                  "--erase-all", "0x0", str(image))  # fmt: skip
    assert flashed.returncode == 0, flashed.stdout
    wanted = config(broker)
    env = {"UMQTT_WIFI_SSID": wanted["wifi_ssid"], "UMQTT_BROKER": wanted["broker"], "UMQTT_PORT": str(wanted["port"]),
           "UMQTT_NTP_HOST": "", "UMQTT_INTERVAL_S": "0.5"}  # fmt: skip
    with Watcher(broker.port) as watcher:
        done = tool("config", "--port", board.port, env=env)
        assert done.returncode == 0, done.stdout
        assert watcher.readings.get(timeout=PATIENCE_S).qos == 2


def test_an_image_that_cannot_be_is_refused(images, tmp_path):
    env = {"UMQTT_WIFI_SSID": "net", "UMQTT_BROKER": "b"}
    done = tool("image", "--firmware", str(images["esp32"]), "--flash-size", "2", env=env)
    assert done.returncode == 1 and "larger flash than 2 MiB" in done.stdout, done.stdout
    done = tool("image", "--firmware", str(images["esp8266 without ROM"]), env=env)
    assert done.returncode == 1 and "take ESP8266_GENERIC-FLASH_2M_ROMFS" in done.stdout, done.stdout
    done = tool("image", "--firmware", str(images["esp8266"]), "--flash-size", "1", env=env)
    assert done.returncode == 1 and "does not leave room" in done.stdout, done.stdout
    done = tool("image", "--firmware", str(images["esp32"]), env={})
    assert done.returncode == 1 and "wifi_ssid is missing" in done.stdout
    done = tool("image", env=env)
    assert done.returncode == 2 and "FIRMWARE=" in done.stdout
    out = tmp_path / "my images" / "whole.bin"
    done = tool("image", "--firmware", str(images["esp32"]), "--output", str(out), env=env)
    assert done.returncode == 0 and done.stdout.strip().endswith(" 0x0 '%s'" % out), done.stdout
    with pytest.raises(ToolError, match="do not fit|leave less"):
        filesystem_image({"/big": b"x" * MIB}, MIB)
    assert CHIPS["esp32"].image_offset == 0x1000


class CommandLines(threading.Thread):
    """Looks at the command lines of all processes until it is stopped: how many of them held `secret`."""

    def __init__(self, secret: str):
        super().__init__(daemon=True)
        self.secret = secret.encode()
        self.found = 0
        self.running = True

    def run(self):
        while self.running:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.found += self.secret in path.read_bytes()
                except OSError:
                    pass  # it has ended

    def stop(self) -> int:
        self.running = False
        self.join()
        return self.found


def test_no_password_is_in_a_list_of_processes(flashed, images, tmp_path):
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("no /proc here to read command lines from")
    secret = "hidden-hidden-hidden"
    seen = CommandLines(secret)
    seen.start()
    subprocess.run([sys.executable, "-c", "import time; time.sleep(1)", secret], check=True)
    assert seen.stop(), "the watch sees nothing"
    seen = CommandLines(secret)
    seen.start()
    board = flashed("esp32")
    env = {"UMQTT_WIFI_SSID": "net", "UMQTT_WIFI_PASSWORD": secret, "UMQTT_BROKER": "127.0.0.1", "UMQTT_USER": "u",
           "UMQTT_PASSWORD": secret}  # fmt: skip
    for arguments in (
        ("config", "--port", board.port),
        ("deploy", "--port", board.port, "--first-readings", "1"),
        ("image", "--firmware", str(images["esp32"]), "--output", str(tmp_path / "whole.bin")),
    ):
        done = tool(*arguments, env=env)
        assert secret not in done.stdout, arguments
    assert on_board(board)["password"] == secret
    assert seen.stop() == 0
