"""A message that the broker does not acknowledge is taken back: its slot is free for others."""

from fakes.bench import pair
from fakes.check import equal, raises
from fakes.folder import Folder
from fakes.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL
from umqtt.client import MQTTClient
from umqtt.store import FileJournal, Store
from umqtt.takeback import connect_again, send_again, take_back, unacknowledged

NOT_ON_ASYNCIO = ()


def up(**named):
    broker, client = pair(**named)
    broker.accept()
    client.connect()
    return broker, client


def test_what_is_in_flight_is_listed_the_oldest_first():
    broker, client = up()
    broker.expect(PUBLISH, qos=2, pid=1)
    broker.expect(PUBLISH, qos=1, pid=2)
    client.publish("a", "x", qos=2, wait=False)
    client.publish("b", "y", qos=1, wait=False)
    equal(unacknowledged(client), [(1, b"a", 2), (2, b"b", 1)])
    broker.send(PUBREC, 1)
    broker.expect(PUBREL, pid=1)
    client.poll(10)
    client.poll(10)
    equal([(pid, topic) for pid, topic, qos in unacknowledged(client)], [(1, b""), (2, b"b")])
    broker.done()
    broker, client = pair()
    client.subscribe("s", 1, False)
    equal((unacknowledged(client), client.inflight), ([], 1), "a subscription is no message")


def test_a_message_taken_back_is_given_whole_and_its_slot_is_free():
    broker, client = up(inflight=1)
    broker.expect(PUBLISH, qos=2, pid=1, retain=1, topic="a", payload="x")
    client.publish("a", "x", True, 2, False)
    raises(OSError, client.publish, "b", "y", qos=1, wait=False)
    equal(take_back(client, 1), (b"a", b"x", True, 2))
    equal((client.inflight, take_back(client, 1), take_back(client, 0), take_back(client, 77)), (0, None, None, None))
    began = client.world.clock.now
    broker.expect(PUBLISH, qos=1, pid=2, dup=0, topic="b")
    broker.send(PUBACK, 2)
    client.publish("b", "y", qos=1)
    broker.done()
    equal(client.world.clock.now, began, "nobody has to wait for it")


def test_nothing_is_taken_back_beneath_a_call_that_is_at_work():
    broker, client = up()
    broker.expect(PUBLISH, qos=1)
    client.publish("a", "x", qos=1, wait=False)
    client._take_turn = lambda: False  # as a Timer's callback finds it
    assert "in the middle" in str(raises(OSError, take_back, client, 1))
    equal(unacknowledged(client), [(1, b"a", 1)])


def test_a_late_ack_of_a_message_taken_back_is_answered_and_harms_nothing():
    broker, client = up()
    broker.expect(PUBLISH, qos=2, pid=1)
    client.publish("a", "x", qos=2, wait=False)
    take_back(client, 1)
    broker.send(PUBREC, 1)
    broker.expect(PUBREL, pid=1)
    broker.send(PUBCOMP, 1)
    client.poll(10)
    client.poll(10)
    equal((client.inflight, client.isconnected()), (0, True))
    broker.done()


def test_a_message_that_the_broker_has_is_let_go_without_being_given_back():
    broker, client = up()
    broker.expect(PUBLISH, qos=2, pid=1)
    broker.send(PUBREC, 1)
    broker.expect(PUBREL, pid=1)
    client.publish("a", "x", qos=2, wait=False)
    client.poll(10)
    client.poll(10)
    equal((take_back(client, 1), client.inflight), (None, 0))
    broker.done()


def test_what_was_taken_back_is_not_repeated_after_a_reconnect():
    broker, client = up()
    broker.expect(PUBLISH, qos=1, pid=1)
    broker.expect(PUBLISH, qos=1, pid=2)
    broker.cut()
    broker.accept(sp=1)
    broker.expect(PUBLISH, qos=1, pid=2, dup=1)
    broker.send(PUBACK, 2)
    client.publish("a", "x", qos=1, wait=False)
    client.publish("b", "y", qos=1, wait=False)
    try:
        client.poll(100)
    except OSError:
        pass
    take_back(client, 1)
    client.connect()
    client.poll(100)
    equal(client.inflight, 0)
    broker.done()


def test_with_a_store_what_was_taken_back_does_not_come_back_after_a_reset():
    with Folder() as folder:
        broker, client = up(store=Store(FileJournal(folder + "/journal")))
        broker.expect(PUBLISH, qos=2)
        broker.expect(PUBLISH, qos=1, topic="a", payload="x", dup=0)
        pid = client.publish("a", "x", qos=2, wait=False)
        topic, payload, retain, qos = take_back(client, pid)
        client.publish(topic, payload, retain, 1, False)  # one write for both: never lost, never there twice
        broker.done()
        again = MQTTClient("c1", "broker.test", store=Store(FileJournal(folder + "/journal")))
        equal([(topic, qos) for pid, topic, qos in unacknowledged(again)], [(b"a", 1)])


def test_a_message_that_the_broker_has_is_not_given_back_after_a_reset_either():
    with Folder() as folder:
        broker, client = up(store=Store(FileJournal(folder + "/journal")))
        broker.expect(PUBLISH, qos=2)
        broker.reply(PUBREC)
        broker.expect(PUBREL)
        pid = client.publish("a", "x", qos=2, wait=False)
        client.poll(10)
        client.poll(10)
        client.disconnect()
        again = MQTTClient("c1", "broker.test", store=Store(FileJournal(folder + "/journal")))
        equal((unacknowledged(again), take_back(again, pid), again.inflight), ([(pid, b"", 1)], None, 0))


def test_a_message_is_sent_again_as_a_new_one_in_another_qos_with_all_that_it_has():
    from fakes.bench5 import connected5

    for made, named in ((up, {}), (connected5, {"content_type": "text"})):
        broker, client = made()
        props = {"props": [(3, "text")]} if named else {}
        broker.expect(PUBLISH, qos=2, pid=1, retain=1, topic="a", payload="x", **props)
        client.publish("a", "x", True, 2, False, **named)
        broker.expect(PUBLISH, qos=1, pid=2, dup=0, retain=1, topic="a", payload="x", **props)
        send_again(client, 1, 1)
        equal(unacknowledged(client), [(2, b"a", 1)])
        broker.send(PUBACK, 2)
        client.world.serve(client, 50)
        send_again(client, 2, 0)  # acknowledged: there is none
        equal(client.inflight, 0)
        broker.done()


def test_another_connection_is_made_when_the_broker_is_to_be_asked_again():
    from umqtt.reconnect import Reconnect

    told = []
    broker, client = up(reconnect=Reconnect(10, 10, on_state=lambda up, error: told.append((up, error))))
    broker.expect(PUBLISH, qos=1, pid=1)
    client.publish("a", "x", qos=1, wait=False)
    broker.expect_end()
    broker.accept(sp=1)
    broker.expect(PUBLISH, qos=1, pid=1, dup=1)
    broker.send(PUBACK, 1)
    connect_again(client, "no answer for long")
    client.world.serve(client, 100)
    broker.done()
    assert "no answer for long" in told[-2][1] and told[-1][0], told
