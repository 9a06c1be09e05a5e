"""CONNECT and CONNACK: what is sent, what is understood, and how each failure is told."""

import sys

from fakes.bench import HOST, World, pair
from fakes.check import equal, raises, skip
from fakes.net import ESP32, Plan
from fakes.packets import CONNACK, CONNECT, encode

NOT_ON_ASYNCIO = (
    "test_ctrl_c_while_connecting_leaves_no_socket",  # Ctrl-C ends the loop, too
)


def test_connect_sends_what_it_was_given():
    world = World()
    broker = world.broker
    client = world.client("dev-ü", user="ann", password="pä", keepalive=30, clean_session=True)
    client.set_last_will("state/ü", "gone", retain=True, qos=2)
    broker.accept(
        client_id="dev-ü",
        user="ann",
        password="pä".encode(),
        keepalive=30,
        clean=1,
        level=4,
        will=("state/ü", b"gone", 1, 2),
    )
    equal(client.connect(), False)
    assert client.isconnected()
    broker.done()
    equal(world.link.writes, [len(broker.got[0].raw)], "one write for the packet")


def test_the_defaults_keep_the_session_and_ping_every_minute():
    broker, client = pair()
    broker.accept(clean=0, keepalive=60, user=None, password=None, will=None, level=4)
    client.connect()
    broker.done()


def test_protocol_31_is_spoken_on_request():
    broker, client = pair(protocol=3)
    broker.accept(level=3, client_id="c1")
    client.connect()
    broker.done()
    assert broker.got[0].raw[2:9] == b"\0\6MQIsd"


def test_session_present_is_returned_and_never_raises():
    for sp in (0, 1):
        broker, client = pair()
        broker.accept(sp=sp)
        equal(client.connect(), bool(sp))
        broker.done()


def test_each_refusal_has_a_reason_in_words():
    from umqtt.errors import MQTTException, ProtocolError

    words = ("protocol", "client id", "unavailable", "password", "authori", "unknown")
    for code in range(1, 7):
        broker, client = pair()
        broker.expect(CONNECT)
        broker.send(CONNACK, code=code)
        broker.expect_end()
        fault = raises(MQTTException, client.connect)
        assert not isinstance(fault, ProtocolError), fault
        equal(fault.args[0], code)
        assert words[code - 1] in str(fault), fault
        assert not client.isconnected()
        broker.done()
        equal(client.world.net.open_sockets(), [])


def test_a_broker_that_never_answers_is_given_up_at_the_deadline():
    broker, client = pair(timeout_ms=3000)
    broker.expect(CONNECT)
    broker.expect_end()
    began_ms = client.world.clock.now
    raises(OSError, client.connect)
    equal(client.world.clock.now - began_ms, 3000)
    broker.done()
    broker, client = pair(timeout_ms=3000)
    broker.expect(CONNECT)
    raises(OSError, client.connect, timeout_ms=500)


def test_a_host_that_never_answers_is_given_up_at_the_deadline():
    for connect_ms in (None, 60000):
        broker, client = pair(timeout_ms=3000)
        client.world.net.plan = Plan(connect_ms=connect_ms)
        began_ms = client.world.clock.now
        raises(OSError, client.connect)
        equal(client.world.clock.now - began_ms, 3000)
        equal(client.world.net.open_sockets(), [])


def test_tcp_and_connack_have_one_deadline_together():
    broker, client = pair(timeout_ms=3000)
    client.world.net.plan = Plan(connect_ms=2500)
    broker.expect(CONNECT)
    began_ms = client.world.clock.now
    raises(OSError, client.connect)
    equal(client.world.clock.now - began_ms, 3000)


def test_a_slow_connack_is_waited_for_whatever_the_keepalive():
    broker, client = pair(keepalive=1, timeout_ms=10000)
    broker.expect(CONNECT)
    broker.wait(8000)
    broker.send(CONNACK)
    client.connect()
    broker.done()


