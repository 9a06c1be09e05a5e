"""PUBLISH in, QoS 0, 1 and 2: the callback before the ack, each QoS 2 message once."""

from fakes.bench import pair
from fakes.check import equal, raises
from fakes.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, encode

NOT_ON_ASYNCIO = (
    "test_ctrl_c_in_a_callback_leaves_a_client_that_can_go_on",  # Ctrl-C ends the loop, too
    "test_qos_0_reaches_the_callback",  # it counts what poll returns
)


def up(**named):
    broker, client = pair(**named)
    broker.accept()
    client.connect()
    return broker, client, client.world.inbox


def test_qos_0_reaches_the_callback():
    broker, client, inbox = up()
    broker.send(PUBLISH, topic="a/ü", payload="21 °C", retain=1)
    broker.send(PUBLISH, topic="b", payload=b"")
    equal(client.poll(10), 1)
    equal(client.poll(10), 1)
    equal(client.poll(10), 0)
    equal(inbox, [("a/ü".encode(), "21 °C".encode(), True), (b"b", b"", False)])
    broker.done()


def test_qos_1_is_acknowledged_after_the_callback():
    broker, client, _ = up()
    order = []
    client.set_callback(lambda topic, payload, retained: (order.append("callback"), equal(len(broker.got), 1)))
    broker.send(PUBLISH, 7, qos=1)
    broker.expect(PUBACK, pid=7)
    broker.call(lambda: order.append("ack"))
    client.poll(10)
    broker.done()
    equal(order, ["callback", "ack"])


def test_qos_1_is_delivered_as_often_as_it_comes():
    broker, client, inbox = up()
    for dup in (0, 1):
        broker.send(PUBLISH, 7, qos=1, dup=dup)
        broker.expect(PUBACK, pid=7)
    client.poll(10)
    client.poll(10)
    equal(len(inbox), 2)
    broker.done()


def test_qos_2_is_delivered_once_however_often_it_is_repeated():
    broker, client, inbox = up()
    broker.send(PUBLISH, 7, qos=2, payload="x")
    broker.expect(PUBREC, pid=7)
    for _ in range(3):
        broker.send(PUBLISH, 7, qos=2, dup=1, payload="x")
        broker.expect(PUBREC, pid=7)
    broker.send(PUBREL, 7)
    broker.expect(PUBCOMP, pid=7)
    broker.send(PUBREL, 7)
    broker.expect(PUBCOMP, pid=7)
    client.world.serve(client, 50)
    equal(inbox, [(b"t", b"x", False)])
    broker.send(PUBLISH, 7, qos=2, payload="y")  # the id is free again
    broker.expect(PUBREC, pid=7)
    client.world.serve(client, 50)
    equal(len(inbox), 2)
    broker.done()


def test_qos_2_repeated_on_the_next_connection_is_delivered_once():
    broker, client, inbox = up()
    broker.send(PUBLISH, 7, qos=2)
    broker.cut()
    raises(OSError, client.world.serve, client, 50)
    broker.accept(sp=1)
    broker.send(PUBLISH, 7, qos=2, dup=1)
    broker.expect(PUBREC, pid=7)
    broker.send(PUBREL, 7)
    broker.expect(PUBCOMP, pid=7)
    client.connect()
    client.world.serve(client, 50)
    equal(len(inbox), 1)
    broker.done()


def test_after_a_forgotten_session_an_id_is_a_new_message():
    broker, client, inbox = up()
    broker.send(PUBLISH, 7, qos=2, payload="1")
    broker.expect(PUBREC, pid=7)
    broker.cut()
    raises(OSError, client.world.serve, client, 50)
    broker.accept(sp=0)
    broker.send(PUBLISH, 7, qos=2, payload="2")
    broker.expect(PUBREC, pid=7)
    client.connect()
    client.world.serve(client, 50)
    equal([payload for _, payload, _ in inbox], [b"1", b"2"])
    broker.done()


def test_a_pubrel_for_an_unknown_id_is_answered():
    broker, client, inbox = up()
    broker.send(PUBREL, 77)
    broker.expect(PUBCOMP, pid=77)
    client.poll(10)
    equal(inbox, [])
    broker.done()


