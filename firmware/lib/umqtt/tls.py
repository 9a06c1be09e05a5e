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
    means = str(e).strip()
    # mbedtls's number, or what it says of a certificate
    s = "closed" if e.args and e.args[0] in (-32, 32, 104) else str(e.args)
    signs = (
        "future|the certificate is not valid yet: check its dates and the clock|"
        "expired|the certificate has expired, or the clock is wrong|"
        "CN|the certificate is for another host name|"
        "signed by|the certificate is not signed by the given CA|"
        "revoked|the certificate has been revoked|"
        "-30336|CERT_REQUIRED, but no CA was given (load_verify_locations)|"
        "-30592|refused by the broker: a client certificate, or other TLS versions?|"
        "closed|closed by the broker: a client certificate, or no TLS at this port?"
    ).split("|")
    if gmtime()[0] < 2024:
        signs[1] = "the clock is not set, so no certificate is valid yet: set it (ntptime) first"
    for i in range(0, 16, 2):
        if signs[i] in s:
            means = signs[i + 1]
    return "TLS: " + means
