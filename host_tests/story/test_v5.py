"""MQTT 5 with a scripted broker of its own codec: CONNECT and CONNACK, both ways of PUBLISH with properties, reason
codes, aliases, the window, expiry, the end."""

import errno

from fakes.bench import pair
from fakes.bench5 import client5, pair5, world5
from fakes.check import equal, raises
from fakes.packets import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
)
from fakes.packets5 import AUTH, encode

NOT_ON_ASYNCIO = ()


def up(props=(), sp=0, **named):
    b, c = pair5(**named)
    b.expect(CONNECT)
    b.send(CONNACK, sp=sp, props=props)
    c.connect()
    return b, c


# CONNECT and CONNACK


def test_connect_says_level_5_and_how_long_the_session_lives():
    b, c = pair5()
    b.expect(CONNECT, level=5, clean=0, keepalive=60, client_id="c1", props=[(17, 0xFFFFFFFF)], will=None, user=None)
    b.send(CONNACK)
    equal(c.connect(), False)
    b.done()
    equal(c.connack, {})


def test_a_clean_session_of_no_length_says_nothing_of_it():
    b, c = pair5(clean_session=True)
    b.expect(CONNECT, clean=1, props=[])
    b.send(CONNACK)
    c.connect()
    b.done()


def test_all_properties_of_connect_and_of_the_will_leave_as_they_are_asked_for():
    asked = {33: 20, 34: 3, 39: 2000, 25: 1, 23: 0, 38: [("a", "b"), ("a", "c")]}
    b, c = pair5(user="u", password="", session_expiry_s=60, properties=asked)
    will = {38: [("k", "v")], 1: 1}
    c.set_last_will("w", "gone", True, 1, delay_s=30, properties=will)
    b.expect(CONNECT, user="u", password=b"")
    b.send(CONNACK)
    c.connect()
    b.done()
    (connect,) = b.got
    equal(
        sorted(connect.props),
        sorted([(33, 20), (34, 3), (39, 2000), (25, 1), (23, 0), (38, ("a", "b")), (38, ("a", "c")), (17, 60)]),
    )
    equal(connect.will[:4], ("w", b"gone", 1, 1))
    equal(sorted(connect.will[4]), [(1, 1), (24, 30), (38, ("k", "v"))])


def test_a_password_needs_no_user_and_an_empty_id_no_clean_session():
    b, c = pair5(client_id="", password="secret")
    b.expect(CONNECT, clean=0, client_id="", user=None, password=b"secret")
    b.send(CONNACK, props=[(18, "made-for-you")])
    c.connect()
    equal(c.client_id, "made-for-you")
    b.expect(DISCONNECT)
    b.expect_end()
    c.disconnect()
    b.expect(CONNECT, client_id="made-for-you")
    b.send(CONNACK, sp=1)
    c.connect()
    b.done()


def test_wrong_properties_are_a_value_error_before_anything_has_changed():
    b, c = up()
    for wrong in (
        {99: 1},
        {17: 5},
        {0: 1},
        {"a": 1},
        {1: 2},
        {1: -1},
        {3: "\0"},
        {8: "a/#"},
        {38: [("a", 1)]},
        {9: 5},
        {38: 5},
        {38: {1: 2}},
        {38: [1]},
        {38: [(1, 2, 3)]},
        {35: 1},
        {11: 1},
    ):
        raises(ValueError, c.publish, "t", "x", properties=wrong)
    raises(ValueError, c.publish, "t", "x", expiry_s=-1)
    raises(ValueError, c.publish, "t", "x", expiry_s=1 << 32)
    raises(ValueError, c.publish, "t", "x", response_topic="a/+")
    raises(ValueError, c.publish, "t", "x", qos=3)
    raises(ValueError, client5, c.world, properties={33: 0})
    raises(ValueError, client5, c.world, protocol=4)
    raises(ValueError, c.subscribe, "t", identifier=1 << 28)
    b.expect(PUBLISH, props=[], payload="y")
    c.publish("t", "y")
    b.done()


def test_a_refused_connection_is_told_in_words_with_what_the_broker_says():
    from umqtt.errors import MQTTException

    b, c = pair5()
    b.expect(CONNECT)
    b.send(CONNACK, reason=0x86, props=[(31, "no such user"), (38, ("a", "b"))])
    b.expect_end()
    e = raises(MQTTException, c.connect)
    equal(e.args, (0x86, "bad user or password: no such user"))
    b.expect(CONNECT)
    b.send(CONNACK, reason=0xEE)
    e = raises(MQTTException, c.connect)
    equal(e.args, (0xEE, "reason code 0xee"))


def test_the_brokers_keep_alive_counts():
    b, c = up(props=[(19, 8)], keepalive=60)
    b.expect(PINGREQ)
    began = c.world.clock.now
    c.world.serve(c, 6500)
    b.done()
    assert 5900 < b.times[-1] - began < 6200, b.times
    b, c = up(props=[(19, 0)], keepalive=4)
    c.world.serve(c, 20000)
    b.done()


def test_a_session_that_a_clean_start_cannot_have_is_a_protocol_error():
    from umqtt.errors import ProtocolError

    b, c = pair5(clean_session=True)
    b.expect(CONNECT)
    b.send(CONNACK, sp=1)
    b.expect(DISCONNECT, reason=0x82)
    b.expect_end()
    raises(ProtocolError, c.connect)
    b.done()


# What the broker does not do


