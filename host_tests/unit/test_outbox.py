"""Store and forward: numbers, policies, expiry, room, and files that others have touched."""

import os

import umqtt.outbox as outbox_module
from fakes.bench import World
from fakes.check import equal, raises, skip
from fakes.folder import Folder, read, write
from fakes.model import Model
from umqtt.outbox import DROP, LATEST, Outbox
from umqtt.rtc import Region, RtcJournal
from umqtt.store import FileJournal, Store, record

YEAR_2026_S = 820000000  # where time begins in 2000


class Desk:
    """A board with an outbox in a temporary folder, and a broker. `now`: its clock, in seconds."""

    def __init__(self, folder, **named):
        self.folder = folder
        self.named = named
        self.now = YEAR_2026_S
        self.world = World(Model)
        self.start()

    def start(self):
        """As after a reset."""
        self.store = Store(FileJournal(self.folder + "/j"))
        self.outbox = Outbox(self.folder + "/q", self.store, clock=lambda: self.now, **self.named)
        self.client = self.world.client(store=self.store, inflight=3)
        self.outbox.client = self.client

    def deliver(self):
        if not self.client.isconnected():
            self.client.connect()
        for _ in range(500):
            self.outbox.drain(self.client)
            self.client.poll(0)
            self.world.clock.sleep_ms(1)
            if not self.outbox.waiting and not self.client.inflight:
                return self.arrived()
        raise AssertionError("still waiting: %d" % self.outbox.waiting)

    def arrived(self):
        return [payload.decode() for topic, payload, qos in self.world.broker.accepted]

    def files(self):
        return sorted(os.listdir(self.folder + "/q"))


def test_messages_go_out_in_order_and_their_files_go():
    with Folder() as folder:
        desk = Desk(folder)
        numbers = [desk.outbox.add("t", "%d" % i, i % 3) for i in range(30)]
        equal(numbers, list(range(30)))
        equal(desk.outbox.waiting, 30)
        equal(desk.deliver(), ["%d" % i for i in range(30)])
        equal([qos for topic, payload, qos in desk.world.broker.accepted], [i % 3 for i in range(30)])
        equal((desk.files(), desk.outbox.waiting), ([], 0))


def test_most_qos_bounds_what_waits_and_nothing_else():
    with Folder() as folder:
        desk = Desk(folder)
        for i in range(3):
            desk.outbox.add("t", "%d" % i, i)
        desk.outbox.most_qos = 1
        desk.client.connect()
        desk.client.publish("other", "by itself", qos=2)
        equal(desk.deliver(), ["by itself", "0", "1", "2"])
        equal([qos for topic, payload, qos in desk.world.broker.accepted], [2, 0, 1, 1])


def test_numbers_go_on_after_a_reset():
    with Folder() as folder:
        desk = Desk(folder)
        for i in range(5):
            desk.outbox.add("t", "%d" % i, 2)
        desk.start()
        equal((desk.outbox.next, desk.outbox.waiting), (5, 5))
        desk.deliver()
        desk.client.disconnect()
        desk.start()
        equal(desk.outbox.add("t", "5", 2), 5)
        equal(desk.deliver(), ["%d" % i for i in range(6)])


def test_retained_and_topic_are_kept():
    with Folder() as folder:
        desk = Desk(folder)
        desk.outbox.add("a/b", "x", 1, True)
        desk.deliver()
        equal(desk.world.broker.retained, {"a/b": (b"x", 1)})


def test_drop_is_dropped_offline_and_sent_at_once_online():
    with Folder() as folder:
        desk = Desk(folder)
        equal(desk.outbox.add("t", "gone", 1, keep=DROP), None)
        equal((desk.outbox.dropped, desk.outbox.waiting, desk.files()), (1, 0, []))
        desk.client.connect()
        assert desk.outbox.add("t", "sent", 1, keep=DROP) > 0
        equal(desk.deliver(), ["sent"])


