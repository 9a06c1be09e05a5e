"""A message that the broker does not acknowledge is taken back: its slot is free for others."""

from fakes.bench import pair
from fakes.check import equal, raises
from fakes.folder import Folder
from fakes.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL
from umqtt.client import MQTTClient
from umqtt.store import FileJournal, Store
from umqtt.takeback import take_back, unacknowledged

NOT_ON_ASYNCIO = ()


def up(**named):
    b, c = pair(**named)
    b.accept()
    c.connect()
    return b, c


def test_what_is_in_flight_is_listed_the_oldest_first():
    b, c = up()
    b.expect(PUBLISH, qos=2, pid=1)
    b.expect(PUBLISH, qos=1, pid=2)
    c.publish("a", "x", qos=2, wait=False)
    c.publish("b", "y", qos=1, wait=False)
    equal(unacknowledged(c), [(1, b"a", 2), (2, b"b", 1)])
    b.send(PUBREC, 1)
    b.expect(PUBREL, pid=1)
    c.poll(10)
    c.poll(10)
    equal([(pid, topic) for pid, topic, qos in unacknowledged(c)], [(1, b""), (2, b"b")])
    b.done()


def test_a_message_taken_back_is_given_whole_and_its_slot_is_free():
    b, c = up(inflight=1)
    b.expect(PUBLISH, qos=2, pid=1, retain=1, topic="a", payload="x")
    c.publish("a", "x", True, 2, False)
    raises(OSError, c.publish, "b", "y", qos=1, wait=False)
    equal(take_back(c, 1), (b"a", b"x", True, 2))
    equal((c.inflight, take_back(c, 1), take_back(c, 0), take_back(c, 77)), (0, None, None, None))
    b.expect(PUBLISH, qos=1, pid=2, dup=0, topic="b")
    b.send(PUBACK, 2)
    c.publish("b", "y", qos=1)
    b.done()


def test_a_late_ack_of_a_message_taken_back_is_answered_and_harms_nothing():
    b, c = up()
    b.expect(PUBLISH, qos=2, pid=1)
    c.publish("a", "x", qos=2, wait=False)
    take_back(c, 1)
    b.send(PUBREC, 1)
    b.expect(PUBREL, pid=1)
    b.send(PUBCOMP, 1)
    c.poll(10)
    c.poll(10)
    equal((c.inflight, c.isconnected()), (0, True))
    b.done()


def test_a_message_that_the_broker_has_is_let_go_without_being_given_back():
    b, c = up()
    b.expect(PUBLISH, qos=2, pid=1)
    b.send(PUBREC, 1)
    b.expect(PUBREL, pid=1)
    c.publish("a", "x", qos=2, wait=False)
    c.poll(10)
    c.poll(10)
    equal((take_back(c, 1), c.inflight), (None, 0))
    b.done()


def test_what_was_taken_back_is_not_repeated_after_a_reconnect():
    b, c = up()
    b.expect(PUBLISH, qos=1, pid=1)
    b.expect(PUBLISH, qos=1, pid=2)
    b.cut()
    b.accept(sp=1)
    b.expect(PUBLISH, qos=1, pid=2, dup=1)
    b.send(PUBACK, 2)
    c.publish("a", "x", qos=1, wait=False)
    c.publish("b", "y", qos=1, wait=False)
    try:
        c.poll(100)
    except OSError:
        pass
    take_back(c, 1)
    c.connect()
    c.poll(100)
    equal(c.inflight, 0)
    b.done()


def test_with_a_store_what_was_taken_back_does_not_come_back_after_a_reset():
    with Folder() as d:
        b, c = up(store=Store(FileJournal(d + "/journal")))
        b.expect(PUBLISH, qos=2)
        b.expect(PUBLISH, qos=1, topic="a", payload="x", dup=0)
        pid = c.publish("a", "x", qos=2, wait=False)
        topic, payload, retain, qos = take_back(c, pid)
        c.publish(topic, payload, retain, 1, False)  # one write for both: never lost, never there twice
        b.done()
        again = MQTTClient("c1", "broker.test", store=Store(FileJournal(d + "/journal")))
        equal([(topic, qos) for pid, topic, qos in unacknowledged(again)], [(b"a", 1)])
