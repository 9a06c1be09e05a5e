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
            for topic, got in [(t, json.loads(bytes(p).decode())) for t, p, _ in self.broker.accepted if "/ack/" in t]
            if not name or topic == "umqtt/n1/ack/" + name
        ]


def test_read_takes_readings_at_once_and_says_how_many():
    with Commanded() as w:
        w.run(5000)
        w.send("read")
        equal(w.answers("read"), [(True, "2 readings")])
        equal([r["seq"] for r in w.readings()], [1, 2, 3, 4])
        equal(w.broker.violations, [])


def test_reads_in_a_row_push_no_reading_out_of_the_queue():
    with Commanded(queue=12) as w:
        w.run(5000)
        for _ in range(35):
            w.broker.inject("umqtt/n1/cmd/read", "", 1)
        w.run(30000)
        equal(w.node.dropped, 0)
        answers = w.answers("read")
        equal(len(answers), 35)
        refused = [words for ok, words in answers if not ok]
        assert len(refused) > 10 and "readings wait to be sent" in refused[0], answers
        w.send("read")
        equal(w.answers("read")[-1], (True, "2 readings"))


def test_a_flood_of_commands_fills_no_heap_and_is_answered_by_one_that_found_no_room():
    with Commanded() as w:
        w.run(5000)
        listener = w.node.listener
        for _ in range(500):
            listener.note(b"\0\0umqtt/n1/cmd/read", 19, 19, 19, 0)
        assert len(listener.waiting) < 50 and len(listener.kept()) < 2048, len(listener.waiting)
        w.run(30000)
        answers = w.answers("read")
        equal(len(answers), 1 + len([0 for _, words in answers if "too many at once" not in words]))
        assert len(answers) > 20, answers
        w.send("interval", "7")
        equal(w.answers("interval"), [(True, "interval_s is 7")])


def test_the_interval_changes_at_once_and_outlives_a_reset():
    with Commanded() as w:
        w.run(5000)
        w.send("interval", "10", ms=45000)
        equal(w.answers("interval"), [(True, "interval_s is 10")])
        times = [r["time"] for r in w.readings("temperature")]
        equal([b - a for a, b in zip(times[1:], times[2:])], [10] * (len(times) - 2))
        assert len(times) >= 5, times
        equal([name for name in ("config_file", "probation") if name in sys.modules], [], "on the heap")
        equal(config_check.read()["interval_s"], 10)
        equal(config_check.read()["password"], "geheim99")
        equal(w.boot().cfg["interval_s"], 10)


def test_the_limits_of_the_interval_are_those_of_config_json():
    least, most = [(least, most) for key, _, least, most, _ in config_check.rows() if key == "interval_s"][0]
    with Commanded() as w:
        w.run(5000)
        for seconds, ok in ((least, True), (most, True), (least / 2, False), (most + 1, False)):
            w.send("interval", str(seconds))
            equal(w.answers("interval")[-1][0], ok, seconds)


def test_what_is_malformed_is_answered_in_words_and_changes_nothing():
    with Commanded() as w:
        before = read("config.json")
        w.run(5000)
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
            w.send(name, payload)
            ok, got = w.answers(name)[-1]
            assert not ok and words in got, (name, payload, got)
        equal(read("config.json"), before)
        w.run(60000)
        equal([r["seq"] for r in w.readings()], list(range(1, 1 + len(w.readings()))))
        equal(w.broker.violations, [])


def test_a_restart_sends_what_waits_and_happens_once_however_it_was_sent():
    for keep_in in ("ram", "rtc", "flash"):
        for qos in (0, 1, 2):
            for retain in (0, 1):
                with Commanded(keep_in=keep_in) as w:
                    w.run(5000)
                    w.broker.inject("umqtt/n1/cmd/restart", "1", qos, retain)
                    w.reset()
                    what = "%s, QoS %d, retained %d" % (keep_in, qos, retain)
                    equal(w.answers("restart")[0], (True, "restarting"), what)
                    equal(w.status()[-1], b"offline", what)
                    w.run(120000)  # raises Reset, should it come twice
                    equal(len(w.answers("restart")), 1 + retain, what)  # refused at the subscription
                    assert w.status()[-1] == b"online", what
                    seqs = [r["seq"] for r in w.readings()]
                    assert seqs == sorted(seqs) or keep_in == "ram", what


