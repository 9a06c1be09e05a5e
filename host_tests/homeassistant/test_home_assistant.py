"""What a real Home Assistant shows of a node: entities, states, complaints, repairs. When it is told what:
host_tests/firmware/test_discovery.py."""

import json
import threading
from types import SimpleNamespace

import pytest
from paho.mqtt.client import CallbackAPIVersion, Client

ROOM = ("sensor.n1_room_temperature", "sensor.n1_room_humidity")
CHIP = ("sensor.n1_chip_uptime", "sensor.n1_chip_heap")
UNKNOWN = (None, "unknown", "unavailable")


def has_values(*ids):
    """Whether all of them show a value."""
    return lambda entities: all(name in entities and entities[name]["state"] not in UNKNOWN for name in ids)


def content(home):
    """Nothing is wrong for it."""
    assert home.complaints == [] and home.show()["repairs"] == []


def test_a_new_node_is_there_whole_and_after_home_assistants_restart(home, node):
    node(ha_url="http://example.org/n1", commands=True, led=2)
    shown = home.until(has_values(*ROOM, *CHIP))
    temperature = shown["sensor.n1_room_temperature"]
    assert {name: temperature[name] for name in ("unit_of_measurement", "device_class", "state_class")} == {
        "unit_of_measurement": "°C", "device_class": "temperature", "state_class": "measurement"
    }  # fmt: skip
    assert temperature["name"] == "n1 room temperature" and temperature["precision"] == 1
    assert temperature["expire_s"] == 61 and temperature["category"] is None
    assert all(shown[name]["category"] == "diagnostic" for name in CHIP)
    (device,) = home.show()["devices"]
    assert device["name"] == "n1" and device["manufacturer"] == "umqtt-node" and device["model"] and device["sw"]
    assert device["url"] == "http://example.org/n1"
    wanted = {"button.n1_restart", "button.n1_read", "button.n1_identify", "number.n1_interval"}
    home.until(lambda entities: wanted <= set(entities))
    content(home)
    before = set(home.entities())
    home.restart()
    assert set(home.until(has_values(*ROOM, *CHIP))) == before
    content(home)


def test_a_button_and_a_number_reach_the_board(home, node):
    board = node(commands=True, interval_s=60)
    home.until(lambda entities: entities.get("number.n1_interval", {}).get("state") == "60")
    home.call("number.set_value", "number.n1_interval", value=5)
    home.until(lambda entities: entities["number.n1_interval"]["state"] == "5")
    home.call("button.press", "button.n1_restart")
    home.until(lambda _: board.is_running() and board.starts > 1)
    home.until(lambda entities: entities["number.n1_interval"]["state"] == "5")
    content(home)


def test_a_broker_that_forgets_everything_and_a_node_that_leaves(home, broker, node):
    board = node()
    home.until(has_values(*ROOM))
    broker.stop()
    broker.start_again()
    home.until(has_values(*ROOM))
    board.stop()
    home.until(lambda entities: entities[ROOM[0]]["state"] == "unavailable")
    assert not [line for line in home.complaints if "homeassistant.components.mqtt" in line and "discovery" in line]


@pytest.mark.parametrize("client_id", ["haus/eg 1", 'Kü"che\\', "a.b"])
def test_any_name_is_an_entity(home, node, client_id):
    sensors = [{"type": "dht22", "name": name, "pin": 4} for name in ("tank 1", "tank-1", 'the "old" one')]
    node(client_id=client_id, sensors=sensors)
    shown = home.until(lambda entities: len([e for e in entities.values() if e["state"] not in UNKNOWN]) >= 6)
    assert {e["device"] for e in shown.values() if e["device"]} == {client_id}
    assert len({e["unique_id"] for e in shown.values()} - {None}) == 6
    content(home)


def test_a_sensor_that_is_gone_is_gone_there(home, node):
    both = [{"type": "dht22", "name": name, "pin": 4} for name in ("room", "cellar")]
    board = node(sensors=both)
    home.until(has_values(*ROOM, "sensor.n1_cellar_temperature"))
    board.stop()
    node(sensors=both[:1])
    home.until(lambda entities: "sensor.n1_cellar_temperature" not in entities)
    assert ROOM[0] in home.entities()
    content(home)


def retained(broker):
    """Topics of discovery messages that the broker keeps, in alphabetical order."""
    topics = []
    client = Client(CallbackAPIVersion.VERSION2)
    all_came = threading.Event()

    def on_message(_client, _data, message):
        if message.topic == "mark":  # which comes behind them
            all_came.set()
        else:
            topics.append(message.topic)

    client.on_message = on_message
    client.on_subscribe = lambda *_: client.publish("mark", "", 1)
    client.connect("127.0.0.1", broker.port)
    client.subscribe([("homeassistant/+/n1/#", 1), ("mark", 1)])
    client.loop_start()
    assert all_came.wait(120)
    client.disconnect()
    client.loop_stop()
    return sorted(topics)


COMMANDS = ("button.n1_restart", "button.n1_read", "number.n1_interval")
ONE_MESSAGE = ["homeassistant/device/n1/config"]


