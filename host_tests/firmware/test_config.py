"""config.json: every key is checked, and what is wrong is said in one line that names it."""

import json
import sys

import on_board
from fakes.check import equal, raises

import config
import config_check

GOOD = {"wifi_ssid": "lab", "broker": "10.0.0.1"}


def lines(**keys):
    """What check() says is wrong with GOOD and `keys`."""
    given = dict(GOOD)
    given.update(keys)
    return str(raises(ValueError, config_check.check, given)).split("\n")


def test_two_keys_are_enough_and_the_rest_has_defaults():
    got = config_check.check(dict(GOOD))
    equal(sorted(got), sorted(row[0] for row in config_check.rows()))
    equal(got["qos"], 2)
    equal(got["sensors"][0]["type"], "internal")


def test_the_example_is_right_and_has_every_key():
    with open(on_board.ROOT + "/firmware/config.example.json") as file:
        example = json.load(file)
    config_check.check(example)
    equal(sorted(example), sorted(row[0] for row in config_check.rows()))


def test_a_missing_key_is_named():
    said = str(raises(ValueError, config_check.check, {"wifi_ssid": "lab"}))
    assert said.startswith("config.json: broker is missing; needed is the name or address of the MQTT broker"), said


def test_a_wrong_value_is_named_with_what_was_found_and_what_is_right():
    said = lines(interval_s="60")
    equal(len(said), 1)
    words = 'config.json: interval_s is "60" (a text); needed is a number from 0.1 to 86400 (seconds between readings'
    assert said[0].startswith(words), said
    for key, value, needed in (
        ("qos", 3, "a whole number from 0 to 2"),
        ("qos", 1.5, "a whole number from 0 to 2"),
        ("qos", True, "a whole number from 0 to 2"),
        ("tls", 1, "true or false"),
        ("wifi_ssid", "x" * 33, "a text of 1 to 32 bytes"),
        ("wifi_ssid", "ü" * 17, "a text of 1 to 32 bytes"),
        ("broker", None, "a text of 1 to 253 bytes, or a list of them"),
        ("topic", "a/#", "without + #"),
        ("sensors", [], "a list of 1 to 16"),
        ("sensors", ["dht22"], "a list of 1 to 16"),
    ):
        said = lines(**{key: value})
        equal(len(said), 1, said)
        assert said[0].startswith("config.json: %s is " % key) and needed in said[0], said


def test_limits_are_themselves_allowed():
    for key, default, least, most, _ in config_check.rows():
        if isinstance(default, (int, float)) and not isinstance(default, bool) and key != "watchdog_s":
            for value in (least, most):
                given = dict(GOOD)
                given.update({key: value, "watchdog_s": 0})
                equal(config_check.check(given)[key], value)
            assert key in lines(**{key: most + 1})[0]


def test_an_unknown_key_is_named_with_the_closest_one():
    equal(lines(wifi_pasword="x" * 8), ["config.json: wifi_pasword is not a key; the closest is wifi_password"])
    equal(lines(keepalive=60), ["config.json: keepalive is not a key; the closest is keepalive_s"])


def test_everything_that_is_wrong_is_said_at_once():
    said = lines(qos=9, port=-1, colour="red")
    equal(len(said), 3)


def test_no_password_is_ever_shown():
    for key in ("wifi_password", "password"):
        for value in ("hunter2", ["hunter2hunter2"], "hunter2" * 20):
            given = dict(GOOD)
            given[key] = value
            try:
                config_check.check(given)
            except ValueError as error:
                assert "hunter2" not in str(error) and key in str(error), error


def test_a_wifi_password_has_no_or_8_characters():
    assert "8 to 64 characters" in lines(wifi_password="1234567")[0]
    given = dict(GOOD)
    given["wifi_password"] = "12345678"
    config_check.check(given)


def test_a_broker_password_needs_a_user():
    equal(lines(password="secret"), ["config.json: password is given but user is not; needed are both, or neither"])


def test_a_key_that_does_nothing_without_another_is_refused():
    for key, value, without in (
        ("ota_key", "k" * 32, "commands is false"),
        ("ha_device", True, "ha_prefix is not"),
        ("wifi_password_2", "12345678", "wifi_ssid_2 is not"),
        ("tls_insecure", True, "tls is false"),
    ):
        (said,) = lines(**{key: value})
        assert said.startswith("config.json: %s is given but %s; needed" % (key, without)), said


