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
    """What the exception of a TLS stream says, and what to check."""
    s = str(e).strip()
    if e.args and e.args[0] in (-32, 32, 104):
        s += " closed by the broker"
    # words of mbedtls or its numbers, and what to check
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
