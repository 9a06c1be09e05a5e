"""Publishing with MQTT 5: properties, expiry, topic aliases, the broker's limits and its window, messages that it
refuses."""

import errno

from fakes import bench
from fakes.bench5 import client5, connected5, pair5
from fakes.check import equal, raises
from fakes.net import Plan
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

NOT_ON_ASYNCIO = ("test_what_is_repeated_to_a_slow_network_takes_no_more_than_the_buffer",)  # it looks at each step


def test_wrong_properties_are_a_value_error_before_anything_has_changed():
    broker, client = connected5()
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
        raises(ValueError, client.publish, "t", "x", properties=wrong)
    raises(ValueError, client.publish, "t", "x", expiry_s=-1)
    raises(ValueError, client.publish, "t", "x", expiry_s=1 << 32)
    raises(ValueError, client.publish, "t", "x", response_topic="a/+")
    raises(ValueError, client.publish, "t", "x", qos=3)
    raises(ValueError, client.publish, "t", "x", qos=3, expiry_s=5)
    raises(ValueError, client5, client.world, properties={33: 0})
    raises(ValueError, client5, client.world, protocol=4)
    raises(ValueError, client.subscribe, "t", identifier=1 << 28)
    broker.expect(PUBLISH, props=[], payload="y")
    client.publish("t", "y")
    broker.done()


def test_a_qos_above_the_maximum_is_lowered_or_refused():
    from umqtt.errors import MQTTException

    broker, client = connected5(props=[(36, 1)])
    broker.expect(PUBLISH, qos=1, pid=1)
    broker.send(PUBACK, 1)
    equal(client.publish("t", "x", qos=2), 1)
    broker.done()
    broker, client = connected5(props=[(36, 0)])
    broker.expect(PUBLISH, qos=0)
    equal(client.publish("t", "x", qos=1), 0)
    broker.done()
    broker, client = connected5()
    broker.expect(PUBLISH, qos=2, pid=1)
    broker.send(PUBACK, 1)  # RabbitMQ: it has no QoS 2
    client.publish("t", "x", qos=2)
    broker.expect(PUBLISH, qos=1, pid=2)
    broker.send(PUBACK, 2)
    client.publish("t", "x", qos=2)
    broker.done()
    broker, client = connected5(props=[(36, 1)], lower_qos=False)
    fault = raises(MQTTException, client.publish, "t", "x", qos=2)
    equal(fault.args[0], 0x9B)
    equal(client.inflight, 0)
    broker.done()


def test_what_the_broker_does_not_take_is_refused_before_anything_has_changed():
    from umqtt.errors import MQTTException

    broker, client = connected5(props=[(37, 0), (39, 60), (40, 0), (41, 0), (42, 0)])
    equal(raises(MQTTException, client.publish, "t", "x", retain=True).args[0], 0x9A)
    for qos in (0, 1, 2):
        fault = raises(MQTTException, client.publish, "t", b"x" * 60, qos=qos)
        equal(fault.args[0], 0x95)
        assert "the broker takes 60 B" in fault.args[1], fault.args
    equal(raises(MQTTException, client.publish, "t", b"x" * 30, correlation=b"y" * 30).args[0], 0x95)
    equal(raises(MQTTException, client.subscribe, "a/#").args[0], 0xA2)
    equal(raises(MQTTException, client.subscribe, [("b", 0), ("$share/g/t", 0)]).args[0], 0x9E)
    equal(raises(MQTTException, client.subscribe, "a", identifier=1).args[0], 0xA1)
    equal(raises(MQTTException, client.subscribe, "a" * 60).args[0], 0x95)
    equal(client.inflight, 0)
    broker.expect(PUBLISH, payload=b"x" * 54)  # 60 bytes in all
    client.publish("t", b"x" * 54)
    broker.done()


