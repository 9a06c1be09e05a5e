"""RTC memory: regions beside each other, and a journal that overflows to flash and comes back."""

import os

from fakes.check import equal, raises
from fakes.folder import Folder
from umqtt.rtc import Region, RtcJournal
from umqtt.store import FileJournal


class Memory:
    """machine.RTC().memory of `size_b`, holding whatever power-on left."""

    def __init__(self, size_b=492, data=b""):
        self.size_b = size_b
        self.data = data
        self.writes = 0

    def __call__(self, data=None):
        if data is None:
            return self.data
        if len(data) > self.size_b:
            raise ValueError("buffer too long")
        self.writes += 1
        self.data = bytes(data)


def files(folder):
    return sorted(os.listdir(folder))


def content(journal):
    file = journal.load()
    if file is None:
        return None
    try:
        file.seek(0)
        return file.read()
    finally:
        file.close()


def header(gen, rest=b""):
    return b"\x01\0\x04crc." + bytes((0, 0, 0, gen)) + rest


def test_regions_do_not_tread_on_each_other():
    memory = Memory()
    first = Region(memory, 0, 50)
    second = Region(memory, 50, 442)
    second.write(b"b" * 436)
    first.write(b"a" * 44)
    equal((first.read(), second.read()), (b"a" * 44, b"b" * 436))
    first.write(b"")
    equal((first.read(), second.read()), (b"", b"b" * 436))
    fault = raises(ValueError, first.write, b"a" * 45)
    assert "45 B in a region of 44 B" in str(fault), fault
    raises(ValueError, Region(memory, 480, 13).write, b"")


def test_what_power_on_left_is_nothing():
    for data in (b"", b"\xff" * 492, b"\0" * 492, bytes(range(246)) * 2, b"\0\x05"):
        equal(Region(Memory(492, data), 10, 100).read(), b"")


def test_a_journal_lives_in_rtc_memory_without_a_file():
    with Folder() as folder:
        memory = Memory()
        journal = RtcJournal(Region(memory, 0, 100), FileJournal(folder + "/j", reserve_b=0))
        equal(content(journal), None)
        journal.rewrite(header(1))
        equal(journal.append(b"more"), True)
        equal(files(folder), [])
        equal(content(RtcJournal(Region(memory, 0, 100), FileJournal(folder + "/j", reserve_b=0))), header(1, b"more"))


def test_what_does_not_fit_goes_to_the_file_and_comes_back():
    with Folder() as folder:
        memory = Memory()
        journal = RtcJournal(Region(memory, 0, 40), FileJournal(folder + "/j", reserve_b=0))
        journal.rewrite(header(1))
        equal(journal.append(b"y" * 40), False)
        journal.rewrite(header(2, b"y" * 40))
        equal(files(folder), ["j"])
        equal(journal.append(b"z"), True)
        again = RtcJournal(Region(memory, 0, 40), FileJournal(folder + "/j", reserve_b=0))
        equal(content(again), header(2, b"y" * 40 + b"z"))
        again.rewrite(header(3))
        equal(files(folder), [])
        equal(content(RtcJournal(Region(memory, 0, 40), FileJournal(folder + "/j", reserve_b=0))), header(3))


def test_rtc_memory_that_has_taken_over_from_the_file_costs_no_flash_any_more():
    import umqtt.rtc

    class Os:
        removed = []

        def remove(self, path):
            self.removed.append(path)
            os.remove(path)

    with Folder() as folder:
        region = Region(Memory(), 0, 40)
        RtcJournal(region, FileJournal(folder + "/j", reserve_b=0)).rewrite(header(1, b"y" * 40))
        journal = RtcJournal(region, FileJournal(folder + "/j", reserve_b=0))
        journal.load().close()
        real = umqtt.rtc.os
        umqtt.rtc.os = Os()
        try:
            for generation in (2, 3, 4):
                journal.rewrite(header(generation))
        finally:
            umqtt.rtc.os = real
        equal(Os.removed, [folder + "/j"])


def test_a_file_that_is_gone_already_when_rtc_memory_takes_over_is_no_fault():
    with Folder() as folder:
        region = Region(Memory(), 0, 40)
        journal = RtcJournal(region, FileJournal(folder + "/j", reserve_b=0))
        journal.rewrite(header(1, b"y" * 40))
        os.remove(folder + "/j")
        journal.rewrite(header(2))
        equal((files(folder), region.read()), ([], header(2)))


