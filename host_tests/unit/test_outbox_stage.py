"""Messages staged in RAM or in RTC memory before they are written to flash, over resets and power cuts."""

import os

from fakes.check import equal, raises
from fakes.desk import Desk
from fakes.folder import Folder, read, write
from umqtt.outbox import Outbox
from umqtt.rtc import Region, RtcJournal
from umqtt.store import FileJournal, Store


def test_a_stage_in_ram_writes_flash_once_for_many():
    with Folder() as folder:
        equal(Outbox(folder + "/other", Store(FileJournal(folder + "/k")), stage=50).flush(), None)
        desk = Desk(folder, stage=300)
        for i in range(5):
            desk.outbox.add("t", "%d" % i, 2)
        equal(desk.file_names(), [])
        for i in range(5, 12):
            desk.outbox.add("t", "%d" % i, 2)
        equal(len(desk.file_names()), 1)
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
        equal((desk.file_names(), desk.outbox.waiting), ([], 5))
        for i in range(5, 40):
            desk.outbox.add("t", "%d" % i, 2)
        assert desk.file_names()
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
        while len(self.payloads()) < messages:
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
        waiting = len(desk.file_names())
        assert waiting >= 1, waiting
        desk.hand_over(2)
        ended = desk.payloads()
        desk.client.disconnect()
        desk.memory.data = b""
        desk.world.broker.accepted.clear()
        desk.start()
        desk.deliver()
        came = desk.payloads()
        equal([payload for payload in came if payload in ended], [])
        assert came, "what overflowed to flash is not lost"


def test_a_file_that_a_reset_left_though_all_of_it_was_handed_over_takes_no_other_one_from_rtc_memory():
    with Folder() as folder:
        desk = SleepingDesk(folder, segment_b=128)
        for i in range(14):
            desk.outbox.add("t", "%02d" % i + "x" * 40, 2)
        first = desk.file_names()[0]
        left = read(folder + "/q/" + first)
        handed_over = int(desk.file_names()[1], 16)
        desk.hand_over(handed_over)
        assert first not in desk.file_names(), desk.file_names()
        write(folder + "/q/" + first, left)  # the reset came before the file was removed
        desk.client.disconnect()
        ended = len(desk.payloads())
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
        was = [(name, os.stat(folder + "/q/" + name)[6]) for name in desk.file_names()]
        desk.outbox.flush()
        equal([(name, os.stat(folder + "/q/" + name)[6]) for name in desk.file_names()], was)
        equal(desk.deliver(), ["0", "1", "2"])


def test_a_damaged_file_is_set_aside_though_rtc_memory_let_its_name_go_on():
    with Folder() as folder:
        desk = SleepingDesk(folder, segment_b=512)
        for i in range(12):
            desk.outbox.add("t", "%02d" % i, 2)
        name = folder + "/q/" + desk.file_names()[0]
        data = bytearray(read(name))
        data[12] ^= 1
        write(name, data)
        desk.start()
        desk.hand_over(3)
        assert desk.file_names() != [name.split("/")[-1]], desk.file_names()
        desk.outbox.drain(Disconnected())
        equal(len(desk.deliver()), 11)
        equal((desk.file_names(), read(folder + "/q/bad")), (["bad"], bytes(data)))


def test_what_was_staged_is_on_flash_after_a_flush():
    with Folder() as folder:
        desk = Desk(folder, stage=300)
        for i in range(5):
            desk.outbox.add("t", "%d" % i, 2)
        desk.outbox.flush()
        equal(len(desk.file_names()), 1)
        desk.start()
        equal((desk.outbox.waiting, desk.outbox.next), (5, 5))


def test_a_stage_takes_what_fits_to_the_byte_and_no_more_than_a_file():
    record_b = 7 + 16 + 1 + 10
    for more_b, files in ((0, 0), (-1, 1)):
        with Folder() as folder:
            desk = Desk(folder, stage=2 * record_b + more_b)
            for _ in range(2):
                desk.outbox.add("t", "x" * 10, 2)
            equal(len(desk.file_names()), files)
            equal(len(desk.deliver()), 2)
    with Folder() as folder:
        store = Store(FileJournal(folder + "/j"))
        Outbox(folder + "/q", store, stage=512, segment_b=512)
        raises(ValueError, Outbox, folder + "/q", store, stage=513, segment_b=512)
