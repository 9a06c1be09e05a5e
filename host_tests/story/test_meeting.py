"""Calls that meet: what a Timer's callback does to a client while a call of the program is in the middle.

`micropython.schedule` runs a callback where byte-code jumps. One that schedules itself again is run at each jump, so
that the other call comes at every place of a call where it can come, one after the other. CPython has no such thing.
"""

import sys

from fakes.bench import World
from fakes.check import equal, skip
from fakes.model import Model
from micropython import schedule
from umqtt import stream
from umqtt.publisher import Publisher
from umqtt.reconnect import Reconnect

ON_A_BOARD = sys.implementation.name == "micropython"


class Meeting:
    """`call` of a connected client, met by `other` at the jump number `at`."""

    def __init__(self, call, other, at, **named):
        self.w = w = World(Model, ack_ms=3)
        self.c = c = w.client(**named)
        if c._auto_reconnect:
            w.serve(c, 100)
        else:
            c.connect()
        c.subscribe("in", 2)
        c.subscribe("in/0", 0)
        self.prepared = [Publisher(c, "main", size=16, qos=qos) for qos in (0, 1)]
        self.before(call)
        self.other = other
        self.at = at
        self.jumps = 0
        self.inside = 0  # the fakes, which are C on a board
        self.met = False
        self.words = None  # of the OSError of the other call
        for name in ("ipoll", "write", "readinto", "read"):
            self.guard(name)
        self.over = False
        schedule(self.tick, 0)
        try:
            call(self)
        finally:
            self.over = True
        w.serve(c, 200)

    def before(self, call):
        if call is take_messages:
            self.w.broker.inject("in", b"m2", 2)
            self.w.broker.inject("in", b"m1", 1)
            self.w.broker.inject("in/0", b"m0", 0)
        elif call is take_acks:
            for qos in (1, 2):
                self.c.publish("main", b"x%d" % qos, qos=qos, wait=False)

    def guard(self, name):
        c = self.c
        owner = c._poller if name == "ipoll" else c._socket
        plain = getattr(owner, name)

        def guarded(*args):
            self.inside += 1
            try:
                return plain(*args)
            finally:
                self.inside -= 1

        if name == "ipoll":
            c._wait_readable = guarded
        elif name == "write":
            owner.write = c._write_bytes = guarded

    def tick(self, _):
        if self.over:
            return
        if not self.inside and not self.w.clock._running:
            self.jumps += 1
            if self.jumps == self.at:
                self.meet()
                return
        schedule(self.tick, 0)

    def meet(self):
        t = self.w.clock.now
        self.met = True
        try:
            self.other(self)
        except OSError as e:
            self.words = str(e)
        equal(self.w.clock.now - t, 0, "it has waited in a scheduled callback")


def publish_0(m):
    m.c.publish("main", b"main")


def publish_1(m):
    m.c.publish("main", b"main", qos=1)


def publish_2(m):
    m.c.publish("main", bytearray(b"main"), qos=2)


def publish_large(m):
    m.c.publish("main", b"main" * 200, qos=1)


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
    equal(m.c.subscribe([("more", 1), ("x", 2)]), b"\1\2")


def take_messages(m):
    m.w.serve(m.c, 20)


def take_acks(m):
    m.w.serve(m.c, 20)


CALLS = (
    (publish_0, [b"main"]),
    (publish_1, [b"main"]),
    (publish_2, [b"main"]),
    (publish_large, [b"main" * 200]),
    (publish_prepared_0, [b"main"]),
    (publish_prepared_1, [b"main"]),
    (publish_stream, [bytes(1000)]),
    (subscribe, []),
    (take_messages, []),
    (take_acks, [b"x1", b"x2"]),
)


def other_0(m):
    m.c.publish("other", b"other")


def other_1(m):
    m.c.publish("other", b"other", qos=1)


def other_2(m):
    m.c.publish("other", "other", qos=2)


