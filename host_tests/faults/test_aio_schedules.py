"""Random schedules over umqtt.aio, whose messages a task takes: nothing lost, repeated or out of order. Callbacks, and
what they may do, are the blocking client's schedules (test_schedules.py)."""

from fakes import clock
from fakes.net import ESP32, ESP8266, UNIX, Context
from faults.exchanges import TALLY
from faults.test_aio_cuts import LEVELS, AioRun
from faults.test_schedules import EXAMPLES, act, plan, step
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

OF_A_CALLBACK = ("raise", "echo", "leave", "stream")


@settings(
    max_examples=EXAMPLES or 150,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    st.lists(step.filter(lambda step: step[0] not in OF_A_CALLBACK), max_size=14),
    st.lists(plan, max_size=3),
    st.sampled_from([UNIX, ESP32, ESP8266]),
    st.sampled_from([1, 2, 4]),
    st.booleans(),
    st.sampled_from([0, 65533, 65534]),
    st.booleans(),
    st.sampled_from(LEVELS),
)
def test_random_schedules(steps, plans, port, inflight, late, first_id, tls, level):
    clock.start_ms = clock.LATE_MS if late else clock.EARLY_MS
    try:
        ssl = Context() if tls else None
        run = AioRun(plans, port=port, inflight=inflight, rx_size=64, tx_size=64, ssl=ssl, **level)
        run.client.pid = first_id
        run.up()
        run.subscribe()
        for drawn in steps:
            act(run, drawn, [], [])
        run.settle()
        TALLY["schedules"] += 1
        run.verdict("")
    finally:
        clock.start_ms = clock.EARLY_MS
