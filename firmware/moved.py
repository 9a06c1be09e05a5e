"""What did the board leave with the broker under a name that it has given up? Its retained messages there are cleared,
and it hears nothing more there. Imported when a change of config.json was kept, and forgotten again."""

import sys

from micropython import const

import power
from clock import uptime_s
from flags import RETAINED

_LOOK_S = const(5)  # for what the broker has
_MOST_LEFT = const(16)  # that are remembered at one time


def clear(node, old: dict) -> None:
    """Clear what is retained under the client id, topic and ha_prefix of `old`, config.json as it was, where they are
    others now. It takes some turns of the node, whose listener must be there."""
    sys.modules.pop(__name__, None)
    client_id = old.get("client_id") or "umqtt-" + power.chip_id()
    topic = "%s/%s/" % (old.get("topic", "umqtt"), client_id)
    prefix = old.get("ha_prefix", "")
    left = []
    gone = []  # filters; with a journal the client renews them
    look = ""
    if topic != node.topic:
        left = [topic + "status", topic + "diag"]
        gone = [topic + "cmd/+"]
    if prefix and prefix != node.cfg["ha_prefix"]:
        gone.append(prefix + "/status")
    if prefix and (client_id != node.client_id or prefix != node.cfg["ha_prefix"]):
        from announcement import legal

        look = "%s/+/%s/#" % (prefix, legal(client_id))
        gone.append(look)
        for name in ("announcement", "announcing"):  # the shipped form has the first in the second
            sys.modules.pop(name, None)
    if gone:
        _begin(node.listener, left, look, gone)


def _begin(listener, left, look, gone):
    began_s = uptime_s()

    def seen(topic, payload, flags):
        if payload and flags & RETAINED and topic.endswith(b"/config") and len(left) < _MOST_LEFT:
            left.append(topic)

    def turn(c):
        while left and c.free_slots():
            c.publish(left.pop(), "", True, 1, False)
        if left or look and uptime_s() - began_s < _LOOK_S:
            return True
        while gone and c.free_slots():
            listener.unhear(gone.pop())
        return bool(gone)

    if look:
        listener.hear(look, 0, seen, 1)
        listener.stay(_LOOK_S + 1)
    listener.turns["moved"] = turn
