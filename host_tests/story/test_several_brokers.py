"""A client with a list of brokers: away from one that is lost, and back to the better one, without losing or repeating
what is in flight, and not again and again."""

from fakes.bench import HOST, World
from fakes.check import equal
from fakes.model import Model
from fakes.net import ESP32, ESP8266, UNIX, Plan
from fakes.packets import PUBLISH, PUBREL

NOT_ON_ASYNCIO = ()  # all of them are
SPARE = "spare.test"
MINUTE_MS = 60_000
DAY_MS = 86_400_000


class OnRelease(Model):
    """Passes a message of QoS 2 on when it is released, as Mosquitto does [4.3.3, method A]."""

    def _accept(self, packet):
        if packet.qos < 2:
            Model._accept(self, packet)

    def _incoming(self, link, kept, packet):
        if packet.qos == 2:
            if not hasattr(kept, "to_pass_on"):
                kept.to_pass_on = {}
            kept.to_pass_on[packet.pid] = bytes(packet.payload)
        return Model._incoming(self, link, kept, packet)

    def _came(self, link, packet):
        if packet.kind == PUBREL:
            waiting = getattr(self.sessions.get(self.owner[link.number]), "to_pass_on", {})
            if packet.pid in waiting:
                self.accepted.append(("t", waiting.pop(packet.pid), 2))
        return Model._came(self, link, packet)


def make_world(kind=Model, names=(HOST, SPARE), **named):
    """A world, a broker for each name, and a client that knows them all in this order."""
    from umqtt.reconnect import Reconnect

    world = World(kind)
    brokers = []
    for name in names:
        brokers.append(kind(world.clock))
        world.net.serve(name, 1883, brokers[-1])
    options = {"first_ms": 100, "cap_ms": 1000}
    for option in ("back_ms", "on_state", "wipe_first"):
        if option in named:
            options[option] = named.pop(option)
    named.setdefault("keepalive", 60)
    client = world.client(reconnect=Reconnect(brokers=[(name, 1883) for name in names], **options), **named)
    return world, brokers, client


def off(world, name):
    """The broker's machine is there, the broker is not."""
    broker = world.net.peers.pop((name, 1883))
    broker.stop()
    return broker


def to_the_spare(world, brokers, client):
    """The client is up at the spare; the first broker is off. Returns that."""
    world.serve(client, 11_000)
    first = off(world, HOST)
    world.serve(client, 1000)
    equal((client.isconnected(), client.server), (True, SPARE))
    return first


def payloads(*brokers):
    return sorted(payload for broker in brokers for _, payload, _ in broker.accepted)


def test_a_client_at_the_spare_goes_back_once_the_first_is_back():
    states = []
    world, (first, spare), client = make_world(on_state=lambda up, error: states.append((up, error)))
    client.set_last_will("c1/status", "offline")
    to_the_spare(world, (first, spare), client)
    world.serve(client, 5 * MINUTE_MS)
    equal(client.server, SPARE)
    world.net.serve(HOST, 1883, first)
    world.serve(client, 2 * MINUTE_MS)
    equal((client.isconnected(), client.server), (True, HOST))
    equal(spare.wills, [], "it said DISCONNECT: the will is not published")
    equal([up for up, _ in states[-2:]], [False, True])
    assert "back to broker.test" in states[-2][1], states
    equal(len(world.net.open_sockets()), 1)
    world.serve(client, DAY_MS)
    equal((client.server, states[-1]), (HOST, (True, "")), "and stays")


def test_it_goes_back_on_every_port_and_not_to_a_first_that_refuses_or_speaks():
    for port in (UNIX, ESP32, ESP8266):
        world, (first, spare), client = make_world()
        world.net.port = port
        world.net.plan = Plan(connect_ms=250)
        to_the_spare(world, (first, spare), client)
        world.serve(client, 3 * MINUTE_MS)
        equal((client.server, len(spare.connects)), (SPARE, 1), "refused")
        world.net.serve(HOST, 1883, first)
        opened = first.opened
        first.opened = lambda link: link.push(b"SSH-2.0")
        world.serve(client, 3 * MINUTE_MS)
        equal((client.server, len(spare.connects)), (SPARE, 1), "no broker")
        first.opened = opened
        world.serve(client, 2 * MINUTE_MS)
        equal((client.isconnected(), client.server, len(world.net.open_sockets())), (True, HOST, 1))


