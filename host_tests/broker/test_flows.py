"""Every flow against a real Mosquitto, in MQTT 3.1 and 3.1.1, on CPython and MicroPython; its own log is the oracle."""

import itertools
import time

import pytest
from broker.real import served_until

from tools.mosqlog.events import Ack, Connack, Connected, Control, Ended, Filter, Granted, Publish, Removed, Will

numbers = itertools.count(1)
protocols = pytest.mark.parametrize("protocol", [3, 4])


@pytest.fixture
def name():
    return "dev%d" % next(numbers)


def connect(device, broker, name, **named):
    """A native client `c` on the device, connected."""
    args = ", ".join("%s=%r" % item for item in named.items())
    device.do("c = MQTTClient(%r, '127.0.0.1', %d, %s)" % (name, broker.port, args))
    device.do("c.set_callback(keep)")
    return device.do("c.connect()")


def packets(events):
    """The flow as the broker saw it: (name, sent by the broker, packet id)."""
    out = []
    for event in events:
        if isinstance(event, Publish):
            out.append(("PUBLISH", event.sent, event.pid))
        elif isinstance(event, Ack):
            out.append((event.name, event.sent, event.pid))
    return out


def has_end(events):
    return any(isinstance(event, Ended) for event in events)


@protocols
def test_connect_tells_the_broker_who_how_and_how_long(broker, device, name, protocol):
    connect(device, broker, name, protocol=protocol, keepalive=37, clean_session=True, user="ann")
    [event] = [event for event in broker.events(name) if isinstance(event, Connected)]
    assert (event.protocol, event.clean, event.keepalive_s, event.user) == (protocol, True, 37, "ann")
    [ack] = [event for event in broker.events(name) if isinstance(event, Connack)]
    assert (ack.code, ack.session_present) == (0, False)


@protocols
def test_disconnect_is_a_clean_end(broker, device, name, protocol):
    connect(device, broker, name, protocol=protocol)
    device.do("c.disconnect()")
    events = broker.wait(has_end, name, "the end")
    assert ("DISCONNECT", False) in [(event.name, event.sent) for event in events if isinstance(event, Control)]
    assert [event.how for event in events if isinstance(event, Ended)] == ["clean"]


@protocols
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("retain", [False, True])
def test_a_message_goes_out_once_with_the_flow_of_its_qos(broker, device, observer, name, protocol, qos, retain):
    connect(device, broker, name, protocol=protocol)
    payload = "21 °C"
    pid = device.do("c.publish('out/%s/ü', %r, retain=%r, qos=%d)" % (name, payload, retain, qos))
    assert observer.next()[:3] == ("out/%s/ü" % name, payload.encode(), qos)
    assert observer.rest() == []
    flow = packets(broker.events(name))
    if qos == 0:
        assert flow == [("PUBLISH", False, 0)]
    elif qos == 1:
        assert flow == [("PUBLISH", False, pid), ("PUBACK", True, pid)]
    else:
        assert flow == [("PUBLISH", False, pid), ("PUBREC", True, pid), ("PUBREL", False, pid), ("PUBCOMP", True, pid)]
    [publish] = [event for event in broker.events(name) if isinstance(event, Publish)]
    assert (publish.dup, publish.qos, publish.retain, publish.size_b) == (False, qos, retain, len(payload.encode()))
    if retain:
        observer.publish("out/%s/ü" % name, b"", retain=True)


@protocols
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_comes_in_once_with_the_flow_of_its_qos(broker, device, observer, name, protocol, qos):
    connect(device, broker, name, protocol=protocol)
    assert device.do("c.subscribe('in/%s', %d)" % (name, qos)) == bytes([qos])
    observer.publish("in/" + name, "室温 21", qos)
    assert device.do("serve(c, 60000, lambda: inbox)")
    wanted = {0: 1, 1: 2, 2: 4}[qos]
    served_until(device, lambda: len(packets(broker.events(name))) >= wanted)
    assert device.do("inbox") == [(b"in/" + name.encode(), "室温 21".encode(), False)]
    flow = packets(broker.events(name))
    pid = flow[0][2]
    assert (
        flow == [("PUBLISH", True, pid), ("PUBACK", False, pid)][: qos + 1]
        if qos < 2
        else [
            ("PUBLISH", True, pid),
            ("PUBREC", False, pid),
            ("PUBREL", True, pid),
            ("PUBCOMP", False, pid),
        ]
    )


