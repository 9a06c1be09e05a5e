"""Lets a client keep its session in a store (umqtt.store). The client that is given one imports it.

It puts the store's work in front of the verbs of that client's session, so that a client without a store pays nothing.
Of the session the store sees only the verbs of `KeptSession`.
"""

from micropython import const

from umqtt.wire import (
    FIRST_BYTE,
    IN_USE,
    LEVEL_5,
    PACKET_ID,
    PAYLOAD,
    PROPERTIES,
    PUBACK_BYTE,
    PUBREC,
    PUBREL,
    PUBREL_BYTE,
    SENT,
    SUBACK,
)

_WRITABLE = const(4)  # select.POLLOUT


class KeptSession:
    """The session of `client` as `store` sees it."""

    def __init__(self, client, store):
        self.client = client
        self.store = store
        self._plain_take_slot = client._take_slot
        self._plain_on_ack = client._on_ack
        self._plain_subscribed = client._subscribed
        self._plain_resume = client._resume
        self._plain_unblock = None

    # The store's side

    @property
    def pid(self):
        """The packet id given out last."""
        return self.client.pid

    @pid.setter
    def pid(self, packet_id):
        self.client.pid = packet_id

    def _in_flight(self) -> list:
        """Return the slots in use, oldest first: [packet id, first byte, topic with its length before it, payload, None
        for a stream, which nobody can repeat]. Allocates."""
        return self.client._packet_slots[: self.client.inflight]

    def _held_ids(self) -> list:
        """Return the incoming QoS 2 ids that were delivered and not yet released. Allocates."""
        return [packet_id for packet_id in self.client._held_packet_ids if packet_id]

    def _subscriptions(self) -> dict:
        """Return the session's own dict of granted subscriptions, {filter with its length before it: QoS}."""
        return self.client._granted_qos

    def _restore(
        self, packet_id: int, first_byte: int, topic: bytes, payload: bytes, properties: "bytes | None" = None
    ) -> list:
        """Take a slot for an exchange that began before a reset, with a new packet id when packet_id is 0. properties:
        of MQTT 5, for whose client alone they count. Returns the slot."""
        last = self.client.pid
        if properties and self.client.protocol == LEVEL_5:
            self.client._draft[PROPERTIES] = properties
        self.client._draft[1:IN_USE] = first_byte, topic, payload
        slot = self._plain_take_slot()
        if packet_id:
            slot[PACKET_ID] = packet_id
            self.client.pid = last
        return slot

    def _hold(self, packet_id: int) -> None:
        """Remember that incoming QoS 2 message `packet_id` was delivered before a reset."""
        held = self.client._held_packet_ids
        if 0 not in held:
            held.append(0)
        held[held.index(0)] = packet_id

    def _release(self, slot: list) -> None:
        """Give a slot back, for the store has refused its message."""
        self.client._free_slot(self.client._slot_index(slot[PACKET_ID]))

    def _pending(self, packet_id: int) -> bool:
        """Return whether a slot has this id."""
        return self.client.pending(packet_id)

    # The client's side

    def take_slot(self):
        try:
            slot = self._plain_take_slot()
            if slot[FIRST_BYTE] < PUBACK_BYTE and isinstance(slot[PAYLOAD], bytes):  # else a stream
                # Inside a callback, one write to flash will also cover the note that it ran.
                self.store.put(slot, self.client._in_callback())
            return slot
        except BaseException:
            self.client._draft[IN_USE] = 0
            raise

    def on_ack(self, first_byte, packet_id):
        client = self.client
        kind = first_byte >> 4
        index = client._slot_index(packet_id)
        # An ack of an unknown id must not grow the journal.
        known = packet_id in client._held_packet_ids if kind == PUBREL else index >= 0
        answer = self._plain_on_ack(first_byte, packet_id)
        if kind == PUBREC:
            known = known and client._packet_slots[index][FIRST_BYTE] & ~SENT == PUBREL_BYTE
        elif kind != PUBREL:
            known = known and kind < SUBACK and not client.pending(packet_id)
        if known:
            self.store.acked(kind, packet_id)
        return answer

    def subscribed(self, topic_filter, qos):
        changed = self.client._granted_qos.get(topic_filter) != qos
        self._plain_subscribed(topic_filter, qos)
        if changed:
            self.store.subscribed(topic_filter, qos)

    def resume(self, present):
        self._plain_resume(present)
        if not present:
            self.store.rewrite()

    def unblock(self, ms):
        client = self.client
        if self.store.must:
            if len(client._send_buf) + 4 <= client._send_buf_b:
                for _, event in client._poller.ipoll(0):
                    if event != _WRITABLE:
                        return True  # a packet has come: read on, and let one write to flash serve many acks
            if not client._take_turn():
                return False
            try:
                self.store.sync()
            except OSError as fault:
                client._on_fault(fault)
                return client._link_lost()
            finally:
                client._draft[IN_USE] = 0
        return self._plain_unblock(ms)


def keep(client, store) -> bool:
    """Put the messages of `store` in flight again, and let it follow the session of `client` from now on. Returns
    whether the subscriptions must be made again."""
    session = KeptSession(client, store)
    again = store.replay(session, client.client_id, client.server)
    client._take_slot = session.take_slot
    client._on_ack = session.on_ack
    client._subscribed = session.subscribed
    client._resume = session.resume
    session._plain_unblock = client._unblock
    client._unblock = session.unblock
    client._taken = store.seen
    return again


def gate(store, write):
    """Return a `write` for a connection that lets no byte leave before everything that must be on flash is there."""
    return lambda buf, offset, n: None if store.must else write(buf, offset, n)
