"""Keeps a native client connected: full-jitter exponential back-off, brokers in a list, refusals not hammered.

Give it to the client: `MQTTClient(..., reconnect=Reconnect())`. Then `poll` connects by itself, the first time too, and
raises none of OSError, MQTTException, ProtocolError: it calls `on_state`, and `diag` has the last error.
"""

from random import getrandbits
from time import sleep_ms, ticks_diff, ticks_ms

from micropython import const

from umqtt.connection import begin_connect, last_fault, note_error, session_present, wipe, wiped
from umqtt.errors import MQTTException, link_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from umqtt.hints import Brokers, OnState

_STABLE_MS = const(10000)
_UP = const(-1)
_MOST_MS = const(1 << 28)
# codes of a CONNACK, of MQTT 5 from 0x80 on: asking again soon is useless
_FINAL = b"\1\2\4\5\x84\x85\x86\x87\x8a\x8c\x8e"


class Reconnect:
    """Decides when a client connects again, and to which broker.

    - first_ms: milliseconds; the first pause is 0..first_ms at random, the next 0..2 * first_ms, and so on.
    - cap_ms: milliseconds; the longest pause, and the pause after a refusal. No pause is longer than the outage so far,
      or first_ms: a short outage does not cost more.
    - brokers: None (the client's own) or a list of (host, port), the preferred one first; docs/several-brokers.md. A
      pause comes after each round. After a connection that lasted the search begins with the first again, but one that
      fell silent is tried after all others.
    - on_state: f(connected, error), called when the link came up, went down, or an attempt failed.
    - back_ms: milliseconds; so long after it had to take another broker than the first the client begins to ask those
      before it whether they are back, and goes back once nothing is in flight. 0: never.
    - wipe_first: the first connection to each broker is made only to end the session which that may have of an earlier
      life of this client. For a program without a store, to which the old session's packet ids mean nothing.

    Attributes: `broker`, the index of the one that was tried last; `fault`, the exception that ended the last
    connection or attempt; `session_present`, of the last connection; `hurry_ms`: a program sets it to let no pause that
    begins be longer, for as long as a queue has room, say; the pause after a refusal stays.

    Raises ValueError. What on_state raises comes out of `poll`.
    """

    first_ms: int
    cap_ms: int
    hurry_ms: int
    brokers: "Brokers | None"
    on_state: "OnState | None"
    broker: int
    fault: "BaseException | None"
    session_present: bool

    def __init__(
        self,
        first_ms: int = 1000,
        cap_ms: int = 120000,
        brokers: "Brokers | None" = None,
        on_state: "OnState | None" = None,
        back_ms: int = 60000,
        wipe_first: bool = False,
    ) -> None:
        if not 0 < first_ms <= cap_ms < _MOST_MS or not 0 <= back_ms < _MOST_MS:
            raise ValueError("0 < first_ms <= cap_ms < 2**28 and 0 <= back_ms < 2**28 needed")
        self.first_ms = first_ms
        self.cap_ms = self.hurry_ms = cap_ms
        self.brokers = brokers
        self.on_state = on_state
        self._roaming = None
        if brokers and len(brokers) > 1:
            from umqtt.roaming import Roaming

            self._roaming = Roaming(brokers, back_ms)
        self._failures = 0  # since a connection that lasted
        self._short_lives = 0  # connections in a row that did not last
        self.broker = 0
        self._unknown = -1 if wipe_first else 0  # a bit for each broker whose session is to be ended
        self.fault = None
        self.session_present = self._wiping = self._was_refused = False  # _was_refused: in this round
        self._pause_ms = 0  # or _UP
        self._since_ms = self._down_since_ms = ticks_ms()  # when the pause, or the connection, began; the outage

    def turn(self, client, ms: int) -> int:
        """For the client's poll(ms) while there is no connection: wait up to ms for the end of the pause, or begin an
        attempt, with which its polls go on. Returns 0."""
        if self._pause_ms == _UP:
            return self.lost(client)  # a callback or a PINGREQ has found it so
        left_ms = self.pause_left_ms()
        if left_ms:
            sleep_ms(min(left_ms, ms))
            return 0
        if self.brokers:
            if self._roaming:
                self.broker = self._roaming.next(client, self._failures)
            client.server, client.port = self.brokers[self.broker]
        if self._unknown >> self.broker & 1 and not (
            client.clean_session or self._roaming and self._roaming.owes(client)
        ):
            self._wiping = True
            wipe(client)
        begin_connect(client)
        return 0

    def pause_left_ms(self) -> int:
        """Return the milliseconds until the next attempt, 0 for now."""
        left_ms = self._pause_ms - ticks_diff(ticks_ms(), self._since_ms)
        return left_ms if 0 < left_ms <= self._pause_ms else 0  # more: ticks have wrapped

    def up(self, client) -> None:
        """The client is connected, and its subscriptions are made again."""
        self._pause_ms = _UP
        self._since_ms = ticks_ms()
        self.session_present = session_present(client)
        if self._roaming:
            self._roaming.up(client, self.broker)
        if self.on_state:
            self.on_state(True, "")

    def lost(self, client) -> int:
        """The client's link went down, or an attempt failed: begin the pause before the next one. Returns 0."""
        now = self._since_ms
        self._since_ms = ticks_ms()
        if self._wiping:
            self._wiping = False
            if wiped(client):
                self._unknown &= ~(1 << self.broker)
                self._pause_ms = 0  # that of the failure before is over
                return 0
        error = client.diag()["error"]
        self.fault = fault = last_fault(client)
        many = len(self.brokers or (None,))
        self._failures += 1
        if self._pause_ms == _UP:
            lasted = not 0 <= ticks_diff(self._since_ms, now) < _STABLE_MS  # negative after six days
            fell_silent = fault.args[:1] == link_error("ETIMEDOUT", "").args[:1]  # a Ctrl-C has none
            if self._roaming and self._roaming.lost(client, lasted, fell_silent) or lasted:
                self._short_lives = self._failures = 0
                self._down_since_ms = self._since_ms
            elif "closed by" in error and not client.inflight:  # else for what is in flight, perhaps
                self._short_lives += 1
                if self._short_lives > 2:
                    error += "; closed again and again: has another device this client id?"
                    note_error(client, error)
        self._pause_ms = 0
        if isinstance(fault, MQTTException) and isinstance(fault.args[0], int):
            self._was_refused = self._was_refused or fault.args[0] in _FINAL
        if not self._failures % many:
            rounds = self._failures // many
            outage_ms = ticks_diff(self._since_ms, self._down_since_ms)
            most_ms = max(outage_ms, self.first_ms) if outage_ms >= 0 else self.cap_ms  # ticks have wrapped
            most_ms = min(most_ms, self.cap_ms, self.hurry_ms, self.first_ms << min(max(rounds - 1, 0), 20))
            self._pause_ms = self.cap_ms if self._was_refused else getrandbits(30) % (most_ms + 1)
            self._was_refused = False
        if self.on_state:
            self.on_state(False, error)
        return 0
