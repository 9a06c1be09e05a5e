"""How does a call see its packet through? It polls until the acknowledgement has come, or its deadline; what is older
leaves first. Inside a callback, and in one of the scheduler's, nothing waits."""

from time import sleep_ms, ticks_add, ticks_diff, ticks_ms

from umqtt.engine import BLOCKED, LOST, UNHEARD
from umqtt.errors import link_error
from umqtt.link import HEAD_B
from umqtt.polling import LONG_MS, Polling
from umqtt.turns import is_scheduled
from umqtt.wire import FIRST_BYTE, IN_USE, PACKET_ID, PAYLOAD, TOPIC

_len = len


class Waiting(Polling):
    """A client whose calls wait, until their deadlines."""

    def _wait(self, end):
        # a turn of a call that waits until `end`
        left_ms = ticks_diff(end, ticks_ms())
        if left_ms <= 0:
            fault = link_error("ETIMEDOUT", "no answer in time")
            if self._link_up and self._send_blocked and not self._is_connecting:
                self._on_fault(fault)  # half a packet is out, or nothing leaves: that is a dead link
            raise fault
        if not self._is_drop_in and is_scheduled():
            raise link_error("EALREADY", "nothing waits in a scheduled callback")
        try:
            self._step(left_ms)
        except OSError:
            if not self._in_callback():
                raise
            sleep_ms(1)  # of another thread: this call would not wait in its own

    def _wait_without(self, end):
        # let the client go for a turn of `_wait`, and hold it with the same draft again: another call may make its own
        draft = self._draft
        first_byte = draft[FIRST_BYTE]
        topic = draft[TOPIC]
        payload = draft[PAYLOAD]
        draft[IN_USE] = 0
        self._wait(end)
        self._hold(first_byte, topic, payload)

    def _await_turn(self, wait, timeout_ms):
        # The draft, which is held, has older bytes before it: inside a callback it must fit behind them, else wait for
        # their end. Returns the rest of timeout_ms; None without `wait`, and the client is let go
        draft = self._draft
        if self._in_callback():
            size_b = _len(self._send_buf) + _len(draft[TOPIC]) + _len(draft[PAYLOAD]) + HEAD_B
            if self._send_packet and size_b <= self._send_buf_b:
                return 0
            draft[IN_USE] = 0
            if self._send_packet:
                raise link_error("ENOBUFS", "send buffer full: publish outside the callback")
            raise link_error("ENOTCONN", "link is down")
        end = self._end(timeout_ms)
        while self._send_blocked:
            if not wait:
                draft[IN_USE] = 0
                return None
            self._wait_without(end)
        return ticks_diff(end, ticks_ms())

    def _await_all_sent(self, timeout_ms):
        # wait until everything that waits to be sent has left; not inside a callback. Returns the rest of timeout_ms
        if self._in_callback():
            if not self._send_packet:
                raise link_error("ENOTCONN", "link is down")
            return timeout_ms
        end = self._end(timeout_ms)
        while self._send_blocked:
            self._wait(end)
        return ticks_diff(end, ticks_ms())

    def _finish_sending(self, event, timeout_ms):
        # the writer had not ALL_SENT for a QoS 0 message: wait until the network has all of it
        send = self._send_packet
        if event == LOST:
            self._link_lost()
        self._await_all_sent(timeout_ms)
        if send is None or self._send_packet is not send:
            raise self._fault
        if event == UNHEARD and self._next_packet is not None:
            self._step(0)  # a program that never polls must notice a dead link, too

    def _exchange(self, wait, timeout_ms, sender=None):
        """Begin the exchange of the draft, which is held, with `wait` see it through; sender.send(slot), if given,
        sends it, when nothing older waits. Returns the packet id, None when a sender could not begin at once."""
        if self._next_packet is None:
            if self._in_callback():
                wait = False
            elif wait and not self._socket and not self._auto_reconnect and not self._is_connecting:
                self._draft[IN_USE] = 0
                self._without_link(0)
                raise link_error("ENOTCONN", "link is down")  # it was, a moment ago
        end = ticks_add(ticks_ms(), self.timeout_ms if timeout_ms is None else timeout_ms)
        while self.inflight == _len(self._packet_slots) or sender is not None and self._send_blocked:
            if not wait:
                self._draft[IN_USE] = 0
                if sender is None:
                    raise link_error("ENOBUFS", "all slots are taken: poll first")
                return None
            self._wait_without(end)
        older_wait = self._send_blocked
        # so that the slot is sent by the next poll, should Ctrl-C come before it is sent here
        self._send_blocked = True
        slot = self._take_slot()
        self._draft[PAYLOAD] = b""
        packet_id = slot[PACKET_ID]
        if older_wait:
            event = self._send_slots()
        else:
            send = self._send_packet
            event = sender.send(slot) if sender is not None else send(slot) if send else LOST
            if event is not None:  # else the sender could not: the next poll does, or finds the link dead
                self._slots_sent += 1
                self._send_blocked = event == BLOCKED or event == LOST
            self._draft[IN_USE] = 0
        if event == LOST and (wait or self._auto_reconnect):
            self._link_lost()
        if wait and not is_scheduled():
            while slot[PACKET_ID] == packet_id:
                left_ms = ticks_diff(end, ticks_ms())
                if left_ms > 0 and self._next_packet is not None:
                    self._step(left_ms if left_ms < LONG_MS else LONG_MS)
                else:
                    self._wait(end)
        return packet_id

    def free_slots(self) -> int:
        """Return how many more messages of QoS 1 and 2 can be taken now."""
        return _len(self._packet_slots) - self.inflight
