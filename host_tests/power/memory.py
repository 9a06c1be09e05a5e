"""MemoryError at every allocation of the store and the outbox: what was taken arrives once and in order, what was
refused never does.

    micropython -X heapsize=1m memory.py [--every N] [SCENE ...]

The heap is filled but for a hole, which grows by a block from one run to the next, until the operation succeeds: so
each of its allocations fails once. Then the heap is given back, the program goes on in the same life, or starts anew,
and all is delivered. The last line: `N runs, N MemoryErrors, N faults`; exit status 1 when there is a fault.
"""

import gc
import sys

here = __file__.rsplit("/", 2)[0]
sys.path.insert(0, here)
sys.path.insert(0, here + "/../firmware/lib")

from fakes.bench import World  # noqa: E402
from fakes.folder import Folder  # noqa: E402
from fakes.model import Model  # noqa: E402
from power.flash import Power, Rtc  # noqa: E402
from umqtt import wanted  # noqa: E402, F401 - compiled before the heap is full
from umqtt.client import MQTTClient  # noqa: E402
from umqtt.journaling import KeptSession  # noqa: E402
from umqtt.outbox import LATEST, MUST, Outbox  # noqa: E402
from umqtt.rtc import Region, RtcJournal  # noqa: E402
from umqtt.store import FileJournal, Store  # noqa: E402

BLOCK_B = 16
FINE_B = 3000  # up to here the hole grows by a block, then by eight: nothing is given back while the heap is full
MOST_HOLE_B = 100000
SUCCESSES = 3  # in a row: then a larger hole changes nothing
ballast = None  # a chain of tuples


def starve(hole_b):
    """Fill the heap but for a hole."""
    global ballast
    gc.collect()
    gc.disable()
    hole = bytearray(hole_b) if hole_b else None
    size_b = 1 << 18
    while size_b >= BLOCK_B:
        try:
            ballast = ballast, bytearray(size_b)
        except MemoryError:
            size_b >>= 1
    gc.collect()  # what was raised
    try:
        while True:
            ballast = (ballast,)
    except MemoryError:
        pass
    del hole
    gc.collect()


def feed():
    global ballast
    ballast = None
    gc.enable()
    gc.collect()


class Scene:
    """A board that was prepared; `operate` is what is starved. `taken`: payloads that must arrive, in this order."""

    segment_b = 256
    limit_b = 4096

    def __init__(self, path):
        self.path = path
        self.world = World(Model)
        self.rtc = Rtc(Power())
        self.taken = []
        self.start()
        self.prepare()

    def start(self):
        store = Store(FileJournal(self.path + "/journal", reserve_b=0))
        outbox = Outbox(self.path + "/queue", store, None, self.limit_b, self.segment_b)
        client = MQTTClient("board", "broker.test", inflight=4, store=store)
        # all or none: an outbox of one store and a client of another would be two programs on one journal
        self.store, self.outbox, self.client = store, outbox, client

    def prepare(self):
        for n in range(3):
            self.add(b"before %d" % n)

    def add(self, payload, keep=MUST):
        self.outbox.add(b"t", payload, 2, keep=keep)
        self.taken.append(payload)

    def again(self):
        """After the starvation, in the same life."""
        self.add(b"after")

    def deliver(self):
        client = self.client
        client.connect()
        for _ in range(2000):
            self.outbox.drain(client)
            client.poll(0)
            self.world.clock.sleep_ms(1)
            if not self.outbox.waiting and not client.inflight:
                client.disconnect()
                return [payload for _, payload, _ in self.world.broker.accepted]
        raise AssertionError("still waiting: %d, in flight %d" % (self.outbox.waiting, client.inflight))

    def verdict(self):
        got = self.deliver()
        if got != self.taken:
            raise AssertionError("%r instead of %r" % (got, self.taken))
        for report in (self.store.report, self.outbox.report):
            if report:
                raise AssertionError(report)


class Add(Scene):
    payload = b"starved"

    def operate(self):
        self.add(self.payload)


class AddFirst(Add):
    """Into a folder that is empty."""

    def prepare(self):
        pass


class AddToFile(Add):
    """Behind the messages of a file."""

    def prepare(self):
        for n in range(12):
            self.add(b"before %d" % n + b" " * 50)


class AddStaged(Add):
    """In RTC memory, with the journal there, too."""

    def start(self):
        memory = self.rtc.memory
        journal = RtcJournal(Region(memory, 0, 200), FileJournal(self.path + "/journal", reserve_b=0))
        self.store = Store(journal)
        self.outbox = Outbox(self.path + "/queue", self.store, Region(memory, 200, 200), self.limit_b, self.segment_b)
        self.client = MQTTClient("board", "broker.test", inflight=4, store=self.store)


class AddOverflow(AddStaged):
    """The stage is full and goes to flash."""

    payload = b"starved" + b" " * 150


