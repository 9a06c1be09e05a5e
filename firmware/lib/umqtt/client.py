"""The native MQTT client: `poll(ms)` is the one step that does all work; a blocking call is a loop over it with a
deadline.

Steady state allocates nothing: bytes topics and payloads, `set_view` for receiving. Optional parts are passed in:
`reconnect` (umqtt.reconnect), `store` (umqtt.store), a callback that routes (umqtt.routes); TLS is imported when
`ssl` is given.
"""

import sys
from random import getrandbits
from time import sleep_ms, ticks_add, ticks_diff, ticks_ms

from micropython import const

from umqtt import transport, wire
from umqtt.engine import Engine
from umqtt.wire import MQTTException, ProtocolError

if sys.implementation.version[:2] < (1, 22):
    raise ImportError("umqtt needs MicroPython 1.22")

_bytes = bytes

_CONNACK = const(2)
_POLLIN = const(1)
_POLLOUT = const(4)
_DROPPED = const(64)  # the engine's


class MQTTClient(Engine):
    """One connection to a broker and what must outlive it.

    client_id: str or bytes; kept sessions need the same one each time. port 0: 1883, with ssl 8883. keepalive:
    seconds, 0 for none. ssl: an SSLContext. clean_session False: the broker keeps subscriptions and messages between
    connections. protocol: 4 (MQTT 3.1.1) or 3 (3.1). inflight: slots for unacknowledged messages; of QoS 2 Mosquitto
    takes 20, and closes on more. rx_size, tx_size:
    bytes; larger messages are streamed or drained. timeout_ms: the deadline of every call that is not given its own.
    Raises ValueError. Attribute `inflight`: messages and subscriptions not yet acknowledged.
    """

    def __init__(self, client_id, server, port=0, user=None, password=None, keepalive=60, ssl=None,
                 clean_session=False, protocol=4, inflight=4, rx_size=256, tx_size=256, timeout_ms=10000,
                 reconnect=None, store=None):  # fmt: skip
        Engine.__init__(self, max(inflight, store.window) if store else inflight, rx_size, tx_size)
        self.client_id = client_id
        self.server = server
        self.port = port or (8883 if ssl else 1883)
        self.user = user
        self.pswd = password
        self.keepalive = keepalive
        self.ssl = ssl
        self.clean_session = clean_session
        self.protocol = protocol
        self.timeout_ms = timeout_ms
        self._redial = reconnect  # umqtt.robust has a method of that name
        self._store = store
        self._will = self.cb = self._view = self.sock = self._read = self._write = self._poller = self._addr = None
        self._resub = False  # the subscriptions are to be made again
        self._busy = False  # inside a callback: calls stage and return
        self._idle = False  # waiting for a packet: Ctrl-C harms nothing
        # the topic checked last, as given and as bytes; self: none. A subclass's own `topic` is another
        self._topic = self._topic_b = self
        self._t_end = 0  # of the call that waits
        self._wanted = True  # None while connecting, False once disconnect was asked for: no reconnect then
        self._connects = 0
        self._error = ""
        if ssl:
            from umqtt import tls  # noqa: F401 - before the heap is in pieces; transport finds it loaded
        if not clean_session:
            # the broker may hold an id from before a reset, and would take the new message with it for a repetition
            self.pid = getrandbits(16)
        if store:
            self._resub = store.replay(self, client_id, server)

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
        self._view = f

    def set_last_will(self, topic, msg, retain=False, qos=0):
        """What the broker publishes when this client vanishes [3.1.2.5]; for the next `connect`. Raises ValueError."""
        wire.text(topic)
        self._will = topic, wire.data(msg), retain, wire.number(qos, 2)

    def connect(self, timeout_ms=None):
        """Connect and resume: TCP (and TLS), CONNECT, CONNACK within the deadline, name look-up aside; what is up is
        closed first.

        Returns session present: True when the broker kept this client's session. Raises ValueError before anything
        changed; OSError: no connection, or no answer in time; MQTTException(code, reason): refused; ProtocolError.
        Then nothing is left open.
        Inside a callback OSError, and what is up stays.
        """
        body = wire.connect(
            self.client_id, self.user, self.pswd, self.keepalive, self.clean_session, self.protocol, self._will
        )
        if self._busy:
            raise transport.error("ENOTCONN", "connect inside a callback")
        self._close()
        self._wanted = None
        end = self._t_end  # of a publish that waits, and for that connects
        try:
            # a name look-up blocks, and takes seconds without a network: not again, unless the connection failed
            addr = transport.resolve(self.server, self.port, self._addr)
            self._addr = None
            self._t_end = self._end(timeout_ms)
            self._adopt(transport.connect(addr, ticks_diff(self._t_end, ticks_ms()), self.ssl))
            self._addr = addr
            self._packet([0, 0x10, body, b""])
            while not self._up:
                try:
                    self._step(None)
                except (OSError, ValueError) as x:
                    x = transport.fault(x, self.ssl)
                    if x:
                        raise x
            present = self._up > 1
            self._connects += 1
            # a filter at a time: any number of them fits the buffers; a refused one is dropped and told by diag
            for f in list(self._subs) if self._resub else ():
                if f in self._subs:  # else a callback has unsubscribed meanwhile
                    self._spare[:] = 0, 0x82, [(f, self._subs[f])], f + _bytes((self._subs[f],))
                    self._take_slot(True, timeout_ms)
            self._resub = False
            self._flush()
        except BaseException as x:
            self._close(x)
            raise
        finally:
            if self._wanted is None:
                self._wanted = True
            self._t_end = end
        return present

    def _adopt(self, sock):
        # a connected stream that does not block
        self.sock = sock
        self._read = sock.readinto
        self._write = sock.write
        self._poller = transport.select.poll()
        self._poller.register(sock, _POLLIN)
        self._mask = _POLLIN
        self._now = ticks_ms()
        self._start()

    def _connack(self):
        rx = self._rx
        if rx[1]:
            words = (
                "protocol level refused/client id refused/broker unavailable/bad user or password/"
                "not authorised: check user and password"
            )
            self._fail(MQTTException(rx[1], words.split("/")[rx[1] - 1] if rx[1] < 6 else "unknown return code"))
        if rx[0] > 1 and self.protocol > 3:
            self._fail("CONNACK flags")
        # MQTT 3.1 has no session present: what a kept session holds is repeated either way
        present = not self.clean_session and (rx[0] & 1 == 1 or self.protocol == 3)
        if self._subs and (not present or self.protocol == 3):
            self._resub = True
        self._resume(not present)
        if self._store and not present:
            self._store.rewrite()
        self._up = 2 if present else 1

    def isconnected(self):
        """Whether CONNACK came and nothing has gone wrong since. Does no I/O."""
        return self._up > 0

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
            self._topic_b = wire.text(topic)
            if isinstance(topic, (str, _bytes)):
                self._topic = topic
        if msg.__class__ is not _bytes:
            msg = wire.data(msg)
            if qos or self._busy:
                msg = _bytes(msg)  # it outlives the call, and may be the receive buffer
        retain = 0x31 if retain else 0x30
        if qos != 0:
            qos = wire.number(qos, 2)
            retain |= qos << 1
        elif self._tx_n or self._staged < self.inflight or not self._up:
            self._ready(msg, timeout_ms)
            timeout_ms = ticks_diff(self._t_end, ticks_ms())
        topic = self._spare
        topic[0] = 0
        topic[1] = retain
        topic[2] = self._topic_b
        topic[3] = msg
        if qos:
            return self._take_slot(wait, timeout_ms)
        self._flush(topic)
        topic[3] = b""  # not to be kept alive
        if self._tx_n and not self._busy:
            self._drain(timeout_ms)
        return 0

    def _end(self, timeout_ms):
        return ticks_add(ticks_ms(), self.timeout_ms if timeout_ms is None else timeout_ms)

    def _take_slot(self, wait, timeout_ms):
        # what `spare` holds takes a slot, with `wait` until it is acknowledged: its id, None when all are taken
        m, n, topic, body = self._spare
        if self._busy:
            wait = False
        if wait:
            if not self._up and not self._redial:
                raise transport.error("ENOTCONN", "not connected")
            self._t_end = self._end(timeout_ms)
        while self.inflight == len(self._slots):
            if not wait:
                return None
            self._step(None)
        m = self._slots[self.inflight]
        m[2] = topic  # first: a slot that is taken is whole, whenever Ctrl-C comes
        m[3] = body
        self._reserve(n)
        if n < 0x40 and self._store:
            self._store.put(m, self._busy)
        n = m[0]
        if wait:
            while m[0] == n:
                self._step(None)
        # what a callback publishes is stored together with the note that it ran, what the outbox hands over together
        elif self._up and not (self._store and (self._busy or self._store.cork)):
            self._flush()
        return n

    def _ready(self, msg, timeout_ms):
        # a QoS 0 message waits until what is older has left; inside a callback it must fit behind it
        if not self._up and (self._busy or not self._redial):
            raise transport.error("ENOTCONN", "not connected")
        if not self._busy:
            self._t_end = self._end(timeout_ms)
            topic = self._topic
            topic_b = self._topic_b
            while self._tx_n or self._staged < self.inflight or not self._up:
                self._step(None)
            self._topic = topic  # a callback may have published under another
            self._topic_b = topic_b
        elif self._tx_n and not self._room(len(self._topic_b) + len(msg) + 7):  # pyright: ignore[reportArgumentType]
            raise transport.error("ENOBUFS", "send buffer full: publish outside the callback")

    def _drain(self, timeout_ms):
        n = self._connects
        self._ready(b"", timeout_ms)
        if n != self._connects:
            raise transport.error("ENOTCONN", "not connected")  # it was, when the first bytes left

    def subscribe(self, topic, qos=0, wait=True, timeout_ms=None):
        """Subscribe to a filter, or to several: [(filter, qos), ...] [3.8]. Made again with its QoS when the broker
        forgot the session.

        Returns the granted QoS, one byte each; without `wait` or inside a callback None, and OSError(ENOBUFS) when
        all slots are taken. Raises ValueError (nothing changed), MQTTException(0x80, filter) when the broker refused
        one, OSError, ProtocolError.
        """
        return self._filters(0x82, topic, qos, wait, timeout_ms)

    def _filters(self, b0, topic, qos, wait, timeout_ms):
        if isinstance(topic, (str, _bytes, bytearray)):
            topic = ((topic, qos) if b0 == 0x82 else topic,)
        if not isinstance(topic, (list, tuple)) or not 0 < len(topic) < len(self._rx) - 1:
            raise ValueError("a filter, or a list of 1 to rx_size - 2, needed")
        filters = []
        body = b""
        for f in topic:
            if b0 == 0x82:
                if not isinstance(f, (list, tuple)):
                    raise ValueError("(filter, qos) needed")
                f, qos = f
                wire.number(qos, 2)
            f = wire.text(f, 1)
            filters.append((f, qos))
            body += f
            if b0 == 0x82:
                body += _bytes((qos,))
        self._spare[:] = 0, b0, filters, body
        if self._take_slot(wait, timeout_ms) is None:
            raise transport.error("ENOBUFS", "all slots are taken")
        codes = filters[-1]  # those of the broker, if they are there
        if codes.__class__ is tuple:
            return None
        if 0x80 in codes:
            raise MQTTException(0x80, "subscription refused: " + str(filters[codes.index(b"\x80")][0][2:], "utf-8"))
        return codes

    def unsubscribe(self, topic, wait=True, timeout_ms=None):
        """Unsubscribe from a filter or a list of them [3.10]. Raises ValueError, OSError, ProtocolError."""
        self._filters(0xA2, topic, None, wait, timeout_ms)

    def disconnect(self, timeout_ms=None):
        """Send DISCONNECT [3.14] behind what is staged, and close; the broker drops the will. Never raises for a dead
        link; OSError when the store cannot be written."""
        self._wanted = False
        try:
            if self._up:
                self._t_end = self._end(timeout_ms)
                while self._tx_n and not self._busy:
                    self._step(None)
                self._up = False  # nothing goes out behind it [3.14.4]
                self._answer(0xE0, 0)
                self._flush()
                while self._tx_n and not self._busy and ticks_diff(self._t_end, ticks_ms()) > 0:
                    sleep_ms(1)
                    self._flush()
        except (OSError, MQTTException):
            pass
        finally:
            self._close()
        if self._store:
            self._store.sync()

    def ping(self):
        """Send a PINGREQ now; its PINGRESP is then expected within half the keep-alive. Raises OSError."""
        if not self._up:
            raise transport.error("ENOTCONN", "not connected")
        if not self._pinging:
            self._pinging = 1
            self._t_ping = ticks_ms()
        self._flush()

    def poll(self, ms=0):
        """Do all that is due: send, take one packet, call back, keep alive, reconnect; wait up to ms for a packet, or
        until what waited for room has left.
        Returns 1 when one came.

        Raises OSError when the link is down, MQTTException and ProtocolError (the link is closed then; with
        `reconnect` none of the three: see `diag`), and what a callback raises. To be called at least every quarter of
        the keep-alive.
        """
        if self._redial and self._wanted and not self._up and not self._busy:
            return self._redial.turn(self, ms)
        return self._step(ms)

    def _step(self, ms):
        # poll without reconnect; None: as a turn of a call that waits, with it
        if ms is None:
            ms = ticks_diff(self._t_end, ticks_ms())
            if ms <= 0:
                ms = transport.error("ETIMEDOUT", "no answer in time")
                if self._tx_n:
                    self._fail(ms)  # half a packet is out, or nothing leaves: that is a dead link
                raise ms
            if self._redial and self._wanted and not self._up:
                return self._redial.turn(self, ms, ms)
        if self.sock is None or self._busy:
            raise transport.error("ENOTCONN", "poll inside a callback" if self._busy else "not connected")
        try:
            return self._work(ms)
        except OSError:
            if self._busy:  # the callback's
                self._busy = False
                self._flags = _DROPPED
                raise
            self._idle = False
            ms = self._up and self._down()
            if self._redial and self._wanted:
                return self._redial.lost(self)
            if ms:
                raise ms
            raise
        except BaseException:
            if self._busy:
                self._busy = False
                self._flags = _DROPPED
            elif self._idle:
                self._idle = False
            elif self._up:
                self._close("interrupted")  # amidst a packet, or the note of one: whole on the next connection
            elif self._redial and self._wanted:
                return self._redial.lost(self)
            raise

    def _work(self, ms):
        store = self._store
        was = self._tx_n or store and self._staged < self.inflight
        while 1:
            self._now = ticks_ms()
            # else first what has come: one write to flash serves many acks
            if (self._tx_n or self._staged < self.inflight) and not (store and store.must):
                self._transmit()
            k = self._receive()
            if k:
                if k == _CONNACK:
                    self._connack()
                elif self._acked:
                    self._answered()
                elif store:
                    store.acked(k, self._rx_pid)
                # up: a callback may have disconnected
                if self._up and (self._tx_n or self._staged < self.inflight) and not (store and store.must):
                    self._transmit()
                return 1
            if k is not None:
                self._fail(transport.error("ECONNRESET", "closed by the broker"))
            k = self._due()
            if k <= 0:
                self._fail(transport.error("ETIMEDOUT", "no PINGRESP in time"))
            if self._tx_n or self._staged < self.inflight or self._pinging:
                self._flush()
            if not ms or was and not self._tx_n:
                return 0  # what had to leave has left: who waited for that must not wait for a packet
            if k < ms:
                ms = k
            # without room for an ack nothing is read: what waits to be must not wake it
            k = _POLLIN if not self._tx_n else _POLLIN | _POLLOUT if self._room(4) else _POLLOUT
            if k != self._mask:  # modify allocates
                self._mask = k
                self._poller.modify(self.sock, k)
            self._idle = True
            for k in self._poller.ipoll(ms):
                pass
            self._idle = False
            ms = 0

    def _flush(self, slot=None):
        # write what is staged, the packet of `slot` behind it, and what can be; once what must be remembered is
        if self._store and self._store.must:
            self._sync()
        try:
            if slot:
                self._packet(slot)
            self._now = ticks_ms()
            if self.sock:
                self._transmit()
        except OSError:
            if self._up:
                raise self._down()
            raise
        except BaseException:
            if self._up:
                self._close("interrupted")  # as in _step
            raise

    def _down(self):
        # the stream raised a bare number: what it is to be called
        self._close("link is down")
        return transport.error("ECONNRESET", "link is down")

    def _sync(self):
        try:
            self._store.sync()
        except OSError as e:
            self._fail(e)

    def _fail(self, e):
        """The engine's: end the connection and raise e, an exception, or what the broker did wrong in words."""
        if isinstance(e, str):
            e = ProtocolError(e, self._rx_b0)
        self._close(e)
        raise e

    def _answered(self):
        # the broker answered to filters: [(filter, QoS), ..., codes]
        filters = self._acked
        self._acked = None
        i = 0
        for f, qos in filters[:-1]:
            if qos is not None and filters[-1][i] == 0x80:
                self._error = "subscription refused: " + str(f[2:], "utf-8")
                qos = None
            i += 1
            if self._subs.get(f) != qos:
                if qos is None:
                    del self._subs[f]
                else:
                    self._subs[f] = qos
                if self._store:
                    self._store.subscribed(f, qos)

    def _deliver(self, n, start, end):
        """The engine's message, to the view or the callback."""
        self._busy = True  # until it returns: then, or in _step when it raises, it is False again
        if self._view:
            n = self._view(self._rx, n, start, end, self._flags)
        elif n and self._flags < 16:
            if self.cb:
                n = self._message(_bytes(self._rx[2:n]), _bytes(self._rx[start:end]))
        elif not self._flags & 16:
            self._error = "message over rx_size dropped"
        self._busy = False
        if self._store and not self._flags & 16:
            self._store.seen(self._rx_pid if self._flags & 4 else 0, n)  # what it returned

    def _message(self, topic, msg):
        return self.cb(topic, msg, self._flags & 1 == 1)

    def _close(self, x=None):
        sock = self.sock
        self.sock = self._read = None
        self._up = False
        self._tx_n = 0
        if x:
            self._error = str(x)
        if sock:
            try:
                sock.close()
            except OSError:
                pass  # a TLS stream says goodbye on a dead link

    def free_slots(self):
        """How many further messages of QoS 1 and 2 can be taken now."""
        return len(self._slots) - self.inflight

    def diag(self):
        """Counters since the start and the last error in words: {connects, inflight, oversize, resends, error}."""
        return {
            "connects": self._connects,
            "inflight": self.inflight,
            "resends": self._resends,
            "oversize": self._oversize,
            "error": self._error,
        }
