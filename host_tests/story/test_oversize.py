"""A message larger than the receive buffer: drained, acknowledged as its QoS demands, counted, and the stream stays
in step."""

from fakes.bench import World, pair
from fakes.check import equal, raises
from fakes.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, encode
from umqtt.errors import MQTTException
from umqtt.reconnect import Reconnect

NOT_ON_ASYNCIO = ()

RX = 64


def up(**named):
    named["rx_size"] = RX
    b, c = pair(**named)
    c.told = []
    c.on_oversize = lambda topic, size_b: c.told.append((topic, size_b))
    b.accept()
    c.connect()
    return b, c, c.world.inbox


def test_every_size_around_the_buffer_is_drained_and_counted():
    for qos in (0, 1, 2):
        for n in (61, 62, 63, 64, 65, 120, 127, 128, 129, 200, 1000, 16379, 16381, 70000):
            b, c, inbox = up()
            b.send(PUBLISH, 9, qos=qos, topic="t", payload=b"x" * n)
            if qos:
                b.expect(PUBACK if qos == 1 else PUBREC, pid=9)
            if qos == 2:
                b.send(PUBREL, 9)
                b.expect(PUBCOMP, pid=9)
            b.send(PUBLISH, topic="next", payload="y")
            c.world.serve(c, 100)
            assert inbox.pop() == (b"next", b"y", False), (qos, n)
            b.done()
            big = 2 + 1 + (2 if qos else 0) + n > RX
            equal(c.diag()["oversize"], 1 if big else 0, (qos, n))
            equal(c.told, [(b"t", 3 + (2 if qos else 0) + n)] if big else [], (qos, n))
            equal(len(inbox), 0 if big else 1, (qos, n))


def test_a_topic_larger_than_the_buffer_is_drained_wherever_its_id_falls():
    for qos in (0, 1, 2):
        for t in range(RX - 8, RX + 8):
            for n in (0, 1, 40):
                for step in (0, 1):
                    b, c, inbox = up()
                    c.world.link.plan.read_max = step
                    c.world.link.plan.read_again = bool(step)
                    b.send(PUBLISH, 0x0102, qos=qos, topic="t" * t, payload=b"x" * n)
                    if qos:
                        b.expect(PUBACK if qos == 1 else PUBREC, pid=0x0102)
                    b.send(PUBLISH, topic="next", payload="y")
                    c.world.serve(c, 100)
                    assert inbox and inbox.pop() == (b"next", b"y", False), (qos, t, n, step)
                    b.done()


def test_a_long_topic_far_beyond_the_buffer_is_acknowledged():
    b, c, inbox = up()
    b.send(PUBLISH, 300, qos=1, topic="t" * 5000, payload=b"x" * 10)
    b.expect(PUBACK, pid=300)
    c.world.serve(c, 100)
    equal(inbox, [])
    b.done()


def test_a_repeated_oversize_qos_2_message_is_counted_once_delivered_never():
    b, c, inbox = up()
    for dup in (0, 1):
        b.send(PUBLISH, 9, qos=2, dup=dup, payload=b"x" * 500)
        b.expect(PUBREC, pid=9)
    b.send(PUBREL, 9)
    b.expect(PUBCOMP, pid=9)
    c.world.serve(c, 100)
    equal(inbox, [])
    b.done()


def test_a_view_receives_a_large_message_in_parts():
    b, c, _ = up()
    parts = []

    def view(buf, topic_end, start, end, flags):
        parts.append((bytes(buf[2:topic_end]) if topic_end else b"", bytes(buf[start:end]), flags))

    c.set_view(view)
    payload = bytes([i & 255 for i in range(1000)])
    for qos in (0, 1, 2):
        parts.clear()
        b.send(PUBLISH, 9, qos=qos, topic="big", payload=payload)
        if qos:
            b.expect(PUBACK if qos == 1 else PUBREC, pid=9)
        c.world.serve(c, 100)
        equal(b"".join(p for _, p, _ in parts), payload)
        equal(parts[0][0], b"big")
        equal(parts[0][2] & 48, 16)
        equal(parts[-1][2] & 48, 32)
        b.done()


