"""A client with a list of brokers: away from one that is lost, and back to the better one, without losing or repeating
what is in flight, and not again and again."""

from fakes.bench import HOST, World
from fakes.check import equal
from fakes.model import Model
from fakes.net import Plan
from fakes.packets import PUBLISH, PUBREL

NOT_ON_ASYNCIO = ()  # all of them are
SPARE = "spare.test"
MINUTE_MS = 60_000
DAY_MS = 86_400_000


class OnRelease(Model):
    """Passes a message of QoS 2 on when it is released, as Mosquitto does [4.3.3, method A]."""

    def _accept(self, p):
        if p.qos < 2:
            Model._accept(self, p)

    def _incoming(self, link, kept, p):
        if p.qos == 2:
            if not hasattr(kept, "to_pass_on"):
                kept.to_pass_on = {}
            kept.to_pass_on[p.pid] = bytes(p.payload)
        return Model._incoming(self, link, kept, p)

    def _came(self, link, p):
        if p.kind == PUBREL:
            waiting = getattr(self.sessions.get(self.owner[link.number]), "to_pass_on", {})
            if p.pid in waiting:
                self.accepted.append(("t", waiting.pop(p.pid), 2))
        return Model._came(self, link, p)


def world(kind=Model, names=(HOST, SPARE), **named):
    """A world, a broker for each name, and a client that knows them all in this order."""
    from umqtt.reconnect import Reconnect

    w = World(kind)
    brokers = []
    for name in names:
        brokers.append(kind(w.clock))
        w.net.serve(name, 1883, brokers[-1])
    options = {"first_ms": 100, "cap_ms": 1000}
    for k in ("back_ms", "on_state", "wipe_first"):
        if k in named:
            options[k] = named.pop(k)
    named.setdefault("keepalive", 60)
    c = w.client(reconnect=Reconnect(brokers=[(name, 1883) for name in names], **options), **named)
    return w, brokers, c


def off(w, name):
    """The broker's machine is there, the broker is not."""
    broker = w.net.peers.pop((name, 1883))
    broker.stop()
    return broker


def to_the_spare(w, brokers, c):
    """The client is up at the spare; the first broker is off. Returns that."""
    w.serve(c, 11_000)
    first = off(w, HOST)
    w.serve(c, 1000)
    equal((c.isconnected(), c.server), (True, SPARE))
    return first


def payloads(*brokers):
    return sorted(payload for broker in brokers for _, payload, _ in broker.accepted)


def test_a_client_at_the_spare_goes_back_once_the_first_is_back():
    states = []
    w, (first, spare), c = world(on_state=lambda up, error: states.append((up, error)))
    c.set_last_will("c1/status", "offline")
    to_the_spare(w, (first, spare), c)
    w.serve(c, 5 * MINUTE_MS)
    equal(c.server, SPARE)
    w.net.serve(HOST, 1883, first)
    w.serve(c, 2 * MINUTE_MS)
    equal((c.isconnected(), c.server), (True, HOST))
    equal(spare.wills, [], "it said DISCONNECT: the will is not published")
    equal([up for up, _ in states[-2:]], [False, True])
    assert "back to broker.test" in states[-2][1], states
    equal(len(w.net.open_sockets()), 1)
    w.serve(c, DAY_MS)
    equal((c.server, states[-1]), (HOST, (True, "")), "and stays")


def test_it_goes_back_to_the_first_that_works():
    w, (a, b, third), c = world(names=("a.test", "b.test", "c.test"))
    w.net.peers.pop(("a.test", 1883))
    w.net.peers.pop(("b.test", 1883))
    w.serve(c, 1000)
    equal(c.server, "c.test")
    w.net.serve("b.test", 1883, b)
    w.serve(c, 3 * MINUTE_MS)
    equal(c.server, "b.test")
    w.net.serve("a.test", 1883, a)
    w.serve(c, 5 * MINUTE_MS)
    equal(c.server, "a.test")
    equal(a.violations + b.violations + third.violations, [])


def test_nothing_is_lost_or_repeated_on_the_way_back():
    for qos in (1, 2):
        w, (first, spare), c = world()
        to_the_spare(w, (first, spare), c)
        w.net.serve(HOST, 1883, first)
        sent = 0
        while c.server != HOST and sent < 2000:
            c.publish("t", b"%d" % sent, qos=qos, wait=False)
            sent += 1
            w.serve(c, 100)
        assert sent < 2000, "it never went back"
        for _ in range(20):
            c.publish("t", b"%d" % sent, qos=qos, wait=False)
            sent += 1
            w.serve(c, 100)
        equal(payloads(first, spare), sorted(b"%d" % n for n in range(sent)))
        equal(first.violations + spare.violations, [])


def test_it_waits_with_that_until_nothing_is_in_flight():
    w, (first, spare), c = world(timeout_ms=60_000)
    to_the_spare(w, (first, spare), c)
    w.net.serve(HOST, 1883, first)
    incoming = spare._incoming
    kept_back = []
    spare._incoming = lambda *packet: kept_back.append(packet)
    c.publish("t", b"x", qos=2, wait=False)
    w.serve(c, 3 * MINUTE_MS)
    equal((c.server, c.inflight), (SPARE, 1))
    spare._incoming = incoming
    incoming(*kept_back[0])
    w.serve(c, 2000)
    equal((c.server, payloads(first, spare)), (HOST, [b"x"]))


