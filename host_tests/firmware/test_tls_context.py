"""TLS on a port that can verify nobody: the board says so instead of connecting to whoever answers."""

import sys

import on_board  # noqa: F401 - makes the paths
from fakes.check import raises


class AxTLS:
    """The `ssl` of an ESP8266: micropython-lib's over a `tls` without CERT_REQUIRED and load_verify_locations."""

    PROTOCOL_TLS_CLIENT = 0
    CERT_NONE = 0

    class SSLContext:
        def __init__(self, protocol):
            self.verify_mode = 0

        def load_verify_locations(self, cafile=None, cadata=None):
            raise AttributeError("'SSLContext' object has no attribute 'load_verify_locations'")


def on_an_esp8266(*paths):
    import tls_context

    real = sys.modules.get("ssl")
    sys.modules["ssl"] = AxTLS
    try:
        return tls_context.make(*paths)
    finally:
        del sys.modules["ssl"]
        if real:
            sys.modules["ssl"] = real


def test_a_ca_that_cannot_be_used_is_refused_in_words():
    words = str(raises(ValueError, on_an_esp8266, "ca.der"))
    assert "tls_ca" in words and "tls_insecure" in words and "ESP32" in words, words


def test_without_a_ca_it_connects_as_tls_insecure_says():
    assert on_an_esp8266("").verify_mode == AxTLS.CERT_NONE
