"""Store and forward: numbers, policies, expiry, room, and files that others have touched."""

import os

import umqtt.outbox as outbox_module
from fakes.bench import World
from fakes.check import equal, raises
from fakes.folder import Folder, read, write
from fakes.model import Model
from umqtt.outbox import DROP, LATEST, Outbox
from umqtt.rtc import Region, RtcJournal
from umqtt.store import FileJournal, Store, record

YEAR_2026_S = 820000000  # where time begins in 2000


class Desk:
    """A board with an outbox in a temporary folder, and a broker. `now`: its clock, in seconds."""

    def __init__(self, d, **named):
        self.d = d
        self.named = named
        self.now = YEAR_2026_S
        self.w = World(Model)
        self.start()

    def start(self):
        """As after a reset."""
        self.store = Store(FileJournal(self.d + "/j"))
        self.outbox = Outbox(self.d + "/q", self.store, clock=lambda: self.now, **self.named)
        self.client = self.w.client(store=self.store, inflight=3)
        self.outbox.client = self.client

    def deliver(self):
        if not self.client.isconnected():
            self.client.connect()
        for _ in range(500):
            self.outbox.drain(self.client)
            self.client.poll(0)
            self.w.clock.sleep_ms(1)
            if not self.outbox.waiting and not self.client.inflight:
                return self.arrived()
        raise AssertionError("still waiting: %d" % self.outbox.waiting)

    def arrived(self):
        return [p.decode() for t, p, q in self.w.broker.accepted]

    def files(self):
        return sorted(os.listdir(self.d + "/q"))


def test_messages_go_out_in_order_and_their_files_go():
    with Folder() as d:
        k = Desk(d)
        numbers = [k.outbox.add("t", "%d" % i, i % 3) for i in range(30)]
        equal(numbers, list(range(30)))
        equal(k.outbox.waiting, 30)
        equal(k.deliver(), ["%d" % i for i in range(30)])
        equal([q for t, p, q in k.w.broker.accepted], [i % 3 for i in range(30)])
        equal((k.files(), k.outbox.waiting), ([], 0))


def test_most_qos_bounds_what_waits_and_nothing_else():
    with Folder() as d:
        k = Desk(d)
        for i in range(3):
            k.outbox.add("t", "%d" % i, i)
        k.outbox.most_qos = 1
        k.client.connect()
        k.client.publish("other", "by itself", qos=2)
        equal(k.deliver(), ["by itself", "0", "1", "2"])
        equal([q for t, p, q in k.w.broker.accepted], [2, 0, 1, 1])


def test_numbers_go_on_after_a_reset():
    with Folder() as d:
        k = Desk(d)
        for i in range(5):
            k.outbox.add("t", "%d" % i, 2)
        k.start()
        equal((k.outbox.next, k.outbox.waiting), (5, 5))
        k.deliver()
        k.client.disconnect()
        k.start()
        equal(k.outbox.add("t", "5", 2), 5)
        equal(k.deliver(), ["%d" % i for i in range(6)])


def test_retained_and_topic_are_kept():
    with Folder() as d:
        k = Desk(d)
        k.outbox.add("a/b", "x", 1, True)
        k.deliver()
        equal(k.w.broker.retained, {"a/b": (b"x", 1)})


def test_drop_is_dropped_offline_and_sent_at_once_online():
    with Folder() as d:
        k = Desk(d)
        equal(k.outbox.add("t", "gone", 1, keep=DROP), None)
        equal((k.outbox.dropped, k.outbox.waiting, k.files()), (1, 0, []))
        k.client.connect()
        assert k.outbox.add("t", "sent", 1, keep=DROP) > 0
        equal(k.deliver(), ["sent"])


def test_only_the_latest_and_only_the_last_three_are_handed_over():
    with Folder() as d:
        k = Desk(d)
        for i in range(5):
            k.outbox.add("latest", "l%d" % i, 2, keep=LATEST)
            k.outbox.add("three", "t%d" % i, 2, keep=3)
            k.outbox.add("must", "m%d" % i, 2)
        equal(k.deliver(), ["m0", "m1", "t2", "m2", "t3", "m3", "l4", "t4", "m4"])
        equal(k.outbox.dropped, 6)
        k.outbox.add("latest", "l5", 2, keep=LATEST)
        equal(k.deliver()[-1], "l5")


