"""Bad arguments: ValueError that says what is wrong, before a byte is sent, a slot taken or anything changed."""

from fakes.bench import World, pair
from fakes.check import equal, raises

NOT_ON_ASYNCIO = ()


def up(**named):
    b, c = pair(**named)
    b.accept()
    c.connect()
    return b, c


def picture(c):
    slots = [list(m) for m in c._packet_slots]
    return slots, c.pid, c.inflight, c._slots_sent, dict(c._granted_qos), c._send_blocked, bytes(c._send_buf)


def refused(b, c, f, *args, **named):
    writes = len(c.world.link.writes)
    before = picture(c)
    e = raises(ValueError, f, *args, **named)
    assert str(e), e
    equal(
        picture(c),
        before,
        "%r" % (args,),
    )
    c.world.clock.run_due()
    equal(len(c.world.link.writes), writes, "%r" % (args,))
    assert c.isconnected()
    b.done()
    return str(e)


def begins(words, name):
    assert words.startswith(name + ": "), words


TOPICS = ("", b"", "a/+", "+", "#", "a/#", "a#", "a\0", b"\xff", "x" * 65536, "ü" * 32768, 5, None, ["a"], b"\xc3")
FILTERS = ("", "a#", "#/a", "a/#/b", "a+/b", "+a", "a\0", "x" * 65536, 5, b"\xff")


def test_topics():
    b, c = up()
    for t in TOPICS:
        for qos in (0, 1, 2):
            begins(refused(b, c, c.publish, t, "x", qos=qos), "topic")


def test_payloads():
    b, c = up()
    for p in (5, None, 1.5, ["x"], {"a": 1}, object()):
        for qos in (0, 1):
            words = refused(b, c, c.publish, "t", p, qos=qos)
            begins(words, "msg")
            assert type(p).__name__ in words and "str(x) or json.dumps(x)" in words, words


def test_qos():
    b, c = up()
    for qos in (3, -1, 4, "1", 1.5, b"1"):
        begins(refused(b, c, c.publish, "t", "x", qos=qos), "qos")
        begins(refused(b, c, c.subscribe, "t", qos), "qos")


def test_filters():
    b, c = up()
    for f in FILTERS:
        refused(b, c, c.subscribe, f, 1)
        refused(b, c, c.unsubscribe, f)
        begins(refused(b, c, c.subscribe, [("fine", 1), (f, 1)]), "filter")
    refused(b, c, c.subscribe, [])
    refused(b, c, c.unsubscribe, [])
    refused(b, c, c.subscribe, None)
    refused(b, c, c.subscribe, 7)
    refused(b, c, c.unsubscribe, None)
    refused(b, c, c.subscribe, ["a", "b"])
    refused(b, c, c.subscribe, [("a", 3)])


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
        w = World()

        def make():
            w.client(**named).connect()

        words = str(raises(ValueError, make))
        assert words.startswith(begin), words
        equal(w.net.dialled, [], named)


def test_a_bad_connect_leaves_the_connection_that_is_up():
    b, c = up()
    c.keepalive = 70000
    raises(ValueError, c.connect)
    assert c.isconnected()


def test_wills():
    w = World()
    c = w.client()
    for name, args in (
        ("topic", ("", "x")),
        ("topic", ("a/#", "x")),
        ("qos", ("a", "x", False, 3)),
        ("msg", ("a", 5)),
        ("topic", (None, "x")),
        ("topic", ("a\0", "x")),
    ):
        begins(str(raises(ValueError, lambda: c.set_last_will(*args))), name)
    w.broker.accept(will=None)
    c.connect()
    w.broker.done()


def test_sizes_and_windows():
    w = World()
    for named in ({"inflight": 0}, {"inflight": -1}, {"rx_size": 4}, {"tx_size": 4}):
        raises(ValueError, w.client, **named)


def test_str_and_bytes_are_both_right_everywhere():
    from fakes.packets import SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE

    for kind in (str, bytes):

        def k(s):
            return s if kind is str else s.encode()

        w = World()
        b = w.broker
        c = w.client(k("dev-ü"), user=k("ann"), password=k("pw"))
        c.set_last_will(k("w/ü"), k("weg"))
        b.accept(client_id="dev-ü", user="ann", password=b"pw", will=("w/ü", b"weg", 0, 0))
        c.connect()
        b.expect(SUBSCRIBE, filters=[("室/#", 1)])
        b.send(SUBACK, 1, codes=(1,))
        c.subscribe(k("室/#"), 1)
        b.expect(UNSUBSCRIBE, filters=["室/#"])
        b.send(UNSUBACK, 2)
        c.unsubscribe(k("室/#"))
        b.done()


def test_calls_before_connect_say_that_there_is_no_connection():
    c = World().client()
    for call in (
        lambda: c.publish("t", "x"),
        lambda: c.publish("t", "x", qos=1),
        lambda: c.subscribe("a"),
        c.poll,
        c.ping,
    ):
        e = raises(OSError, call)
        assert e.args[0] != -1 and "connect" in str(e), e
    equal(c.inflight, 0)
    c.disconnect()


def test_a_list_of_filters_is_for_subscribe_or_for_unsubscribe():
    b, c = pair()
    b.accept()
    c.connect()
    for args in (([("a", None)],), ([("a", None), ("b", 1)],), (["ab"],), ([5],), ([("a", 1, 2)],), ("a", None)):
        refused(b, c, c.subscribe, *args)
    for filters in ([("a", 1)], [5], [None]):
        refused(b, c, c.unsubscribe, filters)
    equal((c.inflight, c._send_blocked), (0, False))
    b.done()
