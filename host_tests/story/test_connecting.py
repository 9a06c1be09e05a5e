"""Connecting is steps of poll: none waits, each is followed by the next, and one deadline covers them all."""

from fakes.bench import World
from fakes.check import equal, raises
from fakes.model import Model
from fakes.net import ESP32, ESP8266, UNIX, Context, Plan
from fakes.packets import PUBLISH, SUBACK, SUBSCRIBE
from umqtt.reconnect import Reconnect


def step(w, c, ms, pause_ms=20):
    """poll(0) every pause_ms for ms; fails when one of them waits. Returns how many packets they took."""
    taken = 0
    end = w.clock.now + ms
    while w.clock.now < end:
        t = w.clock.now
        taken += c.poll(0)
        equal(w.clock.now - t, 0, "poll(0) has waited")
        w.clock.sleep_ms(pause_ms)
    return taken


def silent_after(packets):
    """A broker that accepts and answers so many packets."""

    def stop(w):
        incoming = w.broker.data

        def data(link, data):
            if len(w.seen) >= packets:
                return
            w.seen.append(data)
            incoming(link, data)

        w.broker.data = data

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
                w = World(Model)
                w.seen = []
                ssl = Context() if tls else None
                c = w.client(reconnect=Reconnect(200, 1000), timeout_ms=3000, ssl=ssl, port=1883)
                step(w, c, 300)
                assert c.isconnected(), note
                c.subscribe("a")
                c.subscribe("b")
                w.broker.forget()
                w.net.port = port
                w.net.plan = Plan(**plan)
                if peer:
                    peer(w)
                w.link.end("rst")
                step(w, c, 20_000)
                w.net.plan = Plan()
                if peer:
                    del w.broker.data
                step(w, c, 10_000)
                assert c.isconnected() and not c._is_connecting, (note, tls, c.diag())
                w.broker.inject("b", b"x")
                step(w, c, 1000)
                equal([m[0] for m in w.inbox], [b"b"], note)
                equal(len(w.net.open_sockets()), 1, note)


def test_no_handshake_that_is_never_answered_holds_a_step():
    w = World(Model)
    c = w.client(reconnect=Reconnect(200, 1000), timeout_ms=3000, ssl=Context(), port=1883)
    w.net.plan = Plan(handshake_ms=None)
    step(w, c, 20_000)
    assert "no answer in time" in c.diag()["error"], c.diag()
    w.net.plan = Plan(handshake_ms=800)
    step(w, c, 10_000)
    assert c.isconnected()


def test_an_attempt_ends_at_its_deadline_though_the_program_looks_away():
    w = World(Model)
    states = []
    c = w.client(reconnect=Reconnect(10, 10, on_state=lambda up, error: states.append((up, error))), timeout_ms=3000)
    w.net.plan = Plan(connect_ms=None)
    c.poll(0)
    w.clock.sleep_ms(2999)
    c.poll(0)
    equal(states, [])
    w.clock.sleep_ms(1)
    c.poll(0)
    equal([up for up, _ in states], [False])
    assert "no answer in time" in states[0][1], states
    equal(w.net.open_sockets(), [])


def test_a_poll_that_may_wait_goes_on_as_soon_as_there_is_news():
    w = World(Model)
    c = w.client(reconnect=Reconnect(10, 10))
    w.net.plan = Plan(connect_ms=300, latency_ms=100)
    t = w.clock.now
    while c._is_connecting or not c.isconnected():
        c.poll(5000)
    equal(w.clock.now - t, 500)


def test_on_state_is_told_of_a_connection_once_its_subscriptions_are_made_again():
    ups = []
    w = World()
    b = w.broker
    c = w.client(reconnect=Reconnect(10, 10, on_state=lambda up, error: ups.append(up)))
    b.accept()
    b.expect(SUBSCRIBE)
    b.reply(SUBACK)
    step(w, c, 100)
    c.subscribe("t", wait=False)
    step(w, c, 100)
    b.cut()
    b.accept()
    b.expect(SUBSCRIBE)
    b.wait(500)
    b.reply(SUBACK)
    step(w, c, 300)
    equal((ups, c.isconnected()), ([True, False], True))
    step(w, c, 500)
    equal(ups, [True, False, True])
    b.done()


def test_an_attempt_that_gets_no_suback_is_given_up_at_its_deadline_with_the_reason():
    w = World()
    b = w.broker
    told = []
    c = w.client(reconnect=Reconnect(10, 10, on_state=lambda up, error: told.append((up, error))), timeout_ms=2000)
    b.accept()
    b.expect(SUBSCRIBE)
    b.reply(SUBACK)
    step(w, c, 100)
    c.subscribe("t", wait=False)
    step(w, c, 100)
    b.cut()
    b.accept()
    b.expect(SUBSCRIBE)
    step(w, c, 1900)
    equal([up for up, _ in told], [True, False])
    w.net.plan = Plan(connect_ms=None)
    step(w, c, 200)
    equal([up for up, _ in told], [True, False, False])
    assert "no answer in time" in c.diag()["error"], (told, c.diag())


