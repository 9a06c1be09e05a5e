"""The files of an outbox: their number and size, what a flash that fails or a foreign hand does to them."""

import os

import umqtt.outbox as outbox_module
from fakes.check import equal, raises
from fakes.desk import Desk
from fakes.folder import Folder, read, write
from umqtt.outbox import Outbox
from umqtt.store import FileJournal, Store, record


def test_a_full_outbox_refuses_in_words_and_nothing_is_dropped():
    with Folder() as folder:
        desk = Desk(folder, limit_b=512, segment_b=256)
        count = 0
        while True:
            try:
                desk.outbox.add("t", "%03d" % count + "x" * 30, 2)
                count += 1
            except OSError as error:
                assert error.errno == 28 and "outbox full: %d messages in 512 B" % count in str(error), error
                break
        assert count > 5, count
        equal(desk.outbox.next, count)
        desk.start()
        equal((desk.outbox.next, desk.outbox.waiting), (count, count))
        equal([payload[:3] for payload in desk.deliver()], ["%03d" % i for i in range(count)])
        desk.outbox.add("t", "again", 2)
        equal(desk.deliver()[-1], "again")


def test_a_damaged_file_costs_what_is_damaged_and_is_set_aside():
    with Folder() as folder:
        desk = Desk(folder)
        for i in range(8):
            desk.outbox.add("t", "message %d" % i, 2)
        name = folder + "/q/" + desk.file_names()[0]
        data = bytearray(read(name))
        data[10] ^= 1
        write(name, data)
        desk.start()
        equal(desk.deliver(), ["message %d" % i for i in range(1, 8)])
        assert "damaged in " + name in desk.outbox.report, desk.outbox.report
        equal(read(folder + "/q/bad"), bytes(data))


def test_nothing_is_appended_behind_a_torn_tail():
    with Folder() as folder:
        desk = Desk(folder)
        for i in range(3):
            desk.outbox.add("t", "%d" % i, 2)
        name = folder + "/q/" + desk.file_names()[-1]
        write(name, read(name)[:-1])
        desk.start()
        equal(desk.outbox.next, 2)
        desk.outbox.add("t", "new", 2)
        equal(len(desk.file_names()), 2)
        desk.start()
        equal(desk.deliver(), ["0", "1", "new"])


def test_an_interrupted_squeeze_hands_nothing_over_twice():
    with Folder() as folder:
        desk = Desk(folder, limit_b=4096, segment_b=256)
        for i in range(12):
            desk.outbox.add("t", "%02d" % i, 2)
        names = desk.file_names()
        # the new files of a squeeze stand beside the old ones, and one was half written
        data = b"".join(read(folder + "/q/" + name) for name in names)
        write(folder + "/q/" + names[0], data[:232])
        write(folder + "/q/new", data[:50])
        desk.start()
        equal(desk.deliver(), ["%02d" % i for i in range(12)])


def test_a_foreign_file_is_told_and_left():
    with Folder() as folder:
        desk = Desk(folder)
        write(folder + "/q/notes.md", b"mine")
        desk.start()
        assert "notes.md is not ours" in desk.outbox.report, desk.outbox.report
        desk.outbox.add("t", "x", 2)
        equal(desk.deliver(), ["x"])
        equal(desk.file_names(), ["notes.md"])


def test_a_second_program_in_the_folder_is_refused_whichever_writes_first():
    for waiting, length in ((0, 6), (1, 6), (1, 100), (20, 6), (20, 100)):
        for other_first in (False, True):
            with Folder() as folder:
                desk = Desk(folder, segment_b=512)
                for i in range(waiting):
                    desk.outbox.add("t", "before %d" % i, 2)
                desk.start()
                other = Desk(folder, segment_b=512)
                first, second = (other, desk) if other_first else (desk, other)
                first.outbox.add("t", "first" + "x" * length, 2)
                for payload in ("second", "second" + "x" * 400):
                    fault = raises(OSError, second.outbox.add, "t", payload, 2)
                    assert fault.errno == 16 and "another program" in str(fault) and folder in str(fault), fault
                first.outbox.add("t", "first again", 2)
                other.start()
                equal([payload[:11] for payload in other.deliver()[waiting:]], ["firstxxxxxx", "first again"])


def test_a_second_program_is_refused_when_the_first_handed_all_over_already():
    with Folder() as folder:
        desk = Desk(folder)
        other = Desk(folder)
        desk.outbox.add("t", "x", 2)
        desk.deliver()
        equal(raises(OSError, other.outbox.add, "t", "y", 2).errno, 16)


def test_a_write_that_failed_leaves_nothing_behind_and_loses_nothing():
    with Folder() as folder:
        for many in (0, 3):
            desk = Desk(folder)
            for i in range(many):
                desk.outbox.add("t", "%d" % i, 2)
            journal = desk.store.journal
            real, journal.reserve = journal.reserve, lambda: False
            fault = raises(OSError, desk.outbox.add, "t", "refused", 2)
            assert fault.errno == 28 and str(fault).count("storage full"), fault
            journal.reserve = real
            desk.outbox.add("t", "taken", 2)
            equal(desk.deliver(), ["%d" % i for i in range(many)] + ["taken"])
            desk.client.disconnect()


