"""The board speaks MQTT 5: readings expire, sessions end, wills wait, a broker's limits and reasons are obeyed and
told."""

import builtins
import json
import os

from fakes import packets5
from fakes.check import equal
from fakes.folder import Folder
from fakes.model import Model
from fakes.model5 import SESSION_EXPIRY, WILL_DELAY, Model5
from fakes.net import Plan
from fakes.packets import CONNACK, PUBLISH, SUBACK
from on_board import World, conf, radio, said
from years import Life

import ending
import machine
import ram

ROOM = {"type": "dht22", "name": "room", "pin": 4}
SCRIPT = {"wifi": {"lab": "12345678"}, "values": {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}}
MONTH_S = 2592000
RESPONSE_TOPIC = 8
CORRELATION = 9
SERVER_KEEPALIVE = 19
SERVER_REFERENCE = 28
REASON = 31
ALIAS = 35
MAXIMUM_QOS = 36
RETAIN_AVAILABLE = 37
MAXIMUM_PACKET = 39
WILDCARDS = 40


class World5(World):
    """keys: of the configuration; says: what the broker says of itself in its CONNACK."""

    says = ()

    def Broker(self, clock):
        return Model5(clock, takes=20, says=self.says)

    def __init__(self, says=(), of=None, **keys):
        """of: a world, whose board begins anew: what was in its RAM is gone."""
        self.says = says
        self.keys = {"protocol": 5, "sensors": [ROOM]}
        self.keys.update(keys)
        if of is None:
            return World.__init__(self, SCRIPT, **self.keys)
        self.clock, self.net, self.broker = of.clock, of.net, of.broker
        self.set_up_board(SCRIPT)
        self.said = said()
        self.node = ram.RamNode(conf(**self.keys), radio())


def told(w, part):
    return [line for line in w.said if part in line]


class Auto(World5):
    """A board with `protocol` "auto" and this kind of broker."""

    def __init__(self, kind, **keys):
        self.Broker = kind
        World5.__init__(self, **dict({"protocol": "auto"}, **keys))


class Heard:
    """What is printed by modules that are loaded for a moment, in a list."""

    def __enter__(self):
        lines = []
        self.print = builtins.print
        builtins.print = lambda *what: lines.append(" ".join(str(x) for x in what))
        return lines

    def __exit__(self, *_):
        builtins.print = self.print


def seqs(w):
    return [r["seq"] for r in w.readings()]


def test_readings_arrive_in_order_and_once():
    w = World5()
    w.run(25000)
    equal(seqs(w), [1, 2, 3, 4, 5, 6])
    equal({p.qos for p in w.broker.published}, {1, 2})
    equal(w.broker.connects[-1].level, 5)
    equal(w.broker.violations, [])
    assert told(w, "broker: MQTT 5, it keeps the session for 2592000 s, and says offline once"), w.said


def test_a_reading_carries_what_is_left_of_its_expiry_and_one_that_is_too_old_is_not_sent():
    w = World5(expire_s=60)
    w.run(5000)
    equal(w.broker.expiries("/room/"), [("umqtt/n1/room/temperature", 60), ("umqtt/n1/room/humidity", 60)])
    w.net.plan = Plan(refuse=True)
    w.broker.stop()
    w.run(100000)
    w.net.plan = Plan()
    w.run(70000)
    left = [s for _, s in w.broker.expiries("/room/temperature")][1:]
    assert len(left) > 2 and min(left) < 20 and max(left) == 60, left
    equal(sorted(left[: left.index(60)]), left[: left.index(60)], "the older the less is left")
    gone = [n for n in range(1, seqs(w)[-1]) if n not in seqs(w)]
    assert gone and len(gone) == w.node.dropped, (gone, w.node.dropped)


def test_readings_without_expire_s_and_what_is_retained_never_expire():
    w = World5(ha_prefix="homeassistant", expire_s=0)
    w.run(30000)
    equal({s for _, s in w.broker.expiries()}, {None})
    w = World5(ha_prefix="homeassistant", expire_s=60)
    w.run(30000)
    assert len(w.broker.expiries("homeassistant")) >= 2
    equal({s for _, s in w.broker.expiries("homeassistant")}, {None})
    equal({s for _, s in w.broker.expiries("/status") + w.broker.expiries("/diag")}, {None})


