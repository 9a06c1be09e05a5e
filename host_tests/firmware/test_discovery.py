"""What Home Assistant is told, when, and what is taken back. A real one reads it in host_tests/homeassistant."""

import json
import sys

from fakes.check import equal
from fakes.net import Plan
from on_board import World

import fake_board
import power
from announcement import announcement
from umqtt import __version__

ROOM = {"type": "dht22", "name": "room", "pin": 4}
ROOM_VALUES = {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}
SCRIPT = {"wifi": {"lab": "12345678"}, "values": ROOM_VALUES}
TEMPERATURE = "homeassistant/sensor/n1/room_temperature/config"
HUMIDITY = "homeassistant/sensor/n1/room_humidity/config"


def announced(world):
    """Topic and content of each announcement, in order; None of one that was cleared."""
    found = [
        (topic, bytes(packet).decode())
        for topic, packet, qos in world.broker.accepted
        if topic.startswith("homeassistant/")
    ]
    return [(topic, json.loads(packet) if packet else None) for topic, packet in found]


def topics(world):
    return [topic for topic, _ in announced(world)]


def test_home_assistant_is_told_of_each_quantity_once_it_was_found():
    pool = {"type": "ds18b20", "name": "pool 1", "pin": 5}
    world = World(SCRIPT, sensors=[ROOM, pool], ha_prefix="homeassistant", ha_url="http://wiki/n1")
    world.run(30000)
    equal(topics(world), [TEMPERATURE, HUMIDITY])
    equal([line for line in world.said if "trying again" in line and "sensor pool" not in line], [])
    equal([name for name in ("announcing", "announcement") if name in sys.modules], [], "forgotten again")
    told = announced(world)[0][1]
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
    assert told["stat_t"] in [topic for topic, packet, qos in world.broker.accepted]
    assert TEMPERATURE in world.broker.retained
    fake_board.script["values"] = dict(ROOM_VALUES)
    fake_board.script["values"]["ds18b20 5"] = [18.5]
    world.run(900000)
    world.broker.stop()
    world.run(30000)
    equal(topics(world)[2:], ["homeassistant/sensor/n1/pool_1_temperature-2b83775c/config"])


def test_home_assistant_is_told_nothing_unless_asked():
    world = World(SCRIPT, sensors=[ROOM])
    world.run(30000)
    equal(announced(world), [])


def test_commands_are_buttons_a_number_and_a_switch():
    world = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant", commands=True, led=0)
    world.run(60000)
    told = dict(announced(world)[2:])
    kinds = {topic.split("/")[1] + " " + topic.split("/")[3]: content for topic, content in told.items()}
    equal(sorted(kinds), ["button identify", "button read", "button restart", "number interval"])
    interval = kinds["number interval"]
    equal((interval["cmd_t"], interval["qos"], interval["stat_t"]), ("umqtt/n1/cmd/interval", 2, "umqtt/n1/diag"))
    equal(kinds["button restart"]["uniq_id"], "n1_cmd_restart")
    equal(len(announced(world)), 6)
    equal([kind for kind in sorted(kinds) if "stat_t" in kinds[kind]], ["number interval"])
    world = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant", commands=True, diag=False)
    world.run(60000)
    assert "stat_t" not in dict(announced(world))["homeassistant/number/n1/interval/config"], "nothing tells its value"


def test_without_a_light_nothing_says_that_one_can_be_blinked():
    world = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant", commands=True)
    world.run(60000)
    assert "homeassistant/button/n1/identify/config" not in topics(world)


def test_when_home_assistant_starts_it_is_told_again_and_given_the_values():
    world = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant", interval_s=3600)
    world.run(30000)
    equal(len(world.readings("room/temperature")), 1)
    world.broker.inject("homeassistant/status", b"online")
    world.run(30000)
    equal(topics(world), [TEMPERATURE, HUMIDITY] * 2)
    equal(len(world.readings("room/temperature")), 2)
    world.broker.inject("homeassistant/status", b"offline")
    world.run(30000)
    equal(len(announced(world)), 4)
    world.broker.stop()
    world.broker.forget()
    world.run(60000)
    equal((len(announced(world)), len(world.readings("room/temperature"))), (6, 2), "a birth is answered once")


def test_births_in_a_row_cost_one_measurement_and_no_reading():
    world = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant", interval_s=60, queue=8)
    world.run(20000)
    before = len(world.readings())
    for _ in range(100):
        world.broker.inject("homeassistant/status", "online", 0)
        world.run(100)
    world.run(20000)
    equal(world.node.dropped, 0)
    assert 2 <= len(world.readings()) - before <= 6, len(world.readings()) - before


