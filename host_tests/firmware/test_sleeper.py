"""The deep-sleep cycle and its energy budget: what each wake does, what it remembers, for how long it sleeps."""

from fakes.check import equal, raises
from fakes.net import Plan
from fakes.packets import PINGREQ
from on_board import HOST, NOW_S
from test_durable import ROOM, SCRIPT, Board, up_to, without_qos_2

import durable
import esp32_waking
import fake_board
import machine
import network
import ntptime
import remembered
import sensors.binary
import sleeper


def test_each_wake_sends_its_readings_and_sleeps_the_rest_of_the_interval():
    with Board() as b:
        b.sleep(5)
        equal(b.seqs(), up_to(10))
        equal([a + s for a, s in zip(b.awake_ms, b.slept_ms)], [60000] * 5)
        equal([r["time"] for r in b.readings("temperature")], [NOW_S + 60 * i for i in range(5)])
        equal(b.broker.violations, [])
        equal(b.broker.wills, [])
        equal(b.status()[-1], b"online")
        assert not network.WLAN(network.STA_IF).active(), "it has left the network before it sleeps"


def test_in_qos_0_the_status_is_said_once_and_a_wake_is_as_short():
    with Board(qos=0) as b:
        b.sleep(4)
        assert max(b.awake_ms) < 1000, b.awake_ms
        equal(b.status(), [b"online"] * 4)
        equal(b.seqs(), up_to(8))
        equal({qos for topic, _, qos in b.broker.accepted if topic.endswith(("/temperature", "/humidity"))}, {0})
        equal({qos for topic, _, qos in b.broker.accepted if topic.endswith("/status")}, {1})
    with Board(qos=0, keep_in="flash") as b:
        b.boot(durable.DurableNode)
        b.run(60000)
        equal(b.status(), [b"online"])


def test_readings_are_batched_and_carry_the_time_they_were_taken():
    with Board(connect_every=5) as b:
        b.sleep(1)
        equal(len(b.seqs()), 2)
        for _ in range(4):
            dialled = len(b.net.dialled)
            b.sleep(1)
            equal(len(b.net.dialled), dialled)
            assert not network.WLAN(network.STA_IF).asked, "the radio stays off"
        b.sleep(1)
        equal(b.seqs(), up_to(12))
        equal([r["time"] for r in b.readings("humidity")], [NOW_S + 60 * i for i in range(6)])


def test_a_night_without_the_broker_costs_no_more_than_one_with_it_and_loses_nothing():
    with Board(awake_ms=8000) as b:
        b.sleep(2)
        b.net.plan = Plan(connect_ms=None)
        b.awake_ms = []
        b.sleep(300)
        assert max(b.awake_ms) <= 8600, max(b.awake_ms)
        spent_ms = sum(b.awake_ms)
        assert spent_ms < 300 * 3000, "%d ms in 300 wakes" % spent_ms
        equal(len([ms for ms in b.awake_ms if ms > 5000]) < 20, True, "all of awake_ms at each tenth attempt only")
        b.net.plan = Plan()
        b.sleep(70)
        equal(b.seqs(), up_to(2 * 372))
        equal(b.node.known.fails, 0)


def test_the_first_two_attempts_and_each_tenth_have_all_of_awake_ms_and_the_others_do_not():
    with Board(awake_ms=8000) as b:
        b.sleep(2)
        b.net.plan = Plan(connect_ms=None)
        full = []
        for _ in range(50):
            before = b.node.known.fails
            b.sleep(1)
            if b.node.known.fails > before and b.awake_ms[-1] > 5000:
                full.append(before)
        equal(full, [0, 1, 10, 20])


def test_a_broker_that_is_away_is_tried_at_each_second_wake_or_as_often_as_the_board_connects():
    for every, wakes in ((1, [0, 1, 3, 5, 7, 9]), (2, [0, 2, 4, 6, 8]), (3, [0, 3, 6, 9])):
        with Board(connect_every=every, awake_ms=2000) as b:
            b.net.plan = Plan(connect_ms=None)
            tried = []
            for wake in range(10):
                before = len(b.net.dialled)
                b.sleep(1)
                if len(b.net.dialled) > before:
                    tried.append(wake)
            equal(tried, wakes)
            equal((b.node.known.fails, b.node.known.wakes), (len(tried), 10))


