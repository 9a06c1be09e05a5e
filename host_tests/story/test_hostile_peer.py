"""A broken or hostile broker: always ProtocolError or MQTTException with words, the socket closed, the session
sound, memory bounded."""

from fakes.bench import pair
from fakes.check import equal, raises
from fakes.packets import CONNACK, CONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBSCRIBE, encode

NOT_ON_ASYNCIO = ("test_random_bytes_end_in_words_or_in_nothing",)  # it looks into the client


def up(**named):
    broker, client = pair(**named)
    broker.accept()
    client.connect()
    return broker, client


def ends(raw, broker, client, call=None, *args, **named):
    """`raw` makes the call end in a ProtocolError with words, everything closed, and the client can connect again."""
    from umqtt.errors import ProtocolError

    if call is None:
        call, args = client.world.serve, (client, 2000)
    fault = raises(ProtocolError, call, *args, **named)
    assert len(str(fault)) > 8, fault
    assert not client.isconnected(), raw
    equal(client.world.net.open_sockets(), [], raw)
    assert client.diag()["error"], raw
    raises(OSError, client.poll)  # not a second ProtocolError, not an IndexError
    inflight = client.inflight
    b2 = client.world.broker
    b2.steps.clear()
    b2.failure = None
    b2.accept(sp=1)
    for _ in range(inflight):
        b2.expect(PUBLISH, dup=1)
    equal(client.connect(), True)
    client.world.clock.run_due()
    b2.done()
    equal(client.inflight, inflight)


BAD = (
    ("packet type 0", b"\0\0"),
    ("packet type 0 with a body", b"\0\2\0\1"),
    ("packet type 15", b"\xf0\0"),
    ("CONNECT from a broker", encode(CONNECT)),
    ("SUBSCRIBE from a broker", encode(SUBSCRIBE, 1, filters=[("a", 0)])),
    ("UNSUBSCRIBE from a broker", b"\xa2\5\0\1\0\1a"),
    ("PINGREQ from a broker", b"\xc0\0"),
    ("DISCONNECT from a broker", b"\xe0\0"),
    ("CONNACK again", encode(CONNACK)),
    ("remaining length of five bytes", b"\x30\xff\xff\xff\xff\x01"),
    ("remaining length that never ends", b"\x30\xff\xff\xff\xff\xff\xff"),
    ("PUBLISH with QoS 3", b"\x36\5\0\1t\0\1"),
    ("PUBLISH QoS 0 with DUP", b"\x38\4\0\1tx"),
    ("PUBLISH without a topic length", b"\x30\1\0"),
    ("PUBLISH of nothing", b"\x30\0"),
    ("PUBLISH with a topic longer than the packet", b"\x30\4\0\7ab"),
    ("PUBLISH with a topic that ends where the id should be", b"\x32\3\0\1t"),
    ("PUBLISH with half an id", b"\x32\4\0\1t\0"),
    ("PUBLISH with id 0", b"\x32\6\0\1t\0\0x"),
    ("PUBLISH QoS 2 with id 0", b"\x34\6\0\1t\0\0x"),
    ("PUBACK with id 0", b"\x40\2\0\0"),
    ("PUBREL with id 0", b"\x62\2\0\0"),
    ("PUBACK of 1 byte", b"\x40\1\1"),
    ("PUBACK of 3 bytes", b"\x40\3\0\1\0"),
    ("PUBACK of 0 bytes", b"\x40\0"),
    ("PUBACK with flags", b"\x42\2\0\1"),
    ("PUBREC with flags", b"\x51\2\0\1"),
    ("PUBREL with flags 0", b"\x60\2\0\1"),
    ("PUBREL of 4 bytes", b"\x62\4\0\1\0\0"),
    ("PUBCOMP of 1 byte", b"\x70\1\1"),
    ("SUBACK without codes", b"\x90\2\0\1"),
    ("SUBACK of 1 byte", b"\x90\1\1"),
    ("SUBACK with flags", b"\x91\3\0\1\0"),
    ("SUBACK larger than the buffer", b"\x90\xff\x7f" + b"\0\1" + b"\0" * 300),
    ("UNSUBACK of 3 bytes", b"\xb0\3\0\1\0"),
    ("PINGRESP with a body", b"\xd0\1\0"),
    ("PINGRESP with flags", b"\xd1\0"),
)


def test_every_broken_packet_ends_the_link_with_words():
    for name, raw in BAD:
        broker, client = up()
        broker.raw(raw)
        try:
            ends(raw, broker, client)
        except AssertionError as error:
            raise AssertionError("%s: %s" % (name, error))


def test_every_broken_packet_byte_by_byte():
    for name, raw in BAD:
        broker, client = up()
        broker.raw_each(raw[:40])
        if len(raw) <= 40 or raw[0] == 0x90:
            try:
                ends(raw, broker, client)
            except AssertionError as error:
                raise AssertionError("%s: %s" % (name, error))


def test_every_broken_packet_leaves_messages_in_flight_sound():
    for name, raw in BAD:
        broker, client = up()
        broker.expect(PUBLISH, pid=1)
        client.publish("t", "x", qos=2, wait=False)
        client.world.clock.run_due()
        if raw in (b"\x40\2\0\1",):
            continue
        broker.raw(raw)
        try:
            ends(raw, broker, client)
        except AssertionError as error:
            raise AssertionError("%s: %s" % (name, error))


def test_an_ack_of_the_wrong_kind_for_a_message_in_flight():
    for qos, ack in ((1, PUBREC), (1, PUBCOMP), (2, PUBCOMP)):
        broker, client = up()
        broker.expect(PUBLISH, pid=1)
        client.publish("t", "x", qos=qos, wait=False)
        client.world.clock.run_due()
        broker.send(ack, 1)
        ends(ack, broker, client)


