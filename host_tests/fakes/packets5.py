"""MQTT 5 packets for the fake peers, a codec of their own as `packets` is for 3.1.1: written from the standard, it
shares nothing with the library but the standard.

Properties are lists of (number, value), in the order of the packet. `decode` raises Malformed with the clause's words.
`encode` builds anything, wrong packets too.
"""

from fakes import packets
from fakes.packets import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    FLAGS,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
    Body,
    Malformed,
    Packet,
    body_of,
    frame,
    publish_flags,
    u16,
    utf8,
    varint,
)

AUTH = 15
NAMES = packets.NAMES[:15] + ["AUTH"]
WILL = 16  # no packet: the properties of a will

BYTE = "byte"
U16 = "u16"
U32 = "u32"
VARINT = "varint"
TEXT = "text"
BINARY = "binary"
PAIR = "pair"

_ACKS = (PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK)

# [2.2.2.2, table 2-4]: name, type, packets
PROPERTIES = {
    1: ("payload format indicator", BYTE, (PUBLISH, WILL)),
    2: ("message expiry interval", U32, (PUBLISH, WILL)),
    3: ("content type", TEXT, (PUBLISH, WILL)),
    8: ("response topic", TEXT, (PUBLISH, WILL)),
    9: ("correlation data", BINARY, (PUBLISH, WILL)),
    11: ("subscription identifier", VARINT, (PUBLISH, SUBSCRIBE)),
    17: ("session expiry interval", U32, (CONNECT, CONNACK, DISCONNECT)),
    18: ("assigned client identifier", TEXT, (CONNACK,)),
    19: ("server keep alive", U16, (CONNACK,)),
    21: ("authentication method", TEXT, (CONNECT, CONNACK, AUTH)),
    22: ("authentication data", BINARY, (CONNECT, CONNACK, AUTH)),
    23: ("request problem information", BYTE, (CONNECT,)),
    24: ("will delay interval", U32, (WILL,)),
    25: ("request response information", BYTE, (CONNECT,)),
    26: ("response information", TEXT, (CONNACK,)),
    28: ("server reference", TEXT, (CONNACK, DISCONNECT)),
    31: ("reason string", TEXT, (CONNACK, DISCONNECT, AUTH) + _ACKS),
    33: ("receive maximum", U16, (CONNECT, CONNACK)),
    34: ("topic alias maximum", U16, (CONNECT, CONNACK)),
    35: ("topic alias", U16, (PUBLISH,)),
    36: ("maximum QoS", BYTE, (CONNACK,)),
    37: ("retain available", BYTE, (CONNACK,)),
    38: ("user property", PAIR, (CONNECT, CONNACK, PUBLISH, WILL, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT, AUTH) + _ACKS),
    39: ("maximum packet size", U32, (CONNECT, CONNACK)),
    40: ("wildcard subscription available", BYTE, (CONNACK,)),
    41: ("subscription identifier available", BYTE, (CONNACK,)),
    42: ("shared subscription available", BYTE, (CONNACK,)),
}


def _property(number, value):
    kind = PROPERTIES[number][1]
    if kind == PAIR:
        body = utf8(value[0]) + utf8(value[1])
    elif kind in (TEXT, BINARY):
        body = utf8(value)
    elif kind == VARINT:
        body = varint(value)
    else:
        size = {BYTE: 1, U16: 2, U32: 4}[kind]
        body = bytes([value >> 8 * i & 255 for i in range(size - 1, -1, -1)])
    return bytes([number]) + body


def properties(rows):
    """The bytes of properties, with their length before them. Bytes stand for themselves."""
    body = rows if isinstance(rows, bytes) else b"".join([_property(number, value) for number, value in rows])
    return varint(len(body)) + body


def encode(kind, pid=None, **fields):
    """The bytes of a packet; fields as in `packets.encode`, and props, reason. An ack with reason 0 and no properties
    is short, as the standard allows; long=1: not so. CONNECT: will (topic, payload, retain, qos, props)."""
    get = fields.get
    props = properties(get("props", ()))
    reason = get("reason", 0)
    if kind == CONNACK:
        return frame(0x20, bytes([get("sp", 0), get("code", reason)]) + props)
    if kind == PUBLISH:
        qos = get("qos", 0)
        payload = get("payload", b"")
        payload = payload.encode() if isinstance(payload, str) else payload
        b0 = 0x30 | get("dup", 0) << 3 | qos << 1 | get("retain", 0)
        return frame(b0, utf8(get("topic", "t")) + (u16(pid) if qos else b"") + props + payload)
    if kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
        short = not reason and len(props) == 1 and not get("long")
        return frame(0x62 if kind == PUBREL else kind << 4, u16(pid) + (b"" if short else bytes([reason]) + props))
    if kind in (SUBACK, UNSUBACK):
        return frame(kind << 4, u16(pid) + props + bytes(get("codes", (0,))))
    if kind in (PINGREQ, PINGRESP):
        return frame(kind << 4, b"")
    if kind in (DISCONNECT, AUTH):
        short = not reason and len(props) == 1 and not get("long")
        return frame(kind << 4, b"" if short else bytes([reason]) + props)
    raise ValueError(kind)


