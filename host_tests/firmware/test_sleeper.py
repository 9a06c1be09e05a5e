"""The deep-sleep cycle and its energy budget: what each wake does, what it remembers, for how long it sleeps."""

from fakes.check import equal, raises
from fakes.net import Plan
from fakes.packets import PINGREQ
from on_board import HOST, NOW_S
from test_durable import ROOM, SCRIPT, Board, up_to, without_qos_2

import clock
import durable
import esp32_waking
import fake_board
import machine
import network
import ntptime
import remembered
import sensors.binary
import sleeper
import untaken
import waking


def test_each_wake_sends_its_readings_and_sleeps_the_rest_of_the_interval():
    with Board() as board:
        board.sleep(5)
        equal(board.seqs(), up_to(10))
        equal([asked_for + slept_ms for asked_for, slept_ms in zip(board.awake_ms, board.slept_ms)], [60000] * 5)
        equal([reading["time"] for reading in board.readings("temperature")], [NOW_S + 60 * i for i in range(5)])
        equal({qos for topic, _, qos in board.broker.accepted if "/room/" in topic}, {2})
        assert board.said[-1].startswith("summary: taken=2 published=2 acknowledged=2 "), board.said
        equal(board.node.doubts, None)
        equal(board.broker.violations, [])
        equal(board.broker.wills, [])
        equal(board.status()[-1], b"online")
        assert not network.WLAN(network.STA_IF).active(), "it has left the network before it sleeps"


def test_in_qos_0_the_status_is_said_once_and_a_wake_is_as_short():
    with Board(qos=0) as board:
        board.sleep(4)
        assert max(board.awake_ms) < 1000, board.awake_ms
        equal(board.status(), [b"online"] * 4)
        equal(board.seqs(), up_to(8))
        equal({qos for topic, _, qos in board.broker.accepted if topic.endswith(("/temperature", "/humidity"))}, {0})
        equal({qos for topic, _, qos in board.broker.accepted if topic.endswith("/status")}, {1})
    with Board(qos=0, keep_in="flash") as board:
        board.boot(durable.DurableNode)
        board.run(60000)
        equal(board.status(), [b"online"])


def test_readings_are_batched_and_carry_the_time_they_were_taken():
    with Board(connect_every=5) as board:
        board.sleep(1)
        equal(len(board.seqs()), 2)
        for _ in range(4):
            dialled = len(board.net.dialled)
            board.sleep(1)
            equal(len(board.net.dialled), dialled)
            assert not network.WLAN(network.STA_IF).asked, "the radio stays off"
        board.sleep(1)
        equal(board.seqs(), up_to(12))
        equal([reading["time"] for reading in board.readings("humidity")], [NOW_S + 60 * i for i in range(6)])
    with Board(connect_every=2) as board:
        board.epoch_s = 0
        for wakes, asks in ((1, True), (1, False), (1, True), (1, False)):
            asked = len(ntptime.asked)
            board.sleep(wakes)
            equal(len(ntptime.asked) > asked, asks, "whoever does not connect asks no time server either")


def test_a_night_without_the_broker_costs_no_more_than_one_with_it_and_loses_nothing():
    with Board(awake_ms=8000) as board:
        board.sleep(2)
        board.net.plan = Plan(connect_ms=None)
        board.awake_ms = []
        board.sleep(300)
        assert max(board.awake_ms) <= 8600, max(board.awake_ms)
        spent_ms = sum(board.awake_ms)
        assert spent_ms < 300 * 3000, "%d ms in 300 wakes" % spent_ms
        equal(len([ms for ms in board.awake_ms if ms > 5000]) < 20, True, "all of awake_ms at each tenth attempt only")
        board.net.plan = Plan()
        board.sleep(70)
        equal(board.seqs(), up_to(2 * 372))
        equal(board.node.known.fails, 0)


def test_the_first_two_attempts_and_each_tenth_have_all_of_awake_ms_and_the_others_do_not():
    with Board(awake_ms=8000) as board:
        board.sleep(2)
        board.net.plan = Plan(connect_ms=None)
        full = []
        for _ in range(50):
            before = board.node.known.fails
            board.sleep(1)
            if board.node.known.fails > before and board.awake_ms[-1] > 5000:
                full.append(before)
        equal(full, [0, 1, 10, 20])


def test_a_broker_that_is_away_is_tried_at_each_second_wake_or_as_often_as_the_board_connects():
    for every, wakes in ((1, [0, 1, 3, 5, 7, 9]), (2, [0, 2, 4, 6, 8]), (3, [0, 3, 6, 9])):
        with Board(connect_every=every, awake_ms=2000) as board:
            board.net.plan = Plan(connect_ms=None)
            tried = []
            for wake in range(10):
                before = len(board.net.dialled)
                board.sleep(1)
                if len(board.net.dialled) > before:
                    tried.append(wake)
            equal(tried, wakes)
            equal((board.node.known.fails, board.node.known.wakes), (len(tried), 10))


