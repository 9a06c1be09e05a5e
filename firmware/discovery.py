"""Home Assistant finds the board by itself: a retained message for each quantity and for each command, in its MQTT
discovery format with the abbreviated keys. Imported only when `ha_prefix` asks for it."""

import sys
from time import ticks_diff, ticks_ms

from micropython import const

import power
from flags import RETAINED

_TOLD = const(255)  # in Source.announced: Home Assistant knows all of its fields
_UNTOLD = const(254)  # the broker did not acknowledge: not on this connection
_BORN = b"online"
_SETTLE_MS = const(1500)  # Home Assistant subscribes to what was announced
_LOOK_MS = const(5000)  # for what an earlier configuration has left with the broker
_MOST_LEFT = const(16)  # of it that are remembered at one time


class Controls:
    """The commands, in place of a Source: its `sensor` is itself."""

    name = "commands"
    found = True

    def __init__(self, cfg: dict):
        self.announced = 0
        self.sensor = self
        self.fields = ["restart", "read", "interval"]
        if cfg["led"] >= 0:
            self.fields.append("identify")
        if cfg["deep_sleep"]:
            self.fields.append("stay_awake")


class Announcer:
    """Tells Home Assistant of each sensor that was found, and of the commands: one message at a time, so that readings
    find a slot, too. Readings are to be held back until it had time to subscribe, but not for longer than timeout_s.
    `things`: what is told, each with `announced`, how many of its fields are."""

    def __init__(self, node):
        self.node = node
        self.cfg = cfg = node.cfg
        from announcement import legal

        self.id = legal(node.client_id)
        del legal, sys.modules["announcement"]
        self.things = list(node.sources)
        if cfg["commands"]:
            self.things.append(Controls(cfg))
        self.thing = None  # of what was published and not yet acknowledged
        self.pid = 0
        self.t_told = self.t_held = self.t_look = 0
        self.holding = False
        self.look = None  # the filter of what the broker has of us, while it is asked
        self.left = []  # topics of what an earlier configuration has left there
        if node.listener and not cfg["deep_sleep"]:
            node.listener.hear(cfg["ha_prefix"] + "/status", 0, self.born, len(_BORN) + 1)
        if node.listener and power.cause() != power.WOKE:
            self.look = "%s/+/%s/#" % (cfg["ha_prefix"], self.id)

    def announcement(self, thing, field: int):
        """Topic and payload that tell Home Assistant of one field of a thing. The code that makes them is loaded for
        it, and forgotten again."""
        from announcement import announcement

        made = announcement(self, thing, field)
        del announcement, sys.modules["announcement"]
        return made

    # when

    def connected(self, present: bool) -> None:
        """A connection is up; not present: the broker has forgotten what it was told."""
        for thing in self.things:
            if not present or thing.announced == _UNTOLD:
                thing.announced = 0
        self.thing = None
        self.holding = False

    def born(self, topic: bytes, payload, flags: int) -> None:
        """Home Assistant has started: what is not retained it does not know, and no value of ours."""
        if payload == _BORN and not flags & RETAINED:
            for thing in self.things:
                thing.announced = 0
                again = getattr(thing.sensor, "again", None)
                if again:
                    again()
            self.node.measure_in(0)

    def step(self, c) -> bool:
        """One step with client c; whether readings are to be held back. Raises what publish does."""
        now = ticks_ms()
        if self.thing:
            if c.pending(self.pid):
                if ticks_diff(now, self.t_told) <= self.cfg["timeout_s"] * 1000:
                    return self.hold(now)
                from umqtt.takeback import take_back

                take_back(c, self.pid)
                self.thing.announced = _UNTOLD
                print("Home Assistant: the broker does not acknowledge what announces", self.thing.name)
            else:
                self.thing.announced += 1
                if self.thing.announced == len(self.thing.sensor.fields):
                    self.thing.announced = _TOLD
            self.thing = None
            self.t_told = now
        if not self.next(c, now) and self.node.listener:
            self.clear(c, now)
        return self.hold(now)

    def next(self, c, now: int) -> bool:
        """Tell the next of what is to be told. Whether there is one."""
        for thing in self.things:
            if thing.found and thing.announced < len(thing.sensor.fields):
                topic, payload = self.announcement(thing, thing.announced)
                if not self.holding:
                    self.holding = True
                    self.t_held = now
                if c.free_slots():
                    self.pid = c.publish(topic, payload, self.cfg["retain"], 1, False)
                    self.thing = thing
                    self.t_told = now
                return True
        return False

    def hold(self, now: int) -> bool:
        """Whether readings are still to be held back."""
        if self.holding:
            settled = not self.thing and ticks_diff(now, self.t_told) > _SETTLE_MS
            if settled or ticks_diff(now, self.t_held) > self.cfg["timeout_s"] * 1000 + _SETTLE_MS:
                self.holding = False
        return self.holding

    # what an earlier configuration has left

    def clear(self, c, now: int) -> None:
        """Once after a start: ask the broker what it has of us; clear what is ours no more: a sensor that is gone."""
        if self.look and not self.t_look:
            self.t_look = now or 1
            self.node.listener.hear(self.look, 0, self.seen, 1)  # large, and of no use
        while self.left and c.free_slots():
            c.publish(self.left.pop(), "", True, 1, False)
        if self.look and ticks_diff(now, self.t_look) > _LOOK_MS and not self.left:
            self.node.listener.unhear(self.look)
            self.look = None

    def seen(self, topic: bytes, payload, flags: int) -> None:
        """A message of the broker's about us."""
        if payload == b"" or not flags & RETAINED or not topic.endswith(b"/config"):
            return
        name = str(topic, "utf-8")
        for thing in self.things:
            for field in range(len(thing.sensor.fields)):
                if self.announcement(thing, field)[0] == name:
                    return
        if len(self.left) < _MOST_LEFT:
            self.left.append(name)
