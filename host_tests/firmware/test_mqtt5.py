"""The board speaks MQTT 5: readings expire, sessions end, wills wait, a broker's limits and reasons are obeyed and
told."""

import builtins
import json
import os

from fakes import packets5
from fakes.check import equal, raises
from fakes.folder import Folder
from fakes.model import Model
from fakes.model5 import SESSION_EXPIRY, WILL_DELAY, Model5
from fakes.net import Plan
from fakes.packets import CONNACK, PUBLISH, SUBACK
from on_board import World, conf, radio, said
from years import Life

import clock
import ending
import machine
import ram
from umqtt.errors import MQTTException

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
    """keys: of the configuration; says: what the broker says of itself in its CONNACK; takes: its receive maximum."""

    says = ()
    takes = 20

    def Broker(self, clock):
        return Model5(clock, takes=self.takes, says=self.says)

    def __init__(self, says=(), of=None, takes=20, **keys):
        """of: a world, whose board begins anew: what was in its RAM is gone."""
        self.says = says
        self.takes = takes
        self.keys = {"protocol": 5, "sensors": [ROOM]}
        self.keys.update(keys)
        if of is None:
            return World.__init__(self, SCRIPT, **self.keys)
        self.clock, self.net, self.broker = of.clock, of.net, of.broker
        self.set_up_board(SCRIPT)
        self.said = said()
        self.node = ram.RamNode(conf(**self.keys), radio())


def told(world, part):
    return [line for line in world.said if part in line]


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
        builtins.print = lambda *what: lines.append(" ".join(str(part) for part in what))
        return lines

    def __exit__(self, *_):
        builtins.print = self.print


def seqs(world):
    return [reading["seq"] for reading in world.readings()]


def test_readings_arrive_in_order_and_once():
    world = World5()
    world.run(25000)
    equal(seqs(world), [1, 2, 3, 4, 5, 6])
    equal({packet.qos for packet in world.broker.published}, {1, 2})
    equal(world.broker.connects[-1].level, 5)
    equal(world.broker.violations, [])
    assert told(world, "broker: MQTT 5, it keeps the session for 2592000 s, and says offline once"), world.said
    world.node.client.publish("umqtt/n1/log", "a line of the log")
    world.run(1000)
    last = world.broker.published[-1]
    equal((last.topic, last.qos, last.retain), ("umqtt/n1/log", 0, 0))


def test_a_reading_carries_what_is_left_of_its_expiry_and_one_that_is_too_old_is_not_sent():
    world = World5(expire_s=60)
    world.run(5000)
    equal(world.broker.expiries("/room/"), [("umqtt/n1/room/temperature", 60), ("umqtt/n1/room/humidity", 60)])
    world.net.plan = Plan(refuse=True)
    world.broker.stop()
    world.run(100000)
    world.net.plan = Plan()
    world.run(70000)
    left = [expiry_s for _, expiry_s in world.broker.expiries("/room/temperature")][1:]
    assert len(left) > 2 and min(left) < 20 and max(left) == 60, left
    equal(sorted(left[: left.index(60)]), left[: left.index(60)], "the older the less is left")
    gone = [n for n in range(1, seqs(world)[-1]) if n not in seqs(world)]
    assert gone and len(gone) == world.node.dropped, (gone, world.node.dropped)


def test_readings_without_expire_s_and_what_is_retained_never_expire():
    world = World5(ha_prefix="homeassistant", expire_s=0)
    world.run(30000)
    equal({expiry_s for _, expiry_s in world.broker.expiries()}, {None})
    world = World5(ha_prefix="homeassistant", expire_s=60)
    world.run(30000)
    assert len(world.broker.expiries("homeassistant")) >= 2
    equal({expiry_s for _, expiry_s in world.broker.expiries("homeassistant")}, {None})
    equal({expiry_s for _, expiry_s in world.broker.expiries("/status") + world.broker.expiries("/diag")}, {None})


