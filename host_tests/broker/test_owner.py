"""Commands from end to end: the shipped firmware on MicroPython with an ESP8266's heap, a Mosquitto with the ACL of
docs/firmware.md, and `make cmd` of the owner."""

import json
import os
import re
import subprocess
import sys
import time

import pytest
from broker import real
from broker.conftest import NO_BROKER, NO_MICROPYTHON

from tools.build import build
from tools.firmware_process import HostBoard

ESP8266_FREE_B = 28000
SENSORS = [{"type": "dht22", "name": "room", "pin": 4}, {"type": "ds18b20", "name": "water", "pin": 5}]
PASSWORDS = {"owner": "secret", "reader": "secret", "n1": "geheim99", "n2": "geheim99"}


def documented():
    """What docs/firmware.md says of mosquitto.conf and of the ACL file."""
    text = (real.ROOT / "docs" / "firmware.md").read_text()
    block = re.search(r"```\n(# mosquitto\.conf\n.*?)```", text, re.S).group(1)
    conf, acl = re.split(r"# /etc/mosquitto/acl.*\n", block)
    return conf.replace("/etc/mosquitto/", "$DIR/"), acl


@pytest.fixture
def broker(make_broker):
    conf, acl = documented()
    lines = "".join(real.password_line(user, password) for user, password in PASSWORDS.items())
    return make_broker(conf, files={"acl": acl, "passwords": lines})


class Peer:
    """A client that logs in as one of the users."""

    def __init__(self, port, user):
        import paho.mqtt.client as paho

        self.came = []
        self.paho = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=user + "-peer")
        self.paho.username_pw_set(user, PASSWORDS[user])
        self.paho.on_message = lambda client, userdata, message: self.came.append(
            (message.topic, message.payload.decode(), message.retain)
        )
        self.paho.connect("127.0.0.1", port)
        self.paho.loop_start()

    def publish(self, topic, payload, qos=2, retain=False):
        self.paho.publish(topic, payload, qos, retain).wait_for_publish(real.WAIT_S)

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()


@pytest.fixture
def peer(broker):
    made = []

    def make(user):
        made.append(Peer(broker.port, user))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def board(broker, tmp_path):
    """The firmware in flash, executed in place; run(until) lets it run, over its resets."""
    if not real.micropython_path():
        pytest.skip(NO_MICROPYTHON)
    build(tmp_path / "board")
    config = {
        "wifi_ssid": "lab", "broker": "127.0.0.1", "port": broker.port, "client_id": "n1", "user": "n1",
        "password": PASSWORDS["n1"], "interval_s": 60, "ntp_host": "", "stop_pin": HostBoard.STOP_PIN,
        "commands": True, "sensors": SENSORS,
    }  # fmt: skip
    made = HostBoard(tmp_path / "board", config, 38)
    said = json.loads((made.root / "board.json").read_text())
    said.update(port="esp8266", free_heap=ESP8266_FREE_B)
    (made.root / "board.json").write_text(json.dumps(said))
    made.command = [re.sub(r"heapsize=\d+k", "heapsize=400k", word) for word in made.command]
    with made:
        yield made


def run(board, until, what, seconds=real.WAIT_S):
    """Let the board run, and start again after a reset, until `until()` is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if until():
            return
        assert board.is_running(), board.log.read_text()
        time.sleep(0.02)
    raise AssertionError("%s: not in %d s\n%s" % (what, seconds, board.log.read_text()))


def cmd(board, broker, name, say="", *args, user="owner"):
    """`make cmd` as the user calls it, while the board runs: (exit status, what it printed)."""
    env = dict(os.environ, UMQTT_BROKER="127.0.0.1", UMQTT_PORT=str(broker.port), UMQTT_USER=user,
               UMQTT_PASSWORD=PASSWORDS[user])  # fmt: skip
    command = [sys.executable, "-m", "tools.device.command", "--name", name, "--say", say, *args]
    done = subprocess.Popen(
        command, cwd=real.ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        run(board, lambda: done.poll() is not None, "make cmd NAME=" + name, 30)
    finally:
        done.kill()
    return done.returncode, done.stdout.read()


def figures(board):
    board.stop()
    return board.figures()


def is_up(board):
    return "broker: took the first readings" in board.log.read_text().rpartition("umqtt-node: started")[2]


def test_the_owner_commands_the_board_and_nobody_else_can(broker, board, peer):
    owner = peer("owner")
    owner.paho.subscribe("umqtt/#", 2)
    run(board, lambda: is_up(board), "the first readings")
    for user in ("reader", "n2"):
        stranger = peer(user)
        for topic in ("umqtt/n1/cmd/restart", "umqtt/n1/cmd/interval", "umqtt/n2/../n1/cmd/restart"):
            stranger.publish(topic, "1")
    assert [message for message in owner.came if message[0].startswith("umqtt/n1/cmd/")] == []
    assert broker.log_path.read_text().count("Denied PUBLISH") == 5  # a reading of n2 under a strange name is its own

    assert cmd(board, broker, "read") == (0, "n1: 3 readings\n")
    assert cmd(board, broker, "interval", "45", "--id", "n1") == (0, "n1: interval_s is 45\n")
    for no_command in ("inbox", "unknown"):
        assert "there is no command " + no_command in cmd(board, broker, no_command)[1]
    status, said = cmd(board, broker, "config", '{"qos": 7}')
    assert status == 1 and "n1: not done: config.json: qos is 7 (a whole number); needed" in said, said
    status, said = cmd(board, broker, "reboot")
    assert status == 1 and "there is no command reboot" in said
    status, said = cmd(board, broker, "config")
    shown = json.loads(said.partition(": ")[2])
    assert status == 0 and shown["interval_s"] == 45 and "password" not in shown
    assert "geheim99" not in "".join(message[1] for message in owner.came)
    assert cmd(board, broker, "read", "", "--id", "gone", "--wait", "0.5")[0] == 1
    # retained, in QoS 1: once, and refused at the next start
    owner.publish("umqtt/n1/cmd/restart", "1", 1, True)
    run(board, lambda: board.starts > 1 and is_up(board), "a restart")
    answers = [message[1] for message in owner.came if message[0] == "umqtt/n1/ack/restart"]
    run(
        board,
        lambda: len([message for message in owner.came if message[0] == "umqtt/n1/ack/restart"]) > 1,
        "the refusal",
    )
    answers = [json.loads(message[1])["ok"] for message in owner.came if message[0] == "umqtt/n1/ack/restart"]
    assert answers == [True, False] and board.starts == 2
    assert json.loads([message[1] for message in owner.came if message[0] == "umqtt/n1/diag"][-1])["interval_s"] == 45
    figures(board)


def test_a_configuration_that_cannot_start_is_taken_back_and_said_so(broker, board, peer):
    owner = peer("owner")
    owner.paho.subscribe("umqtt/n1/ack/+", 2)
    run(board, lambda: is_up(board), "the first readings")
    before = (board.root / "config.json").read_bytes()
    owner.publish("umqtt/n1/cmd/config", '{"client_id": "n1", "sensors": [{"type": "thermocouple"}]}')
    run(board, lambda: len(owner.came) == 2, "both answers", 90)
    assert [json.loads(message[1])["ok"] for message in owner.came] == [True, False]
    assert "of type thermocouple" in owner.came[1][1] and "what was before is back" in owner.came[1][1]
    assert (board.root / "config.json").read_bytes() == before
    figures(board)


if not real.mosquitto_path():
    pytestmark = pytest.mark.skip(NO_BROKER)
