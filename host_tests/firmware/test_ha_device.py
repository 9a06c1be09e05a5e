"""Home Assistant told of the whole board in one message: what is in it, that it is never held, what it takes the place
of. A real one reads it in host_tests/homeassistant."""

import json
import os
import sys

from fakes.check import equal
from fakes.folder import Folder, read
from on_board import World

import fake_board
import ha_device

ROOM = {"type": "dht22", "name": "room", "pin": 4}
POOL = {"type": "ds18b20", "name": "pool", "pin": 5}
VALUES = {"dht22 4": [[21.5, 40.2], [21.6, 40.1]]}
SCRIPT = {"wifi": {"lab": "12345678"}, "values": VALUES}
WHOLE = "homeassistant/device/n1/config"
TEMPERATURE = "homeassistant/sensor/n1/room_temperature/config"
HUMIDITY = "homeassistant/sensor/n1/room_humidity/config"
MIGRATE = {"migr_discvry": True}


class Board:
    """`with Board() as make`: make(**keys) starts the node in a folder that outlives it."""

    def __enter__(self):
        self.home, self.folder = os.getcwd(), Folder()
        os.chdir(self.folder.__enter__())
        return self

    def __call__(self, broker=None, sensors=(ROOM,), **keys):
        world = World(dict(SCRIPT), sensors=list(sensors), ha_prefix="homeassistant", **keys)
        if broker:
            world.broker.retained.update(broker.retained)
        return world

    def __exit__(self, *_):
        os.chdir(self.home)
        self.folder.__exit__()


def announced(world):
    """Topic and content of each message to Home Assistant, in order; None of one that was cleared."""
    found = [
        (topic, bytes(payload).decode())
        for topic, payload, qos in world.broker.accepted
        if topic.startswith("homeassistant/")
    ]
    return [(topic, json.loads(payload) if payload else None) for topic, payload in found]


def test_one_message_holds_what_the_many_hold():
    with Board() as board:
        apart = board(commands=True, led=2)
        apart.run(60000)
        wanted = {}
        for topic, content in announced(apart):
            common = content.pop("avty_t"), content.pop("o"), content.pop("dev")
            _, component, _, name, _ = topic.split("/")
            content["p"] = component
            wanted[component + "-" + name] = content
        world = board(commands=True, led=2, ha_device=True)
        world.run(60000)
        told = dict(announced(world))[WHOLE]
        equal((told["avty_t"], told["o"], told["dev"]), common)
        equal(told["cmps"], wanted)
        equal(len(told["cmps"]), 6)
        assert len(world.readings("room/temperature")) > 0


def test_the_message_goes_out_in_pieces_that_are_much_smaller_than_itself():
    real, pieces = ha_device._Parts, []

    class Watched(real):
        def readinto(self, buf):
            count = real.readinto(self, buf)
            pieces.append((count, len(buf)))
            return count

    ha_device._Parts = Watched
    try:
        with Board() as board:
            world = board(sensors=[ROOM, {"type": "internal", "name": "chip"}], ha_device=True, commands=True, led=2)
            world.run(20000)
            (whole,) = [bytes(payload) for topic, payload, _ in world.broker.accepted if topic == WHOLE]
            assert len(whole) > 1900, len(whole)
            equal(sum([count for count, _ in pieces]), len(whole))
            assert max([room for _, room in pieces]) <= 256
            assert max([len(text) for text in world.node.announcer.texts([])]) < 450
    finally:
        ha_device._Parts = real


