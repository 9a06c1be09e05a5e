"""An update over the air while power fails at every flash operation: the board of these scenes starts as main.py has
it, runs what slots.choose() puts first on sys.path, and is updated by a host that always answers. MicroPython only.

A firmware is a few files whose first line is its version; one that starts with files of two versions, or without one of
them, is a brick, and a fault.
"""

import os
import sys

import fake_board
import slots
import update
from fakes.ota_host import Asking, Host
from power.scenes import ROOT, Scene

_STARTS = 40  # within one life, of a program that should have ended long before
_TURNS = 200
_FILES = (("app.mpy", 900), ("node.mpy", 5000), ("lib/umqtt/client.mpy", 300), ("same.mpy", 600))


def firmware(version):
    """Name to contents; "same.mpy" is the same in all versions."""
    files = {}
    for name, size_b in _FILES:
        head = b"v%d %s\n" % (0 if name == "same.mpy" else version, name.encode())
        files[name] = head + bytes([b"abc"[i % 3] for i in range(size_b)])
    return files


class Update(Scene):
    """The cable's firmware is updated to version 1, that to version 2."""

    blocks = 64
    to = (1, 2)
    bad = ()  # versions that do not reach the broker

    def prepare(self):
        self.faults = []
        self.began = False
        self.told = {}

    def live(self):
        slots.ROOT = ROOT + "/"
        fake_board.cause[0] = 1
        if not self.began:
            files = firmware(0)
            for name in files:
                self.save(ROOT + "/" + name, files[name])
            self.began = True  # else the cable's work is done again
        for _ in range(_STARTS):
            if self.start() or self.faults:
                return
        self.faults.append("no end in %d starts" % _STARTS)

    def save(self, path, data):
        at = 0
        while True:
            at = path.find("/", at + 1)
            if at < 0:
                break
            try:
                os.mkdir(path[:at])
            except OSError:
                pass
        with open(path, "wb") as file:
            file.write(data)

    def start(self):
        """From one reset to the next; whether there is nothing more to be done."""
        before = list(sys.path)
        kind = slots.choose()
        home = sys.path[1] if len(sys.path) > len(before) else ROOT
        sys.path[:] = before
        version = self.version(home)
        if kind == slots.SAFE:
            self.faults.append("safe mode, and nothing was wrong")
        if version in self.bad:
            if kind != slots.TRIAL:
                self.faults.append("version %d is bad, and runs without a trial" % version)
                return True
            self.fail()
            return False
        if kind == slots.TRIAL:
            os.rename(ROOT + "/ota/boot.try", ROOT + "/ota/boot")  # probation.keep()
        slots.well()
        for wanted in self.to:
            if wanted > version and wanted not in self.told:
                self.update(wanted)
                return False
        self.expect(version)
        return True

    def fail(self):
        """A trial that ends badly: the program raises."""
        slots.go_back("ValueError: it is bad")

    def expect(self, version):
        if version != self.to[-1]:
            self.faults.append("version %d runs in the end" % version)

    def version(self, home):
        """The one that all files of a firmware agree on."""
        found = []
        for name, _ in _FILES:
            try:
                with open(home + "/" + name, "rb") as file:
                    data = file.read()
            except OSError:
                self.faults.append("%s lacks %s" % (home, name))
                return -1
            version = int(data.split(b" ")[0][1:])
            if data != firmware(version)[name]:
                self.faults.append("%s/%s is torn" % (home, name))
            if name != "same.mpy":
                found.append(version)
        if len(set(found)) > 1:
            self.faults.append("%s holds versions %s" % (home, found))
        return found[0]

    def update(self, wanted):
        """The manifest comes, and then all that is asked for."""
        host = Host(firmware(wanted), wanted)
        node = Asking()
        got = update.Update(node, host.manifest())
        for _ in range(_TURNS):
            got.work()
            if got.over:
                break
            for asked in node.take():
                for chunk in host.chunks(asked):
                    got.chunk(b"", chunk, 2)
        if got.over in (update.WHOLE, update.ON_TRIAL, update.RUNS):
            return
        if wanted not in self.bad:
            self.faults.append("version %d: %s" % (wanted, got.over or "no end"))
        self.told[wanted] = got.over

    def verdict(self):
        return 0, 0, 0, self.faults


class UpdateBad(Update):
    """Version 2 raises as it starts: version 1 comes back, and says why."""

    bad = (2,)

    def expect(self, version):
        if version != 1:
            self.faults.append("version %d runs in the end" % version)
        if self.told.get(2) not in ("ValueError: it is bad", "in 3 starts it did not reach the broker"):
            self.faults.append("it says: %s" % self.told.get(2))


class UpdateHangs(UpdateBad):
    """Version 2 hangs: the watchdog resets the board until its starts are used up."""

    def fail(self):
        pass


UPDATES = {scene.__name__: scene for scene in (Update, UpdateBad, UpdateHangs)}
