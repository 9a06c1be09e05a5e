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
    broker, client = pair(**named)
    client.told = []
    client.on_oversize = lambda topic, size_b: client.told.append((topic, size_b))
    broker.accept()
    client.connect()
    return broker, client, client.world.inbox


def test_every_size_around_the_buffer_is_drained_and_counted():
    for qos in (0, 1, 2):
        for length in (61, 62, 63, 64, 65, 120, 127, 128, 129, 200, 1000, 16379, 16381, 70000):
            broker, client, inbox = up()
            broker.send(PUBLISH, 9, qos=qos, topic="t", payload=b"x" * length)
            if qos:
                broker.expect(PUBACK if qos == 1 else PUBREC, pid=9)
            if qos == 2:
                broker.send(PUBREL, 9)
                broker.expect(PUBCOMP, pid=9)
            broker.send(PUBLISH, topic="next", payload="y")
            client.world.serve(client, 100)
            assert inbox.pop() == (b"next", b"y", False), (qos, length)
            broker.done()
            big = 2 + 1 + (2 if qos else 0) + length > RX
            equal(client.diag()["oversize"], 1 if big else 0, (qos, length))
            equal(client.told, [(b"t", 3 + (2 if qos else 0) + length)] if big else [], (qos, length))
            equal(len(inbox), 0 if big else 1, (qos, length))


def test_a_topic_larger_than_the_buffer_is_drained_wherever_its_id_falls():
    for qos in (0, 1, 2):
        for topic_b in range(RX - 8, RX + 8):
            for payload_b in (0, 1, 40):
                for step in (0, 1):
                    broker, client, inbox = up()
                    client.world.link.plan.read_max = step
                    client.world.link.plan.read_again = bool(step)
                    broker.send(PUBLISH, 0x0102, qos=qos, topic="t" * topic_b, payload=b"x" * payload_b)
                    if qos:
                        broker.expect(PUBACK if qos == 1 else PUBREC, pid=0x0102)
                    broker.send(PUBLISH, topic="next", payload="y")
                    client.world.serve(client, 100)
                    assert inbox and inbox.pop() == (b"next", b"y", False), (qos, topic_b, payload_b, step)
                    broker.done()


def test_a_long_topic_far_beyond_the_buffer_is_acknowledged():
    broker, client, inbox = up()
    broker.send(PUBLISH, 300, qos=1, topic="t" * 5000, payload=b"x" * 10)
    broker.expect(PUBACK, pid=300)
    client.world.serve(client, 100)
    equal(inbox, [])
    broker.done()


def test_a_repeated_oversize_qos_2_message_is_counted_once_delivered_never():
    broker, client, inbox = up()
    for dup in (0, 1):
        broker.send(PUBLISH, 9, qos=2, dup=dup, payload=b"x" * 500)
        broker.expect(PUBREC, pid=9)
    broker.send(PUBREL, 9)
    broker.expect(PUBCOMP, pid=9)
    client.world.serve(client, 100)
    equal(inbox, [])
    broker.done()


def test_a_view_receives_a_large_message_in_parts():
    broker, client, _ = up()
    parts = []

    def view(buf, topic_end, start, end, flags):
        parts.append((bytes(buf[2:topic_end]) if topic_end else b"", bytes(buf[start:end]), flags))

    client.set_view(view)
    payload = bytes([i & 255 for i in range(1000)])
    for qos in (0, 1, 2):
        parts.clear()
        broker.send(PUBLISH, 9, qos=qos, topic="big", payload=payload)
        if qos:
            broker.expect(PUBACK if qos == 1 else PUBREC, pid=9)
        client.world.serve(client, 100)
        equal(b"".join(part for _, part, _ in parts), payload)
        equal(parts[0][0], b"big")
        equal(parts[0][2] & 48, 16)
        equal(parts[-1][2] & 48, 32)
        broker.done()


