"""Commands over MQTT: each is obeyed once and answered in words, and none of them can lock the owner out."""

import json
import os
import sys

from commanded import ROOM, Commanded
from fakes.check import equal, raises
from fakes.folder import read
from fakes.net import Plan
from on_board import ROOT

import config_check
import fake_board


def test_read_takes_readings_at_once_and_says_how_many():
    with Commanded() as world:
        world.run(5000)
        world.send("read")
        equal(world.answers("read"), [(True, "2 readings")])
        equal([reading["seq"] for reading in world.readings()], [1, 2, 3, 4])
        equal([line for line in world.said if line.startswith("commands: ")], [])
        equal(world.broker.violations, [])


def test_reads_in_a_row_push_no_reading_out_of_the_queue():
    with Commanded(queue=12) as world:
        world.run(5000)
        for _ in range(35):
            world.broker.inject("umqtt/n1/cmd/read", "", 1)
        world.run(30000)
        equal(world.node.dropped, 0)
        answers = world.answers("read")
        equal(len(answers), 35)
        refused = [words for ok, words in answers if not ok]
        assert len(refused) > 10 and "readings wait to be sent" in refused[0], answers
        world.send("read")
        equal(world.answers("read")[-1], (True, "2 readings"))


def test_a_flood_of_commands_fills_no_heap_and_is_answered_by_one_that_found_no_room():
    with Commanded() as world:
        world.run(5000)
        listener = world.node.listener
        for _ in range(500):
            listener.note(b"\0\0umqtt/n1/cmd/read", 19, 19, 19, 0)
        assert len(listener.waiting) < 50 and len(listener.kept()) < 2048, len(listener.waiting)
        world.run(30000)
        answers = world.answers("read")
        equal(len(answers), 1 + len([0 for _, words in answers if "too many at once" not in words]))
        assert len(answers) > 20, answers
        world.send("interval", "7")
        equal(world.answers("interval"), [(True, "interval_s is 7")])


def test_the_interval_changes_at_once_and_outlives_a_reset():
    with Commanded() as world:
        world.run(5000)
        world.send("interval", "10", ms=45000)
        equal(world.answers("interval"), [(True, "interval_s is 10")])
        times = [reading["time"] for reading in world.readings("temperature")]
        equal([later - earlier for earlier, later in zip(times[1:], times[2:])], [10] * (len(times) - 2))
        assert len(times) >= 5, times
        equal([name for name in ("config_file", "probation") if name in sys.modules], [], "on the heap")
        equal(config_check.read()["interval_s"], 10)
        equal(config_check.read()["password"], "geheim99")
        equal(world.boot().cfg["interval_s"], 10)


def test_the_limits_of_the_interval_are_those_of_config_json():
    least, most = [(least, most) for key, _, least, most, _ in config_check.rows() if key == "interval_s"][0]
    with Commanded() as world:
        world.run(5000)
        for seconds, ok in ((least, True), (most, True), (least / 2, False), (most + 1, False)):
            world.send("interval", str(seconds))
            equal(world.answers("interval")[-1][0], ok, seconds)


