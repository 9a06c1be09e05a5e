"""TLS on a connected socket, and its errors in words. Imported when a client is given an `ssl`.

`ssl` is an SSLContext: only CERT_REQUIRED with `load_verify_locations(cadata=der)` authenticates the broker, and that
compares dates, so the clock must be set first. ESP8266 (axTLS) does not check certificates at all. The TLS buffers,
about 20 KB, come from outside the MicroPython heap on ESP32: ENOMEM with a free heap is possible, so memory is
collected first.
"""

from errno import ECONNABORTED
from gc import collect
from time import gmtime


_NOT_YET = (11, 114, 115, 119)  # EAGAIN, EALREADY, EINPROGRESS: an ESP32's TLS raises them instead of returning None


class Handshaking:
    """The TLS stream `sock`, whose `readinto` and `write` return None where it raises that it is not ready."""

    def __init__(self, sock):
        self.sock = sock

    def readinto(self, buf, n):
        """As a stream's. Raises OSError, ValueError."""
        try:
            return self.sock.readinto(buf, n)
        except OSError as e:
            if e.args[0] not in _NOT_YET:
                raise

    def write(self, buf, offset, n):
        """As a stream's. Raises OSError, ValueError."""
        try:
            return self.sock.write(buf, offset, n)
        except OSError as e:
            if e.args[0] not in _NOT_YET:
                raise


class OldStyle:
    """Stands for umqtt.simple's `ssl=True`: the port's `ssl.wrap_socket` with `params`."""

    def __init__(self, params):
        self.params = params

    def wrap_socket(self, sock, server_hostname=None, do_handshake_on_connect=True):
        """Return the TLS stream on `sock`; `params` has the host's name, or none. Raises OSError, ValueError."""
        try:
            import ssl
        except ImportError:  # a port without micropython-lib's: the module beneath it
            import tls as ssl  # type: ignore[no-redef]
        params = dict(self.params)
        params["do_handshake"] = do_handshake_on_connect
        if hasattr(ssl, "wrap_socket"):
            if do_handshake_on_connect:
                del params["do_handshake"]
            return ssl.wrap_socket(sock, **params)  # type: ignore
        params["do_handshake_on_connect"] = params.pop("do_handshake")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_mode = params.pop("cert_reqs", ssl.CERT_NONE)  # type: ignore
        key, cert = params.pop("key", None), params.pop("cert", None)
        if cert:
            context.load_cert_chain(cert, key)
        cadata = params.pop("cadata", None)
        if cadata:
            try:
                context.load_verify_locations(cadata=cadata)
            except TypeError:  # as `tls` has it
                context.load_verify_locations(cadata)
        return context.wrap_socket(sock, **params)


def wrap(ssl, sock, host):
    """Return the TLS stream on `sock`, connected and non-blocking; the handshake goes on with the first write. Raises
    OSError, ValueError."""
    collect()
    try:
        return ssl.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    except TypeError:  # no SSLContext but the program's own object with wrap_socket, whose handshake blocks
        sock.setblocking(True)
        sock = ssl.wrap_socket(sock, server_hostname=host)
        sock.setblocking(False)
        return sock


def in_words(fault):
    """Return the OSError to raise for an exception of a TLS stream: its words say what to check."""
    number = fault.args[0] if fault.args else 0
    if not isinstance(number, int):  # mbedtls on a certificate: ValueError
        number = ECONNABORTED
    if -200 < number < 0:
        number = -number  # a socket's error, handed on by mbedtls
    return OSError(number, words(fault))


def words(e):
    """Return the words of a TLS stream's exception, with what to check."""
    s = str(e).strip()
    if e.args and e.args[0] in (-32, 32, 104):
        s += " closed by the broker"
    # mbedtls's words or numbers, and what to check
    signs = (
        "validity|check its dates and the clock|"
        "CN|it is for another host name|"
        "-30336|no CA was given (load_verify_locations)|"
        "-30592|refused by the broker: a client certificate, or other TLS versions?|"
        "closed|a client certificate, or no TLS at this port?"
    ).split("|")
    if gmtime()[0] < 2024:
        signs[1] = "the clock is not set, so no certificate is valid yet: set it (ntptime) first"
    for i in range(0, 10, 2):
        if signs[i] in s:
            s += ": " + signs[i + 1]
            break
    return "TLS: " + s
