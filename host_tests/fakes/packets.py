"""MQTT 3.1 and 3.1.1 packets for the fake peers: a codec of their own, so that a mistake of the library cannot
cancel itself out.

Strict where the standard is: `decode` raises Malformed with the clause's words. `encode` builds anything, wrong
packets too.
"""

CONNECT = 1
CONNACK = 2
PUBLISH = 3
PUBACK = 4
PUBREC = 5
PUBREL = 6
PUBCOMP = 7
SUBSCRIBE = 8
SUBACK = 9
UNSUBSCRIBE = 10
UNSUBACK = 11
PINGREQ = 12
PINGRESP = 13
DISCONNECT = 14

NAMES = [
    "0",
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "15",
]


class Malformed(AssertionError):
    """What came is no MQTT."""


class Packet:
    """A decoded packet: `kind` and the fields that it has, as attributes. `raw` is the bytes."""

    def __init__(self, kind, raw, **fields):
        self.kind = kind
        self.raw = raw
        self.fields = fields

    def __getattr__(self, name):
        fields = self.fields
        if name in fields:
            return fields[name]
        raise AttributeError(name)

    def __repr__(self):
        return describe(self.kind, self.fields)


def describe(kind, fields):
    """One line: PUBLISH(dup=0, payload=b'x', ...)."""
    return "%s(%s)" % (NAMES[kind], ", ".join("%s=%r" % (name, fields[name]) for name in sorted(fields)))


def varint(number):
    """A remaining length [2.2.3], of as many bytes as it takes (five for a wrong one)."""
    out = bytearray()
    while True:
        number, low = number >> 7, number & 127
        out.append(low | (128 if number else 0))
        if not number:
            return bytes(out)


def u16(number):
    return bytes([number >> 8 & 255, number & 255])


def utf8(text):
    text = text.encode() if isinstance(text, str) else text
    return u16(len(text)) + text


def frame(b0, body):
    return bytes([b0]) + varint(len(body)) + body


def encode(kind, pid=None, **fields):
    """The bytes of a packet. CONNACK: sp, code. PUBLISH: topic, payload, qos, dup, retain, pid. SUBACK: codes. Acks:
    pid.

    CONNECT: client_id, keepalive, clean, level, user, password, will (topic, payload, retain, qos).
    SUBSCRIBE: filters ((filter, qos), ...); UNSUBSCRIBE: filters (filter, ...).
    """
    get = fields.get
    if kind == CONNACK:
        return frame(0x20, bytes([get("sp", 0), get("code", 0)]))
    if kind == PUBLISH:
        qos = get("qos", 0)
        b0 = 0x30 | get("dup", 0) << 3 | qos << 1 | get("retain", 0)
        payload = get("payload", b"")
        payload = payload.encode() if isinstance(payload, str) else payload
        return frame(b0, utf8(get("topic", "t")) + (u16(pid) if qos else b"") + payload)
    if kind in (PUBACK, PUBREC, PUBCOMP, UNSUBACK):
        return frame(kind << 4, u16(pid))
    if kind == PUBREL:
        return frame(0x62, u16(pid))
    if kind == SUBACK:
        return frame(0x90, u16(pid) + bytes(get("codes", (0,))))
    if kind in (PINGREQ, PINGRESP, DISCONNECT):
        return frame(kind << 4, b"")
    if kind == SUBSCRIBE:
        return frame(0x82, u16(pid) + b"".join(utf8(topic) + bytes([most]) for topic, most in fields["filters"]))
    if kind == UNSUBSCRIBE:
        return frame(0xA2, u16(pid) + b"".join(utf8(topic) for topic in fields["filters"]))
    if kind == CONNECT:
        level = get("level", 4)
        will = get("will")
        user = get("user")
        password = get("password")
        flags = (2 if get("clean", 1) else 0) | (128 if user is not None else 0) | (64 if password is not None else 0)
        body = utf8(get("client_id", ""))
        if will:
            flags |= 4 | will[3] << 3 | (32 if will[2] else 0)
            body += utf8(will[0]) + utf8(will[1])
        for text in (user, password):
            if text is not None:
                body += utf8(text)
        name = utf8("MQIsdp" if level == 3 else "MQTT")
        return frame(0x10, name + bytes([level, flags]) + u16(get("keepalive", 60)) + body)
    raise ValueError(kind)


class Reader:
    """Cuts a byte stream into packets: feed(data) returns the packets that are complete by now; `rest` is what is
    left."""

    def __init__(self):
        self.rest = b""

    def decode(self, raw):
        return decode(raw)

    def feed(self, data):
        rest = self.rest + bytes(data)
        out = []
        while True:
            end = _frame_end(rest)
            if not end:
                break
            out.append(self.decode(rest[:end]))
            rest = rest[end:]
        self.rest = rest
        return out