def test_what_is_malformed_is_answered_in_words_and_changes_nothing():
    with Commanded() as world:
        before = read("config.json")
        world.run(5000)
        for name, payload, words in (
            ("interval", "soon", "needed is a number of seconds"),
            ("interval", "true", "needed is a number of seconds"),
            ("interval", "0", "needed is a number of seconds from 0.1 to 86400"),
            ("interval", "86401", "needed is a number of seconds from 0.1 to 86400"),
            ("interval", "NaN", "needed is a number of seconds"),
            ("interval", '1,"x":2', "needed is a number of seconds"),
            ("config", "interval_s=5", "needed is an object in JSON"),
            ("config", "[1]", "needed is an object in JSON"),
            ("config", '{"qos":1', "needed is an object in JSON"),
            ("config", '{"broker":["a}"}', "needed is an object in JSON"),
            ("config", '{"sensors":[{"type":"internal"}}]', "needed is an object in JSON"),
            ("config", '{"qos":7,"colour":"red"}', "qos is 7 (a whole number); needed is a whole number from 0 to 2"),
            ("config", '{"qos":7,"colour":"red"}', "colour is not a key"),
            ("config", '{"broker":null}', "broker is missing"),
            ("stay_awake", "-1", "needed is a whole number of seconds"),
            ("identify", "5", "config.json names no light"),
            ("config", b'{"hostname":"\xff"}', "needed is an object in JSON"),
            ("config", '{"sensors":' + "[" * 400 + "]" * 400 + "}", "needed is an object in JSON"),
            ("config", '{"sensors":[{"type":"internal",5:6}]}', "needed is an object in JSON"),
            ("interval", "[" * 400 + "]" * 400, "needed is a number of seconds"),
            ("stay_awake", b"\xff", "needed is text in UTF-8"),
            ("identify", b"\xc3", "needed is text in UTF-8"),
            ("log", b"on \xe2\x82", "needed is text in UTF-8"),
            ("log", "on soon", "log on: needed is"),
            ("log", "soon", "needed is nothing, how many lines, on, on SECONDS or off"),
            ("log", "-1", "needed is nothing, how many lines, on, on SECONDS or off"),
            ("restart", "", "an empty message restarts nothing"),
            ("reboot", "1", "there is no command reboot; there are config, crash,"),
            ("inbox", "1", "there is no command inbox"),
            ("unknown", "1", "there is no command unknown"),
            ("..", "1", "there is no command ..;"),
            ("config", "x" * 2100, "over 2048 B"),
        ):
            world.send(name, payload)
            ok, got = world.answers(name)[-1]
            assert not ok and words in got, (name, payload, got)
        equal(read("config.json"), before)
        world.run(60000)
        equal([reading["seq"] for reading in world.readings()], list(range(1, 1 + len(world.readings()))))
        equal(world.broker.violations, [])


def test_a_command_whose_name_does_not_fit_the_buffer_is_answered_too():
    with Commanded() as world:
        world.run(5000)
        for length in (60, 120, 300):
            before = len(world.answers("unknown"))
            world.send("x" * length, "1")
            got = world.answers("unknown")[before:] + world.answers("x" * length)
            assert len(got) == 1 and not got[0][0] and "too long" in got[0][1] or "there is no command" in got[0][1], (
                got
            )


def test_a_restart_sends_what_waits_and_happens_once_however_it_was_sent():
    for keep_in in ("ram", "rtc", "flash"):
        for qos in (0, 1, 2):
            for retain in (0, 1):
                with Commanded(keep_in=keep_in) as world:
                    world.run(5000)
                    world.broker.inject("umqtt/n1/cmd/restart", "1", qos, retain)
                    world.reset()
                    what = "%s, QoS %d, retained %d" % (keep_in, qos, retain)
                    equal(world.answers("restart")[0], (True, "restarting"), what)
                    equal(world.status()[-1], b"offline", what)
                    world.run(120000)  # raises Reset, should it come twice
                    equal(len(world.answers("restart")), 1 + retain, what)  # refused at the subscription
                    assert world.status()[-1] == b"online", what
                    seqs = [reading["seq"] for reading in world.readings()]
                    assert seqs == sorted(seqs) or keep_in == "ram", what


def test_a_restart_on_a_slow_link_waits_until_the_broker_has_all_that_was_taken():
    with Commanded(sensors=[ROOM, dict(ROOM, name="hall"), dict(ROOM, name="attic")]) as world:
        world.net.plan = Plan(latency_ms=800)
        world.run(20000)
        world.broker.inject("umqtt/n1/cmd/read", "", 2)
        world.broker.inject("umqtt/n1/cmd/restart", "1", 2)
        life = world.node
        world.reset()
        equal([reading["seq"] for reading in world.readings()], list(range(1, 13)))
        equal((life.taken, life.waiting(), life.client.inflight), (12, 0, 0))


