"""MQTT 5 with a store and an outbox: properties survive a reset, expiry goes on counting."""

from fakes.bench5 import pair5
from fakes.check import equal
from fakes.folder import Folder
from fakes.packets import CONNACK, CONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, SUBSCRIBE
from umqtt.outbox import Outbox
from umqtt.store import FileJournal, Store

PROPS = {38: [("a", "b")], 3: "json"}


def up(store, sp=0, props=(), **named):
    b, c = pair5(store=store, **named)
    b.expect(CONNECT)
    b.send(CONNACK, sp=sp, props=props)
    c.connect()
    return b, c


def test_properties_of_messages_in_flight_survive_a_reset():
    for snapshot in (False, True):
        with Folder() as d:
            b, c = up(Store(FileJournal(d + "/j", 4096)))
            b.expect(PUBLISH, qos=1, pid=1)
            b.expect(PUBLISH, qos=2, pid=2)
            b.expect(PUBLISH, qos=1, pid=3, props=[])
            c.publish("t", "one", qos=1, wait=False, expiry_s=60, properties=PROPS)
            c.publish("t", "two", qos=2, wait=False, correlation=b"c" * 200)
            c.publish("t", "bare", qos=1, wait=False)
            b.done()
            if snapshot:
                c._durable_store.rewrite()
                c._durable_store.sync()
            b, c = pair5(store=Store(FileJournal(d + "/j", 4096)))
            equal(c.inflight, 3)
            b.expect(CONNECT)
            b.send(CONNACK, sp=1)
            b.expect(PUBLISH, qos=1, pid=1, dup=1, payload="one")
            b.expect(PUBLISH, qos=2, pid=2, dup=1, payload="two", props=[(9, b"c" * 200)])
            b.expect(PUBLISH, qos=1, pid=3, dup=1, payload="bare", props=[])
            c.connect()
            c.world.serve(c, 50)
            b.done()
            equal(sorted(b.got[-3].props), [(2, 60), (3, "json"), (38, ("a", "b"))])
            b.send(PUBACK, 1)
            b.send(PUBREC, 2)
            b.expect(PUBREL, pid=2)
            b.send(PUBCOMP, 2)
            b.send(PUBACK, 3)
            c.world.serve(c, 50)
            b.done()
            equal(c._durable_store.report, "")
            c._durable_store.sync()
            equal(Store(FileJournal(d + "/j", 4096)).window, 0)


def test_a_refused_message_does_not_come_back_after_a_reset():
    with Folder() as d:
        b, c = up(Store(FileJournal(d + "/j", 4096)))
        for qos, ack in ((1, PUBACK), (2, PUBREC)):
            b.expect(PUBLISH, qos=qos)
            b.reply(ack, reason=0x97)
            c.publish("t", "x", qos=qos, wait=False, properties=PROPS)
            c.world.serve(c, 50)
        b.done()
        c._durable_store.sync()
        equal(Store(FileJournal(d + "/j", 4096)).window, 0)


def test_a_client_of_3_1_1_reads_the_journal_and_sends_the_messages_bare():
    from fakes.bench import pair

    with Folder() as d:
        b, c = up(Store(FileJournal(d + "/j", 4096)))
        b.expect(PUBLISH, qos=1, pid=1)
        c.publish("t", "one", qos=1, wait=False, properties=PROPS)
        b.done()
        b, c = pair(store=Store(FileJournal(d + "/j", 4096)))
        b.accept(sp=1)
        b.expect(PUBLISH, qos=1, pid=1, dup=1, topic="t", payload="one")
        b.send(PUBACK, 1)
        c.connect()
        c.world.serve(c, 50)
        b.done()


def test_options_of_subscriptions_survive_a_reset_that_the_broker_forgot():
    with Folder() as d:
        b, c = up(Store(FileJournal(d + "/j", 4096)))
        b.expect(SUBSCRIBE)
        b.reply(SUBACK, codes=(1,))
        c.subscribe("a", 1 + 4 + 8)
        c._durable_store.sync()
        b, c = pair5(store=Store(FileJournal(d + "/j", 4096)))
        b.expect(CONNECT)
        b.send(CONNACK)
        b.expect(SUBSCRIBE, filters=[("a", 13)])
        b.reply(SUBACK, codes=(1,))
        c.connect()
        b.done()


def test_an_outbox_sends_what_is_left_of_the_expiry_and_drops_what_no_broker_takes():
    with Folder() as d:
        now = [2_000_000_000]
        store = Store(FileJournal(d + "/j", 4096))
        outbox = Outbox(d + "/out", store, clock=lambda: now[0])
        outbox.add("t", b"old", 1, expire_s=100)
        outbox.add("t", b"x" * 200, 1)
        outbox.add("t", b"new", 1, expire_s=500)
        outbox.add("t", b"ever", 1)
        now[0] += 200
        b, c = up(store, props=[(39, 100)])
        b.expect(PUBLISH, payload="new", props=[(2, 300)])
        b.reply(PUBACK)
        b.expect(PUBLISH, payload="ever", props=[])
        b.reply(PUBACK)
        outbox.drain(c)
        c.world.serve(c, 50)
        b.done()
        equal((outbox.expired, outbox.dropped, outbox.waiting), (1, 1, 0))
        assert "packet too large" in outbox.report, outbox.report