def test_no_more_messages_than_the_receive_maximum_are_unacknowledged():
    broker, client = connected5(props=[(33, 2)])
    broker.expect(PUBLISH, qos=1, pid=1)
    broker.expect(PUBLISH, qos=2, pid=2)
    for qos in (1, 2, 1):
        client.publish("t", "x", qos=qos, wait=False)
    equal(client.free_slots(), 1)  # the third one waits in its slot
    broker.expect(PUBLISH, qos=0)  # does not count
    client.publish("t", "0")
    broker.expect(SUBSCRIBE, pid=4)  # nor does this wait
    broker.send(SUBACK, 4, codes=(0,))
    client.subscribe("s")
    broker.send(PUBREC, 2)
    broker.expect(PUBREL, pid=2)  # its message counts until PUBCOMP
    client.world.serve(client, 50)
    broker.done()
    broker.send(PUBCOMP, 2)
    broker.expect(PUBLISH, qos=1, pid=3)
    client.world.serve(client, 50)
    broker.done()
    broker.wait(300)
    broker.send(PUBACK, 1)
    broker.expect(PUBLISH, qos=1, pid=5)
    broker.send(PUBACK, 3)
    broker.send(PUBACK, 5)
    began = client.world.clock.now
    equal(client.publish("t", "5", qos=1), 5)  # waits for the window
    equal(client.world.clock.now - began, 300)
    broker.done()
    broker, client = connected5(props=[(33, 1)], inflight=2)
    broker.expect(PUBLISH, qos=1, pid=1)
    client.publish("t", "1", qos=1, wait=False)
    client.publish("t", "2", qos=1, wait=False)
    equal(raises(OSError, client.publish, "t", "3", qos=1, wait=False).errno, errno.ENOBUFS)
    broker.done()


def test_what_a_callback_publishes_waits_for_the_window_too():
    broker, client = connected5(props=[(33, 1)])
    client.set_callback(lambda topic, payload, retained: client.publish("answer", payload, qos=1))
    broker.expect(PUBLISH, pid=1, topic="t")
    client.publish("t", "x", qos=1, wait=False)
    broker.send(PUBLISH, topic="q", payload="1")
    broker.send(PUBLISH, topic="q", payload="2")
    client.world.serve(client, 50)
    broker.send(PUBACK, 1)
    broker.expect(PUBLISH, pid=2, payload="1")
    broker.send(PUBACK, 2)
    broker.expect(PUBLISH, pid=3, payload="2")
    broker.send(PUBACK, 3)
    client.world.serve(client, 50)
    broker.done()
    equal(client.inflight, 0)


def test_what_is_in_flight_is_resent_within_the_window_of_the_new_connection():
    broker, client = connected5()
    for pid in (1, 2, 3):
        broker.expect(PUBLISH, qos=1, pid=pid, dup=0)
        client.publish("t", str(pid), qos=1, wait=False)
    broker.cut()
    raises(OSError, client.world.serve, client, 100)
    broker.expect(CONNECT)
    broker.send(CONNACK, sp=1, props=[(33, 1)])
    for pid in (1, 2, 3):
        broker.expect(PUBLISH, qos=1, pid=pid, dup=1)
        broker.wait(20)
        broker.send(PUBACK, pid)
    client.connect()
    client.world.serve(client, 200)
    equal(client.inflight, 0)
    broker.done()


def test_what_is_repeated_to_a_slow_network_takes_no_more_than_the_buffer():
    from umqtt.reconnect import Reconnect

    for props in ((), [(33, 20)], [(39, 2000)]):  # without the broker's limits, and with
        broker, client = connected5(tx_size=256, inflight=8, reconnect=Reconnect(10, 10))
        for packet_id in range(1, 8):
            broker.expect(PUBLISH, qos=1, pid=packet_id)
            client.publish("t", b"x" * 100, qos=1, wait=False)
        client.world.net.plan = Plan(write_max=8, write_again=True)
        broker.cut()
        broker.expect(CONNECT)
        broker.send(CONNACK, sp=1, props=props)
        for packet_id in range(1, 8):
            broker.expect(PUBLISH, qos=1, pid=packet_id, dup=1)
            broker.send(PUBACK, packet_id)
        most_b = 0
        for _ in range(1000):
            client.poll(1)
            most_b = max(most_b, len(client._send_buf))
        equal(client.inflight, 0)
        assert 100 < most_b <= 256, most_b
        broker.done()


def test_a_window_that_is_full_gives_way_to_a_subscription_and_an_unsubscription():
    broker, client = connected5(props=[(33, 1)])
    broker.expect(PUBLISH, qos=1, pid=1)
    client.publish("t", "1", qos=1, wait=False)
    broker.expect(SUBSCRIBE)
    broker.reply(SUBACK, codes=(1,))
    client.subscribe("s", 1)
    broker.expect(UNSUBSCRIBE)
    broker.reply(UNSUBACK)
    client.unsubscribe("s")
    broker.send(PUBACK, 1)
    client.world.serve(client, 50)
    equal(client.inflight, 0)
    broker.done()