def test_a_wake_that_could_send_only_a_part_goes_on_at_the_next_one():
    with Board(connect_every=6, qos=1, awake_ms=4000) as b:
        b.sleep(6)
        b.net.plan = Plan(cut_in=20, how="silence")  # some acknowledgements
        b.sleep(1)
        got = len(b.seqs())
        assert 2 < got < 14 and b.node.waiting(), got
        equal((b.node.known.fails, b.node.known.skip), (0, 0))
        b.net.plan = Plan()
        b.sleep(1)
        equal(set(b.seqs()), set(up_to(16)))
        equal(b.node.known.skip, 5)


def test_a_wake_without_wifi_asks_nobody_and_counts_as_one_that_failed():
    for script, values in (({"wifi": {}}, SCRIPT["values"]), ({"wifi": {}}, {})):
        with Board(dict(SCRIPT, values=values), awake_ms=4000) as b:
            b.sleep(2)
            took_ms = b.node.known.took_ms
            asked, dialled = len(ntptime.asked), len(b.net.dialled)
            fake_board.script.update(script)
            b.sleep(1)
            equal((len(ntptime.asked), len(b.net.dialled)), (asked, dialled))
            equal((b.node.known.fails, b.node.known.took_ms), (1, took_ms))
            assert b.awake_ms[-1] <= 4600, b.awake_ms


def test_a_wake_ends_by_asking_whether_the_broker_lives_within_its_time():
    for keys in ({}, {"commands": True}):
        with Board(awake_ms=5000, qos=1, **keys) as b:
            b.sleep(1)
            pings = []
            came = b.broker._came

            def seen(link, p):
                if p.kind == PINGREQ:
                    pings.append(b.clock.now)
                came(link, p)

            b.broker._came = seen
            b.broker._incoming = lambda link, kept_session, p: None
            began = b.clock.now
            b.sleep(1)
            last_ms = pings[-1] - began
            assert 3900 <= last_ms <= 4300, last_ms
            assert b.awake_ms[-1] <= 5100, b.awake_ms
            equal((b.node.known.fails, b.node.known.strikes), (1, 1))


def test_a_slow_broker_has_all_of_a_wake_or_half_of_it_when_it_has_to_connect_twice():
    with Board(awake_ms=8000, qos=1) as b:
        b.broker.ack_ms = 2600  # CONNACK twice, then PUBACK
        b.sleep(1)
        assert b.status(), "reached"
        b.broker.ack_ms = 6000
        b.sleep(1)
        assert b.node.was_up and b.awake_ms[-1] <= 8100, b.awake_ms


def test_the_interval_counts_from_wake_to_wake_whatever_the_board_needs_to_start():
    with Board() as b:
        b.start_ms = 3000
        b.sleep(4)
        equal([a + s for a, s in zip(b.awake_ms, b.slept_ms)], [60000] + [57000] * 3)  # the first does not know it
        equal([r["time"] - NOW_S for r in b.readings("temperature")], [0, 63, 123, 183])
        for seconds in (86400, -86400):  # the clock was set meanwhile
            b.epoch_s += seconds
            b.sleep(1)
            equal(b.awake_ms[-1] + b.slept_ms[-1], 57000)
    with Board(interval_s=4) as b:
        b.start_ms = 3000
        b.sleep(2)
        equal(b.awake_ms[-1] + b.slept_ms[-1], 2000, "no board is awake more than it sleeps, for that alone")
    with Board(interval_s=1, awake_ms=3000) as b:
        b.net.plan = Plan(connect_ms=None)
        b.sleep(1)
        assert 0 < b.slept_ms[-1] < 10, b.slept_ms  # of 0 ms a port makes for ever


def test_a_broker_that_takes_connections_and_no_message_costs_no_more_than_none():
    with Board(awake_ms=8000, qos=1, ha_prefix="homeassistant") as b:
        b.sleep(2)
        real = b.broker._incoming
        b.broker._incoming = lambda link, kept_session, p: None
        b.awake_ms = []
        b.sleep(60)
        assert b.node.known.fails > 20, b.node.known.fails
        assert sum(b.awake_ms) < 60 * 3000 and max(b.awake_ms) <= 8600, (sum(b.awake_ms), max(b.awake_ms))
        b.broker._incoming = real
        b.sleep(16)
        equal((b.node.known.fails, b.node.waiting(), b.node.client.inflight), (0, 0, 0))


