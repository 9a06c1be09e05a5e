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
    "test_paced_ones_leave_when_they_are_let_and_a_new_message_does_not_overtake_them",  # nobody polls there
    "test_who_sends_a_packet_of_its_own_has_one_deadline_and_takes_a_slot_inside_a_callback",
)


def cut_with(qos_of, more=b"", **named):
    """A client whose connection ended with these messages in flight, packet ids from 1 on."""
    broker, client = pair(**named)
    broker.accept()
    client.connect()
    one_by_one = OneByOne(client)
    for i, qos in enumerate(qos_of):
        broker.expect(PUBLISH, pid=i + 1, qos=qos)
        client.publish("t", b"%d" % i + more, qos=qos, wait=False)
    broker.cut()
    raises(OSError, client.poll, 100)
    one_by_one.separate()
    broker.accept(sp=1)
    return broker, client


def test_each_leaves_once_the_one_before_it_has_ended_then_all_as_ever():
    broker, client = cut_with((1, 2, 1))
    broker.expect(PUBLISH, pid=1, dup=1)
    broker.wait(300)
    broker.send(PUBACK, 1)
    broker.expect(PUBLISH, pid=2, dup=1)
    broker.send(PUBREC, 2)
    broker.expect(PUBREL, pid=2)
    broker.wait(300)
    broker.send(PUBCOMP, 2)
    broker.expect(PUBLISH, pid=3, dup=1)
    broker.wait(300)
    broker.send(PUBACK, 3)
    broker.expect(PUBLISH, pid=4, dup=0)
    client.connect()
    client.publish("t", "behind them", qos=1, wait=False)
    polls = client.world.net.polls
    client.world.serve(client, 1000)
    assert client.world.net.polls - polls < 40, client.world.net.polls - polls  # it waits, and does not ask
    broker.expect(PUBLISH, pid=5)
    broker.expect(PUBLISH, pid=6, qos=2)
    client.publish("t", "x", qos=1, wait=False)
    client.publish("t", "y", qos=2, wait=False)
    equal((client.inflight, client.isconnected()), (3, True))
    broker.done()


def test_one_that_ends_its_connection_again_is_the_oldest_in_flight():
    broker, client = cut_with((1, 1))
    broker.expect(PUBLISH, pid=1, dup=1)
    broker.wait(50)
    broker.send(PUBACK, 1)
    broker.expect(PUBLISH, pid=2, dup=1)
    broker.cut()
    client.connect()
    raises(OSError, client.world.serve, client, 500)
    equal((client.inflight, client.pending(1), client.pending(2)), (1, False, True))
    broker.done()


def test_a_message_that_a_call_waits_for_and_a_subscription_wait_their_turn():
    broker, client = cut_with((1, 1, 1), inflight=3)
    for pid in (1, 2, 3):
        broker.expect(PUBLISH, pid=pid, dup=1)
        broker.wait(50)
        broker.send(PUBACK, pid)
    broker.expect(SUBSCRIBE, pid=4)
    broker.send(SUBACK, 4, codes=(1,))
    broker.expect(PUBLISH, pid=5)
    broker.send(PUBACK, 5)
    client.connect()
    equal(client.subscribe("a", 1), b"\1")
    equal(client.publish("t", "x", qos=1), 5)
    broker.done()


def test_who_sends_a_packet_of_its_own_waits_for_those_in_flight():
    for is_stream in (False, True):
        broker, client = cut_with((1, 1))
        for pid in (1, 2):
            broker.expect(PUBLISH, pid=pid, dup=1)
            broker.wait(50)
            broker.send(PUBACK, pid)
        broker.expect(PUBLISH, pid=3, payload="z" * 300 if is_stream else "z")
        broker.send(PUBACK, 3)
        client.connect()
        if is_stream:
            equal(stream.publish(client, "t", BytesIO(b"z" * 300), 300, qos=1), 3)
        else:
            equal(Publisher(client, "t", qos=1).publish(b"z"), 3)
        broker.done()


def test_a_deadline_holds_while_messages_leave_one_by_one():
    broker, client = cut_with((1, 1))
    broker.expect(PUBLISH, pid=1, dup=1)
    client.connect()
    began_ms = client.world.clock.now
    raises(OSError, client.publish, "t", "x", qos=1, timeout_ms=700)
    equal(client.world.clock.now - began_ms, 700)
    equal((client.inflight, client.isconnected()), (3, True))
    broker.done()


