"""Cut the power at every flash operation of every scene.

    micropython powercut.py [--every N] [--histories N] [--sabotage NAME] [--first] [SCENE ...]

Each cut is run whole (the operation is done, then it is dark) and torn (it is done by half), and again with a second
cut in the life after. LinkOut and LinkIn are run with the link cut at each byte as well, Mixed in random histories of
many cuts. --first: a scene ends with the first history that goes wrong. The last line: `N cut points, N lost, N
repeated, N out of order, N other faults`. Exit status 1 when one of them is not 0.
"""

import gc
import sys

here = __file__.rsplit("/", 2)[0]
sys.path.insert(0, here)
sys.path.insert(0, here + "/../firmware/lib")
sys.path += [here + "/../firmware", here + "/fakes/board"]

import config_file  # noqa: E402
import update  # noqa: E402
from power.config_scenes import CONFIGS  # noqa: E402
from power.scenes import PRODUCT, RANDOM, SCENES  # noqa: E402
from power.update_scenes import UPDATES  # noqa: E402
from umqtt.outbox import Outbox  # noqa: E402
from umqtt.store import Store  # noqa: E402

SHOWN = 8


def lazy_pubrec():
    # the note that the broker has a message is not on flash when PUBREL leaves
    acked = Store.acked

    def f(self, event, pid):
        must = self.must
        acked(self, event, pid)
        self.must = must

    Store.acked = f


def late_put():
    # a message leaves before it is on flash
    put = Store.put

    def f(self, slot, later=False):
        put(self, slot, True)
        self.must = False

    Store.put = f


def no_place():
    # what the outbox handed over is not noted in the record that makes it the client's
    put = Store.put

    def f(self, slot, later=False):
        place, self.next_place = self.next_place, self.place
        put(self, slot, True)
        self.next_place = place
        if self.cork:
            self.place = place

    Store.put = f


def lazy_seen():
    # an incoming message is acknowledged before the note that it was taken is on flash
    seen = Store.seen

    def f(self, pid, state=None):
        seen(self, pid, state)
        self.must = False

    Store.seen = f


def early_tidy():
    # the outbox removes a file before flash knows that its messages are the client's
    tidy = Outbox._tidy

    def f(self):
        sync = self.store.sync
        self.store.sync = lambda: None
        tidy(self)
        self.store.sync = sync

    Outbox._tidy = f


def early_switch():
    # an update is tried before its last file is there
    next_file = update.Update.next_file

    def f(self):
        next_file(self)
        if self.number == 3:
            self.whole()

    update.Update.next_file = f


def careless_config():
    # config.json is written over
    def write(path, pieces):
        with open(path, "wb") as file:
            for piece in pieces:
                file.write(piece)

    config_file.probation.write = write


SCENES.update(UPDATES)
SCENES.update(CONFIGS)
CARELESS = (lazy_pubrec, late_put, no_place, lazy_seen, early_tidy, early_switch, careless_config)
SABOTAGE = {f.__name__: f for f in CARELESS}


def run(scene, cuts):
    """One history: a life for each (operation, torn) until one reaches its end, else one without a cut. Returns the
    number of lives that were cut."""
    for i in range(len(cuts)):
        if scene.life(*cuts[i])[1]:
            return i
    if not scene.life()[1]:
        raise AssertionError("the last life did not end")
    return len(cuts)


class FirstWrong(Exception):
    """A history went wrong, and with --first nothing more is asked for."""


