"""SUBSCRIBE and UNSUBSCRIBE: what is granted, what is refused, and what is made again."""

import sys

from fakes.bench import World, pair
from fakes.check import equal, raises, skip
from fakes.ctrl_c import interrupted
from fakes.model import Model
from fakes.packets import PUBACK, PUBLISH, SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE

NOT_ON_ASYNCIO = (
    "test_ctrl_c_while_the_session_notes_a_suback_leaves_one_that_can_be_sent_again",  # Ctrl-C ends the loop, too
)


def up(**named):
    broker, client = pair(**named)
    broker.accept()
    client.connect()
    return broker, client


def test_one_filter_and_its_granted_qos():
    broker, client = up()
    broker.expect(SUBSCRIBE, pid=1, filters=[("a/+/#", 1)])
    broker.send(SUBACK, 1, codes=(0,))
    equal(bytes(client.subscribe("a/+/#", 1)), b"\0")
    broker.done()


def test_several_filters_in_one_packet():
    broker, client = up()
    broker.expect(SUBSCRIBE, pid=1, filters=[("ü/#", 1), ("b", 2), ("c", 0)])
    broker.send(SUBACK, 1, codes=(1, 2, 0))
    equal(bytes(client.subscribe([("ü/#", 1), (b"b", 2), ("c", 0)])), b"\1\2\0")
    broker.done()


def test_filters_of_hundreds_of_bytes_have_each_their_qos():
    broker, client = up(tx_size=2000)
    names = [letter * length for letter, length in (("a", 255), ("b", 256), ("c", 600))]
    broker.expect(SUBSCRIBE, filters=[(name, 2) for name in names])
    broker.send(SUBACK, 1, codes=(2, 1, 0))
    equal(client.subscribe([(name, 2) for name in names]), b"\2\1\0")
    broker.cut()
    raises(OSError, client.poll, 10)
    broker.accept(sp=0)
    for _ in names:
        broker.expect(SUBSCRIBE)
        broker.reply(SUBACK, codes=(2,))
    client.connect()
    client.world.serve(client, 50)
    again = []
    for packet in broker.got[-3:]:
        again += packet.filters
    equal(sorted(again), [(name, 2) for name in names])
    broker.done()


def test_a_refused_filter_is_an_exception_with_its_name_and_the_link_stays():
    from umqtt.errors import MQTTException, ProtocolError

    broker, client = up()
    broker.expect(SUBSCRIBE, pid=1)
    broker.send(SUBACK, 1, codes=(1, 0x80))
    fault = raises(MQTTException, client.subscribe, [("fine", 1), ("secret/#", 1)])
    assert not isinstance(fault, ProtocolError)
    equal(fault.args[0], 0x80)
    assert "secret/#" in str(fault), fault
    assert client.isconnected()
    broker.done()


def test_a_suback_that_never_comes_ends_at_the_deadline():
    broker, client = up(timeout_ms=1500)
    broker.expect(SUBSCRIBE)
    began_ms = client.world.clock.now
    raises(OSError, client.subscribe, "a")
    equal(client.world.clock.now - began_ms, 1500)


def test_a_suback_with_a_wrong_number_of_codes_is_a_protocol_error():
    from umqtt.errors import ProtocolError

    for codes in ((1,), (1, 1, 1)):
        broker, client = up()
        broker.expect(SUBSCRIBE)
        broker.send(SUBACK, 1, codes=codes)
        raises(ProtocolError, client.subscribe, [("a", 1), ("b", 1)])
        assert not client.isconnected()
        equal(client.world.net.open_sockets(), [])


def test_unsubscribe_waits_for_its_ack_and_is_not_made_again():
    broker, client = up()
    broker.expect(UNSUBSCRIBE, filters=["of an earlier life"])
    broker.reply(UNSUBACK)
    broker.expect(SUBSCRIBE)
    broker.reply(SUBACK, codes=(1, 1, 1))
    broker.expect(UNSUBSCRIBE, filters=["a"])
    broker.reply(UNSUBACK)
    broker.expect(UNSUBSCRIBE, filters=["b", "x"])
    broker.reply(UNSUBACK)
    client.unsubscribe("of an earlier life")
    client.subscribe([("a", 1), ("b", 1), ("c", 1)])
    client.unsubscribe("a")
    client.unsubscribe(["b", "x"])
    broker.cut()
    raises(OSError, client.poll, 10)
    broker.accept(sp=0)
    broker.expect(SUBSCRIBE, filters=[("c", 1)])
    broker.reply(SUBACK, codes=(1,))
    client.connect()
    client.world.serve(client, 20)
    broker.done()


