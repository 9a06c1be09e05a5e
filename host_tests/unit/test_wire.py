"""wire: bytes of every packet against the fakes' own codec and against vectors of the standard; arguments refused
before a byte is written."""

import fakes.shim  # noqa: F401
from fakes import packets
from fakes.check import equal, raises
from umqtt import wire

SOURCE_FORM_ONLY = "shipped, what is called at one place stands there"


def packet(*args):
    """A whole CONNECT; `wire` leaves the fixed header to the engine."""
    body = wire.connect(*args)
    length = len(body)
    head = bytearray(b"\x10")
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    head.append(length)
    return bytes(head) + body


def test_connect_is_what_the_codec_says():
    for level in (3, 4):
        for clean in (0, 1):
            for will in (None, (b"w", b"gone", 1, 2), ("w/ü", "gone", 0, 1), ("w", b"", 0, 0)):
                for user, password in ((None, None), ("ann", None), ("ann", "pw"), ("ann", b"\0\xff"), ("ü", "")):
                    for keepalive in (0, 1, 65535):
                        tx = packet("id-ü", user, password, keepalive, clean, level, will)
                        equal(
                            bytes(tx),
                            packets.encode(
                                packets.CONNECT,
                                client_id="id-ü",
                                user=user,
                                password=password,
                                keepalive=keepalive,
                                clean=clean,
                                level=level,
                                will=will,
                            ),
                        )


def test_connect_longer_than_127_bytes():
    for length in (100, 113, 114, 115, 116, 117, 118, 300, 65535):
        cid = "c" * length
        equal(bytes(packet(cid, None, None, 60, 1, 4, None)), packets.encode(packets.CONNECT, client_id=cid))


def test_connect_refuses_what_the_versions_do_not_allow():
    ok = ["id", None, None, 60, 1, 4, None]
    wire.connect(*ok)
    for place, bad in (
        (0, ""),  # with a kept session: see below
        (0, "a\0b"),
        (0, "x" * 65536),
        (0, 5),
        (0, None),
        (1, "u\0"),
        (1, 7),
        (2, "pw"),  # a password without a user
        (3, -1),
        (3, 65536),
        (3, "60"),
        (5, 5),
        (5, 2),
        (6, ("", b"x", 0, 0)),
        (6, ("a/#", b"x", 0, 0)),
        (6, ("a/+", b"x", 0, 0)),
        (6, ("a", b"x", 0, 3)),
        (6, ("a", 1, 0, 0)),
        (6, ("a", bytes(65536), 0, 0)),
    ):
        args = list(ok)
        args[place] = bad
        if place == 0 and bad == "":
            args[4] = 0
        raises(ValueError, wire.connect, *args)


def test_an_empty_client_id_is_allowed_with_a_clean_session_in_311_only():
    wire.connect("", None, None, 60, 1, 4, None)
    raises(ValueError, wire.connect, "", None, None, 60, 0, 4, None)
    raises(ValueError, wire.connect, "", None, None, 60, 1, 3, None)


def test_protocol_31_ids_have_1_to_23_characters():
    wire.connect("x", None, None, 60, 1, 3, None)
    wire.connect("x" * 23, None, None, 60, 1, 3, None)
    wire.connect("ü" * 23, None, None, 60, 1, 3, None)
    raises(ValueError, wire.connect, "x" * 24, None, None, 60, 1, 3, None)
    wire.connect("x" * 24, None, None, 60, 1, 4, None)


def test_a_password_of_65536_bytes_is_refused():
    raises(ValueError, wire.connect, "id", "u", "x" * 65536, 60, 1, 4, None)
    raises(ValueError, wire.connect, "id", "u" * 65536, "x", 60, 1, 4, None)


def test_strings_begin_with_their_length_in_bytes():
    equal(wire.text("ü"), b"\0\2\xc3\xbc")
    equal(wire.text(bytearray(300), 3), b"\1\x2c" + bytes(300))
    equal(wire.text(b"a/#", 1), b"\0\3a/#")


def test_topics_that_are_allowed():
    for topic in ("a", "/", "//", "a b", "$SYS/x", "ü/室/😀", "x" * 65535, b"bytes", bytearray(b"ba")):
        wire.text(topic)


def test_topics_that_are_refused():
    for topic in (
        "",
        b"",
        "a/#",
        "+",
        "a/+/b",
        "#",
        "a#b",
        "a\0b",
        b"a\0",
        "x" * 65536,
        "ü" * 32768,
        b"\xff\xfe",
        b"\xc3",
        5,
        None,
        ["a"],
        1.5,
    ):
        raises(ValueError, wire.text, topic)


def test_surrogates_and_overlong_forms_are_refused():
    # MicroPython decodes them
    for topic in (b"\xed\xa0\x80", b"\xed\xbf\xbf", b"a\xed\xb0\x80b", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\xaf"):
        raises(ValueError, wire.text, topic)
    for topic in ("\ud7ff", "\ue000", "\x7f\x80", "\u07ff\u0800"):  # their neighbours
        wire.text(topic)


def test_filters_that_are_allowed():
    for filter in ("#", "+", "a/#", "+/+", "/+", "+/", "a/+/b/#", "/#", "$share/g/a", "a//b"):
        wire.text(filter, 1)


def test_filters_that_are_refused():
    for filter in ("", "a#", "a/#/b", "#/", "#/a", "a+", "+a", "a/+b", "a/b#", "##", "++", "a\0", "x" * 65536, 7, None):
        raises(ValueError, wire.text, filter, 1)


def test_ids_and_names_of_users_may_hold_what_a_topic_may_not():
    for topic in ("", "a+b", "#", "a/#/b", "+/+", "ü"):
        equal(wire.text(topic, wire.ANY_TEXT), bytes([0, len(topic.encode())]) + topic.encode())


def test_payloads_that_are_no_bytes_are_refused():
    for payload in (5, None, 1.5, ["a"], ("a",), {"a": 1}, object()):
        raises(ValueError, wire.data, payload, "msg")
    for payload in (b"a", "a", bytearray(b"a"), memoryview(b"a")):
        equal(bytes(wire.data(payload, "msg")), b"a")


def test_an_array_of_larger_items_is_the_bytes_of_its_memory():
    from array import array

    halves = array("H", [1, 2])
    equal(bytes(wire.data(halves, "msg")), bytes(halves))
    equal(len(wire.text(halves, wire.ANY_BYTES)), 6)


def test_numbers_out_of_range_are_refused():
    for right in (2, True, False):  # a bool is no int on MicroPython
        equal(wire.number(right, 2, "qos"), right)
    for wrong in (-1, 3, "1", None, 1.0, b"1"):
        raises(ValueError, wire.number, wrong, 2, "qos")


def test_a_pubrel_of_mqtt_5_leaves_without_the_properties_of_its_message():
    properties = b"\3\x26\0\0"
    for first_byte, want in ((wire.PUBREL_BYTE, b"\x62\2\1\5"), (0x34, b"\x34\7a\1\5" + properties)):
        tx = bytearray()
        topic = b"a" if first_byte == 0x34 else b""
        wire.encode_head(tx.append, tx.extend, [0x105, first_byte, topic, b"", 0, properties], True)
        equal(bytes(tx), want)
