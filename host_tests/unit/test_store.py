"""The journal: what was in flight is in flight again, whatever became of the file."""

import os
import sys

import umqtt.store as store_module
from fakes.bench import World
from fakes.check import equal, raises, skip
from fakes.folder import Folder, read, write
from fakes.journal import PUBREL, QOS_1, QOS_2, SENT, filled, new, put, slots
from fakes.model import Model
from umqtt import stream, takeback, wire
from umqtt.client import MQTTClient
from umqtt.journaling import KeptSession
from umqtt.session import Session
from umqtt.store import FileJournal, Store
from umqtt.wire import IN_USE

SOURCE_FORM_ONLY = "shipped, there is no session without a client"


def test_what_was_in_flight_is_in_flight_again():
    with Folder() as folder:
        first_id, second_id, third_id = filled(folder + "/j")
        store, session, subscriptions = new(folder + "/j")
        equal(
            slots(session),
            [(first_id, PUBREL, b"", b""), (second_id, QOS_1, b"t/b", b"two"), (third_id, QOS_2, b"t/c", b"three")],
        )
        equal(sorted(session._held_ids()), [77])
        equal(subscriptions, {wire.text("in/#", 1): 2})
        equal(store.state, b"effect")
        equal(store.report, "")
        equal(store.resub, False)


def test_a_message_from_before_a_reset_is_repeated_with_dup():
    with Folder() as folder:
        filled(folder + "/j")
        store, session, subscriptions = new(folder + "/j")
        equal([slot[1] & SENT for slot in session.client._packet_slots if slot[0]], [8, 8, 8])


def test_a_snapshot_holds_the_same():
    with Folder() as folder:
        filled(folder + "/j")
        store, session, subscriptions = new(folder + "/j")
        was = slots(session)
        store.rewrite()
        store.close()
        store, session, subscriptions = new(folder + "/j")
        equal(slots(session), was)
        equal(
            (sorted(session._held_ids()), subscriptions, store.state, store.report),
            ([77], {wire.text("in/#", 1): 2}, b"effect", ""),
        )


def test_what_is_done_does_not_come_back():
    with Folder() as folder:
        first_id, second_id, third_id = filled(folder + "/j")
        store, session, subscriptions = new(folder + "/j")
        for kind, pid in ((7, first_id), (4, second_id)):
            session.client._on_ack(kind << 4, pid)
            store.acked(kind, pid)
        session.client._on_ack(PUBREL, 77)
        store.acked(6, 77)
        del subscriptions[wire.text("in/#", 1)]
        store.subscribed(wire.text("in/#", 1), None)
        store.close()
        store, session, subscriptions = new(folder + "/j")
        equal([slot[0] for slot in slots(session)], [third_id])
        equal((sorted(session._held_ids()), subscriptions), ([], {}))


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


def test_another_client_id_or_server_sends_as_new():
    for who in (("other", "s"), ("c1", "elsewhere")):
        with Folder() as folder:
            filled(folder + "/j")
            store, session, subscriptions = new(folder + "/j", *who)
            equal([slot[1:] for slot in slots(session)], [(QOS_1, b"t/b", b"two"), (QOS_2, b"t/c", b"three")])
            equal([slot[1] & SENT for slot in session.client._packet_slots if slot[0]], [0, 0])
            equal(sorted(session._held_ids()), [])
            equal((store.resub, subscriptions), (True, {wire.text("in/#", 1): 2}))
            equal(store.report, "another client id or server: 2 messages go out as new")
            assert store.must  # the new ids are to be on flash before a byte leaves
            was = slots(session)
            store.sync()
            store, session, subscriptions = new(folder + "/j", *who)
            equal((slots(session), store.report), (was, ""))


def test_a_stream_in_flight_is_not_kept():
    # its reader is gone after a reset: an empty message in its place would be a lie
    with Folder() as folder:
        world = World(Model)
        store = Store(FileJournal(folder + "/j"))
        client = world.client(store=store)
        client.connect()
        client.publish("t", b"kept", qos=2, wait=False)

        class Reader:
            def readinto(self, buf):
                store.rewrite()
                store.sync()  # a snapshot while the slot is taken
                self.journal = read(folder + "/j")
                buf[:] = b"A" * len(buf)
                return len(buf)

        reader = Reader()
        stream.publish(client, "topic/of/stream", reader, 700, qos=1)  # the buffer for sending holds 256
        equal(reader.journal.count(b"topic/of/stream"), 0)
        equal(world.broker.accepted[-1], ("topic/of/stream", b"A" * 700, 1))
        client.disconnect()
        equal((read(folder + "/j").count(b"topic/of/stream"), Store(FileJournal(folder + "/j")).report), (0, ""))


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


def test_more_in_flight_than_slots_makes_slots():
    with Folder() as folder:
        store, session, subscriptions = new(folder + "/j", window=6)
        pids = [put(store, session, 2, b"t", b"%d" % i) for i in range(6)]
        client = MQTTClient("c1", "s", inflight=2, store=Store(FileJournal(folder + "/j")))
        equal([pid for pid, topic, qos in takeback.unacknowledged(client)], pids)


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