def test_a_restart_on_a_slow_link_waits_until_the_broker_has_all_that_was_taken():
    with Commanded(sensors=[ROOM, dict(ROOM, name="hall"), dict(ROOM, name="attic")]) as w:
        w.net.plan = Plan(latency_ms=800)
        w.run(20000)
        w.broker.inject("umqtt/n1/cmd/read", "", 2)
        w.broker.inject("umqtt/n1/cmd/restart", "1", 2)
        life = w.node
        w.reset()
        equal([r["seq"] for r in w.readings()], list(range(1, 13)))
        equal((life.taken, life.waiting(), life.client.inflight), (12, 0, 0))


def test_a_restart_whose_acknowledgement_was_lost_is_not_obeyed_again():
    for keep_in in ("ram", "flash"):
        for qos in (1, 2):
            for cut in range(4, 90, 9):
                with Commanded(keep_in=keep_in) as w:
                    w.run(5000)
                    link = w.broker.kept("n1").link
                    w.broker.inject("umqtt/n1/cmd/restart", "1", qos)
                    link.plan = Plan(cut_out=link.out_b + cut, how="silence")
                    resets = 0
                    for _ in range(4):
                        try:
                            w.run(90000)
                        except fake_board.Reset:
                            resets += 1
                            w.boot()
                    assert resets <= 1, "%s QoS %d cut %d: %d resets" % (keep_in, qos, cut, resets)
                    assert resets or w.answers("restart"), (keep_in, qos, cut)
                    if keep_in == "flash":  # in RAM the answer may go with the reset
                        assert w.answers("restart"), (qos, cut)
                    equal(w.broker.violations, [])


def test_a_retained_command_is_refused_in_words_where_it_would_come_at_each_start():
    with Commanded() as w:
        w.broker.inject("umqtt/n1/cmd/restart", "1", 1, 1)
        w.broker.inject("umqtt/n1/cmd/interval", "5", 1, 1)
        w.run(30000)
        for name in ("restart", "interval"):
            equal(len(w.answers(name)), 1)
            ok, words = w.answers(name)[0]
            assert not ok and "retained" in words
        equal(w.node.cfg["interval_s"], 60)
        w.broker.inject("umqtt/n1/cmd/restart", "", 1, 1)  # clearing it restarts nothing
        w.run(30000)
        assert "an empty message" in w.answers("restart")[-1][1]


def test_a_command_that_was_taken_before_a_power_cut_is_carried_out_after_it():
    with Commanded(keep_in="flash") as w:
        w.run(5000)
        w.node.listener.work = lambda c: None  # the power fails before its turn comes
        w.broker.inject("umqtt/n1/cmd/interval", "17", 2)
        w.broker.inject("umqtt/n1/cmd/restart", "1", 2)
        w.run(1000)
        equal(w.broker.kept("n1").out, [], "the broker has its acknowledgement")
        w.boot()
        w.run(20000)
        equal(w.answers("interval"), [(True, "interval_s is 17")])
        equal(w.answers("restart"), [(True, "the board has started since")])
        w.boot()
        w.run(20000)
        equal(len(w.answers()), 2)


def test_commands_false_hears_nothing_and_loads_nothing():
    theirs = ("tail", "probation", "reconfigure", "led", "diagnosis")
    before = dict(sys.modules)
    with Commanded(commands=False) as w:
        for name in theirs:
            sys.modules.pop(name, None)
        w.boot()
        w.run(5000)
        w.send("restart", "1")
        equal(w.broker.kept("n1").subs, {})
        equal(w.answers(), [])
        equal(w.node.listener, None)
        equal([name for name in theirs if name in sys.modules], [])
    for name in theirs:
        if name in before:
            sys.modules[name] = before[name]


def test_a_command_is_forgotten_once_it_was_carried_out():
    with Commanded() as w:
        w.run(5000)
        for name in ("interval", "config", "read", "log", "nonsense"):
            w.send(name)
        equal([m for m in sys.modules if m.startswith("commands")], [])
        theirs = ("reconfigure", "config_check", "config_file", "probation")
        equal([name for name in theirs if name in sys.modules], [])
    with Commanded(ota_key="k" * 32) as w:
        w.run(5000)
        for manifest in ("1", "umqtt-ota1 7 9 " + "0" * 64 + " " + "1" * 64, ""):
            w.send("ota", manifest)
            assert "update" not in sys.modules, manifest
        equal([ok for ok, _ in w.answers("ota")], [False, False])
        assert not w.node.listener.turns and len(w.node.listener.ears) == 1


