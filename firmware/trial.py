"""How does a trial end? What probation.py began is kept once a connection to the broker has lasted without a crash;
else the board starts with what was before. Imported while there is a trial, or one that failed is to be told."""

from sys import modules

from micropython import const

import clock
import power
import probation
from probation import LIMIT_S
from slots import ended, is_safe, well

_CONFIG = const("config.json")
_WHY = "it did not reach the broker within %d s, or the board was reset meanwhile" % LIMIT_S
_LASTED_S = const(10)  # a connection that stood so long was one
_WELL_S = const(60)  # without a crash: then a start is none of a boot loop
_SAFE_S = const(3600)  # in safe mode, then the whole firmware gets one more start


def judge(node) -> None:
    """Is it over? Raises OSError."""
    now_s = clock.uptime_s()
    on_trial = node.cfg["trials"]
    if not on_trial and not node.cfg["came_back"]:
        count(node, now_s)
        return
    # a link that stands, and a broker that takes what it is sent
    lasted = now_s - node.up_s > _LASTED_S and not (node.running.count or node.client and node.client.inflight)
    if node.client and node.client.isconnected() and (lasted or not on_trial):
        passed(node)
    elif on_trial and now_s > LIMIT_S:
        print("trial: the broker was not reached in %d s: back to what was before" % LIMIT_S)
        if node.cfg["start"]:
            ended("it did not reach the broker in %d s" % LIMIT_S)
        power.restart()


def count(node, now_s: int) -> None:
    """A start that lasts is none of a boot loop; safe mode is not for ever. Raises OSError."""
    if is_safe():
        if now_s > _SAFE_S:
            power.restart()
    elif now_s > _WELL_S and not node.running.count:
        well()
        node.trials = node.cfg["start"] = 0
        for name in ("slots", "probation", "trial"):
            modules.pop(name, None)


def slept(node) -> None:
    """A board that sleeps has come to its sleep: that start, too, is none of a boot loop. Raises OSError."""
    if not is_safe():
        well()


def passed(node) -> None:
    """What is on trial counts from now on; what was, and failed, is told. Raises OSError."""
    cfg = node.cfg
    trials, came_back = cfg["trials"], cfg["came_back"]
    cfg["trials"] = cfg["came_back"] = ()
    node.trials = cfg["start"]
    old = None
    for name in trials:
        if name == _CONFIG and node.listener:
            from config_file import load

            old = load()
        probation.keep(name)
        tell(node, name, True, "kept: the broker was reached")
    for name in came_back:
        why = probation.why(name) or _WHY
        tell(node, name, False, "not kept: %s; what was before is back" % why)
        probation.forget(name)
    if old:
        clear_moved(node, old)
    for name in ("probation", "trial"):
        modules.pop(name, None)


def clear_moved(node, old: dict) -> None:
    """What the board has left with the broker under the name of the configuration before is cleared, if it has another
    now. A board that sleeps stays awake for it."""
    from moved import clear

    clear(node, old)
    modules.pop("config_file", None)
    if node.cfg["deep_sleep"]:
        node.attend()


def failed(cfg, e) -> None:
    """What is on trial has ended the program with e, an exception or words: the next start takes what was before. Never
    returns when that is an update."""
    if _CONFIG in cfg["trials"]:
        try:
            probation.write(_CONFIG + probation.WHY, (str(e).encode(),))
        except OSError:
            pass  # then it is told without a reason
    if cfg.get("start"):
        ended(e if isinstance(e, str) else "%s: %s" % (e.__class__.__name__, e))


def tell(node, name: str, ok: bool, words: str) -> None:
    """Say it on the serial port, and as an answer to the command that a name begins with: config.json, ota/boot."""
    print("trial: %s: %s" % (name, words))
    if node.listener:
        node.listener.answer(name.replace(".", "/").partition("/")[0], ok, words)