def test_several_qos_2_messages_may_interleave():
    broker, client, inbox = up()
    broker.raw(b"".join(encode(PUBLISH, pid, qos=2, payload=str(pid)) for pid in (3, 1, 2)))
    for pid in (3, 1, 2):
        broker.expect(PUBREC, pid=pid)
    broker.raw(encode(PUBREL, 1) + encode(PUBREL, 3) + encode(PUBREL, 2))
    for pid in (1, 3, 2):
        broker.expect(PUBCOMP, pid=pid)
    client.world.serve(client, 50)
    equal([payload for _, payload, _ in inbox], [b"3", b"1", b"2"])
    broker.done()


def test_a_callback_that_raises_leaves_the_message_unacknowledged():
    for qos in (1, 2):
        broker, client, inbox = up()
        keep = client.cb

        def bad(topic, payload, retained):
            raise KeyError("boom")

        client.set_callback(bad)
        broker.send(PUBLISH, 5, qos=qos)
        raises(KeyError, client.poll, 10)
        client.world.serve(client, 50)
        broker.done()
        broker.cut()
        client.set_callback(keep)
        raises(OSError, client.world.serve, client, 50)
        broker.accept(sp=1)
        broker.send(PUBLISH, 5, qos=qos, dup=1)
        broker.expect(PUBACK if qos == 1 else PUBREC, pid=5)
        client.connect()
        client.world.serve(client, 50)
        equal(len(inbox), 1)
        broker.done()


def test_the_stream_stays_in_step_after_a_callback_raised():
    broker, client, inbox = up()

    def bad(topic, payload, retained):
        if payload == b"bad":
            raise KeyError("boom")
        inbox.append((topic, payload, retained))

    client.set_callback(bad)
    broker.raw(encode(PUBLISH, 5, qos=1, payload="bad") + encode(PUBLISH, 6, qos=1, payload="good"))
    broker.expect(PUBACK, pid=6)
    raises(KeyError, client.poll, 10)
    client.world.serve(client, 50)
    equal(len(inbox), 1)
    broker.done()


def test_a_callback_may_publish_and_subscribe_and_nothing_recurses():
    from fakes.packets import SUBACK, SUBSCRIBE

    broker, client, inbox = up()
    depth = [0]

    def answer(topic, payload, retained):
        depth[0] += 1
        equal(depth[0], 1)
        client.publish("echo", payload, qos=1)
        client.publish("plain", payload)
        client.subscribe("more", 1)
        depth[0] -= 1

    client.set_callback(answer)
    broker.send(PUBLISH, 5, qos=1, payload="x")
    broker.expect_any(
        (PUBACK, {"pid": 5}),
        (PUBLISH, {"topic": "echo", "qos": 1, "pid": 1}),
        (PUBLISH, {"topic": "plain", "qos": 0}),
        (SUBSCRIBE, {"pid": 2}),
    )
    broker.send(PUBACK, 1)
    broker.send(SUBACK, 2, codes=(1,))
    client.world.serve(client, 50)
    equal(client.inflight, 0)
    broker.done()


def test_an_ack_that_arrives_while_a_callback_runs_is_not_lost():
    broker, client, _ = up()
    client.set_callback(lambda topic, payload, retained: client.world.clock.sleep_ms(500))
    broker.expect(PUBLISH, pid=1)
    broker.send(PUBLISH, 5, qos=1)
    broker.wait(100)
    broker.send(PUBACK, 1)
    broker.expect(PUBACK, pid=5)
    client.publish("t", "x", qos=1, wait=False)
    client.world.serve(client, 2000)
    equal(client.inflight, 0)
    broker.done()


def test_messages_and_acks_in_single_bytes_come_whole():
    broker, client, inbox = up()
    broker.raw_each(encode(PUBLISH, 5, qos=2, topic="a/b", payload="x" * 150))
    broker.expect(PUBREC, pid=5)
    broker.raw_each(encode(PUBREL, 5))
    broker.expect(PUBCOMP, pid=5)
    client.world.serve(client, 500)
    equal(inbox, [(b"a/b", b"x" * 150, False)])
    broker.done()


def test_any_buffer_length_up_to_the_limit_is_received_whole():
    broker, client, inbox = up(rx_size=64)
    for length in (0, 1, 2, 50, 58, 59, 60, 61):
        broker.send(PUBLISH, topic="t", payload=b"x" * length)
        client.world.serve(client, 20)
        equal(inbox.pop(), (b"t", b"x" * length, False), length)
    broker.done()


