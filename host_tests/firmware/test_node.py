"""The cycle: what is missing is told once and tried again, nothing ends the program, no reading is lost or repeated."""

import json
import sys

from fakes.check import equal, raises
from fakes.net import Plan
from on_board import HOST, NOW_S, Gc, World

import clock
import ending
import fake_board
import network
import node
import ntptime

ROOM = {"type": "dht22", "name": "room", "pin": 4}
ROOM_VALUES = {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}
SCRIPT = {"wifi": {"lab": "12345678"}, "values": ROOM_VALUES}


def script(**keys):
    script = dict(SCRIPT)
    script.update(keys)
    return script


def told(world, part):
    return [line for line in world.said if part in line]


def test_readings_arrive_in_order_with_value_unit_time_and_number():
    world = World(SCRIPT, sensors=[ROOM])
    world.run(25000)
    equal(
        world.readings("room/temperature")[:2],
        [
            {"value": 21.5, "unit": "°C", "time": NOW_S, "seq": 1},
            {"value": 21.6, "unit": "°C", "time": NOW_S + 10, "seq": 3},
        ],
    )
    equal([reading["seq"] for reading in world.readings()], [1, 2, 3, 4, 5, 6])
    equal({qos for topic, payload, qos in world.broker.accepted if "/room/" in topic}, {2})
    equal(world.broker.accepted[1][0], "umqtt/n1/room/temperature")
    equal(world.broker.violations, [])


def test_qos_of_the_readings_is_the_configured_one():
    for qos in (0, 1):
        world = World(SCRIPT, sensors=[ROOM], qos=qos)
        world.run(25000)
        equal({qos for topic, payload, qos in world.broker.accepted if "/room/" in topic}, {qos})
        equal([reading["seq"] for reading in world.readings()], [1, 2, 3, 4, 5, 6])


def test_qos_0_over_a_slow_link_sends_each_reading_once_and_in_order():
    for keys, step in (({}, 1), ({"payload": "json"}, 2)):
        world = World(SCRIPT, sensors=[ROOM], qos=0, interval_s=0.2, **keys)
        world.net.plan = Plan(write_again=True, write_max=40)  # some bytes of a message stay behind
        world.run(5000)
        got = [json.loads(payload)["seq"] for topic, payload, _ in world.broker.accepted if b'"seq"' in payload]
        equal(got, list(range(step, world.node.taken + 1, step)))
        equal(world.node.published, world.node.taken)


def test_availability_is_retained_and_has_a_will():
    world = World(SCRIPT, sensors=[ROOM])
    world.run(1000)
    equal(world.status(), [b"online"])
    equal(bytes(world.broker.retained["umqtt/n1/status"][0]), b"online")
    world.broker.stop()  # the will of a connection that ends uncleanly
    equal([(will[0], bytes(will[1])) for will in world.broker.wills], [("umqtt/n1/status", b"offline")])
    world.run(60000)
    equal(world.status()[-1], b"online")


def test_no_turn_waits_for_an_acknowledgement_and_nothing_goes_out_in_a_higher_qos_than_wanted():
    keys = {"ha_prefix": "homeassistant", "commands": True, "stop_pin": 0, "qos": 1}
    world = World(SCRIPT, sensors=[ROOM], **keys)
    left = "homeassistant/sensor/n1/cellar_temperature/config"
    world.broker.inject(left, b"{}", retain=1)
    world.broker.ack_ms = 2000
    longest_ms = 0
    while world.clock.now - world.began < 60000:
        before = world.clock.now
        world.node.turn()
        longest_ms = max(longest_ms, world.clock.now - before)
    assert longest_ms <= 300, longest_ms
    topics = [topic for topic, payload, qos in world.broker.accepted]
    for topic, count in (("umqtt/n1/status", 1), ("umqtt/n1/diag", 1), (left, 1)):
        equal(len([time_s for time_s in topics if time_s == topic]), count, topic)
    equal(len([time_s for time_s in topics if time_s.startswith("homeassistant/") and time_s != left]), 5)
    equal(world.broker.retained.get(left), None)
    equal({qos for topic, payload, qos in world.broker.accepted}, {1})
    assert world.readings()


def test_keep_alive_is_served_while_nothing_is_to_be_read():
    world = World(SCRIPT, sensors=[ROOM], interval_s=3600, keepalive_s=10)
    world.run(600000)
    equal(len(world.readings()), 2)
    equal(world.status(), [b"online"])
    equal(world.broker.violations, [])


