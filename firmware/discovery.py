"""Home Assistant finds the sensors by itself: a retained message for each quantity, in its MQTT discovery format with
the abbreviated keys. Imported only when `ha_prefix` asks for it."""

from binascii import hexlify
from hashlib import sha256
from json import dumps
from time import ticks_diff, ticks_ms

from micropython import const

from umqtt import __version__

_TOLD = const(255)  # in Source.announced: Home Assistant knows all of its fields
_UNTOLD = const(254)  # the broker did not acknowledge: not on this connection
_SETTLE_MS = const(1500)  # Home Assistant subscribes to what was announced

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


def announcement(cfg: dict, client_id: str, topic: str, source, field: int):
    """Topic and payload that tell Home Assistant of one field of `source`. topic: the node's, TOPIC/CLIENT_ID/."""
    quantity, unit, places = source.sensor.fields[field]
    component, device_class, state_class = class_of(quantity, unit, places)
    node = legal(client_id)
    name = legal(source.name, quantity)
    # three readings that did not come: what is shown would be old
    expire_s = int(3 * cfg["interval_s"] * (cfg["connect_every"] if cfg["deep_sleep"] else 1)) + 60
    expire_s += getattr(source.sensor, "send_every_s", 0)
    payload = (
        '{"name":%s,"uniq_id":"%s","stat_t":%s,%s%s%s%s"exp_aft":%d,'
        '"val_tpl":"{{value_json.value}}","o":{"name":"umqtt-node","sw":"%s"},"dev":{"ids":["%s"],"name":%s}}'
        % (
            dumps(source.name + " " + quantity), legal(client_id, source.name, quantity),
            dumps(topic + source.name + "/" + quantity),
            '"avty_t":%s,' % dumps(topic + "status") if cfg["will"] else "",
            '"unit_of_meas":%s,' % dumps(unit) if unit else "",
            '"dev_cla":"%s",' % device_class if device_class else "",
            '"pl_on":"1","pl_off":"0",' if component != "sensor" else
            '"stat_cla":"%s",' % state_class if state_class else "", expire_s, __version__, node,
            dumps(client_id),
        )
    )  # fmt: skip
    return "%s/%s/%s/%s/config" % (cfg["ha_prefix"], component, node, name), payload


class Announcer:
    """Tells Home Assistant of each sensor that was found: one message at a time, so that readings find a slot, too.
    Readings are to be held back until it had time to subscribe, but not for longer than timeout_s."""

    def __init__(self, cfg: dict, client_id: str, topic: str):
        self.cfg = cfg
        self.client_id = client_id
        self.topic = topic
        self.source = None  # of what was published and not yet acknowledged
        self.pid = 0
        self.t_told = self.t_held = 0
        self.holding = False

    def connected(self, present: bool, sources) -> None:
        """A connection is up; not present: the broker has forgotten what it was told."""
        for source in sources:
            if not present or source.announced == _UNTOLD:
                source.announced = 0
        self.source = None
        self.holding = False

    def step(self, c, sources) -> bool:
        """One step with client c; whether readings are to be held back. Raises what publish does."""
        now = ticks_ms()
        if self.source:
            if c.pending(self.pid):
                if ticks_diff(now, self.t_told) <= self.cfg["timeout_s"] * 1000:
                    return self.hold(now)
                from umqtt.takeback import take_back

                take_back(c, self.pid)
                self.source.announced = _UNTOLD
                print("Home Assistant: the broker does not acknowledge what announces", self.source.name)
            else:
                self.source.announced += 1
                if self.source.announced == len(self.source.sensor.fields):
                    self.source.announced = _TOLD
            self.source = None
            self.t_told = now
        for source in sources:
            if source.found and source.announced < len(source.sensor.fields):
                topic, payload = announcement(self.cfg, self.client_id, self.topic, source, source.announced)
                if not self.holding:
                    self.holding = True
                    self.t_held = now
                if c.free_slots():
                    self.pid = c.publish(topic, payload, self.cfg["retain"], 1, False)
                    self.source = source
                    self.t_told = now
                break
        return self.hold(now)

    def hold(self, now: int) -> bool:
        """Whether readings are still to be held back."""
        if self.holding:
            settled = not self.source and ticks_diff(now, self.t_told) > _SETTLE_MS
            if settled or ticks_diff(now, self.t_held) > self.cfg["timeout_s"] * 1000 + _SETTLE_MS:
                self.holding = False
        return self.holding