def test_sensors_have_types_and_names_of_their_own():
    equal(lines(sensors=[{"pin": 4}])[0], "config.json: sensors[0].type is missing; needed is a text without + # /")
    assert "sensors[1].name" in lines(sensors=[{"type": "dht22"}, {"type": "dht22"}])[0]
    assert "sensors[0].name" in lines(sensors=[{"type": "dht22", "name": "a/b"}])[0]
    assert "sensors[0].name" in lines(sensors=[{"type": "dht22", "name": 7}])[0]


def test_a_value_of_a_driver_that_would_end_the_start_or_poison_a_topic_is_refused():
    for kind, key, value, needed in (
        ("binary", "debounce_ms", "x", "a whole number from 1 to 10000"),
        ("pulse", "debounce_ms", 1001, "a whole number from 0 to 1000"),
        ("pulse", "per_unit", 0, "a number from 0.0001 to"),
        ("pulse", "per_unit", True, "a number from 0.0001 to"),
        ("battery", "low_percent", 9.5, "a whole number from 0 to 99"),
        ("battery", "full_v", None, "a number from 0.5 to 60.0"),
        ("battery", "sleep_s", -1, "a whole number from 0 to 86400"),
        ("adc", "ratio", "2", "a number from 0.001 to 1000.0"),
        ("adc", "full_scale_mv", 99, "a whole number from 100 to 5000"),
        ("scd4x", "altitude_m", [], "a whole number from 0 to 3000"),
        ("binary", "quantity", 5, "a text"),
        ("binary", "quantity", "a\tb", "a text without a tab"),
        ("pulse", "quantity", "a/b", "a text without + # /"),
        ("pulse", "quantity", 'a"b', 'a text without " and'),
        ("pulse", "unit", "m\n", "a text without a tab, a line end"),
        ("pulse", "unit", "\\", 'a text without " and'),
        ("pulse", "unit", 3, "a text"),
    ):
        said = lines(sensors=[{"type": kind, "pin": 4, key: value}])
        equal(len(said), 1, said)
        assert said[0].startswith("config.json: sensors[0].%s is " % key) and "needed is " + needed in said[0], said
    free = {"type": "mine", "ratio": "1:2", "unit": 5, "quantity": None, "debounce_ms": "x"}
    own = {"type": "pulse", "pin": 5, "unit": "m\u00b3", "quantity": "water", "per_unit": 0.5}
    config_check.check(dict(GOOD, sensors=[free, own]))


def test_a_watchdog_that_would_bite_while_connecting_is_refused():
    assert "watchdog_s" in lines(watchdog_s=89)[0]
    assert "watchdog_s" in lines(watchdog_s=100, deep_sleep=True, keep_in="rtc", awake_ms=100000)[0]


def test_deep_sleep_needs_a_place_that_survives_it():
    assert 'keep_in "ram"' in lines(deep_sleep=True)[0]
    assert '"ram", "rtc" or "flash"' in lines(keep_in="disk")[0]


def test_what_is_no_object_or_no_json_or_no_file_is_said():
    assert "an object" in str(raises(ValueError, config_check.check, ["x"]))
    assert "is missing" in str(raises(ValueError, config_check.read, "no such file.json"))
    assert "is not JSON" in str(raises(ValueError, config_check.read, on_board.ROOT + "/firmware/boot.py"))


def test_taking_it_prints_what_is_wrong_and_leaves_no_module_behind():
    import sys

    config.print = lambda *what: said.append(what)
    said = []
    real = config_check.read
    try:
        right = config_check.check(dict(GOOD))
        for read, got in ((lambda *_: right, right), (lambda *_: real("no such file"), None)):
            sys.modules["config"] = config
            sys.modules["config_check"] = config_check
            config_check.read = read
            equal(config.take(), got)
            assert not {"config", "config_check", "slots"} & set(sys.modules)
    finally:
        config_check.read = real
        sys.modules["config"] = config
        sys.modules["config_check"] = config_check
    equal(len(said), 1)
    assert "is missing" in str(said[0][0])