def other_prepared(m):
    m.prepared[0].publish(b"other")


def other_subscribe(m):
    m.c.subscribe("other")


def other_poll(m):
    m.c.poll(0)


def other_ping(m):
    m.c.ping()


OTHERS = (other_0, other_1, other_2, other_prepared, other_subscribe, other_poll, other_ping)


def run(call, other, at, accepted, **named):
    """One meeting, and what must hold after it. Returns it."""
    note = "%s met by %s at %d" % (call.__name__, other.__name__, at)
    try:
        m = Meeting(call, other, at, **named)
    except Exception as e:
        raise AssertionError("%s: %s: %s" % (note, e.__class__.__name__, e))
    assert m.c.isconnected() and m.c.diag()["connects"] == 1, (note, m.c.diag())
    equal(m.w.broker.violations, [], note)
    got = [payload for _, payload, _ in m.w.broker.accepted]
    expected = list(accepted)
    if m.met and m.words is None and other in (other_0, other_1, other_2, other_prepared):
        expected.append(b"other")
    equal(sorted(got), sorted(expected), note)
    equal({topic for topic, payload, _ in m.w.broker.accepted if payload == b"other"} - {"other", "main"}, set(), note)
    if m.words is not None:
        assert "another call" in m.words or "scheduled" in m.words or "callback" in m.words, (note, m.words)
    equal(m.c.inflight, 0, note)
    if call is take_messages:
        equal(sorted(p for _, p, _ in m.w.inbox), [b"m0", b"m1", b"m2"], note)
    return m


def test_a_call_of_a_timer_works_or_raises_wherever_it_comes():
    if not ON_A_BOARD:
        skip("schedule of CPython's stand-in runs at once")
    worked = refused = 0
    for call, accepted in CALLS:
        for other in OTHERS:
            at = 1
            while True:
                m = run(call, other, at, accepted)
                if not m.met:
                    break
                if m.words is None:
                    worked += 1
                else:
                    refused += 1
                at += 1 if at < 60 else 7
    assert worked > 1000 and refused > 100, (worked, refused)
    print("%d calls of a Timer worked, %d raised in words" % (worked, refused))


def test_nothing_waits_in_a_scheduled_callback_though_the_client_is_idle():
    if not ON_A_BOARD:
        skip("schedule of CPython's stand-in runs at once")
    w = World(Model, ack_ms=3)
    c = w.client(inflight=1)
    c.connect()
    told = []

    def calls(_):
        t = w.clock.now
        told.append(c.publish("t", "1", qos=1))
        for call in (lambda: c.publish("t", "2", qos=1), c.connect, lambda: c.subscribe("t")):
            try:
                told.append(call())
            except OSError as e:
                told.append(str(e))
        told.append(w.clock.now - t)

    schedule(calls, 0)
    for _ in range(3):
        pass
    equal(told[0], 1)
    equal((len(told), told[-1], c.isconnected()), (5, 0, True))
    w.serve(c, 50)
    equal([p for _, p, _ in w.broker.accepted], [b"1"])


def test_a_timer_that_finds_the_link_dead_or_ends_it_leaves_a_client_that_goes_on():
    if not ON_A_BOARD:
        skip("schedule of CPython's stand-in runs at once")

    def no_route(*args):
        raise OSError(113)

    def finds_it_dead(m):
        m.w.link.take = no_route
        m.c.publish("other", b"other")

    def disconnect(m):
        m.c.disconnect()

    for other in (finds_it_dead, disconnect):
        for call in (publish_0, publish_1, take_messages, take_acks, subscribe):
            at = 1
            while True:
                try:
                    m = Meeting(call, other, at, reconnect=Reconnect(5, 5))
                    met = m.met
                except OSError:
                    met = True
                except Exception as e:
                    raise AssertionError("%s, %s at %d: %r" % (call.__name__, other.__name__, at, e))
                if not met:
                    break
                at += 5
