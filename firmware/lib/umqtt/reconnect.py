"""Keeps a native client connected: full-jitter exponential back-off, brokers in a list, refusals not hammered.

Give it to the client: `MQTTClient(..., reconnect=Reconnect())`. Then `poll` connects by itself, the first time too, and
raises none of OSError, MQTTException, ProtocolError: it calls `on_state`, and `diag` has the last error.
"""

from random import getrandbits
from time import sleep_ms, ticks_diff, ticks_ms

from micropython import const

from umqtt.addons import begin_connect, last_fault, note_error
from umqtt.errors import MQTTException, link_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from umqtt.hints import Brokers, OnState

_STABLE_MS = const(10000)
_UP = const(-1)
_NONE = const(-1)
_MOST_MS = const(1 << 28)
_ASKING_AGAIN_IS_USELESS = (1, 2, 4, 5)  # codes of a CONNACK


class Reconnect:
    """Decides when a client connects again, and to which broker.

    - first_ms: milliseconds; the first pause is 0..first_ms at random, the next 0..2 * first_ms, and so on.
    - cap_ms: milliseconds; the longest pause, and the pause after a refusal. No pause is longer than the outage so far,
      or first_ms: a short outage does not cost more.
    - brokers: None (the client's own) or a list of (host, port), the preferred one first. After a connection that
      lasted the search begins with the first again, but one that fell silent is tried after all others; a pause comes
      after each round.
    - on_state: f(connected, error), called when the link came up, went down, or an attempt failed.

    Raises ValueError. What on_state raises comes out of `poll`.
    """

    first_ms: int
    cap_ms: int
    brokers: "Brokers | None"
    on_state: "OnState | None"
    broker: int

    def __init__(
        self,
        first_ms: int = 1000,
        cap_ms: int = 120000,
        brokers: "Brokers | None" = None,
        on_state: "OnState | None" = None,
    ) -> None:
        if not 0 < first_ms <= cap_ms < _MOST_MS:
            raise ValueError("0 < first_ms <= cap_ms < 2**28 needed")
        self.first_ms = first_ms
        self.cap_ms = cap_ms
        self.brokers = brokers
        self.on_state = on_state
        self.failures = 0  # since a connection that lasted
        self.short_lives = 0  # connections in a row that did not last
        self.broker = 0  # the index of the broker that was tried last
        self.silent_broker = _NONE  # the index of the broker that fell silent, until it had its turn
        self.pause_ms = 0  # or _UP
        self.since_ms = self.down_since_ms = ticks_ms()  # when the pause, or the connection, began; the outage

    def turn(self, client, ms: int) -> int:
        """For the client's poll(ms) while there is no connection: wait up to ms for the end of the pause, or begin an
        attempt, with which its polls go on. Returns 0."""
        if self.pause_ms == _UP:
            return self.lost(client)  # a callback or a PINGREQ has found it so
        left_ms = self.pause_left_ms()
        if left_ms:
            sleep_ms(min(left_ms, ms))
            return 0
        if self.brokers:
            self._choose(len(self.brokers))
            client.server, client.port = self.brokers[self.broker]
        begin_connect(client)
        return 0

    def pause_left_ms(self) -> int:
        """Return the milliseconds until the next attempt, 0 for now."""
        left_ms = self.pause_ms - ticks_diff(ticks_ms(), self.since_ms)
        return left_ms if 0 < left_ms <= self.pause_ms else 0  # more: ticks have wrapped

    def up(self, client) -> int:
        """The client is connected, and its subscriptions are made again. Returns 0."""
        self.pause_ms = _UP
        self.since_ms = ticks_ms()
        return self.tell(client, "")

    def _choose(self, many):
        self.broker = self.failures % many
        if self.silent_broker != _NONE:
            if self.broker == many - 1:
                self.broker = self.silent_broker
                self.silent_broker = _NONE
            elif self.broker >= self.silent_broker:
                self.broker += 1

    def lost(self, client) -> int:
        """The client's link went down, or an attempt failed: begin the pause before the next one. Returns 0."""
        now = ticks_ms()
        error = client.diag()["error"]
        fault = last_fault(client)
        many = len(self.brokers or (None,))
        self.failures += 1
        if self.pause_ms == _UP:
            self.down_since_ms = now
            self.short_lives += 1
            if not 0 <= ticks_diff(now, self.since_ms) < _STABLE_MS:  # negative after six days
                self.short_lives = self.failures = 0
                if fault.args[0] == link_error("ETIMEDOUT", "").args[0] and many > 1:
                    self.silent_broker = self.broker
            elif self.short_lives > 2 and "closed by" in error:
                error += "; closed again and again: has another device this client id?"
                note_error(client, error)
        rounds = self.failures // many
        self.pause_ms = 0
        if isinstance(fault, MQTTException) and fault.args[0] in _ASKING_AGAIN_IS_USELESS:
            self.pause_ms = self.cap_ms
        elif not self.failures % many:
            outage_ms = ticks_diff(now, self.down_since_ms)
            most_ms = max(outage_ms, self.first_ms) if outage_ms >= 0 else self.cap_ms  # ticks have wrapped
            most_ms = min(most_ms, self.cap_ms, self.first_ms << min(max(rounds - 1, 0), 20))
            self.pause_ms = getrandbits(30) % (most_ms + 1)
        self.since_ms = now
        return self.tell(client, error)

    def tell(self, client, error: str) -> int:
        """Call on_state. Returns 0."""
        if self.on_state:
            self.on_state(client.isconnected(), error)
        return 0
