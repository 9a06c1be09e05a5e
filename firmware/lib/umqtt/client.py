"""The native MQTT client: `poll(ms)` is the one step that does all work; a blocking call is a loop over it with a
deadline.

Steady state allocates nothing: bytes topics and payloads, `set_view` for receiving. Optional parts are passed in:
`reconnect` (umqtt.reconnect), `store` (umqtt.store), a callback that routes (umqtt.routes); TLS is imported when
`ssl` is given.
"""

import sys
from random import getrandbits
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from umqtt import wire
from umqtt.engine import Engine
from umqtt.session import Session
from umqtt.transport import Transport, code
from umqtt.wire import MQTTException, ProtocolError

if sys.implementation.version[:2] < (1, 22):
    raise ImportError("umqtt needs MicroPython 1.22 or newer")

_len = len
_bytes = bytes

_CONNACK = const(2)
_PUBLISH = const(3)
_PUBREC = const(5)
_PUBREL = const(6)
_SUBACK = const(9)
_PART = const(14)
_DRAINED = const(15)
_W_PUBACK = const(4)
_W_PUBREC = const(5)
_W_UNSUBACK = const(11)


class MQTTClient:
    """One connection to a broker and what must outlive it.

    client_id: str or bytes; kept sessions need the same one each time. port 0: 1883, with ssl 8883. keepalive:
    seconds, 0 for none. ssl: an SSLContext. clean_session False: the broker keeps subscriptions and messages between
    connections. protocol: 4 (MQTT 3.1.1) or 3 (3.1). inflight: slots for unacknowledged messages; of QoS 2 Mosquitto
    takes 20, and closes on more. rx_size, tx_size:
    bytes; larger messages are streamed or drained. timeout_ms: the deadline of every call that is not given its own.
    Raises ValueError.
    """

    def __init__(self, client_id, server, port=0, user=None, password=None, keepalive=60, ssl=None, *,
                 clean_session=False, protocol=4, inflight=4, rx_size=256, tx_size=256, timeout_ms=10000,
                 reconnect=None, store=None):  # fmt: skip
        self.client_id = client_id
        self.server = server
        self.port = port or (8883 if ssl else 1883)
        self.user = user
        self.pswd = password
        self.keepalive = keepalive
        self.ssl = ssl
        self.clean_session = clean_session
        self.protocol = protocol
        self.will = None
        self.cb = self.view = None
        self.timeout_ms = timeout_ms
        self.redial = reconnect  # umqtt.robust has a method of that name
        self.store = store
        self.subs = {}  # filter: QoS
        self.resub = False  # they are to be made again
        self.s = Session(max(inflight, store.window) if store else inflight)
        self.e = Engine(self.s, rx_size, tx_size)
        self.t = Transport()
        self.busy = False  # inside a callback: calls stage and return
        # the topic checked last, as given and as bytes; self: none. A subclass's own `topic` is another
        self._topic = self._topic_b = self
        self.granted = self.resumed = None
        self.part = 0  # 1: in a message that comes in parts, 2: its view raised
        self.wanted = True  # False once disconnect was asked for: no reconnect then
        self.connects = 0
        self.error = ""
        if ssl:
            self.t.secure()
        if not clean_session:
            # the broker may hold an id from before a reset, and would take the new message with it for a repetition
            self.s.pid = getrandbits(16)
        if store:
            self.resub = store.replay(self.s, self.subs, client_id, server)

    def set_callback(self, f):
        """f(topic, payload, retained) is called with bytes, bytes, bool for each message, before it is acknowledged.

        What it raises comes out of `poll`, and the message stays unacknowledged. What it publishes or subscribes is
        staged, not waited for. With a store, bytes that it returns are `store.state` from now on, written together
        with the note that this QoS 2 message was taken: an effect that lives in them happens once, power cuts
        included.
        """
        self.cb = f

    def set_view(self, f):
        """f(buf, topic_end, start, end, flags) is called instead, allocating nothing: topic buf[2:topic_end], payload
        buf[start:end].

        buf is the receive buffer, valid during the call. flags: 1 retained, 2 and 4 the QoS, 8 DUP; 16: more of this
        message follows (it is larger than rx_size), 32: this is a later part of it. topic_end 0: the topic itself was
        larger.
        """
        self.view = f

    def set_last_will(self, topic, msg, retain=False, qos=0):
        """What the broker publishes when this client vanishes [3.1.2.5]; for the next `connect`. Raises ValueError."""
        self.will = wire.text(topic), wire.data(msg), retain, wire.number(qos, 2)

    def connect(self, timeout_ms=None):
        """Connect and resume: TCP (and TLS), CONNECT, CONNACK within the deadline, name look-up aside; what is up is
        closed first.

        Returns session present: True when the broker kept this client's session. Raises ValueError before anything
        changed; OSError: no connection, or no answer in time; MQTTException(code, reason): refused; ProtocolError.
        Then nothing is left open.
        """
        pkt = wire.connect(
            self.client_id, self.user, self.pswd, self.keepalive, self.clean_session, self.protocol, self.will
        )
        self._close()
        self.wanted = True
        self.part = 0
        e = self.e
        self.resumed = None
        try:
            self.t.resolve(self.server, self.port)
            end = self._end(timeout_ms)
            self.t.open(self._left(end), self.ssl)
            e.start(self.keepalive * 1000, ticks_ms())
            e.tx.extend(pkt)
            e.n = _len(pkt)
            while self.resumed is None:
                self._step(self._left(end))
            self.connects += 1
            if self.resub:
                self._resubscribe(timeout_ms)
            self._step(-1)
        except Exception as x:
            self._close(x)
            raise
        return self.resumed

    def _resubscribe(self, timeout_ms):
        # a filter at a time: any number of them fits the buffers; a refused one is dropped and told by diag
        for f in list(self.subs):
            if f not in self.subs:
                continue  # a callback has unsubscribed meanwhile
            end = self._end(timeout_ms)
            i = -1
            while i < 0:
                i = self.s.reserve(_SUBACK, 0, (f,), bytes((self.subs[f],)))
                if i < 0:
                    self._step(self._left(end))
            pid = self.s.pids[i]
            self._step(-1)
            while self.s.pids[i] == pid:
                self._step(self._left(end))
        self.resub = False

    def _connack(self):
        rx = self.e.rx
        if rx[1]:
            raise wire.refused(rx[1])
        if rx[0] > 1 and self.protocol > 3:
            raise ProtocolError("CONNACK flags")
        # MQTT 3.1 has no session present: what a kept session holds is repeated either way
        present = not self.clean_session and (rx[0] & 1 == 1 or self.protocol == 3)
        if not present or self.protocol == 3:
            self.resub = self.resub or _len(self.subs) > 0
        self.s.resume(present)
        if self.store and not present:
            self.store.rewrite()
        self.resumed = present

    def isconnected(self):
        """Whether CONNACK came and nothing has gone wrong since. Does no I/O."""
        return self.e.up

    @property
    def inflight(self):
        """Messages and subscriptions not yet acknowledged."""
        return _len(self.s.pids) - self.s.pids.count(0)

    def publish(self, topic, msg, retain=False, qos=0, wait=True, timeout_ms=None):
        """Publish `msg` (bytes-like or str) under `topic` [3.3].

        QoS 0: returns 0 once the bytes are with the network. QoS 1, 2: takes a slot, returns the packet id: with
        `wait` when the broker has acknowledged, without at once (None when all slots are taken), and the message goes
        out when the link allows, repeated after a reconnect until acknowledged. A payload that can change (bytearray)
        is copied then. Raises ValueError, or OSError with errno 28 when the store is full (nothing changed); OSError:
        link down or deadline passed: a message of QoS 1 or 2 that had its slot stays in flight and is not to be
        published again. Inside a callback nothing waits. Allocates nothing for bytes.
        """
        if topic is not self._topic:
            self._topic = self  # none, should it be refused
            self._topic_b = bytes(wire.text(topic))
            if isinstance(topic, (str, bytes)):
                self._topic = topic
        if msg.__class__ is not _bytes:
            msg = wire.data(msg)
            if qos or self.busy:
                msg = bytes(msg)  # it outlives the call, and may be the receive buffer
        if qos:
            b0 = (0x31 if retain else 0x30) | wire.number(qos, 2) << 1
            return self._slot(_W_PUBREC if b0 & 4 else _W_PUBACK, b0, self._topic_b, msg, wait, timeout_ms)
        e = self.e
        if e.n or self.s.todos or not e.up:
            self._ready(_len(self._topic_b) + _len(msg) + 7, timeout_ms)  # pyright: ignore[reportArgumentType]
        try:
            e.publish(0x31 if retain else 0x30, self._topic_b, 0, msg)
            self._flush()
        except MemoryError:
            self._close()  # half a packet may be staged: nothing can follow it
            raise
        except (OSError, ValueError):
            self._step(-1)  # once more: it finds out what that was
        if e.n and not self.busy:
            self._drain(timeout_ms)
        return 0

    def _end(self, timeout_ms):
        return ticks_add(ticks_ms(), self.timeout_ms if timeout_ms is None else timeout_ms)

    def _left(self, end):
        left = ticks_diff(end, ticks_ms())
        if left <= 0:
            raise OSError(code("ETIMEDOUT", 110), "no answer in time")
        return left

    def _turn(self, end):
        left = self._left(end)
        if self.redial:
            self.redial.turn(self, left, left)
        else:
            self._step(left)

    def _ready(self, n, timeout_ms):
        # a QoS 0 message waits until what is older has left; inside a callback it must fit behind it
        e = self.e
        if self.busy or not e.up and not self.redial:
            if not e.up:
                raise OSError(code("ENOTCONN", 107), "not connected")
            if not e.room(n):
                raise OSError(code("ENOBUFS", 105), "send buffer full: publish outside the callback")
            return
        end = self._end(timeout_ms)
        while e.n or self.s.todos or not e.up:
            self._turn(end)

    def _drain(self, timeout_ms):
        e = self.e
        end = self._end(timeout_ms)
        try:
            while e.n and e.up:
                self._step(self._left(end))
        except Exception:
            if e.n:
                self._close()  # half a packet is out: nothing can follow it
            raise

    def _slot(self, state, b0, topic, payload, wait, timeout_ms):
        # a message or subscription in flight, with `wait` until acknowledged: its id, None when all slots are taken
        s = self.s
        end = self._end(timeout_ms)
        if self.busy:
            wait = False
        if wait and not self.e.up and not self.redial:
            self._step(-1)  # raises: not connected
        i = s.reserve(state, b0, topic, payload)
        while i < 0:
            if not wait:
                return None
            self._turn(end)
            i = s.reserve(state, b0, topic, payload)
        pid = s.pids[i]
        if b0 and self.store:
            try:
                self.store.put(pid, b0, topic, payload, self.busy)
            except Exception:
                s.free(i)
                raise
        if wait:
            while s.pids[i] == pid:
                self._turn(end)
        # what a callback publishes is stored together with the note that it ran, what the outbox hands over together
        elif self.e.up and not (self.store and (self.busy or self.store.cork)):
            self._step(-1)
        return pid

    def subscribe(self, topic, qos=0, wait=True, timeout_ms=None):
        """Subscribe to a filter, or to several: [(filter, qos), ...] [3.8]. Made again with its QoS when the broker
        forgot the session.

        Returns the granted QoS, one byte each; without `wait` or inside a callback None, and OSError(ENOBUFS) when
        all slots are taken. Raises ValueError (nothing changed), MQTTException(0x80, filter) when the broker refused
        one, OSError, ProtocolError.
        """
        return self._filters(_SUBACK, topic, wait, timeout_ms, qos)

    def unsubscribe(self, topic, wait=True, timeout_ms=None):
        """Unsubscribe from a filter or a list of them [3.10]. Raises ValueError, OSError, ProtocolError."""
        self._filters(_W_UNSUBACK, topic, wait, timeout_ms)

    def _filters(self, state, topics, wait, timeout_ms, q=0):
        if isinstance(topics, (str, bytes, bytearray)):
            topics = ((topics, q) if state == _SUBACK else topics,)
        if not isinstance(topics, (list, tuple)) or not 0 < _len(topics) < _len(self.e.rx) - 1:
            raise ValueError("a filter, or a list of 1 to rx_size - 2, needed")
        filters = []
        qos = bytearray()
        for f in topics:
            if state == _SUBACK:
                f, q = f
                qos.append(wire.number(q, 2))
            filters.append(bytes(wire.text(f, 1)))
        if self.busy:
            wait = False
        if wait:
            self.granted = filters
        if self._slot(state, 0, filters, bytes(qos) if qos else None, wait, timeout_ms) is None:
            raise OSError(code("ENOBUFS", 105), "all slots are taken")
        codes = self.granted if wait else None
        if codes and 0x80 in codes:
            raise MQTTException(0x80, "subscription refused: " + str(filters[codes.index(b"\x80")], "utf-8"))
        return codes

    def disconnect(self, timeout_ms=None):
        """Send DISCONNECT [3.14] behind what is staged, and close; the broker drops the will. Never raises for a dead
        link; OSError when the store cannot be written."""
        self.wanted = False
        e = self.e
        try:
            if e.up:
                end = self._end(timeout_ms)
                while e.n and not self.busy:
                    self._step(self._left(end))
                e.tx.extend(b"\xe0\0")
                e.n = e.n or 2
                e.up = False  # nothing goes out behind it [3.14.4]
                self._step(-1)
                while e.n and not self.busy:
                    self.t.wait(self._left(end), -1)
                    self._step(-1)
        except (OSError, MQTTException):
            pass
        finally:
            self._close()
        if self.store:
            self.store.sync()

    def ping(self):
        """Send a PINGREQ now; its PINGRESP is then expected within half the keep-alive. Raises OSError."""
        self._ready(2, None)
        self.e.pingreq(ticks_ms())
        self._step(-1)

    def poll(self, ms=0):
        """Do all that is due: send, take one packet, call back, keep alive, reconnect; wait up to ms for a packet, or
        until what waited for room has left.
        Returns 1 when one came.

        Raises OSError when the link is down, MQTTException and ProtocolError (the link is closed then; with
        `reconnect` none of the three: see `diag`), and what a callback raises. To be called at least every quarter of
        the keep-alive.
        """
        if self.redial and not self.busy:
            return self.redial.turn(self, ms)
        return self._step(ms)

    def _step(self, ms):
        # poll without reconnect; ms < 0: send only, which may be done inside a callback
        e = self.e
        t = self.t
        if t.sock is None or self.busy and ms >= 0:
            raise OSError(code("ENOTCONN", 107), "poll inside a callback" if self.busy else "not connected")
        try:
            was = e.n or self.store and self.s.todos
            while 1:
                if ms < 0 or (e.n or self.s.todos) and not (self.store and self.store.must):
                    self._flush()  # else first what has come: one write to flash serves many acks
                if ms < 0:
                    return 0
                now = ticks_ms()
                while not e.n or e.room(4):
                    k = t.recv(e.rbuf, e.need)
                    if not k:
                        if k is None:
                            break
                        self._lost(code("ECONNRESET", 104), "closed by the broker")
                    k = e.received(k, now)
                    if k:
                        self._event(k)
                        return 1
                left = e.due(now)
                if left <= 0:
                    self._lost(code("ETIMEDOUT", 110), "no PINGRESP in time")
                if e.n or self.s.todos:
                    self._flush()
                if not ms or was and not e.n:
                    return 0  # what had to leave has left: who waited for that must not wait for a packet
                t.wait(left if left < ms else ms, e.n)
                ms = 0
        except BaseException as x:
            if self.busy and ms >= 0:
                self.busy = False
                raise  # the callback's
            if t.sock is None or not isinstance(x, Exception):
                raise  # closed with a reason; Ctrl-C
            if isinstance(x, (OSError, ValueError)):
                x = t.fault(x)
                if x is None:
                    return 0
            self._close(x)
            raise x

    def _flush(self):
        e = self.e
        if self.store and self.store.must:
            self.store.sync()  # what must be remembered, before anything leaves
        while 1:
            while e.n:
                k = self.t.send(e.ob, e.off, e.n)
                if not k:
                    return
                e.sent(k, ticks_ms())
            if not self.s.todos or not e.up or not e.stage():
                return

    def _event(self, ev):
        e = self.e
        if ev == _PUBLISH or ev >= _PART:
            self._deliver(ev)
        elif ev == _CONNACK:
            self._connack()
        elif ev == _SUBACK or ev == _W_UNSUBACK:
            self._suback()
        elif self.store:
            self.store.acked(ev, e.pid)
        if e.up and (e.n or self.s.todos) and not (self.store and self.store.must):
            self._flush()

    def _suback(self):
        e = self.e
        if self.granted is e.filters:  # somebody waits for this one
            self.granted = bytes(e.rx[2 : e.p_end]) if e.wanted else None  # None: it was an UNSUBSCRIBE
        i = 0
        for f in e.filters:
            qos = e.wanted and e.wanted[i]
            if qos is not None and e.rx[i + 2] == 0x80:
                self.error = "subscription refused"
                qos = None
            i += 1
            if self.subs.get(f) != qos:
                if qos is None:
                    del self.subs[f]
                else:
                    self.subs[f] = qos
                if self.store:
                    self.store.subscribed(f, qos)

    def _deliver(self, ev):
        # a message; of one that is larger than rx the parts, for a view, else they are drained and it is acknowledged
        e = self.e
        part = self.part
        self.part = 2 if ev == _PART else 0  # should the view raise, the rest is dropped and not acknowledged
        if part == 2:
            return
        part = part << 5 | e.hdr[0] & 15
        if ev == _PART:
            part |= 16
        state = None
        self.busy = True  # until it returns: then, or in _step when it raises, it is False again
        if self.view:
            state = self.view  # called from a local: one word less, and the frame stays off the heap
            state = state(e.rx, e.t_end, e.p_off, e.p_end, part)
        elif ev == _PUBLISH:
            if self.cb:
                state = self._message
                state = state(_bytes(e.rx[2 : e.t_end]), _bytes(e.rx[e.p_off : e.p_end]), part & 1 == 1)
        elif ev == _DRAINED:
            self.error = "message larger than rx_size dropped"
        self.busy = False
        if ev == _PART:
            self.part = 1
            return
        if self.store:
            self.store.seen(e.pid if part & 4 else 0, state)
        if part & 6:
            e.accept()

    def _message(self, topic, msg, retained):
        return self.cb(topic, msg, retained)

    def _lost(self, err, words):
        x = OSError(err, words)
        self._close(x)
        raise x

    def _close(self, x=None):
        self.t.close()
        e = self.e
        e.up = False
        e.n = 0
        e.big = None
        if x:
            self.error = str(x)

    def diag(self):
        """Counters since the start and the last error in words: {connects, inflight, oversize, resends, error}."""
        return {
            "connects": self.connects,
            "inflight": self.inflight,
            "resends": self.s.resends,
            "oversize": self.e.oversize,
            "error": self.error,
        }
