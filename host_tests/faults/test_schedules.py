"""Random schedules of calls, messages, cuts, stalls and time against the model broker: nothing lost, repeated or out
of order.

`FAULTS_EXAMPLES=5000` runs more of them, with another seed each time. CPython only (hypothesis).
"""

import os

from fakes import clock
from fakes.net import ESP32, ESP8266, UNIX, Context, Plan
from faults.exchanges import TALLY, Run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FAULTS_EXAMPLES", "0"))


def so_many(examples):
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


qos = st.integers(0, 2)
how = st.sampled_from(["fin", "rst", "silence"])
maybe_k = st.none() | st.integers(0, 250)

plan = st.builds(
    lambda cut_out, cut_in, how, read_max, write_max, again, latency, buffer: Plan(
        cut_out=cut_out,
        cut_in=cut_in,
        how=how,
        read_max=read_max,
        write_max=write_max,
        read_again=again,
        write_again=again,
        latency_ms=latency,
        buffer=buffer,
    ),
    maybe_k,
    maybe_k,
    how,
    st.sampled_from([0, 0, 1, 3]),
    st.sampled_from([0, 0, 1, 5]),
    st.booleans(),
    st.sampled_from([0, 0, 30, 900]),
    st.sampled_from([5840, 20]),
)

step = st.one_of(
    st.tuples(st.just("publish"), qos, st.booleans()),
    st.tuples(st.just("publish"), st.integers(1, 2), st.just(False)),
    st.tuples(st.just("give"), qos),
    st.tuples(st.just("big"), qos),
    st.tuples(st.just("poll"), st.sampled_from([0, 1, 50, 2000, 25000])),
    st.tuples(st.just("busy"), st.sampled_from([100, 9000, 40000])),
    st.tuples(st.just("cut"), how),
    st.tuples(st.just("restart")),
    st.tuples(st.just("subscribe")),
    st.tuples(st.just("unsubscribe")),
    st.tuples(st.just("raise")),
    st.tuples(st.just("echo"), qos, st.sampled_from([0, 40, 100])),  # the buffers are of 64 bytes
    st.tuples(st.just("leave")),
    st.tuples(st.just("ping")),
    st.tuples(st.just("stream"), st.integers(0, 1), st.sampled_from([0, 200])),
    st.tuples(st.just("large"), qos),
    st.tuples(st.just("disconnect")),
    st.tuples(st.just("connect")),
)


class Boom(Exception):
    pass


def play(steps, plans, port, inflight, late, first_id, tls=False, **named):
    clock.start_ms = clock.LATE_MS if late else clock.EARLY_MS
    try:
        run = Run(plans, port=port, inflight=inflight, rx_size=64, tx_size=64, ssl=Context() if tls else None, **named)
        run.client.pid = first_id
        angry = []
        echo = []

        def took(topic, payload, retained):
            if angry:
                angry.pop()
                raise Boom
            run.world.inbox.append((topic, payload, retained))
            if echo:
                echo.pop()()

        run.client.set_callback(took)
        run.up()
        run.subscribe()
        for step in steps:
            try:
                act(run, step, angry, echo)
            except Boom:
                run.refused = True
        while angry:
            angry.pop()
        if run.refused:  # what a callback refused comes again on the next connection
            try:
                run.client.connect()
            except OSError:
                pass
        run.settle()
        TALLY["schedules"] += 1
        run.verdict("")
    finally:
        clock.start_ms = clock.EARLY_MS


def act(run, step, angry, echo):
    kind = step[0]
    world = run.world
    if kind == "publish":
        if run.client.isconnected() or not step[2]:
            run.publish(step[1], wait=step[2])
    elif kind == "give":
        run.give(step[1])
    elif kind == "big":
        world.broker.inject("in", b"b" * 200, step[1])
    elif kind == "poll":
        run.poll(step[1])
    elif kind == "busy":  # the program does something else, and MQTT has to wait
        run.busy = True
        world.clock.sleep_ms(step[1])
    elif kind == "cut":
        if world.link.up:
            world.link.end(step[1])
    elif kind == "restart":
        world.broker.stop()
    elif kind == "subscribe":
        run.subscribe()
    elif kind == "unsubscribe":
        run.unsubscribe()
    elif kind == "raise":
        angry.append(1)
    elif kind == "echo":
        echo.append(lambda: run.publish(step[1], False, step[2]))
    elif kind == "leave":
        echo.append(lambda: run.client.disconnect())
    elif kind == "ping":
        run.tried(run.client.ping)
    elif kind == "stream":
        run.stream(step[1], step[2])
    elif kind == "large":
        if run.client.isconnected() or step[1]:
            run.publish(step[1], False, 100)
    elif kind == "disconnect":
        run.client.disconnect()
    elif kind == "connect":
        run.tried(run.client.connect)


@so_many(150)
@given(
    st.lists(step, max_size=14),
    st.lists(plan, max_size=3),
    st.sampled_from([UNIX, ESP32, ESP8266]),
    st.sampled_from([1, 2, 4]),
    st.booleans(),
    st.sampled_from([0, 65533, 65534]),
    st.booleans(),
)
def test_random_schedules(steps, plans, port, inflight, late, first_id, tls):
    play(steps, plans, port, inflight, late, first_id, tls)


@so_many(80)
@given(
    st.lists(step, max_size=14),
    st.lists(plan, max_size=3),
    st.sampled_from([UNIX, ESP32, ESP8266]),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([0, 65533, 65534]),
)
def test_random_schedules_with_mqtt_5(steps, plans, port, inflight, first_id):
    # a window of one message, aliases both ways: fakes.model5
    play(steps, plans, port, inflight, False, first_id, level=5, topic_aliases=True, properties={34: 2})