def test_the_latest_is_handed_over_after_a_reset_too():
    with Folder() as d:
        k = Desk(d)
        for i in range(5):
            k.outbox.add("t", "%d" % i, 2, keep=LATEST)
        k.start()
        equal(k.deliver(), ["4"])


def test_what_is_too_old_is_passed_over():
    with Folder() as d:
        k = Desk(d)
        k.outbox.add("t", "old", 2, expire_s=60)
        k.outbox.add("t", "taken long ago", 2, expire_s=60, taken=k.now - 61)
        k.outbox.add("t", "patient", 2)
        k.now += 61
        k.start()  # age is counted over sleeps
        k.outbox.add("t", "young", 2, expire_s=60)
        k.now += 60
        equal(k.deliver(), ["patient", "young"])
        equal(k.outbox.expired, 2)


def test_an_age_that_is_not_known_expires_nothing():
    with Folder() as d:
        k = Desk(d)
        k.now = 100  # the clock was not set
        k.outbox.add("t", "unset", 2, expire_s=60)
        k.now = YEAR_2026_S
        k.outbox.add("t", "set", 2, expire_s=60)
        k.now = 50  # a power cut: it is not set again
        k.start()
        equal(k.deliver(), ["unset", "set"])


def test_a_full_outbox_refuses_in_words_and_nothing_is_dropped():
    with Folder() as d:
        k = Desk(d, limit_b=512, segment_b=256)
        n = 0
        while True:
            try:
                k.outbox.add("t", "%03d" % n + "x" * 30, 2)
                n += 1
            except OSError as e:
                assert e.errno == 28 and "outbox full: %d messages in 512 B" % n in str(e), e
                break
        assert n > 5, n
        equal(k.outbox.next, n)
        k.start()
        equal((k.outbox.next, k.outbox.waiting), (n, n))
        equal([p[:3] for p in k.deliver()], ["%03d" % i for i in range(n)])
        k.outbox.add("t", "again", 2)
        equal(k.deliver()[-1], "again")


def test_what_is_useless_makes_room():
    with Folder() as d:
        k = Desk(d, limit_b=1024, segment_b=256)
        for i in range(200):
            k.outbox.add("latest", "%d" % i, 2, keep=LATEST)
            if i % 20 == 0:
                k.outbox.add("must", "m%d" % i, 2)
        assert len(k.files()) <= 4, k.files()
        k.start()
        equal(k.deliver(), ["m%d" % i for i in range(0, 200, 20)] + ["199"])


def test_a_stage_in_ram_writes_flash_once_for_many():
    with Folder() as d:
        equal(Outbox(d + "/other", Store(FileJournal(d + "/k")), stage=50).flush(), None)
        k = Desk(d, stage=300)
        for i in range(5):
            k.outbox.add("t", "%d" % i, 2)
        equal(k.files(), [])
        for i in range(5, 12):
            k.outbox.add("t", "%d" % i, 2)
        equal(len(k.files()), 1)
        equal(k.deliver(), ["%d" % i for i in range(12)])


def test_a_stage_in_rtc_memory_survives_a_reset_and_writes_no_flash():
    class Memory:
        data = b""

        def __call__(self, data=None):
            if data is None:
                return self.data
            self.data = bytes(data)

    with Folder() as d:
        m = Memory()
        k = Desk(d, stage=Region(m, 0, 400))
        for i in range(5):
            k.outbox.add("t", "%d" % i, 2)
            k.start()
        equal((k.files(), k.outbox.waiting), ([], 5))
        for i in range(5, 40):
            k.outbox.add("t", "%d" % i, 2)
        assert k.files()
        k.start()
        equal(k.deliver(), ["%d" % i for i in range(40)])
        # a reset between the write to flash and the clearing of the stage
        k.outbox.add("t", "40", 2)
        staged = m.data
        k.outbox.flush()
        m.data = staged
        k.start()
        equal(k.outbox.waiting, 1)
        equal(k.deliver()[-2:], ["39", "40"])