def test_the_words_on_unknown_commands_name_all_there_are():
    from commands.unknown import COMMANDS

    files = [n[:-3] for n in os.listdir(ROOT + "/firmware/commands") if n.endswith(".py")]
    equal(sorted(files), sorted(list(COMMANDS) + ["inbox", "unknown"]))


def test_no_answer_holds_a_secret():
    with Commanded() as w:
        w.run(5000)
        w.send("config", "")
        shown = json.loads(w.answers("config")[-1][1])
        equal(shown["wifi_ssid"], "lab")
        assert "password" not in shown and "wifi_password" not in shown
        for change in (
            {"wifi_password": "geheim"}, {"password": 4711}, {"broker": "mqtt://me:geheim99@h"}, {"password": ["x"]},
            {"broker": ["me:geheim99@h/"]}, {"user": 1, "password": "geheim99\t"}, {"i2c": {"api_key": "geheim"}},
            {"sensors": 17 * [{"type": "web", "password": "geheim"}]}, {"broker": {"a": [{"my_secret": 4711}]}},
            {"sensors": [{"type": "web", "scale": {"a_key": ["geheim"]}}]},
        ):  # fmt: skip
            w.send("config", json.dumps(change))
            assert not w.answers("config")[-1][0]
        w.send("config", '{"password":"geheim99","qos":1')
        w.send("log")
        w.send("crash")
        all_said = "".join([words for _, words in w.answers()])
        for secret in ("geheim", "12345678", "4711"):
            assert secret not in all_said, all_said
    web = {"type": "internal", "name": "web", "api_key": "geheim", "login": [{"password": "geheim", "name": "me"}]}
    for keys, hidden in (
        ({"sensors": [web]}, ["password", "wifi_password"]),
        ({"user": "geheim", "password": ""}, ["password", "user", "wifi_password"]),  # a token
        ({"user": "geheim", "password": "geheim"}, ["password", "user", "wifi_password"]),
    ):
        with Commanded(**keys) as w:
            w.run(5000)
            w.send("config", "")
            words = w.answers("config")[-1][1]
            shown = json.loads(words)
            equal(sorted(set(GIVEN) - set(shown)), hidden)
            assert "geheim" not in words, words
    equal(shown["sensors"], [ROOM])


def test_a_new_configuration_is_kept_once_the_broker_is_reached_with_it():
    with Commanded() as w:
        w.run(5000)
        w.broker.inject("umqtt/n1/cmd/config", '{"interval_s":20,"qos":1,"user":null,"password":null}', 2)
        w.reset()
        ok, words = w.answers("config")[0]
        assert ok and words.startswith("interval_s, password, qos, user: on trial for 180 s"), words
        w.run(5000)
        equal(config_check.read()["interval_s"], 60, "not yet")
        w.run(12000)
        equal(w.answers("config")[1], (True, "kept: the broker was reached"))
        equal([name for name in ("probation", "trial") if name in sys.modules], [], "on the heap")
        equal(sorted(n for n in os.listdir(".") if n.startswith("config")), ["config.json"])
        cfg = config_check.read()
        equal((cfg["interval_s"], cfg["qos"], cfg["user"]), (20, 1, ""))
        w.run(400000)  # no reset
        equal({qos for topic, _, qos in w.broker.accepted[-3:] if topic.count("/") == 3}, {1})


def test_a_configuration_that_does_not_reach_the_broker_goes_back_by_itself():
    for change in (
        '{"wifi_ssid":"gone"}', '{"wifi_password":"another one"}', '{"broker":"10.9.9.9"}', '{"port":1999}',
        '{"broker":"10.9.9.9","commands":false}',
    ):  # fmt: skip
        with Commanded() as w:
            before = read("config.json")
            w.run(5000)
            w.broker.inject("umqtt/n1/cmd/config", change, 2)
            w.reset()
            began = w.clock.now
            w.reset(400000)
            assert 180000 <= w.clock.now - began < 300000, w.clock.now - began
            w.run(60000)
            ok, words = w.answers("config")[-1]
            assert not ok and "what was before is back" in words, words
            equal(read("config.json"), before)
            equal(sorted(n for n in os.listdir(".") if n.startswith("config")), ["config.json"])
            w.boot()
            w.run(60000)
            equal(len(w.answers("config")), 2, "told once")
            w.send("config", '{"interval_s":9}', ms=0)
            w.reset()
            w.run(15000)
            equal(config_check.read()["interval_s"], 9, "and the next one is taken")