def test_a_link_that_is_lost_while_subscriptions_are_made_again_is_a_failed_attempt():
    w = World()
    b = w.broker
    told = []
    c = w.client(reconnect=Reconnect(10, 10, on_state=lambda up, error: told.append(up)))
    b.accept()
    for _ in "ab":
        b.expect(SUBSCRIBE)
        b.reply(SUBACK)
    step(w, c, 100)
    c.subscribe("a")
    c.subscribe("b")
    b.cut()
    b.accept()
    b.expect(SUBSCRIBE)
    b.cut()
    b.accept(sp=1)  # of this attempt's session: the first goes on in its slot, the other is still to come
    for _ in "ab":
        b.expect(SUBSCRIBE)
        b.reply(SUBACK)
    step(w, c, 300)
    b.done()
    begun, first, second = [p.filters for p in b.got if p.kind == SUBSCRIBE][-3:]
    equal((first, sorted(first + second)), (begun, [("a", 0), ("b", 0)]))
    equal(told, [True, False, False, True])


def test_what_is_published_meanwhile_waits_for_the_subscriptions_and_goes_out_behind_them():
    w = World()
    b = w.broker
    c = w.client(reconnect=Reconnect(10, 10))
    b.accept()
    b.expect(SUBSCRIBE)
    b.reply(SUBACK)
    step(w, c, 100)
    c.subscribe("t")
    b.cut()
    b.accept()
    b.expect(SUBSCRIBE)
    b.wait(500)
    b.reply(SUBACK)
    b.expect(PUBLISH, payload="x")
    step(w, c, 100)
    t = w.clock.now
    raises(OSError, c.publish, "t", "too soon", timeout_ms=50)
    assert c.isconnected(), "a call's deadline is not the connection's"
    c.publish("t", "x")
    assert w.clock.now - t > 300, w.clock.now - t
    w.clock.run_due()
    b.done()


def test_a_keepalive_of_a_second_lives_through_a_slow_resubscription():
    w = World(auto_ping=True)
    b = w.broker
    c = w.client(keepalive=1, timeout_ms=10_000)
    b.accept()
    b.expect(SUBSCRIBE)
    b.reply(SUBACK)
    c.connect()
    c.subscribe("t")
    b.cut()
    raises(OSError, w.serve, c, 10)
    b.accept()
    b.expect(SUBSCRIBE)
    b.wait(8000)
    b.send(SUBACK, 2)
    c.connect()
    b.done()


def test_disconnect_in_any_state_of_connecting_closes_and_is_final():
    for note, plan, peer in OBSTACLES:
        w = World(Model)
        w.seen = []
        c = w.client(reconnect=Reconnect(10, 10), timeout_ms=3000)
        w.net.plan = Plan(**plan)
        if peer:
            peer(w)
        step(w, c, 200)
        c.disconnect(0)
        equal(w.net.open_sockets(), [], note)
        raises(OSError, c.poll, 10)


def test_a_name_is_looked_up_once_until_a_connection_to_its_address_fails():
    w = World(Model)
    w.net.names["mqtt.example"] = ["10.0.0.1"]
    w.net.serve("10.0.0.1", 1883, w.broker)
    c = w.client(server="mqtt.example", reconnect=Reconnect(10, 10))
    for _ in range(5):
        step(w, c, 200)
        assert c.isconnected()
        w.link.end("rst")
    equal(w.net.looked_up, ["mqtt.example"])
    step(w, c, 200)
    w.net.names["mqtt.example"] = ["10.0.0.2"]
    w.net.serve("10.0.0.2", 1883, w.net.peers.pop(("10.0.0.1", 1883)))
    w.link.end("rst")
    step(w, c, 200)
    assert c.isconnected()
    equal(len(w.net.looked_up), 2)


def test_an_ip_address_is_never_looked_up():
    for address in ("10.0.0.1", "192.168.100.254"):
        w = World(Model)
        w.net.serve(address, 1883, w.broker)
        c = w.client(server=address)
        c.connect()
        equal((w.net.looked_up, w.net.dialled), ([], [(address, 1883)]))
    w = World(Model)
    w.net.names["4.example"] = OSError(-2)
    raises(OSError, w.client(server="4.example").connect)
    equal(w.net.looked_up, ["4.example"])


