"""One TCP connection, with or without TLS on it; the only file that knows what sockets of the ports do and return.

`recv(buf, n)` and `send(buf, off, n)` are the stream's own methods: n > 0 bytes moved, None nothing yet, 0 from
`recv` closed by the broker; what they raise goes to `fault`. Nothing but `open` and `wait` waits.
"""

import errno
import select
import socket

from micropython import const

_POLLIN = const(1)
_POLLOUT = const(4)


def code(name, default):
    """The port's number of an error: ETIMEDOUT is 110, 116 or absent."""
    return getattr(errno, name, default)


class Transport:
    """`sock` is the stream: the socket, or the TLS object on it; None while closed."""

    def __init__(self):
        self.sock = None
        self.addr = None  # of the last open that succeeded: a name look-up blocks, and takes seconds without a network
        self.tls = None  # the module, once it is asked for

    def secure(self):
        """Load what TLS takes, before it is needed."""
        from umqtt import tls

        self.tls = tls

    def resolve(self, host, port):
        """Look the name up, unless the last connection went there: that blocks for as long as the port does. Raises
        OSError."""
        if not self.addr or self.addr[0] != (host, port):
            self.addr = None
            self.addr = (host, port), socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]

    def open(self, timeout_ms, ssl=None):
        """Connect to what was resolved, within timeout_ms. Raises OSError; then nothing is left open.

        ssl: an SSLContext; its handshake is done by the first writes and reads.
        """
        a = self.addr[1]
        sock = socket.socket(a[0])
        try:
            sock.settimeout(timeout_ms / 1000)  # for connect alone: a read that times out loses what it had
            sock.connect(a[-1])
            sock.setblocking(False)
            try:
                # TCP_NODELAY: else a small packet behind an unacknowledged one waits for a delayed ACK
                sock.setsockopt(6, 1, 1)
            except (OSError, AttributeError):
                pass  # not every port has it
            if ssl:
                if not self.tls:
                    self.secure()
                sock = self.tls.wrap(ssl, sock, self.addr[0][0])
        except BaseException:  # Ctrl-C too: connect is where it comes
            sock.close()
            self.addr = None  # it may have changed
            raise
        self.adopt(sock)

    def adopt(self, sock):
        """Use `sock`, a connected stream that does not block."""
        self.sock = sock
        self.recv = sock.readinto
        self.send = sock.write
        poll = select.poll()
        poll.register(sock, _POLLIN)
        self._mask = _POLLIN
        self._modify = poll.modify
        self._ipoll = poll.ipoll

    def fault(self, e):
        """What an exception that came out of send or recv means: None for try again, else the OSError to raise."""
        err = e.args[0] if e.args else 0
        # EAGAIN, EINPROGRESS, EALREADY: ESP32 says so right after connect instead of None
        if err in (11, 114, 115, 119):
            return None
        if err == 28:  # ENOSPC is the store's
            return e
        if not isinstance(err, int):  # mbedtls on a certificate: ValueError
            err = code("ECONNABORTED", 103)
        if -200 < err < 0:
            err = -err  # a socket's error that came through mbedtls
        return OSError(err, self.tls.words(e) if self.tls else "link down")

    def wait(self, ms, writing):
        """Wait up to ms for something to read; when `writing` for room to write too, negative for that alone."""
        mask = _POLLOUT if writing < 0 else _POLLIN | _POLLOUT if writing else _POLLIN
        if mask != self._mask:
            self._modify(self.sock, mask)
            self._mask = mask
        for _ in self._ipoll(ms):
            pass

    def close(self):
        """Close; nothing happens when it is closed."""
        sock = self.sock
        if sock:
            self.sock = self.recv = self.send = self._modify = self._ipoll = None
            try:
                sock.close()
            except OSError:
                pass  # a TLS stream says goodbye on a dead link
