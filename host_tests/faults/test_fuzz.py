"""Any bytes from a broker give messages, or an error with words; never another exception, never more memory, never a
broken session.

`FAULTS_EXAMPLES=5000` runs more, with another seed each time. CPython only (hypothesis).
"""

import os

from fakes.bench import World
from fakes.broker import Script
from fakes.net import Plan
from fakes.packets import (
    CONNACK,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    UNSUBACK,
    encode,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FAULTS_EXAMPLES", "0"))

pid = st.integers(0, 6) | st.sampled_from([65535, 256])
packet = st.one_of(
    st.builds(
        lambda p, qos, dup, topic, size: encode(PUBLISH, p, qos=qos, dup=dup, topic=topic, payload=b"x" * size),
        pid,
        st.integers(0, 3),
        st.integers(0, 1),
        st.sampled_from(["t", "a/b", "", "x" * 31, "x" * 32, "x" * 40, "ü"]),
        st.sampled_from([0, 1, 25, 26, 27, 28, 29, 30, 31, 32, 33, 100, 130]),
    ),
    st.builds(encode, st.sampled_from([PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK]), pid),
    st.builds(lambda p, codes: encode(SUBACK, p, codes=codes), pid, st.lists(st.integers(0, 255), max_size=3)),
    st.just(encode(PINGRESP)),
    st.just(encode(CONNACK)),
    st.binary(max_size=12),
)
damage = st.none() | st.tuples(st.integers(0, 200), st.integers(0, 255))


@settings(
    max_examples=EXAMPLES or 200,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(packet, max_size=8), damage, st.sampled_from([0, 1, 2, 5]), st.booleans(), st.booleans())
def test_any_bytes(packets, damage, read_max, together, view):
    from umqtt.errors import MQTTException

    w = World(Script)
    b = w.broker
    b.accept()
    c = w.client(rx_size=32, tx_size=32, keepalive=0, inflight=4)
    c.on_oversize = lambda topic, size_b: None
    c.connect()
    if view:
        c.set_view(lambda buf, topic_end, start, end, flags: w.inbox.append(bytes(buf[start:end])))
    b._came = lambda p: None
    c.publish("t", b"1", qos=1, wait=False)
    c.publish("t", b"2", qos=2, wait=False)
    c.subscribe("a", 1, wait=False)
    raw = b"".join(packets)
    if damage and raw:
        at = damage[0] % len(raw)
        raw = raw[:at] + bytes([damage[1]]) + raw[at + 1 :]
    w.link.plan = Plan(read_max=read_max, read_again=bool(read_max))
    if together:
        w.link.push(raw)
    else:
        for p in packets:
            w.link.push(p)
    ended = None
    try:
        w.serve(c, 100)
    except (OSError, MQTTException) as e:
        ended = e
    assert ended is None or len(str(ended)) > 5, ended
    assert bool(w.net.open_sockets()) == (ended is None)
    assert c.isconnected() == (ended is None)
    assert len(c._receive_buf) == 32 and len(c._send_buf) <= 32
    taken = [m[0] for m in c._packet_slots if m[0]]
    assert len(taken) == len(set(taken)) == c.inflight >= c._slots_sent
    # and the session is sound: the next connection works
    sent = []

    def answer(p):
        sent.append(p)
        if p.kind == 1:
            w.link.push(encode(CONNACK, sp=1))

    b._came = answer
    c.connect()
    w.clock.run_due()
    assert c.isconnected()
    assert sorted(p.pid for p in sent if p.kind in (PUBLISH, PUBREL, 8)) == sorted(taken), (sent, taken)
