"""umqtt.robust is a drop-in: it reconnects by itself, through whatever a subclass overrides, and finishes what was
in flight."""

import random

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
    for s in stages("robust"):
        equal((s.Client.DELAY, s.Client.DEBUG), (2, False))
    try:
        from inspect import signature
    except ImportError:
        skip("no inspect here; CPython compares the signatures")
    for s in stages("robust"):
        for name in SIGNATURES:
            args, defaults = SIGNATURES[name]
            got = list(signature(getattr(s.Client, name)).parameters.values())[1:]
            equal(tuple(p.name for p in got[: len(args)]), args, (s.name, name))
            equal(tuple(p.default for p in got[: len(args)] if p.default is not p.empty), defaults, (s.name, name))


def test_wait_msg_reconnects_with_a_kept_session_and_goes_on():
    for s in stages("robust"):
        c = s.connected()
        s.b.cut()
        s.b.expect(CONNECT, clean=0)
        s.b.send(CONNACK, sp=1)
        s.b.send(PUBLISH, topic="t", payload="x")
        while not s.inbox:
            c.wait_msg()
        equal(s.inbox, [(b"t", b"x")])
        s.b.done()


def test_delay_and_log_are_called_and_may_be_overridden():
    for s in stages("robust"):
        seen = []

        class Mine(s.Client):
            def delay(self, i):
                seen.append(("delay", i))
                s.w.clock.sleep_ms(10)
                if i == 3:
                    s.w.net.serve(HOST, 1883, s.b)

            def log(self, in_reconnect, e):
                seen.append(("log", in_reconnect, isinstance(e, OSError)))

        s.b.expect(CONNECT)
        s.b.send(CONNACK)
        c = Mine("cid", HOST)
        c.set_callback(lambda t, m: None)
        c.connect()
        s.b.cut()
        s.w.net.peers.clear()
        s.b.expect(CONNECT)
        s.b.send(CONNACK)
        s.b.send(PUBLISH, payload="x")
        equal(c.wait_msg(), 0x30)
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
    for s in stages("robust"):
        calls = []

        class Mine(s.Client):
            def connect(self, clean_session=True):
                calls.append(clean_session)
                return super().connect(clean_session)

        s.b.expect(CONNECT, clean=1)
        s.b.send(CONNACK)
        c = Mine("cid", HOST)
        c.set_callback(lambda t, m: None)
        c.connect()
        s.b.cut()
        s.b.expect(CONNECT, clean=0)
        s.b.send(CONNACK)
        s.b.send(PUBLISH, payload="x")
        c.wait_msg()
        equal(calls, [True, False])


def test_check_msg_reconnects_and_returns():
    for s in stages("robust"):
        c = s.connected()
        s.b.cut()
        s.w.clock.run_due()
        s.b.expect(CONNECT)
        s.b.send(CONNACK, sp=1)
        c.check_msg()
        s.b.send(PUBLISH, payload="x")
        s.w.clock.run_due()
        while not s.inbox:
            c.check_msg()
        s.b.done()


def test_check_msg_looks_no_more_often_than_it_is_told():
    for s in stages("robust"):
        c = s.connected()
        for _ in range(2):
            s.b.cut()
            s.b.expect(CONNECT)
            s.b.send(CONNACK, sp=1)
        s.b.cut()
        s.w.clock.run_due()
        equal(c.check_msg(2), None)
        s.b.done()


def ours():
    return next(iter(stages("robust")))


def test_publish_in_flight_is_finished_with_its_id_and_not_sent_anew():
    for qos, ack in ((1, PUBACK), (2, PUBREC)):
        s = ours()
        s.b.accept()
        c = s.client()
        c.set_callback(lambda t, m: None)
        c.connect(False)
        s.b.expect(PUBLISH, qos=qos, dup=0)
        s.b.cut()
        s.b.expect(CONNECT, clean=0)
        s.b.send(CONNACK, sp=1)
        s.b.expect(PUBLISH, qos=qos, dup=1)
        s.b.call(lambda: equal(s.b.got[-1].pid, s.b.got[1].pid))
        s.b.reply(ack)
        if qos == 2:
            s.b.expect(PUBREL)
            s.b.reply(PUBCOMP)
        equal(c.publish(b"t", b"x", qos=qos), None)
        s.b.done()
        equal(c.inflight, 0)


def test_publish_of_qos_0_is_repeated_until_it_is_out():
    s = ours()
    c = s.connected()
    s.b.cut("rst")
    s.w.clock.run_due()
    s.b.expect(CONNECT)
    s.b.send(CONNACK)
    s.b.expect(PUBLISH, payload="x")
    c.publish(b"t", b"x")
    s.b.done()


