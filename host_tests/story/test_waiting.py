"""A call sees its packet through: what it raises, whom it tells, and that it leaves nothing for the next call."""

import sys

from fakes.bench import InTheScheduler, World, pair
from fakes.check import equal, raises, skip
from fakes.model import Model
from fakes.packets import PUBLISH
from umqtt import stream
from umqtt.reconnect import Reconnect


def up(**named):
    broker, client = pair(**named)
    broker.accept()
    client.connect()
    return broker, client


def no_route(data):
    """A link's `take` without WiFi."""
    raise OSError(113)


WAYS = tuple((qos, wait) for qos in (0, 1, 2) for wait in (True, False))


def test_a_call_that_finds_the_link_dead_raises_the_reason_with_the_ports_number():
    for qos, wait in WAYS:
        if qos and not wait:
            continue  # it is in flight, and the next poll tells
        _, client = up()
        client.world.link.end("rst")
        client.world.clock.run_due()
        fault = raises(OSError, client.publish, "t", "x", qos=qos, wait=wait)
        equal((fault.args[0], str(fault)), (104, client.diag()["error"]), (qos, wait))


def test_a_call_that_finds_the_link_dead_tells_a_reconnecting_program_once():
    for qos, wait in WAYS:
        told = []
        world = World(Model)
        client = world.client(reconnect=Reconnect(10, 10, on_state=lambda is_up, _: told.append(is_up)))
        world.serve(client, 10)
        world.link.take = no_route
        try:
            client.publish("t", "x", qos=qos, wait=wait)
        except OSError:
            assert not qos, (qos, wait)
        equal(told[:2], [True, False], (qos, wait))
        world.serve(client, 100)
        equal((told, client.inflight), ([True, False, True], 0), (qos, wait))


def test_a_link_that_ends_with_an_exception_without_words_is_made_anew():
    class Failed(Exception):
        pass

    def interrupted(data):
        raise KeyboardInterrupt

    def publishes(topic, payload, retained):
        world.link.take = no_route
        try:
            client.publish("t", "x")
        except OSError:
            raise Failed

    for ends in (interrupted, publishes):
        told = []
        world = World(Model)
        client = world.client(reconnect=Reconnect(10, 10, on_state=lambda is_up, _: told.append(is_up)))
        world.serve(client, 10)
        client.subscribe("in")
        if ends is interrupted:
            world.link.take = interrupted
            raises(KeyboardInterrupt, client.publish, "t", "x")
        else:
            client.set_callback(publishes)
            world.broker.inject("in", b"x")
            raises(Failed, world.serve, client, 10)
        world.serve(client, 100)
        equal((told, client.isconnected()), ([True, False, True], True), ends.__name__)


def test_a_call_that_is_refused_at_once_leaves_the_client_free_for_the_next_one():
    _, client = pair()
    clock = client.world.clock
    began_ms = clock.now
    for qos in (0, 1):
        raises(OSError, client.publish, "t", "x", qos=qos)
        raises(OSError, client.subscribe, "t")
    client.world.broker.accept()
    client.connect()
    equal((clock.now - began_ms, client.inflight), (0, 0))

    _, client = up(inflight=1)
    clock = client.world.clock
    client.world.link.plan.buffer = 0
    client.publish("t", "x", qos=1, wait=False)
    began_ms = clock.now
    for _ in range(2):
        equal(client.publish("t", "x", wait=False), None)
        raises(OSError, client.publish, "t", "x", qos=1, wait=False)
        raises(OSError, client.subscribe, "t", wait=False)
    equal((clock.now - began_ms, client.inflight), (0, 1))


def test_a_large_message_that_was_published_is_not_kept_alive():
    if sys.implementation.name == "micropython":
        skip("CPython alone counts references")
    world = World(Model)
    client = world.client()
    client.connect()
    for qos in (0, 1, 2):
        payload = bytes(range(250)) * 4  # larger than the buffer
        counted = sys.getrefcount(payload)
        client.publish("t", payload, qos=qos)
        world.broker.accepted.clear()
        equal(sys.getrefcount(payload), counted, qos)


def test_in_a_callback_of_the_scheduler_no_call_waits():
    broker, client = up(inflight=1)
    clock = client.world.clock
    broker.expect(PUBLISH, pid=1)
    with InTheScheduler():
        began_ms = clock.now
        equal(client.publish("t", "1", qos=1), 1)
        for call in (
            lambda: client.publish("t", "2", qos=1),
            lambda: client.subscribe("t"),
            client.connect,
        ):
            fault = raises(OSError, call)
            assert "callback" in str(fault), fault
        client.world.link.plan.buffer = 0
        client.publish("t", "3", wait=False)
        fault = raises(OSError, client.publish, "t", "4")
        assert "callback" in str(fault), fault
        equal((clock.now - began_ms, client.inflight, client.isconnected()), (0, 1, True))


def test_a_call_that_comes_while_another_one_writes_is_refused_and_harms_nothing():
    class Zeros:
        def readinto(self, buf):
            return len(buf)

    broker, client = up()
    link = client.world.link
    faults = []
    for other in (
        lambda: client.publish("other", "x"),
        lambda: client.publish("other", "x", qos=1),
        lambda: stream.publish(client, "other", Zeros(), 1000),
        lambda: client.subscribe("other"),
        client.disconnect,
    ):

        def take(data, other=other):
            del link.take
            with InTheScheduler():
                faults.append(raises(OSError, other))
            return link.take(data)

        broker.expect(PUBLISH, topic="main", payload="x" * 50)
        link.take = take
        client.publish("main", "x" * 50)
    assert len(faults) == 5 and all("another call" in str(fault) for fault in faults), faults
    equal((client.inflight, client.isconnected()), (0, True))
    broker.done()


def test_what_a_callback_publishes_from_a_buffer_may_change_once_it_is_published():
    world = World(Model)
    client = world.client(tx_size=64)
    client.connect()
    client.subscribe("in")
    payload = bytearray(b"x" * 500)

    def publishes(topic, message, retained):
        client.publish("t", payload)
        payload[:] = b"y" * 500

    client.set_callback(publishes)
    world.link.plan.write_max = 100
    world.link.plan.write_again = True
    world.broker.inject("in", b"m")
    world.serve(client, 100)
    equal([message for topic, message, _ in world.broker.accepted if topic == "t"], [b"x" * 500])
