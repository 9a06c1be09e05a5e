"""What is the configuration of this start? What an earlier start has made of config.json, as long as that is the same;
else it is checked again, key by key (config_check).

Not needed once it has been read: the program drops this module to have its heap back.
"""

import json
import os
import sys
from hashlib import sha256

from micropython import const

_FILE = const("config.json")
_CHECKED = const("config.checked")  # a SHA-256, and the JSON of config_check.taken()
_MARK_B = const(32)
_RULES = b""  # of a build: the digest of config_check.py (tools/ship/keys.py); b"": what was checked is not kept


def take():
    """The configuration of this start, one on trial if there is one; this module is forgotten. None when something is
    wrong: that is printed, and nothing can start. Beside the keys it has `trials` and `came_back`: names of files that
    are on trial now, or were and failed (probation); `start`: what slots says of this start."""
    import slots

    for name in (__name__, "slots"):
        del sys.modules[name]
    start = slots.kind()
    is_safe = start == slots.SAFE
    has_others = any(_is_there(_FILE + "." + state) for state in ("new", "try", "bad"))  # see probation
    found = None if has_others else _found_before()
    if not found:
        import config_check

        del sys.modules["config_check"]
        try:
            found = config_check.chosen(is_safe) if has_others else config_check.taken(_FILE, is_safe)
        except ValueError as e:
            print(e)
            try:
                os.remove(_CHECKED)  # it has the passwords of the one before
            except OSError:
                pass
            slots.ended("it refuses this board's config.json: %s" % e)
            return None
        if _RULES and not has_others and not is_safe:
            _keep(found)
    cfg, notes = found
    for note in notes:
        print(note)
    wires = cfg["i2c"]
    for entry in cfg["sensors"] if wires else ():
        if entry["i2c"] == wires:
            entry["i2c"] = wires  # one object for all, which holds the bus once it is open
    cfg["start"] = start
    cfg["trials"] = tuple(cfg["trials"]) + (slots.trials() if start else ())
    if is_safe:
        cfg["sensors"] = ()
    if cfg["ota_key"]:
        slots.begin()
    return cfg


def _found_before():
    # what _keep() was given, if neither config.json nor its rules have changed since; else None
    try:
        with open(_CHECKED, "rb") as f:
            mark = f.read(_MARK_B)
            text = f.read()
        return json.loads(text) if mark == _mark(text) else None
    except OSError:
        return None


def _keep(found):
    try:
        text = json.dumps(found).encode()
        mark = _mark(text)  # which what a power cut leaves of it has not
        with open(_CHECKED, "wb") as f:
            f.write(mark)
            f.write(text)
    except (MemoryError, OSError):
        pass  # it is checked at the next start, too


def _mark(text):
    digest = sha256(_RULES)
    with open(_FILE, "rb") as f:
        digest.update(f.read())
    digest.update(text)
    return digest.digest()


def _is_there(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False
