"""umqtt.simple is a drop-in: the same script gives the same packets, returns and attributes as micropython-lib's.

`PEERS=/path/to/micropython-lib` runs each against upstream too, so that the facts here cannot drift.
"""

import sys

from dropin.peers import stages
from fakes.bench import HOST, World  # noqa: F401 - twice: early, and across the tick wrap
from fakes.check import equal, raises, skip
from fakes.model import Model
from fakes.net import Plan
from fakes.packets import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
)
from umqtt import simple

# name: (arguments, their defaults), of micropython-lib's current version
SIGNATURES = {
    "__init__": (
        ("client_id", "server", "port", "user", "password", "keepalive", "ssl", "ssl_params"),
        (0, None, None, 0, None, None),  # the last is {} there
    ),
    "set_callback": (("f",), ()),
    "set_last_will": (("topic", "msg", "retain", "qos"), (False, 0)),
    "connect": (("clean_session", "timeout"), (True, None)),
    "disconnect": ((), ()),
    "ping": ((), ()),
    "publish": (("topic", "msg", "retain", "qos"), (False, 0)),
    "subscribe": (("topic", "qos"), (0,)),
    "wait_msg": ((), ()),
    "check_msg": ((), ()),
}
ATTRIBUTES = {
    "client_id": "cid",
    "sock": None,
    "server": HOST,
    "port": 1883,
    "ssl": None,
    "pid": 0,
    "cb": None,
    "user": None,
    "pswd": None,
    "keepalive": 0,
    "lw_topic": None,
    "lw_msg": None,
    "lw_qos": 0,
    "lw_retain": False,
}


def test_signatures():
    try:
        from inspect import signature
    except ImportError:
        skip("no inspect here; CPython compares the signatures")
    for stage in stages():
        for name in SIGNATURES:
            args, defaults = SIGNATURES[name]
            got = list(signature(getattr(stage.Client, name)).parameters.values())[1:]
            # older upstreams have no timeout; ours may have more behind, as long as they have defaults
            count = len(args) if stage.name == "ours" else len(got)
            equal(tuple(parameter.name for parameter in got[:count]), args[:count], (stage.name, name))
            given = tuple(
                parameter.default if parameter.default != {} else None
                for parameter in got[:count]
                if parameter.default is not parameter.empty
            )
            equal(given, defaults[: len(given)], (stage.name, name))
            assert all(
                parameter.default is not parameter.empty or parameter.kind == parameter.VAR_POSITIONAL
                for parameter in got[count:]
            ), (name, got)


def test_attributes_before_connect():
    for stage in stages():
        client = stage.client()
        for name in ATTRIBUTES:
            equal(getattr(client, name), ATTRIBUTES[name], (stage.name, name))
        equal(stage.client(ssl=object()).port if stage.name != "ours" else 8883, 8883)


def test_arguments_may_be_given_by_position():
    for stage in stages():
        client = stage.client(1884, "ann", "pw", 30)
        equal((client.port, client.user, client.pswd, client.keepalive), (1884, "ann", "pw", 30))


def test_connect_sends_and_returns_what_upstream_does():
    for sp in (0, 1):
        for stage in stages():
            stage.broker.expect(
                CONNECT, client_id="cid", clean=0, keepalive=60, user="ann", password=b"pw", will=("w", b"gone", 1, 1)
            )
            stage.broker.send(CONNACK, sp=sp)
            client = stage.client(user=b"ann", password=b"pw", keepalive=60)
            client.set_last_will(b"w", b"gone", True, 1)
            equal((client.lw_topic, client.lw_msg, client.lw_retain, client.lw_qos), (b"w", b"gone", True, 1))
            equal(client.connect(False), sp)
            assert client.sock is not None
            stage.broker.done()


def test_a_clean_session_without_keepalive_is_the_default():
    for stage in stages():
        stage.broker.expect(CONNECT, clean=1, keepalive=0, will=None, user=None)
        stage.broker.send(CONNACK)
        equal(stage.client().connect(), 0)
        stage.broker.done()


def test_a_refused_connect_raises_mqttexception_with_the_code():
    for stage in stages():
        stage.broker.expect(CONNECT)
        stage.broker.send(CONNACK, code=5)
        equal(raises(stage.MQTTException, stage.client().connect).args[0], 5)