def test_a_qos_above_the_maximum_is_lowered_or_refused():
    from umqtt.errors import MQTTException

    b, c = up(props=[(36, 1)])
    b.expect(PUBLISH, qos=1, pid=1)
    b.send(PUBACK, 1)
    equal(c.publish("t", "x", qos=2), 1)
    b.done()
    b, c = up(props=[(36, 0)])
    b.expect(PUBLISH, qos=0)
    equal(c.publish("t", "x", qos=1), 0)
    b.done()
    b, c = up(props=[(36, 1)], lower_qos=False)
    e = raises(MQTTException, c.publish, "t", "x", qos=2)
    equal(e.args[0], 0x9B)
    equal(c.inflight, 0)
    b.done()


def test_what_the_broker_does_not_take_is_refused_before_anything_has_changed():
    from umqtt.errors import MQTTException

    b, c = up(props=[(37, 0), (39, 60), (40, 0), (41, 0), (42, 0)])
    equal(raises(MQTTException, c.publish, "t", "x", retain=True).args[0], 0x9A)
    for qos in (0, 1, 2):
        e = raises(MQTTException, c.publish, "t", b"x" * 60, qos=qos)
        equal(e.args[0], 0x95)
        assert "the broker takes 60 B" in e.args[1], e.args
    equal(raises(MQTTException, c.publish, "t", b"x" * 30, correlation=b"y" * 30).args[0], 0x95)
    equal(raises(MQTTException, c.subscribe, "a/#").args[0], 0xA2)
    equal(raises(MQTTException, c.subscribe, [("b", 0), ("$share/g/t", 0)]).args[0], 0x9E)
    equal(raises(MQTTException, c.subscribe, "a", identifier=1).args[0], 0xA1)
    equal(raises(MQTTException, c.subscribe, "a" * 60).args[0], 0x95)
    equal(c.inflight, 0)
    b.expect(PUBLISH, payload=b"x" * 54)  # 60 bytes in all
    c.publish("t", b"x" * 54)
    b.done()


def test_no_more_messages_than_the_receive_maximum_are_unacknowledged():
    b, c = up(props=[(33, 2)])
    b.expect(PUBLISH, qos=1, pid=1)
    b.expect(PUBLISH, qos=2, pid=2)
    for qos in (1, 2, 1):
        c.publish("t", "x", qos=qos, wait=False)
    equal(c.free_slots(), 1)  # the third one waits in its slot
    b.expect(PUBLISH, qos=0)  # does not count
    c.publish("t", "0")
    b.expect(SUBSCRIBE, pid=4)  # nor does this wait
    b.send(SUBACK, 4, codes=(0,))
    c.subscribe("s")
    b.send(PUBREC, 2)
    b.expect(PUBREL, pid=2)  # its message counts until PUBCOMP
    c.world.serve(c, 50)
    b.done()
    b.send(PUBCOMP, 2)
    b.expect(PUBLISH, qos=1, pid=3)
    c.world.serve(c, 50)
    b.done()
    b.wait(300)
    b.send(PUBACK, 1)
    b.expect(PUBLISH, qos=1, pid=5)
    b.send(PUBACK, 3)
    b.send(PUBACK, 5)
    began = c.world.clock.now
    equal(c.publish("t", "5", qos=1), 5)  # waits for the window
    equal(c.world.clock.now - began, 300)
    b.done()
    b, c = up(props=[(33, 1)], inflight=2)
    b.expect(PUBLISH, qos=1, pid=1)
    c.publish("t", "1", qos=1, wait=False)
    c.publish("t", "2", qos=1, wait=False)
    equal(raises(OSError, c.publish, "t", "3", qos=1, wait=False).errno, errno.ENOBUFS)
    b.done()


def test_what_a_callback_publishes_waits_for_the_window_too():
    b, c = up(props=[(33, 1)])
    c.set_callback(lambda topic, payload, retained: c.publish("answer", payload, qos=1))
    b.expect(PUBLISH, pid=1, topic="t")
    c.publish("t", "x", qos=1, wait=False)
    b.send(PUBLISH, topic="q", payload="1")
    b.send(PUBLISH, topic="q", payload="2")
    c.world.serve(c, 50)
    b.send(PUBACK, 1)
    b.expect(PUBLISH, pid=2, payload="1")
    b.send(PUBACK, 2)
    b.expect(PUBLISH, pid=3, payload="2")
    b.send(PUBACK, 3)
    c.world.serve(c, 50)
    b.done()
    equal(c.inflight, 0)


def test_what_is_in_flight_is_resent_within_the_window_of_the_new_connection():
    b, c = up()
    for pid in (1, 2, 3):
        b.expect(PUBLISH, qos=1, pid=pid, dup=0)
        c.publish("t", str(pid), qos=1, wait=False)
    b.cut()
    raises(OSError, c.world.serve, c, 100)
    b.expect(CONNECT)
    b.send(CONNACK, sp=1, props=[(33, 1)])
    for pid in (1, 2, 3):
        b.expect(PUBLISH, qos=1, pid=pid, dup=1)
        b.wait(20)
        b.send(PUBACK, pid)
    c.connect()
    c.world.serve(c, 200)
    equal(c.inflight, 0)
    b.done()


def test_a_window_that_is_full_gives_way_to_a_subscription_and_an_unsubscription():
    b, c = up(props=[(33, 1)])
    b.expect(PUBLISH, qos=1, pid=1)
    c.publish("t", "1", qos=1, wait=False)
    b.expect(SUBSCRIBE)
    b.reply(SUBACK, codes=(1,))
    c.subscribe("s", 1)
    b.expect(UNSUBSCRIBE)
    b.reply(UNSUBACK)
    c.unsubscribe("s")
    b.send(PUBACK, 1)
    c.world.serve(c, 50)
    equal(c.inflight, 0)
    b.done()