def test_a_damaged_file_costs_what_is_damaged_and_is_set_aside():
    with Folder() as d:
        k = Desk(d)
        for i in range(8):
            k.outbox.add("t", "message %d" % i, 2)
        name = d + "/q/" + k.files()[0]
        data = bytearray(read(name))
        data[10] ^= 1
        write(name, data)
        k.start()
        equal(k.deliver(), ["message %d" % i for i in range(1, 8)])
        assert "damaged in " + name in k.outbox.report, k.outbox.report
        equal(read(d + "/q/bad"), bytes(data))


def test_nothing_is_appended_behind_a_torn_tail():
    with Folder() as d:
        k = Desk(d)
        for i in range(3):
            k.outbox.add("t", "%d" % i, 2)
        name = d + "/q/" + k.files()[-1]
        write(name, read(name)[:-1])
        k.start()
        equal(k.outbox.next, 2)
        k.outbox.add("t", "new", 2)
        equal(len(k.files()), 2)
        k.start()
        equal(k.deliver(), ["0", "1", "new"])


def test_an_interrupted_squeeze_hands_nothing_over_twice():
    with Folder() as d:
        k = Desk(d, limit_b=4096, segment_b=256)
        for i in range(12):
            k.outbox.add("t", "%02d" % i, 2)
        names = k.files()
        # the new files of a squeeze stand beside the old ones, and one was half written
        data = b"".join(read(d + "/q/" + n) for n in names)
        write(d + "/q/" + names[0], data[:232])
        write(d + "/q/new", data[:50])
        k.start()
        equal(k.deliver(), ["%02d" % i for i in range(12)])


def test_a_foreign_file_is_told_and_left():
    with Folder() as d:
        k = Desk(d)
        write(d + "/q/notes.md", b"mine")
        k.start()
        assert "notes.md is not ours" in k.outbox.report, k.outbox.report
        k.outbox.add("t", "x", 2)
        equal(k.deliver(), ["x"])
        equal(k.files(), ["notes.md"])


def test_bad_arguments_change_nothing():
    with Folder() as d:
        k = Desk(d, segment_b=128)
        for args in (("", "x"), ("a/#", "x"), ("t", 5), ("t", "x", 3), ("t", "x", 1, False, 256), ("t", "x" * 128)):
            raises(ValueError, k.outbox.add, *args)
        equal((k.outbox.next, k.files()), (0, []))
        raises(ValueError, Outbox, d + "/q", k.store, 256, 1024, 128)


def test_the_place_is_not_lost_when_all_files_are_gone():
    with Folder() as d:
        k = Desk(d)
        k.outbox.add("t", "x", 0)
        k.outbox.add("t", "y", 0)
        k.deliver()
        k.client.disconnect()
        k.start()
        equal((k.outbox.next, k.outbox.waiting), (2, 0))
        equal((k.store.window, k.store.report), (0, ""))


def test_an_age_by_a_clock_that_was_never_set_expires_nothing():
    # after a power cut such a clock begins anew, and says nothing about a message of the life before
    with Folder() as d:
        k = Desk(d)
        k.now = 100
        k.outbox.add("t", "unset at both times", 2, expire_s=60)
        k.now = 5000
        k.start()
        equal(k.deliver(), ["unset at both times"])
        equal(k.outbox.expired, 0)


def test_a_time_that_cannot_be_is_no_age():
    with Folder() as d:
        k = Desk(d)
        for taken in (-5, 1 << 40, 0):
            k.outbox.add("t", "%d" % taken, 2, expire_s=60, taken=taken)
        equal(k.deliver(), ["-5", "%d" % (1 << 40), "0"])


