"""`await c.request(topic, payload)`: many tasks ask at once, and each has its own answer, or none in time."""

from fakes import loop
from fakes.bench import World
from fakes.bench5 import aio_client5, aio_pair5, load5
from fakes.check import equal
from fakes.model5 import Answering
from fakes.net import Plan
from fakes.packets import CONNACK, CONNECT, DISCONNECT, PUBACK, PUBLISH, SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE
from fakes.packets5 import encode

RESPONSE_TOPIC = 8
CORRELATION = 9


async def outcome(awaited):
    """What a call returned, or the exception that it raised."""
    try:
        return await awaited
    except (Exception, loop.CancelledError) as raised:
        return raised


def expects_a_question(broker, topics, payload, **fields):
    """The next packet is a question: topics[payload] becomes its (response topic, correlation). Acknowledged."""
    broker.expect(PUBLISH, payload=payload, retain=0, **fields)

    def note():
        props = dict(broker.got[-1].props)
        topics[payload] = props[RESPONSE_TOPIC], props[CORRELATION]

    broker.call(note)
    broker.reply(PUBACK)


def answer(broker, topics, question, payload, qos=0, pid=None):
    topic, correlation = topics[question]
    props = [(CORRELATION, correlation), (3, "an answer")]
    broker.link.push(encode(PUBLISH, pid, qos=qos, topic=topic, payload=payload, props=props))


def test_tasks_that_ask_at_once_get_each_its_own_answer_in_any_order():
    world, broker, client = aio_pair5()
    broker.expect(SUBSCRIBE, filters=[("answers/c1", 1)])
    broker.reply(SUBACK, codes=(1,))
    asked = {}
    for payload in ("first", "a", "b", "c"):
        expects_a_question(broker, asked, payload, topic="lamp/get", qos=1)
        if payload == "first":
            broker.call(lambda: answer(broker, asked, "first", "1"))

    def answer_all():
        for payload in ("c", "a", "b"):
            answer(broker, asked, payload, payload + "!", qos=1, pid=ord(payload))

    broker.call(answer_all)
    for payload in ("c", "a", "b"):
        broker.expect(PUBACK, pid=ord(payload))

    async def main():
        await client.connect()
        equal(await client.request("lamp/get", "first"), b"1")
        got = await loop.gather(*[client.request("lamp/get", payload) for payload in ("a", "b", "c")])
        equal(got, [b"a!", b"b!", b"c!"])

    world.run(main())
    broker.done()
    equal(len(set(asked.values())), 4, "each question has a correlation of its own")
    equal(client._inbox._waiting, [])


def test_other_messages_go_to_the_tasks_that_iterate_and_a_late_answer_to_nobody():
    world, broker, client = aio_pair5(properties={25: 1}, props=[(26, "mine/")])
    broker.expect(SUBSCRIBE, filters=[("mine/c1", 1)])
    broker.reply(SUBACK, codes=(1,))
    asked = {}
    expects_a_question(broker, asked, "?")

    async def main():
        await client.connect()
        start = world.clock.now
        late = await outcome(client.request("lamp/get", "?", timeout_ms=700))
        assert isinstance(late, OSError) and "no answer in time" in str(late), late
        equal(world.clock.now - start, 700)
        answer(broker, asked, "?", "too late", qos=1, pid=9)
        broker.expect(PUBACK, pid=9)
        broker.send(PUBLISH, topic="mine/c1", payload="without a correlation")
        broker.send(PUBLISH, topic="news", payload="else", props=[(3, "json")])
        equal((await client.take())[1], b"else")
        equal(client.received.content_type, "json")

    world.run(main())
    broker.done()
    equal(client._inbox._waiting, [])


def test_a_callback_gets_all_messages_but_answers():
    world, broker, client = aio_pair5()
    broker.expect(SUBSCRIBE)
    broker.reply(SUBACK, codes=(1,))
    asked = {}
    expects_a_question(broker, asked, "?")
    taken = []

    def on_message(topic, payload, retained):
        taken.append((topic, payload, retained, client.received.content_type))

    client.set_callback(on_message)

    async def main():
        await client.connect()
        question = loop.create_task(client.request("lamp/get", "?"))
        await loop.sleep_ms(10)
        broker.send(PUBLISH, topic="news", payload="1", props=[(3, "text")])
        answer(broker, asked, "?", "on")
        equal(await question, b"on")
        client.set_callback(on_message)
        broker.send(PUBLISH, topic="news", payload="2", retain=1)
        answer(broker, asked, "?", "twice")
        await loop.sleep_ms(10)

    world.run(main())
    broker.done()
    equal(taken, [(b"news", b"1", False, "text"), (b"news", b"2", True, None)])
    equal(loop.Loop.unhandled, [])