def test_a_wake_that_could_send_only_a_part_goes_on_at_the_next_one():
    with Board(connect_every=6, qos=1, awake_ms=4000) as board:
        board.sleep(6)
        board.net.plan = Plan(cut_in=20, how="silence")  # some acknowledgements
        board.sleep(1)
        for took in (2, 5):  # the second time most are in flight from the start
            got = len(board.seqs())
            assert took < got < 14 and board.node.waiting(), got
            equal((board.node.known.fails, board.node.known.skip), (0, 0))
            board.sleep(1) if took == 2 else None
        board.net.plan = Plan()
        board.sleep(1)
        equal(set(board.seqs()), set(up_to(18)))
        equal(board.node.known.skip, 5)


def test_a_wake_without_wifi_asks_nobody_and_counts_as_one_that_failed():
    for script, values in (({"wifi": {}}, SCRIPT["values"]), ({"wifi": {}}, {})):
        with Board(dict(SCRIPT, values=values), awake_ms=4000) as board:
            board.sleep(2)
            took_ms = board.node.known.took_ms
            asked, dialled = len(ntptime.asked), len(board.net.dialled)
            fake_board.script.update(script)
            board.sleep(1)
            equal((len(ntptime.asked), len(board.net.dialled)), (asked, dialled))
            equal((board.node.known.fails, board.node.known.took_ms), (1, took_ms))
            assert board.awake_ms[-1] <= 4600, board.awake_ms
            equal((any(board.node.known.address), any(board.node.known.bssid)), (False, False))
            board.sleep(6)
            equal(any(board.node.known.address), False, "a radio that has not joined has none to remember")
    with Board({"wifi": {}, "values": {}}, awake_ms=4000) as board:
        board.epoch_s = 0
        board.sleep(1)
        equal(ntptime.asked, [], "nor for the time before the first reading")


def test_the_watchdog_is_fed_in_each_second_of_a_wake_that_waits():
    for script, silent in (({"join_ms": 99000}, False), ({"join_ms": 3000}, True), ({}, True), ({}, None)):
        with Board(dict(SCRIPT, **script), awake_ms=20000, wifi_timeout_s=10, watchdog_s=120, commands=True) as board:
            board.keys["deep_sleep"] = True
            if silent:
                board.broker._incoming = lambda link, kept, packet: None
            elif silent is None:
                board.net.plan = Plan(connect_ms=None)
            node = board.boot()
            fed = [board.clock.now]
            node.feed = lambda: fed.append(board.clock.now)  # noqa: B023
            raises(fake_board.Reset, node.run)
            fed.append(board.clock.now)
            pauses_ms = [fed[i + 1] - fed[i] for i in range(len(fed) - 1)]
            assert max(pauses_ms) <= 1300 and len(fed) > 15, (script, max(pauses_ms), len(fed))


def test_a_network_that_is_slow_to_join_has_the_time_that_it_took_before():
    with Board(dict(SCRIPT, join_ms=3000), awake_ms=20000) as board:
        board.sleep(2)
        assert 3000 <= board.node.known.took_ms <= 3300, board.node.known.took_ms
        equal((board.seqs(), [line for line in board.said if "clock" in line]), (up_to(4), []))
        board.net.plan = Plan(refuse=True)
        board.sleep(5)
        equal(board.node.known.fails, 3)
        board.net.plan = Plan(latency_ms=100)  # more than 4 s in all, less than twice what it took
        board.sleep(2)
        equal((board.node.known.fails, board.node.waiting()), (0, 0))
        most_ms = 2 * board.node.known.took_ms
        board.net.plan = Plan(connect_ms=None)
        board.sleep(6)
        equal(board.node.known.fails, 4)
        assert most_ms - 300 < max(board.awake_ms[-2:]) <= most_ms + 300, (most_ms, board.awake_ms)
    with Board(dict(SCRIPT, join_ms=5000), awake_ms=8000) as board:  # more than half of it
        board.sleep(1)
        equal(board.seqs(), up_to(2))


def test_a_broker_that_refuses_costs_one_attempt_of_a_wake_and_none_of_its_time():
    with Board(awake_ms=8000, broker=[HOST, "spare.test"]) as board:
        board.net.plan = Plan(refuse=True)
        board.sleep(2)
        equal([place for place, _ in board.net.dialled], [HOST, "spare.test"] * 2)
        assert max(board.awake_ms) < 1000, board.awake_ms


def test_a_start_that_has_come_to_its_sleep_is_none_of_a_boot_loop():
    import os

    from fakes.folder import write

    with Board() as board:
        board.keys["deep_sleep"] = True
        for start in (0, 2):  # slots.COUNTED
            os.mkdir("ota") if not start else None
            write("ota/starts", b'{"starts": 3}')
            node = board.boot()
            node.cfg["start"] = start
            raises(fake_board.Reset, node.run)
            equal(os.listdir("ota"), [] if start else ["starts"])


