"""interval SECONDS: from now on, and kept in config.json. Empty: it says the present one."""

import json
import sys

from micropython import const

_LEAST_S = 0.1  # as config_check.py has them, which takes 4 KB of the heap; test_commands compares
_MOST_S = const(86400)
_MOST_B = const(32)  # of a number: what is longer may nest deeper than memory and stack allow


def carry_out(node, payload: bytes, flags: int) -> str:
    if payload:
        try:
            seconds = json.loads(payload) if len(payload) <= _MOST_B else None
        except ValueError:
            seconds = None
        if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not _LEAST_S <= seconds <= _MOST_S:
            raise ValueError("needed is a number of seconds from %s to %d" % (_LEAST_S, _MOST_S))
        if seconds != node.cfg["interval_s"]:
            change(node, seconds)
    return "interval_s is %s" % node.cfg["interval_s"]


def change(node, seconds) -> None:
    """Write it down, and live by it. Raises OSError, ValueError, and nothing has changed."""
    import config_file
    from probation import refuse_another

    for name in ("config_file", "probation"):
        sys.modules.pop(name, None)
    refuse_another(config_file.NAME)
    given = config_file.load()
    given["interval_s"] = seconds
    config_file.write(given)
    node.cfg["interval_s"] = seconds
    node.measure_in(int(seconds * 1000))
    node.diag = node.cfg["diag"]  # which tells the interval
    for source in node.sources:
        source.announced = 0  # Home Assistant is told when a value is too old
