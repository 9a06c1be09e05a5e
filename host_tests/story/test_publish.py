"""PUBLISH out, QoS 0, 1 and 2: the flows, one write for each packet, and what happens to acks at odd moments."""

import errno

from fakes.bench import World, pair
from fakes.check import equal, raises
from fakes.packets import PINGREQ, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, SUBSCRIBE, encode

NOT_ON_ASYNCIO = (
    "test_acks_may_come_in_any_order_and_in_one_segment",  # it counts what poll returns
)


def up(**named):
    b, c = pair(**named)
    b.accept()
    c.connect()
    return b, c


def test_qos_0_is_one_packet_and_one_write():
    b, c = up()
    b.expect(PUBLISH, qos=0, dup=0, retain=0, topic="a/b", payload="hi")
    equal(c.publish("a/b", "hi"), 0)
    b.done()
    equal(len(c.world.link.writes), 2)
    equal(c.inflight, 0)


def test_retain_is_passed_on():
    b, c = up()
    for qos in (0, 1, 2):
        b.expect(PUBLISH, qos=qos, retain=1)
        if qos:
            b.send((0, PUBACK, PUBCOMP)[qos] if qos == 1 else PUBREC, qos)
        if qos == 2:
            b.expect(PUBREL, pid=2)
            b.send(PUBCOMP, 2)
        c.publish("t", "x", retain=True, qos=qos)
    b.done()


def test_qos_1_waits_for_its_puback():
    b, c = up()
    b.expect(PUBLISH, qos=1, dup=0, pid=1, topic="t", payload="x")
    b.wait(250)
    b.send(PUBACK, 1)
    t = c.world.clock.now
    equal(c.publish("t", "x", qos=1), 1)
    equal(c.world.clock.now - t, 250)
    equal(c.inflight, 0)
    b.done()


def test_qos_2_runs_all_four_packets_with_one_id():
    b, c = up()
    b.expect(PUBLISH, qos=2, dup=0, pid=1, topic="t", payload="x")
    b.send(PUBREC, 1)
    b.expect(PUBREL, pid=1)
    b.send(PUBCOMP, 1)
    equal(c.publish("t", "x", qos=2), 1)
    equal(c.inflight, 0)
    b.done()
    equal(c.world.link.writes[1:], [len(p.raw) for p in b.got[1:]], "one write for each packet")


def test_text_is_sent_as_utf8_with_lengths_in_bytes():
    b, c = up()
    for topic, payload in (("temp/°C", "21 °C"), ("😀/室", "室温 21"), ("a", ""), ("x" * 40, b"\0\xff")):
        b.expect(PUBLISH, topic=topic, payload=payload)
        c.publish(topic, payload)
        b.expect(PUBLISH, topic=topic, payload=payload)
        c.publish(topic.encode(), payload.encode() if isinstance(payload, str) else payload)
    b.done()