def test_a_value_that_has_not_changed_comes_again_for_home_assistant():
    script = {"wifi": {"lab": "12345678"}, "values": {"dht22 4": [[21.5, 40.2]]}}
    world = World(script, sensors=[dict(ROOM, delta={"temperature": 1}, send_every_s=86400)], ha_prefix="homeassistant")
    world.run(60000)
    equal(len(world.readings("room/temperature")), 1)
    world.broker.inject("homeassistant/status", b"online")
    world.run(60000)
    equal(len(world.readings("room/temperature")), 2)


def test_a_broker_that_has_forgotten_is_told_again():
    world = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant")
    world.run(30000)
    world.broker.stop()
    world.broker.forget()
    world.run(60000)
    equal(topics(world), [TEMPERATURE, HUMIDITY] * 2)


def test_a_sensor_that_is_gone_is_cleared_and_nobody_elses():
    world = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant")
    gone = "homeassistant/sensor/n1/cellar_temperature/config"
    button = "homeassistant/button/n1/restart/config"
    others = ("homeassistant/sensor/n2/cellar_temperature/config", "homeassistant/sensor/n1/notes")
    for topic in (gone, button) + others:
        world.broker.inject(topic, b'{"name":"' + b"x" * 500 + b'"}', retain=1)
    pump = world.broker._pump
    world.broker._pump = lambda kept: world.clock.at(3000, pump, kept)  # it takes its time over what is retained
    subscribe, asked = world.broker._subscribe, []
    world.broker._subscribe = lambda *packet: asked.append(packet) or subscribe(*packet)
    world.run(60000)
    equal(len(asked), 2, "once for births, once for what is left")
    assert gone not in world.broker.retained and button not in world.broker.retained
    for topic in others + (TEMPERATURE, HUMIDITY):
        assert topic in world.broker.retained, topic
    equal(len([1 for _, content in announced(world) if content is None]), 2)
    equal(sorted(world.broker.kept("n1").subs), ["homeassistant/status"], "it asks no more")
    equal([name for name in ("announcing", "announcement") if name in sys.modules], [])


def test_a_board_that_wakes_asks_for_no_leftovers():
    real, power.cause = power.cause, lambda: power.WOKE
    try:
        world = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant")
        equal(world.node.announcer.look, None)
    finally:
        power.cause = real


def test_readings_wait_until_home_assistant_has_subscribed_though_the_link_fell_meanwhile():
    world = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant", interval_s=1)
    accept, taken = world.broker._accept, []

    def note(packet):
        taken.append((world.clock.now, packet.topic))
        accept(packet)

    world.broker._accept = note
    while len(topics(world)) < 2:
        world.node.turn()
    world.net.plan = Plan(refuse=True)
    world.broker.stop()
    world.broker.forget()
    world.run(30000)
    equal(world.readings(), [], "the first connection was too short")
    world.net.plan = Plan()
    world.run(60000)
    equal(len(topics(world)), 4)
    told_ms = [ms for ms, topic in taken if topic == HUMIDITY][-1]
    first_ms = [ms for ms, topic in taken if "/room/" in topic][0]
    assert 1500 <= first_ms - told_ms <= 2600, first_ms - told_ms
    world.broker.ack_ms = 1000
    del taken[:]
    world.broker.inject("homeassistant/status", "online", 0)
    world.run(10000)
    told_ms = [ms for ms, topic in taken if topic == HUMIDITY][-1]
    first_ms = [ms for ms, topic in taken if "/room/" in topic and ms > told_ms][0]
    assert 2500 <= first_ms - told_ms <= 4600, "its acknowledgement says that it is told: %d" % (first_ms - told_ms)


def test_leftovers_are_no_trouble_while_all_slots_are_taken():
    world = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant", interval_s=1, queue=500)
    world.broker.ack_ms = 3000  # for two readings a second
    world.run(60000)
    equal([line for line in world.said if "trying again" in line], [])
    world.broker.ack_ms = 0
    world.run(10000)
    equal(sorted(world.broker.kept("n1").subs), ["homeassistant/status"])


def test_the_announcement_of_a_quantity_of_the_board_itself_and_of_one_that_is_sent_on_change_says_so():
    script = dict(SCRIPT, values=dict(ROOM_VALUES, chip=[41]))
    room = dict(ROOM, delta={"temperature": 1}, send_every_s=600)
    world = World(script, sensors=[room, {"type": "internal", "name": "chip"}], ha_prefix="homeassistant")
    world.run(30000)
    told = dict(announced(world))
    equal(told[TEMPERATURE]["exp_aft"], 3 * 10 + 60 + 600)
    world.node.cfg["deep_sleep"], world.node.cfg["connect_every"] = True, 6  # what it reads comes a minute apart
    payload = announcement(world.node.announcer, world.node.sources[0], 1)[1]
    equal(json.loads(payload)["exp_aft"], 3 * 60 + 60 + 600)
    kinds = {topic.split("/")[3].split("_")[0]: content.get("ent_cat") for topic, content in told.items()}
    equal(kinds, {"room": None, "chip": "diagnostic"})


