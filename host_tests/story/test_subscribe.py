"""SUBSCRIBE and UNSUBSCRIBE: what is granted, what is refused, and what is made again."""

import sys

from fakes.bench import World, pair
from fakes.check import equal, raises, skip
from fakes.ctrl_c import interrupted
from fakes.model import Model
from fakes.packets import PUBACK, PUBLISH, SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE

NOT_ON_ASYNCIO = (
    "test_ctrl_c_while_a_suback_is_noted_leaves_a_subscription_that_can_be_sent_again",  # Ctrl-C ends the loop, too
)


def up(**named):
    b, c = pair(**named)
    b.accept()
    c.connect()
    return b, c


def test_one_filter_and_its_granted_qos():
    b, c = up()
    b.expect(SUBSCRIBE, pid=1, filters=[("a/+/#", 1)])
    b.send(SUBACK, 1, codes=(0,))
    equal(bytes(c.subscribe("a/+/#", 1)), b"\0")
    b.done()


def test_several_filters_in_one_packet():
    b, c = up()
    b.expect(SUBSCRIBE, pid=1, filters=[("ü/#", 1), ("b", 2), ("c", 0)])
    b.send(SUBACK, 1, codes=(1, 2, 0))
    equal(bytes(c.subscribe([("ü/#", 1), (b"b", 2), ("c", 0)])), b"\1\2\0")
    b.done()


def test_filters_of_hundreds_of_bytes_have_each_their_qos():
    b, c = up(tx_size=2000)
    names = [letter * length for letter, length in (("a", 255), ("b", 256), ("c", 600))]
    b.expect(SUBSCRIBE, filters=[(name, 2) for name in names])
    b.send(SUBACK, 1, codes=(2, 1, 0))
    equal(c.subscribe([(name, 2) for name in names]), b"\2\1\0")
    b.cut()
    raises(OSError, c.poll, 10)
    b.accept(sp=0)
    for _ in names:
        b.expect(SUBSCRIBE)
        b.reply(SUBACK, codes=(2,))
    c.connect()
    c.world.serve(c, 50)
    again = []
    for p in b.got[-3:]:
        again += p.filters
    equal(sorted(again), [(name, 2) for name in names])
    b.done()


def test_a_refused_filter_is_an_exception_with_its_name_and_the_link_stays():
    from umqtt.errors import MQTTException, ProtocolError

    b, c = up()
    b.expect(SUBSCRIBE, pid=1)
    b.send(SUBACK, 1, codes=(1, 0x80))
    e = raises(MQTTException, c.subscribe, [("fine", 1), ("secret/#", 1)])
    assert not isinstance(e, ProtocolError)
    equal(e.args[0], 0x80)
    assert "secret/#" in str(e), e
    assert c.isconnected()
    b.done()


def test_a_suback_that_never_comes_ends_at_the_deadline():
    b, c = up(timeout_ms=1500)
    b.expect(SUBSCRIBE)
    t = c.world.clock.now
    raises(OSError, c.subscribe, "a")
    equal(c.world.clock.now - t, 1500)


def test_a_suback_with_a_wrong_number_of_codes_is_a_protocol_error():
    from umqtt.errors import ProtocolError

    for codes in ((1,), (1, 1, 1)):
        b, c = up()
        b.expect(SUBSCRIBE)
        b.send(SUBACK, 1, codes=codes)
        raises(ProtocolError, c.subscribe, [("a", 1), ("b", 1)])
        assert not c.isconnected()
        equal(c.world.net.open_sockets(), [])


def test_unsubscribe_waits_for_its_ack_and_is_not_made_again():
    b, c = up()
    b.expect(SUBSCRIBE, pid=1)
    b.send(SUBACK, 1, codes=(1, 1, 1))
    b.expect(UNSUBSCRIBE, pid=2, filters=["a"])
    b.send(UNSUBACK, 2)
    b.expect(UNSUBSCRIBE, pid=3, filters=["b", "x"])
    b.send(UNSUBACK, 3)
    c.subscribe([("a", 1), ("b", 1), ("c", 1)])
    c.unsubscribe("a")
    c.unsubscribe(["b", "x"])
    b.cut()
    raises(OSError, c.poll, 10)
    b.accept(sp=0)
    b.expect(SUBSCRIBE, filters=[("c", 1)])
    b.send(SUBACK, 4, codes=(1,))
    c.connect()
    c.world.serve(c, 20)
    b.done()


