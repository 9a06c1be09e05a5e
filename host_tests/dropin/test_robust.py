"""umqtt.robust is a drop-in: it reconnects by itself, through whatever a subclass overrides, and finishes what was
in flight."""

import random
import sys

from dropin.peers import stages
from fakes.bench import HOST, World  # noqa: F401 - twice: early, and across the tick wrap
from fakes.check import equal, raises, skip
from fakes.model import Model
from fakes.net import Plan
from fakes.packets import CONNACK, CONNECT, DISCONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, SUBSCRIBE
from umqtt import robust

SIGNATURES = {
    "delay": (("i",), ()),
    "log": (("in_reconnect", "e"), ()),
    "reconnect": ((), ()),
    "publish": (("topic", "msg", "retain", "qos"), (False, 0)),
    "wait_msg": ((), ()),
    "check_msg": (("attempts",), (2,)),
}


def test_signatures_and_class_attributes():
    for stage in stages("robust"):
        equal((stage.Client.DELAY, stage.Client.DEBUG), (2, False))
    try:
        from inspect import signature
    except ImportError:
        skip("no inspect here; CPython compares the signatures")
    for stage in stages("robust"):
        for name in SIGNATURES:
            args, defaults = SIGNATURES[name]
            got = list(signature(getattr(stage.Client, name)).parameters.values())[1:]
            equal(tuple(parameter.name for parameter in got[: len(args)]), args, (stage.name, name))
            equal(
                tuple(parameter.default for parameter in got[: len(args)] if parameter.default is not parameter.empty),
                defaults,
                (stage.name, name),
            )


def test_wait_msg_reconnects_with_a_kept_session_and_goes_on():
    for stage in stages("robust"):
        client = stage.connected()
        stage.broker.cut()
        stage.broker.expect(CONNECT, clean=0)
        stage.broker.send(CONNACK, sp=1)
        stage.broker.send(PUBLISH, topic="t", payload="x")
        while not stage.inbox:
            client.wait_msg()
        equal(stage.inbox, [(b"t", b"x")])
        stage.broker.done()


def test_delay_and_log_are_called_and_may_be_overridden():
    for stage in stages("robust"):
        seen = []

        class Mine(stage.Client):
            def delay(self, attempt):
                seen.append(("delay", attempt))
                stage.world.clock.sleep_ms(10)
                if attempt == 3:
                    stage.world.net.serve(HOST, 1883, stage.broker)

            def log(self, in_reconnect, error):
                seen.append(("log", in_reconnect, isinstance(error, OSError)))

        stage.broker.expect(CONNECT)
        stage.broker.send(CONNACK)
        client = Mine("cid", HOST)
        client.set_callback(lambda pause_s, message: None)
        client.connect()
        stage.broker.cut()
        stage.world.net.peers.clear()
        stage.broker.expect(CONNECT)
        stage.broker.send(CONNACK)
        stage.broker.send(PUBLISH, payload="x")
        equal(client.wait_msg(), 0x30)
        equal(
            seen,
            [
                ("log", False, True),
                ("log", True, True),
                ("delay", 1),
                ("log", True, True),
                ("delay", 2),
                ("log", True, True),
                ("delay", 3),
            ],
        )


def test_a_subclasss_connect_is_used_to_reconnect():
    for stage in stages("robust"):
        calls = []

        class Mine(stage.Client):
            def connect(self, clean_session=True):
                calls.append(clean_session)
                return super().connect(clean_session)

        stage.broker.expect(CONNECT, clean=1)
        stage.broker.send(CONNACK)
        client = Mine("cid", HOST)
        client.set_callback(lambda pause_s, message: None)
        client.connect()
        stage.broker.cut()
        stage.broker.expect(CONNECT, clean=0)
        stage.broker.send(CONNACK)
        stage.broker.send(PUBLISH, payload="x")
        client.wait_msg()
        equal(calls, [True, False])


def test_check_msg_reconnects_and_returns():
    for stage in stages("robust"):
        client = stage.connected()
        stage.broker.cut()
        stage.world.clock.run_due()
        stage.broker.expect(CONNECT)
        stage.broker.send(CONNACK, sp=1)
        client.check_msg()
        stage.broker.send(PUBLISH, payload="x")
        stage.world.clock.run_due()
        while not stage.inbox:
            client.check_msg()
        stage.broker.done()


