"""umqtt.simple is a drop-in: the same script gives the same packets, returns and attributes as micropython-lib's.

`PEERS=/path/to/micropython-lib` runs each against upstream too, so that the facts here cannot drift.
"""

from dropin.peers import stages
from fakes.bench import HOST, World  # noqa: F401 - twice: early, and across the tick wrap
from fakes.check import equal, raises, skip
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
    for s in stages():
        for name in SIGNATURES:
            args, defaults = SIGNATURES[name]
            got = list(signature(getattr(s.Client, name)).parameters.values())[1:]
            # older upstreams have no timeout; ours may have more behind, as long as they have defaults
            n = len(args) if s.name == "ours" else len(got)
            equal(tuple(p.name for p in got[:n]), args[:n], (s.name, name))
            given = tuple(p.default if p.default != {} else None for p in got[:n] if p.default is not p.empty)
            equal(given, defaults[: len(given)], (s.name, name))
            assert all(p.default is not p.empty or p.kind == p.VAR_POSITIONAL for p in got[n:]), (name, got)


def test_attributes_before_connect():
    for s in stages():
        c = s.client()
        for name in ATTRIBUTES:
            equal(getattr(c, name), ATTRIBUTES[name], (s.name, name))
        equal(s.client(ssl=object()).port if s.name != "ours" else 8883, 8883)


def test_arguments_may_be_given_by_position():
    for s in stages():
        c = s.client(1884, "ann", "pw", 30)
        equal((c.port, c.user, c.pswd, c.keepalive), (1884, "ann", "pw", 30))


def test_connect_sends_and_returns_what_upstream_does():
    for sp in (0, 1):
        for s in stages():
            s.b.expect(
                CONNECT, client_id="cid", clean=0, keepalive=60, user="ann", password=b"pw", will=("w", b"gone", 1, 1)
            )
            s.b.send(CONNACK, sp=sp)
            c = s.client(user=b"ann", password=b"pw", keepalive=60)
            c.set_last_will(b"w", b"gone", True, 1)
            equal((c.lw_topic, c.lw_msg, c.lw_retain, c.lw_qos), (b"w", b"gone", True, 1))
            equal(c.connect(False), sp)
            assert c.sock is not None
            s.b.done()


def test_a_clean_session_without_keepalive_is_the_default():
    for s in stages():
        s.b.expect(CONNECT, clean=1, keepalive=0, will=None, user=None)
        s.b.send(CONNACK)
        equal(s.client().connect(), 0)
        s.b.done()


def test_a_refused_connect_raises_mqttexception_with_the_code():
    for s in stages():
        s.b.expect(CONNECT)
        s.b.send(CONNACK, code=5)
        equal(raises(s.MQTTException, s.client().connect).args[0], 5)


def test_publish_returns_none_and_counts_pid():
    for s in stages():
        c = s.connected()
        s.b.expect(PUBLISH, qos=0, retain=1, topic="t", payload="x")
        equal(c.publish(b"t", b"x", True), None)
        s.b.expect(PUBLISH, qos=1, pid=1, dup=0)
        s.b.send(PUBACK, 1)
        equal(c.publish("t", "x", qos=1), None)
        equal(c.pid, 1)
        s.b.done()


def test_publish_of_thousands_of_bytes():
    for s in stages():
        c = s.connected()
        s.b.expect(PUBLISH, payload=b"x" * 20000)
        c.publish(b"t", b"x" * 20000)
        s.b.done()


def test_subscribe_returns_none_and_needs_a_callback():
    for s in stages():
        c = s.connected()
        s.b.expect(SUBSCRIBE, pid=1, filters=[("a/#", 1)])
        s.b.send(SUBACK, 1, codes=(1,))
        equal(c.subscribe(b"a/#", 1), None)
        c.set_callback(None)
        raises((AssertionError, ValueError), c.subscribe, b"a")
        s.b.done()


def test_a_refused_subscribe_raises_mqttexception_with_0x80():
    for s in stages():
        c = s.connected()
        s.b.expect(SUBSCRIBE)
        s.b.send(SUBACK, 1, codes=(0x80,))
        equal(raises(s.MQTTException, c.subscribe, b"a").args[0], 0x80)


