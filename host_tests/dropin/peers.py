"""The clients that the same script is run against: ours, and micropython-lib's own when
PEERS=/path/to/micropython-lib is given.

Nothing of upstream is stored here; what must agree stands in the tests as facts.
"""

import os

import fakes.shim  # noqa: F401
from fakes.bench import HOST, World
from fakes.packets import CONNACK, CONNECT

GETENV = getattr(os, "getenv", None)
PEERS = GETENV("PEERS") if GETENV else None
PLACES = {
    "simple": ("micropython/umqtt.simple/umqtt/simple.py", "umqtt/simple.py", "simple.py"),
    "robust": ("micropython/umqtt.robust/umqtt/robust.py", "umqtt/robust.py", "robust.py"),
}


class _Names:
    def __init__(self, **names):
        for name in names:
            setattr(self, name, names[name])


def upstream(which, net=None, clock=None):
    """The namespace of upstream's simple or robust on a fake network, None when PEERS does not name it."""
    if not PEERS:
        return None
    text = None
    for place in PLACES[which]:
        try:
            with open(PEERS + "/" + place) as file:
                text = file.read()
            break
        except OSError:
            pass
    if text is None:
        raise AssertionError("PEERS=%s holds none of %r" % (PEERS, PLACES[which]))
    env = {"__name__": "upstream_" + which}
    if which == "robust":
        simple = upstream("simple", net, clock)
        env["simple"] = _Names(MQTTClient=simple["MQTTClient"])
        env["time"] = _Names(sleep=clock.sleep) if clock else None
        text = text.replace("from . import simple", "").replace("import time\n", "")
    else:
        import struct

        env["socket"] = net.socket if net else None
        env["struct"] = struct
        lines = []
        for line in text.split("\n"):
            if not line.startswith(("import ", "from ")):
                lines.append(line)
        text = "\n".join(lines)
    exec(text, env)
    return env


class Stage:
    """A scripted broker and a factory of clients of one kind."""

    def __init__(self, name, which):
        self.name = name
        self.world = World()
        self.broker = self.world.broker
        if name == "ours":
            module = __import__("umqtt." + which, None, None, ["MQTTClient"])
            self.Client = module.MQTTClient
            self.MQTTException = (
                module.MQTTException
                if which == "simple"
                else __import__("umqtt.simple", None, None, ["x"]).MQTTException
            )
        else:
            env = upstream(which, self.world.net, self.world.clock)
            self.Client = env["MQTTClient"]
            self.MQTTException = upstream("simple")["MQTTException"] if which == "robust" else env["MQTTException"]

    def client(self, *args, **named):
        return self.Client("cid", HOST, *args, **named)

    def connected(self, *args, **named):
        """A client that is connected, its messages in self.inbox."""
        self.broker.expect(CONNECT)
        self.broker.send(CONNACK)
        client = self.client(*args, **named)
        self.inbox = []
        client.set_callback(lambda topic, msg: self.inbox.append((topic, msg)))
        client.connect()
        return client


def stages(which="simple"):
    """Ours, and upstream when it is there."""
    yield Stage("ours", which)
    if PEERS:
        yield Stage("upstream", which)