def test_subscriptions_are_made_again_with_their_qos_when_the_broker_forgot():
    broker, client = up(inflight=1)
    broker.expect(SUBSCRIBE, filters=[("a", 2), ("b/#", 1)])
    broker.send(SUBACK, 1, codes=(1, 1))
    client.subscribe([("a", 2), ("b/#", 1)])
    broker.cut()
    raises(OSError, client.poll, 10)
    broker.accept(sp=0)
    again = []
    for pid in (2, 3):
        broker.expect(SUBSCRIBE, pid=pid)
        broker.send(SUBACK, pid, codes=(1,))
    client.connect()
    client.world.serve(client, 50)
    for packet in broker.got[-2:]:
        again += packet.filters
    equal(sorted(again), [("a", 2), ("b/#", 1)])
    broker.done()


def test_subscriptions_are_not_repeated_when_the_broker_kept_them():
    broker, client = up()
    broker.expect(SUBSCRIBE)
    broker.send(SUBACK, 1, codes=(1,))
    client.subscribe("a", 1)
    broker.cut()
    raises(OSError, client.poll, 10)
    broker.accept(sp=1)
    client.connect()
    client.world.serve(client, 50)
    broker.done()


def test_a_message_before_the_suback_is_delivered():
    broker, client = up()
    broker.expect(SUBSCRIBE)
    broker.send(PUBLISH, 9, qos=1, topic="a", payload="kept")
    broker.expect(PUBACK, pid=9)
    broker.send(SUBACK, 1, codes=(1,))
    client.subscribe("a", 1)
    equal(len(client.world.inbox), 1)
    broker.done()


def test_a_subscription_interrupted_by_a_cut_is_sent_again_when_resumed():
    for sp in (0, 1):
        broker, client = up(timeout_ms=1000)
        broker.expect(SUBSCRIBE, pid=1)
        broker.cut()
        raises(OSError, client.subscribe, "a", 1)
        broker.accept(sp=sp)
        broker.expect(SUBSCRIBE, filters=[("a", 1)])
        broker.reply(SUBACK, codes=(1,))
        client.connect()
        client.world.serve(client, 50)
        equal(client.inflight, 0)
        broker.done()


def test_a_callback_may_unsubscribe_while_subscriptions_are_made_again():
    broker, client = up()
    for filter in "ab":
        broker.expect(SUBSCRIBE)
        broker.reply(SUBACK, codes=(0,))
        client.subscribe(filter)

    def leave(topic, msg, retained):
        client.unsubscribe("a")
        client.unsubscribe("b")

    client.set_callback(leave)
    broker.cut()
    raises(OSError, client.poll, 10)
    broker.accept(sp=0)
    broker.expect(SUBSCRIBE)
    broker.send(PUBLISH, topic="b", payload="x")
    broker.expect(UNSUBSCRIBE)
    broker.reply(UNSUBACK)
    broker.expect(UNSUBSCRIBE)
    broker.reply(UNSUBACK)
    broker.send(SUBACK, 3, codes=(0,))
    equal(client.connect(), False)
    broker.done()


def test_what_is_granted_is_not_mistaken_for_a_subscription_made_again():
    from umqtt.reconnect import Reconnect

    broker, client = up(reconnect=Reconnect(1, 1))
    broker.expect(SUBSCRIBE)
    broker.reply(SUBACK, codes=(0,))
    client.subscribe("a")
    broker.expect(SUBSCRIBE, filters=[("new", 1)])
    broker.cut()
    broker.accept(sp=0)
    broker.expect(SUBSCRIBE, filters=[("new", 1)])
    broker.reply(SUBACK, codes=(1,))
    broker.expect(SUBSCRIBE, filters=[("a", 0)])
    broker.reply(SUBACK, codes=(0x80,))
    equal(client.subscribe("new", 1), b"\1")
    broker.done()


def test_ctrl_c_while_the_session_notes_a_suback_leaves_one_that_can_be_sent_again():
    if sys.implementation.name != "cpython":
        skip("needs CPython's settrace")
    from fakes.bench5 import client5, load5
    from fakes.model5 import Model5

    load5()
    for protocol in (4, 5):
        at = came = 1
        while came:
            world = World(Model if protocol == 4 else Model5)
            client = world.client() if protocol == 4 else client5(world)
            client.connect()
            came = interrupted(lambda: client.subscribe([("a", 1), ("b", 2)]), at, ("session.py",), ("_resume",))
            client.connect()
            world.serve(client, 50)
            equal((world.broker.violations, client.inflight, len(world.broker.connects)), ([], 0, 2), at)
            equal(client.subscribe("c", 0), b"\0", at)
            at += 1
        assert at > 20, at
