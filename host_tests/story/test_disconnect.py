"""DISCONNECT and the will: a clean end says goodbye, an unclean one does not; nothing is sent after it; no end waits
for ever."""

from fakes.bench import World, pair
from fakes.check import equal, raises
from fakes.model import Model
from fakes.packets import DISCONNECT, PINGREQ, PUBLISH

NOT_ON_ASYNCIO = (
    "test_a_callback_that_raises_during_disconnect_leaves_nothing_open",  # it goes to the loop's handler
    "test_a_message_whose_callback_disconnects_is_not_acknowledged_into_a_closed_socket",  # it counts what poll returns
)


def test_disconnect_is_sent_and_the_socket_closed():
    b, c = pair()
    b.accept()
    b.expect(DISCONNECT)
    b.expect_end()
    c.connect()
    c.disconnect()
    b.done()
    equal(c.world.net.open_sockets(), [])
    assert not c.isconnected()
    c.disconnect()  # twice is no error
    raises(OSError, c.publish, "t", "x")


def test_what_was_published_before_goes_out_first():
    b, c = pair(tx_size=64)
    b.accept()
    c.connect()
    c.world.link.plan.write_max = 3
    b.expect(PUBLISH, payload="y" * 200)
    b.expect(DISCONNECT)
    c.publish("t", "y" * 200, qos=1, wait=False)
    c.disconnect()
    b.done()


def test_disconnect_from_a_dead_link_returns():
    for how in ("fin", "rst", "silence"):
        b, c = pair(timeout_ms=2000)
        b.accept()
        c.connect()
        b.cut(how)
        t = c.world.clock.now
        c.disconnect()
        assert c.world.clock.now - t <= 2000
        equal(c.world.net.open_sockets(), [])


def test_disconnect_from_a_link_that_takes_nothing_ends_at_the_deadline():
    b, c = pair(timeout_ms=2000)
    b.accept()
    c.connect()
    c.world.link.plan.drained = False
    c.world.link.plan.buffer = 1
    t = c.world.clock.now
    c.disconnect(500)
    assert c.world.clock.now - t <= 501, c.world.clock.now - t
    equal(c.world.net.open_sockets(), [])


def test_the_will_is_published_on_an_unclean_end_only():
    for clean_end in (True, False):
        w = World(Model)
        c = w.client()
        c.set_last_will("state", "gone", retain=True, qos=1)
        c.connect()
        if clean_end:
            c.disconnect()
            w.clock.sleep_ms(10)
            equal(w.broker.wills, [])
        else:
            c._socket.close()
            w.clock.sleep_ms(10)
            equal(w.broker.wills, [("state", b"gone", 1, 1)])


def test_a_poll_inside_a_callback_does_not_recurse():
    b, c = pair()
    b.accept()
    c.connect()
    c.set_callback(lambda t, p, r: c.poll(10))
    b.send(PUBLISH, payload="x")
    raises(OSError, c.poll, 10)


def test_disconnect_inside_a_callback_ends_the_connection():
    b, c = pair()
    b.accept()
    c.connect()
    c.set_callback(lambda t, p, r: c.disconnect())
    b.send(PUBLISH, payload="x")
    b.expect(DISCONNECT)
    try:
        c.poll(10)
    except OSError:
        pass
    b.done()
    assert not c.isconnected()
    equal(c.world.net.open_sockets(), [])


def test_nothing_follows_disconnect():
    from fakes.packets import PUBREC

    b, c = pair()
    b.accept()
    c.connect()
    b.expect(PUBLISH, pid=1)
    b.send(PUBREC, 1)  # it waits to be read
    b.expect(DISCONNECT)
    c.publish("t", "x", qos=2, wait=False)
    c.world.clock.run_due()
    c.world.link.plan.write_max = 1
    c.world.link.plan.write_again = True
    c.disconnect()
    b.done()
    equal(c.inflight, 1)


def test_a_callback_that_raises_during_disconnect_leaves_nothing_open():
    b, c = pair(tx_size=64)
    b.accept()
    c.connect()

    def bad(t, p, r):
        raise KeyError("boom")

    c.set_callback(bad)
    b.send(PUBLISH, payload="in")
    c.world.link.plan.write_max = 3
    c.world.link.plan.write_again = True
    c.publish("t", "y" * 200, qos=1, wait=False)
    raises(KeyError, c.disconnect)
    equal(c.world.net.open_sockets(), [])


def test_a_large_publish_keeps_the_send_buffer_small():
    b, c = pair(tx_size=64)
    b.accept()
    c.connect()
    c.world.link.plan.drained = False
    c.world.link.plan.buffer = 100
    c.publish("t", "y" * 5000, qos=1, wait=False)
    assert len(c._send_buf) <= 64, len(c._send_buf)


def test_disconnect_behind_blocked_writes_is_said_at_once():
    b, c = pair()
    b.accept()
    c.connect()
    c.world.link.plan.write_again = True
    b.expect(PUBLISH, qos=1)
    b.expect(PUBLISH, qos=1)
    b.expect(DISCONNECT)
    t = c.world.clock.now
    c.publish("t", "x" * 50, qos=1, wait=False)
    c.publish("t", "x" * 50, qos=1, wait=False)
    c.disconnect()
    assert c.world.clock.now - t < 5
    b.done()


def test_no_ping_that_waited_follows_a_disconnect_inside_a_callback():
    b, c = pair()
    b.accept()
    c.connect()

    def f(t, p, r):
        c.publish("t", "x")  # blocked
        c.world.link.plan.write_again = False
        c.world.link.plan.buffer = 0
        c.ping()
        c.world.link.plan.buffer = 1000
        c.disconnect()

    c.set_callback(f)
    c.world.link.plan.write_again = True
    b.send(PUBLISH, topic="in", payload="x")
    b.expect(PUBLISH)
    b.expect(PINGREQ)
    b.expect(DISCONNECT)
    try:
        c.poll(10)
    except OSError:
        pass
    b.done()


def test_a_message_whose_callback_disconnects_is_not_acknowledged_into_a_closed_socket():
    for qos in (0, 1, 2):
        b, c = pair()
        b.accept()
        c.connect()
        c.set_callback(lambda t, p, r: c.disconnect())
        b.send(PUBLISH, 5, payload="x", qos=qos)
        b.expect(DISCONNECT)
        equal(c.poll(10), 1)
        b.done()
