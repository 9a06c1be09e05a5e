"""The parts beside the client on umqtt.aio: prepared topics, streams, the outbox over a store."""

from fakes import loop
from fakes.bench import World
from fakes.check import equal
from fakes.folder import Folder
from fakes.model import Model
from fakes.net import Plan
from umqtt import aio_stream
from umqtt.outbox import Outbox
from umqtt.publisher import Publisher
from umqtt.reconnect import Reconnect
from umqtt.store import FileJournal, Store


class Reader:
    """Gives `data`, then fails if it is to."""

    def __init__(self, data, fails=False):
        self.data = data
        self.fails = fails

    def readinto(self, buf):
        n = min(len(buf), len(self.data))
        if not n and self.fails:
            raise OSError(5, "the card is gone")
        buf[:n] = self.data[:n]
        self.data = self.data[n:]
        return n


LARGE = b"0123456789" * 500


def accepted(w):
    return [(payload, qos) for _, payload, qos in w.broker.accepted]


def test_a_prepared_topic_is_awaited():
    w = World(Model, ack_ms=5)
    c = w.aio_client()

    async def main():
        async with c:
            equal(await Publisher(c, "t").publish(b"0"), 0)
            equal(await Publisher(c, "t", qos=1).publish(b"1"), 1)
            equal(c.inflight, 0)

    w.run(main())
    equal(accepted(w), [(b"0", 0), (b"1", 1)])


def test_a_stream_is_sent_while_other_tasks_publish():
    w = World(Model, ack_ms=5)
    w.net.plan = Plan(buffer=300, latency_ms=1)
    c = w.aio_client()

    async def main():
        async with c:
            for qos in (0, 1):
                streamed = aio_stream.publish(c, "large", Reader(LARGE), len(LARGE), qos=qos, piece_b=64)
                others = [c.publish("t", b"%d" % i, qos=i % 3) for i in range(6)]
                got = await loop.gather(streamed, *others)
                equal(got[0] > 0, qos == 1)
            equal(c.inflight, 0)

    w.run(main())
    equal(w.broker.violations, [])
    equal(len(accepted(w)), 14)
    equal([qos for payload, qos in accepted(w) if payload == LARGE], [0, 1])


def test_a_short_stream_is_a_message():
    w = World(Model)
    c = w.aio_client()

    async def main():
        async with c:
            equal(await aio_stream.publish(c, "t", Reader(b"short"), 5, qos=1), 1)

    w.run(main())
    equal(accepted(w), [(b"short", 1)])


def test_a_reader_that_fails_and_a_link_that_is_lost_are_told_to_the_call_and_the_client_reconnects():
    for fails, plans in ((True, []), (False, [Plan(cut_out=1000, how="rst", buffer=300, latency_ms=1)])):
        for qos in (0, 1):
            w = World(Model)
            w.net.plan = Plan(buffer=300, latency_ms=1)
            w.net.plans = list(plans)
            c = w.aio_client(reconnect=Reconnect(100, 100))
            taken = []

            async def iterate():
                async for _, payload, _ in c:
                    taken.append(payload)

            async def main():
                async with c:
                    task = loop.create_task(iterate())
                    await c.subscribe("in", 1)
                    reader = Reader(LARGE[:2000] if fails else LARGE, fails)
                    try:
                        await aio_stream.publish(c, "large", reader, len(LARGE), qos=qos)
                        raise AssertionError("nothing was raised")
                    except OSError as e:
                        equal("card" in str(e), fails)
                    await c.publish("t", b"next", qos=1)
                    w.broker.inject("in", b"still there", 1)
                    await loop.sleep_ms(50)
                    assert not task.done()
                    equal(c.inflight, 0)

            w.run(main())
            equal(accepted(w), [(b"next", 1)])
            equal(taken, [b"still there"])
            equal(w.net.open_sockets(), [])


def test_a_stream_that_is_cancelled_at_any_step_leaves_a_client_that_goes_on():
    for at in range(60):
        w = World(Model, ack_ms=3)
        w.net.plan = Plan(buffer=1000, latency_ms=2)
        c = w.aio_client(reconnect=Reconnect(50, 50))
        steps = [0, None]

        def step(_):
            if steps[1]:
                if steps[0] == at:
                    steps[1].cancel()
                steps[0] += 1

        async def main():
            async with c:
                await c.publish("t", b"first", qos=1)
                task = steps[1] = loop.create_task(aio_stream.publish(c, "l", Reader(LARGE), len(LARGE), qos=1))
                try:
                    await task
                except loop.CancelledError:
                    pass
                steps[1] = None
                await c.publish("t", b"next", qos=2)
                equal(c.inflight, 0)

        w.run(main(), step)
        equal(w.broker.violations, [])
        equal([payload for payload, _ in accepted(w) if payload != LARGE], [b"first", b"next"])
    assert (LARGE, 1) in accepted(w)


def test_the_outbox_hands_over_and_the_store_keeps_what_a_reset_interrupts():
    with Folder() as d:
        w = World(Model, ack_ms=3)

        def start():
            store = Store(FileJournal(d + "/j"))
            return Outbox(d + "/q", store), w.aio_client(store=store, inflight=3)

        outbox, c = start()
        for i in range(20):
            outbox.add("t", b"%d" % i, 1 + i % 2)

        async def hand_over(most_ms):
            end = w.clock.now + most_ms
            await c.connect()
            while (outbox.waiting or c.inflight) and w.clock.now < end:
                outbox.drain(c)
                await loop.sleep_ms(1)

        w.run(hand_over(20))  # a reset comes in the middle
        assert 0 < len(w.broker.accepted) < 20, accepted(w)
        outbox, c = start()
        w.run(hand_over(5000))
        got = [int(payload) for payload, _ in accepted(w)]
        equal(sorted(set(got)), list(range(20)))
        equal([n for n in got if n % 2], list(range(1, 20, 2)), "QoS 2 once each")
        equal((outbox.waiting, c.inflight), (0, 0))
        equal(w.broker.violations, [])