def test_the_page_about_the_firmware_lists_every_key_with_its_default():
    with open(on_board.ROOT + "/docs/firmware.md") as file:
        page = file.read()
    for key, default, _, _, words in config_check.rows():
        row = [line for line in page.split("\n") if line.startswith("| `%s` |" % key)]
        equal(len(row), 1, key)
        assert row[0].endswith("| %s |" % words), row
        if default is None:
            assert "| needed |" in row[0]
        elif not isinstance(default, tuple):
            assert "| `%s` |" % json.dumps(default) in row[0], row


def taken(**keys):
    given = dict(GOOD)
    given.update(keys)
    return config_check.check(given)


def test_what_a_broker_closes_the_connection_for_is_refused_with_the_reason():
    for bad, part in (
        ("a\tb", "control character"),
        ("a\nb", "control character"),
        ("a\x7fb", "control character"),
        ("a\x9fb", "control character"),
        ("a\0b", "U+0000"),
        ("a" + chr(0xD83D), "surrogate"),
        ("a" + chr(0xFFFE), "non-character U+FFFE"),
        ("a" + chr(0x1FFFF), "non-character U+1FFFF"),
        ("a" + chr(0xFDD0), "non-character U+FDD0"),
        ("a+b", "without + #"),
        ("#", "without + #"),
    ):
        for key in ("topic", "client_id", "ha_prefix"):
            said = lines(**{key: bad})
            assert len(said) == 1 and part in said[0], (key, bad, said)
        said = lines(sensors=[{"type": "internal", "name": bad}])
        assert len(said) == 1 and "sensors[0].name" in said[0] and part in said[0], (bad, said)
    for first, last in ((0, 31), (0x7F, 0x9F), (0xD800, 0xDFFF), (0xFDD0, 0xFDEF), (0xFFFE, 0xFFFF)):
        for n, is_taken in ((first - 1, True), (first, False), (last, False), (last + 1, True)):
            said = config_check._problem("client_id", "a" + chr(n), "", 0, 9) if n >= 0 else ""
            equal(not said, is_taken, n)
    assert "does not begin with $" in lines(topic="$SYS")[0]
    assert "without + # /" in lines(sensors=[{"type": "internal", "name": "a/b"}])[0]
    assert "1 to 255 bytes" in lines(sensors=[{"type": "internal", "name": "x" * 256}])[0]


def test_what_mqtt_allows_is_not_refused():
    for keys in (
        {"client_id": "k\u00fcche / 7.b"},
        {"client_id": "x" * 128, "user": "hub/" + "x" * 200, "password": "SharedAccessSignature sr=" + "y" * 300},
        {"topic": "haus/eg", "sensors": [{"type": "internal", "name": 'the "big" one \U0001f600'}]},
        {"user": "u", "password": "\u00a7\t"},
        {"tls": True, "tls_ca": "ca.der", "tls_cert": "c.pem", "tls_key": "k.pem"},
        {"will": False, "retain": False},
        {"broker": ["10.0.0.1", "b.example:8883"]},
        {"topic": "x" * 1024},
        {"sensors": [{"type": "internal", "name": "x" * 255}]},
    ):
        taken(**keys)


def test_a_character_written_as_a_surrogate_pair_is_that_character():
    high, low = chr(0xD83D), chr(0xDE00)
    given = {"a": ["x" + high + low + "y", {"name": high + low}], "b": high, "c": low + high, "d": 5}
    got = config_check.paired(given)
    equal(got["a"][0], "x\U0001f600y")
    equal(got["a"][1]["name"], "\U0001f600")
    equal((got["b"], got["c"], got["d"]), (high, low + high, 5))
    assert "surrogate" in lines(topic=config_check.paired(high + "x"))[0]