def test_what_comes_instead_of_connack():
    from umqtt.errors import ProtocolError

    for raw in (
        encode(PUBLISH, topic="t", payload="x"),
        encode(PUBACK, 1),
        b"\xd0\0",
        b"\x21\2\0\0",
        b"\x20\1\0",
        b"\x20\3\0\0\0",
        b"\x20\0",
        b"\x20\2\2\0",
        b"\x20\2\xff\0",
        b"\0\0",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x15\3\3\0\2\2\x50",  # a TLS alert
        b"SSH-2.0-OpenSSH_9\r\n",
    ):
        broker, client = pair()
        broker.expect(CONNECT)
        broker.raw(raw)
        fault = raises(ProtocolError, client.connect)
        assert len(str(fault)) > 5
        equal(client.world.net.open_sockets(), [])
        assert not client.isconnected()


def test_session_present_together_with_a_refusal_is_a_refusal():
    from umqtt.errors import MQTTException

    broker, client = pair()
    broker.expect(CONNECT)
    broker.raw(b"\x20\2\1\5")
    equal(raises(MQTTException, client.connect).args[0], 5)


def test_a_stream_that_ends_in_the_middle_of_each_packet_is_an_os_error_and_the_session_is_sound():
    for raw in (
        encode(PUBLISH, topic="t", payload="x"),
        encode(PUBLISH, 3, topic="t", payload="x" * 200, qos=2),
        encode(PUBREL, 3),
        encode(PUBACK, 3),
        b"\xd0\0",
        b"\x90\3\0\3\0",
    ):
        for k in range(len(raw)):
            for how in ("fin", "rst"):
                broker, client = up()
                broker.raw(raw[:k])
                broker.cut(how)
                raises(OSError, client.world.serve, client, 100)
                assert not client.isconnected()
                equal(client.world.inbox, [])
                broker.accept(sp=1)
                client.connect()
                broker.done()


def test_a_peer_that_sends_part_of_a_packet_and_stays_silent_is_noticed():
    for raw in (b"\x30", b"\x30\x64", b"\x30\x64\0\1t", b"\x30\x80"):
        broker, client = up(keepalive=10)
        broker.auto_ping = False
        broker.raw(raw)
        began_ms = client.world.clock.now
        broker.expect(12)
        raises(OSError, client.world.serve, client, 60000)
        assert client.world.clock.now - began_ms <= 15001, client.world.clock.now - began_ms


def test_a_broker_that_releases_no_qos_2_message_goes_on_with_its_latest_ids_held():
    broker, client = up()

    def send(pid):
        broker.send(PUBLISH, pid, qos=2)
        broker.expect(PUBREC, pid=pid)
        client.poll(10)

    for pid in range(1, 1500):
        send(pid)
    equal((len(client.world.inbox), client.isconnected()), (1499, True))
    for pid in (1499, 480):  # the latest 1,024 are known when they come again
        send(pid)
    equal(len(client.world.inbox), 1499)
    assert "releases no QoS 2 message" in client.diag()["error"], client.diag()


def test_a_message_without_a_topic_is_acknowledged_dropped_and_told_whatever_its_size():
    # NATS 2.10 sends a resumed message so beside the whole one, and again on each link until it is acknowledged
    for payload in ("x", "x" * 200):
        for whole_too in (True, False):
            broker, client = up(rx_size=64)
            client.on_oversize = lambda *size: client.world.inbox.append(size)
            for qos, pid, answer in ((0, 1, None), (1, 2, PUBACK), (2, 3, PUBREC)):
                if whole_too:
                    broker.send(PUBLISH, 7, qos=2, topic="a/b", payload="whole")
                    broker.expect(PUBREC, pid=7)
                for dup in range(1 + (qos > 0)):
                    broker.send(PUBLISH, pid, qos=qos, topic="", payload=payload, dup=dup)
                    if answer:
                        broker.expect(answer, pid=pid)
            broker.send(PUBREL, 3)
            broker.expect(PUBCOMP, pid=3)
            broker.send(PUBLISH, topic="a/b", payload="later")
            client.world.serve(client, 100)
            broker.done()
            assert client.isconnected()
            equal([message[1] for message in client.world.inbox], [b"whole", b"later"] if whole_too else [b"later"])
            assert "PUBLISH without its topic" in client.diag()["error"], client.diag()


def test_a_repeated_suback_and_unknown_ones_are_taken_calmly():
    broker, client = up()
    broker.raw(b"\x90\3\0\x09\0\xb0\2\0\x09")
    client.world.serve(client, 20)
    assert client.isconnected()
    broker.done()


def test_suback_codes_that_do_not_exist_are_a_protocol_error():
    for code in (3, 4, 0x7F, 0x81, 0xFF):
        broker, client = up()
        broker.expect(SUBSCRIBE)
        broker.raw(bytes([0x90, 3, 0, 1, code]))
        ends(code, broker, client, client.subscribe, "a", 1) if False else None
        from umqtt.errors import ProtocolError

        raises(ProtocolError, client.subscribe, "a", 1)


def test_random_bytes_end_in_words_or_in_nothing():
    from umqtt.errors import MQTTException

    seed = 12345
    for turn in range(400):
        broker, client = up(rx_size=64, keepalive=0)
        raw = bytearray()
        for _ in range(turn % 60 + 1):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            raw.append(seed >> 16 & 255)
        broker.steps.clear()
        sent = bytes(raw)
        broker._came = lambda packet: None
        broker.raw(sent)
        try:
            client.world.serve(client, 100)
        except (OSError, MQTTException):
            equal(client.world.net.open_sockets(), [], sent)
        assert len(client._receive_buf) == 64 and len(client._send_buf) <= 256