def test_diag_tells_how_long_the_look_up_took():
    w = World(Model)
    plain = w.net.socket.getaddrinfo

    def slow(*args):
        w.clock.sleep_ms(1234)
        return plain(*args)

    w.net.socket.getaddrinfo = slow
    c = w.client(timeout_ms=1000)
    equal(c.diag()["lookup_ms"], 0)
    c.connect()  # the deadline is not that of the look-up
    equal(c.diag()["lookup_ms"], 1234)
    c.connect()
    equal((c.diag()["lookup_ms"], len(w.net.looked_up)), (1234, 1))
    w.net.plan.refuse = True
    raises(OSError, c.connect)
    equal(c.diag()["lookup_ms"], 1234)


def test_refused_is_told_with_the_ports_own_number():
    for port, number in ((UNIX, 111), (ESP32, 104), (ESP8266, 103)):
        for ssl in (None, Context()):
            w = World(Model)
            w.net.port = port
            w.net.plan = Plan(refuse=True, connect_ms=5)
            e = raises(OSError, w.client(ssl=ssl, port=1883).connect)
            equal(e.args[0], number)


def test_a_port_whose_poll_says_ready_too_soon_is_asked_again():
    for number in (11, 114, 115, 119):
        w = World(Model)
        w.net.plan = Plan(connect_ms=200)
        c = w.client(reconnect=Reconnect(10, 10))
        c.poll(0)
        sock = w.net.sockets[-1]
        ready = sock.ready
        sock.ready = lambda: 4

        def too_soon(n):
            raise OSError(number)

        sock.read = too_soon
        step(w, c, 100)
        assert not c.isconnected()
        del sock.read
        sock.ready = ready
        step(w, c, 300)
        assert c.isconnected()
        equal(len(w.net.sockets), 1)


def test_a_peer_that_speaks_first_is_no_broker():
    class Greeter(Model):
        def opened(self, link):
            link.push(b"220 mail.example ESMTP\r\n")

    w = World(Greeter)
    e = raises(Exception, w.client().connect)
    assert "speaks first" in str(e), e
    equal(w.net.open_sockets(), [])


def test_a_ctrl_c_in_any_step_leaves_nothing_open_and_the_next_attempt_works():
    w = World(Model)
    c = w.client()
    for name in ("read", "write", "readinto"):
        c._begin_connect()
        c.poll(0)
        sock = w.net.sockets[-1]

        def interrupted(*args):
            raise KeyboardInterrupt

        setattr(sock, name, interrupted)
        try:
            for _ in range(9):
                c.poll(10)
        except KeyboardInterrupt:
            pass
        equal(w.net.open_sockets(), [], name)
    c.connect()


def test_any_number_of_failed_attempts_fits_one_blocking_call():
    # one inside the other they would end in "maximum recursion depth exceeded" on a board
    for plan in (Plan(refuse=True), Plan(cut_in=0, how="rst"), Plan(cut_in=2)):
        for call in (
            lambda c: c.publish("t", "x", qos=1, timeout_ms=20_000),
            lambda c: c.publish("t", "x", timeout_ms=20_000),
            lambda c: c.subscribe("t", timeout_ms=20_000),
        ):
            w = World(Model)
            c = w.client(reconnect=Reconnect(50, 50))
            w.net.plan = plan
            raises(OSError, call, c)
            assert len(w.net.dialled) > 300, len(w.net.dialled)


def test_a_failure_of_connect_is_its_own_whatever_reconnects():
    # a certificate that is refused fails in the first write
    for named in ({}, {"reconnect": Reconnect(10, 10)}):
        w = World(Model)
        c = w.client(ssl=Context(ValueError("The certificate is not correctly signed")), **named)
        w.net.serve("broker.test", 8883, w.broker)
        e = raises(OSError, c.connect)
        assert "not correctly signed" in str(e) and c.diag()["error"] == str(e), e
        equal((len(w.net.dialled), w.net.open_sockets()), (1, []))


def test_a_connection_that_is_cut_at_any_byte_while_it_is_made_is_made_again_by_polls_that_do_not_wait():
    for how in ("fin", "rst", "silence"):
        for side, most in (("cut_out", 40), ("cut_in", 16)):
            for k in range(most):
                w = World(Model)
                c = w.client(reconnect=Reconnect(10, 10), timeout_ms=300, keepalive=2)
                step(w, c, 40, 5)
                c.subscribe("a", 1)
                c.subscribe("b", 1)
                w.broker.forget()
                plan = Plan(how=how)
                setattr(plan, side, k)
                w.net.plans = [plan]
                w.link.end("rst")
                step(w, c, 700, 10)
                note = (how, side, k)
                assert c.isconnected() and not c._is_connecting, (note, c.diag())
                for topic in ("a", "b"):
                    w.broker.inject(topic, b"x", 1)
                step(w, c, 4000, 50)  # the cut may come only now, and silence is found by the keep-alive
                equal({m[0] for m in w.inbox}, {b"a", b"b"}, note)
                equal((w.broker.violations, len(w.net.open_sockets())), ([], 1), note)
