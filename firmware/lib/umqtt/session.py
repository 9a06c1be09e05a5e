"""Packet ids, outgoing QoS 1 and 2 messages and subscriptions in flight, incoming QoS 2 ids: what may happen, in fixed
slots.

No I/O, no clock. A slot is a list: packet id (0: free), first byte of the packet that it sends, topic, payload. That
byte is its state: 0x32 is a PUBLISH of QoS 1, which waits for PUBACK; 0x34 one of QoS 2, for PUBREC; 0x62 a PUBREL,
for PUBCOMP; 0x82 a SUBSCRIBE; 0xA2 an UNSUBSCRIBE. With 8 in it, it was sent: DUP [3.3.1.1]. Slots in use stand first,
the oldest in front; the first `_staged` of them were sent on this connection, the others are to be.

The test host_tests/unit/test_session_table.py reads this table and drives every state with every event; what is not
listed is a VIOLATION and changes nothing. A slot that was never sent answers as FREE: no ack can be meant for it.

  side  state     event     next      action
  out   FREE      reserve1  W_PUBACK  -             4.3.2
  out   FREE      reserve2  W_PUBREC  -             4.3.3
  out   FREE      subscribe W_SUBACK  -             3.8.4
  out   FREE      unsub     W_UNSUBACK -            3.10.4
  out   FREE      PUBACK    FREE      IGNORE        an ack that came twice
  out   FREE      PUBREC    FREE      PUBREL        forgotten here: let the broker finish
  out   FREE      PUBCOMP   FREE      IGNORE        an ack that came twice
  out   FREE      SUBACK    FREE      IGNORE
  out   FREE      UNSUBACK  FREE      IGNORE
  out   W_PUBACK  PUBACK    FREE      DONE          4.3.2
  out   W_PUBREC  PUBREC    W_PUBCOMP PUBREL        4.3.3; from here the message is the broker's, its payload is let go
  out   W_PUBCOMP PUBREC    W_PUBCOMP PUBREL        PUBREC came twice
  out   W_PUBCOMP PUBCOMP   FREE      DONE          4.3.3
  out   W_SUBACK  SUBACK    FREE      DONE
  out   W_UNSUBACK UNSUBACK FREE      DONE
  out   W_PUBACK  resume1   W_PUBACK  PUBLISH,DUP   4.4 session present
  out   W_PUBREC  resume1   W_PUBREC  PUBLISH,DUP   4.4
  out   W_PUBCOMP resume1   W_PUBCOMP PUBREL        4.4
  out   W_PUBACK  resume0   W_PUBACK  PUBLISH       the broker forgot: the same message as a new one
  out   W_PUBREC  resume0   W_PUBREC  PUBLISH
  out   W_PUBCOMP resume0   FREE      -             it was the broker's since its PUBREC
  in    ABSENT    PUBLISH2  ABSENT    DELIVER       HELD when the application took it, before the PUBREC leaves
  in    ABSENT    hold      HELD      PUBREC        4.3.3
  in    HELD      PUBLISH2  HELD      PUBREC        delivered already: never twice
  in    HELD      PUBREL    ABSENT    PUBCOMP       4.3.3
  in    ABSENT    PUBREL    ABSENT    PUBCOMP       4.3.3: an unknown id is answered too
  in    HELD      resume1   HELD      -
  in    HELD      resume0   ABSENT    -
"""

from micropython import const


_HELD = const(20)  # what Mosquitto leaves unacknowledged; more are taken too, but that allocates

_PID = const(0)
_B0 = const(1)
_TOPIC = const(2)
_BODY = const(3)

_PUBREC = const(0x50)
_PUBCOMP = const(0x70)
_VIOLATION = const(-1)
_SENT = const(8)

_PUBLISH_2 = const(0x34)
_PUBREL = const(0x62)
_SUBSCRIBE = const(0x82)


