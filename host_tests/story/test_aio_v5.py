"""umqtt.aio_v5: tasks that publish, subscribe, ask and iterate at once with MQTT 5. The stories of the blocking client
(test_v5_*.py) run over it as well; here is what only tasks can see."""

import sys

from fakes import loop
from fakes.bench import World
from fakes.bench5 import aio_client5, aio_pair5, load5, world5
from fakes.check import equal, raises
from fakes.model5 import Model5
from fakes.packets import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    PUBACK,
    PUBLISH,
    PUBREC,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
)
from fakes.packets5 import AUTH, encode


async def outcome(awaited):
    """What a call returned; of what it raised the class's name and the arguments."""
    try:
        return await awaited
    except Exception as raised:
        return (raised.__class__.__name__,) + raised.args


# Receiving


def test_each_task_has_the_properties_of_its_own_message_for_as_long_as_it_works_on_it():
    world, broker, client = aio_pair5()
    for number in range(4):
        props = [(2, 60 + number), (3, "type %d" % number), (9, b"%d" % number), (38, ("n", "%d" % number))]
        broker.send(PUBLISH, 5, qos=number % 2, topic="t", payload="%d" % number, props=props)
    broker.send(PUBLISH, topic="t", payload="bare")
    seen = []

    async def work():
        async for _, payload, _ in client:
            received = client.received
            await loop.sleep_ms(50)  # others take theirs, and the buffer is used again
            seen.append((payload, received.expiry_s, received.content_type, received.correlation, received.get(38)))

    async def main():
        await client.connect()
        tasks = [loop.create_task(work()) for _ in range(3)]
        await loop.sleep_ms(20)
        equal(client.received.content_type, None, "a task that has no message")
        broker.expect(PUBACK)
        broker.expect(PUBACK)
        await loop.sleep_ms(200)
        for task in tasks:
            task.cancel()

    world.run(main())
    broker.done()
    wanted = [(b"%d" % i, 60 + i, "type %d" % i, b"%d" % i, [("n", "%d" % i)]) for i in range(4)]
    equal(sorted(seen), sorted(wanted + [(b"bare", None, None, None, None)], key=lambda row: row[0]))


def test_a_message_that_is_taken_in_time_has_its_properties_there():
    world, broker, client = aio_pair5()
    broker.send(PUBLISH, topic="t", payload="1", props=[(3, "one")])
    broker.send(PUBLISH, topic="t", payload="2")

    async def main():
        await client.connect()
        equal((await loop.wait_for_ms(client.take(), 50))[1], b"1")
        await loop.sleep_ms(50)
        equal(client.received.content_type, "one")
        equal((await client.take())[1], b"2")
        equal(client.received.content_type, None)

    world.run(main())


def test_the_properties_of_tasks_that_have_ended_are_let_go_of():
    world, broker, client = aio_pair5(queue=20)
    for _ in range(20):
        broker.send(PUBLISH, topic="t", payload="x", props=[(3, "json")])

    async def take_one():
        async for _ in client:
            equal(client.received.content_type, "json")
            return

    async def main():
        await client.connect()
        for _ in range(20):
            await loop.create_task(take_one())
        equal(len(client._inbox._received_by), 1)

    world.run(main())


def test_a_message_without_properties_takes_no_more_than_one_of_3_1_1():
    world, broker, client = aio_pair5()
    raises(AttributeError, getattr, client, "no_such_thing")
    loaded = sys.modules.pop("umqtt.received")  # no message has had properties yet
    broker.send(PUBLISH, topic="t", payload="bare")
    broker.send(PUBLISH, topic="t", payload="x", props=[(3, "json")])

    async def main():
        await client.connect()
        await loop.sleep_ms(10)
        equal([len(message) for message in client._inbox._waiting], [4, 5])

    try:
        world.run(main())
    finally:
        sys.modules["umqtt.received"] = loaded


