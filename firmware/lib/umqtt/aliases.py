"""Topic aliases [5.0: 3.3.2.3.4], for a client of umqtt.v5 that wants them: numbers for topics, until the connection
ends."""

from micropython import const

from umqtt.properties import ALIAS, BROKEN, NONE, VARINT, broken, end_of, varint
from umqtt.wire import PROPERTIES, TOPIC

_INVALID = const(0x94)
_NO_TOPIC = b"\0\0"  # in a packet with an alias
_MOST = const(32)  # of ours: a program that makes its topics up would fill the heap with them, 120 B each
_WORTH_B = const(6)  # a shorter topic, its length included, is not longer than an alias


class Aliases:
    """Of `client`. sends: whether topics of ours have aliases. takes: how many the broker may make."""

    def __init__(self, client, sends, takes):
        self.client = client
        self.sends = sends
        self.takes = takes
        self.most = 0  # that the broker takes
        self.given = {}  # topic with its length before it: properties that are its alias alone; these behind no topic
        self.topics = {}  # alias of the broker: topic
        self._packet = [0, 0, b"", b"", 0, NONE]
        client._message = self.message

    def begin(self, most) -> None:
        """A connection is up, whose broker takes so many."""
        self.most = min(most, _MOST) if self.sends else 0
        self.given.clear()
        self.topics.clear()

    def shorten(self, packet) -> None:
        """Let an alias stand for the topic of a packet that is about to leave, or make one; without memory it goes as
        it is."""
        topic = packet[TOPIC]
        properties = packet[PROPERTIES]
        try:
            known = self.given.get(topic)
            if known:
                alone = known[0]
            else:
                number = len(self.given) + 1
                if number > self.most or len(topic) < _WORTH_B:
                    return
                alone = bytes((3, ALIAS, number >> 8, number & 255))
            if properties == NONE:
                properties = alone
            else:
                at = end_of(properties, 0, VARINT)
                properties = bytes(varint(len(properties) - at + 3)) + properties[at:] + alone[1:]
            if known:
                packet[TOPIC] = _NO_TOPIC
            else:
                self.given[topic] = alone, _NO_TOPIC + alone
            packet[PROPERTIES] = properties
        except MemoryError:
            pass

    def shortened(self, head, topic, properties) -> bytes:
        """The same for a message of QoS 0: returns what stands in place of `head`, its topic and properties."""
        known = self.given.get(topic)
        if known and properties == NONE:
            return known[1]
        packet = self._packet
        packet[TOPIC] = topic
        packet[PROPERTIES] = properties
        self.shorten(packet)
        return head if packet[PROPERTIES] is properties else packet[TOPIC] + packet[PROPERTIES]

    def message(self, topic, payload, retained):
        """In front of the callback: a message may have come with an alias alone."""
        client = self.client
        return client.cb(topic or client.received.topic, payload, retained) if client.cb is not None else None

    def resolve(self, alias, topic) -> bytes:
        """The topic of a message that came with `alias`; topic: its own, b"" for none. Raises ProtocolError."""
        if alias > self.takes:
            raise broken("topic alias %d, over the maximum" % alias, _INVALID)
        if topic:
            self.topics[alias] = topic
        elif alias not in self.topics:
            raise broken("topic alias %d, never given" % alias, BROKEN)
        return self.topics[alias]