def test_publish_returns_none_and_counts_pid():
    for stage in stages():
        client = stage.connected()
        stage.broker.expect(PUBLISH, qos=0, retain=1, topic="t", payload="x")
        equal(client.publish(b"t", b"x", True), None)
        stage.broker.expect(PUBLISH, qos=1, pid=1, dup=0)
        stage.broker.send(PUBACK, 1)
        equal(client.publish("t", "x", qos=1), None)
        equal(client.pid, 1)
        stage.broker.done()


def test_publish_of_thousands_of_bytes():
    for stage in stages():
        client = stage.connected()
        stage.broker.expect(PUBLISH, payload=b"x" * 20000)
        client.publish(b"t", b"x" * 20000)
        stage.broker.done()


def test_subscribe_returns_none_and_needs_a_callback():
    for stage in stages():
        client = stage.connected()
        stage.broker.expect(SUBSCRIBE, pid=1, filters=[("a/#", 1)])
        stage.broker.send(SUBACK, 1, codes=(1,))
        equal(client.subscribe(b"a/#", 1), None)
        client.set_callback(None)
        raises((AssertionError, ValueError), client.subscribe, b"a")
        stage.broker.done()


def test_a_refused_subscribe_raises_mqttexception_with_0x80():
    for stage in stages():
        client = stage.connected()
        stage.broker.expect(SUBSCRIBE)
        stage.broker.send(SUBACK, 1, codes=(0x80,))
        equal(raises(stage.MQTTException, client.subscribe, b"a").args[0], 0x80)


def test_wait_msg_returns_the_first_byte_and_calls_back_with_two_bytes_objects():
    for stage in stages():
        client = stage.connected()
        stage.broker.send(PUBLISH, topic="t", payload="x", retain=1)
        equal(client.wait_msg(), 0x31)
        stage.broker.send(PUBLISH, 9, topic="t/2", payload="", qos=1)
        stage.broker.expect(PUBACK, pid=9)
        equal(client.wait_msg(), 0x32)
        equal(stage.inbox, [(b"t", b"x"), (b"t/2", b"")])
        assert isinstance(stage.inbox[0][0], bytes) and isinstance(stage.inbox[0][1], bytes)
        stage.broker.done()


def test_ping_and_its_answer():
    for stage in stages():
        client = stage.connected()
        stage.broker.expect(PINGREQ)
        stage.broker.send(PINGRESP)
        equal(client.ping(), None)
        stage.world.clock.run_due()
        equal(client.wait_msg(), None)
        stage.broker.done()


def test_check_msg_returns_at_once():
    for stage in stages():
        client = stage.connected()
        began_ms = stage.world.clock.now
        equal(client.check_msg(), None)
        equal(stage.world.clock.now, began_ms)
        stage.broker.send(PUBLISH, topic="t", payload="x")
        stage.world.clock.run_due()
        equal(client.check_msg(), 0x30)
        equal(client.check_msg(), None)
        equal(stage.inbox, [(b"t", b"x")])


def test_disconnect_says_goodbye_and_closes():
    for stage in stages():
        client = stage.connected()
        stage.broker.expect(DISCONNECT)
        equal(client.disconnect(), None)
        stage.broker.done()
        equal(stage.world.net.open_sockets(), [])


def test_the_end_of_the_stream_is_an_os_error():
    for stage in stages():
        client = stage.connected()
        stage.broker.cut()
        raises(OSError, client.wait_msg)


def test_sock_can_be_polled_by_the_program():
    for stage in stages():
        client = stage.connected()
        poller = stage.world.net.select.poll()
        poller.register(client.sock, 1)
        equal(poller.poll(0), [])
        stage.broker.send(PUBLISH, payload="x")
        equal(len(poller.poll(10)), 1)
        client.check_msg()
        equal(poller.poll(0), [])
        equal(stage.inbox, [(b"t", b"x")])


def test_a_subclass_may_override_and_call_up():
    for stage in stages():

        class Mine(stage.Client):
            def connect(self, *args):
                self.dialled = True
                return super().connect(*args)

            def publish(self, topic, msg, *args):
                return super().publish(b"pre/" + topic, msg, *args)

        stage.broker.expect(CONNECT)
        stage.broker.send(CONNACK)
        stage.broker.expect(PUBLISH, topic="pre/t")
        client = Mine("cid", HOST)
        client.connect()
        assert client.dialled
        client.publish(b"t", b"x")
        stage.broker.done()


