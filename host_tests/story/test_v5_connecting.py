"""Connecting with MQTT 5: CONNECT with its properties and the will, CONNACK that is obeyed, AUTH, a broker that knows
3.1.1 only."""

from fakes.bench import pair
from fakes.bench5 import client5, connected5, pair5, world5
from fakes.check import equal, raises
from fakes.packets import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PUBACK,
    PUBLISH,
    SUBACK,
    SUBSCRIBE,
)
from fakes.packets5 import AUTH, encode

NOT_ON_ASYNCIO = ()


def test_connect_says_level_5_and_how_long_the_session_lives():
    broker, client = pair5()
    broker.expect(
        CONNECT, level=5, clean=0, keepalive=60, client_id="c1", props=[(17, 0xFFFFFFFF)], will=None, user=None
    )
    broker.send(CONNACK)
    equal(client.connect(), False)
    broker.done()
    equal(client.connack, {})


def test_a_clean_session_of_no_length_says_nothing_of_it():
    broker, client = pair5(clean_session=True)
    broker.expect(CONNECT, clean=1, props=[])
    broker.send(CONNACK)
    client.connect()
    broker.done()


def test_all_properties_of_connect_and_of_the_will_leave_as_they_are_asked_for():
    asked = {33: 20, 34: 3, 39: 2000, 25: 1, 23: 0, 38: [("a", "b"), ("a", "c")]}
    broker, client = pair5(user="u", password="", session_expiry_s=60, properties=asked)
    will = {38: [("k", "v")], 1: 1}
    client.set_last_will("w", "gone", True, 1, delay_s=30, properties=will)
    broker.expect(CONNECT, user="u", password=b"")
    broker.send(CONNACK)
    client.connect()
    broker.done()
    (connect,) = broker.got
    equal(
        sorted(connect.props),
        sorted([(33, 20), (34, 3), (39, 2000), (25, 1), (23, 0), (38, ("a", "b")), (38, ("a", "c")), (17, 60)]),
    )
    equal(connect.will[:4], ("w", b"gone", 1, 1))
    equal(sorted(connect.will[4]), [(1, 1), (24, 30), (38, ("k", "v"))])


def test_a_will_leaves_with_its_own_qos_and_retain_flag():
    for qos in (0, 1, 2):
        for retain in (False, True):
            broker, client = pair5()
            client.set_last_will("w", "gone", retain, qos)
            broker.expect(CONNECT)
            broker.send(CONNACK)
            client.connect()
            equal(broker.got[0].will, ("w", b"gone", retain, qos, []))
            broker.done()


def test_a_password_needs_no_user_and_an_empty_id_no_clean_session():
    broker, client = pair5(client_id="", password="secret")
    broker.expect(CONNECT, clean=0, client_id="", user=None, password=b"secret")
    broker.send(CONNACK, props=[(18, "made-for-you")])
    client.connect()
    equal(client.client_id, "made-for-you")
    broker.expect(DISCONNECT)
    broker.expect_end()
    client.disconnect()
    broker.expect(CONNECT, client_id="made-for-you")
    broker.send(CONNACK, sp=1)
    client.connect()
    broker.done()


def test_a_refused_connection_is_told_in_words_with_what_the_broker_says():
    from umqtt.errors import MQTTException

    broker, client = pair5()
    broker.expect(CONNECT)
    broker.send(CONNACK, reason=0x86, props=[(31, "no such user"), (38, ("a", "b"))])
    broker.expect_end()
    fault = raises(MQTTException, client.connect)
    equal(fault.args, (0x86, "bad user or password: no such user"))
    broker.expect(CONNECT)
    broker.send(CONNACK, reason=0xEE)
    fault = raises(MQTTException, client.connect)
    equal(fault.args, (0xEE, "reason code 0xee"))


def test_the_brokers_keep_alive_counts():
    broker, client = connected5(props=[(19, 8)], keepalive=60)
    broker.expect(PINGREQ)
    began = client.world.clock.now
    client.world.serve(client, 6500)
    broker.done()
    assert 5900 < broker.times[-1] - began < 6200, broker.times
    broker, client = connected5(props=[(19, 0)], keepalive=4)
    client.world.serve(client, 20000)
    broker.done()


