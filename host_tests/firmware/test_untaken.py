"""A broker that does not take a message never blocks the rest: noticed, told, the QoS lowered or the message given up
by the rules of docs/firmware.md, counted."""

from fakes.check import equal
from fakes.net import Plan
from fakes.packets import PINGREQ, PUBLISH
from on_board import HOST, World

import network

ROOM = {"type": "dht22", "name": "room", "pin": 4}
SCRIPT = {"wifi": {"lab": "12345678"}, "values": {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}}


def told(w, part):
    return [line for line in w.said if part in line]


def picky(w, what, how):
    """The broker treats PUBLISH packets for which what(p) is true otherwise: "closes", or "swallows" them."""
    real = w.broker._incoming

    def incoming(link, kept, p):
        if not what(p):
            return real(link, kept, p)
        if how == "closes":
            w.broker._drop(link)

    w.broker._incoming = incoming


def seqs(w):
    return [r["seq"] for r in w.readings()]


def test_a_broker_that_ends_the_connection_at_qos_2_gets_qos_1():
    w = World(SCRIPT, sensors=[ROOM])
    picky(w, lambda p: p.qos == 2, "closes")
    w.run(120000)
    equal(len(told(w, "QoS 1 from now on")), 1, w.said)
    assert "umqtt/n1/room/temperature" in told(w, "QoS 1 from now on")[0]
    equal(seqs(w), list(range(1, len(seqs(w)) + 1)))
    equal({qos for topic, p, qos in w.broker.accepted}, {1})
    assert len(seqs(w)) > 20 and not told(w, "another device"), w.said


def test_a_broker_that_swallows_qos_2_gets_qos_1_after_minutes():
    w = World(SCRIPT, sensors=[ROOM], interval_s=60)
    picky(w, lambda p: p.qos == 2, "swallows")
    w.run(600000)
    equal(len(told(w, "does not acknowledge umqtt/n1/room/temperature in QoS 2")), 1, w.said)
    equal(seqs(w), list(range(1, len(seqs(w)) + 1)))
    assert len(seqs(w)) >= 20, seqs(w)
    equal(w.node.dropped, 0)


def test_a_message_that_ends_every_connection_is_given_up_and_counted():
    w = World(SCRIPT, sensors=[ROOM], qos=1)
    picky(w, lambda p: b'"seq":3}' in bytes(p.payload), "closes")
    w.run(900000)
    equal(w.node.refused, 1)
    equal(len(told(w, "ends the connection at umqtt/n1/room/temperature: given up, 1 so far")), 1, w.said)
    got = seqs(w)
    assert 3 not in got and len(got) > 150, got
    equal(got, [n for n in range(1, w.node.taken + 1) if n in got], "in order")
    equal(len(got) + 1 + w.node.waiting() + w.node.dropped + w.node.client.inflight >= w.node.taken, True)


def test_a_status_that_the_broker_does_not_take_is_not_sent_any_more():
    w = World(SCRIPT, sensors=[ROOM])
    picky(w, lambda p: p.retain, "closes")
    w.run(120000)
    equal(len(told(w, "set retain to false")), 1, w.said)
    assert len(seqs(w)) > 20
    w = World(SCRIPT, sensors=[ROOM], retain=False, will=False)
    picky(w, lambda p: p.retain, "closes")
    w.run(30000)
    equal((told(w, "set retain"), len(seqs(w)), w.broker.connects[-1].will), ([], 6, None))


def test_a_slow_broker_is_not_a_broker_that_does_not_take_it():
    w = World(SCRIPT, sensors=[ROOM], timeout_s=5)
    w.broker.ack_ms = 14000  # later than timeout_s: the link is asked, and lives
    w.node.client = None
    w.broker._connect_real = w.broker._connect
    real = w.broker._connect

    def connect(link, p):
        w.broker.ack_ms = 0
        real(link, p)
        w.broker.ack_ms = 14000

    w.broker._connect = connect
    w.run(400000)
    equal(told(w, "QoS 1"), [])
    equal(seqs(w), list(range(1, len(seqs(w)) + 1)))
    equal(len(w.broker.connects), 2, "one to wipe, one that stands")