def test_ctrl_c_in_a_callback_leaves_a_client_that_can_go_on():
    for interrupt in (KeyboardInterrupt, SystemExit):
        broker, client, inbox = up()

        def stop(topic, msg, retained, interrupt=interrupt):
            raise interrupt

        client.set_callback(stop)
        broker.send(PUBLISH, topic="t", payload="x")
        raises(interrupt, client.poll, 100)
        equal(client.poll(0), 0)
        broker.expect(PUBLISH, qos=1, pid=1)
        broker.send(PUBACK, 1)
        equal(client.publish("a", "b", qos=1), 1)
        broker.done()


def test_a_backlog_of_qos_2_as_mosquitto_pours_it_out_is_taken():
    # 2.0.11 with its default of 20 in flight sent 300 to a slow subscriber ahead of the first PUBREL
    broker, client, inbox = up()
    for pid in range(1, 301):
        broker.send(PUBLISH, pid=pid, qos=2, topic="t", payload=str(pid))
    for pid in range(1, 301):
        broker.expect(PUBREC, pid=pid)
    for pid in range(1, 301):
        broker.send(PUBREL, pid)
        broker.expect(PUBCOMP, pid=pid)
    while client.poll(10):
        pass
    broker.done()
    equal([int(payload) for _, payload, _ in inbox], list(range(1, 301)))
    equal(max(client._held_packet_ids), 0)


def test_the_ack_follows_a_large_message_that_the_callback_published_into_a_link_that_takes_nothing_yet():
    # in front of its payload it would be in the payload
    for again in (False, True):
        for qos in (0, 1):
            broker, client = pair(tx_size=64)
            broker.accept()
            client.connect()
            client.set_callback(lambda topic, payload, retained: client.publish("big", "y" * 200, qos=qos, wait=False))
            broker.send(PUBLISH, 7, topic="in", payload="x", qos=1)
            client.world.link.plan.write_again = again
            broker.expect(PUBLISH, topic="big", payload="y" * 200)
            broker.expect(PUBACK, pid=7)
            client.world.serve(client, 100)
            broker.done()
            equal((client._send_blocked, len(client._send_buf)), (False, 0))


def test_connect_inside_a_callback_is_refused_and_the_link_stays():
    broker, client, _ = up()
    got = []

    def callback(topic, payload, retained):
        got.append(payload)
        raises(OSError, client.connect)

    client.set_callback(callback)
    broker.send(PUBLISH, 5, topic="in", payload="x", qos=2)
    broker.expect(PUBREC, pid=5)
    broker.send(PUBLISH, 5, topic="in", payload="x", qos=2, dup=1)
    broker.expect(PUBREC, pid=5)
    client.world.serve(client, 20)
    broker.done()
    equal((got, len(client.world.net.dialled), client.isconnected()), ([b"x"], 1, True))


def test_a_message_is_read_as_long_as_its_ack_has_room_behind_the_bytes_that_wait():
    for waiting_b, is_read in ((64 - 4, True), (64 - 3, False)):
        broker, client, inbox = up(tx_size=64)
        client.world.link.plan.buffer = 0
        client.publish("t", "x" * (waiting_b - 7), qos=1, wait=False)
        broker.send(PUBLISH, 9, payload="in", qos=1)
        client.world.serve(client, 50)
        equal(len(inbox), is_read, waiting_b)
        broker.expect(PUBLISH, pid=1)
        broker.expect(PUBACK, pid=9)
        client.world.link.plan.buffer = 5840
        client.world.serve(client, 50)
        broker.done()
        equal(len(inbox), 1)


def test_a_message_that_cannot_be_read_for_want_of_room_for_its_ack_lets_the_client_sleep():
    broker, client, inbox = up(tx_size=16)
    link = client.world.link
    link.plan.buffer = 0
    broker.send(PUBLISH, 1, payload="x", qos=1)
    for pid in range(2, 6):
        broker.send(PUBLISH, pid, payload="x", qos=1)
    client.world.serve(client, 10)  # four acks fill the buffer
    polls = 0
    client.world.clock.at(1000, setattr, link.plan, "buffer", 5840)
    for pid in range(1, 6):
        broker.expect(PUBACK, pid=pid)
    while len(inbox) < 5:
        client.poll(10_000)
        polls += 1
    client.poll(0)
    broker.done()
    assert polls < 10, polls