def test_a_session_that_a_clean_start_cannot_have_is_a_protocol_error():
    from umqtt.errors import ProtocolError

    broker, client = pair5(clean_session=True)
    broker.expect(CONNECT)
    broker.send(CONNACK, sp=1)
    broker.expect(DISCONNECT, reason=0x82)
    broker.expect_end()
    raises(ProtocolError, client.connect)
    broker.done()


def test_a_broker_that_answers_to_a_connect_with_nonsense_is_told_so():
    from umqtt.errors import ProtocolError

    for packet, code in (
        (encode(CONNACK, sp=2), 0x81),
        (b"\x20\x02\0\0", 0x81),  # of MQTT 3.1.1
        (b"\x21\x03\0\0\0", 0x81),  # a flag that it has not
        (b"\x20\1\0", 0x81),
        (encode(CONNACK, props=[(33, 0)]), 0x82),
        (encode(CONNACK, props=[(36, 2)]), 0x82),
        (encode(CONNACK, props=[(33, 1), (33, 1)]), 0x82),
        (encode(CONNACK, props=[(2, 1)]), 0x81),
        (encode(PUBLISH, topic="t"), 0x82),
        (encode(SUBACK, 1, codes=(0,)), 0x82),
        (encode(DISCONNECT, reason=0x8B), 0x82),
        (encode(AUTH, reason=0x18, props=[(21, "m")]), 0x82),
    ):
        broker, client = pair5()
        broker.expect(CONNECT)
        broker.raw(packet)
        broker.expect(DISCONNECT, reason=code)
        broker.expect_end()
        try:
            raises(ProtocolError, client.connect)
            broker.done()
        except AssertionError as fault:
            raise AssertionError("%r: %s" % (packet, fault))
    broker, client = pair5(authentication=("m", lambda data: None))
    broker.expect(CONNECT)
    broker.raw(b"\xf1\0")
    broker.expect(DISCONNECT, reason=0x81)
    raises(ProtocolError, client.connect)
    broker.done()


def test_authentication_goes_on_until_the_broker_is_content():
    asked = []

    def answer(data):
        asked.append(data)
        return {None: b"first", b"challenge": b"proof", b"more": b""}.get(data)

    broker, client = pair5(authentication=("M", answer))
    broker.expect(CONNECT)
    broker.send(AUTH, reason=0x18, props=[(21, "M"), (22, b"challenge")])
    broker.expect(AUTH, reason=0x18)
    broker.send(CONNACK, props=[(21, "M"), (22, b"verified")])
    client.connect()
    equal(sorted(broker.got[0].props), [(17, 0xFFFFFFFF), (21, "M"), (22, b"first")])
    equal(asked, [None, b"challenge", b"verified"])
    equal(sorted(broker.got[-1].props), [(21, "M"), (22, b"proof")])
    broker.expect(AUTH, reason=0x19)
    broker.send(AUTH, reason=0x18, props=[(21, "M"), (22, b"more")])
    broker.expect(AUTH, reason=0x18)
    broker.send(AUTH, props=[(21, "M"), (22, b"end")])
    client.authenticate_again()
    client.world.serve(client, 50)
    equal(asked[3:], [None, b"more", b"end"])
    equal([sorted(packet.props) for packet in broker.got[-2:]], [[(21, "M"), (22, b"first")], [(21, "M"), (22, b"")]])
    broker.expect(PUBLISH)
    client.publish("t", "x")
    broker.expect(DISCONNECT)
    client.disconnect()
    assert "not connected" in str(raises(OSError, client.authenticate_again))
    equal(asked[6:], [])
    broker.done()


