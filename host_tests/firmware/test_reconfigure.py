"""The configuration changed from afar: kept once the broker is reached with it, taken back by itself if not; no answer
holds a secret, nothing stays under a name that was given up."""

import json
import os
import sys

from commanded import GIVEN, ROOM, Commanded
from fakes.check import equal, raises
from fakes.folder import read
from fakes.net import Plan

import config
import config_check
import fake_board
import network


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
    cloud = {
        "type": "internal",
        "name": "cloud",
        "token": "geheim",
        "apiKey": "geheim",
        "wpa_pass": "geheim",
        "Key": "geheim",
    }
    for keys, hidden in (
        ({"sensors": [web, cloud]}, ["password", "wifi_password"]),
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


def test_a_board_with_a_journal_hears_nothing_more_under_a_name_that_was_given_up():
    for change, subs in (
        ({"ha_prefix": "ha"}, ["ha/status", "umqtt/n1/cmd/+"]),
        ({"ha_prefix": None}, ["umqtt/n1/cmd/+"]),
        ({"topic": "haus"}, ["haus/n1/cmd/+", "homeassistant/status"]),
        ({"qos": 1}, ["homeassistant/status", "umqtt/n1/cmd/+"]),
    ):
        with Commanded(keep_in="flash", ha_prefix="homeassistant") as world:
            world.run(15000)
            world.broker.inject("umqtt/n1/cmd/config", json.dumps(change), 2)
            world.reset()
            world.run(40000)
            equal(sorted(world.broker.kept("n1").subs), subs)


def test_a_name_that_was_given_up_is_no_trouble_while_all_slots_are_taken():
    import moved

    with Commanded(ha_prefix="homeassistant", interval_s=1, queue=500) as world:
        world.run(10000)
        gone = "homeassistant/sensor/n0/room_temperature/config"
        world.broker.inject(gone, b"{}", retain=1)
        publish, took_ms = world.node.client.publish, []

        def timed(*message):
            before = world.clock.now
            pid = publish(*message)
            took_ms.append(world.clock.now - before)
            return pid

        world.node.client.publish = timed
        world.broker.ack_ms = 100
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
        assert max(took_ms) < 100, "no turn waits for an acknowledgement"


def test_a_sleeper_clears_what_it_left_under_its_old_name_in_the_wake_in_which_the_new_one_is_kept():
    with Commanded(deep_sleep=True, keep_in="rtc", ha_prefix="homeassistant") as world:
        raises(fake_board.Reset, world.boot().run)
        assert "homeassistant/switch/n1/stay_awake/config" in world.broker.retained
        world.broker.inject("umqtt/n1/cmd/config", '{"client_id":"n2","topic":"haus"}', 2)
        raises(fake_board.Reset, world.boot().run)
        raises(fake_board.Reset, world.boot().run)
        equal([topic for topic in world.broker.retained if "/n1/" in topic], [])
        assert "homeassistant/switch/n2/stay_awake/config" in world.broker.retained
        equal(list(world.broker.kept("n2").subs), ["haus/n2/cmd/+"], "it asks no more")
        began = world.clock.now
        raises(fake_board.Reset, world.boot().run)
        assert world.clock.now - began < 3000, "once"


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
        world.broker.inject("umqtt/n1/cmd/config", '{"commands":false}', 1)
        raises(fake_board.Reset, world.boot().run)
        equal(raises(fake_board.Reset, world.boot().run).args[0], 4, "kept once all is sent: it hears nothing")


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
        equal(raises(fake_board.Reset, world.boot().run).args[0], 2, "nothing was sent: it is not kept")
        assert 175000 < world.clock.now - began <= 180500, world.clock.now - began