def test_while_a_change_is_on_trial_another_is_refused_and_neither_is_lost():
    with Commanded() as w:
        w.run(5000)
        w.broker.inject("umqtt/n1/cmd/config", '{"keepalive_s":77}', 2)
        w.broker.inject("umqtt/n1/cmd/config", '{"timeout_s":9}', 2)
        w.broker.inject("umqtt/n1/cmd/interval", "44", 2)
        w.reset()
        w.run(5000)  # on trial
        w.send("config", '{"timeout_s":9}')
        w.send("interval", "44")
        w.run(10000)
        words = "another change is on trial: send this one again when that has ended"
        equal(w.answers("interval"), 2 * [(False, words)])
        equal(
            w.answers("config"),
            [(True, "keepalive_s: on trial for 180 s after a restart"), (False, words), (False, words),
             (True, "kept: the broker was reached")],
        )  # fmt: skip
        cfg = config_check.read()
        equal((cfg["keepalive_s"], cfg["timeout_s"], cfg["interval_s"]), (77, 10, 60))
        equal(sorted(n for n in os.listdir(".") if n.startswith("config")), ["config.json"])
        w.send("interval", "44")
        equal((w.answers("interval")[-1], config_check.read()["interval_s"]), ((True, "interval_s is 44"), 44))


def test_a_configuration_that_cannot_even_start_goes_back_at_once():
    import app

    with Commanded() as w:
        w.run(5000)
        w.broker.inject("umqtt/n1/cmd/config", '{"sensors":[{"type":"thermocouple"}]}', 2)
        raises(fake_board.Reset, w.run, 60000)
        sys.modules["config"] = config
        cfg = config.take()
        sys.modules["config"] = config
        raises(fake_board.Reset, app.run, cfg, w.clock.ticks_ms())
        w.boot()
        w.run(5000)
        ok, words = w.answers("config")[-1]
        assert not ok and words.startswith("not kept: config.json: sensors[0] of type thermocouple: "), words
        assert w.readings()
        equal(sorted(n for n in os.listdir(".") if n.startswith("config")), ["config.json"])


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
        with Commanded(ha_prefix="homeassistant") as w:
            for topic in others:
                w.broker.inject(topic, "x", retain=1)
            w.run(15000)
            w.broker.inject("umqtt/n1/cmd/config", json.dumps(change), 2)
            w.reset()
            w.run(5000)
            assert "homeassistant/sensor/n1/room_temperature/config" in w.broker.retained, "not yet: it is on trial"
            w.run(40000)
            own = set(w.broker.retained) - others
            equal(len(w.broker.retained) - len(own), 2, "those of others stay")
            equal({place: len([t for t in own if t.startswith(place)]) for place in kept}, kept, change)
            equal(len(own), sum(kept.values()), own)
            assert "/n1/" not in "".join(own) or w.node.client_id == "n1"
            equal(w.node.listener.turns, {})
            equal(w.broker.violations, [])


def test_a_name_that_was_given_up_is_no_trouble_while_all_slots_are_taken():
    import moved

    with Commanded(ha_prefix="homeassistant", interval_s=1, queue=500) as w:
        w.run(10000)
        moved.clear(w.node, {"client_id": "n0", "ha_prefix": "homeassistant"})
        equal([name for name in ("moved", "announcing", "announcement") if name in sys.modules], [], "forgotten")
        w.run(1000)
        assert "homeassistant/+/n0/#" in w.broker.kept("n1").subs
        w.broker.ack_ms = 3000
        w.run(30000)
        equal([line for line in w.said if "trying again" in line], [])
        w.broker.ack_ms = 0
        w.run(10000)
        assert "homeassistant/+/n0/#" not in w.broker.kept("n1").subs
        equal(w.node.listener.turns, {})


