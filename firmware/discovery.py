"""Home Assistant finds the board by itself: a retained message for each quantity and for each command, in its MQTT
discovery format with the abbreviated keys. Imported only when `ha_prefix` asks for it.

What stays loaded is when something is to be done; announcing.py, loaded for it and forgotten again, does it.
"""

from time import ticks_diff, ticks_ms

from micropython import const

import power
from flags import RETAINED

_UNTOLD = const(254)  # in `announced`: the broker did not acknowledge: not on this connection
_TOLD = const(255)  # Home Assistant knows all of its fields
_LOOK_MS = const(5000)  # for what an earlier configuration has left with the broker
_BORN = b"online"
_SETTLE_MS = const(1500)  # Home Assistant subscribes to what was announced


class Announcer:
    """Tells Home Assistant of each sensor that was found, and of the commands: one message at a time, so that readings
    find a slot, too. Readings are to be held back (`holding`) until it had time to subscribe, but not for longer than
    timeout_s. `things`: what is told, each with `announced`, how many of its fields are. It is one of them itself, for
    the commands."""

    name = "commands"
    found = True

    def __init__(self, node):
        self.node = node
        self.cfg = cfg = node.cfg
        self.id = ""
        self.things = list(node.sources)
        self.sensor = self
        self.fields = ()
        self.announced = 0
        self.thing = None  # of what was published and not yet acknowledged
        self.pid = 0
        self.t_told = self.t_held = self.t_look = 0
        self.holding = False
        self.was_born = False  # Home Assistant; it wants values once it has subscribed
        self.look = None  # the filter of what the broker has of us, while it is asked
        self.left = []  # topics of what an earlier configuration has left there
        from announcing import begin

        begin(self)
        if node.listener and not cfg["deep_sleep"]:
            node.listener.hear(cfg["ha_prefix"] + "/status", 0, self.born, len(_BORN) + 1)
        if node.listener and power.cause() != power.WOKE:
            self.look = "%s/+/%s/#" % (cfg["ha_prefix"], self.id)

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
            self.was_born = True

    def seen(self, topic: bytes, payload, flags: int) -> None:
        """A message of the broker's about us: what is ours no more is to be cleared."""
        if payload and flags & RETAINED and topic.endswith(b"/config"):
            from announcing import leave

            leave(self, str(topic, "utf-8"))

    def step(self, c) -> bool:
        """One step with client c; whether readings are to be held back. Raises what publish does."""
        now = ticks_ms()
        limit_ms = self.cfg["timeout_s"] * 1000
        thing = self.thing
        if thing and (not c.pending(self.pid) or ticks_diff(now, self.t_told) > limit_ms):
            if c.pending(self.pid):
                from umqtt.takeback import take_back

                take_back(c, self.pid)
                thing.announced = _UNTOLD
                print("Home Assistant: the broker does not acknowledge what announces", thing.name)
            else:
                thing.announced += 1
                if thing.announced == len(thing.sensor.fields):
                    thing.announced = _TOLD
            self.thing = None
            self.t_told = now
        if not self.thing:
            # a board that sleeps waits for a PINGRESP behind it instead
            looked = self.t_look != 0 and (
                ticks_diff(now, self.t_look) > _LOOK_MS or self.cfg["deep_sleep"] and not self.node.listener.busy()
            )
            for thing in self.things:
                if thing.found and thing.announced < len(thing.sensor.fields):
                    from announcing import tell

                    tell(self, thing, c, now)
                    break
            else:
                if self.left or self.look and (looked or not self.t_look):
                    from announcing import clear

                    clear(self, c, now, looked)
        if self.holding:
            settled = not self.thing and ticks_diff(now, self.t_told) > _SETTLE_MS
            if settled or ticks_diff(now, self.t_held) > limit_ms + _SETTLE_MS:
                self.holding = False
                if self.was_born:  # once, however often it was born meanwhile
                    self.was_born = False
                    self.node.measure_in(0)
        return self.holding
