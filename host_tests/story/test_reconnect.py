"""The native client that reconnects by itself: back-off with jitter, brokers in turn, refusals not hammered, absence
at start is normal."""

from fakes.bench import HOST, World
from fakes.check import equal, raises
from fakes.model import Model
from fakes.net import Plan
from fakes.packets import CONNACK, CONNECT, DISCONNECT, PUBACK, PUBLISH, SUBACK, SUBSCRIBE

NOT_ON_ASYNCIO = (
    "test_a_callback_that_finds_the_link_dead_waits_for_nothing_and_no_other_runs_inside_it",  # it counts polls
    "test_a_waiting_publish_keeps_its_deadline_though_on_state_waits_too",  # nothing waits inside on_state
    "test_disconnect_inside_a_callback_is_final_while_subscriptions_are_made_again",  # nothing polls afterwards
    "test_disconnect_is_final_until_connect_is_called",  # nothing polls afterwards
)


def world(kind=None, **named):
    from umqtt.reconnect import Reconnect

    options = {}
    for k in ("first_ms", "cap_ms", "brokers", "on_state"):
        if k in named:
            options[k] = named.pop(k)
    w = World(kind) if kind else World()
    c = w.client(reconnect=Reconnect(**options), **named)
    return w, w.broker, c


def attempts(w, c, ms):
    """The times at which it dialled while it was served for ms."""
    times = []
    end = w.clock.now + ms
    n = len(w.net.dialled)
    while w.clock.now < end:
        c.poll(min(100, end - w.clock.now))
        if len(w.net.dialled) > n:
            n = len(w.net.dialled)
            times.append(w.clock.now)
    return times


def test_a_broker_that_is_absent_at_start_is_normal():
    w, b, c = world(Model)
    w.net.peers.clear()
    times = attempts(w, c, 600_000)
    assert 3 < len(times) < 60, times
    assert not c.isconnected()
    assert c.diag()["error"], c.diag()
    w.net.serve(HOST, 1883, b)
    w.serve(c, 130_000)
    assert c.isconnected()
    equal(len(w.net.open_sockets()), 1)


def test_pauses_grow_to_the_cap_and_differ_from_device_to_device():
    seen = []
    for _ in range(4):
        w, b, c = world(first_ms=1000, cap_ms=60000)
        w.net.peers.clear()
        times = attempts(w, c, 3_600_000)
        gaps = [times[i + 1] - times[i] for i in range(len(times) - 1)]
        assert max(gaps) <= 60200, gaps
        assert max(gaps) > 20000, gaps
        assert max(gaps[:2]) <= 4200, gaps[:4]
        seen.append(tuple(gaps[:6]))
    assert len(set(seen)) == 4, seen


class Most:
    """In the place of a random number: the highest of each range."""

    def __mod__(self, n):
        return n - 1


def test_the_longest_pause_doubles_with_each_round_of_brokers_up_to_the_cap():
    import umqtt.reconnect

    real = umqtt.reconnect.getrandbits
    umqtt.reconnect.getrandbits = lambda bits: Most()
    try:
        for count in (1, 2, 3):
            brokers = [("%d.test" % i, 1883) for i in range(count)]
            pauses = []
            reconnect = []
            w, b, c = world(
                first_ms=1000,
                cap_ms=10000,
                brokers=brokers,
                on_state=lambda up, error: pauses.append(reconnect[0].pause_left_ms()),  # noqa: B023
                timeout_ms=10000,
            )
            for place in brokers:
                w.net.serve(place[0], place[1], b)
            reconnect.append(c._auto_reconnect)
            w.net.plan = Plan(connect_ms=None)  # an attempt takes its time, so the outage bounds nothing
            while len(pauses) < 6 * count:
                w.serve(c, 1000)
            want = []
            for pause_ms in (1000, 2000, 4000, 8000, 10000, 10000):
                want += [0] * (count - 1) + [pause_ms]
            equal(pauses[: 6 * count], want)
    finally:
        umqtt.reconnect.getrandbits = real