def test_a_second_program_in_the_folder_is_refused_whichever_writes_first():
    for waiting, length in ((0, 6), (1, 6), (1, 100), (20, 6), (20, 100)):
        for other_first in (False, True):
            with Folder() as d:
                k = Desk(d, segment_b=512)
                for i in range(waiting):
                    k.outbox.add("t", "before %d" % i, 2)
                k.start()
                other = Desk(d, segment_b=512)
                first, second = (other, k) if other_first else (k, other)
                first.outbox.add("t", "first" + "x" * length, 2)
                for payload in ("second", "second" + "x" * 400):
                    e = raises(OSError, second.outbox.add, "t", payload, 2)
                    assert e.errno == 16 and "another program" in str(e) and d in str(e), e
                first.outbox.add("t", "first again", 2)
                other.start()
                equal([p[:11] for p in other.deliver()[waiting:]], ["firstxxxxxx", "first again"])


def test_a_second_program_is_refused_when_the_first_handed_all_over_already():
    with Folder() as d:
        k = Desk(d)
        other = Desk(d)
        k.outbox.add("t", "x", 2)
        k.deliver()
        equal(raises(OSError, other.outbox.add, "t", "y", 2).errno, 16)


def test_a_message_that_the_client_never_takes_does_not_block_the_others():
    with Folder() as d:
        k = Desk(d)
        for i in range(3):
            k.outbox.add("t", "%d" % i, 2)
        publish = k.client.publish

        def refusing(topic, payload, *rest):
            if payload == b"1":
                raise ValueError("not this one")
            return publish(topic, payload, *rest)

        k.client.publish = refusing
        equal(k.deliver(), ["0", "2"])
        equal(k.outbox.dropped, 1)
        assert "not this one" in k.outbox.report, k.outbox.report


def test_a_message_that_the_journal_could_never_take_is_refused_by_add():
    with Folder() as d:
        st = Store(FileJournal(d + "/j", 64, 400))
        outbox = Outbox(d + "/q", st)
        e = raises(ValueError, outbox.add, "t", "x" * 300)
        assert "at most 200" in str(e), e
        outbox.add("t", "x" * 150)
        equal(outbox.next, 1)


def test_what_is_handed_over_never_exceeds_the_journal():
    # 40 slots, and a journal with room for a few of the messages
    with Folder() as d:
        w = World(Model)
        st = Store(FileJournal(d + "/j", 64, 1000))
        outbox = Outbox(d + "/q", st)
        for i in range(30):
            outbox.add("t", "%02d" % i + "x" * 120, 2)
        c = w.client(store=st, inflight=40)
        c.connect()
        most = 0
        for _ in range(2000):
            try:
                outbox.drain(c)
            except OSError as e:
                assert "store full" in str(e), e
            c.poll(0)
            w.clock.sleep_ms(1)
            most = max(most, os.stat(d + "/j")[6])
        equal([p[:2] for t, p, q in w.broker.accepted], [b"%02d" % i for i in range(30)])
        equal((outbox.waiting, c.diag()["connects"]), (0, 1))
        assert most <= 1000, most


def test_a_write_that_failed_leaves_nothing_behind_and_loses_nothing():
    with Folder() as d:
        for many in (0, 3):
            k = Desk(d)
            for i in range(many):
                k.outbox.add("t", "%d" % i, 2)
            journal = k.store.journal
            real, journal.reserve = journal.reserve, lambda: False
            e = raises(OSError, k.outbox.add, "t", "refused", 2)
            assert e.errno == 28 and str(e).count("storage full"), e
            journal.reserve = real
            k.outbox.add("t", "taken", 2)
            equal(k.deliver(), ["%d" % i for i in range(many)] + ["taken"])
            k.client.disconnect()


def test_records_of_another_version_are_told_and_the_others_are_handed_over():
    strange = [(14, b"\0" * 30), (15, b""), (15, b"\0\0\0\1"), (15, b"\0" * 16)]
    strange += [(15, b"\0\0\0\1" + b"\0" * 8 + b"\x32\0\0\0"), (15, b"\0\0\0\1" + b"\0" * 8 + b"\x32\0\0\5abcd")]
    strange += [(15, b"\0\0\0\1" + b"\0" * 8 + b"\x32\0\0\0ab")]
    strange += [(15, b"\0\0\0\1" + b"\0" * 8 + b"\x36\0\0\1ab"), (15, b"\0\0\0\1" + b"\0" * 8 + b"\x82\0\0\1ab")]
    for kind, body in strange:
        with Folder() as d:
            k = Desk(d)
            k.outbox.add("t", "0", 2)
            name = d + "/q/" + k.files()[0]
            out = bytearray(read(name))
            record(out, kind, body)
            write(name, out)
            k.start()
            k.outbox.add("t", "1", 2)
            k.start()
            equal((kind, body, k.deliver()), (kind, body, ["0", "1"]))
            assert "damaged in " + name in k.outbox.report, k.outbox.report
            equal(read(d + "/q/bad"), bytes(out))


