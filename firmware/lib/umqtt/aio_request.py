"""Questions and their answers with MQTT 5 [5.0: 4.10], for a client of umqtt.aio_v5, which imports it when it asks for
the first time."""

from random import getrandbits
from time import ticks_diff, ticks_ms

from micropython import const

from umqtt import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_RESPONSE_INFORMATION = const(26)


class Answers:
    """Where a client expects answers, and the questions that wait for theirs."""

    def __init__(self) -> None:
        self.topics = {}  # of answers, as bytes: True
        self.waiting = {}  # correlation: the answer, None until it has come

    def takes(self, topic: bytes, received: "Any", payload: bytes) -> bool:
        """Whether a message that came is an answer; one that nobody waits for any more is dropped."""
        if topic not in self.topics:
            return False
        correlation = received and received.correlation
        if self.waiting.get(correlation, payload) is None:
            self.waiting[correlation] = payload
        return True

    async def ask(self, client: "Any", topic, msg, end, qos, response_topic) -> bytes:
        """Publish a question, and return its answer. Raises OSError, MQTTException, ValueError."""
        name = "response_topic"
        if not response_topic:
            information = client.connack.get(_RESPONSE_INFORMATION)
            name = "response information of the broker" if information else "client_id"
            client_id = wire.text(client.client_id, wire.ANY_TEXT)[2:]
            response_topic = (information or "answers/") + str(client_id, "utf-8")
        topic_filter = wire.text(response_topic, wire.TOPIC_NAME, name)
        self.topics[topic_filter[2:]] = True
        correlation = bytes((getrandbits(8), getrandbits(8), getrandbits(8), getrandbits(8)))
        self.waiting[correlation] = None
        try:
            if topic_filter not in client._granted_qos:
                await client.subscribe(response_topic, 1, True, ticks_diff(end, ticks_ms()))
            left_ms = ticks_diff(end, ticks_ms())
            await client.publish(topic, msg, False, qos, True, left_ms, None, response_topic, correlation)
            while self.waiting[correlation] is None:
                await client._turn(end)
            return self.waiting[correlation]
        finally:
            del self.waiting[correlation]