def test_a_late_acknowledgement_asks_whether_the_link_lives():
    w = World(SCRIPT, sensors=[ROOM], keepalive_s=3600)
    w.run(5000)
    w.net.links[-1].silence()
    w.run(60000)
    assert told(w, "no answer for 20 s: the link is dead"), w.said
    assert w.node.client.isconnected() and w.node.dropped == 0


def test_another_device_with_the_same_client_id_is_told():
    w = World(SCRIPT, sensors=[ROOM], interval_s=3600)
    for _ in range(400):
        w.run(500)
        if w.node.client and w.node.client.isconnected() and not w.node.client.inflight:
            w.broker.stop("fin")
    equal(len(told(w, "closed again and again: has another device this client_id?")), 1, w.said)
    equal(told(w, "QoS 1"), [])


def test_links_that_are_cut_at_random_are_no_reason_to_lower_the_qos():
    w = World(SCRIPT, sensors=[ROOM], interval_s=2, queue=500)
    for cut in range(40, 1500, 41):
        w.net.plans = [Plan(cut_out=cut, how="fin")]
        w.broker.stop("rst")
        w.run(12000)
    w.net.plans = []
    w.run(200000)
    equal(told(w, "QoS 1"), [])
    equal(len(seqs(w)), len(set(seqs(w))))


def test_the_first_broker_of_the_list_is_tried_first_after_each_blink():
    spare = "spare.test"
    w = World(SCRIPT, sensors=[ROOM], broker=[HOST, spare + ":1884"])
    w.net.serve(spare, 1884, w.broker)
    w.run(15000)
    w.net.peers.pop((HOST, 1883))
    w.broker.stop()
    w.run(30000)
    equal(w.net.dialled[-1], (spare, 1884))
    w.net.serve(HOST, 1883, w.broker)
    w.broker.stop()
    w.run(30000)
    equal(w.net.dialled[-1], (HOST, 1883))
    assert seqs(w)[-1] > 10


def test_a_list_is_gone_through_at_once_and_a_pause_comes_after_the_last():
    w = World(SCRIPT, sensors=[ROOM], broker=["a.test", "b.test", "c.test"])
    w.run(3000)
    equal([host for host, _ in w.net.dialled[:3]], ["a.test", "b.test", "c.test"])
    assert len(w.net.dialled) < 25, "a pause after the last"


def test_a_radio_that_only_a_reset_cures_is_reset_after_its_time():
    from fakes.check import raises

    import fake_board

    w = World(SCRIPT, sensors=[ROOM], reset_after_s=600)
    w.run(60000)
    w.net.plan = Plan(connect_ms=None)
    w.broker.stop("silence")
    began = w.clock.now
    raises(fake_board.Reset, w.run, 2400000)
    assert 550000 <= w.clock.now - began < 700000, w.clock.now - began
    assert "nothing has answered for 600 s" in w.said[-1] and "readings wait" in w.said[-1]
    # a broker that is off answers, by its machine's RST: no reset helps
    w = World(SCRIPT, sensors=[ROOM], reset_after_s=600)
    w.net.plan = Plan(refuse=True)
    w.run(2400000)
    assert network.WLAN(network.STA_IF).isconnected()


def test_a_drop_is_told_once_and_summed_up_when_all_is_sent():
    w = World(SCRIPT, sensors=[ROOM], queue=6)
    w.net.plan = Plan(refuse=True)
    w.run(100000)
    equal(told(w, "queue: "), ["queue: 6 readings wait: the oldest is dropped; trying again"])
    w.net.plan = Plan()
    w.run(70000)
    equal(told(w, "queue: ")[1:], ["queue: %d readings were dropped since the start" % w.node.dropped])