def swallowing(world, *topics):
    """The broker does not acknowledge messages under these topics. Returns those that it has swallowed."""
    incoming, swallowed = world.broker._incoming, []

    def all_but_some(link, kept, packet):
        if packet.topic in topics:
            return swallowed.append(packet)
        return incoming(link, kept, packet)

    world.broker._incoming = all_but_some
    return swallowed


def test_an_announcement_that_the_broker_does_not_acknowledge_holds_up_nothing_and_comes_with_the_next_connection():
    button = "homeassistant/button/n1/read/config"
    world = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant", commands=True)
    incoming = world.broker._incoming
    swallowed = swallowing(world, TEMPERATURE, button)
    world.run(100000)
    equal(sorted(packet.topic for packet in swallowed), [button, TEMPERATURE])
    words = "Home Assistant: the broker does not acknowledge what announces "
    equal([line for line in world.said if words in line], [words + "room", words + "commands"])
    equal([line for line in world.said if "trying again" in line], [])
    equal(topics(world), ["homeassistant/button/n1/restart/config"])
    assert len(world.readings("room/temperature")) > 5, "readings go on"
    equal(world.node.client.inflight, 0)
    world.broker._incoming = incoming
    world.broker.stop()
    world.run(60000)
    told = topics(world)[1:]
    equal([told.count(topic) for topic in (TEMPERATURE, HUMIDITY, button)], [1, 1, 1])
    world.broker.stop()
    world.run(60000)
    equal(topics(world)[1:], told, "a broker that has not forgotten is told nothing again")
    equal(len([line for line in world.said if "trying again" in line]), 2, world.said)


def test_a_broker_that_forgot_what_it_had_not_acknowledged_is_told_all_of_it():
    world = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant")
    incoming = world.broker._incoming
    swallowing(world, TEMPERATURE)
    world.run(3000)
    assert world.node.client.inflight and not topics(world)
    world.broker._incoming = incoming
    world.broker.stop()
    world.broker.forget()
    world.run(30000)
    assert TEMPERATURE in world.broker.retained and HUMIDITY in world.broker.retained


def test_a_board_that_starts_again_tells_all_to_a_broker_that_has_its_session():
    from test_durable import Board

    import durable

    with Board(keep_in="flash", ha_prefix="homeassistant", commands=True) as board:
        for _ in range(2):
            board.boot(durable.DurableNode)
            board.run(20000)
        equal(len(topics(board)), 2 * 5)
        equal([topics(board).count(topic) for topic in set(topics(board))], [2] * 5)
        equal([line for line in board.said if "trying again" in line], [])


def test_a_stop_before_there_is_a_broker_waits_for_no_announcement():
    import ending

    world = World(SCRIPT, sensors=[ROOM], ha_prefix="homeassistant")
    world.net.plan = Plan(refuse=True)
    world.run(5000)
    equal(ending.busy(world.node), True, "readings wait")
    world.node.queue.drop(world.node.waiting())
    equal(ending.busy(world.node), True, "to be heard: a birth")
    world.node.listener = None
    equal(ending.busy(world.node), False)


def test_readings_wait_no_longer_than_timeout_s_for_announcements_that_take_their_time():
    rooms = [dict(ROOM, name="room %d" % i) for i in range(4)]
    world = World(SCRIPT, sensors=rooms, ha_prefix="homeassistant", interval_s=60, timeout_s=10)
    world.clock.sleep_ms(60000)
    began = world.clock.now
    world.broker.ack_ms = 2000  # eight of them
    while not world.readings():
        world.node.turn()
    waited_ms = world.clock.now - began - 6000  # CONNACK twice, and the message on its way
    assert 9500 <= waited_ms <= 12500, waited_ms
    equal([line for line in world.said if "does not acknowledge" in line], [], "each has timeout_s")


def test_a_board_that_rests_with_a_low_battery_is_not_gone():
    cell = {"type": "battery", "name": "cell", "pin": 34, "sleep_s": 7200}
    world = World(SCRIPT, sensors=[ROOM, cell], ha_prefix="homeassistant", interval_s=60)
    for deep_sleep, rest_s in ((False, 0), (True, 7200)):
        world.node.cfg["deep_sleep"] = deep_sleep  # an awake one says "offline" before it rests
        payload = announcement(world.node.announcer, world.node.sources[0], 0)[1]
        equal(json.loads(payload)["exp_aft"], 3 * 60 + 60 + rest_s)