def test_the_newer_of_two_counts():
    # a reset between the write to one and the clearing of the other
    for region_gen, file_gen in ((2, 1), (1, 2)):
        with Folder() as folder:
            memory = Memory()
            region = Region(memory, 0, 60)
            region.write(header(region_gen))
            FileJournal(folder + "/j", reserve_b=0).rewrite(header(file_gen))
            journal = RtcJournal(region, FileJournal(folder + "/j", reserve_b=0))
            equal(content(journal), header(2))
            journal.rewrite(header(3))
            equal((files(folder), region.read()), ([], header(3)))


def test_a_power_cut_leaves_what_the_file_says():
    with Folder() as folder:
        memory = Memory()
        journal = RtcJournal(Region(memory, 0, 40), FileJournal(folder + "/j", reserve_b=0))
        journal.rewrite(header(2, b"y" * 40))
        equal(
            content(RtcJournal(Region(Memory(), 0, 40), FileJournal(folder + "/j", reserve_b=0))), header(2, b"y" * 40)
        )


def test_a_second_program_on_rtc_memory_is_refused():
    with Folder() as folder:
        memory = Memory()
        first = RtcJournal(Region(memory, 0, 100), FileJournal(folder + "/j", reserve_b=0))
        first.load()
        first.rewrite(header(1))
        second = RtcJournal(Region(memory, 0, 100), FileJournal(folder + "/j", reserve_b=0))
        second.load()
        first.rewrite(b"\x01\0\x04CRC." + bytes((0, 0, 0, 2)))
        for write in (second.append, second.rewrite):
            fault = raises(OSError, write, b"more")
            assert fault.errno == 16 and "another program" in str(fault), fault
        equal(first.append(b"mine"), True)


def test_rtc_memory_that_somebody_cleared_is_written_again():
    with Folder() as folder:
        memory = Memory()
        journal = RtcJournal(Region(memory, 0, 100), FileJournal(folder + "/j", reserve_b=0))
        journal.load()
        journal.rewrite(header(1))
        memory.data = b""
        equal(journal.append(b"more"), False)  # time to rewrite
        journal.rewrite(header(2))
        equal((content(journal), files(folder)), (header(2), []))


def test_a_region_of_another_version_gives_way_to_a_file_and_counts_without_one():
    for strange in (b"\x09\0\x04crc." + bytes((0, 0, 0, 9)), b"\x01\0\0crc.", b"x"):
        with Folder() as folder:
            memory = Memory()
            region = Region(memory, 0, 60)
            region.write(strange)
            equal(content(RtcJournal(region, FileJournal(folder + "/j", reserve_b=0))), strange)
            FileJournal(folder + "/j", reserve_b=0).rewrite(header(1))
            equal(content(RtcJournal(region, FileJournal(folder + "/j", reserve_b=0))), header(1))
            equal(region.read(), b"")


def test_a_file_beside_rtc_memory_that_is_newer_goes_at_the_start():
    with Folder() as folder:
        memory = Memory()
        region = Region(memory, 0, 60)
        region.write(header(2))
        FileJournal(folder + "/j", reserve_b=0).rewrite(header(1))
        equal(content(RtcJournal(region, FileJournal(folder + "/j", reserve_b=0))), header(2))
        equal(files(folder), [])


def test_the_journal_takes_all_that_its_region_holds_and_no_byte_more():
    with Folder() as folder:
        memory = Memory()
        journal = RtcJournal(Region(memory, 0, 46), FileJournal(folder + "/j", reserve_b=0))
        journal.load()
        journal.rewrite(header(1))
        equal((journal.append(b"y" * 30), journal.append(b"y" * 29), journal.append(b"y")), (False, True, False))
        journal.rewrite(header(2, b"y" * 29))
        equal(files(folder), [])
        journal.rewrite(header(3, b"y" * 30))
        equal(files(folder), ["j"])


def test_a_file_that_cannot_be_removed_is_told_when_rtc_memory_takes_over():
    import umqtt.rtc

    class Os:
        @staticmethod
        def remove(path):
            raise OSError(5, "broken")

    with Folder() as folder:
        journal = RtcJournal(Region(Memory(), 0, 40), FileJournal(folder + "/j", reserve_b=0))
        journal.rewrite(header(1, b"y" * 40))
        umqtt.rtc.os = Os
        try:
            equal(raises(OSError, journal.rewrite, header(2)).errno, 5)
        finally:
            umqtt.rtc.os = os
        journal.rewrite(header(3))
        equal(files(folder), [])