def test_an_empty_file_of_a_power_cut_costs_no_number():
    with Folder() as d:
        k = Desk(d)
        k.outbox.add("t", "0", 2)
        write(d + "/q/00000001", b"")
        k.start()
        equal((k.outbox.next, k.outbox.waiting, k.files()), (1, 1, ["00000000"]))
        equal(k.outbox.add("t", "1", 2), 1)
        equal(k.deliver(), ["0", "1"])


def test_a_file_of_which_nothing_is_whole_does_not_wait_for_ever():
    with Folder() as d:
        k = Desk(d)
        k.outbox.add("t", "0", 2)
        write(d + "/q/00000001", b"rubbish")
        k.start()
        equal(k.outbox.waiting, 2)
        equal(k.deliver(), ["0"])
        equal((k.outbox.waiting, k.files()), (0, ["bad"]))
        equal(k.outbox.add("t", "2", 2), 2)


def test_names_that_only_look_like_numbers_are_not_ours():
    for name in ("-0000001", "0000000A", "00000_01", "1234567", "new folder"):
        with Folder() as d:
            Desk(d)
            write(d + "/q/" + name, b"x")
            k = Desk(d)
            assert name + " is not ours" in k.outbox.report, k.outbox.report
            equal((k.outbox.next, k.files()), (0, [name]))


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
        self.store = Store(RtcJournal(Region(self.memory, 0, 300), FileJournal(self.d + "/j")))
        self.outbox = Outbox(
            self.d + "/q", self.store, Region(self.memory, 300, 100), clock=lambda: self.now, **self.named
        )
        self.client = self.w.client(store=self.store, inflight=3)

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
    with Folder() as d:
        k = SleepingDesk(d, segment_b=512)
        for i in range(12):
            k.outbox.add("t", "%02d" % i, 2)
        waiting = len(k.files())
        assert waiting >= 1, waiting
        k.hand_over(2)
        ended = k.arrived()
        k.client.disconnect()
        k.memory.data = b""
        k.w.broker.accepted.clear()
        k.start()
        k.deliver()
        came = k.arrived()
        equal([p for p in came if p in ended], [])
        assert came, "what overflowed to flash is not lost"


def test_a_journal_that_a_reset_left_beside_rtc_memory_is_gone_before_a_power_cut_can_bring_it_back():
    with Folder() as d:
        k = SleepingDesk(d)
        k.store.journal.region.size_b = 20  # full: the journal goes to flash
        k.outbox.add("t", "long ago", 2)
        k.client.connect()
        k.outbox.drain(k.client)
        k.client.publish("t", b"in flight", qos=2, wait=False)
        left = read(d + "/j")
        k.store.journal.region.size_b = 294
        k.deliver()
        k.store.rewrite()
        k.store.sync()
        equal([n for n in os.listdir(d) if n == "j"], [])
        write(d + "/j", left)  # the reset came before the file was removed
        k.client.disconnect()
        k.start()
        equal((k.store.window, [n for n in os.listdir(d) if n == "j"]), (0, []))
        k.memory.data = b""
        k.start()
        equal(k.store.window, 0)


def test_room_is_compared_at_the_start_and_the_outbox_takes_no_more():
    with Folder() as d:
        st = Store(FileJournal(d + "/j"))
        outbox = Outbox(d + "/q", st, limit_b=1 << 60)
        assert "storage: remove files" in outbox.report and str(1 << 60) in outbox.report, outbox.report
        assert outbox.most * 2048 < 1 << 60
        equal(Outbox(d + "/q", st).report, "")


