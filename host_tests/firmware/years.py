"""The whole firmware for weeks of virtual time, with everything around it failing at random: what `make years` runs.

life = Life("flash", seed=7); life.live(days=45); life.verdict()    # {"taken": ..., "lost": 0, "repeated": 0, ...}

A life is a way to run the node: ram, rtc, flash (awake), rtc-sleep, flash-sleep. WiFi, the name server, the time
server, the broker, the link, the sensor and the power fail, each for seconds to days; once WiFi is away for eight days,
which is longer than half a round of the tick counter. The broker keeps its sessions, as one with persistence does.
"""

import random

from fakes.clock import ticks_add, ticks_diff
from fakes.folder import Folder
from fakes.model import Model
from fakes.model5 import Model5
from fakes.net import Plan
from on_board import HOST, World, conf, radio, said, started

import durable
import fake_board
import machine_wdt
import network
import node
import ram
import remembered
import sleeper

ROOM = {"type": "dht22", "name": "room", "pin": 4}
VALUES = {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}
DAY_MS = 86400000
MINUTE_MS = 60000
AWAY_MS = 8 * DAY_MS
SETTLE_MS = 4 * 3600000  # after the last outage: everything must be there by then
BACK_MS = 15 * MINUTE_MS  # after the end of an outage: the broker must be reached by then
KINDS = ("wifi", "radio", "dns", "ntp", "refused", "hung", "restart", "cut", "sensor", "power", "reset-only")

PLAIN_WDT = machine_wdt.WDT


class Bitten(Exception):
    """The watchdog has reset the board."""