def test_a_callback_may_publish():
    for stage in stages():
        client = stage.connected()
        client.set_callback(lambda topic, message: client.publish(b"echo", message))
        stage.broker.send(PUBLISH, topic="t", payload="x")
        stage.broker.expect(PUBLISH, topic="echo", payload="x")
        client.wait_msg()
        stage.broker.done()


def test_an_ssl_object_gets_the_socket_and_the_host_name():
    for stage in stages():
        seen = []

        class Ssl:
            def wrap_socket(self, sock, server_hostname=None):
                seen.append(server_hostname)
                return sock

        stage.world.net.serve(HOST, 8883, stage.broker)
        stage.broker.expect(CONNECT)
        stage.broker.send(CONNACK)
        stage.client(ssl=Ssl()).connect()
        equal(seen, [HOST])
        stage.broker.done()


# beyond upstream: ours alone


def ours():
    return next(iter(stages()))


def test_qos_2_goes_out_and_comes_in():
    stage = ours()
    client = stage.connected()
    stage.broker.expect(PUBLISH, qos=2, pid=1)
    stage.broker.send(PUBREC, 1)
    stage.broker.expect(PUBREL, pid=1)
    stage.broker.send(7, 1)
    client.publish(b"t", b"x", qos=2)
    stage.broker.send(PUBLISH, 9, qos=2, payload="in")
    stage.broker.expect(PUBREC, pid=9)
    stage.broker.send(PUBREL, 9)
    stage.broker.expect(7, pid=9)
    equal(client.wait_msg(), 0x34)
    client.wait_msg()
    equal(stage.inbox, [(b"t", b"in")])
    stage.broker.done()


def test_text_lengths_are_utf8_lengths():
    stage = ours()
    client = stage.connected()
    stage.broker.expect(PUBLISH, topic="temp/°C", payload="21 °C")
    client.publish("temp/°C", "21 °C")
    stage.broker.done()


def test_ids_wrap_past_65535():
    stage = ours()
    client = stage.connected()
    client.pid = 65534
    for pid in (65535, 1):
        stage.broker.expect(PUBLISH, pid=pid)
        stage.broker.send(PUBACK, pid)
        client.publish(b"t", b"x", qos=1)
        equal(client.pid, pid)
    stage.broker.done()


def test_connect_and_publish_and_subscribe_end_at_a_deadline():
    stage = ours()
    stage.broker.expect(CONNECT)
    began_ms = stage.world.clock.now
    client = stage.client()
    raises(OSError, client.connect)
    equal(stage.world.clock.now - began_ms, 30000)
    stage.broker.expect(CONNECT)
    began_ms = stage.world.clock.now
    raises(OSError, client.connect, True, 2)
    equal(stage.world.clock.now - began_ms, 2000)
    stage = ours()
    client = stage.connected()
    stage.broker.expect(PUBLISH)
    began_ms = stage.world.clock.now
    raises(OSError, client.publish, b"t", b"x", qos=1)
    equal(stage.world.clock.now - began_ms, 30000)


def test_wait_msg_notices_a_silent_dead_link_without_a_keepalive():
    stage = ours()
    client = stage.connected()
    stage.broker.cut("silence")
    began_ms = stage.world.clock.now
    raises(OSError, client.wait_msg)
    assert stage.world.clock.now - began_ms <= 100000, stage.world.clock.now - began_ms


def test_wait_msg_waits_for_hours_on_a_sound_link():
    for keepalive in (0, 10, 100, 300, 3600):
        stage = ours()
        stage.broker.auto_ping = True
        client = stage.connected(keepalive=keepalive)
        stage.broker.wait(7_200_000)
        stage.broker.send(PUBLISH, payload="late")
        polls = stage.world.net.polls
        while not stage.inbox:
            client.wait_msg()
        assert stage.world.net.polls - polls < 5000, stage.world.net.polls


def test_an_ack_that_comes_outside_publish_leaves_the_stream_in_step():
    stage = ours()
    client = stage.connected()
    stage.broker.raw(b"\x40\2\0\x09\x70\2\0\x09")
    stage.broker.send(PUBLISH, payload="x")
    while not stage.inbox:
        client.wait_msg()
    equal(stage.inbox, [(b"t", b"x")])
    stage.broker.done()


