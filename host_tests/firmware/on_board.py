"""The firmware on a fake board, a fake network with a model broker, and one virtual clock: what these tests need.

w = World({"values": {"dht22 4": [[21.5, 40]]}}, sensors=[{"type": "dht22", "name": "room", "pin": 4}])
w.run(5000)                       # node.turn() for 5 s of the virtual time
w.readings("room/temperature")    # what the broker took
"""

import gc
import json
import random
import sys

HOST_TESTS = __file__.replace("\\", "/").rsplit("/", 2)[0]
ROOT = HOST_TESTS.rsplit("/", 1)[0] if "/" in HOST_TESTS else "."
for folder in (HOST_TESTS + "/fakes/board", ROOT + "/firmware", ROOT + "/firmware/lib"):
    # first: host_tests has folders with the names of modules, which MicroPython would take for them
    if folder not in sys.path[:3]:
        sys.path.insert(0, folder)

import fakes.shim  # noqa: F401
from fakes.bench import wire_up
from fakes.bench5 import load5
from fakes.clock import Clock, ticks_add, ticks_diff
from fakes.model import Model
from fakes.net import Net

if sys.implementation.name != "micropython":
    gc.mem_free = lambda: 1 << 20

import fake_board
import network
import ntptime


class _Gc:
    """A real collection takes 50 ms in a process as large as pytest's, and on MicroPython, which goes through the
    tests' fakes and all that they have noted, longer than the turn that asks for it."""

    collect = staticmethod(int)
    mem_free = staticmethod(lambda: 1 << 20)


HOST = "broker.test"
NOW_S = 1795466220


def conf(**keys):
    """A configuration that check() takes, with `keys` in it."""
    import config_check

    given = {"wifi_ssid": "lab", "wifi_password": "12345678", "broker": HOST, "client_id": "n1", "interval_s": 10}
    given.update(keys)
    return config_check.check(given)


def said():
    """Printed lines from now on, in a list. The firmware's modules print into it until the next call."""
    import app
    import discovery
    import ending
    import ha_device
    import health
    import listening
    import low_battery
    import mqtt5
    import node
    import ram
    import retry
    import trial
    import untaken

    lines = []

    def record(*what):
        lines.append(" ".join(str(part) for part in what))

    for module in (
        app, node, ram, untaken, ending, discovery, ha_device, retry, health, listening, trial, low_battery, mqtt5,
    ):  # fmt: skip
        module.print = record
    return lines


def radio():
    """The Wifi of conf(), as app makes it."""
    from wifi import Wifi

    return Wifi("lab", "12345678")


def started(virtual):
    """A new life's uptime begins at 0."""
    import clock

    clock._t = virtual.ticks_ms()
    clock._up_s = clock._rest_ms = 0


class Gc:
    """In place of gc: with a collection 2000 B are free, without one 1000."""

    free_b = 1000

    def collect(self):
        self.free_b = 2000

    def mem_free(self):
        return self.free_b


class World:
    """script: what the board is like (fake_board). keys: of the configuration. Broker: a class of models."""

    Broker = Model

    def __init__(self, script=None, **keys):
        random.seed(1)  # the pauses of a story fall the same each time
        self.clock = Clock()
        self.net = Net(self.clock)
        self.broker = self.Broker(self.clock)
        load5()
        self.net.serve(HOST, 1883, self.broker)
        wire_up(self.net, self.clock)
        self.set_up_board({"wifi": {"lab": "12345678"}} if script is None else script)
        import ending
        import listening
        import node
        import ram

        node.gc = ram.gc = ending.gc = listening.gc = _Gc
        self.said = said()
        self.node = ram.RamNode(conf(**keys), radio())

    def set_up_board(self, script):
        """The board's modules and the firmware's live by this clock; the board is just switched on."""
        import clock
        import discovery
        import ending
        import ha_device
        import i2c
        import led
        import listening
        import node
        import ram
        import retry
        import sensors.dht22
        import sensors.ds18b20
        import sensors.binary
        import sensors.pulse
        import sensors.scd4x
        import board_facts
        import low_battery
        import treatment
        import sensors.internal
        import untaken
        import wifi

        node.crashed = lambda error: None  # test_health has it; here it would write crash.log beside the tests
        fake_board.use(script)
        fake_board.ticks_ms = self.clock.ticks_ms
        network.WLAN._the.clear()
        ntptime.asked.clear()
        ntptime.answer[0] = None
        for module in (
            node, ram, ending, untaken, discovery, ha_device, clock, retry, wifi, i2c, network, listening, led,
            sensors.dht22, sensors.internal, sensors.ds18b20, sensors.scd4x, treatment, sensors.binary, sensors.pulse,
            board_facts, low_battery,
        ):  # fmt: skip
            for name, fake in (
                ("ticks_ms", self.clock.ticks_ms),
                ("ticks_diff", ticks_diff),
                ("ticks_add", ticks_add),
                ("sleep_ms", self.clock.sleep_ms),
            ):
                if hasattr(module, name):
                    setattr(module, name, fake)
        self.began = self.clock.now
        self.epoch_s = NOW_S
        treatment.time = lambda: clock.time()
        clock.time = lambda: self.epoch_s + (self.clock.now - self.began) / 1000
        fake_board.time = lambda: clock.time()
        clock.time_ns = lambda: (int(self.epoch_s * 1000) + self.clock.now - self.began) * 1000000
        started(self.clock)

    def run(self, ms):
        """node.turn() for ms."""
        end = self.clock.now + ms
        while self.clock.now < end:
            self.node.turn()

    def readings(self, name=""):
        """The readings that the broker took, decoded, in their order; of one SENSOR/QUANTITY when it is given."""
        return [
            json.loads(payload if isinstance(payload, str) else bytes(payload).decode())
            for topic, payload, qos in self.broker.accepted
            if topic.count("/") == 3 and "/ack/" not in topic and topic.endswith(name)
        ]

    def status(self):
        """What the broker took under the availability topic."""
        return [bytes(payload) for topic, payload, qos in self.broker.accepted if topic.endswith("/status")]
