"""The table of docs/services.md: what it says to write is a configuration, and its message is JSON."""

import json

import on_board
from fakes.check import equal
from on_board import World, conf

ROOT = on_board.ROOT


def rows():
    """(service, the keys of its row) of the page."""
    with open(ROOT + "/docs/services.md") as f:
        lines = [line for line in f.read().split("\n") if line.startswith("| ") and '"broker"' in line]
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
        more = {k: v for k, v in keys.items() if k in ("json", "json_topic")}
        script = {"wifi": {"lab": "12345678"}, "values": {"adc 34": [1500]}}
        w = World(script, payload="json", sensors=[{"type": "adc", "name": "cell", "pin": 34}], **more)
        w.run(5000)
        topic, payload = [(t, bytes(p)) for t, p, _ in w.broker.accepted if not t.endswith(("/status", "/diag"))][0]
        assert "1.5" in json.dumps(json.loads(payload.decode())), service
        equal("CLIENT_ID" in topic or "TOPIC" in topic, False, service)
