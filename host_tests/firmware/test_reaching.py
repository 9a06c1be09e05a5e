"""The way to the broker stops nothing: readings are taken on time and the button is seen whatever does not answer; the
better broker is gone back to; no reading is dropped for a pause that was too long."""

from fakes.check import equal
from fakes.model import Model
from fakes.net import Plan
from on_board import HOST, NOW_S, World

import fake_board

SPARE = "spare.test"
ROOM = {"type": "dht22", "name": "room", "pin": 4}
SCRIPT = {"wifi": {"lab": "12345678"}, "values": {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}}
LATE_MS = 300  # a wait of a turn, and a little


class Mute:
    """Accepts, and says nothing."""

    def opened(self, link):
        pass

    def data(self, link, data):
        pass

    def ended(self, link):
        pass


def watched(**keys):
    """A world whose sensor's readings are written down with their time."""
    w = World(SCRIPT, sensors=[ROOM], **keys)
    taken = []
    sensor = w.node.sources[0].sensor
    read = sensor.read

    def reading():
        taken.append(w.clock.now - w.began)
        return read()

    sensor.read = reading
    return w, taken


def told(w, part):
    return [line for line in w.said if part in line]


def on_time(taken, interval_ms, until_ms):
    """Each reading came when it was due."""
    assert len(taken) >= until_ms // interval_ms, len(taken)
    late = [t - i * interval_ms for i, t in enumerate(taken)]
    assert max(late) <= LATE_MS, (max(late), late.index(max(late)))


def test_measurements_are_on_time_while_a_broker_accepts_and_says_nothing():
    w, taken = watched(interval_s=1, timeout_s=10, queue=500)
    w.net.serve(HOST, 1883, Mute())
    turns = []
    while w.clock.now - w.began < 120000:
        before = w.clock.now
        w.node.turn()
        turns.append(w.clock.now - before)
    on_time(taken, 1000, 120000)
    assert max(turns) <= LATE_MS, max(turns)
    assert told(w, "broker: no answer in time"), w.said
    w.net.serve(HOST, 1883, w.broker)
    w.run(90000)
    on_time(taken, 1000, 210000)
    equal([r["seq"] for r in w.readings()], list(range(1, len(w.readings()) + 1)))
    assert len(w.readings()) > 350


def test_measurements_are_on_time_while_the_machine_is_off_or_mute_later():
    for plan in (
        Plan(connect_ms=None),
        Plan(cut_in=4, how="silence"),
        Plan(cut_in=1, how="silence"),
        Plan(latency_ms=1900),
    ):
        w, taken = watched(interval_s=1, timeout_s=10, queue=500)
        w.net.plan = plan
        w.run(100000)
        on_time(taken, 1000, 100000)


def test_the_stop_button_is_seen_while_nobody_answers():
    w, taken = watched(interval_s=3600, timeout_s=60, stop_pin=0)
    w.net.serve(HOST, 1883, Mute())
    w.run(2000)
    pressed = w.clock.now
    w.node.stopped = lambda: w.clock.now >= pressed + 700
    w.node.run()
    assert w.clock.now - pressed < 700 + 2000 + 2 * LATE_MS, w.clock.now - pressed
    assert w.said[-1].startswith("summary: taken=2 published=0")


def test_the_watchdog_is_fed_while_nobody_answers():
    w, taken = watched(interval_s=3600, timeout_s=60, watchdog_s=300)
    w.net.serve(HOST, 1883, Mute())
    longest = [0]
    fed = [w.clock.now]
    real = w.node.feed

    def feed():
        longest[0] = max(longest[0], w.clock.now - fed[0])
        fed[0] = w.clock.now
        real()

    w.node.feed = feed
    w.node.stopped = lambda: w.clock.now - w.began > 200000
    w.node.run()
    assert longest[0] <= 5000 + LATE_MS, longest[0]


def test_a_board_at_the_spare_goes_back_to_the_first_and_loses_and_repeats_nothing():
    w = World(SCRIPT, sensors=[ROOM], broker=[HOST, SPARE], interval_s=2)
    spare = Model(w.clock)
    w.net.serve(SPARE, 1883, spare)
    w.run(20000)
    w.net.peers.pop((HOST, 1883))
    w.broker.stop()
    w.run(120000)
    equal(w.node.client.server, SPARE)
    w.net.serve(HOST, 1883, w.broker)
    w.run(180000)
    equal(w.node.client.server, HOST)
    assert told(w, "broker: back to broker.test"), w.said
    equal(len(told(w, "back to")), 1)
    at_spare = [p for topic, p, qos in spare.accepted if "/room/" in topic]
    equal(len(w.readings()) + len(at_spare) + w.node.waiting() + w.node.client.inflight, w.node.taken)
    equal(w.broker.violations + spare.violations, [])
    equal([bytes(p) for topic, p, q in spare.accepted if topic.endswith("status")], [b"online"], "no will")


def test_a_first_broker_that_comes_and_goes_does_not_take_the_board_with_it():
    w = World(SCRIPT, sensors=[ROOM], broker=[HOST, SPARE], interval_s=60, ntp_host="")
    spare = Model(w.clock)
    w.net.serve(SPARE, 1883, spare)
    w.run(20000)
    went = 0
    for _ in range(60):
        w.net.peers.pop((HOST, 1883))
        w.broker.stop()
        w.run(60000)
        w.net.serve(HOST, 1883, w.broker)
        connects = len(w.broker.connects)
        w.run(180000)
        went += len(w.broker.connects) > connects
    assert went <= 12, went
    equal(w.node.dropped, 0)


def test_the_board_is_back_before_its_queue_is_full():
    # a queue of 34 s, as 12 readings of two values every 2 s: a pause of a minute would drop most of them
    dropped = []
    for _ in range(20):
        w = World(SCRIPT, sensors=[ROOM], interval_s=2, queue=34)
        w.run(30000)
        w.net.plan = Plan(refuse=True)
        w.broker.stop()
        w.run(24000)
        w.net.plan = Plan()
        w.run(30000)
        dropped.append(w.node.dropped)
    equal(sum(dropped), 0, str(dropped))


def test_a_login_that_is_refused_is_not_asked_for_more_often_because_the_queue_is_full():
    w = World(SCRIPT, sensors=[ROOM], interval_s=2, queue=6)
    w.broker.refuse_code = 4
    w.run(30000)
    connects = len(w.broker.connects)
    w.run(600000)
    assert len(w.broker.connects) - connects <= 11, len(w.broker.connects) - connects


assert NOW_S and fake_board


def test_a_stop_sends_what_waits_by_the_connection_that_is_on_its_way():
    w, _ = watched(interval_s=60)
    w.net.plan = Plan(latency_ms=200)
    w.run(300)
    assert not w.node.client.isconnected()
    w.node.stopped = lambda: True
    w.node.run()
    equal(len(w.readings()), 2)
    assert told(w, "acknowledged=2"), w.said


def test_a_stop_waits_for_no_broker_that_was_not_there():
    w, _ = watched(interval_s=60)
    w.net.peers.clear()
    w.run(5000)
    w.node.stopped = lambda: True
    stopped_at = w.clock.now
    w.node.run()
    assert w.clock.now - stopped_at < 1000, w.clock.now - stopped_at
