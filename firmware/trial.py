"""How does a trial end? What probation.py began is kept once a connection to the broker has lasted without a crash;
else the board starts with what was before. Imported while there is a trial, or one that failed is to be told."""

from sys import modules

from micropython import const

import clock
import power
import probation
from probation import LIMIT_S

_LASTED_S = const(10)  # a connection that stood so long was one


def judge(node) -> None:
    """Is it over? Raises OSError."""
    now_s = clock.uptime_s()
    on_trial = node.cfg["trials"]
    lasted = now_s - node.up_s > _LASTED_S and not node.running.count
    if node.client.isconnected() and (lasted or not on_trial):
        passed(node)
    elif on_trial and now_s > LIMIT_S:
        print("trial: the broker was not reached in %d s: back to what was before" % LIMIT_S)
        power.restart()


def passed(node) -> None:
    """What is on trial counts from now on; what was, and failed, is told. Raises OSError."""
    cfg = node.cfg
    trials, came_back = cfg["trials"], cfg["came_back"]
    node.trials = cfg["trials"] = cfg["came_back"] = ()
    for name in trials:
        probation.keep(name)
        tell(node, name, True, "kept: the broker was reached")
    for name in came_back:
        tell(node, name, False, "not kept: it did not reach the broker within %d s, or the board was reset meanwhile;"
             " what was before is back" % LIMIT_S)  # fmt: skip
        probation.forget(name)
    for name in ("probation", "trial"):
        modules.pop(name, None)


def tell(node, name: str, ok: bool, words: str) -> None:
    """Say it on the serial port, and as an answer to the command that a name begins with: config.json, ota/boot."""
    print("trial: %s: %s" % (name, words))
    if node.listener:
        node.listener.answer(name.replace(".", "/").partition("/")[0], ok, words)
