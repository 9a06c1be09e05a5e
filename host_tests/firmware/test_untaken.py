"""A broker that does not take a message never blocks the rest: noticed, told, the QoS lowered or the message given up
by the rules of docs/firmware.md, counted."""

from fakes.check import equal
from fakes.net import Plan
from fakes.packets import PINGREQ, PUBLISH, PUBREL
from on_board import HOST, World
from umqtt.takeback import unacknowledged

import network
from untaken import Untaken

ROOM = {"type": "dht22", "name": "room", "pin": 4}
SCRIPT = {"wifi": {"lab": "12345678"}, "values": {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}}


def told(world, part):
    return [line for line in world.said if part in line]


def picky(world, what, how):
    """The broker treats PUBLISH packets for which what(p) is true otherwise: "closes", or "swallows" them."""
    real = world.broker._incoming

    def incoming(link, kept, packet):
        if not what(packet):
            return real(link, kept, packet)
        if how == "closes":
            world.broker._drop(link)

    world.broker._incoming = incoming


def seqs(world):
    return [reading["seq"] for reading in world.readings()]


def test_a_broker_that_ends_the_connection_at_qos_2_gets_qos_1():
    world = World(SCRIPT, sensors=[ROOM])
    picky(world, lambda packet: packet.qos == 2, "closes")
    world.run(120000)
    equal(len(told(world, "QoS 1 from now on")), 1, world.said)
    assert "umqtt/n1/room/temperature" in told(world, "QoS 1 from now on")[0]
    equal(seqs(world), list(range(1, len(seqs(world)) + 1)))
    equal({qos for topic, payload, qos in world.broker.accepted}, {1})
    assert len(seqs(world)) > 20 and not told(world, "another device"), world.said


def test_a_broker_that_swallows_qos_2_gets_qos_1_after_minutes():
    world = World(SCRIPT, sensors=[ROOM], interval_s=60)
    picky(world, lambda packet: packet.qos == 2, "swallows")
    world.run(600000)
    equal(len(told(world, "does not acknowledge umqtt/n1/room/temperature in QoS 2")), 1, world.said)
    equal(seqs(world), list(range(1, len(seqs(world)) + 1)))
    assert len(seqs(world)) >= 20, seqs(world)
    equal(world.node.dropped, 0)


def test_a_message_that_ends_every_connection_is_given_up_and_counted():
    world = World(SCRIPT, sensors=[ROOM], qos=1)
    picky(world, lambda packet: b'"seq":3}' in bytes(packet.payload), "closes")
    world.run(900000)
    equal(world.node.refused, 1)
    equal(len(told(world, "ends the connection at umqtt/n1/room/temperature: given up, 1 so far")), 1, world.said)
    got = seqs(world)
    assert 3 not in got and len(got) > 150, got
    equal(got, [n for n in range(1, world.node.taken + 1) if n in got], "in order")
    equal(
        len(got) + 1 + world.node.waiting() + world.node.dropped + world.node.client.inflight >= world.node.taken, True
    )


def test_a_status_that_the_broker_does_not_take_is_not_sent_any_more():
    world = World(SCRIPT, sensors=[ROOM])
    picky(world, lambda packet: packet.retain, "closes")
    world.run(120000)
    equal(len(told(world, "set retain to false")), 1, world.said)
    assert len(seqs(world)) > 20
    world = World(SCRIPT, sensors=[ROOM], retain=False, will=False)
    picky(world, lambda packet: packet.retain, "closes")
    world.run(30000)
    equal((told(world, "set retain"), len(seqs(world)), world.broker.connects[-1].will), ([], 6, None))


