"""Subscribing with MQTT 5: options, identifiers, what the broker refuses."""

from fakes.bench5 import connected5, pair5
from fakes.check import equal, raises
from fakes.packets import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
)

NOT_ON_ASYNCIO = ()


def test_a_refused_subscription_names_filter_and_reason():
    from umqtt.errors import MQTTException

    broker, client = connected5()
    broker.expect(SUBSCRIBE, filters=[("a", 1), ("b", 2)], props=[])
    broker.reply(SUBACK, codes=(1, 0x87), props=[(31, "no")])
    fault = raises(MQTTException, client.subscribe, [("a", 1), ("b", 2)])
    equal(fault.args, (0x87, "subscription refused: b: not authorised: check user and password"))
    broker.expect(UNSUBSCRIBE, filters=["a"], props=[])
    broker.reply(UNSUBACK, codes=(0x83,))
    fault = raises(MQTTException, client.unsubscribe, "a")
    equal(fault.args[0], 0x83)
    broker.expect(UNSUBSCRIBE, filters=["z"])
    broker.reply(UNSUBACK, codes=(0x11,))  # there was none: no error
    client.unsubscribe("z")
    broker.done()


def test_options_and_identifiers_of_subscriptions_are_asked_for_again():
    broker, client = connected5()
    broker.expect(SUBSCRIBE, filters=[("a", 2 | 4 | 8 | 16), ("b", 32)])
    broker.reply(SUBACK, codes=(2, 0))
    equal(client.subscribe([("a", 30), ("b", 32)], identifier=200, properties={38: [("k", "v")]}), b"\x02\0")
    broker.expect(SUBSCRIBE, filters=[("$share/g/c", 9)], props=[])
    broker.reply(SUBACK, codes=(1,))
    client.subscribe("$share/g/c", 9)
    broker.cut()
    raises(OSError, client.world.serve, client, 100)
    broker.expect(CONNECT)
    broker.send(CONNACK)
    again = {"a": (30, [(11, 200), (38, ("k", "v"))]), "b": (32, [(11, 200), (38, ("k", "v"))]), "$share/g/c": (9, [])}
    for _ in again:
        broker.expect(SUBSCRIBE)
        broker.reply(SUBACK, codes=(0,))
    client.connect()
    broker.done()
    for packet in broker.got[-3:]:
        ((topic_filter, options),) = packet.filters
        equal((options, sorted(packet.props)), again[topic_filter])
    for wrong in (3, 48, 64, -1):
        raises(ValueError, client.subscribe, "a", wrong)
    raises(ValueError, client.subscribe, "$share/g/c", 4)
    raises(ValueError, client.subscribe, "a", properties={2: 5})  # of a message
    for wrong in ("$share/", "$share/g", "$share/g/", "$share//t", "$share/+/t"):
        raises(ValueError, client.subscribe, wrong)
    broker.done()


def test_as_many_filters_as_the_buffer_has_room_for_answers_are_granted_and_no_more_answers_taken():
    from umqtt.errors import ProtocolError

    for count in (62, 63):
        broker, client = connected5(rx_size=64)
        filters = [("%d" % number, 0) for number in range(62)]
        broker.expect(SUBSCRIBE, filters=filters)
        broker.reply(SUBACK, codes=(0,) * count)
        if count == 62:
            equal(client.subscribe(filters), bytes(62))
        else:
            broker.expect(DISCONNECT, reason=0x81)
            raises(ProtocolError, client.subscribe, filters)
        broker.done()


def test_what_a_subscription_came_with_ends_with_it():
    broker, client = connected5()
    for _ in range(2):
        broker.expect(SUBSCRIBE, props=[(11, 7)])
        broker.reply(SUBACK, codes=(0,))
        client.subscribe("a", identifier=7)
        broker.expect(UNSUBSCRIBE)
        broker.reply(UNSUBACK, codes=(0,))
        client.unsubscribe("a")
        equal(client._outgoing.filter_properties, {})
    broker.done()