def test_subscriptions_are_made_again_when_the_broker_forgot():
    s = ours()
    c = s.connected()
    s.b.expect(SUBSCRIBE, filters=[("a/#", 1)])
    s.b.send(SUBACK, 1, codes=(1,))
    c.subscribe(b"a/#", 1)
    s.b.cut()
    s.b.expect(CONNECT, clean=0)
    s.b.send(CONNACK, sp=0)
    s.b.expect(SUBSCRIBE, filters=[("a/#", 1)])
    s.b.reply(SUBACK, codes=(1,))
    s.b.send(PUBLISH, topic="a/b", payload="x")
    while not s.inbox:
        c.wait_msg()
    s.b.done()


def test_a_refused_login_is_reported_and_not_hammered():
    s = ours()
    c = s.connected()
    s.b.cut()
    s.b.expect(CONNECT)
    s.b.send(CONNACK, code=5)
    raises(s.MQTTException, c.wait_msg)
    s.b.done()


def test_pauses_grow_with_jitter_and_have_a_cap():
    s = ours()
    c = s.connected()
    s.w.net.peers.clear()
    slept = []
    import umqtt.robust

    keep = umqtt.robust.sleep_ms
    umqtt.robust.sleep_ms = slept.append
    try:
        for i in range(1, 40):
            c.delay(i)
        assert all(0 <= t <= 60000 for t in slept), slept
        assert max(slept[:3]) <= 16000 and max(slept) > 16000, slept
        assert len(set(slept)) > 20, slept
    finally:
        umqtt.robust.sleep_ms = keep


def test_the_longest_pause_doubles_from_twice_the_delay_to_a_minute_or_is_the_delay():
    import umqtt.robust

    class Most:
        def __mod__(self, n):
            return n - 1

    c = ours().connected()
    slept = []
    keep = umqtt.robust.sleep_ms, umqtt.robust.getrandbits
    umqtt.robust.sleep_ms, umqtt.robust.getrandbits = slept.append, lambda bits: Most()
    try:
        for i in range(1, 8):
            c.delay(i)
        c.DELAY = 100
        c.delay(3)
        equal(slept, [4000, 8000, 16000, 32000, 60000, 60000, 60000, 100000])
        del slept[:]
        c.DELAY = 0.001
        c.delay(50)
        equal(slept, [1024], "it doubles ten times")
    finally:
        umqtt.robust.sleep_ms, umqtt.robust.getrandbits = keep


def test_a_subscription_is_made_over_as_many_connections_as_it_takes_and_in_qos_0_unless_asked():
    s = ours()
    c = s.connected()
    s.b.expect(SUBSCRIBE, filters=[("t", 0)])
    s.b.cut()
    s.b.expect(CONNECT, clean=0)
    s.b.send(CONNACK, sp=1)
    for _ in range(2):  # that of the first connection, and the call's own
        s.b.expect(SUBSCRIBE, filters=[("t", 0)])
        s.b.reply(SUBACK)
    c.subscribe("t")
    s.b.done()


def test_each_call_that_finds_the_link_dead_says_so_to_log():
    for call in ("publish", "subscribe", "check_msg", "wait_msg"):
        s = ours()
        seen = []

        class Mine(s.Client):
            def log(self, in_reconnect, e):
                seen.append((in_reconnect, isinstance(e, OSError)))

        s.b.accept()
        c = Mine("cid", HOST)
        c.set_callback(lambda topic, msg: None)
        c.connect()
        s.b.cut("rst")
        s.w.clock.run_due()
        s.b.accept()
        if call == "publish":
            s.b.expect(PUBLISH, qos=1)
            s.b.reply(PUBACK)
            c.publish("t", "x", qos=1)
        elif call == "subscribe":
            for _ in range(2):  # that of the first connection, and the call's own
                s.b.expect(SUBSCRIBE)
                s.b.reply(SUBACK)
            c.subscribe("t")
        else:
            s.b.send(PUBLISH, payload="x")
            getattr(c, call)()
        equal(seen, [(False, True)], call)
        s.b.done()