def test_a_slow_broker_is_not_a_broker_that_does_not_take_it():
    world = World(SCRIPT, sensors=[ROOM], timeout_s=5)
    world.broker.ack_ms = 14000  # later than timeout_s: the link is asked, and lives
    world.node.client = None
    world.broker._connect_real = world.broker._connect
    real = world.broker._connect

    def connect(link, packet):
        world.broker.ack_ms = 0
        real(link, packet)
        world.broker.ack_ms = 14000

    world.broker._connect = connect
    world.run(400000)
    equal(told(world, "QoS 1"), [])
    equal(seqs(world), list(range(1, len(seqs(world)) + 1)))
    equal(len(world.broker.connects), 2, "one to wipe, one that stands")


def test_a_late_acknowledgement_asks_whether_the_link_lives():
    world = World(SCRIPT, sensors=[ROOM], keepalive_s=3600)
    world.run(5000)
    world.net.links[-1].silence()
    world.run(60000)
    assert told(world, "no answer for 20 s: the link is dead"), world.said
    assert world.node.client.isconnected() and world.node.dropped == 0


def test_another_device_with_the_same_client_id_is_told():
    world = World(SCRIPT, sensors=[ROOM], interval_s=3600)
    for _ in range(400):
        world.run(500)
        if world.node.client and world.node.client.isconnected() and not world.node.client.inflight:
            world.broker.stop("fin")
    equal(len(told(world, "closed again and again: has another device this client_id?")), 1, world.said)
    equal(told(world, "QoS 1"), [])


def test_links_that_are_cut_at_random_are_no_reason_to_lower_the_qos():
    world = World(SCRIPT, sensors=[ROOM], interval_s=2, queue=500)
    for cut in range(40, 1500, 41):
        world.net.plans = [Plan(cut_out=cut, how="fin")]
        world.broker.stop("rst")
        world.run(12000)
    world.net.plans = []
    world.run(200000)
    equal(told(world, "QoS 1"), [])
    equal(len(seqs(world)), len(set(seqs(world))))


def test_the_first_broker_of_the_list_is_tried_first_after_each_blink():
    spare = "spare.test"
    world = World(SCRIPT, sensors=[ROOM], broker=[HOST, spare + ":1884"])
    world.net.serve(spare, 1884, world.broker)
    world.run(15000)
    world.net.peers.pop((HOST, 1883))
    world.broker.stop()
    world.run(30000)
    equal(world.net.dialled[-1], (spare, 1884))
    world.net.serve(HOST, 1883, world.broker)
    world.broker.stop()
    world.run(30000)
    equal(world.net.dialled[-1], (HOST, 1883))
    assert seqs(world)[-1] > 10


def test_a_list_is_gone_through_at_once_and_a_pause_comes_after_the_last():
    world = World(SCRIPT, sensors=[ROOM], broker=["a.test", "b.test", "c.test"])
    world.run(3000)
    equal([host for host, _ in world.net.dialled[:3]], ["a.test", "b.test", "c.test"])
    assert len(world.net.dialled) < 25, "a pause after the last"


def test_a_radio_that_only_a_reset_cures_is_reset_after_its_time():
    from fakes.check import raises

    import fake_board

    world = World(SCRIPT, sensors=[ROOM], reset_after_s=600)
    world.run(60000)
    world.net.plan = Plan(connect_ms=None)
    world.broker.stop("silence")
    began = world.clock.now
    raises(fake_board.Reset, world.run, 2400000)
    assert 550000 <= world.clock.now - began < 700000, world.clock.now - began
    assert "nothing has answered for 600 s" in world.said[-1] and "readings wait" in world.said[-1]
    # a broker that is off answers, by its machine's RST: no reset helps
    world = World(SCRIPT, sensors=[ROOM], reset_after_s=600)
    world.net.plan = Plan(refuse=True)
    world.run(2400000)
    assert network.WLAN(network.STA_IF).isconnected()


