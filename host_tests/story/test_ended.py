"""What became of a message that was not waited for: a program can ask, and be told."""

from fakes.bench import World, pair
from fakes.check import equal, raises
from fakes.model import Model
from fakes.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE
from umqtt import takeback

NOT_ON_ASYNCIO = ("test_subscribes_inside_each_other_keep_their_own_codes",)  # nothing waits inside on_ended


def up(**named):
    broker, client = pair(**named)
    client.told = []
    client.on_ended = lambda packet_id, codes: client.told.append((packet_id, codes))
    broker.accept()
    client.connect()
    return broker, client


def test_a_message_is_pending_until_its_last_ack_and_then_told_once():
    broker, client = up()
    broker.expect(PUBLISH, pid=1, qos=1)
    broker.expect(PUBLISH, pid=2, qos=2)
    equal((client.publish("t", "a", qos=1, wait=False), client.publish("t", "b", qos=2, wait=False)), (1, 2))
    equal((client.pending(1), client.pending(2), client.pending(3), client.pending(0)), (True, True, False, False))
    broker.send(PUBACK, 1)
    client.world.serve(client, 10)
    equal((client.pending(1), client.pending(2), client.told), (False, True, [(1, b"")]))
    broker.send(PUBREC, 2)
    broker.expect(PUBREL, pid=2)
    client.world.serve(client, 10)
    equal((client.pending(2), client.told[1:]), (True, []))
    broker.send(PUBCOMP, 2)
    client.world.serve(client, 10)
    equal((client.pending(2), client.told[1:]), (False, [(2, b"")]))
    broker.send(PUBACK, 1)
    broker.send(PUBCOMP, 2)
    client.world.serve(client, 10)
    equal(len(client.told), 2)
    broker.done()


def test_a_subscription_is_told_with_what_the_broker_granted():
    broker, client = up()
    broker.expect(SUBSCRIBE)
    broker.send(SUBACK, 1, codes=(1, 0x80))
    broker.expect(UNSUBSCRIBE)
    broker.send(UNSUBACK, 2)
    client.subscribe([("a", 1), ("b", 2)], wait=False)
    client.unsubscribe("a", wait=False)
    client.world.serve(client, 10)
    equal(client.told, [(1, b"\x01\x80"), (2, b"")])


def test_it_is_told_for_a_call_that_waits_too_and_after_a_reconnect():
    broker, client = up()
    broker.expect(PUBLISH, pid=1)
    broker.cut()
    raises(OSError, client.publish, "t", "x", qos=1)
    equal((client.pending(1), client.told), (True, []))
    broker.accept(sp=1)
    broker.expect(PUBLISH, pid=1, dup=1)
    broker.send(PUBACK, 1)
    client.connect()
    client.world.serve(client, 10)
    equal(client.told, [(1, b"")])


def test_a_message_that_was_given_up_is_told_as_that_and_a_late_ack_changes_nothing():
    broker, client = up()
    broker.expect(PUBLISH, pid=1)
    client.publish("t", "x", qos=1, wait=False)
    client.world.serve(client, 10)
    equal(takeback.take_back(client, 1), (b"t", b"x", False, 1))
    equal((client.told, client.pending(1), client.inflight), ([(1, None)], False, 0))
    broker.send(PUBACK, 1)
    client.world.serve(client, 10)
    equal(len(client.told), 1)
    assert client.isconnected()


def test_the_function_may_publish_the_next_message():
    world = World(Model)
    client = world.client(inflight=1)
    client.connect()
    left = [5]

    def next_one(packet_id, codes):
        if left[0]:
            left[0] -= 1
            assert client.publish("t", b"%d" % left[0], qos=2, wait=False)

    client.on_ended = next_one
    client.publish("t", b"5", qos=2, wait=False)
    world.serve(client, 1000)
    equal([payload for _, payload, _ in world.broker.accepted], [b"5", b"4", b"3", b"2", b"1", b"0"])
    equal(client.inflight, 0)


def test_what_the_function_raises_comes_out_of_poll_and_the_exchange_has_ended():
    broker, client = up()
    broker.expect(PUBLISH, pid=1)
    broker.send(PUBACK, 1)

    def fail(packet_id, codes):
        raise ValueError("mine")

    client.on_ended = fail
    client.publish("t", "x", qos=1, wait=False)
    equal(str(raises(ValueError, client.world.serve, client, 10)), "mine")
    equal((client.isconnected(), client.inflight), (True, 0))


def test_free_slots_tells_how_many_more_can_be_taken():
    broker, client = up(inflight=3)
    equal(client.free_slots(), 3)
    for left in (2, 1, 0):
        broker.expect(PUBLISH)
        client.publish("t", "x", qos=1, wait=False)
        equal(client.free_slots(), left)
    raises(OSError, client.publish, "t", "x", qos=1, wait=False)


def test_messages_that_the_broker_had_when_it_forgot_the_session_have_ended():
    for many in (1, 3):
        broker, client = up()
        for i in range(many):
            broker.expect(PUBLISH, qos=2)
            broker.reply(PUBREC)
            broker.expect(PUBREL)
            client.publish("t", str(i), qos=2, wait=False)
            client.world.serve(client, 10)
        broker.expect(PUBLISH, pid=many + 1, payload="behind them")
        client.publish("t", "behind them", qos=1, wait=False)
        broker.cut()
        raises(OSError, client.poll, 10)
        broker.accept(sp=0)
        broker.expect(PUBLISH, pid=many + 1, payload="behind them")
        broker.reply(PUBACK)
        client.connect()
        client.world.serve(client, 10)
        equal((client.told, client.inflight), ([(i + 1, b"") for i in range(many + 1)], 0))
        broker.done()


def test_subscribes_inside_each_other_keep_their_own_codes():
    broker, client = up()
    inner = []
    broker.expect(SUBSCRIBE, filters=[("outer", 2)])
    broker.reply(SUBACK, codes=(2,))
    broker.expect(SUBSCRIBE, filters=[("inner", 1)])
    broker.reply(SUBACK, codes=(0,))

    def ended(packet_id, codes):
        client.on_ended = None
        inner.append(client.subscribe("inner", 1))

    client.on_ended = ended
    equal((client.subscribe("outer", 2), inner), (b"\2", [b"\0"]))
    broker.done()