def _frame_end(data):
    """Where the first packet of b ends, 0 when it is not complete."""
    length_b = 0
    for i in range(1, 5):
        if len(data) <= i:
            return 0
        length_b |= (data[i] & 127) << 7 * (i - 1)
        if data[i] < 128:
            if i > 1 and not data[i]:
                raise Malformed("remaining length longer than needed: %r" % data[:6])
            end = i + 1 + length_b
            return end if len(data) >= end else 0
    raise Malformed("remaining length over 4 bytes: %r" % data[:6])


class Body:
    """What of a packet is not read yet, `b`; `raw`, the whole, for the words on a fault."""

    def __init__(self, data, raw):
        self.b = data
        self.raw = raw

    def take(self, size_b):
        if len(self.b) < size_b:
            raise Malformed("%d bytes missing in %r" % (size_b - len(self.b), self.raw))
        got, self.b = self.b[:size_b], self.b[size_b:]
        return got

    def u16(self):
        pair = self.take(2)
        return pair[0] << 8 | pair[1]

    def binary(self):
        return self.take(self.u16())

    def text(self):
        text = str(self.binary(), "utf-8")
        if "\0" in text:
            raise Malformed("U+0000 in %r" % text)
        return text

    def pid(self):
        number = self.u16()
        if not number:
            raise Malformed("packet id 0 in %r [2.3.1]" % self.raw)
        return number


FLAGS = {PUBREL: 2, SUBSCRIBE: 2, UNSUBSCRIBE: 2}  # of the other packets 0 [2.2.2]


def body_of(raw):
    """What stands behind the remaining length of a whole packet."""
    at = 1
    while raw[at] & 128:
        at += 1
    return Body(raw[at + 1 :], raw)


def publish_flags(flags):
    """The fields in the first byte of a PUBLISH. Raises Malformed."""
    fields = {"retain": flags & 1, "qos": flags >> 1 & 3, "dup": flags >> 3}
    if fields["qos"] == 3 or not fields["qos"] and fields["dup"]:
        raise Malformed("PUBLISH flags %x [3.3.1]" % flags)
    return fields


def decode(raw):
    """One whole packet as a Packet. Raises Malformed."""
    kind = raw[0] >> 4
    flags = raw[0] & 15
    body = body_of(raw)
    fields = {}
    if kind == PUBLISH:
        fields = publish_flags(flags)
        fields["topic"] = body.text()
        if not fields["topic"] or "+" in fields["topic"] or "#" in fields["topic"]:
            raise Malformed("topic %r [3.3.2.1]" % fields["topic"])
        fields["pid"] = body.pid() if fields["qos"] else 0
        fields["payload"] = body.take(len(body.b))
    elif flags != FLAGS.get(kind, 0):
        raise Malformed("flags %x of %s [2.2.2]" % (flags, NAMES[kind]))
    elif kind == CONNECT:
        _connect(body, fields)
    elif kind == CONNACK:
        fields["sp"], fields["code"] = body.take(2)
    elif kind in (SUBSCRIBE, UNSUBSCRIBE):
        fields["pid"] = body.pid()
        filters = []
        while body.b:
            topic = body.text()
            filters.append((topic, body.take(1)[0]) if kind == SUBSCRIBE else topic)
        if not filters:
            raise Malformed("no filter [3.8.3]")
        fields["filters"] = filters
    elif kind == SUBACK:
        fields["pid"] = body.pid()
        fields["codes"] = tuple(body.take(len(body.b)))
    elif PUBACK <= kind <= UNSUBACK:
        fields["pid"] = body.pid()
    elif not PINGREQ <= kind <= DISCONNECT:
        raise Malformed("packet type %d" % kind)
    if body.b:
        raise Malformed("%d bytes too many in %r" % (len(body.b), raw))
    return Packet(kind, raw, **fields)


def _connect(body, fields):
    name, fields["level"] = body.text(), body.take(1)[0]
    if (name, fields["level"]) not in (("MQTT", 4), ("MQIsdp", 3)):
        raise Malformed("protocol %r level %d" % (name, fields["level"]))
    flags = body.take(1)[0]
    if flags & 1 or flags & 64 and not flags & 128 or not flags & 4 and flags & 0x38:
        raise Malformed("connect flags %02x [3.1.2.3]" % flags)
    fields["clean"] = flags >> 1 & 1
    fields["keepalive"] = body.u16()
    fields["client_id"] = body.text()
    fields["will"] = None
    if flags & 4:
        fields["will"] = (body.text(), body.binary(), flags >> 5 & 1, flags >> 3 & 3)
    fields["user"] = body.text() if flags & 128 else None
    fields["password"] = body.binary() if flags & 64 else None