def test_a_squeeze_keeps_the_order_and_the_room_of_one_file_more():
    with Folder() as d:
        k = Desk(d, limit_b=2048, segment_b=256)
        most = 0
        for i in range(150):
            k.outbox.add("latest", "%d" % i, 2, keep=2)
            if i % 10 == 0:
                k.outbox.add("must", "m%d" % i, 2)
            most = max(most, len(k.files()))
        assert most <= 8, most
        k.start()
        equal(k.deliver(), ["m%d" % i for i in range(0, 150, 10)] + ["148", "149"])


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
            self.f = open(name, mode)  # noqa: SIM115

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.f.close()

        def write(self, data):
            if self.broken.after:
                self.f.write(data)
                self.f.flush()
            raise self.broken.error


def test_a_failed_write_costs_the_message_that_was_refused_and_no_other():
    for after in (False, True):
        for before in (0, 2):
            for error in (OSError(5, "flash"), MemoryError()):
                with Folder() as d:
                    k = Desk(d)
                    for i in range(before):
                        k.outbox.add("t", "before %d" % i, 2)
                    with BrokenOpen(error, after):
                        raises(error.__class__, k.outbox.add, "t", "refused", 2)
                    for i in range(3):
                        k.outbox.add("t", "after %d" % i, 2)
                    k.start()
                    want = ["before %d" % i for i in range(before)] + ["after %d" % i for i in range(3)]
                    # an append that failed behind the data cannot be taken back: it may arrive, the others must
                    equal([p for p in k.deliver() if p != "refused"], want)
                    equal(k.files(), [])


def test_a_full_file_system_is_told_in_words_with_what_to_do():
    with Folder() as d:
        k = Desk(d)
        with BrokenOpen(OSError(28, "")):
            e = raises(OSError, k.outbox.add, "t", "x", 2)
        assert e.errno == 28 and "storage full: remove files" in str(e), e
        with BrokenOpen(OSError(5, "flash")):
            e = raises(OSError, k.outbox.add, "t", "x", 2)
        assert "flash" in str(e), e


def test_what_was_handed_over_is_in_the_journal_before_its_file_or_its_stage_goes():
    for stage in (None, 300):
        with Folder() as d:
            k = Desk(d, stage=stage)
            for i in range(3):
                k.outbox.add("t", "%d" % i, 2)
            k.client.connect()
            equal(k.outbox.drain(k.client), 3)
            equal(k.files(), [])
            k.start()  # a reset before anything left
            equal((k.store.window, k.outbox.waiting), (3, 0))
            equal(k.deliver(), ["0", "1", "2"])


def test_the_client_of_the_constructor_takes_what_is_not_to_wait():
    with Folder() as d:
        k = Desk(d)
        outbox = Outbox(d + "/q2", k.store, client=k.client)
        k.client.connect()
        assert outbox.add("t", "x", 1, keep=DROP) > 0


def test_a_message_that_was_not_to_be_retained_is_not():
    with Folder() as d:
        k = Desk(d)
        for qos in range(3):
            k.outbox.add("a/b", "x", qos)
        k.deliver()
        equal(k.w.broker.retained, {})


def test_few_messages_keep_their_files_inline_and_many_fill_them():
    # a record of 24 B and the payload
    for payload_b, files in ((104, 1), (105, 2)):
        with Folder() as d:
            k = Desk(d)
            k.outbox.add("t", "", 2)
            k.outbox.add("t", "x" * (payload_b - 24), 2)
            equal(len(k.files()), files)
    with Folder() as d:
        k = Desk(d, limit_b=20000, segment_b=1000)
        sizes = []
        for _ in range(40):
            k.outbox.add("t", "x" * 76, 2)
            sizes = [os.stat(d + "/q/" + n)[6] for n in k.files()]
        equal(sizes, [100] * 7 + [1000] * 3 + [300])


def test_a_message_may_be_as_large_as_a_file():
    with Folder() as d:
        k = Desk(d, segment_b=200)
        k.outbox.add("t", "x" * (200 - 24), 2)
        e = raises(ValueError, k.outbox.add, "t", "x" * (200 - 23), 2)
        assert "message of 201 B, at most 200" in str(e), e


