"""TLS on a connected socket, and its errors in words. Imported when a client is given an `ssl`.

`ssl` is an SSLContext: only CERT_REQUIRED with `load_verify_locations(cadata=der)` authenticates the broker, and that
compares dates, so the clock must be set first. ESP8266 (axTLS) does not check certificates at all. The TLS buffers,
about 20 KB, come from outside the MicroPython heap on ESP32: ENOMEM with a free heap is possible, so memory is
collected first.
"""

from gc import collect
from time import gmtime


def wrap(ssl, sock, host):
    """The TLS stream on `sock`, connected and non-blocking; the handshake goes on with the first write. Raises
    OSError, ValueError."""
    collect()
    try:
        return ssl.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    except TypeError:  # no SSLContext: something of the program's own with wrap_socket; its handshake blocks
        sock.setblocking(True)
        sock = ssl.wrap_socket(sock, server_hostname=host)
        sock.setblocking(False)
        return sock


def words(e):
    """What the exception of a TLS stream means and what to check."""
    s = str(e.args[-1]).strip()
    if s in ("-32", "32", "104"):
        return "TLS: closed by the broker (in the handshake: it wants a client certificate, or its port has no TLS)"
    if "future" in s and gmtime()[0] < 2024:
        return "TLS: the clock is not set, so no certificate is valid yet: set it (ntptime) first"
    for sign, means in (
        ("future", "the broker's certificate is not valid yet: check its dates and the clock"),
        ("expired", "the broker's certificate has expired, or the clock is wrong"),
        ("CN", "the certificate is for another host name: use the name that it was made for"),
        ("signed by", "the certificate is not signed by the given CA (cadata)"),
        ("revoked", "the certificate has been revoked"),
        ("-30336", "no CA was given (load_verify_locations) but CERT_REQUIRED was"),
        ("CA_CHAIN", "no CA was given (load_verify_locations) but CERT_REQUIRED was"),
        ("-30592", "the broker refused the handshake: a client certificate, or other TLS versions?"),
        ("ALERT", "the broker refused the handshake: a client certificate, or other TLS versions?"),
    ):
        if sign in s:
            return "TLS: " + means
    return "TLS: " + s
