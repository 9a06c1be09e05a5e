"""No memory, from any jump of a call on: the call ends, and the client goes on.

The heap is locked at one jump of the call after the other, as a Timer's callback comes there; the fakes, which are C
on a board, have memory. CPython cannot lock its heap.
"""

import sys

from fakes import bench, net, packets5
from fakes.bench import World
from fakes.bench5 import client5, load5
from fakes.check import equal, skip
from fakes.clock import Clock
from fakes.model import Model
from micropython import schedule
from umqtt import stream
from umqtt.publisher import Publisher
from umqtt.reconnect import Reconnect

FAKES = (
    (net.Socket, ("connect", "write", "read", "readinto", "close", "setsockopt", "settimeout")),
    (net.Poll, ("register", "modify", "ipoll")),
    (Clock, ("ticks_ms", "sleep_ms")),
    (bench, ("ticks_add", "ticks_diff")),
)
NOT_GIVEN = object()
ROOM = net.Plan().buffer
NO_MEMORY = (MemoryError, OSError)  # made while there is some


class Model5(Model):
    codec = packets5


def of_mqtt_3(**named):
    """A world and a client."""
    world = World(Model, ack_ms=3)
    return world, world.client(**named)


def of_mqtt_5(**named):
    load5()
    world = World(Model5, ack_ms=3)
    return world, client5(world, **named)


class Starved:
    """A client in traffic whose `call` finds no memory from its jump number `at` on."""

    def __init__(self, make, call, at):
        self.world, self.client = world, client = make(reconnect=Reconnect(5, 5), inflight=2)
        world.serve(client, 100)
        for topic_filter in ("in", "in/+", "in/#"):
            client.subscribe(topic_filter, 2)
        self.prepared = [Publisher(client, "main", size=16, qos=qos) for qos in (0, 1)]
        self.at = at
        self.jumps = self.inside = 0
        self.locked = self.over = False
        self.fault = None
        self.tick_method = self.tick
        self.prepare(call)
        schedule(self.tick_method, 0)
        try:
            call(self)
        except NO_MEMORY as error:
            self.fault = error
        finally:
            self.over = True
            if self.locked:
                micropython.heap_unlock()

    def prepare(self, call):
        client = self.client
        if call is take_messages:
            for qos in (0, 1, 2):
                self.world.broker.inject("in", b"m%d" % qos, qos)
        elif call is publish_behind:
            self.world.link.plan.buffer = 20
            self.world.clock.at(10, setattr, self.world.link.plan, "buffer", ROOM)
            client.publish("before", b"before" * 10, qos=0, wait=False)
        elif call is publish_without_slots:
            for digit in b"12":
                client.publish("before", bytes((digit,)), qos=2, wait=False)
        elif call is connect_again:
            self.world.broker.forget()
            self.world.link.rst()

    def tick(self, _):
        if self.over or self.locked:
            return
        if not self.inside:
            self.jumps += 1
            if self.jumps == self.at:
                self.locked = True
                micropython.heap_lock()
                return
        schedule(self.tick_method, 0)


def publish_0(watched):
    watched.client.publish("main", b"main")


def publish_1(watched):
    watched.client.publish("main/%d" % watched.at, "main", qos=1)


def publish_2(watched):
    watched.client.publish("main", bytearray(b"main"), qos=2)


def publish_large(watched):
    watched.client.publish("main", b"main" * 200, qos=1)


def publish_behind(watched):
    watched.client.publish("main", b"main")


def publish_without_slots(watched):
    watched.client.publish("main", b"main", qos=1)


def publish_prepared_0(watched):
    watched.prepared[0].publish(b"main")


def publish_prepared_1(watched):
    watched.prepared[1].publish(b"main")


class Zeros:
    def readinto(self, buf):
        return len(buf)


def publish_stream(watched):
    stream.publish(watched.client, "main", Zeros(), 1000, qos=1)


def subscribe(watched):
    watched.client.subscribe([("more", 1), ("x", 2)])


def take_messages(watched):
    watched.world.serve(watched.client, 20)


def connect_again(watched):
    watched.world.serve(watched.client, 60)


def ping(watched):
    watched.client.ping()


CALLS = (
    publish_0,
    publish_1,
    publish_2,
    publish_large,
    publish_behind,
    publish_without_slots,
    publish_prepared_0,
    publish_prepared_1,
    publish_stream,
    subscribe,
    take_messages,
    connect_again,
    ping,
)


def with_memory(plain, runs):
    """A method of a fake that has memory while the library has none; `runs`: [Starved] while there is one."""

    def wrapped(first=NOT_GIVEN, second=NOT_GIVEN, third=NOT_GIVEN, fourth=NOT_GIVEN):  # *args would take memory
        watched = runs[-1] if runs else None
        if watched:
            watched.inside += 1
            if watched.locked and watched.inside == 1:
                micropython.heap_unlock()
        try:
            return plain(*[argument for argument in (first, second, third, fourth) if argument is not NOT_GIVEN])
        finally:
            if watched:
                if watched.locked and watched.inside == 1 and not watched.over:
                    micropython.heap_lock()
                watched.inside -= 1

    return wrapped


class Watched(Starved):
    runs = []

    def prepare(self, call):
        Starved.prepare(self, call)
        Watched.runs[:] = [self]


def test_a_call_that_finds_no_memory_anywhere_leaves_a_client_that_goes_on_at_once():
    starve(of_mqtt_3)


def test_a_call_of_umqtt_v5_does_so_too():
    starve(of_mqtt_5)


def starve(make):
    if sys.implementation.name != "micropython":
        skip("CPython cannot lock its heap")
    plain = [(kind, name, getattr(kind, name)) for kind, names in FAKES for name in names]
    tries = 0
    try:
        for kind, name, method in plain:
            setattr(kind, name, with_memory(method, Watched.runs))
        for call in CALLS:
            at = 1
            while True:
                note = "%s without memory from jump %d on" % (call.__name__, at)
                try:
                    watched = Watched(make, call, at)
                except Exception as error:
                    raise AssertionError("%s: %r" % (note, error))
                finally:
                    Watched.runs.clear()
                if not watched.locked:
                    break
                tries += 1
                check(watched, note)
                at += 1 if at < 150 else 7
    finally:
        for kind, name, method in plain:
            setattr(kind, name, method)
    assert tries > 800, tries
    print("%d times no memory" % tries)


def check(watched, note):
    world, client = watched.world, watched.client
    world.link.plan.buffer = ROOM
    began_ms = world.clock.now
    try:
        while not client.free_slots():
            client.poll(1)
        began_ms = world.clock.now
        client.publish("after", b"after", qos=1, wait=False)
        equal(world.clock.now, began_ms, note + ": the next call waits")
        world.serve(client, 400)
    except Exception as error:
        sys.print_exception(error)
        if watched.fault:
            sys.print_exception(watched.fault)
        raise AssertionError("%s: %r" % (note, error))
    got = [payload for _, payload, _ in world.broker.accepted]
    assert b"after" in got, (note, client.diag())
    equal((client.isconnected(), client.inflight), (True, 0), note)
    equal(world.broker.violations, [], note)
    for payload in (b"1", b"2"):
        assert got.count(payload) < 2, (note, got)
    world.broker.inject("in", b"last", 2)  # its subscriptions are there
    world.serve(client, 50)
    equal([payload for _, payload, _ in world.inbox].count(b"last"), 1, note)


if sys.implementation.name == "micropython":
    import micropython
