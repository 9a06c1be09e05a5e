"""CONNECT and CONNACK: what is sent, what is understood, and how each failure is told."""

from fakes.bench import HOST, World, pair
from fakes.check import equal, raises, skip
from fakes.net import ESP32, Plan
from fakes.packets import CONNACK, CONNECT, encode

NOT_ON_ASYNCIO = (
    "test_ctrl_c_while_connecting_leaves_no_socket",  # Ctrl-C ends the loop, too
)


def test_connect_sends_what_it_was_given():
    w = World()
    b = w.broker
    c = w.client("dev-ü", user="ann", password="pä", keepalive=30, clean_session=True)
    c.set_last_will("state/ü", "gone", retain=True, qos=2)
    b.accept(
        client_id="dev-ü",
        user="ann",
        password="pä".encode(),
        keepalive=30,
        clean=1,
        level=4,
        will=("state/ü", b"gone", 1, 2),
    )
    equal(c.connect(), False)
    assert c.isconnected()
    b.done()
    equal(w.link.writes, [len(b.got[0].raw)], "one write for the packet")


def test_the_defaults_keep_the_session_and_ping_every_minute():
    b, c = pair()
    b.accept(clean=0, keepalive=60, user=None, password=None, will=None, level=4)
    c.connect()
    b.done()


def test_protocol_31_is_spoken_on_request():
    b, c = pair(protocol=3)
    b.accept(level=3, client_id="c1")
    c.connect()
    b.done()
    assert b.got[0].raw[2:9] == b"\0\6MQIsd"


def test_session_present_is_returned_and_never_raises():
    for sp in (0, 1):
        b, c = pair()
        b.accept(sp=sp)
        equal(c.connect(), bool(sp))
        b.done()


def test_each_refusal_has_a_reason_in_words():
    from umqtt.errors import MQTTException, ProtocolError

    words = ("protocol", "client id", "unavailable", "password", "authori", "unknown")
    for code in range(1, 7):
        b, c = pair()
        b.expect(CONNECT)
        b.send(CONNACK, code=code)
        b.expect_end()
        e = raises(MQTTException, c.connect)
        assert not isinstance(e, ProtocolError), e
        equal(e.args[0], code)
        assert words[code - 1] in str(e), e
        assert not c.isconnected()
        b.done()
        equal(c.world.net.open_sockets(), [])


def test_a_broker_that_never_answers_is_given_up_at_the_deadline():
    b, c = pair(timeout_ms=3000)
    b.expect(CONNECT)
    b.expect_end()
    t = c.world.clock.now
    raises(OSError, c.connect)
    equal(c.world.clock.now - t, 3000)
    b.done()
    b, c = pair(timeout_ms=3000)
    b.expect(CONNECT)
    raises(OSError, c.connect, timeout_ms=500)


def test_a_host_that_never_answers_is_given_up_at_the_deadline():
    for connect_ms in (None, 60000):
        b, c = pair(timeout_ms=3000)
        c.world.net.plan = Plan(connect_ms=connect_ms)
        t = c.world.clock.now
        raises(OSError, c.connect)
        equal(c.world.clock.now - t, 3000)
        equal(c.world.net.open_sockets(), [])


def test_tcp_and_connack_have_one_deadline_together():
    b, c = pair(timeout_ms=3000)
    c.world.net.plan = Plan(connect_ms=2500)
    b.expect(CONNECT)
    t = c.world.clock.now
    raises(OSError, c.connect)
    equal(c.world.clock.now - t, 3000)


def test_a_slow_connack_is_waited_for_whatever_the_keepalive():
    b, c = pair(keepalive=1, timeout_ms=10000)
    b.expect(CONNECT)
    b.wait(8000)
    b.send(CONNACK)
    c.connect()
    b.done()


def test_a_peer_that_sends_one_byte_a_minute_does_not_hold_connect():
    b, c = pair(timeout_ms=5000)
    c.world.net.plan = Plan(trickle_ms=60000)
    b.accept()
    t = c.world.clock.now
    raises(OSError, c.connect)
    equal(c.world.clock.now - t, 5000)


def test_a_closed_port_and_an_unknown_name_are_os_errors():
    w = World()
    c = w.client(server="elsewhere")
    equal(raises(OSError, c.connect).args[0], 111)
    w.net.names["elsewhere"] = OSError(-2)
    raises(OSError, c.connect)
    equal(w.net.open_sockets(), [])


def test_a_broker_that_closes_instead_of_answering_is_an_os_error():
    for how in ("fin", "rst"):
        b, c = pair()
        b.expect(CONNECT)
        b.cut(how)
        e = raises(OSError, c.connect)
        assert e.args[0] != -1, e
        b.done()
        equal(c.world.net.open_sockets(), [])


def test_connect_while_connected_closes_the_old_socket_first():
    b, c = pair()
    b.accept()
    b.expect_end()
    b.accept(sp=1)
    c.connect()
    equal(c.connect(), True)
    b.done()
    equal(len(c.world.net.open_sockets()), 1)


def test_a_port_that_is_not_up_right_after_connect_is_waited_for():
    b, c = pair()
    w = c.world
    w.net.port = ESP32
    w.net.plan = Plan(write_again=True, read_again=True)
    b.accept()
    c.connect()
    b.done()


def test_the_socket_never_waits_and_has_nodelay():
    b, c = pair()
    b.accept()
    c.connect()
    b.send(CONNACK)  # a late read
    s = c.world.net.sockets[0]
    equal(s.timeout_ms, 0)
    equal(s.misuse, [])
    assert (6, 1, 1) in s.options


def test_an_address_is_resolved_again_after_a_failure():
    w = World()
    w.net.names[HOST] = ["10.0.0.1"]
    c = w.client()
    raises(OSError, c.connect)
    w.net.names[HOST] = ["10.0.0.2"]
    w.net.serve("10.0.0.2", 1883, w.broker)
    w.broker.accept()
    c.connect()
    w.broker.done()


def test_connack_in_single_bytes_is_understood():
    w = World()
    c = w.client()
    w.broker.expect(CONNECT)
    w.broker.raw_each(encode(CONNACK, sp=1))
    equal(c.connect(), True)
    w.broker.done()


def test_a_connect_that_fails_is_told_by_diag():
    w = World()
    w.net.names["nowhere"] = OSError(-2)
    for named in ({"server": "nowhere"}, {"port": 1}):
        c = w.client(**named)
        e = raises(OSError, c.connect)
        equal(c.diag()["error"], str(e))


def test_ctrl_c_while_connecting_leaves_no_socket():
    w = World()
    c = w.client()
    socket = w.net.socket.socket

    class Interrupted:
        closed = 0

        def __init__(self, *kind):
            self.settimeout = lambda s: None

        def connect(self, address):
            raise KeyboardInterrupt

        def close(self):
            Interrupted.closed += 1

    w.net.socket.socket = Interrupted
    raises(KeyboardInterrupt, c.connect)
    w.net.socket.socket = socket
    equal(Interrupted.closed, 1)
    w.broker.accept()
    equal(c.connect(), False)


def test_a_connection_that_had_no_memory_for_its_reader_is_no_callback_and_the_next_one_comes_up():
    import umqtt.client

    engine = getattr(umqtt.client, "engine", None)
    if engine is None or not hasattr(engine, "reader"):
        skip("the shipped form has other names")
    b, c = pair()
    plain = engine.reader

    def without_memory(*args):
        engine.reader = plain
        raise MemoryError

    engine.reader = without_memory
    raises((MemoryError, OSError), c.connect)
    b.accept()
    equal(c.connect(), False)