class Torn:
    """A file whose flash fails half-way through a write."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, data):
        self.file.write(data[: len(data) // 2])
        raise OSError(5, "")


def torn(name, mode):
    file = open(name, mode)  # noqa: SIM115 - its caller closes it
    return Torn(file) if mode == "ab" else file


def test_half_a_write_of_ones_own_is_not_taken_for_another_program():
    with Folder() as folder:
        store, session, subscriptions = new(folder + "/j")
        put(store, session, 2, b"t", b"one")
        store_module.open = torn
        try:
            equal(raises(OSError, put, store, session, 2, b"t", b"refused").errno, 5)
        finally:
            del store_module.open
        put(store, session, 2, b"t", b"two")
        store, session, subscriptions = new(folder + "/j")
        equal(([slot[3] for slot in slots(session)], store.report), ([b"one", b"two"], ""))


def test_what_an_outbox_has_passed_over_is_noted_and_ends_no_message_in_flight():
    with Folder() as folder:
        store, session, subscriptions = new(folder + "/j")
        put(store, session, 1, b"t", b"one")
        store.note(store_module.NO_MESSAGE, 7)
        store.close()
        store, session, subscriptions = new(folder + "/j")
        equal((store.place, [(slot[0], slot[3]) for slot in slots(session)]), (7, [(1, b"one")]))


def test_ids_from_before_a_reset_take_free_places_and_then_new_ones():
    with Folder() as folder:
        store, session, subscriptions = new(folder + "/j")
        places = len(session.client._held_packet_ids)
        for i in range(places + 3):
            session._hold(100 + i)
            store.seen(100 + i)
        store.close()
        store, session, subscriptions = new(folder + "/j")
        equal(sorted(session._held_ids()), [100 + i for i in range(places + 3)])
        equal(len(session.client._held_packet_ids), places + 3)


def test_a_pubrel_for_an_id_that_a_message_of_ours_has_too_is_noted():
    with Folder() as folder:
        store, session, subscriptions = new(folder + "/j")
        pid = put(store, session, 2, b"t", b"one")
        session._hold(pid)
        store.seen(pid)
        session.on_ack(0x62, pid)
        store.close()
        store, session, subscriptions = new(folder + "/j")
        equal((session._held_ids(), [slot[3] for slot in slots(session)]), ([], [b"one"]))


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


def test_a_micropython_without_crc32_checks_its_journal_all_the_same():
    import sys

    if sys.implementation.name == "micropython":
        skip("the module of the interpreter cannot be changed; the virtual ESP8266 lacks it")
    import binascii

    real = binascii.crc32
    with open(sys.modules["umqtt.store"].__file__) as file:
        source = file.read()
    try:
        del binascii.crc32
        other = {"__name__": "store"}
        exec(source, other)
    finally:
        binascii.crc32 = real
    with Folder() as folder:
        store = other["Store"](other["FileJournal"](folder + "/j"))
        session = KeptSession(Session(4), store)
        store.replay(session, "c1", "s")
        put(store, session, 2, b"t", b"one")
        store.close()
        store = other["Store"](other["FileJournal"](folder + "/j"))
        equal((store.report, store.window), ("", 1))
        whole = read(folder + "/j")
        write(folder + "/j", whole[:-1] + b"x")
        assert "damaged" in other["Store"](other["FileJournal"](folder + "/j")).report


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


def test_a_second_program_on_a_journal_is_refused_whichever_writes_first():
    with Folder() as folder:
        for second_first in (False, True):
            write(folder + "/j", b"")
            first, s1, _ = new(folder + "/j")
            put(first, s1, 2, b"t", b"one")
            second, s2, _ = new(folder + "/j")
            if second_first:
                first, s1, second, s2 = second, s2, first, s1
            put(first, s1, 2, b"t", b"two")
            was = read(folder + "/j")
            for _ in range(2):
                fault = raises(OSError, put, second, s2, 2, b"t", b"three")
                assert fault.errno == 16 and "another program" in str(fault) and folder + "/j" in str(fault), fault
            equal((read(folder + "/j"), len(s2._in_flight())), (was, 1))
            put(first, s1, 2, b"t", b"four")
            equal([slot[3] for slot in slots(new(folder + "/j")[1])], [b"one", b"two", b"four"])


def test_two_programs_that_begin_without_a_journal_do_not_share_it():
    with Folder() as folder:
        first, s1, _ = new(folder + "/j")
        second, s2, _ = new(folder + "/j")
        put(first, s1, 2, b"t", b"one")
        equal(raises(OSError, put, second, s2, 2, b"t", b"two").errno, 16)
        equal([slot[3] for slot in slots(new(folder + "/j")[1])], [b"one"])


def test_a_snapshot_of_another_program_is_seen_though_it_is_as_long():
    with Folder() as folder:
        first, s1, _ = new(folder + "/j")
        put(first, s1, 2, b"t", b"one")
        second, s2, _ = new(folder + "/j")
        first.rewrite()
        first.sync()
        first.rewrite()
        first.sync()
        equal(raises(OSError, put, second, s2, 2, b"t", b"two").errno, 16)


def test_who_was_killed_while_it_wrote_owns_the_journal_again():
    # no lock: nothing that a power cut could leave behind
    with Folder() as folder:
        store, session, subscriptions = new(folder + "/j")
        put(store, session, 2, b"t", b"one")
        write(folder + "/j", read(folder + "/j") + b"half a rec")
        write(folder + "/j.new", b"half a snapshot")
        store, session, subscriptions = new(folder + "/j")
        put(store, session, 2, b"t", b"two")
        equal([slot[3] for slot in slots(new(folder + "/j")[1])], [b"one", b"two"])


def test_a_journal_that_was_removed_is_written_again():
    with Folder() as folder:
        store, session, subscriptions = new(folder + "/j")
        put(store, session, 2, b"t", b"one")
        os.remove(folder + "/j")
        put(store, session, 2, b"t", b"two")
        equal([slot[3] for slot in slots(new(folder + "/j")[1])], [b"one", b"two"])


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


def test_an_incoming_qos_2_message_is_not_delivered_again_after_a_reset():
    for is_cut in (False, True):
        with Folder() as folder:
            world = World(Model)
            client = world.client(store=Store(FileJournal(folder + "/j")))
            client.connect()
            client.subscribe("in", 2)
            if is_cut:  # what left the board has its cause on flash
                world.net.links[-1].plan.cut_out = world.net.links[-1].out_b + 1
            world.broker.inject("in", b"once", 2)
            try:
                world.serve(client, 50)
            except OSError:
                pass
            equal(len(world.inbox), 1)
            again = world.client(store=Store(FileJournal(folder + "/j")))
            again.connect()
            world.serve(again, 100)
            equal(world.inbox, [], is_cut)
            equal(world.broker.violations, [])


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


def test_subscriptions_of_a_client_with_a_store_are_made_again_when_the_broker_forgot():
    with Folder() as folder:
        world = World(Model)
        client = world.client(store=Store(FileJournal(folder + "/j")))
        client.connect()
        client.subscribe("in/#", 1)
        world.broker.stop("fin")
        world.broker.forget()
        raises(OSError, world.serve, client, 100)
        client.connect()
        world.serve(client, 50)
        world.broker.inject("in/x", b"m", 1)
        world.serve(client, 50)
        equal(world.inbox, [(b"in/x", b"m", False)])


def test_a_late_ack_for_a_message_that_this_connection_has_not_sent_yet_leaves_it_in_the_journal():
    for qos in (1, 2):
        with Folder() as folder:
            world = World(Model)
            client = world.client(store=Store(FileJournal(folder + "/j")))
            pid = client.publish("t", b"waits", qos=qos, wait=False)
            for ack, answer in ((0x40, 0), (0x50, 0x62), (0x70, 0)):
                equal(client._on_ack(ack, pid), answer)
            client._durable_store.sync()
            again = world.client(store=Store(FileJournal(folder + "/j")))
            equal(takeback.unacknowledged(again), [(pid, b"t", qos)])


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


def test_a_journal_is_rewritten_beyond_twice_of_what_counts_in_it():
    with Folder() as folder:
        journal = FileJournal(folder + "/j", compact_b=128, reserve_b=0)
        journal.rewrite(b"x" * 100)
        equal((journal.append(b"y" * 28), journal.append(b"z")), (True, False))
        journal.rewrite(b"x" * 200)
        equal((journal.append(b"y" * 200), journal.append(b"z")), (True, False))


def test_a_second_program_is_seen_behind_a_write_of_ones_own_too():
    with Folder() as folder:
        first = FileJournal(folder + "/j", 4096, reserve_b=0)
        first.rewrite(b"x" * 50)
        for _ in range(2):
            equal(first.append(b"mine"), True)
        second = FileJournal(folder + "/j", 4096, reserve_b=0)
        second.load().close()
        equal(second.append(b"its"), True)
        equal(raises(OSError, first.append, b"mine").errno, 16)


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


def test_a_journal_has_the_types_of_record_that_its_format_names():
    import io

    with Folder() as folder:
        filled(folder + "/j")
        store, session, subscriptions = new(folder + "/j")
        store.values = {b"": b"given", wire.text("p", 1): b"\2\x0b\1"}
        subscriptions[wire.text("o", 1)] = 0x2D
        subscriptions[wire.text("p", 1)] = 1
        store.rewrite()
        store.sync()
        kinds = [kind for kind, body in store_module.records(io.BytesIO(read(folder + "/j")))]
        equal(kinds[:2] + sorted(kinds[2:]), [1, 11, 2, 3, 3, 5, 8, 10, 10])
        again = Store(FileJournal(folder + "/j"))
        equal(again.values, {b"": b"given", wire.text("p", 1): b"\2\x0b\1"})


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
