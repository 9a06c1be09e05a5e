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
    broker, client = pair()
    broker.accept()
    broker.expect(DISCONNECT)
    broker.expect_end()
    client.connect()
    client.disconnect()
    broker.done()
    equal(client.world.net.open_sockets(), [])
    assert not client.isconnected()
    client.disconnect()  # twice is no error
    raises(OSError, client.publish, "t", "x")


def test_what_was_published_before_goes_out_first():
    broker, client = pair(tx_size=64)
    broker.accept()
    client.connect()
    client.world.link.plan.write_max = 3
    broker.expect(PUBLISH, payload="y" * 200)
    broker.expect(DISCONNECT)
    client.publish("t", "y" * 200, qos=1, wait=False)
    client.disconnect()
    broker.done()


def test_disconnect_from_a_dead_link_returns():
    for how in ("fin", "rst", "silence"):
        broker, client = pair(timeout_ms=2000)
        broker.accept()
        client.connect()
        broker.cut(how)
        began_ms = client.world.clock.now
        client.disconnect()
        assert client.world.clock.now - began_ms <= 2000
        equal(client.world.net.open_sockets(), [])


def test_disconnect_from_a_link_that_takes_nothing_ends_at_the_deadline():
    broker, client = pair(timeout_ms=2000)
    broker.accept()
    client.connect()
    client.world.link.plan.drained = False
    client.world.link.plan.buffer = 1
    began_ms = client.world.clock.now
    client.disconnect(500)
    assert client.world.clock.now - began_ms <= 501, client.world.clock.now - began_ms
    equal(client.world.net.open_sockets(), [])


def test_the_will_is_published_on_an_unclean_end_only():
    for clean_end in (True, False):
        world = World(Model)
        client = world.client()
        client.set_last_will("state", "gone", retain=True, qos=1)
        client.connect()
        if clean_end:
            client.disconnect()
            world.clock.sleep_ms(10)
            equal(world.broker.wills, [])
        else:
            client._socket.close()
            world.clock.sleep_ms(10)
            equal(world.broker.wills, [("state", b"gone", 1, 1)])


def test_a_poll_inside_a_callback_does_not_recurse():
    broker, client = pair()
    broker.accept()
    client.connect()
    client.set_callback(lambda topic, payload, retained: client.poll(10))
    broker.send(PUBLISH, payload="x")
    raises(OSError, client.poll, 10)


def test_disconnect_inside_a_callback_ends_the_connection():
    broker, client = pair()
    broker.accept()
    client.connect()
    client.set_callback(lambda topic, payload, retained: client.disconnect())
    broker.send(PUBLISH, payload="x")
    broker.expect(DISCONNECT)
    try:
        client.poll(10)
    except OSError:
        pass
    broker.done()
    assert not client.isconnected()
    equal(client.world.net.open_sockets(), [])


def test_nothing_follows_disconnect():
    from fakes.packets import PUBREC

    broker, client = pair()
    broker.accept()
    client.connect()
    broker.expect(PUBLISH, pid=1)
    broker.send(PUBREC, 1)  # it waits to be read
    broker.expect(DISCONNECT)
    client.publish("t", "x", qos=2, wait=False)
    client.world.clock.run_due()
    client.world.link.plan.write_max = 1
    client.world.link.plan.write_again = True
    client.disconnect()
    broker.done()
    equal(client.inflight, 1)


def test_a_callback_that_raises_during_disconnect_leaves_nothing_open():
    broker, client = pair(tx_size=64)
    broker.accept()
    client.connect()

    def bad(topic, payload, retained):
        raise KeyError("boom")

    client.set_callback(bad)
    broker.send(PUBLISH, payload="in")
    client.world.link.plan.write_max = 3
    client.world.link.plan.write_again = True
    client.publish("t", "y" * 200, qos=1, wait=False)
    raises(KeyError, client.disconnect)
    equal(client.world.net.open_sockets(), [])


def test_a_large_publish_keeps_the_send_buffer_small():
    broker, client = pair(tx_size=64)
    broker.accept()
    client.connect()
    client.world.link.plan.drained = False
    client.world.link.plan.buffer = 100
    client.publish("t", "y" * 5000, qos=1, wait=False)
    assert len(client._send_buf) <= 64, len(client._send_buf)


def test_disconnect_behind_blocked_writes_is_said_at_once():
    broker, client = pair()
    broker.accept()
    client.connect()
    client.world.link.plan.write_again = True
    broker.expect(PUBLISH, qos=1)
    broker.expect(PUBLISH, qos=1)
    broker.expect(DISCONNECT)
    began_ms = client.world.clock.now
    client.publish("t", "x" * 50, qos=1, wait=False)
    client.publish("t", "x" * 50, qos=1, wait=False)
    client.disconnect()
    assert client.world.clock.now - began_ms < 5
    broker.done()


def test_no_ping_that_waited_follows_a_disconnect_inside_a_callback():
    broker, client = pair()
    broker.accept()
    client.connect()

    def callback(topic, payload, retained):
        client.publish("t", "x")  # blocked
        client.world.link.plan.write_again = False
        client.world.link.plan.buffer = 0
        client.ping()
        client.world.link.plan.buffer = 1000
        client.disconnect()

    client.set_callback(callback)
    client.world.link.plan.write_again = True
    broker.send(PUBLISH, topic="in", payload="x")
    broker.expect(PUBLISH)
    broker.expect(PINGREQ)
    broker.expect(DISCONNECT)
    try:
        client.poll(10)
    except OSError:
        pass
    broker.done()


def test_a_message_whose_callback_disconnects_is_not_acknowledged_into_a_closed_socket():
    for qos in (0, 1, 2):
        broker, client = pair()
        broker.accept()
        client.connect()
        client.set_callback(lambda topic, payload, retained: client.disconnect())
        broker.send(PUBLISH, 5, payload="x", qos=qos)
        broker.expect(DISCONNECT)
        equal(client.poll(10), 1)
        broker.done()
