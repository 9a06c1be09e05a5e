"""The cycle: what is missing is told once and tried again, nothing ends the program, no reading is lost or repeated."""

import json
import sys

from fakes.check import equal, raises
from fakes.net import Plan
from on_board import HOST, NOW_S, World

import ending
import fake_board
import network
import ntptime

ROOM = {"type": "dht22", "name": "room", "pin": 4}
ROOM_VALUES = {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}
SCRIPT = {"wifi": {"lab": "12345678"}, "values": ROOM_VALUES}


def script(**keys):
    s = dict(SCRIPT)
    s.update(keys)
    return s


def told(w, part):
    return [line for line in w.said if part in line]


def test_readings_arrive_in_order_with_value_unit_time_and_number():
    w = World(SCRIPT, sensors=[ROOM])
    w.run(25000)
    equal(
        w.readings("room/temperature")[:2],
        [
            {"value": 21.5, "unit": "°C", "time": NOW_S, "seq": 1},
            {"value": 21.6, "unit": "°C", "time": NOW_S + 10, "seq": 3},
        ],
    )
    equal([r["seq"] for r in w.readings()], [1, 2, 3, 4, 5, 6])
    equal({qos for topic, p, qos in w.broker.accepted if "/room/" in topic}, {2})
    equal(w.broker.accepted[1][0], "umqtt/n1/room/temperature")
    equal(w.broker.violations, [])


def test_qos_of_the_readings_is_the_configured_one():
    for qos in (0, 1):
        w = World(SCRIPT, sensors=[ROOM], qos=qos)
        w.run(25000)
        equal({q for topic, p, q in w.broker.accepted if "/room/" in topic}, {qos})
        equal([r["seq"] for r in w.readings()], [1, 2, 3, 4, 5, 6])


def test_availability_is_retained_and_has_a_will():
    w = World(SCRIPT, sensors=[ROOM])
    w.run(1000)
    equal(w.status(), [b"online"])
    equal(bytes(w.broker.retained["umqtt/n1/status"][0]), b"online")
    w.broker.stop()  # the will of a connection that ends uncleanly
    equal([(will[0], bytes(will[1])) for will in w.broker.wills], [("umqtt/n1/status", b"offline")])
    w.run(60000)
    equal(w.status()[-1], b"online")


def test_no_turn_waits_for_an_acknowledgement_and_nothing_goes_out_in_a_higher_qos_than_wanted():
    keys = {"ha_prefix": "homeassistant", "commands": True, "stop_pin": 0, "qos": 1}
    w = World(SCRIPT, sensors=[ROOM], **keys)
    left = "homeassistant/sensor/n1/cellar_temperature/config"
    w.broker.inject(left, b"{}", retain=1)
    w.broker.ack_ms = 2000
    longest_ms = 0
    while w.clock.now - w.began < 60000:
        before = w.clock.now
        w.node.turn()
        longest_ms = max(longest_ms, w.clock.now - before)
    assert longest_ms <= 300, longest_ms
    topics = [topic for topic, payload, qos in w.broker.accepted]
    for topic, n in (("umqtt/n1/status", 1), ("umqtt/n1/diag", 1), (left, 1)):
        equal(len([t for t in topics if t == topic]), n, topic)
    equal(len([t for t in topics if t.startswith("homeassistant/") and t != left]), 5)
    equal(w.broker.retained.get(left), None)
    equal({qos for topic, payload, qos in w.broker.accepted}, {1})
    assert w.readings()


def test_keep_alive_is_served_while_nothing_is_to_be_read():
    w = World(SCRIPT, sensors=[ROOM], interval_s=3600, keepalive_s=10)
    w.run(600000)
    equal(len(w.readings()), 2)
    equal(w.status(), [b"online"])
    equal(w.broker.violations, [])


def test_a_wrong_password_is_told_once_and_mended_without_a_restart():
    w = World(script(wifi={"lab": "another one"}), sensors=[ROOM])
    w.run(120000)
    equal(told(w, "wifi"), ['wifi: "lab": wrong password: check wifi_password; trying again'])
    fake_board.script["wifi"] = {"lab": "12345678"}
    w.run(120000)
    assert told(w, "wifi: well again") and told(w, "wifi: joined")
    assert w.readings()


def test_readings_taken_while_the_broker_is_absent_arrive_with_their_own_time():
    w = World(SCRIPT, sensors=[ROOM], queue=50)
    w.net.plan = Plan(refuse=True)
    w.run(100000)
    equal(len(told(w, "broker: ")), 1)
    assert "refused" in told(w, "broker: ")[0], w.said
    w.net.plan = Plan()
    w.run(64000)  # a pause of a minute at most
    numbers = [r["seq"] for r in w.readings()]
    equal(numbers, list(range(1, len(numbers) + 1)))
    assert len(numbers) >= 32
    times = [r["time"] for r in w.readings("temperature")]
    equal([t - NOW_S for t in times], [10 * i for i in range(len(times))])