def test_who_does_not_believe_the_broker_ends_the_connection():
    from umqtt.errors import ProtocolError

    def answer(data):
        if data == b"forged":
            raise ValueError("not my broker")
        return b""

    broker, client = pair5(authentication=("M", answer))
    broker.expect(CONNECT)
    broker.send(CONNACK, props=[(21, "M"), (22, b"forged")])
    broker.expect(DISCONNECT, reason=0x87)
    broker.expect_end()
    assert "not my broker" in str(raises(ProtocolError, client.connect))
    assert not client.isconnected()
    broker, client = pair5(authentication=("M", answer))
    broker.expect(CONNECT)
    broker.send(AUTH, reason=0x18, props=[(21, "OTHER"), (22, b"x")])
    broker.expect(DISCONNECT, reason=0x82)
    raises(ProtocolError, client.connect)
    broker.done()


def test_a_broker_of_3_1_1_is_told_in_words():
    from umqtt.errors import MQTTException

    broker, client = pair5()
    broker.expect(CONNECT, level=5)
    broker.raw(b"\x20\x02\0\1")
    equal(raises(MQTTException, client.connect).args, (1, "protocol level refused"))
    broker.done()


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
    takes_it_for_4 = b"\x20\x02\0\0"
    for refusal in (b"\x20\x02\0\1", b"\x20\x03\0\x84\0", takes_it_for_4, b""):
        world = world5()
        broker = world.broker
        client = client5(world, protocol="auto")
        broker.codec = _Both()
        broker.expect(CONNECT, level=5)
        broker.raw(refusal)
        if refusal == takes_it_for_4:
            broker.expect_end()
        else:
            broker.cut()
        broker.expect(CONNECT, level=4)
        broker.raw(b"\x20\x02\0\0")
        equal(client.connect(), False)
        equal(client.protocol, 4)
        broker.expect(PUBLISH, qos=1, pid=1, topic="t", payload="x")
        broker.raw(b"\x40\x02\0\1")
        equal(
            client.publish("t", "x", qos=1, expiry_s=5, properties={38: [("a", "b")]}), 1
        )  # level 4 has no properties
        broker.expect(SUBSCRIBE, filters=[("s", 1)])
        broker.raw(b"\x90\x03\0\2\1")
        equal(client.subscribe("s", 1), b"\1")
        broker.raw(b"\x30\x04\0\1sy")
        broker.raw(b"\x32\x06\0\1s\0\7z")
        broker.expect(PUBACK, pid=7)
        client.world.serve(client, 50)
        equal(world.inbox, [(b"s", b"y", False), (b"s", b"z", False)])
        broker.expect(PUBLISH, qos=1, pid=3, dup=0)
        client.publish("t", "y", qos=1, wait=False)
        broker.expect(DISCONNECT)
        broker.expect_end()
        client.disconnect()
        broker.expect(CONNECT, level=4)
        broker.raw(b"\x20\x02\1\0")
        broker.expect(PUBLISH, qos=1, pid=3, dup=1)
        broker.raw(b"\x40\x02\0\3")
        equal(client.connect(), True)
        client.world.serve(client, 50)
        equal(client.inflight, 0)
        broker.done()


def test_a_broker_that_closed_whatever_it_was_asked_for_is_asked_for_5_again():
    from fakes import packets, packets5
    from umqtt.errors import MQTTException

    def refuses_the_link(broker, client):
        broker.call(lambda: client.world.net.peers.clear())
        broker.cut()

    def closes(broker, client):
        broker.cut()
        broker.expect(CONNECT, level=4)
        broker.cut()

    def lets_nobody_in(broker, client):
        broker.cut()
        broker.expect(CONNECT, level=4)
        broker.raw(b"\x20\x02\0\5")
        broker.cut()

    world = world5()
    world.net.peers.clear()
    raises(OSError, client5(world, protocol="auto").connect)
    equal(len(world.net.dialled), 1, "nobody was asked for anything")
    for fails, fault in ((refuses_the_link, OSError), (closes, OSError), (lets_nobody_in, MQTTException)):
        world = world5()
        broker = world.broker
        client = client5(world, protocol="auto")
        broker.expect(CONNECT, level=5)
        broker.call(lambda: setattr(broker, "codec", packets))  # noqa: B023
        fails(broker, client)
        raises(fault, client.connect)
        broker.done()
        broker.codec = packets5
        world.net.serve("broker.test", 1883, broker)
        broker.expect(CONNECT, level=5)
        broker.send(CONNACK)
        client.connect()
        equal(client.protocol, 5)
        broker.cut()
        raises(OSError, world.serve, client, 100)
        broker.expect(CONNECT, level=5)  # it has taken 5 once: that it closes now has another reason
        broker.cut()
        raises(OSError, client.connect)
        broker.expect(CONNECT, level=5)
        broker.send(CONNACK)
        client.connect()
        broker.done()


