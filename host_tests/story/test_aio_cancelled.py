"""Each exchange of umqtt.aio, of 3.1.1 and MQTT 5, is cancelled at each step of the loop: session, slots and stream
stay sound, and the next exchanges find them so."""

from fakes import loop
from fakes.bench import World
from fakes.bench5 import aio_client5, load5
from fakes.check import equal
from fakes.model import Model
from fakes.model5 import Model5
from fakes.net import Plan
from fakes.packets import PUBCOMP


class Cancelled:
    """One exchange, cancelled before step `at` of the loop since it began, and what must hold afterwards."""

    def __init__(self, exchange, at, level, connected=True, **named):
        self.exchange = exchange
        self.at = at
        self.connected = connected
        if level == 5:
            load5()
            self.world = World(Model5, takes=2, ack_ms=3)
        else:
            self.world = World(Model, ack_ms=3)
        self.world.net.plan = Plan(latency_ms=2, buffer=600)
        named["timeout_ms"] = 2000
        self.client = aio_client5(self.world, **named) if level == 5 else self.world.aio_client(**named)
        self.steps = 0
        self.task = None
        self.over = False
        self.taken = []
        self.world.run(self.main(), self.step)

    def step(self, task):
        if self.task:
            if self.steps == self.at:
                self.task.cancel()
            self.steps += 1

    async def begin(self):
        await self.exchange(self)
        self.over = True  # it was not cancelled in time

    async def main(self):
        client = self.client
        if self.connected:
            await client.connect()
            await client.subscribe("in", 2)
            for qos in range(3):
                self.world.broker.inject("in", b"%d" % qos, qos)
        pid = client.pid
        task = self.task = loop.create_task(self.begin())
        try:
            await task
        except loop.CancelledError:
            pass
        self.task = None
        self.had_slots = client.pid - pid
        if not client.isconnected():
            await client.connect()
        await client.subscribe("in", 2)
        await loop.gather(*[client.publish("out", b"after %d" % qos, qos=qos) for qos in range(3)])
        equal(await client.subscribe([("more", 1), ("x", 2)]), b"\1\2")
        self.world.broker.inject("in", b"last", 1)
        async for message in client:
            self.taken.append(message[1])
            if message[1] == b"last":
                break
        await loop.sleep_ms(50)  # PUBREL of what was taken
        equal(client.inflight, 0)
        await client.__aexit__(None, None, None)

    def verdict(self):
        world, client = self.world, self.client
        world.clock.sleep_ms(50)
        equal(world.broker.violations, [])
        equal(loop.Loop.unhandled, [])
        equal(world.net.open_sockets(), [])
        equal(client.free_slots(), 4)
        equal(len(client._callers), 0)
        equal(loop.core._io_queue.map, {})
        unacknowledged = [row for row in world.broker.kept("c1").out if row[1] != PUBCOMP]
        equal(unacknowledged, [], "all that was taken is acknowledged")
        out = [payload for topic, payload, _ in world.broker.accepted if topic == "out"]
        for qos in range(3):
            equal(out.count(b"after %d" % qos), 1)
            assert self.taken.count(b"%d" % qos) <= 1, self.taken
        return out


def at_every_step(exchange, check=None, **named):
    for level in (4, 5):
        at_every_step_of(level, exchange, check, **named)


def at_every_step_of(level, exchange, check, **named):
    at = 0
    while True:
        run = Cancelled(exchange, at, level, **named)
        out = run.verdict()
        if check:
            check(run, out)
        if run.over and run.steps <= at:
            assert at > 1, at
            return
        at += 1
        assert at < 400


def publish(qos, payload=b"it"):
    async def exchange(run):
        await run.client.publish("out", payload, qos=qos)

    def check(run, out):
        # one that had its slot arrives, whatever the call found; at most once
        assert out.count(payload) <= 1, out
        if run.over or run.had_slots:
            equal(out.count(payload), 1)

    return exchange, check


def test_a_publish_of_qos_0():
    at_every_step(*publish(0))


def test_a_publish_of_qos_1():
    at_every_step(*publish(1))


def test_a_publish_of_qos_2():
    at_every_step(*publish(2))


def test_a_publish_larger_than_what_the_network_takes():
    for qos in range(3):
        at_every_step(*publish(qos, b"large" * 1000))


def test_a_publish_that_waits_for_a_slot():
    async def exchange(run):
        await run.client.publish("out", b"it", qos=1)

    async def crowded(run):
        await loop.gather(*[exchange(run) for _ in range(6)])

    at_every_step(crowded)


def test_a_subscribe():
    async def exchange(run):
        equal(await run.client.subscribe([("a", 1), ("b", 0)]), b"\1\0")

    at_every_step(exchange)


def test_an_unsubscribe():
    async def exchange(run):
        await run.client.unsubscribe(["a", "b"])

    at_every_step(exchange)


def test_the_wait_for_a_message():
    async def exchange(run):
        while len(run.taken) < 3:
            run.taken.append((await run.client.take())[1])

    def check(run, out):
        equal(sorted(run.taken[: run.taken.index(b"last")]), [b"0", b"1", b"2"])

    at_every_step(exchange, check)


def test_a_connect():
    async def exchange(run):
        await run.client.connect()

    at_every_step(exchange, connected=False)


def test_a_disconnect():
    async def exchange(run):
        await run.client.disconnect()

    at_every_step(exchange)


def test_a_call_that_is_given_up_in_time():
    async def exchange(run):
        for ms in range(1, 9, 2):
            try:
                await loop.wait_for_ms(run.client.publish("out", b"it", qos=2), ms)
            except loop.TimeoutError:
                pass

    at_every_step(exchange)


def test_a_connect_that_is_given_up_in_time_leaves_no_connection_behind_it():
    world = World(Model)
    world.net.plan = Plan(latency_ms=20)
    client = world.aio_client()

    async def main():
        try:
            await loop.wait_for_ms(client.connect(), 30)
            raise AssertionError("it was connected")
        except loop.TimeoutError:
            pass
        await loop.sleep_ms(500)
        equal((client.isconnected(), client.diag()["connects"]), (False, 0))
        await client.connect()
        equal(client.isconnected(), True)

    world.run(main())