def test_a_drop_is_told_once_and_summed_up_when_all_is_sent():
    world = World(SCRIPT, sensors=[ROOM], queue=6)
    world.net.plan = Plan(refuse=True)
    world.run(100000)
    equal(told(world, "queue: "), ["queue: 6 readings wait: the oldest is dropped; trying again"])
    world.net.plan = Plan()
    world.run(70000)
    equal(told(world, "queue: ")[1:], ["queue: %d readings were dropped since the start" % world.node.dropped])


def test_a_slow_link_in_qos_0_does_not_stop_measurements():
    world = World(SCRIPT, sensors=[ROOM], qos=0, queue=200, interval_s=10)
    world.net.plan = Plan(refuse=True)
    world.run(300000)
    world.net.plan = Plan(write_max=4, buffer=64, latency_ms=1500)
    taken, began = world.node.taken, world.clock.now
    world.run(300000)
    rounds = (world.node.taken - taken) // 2
    assert rounds >= (world.clock.now - began) // 10000 - 3, rounds


def test_few_waits_for_each_reading():
    world = World(SCRIPT, sensors=[ROOM], interval_s=60)
    world.run(61000)
    polls, taken = world.net.polls, world.node.taken
    world.run(600000)
    a_reading = (world.net.polls - polls) / (world.node.taken - taken)
    assert a_reading < 9, a_reading  # with the keep-alive's and the turns' of half a minute


def untaken(world, what, how):
    """As picky; when each of these PUBLISH packets came, ms."""
    real, connect = world.broker._incoming, world.broker._connect
    came = []
    world.broker.connect_times = []

    def noted(link, packet):
        world.broker.connect_times.append(world.clock.now)
        connect(link, packet)

    world.broker._connect = noted

    def incoming(link, kept, packet):
        if not what(packet):
            return real(link, kept, packet)
        came.append(world.clock.now)
        if how == "closes":
            world.broker._drop(link)

    world.broker._incoming = incoming
    return came


def test_a_message_has_three_connections_in_qos_2_and_eight_in_qos_1_and_a_status_three():
    for keys, what, times in (
        ({}, lambda packet: packet.qos == 2, 3),
        ({"qos": 1}, lambda packet: b'"seq":3}' in bytes(packet.payload), 8),
        ({"qos": 1}, lambda packet: packet.retain, 3),
    ):
        world = World(SCRIPT, sensors=[ROOM], **keys)
        came = untaken(world, what, "closes")
        world.run(1200000)
        # one that an old connection ended with may have had another cause
        struck = [ms for ms in came if ms - max(at for at in world.broker.connect_times if at <= ms) < 5000]
        if times < 8:
            equal(len(struck), times, keys)
        else:  # and over a minute, for that long a quota may be spent; then others go first, twice, for as long
            assert struck[-1] - struck[0] >= 3 * 59000, struck
            assert times + 2 * 3 <= len(struck) < 30, struck


def test_a_message_that_is_swallowed_is_sent_again_after_a_minute_or_three_times_the_timeout():
    for timeout_s, least_s, most_s in ((10, 60, 62), (40, 120, 162)):
        world = World(SCRIPT, sensors=[ROOM], interval_s=900, timeout_s=timeout_s)
        came = untaken(world, lambda packet: packet.qos == 2, "swallows")
        world.run(3000000)
        first = [ms for ms in came if ms - came[0] < 30000]  # both readings
        equal(len(first), 2)
        pauses_s = [(later - earlier) / 1000 for earlier, later in zip(came, came[1:]) if later - earlier > 5000]
        equal(len(pauses_s), 2, "three times in all")
        assert all(least_s < pause_s < most_s for pause_s in pauses_s), (timeout_s, pauses_s)


def test_a_link_that_died_is_begun_again_twice_the_timeout_after_what_was_sent_last():
    for timeout_s in (10, 25):
        world = World(SCRIPT, sensors=[ROOM], keepalive_s=3600, interval_s=60, timeout_s=timeout_s)
        world.run(30000)
        link = world.net.links[-1]
        link.silence()
        dialled = len(world.net.dialled)
        while len(world.net.dialled) == dialled:
            world.run(50)
        sent = [ms for ms in link.write_times if ms > world.began + 30000][0]
        assert 2000 * timeout_s <= world.clock.now - sent <= 2000 * timeout_s + 6000, (
            timeout_s,
            world.clock.now - sent,
        )


