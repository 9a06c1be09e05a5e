"""interval SECONDS: from now on, and kept in config.json. Empty: it says the present one."""

import json

import reconfigure


def carry_out(node, payload: bytes, flags: int) -> str:
    try:
        if payload:
            change(node, payload)
    finally:
        reconfigure.forget()
    return "interval_s is %s" % node.cfg["interval_s"]


def change(node, payload: bytes) -> None:
    try:
        seconds = json.loads(payload)
    except ValueError:
        seconds = None
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
        raise ValueError("needed is a number of seconds")
    given, differ = reconfigure.changed(json.dumps({"interval_s": seconds}).encode())
    if differ:
        reconfigure.write(given)
        node.cfg["interval_s"] = seconds
        node.measure_in(int(seconds * 1000))
        node.diag = node.cfg["diag"]  # which tells the interval
        for source in node.sources:
            source.announced = 0  # Home Assistant is told when a value is too old
