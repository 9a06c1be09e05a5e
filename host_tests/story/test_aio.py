"""umqtt.aio: tasks that publish, subscribe and iterate at once; messages are acknowledged when they were worked on; a
cancelled call leaves session, slots and stream sound."""

from fakes import loop
from fakes.bench import World
from fakes.check import equal, raises
from fakes.model import Model
from fakes.net import Context, Plan
from fakes.packets import (
    DISCONNECT,
    PINGREQ,
    PINGRESP,
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


def up(**named):
    """A world with a scripted broker that has taken CONNECT, and a client of umqtt.aio."""
    world = World()
    client = world.aio_client(**named)
    world.broker.accept()
    return world, world.broker, client


async def payloads(client, count):
    """Of the next `count` messages."""
    got = []
    while len(got) < count:
        got.append((await client.take())[1])
    return got


def test_a_publish_is_awaited_until_its_ack():
    world, broker, client = up()
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
    world, broker, client = up()
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


def test_nothing_wakes_the_loop_while_nothing_happens():
    world, broker, client = up(keepalive=0)

    async def main():
        await client.connect()
        polls = world.net.polls
        await loop.sleep_ms(60_000)
        assert world.net.polls - polls < 40, world.net.polls - polls

    world.run(main())


def test_the_link_is_kept_alive_by_its_task():
    world, broker, client = up(keepalive=60)
    broker.expect(PINGREQ)
    broker.send(PINGRESP)
    broker.expect(PINGREQ)
    broker.send(PINGRESP)

    async def main():
        await client.connect()
        await loop.sleep_ms(100_000)

    world.run(main())
    broker.done()


def test_subscriptions_of_several_tasks_get_each_its_own_codes():
    world, broker, client = up()
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


def test_a_message_is_acknowledged_when_its_task_asks_for_the_next():
    world, broker, client = up()
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
    world, broker, client = up()
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
    world, broker, client = up(queue=30)
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
    world, broker, client = up()
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


def test_every_task_that_waits_hears_why_the_link_is_down():
    world, broker, client = up()
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
    world, broker, client = up()
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


def test_a_deadline_is_one_and_the_message_stays_in_flight():
    world, broker, client = up(timeout_ms=1000)
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


def test_a_callback_takes_the_messages_and_publishes_without_waiting():
    world, broker, client = up()
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


def test_a_call_without_wait_is_not_awaited():
    world, broker, client = up(inflight=1)
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
    world, broker, client = up()
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


def test_a_message_larger_than_the_buffer_is_told():
    world, broker, client = up(rx_size=64)
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
    world, broker, client = up()
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
    world, broker, client = up(keepalive=60)
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
        world, broker, client = up(keepalive=0)
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


def test_an_acknowledgement_that_the_network_does_not_take_at_once_leaves_while_its_task_works():
    world, broker, client = up(keepalive=0)
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
