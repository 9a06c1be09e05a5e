"""Where memory runs out the cycle goes on: what was not told is told later, nothing is repeated, nothing ends."""

import sys

from fakes.check import equal, raises, skip
from fakes.net import Plan
from on_board import World

import fake_board
import health
import node
import ram
import retry

ROOM = {"type": "dht22", "name": "room", "pin": 4}
SCRIPT = {"wifi": {"lab": "12345678"}, "values": {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}}


def full(*_):
    raise MemoryError("memory allocation failed, allocating 184 bytes")


def test_a_crash_that_cannot_be_written_for_want_of_memory_is_none():
    world = World(SCRIPT, sensors=[ROOM])
    real = health._log
    health._log = full
    try:
        health.crashed(ValueError("x"))
        assert "no memory to tell more: ValueError" in world.said[-1], world.said
        health.print = full
        health.crashed(ValueError("x"))  # not even to print
    finally:
        health._log = real


def test_memory_that_is_short_for_a_while_ends_nothing():
    world = World(SCRIPT, sensors=[ROOM])
    world.run(15000)
    real, world.node.measure = world.node.measure, full
    real_bits, retry.getrandbits = retry.getrandbits, lambda bits: 999  # a second after each; by chance eight fit in
    try:
        world.run(6000)
        world.node.measure = real
        world.run(120000)
    finally:
        retry.getrandbits = real_bits
    assert [line for line in world.said if line.startswith("memory: ")], world.said
    got = [reading["seq"] for reading in world.readings()]
    equal(got, list(range(1, len(got) + 1)))
    assert len(got) > 20


def test_memory_that_stays_short_resets_the_board():
    world = World(SCRIPT, sensors=[ROOM])
    world.node.measure = full
    raises(fake_board.Reset, world.run, 3600000)


def test_a_start_without_memory_is_tried_again_by_a_reset():
    import app

    world = World(SCRIPT, sensors=[ROOM])
    real, app.make, app.sleep_ms = app.make, full, world.clock.sleep_ms
    app.crashed = lambda error: None
    try:
        now = world.clock.now
        raises(fake_board.Reset, app.run, world.node.cfg, 0)
        equal(world.clock.now - now, 60000)
        assert "not enough to start" in world.said[-1]
    finally:
        app.make, app.crashed = real, health.crashed


def test_a_long_queue_takes_what_memory_there_is_and_no_more():
    for free_b, most in ((100000, 500), (6144 + 200 * 10, None), (6144, 16), (0, 16)):
        world = World(SCRIPT, sensors=[ROOM], queue=500)
        real = ram.gc

        class Gc:
            collect = staticmethod(int)
            mem_free = staticmethod(lambda free_b=free_b: free_b)

        ram.gc = Gc
        try:
            world.net.plan = Plan(refuse=True)
            world.run(30000)
        finally:
            ram.gc = real
        room = world.node.queue.most
        if most is None:
            assert 16 < room <= 200, room
        else:
            equal(room, most)
        if room < 500:
            assert "queue: memory for %d of 500 readings" % room in world.said
        world.run(room * 5000 + 300000)  # a cycle of 10 s has two readings
        assert world.node.dropped > 10, world.node.dropped
        equal(len(world.node.queue.buf), room * 10)
        world.net.plan = Plan()
        world.run(200000)
        got = [reading["seq"] for reading in world.readings()]
        equal(got, list(range(world.node.dropped + 1, world.node.taken + 1)))


def test_a_queue_in_ram_that_waits_for_a_client_leaves_that_its_memory():
    world = World(SCRIPT, sensors=[ROOM], queue=500)
    real = ram.gc

    class Gc:
        collect = staticmethod(int)
        mem_free = staticmethod(lambda: 30000)

    ram.gc = Gc
    try:
        world.node.wait_long()
    finally:
        ram.gc = real
    free_b = 30000 - len(world.node.queue.buf)
    assert 26000 < free_b < 28000 and world.node.queue.most > 200, free_b


def test_a_queue_for_which_the_heap_has_no_room_is_smaller_and_keeps_what_waits():
    class Short:
        free_b = [0]
        collect = staticmethod(lambda: Short.free_b.append(16384))
        mem_free = staticmethod(lambda: Short.free_b[-1])

    waiting = ram.Waiting(4)
    for seq in range(7, 11):
        waiting.put(1, 2, None if seq == 8 else -seq, 100 + seq, seq)
    real, ram.gc = ram.gc, Short
    try:
        waiting.grow(5000)
    finally:
        ram.gc = real
    room_b = 16384 - 6144  # which stay free
    assert room_b * 3 // 4 - 100 < len(waiting.buf) <= room_b, len(waiting.buf)
    equal(len(waiting.buf), waiting.most * 10)
    kept = [waiting.at(i) for i in range(waiting.count)]
    equal(kept, [(1, 2, None if seq == 8 else -seq, 100 + seq, seq) for seq in range(7, 11)])


def test_no_memory_at_any_line_of_a_turn_neither_ends_it_nor_repeats_a_reading():
    if not hasattr(sys, "settrace") or sys.implementation.name == "micropython":
        skip("needs a trace of each line")
    lines = 0
    for k in range(-1, 10000, 3):
        if k > lines:
            break
        world = World(SCRIPT, sensors=[ROOM])
        world.run(15000)
        lines = max(lines, turn_without_memory(world, k))
        world.run(100000)
        got = [reading["seq"] for reading in world.readings()]
        equal(len(got), len(set(got)), "line %d" % k)
        equal(got, sorted(got))
        assert world.node.client.isconnected() and world.node.taken - len(got) - world.node.waiting() <= 3, (k, got)
    assert lines > 60, lines


def turn_without_memory(world, step):
    """Turns until the next reading was sent, of which the k-th line of the firmware has no memory; -1: all have. How
    many lines there were."""
    count = [0]

    def line(frame, event, arg):
        if event == "line":
            count[0] += 1
            if count[0] == step + 1:
                raise MemoryError("injected")
        return line

    def call(frame, event, arg):
        name = frame.f_code.co_filename
        ours = "/firmware/" in name and "/lib/" not in name and "/host_tests/" not in name
        return line if ours and frame.f_code.co_name != "turn" else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        for _ in range(4):
            world.node.turn()
    finally:
        sys.settrace(before)
    return count[0]


assert node
