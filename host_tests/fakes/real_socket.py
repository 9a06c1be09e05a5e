"""MicroPython's `socket` and `select` over CPython's, so that the library runs on CPython against a real broker.

    import fakes.real_socket
    fakes.real_socket.install()        # into umqtt.transport

On MicroPython install() does nothing: the real modules are there.
"""

import sys

if sys.implementation.name != "micropython":
    import select as _select
    import socket as _socket
    import ssl as _ssl

    BLOCKED = (BlockingIOError, InterruptedError, _ssl.SSLWantReadError, _ssl.SSLWantWriteError)

    class Socket:
        """One CPython socket with MicroPython's stream methods. `raw` is the socket itself."""

        def __init__(self, *kind, raw=None):
            self.raw = raw if raw is not None else _socket.socket(*kind)
            self.mask = 0  # what poll was asked for
            self.wants_read = False  # a TLS write that cannot go on before something comes

        def __getattr__(self, name):
            return getattr(self.raw, name)

        def connect(self, address):
            try:
                self.raw.connect(address)
            except _socket.timeout:
                raise OSError(110, "timed out")

        def readinto(self, buf, size_b=None):
            view = memoryview(buf)[: len(buf) if size_b is None else size_b]
            done = 0
            while done < len(view):
                try:
                    got_b = self.raw.recv_into(view[done:])
                except BLOCKED:
                    return done or None
                if not got_b:
                    break
                done += got_b
            return done

        def read(self, size_b=-1):
            if size_b < 0:
                size_b = 65536
            buf = bytearray(size_b)
            got_b = self.readinto(buf, size_b)
            return None if got_b is None else bytes(buf[:got_b])

        def readline(self):
            out = b""
            while out[-1:] != b"\n":
                byte = self.read(1)
                if not byte:
                    return out or byte
                out += byte
            return out

        def write(self, buf, off=None, size_b=None):
            data = buf.encode() if isinstance(buf, str) else bytes(buf)
            # a copy: CPython keeps a view of the buffer in the traceback of an exception, and locks its size by that
            view = memoryview(data if off is None else data[:off] if size_b is None else data[off : off + size_b])
            done = 0
            self.wants_read = False
            while done < len(view):
                try:
                    done += self.raw.send(view[done:])
                except BLOCKED as error:
                    self.wants_read = isinstance(error, _ssl.SSLWantReadError)
                    return done or None
            return done

    class Poll:
        """select.poll() that takes the sockets above; `ipoll` as MicroPython has it."""

        def __init__(self):
            self._known = {}  # descriptor: socket

        def register(self, sock, mask=_select.POLLIN | _select.POLLOUT):
            self._known[sock.fileno()] = sock
            sock.mask = mask

        def modify(self, sock, mask):
            sock.mask = mask

        def unregister(self, sock):
            del self._known[sock.fileno()]

        def poll(self, ms=-1):
            waits = _select.poll()  # one of its own: several threads may wait
            for fd, sock in self._known.items():  # TLS: a record that is read is not seen by the kernel
                raw = sock.raw
                mask = sock.mask
                if isinstance(raw, _ssl.SSLSocket) and raw.fileno() >= 0:
                    if raw.pending():
                        return [(sock, _select.POLLIN)]
                    if sock.wants_read:
                        mask = _select.POLLIN
                waits.register(fd, mask)
            return [(self._known[fd], bits) for fd, bits in waits.poll(ms)]

        def ipoll(self, ms=-1, flags=0):
            return iter(self.poll(ms))

    class Context:
        """An ssl.SSLContext whose wrap_socket takes and gives the sockets above."""

        def __init__(self, context):
            self.context = context

        def wrap_socket(self, sock, server_side=False, server_hostname=None, do_handshake_on_connect=True):
            raw = self.context.wrap_socket(
                sock.raw,
                server_side=server_side,
                server_hostname=server_hostname,
                do_handshake_on_connect=do_handshake_on_connect,
            )
            return Socket(raw=raw)

    class _Module:
        def __init__(self, real, **own):
            self._real = real
            for name in own:
                setattr(self, name, own[name])

        def __getattr__(self, name):
            return getattr(self._real, name)

    socket = _Module(_socket, socket=Socket)
    select = _Module(_select, poll=Poll)


def install():
    """The library's transport uses these modules from now on, and the real clock."""
    if sys.implementation.name == "micropython":
        return
    import fakes.shim  # noqa: F401
    import umqtt.transport

    umqtt.transport.socket = socket
    umqtt.transport.select = select