def test_a_wrong_password_is_told_once_and_mended_without_a_restart():
    world = World(script(wifi={"lab": "another one"}), sensors=[ROOM])
    world.run(120000)
    equal(told(world, "wifi"), ['wifi: "lab": wrong password: check wifi_password; trying again'])
    fake_board.script["wifi"] = {"lab": "12345678"}
    world.run(120000)
    assert told(world, "wifi: well again") and told(world, "wifi: joined")
    assert world.readings()


def test_readings_taken_while_the_broker_is_absent_arrive_with_their_own_time():
    world = World(SCRIPT, sensors=[ROOM], queue=50)
    world.net.plan = Plan(refuse=True)
    world.run(100000)
    equal(len(told(world, "broker: ")), 1)
    assert "refused" in told(world, "broker: ")[0], world.said
    world.net.plan = Plan()
    world.run(64000)  # a pause of a minute at most
    numbers = [reading["seq"] for reading in world.readings()]
    equal(numbers, list(range(1, len(numbers) + 1)))
    assert len(numbers) >= 32
    times = [reading["time"] for reading in world.readings("temperature")]
    equal([time_s - NOW_S for time_s in times], [10 * i for i in range(len(times))])


def test_a_publish_that_fails_is_told_and_its_reading_is_sent_once():
    world = World(SCRIPT, sensors=[ROOM])
    world.run(5000)
    client, publish = world.node.client, world.node.client.publish

    def without_memory(*message):
        client.publish = publish
        raise MemoryError("memory allocation failed")

    def on_a_link_that_went_down(*message):  # once the message has its slot
        client.publish = publish
        publish(*message)
        raise OSError(104, "link is down")

    for fails, part in ((without_memory, "no memory"), (on_a_link_that_went_down, "link is down")):
        client.publish = fails
        world.run(12000)
        equal(len(told(world, part)), 1)
    equal([reading["seq"] for reading in world.readings()], list(range(1, world.node.taken + 1)))
    equal(world.node.published, world.node.taken)
    equal(told(world, "queue: "), [])


def test_a_client_that_cannot_be_made_is_told_once_and_tried_again_while_readings_are_taken():
    world = World(SCRIPT, sensors=[ROOM])
    opened, tries = world.node.open, []

    def without_its_file():
        tries.append(world.clock.now)
        raise ValueError("config.json: tls_ca is ca.der, and there is no such file")

    world.node.open = without_its_file
    world.run(200000)
    equal(len(told(world, "no such file; trying again")), 1)
    assert 4 <= len(tries) <= 60 and world.node.taken == 40, (len(tries), world.node.taken)
    world.node.open = opened
    world.run(200000)
    equal([reading["seq"] for reading in world.readings()], list(range(world.node.dropped + 1, world.node.taken + 1)))


def test_a_full_queue_gives_up_the_oldest_and_counts_it():
    world = World(SCRIPT, sensors=[ROOM], queue=6)
    world.net.plan = Plan(refuse=True)
    world.run(100000)
    equal(world.node.dropped, world.node.taken - 6)
    world.net.plan = Plan()
    world.run(70000)
    numbers = [reading["seq"] for reading in world.readings()]
    equal(numbers, list(range(world.node.dropped + 1, world.node.taken + 1)))


def test_refused_credentials_are_told_once_in_words():
    world = World(SCRIPT, sensors=[ROOM], user="me", password="secret")
    world.broker.refuse_code = 4
    world.run(120000)
    equal(len(told(world, "broker")), 1)
    assert told(world, "broker: bad user"), world.said
    equal(len(network.WLAN(network.STA_IF).asked), 1, "a broker that answers is no reason to join WiFi anew")
    world.broker.refuse_code = 0
    world.run(120000)
    assert world.readings()


def test_a_name_that_cannot_be_looked_up_is_told_once():
    world = World(SCRIPT, sensors=[ROOM])
    world.net.names[HOST] = OSError(-2)
    world.run(60000)
    equal(told(world, "broker"), ["broker: no such name, or no name server answers; trying again"])


def test_a_missing_sensor_is_told_once_and_the_others_go_on():
    pool = {"type": "ds18b20", "name": "pool", "pin": 5}
    world = World(SCRIPT, sensors=[pool, ROOM])
    world.run(300000)
    equal(told(world, "pool"), ["sensor pool: no DS18B20 answers on GPIO 5; trying again"])
    assert len(world.readings("room/humidity")) >= 29
    fake_board.script["values"] = dict(ROOM_VALUES)
    fake_board.script["values"]["ds18b20 5"] = [18.5]
    world.run(900000)
    equal(world.readings("pool/temperature")[0]["value"], 18.5)
    assert told(world, "sensor pool: well again")