def test_every_length_around_the_varint_steps_and_the_buffer_is_right():
    b, c = up(tx_size=256)
    b.wait(0)
    for n in (
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
        payload = bytes([n & 255]) * n
        b.expect(PUBLISH, topic="t", payload=payload)
        c.publish("t", payload)
        c.world.clock.run_due()
    b.done()


def test_a_payload_larger_than_the_send_buffer_goes_out_in_short_writes():
    b, c = up(tx_size=64)
    c.world.link.plan.write_max = 7
    c.world.link.plan.write_again = True
    payload = bytes(range(256)) * 4
    for qos in (0, 1):
        b.expect(PUBLISH, qos=qos, payload=payload)
        if qos:
            b.send(PUBACK, 1)
        c.publish("t", payload, qos=qos)
    b.done()


def test_a_topic_longer_than_the_send_buffer_arrives_or_there_is_no_memory_for_it_and_no_byte_leaves():
    import umqtt.client

    def none(size):
        raise MemoryError("no memory for %d B" % size)

    b, c = up(tx_size=64)
    umqtt.client.bytearray = none
    try:
        raises(MemoryError, c.publish, "t" * 300, "x")
    finally:
        del umqtt.client.bytearray
    b.expect(PUBLISH, topic="t" * 300, payload="x")
    b.expect(PUBLISH, topic="short", payload="y")
    c.publish("t" * 300, "x")
    c.publish("short", "y")
    b.done()


def test_a_callback_publishes_behind_the_bytes_that_wait_what_fits_there_and_nothing_else():
    tx_size, waiting_b = 100, 40
    topic_b, head_b = 2 + len("out"), 7  # beside the payload; the head of the largest packet
    for size_b in range(40, 56):
        b, c = up(tx_size=tx_size)
        link = c.world.link
        b.send(PUBLISH, topic="in", payload="now")
        link.plan.buffer = 0
        full = []

        def answer(topic, payload, retained):
            try:
                c.publish("out", "y" * size_b)  # noqa: B023
            except OSError as e:
                full.append(e)  # noqa: B023

        c.set_callback(answer)
        c.publish("t", "x" * (waiting_b - 7), qos=1, wait=False)
        b.expect(PUBLISH, topic="t", pid=1)
        fits = waiting_b + topic_b + size_b + head_b <= tx_size
        if fits:
            b.expect(PUBLISH, topic="out", payload="y" * size_b)
        c.world.serve(c, 10)
        link.plan.buffer = 5840
        c.world.serve(c, 10)
        b.done()
        equal(len(full), 0 if fits else 1, size_b)
        assert fits or full[0].errno == errno.ENOBUFS and "send buffer full" in str(full[0]), full


def test_bytearray_and_memoryview_are_payloads_too():
    b, c = up()
    for payload in (bytearray(b"ab"), memoryview(b"ab")):
        b.expect(PUBLISH, payload="ab")
        c.publish("t", payload)
    b.done()


def test_a_mutable_payload_may_change_after_publish_returned():
    b, c = up()
    m = bytearray(b"old")
    b.expect(PUBLISH, payload="old", dup=0, pid=1)
    c.publish("t", m, qos=1, wait=False)
    m[:] = b"new"
    c.world.clock.run_due()
    b.cut()
    raises(OSError, c.poll)
    b.accept(sp=1)
    b.expect(PUBLISH, payload="old", dup=1, pid=1)
    b.send(PUBACK, 1)
    c.connect()
    c.poll(10)
    b.done()
    equal(c.inflight, 0)


def test_publish_without_waiting_returns_an_id_and_raises_when_all_slots_are_taken():
    b, c = up(inflight=2)
    b.expect(PUBLISH, pid=1)
    b.expect(PUBLISH, pid=2)
    equal(c.publish("t", "1", qos=1, wait=False), 1)
    equal(c.publish("t", "2", qos=2, wait=False), 2)
    for wait_or_not in ({"wait": False}, {"wait": False, "timeout_ms": 1000}):
        full = raises(OSError, c.publish, "t", "3", qos=1, **wait_or_not)
        equal((full.errno, "all slots are taken" in str(full)), (errno.ENOBUFS, True))
    equal((c.inflight, c.isconnected()), (2, True))
    b.send(PUBACK, 1)
    c.poll(10)
    equal(c.inflight, 1)
    b.expect(PUBLISH, pid=3, payload="4")
    equal(c.publish("t", "4", qos=1, wait=False), 3)
    b.done()


def test_a_waiting_publish_waits_for_room_in_the_window():
    b, c = up(inflight=1)
    b.expect(PUBLISH, pid=1)
    b.wait(100)
    b.send(PUBACK, 1)
    b.expect(PUBLISH, pid=2)
    b.send(PUBACK, 2)
    equal(c.publish("t", "1", qos=1, wait=False), 1)
    equal(c.publish("t", "2", qos=1), 2)
    b.done()


def test_acks_may_come_in_any_order_and_in_one_segment():
    b, c = up(inflight=3)
    for pid in (1, 2, 3):
        b.expect(PUBLISH, pid=pid)
        c.publish("t", str(pid), qos=1, wait=False)
    b.raw(encode(PUBACK, 3) + encode(PUBACK, 1) + encode(PUBACK, 2))
    for left in (2, 1, 0):
        equal(c.poll(10), 1)
        equal(c.inflight, left)
    b.done()


def test_acks_of_unknown_ids_and_repeated_acks_are_taken_calmly():
    b, c = up()
    b.send(PUBACK, 9)
    b.send(PUBCOMP, 9)
    b.send(PUBREC, 9)
    b.expect(PUBREL, pid=9)
    b.expect(PUBLISH, pid=1)
    b.send(PUBACK, 1)
    b.send(PUBACK, 1)
    b.expect(PUBLISH, pid=2)
    b.send(PUBREC, 2)
    b.expect(PUBREL, pid=2)
    b.send(PUBREC, 2)
    b.expect(PUBREL, pid=2)
    b.send(PUBCOMP, 2)
    b.send(PUBCOMP, 2)
    for _ in range(3):
        c.poll(10)
    c.publish("t", "x", qos=1)
    c.publish("t", "x", qos=2)
    c.world.serve(c, 100)
    equal(c.inflight, 0)
    b.done()


def test_an_ack_while_a_suback_is_awaited_stays_in_step():
    b, c = up()
    b.expect(PUBLISH, pid=1)
    b.expect(SUBSCRIBE, pid=2)
    b.send(PUBACK, 1)
    b.send(SUBACK, 2, codes=(1,))
    c.publish("t", "x", qos=1, wait=False)
    equal(bytes(c.subscribe("f", 1)), b"\1")
    equal(c.inflight, 0)
    b.done()


def test_acks_in_single_bytes_are_understood():
    b, c = up()
    b.expect(PUBLISH, pid=1)
    b.raw_each(encode(PUBREC, 1))
    b.expect(PUBREL, pid=1)
    b.raw_each(encode(PUBCOMP, 1))
    c.publish("t", "x", qos=2)
    b.done()


def test_a_publish_that_is_never_acknowledged_ends_at_the_deadline_and_stays_in_flight():
    for qos in (1, 2):
        b, c = up(timeout_ms=2000)
        b.expect(PUBLISH, pid=1)
        t = c.world.clock.now
        raises(OSError, c.publish, "t", "x", qos=qos)
        equal(c.world.clock.now - t, 2000)
        equal(c.inflight, 1)
        b.done()


def test_a_publish_into_a_link_that_takes_nothing_ends_at_the_deadline():
    for qos in (0, 1, 2):
        b, c = up(timeout_ms=2000)
        c.world.link.plan.drained = False
        c.world.link.plan.buffer = 10
        t = c.world.clock.now
        raises(OSError, c.publish, "t", "x" * 100, qos=qos)
        equal(c.world.clock.now - t, 2000)


def test_a_qos_0_publish_that_waits_to_begin_and_then_to_end_has_one_deadline():
    b, c = up(timeout_ms=2000)
    link = c.world.link
    link.plan.drained = False
    link.plan.buffer = 10
    c.publish("t", "x" * 50, qos=1, wait=False)  # 57 bytes, of which 47 wait
    t = c.world.clock.now
    c.world.clock.at(1500, lambda: setattr(link.plan, "buffer", 57))
    raises(OSError, c.publish, "t", "y")
    equal(c.world.clock.now - t, 2000)


def test_ids_wrap_from_65535_to_1_and_skip_those_in_flight():
    b, c = up(inflight=3)
    c.pid = 65533
    b.expect(PUBLISH, pid=65534)
    b.expect(PUBLISH, pid=65535)
    b.expect(PUBLISH, pid=1)
    for _ in range(3):
        c.publish("t", "x", qos=1, wait=False)
    b.send(PUBACK, 65534)
    b.send(PUBACK, 65535)
    c.poll(10)
    c.poll(10)
    c.pid = 65534
    b.expect(PUBLISH, pid=65535)
    b.expect(PUBLISH, pid=2)
    equal(c.publish("t", "x", qos=1, wait=False), 65535)
    equal(c.publish("t", "x", qos=1, wait=False), 2)
    b.done()


def test_publishing_across_the_wrap_of_ids_never_uses_id_0():
    from fakes.model import Model

    w = World(Model)
    c = w.client()
    c.connect()
    c.pid = 65000
    for i in range(1000):
        c.publish("t", "x", qos=1 + i % 2)
    equal(w.broker.violations, [])
    equal(len(w.broker.accepted), 1000)


def test_who_waits_for_room_does_not_wait_for_a_packet():
    b, c = up()
    c.world.link.plan.write_again = True  # every other write would block first
    t = c.world.clock.now
    for _ in range(4):
        b.expect(PUBLISH, qos=0)
        c.publish("t", "x" * 50)
    equal(c.world.clock.now - t, 0, "nothing was coming, so nothing ended the wait but its deadline")
    b.done()


def test_an_answer_for_which_there_is_no_slot_is_raised_and_the_command_stays_unacknowledged():
    b, c = up(inflight=1)
    c.set_callback(lambda t, p, r: c.publish("answer", p, qos=1))
    b.expect(PUBLISH, pid=1)
    c.publish("t", "1", qos=1, wait=False)
    b.send(PUBLISH, qos=1, pid=7, topic="command", payload="on")
    full = raises(OSError, c.poll, 10)
    equal((full.errno, c.inflight, c.isconnected()), (errno.ENOBUFS, 1, True))
    b.done()  # no PUBACK for 7: the broker sends it again


def test_a_qos_0_publish_that_waits_keeps_its_topic_though_a_callback_publishes_under_another():
    b, c = pair()
    b.accept()
    c.connect()
    c.set_callback(lambda t, p, r: c.publish("other", "y"))
    b.expect(PINGREQ)
    b.send(PUBLISH, topic="in", payload="x")
    b.expect(PUBLISH, topic="other", payload="y")
    b.expect(PUBLISH, topic="mine", payload="z")
    b.expect(PUBLISH, topic="mine", payload="2")
    b.expect(PUBLISH, topic="other", payload="3")
    c.world.link.plan.write_again = True
    c.ping()
    mine = b"mine"
    c.publish(mine, "z")
    c.publish(mine, "2")
    c.publish("other", "3")
    b.done()


def test_a_broker_that_answers_qos_2_with_puback_has_the_message_and_is_given_qos_1_from_then_on():
    # RabbitMQ, all versions; against 4.3.3, but the message is the broker's
    b, c = up()
    b.expect(PUBLISH, pid=1, qos=2)
    b.send(PUBACK, 1)
    equal(c.publish("t", "x", qos=2), 1)
    assert "QoS 1 from now on" in c.diag()["error"], c.diag()
    b.expect(PUBLISH, pid=2, qos=1)
    b.send(PUBACK, 2)
    equal(c.publish("t", "x", qos=2), 2)
    assert c.isconnected()
    b.done()