def test_a_message_without_properties_has_their_length_and_nothing_else():
    broker, client = connected5()
    for qos in (0, 1):
        broker.expect(PUBLISH, qos=qos, topic="t", payload="x", props=[])
        if qos:
            broker.reply(PUBACK)
        client.publish("t", "x", qos=qos)
    broker.done()


def test_properties_leave_with_each_qos_and_with_the_repetition():
    props = [(2, 60), (8, "re/ply"), (9, b"\1\2"), (3, "text/plain"), (38, ("a", "b")), (1, 1)]
    broker, client = connected5()
    for qos in (0, 1, 2):
        broker.expect(PUBLISH, qos=qos, dup=0)
        client.publish("t", "x", False, qos, False, None, 60, "re/ply", b"\1\2", "text/plain", {38: [("a", "b")], 1: 1})
        broker.done()
        equal(sorted(broker.got[-1].props), sorted(props))
        equal(broker.got[-1].props[0], (2, 60))
    broker.cut()
    raises(OSError, client.world.serve, client, 100)
    broker.expect(CONNECT)
    broker.send(CONNACK, sp=1)
    for qos in (1, 2):
        broker.expect(PUBLISH, qos=qos, dup=1)
    client.connect()
    client.world.serve(client, 50)
    broker.done()
    equal(sorted(broker.got[-1].props), sorted(props))
    broker.send(PUBACK, 1)
    broker.send(PUBREC, 2)
    broker.expect(PUBREL, pid=2)
    broker.send(PUBCOMP, 2)
    client.world.serve(client, 50)
    broker.expect(PUBLISH, props=[], payload="y")  # nothing of them is left for the next one
    client.publish("t", "y")
    broker.done()


def test_expiry_counts_while_a_message_waits_and_ends_one_that_never_left():
    broker, client = pair5()
    ended = []
    client.on_ended = lambda packet_id, codes: ended.append((packet_id, codes))
    client.publish("t", "short", qos=1, wait=False, expiry_s=5)
    client.publish("t", "long", qos=1, wait=False, expiry_s=600)
    client.publish("t", "ever", qos=1, wait=False)
    client.world.clock.sleep_ms(10500)
    broker.expect(CONNECT)
    broker.send(CONNACK)
    broker.expect(PUBLISH, pid=2, payload="long", props=[(2, 590)], dup=0)
    broker.send(PUBACK, 2)
    broker.expect(PUBLISH, pid=3, payload="ever", props=[])
    broker.send(PUBACK, 3)
    client.connect()
    client.world.serve(client, 50)
    broker.done()
    equal(ended, [(1, None), (2, b""), (3, b"")])
    equal(client.inflight, 0)


def test_a_call_that_waits_is_told_that_its_message_has_expired_here():
    broker, client = connected5(props=[(33, 1)])
    broker.expect(PUBLISH, pid=1)
    client.publish("t", "first", qos=1, wait=False)
    broker.wait(3000)
    broker.send(PUBACK, 1)  # only now the window has room
    late = raises(OSError, client.publish, "t", "x", qos=1, expiry_s=2)
    assert "expiry_s" in str(late), late
    broker.expect(PUBLISH, qos=1, payload="y")
    broker.reply(PUBACK)
    client.publish("t", "y", qos=1, expiry_s=2)
    broker.done()


def test_a_refusal_for_which_nobody_waited_is_not_that_of_a_later_message():
    broker, client = connected5()
    broker.expect(PUBLISH, pid=1)
    broker.send(PUBACK, 1, reason=0x87)
    client.publish("t", "x", qos=1, wait=False)
    client.world.serve(client, 50)
    client.pid = 0  # its id comes again
    broker.expect(PUBLISH, pid=1)
    broker.send(PUBACK, 1)
    equal(client.publish("t", "y", qos=1), 1)
    for packet_id in range(2, 20):
        broker.expect(PUBLISH, pid=packet_id)
        broker.send(PUBACK, packet_id, reason=0x87)
        client.publish("t", "x", qos=1, wait=False)
        client.world.serve(client, 5)
    assert 0 < len(client._refusals) <= client.free_slots(), "they fill the heap"
    broker.done()