def test_only_the_latest_and_only_the_last_three_are_handed_over():
    with Folder() as folder:
        desk = Desk(folder)
        for i in range(5):
            desk.outbox.add("latest", "l%d" % i, 2, keep=LATEST)
            desk.outbox.add("three", "t%d" % i, 2, keep=3)
            desk.outbox.add("must", "m%d" % i, 2)
        equal(desk.deliver(), ["m0", "m1", "t2", "m2", "t3", "m3", "l4", "t4", "m4"])
        equal(desk.outbox.dropped, 6)
        desk.outbox.add("latest", "l5", 2, keep=LATEST)
        equal(desk.deliver()[-1], "l5")


def test_the_latest_is_handed_over_after_a_reset_too():
    with Folder() as folder:
        desk = Desk(folder)
        for i in range(5):
            desk.outbox.add("t", "%d" % i, 2, keep=LATEST)
        desk.start()
        equal(desk.deliver(), ["4"])


def test_what_is_too_old_is_passed_over():
    with Folder() as folder:
        desk = Desk(folder)
        desk.outbox.add("t", "old", 2, expire_s=60)
        desk.outbox.add("t", "taken long ago", 2, expire_s=60, taken=desk.now - 61)
        desk.outbox.add("t", "patient", 2)
        desk.now += 61
        desk.start()  # age is counted over sleeps
        desk.outbox.add("t", "young", 2, expire_s=60)
        desk.now += 60
        equal(desk.deliver(), ["patient", "young"])
        equal(desk.outbox.expired, 2)


def test_an_age_that_is_not_known_expires_nothing():
    with Folder() as folder:
        desk = Desk(folder)
        desk.now = 100  # the clock was not set
        desk.outbox.add("t", "unset", 2, expire_s=60)
        desk.now = YEAR_2026_S
        desk.outbox.add("t", "set", 2, expire_s=60)
        desk.now = 50  # a power cut: it is not set again
        desk.start()
        equal(desk.deliver(), ["unset", "set"])


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


def test_what_is_useless_makes_room():
    with Folder() as folder:
        desk = Desk(folder, limit_b=1024, segment_b=256)
        for i in range(200):
            desk.outbox.add("latest", "%d" % i, 2, keep=LATEST)
            if i % 20 == 0:
                desk.outbox.add("must", "m%d" % i, 2)
        assert len(desk.files()) <= 4, desk.files()
        desk.start()
        equal(desk.deliver(), ["m%d" % i for i in range(0, 200, 20)] + ["199"])


def test_a_stage_in_ram_writes_flash_once_for_many():
    with Folder() as folder:
        equal(Outbox(folder + "/other", Store(FileJournal(folder + "/k")), stage=50).flush(), None)
        desk = Desk(folder, stage=300)
        for i in range(5):
            desk.outbox.add("t", "%d" % i, 2)
        equal(desk.files(), [])
        for i in range(5, 12):
            desk.outbox.add("t", "%d" % i, 2)
        equal(len(desk.files()), 1)
        equal(desk.deliver(), ["%d" % i for i in range(12)])


def test_a_stage_in_rtc_memory_survives_a_reset_and_writes_no_flash():
    class Memory:
        data = b""

        def __call__(self, data=None):
            if data is None:
                return self.data
            self.data = bytes(data)

    with Folder() as folder:
        memory = Memory()
        desk = Desk(folder, stage=Region(memory, 0, 400))
        for i in range(5):
            desk.outbox.add("t", "%d" % i, 2)
            desk.start()
        equal((desk.files(), desk.outbox.waiting), ([], 5))
        for i in range(5, 40):
            desk.outbox.add("t", "%d" % i, 2)
        assert desk.files()
        desk.start()
        equal(desk.deliver(), ["%d" % i for i in range(40)])
        # a reset between the write to flash and the clearing of the stage
        desk.outbox.add("t", "40", 2)
        staged = memory.data
        desk.outbox.flush()
        memory.data = staged
        desk.start()
        equal(desk.outbox.waiting, 1)
        equal(desk.deliver()[-2:], ["39", "40"])


