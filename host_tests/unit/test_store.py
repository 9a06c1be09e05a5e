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
    st = Store(FileJournal(path, 4096))
    s = KeptSession(Session(max(window, st.window)), st)
    st.resub = st.replay(s, client_id, server)
    return st, s, s._subscriptions()


def put(st, s, qos, topic, payload):
    s.client._draft[1:IN_USE] = 0x30 | qos << 1, wire.text(topic), payload
    m = s.client._take_slot()
    st.put(m)
    return m[0]


def slots(s):
    """[(id, first byte, topic, payload)] in the order of their coming."""
    return [(m[0], m[1] & ~SENT, bytes(m[2][2:]), m[3]) for m in s._in_flight()]


def filled(path):
    """A journal with three messages in flight in all states, an incoming id, a subscription, state bytes."""
    st, s, subs = new(path)
    a = put(st, s, 2, b"t/a", b"one")
    b = put(st, s, 1, b"t/b", b"two")
    c = put(st, s, 2, b"t/c", b"three")
    s.client._packet_slots[0][1] |= SENT
    s.client._on_ack(0x50, a)
    st.acked(5, a)
    st.seen(77, b"effect")
    subs[wire.text("in/#", 1)] = 2
    st.subscribed(wire.text("in/#", 1), 2)
    st.close()
    return a, b, c


def test_what_was_in_flight_is_in_flight_again():
    with Folder() as d:
        a, b, c = filled(d + "/j")
        st, s, subs = new(d + "/j")
        equal(slots(s), [(a, PUBREL, b"", b""), (b, QOS_1, b"t/b", b"two"), (c, QOS_2, b"t/c", b"three")])
        equal(sorted(s._held_ids()), [77])
        equal(subs, {wire.text("in/#", 1): 2})
        equal(st.state, b"effect")
        equal(st.report, "")
        equal(st.resub, False)


def test_a_message_from_before_a_reset_is_repeated_with_dup():
    with Folder() as d:
        filled(d + "/j")
        st, s, subs = new(d + "/j")
        equal([m[1] & SENT for m in s.client._packet_slots if m[0]], [8, 8, 8])


def test_a_snapshot_holds_the_same():
    with Folder() as d:
        filled(d + "/j")
        st, s, subs = new(d + "/j")
        was = slots(s)
        st.rewrite()
        st.close()
        st, s, subs = new(d + "/j")
        equal(slots(s), was)
        equal((sorted(s._held_ids()), subs, st.state, st.report), ([77], {wire.text("in/#", 1): 2}, b"effect", ""))


def test_what_is_done_does_not_come_back():
    with Folder() as d:
        a, b, c = filled(d + "/j")
        st, s, subs = new(d + "/j")
        for kind, pid in ((7, a), (4, b)):
            s.client._on_ack(kind << 4, pid)
            st.acked(kind, pid)
        s.client._on_ack(PUBREL, 77)
        st.acked(6, 77)
        del subs[wire.text("in/#", 1)]
        st.subscribed(wire.text("in/#", 1), None)
        st.close()
        st, s, subs = new(d + "/j")
        equal([m[0] for m in slots(s)], [c])
        equal((sorted(s._held_ids()), subs), ([], {}))


def test_a_torn_tail_is_set_aside():
    # cut at each byte: what stands whole before it counts, and the next start finds nothing amiss
    with Folder() as d:
        filled(d + "/j")
        whole = read(d + "/j")
        seen = [0]
        for n in range(1, len(whole)):
            write(d + "/k", whole[:n])
            st, s, subs = new(d + "/k")
            got = [m[0] for m in slots(s)]
            if st.report:
                equal(read(d + "/k.bad"), whole[:n])
                equal(st.report.split(" damaged")[0], "journal: %d B of %d B" % (n - seen[-1], n))
            else:
                seen.append(n)
            st.rewrite()
            st.close()
            st, s, subs = new(d + "/k")
            equal(([m[0] for m in slots(s)], st.report), (got, ""))
        equal(len(seen), 7)  # nothing, and behind each of six records


def test_a_flipped_byte_costs_its_record_only():
    with Folder() as d:
        a, b, c = filled(d + "/j")
        whole = read(d + "/j")
        for at in range(len(whole)):
            bad = bytearray(whole)
            bad[at] ^= 0x10
            write(d + "/k", bad)
            st, s, subs = new(d + "/k")
            assert "damaged" in st.report, at
            assert len(slots(s)) >= 2, at
            equal(read(d + "/k.bad"), bytes(bad))