def test_a_broker_is_a_name_or_an_address_with_a_port_at_most():
    for bad, part in (
        ("mqtt://10.0.0.1", "without mqtt://"),
        ("http://h/", "without mqtt://"),
        ("10.0.0.1/mqtt", "without mqtt:// and /"),
        ("10.0.0.1:x", "a port from 1 to 65535"),
        ("10.0.0.1:0", "a port"),
        ("10.0.0.1:65536", "a port"),
        (":1883", "without spaces"),
        ("my broker", "without spaces"),
        ("a:1:2", "one colon at most"),
        ("fe80::1", "of IPv4"),
        ("[::1]:1883", "of IPv4"),
        ("10.0.0.1,10.0.0.2", "without spaces, commas"),
        ("me@broker.example", "without spaces"),
        ("192.168.1", "four numbers"),
        ("192.168.1.300", "four numbers"),
        ("192.168.1.010", "four numbers"),
        ("192.168.1.10.", "four numbers"),
        ("0.0.0.0:1883", "four numbers"),
        ("1883", "four numbers"),
        ("b\t", "without spaces"),
        ("b:\u00b2", "a port from 1"),
        ("b:", "a port from 1"),
        ([], "a list of 1 to 8"),
        (["a"] * 9, "a list of 1 to 8"),
        (["a", 5], "a text of 1 to 253"),
        (["a", ""], "a text of 1 to 253"),
    ):
        assert part in lines(broker=bad)[0], (bad, lines(broker=bad))
    equal(taken(broker=["a:1", "b:65535"])["broker"], ["a:1", "b:65535"])


def test_tls_without_a_ca_is_refused_unless_that_is_wanted():
    assert "tls_insecure: true" in lines(tls=True)[0]
    taken(tls=True, tls_insecure=True)
    taken(tls=True, tls_ca="ca.der")
    assert "needed is one of them" in lines(tls=True, tls_ca="ca.der", tls_insecure=True)[0]
    for key, value in (("tls_ca", "x"), ("tls_cert", "x"), ("tls_key", "x"), ("tls_insecure", True)):
        assert key in lines(**{key: value})[0]
    assert "both, or neither" in lines(tls=True, tls_ca="x", tls_cert="x")[0]


def test_a_hostname_is_what_a_name_server_takes():
    for bad in ("a b", "k\u00fcche", "-a", "a-", "a.b", "a_b", "a/b", "a:b", "a@b", "a[b", "a`b", "a{b", "a,b"):
        assert "letters, digits and -" in lines(hostname=bad)[0], bad
    for good in ("a", "node-7", "7", "09-AZaz"):
        taken(hostname=good)


def test_a_queue_that_a_dead_link_fills_is_remarked_and_not_refused():
    got = taken(interval_s=1, queue=24, sensors=[{"type": "internal", "name": "a"}, {"type": "dht22", "name": "b"}])
    said = config_check.remarks(got)
    assert len(said) == 1 and said[0].startswith("note: queue is 24: ") and "82 readings" in said[0], said
    equal(config_check.remarks(taken(interval_s=1, queue=24, keep_in="flash")), [])
    for queue, told in ((5, 0), (4, 1)):  # 5 readings are taken in 40 s
        equal(len(config_check.remarks(taken(interval_s=10, queue=queue))), told)
    equal(config_check.remarks(taken()), [])
    assert "keepalive_s is 10" in config_check.remarks(taken(keepalive_s=10))[0]
    equal(config_check.remarks(taken(keepalive_s=20)), [])


def test_mqtt_5_and_what_else_an_esp8266_has_no_memory_for_is_a_remark():
    tight = [{"keep_in": "flash"}, {"keep_in": "rtc", "deep_sleep": True}, {"ha_prefix": "homeassistant"}]
    for platform, remarks in (("esp8266", 1), ("esp32", 0)):
        config_check.sys = type("Sys", (), {"platform": platform})
        try:
            for keys in tight:
                for protocol in (5, "auto"):
                    told = config_check.remarks(taken(protocol=protocol, **keys))
                    equal(
                        [line.startswith("note: protocol is %s: an ESP8266" % protocol) for line in told],
                        [True] * remarks,
                    )
                equal(config_check.remarks(taken(protocol=4, **keys)), [])
            equal(config_check.remarks(taken(protocol=5, commands=True)), [])
        finally:
            config_check.sys = sys


def test_a_protocol_is_one_that_there_is():
    for value in (3, 6, "5", "AUTO", 5.0, True, None, [5]):
        said = lines(protocol=value)
        equal(len(said), 1, said)
        assert said[0].startswith("config.json: protocol is ") and 'needed is 4, 5 or "auto" (MQTT' in said[0], said
    for value in (4, 5, "auto"):
        equal(taken(protocol=value)["protocol"], value)


