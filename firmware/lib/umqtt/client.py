"""The native MQTT client: the calls of a program, their arguments checked.

Its class is one of a line, each of which knows only those beneath it: `waiting` sees a call through, `polling` is the
one step that does all work, `connecting` gets a link, `link` sends and ends it, `turns` keeps two calls apart.

Steady traffic allocates nothing, with topics and payloads as bytes, and `set_view` to receive. Optional parts are
passed in: `reconnect` (umqtt.reconnect), `store` (umqtt.store), a callback that routes (umqtt.routes); a client that is
given an `ssl` imports TLS. A call from a Timer's callback or another thread works, or raises OSError at once.
"""

import sys
from random import getrandbits
from time import sleep_ms, ticks_diff, ticks_ms

from micropython import const

# The classes beneath this one from the lowest on: each import inside another takes stack, which a board has little of.
from umqtt import session, turns, link, connecting, polling  # isort: skip # noqa: F401
from umqtt import wire
from umqtt.engine import BLOCKED, LOST
from umqtt.errors import MQTTException, ProtocolError, link_error  # noqa: F401 - programs catch it by this name, too
from umqtt.waiting import Waiting
from umqtt.wire import DISCONNECT_BYTE, FIRST_BYTE, IN_USE, LEVEL_5, PAYLOAD, PUBLISH_BYTE, QOS, REFUSED, RETAIN
from umqtt.wire import SUBSCRIBE_BYTE, TOPIC, UNSUBSCRIBE_BYTE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from umqtt.hints import Callback, Diagnosis, DurableStore, Payload, TLSContext, View
    from umqtt.reconnect import Reconnect

if sys.implementation.version[:2] < (1, 22):
    raise ImportError("umqtt needs MicroPython 1.22")

_MOST_OPTIONS = const(46)  # of a SUBSCRIBE of MQTT 5, QoS and all others
_NO_TOPIC = [], b""  # a topic that no program can pass, and its bytes

_len = len
_bytes = bytes


