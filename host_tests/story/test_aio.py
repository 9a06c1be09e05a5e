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
    w = World()
    c = w.aio_client(**named)
    w.broker.accept()
    return w, w.broker, c


async def payloads(c, count):
    """Of the next `count` messages."""
    got = []
    while len(got) < count:
        got.append((await c.take())[1])
    return got


def test_a_publish_is_awaited_until_its_ack():
    w, b, c = up()
    b.expect(PUBLISH, qos=1, pid=1, topic="t", payload="x")
    b.wait(250)
    b.send(PUBACK, 1)
    b.expect(PUBLISH, qos=2, pid=2)
    b.send(PUBREC, 2)
    b.expect(PUBREL, pid=2)
    b.send(PUBCOMP, 2)
    b.expect(PUBLISH, qos=0, topic="t", payload="z")
    b.expect(DISCONNECT)

    async def main():
        async with c:
            start = w.clock.now
            equal(await c.publish("t", "x", qos=1), 1)
            equal(w.clock.now - start, 250)
            equal(await c.publish("t", "y", qos=2), 2)
            equal(await c.publish("t", "z"), 0)

    w.run(main())
    b.done()
    equal(w.net.open_sockets(), [])


def test_other_tasks_run_while_one_waits():
    w, b, c = up()
    b.expect(PUBLISH, qos=1, pid=1)
    b.wait(1000)
    b.send(PUBACK, 1)
    turns = []

    async def blink():
        while True:
            turns.append(w.clock.now)
            await loop.sleep_ms(20)

    async def main():
        await c.connect()
        task = loop.create_task(blink())
        await c.publish("t", "x", qos=1)
        task.cancel()

    w.run(main())
    assert 50 <= len(turns) <= 51, turns
    assert all(b - a == 20 for a, b in zip(turns, turns[1:])), turns


def test_nothing_wakes_the_loop_while_nothing_happens():
    w, b, c = up(keepalive=0)

    async def main():
        await c.connect()
        polls = w.net.polls
        await loop.sleep_ms(60_000)
        assert w.net.polls - polls < 40, w.net.polls - polls

    w.run(main())


def test_the_link_is_kept_alive_by_its_task():
    w, b, c = up(keepalive=60)
    b.expect(PINGREQ)
    b.send(PINGRESP)
    b.expect(PINGREQ)
    b.send(PINGRESP)

    async def main():
        await c.connect()
        await loop.sleep_ms(100_000)

    w.run(main())
    b.done()


def test_subscriptions_of_several_tasks_get_each_its_own_codes():
    w, b, c = up()
    b.expect(SUBSCRIBE, pid=1)
    b.send(SUBACK, 1, codes=[1])
    b.expect(SUBSCRIBE, pid=2)
    b.send(SUBACK, 2, codes=[0, 2])
    b.expect(SUBSCRIBE, pid=3)
    b.send(SUBACK, 3, codes=[0x80])
    b.expect(UNSUBSCRIBE, pid=4)
    b.send(UNSUBACK, 4)

    async def refused():
        try:
            await c.subscribe("c", 1)
        except Exception as e:
            return e.args

    async def main():
        await c.connect()
        got = await loop.gather(c.subscribe("a", 1), c.subscribe([("b", 0), ("d", 2)]), refused())
        equal(got, [b"\1", b"\0\2", (0x80, "subscription refused: c")])
        await c.unsubscribe("a")

    w.run(main())
    b.done()


def test_a_message_is_acknowledged_when_its_task_asks_for_the_next():
    w, b, c = up()
    b.send(PUBLISH, 7, topic="t", payload="1", qos=1)
    b.send(PUBLISH, 8, topic="t", payload="2", qos=2)
    b.send(PUBLISH, 9, topic="t", payload="3", qos=1)
    taken = []

    async def main():
        async with c:
            async for message in c:
                taken.append(message)
                await loop.sleep_ms(1000)  # it is worked on
                equal(len(b.got), len(taken) + (len(taken) > 2))  # CONNECT, and the acks of those before
                if len(taken) == 1:
                    b.expect(PUBACK, pid=7)
                elif len(taken) == 2:
                    b.expect(PUBREC, pid=8)
                    b.send(PUBREL, 8)
                    b.expect(PUBCOMP, pid=8)
                else:
                    break
            b.expect(PUBACK, pid=9)
            b.expect(DISCONNECT)

    w.run(main())
    equal(taken, [(b"t", b"1", False), (b"t", b"2", False), (b"t", b"3", False)])
    b.done()