# PUBLISH


def test_a_message_without_properties_has_their_length_and_nothing_else():
    b, c = up()
    for qos in (0, 1):
        b.expect(PUBLISH, qos=qos, topic="t", payload="x", props=[])
        if qos:
            b.reply(PUBACK)
        c.publish("t", "x", qos=qos)
    b.done()


def test_properties_leave_with_each_qos_and_with_the_repetition():
    props = [(2, 60), (8, "re/ply"), (9, b"\1\2"), (3, "text/plain"), (38, ("a", "b")), (1, 1)]
    b, c = up()
    for qos in (0, 1, 2):
        b.expect(PUBLISH, qos=qos, dup=0)
        c.publish("t", "x", False, qos, False, None, 60, "re/ply", b"\1\2", "text/plain", {38: [("a", "b")], 1: 1})
        b.done()
        equal(sorted(b.got[-1].props), sorted(props))
        equal(b.got[-1].props[0], (2, 60))
    b.cut()
    raises(OSError, c.world.serve, c, 100)
    b.expect(CONNECT)
    b.send(CONNACK, sp=1)
    for qos in (1, 2):
        b.expect(PUBLISH, qos=qos, dup=1)
    c.connect()
    c.world.serve(c, 50)
    b.done()
    equal(sorted(b.got[-1].props), sorted(props))
    b.send(PUBACK, 1)
    b.send(PUBREC, 2)
    b.expect(PUBREL, pid=2)
    b.send(PUBCOMP, 2)
    c.world.serve(c, 50)
    b.expect(PUBLISH, props=[], payload="y")  # nothing of them is left for the next one
    c.publish("t", "y")
    b.done()


def test_expiry_counts_while_a_message_waits_and_ends_one_that_never_left():
    b, c = pair5()
    ended = []
    c.on_ended = lambda packet_id, codes: ended.append((packet_id, codes))
    c.publish("t", "short", qos=1, wait=False, expiry_s=5)
    c.publish("t", "long", qos=1, wait=False, expiry_s=600)
    c.publish("t", "ever", qos=1, wait=False)
    c.world.clock.sleep_ms(10500)
    b.expect(CONNECT)
    b.send(CONNACK)
    b.expect(PUBLISH, pid=2, payload="long", props=[(2, 590)], dup=0)
    b.send(PUBACK, 2)
    b.expect(PUBLISH, pid=3, payload="ever", props=[])
    b.send(PUBACK, 3)
    c.connect()
    c.world.serve(c, 50)
    b.done()
    equal(ended, [(1, None), (2, b""), (3, b"")])
    equal(c.inflight, 0)


def test_a_message_that_was_sent_is_repeated_whatever_its_expiry():
    b, c = up()
    b.expect(PUBLISH, qos=2, pid=1, props=[(2, 3)])
    b.cut()
    raises(OSError, c.publish, "t", "x", qos=2, expiry_s=3)
    c.world.clock.sleep_ms(60000)
    b.expect(CONNECT)
    b.send(CONNACK, sp=1)
    b.expect(PUBLISH, qos=2, pid=1, dup=1, props=[(2, 1)])
    b.send(PUBREC, 1)
    b.expect(PUBREL, pid=1)
    b.send(PUBCOMP, 1)
    c.connect()
    c.world.serve(c, 50)
    b.done()


def test_received_properties_are_there_while_the_callback_runs():
    b, c = up()
    seen = []

    def took(topic, payload, retained):
        r = c.received
        seen.append((topic, payload, retained, r.expiry_s, r.response_topic, r.correlation, r.content_type))
        seen.append((r.get(38), r.get(11), r.get(1), r.get(99)))

    c.set_callback(took)
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
        b.send(PUBLISH, 7, qos=qos, topic="a/b", payload="hi", retain=1, props=props)
        if qos:
            b.expect(PUBACK, pid=7, reason=0)
    b.send(PUBLISH, topic="a/b", payload="bare")
    c.world.serve(c, 50)
    b.done()
    equal(seen[0], (b"a/b", b"hi", True, 70000, "to", b"\0\xff", "json"))
    equal(seen[1], ([("a", "b"), ("a", "ä")], [1, 300], 1, None))
    equal(seen[2:4], seen[:2])
    equal(seen[4], (b"a/b", b"bare", False, None, None, None, None))
    equal(seen[5], (None, None, None, None))


def test_a_view_has_the_payload_behind_the_properties():
    b, c = up()
    seen = []
    c.set_view(
        lambda buf, topic_end, start, end, flags: seen.append((bytes(buf[2:topic_end]), bytes(buf[start:end]), flags))
    )
    b.send(PUBLISH, 9, qos=2, topic="a/b", payload="hi", props=[(2, 1)])
    b.expect(PUBREC, pid=9)
    b.send(PUBREL, 9)
    b.expect(PUBCOMP, pid=9)
    b.send(PUBLISH, topic="a/c", payload="")
    c.world.serve(c, 50)
    b.done()
    equal(seen, [(b"a/b", b"hi", 4), (b"a/c", b"", 0)])


