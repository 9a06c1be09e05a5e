"""The native MQTT client: `poll(ms)` is the one step that does all work; a blocking call is a loop over it with a
deadline.

Steady traffic allocates nothing, with topics and payloads as bytes, and `set_view` to receive. Optional parts are
passed in: `reconnect` (umqtt.reconnect), `store` (umqtt.store), a callback that routes (umqtt.routes); a client that is
given an `ssl` imports TLS. A call from a Timer's callback or another thread works, or raises OSError at once.
"""

import sys
from random import getrandbits
from time import sleep_ms, ticks_add, ticks_diff, ticks_ms

from micropython import const

from umqtt import engine, transport, wire
from umqtt.engine import BLOCKED, HALF_A_PACKET, LOST, MET, NOTHING_YET, RAISED, UNHEARD
from umqtt.errors import MQTTException, ProtocolError, link_error
from umqtt.keepalive import KeepAlive
from umqtt.wire import CONNECT_BYTE, DISCONNECT_BYTE, FIRST_BYTE, IN_USE, LEVEL_5, PACKET_ID, PAYLOAD
from umqtt.wire import PINGREQ_BYTE, PUBLISH_BYTE
from umqtt.wire import QOS, REFUSED, RETAIN, SUBSCRIBE_BYTE, TOPIC, UNSUBSCRIBE_BYTE, WIPE

try:
    from _thread import get_ident
except ImportError:  # ESP8266
    get_ident = int

try:
    from micropython import schedule
except ImportError:
    schedule = None

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from umqtt.hints import Callback, Diagnosis, DurableStore, Payload, TLSContext, View
    from umqtt.reconnect import Reconnect

if sys.implementation.version[:2] < (1, 22):
    raise ImportError("umqtt needs MicroPython 1.22")

_READABLE = const(1)  # select.POLLIN
_WRITABLE = const(4)  # select.POLLOUT
_ACK_B = const(4)
_HEAD_B = const(7)  # of a packet beside its topic and payload, at most
_MOST_OPTIONS = const(46)  # of a SUBSCRIBE of MQTT 5, QoS and all others
_LONG_MS = const(1000)  # a shorter wait cannot make the keep-alive late

_GONE = const(-5)  # in place of an event: Ctrl-C has ended the reader, where it was not in its `try`

_ENDED = const(0)  # in place of `_send_packet`: a callback that runs has ended the connection

_MOST_LOOKS = const(1000)  # a ms each, at a call that does not go on: Ctrl-C has ended it, and left its mark behind

_NO_TOPIC = [], b""  # a topic that no program can pass, and its bytes

_len = len
_bytes = bytes
_ran = {0}  # a set keeps its memory when it is emptied
_run = _ran.add
_main_thread = get_ident()


def _is_scheduled():
    """Whether this runs in a callback of micropython.schedule, as a Timer's is: what is scheduled now does not run."""
    _ran.discard(0)
    try:
        schedule(_run, 0)
        if _ran or _ran or _ran or _ran or _ran:  # it runs at a jump, as each `or` is; this can be met by itself there
            return False
    except RuntimeError:
        pass  # its queue is full: nothing runs
    return get_ident() == _main_thread or sys.platform == "esp32"  # there callbacks run in any thread


if not schedule:  # not every port has it
    _is_scheduled = bool


