"""Calls a function per filter: `c.set_callback(routes)`.

routes = Routes(); routes.add("cmd/+/led", f) with f(topic, msg, retained), topic and msg bytes.

Filters are split when they are added. Those without wildcards are looked up by their whole text; the others stand in a
tree with a node per level, so a message costs its own levels, not the number of filters.
"""

from micropython import const

from umqtt.wire import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from umqtt.hints import Callback

# A node of the tree is a list. A route is the index of a function in the order of adding.
_NAMED = const(0)  # level (bytes): the node below it; None when there is none
_ANY = const(1)  # the node below +, None when there is none
_REST = const(2)  # routes whose filter goes on with #
_HERE = const(3)  # routes whose filter ends here


def _node():
    return [None, None, (), ()]


class Routes:
    """A callback that calls others by topic. default: f(topic, msg, retained) for topics that no filter matches, None
    to ignore those. Takes about 190 B of heap for a filter with wildcards, 80 B for one without; each message
    allocates."""

    default: "Callback | None"

    def __init__(self, default: "Callback | None" = None) -> None:
        self.default = default
        self._functions = []
        self._exact = {}  # filter without wildcards: its routes
        self._root = _node()

    def add(self, filter: "str | bytes", f: "Callback") -> None:
        """Call f(topic, msg, retained) for topics that `filter` matches [4.7]; every match is called, in the order of
        adding. An exception of f comes out of `poll`. Raises ValueError for a filter that MQTT does not allow."""
        filter = text(filter, 1, "filter")[2:]
        self._functions.append(f)
        routes = (len(self._functions) - 1,)
        if b"+" not in filter and b"#" not in filter:
            self._exact[filter] = self._exact.get(filter, ()) + routes
            return
        node = self._root
        ends = _HERE
        for level in filter.split(b"/"):
            if level == b"#":
                ends = _REST
            elif level == b"+":
                if not node[_ANY]:
                    node[_ANY] = _node()
                node = node[_ANY]
            else:
                if not node[_NAMED]:
                    node[_NAMED] = {}
                node = node[_NAMED].setdefault(level, _node())
        node[ends] += routes

    def __call__(self, topic: bytes, msg: bytes, retain: bool) -> None:
        routes = list(self._exact.get(topic, ()))
        root = self._root
        if topic[:1] == b"$":  # a wildcard in front does not match it [4.7.2]
            root = [root[_NAMED], None, (), ()]
        _find(root, topic.split(b"/"), 0, routes)
        if routes:
            if len(routes) > 1:
                routes.sort()
            while routes:
                self._functions[routes.pop(0)](topic, msg, retain)
        elif self.default:
            self.default(topic, msg, retain)


def _find(node, levels, depth, routes):
    # append to `routes` those below `node`, to which the first `depth` levels led. Its frame has at most 11 words, and
    # so stays off the heap
    if node[_REST]:
        routes.extend(node[_REST])  # a/# matches a, too [4.7.1.2]
    if depth == len(levels):
        routes.extend(node[_HERE])
        return
    if node[_ANY]:
        _find(node[_ANY], levels, depth + 1, routes)
    node = node[_NAMED]
    if node:
        node = node.get(levels[depth])
        if node:
            _find(node, levels, depth + 1, routes)
