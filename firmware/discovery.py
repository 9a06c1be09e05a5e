"""Home Assistant finds the board by itself: a retained message for each quantity and for each command, in its MQTT
discovery format with the abbreviated keys. Imported only when `ha_prefix` asks for it."""

import sys
from binascii import hexlify
from hashlib import sha256
from json import dumps
from time import ticks_diff, ticks_ms

from micropython import const

import power
from flags import RETAINED
from umqtt import __version__

_TOLD = const(255)  # in Source.announced: Home Assistant knows all of its fields
_UNTOLD = const(254)  # the broker did not acknowledge: not on this connection
_SETTLE_MS = const(1500)  # Home Assistant subscribes to what was announced
_LOOK_MS = const(5000)  # for what an earlier configuration has left with the broker
_MOST_LEFT = const(16)  # of it that are remembered at one time

_LEGAL = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
# Quantities that are called as Home Assistant's classes of sensors are; those of them that only grow; those that are on
# or off, when they have no unit; and those that are called otherwise.
_MEASURED = (
    " temperature humidity voltage current power illuminance irradiance battery moisture frequency distance weight"
    " speed wind_speed sound_pressure ph pm1 pm25 pm10 "
)
_GROWING = " energy water gas precipitation "
_ON_OFF = (
    " door window garage_door opening lock motion occupancy presence moisture smoke gas vibration sound light power"
    " plug running tamper problem safety heat cold low state "
)
_UNDERSCORE = const(95)
_CLASSES = {
    "uptime": "duration",
    "awake": "duration",
    "heap": "data_size",
    "co2": "carbon_dioxide",
    "pressure": "atmospheric_pressure",
    "rssi": "signal_strength",
    "low": "battery",
}


def class_of(quantity: str, unit: str, places):
    """What it is to Home Assistant: component, device class or "", state class or ""."""
    word = " %s " % quantity
    name = _CLASSES.get(quantity, "")
    if not unit and word in _ON_OFF:
        return "binary_sensor", name or quantity if quantity != "state" else "", ""
    if not isinstance(places, int):  # a text
        return "sensor", "", ""
    if word in _GROWING or quantity == "count":
        return "sensor", quantity if word in _GROWING else "", "total_increasing"
    return "sensor", name or (quantity if word in _MEASURED else ""), "measurement"


def legal(*words: str) -> str:
    """The words as one id that Home Assistant takes: letters, digits, _ and -. Different words, different ids: what
    had to be changed, or could be cut elsewhere, ends with a part of its checksum."""
    clean = "_".join(words)
    exact = True
    for i, word in enumerate(words):
        for byte in word.encode():  # not `for c in word`: MicroPython makes a name of each c, which stays on the heap
            if byte not in _LEGAL and (byte != _UNDERSCORE or i):
                exact = False
    if exact:
        return clean
    letters = [clean[i : i + 1] for i in range(len(clean))]
    clean = "".join([c if c.encode() in _LEGAL else "_" for c in letters])
    return clean + "-" + str(hexlify(sha256("/".join(words).encode()).digest()[:4]), "utf-8")


# Commands as Home Assistant's entities: component, command, fields of their own.
_BUTTONS = (
    ("button", "restart", '"dev_cla":"restart","ent_cat":"config",'),
    ("button", "read", '"ic":"mdi:refresh",'),
    (
        "number",
        "interval",
        '"unit_of_meas":"s","dev_cla":"duration","min":0.1,"max":86400,"step":0.1,"mode":"box","ent_cat":"config",',
    ),
)
_IDENTIFY = ("button", "identify", '"dev_cla":"identify","ent_cat":"diagnostic",')
_STAY_AWAKE = ("switch", "stay_awake", '"pl_on":"3600","pl_off":"0","ret":true,"ent_cat":"config",')


