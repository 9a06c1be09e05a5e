"""The connection of a client of tasks: it is served while they wait, and every task hears how it ends."""

from fakes import loop
from fakes.bench import World, aio_pair, payloads
from fakes.check import equal
from fakes.model import Model
from fakes.net import Context, Plan
from fakes.packets import DISCONNECT, PINGREQ, PINGRESP, PUBLISH, SUBSCRIBE, UNSUBSCRIBE


def test_nothing_wakes_the_loop_while_nothing_happens():
    world, broker, client = aio_pair(keepalive=0)

    async def main():
        await client.connect()
        polls = world.net.polls
        await loop.sleep_ms(60_000)
        assert world.net.polls - polls < 40, world.net.polls - polls

    world.run(main())


def test_the_link_is_kept_alive_by_its_task():
    world, broker, client = aio_pair(keepalive=60)
    broker.expect(PINGREQ)
    broker.send(PINGRESP)
    broker.expect(PINGREQ)
    broker.send(PINGRESP)

    async def main():
        await client.connect()
        await loop.sleep_ms(100_000)

    world.run(main())
    broker.done()


def test_every_task_that_waits_hears_why_the_link_is_down():
    world, broker, client = aio_pair()
    broker.expect(PUBLISH)
    broker.wait(100)
    broker.cut()
    heard = []

    async def hears(awaited):
        try:
            await awaited
        except OSError as fault:
            heard.append(str(fault))

    async def main():
        await client.connect()
        client.on_state.clear()
        await loop.gather(hears(client.publish("t", "x", qos=1)), hears(client.take()), hears(client.on_state.wait()))
        equal(len(heard), 2)
        assert all("closed by the broker" in words for words in heard), heard
        assert not client.isconnected()
        await hears(client.publish("t", "x"))
        await hears(client.subscribe("t"))
        equal(len(heard), 4)
        assert all("closed by the broker" in words for words in heard), heard

    world.run(main())


def test_why_a_connection_was_lost_is_not_told_of_the_next_one():
    world, broker, client = aio_pair()
    broker.cut()
    broker.accept()
    broker.expect(PUBLISH)
    broker.expect(DISCONNECT)

    async def main():
        await client.connect()
        assert "closed by the broker" in str(await fault_of(client.take()))
        await client.connect()
        publishing = loop.create_task(fault_of(client.publish("t", "x", qos=1)))
        await loop.sleep_ms(10)
        await client.disconnect()
        fault = await publishing
        assert "not connected" in str(fault), fault

    async def fault_of(awaited):
        try:
            await awaited
        except OSError as fault:
            return fault

    world.run(main())
    broker.done()


def test_tls_records_that_are_buffered_are_read():
    world = World(Model)
    world.net.serve("broker.test", 8883, world.broker)
    world.net.plan = Plan(handshake_ms=50)
    client = world.aio_client(ssl=Context())

    async def main():
        async with client:
            await client.subscribe("t", 0)
            for i in range(8):
                world.broker.inject("t", b"%d" % i)
            equal(await payloads(client, 8), [b"%d" % i for i in range(8)])
            for qos in range(3):
                await client.publish("x", "y" * 3000, qos=qos)

    world.run(main())
    equal(world.broker.violations, [])
    equal(len(world.broker.accepted), 3)


def test_when_it_is_disconnected_every_task_that_waits_goes_on_at_once():
    world, broker, client = aio_pair()
    broker.expect(PUBLISH)
    broker.expect(DISCONNECT)
    ended = []

    async def iterate():
        async for _ in client:
            pass
        ended.append("async for")

    async def publish():
        try:
            await client.publish("t", "x", qos=1)
        except OSError as fault:
            assert "not connected" in str(fault), fault
            ended.append("publish")

    async def look():
        await client.on_state.wait()
        ended.append("on_state")

    async def main():
        await client.connect()
        await loop.sleep_ms(5)
        client.on_state.clear()
        tasks = [loop.create_task(each) for each in (iterate(), publish(), look())]
        await loop.sleep_ms(5)
        await client.disconnect()
        disconnected = world.clock.now
        for task in tasks:
            await task
        equal(world.clock.now - disconnected, 0)

    world.run(main())
    equal(sorted(ended), ["async for", "on_state", "publish"])
    broker.done()


