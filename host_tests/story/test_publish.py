"""PUBLISH out, QoS 0, 1 and 2: the flows, one write for each packet, and what happens to acks at odd moments."""

import errno

from fakes.bench import World, pair
from fakes.check import equal, raises
from fakes.packets import PINGREQ, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, SUBSCRIBE, encode

NOT_ON_ASYNCIO = (
    "test_acks_may_come_in_any_order_and_in_one_segment",  # it counts what poll returns
)


def up(**named):
    broker, client = pair(**named)
    broker.accept()
    client.connect()
    return broker, client


def test_qos_0_is_one_packet_and_one_write():
    broker, client = up()
    broker.expect(PUBLISH, qos=0, dup=0, retain=0, topic="a/b", payload="hi")
    equal(client.publish("a/b", "hi"), 0)
    broker.done()
    equal(len(client.world.link.writes), 2)
    equal(client.inflight, 0)


def test_retain_is_passed_on():
    broker, client = up()
    for qos in (0, 1, 2):
        broker.expect(PUBLISH, qos=qos, retain=1)
        if qos:
            broker.send((0, PUBACK, PUBCOMP)[qos] if qos == 1 else PUBREC, qos)
        if qos == 2:
            broker.expect(PUBREL, pid=2)
            broker.send(PUBCOMP, 2)
        client.publish("t", "x", retain=True, qos=qos)
    broker.done()


def test_qos_1_waits_for_its_puback():
    broker, client = up()
    broker.expect(PUBLISH, qos=1, dup=0, pid=1, topic="t", payload="x")
    broker.wait(250)
    broker.send(PUBACK, 1)
    began_ms = client.world.clock.now
    equal(client.publish("t", "x", qos=1), 1)
    equal(client.world.clock.now - began_ms, 250)
    equal(client.inflight, 0)
    broker.done()


def test_qos_2_runs_all_four_packets_with_one_id():
    broker, client = up()
    broker.expect(PUBLISH, qos=2, dup=0, pid=1, topic="t", payload="x")
    broker.send(PUBREC, 1)
    broker.expect(PUBREL, pid=1)
    broker.send(PUBCOMP, 1)
    equal(client.publish("t", "x", qos=2), 1)
    equal(client.inflight, 0)
    broker.done()
    equal(client.world.link.writes[1:], [len(packet.raw) for packet in broker.got[1:]], "one write for each packet")


def test_text_is_sent_as_utf8_with_lengths_in_bytes():
    broker, client = up()
    for topic, payload in (("temp/°C", "21 °C"), ("😀/室", "室温 21"), ("a", ""), ("x" * 40, b"\0\xff")):
        broker.expect(PUBLISH, topic=topic, payload=payload)
        client.publish(topic, payload)
        broker.expect(PUBLISH, topic=topic, payload=payload)
        client.publish(topic.encode(), payload.encode() if isinstance(payload, str) else payload)
    broker.done()


def test_every_length_around_the_varint_steps_and_the_buffer_is_right():
    broker, client = up(tx_size=256)
    broker.wait(0)
    for length in (
        0,
        1,
        120,
        121,
        122,
        123,
        124,
        125,
        126,
        245,
        250,
        251,
        252,
        253,
        254,
        256,
        257,
        300,
        16377,
        16378,
        16379,
        16380,
        16381,
    ):
        payload = bytes([length & 255]) * length
        broker.expect(PUBLISH, topic="t", payload=payload)
        client.publish("t", payload)
        client.world.clock.run_due()
    broker.done()


def test_a_payload_larger_than_the_send_buffer_goes_out_in_short_writes():
    broker, client = up(tx_size=64)
    client.world.link.plan.write_max = 7
    client.world.link.plan.write_again = True
    payload = bytes(range(256)) * 4
    for qos in (0, 1):
        broker.expect(PUBLISH, qos=qos, payload=payload)
        if qos:
            broker.send(PUBACK, 1)
        client.publish("t", payload, qos=qos)
    broker.done()


