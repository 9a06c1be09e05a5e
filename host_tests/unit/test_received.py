"""Messages of MQTT 5 with properties, in a buffer of any size: where the payload begins, what the properties are, and
which message is refused."""

import fakes.shim  # noqa: F401 - before the library
from fakes import packets5
from fakes.check import equal, raises
from fakes.packets import PUBLISH
from umqtt import received
from umqtt.errors import ProtocolError

SOURCE_FORM_ONLY = "shipped, what is beneath the client has other names"

TEXT = 3  # content type
BINARY = 9  # correlation data


class Client:
    """What `received.take` uses of one."""

    class Outgoing:
        aliases = None

    def __init__(self):
        self.received = received.Received()
        self._outgoing = None

    def with_aliases(self):
        self._outgoing = Client.Outgoing()
        self._outgoing.aliases = True  # none is asked for one here
        return self


def body_of(packet):
    """A packet without its header."""
    at = 1
    while packet[at] > 127:
        at += 1
    return packet[at + 1 :]


def took(client, body, start, rx_size):
    """Where the payload begins, and what the message has of TEXT and BINARY."""
    buf = bytearray(rx_size)
    size_b = min(len(body), rx_size)
    buf[:size_b] = body[:size_b]
    end = received.take(client, buf, start, len(body))
    buf[:] = b"?" * rx_size if len(body) > rx_size else buf  # the next part comes there
    return end, client.received.get(TEXT), client.received.get(BINARY)


def test_properties_that_have_room_are_received_and_others_cost_themselves_or_where_an_alias_may_be_the_message():
    for size_b in (0, 1, 100, 119, 120, 121, 200, 16_370, 16_380):
        props = [(TEXT, "text"), (BINARY, b"x" * size_b)]
        props_b = len(packets5.properties(props))
        length_b = props_b - (7 + 3 + size_b)  # of their length: one byte, two or three
        for qos in (0, 1):
            body = body_of(packets5.encode(PUBLISH, 7 if qos else None, qos=qos, topic="a/b", props=props, payload="p"))
            start = 5 + 2 * qos
            end = start + props_b
            for rx_size in sorted({16, start, start + 1, start + length_b, end - 1, end, end + 1, end + 9}):
                for client in (Client(), Client().with_aliases()):
                    note = (size_b, qos, rx_size, client._outgoing is not None)
                    client.received.topic = b"of the message before"
                    if rx_size >= end:
                        equal(took(client, body, start, rx_size), (end, "text", b"x" * size_b), note)
                        equal(client.received.topic, b"", note)
                    elif rx_size < start + length_b or client._outgoing:
                        fault = raises(ProtocolError, took, client, body, start, rx_size)
                        equal((fault.reason, "over rx_size" in str(fault)), (0x95, True), note)
                    else:
                        equal(took(client, body, start, rx_size), (end, None, None), note)


def test_a_message_without_properties_may_end_behind_their_length_and_no_sooner():
    body = b"\0\1t\0"
    equal(took(Client(), body, 3, 16), (4, None, None))
    for wrong, start in ((b"\0\1t", 3), (b"\0\5t\0", 7), (b"\0\1t\1", 3), (b"\0\1t\3\3\0", 3)):
        equal(raises(ProtocolError, took, Client(), wrong, start, 16).reason, 0x81, wrong)


def test_a_length_of_properties_has_four_bytes_at_most():
    for length, is_right in (
        (b"\x07", True),
        (b"\x87\0", True),
        (b"\x87\x80\0", True),
        (b"\x87\x80\x80\0", True),
        (b"\x87\x80\x80\x80\0", False),
        (b"\x87\x80\x80\x80", False),
        (b"\x87\x80", False),
    ):
        body = b"\0\1t" + length + b"\3\0\4text"
        for rx_size in (len(body), len(body) + 5):
            if is_right:
                equal(took(Client(), body + b"payload", 3, rx_size), (len(body), "text", None))
                equal(took(Client(), body, 3, rx_size), (len(body), "text", None))
            else:
                equal(raises(ProtocolError, took, Client(), body, 3, rx_size).reason, 0x81, length)


def test_what_has_no_room_is_not_taken_from_the_message_before():
    client = Client()
    equal(client.received.topic, b"")
    large = body_of(packets5.encode(PUBLISH, topic="t", props=[(TEXT, "text")], payload="x" * 50))
    without_room = body_of(packets5.encode(PUBLISH, topic="t", props=[(BINARY, b"x" * 50)], payload="x"))
    equal(took(client, large, 3, 20)[1], "text")
    equal(took(client, without_room, 3, 20)[1:], (None, None))
    equal(took(client, large, 3, 20)[1], "text")
    client.received.topic = b"of an alias"
    received.forget(client)
    equal((client.received.get(TEXT), client.received.topic), (None, b""))


def test_a_topic_of_hundreds_of_bytes_ends_where_it_says():
    for size_b in (1, 255, 256, 300, 513):
        body = body_of(packets5.encode(PUBLISH, topic="t" * size_b, props=[(TEXT, "text")], payload="x"))
        equal(took(Client(), body, 2 + size_b, 600), (2 + size_b + 8, "text", None))
    equal(raises(ProtocolError, took, Client(), body_of(packets5.encode(PUBLISH, topic="")), 2, 16).reason, 0x82)