def test_wait_msg_returns_the_first_byte_and_calls_back_with_two_bytes_objects():
    for s in stages():
        c = s.connected()
        s.b.send(PUBLISH, topic="t", payload="x", retain=1)
        equal(c.wait_msg(), 0x31)
        s.b.send(PUBLISH, 9, topic="t/2", payload="", qos=1)
        s.b.expect(PUBACK, pid=9)
        equal(c.wait_msg(), 0x32)
        equal(s.inbox, [(b"t", b"x"), (b"t/2", b"")])
        assert isinstance(s.inbox[0][0], bytes) and isinstance(s.inbox[0][1], bytes)
        s.b.done()


def test_ping_and_its_answer():
    for s in stages():
        c = s.connected()
        s.b.expect(PINGREQ)
        s.b.send(PINGRESP)
        equal(c.ping(), None)
        s.w.clock.run_due()
        equal(c.wait_msg(), None)
        s.b.done()


def test_check_msg_returns_at_once():
    for s in stages():
        c = s.connected()
        t = s.w.clock.now
        equal(c.check_msg(), None)
        equal(s.w.clock.now, t)
        s.b.send(PUBLISH, topic="t", payload="x")
        s.w.clock.run_due()
        equal(c.check_msg(), 0x30)
        equal(c.check_msg(), None)
        equal(s.inbox, [(b"t", b"x")])


def test_disconnect_says_goodbye_and_closes():
    for s in stages():
        c = s.connected()
        s.b.expect(DISCONNECT)
        equal(c.disconnect(), None)
        s.b.done()
        equal(s.w.net.open_sockets(), [])


def test_the_end_of_the_stream_is_an_os_error():
    for s in stages():
        c = s.connected()
        s.b.cut()
        raises(OSError, c.wait_msg)


def test_sock_can_be_polled_by_the_program():
    for s in stages():
        c = s.connected()
        p = s.w.net.select.poll()
        p.register(c.sock, 1)
        equal(p.poll(0), [])
        s.b.send(PUBLISH, payload="x")
        equal(len(p.poll(10)), 1)
        c.check_msg()
        equal(p.poll(0), [])
        equal(s.inbox, [(b"t", b"x")])


def test_a_subclass_may_override_and_call_up():
    for s in stages():

        class Mine(s.Client):
            def connect(self, *args):
                self.dialled = True
                return super().connect(*args)

            def publish(self, topic, msg, *args):
                return super().publish(b"pre/" + topic, msg, *args)

        s.b.expect(CONNECT)
        s.b.send(CONNACK)
        s.b.expect(PUBLISH, topic="pre/t")
        c = Mine("cid", HOST)
        c.connect()
        assert c.dialled
        c.publish(b"t", b"x")
        s.b.done()


def test_a_callback_may_publish():
    for s in stages():
        c = s.connected()
        c.set_callback(lambda t, m: c.publish(b"echo", m))
        s.b.send(PUBLISH, topic="t", payload="x")
        s.b.expect(PUBLISH, topic="echo", payload="x")
        c.wait_msg()
        s.b.done()


def test_an_ssl_object_gets_the_socket_and_the_host_name():
    for s in stages():
        seen = []

        class Ssl:
            def wrap_socket(self, sock, server_hostname=None):
                seen.append(server_hostname)
                return sock

        s.w.net.serve(HOST, 8883, s.b)
        s.b.expect(CONNECT)
        s.b.send(CONNACK)
        s.client(ssl=Ssl()).connect()
        equal(seen, [HOST])
        s.b.done()


# beyond upstream: ours alone


def ours():
    return next(iter(stages()))


def test_qos_2_goes_out_and_comes_in():
    s = ours()
    c = s.connected()
    s.b.expect(PUBLISH, qos=2, pid=1)
    s.b.send(PUBREC, 1)
    s.b.expect(PUBREL, pid=1)
    s.b.send(7, 1)
    c.publish(b"t", b"x", qos=2)
    s.b.send(PUBLISH, 9, qos=2, payload="in")
    s.b.expect(PUBREC, pid=9)
    s.b.send(PUBREL, 9)
    s.b.expect(7, pid=9)
    equal(c.wait_msg(), 0x34)
    c.wait_msg()
    equal(s.inbox, [(b"t", b"in")])
    s.b.done()


def test_text_lengths_are_utf8_lengths():
    s = ours()
    c = s.connected()
    s.b.expect(PUBLISH, topic="temp/°C", payload="21 °C")
    c.publish("temp/°C", "21 °C")
    s.b.done()


