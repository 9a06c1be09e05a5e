"""The room of a journal: how large it grows, what it refuses when it or the disk is full, what a flood leaves."""

import os

import umqtt.store as store_module
from fakes.bench import World
from fakes.check import equal, raises
from fakes.folder import Folder, read, write
from fakes.journal import PUBREL, SENT, filled, new, put, slots
from fakes.model import Model
from umqtt.store import FileJournal, Store

SOURCE_FORM_ONLY = "shipped, there is no session without a client"


def test_the_journal_never_exceeds_its_limit():
    with Folder() as folder:
        world = World(Model)
        store = Store(FileJournal(folder + "/j", 64, 300))
        client = world.client(store=store)
        client.connect()
        most = 0
        for _ in range(60):
            while client.inflight > 2:
                client.poll(10)
            client.publish("t", b"x" * 40, qos=2, wait=False)
            most = max(most, os.stat(folder + "/j")[6])
        assert 200 < most <= 300, most


def test_a_full_store_refuses_and_nothing_changes():
    with Folder() as folder:
        world = World(Model)
        store = Store(FileJournal(folder + "/j", 64, 200))
        client = world.client(store=store)
        client.publish("t", b"x" * 60, qos=2, wait=False)
        client.publish("t", b"y" * 60, qos=2, wait=False)
        was = read(folder + "/j")
        fault = raises(OSError, client.publish, "t", b"z" * 60, False, 2, False)
        assert fault.errno == 28 and "store full" in str(fault), fault
        equal(client.inflight, 2)
        equal(read(folder + "/j"), was)
        client.connect()
        while client.inflight:
            client.poll(10)
        equal([payload[:1] for topic, payload, qos in world.broker.accepted], [b"x", b"y"])
        client.publish("t", b"z" * 60, qos=2)
        equal(len(world.broker.accepted), 3)


def test_the_journal_stays_bounded():
    with Folder() as folder:
        world = World(Model)
        client = world.client(store=Store(FileJournal(folder + "/j", 256)))
        client.connect()
        most = 0
        for i in range(300):
            client.publish("node/t", b"%d" % i, qos=1 + i % 2)
            most = max(most, os.stat(folder + "/j")[6])
        assert most <= 256 + 64, most
        equal(len(world.broker.accepted), 300)


def test_a_snapshot_that_just_fits_is_written_and_a_larger_one_leaves_the_old():
    with Folder() as folder:
        journal = FileJournal(folder + "/j", limit_b=200)
        journal.rewrite(b"a" * 200)
        fault = raises(OSError, journal.rewrite, b"b" * 201)
        assert fault.errno == 28 and "store full: 201 B, limit 200 B" in str(fault), fault
        equal(read(folder + "/j"), b"a" * 200)


def test_acks_that_may_wait_still_may_when_a_snapshot_fails():
    # else a full flash would end the link, and what is acknowledged could not leave the journal
    with Folder() as folder:
        store, session, subscriptions = new(folder + "/j")
        pid = put(store, session, 1, b"t", b"one")
        put(store, session, 2, b"t", b"two")
        session.client._packet_slots[1][1] = PUBREL | SENT
        store.acked(4, pid)

        def full(data):
            raise OSError(28, "no room")

        store.journal.append = lambda data: False
        rewrite, store.journal.rewrite = store.journal.rewrite, full
        raises(OSError, store.sync)
        equal(store.must, False)
        store.journal.rewrite = rewrite
        session._release(session._in_flight()[0])
        store.sync()
        store, session, subscriptions = new(folder + "/j")
        equal([slot[1] for slot in slots(session)], [PUBREL])


def flood(store, acks):
    """The most bytes that wait while these acks come, and the writes to flash."""
    writes = []
    for name in ("append", "rewrite"):
        real = getattr(store.journal, name)
        setattr(store.journal, name, lambda data, real=real: writes.append(len(data)) or real(data))
    most = 0
    for kind, pid in acks:
        store.acked(kind, pid)
        most = max(most, len(store.out))
    store.sync()
    return most, writes


def test_20000_acks_of_unknown_ids_grow_nothing():
    for kind in (4, 7, 6):
        with Folder() as folder:
            first_id, second_id, third_id = filled(folder + "/j")
            store, session, subscriptions = new(folder + "/j")
            was = slots(session)
            most, writes = flood(store, ((kind, 1000 + i % 60000) for i in range(20000)))
            assert most < 1100, most
            assert len(writes) == 1 and writes[0] < 300, writes
            store, session, subscriptions = new(folder + "/j")
            equal((slots(session), store.report), (was, ""))


def test_a_pubrec_of_an_unknown_id_makes_no_slot():
    with Folder() as folder:
        store, session, subscriptions = new(folder + "/j")
        put(store, session, 2, b"t", b"x")
        flood(store, ((5, 1000 + i) for i in range(300)))
        store, session, subscriptions = new(folder + "/j")
        equal([slot[3] for slot in slots(session)], [b"x"])


def test_states_of_messages_in_qos_0_grow_nothing():
    with Folder() as folder:
        store, session, subscriptions = new(folder + "/j")
        most = 0
        for i in range(500):
            store.seen(0, b"state %3d" % i)
            most = max(most, len(store.out))
        assert most < 1100, most
        store.sync()
        equal(new(folder + "/j")[0].state, b"state 499")


