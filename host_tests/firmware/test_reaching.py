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
    world = World(SCRIPT, sensors=[ROOM], **keys)
    taken = []
    sensor = world.node.sources[0].sensor
    read = sensor.read

    def reading():
        taken.append(world.clock.now - world.began)
        return read()

    sensor.read = reading
    return world, taken


def told(world, part):
    return [line for line in world.said if part in line]


def on_time(taken, interval_ms, until_ms):
    """Each reading came when it was due."""
    assert len(taken) >= until_ms // interval_ms, len(taken)
    late = [time - i * interval_ms for i, time in enumerate(taken)]
    assert max(late) <= LATE_MS, (max(late), late.index(max(late)))


def test_measurements_are_on_time_while_a_broker_accepts_and_says_nothing():
    world, taken = watched(interval_s=1, timeout_s=10, queue=500)
    world.net.serve(HOST, 1883, Mute())
    turns = []
    while world.clock.now - world.began < 120000:
        before = world.clock.now
        world.node.turn()
        turns.append(world.clock.now - before)
    on_time(taken, 1000, 120000)
    assert max(turns) <= LATE_MS, max(turns)
    assert told(world, "broker: no answer in time"), world.said
    world.net.serve(HOST, 1883, world.broker)
    world.run(90000)
    on_time(taken, 1000, 210000)
    equal([reading["seq"] for reading in world.readings()], list(range(1, len(world.readings()) + 1)))
    assert len(world.readings()) > 350


def test_measurements_are_on_time_while_the_machine_is_off_or_mute_later():
    for plan in (
        Plan(connect_ms=None),
        Plan(cut_in=4, how="silence"),
        Plan(cut_in=1, how="silence"),
        Plan(latency_ms=1900),
    ):
        world, taken = watched(interval_s=1, timeout_s=10, queue=500)
        world.net.plan = plan
        world.run(100000)
        on_time(taken, 1000, 100000)


def test_the_stop_button_is_seen_while_nobody_answers():
    world, taken = watched(interval_s=3600, timeout_s=60, stop_pin=0)
    world.net.serve(HOST, 1883, Mute())
    world.run(2000)
    pressed = world.clock.now
    world.node.stopped = lambda: world.clock.now >= pressed + 700
    world.node.run()
    assert world.clock.now - pressed < 700 + 2000 + 2 * LATE_MS, world.clock.now - pressed
    assert world.said[-1].startswith("summary: taken=2 published=0")


def test_the_watchdog_is_fed_while_nobody_answers():
    world, taken = watched(interval_s=3600, timeout_s=60, watchdog_s=300)
    world.net.serve(HOST, 1883, Mute())
    longest = [0]
    fed = [world.clock.now]
    real = world.node.feed

    def feed():
        longest[0] = max(longest[0], world.clock.now - fed[0])
        fed[0] = world.clock.now
        real()

    world.node.feed = feed
    world.node.stopped = lambda: world.clock.now - world.began > 200000
    world.node.run()
    assert longest[0] <= 5000 + LATE_MS, longest[0]


def test_a_board_at_the_spare_goes_back_to_the_first_and_loses_and_repeats_nothing():
    world = World(SCRIPT, sensors=[ROOM], broker=[HOST, SPARE], interval_s=2)
    spare = Model(world.clock)
    world.net.serve(SPARE, 1883, spare)
    world.run(20000)
    world.net.peers.pop((HOST, 1883))
    world.broker.stop()
    world.run(120000)
    equal(world.node.client.server, SPARE)
    world.net.serve(HOST, 1883, world.broker)
    world.run(180000)
    equal(world.node.client.server, HOST)
    assert told(world, "broker: back to broker.test"), world.said
    equal(len(told(world, "back to")), 1)
    at_spare = [payload for topic, payload, qos in spare.accepted if "/room/" in topic]
    equal(len(world.readings()) + len(at_spare) + world.node.waiting() + world.node.client.inflight, world.node.taken)
    equal(world.broker.violations + spare.violations, [])
    equal(
        [bytes(payload) for topic, payload, qos in spare.accepted if topic.endswith("status")], [b"online"], "no will"
    )


def test_a_first_broker_that_comes_and_goes_does_not_take_the_board_with_it():
    world = World(SCRIPT, sensors=[ROOM], broker=[HOST, SPARE], interval_s=60, ntp_host="")
    spare = Model(world.clock)
    world.net.serve(SPARE, 1883, spare)
    world.run(20000)
    went = 0
    for _ in range(60):
        world.net.peers.pop((HOST, 1883))
        world.broker.stop()
        world.run(60000)
        world.net.serve(HOST, 1883, world.broker)
        connects = len(world.broker.connects)
        world.run(180000)
        went += len(world.broker.connects) > connects
    assert went <= 12, went
    equal(world.node.dropped, 0)


def test_the_board_is_back_before_its_queue_is_full():
    # a queue of 34 s, as 12 readings of two values every 2 s: a pause of a minute would drop most of them
    dropped = []
    for _ in range(20):
        world = World(SCRIPT, sensors=[ROOM], interval_s=2, queue=34)
        world.run(30000)
        world.net.plan = Plan(refuse=True)
        world.broker.stop()
        world.run(24000)
        world.net.plan = Plan()
        world.run(30000)
        dropped.append(world.node.dropped)
    equal(sum(dropped), 0, str(dropped))


def test_the_pause_between_two_attempts_is_half_the_time_that_the_queue_still_has_room_for():
    world = World(SCRIPT, sensors=[ROOM], interval_s=2, queue=200)  # two readings a measurement: one a second
    world.run(9000)
    world.net.plan = Plan(refuse=True)
    world.broker.stop()
    pauses_ms = {}
    while world.node.waiting() < 200:
        world.run(2000)
        pauses_ms[200 - world.node.waiting()] = world.node.reconnect.hurry_ms
    for room in (100, 40, 20, 10):  # its first second had two readings
        assert room // 2 - 1 <= pauses_ms[room] // 1000 <= room // 2, (room, pauses_ms)
    equal((max(pauses_ms.values()), pauses_ms[0]), (60000, 1000), "at least a second, at most a minute")


def test_a_login_that_is_refused_is_not_asked_for_more_often_because_the_queue_is_full():
    world = World(SCRIPT, sensors=[ROOM], interval_s=2, queue=6)
    world.broker.refuse_code = 4
    world.run(30000)
    connects = len(world.broker.connects)
    world.run(600000)
    assert len(world.broker.connects) - connects <= 11, len(world.broker.connects) - connects


assert NOW_S and fake_board


def test_a_stop_sends_what_waits_by_the_connection_that_is_on_its_way():
    world, _ = watched(interval_s=60)
    world.net.plan = Plan(latency_ms=200)
    world.run(300)
    assert not world.node.client.isconnected()
    world.node.stopped = lambda: True
    world.node.run()
    equal(len(world.readings()), 2)
    assert told(world, "acknowledged=2"), world.said


def test_a_stop_waits_for_no_broker_that_was_not_there():
    world, _ = watched(interval_s=60)
    world.net.peers.clear()
    world.run(5000)
    world.node.stopped = lambda: True
    stopped_at = world.clock.now
    world.node.run()
    assert world.clock.now - stopped_at < 1000, world.clock.now - stopped_at