def test_a_sleeper_clears_what_it_left_under_its_old_name_in_the_wake_in_which_the_new_one_is_kept():
    with Commanded(deep_sleep=True, keep_in="rtc", ha_prefix="homeassistant") as w:
        raises(fake_board.Reset, w.boot().run)
        assert "homeassistant/switch/n1/stay_awake/config" in w.broker.retained
        w.broker.inject("umqtt/n1/cmd/config", '{"client_id":"n2","topic":"haus"}', 2)
        raises(fake_board.Reset, w.boot().run)
        raises(fake_board.Reset, w.boot().run)
        equal([topic for topic in w.broker.retained if "/n1/" in topic], [])
        assert "homeassistant/switch/n2/stay_awake/config" in w.broker.retained
        began = w.clock.now
        raises(fake_board.Reset, w.boot().run)
        assert w.clock.now - began < 3000, "once"


def test_a_sleeper_takes_its_commands_at_each_wake_and_stays_awake_when_asked():
    with Commanded(deep_sleep=True, keep_in="rtc") as w:
        slept = []

        def wake():
            got = raises(fake_board.Reset, w.boot().run)
            slept.append(got.args[1])
            w.clock.sleep_ms(got.args[1] or 1)

        for _ in range(2):
            wake()
        w.broker.inject("umqtt/n1/cmd/interval", "30", 1)
        wake()
        equal(w.answers("interval"), [(True, "interval_s is 30")])
        began = w.clock.now
        wake()
        assert w.clock.now - began <= 31000, "the next sleep is shorter"
        w.broker.inject("umqtt/n1/cmd/stay_awake", "120", 1, 1)
        for _ in range(2):
            began = w.clock.now
            before = len(w.readings())
            w.clock.at(60000, w.broker.inject, "umqtt/n1/cmd/read", "1", 1, 0)
            wake()
            assert 115000 < w.clock.now - began < 170000, w.clock.now - began
            assert len(w.readings()) - before >= 10, "it measures meanwhile"
        equal(set(w.answers("stay_awake")), {(True, "awake for 120 s")})
        equal(len(w.answers("read")), 2)
        w.clock.at(20000, w.broker.inject, "umqtt/n1/cmd/stay_awake", "", 1, 1)
        began = w.clock.now
        wake()
        assert w.clock.now - began < 60000
        equal(w.answers("stay_awake")[-1], (True, "it may sleep"))
        awake = []
        for _ in range(3):
            began = w.clock.now
            got = raises(fake_board.Reset, w.boot().run)
            awake.append(w.clock.now - began)
            w.clock.sleep_ms(got.args[1])
        assert max(awake) < 3000, awake
        equal(w.broker.violations, [])


def test_a_sleeper_tries_a_configuration_in_one_wake_and_goes_back_without_a_long_sleep():
    with Commanded(deep_sleep=True, keep_in="rtc", awake_ms=4000) as w:
        got = raises(fake_board.Reset, w.node.run)
        w.clock.sleep_ms(got.args[1])
        w.broker.inject("umqtt/n1/cmd/config", '{"broker":"10.9.9.9","interval_s":80000}', 1)
        raises(fake_board.Reset, w.boot().run)
        equal(raises(fake_board.Reset, w.boot().run).args[0], 2, "a reset, no sleep of 80000 s")
        raises(fake_board.Reset, w.boot().run)
        equal([ok for ok, _ in w.answers("config")], [True, False])
        w.broker.inject("umqtt/n1/cmd/config", '{"interval_s":100}', 1)
        raises(fake_board.Reset, w.boot().run)
        equal(raises(fake_board.Reset, w.boot().run).args[0], 4)
        equal(w.answers("config")[-1], (True, "kept: the broker was reached"))


def test_the_wake_of_a_sleepers_trial_ends_in_time_whatever_fails_in_it():
    with Commanded(deep_sleep=True, keep_in="rtc", awake_ms=4000) as w:
        asked = []

        def refuse(self, *how, **more):
            asked.append(how)
            raise RuntimeError("Wifi Unknown Error 0x0101")

        def begin():
            raises(fake_board.Reset, w.boot().run)
            w.broker.inject("umqtt/n1/cmd/config", '{"interval_s":80000}', 1)
            raises(fake_board.Reset, w.boot().run)
            return w.clock.now

        began = begin()
        real, network.WLAN.connect = network.WLAN.connect, refuse
        try:
            equal(raises(fake_board.Reset, w.boot().run).args[0], 2, "a reset, no sleep of 80000 s")
        finally:
            network.WLAN.connect = real
        assert 175000 < w.clock.now - began <= 180500 and len(asked) <= 181, (w.clock.now - began, len(asked))
        raises(fake_board.Reset, w.boot().run)
        assert "not kept" in w.answers("config")[-1][1], w.answers("config")

        began = begin()

        def back():  # late, and it acknowledges nothing
            w.net.plan = Plan()
            w.broker._incoming = lambda link, kept, p: None

        w.net.plan = Plan(refuse=True)
        w.clock.at(150000, back)
        raises(fake_board.Reset, w.boot().run)
        assert 175000 < w.clock.now - began <= 180500, w.clock.now - began


