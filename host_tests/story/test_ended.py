"""What became of a message that was not waited for: a program can ask, and be told."""

from fakes.bench import World, pair
from fakes.check import equal, raises
from fakes.model import Model
from fakes.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE
from umqtt import takeback

NOT_ON_ASYNCIO = ("test_subscribes_inside_each_other_keep_their_own_codes",)  # nothing waits inside on_ended


def up(**named):
    b, c = pair(**named)
    c.told = []
    c.on_ended = lambda packet_id, codes: c.told.append((packet_id, codes))
    b.accept()
    c.connect()
    return b, c


def test_a_message_is_pending_until_its_last_ack_and_then_told_once():
    b, c = up()
    b.expect(PUBLISH, pid=1, qos=1)
    b.expect(PUBLISH, pid=2, qos=2)
    equal((c.publish("t", "a", qos=1, wait=False), c.publish("t", "b", qos=2, wait=False)), (1, 2))
    equal((c.pending(1), c.pending(2), c.pending(3), c.pending(0)), (True, True, False, False))
    b.send(PUBACK, 1)
    c.world.serve(c, 10)
    equal((c.pending(1), c.pending(2), c.told), (False, True, [(1, b"")]))
    b.send(PUBREC, 2)
    b.expect(PUBREL, pid=2)
    c.world.serve(c, 10)
    equal((c.pending(2), c.told[1:]), (True, []))
    b.send(PUBCOMP, 2)
    c.world.serve(c, 10)
    equal((c.pending(2), c.told[1:]), (False, [(2, b"")]))
    b.send(PUBACK, 1)
    b.send(PUBCOMP, 2)
    c.world.serve(c, 10)
    equal(len(c.told), 2)
    b.done()


def test_a_subscription_is_told_with_what_the_broker_granted():
    b, c = up()
    b.expect(SUBSCRIBE)
    b.send(SUBACK, 1, codes=(1, 0x80))
    b.expect(UNSUBSCRIBE)
    b.send(UNSUBACK, 2)
    c.subscribe([("a", 1), ("b", 2)], wait=False)
    c.unsubscribe("a", wait=False)
    c.world.serve(c, 10)
    equal(c.told, [(1, b"\x01\x80"), (2, b"")])


def test_it_is_told_for_a_call_that_waits_too_and_after_a_reconnect():
    b, c = up()
    b.expect(PUBLISH, pid=1)
    b.cut()
    raises(OSError, c.publish, "t", "x", qos=1)
    equal((c.pending(1), c.told), (True, []))
    b.accept(sp=1)
    b.expect(PUBLISH, pid=1, dup=1)
    b.send(PUBACK, 1)
    c.connect()
    c.world.serve(c, 10)
    equal(c.told, [(1, b"")])


def test_a_message_that_was_given_up_is_told_as_that_and_a_late_ack_changes_nothing():
    b, c = up()
    b.expect(PUBLISH, pid=1)
    c.publish("t", "x", qos=1, wait=False)
    c.world.serve(c, 10)
    equal(takeback.take_back(c, 1), (b"t", b"x", False, 1))
    equal((c.told, c.pending(1), c.inflight), ([(1, None)], False, 0))
    b.send(PUBACK, 1)
    c.world.serve(c, 10)
    equal(len(c.told), 1)
    assert c.isconnected()


def test_the_function_may_publish_the_next_message():
    w = World(Model)
    c = w.client(inflight=1)
    c.connect()
    left = [5]

    def next_one(packet_id, codes):
        if left[0]:
            left[0] -= 1
            assert c.publish("t", b"%d" % left[0], qos=2, wait=False)

    c.on_ended = next_one
    c.publish("t", b"5", qos=2, wait=False)
    w.serve(c, 1000)
    equal([p for _, p, _ in w.broker.accepted], [b"5", b"4", b"3", b"2", b"1", b"0"])
    equal(c.inflight, 0)


def test_what_the_function_raises_comes_out_of_poll_and_the_exchange_has_ended():
    b, c = up()
    b.expect(PUBLISH, pid=1)
    b.send(PUBACK, 1)

    def fail(packet_id, codes):
        raise ValueError("mine")

    c.on_ended = fail
    c.publish("t", "x", qos=1, wait=False)
    equal(str(raises(ValueError, c.world.serve, c, 10)), "mine")
    equal((c.isconnected(), c.inflight), (True, 0))


def test_free_slots_tells_how_many_more_can_be_taken():
    b, c = up(inflight=3)
    equal(c.free_slots(), 3)
    for left in (2, 1, 0):
        b.expect(PUBLISH)
        c.publish("t", "x", qos=1, wait=False)
        equal(c.free_slots(), left)
    raises(OSError, c.publish, "t", "x", qos=1, wait=False)


def test_messages_that_the_broker_had_when_it_forgot_the_session_have_ended():
    for many in (1, 3):
        b, c = up()
        for i in range(many):
            b.expect(PUBLISH, qos=2)
            b.reply(PUBREC)
            b.expect(PUBREL)
            c.publish("t", str(i), qos=2, wait=False)
            c.world.serve(c, 10)
        b.cut()
        raises(OSError, c.poll, 10)
        b.accept(sp=0)
        c.connect()
        c.world.serve(c, 10)
        equal((c.told, c.inflight), ([(i + 1, b"") for i in range(many)], 0))
        b.done()


def test_subscribes_inside_each_other_keep_their_own_codes():
    b, c = up()
    inner = []
    b.expect(SUBSCRIBE, filters=[("outer", 2)])
    b.reply(SUBACK, codes=(2,))
    b.expect(SUBSCRIBE, filters=[("inner", 1)])
    b.reply(SUBACK, codes=(0,))

    def ended(packet_id, codes):
        c.on_ended = None
        inner.append(c.subscribe("inner", 1))

    c.on_ended = ended
    equal((c.subscribe("outer", 2), inner), (b"\2", [b"\0"]))
    b.done()