def test_a_damaged_file_costs_what_is_damaged_and_is_set_aside():
    with Folder() as folder:
        desk = Desk(folder)
        for i in range(8):
            desk.outbox.add("t", "message %d" % i, 2)
        name = folder + "/q/" + desk.files()[0]
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
        name = folder + "/q/" + desk.files()[-1]
        write(name, read(name)[:-1])
        desk.start()
        equal(desk.outbox.next, 2)
        desk.outbox.add("t", "new", 2)
        equal(len(desk.files()), 2)
        desk.start()
        equal(desk.deliver(), ["0", "1", "new"])


def test_an_interrupted_squeeze_hands_nothing_over_twice():
    with Folder() as folder:
        desk = Desk(folder, limit_b=4096, segment_b=256)
        for i in range(12):
            desk.outbox.add("t", "%02d" % i, 2)
        names = desk.files()
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
        equal(desk.files(), ["notes.md"])


def test_bad_arguments_change_nothing():
    with Folder() as folder:
        desk = Desk(folder, segment_b=128)
        for args in (("", "x"), ("a/#", "x"), ("t", 5), ("t", "x", 3), ("t", "x", 1, False, 256), ("t", "x" * 128)):
            raises(ValueError, desk.outbox.add, *args)
        equal((desk.outbox.next, desk.files()), (0, []))
        raises(ValueError, Outbox, folder + "/q", desk.store, 256, 1024, 128)


def test_the_place_is_not_lost_when_all_files_are_gone():
    with Folder() as folder:
        desk = Desk(folder)
        desk.outbox.add("t", "x", 0)
        desk.outbox.add("t", "y", 0)
        desk.deliver()
        desk.client.disconnect()
        desk.start()
        equal((desk.outbox.next, desk.outbox.waiting), (2, 0))
        equal((desk.store.window, desk.store.report), (0, ""))


def test_an_age_by_a_clock_that_was_never_set_expires_nothing():
    # after a power cut such a clock begins anew, and says nothing about a message of the life before
    with Folder() as folder:
        desk = Desk(folder)
        desk.now = 100
        desk.outbox.add("t", "unset at both times", 2, expire_s=60)
        desk.now = 5000
        desk.start()
        equal(desk.deliver(), ["unset at both times"])
        equal(desk.outbox.expired, 0)


def test_a_time_that_cannot_be_is_no_age():
    with Folder() as folder:
        desk = Desk(folder)
        for taken in (-5, 1 << 40, 0):
            desk.outbox.add("t", "%d" % taken, 2, expire_s=60, taken=taken)
        equal(desk.deliver(), ["-5", "%d" % (1 << 40), "0"])


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


def test_a_message_that_the_client_never_takes_does_not_block_the_others():
    with Folder() as folder:
        desk = Desk(folder)
        for i in range(3):
            desk.outbox.add("t", "%d" % i, 2)
        publish = desk.client.publish

        def refusing(topic, payload, *rest):
            if payload == b"1":
                raise ValueError("not this one")
            return publish(topic, payload, *rest)

        desk.client.publish = refusing
        equal(desk.deliver(), ["0", "2"])
        equal(desk.outbox.dropped, 1)
        assert "not this one" in desk.outbox.report, desk.outbox.report


def test_a_message_that_the_journal_could_never_take_is_refused_by_add():
    with Folder() as folder:
        st = Store(FileJournal(folder + "/j", 64, 400))
        outbox = Outbox(folder + "/q", st)
        fault = raises(ValueError, outbox.add, "t", "x" * 300)
        assert "at most 200" in str(fault), fault
        outbox.add("t", "x" * 150)
        equal(outbox.next, 1)


def test_what_is_handed_over_never_exceeds_the_journal():
    # 40 slots, and a journal with room for a few of the messages
    with Folder() as folder:
        world = World(Model)
        st = Store(FileJournal(folder + "/j", 64, 1000))
        outbox = Outbox(folder + "/q", st)
        for i in range(30):
            outbox.add("t", "%02d" % i + "x" * 120, 2)
        client = world.client(store=st, inflight=40)
        client.connect()
        most = 0
        for _ in range(2000):
            try:
                outbox.drain(client)
            except OSError as error:
                assert "store full" in str(error), error
            client.poll(0)
            world.clock.sleep_ms(1)
            most = max(most, os.stat(folder + "/j")[6])
        equal([payload[:2] for topic, payload, qos in world.broker.accepted], [b"%02d" % i for i in range(30)])
        equal((outbox.waiting, client.diag()["connects"]), (0, 1))
        assert most <= 1000, most


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
            name = folder + "/q/" + desk.files()[0]
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
        equal((desk.outbox.next, desk.outbox.waiting, desk.files()), (1, 1, ["00000000"]))
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
        equal((desk.outbox.waiting, desk.files()), (0, ["bad"]))
        equal(desk.outbox.add("t", "2", 2), 2)