def test_a_broker_that_ends_the_connection_at_the_subscription_gets_the_readings_all_the_same():
    with Commanded() as w:
        w.broker._subscribe = lambda link, kept, p: w.broker._drop(link)
        w.run(600000)
        seqs = [r["seq"] for r in w.readings()]
        assert len(seqs) >= 16 and seqs == list(range(1, len(seqs) + 1)), seqs
        equal(len([line for line in w.said if line.startswith("commands: the broker ends")]), 1)
        assert len(w.broker.connects) < 8, len(w.broker.connects)


def test_a_broker_that_refuses_the_subscription_is_told_once():
    from fakes.packets import SUBACK, encode

    with Commanded() as w:
        w.broker._subscribe = lambda link, kept, p: w.broker._send(link, encode(SUBACK, p.pid, codes=(128,)))
        w.run(200000)
        equal(len([line for line in w.said if "check its ACL" in line]), 1)
        assert len(w.readings()) >= 6


def test_a_broker_that_forgot_is_asked_again():
    with Commanded() as w:
        w.run(5000)
        w.broker.stop()
        w.broker.forget()
        w.run(30000)
        w.send("read")
        equal(len(w.answers("read")), 1)


def test_diagnostics_come_once_at_each_start_retained():
    with Commanded(deep_sleep=True, keep_in="rtc") as w:
        for _ in range(3):
            got = raises(fake_board.Reset, w.boot().run)
            w.clock.sleep_ms(got.args[1])
        told = [json.loads(bytes(p).decode()) for t, p, _ in w.broker.accepted if t == "umqtt/n1/diag"]
        equal(len(told), 1, "a wake is no start")
        equal(told[0]["reset"], "power on")
        equal((told[0]["rssi_dbm"], told[0]["ip"], told[0]["interval_s"]), (-61, "127.0.0.1", 60))
        equal((told[0]["time"], told[0]["micropython"].count(".")), (NOW_S + told[0]["up_s"], 2))
        for key in ("version", "micropython", "port", "heap_b", "connects", "resends", "error", "ip", "up_s"):
            assert key in told[0], key
        assert "umqtt/n1/diag" in w.broker.retained
    with Commanded(diag=False) as w:
        w.run(30000)
        equal([t for t, _, _ in w.broker.accepted if t.endswith("/diag")], [])
    with Commanded() as w:
        fake_board.script["values"] = {}  # not one sensor answers
        w.run(5000)
        equal(len([t for t, _, _ in w.broker.accepted if t.endswith("/diag")]), 1)


def test_the_crash_log_comes_oldest_first_and_goes_once_the_broker_has_it():
    with Commanded() as w:
        log = "".join(["Traceback %d äöü\n" % i for i in range(90)])
        write("crash.log", log.encode())
        w.run(5000)
        taken = ""
        for i in range(3):
            w.send("crash")
            words = w.answers("crash")[-1][1]
            equal("send crash again" in words, i + 1 < 3 and len(log) > 1024 * (i + 1), words)
            taken += words.split("\n(")[0]
            assert taken.endswith("\n"), "whole lines"
            left_b = len(log.encode()) - len(taken.encode())
            assert not left_b or "\n(%d B more" % left_b in words, (left_b, words[-40:])
            if "crash.log" not in os.listdir("."):
                break
        equal(taken, log)
        write("crash.log", b"half a character \x80\xc3")
        w.send("crash")
        equal(w.answers("crash")[-1], (True, "half a character ??"))
        w.send("crash")
        equal(w.answers("crash")[-1], (True, "no crash since the last one that was taken"))


def test_an_empty_crash_log_is_none():
    with Commanded() as w:
        w.run(5000)
        write("crash.log", b"")
        w.send("crash")
        equal(w.answers("crash"), [(True, "no crash since the last one that was taken")])


