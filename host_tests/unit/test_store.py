"""The journal: what was in flight is in flight again, whatever became of the file."""

import os
from binascii import unhexlify

import umqtt.store as store_module
from fakes.bench import World
from fakes.check import equal, raises, skip
from fakes.folder import Folder, read, write
from fakes.model import Model
from umqtt import stream, takeback, wire
from umqtt.client import MQTTClient
from umqtt.journaling import KeptSession
from umqtt.session import Session
from umqtt.store import FileJournal, Store, record
from umqtt.wire import IN_USE

SOURCE_FORM_ONLY = "shipped, there is no session without a client"

QOS_1 = 0x32
QOS_2 = 0x34
PUBREL = 0x62
SENT = 8


def new(path, client_id="c1", server="s", window=4):
    """(store, session, subscriptions) as after a start; the journal grows without a snapshot."""
    store = Store(FileJournal(path, 4096))
    session = KeptSession(Session(max(window, store.window)), store)
    store.resub = store.replay(session, client_id, server)
    return store, session, session._subscriptions()


def put(store, session, qos, topic, payload):
    session.client._draft[1:IN_USE] = 0x30 | qos << 1, wire.text(topic), payload
    slot = session.client._take_slot()
    store.put(slot)
    return slot[0]


def slots(session):
    """[(id, first byte, topic, payload)] in the order of their coming."""
    return [(slot[0], slot[1] & ~SENT, bytes(slot[2][2:]), slot[3]) for slot in session._in_flight()]


def filled(path):
    """A journal with three messages in flight in all states, an incoming id, a subscription, state bytes."""
    store, session, subscriptions = new(path)
    first_id = put(store, session, 2, b"t/a", b"one")
    second_id = put(store, session, 1, b"t/b", b"two")
    third_id = put(store, session, 2, b"t/c", b"three")
    session.client._packet_slots[0][1] |= SENT
    session.client._on_ack(0x50, first_id)
    store.acked(5, first_id)
    store.seen(77, b"effect")
    subscriptions[wire.text("in/#", 1)] = 2
    store.subscribed(wire.text("in/#", 1), 2)
    store.close()
    return first_id, second_id, third_id


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


def test_a_torn_tail_is_set_aside():
    # cut at each byte: what stands whole before it counts, and the next start finds nothing amiss
    with Folder() as folder:
        filled(folder + "/j")
        whole = read(folder + "/j")
        seen = [0]
        for length_b in range(1, len(whole)):
            write(folder + "/k", whole[:length_b])
            store, session, subscriptions = new(folder + "/k")
            got = [slot[0] for slot in slots(session)]
            if store.report:
                equal(read(folder + "/k.bad"), whole[:length_b])
                equal(store.report.split(" damaged")[0], "journal: %d B of %d B" % (length_b - seen[-1], length_b))
            else:
                seen.append(length_b)
            store.rewrite()
            store.close()
            store, session, subscriptions = new(folder + "/k")
            equal(([slot[0] for slot in slots(session)], store.report), (got, ""))
        equal(len(seen), 7)  # nothing, and behind each of six records


def test_a_flipped_byte_costs_its_record_only():
    with Folder() as folder:
        first_id, second_id, third_id = filled(folder + "/j")
        whole = read(folder + "/j")
        for at in range(len(whole)):
            bad = bytearray(whole)
            bad[at] ^= 0x10
            write(folder + "/k", bad)
            store, session, subscriptions = new(folder + "/k")
            assert "damaged" in store.report, at
            assert len(slots(session)) >= 2, at
            equal(read(folder + "/k.bad"), bytes(bad))


def test_a_foreign_file_is_set_aside_and_the_board_starts():
    with Folder() as folder:
        write(folder + "/j", b"\0" * 300 + b"not ours" * 20)
        store, session, subscriptions = new(folder + "/j")
        assert "460 B of 460 B damaged" in store.report, store.report
        put(store, session, 1, b"t", b"x")
        store, session, subscriptions = new(folder + "/j")
        equal((len(slots(session)), store.report), (1, ""))


def test_a_damaged_journal_on_a_full_flash_counts_too():
    with Folder() as folder:
        filled(folder + "/j")
        write(folder + "/j", read(folder + "/j") + b"torn")
        os.mkdir(folder + "/j.bad")  # it cannot be copied aside
        store, session, subscriptions = new(folder + "/j")
        assert store.report.startswith("journal: 4 B of ") and "damaged, copy: [Errno" in store.report, store.report
        equal(len(slots(session)), 3)
        store.close()
        store, session, subscriptions = new(folder + "/j")
        equal((len(slots(session)), store.report), (3, ""))


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