def test_one_by_one_through_a_narrow_network_and_then_at_once_again():
    for plan in ({"buffer": 20, "latency_ms": 5}, {"write_again": True, "write_max": 7}):
        broker, client = cut_with((1, 2, 1), b"." * 60)
        client.world.net.plan = Plan(**plan)
        for pid, qos in ((1, 1), (2, 2), (3, 1)):
            broker.expect(PUBLISH, pid=pid, dup=1)
            broker.wait(50)
            broker.send(PUBREC if qos == 2 else PUBACK, pid)
            if qos == 2:
                broker.expect(PUBREL, pid=2)
                broker.send(PUBCOMP, 2)
        client.connect()
        client.world.serve(client, 500)
        broker.done()
        for pid in (4, 5):
            broker.expect(PUBLISH, pid=pid)
            client.publish("t", b"", qos=1, wait=False)
            client.world.serve(client, 100)
        broker.done()
    broker, client = cut_with((1, 1))
    for pid in (1, 2):
        broker.expect(PUBLISH, pid=pid, dup=1)
        broker.send(PUBACK, pid)
    client.connect()
    client.world.serve(client, 50)
    for pid in (3, 4):
        broker.expect(PUBLISH, pid=pid)
        client.publish("t", "x", qos=1, wait=False)
        broker.done()  # at once, though one is not acknowledged


def test_who_sends_a_packet_of_its_own_has_one_deadline_and_takes_a_slot_inside_a_callback():
    broker, client = cut_with((1, 1))
    for pid in (1, 2):
        broker.expect(PUBLISH, pid=pid, dup=1)
        broker.wait(200)
        broker.send(PUBACK, pid)
    broker.expect(PUBLISH, pid=3, payload="z")
    client.connect()
    began_ms = client.world.clock.now
    raises(OSError, Publisher(client, "t", qos=1).publish, b"z", 700)
    equal(client.world.clock.now - began_ms, 700)
    broker, client = cut_with((1, 1))
    prepared = Publisher(client, "t", qos=1)
    took_ms = []

    def answer(*_):
        began_ms = client.world.clock.now
        equal(prepared.publish(b"from within"), 3)
        took_ms.append(client.world.clock.now - began_ms)

    client.set_callback(answer)
    broker.expect(PUBLISH, pid=1, dup=1)
    broker.send(PUBLISH, topic="in", payload="x")
    broker.wait(50)
    broker.send(PUBACK, 1)
    broker.expect(PUBLISH, pid=2, dup=1)
    broker.send(PUBACK, 2)
    broker.expect(PUBLISH, pid=3, payload="from within")
    client.connect()
    client.world.serve(client, 300)
    equal(took_ms, [0])
    broker.done()


def paced_pair():
    """Two messages of a connection that was cut; the first will leave with the next one, the second waits to be let."""
    broker, client = pair()
    broker.accept()
    client.connect()
    one_by_one = OneByOne(client)
    for pid in (1, 2):
        broker.expect(PUBLISH, pid=pid, qos=1)
        client.publish("t", b"%d" % pid, qos=1, wait=False)
    broker.cut()
    raises(OSError, client.poll, 100)
    one_by_one.separate(True)
    broker.accept(sp=1)
    broker.expect(PUBLISH, pid=1, dup=1)
    return broker, client, one_by_one


def test_paced_ones_leave_when_they_are_let_and_a_new_message_does_not_overtake_them():
    broker, client, one_by_one = paced_pair()
    equal(one_by_one.waits(), False)
    client.connect()
    client.world.serve(client, 300)
    broker.done()
    equal(one_by_one.waits(), False)
    broker.send(PUBACK, 1)
    client.world.serve(client, 500)
    equal((one_by_one.waits(), client.inflight), (True, 1))
    broker.expect(PUBLISH, pid=2, dup=1)
    one_by_one.go_on()
    client.world.serve(client, 100)
    broker.done()
    broker.send(PUBACK, 2)
    client.world.serve(client, 100)
    equal((one_by_one.waits(), client.inflight), (False, 0))
    broker.expect(PUBLISH, pid=3)
    client.publish("t", "as ever", qos=1, wait=False)
    broker.done()


def test_a_message_that_is_published_while_one_waits_to_be_let_goes_behind_it():
    broker, client, one_by_one = paced_pair()
    broker.send(PUBACK, 1)
    client.connect()
    client.world.serve(client, 300)
    equal(one_by_one.waits(), True)
    broker.expect(PUBLISH, pid=2, dup=1)
    client.publish("t", "3", qos=1, wait=False)
    client.world.serve(client, 100)
    broker.done()
    broker.send(PUBACK, 2)
    broker.expect(PUBLISH, pid=3, dup=0)
    client.world.serve(client, 100)
    broker.done()