def test_a_message_from_the_spare_is_finished_before_the_client_leaves():
    w, (first, spare), c = world()
    to_the_spare(w, (first, spare), c)
    c.subscribe("in", 2)
    w.net.serve(HOST, 1883, first)
    acked = spare._acked
    late = []
    spare._acked = lambda *packet: late.append(packet)  # its PUBREL does not come yet
    spare.inject("in", b"once", 2)
    w.serve(c, 3 * MINUTE_MS)
    equal((c.server, w.inbox), (SPARE, [(b"in", b"once", False)]))
    spare._acked = acked
    acked(*late[0])
    w.serve(c, 2000)
    equal((c.server, spare.kept("c1").out, w.inbox), (HOST, [], [(b"in", b"once", False)]))


def test_a_first_that_comes_and_goes_is_gone_back_to_more_and_more_seldom():
    w, (first, spare), c = world()
    to_the_spare(w, (first, spare), c)
    returns = []
    for _ in range(24 * 60 // 5):
        w.net.serve(HOST, 1883, first)
        before = c.server
        w.serve(c, 4 * MINUTE_MS)
        if c.server == HOST and before == SPARE:
            returns.append(w.clock.now)
        off(w, HOST)
        w.serve(c, MINUTE_MS)
        equal(c.server, SPARE)
    gaps = [returns[i + 1] - returns[i] for i in range(len(returns) - 1)]
    assert len(returns) < 60, returns
    assert gaps[-1] > 30 * MINUTE_MS > 10 * MINUTE_MS > gaps[0], gaps
    # well for hours, the next trouble is a new one
    w.net.serve(HOST, 1883, first)
    w.serve(c, 20 * 60 * MINUTE_MS)
    equal(c.server, HOST)
    off(w, HOST)
    w.serve(c, 1000)
    w.net.serve(HOST, 1883, first)
    w.serve(c, 2 * MINUTE_MS)
    equal(c.server, HOST)


def test_a_first_that_accepts_and_says_nothing_costs_one_deadline_and_then_less_and_less():
    class Mute:
        def opened(self, link):
            pass

        data = ended = lambda *_: None

    w, (first, spare), c = world(timeout_ms=5000)
    to_the_spare(w, (first, spare), c)
    w.net.serve(HOST, 1883, Mute())
    away_ms = 0
    end = w.clock.now + DAY_MS // 4
    while w.clock.now < end:
        began = w.clock.now
        c.poll(1000 if c.isconnected() else 100)
        if not c.isconnected():
            away_ms += w.clock.now - began
    assert 5000 <= away_ms < 20 * 6200, away_ms
    assert len(w.net.open_sockets()) <= 2


def test_a_first_that_nobody_answers_at_is_asked_without_leaving_the_spare():
    w, (first, spare), c = world()
    to_the_spare(w, (first, spare), c)
    states = len(spare.connects)
    w.net.plan = Plan(connect_ms=None)
    w.serve(c, 60 * MINUTE_MS)
    equal((c.isconnected(), c.server, len(spare.connects)), (True, SPARE, states))
    assert 20 < len([1 for host, _ in w.net.dialled if host == HOST]) < 100, w.net.dialled
    assert len(w.net.open_sockets()) <= 2


def test_with_back_ms_0_it_stays_until_the_next_blink():
    w, (first, spare), c = world(back_ms=0)
    to_the_spare(w, (first, spare), c)
    w.net.serve(HOST, 1883, first)
    w.serve(c, 60 * MINUTE_MS)
    equal(c.server, SPARE)
    spare.stop()
    w.serve(c, 2000)
    equal(c.server, HOST)


def test_many_do_not_come_back_at_once():
    seen = []
    for _ in range(6):
        w, (first, spare), c = world()
        to_the_spare(w, (first, spare), c)
        w.net.serve(HOST, 1883, first)
        began = w.clock.now
        while c.server != HOST:
            w.serve(c, 100)
        seen.append(w.clock.now - began)
    assert max(seen) - min(seen) > 3000 and max(seen) < 62_000, seen


def test_a_message_that_the_lost_broker_has_is_released_there_once_it_is_back():
    # between PUBREC and PUBREL the message is the first broker's, and nobody's if that is never told to pass it on
    w, (first, spare), c = world(OnRelease)
    w.serve(c, 11_000)
    came = first._came
    first._came = lambda link, p: came(link, p) if p.kind != PUBREL else None
    c.publish("t", b"once", qos=2, wait=False)
    w.serve(c, 100)
    first._came = came
    off(w, HOST)
    w.serve(c, 1000)
    equal((c.server, payloads(first, spare)), (SPARE, []))
    c.publish("t", b"next", qos=2, wait=False)
    w.net.serve(HOST, 1883, first)
    w.serve(c, 3 * MINUTE_MS)
    equal((c.server, payloads(first), payloads(spare)), (HOST, [b"once"], [b"next"]))
    equal(first.violations + spare.violations, [])


def test_nodes_that_share_a_session_get_what_is_in_flight_once():
    for lost_at in (PUBLISH, PUBREL):
        w, (first, spare), c = world(OnRelease)
        spare.sessions = first.sessions  # one cluster
        spare.accepted = first.accepted
        w.serve(c, 11_000)
        came = first._came

        def lose(link, p, came=came, lost_at=lost_at):
            return came(link, p) if p.kind != lost_at else None

        first._came = lose
        for i in range(3):
            c.publish("t", b"%d" % i, qos=2, wait=False)
        w.serve(c, 100)
        first._came = came
        w.net.peers.pop((HOST, 1883))
        first.stop()
        w.serve(c, 2000)
        equal((c.server, payloads(spare), c.inflight), (SPARE, [b"0", b"1", b"2"], 0))
        w.net.serve(HOST, 1883, first)
        w.serve(c, 3 * MINUTE_MS)
        equal((c.server, payloads(spare)), (HOST, [b"0", b"1", b"2"]))


def test_subscriptions_made_at_one_are_made_at_the_next_though_it_has_an_old_session():
    w, (first, spare), c = world()
    to_the_spare(w, (first, spare), c)
    w.net.serve(HOST, 1883, first)
    w.serve(c, 2 * MINUTE_MS)
    equal(c.server, HOST)
    c.subscribe("later", 1)
    w.serve(c, 11_000)
    off(w, HOST)
    w.serve(c, 1000)
    spare.inject("later", b"heard", 1)
    w.serve(c, 100)
    equal((c.server, w.inbox), (SPARE, [(b"later", b"heard", False)]))


def test_the_session_of_an_earlier_life_is_ended_before_anything_is_sent():
    w, (first, spare), c = world(wipe_first=True)
    c.set_last_will("c1/status", "offline")
    c.publish("t", b"x", qos=2, wait=False)
    c.poll(0)
    w.serve(c, 50)
    equal((c.isconnected(), [p.clean for p in first.connects], len(first.left)), (True, [1, 0], 1), "and at once")
    w.serve(c, 11_000)
    equal((payloads(first), first.wills, first.violations), ([b"x"], [], []))
    off(w, HOST)
    w.serve(c, 11_000)
    equal([p.clean for p in spare.connects], [1, 0])
    w.net.serve(HOST, 1883, first)
    w.serve(c, 2 * MINUTE_MS)
    equal((c.server, [p.clean for p in first.connects]), (HOST, [1, 0, 0]), "each once")


def test_after_an_outage_the_connection_that_ends_a_session_is_followed_at_once():
    # it was by the pause before it once more: up to two minutes instead of one
    w, (first, spare), c = world(wipe_first=True)
    off(w, HOST)
    w.net.peers.clear()
    w.serve(c, 5 * MINUTE_MS)
    w.net.serve(HOST, 1883, first)
    w.serve(c, 1)
    while not first.connects:
        w.serve(c, 100)
    w.serve(c, 200)
    equal((c.isconnected(), [p.clean for p in first.connects]), (True, [1, 0]))


def test_a_session_that_may_have_a_message_of_ours_is_not_ended():
    w, (first, spare), c = world(OnRelease, wipe_first=True)
    spare.sessions = first.sessions  # one cluster
    w.serve(c, 11_000)
    came = first._came
    first._came = lambda link, p: came(link, p) if p.kind != PUBREL else None
    c.publish("t", b"once", qos=2, wait=False)
    w.serve(c, 100)
    first._came = came
    w.net.peers.pop((HOST, 1883))
    first.stop()
    w.serve(c, 2000)
    equal((c.server, payloads(spare)), (SPARE, [b"once"]))


def test_a_broker_that_refuses_is_no_reason_to_let_the_next_wait():
    w, (first, spare), c = world()
    first.refuse_code = 5
    w.serve(c, 500)
    equal((c.isconnected(), c.server), (True, SPARE))


def test_no_pause_is_longer_than_a_program_says_its_queue_holds_but_that_after_a_refusal():
    w = World(Model)
    from umqtt.reconnect import Reconnect

    reconnect = Reconnect(1000, 120_000)
    c = w.client(reconnect=reconnect)
    w.net.peers.clear()
    w.serve(c, 30 * MINUTE_MS)
    reconnect.hurry_ms = 2000
    w.serve(c, 2 * MINUTE_MS)
    n = len(w.net.dialled)
    w.serve(c, 10 * MINUTE_MS)
    assert len(w.net.dialled) - n > 200, len(w.net.dialled) - n
    w.net.serve(HOST, 1883, w.broker)
    w.broker.refuse_code = 4
    w.serve(c, 2 * MINUTE_MS)
    n = len(w.net.dialled)
    w.serve(c, 60 * MINUTE_MS)
    assert len(w.net.dialled) - n <= 31, len(w.net.dialled) - n