def test_a_topic_longer_than_the_send_buffer_arrives_or_there_is_no_memory_for_it_and_no_byte_leaves():
    import umqtt.client

    def none(size):
        raise MemoryError("no memory for %d B" % size)

    broker, client = up(tx_size=64)
    umqtt.client.bytearray = none
    try:
        raises(MemoryError, client.publish, "t" * 300, "x")
    finally:
        del umqtt.client.bytearray
    broker.expect(PUBLISH, topic="t" * 300, payload="x")
    broker.expect(PUBLISH, topic="short", payload="y")
    client.publish("t" * 300, "x")
    client.publish("short", "y")
    broker.done()


def test_a_callback_publishes_behind_the_bytes_that_wait_what_fits_there_and_nothing_else():
    tx_size, waiting_b = 100, 40
    topic_b, head_b = 2 + len("out"), 7  # beside the payload; the head of the largest packet
    for size_b in range(40, 56):
        broker, client = up(tx_size=tx_size)
        link = client.world.link
        broker.send(PUBLISH, topic="in", payload="now")
        link.plan.buffer = 0
        full = []

        def answer(topic, payload, retained):
            try:
                client.publish("out", "y" * size_b)  # noqa: B023
            except OSError as error:
                full.append(error)  # noqa: B023

        client.set_callback(answer)
        client.publish("t", "x" * (waiting_b - 7), qos=1, wait=False)
        broker.expect(PUBLISH, topic="t", pid=1)
        fits = waiting_b + topic_b + size_b + head_b <= tx_size
        if fits:
            broker.expect(PUBLISH, topic="out", payload="y" * size_b)
        client.world.serve(client, 10)
        link.plan.buffer = 5840
        client.world.serve(client, 10)
        broker.done()
        equal(len(full), 0 if fits else 1, size_b)
        assert fits or full[0].errno == errno.ENOBUFS and "send buffer full" in str(full[0]), full


def test_bytearray_and_memoryview_are_payloads_too():
    broker, client = up()
    for payload in (bytearray(b"ab"), memoryview(b"ab")):
        broker.expect(PUBLISH, payload="ab")
        client.publish("t", payload)
    broker.done()


def test_a_mutable_payload_may_change_after_publish_returned():
    broker, client = up()
    payload = bytearray(b"old")
    broker.expect(PUBLISH, payload="old", dup=0, pid=1)
    client.publish("t", payload, qos=1, wait=False)
    payload[:] = b"new"
    client.world.clock.run_due()
    broker.cut()
    raises(OSError, client.poll)
    broker.accept(sp=1)
    broker.expect(PUBLISH, payload="old", dup=1, pid=1)
    broker.send(PUBACK, 1)
    client.connect()
    client.poll(10)
    broker.done()
    equal(client.inflight, 0)


def test_publish_without_waiting_returns_an_id_and_raises_when_all_slots_are_taken():
    broker, client = up(inflight=2)
    broker.expect(PUBLISH, pid=1)
    broker.expect(PUBLISH, pid=2)
    equal(client.publish("t", "1", qos=1, wait=False), 1)
    equal(client.publish("t", "2", qos=2, wait=False), 2)
    for wait_or_not in ({"wait": False}, {"wait": False, "timeout_ms": 1000}):
        full = raises(OSError, client.publish, "t", "3", qos=1, **wait_or_not)
        equal((full.errno, "all slots are taken" in str(full)), (errno.ENOBUFS, True))
    equal((client.inflight, client.isconnected()), (2, True))
    broker.send(PUBACK, 1)
    client.poll(10)
    equal(client.inflight, 1)
    broker.expect(PUBLISH, pid=3, payload="4")
    equal(client.publish("t", "4", qos=1, wait=False), 3)
    broker.done()


