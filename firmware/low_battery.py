"""How does a board rest when its battery is low? It says so, sends what waits, and sleeps. Imported only then."""

from time import ticks_diff, ticks_ms

from micropython import const

import power
from ending import finish

_PATIENCE_MS = const(60000)  # to reach the broker: the radio is what empties a battery


def rest(node) -> None:
    """One step of node, whose battery is low. Returns while what waits is being sent; else never."""
    c = node.client
    now = ticks_ms()
    if node.t_low is None:
        node.t_low = now
        print("battery: low: once what waits is sent, sleeping for %d s" % node.rest_s)
    unsent = not c or node.waiting() or c.inflight
    if unsent and ticks_diff(now, node.t_low) < _PATIENCE_MS:
        return
    finish(node, node.cfg["timeout_s"] * 1000)
    if node.waiting():
        print("battery: low: %d readings wait" % node.waiting())
    power.deep_sleep(node.rest_s * 1000)