def test_a_message_larger_than_the_buffer_comes_in_parts_with_and_without_its_properties():
    for length in (10, 60, 300):
        b, c = up(rx_size=64)
        got = []
        c.set_view(lambda buf, topic_end, start, end, flags: got.append((topic_end, bytes(buf[start:end]), flags & 48)))
        payload = bytes([i & 255 for i in range(1000)])
        b.send(PUBLISH, 5, qos=1, topic="a/b", payload=payload, props=[(9, b"c" * length)])
        b.expect(PUBACK, pid=5)
        b.send(PUBLISH, topic="a/b", payload="next")
        c.world.serve(c, 50)
        b.done()
        equal(b"".join([part for _, part, _ in got[:-1]]), payload)
        equal(got[-1][1], b"next")
        equal([flags for _, _, flags in got[1:-2]], [48] * (len(got) - 3))


def test_properties_larger_than_the_buffer_cost_the_message_and_nothing_else():
    from umqtt.errors import MQTTException

    b, c = up(rx_size=64)
    for qos in (0, 1, 2):
        b.send(PUBLISH, 5 + qos, qos=qos, topic="a/b", payload="x" * 200, props=[(38, ("k" * 100, "v" * 100))])
        if qos:
            b.expect(PUBACK if qos == 1 else PUBREC, pid=5 + qos)
        e = raises(MQTTException, c.world.serve, c, 50)
        assert "over rx_size" in e.args[1], e.args
    b.send(PUBREL, 7)
    b.expect(PUBCOMP, pid=7)
    b.send(PUBLISH, topic="a/b", payload="next")
    c.world.serve(c, 50)
    b.done()
    equal(c.world.inbox, [(b"a/b", b"next", False)])


def test_texts_keep_their_first_letter_whatever_it_is():
    b, c = up()
    bom = "\ufeff"
    seen = []
    c.set_callback(lambda topic, payload, retained: seen.append((topic, c.received.content_type)))
    b.send(PUBLISH, topic=bom + "t", payload="x", props=[(3, bom + "json")])
    c.world.serve(c, 50)
    equal(seen, [((bom + "t").encode(), bom + "json")])
    b.expect(PUBLISH, topic=bom + "t", props=[(3, bom)])
    c.publish(bom + "t", "x", content_type=bom)
    b.done()


def test_lengths_of_properties_take_as_few_bytes_as_they_can():
    b, c = up()
    for length in (0, 1, 123, 124, 125, 126, 1000, 16378, 16379, 16380, 16381, 40000):
        b.expect(PUBLISH, payload="x", props=[(9, b"c" * length)])  # the codec takes no longer form
        c.publish("t", "x", correlation=b"c" * length)
    b.done()
    for identifier in (1, 127, 128, 16383, 16384, 2097151, 2097152, 268435455):
        b.expect(SUBSCRIBE, props=[(11, identifier)])
        b.reply(SUBACK, codes=(0,))
        c.subscribe("t", identifier=identifier)
        seen = []
        c.set_callback(lambda topic, payload, retained: seen.append(c.received.get(11)))
        b.send(PUBLISH, topic="t", props=[(11, identifier)])
        c.world.serve(c, 50)
        equal(seen, [[identifier]])
    b.done()


def test_every_packet_that_leaves_is_what_another_codec_takes():
    b, c = up(user="u", password="p", keepalive=4)  # packets5.decode looks at each flag and each field
    for qos in (0, 1, 2):
        b.expect(PUBLISH, qos=qos, dup=0, topic="a/b", payload="x")
        if qos:
            b.reply(PUBACK if qos == 1 else PUBREC)
        if qos == 2:
            b.expect(PUBREL)
            b.reply(PUBCOMP)
        c.publish("a/b", "x", qos=qos)
    b.expect(SUBSCRIBE, filters=[("a/#", 2)])
    b.reply(SUBACK, codes=(2,))
    c.subscribe("a/#", 2)
    b.expect(UNSUBSCRIBE, filters=["a/#", "b"])
    b.reply(UNSUBACK, codes=(0, 17))
    c.unsubscribe(["a/#", "b"])
    b.expect(PINGREQ)
    c.ping()
    b.expect(DISCONNECT, reason=0, props=[])
    b.expect_end()
    c.disconnect()
    b.done()


def test_a_prepared_topic_is_published_by_the_clients_own_call():
    from umqtt.publisher import Publisher

    b, c = up()
    for qos in (0, 1):
        prepared = Publisher(c, "t", qos=qos)
        b.expect(PUBLISH, qos=qos, topic="t", payload=b"x", props=[])
        if qos:
            b.reply(PUBACK)
        prepared.publish(b"x")
    b.done()


def test_a_stream_goes_out_with_no_properties():
    import io

    from umqtt import stream

    b, c = up(tx_size=32, props=[(33, 1)])
    b.expect(PUBLISH, qos=1, pid=1)
    c.publish("t", "x", qos=1, wait=False)
    b.wait(20)
    b.send(PUBACK, 1)  # the window has room for it then
    for qos in (1, 0):
        b.expect(PUBLISH, qos=qos, topic="t", payload=b"y" * 300, props=[])
        if qos:
            b.reply(PUBACK)
        stream.publish(c, "t", io.BytesIO(b"y" * 300), 300, qos=qos)
    b.done()


def test_a_refused_stream_raises_as_well():
    import io

    from umqtt import stream
    from umqtt.errors import MQTTException

    b, c = up(tx_size=32)
    b.expect(PUBLISH, qos=1)
    b.reply(PUBACK, reason=0x97)
    equal(raises(MQTTException, stream.publish, c, "t", io.BytesIO(b"y" * 300), 300, qos=1).args[0], 0x97)
    equal(c.inflight, 0)
    b.done()


# Reason codes


