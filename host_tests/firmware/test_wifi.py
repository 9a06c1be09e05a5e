"""wifi.py against a fake radio with the habits of ESP32."""

from fakes.check import equal, raises
from on_board import World

import fake_board
import network


def station(script=None, ssid="lab", password="12345678"):
    """(world, Wifi, the fake station): nothing joined yet."""
    world = World()
    script = dict(script or {})
    script.setdefault("wifi", {"lab": "12345678"})
    fake_board.use(script)
    from wifi import Wifi

    return world, Wifi(ssid, password), network.WLAN(network.STA_IF)


def join(world, wifi):
    wifi.start(20000)
    while not wifi.joined():
        world.clock.sleep_ms(50)


def test_joins_within_the_time_that_joining_takes():
    world, wifi, sta = station({"join_ms": 2500})
    began = world.clock.now
    join(world, wifi)
    assert wifi.isconnected() and not wifi.joining
    assert 2500 <= world.clock.now - began < 2700


def test_a_wrong_password_is_named_before_the_deadline():
    world, wifi, sta = station(password="87654321")
    began = world.clock.now
    said = str(raises(OSError, join, world, wifi))
    equal(said, '"lab": wrong password: check wifi_password')
    assert 4000 < world.clock.now - began < 4200
    assert not sta.active() and not wifi.joining


def test_a_network_out_of_reach_is_named():
    world, wifi, sta = station(ssid="elsewhere")
    equal(str(raises(OSError, join, world, wifi)), '"elsewhere": no such network in reach: check wifi_ssid')


def test_no_answer_ends_at_the_deadline():
    world, wifi, sta = station({"join_ms": 99000})
    began = world.clock.now
    equal(str(raises(OSError, join, world, wifi)), '"lab": no answer in 20 s')
    assert 20000 <= world.clock.now - began < 20200


def test_a_failure_status_that_passes_is_no_failure():
    world, wifi, sta = station({"join_ms": 6000})
    status = sta.status

    began = world.clock.now

    def flicker():
        # ESP32 says NO_AP_FOUND for a while, then finds it, or loses it again
        got = status()
        is_found = 2800 < world.clock.now - began < 3200
        return network.STAT_NO_AP_FOUND if got == network.STAT_CONNECTING and not is_found else got

    sta.status = flicker
    join(world, wifi)
    assert wifi.isconnected()


def test_an_attempt_under_way_is_ended_before_the_next():
    world, wifi, sta = station({"join_ms": 1000})
    sta.active(True)
    sta.connect("lab", "12345678")  # the next connect would be "Wifi Internal State Error"
    join(world, wifi)
    assert wifi.isconnected()


def test_what_the_radio_refuses_is_an_error_in_words():
    world, wifi, sta = station()
    equal(wifi.joining, False)
    wifi.start(20000)
    equal(wifi.joining, True)
    sta.active = lambda on=None: False
    assert "the radio refused" in str(raises(OSError, join, world, wifi))
    equal(wifi.joining, False, "the attempt before has ended, too")


def test_the_access_point_of_esp8266_is_switched_off():
    World()
    fake_board.use({"port": "esp8266"})
    network.WLAN._the.clear()
    assert network.WLAN(network.AP_IF).active()
    from wifi import Wifi

    Wifi("lab", "12345678", "kitchen")
    assert not network.WLAN(network.AP_IF).active()
    equal(network.hostname(), "kitchen")
    Wifi("lab", "12345678")
    equal(network.hostname(), "kitchen", "without a name the port's own")


def test_what_is_known_of_the_network_is_used_and_dhcp_asked_again_without_it():
    world, wifi, sta = station()
    address = bytes((192, 168, 1, 50, 255, 255, 255, 0, 192, 168, 1, 1, 192, 168, 1, 2))
    wifi.start(20000, network.BSSID, address)
    equal(sta.asked[-1], ("lab", "12345678", network.BSSID))
    equal(sta.ifconfig(), ("192.168.1.50", "255.255.255.0", "192.168.1.1", "192.168.1.2"))
    for _ in range(2):
        wifi.start(20000)
        equal(sta.asked[-1], ("lab", "12345678", None))
        assert not hasattr(sta, "address")


def test_the_network_is_left_before_the_radio_is_off():
    world, wifi, sta = station()
    join(world, wifi)
    left, leave = [], sta.disconnect
    sta.disconnect = lambda: left.append(sta.active()) or leave()
    wifi.off()
    equal((left, sta.active(), wifi.joining), ([True], False, False))
    wifi.off()  # of a radio that is off it is no error
    equal(wifi.joining, False)
