"""What is asked of the radio beside joining one network: a second one, a static address, country, power."""

import on_board
from fakes.check import equal, raises
from on_board import World, conf

import app
import network

assert on_board  # the paths


def started(script, **keys):
    """A World whose program app has made, as at a start."""
    world = World(script, sensors=[{"type": "internal"}])
    network.WLAN._the.clear()
    world.node = app.make(conf(sensors=[{"type": "internal"}], **keys), world.clock.ticks_ms())
    return world


def test_the_second_network_is_joined_when_the_first_is_not_there_and_the_first_again():
    import fake_board

    for password in ("", "abcdefgh"):  # an open one, too
        world = started({"wifi": {"shed": password}}, wifi_ssid_2="shed", wifi_password_2=password)
        world.run(60000)
        assert world.readings("uptime") and "wifi: joined shed" in world.said, world.said
        assert [line for line in world.said if line.startswith('wifi: "lab": no such network in reach')], world.said
    fake_board.script["wifi"] = {"lab": "12345678"}
    network.WLAN(network.STA_IF).lose()
    for link in world.net.links:
        link.end("silence")
    world.run(200000)
    assert "wifi: joined lab" in world.said, world.said


def test_a_board_that_asks_for_nothing_more_does_not_load_the_rest():
    world = started({"wifi": {"lab": "12345678"}})
    equal(type(world.node.wifi).__name__, "Wifi")


def test_a_static_address_is_not_asked_for():
    world = started({"wifi": {"lab": "12345678"}}, wifi_address="192.168.1.50 255.255.255.0 192.168.1.1 192.168.1.2")
    world.run(5000)
    equal(network.WLAN(network.STA_IF).ifconfig(), ("192.168.1.50", "255.255.255.0", "192.168.1.1", "192.168.1.2"))


def test_country_power_and_sleep_are_those_of_the_configuration():
    world = started({"wifi": {"lab": "12345678"}}, wifi_country="DE", wifi_tx_dbm=8.5, wifi_power_save="none")
    world.run(5000)
    equal(network.country(), "DE")
    equal(network.WLAN(network.STA_IF).settings, {"txpower": 8.5, "pm": network.WLAN.PM_NONE})


def test_a_port_that_does_not_take_them_is_told_once_and_joins():
    world = started({"wifi": {"lab": "12345678"}})
    import radio

    said = []
    radio.print = lambda *words: said.append(" ".join(str(word) for word in words))

    def refuse(**_):
        raise ValueError("unknown config param")

    for keys in ({"wifi_power_save": "none"}, {"wifi_tx_dbm": 5}):
        del said[:]
        network.WLAN._the.clear()
        wifi = radio.TunedWifi(conf(**keys))
        wifi.sta.config = refuse
        wifi.start(1000)
        wifi.start(1000)
        equal(said, ["wifi: this port does not take wifi_tx_dbm or wifi_power_save: unknown config param"])
    world.clock.sleep_ms(100)
    equal(wifi.joined(), True)


def test_what_cannot_be_is_refused_in_words():
    for keys, part in (
        ({"wifi_address": "192.168.1.50"}, "four addresses, as"),
        ({"wifi_address": "192.168.1.50 255.255.255.0 192.168.1.1 192.168.1.256"}, "four addresses, as"),
        ({"wifi_country": "GER"}, "0 to 2 bytes"),
        ({"wifi_country": "1"}, "two letters"),
        ({"wifi_tx_dbm": 99}, "from 0.0 to 21"),
        ({"wifi_power_save": "much"}, "powersave"),
        ({"wifi_ssid_2": "x", "wifi_password_2": "short"}, "8 to 64 characters"),
        ({"wifi_password_2": "12345678"}, "wifi_ssid_2 is not"),
    ):
        said = str(raises(ValueError, conf, **keys))
        assert part in said and "short" not in said, said