def test_names_that_only_look_like_numbers_are_not_ours():
    for name in ("-0000001", "0000000A", "00000_01", "1234567", "new folder", "fedcba98", "9" * 20):
        with Folder() as folder:
            Desk(folder)
            write(folder + "/q/" + name, b"x")
            desk = Desk(folder)
            assert name + " is not ours" in desk.outbox.report, desk.outbox.report
            equal((desk.outbox.next, desk.files()), (0, [name]))


class Memory:
    """machine.RTC().memory"""

    data = b""

    def __call__(self, data=None):
        if data is None:
            return self.data
        self.data = bytes(data)


class SleepingDesk(Desk):
    """Journal and stage in RTC memory; what does not fit overflows to flash."""

    memory = None

    def start(self):
        self.memory = self.memory or Memory()
        self.store = Store(RtcJournal(Region(self.memory, 0, 300), FileJournal(self.folder + "/j")))
        self.outbox = Outbox(
            self.folder + "/q", self.store, Region(self.memory, 300, 100), clock=lambda: self.now, **self.named
        )
        self.client = self.world.client(store=self.store, inflight=3)

    def hand_over(self, messages):
        """Until so many have arrived and all that was handed over has ended; the rest waits."""
        self.client.connect()
        while len(self.arrived()) < messages:
            self.outbox.drain(self.client)
            self.client.poll(1)
        while self.client.inflight:
            self.client.poll(1)
        self.outbox.drain(Disconnected())


class Disconnected:
    inflight = 0

    def isconnected(self):
        return False

    def free_slots(self):
        return 3


def test_rtc_memory_that_a_power_cut_took_brings_back_nothing_that_was_acknowledged_long_ago():
    with Folder() as folder:
        desk = SleepingDesk(folder, segment_b=512)
        for i in range(12):
            desk.outbox.add("t", "%02d" % i, 2)
        waiting = len(desk.files())
        assert waiting >= 1, waiting
        desk.hand_over(2)
        ended = desk.arrived()
        desk.client.disconnect()
        desk.memory.data = b""
        desk.world.broker.accepted.clear()
        desk.start()
        desk.deliver()
        came = desk.arrived()
        equal([payload for payload in came if payload in ended], [])
        assert came, "what overflowed to flash is not lost"


def test_a_file_that_a_reset_left_though_all_of_it_was_handed_over_takes_no_other_one_from_rtc_memory():
    with Folder() as folder:
        desk = SleepingDesk(folder, segment_b=128)
        for i in range(14):
            desk.outbox.add("t", "%02d" % i + "x" * 40, 2)
        first = desk.files()[0]
        left = read(folder + "/q/" + first)
        handed_over = int(desk.files()[1], 16)
        desk.hand_over(handed_over)
        assert first not in desk.files(), desk.files()
        write(folder + "/q/" + first, left)  # the reset came before the file was removed
        desk.client.disconnect()
        ended = len(desk.arrived())
        desk.start()
        desk.outbox.drain(Disconnected())
        equal([payload[:2] for payload in desk.deliver()], ["%02d" % i for i in range(14)])
        assert 0 < ended < 14, ended