def test_a_publish_waits_for_a_slot_when_all_are_taken():
    from umqtt import client

    s = ours()
    c = s.connected()
    while c.free_slots():  # as calls leave them that Ctrl-C has ended
        s.b.expect(PUBLISH, qos=1)
        client.MQTTClient.publish(c, "t", "old", False, 1, False)
    s.w.clock.run_due()
    s.b.send(PUBACK, 1)
    s.b.expect(PUBLISH, qos=1, payload="new")
    s.b.reply(PUBACK)
    began = s.w.clock.now
    c.publish("t", "new", qos=1)
    equal(s.w.clock.now, began)
    s.b.done()


def test_inside_a_callback_a_call_tries_once():
    s = ours()
    c = s.connected()
    outcomes = []

    def answer(topic, msg):
        for qos in (0, 1, 2):
            outcomes.append(c.publish("t", "x", qos=qos))
        c.disconnect()
        for qos in (0, 1):
            raises(OSError, c.publish, "t", "y", qos=qos)
        raises(OSError, c.subscribe, "s")

    c.set_callback(answer)
    c.log = c.reconnect = None  # neither is called
    s.b.send(PUBLISH, topic="in", payload="x")
    for qos in (0, 1, 2):
        s.b.expect(PUBLISH, qos=qos, payload="x")
    s.b.expect(DISCONNECT)
    equal(c.wait_msg(), 0x30)
    equal((outcomes, len(s.w.net.dialled)), ([None] * 3, 1))
    s.b.done()


def test_reconnect_inside_a_callback_ends():
    from umqtt.robust import MQTTClient

    w = World()
    w.broker.accept()
    c = MQTTClient("c1", HOST)
    c.DELAY = 0
    c.connect()
    c.set_callback(lambda topic, msg: raises(OSError, c.reconnect))
    w.broker.send(PUBLISH, topic="in", payload="x")
    c.wait_msg()
    w.broker.done()


def test_a_clean_reconnect_of_a_subclass_publishes_anew():
    for qos in (1, 2):
        s = ours()

        class Mine(s.Client):
            def reconnect(self):
                return self.connect(True)

        s.b.accept()
        c = Mine("cid", HOST)
        c.set_callback(lambda t, m: None)
        c.connect()
        s.b.expect(PUBLISH, qos=qos, dup=0, pid=1)
        s.b.cut()
        s.b.accept(clean=1)
        s.b.expect(PUBLISH, qos=qos, dup=0, pid=2, payload="x")
        s.b.reply(PUBACK if qos == 1 else PUBREC)
        if qos == 2:
            s.b.expect(PUBREL)
            s.b.reply(PUBCOMP)
        c.publish(b"t", b"x", qos=qos)
        s.b.done()


class Book(Model):
    """A broker that keeps book of the ids under which each message came."""

    def __init__(self, clock):
        Model.__init__(self, clock)
        self.ids = {}  # payload -> packet ids

    def _incoming(self, link, kept, p):
        if p.qos:
            self.ids.setdefault(bytes(p.payload), set()).add(p.pid)
        Model._incoming(self, link, kept, p)


def test_each_message_is_published_once_whatever_the_link_does():
    # before, a write that found the link dead left its message in flight, and the loop published a second one
    for seed in range(120):
        random.seed(seed)
        w = World(Book)
        for _ in range(6):
            plan = Plan(latency_ms=random.choice((0, 0, 5, 300)), write_max=random.choice((0, 0, 3)))
            plan.how = random.choice(("fin", "rst", "silence"))
            if random.randrange(3):
                plan.cut_out = 20 + random.randrange(90)
            if not random.randrange(3):
                plan.cut_in = 5 + random.randrange(20)
            w.net.plans.append(plan)
        c = robust.MQTTClient("cid", HOST, keepalive=60)
        c.DELAY = 0.1
        c.set_callback(lambda topic, msg: None)
        c.clean_session = False
        c.reconnect()
        sent = []
        for i in range(6):
            if not random.randrange(3):
                w.link.end(random.choice(("fin", "rst", "silence")))
            if not random.randrange(3):
                w.clock.sleep_ms(random.choice((1, 400, 70000)))
            qos = 1 + random.randrange(2)
            sent.append((b"m%d" % i, qos))
            c.publish(b"t", b"m%d" % i, qos=qos)
            if not random.randrange(3):
                c.check_msg()
        for _ in range(20):
            c.check_msg()
            w.clock.sleep_ms(50)
        for payload, qos in sent:
            taken = [m[1] for m in w.broker.accepted].count(payload)
            assert taken == 1 if qos == 2 else taken >= 1, (seed, payload, qos, taken)
            equal(len(w.broker.ids[payload]), 1, (seed, payload, qos))
        equal(w.broker.violations, [], seed)
        equal(c.inflight, 0, seed)