def test_a_wake_ends_by_asking_whether_the_broker_lives_within_its_time():
    for keys in ({}, {"commands": True}):
        with Board(awake_ms=5000, qos=1, **keys) as board:
            board.sleep(1)
            pings = []
            came = board.broker._came

            def seen(link, packet):
                if packet.kind == PINGREQ:
                    pings.append(board.clock.now)
                came(link, packet)

            board.broker._came = seen
            board.broker._incoming = lambda link, kept_session, packet: None
            began = board.clock.now
            board.sleep(1)
            last_ms = pings[-1] - began
            assert 3900 <= last_ms <= 4300, last_ms
            assert board.awake_ms[-1] <= 5100, board.awake_ms
            equal((board.node.known.fails, board.node.known.strikes), (1, 1))


def test_a_broker_that_takes_the_status_and_no_reading_has_taken_nothing():
    with Board(awake_ms=4000, qos=1) as board:
        board.sleep(1)
        incoming = board.broker._incoming

        def the_status_alone(link, kept, p):
            if p.topic.endswith("/status"):
                incoming(link, kept, p)

        board.broker._incoming = the_status_alone
        board.sleep(2)
        equal((len(board.readings()), board.node.known.fails), (2, 2))


def test_a_slow_broker_has_all_of_a_wake_or_half_of_it_when_it_has_to_connect_twice():
    with Board(awake_ms=8000, qos=1) as board:
        board.broker.ack_ms = 2600  # CONNACK twice, then PUBACK
        board.sleep(1)
        assert board.status(), "reached"
        board.broker.ack_ms = 6000
        board.sleep(1)
        assert board.node.was_up and board.awake_ms[-1] <= 8100, board.awake_ms
    with Board(awake_ms=8000, qos=1, broker=["away.test", HOST]) as board:
        board.sleep(1)
        board.broker.ack_ms = 6000
        board.sleep(1)
        assert board.node.was_up and board.awake_ms[-1] <= 8100, "the last of the list has what is left"


def test_the_interval_counts_from_wake_to_wake_whatever_the_board_needs_to_start():
    with Board() as board:
        board.start_ms = 3000
        board.sleep(4)
        equal(
            [asked_for + slept_ms for asked_for, slept_ms in zip(board.awake_ms, board.slept_ms)], [60000] + [57000] * 3
        )  # the first does not know it
        equal([reading["time"] - NOW_S for reading in board.readings("temperature")], [0, 63, 123, 183])
        for seconds in (86400, -86400):  # the clock was set meanwhile
            board.epoch_s += seconds
            board.sleep(1)
            equal(board.awake_ms[-1] + board.slept_ms[-1], 57000)
    with Board() as board:
        board.start_ms, board.load_ms = 2000, 1000
        board.sleep(4)
        equal([reading["time"] - NOW_S for reading in board.readings("temperature")], [1, 63, 123, 183])
    with Board(interval_s=4) as board:
        board.start_ms = 3000
        board.sleep(2)
        equal(board.awake_ms[-1] + board.slept_ms[-1], 2000, "no board is awake more than it sleeps, for that alone")
    with Board(interval_s=1, awake_ms=3000) as board:
        board.net.plan = Plan(connect_ms=None)
        board.sleep(1)
        assert 0 < board.slept_ms[-1] < 10, board.slept_ms  # of 0 ms a port makes for ever


def test_a_broker_that_takes_connections_and_no_message_costs_no_more_than_none():
    with Board(awake_ms=8000, qos=1, ha_prefix="homeassistant") as board:
        board.sleep(2)
        real = board.broker._incoming
        board.broker._incoming = lambda link, kept_session, packet: None
        board.awake_ms = []
        board.sleep(60)
        assert board.node.known.fails > 20, board.node.known.fails
        assert sum(board.awake_ms) < 60 * 3000 and max(board.awake_ms) <= 8600, (
            sum(board.awake_ms),
            max(board.awake_ms),
        )
        board.broker._incoming = real
        board.sleep(16)
        equal((board.node.known.fails, board.node.waiting(), board.node.client.inflight), (0, 0, 0))


def test_a_mute_first_broker_leaves_the_second_its_part_of_a_wake():
    class Mute:
        def opened(self, link):
            pass

        data = ended = lambda self, link, data=b"": None

    with Board(awake_ms=8000, timeout_s=60, watchdog_s=0, broker=["mute.test", HOST]) as board:
        board.net.serve("mute.test", 1883, Mute())
        board.sleep(1)
        assert board.seqs() and board.awake_ms[-1] <= 8600, (board.seqs(), board.awake_ms)


def announced(board):
    """The topics under which Home Assistant was told something."""
    return [topic for topic, packet, qos in board.broker.accepted if topic.startswith("homeassistant/")]