def test_a_mute_first_broker_leaves_the_second_its_part_of_a_wake():
    class Mute:
        def opened(self, link):
            pass

        data = ended = lambda self, link, data=b"": None

    with Board(awake_ms=8000, timeout_s=60, watchdog_s=0, broker=["mute.test", HOST]) as b:
        b.net.serve("mute.test", 1883, Mute())
        b.sleep(1)
        assert b.seqs() and b.awake_ms[-1] <= 8600, (b.seqs(), b.awake_ms)


def announced(b):
    """The topics under which Home Assistant was told something."""
    return [t for t, p, qos in b.broker.accepted if t.startswith("homeassistant/")]


def test_home_assistant_is_told_of_a_sensor_that_answers_at_a_later_wake_only():
    pool = {"type": "ds18b20", "name": "pool", "pin": 5}
    script = dict(SCRIPT, values={"dht22 4": [None] * 8 + [[21.5, 40.2]], "ds18b20 5": [18.5]})
    with Board(script, ha_prefix="homeassistant", sensors=[ROOM, pool]) as b:
        b.sleep(2)
        equal(announced(b), ["homeassistant/sensor/n1/pool_temperature/config"])
        b.sleep(9)
        equal(announced(b)[1:], ["homeassistant/sensor/n1/room_%s/config" % q for q in ("temperature", "humidity")])


def test_home_assistant_is_told_of_sixteen_sensors_and_the_commands_once():
    sensors = [{"type": "dht22", "name": "room %d" % i, "pin": 4} for i in range(16)]
    with Board(ha_prefix="homeassistant", commands=True, sensors=sensors, awake_ms=60000) as b:
        b.sleep(2)
        told = announced(b)
        equal(len(told), 16 * 2 + 4)
        b.sleep(1)
        equal(announced(b)[len(told) :], [])


def test_home_assistant_is_told_again_after_a_reset_for_its_configuration_may_be_another():
    with Board(ha_prefix="homeassistant") as b:
        b.sleep(2)
        fake_board.cause[0] = machine.HARD_RESET
        b.sleep(2)
        equal(len(announced(b)), 4)


def test_home_assistant_is_told_at_a_later_wake_when_the_broker_forgot_and_the_wake_ended_too_soon():
    with Board(ha_prefix="homeassistant", awake_ms=4000) as b:
        b.sleep(2)
        b.broker.stop()
        b.broker.forget()
        b.net.plan = Plan(cut_in=4, how="silence")  # CONNACK, and nothing after it
        b.sleep(1)
        b.net.plan = Plan()
        b.sleep(3)
        equal(set(announced(b)[2:]), set(announced(b)[:2]))


def test_it_is_back_within_two_wakes_of_the_brokers_return():
    for away in list(range(1, 12)) + [60, 61]:
        with Board(awake_ms=8000) as b:
            b.sleep(2)
            b.net.plan = Plan(connect_ms=None)
            b.sleep(away)
            b.net.plan = Plan()
            n = len(b.net.dialled)
            b.sleep(2)
            assert len(b.seqs()) > 4 and len(b.net.dialled) > n, "away for %d wakes" % away


def test_the_budget_holds_whatever_is_missing():
    for script, plan in (
        ({"wifi": {}}, Plan()),
        ({"join_ms": 99000}, Plan()),
        ({"clock": False}, Plan(connect_ms=None)),
        ({}, Plan(cut_out=60, how="silence")),
        ({}, Plan(cut_in=3, how="silence")),
        ({}, Plan(drained=False, buffer=40)),
    ):
        s = dict(SCRIPT)
        s.update(script)
        with Board(s, awake_ms=5000, wifi_timeout_s=60, timeout_s=60, watchdog_s=0) as b:
            b.net.plan = plan
            b.sleep(3)
            assert max(b.awake_ms) <= 5600, (script, plan.__dict__, b.awake_ms)
            b.net.plan = Plan()
            fake_board.script.update({"wifi": {"lab": "12345678"}, "join_ms": 0})
            b.sleep(4)
            equal(b.seqs(), up_to(14), plan.__dict__)
            assert len(b.status()) <= 7, "one status a connection, however many failed"


