"""What is Home Assistant told of a quantity or a command? Imported for each announcement and forgotten again: while
nothing is announced it costs no heap."""

import sys
from binascii import hexlify
from hashlib import sha256
from json import dumps

from micropython import const

from umqtt import __version__

NOTE = "ha_device"  # a file: what the form of one message (ha_device.py) has told
MIGRATE = '{"migr_discvry":true}'  # the entities of this message will come in another one; keep what is set for them

# Commands as Home Assistant's entities: component, fields of their own.
_COMMANDS = {
    "restart": ("button", '"dev_cla":"restart","ent_cat":"config",'),
    "read": ("button", '"ic":"mdi:refresh",'),
    "interval": (
        "number",
        '"unit_of_meas":"s","dev_cla":"duration","min":0.1,"max":86400,"step":0.1,"mode":"box","ent_cat":"config",',
    ),
    "identify": ("button", '"dev_cla":"identify","ent_cat":"diagnostic",'),
    "stay_awake": ("switch", '"pl_on":"3600","pl_off":"0","ret":true,"ent_cat":"config",'),
}

_LEGAL = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
# Home Assistant's classes of sensors, each with the units that it takes for it: with another one it refuses the sensor.
# Then quantities that only grow; those that are on or off, when they have no unit; and those that are called otherwise.
_UNITS = """
temperature °C °F K
humidity %
moisture %
battery %
voltage mV V
current mA A
power mW W kW MW
energy Wh kWh MWh kJ MJ GJ
water L m³ ft³ gal CCF
gas m³ ft³ CCF
precipitation mm cm in
illuminance lx
irradiance W/m²
frequency Hz kHz MHz GHz
distance mm cm m km in ft yd mi
weight mg g kg oz lb
speed mm/s m/s km/h ft/s mph kn
wind_speed m/s km/h ft/s mph kn
sound_pressure dB dBA
ph\x20
pm1 µg/m³
pm25 µg/m³
pm10 µg/m³
duration ms s min h d
data_size B kB MB GB
carbon_dioxide ppm
atmospheric_pressure Pa hPa kPa bar mbar mmHg inHg psi
signal_strength dBm dB
"""
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
    name = name or quantity
    at = _UNITS.find("\n%s " % name)
    if at < 0 or unit not in _UNITS[at : _UNITS.find("\n", at + 1)].split(" ")[1:]:
        name = ""
    return "sensor", name, "total_increasing" if word in _GROWING or quantity == "count" else "measurement"


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


def announcement(announcer, thing, field: int):
    """Topic and payload that tell Home Assistant of one field of a thing, which the Announcer has among its own."""
    component, name, own = entity(announcer, thing, field)
    topic = "%s/%s/%s/%s/config" % (announcer.cfg["ha_prefix"], component, announcer.id, name)
    return topic, "{%s%s}" % (own, of_all(announcer))


def entity(announcer, thing, field: int):
    """One field of a thing as an entity: its component, its name in a topic, and what its message has for itself, a
    comma behind it."""
    if thing.sensor is thing:
        name = thing.fields[field]
        component, own = _COMMANDS[name]
        text = name.replace("_", " ")
        own += '"cmd_t":%s,"qos":2,' % dumps("%scmd/%s" % (announcer.node.topic, name))
        if name == "interval" and announcer.cfg["diag"]:
            own += '"stat_t":%s,"val_tpl":"{{value_json.interval_s}}",' % dumps(announcer.node.topic + "diag")
        unique = legal(announcer.node.client_id, "cmd", name)
    else:
        quantity, unit, places = thing.sensor.fields[field]
        text = thing.name + " " + quantity
        component, own = of_quantity(announcer, thing, quantity, unit, places)
        name = legal(thing.name, quantity)
        unique = legal(announcer.node.client_id, thing.name, quantity)
    return component, name, '"name":%s,"uniq_id":"%s",%s' % (dumps(text), unique, own)


def device_topic(announcer) -> str:
    """Of the one message about the whole board (ha_device.py)."""
    return "%s/device/%s/config" % (announcer.cfg["ha_prefix"], announcer.id)


def of_all(announcer) -> str:
    """What the entities of a board have in common: availability, origin, device."""
    return '%s"o":{"name":"umqtt-node","sw":"%s"},"dev":%s' % (
        '"avty_t":%s,' % dumps(announcer.node.topic + "status") if announcer.cfg["will"] else "",
        __version__, device(announcer),
    )  # fmt: skip


def of_quantity(announcer, source, quantity: str, unit: str, places):
    """Component, and the fields of its message that a quantity has for itself."""
    component, device_class, state_class = class_of(quantity, unit, places)
    if component != "sensor" and hasattr(source.sensor, "per_unit"):  # a sum of pulses is not on or off
        component, device_class, state_class = "sensor", "", "total_increasing"
    cfg = announcer.cfg
    # three readings that did not come: what is shown would be old
    expire_s = int(3 * cfg["interval_s"] * (cfg["connect_every"] if cfg["deep_sleep"] else 1)) + 60
    expire_s += getattr(source.sensor, "send_every_s", 0)
    if cfg["deep_sleep"]:  # it rests while its battery is low, and is not gone
        expire_s += max([getattr(each.sensor, "sleep_s", 0) for each in announcer.node.sources])
    own = '"stat_t":%s,"val_tpl":"{{value_json.value}}","exp_aft":%d,' % (
        dumps(announcer.node.topic + source.name + "/" + quantity), expire_s
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


def device(announcer) -> str:
    """The board, of which all of it is."""
    url = '"cu":%s,' % dumps(announcer.cfg["ha_url"]) if announcer.cfg["ha_url"] else ""
    return '{"ids":["%s"],"name":%s,"mf":"umqtt-node","mdl":%s,"hw":"%s",%s"sw":"%s"}' % (
        announcer.id, dumps(announcer.node.client_id), dumps(getattr(sys.implementation, "_machine", sys.platform)),
        sys.platform, url, __version__,
    )  # fmt: skip
