"""With `payload` json all that is read at one time is one message, in the form that a service wants."""

import json
import sys

import on_board
from fakes.check import equal, raises
from fakes.net import Plan
from on_board import NOW_S, World, conf

import fake_board

assert on_board  # the paths
SCRIPT = {
    "wifi": {"lab": "12345678"},
    "values": {"dht22 4": [[21.5, 40.2], [21.6, 40.1], None, None], "adc 34": [1500]},
}
SENSORS = [{"type": "dht22", "name": "room", "pin": 4}, {"type": "adc", "name": "cell", "pin": 34}]


def make_world(script=None, **keys):
    more = {"payload": "json", "sensors": SENSORS}
    more.update(keys)
    return World(script or SCRIPT, **more)


def messages(world):
    """(topic, payload) of what the broker took, but the status and what the board says at its start."""
    return [
        (topic, payload if isinstance(payload, str) else bytes(payload).decode())
        for topic, payload, _ in world.broker.accepted
        if not topic.endswith(("/status", "/diag"))
    ]


def test_what_is_read_at_one_time_is_one_message():
    world = make_world()
    world.run(25000)
    got = messages(world)
    equal({topic for topic, _ in got}, {"umqtt/n1/readings"})
    first, second, third = [json.loads(payload) for _, payload in got]
    equal(first, {"room_temperature": 21.5, "room_humidity": 40.2, "cell_voltage": 1.5, "time": NOW_S, "seq": 3})
    equal((second["room_temperature"], second["seq"]), (21.6, 6))
    equal(sorted(third), ["cell_voltage", "seq", "time"], "a sensor that does not answer is left out")


def test_the_form_and_the_topic_are_those_of_the_service():
    for form, topic, want_topic, want in (
        ('{"feeds":{VALUES}}', "me/groups/CLIENT_ID/json", "me/groups/n1/json", {"feeds": {"cell_voltage": 1.5}}),
        ('{"ts":TIME_MS,"values":{VALUES}}', "v1/devices/me/telemetry", "v1/devices/me/telemetry",
         {"ts": NOW_S * 1000, "values": {"cell_voltage": 1.5}}),
        ("[SEQ,TIME,{VALUES}]", "$aws/TOPIC/x", "$aws/umqtt/x", [1, NOW_S, {"cell_voltage": 1.5}]),
    ):  # fmt: skip
        world = make_world(sensors=SENSORS[1:], json=form, json_topic=topic)
        world.run(5000)
        got = messages(world)[0]
        equal((got[0], json.loads(got[1])), (want_topic, want))


def test_a_form_that_gives_no_json_is_refused():
    forms = ["VALUES", '{VALUES}"', "{VALUES} {VALUES}", "{x:VALUES}", '{VALUES,"time":TIME', '{"a":{VALUES}']
    if sys.implementation.name != "micropython":  # whose parser takes these; `make config` does not
        forms += ["{VALUES,}", '{VALUES,"ns":TIME000000000}', '{VALUES,"t":-TIME}']  # null while the clock is not set
    for form in forms:
        words = str(raises(ValueError, conf, payload="json", json=form))
        assert "JSON once VALUES" in words, (form, words)
    for form in ("{VALUES}", '[{"ts":TIME_MS,"values":{VALUES}}]', '{"seq":SEQ,VALUES,"time":TIME}'):
        conf(payload="json", json=form)


def test_a_client_id_that_holds_the_words_of_the_topic_stays_as_it_is():
    world = make_world(sensors=SENSORS[1:], client_id="TOPIC1", topic="my/CLIENT_ID", json_topic="TOPIC/CLIENT_ID/x")
    world.run(5000)
    equal(messages(world)[0][0], "my/CLIENT_ID/TOPIC1/x")


def test_a_name_that_holds_the_words_of_the_form_stays_as_it_is():
    world = make_world(sensors=[dict(SENSORS[1], name='TIME "SEQ" VALUES')])
    world.run(5000)
    assert 'TIME "SEQ" VALUES_voltage' in json.loads(messages(world)[0][1])


def test_an_outage_keeps_each_cycle_whole_and_repeats_none():
    world = make_world({"wifi": {"lab": "12345678"}, "values": {"dht22 4": [[21.5, 40.2]], "adc 34": [1500]}})
    world.run(15000)
    world.net.plan = Plan(refuse=True)
    for link in world.net.links:
        link.end("silence")
    world.run(70000)
    world.net.plan = Plan()
    world.run(120000)
    got = [json.loads(payload) for _, payload in messages(world)]
    equal([reading["seq"] for reading in got], [3 * i for i in range(1, len(got) + 1)])
    assert len(got) > 15 and all(len(reading) == 5 for reading in got)


