"""One step of poll: what it tells, how it ends, and what it leaves alone when another call is in its middle.

Where a socket is read, another thread runs; where `poll` waits for the network, a Timer's callback does.
"""

import sys

from fakes.bench import InTheScheduler, World, pair
from fakes.check import equal, raises, skip
from fakes.ctrl_c import interrupted
from fakes.model import Model
from fakes.net import Plan
from fakes.packets import PUBACK, PUBLISH, encode
from umqtt.reconnect import Reconnect
from umqtt.wire import IN_USE


def up(**named):
    broker, client = pair(**named)
    broker.accept()
    client.connect()
    return broker, client


def while_read(world, call):
    """Let `call` come while the client's socket is read, once."""
    sock = world.net.sockets[-1]

    def read(n):
        del sock._read_once
        call()
        return sock._read_once(n)

    sock._read_once = read


def test_a_client_that_never_was_connected_says_that_and_no_more():
    _, client = pair()
    equal(str(raises(OSError, client.poll)).split("] ")[-1].split(": ")[-1], "not connected")


def test_a_poll_that_comes_while_another_one_reads_takes_nothing_and_does_not_wait():
    broker, client = up()
    broker.send(PUBLISH, topic="t", payload="x")
    client.world.clock.run_due()
    told = []
    began_ms = client.world.clock.now
    while_read(client.world, lambda: told.append(client.poll(0)))
    equal((client.poll(0), told, client.world.clock.now - began_ms), (1, [0], 0))
    equal(client.world.inbox, [(b"t", b"x", False)])


def test_half_a_packet_is_none():
    _, client = up()
    packet = encode(PUBLISH, topic="t", payload="x")
    for i in range(len(packet)):
        client.world.link.push(packet[i : i + 1])
        client.world.clock.run_due()
        equal(client.poll(0), int(i == len(packet) - 1), i)


def test_a_poll_that_comes_while_what_waits_is_sent_reads_nothing():
    broker, client = up()
    link = client.world.link
    buffer_b, link.plan.buffer = link.plan.buffer, 0
    client.publish("t", "x", wait=False)
    link.plan.buffer = buffer_b
    link.push(encode(PUBLISH, topic="in", payload="y"))
    client.world.clock.run_due()
    told = []

    def take(data):
        del link.take
        with InTheScheduler():
            told.append((client.poll(0), client.world.inbox[:]))
        return link.take(data)

    link.take = take
    broker.expect(PUBLISH, payload="x")
    equal((client.poll(0), told, len(client.world.inbox)), (1, [(0, [])], 1))
    broker.done()


def test_a_poll_that_finds_another_call_at_work_behind_its_wait_reads_nothing():
    broker, client = up()
    link = client.world.link
    link.plan.buffer = 0
    client.publish("t", "x", wait=False)

    def comes_to_work():
        client._draft[IN_USE] = 1

    client.world.clock.at(10, comes_to_work)
    client.world.clock.at(10, link.push, encode(PUBLISH, topic="in", payload="y"))
    with InTheScheduler():
        equal((client.poll(100), client.world.inbox), (0, []))
    client._draft[IN_USE] = 0
    equal((client.poll(100), len(client.world.inbox)), (1, 1))


def test_a_poll_whose_connection_is_ended_while_it_waits_says_so():
    for how in ("in the wait", "in the read"):
        world = World(Model)
        client = world.client()
        client.connect()
        if how == "in the wait":
            world.clock.at(50, client.disconnect)
        else:
            while_read(world, client.disconnect)
        fault = raises(OSError, client.poll, 100)
        assert "not connected" in str(fault), fault
        fault = raises(OSError, client.poll, 100)
        assert "not connected" in str(fault), fault


def test_a_link_that_takes_nothing_any_more_is_told_to_a_reconnecting_program():
    told = []
    world = World(Model)
    client = world.client(keepalive=20, reconnect=Reconnect(10, 10, on_state=lambda *state: told.append(state)))
    world.serve(client, 10)
    world.net.plan = Plan()  # of the next connection
    world.link.plan.buffer = 0
    client.publish("t", "x", wait=False)
    world.serve(client, 40_000)
    equal([is_up for is_up, _ in told], [True, False, True])
    assert "nothing leaves" in told[1][1], told


def test_a_client_without_room_for_an_ack_reads_nothing_and_sleeps_until_there_is_some():
    for payload_b in range(5, 12):
        broker, client = up(tx_size=16)
        has_room = 5 + payload_b + 4 <= 16  # of a PUBLISH with its payload, and a PUBACK
        plan = client.world.link.plan
        buffer_b, plan.buffer = plan.buffer, 0
        client.publish("t", b"x" * payload_b, wait=False)
        client.world.link.push(encode(PUBLISH, 7, qos=1, topic="t", payload="y"))
        began_ms = client.world.clock.now
        got = client.poll(500)
        equal((got, client.world.clock.now - began_ms), (1, 0) if has_room else (0, 500), payload_b)
        plan.buffer = buffer_b
        broker.expect(PUBLISH, payload=b"x" * payload_b)
        broker.expect(PUBACK, pid=7)
        client.world.serve(client, 50)
        broker.done()


def test_what_waits_for_the_network_waits_in_the_buffer_as_far_as_there_is_room_and_no_further():
    for payload_b in (8, 1):
        world = World(Model)
        client = world.client(tx_size=64, inflight=10)
        client.connect()
        plan = world.link.plan
        buffer_b, plan.buffer = plan.buffer, 0
        for i in range(10):
            client.publish("t/%d" % i, b"x" * payload_b, qos=1, wait=False)
            client.poll(0)
        assert 50 < len(client._send_buf) <= 64, len(client._send_buf)
        plan.buffer = buffer_b
        world.serve(client, 50)
        arrived = [topic for topic, _, _ in world.broker.accepted]
        equal((arrived, client.inflight), (["t/%d" % i for i in range(10)], 0))


def test_an_error_that_there_is_no_memory_to_tell_is_called_that():
    class Silent(OSError):
        def __str__(self):
            raise MemoryError

    def dies(data):
        raise Silent(113, "no route")

    _, client = up()
    client.world.link.take = dies
    raises(OSError, client.publish, "t", "x")
    equal((client.diag()["error"], client.world.net.open_sockets()), ("MemoryError", []))


def test_a_ctrl_c_at_any_line_of_the_reader_leaves_a_client_that_goes_on():
    if sys.implementation.name == "micropython":
        skip("CPython alone can tell the lines")
    at = 1
    while True:
        world = World(Model)
        told = []
        client = world.client(reconnect=Reconnect(10, 10, on_state=lambda *state: told.append(state)))
        came = interrupted(lambda: world.serve(client, 20), at, ("engine.py",), ("writer",))
        world.serve(client, 2500)  # it may find the client held, by a call that is no more
        note = (at, told)
        equal((client.isconnected(), len(world.net.open_sockets())), (True, 1), note)
        assert not [words for _, words in told if "no answer" in words], note
        client.publish("t", "x", qos=1)
        equal(world.broker.violations, [], note)
        if not came:
            break
        at += 1
    assert at > 30, at
