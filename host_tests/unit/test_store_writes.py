"""When the store writes, and what is on flash before a packet leaves."""

import os
import sys

import umqtt.store as store_module
from fakes.bench import World
from fakes.check import equal, raises, skip
from fakes.folder import Folder, read, write
from fakes.journal import QOS_2, SENT, filled, new, put, slots
from fakes.model import Model
from umqtt import wire
from umqtt.client import MQTTClient
from umqtt.store import FileJournal, Store
from umqtt.wire import IN_USE

SOURCE_FORM_ONLY = "shipped, there is no session without a client"


def test_what_must_be_on_flash_gets_there_when_the_network_takes_bytes_again():
    # room to write was taken for a packet to read: then no write to flash, no byte, and a poll that never waits
    with Folder() as folder:
        world = World(Model)
        client = world.client(store=Store(FileJournal(folder + "/j")))
        client.connect()
        client.subscribe("in", 2)
        world.link.plan.buffer = 0
        client.publish("t", b"out", qos=1, wait=False)
        client.poll(10)
        world.broker.inject("in", b"x", 2)
        world.clock.run_due()
        client.poll(10)
        world.link.plan.buffer = 5840
        for _ in range(10):
            client.poll(10)
        equal((client.inflight, world.inbox, world.broker.accepted), (0, [(b"in", b"x", False)], [("t", b"out", 1)]))


def test_session_present_0_is_noted_before_anything_leaves():
    with Folder() as folder:
        first_id, second_id, third_id = filled(folder + "/j")
        world = World(Model)
        client = MQTTClient("c1", "broker.test", store=Store(FileJournal(folder + "/j")))
        equal(client.connect(), False)
        while client.inflight:
            client.poll(10)
        equal([(topic, payload) for topic, payload, qos in world.broker.accepted], [("t/b", b"two"), ("t/c", b"three")])
        equal(world.broker.violations, [])
        equal(world.broker.sessions["c1"].subs, {"in/#": 2})
        client.disconnect()
        store, session, subscriptions = new(folder + "/j", "c1", "broker.test")
        equal((slots(session), sorted(session._held_ids())), ([], []))


def test_what_the_broker_forgot_is_forgotten_on_flash_before_a_message_leaves():
    with Folder() as folder:
        store, session, subscriptions = new(folder + "/j", "c1", "broker.test")
        first_id = put(store, session, 2, b"t/a", b"one")
        put(store, session, 1, b"t/b", b"two")
        session.client._packet_slots[0][1] |= SENT
        session.client._on_ack(0x50, first_id)
        store.acked(5, first_id)
        store.seen(77)
        store.close()
        world = World(Model)
        on_flash = []  # when the first message came to the broker
        real = world.broker._incoming

        def incoming(link, kept, packet):
            if not on_flash:
                write(folder + "/copy", read(folder + "/j"))
                store, session, subscriptions = new(folder + "/copy", "c1", "broker.test")
                on_flash.append(([slot[3] for slot in slots(session)], session._held_ids()))
            real(link, kept, packet)

        world.broker._incoming = incoming
        client = MQTTClient("c1", "broker.test", store=Store(FileJournal(folder + "/j")))
        equal(client.connect(), False)
        while client.inflight:
            client.poll(10)
        equal(on_flash, [([b"two"], [])])


def test_a_flash_that_fails_closes_the_link_and_nothing_leaves():
    with Folder() as folder:
        world = World(Model)
        store = Store(FileJournal(folder + "/j"))
        client = world.client(store=store)
        client.connect()
        client.publish("t", b"x", qos=2, wait=False)
        journal = store.journal

        class Broken:
            def append(self, data):
                raise OSError(5, "flash")

        store.journal = Broken()
        out_b = world.link.out_b
        equal(raises(OSError, world.serve, client, 50).errno, 5)
        equal((client.isconnected(), world.link.out_b), (False, out_b))  # PUBREC came, its PUBREL did not leave
        store.journal = journal
        client.connect()
        while client.inflight:
            client.poll(10)
        equal(len(world.broker.accepted), 1)


def test_what_a_callback_publishes_is_one_write_with_the_note_that_it_ran():
    with Folder() as folder:
        world = World(Model)
        store = Store(FileJournal(folder + "/j", 4096))
        client = world.client(store=store)

        def relay(topic, payload, retained):
            client.publish("out", payload, qos=2)
            return b"state"

        client.set_callback(relay)
        client.connect()
        client.subscribe("in", 2)
        store.sync()
        appended = []
        append = store.journal.append
        store.journal.append = lambda data: appended.append(bytes(data)) or append(data)
        world.broker.inject("in", b"m", 2)
        while not appended:
            client.poll(10)
        assert appended[0][0] == 3 and b"out" in appended[0] and b"state" in appended[0], appended
        equal(store.state, b"state")


def test_what_a_callback_returns_otherwise_is_no_state():
    with Folder() as folder:
        world = World(Model)
        store = Store(FileJournal(folder + "/j"))
        client = world.client(store=store)
        client.set_callback(lambda topic, payload, retained: 5)
        client.connect()
        client.subscribe("in", 2)
        world.broker.inject("in", b"m", 2)
        world.serve(client, 50)
        equal(store.state, b"")


def test_the_same_subscription_at_each_start_writes_nothing():
    with Folder() as folder:
        for i in range(3):
            world = World(Model)
            store = Store(FileJournal(folder + "/j"))
            client = world.client(store=store)
            client.connect()
            client.subscribe("in/#", 1)
            client.disconnect()
            if i:
                equal(read(folder + "/j").count(b"in/#"), 1)


