"""The board's end of a serial port: a pty, or an RFC 2217 server that also carries DTR and RTS."""

import errno
import os
import pty
import select
import socket
import time
import tty
from typing import Callable, List, Optional

from serial.rfc2217 import PortManager

OUT_LIMIT_B = 1 << 20  # a host that does not read for that long has lost the port anyway


class PtyPort:
    """A pseudo-terminal. `link`, when given, becomes a symbolic link to it, removed by close().

    Raises OSError when there is no pty left or the link's place is taken by a file.
    """

    def __init__(self, link: str = ""):
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self.name = os.ttyname(slave)
        os.close(slave)  # the settings stay; a closed far end shows as a hang-up, as on a board
        os.set_blocking(self._master, False)
        self._link = link
        self._out = bytearray()
        self._open = False
        self._looked = 0.0
        if link:
            if os.path.islink(link):
                os.unlink(link)
            os.symlink(self.name, link)
            self.name = link

    def readers(self) -> List[int]:
        """What to select for reading. While nobody has the port open, it would always be ready."""
        return [self._master] if self._is_open() else []

    def writers(self) -> List[int]:
        return [self._master] if self._out and self._open else []

    def _is_open(self) -> bool:
        now = time.monotonic()
        if not self._open and now - self._looked < 0.02:
            return False
        self._looked = now
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        events = dict(poll.poll(0)).get(self._master, 0)
        self._open = not events & select.POLLHUP or bool(events & select.POLLIN)
        if not self._open:
            self._out.clear()  # what a board says while nobody listens is lost
        return self._open

    def read(self, ready: List[int]) -> bytes:
        """What the host sent; b"" when nothing."""
        if self._master not in ready:
            return b""
        try:
            return os.read(self._master, 4096)
        except OSError as error:
            if error.errno not in (errno.EIO, errno.EAGAIN):
                raise
            return b""

    def write(self, data: bytes) -> None:
        """Send to the host; never blocks."""
        if self._open and len(self._out) < OUT_LIMIT_B:
            self._out += data
        self.flush()

    def flush(self) -> None:
        while self._out and self._open:
            try:
                del self._out[: os.write(self._master, self._out[:4096])]
            except OSError as error:
                if error.errno not in (errno.EIO, errno.EAGAIN):
                    raise
                return

    def pending(self) -> bool:
        """Whether output waits for the host."""
        return bool(self._out) and self._open

    def close(self) -> None:
        os.close(self._master)
        if self._link and os.path.islink(self._link):
            os.unlink(self._link)


class _Lines:
    """The serial port that PortManager believes to control. DTR and RTS drive IO0 and EN.

    Both lines pull low when they are set, and each only while the other is not (two transistors).
    """

    cts = dsr = True
    ri = cd = xonxoff = rtscts = dsrdtr = break_condition = False
    in_waiting = 0
    baudrate, bytesize, parity, stopbits, timeout = 115200, 8, "N", 1, None

    def __init__(self, reset: Callable[[bool], None]):
        self._reset = reset
        self._dtr = self._rts = self._held = False

    def _changed(self) -> None:
        if self._rts and not self._dtr:
            self._held = True
        elif self._held and not self._rts:
            self._held = False
            self._reset(self._dtr)

    @property
    def dtr(self) -> bool:
        return self._dtr

    @dtr.setter
    def dtr(self, on: bool) -> None:
        self._dtr = bool(on)
        self._changed()

    @property
    def rts(self) -> bool:
        return self._rts

    @rts.setter
    def rts(self, on: bool) -> None:
        self._rts = bool(on)
        self._changed()

    def reset_input_buffer(self) -> None:
        pass

    def reset_output_buffer(self) -> None:
        pass


class Rfc2217Port:
    """A telnet port on loopback for one host at a time. `reset` is called with "IO0 is low" when EN is let go.

    `tcp_port` 0 lets the system choose. Raises OSError when the port is taken.
    """

    def __init__(self, tcp_port: int, reset: Callable[[bool], None]):
        self._reset = reset
        self._listener = socket.create_server(("127.0.0.1", tcp_port))
        self._listener.setblocking(False)
        self.name = "rfc2217://127.0.0.1:%d" % self._listener.getsockname()[1]
        self._host: Optional[socket.socket] = None
        self._telnet: Optional[PortManager] = None
        self._out = bytearray()

    def readers(self) -> List[int]:
        return [self._listener.fileno()] + ([self._host.fileno()] if self._host else [])

    def writers(self) -> List[int]:
        return [self._host.fileno()] if self._host and self._out else []

    def read(self, ready: List[int]) -> bytes:
        """What the host sent, telnet taken away; b"" when nothing. Takes and drops connections."""
        if self._listener.fileno() in ready:
            self._accept()
        if not self._host or self._host.fileno() not in ready:
            return b""
        try:
            data = self._host.recv(4096)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._drop()
            return b""
        return b"".join(self._telnet.filter(data))

    def _accept(self) -> None:
        try:
            host, _ = self._listener.accept()
        except OSError:
            return
        if self._host:  # a serial port has one owner
            host.close()
            return
        host.setblocking(False)
        host.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._host = host
        self._telnet = PortManager(_Lines(self._reset), _Raw(self._raw))

    def _raw(self, data: bytes) -> None:
        self._out += data
        self.flush()

    def write(self, data: bytes) -> None:
        """Send to the host; never blocks."""
        if self._host and len(self._out) < OUT_LIMIT_B:
            self._raw(b"".join(self._telnet.escape(data)))

    def flush(self) -> None:
        while self._host and self._out:
            try:
                del self._out[: self._host.send(self._out)]
            except BlockingIOError:
                return
            except OSError:
                self._drop()

    def pending(self) -> bool:
        """Whether output waits for the host."""
        return bool(self._host and self._out)

    def _drop(self) -> None:
        self._host.close()
        self._host = self._telnet = None
        self._out.clear()

    def close(self) -> None:
        if self._host:
            self._drop()
        self._listener.close()


class _Raw:
    """PortManager's way to its peer."""

    def __init__(self, write: Callable[[bytes], None]):
        self.write = write