def test_the_crash_log_stays_when_the_answer_does_not_arrive():
    with Commanded() as w:
        write("crash.log", b"Traceback\n")
        w.run(5000)
        link = w.broker.kept("n1").link
        w.broker.inject("umqtt/n1/cmd/crash", "", 0)
        link.plan = Plan(cut_out=link.out_b + 10, how="silence")
        w.run(2000)
        assert "crash.log" in os.listdir(".")
        w.run(300000)
        equal(w.answers("crash"), [(True, "Traceback\n")])
        assert "crash.log" not in os.listdir(".")


def test_the_last_lines_are_told_and_each_further_one_when_asked_for():
    with Commanded() as w:
        tail.keep(100)
        for i in range(30):
            print("line", i)
        w.run(5000)
        w.send("log", "2")
        equal(w.answers("log"), [(True, "line 28\nline 29\n")])
        w.send("log", "")
        assert w.answers("log")[-1][1].endswith("line 29\n")
        equal(len(w.answers("log")[-1][1].encode()), 100)
        w.send("log", "on 60")
        print("ä new", 1)
        print("second")
        w.run(6000)
        lines = [bytes(p).decode() for t, p, _ in w.broker.accepted if t == "umqtt/n1/log"]
        equal(lines, ["ä new 1", "second"])
        w.clock.sleep_ms(60000)
        w.run(6000)
        print("third")
        w.run(6000)
        equal(len([t for t, _, _ in w.broker.accepted if t == "umqtt/n1/log"]), 2, "a minute is over")
        w.send("log", "on")
        equal(w.answers("log")[-1], (True, "lines for 600 s"))
        for seconds, is_right in (("1", True), ("86400", True), ("86401", False), ("0", False)):
            w.send("log", "on " + seconds)
            equal(w.answers("log")[-1][0], is_right, seconds)
        w.send("log", "off")
        print("third")
        w.run(6000)
        equal(len([t for t, _, _ in w.broker.accepted if t == "umqtt/n1/log"]), 2)
    with Commanded() as w:
        tail.keep(4000)
        tail.total = 0
        w.run(5000)
        print("first")
        w.send("log")
        equal(w.answers("log"), [(True, "first\n")])
    with Commanded(log_b=0) as w:
        w.run(5000)
        w.send("log")
        assert "log_b is 0" in w.answers("log")[0][1]


def blinks(w, ticks=60):
    """What the light shows, a letter for each tick."""
    import machine_timer

    shown = ""
    for _ in range(ticks):
        machine_timer.the[-1].callback(None)
        w.clock.sleep_ms(machine_timer.the[-1].period_ms)
        shown += "#" if fake_board.shown[2] else "."
    return shown


def test_the_light_tells_what_is_wrong_by_its_blinks():
    with Commanded(led=2) as w:
        fake_board.script["wifi"] = {}
        w.run(5000)
        assert ".......#.......#......." in blinks(w), "once: no WiFi"
        fake_board.script["wifi"] = {"lab": "12345678"}
        w.net.plan = Plan(refuse=True)
        w.run(90000)
        assert ".......#.#.......#.#......." in blinks(w), "twice: no broker"
        w.net.plan = Plan()
        fake_board.script["values"] = {}
        w.run(90000)
        assert ".......#.#.#.......#.#.#......." in blinks(w), "three times: a sensor"
        fake_board.script["values"] = SCRIPT["values"]
        w.run(1500000)
        equal(blinks(w, 100).count("#"), 4, "well: a flash every 5 s")
        w.send("identify", "10")
        equal(w.answers("identify"), [(True, "blinking for 10 s")])
        assert ".#.#.#.#.#.#.#.#" in blinks(w, 20)
        w.clock.sleep_ms(10000)
        equal(blinks(w, 100).count("#"), 4)


def test_a_light_blinks_as_long_as_is_asked_ten_seconds_for_a_word_and_an_hour_at_most():
    with Commanded(led=2) as w:
        w.run(5000)
        for sent, seconds in (("1", 1), ("3600", 3600), ("", 10), ("PRESS", 10), ("  7 ", 7), ("-5", 10)):
            w.send("identify", sent)
            equal(w.answers("identify")[-1], (True, "blinking for %d s" % seconds), sent)
            left_ms = clock_ms_left(w)
            assert seconds * 1000 - 10000 <= left_ms <= seconds * 1000, (sent, left_ms)  # a turn
        for sent in ("0", "3601", "99999999"):
            w.send("identify", sent)
            equal(w.answers("identify")[-1], (False, "needed are 1 to 3600 s"), sent)