def test_the_address_is_resolved_again_after_failures():
    w, b, c = world(first_ms=10, cap_ms=10)
    w.net.names[HOST] = ["10.0.0.1"]
    attempts(w, c, 200)
    n = len(w.net.looked_up)
    assert n > 1, w.net.looked_up
    w.net.names[HOST] = ["10.0.0.2"]
    w.net.serve("10.0.0.2", 1883, b)
    b.accept()
    w.serve(c, 100)
    assert c.isconnected()


def test_brokers_of_a_list_are_taken_in_turn():
    w, b, c = world(Model, first_ms=100, cap_ms=100, brokers=[("a", 1), ("b", 2), (HOST, 1883)])
    w.serve(c, 1000)
    assert c.isconnected()
    equal([a[0] for a in w.net.dialled], ["a", "b", HOST])


def cut_after_it_lasted(w, c, how="fin"):
    w.serve(c, 11_000)
    assert c.isconnected()
    w.link.end(how)
    w.serve(c, 100_000)
    assert c.isconnected()


def test_after_a_blink_the_search_begins_with_the_preferred_broker_again():
    w, b, c = world(Model, first_ms=100, cap_ms=100, brokers=[(HOST, 1883), ("spare", 1)])
    w.net.serve("spare", 1, b)
    for how in ("fin", "rst", "fin"):
        cut_after_it_lasted(w, c, how)
    equal([a[0] for a in w.net.dialled], [HOST] * 4)


def test_a_client_that_had_to_take_the_spare_goes_back_after_the_next_blink():
    w, b, c = world(Model, first_ms=100, cap_ms=100, brokers=[(HOST, 1883), ("spare", 1)])
    w.net.serve("spare", 1, b)
    preferred = w.net.peers.pop((HOST, 1883))
    w.serve(c, 1000)
    equal(c.server, "spare")
    w.net.serve(HOST, 1883, preferred)
    cut_after_it_lasted(w, c)
    equal(c.server, HOST)


def test_a_broker_that_fell_silent_is_tried_after_the_others():
    brokers = [(HOST, 1883), ("b", 1), ("c", 1)]
    w, b, c = world(Model, first_ms=100, cap_ms=100, brokers=brokers, keepalive=10)
    w.serve(c, 11_000)
    del w.net.dialled[:]
    w.link.end("silence")
    w.net.plan = Plan(connect_ms=None)
    w.serve(c, 60_000)
    equal([a[0] for a in w.net.dialled[:5]], ["b", "c", HOST, HOST, "b"])


def test_a_pause_is_no_longer_than_the_outage_has_lasted():
    for seconds in (2, 8, 30):
        longest = 0
        for _ in range(20):
            w, b, c = world(Model, first_ms=1000, cap_ms=120_000)
            w.serve(c, 60_000)
            w.net.peers.clear()
            w.link.end("rst")
            w.serve(c, seconds * 1000)
            w.net.serve(HOST, 1883, b)
            back = w.clock.now
            while not c.isconnected():
                w.serve(c, 10)
            longest = max(longest, w.clock.now - back)
        assert longest <= seconds * 1000 + 1000, (seconds, longest)


def test_an_end_that_is_the_brokers_complaint_is_not_called_another_device():
    w, b, c = world(first_ms=10, cap_ms=10)
    for _ in range(8):  # within one poll it may be back once more than it is waited for
        b.accept(sp=1)
        b.raw(b"\xf0\x00")  # no packet at all
    while len(w.net.dialled) < 5 or c.isconnected():
        c.poll(1)
    assert "another device" not in c.diag()["error"], c.diag()


def test_refused_credentials_are_reported_and_not_hammered():
    states = []
    w, b, c = world(Model, first_ms=100, cap_ms=60000, on_state=lambda up, error: states.append((up, error)))
    b.refuse_code = 5
    times = attempts(w, c, 600_000)
    assert len(times) <= 11, times
    assert "authori" in c.diag()["error"], c.diag()
    assert states and states[0][0] is False and "authori" in states[0][1], states[:2]


def test_a_duplicate_client_id_is_said_after_a_few_takeovers():
    w, b, c = world(Model, first_ms=10, cap_ms=100, keepalive=60)
    for _ in range(5):
        w.serve(c, 300)
        if c.isconnected():
            b.stop("fin")
    w.serve(c, 10)
    assert "client id" in c.diag()["error"], c.diag()