def one_record(kind, body):
    out = bytearray()
    record(out, kind, body)
    return bytes(out)


def test_whole_records_of_another_version_are_told_and_set_aside_and_the_others_count():
    topic = b"\0\1t"
    strange = [(kind, b"") for kind in range(1, 16)]
    strange += [(kind, b"\0") for kind in range(1, 9)]
    strange += [(1, b"\0" * 13), (3, b"\0\1" + b"\0" * 4), (3, b"\0\1\0\0\0\0\x32"), (3, b"\0\1\0\0\0\0\x32\0")]
    strange += [(3, b"\0\1\0\0\0\0\x32\0\5t"), (3, b"\0\1\0\0\0\0\x36" + topic), (3, b"\0\1\0\0\0\0\x30" + topic)]
    strange += [
        (3, b"\0\1\0\0\0\0\x82" + topic),
        (9, b"\0" * 20),
        (9, b"\0\1\0\0\0\0\3\1\1"),
        (10, b"\1\0\1a\2"),
        (10, b"\1\0\1a"),
        (10, b"\1\0\x09a\2"),
        (11, b""),
        (11, b"\xff\xfe"),
        (15, b"\0" * 40),
        (8, b"\1"),
        (8, b"\1\0"),
    ]
    with Folder() as folder:
        first_id, second_id, third_id = filled(folder + "/j")
        whole = read(folder + "/j")
        for kind, body in strange:
            write(folder + "/k", whole + one_record(kind, body))
            store, session, subscriptions = new(folder + "/k")
            equal(
                (store.report, kind, body),
                ("journal: 1 records of another version, copy: %s/k.bad" % folder, kind, body),
            )
            equal(read(folder + "/k.bad"), read(folder + "/k"))
            equal([slot[0] for slot in slots(session)], [first_id, second_id, third_id])
            equal((sorted(session._held_ids()), store.state), ([77], b"effect"))
            store.sync()
            store, session, subscriptions = new(folder + "/k")
            equal((len(slots(session)), store.report), (3, ""))


# filled() by the code of 1.0.0
OF_1_0_0 = (
    "01000e2685c2f300000001ba818b5f00000000000103000f09d827a7000100000000340003742f616f6e6503000f7fb0d88f0002000000003200"
    "03742f6274776f030011f6130814000300000000340003742f6374687265650500027a419c95000102000978b69fe3004d016566666563740800"
    "072c9b81ce020004696e2f23"
)


def test_a_journal_of_1_0_0_is_read_and_without_mqtt_5_it_is_still_the_same():
    with Folder() as folder:
        write(folder + "/j", unhexlify(OF_1_0_0))
        store, session, subscriptions = new(folder + "/j")
        equal((store.report, store.state, store.values, sorted(session._held_ids())), ("", b"effect", None, [77]))
        equal(slots(session), [(1, PUBREL, b"", b""), (2, QOS_1, b"t/b", b"two"), (3, QOS_2, b"t/c", b"three")])
        equal(subscriptions, {wire.text("in/#", 1): 2})
        filled(folder + "/k")
        equal(read(folder + "/k"), unhexlify(OF_1_0_0), "1.0.0 reads what this version writes")


def test_a_journal_all_of_another_version_starts_a_new_one():
    with Folder() as folder:
        write(folder + "/j", one_record(9, b"header of version 2") + one_record(10, b"message"))
        store, session, subscriptions = new(folder + "/j")
        assert store.report.startswith("journal: 2 records of another version"), store.report
        equal((store.pid, store.window, store.place), (-1, 0, 0))
        put(store, session, 2, b"t", b"x")
        store, session, subscriptions = new(folder + "/j")
        equal((len(slots(session)), store.report), (1, ""))


def test_an_empty_journal_is_told():
    with Folder() as folder:
        write(folder + "/j", b"")
        store, session, subscriptions = new(folder + "/j")
        equal(store.report, "journal: empty, copy: %s/j.bad" % folder)
        assert store.must
        put(store, session, 2, b"t", b"x")
        equal(new(folder + "/j")[0].report, "")


def test_a_journal_that_lacks_its_header_is_told():
    with Folder() as folder:
        filled(folder + "/j")
        whole = read(folder + "/j")
        write(folder + "/j", whole[7 + whole[2] :])
        store, session, subscriptions = new(folder + "/j")
        assert store.report.startswith("journal: no header"), store.report
        equal(len(slots(session)), 3)


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