class Controls:
    """The commands, in place of a Source: its `sensor` is itself."""

    name = "commands"
    found = True

    def __init__(self, cfg: dict):
        self.announced = 0
        self.sensor = self
        self.fields = _BUTTONS
        if cfg["led"] >= 0:
            self.fields += (_IDENTIFY,)
        if cfg["deep_sleep"]:
            self.fields += (_STAY_AWAKE,)


class Announcer:
    """Tells Home Assistant of each sensor that was found, and of the commands: one message at a time, so that readings
    find a slot, too. Readings are to be held back until it had time to subscribe, but not for longer than timeout_s.
    `things`: what is told, each with `announced`, how many of its fields are."""

    def __init__(self, node):
        self.node = node
        self.cfg = cfg = node.cfg
        self.id = legal(node.client_id)
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
            node.listener.hear(cfg["ha_prefix"] + "/status", 0, self.born)
        if node.listener and power.cause() != power.WOKE:
            self.look = "%s/+/%s/#" % (cfg["ha_prefix"], self.id)

    # what is told

    def announcement(self, thing, field: int):
        """Topic and payload that tell Home Assistant of one field of a thing."""
        if thing.sensor is thing:
            component, name, own = thing.fields[field]
            text = name.replace("_", " ")
            own += '"cmd_t":%s,"qos":2,' % dumps("%scmd/%s" % (self.node.topic, name))
            if name == "interval" and self.cfg["diag"]:
                own += '"stat_t":%s,"val_tpl":"{{value_json.interval_s}}",' % dumps(self.node.topic + "diag")
            name = legal(name)
            unique = legal(self.node.client_id, "cmd", name)
        else:
            quantity, unit, places = thing.sensor.fields[field]
            text = thing.name + " " + quantity
            component, own = self.of_quantity(thing, quantity, unit, places)
            name = legal(thing.name, quantity)
            unique = legal(self.node.client_id, thing.name, quantity)
        payload = '{"name":%s,"uniq_id":"%s",%s%s"o":{"name":"umqtt-node","sw":"%s"},"dev":%s}' % (
            dumps(text), unique, own,
            '"avty_t":%s,' % dumps(self.node.topic + "status") if self.cfg["will"] else "", __version__, self.device(),
        )  # fmt: skip
        return "%s/%s/%s/%s/config" % (self.cfg["ha_prefix"], component, self.id, name), payload

    def of_quantity(self, source, quantity: str, unit: str, places):
        """Component, and the fields of its message that a quantity has for itself."""
        component, device_class, state_class = class_of(quantity, unit, places)
        cfg = self.cfg
        # three readings that did not come: what is shown would be old
        expire_s = int(3 * cfg["interval_s"] * (cfg["connect_every"] if cfg["deep_sleep"] else 1)) + 60
        expire_s += getattr(source.sensor, "send_every_s", 0)
        own = '"stat_t":%s,"val_tpl":"{{value_json.value}}","exp_aft":%d,' % (
            dumps(self.node.topic + source.name + "/" + quantity), expire_s
        )  # fmt: skip
        if unit:
            own += '"unit_of_meas":%s,' % dumps(unit)
        if device_class:
            own += '"dev_cla":"%s",' % device_class
        if component != "sensor":
            own += '"pl_on":"1","pl_off":"0",'
        elif state_class:
            own += '"stat_cla":"%s","sug_dsp_prc":%d,' % (state_class, places)
        if getattr(source.sensor, "diagnostic", False):
            own += '"ent_cat":"diagnostic",'
        return component, own

    def device(self) -> str:
        """The board, of which all of it is."""
        url = '"cu":%s,' % dumps(self.cfg["ha_url"]) if self.cfg["ha_url"] else ""
        return '{"ids":["%s"],"name":%s,"mf":"umqtt-node","mdl":%s,"hw":"%s",%s"sw":"%s"}' % (
            self.id, dumps(self.node.client_id), dumps(getattr(sys.implementation, "_machine", sys.platform)),
            sys.platform, url, __version__,
        )  # fmt: skip

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
        if payload == b"online" and not flags & RETAINED:
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
            self.node.listener.hear(self.look, 0, self.seen)
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
