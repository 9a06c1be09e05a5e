"""umqtt.aio: tasks that publish and subscribe at once, each call awaited to its end, none at another's cost."""

from fakes import loop
from fakes.bench import World, aio_pair
from fakes.check import equal, raises
from fakes.model import Model
from fakes.net import Plan
from fakes.packets import (
    DISCONNECT,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
)


def test_a_publish_is_awaited_until_its_ack():
    world, broker, client = aio_pair()
    broker.expect(PUBLISH, qos=1, pid=1, topic="t", payload="x")
    broker.wait(250)
    broker.send(PUBACK, 1)
    broker.expect(PUBLISH, qos=2, pid=2)
    broker.send(PUBREC, 2)
    broker.expect(PUBREL, pid=2)
    broker.send(PUBCOMP, 2)
    broker.expect(PUBLISH, qos=0, topic="t", payload="z")
    broker.expect(DISCONNECT)

    async def main():
        async with client:
            start = world.clock.now
            equal(await client.publish("t", "x", qos=1), 1)
            equal(world.clock.now - start, 250)
            equal(await client.publish("t", "y", qos=2), 2)
            equal(await client.publish("t", "z"), 0)

    world.run(main())
    broker.done()
    equal(world.net.open_sockets(), [])


def test_other_tasks_run_while_one_waits():
    world, broker, client = aio_pair()
    broker.expect(PUBLISH, qos=1, pid=1)
    broker.wait(1000)
    broker.send(PUBACK, 1)
    turns = []

    async def blink():
        while True:
            turns.append(world.clock.now)
            await loop.sleep_ms(20)

    async def main():
        await client.connect()
        task = loop.create_task(blink())
        await client.publish("t", "x", qos=1)
        task.cancel()

    world.run(main())
    assert 50 <= len(turns) <= 51, turns
    assert all(later - earlier == 20 for earlier, later in zip(turns, turns[1:])), turns


def test_subscriptions_of_several_tasks_get_each_its_own_codes():
    world, broker, client = aio_pair()
    broker.expect(SUBSCRIBE, pid=1)
    broker.send(SUBACK, 1, codes=[1])
    broker.expect(SUBSCRIBE, pid=2)
    broker.send(SUBACK, 2, codes=[0, 2])
    broker.expect(SUBSCRIBE, pid=3)
    broker.send(SUBACK, 3, codes=[0x80])
    broker.expect(SUBSCRIBE, pid=4)
    broker.send(SUBACK, 4, codes=[0, 0x80, 0])
    broker.expect(UNSUBSCRIBE, pid=5)
    broker.send(UNSUBACK, 5)

    async def refused(filters="c"):
        try:
            await client.subscribe(filters, 1)
        except Exception as fault:
            return fault.args

    async def main():
        await client.connect()
        got = await loop.gather(client.subscribe("a", 1), client.subscribe([("b", 0), ("d", 2)]), refused())
        equal(got, [b"\1", b"\0\2", (0x80, "subscription refused: c")])
        equal(await refused([("e", 0), ("f", 1), ("g", 0)]), (0x80, "subscription refused: f"))
        await client.unsubscribe("a")

    world.run(main())
    broker.done()


def test_a_deadline_is_one_and_the_message_stays_in_flight():
    world, broker, client = aio_pair(timeout_ms=1000)
    broker.expect(PUBLISH, qos=1, pid=1)

    async def main():
        await client.connect()
        start = world.clock.now
        try:
            await client.publish("t", "x", qos=1)
            raise AssertionError("no deadline")
        except OSError as fault:
            assert "no answer in time" in str(fault), fault
        equal(world.clock.now - start, 1000)
        equal(client.inflight, 1)
        broker.send(PUBACK, 1)
        await loop.sleep_ms(1)
        equal(client.inflight, 0)

    world.run(main())


def test_a_task_that_publishes_all_the_time_leaves_the_others_their_slots():
    world = World(Model, ack_ms=5)
    client = world.aio_client(inflight=1)
    published = [0] * 4

    async def keep_publishing(number):
        while True:
            await client.publish("t", b"%d" % number, qos=1 + number % 2)
            published[number] += 1

    async def main():
        await client.connect()
        tasks = [loop.create_task(keep_publishing(number)) for number in range(4)]
        await loop.sleep_ms(1000)
        await client.subscribe("s")
        tasks[0].cancel()
        await loop.sleep_ms(1000)
        for task in tasks:
            task.cancel()

    world.run(main())
    equal(world.broker.violations, [])
    assert published[0] > 10 and max(published[1:]) - min(published[1:]) <= 1, published


def test_a_task_that_fills_the_network_all_the_time_leaves_the_others_their_turn():
    world = World(Model)
    world.net.plan = Plan(buffer=300, latency_ms=1)
    client = world.aio_client()
    published = [0] * 3

    async def keep_publishing(number):
        while True:
            await client.publish("t", b"%d" % number * 1000)
            published[number] += 1

    async def main():
        await client.connect()
        tasks = [loop.create_task(keep_publishing(number)) for number in range(3)]
        await loop.sleep_ms(500)
        await client.publish("t", b"x", qos=1)
        for task in tasks:
            task.cancel()

    world.run(main())
    equal(world.broker.violations, [])
    assert max(published) - min(published) <= 1 < published[0], published


def test_a_call_without_wait_is_not_awaited():
    world, broker, client = aio_pair(inflight=1)
    broker.expect(PUBLISH, qos=1, pid=1)
    broker.expect(PUBLISH, qos=0)
    broker.send(PUBACK, 1)
    broker.expect(SUBSCRIBE)
    broker.send(SUBACK, 2, codes=[0])

    async def main():
        await client.connect()
        equal(client.publish("t", "x", qos=1, wait=False), 1)
        raises(OSError, client.publish, "t", "x", qos=1, wait=False)
        raises(OSError, client.subscribe, "t", wait=False)
        equal(client.publish("t", "x", wait=False), 0)
        await loop.sleep_ms(10)
        equal(client.subscribe("t", wait=False), None)
        await loop.sleep_ms(10)
        equal(client.inflight, 0)

    world.run(main())
    broker.done()


def test_a_mistake_of_the_caller_is_a_value_error_and_nothing_has_changed():
    world, broker, client = aio_pair()
    broker.expect(DISCONNECT)

    async def main():
        async with client:
            for call in (
                client.publish("t/#", "x", qos=1),
                client.publish("t", 1.5),
                client.subscribe("a#"),
                client.unsubscribe([]),
            ):
                try:
                    await call
                    raise AssertionError("no ValueError")
                except ValueError:
                    pass
            equal(client.inflight, 0)

    world.run(main())
    broker.done()