class Life(World):
    """One board, one broker, one way to run. keys: of the configuration. outages: those that there are."""

    def __init__(self, kind, seed=1, outages=KINDS, **keys):
        import os

        self.kind = kind
        self.rnd = random.Random(seed) if hasattr(random, "Random") else random
        if self.rnd is random:
            random.seed(seed)
        self.outages = [outage for outage in outages if outage != "power" or kind != "rtc" and kind != "rtc-sleep"]
        self.home = os.getcwd()
        self.folder = Folder()
        os.chdir(self.folder.__enter__())
        self.keys = {"sensors": [ROOM], "interval_s": 60, "keep_in": kind.split("-")[0], "queue_kb": 1024}
        if kind.endswith("sleep"):
            self.keys["deep_sleep"] = True
        self.keys.update(keys)
        if keys.get("protocol") == 5 and self.Broker is Model:
            self.Broker = lambda clock: Model5(clock, takes=20)
        World.__init__(self, {"wifi": {"lab": "12345678"}, "values": dict(VALUES)})
        self.life = 0
        self.lives = {}  # number of the life: (taken, dropped, waiting and in flight when it ended)
        self.counted = 0  # accepted messages that were looked at
        self.seen = []  # (life, seq), as the broker took them
        self.back_ms = 0  # the longest time from the end of an outage to the broker
        self.bites = 0
        self.only_reset = False
        self.under_way = []
        self.boot()

    def close(self):
        import os

        machine_wdt.WDT = PLAIN_WDT  # what comes behind in this process looks at that
        os.chdir(self.home)
        self.folder.__exit__()

    # the board

    def boot(self):
        """Everything in RAM is gone, and the links with it."""
        self.account()
        for link in self.net.links:
            if not link.dead:
                link.end("silence")
        if self.only_reset:
            self.only_reset = False
            self.net.plan = Plan()
        network.WLAN._the.clear()
        started(self.clock)
        self.life += 1
        self.since = self.clock.now
        self.said = said()
        durable.print = sleeper.print = node.print
        sleeper.ticks_ms, sleeper.ticks_diff, sleeper.ticks_add = self.clock.ticks_ms, ticks_diff, ticks_add
        sleeper.sleep_ms = self.clock.sleep_ms
        machine_wdt.WDT = self.watchdog()
        cfg = conf(**self.keys)
        if "deep_sleep" in self.keys:
            known = remembered.Remembered()
            if not known.skip:
                known.join(radio_of(self), cfg)
            self.node = sleeper.Sleeper(cfg, radio_of(self), known, self.clock.ticks_ms())
        else:
            kind = ram.RamNode if self.kind == "ram" else durable.DurableNode
            self.node = kind(cfg, radio_of(self))

    def watchdog(self):
        life = self

        class WDT:
            def __init__(self, id=0, timeout=5000):
                self.timeout = timeout
                life.fed = life.clock.now

            def feed(self):
                if life.clock.now - life.fed > self.timeout:
                    life.bites += 1
                life.fed = life.clock.now

        return WDT

    def account(self):
        """Look at what the broker has taken since, and at the life that ends."""
        took = self.broker.accepted
        for i in range(self.counted, len(took)):
            topic = took[i][0]
            if topic.count("/") == 3:
                text = bytes(took[i][1])
                self.seen.append((self.life if self.kind == "ram" else 0, int(text[text.rfind(b":") + 1 : -1])))
        self.counted = len(took)
        if self.life:
            node = self.node
            left = node.waiting() + (node.client.inflight if node.client else 0)
            self.lives[self.life] = node.taken, node.dropped + node.refused, left

    def step(self):
        """A turn, or a wake with the sleep after it."""
        try:
            if "deep_sleep" in self.keys:
                self.node.run()
            else:
                self.node.turn()
                self.node.feed()
        except fake_board.Reset as error:
            slept_ms = error.args[1]
            self.clock.sleep_ms(max(slept_ms, 300))
            self.boot()

    # what fails

    def fail(self):
        """The next outage begins, and its end is set."""
        kind = self.rnd.choice(self.outages)
        ms = int(MINUTE_MS * 2 ** (self.rnd.random() * 11 - 3))  # 8 s to 4 h
        self.begin(kind, ms)
        self.clock.at(ms + int(self.rnd.random() * 6 * 3600000), self.fail)

    def begin(self, kind, ms):
        if self.under_way:
            return None
        net = self.net
        if kind == "power":
            self.under_way.append("power")
            return None
        if kind == "cut":
            how = self.rnd.choice(("fin", "rst", "silence"))
            net.plans = [Plan(cut_out=self.rnd.randint(20, 900), how=how) for _ in range(3)]
        if kind == "restart":
            return self.broker.stop(self.rnd.choice(("fin", "rst", "silence")))
        if kind == "wifi":
            fake_board.script["wifi"] = {}
            network.WLAN(network.STA_IF).lose()
            self.silence()
        elif kind == "radio" or kind == "hung" or kind == "reset-only":
            net.plan = Plan(connect_ms=None)
            self.only_reset = kind == "reset-only"
            self.silence()
            if self.only_reset:
                return None
        elif kind == "refused":
            net.plan = Plan(refuse=True)
            self.broker.stop("rst")
        elif kind == "dns":
            net.names[HOST] = OSError(-2)
            self.broker.stop("fin")
        elif kind == "ntp":
            fake_board.script["clock"] = False
        elif kind == "sensor":
            fake_board.script["values"]["dht22 4"] = [None]
        self.under_way.append(kind)
        self.clock.at(ms, self.end, kind)

    def silence(self):
        for link in self.net.links:
            if not link.dead:
                link.end("silence")

    def end(self, kind):
        self.under_way.remove(kind)
        fake_board.script["wifi"] = {"lab": "12345678"}
        fake_board.script["clock"] = True
        fake_board.script["values"] = dict(VALUES)
        self.net.names.pop(HOST, None)
        self.net.plans = []
        if not self.only_reset:
            self.net.plan = Plan()
        self.since = self.clock.now

    # the weeks

    def live(self, days):
        """So many days, a long one without WiFi among them, and a calm end."""
        end = self.clock.now + int(days * DAY_MS)
        self.since = self.clock.now
        self.clock.at(3600000, self.fail)
        if days > 10:
            self.clock.at(int(self.rnd.random() * (days - 9) * DAY_MS), self.begin_week)
        while self.clock.now < end:
            self.step()
            if "power" in self.under_way:
                self.under_way.remove("power")
                self.boot()
            self.look()
        self.outages = ["restart"]
        self.clock._due = [event for event in self.clock._due if event[1] != self.fail]
        while self.under_way or self.only_reset:
            self.step()
        end = self.clock.now + SETTLE_MS
        while self.clock.now < end:
            self.step()
            self.look()
        return self

    def begin_week(self):
        if self.under_way:
            self.clock.at(600000, self.begin_week)
        else:
            self.begin("wifi", AWAY_MS)

    def look(self):
        """How long has it been well around the board without the broker being reached?"""
        if self.kind.endswith("sleep") or self.under_way or self.only_reset:
            return
        if self.node.client and self.node.client.isconnected():
            self.since = self.clock.now
        else:
            self.back_ms = max(self.back_ms, self.clock.now - self.since)

    def verdict(self):
        """What became of every reading."""
        self.account()
        # what may still wait: the readings of the last wakes or seconds
        repeated = len(self.seen) - len(set(self.seen))
        disorder = sum([earlier > later for earlier, later in zip(self.seen, self.seen[1:])])
        seen = set(self.seen)
        taken = dropped = lost = 0
        if self.kind == "ram":
            for life in self.lives:
                life_taken, life_dropped, left = self.lives[life]
                got = len([1 for number, _ in seen if number == life])
                taken += life_taken
                dropped += life_dropped
                lost += max(
                    0, life_taken - life_dropped - got - left
                )  # what waits when the power goes is lost with it, and docs say so
        else:
            taken = self.node.outbox.next
            dropped = sum([life_dropped for _, life_dropped, _ in self.lives.values()])
            numbers = {number for _, number in seen}
            lost = len([number for number in range(1, taken + 1) if number not in numbers]) - self.lives[self.life][2]
            lost = max(0, lost)
        return {
            "lives": self.life, "taken": taken, "received": len(seen), "dropped": dropped, "lost": lost,
            "repeated": repeated, "out of order": disorder,
            "stuck": int(self.back_ms > BACK_MS) + int(self.lives[self.life][2] > 8) + self.bites,
            "longest way back s": self.back_ms // 1000, "violations": len(self.broker.violations),
        }  # fmt: skip


def radio_of(life):
    """The board's one Wifi: made anew at each start."""
    if getattr(life, "radio_life", 0) != life.life:
        life.radio_life = life.life
        life.radio = radio()
    return life.radio