def test_the_budget_holds_when_the_remembered_access_point_is_gone():
    with Board(awake_ms=5000, wifi_timeout_s=60, watchdog_s=0) as b:
        b.sleep(2)
        fake_board.script["join_ms"] = 99000
        b.sleep(1)
        equal([a[2] for a in network.WLAN(network.STA_IF).asked], [network.BSSID, None])
        assert max(b.awake_ms) <= 5600, b.awake_ms


def test_a_broker_without_qos_2_is_noticed_once_by_a_sleeper_and_not_at_each_wake():
    with Board() as b:
        swallowed = without_qos_2(b)
        b.sleep(16)
        n = len(swallowed)
        b.awake_ms = []
        b.sleep(10)
        equal(len(swallowed), n)
        assert max(b.awake_ms) < 1000, b.awake_ms
        equal(b.seqs()[-48:], up_to(52)[4:])
        assert set(b.seqs()[:-48]) == {1, 2, 3, 4}, "those in flight at the change may come twice, as QoS 1 has it"


def test_a_sleeper_stops_sending_a_status_that_the_broker_swallows_and_goes_on_with_readings():
    with Board(qos=1) as b:
        b.sleep(1)
        real = b.broker._incoming
        swallowed = []

        def incoming(link, kept_session, p):
            if p.topic.endswith("/status"):
                return swallowed.append(p.pid)
            return real(link, kept_session, p)

        b.broker._incoming = incoming
        b.sleep(12)
        equal(len(set(swallowed)) <= 4, True, swallowed)
        equal(b.seqs(), up_to(26))
        equal(b.node.dropped + b.node.refused, 0)


def test_a_sleeper_blames_the_message_that_ends_its_connections_and_not_the_one_before_it():
    with Board(qos=1) as b:
        b.broker.ack_ms = 50  # so the ack of the temperature is lost with the connection, which ends at the humidity
        real = b.broker._incoming

        def incoming(link, kept_session, p):
            if p.topic.endswith("humidity") and b'"seq":8}' in bytes(p.payload):
                return b.broker._drop(link)
            return real(link, kept_session, p)

        b.broker._incoming = incoming
        said = []
        for _ in range(30):
            b.sleep(1)
            said += b.said
        at_fault = [line for line in said if "given up" in line or "not sent any more" in line]
        equal(len(at_fault), 1, at_fault)
        assert "humidity" in at_fault[0], at_fault
        equal(sorted(set(b.seqs())), [n for n in up_to(60) if n != 8])


def test_a_sleeper_whose_broker_ends_the_connection_at_qos_2_goes_on_in_qos_1():
    with Board() as b:
        real = b.broker._incoming
        b.broker._incoming = lambda link, kept, p: b.broker._drop(link) if p.qos == 2 else real(link, kept, p)
        b.sleep(16)
        equal(sorted(set(b.seqs())), up_to(32))
        equal({qos for _, _, qos in b.broker.accepted}, {1})