def test_expire_s_counts_with_mqtt_3_1_1_too_while_a_reading_waits_in_ram():
    w = World(SCRIPT, sensors=[ROOM], expire_s=60)
    w.net.plan = Plan(refuse=True)
    w.run(150000)
    w.net.plan = Plan()
    w.run(70000)
    assert seqs(w)[0] > 10 and w.node.dropped == seqs(w)[0] - 1, (seqs(w), w.node.dropped)


def test_the_session_of_a_board_that_is_awake_is_kept_for_a_month():
    w = World5()
    w.run(5000)
    equal(dict(w.broker.connects[-1].props)[SESSION_EXPIRY], MONTH_S)


def test_a_reboot_is_no_alarm_and_a_board_that_stays_away_is_one():
    w = World5(will_delay_s=60)
    w.run(15000)
    will = w.broker.connects[-1].will
    equal((will[0], bytes(will[1]), dict(will[4])), ("umqtt/n1/status", b"offline", {WILL_DELAY: 60}))
    w.net.links[-1].end("rst")  # power off and on again
    reborn = World5(of=w, will_delay_s=60)
    reborn.run(60000)
    equal((w.broker.wills, w.status()), ([], [b"online", b"online"]))
    equal(len(w.broker.connects), 4, "each life ends the session before it, then begins its own")
    w.net.plan = Plan(refuse=True)
    w.broker.stop()
    reborn.run(59000)
    equal(w.broker.wills, [])
    reborn.run(2000)
    equal([bytes(will[1]) for will in w.broker.wills], [b"offline"])


def test_a_will_without_delay_is_at_once():
    w = World5(will_delay_s=0)
    w.run(5000)
    w.broker.stop()
    equal(len(w.broker.wills), 1)


def command(w, name, payload, *props):
    """The broker hands on a command with these properties."""
    w.pid = getattr(w, "pid", 900) + 1
    fields = {"topic": "umqtt/n1/cmd/" + name, "payload": payload, "qos": 2, "props": list(props)}
    w.net.links[-1].push(packets5.encode(PUBLISH, w.pid, **fields))
    w.run(3000)


def answers(w):
    """(topic, words, expiry, correlation data) of each answer."""
    return [
        (p.topic, json.loads(bytes(p.payload).decode())["words"], dict(p.props).get(2), dict(p.props).get(9))
        for p in w.broker.published
        if b'{"ok":' in bytes(p.payload)
    ]


def test_an_answer_goes_where_the_command_asks_for_it_and_else_where_it_always_went():
    w = World5(commands=True, interval_s=30)
    w.run(5000)
    place = RESPONSE_TOPIC, "owner/answers"
    command(w, "stay_awake", b"x", place, (CORRELATION, b"\0\xff7"))
    command(w, "stay_awake", b"x", place)
    command(w, "stay_awake", b"x", (CORRELATION, b"of no use without a place"))
    command(w, "stay_awake", b"x")
    want = "this board does not sleep"
    places = [(topic, expiry, correlation) for topic, words, expiry, correlation in answers(w)]
    equal(len({words for _, words, _, _ in answers(w)}), 1, want)
    equal(
        places,
        [
            ("owner/answers", 3600, b"\0\xff7"),
            ("owner/answers", 3600, None),
            ("umqtt/n1/ack/stay_awake", 3600, None),
            ("umqtt/n1/ack/stay_awake", 3600, None),
        ],
    )
    equal(w.broker.violations, [])


def test_commands_that_wait_keep_each_its_own_place_for_the_answer():
    w = World5(commands=True, interval_s=30)
    w.run(5000)
    for i in range(3):
        fields = {"topic": "umqtt/n1/cmd/none%d" % i, "payload": b"", "qos": 1}
        props = [(RESPONSE_TOPIC, "to/%d" % i), (CORRELATION, b"%d" % i)] if i != 1 else []
        w.net.links[-1].push(packets5.encode(PUBLISH, 700 + i, props=props, **fields))
    w.run(5000)
    equal([(topic, c) for topic, _, _, c in answers(w)], [("to/0", b"0"), ("umqtt/n1/ack/none1", None), ("to/2", b"2")])


