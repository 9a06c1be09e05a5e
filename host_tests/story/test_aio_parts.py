"""The parts beside the client on umqtt.aio: prepared topics, streams, the outbox over a store."""

from fakes import loop
from fakes.bench import World
from fakes.check import equal
from fakes.folder import Folder
from fakes.model import Model
from fakes.net import Plan
from umqtt.outbox import Outbox
from umqtt.publisher import Publisher
from umqtt.reconnect import Reconnect
from umqtt.store import FileJournal, Store

aio_stream = loop.import_aio("umqtt.aio_stream")


class Reader:
    """Gives `data`, then fails if it is to."""

    def __init__(self, data, fails=False):
        self.data = data
        self.fails = fails

    def readinto(self, buf):
        count = min(len(buf), len(self.data))
        if not count and self.fails:
            raise OSError(5)
        buf[:count] = self.data[:count]
        self.data = self.data[count:]
        return count


LARGE = b"0123456789" * 500


def accepted(world):
    return [(payload, qos) for _, payload, qos in world.broker.accepted]


def test_a_prepared_topic_is_awaited():
    world = World(Model, ack_ms=5)
    client = world.aio_client()

    async def main():
        async with client:
            equal(await Publisher(client, "t").publish(b"0"), 0)
            equal(await Publisher(client, "t", qos=1).publish(b"1"), 1)
            equal(client.inflight, 0)

    world.run(main())
    equal(accepted(world), [(b"0", 0), (b"1", 1)])


def test_a_stream_is_sent_while_other_tasks_publish():
    world = World(Model, ack_ms=5)
    world.net.plan = Plan(buffer=300, latency_ms=1)
    client = world.aio_client()

    async def main():
        async with client:
            for qos in (0, 1):
                streamed = aio_stream.publish(client, "large", Reader(LARGE), len(LARGE), qos=qos, piece_b=64)
                others = [client.publish("t", b"%d" % i, qos=i % 3) for i in range(6)]
                got = await loop.gather(streamed, *others)
                equal(got[0] > 0, qos == 1)
            equal(client.inflight, 0)

    world.run(main())
    equal(world.broker.violations, [])
    equal(len(accepted(world)), 14)
    equal([qos for payload, qos in accepted(world) if payload == LARGE], [0, 1])


def test_a_stream_has_its_turn_among_tasks_that_fill_the_network_all_the_time():
    for qos in (0, 1):
        world = World(Model)
        world.net.plan = Plan(buffer=300, latency_ms=1)
        client = world.aio_client(inflight=1)

        async def keep_publishing(other_qos, client=client):
            while True:
                await client.publish("t", b"x" * 1000, qos=other_qos)

        async def main(client=client, qos=qos):
            async with client:
                tasks = [loop.create_task(keep_publishing(number % 2)) for number in range(4)]
                await loop.sleep_ms(20)
                await aio_stream.publish(client, "large", Reader(LARGE), len(LARGE), qos=qos, timeout_ms=1000)
                for task in tasks:
                    task.cancel()

        world.run(main())
        equal(world.broker.violations, [])
        equal([row for row in accepted(world) if row[0] == LARGE], [(LARGE, qos)])


def test_a_short_stream_is_a_message():
    world = World(Model)
    client = world.aio_client()

    async def main():
        async with client:
            equal(await aio_stream.publish(client, "t", Reader(b"short"), 5, qos=1), 1)
            equal(await aio_stream.publish(client, "t", Reader(b"short"), 5), 0)
            equal(await aio_stream.publish(client, "kept", Reader(LARGE), len(LARGE), True), 0)

    world.run(main())
    equal(accepted(world), [(b"short", 1), (b"short", 0), (LARGE, 0)])
    equal(list(world.broker.retained), ["kept"])


