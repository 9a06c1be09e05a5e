"""How a connection of MQTT 5 ends, by this end and by the broker's."""

from fakes.bench5 import connected5
from fakes.check import equal, raises
from fakes.packets import (
    DISCONNECT,
)

NOT_ON_ASYNCIO = ()


def test_disconnect_says_what_is_asked_for():
    for named, reason, props in (
        ({}, 0, []),
        ({"with_will": True}, 4, []),
        ({"session_expiry_s": 0}, 0, [(17, 0)]),
        (
            {"with_will": True, "session_expiry_s": 9, "properties": {38: [("a", "b")], 31: "why"}},
            4,
            [(17, 9), (31, "why"), (38, ("a", "b"))],
        ),
    ):
        broker, client = connected5()
        broker.expect(DISCONNECT, reason=reason)
        broker.expect_end()
        client.disconnect(**named)
        broker.done()
        equal(sorted(broker.got[-1].props), props)
    broker, client = connected5(clean_session=True)
    raises(ValueError, client.disconnect, session_expiry_s=5)
    assert client.isconnected()


def test_a_disconnect_of_the_broker_is_told_in_words():
    from umqtt.errors import MQTTException

    broker, client = connected5()
    broker.send(DISCONNECT, reason=0x8E)
    fault = raises(MQTTException, client.world.serve, client, 50)
    equal(fault.args, (0x8E, "the broker disconnects: session taken over: has another device this client id?"))
    assert not client.isconnected()
    broker, client = connected5()
    broker.send(DISCONNECT)
    equal(raises(MQTTException, client.world.serve, client, 50).args, (0, "the broker disconnects: reason code 0x00"))


def test_the_next_connection_goes_where_the_broker_points_when_it_may():
    from umqtt.errors import MQTTException

    for follows in (False, True):
        for reference, host, port in (
            ("other.test", "other.test", 1883),
            ("other.test:1999", "other.test", 1999),
            ("[::1]:5", "::1", 5),
            ("other.test second.test:5", "other.test", 1883),
        ):
            broker, client = connected5(follow_reference=follows)
            broker.send(DISCONNECT, reason=0x9C, props=[(28, reference)])
            fault = raises(MQTTException, client.world.serve, client, 50)
            equal(fault.args[1], "the broker disconnects: use another server: " + reference)
            equal(client.server_reference, reference)
            equal((client.server, client.port), (host, port) if follows else ("broker.test", 1883))


def test_a_server_that_is_not_where_the_broker_points_is_left_for_the_one_before():
    from umqtt.errors import MQTTException

    broker, client = connected5(follow_reference=True)
    broker.send(DISCONNECT, reason=0x9C, props=[(28, "gone.test")])
    raises(MQTTException, client.world.serve, client, 50)
    raises(OSError, client.connect)
    equal(client.server, "gone.test")
    broker.accept()
    client.connect()
    equal((client.server, client.port), ("broker.test", 1883))
    broker.send(DISCONNECT, reason=0x9D, props=[(28, "broker.test")])  # it is followed again, and kept once it is up
    raises(MQTTException, client.world.serve, client, 50)
    for _ in range(3):
        broker.accept()
        client.connect()
        equal(client._referred_by, ["broker.test", 1883, False])


def test_a_reference_counts_with_the_reasons_that_name_another_server_alone():
    from umqtt.errors import MQTTException

    for reason, follows in ((0x9B, False), (0x9C, True), (0x9D, True), (0x9E, False)):
        broker, client = connected5(follow_reference=True)
        broker.send(DISCONNECT, reason=reason, props=[(28, "other.test:99")])
        raises(MQTTException, client.world.serve, client, 10)
        equal((client.server, client.server_reference), ("other.test" if follows else "broker.test", "other.test:99"))
