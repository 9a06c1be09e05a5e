"""Home Assistant told of the whole board in one message: what is in it, that it is never held, what it takes the place
of. A real one reads it in host_tests/homeassistant."""

import json
import os

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
        w = board(w.broker, ha_device=True)
        w.run(30000)
        (told,) = [content for topic, content in announced(w) if topic == WHOLE]
        equal(told["cmps"]["sensor-pool_temperature"], {"p": "sensor"})  # takes it away
        w = board(w.broker, ha_device=True)
        w.run(30000)
        (told,) = [content for topic, content in announced(w) if topic == WHOLE]
        equal(len(told["cmps"]), 2)


def test_either_form_takes_the_place_of_the_other_in_home_assistants_order():
    with Board() as board:
        apart = board()
        apart.run(30000)
        w = board(apart.broker, ha_device=True)
        w.run(30000)
        expected = [(t, what) for t in (TEMPERATURE, HUMIDITY) for what in (MIGRATE, None)]
        equal(announced(w)[:4], expected)
        equal(announced(w)[4][0], WHOLE)
        assert sorted(t for t in w.broker.retained if t.startswith("homeassistant/")) == [WHOLE]
        again = board(w.broker, ha_device=True)
        again.run(30000)
        equal([t for t, _ in announced(again)], [WHOLE])
        back = board(again.broker)
        back.run(30000)
        equal(announced(back)[:2], [(WHOLE, MIGRATE), (WHOLE, None)])
        equal([t for t, _ in announced(back)[2:]], [TEMPERATURE, HUMIDITY])
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