def test_a_broker_without_wildcards_gets_no_subscription_and_all_readings():
    w = World5(says=[(WILDCARDS, 0)], commands=True)
    with Heard() as heard:
        w.run(25000)
    words = "commands: the broker takes no subscription to umqtt/n1/cmd/+: wildcard subscriptions not supported"
    equal(heard, [words])
    equal(seqs(w), [1, 2, 3, 4, 5, 6])


def test_a_subscription_that_is_refused_is_told():
    w = World5(commands=True)
    w.broker._subscribe = lambda link, kept, p: link.push(packets5.encode(SUBACK, p.pid, codes=(0x87,)))
    with Heard() as heard:
        w.run(25000)
    equal(heard, ["commands: the broker lets nobody here subscribe to umqtt/n1/cmd/+: check its ACL"])
    equal(seqs(w), [1, 2, 3, 4, 5, 6])


def test_what_the_broker_refuses_is_given_up_at_once_and_told_once():
    for qos in (1, 2):
        w = World5(qos=qos)
        w.broker.refuses = lambda p: 0x97 if "humidity" in p.topic else 0
        w.run(35000)
        equal(len(told(w, "it refuses umqtt/n1/room/humidity: quota exceeded: given up, 1 so far")), 1, w.said)
        equal(len(told(w, "it refuses")), 1, w.said)
        equal((seqs(w), w.node.refused, w.node.client.inflight), ([1, 3, 5, 7], 4, 0))
        ending.sum_up(w.node)
        assert "published=8 acknowledged=4 dropped=4 " in w.said[-1], w.said[-1]
        equal(len(w.broker.connects), 2)


def test_a_broker_that_refused_all_readings_took_none():
    w = World5(says=[(39, 20)])
    w.run(15000)
    assert told(w, "given up, 1 so far") and not told(w, "took the first readings"), w.said


def test_a_status_that_is_refused_is_not_sent_again():
    w = World5()
    w.broker.refuses = lambda p: 0x87 if p.topic.endswith("/status") else 0
    w.run(5000)
    w.broker.stop()
    w.run(20000)
    equal((len(told(w, "it refuses umqtt/n1/status: not authorised")), w.status(), w.node.refused), (1, [], 0), w.said)


def test_the_limits_of_a_broker_are_obeyed_and_told_once():
    says = [
        (MAXIMUM_QOS, 1),
        (RETAIN_AVAILABLE, 0),
        (MAXIMUM_PACKET, 300),
        (SERVER_KEEPALIVE, 30),
        (SESSION_EXPIRY, 7200),
    ]
    w = World5(says=says, ha_prefix="homeassistant")
    w.run(25000)
    w.broker.stop()
    w.run(25000)
    words = told(w, "broker: MQTT 5")
    equal(len(words), 1)
    for part in ("session for 7200 s", "QoS 1 at most", "nothing is retained", "over 300 B", "a keep-alive of 30 s"):
        assert part in words[0], words
    equal(({p.qos for p in w.broker.published}, {p.retain for p in w.broker.published}), ({1}, {0}))
    equal(len(told(w, "it refuses homeassistant/sensor/n1/")), 2, w.said)
    assert "packet too large" in told(w, "it refuses homeassistant/")[0]
    assert seqs(w) == list(range(1, len(seqs(w)) + 1)) and len(seqs(w)) > 6, seqs(w)


def test_a_broker_of_qos_0_gets_readings_and_the_status_once():
    w = World5(says=[(MAXIMUM_QOS, 0)])
    w.run(25000)
    equal((seqs(w), w.status()), ([1, 2, 3, 4, 5, 6], [b"online"]))
    equal({p.qos for p in w.broker.published}, {0})


