"""What was made of config.json is kept, and taken at the next start without its check: never what the check would not
have given."""

import json
import os
import sys

import on_board  # noqa: F401 - the paths
from fakes.check import equal, raises
from fakes.folder import Folder, read, write

import config
import config_check

GOOD = {"wifi_ssid": "lab", "broker": "10.0.0.1"}
ON_I2C = [{"type": "sht4x"}, {"type": "aht20"}, {"type": "bh1750", "i2c": {"sda": 5, "scl": 6}}]
GIVEN = (
    GOOD,
    dict(GOOD, interval_s=0.1, wifi_tx_dbm=8.5, broker=["a:1883", "b"], port=8883, tls=True, tls_insecure=True),
    dict(GOOD, wifi_ssid='K\u00fc\U0001f321 "\\', wifi_password='tab\tquote"\x7f\x01', topic="haus/\u00e4"),
    dict(GOOD, keep_in="rtc", deep_sleep=True, sensors=[{"type": "dht22", "pin": 4, "delta": 0.5, "offset": -1}]),
    dict(GOOD, i2c={"sda": 21, "scl": 22}, sensors=ON_I2C),
    dict(GOOD, payload="json", json='{"v":{VALUES}}', queue=1),  # has a remark
)
RULES = b"these rules"


class Board:
    """A folder with a config.json, started as often as one likes. `said`: what it printed since."""

    def __init__(self, given, rules=RULES):
        self.home = os.getcwd()
        self.folder = Folder()
        os.chdir(self.folder.__enter__())
        self.change(given)
        self.rules = rules
        self.said = []

    def __enter__(self):
        config.print = lambda *words: self.said.append(" ".join([str(word) for word in words]))
        return self

    def __exit__(self, *_):
        del config.print
        config._RULES = b""
        os.chdir(self.home)
        self.folder.__exit__()

    def change(self, given):
        write("config.json", given if isinstance(given, bytes) else json.dumps(given).encode())

    def start(self):
        """(the configuration, whether it was checked)."""
        del self.said[:]
        config._RULES = self.rules
        real = config_check.check
        checked = []
        config_check.check = lambda given: checked.append(1) or real(given)
        sys.modules["config"] = config
        sys.modules["config_check"] = config_check
        try:
            return config.take(), bool(checked)
        finally:
            config_check.check = real
            sys.modules["config"] = config
            sys.modules["config_check"] = config_check


def test_a_start_without_a_change_takes_the_same_without_the_check():
    for given in GIVEN:
        with Board(given) as board:
            first, checked = board.start()
            assert first and checked, board.said
            said = list(board.said)
            for _ in range(2):
                again, checked = board.start()
                equal((checked, board.said), (False, said), "the same, and the same remarks")
                equal(without_tuples(again), without_tuples(first))


def without_tuples(value):
    """As JSON gives it: what only indexes and goes through a tuple takes a list as well."""
    return json.loads(json.dumps(value))


def test_sensors_on_one_bus_share_its_object_however_the_configuration_came():
    with Board(GIVEN[4]) as board:
        for _ in range(2):
            first, second, other = board.start()[0]["sensors"]
            assert first["i2c"] is second["i2c"]
            equal(other["i2c"], {"sda": 5, "scl": 6})


def test_a_file_changed_by_hand_is_checked_and_refused_in_the_same_words():
    with Board(GOOD) as board:
        board.start()
        board.change(dict(GOOD, qos=3))
        for _ in range(2):
            equal(board.start()[0], None)
            assert board.said[0].startswith("config.json: qos is 3 (a whole number); needed is"), board.said
        assert "config.checked" not in os.listdir("."), "it has the passwords of the one before"
        board.change(b"qos: 1")
        equal(board.start()[0], None)
        assert "config.json is not JSON" in board.said[0]
        os.remove("config.json")
        equal(board.start()[0], None)
        assert "config.json is missing" in board.said[0]
        board.change(dict(GOOD, qos=1))
        equal(board.start()[0]["qos"], 1)


def test_a_change_of_one_byte_of_the_same_length_is_seen():
    with Board(dict(GOOD, qos=1)) as board:
        board.start()
        equal(board.start()[1], False)
        write("config.json", read("config.json").replace(b'"qos": 1', b'"qos": 0'))
        cfg, checked = board.start()
        equal((cfg["qos"], checked), (0, True))


def test_whatever_a_power_cut_leaves_of_it_is_checked_again():
    with Board(GIVEN[3]) as board:
        whole, _ = board.start()
        kept = read("config.checked")
        for end in list(range(0, len(kept), 7)) + [len(kept) - 1]:
            for rest in (b"", bytes(len(kept) - end), b"\xff" * (len(kept) - end)):
                write("config.checked", kept[:end] + rest)
                cfg, checked = board.start()
                equal((without_tuples(cfg), checked), (without_tuples(whole), True), end)
        equal(read("config.checked"), kept, "and it is kept again")