class AddLatest(Scene):
    """The outbox is full of what nobody wants, and is squeezed."""

    limit_b = 1024

    def prepare(self):
        self.outbox.add(b"t", b"must", 2)
        number = 0
        while len(self.outbox._files) < 4 or self.outbox._tail_b < 220:
            self.outbox.add(b"t", b"%d" % number, 2, keep=LATEST)
            number += 1
        self.taken = [b"must", b"%d" % (number - 1)]

    def operate(self):
        self.outbox.add(b"t", b"starved" + b" " * 30, 2, keep=LATEST)
        self.taken[-1] = b"starved" + b" " * 30

    def again(self):
        self.outbox.add(b"t", b"after", 2, keep=LATEST)
        self.taken[-1] = b"after"


class Put(Scene):
    """A message that is published without the outbox."""

    def prepare(self):
        self.publish(b"before")

    def publish(self, payload):
        if self.client.publish(b"t", payload, False, 2, False):
            self.taken.append(payload)

    def operate(self):
        self.publish(b"starved")

    def again(self):
        self.publish(b"after")


class Drain(Scene):
    """Messages are handed over; the link does nothing yet."""

    def operate(self):
        client = self.client
        client.isconnected = self.yes
        try:
            self.outbox.drain(client)
            self.store.sync()
        finally:
            del client.isconnected

    def yes(self):
        return True


class DrainLatest(Drain):
    def prepare(self):
        for n in range(20):
            self.outbox.add(b"t", b"%d" % n, 2, keep=LATEST)
        self.taken = [b"19"]

    def again(self):
        pass


class Notes(Scene):
    """Notes of every kind, and a snapshot."""

    def prepare(self):
        Put.prepare(self)
        st = self.store
        self.session = KeptSession(self.client, st)
        self.notes = (st.subscribed, b"\0\4in/#", 1), (st.seen, 0, b"state"), (st.acked, 6, 9)

    publish = Put.publish
    raised = False

    def verdict(self):
        if self.raised:
            raise AssertionError("a note raised MemoryError")
        Scene.verdict(self)

    def operate(self):
        st = self.store
        session = self.session
        for note, first, second in self.notes:
            try:
                note(first, second)
            except MemoryError:
                self.raised = True  # what is noted has happened: it must not be undone
        session._subscriptions()[b"\0\4in/#"] = 1
        session._hold(9)
        st.seen(9, b"state")
        st.rewrite()
        st.sync()
        st.seen(0, b"more")
        st.acked(6, 9)
        st.sync()


class Start(Scene):
    """Store, outbox and client are made."""

    def operate(self):
        self.start()


def run(kind, hole_b, new_life):
    """Whether the operation succeeded with a hole of hole_b bytes. Raises AssertionError."""
    with Folder() as path:
        scene = kind(path)
        done = False
        starve(hole_b)
        try:
            scene.operate()
            done = True
        except MemoryError:
            pass
        finally:
            feed()
        scene.again()
        if new_life:
            scene.client = scene.outbox = scene.store = None
            gc.collect()
            scene.start()
        scene.verdict()
    return done


def every_allocation(kind, step):
    """(runs, MemoryErrors, faults) of one scene."""
    runs = errors = faults = 0
    for new_life in (False, True):
        successes = hole_b = 0
        while successes < SUCCESSES and hole_b < MOST_HOLE_B:
            runs += 1
            try:
                if run(kind, hole_b, new_life):
                    successes += 1
                else:
                    successes = 0
                    errors += 1
            except Exception as error:
                faults += 1
                successes = 0
                if faults < 4:
                    print("  %s, a hole of %d B%s:" % (kind.__name__, hole_b, ", a new life" if new_life else ""))
                    sys.print_exception(error)
            hole_b += BLOCK_B * (step if hole_b < FINE_B else 8 * step)
    print("%-12s %4d runs %4d MemoryErrors %3d faults" % (kind.__name__, runs, errors, faults))
    return runs, errors, faults


ALL = (Add, AddFirst, AddToFile, AddStaged, AddOverflow, AddLatest, Put, Drain, DrainLatest, Notes, Start)


def main(args):
    step = 1
    if args[:1] == ["--every"]:
        step = int(args[1])
        args = args[2:]
    total = [0, 0, 0]
    for kind in ALL:
        if not args or kind.__name__ in args:
            got = every_allocation(kind, step)
            total = [total[i] + got[i] for i in range(3)]
    print("%d runs, %d MemoryErrors, %d faults" % tuple(total))
    return 1 if total[2] or not total[1] else 0


if __name__ == "__main__":
    # a board has it compiled; compiling it here would hide what it allocates when it runs
    from umqtt import recall

    recall.forget = lambda: None
    sys.exit(main(sys.argv[1:]))
