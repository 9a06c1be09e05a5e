"""config {...}: a part of config.json is changed; null takes a key out. All of it is checked, then the board starts
with it: when it does not reach the broker in time, the old one is back, and the answer says so. Empty: what is set, but
no secret."""

import reconfigure


def carry_out(node, payload: bytes, flags: int) -> str:
    try:
        if not payload:
            return reconfigure.shown()
        given, differ = reconfigure.changed(payload)
        if not differ:
            return "nothing differs"
        limit_s = reconfigure.offer(given)
    finally:
        reconfigure.forget()
    from commands.restart import restart

    node.listener.afterwards(restart)
    return "%s: on trial for %d s after a restart" % (", ".join(differ), limit_s)