def test_a_link_that_dies_after_it_was_seen_to_live_is_begun_again_as_soon():
    world = World(SCRIPT, sensors=[ROOM], keepalive_s=3600, interval_s=900, timeout_s=10)
    untaken(world, lambda packet: packet.qos == 2, "swallows")
    world.run(25000)  # asked once, and answered
    connects = len(world.broker.connects)
    world.net.links[-1].end("silence")
    died = world.clock.now
    while len(world.broker.connects) == connects and world.clock.now - died < 100000:
        world.node.turn()
    assert world.clock.now - died < 26000, world.clock.now - died


def test_a_broker_that_is_slow_for_ever_keeps_its_connection():
    world = World(SCRIPT, sensors=[ROOM], interval_s=30, qos=1)
    world.run(5000)
    world.broker.ack_ms = 14000
    connects = len(world.broker.connects)
    world.run(1800000)
    equal((len(world.broker.connects), told(world, "does not acknowledge")), (connects, []))
    equal(seqs(world), list(range(1, len(seqs(world)) + 1)))


def test_strikes_are_counted_for_one_message_and_begin_anew_with_the_next():
    script = {"wifi": {"lab": "12345678"}, "values": {"ds18b20 5": [20.0]}}
    world = World(script, sensors=[{"type": "ds18b20", "name": "room", "pin": 5}], qos=1, interval_s=900)
    refused = {}

    def is_refused(packet):
        """Each reading ends five connections before it is taken."""
        key = bytes(packet.payload)
        refused[key] = refused.get(key, 0) + 1
        return b"seq" in key and refused[key] <= 5

    untaken(world, is_refused, "closes")
    world.run(5000000)
    equal((world.node.refused, told(world, "given up")), (0, []))
    equal(seqs(world), list(range(1, len(seqs(world)) + 1)))
    assert len(seqs(world)) > 4, seqs(world)


assert PUBLISH


def test_a_message_that_the_broker_took_is_not_blamed_for_the_next_one():
    for qos in (1, 2):
        world = World(SCRIPT, sensors=[ROOM], qos=qos)
        world.broker.ack_ms = (
            50  # so the ack of the temperature is lost with the connection, which ends at the humidity
        )
        picky(
            world, lambda packet: packet.topic.endswith("humidity") and b'"seq":8}' in bytes(packet.payload), "closes"
        )
        world.run(1500000)
        equal(world.node.refused, 1, world.said)
        equal(len(told(world, "given up")), 1, world.said)
        equal([line for line in told(world, "ends the connection at") if "humidity" not in line], [])
        assert 8 not in seqs(world) and len(seqs(world)) > 250 and seqs(world).count(7) <= (3 if qos == 1 else 1), seqs(
            world
        )


def test_a_broker_that_closes_at_the_log_in_is_told_with_what_it_may_not_like():
    # so a cloud says no to a will that is retained, to a password, or to a session that is kept
    for dislikes in (lambda packet: packet.will and packet.will[2], lambda packet: not packet.clean):
        world = World(SCRIPT, sensors=[ROOM])
        real = world.broker._connect

        def connect(link, packet):
            if dislikes(packet):  # noqa: B023
                return world.broker._drop(link)  # noqa: B023
            return real(link, packet)  # noqa: B023

        world.broker._connect = connect
        world.run(120000)
        equal(len(told(world, "closed by the broker at the log-in: check port and tls, user")), 1, world.said)
        assert "set will or retain to false" in told(world, "at the log-in")[0]
    world = World(SCRIPT, sensors=[ROOM])
    world.run(20000)
    world.broker.stop("fin")
    world.run(20000)
    equal(told(world, "at the log-in"), [], "a connection that stood is another thing")