def test_a_restart_whose_acknowledgement_was_lost_is_not_obeyed_again():
    for keep_in in ("ram", "flash"):
        for qos in (1, 2):
            for cut in range(4, 90, 9):
                with Commanded(keep_in=keep_in) as world:
                    world.run(5000)
                    link = world.broker.kept("n1").link
                    world.broker.inject("umqtt/n1/cmd/restart", "1", qos)
                    link.plan = Plan(cut_out=link.out_b + cut, how="silence")
                    resets = 0
                    for _ in range(4):
                        try:
                            world.run(90000)
                        except fake_board.Reset:
                            resets += 1
                            world.boot()
                    assert resets <= 1, "%s QoS %d cut %d: %d resets" % (keep_in, qos, cut, resets)
                    assert resets or world.answers("restart"), (keep_in, qos, cut)
                    if keep_in == "flash":  # in RAM the answer may go with the reset
                        assert world.answers("restart"), (qos, cut)
                    equal(world.broker.violations, [])


def test_a_retained_command_is_refused_in_words_where_it_would_come_at_each_start():
    with Commanded() as world:
        world.broker.inject("umqtt/n1/cmd/restart", "1", 2, 1)
        world.broker.inject("umqtt/n1/cmd/interval", "5", 1, 1)
        world.broker.inject("umqtt/n1/cmd/read", "1", 0, 1)
        world.run(30000)
        for name in ("restart", "interval", "read"):
            equal(len(world.answers(name)), 1)
            ok, words = world.answers(name)[0]
            assert not ok and "retained" in words
        equal(world.node.cfg["interval_s"], 60)
        world.broker.inject("umqtt/n1/cmd/restart", "", 1, 1)  # clearing it restarts nothing
        world.run(30000)
        assert "an empty message" in world.answers("restart")[-1][1]
        for qos in (0, 1, 2):
            world.send("read", qos=qos)
            equal(world.answers("read")[-1], (True, "2 readings"), qos)


def test_a_command_that_was_taken_before_a_power_cut_is_carried_out_after_it():
    with Commanded(keep_in="flash") as world:
        world.run(5000)
        world.node.listener.work = lambda client: None  # the power fails before its turn comes
        world.broker.inject("umqtt/n1/cmd/interval", "17", 2)
        world.broker.inject("umqtt/n1/cmd/restart", "1", 2)
        world.run(1000)
        equal(world.broker.kept("n1").out, [], "the broker has its acknowledgement")
        world.boot()
        world.run(20000)
        equal(world.answers("interval"), [(True, "interval_s is 17")])
        equal(world.answers("restart"), [(True, "the board has started since")])
        world.boot()
        world.run(20000)
        equal(len(world.answers()), 2)


def test_commands_false_hears_nothing_and_loads_nothing():
    theirs = ("tail", "probation", "reconfigure", "led", "diagnosis")
    before = dict(sys.modules)
    with Commanded(commands=False) as world:
        for name in theirs:
            sys.modules.pop(name, None)
        world.boot()
        world.run(5000)
        world.send("restart", "1")
        equal(world.broker.kept("n1").subs, {})
        equal(world.answers(), [])
        equal(world.node.listener, None)
        equal([name for name in theirs if name in sys.modules], [])
    for name in theirs:
        if name in before:
            sys.modules[name] = before[name]


def test_a_command_is_forgotten_once_it_was_carried_out():
    with Commanded() as world:
        world.run(5000)
        for name in ("interval", "config", "read", "log", "nonsense"):
            world.send(name)
        equal([name for name in sys.modules if name.startswith("commands")], [])
        theirs = ("reconfigure", "config_check", "config_file", "probation")
        equal([name for name in theirs if name in sys.modules], [])
    with Commanded(ota_key="k" * 32) as world:
        world.run(5000)
        for manifest in ("1", "umqtt-ota1 7 9 " + "0" * 64 + " " + "1" * 64, ""):
            world.send("ota", manifest)
            assert "update" not in sys.modules, manifest
        equal([ok for ok, _ in world.answers("ota")], [False, False])
        assert not world.node.listener.turns and len(world.node.listener.ears) == 1


