"""Drop-in for micropython-lib's umqtt.simple: its names, arguments, defaults and return values, over the native client.

Beyond it: QoS 2, UTF-8 lengths, packets in any order, deadlines. Calls that wait for ever there raise OSError here:
`connect` after 30 s unless `timeout` is given, `publish` and `subscribe` after the same time; a link that was silent
for 60 s is probed.
"""

from io import IOBase
from random import getrandbits
from time import ticks_diff, ticks_ms

from micropython import const

from umqtt import client, turns, wire
from umqtt.errors import MQTTException, ProtocolError  # noqa: F401 - names of this module too

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from umqtt.hints import Payload, SimpleCallback, SslParams

_SILENT_S = const(60)
_TIMEOUT_MS = const(30000)
_TURN_MS = const(1000)
_FOR_EVER = const(-1)
_SLOTS = const(4)
_PINGRESP_BYTE = const(0xD0)

_publish = client.MQTTClient.publish  # super() takes a word more, and the frame would be on the heap


class Sock(IOBase):
    """`c.sock`: the socket as a program sees it. An IOBase can be polled; the rest stands in umqtt.upstream, which is
    loaded for programs that use it."""

    client: "MQTTClient"

    def __getattr__(self, name):
        from umqtt import upstream

        return getattr(upstream.Sock(self.client), name)


