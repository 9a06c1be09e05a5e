"""Messages for tasks: each is acknowledged when it was worked on; what waits, what is dropped, what comes again."""

from fakes import loop
from fakes.bench import World, aio_pair, payloads
from fakes.check import equal
from fakes.model import Model
from fakes.net import Context
from fakes.packets import DISCONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL


def test_a_message_is_acknowledged_when_its_task_asks_for_the_next():
    world, broker, client = aio_pair()
    broker.send(PUBLISH, 7, topic="t", payload="1", qos=1)
    broker.send(PUBLISH, 8, topic="t", payload="2", qos=2)
    broker.send(PUBLISH, 9, topic="t", payload="3", qos=1)
    taken = []

    async def main():
        async with client:
            async for message in client:
                taken.append(message)
                await loop.sleep_ms(1000)  # it is worked on
                equal(len(broker.got), len(taken) + (len(taken) > 2))  # CONNECT, and the acks of those before
                if len(taken) == 1:
                    broker.expect(PUBACK, pid=7)
                elif len(taken) == 2:
                    broker.expect(PUBREC, pid=8)
                    broker.send(PUBREL, 8)
                    broker.expect(PUBCOMP, pid=8)
                else:
                    break
            broker.expect(PUBACK, pid=9)
            broker.expect(DISCONNECT)

    world.run(main())
    equal(taken, [(b"t", b"1", False), (b"t", b"2", False), (b"t", b"3", False)])
    broker.done()


def test_an_acknowledgement_that_meets_another_call_is_not_lost():
    world, broker, client = aio_pair()
    for packet_id in (7, 8):
        broker.send(PUBLISH, packet_id, topic="t", payload="%d" % packet_id, qos=1)

    async def main():
        await client.connect()
        equal((await client.take())[1], b"7")
        take_turn = client._take_turn
        client._take_turn = lambda: False  # as a Timer's callback finds it
        try:
            await client.take()
            raise AssertionError("nothing was raised")
        except OSError as fault:
            assert "in the middle" in str(fault), fault
        client._take_turn = take_turn
        broker.expect(PUBACK, pid=7)
        equal((await client.take())[1], b"8")
        await loop.sleep_ms(5)

    world.run(main())
    broker.done()


def test_more_messages_of_qos_2_than_a_broker_leaves_open_are_acknowledged_as_well():
    world, broker, client = aio_pair(queue=30)
    for packet_id in range(1, 25):
        broker.send(PUBLISH, packet_id, topic="t", payload="%d" % packet_id, qos=2)

    async def main():
        await client.connect()
        await loop.sleep_ms(5)
        for packet_id in range(1, 24):
            broker.expect(PUBREC, pid=packet_id)
        equal(await payloads(client, 24), [b"%d" % packet_id for packet_id in range(1, 25)])
        await loop.sleep_ms(5)

    world.run(main())
    broker.done()


def test_the_packet_ids_that_a_broker_reaches_in_a_day_are_acknowledged_as_they_came():
    world, broker, client = aio_pair()
    broker.send(PUBLISH, 0x1234, topic="t", payload="1", qos=1)
    broker.send(PUBLISH, 0xFFFE, topic="t", payload="2", qos=2)
    broker.expect(PUBACK, pid=0x1234)
    broker.expect(PUBREC, pid=0xFFFE)
    broker.expect(DISCONNECT)

    async def main():
        async with client:
            room = len(client._held_packet_ids)
            equal(await payloads(client, 2), [b"1", b"2"])
        equal(len(client._held_packet_ids), room, "the list of ids does not grow")

    world.run(main())
    broker.done()


def test_a_message_is_acknowledged_when_its_task_has_ended_well():
    world = World(Model, window=5)
    client = world.aio_client()
    taken = []

    async def take_one():
        async for _, payload, _ in client:
            taken.append(payload)
            if payload == b"7":
                raise ValueError("it could not be worked on")
            break

    async def main():
        async with client:
            await client.subscribe("t", 1)
            for i in range(20):
                world.broker.inject("t", b"%d" % i, 1)
                loop.create_task(take_one())
                await loop.sleep_ms(100)
            equal(
                [message[0][1] for message in client._inbox._in_hand], [b"7", b"19"]
            )  # nobody has asked since the last

    world.run(main())
    equal(taken, [b"%d" % i for i in range(20)])
    equal([context["exception"].args for context in loop.Loop.unhandled], [("it could not be worked on",)])
    equal(world.broker.violations, [])


def test_the_broker_sends_no_more_than_its_window_while_nobody_takes():
    world = World(Model, window=5)
    client = world.aio_client()

    async def main():
        async with client:
            await client.subscribe("t", 1)
            for i in range(50):
                world.broker.inject("t", b"%d" % i, 1)
            await loop.sleep_ms(5000)
            equal(len(client._inbox._waiting), 5)
            taken = []
            async for _, payload, _ in client:
                taken.append(payload)
                await client.publish("other", payload, qos=1)  # its ack is not held up
                if len(taken) == 50:
                    break
            equal(taken, [b"%d" % i for i in range(50)])

    world.run(main())
    equal(world.broker.violations, [])


