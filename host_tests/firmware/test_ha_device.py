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
        w = World(dict(SCRIPT), sensors=list(sensors), ha_prefix="homeassistant", **keys)
        if broker:
            w.broker.retained.update(broker.retained)
        return w

    def __exit__(self, *_):
        os.chdir(self.home)
        self.folder.__exit__()


def announced(w):
    """Topic and content of each message to Home Assistant, in order; None of one that was cleared."""
    found = [(t, bytes(p).decode()) for t, p, qos in w.broker.accepted if t.startswith("homeassistant/")]
    return [(t, json.loads(p) if p else None) for t, p in found]


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
        w = board(commands=True, led=2, ha_device=True)
        w.run(60000)
        told = dict(announced(w))[WHOLE]
        equal((told["avty_t"], told["o"], told["dev"]), common)
        equal(told["cmps"], wanted)
        equal(len(told["cmps"]), 6)
        assert len(w.readings("room/temperature")) > 0


def test_the_message_goes_out_in_pieces_that_are_much_smaller_than_itself():
    real, pieces = ha_device._Parts, []

    class Watched(real):
        def readinto(self, buf):
            n = real.readinto(self, buf)
            pieces.append((n, len(buf)))
            return n

    ha_device._Parts = Watched
    try:
        with Board() as board:
            w = board(sensors=[ROOM, {"type": "internal", "name": "chip"}], ha_device=True, commands=True, led=2)
            w.run(20000)
            (whole,) = [bytes(p) for t, p, _ in w.broker.accepted if t == WHOLE]
            assert len(whole) > 1900, len(whole)
            equal(sum([n for n, _ in pieces]), len(whole))
            assert max([room for _, room in pieces]) <= 256
            assert max([len(text) for text in w.node.announcer.texts([])]) < 450
    finally:
        ha_device._Parts = real


def test_a_sensor_that_is_found_later_comes_into_it_and_one_that_is_gone_leaves_it():
    with Board() as board:
        w = board(sensors=(ROOM, POOL), ha_device=True)
        w.run(30000)
        told = [content for topic, content in announced(w) if topic == WHOLE]
        equal([sorted(each["cmps"]) for each in told], [["sensor-room_humidity", "sensor-room_temperature"]])
        fake_board.script["values"] = dict(VALUES)
        fake_board.script["values"]["ds18b20 5"] = [18.5]
        w.run(900000)
        told = [content for topic, content in announced(w) if topic == WHOLE]
        equal([len(each["cmps"]) for each in told], [2, 3])
        for sensors, gone, written in (
            ((POOL,), ["sensor-room_humidity", "sensor-room_temperature"], 1),
            ((POOL,), [], 0),
            ((ROOM,), ["sensor-pool_temperature"], 1),
        ):
            w = board(w.broker, sensors, ha_device=True)
            fake_board.script["values"] = dict(VALUES)
            fake_board.script["values"]["ds18b20 5"] = [18.5]
            writes = []
            ha_device.open = lambda *how: writes.append(how[1:]) or open(*how)  # noqa: B023, SIM115
            try:
                w.run(30000)
            finally:
                del ha_device.open
            equal(writes.count(("w",)), written)
            (told,) = [content for topic, content in announced(w) if topic == WHOLE]
            equal(sorted(name for name, content in told["cmps"].items() if content == {"p": "sensor"}), gone)
            equal(len([1 for content in told["cmps"].values() if "name" in content]), 3 - len(gone) if gone else 1)


def test_either_form_takes_the_place_of_the_other_in_home_assistants_order():
    with Board() as board:
        apart = board()
        apart.run(30000)
        w = board(apart.broker, ha_device=True)
        w.run(30000)
        expected = [(t, what) for t in (TEMPERATURE, HUMIDITY) for what in (MIGRATE, None)]
        equal(announced(w)[:4], expected)
        equal(announced(w)[4][0], WHOLE)
        equal({qos for topic, payload, qos in w.broker.accepted if topic.startswith("homeassistant/")}, {1})
        equal([name for name in ("announcing", "announcement", "umqtt.stream") if name in sys.modules], [], "forgotten")
        assert sorted(t for t in w.broker.retained if t.startswith("homeassistant/")) == [WHOLE]
        again = board(w.broker, ha_device=True)
        again.run(30000)
        equal([t for t, _ in announced(again)], [WHOLE])
        back = board(again.broker)
        back.run(30000)
        equal(announced(back)[:2], [(WHOLE, MIGRATE), (WHOLE, None)])
        equal([t for t, _ in announced(back)[2:]], [TEMPERATURE, HUMIDITY])
        equal({qos for topic, payload, qos in back.broker.accepted if topic.startswith("homeassistant/")}, {1})
        assert sorted(t for t in back.broker.retained if t.startswith("homeassistant/")) == [HUMIDITY, TEMPERATURE]
        equal(os.listdir("."), [])