@protocols
def test_subscribe_and_unsubscribe(broker, device, observer, name, protocol):
    connect(device, broker, name, protocol=protocol)
    granted = device.do("c.subscribe([('a/%s/+', 0), ('b/%s/#', 1), ('c/%s', 2)])" % (name, name, name))
    assert granted == b"\0\1\2"
    events = broker.events()
    assert [(event.filter, event.qos) for event in events if isinstance(event, Filter) and name in event.filter] == [
        ("a/%s/+" % name, 0),
        ("b/%s/#" % name, 1),
        ("c/" + name, 2),
    ]
    assert len([event for event in events if isinstance(event, Granted) and event.client == name]) == 3
    device.do("c.unsubscribe(['a/%s/+', 'c/%s'])" % (name, name))
    assert len([event for event in broker.events() if isinstance(event, Removed) and event.client == name]) == 2
    for topic in ("a/%s/x" % name, "c/" + name, "b/%s/x" % name):
        observer.publish(topic, topic)
    assert device.do("serve(c, 60000, lambda: inbox)")
    device.do("serve(c, 100)")
    assert device.do("[t for t, p, r in inbox]") == [b"b/%s/x" % name.encode()]


@protocols
def test_a_retained_message_is_received_with_its_flag(broker, device, observer, name, protocol):
    observer.publish("kept/" + name, "old", 1, retain=True)
    connect(device, broker, name, protocol=protocol)
    device.do("c.subscribe('kept/%s', 1)" % name)
    device.do("serve(c, 60000, lambda: inbox)")
    observer.publish("kept/" + name, "new", 1)
    device.do("serve(c, 60000, lambda: len(inbox) > 1)")
    assert device.do("[(p, r) for t, p, r in inbox]") == [(b"old", True), (b"new", False)]
    observer.publish("kept/" + name, "", 1, retain=True)


@protocols
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_will_comes_after_an_unclean_end_only(broker, make_device, observer, name, protocol, qos):
    for unclean in (False, True):
        device = make_device()
        device.do("c = MQTTClient(%r, '127.0.0.1', %d, protocol=%d)" % (name, broker.port, protocol))
        device.do("c.set_last_will('will/%s', 'gone ü', False, %d)" % (name, qos))
        device.do("c.connect()")
        [will] = [event for event in broker.events(name) if isinstance(event, Will)][-1:] or [None]
        assert will is None or (will.qos, will.retain, will.size_b) == (qos, False, 7)
        if unclean:
            device.kill()
            assert observer.next() == ("will/" + name, "gone ü".encode(), qos, False)
        else:
            device.do("c.disconnect()")
            broker.wait(has_end, name, "the end")
        assert observer.rest() == []


def test_heartbeat_inside_the_keep_alive(broker, device, name):
    # the broker would end it after 10.5 s; a ping is due after 5.3 s, and it or its answer may come 3 s late
    connect(device, broker, name, keepalive=7)
    device.do("serve(c, 11000)")
    assert device.do("c.isconnected()")
    pings = [
        event
        for event in broker.events(name)
        if isinstance(event, Control) and event.name == "PINGREQ" and not event.sent
    ]
    assert 1 <= len(pings) <= 6, pings
    assert not has_end(broker.events(name))


def test_ids_wrap_at_the_broker(broker, device, observer, name):
    connect(device, broker, name)
    device.do("c.pid = 65533")
    assert device.do("[c.publish('w', str(i), qos=1) for i in range(4)]") == [65534, 65535, 1, 2]
    assert [p[1] for p in (observer.next() for _ in range(4))] == [b"0", b"1", b"2", b"3"]
    got = [event.pid for event in broker.events(name) if isinstance(event, Publish)]
    assert got == [65534, 65535, 1, 2]


def test_a_kept_session_is_resumed_and_what_waited_is_delivered(broker, make_device, observer, name):
    device = make_device()
    assert connect(device, broker, name) is False
    device.do("c.subscribe('k/%s', 2)" % name)
    device.kill()
    broker.wait(has_end, name, "the end")
    for i in range(5):
        observer.publish("k/" + name, str(i), 2)
    device = make_device()
    assert connect(device, broker, name) is True
    assert device.do("serve(c, 60000, lambda: len(inbox) == 5)")
    device.do("serve(c, 200)")
    assert device.do("[p for t, p, r in inbox]") == [b"0", b"1", b"2", b"3", b"4"]
    assert [event.session_present for event in broker.events(name) if isinstance(event, Connack)] == [False, True]


def test_messages_in_flight_when_the_socket_dies_are_finished_once(broker, device, observer, name):
    connect(device, broker, name, inflight=8)
    for i in range(8):
        device.do("c.publish('f/%s', '%d', qos=2, wait=False)" % (name, i))
    device.do("c._socket.close()")  # behind the client's back
    with pytest.raises(Exception, match="OSError|ENOTCONN|9"):
        device.do("serve(c, 1000)")
    assert device.do("c.connect()") is True
    assert device.do("serve(c, 60000, lambda: c.inflight == 0)")
    assert [message[1] for message in observer.rest() if message[0] == "f/" + name] == [
        str(i).encode() for i in range(8)
    ]


