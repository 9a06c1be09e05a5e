"""log: the last lines of the log. log N: the last N. log on [SECONDS]: from now on (600 s) each line to
TOPIC/CLIENT_ID/log; log off ends it."""

from clock import uptime_s

_STREAM_S = 600
_MOST_S = 86400


def carry_out(node, payload: bytes, flags: int):
    if not node.cfg["log_b"]:
        raise ValueError("no lines are kept: log_b is 0 in config.json")
    word, _, seconds = str(payload, "utf-8").strip().partition(" ")
    if word == "off":
        node.listener.turns.pop("log", None)
        return "no more lines"
    if word == "on":
        if seconds and not (seconds.isdigit() and 0 < int(seconds) <= _MOST_S):
            raise ValueError("log on: needed is nothing, or seconds from 1 to %d" % _MOST_S)
        seconds = int(seconds or _STREAM_S)
        node.listener.turns["log"] = stream(node.topic + "log", uptime_s() + seconds)
        return "lines for %d s" % seconds
    text, _ = since(0)
    if not word:
        return text
    if not word.isdigit():
        raise ValueError("log: needed is nothing, how many lines, on, on SECONDS or off")
    lines = text.split("\n")
    return "\n".join(lines[-min(int(word), len(lines)) - 1 :])


def since(at: int):
    """(text, end): what was said from byte `at` on, as far as it is kept; the byte behind it."""
    import tail  # here: `total` is set with each line

    ring = tail.ring
    first = max(at, tail.total - len(ring))
    got = bytes([ring[i % len(ring)] for i in range(first, tail.total)])
    while got and got[0] & 0xC0 == 0x80:  # the rest of a character
        got = got[1:]
    return str(got, "utf-8"), tail.total


def stream(topic: str, until_s: int):
    """A function for Listener.turns: publishes the lines since the last call, until that uptime."""
    at = [since(0)[1]]

    def publish(c):
        text, end = since(at[0])
        for line in text.split("\n"):
            if line:
                c.publish(topic, line)
        at[0] = end
        return uptime_s() < until_s

    return publish
