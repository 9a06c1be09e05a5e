"""Resume after a break: what was in flight goes on where it was, in order, before anything new."""

from fakes.bench import pair
from fakes.check import equal, raises
from fakes.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL

NOT_ON_ASYNCIO = ()


def up(**named):
    broker, client = pair(**named)
    broker.accept()
    client.connect()
    return broker, client


def lose(broker, client, how="fin"):
    broker.cut(how)
    raises(OSError, client.world.serve, client, 1000)


def test_publish_is_repeated_with_dup_and_the_same_id_where_no_ack_was_seen():
    for qos, ack in ((1, PUBACK), (2, PUBREC)):
        for how in ("fin", "rst"):
            broker, client = up()
            broker.expect(PUBLISH, qos=qos, pid=1, dup=0, payload="x")
            client.publish("t", "x", qos=qos, wait=False)
            lose(broker, client, how)
            broker.accept(sp=1)
            broker.expect(PUBLISH, qos=qos, pid=1, dup=1, payload="x", topic="t")
            broker.send(ack, 1)
            if qos == 2:
                broker.expect(PUBREL, pid=1)
                broker.send(PUBCOMP, 1)
            client.connect()
            client.world.serve(client, 50)
            equal(client.inflight, 0)
            broker.done()


def test_pubrel_is_repeated_where_pubrec_was_seen_and_publish_is_not():
    broker, client = up()
    broker.expect(PUBLISH, pid=1)
    broker.send(PUBREC, 1)
    broker.expect(PUBREL, pid=1)
    client.publish("t", "x", qos=2, wait=False)
    client.world.serve(client, 20)
    lose(broker, client)
    broker.accept(sp=1)
    broker.expect(PUBREL, pid=1)
    broker.send(PUBCOMP, 1)
    client.connect()
    client.world.serve(client, 50)
    equal(client.inflight, 0)
    broker.done()


def test_order_is_kept_and_old_goes_before_new():
    broker, client = up(inflight=5)
    for pid, qos in ((1, 1), (2, 2), (3, 1), (4, 2)):
        broker.expect(PUBLISH, pid=pid, qos=qos, payload=str(pid))
        client.publish("t", str(pid), qos=qos, wait=False)
    broker.send(PUBREC, 2)
    broker.expect(PUBREL, pid=2)
    client.world.serve(client, 20)
    lose(broker, client)
    equal(client.publish("t", "5", qos=1, wait=False), 5)
    broker.accept(sp=1)
    broker.expect(PUBLISH, pid=1, dup=1)
    broker.expect(PUBREL, pid=2)
    broker.expect(PUBLISH, pid=3, dup=1)
    broker.expect(PUBLISH, pid=4, dup=1)
    broker.expect(PUBLISH, pid=5, dup=0, payload="5")
    client.connect()
    client.world.serve(client, 50)
    broker.done()


def test_order_is_kept_over_a_reused_slot_and_a_wrapped_id():
    broker, client = up(inflight=3)
    client.pid = 65533
    for pid in (65534, 65535, 1):
        broker.expect(PUBLISH, pid=pid, payload=str(pid))
        client.publish("t", str(pid), qos=1, wait=False)
    broker.send(PUBACK, 65534)
    client.world.serve(client, 20)
    broker.expect(PUBLISH, pid=2)
    client.publish("t", "2", qos=1, wait=False)
    client.world.clock.run_due()
    lose(broker, client)
    broker.accept(sp=1)
    for pid in (65535, 1, 2):
        broker.expect(PUBLISH, pid=pid, dup=1, payload=str(pid))
    client.connect()
    client.world.serve(client, 50)
    broker.done()


def test_a_broker_that_forgot_gets_the_messages_as_new_ones():
    broker, client = up()
    broker.expect(PUBLISH, pid=1, qos=1, payload="1")
    broker.expect(PUBLISH, pid=2, qos=2, payload="2")
    broker.expect(PUBLISH, pid=3, qos=2, payload="3")
    broker.send(PUBREC, 3)
    broker.expect(PUBREL, pid=3)
    for pid, qos in ((1, 1), (2, 2), (3, 2)):
        client.publish("t", str(pid), qos=qos, wait=False)
    client.world.serve(client, 20)
    lose(broker, client)
    broker.accept(sp=0)
    broker.expect(PUBLISH, qos=1, dup=0, payload="1")
    broker.expect(PUBLISH, qos=2, dup=0, payload="2")  # and 3 was the broker's since its PUBREC
    client.connect()
    client.world.serve(client, 50)
    broker.done()
    equal(client.inflight, 2)


