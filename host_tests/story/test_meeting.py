"""Calls that meet: what a Timer's callback does to a client while a call of the program is in the middle.

`micropython.schedule` runs a callback where byte-code jumps. One that schedules itself again is run at each jump, so
that the other call comes at every place of a call where it can come, one after the other. CPython has no such thing.
"""

import sys

from fakes.bench import World
from fakes.check import equal, raises, skip
from fakes.model import Model
from micropython import schedule
from umqtt import stream
from umqtt.publisher import Publisher
from umqtt.reconnect import Reconnect

ON_A_BOARD = sys.implementation.name == "micropython"


class Meeting:
    """`call` of a connected client, which `happen` lets `other` meet at the jump number `at`."""

    def __init__(self, call, other, at, **named):
        self.world = world = World(Model, ack_ms=3)
        self.client = client = world.client(**named)
        if client._auto_reconnect:
            world.serve(client, 100)
        else:
            client.connect()
        client.subscribe("in", 2)
        client.subscribe("in/0", 0)
        self.prepared = [Publisher(client, "main", size=16, qos=qos) for qos in (0, 1)]
        self.before(call)
        self.call = call
        self.other = other
        self.at = at
        self.jumps = 0
        self.inside = 0  # the fakes, which are C on a board
        self.met = False
        self.words = None  # of the OSError of the other call
        for name in ("ipoll", "write", "readinto", "read"):
            self.guard(name)
        self.over = False

    def happen(self):
        schedule(self.tick, 0)
        try:
            self.call(self)
        finally:
            self.over = True
        self.world.serve(self.client, 200)

    def before(self, call):
        if call is take_messages:
            self.world.broker.inject("in", b"m2", 2)
            self.world.broker.inject("in", b"m1", 1)
            self.world.broker.inject("in/0", b"m0", 0)
        elif call is take_acks:
            for qos in (1, 2):
                self.client.publish("main", b"x%d" % qos, qos=qos, wait=False)

    def guard(self, name):
        client = self.client
        owner = client._poller if name == "ipoll" else client._socket
        plain = getattr(owner, name)

        def guarded(*args):
            self.inside += 1
            try:
                return plain(*args)
            finally:
                self.inside -= 1

        if name == "ipoll":
            client._wait_readable = guarded
        elif name == "write":
            owner.write = client._write_bytes = guarded

    def tick(self, _):
        if self.over:
            return
        if not self.inside and not self.world.clock._running:
            self.jumps += 1
            if self.jumps == self.at:
                self.meet()
                return
        schedule(self.tick, 0)

    def meet(self):
        began_ms = self.world.clock.now
        self.met = True
        try:
            self.other(self)
        except OSError as error:
            self.words = str(error)
        equal(self.world.clock.now - began_ms, 0, "it has waited in a scheduled callback")


def publish_0(meeting):
    meeting.client.publish("main", b"main")


def publish_1(meeting):
    meeting.client.publish("main", b"main", qos=1)


def publish_2(meeting):
    meeting.client.publish("main", bytearray(b"main"), qos=2)


def publish_large(meeting):
    meeting.client.publish("main", b"main" * 200, qos=1)


def publish_prepared_0(meeting):
    meeting.prepared[0].publish(b"main")


def publish_prepared_1(meeting):
    meeting.prepared[1].publish(b"main")


class Zeros:
    def readinto(self, buf):
        return len(buf)


def publish_stream(meeting):
    stream.publish(meeting.client, "main", Zeros(), 1000, qos=1)


def subscribe(meeting):
    equal(meeting.client.subscribe([("more", 1), ("x", 2)]), b"\1\2")


def take_messages(meeting):
    meeting.world.serve(meeting.client, 20)


def take_acks(meeting):
    meeting.world.serve(meeting.client, 20)


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


def other_0(meeting):
    meeting.client.publish("other", b"other")


def other_1(meeting):
    meeting.client.publish("other", b"other", qos=1)


def other_2(meeting):
    meeting.client.publish("other", "other", qos=2)


def other_prepared(meeting):
    meeting.prepared[0].publish(b"other")


def other_subscribe(meeting):
    meeting.client.subscribe("other")


def other_poll(meeting):
    meeting.client.poll(0)


def other_ping(meeting):
    meeting.client.ping()


OTHERS = (other_0, other_1, other_2, other_prepared, other_subscribe, other_poll, other_ping)