def test_a_subscription_of_just_the_size_that_the_broker_takes_is_sent_and_none_larger():
    from umqtt.errors import MQTTException

    for filters, size_b in (([("a", 0), ("b" * 20, 1)], 32), ([("b" * 121, 0)], 129), ([("b" * 122, 0)], 131)):
        broker, client = connected5(props=[(39, size_b)])
        broker.expect(SUBSCRIBE)
        broker.reply(SUBACK, codes=(0,) * len(filters))
        client.subscribe(filters)
        client.connack[39] -= 1
        fault = raises(MQTTException, client.subscribe, filters)
        equal(fault.args, (0x95, "%d B, the broker takes %d B: packet too large" % (size_b, size_b - 1)))
        broker.done()


def test_an_unsubscription_larger_than_the_broker_takes_is_refused_before_anything_is_sent():
    from umqtt.errors import MQTTException

    broker, client = connected5(props=[(39, 40)])
    fault = raises(MQTTException, client.unsubscribe, ["a" * 20, "b" * 20])
    equal(fault.args, (0x95, "49 B, the broker takes 40 B: packet too large"))
    broker.expect(UNSUBSCRIBE)
    broker.reply(UNSUBACK, codes=(0,))
    began_ms = client.world.clock.now
    client.unsubscribe("a" * 20)
    assert client.world.clock.now - began_ms < 500, "the refused call was still in the middle"
    broker.done()


def test_a_subscription_that_is_too_large_for_the_next_broker_is_told_and_costs_no_connection():
    broker, client = connected5()
    refused = []
    client.on_refused = lambda topic, fault: refused.append((topic, fault.args[0]))
    for topic_filter in ("small", "large" * 9):
        broker.expect(SUBSCRIBE, filters=[(topic_filter, 1)])
        broker.reply(SUBACK, codes=(1,))
        client.subscribe(topic_filter, 1, identifier=5)
    for most_b, told in ((54, [(b"large" * 9, 0x95)]), (55, [])):
        broker.cut()
        raises(OSError, client.world.serve, client, 100)
        broker.expect(CONNECT)
        broker.send(CONNACK, props=[(39, most_b)])
        asked_for = [[("large" * 9, 1)], [("small", 1)]][len(told) :]
        for _ in asked_for:
            broker.expect(SUBSCRIBE)
            broker.reply(SUBACK, codes=(1,))
        client.connect()
        client.world.serve(client, 100)
        equal((refused, client.isconnected()), (told, True))
        equal(sorted(packet.filters for packet in broker.got[-len(asked_for) :]), asked_for)
        del refused[:]
        broker.done()


def test_what_was_to_be_subscribed_to_before_the_broker_said_how_much_it_takes_is_refused_here():
    ended = []
    for is_large in (False, True):
        broker, client = pair5()
        client.on_ended = lambda packet_id, codes: ended.append((packet_id, codes))
        client.subscribe([("a", 0), ("b" * 20, 1)], 0, False)
        client.unsubscribe(["c", "d" * 27, "e"], False)
        broker.expect(CONNECT)
        broker.send(CONNACK, props=[(39, 31 if is_large else 40)])
        if not is_large:
            broker.expect(SUBSCRIBE)
            broker.reply(SUBACK, codes=(0, 1))
            broker.expect(UNSUBSCRIBE)
            broker.reply(UNSUBACK, codes=(0, 0, 0))
        client.connect()
        client.world.serve(client, 100)
        equal((client.isconnected(), client.inflight), (True, 0))
        broker.done()
    equal(ended[2:], [(1, b"\x95\x95"), (2, b"\x95\x95\x95")])


def test_a_call_that_waits_to_subscribe_hears_that_it_asked_for_too_much():
    from umqtt.errors import MQTTException
    from umqtt.reconnect import Reconnect

    broker, client = pair5(reconnect=Reconnect(10, 10))
    broker.expect(CONNECT)
    broker.send(CONNACK, props=[(39, 20)])
    fault = raises(MQTTException, client.subscribe, "b" * 20)
    equal(fault.args, (0x95, "subscription refused: %s: packet too large" % ("b" * 20)))
    broker.done()