def test_a_message_is_acknowledged_when_its_task_has_ended_well():
    w = World(Model, window=5)
    c = w.aio_client()
    taken = []

    async def take_one():
        async for _, payload, _ in c:
            taken.append(payload)
            if payload == b"7":
                raise ValueError("it could not be worked on")
            break

    async def main():
        async with c:
            await c.subscribe("t", 1)
            for i in range(20):
                w.broker.inject("t", b"%d" % i, 1)
                loop.create_task(take_one())
                await loop.sleep_ms(100)
            equal([message[0][1] for message in c._inbox._in_hand], [b"7", b"19"])  # nobody has asked since the last

    w.run(main())
    equal(taken, [b"%d" % i for i in range(20)])
    equal([context["exception"].args for context in loop.Loop.unhandled], [("it could not be worked on",)])
    equal(w.broker.violations, [])


def test_the_broker_sends_no_more_than_its_window_while_nobody_takes():
    w = World(Model, window=5)
    c = w.aio_client()

    async def main():
        async with c:
            await c.subscribe("t", 1)
            for i in range(50):
                w.broker.inject("t", b"%d" % i, 1)
            await loop.sleep_ms(5000)
            equal(len(c._inbox._waiting), 5)
            taken = []
            async for _, payload, _ in c:
                taken.append(payload)
                await c.publish("other", payload, qos=1)  # its ack is not held up
                if len(taken) == 50:
                    break
            equal(taken, [b"%d" % i for i in range(50)])

    w.run(main())
    equal(w.broker.violations, [])


def test_of_qos_0_only_the_queue_is_kept_and_what_is_dropped_is_counted():
    for keep_oldest in (False, True):
        w = World(Model)
        c = w.aio_client(queue=3, keep_oldest=keep_oldest)

        async def main():
            async with c:
                await c.subscribe("t", 2)
                for i in range(10):
                    w.broker.inject("t", b"%d" % i, i % 2)
                await loop.sleep_ms(100)
                taken = await payloads(c, 7)
                kept = [b"0", b"2"] if keep_oldest else [b"6", b"8"]
                equal(sorted(taken), sorted(kept + [b"1", b"3", b"5", b"7", b"9"]))
                equal(c.dropped, 3)

        w.run(main())


def test_what_was_not_acknowledged_comes_again_after_a_cut_and_what_waited_only_once():
    for qos in (1, 2):
        w = World(Model)
        c = w.aio_client()

        async def main():
            await c.connect()
            await c.subscribe("t", 2)
            for i in range(4):
                w.broker.inject("t", b"%d" % i, qos)
            await loop.sleep_ms(10)
            equal((await c.take())[1], b"0")
            w.broker.stop()
            await loop.sleep_ms(10)
            await c.connect()
            # the one in hand as well: nothing was said of it
            equal(await payloads(c, 4), [b"0", b"1", b"2", b"3"])
            await loop.sleep_ms(10)
            equal(c._inbox._waiting, [])

        w.run(main())
        equal(w.broker.violations, [])


def test_when_the_broker_forgot_the_session_what_came_is_taken_all_the_same():
    w = World(Model)
    c = w.aio_client()

    async def main():
        await c.connect()
        await c.subscribe("t", 1)
        w.broker.inject("t", b"1", 1)
        w.broker.inject("t", b"2", 2)
        await loop.sleep_ms(10)
        w.broker.stop()
        w.broker.forget()
        await loop.sleep_ms(10)
        await c.connect()
        equal(await payloads(c, 2), [b"1", b"2"])
        await c.publish("t2", "x", qos=1)

    w.run(main())
    equal(w.broker.violations, [])


def test_every_task_that_waits_hears_why_the_link_is_down():
    w, b, c = up()
    b.expect(PUBLISH)
    b.wait(100)
    b.cut()
    heard = []

    async def hears(awaited):
        try:
            await awaited
        except OSError as e:
            heard.append(str(e))

    async def main():
        await c.connect()
        c.on_state.clear()
        await loop.gather(hears(c.publish("t", "x", qos=1)), hears(c.take()), hears(c.on_state.wait()))
        equal(len(heard), 2)
        assert all("closed by the broker" in words for words in heard), heard
        assert not c.isconnected()
        await hears(c.publish("t", "x"))
        await hears(c.subscribe("t"))
        equal(len(heard), 4)
        assert all("closed by the broker" in words for words in heard), heard

    w.run(main())


