"""What is asked of the WiFi beside joining one network? Imported only with one of the keys for it."""

import network

from wifi import Wifi


class TunedWifi(Wifi):
    """Two networks by turns, until one lets the board in; a static address; country, power and sleep of the radio. cfg:
    what config_check.check() gives. Raises ValueError for a country that the port does not know."""

    def __init__(self, cfg: dict):
        super().__init__(cfg["wifi_ssid"], cfg["wifi_password"], cfg["hostname"])
        self.other = cfg["wifi_ssid_2"], cfg["wifi_password_2"]
        words = cfg["wifi_address"].split()
        self.given = bytes([int(n) for word in words for n in word.split(".")])
        self.tx_dbm = cfg["wifi_tx_dbm"]
        self.saving = cfg["wifi_power_save"]
        if cfg["wifi_country"]:
            network.country(cfg["wifi_country"])  # pyright: ignore[reportAttributeAccessIssue]

    def start(self, timeout_ms: int, bssid=None, address=None) -> None:
        """As Wifi.start."""
        super().start(timeout_ms, bssid, self.given or address)
        try:
            if self.tx_dbm:
                self.sta.config(txpower=self.tx_dbm)
            if self.saving:
                wlan = network.WLAN
                modes = {"none": wlan.PM_NONE, "performance": wlan.PM_PERFORMANCE, "powersave": wlan.PM_POWERSAVE}
                self.sta.config(pm=modes[self.saving])
        except (AttributeError, OSError, ValueError) as e:
            print("wifi: this port does not take wifi_tx_dbm or wifi_power_save:", e)
            self.tx_dbm = 0
            self.saving = ""

    def joined(self) -> bool:
        """As Wifi.joined; after a failure the other network comes next."""
        try:
            return super().joined()
        except OSError:
            if self.other[0]:
                last = self.ssid, self.password
                self.ssid, self.password = self.other
                self.other = last
            raise