def test_a_packet_of_just_the_size_that_the_broker_takes_is_sent_and_none_larger():
    from umqtt import outgoing
    from umqtt.errors import MQTTException

    class Long:
        def __init__(self, size_b):
            self.size_b = size_b

        def __len__(self):
            return self.size_b

    for remaining_b, header_b in ((127, 2), (128, 3), (16383, 3), (16384, 4)):
        for qos in (0, 1):
            payload = b"x" * (remaining_b - 4 - 2 * qos)  # topic and properties, a packet id
            size_b = remaining_b + header_b
            broker, client = connected5(props=[(39, size_b)])
            broker.expect(PUBLISH, qos=qos, payload=payload)
            client.publish("t", payload, qos=qos, wait=False)
            client.world.serve(client, 50)
            broker.done()
            client.connack[39] -= 1
            fault = raises(MQTTException, client.publish, "t", payload, qos=qos, wait=False)
            equal(fault.args, (0x95, "%d B, the broker takes %d B: packet too large" % (size_b, size_b - 1)))
    if not hasattr(outgoing, "check_size"):
        return  # shipped it has another name
    for remaining_b, header_b in ((2097151, 4), (2097152, 5)):
        client.connack[39] = remaining_b + header_b
        outgoing.check_size(client, 0x30, b"", Long(remaining_b), b"")
        client.connack[39] -= 1
        raises(MQTTException, outgoing.check_size, client, 0x30, b"", Long(remaining_b), b"")


def test_a_message_with_properties_and_qos_0_leaves_behind_what_is_older():
    broker, client = connected5()
    client.world.link.plan.write_max = 5
    client.world.link.plan.write_again = True
    broker.expect(PUBLISH, qos=1, payload="o" * 100)
    client.publish("t", "o" * 100, qos=1, wait=False)
    if not bench.on_asyncio:
        equal(client.publish("t", "dropped", content_type="t", wait=False), None, "it would have to wait")
    broker.expect(PUBLISH, qos=0, payload="x", props=[(3, "t")])
    equal(client.publish("t", "x", content_type="t"), 0)
    broker.done()


def test_a_payload_that_changes_leaves_as_it_was_when_it_was_published():
    broker, client = connected5()
    client.world.link.plan.write_max = 5
    client.world.link.plan.write_again = True
    payload = bytearray(b"first" * 200)
    broker.expect(PUBLISH, payload="first" * 200)
    client.publish("t", payload, qos=1, wait=False, content_type="t")
    payload[:] = b"later" * 200
    client.world.serve(client, 50)
    broker.done()


def test_the_first_reason_code_that_says_no_says_so_with_and_without_properties():
    from umqtt.errors import MQTTException

    broker, client = connected5()
    for at, (answer, code) in enumerate(
        (
            (b"\x40\x03\0\1\x7f", 0),
            (b"\x40\x03\0\2\x80", 0x80),
            (b"\x40\x04\0\3\x7f\0", 0),
            (b"\x40\x04\0\4\x80\0", 0x80),
        )
    ):
        broker.expect(PUBLISH, qos=1, pid=at + 1)
        broker.raw(answer)
        if code:
            equal(raises(MQTTException, client.publish, "t", "x", qos=1).args[0], code)
        else:
            equal(client.publish("t", "x", qos=1), at + 1)
    broker.done()


def test_no_message_is_made_beneath_a_call_that_is_at_work():
    broker, client = connected5()
    client._take_turn = lambda: False  # as a Timer's callback finds it
    for named in ({}, {"qos": 1}, {"expiry_s": 5}, {"qos": 2, "expiry_s": 5}):
        client._draft[4] = 1  # a call holds it
        assert "in the middle" in str(raises(OSError, client.publish, "t", "x", wait=False, **named)), named
    equal(client.inflight, 0)
    broker.done()


def test_a_message_that_was_sent_is_repeated_whatever_its_expiry():
    broker, client = connected5()
    broker.expect(PUBLISH, qos=2, pid=1, props=[(2, 3)])
    broker.cut()
    raises(OSError, client.publish, "t", "x", qos=2, expiry_s=3)
    client.world.clock.sleep_ms(60000)
    broker.expect(CONNECT)
    broker.send(CONNACK, sp=1)
    broker.expect(PUBLISH, qos=2, pid=1, dup=1, props=[(2, 1)])
    broker.send(PUBREC, 1)
    broker.expect(PUBREL, pid=1)
    broker.send(PUBCOMP, 1)
    client.connect()
    client.world.serve(client, 50)
    broker.done()


