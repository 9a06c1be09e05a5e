"""The same cuts under a client of umqtt.aio, whose messages a task takes with `async for`."""

from fakes import bench, loop
from fakes.net import UNIX, Plan
from faults import exchanges
from faults.exchanges import EXCHANGES, TALLY, Run

HOWS = ("fin", "rst", "silence")


class AioRun(Run):
    """A Run whose client is one of umqtt.aio, behind the blocking face that the exchanges use; nothing calls back."""

    def __init__(self, *args, **named):
        bench.on_asyncio = True
        try:
            Run.__init__(self, *args, **named)
        finally:
            bench.on_asyncio = False
        self.c.set_callback(None)
        loop.create_task(self.take_all(self.c.client))

    async def take_all(self, c):
        while True:
            try:
                async for message in c:
                    self.w.inbox.append(message)
            except OSError:
                pass
            await c.on_state.wait()
            c.on_state.clear()

    def verdict(self, note):
        if loop.Loop.unhandled:
            raise AssertionError("%s: nobody took %r" % (note, loop.Loop.unhandled[0]["exception"]))
        self.c = self.c.client
        Run.verdict(self, note)


def on_aio(f, *args, **named):
    """f(*args), with AioRun in the place of Run."""
    exchanges.Run = AioRun
    try:
        return f(*args, **named)
    finally:
        exchanges.Run = Run


def survive(exchange, note, plans, **named):
    TALLY["cut points"] += 1
    try:
        on_aio(exchanges.run, exchange, plans, **named).verdict(note)
    except Exception as e:
        raise AssertionError("%s: %s: %r" % (note, e.__class__.__name__, e))


def test_a_cut_at_every_byte_loses_and_repeats_nothing():
    for exchange in EXCHANGES:
        out, into = on_aio(exchanges.lengths, exchange)
        for how in HOWS:
            for k in range(out + 1):
                survive(exchange, "%s: out cut at %d by %s" % (exchange.__name__, k, how), [Plan(cut_out=k, how=how)])
            for k in range(into + 1):
                survive(exchange, "%s: in cut at %d by %s" % (exchange.__name__, k, how), [Plan(cut_in=k, how=how)])


def test_a_cut_by_a_broker_that_forgets_loses_nothing():
    for exchange in EXCHANGES:
        out, into = on_aio(exchanges.lengths, exchange)
        for k in range(0, out + 1, 2):
            survive(exchange, "%s: out cut at %d, forgotten" % (exchange.__name__, k), [Plan(cut_out=k)], forget=True)
        for k in range(0, into + 1, 2):
            survive(exchange, "%s: in cut at %d, forgotten" % (exchange.__name__, k), [Plan(cut_in=k)], forget=True)


def test_short_reads_and_writes_and_small_buffers():
    for exchange in EXCHANGES:
        for plan in (
            Plan(read_max=1, write_max=1),
            Plan(read_max=3, write_max=2, read_again=True, write_again=True),
            Plan(write_max=7, write_again=True, latency_ms=5),
            Plan(buffer=3, latency_ms=5),
        ):
            TALLY["short reads and writes"] += 1
            r = on_aio(exchanges.run, exchange, [plan], port=UNIX)
            assert not r.errors, (exchange.__name__, r.errors)
            r.verdict(exchange.__name__)