def test_a_deadline_is_one_and_the_message_stays_in_flight():
    w, b, c = up(timeout_ms=1000)
    b.expect(PUBLISH, qos=1, pid=1)

    async def main():
        await c.connect()
        start = w.clock.now
        try:
            await c.publish("t", "x", qos=1)
            raise AssertionError("no deadline")
        except OSError as e:
            assert "no answer in time" in str(e), e
        equal(w.clock.now - start, 1000)
        equal(c.inflight, 1)
        b.send(PUBACK, 1)
        await loop.sleep_ms(1)
        equal(c.inflight, 0)

    w.run(main())


def test_a_task_that_publishes_all_the_time_leaves_the_others_their_slots():
    w = World(Model, ack_ms=5)
    c = w.aio_client(inflight=1)
    published = [0] * 4

    async def keep_publishing(number):
        while True:
            await c.publish("t", b"%d" % number, qos=1 + number % 2)
            published[number] += 1

    async def main():
        await c.connect()
        tasks = [loop.create_task(keep_publishing(number)) for number in range(4)]
        await loop.sleep_ms(1000)
        await c.subscribe("s")
        tasks[0].cancel()
        await loop.sleep_ms(1000)
        for task in tasks:
            task.cancel()

    w.run(main())
    equal(w.broker.violations, [])
    assert published[0] > 10 and max(published[1:]) - min(published[1:]) <= 1, published


def test_a_callback_takes_the_messages_and_publishes_without_waiting():
    w, b, c = up()
    got = []

    def on_message(topic, payload, retained):
        got.append(payload)
        equal(c.publish("answer", payload, qos=1), len(got))
        if payload == b"2":
            raise ValueError("no")

    b.send(PUBLISH, 5, topic="t", payload="1", qos=1)
    b.expect(PUBLISH, pid=1, topic="answer", payload="1")
    b.expect(PUBACK, pid=5)
    b.send(PUBACK, 1)
    b.send(PUBLISH, 6, topic="t", payload="2", qos=1)
    b.expect(PUBLISH, pid=2)
    b.send(PUBACK, 2)
    c.set_callback(on_message)

    async def main():
        await c.connect()
        await loop.sleep_ms(10)

    w.run(main())
    equal(got, [b"1", b"2"])
    equal([str(context["exception"]) for context in loop.Loop.unhandled], ["no"])
    b.done()


def test_a_call_without_wait_is_not_awaited():
    w, b, c = up(inflight=1)
    b.expect(PUBLISH, qos=1, pid=1)
    b.expect(PUBLISH, qos=0)
    b.send(PUBACK, 1)
    b.expect(SUBSCRIBE)
    b.send(SUBACK, 2, codes=[0])

    async def main():
        await c.connect()
        equal(c.publish("t", "x", qos=1, wait=False), 1)
        raises(OSError, c.publish, "t", "x", qos=1, wait=False)
        raises(OSError, c.subscribe, "t", wait=False)
        equal(c.publish("t", "x", wait=False), 0)
        await loop.sleep_ms(10)
        equal(c.subscribe("t", wait=False), None)
        await loop.sleep_ms(10)
        equal(c.inflight, 0)

    w.run(main())
    b.done()


def test_a_mistake_of_the_caller_is_a_value_error_and_nothing_has_changed():
    w, b, c = up()
    b.expect(DISCONNECT)

    async def main():
        async with c:
            for call in (c.publish("t/#", "x", qos=1), c.publish("t", 1.5), c.subscribe("a#"), c.unsubscribe([])):
                try:
                    await call
                    raise AssertionError("no ValueError")
                except ValueError:
                    pass
            equal(c.inflight, 0)

    w.run(main())
    b.done()


def test_a_message_larger_than_the_buffer_is_told():
    w, b, c = up(rx_size=64)
    told = []
    c.on_oversize = lambda topic, size_b: told.append((topic, size_b))
    b.send(PUBLISH, 5, topic="large", payload="x" * 1000, qos=1)
    b.expect(PUBACK, pid=5)
    b.send(PUBLISH, topic="t", payload="next")

    async def main():
        await c.connect()
        equal((await c.take())[1], b"next")

    w.run(main())
    equal(told, [(b"large", 1000)])
    equal(c.diag()["oversize"], 1)
    b.done()


