"""Every byte of MQTT 3.1 and 3.1.1: arguments as bytes, packets to bytes, and which packets from a broker are legal.

Imports nothing of ours but the exceptions. Functions that are called once for each packet have one caller, and the
build puts them there (tools/ship).
"""

from micropython import const

from umqtt.errors import MQTTException, ProtocolError  # noqa: F401 - names of this module too

# Packet types [2.2.1].
CONNACK = const(2)
PUBLISH = const(3)
PUBACK = const(4)
PUBREC = const(5)
PUBREL = const(6)
PUBCOMP = const(7)
SUBACK = const(9)
UNSUBACK = const(11)
PINGRESP = const(13)

# A bit for each type with a remaining length of 2: a packet id, or the two bytes of a CONNACK.
_TWO_BYTES = const(1 << 2 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 11)

LEVEL_5 = const(5)  # the protocol level of MQTT 5 (umqtt.v5)

# First bytes of packets: the type, and the flags that [2.2.2] wants with it.
CONNECT_BYTE = const(0x10)
PUBLISH_BYTE = const(0x30)
PUBACK_BYTE = const(0x40)
PUBREC_BYTE = const(0x50)
PUBREL_BYTE = const(0x62)
PUBCOMP_BYTE = const(0x70)
SUBSCRIBE_BYTE = const(0x82)
SUBACK_BYTE = const(0x90)
UNSUBSCRIBE_BYTE = const(0xA2)
PINGREQ_BYTE = const(0xC0)
DISCONNECT_BYTE = const(0xE0)

# Flags in the first byte of a PUBLISH [3.3.1].
RETAIN = const(1)
QOS_2 = const(4)
QOS = const(6)
DUP = const(8)

REFUSED = const(0x80)  # a return code of a SUBACK [3.9.3]

# An outgoing packet is a list, [packet id, first byte, topic with its length before it, payload]:
PACKET_ID = const(0)  # 0: it has none
FIRST_BYTE = const(1)  # with SENT in it once it was sent
TOPIC = const(2)  # the bytes that stand before the packet id
PAYLOAD = const(3)  # the bytes behind it
IN_USE = const(4)  # of a client's draft alone, over 0: a call is in the middle of making or sending a packet
SENT = const(8)  # DUP in a PUBLISH; all other packets leave without it
PROPERTIES = const(-1)  # MQTT 5: those of a packet with an id, with their length; the last item. Without: behind TOPIC

WIPE = const(2)  # a client's clean_session: the connection ends the session that the broker has, and then itself

# Texts that `text` accepts.
TOPIC_NAME = const(0)
FILTER = const(1)
ANY_TEXT = const(2)  # an empty one, too: ids, names
ANY_BYTES = const(3)


_len = len  # MicroPython finds a builtin last, in a linear table


def data(value, name: str):
    """`value` as something to copy bytes from: str becomes UTF-8; bytes and bytearray stay; other buffers become bytes.
    name: the argument that it was, for the words of an error. Raises ValueError."""
    if isinstance(value, str):
        return value.encode()
    try:
        view = memoryview(value)
    except TypeError:
        raise ValueError("%s: str or bytes needed, not %s: str(x) or json.dumps(x)" % (name, type(value).__name__))
    return value if isinstance(value, (bytes, bytearray)) else bytes(view)


def text(value, kind: int = TOPIC_NAME, name: str = "topic") -> bytes:
    """`value` (as for `data`) with its 16-bit length before it [1.5.3].

    kind: TOPIC_NAME, without + and #; FILTER, which has them where they may stand [4.7.1]; ANY_TEXT; ANY_BYTES. But for
    ANY_BYTES it must be UTF-8 without U+0000. Raises ValueError.
    """
    value = bytes(data(value, name))
    length = len(value)
    wrong = "over 65535 B" if length > 65535 else ""
    if kind < ANY_BYTES:
        try:
            letters = str(value, "utf-8")
            # MicroPython accepts surrogates, and letters encoded in more bytes than they need.
            for letter in letters if len(letters) < length else "":
                if letter != chr(ord(letter)) or 0xD7FF < ord(letter) < 0xE000:
                    raise UnicodeError
            if "\0" in letters or not value and kind < ANY_TEXT:
                wrong = "empty, or U+0000 in it"
            last = ""
            for level in letters.split("/") if kind < ANY_TEXT else ():
                # Nothing may follow #, and a wildcard is a level of its own.
                if last == "#" or ("+" in level or "#" in level) and (kind == TOPIC_NAME or len(level) > 1):
                    wrong = "wrong wildcard"
                last = level
        except ValueError:  # UnicodeError, but without words
            wrong = "no UTF-8 text"
    if wrong:
        raise ValueError(name + ": " + wrong)
    return bytes((length >> 8, length & 255)) + value


