"""MQTT 5 with a store and an outbox: properties survive a reset, expiry goes on counting."""

import umqtt.store
import umqtt.v5
from fakes.bench import World
from fakes.bench5 import pair5, world5
from fakes.check import equal
from fakes.folder import Folder, read, write
from fakes.packets import (
    CONNACK,
    CONNECT,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
)
from umqtt.outbox import Outbox
from umqtt.store import FileJournal, Store

PROPS = {38: [("a", "b")], 3: "json"}

NOT_ON_ASYNCIO = (  # whose task sends what waits before the story says that it is expected
    "test_an_expiry_goes_on_counting_over_a_reset_by_the_clock",
    "test_a_snapshot_counts_what_has_passed_since_the_message_came",
)


def up(store, sp=0, props=(), **named):
    broker, client = pair5(store=store, **named)
    broker.expect(CONNECT)
    broker.send(CONNACK, sp=sp, props=props)
    client.connect()
    return broker, client


def test_properties_of_messages_in_flight_survive_a_reset():
    clock(NOW_S)
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
            expiry, *others = sorted(broker.got[-3].props)
            assert expiry in ((2, 60), (2, 59)), expiry  # over a reset the real clock counts it
            equal(others, [(3, "json"), (38, ("a", "b"))])
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
        now = [2_000_000_000.5]  # of some ports the time is a float
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
        equal((outbox.drain(client), client.inflight), (2, 2))  # no ack is awaited
        client.world.serve(client, 50)
        broker.done()
        equal((outbox.expired, outbox.dropped, outbox.waiting), (1, 1, 0))
        assert "packet too large" in outbox.report, outbox.report


NOW_S = 2_000_000_000


def clock(now_s):
    """What the store, and who reads it at a start, takes for the time."""
    umqtt.store.time = lambda: now_s


def test_an_expiry_goes_on_counting_over_a_reset_by_the_clock():
    # taken, the clock at the next start, what is left then: all of it where the clock was not set at one of the two
    for then_s, now_s, left_s in (
        (NOW_S, NOW_S + 40, 60),
        (NOW_S, NOW_S + 99, 1),
        (NOW_S, NOW_S + 5000, 1),
        (NOW_S, NOW_S - 40, 100),
        (NOW_S, 77, 100),
        (77, NOW_S, 100),
    ):
        for snapshot in (False, True):
            with Folder() as folder:
                clock(then_s)
                broker, client = up(Store(FileJournal(folder + "/j", 4096)))
                broker.expect(PUBLISH, qos=1, pid=1, props=[(2, 100), (3, "x" * 200)])
                client.publish("t", "one", qos=1, wait=False, expiry_s=100, content_type="x" * 200)
                broker.done()
                if snapshot:
                    client._durable_store.rewrite()
                    client._durable_store.sync()
                clock(now_s)
                broker, client = up(Store(FileJournal(folder + "/j", 4096)), sp=1)
                equal(client._durable_store.report, "")
                broker.expect(PUBLISH, qos=1, pid=1, dup=1, payload="one", props=[(2, left_s), (3, "x" * 200)])
                client.world.serve(client, 50)
                broker.done()


def test_a_snapshot_counts_what_has_passed_since_the_message_came():
    with Folder() as folder:
        clock(NOW_S)
        broker, client = up(Store(FileJournal(folder + "/j", 4096)))
        broker.expect(PUBLISH, qos=1, pid=1)
        client.publish("t", "one", qos=1, wait=False, expiry_s=100)
        client.world.clock.sleep_ms(30000)
        clock(NOW_S + 30)
        client._durable_store.rewrite()
        client._durable_store.sync()
        clock(NOW_S + 50)
        broker, client = up(Store(FileJournal(folder + "/j", 4096)), sp=1)
        broker.expect(PUBLISH, qos=1, pid=1, dup=1, props=[(2, 50)])
        client.world.serve(client, 50)
        broker.done()


