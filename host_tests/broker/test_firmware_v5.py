"""The firmware with `protocol` 5 as a process of its own against a real Mosquitto, with paho-mqtt as the other end."""

import itertools
import json
import queue
import time

import paho.mqtt.client as paho
import pytest
from broker import real
from broker.test_firmware import board, built, readings, seqs, stop  # noqa: F401 - fixtures
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

numbers = itertools.count(1)


class Other:
    """paho-mqtt with MQTT 5, subscribed to everything: its messages come out of next(), `seen` keeps them."""

    def __init__(self, port):
        self.messages = queue.Queue()
        self.seen = []
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, "other%d" % next(numbers), protocol=paho.MQTTv5)
        self.client.on_message = lambda client, data, message: self.messages.put(message)
        granted = queue.Queue()
        self.client.on_subscribe = lambda *args: granted.put(args)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe("#", 2)
        granted.get(timeout=real.WAIT_S)

    def next(self, is_wanted=lambda message: True, timeout_s=real.WAIT_S):
        end = time.monotonic() + timeout_s
        while True:
            message = self.messages.get(timeout=max(0.01, end - time.monotonic()))
            self.seen.append(message)
            if is_wanted(message):
                return message

    def close(self):
        self.client.loop_stop()
        self.client.disconnect()


@pytest.fixture
def make_other():
    made = []

    def make(port):
        made.append(Other(port))
        return made[-1]

    yield make
    for observer in made:
        observer.close()


def is_reading(message):
    return "/room/" in message.topic


def is_status(message):
    return message.topic == "umqtt/n1/status"


def said(node, words):
    """Wait until the firmware has printed `words`."""
    end = time.monotonic() + real.WAIT_S
    while words not in node.log.read_text():
        assert time.monotonic() < end, node.log.read_text()
        time.sleep(0.05)


def test_readings_arrive_once_and_with_their_expiry(board, make_broker, make_observer, make_other):  # noqa: F811
    broker = make_broker()
    observer = make_observer(broker.port)
    other = make_other(broker.port)
    node = board(broker.port, protocol=5, expire_s=600, ha_prefix="homeassistant")
    while len(seqs(observer.seen)) < 12:
        observer.next()
    sums = stop(node)
    observer.rest()
    assert sums["taken"] == sums["published"] == sums["acknowledged"] and sums["dropped"] == 0, sums
    assert seqs(observer.seen) == list(range(1, sums["published"] + 1))
    assert readings(observer.seen)[0]["value"] == 21.5
    other.next(lambda message: is_status(message) and message.payload == b"offline")
    expiries = [
        getattr(message.properties, "MessageExpiryInterval", None) for message in other.seen if is_reading(message)
    ]
    assert expiries and all(500 < expiry_s <= 600 for expiry_s in expiries), expiries
    found = [message for message in other.seen if message.topic.startswith("homeassistant/")]
    assert found and not any(hasattr(message.properties, "MessageExpiryInterval") for message in found)
    assert "as n1 (p5, " in broker.log_path.read_text()


def test_a_reset_is_no_alarm_and_a_board_that_stays_away_is_one(board, make_broker, make_other):  # noqa: F811
    broker = make_broker()
    other = make_other(broker.port)
    node = board(broker.port, protocol=5, will_delay_s=12)
    other.next(is_reading)
    node.kill()
    node.wait()
    reset = time.monotonic()
    node = board(broker.port, protocol=5, will_delay_s=4)
    other.next(is_status)
    other.next(is_reading)
    time.sleep(max(0, reset + 13 - time.monotonic()))
    node.kill()
    killed = time.monotonic()
    other.next(lambda message: is_status(message) and message.payload == b"offline")
    assert time.monotonic() - killed > 3
    assert [came.payload for came in other.seen if is_status(came)] == [b"online", b"online", b"offline"]


def test_the_limits_of_a_broker_are_obeyed_and_told(board, make_broker, make_observer):  # noqa: F811
    # it refuses the connection first, for the will would be retained
    broker = make_broker(
        "allow_anonymous true\nretain_available false\nmax_inflight_messages 1\nmax_qos 1\nmax_packet_size 500\n"
    )
    observer = make_observer(broker.port)
    node = board(broker.port, protocol=5)
    while len(seqs(observer.seen)) < 8:
        observer.next()
    sums = stop(node)
    while observer.next()[:2] != ("umqtt/n1/status", b"offline"):
        pass
    text = node.log.read_text()
    assert sums["acknowledged"] == sums["published"] and sums["dropped"] == 0, text
    assert seqs(observer.seen) == list(range(1, sums["published"] + 1))
    assert "broker: it retains nothing, so the will is not retained" in text, text
    for words in ("; QoS 1 at most", "; nothing is retained", "; 1 unacknowledged at most", "; no packet over 500 B"):
        assert words in text, text


def test_a_reading_that_may_not_be_published_is_given_up_and_told(board, make_broker, make_observer):  # noqa: F811
    acl = "user n1\ntopic write umqtt/n1/status\ntopic write umqtt/n1/diag\ntopic write umqtt/n1/room/temperature\n"
    acl += "user observer\ntopic readwrite #\n"
    broker = make_broker(
        "allow_anonymous false\npassword_file $DIR/pw\nacl_file $DIR/acl\n",
        files={"pw": real.password_line("n1", "right"), "acl": acl},
    )
    node = board(broker.port, protocol=5, user="n1", password="right", qos=1)
    said(node, "broker: it refuses umqtt/n1/room/humidity: not authorised")
    time.sleep(1)
    sums = stop(node)
    text = node.log.read_text()
    assert text.count("broker: it refuses umqtt/n1/room/humidity") == 1, text
    assert 0 < sums["dropped"] < sums["taken"] and sums["published"] == sums["taken"], text


def test_a_command_is_answered_where_it_asks_for_it(board, make_broker, make_other):  # noqa: F811
    broker = make_broker()
    other = make_other(broker.port)
    node = board(broker.port, protocol=5, commands=True, interval_s=30)
    other.next(is_reading)
    own = Properties(PacketTypes.PUBLISH)
    own.ResponseTopic = "owner/answers"
    own.CorrelationData = b"\0\xff7"
    other.client.publish("umqtt/n1/cmd/interval", b"20", 2, False, own)
    answer = other.next(lambda message: message.topic == "owner/answers")
    assert json.loads(answer.payload) == {"ok": True, "words": "interval_s is 20"}
    assert answer.properties.CorrelationData == b"\0\xff7"
    other.client.publish("umqtt/n1/cmd/interval", b"", 2)
    assert other.next(lambda message: "/ack/" in message.topic).topic == "umqtt/n1/ack/interval"
    stop(node)