def test_expire_s_counts_with_mqtt_3_1_1_too_while_a_reading_waits_in_ram():
    world = World(SCRIPT, sensors=[ROOM], expire_s=60)
    world.net.plan = Plan(refuse=True)
    world.run(150000)
    world.net.plan = Plan()
    world.run(70000)
    assert seqs(world)[0] > 10 and world.node.dropped == seqs(world)[0] - 1, (seqs(world), world.node.dropped)
    node = world.node
    for age_s, drops in ((59, 0), (60, 1), (61, 1)):  # of 0 s that are left MQTT 5 would make for ever
        equal(node.queue.count, 0)
        dropped = node.dropped
        node.queue.put(0, 0, 215, clock.uptime_s() - age_s, node.taken)
        node.hand_over(1)
        equal(node.dropped - dropped, drops)


def test_the_session_of_a_board_that_is_awake_is_kept_for_a_month():
    world = World5()
    world.run(5000)
    equal(dict(world.broker.connects[-1].props)[SESSION_EXPIRY], MONTH_S)


def test_a_reboot_is_no_alarm_and_a_board_that_stays_away_is_one():
    world = World5(will_delay_s=60)
    world.run(15000)
    will = world.broker.connects[-1].will
    equal((will[0], bytes(will[1]), dict(will[4])), ("umqtt/n1/status", b"offline", {WILL_DELAY: 60}))
    world.net.links[-1].end("rst")  # power off and on again
    reborn = World5(of=world, will_delay_s=60)
    reborn.run(60000)
    equal((world.broker.wills, world.status()), ([], [b"online", b"online"]))
    equal(len(world.broker.connects), 4, "each life ends the session before it, then begins its own")
    world.net.plan = Plan(refuse=True)
    world.broker.stop()
    reborn.run(59000)
    equal(world.broker.wills, [])
    reborn.run(2000)
    equal([bytes(will[1]) for will in world.broker.wills], [b"offline"])


def test_a_will_without_delay_is_at_once():
    world = World5(will_delay_s=0)
    world.run(5000)
    world.broker.stop()
    equal(len(world.broker.wills), 1)


def command(world, name, payload, *props):
    """The broker hands on a command with these properties."""
    world.pid = getattr(world, "pid", 900) + 1
    fields = {"topic": "umqtt/n1/cmd/" + name, "payload": payload, "qos": 2, "props": list(props)}
    world.net.links[-1].push(packets5.encode(PUBLISH, world.pid, **fields))
    world.run(3000)


def answers(world):
    """(topic, words, expiry, correlation data) of each answer."""
    return [
        (
            packet.topic,
            json.loads(bytes(packet.payload).decode())["words"],
            dict(packet.props).get(2),
            dict(packet.props).get(9),
        )
        for packet in world.broker.published
        if b'{"ok":' in bytes(packet.payload)
    ]


def test_an_answer_goes_where_the_command_asks_for_it_and_else_where_it_always_went():
    world = World5(commands=True, interval_s=30)
    world.run(5000)
    place = RESPONSE_TOPIC, "owner/answers"
    command(world, "stay_awake", b"x", place, (CORRELATION, b"\0\xff7"))
    command(world, "stay_awake", b"x", place)
    command(world, "stay_awake", b"x", (CORRELATION, b"of no use without a place"))
    command(world, "stay_awake", b"x")
    command(world, "none", b"x" * 1000, place)  # which comes in many parts
    want = "needed is a whole number of seconds from 0 to 86400"
    places = [(topic, expiry, correlation) for topic, words, expiry, correlation in answers(world)]
    equal({words for _, words, _, _ in answers(world)[:4]}, {want})
    equal(
        places,
        [
            ("owner/answers", 3600, b"\0\xff7"),
            ("owner/answers", 3600, None),
            ("umqtt/n1/ack/stay_awake", 3600, None),
            ("umqtt/n1/ack/stay_awake", 3600, None),
            ("owner/answers", 3600, None),
        ],
    )
    got = []
    world.node.listener.hear("a/b", 0, lambda *message: got.append(message))
    world.run(1000)
    fields = {"topic": "a/b", "payload": b"x", "qos": 0, "props": [place]}
    world.net.links[-1].push(packets5.encode(PUBLISH, None, **fields))
    world.run(1000)
    equal(got, [(b"a/b", b"x", 0)], "what is no command has its topic alone")
    equal(world.broker.violations, [])