def test_ids_wrap_past_65535():
    s = ours()
    c = s.connected()
    c.pid = 65534
    for pid in (65535, 1):
        s.b.expect(PUBLISH, pid=pid)
        s.b.send(PUBACK, pid)
        c.publish(b"t", b"x", qos=1)
        equal(c.pid, pid)
    s.b.done()


def test_connect_and_publish_and_subscribe_end_at_a_deadline():
    s = ours()
    s.b.expect(CONNECT)
    t = s.w.clock.now
    c = s.client()
    raises(OSError, c.connect)
    equal(s.w.clock.now - t, 30000)
    s.b.expect(CONNECT)
    t = s.w.clock.now
    raises(OSError, c.connect, True, 2)
    equal(s.w.clock.now - t, 2000)
    s = ours()
    c = s.connected()
    s.b.expect(PUBLISH)
    t = s.w.clock.now
    raises(OSError, c.publish, b"t", b"x", qos=1)
    equal(s.w.clock.now - t, 30000)


def test_wait_msg_notices_a_silent_dead_link_without_a_keepalive():
    s = ours()
    c = s.connected()
    s.b.cut("silence")
    t = s.w.clock.now
    raises(OSError, c.wait_msg)
    assert s.w.clock.now - t <= 100000, s.w.clock.now - t


def test_wait_msg_waits_for_hours_on_a_sound_link():
    for keepalive in (0, 10, 100, 300, 3600):
        s = ours()
        s.b.auto_ping = True
        c = s.connected(keepalive=keepalive)
        s.b.wait(7_200_000)
        s.b.send(PUBLISH, payload="late")
        polls = s.w.net.polls
        while not s.inbox:
            c.wait_msg()
        assert s.w.net.polls - polls < 5000, s.w.net.polls


def test_an_ack_that_comes_outside_publish_leaves_the_stream_in_step():
    s = ours()
    c = s.connected()
    s.b.raw(b"\x40\2\0\x09\x70\2\0\x09")
    s.b.send(PUBLISH, payload="x")
    while not s.inbox:
        c.wait_msg()
    equal(s.inbox, [(b"t", b"x")])
    s.b.done()


def test_a_subclass_may_have_a_topic_of_its_own():
    for s in stages():

        class Device(s.Client):
            def __init__(self):
                super().__init__("cid", HOST)
                self.topic = b"dev/1"

        d = Device()
        s.b.accept()
        d.connect()
        for topic in (b"dev/1", b"dev/2", b"dev/1"):
            s.b.expect(PUBLISH, topic=topic.decode())
        d.publish(d.topic, b"1")
        d.publish(b"dev/2", b"2")
        equal(d.topic, b"dev/1")
        d.publish(d.topic, b"3")
        s.b.done()


def test_a_sock_that_the_program_took_away_is_not_connected():
    from umqtt.simple import MQTTClient

    w = World()
    c = MQTTClient("cid", HOST)
    w.broker.accept()
    c.connect()
    c.sock.close()
    c.sock = None
    raises(OSError, c.publish, b"a", b"b")
    raises(OSError, c.check_msg)
    w.broker.accept()
    w.broker.expect(PUBLISH)
    c.connect()
    c.publish(b"a", b"b")
    w.broker.done()


def test_unsubscribe_is_the_native_clients():
    import umqtt.robust
    import umqtt.simple

    for module in (umqtt.simple, umqtt.robust):
        w = World()
        w.broker.accept()
        c = module.MQTTClient("c1", HOST)
        c.connect()
        w.broker.expect(UNSUBSCRIBE, filters=["a/b"])
        w.broker.reply(UNSUBACK)
        c.unsubscribe("a/b")
        w.broker.done()


def test_a_subclass_that_connects_by_itself_is_served_and_what_was_unacknowledged_is_repeated():
    from fakes.packets import encode
    from umqtt import simple

    w = World()
    b = w.broker

    class Own(simple.MQTTClient):
        def connect(self):
            self.sock = w.net.socket.socket()
            self.sock.connect(w.net.socket.getaddrinfo(HOST, 1883)[0][-1])
            self.sock.write(encode(CONNECT, client_id="cid", clean=0))
            self.sock.read(4)

    c = Own("cid", HOST)
    b.expect(CONNECT)
    b.send(CONNACK)
    b.expect(PUBLISH, qos=1, pid=1, dup=0)
    c.connect()
    raises(OSError, c.publish, b"t", b"one", False, 1)  # no answer in time
    b.expect(CONNECT)
    b.send(CONNACK, sp=1)
    b.expect(PUBLISH, qos=1, pid=1, dup=1)
    b.expect(PUBLISH, qos=1, pid=2, dup=0)
    b.send(PUBACK, 1)
    b.send(PUBACK, 2)
    c.connect()
    c.publish(b"t", b"two", False, 1)
    equal(c.inflight, 0)
    b.done()


