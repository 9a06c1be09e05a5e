"""Connecting is steps of poll: none waits, each is followed by the next, and one deadline covers them all."""

from fakes.bench import World, pair
from fakes.check import equal, raises, skip
from fakes.model import Model
from fakes.net import ESP32, ESP8266, UNIX, Context, Plan
from fakes.packets import CONNACK, CONNECT, PUBACK, PUBLISH, SUBACK, SUBSCRIBE, encode
from umqtt import stream
from umqtt.errors import ProtocolError
from umqtt.reconnect import Reconnect


def step(world, client, ms, pause_ms=20):
    """poll(0) every pause_ms for ms; fails when one of them waits. Returns how many packets they took."""
    taken = 0
    end = world.clock.now + ms
    while world.clock.now < end:
        began_ms = world.clock.now
        taken += client.poll(0)
        equal(world.clock.now - began_ms, 0, "poll(0) has waited")
        world.clock.sleep_ms(pause_ms)
    return taken


def silent_after(packets):
    """A broker that accepts and answers so many packets."""

    def stop(world):
        incoming = world.broker.data

        def data(link, data):
            if len(world.seen) >= packets:
                return
            world.seen.append(data)
            incoming(link, data)

        world.broker.data = data

    return stop


OBSTACLES = (
    ("nobody answers TCP", {"connect_ms": None}, None),
    ("TCP is slow", {"connect_ms": 900}, None),
    ("refused", {"refuse": True}, None),
    ("refused late", {"refuse": True, "connect_ms": 900}, None),
    ("accepts and says nothing", {}, silent_after(0)),
    ("says nothing after CONNACK", {}, silent_after(1)),
    ("takes nothing", {"buffer": 5, "drained": False}, None),
    ("a byte a minute", {"trickle_ms": 60_000}, None),
    ("far away", {"latency_ms": 700}, None),
    ("in pieces", {"read_max": 1, "write_max": 1, "read_again": True, "write_again": True}, None),
)


def test_no_step_of_a_reconnecting_client_waits_whatever_stands_in_the_way():
    for tls in (False, True):
        for note, plan, peer in OBSTACLES:
            for port in (UNIX, ESP32, ESP8266):
                world = World(Model)
                world.seen = []
                ssl = Context() if tls else None
                client = world.client(reconnect=Reconnect(200, 1000), timeout_ms=3000, ssl=ssl, port=1883)
                step(world, client, 300)
                assert client.isconnected(), note
                client.subscribe("a")
                client.subscribe("b")
                world.broker.forget()
                world.net.port = port
                world.net.plan = Plan(**plan)
                if peer:
                    peer(world)
                world.link.end("rst")
                step(world, client, 20_000)
                world.net.plan = Plan()
                if peer:
                    del world.broker.data
                step(world, client, 10_000)
                assert client.isconnected() and not client._is_connecting, (note, tls, client.diag())
                world.broker.inject("b", b"x")
                step(world, client, 1000)
                equal([message[0] for message in world.inbox], [b"b"], note)
                equal(len(world.net.open_sockets()), 1, note)


def test_no_handshake_that_is_never_answered_holds_a_step():
    world = World(Model)
    client = world.client(reconnect=Reconnect(200, 1000), timeout_ms=3000, ssl=Context(), port=1883)
    world.net.plan = Plan(handshake_ms=None)
    step(world, client, 20_000)
    assert "no answer in time" in client.diag()["error"], client.diag()
    world.net.plan = Plan(handshake_ms=800)
    step(world, client, 10_000)
    assert client.isconnected()


def test_an_attempt_ends_at_its_deadline_though_the_program_looks_away():
    world = World(Model)
    states = []
    client = world.client(
        reconnect=Reconnect(10, 10, on_state=lambda up, error: states.append((up, error))), timeout_ms=3000
    )
    world.net.plan = Plan(connect_ms=None)
    client.poll(0)
    world.clock.sleep_ms(2999)
    client.poll(0)
    equal(states, [])
    world.clock.sleep_ms(1)
    client.poll(0)
    equal([up for up, _ in states], [False])
    assert "no answer in time" in states[0][1], states
    equal(world.net.open_sockets(), [])


def test_a_poll_that_may_wait_goes_on_as_soon_as_there_is_news():
    world = World(Model)
    client = world.client(reconnect=Reconnect(10, 10))
    world.net.plan = Plan(connect_ms=300, latency_ms=100)
    began_ms = world.clock.now
    while client._is_connecting or not client.isconnected():
        client.poll(5000)
    equal(world.clock.now - began_ms, 500)


