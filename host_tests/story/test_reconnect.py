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


def make_world(kind=None, **named):
    from umqtt.reconnect import Reconnect

    options = {}
    for name in ("first_ms", "cap_ms", "brokers", "on_state"):
        if name in named:
            options[name] = named.pop(name)
    world = World(kind) if kind else World()
    client = world.client(reconnect=Reconnect(**options), **named)
    return world, world.broker, client


def attempts(world, client, ms):
    """The times at which it dialled while it was served for ms."""
    times = []
    end = world.clock.now + ms
    dialled = len(world.net.dialled)
    while world.clock.now < end:
        assert not client.poll(min(100, end - world.clock.now)), "no packet came"
        if len(world.net.dialled) > dialled:
            dialled = len(world.net.dialled)
            times.append(world.clock.now)
    return times


def test_a_broker_that_is_absent_at_start_is_normal():
    world, broker, client = make_world(Model)
    world.net.peers.clear()
    reconnect = client._auto_reconnect
    equal((reconnect.fault, reconnect.broker, reconnect.session_present), (None, 0, False))
    times = attempts(world, client, 600_000)
    equal(reconnect.fault.args[0], 111)
    assert 3 < len(times) < 60, times
    assert not client.isconnected()
    assert client.diag()["error"], client.diag()
    world.net.serve(HOST, 1883, broker)
    world.serve(client, 130_000)
    assert client.isconnected()
    equal(len(world.net.open_sockets()), 1)


def test_pauses_grow_to_the_cap_and_differ_from_device_to_device():
    seen = []
    for _ in range(4):
        world, broker, client = make_world(first_ms=1000, cap_ms=60000)
        world.net.peers.clear()
        times = attempts(world, client, 3_600_000)
        gaps = [times[i + 1] - times[i] for i in range(len(times) - 1)]
        assert max(gaps) <= 60200, gaps
        assert max(gaps) > 20000, gaps
        assert max(gaps[:2]) <= 4200, gaps[:4]
        seen.append(tuple(gaps[:6]))
    assert len(set(seen)) == 4, seen


class Most:
    """In the place of a random number: the highest of each range."""

    def __mod__(self, divisor):
        return divisor - 1


def test_the_longest_pause_doubles_with_each_round_of_brokers_up_to_the_cap():
    import umqtt.reconnect

    real = umqtt.reconnect.getrandbits
    umqtt.reconnect.getrandbits = lambda bits: Most()
    try:
        for count in (1, 2, 3):
            brokers = [("%d.test" % i, 1883) for i in range(count)]
            pauses = []
            reconnect = []
            world, broker, client = make_world(
                first_ms=1000,
                cap_ms=10000,
                brokers=brokers,
                on_state=lambda up, error: pauses.append(reconnect[0].pause_left_ms()),  # noqa: B023
                timeout_ms=10000,
            )
            for place in brokers:
                world.net.serve(place[0], place[1], broker)
            reconnect.append(client._auto_reconnect)
            world.net.plan = Plan(connect_ms=None)  # an attempt takes its time, so the outage bounds nothing
            while len(pauses) < 6 * count:
                world.serve(client, 1000)
            want = []
            for pause_ms in (1000, 2000, 4000, 8000, 10000, 10000):
                want += [0] * (count - 1) + [pause_ms]
            equal(pauses[: 6 * count], want)
    finally:
        umqtt.reconnect.getrandbits = real


def test_the_address_is_resolved_again_after_failures():
    world, broker, client = make_world(first_ms=10, cap_ms=10)
    world.net.names[HOST] = ["10.0.0.1"]
    attempts(world, client, 200)
    looked_up = len(world.net.looked_up)
    assert looked_up > 1, world.net.looked_up
    world.net.names[HOST] = ["10.0.0.2"]
    world.net.serve("10.0.0.2", 1883, broker)
    broker.accept()
    world.serve(client, 100)
    assert client.isconnected()


def test_brokers_of_a_list_are_taken_in_turn():
    world, broker, client = make_world(Model, first_ms=100, cap_ms=100, brokers=[("a", 1), ("b", 2), (HOST, 1883)])
    world.serve(client, 1000)
    assert client.isconnected()
    equal([address[0] for address in world.net.dialled], ["a", "b", HOST])


def cut_after_it_lasted(world, client, how="fin"):
    world.serve(client, 11_000)
    assert client.isconnected()
    world.link.end(how)
    world.serve(client, 100_000)
    assert client.isconnected()