def test_check_msg_looks_no_more_often_than_it_is_told():
    for stage in stages("robust"):
        client = stage.connected()
        for _ in range(2):
            stage.broker.cut()
            stage.broker.expect(CONNECT)
            stage.broker.send(CONNACK, sp=1)
        stage.broker.cut()
        stage.world.clock.run_due()
        equal(client.check_msg(2), None)
        stage.broker.done()


def ours():
    return next(iter(stages("robust")))


def test_publish_in_flight_is_finished_with_its_id_and_not_sent_anew():
    for qos, ack in ((1, PUBACK), (2, PUBREC)):
        stage = ours()
        stage.broker.accept()
        client = stage.client()
        client.set_callback(lambda pause_s, message: None)
        client.connect(False)
        stage.broker.expect(PUBLISH, qos=qos, dup=0)
        stage.broker.cut()
        stage.broker.expect(CONNECT, clean=0)
        stage.broker.send(CONNACK, sp=1)
        stage.broker.expect(PUBLISH, qos=qos, dup=1)
        stage.broker.call(lambda: equal(stage.broker.got[-1].pid, stage.broker.got[1].pid))
        stage.broker.reply(ack)
        if qos == 2:
            stage.broker.expect(PUBREL)
            stage.broker.reply(PUBCOMP)
        equal(client.publish(b"t", b"x", qos=qos), None)
        stage.broker.done()
        equal(client.inflight, 0)


def test_publish_of_qos_0_is_repeated_until_it_is_out():
    stage = ours()
    client = stage.connected()
    stage.broker.cut("rst")
    stage.world.clock.run_due()
    stage.broker.expect(CONNECT)
    stage.broker.send(CONNACK)
    stage.broker.expect(PUBLISH, payload="x")
    client.publish(b"t", b"x")
    stage.broker.done()


def test_subscriptions_are_made_again_when_the_broker_forgot():
    stage = ours()
    client = stage.connected()
    stage.broker.expect(SUBSCRIBE, filters=[("a/#", 1)])
    stage.broker.send(SUBACK, 1, codes=(1,))
    client.subscribe(b"a/#", 1)
    stage.broker.cut()
    stage.broker.expect(CONNECT, clean=0)
    stage.broker.send(CONNACK, sp=0)
    stage.broker.expect(SUBSCRIBE, filters=[("a/#", 1)])
    stage.broker.reply(SUBACK, codes=(1,))
    stage.broker.send(PUBLISH, topic="a/b", payload="x")
    while not stage.inbox:
        client.wait_msg()
    stage.broker.done()


def test_a_refused_login_is_reported_and_not_hammered():
    stage = ours()
    client = stage.connected()
    stage.broker.cut()
    stage.broker.expect(CONNECT)
    stage.broker.send(CONNACK, code=5)
    raises(stage.MQTTException, client.wait_msg)
    stage.broker.done()


def test_pauses_grow_with_jitter_and_have_a_cap():
    stage = ours()
    client = stage.connected()
    stage.world.net.peers.clear()
    slept = []
    import umqtt.robust

    keep = umqtt.robust.sleep_ms
    umqtt.robust.sleep_ms = slept.append
    try:
        for i in range(1, 40):
            client.delay(i)
        assert all(0 <= pause_s <= 60000 for pause_s in slept), slept
        assert max(slept[:3]) <= 16000 and max(slept) > 16000, slept
        assert len(set(slept)) > 20, slept
    finally:
        umqtt.robust.sleep_ms = keep


def test_the_longest_pause_doubles_from_twice_the_delay_to_a_minute_or_is_the_delay():
    import umqtt.robust

    class Most:
        def __mod__(self, divisor):
            return divisor - 1

    client = ours().connected()
    slept = []
    keep = umqtt.robust.sleep_ms, umqtt.robust.getrandbits
    umqtt.robust.sleep_ms, umqtt.robust.getrandbits = slept.append, lambda bits: Most()
    try:
        for i in range(1, 8):
            client.delay(i)
        client.DELAY = 100
        client.delay(3)
        equal(slept, [4000, 8000, 16000, 32000, 60000, 60000, 60000, 100000])
        del slept[:]
        client.DELAY = 0.001
        client.delay(50)
        equal(slept, [1024], "it doubles ten times")
    finally:
        umqtt.robust.sleep_ms, umqtt.robust.getrandbits = keep


