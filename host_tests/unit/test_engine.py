"""The two generators of a connection alone: bytes in, bytes out, no socket and no clock."""

import fakes.shim  # noqa: F401 - before the library
from fakes import packets
from fakes.check import equal
from umqtt import engine, wire
from umqtt.engine import ALL_SENT, BLOCKED, HALF_A_PACKET, LOST, MET, NOTHING_YET, RAISED
from umqtt.errors import ProtocolError
from umqtt.wire import IN_USE

SOURCE_FORM_ONLY = "shipped, engine and client are one module"

LENGTHS = (0, 1, 113, 116, 120, 122, 123, 127, 128, 129, 16370, 16377, 16378, 16379, 16380, 16383, 16384)
NEVER_MS = 1 << 28


class End:
    """One end of a connection, as the generators need it: `data` is to be read, `out` was written."""

    _is_drop_in = False
    _link_up = True
    _send_blocked = False
    _pinged_ms = None
    protocol = 4
    _view = _message = _taken = _stream = _fault = _news = None
    _wrote_ms = _heard_ms = _oversize_count = 0
    _ping_after_ms = NEVER_MS

    def __init__(self, rx=64, tx=64):
        self._draft = [0, 0, b"", b"", 0]
        self.data = b""
        self.out = b""
        self.most = 1 << 20  # bytes that one write takes
        self.writes = 1 << 20  # that are left before the network takes no more
        self.at_once = 1 << 20  # bytes that one read gives
        self.closed = False
        self.taken = []
        self.acks = []
        self._held_packet_ids = [0] * 20
        self.tx = bytearray(tx)
        self._send_packet = engine.writer(self, self.tx, self.write).send
        self._send_packet(None)
        self._next_packet = engine.reader(self, bytearray(rx), self.read, self._send_packet).send

    def cb(self, topic, payload, retained):
        self.taken.append((topic, payload))

    def read(self, buf, count):
        count = min(count, len(self.data), self.at_once)
        buf[:count] = self.data[:count]
        self.data = self.data[count:]
        return count or (0 if self.closed else None)

    def write(self, buf, offset, count):
        self.writes -= 1
        if self.writes < 0:
            return None
        count = min(count, self.most)
        self.out += bytes(buf[offset : offset + count])
        return count

    def _on_ack(self, first_byte, packet_id):
        self.acks.append((first_byte, packet_id))
        return 0

    def _on_fault(self, fault):
        self._fault = fault

    def feed(self, data):
        """All of `data`; returns the events."""
        self.data += data
        events = [self._next_packet(None)]
        while events[-1] > 0:
            events.append(self._next_packet(None))
        return events


def message(payload=b"x", qos=0, packet_id=9, topic="t"):
    return packets.encode(packets.PUBLISH, packet_id if qos else None, topic=topic, payload=payload, qos=qos)


def test_a_packet_is_one_event_and_then_there_is_nothing_yet():
    end = End()
    equal(end.feed(message()), [0x30, NOTHING_YET])
    equal(end.feed(message(qos=1) + b"\xd0\0"), [0x32, 0xD0, NOTHING_YET])
    equal(end.taken, [(b"t", b"x"), (b"t", b"x")])
    equal(end.out, b"\x40\2\0\x09")


def test_a_packet_in_single_bytes_is_half_a_packet_until_its_last_one():
    for length in (0, 1, 130):
        end = End(rx=200)
        whole = message(b"y" * length, qos=1)
        for i in range(len(whole) - 1):
            equal(end.feed(whole[i : i + 1]), [HALF_A_PACKET], (length, i))
        equal(end.feed(whole[-1:]), [0x32, NOTHING_YET])
        equal(end.taken, [(b"t", b"y" * length)])


def test_short_reads_leave_the_stream_in_step_wherever_they_fall():
    stream = message(b"a" * 200, qos=2) + message(b"b" * 10, qos=1) + b"\xd0\0" + message()
    for at_once in (1, 2, 3, 7, 64):
        end = End(rx=32)
        end.at_once = at_once
        parts = []
        end._view = lambda buf, topic_end, start, end, flags: parts.append(bytes(buf[start:end]))  # noqa: B023
        equal(end.feed(stream), [0x34, 0x32, 0xD0, 0x30, NOTHING_YET], at_once)
        equal(b"".join(parts), b"a" * 200 + b"b" * 10 + b"x")