def test_records_of_another_version_are_told_and_the_others_are_handed_over():
    strange = [(14, b"\0" * 30), (15, b""), (15, b"\0\0\0\1"), (15, b"\0" * 16)]
    strange += [(15, b"\0\0\0\1" + b"\0" * 8 + b"\x32\0\0\0"), (15, b"\0\0\0\1" + b"\0" * 8 + b"\x32\0\0\5abcd")]
    strange += [(15, b"\0\0\0\1" + b"\0" * 8 + b"\x32\0\0\0ab")]
    strange += [(15, b"\0\0\0\1" + b"\0" * 8 + b"\x36\0\0\1ab"), (15, b"\0\0\0\1" + b"\0" * 8 + b"\x82\0\0\1ab")]
    for kind, body in strange:
        with Folder() as folder:
            desk = Desk(folder)
            desk.outbox.add("t", "0", 2)
            name = folder + "/q/" + desk.file_names()[0]
            out = bytearray(read(name))
            record(out, kind, body)
            write(name, out)
            desk.start()
            desk.outbox.add("t", "1", 2)
            desk.start()
            equal((kind, body, desk.deliver()), (kind, body, ["0", "1"]))
            assert "damaged in " + name in desk.outbox.report, desk.outbox.report
            equal(read(folder + "/q/bad"), bytes(out))


def test_an_empty_file_of_a_power_cut_costs_no_number():
    with Folder() as folder:
        desk = Desk(folder)
        desk.outbox.add("t", "0", 2)
        write(folder + "/q/00000001", b"")
        desk.start()
        equal((desk.outbox.next, desk.outbox.waiting, desk.file_names()), (1, 1, ["00000000"]))
        equal(desk.outbox.add("t", "1", 2), 1)
        equal(desk.deliver(), ["0", "1"])


def test_a_file_of_which_nothing_is_whole_does_not_wait_for_ever():
    with Folder() as folder:
        desk = Desk(folder)
        desk.outbox.add("t", "0", 2)
        write(folder + "/q/00000001", b"rubbish")
        desk.start()
        equal(desk.outbox.waiting, 2)
        equal(desk.deliver(), ["0"])
        equal((desk.outbox.waiting, desk.file_names()), (0, ["bad"]))
        equal(desk.outbox.add("t", "2", 2), 2)


def test_names_that_only_look_like_numbers_are_not_ours():
    for name in ("-0000001", "0000000A", "00000_01", "1234567", "new folder", "fedcba98", "9" * 20):
        with Folder() as folder:
            Desk(folder)
            write(folder + "/q/" + name, b"x")
            desk = Desk(folder)
            assert name + " is not ours" in desk.outbox.report, desk.outbox.report
            equal((desk.outbox.next, desk.file_names()), (0, [name]))


def test_room_is_compared_at_the_start_and_the_outbox_takes_no_more():
    with Folder() as folder:
        st = Store(FileJournal(folder + "/j"))
        outbox = Outbox(folder + "/q", st, limit_b=1 << 60)
        assert "storage: remove files" in outbox.report and str(1 << 60) in outbox.report, outbox.report
        assert outbox.most * 2048 < 1 << 60
        equal(Outbox(folder + "/q", st).report, "")


class BrokenOpen:
    """While it is entered, what the outbox opens to append to fails: `after` the data was written, or before; with
    `error`."""

    def __init__(self, error, after=False):
        self.error = error
        self.after = after

    def __enter__(self):
        outbox_module.open = self.open

    def __exit__(self, *_):
        del outbox_module.open

    def open(self, name, mode):
        return self.File(self, name, mode) if mode == "ab" else open(name, mode)

    class File:
        def __init__(self, broken, name, mode):
            self.broken = broken
            self.file = open(name, mode)  # noqa: SIM115

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            if self.broken.after:
                self.file.write(data)
                self.file.flush()
            raise self.broken.error


def test_a_failed_write_costs_the_message_that_was_refused_and_no_other():
    for after in (False, True):
        for before in (0, 2):
            for error in (OSError(5, "flash"), MemoryError()):
                with Folder() as folder:
                    desk = Desk(folder)
                    for i in range(before):
                        desk.outbox.add("t", "before %d" % i, 2)
                    with BrokenOpen(error, after):
                        raises(error.__class__, desk.outbox.add, "t", "refused", 2)
                    for i in range(3):
                        desk.outbox.add("t", "after %d" % i, 2)
                    desk.start()
                    want = ["before %d" % i for i in range(before)] + ["after %d" % i for i in range(3)]
                    # an append that failed behind the data cannot be taken back: it may arrive, the others must
                    equal([payload for payload in desk.deliver() if payload != "refused"], want)
                    equal(desk.file_names(), [])