def test_on_state_is_told_of_a_connection_once_its_subscriptions_are_made_again():
    ups = []
    world = World()
    broker = world.broker
    client = world.client(reconnect=Reconnect(10, 10, on_state=lambda up, error: ups.append(up)))
    broker.accept()
    broker.expect(SUBSCRIBE)
    broker.reply(SUBACK)
    step(world, client, 100)
    client.subscribe("t", wait=False)
    step(world, client, 100)
    broker.cut()
    broker.accept()
    broker.expect(SUBSCRIBE)
    broker.wait(500)
    broker.reply(SUBACK)
    step(world, client, 300)
    equal((ups, client.isconnected()), ([True, False], True))
    step(world, client, 500)
    equal(ups, [True, False, True])
    broker.done()


def test_an_attempt_that_gets_no_suback_is_given_up_at_its_deadline_with_the_reason():
    world = World()
    broker = world.broker
    told = []
    client = world.client(
        reconnect=Reconnect(10, 10, on_state=lambda up, error: told.append((up, error))), timeout_ms=2000
    )
    broker.accept()
    broker.expect(SUBSCRIBE)
    broker.reply(SUBACK)
    step(world, client, 100)
    client.subscribe("t", wait=False)
    step(world, client, 100)
    broker.cut()
    broker.accept()
    broker.expect(SUBSCRIBE)
    step(world, client, 1900)
    equal([up for up, _ in told], [True, False])
    world.net.plan = Plan(connect_ms=None)
    step(world, client, 200)
    equal([up for up, _ in told], [True, False, False])
    assert "no answer in time" in client.diag()["error"], (told, client.diag())


def test_a_link_that_is_lost_while_subscriptions_are_made_again_is_a_failed_attempt():
    world = World()
    broker = world.broker
    told = []
    client = world.client(reconnect=Reconnect(10, 10, on_state=lambda up, error: told.append(up)))
    broker.accept()
    for _ in "ab":
        broker.expect(SUBSCRIBE)
        broker.reply(SUBACK)
    step(world, client, 100)
    client.subscribe("a")
    client.subscribe("b")
    broker.cut()
    broker.accept()
    broker.expect(SUBSCRIBE)
    broker.cut()
    broker.accept(sp=1)  # of this attempt's session: the first goes on in its slot, the other is still to come
    for _ in "ab":
        broker.expect(SUBSCRIBE)
        broker.reply(SUBACK)
    step(world, client, 300)
    broker.done()
    begun, first, second = [packet.filters for packet in broker.got if packet.kind == SUBSCRIBE][-3:]
    equal((first, sorted(first + second)), (begun, [("a", 0), ("b", 0)]))
    equal(told, [True, False, False, True])


def test_what_is_published_meanwhile_waits_for_the_subscriptions_and_goes_out_behind_them():
    world = World()
    broker = world.broker
    client = world.client(reconnect=Reconnect(10, 10))
    broker.accept()
    broker.expect(SUBSCRIBE)
    broker.reply(SUBACK)
    step(world, client, 100)
    client.subscribe("t")
    broker.cut()
    broker.accept()
    broker.expect(SUBSCRIBE)
    broker.wait(500)
    broker.reply(SUBACK)
    broker.expect(PUBLISH, payload="x")
    step(world, client, 100)
    began_ms = world.clock.now
    raises(OSError, client.publish, "t", "too soon", timeout_ms=50)
    assert client.isconnected(), "a call's deadline is not the connection's"
    client.publish("t", "x")
    assert world.clock.now - began_ms > 300, world.clock.now - began_ms
    world.clock.run_due()
    broker.done()


def test_a_keepalive_of_a_second_lives_through_a_slow_resubscription():
    world = World(auto_ping=True)
    broker = world.broker
    client = world.client(keepalive=1, timeout_ms=10_000)
    broker.accept()
    broker.expect(SUBSCRIBE)
    broker.reply(SUBACK)
    client.connect()
    client.subscribe("t")
    broker.cut()
    raises(OSError, world.serve, client, 10)
    broker.accept()
    broker.expect(SUBSCRIBE)
    broker.wait(8000)
    broker.send(SUBACK, 2)
    client.connect()
    broker.done()


