"""Commands over MQTT: each is obeyed once, answered in words, and none of them can lock the owner out or tell a
secret."""

import builtins
import json
import os
import sys

from fakes.check import equal, raises
from fakes.folder import Folder, read, write
from fakes.net import Plan
from on_board import HOST, NOW_S, ROOT, World, radio, said, started

import config
import config_check
import durable
import fake_board
import network
import node
import ram
import remembered
import sleeper
import tail

ROOM = {"type": "dht22", "name": "room", "pin": 4}
SCRIPT = {"wifi": {"lab": "12345678"}, "values": {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}}
GIVEN = {
    "wifi_ssid": "lab", "wifi_password": "12345678", "broker": HOST, "client_id": "n1", "interval_s": 60,
    "commands": True, "sensors": [ROOM], "user": "me", "password": "geheim99", "ntp_host": "",
}  # fmt: skip


PRINT = print  # which a node that obeys replaces, to keep the last lines


class Commanded(World):
    """A World whose node obeys, in a folder of its own with its config.json; boot() is one more start."""

    def __init__(self, **keys):
        self.home = os.getcwd()
        self.folder = Folder()
        os.chdir(self.folder.__enter__())
        given = dict(GIVEN)
        given.update(keys)
        write("config.json", json.dumps(given).encode())
        World.__init__(self, SCRIPT)
        durable.print = sleeper.print = node.print
        self.boot()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        builtins.print = tail._said = PRINT
        os.chdir(self.home)
        self.folder.__exit__()

    def print(self, *words, **how):
        if "file" in how:  # a traceback of CPython's
            return PRINT(*words, **how)
        self.said.append(" ".join([str(word) for word in words]))

    def boot(self):
        """The board starts: everything in RAM is gone, and the links with it."""
        for link in self.net.links:
            link.end("rst")
        network.WLAN._the.clear()
        started(self.clock)
        sys.modules["config"] = config
        fresh = config.take()
        sys.modules["config"] = config
        assert fresh, "no configuration"
        wifi = radio()
        wifi.ssid, wifi.password = fresh["wifi_ssid"], fresh["wifi_password"]
        self.said = said()
        builtins.print = self.print
        durable.print = sleeper.print = node.print
        sleeper.ticks_ms, sleeper.ticks_diff, sleeper.ticks_add = node.ticks_ms, node.ticks_diff, node.ticks_add
        sleeper.sleep_ms = node.sleep_ms
        if fresh["deep_sleep"]:
            known = remembered.Remembered()
            if fresh["trials"] or fresh["came_back"]:
                known.forget()
            self.node = sleeper.Sleeper(fresh, wifi, known, self.clock.ticks_ms())
        else:
            self.node = (ram.RamNode if fresh["keep_in"] == "ram" else durable.DurableNode)(fresh, wifi)
        return self.node

    def reset(self, ms=60000):
        """Runs until the board resets, which it must within ms; it starts again."""
        got = raises(fake_board.Reset, self.run, ms)
        self.boot()
        return got

    def send(self, name, payload="", qos=2, retain=0, ms=3000):
        self.broker.inject("umqtt/n1/cmd/" + name, payload, qos, retain)
        self.run(ms)

    def answers(self, name=""):
        """(ok, words) of every answer that the broker took, of one command when it is named."""
        return [
            (got["ok"], got["words"])
            for topic, got in [
                (topic, json.loads(bytes(payload).decode()))
                for topic, payload, _ in self.broker.accepted
                if "/ack/" in topic
            ]
            if not name or topic == "umqtt/n1/ack/" + name
        ]


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
        world.broker.inject("umqtt/n1/cmd/restart", "1", 1, 1)
        world.broker.inject("umqtt/n1/cmd/interval", "5", 1, 1)
        world.run(30000)
        for name in ("restart", "interval"):
            equal(len(world.answers(name)), 1)
            ok, words = world.answers(name)[0]
            assert not ok and "retained" in words
        equal(world.node.cfg["interval_s"], 60)
        world.broker.inject("umqtt/n1/cmd/restart", "", 1, 1)  # clearing it restarts nothing
        world.run(30000)
        assert "an empty message" in world.answers("restart")[-1][1]


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

    files = [name[:-3] for name in os.listdir(ROOT + "/firmware/commands") if name.endswith(".py")]
    equal(sorted(files), sorted(list(COMMANDS) + ["inbox", "unknown"]))


