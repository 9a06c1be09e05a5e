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
        r = Run(plans, port=port, inflight=inflight, rx_size=64, tx_size=64, ssl=Context() if tls else None, **named)
        r.c.pid = first_id
        angry = []
        echo = []

        def took(topic, payload, retained):
            if angry:
                angry.pop()
                raise Boom
            r.w.inbox.append((topic, payload, retained))
            if echo:
                echo.pop()()

        r.c.set_callback(took)
        r.up()
        r.subscribe()
        for s in steps:
            try:
                act(r, s, angry, echo)
            except Boom:
                r.refused = True
        while angry:
            angry.pop()
        if r.refused:  # what a callback refused comes again on the next connection
            try:
                r.c.connect()
            except OSError:
                pass
        r.settle()
        TALLY["schedules"] += 1
        r.verdict("")
    finally:
        clock.start_ms = clock.EARLY_MS


def act(r, s, angry, echo):
    kind = s[0]
    w = r.w
    if kind == "publish":
        if r.c.isconnected() or not s[2]:
            r.publish(s[1], wait=s[2])
    elif kind == "give":
        r.give(s[1])
    elif kind == "big":
        w.broker.inject("in", b"b" * 200, s[1])
    elif kind == "poll":
        r.poll(s[1])
    elif kind == "busy":  # the program does something else, and MQTT has to wait
        r.busy = True
        w.clock.sleep_ms(s[1])
    elif kind == "cut":
        if w.link.up:
            w.link.end(s[1])
    elif kind == "restart":
        w.broker.stop()
    elif kind == "subscribe":
        r.subscribe()
    elif kind == "unsubscribe":
        r.unsubscribe()
    elif kind == "raise":
        angry.append(1)
    elif kind == "echo":
        echo.append(lambda: r.publish(s[1], False, s[2]))
    elif kind == "leave":
        echo.append(lambda: r.c.disconnect())
    elif kind == "ping":
        r._tried(r.c.ping)
    elif kind == "stream":
        r.stream(s[1], s[2])
    elif kind == "large":
        if r.c.isconnected() or s[1]:
            r.publish(s[1], False, 100)
    elif kind == "disconnect":
        r.c.disconnect()
    elif kind == "connect":
        r._tried(r.c.connect)


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
