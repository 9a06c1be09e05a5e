"""How a task waits for SUBACK and UNSUBACK. The clients of umqtt.aio and umqtt.aio_v5 import it for each call, and
forget it."""

import sys

from umqtt.errors import MQTTException
from umqtt.wire import LEVEL_5, REFUSED, SUBSCRIBE_BYTE, TOPIC


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def granted(client, first_byte, filters, qos, end) -> "Any":
    """Awaited: the granted QoS, one byte each; None for an UNSUBSCRIBE. Raises what the client's `subscribe` does."""
    del sys.modules["umqtt.aio_subscribe"]
    del sys.modules["umqtt"].aio_subscribe  # pyright: ignore[reportAttributeAccessIssue]
    return _granted(client, first_byte, filters, qos, end)


async def _granted(client, first_byte, filters, qos, end):
    if client._in_line[1] or not client.free_slots():
        from umqtt import in_line

        await in_line.stand(client, in_line.SLOT, end)
    client._blocking._filters(client, first_byte, filters, qos, client._is_over(), None)
    packet_id = client.pid
    codes = client._packet_slots[client._slot_index(packet_id)][TOPIC]  # empty until the answer fills it
    while client.pending(packet_id):
        await client._turn(end)
    if codes and max(codes) >= REFUSED:
        if client.protocol == LEVEL_5:
            from umqtt import options, v5

            v5._forget()
            raise options.refusal(first_byte == SUBSCRIBE_BYTE, filters, codes)
        if isinstance(filters, (list, tuple)):
            filters = filters[list(codes).index(REFUSED)][0]
        raise MQTTException(REFUSED, "subscription refused: %s" % filters)
    return bytes(codes) if first_byte == SUBSCRIBE_BYTE else None