def test_the_words_on_unknown_commands_name_all_there_are():
    from commands.unknown import COMMANDS

    files = [name.split(".")[0] for name in os.listdir(ROOT + "/firmware/commands") if name.endswith("py")]
    equal(sorted(files), sorted(list(COMMANDS) + ["inbox", "unknown"]))


def test_a_sleeper_takes_its_commands_at_each_wake_and_stays_awake_when_asked():
    with Commanded(deep_sleep=True, keep_in="rtc") as world:
        slept = []

        def wake():
            world.boot()
            fed = [world.clock.now]
            world.node.feed = lambda: fed.append(world.clock.now)
            got = raises(fake_board.Reset, world.node.run)
            assert max([after - before for before, after in zip(fed, fed[1:])]) <= 5500, "the watchdog would bite"
            slept.append(got.args[1])
            world.clock.sleep_ms(got.args[1] or 1)

        for _ in range(2):
            wake()
        world.broker.inject("umqtt/n1/cmd/interval", "30", 1)
        wake()
        equal(world.answers("interval"), [(True, "interval_s is 30")])
        began = world.clock.now
        wake()
        assert world.clock.now - began <= 31000, "the next sleep is shorter"
        world.broker.inject("umqtt/n1/cmd/stay_awake", "120", 1, 1)
        for _ in range(2):
            began = world.clock.now
            before = len(world.readings())
            world.clock.at(60000, world.broker.inject, "umqtt/n1/cmd/read", "1", 1, 0)
            wake()
            assert 115000 < world.clock.now - began < 170000, world.clock.now - began
            assert len(world.readings()) - before >= 10, "it measures meanwhile"
        equal(set(world.answers("stay_awake")), {(True, "awake for 120 s")})
        equal(len(world.answers("read")), 2)
        world.clock.at(40000, world.broker.inject, "umqtt/n1/cmd/stay_awake", "", 1, 1)
        world.clock.at(39000, setattr, world.broker, "ack_ms", 7000)  # longer than a turn waits
        began = world.clock.now
        wake()
        assert 40000 < world.clock.now - began < 60000
        equal(world.answers("stay_awake")[-1], (True, "it may sleep"))
        equal((world.node.waiting(), world.node.client.inflight), (0, 0), "it has awake_ms to send the rest")
        world.broker.ack_ms = 0
        awake = []
        for _ in range(3):
            began = world.clock.now
            got = raises(fake_board.Reset, world.boot().run)
            awake.append(world.clock.now - began)
            world.clock.sleep_ms(got.args[1])
        assert max(awake) < 3000, awake
        equal(world.broker.violations, [])


def test_a_broker_that_ends_the_connection_at_the_subscription_gets_the_readings_all_the_same():
    with Commanded() as world:
        world.broker._subscribe = lambda link, kept, packet: world.broker._drop(link)
        world.run(600000)
        seqs = [reading["seq"] for reading in world.readings()]
        assert len(seqs) >= 16 and seqs == list(range(1, len(seqs) + 1)), seqs
        equal(len([line for line in world.said if line.startswith("commands: the broker ends")]), 1)
        assert len(world.broker.connects) < 8, len(world.broker.connects)


def test_a_broker_that_refuses_the_subscription_is_told_once():
    from fakes.packets import SUBACK, encode

    with Commanded() as world:
        world.broker._subscribe = lambda link, kept, packet: world.broker._send(
            link, encode(SUBACK, packet.pid, codes=(128,))
        )
        world.run(200000)
        equal(len([line for line in world.said if "check its ACL" in line]), 1)
        assert len(world.readings()) >= 6


def test_a_broker_that_forgot_is_asked_again():
    with Commanded() as world:
        world.run(5000)
        world.broker.stop()
        world.broker.forget()
        world.run(30000)
        world.send("read")
        equal(len(world.answers("read")), 1)


def test_a_day_awake_is_the_most_and_no_second_more():
    with Commanded() as world:
        world.run(5000)
        for sent, is_right in (("86400", True), ("86401", False), ("0", True), ("1.5", False), ("-1", False)):
            world.send("stay_awake", sent)
            equal(world.answers("stay_awake")[-1][0], is_right, sent)