def test_a_sensor_that_is_found_later_comes_into_it_and_one_that_is_gone_leaves_it():
    with Board() as board:
        world = board(sensors=(ROOM, POOL), ha_device=True)
        world.run(30000)
        told = [content for topic, content in announced(world) if topic == WHOLE]
        equal([sorted(each["cmps"]) for each in told], [["sensor-room_humidity", "sensor-room_temperature"]])
        fake_board.script["values"] = dict(VALUES)
        fake_board.script["values"]["ds18b20 5"] = [18.5]
        world.run(900000)
        told = [content for topic, content in announced(world) if topic == WHOLE]
        equal([len(each["cmps"]) for each in told], [2, 3])
        world = board(world.broker, (ROOM, POOL), ha_device=True)  # whose script has no pool
        world.run(30000)
        (told,) = [content for topic, content in announced(world) if topic == WHOLE]
        names = ["sensor-room_humidity", "sensor-room_temperature"]
        equal(sorted(told["cmps"]), names, "one that does not answer just now is not taken back")
        for sensors, gone, written in (
            ((POOL,), ["sensor-room_humidity", "sensor-room_temperature"], 1),
            ((POOL,), [], 0),
            ((ROOM,), ["sensor-pool_temperature"], 1),
        ):
            world = board(world.broker, sensors, ha_device=True)
            fake_board.script["values"] = dict(VALUES)
            fake_board.script["values"]["ds18b20 5"] = [18.5]
            writes = []
            ha_device.open = lambda *how: writes.append(how[1:]) or open(*how)  # noqa: B023, SIM115
            try:
                world.run(30000)
            finally:
                del ha_device.open
            equal(writes.count(("w",)), written)
            (told,) = [content for topic, content in announced(world) if topic == WHOLE]
            equal(sorted(name for name, content in told["cmps"].items() if content == {"p": "sensor"}), gone)
            equal(len([1 for content in told["cmps"].values() if "name" in content]), 3 - len(gone) if gone else 1)


def test_either_form_takes_the_place_of_the_other_in_home_assistants_order():
    with Board() as board:
        apart = board()
        apart.run(30000)
        world = board(apart.broker, ha_device=True)
        world.run(30000)
        expected = [(topic, what) for topic in (TEMPERATURE, HUMIDITY) for what in (MIGRATE, None)]
        equal(announced(world)[:4], expected)
        equal(announced(world)[4][0], WHOLE)
        equal({qos for topic, payload, qos in world.broker.accepted if topic.startswith("homeassistant/")}, {1})
        equal([name for name in ("announcing", "announcement", "umqtt.stream") if name in sys.modules], [], "forgotten")
        assert sorted(topic for topic in world.broker.retained if topic.startswith("homeassistant/")) == [WHOLE]
        again = board(world.broker, ha_device=True)
        again.run(30000)
        equal([topic for topic, _ in announced(again)], [WHOLE])
        back = board(again.broker)
        back.run(30000)
        equal(announced(back)[:2], [(WHOLE, MIGRATE), (WHOLE, None)])
        equal([topic for topic, _ in announced(back)[2:]], [TEMPERATURE, HUMIDITY])
        equal({qos for topic, payload, qos in back.broker.accepted if topic.startswith("homeassistant/")}, {1})
        assert sorted(topic for topic in back.broker.retained if topic.startswith("homeassistant/")) == [
            HUMIDITY,
            TEMPERATURE,
        ]
        equal(os.listdir("."), [])


def test_a_board_that_was_erased_goes_back_too_once_it_has_asked_the_broker():
    with Board() as board:
        world = board(ha_device=True)
        world.run(30000)
        os.remove("ha_device")
        back = board(world.broker)
        back.run(60000)
        assert sorted(topic for topic in back.broker.retained if topic.startswith("homeassistant/")) == [
            HUMIDITY,
            TEMPERATURE,
        ]
        cleared = [topic for topic, content in announced(back)].index(WHOLE)
        assert TEMPERATURE in [topic for topic, content in announced(back)[cleared:]], "it is told again behind that"


def test_what_others_have_left_is_cleared_and_the_one_message_stays():
    with Board() as board:
        world = board(ha_device=True)
        gone = "homeassistant/sensor/n1/cellar_temperature/config"
        other = "homeassistant/sensor/n2/cellar_temperature/config"
        for topic in (gone, other):
            world.broker.inject(topic, b'{"name":"' + b"x" * 500 + b'"}', retain=1)
        world.run(60000)
        assert gone not in world.broker.retained and other in world.broker.retained and WHOLE in world.broker.retained
        equal([name for name in ("announcing", "announcement") if name in sys.modules], [], "forgotten")