def test_a_subclass_may_have_a_topic_of_its_own():
    for stage in stages():

        class Device(stage.Client):
            def __init__(self):
                super().__init__("cid", HOST)
                self.topic = b"dev/1"

        device = Device()
        stage.broker.accept()
        device.connect()
        for topic in (b"dev/1", b"dev/2", b"dev/1"):
            stage.broker.expect(PUBLISH, topic=topic.decode())
        device.publish(device.topic, b"1")
        device.publish(b"dev/2", b"2")
        equal(device.topic, b"dev/1")
        device.publish(device.topic, b"3")
        stage.broker.done()


def test_a_sock_that_the_program_took_away_is_not_connected():
    from umqtt.simple import MQTTClient

    world = World()
    client = MQTTClient("cid", HOST)
    world.broker.accept()
    client.connect()
    client.sock.close()
    client.sock = None
    raises(OSError, client.publish, b"a", b"b")
    raises(OSError, client.check_msg)
    world.broker.accept()
    world.broker.expect(PUBLISH)
    client.connect()
    client.publish(b"a", b"b")
    world.broker.done()


def test_unsubscribe_is_the_native_clients():
    import umqtt.robust
    import umqtt.simple

    for module in (umqtt.simple, umqtt.robust):
        world = World()
        world.broker.accept()
        client = module.MQTTClient("c1", HOST)
        client.connect()
        world.broker.expect(UNSUBSCRIBE, filters=["a/b"])
        world.broker.reply(UNSUBACK)
        client.unsubscribe("a/b")
        world.broker.done()


def test_a_subclass_that_connects_by_itself_is_served_and_what_was_unacknowledged_is_repeated():
    from fakes.packets import encode
    from umqtt import simple

    world = World()
    broker = world.broker

    class Own(simple.MQTTClient):
        def connect(self):
            self.sock = world.net.socket.socket()
            self.sock.connect(world.net.socket.getaddrinfo(HOST, 1883)[0][-1])
            self.sock.write(encode(CONNECT, client_id="cid", clean=0))
            self.sock.read(4)

    client = Own("cid", HOST)
    broker.expect(CONNECT)
    broker.send(CONNACK)
    broker.expect(PUBLISH, qos=1, pid=1, dup=0)
    client.connect()
    raises(OSError, client.publish, b"t", b"one", False, 1)  # no answer in time
    broker.expect(CONNECT)
    broker.send(CONNACK, sp=1)
    broker.expect(PUBLISH, qos=1, pid=1, dup=1)
    broker.expect(PUBLISH, qos=1, pid=2, dup=0)
    broker.send(PUBACK, 1)
    broker.send(PUBACK, 2)
    client.connect()
    client.publish(b"t", b"two", False, 1)
    equal(client.inflight, 0)
    broker.done()


def test_a_message_of_any_size_comes():
    for stage in stages():
        client = stage.connected()
        for size_b in (10, 300, 2000, 70000, 20):
            stage.broker.send(PUBLISH, topic="cfg/a", payload=b"x" * size_b)
        while len(stage.inbox) < 5:
            equal(client.wait_msg(), 0x30)
        equal([len(msg) for topic, msg in stage.inbox], [10, 300, 2000, 70000, 20])
        equal([topic for topic, msg in stage.inbox], [b"cfg/a"] * 5)
        stage.broker.send(PUBLISH, 9, topic="cfg/a", payload=b"y" * 1000, qos=1)
        stage.broker.expect(PUBACK, pid=9)
        equal(client.wait_msg(), 0x32)
        equal(stage.inbox[5], (b"cfg/a", b"y" * 1000))
        assert isinstance(stage.inbox[5][1], bytes)
        stage.broker.done()


def test_arrays_are_payloads():
    import array

    for stage in stages():
        client = stage.connected()
        for payload in (array.array("B", [1, 2, 250]), bytearray(b"ab"), memoryview(b"xyz")[1:]):
            for qos in (0, 1):
                stage.broker.expect(PUBLISH, qos=qos, payload=bytes(payload))
                if qos:
                    stage.broker.reply(PUBACK)
                client.publish(b"t", payload, qos=qos)
        stage.broker.done()
    stage = ours()
    client = stage.connected()
    readings = array.array("H", [1, 2, 515])  # upstream counts items for bytes
    stage.broker.expect(PUBLISH, payload=bytes(memoryview(readings)))
    client.publish(b"t", readings)
    stage.broker.done()