def test_no_answer_holds_a_secret():
    with Commanded() as world:
        world.run(5000)
        world.send("config", "")
        shown = json.loads(world.answers("config")[-1][1])
        equal(shown["wifi_ssid"], "lab")
        assert "password" not in shown and "wifi_password" not in shown
        for change in (
            {"wifi_password": "geheim"}, {"password": 4711}, {"broker": "mqtt://me:geheim99@h"}, {"password": ["x"]},
            {"broker": ["me:geheim99@h/"]}, {"user": 1, "password": "geheim99\t"}, {"i2c": {"api_key": "geheim"}},
            {"sensors": 17 * [{"type": "web", "password": "geheim"}]}, {"broker": {"a": [{"my_secret": 4711}]}},
            {"sensors": [{"type": "web", "scale": {"a_key": ["geheim"]}}]},
        ):  # fmt: skip
            world.send("config", json.dumps(change))
            assert not world.answers("config")[-1][0]
        world.send("config", '{"password":"geheim99","qos":1')
        world.send("log")
        world.send("crash")
        all_said = "".join([words for _, words in world.answers()])
        for secret in ("geheim", "12345678", "4711"):
            assert secret not in all_said, all_said
    web = {"type": "internal", "name": "web", "api_key": "geheim", "login": [{"password": "geheim", "name": "me"}]}
    for keys, hidden in (
        ({"sensors": [web]}, ["password", "wifi_password"]),
        ({"user": "geheim", "password": ""}, ["password", "user", "wifi_password"]),  # a token
        ({"user": "geheim", "password": "geheim"}, ["password", "user", "wifi_password"]),
    ):
        with Commanded(**keys) as world:
            world.run(5000)
            world.send("config", "")
            words = world.answers("config")[-1][1]
            shown = json.loads(words)
            equal(sorted(set(GIVEN) - set(shown)), hidden)
            assert "geheim" not in words, words
    equal(shown["sensors"], [ROOM])


def test_a_new_configuration_is_kept_once_the_broker_is_reached_with_it():
    with Commanded() as world:
        world.run(5000)
        world.broker.inject("umqtt/n1/cmd/config", '{"interval_s":20,"qos":1,"user":null,"password":null}', 2)
        world.reset()
        ok, words = world.answers("config")[0]
        assert ok and words.startswith("interval_s, password, qos, user: on trial for 180 s"), words
        world.run(5000)
        equal(config_check.read()["interval_s"], 60, "not yet")
        world.run(12000)
        equal(world.answers("config")[1], (True, "kept: the broker was reached"))
        equal([name for name in ("probation", "trial") if name in sys.modules], [], "on the heap")
        equal(sorted(name for name in os.listdir(".") if name.startswith("config")), ["config.json"])
        cfg = config_check.read()
        equal((cfg["interval_s"], cfg["qos"], cfg["user"]), (20, 1, ""))
        world.run(400000)  # no reset
        equal({qos for topic, _, qos in world.broker.accepted[-3:] if topic.count("/") == 3}, {1})


def test_a_configuration_that_does_not_reach_the_broker_goes_back_by_itself():
    for change in (
        '{"wifi_ssid":"gone"}', '{"wifi_password":"another one"}', '{"broker":"10.9.9.9"}', '{"port":1999}',
        '{"broker":"10.9.9.9","commands":false}',
    ):  # fmt: skip
        with Commanded() as world:
            before = read("config.json")
            world.run(5000)
            world.broker.inject("umqtt/n1/cmd/config", change, 2)
            world.reset()
            began = world.clock.now
            world.reset(400000)
            assert 180000 <= world.clock.now - began < 300000, world.clock.now - began
            world.run(60000)
            ok, words = world.answers("config")[-1]
            assert not ok and "what was before is back" in words, words
            equal(read("config.json"), before)
            equal(sorted(name for name in os.listdir(".") if name.startswith("config")), ["config.json"])
            world.boot()
            world.run(60000)
            equal(len(world.answers("config")), 2, "told once")
            world.send("config", '{"interval_s":9}', ms=0)
            world.reset()
            world.run(15000)
            equal(config_check.read()["interval_s"], 9, "and the next one is taken")


