"""Where a broker does not do what MQTT 3.1.1 says, check by check: the clause, and what the client does about it.

`make interop` holds this list against what happens: a failed check that is not here is a failure of the run, and one
that is here and passes is told.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import List, Optional


@dataclass(frozen=True)
class Deviation:
    """brokers: a pattern of their names. always: False where it depends on chance whether the check sees it."""

    brokers: str
    checks: str
    broker_does: str
    client_does: str
    always: bool = True


CLOSED = "tells `closed by the broker`; MQTT 3.1.1, its default, is let in"
NEVER_ACKED = ("after 6 `timeout_ms` tells `no ack for packet N, though the link is up`, connects again and repeats it;"
               " `umqtt.takeback` gives it up")  # fmt: skip
AS_SENT = "takes it as it comes: the callback is not told the QoS"

DEVIATIONS: List[Deviation] = [
    # RabbitMQ
    Deviation(
        "rabbitmq-*",
        "qos2 row_out",
        "has no QoS 2: it answers a PUBLISH of QoS 2 with PUBACK [MQTT-4.3.3-2] and hands it out in QoS 1",
        "takes that as the end, for the broker has the message, and publishes in QoS 1 from then on",
    ),
    Deviation(
        "rabbitmq-*",
        "resume_out",
        "has no QoS 2: a message that was under way when a link was cut comes twice",
        "repeats it, as QoS 1 wants: a program that minds looks at its own numbers",
        always=False,
    ),
    Deviation(
        "rabbitmq-*",
        "row_in",
        "grants QoS 1 where 2 was asked for [allowed by 3.9.3]",
        "returns the granted QoS from `subscribe`; a message may come twice",
    ),
    Deviation(
        "rabbitmq-*",
        "resume_in",
        "has no QoS 2: what is under way when a link is cut comes twice",
        "calls back for each: a program that minds looks at its own numbers",
        always=False,
    ),
    Deviation(
        "rabbitmq-bookworm", "refused_filter", "closes without a SUBACK [MQTT-3.8.4-1]", "tells `closed by the broker`"
    ),
    Deviation(
        "rabbitmq-*",
        "refused_filter",
        "sends the SUBACK with 0x80, then closes the connection",
        "raises MQTTException(0x80), then OSError; with Reconnect it comes back without that filter",
    ),
    # NATS
    Deviation("nats-*", "connect_31", "closes on MQTT 3.1 without a CONNACK [MQTT-3.1.2-2]", CLOSED),
    Deviation(
        "nats-*",
        "utf8",
        "refuses filters with a space, and closes on such topics [MQTT-4.7.3-1 allows them]",
        "raises MQTTException(0x80)",
    ),
    Deviation(
        "nats-*",
        "resume_in",
        "hands out late, and out of order, what was not acknowledged [MQTT-4.6.0-6]",
        "delivers in the order in which it comes, QoS 2 once",
        always=False,
    ),
    Deviation(
        "nats-trixie",
        "resume_out",
        "hands on a resumed QoS 2 message a second time, with an empty topic [MQTT-4.7.3-1]",
        "as publisher it can do nothing; as subscriber it acknowledges that one, drops it, and tells so in `diag`",
        always=False,
    ),
    # amqtt
    Deviation("amqtt", "connect_31", "closes on MQTT 3.1 without a CONNACK [MQTT-3.1.2-2]", CLOSED),
    Deviation(
        "amqtt",
        "retain",
        "sends retained messages that the filter does not match [MQTT-3.3.1-6]",
        "calls back for them: look at the topic",
    ),
    Deviation(
        "amqtt",
        "qos0 qos1",
        "delivers in the QoS of the subscription, not in the smaller of the two [MQTT-3.8.4-6]",
        AS_SENT,
    ),
    Deviation(
        "amqtt",
        "session",
        "a clean session does not always end the kept one [MQTT-3.1.2-6]",
        "believes session present, and keeps its subscriptions",
        always=False,
    ),
    Deviation(
        "amqtt",
        "takeover",
        "the second of two clients with one id often gets nothing [MQTT-3.1.4-2]",
        "the first is told `closed by the broker`",
        always=False,
    ),
    Deviation(
        "amqtt",
        "resume_out",
        "leaves a repeated PUBREL of an unknown id unanswered [MQTT-4.3.3-2]",
        NEVER_ACKED,
        always=False,
    ),
    Deviation(
        "amqtt",
        "resume_in",
        "does not send again what was cut on its way [MQTT-4.4.0-1]",
        "cannot know of it: ask for what must not be missed",
    ),
    Deviation(
        "amqtt",
        "keepalive_expiry",
        "does not end a silent client, and publishes no will [MQTT-3.1.2-24]",
        "is not touched: whoever waits for its will waits for ever",
    ),
    # npm
    Deviation(
        "aedes",
        "wildcards",
        "closes a subscriber's connection when a message to a topic with an empty level is due [4.7.1.3]",
        "connects again: do without empty levels",
    ),
    Deviation(
        "aedes",
        "resume_in",
        "after PUBREL sends the PUBLISH again, same id, without DUP [MQTT-4.3.3-1]",
        "must take it for a new message: it is delivered twice",
    ),
    Deviation(
        "mosca",
        "qos2 empty row_out resume_out",
        "never answers a PUBLISH of QoS 2 [MQTT-4.3.3-2]",
        "`publish` ends at its deadline; " + NEVER_ACKED + "; publish in QoS 1",
    ),
    Deviation("mosca", "row_in resume_in", "takes no QoS 2 from the publisher, so none comes", "nothing to do"),
    Deviation(
        "mosca",
        "will_retained retain",
        "sends retained messages without their flag [MQTT-3.3.1-8]",
        "hands on what it is told: `retained` is False",
    ),
    Deviation("mosca", "qos0", "delivers QoS 0 in QoS 1 [MQTT-3.8.4-6]", AS_SENT),
    Deviation("mosca", "wildcards", "`+` does not match an empty level [4.7.1.3]", "nothing to do"),
    # rumqttd
    Deviation("iotcore", "connect_31", "closes on MQTT 3.1 without a CONNACK [MQTT-3.1.2-2]", CLOSED),
    Deviation(
        "iotcore",
        "qos0 qos1",
        "delivers in the QoS of the subscription, not in the smaller of the two [MQTT-3.8.4-6]",
        AS_SENT,
    ),
    Deviation(
        "iotcore",
        "resume_out",
        "closes on a repeated PUBREL, for ever [MQTT-4.4.0-1]",
        "connects again with growing pauses; the slot stays taken",
        always=False,
    ),
    Deviation(
        "iotcore",
        "resume_in",
        "does not send again all that was cut on its way [MQTT-4.4.0-1]",
        "cannot know of it",
        always=False,
    ),
    Deviation("iotcore", "keepalive_0", "closes on keep-alive 0 [3.1.2.10]", "tells it; its default is 60 s"),
]


def deviation(broker: str, check: str) -> Optional[Deviation]:
    """The entry for a broker and a check; None when it should pass."""
    for known in DEVIATIONS:
        if fnmatch.fnmatch(broker, known.brokers) and check in known.checks.split():
            return known
    return None