def test_the_end_of_the_stream_is_told_in_words_and_a_dead_reader_says_so():
    end = End()
    end.closed = True
    equal(end.feed(b""), [LOST])
    assert "closed by the broker" in str(end._fault), end._fault


def test_a_callback_that_raises_leaves_its_message_unacknowledged_and_the_reader_alive():
    for qos in (0, 1, 2):
        end = End()

        def fail(topic, payload, retained):
            raise ValueError("mine")

        end.cb, good = fail, end.cb
        equal(end.feed(message(qos=qos)), [RAISED])
        equal((str(end._fault), end.out, max(end._held_packet_ids)), ("mine", b"", 0))
        end.cb = good
        equal(end.feed(message(qos=qos)), [message(qos=qos)[0], NOTHING_YET])
        equal(len(end.taken), 1)


def test_what_a_packet_changes_waits_for_a_call_that_is_in_the_middle_and_leaves_its_mark_alone():
    for taken, data, out in (
        (False, message(qos=1), b"\x40\2\0\x09"),
        (True, message(), b""),  # a store takes it
        (False, b"\x40\2\0\x09", b""),
    ):
        end = End()
        notes = []
        if taken:
            end._taken = lambda packet_id, outcome: notes.append(packet_id)  # noqa: B023
            end._next_packet = engine.reader(end, bytearray(64), end.read, end._send_packet).send
        end._take_turn = lambda: False
        end._draft[IN_USE] = 1
        events = end.feed(data)
        equal((events + [end._next_packet(None)], end.out, end.acks, notes), ([MET, MET], b"", [], []))
        end._take_turn = lambda: True
        equal(end._next_packet(None), data[0])
        equal((end.out, len(end.acks), notes, end._draft[IN_USE]), (out, data[0] == 0x40, [0] * taken, 0))
        end._draft[IN_USE] = 1  # of another call, while the link ends
        end.closed = True
        equal((end._next_packet(None), end._draft[IN_USE]), (LOST, 1))


def test_an_incoming_qos_2_id_is_held_before_its_callback_runs():
    end = End()
    seen = []
    end.cb = lambda topic, payload, retained: seen.append(9 in end._held_packet_ids)
    end.feed(message(qos=2))
    equal(seen, [True])


def test_an_id_that_was_delivered_is_answered_and_not_delivered_again():
    end = End()
    end.feed(message(qos=2) + message(qos=2))
    equal((len(end.taken), end.out), (1, b"\x50\2\0\x09" * 2))


def test_memory_for_incoming_ids_is_bounded_and_the_oldest_gives_way():
    end = End()
    for packet_id in range(1, 1026):
        equal(end.feed(message(qos=2, packet_id=packet_id)), [0x34, NOTHING_YET])
    equal((len(end._held_packet_ids), len(end.taken)), (1024, 1025))
    assert 1 not in end._held_packet_ids and 2 in end._held_packet_ids and 1025 in end._held_packet_ids
    assert "releases no QoS 2" in end._error_words


def test_a_topic_that_the_standard_forbids_ends_the_link():
    # [MQTT-1.5.3-1, 1.5.3-2, 3.3.2-2]
    ill_formed = b"a/\xff", b"\xc3", b"\xed\xa0\x80", b"\xc1\x81", b"\xf8\x88\x80\x80\x80"
    for topic in ill_formed + (b"a\0b", b"a/+", b"#", b"a/#/b"):
        for qos in (0, 1, 2):
            end = End()
            end.feed(message())
            body = bytes((0, len(topic))) + topic + (b"\0\x05" if qos else b"") + b"x"
            equal(end.feed(bytes((0x30 | qos << 1, len(body))) + body), [LOST], topic)
            assert isinstance(end._fault, ProtocolError), end._fault
            equal((len(end.taken), end.out), (1, b""))