def test_while_a_change_is_on_trial_another_is_refused_and_neither_is_lost():
    with Commanded() as world:
        world.run(5000)
        world.broker.inject("umqtt/n1/cmd/config", '{"keepalive_s":77}', 2)
        world.broker.inject("umqtt/n1/cmd/config", '{"timeout_s":9}', 2)
        world.broker.inject("umqtt/n1/cmd/interval", "44", 2)
        world.reset()
        world.run(5000)  # on trial
        world.send("config", '{"timeout_s":9}')
        world.send("interval", "44")
        world.run(10000)
        words = "another change is on trial: send this one again when that has ended"
        equal(world.answers("interval"), 2 * [(False, words)])
        equal(
            world.answers("config"),
            [(True, "keepalive_s: on trial for 180 s after a restart"), (False, words), (False, words),
             (True, "kept: the broker was reached")],
        )  # fmt: skip
        cfg = config_check.read()
        equal((cfg["keepalive_s"], cfg["timeout_s"], cfg["interval_s"]), (77, 10, 60))
        equal(sorted(name for name in os.listdir(".") if name.startswith("config")), ["config.json"])
        world.send("interval", "44")
        equal((world.answers("interval")[-1], config_check.read()["interval_s"]), ((True, "interval_s is 44"), 44))


def test_a_configuration_that_cannot_even_start_goes_back_at_once():
    import app

    with Commanded() as world:
        world.run(5000)
        world.broker.inject("umqtt/n1/cmd/config", '{"sensors":[{"type":"thermocouple"}]}', 2)
        raises(fake_board.Reset, world.run, 60000)
        sys.modules["config"] = config
        cfg = config.take()
        sys.modules["config"] = config
        raises(fake_board.Reset, app.run, cfg, world.clock.ticks_ms())
        world.boot()
        world.run(5000)
        ok, words = world.answers("config")[-1]
        assert not ok and words.startswith("not kept: config.json: sensors[0] of type thermocouple: "), words
        assert world.readings()
        equal(sorted(name for name in os.listdir(".") if name.startswith("config")), ["config.json"])


def test_under_a_name_that_was_given_up_nothing_stays_with_the_broker():
    others = {"homeassistant/sensor/n3/x/config", "umqtt/n3/status"}
    for change, kept in (
        ({"client_id": "n2"}, {"umqtt/n2/": 2, "homeassistant/": 5}),
        ({"topic": "haus/eg"}, {"haus/eg/n1/": 2, "homeassistant/": 5}),
        ({"ha_prefix": "ha"}, {"umqtt/n1/": 2, "ha/": 5}),
        ({"ha_prefix": None}, {"umqtt/n1/": 2}),
        ({"client_id": "n 2", "topic": "haus", "ha_prefix": None}, {"haus/n 2/": 2}),
        ({"interval_s": 30}, {"umqtt/n1/": 2, "homeassistant/": 5}),
    ):
        with Commanded(ha_prefix="homeassistant") as world:
            for topic in others:
                world.broker.inject(topic, "x", retain=1)
            world.run(15000)
            world.broker.inject("umqtt/n1/cmd/config", json.dumps(change), 2)
            world.reset()
            world.run(5000)
            assert "homeassistant/sensor/n1/room_temperature/config" in world.broker.retained, "not yet: it is on trial"
            world.run(40000)
            own = set(world.broker.retained) - others
            equal(len(world.broker.retained) - len(own), 2, "those of others stay")
            equal({place: len([topic for topic in own if topic.startswith(place)]) for place in kept}, kept, change)
            equal(len(own), sum(kept.values()), own)
            assert "/n1/" not in "".join(own) or world.node.client_id == "n1"
            equal(world.node.listener.turns, {})
            equal(world.broker.violations, [])


def test_a_name_that_was_given_up_is_no_trouble_while_all_slots_are_taken():
    import moved

    with Commanded(ha_prefix="homeassistant", interval_s=1, queue=500) as world:
        world.run(10000)
        gone = "homeassistant/sensor/n0/room_temperature/config"
        world.broker.inject(gone, b"{}", retain=1)
        moved.clear(world.node, {"client_id": "n0", "ha_prefix": "homeassistant"})
        equal([name for name in ("moved", "announcing", "announcement") if name in sys.modules], [], "forgotten")
        world.run(1000)
        assert "homeassistant/+/n0/#" in world.broker.kept("n1").subs
        world.broker.ack_ms = 3000
        world.run(30000)
        equal([line for line in world.said if "trying again" in line], [])
        world.broker.ack_ms = 0
        world.run(10000)
        assert "homeassistant/+/n0/#" not in world.broker.kept("n1").subs
        equal(world.node.listener.turns, {})
        equal([qos for topic, payload, qos in world.broker.accepted if topic == gone], [1])
        assert gone not in world.broker.retained