def test_level_4_is_asked_for_first_where_the_program_remembers_it_and_once_only():
    from fakes import packets, packets5

    world = world5()
    broker = world.broker
    client = client5(world, protocol="auto")
    client.protocol = 4
    broker.codec = packets
    broker.expect(CONNECT, level=4)
    broker.cut()
    raises(OSError, client.connect)
    broker.codec = packets5
    broker.expect(CONNECT, level=5)
    broker.send(CONNACK)
    client.connect()
    broker.done()


def test_auto_keeps_its_deadline_and_asks_who_never_answers_in_turn():
    world = world5()
    client = client5(world, protocol="auto", timeout_ms=3000)
    broker = world.broker
    broker.codec = _Both()
    broker.codec.codecs *= 2
    for level in (5, 4, 5):
        broker.expect(CONNECT, level=level)
        broker.expect_end()
        began = world.clock.now
        assert "no answer in time" in str(raises(OSError, client.connect))
        equal(world.clock.now - began, 3000)
        broker.done()


def test_a_client_that_reconnects_tries_4_at_once_and_tells_of_no_failure():
    from umqtt.reconnect import Reconnect

    told = []
    world = world5()
    broker = world.broker
    client = client5(world, protocol="auto", reconnect=Reconnect(on_state=lambda *state: told.append(state)))
    broker.codec = _Both()
    broker.expect(CONNECT, level=5)
    broker.raw(b"\x20\x02\0\1")
    broker.cut()
    broker.expect(CONNECT, level=4)
    broker.raw(b"\x20\x02\0\0")
    world.serve(client, 10)
    equal((client.isconnected(), told, broker.times[1] - broker.times[0] < 10), (True, [(True, "")], True))
    broker.done()


def test_each_broker_of_a_list_may_say_that_it_does_not_know_5():
    from fakes import packets
    from fakes.broker import Script
    from umqtt.reconnect import Reconnect

    world = world5()
    first = world.broker
    spare = Script(world.clock, codec=packets)
    world.net.serve("spare.test", 1883, spare)
    spare.codec = _Both()
    brokers = [("broker.test", 1883), ("spare.test", 1883)]
    client = client5(world, protocol="auto", reconnect=Reconnect(100, 100, brokers))
    first.expect(CONNECT, level=5)
    first.send(CONNACK)
    world.serve(client, 10)
    equal(client.isconnected(), True)
    first.expect(SUBSCRIBE, filters=[("t", 13)])
    first.reply(SUBACK, codes=(1,))
    client.subscribe("t", 13)
    first.cut()
    world.net.peers.pop(("broker.test", 1883))
    spare.expect(CONNECT, level=5)
    spare.raw(b"\x20\x02\0\1")
    spare.cut()
    spare.expect(CONNECT, level=4)
    spare.raw(b"\x20\x02\0\0")
    spare.expect(SUBSCRIBE, filters=[("t", 1)])
    spare.raw(b"\x90\x03\0\2\1")
    world.serve(client, 1000)
    equal((client.isconnected(), client.protocol), (True, 4))
    spare.done()


def test_the_connection_that_ends_an_old_session_tells_the_level_too():
    from umqtt.reconnect import Reconnect

    world = world5()
    broker = world.broker
    client = client5(world, protocol="auto", reconnect=Reconnect(10, 10, wipe_first=True))
    broker.codec = _Both()
    broker.expect(CONNECT, level=5)
    broker.raw(b"\x20\x02\0\1")
    broker.cut()
    broker.expect(CONNECT, level=4, clean=1)
    broker.raw(b"\x20\x02\0\0")
    broker.expect(DISCONNECT)
    broker.expect_end()
    broker.expect(CONNECT, level=4, clean=0)
    broker.raw(b"\x20\x02\0\0")
    world.serve(client, 100)
    equal(client.isconnected(), True)
    broker.done()