def test_incoming_messages_of_qos_0_and_1_leave_nothing_in_the_journal():
    with Folder() as folder:
        world = World(Model)
        store = Store(FileJournal(folder + "/j", 4096))
        client = world.client(store=store)
        client.connect()
        client.subscribe("in", 1)
        store.sync()
        was = read(folder + "/j")
        world.broker.inject("in", b"m", 0)
        world.broker.inject("in", b"m", 1)
        world.serve(client, 50)
        client.disconnect()
        equal(read(folder + "/j"), was)
        equal(Store(FileJournal(folder + "/j")).report, "")


def test_behind_a_write_that_failed_nothing_is_appended():
    # its end is not known, and the refused message may stand in it
    with Folder() as folder:
        store, session, subscriptions = new(folder + "/j")
        put(store, session, 2, b"t", b"one")
        append = store.journal.append

        def torn(data):
            append(data[: len(data) // 2])
            raise OSError(28, "no room")

        store.journal.append = torn
        raises(OSError, put, store, session, 2, b"t", b"refused")
        store.journal.append = append
        put(store, session, 2, b"t", b"two")
        store, session, subscriptions = new(folder + "/j")
        equal(([slot[3] for slot in slots(session)], store.report), ([b"one", b"two"], ""))


def test_a_store_that_no_client_has_yet_and_an_ack_that_ends_no_message_write_nothing():
    with Folder() as folder:
        store = Store(FileJournal(folder + "/j", reserve_b=0))
        store.sync()
        equal(os.listdir(folder), [])
        store, session, subscriptions = new(folder + "/j")
        pid = put(store, session, 2, b"t", b"x")
        for packet_type in (0, 3, 8, 9, 11, 13):
            store.acked(packet_type, pid)
        store.acked(5, pid + 1)  # a PUBREC of nothing in flight
        equal((bytes(store.out), store.must), (b"", False))
        for packet_type, must in ((4, False), (7, False), (5, True), (6, True)):
            store.must = False
            store.acked(packet_type, pid)
            equal((packet_type, store.must), (packet_type, must))


def test_the_state_that_a_callback_returns_is_on_flash_before_the_ack_leaves():
    for qos, ack in ((1, 0x40), (2, 0x50)):
        with Folder() as folder:
            world = World(Model)
            client = world.client(store=Store(FileJournal(folder + "/j")))
            client.set_callback(lambda topic, payload, retained: b"state of " + payload)
            client.connect()
            client.subscribe("in", 2)
            at_ack = []
            acked = world.broker._acked

            def come(link, kept, packet):
                if not at_ack:  # noqa: B023
                    at_ack.append((packet.kind << 4, Store(FileJournal(folder + "/j")).state))  # noqa: B023
                acked(link, kept, packet)  # noqa: B023

            world.broker._acked = come
            world.broker.inject("in", b"x", qos)
            world.serve(client, 100)
            equal(at_ack, [(ack, b"state of x")])


def test_a_state_for_which_there_is_no_memory_ends_the_link_and_its_message_comes_again_on_the_next():
    with Folder() as folder:
        world = World(Model)
        store = Store(FileJournal(folder + "/j"))
        plain = store.seen
        wanting = [True]

        def seen(packet_id, state=None):
            if wanting and wanting.pop():
                raise MemoryError
            plain(packet_id, state)

        store.seen = seen
        client = world.client(store=store)
        client.set_callback(lambda topic, payload, retained: b"state of " + payload)
        client.connect()
        client.subscribe("in", 1)
        world.broker.inject("in", b"x", 1)
        raises(MemoryError, world.serve, client, 100)
        assert "not connected" in str(raises(OSError, client.poll))  # the callback has ended
        client.connect()
        world.serve(client, 100)
        equal(store.state, b"state of x")


def test_a_note_for_which_there_is_no_memory_is_made_up_for_by_a_snapshot():
    if sys.implementation.name != "cpython":
        skip("a name of another module cannot be replaced; story/test_no_memory.py has a heap that is locked")

    def no_memory(*_):
        raise MemoryError

    for is_put in (True, False):
        with Folder() as folder:
            store, session, subscriptions = new(folder + "/j")
            put(store, session, 1, b"t", b"before")
            session.client._draft[1:IN_USE] = 0x34, wire.text(b"t"), b"x"
            plain = store_module.record
            store_module.record = no_memory
            try:
                if is_put:
                    store.note(session.client._take_slot(), 5)
                else:
                    session._hold(7)
                    store.seen(7)
            finally:
                store_module.record = plain
            store.sync()
            store, session, subscriptions = new(folder + "/j")
            equal([slot[3] for slot in slots(session)], [b"before"] + [b"x"] * is_put)
            equal((sorted(session._held_ids()), store.place), ([] if is_put else [7], 5 * is_put))


def test_behind_a_damaged_end_the_next_write_is_a_snapshot_and_properties_have_a_record_of_their_own():
    import io

    with Folder() as folder:
        filled(folder + "/j")
        write(folder + "/j", read(folder + "/j") + b"\1\2torn")
        store, session, subscriptions = new(folder + "/j")
        put(store, session, 1, b"t", b"more")
        store, session, subscriptions = new(folder + "/j")
        equal((store.report, len(slots(session))), ("", 4))
    out = bytearray()
    slot = [1, QOS_2, wire.text(b"t"), b"x", 0, b"\5\2\0\0\0\x3c"]
    store_module._record_put(out, slot, 0)
    equal([kind for kind, body in store_module.records(io.BytesIO(out))], [9, 3])