def test_a_subscription_is_made_over_as_many_connections_as_it_takes_and_in_qos_0_unless_asked():
    stage = ours()
    client = stage.connected()
    stage.broker.expect(SUBSCRIBE, filters=[("t", 0)])
    stage.broker.cut()
    stage.broker.expect(CONNECT, clean=0)
    stage.broker.send(CONNACK, sp=1)
    for _ in range(2):  # that of the first connection, and the call's own
        stage.broker.expect(SUBSCRIBE, filters=[("t", 0)])
        stage.broker.reply(SUBACK)
    client.subscribe("t")
    stage.broker.done()


def test_each_call_that_finds_the_link_dead_says_so_to_log():
    for call in ("publish", "subscribe", "check_msg", "wait_msg"):
        stage = ours()
        seen = []

        class Mine(stage.Client):
            def log(self, in_reconnect, error):
                seen.append((in_reconnect, isinstance(error, OSError)))

        stage.broker.accept()
        client = Mine("cid", HOST)
        client.set_callback(lambda topic, msg: None)
        client.connect()
        stage.broker.cut("rst")
        stage.world.clock.run_due()
        stage.broker.accept()
        if call == "publish":
            stage.broker.expect(PUBLISH, qos=1)
            stage.broker.reply(PUBACK)
            client.publish("t", "x", qos=1)
        elif call == "subscribe":
            for _ in range(2):  # that of the first connection, and the call's own
                stage.broker.expect(SUBSCRIBE)
                stage.broker.reply(SUBACK)
            client.subscribe("t")
        else:
            stage.broker.send(PUBLISH, payload="x")
            getattr(client, call)()
        equal(seen, [(False, True)], call)
        stage.broker.done()


def test_a_publish_waits_for_a_slot_when_all_are_taken():
    from umqtt import client

    stage = ours()
    robust = stage.connected()
    while robust.free_slots():  # as calls leave them that Ctrl-C has ended
        stage.broker.expect(PUBLISH, qos=1)
        client.MQTTClient.publish(robust, "t", "old", False, 1, False)
    stage.world.clock.run_due()
    stage.broker.send(PUBACK, 1)
    stage.broker.expect(PUBLISH, qos=1, payload="new")
    stage.broker.reply(PUBACK)
    began = stage.world.clock.now
    robust.publish("t", "new", qos=1)
    equal(stage.world.clock.now, began)
    stage.broker.done()


def test_inside_a_callback_a_call_tries_once():
    stage = ours()
    client = stage.connected()
    outcomes = []

    def answer(topic, msg):
        for qos in (0, 1, 2):
            outcomes.append(client.publish("t", "x", qos=qos))
        client.disconnect()
        for qos in (0, 1):
            raises(OSError, client.publish, "t", "y", qos=qos)
        raises(OSError, client.subscribe, "s")

    client.set_callback(answer)
    client.log = client.reconnect = None  # neither is called
    stage.broker.send(PUBLISH, topic="in", payload="x")
    for qos in (0, 1, 2):
        stage.broker.expect(PUBLISH, qos=qos, payload="x")
    stage.broker.expect(DISCONNECT)
    equal(client.wait_msg(), 0x30)
    equal((outcomes, len(stage.world.net.dialled)), ([None] * 3, 1))
    stage.broker.done()


def test_reconnect_inside_a_callback_ends():
    from umqtt.robust import MQTTClient

    world = World()
    world.broker.accept()
    client = MQTTClient("c1", HOST)
    client.DELAY = 0
    client.connect()
    client.set_callback(lambda topic, msg: raises(OSError, client.reconnect))
    world.broker.send(PUBLISH, topic="in", payload="x")
    client.wait_msg()
    world.broker.done()


def test_a_clean_reconnect_of_a_subclass_publishes_anew():
    for qos in (1, 2):
        stage = ours()

        class Mine(stage.Client):
            def reconnect(self):
                return self.connect(True)

        stage.broker.accept()
        client = Mine("cid", HOST)
        client.set_callback(lambda pause_s, message: None)
        client.connect()
        stage.broker.expect(PUBLISH, qos=qos, dup=0, pid=1)
        stage.broker.cut()
        stage.broker.accept(clean=1)
        stage.broker.expect(PUBLISH, qos=qos, dup=0, pid=2, payload="x")
        stage.broker.reply(PUBACK if qos == 1 else PUBREC)
        if qos == 2:
            stage.broker.expect(PUBREL)
            stage.broker.reply(PUBCOMP)
        client.publish(b"t", b"x", qos=qos)
        stage.broker.done()