def test_what_is_asked_for_without_wait_leaves_as_soon_as_the_network_takes_it():
    for call in ("publish", "authenticate_again", "subscribe"):
        world, broker, client = aio_pair5(keepalive=0, authentication=("m", lambda data: b""))
        if call == "publish":
            broker.expect(PUBLISH, qos=1, props=[(3, "t")])
        elif call == "subscribe":
            broker.expect(SUBSCRIBE, filters=[("t", 0)], props=[])
        else:
            broker.expect(AUTH)

        async def main(client=client, world=world, call=call):
            await client.connect()
            await loop.sleep_ms(5)
            world.link.plan.write_again = True
            if call == "publish":
                client.publish("t", "x", qos=1, wait=False, content_type="t")
            elif call == "subscribe":
                client.subscribe("t", wait=False)
            else:
                client.authenticate_again()
            await loop.sleep_ms(10)

        world.run(main())
        broker.done()


def test_aliases_of_the_broker_are_topics_for_tasks():
    world, broker, client = aio_pair5(properties={34: 2})
    for topic, props in (("a/b", [(35, 1)]), ("", [(35, 1)]), ("c", []), ("", [(35, 1), (3, "json")])):
        broker.send(PUBLISH, topic=topic, payload="x", props=props)

    async def main():
        await client.connect()
        for topic in (b"a/b", b"a/b", b"c", b"a/b"):
            equal((await client.take())[0], topic)
        equal(client.received.content_type, "json")

    world.run(main())


def test_inside_a_callback_are_the_properties_of_its_message_whatever_tasks_have_in_hand():
    world, broker, client = aio_pair5()
    broker.send(PUBLISH, topic="t", payload="1", props=[(3, "task's")])
    seen = []

    async def main():
        await client.connect()
        await client.take()
        client.set_callback(lambda topic, payload, retained: seen.append(client.received.content_type))
        broker.send(PUBLISH, topic="t", payload="2", props=[(3, "callback's")])
        broker.send(PUBLISH, topic="t", payload="3")
        await loop.sleep_ms(10)
        equal(client.received.content_type, "task's")

    world.run(main())
    equal(seen, ["callback's", None])


# What the broker refuses


def test_a_refused_message_raises_in_words_in_the_task_that_published_it():
    world, broker, client = aio_pair5()
    for packet_id, qos in ((1, 1), (2, 2), (3, 1)):
        broker.expect(PUBLISH, pid=packet_id, qos=qos)
    broker.send(PUBREC, 2, reason=0x97, props=[(31, "ten a day")])
    broker.send(PUBACK, 3, reason=0x10)  # nobody subscribes: no error
    broker.send(PUBACK, 1, reason=0x87)

    async def main():
        await client.connect()
        published = [outcome(client.publish("t", "x", qos=qos)) for qos in (1, 2, 1)]
        first, second, third = await loop.gather(*published)
        equal(first[:2], ("MQTTException", 0x87))
        assert "not authorised" in first[2], first
        equal(second[:2], ("MQTTException", 0x97))
        assert "ten a day" in second[2], second
        equal(third, 3)
        equal(client.inflight, 0)

    world.run(main())
    broker.done()


def test_a_stream_that_is_refused_raises_and_a_prepared_topic_too():
    from io import BytesIO

    from umqtt import aio_stream
    from umqtt.publisher import Publisher

    world, broker, client = aio_pair5()
    broker.expect(PUBLISH, pid=1, qos=1, payload=b"x" * 1000)
    broker.send(PUBACK, 1, reason=0x97)
    broker.expect(PUBLISH, pid=2, qos=1, payload="y")
    broker.send(PUBACK, 2, reason=0x87)

    async def main():
        await client.connect()
        got = await outcome(aio_stream.publish(client, "t", BytesIO(b"x" * 1000), 1000, qos=1))
        equal(got[:2], ("MQTTException", 0x97))
        equal((await outcome(Publisher(client, "t", qos=1).publish(b"y")))[:2], ("MQTTException", 0x87))
        equal(client.inflight, 0)

    world.run(main())
    broker.done()


