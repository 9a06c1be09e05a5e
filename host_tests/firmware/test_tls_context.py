"""TLS on a port that can verify nobody: the board says so instead of connecting to whoever answers."""

import sys
from binascii import b2a_base64

from on_board import World  # first: it makes the paths
from fakes.check import equal, raises
from fakes.folder import Folder, write


class AxTLS:
    """The `ssl` of an ESP8266: micropython-lib's over a `tls` without CERT_REQUIRED and load_verify_locations."""

    PROTOCOL_TLS_CLIENT = 0
    CERT_NONE = 0

    class SSLContext:
        def __init__(self, protocol):
            self.verify_mode = 0

        def load_verify_locations(self, cafile=None, cadata=None):
            raise AttributeError("'SSLContext' object has no attribute 'load_verify_locations'")


class MbedTLS:
    """The `ssl` of an ESP32: each certificate and key in DER, one at a time."""

    PROTOCOL_TLS_CLIENT = 0
    CERT_NONE = 0
    CERT_REQUIRED = 2

    class SSLContext:
        def __init__(self, protocol):
            self.verify_mode = MbedTLS.CERT_NONE
            self.trusted = []
            self.shown = None

        def load_verify_locations(self, cafile=None, cadata=None):
            if not cadata.startswith(b"0"):
                raise ValueError("invalid cert")
            self.trusted.append(cadata)

        def load_cert_chain(self, cert, key):
            if cert[1:] != key[1:]:
                raise ValueError("invalid key")
            self.shown = cert, key


class InnerTLS(MbedTLS):
    """The `tls` that it stands on takes no keyword."""

    class SSLContext(MbedTLS.SSLContext):
        def load_verify_locations(self, data):
            MbedTLS.SSLContext.load_verify_locations(self, None, data)


class HostTLS(MbedTLS):
    """CPython's: it takes files, and checks the name of the host, too."""

    class SSLContext(MbedTLS.SSLContext):
        check_hostname = True

        def __init__(self, protocol):
            MbedTLS.SSLContext.__init__(self, protocol)
            self.verify_mode = MbedTLS.CERT_REQUIRED

        def load_cert_chain(self, cert, key):
            self.shown = cert, key


def on_an_esp8266(*paths):
    return context_of(AxTLS, *paths)


def context_of(kind, *paths):
    """What tls_context makes with `kind` as the port's ssl."""
    import tls_context

    real = sys.modules.get("ssl")
    sys.modules["ssl"] = kind
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
        world = World({"wifi": {"lab": "12345678"}}, tls=True, tls_ca=path, reset_after_s=60)
        world.run(600000)
        words = "broker: config.json: tls_ca is %s, and there is no such file; trying again" % path
        equal([line for line in world.said if "tls_ca" in line], [words])
        equal([line for line in world.said if line.startswith(("program", "radio"))], [])
        assert world.node.taken == 120 and world.node.waiting() == 64, "as many as queue has"
        real = world.node.open

        def with_its_file():
            world.node.cfg["tls"] = False  # as if it were there: the network of these tests has no TLS
            real()

        world.node.open = with_its_file
        world.run(700000)
        assert [line for line in world.said if line.startswith("broker: well again after")], world.said
        equal(len(world.readings()), world.node.taken - world.node.dropped)


def pem(*blocks):
    """(label, DER) as one file."""
    lines = [
        "-----BEGIN %s-----\n%s-----END %s-----\n" % (block, str(b2a_base64(data), "utf-8"), block)
        for block, data in blocks
    ]
    return ("a comment\n" + "".join(lines)).encode()


ROOT_CA, BETWEEN, OWN, KEY = b"0 root", b"0 between", b"0 pair", b"1 pair"


def test_a_broker_is_checked_against_each_certificate_of_the_file_in_either_form():
    with Folder() as folder:
        write(folder + "/ca.der", ROOT_CA)
        write(folder + "/ca.pem", pem(("CERTIFICATE", ROOT_CA), ("CERTIFICATE", BETWEEN), ("PRIVATE KEY", KEY)))
        for kind in (MbedTLS, InnerTLS, HostTLS):
            for name, trusted in (("/ca.der", [ROOT_CA]), ("/ca.pem", [ROOT_CA, BETWEEN])):
                context = context_of(kind, folder + name)
                equal((context.trusted, context.verify_mode), (trusted, MbedTLS.CERT_REQUIRED))
                equal((context.shown, getattr(context, "check_hostname", True)), (None, True))


def test_without_a_ca_nobody_is_checked_on_a_computer_either():
    context = context_of(HostTLS, "")
    equal((context.verify_mode, context.check_hostname), (MbedTLS.CERT_NONE, False))


def test_a_board_shows_its_own_certificate_and_key_in_either_form():
    with Folder() as folder:
        cert, key = folder + "/cert", folder + "/key"
        ec_key = pem(("EC PARAMETERS", b"0 curve"), ("EC PRIVATE KEY", KEY))
        for cert_file, key_file in ((OWN, KEY), (pem(("CERTIFICATE", OWN), ("CERTIFICATE", BETWEEN)), ec_key)):
            write(cert, cert_file)
            write(key, key_file)
            equal(context_of(MbedTLS, "", cert, key).shown, (OWN, KEY))
            equal(context_of(HostTLS, "", cert, key).shown, (cert, key))


def test_files_that_are_of_no_use_are_refused_by_the_name_of_their_key():
    with Folder() as folder:
        good, bad, key = folder + "/good", folder + "/bad", folder + "/key"
        write(good, pem(("CERTIFICATE", OWN)))
        write(key, pem(("PRIVATE KEY", KEY)))
        for content, paths, words in (
            (b"no DER", (bad,), "tls_ca is %s, which holds no certificate" % bad),
            (pem(("CERTIFICATE", ROOT_CA)).split(b"-----END")[0], (bad,), "tls_ca is %s, whose PEM is damaged" % bad),
            (pem(("PRIVATE KEY", KEY)), (bad,), "tls_ca is %s, in which no CERTIFICATE is" % bad),
            (pem(("PRIVATE KEY", KEY)), ("", bad, key), "tls_cert is %s, in which no CERTIFICATE is" % bad),
            (pem(("CERTIFICATE", OWN)), ("", good, bad), "tls_key is %s, in which no PRIVATE KEY is" % bad),
            (pem(("ENCRYPTED PRIVATE KEY", KEY)), ("", good, bad), "tls_key is %s, which is encrypted" % bad),
            (pem(("PRIVATE KEY", b"1 other")), ("", good, bad), "tls_cert %s, tls_key %s do not go" % (good, bad)),
        ):
            write(bad, content)
            said = str(raises(ValueError, context_of, MbedTLS, *paths))
            assert said.startswith("config.json: ") and words in said, (said, words)
        assert "no such file" in str(raises(ValueError, context_of, MbedTLS, "", good, folder + "/none"))
