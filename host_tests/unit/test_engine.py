"""The engine alone: bytes in, bytes out, no socket and no clock."""

from fakes.check import equal, raises
from umqtt.engine import Engine
from umqtt.session import Session
from umqtt.wire import ProtocolError


def engine(rx=64, tx=64):
    e = Engine(Session(2), rx, tx)
    e.start(0, 0)
    e.up = True
    return e


def feed(e, data, now=0):
    """All of `data`, in the bites that the engine asks for; each message is accepted. Returns the events."""
    events = []
    while data:
        k = min(e.need, len(data))
        e.rbuf[:k] = data[:k]
        data = data[k:]
        ev = e.received(k, now)
        if ev:
            events.append(ev)
        if ev in (3, 15):
            e.accept()
            e.sent(e.n, now)
    return events


def qos2(pid, payload=b"x"):
    return bytes([0x34, 5 + len(payload), 0, 1, 116, pid >> 8, pid & 255]) + payload


def test_memory_for_incoming_ids_is_bounded_and_refused_before_the_message_is_delivered():
    e = engine()
    for pid in range(1, 1025):
        equal(feed(e, qos2(pid)), [3])
    x = raises(ProtocolError, feed, e, qos2(1025))
    assert "PUBREL" in str(x), x
    equal(len(e.s.held), 1024)


def test_a_run_under_way_never_grows():
    # TLS repeats a write that would block, with the same arguments
    e = engine()
    e.publish(0x30, b"t", 0, b"abc")
    n = e.n
    e.ack(0x40, 1)
    equal(e.n, n)
    e.sent(2, 0)
    e.ack(0x40, 2)
    equal(e.n, n - 2)
    e.sent(n - 2, 0)
    equal(e.n, 8)


def test_what_is_staged_behind_a_large_payload_follows_it():
    e = engine()
    big = b"0123456789" * 20
    e.publish(0x30, b"t", 0, big)
    e.ack(0x40, 1)
    out = b""
    while e.n:
        k = min(e.n, 7)
        out += bytes(e.ob[e.off : e.off + k])
        e.sent(k, 0)
    equal(out, b"\x30\xcb\x01\0\1t" + big + b"\x40\2\0\1")


def test_an_id_behind_a_topic_larger_than_the_buffer_is_found_wherever_it_is_cut():
    for rx in range(16, 40):
        for topic in range(10, 60):
            e = engine(rx)
            body = bytes([0, topic]) + b"t" * topic + b"\x12\x34" + b"payload"
            events = feed(e, bytes([0x32, len(body)]) + body)
            equal((events[-1], e.pid, e.phase), (15 if len(body) > rx else 3, 0x1234, 0))
