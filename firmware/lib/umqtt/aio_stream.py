"""`umqtt.stream` for a client of `umqtt.aio`: payloads larger than the memory, sent while other tasks run."""

from time import ticks_add, ticks_ms

from asyncio import core  # pyright: ignore[reportAttributeAccessIssue] - MicroPython's

from umqtt import addons, stream

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
        await _stand_in_line(client, end, qos)
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


async def _stand_in_line(client, end, qos):
    # As the client's, for a packet that needs both a slot and the network at once: in both lines.
    task = core.cur_task
    lines = client._in_line if qos else client._in_line[:1]
    for line in lines:
        line.append(task)
    try:
        while not addons.can_begin(client, qos) or [line for line in lines if line[0] is not task]:
            await addons.turn(client, end)
    finally:
        for line in lines:
            line.remove(task)
            if line and line[0] in client._callers:
                client._wake(line[0])