def test_one_message_for_the_whole_board_shows_the_same_as_one_for_each_quantity(home, broker, node):
    board = node(commands=True)
    home.until(has_values(*ROOM, *CHIP, "number.n1_interval"))
    home.until(lambda entities: set(COMMANDS) <= set(entities))
    apart, device = shown(home)
    board.stop()
    node(commands=True, ha_device=True, client_id="n2", topic="other")
    ids = {name.replace("n1", "n2") for name in apart}
    home.until(lambda entities: ids <= set(entities))
    home.until(has_values(*(name.replace("n1", "n2") for name in (*ROOM, *CHIP))))
    whole, second = shown(home, "n2")
    assert json.loads(json.dumps(whole).replace("n2", "n1")) == apart
    of_its_own = {"name": "", "identifiers": []}
    assert {**second, **of_its_own} == {**device, **of_its_own}
    content(home)


def shown(home, client_id="n1"):
    """What it shows of the entities of a node, but their states; and of its device."""
    now = home.show()
    own = {name: each for name, each in now["entities"].items() if each["device"] == client_id}
    (device,) = [each for each in now["devices"] if each["name"] == client_id]
    return {name: {key: value for key, value in each.items() if key != "state"} for name, each in own.items()}, device


def test_the_form_is_changed_and_changed_back_without_a_second_entity_or_one_that_is_lost(home, broker, node):
    board = node(commands=True)
    home.until(has_values(*ROOM, *CHIP, "number.n1_interval"))
    home.until(lambda entities: set(COMMANDS) <= set(entities))
    before = set(home.entities())
    apart = retained(broker)
    assert len(apart) == len(before)
    board = again(board, ha_device=True)
    home.until(has_values(*ROOM, *CHIP, "number.n1_interval"))
    assert (set(home.entities()), retained(broker)) == (before, ONE_MESSAGE)
    content(home)
    home.restart()
    assert set(home.until(has_values(*ROOM, *CHIP))) == before
    board = again(board)
    home.until(lambda _: retained(broker) == apart)
    home.until(has_values(*ROOM, *CHIP, "number.n1_interval"))
    assert set(home.entities()) == before
    # Home Assistant's own words about its own way back: the message is cleared when it has let go of all
    assert [line for line in home.complaints if "No device components to cleanup" not in line] == []


def again(board, **changed):
    """The same board, started again with another config.json."""
    board.stop()
    (board.root / "stop").unlink()
    given = json.loads((board.root / "config.json").read_text())
    given.pop("ha_device", None)
    (board.root / "config.json").write_text(json.dumps({**given, **changed}))
    board.start()
    return board


def test_a_sensor_that_is_gone_is_gone_from_the_one_message_too(home, node):
    both = [{"type": "dht22", "name": name, "pin": 4} for name in ("room", "cellar")]
    board = node(sensors=both, ha_device=True)
    home.until(has_values(*ROOM, "sensor.n1_cellar_temperature"))
    again(board, sensors=both[:1], ha_device=True)
    home.until(lambda entities: "sensor.n1_cellar_temperature" not in entities)
    assert ROOM[0] in home.entities()
    content(home)


# what drivers measure: quantity, unit, decimals
FIELDS = (
    ("temperature", "°C", 2), ("humidity", "%", 2), ("pressure", "hPa", 2), ("co2", "ppm", 0), ("illuminance", "lx", 1),
    ("voltage", "V", 3), ("battery", "%", 0), ("low", "", 0), ("uptime", "s", 0), ("heap", "B", 0), ("rssi", "dBm", 0),
    ("awake", "s", 0), ("reset", "", None), ("count", "", 0), ("energy", "kWh", 3), ("water", "L", 1), ("gas", "m³", 2),
    ("precipitation", "mm", 1), ("moisture", "%", 0), ("current", "A", 2), ("power", "W", 0), ("frequency", "Hz", 1),
    ("distance", "cm", 0), ("weight", "kg", 2), ("pm25", "µg/m³", 0), ("ph", "", 1), ("soil", "x", 0),
    *((quantity, "", 0) for quantity in ("state", "door", "motion", "moisture", "smoke", "light", "power", "lock")),
)  # fmt: skip


def test_home_assistant_takes_the_class_and_unit_of_every_quantity(home, broker):
    on_board = pytest.importorskip("on_board")
    from announcement import announcement

    w = on_board.World(ha_prefix="homeassistant")
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    states = []
    for i, field in enumerate(FIELDS):
        source = SimpleNamespace(name="s%d" % i, sensor=SimpleNamespace(fields=(field,)))
        topic, payload = announcement(w.node.announcer, source, 0)
        states.append(json.loads(payload)["stat_t"])
        client.publish(topic, payload, 1, True).wait_for_publish(10)
    ids = {"n1_s%d_%s" % (i, quantity) for i, (quantity, _, _) in enumerate(FIELDS)}
    home.until(lambda entities: ids <= {e["unique_id"] for e in entities.values()})
    client.publish("umqtt/n1/status", "online", 1, True).wait_for_publish(10)

    def all_shown(entities):
        for topic, (_, unit, places) in zip(states, FIELDS):  # until it has subscribed to the last
            value = {"value": 1 if places is not None else "power on", "unit": unit}
            client.publish(topic, json.dumps(value), 1).wait_for_publish(10)
        return all(e["state"] not in UNKNOWN for e in entities.values() if e["unique_id"])

    shown = home.until(all_shown)
    client.loop_stop()
    content(home)
    classes = {e.get("device_class") for e in shown.values()}
    assert {
        "carbon_dioxide",
        "illuminance",
        "atmospheric_pressure",
        "signal_strength",
        "duration",
        "battery",
    } <= classes
    kinds = [name.partition(".")[0] for name, e in shown.items() if e["unique_id"]]
    assert kinds.count("binary_sensor") == 9 and kinds.count("sensor") == len(FIELDS) - 9