def test_a_slow_link_in_qos_0_does_not_stop_measurements():
    w = World(SCRIPT, sensors=[ROOM], qos=0, queue=200, interval_s=10)
    w.net.plan = Plan(refuse=True)
    w.run(300000)
    w.net.plan = Plan(write_max=4, buffer=64, latency_ms=1500)
    taken, began = w.node.taken, w.clock.now
    w.run(300000)
    rounds = (w.node.taken - taken) // 2
    assert rounds >= (w.clock.now - began) // 10000 - 3, rounds


def test_few_waits_for_each_reading():
    w = World(SCRIPT, sensors=[ROOM], interval_s=60)
    w.run(61000)
    polls, taken = w.net.polls, w.node.taken
    w.run(600000)
    a_reading = (w.net.polls - polls) / (w.node.taken - taken)
    assert a_reading < 9, a_reading  # with the keep-alive's and the turns' of half a minute


def untaken(w, what, how):
    """As picky; when each of these PUBLISH packets came, ms."""
    real, connect = w.broker._incoming, w.broker._connect
    came = []
    w.broker.connect_times = []

    def noted(link, p):
        w.broker.connect_times.append(w.clock.now)
        connect(link, p)

    w.broker._connect = noted

    def incoming(link, kept, p):
        if not what(p):
            return real(link, kept, p)
        came.append(w.clock.now)
        if how == "closes":
            w.broker._drop(link)

    w.broker._incoming = incoming
    return came


def test_a_message_has_three_connections_in_qos_2_and_eight_in_qos_1_and_a_status_three():
    for keys, what, times in (
        ({}, lambda p: p.qos == 2, 3),
        ({"qos": 1}, lambda p: b'"seq":3}' in bytes(p.payload), 8),
        ({"qos": 1}, lambda p: p.retain, 3),
    ):
        w = World(SCRIPT, sensors=[ROOM], **keys)
        came = untaken(w, what, "closes")
        w.run(1200000)
        # one that an old connection ended with may have had another cause
        equal(len([ms for ms in came if ms - max(at for at in w.broker.connect_times if at <= ms) < 5000]), times, keys)


def test_a_message_that_is_swallowed_is_sent_again_after_a_minute_or_three_times_the_timeout():
    for timeout_s, least_s, most_s in ((10, 60, 62), (40, 120, 162)):
        w = World(SCRIPT, sensors=[ROOM], interval_s=900, timeout_s=timeout_s)
        came = untaken(w, lambda p: p.qos == 2, "swallows")
        w.run(3000000)
        first = [ms for ms in came if ms - came[0] < 30000]  # both readings
        equal(len(first), 2)
        pauses_s = [(b - a) / 1000 for a, b in zip(came, came[1:]) if b - a > 5000]
        equal(len(pauses_s), 2, "three times in all")
        assert all(least_s < pause_s < most_s for pause_s in pauses_s), (timeout_s, pauses_s)


def test_a_link_that_died_is_begun_again_twice_the_timeout_after_what_was_sent_last():
    for timeout_s in (10, 25):
        w = World(SCRIPT, sensors=[ROOM], keepalive_s=3600, interval_s=60, timeout_s=timeout_s)
        w.run(30000)
        link = w.net.links[-1]
        link.silence()
        dialled = len(w.net.dialled)
        while len(w.net.dialled) == dialled:
            w.run(50)
        sent = [ms for ms in link.write_times if ms > w.began + 30000][0]
        assert 2000 * timeout_s <= w.clock.now - sent <= 2000 * timeout_s + 6000, (timeout_s, w.clock.now - sent)


def test_a_broker_that_is_slow_for_ever_keeps_its_connection():
    w = World(SCRIPT, sensors=[ROOM], interval_s=30, qos=1)
    w.run(5000)
    w.broker.ack_ms = 14000
    connects = len(w.broker.connects)
    w.run(1800000)
    equal((len(w.broker.connects), told(w, "does not acknowledge")), (connects, []))
    equal(seqs(w), list(range(1, len(seqs(w)) + 1)))