def test_commands_that_wait_keep_each_its_own_place_for_the_answer():
    world = World5(commands=True, interval_s=30)
    world.run(5000)
    for i in range(3):
        fields = {"topic": "umqtt/n1/cmd/none%d" % i, "payload": b"", "qos": 1}
        props = [(RESPONSE_TOPIC, "to/%d" % i), (CORRELATION, b"%d" % i)] if i != 1 else []
        world.net.links[-1].push(packets5.encode(PUBLISH, 700 + i, props=props, **fields))
    world.run(5000)
    equal(
        [(topic, correlation) for topic, _, _, correlation in answers(world)],
        [("to/0", b"0"), ("umqtt/n1/ack/none1", None), ("to/2", b"2")],
    )


def test_a_broker_that_takes_no_wildcards_or_none_so_long_gets_no_subscription_and_all_that_it_takes():
    words = "commands: the broker takes no subscription to umqtt/n1/cmd/+: "
    for says, reason, want in (
        ((WILDCARDS, 0), "wildcard subscriptions not supported", [1, 2, 3, 4, 5, 6]),
        ((MAXIMUM_PACKET, 20), "22 B, the broker takes 20 B: packet too large", []),
    ):
        world = World5(says=[says], commands=True)
        with Heard() as heard:
            world.run(25000)
        equal(heard, [words + reason])
        equal((seqs(world), len(world.broker.connects)), (want, 2), "one that wipes the session of an earlier life")


def test_a_subscription_that_is_refused_is_told():
    world = World5(commands=True)
    world.broker._subscribe = lambda link, kept, packet: link.push(packets5.encode(SUBACK, packet.pid, codes=(0x87,)))
    with Heard() as heard:
        world.run(25000)
    equal(heard, ["commands: the broker lets nobody here subscribe to umqtt/n1/cmd/+: check its ACL"])
    equal(seqs(world), [1, 2, 3, 4, 5, 6])


def test_what_the_broker_refuses_is_given_up_at_once_and_told_once():
    for qos in (1, 2):
        world = World5(qos=qos)
        world.broker.refuses = lambda packet: 0x83 if "humidity" in packet.topic else 0
        world.run(35000)
        words = "it refuses umqtt/n1/room/humidity: refused by the broker's own rules: given up, 1 so far"
        equal(len(told(world, words)), 1, world.said)
        equal(len(told(world, "it refuses")), 1, world.said)
        equal((seqs(world), world.node.refused, world.node.client.inflight), ([1, 3, 5, 7], 4, 0))
        ending.sum_up(world.node)
        assert "published=8 acknowledged=4 dropped=4 " in world.said[-1], world.said[-1]
        equal(len(world.broker.connects), 2)


def test_a_fault_that_has_ended_the_connection_gives_up_no_message():
    world = World5()
    world.run(5000)
    node = world.node
    node.reconnect.fault = fault = MQTTException(0x95, "the broker ends the connection: packet too large")
    assert raises(MQTTException, node.client.owner.judge, node.topic + "room/temperature", fault) is fault
    equal(node.refused, 0)
    node.client.owner.judge(node.topic + "room/temperature", MQTTException(0x95, "packet too large"))
    equal(node.refused, 1)


def test_a_broker_that_refused_all_readings_took_none():
    world = World5(says=[(39, 20)])
    world.run(15000)
    assert told(world, "given up, 1 so far") and not told(world, "took the first readings"), world.said