def test_home_assistant_is_told_of_a_sensor_that_answers_at_a_later_wake_only():
    pool = {"type": "ds18b20", "name": "pool", "pin": 5}
    script = dict(SCRIPT, values={"dht22 4": [None] * 8 + [[21.5, 40.2]], "ds18b20 5": [18.5]})
    with Board(script, ha_prefix="homeassistant", sensors=[ROOM, pool]) as board:
        board.sleep(2)
        equal(announced(board), ["homeassistant/sensor/n1/pool_temperature/config"])
        board.sleep(9)
        equal(
            announced(board)[1:],
            ["homeassistant/sensor/n1/room_%s/config" % quantity for quantity in ("temperature", "humidity")],
        )


def test_home_assistant_is_told_of_sixteen_sensors_and_the_commands_once():
    sensors = [{"type": "dht22", "name": "room %d" % i, "pin": 4} for i in range(16)]
    with Board(ha_prefix="homeassistant", commands=True, sensors=sensors, awake_ms=60000) as board:
        board.sleep(2)
        told = announced(board)
        equal(len(told), 16 * 2 + 4)
        board.sleep(1)
        equal(announced(board)[len(told) :], [])


def test_home_assistant_is_told_again_after_a_reset_for_its_configuration_may_be_another():
    with Board(ha_prefix="homeassistant") as board:
        board.sleep(2)
        fake_board.cause[0] = machine.HARD_RESET
        board.sleep(2)
        equal(len(announced(board)), 4)


def test_home_assistant_is_told_at_a_later_wake_when_the_broker_forgot_and_the_wake_ended_too_soon():
    with Board(ha_prefix="homeassistant", awake_ms=4000) as board:
        board.sleep(2)
        board.broker.stop()
        board.broker.forget()
        board.net.plan = Plan(cut_in=4, how="silence")  # CONNACK, and nothing after it
        board.sleep(1)
        board.net.plan = Plan()
        board.sleep(3)
        equal(set(announced(board)[2:]), set(announced(board)[:2]))


def test_it_is_back_within_two_wakes_of_the_brokers_return():
    for away in list(range(1, 12)) + [60, 61]:
        with Board(awake_ms=8000) as board:
            board.sleep(2)
            board.net.plan = Plan(connect_ms=None)
            board.sleep(away)
            board.net.plan = Plan()
            count = len(board.net.dialled)
            board.sleep(2)
            assert len(board.seqs()) > 4 and len(board.net.dialled) > count, "away for %d wakes" % away


def test_the_budget_holds_whatever_is_missing():
    for script, plan in (
        ({"wifi": {}}, Plan()),
        ({"join_ms": 99000}, Plan()),
        ({"clock": False}, Plan(connect_ms=None)),
        ({}, Plan(cut_out=60, how="silence")),
        ({}, Plan(cut_in=3, how="silence")),
        ({}, Plan(drained=False, buffer=40)),
    ):
        scene = dict(SCRIPT)
        scene.update(script)
        with Board(scene, awake_ms=5000, wifi_timeout_s=60, timeout_s=60, watchdog_s=0) as board:
            board.net.plan = plan
            board.sleep(3)
            assert max(board.awake_ms) <= 5600, (script, plan.__dict__, board.awake_ms)
            board.net.plan = Plan()
            fake_board.script.update({"wifi": {"lab": "12345678"}, "join_ms": 0})
            board.sleep(4)
            equal(board.seqs(), up_to(14), plan.__dict__)
            assert len(board.status()) <= 7, "one status a connection, however many failed"


def test_the_budget_holds_when_the_remembered_access_point_is_gone():
    with Board(awake_ms=5000, wifi_timeout_s=60, watchdog_s=0) as board:
        board.sleep(2)
        fake_board.script["join_ms"] = 99000
        board.sleep(1)
        equal([asked_for[2] for asked_for in network.WLAN(network.STA_IF).asked], [network.BSSID, None])
        assert max(board.awake_ms) <= 5600, board.awake_ms


def test_a_broker_without_qos_2_is_noticed_once_by_a_sleeper_and_not_at_each_wake():
    with Board() as board:
        swallowed = without_qos_2(board)
        board.sleep(16)
        count = len(swallowed)
        board.awake_ms = []
        board.sleep(10)
        equal(len(swallowed), count)
        assert max(board.awake_ms) < 1000, board.awake_ms
        equal(board.seqs()[-48:], up_to(52)[4:])
        assert set(board.seqs()[:-48]) == {1, 2, 3, 4}, "those in flight at the change may come twice, as QoS 1 has it"


def test_a_sleeper_stops_sending_a_status_that_the_broker_swallows_and_goes_on_with_readings():
    with Board(qos=1) as board:
        board.sleep(1)
        real = board.broker._incoming
        swallowed = []

        def incoming(link, kept_session, packet):
            if packet.topic.endswith("/status"):
                return swallowed.append(packet.pid)
            return real(link, kept_session, packet)

        board.broker._incoming = incoming
        board.sleep(12)
        equal(len(set(swallowed)) <= 4, True, swallowed)
        equal(board.seqs(), up_to(26))
        equal(board.node.dropped + board.node.refused, 0)


