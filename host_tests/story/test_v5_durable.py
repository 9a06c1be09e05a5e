"""MQTT 5 with a store and an outbox: properties survive a reset, expiry goes on counting."""

from fakes.bench5 import pair5
from fakes.check import equal
from fakes.folder import Folder
from fakes.packets import CONNACK, CONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, SUBSCRIBE
from umqtt.outbox import Outbox
from umqtt.store import FileJournal, Store

PROPS = {38: [("a", "b")], 3: "json"}


def up(store, sp=0, props=(), **named):
    broker, client = pair5(store=store, **named)
    broker.expect(CONNECT)
    broker.send(CONNACK, sp=sp, props=props)
    client.connect()
    return broker, client


def test_properties_of_messages_in_flight_survive_a_reset():
    for snapshot in (False, True):
        with Folder() as folder:
            broker, client = up(Store(FileJournal(folder + "/j", 4096)))
            broker.expect(PUBLISH, qos=1, pid=1)
            broker.expect(PUBLISH, qos=2, pid=2)
            broker.expect(PUBLISH, qos=1, pid=3, props=[])
            client.publish("t", "one", qos=1, wait=False, expiry_s=60, properties=PROPS)
            client.publish("t", "two", qos=2, wait=False, correlation=b"c" * 200)
            client.publish("t", "bare", qos=1, wait=False)
            broker.done()
            if snapshot:
                client._durable_store.rewrite()
                client._durable_store.sync()
            broker, client = pair5(store=Store(FileJournal(folder + "/j", 4096)))
            equal(client.inflight, 3)
            broker.expect(CONNECT)
            broker.send(CONNACK, sp=1)
            broker.expect(PUBLISH, qos=1, pid=1, dup=1, payload="one")
            broker.expect(PUBLISH, qos=2, pid=2, dup=1, payload="two", props=[(9, b"c" * 200)])
            broker.expect(PUBLISH, qos=1, pid=3, dup=1, payload="bare", props=[])
            client.connect()
            client.world.serve(client, 50)
            broker.done()
            equal(sorted(broker.got[-3].props), [(2, 60), (3, "json"), (38, ("a", "b"))])
            broker.send(PUBACK, 1)
            broker.send(PUBREC, 2)
            broker.expect(PUBREL, pid=2)
            broker.send(PUBCOMP, 2)
            broker.send(PUBACK, 3)
            client.world.serve(client, 50)
            broker.done()
            equal(client._durable_store.report, "")
            client._durable_store.sync()
            equal(Store(FileJournal(folder + "/j", 4096)).window, 0)


def test_a_refused_message_does_not_come_back_after_a_reset():
    with Folder() as folder:
        broker, client = up(Store(FileJournal(folder + "/j", 4096)))
        for qos, ack in ((1, PUBACK), (2, PUBREC)):
            broker.expect(PUBLISH, qos=qos)
            broker.reply(ack, reason=0x97)
            client.publish("t", "x", qos=qos, wait=False, properties=PROPS)
            client.world.serve(client, 50)
        broker.done()
        client._durable_store.sync()
        equal(Store(FileJournal(folder + "/j", 4096)).window, 0)


def test_a_client_of_3_1_1_reads_the_journal_and_sends_the_messages_bare():
    from fakes.bench import pair

    with Folder() as folder:
        broker, client = up(Store(FileJournal(folder + "/j", 4096)))
        broker.expect(PUBLISH, qos=1, pid=1)
        client.publish("t", "one", qos=1, wait=False, properties=PROPS)
        broker.done()
        broker, client = pair(store=Store(FileJournal(folder + "/j", 4096)))
        broker.accept(sp=1)
        broker.expect(PUBLISH, qos=1, pid=1, dup=1, topic="t", payload="one")
        broker.send(PUBACK, 1)
        client.connect()
        client.world.serve(client, 50)
        broker.done()


def test_options_of_subscriptions_survive_a_reset_that_the_broker_forgot():
    with Folder() as folder:
        broker, client = up(Store(FileJournal(folder + "/j", 4096)))
        broker.expect(SUBSCRIBE)
        broker.reply(SUBACK, codes=(1,))
        client.subscribe("a", 1 + 4 + 8)
        client._durable_store.sync()
        broker, client = pair5(store=Store(FileJournal(folder + "/j", 4096)))
        broker.expect(CONNECT)
        broker.send(CONNACK)
        broker.expect(SUBSCRIBE, filters=[("a", 13)])
        broker.reply(SUBACK, codes=(1,))
        client.connect()
        broker.done()


def test_an_outbox_sends_what_is_left_of_the_expiry_and_drops_what_no_broker_takes():
    with Folder() as folder:
        now = [2_000_000_000]
        store = Store(FileJournal(folder + "/j", 4096))
        outbox = Outbox(folder + "/out", store, clock=lambda: now[0])
        outbox.add("t", b"old", 1, expire_s=100)
        outbox.add("t", b"x" * 200, 1)
        outbox.add("t", b"new", 1, expire_s=500)
        outbox.add("t", b"ever", 1)
        now[0] += 200
        broker, client = up(store, props=[(39, 100)])
        broker.expect(PUBLISH, payload="new", props=[(2, 300)])
        broker.reply(PUBACK)
        broker.expect(PUBLISH, payload="ever", props=[])
        broker.reply(PUBACK)
        outbox.drain(client)
        client.world.serve(client, 50)
        broker.done()
        equal((outbox.expired, outbox.dropped, outbox.waiting), (1, 1, 0))
        assert "packet too large" in outbox.report, outbox.report