def test_of_qos_0_only_the_queue_is_kept_and_what_is_dropped_is_counted():
    for keep_oldest in (False, True):
        world = World(Model)
        client = world.aio_client(queue=3, keep_oldest=keep_oldest)

        async def main():
            async with client:
                await client.subscribe("t", 2)
                for i in range(10):
                    world.broker.inject("t", b"%d" % i, i % 2)
                await loop.sleep_ms(100)
                taken = await payloads(client, 7)
                kept = [b"0", b"2"] if keep_oldest else [b"6", b"8"]
                equal(sorted(taken), sorted(kept + [b"1", b"3", b"5", b"7", b"9"]))
                equal(client.dropped, 3)

        world.run(main())
    world = World(Model)
    client = world.aio_client()

    async def unasked():
        async with client:
            await client.subscribe("t")
            for i in range(10):
                world.broker.inject("t", b"%d" % i)
            await loop.sleep_ms(100)
            equal((await payloads(client, 8), client.dropped), ([b"%d" % i for i in range(2, 10)], 2))

    world.run(unasked())


def test_what_was_not_acknowledged_comes_again_after_a_cut_and_what_waited_only_once():
    for qos in (1, 2):
        world = World(Model)
        client = world.aio_client()

        async def main():
            await client.connect()
            await client.subscribe("t", 2)
            for i in range(4):
                world.broker.inject("t", b"%d" % i, qos)
            await loop.sleep_ms(10)
            equal((await client.take())[1], b"0")
            world.broker.stop()
            await loop.sleep_ms(10)
            await client.connect()
            # the one in hand as well: nothing was said of it
            equal(await payloads(client, 4), [b"0", b"1", b"2", b"3"])
            await loop.sleep_ms(10)
            equal(client._inbox._waiting, [])

        world.run(main())
        equal(world.broker.violations, [])


def test_a_connect_over_a_connection_that_is_up_begins_anew_with_what_was_in_hand():
    for ssl in (None, Context()):
        world = World(Model)
        world.net.serve("broker.test", 8883, world.broker)
        client = world.aio_client(ssl=ssl)

        async def main(client=client, world=world):
            await client.connect()
            await client.subscribe("t", 1)
            world.broker.inject("t", b"1", 1)
            world.broker.inject("t", b"2", 1)
            equal((await client.take())[1], b"1")
            client.on_state.clear()
            await client.connect()
            assert client.on_state.is_set()
            equal(await payloads(client, 2), [b"1", b"2"])  # nothing was said of the first on this connection
            await client.__aexit__(None, None, None)
            equal(world.broker.kept("c1").out, [])

        world.run(main())
        equal(world.broker.violations, [])


def test_when_the_broker_forgot_the_session_what_came_is_taken_all_the_same():
    world = World(Model)
    client = world.aio_client()

    async def main():
        await client.connect()
        await client.subscribe("t", 1)
        world.broker.inject("t", b"1", 1)
        world.broker.inject("t", b"2", 2)
        await loop.sleep_ms(10)
        world.broker.stop()
        world.broker.forget()
        await loop.sleep_ms(10)
        await client.connect()
        equal(await payloads(client, 2), [b"1", b"2"])
        equal(client._inbox._in_hand, [])  # this broker knows of neither
        await client.publish("t2", "x", qos=1)

    world.run(main())
    equal(world.broker.violations, [])


def test_a_callback_takes_the_messages_and_publishes_without_waiting():
    world, broker, client = aio_pair()
    got = []

    def on_message(topic, payload, retained):
        got.append(payload)
        equal(client.publish("answer", payload, qos=1), len(got))
        if payload == b"2":
            raise ValueError("no")

    broker.send(PUBLISH, 5, topic="t", payload="1", qos=1)
    broker.expect(PUBLISH, pid=1, topic="answer", payload="1")
    broker.expect(PUBACK, pid=5)
    broker.send(PUBACK, 1)
    broker.send(PUBLISH, 6, topic="t", payload="2", qos=1)
    broker.expect(PUBLISH, pid=2)
    broker.send(PUBACK, 2)
    client.set_callback(on_message)

    async def main():
        await client.connect()
        await loop.sleep_ms(10)

    world.run(main())
    equal(got, [b"1", b"2"])
    equal([str(context["exception"]) for context in loop.Loop.unhandled], ["no"])
    broker.done()


def test_a_message_larger_than_the_buffer_is_told():
    world, broker, client = aio_pair(rx_size=64)
    told = []
    client.on_oversize = lambda topic, size_b: told.append((topic, size_b))
    broker.send(PUBLISH, 5, topic="large", payload="x" * 1000, qos=1)
    broker.expect(PUBACK, pid=5)
    broker.send(PUBLISH, topic="t", payload="next")

    async def main():
        await client.connect()
        equal((await client.take())[1], b"next")

    world.run(main())
    equal(told, [(b"large", 1000)])
    equal(client.diag()["oversize"], 1)
    broker.done()


def test_an_acknowledgement_that_the_network_does_not_take_at_once_leaves_while_its_task_works():
    world, broker, client = aio_pair(keepalive=0)
    for packet_id in (7, 8):
        broker.send(PUBLISH, packet_id, topic="t", payload="x", qos=1)
    broker.expect(PUBACK, pid=7)

    async def main():
        await client.connect()
        await client.take()
        await loop.sleep_ms(5)
        world.link.plan.write_again = True
        await client.take()  # there already: it does not wait
        asked = world.clock.now
        await loop.sleep_ms(1000)  # it is worked on
        equal(len(broker.got), 2)
        assert broker.times[-1] - asked <= 10, broker.times[-1] - asked

    world.run(main())
    broker.done()
