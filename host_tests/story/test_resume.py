"""Resume after a break: what was in flight goes on where it was, in order, before anything new."""

from fakes.bench import pair
from fakes.check import equal, raises
from fakes.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL

NOT_ON_ASYNCIO = ()


def up(**named):
    b, c = pair(**named)
    b.accept()
    c.connect()
    return b, c


def lose(b, c, how="fin"):
    b.cut(how)
    raises(OSError, c.world.serve, c, 1000)


def test_publish_is_repeated_with_dup_and_the_same_id_where_no_ack_was_seen():
    for qos, ack in ((1, PUBACK), (2, PUBREC)):
        for how in ("fin", "rst"):
            b, c = up()
            b.expect(PUBLISH, qos=qos, pid=1, dup=0, payload="x")
            c.publish("t", "x", qos=qos, wait=False)
            lose(b, c, how)
            b.accept(sp=1)
            b.expect(PUBLISH, qos=qos, pid=1, dup=1, payload="x", topic="t")
            b.send(ack, 1)
            if qos == 2:
                b.expect(PUBREL, pid=1)
                b.send(PUBCOMP, 1)
            c.connect()
            c.world.serve(c, 50)
            equal(c.inflight, 0)
            b.done()


def test_pubrel_is_repeated_where_pubrec_was_seen_and_publish_is_not():
    b, c = up()
    b.expect(PUBLISH, pid=1)
    b.send(PUBREC, 1)
    b.expect(PUBREL, pid=1)
    c.publish("t", "x", qos=2, wait=False)
    c.world.serve(c, 20)
    lose(b, c)
    b.accept(sp=1)
    b.expect(PUBREL, pid=1)
    b.send(PUBCOMP, 1)
    c.connect()
    c.world.serve(c, 50)
    equal(c.inflight, 0)
    b.done()


def test_order_is_kept_and_old_goes_before_new():
    b, c = up(inflight=5)
    for pid, qos in ((1, 1), (2, 2), (3, 1), (4, 2)):
        b.expect(PUBLISH, pid=pid, qos=qos, payload=str(pid))
        c.publish("t", str(pid), qos=qos, wait=False)
    b.send(PUBREC, 2)
    b.expect(PUBREL, pid=2)
    c.world.serve(c, 20)
    lose(b, c)
    equal(c.publish("t", "5", qos=1, wait=False), 5)
    b.accept(sp=1)
    b.expect(PUBLISH, pid=1, dup=1)
    b.expect(PUBREL, pid=2)
    b.expect(PUBLISH, pid=3, dup=1)
    b.expect(PUBLISH, pid=4, dup=1)
    b.expect(PUBLISH, pid=5, dup=0, payload="5")
    c.connect()
    c.world.serve(c, 50)
    b.done()


def test_order_is_kept_over_a_reused_slot_and_a_wrapped_id():
    b, c = up(inflight=3)
    c.pid = 65533
    for pid in (65534, 65535, 1):
        b.expect(PUBLISH, pid=pid, payload=str(pid))
        c.publish("t", str(pid), qos=1, wait=False)
    b.send(PUBACK, 65534)
    c.world.serve(c, 20)
    b.expect(PUBLISH, pid=2)
    c.publish("t", "2", qos=1, wait=False)
    c.world.clock.run_due()
    lose(b, c)
    b.accept(sp=1)
    for pid in (65535, 1, 2):
        b.expect(PUBLISH, pid=pid, dup=1, payload=str(pid))
    c.connect()
    c.world.serve(c, 50)
    b.done()


def test_a_broker_that_forgot_gets_the_messages_as_new_ones():
    b, c = up()
    b.expect(PUBLISH, pid=1, qos=1, payload="1")
    b.expect(PUBLISH, pid=2, qos=2, payload="2")
    b.expect(PUBLISH, pid=3, qos=2, payload="3")
    b.send(PUBREC, 3)
    b.expect(PUBREL, pid=3)
    for i, qos in ((1, 1), (2, 2), (3, 2)):
        c.publish("t", str(i), qos=qos, wait=False)
    c.world.serve(c, 20)
    lose(b, c)
    b.accept(sp=0)
    b.expect(PUBLISH, qos=1, dup=0, payload="1")
    b.expect(PUBLISH, qos=2, dup=0, payload="2")  # and 3 was the broker's since its PUBREC
    c.connect()
    c.world.serve(c, 50)
    b.done()
    equal(c.inflight, 2)