def test_a_sleeper_clears_what_it_left_under_its_old_name_in_the_wake_in_which_the_new_one_is_kept():
    with Commanded(deep_sleep=True, keep_in="rtc", ha_prefix="homeassistant") as world:
        raises(fake_board.Reset, world.boot().run)
        assert "homeassistant/switch/n1/stay_awake/config" in world.broker.retained
        world.broker.inject("umqtt/n1/cmd/config", '{"client_id":"n2","topic":"haus"}', 2)
        raises(fake_board.Reset, world.boot().run)
        raises(fake_board.Reset, world.boot().run)
        equal([topic for topic in world.broker.retained if "/n1/" in topic], [])
        assert "homeassistant/switch/n2/stay_awake/config" in world.broker.retained
        began = world.clock.now
        raises(fake_board.Reset, world.boot().run)
        assert world.clock.now - began < 3000, "once"


def test_a_sleeper_takes_its_commands_at_each_wake_and_stays_awake_when_asked():
    with Commanded(deep_sleep=True, keep_in="rtc") as world:
        slept = []

        def wake():
            got = raises(fake_board.Reset, world.boot().run)
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
        world.clock.at(20000, world.broker.inject, "umqtt/n1/cmd/stay_awake", "", 1, 1)
        began = world.clock.now
        wake()
        assert world.clock.now - began < 60000
        equal(world.answers("stay_awake")[-1], (True, "it may sleep"))
        awake = []
        for _ in range(3):
            began = world.clock.now
            got = raises(fake_board.Reset, world.boot().run)
            awake.append(world.clock.now - began)
            world.clock.sleep_ms(got.args[1])
        assert max(awake) < 3000, awake
        equal(world.broker.violations, [])


def test_a_sleeper_tries_a_configuration_in_one_wake_and_goes_back_without_a_long_sleep():
    with Commanded(deep_sleep=True, keep_in="rtc", awake_ms=4000) as world:
        got = raises(fake_board.Reset, world.node.run)
        world.clock.sleep_ms(got.args[1])
        world.broker.inject("umqtt/n1/cmd/config", '{"broker":"10.9.9.9","interval_s":80000}', 1)
        raises(fake_board.Reset, world.boot().run)
        equal(raises(fake_board.Reset, world.boot().run).args[0], 2, "a reset, no sleep of 80000 s")
        raises(fake_board.Reset, world.boot().run)
        equal([ok for ok, _ in world.answers("config")], [True, False])
        world.broker.inject("umqtt/n1/cmd/config", '{"interval_s":100}', 1)
        raises(fake_board.Reset, world.boot().run)
        equal(raises(fake_board.Reset, world.boot().run).args[0], 4)
        equal(world.answers("config")[-1], (True, "kept: the broker was reached"))


def test_the_wake_of_a_sleepers_trial_ends_in_time_whatever_fails_in_it():
    with Commanded(deep_sleep=True, keep_in="rtc", awake_ms=4000) as world:
        asked = []

        def refuse(self, *how, **more):
            asked.append(how)
            raise RuntimeError("Wifi Unknown Error 0x0101")

        def begin():
            raises(fake_board.Reset, world.boot().run)
            world.broker.inject("umqtt/n1/cmd/config", '{"interval_s":80000}', 1)
            raises(fake_board.Reset, world.boot().run)
            return world.clock.now

        began = begin()
        real, network.WLAN.connect = network.WLAN.connect, refuse
        try:
            equal(raises(fake_board.Reset, world.boot().run).args[0], 2, "a reset, no sleep of 80000 s")
        finally:
            network.WLAN.connect = real
        assert 175000 < world.clock.now - began <= 180500 and len(asked) <= 181, (world.clock.now - began, len(asked))
        raises(fake_board.Reset, world.boot().run)
        assert "not kept" in world.answers("config")[-1][1], world.answers("config")

        began = begin()

        def back():  # late, and it acknowledges nothing
            world.net.plan = Plan()
            world.broker._incoming = lambda link, kept, packet: None

        world.net.plan = Plan(refuse=True)
        world.clock.at(150000, back)
        raises(fake_board.Reset, world.boot().run)
        assert 175000 < world.clock.now - began <= 180500, world.clock.now - began


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


