"""recall: what an earlier life left is read, and the faults in it told: nothing that is whole is lost."""

import os
from binascii import unhexlify

import fakes.shim  # noqa: F401
from fakes.check import equal, raises
from fakes.folder import Folder, read, write
from fakes.journal import PUBREL, QOS_1, QOS_2, filled, new, put, slots
from umqtt import wire
from umqtt.store import FileJournal, Store, record

SOURCE_FORM_ONLY = "shipped, there is no session without a client"


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


def test_a_store_takes_a_record_of_a_type_that_no_version_has_for_damage():
    for kind in (0, 16):
        with Folder() as folder:
            filled(folder + "/j")
            whole = read(folder + "/j")
            write(folder + "/j", whole + one_record(kind, b"xyz"))
            assert new(folder + "/j")[0].report.startswith("journal: 10 B of %d B damaged" % (len(whole) + 10))


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


def test_a_long_topic_is_found_whole_and_a_long_payload_behind_it():
    with Folder() as folder:
        store, session, subscriptions = new(folder + "/j")
        put(store, session, 1, b"t" * 700, b"p" * 300)
        put(store, session, 1, b"t", b"")
        store, session, subscriptions = new(folder + "/j")
        equal([slot[2:] for slot in slots(session)], [(b"t" * 700, b"p" * 300), (b"t", b"")])
        equal(store.report, "")


def test_room_is_what_a_program_may_use_in_the_units_in_which_it_is_counted():
    from umqtt import recall

    class Os:
        @staticmethod
        def statvfs(path):
            return (4096, 512, 1000, 800, 700, 0, 0, 0, 0, 255)  # bsize, frsize, blocks, bfree, bavail

    keep = recall.os
    recall.os = Os
    try:
        equal(recall.room_b(""), (700 * 512, 512))
    finally:
        recall.os = keep


def test_what_an_interrupted_squeeze_left_goes_and_a_damaged_file_is_known_at_the_start():
    from umqtt import recall
    from umqtt.outbox import Outbox, messages

    with Folder() as folder:
        outbox = Outbox(folder + "/q", Store(FileJournal(folder + "/j")))
        for text in ("one", "two"):
            outbox.add("t", text, 2)
        write(folder + "/q/new", b"half")
        found = recall.Folder(folder + "/q", messages)
        equal((os.listdir(folder + "/q"), found.files, found.last, found.report), (["00000000"], [0], 1, ""))
        whole = read(folder + "/q/00000000")
        equal((found.tail_b, found.damaged), (len(whole), -2))
        write(folder + "/q/00000000", whole[:-1])
        found = recall.Folder(folder + "/q", messages)
        equal((found.files, found.last, found.tail_b, found.damaged), ([0], 0, -1, 0))


def test_messages_of_another_client_are_new_ones_and_a_file_system_that_stays_full_says_so():
    from umqtt import recall

    with Folder() as folder:
        filled(folder + "/j")
        equal(new(folder + "/j")[0].resub, False)
        store, session, subscriptions = new(folder + "/j", client_id="another")
        equal(store.resub, True)
        equal([slot[1:] for slot in slots(session)], [(QOS_1, b"t/b", b"two"), (QOS_2, b"t/c", b"three")])
        equal([slot[1] for slot in session._in_flight()], [QOS_1, QOS_2], "without DUP")
        equal(raises(OSError, recall.make_room, folder + "/none").errno, 28)


def test_what_is_a_users_own_gets_another_name_and_is_told_and_the_board_starts():
    from umqtt.outbox import Outbox

    with Folder() as folder:
        os.mkdir(folder + "/j")
        if hasattr(os, "chmod"):
            os.chmod(folder + "/j", 0o700)  # littlefs has no such bits at all
        write(folder + "/j/theirs", b"kept")
        write(folder + "/q", b"kept")
        store = new(folder + "/j")[0]
        outbox = Outbox(folder + "/q", store)
        for report, name in ((store.report, "/j"), (outbox.report, "/q")):
            path = folder + name
            assert report.startswith("%s was not ours: it is %s.mine now" % (path, path)), report
        equal((read(folder + "/j.mine/theirs"), read(folder + "/q.mine")), (b"kept", b"kept"))
        outbox.add("t", "x", 2)
        store.rewrite()
        store.sync()
        equal((new(folder + "/j")[0].report, Outbox(folder + "/q", store).report), ("", ""))


def test_flash_that_cannot_be_written_to_is_an_error_of_its_own_and_none_of_room():
    from umqtt import recall
    from umqtt.outbox import messages

    def broken(name, mode):
        raise OSError(errno, "")

    class Os:
        listdir = os.listdir
        stat = os.stat
        statvfs = os.statvfs

        @staticmethod
        def mkdir(path):
            raise OSError(errno, "")

    with Folder() as folder:
        real = recall.os
        recall.open = broken
        recall.os = Os
        try:
            for errno in (5, 28):
                equal(raises(OSError, recall.Folder, folder + "/q", messages).errno, errno)
            equal(recall.reserve(folder + "/j", 100), False)
            errno = 5
            equal(raises(OSError, recall.reserve, folder + "/j", 100).errno, 5)
        finally:
            del recall.open
            recall.os = real
