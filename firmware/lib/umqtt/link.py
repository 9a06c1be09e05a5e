"""What leaves on the link, and how does a link end?

`_send_slots` sends the packets that have a slot, as far as there is room, `_send_loose` one that has none. However a
link ends, by a fault, a goodbye or a new connection, `_close` ends it, and `_link_lost` says what that means for the
call that finds it so: with `reconnect` nothing, else an exception.
"""

from time import ticks_add, ticks_ms

from micropython import const

from umqtt import transport
from umqtt.engine import BLOCKED, LOST
from umqtt.errors import MQTTException, link_error
from umqtt.turns import Turns
from umqtt.wire import FIRST_BYTE, IN_USE, PAYLOAD, PINGREQ_BYTE, TOPIC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from umqtt.hints import TLSContext
    from umqtt.reconnect import Reconnect

HEAD_B = const(7)  # of a packet beside its topic and payload, at most
_ENDED = const(0)  # in place of `_send_packet`: a callback that runs has ended the connection

_len = len


class Link(Turns):
    """A session with a socket. A subclass sets what is declared here."""

    ssl: "TLSContext | None"
    _auto_reconnect: "Reconnect | None"
    _may_reconnect: "bool | None"  # None: a call wants to be told of a lost link itself
    _send_buf: bytearray  # the bytes that wait for the network
    _send_buf_b: int  # for so many there is room
    _poller: "Any"  # of the socket, which looks for the events of this:
    _poll_mask: int

    _auto_reconnect = _socket = None
    _fault: BaseException  # the last one of a connection

    # What leaves

    def _send_loose(self, first_byte, head, payload=b""):
        draft = self._draft
        draft[IN_USE] += 1
        if draft[IN_USE] > 1:
            self._hold()
        draft[FIRST_BYTE] = first_byte
        draft[TOPIC] = head
        draft[PAYLOAD] = payload
        send = self._send_packet
        event = send(draft) if send else LOST
        draft[PAYLOAD] = b""
        draft[IN_USE] = 0
        return event

    def _send_slots(self):
        # go on with the rest, then send the slots that were not on this connection, as far as there is room; the client
        # is held, and let go. Returns the writer's event
        send = self._send_packet
        event = send(None) if send else BLOCKED
        while self._link_up and event != LOST and self._slots_sent < self.inflight:
            slot = self._packet_slots[self._slots_sent]
            size_b = _len(slot[TOPIC]) + _len(slot[PAYLOAD]) + HEAD_B
            if event == BLOCKED and _len(self._send_buf) + size_b > self._send_buf_b:
                break
            event = send(slot)
            self._slots_sent += 1
        if event != BLOCKED and event != LOST:
            self._send_blocked = self._is_connecting
        self._draft[IN_USE] = 0
        return event

    def _poll_for(self, mask):
        if mask != self._poll_mask:  # modify allocates
            self._poll_mask = mask
            self._poller.modify(self._socket, mask)

    def ping(self) -> None:
        """Send a PINGREQ now; its PINGRESP is then expected within half the keep-alive. Allocates nothing.
        Raises OSError."""
        if not self._link_up:
            raise link_error("ENOTCONN", "not connected")
        if self._pinged_ms is None and not self._draft[IN_USE]:
            self._pinged_ms = ticks_ms()
            self._send_loose(PINGREQ_BYTE, b"")

    _send_ping = ping  # pyright: ignore[reportAssignmentType] - which a subclass cannot override

    # How it ends

    def _close(self, fault=None):
        sock = self._socket
        in_callback = self._in_callback()
        self._send_blocked = True
        self._link_up = self._is_connecting = False
        self._socket = self._next_packet = self._send_packet = None
        if in_callback:
            self._send_packet = _ENDED  # pyright: ignore[reportAttributeAccessIssue]
        try:
            if sock:
                sock.close()
        except Exception:
            pass  # a TLS stream says goodbye on a dead link
        try:
            if fault:
                self._error_words = str(fault)
        except MemoryError:
            self._error_words = "MemoryError"

    def _on_fault(self, fault):
        """A generator's: the connection ends with this exception."""
        try:
            if not self._socket and not self._is_connecting:
                fault = link_error("ENOTCONN", "not connected")  # ended beneath the generator, which went astray
            elif self._send_packet:
                fault = transport.in_words(fault, self.ssl, self._link_up)
        except MemoryError:
            pass  # then not in words
        self._fault = fault
        self._close(fault)

    def _link_lost(self):
        # what it means for the call that finds it so
        if self._auto_reconnect and self._may_reconnect:
            if isinstance(self._fault, (OSError, MQTTException)):
                return self._auto_reconnect.lost(self)
        raise self._fault

    def _end(self, timeout_ms):
        """When a call that begins now is to be done."""
        return ticks_add(ticks_ms(), self.timeout_ms if timeout_ms is None else timeout_ms)