def test_the_watchdog_leaves_time_for_every_step():
    assert "from 90" in lines(watchdog_s=89)[0]
    equal(taken(watchdog_s=90)["watchdog_s"], 90)
    assert "from 240" in lines(watchdog_s=239, timeout_s=60)[0]
    taken(watchdog_s=240, timeout_s=60)
    sampled = [{"type": "dht22", "pin": 4, "median": 25}]  # each 2 s, and as long again when it does not answer
    assert "from 155" in lines(watchdog_s=154, sensors=sampled)[0]
    taken(watchdog_s=155, sensors=sampled)


def test_a_network_may_be_called_as_it_likes():
    for ssid in ("a\tb", "\x01", "$home", "a+b/#", "\uffff"):
        equal(taken(wifi_ssid=ssid, wifi_ssid_2=ssid)["wifi_ssid"], ssid)


def test_two_contacts_want_a_pin_each():
    # the interrupt of the second would take the place of the first's
    for one, two in (("binary", "binary"), ("pulse", "pulse"), ("pulse", "binary")):
        pair = [{"type": one, "name": "a", "pin": 4}, {"type": two, "name": "b", "pin": 4}]
        assert "sensors[1].pin is 4 (a second time); needed is a pin of its own" in lines(sensors=pair)[0]
    taken(sensors=[{"type": "ds18b20", "name": "a", "pin": 4}, {"type": "ds18b20", "name": "b", "pin": 4}])
    taken(sensors=[{"type": "binary", "name": "a", "pin": 4}, {"type": "binary", "name": "b", "pin": 5}])
    taken(sensors=[{"type": "binary", "name": "a"}, {"type": "binary", "name": "b"}])
    assert "from 630" in lines(deep_sleep=True, keep_in="rtc", awake_ms=600000)[0]


def given_as(data):
    """What given_in() makes of a file with these bytes."""
    import os

    path = "config.test"
    with open(path, "wb") as file:
        file.write(data)
    try:
        return config_check.given_in(path)
    finally:
        os.remove(path)


def test_a_file_that_was_copied_by_half_or_is_no_utf8_is_refused():
    whole = json.dumps({"wifi_ssid": "lab", "i2c": {"sda": 21, "scl": 22}, "broker": "10.0.0.1", "interval_s": 60})
    whole = whole.encode()
    equal(given_as(whole)["interval_s"], 60)
    deep = b'{"sensors":' + b"[" * 3000 + b"]" * 3000 + b"}"
    for data in [whole[:code] for code in range(len(whole))] + [
        deep, whole + whole, whole.replace(b"lab", b"k\xfcche"), b"\xff\xfe" + bytes(whole[0:1]) + b"\0",
    ]:  # fmt: skip
        said = str(raises(ValueError, given_as, data))
        assert said.startswith("config.test is not JSON in UTF-8"), (data[-20:], said)
    for bad in (b"\xc0\xaf", b"\xf5\x80\x80\x80"):  # which MicroPython takes, and no broker
        try:
            config_check.check(given_as(whole[:-1] + b', "client_id": "n' + bad + b'"}'))
        except ValueError as error:
            assert "UTF-8" in str(error), error
        else:
            raise AssertionError(bad)


def test_a_file_of_an_editor_of_windows_is_taken():
    import config_file
    from fakes.folder import Folder

    text = '\ufeff{\r\n\t"wifi_ssid": "Küche",\r\n\t"broker": "10.0.0.1"\r\n}\r\n'.encode()
    equal(given_as(text), {"wifi_ssid": "Küche", "broker": "10.0.0.1"})
    with Folder() as folder:
        path = folder + "/config.json"
        with open(path, "wb") as file:
            file.write(text)
        config_file.NAME = path
        try:
            equal(config_file.load()["broker"], "10.0.0.1")
        finally:
            config_file.NAME = "config.json"


def test_limits_that_no_reading_can_be_within_are_refused():
    for low, high in ((50, 10), ({"temperature": 50}, {"temperature": 10, "humidity": 0})):
        said = lines(sensors=[{"type": "internal", "min": low, "max": high}])
        assert "sensors[0].min is over max" in said[0], said
    warm = {"temperature": 1}
    for low, high in ((10, 50), (10, 10), (warm, {"humidity": 0}), (warm, 0), (warm, 5), (1, {"temperature": 0})):
        config_check.check(dict(GOOD, sensors=[{"type": "internal", "min": low, "max": high}]))
    assert "sensors[0].min is" in lines(sensors=[{"type": "internal", "min": "1", "max": 0}])[0]