def test_a_full_queue_gives_up_the_oldest_and_counts_it():
    w = World(SCRIPT, sensors=[ROOM], queue=6)
    w.net.plan = Plan(refuse=True)
    w.run(100000)
    equal(w.node.dropped, w.node.taken - 6)
    w.net.plan = Plan()
    w.run(70000)
    numbers = [r["seq"] for r in w.readings()]
    equal(numbers, list(range(w.node.dropped + 1, w.node.taken + 1)))


def test_refused_credentials_are_told_once_in_words():
    w = World(SCRIPT, sensors=[ROOM], user="me", password="secret")
    w.broker.refuse_code = 4
    w.run(120000)
    equal(len(told(w, "broker")), 1)
    assert told(w, "broker: bad user"), w.said
    equal(len(network.WLAN(network.STA_IF).asked), 1, "a broker that answers is no reason to join WiFi anew")
    w.broker.refuse_code = 0
    w.run(120000)
    assert w.readings()


def test_a_name_that_cannot_be_looked_up_is_told_once():
    w = World(SCRIPT, sensors=[ROOM])
    w.net.names[HOST] = OSError(-2)
    w.run(60000)
    equal(told(w, "broker"), ["broker: no such name, or no name server answers; trying again"])


def test_a_missing_sensor_is_told_once_and_the_others_go_on():
    pool = {"type": "ds18b20", "name": "pool", "pin": 5}
    w = World(SCRIPT, sensors=[pool, ROOM])
    w.run(300000)
    equal(told(w, "pool"), ["sensor pool: no DS18B20 answers on GPIO 5; trying again"])
    assert len(w.readings("room/humidity")) >= 29
    fake_board.script["values"] = dict(ROOM_VALUES)
    fake_board.script["values"]["ds18b20 5"] = [18.5]
    w.run(900000)
    equal(w.readings("pool/temperature")[0]["value"], 18.5)
    assert told(w, "sensor pool: well again")


def test_a_driver_that_raises_anything_is_that_sensors_trouble():
    w = World(SCRIPT, sensors=[ROOM])

    def broken():
        raise TypeError("driver bug")

    w.node.sources[0].sensor.read = broken
    w.run(60000)
    equal(len(told(w, "sensor room: TypeError")), 1)


def test_a_crash_is_logged_and_the_program_goes_on():
    import node

    w = World(SCRIPT, sensors=[ROOM])
    logged = []
    real = node.crashed
    node.crashed = lambda e: logged.append(repr(e))
    measure = w.node.measure
    crashes = [3]

    def measure_badly():
        if crashes[0]:
            crashes[0] -= 1
            raise IndexError("bug")
        measure()

    w.node.measure = measure_badly
    try:
        w.run(120000)
    finally:
        node.crashed = real
    equal(len(logged), 3)
    assert w.readings()
    equal(len(told(w, "program: ")), 1)


def test_a_program_that_only_crashes_resets_the_board():
    import node

    w = World(SCRIPT, sensors=[ROOM])
    real = node.crashed
    node.crashed = lambda e: None

    def measure():
        raise IndexError("bug")

    w.node.measure = measure
    try:
        raises(fake_board.Reset, w.run, 3600000)
    finally:
        node.crashed = real
    equal(w.node.running.count, 8)


def test_rare_crashes_never_reset_the_board_and_crashes_in_a_row_do_after_an_hour_without_one_too():
    w = World(SCRIPT, sensors=[ROOM], interval_s=60)
    measure, crashes = w.node.measure, [0]

    def broken():
        w.node.measure = measure
        crashes[0] += 1
        raise IndexError("bug")

    for _ in range(12):
        w.node.measure = broken
        w.run(1200000)
    equal((crashes[0], w.node.running.count), (12, 0))
    equal([r["seq"] for r in w.readings()], list(range(1, w.node.taken + 1)))
    w.run(3600000)

    def always():
        w.node.measure_in(60000)  # the turns between go well
        raise IndexError("bug")

    w.node.measure = always
    raises(fake_board.Reset, w.run, 3600000)