def test_what_a_flood_drops_from_the_notes_is_in_the_snapshot():
    with Folder() as folder:
        first_id, second_id, third_id = filled(folder + "/j")
        store, session, subscriptions = new(folder + "/j")
        session.client._on_ack(0x40, second_id)
        store.acked(4, second_id)
        session._hold(5)
        store.seen(5, b"new")
        flood(store, ((4, 1000 + i) for i in range(300)))
        store, session, subscriptions = new(folder + "/j")
        equal([slot[0] for slot in slots(session)], [first_id, third_id])
        equal((sorted(session._held_ids()), store.state), ([5, 77], b"new"))


def test_a_corked_message_without_room_is_refused_at_once_and_the_others_leave():
    # at the next sync it would be too late: every sync would fail, and the link with it
    with Folder() as folder:
        world = World(Model)
        store = Store(FileJournal(folder + "/j", 64, 400))
        client = world.client(store=store, inflight=8)
        client.connect()
        store.cork = True
        taken = 0
        refusal = None
        for i in range(8):
            try:
                client.publish("t", b"%d" % i + b"x" * 80, qos=2, wait=False)
                taken += 1
            except OSError as error:
                refusal = error
        store.cork = False
        assert 2 <= taken < 8 and "store full" in str(refusal), (taken, refusal)
        while client.inflight:
            client.poll(10)
        equal([payload[:1] for topic, payload, qos in world.broker.accepted], [b"%d" % i for i in range(taken)])


class FullDisk:
    """While it is entered, the journal's writes find no room until `files` of those in `gone` were removed."""

    def __init__(self, folder, *gone):
        self.folder = folder
        self.gone = gone

    def __enter__(self):
        store_module.open = self.open

    def __exit__(self, *_):
        del store_module.open

    def open(self, name, mode):
        if mode != "rb" and [name for name in self.gone if name in os.listdir(self.folder)]:
            raise OSError(28, "")
        return open(name, mode)


def test_a_full_disk_takes_the_reserve_and_then_the_copy_that_was_set_aside():
    for gone in (("j.reserve",), ("j.reserve", "j.bad")):
        with Folder() as folder:
            store, session, subscriptions = new(folder + "/j")
            put(store, session, 2, b"t", b"one")
            write(folder + "/j.bad", b"damaged")
            with FullDisk(folder, *gone):
                put(store, session, 2, b"t", b"two")
            equal("j.bad" in os.listdir(folder), len(gone) == 1)
            assert os.stat(folder + "/j.reserve")[6] >= 8000, "made again with the next write that finds room"
            put(store, session, 2, b"t", b"three")
            equal([slot[3] for slot in slots(new(folder + "/j")[1])], [b"one", b"two", b"three"])


def test_a_disk_that_stays_full_is_told_in_words_and_nothing_is_lost():
    with Folder() as folder:
        store, session, subscriptions = new(folder + "/j")
        put(store, session, 2, b"t", b"one")
        with FullDisk(folder, "j"):
            fault = raises(OSError, put, store, session, 2, b"t", b"two")
            assert fault.errno == 28 and "storage full: remove files" in str(fault) and folder + "/j" in str(fault), (
                fault
            )
            equal("j.reserve" in os.listdir(folder), False)
        put(store, session, 2, b"t", b"three")
        equal([slot[3] for slot in slots(new(folder + "/j")[1])], [b"one", b"three"])


def test_a_journal_that_was_rewritten_often_still_takes_many_messages_in_one_write():
    with Folder() as folder:
        store, session, subscriptions = new(folder + "/j")
        store.journal.limit_b = 600
        store.journal.compact_b = 64
        for _ in range(40):
            pid = put(store, session, 1, b"t", b"x" * 20)
            session.client._packet_slots[0][1] |= SENT
            session.client._on_ack(0x40, pid)
            store.acked(4, pid)
        store.rewrite()
        store.sync()
        writes = []
        append = store.journal.append
        store.journal.append = lambda data: writes.append(len(data)) or append(data)
        store.cork = True
        for _ in range(3):
            put(store, session, 1, b"t", b"y")
        store.cork = False
        equal((writes, store.must), ([], True))


def test_a_client_whose_journal_has_refused_a_message_goes_on_at_once():
    with Folder() as folder:
        world = World(Model)
        client = world.client(store=Store(FileJournal(folder + "/j", 64, 200)))
        client.connect()
        began_ms = world.clock.now
        raises(OSError, client.publish, "t", b"z" * 300, False, 2, False)
        client.publish("t", b"small", qos=1)
        client.publish("t", b"at once")
        equal(world.clock.now, began_ms)
        client.subscribe("in", 1)
        world.serve(client, 50)
        equal([payload for topic, payload, qos in world.broker.accepted], [b"small", b"at once"])


def test_a_journal_is_rewritten_beyond_twice_of_what_counts_in_it():
    with Folder() as folder:
        journal = FileJournal(folder + "/j", compact_b=128, reserve_b=0)
        journal.rewrite(b"x" * 100)
        equal((journal.append(b"y" * 28), journal.append(b"z")), (True, False))
        journal.rewrite(b"x" * 200)
        equal((journal.append(b"y" * 200), journal.append(b"z")), (True, False))


def test_another_fault_of_the_flash_than_a_full_one_is_raised():
    with Folder() as folder:
        write(folder + "/f", b"")
        raises(OSError, Store, FileJournal(folder + "/f/j", reserve_b=0))
        os.mkdir(folder + "/k.new")
        write(folder + "/k.bad", b"stays")
        journal = FileJournal(folder + "/k", reserve_b=0)
        fault = raises(OSError, journal.rewrite, b"x")
        assert fault.errno != 28, fault
        assert "k.bad" in os.listdir(folder)