def test_a_foreign_file_is_set_aside_and_the_board_starts():
    with Folder() as d:
        write(d + "/j", b"\0" * 300 + b"not ours" * 20)
        st, s, subs = new(d + "/j")
        assert "460 B of 460 B damaged" in st.report, st.report
        put(st, s, 1, b"t", b"x")
        st, s, subs = new(d + "/j")
        equal((len(slots(s)), st.report), (1, ""))


def test_a_damaged_journal_on_a_full_flash_counts_too():
    with Folder() as d:
        filled(d + "/j")
        write(d + "/j", read(d + "/j") + b"torn")
        os.mkdir(d + "/j.bad")  # it cannot be copied aside
        st, s, subs = new(d + "/j")
        assert st.report.startswith("journal: 4 B of ") and "damaged, copy: [Errno" in st.report, st.report
        equal(len(slots(s)), 3)
        st.close()
        st, s, subs = new(d + "/j")
        equal((len(slots(s)), st.report), (3, ""))


def test_the_journal_never_exceeds_its_limit():
    with Folder() as d:
        w = World(Model)
        st = Store(FileJournal(d + "/j", 64, 300))
        c = w.client(store=st)
        c.connect()
        most = 0
        for _ in range(60):
            while c.inflight > 2:
                c.poll(10)
            c.publish("t", b"x" * 40, qos=2, wait=False)
            most = max(most, os.stat(d + "/j")[6])
        assert 200 < most <= 300, most


def test_another_client_id_or_server_sends_as_new():
    for who in (("other", "s"), ("c1", "elsewhere")):
        with Folder() as d:
            filled(d + "/j")
            st, s, subs = new(d + "/j", *who)
            equal([m[1:] for m in slots(s)], [(QOS_1, b"t/b", b"two"), (QOS_2, b"t/c", b"three")])
            equal([m[1] & SENT for m in s.client._packet_slots if m[0]], [0, 0])
            equal(sorted(s._held_ids()), [])
            equal((st.resub, subs), (True, {wire.text("in/#", 1): 2}))
            equal(st.report, "another client id or server: 2 messages go out as new")
            assert st.must  # the new ids are to be on flash before a byte leaves
            was = slots(s)
            st.sync()
            st, s, subs = new(d + "/j", *who)
            equal((slots(s), st.report), (was, ""))


def test_a_stream_in_flight_is_not_kept():
    # its reader is gone after a reset: an empty message in its place would be a lie
    with Folder() as d:
        w = World(Model)
        st = Store(FileJournal(d + "/j"))
        c = w.client(store=st)
        c.connect()
        c.publish("t", b"kept", qos=2, wait=False)

        class Reader:
            def readinto(self, buf):
                st.rewrite()
                st.sync()  # a snapshot while the slot is taken
                self.journal = read(d + "/j")
                buf[:] = b"A" * len(buf)
                return len(buf)

        r = Reader()
        stream.publish(c, "topic/of/stream", r, 700, qos=1)  # the buffer for sending holds 256
        equal(r.journal.count(b"topic/of/stream"), 0)
        equal(w.broker.accepted[-1], ("topic/of/stream", b"A" * 700, 1))
        c.disconnect()
        equal((read(d + "/j").count(b"topic/of/stream"), Store(FileJournal(d + "/j")).report), (0, ""))


def test_what_must_be_on_flash_gets_there_when_the_network_takes_bytes_again():
    # room to write was taken for a packet to read: then no write to flash, no byte, and a poll that never waits
    with Folder() as d:
        w = World(Model)
        c = w.client(store=Store(FileJournal(d + "/j")))
        c.connect()
        c.subscribe("in", 2)
        w.link.plan.buffer = 0
        c.publish("t", b"out", qos=1, wait=False)
        c.poll(10)
        w.broker.inject("in", b"x", 2)
        w.clock.run_due()
        c.poll(10)
        w.link.plan.buffer = 5840
        for _ in range(10):
            c.poll(10)
        equal((c.inflight, w.inbox, w.broker.accepted), (0, [(b"in", b"x", False)], [("t", b"out", 1)]))