def test_wifi_that_vanishes_while_a_message_is_in_flight_is_no_fault_of_the_brokers():
    world = World(SCRIPT, sensors=[ROOM], interval_s=60, stop_pin=0)
    incoming = world.broker._incoming
    world.broker._incoming = lambda link, kept, packet: None  # WiFi is never there for long enough
    for _ in range(12):
        while not (world.node.client and world.node.client.isconnected() and world.node.client.inflight):
            world.run(500)
        network.WLAN(network.STA_IF).lose()
        for link in world.net.links:
            link.end("rst")
        world.run(2000)
    equal((world.node.qos, world.node.refused, told(world, "does not"), told(world, "ends the")), (2, 0, [], []))
    world.broker._incoming = incoming
    world.run(90000)
    equal(seqs(world), list(range(1, world.node.taken + 1)))


def test_a_message_of_before_an_outage_has_timeout_s_anew_before_the_link_is_doubted():
    world = World(SCRIPT, sensors=[ROOM], interval_s=3600)
    world.run(5000)
    incoming, came, pings = world.broker._incoming, world.broker._came, []
    world.broker._incoming = lambda link, kept, packet: None
    world.node.measure()
    world.run(3000)
    world.net.plan = Plan(refuse=True)
    world.broker.stop()
    world.run(40000)

    def seen(link, packet):
        if packet.kind == PINGREQ:
            pings.append(world.clock.now)
        came(link, packet)

    world.broker._came = seen
    world.net.plan = Plan()
    while not world.node.client.isconnected():
        world.node.turn()
    world.run(8000)
    equal(pings, [])
    world.broker._incoming = incoming
    world.run(30000)
    assert pings, "then it is asked"


def quota(world, most, in_ms, how):
    """The broker takes `most` messages in in_ms: at those over it it ends the connection, or swallows them. Returns
    the times of those."""
    real = world.broker._incoming
    taken, over = [], []

    def incoming(link, kept, packet):
        taken[:] = [ms for ms in taken if ms > world.clock.now - in_ms]
        if len(taken) < most:
            taken.append(world.clock.now)
            return real(link, kept, packet)
        over.append(world.clock.now)
        if how == "closes":
            world.broker._drop(link)

    world.broker._incoming = incoming
    return over


def every_reading_is_there(world, more_than_once=False):
    node = world.node
    got = seqs(world)
    waiting = node.waiting() + node.client.inflight
    equal((node.refused, node.dropped), (0, 0), world.said)
    assert waiting < 12, waiting
    equal(sorted(set(got)), [n for n in range(1, node.taken + 1) if n in got])
    assert len(set(got)) >= node.taken - waiting, (len(set(got)), node.taken, waiting)
    assert more_than_once or len(got) == len(set(got)), got


def test_a_quota_of_messages_a_minute_costs_no_reading():
    # as clouds have it: at the message over the quota, and at each that comes in the same minute, the connection ends
    for qos, limit in ((1, 10), (2, 30)):
        w = World(SCRIPT, sensors=[ROOM], qos=qos, interval_s=20, queue=100)
        quota(w, limit, 60000, "closes")
        w.run(30000)
        w.net.peers.pop((HOST, 1883))
        w.broker.stop()
        w.run(300000)
        w.net.serve(HOST, 1883, w.broker)  # what waited is more than the quota
        w.run(1200000)
        every_reading_is_there(w, True)


def test_a_broker_that_swallows_or_ends_at_a_second_message_within_a_second_gets_one_at_a_time():
    for how in ("swallows", "closes"):
        for qos in (1, 2):
            world = World(SCRIPT, sensors=[ROOM], qos=qos)
            over = quota(world, 1, 1000, how)
            world.run(1200000)
            every_reading_is_there(world, how == "closes")
            equal(len(told(world, "it takes so many messages in a time, it seems: one in 1000 ms from now on")), 1)
            assert len(over) < 40 and len([ms for ms in over if ms > world.clock.now - 600000]) < 3, over
            equal(told(world, "not sent any more"), [])


