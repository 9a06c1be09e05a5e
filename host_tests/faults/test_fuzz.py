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
        lambda pid, qos, dup, topic, size: encode(PUBLISH, pid, qos=qos, dup=dup, topic=topic, payload=b"x" * size),
        pid,
        st.integers(0, 3),
        st.integers(0, 1),
        st.sampled_from(["t", "a/b", "", "x" * 31, "x" * 32, "x" * 40, "ü"]),
        st.sampled_from([0, 1, 25, 26, 27, 28, 29, 30, 31, 32, 33, 100, 130]),
    ),
    st.builds(encode, st.sampled_from([PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK]), pid),
    st.builds(lambda pid, codes: encode(SUBACK, pid, codes=codes), pid, st.lists(st.integers(0, 255), max_size=3)),
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

    world = World(Script)
    broker = world.broker
    broker.accept()
    client = world.client(rx_size=32, tx_size=32, keepalive=0, inflight=4)
    client.on_oversize = lambda topic, size_b: None
    client.connect()
    if view:
        client.set_view(lambda buf, topic_end, start, end, flags: world.inbox.append(bytes(buf[start:end])))
    broker._came = lambda pid: None
    client.publish("t", b"1", qos=1, wait=False)
    client.publish("t", b"2", qos=2, wait=False)
    client.subscribe("a", 1, wait=False)
    raw = b"".join(packets)
    if damage and raw:
        at = damage[0] % len(raw)
        raw = raw[:at] + bytes([damage[1]]) + raw[at + 1 :]
    world.link.plan = Plan(read_max=read_max, read_again=bool(read_max))
    if together:
        world.link.push(raw)
    else:
        for packet in packets:
            world.link.push(packet)
    ended = None
    try:
        world.serve(client, 100)
    except (OSError, MQTTException) as error:
        ended = error
    assert ended is None or len(str(ended)) > 5, ended
    assert bool(world.net.open_sockets()) == (ended is None)
    assert client.isconnected() == (ended is None)
    assert len(client._receive_buf) == 32 and len(client._send_buf) <= 32
    taken = [slot[0] for slot in client._packet_slots if slot[0]]
    assert len(taken) == len(set(taken)) == client.inflight >= client._slots_sent
    # and the session is sound: the next connection works
    sent = []

    def answer(packet):
        sent.append(packet)
        if packet.kind == 1:
            world.link.push(encode(CONNACK, sp=1))

    broker._came = answer
    client.connect()
    world.clock.run_due()
    assert client.isconnected()
    assert sorted(packet.pid for packet in sent if packet.kind in (PUBLISH, PUBREL, 8)) == sorted(taken), (sent, taken)
