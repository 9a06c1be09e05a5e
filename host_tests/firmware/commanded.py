"""A node that obeys commands, in a folder of its own with its config.json, and the broker that sends them."""

import builtins
import json
import os
import sys

from fakes.check import raises
from fakes.folder import Folder, write
from on_board import HOST, World, radio, said, started

import config
import durable
import fake_board
import network
import node
import ram
import remembered
import sleeper
import tail


ROOM = {"type": "dht22", "name": "room", "pin": 4}
SCRIPT = {"wifi": {"lab": "12345678"}, "values": {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}}
GIVEN = {
    "wifi_ssid": "lab", "wifi_password": "12345678", "broker": HOST, "client_id": "n1", "interval_s": 60,
    "commands": True, "sensors": [ROOM], "user": "me", "password": "geheim99", "ntp_host": "",
}  # fmt: skip
PRINT = print  # which a node that obeys replaces, to keep the last lines


class Commanded(World):
    """A World whose node obeys, in a folder of its own with its config.json; boot() is one more start."""

    def __init__(self, **keys):
        self.home = os.getcwd()
        self.folder = Folder()
        os.chdir(self.folder.__enter__())
        given = dict(GIVEN)
        given.update(keys)
        write("config.json", json.dumps(given).encode())
        World.__init__(self, SCRIPT)
        durable.print = sleeper.print = node.print
        self.boot()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        builtins.print = tail._said = PRINT
        os.chdir(self.home)
        self.folder.__exit__()

    def print(self, *words, **how):
        if "file" in how:  # a traceback of CPython's
            return PRINT(*words, **how)
        self.said.append(" ".join([str(word) for word in words]))

    def boot(self):
        """The board starts: everything in RAM is gone, and the links with it."""
        for link in self.net.links:
            link.end("rst")
        network.WLAN._the.clear()
        started(self.clock)
        sys.modules["config"] = config
        fresh = config.take()
        sys.modules["config"] = config
        assert fresh, "no configuration"
        wifi = radio()
        wifi.ssid, wifi.password = fresh["wifi_ssid"], fresh["wifi_password"]
        self.said = said()
        builtins.print = self.print
        durable.print = sleeper.print = node.print
        sleeper.ticks_ms, sleeper.ticks_diff, sleeper.ticks_add = node.ticks_ms, node.ticks_diff, node.ticks_add
        sleeper.sleep_ms = node.sleep_ms
        if fresh["deep_sleep"]:
            known = remembered.Remembered()
            if fresh["trials"] or fresh["came_back"]:
                known.forget()
            self.node = sleeper.Sleeper(fresh, wifi, known, self.clock.ticks_ms())
        else:
            self.node = (ram.RamNode if fresh["keep_in"] == "ram" else durable.DurableNode)(fresh, wifi)
        return self.node

    def reset(self, ms=60000):
        """Runs until the board resets, which it must within ms; it starts again."""
        got = raises(fake_board.Reset, self.run, ms)
        self.boot()
        return got

    def send(self, name, payload="", qos=2, retain=0, ms=3000):
        self.broker.inject("umqtt/n1/cmd/" + name, payload, qos, retain)
        self.run(ms)

    def answers(self, name=""):
        """(ok, words) of every answer that the broker took, of one command when it is named."""
        return [
            (got["ok"], got["words"])
            for topic, got in [
                (topic, json.loads(bytes(payload).decode()))
                for topic, payload, _ in self.broker.accepted
                if "/ack/" in topic
            ]
            if not name or topic == "umqtt/n1/ack/" + name
        ]
