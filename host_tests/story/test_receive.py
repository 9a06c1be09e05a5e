"""PUBLISH in, QoS 0, 1 and 2: the callback before the ack, each QoS 2 message once."""

from fakes.bench import pair
from fakes.check import equal, raises
from fakes.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, encode

NOT_ON_ASYNCIO = (
    "test_ctrl_c_in_a_callback_leaves_a_client_that_can_go_on",  # Ctrl-C ends the loop, too
    "test_qos_0_reaches_the_callback",  # it counts what poll returns
)


def up(**named):
    b, c = pair(**named)
    b.accept()
    c.connect()
    return b, c, c.world.inbox


def test_qos_0_reaches_the_callback():
    b, c, inbox = up()
    b.send(PUBLISH, topic="a/ü", payload="21 °C", retain=1)
    b.send(PUBLISH, topic="b", payload=b"")
    equal(c.poll(10), 1)
    equal(c.poll(10), 1)
    equal(c.poll(10), 0)
    equal(inbox, [("a/ü".encode(), "21 °C".encode(), True), (b"b", b"", False)])
    b.done()


def test_qos_1_is_acknowledged_after_the_callback():
    b, c, _ = up()
    order = []
    c.set_callback(lambda t, p, r: (order.append("callback"), equal(len(b.got), 1)))
    b.send(PUBLISH, 7, qos=1)
    b.expect(PUBACK, pid=7)
    b.call(lambda: order.append("ack"))
    c.poll(10)
    b.done()
    equal(order, ["callback", "ack"])


def test_qos_1_is_delivered_as_often_as_it_comes():
    b, c, inbox = up()
    for dup in (0, 1):
        b.send(PUBLISH, 7, qos=1, dup=dup)
        b.expect(PUBACK, pid=7)
    c.poll(10)
    c.poll(10)
    equal(len(inbox), 2)
    b.done()


def test_qos_2_is_delivered_once_however_often_it_is_repeated():
    b, c, inbox = up()
    b.send(PUBLISH, 7, qos=2, payload="x")
    b.expect(PUBREC, pid=7)
    for _ in range(3):
        b.send(PUBLISH, 7, qos=2, dup=1, payload="x")
        b.expect(PUBREC, pid=7)
    b.send(PUBREL, 7)
    b.expect(PUBCOMP, pid=7)
    b.send(PUBREL, 7)
    b.expect(PUBCOMP, pid=7)
    c.world.serve(c, 50)
    equal(inbox, [(b"t", b"x", False)])
    b.send(PUBLISH, 7, qos=2, payload="y")  # the id is free again
    b.expect(PUBREC, pid=7)
    c.world.serve(c, 50)
    equal(len(inbox), 2)
    b.done()


def test_qos_2_repeated_on_the_next_connection_is_delivered_once():
    b, c, inbox = up()
    b.send(PUBLISH, 7, qos=2)
    b.cut()
    raises(OSError, c.world.serve, c, 50)
    b.accept(sp=1)
    b.send(PUBLISH, 7, qos=2, dup=1)
    b.expect(PUBREC, pid=7)
    b.send(PUBREL, 7)
    b.expect(PUBCOMP, pid=7)
    c.connect()
    c.world.serve(c, 50)
    equal(len(inbox), 1)
    b.done()


def test_after_a_forgotten_session_an_id_is_a_new_message():
    b, c, inbox = up()
    b.send(PUBLISH, 7, qos=2, payload="1")
    b.expect(PUBREC, pid=7)
    b.cut()
    raises(OSError, c.world.serve, c, 50)
    b.accept(sp=0)
    b.send(PUBLISH, 7, qos=2, payload="2")
    b.expect(PUBREC, pid=7)
    c.connect()
    c.world.serve(c, 50)
    equal([p for _, p, _ in inbox], [b"1", b"2"])
    b.done()


def test_a_pubrel_for_an_unknown_id_is_answered():
    b, c, inbox = up()
    b.send(PUBREL, 77)
    b.expect(PUBCOMP, pid=77)
    c.poll(10)
    equal(inbox, [])
    b.done()


