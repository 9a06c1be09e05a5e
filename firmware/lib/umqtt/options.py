"""The options of a subscription of MQTT 5 [5.0: 3.8.3]. The client of umqtt.v5 imports it for each call of `subscribe`,
and forgets it."""

from micropython import const

from umqtt import wire
from umqtt.errors import MQTTException
from umqtt.properties import IDENTIFIER, IDENTIFIERS, MAXIMUM_PACKET, NONE, SHARED, TO_SUBSCRIBE, WILDCARDS
from umqtt.properties import encode, varint
from umqtt.wire import LEVEL_5, REFUSED

_MOST = const(46)  # QoS 2 and all others; retain handling is 0, 16 or 32
_NO_LOCAL = const(4)
_QOS = const(3)
_ID_B = const(2)

_TOO_LARGE = const(0x95)
_NO_SHARED = const(0x9E)
_NO_IDENTIFIERS = const(0xA1)
_NO_WILDCARDS = const(0xA2)


def prepare(client, topic, qos, identifier, properties) -> tuple:
    """Look at the arguments of `subscribe`, and keep the properties for the filters. Returns (topic, qos), for a broker
    of MQTT 3.1.1 without options. Raises ValueError; MQTTException: the broker has said that it does not do that.
    Nothing was sent."""
    own = dict(properties or ())
    if identifier:
        own[IDENTIFIER] = identifier
    own = encode(own, TO_SUBSCRIBE)
    size_b = len(own) + _ID_B
    get = client.connack.get
    kept = {}
    plain = []
    for row in topic if isinstance(topic, (list, tuple)) else ((topic, qos),):
        if not isinstance(row, (list, tuple)) or len(row) != 2 or not isinstance(row[1], int):
            return topic, qos  # the client says what is wrong with it
        topic_filter = wire.text(row[0], wire.FILTER, "filter")
        size_b += len(topic_filter) + 1
        options = row[1]
        if not 0 <= options <= _MOST or options & _QOS == _QOS:
            raise ValueError("options: QoS, + 4 no local, + 8 retain as published, + 16 or 32 for retained")
        is_shared = topic_filter[2:9] == b"$share/"
        if is_shared:
            group, _, shared = topic_filter[9:].partition(b"/")
            if not group or b"+" in group or b"#" in group or not shared:
                raise ValueError("filter: $share/, a group, / and a filter needed")
            if options & _NO_LOCAL:
                raise ValueError("no local: not of a shared subscription")
            if not get(SHARED, 1):
                raise _refused(_NO_SHARED)
        if not get(WILDCARDS, 1) and (b"+" in topic_filter or b"#" in topic_filter):
            raise _refused(_NO_WILDCARDS)
        kept[topic_filter] = own
        plain.append((row[0], options & _QOS))
    if (identifier or IDENTIFIER in (properties or ())) and not get(IDENTIFIERS, 1):
        raise _refused(_NO_IDENTIFIERS)
    size_b += 1 + len(varint(size_b))
    if get(MAXIMUM_PACKET, size_b) < size_b:
        raise _refused(_TOO_LARGE, "%d B, the broker takes %d B" % (size_b, get(MAXIMUM_PACKET)))
    if own != NONE or client._outgoing:
        from umqtt import outgoing

        outgoing.of(client).know_filters(kept)
    if client.protocol == LEVEL_5 or not plain:
        return topic, qos
    return (plain if isinstance(topic, (list, tuple)) else topic), plain[0][1]


def refusal(subscribes, filters, codes) -> MQTTException:
    """The exception for the first filter that the broker refused, with its reason; subscribes: else it was to be
    unsubscribed from."""
    code = [code for code in codes if code >= REFUSED][0]
    if isinstance(filters, (list, tuple)):
        filters = filters[list(codes).index(code)]
        if isinstance(filters, (list, tuple)):
            filters = filters[0]
    return _refused(code, ("subscription refused: %s" if subscribes else "unsubscribe refused: %s") % filters)


def _refused(code, about=""):
    from umqtt import refusals

    return refusals.fault(code, about)
