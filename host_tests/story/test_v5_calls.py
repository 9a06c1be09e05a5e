"""A call of umqtt.v5 without properties is one of umqtt.client: what it raises, whom it tells, its defaults, and that
it leaves nothing for the next one."""

import sys

from fakes.bench5 import connected5, pair5
from fakes.check import equal, raises, skip
from fakes.packets import CONNACK, CONNECT, DISCONNECT, PUBLISH, SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE
from fakes.packets5 import AUTH
from umqtt import stream
from umqtt.errors import MQTTException
from umqtt.reconnect import Reconnect


def no_route(data):
    """A link's `take` without WiFi."""
    raise OSError(113)


def test_what_a_program_leaves_out_is_the_least():
    broker, client = pair5()
    client.set_last_will("will", "x")
    broker.expect(CONNECT, will=("will", b"x", 0, 0, []))
    broker.send(CONNACK)
    client.connect()
    broker.expect(SUBSCRIBE, filters=[("a", 0)])
    broker.reply(SUBACK, codes=(0,))
    client.subscribe("a")
    equal((client.server_reference, hasattr(client, "no_such_name")), ("", False))
    broker.expect(DISCONNECT, reason=4)
    client.disconnect(with_will=True)
    broker.expect(CONNECT)
    broker.send(CONNACK, sp=1)
    broker.expect(DISCONNECT, reason=0, props=[])
    client.connect()
    client.disconnect()
    broker.done()


def test_a_topic_that_changes_is_looked_at_for_each_message():
    broker, client = connected5()
    topic = bytearray(b"a")
    for qos in (0, 1):
        for letter in "ab":
            topic[0] = ord(letter)
            broker.expect(PUBLISH, topic=letter, qos=qos)
            client.publish(topic, "x", qos=qos, wait=False)
    broker.done()


def test_a_payload_may_change_once_it_is_published():
    for qos in (0, 1):
        broker, client = connected5()
        client.world.link.plan.write_max = 5
        client.world.link.plan.write_again = True
        payload = bytearray(b"first" * 200)
        broker.expect(PUBLISH, payload="first" * 200)
        client.publish("t", payload, qos=qos, wait=False)
        payload[:] = b"later" * 200
        client.world.serve(client, 2000)
        broker.done()


def test_what_a_callback_publishes_from_a_buffer_may_change_once_it_is_published():
    broker, client = connected5()
    client.world.link.plan.write_max = 5
    client.world.link.plan.write_again = True
    payload = bytearray(b"first" * 200)

    def publishes(topic, message, retained):
        client.publish("t", payload)
        payload[:] = b"later" * 200

    client.set_callback(publishes)
    broker.send(PUBLISH, topic="in", payload="m")
    broker.expect(PUBLISH, payload="first" * 200)
    client.world.serve(client, 2000)
    broker.done()


def test_a_large_message_that_was_published_is_not_kept_alive():
    if sys.implementation.name == "micropython":
        skip("CPython alone counts references")
    broker, client = connected5()
    payload = bytes(range(250)) * 4  # larger than the buffer
    broker.expect(PUBLISH)
    counted = sys.getrefcount(payload)
    client.publish("t", payload)
    broker.got.clear()
    equal(sys.getrefcount(payload), counted)


def test_a_call_leaves_the_client_free_for_the_next_one():
    broker, client = connected5()
    clock = client.world.clock
    began_ms = clock.now
    for _ in range(2):
        for wait in (True, False):
            broker.expect(PUBLISH, qos=0)
            client.publish("t", "x", wait=wait)
    buffer_b, client.world.link.plan.buffer = client.world.link.plan.buffer, 0
    broker.expect(PUBLISH, qos=0, payload="late")
    client.publish("t", "late", wait=False)
    for _ in range(2):
        equal(client.publish("t", "x", wait=False), None)
    equal(clock.now, began_ms)
    clock.at(50, setattr, client.world.link.plan, "buffer", buffer_b)
    broker.expect(PUBLISH, qos=0, payload="x" * 1000)
    client.publish("t", "x" * 1000)
    equal(clock.now - began_ms, 50)
    clock.run_due()
    broker.done()


def test_a_message_of_qos_0_that_finds_the_link_dead_tells_both_who_waits_and_who_reconnects():
    for wait in (True, False):
        for named in ({}, {"reconnect": True}):
            told = []
            if named:
                named = {"reconnect": Reconnect(10, 10, on_state=lambda is_up, _, told=told: told.append(is_up))}
            broker, client = connected5(**named)
            client.world.link.take = no_route
            if named and wait:  # the call waits on, and the client connects again meanwhile
                broker.accept()
            fault = raises(OSError, client.publish, "t", "x", wait=wait)
            assert "link is down" in str(fault), fault
            equal(told[:2], [True, False] if named else [])
            equal(client.isconnected(), bool(named) and wait)


def test_a_refusal_of_whatever_code_is_raised_with_what_was_refused():
    broker, client = connected5()
    broker.expect(SUBSCRIBE)
    broker.reply(SUBACK, codes=(0x80,))
    fault = raises(MQTTException, client.subscribe, "a/b")
    equal((fault.args[0], "subscription refused: a/b" in str(fault)), (0x80, True))
    broker.expect(UNSUBSCRIBE)
    broker.reply(UNSUBACK, codes=(0x80,))
    fault = raises(MQTTException, client.unsubscribe, "a/b")
    equal((fault.args[0], "unsubscribe refused: a/b" in str(fault)), (0x80, True))
    broker.done()


def test_a_broker_without_identifiers_is_asked_for_none():
    for says, is_refused in (((41, 0), True), ((41, 1), False), ((42, 0), False), ((40, 0), False)):
        broker, client = connected5(props=[says])
        for named in ({"identifier": 7}, {"properties": {11: 7}}):
            if is_refused:
                equal(raises(MQTTException, client.subscribe, "a", **named).args[0], 0xA1)
            else:
                broker.expect(SUBSCRIBE, props=[(11, 7)])
                broker.reply(SUBACK, codes=(0,))
                client.subscribe("a", **named)
        broker.done()


def test_an_exchange_of_authentication_leaves_the_client_free():
    broker, client = pair5(authentication=("M", lambda data: b"data"))
    broker.expect(CONNECT)
    broker.send(CONNACK, props=[(21, "M")])
    client.connect()
    clock = client.world.clock
    began_ms = clock.now
    for _ in range(2):
        broker.expect(AUTH, reason=0x19)
        client.authenticate_again()
    broker.raw(b"\xf0\0")  # done, and nothing to be said to that
    client.world.serve(client, 10)
    equal((clock.now - began_ms, client.isconnected()), (10, True))
    faults = []

    class Reader:
        is_under_way = False

        def readinto(self, buf):
            if self.is_under_way:
                faults.append(raises(OSError, client.authenticate_again))
            self.is_under_way = True
            return len(buf)

    broker.expect(PUBLISH, payload=bytes(1000))
    stream.publish(client, "t", Reader(), 1000)
    assert "another call" in str(faults[0]), faults
    broker.done()
