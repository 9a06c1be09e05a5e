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


class Reconnect:
    """first_ms: the first pause is 0..first_ms at random, the next 0..2 * first_ms, to at most cap_ms (also the pause
    after a refusal).

    brokers: None (the client's own) or a list of (host, port): when one fails the next is tried, a pause comes after
    the last. on_state: f(connected, error) when the link came up or an attempt failed.
    """

    def __init__(self, first_ms=1000, cap_ms=120000, brokers=None, on_state=None):
        if not 0 < first_ms <= cap_ms < 1 << 28:
            raise ValueError("first_ms, cap_ms: 1 to 268435455, first_ms the smaller")
        self.first_ms = first_ms
        self.cap_ms = cap_ms
        self.brokers = brokers
        self.on_state = on_state
        self.turns = 0  # failures since a connection that lasted
        self.short = 0  # connections in a row that did not last
        self.pause_ms = 0
        self.since = ticks_ms()  # of the pause, or of the connection

    def turn(self, client, ms, limit_ms=None):
        """client's poll(ms); connects first when it is time to: that takes up to timeout_ms (limit_ms in all, when
        given)."""
        if not client.isconnected():
            if not client.wanted:
                return client._step(ms)  # raises: not connected
            left = self.pause_ms - ticks_diff(ticks_ms(), self.since)
            if left > 0:
                sleep_ms(left if left < ms else ms)
                return 0
        try:
            if not client.isconnected():
                self._connect(client, limit_ms)
                return 0
            return client._step(ms)
        except (OSError, MQTTException) as e:
            if client.isconnected():
                raise  # of a callback
            self._failed(client, e)
            return 0

    def _connect(self, client, limit_ms):
        if self.brokers:
            broker = self.brokers[self.turns % len(self.brokers)]
            client.server, client.port = broker
        client.connect(client.timeout_ms if limit_ms is None else min(client.timeout_ms, limit_ms))
        self.since = ticks_ms()
        self.pause_ms = -1  # up
        if self.on_state:
            self.on_state(True, "")

    def _failed(self, client, e):
        now = ticks_ms()
        error = str(e)
        if self.pause_ms < 0:  # it was up
            if 0 <= ticks_diff(now, self.since) < _STABLE_MS:  # negative after six days
                self.short += 1
                if self.short > 2:
                    error += "; closed soon after CONNACK, again and again: has another device this client id?"
            else:
                self.short = self.turns = 0
        self.turns += 1
        n = len(self.brokers) if self.brokers else 1
        pause_ms = 0
        if isinstance(e, MQTTException) and e.args[0] in (1, 2, 4, 5):
            pause_ms = self.cap_ms  # asking again will not help
        elif self.turns % n == 0:
            pause_ms = getrandbits(30) % (min(self.cap_ms, self.first_ms << min(self.turns // n - 1, 20)) + 1)
        self.pause_ms = pause_ms
        self.since = now
        client.error = error
        if self.on_state:
            self.on_state(False, error)