def test_a_sensor_has_no_name_of_the_boards_own_topics():
    # its readings would come back as commands
    for name in ("cmd", "ack"):
        assert "another name" in lines(sensors=[{"type": "internal", "name": name}])[0]
    for place in ("TOPIC/CLIENT_ID/cmd/read", "umqtt/n1/ack/x", "TOPIC/CLIENT_ID/status", "umqtt/n1/diag"):
        said = lines(client_id="n1", payload="json", json_topic=place)
        assert "json_topic" in said[0] and "for itself" in said[0], said
    config_check.check(dict(GOOD, payload="json", json_topic="TOPIC/CLIENT_ID/cmds", client_id="n1"))


def test_a_country_and_a_static_address_are_what_a_radio_takes():
    for bad in ("D", "4U", "D-"):
        assert "two letters, as DE" in lines(wifi_country=bad)[0], bad
    for good in ("", "DE", "az", "ZA"):
        equal(taken(wifi_country=good)["wifi_country"], good)
    for bad in (
        "dhcp",
        "1.2.3.4",
        "1.2.3.4 " * 5,
        "1.2.3 " * 4,
        "1.2.3.256 " * 4,
        "1.2.3.\u00b2 " * 4,
        "1.2..4 " * 4,
        "1.2.3.04 " * 4,
    ):
        assert "four addresses, as 192.168.1.50" in lines(wifi_address=bad)[0], bad
    for good in ("", "0.0.0.0 255.255.255.255 10.0.0.1 9.9.9.9", " 1.2.3.4" * 4):
        equal(taken(wifi_address=good)["wifi_address"], good)


def test_what_is_checked_is_not_changed():
    # the command `config` writes it down afterwards
    given = dict(GOOD, i2c={"sda": 21, "scl": 22}, deep_sleep=True, keep_in="rtc",
                 sensors=[{"type": "sht4x", "delta": {"temperature": 1}}, {"type": "pulse", "pin": 4}])  # fmt: skip
    before = json.loads(json.dumps(given))
    config_check.check(given)
    equal(given, before)


def test_what_was_found_and_what_is_needed_is_shown_as_it_is():
    assert lines(broker=None)[0].startswith("config.json: broker is null (null); needed is ")
    assert lines(i2c={"sda": 1})[0].startswith('config.json: i2c is {"sda": 1} (an object); needed is ')
    assert lines(qos=[1])[0].startswith("config.json: qos is [1] (a list); needed is ")
    assert "; needed is a text without + # (first part" in lines(topic="a+")[0]
    assert lines(sensors=[{"type": "internal", "name": "a+"}])[0].endswith("; needed is a text without + # /")
    assert "the broker gives the board up after 16 s, sooner" in config_check.remarks(taken(keepalive_s=11))[0]


def test_the_closest_key_is_the_one_of_the_fewest_edits():
    for word, near, far in (
        ("kitten", "sitting", "kitxyzw"),
        ("flaw", "lawn", "flxyz"),
        ("abcd", "bcde", "xyzd"),
        ("qos", "pos", "qsxy"),
        ("a", "ab", "xyz"),
        ("abc", "ab", "xyc"),
        ("abc", "c", "xyz"),
        ("xxxxab", "xxab", "ab"),
        ("aa", "ab", "bab"),
    ):
        equal(config_check.closest(word, (far, near)), near, word)


def test_a_bus_has_two_gpios_and_a_clock_that_its_chips_keep():
    for more in ({"sda": 0}, {"sda": 48}, {"scl": 0}, {"freq": 10000}, {"freq": 1000000}):
        wires = dict({"sda": 21, "scl": 22}, **more)
        equal(taken(i2c=wires)["i2c"], wires)
    for more, part in (
        ({"sda": -1}, "with sda from 0 to 48"),
        ({"scl": 49}, "with scl from 0 to 48"),
        ({"freq": 9999}, "with freq from 10000 to 1000000"),
        ({"freq": 1000001}, "with freq from"),
        ({"freq": 4e5}, "with freq from"),
        ({"sda": 22}, "on two GPIOs"),
        ({"speed": 1}, 'an object like {"sda": 21'),
    ):
        assert part in lines(i2c=dict({"sda": 21, "scl": 22}, **more))[0], more