def clock_ms_left(w):
    from fakes.clock import ticks_diff

    return ticks_diff(w.node.led.t_end, w.clock.ticks_ms())


def test_a_day_awake_is_the_most_and_no_second_more():
    with Commanded() as w:
        w.run(5000)
        for sent, is_right in (("86400", True), ("86401", False), ("0", True), ("1.5", False), ("-1", False)):
            w.send("stay_awake", sent)
            equal(w.answers("stay_awake")[-1][0], is_right, sent)


def test_a_repetition_of_a_restart_in_qos_1_is_refused_and_one_in_qos_2_is_obeyed():
    import flags
    from commands import restart

    with Commanded() as w:
        w.run(5000)
        for given, is_refused in (
            (flags.DUP | flags.QOS_1, True),
            (flags.QOS_1, False),
            (flags.DUP, False),
            (0, False),
        ):
            try:
                words = restart.carry_out(w.node, b"1", given)
            except ValueError as e:
                words = str(e)
            equal("repetition" in words, is_refused, given)


def test_before_a_restart_the_sum_of_the_life_is_said():
    with Commanded() as w:
        w.run(5000)
        w.broker.inject("umqtt/n1/cmd/restart", "1", 2, 0)
        lines = w.said
        raises(fake_board.Reset, w.run, 60000)
        equal([line[:14] for line in lines if line.startswith("summary: ")], ["summary: taken"])


def test_an_update_without_a_key_is_refused_with_what_to_do():
    with Commanded(ota_key="") as w:
        w.broker.inject("umqtt/n1/cmd/ota", "umqtt-ota1 1 2 3 4", 1, 1)  # `make ota` sends it retained
        w.run(5000)
        w.send("ota", "umqtt-ota1 1 2 3 4")
        equal(len(w.answers("ota")), 2)
        for ok, words in w.answers("ota"):
            assert not ok and "there is no ota_key" in words and "make config" in words, words


def test_a_read_that_no_sensor_answers_says_so():
    with Commanded() as w:
        w.run(5000)
        values = fake_board.script["values"]
        fake_board.script["values"] = {}
        for _ in range(2):
            w.send("read")
        fake_board.script["values"] = values  # they are those of all tests here
        ok, words = w.answers("read")[-1]
        assert not ok and "no sensor answers" in words, w.answers("read")


def test_a_new_interval_is_told_to_home_assistant_and_begins_now():
    with Commanded(ha_prefix="homeassistant", interval_s=600, diag=True) as w:
        w.run(60000)
        before = len(w.broker.accepted)
        taken = w.node.taken
        w.send("interval", "30", ms=5000)
        told = [t for t, p, q in w.broker.accepted[before:]]
        equal(len([t for t in told if t.startswith("homeassistant/") and t.endswith("/config")]), 2)
        equal(w.node.taken, taken)
        w.run(20000)
        equal(w.node.taken, taken, "not before its time")
        w.run(10000)
        equal(w.node.taken, taken + 2)
        diags = [json.loads(bytes(p).decode()) for t, p, _ in w.broker.accepted if t == "umqtt/n1/diag"]
        equal([diag["interval_s"] for diag in diags], [600, 30])


def test_a_read_leaves_room_for_the_next_regular_readings():
    with Commanded(queue=12) as w:
        w.run(5000)
        node = w.node
        real = node.waiting
        for count, is_right in ((8, True), (9, False)):  # two readings of what is asked for, two of the next interval
            node.waiting = lambda: count  # noqa: B023
            try:
                from commands.read import carry_out

                said = carry_out(node, b"", 0)
            except ValueError as e:
                said = str(e)
            equal(said, "2 readings" if is_right else "9 readings wait to be sent: nothing was read")
        node.waiting = real


def test_a_commands_own_mistake_is_answered_and_stands_in_the_crash_log():
    def full(ms):
        raise MemoryError

    with Commanded() as w:
        w.run(5000)
        w.node.measure_in = full
        w.send("read")
        equal(w.answers("read")[-1], (False, "no memory for it: fewer sensors, a shorter queue, or a restart"))
        w.node.measure_in = None
        w.send("read")
        del w.node.measure_in
        ok, words = w.answers("read")[-1]
        assert not ok and words.startswith("it failed: TypeError"), words
        assert b"TypeError" in read("crash.log")
        w.send("read")
        equal(w.answers("read")[-1], (True, "2 readings"))


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