def test_a_refused_message_raises_in_words_and_is_not_repeated():
    from umqtt.errors import MQTTException

    b, c = up()
    b.expect(PUBLISH, qos=1, pid=1)
    b.send(PUBACK, 1, reason=0x87, props=[(31, "topic is closed")])
    e = raises(MQTTException, c.publish, "t", "x", qos=1)
    equal(e.args, (0x87, "not authorised: check user and password: topic is closed"))
    b.expect(PUBLISH, qos=2, pid=2)
    b.send(PUBREC, 2, reason=0x97)
    e = raises(MQTTException, c.publish, "t", "x", qos=2)  # no PUBREL
    equal(e.args, (0x97, "quota exceeded"))
    equal(c.inflight, 0)
    b.expect(PUBLISH, qos=1, pid=3)
    b.send(PUBACK, 3, reason=0x10)  # nobody listens: no error
    equal(c.publish("t", "x", qos=1), 3)
    b.done()


def test_on_ended_has_the_reason_of_a_refusal():
    b, c = up()
    ended = []
    c.on_ended = lambda packet_id, codes: ended.append((packet_id, codes))
    b.expect(PUBLISH, qos=1, pid=1)
    c.publish("t", "x", qos=1, wait=False)
    b.expect(PUBLISH, qos=2, pid=2)
    c.publish("t", "x", qos=2, wait=False)
    b.expect(SUBSCRIBE, pid=3)
    c.subscribe([("a", 1), ("b", 0)], wait=False)
    b.send(PUBREC, 2, reason=0x99)
    b.send(PUBACK, 1, reason=0x90)
    b.send(SUBACK, 3, codes=(1, 0x87))
    c.world.serve(c, 50)
    b.done()
    equal(ended, [(2, b"\x99"), (1, b"\x90"), (3, b"\x01\x87")])


def test_acks_in_their_long_form_are_acks():
    b, c = up()
    b.expect(PUBLISH, qos=2, pid=1)
    b.send(PUBREC, 1, long=1)
    b.expect(PUBREL, pid=1)
    b.send(PUBCOMP, 1, long=1, props=[(31, "done"), (38, ("a", "b"))])
    equal(c.publish("t", "x", qos=2), 1)
    b.raw(b"\x50\x03\0\x09\x10")  # a PUBREC with a reason and no length of properties
    b.expect(PUBREL, pid=9)
    c.world.serve(c, 50)
    b.done()


def test_a_refused_subscription_names_filter_and_reason():
    from umqtt.errors import MQTTException

    b, c = up()
    b.expect(SUBSCRIBE, filters=[("a", 1), ("b", 2)], props=[])
    b.reply(SUBACK, codes=(1, 0x87), props=[(31, "no")])
    e = raises(MQTTException, c.subscribe, [("a", 1), ("b", 2)])
    equal(e.args, (0x87, "subscription refused: b: not authorised: check user and password"))
    b.expect(UNSUBSCRIBE, filters=["a"], props=[])
    b.reply(UNSUBACK, codes=(0x83,))
    e = raises(MQTTException, c.unsubscribe, "a")
    equal(e.args[0], 0x83)
    b.expect(UNSUBSCRIBE, filters=["z"])
    b.reply(UNSUBACK, codes=(0x11,))  # there was none: no error
    c.unsubscribe("z")
    b.done()


def test_a_disconnect_of_the_broker_is_told_in_words():
    from umqtt.errors import MQTTException

    b, c = up()
    b.send(DISCONNECT, reason=0x8E)
    e = raises(MQTTException, c.world.serve, c, 50)
    equal(e.args, (0x8E, "the broker disconnects: session taken over: has another device this client id?"))
    assert not c.isconnected()
    b, c = up()
    b.send(DISCONNECT)
    equal(raises(MQTTException, c.world.serve, c, 50).args, (0, "the broker disconnects: reason code 0x00"))


def test_the_next_connection_goes_where_the_broker_points_when_it_may():
    from umqtt.errors import MQTTException

    for follows in (False, True):
        for reference, host, port in (
            ("other.test", "other.test", 1883),
            ("other.test:1999", "other.test", 1999),
            ("[::1]:5", "::1", 5),
        ):
            b, c = up(follow_reference=follows)
            b.send(DISCONNECT, reason=0x9C, props=[(28, reference)])
            e = raises(MQTTException, c.world.serve, c, 50)
            equal(e.args[1], "the broker disconnects: use another server: " + reference)
            equal(c.server_reference, reference)
            equal((c.server, c.port), (host, port) if follows else ("broker.test", 1883))


# Subscriptions


def test_options_and_identifiers_of_subscriptions_are_asked_for_again():
    b, c = up()
    b.expect(SUBSCRIBE, filters=[("a", 2 | 4 | 8 | 16), ("b", 32)])
    b.reply(SUBACK, codes=(2, 0))
    equal(c.subscribe([("a", 30), ("b", 32)], identifier=200, properties={38: [("k", "v")]}), b"\x02\0")
    b.expect(SUBSCRIBE, filters=[("$share/g/c", 9)], props=[])
    b.reply(SUBACK, codes=(1,))
    c.subscribe("$share/g/c", 9)
    b.cut()
    raises(OSError, c.world.serve, c, 100)
    b.expect(CONNECT)
    b.send(CONNACK)
    again = {"a": (30, [(11, 200), (38, ("k", "v"))]), "b": (32, [(11, 200), (38, ("k", "v"))]), "$share/g/c": (9, [])}
    for _ in again:
        b.expect(SUBSCRIBE)
        b.reply(SUBACK, codes=(0,))
    c.connect()
    b.done()
    for packet in b.got[-3:]:
        ((topic_filter, options),) = packet.filters
        equal((options, sorted(packet.props)), again[topic_filter])
    for wrong in (3, 48, 64, -1):
        raises(ValueError, c.subscribe, "a", wrong)
    raises(ValueError, c.subscribe, "$share/g/c", 4)
    for wrong in ("$share/", "$share/g", "$share/g/", "$share//t", "$share/+/t"):
        raises(ValueError, c.subscribe, wrong)
    b.done()