def test_diagnostics_come_once_at_each_start_retained():
    with Commanded(deep_sleep=True, keep_in="rtc") as world:
        for _ in range(3):
            got = raises(fake_board.Reset, world.boot().run)
            world.clock.sleep_ms(got.args[1])
        told = [
            json.loads(bytes(payload).decode())
            for topic, payload, _ in world.broker.accepted
            if topic == "umqtt/n1/diag"
        ]
        equal(len(told), 1, "a wake is no start")
        equal(told[0]["reset"], "power on")
        equal((told[0]["rssi_dbm"], told[0]["ip"], told[0]["interval_s"]), (-61, "127.0.0.1", 60))
        equal((told[0]["time"], told[0]["micropython"].count(".")), (NOW_S + told[0]["up_s"], 2))
        for key in ("version", "micropython", "port", "heap_b", "connects", "resends", "error", "ip", "up_s"):
            assert key in told[0], key
        assert "umqtt/n1/diag" in world.broker.retained
    with Commanded(diag=False) as world:
        world.run(30000)
        equal([topic for topic, _, _ in world.broker.accepted if topic.endswith("/diag")], [])
    with Commanded() as world:
        fake_board.script["values"] = {}  # not one sensor answers
        world.run(5000)
        equal(len([topic for topic, _, _ in world.broker.accepted if topic.endswith("/diag")]), 1)


def test_the_crash_log_comes_oldest_first_and_goes_once_the_broker_has_it():
    with Commanded() as world:
        log = "".join(["Traceback %d äöü\n" % i for i in range(90)])
        write("crash.log", log.encode())
        world.run(5000)
        taken = ""
        for i in range(3):
            world.send("crash")
            words = world.answers("crash")[-1][1]
            equal("send crash again" in words, i + 1 < 3 and len(log) > 1024 * (i + 1), words)
            taken += words.split("\n(")[0]
            assert taken.endswith("\n"), "whole lines"
            left_b = len(log.encode()) - len(taken.encode())
            assert not left_b or "\n(%d B more" % left_b in words, (left_b, words[-40:])
            if "crash.log" not in os.listdir("."):
                break
        equal(taken, log)
        write("crash.log", b"half a character \x80\xc3")
        world.send("crash")
        equal(world.answers("crash")[-1], (True, "half a character ??"))
        world.send("crash")
        equal(world.answers("crash")[-1], (True, "no crash since the last one that was taken"))


def test_an_empty_crash_log_is_none():
    with Commanded() as world:
        world.run(5000)
        write("crash.log", b"")
        world.send("crash")
        equal(world.answers("crash"), [(True, "no crash since the last one that was taken")])


def test_the_crash_log_stays_when_the_answer_does_not_arrive():
    with Commanded() as world:
        write("crash.log", b"Traceback\n")
        world.run(5000)
        link = world.broker.kept("n1").link
        world.broker.inject("umqtt/n1/cmd/crash", "", 0)
        link.plan = Plan(cut_out=link.out_b + 10, how="silence")
        world.run(2000)
        assert "crash.log" in os.listdir(".")
        world.run(300000)
        equal(world.answers("crash"), [(True, "Traceback\n")])
        assert "crash.log" not in os.listdir(".")


def test_the_last_lines_are_told_and_each_further_one_when_asked_for():
    with Commanded() as world:
        tail.keep(100)
        for i in range(30):
            print("line", i)
        world.run(5000)
        world.send("log", "2")
        equal(world.answers("log"), [(True, "line 28\nline 29\n")])
        world.send("log", "")
        assert world.answers("log")[-1][1].endswith("line 29\n")
        equal(len(world.answers("log")[-1][1].encode()), 100)
        world.send("log", "on 60")
        print("ä new", 1)
        print("second")
        world.run(6000)
        lines = [bytes(payload).decode() for topic, payload, _ in world.broker.accepted if topic == "umqtt/n1/log"]
        equal(lines, ["ä new 1", "second"])
        world.clock.sleep_ms(60000)
        world.run(6000)
        print("third")
        world.run(6000)
        equal(len([topic for topic, _, _ in world.broker.accepted if topic == "umqtt/n1/log"]), 2, "a minute is over")
        world.send("log", "on")
        equal(world.answers("log")[-1], (True, "lines for 600 s"))
        for seconds, is_right in (("1", True), ("86400", True), ("86401", False), ("0", False)):
            world.send("log", "on " + seconds)
            equal(world.answers("log")[-1][0], is_right, seconds)
        world.send("log", "off")
        print("third")
        world.run(6000)
        equal(len([topic for topic, _, _ in world.broker.accepted if topic == "umqtt/n1/log"]), 2)
    with Commanded() as world:
        tail.keep(4000)
        tail.total = 0
        world.run(5000)
        print("first")
        world.send("log")
        equal(world.answers("log"), [(True, "first\n")])
    with Commanded(log_b=0) as world:
        world.run(5000)
        world.send("log")
        assert "log_b is 0" in world.answers("log")[0][1]