def test_a_waiting_publish_waits_for_room_in_the_window():
    broker, client = up(inflight=1)
    broker.expect(PUBLISH, pid=1)
    broker.wait(100)
    broker.send(PUBACK, 1)
    broker.expect(PUBLISH, pid=2)
    broker.send(PUBACK, 2)
    equal(client.publish("t", "1", qos=1, wait=False), 1)
    equal(client.publish("t", "2", qos=1), 2)
    broker.done()


def test_acks_may_come_in_any_order_and_in_one_segment():
    broker, client = up(inflight=3)
    for pid in (1, 2, 3):
        broker.expect(PUBLISH, pid=pid)
        client.publish("t", str(pid), qos=1, wait=False)
    broker.raw(encode(PUBACK, 3) + encode(PUBACK, 1) + encode(PUBACK, 2))
    for left in (2, 1, 0):
        equal(client.poll(10), 1)
        equal(client.inflight, left)
    broker.done()


def test_acks_of_unknown_ids_and_repeated_acks_are_taken_calmly():
    broker, client = up()
    broker.send(PUBACK, 9)
    broker.send(PUBCOMP, 9)
    broker.send(PUBREC, 9)
    broker.expect(PUBREL, pid=9)
    broker.expect(PUBLISH, pid=1)
    broker.send(PUBACK, 1)
    broker.send(PUBACK, 1)
    broker.expect(PUBLISH, pid=2)
    broker.send(PUBREC, 2)
    broker.expect(PUBREL, pid=2)
    broker.send(PUBREC, 2)
    broker.expect(PUBREL, pid=2)
    broker.send(PUBCOMP, 2)
    broker.send(PUBCOMP, 2)
    for _ in range(3):
        client.poll(10)
    client.publish("t", "x", qos=1)
    client.publish("t", "x", qos=2)
    client.world.serve(client, 100)
    equal(client.inflight, 0)
    broker.done()


def test_an_ack_while_a_suback_is_awaited_stays_in_step():
    broker, client = up()
    broker.expect(PUBLISH, pid=1)
    broker.expect(SUBSCRIBE, pid=2)
    broker.send(PUBACK, 1)
    broker.send(SUBACK, 2, codes=(1,))
    client.publish("t", "x", qos=1, wait=False)
    equal(bytes(client.subscribe("f", 1)), b"\1")
    equal(client.inflight, 0)
    broker.done()


def test_acks_in_single_bytes_are_understood():
    broker, client = up()
    broker.expect(PUBLISH, pid=1)
    broker.raw_each(encode(PUBREC, 1))
    broker.expect(PUBREL, pid=1)
    broker.raw_each(encode(PUBCOMP, 1))
    client.publish("t", "x", qos=2)
    broker.done()


def test_a_publish_that_is_never_acknowledged_ends_at_the_deadline_and_stays_in_flight():
    for qos in (1, 2):
        broker, client = up(timeout_ms=2000)
        broker.expect(PUBLISH, pid=1)
        began_ms = client.world.clock.now
        raises(OSError, client.publish, "t", "x", qos=qos)
        equal(client.world.clock.now - began_ms, 2000)
        equal(client.inflight, 1)
        broker.done()


def test_a_publish_into_a_link_that_takes_nothing_ends_at_the_deadline():
    for qos in (0, 1, 2):
        broker, client = up(timeout_ms=2000)
        client.world.link.plan.drained = False
        client.world.link.plan.buffer = 10
        began_ms = client.world.clock.now
        raises(OSError, client.publish, "t", "x" * 100, qos=qos)
        equal(client.world.clock.now - began_ms, 2000)


def test_a_qos_0_publish_that_waits_to_begin_and_then_to_end_has_one_deadline():
    broker, client = up(timeout_ms=2000)
    link = client.world.link
    link.plan.drained = False
    link.plan.buffer = 10
    client.publish("t", "x" * 50, qos=1, wait=False)  # 57 bytes, of which 47 wait
    began_ms = client.world.clock.now
    client.world.clock.at(1500, lambda: setattr(link.plan, "buffer", 57))
    raises(OSError, client.publish, "t", "y")
    equal(client.world.clock.now - began_ms, 2000)