def test_a_full_store_refuses_and_nothing_changes():
    with Folder() as d:
        w = World(Model)
        st = Store(FileJournal(d + "/j", 64, 200))
        c = w.client(store=st)
        c.publish("t", b"x" * 60, qos=2, wait=False)
        c.publish("t", b"y" * 60, qos=2, wait=False)
        was = read(d + "/j")
        e = raises(OSError, c.publish, "t", b"z" * 60, False, 2, False)
        assert e.errno == 28 and "store full" in str(e), e
        equal(c.inflight, 2)
        equal(read(d + "/j"), was)
        c.connect()
        while c.inflight:
            c.poll(10)
        equal([p[:1] for t, p, q in w.broker.accepted], [b"x", b"y"])
        c.publish("t", b"z" * 60, qos=2)
        equal(len(w.broker.accepted), 3)


def test_more_in_flight_than_slots_makes_slots():
    with Folder() as d:
        st, s, subs = new(d + "/j", window=6)
        pids = [put(st, s, 2, b"t", b"%d" % i) for i in range(6)]
        c = MQTTClient("c1", "s", inflight=2, store=Store(FileJournal(d + "/j")))
        equal([pid for pid, topic, qos in takeback.unacknowledged(c)], pids)


def test_the_journal_stays_bounded():
    with Folder() as d:
        w = World(Model)
        c = w.client(store=Store(FileJournal(d + "/j", 256)))
        c.connect()
        most = 0
        for i in range(300):
            c.publish("node/t", b"%d" % i, qos=1 + i % 2)
            most = max(most, os.stat(d + "/j")[6])
        assert most <= 256 + 64, most
        equal(len(w.broker.accepted), 300)


def test_session_present_0_is_noted_before_anything_leaves():
    with Folder() as d:
        a, b, c = filled(d + "/j")
        w = World(Model)
        client = MQTTClient("c1", "broker.test", store=Store(FileJournal(d + "/j")))
        equal(client.connect(), False)
        while client.inflight:
            client.poll(10)
        equal([(t, p) for t, p, q in w.broker.accepted], [("t/b", b"two"), ("t/c", b"three")])
        equal(w.broker.violations, [])
        equal(w.broker.sessions["c1"].subs, {"in/#": 2})
        client.disconnect()
        st, s, subs = new(d + "/j", "c1", "broker.test")
        equal((slots(s), sorted(s._held_ids())), ([], []))


def test_what_the_broker_forgot_is_forgotten_on_flash_before_a_message_leaves():
    with Folder() as d:
        st, s, subs = new(d + "/j", "c1", "broker.test")
        a = put(st, s, 2, b"t/a", b"one")
        put(st, s, 1, b"t/b", b"two")
        s.client._packet_slots[0][1] |= SENT
        s.client._on_ack(0x50, a)
        st.acked(5, a)
        st.seen(77)
        st.close()
        w = World(Model)
        on_flash = []  # when the first message came to the broker
        real = w.broker._incoming

        def incoming(link, kept, p):
            if not on_flash:
                write(d + "/copy", read(d + "/j"))
                st, s, subs = new(d + "/copy", "c1", "broker.test")
                on_flash.append(([m[3] for m in slots(s)], s._held_ids()))
            real(link, kept, p)

        w.broker._incoming = incoming
        client = MQTTClient("c1", "broker.test", store=Store(FileJournal(d + "/j")))
        equal(client.connect(), False)
        while client.inflight:
            client.poll(10)
        equal(on_flash, [([b"two"], [])])


def test_a_flash_that_fails_closes_the_link_and_nothing_leaves():
    with Folder() as d:
        w = World(Model)
        st = Store(FileJournal(d + "/j"))
        c = w.client(store=st)
        c.connect()
        c.publish("t", b"x", qos=2, wait=False)
        journal = st.journal

        class Broken:
            def append(self, data):
                raise OSError(5, "flash")

        st.journal = Broken()
        out_b = w.link.out_b
        equal(raises(OSError, w.serve, c, 50).errno, 5)
        equal((c.isconnected(), w.link.out_b), (False, out_b))  # PUBREC came, its PUBREL did not leave
        st.journal = journal
        c.connect()
        while c.inflight:
            c.poll(10)
        equal(len(w.broker.accepted), 1)


