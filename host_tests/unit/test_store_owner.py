"""One program owns a journal: a second one is refused, and half a write of its own is no sign of a second one."""

import os

import umqtt.store as store_module
from fakes.check import equal, raises
from fakes.folder import Folder, read, write
from fakes.journal import new, put, slots
from umqtt.store import FileJournal

SOURCE_FORM_ONLY = "shipped, there is no session without a client"


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