class MQTTClient(client.MQTTClient):
    """A client with upstream's arguments. keepalive: seconds, 0 for none. ssl: an SSLContext, anything with
    `wrap_socket`, or True, which gives `ssl_params` to the port's `ssl.wrap_socket`. Raises ValueError.

    It delivers a message of any size that the heap can hold, and acknowledges one that the heap cannot; then `wait_msg`
    raises MQTTException (see `on_oversize`). The callback is f(topic, payload), both bytes."""

    set_callback: "Callable[[SimpleCallback | None], None]"  # pyright: ignore[reportIncompatibleMethodOverride] - two arguments

    sock = lw_topic = lw_msg = None
    lw_qos = 0
    lw_retain = False
    _is_drop_in = True
    _asked_for_ping = _more_slots = False
    _wait_ms = _FOR_EVER  # the mode that the program gave `sock`
    _unread_ack = None  # the packet that `wait_msg` has returned: its ack can be read from `sock`

    def __init__(
        self,
        client_id: "str | bytes",
        server: str,
        port: int = 0,
        user: "str | bytes | None" = None,
        password: "str | bytes | None" = None,
        keepalive: int = 0,
        ssl: "Any" = None,
        ssl_params: "SslParams | None" = None,
    ) -> None:
        if ssl is True:
            from umqtt import tls

            ssl = tls.OldStyle(ssl_params or {})
        super().__init__(client_id, server, port, user, user and password, keepalive or 0, ssl, timeout_ms=_TIMEOUT_MS)
        self.pid = 0
        self._watched_s = keepalive or _SILENT_S
        self._sock_face = Sock()
        self._sock_face.client = self

    def set_last_will(self, topic: "str | bytes", msg: "Payload", retain: bool = False, qos: int = 0) -> None:
        """Set the message that the broker publishes when this client vanishes [3.1.2.5], for the next `connect`. Raises
        ValueError."""
        super().set_last_will(topic, msg, retain, qos)
        self.lw_topic, self.lw_msg, self.lw_retain, self.lw_qos = topic, msg, retain, qos

    def connect(self, clean_session: bool = True, timeout: "float | None" = None) -> int:
        """Connect [3.1]; a clean session forgets the messages in flight. timeout: seconds, for later calls too.

        Returns 1 when the broker kept the session, else 0. Blocks. Raises ValueError, OSError,
        MQTTException(code, reason) when refused, ProtocolError.
        """
        self.clean_session = clean_session or not self.client_id  # which no broker could keep a session for
        self._last_will = (self.lw_topic, self.lw_msg, self.lw_retain, self.lw_qos) if self.lw_topic else None
        self.timeout_ms = _TIMEOUT_MS
        self._wait_ms = _FOR_EVER
        if timeout is not None:
            self.timeout_ms = self._wait_ms = int(timeout * 1000)
        self.sock = self._sock_face
        if clean_session:
            # It begins with nothing but the count of ids [3.1.2.4].
            self._granted_qos.clear()
            while self.inflight:
                self._free_slot(0)
        present = super().connect()
        if present and not self.pid:
            self.pid = getrandbits(15)  # the broker may hold an id from before a reset
        return int(present)

    def _use_link(self):
        # before each call: the program may have put a socket of its own in place, connected and logged in
        if self.sock is not self._sock_face:
            self._close()
            if self.sock:
                from umqtt import upstream

                upstream.adopt(self)
        if not self._link_up:
            self._without_link(0)
        if not self.free_slots() and (self._next_packet is None or turns.is_scheduled()):
            # inside a callback, where nothing waits for an ack: it may publish as much as it likes
            self._packet_slots.append([0, 0, b"", b""])
            self._more_slots = True

    def publish(self, topic: "str | bytes", msg: "Payload", retain: bool = False, qos: int = 0) -> None:
        """Publish [3.3]; with QoS 1 and 2 returns when acknowledged (inside a callback: at once). Blocks. Raises
        ValueError, OSError, ProtocolError."""
        if self._next_packet is None or self.sock is not self._sock_face:
            self._use_link()
        elif qos and not self.free_slots():
            self._use_link()
        _publish(self, topic, msg, retain, qos)

    def subscribe(self, topic: "str | bytes", qos: int = 0) -> None:
        """Subscribe [3.8]; returns when acknowledged. Blocks. Raises ValueError, OSError, MQTTException(0x80, words)
        when refused, ProtocolError."""
        if self.cb is None:
            raise ValueError("no callback")
        self._use_link()
        super().subscribe(topic, qos)

    def unsubscribe(self, topic: "str | bytes") -> None:
        """Unsubscribe [3.10]; returns when acknowledged. Blocks. Raises ValueError, OSError, ProtocolError."""
        self._use_link()
        super().unsubscribe(topic)

    def ping(self) -> None:
        """Send a PINGREQ [3.12]; `wait_msg` returns None for its answer. Raises OSError."""
        self._use_link()
        self._asked_for_ping = True
        super().ping()

    def wait_msg(self) -> "int | None":
        """Wait for one packet, for ever, and act on it: call back, acknowledge. Returns its first byte, None for the
        PINGRESP of a `ping`.

        `sock.settimeout(s)` and `sock.setblocking(False)` hold for one packet, as upstream's: when none comes it raises
        OSError, or returns None. Blocks. Raises OSError on a dead link, MQTTException, ProtocolError, and what the
        callback raises.
        """
        if self._next_packet is None or self.sock is not self._sock_face:
            if self._in_callback():
                return None  # the next packet is taken after it
            self._use_link()
        if self._more_slots and not self.inflight:
            del self._packet_slots[_SLOTS:]
            self._more_slots = False
        wait_ms = self._wait_ms
        end = self._end(wait_ms) if wait_ms > 0 else 0
        left_ms = _TURN_MS if wait_ms < 0 else 0
        event = None
        while event is None:
            if wait_ms > 0:
                left_ms = max(ticks_diff(end, ticks_ms()), 0)
            if self._step(left_ms):
                event = self._last_event
                if event == _PINGRESP_BYTE:
                    event = None  # of a ping that this client has sent by itself, or
                    if self._asked_for_ping:
                        self._asked_for_ping = False
                        break
            elif wait_ms < 0:
                left_ms = _TIMEOUT_MS  # nothing soon: long waits, each after a look at the keep-alive
            elif not left_ms:
                if wait_ms:
                    self._wait(end)  # raises
                break
        self._wait_ms = _FOR_EVER
        self._unread_ack = event
        return event

    def check_msg(self) -> "int | None":
        """Act on a packet as `wait_msg` does if one is there; else return None at once. Raises what `wait_msg` does."""
        self._wait_ms = 0
        return self.wait_msg()

    def _message(self, topic, payload, retained):
        self.cb(topic, payload)  # pyright: ignore[reportCallIssue] - upstream's has two arguments

    def _send_str(self, s):
        # for subclasses that write packets of their own, as is the next
        self.sock.write(wire.text(s, wire.ANY_BYTES))

    def _recv_len(self):
        length = shift = 0
        more = 128
        while more & 128:
            more = self.sock.read(1)[0]
            length += (more & 127) << shift
            shift += 7
        return length
