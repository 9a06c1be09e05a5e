"""stay_awake SECONDS: a board that sleeps stays connected for so long from now, and takes commands. Sent retained, it
finds the board at its next wake, and at each one until it is cleared. 0 or empty: it may sleep."""

RETAINED = True
_MOST_S = 86400


def carry_out(node, payload: bytes, flags: int) -> str:
    text = str(payload, "utf-8").strip() or "0"
    if not text.isdigit() or int(text) > _MOST_S:
        raise ValueError("needed is a whole number of seconds from 0 to %d" % _MOST_S)
    node.listener.stay(int(text))
    if not node.cfg["deep_sleep"]:
        return "this board does not sleep"
    return "awake for %s s" % text if int(text) else "it may sleep"