def test_a_callback_publishes_any_number_of_qos_1_messages():
    for stage in stages():
        client = stage.connected()
        stage.broker.send(PUBLISH, topic="t", payload="go")
        for i in range(40):
            stage.broker.expect(PUBLISH, qos=1, pid=i + 1, payload="%d" % i)
            stage.broker.send(PUBACK, i + 1)

        def answer(topic, msg):
            for i in range(40):
                client.publish(b"t", b"%d" % i, qos=1)

        client.set_callback(answer)
        client.wait_msg()
        while stage.name == "ours" and client.inflight:
            client.wait_msg()
        stage.broker.done()
    client.check_msg()
    if stage.name == "ours":
        equal(client.free_slots(), 4)  # what a callback took is given back


def test_a_callback_subscribes_and_unsubscribes():
    for stage in stages():
        client = stage.connected()
        stage.broker.send(PUBLISH, topic="t", payload="go")
        for pid in (1, 2, 3, 4, 5, 6):
            stage.broker.expect(SUBSCRIBE, pid=pid)
            stage.broker.send(SUBACK, pid, codes=(0,))
        stage.broker.expect(UNSUBSCRIBE)
        stage.broker.reply(UNSUBACK)

        def answer(topic, msg):
            for _ in range(6):
                client.subscribe(b"a")
            client.unsubscribe(b"a")

        client.set_callback(answer)
        client.wait_msg()
        while stage.name == "ours" and client.inflight:
            client.wait_msg()
        stage.broker.done()


def test_a_clean_session_begins_with_nothing_in_flight_and_no_subscriptions():
    stage = ours()
    client = stage.connected()
    stage.broker.expect(SUBSCRIBE)
    stage.broker.reply(SUBACK, codes=(1,))
    client.subscribe(b"a/#", 1)
    stage.broker.expect(PUBLISH, qos=1)
    stage.broker.cut()
    raises(OSError, client.publish, b"t", b"x", qos=1)
    stage.broker.accept(clean=1)
    stage.broker.expect(PUBLISH, qos=0, payload="new")
    client.connect()
    equal(client.inflight, 0)
    client.publish(b"t", b"new")
    stage.broker.done()


class Ssl:
    """Stands for the port's `ssl` module and notes what it is asked."""

    PROTOCOL_TLS_CLIENT = CERT_NONE = 0
    CERT_OPTIONAL, CERT_REQUIRED = 1, 2

    def __init__(self, has_wrap_socket):
        self.asked = asked = []

        class SSLContext:
            verify_mode = None

            def __init__(self, protocol):
                pass

            def load_cert_chain(self, cert, key):
                asked.append(("chain", cert, key))

            def load_verify_locations(self, cadata=None):
                asked.append(("ca", cadata))

            def wrap_socket(self, sock, **named):
                asked.append(("verify", self.verify_mode))
                asked.append(("name", named.get("server_hostname")))
                assert set(named) <= {"server_side", "server_hostname", "do_handshake_on_connect"}, named
                return sock

        def wrap_socket(sock, key=None, cert=None, cert_reqs=0, cadata=None, server_hostname=None, server_side=False,
                        do_handshake=True):  # fmt: skip
            if key:
                asked.append(("chain", cert, key))
            if cadata:
                asked.append(("ca", cadata))
            asked.append(("verify", cert_reqs))
            asked.append(("name", server_hostname))
            return sock

        self.SSLContext = SSLContext
        if has_wrap_socket:
            self.wrap_socket = wrap_socket