def test_identifiers_and_options_of_subscriptions_survive_a_reset_that_the_broker_forgot():
    for snapshot in (False, True):
        with Folder() as folder:
            broker, client = up(Store(FileJournal(folder + "/j", 4096)))
            for name, identifier in (("a", 7), ("b", 0), ("c", 300), ("d", 9)):
                broker.expect(SUBSCRIBE)
                broker.reply(SUBACK, codes=(1,))
                client.subscribe(name, 1 + 8, identifier=identifier)
            broker.expect(SUBSCRIBE)  # the last one counts
            broker.reply(SUBACK, codes=(1,))
            client.subscribe("c", 1 + 8, properties={11: 301})
            broker.expect(UNSUBSCRIBE)
            broker.reply(UNSUBACK, codes=(0,))
            client.unsubscribe("d")
            if snapshot:
                client._durable_store.rewrite()
            client._durable_store.sync()
            broker, client = pair5(store=Store(FileJournal(folder + "/j", 4096)))
            equal(client._durable_store.report, "")
            broker.expect(CONNECT)
            broker.send(CONNACK)
            for name, props in (("a", [(11, 7)]), ("b", []), ("c", [(11, 301)])):
                broker.expect(SUBSCRIBE, filters=[(name, 9)], props=props)
                broker.reply(SUBACK, codes=(1,))
            client.connect()
            broker.done()


def test_the_last_subscription_of_a_life_is_the_one_that_survives_a_reset():
    for earlier, last in ((7, 0), (0, 8), (8, 8), (0, 0)):
        with Folder() as folder:
            broker, client = up(Store(FileJournal(folder + "/j", 4096)))
            sizes = []
            for identifier in (earlier, last):
                broker.expect(SUBSCRIBE)
                broker.reply(SUBACK, codes=(1,))
                client.subscribe("a", 2, identifier=identifier)
                client._durable_store.sync()
                sizes.append(len(read(folder + "/j")))
            equal(sizes[1] > sizes[0], earlier != last)  # else nothing is new
            with open(folder + "/j", "rb") as file:
                kinds = [kind for kind, _ in umqtt.store.records(file)]
            assert last or 8 in kinds, kinds  # 1.0.0 knows QoS 2
            broker, client = pair5(store=Store(FileJournal(folder + "/j", 4096)))
            broker.expect(CONNECT)
            broker.send(CONNACK)
            broker.expect(SUBSCRIBE, filters=[("a", 2)], props=[(11, last)] if last else [])
            broker.reply(SUBACK, codes=(1,))
            client.connect()
            broker.done()


def test_the_same_subscription_at_each_start_writes_nothing_identifier_or_not():
    for identifier in (0, 7):
        with Folder() as folder:
            sizes = []
            for _ in range(3):
                broker, client = up(Store(FileJournal(folder + "/j", 4096)), sp=1)
                broker.expect(SUBSCRIBE)
                broker.reply(SUBACK, codes=(1,))
                client.subscribe("a", 1, identifier=identifier)
                client._durable_store.sync()
                sizes.append(len(read(folder + "/j")))
            equal(sizes[1], sizes[2], identifier)
            broker.expect(SUBSCRIBE)
            broker.reply(SUBACK, codes=(1,))
            client.subscribe("a", 1, identifier=identifier + 1)
            client._durable_store.sync()
            assert len(read(folder + "/j")) > sizes[2], "another identifier is noted"


def test_a_client_id_that_the_broker_gave_is_kept_and_used_again():
    for snapshot in (False, True):
        with Folder() as folder:
            broker, client = up(Store(FileJournal(folder + "/j", 4096)), client_id="", props=[(18, "auto-7")])
            equal(client.client_id, "auto-7")
            broker.expect(PUBLISH, qos=1, pid=1)
            client.publish("t", "one", qos=1, wait=False)
            broker.done()
            if snapshot:
                client._durable_store.rewrite()
                client._durable_store.sync()
            broker, client = pair5(store=Store(FileJournal(folder + "/j", 4096)), client_id="")
            broker.expect(CONNECT, client_id="auto-7")
            broker.send(CONNACK, sp=1)
            broker.expect(PUBLISH, qos=1, pid=1, dup=1)
            broker.send(PUBACK, 1)
            client.connect()
            client.world.serve(client, 50)
            broker.done()
            equal(client._durable_store.report, "")


