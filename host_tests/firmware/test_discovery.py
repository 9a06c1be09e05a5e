"""What Home Assistant is told, when, and what is taken back. A real one reads it in host_tests/homeassistant."""

import json
import sys

from fakes.check import equal
from fakes.net import Plan
from on_board import World

import fake_board
import power
from umqtt import __version__

ROOM = {"type": "dht22", "name": "room", "pin": 4}
ROOM_VALUES = {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}
SCRIPT = {"wifi": {"lab": "12345678"}, "values": ROOM_VALUES}
TEMPERATURE = "homeassistant/sensor/n1/room_temperature/config"
HUMIDITY = "homeassistant/sensor/n1/room_humidity/config"


def announced(w):
    """Topic and content of each announcement, in order; None of one that was cleared."""
    found = [(t, bytes(p).decode()) for t, p, qos in w.broker.accepted if t.startswith("homeassistant/")]
    return [(t, json.loads(p) if p else None) for t, p in found]


def topics(w):
    return [topic for topic, _ in announced(w)]


def test_home_assistant_is_told_of_each_quantity_once_it_was_found():
    pool = {"type": "ds18b20", "name": "pool 1", "pin": 5}
    w = World(SCRIPT, sensors=[ROOM, pool], ha_prefix="homeassistant", ha_url="http://wiki/n1")
    w.run(30000)
    equal(topics(w), [TEMPERATURE, HUMIDITY])
    equal([line for line in w.said if "trying again" in line and "sensor pool" not in line], [])
    equal([name for name in ("announcing", "announcement") if name in sys.modules], [], "forgotten again")
    told = announced(w)[0][1]
    model = told["dev"].pop("mdl")
    assert model and isinstance(model, str)
    hw = told["dev"].pop("hw")
    assert hw and isinstance(hw, str)
    equal(
        told,
        {
            "name": "room temperature",
            "uniq_id": "n1_room_temperature",
            "stat_t": "umqtt/n1/room/temperature",
            "avty_t": "umqtt/n1/status",
            "unit_of_meas": "°C",
            "dev_cla": "temperature",
            "stat_cla": "measurement",
            "sug_dsp_prc": 1,
            "exp_aft": 90,
            "o": {"name": "umqtt-node", "sw": __version__},
            "val_tpl": "{{value_json.value}}",
            "dev": {"ids": ["n1"], "name": "n1", "mf": "umqtt-node", "sw": __version__, "cu": "http://wiki/n1"},
        },
    )
    assert told["stat_t"] in [t for t, p, qos in w.broker.accepted]
    assert TEMPERATURE in w.broker.retained
    fake_board.script["values"] = dict(ROOM_VALUES)
    fake_board.script["values"]["ds18b20 5"] = [18.5]
    w.run(900000)
    w.broker.stop()
    w.run(30000)
    equal(topics(w)[2:], ["homeassistant/sensor/n1/pool_1_temperature-2b83775c/config"])


def test_home_assistant_is_told_nothing_unless_asked():
    w = World(SCRIPT, sensors=[ROOM])
    w.run(30000)
    equal(announced(w), [])


def test_commands_are_buttons_a_number_and_a_switch():
    w = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant", commands=True, led=0)
    w.run(60000)
    told = dict(announced(w)[2:])
    kinds = {topic.split("/")[1] + " " + topic.split("/")[3]: content for topic, content in told.items()}
    equal(sorted(kinds), ["button identify", "button read", "button restart", "number interval"])
    interval = kinds["number interval"]
    equal((interval["cmd_t"], interval["qos"], interval["stat_t"]), ("umqtt/n1/cmd/interval", 2, "umqtt/n1/diag"))
    equal(kinds["button restart"]["uniq_id"], "n1_cmd_restart")
    equal(len(announced(w)), 6)


def test_without_a_light_nothing_says_that_one_can_be_blinked():
    w = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant", commands=True)
    w.run(60000)
    assert "homeassistant/button/n1/identify/config" not in topics(w)


