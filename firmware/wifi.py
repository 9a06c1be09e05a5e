"""The WiFi station, with what the ports do differently; it knows nothing of MQTT."""

from time import sleep_ms, ticks_add, ticks_diff, ticks_ms

import network
from micropython import const

_STEP_MS = const(50)
# ESP32 reports 20x statuses on the way to success as well: only one that stays so long is the answer
_FINAL_MS = const(4000)


class Wifi:
    """ssid, password: str, an empty password for an open network. hostname: "" for the port's own. Attribute joining:
    an attempt is under way."""

    def __init__(self, ssid: str, password: str, hostname: str = ""):
        self.ssid = ssid
        self.password = password
        if hostname and hasattr(network, "hostname"):
            network.hostname(hostname)
        ap = network.WLAN(network.AP_IF)
        if ap.active():  # ESP8266 starts with an open access point of its own
            ap.active(False)
        self.sta = network.WLAN(network.STA_IF)
        self.fixed = False  # the address was given, not asked for
        self.joining = False

    def isconnected(self) -> bool:
        """Whether the station has an address. True also with a radio that went dead: only a missing answer tells
        that."""
        return self.sta.isconnected()

    def start(self, timeout_ms: int, bssid=None, address=None) -> None:
        """Begin to join the network; joined() is asked then. bssid, address: as `remembered` has them. Blocks
        for 100 ms at most. Raises OSError in words."""
        sta = self.sta
        self.joining = False
        if sta.active():
            # an attempt under way makes ESP32 answer the next with "Wifi Internal State Error"
            self.off()
            sleep_ms(2 * _STEP_MS)
        try:
            sta.active(True)
            if address:
                words = [".".join([str(b) for b in address[i : i + 4]]) for i in (0, 4, 8, 12)]
                sta.ifconfig(tuple(words))  # pyright: ignore[reportArgumentType]
            elif self.fixed:
                sta.ifconfig("dhcp")  # pyright: ignore[reportArgumentType]
            self.fixed = bool(address)
            if bssid:
                sta.connect(self.ssid, self.password, bssid=bssid)
            else:
                sta.connect(self.ssid, self.password)
        except (OSError, RuntimeError, ValueError) as e:  # ESP32 raises RuntimeError too: "Wifi Unknown Error 0x0101"
            raise OSError("the radio refused: %s" % e)
        self.limit_ms = timeout_ms
        self.since = ticks_ms()
        self.end = ticks_add(self.since, timeout_ms)
        self.status = None
        self.joining = True

    def joined(self) -> bool:
        """Whether the attempt has succeeded; False: not yet. Raises OSError in words once it has failed: then the
        radio is off."""
        sta = self.sta
        if sta.isconnected():
            self.joining = False
            return True
        now = ticks_ms()
        got = sta.status()
        if got != self.status:
            self.status = got
            self.since = now
        reason = _reason(got)
        if ticks_diff(self.end, now) <= 0 or reason and ticks_diff(now, self.since) > _FINAL_MS:
            self.off()
            raise OSError('"%s": %s' % (self.ssid, reason or "no answer in %d s" % (self.limit_ms // 1000)))
        return False

    def off(self) -> None:
        """Leave the network and switch the radio off; the next start() begins from there."""
        self.joining = False
        try:
            self.sta.disconnect()
        except (OSError, RuntimeError):
            pass  # not connected
        self.sta.active(False)


def _reason(status):
    for name, words in (
        ("STAT_WRONG_PASSWORD", "wrong password: check wifi_password"),
        ("STAT_NO_AP_FOUND", "no such network in reach: check wifi_ssid"),
        ("STAT_CONNECT_FAIL", "the access point refused"),
        ("STAT_ASSOC_FAIL", "the access point refused the association"),
        ("STAT_HANDSHAKE_TIMEOUT", "no handshake: wrong password, or a weak signal"),
    ):
        # each port has some of them, and its own numbers
        if status is not None and getattr(network, name, None) == status:
            return words
    return ""
