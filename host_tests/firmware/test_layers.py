"""Who imports whom in the firmware: only app and durable know other modules, and only they know the MQTT client."""

import os
import re

import on_board
from fakes.check import equal

FIRMWARE = on_board.ROOT + "/firmware"
MAY = {
    "app": ["clock", "health", "power", "umqtt", "wifi"],
    "durable": ["app", "clock", "health", "power", "umqtt"],
}
OURS = ("app", "clock", "config", "discovery", "durable", "health", "power", "sensors", "tls_context", "umqtt", "wifi")
IMPORT = re.compile(r"^ *(import|from) ([a-z_0-9]+)")


def imported(path):
    found = []
    with open(path) as f:
        for line in f:
            m = IMPORT.match(line)
            if m and m.group(2) in OURS and m.group(2) not in found:
                found.append(m.group(2))
    return sorted(found)


def test_arrows_point_from_app_and_durable_alone():
    names = [n for n in os.listdir(FIRMWARE) if n.endswith(".py")]
    assert len(names) > 8
    for name in names:
        may = MAY.get(name[:-3], [])
        if name == "app.py":
            may = may + ["durable"]  # inside of run(), when it is asked for
        equal([n for n in imported(FIRMWARE + "/" + name) if n not in may], [], name)
    equal(imported(FIRMWARE + "/app.py"), sorted(MAY["app"] + ["durable"]))


def test_sensors_know_nothing_of_ours():
    for name in os.listdir(FIRMWARE + "/sensors"):
        if name.endswith(".py"):
            equal(imported(FIRMWARE + "/sensors/" + name), [], name)