def test_a_driver_that_raises_anything_is_that_sensors_trouble():
    world = World(SCRIPT, sensors=[ROOM])

    def broken():
        raise TypeError("driver bug")

    world.node.sources[0].sensor.read = broken
    world.run(60000)
    equal(len(told(world, "sensor room: TypeError")), 1)


def test_what_is_no_scaled_integer_or_cannot_be_is_that_sensors_trouble_and_no_reading():
    world = World(SCRIPT, sensors=[ROOM])
    sensor = world.node.sources[0].sensor
    sensor.limits = -400, 800, 0, 1000
    for values, words in (
        ([215], "1 values for 2 fields"),
        ([21.5, 402], "21.5 is no scaled integer"),
        ([215, 1 << 31], "2147483648 is no scaled integer"),
        ([-(1 << 31) - 1, 402], "-2147483649 is no scaled integer"),
        ([2150, 402], "temperature 215.0 °C cannot be"),
        ([215, -1], "humidity -0.1 % cannot be"),
    ):
        probes = []
        sensor.probe, sensor.read = lambda: probes.append(1), lambda values=values: list(values)  # noqa: B023
        assert words in str(raises(ValueError, world.node.sources[0].read)), words
        equal(len(probes), 1, "it is looked for at the start, and after each trouble")
    for values in ([None, 402], [215, ...], [-400, 0], [800, 1000]):
        sensor.read = lambda values=values: list(values)
        equal(world.node.sources[0].read(), values)


def test_a_scaled_integer_is_a_number_of_json_with_its_decimals():
    for value, places, text in (
        (0, 0, "0"), (0, 1, "0.0"), (7, 0, "7"), (-7, 0, "-7"), (215, 1, "21.5"), (-205, 1, "-20.5"), (5, 1, "0.5"),
        (-5, 2, "-0.05"), (5, 3, "0.005"), (1000, 3, "1.000"), (-1, 1, "-0.1"), (None, 1, "null"), (4, str, "4"),
    ):  # fmt: skip
        equal(node.decimal(value, places), text)


def test_a_crash_is_logged_and_the_program_goes_on():
    world = World(SCRIPT, sensors=[ROOM])
    logged = []
    real = node.crashed
    node.crashed = lambda error: logged.append(repr(error))
    measure = world.node.measure
    crashes = [3]

    def measure_badly():
        if crashes[0]:
            crashes[0] -= 1
            raise IndexError("bug")
        measure()

    world.node.measure = measure_badly
    try:
        world.run(120000)
    finally:
        node.crashed = real
    equal(len(logged), 3)
    assert world.readings()
    equal(len(told(world, "program: ")), 1)


def test_a_program_that_only_crashes_resets_the_board():
    world = World(SCRIPT, sensors=[ROOM])
    real = node.crashed
    node.crashed = lambda error: None

    def measure():
        raise IndexError("bug")

    world.node.measure = measure
    try:
        raises(fake_board.Reset, world.run, 3600000)
    finally:
        node.crashed = real
    equal(world.node.running.count, 8)


def test_rare_crashes_never_reset_the_board_and_crashes_in_a_row_do_after_an_hour_without_one_too():
    world = World(SCRIPT, sensors=[ROOM], interval_s=60)
    measure, crashes = world.node.measure, [0]

    def broken():
        world.node.measure = measure
        crashes[0] += 1
        raise IndexError("bug")

    for _ in range(12):
        world.node.measure = broken
        world.run(1200000)
    equal((crashes[0], world.node.running.count), (12, 0))
    equal([reading["seq"] for reading in world.readings()], list(range(1, world.node.taken + 1)))
    world.run(3600000)

    def always():
        world.node.measure_in(60000)  # the turns between go well
        raise IndexError("bug")

    world.node.measure = always
    raises(fake_board.Reset, world.run, 3600000)


