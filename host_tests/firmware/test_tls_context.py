"""TLS on a port that can verify nobody: the board says so instead of connecting to whoever answers."""

import sys

from on_board import World  # first: it makes the paths
from fakes.check import equal, raises
from fakes.folder import Folder


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


def test_a_ca_that_is_missing_costs_no_reset_and_no_reading():
    with Folder() as folder:
        path = folder + "/ca.der"
        w = World({"wifi": {"lab": "12345678"}}, tls=True, tls_ca=path, reset_after_s=60)
        w.run(600000)
        words = "broker: config.json: tls_ca is %s, and there is no such file; trying again" % path
        equal([line for line in w.said if "tls_ca" in line], [words])
        equal([line for line in w.said if line.startswith(("program", "radio"))], [])
        assert w.node.taken == 120 and w.node.waiting() == 16, w.node.taken
        real = w.node.open

        def with_its_file():
            w.node.cfg["tls"] = False  # as if it were there: the network of these tests has no TLS
            real()

        w.node.open = with_its_file
        w.run(700000)
        assert [line for line in w.said if line.startswith("broker: well again after")], w.said
        equal(len(w.readings()), w.node.taken - w.node.dropped)