class Count:
    """The sums of one scene, and the first histories that went wrong."""

    stops_at_first = False

    def __init__(self):
        self.sums = [0, 0, 0, 0, 0]  # cut points, lost, repeated, out of order, other faults
        self.bad = []
        self.twice = 0

    def add(self, scene, cuts, words, points=0):
        """`points`: cuts that this history has besides those of the power."""
        gc.collect()
        try:
            points += run(scene, cuts)
            lost, repeated, order, faults = scene.verdict()
        except Exception as error:
            lost = repeated = order = 0
            faults = [repr(error)]
            if not self.bad:
                sys.print_exception(error)
        self.twice += getattr(scene, "twice", 0)
        got = (points, lost, repeated, order, len(faults))
        for i in range(5):
            self.sums[i] += got[i]
        if got[1:] != (0, 0, 0, 0):
            self.bad.append("  %s: %d lost, %d repeated, %d out of order %s" % (words, lost, repeated, order, faults))
            if self.stops_at_first:
                raise FirstWrong(self)

    def show(self, name, words):
        line = "%-9s %-16s %5d cut points %3d lost %3d repeated %3d out of order %3d other faults"
        twice = "  (%d came twice, as QoS 1 may)" % self.twice if self.twice else ""
        print(line % ((name, words) + tuple(self.sums)) + twice)
        for bad in self.bad[:SHOWN]:
            print(bad)


def every_operation(kind, step):
    """Power fails at each operation, whole and torn, and at another one in the life after."""
    count = Count()
    ops = kind().life()[0]
    count.add(kind(), [], "no cut")
    for k in range(1, ops + 1, step):
        second = k * 7 % ops + 1
        for cuts in ([(k, False)], [(k, True)], [(k, True), (second, True)], [(k, False), (second, False)]):
            count.add(kind(), cuts, "power cut at %s" % cuts)
    count.show(kind.__name__, "%d operations" % ops)
    return count.sums


def every_byte(kind, step):
    """The link is cut at each byte in each direction, and power fails at each operation of that history."""
    count = Count()
    scene = kind()
    scene.life()
    link = scene.world.net.links[0]
    plans = [{"cut_out": at} for at in range(1, link.out_b + 1, step)]
    plans += [{"cut_in": at} for at in range(1, link.in_b + 1, step)]
    for plan in plans:
        scene = kind()
        scene.cut_link(**plan)
        ops = scene.life()[0]
        for k in range(0, ops + 1, step):
            for torn in (False, True) if k else (False,):
                scene = kind()
                scene.cut_link(**plan)
                count.add(scene, [(k, torn)] if k else [], "link %s, power cut at %d" % (plan, k), 0 if k else 1)
    count.show(kind.__name__, "%d + %d bytes" % (link.out_b, link.in_b))
    return count.sums


def at_random(kind, histories):
    """Histories that only their number decides: up to ten lives are cut somewhere."""
    count = Count()
    for seed in range(histories):
        scene = kind()
        scene.seed = seed * 7919 + 1
        cuts = [(1 + scene.any(70), scene.any(2) == 1) for _ in range(scene.any(10) + 1)]
        count.add(scene, cuts, "history %d, power cut at %s" % (seed, cuts))
    count.show(kind.__name__, "%d histories" % histories)
    return count.sums


def main(args):
    step = 1
    histories = 400
    names = []
    while args:
        argument = args.pop(0)
        if argument == "--every":
            step = int(args.pop(0))
        elif argument == "--histories":
            histories = int(args.pop(0))
        elif argument == "--first":
            Count.stops_at_first = True
        elif argument == "--sabotage":
            SABOTAGE[args.pop(0)]()
        else:
            names.append(argument)
    total = [0, 0, 0, 0, 0]
    for name in names or sorted(SCENES) + sorted(PRODUCT) + sorted(RANDOM):
        try:
            if name in RANDOM:
                sums = at_random(RANDOM[name], histories)
            else:
                sums = every_byte(PRODUCT[name], step) if name in PRODUCT else every_operation(SCENES[name], step)
        except FirstWrong as error:
            count = error.args[0]
            count.show(name, "until the first")
            sums = count.sums
        for i in range(5):
            total[i] += sums[i]
    print("%d cut points, %d lost, %d repeated, %d out of order, %d other faults" % tuple(total))
    return 1 if sum(total[1:]) or not total[0] else 0


sys.exit(main(sys.argv[1:]))