def test_a_blinking_task_is_never_late_whatever_stands_in_the_way():
    from umqtt.reconnect import Reconnect

    world = World(Model, ack_ms=20)
    world.net.plan = Plan(latency_ms=10)
    # nobody answers; a broker that accepts and says nothing; a half-open link; one that is sound
    world.net.plans = [Plan(connect_ms=None), Plan(cut_out=1, how="silence"), Plan(cut_out=400, how="silence"), Plan()]
    client = world.aio_client(reconnect=Reconnect(500, 2000), keepalive=4, timeout_ms=3000)
    late_ms = []
    taken = []

    async def blink():
        while True:
            due = world.clock.now + 20
            await loop.sleep_ms(20)
            late_ms.append(world.clock.now - due)

    async def iterate():
        async for _, payload, _ in client:
            taken.append(payload)

    async def main():
        loop.create_task(blink())
        async with client:
            loop.create_task(iterate())
            await client.subscribe("in/#", 1, timeout_ms=60_000)
            for i in range(8):
                await client.publish("t", b"%d" % i, qos=1, timeout_ms=60_000)
            await client.publish("large", b"l" * 100_000, qos=1, timeout_ms=60_000)
            world.broker.stop()
            world.broker.inject("in/large", b"x" * 100_000, 1)
            world.broker.inject("in/small", b"x", 1)
            await client.publish("t", b"last", qos=2, timeout_ms=60_000)
            await loop.sleep_ms(10_000)

    world.run(main())
    equal(world.broker.violations, [])
    equal([payload for topic, payload, _ in world.broker.accepted if topic == "t"][-1], b"last")
    equal(taken, [b"x"])
    equal(client.diag()["oversize"], 1)
    assert len(world.net.links) >= 5 and len(late_ms) > 1000, (len(world.net.links), len(late_ms))
    equal(max(late_ms), 0)


def test_who_connects_again_after_a_disconnect_reconnects_as_before():
    from umqtt.reconnect import Reconnect

    world = World(Model)
    client = world.aio_client(reconnect=Reconnect(100, 100))

    async def main():
        await client.connect()
        await client.disconnect()
        await loop.sleep_ms(1000)
        equal(client.diag()["connects"], 1)  # it does not while it is disconnected
        await client.connect()
        world.broker.stop()
        await client.publish("t", "x", qos=1, timeout_ms=1000)
        equal(client.diag()["connects"], 3)

    world.run(main())
    equal(world.broker.violations, [])


def test_a_ping_that_the_network_does_not_take_at_once_leaves_as_soon_as_it_does():
    world, broker, client = aio_pair(keepalive=60)
    broker.expect(PINGREQ)
    broker.send(PINGRESP)

    async def main():
        await client.connect()
        world.link.plan.write_again = True
        await loop.sleep_ms(50_000)

    start = world.clock.now
    world.run(main())
    broker.done()
    assert broker.times[-1] - start <= 45_010, broker.times[-1] - start


def test_what_is_asked_for_without_wait_leaves_as_soon_as_the_network_takes_it():
    for call in ("publish", "subscribe", "unsubscribe"):
        world, broker, client = aio_pair(keepalive=0)
        broker.expect({"publish": PUBLISH, "subscribe": SUBSCRIBE, "unsubscribe": UNSUBSCRIBE}[call])

        async def main(client=client, world=world, call=call):
            await client.connect()
            await loop.sleep_ms(5)
            world.link.plan.write_again = True
            if call == "publish":
                client.publish("t", "x", qos=1, wait=False)
            else:
                getattr(client, call)("t", wait=False)
            await loop.sleep_ms(10)

        world.run(main())
        broker.done()


def test_inside_on_ended_and_on_state_nothing_waits_and_nothing_is_lost():
    from umqtt.reconnect import Reconnect

    world = World(Model, ack_ms=5)
    client = world.aio_client(
        reconnect=Reconnect(on_state=lambda up, error: up and client.publish("state", "up", qos=1))
    )

    def ended(packet_id, codes):
        client.on_ended = None
        client.publish("ended", "%d" % packet_id, qos=2)
        client.subscribe("in", 1)

    client.on_ended = ended

    async def main():
        async with client:
            await client.publish("t", "x", qos=1, timeout_ms=5000)
            await loop.sleep_ms(100)
            equal(client.inflight, 0)

    world.run(main())
    equal(sorted(topic for topic, _, _ in world.broker.accepted), ["ended", "state", "t"])
    equal(world.broker.kept("c1").subs, {"in": 1})
    equal(loop.Loop.unhandled, [])


def test_a_tcp_connection_that_takes_its_time_is_gone_on_with_as_soon_as_it_is_up():
    world = World(Model)
    client = world.aio_client()
    world.net.plan = Plan(connect_ms=300)

    async def main():
        for _ in range(2):
            began_ms = world.clock.now
            await client.connect()
            equal(world.clock.now - began_ms, 300)
            await client.publish("t", "x", qos=1)

    world.run(main())