def test_a_sleeper_blames_the_message_that_ends_its_connections_and_not_the_one_before_it():
    with Board(qos=1) as board:
        board.broker.ack_ms = (
            50  # so the ack of the temperature is lost with the connection, which ends at the humidity
        )
        real = board.broker._incoming

        def incoming(link, kept_session, packet):
            if packet.topic.endswith("humidity") and b'"seq":8}' in bytes(packet.payload):
                return board.broker._drop(link)
            return real(link, kept_session, packet)

        board.broker._incoming = incoming
        said = []
        for _ in range(30):
            board.sleep(1)
            said += board.said
        at_fault = [line for line in said if "given up" in line or "not sent any more" in line]
        equal(len(at_fault), 1, at_fault)
        assert "humidity" in at_fault[0], at_fault
        equal(sorted(set(board.seqs())), [count for count in up_to(60) if count != 8])


def test_a_sleeper_whose_broker_ends_the_connection_at_qos_2_goes_on_in_qos_1():
    with Board() as board:
        real = board.broker._incoming
        board.broker._incoming = (
            lambda link, kept, packet: board.broker._drop(link) if packet.qos == 2 else real(link, kept, packet)
        )
        board.sleep(16)
        equal(sorted(set(board.seqs())), up_to(32))
        equal({qos for _, _, qos in board.broker.accepted}, {1})


