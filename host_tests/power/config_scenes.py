"""config.json is changed without a cable while power fails at every flash operation: at each start the board has one
whole configuration, the one before or the one that was sent. MicroPython only."""

import os

import config_file
import probation
from power.scenes import ROOT, Scene

_STARTS = 20  # within one life, of a program that should have ended long before


def configuration(version):
    """One that can be told from the others, in each of its parts."""
    return {"broker": "host%d" % version, "interval_s": version, "topic": "t%d" % version * 40, "wifi_ssid": "lab"}


class Config(Scene):
    """The configuration of the cable is changed to 1 at once (as `interval` does), then to 2 on trial."""

    blocks = 24
    reaches_broker = True

    def prepare(self):
        self.faults = []
        self.began = False
        self.version = 0

    def live(self):
        home = os.getcwd()
        os.chdir(ROOT)
        try:
            if not self.began:
                config_file.write(configuration(0))
                self.began = True  # else the cable's work is done again
            for _ in range(_STARTS):
                if self.start() or self.faults:
                    return
            self.faults.append("no end in %d starts" % _STARTS)
        finally:
            os.chdir(home)

    def start(self):
        """From one reset to the next; whether there is nothing more to be done."""
        path = probation.choose(config_file.NAME)
        version = self.read(path)
        if path != config_file.NAME:
            if version != 2:
                self.faults.append("%d is on trial" % version)
            if not self.reaches_broker:
                return False  # a reset, when its time is over
            probation.keep(config_file.NAME)
        elif version < self.version:
            self.faults.append("%d was kept, and is %d again" % (self.version, version))
        self.version = version
        if probation.failed(config_file.NAME):
            probation.forget(config_file.NAME)
            if not self.reaches_broker:
                return True
        if version == 0:
            config_file.write(configuration(1))
            self.version = 1
        if version < 2:
            config_file.write(configuration(2), True)
            return False
        return True

    def read(self, path):
        """The version of a whole configuration."""
        try:
            os.stat(path)
            name, config_file.NAME = config_file.NAME, path
            try:
                given = config_file.load()
            finally:
                config_file.NAME = name
        except (OSError, ValueError) as error:
            self.faults.append("%s: %r" % (path, error))
            return -1
        version = given.get("interval_s", -1)
        if given != configuration(version):
            self.faults.append("%s is mixed: %s" % (path, given))
        return version

    def verdict(self):
        wanted = 2 if self.reaches_broker else 1
        if not self.faults and self.version != wanted:
            self.faults.append("%d in the end" % self.version)
        return 0, 0, 0, self.faults


class ConfigBack(Config):
    """The one on trial never reaches the broker: 1 is back, whatever power does."""

    reaches_broker = False


CONFIGS = {"Config": Config, "ConfigBack": ConfigBack}