def test_a_new_session_by_choice_sends_the_unacknowledged_as_new():
    b, c = up(clean_session=True)
    b.expect(PUBLISH, pid=1)
    c.publish("t", "x", qos=1, wait=False)
    lose(b, c)
    b.accept(sp=0, clean=1)
    b.expect(PUBLISH, dup=0, payload="x")
    b.reply(PUBACK)
    c.connect()
    c.world.serve(c, 50)
    equal(c.inflight, 0)
    b.done()


def test_what_was_published_while_the_link_was_down_goes_out_as_new():
    b, c = up()
    lose(b, c)
    equal(c.publish("t", "a", qos=2, wait=False), 1)
    raises(OSError, c.publish, "t", "b", qos=1)
    raises(OSError, c.publish, "t", "b", qos=0)
    equal(c.inflight, 1)
    b.accept(sp=1)
    b.expect(PUBLISH, pid=1, dup=0, qos=2, payload="a")
    c.connect()
    c.world.serve(c, 20)
    b.done()


def test_a_message_that_was_cut_in_the_middle_is_sent_whole_again():
    for cut in (1, 5, 30, 90):
        b, c = pair(tx_size=64)
        c.world.net.plans = [_plan(16 + cut)]
        b.accept()
        c.connect()
        payload = "y" * 100
        c.publish("t", payload, qos=1, wait=False)
        raises(OSError, c.world.serve, c, 100)
        b.accept(sp=1)
        b.expect(PUBLISH, pid=1, dup=1, payload=payload)
        b.send(PUBACK, 1)
        c.connect()
        c.world.serve(c, 20)
        equal(c.inflight, 0)
        b.done()


def _plan(cut):
    from fakes.net import Plan

    return Plan(cut_out=cut)


def test_a_publish_that_ended_in_an_error_is_finished_by_the_next_connection_once():
    b, c = up()
    b.expect(PUBLISH, pid=1, dup=0)
    b.cut()
    raises(OSError, c.publish, "t", "x", qos=2)
    equal(c.inflight, 1)
    b.accept(sp=1)
    b.expect(PUBLISH, pid=1, dup=1)
    b.send(PUBREC, 1)
    b.expect(PUBREL)
    b.send(PUBCOMP, 1)
    c.connect()
    c.world.serve(c, 20)
    equal(c.inflight, 0)
    b.done()


def test_a_late_ack_for_a_message_of_the_last_connection_that_was_not_sent_yet_is_not_taken():
    b, c = up()
    lose(b, c)
    c.publish("t", "x", qos=1, wait=False)
    b.expect_any((1, {}))
    b.raw(b"\x20\x02\x01\x00\x40\x02\x00\x01")  # CONNACK and a PUBACK for id 1, which only leaves now
    b.expect(PUBLISH, pid=1)
    c.connect()
    c.world.clock.run_due()
    equal(c.inflight, 1)
    b.send(PUBACK, 1)
    c.world.serve(c, 20)
    equal(c.inflight, 0)


def test_resume_twice_in_a_row_still_repeats():
    b, c = up()
    b.expect(PUBLISH, pid=1)
    c.publish("t", "x", qos=2, wait=False)
    for _ in range(3):
        lose(b, c)
        b.accept(sp=1)
        b.expect(PUBLISH, pid=1, dup=1)
        c.connect()
        c.world.clock.run_due()
    b.send(PUBREC, 1)
    b.expect(PUBREL)
    lose(b, c)
    for _ in range(2):
        b.accept(sp=1)
        b.expect(PUBREL, pid=1)
        c.connect()
        c.world.clock.run_due()
        lose(b, c)
    b.done()


def test_a_kept_session_does_not_begin_at_an_id_that_the_broker_may_hold_from_before_a_reset():
    # the broker takes a new QoS 2 message with an id it still holds for a repetition, and drops it
    from umqtt.client import MQTTClient

    first = [MQTTClient("c", "h").publish("t", "x", qos=2, wait=False) for _ in range(8)]
    assert len(set(first)) > 4, first
    assert all(0 < pid < 65536 for pid in first)