class Reader(packets.Reader):
    """As `packets.Reader`, for clients of MQTT 5."""

    def decode(self, raw):
        return decode(raw)


def _varint(body):
    number = shift = 0
    while True:
        byte = body.take(1)[0]
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            if shift > 7 and not byte:
                raise Malformed("variable byte integer longer than needed [1.5.5-1]")
            return number
        if shift > 21:
            raise Malformed("variable byte integer over 4 bytes [1.5.5]")


def _properties(body, packet):
    rest = Body(body.take(_varint(body)), body.raw)
    found = []
    while rest.b:
        number = rest.take(1)[0]
        if number not in PROPERTIES or packet not in PROPERTIES[number][2]:
            raise Malformed("property %d in %s" % (number, NAMES[packet] if packet < WILL else "a will"))
        if number != 38 and number in [other for other, _ in found]:
            raise Malformed("property %d twice" % number)
        kind = PROPERTIES[number][1]
        if kind == PAIR:
            value = (rest.text(), rest.text())
        elif kind == TEXT:
            value = rest.text()
        elif kind == BINARY:
            value = rest.binary()
        elif kind == VARINT:
            value = _varint(rest)
        else:
            value = 0
            for byte in rest.take({BYTE: 1, U16: 2, U32: 4}[kind]):
                value = value << 8 | byte
        if kind == BYTE and value > 1 or number in (11, 33, 35, 39) and not value:
            raise Malformed("property %d: %r" % (number, value))
        found.append((number, value))
    return found


def decode(raw):
    """One whole packet of a client as a Packet. Raises Malformed."""
    kind = raw[0] >> 4
    flags = raw[0] & 15
    body = body_of(raw)
    fields = {}
    if kind == PUBLISH:
        fields = publish_flags(flags)
        fields["topic"] = body.text()
        if "+" in fields["topic"] or "#" in fields["topic"]:
            raise Malformed("topic %r [3.3.2-2]" % fields["topic"])
        fields["pid"] = body.pid() if fields["qos"] else 0
        fields["props"] = _properties(body, kind)
        if 11 in [number for number, _ in fields["props"]]:
            raise Malformed("subscription identifier from a client [3.3.4-6]")
        if not fields["topic"] and 35 not in [number for number, _ in fields["props"]]:
            raise Malformed("no topic and no alias [3.3.2.1]")
        fields["payload"] = body.take(len(body.b))
    elif flags != FLAGS.get(kind, 0):
        raise Malformed("flags %x of %s [2.1.3]" % (flags, NAMES[kind]))
    elif kind == CONNECT:
        _connect(body, fields)
    elif kind in (SUBSCRIBE, UNSUBSCRIBE):
        fields["pid"] = body.pid()
        fields["props"] = _properties(body, kind)
        filters = []
        while body.b:
            topic = body.text()
            if kind == SUBSCRIBE:
                options = body.take(1)[0]
                if options & 3 == 3 or options & 0x30 == 0x30 or options & 0xC0:
                    raise Malformed("options %02x [3.8.3-5]" % options)
                if options & 4 and topic.startswith("$share/"):
                    raise Malformed("no local of a shared subscription [3.8.3-4]")
                topic = topic, options
            filters.append(topic)
        if not filters:
            raise Malformed("no filter [3.8.3-2]")
        fields["filters"] = filters
    elif PUBACK <= kind <= PUBCOMP:
        fields["pid"] = body.pid()
        fields["reason"] = body.take(1)[0] if body.b else 0
        fields["props"] = _properties(body, kind) if body.b else []
    elif kind in (DISCONNECT, AUTH):
        fields["reason"] = body.take(1)[0] if body.b else 0
        fields["props"] = _properties(body, kind) if body.b else []
    elif kind != PINGREQ:
        raise Malformed("%s from a client" % NAMES[kind])
    if body.b:
        raise Malformed("%d bytes too many in %r" % (len(body.b), raw))
    return Packet(kind, raw, **fields)


def _connect(body, fields):
    name, fields["level"] = body.text(), body.take(1)[0]
    if (name, fields["level"]) != ("MQTT", 5):
        raise Malformed("protocol %r level %d" % (name, fields["level"]))
    flags = body.take(1)[0]
    if flags & 1 or not flags & 4 and flags & 0x38 or flags & 0x18 == 0x18:
        raise Malformed("connect flags %02x [3.1.2.3]" % flags)
    fields["clean"] = flags >> 1 & 1
    fields["keepalive"] = body.u16()
    fields["props"] = _properties(body, CONNECT)
    numbers = [number for number, _ in fields["props"]]
    if 22 in numbers and 21 not in numbers:
        raise Malformed("authentication data without a method [3.1.2.11.10]")
    fields["client_id"] = body.text()
    fields["will"] = None
    if flags & 4:
        own = _properties(body, WILL)
        fields["will"] = (body.text(), body.binary(), flags >> 5 & 1, flags >> 3 & 3, own)
    fields["user"] = body.text() if flags & 128 else None
    fields["password"] = body.binary() if flags & 64 else None