def test_a_message_of_any_size_comes():
    for s in stages():
        c = s.connected()
        for size_b in (10, 300, 2000, 70000, 20):
            s.b.send(PUBLISH, topic="cfg/a", payload=b"x" * size_b)
        while len(s.inbox) < 5:
            equal(c.wait_msg(), 0x30)
        equal([len(msg) for topic, msg in s.inbox], [10, 300, 2000, 70000, 20])
        equal([topic for topic, msg in s.inbox], [b"cfg/a"] * 5)
        s.b.send(PUBLISH, 9, topic="cfg/a", payload=b"y" * 1000, qos=1)
        s.b.expect(PUBACK, pid=9)
        equal(c.wait_msg(), 0x32)
        equal(s.inbox[5], (b"cfg/a", b"y" * 1000))
        assert isinstance(s.inbox[5][1], bytes)
        s.b.done()


def test_arrays_are_payloads():
    import array

    for s in stages():
        c = s.connected()
        for payload in (array.array("B", [1, 2, 250]), bytearray(b"ab"), memoryview(b"xyz")[1:]):
            for qos in (0, 1):
                s.b.expect(PUBLISH, qos=qos, payload=bytes(payload))
                if qos:
                    s.b.reply(PUBACK)
                c.publish(b"t", payload, qos=qos)
        s.b.done()
    s = ours()
    c = s.connected()
    readings = array.array("H", [1, 2, 515])  # upstream counts items for bytes
    s.b.expect(PUBLISH, payload=bytes(memoryview(readings)))
    c.publish(b"t", readings)
    s.b.done()


def test_a_callback_publishes_any_number_of_qos_1_messages():
    for s in stages():
        c = s.connected()
        s.b.send(PUBLISH, topic="t", payload="go")
        for i in range(40):
            s.b.expect(PUBLISH, qos=1, pid=i + 1, payload="%d" % i)
            s.b.send(PUBACK, i + 1)

        def answer(topic, msg):
            for i in range(40):
                c.publish(b"t", b"%d" % i, qos=1)

        c.set_callback(answer)
        c.wait_msg()
        while s.name == "ours" and c.inflight:
            c.wait_msg()
        s.b.done()
    c.check_msg()
    if s.name == "ours":
        equal(c.free_slots(), 4)  # what a callback took is given back


def test_a_callback_subscribes_and_unsubscribes():
    for s in stages():
        c = s.connected()
        s.b.send(PUBLISH, topic="t", payload="go")
        for pid in (1, 2, 3, 4, 5, 6):
            s.b.expect(SUBSCRIBE, pid=pid)
            s.b.send(SUBACK, pid, codes=(0,))
        s.b.expect(UNSUBSCRIBE)
        s.b.reply(UNSUBACK)

        def answer(topic, msg):
            for _ in range(6):
                c.subscribe(b"a")
            c.unsubscribe(b"a")

        c.set_callback(answer)
        c.wait_msg()
        while s.name == "ours" and c.inflight:
            c.wait_msg()
        s.b.done()


def test_a_clean_session_begins_with_nothing_in_flight_and_no_subscriptions():
    s = ours()
    c = s.connected()
    s.b.expect(SUBSCRIBE)
    s.b.reply(SUBACK, codes=(1,))
    c.subscribe(b"a/#", 1)
    s.b.expect(PUBLISH, qos=1)
    s.b.cut()
    raises(OSError, c.publish, b"t", b"x", qos=1)
    s.b.accept(clean=1)
    s.b.expect(PUBLISH, qos=0, payload="new")
    c.connect()
    equal(c.inflight, 0)
    c.publish(b"t", b"new")
    s.b.done()


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
        for s in stages():
            if s.name != "ours" and not has_wrap_socket:
                continue  # upstream's is micropython-lib's ssl, which always has it
            s.w.net.serve(HOST, 8883, s.b)
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
                    s.b.accept()
                    s.b.expect(PUBLISH, payload="x")
                    c = s.client(ssl=True) if params is None else s.client(ssl=True, ssl_params=params)
                    equal(c.port, 8883)
                    c.connect()
                    c.publish(b"t", b"x")
                    c.sock.close()
                finally:
                    sys.modules.pop("ssl")
                    if keep:
                        sys.modules["ssl"] = keep
                equal(ssl.asked, want, (s.name, has_wrap_socket))
                s.w.clock.run_due()
            s.b.done()