def blinks(world, ticks=60):
    """What the light shows, a letter for each tick."""
    import machine_timer

    shown = ""
    for _ in range(ticks):
        machine_timer.the[-1].callback(None)
        world.clock.sleep_ms(machine_timer.the[-1].period_ms)
        shown += "#" if fake_board.shown[2] else "."
    return shown


def test_the_light_tells_what_is_wrong_by_its_blinks():
    with Commanded(led=2) as world:
        fake_board.script["wifi"] = {}
        world.run(5000)
        assert ".......#.......#......." in blinks(world), "once: no WiFi"
        fake_board.script["wifi"] = {"lab": "12345678"}
        world.net.plan = Plan(refuse=True)
        world.run(90000)
        assert ".......#.#.......#.#......." in blinks(world), "twice: no broker"
        world.net.plan = Plan()
        fake_board.script["values"] = {}
        world.run(90000)
        assert ".......#.#.#.......#.#.#......." in blinks(world), "three times: a sensor"
        fake_board.script["values"] = SCRIPT["values"]
        world.run(1500000)
        equal(blinks(world, 100).count("#"), 4, "well: a flash every 5 s")
        world.send("identify", "10")
        equal(world.answers("identify"), [(True, "blinking for 10 s")])
        assert ".#.#.#.#.#.#.#.#" in blinks(world, 20)
        world.clock.sleep_ms(10000)
        equal(blinks(world, 100).count("#"), 4)


def test_a_light_blinks_as_long_as_is_asked_ten_seconds_for_a_word_and_an_hour_at_most():
    with Commanded(led=2) as world:
        world.run(5000)
        for sent, seconds in (("1", 1), ("3600", 3600), ("", 10), ("PRESS", 10), ("  7 ", 7), ("-5", 10)):
            world.send("identify", sent)
            equal(world.answers("identify")[-1], (True, "blinking for %d s" % seconds), sent)
            left_ms = clock_ms_left(world)
            assert seconds * 1000 - 10000 <= left_ms <= seconds * 1000, (sent, left_ms)  # a turn
        for sent in ("0", "3601", "99999999"):
            world.send("identify", sent)
            equal(world.answers("identify")[-1], (False, "needed are 1 to 3600 s"), sent)


def clock_ms_left(world):
    from fakes.clock import ticks_diff

    return ticks_diff(world.node.led.t_end, world.clock.ticks_ms())


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


def test_a_light_that_is_lit_by_a_low_level_is_dark_when_the_program_ends():
    import led
    import machine_timer

    Commanded().__exit__()
    for low in (False, True):
        light = led.Light(2, low)
        light.step(None)
        equal(fake_board.shown[2], 0 if low else 1)
        light.off()
        equal((fake_board.shown[2], machine_timer.the[-1].callback), (1 if low else 0, None))


def test_a_light_tells_of_wifi_that_went_and_has_the_timer_of_its_chip():
    import led
    import machine_timer

    wifi = type("Wifi", (), {"isconnected": staticmethod(bool)})
    real = led.sys
    try:
        for platform, number in (("esp32", 0), ("esp8266", -1)):
            led.sys = type("Sys", (), {"platform": platform})
            fake_board.use({"port": platform})
            light = led.Light(2, False)
            equal(machine_timer.the[-1].number, number)
            light.blinks = led.WELL
            light.look(type("Node", (), {"wifi": wifi}))
            equal(light.blinks, led.NO_WIFI)
            light.off()
    finally:
        led.sys = real
        fake_board.use({})


def test_the_last_lines_begin_with_a_whole_character_wherever_the_ring_is_cut():
    from commands.log import since

    said = "\u00e4\u00f6\u00e9\u20ac!\n"
    real, tail._said = tail._said, lambda *_: None
    try:
        for size_b in range(1, 34):
            tail.keep(size_b)
            tail.total = 0
            for _ in range(3):
                print(said[:-1])
            text, end_b = since(0)
            assert (3 * said).endswith(text) and size_b - 3 < len(text.encode()) <= size_b, (size_b, text)
            equal(since(end_b), ("", end_b))
        equal(text, 3 * said)
    finally:
        tail._said = real
        builtins.print = PRINT