def test_several_qos_2_messages_may_interleave():
    b, c, inbox = up()
    b.raw(b"".join(encode(PUBLISH, i, qos=2, payload=str(i)) for i in (3, 1, 2)))
    for i in (3, 1, 2):
        b.expect(PUBREC, pid=i)
    b.raw(encode(PUBREL, 1) + encode(PUBREL, 3) + encode(PUBREL, 2))
    for i in (1, 3, 2):
        b.expect(PUBCOMP, pid=i)
    c.world.serve(c, 50)
    equal([p for _, p, _ in inbox], [b"3", b"1", b"2"])
    b.done()


def test_a_callback_that_raises_leaves_the_message_unacknowledged():
    for qos in (1, 2):
        b, c, inbox = up()
        keep = c.cb

        def bad(t, p, r):
            raise KeyError("boom")

        c.set_callback(bad)
        b.send(PUBLISH, 5, qos=qos)
        raises(KeyError, c.poll, 10)
        c.world.serve(c, 50)
        b.done()
        b.cut()
        c.set_callback(keep)
        raises(OSError, c.world.serve, c, 50)
        b.accept(sp=1)
        b.send(PUBLISH, 5, qos=qos, dup=1)
        b.expect(PUBACK if qos == 1 else PUBREC, pid=5)
        c.connect()
        c.world.serve(c, 50)
        equal(len(inbox), 1)
        b.done()


def test_the_stream_stays_in_step_after_a_callback_raised():
    b, c, inbox = up()

    def bad(t, p, r):
        if p == b"bad":
            raise KeyError("boom")
        inbox.append((t, p, r))

    c.set_callback(bad)
    b.raw(encode(PUBLISH, 5, qos=1, payload="bad") + encode(PUBLISH, 6, qos=1, payload="good"))
    b.expect(PUBACK, pid=6)
    raises(KeyError, c.poll, 10)
    c.world.serve(c, 50)
    equal(len(inbox), 1)
    b.done()


def test_a_callback_may_publish_and_subscribe_and_nothing_recurses():
    from fakes.packets import SUBACK, SUBSCRIBE

    b, c, inbox = up()
    depth = [0]

    def answer(t, p, r):
        depth[0] += 1
        equal(depth[0], 1)
        c.publish("echo", p, qos=1)
        c.publish("plain", p)
        c.subscribe("more", 1)
        depth[0] -= 1

    c.set_callback(answer)
    b.send(PUBLISH, 5, qos=1, payload="x")
    b.expect_any(
        (PUBACK, {"pid": 5}),
        (PUBLISH, {"topic": "echo", "qos": 1, "pid": 1}),
        (PUBLISH, {"topic": "plain", "qos": 0}),
        (SUBSCRIBE, {"pid": 2}),
    )
    b.send(PUBACK, 1)
    b.send(SUBACK, 2, codes=(1,))
    c.world.serve(c, 50)
    equal(c.inflight, 0)
    b.done()


def test_an_ack_that_arrives_while_a_callback_runs_is_not_lost():
    b, c, _ = up()
    c.set_callback(lambda t, p, r: c.world.clock.sleep_ms(500))
    b.expect(PUBLISH, pid=1)
    b.send(PUBLISH, 5, qos=1)
    b.wait(100)
    b.send(PUBACK, 1)
    b.expect(PUBACK, pid=5)
    c.publish("t", "x", qos=1, wait=False)
    c.world.serve(c, 2000)
    equal(c.inflight, 0)
    b.done()


def test_messages_and_acks_in_single_bytes_come_whole():
    b, c, inbox = up()
    b.raw_each(encode(PUBLISH, 5, qos=2, topic="a/b", payload="x" * 150))
    b.expect(PUBREC, pid=5)
    b.raw_each(encode(PUBREL, 5))
    b.expect(PUBCOMP, pid=5)
    c.world.serve(c, 500)
    equal(inbox, [(b"a/b", b"x" * 150, False)])
    b.done()


def test_any_buffer_length_up_to_the_limit_is_received_whole():
    b, c, inbox = up(rx_size=64)
    for n in (0, 1, 2, 50, 58, 59, 60, 61):
        b.send(PUBLISH, topic="t", payload=b"x" * n)
        c.world.serve(c, 20)
        equal(inbox.pop(), (b"t", b"x" * n, False), n)
    b.done()


