"""How is config.json changed without a cable? Imported by the commands that do, and forgotten again, with the code that
checks it."""

import json
import sys

import config_check


def changed(part: bytes):
    """The object of config.json with a part of it changed as `part` says, JSON in which null takes a key out
    (RFC 7396). Returns (the new object, the keys that differ). Raises ValueError as config_check.check() does, and
    while another change is on trial."""
    _refuse_another()
    try:
        change = config_check.paired(json.loads(part)) if config_check.is_closed((part,)) else None
    except ValueError:
        change = None
    if not isinstance(change, dict):
        raise ValueError('needed is an object in JSON with keys of config.json, like {"interval_s": 30}')
    given = config_check.given_in(config_check.FILE)
    differ = [key for key in change if json.dumps(given.get(key)) != json.dumps(change[key])]
    for key in differ:
        given[key] = change[key]
        if change[key] is None:
            del given[key]
    config_check.check(given)
    return given, sorted(differ)  # pyright: ignore[reportArgumentType]


def _refuse_another():
    # in a function of its own, whose end lets go of what it has loaded: an ESP8266 has no room for it beside the check
    from probation import refuse_another

    refuse_another(config_check.FILE)
    del sys.modules["probation"]


def shown() -> str:
    """config.json without what is secret by its key, or may be: an address with a login. Raises ValueError."""
    given = config_check.given_in(config_check.FILE)
    if given.get("password", "") in ("", given.get("user")):
        given.pop("user", None)  # a token
    return json.dumps(config_check.without_secrets(given))


def offer(given: dict) -> int:
    """It is tried at the next start, for so many seconds. Raises OSError."""
    import config_file  # only now, as above
    from probation import LIMIT_S

    config_file.write(given, True)
    return LIMIT_S


def forget() -> None:
    """The heap is needed for other things."""
    for name in ("reconfigure", "config_check", "config_file", "probation"):
        if name in sys.modules:
            del sys.modules[name]
