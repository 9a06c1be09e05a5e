"""The table of docs/services.md: what it says to write is a configuration, and its message is JSON."""

import json

import on_board
from fakes.check import equal
from on_board import World, conf

ROOT = on_board.ROOT


def rows():
    """(service, the keys of its row) of the page."""
    with open(ROOT + "/docs/services.md") as file:
        lines = [line for line in file.read().split("\n") if line.startswith("| ") and '"broker"' in line]
    found = []
    for line in lines:
        pieces = line.replace('; or `"payload": "json"` alone', "").split("`")[1::2]
        found.append((line.split("|")[1].strip(), json.loads("{%s}" % ",".join(pieces))))
    return found


def test_each_row_is_a_configuration_that_the_firmware_takes():
    equal(len(rows()), 8)
    for _, keys in rows():
        given = dict(keys, payload="json")
        given["client_id"] = keys.get("client_id", "n1")
        conf(**given)


def test_each_form_makes_json_of_the_readings():
    for service, keys in rows():
        more = {key: value for key, value in keys.items() if key in ("json", "json_topic")}
        script = {"wifi": {"lab": "12345678"}, "values": {"adc 34": [1500]}}
        world = World(script, payload="json", sensors=[{"type": "adc", "name": "cell", "pin": 34}], **more)
        world.run(5000)
        topic, payload = [
            (topic, bytes(payload))
            for topic, payload, _ in world.broker.accepted
            if not topic.endswith(("/status", "/diag"))
        ][0]
        assert "1.5" in json.dumps(json.loads(payload.decode())), service
        equal("CLIENT_ID" in topic or "TOPIC" in topic, False, service)
