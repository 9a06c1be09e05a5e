"""Keep-alive: when a PINGREQ is due, and when a link is dead [3.1.2.10, 3.12]. No I/O; the clock only subtracts.

PINGREQ is due when for 3/4 of the interval nothing was sent, or no packet came: a busy sender would never notice a dead
link. The link is dead half an interval after PINGREQ left, so before the broker's 1.5 intervals, when no PINGRESP came
and nothing is left to read. While bytes wait for the network, its progress is life: PINGREQ could only stand behind
them. A broker that answers pings but leaves the oldest exchange without its ack for 6 `timeout_ms` is given up as well.
"""

from time import ticks_diff, ticks_ms

from micropython import const

from umqtt.session import Session
from umqtt.wire import PACKET_ID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

NEVER_MS = const(1 << 28)
QUARTER_MS = const(250)  # of an interval of one second


class KeepAlive(Session):
    """A session and the times of its link.

    `keepalive`: the interval in seconds that CONNECT tells, 0 for none. `_watched_s`: the one that this end keeps.
    A subclass has all below.
    """

    keepalive: int
    _watched_s: int
    _link_up: bool  # CONNACK came
    _is_connecting: bool  # until subscriptions were made again
    _send_blocked: bool  # bytes wait for the network
    _connect_end: int  # of the attempt under way
    timeout_ms: int
    _pinged_ms: "int | None"
    _send_ping: "Callable[[], None]"  # unless one is under way; it may find the link down

    _dead_words = ""

    def _start_watch(self):
        """A connection begins."""
        self._wrote_ms = self._heard_ms = ticks_ms()
        self._pinged_ms = None  # no PINGRESP is expected
        self._unacked_id = 0
        self._ping_after_ms = self._watched_s * 3 * QUARTER_MS or NEVER_MS  # of silence

    def _watch(self):
        """Nothing is left to read: send a PINGREQ if it is time. Returns the milliseconds until the next look is due,
        0 when the link is dead, for the reason in `_dead_words`, or down, as the PINGREQ has found."""
        now = ticks_ms()
        most_ms = NEVER_MS
        if self._is_connecting:
            most_ms = ticks_diff(self._connect_end, now)
            if most_ms <= 0 or not self._link_up:
                self._dead_words = "no answer in time"
                return most_ms if most_ms > 0 else 0
        elif self._slots_sent and not self._send_blocked:
            oldest_id = self._packet_slots[0][PACKET_ID]
            if oldest_id != self._unacked_id:
                self._unacked_id = oldest_id
                self._unacked_ms = now
            most_ms = 6 * self.timeout_ms - ticks_diff(now, self._unacked_ms)
            if most_ms <= 0:
                self._dead_words = "no ack for packet %d, though the link is up" % oldest_id
                return 0
        quarter_ms = self._watched_s * QUARTER_MS
        if not quarter_ms:
            return most_ms
        silent_ms = ticks_diff(now, self._wrote_ms)
        if self._send_blocked and not self._is_connecting:
            left_ms = 5 * quarter_ms - silent_ms
        elif self._pinged_ms is not None:
            left_ms = 2 * quarter_ms - ticks_diff(now, self._pinged_ms)
        else:
            unheard_ms = ticks_diff(now, self._heard_ms)
            left_ms = 3 * quarter_ms - (unheard_ms if unheard_ms > silent_ms else silent_ms)
            if left_ms <= 0:
                self._send_ping()
                if not self._link_up:
                    return 0
                left_ms = 2 * quarter_ms
        if left_ms <= 0:
            self._dead_words = "no PINGRESP in time"  # only now: shipped, making the words takes heap
            return 0
        return left_ms if left_ms < most_ms else most_ms