def test_a_connection_that_is_refused_for_its_will_gets_another_will():
    for code, words, will in ((0x9A, "the will is not retained", (0, 1)), (0x9B, "the will has QoS 0", (1, 0))):
        w = World5()
        real = w.broker._connect

        def connect(link, p, w=w, code=code, real=real):
            if p.will[2] and code == 0x9A or p.will[3] and code == 0x9B:
                w.broker.connects.append(p)
                link.push(packets5.encode(CONNACK, code=code))
                return link.end("fin")
            return real(link, p)

        w.broker._connect = connect
        w.run(25000)
        equal((len(told(w, words)), w.broker.connects[-1].will[2:4]), (1, will), w.said)
        equal(seqs(w), [1, 2, 3, 4, 5, 6])
        equal(told(w, "trying again"), [], "what is mended is no failure")


def test_why_the_broker_refuses_or_ends_a_connection_is_told_in_its_own_words():
    for code, props, words in (
        (0x87, [(REASON, "wrong team")], "not authorised: check user and password: wrong team"),
        (0x85, [], "client id refused: check client_id"),
        (0x84, [], 'protocol level refused: set protocol to 4, or to "auto"'),
        (0x9C, [(SERVER_REFERENCE, "b.example")], "use another server: b.example: check broker"),
    ):
        w = World5()
        w.broker._connect = lambda link, p, code=code, props=props: link.push(
            packets5.encode(CONNACK, code=code, props=props)
        )
        w.run(5000)
        equal(told(w, "broker: "), ["broker: the broker refused: " + words + "; trying again"])


def test_another_device_that_takes_the_session_over_is_told_and_not_fought():
    w = World5(interval_s=300)
    w.run(5000)
    w.broker.end(0x8E)
    w.run(40000)
    equal(len(w.broker.connects), 2, "a pause of a minute")
    assert "the broker disconnects: session taken over: has another device this client" in told(w, "again")[0], w.said
    w.run(30000)
    equal(len(w.broker.connects), 3)


def test_messages_in_flight_that_the_broker_no_longer_takes_go_out_as_it_wants_them():
    w = World5(expire_s=600)
    w.run(5000)
    w.broker.refuses = lambda p: 0
    silent = w.broker._incoming
    w.broker._incoming = lambda link, kept, p: None  # it acknowledges nothing
    w.run(11000)
    assert w.node.client.inflight, "messages of QoS 2 are in flight"
    w.broker._incoming = silent
    w.broker.codec.connack.append((MAXIMUM_QOS, 1))
    w.broker.stop()
    w.run(30000)
    assert seqs(w)[:4] == [1, 2, 3, 4] and w.node.client.inflight == 0, (seqs(w), w.said)
    equal({qos for _, _, qos in w.broker.accepted[3:]}, {1})
    assert {s for _, s in w.broker.expiries("/room/")} <= set(range(550, 601)), w.broker.expiries("/room/")


class Old(Model):
    """A broker of MQTT 3.1.1, which refuses level 5 in its own way: with a return code, or by closing."""

    says_why = True
    refused = 0

    def data(self, link, data):
        if link.number in self.owner or b"MQTT\5" not in bytes(data):
            return Model.data(self, link, data)
        self.refused += 1
        if self.says_why:
            link.push(b"\x20\2\0\1")
        link.end("fin")


class Closing(Old):
    says_why = False


class Lives(Life):
    """Wakes, or starts, of one board without outages. Broker: a class of models."""

    def __init__(self, kind, Broker, **keys):
        self.Broker = Broker
        Life.__init__(self, kind, outages=(), **keys)

    def boot(self):
        self.said_before = getattr(self, "said_before", []) + getattr(self, "said", [])
        Life.boot(self)

    def wakes(self, many):
        for _ in range(many):
            self.step()