# Topic aliases


def test_topics_become_aliases_as_many_as_the_broker_takes():
    b, c = up(props=[(34, 2)], topic_aliases=True)
    for topic, sent, props in (
        ("long/topic/1", "long/topic/1", [(35, 1)]),
        ("long/topic/1", "", [(35, 1)]),
        ("long/topic/2", "long/topic/2", [(35, 2)]),
        ("long/topic/3", "long/topic/3", []),
        ("t", "t", []),
        ("long/topic/2", "", [(35, 2)]),
    ):
        for qos in (0, 1):
            b.expect(PUBLISH, topic=sent, props=props, qos=qos, dup=0)
            if qos:
                b.reply(PUBACK)
            c.publish(topic, "x", qos=qos)
            sent = "" if props else sent
    b.expect(PUBLISH, topic="", props=[(2, 9), (35, 2)])
    c.publish("long/topic/2", "x", expiry_s=9)
    b.done()


def test_aliases_end_with_their_connection():
    b, c = up(props=[(34, 2)], topic_aliases=True)
    b.expect(PUBLISH, topic="long/topic", props=[(35, 1)], qos=1)
    b.reply(PUBACK)
    c.publish("long/topic", "x", qos=1)
    b.expect(PUBLISH, topic="", props=[(35, 1)], qos=1, pid=2)
    b.cut()
    raises(OSError, c.publish, "long/topic", "x", qos=1)
    b.expect(CONNECT)
    b.send(CONNACK, sp=1)
    b.expect(PUBLISH, topic="long/topic", props=[], qos=1, pid=2, dup=1)
    b.reply(PUBACK)
    c.connect()
    c.world.serve(c, 50)
    b.expect(PUBLISH, topic="long/topic", props=[])  # this broker takes none
    c.publish("long/topic", "x")
    b.done()


def test_aliases_of_the_broker_stand_for_their_topics():
    b, c = up(properties={34: 2})
    for topic, alias in (("a/b", 1), ("", 1), ("c", 2), ("", 2), ("", 1), ("d", 1), ("", 1)):
        b.send(PUBLISH, topic=topic, payload="x", props=[(35, alias)])
    c.world.serve(c, 50)
    equal([topic for topic, _, _ in c.world.inbox], [b"a/b", b"a/b", b"c", b"c", b"a/b", b"d", b"d"])
    seen = []
    c.set_view(lambda buf, topic_end, start, end, flags: seen.append(bytes(buf[2:topic_end]) or c.received.topic))
    b.send(PUBLISH, topic="", payload="x", props=[(35, 2)])
    b.send(PUBLISH, topic="e", payload="x")
    c.world.serve(c, 50)
    equal(seen, [b"c", b"e"])
    b.done()


def test_aliases_of_the_broker_end_with_their_connection():
    from umqtt.errors import ProtocolError

    b, c = up(properties={34: 2})
    b.send(PUBLISH, topic="a", payload="x", props=[(35, 1)])
    c.world.serve(c, 50)
    b.cut()
    raises(OSError, c.world.serve, c, 50)
    b.expect(CONNECT)
    b.send(CONNACK, sp=1)
    b.send(PUBLISH, topic="", payload="x", props=[(35, 1)])
    c.connect()
    b.expect(DISCONNECT, reason=0x82)
    raises(ProtocolError, c.world.serve, c, 50)
    equal(c.world.inbox, [(b"a", b"x", False)])


def test_messages_in_flight_that_a_new_broker_cannot_take_are_lowered_or_end_the_attempt():
    from umqtt.errors import MQTTException

    b, c = pair5()
    c.publish("t", "2", qos=2, wait=False)
    c.publish("t", "1", qos=1, wait=False)
    b.expect(CONNECT)
    b.send(CONNACK, props=[(36, 1)])
    for pid in (1, 2):
        b.expect(PUBLISH, qos=1, pid=pid, dup=0)
        b.send(PUBACK, pid)
    c.connect()
    c.world.serve(c, 50)
    b.done()
    equal(c.inflight, 0)
    for props, code in (([(36, 0)], 0x9B), ([(37, 0)], 0x9A), ([(39, 20)], 0x95)):
        b, c = pair5()
        c.publish("t", b"x" * 20, qos=1, retain=True, wait=False)
        b.expect(CONNECT)
        b.send(CONNACK, props=props)
        b.expect_end()
        equal(raises(MQTTException, c.connect).args[0], code)
        b.done()
        equal(c.inflight, 1)


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
        (encode(PUBACK, 0, long=1), 0x81),
        (b"\x40\x01\0", 0x81),
        (b"\x41\x02\0\1", 0x81),
        (b"\xe1\0", 0x81),
        (encode(CONNACK), 0x81),
        (encode(AUTH, reason=0x18), 0x81),
        (b"\x10\x02\0\0", 0x81),
        (b"\xc0\0", 0x81),
        (b"\xd0\1\0", 0x81),
        (encode(PUBACK, 5, reason=0x80, props=[(2, 1)]), 0x81),
        (encode(DISCONNECT, reason=0x8B, props=[(17, 1)]), 0x81),
        (b"\x30\xff\xff\xff\xff\x01", 0x81),
    ):
        b, c = up(properties={34: 2})
        b.raw(packet)
        b.expect(DISCONNECT, reason=code)
        b.expect_end()
        try:
            raises(ProtocolError, c.world.serve, c, 50)
            b.done()
        except AssertionError as e:
            raise AssertionError("%r: %s" % (packet, e))
        assert not c.isconnected()