def test_a_broker_that_wants_a_quarter_of_a_minute_between_two_messages_gets_that():
    for how in ("swallows", "closes"):
        world = World(SCRIPT, sensors=[ROOM], qos=1, interval_s=60)
        quota(world, 1, 15000, how)
        world.run(7200000)
        every_reading_is_there(world, how == "closes")
        assert told(world, "one in 16000 ms from now on"), world.said


def test_a_quota_of_an_hour_costs_no_reading_though_nothing_is_taken_for_most_of_it():
    for how in ("swallows", "closes"):
        world = World(SCRIPT, sensors=[ROOM], qos=1, interval_s=60, queue=500)
        quota(world, 200, 3600000, how)
        world.run(30000)
        world.net.peers.pop((HOST, 1883))
        world.broker.stop()
        world.run(5400000)
        world.net.serve(HOST, 1883, world.broker)
        world.run(9000000)
        every_reading_is_there(world, True)
        assert told(world, "it takes no message at all now"), world.said


def test_a_pause_that_is_not_needed_any_more_becomes_shorter_each_hour():
    world = World(SCRIPT, sensors=[ROOM], qos=1, interval_s=60)
    real = world.broker._incoming
    quota(world, 1, 3000, "closes")
    world.run(900000)
    pace_ms = world.node.doubts.pace_ms
    assert pace_ms in (4000, 8000), pace_ms
    world.broker._incoming = real
    while pace_ms:
        world.run(3620000)
        pace_ms = pace_ms // 2 if pace_ms > 1000 else 0
        equal(world.node.doubts.pace_ms, pace_ms)
    every_reading_is_there(world)


def test_topics_that_the_broker_does_not_take_cost_no_reading_of_those_that_it_takes():
    for how, most_s in (("closes", 1800), ("swallows", 7200)):
        world = World(SCRIPT, sensors=[ROOM], qos=1, interval_s=60 if how == "closes" else 600)
        picky(world, lambda packet: packet.topic.endswith("humidity"), how)
        world.run(most_s * 1000)
        node = world.node
        assert node.refused > (9 if how == "closes" else 1), (node.refused, world.said)
        equal((node.dropped, told(world, "so many messages")), (0, []))
        left = node.waiting() + node.client.inflight
        assert len(seqs(world)) >= node.taken // 2 - left, (len(seqs(world)), node.taken, left)


def test_a_broker_that_takes_nothing_costs_no_reading_before_the_queue_is_full():
    world = World(SCRIPT, sensors=[ROOM], qos=1, interval_s=60, queue=200)
    real = world.broker._incoming
    picky(world, lambda packet: b"seq" in bytes(packet.payload), "closes")
    world.run(4000000)
    equal((world.node.refused, seqs(world)), (0, []))
    equal(len(told(world, "it takes no message at all now, they wait")), 1, world.said)
    world.broker._incoming = real
    world.run(200000)
    every_reading_is_there(world)


def test_a_status_that_was_not_taken_is_tried_again_each_hour():
    world = World(SCRIPT, sensors=[ROOM], qos=1, interval_s=60)
    real = world.broker._incoming
    picky(world, lambda packet: packet.retain, "closes")
    world.run(600000)
    equal((len(told(world, "not sent any more")), world.status()), (1, []))
    world.broker._incoming = real
    world.run(3600000)
    equal(world.status(), [b"online"])


def test_a_broker_that_never_completes_qos_2_has_the_message_and_gets_qos_1():
    world = World(SCRIPT, sensors=[ROOM], interval_s=60)
    came = world.broker._came
    world.broker._came = lambda link, packet: None if packet.kind == PUBREL else came(link, packet)
    world.run(1800000)
    equal(len(told(world, "never completes that: QoS 1 from now on")), 1, world.said)
    every_reading_is_there(world)
    equal({qos for _, _, qos in world.broker.accepted[-10:]}, {1})


