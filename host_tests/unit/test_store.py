"""What a reset leaves: messages, ids, subscriptions and state of the life before are there again, and nothing else."""

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


def test_more_in_flight_than_slots_makes_slots():
    with Folder() as folder:
        store, session, subscriptions = new(folder + "/j", window=6)
        pids = [put(store, session, 2, b"t", b"%d" % i) for i in range(6)]
        client = MQTTClient("c1", "s", inflight=2, store=Store(FileJournal(folder + "/j")))
        equal([pid for pid, topic, qos in takeback.unacknowledged(client)], pids)


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


def test_a_micropython_without_crc32_checks_its_journal_all_the_same():
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