def test_a_refusal_of_another_kind_is_not_tried_with_4():
    from umqtt.errors import MQTTException

    broker, client = pair5(protocol="auto")
    broker.expect(CONNECT, level=5)
    broker.send(CONNACK, reason=0x87)
    equal(raises(MQTTException, client.connect).args[0], 0x87)
    equal(client.protocol, 5)
    broker.done()


def test_the_client_of_3_1_1_says_where_mqtt_5_is():
    broker, client = pair(protocol=5)
    fault = raises(ValueError, client.connect)
    assert "umqtt.v5" in str(fault), fault


def test_a_reconnecting_client_asks_again_soon_where_that_is_of_use():
    from umqtt.reconnect import Reconnect

    for code, asks_again in ((0x89, True), (0x86, False), (0x87, False), (0x85, False)):
        told = []
        broker, client = pair5(reconnect=Reconnect(on_state=lambda up, error: told.append(error)))
        broker.expect(CONNECT)
        broker.send(CONNACK, reason=code)
        broker.cut()
        broker.expect(CONNECT)
        broker.send(CONNACK)
        client.world.serve(client, 4000)
        equal(client.isconnected(), asks_again, hex(code))
        equal(len(told), 1 + asks_again)


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
        return (
            without
            + b",p="
            + b64encode(bytes([key_byte ^ signed_byte for key_byte, signed_byte in zip(key, signature)]))
        )

    broker, client = pair5(authentication=("SCRAM-SHA-256", scram))
    broker.expect(CONNECT)
    broker.send(AUTH, reason=0x18, props=[(21, "SCRAM-SHA-256"), (22, first)])
    broker.expect(AUTH, reason=0x18)
    broker.send(CONNACK, props=[(21, "SCRAM-SHA-256"), (22, verified)])
    client.connect()
    broker.done()
    equal(dict(broker.got[0].props)[22], b"n,," + bare)
    assert dict(broker.got[1].props)[22].endswith(proof), broker.got[1]


def test_a_session_expiry_among_the_properties_is_the_clients():
    broker, client = pair5(properties={17: 60})
    broker.expect(CONNECT, props=[(17, 60)])
    broker.send(CONNACK)
    client.connect()
    equal(client.session_expiry_s, 60)
    broker.done()


def test_a_broker_of_level_4_is_asked_for_no_options_of_subscriptions():
    world = world5()
    broker = world.broker
    client = client5(world, protocol="auto")
    long = "l" * 300
    client.subscribe([(long, 5), ("b/+", 8)], 0, False)
    broker.codec = _Both()
    broker.expect(CONNECT, level=5)
    broker.raw(b"\x20\x02\0\1")
    broker.cut()
    broker.expect(CONNECT, level=4)
    broker.raw(b"\x20\x02\0\0")
    broker.expect(SUBSCRIBE, filters=[(long, 1), ("b/+", 0)])
    broker.raw(b"\x90\x04\0\1\1\0")
    client.connect()
    client.world.serve(client, 100)
    broker.expect(SUBSCRIBE, filters=[("c", 2)])
    broker.raw(b"\x90\x03\0\2\2")
    equal(client.subscribe("c", 2 + 8 + 16, identifier=3), b"\2")
    broker.expect(SUBSCRIBE, filters=[("d", 1), ("e", 0)])
    broker.raw(b"\x90\x04\0\3\1\0")
    equal(client.subscribe([("d", 1 + 8), ("e", 4)]), b"\1\0")
    broker.done()


def test_authentication_without_data_to_begin_with_sends_nothing_at_all():
    from umqtt.errors import ProtocolError

    def raises_it(data):
        raise RuntimeError("no key")

    for authenticate, words in (
        (raises_it, "authentication: no key"),
        (lambda data: 5, "authentication: data: str or bytes needed, not int: str(x) or json.dumps(x)"),
        (lambda data: bytes(65536), "authentication: data: over 65535 B"),
    ):
        broker, client = pair5(authentication=("M", authenticate))
        broker.expect_end()  # a DISCONNECT before CONNECT is no packet that a broker may get
        equal(raises(ProtocolError, client.connect).args, (words,))
        broker.done()


