"""Properties of MQTT 5: which may stand in which packet, and their values, as the table of the standard has them
[5.0: 2.2.2.2], in the words of the tests' own codec."""

import fakes.shim  # noqa: F401 - before the library
from fakes import packets5
from fakes.check import equal, raises
from fakes.packets import CONNACK, CONNECT, DISCONNECT, PUBACK, PUBLISH, SUBSCRIBE
from fakes.packets5 import AUTH, BINARY, BYTE, PAIR, PROPERTIES, TEXT, U16, U32, VARINT, WILL
from umqtt import properties
from umqtt.errors import ProtocolError

SOURCE_FORM_ONLY = "shipped, what is beneath the client has other names"

MOST = {BYTE: 1, U16: 65535, U32: 0xFFFFFFFF, VARINT: 0xFFFFFFF}
VALUES = {TEXT: "text", BINARY: b"\0\xff", PAIR: ("name", "value")}
NEVER_0 = (11, 33, 35, 39)
TO_BROKER = (
    (properties.TO_PUBLISH, PUBLISH),
    (properties.TO_WILL, WILL),
    (properties.TO_CONNECT, CONNECT),
    (properties.TO_SUBSCRIBE, SUBSCRIBE),
    (properties.TO_DISCONNECT, DISCONNECT),
    (properties.TO_AUTH, AUTH),
)
FROM_BROKER = (
    (properties.IN_PUBLISH, PUBLISH),
    (properties.IN_CONNACK, CONNACK),
    (properties.IN_ACK, PUBACK),
    (properties.IN_DISCONNECT, DISCONNECT),
    (properties.IN_AUTH, AUTH),
)
# A topic alias is the client's own affair, an identifier in a PUBLISH, and a server's name, the broker's alone.
NOT_OURS = ((35, PUBLISH), (11, PUBLISH), (28, DISCONNECT))
NOT_THE_BROKERS = ((17, DISCONNECT),)


def value_of(number):
    kind = PROPERTIES[number][1]
    return VALUES[kind] if kind in VALUES else MOST[kind]


def test_a_program_may_give_each_packet_the_properties_of_the_standard_and_no_others():
    for packet, kind in TO_BROKER:
        for number in range(256):
            note = (number, kind)
            if number in PROPERTIES and kind in PROPERTIES[number][2] and note not in NOT_OURS:
                value = value_of(number)
                expected = packets5.properties([(number, value)])
                given = [value] if number == 38 else value
                equal(properties.encode({number: given}, packet), expected, note)
            else:
                raises(ValueError, properties.encode, {number: 1}, packet)


def test_a_broker_may_give_each_packet_the_properties_of_the_standard_and_no_others():
    for packet, kind in FROM_BROKER:
        for number in range(256):
            note = (number, kind)
            if number in PROPERTIES and kind in PROPERTIES[number][2] and note not in NOT_THE_BROKERS:
                value = value_of(number)
                came = packets5.properties([(number, value)])
                equal(properties.found_in(came, 0, len(came), packet), {number: [value] if number == 38 else value})
            else:
                of = [n for n in PROPERTIES if n == number] or [1]
                came = bytearray(packets5.properties([(of[0], value_of(of[0]))]))
                came[1] = number
                fault = raises(ProtocolError, properties.found_in, came, 0, len(came), packet)
                equal(fault.reason, 0x81, note)


def test_a_number_has_its_limits_both_ways():
    for number in PROPERTIES:
        _, kind, where = PROPERTIES[number]
        if kind not in MOST:
            continue
        for packet, its in TO_BROKER:
            if its in where and (number, its) not in NOT_OURS:
                for wrong in (-1, MOST[kind] + 1) + ((0,) if number in NEVER_0 else ()):
                    raises(ValueError, properties.encode, {number: wrong}, packet)
                if number not in NEVER_0:
                    equal(properties.encode({number: 0}, packet), packets5.properties([(number, 0)]), number)
        for packet, its in FROM_BROKER:
            if its not in where or (number, its) in NOT_THE_BROKERS:
                continue
            zero = packets5.properties([(number, 0)])
            two = packets5.properties([(number, 2)])
            if number in NEVER_0:
                equal(raises(ProtocolError, properties.found_in, zero, 0, len(zero), packet).reason, 0x82, number)
            else:
                equal(properties.found_in(zero, 0, len(zero), packet), {number: 0})
            if kind == BYTE:
                equal(raises(ProtocolError, properties.found_in, two, 0, len(two), packet).reason, 0x82, number)
            else:
                equal(properties.found_in(two, 0, len(two), packet), {number: 2})


def test_a_property_stands_once_but_those_of_users_and_identifiers():
    for packet, kind in FROM_BROKER:
        numbers = [n for n in PROPERTIES if kind in PROPERTIES[n][2] and (n, kind) not in NOT_THE_BROKERS]
        once = packets5.properties([(number, value_of(number)) for number in numbers])
        equal(sorted(properties.found_in(once, 0, len(once), packet)), sorted(numbers))
        for number in numbers:
            twice = packets5.properties([(number, value_of(number))] * 2)
            if number in (11, 38):
                properties.found_in(twice, 0, len(twice), packet)
            else:
                equal(raises(ProtocolError, properties.found_in, twice, 0, len(twice), packet).reason, 0x82, number)


def test_properties_of_whatever_length_end_where_they_say():
    for size_b in (0, 1, 120, 121, 122, 123, 200, 16_380, 16_381, 16_382, 30_000):
        came = packets5.properties([(9, b"x" * size_b)])
        behind = came + b"payload"
        equal(properties.walk(behind, 0, len(behind), properties.IN_PUBLISH, False), len(came))
        raises(ProtocolError, properties.found_in, behind, 0, len(behind), properties.IN_PUBLISH)
        for missing_b in (1, 2):
            short = came[: len(came) - missing_b]
            raises(ProtocolError, properties.walk, short, 0, len(short), properties.IN_PUBLISH, False)
        equal(properties.encode({9: b"x" * size_b}, properties.TO_PUBLISH), came)
    for short in (
        b"",
        b"\x80",
        b"\x03\x09\0",
        b"\x02\x23\0",
        b"\x04\x26\0\1a",
        b"\x05\x26\0\1a\0",
        b"\x80\x80\x80\x80\0",
    ):
        raises(ProtocolError, properties.walk, short, 0, len(short), properties.IN_PUBLISH, False)
    five = packets5.properties(b"\x0b\x81\x80\x80\x80\0")  # [5.0: 1.5.5] four bytes at most
    raises(ProtocolError, properties.found_in, five, 0, len(five), properties.IN_PUBLISH)


def test_texts_are_text():
    for number in (3, 8, 26, 28, 31):
        packet, kind = (properties.IN_PUBLISH, PUBLISH) if number < 9 else (properties.IN_CONNACK, CONNACK)
        for wrong in (b"\xff", b"a\0"):
            came = packets5.properties(bytes((number, 0, len(wrong))) + wrong)
            raises(ProtocolError, properties.found_in, came, 0, len(came), packet)
        came = packets5.properties(bytes((number, 0, 2)) + "ü".encode())
        equal(properties.found_in(came, 0, len(came), packet), {number: "ü"})
    for wrong in ("+/a", "a/#", ""):
        came = packets5.properties([(8, wrong)])
        raises(ProtocolError, properties.found_in, came, 0, len(came), properties.IN_PUBLISH)
    for wrong in (b"\0\1\xff\0\1a", b"\0\1a\0\1\0"):
        came = packets5.properties(b"\x26" + wrong)
        raises(ProtocolError, properties.found_in, came, 0, len(came), properties.IN_ACK)
