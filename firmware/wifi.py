"""The WiFi station, with what the ports do differently; it knows nothing of MQTT."""

from time import sleep_ms, ticks_add, ticks_diff, ticks_ms

import network
from micropython import const

_STEP_MS = const(50)
# ESP32 reports 20x statuses on the way to success as well: only one that stays so long is the answer
_FINAL_MS = const(4000)


class Wifi:
    """ssid, password: str, an empty password for an open network. hostname: "" for the port's own."""

    def __init__(self, ssid, password, hostname=""):
        self.ssid = ssid
        self.password = password
        if hostname and hasattr(network, "hostname"):
            network.hostname(hostname)
        ap = network.WLAN(network.AP_IF)
        if ap.active():  # ESP8266 starts with an open access point of its own
            ap.active(False)
        self.sta = network.WLAN(network.STA_IF)
        self.fixed = False  # the address was given, not asked for

    def isconnected(self):
        """Whether the station has an address. True also with a radio that went dead: only a missing answer tells
        that."""
        return self.sta.isconnected()

    def connect(self, timeout_ms, bssid=None, address=None):
        """Join the network within timeout_ms; bssid, address: what place() gave. Blocks. Raises OSError in words."""
        sta = self.sta
        end = ticks_add(ticks_ms(), timeout_ms)
        if sta.active():
            # an attempt under way makes ESP32 answer the next with "Wifi Internal State Error"
            self.off()
            sleep_ms(2 * _STEP_MS)
        sta.active(True)
        try:
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
        except OSError as e:
            raise OSError("the radio refused: %s" % e)
        status = None
        since = ticks_ms()
        while not sta.isconnected():
            now = ticks_ms()
            got = sta.status()
            if got != status:
                status = got
                since = now
            reason = _reason(status)
            if ticks_diff(end, now) <= 0 or reason and ticks_diff(now, since) > _FINAL_MS:
                self.off()
                raise OSError('"%s": %s' % (self.ssid, reason or "no answer in %d s" % (timeout_ms // 1000)))
            sleep_ms(_STEP_MS)

    def place(self):
        """(BSSID, address): 6 and 16 bytes that shorten the next connect. Blocks 2 s for a scan."""
        best = bytes(6), -999
        for row in self.sta.scan():
            if row[0] == self.ssid.encode() and row[3] > best[1]:
                best = row[1], row[3]
        address = bytes([int(n) for word in self.sta.ifconfig() for n in word.split(".")])
        return bytes(best[0]), address

    def off(self):
        """Leave the network and switch the radio off; the next connect starts from the beginning."""
        try:
            self.sta.disconnect()
        except OSError:
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
