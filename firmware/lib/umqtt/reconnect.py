"""Keeps a native client connected: full-jitter exponential back-off, brokers in a list taken in turn, refusals not
hammered.

Passed in: `MQTTClient(..., reconnect=Reconnect())`. Then `poll` connects by itself, also for the first time, and
raises none of OSError, MQTTException, ProtocolError: `diag` tells the last error, and `on_state` is called.
"""

from random import getrandbits
from time import sleep_ms, ticks_diff, ticks_ms

from micropython import const

from umqtt.wire import MQTTException

_STABLE_MS = const(10000)
_UP = const(-1)
_NEVER_MS = const(1 << 28)


class Reconnect:
    """first_ms: the first pause is 0..first_ms at random, the next 0..2 * first_ms, to at most cap_ms (also the pause
    after a refusal).

    brokers: None (the client's own) or a list of (host, port): when one fails the next is tried, a pause comes after
    the last. on_state: f(connected, error) when the link came up or an attempt failed.
    """

    def __init__(self, first_ms=1000, cap_ms=120000, brokers=None, on_state=None):
        if not 0 < first_ms <= cap_ms < _NEVER_MS:
            raise ValueError("0 < first_ms <= cap_ms < 2**28 needed")
        self.first_ms = first_ms
        self.cap_ms = cap_ms
        self.brokers = brokers
        self.on_state = on_state
        self.turns = 0  # failures since a connection that lasted
        self.short = 0  # connections in a row that did not last
        self.ms = 0  # the pause, or _UP
        self.since = ticks_ms()  # when the pause, or the connection, began

    def turn(self, client, ms, timeout_ms=_NEVER_MS):
        """client's poll(ms) while it is not connected: connects when it is time to, which takes up to the client's
        timeout_ms, and up to the one given."""
        left = self.ms - ticks_diff(ticks_ms(), self.since)
        if 0 < left <= self.ms:  # more: ticks have wrapped
            sleep_ms(min(left, ms))
            return 0
        if self.brokers:
            client.server, client.port = self.brokers[self.turns % len(self.brokers)]
        try:
            client.connect(min(client.timeout_ms, timeout_ms))
        except (OSError, MQTTException) as e:
            if client._up:
                raise  # of a callback
            # asking again will not help
            return self.lost(client, isinstance(e, MQTTException) and e.args[0] in (1, 2, 4, 5))
        self.ms = _UP
        self.since = ticks_ms()
        return self.tell(client, "")

    def lost(self, client, refused=False):
        """client's link went down, or an attempt failed: the pause before the next."""
        now = ticks_ms()
        if self.ms == _UP:
            self.short += 1
            if not 0 <= ticks_diff(now, self.since) < _STABLE_MS:  # negative after six days
                self.short = self.turns = 0
            elif self.short > 2:
                client._error += "; closed again and again: has another device this client id?"
        self.turns += 1
        n = len(self.brokers or (None,))
        self.ms = 0
        if refused:
            self.ms = self.cap_ms
        elif self.turns % n == 0:
            self.ms = getrandbits(30) % (min(self.cap_ms, self.first_ms << min(self.turns // n - 1, 20)) + 1)
        self.since = now
        return self.tell(client, client._error)

    def tell(self, client, error):
        """on_state, which may itself wait: the call that waits around it keeps its deadline."""
        if self.on_state:
            end = client._t_end
            self.on_state(client._up > 0, error)
            client._t_end = end
        return 0