def test_the_id_is_on_flash_before_a_message_leaves():
    with Folder() as folder:
        broker, client = pair5(store=Store(FileJournal(folder + "/j", 4096)), client_id="")
        broker.expect(CONNECT, client_id="")
        broker.send(CONNACK, props=[(18, "auto-7")])
        kept = []
        broker.expect(PUBLISH, qos=0)
        broker.call(lambda: kept.append(b"auto-7" in read(folder + "/j")))
        client.connect()
        client.publish("t", "one")
        client.world.serve(client, 50)
        broker.done()
        equal(kept, [True])


def test_another_broker_gives_another_id_and_gets_the_messages_as_new():
    with Folder() as folder:
        broker, client = up(Store(FileJournal(folder + "/j", 4096)), client_id="", props=[(18, "auto-7")])
        broker.expect(PUBLISH, qos=1, pid=1)
        client.publish("t", "one", qos=1, wait=False)
        broker.done()
        world = world5()
        world.net.serve("spare.test", 1883, world.broker)
        client = umqtt.v5.MQTTClient("", "spare.test", store=Store(FileJournal(folder + "/j", 4096)))
        world.broker.expect(CONNECT, client_id="")
        world.broker.send(CONNACK, props=[(18, "auto-8")])
        world.broker.expect(PUBLISH, qos=1, dup=0, payload="one")
        client.connect()
        world.serve(client, 50)
        world.broker.done()
        equal(Store(FileJournal(folder + "/j", 4096)).values[b""], b"auto-8")


def test_a_program_that_names_its_id_does_not_get_the_one_that_the_broker_gave():
    with Folder() as folder:
        up(Store(FileJournal(folder + "/j", 4096)), client_id="", props=[(18, "auto-7")])
        broker, client = pair5(store=Store(FileJournal(folder + "/j", 4096)), client_id="mine")
        broker.expect(CONNECT, client_id="mine")
        broker.send(CONNACK)
        client.connect()
        broker.done()
        equal(Store(FileJournal(folder + "/j", 4096)).values, None)


def test_properties_whose_message_a_power_cut_has_taken_are_of_no_other():
    with Folder() as folder:
        broker, client = up(Store(FileJournal(folder + "/j", 4096)))
        broker.expect(PUBLISH, qos=1, pid=1)
        client.publish("t", "one", qos=1, wait=False, properties=PROPS)
        client._durable_store.sync()
        journal = read(folder + "/j")
        put = journal.rfind(b"\3\0")  # its record, behind that of the properties
        assert journal[put + 7 :].endswith(b"\0\1tone"), journal
        write(folder + "/j", journal[:put])
        broker, client = pair5(store=Store(FileJournal(folder + "/j", 4096)))
        equal((client._durable_store.report, client.inflight), ("", 0))
        broker.expect(CONNECT)
        broker.send(CONNACK, sp=1)
        client.connect()
        client.pid = 0
        broker.expect(PUBLISH, pid=1, props=[])
        client._durable_store.seen(0, b"noted in between")
        client.publish("t", "another", qos=1, wait=False)
        broker.done()
        broker, client = pair5(store=Store(FileJournal(folder + "/j", 4096)))
        broker.expect(CONNECT)
        broker.send(CONNACK, sp=1)
        broker.expect(PUBLISH, pid=1, dup=1, payload="another", props=[])
        client.connect()
        client.world.serve(client, 50)
        broker.done()


def test_options_of_a_subscription_are_not_asked_for_by_a_client_of_3_1_1_nor_seen_by_1_0_0():
    for snapshot in (False, True):
        with Folder() as folder:
            broker, client = up(Store(FileJournal(folder + "/j", 4096)))
            broker.expect(SUBSCRIBE, filters=[("a", 1 | 4 | 8)])
            broker.reply(SUBACK, codes=(1,))
            client.subscribe("a", 1 + 4 + 8)
            if snapshot:
                client._durable_store.rewrite()
            client._durable_store.sync()
            with open(folder + "/j", "rb") as file:
                kinds = [kind for kind, _ in umqtt.store.records(file)]
            assert 8 not in kinds and 10 in kinds, kinds
            broker, client = pair5(store=Store(FileJournal(folder + "/j", 4096)))
            equal(client._granted_qos, {b"\0\1a": 13})
            equal(client._outgoing.filter_properties, {})
            equal(client._durable_store.report, "")
            old = World().client(store=Store(FileJournal(folder + "/j", 4096)))
            equal(old._granted_qos, {b"\0\1a": 1})