def test_what_a_callback_publishes_is_one_write_with_the_note_that_it_ran():
    with Folder() as d:
        w = World(Model)
        st = Store(FileJournal(d + "/j", 4096))
        c = w.client(store=st)

        def relay(topic, payload, retained):
            c.publish("out", payload, qos=2)
            return b"state"

        c.set_callback(relay)
        c.connect()
        c.subscribe("in", 2)
        st.sync()
        appended = []
        append = st.journal.append
        st.journal.append = lambda data: appended.append(bytes(data)) or append(data)
        w.broker.inject("in", b"m", 2)
        while not appended:
            c.poll(10)
        assert appended[0][0] == 3 and b"out" in appended[0] and b"state" in appended[0], appended
        equal(st.state, b"state")


def test_what_a_callback_returns_otherwise_is_no_state():
    with Folder() as d:
        w = World(Model)
        st = Store(FileJournal(d + "/j"))
        c = w.client(store=st)
        c.set_callback(lambda topic, payload, retained: 5)
        c.connect()
        c.subscribe("in", 2)
        w.broker.inject("in", b"m", 2)
        w.serve(c, 50)
        equal(st.state, b"")


def test_the_same_subscription_at_each_start_writes_nothing():
    with Folder() as d:
        for n in range(3):
            w = World(Model)
            st = Store(FileJournal(d + "/j"))
            c = w.client(store=st)
            c.connect()
            c.subscribe("in/#", 1)
            c.disconnect()
            if n:
                equal(read(d + "/j").count(b"in/#"), 1)


def test_incoming_messages_of_qos_0_and_1_leave_nothing_in_the_journal():
    with Folder() as d:
        w = World(Model)
        st = Store(FileJournal(d + "/j", 4096))
        c = w.client(store=st)
        c.connect()
        c.subscribe("in", 1)
        st.sync()
        was = read(d + "/j")
        w.broker.inject("in", b"m", 0)
        w.broker.inject("in", b"m", 1)
        w.serve(c, 50)
        c.disconnect()
        equal(read(d + "/j"), was)
        equal(Store(FileJournal(d + "/j")).report, "")