class MQTTClient(KeepAlive):
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

    client_id: "str | bytes"
    server: str
    port: int
    user: "str | bytes | None"
    pswd: "str | bytes | None"
    ssl: "TLSContext | None"
    keepalive: int
    clean_session: bool
    protocol: int
    timeout_ms: int
    pid: int
    cb: "Callback | None"
    cb = _socket = _auto_reconnect = _durable_store = _address = _last_will = _view = _taken = _message = None
    _send_packet: "Callable | None"  # or _ENDED
    _next_packet = _send_packet = _stream = None
    _fault: BaseException  # the last one of a connection
    _session_present: bool
    _any_size = False
    _may_reconnect: "bool | None"  # None: a call wants to be told of a lost link itself
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
        KeepAlive.__init__(self, max(inflight, store.window) if store else inflight)
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

    def on_oversize(self, topic: bytes, size_b: int) -> object:
        """`poll` calls this when a message of size_b bytes was larger than rx_size, there is no view, and it has been
        acknowledged. topic: bytes, b"" when not even the topic fitted. For a program to override: by default raises
        MQTTException, but with `reconnect` tells its on_state."""
        self._error_words = "message of %d B dropped, over rx_size: %s" % (size_b, str(topic, "utf-8"))
        if not self._auto_reconnect:
            raise MQTTException(size_b, self._error_words)
        if self._auto_reconnect.on_state:
            self._auto_reconnect.on_state(True, self._error_words)

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
            if self._may_reconnect is None:  # else a callback has disconnected
                self._may_reconnect = may_reconnect
        return self._session_present

    def _begin_connect(self, timeout_ms=None):
        """Close what is up and begin a connection: `poll` makes it, a step at a time. Raises ValueError (nothing has
        changed); OSError inside a callback."""
        self._connect_head()
        if self._in_callback() and self._send_packet or _is_scheduled():
            raise link_error("ENOTCONN", "connect inside a callback")
        self._hold()  # no call of another thread goes on with the old connection
        self._close()
        self._draft[IN_USE] = 0
        self._last_event = NOTHING_YET
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
                # A look-up blocks, and takes seconds without a network: not again, unless the connection failed.
                self._address = transport.resolve(self.server, self.port, self._address)
                self._connect_end = ticks_add(self._connect_end, ticks_diff(ticks_ms(), began_ms))
                self._socket = sock = transport.open_socket(self._address)
                self._poller = transport.select.poll()
                self._poller.register(sock, _WRITABLE)
                self._poll_mask = _WRITABLE
                transport.connect(sock, self._address)
            left_ms = self._watch()
            if not left_ms:
                raise link_error("ETIMEDOUT", self._dead_words)
            for _ in self._poller.ipoll(min(ms, left_ms)):
                transport.check(sock)
                self._adopt(transport.with_tls(sock, self.ssl, self.server))
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
        self._poller.register(sock, _READABLE)
        self._poll_mask = _READABLE
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

    def _go_on_connecting(self, ms):
        # nothing of it waits for the network: send the next filter, one at a time, for so any number fits slots and
        # buffers; then wait for the answer. Returns whether to read
        if self._link_up and not self.pending(self._subscribe_id):
            while self._filters_left and self.inflight < _len(self._packet_slots):
                topic_filter = self._filters_left[0]
                payload = topic_filter + _bytes((self._granted_qos.get(topic_filter, 0),))
                self._hold(SUBSCRIBE_BYTE, b"", payload)
                self._filters_left.pop(0)
                if topic_filter in self._granted_qos:  # else a callback has unsubscribed meanwhile
                    self._subscribe_id = self._take_slot()[PACKET_ID]
                    if self._send_slots() == LOST:
                        return self._link_lost()
                    break
                self._draft[IN_USE] = 0
            else:
                if not self._filters_left:
                    self._is_connecting = False
                    self._send_blocked = self._durable_store is not None  # which has to note what was granted
                    if self._auto_reconnect:
                        self._auto_reconnect.up(self)
                    return False
        self._wait_readable(min(ms, max(self._watch(), 1)))
        return True

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

    def isconnected(self) -> bool:
        """Return whether CONNACK came and nothing has gone wrong since. Does no I/O."""
        return self._link_up

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

    def _take_turn(self):
        """Hold the client until draft[IN_USE] is cleared: nobody else makes or sends a packet, or changes a slot. What
        holds it neither waits nor allocates, so a MemoryError leaves no mark behind.

        The mark is set and looked at without a jump in between, for at a jump a Timer's callback or another thread
        comes. While another thread holds the client this waits, for that is never long. Returns False at once when the
        call that holds it is beneath this one."""
        draft = self._draft
        looks = found = 0
        while True:
            draft[IN_USE] += 1
            if draft[IN_USE] == 1:
                return True
            if self._stream is not None or _is_scheduled():
                return False
            looks = looks + 1 if draft[IN_USE] > found else 0  # less: it was cleared meanwhile
            found = draft[IN_USE]
            if looks > _MOST_LOOKS:
                draft[IN_USE] = 0
            sleep_ms(1)

    def _hold(self, first_byte=0, topic: "bytes | bytearray" = b"", payload=b""):
        # as `_take_turn`, with this packet as the draft. Raises OSError: this call has met another
        if not self._take_turn():
            raise link_error("EALREADY", "another call is in the middle: again after it")
        draft = self._draft
        draft[FIRST_BYTE] = first_byte
        draft[TOPIC] = topic
        draft[PAYLOAD] = payload

    def _await_turn(self, wait, timeout_ms):
        # The draft, which is held, has older bytes before it: inside a callback it must fit behind them, else wait for
        # their end. Returns the rest of timeout_ms; None without `wait`, and the client is let go
        draft = self._draft
        if self._in_callback():
            size_b = _len(self._send_buf) + _len(draft[TOPIC]) + _len(draft[PAYLOAD]) + _HEAD_B
            if self._send_packet and size_b <= self._send_buf_b:
                return 0
            draft[IN_USE] = 0
            if self._send_packet:
                raise link_error("ENOBUFS", "send buffer full: publish outside the callback")
            raise link_error("ENOTCONN", "link is down")
        end = self._end(timeout_ms)
        while self._send_blocked:
            if not wait:
                draft[IN_USE] = 0
                return None
            self._wait_without(end)
        return ticks_diff(end, ticks_ms())

    def _wait_without(self, end):
        # let the client go for a turn of `_wait`, and hold it with the same draft again: another call may make its own
        draft = self._draft
        first_byte = draft[FIRST_BYTE]
        topic = draft[TOPIC]
        payload = draft[PAYLOAD]
        draft[IN_USE] = 0
        self._wait(end)
        self._hold(first_byte, topic, payload)

    def _await_all_sent(self, timeout_ms):
        # wait until everything that waits to be sent has left; not inside a callback. Returns the rest of timeout_ms
        if self._in_callback():
            if not self._send_packet:
                raise link_error("ENOTCONN", "link is down")
            return timeout_ms
        end = self._end(timeout_ms)
        while self._send_blocked:
            self._wait(end)
        return ticks_diff(end, ticks_ms())

    def _finish_sending(self, event, timeout_ms):
        # the writer had not ALL_SENT for a QoS 0 message: wait until the network has all of it
        send = self._send_packet
        if event == LOST:
            self._link_lost()
        self._await_all_sent(timeout_ms)
        if send is None or self._send_packet is not send:
            raise self._fault
        if event == UNHEARD and self._next_packet is not None:
            self._step(0)  # a program that never polls must notice a dead link, too

    def _exchange(self, wait, timeout_ms, sender=None):
        """Begin the exchange of the draft, which is held, with `wait` see it through; sender.send(slot), if given,
        sends it, when nothing older waits. Returns the packet id, None when a sender could not begin at once."""
        if self._next_packet is None:
            if self._in_callback():
                wait = False
            elif wait and not self._socket and not self._auto_reconnect and not self._is_connecting:
                self._draft[IN_USE] = 0
                self._without_link(0)
                raise link_error("ENOTCONN", "link is down")  # it was, a moment ago
        end = ticks_add(ticks_ms(), self.timeout_ms if timeout_ms is None else timeout_ms)
        while self.inflight == _len(self._packet_slots) or sender is not None and self._send_blocked:
            if not wait:
                self._draft[IN_USE] = 0
                if sender is None:
                    raise link_error("ENOBUFS", "all slots are taken: poll first")
                return None
            self._wait_without(end)
        older_wait = self._send_blocked
        # so that the slot is sent by the next poll, should Ctrl-C come before it is sent here
        self._send_blocked = True
        slot = self._take_slot()
        self._draft[PAYLOAD] = b""
        packet_id = slot[PACKET_ID]
        if older_wait:
            event = self._send_slots()
        else:
            send = self._send_packet
            event = sender.send(slot) if sender is not None else send(slot) if send else LOST
            if event is not None:  # else the sender could not: the next poll does, or finds the link dead
                self._slots_sent += 1
                self._send_blocked = event == BLOCKED or event == LOST
            self._draft[IN_USE] = 0
        if event == LOST and (wait or self._auto_reconnect):
            self._link_lost()
        if wait and not _is_scheduled():
            while slot[PACKET_ID] == packet_id:
                left_ms = ticks_diff(end, ticks_ms())
                if left_ms > 0 and self._next_packet is not None:
                    self._step(left_ms if left_ms < _LONG_MS else _LONG_MS)
                else:
                    self._wait(end)
        return packet_id

    def free_slots(self) -> int:
        """Return how many more messages of QoS 1 and 2 can be taken now."""
        return _len(self._packet_slots) - self.inflight

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
        self._fault = fault
        try:
            if not self._socket and not self._is_connecting:
                self._fault = link_error("ENOTCONN", "not connected")  # ended beneath the generator, which went astray
            elif self._send_packet:
                self._fault = transport.in_words(fault, self.ssl, self._link_up)
        except MemoryError:
            pass  # then not in words
        self._close(self._fault)

    def _link_lost(self):
        # what it means for the call that finds it so
        if self._auto_reconnect and self._may_reconnect:
            if isinstance(self._fault, (OSError, MQTTException)):
                return self._auto_reconnect.lost(self)
        raise self._fault

    # The step

    def ping(self) -> None:
        """Send a PINGREQ now; its PINGRESP is then expected within half the keep-alive. Allocates nothing.
        Raises OSError."""
        if not self._link_up:
            raise link_error("ENOTCONN", "not connected")
        if self._pinged_ms is None and not self._draft[IN_USE]:
            self._pinged_ms = ticks_ms()
            self._send_loose(PINGREQ_BYTE, b"")

    _send_ping = ping  # pyright: ignore[reportAssignmentType] - which a subclass cannot override

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

    def poll(self, ms: int = 0) -> int:
        """Do everything that is due: send, take one packet, call back, keep alive, reconnect; wait up to `ms` for a
        packet, or until the network has taken the bytes that wait. Returns 1 when a packet came, else 0. Allocates
        nothing but what a callback is given.

        Raises OSError when the link is down, MQTTException and ProtocolError (the link is closed then; with `reconnect`
        none of the three: see `diag`), and what a callback raises. Call it at least every quarter of the
        keep-alive.
        """
        if self._next_packet is None:
            return self._without_link(ms)
        if self._send_blocked:
            if not self._unblock(ms):
                return 0
        elif ms:
            if ms > _LONG_MS:
                ms = min(ms, max(self._watch(), 1))
                if not self._socket:  # its PINGREQ has found the link dead
                    return self._link_lost()
            self._wait_readable(ms)
        try:
            event = self._next_packet(None)
        except StopIteration:
            event = _GONE
        except Exception:  # it is None, or at work: this call has met another
            event = MET
        if event > 0:
            self._last_event = event
            if self._news is not None:
                self._tell_news()
            return 1
        if event == NOTHING_YET and self._watch():
            return 0
        return self._without_packet(event)

    _step = poll  # which a subclass cannot override

    def _tell_news(self):
        first, second = self._news  # pyright: ignore[reportGeneralTypeIssues]
        self._news = None
        if isinstance(first, _bytes):
            self.on_oversize(first, second)
        else:
            for packet_id in first if isinstance(first, list) else (first,):
                self.on_ended(packet_id, second)

    def _without_link(self, ms):
        if self._in_callback():
            raise link_error("ENOTCONN", "poll inside a callback")
        if self._is_connecting:
            return self._await_tcp(ms)
        if self._auto_reconnect and self._may_reconnect:
            return self._auto_reconnect.turn(self, ms)
        if not self._link_up:
            raise link_error("ENOTCONN", "not connected" + (self._error_words and ": " + self._error_words))
        return 0  # another thread's callback has ended meanwhile

    def _without_packet(self, event):
        if event == RAISED:
            self._last_event = event
            raise self._fault
        if event == MET:
            if self._send_packet is not None:
                return 0  # the other one reads
            self._next_packet = None
            return self._without_link(0)
        if event != LOST:
            words = self._dead_words
            if event == HALF_A_PACKET:
                if ticks_diff(ticks_ms(), self._heard_ms) <= self.timeout_ms and self._watch():
                    return 0
                words = "half a packet, and no more in time"
            elif event == _GONE:
                words = "link is down"
            if self._socket:  # else a PINGREQ has found the link dead
                self._on_fault(link_error("ETIMEDOUT", words))
        try:
            return self._link_lost()
        finally:
            if self._news is not None:  # of a message whose ack has found the link lost
                self._tell_news()

    def _unblock(self, ms):
        # send what waits, waiting up to ms for room or a packet. Returns whether to read now
        if not self._take_turn():
            return False
        reads = True
        event = self._send_slots()
        if event == BLOCKED:
            # Without room for an ack nothing is read: a packet that waits to be must not wake us.
            reads = _len(self._send_buf) + _ACK_B <= self._send_buf_b
            self._poll_for(_READABLE | _WRITABLE if reads else _WRITABLE)
            self._wait_readable(min(ms, max(self._watch(), 1)))
            if not self._take_turn():
                return False
            event = self._send_slots()
            if event == BLOCKED and not self._watch():
                words = self._dead_words if self._is_connecting else "nothing leaves"
                self._on_fault(link_error("ETIMEDOUT", words))
                event = LOST
        if event == LOST:
            return self._link_lost()
        if event != BLOCKED:
            self._poll_for(_READABLE)
            return self._go_on_connecting(ms) if self._is_connecting else True
        return reads

    def _poll_for(self, mask):
        if mask != self._poll_mask:  # modify allocates
            self._poll_mask = mask
            self._poller.modify(self._socket, mask)

    def _send_slots(self):
        # go on with the rest, then send the slots that were not on this connection, as far as there is room; the client
        # is held, and let go. Returns the writer's event
        send = self._send_packet
        event = send(None) if send else BLOCKED
        while self._link_up and event != LOST and self._slots_sent < self.inflight:
            slot = self._packet_slots[self._slots_sent]
            size_b = _len(slot[TOPIC]) + _len(slot[PAYLOAD]) + _HEAD_B
            if event == BLOCKED and _len(self._send_buf) + size_b > self._send_buf_b:
                break
            event = send(slot)
            self._slots_sent += 1
        if event != BLOCKED and event != LOST:
            self._send_blocked = self._is_connecting
        self._draft[IN_USE] = 0
        return event

    def _wait(self, end):
        # a turn of a call that waits until `end`
        left_ms = ticks_diff(end, ticks_ms())
        if left_ms <= 0:
            fault = link_error("ETIMEDOUT", "no answer in time")
            if self._link_up and self._send_blocked and not self._is_connecting:
                self._on_fault(fault)  # half a packet is out, or nothing leaves: that is a dead link
            raise fault
        if _is_scheduled():
            raise link_error("EALREADY", "nothing waits in a scheduled callback")
        try:
            self._step(left_ms)
        except OSError:
            if not self._in_callback():
                raise
            sleep_ms(1)  # of another thread: this call would not wait in its own

    def _end(self, timeout_ms):
        return ticks_add(ticks_ms(), self.timeout_ms if timeout_ms is None else timeout_ms)

    def _in_callback(self):
        return self._next_packet is None and self._send_packet is not None

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