def test_a_drain_survives_a_cut_at_every_byte():
    from fakes.check import raises

    raw = encode(PUBLISH, 9, qos=1, topic="t", payload=b"x" * 200)
    for k in range(len(raw)):
        b, c, inbox = up()
        b.raw(raw[:k])
        b.cut()
        raises(OSError, c.world.serve, c, 50)
        b.accept(sp=1)
        b.raw(raw[:1].replace(b"\x32", b"\x3a") + raw[1:])
        b.expect(PUBACK, pid=9)
        c.connect()
        c.world.serve(c, 50)
        b.done()


def test_a_length_of_four_bytes_is_the_longest_and_is_drained():
    b, c, inbox = up(keepalive=0)
    c.world.link.push(b"\x30\x80\x80\x80\x01\0\1t" + b"x" * 5000)  # 2097152 bytes are to come
    c.world.serve(c, 100)
    assert c.isconnected()
    equal((c.diag()["oversize"], c.told), (0, []), "it is told when it is over")
    equal(inbox, [])


def test_a_program_that_did_not_ask_for_it_is_told_by_an_exception_and_the_message_is_acknowledged():
    b, c = pair(rx_size=RX)
    b.accept()
    c.connect()
    b.send(PUBLISH, 9, qos=1, topic="a/b", payload=b"x" * 100)
    b.expect(PUBACK, pid=9)
    error = raises(MQTTException, c.world.serve, c, 50)
    assert "107 B" in str(error) and "rx_size" in str(error) and "a/b" in str(error), error
    assert c.isconnected()
    b.send(PUBLISH, topic="next", payload="y")
    c.world.serve(c, 50)
    equal(c.world.inbox, [(b"next", b"y", False)])
    b.done()


def test_with_reconnect_it_is_told_to_on_state_and_nothing_is_raised():
    states = []
    w = World()
    c = w.client(reconnect=Reconnect(on_state=lambda up, error: states.append((up, error))), rx_size=RX)
    w.broker.accept()
    w.serve(c, 10)
    w.broker.send(PUBLISH, topic="t", payload=b"x" * 100)
    w.serve(c, 50)
    equal([up for up, _ in states], [True, True])
    assert "rx_size" in states[1][1], states


def test_a_view_is_told_when_the_topic_itself_did_not_fit():
    for t in (63, 64, 65, 130):
        b, c, _ = up()
        parts = []
        c.set_view(lambda buf, topic_end, start, end, flags: parts.append((topic_end, bytes(buf[start:end]))))
        payload = bytes(range(100))
        b.send(PUBLISH, 9, qos=1, topic="t" * t, payload=payload)
        b.expect(PUBACK, pid=9)
        c.world.serve(c, 100)
        equal([e for e, _ in parts if e], [], t)
        equal(b"".join(p for _, p in parts), payload)
        b.done()


def test_a_view_that_raises_at_any_part_leaves_the_message_unacknowledged_and_the_stream_in_step():
    from fakes.check import raises

    for at in range(4):
        b, c, _ = up()
        seen = []

        def view(buf, topic_end, start, end, flags):
            seen.append(bytes(buf[start:end]))
            if len(seen) == at + 1:
                raise KeyError("boom")

        c.set_view(view)
        b.send(PUBLISH, 9, qos=1, topic="t", payload=b"x" * 220)
        b.send(PUBLISH, 10, qos=1, topic="t", payload=b"y")
        b.expect(PUBACK, pid=10)
        raises(KeyError, c.world.serve, c, 100)
        c.world.serve(c, 100)
        equal(seen[-1], b"y")
        b.done()


def test_it_is_told_at_once_when_its_ack_finds_the_link_lost():
    def no_route(data):
        raise OSError(113)

    for reconnect in (None, Reconnect()):
        b, c = pair(rx_size=RX, reconnect=reconnect)
        b.accept()
        c.connect()
        told = []
        c.on_oversize = lambda topic, size_b, told=told: told.append((topic, size_b))
        b.send(PUBLISH, 9, qos=1, topic="a/b", payload=b"x" * 100)
        c.world.clock.run_due()
        c.world.link.take = no_route
        if reconnect:
            c.poll(10)
        else:
            raises(OSError, c.poll, 10)
        equal((told, c.isconnected()), ([(b"a/b", 107)], False))