def test_another_firmware_checks_it_by_its_own_rules():
    with Board(GOOD) as board:
        board.start()
        board.rules = b"others"
        equal([board.start()[1] for _ in range(2)], [True, False])


def test_what_is_on_trial_or_has_failed_is_always_checked():
    with Board(GOOD) as board:
        board.start()
        kept = read("config.checked")
        write("config.json.new", json.dumps(dict(GOOD, qos=0)).encode())
        cfg, checked = board.start()
        equal((cfg["qos"], cfg["trials"], checked), (0, ("config.json",), True))
        for _ in range(2):  # it was not kept: the first start gives it up, the next ones have to tell that
            cfg, checked = board.start()
            equal((cfg["qos"], cfg["trials"], cfg["came_back"], checked), (2, (), ("config.json",), True))
        equal(read("config.checked"), kept, "none of this is what a plain start would find")
        os.remove("config.json.bad")
        equal(board.start()[1], False)


def test_one_on_trial_that_this_firmware_refuses_is_given_up_in_the_same_start():
    with Board(GOOD) as board:
        write("config.json.new", json.dumps(dict(GOOD, qos=7)).encode())
        config_check.print = lambda *words: board.said.append(str(words[0]))
        try:
            cfg, _ = board.start()
        finally:
            del config_check.print
        assert len(board.said) == 1 and board.said[0].startswith("config.json: qos is 7"), board.said
        equal((cfg["qos"], cfg["trials"], cfg["came_back"]), (2, (), ("config.json",)))
        equal(sorted(name for name in os.listdir(".") if "json" in name), ["config.json", "config.json.bad"])


def test_without_room_on_flash_each_start_checks_it():
    with Board(GOOD) as board:
        os.mkdir("config.checked")  # cannot be opened as a file
        for _ in range(2):
            cfg, checked = board.start()
            equal((cfg["qos"], checked), (2, True))


def test_the_source_form_keeps_nothing_for_its_rules_change_as_it_is_edited():
    with Board(GOOD, rules=config._RULES) as board:
        board.start()
        equal(sorted(os.listdir(".")), ["config.json"])


def test_in_safe_mode_a_configuration_of_a_newer_firmware_is_read_without_its_sensors():
    import slots

    newer = dict(GOOD, colour="red", ota_key="k" * 32, commands=True, sensors=[{"type": "internal", "mean": "x"}] * 17)
    with Board(newer) as board:
        equal(board.start()[0], None)
        assert "colour is not a key" in str(raises(ValueError, config_check.read))
        os.mkdir("ota")
        slots.write("starts", {"starts": slots.MOST_STARTS + 1})
        for _ in range(2):
            cfg, checked = board.start()
            equal((cfg["sensors"], cfg["ota_key"], cfg["start"], checked), ((), "k" * 32, slots.SAFE, True))
            assert "colour" not in cfg and "config.checked" not in os.listdir(".")
        board.change(dict(GOOD, sensors=[{"type": "internal"}]))
        os.remove("ota/starts")
        equal(len(board.start()[0]["sensors"]), 1)
        slots.write("starts", {"starts": slots.MOST_STARTS + 1})
        cfg, checked = board.start()
        equal((cfg["sensors"], checked), ((), False), "one that was checked before")
        board.change(dict(newer, qos=3))
        equal(board.start()[0], None)
        assert board.said[0].startswith("config.json: qos is 3"), "a known key is checked"


def test_starts_are_counted_from_the_first_with_a_key_for_updates_on():
    for keys, is_counted in (({}, False), ({"ota_key": "k" * 32, "commands": True}, True)):
        with Board(dict(GOOD, **keys)) as board:
            board.start()
            equal("ota" in os.listdir("."), is_counted)


def test_an_update_on_trial_is_named_and_one_that_refuses_the_configuration_is_over():
    import slots

    with Board(GOOD) as board:
        os.mkdir("ota")
        slots.write("boot.try", {"run": "1", "digest": "d", "old": {}})
        cfg, _ = board.start()
        equal((cfg["start"], cfg["trials"]), (slots.TRIAL, ("ota/boot",)))
        write("config.json.new", json.dumps(dict(GOOD, qos=0)).encode())
        equal(board.start()[0]["trials"], ("config.json", "ota/boot"))
        os.remove("config.json.try")
        board.change(dict(GOOD, qos=3))
        why = []
        real, slots.ended = slots.ended, why.append
        sys.modules["slots"] = slots
        try:
            equal(board.start()[0], None)
        finally:
            slots.ended = real
        assert why[0].startswith("it refuses this board's config.json: config.json: qos is 3"), why
