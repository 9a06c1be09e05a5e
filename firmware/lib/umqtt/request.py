"""A question and its answer with MQTT 5 [5.0: 4.10]: the response topic, the correlation and the wait that everyone
writes.

    state = request(c, "lamp/get", b"")
"""

from random import getrandbits
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from umqtt import wire
from umqtt.errors import link_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from umqtt.hints import Payload
    from umqtt.v5 import MQTTClient

_RESPONSE_INFORMATION = const(26)
_LONG_MS = const(1000)


def request(
    client: "MQTTClient",
    topic: "str | bytes",
    msg: "Payload",
    timeout_ms: "int | None" = None,
    qos: int = 1,
    response_topic: str = "",
) -> bytes:
    """Publish `msg` under `topic`, and return the payload of the answer that carries its correlation. Other messages go
    to the client's callback meanwhile; a view would take the answer away.

    response_topic: where the answer is expected, else `answers/` and the client id, or what the broker gives out for it
    (`properties={25: 1}`); it is subscribed to once. Blocks. Raises OSError: the deadline has passed, the link is down;
    MQTTException: refused; ValueError: a view is set, not MQTT 5, no topic that answers can come to.
    """
    if client._view is not None or client.protocol != wire.LEVEL_5:
        raise ValueError("request: MQTT 5 and a callback needed, no view")
    if client._in_callback():
        raise link_error("ENOTCONN", "not inside a callback")
    end = ticks_add(ticks_ms(), client.timeout_ms if timeout_ms is None else timeout_ms)
    name = "response_topic"
    if not response_topic:
        information = client.connack.get(_RESPONSE_INFORMATION)
        name = "response information of the broker" if information else "client_id"
        client_id: "Any" = client.client_id
        if not isinstance(client_id, str):
            client_id = str(client_id, "utf-8")
        response_topic = (information or "answers/") + client_id
    if wire.text(response_topic, wire.TOPIC_NAME, name) not in client._granted_qos:
        client.subscribe(response_topic, 1, True, max(ticks_diff(end, ticks_ms()), 1))
    correlation = bytes((getrandbits(8), getrandbits(8), getrandbits(8), getrandbits(8)))
    others = client.cb
    answers = []

    def take(topic, payload, retained):
        if client.received.correlation == correlation:
            answers.append(payload)
        elif others:
            return others(topic, payload, retained)
        return None

    client.set_callback(take)
    try:
        left_ms = max(ticks_diff(end, ticks_ms()), 1)
        client.publish(topic, msg, False, qos, True, left_ms, None, response_topic, correlation)
        while not answers:
            left_ms = ticks_diff(end, ticks_ms())
            if left_ms <= 0:
                raise link_error("ETIMEDOUT", "no answer in time")
            client.poll(min(left_ms, _LONG_MS))
    finally:
        client.set_callback(others)
    return answers[0]
