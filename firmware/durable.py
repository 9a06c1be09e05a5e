"""The cycle with readings that survive a reset, until the broker has them. Imported only when `keep_in` asks for it.

keep_in "rtc": RTC memory, and flash when that is full: survives deep sleep, watchdog and reset; a power cut takes
what is in RTC memory. "flash": a reading is on flash before the next one is taken.
"""

import os

import machine
from micropython import const
from umqtt.outbox import LATEST, MUST, Outbox
from umqtt.rtc import Region, RtcJournal
from umqtt.store import FileJournal, Store

import clock
from node import Node
from retry import Trouble

_SEGMENT_B = const(2048)  # of the outbox
_RESERVE_B = const(24576)  # flash that stays free: the journal, its copy, the crash log, and what littlefs2 moves
_FULL = const(28)  # ENOSPC
_REMEMBERED_B = const(56)  # remembered.SIZE_B: a board that never sleeps does not load that


class DurableNode(Node):
    """A Node whose readings wait in umqtt.outbox, and what is in flight in umqtt.store."""

    def make_queue(self) -> None:
        cfg = self.cfg
        self.storing = Trouble("storage")
        journal = FileJournal("journal")
        stage = None
        self.slots = 4
        if cfg["keep_in"] == "rtc":
            memory = machine.RTC().memory
            size_b, journal_b = 2048, 520  # ESP32: 4 readings in flight, 14 that wait, without a write to flash
            if hasattr(machine.RTC, "ALARM0"):
                size_b, journal_b, self.slots = 492, 180, 1  # ESP8266: 1 in flight, 2 that wait
            journal = RtcJournal(Region(memory, _REMEMBERED_B, journal_b), journal)
            if cfg.get("kept"):
                from kept import room_b

                size_b -= room_b()
            stage = Region(memory, _REMEMBERED_B + journal_b, size_b - _REMEMBERED_B - journal_b)
        self.journal = Store(journal)
        self.outbox = Outbox("queue", self.journal, stage, self.room_b(cfg["queue_kb"] * 1024), clock=clock.stamp)
        for report in (self.journal.report, self.outbox.report):
            if report:
                print("storage:", report)

    def room_b(self, wanted_b: int) -> int:
        """How much of the flash the queue may take: the reserve stays free, and as much again as the queue, for room
        is made by writing what is still wanted into new files."""
        got = os.statvfs("/")
        free_b = got[0] * got[3]
        used_b = 0
        try:
            for name in os.listdir("queue"):
                used_b += os.stat("queue/" + name)[6]
        except OSError:
            pass  # there is no queue yet
        most_b = max(2 * _SEGMENT_B, (free_b + used_b - _RESERVE_B) // 2)
        if wanted_b > most_b:
            print("storage: %d KiB of flash are free: %d KiB of the %d of queue_kb are used" % (
                free_b // 1024, most_b // 1024, wanted_b // 1024))  # fmt: skip
        return min(wanted_b, most_b)

    def opened(self) -> None:
        c = self.client
        if c.inflight:
            from earlier import count

            count(self)
        if self.qos < 2:
            self.lower(self.qos)  # flash may hold what was taken with another qos in config.json

    def waiting(self) -> int:
        return self.outbox.waiting + len(self.aside)

    def keep(self, number: int, field: int, value) -> None:
        if self.json_messages:
            self.json_messages.add(number, field, value)
        else:
            # each is tried: room may have been made since the last one
            try:
                self.put(number, field, value)
            except Exception as e:  # of the ports each raises its own
                self.storing.failed(e)
                self.lost("%s; the newest reading is refused" % self.storing.words)

    def put(self, number: int, field: int, value) -> None:
        """A reading into the outbox. Raises what that does."""
        # the outbox numbers its messages across resets
        self.store(*self.message(number, field, value, clock.uptime_s(), self.outbox.next + 1))

    def store(self, topic: str, payload: str) -> None:
        """A message into the outbox. Raises what that does."""
        cfg = self.cfg
        self.outbox.add(topic, payload, cfg["qos"], False, LATEST if cfg["only_latest"] else MUST, cfg["expire_s"])
        self.storing.ended()

    def hand_over(self, most: int) -> None:
        self.published += self.outbox.drain(self.client, most)  # pyright: ignore[reportArgumentType] - it is there now

    def lower(self, qos: int) -> None:
        super().lower(qos)
        self.outbox.most_qos = self.qos

    def serve(self, ms: int) -> None:
        try:
            super().serve(ms)
        except OSError as e:
            if e.args and e.args[0] == _FULL:
                self.storing.failed(e)
            raise