def test_a_question_that_is_cancelled_at_any_step_leaves_the_others_their_answers():
    at = 0
    is_over = False
    while not is_over:
        load5()
        world = World(Answering, ack_ms=3)
        world.net.plan = Plan(latency_ms=2)
        client = aio_client5(world, inflight=1, timeout_ms=2000)
        cancelled = []  # the task
        steps = [0]

        def on_step(task, cancelled=cancelled, steps=steps, at=at):
            if cancelled:
                if steps[0] == at:
                    cancelled[0].cancel()
                steps[0] += 1

        async def ask_first(client=client):
            return await outcome(client.request("lamp/get", "first"))

        async def main(client=client, cancelled=cancelled, ask_first=ask_first):
            async with client:
                cancelled.append(loop.create_task(ask_first()))
                got = await loop.gather(*[client.request("lamp/get", payload) for payload in ("a", "b")])
                equal(got, [b"a!", b"b!"])
                try:
                    first = await cancelled[0]
                except loop.CancelledError as raised:  # before it began
                    first = raised
                equal(await client.request("lamp/get", "last", 2000, 0), b"last!")
                await loop.sleep_ms(20)
                equal((client.inflight, client._inbox.answers.waiting, client._inbox._waiting), (0, {}, []))
                return first

        first = world.run(main(), on_step)
        assert first == b"first!" or isinstance(first, loop.CancelledError), first
        equal(world.broker.violations, [])
        is_over = steps[0] <= at
        at += 1
    assert at > 10, at


def test_a_question_needs_mqtt_5_and_no_view_and_a_subscription_that_is_granted():
    from umqtt.errors import MQTTException

    world, broker, client = aio_pair5()
    broker.expect(SUBSCRIBE)
    broker.reply(SUBACK, codes=(0x87,))
    broker.expect(SUBSCRIBE)
    broker.reply(SUBACK, codes=(1,))
    broker.expect(PUBLISH)
    broker.reply(PUBACK, reason=0x97)

    async def main():
        await client.connect()
        refused = await outcome(client.request("lamp/get", "?"))
        assert isinstance(refused, MQTTException) and refused.args[0] == 0x87, refused
        refused = await outcome(client.request("lamp/get", "?"))  # it subscribes again
        assert isinstance(refused, MQTTException) and refused.args[0] == 0x97, refused
        client.set_view(lambda *_: None)
        assert isinstance(await outcome(client.request("lamp/get", "?")), ValueError)

    world.run(main())
    broker.done()


def test_a_link_that_is_lost_is_told_to_who_asks_and_with_reconnect_the_answer_comes_by_the_next():
    from umqtt.reconnect import Reconnect

    world, broker, client = aio_pair5()
    broker.expect(SUBSCRIBE)
    broker.reply(SUBACK, codes=(1,))
    broker.expect(PUBLISH)
    broker.cut()

    async def ask():
        await client.connect()
        lost = await outcome(client.request("lamp/get", "?"))
        assert isinstance(lost, OSError) and "closed by the broker" in str(lost), lost

    world.run(ask())
    broker.done()

    world, broker, client = aio_pair5(reconnect=Reconnect(100, 100))
    broker.expect(SUBSCRIBE)
    broker.reply(SUBACK, codes=(1,))
    broker.expect(PUBLISH, pid=2, dup=0)
    broker.cut()
    broker.expect(CONNECT)
    broker.send(CONNACK, sp=1)
    asked = {}
    expects_a_question(broker, asked, "?", pid=2, dup=1)
    broker.call(lambda: answer(broker, asked, "?", "on"))

    async def ask_again():
        async with client:
            equal(await client.request("lamp/get", "?"), b"on")
            broker.expect(DISCONNECT)

    world.run(ask_again())
    broker.done()


def test_who_unsubscribed_from_the_answers_gets_them_with_the_next_question():
    world, broker, client = aio_pair5()
    world.run(client.connect())
    for question in ("a", "b"):
        asked = {}
        broker.expect(SUBSCRIBE, filters=[("answers/c1", 1)])
        broker.reply(SUBACK, codes=(1,))
        expects_a_question(broker, asked, question)
        broker.call(lambda: answer(broker, asked, question, "yes"))
        equal(world.run(client.request("lamp/get", question)), b"yes")
        broker.expect(UNSUBSCRIBE)
        broker.reply(UNSUBACK, codes=(0,))
        world.run(client.unsubscribe("answers/c1"))
    broker.done()


def test_the_first_of_two_answers_counts():
    world, broker, client = aio_pair5()
    world.run(client.connect())
    asked = {}
    broker.expect(SUBSCRIBE)
    broker.reply(SUBACK, codes=(1,))
    broker.expect(PUBLISH)
    broker.call(lambda: asked.update(a=[dict(broker.got[-1].props)[key] for key in (RESPONSE_TOPIC, CORRELATION)]))
    for payload in ("first", "second"):
        broker.call(lambda payload=payload: answer(broker, asked, "a", payload))
    broker.reply(PUBACK)
    equal(world.run(client.request("lamp/get", "a")), b"first")


def test_a_topic_that_answers_cannot_come_to_is_told_with_who_has_named_it():
    for information, client_id, response_topic, words in (
        ("in/#", "c1", "", "response information of the broker: wrong wildcard"),
        ("in/", "c1", "to/+", "response_topic: wrong wildcard"),
        ("", "c+1", "", "client_id: wrong wildcard"),
    ):
        world, broker, client = aio_pair5([(26, information)], client_id=client_id)
        world.run(client.connect())
        equal(str(world.run(outcome(client.request("lamp/get", "?", 700, 1, response_topic)))), words)
        broker.done()