def test_it_goes_back_to_the_first_that_works():
    world, (first, second, third), client = make_world(names=("a.test", "b.test", "c.test"))
    world.net.peers.pop(("a.test", 1883))
    world.net.peers.pop(("b.test", 1883))
    world.serve(client, 1000)
    equal(client.server, "c.test")
    world.net.serve("b.test", 1883, second)
    world.serve(client, 3 * MINUTE_MS)
    equal(client.server, "b.test")
    world.net.serve("a.test", 1883, first)
    world.serve(client, 5 * MINUTE_MS)
    equal(client.server, "a.test")
    equal(first.violations + second.violations + third.violations, [])


def test_nothing_is_lost_or_repeated_on_the_way_back():
    for qos in (1, 2):
        world, (first, spare), client = make_world()
        to_the_spare(world, (first, spare), client)
        world.net.serve(HOST, 1883, first)
        sent = 0
        while client.server != HOST and sent < 2000:
            client.publish("t", b"%d" % sent, qos=qos, wait=False)
            sent += 1
            world.serve(client, 100)
        assert sent < 2000, "it never went back"
        for _ in range(20):
            client.publish("t", b"%d" % sent, qos=qos, wait=False)
            sent += 1
            world.serve(client, 100)
        equal(payloads(first, spare), sorted(b"%d" % i for i in range(sent)))
        equal(first.violations + spare.violations, [])


def test_it_waits_with_that_until_nothing_is_in_flight():
    world, (first, spare), client = make_world(timeout_ms=60_000)
    to_the_spare(world, (first, spare), client)
    world.net.serve(HOST, 1883, first)
    incoming = spare._incoming
    kept_back = []
    spare._incoming = lambda *packet: kept_back.append(packet)
    client.publish("t", b"x", qos=2, wait=False)
    world.serve(client, 3 * MINUTE_MS)
    equal((client.server, client.inflight), (SPARE, 1))
    spare._incoming = incoming
    incoming(*kept_back[0])
    world.serve(client, 2000)
    equal((client.server, payloads(first, spare)), (HOST, [b"x"]))


def test_a_message_from_the_spare_is_finished_before_the_client_leaves():
    world, (first, spare), client = make_world()
    to_the_spare(world, (first, spare), client)
    client.subscribe("in", 2)
    world.net.serve(HOST, 1883, first)
    acked = spare._acked
    late = []
    spare._acked = lambda *packet: late.append(packet)  # its PUBREL does not come yet
    spare.inject("in", b"once", 2)
    world.serve(client, 3 * MINUTE_MS)
    equal((client.server, world.inbox), (SPARE, [(b"in", b"once", False)]))
    spare._acked = acked
    acked(*late[0])
    world.serve(client, 2000)
    equal((client.server, spare.kept("c1").out, world.inbox), (HOST, [], [(b"in", b"once", False)]))


