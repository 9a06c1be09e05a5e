"""What durability costs: flash programmed and erased, years of life, heap, milliseconds awake.

    micropython wear.py [READINGS]

Prints a Markdown table. The board is an ESP32 with 4 MiB of flash, 2 MiB of it the file system (512 blocks of 4096
bytes); one reading of 50 bytes a minute, under a topic of 17. Years: until 512 blocks of 100,000 erases each are used
up, the wear spread evenly. Milliseconds: of the virtual clock, with 0.8 ms for a program, 45 ms for an erase and 20
ms for a round trip to the broker; joining WiFi and the processor's own time come on top.
"""

import gc
import sys

import vfs

here = __file__.rsplit("/", 2)[0]
sys.path.insert(0, here)
sys.path.insert(0, here + "/../firmware/lib")

from fakes.bench import World  # noqa: E402
from fakes.model import Model  # noqa: E402
from power.flash import Flash, Power, Rtc, formatted  # noqa: E402
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
FORMATTED = formatted(BLOCKS)
CELLS = bytearray(FORMATTED)  # one for all: 2 MiB are not found again in a heap that was used


class Worn(Flash):
    """Counts the erases of each block; time goes by."""

    def __init__(self, clock):
        CELLS[:] = FORMATTED
        Flash.__init__(self, Power(), CELLS)
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
        self.refused = self.tidied = 0
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
        client = self.client
        while self.outbox.waiting or client.inflight:
            self.outbox.drain(client)
            client.poll(1000)

    def reading(self, number):
        """One minute's work. Returns the milliseconds it took."""
        start = self.world.clock.now
        if not self.awake or number == 0:
            self.boot()
        if self.online and (number + 1) % self.every == 0 and not (self.awake and self.client):
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
        self.forget()
        return took

    def forget(self):
        # the fakes keep book of every connection; a year of them is too much
        broker = self.world.broker
        net = self.world.net
        last = len(net.links) - 1
        for i in range(self.tidied, last):
            net.links[i] = None
            broker.readers.pop(i, None)
            broker.owner.pop(i, None)
        self.tidied = max(self.tidied, last)
        if broker.left and broker.left[0] < last:
            broker.left = [number for number in broker.left if number >= last]
        del broker.accepted[:]
        del broker.connects[:]
        del net.looked_up[:]
        del net.dialled[:]
        net.sockets = [sock for sock in net.sockets if not sock.closed]

    def run(self, readings):
        most_ms = total_ms = 0
        for n in range(readings):
            ms = self.reading(n)
            most_ms = max(most_ms, ms)
            total_ms += ms
        if self.awake:
            self.store.close()
            vfs.umount(ROOT)
        flash = self.flash
        return (
            flash.programmed_b / readings,
            flash.erases / readings,
            max(flash.block_erases),
            total_ms / readings,
            most_ms,
        )


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
    board = Board()
    gc.collect()
    before = gc.mem_alloc()
    board.boot()
    gc.collect()
    made = gc.mem_alloc() - before
    board.store.close()
    vfs.umount(ROOT)
    return made


def main(readings):
    head = "way | B programmed per reading | blocks erased | years | most erased block | ms awake, mean (most)"
    print("| %s |" % head)
    print("|---|--:|--:|--:|--:|--:|")
    for words, named in WAYS:
        gc.collect()
        programmed_b, erases, worst, mean_ms, most_ms = Board(**named).run(readings)
        years = CYCLES * BLOCKS / erases / MINUTES_A_YEAR if erases else 1e9
        life = "> 1000" if years > 1000 else "%d" % years
        row = (words, programmed_b, erases, life, worst, mean_ms, most_ms)
        print("| %s | %.0f | %.3f | %s | %d | %.0f (%d) |" % row)
    print()
    print("Over %d readings each. Heap of a Store and an Outbox with their buffers: %d B." % (readings, heap()))


main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000)