def test_a_drain_survives_a_cut_at_every_byte():
    from fakes.check import raises

    raw = encode(PUBLISH, 9, qos=1, topic="t", payload=b"x" * 200)
    for k in range(len(raw)):
        broker, client, inbox = up()
        broker.raw(raw[:k])
        broker.cut()
        raises(OSError, client.world.serve, client, 50)
        broker.accept(sp=1)
        broker.raw(raw[:1].replace(b"\x32", b"\x3a") + raw[1:])
        broker.expect(PUBACK, pid=9)
        client.connect()
        client.world.serve(client, 50)
        broker.done()


def test_a_length_of_four_bytes_is_the_longest_and_is_drained():
    broker, client, inbox = up(keepalive=0)
    client.world.link.push(b"\x30\x80\x80\x80\x01\0\1t" + b"x" * 5000)  # 2097152 bytes are to come
    client.world.serve(client, 100)
    assert client.isconnected()
    equal((client.diag()["oversize"], client.told), (0, []), "it is told when it is over")
    equal(inbox, [])


def test_a_program_that_did_not_ask_for_it_is_told_by_an_exception_and_the_message_is_acknowledged():
    broker, client = pair(rx_size=RX)
    broker.accept()
    client.connect()
    broker.send(PUBLISH, 9, qos=1, topic="a/b", payload=b"x" * 100)
    broker.expect(PUBACK, pid=9)
    error = raises(MQTTException, client.world.serve, client, 50)
    assert "107 B" in str(error) and "rx_size" in str(error) and "a/b" in str(error), error
    assert client.isconnected()
    broker.send(PUBLISH, topic="next", payload="y")
    client.world.serve(client, 50)
    equal(client.world.inbox, [(b"next", b"y", False)])
    broker.done()


def test_with_reconnect_it_is_told_to_on_state_and_nothing_is_raised():
    states = []
    world = World()
    client = world.client(reconnect=Reconnect(on_state=lambda up, error: states.append((up, error))), rx_size=RX)
    world.broker.accept()
    world.serve(client, 10)
    world.broker.send(PUBLISH, topic="t", payload=b"x" * 100)
    world.serve(client, 50)
    equal([up for up, _ in states], [True, True])
    assert "rx_size" in states[1][1], states


def test_a_view_is_told_when_the_topic_itself_did_not_fit():
    for length in (63, 64, 65, 130):
        broker, client, _ = up()
        parts = []
        client.set_view(lambda buf, topic_end, start, end, flags: parts.append((topic_end, bytes(buf[start:end]))))
        payload = bytes(range(100))
        broker.send(PUBLISH, 9, qos=1, topic="t" * length, payload=payload)
        broker.expect(PUBACK, pid=9)
        client.world.serve(client, 100)
        equal([offset for offset, _ in parts if offset], [], length)
        equal(b"".join(part for _, part in parts), payload)
        broker.done()


def test_a_view_that_raises_at_any_part_leaves_the_message_unacknowledged_and_the_stream_in_step():
    from fakes.check import raises

    for at in range(4):
        broker, client, _ = up()
        seen = []

        def view(buf, topic_end, start, end, flags):
            seen.append(bytes(buf[start:end]))
            if len(seen) == at + 1:
                raise KeyError("boom")

        client.set_view(view)
        broker.send(PUBLISH, 9, qos=1, topic="t", payload=b"x" * 220)
        broker.send(PUBLISH, 10, qos=1, topic="t", payload=b"y")
        broker.expect(PUBACK, pid=10)
        raises(KeyError, client.world.serve, client, 100)
        client.world.serve(client, 100)
        equal(seen[-1], b"y")
        broker.done()


def test_it_is_told_at_once_when_its_ack_finds_the_link_lost():
    def no_route(data):
        raise OSError(113)

    for reconnect in (None, Reconnect()):
        broker, client = pair(rx_size=RX, reconnect=reconnect)
        broker.accept()
        client.connect()
        told = []
        client.on_oversize = lambda topic, size_b, told=told: told.append((topic, size_b))
        broker.send(PUBLISH, 9, qos=1, topic="a/b", payload=b"x" * 100)
        client.world.clock.run_due()
        client.world.link.take = no_route
        if reconnect:
            client.poll(10)
        else:
            raises(OSError, client.poll, 10)
        equal((told, client.isconnected()), ([(b"a/b", 107)], False))
