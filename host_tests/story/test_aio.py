"""umqtt.aio: tasks that publish, subscribe and iterate at once; messages are acknowledged when they were worked on; a
cancelled call leaves session, slots and stream sound."""

from fakes import loop
from fakes.bench import World
from fakes.check import equal
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
        assert w.net.polls - polls < 5, w.net.polls - polls

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