def test_ctrl_c_in_a_callback_leaves_a_client_that_can_go_on():
    for interrupt in (KeyboardInterrupt, SystemExit):
        b, c, inbox = up()

        def stop(topic, msg, retained, interrupt=interrupt):
            raise interrupt

        c.set_callback(stop)
        b.send(PUBLISH, topic="t", payload="x")
        raises(interrupt, c.poll, 100)
        equal(c.poll(0), 0)
        b.expect(PUBLISH, qos=1, pid=1)
        b.send(PUBACK, 1)
        equal(c.publish("a", "b", qos=1), 1)
        b.done()


def test_a_backlog_of_qos_2_as_mosquitto_pours_it_out_is_taken():
    # 2.0.11 with its default of 20 in flight sent 300 to a slow subscriber ahead of the first PUBREL
    b, c, inbox = up()
    for pid in range(1, 301):
        b.send(PUBLISH, pid=pid, qos=2, topic="t", payload=str(pid))
    for pid in range(1, 301):
        b.expect(PUBREC, pid=pid)
    for pid in range(1, 301):
        b.send(PUBREL, pid)
        b.expect(PUBCOMP, pid=pid)
    while c.poll(10):
        pass
    b.done()
    equal([int(payload) for _, payload, _ in inbox], list(range(1, 301)))
    equal(max(c._held_packet_ids), 0)


def test_the_ack_follows_a_large_message_that_the_callback_published_into_a_link_that_takes_nothing_yet():
    # in front of its payload it would be in the payload
    for again in (False, True):
        for qos in (0, 1):
            b, c = pair(tx_size=64)
            b.accept()
            c.connect()
            c.set_callback(lambda t, p, r: c.publish("big", "y" * 200, qos=qos, wait=False))
            b.send(PUBLISH, 7, topic="in", payload="x", qos=1)
            c.world.link.plan.write_again = again
            b.expect(PUBLISH, topic="big", payload="y" * 200)
            b.expect(PUBACK, pid=7)
            c.world.serve(c, 100)
            b.done()
            equal((c._send_blocked, len(c._send_buf)), (False, 0))


def test_connect_inside_a_callback_is_refused_and_the_link_stays():
    b, c, _ = up()
    got = []

    def f(topic, payload, retained):
        got.append(payload)
        raises(OSError, c.connect)

    c.set_callback(f)
    b.send(PUBLISH, 5, topic="in", payload="x", qos=2)
    b.expect(PUBREC, pid=5)
    b.send(PUBLISH, 5, topic="in", payload="x", qos=2, dup=1)
    b.expect(PUBREC, pid=5)
    c.world.serve(c, 20)
    b.done()
    equal((got, len(c.world.net.dialled), c.isconnected()), ([b"x"], 1, True))


def test_a_message_is_read_as_long_as_its_ack_has_room_behind_the_bytes_that_wait():
    for waiting_b, is_read in ((64 - 4, True), (64 - 3, False)):
        b, c, inbox = up(tx_size=64)
        c.world.link.plan.buffer = 0
        c.publish("t", "x" * (waiting_b - 7), qos=1, wait=False)
        b.send(PUBLISH, 9, payload="in", qos=1)
        c.world.serve(c, 50)
        equal(len(inbox), is_read, waiting_b)
        b.expect(PUBLISH, pid=1)
        b.expect(PUBACK, pid=9)
        c.world.link.plan.buffer = 5840
        c.world.serve(c, 50)
        b.done()
        equal(len(inbox), 1)


def test_a_message_that_cannot_be_read_for_want_of_room_for_its_ack_lets_the_client_sleep():
    b, c, inbox = up(tx_size=16)
    link = c.world.link
    link.plan.buffer = 0
    b.send(PUBLISH, 1, payload="x", qos=1)
    for pid in range(2, 6):
        b.send(PUBLISH, pid, payload="x", qos=1)
    c.world.serve(c, 10)  # four acks fill the buffer
    polls = 0
    c.world.clock.at(1000, setattr, link.plan, "buffer", 5840)
    for pid in range(1, 6):
        b.expect(PUBACK, pid=pid)
    while len(inbox) < 5:
        c.poll(10_000)
        polls += 1
    c.poll(0)
    b.done()
    assert polls < 10, polls