def test_lengths_of_properties_take_as_few_bytes_as_they_can():
    broker, client = connected5()
    for length in (0, 1, 123, 124, 125, 126, 1000, 16378, 16379, 16380, 16381, 40000):
        broker.expect(PUBLISH, payload="x", props=[(9, b"c" * length)])  # the codec takes no longer form
        client.publish("t", "x", correlation=b"c" * length)
    broker.done()
    for identifier in (1, 127, 128, 16383, 16384, 2097151, 2097152, 268435455):
        broker.expect(SUBSCRIBE, props=[(11, identifier)])
        broker.reply(SUBACK, codes=(0,))
        client.subscribe("t", identifier=identifier)
        seen = []
        client.set_callback(lambda topic, payload, retained: seen.append(client.received.get(11)))
        broker.send(PUBLISH, topic="t", props=[(11, identifier)])
        client.world.serve(client, 50)
        equal(seen, [[identifier]])
    broker.done()


def test_every_packet_that_leaves_is_what_another_codec_takes():
    broker, client = connected5(
        user="u", password="p", keepalive=4
    )  # packets5.decode looks at each flag and each field
    for qos in (0, 1, 2):
        broker.expect(PUBLISH, qos=qos, dup=0, topic="a/b", payload="x")
        if qos:
            broker.reply(PUBACK if qos == 1 else PUBREC)
        if qos == 2:
            broker.expect(PUBREL)
            broker.reply(PUBCOMP)
        client.publish("a/b", "x", qos=qos)
    broker.expect(SUBSCRIBE, filters=[("a/#", 2)])
    broker.reply(SUBACK, codes=(2,))
    client.subscribe("a/#", 2)
    broker.expect(UNSUBSCRIBE, filters=["a/#", "b"])
    broker.reply(UNSUBACK, codes=(0, 17))
    client.unsubscribe(["a/#", "b"])
    broker.expect(PINGREQ)
    client.ping()
    broker.expect(DISCONNECT, reason=0, props=[])
    broker.expect_end()
    client.disconnect()
    broker.done()


def test_a_prepared_topic_is_published_by_the_clients_own_call():
    from umqtt.publisher import Publisher

    broker, client = connected5()
    for qos in (0, 1):
        prepared = Publisher(client, "t", qos=qos)
        broker.expect(PUBLISH, qos=qos, topic="t", payload=b"x", props=[])
        if qos:
            broker.reply(PUBACK)
        prepared.publish(b"x")
    broker.done()


def test_a_stream_goes_out_with_no_properties():
    import io

    from umqtt import stream

    broker, client = connected5(tx_size=32, props=[(33, 1)])
    broker.expect(PUBLISH, qos=1, pid=1)
    client.publish("t", "x", qos=1, wait=False)
    broker.wait(20)
    broker.send(PUBACK, 1)  # the window has room for it then
    for qos in (1, 0):
        broker.expect(PUBLISH, qos=qos, topic="t", payload=b"y" * 300, props=[])
        if qos:
            broker.reply(PUBACK)
        stream.publish(client, "t", io.BytesIO(b"y" * 300), 300, qos=qos)
    broker.done()


def test_a_refused_stream_raises_as_well():
    import io

    from umqtt import stream
    from umqtt.errors import MQTTException

    broker, client = connected5(tx_size=32)
    broker.expect(PUBLISH, qos=1)
    broker.reply(PUBACK, reason=0x97)
    equal(raises(MQTTException, stream.publish, client, "t", io.BytesIO(b"y" * 300), 300, qos=1).args[0], 0x97)
    equal(client.inflight, 0)
    broker.done()


def test_a_refused_message_raises_in_words_and_is_not_repeated():
    from umqtt.errors import MQTTException

    broker, client = connected5()
    broker.expect(PUBLISH, qos=1, pid=1)
    broker.send(PUBACK, 1, reason=0x87, props=[(31, "topic is closed")])
    fault = raises(MQTTException, client.publish, "t", "x", qos=1)
    equal(fault.args, (0x87, "not authorised: check user and password: topic is closed"))
    broker.expect(PUBLISH, qos=2, pid=2)
    broker.send(PUBREC, 2, reason=0x97)
    fault = raises(MQTTException, client.publish, "t", "x", qos=2)  # no PUBREL
    equal(fault.args, (0x97, "quota exceeded"))
    equal(client.inflight, 0)
    broker.expect(PUBLISH, qos=1, pid=3)
    broker.send(PUBACK, 3, reason=0x10)  # nobody listens: no error
    equal(client.publish("t", "x", qos=1), 3)
    broker.done()


