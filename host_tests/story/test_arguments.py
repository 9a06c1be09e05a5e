"""Bad arguments: ValueError that says what is wrong, before a byte is sent, a slot taken or anything changed."""

from fakes.bench import World, pair
from fakes.check import equal, raises

NOT_ON_ASYNCIO = ()


def up(**named):
    broker, client = pair(**named)
    broker.accept()
    client.connect()
    return broker, client


def picture(client):
    slots = [list(slot) for slot in client._packet_slots]
    return (
        slots,
        client.pid,
        client.inflight,
        client._slots_sent,
        dict(client._granted_qos),
        client._send_blocked,
        bytes(client._send_buf),
    )


def refused(broker, client, call, *args, **named):
    writes = len(client.world.link.writes)
    before = picture(client)
    fault = raises(ValueError, call, *args, **named)
    assert str(fault), fault
    equal(
        picture(client),
        before,
        "%r" % (args,),
    )
    client.world.clock.run_due()
    equal(len(client.world.link.writes), writes, "%r" % (args,))
    assert client.isconnected()
    broker.done()
    return str(fault)


def begins(words, name):
    assert words.startswith(name + ": "), words


TOPICS = ("", b"", "a/+", "+", "#", "a/#", "a#", "a\0", b"\xff", "x" * 65536, "ü" * 32768, 5, None, ["a"], b"\xc3")
FILTERS = ("", "a#", "#/a", "a/#/b", "a+/b", "+a", "a\0", "x" * 65536, 5, b"\xff")


def test_topics():
    broker, client = up()
    for topic in TOPICS:
        for qos in (0, 1, 2):
            begins(refused(broker, client, client.publish, topic, "x", qos=qos), "topic")


def test_payloads():
    broker, client = up()
    for payload in (5, None, 1.5, ["x"], {"a": 1}, object()):
        for qos in (0, 1):
            words = refused(broker, client, client.publish, "t", payload, qos=qos)
            begins(words, "msg")
            assert type(payload).__name__ in words and "str(x) or json.dumps(x)" in words, words


def test_qos():
    broker, client = up()
    for qos in (3, -1, 4, "1", 1.5, b"1"):
        begins(refused(broker, client, client.publish, "t", "x", qos=qos), "qos")
        begins(refused(broker, client, client.subscribe, "t", qos), "qos")


def test_filters():
    broker, client = up()
    for filter in FILTERS:
        refused(broker, client, client.subscribe, filter, 1)
        refused(broker, client, client.unsubscribe, filter)
        begins(refused(broker, client, client.subscribe, [("fine", 1), (filter, 1)]), "filter")
    refused(broker, client, client.subscribe, [])
    refused(broker, client, client.unsubscribe, [])
    refused(broker, client, client.subscribe, None)
    refused(broker, client, client.subscribe, 7)
    refused(broker, client, client.unsubscribe, None)
    refused(broker, client, client.subscribe, ["a", "b"])
    refused(broker, client, client.subscribe, [("a", 3)])


def test_connect_checks_before_it_dials_and_names_the_argument():
    for begin, named in (
        ("client id", {"client_id": ""}),
        ("client_id", {"client_id": "a\0"}),
        ("client id", {"client_id": "x" * 24, "protocol": 3}),
        ("client id", {"client_id": "", "protocol": 3, "clean_session": True}),
        ("password", {"password": "p"}),
        ("user", {"user": "u\0"}),
        ("user", {"user": 5}),
        ("password", {"user": "u", "password": "x" * 65536}),
        ("password", {"user": "u", "password": 1234}),
        ("keepalive", {"keepalive": -1}),
        ("keepalive", {"keepalive": 65536}),
        ("keepalive", {"keepalive": 1.5}),
        ("keepalive", {"keepalive": "sixty"}),
        ("protocol", {"protocol": 5}),
        ("client_id", {"client_id": None}),
        ("client_id", {"client_id": 5}),
    ):
        world = World()

        def make():
            world.client(**named).connect()

        words = str(raises(ValueError, make))
        assert words.startswith(begin), words
        equal(world.net.dialled, [], named)


def test_a_bad_connect_leaves_the_connection_that_is_up():
    broker, client = up()
    client.keepalive = 70000
    raises(ValueError, client.connect)
    assert client.isconnected()


def test_wills():
    world = World()
    client = world.client()
    for name, args in (
        ("topic", ("", "x")),
        ("topic", ("a/#", "x")),
        ("qos", ("a", "x", False, 3)),
        ("msg", ("a", 5)),
        ("topic", (None, "x")),
        ("topic", ("a\0", "x")),
    ):
        begins(str(raises(ValueError, lambda: client.set_last_will(*args))), name)
    world.broker.accept(will=None)
    client.connect()
    world.broker.done()


def test_sizes_and_windows():
    world = World()
    for named in ({"inflight": 0}, {"inflight": -1}, {"rx_size": 4}, {"tx_size": 4}):
        raises(ValueError, world.client, **named)


def test_str_and_bytes_are_both_right_everywhere():
    from fakes.packets import SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE

    for kind in (str, bytes):

        def call(text):
            return text if kind is str else text.encode()

        world = World()
        broker = world.broker
        client = world.client(call("dev-ü"), user=call("ann"), password=call("pw"))
        client.set_last_will(call("w/ü"), call("weg"))
        broker.accept(client_id="dev-ü", user="ann", password=b"pw", will=("w/ü", b"weg", 0, 0))
        client.connect()
        broker.expect(SUBSCRIBE, filters=[("室/#", 1)])
        broker.send(SUBACK, 1, codes=(1,))
        client.subscribe(call("室/#"), 1)
        broker.expect(UNSUBSCRIBE, filters=["室/#"])
        broker.send(UNSUBACK, 2)
        client.unsubscribe(call("室/#"))
        broker.done()


def test_calls_before_connect_say_that_there_is_no_connection():
    client = World().client()
    for call in (
        lambda: client.publish("t", "x"),
        lambda: client.publish("t", "x", qos=1),
        lambda: client.subscribe("a"),
        client.poll,
        client.ping,
    ):
        fault = raises(OSError, call)
        assert fault.args[0] != -1 and "connect" in str(fault), fault
    equal(client.inflight, 0)
    client.disconnect()


def test_a_list_of_filters_is_for_subscribe_or_for_unsubscribe():
    broker, client = pair()
    broker.accept()
    client.connect()
    for args in (([("a", None)],), ([("a", None), ("b", 1)],), (["ab"],), ([5],), ([("a", 1, 2)],), ("a", None)):
        refused(broker, client, client.subscribe, *args)
    for filters in ([("a", 1)], [5], [None]):
        refused(broker, client, client.unsubscribe, filters)
    equal((client.inflight, client._send_blocked), (0, False))
    broker.done()