def test_subscriptions_are_made_again_with_their_qos_when_the_broker_forgot():
    b, c = up(inflight=1)
    b.expect(SUBSCRIBE, filters=[("a", 2), ("b/#", 1)])
    b.send(SUBACK, 1, codes=(1, 1))
    c.subscribe([("a", 2), ("b/#", 1)])
    b.cut()
    raises(OSError, c.poll, 10)
    b.accept(sp=0)
    again = []
    for pid in (2, 3):
        b.expect(SUBSCRIBE, pid=pid)
        b.send(SUBACK, pid, codes=(1,))
    c.connect()
    c.world.serve(c, 50)
    for p in b.got[-2:]:
        again += p.filters
    equal(sorted(again), [("a", 2), ("b/#", 1)])
    b.done()


def test_subscriptions_are_not_repeated_when_the_broker_kept_them():
    b, c = up()
    b.expect(SUBSCRIBE)
    b.send(SUBACK, 1, codes=(1,))
    c.subscribe("a", 1)
    b.cut()
    raises(OSError, c.poll, 10)
    b.accept(sp=1)
    c.connect()
    c.world.serve(c, 50)
    b.done()


def test_a_message_before_the_suback_is_delivered():
    b, c = up()
    b.expect(SUBSCRIBE)
    b.send(PUBLISH, 9, qos=1, topic="a", payload="kept")
    b.expect(PUBACK, pid=9)
    b.send(SUBACK, 1, codes=(1,))
    c.subscribe("a", 1)
    equal(len(c.world.inbox), 1)
    b.done()


def test_a_subscription_interrupted_by_a_cut_is_sent_again_when_resumed():
    for sp in (0, 1):
        b, c = up(timeout_ms=1000)
        b.expect(SUBSCRIBE, pid=1)
        b.cut()
        raises(OSError, c.subscribe, "a", 1)
        b.accept(sp=sp)
        b.expect(SUBSCRIBE, filters=[("a", 1)])
        b.reply(SUBACK, codes=(1,))
        c.connect()
        c.world.serve(c, 50)
        equal(c.inflight, 0)
        b.done()


def test_a_callback_may_unsubscribe_while_subscriptions_are_made_again():
    b, c = up()
    for f in "ab":
        b.expect(SUBSCRIBE)
        b.reply(SUBACK, codes=(0,))
        c.subscribe(f)

    def leave(topic, msg, retained):
        c.unsubscribe("a")
        c.unsubscribe("b")

    c.set_callback(leave)
    b.cut()
    raises(OSError, c.poll, 10)
    b.accept(sp=0)
    b.expect(SUBSCRIBE)
    b.send(PUBLISH, topic="b", payload="x")
    b.expect(UNSUBSCRIBE)
    b.reply(UNSUBACK)
    b.expect(UNSUBSCRIBE)
    b.reply(UNSUBACK)
    b.send(SUBACK, 3, codes=(0,))
    equal(c.connect(), False)
    b.done()


def test_what_is_granted_is_not_mistaken_for_a_subscription_made_again():
    from umqtt.reconnect import Reconnect

    b, c = up(reconnect=Reconnect(1, 1))
    b.expect(SUBSCRIBE)
    b.reply(SUBACK, codes=(0,))
    c.subscribe("a")
    b.expect(SUBSCRIBE, filters=[("new", 1)])
    b.cut()
    b.accept(sp=0)
    b.expect(SUBSCRIBE, filters=[("new", 1)])
    b.reply(SUBACK, codes=(1,))
    b.expect(SUBSCRIBE, filters=[("a", 0)])
    b.reply(SUBACK, codes=(0x80,))
    equal(c.subscribe("new", 1), b"\1")
    b.done()


def test_ctrl_c_while_a_suback_is_noted_leaves_a_subscription_that_can_be_sent_again():
    if sys.implementation.name != "cpython":
        skip("needs CPython's settrace")
    from fakes.bench5 import client5, load5
    from fakes.model5 import Model5

    load5()
    for protocol in (4, 5):
        at = came = 1
        while came:
            w = World(Model if protocol == 4 else Model5)
            c = w.client() if protocol == 4 else client5(w)
            c.connect()
            came = interrupted(lambda: c.subscribe([("a", 1), ("b", 2)]), at, ("session.py",), ("_resume",))
            c.connect()
            w.serve(c, 50)
            equal((w.broker.violations, c.inflight, len(w.broker.connects)), ([], 0, 2), at)
            equal(c.subscribe("c", 0), b"\0", at)
            at += 1
        assert at > 20, at
