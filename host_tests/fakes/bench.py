"""A client on the fake network: what nearly every story needs.

b, c = pair(clean_session=False)          # a scripted broker and a native client of it
world().client(...), .net, .clock, .broker for more than that
"""

import sys

import fakes.shim  # noqa: F401 - before the library
from fakes import loop
from fakes.broker import Script
from fakes.check import skip
from fakes.clock import Clock, ticks_add, ticks_diff
from fakes.net import Net

HOST = "broker.test"
PORT = 1883

# The runners set it: `client` makes clients of umqtt.aio. A file of stories that says NOT_ON_ASYNCIO = (test, ...) is
# run so as well, but for these.
on_asyncio = False


def wire_up(net, clock):
    """The library's modules look at this network and this clock from now on."""
    import umqtt.addons
    import umqtt.client
    import umqtt.publisher
    import umqtt.reconnect
    import umqtt.roaming
    import umqtt.robust
    import umqtt.simple
    import umqtt.stream
    import umqtt.tls

    loop.import_aio()
    loop.import_aio("umqtt.in_line")
    loop.import_aio("umqtt.inbox")
    loop.import_aio("umqtt.aio_stream")
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


class Awaited:
    """A client of umqtt.aio with the face of the blocking one, so that one story tells of both: a call runs the loop
    until it is done, `poll` for its time."""

    AWAITED = ("connect", "disconnect", "publish", "subscribe", "unsubscribe")

    def __init__(self, world, client, reconnects):
        for name, value in (("world", world), ("client", client), ("reconnects", reconnects), ("served", False)):
            object.__setattr__(self, name, value)

    def __getattr__(self, name):
        found = getattr(self.client, name)
        return self._blocking(found) if name in self.AWAITED else found

    def __setattr__(self, name, value):
        setattr(self.client, name, value)

    def _blocking(self, call_of_client):
        def call(*args, **named):
            got = call_of_client(*args, **named)
            if hasattr(got, "send") and loop.core.cur_task is not None:
                got.close()
                raise OSError(107, "inside a callback")
            return self.world.run(got) if hasattr(got, "send") else got

        return call

    def poll(self, ms=0):
        """What serving the connection raises comes out here, as it does there."""
        if loop.core.cur_task is not None:
            raise OSError(107, "poll inside a callback")
        was_up = self.client.isconnected()
        if self.reconnects and not self.served:
            self.world.run(self.client.__aenter__())
            object.__setattr__(self, "served", True)
        loop.turn(ms)
        if loop.Loop.unhandled:
            raise loop.Loop.unhandled.pop(0)["exception"]
        if not self.client.isconnected() and not self.reconnects:
            try:
                self.world.run(self.client.take() if was_up else self.client.publish("t", b"", qos=1))
            except StopAsyncIteration:
                pass  # a callback has disconnected


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

        if on_asyncio:
            client = loop.import_aio().MQTTClient(client_id, server, **named)
            client = Awaited(self, client, named.get("reconnect"))
        else:
            client = MQTTClient(client_id, server, **named)
        client.pid = 0  # a kept session begins at a random id; the stories count from 1
        self.inbox = []
        client.set_callback(
            lambda topic, payload, retained: self.inbox.append((bytes(topic), bytes(payload), bool(retained)))
        )
        return client

    def aio_client(self, client_id="c1", server=HOST, **named):
        """A client of umqtt.aio; what it does runs in `run`."""
        client = loop.import_aio().MQTTClient(client_id, server, **named)
        client.pid = 0
        return client

    def run(self, main, on_step=None):
        """Run the coroutine `main` on this world's loop; what it returns."""
        return loop.run(main, on_step)

    def serve(self, client, ms):
        """c.poll() for ms of the virtual time."""
        end = self.clock.now + ms
        while self.clock.now < end:
            client.poll(end - self.clock.now)

    @property
    def link(self):
        return self.net.links[-1]


def pair(**named):
    """A scripted broker and a native client of it."""
    world = World()
    client = world.client(**named)
    client.world = world
    return world.broker, client


def aio_pair(**named):
    """A world whose scripted broker has taken CONNECT, the broker, and a client of umqtt.aio that is yet to connect."""
    world = World()
    client = world.aio_client(**named)
    world.broker.accept()
    return world, world.broker, client


async def payloads(client, count):
    """Of the next `count` messages that a client of umqtt.aio gets."""
    got = []
    while len(got) < count:
        got.append((await client.take())[1])
    return got


class InTheScheduler:
    """Within, `micropython.schedule` is that of one of its callbacks: what it is given does not run now."""

    def __enter__(self):
        self.turns = sys.modules["umqtt.turns"] if "umqtt.turns" in sys.modules else sys.modules["umqtt.client"]
        if not hasattr(self.turns, "schedule"):
            skip("shipped, the name is another")
        self.plain, self.turns.schedule = self.turns.schedule, self.queue_is_full

    def __exit__(self, *fault):
        self.turns.schedule = self.plain

    def queue_is_full(self, f, argument):
        raise RuntimeError("schedule queue full")
