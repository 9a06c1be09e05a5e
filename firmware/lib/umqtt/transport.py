"""TCP, and TLS on it: the only file that knows how the ports' sockets behave and fail.

Of a stream that does not block the client calls `readinto(buf, n)` and `write(buf, offset, n)` itself: n > 0 bytes
moved, None nothing now, 0 read: closed by the broker. Nothing but `resolve` and `connect` waits.
"""

import select  # noqa: F401 - the client's
import socket

from umqtt.errors import link_error


def resolve(server: str, port: int, last):
    """The address for `connect`: `last`, the one that it was given before, when it is of that place; else the name is
    looked up. Blocks for as long as the port does. Raises OSError."""
    if not last or last[0] != (server, port):
        last = (server, port), socket.getaddrinfo(server, port, 0, socket.SOCK_STREAM)[0]
    return last


def connect(address, timeout_ms: int, ssl):
    """A connected stream that does not block, within timeout_ms: with `ssl`, an SSLContext, the TLS stream; its
    handshake is done by the first writes and reads. Raises OSError; then nothing is left open."""
    (host, _), (family, _, _, _, sockaddr) = address
    sock = socket.socket(family)
    try:
        sock.settimeout(timeout_ms / 1000)  # for connect alone: a read that times out loses what it had
        sock.connect(sockaddr)
        sock.setblocking(False)
        try:
            # TCP_NODELAY: else a small packet behind an unacknowledged one waits for a delayed ACK
            sock.setsockopt(6, 1, 1)
        except (OSError, AttributeError):
            pass  # not every port has it
        if ssl:
            from umqtt import tls

            return tls.wrap(ssl, sock, host)
        return sock
    except BaseException:  # Ctrl-C too: connect is where it comes
        sock.close()
        raise


def in_words(fault, ssl, link_up: bool):
    """The exception to raise for `fault`, which a generator has raised: an OSError of a stream says in words what it
    means."""
    if isinstance(fault, (OSError, ValueError)):
        if ssl and not link_up:
            from umqtt import tls

            fault = tls.in_words(fault)
        elif len(fault.args) < 2:
            fault = link_error("ECONNRESET", "link is down")
    return fault