def test_disconnect_in_any_state_of_connecting_closes_and_is_final():
    for note, plan, peer in OBSTACLES:
        world = World(Model)
        world.seen = []
        client = world.client(reconnect=Reconnect(10, 10), timeout_ms=3000)
        world.net.plan = Plan(**plan)
        if peer:
            peer(world)
        step(world, client, 200)
        client.disconnect(0)
        equal(world.net.open_sockets(), [], note)
        raises(OSError, client.poll, 10)


def test_a_name_is_looked_up_once_until_a_connection_to_its_address_fails():
    world = World(Model)
    world.net.names["mqtt.example"] = ["10.0.0.1"]
    world.net.serve("10.0.0.1", 1883, world.broker)
    client = world.client(server="mqtt.example", reconnect=Reconnect(10, 10))
    for _ in range(5):
        step(world, client, 200)
        assert client.isconnected()
        world.link.end("rst")
    equal(world.net.looked_up, ["mqtt.example"])
    step(world, client, 200)
    world.net.names["mqtt.example"] = ["10.0.0.2"]
    world.net.serve("10.0.0.2", 1883, world.net.peers.pop(("10.0.0.1", 1883)))
    world.link.end("rst")
    step(world, client, 200)
    assert client.isconnected()
    equal(len(world.net.looked_up), 2)


