"""MQTT 5: any packet with any properties gives a message, or an error in words; what is sound arrives as it was sent.

`FAULTS_EXAMPLES=5000` runs more, with another seed each time. CPython only (hypothesis).
"""

import os

from fakes.bench5 import pair5
from fakes.net import Plan
from fakes.packets import (
    CONNACK,
    CONNECT,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
)
from fakes.packets5 import AUTH, BINARY, BYTE, DISCONNECT, PAIR, PROPERTIES, TEXT, U16, U32, VARINT, encode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FAULTS_EXAMPLES", "0"))
many = settings(
    max_examples=EXAMPLES or 150,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

text = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=12)
topic = text.filter(lambda topic: topic and "+" not in topic and "#" not in topic)
VALUES = {
    BYTE: st.integers(0, 1),
    U16: st.integers(1, 65535),
    U32: st.integers(1, 0xFFFFFFFF),
    VARINT: st.integers(1, 268435455),
    TEXT: text,
    BINARY: st.binary(max_size=20),
    PAIR: st.tuples(text, text),
}


def sound(packet, but=()):
    """Properties as they may stand in `packet`: [(number, value)], each once, but for user properties."""
    numbers = [name for name in PROPERTIES if packet in PROPERTIES[name][2] and name not in but]
    one = st.sampled_from(numbers).flatmap(
        lambda name: st.tuples(st.just(name), topic if name == 8 else VALUES[PROPERTIES[name][1]])
    )
    rows = st.lists(one, max_size=6)
    return rows.map(
        lambda rows: [row for i, row in enumerate(rows) if row[0] == 38 or row[0] not in [name for name, _ in rows[:i]]]
    )


any_property = st.sampled_from(sorted(PROPERTIES)).flatmap(
    lambda name: st.tuples(st.just(name), VALUES[PROPERTIES[name][1]])
)
props = st.lists(any_property, max_size=4) | st.binary(max_size=20)
pid = st.integers(0, 6) | st.sampled_from([65535, 256])
reason = st.integers(0, 255)
packet = st.one_of(
    st.builds(
        lambda pid, qos, topic, own, size: encode(PUBLISH, pid, qos=qos, topic=topic, props=own, payload=b"x" * size),
        pid, st.integers(0, 3), st.sampled_from(["t", "a/b", "", "x" * 40, "x" * 70, "ü"]), props,
        st.sampled_from([0, 1, 30, 60, 130]),
    ),
    st.builds(
        lambda kind, pid, reason, own: encode(kind, pid, reason=reason, props=own, long=1),
        st.sampled_from([PUBACK, PUBREC, PUBREL, PUBCOMP]), pid, reason, props,
    ),
    st.builds(
        lambda kind, pid, codes, own: encode(kind, pid, codes=codes, props=own),
        st.sampled_from([SUBACK, UNSUBACK]), pid, st.lists(reason, max_size=3), props,
    ),
    st.builds(
        lambda kind, reason, own: encode(kind, reason=reason, props=own, long=1),
        st.sampled_from([DISCONNECT, AUTH]), reason, props,
    ),
    st.just(encode(PINGRESP)),
    st.builds(lambda own: encode(CONNACK, props=own), props),
    st.binary(max_size=12),
)  # fmt: skip
damage = st.none() | st.tuples(st.integers(0, 200), st.integers(0, 255))


