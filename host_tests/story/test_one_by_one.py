"""A connection has ended with several messages in flight: on the next one they leave one by one."""

from io import BytesIO

from fakes.bench import pair
from fakes.check import equal, raises
from fakes.net import Plan
from fakes.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, SUBSCRIBE
from umqtt import stream
from umqtt.one_by_one import OneByOne
from umqtt.publisher import Publisher

NOT_ON_ASYNCIO = (  # it awaits
    "test_who_sends_a_packet_of_its_own_waits_for_those_in_flight",
    "test_who_sends_a_packet_of_its_own_has_one_deadline_and_takes_a_slot_inside_a_callback",
)


def cut_with(qos_of, more=b"", **named):
    """A client whose connection ended with these messages in flight, packet ids from 1 on."""
    b, c = pair(**named)
    b.accept()
    c.connect()
    one_by_one = OneByOne(c)
    for i, qos in enumerate(qos_of):
        b.expect(PUBLISH, pid=i + 1, qos=qos)
        c.publish("t", b"%d" % i + more, qos=qos, wait=False)
    b.cut()
    raises(OSError, c.poll, 100)
    one_by_one.separate()
    b.accept(sp=1)
    return b, c


def test_each_leaves_once_the_one_before_it_has_ended_then_all_as_ever():
    b, c = cut_with((1, 2, 1))
    b.expect(PUBLISH, pid=1, dup=1)
    b.wait(300)
    b.send(PUBACK, 1)
    b.expect(PUBLISH, pid=2, dup=1)
    b.send(PUBREC, 2)
    b.expect(PUBREL, pid=2)
    b.wait(300)
    b.send(PUBCOMP, 2)
    b.expect(PUBLISH, pid=3, dup=1)
    b.wait(300)
    b.send(PUBACK, 3)
    b.expect(PUBLISH, pid=4, dup=0)
    c.connect()
    c.publish("t", "behind them", qos=1, wait=False)
    polls = c.world.net.polls
    c.world.serve(c, 1000)
    assert c.world.net.polls - polls < 40, c.world.net.polls - polls  # it waits, and does not ask
    b.expect(PUBLISH, pid=5)
    b.expect(PUBLISH, pid=6, qos=2)
    c.publish("t", "x", qos=1, wait=False)
    c.publish("t", "y", qos=2, wait=False)
    equal((c.inflight, c.isconnected()), (3, True))
    b.done()


def test_one_that_ends_its_connection_again_is_the_oldest_in_flight():
    b, c = cut_with((1, 1))
    b.expect(PUBLISH, pid=1, dup=1)
    b.wait(50)
    b.send(PUBACK, 1)
    b.expect(PUBLISH, pid=2, dup=1)
    b.cut()
    c.connect()
    raises(OSError, c.world.serve, c, 500)
    equal((c.inflight, c.pending(1), c.pending(2)), (1, False, True))
    b.done()


def test_a_message_that_a_call_waits_for_and_a_subscription_wait_their_turn():
    b, c = cut_with((1, 1, 1), inflight=3)
    for pid in (1, 2, 3):
        b.expect(PUBLISH, pid=pid, dup=1)
        b.wait(50)
        b.send(PUBACK, pid)
    b.expect(SUBSCRIBE, pid=4)
    b.send(SUBACK, 4, codes=(1,))
    b.expect(PUBLISH, pid=5)
    b.send(PUBACK, 5)
    c.connect()
    equal(c.subscribe("a", 1), b"\1")
    equal(c.publish("t", "x", qos=1), 5)
    b.done()


def test_who_sends_a_packet_of_its_own_waits_for_those_in_flight():
    for is_stream in (False, True):
        b, c = cut_with((1, 1))
        for pid in (1, 2):
            b.expect(PUBLISH, pid=pid, dup=1)
            b.wait(50)
            b.send(PUBACK, pid)
        b.expect(PUBLISH, pid=3, payload="z" * 300 if is_stream else "z")
        b.send(PUBACK, 3)
        c.connect()
        if is_stream:
            equal(stream.publish(c, "t", BytesIO(b"z" * 300), 300, qos=1), 3)
        else:
            equal(Publisher(c, "t", qos=1).publish(b"z"), 3)
        b.done()


def test_a_deadline_holds_while_messages_leave_one_by_one():
    b, c = cut_with((1, 1))
    b.expect(PUBLISH, pid=1, dup=1)
    c.connect()
    began_ms = c.world.clock.now
    raises(OSError, c.publish, "t", "x", qos=1, timeout_ms=700)
    equal(c.world.clock.now - began_ms, 700)
    equal((c.inflight, c.isconnected()), (3, True))
    b.done()


def test_one_by_one_through_a_narrow_network_and_then_at_once_again():
    for plan in ({"buffer": 20, "latency_ms": 5}, {"write_again": True, "write_max": 7}):
        b, c = cut_with((1, 2, 1), b"." * 60)
        c.world.net.plan = Plan(**plan)
        for pid, qos in ((1, 1), (2, 2), (3, 1)):
            b.expect(PUBLISH, pid=pid, dup=1)
            b.wait(50)
            b.send(PUBREC if qos == 2 else PUBACK, pid)
            if qos == 2:
                b.expect(PUBREL, pid=2)
                b.send(PUBCOMP, 2)
        c.connect()
        c.world.serve(c, 500)
        b.done()
        for pid in (4, 5):
            b.expect(PUBLISH, pid=pid)
            c.publish("t", b"", qos=1, wait=False)
            c.world.serve(c, 100)
        b.done()
    b, c = cut_with((1, 1))
    for pid in (1, 2):
        b.expect(PUBLISH, pid=pid, dup=1)
        b.send(PUBACK, pid)
    c.connect()
    c.world.serve(c, 50)
    for pid in (3, 4):
        b.expect(PUBLISH, pid=pid)
        c.publish("t", "x", qos=1, wait=False)
        b.done()  # at once, though one is not acknowledged


def test_who_sends_a_packet_of_its_own_has_one_deadline_and_takes_a_slot_inside_a_callback():
    b, c = cut_with((1, 1))
    for pid in (1, 2):
        b.expect(PUBLISH, pid=pid, dup=1)
        b.wait(200)
        b.send(PUBACK, pid)
    b.expect(PUBLISH, pid=3, payload="z")
    c.connect()
    began_ms = c.world.clock.now
    raises(OSError, Publisher(c, "t", qos=1).publish, b"z", 700)
    equal(c.world.clock.now - began_ms, 700)
    b, c = cut_with((1, 1))
    prepared = Publisher(c, "t", qos=1)
    took_ms = []

    def answer(*_):
        began_ms = c.world.clock.now
        equal(prepared.publish(b"from within"), 3)
        took_ms.append(c.world.clock.now - began_ms)

    c.set_callback(answer)
    b.expect(PUBLISH, pid=1, dup=1)
    b.send(PUBLISH, topic="in", payload="x")
    b.wait(50)
    b.send(PUBACK, 1)
    b.expect(PUBLISH, pid=2, dup=1)
    b.send(PUBACK, 2)
    b.expect(PUBLISH, pid=3, payload="from within")
    c.connect()
    c.world.serve(c, 300)
    equal(took_ms, [0])
    b.done()
