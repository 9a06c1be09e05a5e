"""MQTT 5 against a real Mosquitto, with paho-mqtt as the independent other end."""

import itertools
import os
import queue
import subprocess
import time
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from broker import real
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tools.build import build_library

numbers = itertools.count(1)


@pytest.fixture
def name():
    return "five%d" % next(numbers)


class Other:
    """paho-mqtt with MQTT 5; its messages come out of next()."""

    def __init__(self, port, *filters):
        self.messages = queue.Queue()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, "other%d" % next(numbers), protocol=paho.MQTTv5)
        self.client.on_message = lambda client, data, message: self.messages.put(message)
        granted = queue.Queue()
        self.client.on_subscribe = lambda *args: granted.put(args)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        if filters:
            self.client.subscribe(
                [(topic_filter, SubscribeOptions(2, retainAsPublished=True)) for topic_filter in filters]
            )
            granted.get(timeout=real.WAIT_S)

    def next(self):
        return self.messages.get(timeout=real.WAIT_S)

    def publish(self, topic, payload, qos=0, retain=False, **properties):
        own = Properties(PacketTypes.PUBLISH)
        for key, value in properties.items():
            setattr(own, key, value)
        self.client.publish(topic, payload, qos, retain, own).wait_for_publish(real.WAIT_S)

    def close(self):
        self.client.loop_stop()
        self.client.disconnect()


@pytest.fixture
def other(broker):
    made = []

    def make(*filters, port=broker.port):
        made.append(Other(port, *filters))
        return made[-1]

    yield make
    for observer in made:
        observer.close()


def connect(device, broker, name, **named):
    args = ", ".join("%s=%r" % item for item in named.items())
    device.do("from umqtt.v5 import MQTTClient as Five")
    device.do("c = Five(%r, '127.0.0.1', %d, %s)" % (name, broker.port, args))
    device.do("seen = []")
    device.do(
        "c.set_callback(lambda t, p, r: seen.append((t, p, r, c.received.expiry_s, c.received.response_topic, "
        "c.received.correlation, c.received.content_type, c.received.get(38), c.received.get(11))))"
    )
    return device.do("c.connect()")


def test_properties_reach_the_other_end_as_they_were_given(broker, device, other, name):
    there = other("out/#")
    connect(device, broker, name)
    for qos in (0, 1, 2):
        device.do(
            "c.publish('out/x', b'21', qos=%d, expiry_s=600, response_topic='re/ply', correlation=b'\\0\\1', "
            "content_type='text/plain', properties={38: [('a', 'b'), ('a', 'ü')], 1: 1})" % qos
        )
        message = there.next()
        properties = message.properties
        assert (message.topic, message.payload, message.qos) == ("out/x", b"21", qos)
        assert 500 < properties.MessageExpiryInterval <= 600
        assert (properties.ResponseTopic, properties.CorrelationData, properties.ContentType) == (
            "re/ply",
            b"\0\1",
            "text/plain",
        )
        assert (properties.UserProperty, properties.PayloadFormatIndicator) == ([("a", "b"), ("a", "ü")], 1)
    device.do("c.publish('out/x', b'bare', qos=1)")
    assert there.next().properties.json() == {}


def test_properties_of_the_other_end_are_read(broker, device, other, name):
    there = other()
    connect(device, broker, name)
    device.do("c.subscribe('in/#', 2, identifier=300)")
    own = {
        "MessageExpiryInterval": 600,
        "ResponseTopic": "back",
        "CorrelationData": b"\0\xff",
        "ContentType": "json",
        "UserProperty": ("k", "v"),
    }
    for qos in (0, 1, 2):
        there.publish("in/x", "hi", qos, **own)
    there.publish("in/x", "bare", 1)
    assert device.do("serve(c, 60000, lambda: len(seen) > 3)")
    seen = device.do("seen")
    assert len(seen) == 4
    for got in seen[:3]:
        assert got[:3] == (b"in/x", b"hi", False) and 500 < got[3] <= 600
        assert got[4:] == ("back", b"\0\xff", "json", [("k", "v")], [300])
    assert seen[3][3:] == (None, None, None, None, None, [300])


def test_aliases_in_both_directions_and_options_of_subscriptions(broker, device, other, name):
    there = other("long/topic/#")
    connect(device, broker, name, topic_aliases=True, properties={34: 5})
    device.do("c.subscribe([('long/topic/#', 2 + 4), ('back/%s', 1 + 8)])" % name)  # not its own; retain as published
    for i in range(6):
        device.do("c.publish('long/topic/%d', b'%d', qos=%d)" % (i % 2, i, i % 3))
    got = [there.next() for _ in range(6)]  # one of QoS 2 may be overtaken
    assert sorted([(message.topic, message.payload) for message in got], key=lambda row: row[1]) == [
        ("long/topic/%d" % (i % 2), b"%d" % i) for i in range(6)
    ]
    for i in range(4):
        there.publish("back/" + name, "%d" % i, 1, retain=True)
    assert device.do("serve(c, 60000, lambda: len(seen) > 3)")
    assert device.do("[(t, p, r) for t, p, r, *rest in seen]") == [
        (b"back/" + name.encode(), b"%d" % i, True) for i in range(4)
    ]


