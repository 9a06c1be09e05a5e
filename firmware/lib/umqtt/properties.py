"""The properties of MQTT 5: as bytes, as values, and which may stand in which packet [5.0: 2.2.2]."""

from micropython import const

from umqtt import wire
from umqtt.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from umqtt.hints import Properties

# Properties [5.0: 2.2.2.2].
EXPIRY = const(2)
CONTENT_TYPE = const(3)
RESPONSE_TOPIC = const(8)
CORRELATION = const(9)
IDENTIFIER = const(11)
SESSION_EXPIRY = const(17)
ASSIGNED_ID = const(18)
SERVER_KEEPALIVE = const(19)
METHOD = const(21)
AUTH_DATA = const(22)
WILL_DELAY = const(24)
SERVER_REFERENCE = const(28)
RECEIVE_MAXIMUM = const(33)
ALIAS_MAXIMUM = const(34)
ALIAS = const(35)
MAXIMUM_QOS = const(36)
RETAIN_AVAILABLE = const(37)
USER = const(38)
MAXIMUM_PACKET = const(39)
WILDCARDS = const(40)
IDENTIFIERS = const(41)
SHARED = const(42)
_LAST = const(42)

# What a property is.
KIND = const(7)  # a mask
_BYTE = const(1)  # 2: two bytes
FOUR_BYTES = const(3)
VARINT = const(4)
TEXT = const(5)
_BINARY = const(6)
_PAIR = const(7)

# In which packets of a broker it may stand: bits beside its kind.
IN_PUBLISH = const(8)
IN_CONNACK = const(16)
IN_ACK = const(32)
IN_DISCONNECT = const(64)
IN_AUTH = const(128)

# In which of ours: bits of the other table.
TO_PUBLISH = const(1)
TO_WILL = const(2)
TO_CONNECT = const(4)
TO_SUBSCRIBE = const(8)
TO_DISCONNECT = const(16)
TO_AUTH = const(32)

# by number, from 0
FROM_BROKER = (
    b"\0\x09\x0b\x0d\0\0\0\0\x0d\x0e\0\x0c\0\0\0\0\0\x13\x15\x12\0\x95\x96\1\3\1\x15\0\x55\0\0\xf5"
    b"\0\x12\x12\x0a\x11\x11\xff\x13\x11\x11\x11"
)
_TO_BROKER = b"\0\3\3\3\0\0\0\0\3\3\0\x08\0\0\0\0\0\x14\0\0\0\x24\x24\4\2\4\0\0\0\0\0\x30\0\4\4\0\0\0\x3f\4\0\0\0"
_NOT_ZERO = (IDENTIFIER, RECEIVE_MAXIMUM, ALIAS, MAXIMUM_PACKET)
_LIMITS = (0, 1, 65535, 0xFFFFFFFF, 0xFFFFFFF)  # by kind

NONE = b"\0"  # no properties: their length

MALFORMED = const(0x81)
BROKEN = const(0x82)

_len = len
_bytes = bytes


def broken(words: str, reason: int = MALFORMED) -> ProtocolError:
    """The exception for a packet that the broker may not send; its `reason` goes into the DISCONNECT."""
    fault = ProtocolError(words)
    fault.reason = reason  # pyright: ignore[reportAttributeAccessIssue]
    return fault


def varint(number):
    """[5.0: 1.5.5]"""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return out


def _put(out, number, value, packet):
    """Append property `number` to bytearray `out`, for one of ours."""
    name = "property %s" % number
    if not isinstance(number, int) or not 0 < number <= _LAST or not _TO_BROKER[number] & packet:
        raise ValueError("%s: not in this packet" % name)
    kind = FROM_BROKER[number] & KIND
    if kind == _PAIR:
        for row in value if isinstance(value, (list, tuple)) else (value,):
            if not isinstance(row, (list, tuple)) or _len(row) != 2:
                raise ValueError("%s: a list of (name, value) needed" % name)
            out.append(number)
            out.extend(wire.text(row[0], wire.ANY_TEXT, name) + wire.text(row[1], wire.ANY_TEXT, name))
        return
    out.append(number)
    if kind == TEXT:
        out.extend(wire.text(value, wire.TOPIC_NAME if number == RESPONSE_TOPIC else wire.ANY_TEXT, name))
    elif kind == _BINARY:
        out.extend(wire.text(value, wire.ANY_BYTES, name))
    else:
        wire.number(value, _LIMITS[kind], name)
        if not value and number in _NOT_ZERO:
            raise ValueError(name + ": 0")
        if kind == VARINT:
            out.extend(varint(value))
        else:
            out.extend(value.to_bytes(1 << kind - 1, "big"))