def test_a_status_that_is_refused_is_not_sent_again():
    world = World5()
    sent = []
    world.broker.refuses = lambda packet: sent.append(packet.topic) or (0x87 if packet.topic.endswith("/status") else 0)
    world.run(5000)
    world.broker.stop()
    world.run(20000)
    equal(sent.count("umqtt/n1/status"), 1)
    equal(
        (len(told(world, "it refuses umqtt/n1/status: not authorised")), world.status(), world.node.refused),
        (1, [], 0),
        world.said,
    )


def test_the_limits_of_a_broker_are_obeyed_and_told_once():
    says = [
        (MAXIMUM_QOS, 1),
        (RETAIN_AVAILABLE, 0),
        (MAXIMUM_PACKET, 300),
        (SERVER_KEEPALIVE, 30),
        (SESSION_EXPIRY, 7200),
    ]
    world = World5(says=says, takes=2, ha_prefix="homeassistant")
    world.run(25000)
    world.broker.stop()
    world.run(25000)
    words = told(world, "broker: MQTT 5")
    equal(len(words), 1)
    for part in ("session for 7200 s", "QoS 1 at most", "nothing is retained", "over 300 B", "a keep-alive of 30 s",
                 "; 2 unacknowledged at most"):  # fmt: skip
        assert part in words[0], words
    equal(world.status(), [b"online"] * 2, "an announcement that is refused keeps no status back")
    equal(
        ({packet.qos for packet in world.broker.published}, {packet.retain for packet in world.broker.published}),
        ({1}, {0}),
    )
    equal(len(told(world, "it refuses homeassistant/sensor/n1/")), 2, world.said)
    assert "packet too large" in told(world, "it refuses homeassistant/")[0]
    assert seqs(world) == list(range(1, len(seqs(world)) + 1)) and len(seqs(world)) > 6, seqs(world)


def test_limits_that_are_none_for_the_board_are_not_told():
    says = [(RETAIN_AVAILABLE, 1), (SERVER_KEEPALIVE, conf()["keepalive_s"]), (SESSION_EXPIRY, 0)]
    world = World5(says=says, takes=4, will_delay_s=0)
    world.run(5000)
    words = "broker: MQTT 5, it keeps the session for 0 s, and says offline once the board was away for 0 s"
    equal(told(world, "MQTT 5"), [words])


def test_a_broker_of_qos_0_gets_readings_and_the_status_once():
    for plan, interval_s in ((Plan(), 10), (Plan(write_again=True, write_max=40), 0.2)):  # bytes stay behind
        world = World5(says=[(MAXIMUM_QOS, 0)], interval_s=interval_s)
        world.net.plan = plan
        world.run(2500 * interval_s)
        equal((seqs(world), world.status()), (list(range(1, world.node.taken + 1)), [b"online"]))
        equal({packet.qos for packet in world.broker.published}, {0})


def test_a_connection_that_is_refused_for_its_will_gets_another_will():
    for code, words, will in ((0x9A, "the will is not retained", (0, 1)), (0x9B, "the will has QoS 0", (1, 0))):
        world = World5()
        real = world.broker._connect

        def connect(link, packet, world=world, code=code, real=real):
            if packet.will[2] and code == 0x9A or packet.will[3] and code == 0x9B:
                world.broker.connects.append(packet)
                link.push(packets5.encode(CONNACK, code=code))
                return link.end("fin")
            return real(link, packet)

        world.broker._connect = connect
        world.run(25000)
        equal((len(told(world, words)), world.broker.connects[-1].will[2:4]), (1, will), world.said)
        equal(seqs(world), [1, 2, 3, 4, 5, 6])
        equal(told(world, "trying again"), [], "what is mended is no failure")