def test_the_broker_says_why_it_refuses(make_broker, make_device, other, name):
    acl = "topic readwrite open/#\n"
    broker = make_broker(
        "allow_anonymous true\nacl_file $DIR/acl\nmax_packet_size 200\nmax_inflight_messages 2\n", files={"acl": acl}
    )
    device = make_device()
    connect(device, broker, name)
    why = "def why(f):\n    try:\n        return f()\n    except Exception as e:\n        return e.args\n"
    device.do("exec(%r)" % why)
    assert device.do("why(lambda: c.publish('closed', b'x', qos=1))")[0] == 0x87
    assert device.do("why(lambda: c.publish('closed', b'x', qos=2))")[0] == 0x87
    code, words = device.do("why(lambda: c.publish('open/x', b'x' * 300, qos=1))")
    assert code == 0x95 and "the broker takes 200 B" in words
    assert device.do("(c.inflight, c.isconnected())") == (0, True)
    assert device.do("(c.connack.get(33), c.connack.get(39))") == (2, 200)
    assert device.do("[c.publish('open/x', b'%d' % i, qos=1 + i % 2, wait=False) > 0 for i in range(4)]") == [True] * 4
    assert device.do("serve(c, 60000, lambda: not c.inflight)")


def test_sessions_and_ids_are_the_brokers_word(make_broker, make_device, name):
    broker = make_broker("allow_anonymous true\nmax_keepalive 20\n")
    device = make_device()
    assert connect(device, broker, name, session_expiry_s=60) is False
    assert device.do("c.connack.get(19)") == 20  # the broker's keep-alive, for the 60 that were asked for
    device.do("c.subscribe('kept', 1)")
    device.do("c.disconnect()")
    assert device.do("c.connect()") is True
    device.do("c.disconnect(session_expiry_s=0)")
    assert device.do("c.connect()") is False
    device.do("d = Five('', '127.0.0.1', %d)" % broker.port)
    device.do("d.connect()")
    assert len(device.do("d.client_id")) > 8


def test_a_message_that_waited_too_long_is_not_delivered(broker, make_device, other, name):
    sleeper, sender = make_device(), make_device()
    connect(sleeper, broker, name, session_expiry_s=60)
    sleeper.do("c.subscribe('news', 1)")
    sleeper.do("c.disconnect()")
    connect(sender, broker, name + "s")
    sender.do("c.publish('news', b'old', qos=1, expiry_s=1)")
    sender.do("c.publish('news', b'new', qos=1, expiry_s=1000)")
    time.sleep(2.5)
    assert sleeper.do("c.connect()") is True
    assert sleeper.do("serve(c, 60000, lambda: seen)")
    [got] = sleeper.do("seen")
    assert got[1] == b"new" and 900 < got[3] < 999


def test_a_will_is_delayed_and_sent_with_the_goodbye_that_asks_for_it(broker, device, other, name):
    there = other("will/" + name)
    connect(device, broker, name, session_expiry_s=60)
    device.do("c.disconnect()")
    device.do("c.set_last_will('will/%s', 'gone', qos=1, delay_s=0, properties={38: [('why', 'goodbye')]})" % name)
    device.do("c.connect()")
    device.do("c.disconnect(with_will=True)")
    message = there.next()
    assert (message.payload, message.properties.UserProperty) == (b"gone", [("why", "goodbye")])
    device.do("c.set_last_will('will/%s', 'again', delay_s=30)" % name)
    device.do("c.connect()")
    device.do("c.disconnect()")
    time.sleep(0.5)
    assert there.messages.empty()


ACL = "topic readwrite in/#\ntopic readwrite out/#\ntopic readwrite lamp/#\ntopic readwrite answers/#\n"
AIO_PROGRAM = Path(__file__).with_name("aio_v5_program.py")
AIO_SAYS = """\
connack 3
granted b'\\x02'
answers [b'0!', b'1!', b'2!', b'3!', b'4!']
late True
taken %r
closed 135
inflight 0
"""


@pytest.mark.parametrize("form", ["source", "shipped"])
def test_tasks_ask_publish_and_iterate_at_once_with_paho_at_the_other_end(make_broker, other, tmp_path, form):
    if not real.micropython_path():
        pytest.skip("no MicroPython: run `make setup`")
    library = real.ROOT / "firmware" / "lib"
    if form == "shipped":
        build_library(tmp_path)
        library = tmp_path / "mpy"
    broker = make_broker("allow_anonymous true\nacl_file $DIR/acl\nmax_inflight_messages 3\n", files={"acl": ACL})
    there = other("lamp/get", "out/#", port=broker.port)
    seen = []

    def on_message(client, data, message):
        if message.topic == "lamp/get":
            answer = Properties(PacketTypes.PUBLISH)
            answer.CorrelationData = message.properties.CorrelationData
            client.publish(message.properties.ResponseTopic, message.payload + b"!", 1, properties=answer)
        elif message.topic == "out/ready":
            for i in range(6):
                own = Properties(PacketTypes.PUBLISH)
                own.ContentType = "type %d" % i
                own.CorrelationData = b"%d" % i
                own.UserProperty = ("n", "%d" % i)
                client.publish("in/x", b"%d" % i, i % 3, properties=own)
        else:
            seen.append((message.topic, message.payload, getattr(message.properties, "ContentType", None)))

    there.client.on_message = on_message
    got = subprocess.run(
        [real.micropython_path(), str(AIO_PROGRAM), str(broker.port)],
        env={**os.environ, "MICROPYPATH": "%s:.frozen" % library},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=real.WAIT_S,
    )  # fmt: skip
    taken = [(b"%d" % i, "type %d" % i, b"%d" % i, [("n", "%d" % i)], [7]) for i in range(6)]
    assert got.stdout == AIO_SAYS % taken
    end_s = time.monotonic() + real.WAIT_S
    while len(seen) < 56 and time.monotonic() < end_s:
        time.sleep(0.02)
    assert sorted(row for row in seen if row[0] == "out/taken") == [
        ("out/taken", b"%d" % i, "type %d" % i) for i in range(6)
    ]
    many = [row[1] for row in seen if row[0] == "out/many"]
    assert sorted(many) == sorted(b"%d %d" % (number, i) for number in range(5) for i in range(10))
