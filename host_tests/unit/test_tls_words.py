"""What TLS raises, in words, and its streams on sockets that are not ready."""

import fakes.shim  # noqa: F401
from fakes.check import equal, raises

SOURCE_FORM_ONLY = "shipped, these names are others"


def test_the_year_in_which_a_clock_counts_as_set_and_who_has_closed_are_told_rightly():
    import umqtt.tls

    keep = umqtt.tls.gmtime
    try:
        for year, is_set in ((2023, False), (2024, True)):
            umqtt.tls.gmtime = lambda: (year, 1, 1, 0, 0, 0, 0, 0)  # noqa: B023
            said = umqtt.tls.words(ValueError("The certificate validity starts in the future"))
            equal("clock is not set" in said, not is_set, year)
    finally:
        umqtt.tls.gmtime = keep
    for number, is_closed in (
        (-32, True),
        (32, True),
        (104, True),
        (-33, False),
        (31, False),
        (33, False),
        (103, False),
    ):
        equal("closed by the broker" in umqtt.tls.words(OSError(number)), is_closed, number)


def test_a_number_of_the_socket_that_mbedtls_handed_on_is_the_sockets_again():
    from errno import ECONNABORTED

    from umqtt.tls import in_words

    for number, got in ((-104, 104), (-199, 199), (-1, 1), (-200, -200), (-30336, -30336), (0, 0), (12, 12)):
        equal(in_words(OSError(number, "x")).args[0], got)
    equal(in_words(ValueError("no certificate")).args[0], ECONNABORTED)


def test_a_stream_that_raises_that_it_is_not_ready_has_nothing_yet_and_another_error_comes_out():
    from umqtt.tls import Handshaking

    class Stream:
        def readinto(self, *_):
            raise OSError(self.number, "x")

        write = readinto

    for number, is_early in (
        (11, True),
        (114, True),
        (115, True),
        (119, True),
        (12, False),
        (104, False),
        (120, False),
    ):
        stream = Stream()
        stream.number = number
        for call in (Handshaking(stream).readinto, Handshaking(stream).write):
            if is_early:
                equal(call(b"", 0, 0) if call.__name__ == "write" else call(b"", 0), None)
            else:
                equal(raises(OSError, call, *((b"", 0, 0) if call.__name__ == "write" else (b"", 0))).args[0], number)


def test_the_handshake_of_a_programs_own_object_blocks_and_the_stream_does_not():
    from umqtt.tls import wrap

    log = []

    class Own:
        def wrap_socket(self, sock, server_hostname=None):
            log.append(("wraps", server_hostname))
            return sock

    class Socket:
        def setblocking(self, flag):
            log.append(flag)

    sock = Socket()
    assert wrap(Own(), sock, "host") is sock
    equal(log, [True, ("wraps", "host"), False])


def test_a_tls_fault_without_a_number_or_words_is_an_oserror_all_the_same():
    from umqtt.tls import in_words

    equal(in_words(OSError()).args[0], 0)
    equal(in_words(OSError(5)).args[0], 5)


def test_an_old_ports_tls_takes_its_certificates_by_position_and_does_the_handshake_unless_told():
    import sys

    from umqtt.tls import OldStyle

    asked = []

    class Context:
        def __init__(self, protocol):
            pass

        def load_verify_locations(self, *certificates, **named):
            if named:
                raise TypeError("extra keyword arguments given")
            asked.append(certificates)

        def wrap_socket(self, sock, **named):
            asked.append((sock, named))

    ssl = type("ssl", (), {"SSLContext": Context, "PROTOCOL_TLS_CLIENT": 0, "CERT_NONE": 0})
    keep = sys.modules.get("ssl")
    sys.modules["ssl"] = ssl
    try:
        OldStyle({"cadata": b"CA"}).wrap_socket("sock")
    finally:
        sys.modules.pop("ssl")
        if keep:
            sys.modules["ssl"] = keep
    equal(asked, [(b"CA",), ("sock", {"do_handshake_on_connect": True})])