def test_access_point_and_address_are_remembered_until_they_fail():
    with Board() as board:
        board.sleep(3)
        sta = network.WLAN(network.STA_IF)
        equal(sta.asked, [("lab", "12345678", network.BSSID)])
        equal(sta.address, ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1"))
        old = network.BSSID
        network.BSSID = b"\2\0\0\0\0\2"  # another access point took over
        try:
            board.sleep(1)
            asked = network.WLAN(network.STA_IF).asked
            equal([asked_for[2] for asked_for in asked], [old, None])
            assert not hasattr(network.WLAN(network.STA_IF), "address"), "DHCP is asked"
            assert "wifi: well again after 1 failures" in board.said, board.said
            board.sleep(1)
            equal(network.WLAN(network.STA_IF).asked[0][2], network.BSSID)
            equal(board.seqs(), up_to(10))
            board.net.plan = Plan(refuse=True)  # perhaps it is the network
            board.sleep(1)
            board.net.plan = Plan()
            network.BSSID = b"\2\0\0\0\0\3"
            for known in (None, network.BSSID):
                board.sleep(1)
                equal([asked_for[2] for asked_for in network.WLAN(network.STA_IF).asked], [known])
            equal(board.node.known.uses, 1)
        finally:
            network.BSSID = old


def test_an_address_that_is_of_no_use_any_more_is_asked_for_anew():
    # a new router with another subnet, or another machine has the lease: WiFi is joined, and nothing is reached
    for fails_first in (0, 1, 4):
        with Board(connect_every=1) as board:
            leased = ["192.168.1.50"]
            plain, place = network.WLAN.ifconfig, network.BSSID

            def ifconfig(sta, new=None):
                if new == "dhcp":
                    if hasattr(sta, "address"):
                        del sta.address
                elif new:
                    sta.address = new
                return getattr(sta, "address", (leased[0], "255.255.255.0", "192.168.1.1", "192.168.1.1"))  # noqa: B023

            class Subnet:
                there = True

                def get(self, place):
                    has = network.WLAN(network.STA_IF).ifconfig()[0]
                    return board.broker if self.there and has == leased[0] else None  # noqa: B023

            network.WLAN.ifconfig = ifconfig
            board.net.peers = Subnet()
            try:
                board.sleep(4)
                board.net.peers.there = False
                board.sleep(fails_first)  # the broker is away at first
                board.net.peers.there = True
                leased[0] = "10.0.0.77"
                board.sleep(6 if fails_first < 2 else 24)
                equal(board.seqs(), up_to(2 * len(board.awake_ms)), fails_first)
                network.BSSID, leased[0] = b"\2\0\0\0\0\2", "10.0.0.78"  # another access point gives another one
                board.sleep(2)
                equal(board.seqs(), up_to(2 * len(board.awake_ms)), "at once")
            finally:
                network.WLAN.ifconfig, network.BSSID = plain, place


def test_an_address_is_remembered_though_the_broker_is_away_but_asked_for_when_there_is_time():
    with Board(awake_ms=8000) as board:
        board.net.plan = Plan(refuse=True)
        with_dhcp = []
        for _ in range(44):
            before = board.node.known.fails if board.awake_ms else 0
            board.sleep(1)
            if board.node.known.fails > before:  # not one of those that skip
                with_dhcp.append(not hasattr(network.WLAN(network.STA_IF), "address"))
        equal([i for i, asked in enumerate(with_dhcp) if asked], [0, 1, 10, 20])


def test_dhcp_is_asked_again_after_fifty_uses():
    with Board() as board:
        with_dhcp, scans = [], []
        scan = network.WLAN.scan
        network.WLAN.scan = lambda sta: scans.append(len(board.awake_ms)) or scan(sta)
        for uses in (None, None, 49, None, None, 48, None, None):
            if uses is not None:
                known = remembered.Remembered()
                known.uses = uses
                known.save()
            board.sleep(1)
            with_dhcp.append(not hasattr(network.WLAN(network.STA_IF), "address"))
        network.WLAN.scan = scan
        equal(([i for i, asked in enumerate(with_dhcp) if asked], scans), ([0, 3, 7], [0, 3, 7]))
        equal(board.node.known.uses, 0)
        board.sleep(1)
        equal(board.node.known.uses, 1)


def test_a_network_that_no_scan_shows_is_scanned_for_again_only_once_what_is_known_of_it_is_forgotten():
    real, scans = network.WLAN.scan, []
    network.WLAN.scan = lambda self: scans.append(self) or []
    try:
        with Board(awake_ms=5000) as board:
            board.sleep(4)
            equal((len(scans), board.node.known.uses), (1, 3))
            fake_board.script["wifi"] = {}
            board.sleep(1)
            fake_board.script["wifi"] = {"lab": "12345678"}
            board.sleep(4)
            equal((len(scans), board.node.known.uses), (2, 3))
            known = remembered.Remembered()
            known.uses = 49
            known.save()
            board.sleep(3)
            equal((len(scans), board.node.known.uses), (3, 1))
            board.net.plan = Plan(refuse=True)
            board.sleep(1)
            board.net.plan = Plan()
            board.sleep(3)
            equal((len(scans), board.node.known.uses), (4, 2))
            fake_board.script["join_ms"] = 99000  # by what is known; then it joins
            board.clock.at(3000, fake_board.script.update, {"join_ms": 0})
            board.sleep(2)
            equal((len(scans), board.node.known.fails), (5, 0))

        def failing(sta):
            scans.append(sta)
            raise RuntimeError("Wifi Unknown Error 0x3001")

        network.WLAN.scan = failing
        with Board() as board:
            board.sleep(3)
            equal((len(scans), board.seqs()), (6, up_to(6)))
    finally:
        network.WLAN.scan = real


def test_the_time_server_is_asked_once_in_six_hours_of_sleep():
    with Board(interval_s=3600) as board:
        board.sleep(13)
        equal(len(ntptime.asked), 3)
        asked = len(ntptime.asked)
        board.epoch_s = -board.clock.now // 1000  # a reset that stopped the clock, and left what is remembered
        board.sleep(1)
        assert len(ntptime.asked) > asked
    with Board(interval_s=3600, awake_ms=5000) as board:
        board.sleep(7)
        equal(ntptime.asked, [], "it may take longer than there is time")


def test_a_clock_that_goes_wrong_in_sleep_is_set_at_more_wakes_until_it_goes_right():
    with Board(interval_s=900) as board:
        was_set = [board.clock.now, 0]
        per_mille = [30]

        def settime():
            ntptime.asked.append(1)
            was_set[:] = board.clock.now, (board.clock.now - board.began) / 1000

        def drifting():
            ms, true_s = was_set
            return board.epoch_s + true_s + (board.clock.now - ms) * (1000 + per_mille[0]) / 1e6

        real, ntptime.settime = ntptime.settime, settime
        try:
            board.sleep(1)
            clock.time = drifting
            board.sleep(100)
            asked = len(ntptime.asked)
            assert 30 < asked < 60, asked
            wrong = [
                abs(r["time"] - board.epoch_s - 900 * (51 + i))
                for i, r in enumerate(board.readings("room/temperature")[51:])
            ]
            assert max(wrong) < 120, wrong
            per_mille[0] = 0
            board.sleep(50)
            assert len(ntptime.asked) <= asked + 6, len(ntptime.asked) - asked
        finally:
            ntptime.settime = real


def test_a_wake_in_which_wifi_falls_blames_no_message():
    for lose, strikes in ((False, 1), (True, 0)):
        with Board(qos=1) as board:
            board.sleep(1)

            def fall(link, kept, packet):
                if lose:  # noqa: B023
                    network.WLAN(network.STA_IF).lose()
                board.broker._drop(link)  # noqa: B023

            board.broker._incoming = fall
            board.sleep(1)
            equal((board.node.known.fails, board.node.known.strikes), (1, strikes))
            assert board.node.client.inflight


def test_what_the_broker_does_not_take_and_the_clock_that_goes_wrong_are_remembered_over_a_sleep():
    with Board(qos=1) as board:
        board.keys["deep_sleep"] = True
        for strikes in (0, 5, 40):
            for pace_ms in (0, 1000, 2000, 64000, 256000):
                node = board.boot()
                node.known.wakes = 1
                node.doubts = untaken.Untaken(7, strikes, pace_ms)
                node.remember()
                node.known.save()
                got = board.boot().doubts
                equal((got.pid, got.strikes, got.pace_ms), (7, min(strikes, 31), min(pace_ms, 64000)))
        for strikes, pace_ms in ((0, 4000), (1, 8000)):  # it may take more by now
            node = board.boot()
            node.known.wakes = 128
            node.doubts = untaken.Untaken(7, strikes, 8000)
            node.remember()
            equal(node.doubts.pace_ms, pace_ms)
        for resync_s, drifts in ((1200, True), (1201, False), (600, True)):
            node = board.boot()
            node.resync_s = resync_s
            node.remember()
            node.known.save()
            equal(board.boot().resync_s, 1200 if drifts else 21600)


def test_home_assistant_is_told_after_power_on_and_not_after_each_sleep():
    for keys, messages in (({}, 2), ({"ha_device": True}, 5)):  # the second takes each message of the first back
        with Board(ha_prefix="homeassistant", **keys) as board:
            board.sleep(4)
            equal(len(announced(board)), messages)
            equal(len(board.readings("room/temperature")), 4)
            assert max(board.awake_ms[1:]) < 1000, board.awake_ms


def test_the_clock_is_set_before_the_first_reading():
    with Board(connect_every=2) as board:
        board.epoch_s = 0

        def settime():
            board.epoch_s = NOW_S

        real = ntptime.settime
        ntptime.settime = settime
        try:
            board.sleep(1)
        finally:
            ntptime.settime = real
        board.sleep(2)
        equal([reading["time"] - NOW_S for reading in board.readings("temperature")], [0, 60, 120])


def test_a_sensor_that_breaks_the_wake_still_sleeps():
    with Board() as board:
        board.keys["deep_sleep"] = True

        def broken():
            raise IndexError("bug")

        for place in ("measure", "remember"):
            node = board.boot()
            crashes = []
            sleeper.crashed = crashes.append
            setattr(node, place, broken)
            got = raises(fake_board.Reset, node.run)
            equal(got.args[1] > 50000, True)
            equal([crash.__class__.__name__ for crash in crashes], ["IndexError"])


def test_the_stop_button_keeps_a_sleeping_board_awake():
    script = dict(SCRIPT)
    script["buttons"] = {"0": "pressed"}
    with Board(script, stop_pin=0) as board:
        board.keys["deep_sleep"] = True
        open("pressed", "w").close()
        board.boot().run()
        equal(board.said[-1], "stop button: awake")


def test_garbage_in_rtc_memory_after_power_on_is_nothing():
    for garbage in (b"\xff" * 2048, b"\0" * 2048, bytes(range(256)) * 8, b"x"):
        with Board() as board:
            fake_board.rtc[0] = garbage
            board.sleep(2)
            equal(board.seqs(), up_to(4))


def test_esp8266_sleeps_by_its_alarm_and_has_492_bytes():
    import machine_rtc
    import power

    script = dict(SCRIPT)
    with Board(script, connect_every=4) as board:
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
            board.sleep(9)
            raises(fake_board.Reset, power.deep_sleep, 10000000)
        finally:
            machine_rtc.RTC = RTC
        equal(board.seqs(), up_to(18))
        equal([asked_for[0] for asked_for in asked[:2]], ["irq", "alarm"])
        equal(asked[0][1:], (0, 4))
        equal(asked[-1], ("alarm", 0, 4200000))
        equal(board.slept_ms[0], asked[1][2])


def test_a_board_that_sleeps_publishes_changes_only_and_all_of_it_from_time_to_time():
    values = [[21.5, 40.2]] * 4 + [[22.5, 40.2]] * 30
    script = dict(SCRIPT, values={"dht22 4": values})
    with Board(script, sensors=[dict(ROOM, send_every_s=600, delta={"temperature": 0.5, "humidity": 5})]) as board:
        board.sleep(13)
        equal([reading["value"] for reading in board.readings("temperature")], [21.5, 22.5, 22.5])
        equal([reading["time"] - NOW_S for reading in board.readings("humidity")], [0, 600])
        board.power_cut()
        board.sleep(1)
        equal(len(board.readings("humidity")), 3, "it does not know any more what it published")


def test_a_board_that_sleeps_sleeps_for_long_when_its_battery_is_low():
    cell = {"type": "battery", "name": "cell", "pin": 34, "ratio": 2, "sleep_s": 7200}
    script = {"wifi": {"lab": "12345678"}, "values": {"adc 34": [1850] * 16 + [1650] * 16 + [1850] * 16}}
    with Board(script, sensors=[cell]) as board:
        board.sleep(3)
        equal(
            [asked_for + slept_ms for asked_for, slept_ms in zip(board.awake_ms, board.slept_ms)],
            [60000, 7200000, 60000],
        )
        equal([reading["value"] for reading in board.readings("cell/low")], [0, 1, 0])


def contacts(*pins, **more):
    """Sensors on these GPIOs, and those of the board."""
    doors = [dict({"type": "binary", "name": "door%d" % pin, "pin": pin, "quantity": "door"}, **more) for pin in pins]
    return [ROOM] + doors


def wake_by_contact(board, pin, level, reason):
    """The world outside moves a contact while the board sleeps, which wakes it."""
    fake_board.set_level(pin, level)
    fake_board.script["woken"] = reason
    board.sleep(1)
    fake_board.script["woken"] = 4  # its timer


def test_a_contact_wakes_a_board_and_is_told_at_once_though_it_connects_at_each_fifth_wake():
    with Board(connect_every=5, sensors=contacts(12)) as board:
        fake_board.script["levels"] = {"12": 0}  # closed
        board.sleep(1)
        equal(fake_board.armed, {"ext1": ([12], True)})
        equal([reading["value"] for reading in board.readings("door")], [0])
        board.sleep(1)
        equal(len(board.readings("door")), 1)
        wake_by_contact(board, 12, 1, machine.EXT1_WAKE)
        equal([reading["value"] for reading in board.readings("door")], [0, 0, 1])
        equal(fake_board.armed["ext0"], ([12], False))  # from now on it is its closing that is news
        board.sleep(1)
        equal(len(board.readings("door")), 3)
        equal(board.broker.violations, [])


def test_a_contact_that_changes_after_it_was_read_wakes_the_board_at_once():
    with Board(sensors=contacts(12)) as board:
        fake_board.script["levels"] = {"12": 0}
        read = sensors.binary.Sensor.read

        def change_behind_it(self):
            got = read(self)
            fake_board.set_level(12, 1)
            return got

        sensors.binary.Sensor.read = change_behind_it
        try:
            board.sleep(1)
        finally:
            sensors.binary.Sensor.read = read
        equal([reading["value"] for reading in board.readings("door")], [0])
        equal(fake_board.armed, {"ext1": ([12], True)})  # it is high already


def test_what_cannot_wake_the_board_is_said_once():
    with Board(sensors=contacts(12, 14)) as board:  # both are open
        board.sleep(3)
        equal(fake_board.armed, {"ext0": ([12], False)})
        equal(board.told.count("contacts: "), 1)
        assert "of several contacts on the high level the first alone wakes it" in board.told, board.told
    with Board(sensors=contacts(5)) as board:
        board.sleep(3)
        assert board.told.count("wants an RTC GPIO") == 1 and not fake_board.armed, board.told
    with Board(sensors=contacts(12, wake=False) + [{"type": "pulse", "name": "meter", "pin": 13}]) as board:
        board.sleep(2)
        assert not fake_board.armed and "contacts:" not in board.told
    with Board(sensors=contacts(12)) as board:
        board.sleep(2)
        equal((fake_board.armed, board.told), ({"ext0": ([12], False)}, ""))


def test_a_board_whose_chip_tells_no_reason_or_that_was_reset_was_not_woken_by_a_contact():
    with Board(sensors=contacts(12), connect_every=4) as board:
        board.sleep(1)
        fake_board.script["woken"] = machine.EXT1_WAKE
        fake_board.cause[0] = machine.HARD_RESET
        equal(waking.by_contact(), False)
        real = machine.wake_reason
        del machine.wake_reason
        try:
            board.sleep(2)
        finally:
            machine.wake_reason = real
        equal(len(board.readings("door")), 1)


def test_a_chip_that_wakes_by_its_timer_alone_says_so():
    real = esp32_waking.wake_on_ext0, esp32_waking.wake_on_ext1
    del esp32_waking.wake_on_ext0, esp32_waking.wake_on_ext1
    try:
        with Board(sensors=contacts(12)) as board:
            board.sleep(2)
            equal(board.told.count("this chip wakes by its timer alone"), 1)
            equal(len(board.readings("door")), 2)
    finally:
        esp32_waking.wake_on_ext0, esp32_waking.wake_on_ext1 = real


def test_a_board_that_sleeps_sends_slower_what_a_broker_with_a_quota_does_not_take_at_once():
    for how in ("swallows", "closes"):
        with Board(qos=1, keep_in="flash") as board:
            over, taken = [], [0]
            incoming = board.broker._incoming

            def one_a_second(link, kept, packet):
                if board.clock.now - taken[0] < 1000:  # noqa: B023
                    over.append(board.node.known.wakes)  # noqa: B023
                    if how == "closes":  # noqa: B023
                        board.broker._drop(link)  # noqa: B023
                    return None
                taken[0] = board.clock.now  # noqa: B023
                return incoming(link, kept, packet)  # noqa: B023

            board.broker._incoming = one_a_second
            board.sleep(40)
            equal(sorted(set(board.seqs())), up_to(80 - board.node.waiting() - board.node.client.inflight))
            assert board.node.waiting() + board.node.client.inflight < 3
            assert len(over) < 6 and over[-1] < 12, over
            assert max(board.awake_ms[-20:]) < 3000, board.awake_ms
            equal(board.status()[-1], b"online")
            board.broker._incoming = incoming
            while board.node.known.wakes <= 128:
                board.sleep(1)
            assert max(board.awake_ms[-2:]) < 1000, "it is asked again whether it takes more"