def test_a_large_payload_goes_out_and_a_large_one_is_drained(broker, device, observer, name):
    connect(device, broker, name)
    device.do("c.publish('big/%s', b'x' * 50000, qos=2)" % name)
    assert observer.next()[1] == b"x" * 50000
    device.do("c.subscribe('in/%s', 2)" % name)
    device.do("setattr(c, 'on_oversize', lambda topic, size_b: None)")
    observer.publish("in/" + name, "y" * 50000, 2)
    observer.publish("in/" + name, "small", 2)
    assert device.do("serve(c, 60000, lambda: inbox)")
    assert device.do("[p for t, p, r in inbox]") == [b"small"]
    assert device.do("c.diag()['oversize']") == 1


def test_a_refused_login_says_so_in_words(make_broker, device, name):
    broker = make_broker(
        "allow_anonymous false\npassword_file $DIR/passwords\n",
        files={"passwords": real_line("ann", "right")},
    )
    connect(device, broker, name, user="ann", password="right")
    device.do("c.disconnect()")
    for user, password in (("ann", "wrong"), ("bob", "right"), (None, None)):
        with pytest.raises(Exception) as caught:
            connect(device, broker, name, user=user, password=password)
        assert caught.value.kind == "MQTTException" and caught.value.given[0] in (4, 5), caught.value
        assert "password" in str(caught.value)


def real_line(user, password):
    from broker.real import password_line

    return password_line(user, password)


def test_a_second_device_with_the_same_id_is_seen_as_an_end(broker, make_device, name):
    first, second = make_device(), make_device()
    connect(first, broker, name)
    connect(second, broker, name)
    with pytest.raises(Exception) as caught:
        first.do("serve(c, 60000)")
    assert caught.value.kind == "OSError", caught.value
    assert any(isinstance(caught, Ended) and caught.how == "takeover" for caught in broker.events(name))
    assert second.do("c.isconnected()")


def test_an_idle_subscriber_notices_a_broker_restart_and_is_subscribed_again(make_broker, device, make_observer, name):
    broker = make_broker()
    device.do(
        "c = MQTTClient(%r, '127.0.0.1', %d, keepalive=5, reconnect=Reconnect(first_ms=50, cap_ms=200))"
        % (name, broker.port)
    )
    device.do("c.set_callback(keep)")
    assert device.do("serve(c, 60000, c.isconnected)")
    device.do("c.subscribe('x/%s', 1)" % name)
    broker.stop()
    assert device.do("serve(c, 60000, lambda: not c.isconnected())")
    broker.start()
    served_until(device, lambda: sum(isinstance(event, Granted) for event in broker.events(name)) > 1)
    observer = make_observer(broker.port)
    observer.publish("x/" + name, "again", 1)
    assert device.do("serve(c, 60000, lambda: inbox)")
    assert device.do("inbox") == [(b"x/" + name.encode(), b"again", False)]


def test_a_subscriber_of_the_drop_in_keeps_up_with_a_fast_publisher(broker, device, observer, name):
    device.do("s = Simple(%r, '127.0.0.1', %d)" % (name, broker.port))
    device.do("s.set_callback(keep)")
    assert device.do("s.connect()") == 0
    device.do("s.subscribe(b'fast/%s', 1)" % name)
    for i in range(200):
        observer.publish("fast/" + name, "%d" % i, 1)
    end = time.monotonic() + 15
    while device.do("len(inbox)") < 200 and time.monotonic() < end:
        device.do("s.wait_msg()")
    assert device.do("[int(p) for t, p in inbox]") == list(range(200))
    device.do("s.publish(b'back/%s', b'done', qos=2)" % name)
    assert [message for message in observer.rest() if message[0] == "back/" + name] == [
        ("back/" + name, b"done", 2, False)
    ]
    device.do("s.disconnect()")


def test_robust_goes_on_after_a_broker_restart(make_broker, device, make_observer, name):
    broker = make_broker()
    device.do("r = Robust(%r, '127.0.0.1', %d)" % (name, broker.port))
    device.do("r.DELAY = 0.05")
    device.do("r.set_callback(keep)")
    device.do("r.connect(False)")
    device.do("r.subscribe(b'x/%s', 1)" % name)
    broker.stop()
    broker.start()
    observer = make_observer(broker.port, topic="y/#")
    device.do("r.publish(b'y/%s', b'after', qos=2)" % name)
    assert observer.next()[:3] == ("y/" + name, b"after", 2)
    observer.publish("x/" + name, "again", 1)
    end = time.monotonic() + 15
    while not device.do("inbox") and time.monotonic() < end:
        device.do("r.check_msg()")
    assert device.do("inbox") == [(b"x/%s" % name.encode(), b"again")]
    device.do("r.disconnect()")


def test_micropython_runs_the_library_as_a_board_loads_it(make_device):
    device = make_device()
    folder = device.do("__import__('umqtt').__path__")
    merged = bool(device.names)  # the shipped form has a map of its names
    assert ("shipped" in str(folder)) == merged, folder