def test_a_new_session_by_choice_sends_the_unacknowledged_as_new():
    broker, client = up(clean_session=True)
    broker.expect(PUBLISH, pid=1)
    client.publish("t", "x", qos=1, wait=False)
    lose(broker, client)
    broker.accept(sp=0, clean=1)
    broker.expect(PUBLISH, dup=0, payload="x")
    broker.reply(PUBACK)
    client.connect()
    client.world.serve(client, 50)
    equal(client.inflight, 0)
    broker.done()


def test_what_was_published_while_the_link_was_down_goes_out_as_new():
    broker, client = up()
    lose(broker, client)
    equal(client.publish("t", "a", qos=2, wait=False), 1)
    raises(OSError, client.publish, "t", "b", qos=1)
    raises(OSError, client.publish, "t", "b", qos=0)
    equal(client.inflight, 1)
    broker.accept(sp=1)
    broker.expect(PUBLISH, pid=1, dup=0, qos=2, payload="a")
    client.connect()
    client.world.serve(client, 20)
    broker.done()


def test_a_message_that_was_cut_in_the_middle_is_sent_whole_again():
    for cut in (1, 5, 30, 90):
        broker, client = pair(tx_size=64)
        client.world.net.plans = [_plan(16 + cut)]
        broker.accept()
        client.connect()
        payload = "y" * 100
        client.publish("t", payload, qos=1, wait=False)
        raises(OSError, client.world.serve, client, 100)
        broker.accept(sp=1)
        broker.expect(PUBLISH, pid=1, dup=1, payload=payload)
        broker.send(PUBACK, 1)
        client.connect()
        client.world.serve(client, 20)
        equal(client.inflight, 0)
        broker.done()


def _plan(cut):
    from fakes.net import Plan

    return Plan(cut_out=cut)


def test_a_publish_that_ended_in_an_error_is_finished_by_the_next_connection_once():
    broker, client = up()
    broker.expect(PUBLISH, pid=1, dup=0)
    broker.cut()
    raises(OSError, client.publish, "t", "x", qos=2)
    equal(client.inflight, 1)
    broker.accept(sp=1)
    broker.expect(PUBLISH, pid=1, dup=1)
    broker.send(PUBREC, 1)
    broker.expect(PUBREL)
    broker.send(PUBCOMP, 1)
    client.connect()
    client.world.serve(client, 20)
    equal(client.inflight, 0)
    broker.done()


def test_a_late_ack_for_a_message_of_the_last_connection_that_was_not_sent_yet_is_not_taken():
    broker, client = up()
    lose(broker, client)
    client.publish("t", "x", qos=1, wait=False)
    broker.expect_any((1, {}))
    broker.raw(b"\x20\x02\x01\x00\x40\x02\x00\x01")  # CONNACK and a PUBACK for id 1, which only leaves now
    broker.expect(PUBLISH, pid=1)
    client.connect()
    client.world.clock.run_due()
    equal(client.inflight, 1)
    broker.send(PUBACK, 1)
    client.world.serve(client, 20)
    equal(client.inflight, 0)


def test_resume_twice_in_a_row_still_repeats():
    broker, client = up()
    broker.expect(PUBLISH, pid=1)
    client.publish("t", "x", qos=2, wait=False)
    for _ in range(3):
        lose(broker, client)
        broker.accept(sp=1)
        broker.expect(PUBLISH, pid=1, dup=1)
        client.connect()
        client.world.clock.run_due()
    broker.send(PUBREC, 1)
    broker.expect(PUBREL)
    lose(broker, client)
    for _ in range(2):
        broker.accept(sp=1)
        broker.expect(PUBREL, pid=1)
        client.connect()
        client.world.clock.run_due()
        lose(broker, client)
    broker.done()


def test_a_kept_session_does_not_begin_at_an_id_that_the_broker_may_hold_from_before_a_reset():
    # the broker takes a new QoS 2 message with an id it still holds for a repetition, and drops it
    from umqtt.client import MQTTClient

    first = [MQTTClient("c", "h").publish("t", "x", qos=2, wait=False) for _ in range(8)]
    assert len(set(first)) > 4, first
    assert all(0 < pid < 65536 for pid in first)
