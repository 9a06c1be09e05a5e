"""What an event loop asks of a client: how to begin, what to wait for, and until when."""

from fakes.bench import World
from fakes.check import equal, raises
from fakes.model import Model
from fakes.net import Plan
from umqtt import addons, connection
from umqtt.reconnect import Reconnect

SOURCE_FORM_ONLY = "shipped, the verbs have other names"


def test_an_event_loop_is_told_what_to_wait_for_in_each_state():
    w = World(Model)
    w.net.plan = Plan(connect_ms=100, latency_ms=50)
    c = w.client(keepalive=60, timeout_ms=5000)
    equal(addons.waits_for(c), (None, 0))
    connection.begin_connect(c)
    equal(addons.waits_for(c), (w.net.sockets[0], 4))
    equal(addons.due_ms(c), 5000)
    w.clock.sleep_ms(100)
    c.poll(0)
    equal(addons.waits_for(c)[0], w.net.sockets[0])
    c.poll(0)
    equal((addons.waits_for(c)[1], addons.due_ms(c)), (1, 4900))
    while c._is_connecting:
        c.poll(0)
        w.clock.sleep_ms(10)
    equal((connection.session_present(c), addons.waits_for(c)[1]), (False, 1))
    equal(addons.due_ms(c), 5000)
    c.disconnect()
    equal(addons.waits_for(c), (None, 0))
    w.net.plan = Plan(refuse=True)
    c = w.client(reconnect=Reconnect(1000, 1000))
    w.serve(c, 10)
    assert 0 < addons.due_ms(c) <= 1000
    w.clock.sleep_ms(addons.due_ms(c))
    equal(addons.due_ms(c), 0)


def test_a_connection_that_was_begun_fails_as_connect_would():
    w = World(Model)
    w.net.plan = Plan(refuse=True)
    c = w.client()
    connection.begin_connect(c)
    equal(raises(OSError, c.poll, 10).args[0], 111)
    w.net.plan = Plan()
    w.broker.refuse_code = 5
    connection.begin_connect(c)
    e = raises(Exception, w.serve, c, 100)
    equal(e.args[0], 5)
    equal(w.net.open_sockets(), [])