class Book(Model):
    """A broker that keeps book of the ids under which each message came."""

    def __init__(self, clock):
        Model.__init__(self, clock)
        self.ids = {}  # payload -> packet ids

    def _incoming(self, link, kept, packet):
        if packet.qos:
            self.ids.setdefault(bytes(packet.payload), set()).add(packet.pid)
        Model._incoming(self, link, kept, packet)


def test_each_message_is_published_once_whatever_the_link_does():
    # before, a write that found the link dead left its message in flight, and the loop published a second one
    for seed in range(120):
        random.seed(seed)
        world = World(Book)
        for _ in range(6):
            plan = Plan(latency_ms=random.choice((0, 0, 5, 300)), write_max=random.choice((0, 0, 3)))
            plan.how = random.choice(("fin", "rst", "silence"))
            if random.randrange(3):
                plan.cut_out = 20 + random.randrange(90)
            if not random.randrange(3):
                plan.cut_in = 5 + random.randrange(20)
            world.net.plans.append(plan)
        client = robust.MQTTClient("cid", HOST, keepalive=60)
        client.DELAY = 0.1
        client.set_callback(lambda topic, msg: None)
        client.clean_session = False
        client.reconnect()
        sent = []
        for i in range(6):
            if not random.randrange(3):
                world.link.end(random.choice(("fin", "rst", "silence")))
            if not random.randrange(3):
                world.clock.sleep_ms(random.choice((1, 400, 70000)))
            qos = 1 + random.randrange(2)
            sent.append((b"m%d" % i, qos))
            client.publish(b"t", b"m%d" % i, qos=qos)
            if not random.randrange(3):
                client.check_msg()
        for _ in range(20):
            client.check_msg()
            world.clock.sleep_ms(50)
        for payload, qos in sent:
            taken = [message[1] for message in world.broker.accepted].count(payload)
            assert taken == 1 if qos == 2 else taken >= 1, (seed, payload, qos, taken)
            equal(len(world.broker.ids[payload]), 1, (seed, payload, qos))
        equal(world.broker.violations, [], seed)
        equal(client.inflight, 0, seed)


def test_a_timers_callback_publishes_over_as_many_connections_as_it_takes():
    # before, connect was refused there, and the callback tried for ever
    if sys.implementation.name != "micropython":
        skip("schedule of CPython's stand-in runs at once")
    from micropython import schedule

    for qos in (0, 1, 2):
        world = World(Model)
        client = robust.MQTTClient("c1", HOST)
        client.DELAY = 0
        client.connect(False)
        world.link.end("fin")
        returned = []
        publish = lambda i: returned.append(client.publish(b"t", b"%d" % i, qos=qos))  # noqa: E731
        for i in range(6):
            schedule(publish, i)
            for _ in range(3):
                pass
        equal(returned, [None] * 6)
        while client.inflight:
            client.wait_msg()
        world.clock.sleep(1)
        # of QoS 0 the first went out onto a link that had ended already
        equal([payload for _, payload, _ in world.broker.accepted], [b"%d" % i for i in range(0 if qos else 1, 6)], qos)


def test_a_client_without_an_id_reconnects_and_finishes_what_was_in_flight():
    # before, the second connection was a ValueError: without an id there is no session to keep
    from umqtt.robust import MQTTClient

    world = World()
    world.broker.accept(clean=1)
    client = MQTTClient("", HOST)
    client.DELAY = 0
    client.set_callback(lambda topic, msg: None)
    client.connect()
    world.broker.expect(SUBSCRIBE, filters=[("a", 1)])
    world.broker.reply(SUBACK, codes=(1,))
    client.subscribe(b"a", 1)
    world.broker.expect(PUBLISH, qos=1, pid=2)
    world.broker.cut()
    world.broker.accept(clean=1)
    world.broker.expect(PUBLISH, qos=1, dup=0, pid=2)
    world.broker.reply(PUBACK)
    world.broker.expect(SUBSCRIBE, filters=[("a", 1)])
    world.broker.reply(SUBACK, codes=(1,))
    client.publish(b"t", b"x", qos=1)
    world.broker.done()