def test_a_file_that_was_removed_by_hand_blocks_nothing():
    with Folder() as d:
        k = Desk(d)
        for i in range(3):
            k.outbox.add("t", "%d" % i + "x" * 100, 2)
        os.remove(d + "/q/" + k.files()[1])
        equal([p[:1] for p in k.deliver()], ["0", "2"])
        equal((k.outbox.waiting, k.files()), (0, []))


def test_what_is_on_flash_already_is_not_staged_again():
    with Folder() as d:
        m = Memory()
        k = Desk(d, stage=Region(m, 0, 400))
        for i in range(3):
            k.outbox.add("t", "%d" % i, 2)
        staged = m.data
        k.outbox.flush()
        m.data = staged  # the reset came before the stage was cleared
        k.start()
        was = [(n, os.stat(d + "/q/" + n)[6]) for n in k.files()]
        k.outbox.flush()
        equal([(n, os.stat(d + "/q/" + n)[6]) for n in k.files()], was)
        equal(k.deliver(), ["0", "1", "2"])


def test_a_damaged_file_is_set_aside_though_its_name_went_on():
    with Folder() as d:
        k = SleepingDesk(d, segment_b=512)
        for i in range(12):
            k.outbox.add("t", "%02d" % i, 2)
        name = d + "/q/" + k.files()[0]
        data = bytearray(read(name))
        data[12] ^= 1
        write(name, data)
        k.start()
        k.hand_over(3)
        assert k.files() != [name.split("/")[-1]], k.files()
        k.outbox.drain(Disconnected())
        equal(len(k.deliver()), 11)
        equal((k.files(), read(d + "/q/bad")), (["bad"], bytes(data)))


def test_a_message_without_a_payload_is_handed_over():
    with Folder() as d:
        k = Desk(d)
        k.outbox.add("t", "", 2)
        equal(k.deliver(), [""])


def test_policies_at_random_hand_over_what_they_say_in_order_through_squeezes_and_resets():
    seed = 3

    def any(n):
        nonlocal seed
        seed = (seed * 1103515245 + 12345) & 0x3FFFFFFF
        return (seed >> 8) % n

    squeezed = 0
    for _ in range(12):
        with Folder() as d:
            k = Desk(d, limit_b=1536, segment_b=256)
            taken = []
            for i in range(60 + any(60)):
                topic = "ab"[any(2)]
                keep = (0, 1, 1, 2, 3)[any(5)]
                expire_s = 0 if keep else (0, 0, 50)[any(3)]
                try:
                    k.outbox.add(topic, "%03d" % i + "x" * any(40), 2, keep=keep, expire_s=expire_s)
                    taken.append((topic, "%03d" % i, keep, expire_s, k.now))
                except OSError as e:
                    assert "outbox full" in str(e), e
                k.now += any(3)
                if any(25) == 0:
                    k.start()
            before = k.outbox.dropped + k.outbox.expired
            squeezed += before > 0
            want = []
            for n in range(len(taken)):
                topic, payload, keep, expire_s, at = taken[n]
                newer = len([m for m in taken[n + 1 :] if m[0] == topic and m[2]])
                if not (expire_s and k.now - at > expire_s) and not (keep and newer >= keep):
                    want.append(payload)
            equal([p[:3] for p in k.deliver()], want)
            equal(k.files(), [])
    assert squeezed > 6, squeezed


def test_a_squeeze_keeps_the_latest_though_an_older_one_of_a_larger_n_waits():
    with Folder() as d:
        k = Desk(d, limit_b=1024, segment_b=256)
        for i in range(40):
            k.outbox.add("t", "older %02d" % i, 2, keep=3)
        k.outbox.add("t", "latest", 2, keep=LATEST)
        for i in range(60):
            k.outbox.add("filler", "%d" % i, 2, keep=LATEST)  # squeezes it more than once
        equal([p for p in k.deliver() if not p.isdigit()], ["older 38", "older 39", "latest"])


