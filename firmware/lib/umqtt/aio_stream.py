"""`umqtt.stream` for a client of `umqtt.aio`: payloads larger than the memory, sent while other tasks run."""

from time import ticks_add, ticks_ms

from umqtt import addons, in_line, stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from umqtt.aio import MQTTClient
    from umqtt.hints import Reader


async def publish(
    client: "MQTTClient",
    topic: "str | bytes",
    reader: "Reader",
    length: int,
    retain: bool = False,
    qos: int = 0,
    timeout_ms: "int | None" = None,
    piece_b: int = 256,
) -> int:
    """As `umqtt.stream.publish`, awaited: returns 0 once the bytes are with the network, with qos 1 the packet id
    once the broker has acknowledged. `reader.readinto` is called by the task that serves the client, and holds up
    the loop for as long as it takes. When the call is cancelled half a packet is out: the link is closed. A link
    that is lost meanwhile raises here, with `reconnect` too. Raises ValueError, OSError, ProtocolError,
    MQTTException: refused, and what the reader raises."""
    end = ticks_add(ticks_ms(), client.timeout_ms if timeout_ms is None else timeout_ms)
    payload, packet = stream.begin(client, topic, reader, length, retain, qos, piece_b)
    if not packet:
        return await client.publish(topic, payload.piece, retain, qos, True, timeout_ms)
    try:
        await in_line.stand(client, in_line.BOTH if qos else in_line.NETWORK, end)
        if not addons.can_begin(client, qos):
            await addons.turn(client, end)  # raises: there is no connection
        packet_id = addons.begin_stream(client, packet, payload)
        while client.pending(packet_id) or not payload.sent:
            if not client.isconnected():
                addons.raise_fault(client)
            await addons.turn(client, end)
        addons.raise_refusal(client, packet_id)
        return packet_id
    except Exception:
        if payload.error:
            raise payload.error
        raise
    finally:
        stream.end(client, payload)
