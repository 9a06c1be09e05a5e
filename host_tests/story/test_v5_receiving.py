"""Receiving with MQTT 5: the properties of a message while the callback runs, views, aliases of the broker, a broker
that breaks the protocol."""

from fakes.bench5 import connected5
from fakes.check import equal, raises
from fakes.packets import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
)
from fakes.packets5 import AUTH, encode

NOT_ON_ASYNCIO = ()


def test_received_properties_are_there_while_the_callback_runs():
    broker, client = connected5(rx_size=1200)
    seen = []

    def took(topic, payload, retained):
        received = client.received
        seen.append(
            (
                topic,
                payload,
                retained,
                received.expiry_s,
                received.response_topic,
                received.correlation,
                received.content_type,
            )
        )
        seen.append((received.get(38), received.get(11), received.get(1), received.get(99)))

    client.set_callback(took)
    props = [
        (1, 1),
        (2, 70000),
        (3, "json"),
        (8, "to"),
        (9, b"\0\xff"),
        (11, 1),
        (11, 300),
        (38, ("a", "b")),
        (38, ("a", "ä")),
    ]
    for qos in (0, 1):
        broker.send(PUBLISH, 7, qos=qos, topic="a/b", payload="hi", retain=1, props=props)
        if qos:
            broker.expect(PUBACK, pid=7, reason=0)
    broker.send(PUBLISH, topic="a/b", payload="bare")
    client.world.serve(client, 50)
    broker.done()
    equal(seen[0], (b"a/b", b"hi", True, 70000, "to", b"\0\xff", "json"))
    equal(seen[1], ([("a", "b"), ("a", "ä")], [1, 300], 1, None))
    equal(seen[2:4], seen[:2])
    equal(seen[4], (b"a/b", b"bare", False, None, None, None, None))
    equal(seen[5], (None, None, None, None))
    broker.send(PUBLISH, topic="a/b", payload="hi", props=[(38, ("k" * 400, "v" * 300)), (3, "t" * 300), (9, b"c")])
    client.world.serve(client, 50)
    equal(seen[6][-2:], (b"c", "t" * 300))
    equal(seen[7][0], [("k" * 400, "v" * 300)])


def test_a_view_has_the_payload_behind_the_properties():
    broker, client = connected5()
    seen = []
    client.set_view(
        lambda buf, topic_end, start, end, flags: seen.append((bytes(buf[2:topic_end]), bytes(buf[start:end]), flags))
    )
    broker.send(PUBLISH, 9, qos=2, topic="a/b", payload="hi", props=[(2, 1)])
    broker.expect(PUBREC, pid=9)
    broker.send(PUBREL, 9)
    broker.expect(PUBCOMP, pid=9)
    broker.send(PUBLISH, topic="a/c", payload="")
    client.world.serve(client, 50)
    broker.done()
    equal(seen, [(b"a/b", b"hi", 4), (b"a/c", b"", 0)])


def test_a_message_larger_than_the_buffer_comes_in_parts_with_and_without_its_properties():
    for length in (10, 60, 300):
        broker, client = connected5(rx_size=64)
        got = []
        client.set_view(
            lambda buf, topic_end, start, end, flags: got.append((topic_end, bytes(buf[start:end]), flags & 48))
        )
        payload = bytes([i & 255 for i in range(1000)])
        broker.send(PUBLISH, 5, qos=1, topic="a/b", payload=payload, props=[(9, b"c" * length)])
        broker.expect(PUBACK, pid=5)
        broker.send(PUBLISH, topic="a/b", payload="next")
        client.world.serve(client, 50)
        broker.done()
        equal(b"".join([part for _, part, _ in got[:-1]]), payload)
        equal(got[-1][1], b"next")
        equal([flags for _, _, flags in got[1:-2]], [48] * (len(got) - 3))


def test_every_part_of_a_message_larger_than_the_buffer_has_its_properties():
    for props in ([(3, "text/plain")], [(38, ("unit", "degree")), (3, "text/plain"), (9, b"17")]):
        broker, client = connected5(rx_size=64)
        got = []
        client.set_view(lambda *part: got.append((client.received.content_type, client.received.correlation)))  # noqa: B023
        broker.send(PUBLISH, topic="t", payload=bytes(range(200)), props=props)
        client.world.serve(client, 50)
        assert len(got) > 2, got
        equal(set(got), {("text/plain", b"17" if len(props) > 1 else None)})


