"""What durability costs: flash programmed and erased, years of life, heap, milliseconds awake. `micropython wear.py
[READINGS]`

Prints a Markdown table. The board is an ESP32 with 4 MiB of flash, 2 MiB of it the file system (512 blocks of 4096
bytes), one reading of 50 bytes a minute. Years: until the block that was erased most reaches 100,000 erases.
Milliseconds: of the virtual clock, with 0.8 ms for a program, 45 ms for an erase and 20 ms for a round trip to the
broker; WiFi and the processor's own time come on top.
"""

import gc
import sys

import vfs

here = __file__.rsplit("/", 2)[0]
sys.path.insert(0, here)
sys.path.insert(0, here + "/../firmware/lib")

from fakes.bench import World  # noqa: E402
from fakes.model import Model  # noqa: E402
from power.flash import BLOCK_B, Flash, Power, Rtc, formatted  # noqa: E402
from umqtt.client import MQTTClient  # noqa: E402
from umqtt.outbox import DROP, LATEST, MUST, Outbox  # noqa: E402
from umqtt.rtc import Region, RtcJournal  # noqa: E402
from umqtt.store import FileJournal, Store  # noqa: E402

ROOT = "/wear"
BLOCKS = 512
CYCLES = 100000
MINUTES_A_YEAR = 525600
PROGRAM_US = 800
ERASE_US = 45000
ROUND_TRIP_MS = 20
TOPIC = b"home/kitchen/node"
READING = b"r" * 50


class Worn(Flash):
    """Counts the erases of each block; time goes by."""

    def __init__(self, clock):
        Flash.__init__(self, Power(), bytearray(formatted(BLOCKS)))
        self.clock = clock
        self.block_erases = [0] * BLOCKS
        self.us = 0

    def writeblocks(self, block, buf, off=0):
        Flash.writeblocks(self, block, buf, off)
        self.pass_us(PROGRAM_US)

    def ioctl(self, op, arg):
        if op == 6:
            self.block_erases[arg] += 1
            self.pass_us(ERASE_US)
        return Flash.ioctl(self, op, arg)

    def pass_us(self, us):
        self.us += us
        self.clock.sleep_ms(self.us // 1000)
        self.us %= 1000


class Board:
    """One way to run a node. `every`: wakes to one connection. rtc: journal and stage in RTC memory. awake: it never
    sleeps."""

    def __init__(self, qos=2, every=1, keep=MUST, rtc=False, awake=False, stage=None, online=True):
        self.qos = qos
        self.every = every
        self.keep = keep
        self.use_rtc = rtc
        self.awake = awake
        self.stage = stage
        self.online = online
        self.world = World(Model)
        self.world.net.plan.latency_ms = ROUND_TRIP_MS // 2
        self.flash = Worn(self.world.clock)
        self.rtc = Rtc(Power())
        self.refused = 0
        self.client = None

    def boot(self):
        vfs.mount(vfs.VfsLfs2(self.flash), ROOT)
        journal = FileJournal(ROOT + "/journal")
        stage = self.stage
        if self.use_rtc:
            journal = RtcJournal(Region(self.rtc.memory, 64, 384), journal)
            stage = Region(self.rtc.memory, 448, 1600)
        self.store = Store(journal)
        self.outbox = Outbox(ROOT + "/queue", self.store, stage)
        self.client = None

    def connect(self):
        self.client = MQTTClient("node", "broker.test", store=self.store)
        self.outbox.client = self.client
        self.client.connect()

    def drain(self):
        c = self.client
        while self.outbox.waiting or c.inflight:
            self.outbox.drain(c)
            c.poll(1000)

    def reading(self, n):
        """One minute's work. Returns the milliseconds it took."""
        start = self.world.clock.now
        if not self.awake or n == 0:
            self.boot()
        if self.online and (n + 1) % self.every == 0 and not (self.awake and self.client):
            self.connect()
        try:
            self.outbox.add(TOPIC, READING, self.qos, keep=self.keep)
        except OSError:
            self.refused += 1
        if self.client:
            self.drain()
        took = self.world.clock.now - start
        if not self.awake:
            if self.client:
                self.client.disconnect()
            self.store.close()
            took = self.world.clock.now - start
            vfs.umount(ROOT)
        del self.world.broker.accepted[:]
        return took

    def run(self, readings):
        most_ms = total_ms = 0
        for n in range(readings):
            ms = self.reading(n)
            most_ms = max(most_ms, ms)
            total_ms += ms
        if self.awake:
            self.store.close()
            vfs.umount(ROOT)
        f = self.flash
        worst = max(f.block_erases)
        years = CYCLES * readings / worst / MINUTES_A_YEAR if worst else None
        return f.programmed_b / readings, f.erases / readings, years, total_ms / readings, most_ms


WAYS = (
    ("awake, each reading sent, QoS 1", {"qos": 1, "awake": True}),
    ("awake, each reading sent, QoS 2", {"awake": True}),
    ("awake, policy DROP, QoS 1", {"qos": 1, "awake": True, "keep": DROP}),
    ("deep sleep, connect each minute, QoS 2", {}),
    ("deep sleep, connect every 10 minutes, QoS 1", {"qos": 1, "every": 10}),
    ("deep sleep, connect every 10 minutes, QoS 2", {"every": 10}),
    ("the same, policy LATEST", {"every": 10, "keep": LATEST}),
    ("the same, MUST, in RTC memory", {"every": 10, "rtc": True}),
    ("no broker for the whole time, MUST (64 KiB, then refused)", {"online": False}),
    ("no broker for the whole time, LATEST", {"online": False, "keep": LATEST}),
    ("no broker for the whole time, LATEST, in RTC memory", {"online": False, "keep": LATEST, "rtc": True}),
)


def heap():
    """Bytes of heap that store, outbox and RTC parts take when they are made, and with four readings in flight."""
    b = Board()
    gc.collect()
    before = gc.mem_alloc()
    b.boot()
    gc.collect()
    made = gc.mem_alloc() - before
    b.store.close()
    vfs.umount(ROOT)
    return made


def main(readings):
    print("| way | bytes programmed per reading | blocks erased per reading | years to wear out | ms awake per wake, mean (most) |")
    print("|---|--:|--:|--:|--:|")
    for words, named in WAYS:
        gc.collect()
        b = Board(**named)
        programmed_b, erases, years, mean_ms, most_ms = b.run(readings)
        life = "no wear" if years is None else "> 1000" if years > 1000 else "%d" % years
        print("| %s | %.0f | %.3f | %s | %.0f (%d) |" % (words, programmed_b, erases, life, mean_ms, most_ms))
    print()
    print("%d readings each. Heap of a Store and an Outbox on flash, the open journal included: %d B." % (readings, heap()))


main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000)
