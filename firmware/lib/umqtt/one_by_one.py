"""Which of several messages in flight does a broker end its connection at? One may have been taken, and its ack lost
with the connection that ended at the next. They leave one by one then. A friend of the client's, as `takeback` is."""

from time import ticks_diff, ticks_ms

from umqtt.engine import BLOCKED, LOST
from umqtt.wire import IN_USE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from umqtt.client import MQTTClient


class OneByOne:
    """Stands in front of three verbs of this client's session, MQTT 3.1 and 3.1.1, for as long as the client lives."""

    def __init__(self, client: "MQTTClient") -> None:
        self.client = client
        self._left = 0  # so many exchanges leave one by one still
        self._is_paced = False
        self._plain_exchange = client._exchange
        self._plain_free_slot = client._free_slot
        self._plain_send_slots = client._send_slots
        client._exchange = self._exchange_in_turn
        client._free_slot = self._free_in_turn
        client._send_slots = self._send_in_turn

    def separate(self, is_paced: bool = False) -> None:
        """A connection has ended: on the next one as many exchanges as are in flight now leave each once the one before
        it has ended, then all as ever. is_paced: and not before `go_on`. Does not block."""
        self._left = self.client.inflight
        self._is_paced = is_paced

    def waits(self) -> bool:
        """Whether an exchange is to leave, and `go_on` would let it."""
        client = self.client
        return self._left > 0 and client.inflight > 0 and not client._slots_sent and not client._send_blocked

    def go_on(self) -> None:
        """Let the next exchange leave, with the next poll."""
        self.client._send_blocked = True

    def _exchange_in_turn(self, wait, timeout_ms, sender=None):
        client = self.client
        end = client._end(timeout_ms)
        while sender and self._left:  # it sends its packet at once, or not at all
            if not wait:
                client._draft[IN_USE] = 0
                return None
            client._wait_without(end)
            timeout_ms = ticks_diff(end, ticks_ms())
        return self._plain_exchange(wait, timeout_ms, sender or (None if client._send_blocked else self))

    def send(self, slot):
        # for the client: the writer's event; None: `_send_in_turn` sends it when its turn has come
        client = self.client
        if self._left and (client._slots_sent or slot is not client._packet_slots[0]):
            return None
        send = client._send_packet
        return send(slot) if send else LOST

    def _free_in_turn(self, index):
        self._plain_free_slot(index)
        if self._left:
            self._left -= 1
            if not (self._is_paced and self._left):
                self.client._send_blocked = True  # the next one may leave

    def _send_in_turn(self):
        client = self.client
        if not self._left:
            return self._plain_send_slots()
        send = client._send_packet
        event = send(None) if send else BLOCKED
        if client._link_up and event != BLOCKED and event != LOST:
            if client.inflight and not client._slots_sent:
                event = send(client._packet_slots[0])
                client._slots_sent = 1
            if event != BLOCKED and event != LOST:
                client._send_blocked = client._is_connecting
        client._draft[IN_USE] = 0
        return event