def test_tls_records_that_are_buffered_are_read():
    w = World(Model)
    w.net.serve("broker.test", 8883, w.broker)
    w.net.plan = Plan(handshake_ms=50)
    c = w.aio_client(ssl=Context())

    async def main():
        async with c:
            await c.subscribe("t", 0)
            for i in range(8):
                w.broker.inject("t", b"%d" % i)
            equal(await payloads(c, 8), [b"%d" % i for i in range(8)])
            for qos in range(3):
                await c.publish("x", "y" * 3000, qos=qos)

    w.run(main())
    equal(w.broker.violations, [])
    equal(len(w.broker.accepted), 3)


def test_when_it_is_disconnected_an_async_for_ends():
    w, b, c = up()
    b.expect(DISCONNECT)
    ended = []

    async def iterate():
        async for _ in c:
            pass
        ended.append(1)

    async def main():
        await c.connect()
        task = loop.create_task(iterate())
        await loop.sleep_ms(5)
        await c.disconnect()
        await task

    w.run(main())
    equal(ended, [1])
    b.done()


def test_a_blinking_task_is_never_late_whatever_stands_in_the_way():
    from umqtt.reconnect import Reconnect

    w = World(Model, ack_ms=20)
    w.net.plan = Plan(latency_ms=10)
    # nobody answers; a broker that accepts and says nothing; a half-open link; one that is sound
    w.net.plans = [Plan(connect_ms=None), Plan(cut_out=1, how="silence"), Plan(cut_out=400, how="silence"), Plan()]
    c = w.aio_client(reconnect=Reconnect(500, 2000), keepalive=4, timeout_ms=3000)
    late_ms = []
    taken = []

    async def blink():
        while True:
            due = w.clock.now + 20
            await loop.sleep_ms(20)
            late_ms.append(w.clock.now - due)

    async def iterate():
        async for _, payload, _ in c:
            taken.append(payload)

    async def main():
        loop.create_task(blink())
        async with c:
            loop.create_task(iterate())
            await c.subscribe("in/#", 1, timeout_ms=60_000)
            for i in range(8):
                await c.publish("t", b"%d" % i, qos=1, timeout_ms=60_000)
            await c.publish("large", b"l" * 100_000, qos=1, timeout_ms=60_000)
            w.broker.stop()
            w.broker.inject("in/large", b"x" * 100_000, 1)
            w.broker.inject("in/small", b"x", 1)
            await c.publish("t", b"last", qos=2, timeout_ms=60_000)
            await loop.sleep_ms(10_000)

    w.run(main())
    equal(w.broker.violations, [])
    equal([p for t, p, _ in w.broker.accepted if t == "t"][-1], b"last")
    equal(taken, [b"x"])
    equal(c.diag()["oversize"], 1)
    assert len(w.net.links) >= 5 and len(late_ms) > 1000, (len(w.net.links), len(late_ms))
    equal(max(late_ms), 0)


def test_a_ping_that_the_network_does_not_take_at_once_leaves_as_soon_as_it_does():
    w, b, c = up(keepalive=60)
    b.expect(PINGREQ)
    b.send(PINGRESP)

    async def main():
        await c.connect()
        w.link.plan.write_again = True
        await loop.sleep_ms(50_000)

    start = w.clock.now
    w.run(main())
    b.done()
    assert b.times[-1] - start <= 45_010, b.times[-1] - start


def test_inside_on_ended_and_on_state_nothing_waits_and_nothing_is_lost():
    from umqtt.reconnect import Reconnect

    w = World(Model, ack_ms=5)
    c = w.aio_client(reconnect=Reconnect(on_state=lambda up, error: up and c.publish("state", "up", qos=1)))

    def ended(packet_id, codes):
        c.on_ended = None
        c.publish("ended", "%d" % packet_id, qos=2)
        c.subscribe("in", 1)

    c.on_ended = ended

    async def main():
        async with c:
            await c.publish("t", "x", qos=1, timeout_ms=5000)
            await loop.sleep_ms(100)
            equal(c.inflight, 0)

    w.run(main())
    equal(sorted(topic for topic, _, _ in w.broker.accepted), ["ended", "state", "t"])
    equal(w.broker.kept("c1").subs, {"in": 1})
    equal(loop.Loop.unhandled, [])