def test_ssl_true_with_ssl_params_is_what_wrap_socket_takes():
    import sys

    for has_wrap_socket in (True, False):
        for stage in stages():
            if stage.name != "ours" and not has_wrap_socket:
                continue  # upstream's is micropython-lib's ssl, which always has it
            stage.world.net.serve(HOST, 8883, stage.broker)
            for params, want in (
                (None, [("verify", 0), ("name", None)]),
                ({"server_hostname": "broker.example"}, [("verify", 0), ("name", "broker.example")]),
                (
                    {"key": b"K", "cert": b"C", "server_side": False, "cert_reqs": 2, "cadata": b"CA"},
                    [("chain", b"C", b"K"), ("ca", b"CA"), ("verify", 2), ("name", None)],
                ),
                ({"do_handshake": True}, [("verify", 0), ("name", None)]),
            ):
                ssl = Ssl(has_wrap_socket)
                keep = sys.modules.get("ssl")
                sys.modules["ssl"] = ssl
                try:
                    stage.broker.accept()
                    stage.broker.expect(PUBLISH, payload="x")
                    client = stage.client(ssl=True) if params is None else stage.client(ssl=True, ssl_params=params)
                    equal(client.port, 8883)
                    client.connect()
                    client.publish(b"t", b"x")
                    client.sock.close()
                finally:
                    sys.modules.pop("ssl")
                    if keep:
                        sys.modules["ssl"] = keep
                equal(ssl.asked, want, (stage.name, has_wrap_socket))
                stage.world.clock.run_due()
            stage.broker.done()


def test_a_will_is_looked_at_when_it_is_set_and_may_be_set_by_its_attributes():
    for stage in stages():
        client = stage.client()
        if stage.name == "ours":
            raises(ValueError, client.set_last_will, "a/#", b"gone")
            raises(ValueError, client.set_last_will, "a", b"gone", False, 3)
        client.lw_topic, client.lw_msg, client.lw_qos, client.lw_retain = b"w", b"gone", 1, True
        stage.broker.expect(CONNECT, will=("w", b"gone", 1, 1))
        stage.broker.send(CONNACK)
        client.connect()
        stage.broker.done()


def test_a_timeout_of_one_connect_is_not_that_of_the_next():
    for stage in stages():
        if stage.name != "ours":
            continue
        stage.broker.accept()
        client = stage.client()
        client.set_callback(lambda topic, msg: None)
        client.connect(True, 5)
        stage.broker.accept()
        client.connect()
        stage.broker.wait(20000)
        stage.broker.send(PUBLISH, payload="x")
        equal(client.wait_msg(), 0x30)
        stage.broker.expect(PUBLISH, qos=1)
        start = stage.world.clock.now
        raises(OSError, client.publish, b"t", b"x", qos=1)
        equal(stage.world.clock.now - start, 30000)


def test_a_session_that_the_broker_kept_is_gone_on_with_at_a_random_id():
    for stage in stages():
        if stage.name == "ours":
            ids = []
            for _ in range(3):
                stage.broker.accept(sp=1)
                client = stage.client()
                equal(client.connect(False), 1)
                ids.append(client.pid)
            assert any(ids) and max(ids) < 1 << 16, ids


def test_what_is_asked_of_a_simple_client_without_a_link_is_an_os_error():
    for stage in stages():
        if stage.name == "ours":
            client = stage.client()
            client.set_callback(lambda topic, msg: None)
            for call, args in (
                (client.publish, (b"t", b"x")),
                (client.subscribe, (b"t",)),
                (client.ping, ()),
                (client.check_msg, ()),
            ):
                fault = raises(OSError, call, *args)
                assert "not connected" in str(fault), fault


def test_a_callback_may_look_for_messages_and_takes_no_more_slots_than_it_fills():
    for stage in stages():
        if stage.name == "ours":
            client = stage.connected()
            free = []

            def answer(topic, msg):
                equal(client.check_msg(), None)  # noqa: B023
                for _ in range(6):
                    client.publish(b"t", b"x", qos=1)  # noqa: B023
                    free.append(client.free_slots())  # noqa: B023

            client.set_callback(answer)
            stage.broker.send(PUBLISH, payload="go")
            for pid in range(1, 7):
                stage.broker.expect(PUBLISH, pid=pid)
                stage.broker.send(PUBACK, pid)
            client.wait_msg()
            while client.inflight:
                client.wait_msg()
            equal(free, [3, 2, 1, 0, 0, 0])
            stage.broker.done()
            client.check_msg()
            equal(client.free_slots(), 4)
            stage.broker.send(PUBLISH, payload="again")
            for pid in range(7, 13):
                stage.broker.expect(PUBLISH, pid=pid)
                stage.broker.send(PUBACK, pid)
            client.wait_msg()
            equal(free[6:], [3, 2, 1, 0, 0, 0])