def test_a_broker_that_answers_to_a_connect_with_nonsense_is_told_so():
    from umqtt.errors import ProtocolError

    for packet in (
        encode(CONNACK, sp=2),
        b"\x20\x02\0\0",  # of MQTT 3.1.1
        encode(CONNACK, props=[(33, 0)]),
        encode(CONNACK, props=[(36, 2)]),
        encode(CONNACK, props=[(33, 1), (33, 1)]),
        encode(CONNACK, props=[(2, 1)]),
        encode(PUBLISH, topic="t"),
        encode(SUBACK, 1, codes=(0,)),
        encode(AUTH, reason=0x18, props=[(21, "m")]),
    ):
        b, c = pair5()
        b.expect(CONNECT)
        b.raw(packet)
        b.expect(DISCONNECT)
        b.expect_end()
        try:
            raises(ProtocolError, c.connect)
        except AssertionError as e:
            raise AssertionError("%r: %s" % (packet, e))
        b.done()
        assert b.got[-1].reason in (0x81, 0x82), packet


# The end


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
        b, c = up()
        b.expect(DISCONNECT, reason=reason)
        b.expect_end()
        c.disconnect(**named)
        b.done()
        equal(sorted(b.got[-1].props), props)
    b, c = up(clean_session=True)
    raises(ValueError, c.disconnect, session_expiry_s=5)
    assert c.isconnected()


# AUTH


def test_authentication_goes_on_until_the_broker_is_content():
    asked = []

    def answer(data):
        asked.append(data)
        return {None: b"first", b"challenge": b"proof", b"more": b""}.get(data)

    b, c = pair5(authentication=("M", answer))
    b.expect(CONNECT)
    b.send(AUTH, reason=0x18, props=[(21, "M"), (22, b"challenge")])
    b.expect(AUTH, reason=0x18)
    b.send(CONNACK, props=[(21, "M"), (22, b"verified")])
    c.connect()
    equal(sorted(b.got[0].props), [(17, 0xFFFFFFFF), (21, "M"), (22, b"first")])
    equal(asked, [None, b"challenge", b"verified"])
    equal(sorted(b.got[-1].props), [(21, "M"), (22, b"proof")])
    b.expect(AUTH, reason=0x19)
    b.send(AUTH, reason=0x18, props=[(21, "M"), (22, b"more")])
    b.expect(AUTH, reason=0x18)
    b.send(AUTH, props=[(21, "M"), (22, b"end")])
    c.authenticate_again()
    c.world.serve(c, 50)
    equal(asked[3:], [None, b"more", b"end"])
    equal([sorted(p.props) for p in b.got[-2:]], [[(21, "M"), (22, b"first")], [(21, "M"), (22, b"")]])
    b.expect(PUBLISH)
    c.publish("t", "x")
    b.done()


def test_who_does_not_believe_the_broker_ends_the_connection():
    from umqtt.errors import ProtocolError

    def answer(data):
        if data == b"forged":
            raise ValueError("not my broker")
        return b""

    b, c = pair5(authentication=("M", answer))
    b.expect(CONNECT)
    b.send(CONNACK, props=[(21, "M"), (22, b"forged")])
    b.expect(DISCONNECT, reason=0x87)
    b.expect_end()
    assert "not my broker" in str(raises(ProtocolError, c.connect))
    assert not c.isconnected()
    b, c = pair5(authentication=("M", answer))
    b.expect(CONNECT)
    b.send(AUTH, reason=0x18, props=[(21, "OTHER"), (22, b"x")])
    b.expect(DISCONNECT, reason=0x82)
    raises(ProtocolError, c.connect)
    b.done()


# A broker that does not know level 5


def test_a_broker_of_3_1_1_is_told_in_words():
    from umqtt.errors import MQTTException

    b, c = pair5()
    b.expect(CONNECT, level=5)
    b.raw(b"\x20\x02\0\1")
    equal(raises(MQTTException, c.connect).args, (1, "protocol level refused"))
    b.done()


class _Both:
    """The codec of a broker that has clients of both levels, one after the other."""

    def __init__(self):
        from fakes import packets, packets5

        self.codecs = [packets5, packets]

    def Reader(self):
        codec = self.codecs[0]
        if len(self.codecs) > 1:
            self.codecs.pop(0)
        return codec.Reader()

    def encode(self, kind, pid=None, **fields):
        return self.codecs[0].encode(kind, pid, **fields)


def test_auto_tries_5_then_4_and_stays_there():
    for refusal in (b"\x20\x02\0\1", b"\x20\x03\0\x84\0", b""):
        w = world5()
        b = w.broker
        c = client5(w, protocol="auto")
        b.codec = _Both()
        b.expect(CONNECT, level=5)
        b.raw(refusal)
        b.cut()
        b.expect(CONNECT, level=4)
        b.raw(b"\x20\x02\0\0")
        equal(c.connect(), False)
        equal(c.protocol, 4)
        b.expect(PUBLISH, qos=1, pid=1, topic="t", payload="x")
        b.raw(b"\x40\x02\0\1")
        equal(c.publish("t", "x", qos=1, expiry_s=5, properties={38: [("a", "b")]}), 1)  # level 4 has no properties
        b.expect(SUBSCRIBE, filters=[("s", 1)])
        b.raw(b"\x90\x03\0\2\1")
        equal(c.subscribe("s", 1), b"\1")
        b.raw(b"\x30\x04\0\1sy")
        b.raw(b"\x32\x06\0\1s\0\7z")
        b.expect(PUBACK, pid=7)
        c.world.serve(c, 50)
        equal(w.inbox, [(b"s", b"y", False), (b"s", b"z", False)])
        b.expect(DISCONNECT)
        b.expect_end()
        c.disconnect()
        b.expect(CONNECT, level=4)
        b.raw(b"\x20\x02\1\0")
        equal(c.connect(), True)
        b.done()


