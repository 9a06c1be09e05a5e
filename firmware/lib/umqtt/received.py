"""Messages of MQTT 5 that come with properties. `umqtt.v5` imports it with the first one, or when a program asks for
`received`."""

from micropython import const

from umqtt.properties import (
    ALIAS,
    BROKEN,
    CONTENT_TYPE,
    CORRELATION,
    EXPIRY,
    FROM_BROKER,
    IDENTIFIER,
    IN_PUBLISH,
    KIND,
    RESPONSE_TOPIC,
    USER,
    VARINT,
    broken,
    end_of,
    value_of,
    walk,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_INVALID = const(0x94)
_TOO_LARGE = const(0x95)

_len = len


class Received:
    """The properties of the message that the callback has, valid while it runs. A client has one of them.

    Attribute topic: b"", or that of a message that came with an alias alone, whose topic no view can see in its buffer.
    """

    topic: bytes

    def __init__(self, buf: bytes = b"") -> None:
        self.topic = b""
        self._buf = buf
        self._start = 0
        self._end = _len(buf)

    def get(self, number: int) -> "Any":
        """Return property `number`, None when the message has none: an int, str or bytes; for 38, user properties, a
        list of (name, value), for 11 a list of subscription identifiers. Allocates what it returns."""
        found = []
        buf = self._buf
        at = self._start
        while at < self._end:
            kind = FROM_BROKER[buf[at]] & KIND
            end = end_of(buf, at + 1, kind)
            if buf[at] == number:
                value = value_of(buf, at + 1, end, kind)
                if number != USER and number != IDENTIFIER:
                    return value
                found.append(value)
            at = end
        return found or None

    @property
    def expiry_s(self) -> "int | None":
        """Seconds for which the message is still of use, as the broker counted them."""
        return self.get(EXPIRY)

    @property
    def response_topic(self) -> "str | None":
        """Where an answer is expected."""
        return self.get(RESPONSE_TOPIC)

    @property
    def correlation(self) -> "bytes | None":
        """The bytes that the answer must carry."""
        return self.get(CORRELATION)

    @property
    def content_type(self) -> "str | None":
        """What the payload is."""
        return self.get(CONTENT_TYPE)


def forget(client) -> None:
    """A connection is up: its first message has none, if it comes without properties."""
    client.received.topic = b""
    client.received._end = 0


def take(client, buf, start, length) -> int:
    """Look at the properties of a PUBLISH of length bytes, which begin at buf[start]; as many of it are there as buf
    has room for. They become those of `client.received`. Returns where the payload begins. Raises ProtocolError."""
    received = client.received
    aliases = client._outgoing and client._outgoing.aliases
    received._end = 0
    received.topic = b""
    need_b = min(length, _len(buf))
    topic_end = (buf[0] << 8 | buf[1]) + 2
    after = start + 1
    while after - start < 4 and after <= need_b and buf[after - 1] > 127:
        after += 1
    end = after
    if after <= need_b:
        end += value_of(buf, start, after, VARINT)
    if end > length or after > length or after <= need_b and buf[after - 1] > 127:
        raise broken("properties malformed")
    if end > need_b:
        # Without an id or an alias nothing is lost with them: such a message is too large as it is.
        if after > need_b or aliases:
            raise broken("topic and properties over rx_size", _TOO_LARGE)
        return end
    walk(buf, start, end, IN_PUBLISH)
    received._buf = buf
    received._start = after
    received._end = end
    if length > _len(buf):  # the later parts of the payload come where they are
        received._buf = buf[after:end]
        received._start = 0
        received._end = end - after
    alias = received.get(ALIAS)
    if alias is not None:
        if not aliases:
            raise broken("topic alias %d, over the maximum" % alias, _INVALID)
        topic = aliases.resolve(alias, bytes(buf[2:topic_end]))
        if topic_end == 2:
            received.topic = topic
    elif topic_end == 2:
        raise broken("PUBLISH: no topic", BROKEN)
    return end
