"""A board with an outbox in a folder, and a broker that takes what it hands over."""

import os

from fakes.bench import World
from fakes.model import Model
from umqtt.outbox import Outbox
from umqtt.store import FileJournal, Store

YEAR_2026_S = 820000000  # where time begins in 2000


class Desk:
    """A board with an outbox in a temporary folder, and a broker. `now`: its clock, in seconds."""

    def __init__(self, folder, **named):
        self.folder = folder
        self.named = named
        self.now = YEAR_2026_S
        self.world = World(Model)
        self.start()

    def start(self):
        """As after a reset."""
        self.store = Store(FileJournal(self.folder + "/j"))
        self.outbox = Outbox(self.folder + "/q", self.store, clock=lambda: self.now, **self.named)
        self.client = self.world.client(store=self.store, inflight=3)
        self.outbox.client = self.client

    def deliver(self):
        if not self.client.isconnected():
            self.client.connect()
        for _ in range(500):
            self.outbox.drain(self.client)
            self.client.poll(0)
            self.world.clock.sleep_ms(1)
            if not self.outbox.waiting and not self.client.inflight:
                return self.payloads()
        raise AssertionError("still waiting: %d" % self.outbox.waiting)

    def payloads(self):
        return [payload.decode() for topic, payload, qos in self.world.broker.accepted]

    def file_names(self):
        return sorted(os.listdir(self.folder + "/q"))