def test_a_reader_that_fails_and_a_link_that_is_lost_are_told_to_the_call_and_the_client_reconnects():
    for fails, plans in ((True, []), (False, [Plan(cut_out=1000, how="rst", buffer=300, latency_ms=1)])):
        for qos in (0, 1):
            world = World(Model)
            world.net.plan = Plan(buffer=300, latency_ms=1)
            world.net.plans = list(plans)
            client = world.aio_client(reconnect=Reconnect(100, 100))
            taken = []

            async def iterate():
                async for _, payload, _ in client:
                    taken.append(payload)

            async def main():
                async with client:
                    task = loop.create_task(iterate())
                    await client.subscribe("in", 1)
                    reader = Reader(LARGE[:2000] if fails else LARGE, fails)
                    try:
                        await aio_stream.publish(client, "large", reader, len(LARGE), qos=qos)
                        raise AssertionError("nothing was raised")
                    except OSError as fault:
                        assert fault.args == (5,) if fails else "link is down" in str(fault), fault
                    await client.publish("t", b"next", qos=1)
                    world.broker.inject("in", b"still there", 1)
                    await loop.sleep_ms(50)
                    assert not task.done()
                    equal(client.inflight, 0)

            world.run(main())
            equal(accepted(world), [(b"next", 1)])
            equal(taken, [b"still there"])
            equal(world.net.open_sockets(), [])


def test_a_stream_that_is_cancelled_at_any_step_leaves_a_client_that_goes_on():
    for at in range(60):
        world = World(Model, ack_ms=3)
        world.net.plan = Plan(buffer=1000, latency_ms=2)
        client = world.aio_client(reconnect=Reconnect(50, 50))
        steps = [0, None]

        def step(_):
            if steps[1]:
                if steps[0] == at:
                    steps[1].cancel()
                steps[0] += 1

        async def main():
            async with client:
                await client.publish("t", b"first", qos=1)
                reader = Reader(LARGE)
                task = steps[1] = loop.create_task(aio_stream.publish(client, "l", reader, len(LARGE), qos=1))
                try:
                    await task
                except loop.CancelledError:
                    pass
                steps[1] = None
                left_b = len(reader.data)
                await client.publish("t", b"next", qos=2)
                equal(len(reader.data), left_b, "who cancels may close it")
                equal(client.inflight, 0)

        world.run(main(), step)
        equal(world.broker.violations, [])
        equal([payload for payload, _ in accepted(world) if payload != LARGE], [b"first", b"next"])
    assert (LARGE, 1) in accepted(world)


def test_the_outbox_hands_over_and_the_store_keeps_what_a_reset_interrupts():
    with Folder() as folder:
        world = World(Model, ack_ms=3)

        def start():
            store = Store(FileJournal(folder + "/j"))
            return Outbox(folder + "/q", store), world.aio_client(store=store, inflight=3)

        outbox, client = start()
        for i in range(20):
            outbox.add("t", b"%d" % i, 1 + i % 2)

        async def hand_over(most_ms):
            end = world.clock.now + most_ms
            await client.connect()
            while (outbox.waiting or client.inflight) and world.clock.now < end:
                outbox.drain(client)
                await loop.sleep_ms(1)

        world.run(hand_over(20))  # a reset comes in the middle
        assert 0 < len(world.broker.accepted) < 20, accepted(world)
        outbox, client = start()
        world.run(hand_over(5000))
        got = [int(payload) for payload, _ in accepted(world)]
        equal(sorted(set(got)), list(range(20)))
        equal([number for number in got if number % 2], list(range(1, 20, 2)), "QoS 2 once each")
        equal((outbox.waiting, client.inflight), (0, 0))
        equal(world.broker.violations, [])


def test_a_store_notes_what_a_task_has_taken_when_it_asks_for_the_next():
    with Folder() as folder:
        world = World(Model)
        client = world.aio_client(store=Store(FileJournal(folder + "/j")))
        seen = []
        client._taken = lambda packet_id, state: seen.append(packet_id)  # what the store is told

        async def main():
            await client.connect()
            await client.subscribe("t", 2)
            for qos in (1, 2, 0):
                world.broker.inject("t", b"%d" % qos, qos)
            taken = []
            for _ in range(3):
                taken.append((await client.take())[1])
            equal(taken, [b"1", b"2", b"0"])
            await loop.sleep_ms(10)

        world.run(main())
        equal(world.broker.violations, [])
        equal(len(seen), 3)
        assert seen.count(0) == 2 and max(seen) > 0, seen  # the id of QoS 2 alone is held