def test_a_journal_that_a_reset_left_beside_rtc_memory_is_gone_before_a_power_cut_can_bring_it_back():
    with Folder() as folder:
        desk = SleepingDesk(folder)
        desk.store.journal.region.size_b = 20  # full: the journal goes to flash
        desk.outbox.add("t", "long ago", 2)
        desk.client.connect()
        desk.outbox.drain(desk.client)
        desk.client.publish("t", b"in flight", qos=2, wait=False)
        left = read(folder + "/j")
        desk.store.journal.region.size_b = 294
        desk.deliver()
        desk.store.rewrite()
        desk.store.sync()
        equal([name for name in os.listdir(folder) if name == "j"], [])
        write(folder + "/j", left)  # the reset came before the file was removed
        desk.client.disconnect()
        desk.start()
        equal((desk.store.window, [name for name in os.listdir(folder) if name == "j"]), (0, []))
        desk.memory.data = b""
        desk.start()
        equal(desk.store.window, 0)


def test_room_is_compared_at_the_start_and_the_outbox_takes_no_more():
    with Folder() as folder:
        st = Store(FileJournal(folder + "/j"))
        outbox = Outbox(folder + "/q", st, limit_b=1 << 60)
        assert "storage: remove files" in outbox.report and str(1 << 60) in outbox.report, outbox.report
        assert outbox.most * 2048 < 1 << 60
        equal(Outbox(folder + "/q", st).report, "")


def test_a_squeeze_keeps_the_order_and_the_room_of_one_file_more():
    with Folder() as folder:
        desk = Desk(folder, limit_b=2048, segment_b=256)
        most = 0
        for i in range(150):
            desk.outbox.add("latest", "%d" % i, 2, keep=2)
            if i % 10 == 0:
                desk.outbox.add("must", "m%d" % i, 2)
            most = max(most, len(desk.files()))
        assert most <= 8, most
        desk.start()
        equal(desk.deliver(), ["m%d" % i for i in range(0, 150, 10)] + ["148", "149"])


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
                    equal(desk.files(), [])


def test_a_full_file_system_is_told_in_words_with_what_to_do():
    with Folder() as folder:
        desk = Desk(folder)
        with BrokenOpen(OSError(28, "")):
            fault = raises(OSError, desk.outbox.add, "t", "x", 2)
        assert fault.errno == 28 and "storage full: remove files" in str(fault), fault
        with BrokenOpen(OSError(5, "flash")):
            fault = raises(OSError, desk.outbox.add, "t", "x", 2)
        assert "flash" in str(fault), fault


def test_what_was_handed_over_is_in_the_journal_before_its_file_or_its_stage_goes():
    for stage in (None, 300):
        with Folder() as folder:
            desk = Desk(folder, stage=stage)
            for i in range(3):
                desk.outbox.add("t", "%d" % i, 2)
            desk.client.connect()
            equal(desk.outbox.drain(desk.client), 3)
            equal(desk.files(), [])
            desk.start()  # a reset before anything left
            equal((desk.store.window, desk.outbox.waiting), (3, 0))
            equal(desk.deliver(), ["0", "1", "2"])


def test_the_client_of_the_constructor_takes_what_is_not_to_wait():
    with Folder() as folder:
        desk = Desk(folder)
        outbox = Outbox(folder + "/q2", desk.store, client=desk.client)
        desk.client.connect()
        assert outbox.add("t", "x", 1, keep=DROP) > 0


def test_a_message_that_was_not_to_be_retained_is_not():
    with Folder() as folder:
        desk = Desk(folder)
        for qos in range(3):
            desk.outbox.add("a/b", "x", qos)
        desk.deliver()
        equal(desk.world.broker.retained, {})


def test_few_messages_keep_their_files_inline_and_many_fill_them():
    # a record of 24 B and the payload
    for payload_b, files in ((104, 1), (105, 2)):
        with Folder() as folder:
            desk = Desk(folder)
            desk.outbox.add("t", "", 2)
            desk.outbox.add("t", "x" * (payload_b - 24), 2)
            equal(len(desk.files()), files)
    with Folder() as folder:
        desk = Desk(folder, limit_b=20000, segment_b=1000)
        sizes = []
        for _ in range(40):
            desk.outbox.add("t", "x" * 76, 2)
            sizes = [os.stat(folder + "/q/" + name)[6] for name in desk.files()]
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
        os.remove(folder + "/q/" + desk.files()[1])
        equal([payload[:1] for payload in desk.deliver()], ["0", "2"])
        equal((desk.outbox.waiting, desk.files()), (0, []))