def test_a_will_is_looked_at_when_it_is_set_and_may_be_set_by_its_attributes():
    for s in stages():
        c = s.client()
        if s.name == "ours":
            raises(ValueError, c.set_last_will, "a/#", b"gone")
            raises(ValueError, c.set_last_will, "a", b"gone", False, 3)
        c.lw_topic, c.lw_msg, c.lw_qos, c.lw_retain = b"w", b"gone", 1, True
        s.b.expect(CONNECT, will=("w", b"gone", 1, 1))
        s.b.send(CONNACK)
        c.connect()
        s.b.done()


def test_a_timeout_of_one_connect_is_not_that_of_the_next():
    for s in stages():
        if s.name != "ours":
            continue
        s.b.accept()
        c = s.client()
        c.set_callback(lambda topic, msg: None)
        c.connect(True, 5)
        s.b.accept()
        c.connect()
        s.b.wait(20000)
        s.b.send(PUBLISH, payload="x")
        equal(c.wait_msg(), 0x30)
        s.b.expect(PUBLISH, qos=1)
        start = s.w.clock.now
        raises(OSError, c.publish, b"t", b"x", qos=1)
        equal(s.w.clock.now - start, 30000)


def test_a_session_that_the_broker_kept_is_gone_on_with_at_a_random_id():
    for s in stages():
        if s.name == "ours":
            ids = []
            for _ in range(3):
                s.b.accept(sp=1)
                c = s.client()
                equal(c.connect(False), 1)
                ids.append(c.pid)
            assert any(ids) and max(ids) < 1 << 16, ids


def test_what_is_asked_of_a_simple_client_without_a_link_is_an_os_error():
    for s in stages():
        if s.name == "ours":
            c = s.client()
            c.set_callback(lambda topic, msg: None)
            for call, args in ((c.publish, (b"t", b"x")), (c.subscribe, (b"t",)), (c.ping, ()), (c.check_msg, ())):
                fault = raises(OSError, call, *args)
                assert "not connected" in str(fault), fault


def test_a_callback_may_look_for_messages_and_takes_no_more_slots_than_it_fills():
    for s in stages():
        if s.name == "ours":
            c = s.connected()
            free = []

            def answer(topic, msg):
                equal(c.check_msg(), None)  # noqa: B023
                for _ in range(6):
                    c.publish(b"t", b"x", qos=1)  # noqa: B023
                    free.append(c.free_slots())  # noqa: B023

            c.set_callback(answer)
            s.b.send(PUBLISH, payload="go")
            for pid in range(1, 7):
                s.b.expect(PUBLISH, pid=pid)
                s.b.send(PUBACK, pid)
            c.wait_msg()
            while c.inflight:
                c.wait_msg()
            equal(free, [3, 2, 1, 0, 0, 0])
            s.b.done()
            c.check_msg()
            equal(c.free_slots(), 4)
            s.b.send(PUBLISH, payload="again")
            for pid in range(7, 13):
                s.b.expect(PUBLISH, pid=pid)
                s.b.send(PUBACK, pid)
            c.wait_msg()
            equal(free[6:], [3, 2, 1, 0, 0, 0])


def test_a_sock_that_was_replaced_while_connected_is_what_wait_msg_reads():
    from dropin.test_sock import Stub
    from fakes.packets import encode

    for s in stages():
        c = s.connected()
        old = s.w.net.sockets[-1]
        c.sock = Stub(encode(PUBLISH, topic="t", payload="new"))
        equal((c.wait_msg(), s.inbox), (0x30, [(b"t", b"new")]))
        assert s.name != "ours" or old.closed
        c.sock = stub = Stub(encode(PINGRESP))
        c.ping()
        equal((c.wait_msg(), stub.written), (None, b"\xc0\0"))