class Session:
    """What both ends must remember between connections [4.1]. `inflight`: slots for messages and subscriptions in
    flight, 1..65535, then: how many are in use."""

    def __init__(self, inflight):
        self.pid = 0  # the id given out last
        self._slots = []
        while inflight:
            self._slots.append([0, 0, None, None])
            inflight -= 1
        self._subs = {}  # filter with its length before it: QoS
        self.inflight = 0
        self._staged = 0
        self._resends = 0
        self._acked = None
        self._held = set(range(_HELD))  # incoming QoS 2 ids from delivery to PUBREL: room for so many, then emptied
        self._resume(True)

    def _slot(self, pid):
        """The index of the slot with `pid` (0: the first free one), -1 when there is none."""
        i = 0
        for m in self._slots:
            if m[_PID] == pid:
                return i
            i += 1
        return -1

    def _reserve(self, b0, pid=0):
        """Take a slot for a packet that begins with b0; its id is new unless given (replay from a store), its topic
        and payload are up to the caller. Returns the slot, None when all are taken."""
        i = self.inflight
        if i == len(self._slots):
            return None
        if not pid:
            pid = self.pid % 65535 + 1
            while i and self._slot(pid) >= 0:
                pid = pid % 65535 + 1
            self.pid = pid
        m = self._slots[i]
        m[_PID] = pid
        m[_B0] = b0
        self.inflight = i + 1
        return m

    def _free(self, n):
        """Give slot n back."""
        m = self._slots[n]
        m[_PID] = 0
        m[_TOPIC] = m[_BODY] = None
        if n < self.inflight - 1:
            self._slots.append(self._slots.pop(n))
        self.inflight -= 1
        if n < self._staged:
            self._staged -= 1

    def _on_ack(self, b0, pid, x=b""):
        """A packet that begins with b0 came for `pid`; of a SUBACK x are the return codes.

        Returns the first byte of the answer, 0 for none, -1 for a VIOLATION. `_acked` is then what a SUBSCRIBE or
        UNSUBSCRIBE asked for, the codes behind it.
        """
        if b0 == _PUBREL:
            self._held.discard(pid)
            return _PUBCOMP
        i = 0 if self._slots[0][_PID] == pid else self._slot(pid)  # one at a time is the rule
        m = self._slots[i]
        was = m[_B0]
        if i < 0 or not was & _SENT:
            return _PUBREL if b0 == _PUBREC else 0
        if b0 == _PUBREC and (was & _PUBLISH_2 == _PUBLISH_2 or was & 0x40):
            m[_B0] = _PUBREL | _SENT
            m[_TOPIC] = m[_BODY] = b""
            return _PUBREL
        # the type of a packet's ack is one higher, that of a PUBLISH of QoS 2 is two
        if b0 >> 4 != (was >> 4) + 1 + (was >> 2 & 1):
            return _VIOLATION
        m = m[_TOPIC]
        if x and (len(x) != len(m) or x.strip(b"\0\1\2\x80")):
            return _VIOLATION
        self._free(i)
        if was >= _SUBSCRIBE:
            m.append(x)
            self._acked = m
        return 0

    def _resume(self, clean_session):
        """A connection is up; clean_session: the broker has nothing of an earlier one. All is to be sent (again), in
        the old order."""
        self._staged = 0
        i = self.inflight
        while i:
            i -= 1
            if not self._slots[i][_PID]:
                self._free(i)  # Ctrl-C came amidst this
        if clean_session:
            while self._held:
                self._held.pop()
            i = self.inflight
            while i:
                i -= 1
                m = self._slots[i]
                if m[_B0] & 0x40:
                    self._free(i)
                elif m[_B0] < 0x40:
                    m[_B0] &= 0x37

    # for store, outbox and takeback: nobody else touches a slot

    def _in_flight(self):
        """The slots in use, the oldest first: [packet id, first byte, topic with its length before it, payload or
        None for a stream that nobody can repeat]. Allocates."""
        return self._slots[: self.inflight]

    def _held_ids(self):
        """Ids of incoming QoS 2 messages from delivery to PUBREL."""
        return list(self._held)

    def _subscriptions(self):
        """The live dict {filter with its length before it: QoS}."""
        return self._subs

    def _restore(self, pid, b0, topic, payload):
        """Take a slot for a message of an earlier life (pid 0: with a new id). Returns it."""
        m = self._reserve(b0, pid)
        m[_TOPIC] = topic
        m[_BODY] = payload
        return m

    def _hold(self, pid):
        self._held.add(pid)

    def _release(self, slot):
        """Give a slot back."""
        self._free(self._slot(slot[_PID]))
