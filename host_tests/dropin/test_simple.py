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
    "__init__": (("client_id", "server", "port", "user", "password", "keepalive", "ssl"), (0, None, None, 0, None)),
    "set_callback": (("f",), ()),
    "set_last_will": (("topic", "msg", "retain", "qos"), (False, 0)),
    "connect": (("clean_session", "timeout"), (True, None)),
    "disconnect": ((), ()),
    "ping": ((), ()),
    "publish": (("topic", "msg", "retain", "qos"), (False, 0)),
    "subscribe": (("topic", "qos"), (0,)),
    "wait_msg": ((), ()),
    "check_msg": ((), ()),
    "_send_str": (("s",), ()),
    "_recv_len": ((), ()),
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
            given = tuple(p.default for p in got[:n] if p.default is not p.empty)
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