def test_a_board_that_was_erased_goes_back_too_once_it_has_asked_the_broker():
    with Board() as board:
        w = board(ha_device=True)
        w.run(30000)
        os.remove("ha_device")
        back = board(w.broker)
        back.run(60000)
        assert sorted(t for t in back.broker.retained if t.startswith("homeassistant/")) == [HUMIDITY, TEMPERATURE]
        cleared = [t for t, content in announced(back)].index(WHOLE)
        assert TEMPERATURE in [t for t, content in announced(back)[cleared:]], "it is told again behind that"


def test_what_others_have_left_is_cleared_and_the_one_message_stays():
    with Board() as board:
        w = board(ha_device=True)
        gone = "homeassistant/sensor/n1/cellar_temperature/config"
        other = "homeassistant/sensor/n2/cellar_temperature/config"
        for topic in (gone, other):
            w.broker.inject(topic, b'{"name":"' + b"x" * 500 + b'"}', retain=1)
        w.run(60000)
        assert gone not in w.broker.retained and other in w.broker.retained and WHOLE in w.broker.retained


def test_it_is_told_again_to_a_home_assistant_that_starts_and_a_broker_that_has_forgotten():
    with Board() as board:
        w = board(ha_device=True, interval_s=3600)
        w.run(30000)
        w.broker.inject("homeassistant/status", b"online")
        w.run(30000)
        equal([t for t, content in announced(w) if content and "cmps" in content], [WHOLE] * 2)
        w.broker.stop()
        w.broker.forget()
        w.run(60000)
        equal([t for t, content in announced(w) if content and "cmps" in content], [WHOLE] * 3)
        assert read("ha_device") == b"sensor room_temperature\nsensor room_humidity\n"


def test_a_sensor_that_does_not_answer_at_the_change_of_form_comes_by_the_new_one_as_well():
    with Board() as board:
        w = board(sensors=(ROOM, POOL))
        pool = "homeassistant/sensor/n1/pool_temperature/config"
        w.broker.inject(pool, b'{"name":"pool temperature"}', retain=1)
        w = board(w.broker, sensors=(ROOM, POOL), ha_device=True)  # it has told of the pool, which is silent now
        w.run(30000)
        equal([content for topic, content in announced(w) if topic == pool], [MIGRATE, None])
        assert pool not in w.broker.retained


def test_readings_wait_until_home_assistant_has_subscribed_to_what_the_message_tells():
    with Board() as board:
        w = board(ha_device=True, interval_s=1)
        accept, taken = w.broker._accept, []

        def note(p):
            taken.append((w.clock.now, p.topic))
            accept(p)

        w.broker._accept = note
        w.run(20000)
        told_ms = [ms for ms, topic in taken if topic == WHOLE][-1]
        first_ms = [ms for ms, topic in taken if "/room/" in topic][0]
        assert 1500 <= first_ms - told_ms <= 2600, first_ms - told_ms


def test_a_broker_that_does_not_acknowledge_the_message_is_asked_again_at_the_next_connection_only():
    with Board() as board:
        w = board(ha_device=True)
        incoming, swallowed = w.broker._incoming, []

        def all_but_one(link, kept, p):
            return swallowed.append(p) if p.topic == WHOLE else incoming(link, kept, p)

        w.broker._incoming = all_but_one
        w.run(120000)
        equal(len(swallowed), 1)
        equal(len([line for line in w.said if "does not acknowledge what announces the board" in line]), 1)
        assert len(w.readings("room/temperature")) > 8, "the readings go on"
        equal(os.listdir("."), [], "nothing was told")
        w.broker._incoming = incoming
        w.broker.stop()
        w.run(60000)
        equal([t for t, content in announced(w) if content and "cmps" in content], [WHOLE])
        equal(os.listdir("."), ["ha_device"])


def test_the_watchdog_is_fed_between_the_answers_that_a_change_of_form_waits_for():
    with Board() as board:
        w = board()
        w.run(30000)
        w = board(w.broker, ha_device=True)
        w.broker.ack_ms = 9000
        fed = [w.clock.now]
        w.node.feed = lambda: fed.append(w.clock.now)
        while w.clock.now - w.began < 300000:
            w.node.turn()
            w.node.feed()
        equal(len([t for t, content in announced(w) if t == WHOLE]), 1)
        equal([line for line in w.said if "trying again" in line], [])
        longest_ms = max([fed[i + 1] - fed[i] for i in range(len(fed) - 1)])
        assert longest_ms <= 30000, "three answers, at timeout_s of 10: %d ms" % longest_ms