def test_a_topic_that_is_known_has_the_form_of_the_level_that_is_spoken_now():
    world = world5()
    broker = world.broker
    client = client5(world, protocol="auto")
    broker.codec = _Both()
    broker.codec.codecs.insert(0, broker.codec.codecs[0])  # the first two connections are of level 5
    topic = "t"
    broker.expect(CONNECT, level=5)
    broker.raw(b"\x20\x03\0\0\0")
    broker.expect(PUBLISH, topic=topic, payload="x", props=[])
    client.connect()
    client.publish(topic, "x")
    broker.cut()
    raises(OSError, world.serve, client, 10)
    broker.expect(CONNECT, level=5)
    broker.raw(b"\x20\x02\0\1")  # a broker of 3.1.1 has its place now
    broker.cut()
    broker.expect(CONNECT, level=4)
    broker.raw(b"\x20\x02\0\0")
    client.connect()
    for properties in (None, {3: "text"}):  # which this broker cannot read
        broker.expect(PUBLISH, topic=topic, payload="x")
        client.publish(topic, "x", properties=properties)
    broker.done()


def test_a_keepalive_is_a_number_of_16_bits():
    for keepalive in (0, 255, 256, 600, 65535):
        broker, client = pair5(keepalive=keepalive)
        broker.expect(CONNECT, keepalive=keepalive)
        broker.send(CONNACK)
        client.connect()
    broker, client = pair5(keepalive=65536)
    assert "keepalive: 0 to 65535 needed" in str(raises(ValueError, client.connect))
    equal(client.isconnected(), False)


def test_who_only_publishes_asks_for_a_sign_of_life_within_the_brokers_keep_alive_and_where_there_is_none_for_none():
    for keepalive in (20, 0):
        broker, client = connected5(props=[(19, keepalive)], keepalive=600)
        broker.data = lambda link, data: sent.append(data[0] >> 4)  # noqa: B023 - it answers nothing
        clock = client.world.clock
        sent = []
        began_ms = clock.now
        try:
            while clock.now - began_ms < 40_000:
                client.publish("t", "x")
                clock.sleep_ms(500)
                if PINGREQ not in sent:
                    asked_ms = clock.now - began_ms
            equal((keepalive, PINGREQ in sent), (0, False))
        except OSError:
            equal(keepalive, 20)
            assert 10_000 <= asked_ms <= 20_000 and clock.now - began_ms <= 30_000, (asked_ms, clock.now - began_ms)


def test_what_a_broker_says_in_a_connack_larger_than_the_buffer_counts():
    for present, size_b in ((0, 300), (1, 300), (0, 50), (1, 50), (1, 51)):  # of 50: just the buffer
        broker, client = pair5(rx_size=64)
        broker.expect(CONNECT)
        broker.send(CONNACK, sp=present, props=[(38, ("name", "v" * size_b)), (36, 1)])
        equal(client.connect(), bool(present))
        equal((client.connack[36], len(client.connack[38][0][1])), (1, size_b))
        broker.expect(PUBLISH, qos=1, pid=1)
        client.publish("t", "x", qos=2, wait=False)
        broker.done()


def test_an_expiry_counts_on_over_weeks_without_a_broker():
    broker, client = pair5()
    day_s = 86_400
    client.publish("t", "x", qos=1, wait=False, expiry_s=220 * day_s)
    client.world.net.plan.refuse = True
    for _ in range(14):  # ticks wrap after twelve
        client.world.clock.sleep_ms(day_s * 1000)
        raises(OSError, client.connect)
    client.world.net.plan.refuse = False
    broker.expect(CONNECT)
    broker.send(CONNACK)
    broker.expect(PUBLISH, props=[(2, 206 * day_s)])
    client.connect()
    client.world.serve(client, 10)
    broker.done()


def test_who_was_given_no_authentication_cannot_begin_one():
    broker, client = connected5()
    raises(ValueError, client.authenticate_again)
    equal(client.isconnected(), True)