def test_properties_larger_than_the_buffer_cost_the_message_and_nothing_else():
    from umqtt.errors import MQTTException

    broker, client = connected5(rx_size=64)
    for qos in (0, 1, 2):
        broker.send(PUBLISH, 5 + qos, qos=qos, topic="a/b", payload="x" * 200, props=[(38, ("k" * 100, "v" * 100))])
        if qos:
            broker.expect(PUBACK if qos == 1 else PUBREC, pid=5 + qos)
        fault = raises(MQTTException, client.world.serve, client, 50)
        assert "over rx_size" in fault.args[1], fault.args
    broker.send(PUBREL, 7)
    broker.expect(PUBCOMP, pid=7)
    broker.send(PUBLISH, topic="a/b", payload="next")
    client.world.serve(client, 50)
    broker.done()
    equal(client.world.inbox, [(b"a/b", b"next", False)])


def test_properties_that_have_no_room_are_not_those_of_the_message_before():
    broker, client = connected5(rx_size=64)
    got = []
    client.set_view(lambda buf, topic_end, start, end, flags: got.append(client.received.get(3)))
    broker.send(PUBLISH, topic="a/b", payload="x", props=[(3, "text")])
    broker.send(PUBLISH, topic="a/b", payload="x" * 200, props=[(9, b"c" * 300)])
    client.world.serve(client, 50)
    equal((got[0], got[1]), ("text", None))


def test_texts_keep_their_first_letter_whatever_it_is():
    broker, client = connected5()
    bom = "\ufeff"
    seen = []
    client.set_callback(lambda topic, payload, retained: seen.append((topic, client.received.content_type)))
    broker.send(PUBLISH, topic=bom + "t", payload="x", props=[(3, bom + "json")])
    client.world.serve(client, 50)
    equal(seen, [((bom + "t").encode(), bom + "json")])
    broker.expect(PUBLISH, topic=bom + "t", props=[(3, bom)])
    client.publish(bom + "t", "x", content_type=bom)
    broker.done()


def test_aliases_of_the_broker_stand_for_their_topics():
    broker, client = connected5(properties={34: 2})
    for topic, alias in (("a/b", 1), ("", 1), ("c", 2), ("", 2), ("", 1), ("d", 1), ("", 1)):
        broker.send(PUBLISH, topic=topic, payload="x", props=[(35, alias)])
    client.world.serve(client, 50)
    equal([topic for topic, _, _ in client.world.inbox], [b"a/b", b"a/b", b"c", b"c", b"a/b", b"d", b"d"])
    seen = []
    client.set_view(
        lambda buf, topic_end, start, end, flags: seen.append(bytes(buf[2:topic_end]) or client.received.topic)
    )
    broker.send(PUBLISH, topic="", payload="x", props=[(35, 2)])
    broker.send(PUBLISH, topic="e", payload="x")
    client.world.serve(client, 50)
    equal(seen, [b"c", b"e"])
    broker.done()


def test_aliases_of_the_broker_end_with_their_connection():
    from umqtt.errors import ProtocolError

    broker, client = connected5(properties={34: 2})
    broker.send(PUBLISH, topic="a", payload="x", props=[(35, 1)])
    client.world.serve(client, 50)
    broker.cut()
    raises(OSError, client.world.serve, client, 50)
    broker.expect(CONNECT)
    broker.send(CONNACK, sp=1)
    broker.send(PUBLISH, topic="", payload="x", props=[(35, 1)])
    client.connect()
    broker.expect(DISCONNECT, reason=0x82)
    raises(ProtocolError, client.world.serve, client, 50)
    equal(client.world.inbox, [(b"a", b"x", False)])


