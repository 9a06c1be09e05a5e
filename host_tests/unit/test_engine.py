"""The engine alone: bytes in, bytes out, no socket and no clock."""

from fakes import packets
from fakes.check import equal, raises
from umqtt.engine import Engine
from umqtt.wire import ProtocolError


LENGTHS = (0, 1, 113, 116, 120, 122, 123, 127, 128, 129, 16370, 16377, 16378, 16379, 16380, 16383, 16384)


def engine(rx=64, tx=64):
    e = Engine(2, rx, tx)
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
            e.sent(e.tx_n, now)
    return events


def qos2(pid, payload=b"x"):
    return bytes([0x34, 5 + len(payload), 0, 1, 116, pid >> 8, pid & 255]) + payload


def test_memory_for_incoming_ids_is_bounded_and_refused_before_the_message_is_delivered():
    e = engine()
    for pid in range(1, 1025):
        equal(feed(e, qos2(pid)), [3])
    x = raises(ProtocolError, feed, e, qos2(1025))
    assert "PUBREL" in str(x), x
    equal(len(e.held), 1024)


def test_a_run_under_way_never_grows():
    # TLS repeats a write that would block, with the same arguments
    e = engine()
    e.packet(0x30, b"\0\1t", 0, b"abc")
    n = e.tx_n
    e.packet(0x40, b"", 1, b"")
    equal(e.tx_n, n)
    e.sent(2, 0)
    e.packet(0x40, b"", 2, b"")
    equal(e.tx_n, n - 2)
    e.sent(n - 2, 0)
    equal(e.tx_n, 8)


def test_what_is_staged_behind_a_large_payload_follows_it():
    e = engine()
    big = b"0123456789" * 20
    e.packet(0x30, b"\0\1t", 0, big)
    assert not e.room(4), "an ack between header and payload would be in the payload"
    out = b""
    while e.tx_n:
        k = min(e.tx_n, 7)
        out += bytes(e.tx_ob[e.tx_off : e.tx_off + k])
        e.sent(k, 0)
        if len(out) == 13:  # the header is out
            assert e.room(4)
            e.packet(0x40, b"", 1, b"")
    equal(out, b"\x30\xcb\x01\0\1t" + big + b"\x40\2\0\1")


def test_an_id_behind_a_topic_larger_than_the_buffer_is_found_wherever_it_is_cut():
    for rx in range(16, 40):
        for topic in range(10, 60):
            e = engine(rx)
            body = bytes([0, topic]) + b"t" * topic + b"\x12\x34" + b"payload"
            events = feed(e, bytes([0x32, len(body)]) + body)
            equal((events[-1], e.rx_pid, e.phase), (15 if len(body) > rx else 3, 0x1234, 0))


def test_every_packet_is_what_the_codec_says_for_every_length_of_the_length():
    for n in LENGTHS:
        for qos in (0, 1, 2):
            payload = bytes(n)
            got = staged(0x30 | qos << 1, b"\0\3a/b", 0x1234 if qos else 0, payload)
            equal(got, packets.encode(packets.PUBLISH, 0x1234, topic="a/b", payload=payload, qos=qos), (n, qos))


def test_the_largest_lengths_need_three_and_four_bytes():
    class Long:
        def __init__(self, n):
            self.n = n

        def __len__(self):
            return self.n

    for n, want in (
        (2097151, b"\xff\xff\x7f"),
        (2097152, b"\x80\x80\x80\x01"),
        (268435455, b"\xff\xff\xff\x7f"),
    ):
        e = engine()
        e.packet(0x30, b"\0\3abc", 0, Long(n - 5))
        equal(bytes(e.tx), b"\x30" + want + b"\0\3abc")


def test_a_packet_goes_behind_what_is_there():
    e = engine()
    e.packet(0xC0, b"", 0, b"")
    e.packet(0x31, b"\0\1t", 0, b"xy")
    equal(bytes(e.tx), b"\xc0\0\x31\5\0\1txy")


def staged(b0, topic, pid, body):
    """The bytes of one packet as they leave."""
    e = engine()
    e.packet(b0, topic, pid, body)
    out = b""
    while e.tx_n:
        out += bytes(e.tx_ob[e.tx_off : e.tx_off + e.tx_n])
        e.sent(e.tx_n, 0)
    return out
