"""Readings that survive a reset, until the broker has them; and the cycle of a board that sleeps between them.
Imported only when `keep_in` asks for it.

keep_in "rtc": RTC memory, and flash when that is full: survives deep sleep, watchdog and reset; a power cut takes
what is in RTC memory. "flash": a reading is on flash before the next one is taken.
"""

from struct import pack, unpack
from time import ticks_diff, ticks_ms

import machine
from micropython import const
from umqtt.outbox import LATEST, MUST, Outbox
from umqtt.rtc import Region, RtcJournal
from umqtt.store import FileJournal, Store

import clock
import power
from app import Node
from health import Trouble, crashed

_STATE = ">IBBHH6s16s"  # what a Sleeper remembers, at the start of RTC memory
_STATE_B = const(38)  # 32, and 6 of the Region
_MOST_USES = const(50)  # so often an address is used again before DHCP is asked
_MOST_DOUBLINGS = const(6)
_CLOCK_MS = const(5000)  # what asking the time server may take


class DurableNode(Node):
    """A Node whose readings wait in umqtt.outbox, and what is in flight in umqtt.store."""

    def open(self, client_id, store=None, inflight=4):
        cfg = self.cfg
        journal = FileJournal("journal")
        stage = None
        if cfg["keep_in"] == "rtc":
            memory = machine.RTC().memory
            size_b, journal_b = 2048, 520  # ESP32: 4 readings in flight, 14 that wait, without a write to flash
            if hasattr(machine.RTC, "ALARM0"):
                size_b, journal_b, inflight = 492, 180, 1  # ESP8266: 1 in flight, 2 that wait
            journal = RtcJournal(Region(memory, _STATE_B, journal_b), journal)
            stage = Region(memory, _STATE_B + journal_b, size_b - _STATE_B - journal_b)
        store = Store(journal)
        self.outbox = Outbox("queue", store, stage, cfg["queue_kb"] * 1024, clock=clock.time)
        for report in (store.report, self.outbox.report):
            if report:
                print(report)
        self.storing = Trouble("storage")
        client = super().open(client_id, store, inflight)
        self.first = store.pid < 0  # nothing of an earlier life: else the ids go on where they were
        return client

    def waiting(self):
        return self.outbox.waiting

    def keep(self, source, i, value):
        if self.storing.attempt(self.put, source, i, value) is None:
            self.dropped += 1

    def put(self, source, i, value):
        cfg = self.cfg
        # the outbox numbers its messages across resets
        topic, payload = self.message(source, i, value, clock.uptime_s(), self.outbox.next + 1)
        self.outbox.add(topic, payload, cfg["qos"], False, LATEST if cfg["only_latest"] else MUST, cfg["expire_s"])
        self.storing.ended()

    def hand_over(self):
        self.published += self.outbox.drain(self.client)


class Sleeper(DurableNode):
    """One wake of a board: measure, connect if it is time to, send what waits, sleep; awake for awake_ms at most,
    but for name look-ups, which no port can cut short.

    What it remembers over a sleep: when the clock was set, failures in a row, wakes until it connects again, and the
    access point and address, which shorten joining. MicroPython's connect takes no channel: the radio finds that.
    """

    def __init__(self, cfg):
        super().__init__(cfg)
        self.region = Region(machine.RTC().memory, 0, _STATE_B)
        state = self.region.read() or bytes(_STATE_B - 6)
        synced, self.uses, self.fails, self.skip, self.wakes, self.bssid, self.address = unpack(_STATE, state)
        now = clock.unix_s(clock.uptime_s())
        if now and synced:
            self.synced_s = synced - now

    def run(self):
        """Never returns, unless the stop button is pressed: then the board stays awake, for whoever wants to talk to
        it."""
        if self.stopped():
            print("stop button: awake")
            return
        try:
            self.wake()
        except Exception as e:
            crashed(e)  # and sleep: awake it would only empty the battery
        synced = max(0, clock.unix_s(self.synced_s) or 0)
        self.region.write(pack(_STATE, synced, self.uses, self.fails, self.skip, self.wakes, self.bssid, self.address))
        awake_ms = ticks_diff(ticks_ms(), self.t_began)
        print("wake %d: awake %d ms, %d readings wait" % (self.wakes, awake_ms, self.waiting()))
        self.sum_up()
        power.deep_sleep(max(1, int(self.cfg["interval_s"] * 1000) - awake_ms))

    def wake(self):
        """Measure; connect and send when it is time to."""
        self.wakes = self.wakes + 1 & 0xFFFF
        if not self.skip and clock.unix_s(0) is None and self.joining.attempt(self.join):
            self.set_clock()  # else the first readings had no time
        self.measure()
        if self.skip:
            self.skip -= 1
            return
        # a night without the broker must not empty the battery: ever longer pauses between the attempts
        every = self.cfg["connect_every"]
        self.skip = min((every << min(self.fails, _MOST_DOUBLINGS)) - 1, 0xFFFF)
        self.fails = min(self.fails + 1, 255)
        if (self.wifi.isconnected() or self.joining.attempt(self.join)) and self.linking.attempt(self.connect):
            self.finish(self.left_ms(), "")
            if not self.waiting() and not self.client.inflight:
                self.fails = 0
                self.skip = every - 1
        self.wifi.off()

    def announce(self, prefix):
        # the broker keeps it: once after power-on or a reset is enough
        if power.cause() != power.WOKE:
            super().announce(prefix)

    def left_ms(self):
        """Milliseconds until it must sleep."""
        return self.cfg["awake_ms"] - ticks_diff(ticks_ms(), self.t_began)

    def join(self):
        wifi = self.wifi
        limit_ms = self.cfg["wifi_timeout_s"] * 1000
        if any(self.bssid):
            try:
                wifi.connect(min(limit_ms, self.left_ms() // 2), self.bssid, self.address)
                self.uses += 1
            except OSError:
                pass  # it may be another access point now: ask for any
        if not wifi.isconnected():
            wifi.connect(min(limit_ms, self.left_ms()))
            self.bssid, self.address = wifi.place()
            self.uses = 0
        elif self.uses >= _MOST_USES:
            self.bssid = bytes(6)

    def connect(self):
        if self.left_ms() > _CLOCK_MS:
            self.set_clock()
        # name look-up aside: TCP, CONNACK and the availability have one of these each, twice in the first life
        self.client.timeout_ms = min(self.client.timeout_ms, max(self.left_ms() // 4, 1))
        super().connect()