def test_a_broker_that_breaks_the_protocol_is_told_so_with_a_reason_code():
    from umqtt.errors import ProtocolError

    for packet, code in (
        (encode(PUBLISH, topic="", props=[(35, 1)]), 0x82),  # never given
        (encode(PUBLISH, topic="t", props=[(35, 3)]), 0x94),  # over the maximum
        (encode(PUBLISH, topic=""), 0x82),
        (encode(PUBLISH, topic="t", props=[(2, 1), (2, 1)]), 0x82),
        (encode(PUBLISH, topic="t", props=[(1, 2)]), 0x82),
        (encode(PUBLISH, topic="t", props=[(35, 0)]), 0x82),
        (encode(PUBLISH, topic="t", props=[(11, 0)]), 0x82),
        (encode(PUBLISH, topic="t", props=[(17, 1)]), 0x81),
        (encode(PUBLISH, topic="t", props=b"\x7f"), 0x81),
        (encode(PUBLISH, topic="t", props=b"\x02\0"), 0x81),
        (encode(PUBLISH, topic="t", props=b"\x03\0\x05ab"), 0x81),
        (encode(PUBLISH, topic="t", props=b"\x03\0\x01\xff"), 0x81),
        (encode(PUBLISH, topic="t", props=b"\x03\0\x01\0"), 0x81),
        (encode(PUBLISH, topic="t", props=b"\x08\0\x01#"), 0x81),
        (b"\x30\x04\0\1t\x09", 0x81),  # properties longer than the packet
        (b"\x30\x03\0\1t", 0x81),  # no length of properties
        (b"\x30\x08\0\1t\xff\xff\xff\xff\x01", 0x81),
        (encode(PUBLISH, topic="a/+"), 0x81),
        (b"\x36\x06\0\1t\0\1\0", 0x81),
        (encode(PUBACK, 0, long=1), 0x82),
        (encode(PUBACK, 0), 0x82),
        (b"\x40\x01\0", 0x81),
        (b"\x40\x08\0\5\x10\x80\x80\x80\x80\0", 0x81),  # a length in five bytes
        (b"\x41\x02\0\1", 0x81),
        (b"\xe1\0", 0x81),
        # out of place
        (encode(CONNACK), 0x82),
        (encode(AUTH, reason=0x18), 0x82),
        (b"\x10\x02\0\0", 0x82),
        (b"\x82\x05\0\1\0\0\1", 0x82),  # SUBSCRIBE
        (b"\xa2\x05\0\1\0\0\1", 0x82),  # UNSUBSCRIBE
        (b"\xc0\0", 0x82),
        # no packet at all
        (b"\0\0", 0x81),
        (b"\x63\2\0\1", 0x81),
        (b"\xd0\1\0", 0x81),
        (b"\xd0\2\0\1", 0x81),
        (b"\x90\3\0\5\0", 0x81),  # SUBACK, UNSUBACK without a reason code
        (b"\xb0\3\0\5\0", 0x81),
        (encode(PUBACK, 5, reason=0x80, props=[(2, 1)]), 0x81),
        (encode(DISCONNECT, reason=0x8B, props=[(17, 1)]), 0x81),
        (b"\x30\xff\xff\xff\xff\x01", 0x81),
    ):
        broker, client = connected5(properties={34: 2})
        broker.raw(packet)
        broker.expect(DISCONNECT, reason=code)
        broker.expect_end()
        try:
            raises(ProtocolError, client.world.serve, client, 50)
            broker.done()
        except AssertionError as fault:
            raise AssertionError("%r: %s" % (packet, fault))
        assert not client.isconnected()


def test_an_acknowledgement_that_does_not_fit_is_out_of_place_and_no_malformed_packet():
    from umqtt.errors import ProtocolError

    for kind, fields in ((PUBREC, {}), (PUBCOMP, {}), (SUBACK, {"codes": (1,)})):
        broker, client = connected5()
        broker.expect(PUBLISH, qos=1)
        broker.reply(kind, **fields)
        broker.expect(DISCONNECT, reason=0x82)
        broker.expect_end()
        raises(ProtocolError, client.publish, "t", "x", qos=1)
        broker.done()
    for codes in ((0, 0), (3,)):  # more than filters, no QoS
        broker, client = connected5()
        broker.expect(SUBSCRIBE)
        broker.reply(SUBACK, codes=codes)
        broker.expect(DISCONNECT, reason=0x82)
        broker.expect_end()
        raises(ProtocolError, client.subscribe, "t")
        broker.done()


def test_properties_end_with_their_connection():
    broker, client = connected5()
    seen = []
    client.set_callback(lambda topic, payload, retained: seen.append((topic, client.received.content_type)))
    broker.send(PUBLISH, topic="a", payload="1", props=[(3, "text"), (9, b"correlation")])
    client.world.serve(client, 100)
    broker.cut()
    raises(OSError, client.world.serve, client, 100)
    broker.expect(CONNECT)
    broker.send(CONNACK, sp=1)
    client.connect()
    broker.send(PUBLISH, topic="without", payload="2")
    client.world.serve(client, 100)
    equal(seen, [(b"a", "text"), (b"without", None)])


def test_an_alias_that_nobody_asked_for_is_a_protocol_error():
    from umqtt.errors import ProtocolError

    broker, client = connected5()
    broker.send(PUBLISH, topic="a", payload="1", props=[(35, 1)])
    broker.expect(DISCONNECT, reason=0x94)
    broker.expect_end()
    raises(ProtocolError, client.world.serve, client, 100)
    broker.done()


def test_an_alias_stands_for_a_topic_of_hundreds_of_bytes():
    broker, client = connected5(properties={34: 2}, rx_size=800)
    for size_b in (255, 256, 513):
        broker.send(PUBLISH, topic="t" * size_b, payload="1", props=[(35, 1)])
        broker.send(PUBLISH, topic="", payload="2", props=[(35, 1)])
        client.world.serve(client, 20)
        equal([len(topic) for topic, _, _ in client.world.inbox[-2:]], [size_b, size_b])