def test_what_is_on_flash_already_is_not_staged_again():
    with Folder() as folder:
        memory = Memory()
        desk = Desk(folder, stage=Region(memory, 0, 400))
        for i in range(3):
            desk.outbox.add("t", "%d" % i, 2)
        staged = memory.data
        desk.outbox.flush()
        memory.data = staged  # the reset came before the stage was cleared
        desk.start()
        was = [(name, os.stat(folder + "/q/" + name)[6]) for name in desk.files()]
        desk.outbox.flush()
        equal([(name, os.stat(folder + "/q/" + name)[6]) for name in desk.files()], was)
        equal(desk.deliver(), ["0", "1", "2"])


def test_a_damaged_file_is_set_aside_though_rtc_memory_let_its_name_go_on():
    with Folder() as folder:
        desk = SleepingDesk(folder, segment_b=512)
        for i in range(12):
            desk.outbox.add("t", "%02d" % i, 2)
        name = folder + "/q/" + desk.files()[0]
        data = bytearray(read(name))
        data[12] ^= 1
        write(name, data)
        desk.start()
        desk.hand_over(3)
        assert desk.files() != [name.split("/")[-1]], desk.files()
        desk.outbox.drain(Disconnected())
        equal(len(desk.deliver()), 11)
        equal((desk.files(), read(folder + "/q/bad")), (["bad"], bytes(data)))


def test_a_message_without_a_payload_is_handed_over():
    with Folder() as folder:
        desk = Desk(folder)
        desk.outbox.add("t", "", 2)
        equal(desk.deliver(), [""])


def test_policies_at_random_hand_over_what_they_say_in_order_through_squeezes_and_resets():
    seed = 3

    def any(above):
        nonlocal seed
        seed = (seed * 1103515245 + 12345) & 0x3FFFFFFF
        return (seed >> 8) % above

    squeezed = 0
    for _ in range(12):
        with Folder() as folder:
            desk = Desk(folder, limit_b=1536, segment_b=256)
            taken = []
            for i in range(60 + any(60)):
                topic = "ab"[any(2)]
                keep = (0, 1, 1, 2, 3)[any(5)]
                expire_s = 0 if keep else (0, 0, 50)[any(3)]
                try:
                    desk.outbox.add(topic, "%03d" % i + "x" * any(40), 2, keep=keep, expire_s=expire_s)
                    taken.append((topic, "%03d" % i, keep, expire_s, desk.now))
                except OSError as error:
                    assert "outbox full" in str(error), error
                desk.now += any(3)
                if any(25) == 0:
                    desk.start()
            before = desk.outbox.dropped + desk.outbox.expired
            squeezed += before > 0
            want = []
            for i in range(len(taken)):
                topic, payload, keep, expire_s, at = taken[i]
                newer = len([later for later in taken[i + 1 :] if later[0] == topic and later[2]])
                if not (expire_s and desk.now - at > expire_s) and not (keep and newer >= keep):
                    want.append(payload)
            equal([payload[:3] for payload in desk.deliver()], want)
            equal(desk.files(), [])
    assert squeezed > 6, squeezed


def test_a_squeeze_keeps_the_latest_though_an_older_one_of_a_larger_n_waits():
    with Folder() as folder:
        desk = Desk(folder, limit_b=1024, segment_b=256)
        for i in range(40):
            desk.outbox.add("t", "older %02d" % i, 2, keep=3)
        desk.outbox.add("t", "latest", 2, keep=LATEST)
        for i in range(60):
            desk.outbox.add("filler", "%d" % i, 2, keep=LATEST)  # squeezes it more than once
        equal([payload for payload in desk.deliver() if not payload.isdigit()], ["older 38", "older 39", "latest"])


def test_each_message_that_is_passed_over_is_counted_once():
    with Folder() as folder:
        desk = Desk(folder, limit_b=1024, segment_b=256)
        for i in range(100):
            desk.outbox.add("t", "%d" % i, 2, keep=2)
        desk.outbox.add("old", "x", 2, expire_s=5)
        desk.now += 6
        equal(desk.deliver(), ["98", "99"])
        equal((desk.outbox.dropped, desk.outbox.expired), (98, 1))


