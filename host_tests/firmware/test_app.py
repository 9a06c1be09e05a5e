"""Which life a start leads, what it tells, and how one ends that cannot start, is on trial, or is ended by Ctrl-C."""

import builtins
import os
import sys

from fakes.check import equal, raises
from fakes.folder import Folder
from on_board import World, conf, said, started

import app
import fake_board
import network
import remembered
import tail
from durable import DurableNode
from ram import RamNode
from sleeper import Sleeper
from umqtt import __version__

ROOM = {"type": "dht22", "name": "room", "pin": 4}
SCRIPT = {"wifi": {"lab": "12345678"}, "values": {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}}
ASLEEP = {"keep_in": "rtc", "deep_sleep": True}


class InFolder(Folder):
    """A folder of its own, for what a durable life writes."""

    def __enter__(self):
        self.home = os.getcwd()
        os.chdir(super().__enter__())

    def __exit__(self, *what):
        os.chdir(self.home)
        super().__exit__(*what)


def test_a_sensor_that_is_configured_wrongly_ends_the_start_in_one_line():
    for sensor, part in (
        ({"type": "dht23"}, "sensors[0] of type dht23"),
        ({"type": "dht22"}, "pin is None"),
        ({"type": "dht22", "pin": 99}, "invalid pin"),
    ):
        world = World(SCRIPT, sensors=[ROOM])
        lines = said()
        app.run(conf(sensors=[sensor]), 0)
        equal(lines[0], "umqtt-node: started by power on, version " + __version__)
        assert len(lines) == 2 and part in lines[1], lines
        equal(world.net.dialled, [])


def test_a_start_leads_the_life_that_is_asked_for_with_the_radio_at_work_already():
    lives = (
        (RamNode, {}),
        (DurableNode, {"keep_in": "rtc"}),
        (DurableNode, {"keep_in": "flash"}),
        (Sleeper, {"keep_in": "rtc", "deep_sleep": True}),
    )
    home = os.getcwd()
    with Folder() as folder:
        os.chdir(folder)
        for kind, keys in lives:
            world = World(dict(SCRIPT, join_ms=8000), sensors=[ROOM])
            began_ms = world.clock.ticks_ms()
            world.clock.sleep_ms(70)
            node = app.make(conf(sensors=[ROOM], **keys), began_ms)
            equal((type(node), node.t_began), (kind, began_ms))
            assert node.wifi.joining, keys
            world.clock.sleep_ms(6000)
            assert not node.wifi.joined(), "it has time, and is asked"
            world.clock.sleep_ms(2000)
            assert node.wifi.joined(), keys
        os.chdir(home)


def test_a_start_that_fails_is_tried_again_by_a_reset():
    world = World(SCRIPT, sensors=[ROOM])
    real, real_crashed, app.sleep_ms = app.Wifi, app.crashed, world.clock.sleep_ms

    def dead(*what):
        raise OSError("no radio")

    app.Wifi = dead
    app.crashed = lambda error: world.said.append(str(error))
    try:
        now = world.clock.now
        got = raises(fake_board.Reset, app.run, conf(sensors=[ROOM]), 0)
        equal((got.args[1], world.clock.now - now), (0, 60000))
        got = raises(fake_board.Reset, app.run, conf(sensors=[ROOM], deep_sleep=True, keep_in="flash"), 0)
        equal((got.args[1], world.clock.now - now), (60000, 60000))
    finally:
        app.Wifi, app.crashed = real, real_crashed
    equal(world.said[-1], "no radio")


def test_with_commands_the_log_is_kept_from_the_first_line_on():
    for keys, is_kept in (({"commands": True}, True), ({"commands": True, "log_b": 0}, False), ({}, False)):
        World(SCRIPT, sensors=[ROOM])
        real, tail.ring, tail.total = print, bytearray(), 0
        lines = said()
        try:
            app.run(conf(sensors=[{"type": "dht23"}], **keys), 0)
            equal(bool(tail.ring), is_kept, keys)
            print(end="")  # a line of nothing; MicroPython's `builtins.print` stays the real one
            equal(tail.total, 1 if is_kept else 0)
        finally:
            builtins.print, tail.ring = real, bytearray()
        assert lines[0].startswith("umqtt-node: started"), lines


def test_a_broker_that_is_not_checked_is_told_at_each_start():
    for keys, is_told in (({"tls": True, "tls_insecure": True}, True), ({}, False)):
        World(SCRIPT, sensors=[ROOM])
        lines = said()
        app.run(conf(sensors=[{"type": "dht23"}], **keys), 0)
        equal(len([line for line in lines if "the broker is not checked" in line]), is_told)