def test_acknowledgements_that_get_lost_are_no_quota_and_what_does_not_help_ends():
    for qos in (1, 2):
        world = World(SCRIPT, sensors=[ROOM], qos=qos, interval_s=30)
        send, sent = world.broker._send, [0]

        def lossy(link, data):
            sent[0] += data[0] >> 4 in (4, 5, 7)  # noqa: B023
            if data[0] >> 4 in (4, 5, 7) and sent[0] % 5 == 0:  # noqa: B023
                return None
            return send(link, data)  # noqa: B023

        world.broker._send = lossy
        world.run(7200000)
        every_reading_is_there(world, True)
        assert 1 <= len(told(world, "as fast as before, for an hour")) <= 2, world.said


def test_the_pause_grows_once_for_untaken_messages_of_one_moment_and_to_what_the_readings_leave_at_most():
    world = World(SCRIPT, sensors=[ROOM], interval_s=60)  # two readings a minute
    doubts = world.node.doubt()
    for wait_ms, pace_ms in ((0, 1000), (0, 1000), (999, 1000), (1, 2000), (2000, 4000), (4000, 8000), (8000, 16000)):
        world.clock.sleep_ms(wait_ms)
        doubts.slower(world.node, True)
        equal(doubts.pace_ms, pace_ms)
    for pace_ms in (16000, 16000, 0):  # it does not help: three times, and they leave as fast as before
        world.clock.sleep_ms(16000)
        doubts.slower(world.node)
        equal(doubts.pace_ms, pace_ms)


def test_the_pause_of_a_board_that_sleeps_is_three_quarters_of_its_wake_at_most():
    for awake_ms, most_ms in ((5334, 4000), (8000, 4000), (10667, 8000)):
        world = World(SCRIPT, sensors=[ROOM])
        world.node.cfg.update(deep_sleep=True, awake_ms=awake_ms)
        doubts = world.node.doubt()
        for _ in range(6):
            world.clock.sleep_ms(20000)
            doubts.slower(world.node, True)
        equal(doubts.pace_ms, most_ms)


def test_while_no_message_is_taken_the_suspected_one_goes_behind_the_others_and_is_watched_there():
    world = World(SCRIPT, sensors=[ROOM], qos=1)
    picky(world, lambda packet: packet.topic.startswith("umqtt/n1/room"), "swallows")
    world.run(30000)
    doubts = Untaken()
    doubts.acknowledged(1, b"")  # before it has sent anything
    assert doubts.takes_others
    first, second = unacknowledged(world.node.client)[:2]
    doubts.suspect = str(first[1], "utf-8")
    doubts.takes_others = False
    doubts.strike(world.node, "does not acknowledge")
    last = unacknowledged(world.node.client)[-1]
    equal((last[1], doubts.pid), (first[1], last[0]))
    equal(unacknowledged(world.node.client)[0], second)
    equal((world.node.refused, world.node.dropped), (0, 0))


def test_a_message_is_put_aside_in_as_many_rounds_as_others_were_taken_for_it():
    world = World(SCRIPT, sensors=[ROOM], qos=1)
    picky(world, lambda packet: packet.topic.startswith("umqtt/n1/room"), "swallows")
    world.run(30000)
    doubts = world.node.doubt()
    rounds = []
    for topic in ("umqtt/n1/room/a", "umqtt/n1/room/a", "umqtt/n1/room/b"):
        doubts.let_others_go(world.node, unacknowledged(world.node.client)[0][0], topic)
        rounds.append(doubts.rounds)
    equal(rounds, [1, 2, 1])
    equal((world.node.refused, world.node.dropped), (0, 0))
