"""Serves programs that use the `sock` of micropython-lib's client: they give it a mode, read and write it, poll it, or
put one of their own there. Loaded when a program does so.
"""

import select
from io import IOBase
from time import ticks_ms

from micropython import const

from umqtt import addons, client, wire
from umqtt.errors import link_error

_POLL = const(3)  # requests of a stream's ioctl: MP_STREAM_POLL, MP_STREAM_GET_FILENO of py/stream.h
_GET_FILENO = const(10)
_READABLE = const(1)
_WRITABLE = const(4)
_FOR_EVER = const(-1)
_FIRST_ACK_BYTE = const(0x40)
_SUBACK_BYTE = const(0x90)


def adopt(owner):
    """The program has put a socket of its own into `owner.sock`, connected and logged in: it goes on with that."""
    sock = owner.sock
    sock.setblocking(False)
    owner._adopt(sock if hasattr(sock, "readinto") else Plain(sock))
    owner._link_up = True
    client.MQTTClient._resume(owner, True)
    owner._send_blocked = owner.inflight > 0
    owner.sock = owner._sock_face


class Sock:
    """`client.sock`: the mode that the program gives it is that of the next `wait_msg`, and of reads here. An ack that
    `wait_msg` has just returned can be read here, for programs that take it apart themselves; all else is the
    stream's own."""

    def __init__(self, owner):
        self.owner = owner

    def setblocking(self, flag):
        """False: the next `wait_msg` does not wait."""
        self.settimeout(None if flag else 0)

    def settimeout(self, timeout_s):
        """Seconds for the next `wait_msg`, None for ever."""
        self.owner._wait_ms = _FOR_EVER if timeout_s is None else int(timeout_s * 1000)

    def close(self):
        """End the connection without a DISCONNECT."""
        self.owner._close()

    def _stream(self):
        if self.owner._socket is None:
            raise link_error("ENOTCONN", "not connected")
        return self.owner._socket

    def read(self, n):
        """n bytes, fewer at the end of the stream; None when the mode is not to wait and none are there. Raises
        OSError."""
        owner = self.owner
        unread = owner._unread_ack
        if not isinstance(unread, bytes):
            unread = b"" if unread is None else self._ack(unread)
        got = unread[:n]
        owner._unread_ack = unread[n:]
        while len(got) < n:
            piece = self._stream().read(n - len(got))
            if piece:
                got += piece
            elif piece is not None:
                break
            elif not owner._wait_ms:
                return got or None
            else:
                self._await(_READABLE)
        return got

    def _ack(self, first_byte):
        # the rest of the packet that began so, if it is an ack
        if first_byte < _FIRST_ACK_BYTE:
            return b""
        body_b = 3 if first_byte == _SUBACK_BYTE else 2
        return bytes((body_b,)) + bytes(self.owner._receive_buf[:body_b])

    def write(self, buf, length=None):
        """Write all, or the first `length` bytes, behind what the client itself has to send. Returns how many. Raises
        OSError."""
        addons.await_all_sent(self.owner, None)
        view = memoryview(wire.data(buf, "buf"))[:length]
        rest = view
        while len(rest):
            count = self._stream().write(rest)
            if count:
                rest = rest[count:]
            else:
                self._await(_WRITABLE)
        self.owner._wrote_ms = ticks_ms()
        return len(view)

    def ioctl(self, request, argument):
        """What MicroPython's select asks an IOBase."""
        stream = self._stream()
        if request == _GET_FILENO and hasattr(stream, "fileno"):
            return stream.fileno()
        if request != _POLL:
            return 0 if request != _GET_FILENO else -1
        return self._ready(argument, 0)

    def _ready(self, mask, ms):
        poller = select.poll()
        poller.register(self._stream(), mask)
        for row in poller.poll(ms):
            return row[1]
        return 0

    def _await(self, mask):
        wait_ms = self.owner._wait_ms
        if not self._ready(mask, self.owner.timeout_ms if wait_ms < 0 else wait_ms):
            raise link_error("ETIMEDOUT", "no answer in time")

    def __getattr__(self, name):
        return getattr(self._stream(), name)


class Plain(IOBase):
    """A program's own stream that has no more than read, write, setblocking and close, as one that `select` takes and
    the client reads from."""

    def __init__(self, sock):
        self.sock = sock

    def readinto(self, buf, n):
        """As a stream's."""
        got = self.sock.read(n)
        if got is None:
            return None
        buf[: len(got)] = got
        return len(got)

    def write(self, buf, offset, n):
        """As a stream's."""
        piece = bytes(memoryview(buf)[offset : offset + n])
        count = self.sock.write(piece)
        return len(piece) if count is None else count  # such a stream takes all, and may not say so

    def ioctl(self, request, argument):
        """It cannot be asked, so it is always ready."""
        return argument if request == _POLL else 0

    def close(self):
        """Close it."""
        self.sock.close()

    def __getattr__(self, name):
        return getattr(self.sock, name)