@many
@given(st.lists(packet, max_size=8), damage, st.sampled_from([0, 1, 2, 5]), st.booleans(), st.booleans())
def test_any_bytes(packets, damage, read_max, authenticates, view):
    from umqtt.errors import MQTTException

    broker, client = pair5(
        rx_size=64, properties={34: 2}, authentication=("M", lambda data: b"") if authenticates else None
    )
    client.world.net.plans = [Plan(read_max=read_max)]
    if view:
        client.set_view(lambda buf, topic_end, start, end, flags: client.received.get(38))
    else:
        client.set_callback(
            lambda *message: (client.received.get(38), client.received.get(11), client.received.expiry_s)
        )
    broker.expect(CONNECT)
    broker.send(CONNACK)
    client.connect()
    broker._came = lambda pid: None  # whatever the client sends, the codec looks at each packet
    client.publish("t", "x", qos=1, wait=False)
    client.publish("t", "x", qos=2, wait=False)
    client.subscribe("a", 1, wait=False)
    raw = b"".join(packets)
    if damage and raw:
        at = damage[0] % len(raw)
        raw = raw[:at] + bytes([damage[1]]) + raw[at + 1 :]
    for part in range(0, len(raw), 7):
        broker.raw(raw[part : part + 7])
    for _ in range(4 * len(packets) + 4):
        try:
            client.poll(20)
        except (OSError, MQTTException) as error:
            assert len(str(error)) > 5, error
            if not client.isconnected():
                break
    if broker.failure:
        raise broker.failure
    assert len(client._receive_buf) == 64 and len(client._packet_slots) == 4
    taken = [slot[0] for slot in client._packet_slots if slot[0]]
    assert len(taken) == len(set(taken)) == client.inflight >= client._slots_sent
    # and the session is sound: the next connection sends all of it
    client._close()
    sent = []

    def answer(pid):
        sent.append(pid)
        if pid.kind == CONNECT:
            client.world.link.push(encode(CONNACK, sp=1))

    broker._came = answer
    client.connect()
    client.world.clock.run_due()
    assert sorted(packet.pid for packet in sent if packet.kind in (PUBLISH, PUBREL, SUBSCRIBE)) == sorted(taken), (
        sent,
        taken,
    )


@many
@given(sound(PUBLISH, (35,)), topic, st.integers(0, 2), st.binary(max_size=30))
def test_sound_properties_arrive_as_they_were_sent(rows, name, qos, payload):
    broker, client = pair5(rx_size=1024)
    seen = []
    client.set_callback(
        lambda topic, pid, reason: seen.append((topic, pid, {name: client.received.get(name) for name in PROPERTIES}))
    )
    broker.expect(CONNECT)
    broker.send(CONNACK)
    client.connect()
    broker.send(PUBLISH, 7, topic=name, qos=qos, payload=payload, props=rows)
    if qos:
        broker.expect(PUBACK if qos == 1 else PUBREC, pid=7)
    client.world.serve(client, 20)
    broker.done()
    wanted = dict.fromkeys(PROPERTIES)
    for number, value in rows:
        wanted[number] = (wanted[number] or []) + [value] if number in (11, 38) else value
    assert seen == [(name.encode(), payload, wanted)], rows


@many
@given(sound(PUBLISH, (11, 35)), topic, st.integers(0, 2), st.binary(max_size=30))
def test_sound_properties_leave_as_they_were_given(rows, name, qos, payload):
    broker, client = pair5()
    broker.expect(CONNECT)
    broker.send(CONNACK)
    client.connect()
    own = {}
    for number, value in rows:
        own[number] = own.get(number, []) + [value] if number == 38 else value
    broker.expect(PUBLISH, qos=qos, topic=name, payload=payload)
    client.publish(name, payload, qos=qos, wait=False, properties=own)
    broker.done()
    assert sorted(broker.got[-1].props, key=repr) == sorted(rows, key=repr)


@many
@given(
    st.dictionaries(
        st.integers(-1, 44),
        st.integers(-2, 1 << 33) | text | st.binary(max_size=4) | st.none() | st.lists(text, max_size=2),
        max_size=3,
    )
)
def test_any_dict_is_a_value_error_or_what_the_codec_takes(own):
    broker, client = pair5()
    broker.expect(CONNECT)
    broker.send(CONNACK)
    client.connect()
    try:
        broker.steps.clear()
        broker.expect(PUBLISH, payload="x")
        client.publish("t", "x", properties=own)
    except ValueError as error:
        assert str(error)
        client.publish("t", "x")
    broker.done()
