"""Messages that the broker does not acknowledge, listed and given up: for the program that wants to lower the QoS of a
message, or to let the others pass it. Imported by who asks for it."""


def unacknowledged(client):
    """Messages in flight, the oldest first: [(packet id, topic, QoS), ...]. The topic is b"" once the broker has the
    message (its PUBREC came). Allocates."""
    return [(m[0], (m[2] or b"")[2:], m[1] >> 1 & 3) for m in client._slots[: client.inflight] if m[1] < 0x80]


def take_back(client, pid):
    """Give up message `pid`: its slot is free, and an ack that comes late is answered and changes nothing.

    Returns (topic, payload, retain, QoS); None when there is no such message, or the broker has it already. With a
    store that is noted in the same write as the next message: neither is lost, and not both are there.
    """
    i = client._slot(pid)
    if not pid or i < 0:
        return None
    _, b0, topic, payload = client._slots[i]
    if b0 >= 0x80:
        return None  # a subscription
    client._free(i)
    if client._store:
        client._store.acked(4, pid)
    return None if b0 & 0x40 else (topic[2:], payload, b0 & 1 == 1, b0 >> 1 & 3)