def test_a_first_that_comes_and_goes_is_gone_back_to_more_and_more_seldom():
    world, (first, spare), client = make_world()
    to_the_spare(world, (first, spare), client)
    returns = []
    for _ in range(24 * 60 // 5):
        world.net.serve(HOST, 1883, first)
        before = client.server
        world.serve(client, 4 * MINUTE_MS)
        if client.server == HOST and before == SPARE:
            returns.append(world.clock.now)
        off(world, HOST)
        world.serve(client, MINUTE_MS)
        equal(client.server, SPARE)
    gaps = [returns[i + 1] - returns[i] for i in range(len(returns) - 1)]
    assert len(returns) < 60, returns
    assert gaps[-1] > 30 * MINUTE_MS > 10 * MINUTE_MS > gaps[0], gaps
    # well for hours, the next trouble is a new one
    world.net.serve(HOST, 1883, first)
    world.serve(client, 20 * 60 * MINUTE_MS)
    equal(client.server, HOST)
    off(world, HOST)
    world.serve(client, 1000)
    world.net.serve(HOST, 1883, first)
    world.serve(client, 2 * MINUTE_MS)
    equal(client.server, HOST)


def test_a_first_that_accepts_and_says_nothing_costs_one_deadline_and_then_less_and_less():
    class Mute:
        def opened(self, link):
            pass

        data = ended = lambda *_: None

    world, (first, spare), client = make_world(timeout_ms=5000)
    to_the_spare(world, (first, spare), client)
    world.net.serve(HOST, 1883, Mute())
    away_ms = 0
    end = world.clock.now + DAY_MS // 4
    while world.clock.now < end:
        began = world.clock.now
        client.poll(1000 if client.isconnected() else 100)
        if not client.isconnected():
            away_ms += world.clock.now - began
    assert 5000 <= away_ms < 20 * 6200, away_ms
    assert len(world.net.open_sockets()) <= 2


def test_a_first_that_nobody_answers_at_is_asked_without_leaving_the_spare():
    world, (first, spare), client = make_world()
    to_the_spare(world, (first, spare), client)
    states = len(spare.connects)
    world.net.plan = Plan(connect_ms=None)
    world.serve(client, 60 * MINUTE_MS)
    equal((client.isconnected(), client.server, len(spare.connects)), (True, SPARE, states))
    assert 20 < len([1 for host, _ in world.net.dialled if host == HOST]) < 100, world.net.dialled
    assert len(world.net.open_sockets()) <= 2


def test_with_back_ms_0_it_stays_until_the_next_blink():
    world, (first, spare), client = make_world(back_ms=0)
    to_the_spare(world, (first, spare), client)
    world.net.serve(HOST, 1883, first)
    world.serve(client, 60 * MINUTE_MS)
    equal(client.server, SPARE)
    spare.stop()
    world.serve(client, 2000)
    equal(client.server, HOST)


def test_many_do_not_come_back_at_once():
    seen = []
    for _ in range(6):
        world, (first, spare), client = make_world()
        to_the_spare(world, (first, spare), client)
        world.net.serve(HOST, 1883, first)
        began = world.clock.now
        while client.server != HOST:
            world.serve(client, 100)
        seen.append(world.clock.now - began)
    assert max(seen) - min(seen) > 3000 and max(seen) < 62_000, seen


def test_it_goes_back_in_time_though_its_program_polls_for_minutes():
    world, (first, spare), client = make_world(keepalive=0)
    to_the_spare(world, (first, spare), client)
    world.net.serve(HOST, 1883, first)
    began = world.clock.now
    world.serve(client, 25_000)
    while client.server != HOST:
        client.poll(10 * MINUTE_MS)
    assert world.clock.now - began < 62_000, world.clock.now - began


def test_a_better_broker_that_has_gone_again_meanwhile_is_not_gone_back_to():
    world, (first, spare), client = make_world(timeout_ms=60_000)
    to_the_spare(world, (first, spare), client)
    world.net.serve(HOST, 1883, first)
    incoming = spare._incoming
    spare._incoming = lambda *packet: None
    client.publish("t", b"x", qos=2, wait=False)
    world.serve(client, 2 * MINUTE_MS)  # it waits for the acknowledgement
    off(world, HOST)
    spare._incoming = incoming
    spare.stop()
    world.serve(client, 20_000)
    equal((client.server, client.isconnected(), client.inflight, len(spare.connects)), (SPARE, True, 0, 2))


def test_trouble_after_the_way_back_is_trouble_as_any_other():
    lost = []
    world, (first, spare), client = make_world(on_state=lambda up, error: up or lost.append(error))
    to_the_spare(world, (first, spare), client)
    world.net.serve(HOST, 1883, first)
    world.serve(client, 2 * MINUTE_MS)
    equal(client.server, HOST)
    del lost[:]
    world.net.peers.pop((SPARE, 1883))
    for _ in range(4):  # the first of them had lasted
        while not client.isconnected():
            client.poll(10)
        first.stop("fin")
        while client.isconnected():
            client.poll(10)
    assert [error for error in lost if "has another device this client id" in error], lost


def test_a_message_that_the_lost_broker_has_is_released_there_once_it_is_back():
    # between PUBREC and PUBREL the message is the first broker's, and nobody's if that is never told to pass it on
    world, (first, spare), client = make_world(OnRelease)
    world.serve(client, 11_000)
    came = first._came
    first._came = lambda link, packet: came(link, packet) if packet.kind != PUBREL else None
    client.publish("t", b"once", qos=2, wait=False)
    world.serve(client, 100)
    first._came = came
    off(world, HOST)
    world.serve(client, 1000)
    equal((client.server, payloads(first, spare)), (SPARE, []))
    client.publish("t", b"next", qos=2, wait=False)
    world.net.serve(HOST, 1883, first)
    world.serve(client, 3 * MINUTE_MS)
    equal((client.server, payloads(first), payloads(spare)), (HOST, [b"once"], [b"next"]))
    equal(first.violations + spare.violations, [])


def test_a_message_is_released_once_where_it_is_and_nowhere_else():
    released = []

    class Counting(OnRelease):
        def _came(self, link, p):
            if p.kind == PUBREL:
                released.append((self, p.pid))
                if self.is_deaf:
                    return None
            return OnRelease._came(self, link, p)

        is_deaf = False

    world, (first, spare), client = make_world(Counting)
    world.serve(client, 11_000)
    first.is_deaf = True
    client.publish("t", b"once", qos=2, wait=False)
    world.serve(client, 100)
    first.is_deaf = False
    del released[:]
    first.stop()  # it is back at once, with its session: what is in flight goes on there
    world.serve(client, 1000)
    equal((released, payloads(first)), ([(first, 1)], [b"once"]))
    for _ in range(2):  # long after that
        world.serve(client, 11_000)
        first.stop()
    world.serve(client, 1000)
    equal((client.server, len(released)), (HOST, 1))


def test_nodes_that_share_a_session_get_what_is_in_flight_once():
    for lost_at in (PUBLISH, PUBREL):
        world, (first, spare), client = make_world(OnRelease)
        spare.sessions = first.sessions  # one cluster
        spare.accepted = first.accepted
        world.serve(client, 11_000)
        came = first._came

        def lose(link, packet, came=came, lost_at=lost_at):
            return came(link, packet) if packet.kind != lost_at else None

        first._came = lose
        for i in range(3):
            client.publish("t", b"%d" % i, qos=2, wait=False)
        world.serve(client, 100)
        first._came = came
        world.net.peers.pop((HOST, 1883))
        first.stop()
        world.serve(client, 2000)
        equal((client.server, payloads(spare), client.inflight), (SPARE, [b"0", b"1", b"2"], 0))
        world.net.serve(HOST, 1883, first)
        world.serve(client, 3 * MINUTE_MS)
        equal((client.server, payloads(spare)), (HOST, [b"0", b"1", b"2"]))


def test_subscriptions_made_at_one_are_made_at_the_next_though_it_has_an_old_session():
    world, (first, spare), client = make_world()
    to_the_spare(world, (first, spare), client)
    world.net.serve(HOST, 1883, first)
    world.serve(client, 2 * MINUTE_MS)
    equal(client.server, HOST)
    client.subscribe("later", 1)
    world.serve(client, 11_000)
    off(world, HOST)
    world.serve(client, 1000)
    spare.inject("later", b"heard", 1)
    world.serve(client, 100)
    equal((client.server, world.inbox), (SPARE, [(b"later", b"heard", False)]))


def test_the_session_of_an_earlier_life_is_ended_before_anything_is_sent():
    world, (first, spare), client = make_world(wipe_first=True)
    client.set_last_will("c1/status", "offline")
    client.publish("t", b"x", qos=2, wait=False)
    client.poll(0)
    world.serve(client, 50)
    equal(
        (client.isconnected(), [packet.clean for packet in first.connects], len(first.left)),
        (True, [1, 0], 1),
        "and at once",
    )
    world.serve(client, 11_000)
    equal((payloads(first), first.wills, first.violations), ([b"x"], [], []))
    off(world, HOST)
    world.serve(client, 11_000)
    equal([packet.clean for packet in spare.connects], [1, 0])
    world.net.serve(HOST, 1883, first)
    world.serve(client, 2 * MINUTE_MS)
    equal((client.server, [packet.clean for packet in first.connects]), (HOST, [1, 0, 0]), "each once")


def test_after_an_outage_the_connection_that_ends_a_session_is_followed_at_once():
    # it was by the pause before it once more: up to two minutes instead of one
    world, (first, spare), client = make_world(wipe_first=True)
    off(world, HOST)
    world.net.peers.clear()
    world.serve(client, 5 * MINUTE_MS)
    world.net.serve(HOST, 1883, first)
    world.serve(client, 1)
    while not first.connects:
        world.serve(client, 100)
    world.serve(client, 200)
    equal((client.isconnected(), [packet.clean for packet in first.connects]), (True, [1, 0]))


def test_a_session_that_may_have_a_message_of_ours_is_not_ended():
    world, (first, spare), client = make_world(OnRelease, wipe_first=True)
    spare.sessions = first.sessions  # one cluster
    world.serve(client, 11_000)
    came = first._came
    first._came = lambda link, packet: came(link, packet) if packet.kind != PUBREL else None
    client.publish("t", b"once", qos=2, wait=False)
    world.serve(client, 100)
    first._came = came
    world.net.peers.pop((HOST, 1883))
    first.stop()
    world.serve(client, 2000)
    equal((client.server, payloads(spare)), (SPARE, [b"once"]))


def test_nor_is_one_ended_at_a_third_while_another_has_a_message_of_ours():
    world, (first, second, third), client = make_world(OnRelease, names=(HOST, "b.test", "c.test"), wipe_first=True)
    world.serve(client, 11_000)
    came = first._came
    first._came = lambda link, p: came(link, p) if p.kind != PUBREL else None
    client.publish("t", b"once", qos=2, wait=False)
    world.serve(client, 100)
    off(world, HOST)
    world.serve(client, 1000)
    equal((client.server, client.inflight), ("b.test", 0))  # to which it is an unknown one
    off(world, "b.test")
    world.serve(client, 2000)
    equal((client.server, [p.clean for p in third.connects]), ("c.test", [0]))


def test_a_broker_that_refuses_is_no_reason_to_let_the_next_wait():
    world, (first, spare), client = make_world()
    first.refuse_code = 5
    world.serve(client, 500)
    equal((client.isconnected(), client.server), (True, SPARE))


def test_no_pause_is_longer_than_a_program_says_its_queue_holds_but_that_after_a_refusal():
    world = World(Model)
    from umqtt.reconnect import Reconnect

    reconnect = Reconnect(1000, 120_000)
    client = world.client(reconnect=reconnect)
    world.net.peers.clear()
    world.serve(client, 30 * MINUTE_MS)
    reconnect.hurry_ms = 2000
    world.serve(client, 2 * MINUTE_MS)
    dialled = len(world.net.dialled)
    world.serve(client, 10 * MINUTE_MS)
    assert len(world.net.dialled) - dialled > 200, len(world.net.dialled) - dialled
    world.net.serve(HOST, 1883, world.broker)
    world.broker.refuse_code = 4
    world.serve(client, 2 * MINUTE_MS)
    dialled = len(world.net.dialled)
    world.serve(client, 60 * MINUTE_MS)
    assert len(world.net.dialled) - dialled <= 31, len(world.net.dialled) - dialled
