"""`network` with the statuses of ESP32; the networks in reach are fake_board's. What a program seldom asks for stands
in network_more: its names are some of those that a program has room for."""

from time import ticks_diff

import fake_board
from micropython import const

STA_IF, AP_IF = 0, 1
BSSID = b"\x02\0\0\0\0\x01"  # of every network in reach

_IDLE = const(1000)
_CONNECTING = const(1001)
_GOT_IP = const(1010)
_NO_AP_FOUND = const(201)
_WRONG_PASSWORD = const(202)


def __getattr__(name):
    return getattr(__import__("network_more"), name)


class WLAN:
    PM_NONE, PM_PERFORMANCE, PM_POWERSAVE = 0, 1, 2
    _the = {}

    def __new__(cls, id=0):
        # one object for each interface, as on the boards
        if id not in cls._the:
            self = cls._the[id] = object.__new__(cls)
            self.on = bool(id) and fake_board.script.get("port") == "esp8266"
            self.state = _IDLE
            self.asked = []  # (ssid, password, bssid) of every connect
        return cls._the[id]

    def active(self, on=None):
        if on is None:
            return self.on
        self.on = bool(on)
        if not on:
            self.state = _IDLE

    def connect(self, ssid=None, key=None, *, bssid=None):
        if not self.on:
            raise OSError("Wifi Not Started")
        if self.state == _CONNECTING:
            raise OSError("Wifi Internal State Error")
        self.asked.append((ssid, key, bssid))
        self.state = _CONNECTING
        self.since = fake_board.ticks_ms()

    def isconnected(self):
        self.status()
        return self.state == _GOT_IP

    def status(self, what=None):
        if what == "rssi":
            return -61
        if what is not None:
            raise ValueError("unknown status param")
        script = fake_board.script
        if self.state == _CONNECTING and ticks_diff(fake_board.ticks_ms(), self.since) >= script.get("join_ms", 0):
            networks = script.get("wifi")
            ssid, key, bssid = self.asked[-1]
            if bssid in (None, BSSID) and (networks is None or networks.get(ssid) == key):
                self.state = _GOT_IP
            elif bssid not in (None, BSSID) or ssid not in networks:
                self.state = _NO_AP_FOUND
            else:
                self.state = _WRONG_PASSWORD
        return self.state

    def disconnect(self):
        if not self.on:
            raise OSError("Wifi Not Started")
        self.state = _IDLE

    def scan(self):
        if not self.on:
            raise OSError("STA must be active")
        networks = fake_board.script.get("wifi") or {self.asked[-1][0]: ""}
        return [(name.encode(), BSSID, 6, -61, 3, False) for name in networks] + [
            (b"other", b"\0" * 6, 1, -50, 3, False)
        ]

    def ifconfig(self, new=None):
        if new == "dhcp":
            del self.address
        elif new:
            self.address = new
        return getattr(self, "address", ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1"))

    def __getattr__(self, name):
        if name not in ("config", "lose"):
            raise AttributeError(name)
        more = getattr(__import__("network_more"), name)
        return lambda *values, **keys: more(self, *values, **keys)