def test_a_will_that_is_refused_later_is_changed_though_messages_are_in_flight():
    world = World5()
    take, connect = world.broker._incoming, world.broker._connect
    world.broker._incoming = lambda link, kept, packet: None
    world.run(5000)
    assert world.node.client.inflight
    world.broker._incoming = take

    def without_retained(link, packet):
        return link.push(packets5.encode(CONNACK, code=0x9A)) if packet.will[2] else connect(link, packet)

    world.broker._connect = without_retained
    world.broker.stop()
    world.run(10000)
    equal((len(told(world, "the will is not retained")), seqs(world)[:2]), (1, [1, 2]))


def test_a_broker_that_refuses_any_will_is_told_and_has_its_pauses():
    for code, changes in ((0x95, 0), (0x9A, 1), (0x9B, 1)):
        world = World5(interval_s=60)
        world.broker._connect = lambda link, packet, code=code: link.push(packets5.encode(CONNACK, code=code))
        world.run(600000)
        equal((len(told(world, "so the will")), len(told(world, "broker: the"))), (changes, 1), world.said)
        assert len(world.net.dialled) < 60, len(world.net.dialled)


def test_why_the_broker_refuses_or_ends_a_connection_is_told_in_its_own_words():
    for code, props, words in (
        (0x87, [(REASON, "wrong team")], "not authorised: check user and password: wrong team"),
        (0x85, [], "client id refused: check client_id"),
        (0x84, [], 'protocol level refused: set protocol to 4, or to "auto"'),
        (0x9C, [(SERVER_REFERENCE, "b.example")], "use another server: b.example: check broker"),
    ):
        world = World5()
        world.broker._connect = lambda link, packet, code=code, props=props: link.push(
            packets5.encode(CONNACK, code=code, props=props)
        )
        world.run(5000)
        equal(told(world, "broker: "), ["broker: the broker refused: " + words + "; trying again"])


def test_another_device_that_takes_the_session_over_is_told_and_not_fought():
    world = World5(interval_s=300)
    world.run(5000)
    world.broker.end(0x8E)
    world.run(40000)
    equal(len(world.broker.connects), 2, "a pause of a minute")
    assert "the broker disconnects: session taken over: has another device this client" in told(world, "again")[0], (
        world.said
    )
    world.run(30000)
    equal(len(world.broker.connects), 3)


def test_messages_in_flight_that_the_broker_no_longer_takes_go_out_as_it_wants_them():
    world = World5(expire_s=600)
    world.run(5000)
    world.broker.refuses = lambda packet: 0
    silent = world.broker._incoming
    world.broker._incoming = lambda link, kept, packet: None  # it acknowledges nothing
    world.run(11000)
    assert world.node.client.inflight, "messages of QoS 2 are in flight"
    world.broker._incoming = silent
    world.broker.codec.connack.append((MAXIMUM_QOS, 1))
    world.broker.stop()
    world.run(30000)
    assert seqs(world)[:4] == [1, 2, 3, 4] and world.node.client.inflight == 0, (seqs(world), world.said)
    equal({qos for _, _, qos in world.broker.accepted[3:]}, {1})
    assert {expiry_s for _, expiry_s in world.broker.expiries("/room/")} <= set(range(550, 601)), world.broker.expiries(
        "/room/"
    )