def test_strikes_are_counted_for_one_message_and_begin_anew_with_the_next():
    script = {"wifi": {"lab": "12345678"}, "values": {"ds18b20 5": [20.0]}}
    w = World(script, sensors=[{"type": "ds18b20", "name": "room", "pin": 5}], qos=1, interval_s=900)
    refused = {}

    def is_refused(p):
        """Each reading ends five connections before it is taken."""
        key = bytes(p.payload)
        refused[key] = refused.get(key, 0) + 1
        return b"seq" in key and refused[key] <= 5

    untaken(w, is_refused, "closes")
    w.run(5000000)
    equal((w.node.refused, told(w, "given up")), (0, []))
    equal(seqs(w), list(range(1, len(seqs(w)) + 1)))
    assert len(seqs(w)) > 4, seqs(w)


assert PUBLISH


def test_a_message_that_the_broker_took_is_not_blamed_for_the_next_one():
    for qos in (1, 2):
        w = World(SCRIPT, sensors=[ROOM], qos=qos)
        w.broker.ack_ms = 50  # so the ack of the temperature is lost with the connection, which ends at the humidity
        picky(w, lambda p: p.topic.endswith("humidity") and b'"seq":8}' in bytes(p.payload), "closes")
        w.run(1500000)
        equal(w.node.refused, 1, w.said)
        equal(len(told(w, "given up")), 1, w.said)
        equal([line for line in told(w, "ends the connection at") if "humidity" not in line], [])
        assert 8 not in seqs(w) and len(seqs(w)) > 250 and seqs(w).count(7) <= (3 if qos == 1 else 1), seqs(w)


def test_a_broker_that_closes_at_the_log_in_is_told_with_what_it_may_not_like():
    # so a cloud says no to a will that is retained, to a password, or to a session that is kept
    for dislikes in (lambda p: p.will and p.will[2], lambda p: not p.clean):
        w = World(SCRIPT, sensors=[ROOM])
        real = w.broker._connect

        def connect(link, p):
            if dislikes(p):  # noqa: B023
                return w.broker._drop(link)  # noqa: B023
            return real(link, p)  # noqa: B023

        w.broker._connect = connect
        w.run(120000)
        equal(len(told(w, "closed by the broker at the log-in: check port and tls, user")), 1, w.said)
        assert "set will or retain to false" in told(w, "at the log-in")[0]
    w = World(SCRIPT, sensors=[ROOM])
    w.run(20000)
    w.broker.stop("fin")
    w.run(20000)
    equal(told(w, "at the log-in"), [], "a connection that stood is another thing")


def test_wifi_that_vanishes_while_a_message_is_in_flight_is_no_fault_of_the_brokers():
    w = World(SCRIPT, sensors=[ROOM], interval_s=60, stop_pin=0)
    incoming = w.broker._incoming
    w.broker._incoming = lambda link, kept, p: None  # WiFi is never there for long enough
    for _ in range(12):
        while not (w.node.client and w.node.client.isconnected() and w.node.client.inflight):
            w.run(500)
        network.WLAN(network.STA_IF).lose()
        for link in w.net.links:
            link.end("rst")
        w.run(2000)
    equal((w.node.qos, w.node.refused, told(w, "does not"), told(w, "ends the")), (2, 0, [], []))
    w.broker._incoming = incoming
    w.run(90000)
    equal(seqs(w), list(range(1, w.node.taken + 1)))


def test_a_message_of_before_an_outage_has_timeout_s_anew_before_the_link_is_doubted():
    w = World(SCRIPT, sensors=[ROOM], interval_s=3600)
    w.run(5000)
    incoming, came, pings = w.broker._incoming, w.broker._came, []
    w.broker._incoming = lambda link, kept, p: None
    w.node.measure()
    w.run(3000)
    w.net.plan = Plan(refuse=True)
    w.broker.stop()
    w.run(40000)

    def seen(link, p):
        if p.kind == PINGREQ:
            pings.append(w.clock.now)
        came(link, p)

    w.broker._came = seen
    w.net.plan = Plan()
    while not w.node.client.isconnected():
        w.node.turn()
    w.run(8000)
    equal(pings, [])
    w.broker._incoming = incoming
    w.run(30000)
    assert pings, "then it is asked"
