"""Calls a function per filter: `c.set_callback(routes)`.

routes = Routes(); routes.add("cmd/+/led", f) with f(topic, msg, retained), topic and msg bytes.
"""

from umqtt.wire import text


def match(filter, topic):
    """Whether `topic` (bytes) is matched by `filter` (bytes) with + and # [4.7]. Wildcards in front do not match $
    topics."""
    f = filter.split(b"/")
    t = topic.split(b"/")
    if topic[:1] == b"$" and f[0] in (b"+", b"#"):
        return False
    i = 0
    for level in f:
        if level == b"#":
            return True
        if i == len(t) or level != b"+" and level != t[i]:
            return False
        i += 1
    return i == len(t)


class Routes:
    """default: f(topic, msg, retained) for what no filter matches, None to ignore it."""

    def __init__(self, default=None):
        self.routes = []
        self.default = default

    def add(self, filter, f):
        """Call f for topics that `filter` (str or bytes) matches; every match is called, in the order of adding.
        Raises ValueError."""
        self.routes.append((text(filter, 1)[2:], f))

    def __call__(self, topic, msg, retained):
        hit = False
        for filter, f in self.routes:
            if match(filter, topic):
                hit = True
                f(topic, msg, retained)
        if not hit and self.default:
            self.default(topic, msg, retained)
