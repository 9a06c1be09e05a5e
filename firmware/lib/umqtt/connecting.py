"""How does a connection come up? TCP, TLS, CONNECT, CONNACK, the subscriptions: each a step of `poll`, and none waits
for longer than that may.

What is under way is told by what there is, and by no state of its own: docs/architecture.md, "Connecting is steps of
`poll`", has the table.
"""

from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from umqtt import engine, transport, wire
from umqtt.engine import LOST
from umqtt.errors import ProtocolError, link_error
from umqtt.link import Link
from umqtt.turns import is_scheduled
from umqtt.wire import CONNECT_BYTE, DISCONNECT_BYTE, FIRST_BYTE, IN_USE, PACKET_ID, PAYLOAD, SUBSCRIBE_BYTE, WIPE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

READABLE = const(1)  # select.POLLIN
WRITABLE = const(4)  # select.POLLOUT

_len = len
_bytes = bytes


class Connecting(Link):
    """A client that gets its link by itself. A subclass sets what is declared here."""

    client_id: "str | bytes"
    server: str
    port: int
    user: "str | bytes | None"
    pswd: "str | bytes | None"
    clean_session: bool  # or WIPE, for one connection
    _receive_buf: bytearray
    _filters_left: list  # that are to be subscribed to again, one at a time: as packet _subscribe_id
    _session_present: bool
    _connect_count: int

    _address = _last_will = None
    _durable_store: "Any" = None

    def _begin_connect(self, timeout_ms=None):
        """Close what is up and begin a connection: `poll` makes it, a step at a time. Raises ValueError (nothing has
        changed); OSError inside a callback."""
        self._connect_head()
        if self._in_callback() and self._send_packet or not self._is_drop_in and is_scheduled():
            raise link_error("ENOTCONN", "connect inside a callback")
        self._hold()  # no call of another thread goes on with the old connection
        self._close()
        self._draft[IN_USE] = 0
        self._connect_end = self._end(timeout_ms)
        self._is_connecting = True

    def _connect_head(self):
        return wire.connect(
            self.client_id, self.user, self.pswd, self.keepalive, self.clean_session, self.protocol, self._last_will
        )

    def _await_tcp(self, ms):
        # a step until TCP is up: wait for that up to ms, then begin with TLS and CONNECT. Returns 0
        try:
            sock = self._socket
            if not sock:
                began_ms = ticks_ms()
                # A look-up blocks, and takes seconds without a network: not again, unless the connection failed, or
                # nobody accepted it there: the broker may have moved, and another machine have its address.
                was_accepted = self._session_present is not None
                self._address = transport.resolve(self.server, self.port, was_accepted and self._address)
                self._connect_end = ticks_add(self._connect_end, ticks_diff(ticks_ms(), began_ms))
                self._socket = sock = transport.open_socket(self._address)
                self._poller = transport.select.poll()
                self._poller.register(sock, WRITABLE)
                self._poll_mask = WRITABLE
                transport.connect(sock, self._address)
            left_ms = self._watch()
            if not left_ms:
                raise link_error("ETIMEDOUT", self._dead_words)
            for _ in self._poller.ipoll(min(ms, left_ms)):
                transport.check(sock)
                sock = transport.with_tls(sock, self.ssl, self.server)
                self._adopt(sock)
                if self._session_present is None:  # the last attempt may have made a session, which this one finds
                    self._filters_left = list(self._granted_qos)
                self._session_present = None  # pyright: ignore[reportAttributeAccessIssue] - not known yet
                self._send_loose(CONNECT_BYTE, self._connect_head())
        except BaseException as fault:
            if not transport.is_not_yet(fault):
                self._on_fault(fault)
                if self._address:
                    self._address = (None,) + self._address[1:]  # of no place any more
        return 0 if self._socket else self._link_lost()

    def _adopt(self, sock):
        # a connected stream that does not block
        self._socket = stream = sock
        if self.ssl:
            from umqtt import tls

            stream = tls.Handshaking(sock)
        write = stream.write
        if self._durable_store:
            from umqtt import journaling

            write = journaling.gate(self._durable_store, write)
        self._poller = transport.select.poll()
        self._poller.register(sock, READABLE)
        self._poll_mask = READABLE
        self._wait_readable = self._poller.ipoll  # waits in the call
        self._start_watch()
        self._stream = None
        while _len(self._send_buf) < self._send_buf_b:
            self._send_buf.append(0)  # its room
        self._write_bytes = write
        send = engine.writer(self, self._send_buf, write).send
        send(None)
        next_packet = engine.reader(self, self._receive_buf, stream.readinto, send).send
        self._send_packet = send  # both, or without memory none: one alone means that a callback runs
        self._next_packet = next_packet

    def _on_connack(self, flags, code):
        if code:
            raise wire.refusal(code)
        if flags > 1 and self.protocol > 3:
            raise ProtocolError("CONNACK flags")
        if self.clean_session == WIPE:
            self.clean_session = False
            self._send_packet([0, DISCONNECT_BYTE, b"", b""])  # pyright: ignore[reportOptionalCall] - the reader runs
            raise link_error("ECONNABORTED", "")
        # MQTT 3.1 has no session present: what a kept session holds is repeated either way.
        present = not self.clean_session and (flags == 1 or self.protocol == 3)
        if not present or self.protocol == 3:
            self._filters_left = list(self._granted_qos)
        self._subscribe_id = 0
        self._resume(present)
        self._session_present = present  # now that all above is done: else the next attempt does it
        self._wrote_ms = self._heard_ms
        self._link_up = True
        self._connect_count += 1

    def _go_on_connecting(self, ms):
        # nothing of it waits for the network: send the next filter, one at a time, for so any number fits slots and
        # buffers; then wait for the answer. Returns whether to read
        while self._link_up and not self.pending(self._subscribe_id):
            if not self._filters_left:
                self._is_connecting = False
                self._send_blocked = self._durable_store is not None  # which has to note what was granted
                if self._auto_reconnect:
                    self._auto_reconnect.up(self)
                return False
            if self.inflight == _len(self._packet_slots):
                break
            topic_filter = self._filters_left[0]
            payload = topic_filter + _bytes((self._granted_qos.get(topic_filter, 0),))
            self._hold(SUBSCRIBE_BYTE, b"", payload)
            is_wanted = topic_filter in self._granted_qos  # else a callback has unsubscribed meanwhile
            for slot in self._packet_slots:  # of a free one the payload is b""; a slice would take memory
                if slot[FIRST_BYTE] >= SUBSCRIBE_BYTE and topic_filter in slot[PAYLOAD]:
                    is_wanted = False  # what is in flight says what the program wants now
            if is_wanted:
                self._subscribe_id = self._take_slot()[PACKET_ID]
            if self._send_slots() == LOST:
                return self._link_lost()
            self._filters_left.pop(0)  # now that nothing is held: without memory it raises
        self._wait_readable(min(ms, max(self._watch(), 1)))
        return True

    def isconnected(self) -> bool:
        """Return whether CONNACK came and nothing has gone wrong since. Does no I/O."""
        return self._link_up
