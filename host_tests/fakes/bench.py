"""A client on the fake network: what nearly every story needs.

b, c = pair(clean_session=False)          # a scripted broker and a native client of it
world().client(...), .net, .clock, .broker for more than that
"""

import sys

import fakes.shim  # noqa: F401 - before the library
from fakes import loop
from fakes.broker import Script
from fakes.clock import Clock, ticks_add, ticks_diff
from fakes.net import Net

HOST = "broker.test"
PORT = 1883


def wire_up(net, clock):
    """The library's modules look at this network and this clock from now on."""
    import umqtt.addons
    import umqtt.client
    import umqtt.publisher
    import umqtt.reconnect
    import umqtt.robust
    import umqtt.simple
    import umqtt.stream
    import umqtt.tls

    loop.import_aio()
    loop.install(net, clock)
    umqtt.tls.collect = int  # on CPython it takes 50 ms, at each connection
    if sys.implementation.name != "micropython":
        # CPython's IOBase has a `close` of its own, MicroPython's has nothing
        umqtt.simple.Sock.close = lambda sock: sock.__getattr__("close")()
    fakes = {
        "socket": net.socket,
        "select": net.select,
        "ticks_ms": clock.ticks_ms,
        "ticks_diff": ticks_diff,
        "ticks_add": ticks_add,
        "sleep_ms": clock.sleep_ms,
        "core": loop.core,
        "Event": loop.Event,
    }
    # whichever modules the library has: shipped, one has the names of several
    for path in list(sys.modules):
        if path.startswith("umqtt."):
            for name in fakes:
                if hasattr(sys.modules[path], name):
                    setattr(sys.modules[path], name, fakes[name])


class World:
    """One clock, one network, one broker on it: a Script, or what `kind` makes of the clock. Clients are made by
    client()."""

    def __init__(self, kind=Script, **named):
        self.clock = Clock()
        self.net = Net(self.clock)
        self.broker = kind(self.clock, **named)
        self.net.serve(HOST, PORT, self.broker)
        wire_up(self.net, self.clock)

    def client(self, client_id="c1", server=HOST, **named):
        """A native client; its callback appends (topic, payload, retained) to its world's `inbox`."""
        from umqtt.client import MQTTClient

        c = MQTTClient(client_id, server, **named)
        c.pid = 0  # a kept session begins at a random id; the stories count from 1
        self.inbox = []
        c.set_callback(
            lambda topic, payload, retained: self.inbox.append((bytes(topic), bytes(payload), bool(retained)))
        )
        return c

    def aio_client(self, client_id="c1", server=HOST, **named):
        """A client of umqtt.aio; what it does runs in `run`."""
        c = loop.import_aio().MQTTClient(client_id, server, **named)
        c.pid = 0
        return c

    def run(self, main, on_step=None):
        """Run the coroutine `main` on this world's loop; what it returns."""
        return loop.run(main, on_step)

    def serve(self, c, ms):
        """c.poll() for ms of the virtual time."""
        end = self.clock.now + ms
        while self.clock.now < end:
            c.poll(end - self.clock.now)

    @property
    def link(self):
        return self.net.links[-1]


def pair(**named):
    """A scripted broker and a native client of it."""
    w = World()
    c = w.client(**named)
    c.world = w
    return w.broker, c