def test_a_lost_link_loses_and_repeats_nothing():
    world = World(SCRIPT, sensors=[ROOM], interval_s=1)
    for cut in range(12, 900, 97):
        for how in ("rst", "silence"):
            world.net.plans = [Plan(), Plan(cut_out=cut, how=how), Plan(cut_in=max(cut // 4, 5), how=how)]
            world.broker.stop()
            world.run(9000)
    world.net.plans = []
    world.run(200000)
    ending.finish(world.node, 20000)
    seqs = [reading["seq"] for reading in world.readings()]
    equal(seqs, [n for n in range(1, world.node.taken + 1) if n in seqs], "order")
    equal(len(seqs) + world.node.dropped, world.node.taken)
    equal(world.broker.violations, [])


def test_a_radio_that_went_dead_is_joined_anew():
    world = World(SCRIPT, sensors=[ROOM])
    world.run(5000)
    world.net.plan = Plan(connect_ms=None)
    world.broker.stop("silence")
    world.run(900000)
    joined = len(network.WLAN(network.STA_IF).asked)
    assert joined > 1, "isconnected() says True: only a new join can help"


def test_a_session_from_an_earlier_life_is_wiped_before_the_first_reading():
    world = World(SCRIPT, sensors=[ROOM])
    world.run(15000)
    equal([connect.clean for connect in world.broker.connects], [1, 0])
    world.broker.stop()
    world.run(30000)
    equal([connect.clean for connect in world.broker.connects], [1, 0, 0])


def test_a_device_that_is_thrown_out_again_and_again_backs_off():
    world = World(SCRIPT, sensors=[ROOM])
    count = 0
    for _ in range(600):
        world.run(500)
        if world.node.client.isconnected():
            world.broker.stop("fin")
            count += 1
    assert count < 60, "%d connections in 300 s" % count


def test_readings_without_a_clock_say_so_and_get_their_time_when_it_is_set():
    world = World(script(clock=False), sensors=[ROOM])
    world.epoch_s = 0
    world.run(15000)
    first = world.readings("temperature")
    equal([reading["time"] for reading in first], [None, None])
    equal([reading["up_s"] for reading in first], [0, 10])
    equal(told(world, "clock"), ["clock: pool.ntp.org does not answer (110): check ntp_host; trying again"])
    world.net.plan = Plan(refuse=True)
    world.broker.stop()
    world.run(30000)
    world.epoch_s = NOW_S
    fake_board.script["clock"] = True
    world.net.plan = Plan()
    world.run(100000)
    later = world.readings("temperature")[2:]
    assert len(later) > 8
    equal([reading["time"] - NOW_S for reading in later], [10 * i for i in range(2, 2 + len(later))])


def test_the_time_server_is_asked_every_six_hours_and_not_without_a_name():
    world = World(SCRIPT, sensors=[ROOM])
    world.run(20000)
    world.node.synced_s -= 6 * 3600 - 30
    world.run(9000)
    equal(ntptime.asked, ["pool.ntp.org"])
    world.run(3000)
    equal(ntptime.asked, ["pool.ntp.org"] * 2)
    world = World(SCRIPT, sensors=[ROOM], ntp_host="")
    world.run(20000)
    equal(ntptime.asked, [])


def test_a_slow_sensor_does_not_starve_the_connection():
    pool = {"type": "ds18b20", "name": "pool", "pin": 5}
    world = World(script(values={"ds18b20 5": [18.5]}), sensors=[pool], interval_s=0.2)
    world.run(60000)
    equal(world.node.dropped, 0)
    assert len(world.readings()) > 50


def test_the_watchdog_is_fed_by_every_turn_and_by_nothing_else():
    import machine
    from machine_wdt import WDT

    assert machine.WDT is WDT
    WDT.feeds = 0
    world = World(script(buttons={"0": __file__}), sensors=[ROOM], watchdog_s=200)
    equal(WDT.timeout, 200000)
    world.run(5000)
    WDT.feeds = 0
    turns = [0, 0, 0, 1]
    world.node.stopped = lambda: turns.pop(0)
    world.node.run()
    equal(WDT.feeds, 6, "three turns, one sensor that was read, two steps of the end")
    WDT.feeds = 0
    world.node.link = lambda: world.clock.sleep_ms(190000)  # a port that hangs in one call
    world.node.turn()
    equal(WDT.feeds, 0)


def test_what_breaks_on_a_connection_that_stays_up_does_not_spin():
    world = World(SCRIPT, sensors=[ROOM])
    world.run(2000)

    def broken(most):
        raise KeyError("bug")

    world.node.hand_over = broken
    now = world.clock.now
    for _ in range(50):
        world.node.turn()
    assert world.clock.now - now > 5000
    assert told(world, "broker: KeyError")


def test_ctrl_c_gives_the_prompt_at_once():
    world = World(SCRIPT, sensors=[ROOM])
    world.run(5000)

    def interrupted():
        raise KeyboardInterrupt

    world.node.stopped = interrupted
    now = world.clock.now
    equal((world.node.run(), world.clock.now), (True, now))  # app listens for another WiFi then
    assert world.said[-1].startswith("summary: ")


def test_diagnostics_are_null_where_a_port_tells_nothing_and_the_heap_is_that_after_a_collection():
    import diagnosis

    def refuse(*what):
        raise ValueError("unknown status param")

    world = World(SCRIPT, sensors=[ROOM], diag=False)
    world.run(3000)
    diagnosis.gc, real = Gc(), (network.WLAN.status, network.WLAN.ifconfig)
    try:
        network.WLAN.status = refuse
        told = json.loads(diagnosis.text(world.node))
        equal((told["ip"], told["rssi_dbm"], told["heap_b"]), ("127.0.0.1", None, 2000))
        network.WLAN.ifconfig = refuse
        told = json.loads(diagnosis.text(world.node))
        equal((told["ip"], told["rssi_dbm"]), (None, None))
    finally:
        network.WLAN.status, network.WLAN.ifconfig = real
    for greeting, is_retained in ((False, False), (True, True)):  # the broker has taken no retained status
        world.node.greeting = greeting
        sys.modules["diagnosis"] = diagnosis
        diagnosis.tell(world.node)
        world.run(1000)
        equal("umqtt/n1/diag" in world.broker.retained, is_retained)


def test_attempts_that_something_closes_before_the_broker_answers_blame_no_message():
    class Closing:
        def opened(self, link):
            link.end("fin")

        data = ended = lambda self, link, data=b"": None

    world = World(SCRIPT, sensors=[ROOM], interval_s=60)
    world.run(5000)
    take, world.broker._incoming = world.broker._incoming, lambda link, kept, packet: None
    world.run(60000)
    assert world.node.client.inflight
    world.net.serve(HOST, 1883, Closing())  # a proxy whose broker is away
    world.broker.stop()
    world.run(600000)
    world.broker._incoming = take
    world.net.serve(HOST, 1883, world.broker)
    world.run(120000)
    equal([reading["seq"] for reading in world.readings()], list(range(1, world.node.taken + 1)))
    equal(world.node.refused, 0)
    equal({qos for topic, _, qos in world.broker.accepted if "/room/" in topic}, {2})
    equal(told(world, "QoS 1 from now on"), [])


def test_a_broker_that_acknowledges_one_message_at_a_time_is_not_doubted_over_all_of_them():
    rooms = [dict(ROOM, name="room %d" % i) for i in range(2)]
    world = World(SCRIPT, sensors=rooms, qos=1, interval_s=3600, diag=False)
    world.run(5000)
    send, acks = world.broker._send, []

    def slowly(link, data):
        if data[0] >> 4 != 4:  # PUBACK
            return send(link, data)
        acks.append(data)
        world.clock.at(25000 * len(acks), link.push, data)

    world.broker._send = slowly
    connects = len(world.broker.connects)
    world.node.measure_in(0)
    world.run(110000)
    equal((len(acks), world.node.client.inflight, len(world.broker.connects)), (4, 0, connects), world.said)


def test_a_clock_that_goes_wrong_is_set_as_often_as_it_needs():
    # that of an ESP8266 is off by seconds a minute
    for per_mille, least, most, off_s in ((0, 4, 6, 0), (1, 9, 25, 8), (-50, 60, 170, 60)):
        world = World(SCRIPT, sensors=[ROOM], interval_s=300)
        was_set = [world.clock.now, 0]

        def settime():
            ntptime.asked.append(1)
            was_set[:] = world.clock.now, (world.clock.now - world.began) / 1000  # noqa: B023

        def drifting():
            ms, true_s = was_set  # noqa: B023
            return world.epoch_s + true_s + (world.clock.now - ms) * (1000 + per_mille) / 1e6  # noqa: B023

        real = ntptime.settime
        clock.time, ntptime.settime = drifting, settime
        try:
            world.run(24 * 3600000)
        finally:
            ntptime.settime = real
        assert least <= len(ntptime.asked) <= most, (per_mille, len(ntptime.asked))
        taken = [reading["time"] - world.epoch_s for reading in world.readings("temperature")][-120:]
        wrong = [abs(s - 300 * (168 + i)) for i, s in enumerate(taken)]
        assert max(wrong) <= off_s + 2, (per_mille, max(wrong))


def test_the_port_of_a_broker_is_that_behind_its_name_or_port_or_the_one_of_mqtt():
    for keys, ports in (
        ({}, [1883]),
        ({"port": 2000}, [2000]),
        ({"port": 2000, "broker": [HOST + ":2001", "spare.test", "last.test:2002"]}, [2001, 2000, 2002]),
    ):
        world = World(SCRIPT, sensors=[ROOM], **keys)
        world.net.plan = Plan(refuse=True)
        world.run(20000)
        equal([port for _, port in world.net.dialled][: len(ports)], ports)
