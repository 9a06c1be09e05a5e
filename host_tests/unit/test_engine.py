"""The engine alone: bytes in, bytes out, no socket and no clock."""

from fakes import packets
from fakes.check import equal, raises
from umqtt.engine import Engine
from umqtt.wire import ProtocolError

SOURCE_FORM_ONLY = "shipped, engine and client are one class"

LENGTHS = (0, 1, 113, 116, 120, 122, 123, 127, 128, 129, 16370, 16377, 16378, 16379, 16380, 16383, 16384)


class Wire(Engine):
    """An engine whose stream is two lists of bytes: `data` to read, `out` written; no clock."""

    keepalive = 0

    def __init__(self, rx=64, tx=64):
        Engine.__init__(self, 2, rx, tx)
        self.data = b""
        self.out = b""
        self.most = 1 << 20  # bytes that one write takes
        self.taken = []
        self._start()
        self._up = True

    def _read(self, buf, n):
        k = min(n, len(self.data))
        buf[:k] = self.data[:k]
        self.data = self.data[k:]
        return k or None

    def _write(self, buf, off, n):
        k = min(n, self.most)
        self.out += bytes(buf[off : off + k])
        return k

    def _deliver(self, n, start, end):
        self.taken.append((bytes(self._rx[2:n]), bytes(self._rx[start:end])))

    def _fail(self, words):
        raise ProtocolError(words)


def feed(e, data):
    """All of `data`; each message is taken, and its ack sent. Returns the events."""
    e.data = data
    events = []
    ev = e._receive()
    while ev:
        events.append(ev)
        e._transmit()
        ev = e._receive()
    return events


def qos2(pid, payload=b"x"):
    return bytes([0x34, 5 + len(payload), 0, 1, 116, pid >> 8, pid & 255]) + payload


def test_memory_for_incoming_ids_is_bounded_and_refused_before_the_message_is_delivered():
    e = Wire()
    for pid in range(1, 1025):
        equal(feed(e, qos2(pid)), [3])
    x = raises(ProtocolError, feed, e, qos2(1025))
    assert "PUBREL" in str(x), x
    equal((len(e._held), len(e.taken)), (1024, 1024))


def test_a_run_under_way_never_grows():
    # TLS repeats a write that would block, with the same arguments
    e = Wire()
    e._packet([0, 0x30, b"\0\1t", b"abc"])
    n = e._tx_n
    e._answer(0x40, 1)
    equal(e._tx_n, n)
    e.most = 2
    e._write = stop_after(e, 1)
    e._transmit()
    e._answer(0x40, 2)
    equal(e._tx_n, n - 2)
    del e._write
    e._transmit()
    equal((e._tx_n, e.out[-8:]), (0, b"\x40\2\0\1\x40\2\0\2"))


def stop_after(e, writes):
    """A write that takes no more after so many."""
    write = e._write
    left = [writes]

    def f(buf, off, n):
        left[0] -= 1
        return write(buf, off, n) if left[0] >= 0 else None

    return f


def test_what_is_staged_behind_a_large_payload_follows_it():
    big = b"0123456789" * 20
    want = b"\x30\xcb\x01\0\1t" + big
    for writes in range(40):
        e = Wire()
        e.most = 7
        e._packet([0, 0x30, b"\0\1t", big])
        e._write = stop_after(e, writes)
        e._transmit()
        del e._write
        if e._tx_n and e._room(4):
            e._answer(0x40, 1)
            want_now = want + b"\x40\2\0\1"
        else:
            want_now = want
        e._transmit()
        equal((e.out, e._tx_n, len(e._tx)), (want_now, 0, 0), writes)


def test_an_id_behind_a_topic_larger_than_the_buffer_is_found_wherever_it_is_cut():
    for rx in range(16, 40):
        for topic in range(10, 60):
            e = Wire(rx)
            body = bytes([0, topic]) + b"t" * topic + b"\x12\x34" + b"payload"
            equal(feed(e, bytes([0x32, len(body)]) + body)[-1], 3)
            equal((e._rx_pid, e._phase, e.out), (0x1234, 0, b"\x40\2\x12\x34"))
            equal(b"".join(p for _, p in e.taken), b"payload")


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
        e = Wire()
        e._packet([0, 0x30, b"\0\3abc", Long(n - 5)])
        equal(bytes(e._tx), b"\x30" + want + b"\0\3abc")


def test_a_packet_goes_behind_what_is_there():
    e = Wire()
    e._answer(0xC0, 0)
    e._packet([0, 0x31, b"\0\1t", b"xy"])
    equal(bytes(e._tx), b"\xc0\0\x31\5\0\1txy")


def staged(b0, topic, pid, body):
    """The bytes of one packet as they leave."""
    e = Wire()
    e._packet([pid, b0, topic, body])
    e._transmit()
    return e.out


def test_a_large_payload_that_makes_progress_is_life_though_acks_leave_no_room_to_read_the_pingresp():
    e = Wire()
    e.keepalive = 60
    e._pinging = 1
    e._transmit()
    e._packet([0, 0x30, b"\0\1t", bytes(1000)])
    e.most = 10
    e._write = stop_after(e, 1)
    e._transmit()
    while e._room(4):
        e._answer(0x40, 1)
    for _ in range(10):
        e._now += 5000
        del e._write
        e._write = stop_after(e, 1)
        e._transmit()
        assert e._due() > 0
    e._now += 30000
    assert e._due() <= 0