def test_behind_a_write_that_failed_nothing_is_appended():
    # its end is not known, and the refused message may stand in it
    with Folder() as d:
        st, s, subs = new(d + "/j")
        put(st, s, 2, b"t", b"one")
        append = st.journal.append

        def torn(data):
            append(data[: len(data) // 2])
            raise OSError(28, "no room")

        st.journal.append = torn
        raises(OSError, put, st, s, 2, b"t", b"refused")
        st.journal.append = append
        put(st, s, 2, b"t", b"two")
        st, s, subs = new(d + "/j")
        equal(([m[3] for m in slots(s)], st.report), ([b"one", b"two"], ""))


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
    with Folder() as d:
        st, s, subs = new(d + "/j")
        put(st, s, 2, b"t", b"one")
        store_module.open = torn
        try:
            equal(raises(OSError, put, st, s, 2, b"t", b"refused").errno, 5)
        finally:
            del store_module.open
        put(st, s, 2, b"t", b"two")
        st, s, subs = new(d + "/j")
        equal(([m[3] for m in slots(s)], st.report), ([b"one", b"two"], ""))


def test_what_an_outbox_has_passed_over_is_noted_and_ends_no_message_in_flight():
    with Folder() as d:
        st, s, subs = new(d + "/j")
        put(st, s, 1, b"t", b"one")
        st.note(store_module.NO_MESSAGE, 7)
        st.close()
        st, s, subs = new(d + "/j")
        equal((st.place, [(m[0], m[3]) for m in slots(s)]), (7, [(1, b"one")]))


def test_ids_from_before_a_reset_take_free_places_and_then_new_ones():
    with Folder() as d:
        st, s, subs = new(d + "/j")
        places = len(s.client._held_packet_ids)
        for i in range(places + 3):
            s._hold(100 + i)
            st.seen(100 + i)
        st.close()
        st, s, subs = new(d + "/j")
        equal(sorted(s._held_ids()), [100 + i for i in range(places + 3)])
        equal(len(s.client._held_packet_ids), places + 3)


def test_a_pubrel_for_an_id_that_a_message_of_ours_has_too_is_noted():
    with Folder() as d:
        st, s, subs = new(d + "/j")
        pid = put(st, s, 2, b"t", b"one")
        s._hold(pid)
        st.seen(pid)
        s.on_ack(0x62, pid)
        st.close()
        st, s, subs = new(d + "/j")
        equal((s._held_ids(), [m[3] for m in slots(s)]), ([], [b"one"]))


def test_a_snapshot_that_just_fits_is_written_and_a_larger_one_leaves_the_old():
    with Folder() as d:
        journal = FileJournal(d + "/j", limit_b=200)
        journal.rewrite(b"a" * 200)
        e = raises(OSError, journal.rewrite, b"b" * 201)
        assert e.errno == 28 and "store full: 201 B, limit 200 B" in str(e), e
        equal(read(d + "/j"), b"a" * 200)


def test_acks_that_may_wait_still_may_when_a_snapshot_fails():
    # else a full flash would end the link, and what is acknowledged could not leave the journal
    with Folder() as d:
        st, s, subs = new(d + "/j")
        pid = put(st, s, 1, b"t", b"one")
        put(st, s, 2, b"t", b"two")
        s.client._packet_slots[1][1] = PUBREL | SENT
        st.acked(4, pid)

        def full(data):
            raise OSError(28, "no room")

        st.journal.append = lambda data: False
        rewrite, st.journal.rewrite = st.journal.rewrite, full
        raises(OSError, st.sync)
        equal(st.must, False)
        st.journal.rewrite = rewrite
        s._release(s._in_flight()[0])
        st.sync()
        st, s, subs = new(d + "/j")
        equal([m[1] for m in slots(s)], [PUBREL])


def test_a_micropython_without_crc32_checks_its_journal_all_the_same():
    import sys

    if sys.implementation.name == "micropython":
        skip("the module of the interpreter cannot be changed; the virtual ESP8266 lacks it")
    import binascii

    real = binascii.crc32
    with open(sys.modules["umqtt.store"].__file__) as f:
        source = f.read()
    try:
        del binascii.crc32
        other = {"__name__": "store"}
        exec(source, other)
    finally:
        binascii.crc32 = real
    with Folder() as d:
        st = other["Store"](other["FileJournal"](d + "/j"))
        s = KeptSession(Session(4), st)
        st.replay(s, "c1", "s")
        put(st, s, 2, b"t", b"one")
        st.close()
        st = other["Store"](other["FileJournal"](d + "/j"))
        equal((st.report, st.window), ("", 1))
        whole = read(d + "/j")
        write(d + "/j", whole[:-1] + b"x")
        assert "damaged" in other["Store"](other["FileJournal"](d + "/j")).report


def flood(st, acks):
    """The most bytes that wait while these acks come, and the writes to flash."""
    writes = []
    for name in ("append", "rewrite"):
        real = getattr(st.journal, name)
        setattr(st.journal, name, lambda data, real=real: writes.append(len(data)) or real(data))
    most = 0
    for kind, pid in acks:
        st.acked(kind, pid)
        most = max(most, len(st.out))
    st.sync()
    return most, writes


def test_20000_acks_of_unknown_ids_grow_nothing():
    for kind in (4, 7, 6):
        with Folder() as d:
            a, b, c = filled(d + "/j")
            st, s, subs = new(d + "/j")
            was = slots(s)
            most, writes = flood(st, ((kind, 1000 + i % 60000) for i in range(20000)))
            assert most < 1100, most
            assert len(writes) == 1 and writes[0] < 300, writes
            st, s, subs = new(d + "/j")
            equal((slots(s), st.report), (was, ""))


def test_a_pubrec_of_an_unknown_id_makes_no_slot():
    with Folder() as d:
        st, s, subs = new(d + "/j")
        put(st, s, 2, b"t", b"x")
        flood(st, ((5, 1000 + i) for i in range(300)))
        st, s, subs = new(d + "/j")
        equal([m[3] for m in slots(s)], [b"x"])


def test_states_of_messages_in_qos_0_grow_nothing():
    with Folder() as d:
        st, s, subs = new(d + "/j")
        most = 0
        for i in range(500):
            st.seen(0, b"state %3d" % i)
            most = max(most, len(st.out))
        assert most < 1100, most
        st.sync()
        equal(new(d + "/j")[0].state, b"state 499")


def test_what_a_flood_drops_from_the_notes_is_in_the_snapshot():
    with Folder() as d:
        a, b, c = filled(d + "/j")
        st, s, subs = new(d + "/j")
        s.client._on_ack(0x40, b)
        st.acked(4, b)
        s._hold(5)
        st.seen(5, b"new")
        flood(st, ((4, 1000 + i) for i in range(300)))
        st, s, subs = new(d + "/j")
        equal([m[0] for m in slots(s)], [a, c])
        equal((sorted(s._held_ids()), st.state), ([5, 77], b"new"))


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
    with Folder() as d:
        a, b, c = filled(d + "/j")
        whole = read(d + "/j")
        for kind, body in strange:
            write(d + "/k", whole + one_record(kind, body))
            st, s, subs = new(d + "/k")
            equal((st.report, kind, body), ("journal: 1 records of another version, copy: %s/k.bad" % d, kind, body))
            equal(read(d + "/k.bad"), read(d + "/k"))
            equal([m[0] for m in slots(s)], [a, b, c])
            equal((sorted(s._held_ids()), st.state), ([77], b"effect"))
            st.sync()
            st, s, subs = new(d + "/k")
            equal((len(slots(s)), st.report), (3, ""))


# filled() by the code of 1.0.0
OF_1_0_0 = (
    "01000e2685c2f300000001ba818b5f00000000000103000f09d827a7000100000000340003742f616f6e6503000f7fb0d88f0002000000003200"
    "03742f6274776f030011f6130814000300000000340003742f6374687265650500027a419c95000102000978b69fe3004d016566666563740800"
    "072c9b81ce020004696e2f23"
)


def test_a_journal_of_1_0_0_is_read_and_without_mqtt_5_it_is_still_the_same():
    with Folder() as d:
        write(d + "/j", unhexlify(OF_1_0_0))
        st, s, subs = new(d + "/j")
        equal((st.report, st.state, st.values, sorted(s._held_ids())), ("", b"effect", None, [77]))
        equal(slots(s), [(1, PUBREL, b"", b""), (2, QOS_1, b"t/b", b"two"), (3, QOS_2, b"t/c", b"three")])
        equal(subs, {wire.text("in/#", 1): 2})
        filled(d + "/k")
        equal(read(d + "/k"), unhexlify(OF_1_0_0), "1.0.0 reads what this version writes")


def test_a_journal_all_of_another_version_starts_a_new_one():
    with Folder() as d:
        write(d + "/j", one_record(9, b"header of version 2") + one_record(10, b"message"))
        st, s, subs = new(d + "/j")
        assert st.report.startswith("journal: 2 records of another version"), st.report
        equal((st.pid, st.window, st.place), (-1, 0, 0))
        put(st, s, 2, b"t", b"x")
        st, s, subs = new(d + "/j")
        equal((len(slots(s)), st.report), (1, ""))


def test_an_empty_journal_is_told():
    with Folder() as d:
        write(d + "/j", b"")
        st, s, subs = new(d + "/j")
        equal(st.report, "journal: empty, copy: %s/j.bad" % d)
        assert st.must
        put(st, s, 2, b"t", b"x")
        equal(new(d + "/j")[0].report, "")


def test_a_journal_that_lacks_its_header_is_told():
    with Folder() as d:
        filled(d + "/j")
        whole = read(d + "/j")
        write(d + "/j", whole[7 + whole[2] :])
        st, s, subs = new(d + "/j")
        assert st.report.startswith("journal: no header"), st.report
        equal(len(slots(s)), 3)


def test_a_second_program_on_a_journal_is_refused_whichever_writes_first():
    with Folder() as d:
        for second_first in (False, True):
            write(d + "/j", b"")
            first, s1, _ = new(d + "/j")
            put(first, s1, 2, b"t", b"one")
            second, s2, _ = new(d + "/j")
            if second_first:
                first, s1, second, s2 = second, s2, first, s1
            put(first, s1, 2, b"t", b"two")
            was = read(d + "/j")
            for _ in range(2):
                e = raises(OSError, put, second, s2, 2, b"t", b"three")
                assert e.errno == 16 and "another program" in str(e) and d + "/j" in str(e), e
            equal((read(d + "/j"), len(s2._in_flight())), (was, 1))
            put(first, s1, 2, b"t", b"four")
            equal([m[3] for m in slots(new(d + "/j")[1])], [b"one", b"two", b"four"])


def test_two_programs_that_begin_without_a_journal_do_not_share_it():
    with Folder() as d:
        first, s1, _ = new(d + "/j")
        second, s2, _ = new(d + "/j")
        put(first, s1, 2, b"t", b"one")
        equal(raises(OSError, put, second, s2, 2, b"t", b"two").errno, 16)
        equal([m[3] for m in slots(new(d + "/j")[1])], [b"one"])


def test_a_snapshot_of_another_program_is_seen_though_it_is_as_long():
    with Folder() as d:
        first, s1, _ = new(d + "/j")
        put(first, s1, 2, b"t", b"one")
        second, s2, _ = new(d + "/j")
        first.rewrite()
        first.sync()
        first.rewrite()
        first.sync()
        equal(raises(OSError, put, second, s2, 2, b"t", b"two").errno, 16)


def test_who_was_killed_while_it_wrote_owns_the_journal_again():
    # no lock: nothing that a power cut could leave behind
    with Folder() as d:
        st, s, subs = new(d + "/j")
        put(st, s, 2, b"t", b"one")
        write(d + "/j", read(d + "/j") + b"half a rec")
        write(d + "/j.new", b"half a snapshot")
        st, s, subs = new(d + "/j")
        put(st, s, 2, b"t", b"two")
        equal([m[3] for m in slots(new(d + "/j")[1])], [b"one", b"two"])


def test_a_journal_that_was_removed_is_written_again():
    with Folder() as d:
        st, s, subs = new(d + "/j")
        put(st, s, 2, b"t", b"one")
        os.remove(d + "/j")
        put(st, s, 2, b"t", b"two")
        equal([m[3] for m in slots(new(d + "/j")[1])], [b"one", b"two"])


def test_a_reserve_is_made_once_and_counted_by_its_size():
    with Folder() as d:
        for torn in (None, b"", b"\0" * 100):
            if torn is not None:
                write(d + "/j.reserve", torn)
            st = Store(FileJournal(d + "/j", reserve_b=2000))
            equal((st.report, os.stat(d + "/j.reserve")[6] >= 2000), ("", True))
        at = os.stat(d + "/j.reserve")[7:]
        Store(FileJournal(d + "/j", reserve_b=2000))
        equal(os.stat(d + "/j.reserve")[7:], at)
        equal(sorted(os.listdir(d)), ["j.reserve"])


def test_a_file_system_without_room_for_the_reserve_is_told():
    with Folder() as d:
        st = Store(FileJournal(d + "/j", reserve_b=1 << 60))
        equal(st.report, "storage: remove files, there is no room for the journal's reserve")
        equal(os.listdir(d), [])


def test_a_corked_message_without_room_is_refused_at_once_and_the_others_leave():
    # at the next sync it would be too late: every sync would fail, and the link with it
    with Folder() as d:
        w = World(Model)
        st = Store(FileJournal(d + "/j", 64, 400))
        c = w.client(store=st, inflight=8)
        c.connect()
        st.cork = True
        taken = 0
        e = None
        for i in range(8):
            try:
                c.publish("t", b"%d" % i + b"x" * 80, qos=2, wait=False)
                taken += 1
            except OSError as x:
                e = x
        st.cork = False
        assert 2 <= taken < 8 and "store full" in str(e), (taken, e)
        while c.inflight:
            c.poll(10)
        equal([p[:1] for t, p, q in w.broker.accepted], [b"%d" % i for i in range(taken)])


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
        if mode != "rb" and [n for n in self.gone if n in os.listdir(self.folder)]:
            raise OSError(28, "")
        return open(name, mode)


def test_a_full_disk_takes_the_reserve_and_then_the_copy_that_was_set_aside():
    for gone in (("j.reserve",), ("j.reserve", "j.bad")):
        with Folder() as d:
            st, s, subs = new(d + "/j")
            put(st, s, 2, b"t", b"one")
            write(d + "/j.bad", b"damaged")
            with FullDisk(d, *gone):
                put(st, s, 2, b"t", b"two")
            equal("j.bad" in os.listdir(d), len(gone) == 1)
            put(st, s, 2, b"t", b"three")
            equal([m[3] for m in slots(new(d + "/j")[1])], [b"one", b"two", b"three"])
            assert os.stat(d + "/j.reserve")[6] >= 8000


def test_a_disk_that_stays_full_is_told_in_words_and_nothing_is_lost():
    with Folder() as d:
        st, s, subs = new(d + "/j")
        put(st, s, 2, b"t", b"one")
        with FullDisk(d, "j"):
            e = raises(OSError, put, st, s, 2, b"t", b"two")
            assert e.errno == 28 and "storage full: remove files" in str(e) and d + "/j" in str(e), e
            equal("j.reserve" in os.listdir(d), False)
        put(st, s, 2, b"t", b"three")
        equal([m[3] for m in slots(new(d + "/j")[1])], [b"one", b"three"])


def test_a_type_that_no_version_has_is_damage():
    for kind in (0, 16):
        with Folder() as d:
            filled(d + "/j")
            whole = read(d + "/j")
            write(d + "/j", whole + one_record(kind, b"xyz"))
            assert new(d + "/j")[0].report.startswith("journal: 10 B of %d B damaged" % (len(whole) + 10))


def test_a_journal_that_was_rewritten_often_still_takes_many_messages_in_one_write():
    with Folder() as d:
        st, s, subs = new(d + "/j")
        st.journal.limit_b = 600
        st.journal.compact_b = 64
        for _ in range(40):
            pid = put(st, s, 1, b"t", b"x" * 20)
            s.client._packet_slots[0][1] |= SENT
            s.client._on_ack(0x40, pid)
            st.acked(4, pid)
        st.rewrite()
        st.sync()
        writes = []
        append = st.journal.append
        st.journal.append = lambda data: writes.append(len(data)) or append(data)
        st.cork = True
        for _ in range(3):
            put(st, s, 1, b"t", b"y")
        st.cork = False
        equal((writes, st.must), ([], True))


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
    with Folder() as d:
        a, b, c = filled(d + "/j")
        body = bytes((0, b)) + b"\0\0\0\7" + b"\x32\0\1xnew"
        write(d + "/j", read(d + "/j") + one_record(3, body) + one_record(2, b"\0\x4d") + one_record(2, b"\0\0\1quiet"))
        st, s, subs = new(d + "/j")
        equal([(m[0], m[3]) for m in slots(s)], [(a, b""), (c, b"three"), (b, b"new")])
        equal((sorted(s._held_ids()), st.state, st.place, s.pid, st.report), ([77], b"quiet", 7, b, ""))


def test_an_incoming_qos_2_message_is_not_delivered_again_after_a_reset():
    for is_cut in (False, True):
        with Folder() as d:
            w = World(Model)
            c = w.client(store=Store(FileJournal(d + "/j")))
            c.connect()
            c.subscribe("in", 2)
            if is_cut:  # what left the board has its cause on flash
                w.net.links[-1].plan.cut_out = w.net.links[-1].out_b + 1
            w.broker.inject("in", b"once", 2)
            try:
                w.serve(c, 50)
            except OSError:
                pass
            equal(len(w.inbox), 1)
            again = w.client(store=Store(FileJournal(d + "/j")))
            again.connect()
            w.serve(again, 100)
            equal(w.inbox, [], is_cut)
            equal(w.broker.violations, [])


def test_a_client_that_its_full_store_has_refused_a_message_goes_on():
    with Folder() as d:
        w = World(Model)
        c = w.client(store=Store(FileJournal(d + "/j", 64, 200)))
        c.connect()
        raises(OSError, c.publish, "t", b"z" * 300, False, 2, False)
        c.publish("t", b"small", qos=1)
        c.publish("t", b"at once")
        c.subscribe("in", 1)
        w.serve(c, 50)
        equal([p for t, p, q in w.broker.accepted], [b"small", b"at once"])


def test_subscriptions_of_a_client_with_a_store_are_made_again_when_the_broker_forgot():
    with Folder() as d:
        w = World(Model)
        c = w.client(store=Store(FileJournal(d + "/j")))
        c.connect()
        c.subscribe("in/#", 1)
        w.broker.stop("fin")
        w.broker.forget()
        raises(OSError, w.serve, c, 100)
        c.connect()
        w.serve(c, 50)
        w.broker.inject("in/x", b"m", 1)
        w.serve(c, 50)
        equal(w.inbox, [(b"in/x", b"m", False)])


def test_a_late_ack_for_a_message_that_this_connection_has_not_sent_yet_leaves_it_in_the_journal():
    with Folder() as d:
        w = World(Model)
        c = w.client(store=Store(FileJournal(d + "/j")))
        pid = c.publish("t", b"waits", qos=1, wait=False)
        for ack in (0x40, 0x70):
            equal(c._on_ack(ack, pid), 0)
        c._durable_store.sync()
        again = w.client(store=Store(FileJournal(d + "/j")))
        equal((again.inflight, again.pending(pid)), (1, True))