def test_nothing_in_flight_blocks_a_connection_whose_broker_takes_less_than_the_one_before():
    for limit, readings, status in (
        ((MAXIMUM_QOS, 1), [(0, 1), (0, 1)], (1, 1, 1)),
        ((RETAIN_AVAILABLE, 0), [(1, 2), (1, 2)], (0, 1, 0)),
        ((MAXIMUM_PACKET, 83), [(1, 2)], (1, 1, 1)),  # of two readings the one with the longer topic is given up
    ):
        world = World5(diag=False, interval_s=60)
        take, world.broker._incoming = world.broker._incoming, lambda link, kept, packet: None  # nothing is taken
        world.run(5000)
        equal(world.node.client.inflight, 3)
        world.broker._incoming = take
        world.broker.codec.connack.append(limit)
        world.broker.stop()
        world.run(8000)
        got = world.broker.published
        equal([(packet.dup, packet.qos) for packet in got if "/room/" in packet.topic], readings, limit)
        equal({(packet.dup, packet.qos, packet.retain) for packet in got if "/status" in packet.topic}, {status}, limit)
        equal(world.node.client.inflight, 0)
        equal(len(told(world, "trying again")), 1, world.said)


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
        world = Auto(kind)
        world.run(25000)
        equal((seqs(world), world.broker.refused, world.broker.violations), ([1, 2, 3, 4, 5, 6], 1, []))
        equal(told(world, "does not speak"), ["broker: it does not speak MQTT 5, but MQTT 3.1.1"])
        equal(told(world, "trying again"), [])
        world.broker.stop()
        world.run(25000)
        equal((world.broker.refused, len(seqs(world)) > 6), (1, True), "it is remembered for this start")
        equal(len(told(world, "does not speak")), 1)
    world = World5(protocol="auto")
    world.run(25000)
    equal((seqs(world), world.broker.connects[-1].level, told(world, "does not speak")), ([1, 2, 3, 4, 5, 6], 5, []))


def test_commands_are_answered_after_the_fall_back_and_an_answer_to_none_goes_where_it_always_went():
    for make, kind in ((Auto, Old), (World5, ())):
        world = make(kind, commands=True)
        world.node.listener.answer("config", True, "kept")  # of a trial, before any command came
        world.run(5000)
        world.broker.inject("umqtt/n1/cmd/read", b"", 1)
        world.run(5000)
        acks = [topic for topic, payload, qos in world.broker.accepted if "/ack/" in topic]
        equal(acks, ["umqtt/n1/ack/config", "umqtt/n1/ack/read"])


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

    world = Auto(lambda clock: Restarting(clock, takes=20))
    world.run(60000)
    equal(([packet.level for packet in world.broker.connects], world.node.client.protocol), ([5, 5], 5))
    equal((seqs(world)[:3], told(world, "does not speak")), ([1, 2, 3], []))


def test_protocol_5_with_a_broker_that_does_not_know_it_is_told_in_words():
    world = Auto(Old, protocol=5)
    world.run(200000)
    words = 'broker: the broker does not speak MQTT 5: set protocol to 4, or to "auto"; trying again'
    equal((seqs(world), told(world, "broker: ")), ([], [words]))
    assert world.broker.refused < 6, world.broker.refused


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
            equal({dict(packet.props).get(SESSION_EXPIRY) for packet in life.broker.connects[1:]}, {expiry_s})
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
            left = [expiry_s for topic, expiry_s in life.broker.expiries("/room/temperature")]
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
        node = life.node
        lines = [line for line in life.said if "it refuses umqtt/n1/room/" in line]
        assert node.refused > 3 and len(lines) == 1 and "packet too large: given up, 1 so far" in lines[0], life.said
        equal((node.waiting(), node.client.inflight), (0, 0))
        assert {topic for topic, _, _ in life.broker.accepted} == {"umqtt/n1/status", "umqtt/n1/room/humidity"}
    finally:
        life.close()