def test_a_peer_that_sends_one_byte_a_minute_does_not_hold_connect():
    broker, client = pair(timeout_ms=5000)
    client.world.net.plan = Plan(trickle_ms=60000)
    broker.accept()
    began_ms = client.world.clock.now
    raises(OSError, client.connect)
    equal(client.world.clock.now - began_ms, 5000)


def test_a_closed_port_and_an_unknown_name_are_os_errors():
    world = World()
    client = world.client(server="elsewhere")
    equal(raises(OSError, client.connect).args[0], 111)
    world.net.names["elsewhere"] = OSError(-2)
    raises(OSError, client.connect)
    equal(world.net.open_sockets(), [])


def test_a_broker_that_closes_instead_of_answering_is_an_os_error():
    for how in ("fin", "rst"):
        broker, client = pair()
        broker.expect(CONNECT)
        broker.cut(how)
        fault = raises(OSError, client.connect)
        assert fault.args[0] != -1, fault
        broker.done()
        equal(client.world.net.open_sockets(), [])


def test_connect_while_connected_closes_the_old_socket_first():
    broker, client = pair()
    broker.accept()
    broker.expect_end()
    broker.accept(sp=1)
    client.connect()
    equal(client.connect(), True)
    broker.done()
    equal(len(client.world.net.open_sockets()), 1)


def test_a_port_that_is_not_up_right_after_connect_is_waited_for():
    broker, client = pair()
    world = client.world
    world.net.port = ESP32
    world.net.plan = Plan(write_again=True, read_again=True)
    broker.accept()
    client.connect()
    broker.done()


def test_the_socket_never_waits_and_has_nodelay():
    broker, client = pair()
    broker.accept()
    client.connect()
    broker.send(CONNACK)  # a late read
    sock = client.world.net.sockets[0]
    equal(sock.timeout_ms, 0)
    equal(sock.misuse, [])
    assert (6, 1, 1) in sock.options


def test_an_address_is_resolved_again_after_a_failure():
    world = World()
    world.net.names[HOST] = ["10.0.0.1"]
    client = world.client()
    raises(OSError, client.connect)
    world.net.names[HOST] = ["10.0.0.2"]
    world.net.serve("10.0.0.2", 1883, world.broker)
    world.broker.accept()
    client.connect()
    world.broker.done()


def test_connack_in_single_bytes_is_understood():
    world = World()
    client = world.client()
    world.broker.expect(CONNECT)
    world.broker.raw_each(encode(CONNACK, sp=1))
    equal(client.connect(), True)
    world.broker.done()


def test_a_connect_that_fails_is_told_by_diag():
    world = World()
    world.net.names["nowhere"] = OSError(-2)
    for named in ({"server": "nowhere"}, {"port": 1}):
        client = world.client(**named)
        fault = raises(OSError, client.connect)
        equal(client.diag()["error"], str(fault))


def test_ctrl_c_while_connecting_leaves_no_socket():
    world = World()
    client = world.client()
    socket = world.net.socket.socket

    class Interrupted:
        closed = 0

        def __init__(self, *kind):
            self.settimeout = lambda sock: None

        def connect(self, address):
            raise KeyboardInterrupt

        def close(self):
            Interrupted.closed += 1

    world.net.socket.socket = Interrupted
    raises(KeyboardInterrupt, client.connect)
    world.net.socket.socket = socket
    equal(Interrupted.closed, 1)
    world.broker.accept()
    equal(client.connect(), False)


def test_a_connection_that_had_no_memory_for_its_reader_is_no_callback_and_the_next_one_comes_up():
    engine = getattr(sys.modules.get("umqtt.connecting"), "engine", None)
    if engine is None or not hasattr(engine, "reader"):
        skip("the shipped form has other names")
    broker, client = pair()
    plain = engine.reader

    def without_memory(*args):
        engine.reader = plain
        raise MemoryError

    engine.reader = without_memory
    raises((MemoryError, OSError), client.connect)
    broker.accept()
    equal(client.connect(), False)
