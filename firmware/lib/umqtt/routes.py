"""Calls a function per filter: `c.set_callback(routes)`.

routes = Routes(); routes.add("cmd/+/led", f) with f(topic, msg, retained), topic and msg bytes.
"""

from umqtt.wire import text


def match(filter, topic):
    """Whether `topic` (bytes) is matched by `filter` (bytes) with + and # [4.7]. Wildcards in front do not match $
    topics."""
    if topic[:1] == b"$" and filter[:1] in b"+#":
        return False
    t = topic.split(b"/")
    i = 0
    for level in filter.split(b"/"):
        if level == b"#":
            return True
        if i == len(t) or level != b"+" and level != t[i]:
            return False
        i += 1
    return i == len(t)


class Routes:
    """default: f(topic, msg, retained) for what no filter matches, None to ignore it."""

    def __init__(self, default=None):
        self.default = default
        self.subs = []  # (filter, f)

    def add(self, filter, f):
        """Call f for topics that `filter` (str or bytes) matches; every match is called, in the order of adding.
        Raises ValueError."""
        self.subs.append((text(filter, 1)[2:], f))

    def __call__(self, topic, msg, retain):
        rest = self.default
        for filter, f in self.subs:
            if match(filter, topic):
                rest = None
                f(topic, msg, retain)
        if rest:
            rest(topic, msg, retain)