def test_each_message_that_is_passed_over_is_counted_once():
    with Folder() as d:
        k = Desk(d, limit_b=1024, segment_b=256)
        for i in range(100):
            k.outbox.add("t", "%d" % i, 2, keep=2)
        k.outbox.add("old", "x", 2, expire_s=5)
        k.now += 6
        equal(k.deliver(), ["98", "99"])
        equal((k.outbox.dropped, k.outbox.expired), (98, 1))


def test_a_message_expires_a_second_after_its_age_and_not_at_it():
    with Folder() as d:
        k = Desk(d)
        k.outbox.add("t", "young", 2, expire_s=60, taken=k.now - 60)
        k.outbox.add("t", "old", 2, expire_s=60, taken=k.now - 61)
        equal(k.deliver(), ["young"])
        k.now = 600000000  # the first moment of a clock that was set
        k.outbox.add("t", "set", 2, expire_s=60, taken=k.now)
        k.now += 61
        equal(k.deliver(), ["young"])


def test_what_is_not_to_wait_is_on_its_way_when_add_returns_and_its_ack_is_not_awaited():
    with Folder() as d:
        k = Desk(d)
        k.client.connect()
        k.w.broker.ack_ms = 500
        now = k.w.clock.now
        for qos in (1, 2):
            assert k.outbox.add("t", "now", qos, keep=DROP) > 0
        equal((k.w.clock.now - now, k.client.inflight), (0, 2))


def test_what_was_staged_is_on_flash_after_a_flush():
    with Folder() as d:
        k = Desk(d, stage=300)
        for i in range(5):
            k.outbox.add("t", "%d" % i, 2)
        k.outbox.flush()
        equal(len(k.files()), 1)
        k.start()
        equal((k.outbox.waiting, k.outbox.next), (5, 5))


def test_there_are_never_more_files_than_there_is_room_for():
    for limit_b, most in ((512, 2), (768, 3), (2048, 8)):
        with Folder() as d:
            k = Desk(d, limit_b=limit_b, segment_b=256)
            refused = 0
            for _ in range(80):
                try:
                    k.outbox.add("t", "x" * 100, 2)
                except OSError:
                    refused += 1
                assert len(k.files()) <= most, (limit_b, k.files())
            assert refused, limit_b


def test_what_a_program_publishes_itself_is_on_flash_at_once_after_a_hand_over_too():
    with Folder() as d:
        k = Desk(d)
        k.outbox.add("t", "0", 2)
        k.deliver()
        k.client.publish("t", b"by itself", qos=1, wait=False)
        assert b"by itself" in read(d + "/j")


def test_a_file_goes_as_soon_as_all_of_it_was_handed_over():
    with Folder() as d:
        k = Desk(d, segment_b=256)
        for i in range(9):
            k.outbox.add("t", "%d" % i + "x" * 200, 2)
        equal(len(k.files()), 9)
        k.client.connect()
        for left in (6, 3, 0):  # the client takes three at a time
            equal(k.outbox.drain(k.client), 3)
            equal(len(k.files()), left)
            k.w.serve(k.client, 100)


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
        with Folder() as d:
            k = Desk(d)
            k.outbox.add("t", "0", 2)
            k.client.connect()
            outbox_module.os = BrokenOs(error)
            try:
                if is_told:
                    equal(raises(OSError, k.outbox.drain, k.client).errno, 5)
                else:
                    equal(k.outbox.drain(k.client), 1)
            finally:
                outbox_module.os = os


def test_a_squeeze_fills_files_and_makes_none_larger_than_its_share():
    with Folder() as d:
        k = Desk(d, limit_b=2048, segment_b=256)
        for i in range(60):
            k.outbox.add("latest", "%03d" % i + "x" * 60, 2, keep=LATEST)
            k.outbox.add("must", "%03d" % i + "x" * 60, 2, keep=12)
            sizes = [len(read(d + "/q/" + name)) for name in k.files()]
            assert max(sizes) <= 256, sizes
        equal([p[:3] for p in k.deliver()], ["%03d" % i for i in range(48, 60)] + ["059"])