def test_a_queue_that_overflowed_in_the_middle_of_a_cycle_sends_the_rest_of_it():
    world = make_world({"wifi": {"lab": "12345678"}, "values": {"dht22 4": [[21.5, 40.2]], "adc 34": [1500]}}, queue=8)
    world.net.plan = Plan(refuse=True)
    world.run(200000)
    world.net.plan = Plan()
    world.run(60000)
    got = [json.loads(payload) for _, payload in messages(world)]
    equal(len(got[0]), 4, "two of three values, time, seq")
    assert all(len(reading) == 5 for reading in got[1:])


def test_two_measurements_are_two_messages_also_where_each_has_another_quantity():
    script = {"wifi": {"lab": "12345678"}, "values": {"dht22 4": [[21.5, 40], [25.5, 40], [25.5, 60], [25.5, 60]]}}
    world = make_world(script, sensors=[dict(SENSORS[0], delta={"temperature": 1, "humidity": 5}, send_every_s=86400)])
    world.net.plan = Plan(refuse=True)
    world.run(35000)
    world.net.plan = Plan()
    world.run(60000)
    got = [json.loads(payload) for _, payload in messages(world)][:3]
    values = [(reading.get("room_temperature"), reading.get("room_humidity")) for reading in got]
    equal(values, [(21.5, 40.0), (25.5, None), (None, 60.0)])
    assert 9 <= got[1]["time"] - got[0]["time"] <= 11 and 9 <= got[2]["time"] - got[1]["time"] <= 11, got


def test_readings_that_survive_a_reset_are_one_message_too():
    from test_durable import Board

    import durable

    with Board(SCRIPT, payload="json", keep_in="flash", interval_s=10, sensors=SENSORS) as board:
        board.boot(durable.DurableNode)
        board.net.plan = Plan(refuse=True)
        board.run(15000)
        board.boot(durable.DurableNode)
        board.net.plan = Plan()
        board.run(5000)
        got = [json.loads(payload) for _, payload in messages(board)]
        equal([reading.get("room_temperature") for reading in got], [21.5, 21.6, None])
        equal([reading["seq"] for reading in got], [1, 2, 3])


def test_readings_for_which_flash_has_no_room_are_told_and_the_next_ones_are_kept():
    from test_durable import Board

    import durable

    with Board(SCRIPT, payload="json", keep_in="flash", interval_s=10, sensors=SENSORS) as board:
        board.boot(durable.DurableNode)
        board.run(5000)
        real = board.node.outbox.add

        def full(*message):
            raise OSError(28)

        board.node.outbox.add = full
        board.run(10000)
        board.node.outbox.add = real
        board.run(10000)
        board.run(70000)
        words = "the flash is full (28): delete files, or lower queue_kb; the newest readings are refused"
        equal(len([line for line in board.said if words in line]), 1, board.said)
        equal([json.loads(payload)["seq"] for _, payload in messages(board)][:2], [1, 2])
        equal({payload.count('"cell_voltage"') for _, payload in messages(board)}, {1}, "each has its own values alone")


def test_a_door_that_opens_is_a_message_of_its_own():
    door = {"type": "binary", "name": "front", "pin": 12, "quantity": "door"}
    world = make_world({"wifi": {"lab": "12345678"}, "levels": {"12": 0}}, sensors=[door], interval_s=600)
    world.run(5000)
    fake_board.set_level(12, 1)
    world.run(2000)
    equal([json.loads(payload)["front_door"] for _, payload in messages(world)], [0, 1])


def test_what_cannot_be_is_refused_in_words():
    for keys, part in (
        ({"payload": "xml"}, '"reading" or "json"'),
        ({"json": "{}xxxx"}, "a text with VALUES in it"),
        ({"json_topic": "a/+/b"}, "a text without + #"),
        ({"payload": "json", "ha_prefix": "homeassistant"}, "needed is one of them"),
    ):
        assert part in str(raises(ValueError, conf, **keys)), part


def test_a_message_under_a_topic_of_a_service_counts_as_readings():
    # one that is given up is one reading less, and no message that the board can do without
    world = make_world(json_topic="v1/devices/me/telemetry", qos=1)
    real = world.broker._incoming

    def incoming(link, kept, packet):
        if b'"seq":6}' in bytes(packet.payload):
            return world.broker._drop(link)
        return real(link, kept, packet)

    world.broker._incoming = incoming
    world.run(400000)
    equal(world.node.refused, 1)
    said = [line for line in world.said if "given up" in line]
    assert said and "ends the connection at v1/devices/me/telemetry: given up, 1 so far" in said[0], world.said