def test_a_sock_that_was_replaced_while_connected_is_what_wait_msg_reads():
    from dropin.test_sock import Stub
    from fakes.packets import encode

    for stage in stages():
        client = stage.connected()
        old = stage.world.net.sockets[-1]
        client.sock = Stub(encode(PUBLISH, topic="t", payload="new"))
        equal((client.wait_msg(), stage.inbox), (0x30, [(b"t", b"new")]))
        assert stage.name != "ours" or old.closed
        client.sock = stub = Stub(encode(PINGRESP))
        client.ping()
        equal((client.wait_msg(), stub.written), (None, b"\xc0\0"))


def in_a_timer(call):
    """What call() returns where a Timer's callback would call it, as a list of one."""
    from micropython import schedule

    returned = []
    schedule(lambda _: returned.append(call()), 0)
    for _ in range(3):  # scheduled callbacks run at jumps
        pass
    return returned


def test_a_timers_callback_connects_publishes_and_disconnects():
    if sys.implementation.name != "micropython":
        skip("schedule of CPython's stand-in runs at once")
    for stage in stages():
        client = stage.Client("cid", HOST)
        stage.broker.accept()
        for i in range(6):
            stage.broker.expect(PUBLISH, qos=1, pid=i + 1, payload="%d" % i)
            stage.broker.send(PUBACK, i + 1)
        stage.broker.expect(PUBLISH, qos=0, payload="x" * 3000)
        stage.broker.expect(DISCONNECT)

        def life(client=client):
            client.connect()
            for i in range(6):
                client.publish(b"t", b"%d" % i, qos=1)
            client.publish(b"t", b"x" * 3000)
            client.disconnect()

        equal(in_a_timer(life), [None], stage.name)
        stage.broker.done()


def test_a_timers_callback_publishes_behind_what_the_network_has_not_taken():
    if sys.implementation.name != "micropython":
        skip("schedule of CPython's stand-in runs at once")
    world = World(Model)
    world.net.plans = [Plan(buffer=40, latency_ms=5)]
    client = simple.MQTTClient("c1", HOST)
    client.connect()

    def all_of_it():
        for i in range(5):
            client.publish(b"t", b"%d" % i * 500)

    equal(in_a_timer(all_of_it), [None])
    world.clock.sleep(1)
    equal([payload for _, payload, _ in world.broker.accepted], [b"%d" % i * 500 for i in range(5)])


def test_what_a_timers_callback_publishes_in_qos_1_is_acknowledged_later_in_any_number():
    if sys.implementation.name != "micropython":
        skip("schedule of CPython's stand-in runs at once")
    world = World(Model, ack_ms=300)
    client = simple.MQTTClient("c1", HOST)
    client.connect()
    began_ms = world.clock.now
    equal(in_a_timer(lambda: [client.publish(b"t", b"%d" % i, qos=1) for i in range(20)]), [[None] * 20])
    equal(world.clock.now, began_ms)
    while client.inflight:
        client.wait_msg()
    equal([payload for _, payload, _ in world.broker.accepted], [b"%d" % i for i in range(20)])
    client.check_msg()
    equal(client.free_slots(), 4)


def test_a_client_without_an_id_has_no_session_that_connect_could_keep():
    # the broker would refuse it [3.1.3-8]
    stage = ours()
    client = stage.Client("", HOST)
    stage.broker.accept(clean=1)
    equal(client.connect(clean_session=False), 0)
    stage.broker.done()


def test_what_upstream_ignores_is_ignored():
    for stage in stages():
        client = stage.Client("cid", HOST, user="", password="token", keepalive=None)
        stage.broker.expect(CONNECT, keepalive=0, user=None, password=None)
        stage.broker.send(CONNACK)
        client.connect()
        stage.broker.done()


def test_true_is_a_qos():
    for stage in stages():
        client = stage.Client("cid", HOST)
        client.set_callback(lambda topic, msg: None)
        client.set_last_will(b"w", b"gone", 1, True)
        stage.broker.accept(will=("w", b"gone", 1, 1))
        client.connect()
        stage.broker.expect(SUBSCRIBE)
        stage.broker.reply(SUBACK, codes=(1,))
        client.subscribe(b"a", True)
        stage.broker.done()
