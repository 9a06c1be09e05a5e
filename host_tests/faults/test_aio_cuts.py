"""The same cuts under a client of umqtt.aio, of 3.1.1 and MQTT 5, whose messages a task takes with `async for`."""

from fakes import bench, loop
from fakes.net import UNIX, Plan
from faults import exchanges
from faults.exchanges import EXCHANGES, TALLY, Run

HOWS = ("fin", "rst", "silence")
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


def on_aio(call, *args, **named):
    """call(*args), with AioRun in the place of Run."""
    exchanges.Run = AioRun
    try:
        return call(*args, **named)
    finally:
        exchanges.Run = Run


def survive(exchange, note, plans, **named):
    TALLY["cut points"] += 1
    try:
        on_aio(exchanges.run, exchange, plans, **named).verdict(note)
    except Exception as error:
        raise AssertionError("%s: %s: %r" % (note, error.__class__.__name__, error))


def exchanges_of_both_levels():
    """(exchange, arguments of its client, bytes out, bytes in) of each."""
    for level in LEVELS:
        for exchange in EXCHANGES:
            yield (exchange, level) + on_aio(exchanges.lengths, exchange, **level)


def test_a_cut_at_every_byte_loses_and_repeats_nothing():
    for exchange, level, out, into in exchanges_of_both_levels():
        for how in HOWS:
            for cut_b in range(out + 1):
                note = "%s: out cut at %d by %s" % (exchange.__name__, cut_b, how)
                survive(exchange, note, [Plan(cut_out=cut_b, how=how)], **level)
            for cut_b in range(into + 1):
                note = "%s: in cut at %d by %s" % (exchange.__name__, cut_b, how)
                survive(exchange, note, [Plan(cut_in=cut_b, how=how)], **level)


def test_a_cut_by_a_broker_that_forgets_loses_nothing():
    for exchange, level, out, into in exchanges_of_both_levels():
        for cut_b in range(0, out + 1, 2):
            note = "%s: out cut at %d, forgotten" % (exchange.__name__, cut_b)
            survive(exchange, note, [Plan(cut_out=cut_b)], forget=True, **level)
        for cut_b in range(0, into + 1, 2):
            note = "%s: in cut at %d, forgotten" % (exchange.__name__, cut_b)
            survive(exchange, note, [Plan(cut_in=cut_b)], forget=True, **level)


def test_short_reads_and_writes_and_small_buffers():
    for exchange, level, _, _ in exchanges_of_both_levels():
        for plan in (
            Plan(read_max=1, write_max=1),
            Plan(read_max=3, write_max=2, read_again=True, write_again=True),
            Plan(write_max=7, write_again=True, latency_ms=5),
            Plan(buffer=3, latency_ms=5),
        ):
            TALLY["short reads and writes"] += 1
            run = on_aio(exchanges.run, exchange, [plan], port=UNIX, **level)
            assert not run.errors, (exchange.__name__, run.errors)
            run.verdict(exchange.__name__)