def test_a_refusal_ends_the_message_whose_packet_id_it_names_and_no_other():
    broker, client = connected5()
    ended = []
    client.on_ended = lambda packet_id, codes: ended.append((packet_id, codes))
    client.pid = 0x1233  # the one before
    for packet_id in (0x1234, 0x1235, 0x1236):
        broker.expect(PUBLISH, pid=packet_id)
        client.publish("t", "x", qos=1 if packet_id & 1 else 2, wait=False)
    broker.send(PUBACK, 0x1235, reason=0x97)
    broker.send(PUBREC, 0x1236, reason=0x97)
    broker.send(PUBACK, 0x1335, reason=0x97)  # of none that is in flight
    client.world.serve(client, 50)
    equal([client.pending(packet_id) for packet_id in (0x1234, 0x1235, 0x1236)], [True, False, False])
    broker.send(PUBREC, 0x1234)
    broker.expect(PUBREL, pid=0x1234)
    broker.send(PUBREC, 0x1234, reason=0x92)  # it has released it: to be asked again helps nobody
    client.world.serve(client, 50)
    equal(client.inflight, 0)
    equal(ended, [(0x1235, b"\x97"), (0x1236, b"\x97"), (0x1234, b"\x92")])
    broker.done()


def test_on_ended_has_the_reason_of_a_refusal():
    broker, client = connected5()
    ended = []
    client.on_ended = lambda packet_id, codes: ended.append((packet_id, codes))
    broker.expect(PUBLISH, qos=1, pid=1)
    client.publish("t", "x", qos=1, wait=False)
    broker.expect(PUBLISH, qos=2, pid=2)
    client.publish("t", "x", qos=2, wait=False)
    broker.expect(SUBSCRIBE, pid=3)
    client.subscribe([("a", 1), ("b", 0)], wait=False)
    broker.send(PUBREC, 2, reason=0x99)
    broker.send(PUBACK, 1, reason=0x90)
    broker.send(SUBACK, 3, codes=(1, 0x87))
    client.world.serve(client, 50)
    broker.done()
    equal(ended, [(2, b"\x99"), (1, b"\x90"), (3, b"\x01\x87")])


def test_acks_in_their_long_form_are_acks():
    broker, client = connected5()
    broker.expect(PUBLISH, qos=2, pid=1)
    broker.send(PUBREC, 1, long=1)
    broker.expect(PUBREL, pid=1)
    broker.send(PUBCOMP, 1, long=1, props=[(31, "done"), (38, ("a", "b"))])
    equal(client.publish("t", "x", qos=2), 1)
    broker.raw(b"\x50\x03\0\x09\x10")  # a PUBREC with a reason and no length of properties
    broker.expect(PUBREL, pid=9)
    client.world.serve(client, 50)
    broker.done()


def test_an_acknowledgement_larger_than_the_buffer_is_that_of_its_own_message():
    broker, client = connected5(rx_size=64)
    client.pid = 0x1233  # the one before
    words = [(31, "x" * 200)]
    for qos in (1, 2):
        broker.expect(PUBLISH, qos=qos)
        broker.reply(PUBACK if qos == 1 else PUBREC, reason=0x10, props=words)
        if qos == 2:
            broker.expect(PUBREL, pid=0x1235)
            broker.reply(PUBCOMP, props=words)
        equal(client.publish("t", "x", qos=qos, timeout_ms=100), 0x1233 + qos)
    broker.expect(SUBSCRIBE, pid=0x1236)
    broker.send(SUBACK, 0x1236, codes=(1,), props=words)
    equal(client.subscribe("s", 1, timeout_ms=100), b"\1")
    broker.done()