def test_subscriptions_of_several_tasks_are_refused_each_for_its_own_reason():
    world, broker, client = aio_pair5()
    for packet_id in (1, 2, 3):
        broker.expect(SUBSCRIBE, pid=packet_id)
    broker.expect(UNSUBSCRIBE, pid=4)
    broker.raw(
        encode(SUBACK, 1, codes=(1, 0x87))
        + encode(SUBACK, 2, codes=(0x97,))
        + encode(SUBACK, 3, codes=(2,))
        + encode(UNSUBACK, 4, codes=(0, 0x83))
    )

    async def main():
        await client.connect()
        got = await loop.gather(
            outcome(client.subscribe([("a", 1), ("b", 1)])),
            outcome(client.subscribe("c")),
            outcome(client.subscribe("d", 2)),
            outcome(client.unsubscribe(["e", "f"])),
        )
        equal([row[:2] for row in (got[0], got[1], got[3])], [("MQTTException", code) for code in (0x87, 0x97, 0x83)])
        assert got[0][2].startswith("subscription refused: b: not authorised"), got
        assert got[1][2].startswith("subscription refused: c: "), got
        assert got[3][2].startswith("unsubscribe refused: f: "), got
        equal(got[2], b"\2")

    world.run(main())
    broker.done()


def test_what_the_broker_has_said_that_it_does_not_take_is_refused_before_anything_is_sent():
    world, broker, client = aio_pair5(props=[(37, 0), (39, 60), (40, 0)])

    async def main():
        await client.connect()
        for call, code in (
            (lambda: client.publish("t", "x", retain=True), 0x9A),
            (lambda: client.publish("t", b"x" * 60, qos=1), 0x95),
            (lambda: client.subscribe("a/#"), 0xA2),
        ):
            try:
                await call()
                raise AssertionError("not refused: %x" % code)
            except client_exception() as refused:
                equal(refused.args[0], code)
        equal(client.inflight, 0)

    world.run(main())
    broker.done()


def client_exception():
    from umqtt.errors import MQTTException

    return MQTTException


def test_wrong_arguments_are_a_value_error_and_nothing_has_changed():
    world, broker, client = aio_pair5()

    async def main():
        await client.connect()
        equal((await outcome(client.publish("t", "x", properties={99: 1})))[0], "ValueError")
        equal((await outcome(client.publish("t", "x", qos=1, expiry_s=-1)))[0], "ValueError")
        raises(ValueError, client.subscribe, "t", 3)
        raises(ValueError, client.disconnect, properties={99: 1})
        assert client.isconnected()
        broker.expect(PUBLISH, props=[], payload="y")
        await client.publish("t", "y")

    world.run(main())
    broker.done()


# The window


def test_each_property_leaves_though_it_is_the_only_one():
    world, broker, client = aio_pair5()
    asked = (
        ({"expiry_s": 9}, [(2, 9)]),
        ({"content_type": "text"}, [(3, "text")]),
        ({"response_topic": "to"}, [(8, "to")]),
        ({"correlation": b"17"}, [(9, b"17")]),
        ({"properties": {1: 1}}, [(1, 1)]),
        ({}, []),
    )
    for _, props in asked:
        broker.expect(PUBLISH, props=props, qos=0)
        broker.expect(PUBLISH, props=props, qos=1)
        broker.reply(PUBACK)

    async def main():
        equal((client.received.topic, client.received.get(3)), (b"", None))
        await client.connect()
        for named, _ in asked:
            await client.publish("t", "x", **named)
            await client.publish("t", "x", qos=1, **named)

    world.run(main())
    broker.done()


def test_no_more_messages_of_many_tasks_than_the_receive_maximum_are_unacknowledged_and_no_task_starves():
    for window, inflight in ((1, 1), (1, 4), (3, 2), (2, 8)):
        load5()
        world = World(Model5, takes=window, ack_ms=7)
        client = aio_client5(world, inflight=inflight)
        published = [0] * 6

        async def keep_publishing(number):
            while True:
                await client.publish("t", b"%d" % number, qos=1 + number % 2)
                published[number] += 1

        async def main():
            await client.connect()
            tasks = [loop.create_task(keep_publishing(number)) for number in range(6)]
            await loop.sleep_ms(2000)
            for task in tasks:
                task.cancel()

        world.run(main())
        equal(world.broker.violations, [])
        assert min(published) * 2 >= max(published) > 0, (window, inflight, published)


# The end


