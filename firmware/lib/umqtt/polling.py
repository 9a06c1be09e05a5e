"""What does one step do? `poll` is the one call that does all work: it sends, takes one packet, calls back, keeps the
link alive, connects again. Everything that waits is a loop over it (umqtt.waiting)."""

from time import ticks_diff, ticks_ms

from micropython import const

from umqtt.connecting import READABLE, WRITABLE, Connecting
from umqtt.engine import BLOCKED, HALF_A_PACKET, LOST, MET, NOTHING_YET, RAISED
from umqtt.errors import MQTTException, link_error

_ACK_B = const(4)
LONG_MS = const(1000)  # a shorter wait cannot make the keep-alive late

_GONE = const(-5)  # in place of an event: Ctrl-C has ended the reader, where it was not in its `try`

_len = len
_bytes = bytes


class Polling(Connecting):
    """A client that is served by one call."""

    _last_event: int  # of the reader: the first byte of the packet that `poll` took last

    def poll(self, ms: int = 0) -> int:
        """Do everything that is due: send, take one packet, call back, keep alive, reconnect; wait up to `ms` for a
        packet, or until the network has taken the bytes that wait. Returns 1 when a packet came, else 0. Allocates
        nothing but what a callback is given.

        Raises OSError when the link is down, MQTTException and ProtocolError (the link is closed then; with `reconnect`
        none of the three: see `diag`), and what a callback raises. Call it at least every quarter of the
        keep-alive.
        """
        if self._next_packet is None:
            return self._without_link(ms)
        if self._send_blocked:
            if not self._unblock(ms):
                return 0
        elif ms:
            if ms > LONG_MS:
                ms = min(ms, max(self._watch(), 1))
                if not self._socket:  # its PINGREQ has found the link dead
                    return self._link_lost()
            self._wait_readable(ms)
        try:
            event = self._next_packet(None)
        except StopIteration:
            event = _GONE
        except Exception:  # it is None, or at work: this call has met another
            event = MET
        if event > 0:
            self._last_event = event
            if self._news is not None:
                self._tell_news()
            return 1
        if event == NOTHING_YET and self._watch():
            return 0
        return self._without_packet(event)

    _step = poll  # which a subclass cannot override

    def _tell_news(self):
        first, second = self._news  # pyright: ignore[reportGeneralTypeIssues]
        self._news = None
        if isinstance(first, _bytes):
            self.on_oversize(first, second)
        else:
            for packet_id in first if isinstance(first, list) else (first,):
                self.on_ended(packet_id, second)

    def on_oversize(self, topic: bytes, size_b: int) -> object:
        """`poll` calls this when a message of size_b bytes was larger than rx_size, there is no view, and it has been
        acknowledged. topic: bytes, b"" when not even the topic fitted. For a program to override: by default raises
        MQTTException, but with `reconnect` tells its on_state."""
        self._error_words = words = "message of %d B dropped, over rx_size: %s" % (size_b, str(topic, "utf-8"))
        if not self._auto_reconnect:
            raise MQTTException(size_b, words)
        if self._auto_reconnect.on_state:
            self._auto_reconnect.on_state(True, words)

    def _without_link(self, ms):
        if self._in_callback():
            raise link_error("ENOTCONN", "poll inside a callback")
        if self._is_connecting:
            return self._await_tcp(ms)
        if self._auto_reconnect and self._may_reconnect:
            return self._auto_reconnect.turn(self, ms)
        if not self._link_up:
            raise link_error("ENOTCONN", "not connected" + (self._error_words and ": " + self._error_words))
        return 0  # another thread's callback has ended meanwhile

    def _without_packet(self, event):
        if event == RAISED:
            raise self._fault
        if event == MET:
            if self._send_packet is not None:
                return 0  # the other one reads
            return self._without_link(0)
        if event != LOST:
            words = self._dead_words
            if event == HALF_A_PACKET:
                if ticks_diff(ticks_ms(), self._heard_ms) <= self.timeout_ms and self._watch():
                    return 0
                words = "half a packet, and no more in time"
            elif event == _GONE:
                words = "link is down"
            if self._socket:  # else a PINGREQ has found the link dead
                self._on_fault(link_error("ETIMEDOUT", words))
        try:
            return self._link_lost()
        finally:
            if self._news is not None:  # of a message whose ack has found the link lost
                self._tell_news()

    def _unblock(self, ms):
        # send what waits, waiting up to ms for room or a packet. Returns whether to read now
        if not self._take_turn():
            return False
        event = self._send_slots()
        if event == BLOCKED:
            # Without room for an ack nothing is read: a packet that waits to be must not wake us.
            reads = _len(self._send_buf) + _ACK_B <= self._send_buf_b
            self._poll_for(READABLE | WRITABLE if reads else WRITABLE)
            self._wait_readable(min(ms, max(self._watch(), 1)))
            if not self._take_turn():
                return False
            event = self._send_slots()
            if event == BLOCKED:
                if self._watch():
                    return reads
                words = self._dead_words if self._is_connecting else "nothing leaves"
                self._on_fault(link_error("ETIMEDOUT", words))
                event = LOST
        if event == LOST:
            return self._link_lost()
        self._poll_for(READABLE)
        return self._go_on_connecting(ms) if self._is_connecting else True