def test_a_publish_without_waiting_while_the_link_is_down_is_kept_and_bounded():
    w, b, c = world(Model, inflight=3, first_ms=100, cap_ms=100)
    w.net.peers.clear()
    for i in range(3):
        c.publish("t", str(i), qos=1, wait=False)
    for _ in range(2):
        raises(OSError, c.publish, "t", "x", qos=1, wait=False)
    equal(c.inflight, 3)
    w.net.serve(HOST, 1883, b)
    w.serve(c, 500)
    equal([p for _, p, _ in b.accepted], [b"0", b"1", b"2"])
    equal(c.inflight, 0)


def test_a_waiting_publish_reconnects_within_its_deadline():
    w, b, c = world(first_ms=100, cap_ms=100, timeout_ms=5000)
    b.accept()
    w.serve(c, 10)
    b.expect(PUBLISH, pid=1, dup=0)
    b.cut()
    b.expect(CONNECT)
    b.send(CONNACK, sp=1)
    b.expect(PUBLISH, pid=1, dup=1)
    b.send(PUBACK, 1)
    equal(c.publish("t", "x", qos=1), 1)
    b.done()
    w.net.peers.clear()
    b.cut()
    t = w.clock.now
    raises(OSError, c.publish, "t", "y", qos=1)
    assert w.clock.now - t <= 5000, w.clock.now - t
    t = w.clock.now
    raises(OSError, c.publish, "t", "z", qos=0)
    assert w.clock.now - t <= 5000, w.clock.now - t


def test_a_waiting_publish_keeps_its_deadline_though_nobody_answers():
    w, b, c = world(first_ms=100, cap_ms=100, timeout_ms=5000)
    w.net.plan = Plan(connect_ms=None)
    t = w.clock.now
    raises(OSError, c.publish, "t", "x", qos=1, timeout_ms=2000)
    assert w.clock.now - t <= 2000, w.clock.now - t


def test_an_idle_subscriber_notices_a_restart_and_is_subscribed_again():
    w, b, c = world(first_ms=100, cap_ms=100)
    b.accept()
    b.expect(SUBSCRIBE, filters=[("a/#", 1)])
    b.send(SUBACK, 1, codes=(1,))
    w.serve(c, 10)
    c.subscribe("a/#", 1)
    b.cut()
    b.accept(sp=0)
    b.expect(SUBSCRIBE, filters=[("a/#", 1)])
    b.reply(SUBACK, codes=(1,))
    b.send(PUBLISH, topic="a/b", payload="after")
    w.serve(c, 1000)
    equal(w.inbox, [(b"a/b", b"after", False)])
    b.done()


def test_the_old_socket_is_always_closed():
    w, b, c = world(Model, first_ms=10, cap_ms=10)
    for how in ("fin", "rst", "silence") * 3:
        w.serve(c, 200_000)
        assert c.isconnected()
        w.link.end(how)
    w.serve(c, 200_000)
    equal(len(w.net.open_sockets()), 1)


def test_disconnect_is_final_until_connect_is_called():
    w, b, c = world(Model, first_ms=10, cap_ms=10)
    w.serve(c, 100)
    c.disconnect()
    raises(OSError, c.poll, 10)
    equal(len(w.net.open_sockets()), 0)
    c.connect()
    assert c.isconnected()


def test_what_a_callback_raises_comes_out_and_the_link_stays():
    w, b, c = world(Model, first_ms=10, cap_ms=10)
    w.serve(c, 100)
    c.subscribe("t", 0)

    def bad(t, p, r):
        raise OSError(28, "flash full")

    c.set_callback(bad)
    b.inject("t", b"x")
    e = raises(OSError, w.serve, c, 100)
    equal(e.args[0], 28)
    assert c.isconnected()


def test_what_a_callback_raises_comes_out_while_subscriptions_are_made_again_too():
    w, b, c = world(first_ms=10, cap_ms=10)

    def bad(t, p, r):
        raise OSError(28, "flash full")

    c.set_callback(bad)
    b.accept()
    b.expect(SUBSCRIBE)
    b.reply(SUBACK)
    w.serve(c, 20)
    c.subscribe("t")
    b.cut()
    b.accept()
    b.expect(SUBSCRIBE)
    b.send(PUBLISH, topic="t", payload="x")
    b.reply(SUBACK)
    e = raises(OSError, w.serve, c, 100)
    equal((e.args[0], c.isconnected()), (28, True), "the link stays, as it does later")
    w.serve(c, 100)
    b.done()
    w.net.plan.refuse = True
    w.link.end("rst")
    w.serve(c, 100)  # an attempt that fails is no callback's


