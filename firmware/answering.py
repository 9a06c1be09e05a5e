"""Where does a command want its answer? With MQTT 5 under its response topic, with its correlation data. Imported only
when `protocol` asks for it, in place of listening.Listener.

While a command waits, both stand behind its topic, as hexadecimal digits between U+0000, which no topic holds: so the
store keeps them, and an answer that is given after a power cut goes where it was asked for.
"""

from binascii import hexlify, unhexlify

from micropython import const

from flags import LATER
from listening import Listener

_MARK = b"\0"
_EXPIRY_S = const(3600)  # an answer that nobody has taken by then tells nobody anything


class AnsweringListener(Listener):
    """As Listener. An answer without a response topic goes where it went with MQTT 3.1.1; each expires."""

    asked = b""  # of the command that comes in: its response topic and correlation data, as they stand behind its topic
    name = place = correlation = None  # of the command that was carried out last, when it wants its answer elsewhere

    def note(self, buf, topic_end: int, start: int, end: int, flags: int):
        if not flags & LATER:
            self.asked = b""
            received = self.node.client.received
            if self.node.client.protocol > 4 and received.response_topic:
                digits = hexlify(received.response_topic.encode()), hexlify(received.correlation or b"")
                self.asked = _MARK + _MARK.join(digits)
        many = len(self.waiting)
        kept = super().note(buf, topic_end, start, end, flags)
        if len(self.waiting) == many or not self.asked or kept is None:
            return kept
        topic, payload, of_the_packet = self.waiting.pop()
        self.waiting.append((topic + self.asked, payload, of_the_packet))
        return self.kept()

    def obey(self, topic: bytes, payload, flags: int) -> None:
        topic, *asked = topic.split(_MARK)
        self.name = None
        if asked:
            self.name = str(topic[len(self.own) :], "utf-8")
            self.place, self.correlation = [unhexlify(digits) for digits in asked]
        super().obey(topic, payload, flags)

    def answer(self, name: str, ok: bool, words: str) -> None:
        super().answer(name, ok, words)
        said = self.answers.pop() + (None, _EXPIRY_S)
        if name == self.name:
            said = (self.place,) + said[1:] + (None, self.correlation or None)
        self.answers.append(said)
