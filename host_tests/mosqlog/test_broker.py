"""Faults injected into a real Mosquitto: each is found in its log, and nothing else."""

import contextlib
import json
import signal
import tempfile
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from tools.mosqlog.analyse import Analyser
from tools.mosqlog.events import Unknown
from tools.mosqlog.parse import Parser

from . import scenes
from .program import following

pytestmark = pytest.mark.skipif(not scenes.mosquitto(), reason="no Mosquitto: `make setup` gets one")


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="mosqlog-") as name:
        Path(name).chmod(0o755)  # run as root, Mosquitto reads it as somebody else
        yield Path(name)


@contextlib.contextmanager
def broker(folder, *options):
    """A running broker; afterwards it is stopped and its log whole."""
    mosquitto = scenes.Broker(folder, *options)
    mosquitto.start()
    try:
        yield mosquitto
    finally:
        mosquitto.stop()


def analysed(mosquitto):
    analyser, parser, unknown = Analyser(), Parser(), []
    for line in mosquitto.log.open("rb"):
        event = parser.parse(line)
        analyser.feed(event)
        if isinstance(event, Unknown):
            unknown.append(event)
    analyser.finish()
    assert unknown == []
    return analyser


def findings(analyser):
    """Whose and which; that the tests themselves look whether the port is open is no trouble."""
    return {
        subject.id: set(subject.findings)
        for subject in [*analyser.worst_first(), *analyser.worst_strangers()]
        if set(subject.findings) - {"no-connect", "port-check"}
    }


@pytest.mark.parametrize(
    "options",
    [(), ("log_timestamp_format %Y-%m-%dT%H:%M:%S",), ("log_timestamp false",)],
    ids=["epoch", "iso", "no times"],
)
def test_every_injected_fault_is_found_and_nothing_else(folder, options):
    with broker(folder, *options) as mosquitto:
        for scene in scenes.ALL:
            if scene is not scenes.silent or not options:
                scene(mosquitto)
    analyser = analysed(mosquitto)
    got = findings(analyser)
    # Before 2.1 a refused CONNECT is told by address, later by id.
    assert (got.pop("127.0.0.1", None) or got.pop("stranger")) == {"refused-login"}
    wanted = {
        "killed": {"closed-without-disconnect"},
        "taken": {"taken-over"},
        "twin": {"taken-over", "two-devices"},
        "twice": {"sent-twice"},
        "half": {"unfinished-flow"},
        "deaf": {"resent-by-broker"},
        "forbidden": {"denied"},
        "broken": {"malformed"},
        "again": {"protocol-error"},
    }
    if not options:
        wanted["silent"] = {"keepalive-missed"}
    assert got == wanted
    steady = analyser.clients["steady"]
    assert (steady.received, steady.sent, steady.pings, steady.ends) == (3, 3, 1, {"clean": 1})
    assert {sent: delays.count for sent, delays in steady.delays.items()} == (
        {False: 2, True: 2} if options[:1] != ("log_timestamp false",) else {}
    )
    assert analyser.clients["deaf"].sessions[1].present is True
    assert analyser.clients["killed"].sessions[0].will == "will/killed"
    assert analyser.broker.restarts == []


def test_ids_and_topics_that_hold_anything_come_back_whole(folder):
    names = ["a b, c", "x (p2, c1, k60)", "y disconnected.", "z as w", "é (d0", "'q'", "]: disconnected [", "t: u"]
    with broker(folder) as mosquitto:
        for name in names:
            wire = scenes.Wire(mosquitto)
            wire.connect(name)
            wire.subscribe(f"t/{name}/+", 1)
            wire.publish(f"t/{name}", qos=1, pid=9)
            wire.expect(scenes.PUBACK)
            wire.leave()
    analyser = analysed(mosquitto)
    assert set(analyser.clients) == set(names)
    assert findings(analyser) == {}
    for name in names:
        assert analyser.clients[name].ends == {"clean": 1}
        assert analyser.clients[name].subscriptions == {} and analyser.clients[name].delays[False].count == 1
    assert set(analyser.topics) == {f"t/{name}" for name in names}


def test_a_broker_that_was_killed_and_one_that_was_stopped_are_told_apart(folder):
    with broker(folder) as mosquitto:
        wire = scenes.Wire(mosquitto)
        wire.connect("there")
        mosquitto.wait_for("Sending CONNACK to there")
        mosquitto.kill()
        wire.socket.close()
        mosquitto.start()
        mosquitto.stop()
        mosquitto.start()
    analyser = analysed(mosquitto)
    assert [restart.announced for restart in analyser.broker.restarts] == [False, True]
    assert analyser.clients["there"].ends == {"broker-stopped": 1}
    assert findings(analyser) == {}


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_log_is_followed_while_the_broker_writes_it(folder, end):
    with broker(folder) as mosquitto:
        program = following(mosquitto.log)
        try:
            scenes.killed(mosquitto)
            lines = []
            for line in program.stdout:
                lines.append(line)
                if "closed without DISCONNECT" in line:
                    break
            assert "killed: connected, from 127.0.0.1" in "".join(lines)
            program.send_signal(end)
            rest, errors = program.communicate(timeout=120)
        finally:
            program.kill()
            program.communicate()
    assert program.returncode == 0 and errors == ""
    assert "1 x closed-without-disconnect" in rest


def test_a_trouble_is_published_to_a_topic_of_the_broker_that_is_watched(folder):
    with broker(folder) as mosquitto:
        heard, payloads = threading.Event(), []
        listener = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="listener")
        listener.username_pw_set("u", "p")
        listener.on_connect = lambda client, *_: client.subscribe("t/alarm", 1)
        listener.on_subscribe = lambda *_: heard.set()
        listener.on_message = lambda client, userdata, message: (payloads.append(message.payload), heard.set())
        listener.connect("127.0.0.1", mosquitto.port)
        listener.loop_start()
        assert heard.wait(120)
        heard.clear()
        program = following(
            "--publish", f"mqtt://u@127.0.0.1:{mosquitto.port}/t/alarm", mosquitto.log, env={"MOSQLOG_PASSWORD": "p"}
        )
        try:
            scenes.killed(mosquitto)
            assert heard.wait(120)
            program.send_signal(signal.SIGTERM)
            _, errors = program.communicate(timeout=120)
        finally:
            program.kill()
            program.communicate()
        listener.disconnect()
        listener.loop_stop()
    assert (program.returncode, errors, program.complaints) == (0, "", [])
    told = [json.loads(payload) for payload in payloads]
    assert [(each["id"], each["code"]) for each in told] == [("killed", "closed-without-disconnect")]