def test_a_callback_that_finds_the_link_dead_waits_for_nothing_and_no_other_runs_inside_it():
    for qos in (0, 1):
        told = []
        w, b, c = world(Model, first_ms=10, cap_ms=10)
        w.serve(c, 100)
        c.subscribe("in", 1)

        def answer(topic, payload, retained):
            told.append("begins")
            for topic in ("a", "b"):
                try:
                    c.publish(topic, b"x", qos=qos)
                except OSError as e:
                    told.append(str(e).count("link is down"))
            told.append("ends")

        c.set_callback(answer)
        w.broker.inject("in", b"x", 1)
        w.clock.run_due()
        w.link.end("rst")  # behind the message
        w.clock.run_due()
        equal((c.poll(0), len(w.net.dialled)), (1, 1))
        equal(told, ["begins", "ends"] if qos else ["begins", 1, 1, "ends"])
        w.serve(c, 100)
        assert c.isconnected()
        equal(told[-2:], ["begins", "ends"], "the message comes again, and its answers leave")
        equal([a[:1] for a in w.broker.accepted], [("a",), ("b",)] * (qos + 1))


def test_bad_options_are_refused():
    from umqtt.reconnect import Reconnect

    for named in ({"first_ms": 0}, {"first_ms": 2000, "cap_ms": 1000}, {"cap_ms": 1 << 29}):
        raises(ValueError, Reconnect, **named)


def test_a_connection_that_lasted_for_a_week_is_no_short_one():
    seen = []
    w, b, c = world(keepalive=0, on_state=lambda up, error: seen.append(error))
    for _ in range(4):
        b.accept(sp=1)
        while not c.isconnected():
            c.poll(1000)
        for _ in range(8):
            w.clock.sleep_ms(86_400_000)
            c.poll(1)
        b.cut()
        while c.isconnected():
            c.poll(1000)
    equal([e for e in seen if "again and again" in e], [])


def test_disconnect_inside_a_callback_is_final_while_subscriptions_are_made_again():
    w, b, c = world(first_ms=10, cap_ms=10)
    c.set_callback(lambda t, p, r: c.disconnect())
    b.accept()
    b.expect(SUBSCRIBE)
    b.reply(SUBACK)
    w.serve(c, 20)
    c.subscribe("t")
    b.cut()
    b.accept()
    b.expect(SUBSCRIBE)
    b.send(PUBLISH, topic="t", payload="x")
    b.expect(DISCONNECT)
    try:
        w.serve(c, 100)
    except OSError:
        pass
    raises(OSError, c.poll, 100)
    b.done()
    equal((c.isconnected(), len(w.net.dialled)), (False, 2))


def test_a_link_that_a_publish_found_dead_after_a_week_is_made_again_at_once():
    w, b, c = world(Model, keepalive=0)
    w.serve(c, 100)
    for _ in range(7):
        w.clock.sleep_ms(86_400_000)
        c.poll(0)
    b.stop()
    w.clock.run_due()
    raises(OSError, c.publish, "t", "x")
    w.serve(c, 1000)
    assert c.isconnected()


def test_a_waiting_publish_keeps_its_deadline_though_on_state_waits_too():
    for inner_ms in (100, 60_000):

        def announce(up, error):
            if up:
                c.publish("state", "on", qos=1, timeout_ms=inner_ms)

        w, b, c = world(Model, first_ms=10, cap_ms=10, on_state=announce)
        w.serve(c, 100)
        incoming = b._incoming
        b._incoming = lambda link, kept, p: incoming(link, kept, p) if p.topic == "state" else None
        for t in range(500, 9000, 500):
            w.clock.at(t, b.stop)
        t = w.clock.now
        raises(OSError, c.publish, "t", "x", qos=1, timeout_ms=5000)
        assert 4900 < w.clock.now - t <= 5100, w.clock.now - t