def test_a_refusal_of_another_kind_is_not_tried_with_4():
    from umqtt.errors import MQTTException

    b, c = pair5(protocol="auto")
    b.expect(CONNECT, level=5)
    b.send(CONNACK, reason=0x87)
    equal(raises(MQTTException, c.connect).args[0], 0x87)
    equal(c.protocol, 5)
    b.done()


def test_the_client_of_3_1_1_says_where_mqtt_5_is():
    b, c = pair(protocol=5)
    e = raises(ValueError, c.connect)
    assert "umqtt.v5" in str(e), e


def test_a_reconnecting_client_asks_again_soon_where_that_is_of_use():
    from umqtt.reconnect import Reconnect

    for code, asks_again in ((0x89, True), (0x86, False), (0x87, False), (0x85, False)):
        told = []
        b, c = pair5(reconnect=Reconnect(on_state=lambda up, error: told.append(error)))
        b.expect(CONNECT)
        b.send(CONNACK, reason=code)
        b.cut()
        b.expect(CONNECT)
        b.send(CONNACK)
        c.world.serve(c, 4000)
        equal(c.isconnected(), asks_again, hex(code))
        equal(len(told), 1 + asks_again)


# Question and answer


def test_a_request_gets_the_answer_that_is_meant_for_it():
    from umqtt.request import request

    b, c = up()
    b.expect(SUBSCRIBE, filters=[("answers/c1", 1)])
    b.reply(SUBACK, codes=(1,))
    for turn in range(2):
        b.expect(PUBLISH, topic="lamp/get", payload="?", qos=1)
        b.reply(PUBACK)
        b.wait(100)
        b.send(PUBLISH, topic="answers/c1", payload="late", props=[(9, b"old")])
        b.send(PUBLISH, topic="news", payload="else")

        def answer():
            props = dict(b.got[-1].props)
            equal(props[8], "answers/c1")
            b.link.push(encode(PUBLISH, topic="answers/c1", payload="on", props=[(9, props[9])]))

        b.call(answer)
        equal(request(c, "lamp/get", "?"), b"on")
        b.done()
        equal([payload for _, payload, _ in c.world.inbox], [b"late", b"else"] * (turn + 1))
    b.send(PUBLISH, topic="news", payload="after")
    c.world.serve(c, 50)
    equal(c.world.inbox[-1][1], b"after")


def test_a_request_without_an_answer_ends_at_its_deadline():
    from umqtt.request import request

    b, c = up(props=[(26, "mine/")])
    b.expect(SUBSCRIBE, filters=[("mine/c1", 1)])
    b.reply(SUBACK, codes=(1,))
    b.expect(PUBLISH)
    b.reply(PUBACK)
    began = c.world.clock.now
    assert "no answer in time" in str(raises(OSError, request, c, "lamp/get", "?", 700))
    equal(c.world.clock.now - began, 700)
    c.set_view(lambda *_: None)
    raises(ValueError, request, c, "lamp/get", "?")
    b.done()


def test_scram_sha_256_goes_through():
    # the exchange of RFC 7677, section 3
    try:
        import hmac
        from base64 import b64decode, b64encode
        from hashlib import pbkdf2_hmac, sha256
    except ImportError:
        from fakes.check import skip

        skip("MicroPython has no hmac")
    bare = b"n=user,r=rOprNGfwEbeRWgbNEkqO"
    first = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    proof = b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    verified = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    state = {}

    def scram(data):
        if data is None:
            return b"n,," + bare
        fields = dict(part.split(b"=", 1) for part in data.split(b","))
        if b"v" in fields:
            if b64decode(fields[b"v"]) != state["server"]:
                raise ValueError("not my broker")
            return None
        salted = pbkdf2_hmac("sha256", b"pencil", b64decode(fields[b"s"]), int(fields[b"i"]))
        without = b"c=biws,r=" + fields[b"r"]
        message = bare + b"," + data + b"," + without
        key = hmac.new(salted, b"Client Key", sha256).digest()
        signature = hmac.new(sha256(key).digest(), message, sha256).digest()
        server_key = hmac.new(salted, b"Server Key", sha256).digest()
        state["server"] = hmac.new(server_key, message, sha256).digest()
        return without + b",p=" + b64encode(bytes([a ^ s for a, s in zip(key, signature)]))

    b, c = pair5(authentication=("SCRAM-SHA-256", scram))
    b.expect(CONNECT)
    b.send(AUTH, reason=0x18, props=[(21, "SCRAM-SHA-256"), (22, first)])
    b.expect(AUTH, reason=0x18)
    b.send(CONNACK, props=[(21, "SCRAM-SHA-256"), (22, verified)])
    c.connect()
    b.done()
    equal(dict(b.got[0].props)[22], b"n,," + bare)
    assert dict(b.got[1].props)[22].endswith(proof), b.got[1]