def test_auto_tries_5_then_4_once_and_says_so():
    for kind in (Old, Closing):
        w = Auto(kind)
        w.run(25000)
        equal((seqs(w), w.broker.refused, w.broker.violations), ([1, 2, 3, 4, 5, 6], 1, []))
        equal(told(w, "does not speak"), ["broker: it does not speak MQTT 5, but MQTT 3.1.1"])
        equal(told(w, "trying again"), [])
        w.broker.stop()
        w.run(25000)
        equal((w.broker.refused, len(seqs(w)) > 6), (1, True), "it is remembered for this start")
    w = World5(protocol="auto")
    w.run(25000)
    equal((seqs(w), w.broker.connects[-1].level, told(w, "does not speak")), ([1, 2, 3, 4, 5, 6], 5, []))


def test_auto_asks_for_5_again_after_a_connect_that_was_closed_for_another_reason():
    class Restarting(Model5):
        """Closes the first CONNECT, is away for a while, and takes level 5 then."""

        has_closed = False

        def data(self, link, data):
            if self.has_closed:
                return Model5.data(self, link, data)
            self.has_closed = True
            peers = link.net.peers
            self.clock.at(10000, peers.update, dict(peers))
            peers.clear()
            link.end("fin")

    w = Auto(lambda clock: Restarting(clock, takes=20))
    w.run(60000)
    equal(([p.level for p in w.broker.connects], w.node.client.protocol), ([5, 5], 5))
    equal((seqs(w)[:3], told(w, "does not speak")), ([1, 2, 3], []))


def test_protocol_5_with_a_broker_that_does_not_know_it_is_told_in_words():
    w = Auto(Old, protocol=5)
    w.run(200000)
    equal((seqs(w), told(w, "broker: ")), ([], ["broker: the broker does not speak MQTT 5: set protocol to 4, or to "
                                               '"auto"; trying again']))  # fmt: skip
    assert w.broker.refused < 6, w.broker.refused


def test_a_board_that_sleeps_finds_the_version_in_its_first_wake_and_remembers_it():
    for kind in (Old, Closing):
        life = Lives("rtc-sleep", kind, protocol="auto", interval_s=300)
        try:
            life.wakes(5)
            equal((life.broker.refused, life.broker.violations), (1, []))
            assert len(life.broker.accepted) > 8, (life.broker.accepted, life.said)
        finally:
            life.close()


def test_the_session_of_a_board_that_sleeps_lasts_for_twenty_of_its_pauses():
    for interval_s, connect_every, expiry_s in ((900, 1, MONTH_S), (86400, 3, 20 * 3 * 86400)):
        life = Lives("rtc-sleep", lambda clock: Model5(clock, takes=20), protocol=5, interval_s=interval_s,
                     connect_every=connect_every)  # fmt: skip
        try:
            life.wakes(3 * connect_every + 1)
            equal({dict(p.props).get(SESSION_EXPIRY) for p in life.broker.connects[1:]}, {expiry_s})
            equal((life.broker.wills, life.broker.violations), ([], []))
        finally:
            life.close()


def test_readings_on_flash_and_in_rtc_memory_leave_with_what_is_left_of_their_expiry():
    for kind in ("flash", "rtc", "rtc-sleep"):
        life = Lives(kind, lambda clock: Model5(clock, takes=20), protocol=5, interval_s=60, expire_s=600)
        try:
            while len(life.broker.published) < 3:
                life.step()
            life.begin("refused", 900000)
            until = life.clock.now + 1200000
            while life.clock.now < until:
                life.step()
            left = [s for topic, s in life.broker.expiries("/room/temperature")]
            assert left[0] >= 595 and min(left) < 540 and None not in left, (kind, left)
            assert life.node.outbox.expired or kind == "rtc-sleep", "what was older was not sent"
            equal((life.node.waiting(), life.broker.violations), (0, []))
        finally:
            life.close()


def test_a_reading_that_is_too_large_for_the_broker_does_not_hold_up_what_waits_on_flash():
    life = Lives("flash", lambda clock: Model5(clock, takes=20, says=[(MAXIMUM_PACKET, 83)]), protocol=5)
    try:
        until = life.clock.now + 300000
        while life.clock.now < until:
            life.step()
        n = life.node
        lines = [line for line in life.said if "it refuses umqtt/n1/room/" in line]
        assert n.refused > 3 and len(lines) == 1 and "packet too large: given up, 1 so far" in lines[0], life.said
        equal((n.waiting(), n.client.inflight), (0, 0))
        assert {topic for topic, _, _ in life.broker.accepted} == {"umqtt/n1/status", "umqtt/n1/room/humidity"}
    finally:
        life.close()


