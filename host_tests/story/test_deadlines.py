"""No call outlives its deadline: every call against every kind of dead peer."""

from fakes.bench import World
from fakes.check import equal, raises
from fakes.model import Model
from fakes.net import ESP32, ESP8266, UNIX, Plan
from fakes.packets import PINGRESP, PUBLISH, encode

NOT_ON_ASYNCIO = ()


def silent(world):
    """It takes everything and says nothing any more."""
    world.broker.opened = world.broker.data = lambda *args: None


def discards(world):
    """A TCP stack that acknowledges what the program behind it never reads."""
    world.broker.data = lambda *args: None
    world.link.plan.drained = False
    world.link.plan.buffer = 30


def half_open(world):
    world.link.silence()


def full(world):
    """The send buffer has no room and never will."""
    world.link.plan.drained = False
    world.link.plan.buffer = 0


def a_byte_a_minute(world):
    """Answers come, a byte a minute."""
    world.link.plan.trickle_ms = 60_000


def chatters(world):
    """It sends something all the time, but never the answer."""
    link = world.link
    world.broker.data = lambda *args: None

    def more():
        link.push(encode(PINGRESP))
        world.clock.at(100, more)

    more()


PEERS = (silent, discards, half_open, full, a_byte_a_minute, chatters)

CALLS = (
    ("publish QoS 0", lambda client, ms: client.publish("t", "x" * 300, timeout_ms=ms), False),
    ("publish QoS 1", lambda client, ms: client.publish("t", "x", qos=1, timeout_ms=ms), True),
    ("publish QoS 2", lambda client, ms: client.publish("t", "x" * 300, qos=2, timeout_ms=ms), True),
    ("subscribe", lambda client, ms: client.subscribe("a", 1, timeout_ms=ms), True),
    ("unsubscribe", lambda client, ms: client.unsubscribe("a", timeout_ms=ms), True),
    ("disconnect", lambda client, ms: client.disconnect(ms), False),
    ("poll", lambda client, ms: client.poll(ms), False),
)


def test_a_link_that_takes_nothing_until_the_deadline_is_dead():
    for qos in (0, 1, 2):
        world = World(Model)
        client = world.client(keepalive=0, timeout_ms=2000)
        client.connect()
        full(world)
        raises(OSError, client.publish, "t", b"x" * 10_000, qos=qos)
        raises(OSError, client.publish, "t", b"y", qos=qos)
        equal(client.isconnected(), False)
        world.net.plan = Plan()
        client.connect()
        equal(client.publish("t", b"z", qos=1) > 0, True)
        equal(world.broker.violations, [])


def test_no_call_outlives_its_deadline():
    for port in (UNIX, ESP32, ESP8266):
        for peer in PEERS:
            for name, call, must_fail in CALLS:
                world = World(Model)
                world.net.port = port
                client = world.client(keepalive=60)
                client.connect()
                peer(world)
                began_ms = world.clock.now
                note = "%s, %s" % (name, peer.__name__)
                if must_fail:
                    fault = raises(OSError, call, client, 2500)
                    assert str(fault) and fault.args[0] != -1, (note, fault)
                else:
                    try:
                        call(client, 2500)
                    except OSError:
                        pass
                assert world.clock.now - began_ms <= 2500, (note, world.clock.now - began_ms)


def test_no_wait_of_the_library_is_inside_a_socket():
    for peer in PEERS:
        world = World(Model)
        client = world.client(keepalive=60)
        client.connect()
        peer(world)
        for _, call, _ in CALLS:
            try:
                call(client, 500)
            except OSError:
                pass
        for sock in world.net.sockets:
            equal(sock.misuse, [], peer.__name__)


def test_a_dead_link_of_any_kind_is_found_before_one_and_a_half_keepalives():
    for peer in PEERS:
        if peer is chatters:
            continue  # that one is alive
        world = World(Model)
        client = world.client(keepalive=20)
        client.connect()
        peer(world)
        began_ms = world.clock.now
        raises(OSError, world.serve, client, 100_000)
        assert world.clock.now - began_ms <= 30_000, (peer.__name__, world.clock.now - began_ms)
        equal(world.net.open_sockets(), [])


def test_connect_keeps_its_deadline_whatever_answers():
    for plan in (
        Plan(connect_ms=None),
        Plan(trickle_ms=60_000),
        Plan(drained=False),
        Plan(buffer=5, drained=False),
        Plan(latency_ms=3000),
    ):
        world = World(Model)
        world.net.plan = plan
        client = world.client()
        began_ms = world.clock.now
        raises(OSError, client.connect, 2500)
        equal(world.clock.now - began_ms, 2500)
        equal(world.net.open_sockets(), [])


def test_one_deadline_is_one_deadline_however_many_filters_a_forgetful_broker_must_be_told():
    from umqtt.reconnect import Reconnect

    world = World(Model)
    client = world.client(reconnect=Reconnect(first_ms=10, cap_ms=10), timeout_ms=10_000)
    world.serve(client, 100)
    for i in range(20):
        client.subscribe("filter/%d" % i)
    world.broker.stop()
    world.broker.forget()
    world.net.plan = Plan(latency_ms=450)  # each SUBACK just in time for a deadline of its own
    began_ms = world.clock.now
    raises(OSError, client.publish, "t", "x", qos=1, timeout_ms=1000)
    assert world.clock.now - began_ms <= 1000, world.clock.now - began_ms
    client.disconnect()
    began_ms = world.clock.now
    raises(OSError, client.connect, 3000)
    assert world.clock.now - began_ms <= 3000, world.clock.now - began_ms


def test_the_engine_gives_half_a_packet_its_time_from_its_last_byte_on_however_long_it_was_idle():
    packet = encode(PUBLISH, topic="t", payload="x" * 20)
    for parts, pause_ms, comes in ((2, 2000, True), (len(packet), 2900, True), (2, 7000, False)):
        world = World(Model)
        client = world.client(timeout_ms=3000, keepalive=3600)
        client.connect()
        world.serve(client, 20000)
        part_b = -(-len(packet) // parts)
        for i in range(parts):
            world.clock.at(i * pause_ms, world.link.push, packet[i * part_b : (i + 1) * part_b])
        try:
            for _ in range(parts * pause_ms // 500 + 2):
                world.serve(client, 500)
        except OSError as fault:
            assert not comes and "half a packet" in str(fault), fault
        equal((len(world.inbox), client.isconnected()), (int(comes), comes), (parts, pause_ms))