def test_after_a_blink_the_search_begins_with_the_preferred_broker_again():
    world, broker, client = make_world(Model, first_ms=100, cap_ms=100, brokers=[(HOST, 1883), ("spare", 1)])
    world.net.serve("spare", 1, broker)
    for how in ("fin", "rst", "fin"):
        cut_after_it_lasted(world, client, how)
    equal([address[0] for address in world.net.dialled], [HOST] * 4)


def test_a_client_that_had_to_take_the_spare_goes_back_after_the_next_blink():
    world, broker, client = make_world(Model, first_ms=100, cap_ms=100, brokers=[(HOST, 1883), ("spare", 1)])
    world.net.serve("spare", 1, broker)
    preferred = world.net.peers.pop((HOST, 1883))
    world.serve(client, 1000)
    equal(client.server, "spare")
    world.net.serve(HOST, 1883, preferred)
    cut_after_it_lasted(world, client)
    equal(client.server, HOST)


def test_a_broker_that_fell_silent_is_tried_after_the_others():
    brokers = [(HOST, 1883), ("b", 1), ("c", 1)]
    world, broker, client = make_world(Model, first_ms=100, cap_ms=100, brokers=brokers, keepalive=10)
    world.serve(client, 11_000)
    del world.net.dialled[:]
    world.link.end("silence")
    world.net.plan = Plan(connect_ms=None)
    world.serve(client, 60_000)
    equal([address[0] for address in world.net.dialled[:5]], ["b", "c", HOST, HOST, "b"])


def test_a_pause_is_no_longer_than_the_outage_has_lasted():
    for seconds in (2, 8, 30):
        longest = 0
        for _ in range(20):
            world, broker, client = make_world(Model, first_ms=1000, cap_ms=120_000)
            world.serve(client, 60_000)
            world.net.peers.clear()
            world.link.end("rst")
            world.serve(client, seconds * 1000)
            world.net.serve(HOST, 1883, broker)
            back = world.clock.now
            while not client.isconnected():
                world.serve(client, 10)
            longest = max(longest, world.clock.now - back)
        assert longest <= seconds * 1000 + 1000, (seconds, longest)


def test_an_end_that_is_the_brokers_complaint_is_not_called_another_device():
    world, broker, client = make_world(first_ms=10, cap_ms=10)
    for _ in range(8):  # within one poll it may be back once more than it is waited for
        broker.accept(sp=1)
        broker.raw(b"\xf0\x00")  # no packet at all
    while len(world.net.dialled) < 5 or client.isconnected():
        client.poll(1)
    assert "another device" not in client.diag()["error"], client.diag()


def test_refused_credentials_are_reported_and_not_hammered():
    states = []
    world, broker, client = make_world(
        Model, first_ms=100, cap_ms=60000, on_state=lambda up, error: states.append((up, error))
    )
    broker.refuse_code = 5
    times = attempts(world, client, 600_000)
    assert len(times) <= 11, times
    assert "authori" in client.diag()["error"], client.diag()
    assert states and states[0][0] is False and "authori" in states[0][1], states[:2]


def test_a_duplicate_client_id_is_said_after_a_few_takeovers():
    world, broker, client = make_world(Model, first_ms=10, cap_ms=100, keepalive=60)
    for _ in range(5):
        world.serve(client, 300)
        if client.isconnected():
            broker.stop("fin")
    world.serve(client, 10)
    assert "client id" in client.diag()["error"], client.diag()
    lost = []
    world, broker, client = make_world(first_ms=10, cap_ms=10, on_state=lambda up, error: up or lost.append(error))
    for _ in range(3):  # not even a millisecond
        broker.accept()
        broker.cut()
    broker.accept()  # with a pause of 0 ms the next attempt begins in the same poll
    while len(lost) < 3:
        client.poll(1)
    equal(["client id" in error for error in lost], [False, False, True])


def test_a_publish_without_waiting_while_the_link_is_down_is_kept_and_bounded():
    world, broker, client = make_world(Model, inflight=3, first_ms=100, cap_ms=100)
    world.net.peers.clear()
    for i in range(3):
        client.publish("t", str(i), qos=1, wait=False)
    for _ in range(2):
        raises(OSError, client.publish, "t", "x", qos=1, wait=False)
    equal(client.inflight, 3)
    world.net.serve(HOST, 1883, broker)
    world.serve(client, 500)
    equal([payload for _, payload, _ in broker.accepted], [b"0", b"1", b"2"])
    equal(client.inflight, 0)