def check_topic(topic: bytes) -> None:
    """Raise ProtocolError unless a broker may send `topic` [1.5.3-1, 1.5.3-2, 3.3.2-2]. b"": it is not known."""
    try:
        if topic:
            text(topic)
    except ValueError as wrong:
        raise ProtocolError(str(wrong))


def number(value, most: int, name: str) -> int:
    """`value` when it is an int or bool in 0..most; name: the argument that it was. Raises ValueError."""
    # a bool is no int on MicroPython, and a tuple of both would take heap
    if not (isinstance(value, int) or isinstance(value, bool)) or not 0 <= value <= most:
        raise ValueError("%s: 0 to %d needed" % (name, most))
    return value


def connect(client_id, user, password, keepalive_s, clean_session, protocol, will) -> bytes:
    """The variable header and payload of a CONNECT [3.1].

    user and password: str or bytes, None or empty for none. keepalive_s: 0..65535. protocol: 3 (MQTT 3.1) or 4 (3.1.1).
    will: None or (topic, payload, retain, qos). Raises ValueError for anything that this version of the protocol does
    not allow.
    """
    if protocol not in (3, 4):
        raise ValueError("protocol: 3, 4; 5 is umqtt.v5")
    payload = text(client_id, ANY_TEXT, "client_id")
    letters = len(str(payload[2:], "utf-8"))
    if protocol == 3 and not 0 < letters < 24 or not letters and not clean_session:
        raise ValueError("client id: empty needs clean_session, MQTT 3.1 takes 1 to 23 letters")
    if password and not user:
        raise ValueError("password without a user")
    flags = 2 if clean_session else 0
    if will:
        topic, message, retain, qos = will
        flags |= 4 | number(qos, 2, "qos") << 3 | (32 if retain else 0)
        payload += text(topic) + text(message, ANY_BYTES, "msg")
    if user:
        flags |= 128
        payload += text(user, ANY_TEXT, "user")
        if password is not None:
            flags |= 64
            payload += text(password, ANY_BYTES, "password")
    name = b"\0\4MQTT\4" if protocol == 4 else b"\0\6MQIsdp\3"
    return name + bytes((flags, number(keepalive_s, 65535, "keepalive") >> 8, keepalive_s & 255)) + payload


def refusal(code: int) -> MQTTException:
    """The exception for a CONNACK with return code `code` [3.2.2.3]."""
    reasons = (
        "protocol level refused",
        "client id refused",
        "broker unavailable",
        "bad user or password",
        "not authorised: check user and password",
    )
    return MQTTException(code, reasons[code - 1] if code < 6 else "unknown return code")


def encode_head(append, extend, packet, is_level_5) -> None:
    """Write a packet up to its payload: first byte, remaining length [2.2.3], topic, packet id, with level 5
    properties. append, extend: those of the bytearray to write to."""
    first_byte = packet[FIRST_BYTE]
    topic = packet[TOPIC]
    remaining_b = _len(topic) + _len(packet[PAYLOAD])
    properties = b""
    if packet[PACKET_ID]:
        packet[FIRST_BYTE] = first_byte | SENT
        remaining_b += 2
        if is_level_5 and first_byte >> 4 != PUBREL:  # an ack that is none of a slot has an empty last item
            properties = packet[PROPERTIES]
            remaining_b += _len(properties)
    append(first_byte if first_byte < PUBACK_BYTE else first_byte & ~SENT)
    while remaining_b > 127:
        append(remaining_b & 127 | 128)
        remaining_b >>= 7
    append(remaining_b)
    extend(topic)
    if packet[PACKET_ID]:
        append(packet[PACKET_ID] >> 8)
        append(packet[PACKET_ID] & 255)
        if properties:
            extend(properties)


def is_legal(packet_type, flags, remaining_b, connected, most_b):
    """Return whether a broker may send a packet that begins so [2.2.1, 2.2.2]. flags: the lower half of the first byte.
    connected: whether its CONNACK has come. most_b: the longest SUBACK that we can have asked for."""
    return (
        connected and flags & QOS != QOS and flags & (QOS | DUP) != DUP and remaining_b > 2
        if packet_type == PUBLISH
        else flags == (2 if packet_type == PUBREL else 0)
        and connected == (packet_type != CONNACK)
        and (
            remaining_b == 2
            if _TWO_BYTES >> packet_type & 1
            else not remaining_b
            if packet_type == PINGRESP
            else packet_type == SUBACK and 2 < remaining_b <= most_b
        )
    )