def test_a_repetition_of_a_restart_in_qos_1_is_refused_and_one_in_qos_2_is_obeyed():
    import flags
    from commands import restart

    with Commanded() as world:
        world.run(5000)
        for given, is_refused in (
            (flags.DUP | flags.QOS_1, True),
            (flags.QOS_1, False),
            (flags.DUP, False),
            (0, False),
        ):
            try:
                words = restart.carry_out(world.node, b"1", given)
            except ValueError as error:
                words = str(error)
            equal("repetition" in words, is_refused, given)


def test_before_a_restart_the_sum_of_the_life_is_said():
    with Commanded() as world:
        world.run(5000)
        world.broker.inject("umqtt/n1/cmd/restart", "1", 2, 0)
        lines = world.said
        raises(fake_board.Reset, world.run, 60000)
        equal([line[:14] for line in lines if line.startswith("summary: ")], ["summary: taken"])


def test_an_update_without_a_key_is_refused_with_what_to_do():
    with Commanded(ota_key="") as world:
        world.broker.inject("umqtt/n1/cmd/ota", "umqtt-ota1 1 2 3 4", 1, 1)  # `make ota` sends it retained
        world.run(5000)
        world.send("ota", "umqtt-ota1 1 2 3 4")
        equal(len(world.answers("ota")), 2)
        for ok, words in world.answers("ota"):
            assert not ok and "there is no ota_key" in words and "make config" in words, words


def test_a_read_that_no_sensor_answers_says_so():
    with Commanded() as world:
        world.run(5000)
        values = fake_board.script["values"]
        fake_board.script["values"] = {}
        for _ in range(2):
            world.send("read")
        fake_board.script["values"] = values  # they are those of all tests here
        ok, words = world.answers("read")[-1]
        assert not ok and "no sensor answers" in words, world.answers("read")


def test_a_new_interval_is_told_to_home_assistant_and_begins_now():
    with Commanded(ha_prefix="homeassistant", interval_s=600, diag=True) as world:
        world.run(60000)
        before = len(world.broker.accepted)
        taken = world.node.taken
        world.send("interval", "30", ms=5000)
        told = [topic for topic, payload, qos in world.broker.accepted[before:]]
        equal(len([topic for topic in told if topic.startswith("homeassistant/") and topic.endswith("/config")]), 2)
        equal(world.node.taken, taken)
        world.run(20000)
        equal(world.node.taken, taken, "not before its time")
        world.run(10000)
        equal(world.node.taken, taken + 2)
        diags = [
            json.loads(bytes(payload).decode())
            for topic, payload, _ in world.broker.accepted
            if topic == "umqtt/n1/diag"
        ]
        equal([diag["interval_s"] for diag in diags], [600, 30])


def test_a_read_leaves_room_for_the_next_regular_readings():
    with Commanded(queue=12) as world:
        world.run(5000)
        node = world.node
        real = node.waiting
        for count, is_right in ((8, True), (9, False)):  # two readings of what is asked for, two of the next interval
            node.waiting = lambda: count  # noqa: B023
            try:
                from commands.read import carry_out

                said = carry_out(node, b"", 0)
            except ValueError as error:
                said = str(error)
            equal(said, "2 readings" if is_right else "9 readings wait to be sent: nothing was read")
        node.waiting = real


def test_a_commands_own_mistake_is_answered_and_stands_in_the_crash_log():
    def full(ms):
        raise MemoryError

    with Commanded() as world:
        world.run(5000)
        world.node.measure_in = full
        world.send("read")
        equal(world.answers("read")[-1], (False, "no memory for it: fewer sensors, a shorter queue, or a restart"))
        world.node.measure_in = None
        world.send("read")
        del world.node.measure_in
        ok, words = world.answers("read")[-1]
        assert not ok and words.startswith("it failed: TypeError"), words
        assert b"TypeError" in read("crash.log")
        world.send("read")
        equal(world.answers("read")[-1], (True, "2 readings"))
