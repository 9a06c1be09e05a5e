"""TCP, and TLS on it: the only file that knows what sockets of the ports do and raise.

Of a stream that does not block the client calls `readinto(buf, n)` and `write(buf, off, n)` itself: n > 0 bytes moved,
None nothing yet, 0 read closed by the broker. What they raise before CONNACK goes to `fault`; later it ends the link.
Nothing but `connect` waits.
"""

import errno
import select  # noqa: F401 - the client's
import socket


def error(name, words):
    """An OSError with this port's number for errno `name`: ETIMEDOUT is 110, 116 or absent."""
    return OSError(getattr(errno, name, 5), words)


def resolve(server, port, addr):
    """What `connect` is to be given: addr, the last one, when it is of that place, else the name is looked up.
    Blocks for as long as the port does. Raises OSError."""
    if addr and addr[0] == (server, port):
        return addr
    return (server, port), socket.getaddrinfo(server, port, 0, socket.SOCK_STREAM)[0]


def connect(addr, timeout_ms, ssl):
    """A connected stream that does not block, within timeout_ms: with `ssl`, an SSLContext, the TLS stream; its
    handshake is done by the first writes and reads. Raises OSError; then nothing is left open."""
    host = addr[0][0]
    addr = addr[1]
    sock = socket.socket(addr[0])
    try:
        sock.settimeout(timeout_ms / 1000)  # for connect alone: a read that times out loses what it had
        sock.connect(addr[-1])
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


def fault(e, ssl):
    """What an exception means that a stream raised before CONNACK: None for try again, else the OSError to raise."""
    err = e.args[0] if e.args else 0
    # EAGAIN, EINPROGRESS, EALREADY: ESP32 says so right after connect instead of None
    if err in (11, 114, 115, 119):
        return None
    if len(e.args) > 1 and not ssl:  # it has words
        return e
    if not isinstance(err, int):  # mbedtls on a certificate: ValueError
        err = errno.ECONNABORTED
    if -200 < err < 0:
        err = -err  # a socket's error that came through mbedtls
    if not ssl:
        return OSError(err, "link is down")
    from umqtt import tls

    return OSError(err, tls.words(e))