def test_ids_wrap_from_65535_to_1_and_skip_those_in_flight():
    broker, client = up(inflight=3)
    client.pid = 65533
    broker.expect(PUBLISH, pid=65534)
    broker.expect(PUBLISH, pid=65535)
    broker.expect(PUBLISH, pid=1)
    for _ in range(3):
        client.publish("t", "x", qos=1, wait=False)
    broker.send(PUBACK, 65534)
    broker.send(PUBACK, 65535)
    client.poll(10)
    client.poll(10)
    client.pid = 65534
    broker.expect(PUBLISH, pid=65535)
    broker.expect(PUBLISH, pid=2)
    equal(client.publish("t", "x", qos=1, wait=False), 65535)
    equal(client.publish("t", "x", qos=1, wait=False), 2)
    broker.done()


def test_publishing_across_the_wrap_of_ids_never_uses_id_0():
    from fakes.model import Model

    world = World(Model)
    client = world.client()
    client.connect()
    client.pid = 65000
    for i in range(1000):
        client.publish("t", "x", qos=1 + i % 2)
    equal(world.broker.violations, [])
    equal(len(world.broker.accepted), 1000)


def test_who_waits_for_room_does_not_wait_for_a_packet():
    broker, client = up()
    client.world.link.plan.write_again = True  # every other write would block first
    began_ms = client.world.clock.now
    for _ in range(4):
        broker.expect(PUBLISH, qos=0)
        client.publish("t", "x" * 50)
    equal(client.world.clock.now - began_ms, 0, "nothing was coming, so nothing ended the wait but its deadline")
    broker.done()


def test_an_answer_for_which_there_is_no_slot_is_raised_and_the_command_stays_unacknowledged():
    broker, client = up(inflight=1)
    client.set_callback(lambda topic, payload, retained: client.publish("answer", payload, qos=1))
    broker.expect(PUBLISH, pid=1)
    client.publish("t", "1", qos=1, wait=False)
    broker.send(PUBLISH, qos=1, pid=7, topic="command", payload="on")
    full = raises(OSError, client.poll, 10)
    equal((full.errno, client.inflight, client.isconnected()), (errno.ENOBUFS, 1, True))
    broker.done()  # no PUBACK for 7: the broker sends it again


def test_a_qos_0_publish_that_waits_keeps_its_topic_though_a_callback_publishes_under_another():
    broker, client = pair()
    broker.accept()
    client.connect()
    client.set_callback(lambda topic, payload, retained: client.publish("other", "y"))
    broker.expect(PINGREQ)
    broker.send(PUBLISH, topic="in", payload="x")
    broker.expect(PUBLISH, topic="other", payload="y")
    broker.expect(PUBLISH, topic="mine", payload="z")
    broker.expect(PUBLISH, topic="mine", payload="2")
    broker.expect(PUBLISH, topic="other", payload="3")
    client.world.link.plan.write_again = True
    client.ping()
    mine = b"mine"
    client.publish(mine, "z")
    client.publish(mine, "2")
    client.publish("other", "3")
    broker.done()


def test_a_broker_that_answers_qos_2_with_puback_has_the_message_and_is_given_qos_1_from_then_on():
    # RabbitMQ, all versions; against 4.3.3, but the message is the broker's
    broker, client = up()
    broker.expect(PUBLISH, pid=1, qos=2)
    broker.send(PUBACK, 1)
    equal(client.publish("t", "x", qos=2), 1)
    assert "QoS 1 from now on" in client.diag()["error"], client.diag()
    broker.expect(PUBLISH, pid=2, qos=1)
    broker.send(PUBACK, 2)
    equal(client.publish("t", "x", qos=2), 2)
    assert client.isconnected()
    broker.done()
