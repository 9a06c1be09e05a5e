"""A broker that does not take a message never blocks the rest: noticed, told, the QoS lowered or the message given up
by the rules of docs/firmware.md, counted."""

from fakes.check import equal
from fakes.net import Plan
from fakes.packets import PUBLISH
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


assert PUBLISH