def test_a_lost_link_loses_and_repeats_nothing():
    w = World(SCRIPT, sensors=[ROOM], interval_s=1)
    for cut in range(12, 900, 97):
        for how in ("rst", "silence"):
            w.net.plans = [Plan(), Plan(cut_out=cut, how=how), Plan(cut_in=max(cut // 4, 5), how=how)]
            w.broker.stop()
            w.run(9000)
    w.net.plans = []
    w.run(200000)
    ending.finish(w.node, 20000)
    seqs = [r["seq"] for r in w.readings()]
    equal(seqs, [n for n in range(1, w.node.taken + 1) if n in seqs], "order")
    equal(len(seqs) + w.node.dropped, w.node.taken)
    equal(w.broker.violations, [])


def test_a_radio_that_went_dead_is_joined_anew():
    w = World(SCRIPT, sensors=[ROOM])
    w.run(5000)
    w.net.plan = Plan(connect_ms=None)
    w.broker.stop("silence")
    w.run(900000)
    joined = len(network.WLAN(network.STA_IF).asked)
    assert joined > 1, "isconnected() says True: only a new join can help"


def test_a_session_from_an_earlier_life_is_wiped_before_the_first_reading():
    w = World(SCRIPT, sensors=[ROOM])
    w.run(15000)
    equal([c.clean for c in w.broker.connects], [1, 0])
    w.broker.stop()
    w.run(30000)
    equal([c.clean for c in w.broker.connects], [1, 0, 0])


def test_a_device_that_is_thrown_out_again_and_again_backs_off():
    w = World(SCRIPT, sensors=[ROOM])
    n = 0
    for _ in range(600):
        w.run(500)
        if w.node.client.isconnected():
            w.broker.stop("fin")
            n += 1
    assert n < 60, "%d connections in 300 s" % n


def test_readings_without_a_clock_say_so_and_get_their_time_when_it_is_set():
    w = World(script(clock=False), sensors=[ROOM])
    w.epoch_s = 0
    w.run(15000)
    first = w.readings("temperature")
    equal([r["time"] for r in first], [None, None])
    equal([r["up_s"] for r in first], [0, 10])
    equal(told(w, "clock"), ["clock: pool.ntp.org does not answer (110): check ntp_host; trying again"])
    w.net.plan = Plan(refuse=True)
    w.broker.stop()
    w.run(30000)
    w.epoch_s = NOW_S
    fake_board.script["clock"] = True
    w.net.plan = Plan()
    w.run(100000)
    later = w.readings("temperature")[2:]
    assert len(later) > 8
    equal([r["time"] - NOW_S for r in later], [10 * i for i in range(2, 2 + len(later))])


def test_the_time_server_is_asked_every_six_hours_and_not_without_a_name():
    w = World(SCRIPT, sensors=[ROOM])
    w.run(20000)
    w.node.synced_s -= 6 * 3600 - 30
    w.run(9000)
    equal(ntptime.asked, ["pool.ntp.org"])
    w.run(3000)
    equal(ntptime.asked, ["pool.ntp.org"] * 2)
    w = World(SCRIPT, sensors=[ROOM], ntp_host="")
    w.run(20000)
    equal(ntptime.asked, [])


def test_a_slow_sensor_does_not_starve_the_connection():
    pool = {"type": "ds18b20", "name": "pool", "pin": 5}
    w = World(script(values={"ds18b20 5": [18.5]}), sensors=[pool], interval_s=0.2)
    w.run(60000)
    equal(w.node.dropped, 0)
    assert len(w.readings()) > 50


def test_the_watchdog_is_fed_by_every_turn_and_by_nothing_else():
    import machine
    from machine_wdt import WDT

    assert machine.WDT is WDT
    WDT.feeds = 0
    w = World(script(buttons={"0": __file__}), sensors=[ROOM], watchdog_s=200)
    equal(WDT.timeout, 200000)
    w.run(5000)
    WDT.feeds = 0
    turns = [0, 0, 0, 1]
    w.node.stopped = lambda: turns.pop(0)
    w.node.run()
    equal(WDT.feeds, 6, "three turns, one sensor that was read, two steps of the end")
    WDT.feeds = 0
    w.node.link = lambda: w.clock.sleep_ms(190000)  # a port that hangs in one call
    w.node.turn()
    equal(WDT.feeds, 0)


def test_what_breaks_on_a_connection_that_stays_up_does_not_spin():
    w = World(SCRIPT, sensors=[ROOM])
    w.run(2000)

    def broken():
        raise KeyError("bug")

    w.node.hand_over = broken
    now = w.clock.now
    for _ in range(50):
        w.node.turn()
    assert w.clock.now - now > 5000
    assert told(w, "broker: KeyError")


def test_ctrl_c_gives_the_prompt_at_once():
    w = World(SCRIPT, sensors=[ROOM])
    w.run(5000)

    def interrupted():
        raise KeyboardInterrupt

    w.node.stopped = interrupted
    now = w.clock.now
    equal((w.node.run(), w.clock.now), (True, now))  # app listens for another WiFi then
    assert w.said[-1].startswith("summary: ")


class Gc:
    """In place of gc: with a collection 2000 B are free, without one 1000."""

    free_b = 1000

    def collect(self):
        self.free_b = 2000

    def mem_free(self):
        return self.free_b


def test_diagnostics_are_null_where_a_port_tells_nothing_and_the_heap_is_that_after_a_collection():
    import diagnosis

    def refuse(*what):
        raise ValueError("unknown status param")

    w = World(SCRIPT, sensors=[ROOM], diag=False)
    w.run(3000)
    diagnosis.gc, real = Gc(), (network.WLAN.status, network.WLAN.ifconfig)
    try:
        network.WLAN.status = refuse
        told = json.loads(diagnosis.text(w.node))
        equal((told["ip"], told["rssi_dbm"], told["heap_b"]), ("127.0.0.1", None, 2000))
        network.WLAN.ifconfig = refuse
        told = json.loads(diagnosis.text(w.node))
        equal((told["ip"], told["rssi_dbm"]), (None, None))
    finally:
        network.WLAN.status, network.WLAN.ifconfig = real
        del sys.modules["diagnosis"]
