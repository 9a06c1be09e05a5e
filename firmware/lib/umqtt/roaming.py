"""Which broker of a list is next, when is it time to go back to a better one, and who still has messages of ours?
Imported by umqtt.reconnect for a list of several brokers; docs/several-brokers.md says what it promises.
"""

import select
import socket
from random import getrandbits
from time import ticks_diff, ticks_ms

from micropython import const

from umqtt.errors import link_error
from umqtt.wire import DISCONNECT_BYTE, FIRST_BYTE, IN_USE, PACKET_ID, PUBREL_BYTE, SENT

_NONE = const(-1)
_WRITABLE = const(4)  # select.POLLOUT
_IN_PROGRESS = (115, 119)  # EINPROGRESS of the ports
_LOOK_MS = const(100)  # between two looks at an attempt to reach a better one
_SETTLED = const(10)  # so many times the wait a broker must have been well, or it is one that comes and goes
_MOST_DOUBLED = const(6)  # so often the wait doubles for one that does


class Roaming:
    """Of a Reconnect; brokers, back_ms: as its. Whether a better broker is back is tried by a connection
    without MQTT, beside the one that is up: whether somebody accepts."""

    def __init__(self, brokers, back_ms):
        self._brokers = brokers
        self._back_ms = back_ms
        self._at = 0  # the index of the broker that is or was the last to be connected to
        self._silent = _NONE  # the index of the broker that fell silent, until it had its turn
        self._first = []  # the indexes of those to be tried before the list
        self._owed = {}  # {index: ids of messages that this broker has, and may not know to be released}
        self._doubled = 0
        self._left_ms = None  # when it left for a better one
        self._is_leaving = False
        self._plain_watch = None
        self._since_ms = self._wait_ms = 0  # when the wait, or the attempt, began, and how long it takes
        self._better = _NONE  # the index of the one that is asked
        self._sock = self._poller = None
        self._accepts = False

    def next(self, client, failures: int) -> int:
        """The index of the broker to be tried, after so many failures."""
        many = len(self._brokers)
        at = failures % many
        if self._first:
            at = self._first.pop(0)
        elif self._silent != _NONE:
            if at == many - 1:
                at = self._silent
                self._silent = _NONE
            elif at >= self._silent:
                at += 1
        if at != self._at:
            _subscribe_again(client)  # it may have a session of another time
        return at

    def owes(self, client) -> bool:
        """Whether a session must not be ended, for it may be the one that has messages of ours."""
        return bool(self._owed or _unreleased(client))

    def up(self, client, at: int) -> None:
        """The client is connected to broker `at`."""
        now = ticks_ms()
        self._rest(client)  # a program may have ended the connection before
        self._at = at
        for packet_id in self._owed.get(at, ()):
            _release(client, packet_id)
        del self._first[:]
        if at and self._back_ms:
            wait_ms = self._back_ms << self._doubled
            if self._left_ms is not None and 0 <= ticks_diff(now, self._left_ms) < _SETTLED * wait_ms:
                self._doubled = min(self._doubled + 1, _MOST_DOUBLED)
            else:
                self._doubled = 0
            self._wait(now)
            self._plain_watch = _watch_by(client, lambda: self._watch(client))

    def lost(self, client, lasted: bool, fell_silent: bool) -> bool:
        """The connection that was up is lost. Returns whether that was on purpose."""
        self._rest(client)
        if lasted:
            self._owed.pop(self._at, None)
            if fell_silent:
                self._silent = self._at
        ids = _unreleased(client)
        if ids:
            self._owed[self._at] = self._owed.get(self._at, []) + ids
        was_leaving = self._is_leaving
        self._is_leaving = False
        return was_leaving

    # the way back

    def _wait(self, now):
        # half of the wait is chance: many devices that had to leave together do not come back together
        half_ms = (self._back_ms << self._doubled) // 2
        self._wait_ms = half_ms + getrandbits(30) % (half_ms + 1)
        self._since_ms = now
        self._better = _NONE

    def _rest(self, client):
        # no way back while there is no connection
        if self._plain_watch:
            _watch_by(client, self._plain_watch)
            self._plain_watch = None
        self._hang_up()
        self._accepts = False

    def _hang_up(self):
        if self._sock:
            self._sock.close()
        self._sock = self._poller = None

    def _watch(self, client):
        left_ms = self._plain_watch()  # pyright: ignore[reportOptionalCall] - it is there while this is asked
        if not left_ms or not self._plain_watch:
            return left_ms
        now = ticks_ms()
        gone_ms = ticks_diff(now, self._since_ms)
        if self._sock:
            if not self._has_accepted() and 0 <= gone_ms < client.timeout_ms:
                return min(left_ms, _LOOK_MS)
            self._hang_up()
        if self._accepts:
            if not _is_idle(client):
                return min(left_ms, _LOOK_MS)
            self._accepts = False
            self._is_leaving = True
            self._left_ms = now
            self._first = [self._better, self._at]
            _leave(client, "back to %s" % self._brokers[self._better][0])
            return 0
        if self._better == _NONE and 0 <= gone_ms < self._wait_ms:
            return min(left_ms, self._wait_ms - gone_ms)
        self._better += 1
        if self._better == self._at:
            self._wait(now)
        else:
            self._since_ms = now
            self._ask(self._brokers[self._better])
        return min(left_ms, _LOOK_MS)

    # Transport has functions for this, which the build writes into the client, their one caller: used from here they
    # would cost every program 280 B.

    def _ask(self, broker):
        # begin to connect to it
        try:
            family, _, _, _, address = socket.getaddrinfo(broker[0], broker[1], 0, socket.SOCK_STREAM)[0]
            self._sock = socket.socket(family)
            self._sock.settimeout(0)
            self._poller = select.poll()
            self._poller.register(self._sock, _WRITABLE)
            self._sock.connect(address)
        except OSError as fault:
            if fault.args[0] not in _IN_PROGRESS:
                self._hang_up()

    def _has_accepted(self):
        # whether the attempt has ended, well or not
        try:
            for _ in self._poller.ipoll(0):  # pyright: ignore[reportOptionalMemberAccess] - it has a socket
                self._accepts = self._sock.read(1) is None
                return True
        except OSError:
            return True
        return False