def test_when_home_assistant_starts_it_is_told_again_and_given_the_values():
    w = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant", interval_s=3600)
    w.run(30000)
    equal(len(w.readings("room/temperature")), 1)
    w.broker.inject("homeassistant/status", b"online")
    w.run(30000)
    equal(topics(w), [TEMPERATURE, HUMIDITY] * 2)
    equal(len(w.readings("room/temperature")), 2)
    w.broker.inject("homeassistant/status", b"offline")
    w.run(30000)
    equal(len(announced(w)), 4)


def test_births_in_a_row_cost_one_measurement_and_no_reading():
    w = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant", interval_s=60, queue=8)
    w.run(20000)
    before = len(w.readings())
    for _ in range(100):
        w.broker.inject("homeassistant/status", "online", 0)
        w.run(100)
    w.run(20000)
    equal(w.node.dropped, 0)
    assert 2 <= len(w.readings()) - before <= 6, len(w.readings()) - before


def test_a_value_that_has_not_changed_comes_again_for_home_assistant():
    script = {"wifi": {"lab": "12345678"}, "values": {"dht22 4": [[21.5, 40.2]]}}
    w = World(script, sensors=[dict(ROOM, delta={"temperature": 1}, send_every_s=86400)], ha_prefix="homeassistant")
    w.run(60000)
    equal(len(w.readings("room/temperature")), 1)
    w.broker.inject("homeassistant/status", b"online")
    w.run(60000)
    equal(len(w.readings("room/temperature")), 2)


def test_a_broker_that_has_forgotten_is_told_again():
    w = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant")
    w.run(30000)
    w.broker.stop()
    w.broker.forget()
    w.run(60000)
    equal(topics(w), [TEMPERATURE, HUMIDITY] * 2)


def test_a_sensor_that_is_gone_is_cleared_and_nobody_elses():
    w = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant")
    gone = "homeassistant/sensor/n1/cellar_temperature/config"
    button = "homeassistant/button/n1/restart/config"
    others = ("homeassistant/sensor/n2/cellar_temperature/config", "homeassistant/sensor/n1/notes")
    for topic in (gone, button) + others:
        w.broker.inject(topic, b'{"name":"' + b"x" * 500 + b'"}', retain=1)
    w.run(60000)
    assert gone not in w.broker.retained and button not in w.broker.retained
    for topic in others + (TEMPERATURE, HUMIDITY):
        assert topic in w.broker.retained, topic
    equal(len([1 for _, content in announced(w) if content is None]), 2)
    equal(sorted(w.broker.kept("n1").subs), ["homeassistant/status"], "it asks no more")
    equal([name for name in ("announcing", "announcement") if name in sys.modules], [])


def test_a_board_that_wakes_asks_for_no_leftovers():
    real, power.cause = power.cause, lambda: power.WOKE
    try:
        w = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant")
        equal(w.node.announcer.look, None)
    finally:
        power.cause = real


def test_readings_wait_until_home_assistant_has_subscribed_though_the_link_fell_meanwhile():
    w = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant", interval_s=1)
    accept, taken = w.broker._accept, []

    def note(p):
        taken.append((w.clock.now, p.topic))
        accept(p)

    w.broker._accept = note
    while len(topics(w)) < 2:
        w.node.turn()
    w.net.plan = Plan(refuse=True)
    w.broker.stop()
    w.broker.forget()
    w.run(30000)
    equal(w.readings(), [], "the first connection was too short")
    w.net.plan = Plan()
    w.run(60000)
    equal(len(topics(w)), 4)
    told_ms = [ms for ms, topic in taken if topic == HUMIDITY][-1]
    first_ms = [ms for ms, topic in taken if "/room/" in topic][0]
    assert 1500 <= first_ms - told_ms <= 2600, first_ms - told_ms


def test_leftovers_are_no_trouble_while_all_slots_are_taken():
    w = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant", interval_s=1, queue=500)
    w.broker.ack_ms = 3000  # for two readings a second
    w.run(60000)
    equal([line for line in w.said if "trying again" in line], [])
    w.broker.ack_ms = 0
    w.run(10000)
    equal(sorted(w.broker.kept("n1").subs), ["homeassistant/status"])
