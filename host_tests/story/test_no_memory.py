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
    w = World(Model, ack_ms=3)
    return w, w.client(**named)


def of_mqtt_5(**named):
    load5()
    w = World(Model5, ack_ms=3)
    return w, client5(w, **named)


class Starved:
    """A client in traffic whose `call` finds no memory from its jump number `at` on."""

    def __init__(self, make, call, at):
        self.w, self.c = w, c = make(reconnect=Reconnect(5, 5), inflight=2)
        w.serve(c, 100)
        for topic_filter in ("in", "in/+", "in/#"):
            c.subscribe(topic_filter, 2)
        self.prepared = [Publisher(c, "main", size=16, qos=qos) for qos in (0, 1)]
        self.at = at
        self.jumps = self.inside = 0
        self.locked = self.over = False
        self.fault = None
        self.tick_method = self.tick
        self.prepare(call)
        schedule(self.tick_method, 0)
        try:
            call(self)
        except NO_MEMORY as e:
            self.fault = e
        finally:
            self.over = True
            if self.locked:
                micropython.heap_unlock()

    def prepare(self, call):
        c = self.c
        if call is take_messages:
            for qos in (0, 1, 2):
                self.w.broker.inject("in", b"m%d" % qos, qos)
        elif call is publish_behind:
            self.w.link.plan.buffer = 20
            self.w.clock.at(10, setattr, self.w.link.plan, "buffer", ROOM)
            c.publish("before", b"before" * 10, qos=0, wait=False)
        elif call is publish_without_slots:
            for n in b"12":
                c.publish("before", bytes((n,)), qos=2, wait=False)
        elif call is connect_again:
            self.w.broker.forget()
            self.w.link.rst()

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


def publish_0(m):
    m.c.publish("main", b"main")


def publish_1(m):
    m.c.publish("main/%d" % m.at, "main", qos=1)


def publish_2(m):
    m.c.publish("main", bytearray(b"main"), qos=2)


def publish_large(m):
    m.c.publish("main", b"main" * 200, qos=1)


def publish_behind(m):
    m.c.publish("main", b"main")


def publish_without_slots(m):
    m.c.publish("main", b"main", qos=1)


def publish_prepared_0(m):
    m.prepared[0].publish(b"main")


def publish_prepared_1(m):
    m.prepared[1].publish(b"main")


class Zeros:
    def readinto(self, buf):
        return len(buf)


def publish_stream(m):
    stream.publish(m.c, "main", Zeros(), 1000, qos=1)


def subscribe(m):
    m.c.subscribe([("more", 1), ("x", 2)])


def take_messages(m):
    m.w.serve(m.c, 20)


def connect_again(m):
    m.w.serve(m.c, 60)


def ping(m):
    m.c.ping()


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

    def wrapped(a=NOT_GIVEN, b=NOT_GIVEN, c=NOT_GIVEN, d=NOT_GIVEN):  # *args would take memory
        m = runs[-1] if runs else None
        if m:
            m.inside += 1
            if m.locked and m.inside == 1:
                micropython.heap_unlock()
        try:
            return plain(*[x for x in (a, b, c, d) if x is not NOT_GIVEN])
        finally:
            if m:
                if m.locked and m.inside == 1 and not m.over:
                    micropython.heap_lock()
                m.inside -= 1

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
                    m = Watched(make, call, at)
                except Exception as e:
                    raise AssertionError("%s: %r" % (note, e))
                finally:
                    Watched.runs.clear()
                if not m.locked:
                    break
                tries += 1
                check(m, note)
                at += 1 if at < 150 else 7
    finally:
        for kind, name, method in plain:
            setattr(kind, name, method)
    assert tries > 800, tries
    print("%d times no memory" % tries)


def check(m, note):
    w, c = m.w, m.c
    w.link.plan.buffer = ROOM
    t = w.clock.now
    try:
        while not c.free_slots():
            c.poll(1)
        t = w.clock.now
        c.publish("after", b"after", qos=1, wait=False)
        equal(w.clock.now, t, note + ": the next call waits")
        w.serve(c, 400)
    except Exception as e:
        sys.print_exception(e)
        if m.fault:
            sys.print_exception(m.fault)
        raise AssertionError("%s: %r" % (note, e))
    got = [payload for _, payload, _ in w.broker.accepted]
    assert b"after" in got, (note, c.diag())
    equal((c.isconnected(), c.inflight), (True, 0), note)
    equal(w.broker.violations, [], note)
    for payload in (b"1", b"2"):
        assert got.count(payload) < 2, (note, got)
    w.broker.inject("in", b"last", 2)  # its subscriptions are there
    w.serve(c, 50)
    equal([p for _, p, _ in w.inbox].count(b"last"), 1, note)


if sys.implementation.name == "micropython":
    import micropython