def encode(properties: "Properties | None", packet: int, expiry_s: "int | None" = None) -> bytes:
    """Return `properties` with their length before them, those of our packet of one kind; expiry_s comes first. Raises
    ValueError."""
    out = bytearray()
    if expiry_s is not None:
        _put(out, EXPIRY, expiry_s, packet)
    for number in properties or ():
        _put(out, number, properties[number], packet)  # pyright: ignore[reportOptionalSubscript]
    return _bytes(varint(_len(out)) + out)


def end_of(buf, at, kind):
    """Where the value that begins at buf[at] ends, should it be there."""
    if kind < VARINT:
        return at + (1 << kind - 1)
    if kind == VARINT:
        while buf[at] > 127:
            at += 1
        return at + 1
    end = at + 2 + (buf[at] << 8 | buf[at + 1])
    return end if kind != _PAIR else end + 2 + (buf[end] << 8 | buf[end + 1])


def value_of(buf, at, end, kind) -> "Any":
    """The value at buf[at:end]."""
    if kind < VARINT:
        return int.from_bytes(_bytes(buf[at:end]), "big")
    if kind == VARINT:
        number = 0
        while at < end:
            end -= 1
            number = number << 7 | buf[end] & 127
        return number
    if kind == _PAIR:
        middle = end_of(buf, at, TEXT)
        return value_of(buf, at, middle, TEXT), value_of(buf, middle, end, TEXT)
    value = _bytes(buf[at + 2 : end])
    return value if kind == _BINARY else str(value, "utf-8")


def walk(buf, at, length, packet, is_last=True, found=None) -> int:
    """Check the properties that begin with their length at buf[at], for this kind of packet; is_last: nothing may
    follow them. Puts their values into the dict `found`. Returns where they end. Raises ProtocolError."""
    seen = 0
    try:
        start = end_of(buf, at, VARINT)
        end = start + value_of(buf, at, start, VARINT)
        if start - at > 4 or end > length or is_last and end != length:
            raise IndexError
        at = start
        while at < end:
            number = buf[at]
            kind = FROM_BROKER[number] if number <= _LAST else 0
            if not kind & packet:
                raise broken("property %d does not belong here" % number)
            kind &= KIND
            start = at + 1
            at = end_of(buf, start, kind)
            if at > end or kind == VARINT and at - start > 4:
                raise IndexError
            if number != USER:
                if number != IDENTIFIER:
                    bit = 1 << number % 30  # no two of a packet share one
                    if seen & bit:
                        raise broken("property %d twice" % number, BROKEN)
                    seen |= bit
                if kind < TEXT:
                    value = value_of(buf, start, at, kind)
                    if kind == _BYTE and value > 1 or not value and number in _NOT_ZERO:
                        raise broken("property %d: %d" % (number, value), BROKEN)
            if kind == TEXT or kind == _PAIR:
                middle = end_of(buf, start, TEXT)
                wire.text(buf[start + 2 : middle], wire.ANY_TEXT)
                if kind == _PAIR:
                    wire.text(buf[middle + 2 : at], wire.ANY_TEXT)
            if number == RESPONSE_TOPIC:
                wire.text(buf[start + 2 : at])
            if found is not None and number != USER:
                found[number] = value_of(buf, start, at, kind)
            elif found is not None:
                found.setdefault(USER, []).append(value_of(buf, start, at, kind))
    except (IndexError, ValueError):
        raise broken("properties malformed")
    return end


def found_in(buf, at, length, packet) -> dict:
    """The properties of a packet whose last part they are; they may be missing. Raises ProtocolError."""
    found = {}
    if length > at:
        walk(buf, at, length, packet, True, found)
    return found