def test_a_message_expires_a_second_after_its_age_and_not_at_it():
    with Folder() as folder:
        desk = Desk(folder)
        desk.outbox.add("t", "young", 2, expire_s=60, taken=desk.now - 60)
        desk.outbox.add("t", "old", 2, expire_s=60, taken=desk.now - 61)
        equal(desk.deliver(), ["young"])
        desk.now = 600000000  # the first moment of a clock that was set
        desk.outbox.add("t", "set", 2, expire_s=60, taken=desk.now)
        desk.now += 61
        equal(desk.deliver(), ["young"])


def test_what_is_not_to_wait_is_on_its_way_when_add_returns_and_its_ack_is_not_awaited():
    with Folder() as folder:
        desk = Desk(folder)
        desk.client.connect()
        desk.world.broker.ack_ms = 500
        now = desk.world.clock.now
        for qos in (1, 2):
            assert desk.outbox.add("t", "now", qos, keep=DROP) > 0
        equal((desk.world.clock.now - now, desk.client.inflight), (0, 2))


def test_what_was_staged_is_on_flash_after_a_flush():
    with Folder() as folder:
        desk = Desk(folder, stage=300)
        for i in range(5):
            desk.outbox.add("t", "%d" % i, 2)
        desk.outbox.flush()
        equal(len(desk.files()), 1)
        desk.start()
        equal((desk.outbox.waiting, desk.outbox.next), (5, 5))


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
                assert len(desk.files()) <= most, (limit_b, desk.files())
            assert refused, limit_b


def test_what_a_program_publishes_itself_is_on_flash_at_once_after_a_hand_over_too():
    with Folder() as folder:
        desk = Desk(folder)
        desk.outbox.add("t", "0", 2)
        desk.deliver()
        desk.client.publish("t", b"by itself", qos=1, wait=False)
        assert b"by itself" in read(folder + "/j")


def test_a_file_goes_as_soon_as_all_of_it_was_handed_over():
    with Folder() as folder:
        desk = Desk(folder, segment_b=256)
        for i in range(9):
            desk.outbox.add("t", "%d" % i + "x" * 200, 2)
        equal(len(desk.files()), 9)
        desk.client.connect()
        for left in (6, 3, 0):  # the client takes three at a time
            equal(desk.outbox.drain(desk.client), 3)
            equal(len(desk.files()), left)
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


def test_a_squeeze_fills_files_and_makes_none_larger_than_its_share():
    with Folder() as folder:
        desk = Desk(folder, limit_b=2048, segment_b=256)
        for i in range(60):
            desk.outbox.add("latest", "%03d" % i + "x" * 60, 2, keep=LATEST)
            desk.outbox.add("must", "%03d" % i + "x" * 60, 2, keep=12)
            sizes = [len(read(folder + "/q/" + name)) for name in desk.files()]
            assert max(sizes) <= 256, sizes
        equal([payload[:3] for payload in desk.deliver()], ["%03d" % i for i in range(48, 60)] + ["059"])


def test_a_hand_over_is_one_write_for_all_its_messages():
    with Folder() as folder:
        desk = Desk(folder)
        for i in range(3):
            desk.outbox.add("t", "%d" % i, 2)
        desk.client.connect()
        writes = []
        for name in ("append", "rewrite"):
            plain = getattr(desk.store.journal, name)
            setattr(desk.store.journal, name, lambda data, plain=plain: writes.append(len(data)) or plain(data))
        equal(desk.outbox.drain(desk.client), 3)
        assert len(writes) == 1, writes


def test_a_stage_takes_what_fits_to_the_byte_and_no_more_than_a_file():
    record_b = 7 + 16 + 1 + 10
    for more_b, files in ((0, 0), (-1, 1)):
        with Folder() as folder:
            desk = Desk(folder, stage=2 * record_b + more_b)
            for _ in range(2):
                desk.outbox.add("t", "x" * 10, 2)
            equal(len(desk.files()), files)
            equal(len(desk.deliver()), 2)
    with Folder() as folder:
        store = Store(FileJournal(folder + "/j"))
        Outbox(folder + "/q", store, stage=512, segment_b=512)
        raises(ValueError, Outbox, folder + "/q", store, stage=513, segment_b=512)


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