def test_topics_become_aliases_on_an_esp32_where_they_come_again_on_a_connection():
    w = World5()
    w.run(25000)
    equal(seqs(w), [1, 2, 3, 4, 5, 6])
    sizes = [len(p.raw) for p in w.broker.published if "/room/temperature" in p.topic]
    assert sizes[0] > sizes[1] == sizes[2] and sizes[0] - sizes[1] == len("umqtt/n1/room/temperature"), sizes
    for keys, has_aliases in (({}, False), ({"connect_every": 3}, True)):
        life = Lives("rtc-sleep", lambda clock: Model5(clock, takes=20), protocol=5, interval_s=900, **keys)
        try:
            life.wakes(8)
            found = [p for p in life.broker.published if ALIAS in dict(p.props)]
            equal((bool(found), life.broker.violations), (has_aliases, []))
        finally:
            life.close()
    machine.RTC.ALARM0 = 0  # which the port of an ESP8266 has alone
    try:
        w = World5()
        w.run(25000)
        equal((seqs(w), [p for p in w.broker.published if p.props]), ([1, 2, 3, 4, 5, 6], []))
    finally:
        del machine.RTC.ALARM0


def test_an_answer_that_a_power_cut_has_held_up_still_goes_where_it_was_asked_for():
    life = Lives("flash", lambda clock: Model5(clock, takes=20), protocol=5, commands=True)

    def live(ms):
        until = life.clock.now + ms
        while life.clock.now < until:
            life.step()

    try:
        live(5000)
        life.node.listener.work = lambda c: None  # what comes is noted, and not yet carried out
        fields = {"topic": "umqtt/n1/cmd/none", "payload": b"x", "qos": 2}
        props = [(RESPONSE_TOPIC, "owner/antwörten"), (CORRELATION, b"\0\1\xff")]
        life.net.links[-1].push(packets5.encode(PUBLISH, 900, props=props, **fields))
        live(3000)
        equal(answers(life), [])
        life.boot()
        live(10000)
        equal([(topic, c) for topic, _, _, c in answers(life)], [("owner/antwörten", b"\0\1\xff")])
        life.boot()
        live(10000)
        equal(len(answers(life)), 1, "once")
    finally:
        life.close()


def test_a_session_that_ends_before_a_sleeping_board_is_back_is_told():
    says = [(SESSION_EXPIRY, 600)]
    for interval_s, lines in ((900, 1), (300, 0)):
        life = Lives("rtc-sleep", lambda clock: Model5(clock, takes=20, says=says), protocol=5, interval_s=interval_s)
        try:
            life.wakes(3)
            heard = [line for line in life.said_before if "sooner than this board is back" in line]
            equal(len(heard), lines, life.said_before)  # once, not at each wake
        finally:
            life.close()


def test_home_assistant_is_told_the_same_in_both_of_its_forms():
    for keys in ({}, {"ha_device": True}):
        retained = []
        with Folder() as folder:
            home = os.getcwd()
            os.chdir(folder)  # where the note of the form is
            try:
                for kind in (World5, World):
                    if "ha_device" in os.listdir():
                        os.remove("ha_device")
                    given = dict({"ha_prefix": "homeassistant", "commands": True}, **keys)
                    w = kind(**given) if kind is World5 else World(SCRIPT, sensors=[ROOM], **given)
                    w.run(20000)
                    found = w.broker.retained
                    retained.append({topic: bytes(found[topic][0]) for topic in found if "homeassistant" in topic})
                    equal(w.broker.violations, [])
            finally:
                os.chdir(home)
        assert len(retained[0]) == (1 if keys else 5), retained[0]
        equal(retained[0], retained[1])
        equal({topic for topic in retained[0] if json.loads(retained[0][topic].decode())}, set(retained[0]))