def test_topics_become_aliases_on_an_esp32_where_they_come_again_on_a_connection():
    world = World5()
    world.run(25000)
    equal(seqs(world), [1, 2, 3, 4, 5, 6])
    sizes = [len(packet.raw) for packet in world.broker.published if "/room/temperature" in packet.topic]
    assert sizes[0] > sizes[1] == sizes[2] and sizes[0] - sizes[1] == len("umqtt/n1/room/temperature"), sizes
    for keys, has_aliases in (({}, False), ({"connect_every": 2}, True)):
        life = Lives("rtc-sleep", lambda clock: Model5(clock, takes=20), protocol=5, interval_s=900, **keys)
        try:
            life.wakes(8)
            found = [packet for packet in life.broker.published if ALIAS in dict(packet.props)]
            equal((bool(found), life.broker.violations), (has_aliases, []))
        finally:
            life.close()
    machine.RTC.ALARM0 = 0  # which the port of an ESP8266 has alone
    try:
        world = World5()
        world.run(25000)
        equal((seqs(world), [packet for packet in world.broker.published if packet.props]), ([1, 2, 3, 4, 5, 6], []))
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
        life.node.listener.work = lambda client: None  # what comes is noted, and not yet carried out
        fields = {"topic": "umqtt/n1/cmd/none", "payload": b"x", "qos": 2}
        props = [(RESPONSE_TOPIC, "owner/antwörten"), (CORRELATION, b"\0\1\xff")]
        life.net.links[-1].push(packets5.encode(PUBLISH, 900, props=props, **fields))
        live(3000)
        equal(answers(life), [])
        life.boot()
        live(10000)
        equal([(topic, correlation) for topic, _, _, correlation in answers(life)], [("owner/antwörten", b"\0\1\xff")])
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
                    world = kind(**given) if kind is World5 else World(SCRIPT, sensors=[ROOM], **given)
                    world.run(20000)
                    found = world.broker.retained
                    retained.append({topic: bytes(found[topic][0]) for topic in found if "homeassistant" in topic})
                    equal(world.broker.violations, [])
            finally:
                os.chdir(home)
        assert len(retained[0]) == (1 if keys else 5), retained[0]
        equal(retained[0], retained[1])
        equal({topic for topic in retained[0] if json.loads(retained[0][topic].decode())}, set(retained[0]))


def test_a_change_of_form_that_the_broker_ends_the_connection_at_is_made_on_the_next_one():
    whole = "homeassistant/device/n1/config"
    with Folder() as folder:
        home = os.getcwd()
        os.chdir(folder)
        try:
            world = World5(ha_prefix="homeassistant", ha_device=True)
            world.run(20000)
            assert whole in world.broker.retained
            world = World5(of=world, ha_prefix="homeassistant")
            incoming, ended = world.broker._incoming, []

            def shutting_down(link, kept, packet):
                if packet.topic == whole and not ended:
                    ended.append(packet)
                    return world.broker.end(0x8B)
                return incoming(link, kept, packet)

            world.broker._incoming = shutting_down
            world.run(30000)
            equal((len(ended), whole in world.broker.retained, os.listdir()), (1, False, []))
            equal(world.node.refused, 0)
        finally:
            os.chdir(home)


def quota(world, most, in_ms, ends):
    """The broker takes `most` messages in in_ms; what comes over it is refused, or ends the connection. Returns the
    times of those."""
    taken, over = [], []
    incoming = world.broker._incoming

    def is_over(packet):
        taken[:] = [ms for ms in taken if ms > world.clock.now - in_ms]
        is_too_much = len(taken) >= most
        (over if is_too_much else taken).append(world.clock.now)
        return is_too_much

    def ending_at(link, kept, packet):
        return world.broker.end(0x96) if is_over(packet) else incoming(link, kept, packet)

    if ends:
        world.broker._incoming = ending_at
    else:
        world.broker.refuses = lambda packet: 0x97 if is_over(packet) else 0
    return over


def test_a_reading_over_a_quota_waits_and_is_sent_slower():
    for ends in (False, True):
        for qos in (1, 2):
            world = World5(qos=qos)
            over = quota(world, 1, 1000, ends)
            world.run(600000)
            node = world.node
            equal(sorted(seqs(world)), list(range(1, node.taken - node.waiting() - node.client.inflight + 1)))
            equal((node.refused, node.dropped), (0, 0))
            assert node.waiting() < 3 and len(told(world, "one in 1000 ms from now on")) == 1, world.said
            assert len(over) < 12, over
