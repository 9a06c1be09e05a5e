"""TCP, and TLS on it: the only file that knows how the ports' sockets behave and fail.

Of a stream that does not block the client calls `readinto(buf, n)` and `write(buf, offset, n)` itself: n > 0 bytes
moved, None nothing now, 0 read: closed by the broker. Nothing but `resolve` waits.
"""

import select  # noqa: F401 - the client's
import socket
from time import ticks_diff, ticks_ms

from micropython import const

from umqtt.errors import ProtocolError, link_error

_AF_INET = const(2)


def resolve(server: str, port: int, last):
    """Return the address for `connect`: (place, family, the port's, milliseconds that the look-up took). `last`, that
    of the time before, if it is of the same place; an IPv4 address as it is; else look the name up, which blocks for as
    long as the port takes. Raises OSError."""
    place = server, port
    if last and last[0] == place:
        return last
    if isinstance(server, str) and not server.strip("0123456789."):
        return place, _AF_INET, place, 0
    began_ms = ticks_ms()
    family, _, _, _, sockaddr = socket.getaddrinfo(server, port, 0, socket.SOCK_STREAM)[0]
    return place, family, sockaddr, ticks_diff(ticks_ms(), began_ms)


def open_socket(address):
    """Return a socket for `connect` that does not block. Raises OSError."""
    sock = socket.socket(address[1])
    sock.settimeout(0)
    try:
        # TCP_NODELAY: else a small packet behind an unacknowledged one waits for a delayed ACK
        sock.setsockopt(6, 1, 1)
    except (OSError, AttributeError):
        pass  # not every port has it
    return sock


def connect(sock, address) -> None:
    """Begin to connect the socket. Once it can be written to it is connected, or `check` tells why not. Raises OSError,
    also one that `is_not_yet`."""
    (server, port), _, sockaddr, _ = address
    try:
        sock.connect(sockaddr)
    except TypeError:  # the unix port takes only what its getaddrinfo returns, and that knows an IP address
        sock.connect(socket.getaddrinfo(server, port, 0, socket.SOCK_STREAM)[0][-1])


def is_not_yet(fault) -> bool:
    """Return whether an exception of `connect` or `check` only says that it takes its time."""
    return isinstance(fault, OSError) and fault.args[0] in (11, 114, 115, 119)  # EAGAIN, EALREADY, EINPROGRESS


def check(sock) -> None:
    """Look whether the socket, which can be written to, is connected. Raises OSError with the port's number when it was
    refused or has ended, or one that `is_not_yet`; ProtocolError when the other end speaks before it was asked."""
    got = sock.read(1)
    if got is not None:
        raise ProtocolError("what answers speaks first") if got else link_error("ECONNRESET", "closed by the broker")


def with_tls(sock, ssl, server):
    """Return the stream of `sock`: itself, or with `ssl`, an SSLContext, the TLS stream on it, whose first writes and
    reads do the handshake. Raises OSError, ValueError."""
    if ssl:
        from umqtt import tls

        return tls.wrap(ssl, sock, server)
    return sock


def in_words(fault, ssl, link_up: bool):
    """Return the exception to raise for `fault`, which a generator has raised: an OSError of a stream, in words."""
    if isinstance(fault, (OSError, ValueError)):
        if ssl and not link_up:
            from umqtt import tls

            fault = tls.in_words(fault)
        elif len(fault.args) < 2:
            fault = link_error("ECONNRESET", "link is down")
    return fault