def test_a_waiting_publish_reconnects_within_its_deadline():
    world, broker, client = make_world(first_ms=100, cap_ms=100, timeout_ms=5000)
    broker.accept()
    world.serve(client, 10)
    broker.expect(PUBLISH, pid=1, dup=0)
    broker.cut()
    broker.expect(CONNECT)
    broker.send(CONNACK, sp=1)
    broker.expect(PUBLISH, pid=1, dup=1)
    broker.send(PUBACK, 1)
    equal(client.publish("t", "x", qos=1), 1)
    broker.done()
    world.net.peers.clear()
    broker.cut()
    began_ms = world.clock.now
    raises(OSError, client.publish, "t", "y", qos=1)
    assert world.clock.now - began_ms <= 5000, world.clock.now - began_ms
    began_ms = world.clock.now
    raises(OSError, client.publish, "t", "z", qos=0)
    assert world.clock.now - began_ms <= 5000, world.clock.now - began_ms


def test_a_waiting_publish_keeps_its_deadline_though_nobody_answers():
    world, broker, client = make_world(first_ms=100, cap_ms=100, timeout_ms=5000)
    world.net.plan = Plan(connect_ms=None)
    began_ms = world.clock.now
    raises(OSError, client.publish, "t", "x", qos=1, timeout_ms=2000)
    assert world.clock.now - began_ms <= 2000, world.clock.now - began_ms


def test_an_idle_subscriber_notices_a_restart_and_is_subscribed_again():
    world, broker, client = make_world(first_ms=100, cap_ms=100)
    broker.accept()
    broker.expect(SUBSCRIBE, filters=[("a/#", 1)])
    broker.send(SUBACK, 1, codes=(1,))
    world.serve(client, 10)
    client.subscribe("a/#", 1)
    broker.cut()
    broker.accept(sp=0)
    broker.expect(SUBSCRIBE, filters=[("a/#", 1)])
    broker.reply(SUBACK, codes=(1,))
    broker.send(PUBLISH, topic="a/b", payload="after")
    world.serve(client, 1000)
    equal(world.inbox, [(b"a/b", b"after", False)])
    broker.done()


def test_the_old_socket_is_always_closed():
    world, broker, client = make_world(Model, first_ms=10, cap_ms=10)
    for how in ("fin", "rst", "silence") * 3:
        world.serve(client, 200_000)
        assert client.isconnected()
        world.link.end(how)
    world.serve(client, 200_000)
    equal(len(world.net.open_sockets()), 1)


def test_disconnect_is_final_until_connect_is_called():
    world, broker, client = make_world(Model, first_ms=10, cap_ms=10)
    world.serve(client, 100)
    client.disconnect()
    raises(OSError, client.poll, 10)
    equal(len(world.net.open_sockets()), 0)
    client.connect()
    assert client.isconnected()


def test_what_a_callback_raises_comes_out_and_the_link_stays():
    world, broker, client = make_world(Model, first_ms=10, cap_ms=10)
    world.serve(client, 100)
    client.subscribe("t", 0)

    def bad(topic, payload, retained):
        raise OSError(28, "flash full")

    client.set_callback(bad)
    broker.inject("t", b"x")
    error = raises(OSError, world.serve, client, 100)
    equal(error.args[0], 28)
    assert client.isconnected()


def test_what_a_callback_raises_comes_out_while_subscriptions_are_made_again_too():
    world, broker, client = make_world(first_ms=10, cap_ms=10)

    def bad(topic, payload, retained):
        raise OSError(28, "flash full")

    client.set_callback(bad)
    broker.accept()
    broker.expect(SUBSCRIBE)
    broker.reply(SUBACK)
    world.serve(client, 20)
    client.subscribe("t")
    broker.cut()
    broker.accept()
    broker.expect(SUBSCRIBE)
    broker.send(PUBLISH, topic="t", payload="x")
    broker.reply(SUBACK)
    error = raises(OSError, world.serve, client, 100)
    equal((error.args[0], client.isconnected()), (28, True), "the link stays, as it does later")
    world.serve(client, 100)
    broker.done()
    world.net.plan.refuse = True
    world.link.end("rst")
    world.serve(client, 100)  # an attempt that fails is no callback's


