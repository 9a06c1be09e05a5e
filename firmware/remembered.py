"""What does a board that sleeps remember over a sleep? A few numbers at the start of RTC memory."""

from struct import calcsize, pack, unpack

import machine
from micropython import const
from umqtt.rtc import Region

_FORMAT = ">IHBHBB6s16sHHHHBQ"
_REGION_B = const(6)  # a length and a checksum, which Region adds
SIZE_B = calcsize(_FORMAT) + _REGION_B


class Remembered:
    """Attributes, all 0 after power-on: synced_s (Unix time at which the clock was set), wakes, fails (attempts in a
    row that did not reach the broker), skip (wakes until the next attempt), uses (of the address since DHCP was asked),
    hidden (a scan does not show the network), bssid and address (which shorten joining), told (a bit for each thing
    that Home Assistant knows: 16 sensors and the commands), took_ms (what reaching the broker took), start_ms (from
    waking to the program), late_pid and strikes (a message that the broker does not take), qos_1 (it does not take
    QoS 2), level_4 (nor MQTT 5), drifts (the clock goes wrong), due_ms (when the board was to wake, by its clock).
    """

    def __init__(self):
        self.region = Region(machine.RTC().memory, 0, SIZE_B)
        state = self.region.read()
        if len(state) != calcsize(_FORMAT):
            return self.forget()
        self.load(state)

    def forget(self) -> None:
        """As after power-on: another configuration, another network perhaps."""
        self.load(bytes(calcsize(_FORMAT)))

    def load(self, state: bytes) -> None:
        (
            self.synced_s, self.wakes, self.fails, self.skip, self.uses, flags, self.bssid, self.address,
            self.told, self.took_ms, self.start_ms, self.late_pid, self.strikes, self.due_ms,
        ) = unpack(_FORMAT, state)  # fmt: skip
        self.hidden = flags & 1
        self.qos_1 = flags & 2
        self.level_4 = flags & 4
        self.drifts = flags & 16
        self.told |= (flags & 8) << 13

    def save(self) -> None:
        """Write it to RTC memory."""
        self.region.write(pack(
            _FORMAT, max(0, self.synced_s), self.wakes & 0xFFFF, min(self.fails, 255), min(self.skip, 0xFFFF),
            min(self.uses, 255),
            (1 if self.hidden else 0) | (2 if self.qos_1 else 0) | (4 if self.level_4 else 0)
            | self.told >> 13 & 8 | (16 if self.drifts else 0), self.bssid, self.address,
            self.told & 0xFFFF, min(self.took_ms, 0xFFFF), min(self.start_ms, 0xFFFF), self.late_pid,
            min(self.strikes, 255), self.due_ms,
        ))  # fmt: skip

    def join(self, wifi, cfg: dict) -> None:
        """Begin to join the network by what is known of it. Raises OSError in words."""
        limit_ms = min(cfg["wifi_timeout_s"] * 1000, cfg["awake_ms"])
        if any(self.address):
            wifi.start(limit_ms, self.bssid if any(self.bssid) else None, self.address)
        else:
            wifi.start(limit_ms)

    def note_address(self, wifi) -> None:
        """The address that DHCP gave, with mask, gateway and name server."""
        self.address = bytes([int(n) for word in wifi.sta.ifconfig() for n in word.split(".")])

    def note_access_point(self, wifi) -> None:
        """The strongest one of the network's name; hidden when none shows it. Blocks 2 s for a scan. Raises what the
        port does."""
        best = bytes(6), -999
        for row in wifi.sta.scan():
            if row[0] == wifi.ssid.encode() and row[3] > best[1]:
                best = row[1], row[3]
        self.bssid = bytes(best[0])
        self.hidden = not any(self.bssid)
