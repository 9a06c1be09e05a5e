"""Reason codes of MQTT 5 in words [5.0: 2.4]. `umqtt.v5` imports it when a broker has said no. It is forgotten at
once: nobody needs the words before the next refusal."""

import sys

from umqtt.errors import MQTTException

_WORDS = {
    0x04: "disconnected with the will",
    0x80: "unspecified error",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x83: "refused by the broker's own rules",
    0x84: "protocol level refused",
    0x85: "client id refused",
    0x86: "bad user or password",
    0x87: "not authorised: check user and password",
    0x88: "broker unavailable",
    0x89: "broker busy",
    0x8A: "banned",
    0x8B: "broker shutting down",
    0x8C: "bad authentication method",
    0x8D: "keep-alive timeout",
    0x8E: "session taken over: has another device this client id?",
    0x8F: "topic filter invalid",
    0x90: "topic name invalid",
    0x91: "packet id in use",
    0x92: "packet id not found",
    0x93: "receive maximum exceeded",
    0x94: "topic alias invalid",
    0x95: "packet too large",
    0x96: "message rate too high",
    0x97: "quota exceeded",
    0x98: "administrative action",
    0x99: "payload format invalid",
    0x9A: "retain not supported",
    0x9B: "QoS not supported",
    0x9C: "use another server",
    0x9D: "server moved",
    0x9E: "shared subscriptions not supported",
    0x9F: "connection rate exceeded",
    0xA0: "maximum connect time",
    0xA1: "subscription identifiers not supported",
    0xA2: "wildcard subscriptions not supported",
}


_REASON = 31  # properties
_SERVER_REFERENCE = 28


def fault(code: int, about: str = "", found: "dict | None" = None) -> MQTTException:
    """The exception for reason code `code` of the broker; found: the properties that came with it. The heap has this
    module back then."""
    del sys.modules["umqtt.refusals"]
    del sys.modules["umqtt"].refusals  # pyright: ignore[reportAttributeAccessIssue]
    words = about and about + ": "
    words += _WORDS.get(code) or "reason code 0x%02x" % code
    for number in (_REASON, _SERVER_REFERENCE):
        if found and number in found:
            words += ": " + found[number]
    return MQTTException(code, words)