def test_a_callback_that_finds_the_link_dead_waits_for_nothing_and_no_other_runs_inside_it():
    for qos in (0, 1):
        told = []
        world, broker, client = make_world(Model, first_ms=10, cap_ms=10)
        world.serve(client, 100)
        client.subscribe("in", 1)

        def answer(topic, payload, retained):
            told.append("begins")
            for topic in ("a", "b"):
                try:
                    client.publish(topic, b"x", qos=qos)
                except OSError as error:
                    told.append(str(error).count("link is down"))
            told.append("ends")

        client.set_callback(answer)
        world.broker.inject("in", b"x", 1)
        world.clock.run_due()
        world.link.end("rst")  # behind the message
        world.clock.run_due()
        equal((client.poll(0), len(world.net.dialled)), (1, 1))
        equal(told, ["begins", "ends"] if qos else ["begins", 1, 1, "ends"])
        world.serve(client, 100)
        assert client.isconnected()
        equal(told[-2:], ["begins", "ends"], "the message comes again, and its answers leave")
        equal([address[:1] for address in world.broker.accepted], [("a",), ("b",)] * (qos + 1))


def test_bad_options_are_refused():
    from umqtt.reconnect import Reconnect

    most_ms = (1 << 28) - 1
    Reconnect(1, most_ms, back_ms=most_ms)
    for named in (
        {"first_ms": 0},
        {"first_ms": 2000, "cap_ms": 1999},
        {"cap_ms": most_ms + 1},
        {"back_ms": most_ms + 1},
        {"back_ms": -1},
    ):
        raises(ValueError, Reconnect, **named)
    equal(Reconnect(brokers=[(HOST, 1883)])._roaming, None, "one broker is no list")


def test_a_connection_that_lasted_for_a_week_is_no_short_one():
    seen = []
    world, broker, client = make_world(keepalive=0, on_state=lambda up, error: seen.append(error))
    for _ in range(4):
        broker.accept(sp=1)
        while not client.isconnected():
            client.poll(1000)
        for _ in range(8):
            world.clock.sleep_ms(86_400_000)
            client.poll(1)
        broker.cut()
        while client.isconnected():
            client.poll(1000)
    equal([error for error in seen if "again and again" in error], [])


def test_disconnect_inside_a_callback_is_final_while_subscriptions_are_made_again():
    world, broker, client = make_world(first_ms=10, cap_ms=10)
    client.set_callback(lambda topic, payload, retained: client.disconnect())
    broker.accept()
    broker.expect(SUBSCRIBE)
    broker.reply(SUBACK)
    world.serve(client, 20)
    client.subscribe("t")
    broker.cut()
    broker.accept()
    broker.expect(SUBSCRIBE)
    broker.send(PUBLISH, topic="t", payload="x")
    broker.expect(DISCONNECT)
    try:
        world.serve(client, 100)
    except OSError:
        pass
    raises(OSError, client.poll, 100)
    broker.done()
    equal((client.isconnected(), len(world.net.dialled)), (False, 2))


def test_a_link_that_a_publish_found_dead_after_a_week_is_made_again_at_once():
    world, broker, client = make_world(Model, keepalive=0)
    world.serve(client, 100)
    for _ in range(7):
        world.clock.sleep_ms(86_400_000)
        client.poll(0)
    broker.stop()
    world.clock.run_due()
    raises(OSError, client.publish, "t", "x")
    world.serve(client, 1000)
    assert client.isconnected()


def test_a_waiting_publish_keeps_its_deadline_though_on_state_waits_too():
    for inner_ms in (100, 60_000):

        def announce(up, error):
            if up:
                client.publish("state", "on", qos=1, timeout_ms=inner_ms)

        world, broker, client = make_world(Model, first_ms=10, cap_ms=10, on_state=announce)
        world.serve(client, 100)
        incoming = broker._incoming
        broker._incoming = lambda link, kept, packet: incoming(link, kept, packet) if packet.topic == "state" else None
        for stop_ms in range(500, 9000, 500):
            world.clock.at(stop_ms, broker.stop)
        began_ms = world.clock.now
        raises(OSError, client.publish, "t", "x", qos=1, timeout_ms=5000)
        assert 4900 < world.clock.now - began_ms <= 5100, world.clock.now - began_ms
