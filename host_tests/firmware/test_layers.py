"""Who imports whom in the firmware: the arrows of docs/architecture.md, without a circle; only those that lead a life
know the MQTT client."""

import os
import re

import on_board
from fakes.check import equal

SOURCE_FORM_ONLY = "it reads the source"
FIRMWARE = on_board.ROOT + "/firmware"
MAY = {
    "app": [
        "clock",
        "durable",
        "health",
        "improv",
        "power",
        "radio",
        "ram",
        "remembered",
        "sleeper",
        "tail",
        "trial",
        "umqtt",
        "wifi",
    ],
    "sleeper": ["clock", "durable", "ending", "health", "power", "probation", "trial", "untaken", "waking"],
    "waking": ["power"],
    "durable": ["clock", "earlier", "kept", "node", "retry", "umqtt"],
    "earlier": ["ending", "umqtt"],
    "ram": ["clock", "node"],
    "node": [
        "answering",
        "clock",
        "diagnosis",
        "discovery",
        "ending",
        "ha_device",
        "health",
        "json_message",
        "led",
        "listening",
        "low_battery",
        "mqtt5",
        "power",
        "retry",
        "tls_context",
        "treatment",
        "trial",
        "umqtt",
        "untaken",
    ],  # fmt: skip
    "untaken": ["clock", "ending", "umqtt"],
    "mqtt5": ["ending", "power", "umqtt"],
    "answering": ["flags", "listening"],
    "ending": ["umqtt"],
    "update": ["ending", "power", "slots"],
    "commands": [
        "clock",
        "commands",
        "config_file",
        "ending",
        "flags",
        "health",
        "power",
        "probation",
        "reconfigure",
        "tail",
        "update",
    ],  # fmt: skip
    "listening": ["clock", "commands", "flags", "subscribing"],
    "subscribing": ["umqtt"],
    "trial": ["clock", "config_file", "moved", "power", "probation", "slots"],
    "moved": ["announcement", "clock", "flags", "power"],
    "diagnosis": ["clock", "power", "umqtt"],
    "config": ["config_check", "slots"],
    "config_check": ["probation"],
    "config_file": ["probation"],
    "improv": ["config_file", "power", "umqtt", "wifi"],
    "reconfigure": ["config_check", "config_file", "probation"],
    "discovery": ["announcing", "flags", "power", "umqtt"],
    "announcing": ["announcement"],
    "announcement": ["umqtt"],
    "ha_device": ["announcement", "discovery", "flags", "umqtt"],
    "remembered": ["umqtt"],
    "retry": ["reasons"],
    "crc8": ["i2c"],
    "radio": ["wifi"],
    "json_message": ["clock"],
    "treatment": ["kept"],
    "low_battery": ["ending", "power"],
    "board_facts": ["power", "umqtt"],
}
OURS = ["commands", "sensors", "umqtt"] + [name[:-3] for name in os.listdir(FIRMWARE) if name.endswith(".py")]
FOR_SENSORS = {"board_facts", "contact", "crc8", "i2c", "kept", "sensors"}
IMPORT = re.compile(r"^ *(import|from) ([a-z_0-9]+)")


def imported(path):
    found = []
    with open(path) as file:
        for line in file:
            match = IMPORT.match(line)
            if match and match.group(2) in OURS and match.group(2) not in found:
                found.append(match.group(2))
    return sorted(found)


def test_arrows_are_those_of_the_table_and_make_no_circle():
    names = [name[:-3] for name in os.listdir(FIRMWARE) if name.endswith(".py")]
    assert len(names) > 12
    for name in names:
        equal(imported("%s/%s.py" % (FIRMWARE, name)), MAY.get(name, []), name)
    seen = []
    while len(seen) < len(MAY):
        free = [
            name
            for name in MAY
            if name not in seen and all(module in seen or module not in MAY or module == name for module in MAY[name])
        ]
        assert free, "a circle among %s" % [name for name in MAY if name not in seen]
        seen += free


def test_modules_are_imported_by_an_import_where_an_import_will_do():
    # a sensor's name is known at run time only; main.py wants no names on the heap
    for name in os.listdir(FIRMWARE):
        if name.endswith(".py") and name != "main.py":
            with open(FIRMWARE + "/" + name) as file:
                found = file.read().count("__import__(")
            equal(found, 1 if name == "node.py" else 0, name)


def test_commands_know_what_they_work_on_and_nothing_of_who_called_them():
    known = []
    for name in os.listdir(FIRMWARE + "/commands"):
        if name.endswith(".py"):
            known += imported(FIRMWARE + "/commands/" + name)
    equal(sorted(set(known)), MAY["commands"])


def test_sensors_know_nothing_of_ours_but_what_is_made_for_them():
    for name in os.listdir(FIRMWARE + "/sensors"):
        if name.endswith(".py"):
            equal(set(imported(FIRMWARE + "/sensors/" + name)) - FOR_SENSORS, set(), name)