def test_topics_become_aliases_as_many_as_the_broker_takes():
    broker, client = connected5(props=[(34, 2)], topic_aliases=True)
    for topic, sent, props in (
        ("long/topic/1", "long/topic/1", [(35, 1)]),
        ("long/topic/1", "", [(35, 1)]),
        ("long/topic/2", "long/topic/2", [(35, 2)]),
        ("long/topic/3", "long/topic/3", []),
        ("t", "t", []),
        ("long/topic/2", "", [(35, 2)]),
    ):
        for qos in (0, 1):
            broker.expect(PUBLISH, topic=sent, props=props, qos=qos, dup=0)
            if qos:
                broker.reply(PUBACK)
            client.publish(topic, "x", qos=qos)
            sent = "" if props else sent
    broker.expect(PUBLISH, topic="", props=[(2, 9), (35, 2)])
    client.publish("long/topic/2", "x", expiry_s=9)
    broker.done()


def test_a_topic_that_is_no_longer_than_an_alias_and_a_client_that_only_takes_some_have_none():
    broker, client = connected5(props=[(34, 9)], topic_aliases=True)
    for topic, number in (("abc", 0), ("abcd", 1), ("abcde", 2)):
        broker.expect(PUBLISH, topic=topic, props=[(35, number)] if number else [])
        client.publish(topic, "x")
    for props in ([], [(34, 9)]):
        broker, client = connected5(props=props, properties={34: 5})
        broker.expect(PUBLISH, topic="long/topic", props=[])
        client.publish("long/topic", "x")
        broker.done()


def test_aliases_end_with_their_connection():
    broker, client = connected5(props=[(34, 2)], topic_aliases=True)
    broker.expect(PUBLISH, topic="long/topic", props=[(35, 1)], qos=1)
    broker.reply(PUBACK)
    client.publish("long/topic", "x", qos=1)
    broker.expect(PUBLISH, topic="", props=[(35, 1)], qos=1, pid=2)
    broker.cut()
    raises(OSError, client.publish, "long/topic", "x", qos=1)
    broker.expect(CONNECT)
    broker.send(CONNACK, sp=1)
    broker.expect(PUBLISH, topic="long/topic", props=[], qos=1, pid=2, dup=1)
    broker.reply(PUBACK)
    client.connect()
    client.world.serve(client, 50)
    broker.expect(PUBLISH, topic="long/topic", props=[])  # this broker takes none
    client.publish("long/topic", "x")
    broker.done()


def test_messages_in_flight_that_a_new_broker_cannot_take_are_lowered_or_end_the_attempt():
    from umqtt.errors import MQTTException

    broker, client = pair5()
    client.publish("t", "2", qos=2, wait=False)
    client.publish("t", "1", qos=1, wait=False)
    broker.expect(CONNECT)
    broker.send(CONNACK, props=[(36, 1)])
    for pid in (1, 2):
        broker.expect(PUBLISH, qos=1, pid=pid, dup=0)
        broker.send(PUBACK, pid)
    client.connect()
    client.world.serve(client, 50)
    broker.done()
    equal(client.inflight, 0)
    for props, code in (([(36, 0)], 0x9B), ([(37, 0)], 0x9A), ([(39, 20)], 0x95)):
        broker, client = pair5()
        client.publish("t", b"x" * 20, qos=1, retain=True, wait=False)
        broker.expect(CONNECT)
        broker.send(CONNACK, props=props)
        broker.expect_end()
        equal(raises(MQTTException, client.connect).args[0], code)
        broker.done()
        equal(client.inflight, 1)


def test_an_expiry_among_the_properties_counts_as_any_other():
    broker, client = pair5()
    client.publish("a", b"1", qos=1, wait=False, properties={38: [("k", "v")], 2: 60, 1: 1})
    client.publish("a", b"2", qos=1, wait=False, properties={2: 7}, expiry_s=50)
    client.world.clock.sleep_ms(20000)
    broker.expect(CONNECT)
    broker.send(CONNACK)
    broker.expect(PUBLISH, payload=b"1")
    broker.expect(PUBLISH, payload=b"2", props=[(2, 30)])
    client.connect()
    client.world.serve(client, 100)
    broker.done()
    equal(sorted(broker.got[-2].props), [(1, 1), (2, 40), (38, ("k", "v"))])


def test_topics_that_a_program_makes_up_do_not_fill_the_heap_with_aliases():
    broker, client = connected5(props=[(34, 65535)], topic_aliases=True)
    for n in range(40):
        broker.expect(PUBLISH, topic="long/topic/%d" % n, props=[(35, n + 1)] if n < 32 else [])
        client.publish("long/topic/%d" % n, "x")
    broker.expect(PUBLISH, topic="", props=[(35, 32)])
    client.publish("long/topic/31", "x")
    broker.done()
