"""The same cuts under a client of umqtt.aio, of 3.1.1 and MQTT 5, whose messages a task takes with `async for`."""

from fakes import bench, loop
from fakes.net import UNIX, Plan
from faults.cuts import cuts, survive
from faults.exchanges import EXCHANGES, TALLY, Run, run

LEVELS = ({}, {"level": 5, "topic_aliases": True, "properties": {34: 2}})


class AioRun(Run):
    """A Run whose client is one of umqtt.aio, behind the blocking face that the exchanges use; nothing calls back."""

    def __init__(self, *args, **named):
        bench.on_asyncio = True
        try:
            Run.__init__(self, *args, **named)
        finally:
            bench.on_asyncio = False
        self.client.set_callback(None)
        loop.create_task(self.take_all(self.client.client))

    async def take_all(self, client):
        while True:
            try:
                async for message in client:
                    self.world.inbox.append(message)
            except OSError:
                pass
            await client.on_state.wait()
            client.on_state.clear()

    def verdict(self, note):
        if loop.Loop.unhandled:
            raise AssertionError("%s: nobody took %r" % (note, loop.Loop.unhandled[0]["exception"]))
        self.client = self.client.client
        Run.verdict(self, note)


def exchanges_of_both_levels():
    """(exchange, arguments of its run) of each."""
    for level in LEVELS:
        for exchange in EXCHANGES:
            yield exchange, dict(level, kind=AioRun)


def test_a_cut_at_every_byte_loses_and_repeats_nothing():
    for exchange, named in exchanges_of_both_levels():
        for note, plan in cuts(exchange, **named):
            survive(exchange, note, [plan], **named)


def test_a_cut_by_a_broker_that_forgets_loses_nothing():
    for exchange, named in exchanges_of_both_levels():
        for note, plan in cuts(exchange, 2, **named):
            if plan.how == "fin":
                survive(exchange, note + ", forgotten", [plan], forget=True, **named)


def test_short_reads_and_writes_and_small_buffers():
    for exchange, named in exchanges_of_both_levels():
        for plan in (
            Plan(read_max=1, write_max=1),
            Plan(read_max=3, write_max=2, read_again=True, write_again=True),
            Plan(write_max=7, write_again=True, latency_ms=5),
            Plan(buffer=3, latency_ms=5),
        ):
            TALLY["short reads and writes"] += 1
            ran = run(exchange, [plan], port=UNIX, **named)
            assert not ran.errors, (exchange.__name__, ran.errors)
            ran.verdict(exchange.__name__)
