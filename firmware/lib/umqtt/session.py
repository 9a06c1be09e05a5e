"""Packet ids, outgoing QoS 1 and 2 messages and subscriptions in flight, incoming QoS 2 ids: what may happen, in fixed
slots.

No I/O, no clock; a slot's state is the type of the packet it waits for, so a state is tested by comparing. The test
host_tests/unit/test_session_table.py reads this table and drives every state with every event; what is not listed is a
VIOLATION
and changes nothing. A slot that was never sent on any connection answers as FREE: no ack can be meant for it.

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
  in    ABSENT    PUBLISH2  ABSENT    DELIVER       HELD when the application took it (hold), before the PUBREC leaves
  in    ABSENT    hold      HELD      PUBREC        4.3.3
  in    HELD      PUBLISH2  HELD      PUBREC        delivered already: never twice
  in    HELD      PUBREL    ABSENT    PUBCOMP       4.3.3
  in    ABSENT    PUBREL    ABSENT    PUBCOMP       4.3.3: an unknown id is answered too
  in    HELD      resume1   HELD      -
  in    HELD      resume0   ABSENT    -
"""

from micropython import const

_HELD = const(20)  # what Mosquitto leaves unacknowledged; more are taken too, but that allocates

_FREE = const(0)
_W_PUBACK = const(4)
_W_PUBREC = const(5)
_W_PUBCOMP = const(7)
_W_SUBACK = const(9)

# actions of on_ack
_VIOLATION = const(-1)
_IGNORE = const(0)
_PUBREL = const(1)
_DONE = const(2)


class Session:
    """What both ends must remember between connections [4.1]. `window`: slots for messages and subscriptions in
    flight, 1..65535."""

    def __init__(self, window):
        if window < 1:
            raise ValueError("inflight: 1 or more needed")
        self.pid = 0  # the id given out last
        self.pids = [0] * window  # 0: the slot is free
        self.state = bytearray(window)
        self.b0 = bytearray(window)  # PUBLISH: its first byte, DUP once it was staged; others: 8 once staged
        self.todo = [0] * window  # 1: to be sent on this connection
        self.age = [0] * window  # order of reservation
        self.topic = [None] * window  # of a SUBSCRIBE: its filters
        self.payload = [None] * window  # of a SUBSCRIBE: its QoS bytes, None makes it an UNSUBSCRIBE
        self.clock = 0
        self.todos = 0
        self.resends = 0
        self.held = [0] * _HELD  # incoming QoS 2 ids from hold to PUBREL, 0: free; a list that shrinks would allocate

    def reserve(self, state, b0, topic, payload, pid=0):
        """Take a slot in `state`, to be sent; its id is new unless given (replay from a store). Returns the slot, -1
        when all are taken."""
        pids = self.pids
        if 0 not in pids:
            return -1
        i = pids.index(0)
        if not pid:
            pid = self.pid % 65535 + 1
            while pid in pids:
                pid = pid % 65535 + 1
            self.pid = pid
        pids[i] = pid
        self.state[i] = state
        self.b0[i] = b0
        self.topic[i] = topic
        self.payload[i] = payload
        self.todo[i] = 1
        self.todos += 1
        self.clock += 1
        self.age[i] = self.clock
        return i

    def oldest(self):
        """The slot that is to be sent next: reserved first; -1 when there is none."""
        if self.todos == 1:
            return self.todo.index(1)
        best = -1
        i = 0
        for t in self.todo:
            if t and (best < 0 or self.age[i] < self.age[best]):
                best = i
            i += 1
        return best

    def staged(self, i):
        """Slot i's packet goes to the wire: from now on a repetition carries DUP."""
        if self.b0[i] & 8:
            self.resends += 1
        self.b0[i] |= 8
        self.todos -= self.todo[i]
        self.todo[i] = 0

    def free(self, i):
        """Give slot i back."""
        self.todos -= self.todo[i]
        self.pids[i] = self.state[i] = self.b0[i] = self.todo[i] = _FREE
        self.topic[i] = self.payload[i] = None

    def on_ack(self, kind, pid):
        """An ack of packet type `kind` (4, 5, 7, 9, 11) for `pid` came: returns the action of the table."""
        i = self.pids.index(pid) if pid in self.pids else -1
        if i < 0 or not self.b0[i] & 8:
            return _PUBREL if kind == _W_PUBREC else _IGNORE
        state = self.state[i]
        if kind == _W_PUBREC and state in b"\5\7":
            self.state[i] = _W_PUBCOMP
            self.topic[i] = self.payload[i] = None
            self.todos -= self.todo[i]
            self.todo[i] = 0
            return _PUBREL
        if kind != state:
            return _VIOLATION
        self.free(i)
        return _DONE

    def hold(self, pid):
        """The application took incoming QoS 2 message `pid`."""
        held = self.held
        if 0 in held:
            held[held.index(0)] = pid
        else:
            held.append(pid)

    def release(self, pid):
        """PUBREL for `pid`: its id may be used anew."""
        held = self.held
        if pid in held:
            held[held.index(pid)] = 0

    def resume(self, present):
        """A connection is up; `present`: the broker kept the session. Marks what is to be sent (again), in the old
        order."""
        if not present:
            self.held = [0] * _HELD
        i = 0
        for state in self.state:
            if state == _W_PUBCOMP and not present:
                self.free(i)
            elif state:
                if not present and state < _W_SUBACK:
                    self.b0[i] &= 0x37
                self.todos += 1 - self.todo[i]
                self.todo[i] = 1
            i += 1