def test_it_is_told_again_to_a_home_assistant_that_starts_and_a_broker_that_has_forgotten():
    with Board() as board:
        world = board(ha_device=True, interval_s=3600)
        world.run(30000)
        world.broker.inject("homeassistant/status", b"online")
        world.run(30000)
        equal([topic for topic, content in announced(world) if content and "cmps" in content], [WHOLE] * 2)
        world.broker.stop()
        world.broker.forget()
        world.run(60000)
        equal([topic for topic, content in announced(world) if content and "cmps" in content], [WHOLE] * 3)
        assert read("ha_device") == b"sensor room_temperature\nsensor room_humidity\n"


def test_a_sensor_that_does_not_answer_at_the_change_of_form_comes_by_the_new_one_as_well():
    with Board() as board:
        world = board(sensors=(ROOM, POOL))
        pool = "homeassistant/sensor/n1/pool_temperature/config"
        world.broker.inject(pool, b'{"name":"pool temperature"}', retain=1)
        world = board(
            world.broker, sensors=(ROOM, POOL), ha_device=True
        )  # it has told of the pool, which is silent now
        world.run(30000)
        equal([content for topic, content in announced(world) if topic == pool], [MIGRATE, None])
        assert pool not in world.broker.retained


def test_readings_wait_until_home_assistant_has_subscribed_to_what_the_message_tells():
    with Board() as board:
        world = board(ha_device=True, interval_s=1)
        accept, taken = world.broker._accept, []

        def note(packet):
            taken.append((world.clock.now, packet.topic))
            accept(packet)

        world.broker._accept = note
        world.run(20000)
        for _ in range(2):  # when the board has started, when Home Assistant has
            told_ms = [ms for ms, topic in taken if topic == WHOLE][-1]
            first_ms = [ms for ms, topic in taken if "/room/" in topic and ms > told_ms][0]
            assert 1500 <= first_ms - told_ms <= 2600, first_ms - told_ms
            world.broker.inject("homeassistant/status", b"online")
            world.run(10000)


def test_a_broker_that_does_not_acknowledge_the_message_is_asked_again_at_the_next_connection_only():
    with Board() as board:
        world = board(ha_device=True)
        incoming, swallowed = world.broker._incoming, []

        def all_but_one(link, kept, packet):
            return swallowed.append(packet) if packet.topic == WHOLE else incoming(link, kept, packet)

        world.broker._incoming = all_but_one
        world.run(120000)
        equal(len(swallowed), 1)
        equal(len([line for line in world.said if "does not acknowledge what announces the board" in line]), 1)
        assert len(world.readings("room/temperature")) > 8, "the readings go on"
        equal(os.listdir("."), [], "nothing was told")
        world.broker._incoming = incoming
        world.broker.stop()
        world.run(60000)
        equal([topic for topic, content in announced(world) if content and "cmps" in content], [WHOLE])
        equal(os.listdir("."), ["ha_device"])


def test_a_connection_that_ends_at_the_message_is_that_trouble_and_the_next_one_has_it():
    with Board() as board:
        world = board(ha_device=True)
        incoming, ended = world.broker._incoming, []

        def ends_once(link, kept, packet):
            if packet.topic == WHOLE and not ended:
                ended.append(packet)
                return link.end("rst")
            return incoming(link, kept, packet)

        world.broker._incoming = ends_once
        world.run(30000)
        equal([topic for topic, content in announced(world) if content and "cmps" in content], [WHOLE])
        equal([line for line in world.said if "acknowledge" in line], [])
        equal(len([line for line in world.said if "trying again" in line]), 1, world.said)


def test_the_watchdog_is_fed_between_the_answers_that_a_change_of_form_waits_for():
    with Board() as board:
        world = board()
        world.run(30000)
        world = board(world.broker, ha_device=True)
        world.broker.ack_ms = 9000
        fed = [world.clock.now]
        world.node.feed = lambda: fed.append(world.clock.now)
        while world.clock.now - world.began < 300000:
            world.node.turn()
            world.node.feed()
        equal(len([topic for topic, content in announced(world) if topic == WHOLE]), 1)
        equal([line for line in world.said if "trying again" in line], [])
        longest_ms = max([fed[i + 1] - fed[i] for i in range(len(fed) - 1)])
        assert longest_ms <= 30000, "three answers, at timeout_s of 10: %d ms" % longest_ms
