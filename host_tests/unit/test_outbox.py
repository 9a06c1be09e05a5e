"""Store and forward: numbers, policies, expiry, room, and files that others have touched."""

import os

from fakes.bench import World
from fakes.check import equal, raises
from fakes.folder import Folder, read, write
from fakes.model import Model
from umqtt.outbox import DROP, LATEST, Outbox
from umqtt.rtc import Region
from umqtt.store import FileJournal, Store

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