def test_a_board_that_sleeps_joins_only_at_a_wake_that_is_to_connect():
    with InFolder():
        for skip, asked in ((0, 1), (2, 0)):
            world = World(SCRIPT, sensors=[ROOM])
            known = remembered.Remembered()
            known.skip = skip
            known.fails = 7
            known.save()
            node = app.make(conf(sensors=[ROOM], **ASLEEP), world.clock.ticks_ms())
            equal(len(network.WLAN(network.STA_IF).asked), asked)
            equal((node.known.skip, node.known.fails, node.wifi.joining), (skip, 7, bool(asked)))


def test_a_board_that_tries_another_configuration_has_forgotten_what_it_knew_with_the_one_before():
    with InFolder():
        for keys in ({"trials": ("config.json",)}, {"came_back": ("config.json",)}):
            world = World(SCRIPT, sensors=[ROOM])
            known = remembered.Remembered()
            known.skip = known.fails = 7
            known.save()
            cfg = conf(sensors=[ROOM], **ASLEEP)
            cfg.update({"trials": (), "came_back": (), "start": 0})
            cfg.update(keys)
            node = app.make(cfg, world.clock.ticks_ms())
            equal((node.known.skip, node.known.fails, node.wifi.joining), (0, 0, True))


class Module:
    """In the place of one: MicroPython imports no method from an object."""


class Ended:
    """In the place of the program that app makes: it runs for `up_s`, and has ended by itself or by Ctrl-C. Improv is
    asked for (`is_packet`) or not."""

    def __init__(self, world, up_s=0, is_ctrl_c=False, is_packet=False):
        self.world = world
        self.up_s = up_s
        self.is_ctrl_c = is_ctrl_c
        self.is_packet = is_packet
        self.is_joined = False
        self.wifi = self

    def isconnected(self):
        return self.is_joined

    def run(self):
        self.world.clock.sleep_ms(self.up_s * 1000)
        return self.is_ctrl_c

    def start(self, **keys):
        """app.run() with it; how Improv was spoken."""
        served = []
        improv = Module()
        improv.is_asked = lambda: self.is_packet
        improv.serve = lambda *how: served.append(how)
        real, app.make = app.make, lambda cfg, began_ms: self
        sys.modules["improv"] = improv
        started(self.world.clock)
        cfg = conf(sensors=[ROOM])
        cfg.update(keys)
        try:
            app.run(cfg, 0)
        finally:
            app.make = real
            del sys.modules["improv"]
        return served


def test_improv_is_spoken_when_its_packet_has_ended_a_program_within_a_minute():
    world = World(SCRIPT, sensors=[ROOM])
    for is_joined in (False, True):
        program = Ended(world, 50, True, True)
        program.is_joined = is_joined
        equal(program.start(), [(is_joined, True)])
    equal(Ended(world, 50, True, False).start(), [], "a Ctrl-C of somebody's")
    equal(Ended(world, 50, False, True).start(), [], "the stop button")
    equal(Ended(world, 70, True, True).start(), [], "no browser waits for so long")


def test_an_update_whose_program_ends_by_itself_goes_back_and_says_so():
    world = World(SCRIPT, sensors=[ROOM])
    ended = []
    trial = Module()
    trial.failed = lambda cfg, error: ended.append(error)
    real = sys.modules.pop("trial", None)
    sys.modules["trial"] = trial
    try:
        Ended(world, 5).start(trials=("ota/boot",), start=1)
        equal(ended, ["it ended by itself"])
        Ended(world, 5).start(trials=(), start=1)
        equal(len(ended), 1)
    finally:
        del sys.modules["trial"]
        if real:
            sys.modules["trial"] = real


def test_what_is_on_trial_and_cannot_start_goes_back_at_once_instead_of_in_a_minute():
    def fails(*what):
        raise fault

    told = []
    trial = Module()
    trial.failed = lambda cfg, error: told.append(error)
    world = World(SCRIPT, sensors=[ROOM])
    real = sys.modules.pop("trial", None)
    real_make, app.make, app.crashed, real_crashed = app.make, fails, lambda error: None, app.crashed
    sys.modules["trial"] = trial
    try:
        for fault in (ValueError("sensors[0]"), OSError(19), MemoryError()):
            del told[:]
            for keys in ({}, ASLEEP):
                cfg = conf(sensors=[ROOM], **keys)
                cfg.update({"trials": ("config.json",), "came_back": (), "start": 0})
                now = world.clock.now
                got = raises(fake_board.Reset, app.run, cfg, 0)
                equal((got.args[1], world.clock.now - now), (0, 0))
            equal(told, [fault] * 2)
    finally:
        app.make, app.crashed = real_make, real_crashed
        del sys.modules["trial"]
        if real:
            sys.modules["trial"] = real