def test_a_disconnect_with_a_reason_is_told_to_every_task_that_waits():
    world, broker, client = aio_pair5()
    broker.expect(PUBLISH)
    broker.send(DISCONNECT, reason=0x8E, props=[(31, "your twin is here")])
    broker.cut()

    async def main():
        await client.connect()
        client.on_state.clear()
        got = await loop.gather(
            outcome(client.publish("t", "x", qos=1)), outcome(client.take()), outcome(client.on_state.wait())
        )
        for row in got[:2]:
            equal(row[:2], ("MQTTException", 0x8E))
            assert "session taken over" in row[2] and "your twin is here" in row[2], row
        words = client.diag()["error"]
        assert "session taken over" in words, words
        late = await outcome(client.publish("t", "y"))
        assert late[0] == "OSError" and "session taken over" in str(late), late

    world.run(main())


def test_the_next_connection_goes_to_the_server_that_the_broker_has_named():
    from fakes.broker import Script
    from umqtt.reconnect import Reconnect

    world, broker, client = aio_pair5(follow_reference=True, reconnect=Reconnect(100, 100))
    other = Script(world.clock, codec=broker.codec)
    world.net.serve("other.test", 1884, other)
    other.expect(CONNECT)
    other.send(CONNACK, sp=1)
    other.expect(PUBLISH, pid=1, dup=1)
    other.reply(PUBACK)
    broker.expect(PUBLISH, pid=1)
    broker.send(DISCONNECT, reason=0x9D, props=[(28, "other.test:1884")])
    broker.cut()
    states = []

    async def watch():
        while True:
            await client.on_state.wait()
            client.on_state.clear()
            states.append((client.isconnected(), client.diag()["error"]))

    async def main():
        task = loop.create_task(watch())
        async with client:
            equal(await client.publish("t", "x", qos=1, timeout_ms=5000), 1)
            equal(client.server_reference, "other.test:1884")
            task.cancel()
            other.expect(DISCONNECT)

    world.run(main())
    other.done()
    equal([is_up for is_up, _ in states][:3], [True, False, True])
    assert "other.test" in states[1][1], states


def test_disconnect_says_what_is_asked_for_behind_what_waits():
    world, broker, client = aio_pair5()
    broker.expect(PUBLISH)
    broker.expect(DISCONNECT, reason=4, props=[(17, 9)])
    broker.expect_end()

    async def main():
        await client.connect()
        client.publish("t", "x", wait=False)
        await client.disconnect(with_will=True, session_expiry_s=9)

    world.run(main())
    broker.done()
    world, broker, client = aio_pair5()
    broker.expect(DISCONNECT, reason=0, props=[(17, 0)])

    async def gives_the_session_up():
        await client.connect()
        await client.disconnect(session_expiry_s=0)

    world.run(gives_the_session_up())
    broker.done()
    world, broker, client = aio_pair5()
    broker.expect(DISCONNECT, reason=0, props=[])  # nothing is asked for: the will is not published

    async def leave():
        async with client:
            pass

    world.run(leave())
    broker.done()


def test_auto_goes_on_with_3_1_1_where_the_broker_does_not_know_5():
    from fakes import packets

    for refusal in (b"\x20\x02\0\1", b""):
        world = world5()
        broker = world.broker
        client = aio_client5(world, protocol="auto")
        broker.expect(CONNECT, level=5)
        broker.raw(refusal)
        broker.cut()

        def speaks_4(broker=broker):
            broker.codec = packets

        broker.call(speaks_4)
        broker.expect(CONNECT, level=4)
        broker.raw(b"\x20\x02\0\0")
        broker.expect(SUBSCRIBE, filters=[("s", 1)])
        broker.raw(b"\x90\x03\0\1\x80")
        broker.expect(PUBLISH, qos=1, pid=2, topic="t", payload="x")
        broker.raw(b"\x40\x02\0\2")

        async def main():
            equal(await client.connect(), False)
            equal(client.protocol, 4)
            equal(await outcome(client.subscribe("s", 1)), ("MQTTException", 0x80, "subscription refused: s"))
            equal(await client.publish("t", "x", qos=1, expiry_s=5), 2)
            equal((await outcome(client.request("t", "?")))[0], "ValueError")

        world.run(main())
        broker.done()