def run(call, other, at, accepted, **named):
    """One meeting, and what must hold after it. Returns it."""
    note = "%s met by %s at %d" % (call.__name__, other.__name__, at)
    try:
        meeting = Meeting(call, other, at, **named)
        meeting.happen()
    except Exception as error:
        raise AssertionError("%s: %s: %s" % (note, error.__class__.__name__, error))
    assert meeting.client.isconnected() and meeting.client.diag()["connects"] == 1, (note, meeting.client.diag())
    equal(meeting.world.broker.violations, [], note)
    got = [payload for _, payload, _ in meeting.world.broker.accepted]
    expected = list(accepted)
    if meeting.met and meeting.words is None and other in (other_0, other_1, other_2, other_prepared):
        expected.append(b"other")
    equal(sorted(got), sorted(expected), note)
    equal(
        {topic for topic, payload, _ in meeting.world.broker.accepted if payload == b"other"} - {"other", "main"},
        set(),
        note,
    )
    if meeting.words is not None:
        assert "another call" in meeting.words or "scheduled" in meeting.words or "callback" in meeting.words, (
            note,
            meeting.words,
        )
    equal(meeting.client.inflight, 0, note)
    if call is take_messages:
        equal(sorted(payload for _, payload, _ in meeting.world.inbox), [b"m0", b"m1", b"m2"], note)
    return meeting


def test_a_call_of_a_timer_works_or_raises_wherever_it_comes():
    if not ON_A_BOARD:
        skip("schedule of CPython's stand-in runs at once")
    worked = refused = 0
    for call, accepted in CALLS:
        for other in OTHERS:
            at = 1
            while True:
                meeting = run(call, other, at, accepted)
                if not meeting.met:
                    break
                if meeting.words is None:
                    worked += 1
                else:
                    refused += 1
                at += 1 if at < 60 else 7
    assert worked > 1000 and refused > 100, (worked, refused)
    print("%d calls of a Timer worked, %d raised in words" % (worked, refused))


def test_nothing_waits_in_a_scheduled_callback_though_the_client_is_idle():
    if not ON_A_BOARD:
        skip("schedule of CPython's stand-in runs at once")
    world = World(Model, ack_ms=3)
    client = world.client(inflight=1)
    client.connect()
    told = []

    def calls(_):
        began_ms = world.clock.now
        told.append(client.publish("t", "1", qos=1))
        for call in (lambda: client.publish("t", "2", qos=1), client.connect, lambda: client.subscribe("t")):
            try:
                told.append(call())
            except OSError as error:
                told.append(str(error))
        told.append(world.clock.now - began_ms)

    schedule(calls, 0)
    for _ in range(3):
        pass
    equal(told[0], 1)
    equal((len(told), told[-1], client.isconnected()), (5, 0, True))
    world.serve(client, 50)
    equal([payload for _, payload, _ in world.broker.accepted], [b"1"])


def test_a_timer_that_finds_the_link_dead_or_ends_it_leaves_a_client_that_goes_on():
    if not ON_A_BOARD:
        skip("schedule of CPython's stand-in runs at once")

    for other in (finds_it_dead, disconnect):
        for call in (publish_0, publish_1, publish_stream, take_messages, take_acks, subscribe):
            at = 1
            while True:
                note = "%s, %s at %d" % (call.__name__, other.__name__, at)
                try:
                    met = ended(call, other, at)
                except Exception as error:
                    raise AssertionError("%s: %r" % (note, error))
                if not met:
                    break
                at += 1 if call in (publish_stream, take_messages) else 5


def no_route(*args):
    raise OSError(113)


def finds_it_dead(meeting):
    meeting.world.link.take = no_route
    meeting.client.publish("other", b"other")


def disconnect(meeting):
    meeting.client.disconnect()


def ended(call, other, at):
    """A meeting whose other call finds the link dead, which is then made anew, or ends it, which is final, and told in
    words. Returns whether they met."""
    meeting = Meeting(call, other, at, reconnect=Reconnect(5, 5))
    client = meeting.client
    try:
        meeting.happen()
    except OSError:
        pass
    if other is disconnect and meeting.met and meeting.words is None:
        equal((client.isconnected(), meeting.world.net.open_sockets()), (False, []))
        fault = raises(OSError, client.poll)
        assert "not connected" in str(fault), fault
        client.connect()
    meeting.world.serve(client, 100)
    equal(client.isconnected(), True)
    return meeting.met