def test_topics_that_come_in_turn_are_told_apart():
    end = End()
    topics = ("a", "b", "aa", "a/b", "a", "a", "\u00fc", "u\u0308", "b", "aa")
    for topic in topics:
        end.feed(message(topic=topic))
    equal([str(topic, "utf-8") for topic, _ in end.taken], list(topics))


def test_a_message_of_any_size_is_delivered_whole_where_the_client_wants_it():
    for qos in (0, 1, 2):
        end = End(rx=32)
        end._is_drop_in = True
        big = bytes(range(256)) * 20
        end.feed(message(big, qos) + message(b"small", qos, 10) + message(topic="t" * 100))
        equal([payload for _, payload in end.taken], [big, b"small", b"x"])
        equal(end.taken[2][0], b"t" * 100)


def test_what_is_written_is_what_another_codec_writes():
    for length in LENGTHS:
        for qos in (0, 1, 2):
            end = End(tx=40000)
            packet = [7 if qos else 0, 0x30 | qos << 1, b"\0\1t", b"z" * length]
            equal(end._send_packet(packet), ALL_SENT)
            equal(end.out, message(b"z" * length, qos, 7), (length, qos))
            equal(packet[1] & 8, 8 if qos else 0, "noted as sent")


def test_a_run_under_way_never_grows():
    # TLS repeats a write that would block, with the same arguments
    end = End()
    asked = []
    write = end.write

    def watched(buf, offset, count):
        asked.append((offset, count))
        return write(buf, offset, count)

    end._send_packet = engine.writer(end, end.tx, watched).send
    end._send_packet(None)
    end.writes = 0
    equal(end._send_packet([0, 0x30, b"\0\1t", b"abc"]), BLOCKED)
    equal(end._send_packet([1, 0x40, b"", b""]), BLOCKED)
    equal(asked[0], asked[1])
    end.writes = 1 << 20
    equal(end._send_packet(None), ALL_SENT)
    equal(end.out, b"\x30\6\0\1tabc\x40\2\0\1")


def test_what_is_staged_behind_a_large_payload_follows_it():
    big = b"0123456789" * 20
    want = b"\x30\xcb\x01\0\1t" + big
    for writes in range(40):
        end = End()
        end.most = 7
        end.writes = writes
        events = [end._send_packet([0, 0x30, b"\0\1t", big]), end._send_packet([1, 0x40, b"", b""])]
        end.writes = 1 << 20
        events.append(end._send_packet(None))
        equal(end.out, want + b"\x40\2\0\1", writes)
        equal(events[-1], ALL_SENT)
        equal((len(end.tx), end._send_packet(None)), (0, ALL_SENT))


def test_a_large_payload_is_not_copied_into_the_buffer():
    end = End()
    end.writes = 0
    end._send_packet([0, 0x30, b"\0\1t", b"x" * 5000])
    equal(len(end.tx), 6)


def test_a_write_that_raises_ends_the_writer():
    end = End()

    def broken(buf, offset, count):
        raise OSError(104)

    send = engine.writer(end, end.tx, broken).send
    send(None)
    equal(send([0, 0x30, b"\0\1t", b"abc"]), LOST)
    equal(end._fault.args[0], 104)


def test_which_packets_a_broker_may_send():
    # [2.2.1, 2.2.2]: (first byte, remaining length) that are legal once connected, of all there are
    legal = []
    for first_byte in range(256):
        for length in range(6):
            if wire.is_legal(first_byte >> 4, first_byte & 15, length, True, 4):
                legal.append((first_byte, length))
    acks = [(byte, 2) for byte in (0x40, 0x50, 0x62, 0x70, 0xB0)]
    publishes = [
        (0x30 | flags, count) for flags in range(16) if flags & 6 != 6 and flags not in (8, 9) for count in (3, 4, 5)
    ]
    equal(sorted(legal), sorted(acks + publishes + [(0x90, 3), (0x90, 4), (0xD0, 0)]))
    before = [byte for byte in range(256) for count in range(6) if wire.is_legal(byte >> 4, byte & 15, count, False, 4)]
    equal(before, [0x20])
