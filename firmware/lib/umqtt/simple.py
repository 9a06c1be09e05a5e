"""Drop-in for micropython-lib's umqtt.simple: its names, arguments, defaults and return values, over the native
client.

Beyond it: QoS 2, UTF-8 lengths, packets in any order, deadlines. What waits for ever there raises OSError here:
`connect` after 30 s unless `timeout` is given, `publish` and `subscribe` after the same time; `wait_msg` probes a
link that was silent for 60 s.
"""

from random import getrandbits

from micropython import const

from umqtt import client, wire
from umqtt.client import MQTTException, ProtocolError  # noqa: F401 - names of this module too
from umqtt.transport import error

_SILENT_S = const(60)
_TIMEOUT_MS = const(30000)

_publish = client.MQTTClient.publish  # super() takes a word more, and the frame would be on the heap


class MQTTClient(client.MQTTClient):
    """The arguments are upstream's: keepalive 0 means none, `ssl` is an SSLContext or anything with `wrap_socket`."""

    lw_topic = lw_msg = None
    lw_qos = 0
    lw_retain = False
    _own = None  # the socket that is polled

    def __init__(self, client_id, server, port=0, user=None, password=None, keepalive=0, ssl=None):
        super().__init__(client_id, server, port, user, password, keepalive, ssl, timeout_ms=_TIMEOUT_MS)
        self.pid = 0

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
        self._will = (self.lw_topic, self.lw_msg, self.lw_retain, self.lw_qos) if self.lw_topic else None
        self.timeout_ms = _TIMEOUT_MS if timeout is None else int(timeout * 1000)
        present = super().connect()
        if present and not self.pid:
            self.pid = getrandbits(15)  # the broker may hold an id from before a reset
        return int(present)

    def _adopt(self, sock):
        self._own = sock
        super()._adopt(sock)

    def _connack(self):
        if self.clean_session and not self._rx[1]:
            self._subs.clear()  # a clean session begins with nothing [3.1.2.4], but for the count of ids
            while self.inflight:
                self._free(0)
        super()._connack()

    def _link(self):
        sock = self.sock
        if sock is None:
            self._step(0)  # raises: not connected
        if sock is not self._own:  # a subclass that connects by itself
            self._adopt(sock)
            self._up = 1
            self._resume(False)
        sock.setblocking(False)  # the program may have changed it

    def publish(self, topic, msg, retain=False, qos=0):
        """Publish; QoS 1 and 2 return when acknowledged (inside a callback: at once). Raises ValueError, OSError,
        MQTTException."""
        self._link()
        if _publish(self, topic, msg, retain, qos) is None:
            raise error("ENOBUFS", "all slots are taken")

    def subscribe(self, topic, qos=0):
        """Subscribe; returns when acknowledged. Raises ValueError, OSError, MQTTException(0x80, ...) when refused."""
        if self.cb is None:
            raise ValueError("Subscribe callback is not set")
        self._link()
        super().subscribe(topic, qos)

    def ping(self):
        """Send a PINGREQ."""
        self._link()
        super().ping()

    def wait_msg(self):
        """Wait for one packet and do what it asks for. Returns its first byte, None for a PINGRESP. Raises OSError on
        a dead link."""
        keepalive = self.keepalive
        self.keepalive = keepalive or _SILENT_S  # asks a silent link whether it is alive
        try:
            return self._next(_TIMEOUT_MS)
        finally:
            self.keepalive = keepalive

    def check_msg(self):
        """Do what `wait_msg` does when a packet is there; returns None at once when none is."""
        return self._next(0)

    def _next(self, ms):
        if self._busy:
            return None  # inside a callback: what comes next is taken after it
        self._link()
        while not self._step(ms):
            if not ms:
                return None
        return None if self._rx_b0 == 0xD0 else self._rx_b0

    def _message(self, topic, msg):
        self.cb(topic, msg)

    def _send_str(self, s):
        # for subclasses that write a CONNECT of their own
        self.sock.write(wire.text(s, 3))

    def _recv_len(self):
        n = more = 128
        k = 0
        while more & 128:
            more = self.sock.read(1)[0]
            n += (more & 127) << k
            k += 7
        return n - 128