# The verbs of a client for this module, as those of `connection`: there they would cost who has one broker.


def _subscribe_again(client) -> None:
    """Of the connection that begins: ask for all subscriptions, whether the broker kept a session or not."""
    client._filters_left = list(client._granted_qos)


def _is_idle(client) -> bool:
    """Whether the session owes the broker nothing, nor the broker the session, and no call is at work."""
    return not (
        client._slots_sent
        or client._send_blocked
        or client._draft[IN_USE]
        or [packet_id for packet_id in client._held_packet_ids if packet_id]
    )


def _leave(client, words: str) -> None:
    """End the connection that is up, for the reason `words`, with DISCONNECT [3.14] behind everything that was sent:
    the client's next step finds the link lost."""
    client._send_loose(DISCONNECT_BYTE, b"")
    client._on_fault(link_error("ECONNABORTED", words))


def _unreleased(client) -> list:
    """The packet ids of messages that the broker has, and that it may not know to be released [4.3.3]. Allocates."""
    return [
        slot[PACKET_ID] for slot in client._packet_slots[: client.inflight] if slot[FIRST_BYTE] & ~SENT == PUBREL_BYTE
    ]


def _release(client, packet_id: int) -> None:
    """Send PUBREL for a message that has no slot any more."""
    if not client.pending(packet_id) and client._link_up:
        client._send_loose(PUBREL_BYTE, bytes((packet_id >> 8, packet_id & 255)))


def _watch_by(client, watch):
    """Let `watch` be asked in place of the client's look at its link: it returns the milliseconds until the next look,
    0 when the link is down. Returns what was asked until now."""
    before = client._watch
    client._watch = watch
    return before