class MQTTClient(Waiting):
    """One connection to a broker, and the session that outlives it.

    - client_id: str or bytes; a kept session needs the same one each time.
    - server, port: a name or an address; port 0 stands for 1883, with `ssl` for 8883.
    - user, password: str or bytes, None for none.
    - keepalive: seconds, 0 for none [3.1.2.10].
    - ssl: an SSLContext.
    - clean_session: False lets the broker keep subscriptions and messages between connections.
    - protocol: 4 (MQTT 3.1.1) or 3 (3.1).
    - inflight: slots for unacknowledged messages; Mosquitto takes 20 of QoS 2, and closes on more.
    - rx_size, tx_size: bytes of the fixed buffers, 16 or more.
    - timeout_ms: the deadline of every call that is not given its own.
    - reconnect: a `umqtt.reconnect.Reconnect`, with which `poll` connects by itself.
    - store: a `umqtt.store.Store`, with which the session survives a reset.

    Raises ValueError. Allocates its buffers here, and nothing in steady traffic.

    Attribute `inflight`: how many messages and subscriptions are not yet acknowledged. A program may set `on_ended` to
    f(packet_id, codes), which `poll` calls when an exchange that `publish` or `subscribe` began has ended: codes is b""
    for a message, the return codes of a SUBACK for a subscription, None when `umqtt.takeback` ended it. A message
    larger than rx_size, topic included, reaches a view in parts, and a callback not at all: the client acknowledges it
    and tells `on_oversize`.
    """

    pid: int
    cb: "Callback | None"
    cb = _view = _taken = _message = None
    _oversize_count = 0

    def __init__(
        self,
        client_id: "str | bytes",
        server: str,
        port: int = 0,
        user: "str | bytes | None" = None,
        password: "str | bytes | None" = None,
        keepalive: int = 60,
        ssl: "TLSContext | None" = None,
        clean_session: bool = False,
        protocol: int = 4,
        inflight: int = 4,
        rx_size: int = 256,
        tx_size: int = 256,
        timeout_ms: int = 10000,
        reconnect: "Reconnect | None" = None,
        store: "DurableStore | None" = None,
    ) -> None:
        if inflight < 1 or rx_size < 16 or tx_size < 16:
            raise ValueError("inflight: 1, rx_size, tx_size: 16 at least")
        Waiting.__init__(self, max(inflight, store.window) if store else inflight)
        self.client_id = client_id
        self.server = server
        self.port = port or (8883 if ssl else 1883)
        self.user = user
        self.pswd = password
        self.keepalive = self._watched_s = keepalive
        self.ssl = ssl
        self.clean_session = clean_session
        self.protocol = protocol
        self.timeout_ms = timeout_ms
        self._receive_buf = bytearray(rx_size)
        self._send_buf = bytearray(tx_size)
        self._send_buf_b = tx_size
        self._last_topic = _NO_TOPIC
        self._session_present = False
        self._may_reconnect = True
        self._connect_count = 0
        self._filters_left = []  # that are to be subscribed to again, one at a time: as packet _subscribe_id
        self._close()
        if ssl:
            from umqtt import tls  # noqa: F401 - before the heap is in pieces; transport finds it loaded
        if not clean_session:
            # The broker may hold an id from before a reset, and would take the new message for its repetition.
            self.pid = getrandbits(16)
        if reconnect:
            self._auto_reconnect = reconnect
        if store:
            from umqtt import journaling

            self._durable_store = store
            if journaling.keep(self, store):
                self._filters_left = list(self._granted_qos)

    def set_callback(self, f: "Callback | None") -> None:
        """Let `poll` call f(topic, payload, retained), with bytes, bytes, bool, for each message, and acknowledge the
        message afterwards.

        An exception of f comes out of `poll`, and the message stays unacknowledged. Inside f no call waits: see
        docs/callbacks.md. With a store, bytes that f returns become `store.state`, written together with the note that
        this QoS 2 message was taken: an effect that lives in them happens once, power cuts included. A callback
        allocates topic and payload.
        """
        self.cb = f

    def set_view(self, f: "View | None") -> None:
        """Let `poll` call f(buf, topic_end, start, end, flags) instead of a callback, and allocate nothing:
        buf[2:topic_end] is the topic, buf[start:end] the payload.

        buf is the receive buffer, valid during the call. flags: 1 retained, 2 and 4 the QoS, 8 DUP; 16: more of this
        message follows (it is larger than rx_size), 32: this is a later part of it. topic_end is 0 in a later part, and
        where the topic itself is larger than the buffer. A topic other than the last one is checked, which takes its
        length of heap.
        """
        self._view = f

    def set_last_will(self, topic: "str | bytes", msg: "Payload", retain: bool = False, qos: int = 0) -> None:
        """Set the message that the broker publishes when this client vanishes [3.1.2.5], for the next `connect`. Raises
        ValueError."""
        wire.text(topic)
        self._last_will = topic, wire.data(msg, "msg"), retain, wire.number(qos, 2, "qos")

    # Connecting

    def connect(self, timeout_ms: "int | None" = None) -> bool:
        """Connect and resume: TCP (and TLS), CONNECT, CONNACK and the subscriptions that the broker forgot, all within
        the deadline, name look-up aside; a connection that is up is closed first. Blocks: it is a loop over `poll`.

        Returns session present: True when the broker kept this client's session. Raises ValueError before anything has
        changed; OSError: no connection, or no answer in time; MQTTException(code, reason): refused; ProtocolError.
        Then nothing is left open. Inside a callback OSError, and the connection stays.
        """
        self._begin_connect(timeout_ms)
        may_reconnect = self._may_reconnect
        self._may_reconnect = None  # a failure is the caller's
        try:
            while self._is_connecting or not self._link_up:
                self._wait(self._connect_end)
            may_reconnect = True
        except BaseException as fault:
            self._close(fault)
            raise
        finally:
            # unless a callback has disconnected, a Timer's too: there is no jump between the look and this, nor memory
            self._may_reconnect = may_reconnect and self._may_reconnect is not False
        return self._session_present

    # Publishing

    def publish(
        self,
        topic: "str | bytes",
        msg: "Payload",
        retain: bool = False,
        qos: int = 0,
        wait: bool = True,
        timeout_ms: "int | None" = None,
    ) -> "int | None":
        """Publish `msg` (bytes-like or str) under `topic` [3.3].

        QoS 0: returns 0 once the bytes are with the network, without `wait` at once (None when older bytes wait:
        nothing was published). QoS 1, 2: takes a slot, returns the packet id: with `wait` when the broker has
        acknowledged, without at once, and the message goes out when the link allows, repeated after a reconnect until
        acknowledged; `pending` and `on_ended` tell. A payload that can change (bytearray) is copied then. Inside a
        callback nothing waits. Allocates nothing for bytes.

        Raises ValueError; OSError with errno ENOBUFS when it may not wait and all slots are taken (`free_slots` tells
        before), with errno 28 when the store is full: nothing was published, nothing changed. OSError: link down or
        deadline passed: a message of QoS 1 or 2 that had its slot stays in flight, and is not to be published again.
        """
        if msg.__class__ is not _bytes:
            msg = wire.data(msg, "msg")
            if qos or not wait or self._next_packet is None:
                msg = _bytes(msg)  # it outlives the call, and may be the receive buffer
        first_byte = PUBLISH_BYTE | RETAIN if retain else PUBLISH_BYTE
        if qos:
            if qos != 1:
                wire.number(qos, 2, "qos")
                if qos > self._most_qos:
                    qos = self._most_qos
            first_byte |= qos << 1
        known = self._last_topic
        if topic is not known[0]:
            known = self._take_topic(topic)
        draft = self._draft
        draft[IN_USE] += 1  # and looked at: see `_take_turn`
        if draft[IN_USE] > 1:
            self._hold()
        draft[FIRST_BYTE] = first_byte
        draft[TOPIC] = known[1]
        draft[PAYLOAD] = msg
        if first_byte & QOS:
            return self._exchange(wait, timeout_ms)
        if self._send_blocked:
            timeout_ms = self._await_turn(wait, timeout_ms)
            if timeout_ms is None:
                return None
        send = self._send_packet
        event = send(draft) if send else LOST
        draft[PAYLOAD] = b""  # not to be kept alive
        draft[IN_USE] = 0
        if event:
            if wait:
                self._finish_sending(event, timeout_ms)
            elif event == LOST:
                self._link_lost()
                raise self._fault
        return 0

    def _take_topic(self, topic):
        # keep a topic with its bytes, one tuple. Returns it
        topic_bytes = wire.text(topic, wire.TOPIC_NAME, "topic")
        if _len(topic_bytes) > self._send_buf_b:
            bytearray(_len(topic_bytes))  # MemoryError now, not when half a packet is in the buffer
        if not isinstance(topic, (str, _bytes)):
            topic = _NO_TOPIC  # it may be another the next time
        self._last_topic = known = topic, topic_bytes
        return known

    # Subscribing

    def subscribe(
        self,
        topic: "str | bytes | bytearray | list[tuple[str | bytes, int]]",
        qos: int = 0,
        wait: bool = True,
        timeout_ms: "int | None" = None,
    ) -> "bytes | None":
        """Subscribe [3.8] to a filter, or to several: [(filter, qos), ...]. The client does so again, with the same
        QoS, when the broker forgot the session. Blocks with `wait`.

        Returns the granted QoS, one byte each; without `wait` or inside a callback None, and OSError(ENOBUFS) when
        all slots are taken. Raises ValueError (nothing changed), MQTTException(0x80, filter) when the broker refused
        one, OSError, ProtocolError.
        """
        return self._filters(SUBSCRIBE_BYTE, topic, qos, wait, timeout_ms)

    def unsubscribe(
        self, topic: "str | bytes | bytearray | list[str | bytes]", wait: bool = True, timeout_ms: "int | None" = None
    ) -> None:
        """Unsubscribe [3.10] from a filter or a list of them. Blocks with `wait`. Raises ValueError, OSError,
        ProtocolError."""
        # None, or what umqtt.aio awaits
        return self._filters(UNSUBSCRIBE_BYTE, topic, None, wait, timeout_ms)  # pyright: ignore[reportReturnType]

    def _filters(self, first_byte, filters, qos, wait, timeout_ms):
        subscribes = first_byte == SUBSCRIBE_BYTE
        is_level_5 = self.protocol == LEVEL_5
        if isinstance(filters, (str, _bytes, bytearray)):
            filters = ((filters, qos) if subscribes else filters,)
        if not isinstance(filters, (list, tuple)) or not 0 < _len(filters) < _len(self._receive_buf) - 1:
            raise ValueError("filters: 1 to rx_size - 2 needed")
        payload = b""
        for row in filters:
            topic_filter = row
            if subscribes:
                if not isinstance(row, (list, tuple)):
                    raise ValueError("(filter, qos) needed")
                topic_filter, qos = row
            payload += wire.text(topic_filter, wire.FILTER, "filter")
            if subscribes:
                payload += _bytes((wire.number(qos, _MOST_OPTIONS if is_level_5 else 2, "qos"),))
        codes = bytearray()  # stands in the slot where a message has its topic, until SUBACK fills it
        self._hold(first_byte, codes, payload)
        self._exchange(wait, timeout_ms)
        for row, code in zip(filters, codes):
            if code == REFUSED and not is_level_5:  # else umqtt.v5 has more reasons
                raise MQTTException(REFUSED, "subscription refused: %s" % (row[0],))
        return _bytes(codes) if codes else None

    # The end

    def disconnect(self, timeout_ms: "int | None" = None) -> None:
        """Send DISCONNECT [3.14] behind everything that waits, and close; the broker drops the will. Never raises for a
        dead link; OSError when the store cannot be written."""
        self._hold()  # not beneath a call that is at work
        self._draft[IN_USE] = 0
        self._may_reconnect = self._is_connecting = False
        end = self._end(timeout_ms)
        try:
            self._fault = link_error("ENOTCONN", "not connected")  # for a call that this one has met
            if self._link_up:
                self._await_all_sent(timeout_ms)
                if self._durable_store:
                    self._durable_store.sync()  # else no byte leaves
                self._link_up = False  # nothing may follow it [3.14.4]
                event = self._send_loose(DISCONNECT_BYTE, b"")
                while event == BLOCKED and self._next_packet is not None and ticks_diff(end, ticks_ms()) > 0:
                    sleep_ms(1)
                    event = self._send_packet(None)
        except (OSError, MQTTException):
            pass
        finally:
            self._close()
        if self._durable_store:
            self._durable_store.sync()

    # What is to be known

    def __str__(self) -> str:
        """Who, where, state and last error: `kitchen at 192.168.1.10:1883, connected: False, closed by the broker`."""
        return "%s at %s:%d, connected: %s, %s" % (
            self.client_id, self.server, self.port, self._link_up, self._error_words or "no error so far"
        )  # fmt: skip

    def diag(self) -> "Diagnosis":
        """Return counters since the start, the milliseconds that the last name look-up took (0: none), and the last
        error in words: {connects, inflight, resends, oversize, lookup_ms, error}. Allocates."""
        return {
            "connects": self._connect_count,
            "inflight": self.inflight,
            "resends": self._resent_count,
            "oversize": self._oversize_count,
            "lookup_ms": self._address[3] if self._address else 0,
            "error": self._error_words,
        }