def test_the_latest_of_qos_0_that_could_not_be_sent_yet_is_next_again():
    with Folder() as folder:
        desk = Desk(folder)
        for i in range(3):
            desk.outbox.add("latest", "%d" % i, 0, keep=LATEST)
        desk.client.connect()
        desk.client.poll(0)
        plan = desk.world.link.plan
        room = plan.buffer
        plan.buffer = 0
        desk.client.publish("older", b"x", wait=False)
        equal((desk.outbox.drain(desk.client), desk.outbox.waiting), (0, 1))
        plan.buffer = room
        equal(desk.deliver(), ["x", "2"])


def test_records_of_a_qos_or_flags_that_no_message_has_are_not_handed_over():
    from struct import pack

    for first_byte, is_ours in ((0x30, True), (0x35, True), (0x36, False), (0x38, False), (0x20, False), (0x70, False)):
        with Folder() as folder:
            os.mkdir(folder + "/q")
            data = bytearray()
            record(data, 15, pack(">IIIBBH", 0, 0, 0, first_byte, 0, 1) + b"tx")
            write(folder + "/q/00000000", bytes(data))
            desk = Desk(folder)
            equal(desk.deliver(), ["x"] if is_ours else [], first_byte)
            equal("damaged" in desk.outbox.report, not is_ours)


def test_wanted_are_the_latest_of_topics_that_differ_in_their_first_letter_or_are_long():
    with Folder() as folder:
        desk = Desk(folder)
        topics = ["a/t", "b/t", "c" * 300 + "1", "c" * 300 + "2"]
        for payload in ("/old", "/new"):
            for topic in topics:
                desk.outbox.add(topic, payload, 2, keep=LATEST)
        desk.deliver()
        equal(
            [(topic, payload) for topic, payload, _ in desk.world.broker.accepted],
            [(topic, b"/new") for topic in topics],
        )


def test_wanted_messages_of_a_full_outbox_are_not_written_again_when_that_frees_no_file():
    with Folder() as folder:
        desk = Desk(folder, limit_b=512, segment_b=256)
        for _ in range(2):
            desk.outbox.add("t", "x" * 200, 2)
        before = [os.stat(folder + "/q/" + name) for name in desk.files()]
        for _ in range(3):
            raises(OSError, desk.outbox.add, "t", "x" * 200, 2)
        equal([os.stat(folder + "/q/" + name) for name in desk.files()], before)
        equal(desk.outbox._tail_b >= 0, True)


def test_wanted_is_what_was_before_a_squeeze_that_found_no_room():
    with Folder() as folder:
        desk = Desk(folder, limit_b=1024, segment_b=256)
        desk.outbox.add("latest", "00", 2, keep=2)
        names = getattr(desk.outbox._chooser.squeeze, "__globals__", None)
        if names is None:
            skip("CPython tells the names that a method uses")
        full = OSError(28, "")

        def no_room(*_):
            raise full

        count = 1
        names["open"] = no_room
        try:
            while count < 100:
                desk.outbox.add("latest", "%02d" % count + "x" * 40, 2, keep=2)
                count += 1
        except OSError as fault:
            assert fault is full, fault
        finally:
            del names["open"]
        assert 10 < count < 100, count
        equal([payload[:2] for payload in desk.deliver()], ["%02d" % (count - 2), "%02d" % (count - 1)])


def test_wanted_is_the_latest_of_what_is_staged_too():
    with Folder() as folder:
        desk = Desk(folder, stage=400)
        equal(desk.outbox.drain(desk.client), 0)
        for i in range(4):
            desk.outbox.add("t", "%d" % i, 2, keep=LATEST)
        equal((desk.files(), desk.outbox.drain(desk.client)), ([], 0), "without a link")
        equal(desk.deliver(), ["3"])
        equal(desk.outbox.drain(desk.client), 0)
