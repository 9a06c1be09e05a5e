"""Drop-in for micropython-lib's umqtt.simple: its names, arguments, defaults and return values, over the native client.

Beyond it: QoS 2, UTF-8 lengths, packets in any order, deadlines. Calls that wait for ever there raise OSError here:
`connect` after 30 s unless `timeout` is given, `publish` and `subscribe` after the same time; a link that was silent
for 60 s is probed.
"""

from random import getrandbits

from micropython import const

from umqtt import client, wire
from umqtt.errors import MQTTException, ProtocolError, link_error  # noqa: F401 - names of this module too
from umqtt.wire import PACKET_ID

_SILENT_S = const(60)
_TIMEOUT_MS = const(30000)
_PINGRESP_BYTE = const(0xD0)

_publish = client.MQTTClient.publish  # super() takes a word more, and the frame would be on the heap


class MQTTClient(client.MQTTClient):
    """The arguments are upstream's: keepalive 0 means none, `ssl` is an SSLContext, anything with `wrap_socket`, or
    True, with which `ssl_params` go to the port's `ssl.wrap_socket`. A message of any size that the heap can hold is
    delivered."""

    lw_topic = lw_msg = None
    lw_qos = 0
    lw_retain = False
    _any_size = True
    _asked_for_ping = False
    _polled_sock = None  # the socket that this client has adopted

    def __init__(self, client_id, server, port=0, user=None, password=None, keepalive=0, ssl=None, ssl_params=None):
        if ssl is True:
            from umqtt import tls

            ssl = tls.OldStyle(ssl_params or {})
        super().__init__(client_id, server, port, user, password, keepalive, ssl, timeout_ms=_TIMEOUT_MS)
        self.pid = 0
        self._watched_s = keepalive or _SILENT_S

    def set_last_will(self, topic, msg, retain=False, qos=0):
        """The will of the next `connect`. Raises ValueError."""
        super().set_last_will(topic, msg, retain, qos)
        self.lw_topic, self.lw_msg, self.lw_retain, self.lw_qos = topic, msg, retain, qos

    def connect(self, clean_session=True, timeout=None):
        """Connect; a clean session forgets what was in flight. timeout: seconds, for later calls too.

        Returns 1 when the broker kept the session, else 0. Raises ValueError, OSError, MQTTException(code, reason),
        ProtocolError.
        """
        self.clean_session = not not clean_session
        self._last_will = (self.lw_topic, self.lw_msg, self.lw_retain, self.lw_qos) if self.lw_topic else None
        self.timeout_ms = _TIMEOUT_MS if timeout is None else int(timeout * 1000)
        present = super().connect()
        if present and not self.pid:
            self.pid = getrandbits(15)  # the broker may hold an id from before a reset
        return int(present)

    def _adopt(self, sock):
        self._polled_sock = sock
        super()._adopt(sock)

    def _resume(self, present):
        if self.clean_session:
            # It begins with nothing [3.1.2.4], but for the count of ids.
            self._granted_qos.clear()
            for slot in self._packet_slots:
                slot[PACKET_ID] = 0
        super()._resume(present)

    def _close(self, fault=None):
        sock = self.sock
        super()._close(fault)
        self.sock = sock  # as upstream: programs close it again, to be sure

    def _use_link(self):
        # before each call: the program may have made the connection itself, or changed the mode of its socket
        sock = self.sock
        if sock is not self._polled_sock and sock is not None:
            self._adopt(sock)
            self._link_up = True
            super()._resume(True)
            self._send_blocked = self.inflight > 0
        if sock is None or not self._link_up:
            raise link_error("ENOTCONN", "not connected")
        sock.setblocking(False)

    def publish(self, topic, msg, retain=False, qos=0):
        """Publish; QoS 1 and 2 return when acknowledged (inside a callback: at once). Raises ValueError, OSError,
        MQTTException."""
        self._use_link()
        if _publish(self, topic, msg, retain, qos) is None:
            raise link_error("ENOBUFS", "all slots are taken")

    def subscribe(self, topic, qos=0):
        """Subscribe; returns when acknowledged. Raises ValueError, OSError, MQTTException(0x80, ...) when refused."""
        if self.cb is None:
            raise ValueError("Subscribe callback is not set")
        self._use_link()
        super().subscribe(topic, qos)

    def ping(self):
        """Send a PINGREQ."""
        self._use_link()
        self._asked_for_ping = True
        super().ping()

    def wait_msg(self):
        """Wait for one packet and do what it asks for. Returns its first byte, None for the PINGRESP of a `ping`.
        Raises OSError on a dead link."""
        return self._next(_TIMEOUT_MS)

    def check_msg(self):
        """Do what `wait_msg` does when a packet is there; returns None at once when none is."""
        return self._next(0)

    def _next(self, ms):
        if self._in_callback():
            return None  # inside a callback: the next packet is taken after it
        self._use_link()
        while True:
            if self._step(ms):
                if self._last_event != _PINGRESP_BYTE:
                    return self._last_event
                if self._asked_for_ping:
                    self._asked_for_ping = False
                    return None
            elif not ms:
                return None

    def _message(self, topic, payload, retained):
        self.cb(topic, payload)

    def _send_str(self, s):
        # for subclasses that write a CONNECT of their own
        self.sock.write(wire.text(s, wire.ANY_BYTES))

    def _recv_len(self):
        length = more = 128
        shift = 0
        while more & 128:
            more = self.sock.read(1)[0]
            length += (more & 127) << shift
            shift += 7
        return length - 128
