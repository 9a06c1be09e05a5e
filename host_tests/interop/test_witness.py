"""The witness of `make interop` sees each breach of MQTT 3.1.1 in the bytes of a link, and none in good ones."""

from tools.prove.link import BROKER, CLIENT, Connection
from tools.prove.witness import judge, packets

CONNECT = b"\x10\x13\x00\x04MQTT\x04\x00\x00\x3c\x00\x07witness"
CONNACK, RESUMED = b"\x20\x02\x00\x00", b"\x20\x02\x01\x00"


def publish(qos, pid, payload=b"x", dup=False):
    body = b"\x00\x01t" + (pid.to_bytes(2, "big") if qos else b"") + payload
    return bytes((0x30 | qos << 1 | (8 if dup else 0), len(body))) + body


def ack(first, pid):
    return bytes((first, 2, pid >> 8, pid & 255))


def connection(*said, ended_by=CLIENT, answer=CONNACK, lasted_s=0.5):
    """A connection with CONNECT and CONNACK before what was said, in pairs of side and bytes."""
    chunks = [(0.0, CLIENT, CONNECT), (0.01, BROKER, answer)]
    chunks += [(0.02 + 0.01 * i, side, data) for i, (side, data) in enumerate(said)]
    return Connection(0, 0.0, lasted_s, ended_by, False, chunks)


def clauses(*connections):
    return {(b.by, b.clause) for b in judge(connections)}


def test_a_good_flow_of_each_qos_is_no_breach():
    good = connection(
        (CLIENT, publish(0, 0)),
        (CLIENT, publish(1, 1)), (BROKER, ack(0x40, 1)),
        (CLIENT, publish(2, 2)), (BROKER, ack(0x50, 2)), (CLIENT, ack(0x62, 2)), (BROKER, ack(0x70, 2)),
        (BROKER, publish(2, 2)), (CLIENT, ack(0x50, 2)), (BROKER, ack(0x62, 2)), (CLIENT, ack(0x70, 2)),
        (CLIENT, b"\xe0\x00"),
    )  # fmt: skip
    assert clauses(good) == set()


def test_packets_are_found_however_the_link_cut_the_bytes():
    whole = connection((CLIENT, publish(1, 7, b"y" * 100)))
    split = Connection(0, 0.0, 1.0, CLIENT, False, [(t, s, data[i : i + 1]) for t, s, data in whole.chunks
                                                    for i in range(len(data))])  # fmt: skip
    assert [str(p) for p in packets(split)] == [str(p) for p in packets(whole)]
    assert packets(split)[-1].payload == b"y" * 100


def test_puback_to_qos_2_is_the_brokers_breach():
    assert (BROKER, "MQTT-4.3.3-2") in clauses(connection((CLIENT, publish(2, 1)), (BROKER, ack(0x40, 1))))


def test_an_answer_that_never_comes_is_a_breach_only_on_a_link_that_lived():
    mute = ((CLIENT, publish(2, 1)),)
    assert clauses(connection(*mute, lasted_s=60)) >= {(BROKER, "MQTT-4.3.3-2")}
    assert clauses(connection(*mute, lasted_s=1)) == set()


def test_a_client_that_does_not_answer_is_seen():
    assert (CLIENT, "MQTT-4.3.2-2") in clauses(connection((BROKER, publish(1, 1)), lasted_s=60))


def test_dup_is_asked_for_on_a_resumed_session_and_forbidden_at_the_first_sending():
    first = connection((CLIENT, publish(1, 1)), ended_by=BROKER)
    again = publish(1, 1, dup=True)
    assert clauses(first, connection((CLIENT, again), (BROKER, ack(0x40, 1)), answer=RESUMED)) == set()
    bare = connection((CLIENT, publish(1, 1)), (BROKER, ack(0x40, 1)), answer=RESUMED)
    assert (CLIENT, "MQTT-3.3.1-1") in clauses(first, bare)
    assert (CLIENT, "MQTT-3.3.1-1") in clauses(connection((CLIENT, again), (BROKER, ack(0x40, 1))))


def test_an_id_that_is_in_flight_may_not_carry_another_message():
    assert (CLIENT, "MQTT-2.3.1-2") in clauses(connection((CLIENT, publish(1, 1)), (CLIENT, publish(1, 1, b"other"))))


def test_nothing_may_follow_a_disconnect():
    assert (CLIENT, "MQTT-3.14.4-2") in clauses(connection((CLIENT, b"\xe0\x00"), (CLIENT, publish(0, 0))))


def test_silence_beyond_the_keep_alive_is_the_clients_breach_unless_it_was_stopped():
    late = connection((CLIENT, publish(0, 0)), lasted_s=90)
    late.chunks.append((80.0, CLIENT, b"\xc0\x00"))
    late.chunks.append((80.1, BROKER, b"\xd0\x00"))
    assert (CLIENT, "MQTT-3.1.2-23") in clauses(late)
    assert not [b for b in judge([late], stopped=True) if b.by == CLIENT]


def test_an_empty_topic_and_a_publish_after_its_pubrec_are_seen():
    assert (BROKER, "MQTT-3.3.2-2") in clauses(connection((BROKER, b"\x30\x03\x00\x00x")))
    twice = connection((BROKER, publish(2, 1)), (CLIENT, ack(0x50, 1)), (BROKER, publish(2, 1)))
    assert (BROKER, "MQTT-4.3.3-1") in clauses(twice)