def test_a_full_file_system_is_told_in_words_with_what_to_do():
    with Folder() as folder:
        desk = Desk(folder)
        with BrokenOpen(OSError(28, "")):
            fault = raises(OSError, desk.outbox.add, "t", "x", 2)
        assert fault.errno == 28 and "storage full: remove files" in str(fault), fault
        with BrokenOpen(OSError(5, "flash")):
            fault = raises(OSError, desk.outbox.add, "t", "x", 2)
        assert "flash" in str(fault), fault


def test_few_messages_keep_their_files_inline_and_many_fill_them():
    # a record of 24 B and the payload
    for payload_b, files in ((104, 1), (105, 2)):
        with Folder() as folder:
            desk = Desk(folder)
            desk.outbox.add("t", "", 2)
            desk.outbox.add("t", "x" * (payload_b - 24), 2)
            equal(len(desk.file_names()), files)
    with Folder() as folder:
        desk = Desk(folder, limit_b=20000, segment_b=1000)
        sizes = []
        for _ in range(40):
            desk.outbox.add("t", "x" * 76, 2)
            sizes = [os.stat(folder + "/q/" + name)[6] for name in desk.file_names()]
        equal(sizes, [100] * 7 + [1000] * 3 + [300])


def test_a_message_may_be_as_large_as_a_file():
    with Folder() as folder:
        desk = Desk(folder, segment_b=200)
        desk.outbox.add("t", "x" * (200 - 24), 2)
        fault = raises(ValueError, desk.outbox.add, "t", "x" * (200 - 23), 2)
        assert "message of 201 B, at most 200" in str(fault), fault


def test_a_file_that_was_removed_by_hand_blocks_nothing():
    with Folder() as folder:
        desk = Desk(folder)
        for i in range(3):
            desk.outbox.add("t", "%d" % i + "x" * 100, 2)
        os.remove(folder + "/q/" + desk.file_names()[1])
        equal([payload[:1] for payload in desk.deliver()], ["0", "2"])
        equal((desk.outbox.waiting, desk.file_names()), (0, []))


def test_there_are_never_more_files_than_there_is_room_for():
    for limit_b, most in ((512, 2), (768, 3), (2048, 8)):
        with Folder() as folder:
            desk = Desk(folder, limit_b=limit_b, segment_b=256)
            refused = 0
            for _ in range(80):
                try:
                    desk.outbox.add("t", "x" * 100, 2)
                except OSError:
                    refused += 1
                assert len(desk.file_names()) <= most, (limit_b, desk.file_names())
            assert refused, limit_b


def test_a_file_goes_as_soon_as_all_of_it_was_handed_over():
    with Folder() as folder:
        desk = Desk(folder, segment_b=256)
        for i in range(9):
            desk.outbox.add("t", "%d" % i + "x" * 200, 2)
        equal(len(desk.file_names()), 9)
        desk.client.connect()
        for left in (6, 3, 0):  # the client takes three at a time
            equal(desk.outbox.drain(desk.client), 3)
            equal(len(desk.file_names()), left)
            desk.world.serve(desk.client, 100)


class BrokenOs:
    """`os` whose `remove` raises `error`."""

    def __init__(self, error):
        self.error = error

    def __getattr__(self, name):
        return getattr(os, name)

    def remove(self, path):
        raise self.error


def test_a_file_that_cannot_be_removed_is_told_and_one_that_is_gone_is_not():
    for error, is_told in ((OSError(5, "broken"), True), (OSError(2, "gone"), False)):
        with Folder() as folder:
            desk = Desk(folder)
            desk.outbox.add("t", "0", 2)
            desk.client.connect()
            outbox_module.os = BrokenOs(error)
            try:
                if is_told:
                    equal(raises(OSError, desk.outbox.drain, desk.client).errno, 5)
                else:
                    equal(desk.outbox.drain(desk.client), 1)
            finally:
                outbox_module.os = os


def test_a_full_outbox_tells_how_many_messages_wait_when_some_have_left():
    with Folder() as folder:
        desk = Desk(folder, limit_b=512, segment_b=256)
        for _ in range(3):
            desk.outbox.add("t", "x" * 200, 0)
            desk.deliver()
        for _ in range(2):
            desk.outbox.add("t", "x" * 200, 2)
        fault = raises(OSError, desk.outbox.add, "t", "x" * 200, 2)
        assert "outbox full: 2 messages in 512 B" in str(fault), fault


def test_records_of_a_qos_or_flags_that_no_message_has_are_not_handed_over():
    from struct import pack

    for first_byte, is_ours in (
        (0x30, True),
        (0x35, True),
        (0x36, False),
        (0x37, False),
        (0x38, False),
        (0x20, False),
        (0x70, False),
    ):
        with Folder() as folder:
            os.mkdir(folder + "/q")
            data = bytearray()
            record(data, 15, pack(">IIIBBH", 0, 0, 0, first_byte, 0, 1) + b"tx")
            write(folder + "/q/00000000", bytes(data))
            desk = Desk(folder)
            equal(desk.deliver(), ["x"] if is_ours else [], first_byte)
            equal("damaged" in desk.outbox.report, not is_ours)