def test_a_reserve_is_made_once_and_counted_by_its_size():
    with Folder() as folder:
        for torn in (None, b"", b"\0" * 100):
            if torn is not None:
                write(folder + "/j.reserve", torn)
            store = Store(FileJournal(folder + "/j", reserve_b=2000))
            equal((store.report, os.stat(folder + "/j.reserve")[6] >= 2000), ("", True))
        at = os.stat(folder + "/j.reserve")[7:]
        Store(FileJournal(folder + "/j", reserve_b=2000))
        equal(os.stat(folder + "/j.reserve")[7:], at)
        equal(sorted(os.listdir(folder)), ["j.reserve"])


def test_a_file_system_without_room_for_the_reserve_is_told():
    with Folder() as folder:
        store = Store(FileJournal(folder + "/j", reserve_b=1 << 60))
        equal(store.report, "storage: remove files, there is no room for the journal's reserve")
        equal(os.listdir(folder), [])


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
            put(store, session, 2, b"t", b"three")
            equal([slot[3] for slot in slots(new(folder + "/j")[1])], [b"one", b"two", b"three"])
            assert os.stat(folder + "/j.reserve")[6] >= 8000


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


def test_a_type_that_no_version_has_is_damage():
    for kind in (0, 16):
        with Folder() as folder:
            filled(folder + "/j")
            whole = read(folder + "/j")
            write(folder + "/j", whole + one_record(kind, b"xyz"))
            assert new(folder + "/j")[0].report.startswith("journal: 10 B of %d B damaged" % (len(whole) + 10))


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


def test_the_room_for_an_outbox_is_counted_in_blocks():
    from umqtt import recall

    real = recall.room_b
    try:
        for free, block_b, files, segment_b, limit_b, want in (
            (10, 4096, 3, 2048, 65536, 12),
            (10, 4096, 3, 4096, 65536, 12),
            (10, 4096, 3, 4097, 65536, 7),
            (10, 4096, 3, 2048, 12 * 2048, None),
            (10, 4096, 3, 2048, 13 * 2048, 12),
            (0, 4096, 0, 2048, 65536, 1),
            (-2, 4096, 1, 2048, 65536, 1),
            (10, 4096, 0, 2048, 100, None),
        ):
            recall.room_b = lambda path, got=(free * block_b, block_b): got
            allowed = max(1, limit_b // segment_b)
            most, report = recall.most_files("q", files, allowed, segment_b)
            equal(most, want or allowed)
            words = "storage: remove files, the outbox may take %d B and there is room for %d B"
            equal(report, "" if want is None else words % (allowed * segment_b, most * segment_b))
    finally:
        recall.room_b = real


def test_a_message_of_an_id_that_is_in_flight_takes_its_place_at_the_end():
    with Folder() as folder:
        first_id, second_id, third_id = filled(folder + "/j")
        body = bytes((0, second_id)) + b"\0\0\0\7" + b"\x32\0\1xnew"
        write(
            folder + "/j",
            read(folder + "/j") + one_record(3, body) + one_record(2, b"\0\x4d") + one_record(2, b"\0\0\1quiet"),
        )
        store, session, subscriptions = new(folder + "/j")
        equal(
            [(slot[0], slot[3]) for slot in slots(session)],
            [(first_id, b""), (third_id, b"three"), (second_id, b"new")],
        )
        equal(
            (sorted(session._held_ids()), store.state, store.place, session.pid, store.report),
            ([77], b"quiet", 7, second_id, ""),
        )


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


def test_a_client_that_its_full_store_has_refused_a_message_goes_on():
    with Folder() as folder:
        world = World(Model)
        client = world.client(store=Store(FileJournal(folder + "/j", 64, 200)))
        client.connect()
        raises(OSError, client.publish, "t", b"z" * 300, False, 2, False)
        client.publish("t", b"small", qos=1)
        client.publish("t", b"at once")
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
    with Folder() as folder:
        world = World(Model)
        client = world.client(store=Store(FileJournal(folder + "/j")))
        pid = client.publish("t", b"waits", qos=1, wait=False)
        for ack in (0x40, 0x70):
            equal(client._on_ack(ack, pid), 0)
        client._durable_store.sync()
        again = world.client(store=Store(FileJournal(folder + "/j")))
        equal((again.inflight, again.pending(pid)), (1, True))
