"""The programs of examples/ as a user copies them, on a MicroPython with a board's heap against a real Mosquitto.

Each runs twice: on the library's source, and on the form that a board loads. Of a program nothing is changed but the
broker's place and its pauses. What a board has and a PC has not stands in `standins/`.
"""

import queue
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from broker import real
from broker.test_real_tls import CONFIG as TLS
from broker.test_real_tls import Authority
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

EXAMPLES = real.ROOT / "examples"
STANDINS = Path(__file__).with_name("standins")
PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py"))
HEAP_B = {"source": 150_000, "shipped": 60_000}  # as an ESP32 has after its start; the source is compiled in it
MOST_LINES = 30
WAIT_S = 15


class Program:
    """A program of examples/ under MicroPython in a folder of its own; `replaced`: {its text: ours}."""

    def __init__(self, folder, lib, name, heap_b, replaced):
        text = (EXAMPLES / name).read_text()
        for old, new in replaced.items():
            assert old in text, (name, old)
            text = text.replace(old, new)
        for link, there in (("lib", lib), ("standins", STANDINS), ("examples", EXAMPLES)):
            if not (folder / link).exists():  # MicroPython keeps the path of a module: as short as a board's
                (folder / link).symlink_to(there)
        (folder / name).write_text("import sys\nsys.path[:0] = ['lib', 'standins', 'examples']\n" + text)
        self.process = subprocess.Popen(
            [real.micropython_path(), "-X", "heapsize=%d" % heap_b, name],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.lines = queue.Queue()
        self.said = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def says(self, wanted):
        """Wait until it prints a line with this in it."""
        end_s = time.monotonic() + WAIT_S
        while not any(wanted in line for line in self.said):
            try:
                self.said.append(self.lines.get(timeout=max(0, end_s - time.monotonic())))
            except queue.Empty:
                raise AssertionError("it did not say %r, but %r" % (wanted, self.said[:20]))

    def sends(self, messages, topic=None):
        """The next of these messages, on this topic; an AssertionError with what it printed when none comes."""
        end_s = time.monotonic() + WAIT_S
        while True:
            try:
                message = messages.get(timeout=max(0, end_s - time.monotonic()))
            except queue.Empty:
                raise AssertionError("no message, it says %r" % [*self.said, *self.lines.queue][-20:])
            if topic in (None, message.topic):
                return message

    def ends(self):
        """Wait until it has ended; returns all that it printed."""
        assert self.process.wait(WAIT_S) == 0, list(self.lines.queue)
        self.reader.join(WAIT_S)
        return list(self.lines.queue)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture(params=sorted(HEAP_B))
def run(request, tmp_path):
    """run(name, {its text: ours}) starts a program of examples/."""
    if not real.micropython_path():
        pytest.skip("no MicroPython: run `make setup`")
    lib = (real.ROOT if request.param == "source" else real.shipped_checkout()) / "firmware" / "lib"
    running = []

    def start(name, replaced):
        running.append(Program(tmp_path, lib, name, HEAP_B[request.param], replaced))
        return running[-1]

    yield start
    for program in running:
        program.stop()


@pytest.fixture
def broker(make_broker):
    """A Mosquitto that has not seen the program before."""
    return make_broker()


@pytest.fixture
def seen(broker, make_observer):
    return make_observer(broker.port)


def at(port, host="192.168.1.10", here="127.0.0.1"):
    return {'"%s"' % host: '"%s", %d' % (here, port)}


def next_of(observer, topic):
    while True:
        got = observer.next()
        if got[0] == topic:
            return got


def test_every_program_is_short_and_has_a_test():
    tests = Path(__file__).read_text()
    for name in PROGRAMS:
        assert len((EXAMPLES / name).read_text().splitlines()) < MOST_LINES, name
        assert '"%s"' % name in tests or name == "wifi.py", name


def test_readings_go_out_and_wait_while_the_broker_is_away(broker, make_observer, run):
    observer = make_observer(broker.port)
    program = run("publish.py", {**at(broker.port), "10_000": "100", "Reconnect(": "Reconnect(100, 200, "})
    program.says("connected")
    assert next_of(observer, "kitchen/temperature") == ("kitchen/temperature", b"21.5", 1, False)
    observer.close()
    broker.stop()
    program.says("closed by the broker")
    program.says("dropped, 4 messages wait")
    broker.start()
    observer = make_observer(broker.port, client_id="again")
    next_of(observer, "kitchen/temperature")
    program.stop()
    assert next_of(observer, "kitchen/status")[1] == b"offline"


def test_a_command_is_obeyed_answered_and_what_is_none_is_told(broker, seen, run):
    program = run("commands.py", at(broker.port))
    broker.wait(lambda events: any("lamp/set" in str(event) for event in events), "lamp")
    seen.publish("lamp/set", "on", qos=1)
    program.says("pin 5: 1")
    assert next_of(seen, "lamp/state")[1] == b"on"
    seen.publish("lamp/set", "of", qos=1)
    program.says("not a command: b'of'")
    for _ in range(10):
        seen.publish("lamp/set", "on", qos=1)
        seen.publish("lamp/set", "off", qos=1)
    seen.publish("lamp/set", "end", qos=1)
    program.says("not a command: b'end'")
    assert program.said.count("pin 5: 0") == 10
    while next_of(seen, "lamp/state")[1] != b"off":
        pass


def test_tasks_share_one_client_through_an_outage(broker, make_observer, run):
    observer = make_observer(broker.port)
    quick = {"sleep(10)": "sleep_ms(100)", "Reconnect()": "Reconnect(100, 200), timeout_ms=1000"}
    program = run("tasks.py", {**at(broker.port), **quick})
    next_of(observer, "kitchen/temperature")
    broker.wait(lambda events: any("kitchen/light/set" in str(event) for event in events), "kitchen")
    observer.publish("kitchen/light/set", "on", qos=1)
    program.says("light: b'on'")
    observer.close()
    broker.stop()
    program.says("not yet acknowledged: ")
    broker.start()
    observer = make_observer(broker.port, client_id="again")
    next_of(observer, "kitchen/temperature")
    observer.publish("kitchen/light/set", "off", qos=1, retain=True)  # it may not have subscribed again yet
    program.says("light: b'off'")


def test_mqtt_ass_clean_goes_on_by_itself_after_the_broker_was_away(broker, make_observer, run):
    observer = make_observer(broker.port)
    quick = {"sleep(5)": "sleep_ms(50)", "Reconnect(": "Reconnect(100, 200, "}
    program = run("from_mqtt_as_clean.py", {**at(broker.port), **quick})
    assert next_of(observer, "result") == ("result", b"0 0", 1, False)
    broker.wait(lambda events: any("foo_topic" in str(event) for event in events), "board")
    observer.publish("foo_topic", "hello", qos=1)
    program.says("foo_topic hello False")
    observer.close()
    broker.stop()
    program.says("False [Errno")
    program.says("beat")
    broker.start()
    observer = make_observer(broker.port, client_id="again")
    next_of(observer, "result")
    broker.wait(lambda events: sum("foo_topic" in str(event) for event in events) > 1, "board")
    observer.publish("foo_topic", "again", qos=1)
    program.says("foo_topic again False")


def test_mqtt_ass_range_tells_of_each_connection_and_leaves_a_will(broker, make_observer, run):
    observer = make_observer(broker.port)
    program = run("from_mqtt_as_range.py", {**at(broker.port), "Reconnect()": "Reconnect(100, 200)"})
    program.says("up")
    assert next_of(observer, "shed")[1] == b"connection 1"
    observer.publish("foo_topic", "hello", qos=1)
    program.says("foo_topic hello False")
    observer.close()
    broker.stop()
    program.says("down: ")
    program.said.clear()
    broker.start()
    program.says("up")  # again; nobody but the broker can be there in time for the message of its second connection
    observer = make_observer(broker.port, client_id="again")
    program.stop()
    while next_of(observer, "shed")[1] != b"Goodbye cruel world!":
        pass


def test_mqtt_ass_async_message_finds_its_functions(broker, seen, run):
    program = run("from_mqtt_as_routes.py", {**at(broker.port), "sleep(5)": "sleep_ms(50)"})
    assert next_of(seen, "shed")[1] == b"Count = 0"
    broker.wait(lambda events: any("led/#" in str(event) for event in events), "shed")
    seen.publish("led/blue", "on", qos=1)
    program.says("pin 5: 1")
    seen.publish("led/red", "on", qos=1)
    program.says("nobody's: b'led/red' b'on'")


def test_a_program_for_umqtt_simple_runs_as_it_is(broker, seen, run):
    program = run("from_simple.py", at(broker.port))
    assert next_of(seen, "kitchen/status")[1] == b"online"
    seen.publish("kitchen/light/set", "on", qos=2)
    program.says("b'kitchen/light/set' b'on'")


def test_each_topic_finds_its_function(broker, seen, run):
    program = run("routing.py", at(broker.port))
    broker.wait(lambda events: any("settings" in str(event) for event in events), "hall")
    for topic, told in (
        ("house/attic/light", "light in attic: dim"),
        ("settings", "setting b'settings' b'dim'"),
        ("settings/a/b", "setting b'settings/a/b' b'dim'"),
        ("news", "nobody's: b'news'"),
    ):
        seen.publish(topic, "dim", qos=1)
        program.says(told)


# Where a sleeping board keeps its readings: as the program has it, and as docs/sleep.md says for the others.
KEPT = {
    "esp32": {},
    "esp8266": {"memory, 64, 384": "memory, 64, 180", "memory, 448, 1600": "memory, 244, 248"},
    "flash": {
        'RtcJournal(Region(memory, 64, 384), FileJournal("journal"))': 'FileJournal("journal")',
        ", stage=Region(memory, 448, 1600)": "",
    },
}


def test_tasks_ask_and_answer_with_mqtt_5(broker, run):
    program = run("tasks_mqtt5.py", {**at(broker.port), "sleep(10)": "sleep_ms(100)", ", 5000)": ", 500)"})
    got = queue.Queue()

    def on_message(client, data, message):
        if message.topic != "lamp/get":
            return got.put(message)
        answer = Properties(PacketTypes.PUBLISH)
        answer.CorrelationData = message.properties.CorrelationData
        return client.publish(message.properties.ResponseTopic, "on", 1, properties=answer)

    program.says("no answer: ")  # nobody is there
    there = paho.Client(paho.CallbackAPIVersion.VERSION2, "there", protocol=paho.MQTTv5)
    there.on_message = on_message
    there.connect("127.0.0.1", broker.port)
    there.subscribe([("kitchen/temperature", 1), ("there/answer", 1), ("lamp/get", 1)])
    there.loop_start()
    try:
        reading = program.sends(got)
        assert 500 < reading.properties.MessageExpiryInterval <= 600
        program.says("lamp: b'on'")
        asked = Properties(PacketTypes.PUBLISH)
        asked.ResponseTopic = "there/answer"
        asked.CorrelationData = b"17"
        there.publish("kitchen/get", "degree", 1, properties=asked)
        answer = program.sends(got, "there/answer")
        assert (answer.payload, answer.properties.CorrelationData) == (b"21.5", b"17")
    finally:
        there.loop_stop()
        there.disconnect()


def test_readings_expire_and_a_question_is_answered_with_mqtt_5(broker, run):
    program = run("mqtt5.py", {**at(broker.port), "+ 10": "+ 1"})
    got = queue.Queue()
    asker = paho.Client(paho.CallbackAPIVersion.VERSION2, "asker", protocol=paho.MQTTv5)
    asker.on_message = lambda client, data, message: got.put(message)
    asker.connect("127.0.0.1", broker.port)
    asker.subscribe([("kitchen/temperature", 1), ("asker/answer", 1)])
    asker.loop_start()
    try:
        reading = program.sends(got)
        assert (reading.payload, reading.properties.ContentType) == (b"21.5", "text/plain")
        assert 500 < reading.properties.MessageExpiryInterval <= 600
        broker.wait(lambda events: any("kitchen/set" in str(event) for event in events), "kitchen")
        asked = Properties(PacketTypes.PUBLISH)
        asked.ResponseTopic = "asker/answer"
        asked.CorrelationData = b"17"
        asked.UserProperty = ("unit", "degree")
        asker.publish("kitchen/set", "22", 1, properties=asked)
        program.says("[('unit', 'degree')]")
        answer = program.sends(got, "asker/answer")
        assert (answer.payload, answer.properties.CorrelationData) == (b"done", b"17")
    finally:
        asker.loop_stop()
        asker.disconnect()


@pytest.mark.parametrize("kept", KEPT)
def test_a_board_that_sleeps_sends_each_reading_once(make_broker, make_observer, run, kept):
    broker = make_broker(persistence=True)
    observer = make_observer(broker.port)
    told = []
    for life in range(4):
        if life == 1:
            observer.close()
            broker.stop()
        if life == 3:
            broker.start()
            observer = make_observer(broker.port, client_id="again")
        told.append(run("sleep.py", {**at(broker.port), **KEPT[kept], '"21.5"': '"%d"' % life}).ends())
        if life == 0:
            assert next_of(observer, "shed/temperature")[1:3] == (b"0", 2)
    assert [message[1] for message in observer.rest() if message[0] == "shed/temperature"] == [b"1", b"2", b"3"]
    assert [lines[-1] for lines in told] == ["sleeps for 60000 ms"] * 4
    assert [len(lines) for lines in told] == [1, 2, 2, 1] and told[1][0].startswith("kept for the next wake: "), told


def test_a_network_that_is_not_there_is_told_and_the_reading_kept(broker, run):
    lines = run("sleep.py", {**at(broker.port), "my network": "other", "60_000": "1000", '"its password"': '"", 300'})
    assert lines.ends() == [
        "kept for the next wake: WiFi: other is not joined, status 201",
        "sleeps for 1000 ms",
    ]


def test_a_file_larger_than_the_heap_goes_out_and_comes_in(broker, run, make_observer, tmp_path):
    observer = make_observer(broker.port, topic="camera/photo")
    photo = bytes(range(256)) * 1200
    (tmp_path / "photo.jpg").write_bytes(photo)
    run("large_send.py", at(broker.port)).ends()
    assert observer.next()[:3] == ("camera/photo", photo, 1)
    program = run("large_receive.py", at(broker.port))
    broker.wait(lambda events: any("shelf/update" in str(event) for event in events), "shelf")
    observer.publish("shelf/update", photo, qos=1)
    program.says("update.part is whole")
    assert (tmp_path / "update.part").read_bytes() == photo


@pytest.fixture(scope="module")
def authority():
    return Authority("a private CA")


def test_tls_takes_the_right_broker_and_no_other(make_broker, authority, run, tmp_path):
    cert, key = authority.issue("localhost")
    broker = make_broker(TLS, files={"ca": authority.pem(), "cert": cert, "key": key})
    (tmp_path / "ca.der").write_bytes(authority.der())
    replaced = {**at(broker.port, "broker.example", "localhost"), "10_000": "50"}
    run("tls.py", replaced).says("connected")
    broker.wait(lambda events: any("temperature" in str(event) for event in events), "kitchen")
    (tmp_path / "ca.der").write_bytes(Authority("another").der())
    run("tls.py", replaced).says("not correctly signed by the trusted CA")


def test_a_board_shows_its_certificate(make_broker, authority, run, tmp_path):
    cert, key = authority.issue("localhost")
    config = TLS + "require_certificate true\nuse_identity_as_username true\n"
    broker = make_broker(config, files={"ca": authority.pem(), "cert": cert, "key": key})
    (tmp_path / "ca.der").write_bytes(authority.der())
    (tmp_path / "ca.pem").write_bytes(authority.pem())
    pem, pkcs8, bare = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    (tmp_path / "ca-key.pem").write_bytes(authority.key.private_bytes(pem, pkcs8, bare))
    if not shutil.which("openssl"):
        pytest.skip("no openssl, with which docs/tls.md makes the board's certificate")
    commands = re.search(r"```\n(openssl ecparam.*?)```", (real.ROOT / "docs" / "tls.md").read_text(), re.S)[1]
    subprocess.run(["sh", "-e", "-c", commands], cwd=tmp_path, check=True, stderr=subprocess.DEVNULL)
    run("tls_certificate.py", at(broker.port, "broker.example", "localhost")).ends()
    broker.wait(lambda events: any("temperature" in str(event) for event in events), "kitchen")


def test_a_pre_shared_key_is_enough(make_broker, run):
    probe = "import tls; tls.SSLContext(tls.PROTOCOL_TLS_CLIENT).psk_identity = b'k'"
    if subprocess.run([real.micropython_path(), "-c", probe], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("this MicroPython has no pre-shared keys: 1.29 has them")
    keys = "kitchen:a1b2c3d4e5f60718293a4b5c6d7e8f90\n"
    broker = make_broker("allow_anonymous true\npsk_hint h\npsk_file $DIR/keys\n", files={"keys": keys})
    run("tls_psk.py", at(broker.port, "broker.example")).ends()
    broker.wait(lambda events: any("temperature" in str(event) for event in events), "kitchen")
