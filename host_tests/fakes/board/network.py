"""`network` with the statuses of ESP32; the networks in reach are fake_board's."""

from time import ticks_diff

import fake_board

STA_IF, AP_IF = 0, 1
STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = 1000, 1001, 1010
STAT_BEACON_TIMEOUT, STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD, STAT_ASSOC_FAIL, STAT_HANDSHAKE_TIMEOUT = (
    200,
    201,
    202,
    203,
    204,
)

BSSID = b"\x02\0\0\0\0\x01"  # of every network in reach
_hostname = ["mpy-esp32"]


def hostname(name=None):
    if name is None:
        return _hostname[0]
    _hostname[0] = name


_country = ["XX"]


def country(code=None):
    if code is None:
        return _country[0]
    _country[0] = code


class WLAN:
    IF_STA, IF_AP = 0, 1
    PM_NONE, PM_PERFORMANCE, PM_POWERSAVE = 0, 1, 2
    _the = {}

    def __new__(cls, interface=0):
        # one object for each interface, as on the boards
        if interface not in cls._the:
            self = cls._the[interface] = object.__new__(cls)
            self._active = bool(interface) and fake_board.script.get("port") == "esp8266"
            self._status = STAT_IDLE
            self._since = 0
            self.asked = []  # (ssid, password, bssid) of every connect
        return cls._the[interface]

    def active(self, on=None):
        if on is None:
            return self._active
        self._active = bool(on)
        if not on:
            self._status = STAT_IDLE

    def connect(self, ssid=None, key=None, *, bssid=None):
        if not self._active:
            raise OSError("Wifi Not Started")
        if self._status == STAT_CONNECTING:
            raise OSError("Wifi Internal State Error")
        self.asked.append((ssid, key, bssid))
        self._status = STAT_CONNECTING
        self._since = fake_board.ticks_ms()

    def _settle(self):
        if self._status != STAT_CONNECTING:
            return
        if ticks_diff(fake_board.ticks_ms(), self._since) < fake_board.script.get("join_ms", 0):
            return
        networks = fake_board.script.get("wifi")
        ssid, key, bssid = self.asked[-1]
        if bssid in (None, BSSID) and (networks is None or networks.get(ssid) == key):
            self._status = STAT_GOT_IP
        elif bssid not in (None, BSSID) or ssid not in networks:
            self._status = STAT_NO_AP_FOUND
        else:
            self._status = STAT_WRONG_PASSWORD

    def status(self, what=None):
        if what == "rssi":
            return -61
        if what is not None:
            raise ValueError("unknown status param")
        self._settle()
        return self._status

    def isconnected(self):
        self._settle()
        return self._status == STAT_GOT_IP

    def disconnect(self):
        if not self._active:
            raise OSError("Wifi Not Started")
        self._status = STAT_IDLE

    def config(self, **keys):
        if not self._active:
            raise OSError("Wifi Not Started")
        self.settings = dict(getattr(self, "settings", {}), **keys)

    def lose(self):
        """The access point vanishes."""
        self._status = STAT_BEACON_TIMEOUT

    def scan(self):
        networks = fake_board.script.get("wifi") or {self.asked[-1][0]: ""}
        return [(n.encode(), BSSID, 6, -61, 3, False) for n in networks] + [(b"other", b"\0" * 6, 1, -50, 3, False)]

    def ifconfig(self, new=None):
        if new == "dhcp":
            del self.address
        elif new:
            self.address = new
        return getattr(self, "address", ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1"))
