"""MQTT 3.1 and 3.1.1 on the wire: strings, arguments and CONNECT as bytes; the exception classes.

Imports nothing of ours.
"""


class MQTTException(Exception):
    """The broker said no: args are (code, reason in words). CONNACK codes 1 to 5 [3.2.2.3], 0x80 from a SUBACK
    [3.9.3]."""


class ProtocolError(MQTTException):
    """The broker broke the protocol: args are (what it did,). The connection is closed, the session is sound."""


def data(x):
    """`x` as something to copy bytes from: str becomes UTF-8, bytes, bytearray and memoryview stay. Raises
    ValueError."""
    if isinstance(x, str):
        return x.encode()
    # a view of 16-bit items has fewer of them than bytes
    if not isinstance(x, (bytes, bytearray, memoryview)) or isinstance(x, memoryview) and len(bytes(x[:1])) > 1:
        raise ValueError("no bytes or str")
    return x


def text(x, n=0):
    """`x` (as for `data`) with its 16-bit length before it [1.5.3], as bytes.

    n says what it is: 0 a topic name, without + and #; 1 a filter, which has them where they may stand [4.7.1]; 2 any
    text, empty too (ids, names); 3 any bytes. But for 3 it must be UTF-8 without U+0000. Raises ValueError.
    """
    x = data(x)
    if len(x) > 65535:
        raise ValueError("over 65535 B")
    if n < 3:
        try:
            s = str(x, "utf-8")
        except UnicodeError:  # a ValueError, but without words
            raise ValueError("no UTF-8 text")
        if "\0" in s or not (s or n > 1):
            raise ValueError("empty or U+0000")
        last = ""
        for level in s.split("/"):
            # nothing may follow #, and a wildcard is a level of its own
            if n < 2 and (last == "#" or ("+" in level or "#" in level) and (not n or len(level) > 1)):
                raise ValueError("wrong wildcard")
            last = level
    n = len(x)
    return bytes((n >> 8, n & 255)) + x


def number(x, n):
    """`x` when it is an int or bool in 0..n. Raises ValueError."""
    if not isinstance(x, int) or not 0 <= x <= n:
        raise ValueError("0 to %d needed" % n)
    return x


def connect(client_id, user, password, keepalive, clean_session, protocol, will):
    """What follows the fixed header of a CONNECT [3.1], as bytes.

    user and password: str or bytes, None or empty for none. keepalive: seconds, 0..65535. protocol: 3 (MQTT 3.1) or 4
    (3.1.1). will: None or (topic, payload, retain, qos). Raises ValueError for what either version of the protocol
    does not allow.
    """
    if protocol not in (3, 4):
        raise ValueError("protocol: 3, 4")
    out = text(client_id, 2)
    n = len(str(out[2:], "utf-8"))
    if protocol < 4 and not 0 < n < 24 or not n and not clean_session:
        raise ValueError("client id: empty needs clean_session, MQTT 3.1 takes 1 to 23 letters")
    if password and not user:
        raise ValueError("password without a user")
    flags = 2 if clean_session else 0
    if will:
        flags |= 4 | number(will[3], 2) << 3 | (32 if will[2] else 0)
        out += text(will[0]) + text(will[1], 3)
    if user:
        flags |= 128
        out += text(user, 2)
        if password is not None:
            flags |= 64
            out += text(password, 3)
    n = bytes((flags, number(keepalive, 65535) >> 8, keepalive & 255))
    return (b"\0\4MQTT\4" if protocol > 3 else b"\0\6MQIsdp\3") + n + out