def test_access_point_and_address_are_remembered_until_they_fail():
    with Board() as b:
        b.sleep(3)
        sta = network.WLAN(network.STA_IF)
        equal(sta.asked, [("lab", "12345678", network.BSSID)])
        equal(sta.address, ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1"))
        old = network.BSSID
        network.BSSID = b"\2\0\0\0\0\2"  # another access point took over
        try:
            b.sleep(1)
            asked = network.WLAN(network.STA_IF).asked
            equal([a[2] for a in asked], [old, None])
            assert not hasattr(network.WLAN(network.STA_IF), "address"), "DHCP is asked"
            assert "wifi: well again after 1 failures" in b.said, b.said
            b.sleep(1)
            equal(network.WLAN(network.STA_IF).asked[0][2], network.BSSID)
            equal(b.seqs(), up_to(10))
        finally:
            network.BSSID = old


def test_dhcp_is_asked_again_after_fifty_uses():
    with Board() as b:
        with_dhcp = []
        for uses in (None, None, 49, None, None, 48, None, None):
            if uses is not None:
                known = remembered.Remembered()
                known.uses = uses
                known.save()
            b.sleep(1)
            with_dhcp.append(not hasattr(network.WLAN(network.STA_IF), "address"))
        equal([i for i, asked in enumerate(with_dhcp) if asked], [0, 3, 7])
        equal(b.node.known.uses, 0)
        b.sleep(1)
        equal(b.node.known.uses, 1)


def test_a_network_that_no_scan_shows_is_scanned_for_again_only_once_what_is_known_of_it_is_forgotten():
    real, scans = network.WLAN.scan, []
    network.WLAN.scan = lambda self: scans.append(self) or []
    try:
        with Board(awake_ms=5000) as b:
            b.sleep(4)
            equal((len(scans), b.node.known.uses), (1, 3))
            fake_board.script["wifi"] = {}
            b.sleep(1)
            fake_board.script["wifi"] = {"lab": "12345678"}
            b.sleep(4)
            equal((len(scans), b.node.known.uses), (2, 3))
            known = remembered.Remembered()
            known.uses = 49
            known.save()
            b.sleep(3)
            equal((len(scans), b.node.known.uses), (3, 1))
    finally:
        network.WLAN.scan = real


def test_the_time_server_is_asked_once_in_six_hours_of_sleep():
    with Board(interval_s=3600) as b:
        b.sleep(13)
        equal(len(ntptime.asked), 3)


def test_home_assistant_is_told_after_power_on_and_not_after_each_sleep():
    for keys, messages in (({}, 2), ({"ha_device": True}, 5)):  # the second takes each message of the first back
        with Board(ha_prefix="homeassistant", **keys) as b:
            b.sleep(4)
            equal(len(announced(b)), messages)
            equal(len(b.readings("room/temperature")), 4)


def test_the_clock_is_set_before_the_first_reading():
    with Board(connect_every=2) as b:
        b.epoch_s = 0

        def settime():
            b.epoch_s = NOW_S

        real = ntptime.settime
        ntptime.settime = settime
        try:
            b.sleep(1)
        finally:
            ntptime.settime = real
        b.sleep(2)
        equal([r["time"] - NOW_S for r in b.readings("temperature")], [0, 60, 120])


def test_a_sensor_that_breaks_the_wake_still_sleeps():
    with Board() as b:
        b.keys["deep_sleep"] = True
        node = b.boot()
        sleeper.crashed = b.said.append

        def broken():
            raise IndexError("bug")

        node.measure = broken
        got = raises(fake_board.Reset, node.run)
        equal(got.args[1] > 50000, True)


def test_the_stop_button_keeps_a_sleeping_board_awake():
    script = dict(SCRIPT)
    script["buttons"] = {"0": "pressed"}
    with Board(script, stop_pin=0) as b:
        b.keys["deep_sleep"] = True
        open("pressed", "w").close()
        b.boot().run()
        equal(b.said[-1], "stop button: awake")


def test_garbage_in_rtc_memory_after_power_on_is_nothing():
    for garbage in (b"\xff" * 2048, b"\0" * 2048, bytes(range(256)) * 8, b"x"):
        with Board() as b:
            fake_board.rtc[0] = garbage
            b.sleep(2)
            equal(b.seqs(), up_to(4))


def test_esp8266_sleeps_by_its_alarm_and_has_492_bytes():
    import machine_rtc
    import power

    script = dict(SCRIPT)
    with Board(script, connect_every=4) as b:
        RTC = machine_rtc.RTC
        asked = []

        class Small(RTC):
            ALARM0 = 0

            def irq(self, trigger=None, wake=None):
                asked.append(("irq", trigger, wake))

            def alarm(self, alarm, ms):
                asked.append(("alarm", alarm, ms))
                fake_board.alarm[0] = ms

            def memory(self, data=None):
                if data is not None and len(data) > 492:
                    raise ValueError("buffer too long")
                return RTC.memory(self, data)

        machine_rtc.RTC = Small
        try:
            b.sleep(9)
            raises(fake_board.Reset, power.deep_sleep, 10000000)
        finally:
            machine_rtc.RTC = RTC
        equal(b.seqs(), up_to(18))
        equal([a[0] for a in asked[:2]], ["irq", "alarm"])
        equal(asked[0][1:], (0, 4))
        equal(asked[-1], ("alarm", 0, 4200000))
        equal(b.slept_ms[0], asked[1][2])


def test_a_board_that_sleeps_publishes_changes_only_and_all_of_it_from_time_to_time():
    values = [[21.5, 40.2]] * 4 + [[22.5, 40.2]] * 30
    script = dict(SCRIPT, values={"dht22 4": values})
    with Board(script, sensors=[dict(ROOM, send_every_s=600, delta={"temperature": 0.5, "humidity": 5})]) as b:
        b.sleep(13)
        equal([r["value"] for r in b.readings("temperature")], [21.5, 22.5, 22.5])
        equal([r["time"] - NOW_S for r in b.readings("humidity")], [0, 600])
        b.power_cut()
        b.sleep(1)
        equal(len(b.readings("humidity")), 3, "it does not know any more what it published")


def test_a_board_that_sleeps_sleeps_for_long_when_its_battery_is_low():
    cell = {"type": "battery", "name": "cell", "pin": 34, "ratio": 2, "sleep_s": 7200}
    script = {"wifi": {"lab": "12345678"}, "values": {"adc 34": [1850] * 16 + [1650] * 16 + [1850] * 16}}
    with Board(script, sensors=[cell]) as b:
        b.sleep(3)
        equal([a + s for a, s in zip(b.awake_ms, b.slept_ms)], [60000, 7200000, 60000])
        equal([r["value"] for r in b.readings("cell/low")], [0, 1, 0])


def contacts(*pins, **more):
    """Sensors on these GPIOs, and those of the board."""
    doors = [dict({"type": "binary", "name": "door%d" % pin, "pin": pin, "quantity": "door"}, **more) for pin in pins]
    return [ROOM] + doors


def wake_by_contact(b, pin, level, reason):
    """The world outside moves a contact while the board sleeps, which wakes it."""
    fake_board.set_level(pin, level)
    fake_board.script["woken"] = reason
    b.sleep(1)
    fake_board.script["woken"] = 4  # its timer


def test_a_contact_wakes_a_board_and_is_told_at_once_though_it_connects_at_each_fifth_wake():
    with Board(connect_every=5, sensors=contacts(12)) as b:
        fake_board.script["levels"] = {"12": 0}  # closed
        b.sleep(1)
        equal(fake_board.armed, {"ext1": ([12], True)})
        equal([r["value"] for r in b.readings("door")], [0])
        b.sleep(1)
        equal(len(b.readings("door")), 1)
        wake_by_contact(b, 12, 1, machine.EXT1_WAKE)
        equal([r["value"] for r in b.readings("door")], [0, 0, 1])
        equal(fake_board.armed["ext0"], ([12], False))  # from now on it is its closing that is news
        b.sleep(1)
        equal(len(b.readings("door")), 3)
        equal(b.broker.violations, [])


def test_a_contact_that_changes_after_it_was_read_wakes_the_board_at_once():
    with Board(sensors=contacts(12)) as b:
        fake_board.script["levels"] = {"12": 0}
        read = sensors.binary.Sensor.read

        def change_behind_it(self):
            got = read(self)
            fake_board.set_level(12, 1)
            return got

        sensors.binary.Sensor.read = change_behind_it
        try:
            b.sleep(1)
        finally:
            sensors.binary.Sensor.read = read
        equal([r["value"] for r in b.readings("door")], [0])
        equal(fake_board.armed, {"ext1": ([12], True)})  # it is high already


def test_what_cannot_wake_the_board_is_said_once():
    with Board(sensors=contacts(12, 14)) as b:  # both are open
        b.sleep(3)
        equal(fake_board.armed, {"ext0": ([12], False)})
        equal(b.told.count("contacts: "), 1)
        assert "of several contacts on the high level the first alone wakes it" in b.told, b.told
    with Board(sensors=contacts(5)) as b:
        b.sleep(3)
        assert b.told.count("wants an RTC GPIO") == 1 and not fake_board.armed, b.told
    with Board(sensors=contacts(12, wake=False)) as b:
        b.sleep(2)
        assert not fake_board.armed and "contacts:" not in b.told


def test_a_chip_that_wakes_by_its_timer_alone_says_so():
    real = esp32_waking.wake_on_ext0, esp32_waking.wake_on_ext1
    del esp32_waking.wake_on_ext0, esp32_waking.wake_on_ext1
    try:
        with Board(sensors=contacts(12)) as b:
            b.sleep(2)
            equal(b.told.count("this chip wakes by its timer alone"), 1)
            equal(len(b.readings("door")), 2)
    finally:
        esp32_waking.wake_on_ext0, esp32_waking.wake_on_ext1 = real