def test_a_key_of_updates_is_long_or_none_and_a_password_is_what_wpa_takes():
    for key, least in (("ota_key", 32), ("wifi_password", 8), ("wifi_password_2", 8)):
        more = {"commands": True, "wifi_ssid_2": "x"}
        for length in (1, 2, least - 1, 65):
            said = lines(**dict(more, **{key: "k" * length}))
            assert len(said) == 1 and said[0].startswith("config.json: %s is " % key), (key, length)
        for length in (0, least, 64):
            equal(len(taken(**dict(more, **{key: "k" * length}))[key]), length)


def test_a_sensor_that_sleeps_knows_for_how_many_whole_seconds():
    for deep_sleep, asleep_s in ((True, 90), (False, None)):
        got = taken(deep_sleep=deep_sleep, keep_in="rtc", interval_s=90.5)
        equal(got["sensors"][0].get("asleep_s"), asleep_s)


def test_characters_of_every_length_are_taken_and_pairs_of_every_kind_become_one():
    for code in (0x20, 0x7E, 0xA0, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFD, 0x10000, 0x1FFFD, 0x10FFFD):
        equal(taken(client_id="n" + chr(code))["client_id"], "n" + chr(code))
    for high, low, one in ((0xD800, 0xDC00, 0x10000), (0xDBFF, 0xDFFD, 0x10FFFD), (0xD800, 0xDFFF, 0x103FF)):
        equal(config_check.paired(chr(high) + chr(low)), chr(one))
    for more in (chr(0xDE00), "a" + chr(0xDE00), chr(0xDC00) + chr(0xDC00)):  # halves that are left
        equal(config_check.paired(chr(0xD83D) + chr(0xDE00) + more), chr(0x1F600) + more)
    for no_pair in ((0xD7FF, 0xDC00), (0xDC00, 0xDC00), (0xD800, 0xE000), (0xD800, 0xDBFF)):
        text = "".join([chr(code) for code in no_pair])
        equal(config_check.paired(text), text)


def test_each_bracket_has_its_own_end_outside_of_texts():
    for text in (
        b"{}",
        b"[{}]",
        b'{"a":"}"}',
        b'{"a":"[\\"}"}',
        b'{"a":"\\\\"}',
        b'{"]":[]}',
        b"[" * 16 + b"]" * 16,
        b"5",
    ):
        assert config_check.is_closed((text,)), text
    for text in (
        b"{", b"[{]}", b"}", b"[}", b"{]", b'{"a":"}', b'{"a":"\\"}', b'["\\\\]"', b"[" * 17 + b"]" * 17, b"[]]",
    ):  # fmt: skip
        assert not config_check.is_closed((text,)), text


def test_what_must_survive_a_sleep_has_its_place_in_rtc_memory():
    asleep = {"deep_sleep": True, "keep_in": "rtc"}
    for keys, entry, is_kept in (
        (asleep, {"type": "internal", "delta": {}}, True),
        (asleep, {"type": "internal", "send_every_s": 5}, True),
        (asleep, {"type": "internal", "median": 3}, False),
        ({}, {"type": "internal", "delta": {}}, False),
        ({}, {"type": "pulse", "pin": 4}, True),
    ):
        got = taken(sensors=[entry], **keys)
        equal((bool(got.get("kept")), "kept" in got["sensors"][0].get("treatment", {})),
              (is_kept, is_kept and entry["type"] != "pulse"), entry)  # fmt: skip


def test_a_board_has_the_values_in_the_order_of_the_keys_and_no_form_that_nobody_fills_in():
    names = [row[0] for row in config_check.rows()]
    for payload in ("reading", "json"):
        got = taken(payload=payload, wifi_country="DE")
        form = got["json"]
        values = config_check.numbered(got)
        equal(dict(zip(names, values))["wifi_ssid"], "lab")
        equal([got[name] for name in names], values[: len(names)])
        equal(dict(zip(names, values))["json"], form if payload == "json" else "")
        equal(values[len(names) :], [True, None, None, None, None], "radio, of what is found out beside them")