def test_a_name_is_looked_up_again_when_something_else_has_the_address_now():
    # the broker's name moved, and its old address belongs to a proxy, a printer, or nobody who speaks MQTT
    for answer in (None, b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", encode(CONNACK, code=3)):

        class Stranger:
            def opened(self, link):
                pass

            def data(self, link, data):
                if answer is not None:  # else it says nothing at all
                    link.push(answer)
                    link.end("fin")

            def ended(self, link):
                pass

        world = World(Model)
        world.net.names["mqtt.example"] = ["10.0.0.1"]
        world.net.serve("10.0.0.1", 1883, world.broker)
        client = world.client(server="mqtt.example", reconnect=Reconnect(10, 10), timeout_ms=3000)
        step(world, client, 200)
        assert client.isconnected()
        world.net.names["mqtt.example"] = ["10.0.0.2"]
        world.net.serve("10.0.0.2", 1883, world.net.peers.pop(("10.0.0.1", 1883)))
        world.net.serve("10.0.0.1", 1883, Stranger())
        world.link.end("rst")
        step(world, client, 4000)
        assert client.isconnected(), (answer, world.net.looked_up)
        equal(world.net.looked_up, ["mqtt.example"] * 2)


def test_an_ip_address_is_never_looked_up():
    for address in ("10.0.0.1", "192.168.100.254"):
        world = World(Model)
        world.net.serve(address, 1883, world.broker)
        client = world.client(server=address)
        client.connect()
        equal((world.net.looked_up, world.net.dialled), ([], [(address, 1883)]))
    world = World(Model)
    world.net.names["4.example"] = OSError(-2)
    raises(OSError, world.client(server="4.example").connect)
    equal(world.net.looked_up, ["4.example"])


def test_diag_tells_how_long_the_look_up_took():
    world = World(Model)
    plain = world.net.socket.getaddrinfo

    def slow(*args):
        world.clock.sleep_ms(1234)
        return plain(*args)

    world.net.socket.getaddrinfo = slow
    client = world.client(timeout_ms=1000)
    equal(client.diag()["lookup_ms"], 0)
    client.connect()  # the deadline is not that of the look-up
    equal(client.diag()["lookup_ms"], 1234)
    client.connect()
    equal((client.diag()["lookup_ms"], len(world.net.looked_up)), (1234, 1))
    world.net.plan.refuse = True
    raises(OSError, client.connect)
    equal(client.diag()["lookup_ms"], 1234)


def test_refused_is_told_with_the_ports_own_number():
    for port, number in ((UNIX, 111), (ESP32, 104), (ESP8266, 103)):
        for ssl in (None, Context()):
            world = World(Model)
            world.net.port = port
            world.net.plan = Plan(refuse=True, connect_ms=5)
            fault = raises(OSError, world.client(ssl=ssl, port=1883).connect)
            equal(fault.args[0], number)


def test_a_port_whose_poll_says_ready_too_soon_is_asked_again():
    for number in (11, 114, 115, 119):
        world = World(Model)
        world.net.plan = Plan(connect_ms=200)
        client = world.client(reconnect=Reconnect(10, 10))
        client.poll(0)
        sock = world.net.sockets[-1]
        ready = sock.ready
        sock.ready = lambda: 4

        def too_soon(count):
            raise OSError(number)

        sock.read = too_soon
        step(world, client, 100)
        assert not client.isconnected()
        del sock.read
        sock.ready = ready
        step(world, client, 300)
        assert client.isconnected()
        equal(len(world.net.sockets), 1)


def test_a_peer_that_speaks_first_is_no_broker():
    class Greeter(Model):
        def opened(self, link):
            link.push(b"220 mail.example ESMTP\r\n")

    world = World(Greeter)
    fault = raises(Exception, world.client().connect)
    assert "speaks first" in str(fault), fault
    equal(world.net.open_sockets(), [])


def test_a_ctrl_c_in_any_step_leaves_nothing_open_and_the_next_attempt_works():
    world = World(Model)
    client = world.client()
    for name in ("read", "write", "readinto"):
        client._begin_connect()
        client.poll(0)
        sock = world.net.sockets[-1]

        def interrupted(*args):
            raise KeyboardInterrupt

        setattr(sock, name, interrupted)
        try:
            for _ in range(9):
                client.poll(10)
        except KeyboardInterrupt:
            pass
        equal(world.net.open_sockets(), [], name)
    client.connect()


def test_any_number_of_failed_attempts_fits_one_blocking_call():
    # one inside the other they would end in "maximum recursion depth exceeded" on a board
    for plan in (Plan(refuse=True), Plan(cut_in=0, how="rst"), Plan(cut_in=2)):
        for call in (
            lambda client: client.publish("t", "x", qos=1, timeout_ms=20_000),
            lambda client: client.publish("t", "x", timeout_ms=20_000),
            lambda client: client.subscribe("t", timeout_ms=20_000),
        ):
            world = World(Model)
            client = world.client(reconnect=Reconnect(50, 50))
            world.net.plan = plan
            raises(OSError, call, client)
            assert len(world.net.dialled) > 300, len(world.net.dialled)


def test_a_failure_of_connect_is_its_own_whatever_reconnects():
    # a certificate that is refused fails in the first write
    for named in ({}, {"reconnect": Reconnect(10, 10)}):
        world = World(Model)
        client = world.client(ssl=Context(ValueError("The certificate is not correctly signed")), **named)
        world.net.serve("broker.test", 8883, world.broker)
        fault = raises(OSError, client.connect)
        assert "not correctly signed" in str(fault) and client.diag()["error"] == str(fault), fault
        equal((len(world.net.dialled), world.net.open_sockets()), (1, []))


def test_a_connection_that_is_cut_at_any_byte_while_it_is_made_is_made_again_by_polls_that_do_not_wait():
    for how in ("fin", "rst", "silence"):
        for side, most in (("cut_out", 40), ("cut_in", 16)):
            for k in range(most):
                world = World(Model)
                client = world.client(reconnect=Reconnect(10, 10), timeout_ms=300, keepalive=2)
                step(world, client, 40, 5)
                client.subscribe("a", 1)
                client.subscribe("b", 1)
                world.broker.forget()
                plan = Plan(how=how)
                setattr(plan, side, k)
                world.net.plans = [plan]
                world.link.end("rst")
                step(world, client, 700, 10)
                note = (how, side, k)
                assert client.isconnected() and not client._is_connecting, (note, client.diag())
                for topic in ("a", "b"):
                    world.broker.inject(topic, b"x", 1)
                step(world, client, 4000, 50)  # the cut may come only now, and silence is found by the keep-alive
                equal({message[0] for message in world.inbox}, {b"a", b"b"}, note)
                equal((world.broker.violations, len(world.net.open_sockets())), ([], 1), note)


def test_the_connection_that_an_event_loop_begins_does_not_wait():
    try:
        from umqtt import connection
    except ImportError:
        skip("shipped, its verbs stand in who uses them")
    world = World(Model)
    world.net.plan = Plan(connect_ms=50)
    client = world.client()
    began_ms = world.clock.now
    connection.begin_connect(client)
    equal(world.clock.now, began_ms)
    world.serve(client, 100)
    equal(client.isconnected(), True)


def test_what_is_in_flight_says_how_a_filter_is_subscribed_and_not_what_was_granted_before():
    # the broker loses the session before it acknowledges that the program wants it otherwise
    for call, again in (
        (lambda client: client.unsubscribe("a", wait=False), []),
        (lambda client: client.subscribe("a", 1, wait=False), [("a", 1)]),
        (lambda client: client.subscribe([("x", 0), ("a", 2)], wait=False), [("x", 0), ("a", 2)]),
    ):
        world = World(Model)
        client = world.client(reconnect=Reconnect(10, 10))
        world.serve(client, 10)
        for topic_filter in "abc":
            client.subscribe(topic_filter)
        answers, world.broker.data = world.broker.data, lambda link, data: None
        call(client)
        world.serve(client, 10)
        world.broker.data = answers
        world.broker.forget()
        world.link.end("rst")
        world.serve(client, 200)
        assert client.isconnected() and not client.inflight
        for topic_filter in "abc":
            world.broker.inject(topic_filter, b"x", 2)
        world.serve(client, 50)
        equal(sorted(topic for topic, _, _ in world.inbox), [b"a"] * bool(again) + [b"b", b"c"])
        for topic_filter, qos in again + [("b", 0), ("c", 0)]:
            equal(client._granted_qos[b"\0\1" + topic_filter.encode()], qos, topic_filter)


def test_a_subscription_that_is_made_again_waits_for_a_slot():
    broker, client = pair(inflight=1)
    broker.accept()
    client.connect()
    broker.expect(SUBSCRIBE)
    broker.reply(SUBACK)
    client.subscribe("a")
    broker.expect(PUBLISH, pid=2)
    client.publish("t", "x", qos=1, wait=False)
    broker.cut()
    raises(OSError, client.world.serve, client, 10)
    broker.accept()
    broker.expect(PUBLISH, payload="x")
    broker.wait(200)
    broker.reply(PUBACK)
    broker.expect(SUBSCRIBE)
    broker.reply(SUBACK)
    client.connect()
    equal(client.inflight, 0)
    broker.done()


def test_a_subscription_that_a_callback_gives_up_while_it_is_made_again_leaves_the_client_free():
    world = World(Model)
    client = world.client(reconnect=Reconnect(10, 10))
    world.serve(client, 10)
    for topic_filter in "ab":
        client.subscribe(topic_filter)

    def gives_up(topic, payload, retained):
        client.unsubscribe("b", wait=False)

    client.set_callback(gives_up)
    world.broker.forget()
    answer = world.broker.data

    def data(link, sent):
        if sent[0] >> 4 == SUBSCRIBE:  # that of "a"
            world.broker.data = answer
            link.push(encode(PUBLISH, topic="a", payload="m"))
        answer(link, sent)

    world.broker.data = data
    world.net.plan = Plan(latency_ms=20)
    world.link.end("rst")
    client.poll(10)
    while client._is_connecting or not client.isconnected():
        client.poll(100)
    began_ms = world.clock.now
    client.publish("t", "x", wait=False)
    equal(world.clock.now - began_ms, 0)
    world.serve(client, 100)
    equal((list(client._granted_qos), client.inflight), ([b"\0\1a"], 0))


def test_connecting_with_mqtt_31_has_no_flags_in_a_connack_and_those_of_311_are_looked_at():
    for protocol in (3, 4):
        broker, client = pair(protocol=protocol)
        broker.expect(CONNECT)
        broker.raw(b"\x20\2\2\0")
        if protocol == 3:
            client.connect()
        else:
            raises(ProtocolError, client.connect)
        equal(client.isconnected(), protocol == 3)


def test_connecting_beneath_a_stream_is_refused_and_leaves_it_its_connection():
    broker, client = pair(tx_size=64)
    broker.accept()
    client.connect()
    faults = []

    class Reader:
        is_under_way = False

        def readinto(self, buf):
            if self.is_under_way:
                faults.append(raises(OSError, client.connect))
            self.is_under_way = True
            return len(buf)

    broker.expect(PUBLISH, payload=bytes(1000))
    stream.publish(client, "t", Reader(), 1000)
    broker.done()
    assert faults and all("another call" in str(fault) for fault in faults), faults


def test_connecting_again_after_half_a_stream_leaves_nothing_of_it():
    class Zeros:
        def readinto(self, buf):
            return len(buf)

    broker, client = pair(tx_size=64)
    broker.accept()
    client.connect()
    client.world.net.plan = Plan()  # of the next connection
    client.world.link.plan.drained = False
    client.world.link.plan.buffer = 100
    raises(OSError, stream.publish, client, "t", Zeros(), 1000, timeout_ms=100)
    broker.link = broker.reader = None
    broker.accept()
    broker.expect(PUBLISH, payload="x" * 500)
    client.connect()
    client.publish("t", "x" * 500)
    broker.done()
