"""MQTT 3.1 and 3.1.1 packets to and from bytes, in the caller's buffer; argument checks; the exception classes.

Imports nothing of ours. The functions append to `tx`, a bytearray whose spare capacity is kept from packet to packet,
so that appending allocates nothing (`bytearray.extend` copies any buffer into room that is already there).
"""

_len = len  # a builtin is found last in a linear table; a module global costs a third of it


class MQTTException(Exception):
    """The broker said no: args are (code, reason in words). CONNACK codes 1 to 5 [3.2.2.3], 0x80 from a SUBACK
    [3.9.3]."""


class ProtocolError(MQTTException):
    """The broker broke the protocol: args are (what it did,). The connection is closed, the session is sound."""


def refused(code):
    """The MQTTException for CONNACK return code `code` (1..255), with its reason and what to check [3.2.2.3]."""
    words = (
        "protocol level refused|client id refused|broker unavailable|bad user or password|"
        "not authorised: check user and password"
    )
    return MQTTException(code, words.split("|")[code - 1] if code < 6 else "unknown return code")


def data(x):
    """`x` as something to copy bytes from: str becomes UTF-8, bytes, bytearray and memoryview stay. Raises
    ValueError."""
    if isinstance(x, str):
        return x.encode()
    # a view of 16-bit items has fewer of them than bytes
    if not isinstance(x, (bytes, bytearray, memoryview)) or isinstance(x, memoryview) and _len(bytes(x[:1])) > 1:
        raise ValueError("bytes or str needed")
    return x


def text(x, wild=0):
    """`x` (str or bytes) as the bytes of an MQTT string of 1 to 65535 bytes, well-formed and without U+0000 [1.5.3].

    wild 0 refuses + and # (topic name), 1 lets them stand where a filter may have them [4.7.1], 2 anywhere, and an
    empty text too (ids, names). Raises ValueError. Allocates when `x` is a str.
    """
    x = data(x)
    try:
        s = str(x, "utf-8")
    except UnicodeError:  # a ValueError, but without words
        raise ValueError("not UTF-8")
    if "\0" in s or _len(x) > 65535 or not (s or wild == 2):
        raise ValueError("empty, too long or U+0000")
    if wild == 0 and ("+" in s or "#" in s):
        raise ValueError("wildcard in a topic")
    if wild == 1:
        n = 0
        for level in s.split("/"):
            if n or ("+" in level or "#" in level) and _len(level) > 1:
                raise ValueError("misplaced wildcard")
            n = level == "#"  # nothing may follow it
    return x


def number(x, most):
    """`x` when it is an int or bool in 0..most. Raises ValueError."""
    if not isinstance(x, int) or not 0 <= x <= most:
        raise ValueError("0 to %d needed" % most)
    return x


def head(tx, b0, n, first):
    """Append a fixed header [2.2] for n remaining bytes and the 16-bit number `first` that every packet with a body
    begins with."""
    tx.append(b0)
    while n > 127:
        tx.append(n & 127 | 128)
        n >>= 7
    tx.append(n)
    tx.append(first >> 8)
    tx.append(first & 255)


def string(tx, x):
    """Append `x` with its 16-bit length [1.5.3]; ValueError when it is over 65535 bytes."""
    n = _len(x)
    if n > 65535:
        raise ValueError("over 65535 bytes")
    tx.append(n >> 8)
    tx.append(n & 255)
    tx.extend(x)


def publish(tx, n, b0, topic, pid):
    """Append a PUBLISH [3.3] but for its n bytes of payload; b0 is 0x30 | dup << 3 | qos << 1 | retain, pid 0 for QoS
    0."""
    head(tx, b0, _len(topic) + n + (4 if pid else 2), _len(topic))
    tx.extend(topic)
    if pid:
        tx.append(pid >> 8)
        tx.append(pid & 255)


def connect(client_id, user, password, keepalive, clean, level, will):
    """A CONNECT [3.1] as a bytearray.

    user and password: str or bytes, None or empty for none. keepalive: seconds, 0..65535. level: 3 (MQTT 3.1) or 4
    (3.1.1). will: None or (topic, payload, retain, qos). Raises ValueError for what either version of the protocol
    does not allow.
    """
    cid = text(client_id, 2)
    if level not in (3, 4):
        raise ValueError("protocol 3 or 4 needed")
    if level == 3 and not 1 <= _len(str(cid, "utf-8")) <= 23 or not cid and not clean:
        raise ValueError("client id: 1 to 23 characters in MQTT 3.1; empty only in 3.1.1 with a clean session")
    body = bytearray(b"\0\6MQIsdp\3" if level == 3 else b"\0\4MQTT\4")
    if password and not user:
        raise ValueError("password without a user")
    flags = 2 if clean else 0
    if will:
        flags |= 4 | number(will[3], 2) << 3 | (32 if will[2] else 0)
    if user:
        flags |= 128 if password is None else 192
    number(keepalive, 65535)
    body.append(flags)
    body.append(keepalive >> 8)
    body.append(keepalive & 255)
    string(body, cid)
    if will:
        string(body, text(will[0]))
        string(body, data(will[1]))
    if user:
        string(body, text(user, 2))
        if password is not None:
            string(body, data(password))
    tx = bytearray()
    head(tx, 0x10, _len(body), body[1])  # the protocol name's length
    tx.extend(body[2:])
    return tx


def subscribe(tx, pid, filters, qos):
    """Append a SUBSCRIBE [3.8] of `filters` (bytes each) with `qos` (a byte for each), an UNSUBSCRIBE [3.10] when qos
    is None."""
    n = 2
    for f in filters:
        n += _len(f) + (2 if qos is None else 3)
    head(tx, 0xA2 if qos is None else 0x82, n, pid)
    n = 0
    for f in filters:
        string(tx, f)
        if qos is not None:
            tx.append(qos[n])
            n += 1
