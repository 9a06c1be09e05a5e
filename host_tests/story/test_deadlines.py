"""No call outlives its deadline: every call against every kind of dead peer."""

from fakes.bench import World
from fakes.check import equal, raises
from fakes.model import Model
from fakes.net import ESP32, ESP8266, UNIX, Plan
from fakes.packets import PINGRESP, encode

NOT_ON_ASYNCIO = ()


def silent(w):
    """It takes everything and says nothing any more."""
    w.broker.opened = w.broker.data = lambda *a: None


def discards(w):
    """A TCP stack that acknowledges what the program behind it never reads."""
    w.broker.data = lambda *a: None
    w.link.plan.drained = False
    w.link.plan.buffer = 30


def half_open(w):
    w.link.silence()


def full(w):
    """The send buffer has no room and never will."""
    w.link.plan.drained = False
    w.link.plan.buffer = 0


def a_byte_a_minute(w):
    """Answers come, a byte a minute."""
    w.link.plan.trickle_ms = 60_000


def chatters(w):
    """It sends something all the time, but never the answer."""
    link = w.link
    w.broker.data = lambda *a: None

    def more():
        link.push(encode(PINGRESP))
        w.clock.at(100, more)

    more()


PEERS = (silent, discards, half_open, full, a_byte_a_minute, chatters)

CALLS = (
    ("publish QoS 0", lambda c, ms: c.publish("t", "x" * 300, timeout_ms=ms), False),
    ("publish QoS 1", lambda c, ms: c.publish("t", "x", qos=1, timeout_ms=ms), True),
    ("publish QoS 2", lambda c, ms: c.publish("t", "x" * 300, qos=2, timeout_ms=ms), True),
    ("subscribe", lambda c, ms: c.subscribe("a", 1, timeout_ms=ms), True),
    ("unsubscribe", lambda c, ms: c.unsubscribe("a", timeout_ms=ms), True),
    ("disconnect", lambda c, ms: c.disconnect(ms), False),
    ("poll", lambda c, ms: c.poll(ms), False),
)


def test_a_link_that_takes_nothing_until_the_deadline_is_dead():
    for qos in (0, 1, 2):
        w = World(Model)
        c = w.client(keepalive=0, timeout_ms=2000)
        c.connect()
        full(w)
        raises(OSError, c.publish, "t", b"x" * 10_000, qos=qos)
        raises(OSError, c.publish, "t", b"y", qos=qos)
        equal(c.isconnected(), False)
        w.net.plan = Plan()
        c.connect()
        equal(c.publish("t", b"z", qos=1) > 0, True)
        equal(w.broker.violations, [])


def test_no_call_outlives_its_deadline():
    for port in (UNIX, ESP32, ESP8266):
        for peer in PEERS:
            for name, call, must_fail in CALLS:
                w = World(Model)
                w.net.port = port
                c = w.client(keepalive=60)
                c.connect()
                peer(w)
                t = w.clock.now
                note = "%s, %s" % (name, peer.__name__)
                if must_fail:
                    e = raises(OSError, call, c, 2500)
                    assert str(e) and e.args[0] != -1, (note, e)
                else:
                    try:
                        call(c, 2500)
                    except OSError:
                        pass
                assert w.clock.now - t <= 2500, (note, w.clock.now - t)


def test_no_wait_of_the_library_is_inside_a_socket():
    for peer in PEERS:
        w = World(Model)
        c = w.client(keepalive=60)
        c.connect()
        peer(w)
        for _, call, _ in CALLS:
            try:
                call(c, 500)
            except OSError:
                pass
        for s in w.net.sockets:
            equal(s.misuse, [], peer.__name__)


def test_a_dead_link_of_any_kind_is_found_before_one_and_a_half_keepalives():
    for peer in PEERS:
        if peer is chatters:
            continue  # that one is alive
        w = World(Model)
        c = w.client(keepalive=20)
        c.connect()
        peer(w)
        t = w.clock.now
        raises(OSError, w.serve, c, 100_000)
        assert w.clock.now - t <= 30_000, (peer.__name__, w.clock.now - t)
        equal(w.net.open_sockets(), [])


def test_connect_keeps_its_deadline_whatever_answers():
    for plan in (
        Plan(connect_ms=None),
        Plan(trickle_ms=60_000),
        Plan(drained=False),
        Plan(buffer=5, drained=False),
        Plan(latency_ms=3000),
    ):
        w = World(Model)
        w.net.plan = plan
        c = w.client()
        t = w.clock.now
        raises(OSError, c.connect, 2500)
        equal(w.clock.now - t, 2500)
        equal(w.net.open_sockets(), [])


def test_one_deadline_is_one_deadline_however_many_filters_a_forgetful_broker_must_be_told():
    from umqtt.reconnect import Reconnect

    w = World(Model)
    c = w.client(reconnect=Reconnect(first_ms=10, cap_ms=10), timeout_ms=10_000)
    w.serve(c, 100)
    for i in range(20):
        c.subscribe("filter/%d" % i)
    w.broker.stop()
    w.broker.forget()
    w.net.plan = Plan(latency_ms=450)  # each SUBACK just in time for a deadline of its own
    t = w.clock.now
    raises(OSError, c.publish, "t", "x", qos=1, timeout_ms=1000)
    assert w.clock.now - t <= 1000, w.clock.now - t
    c.disconnect()
    t = w.clock.now
    raises(OSError, c.connect, 3000)
    assert w.clock.now - t <= 3000, w.clock.now - t
