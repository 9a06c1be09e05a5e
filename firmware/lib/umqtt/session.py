"""The session [4.1]: packet ids, outgoing QoS 1 and 2 messages and subscriptions in flight, incoming QoS 2 ids.

No I/O, no clock. Each exchange under way has a slot, an outgoing packet as `wire` describes it; its first byte is the
state: 0x32 is a PUBLISH of QoS 1, which waits for PUBACK; 0x34 one of QoS 2, for PUBREC; 0x62 a PUBREL, for PUBCOMP;
0x82 a SUBSCRIBE; 0xA2 an UNSUBSCRIBE. Slots in use stand first, the oldest in front; the first `_slots_sent` of them
were sent on this connection.

The test host_tests/unit/test_session_table.py reads this table and drives every state with every event; an event that
is not listed is a VIOLATION and changes nothing. A slot that was never sent is treated as FREE: no ack can be meant for
it.

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
  out   W_PUBREC  PUBACK    FREE      DONE          against 4.3.3, RabbitMQ: it has the message; QoS 1 from now on
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
  in    ABSENT    PUBLISH2  ABSENT    DELIVER       HELD while and after the application takes it
  in    ABSENT    hold      HELD      PUBREC        4.3.3
  in    HELD      PUBLISH2  HELD      PUBREC        delivered already: never twice
  in    HELD      PUBREL    ABSENT    PUBCOMP       4.3.3
  in    ABSENT    PUBREL    ABSENT    PUBCOMP       4.3.3: an unknown id is answered too
  in    HELD      resume1   HELD      -
  in    HELD      resume0   ABSENT    -

MQTT 5 adds these, of umqtt.v5, host_tests/unit/test_session_table_v5.py. PUBACK! is one with a reason code of 0x80 or
more; each not listed here is taken as without. The window is full when as many messages are unacknowledged as the
broker's receive maximum; `taken` is a DISCONNECT that says another device has the session, which is kept, `expired` a
session that ended with its connection or later.

  out5  FREE      PUBACK!   FREE      IGNORE        an ack that came twice, or of an earlier life
  out5  FREE      PUBREC!   FREE      IGNORE        4.3.3: no PUBREL follows it
  out5  W_PUBACK  PUBACK!   FREE      REFUSED       4.3.2, 4.4: not repeated, its packet id is free
  out5  W_PUBREC  PUBREC!   FREE      REFUSED       4.3.3
  out5  W_PUBREC  PUBACK!   FREE      REFUSED       as without a reason code
  out5  W_PUBCOMP PUBREC!   FREE      REFUSED       a PUBREC that came twice, and the second says no
  out5  W_PUBCOMP PUBCOMP!  FREE      DONE          4.3.3: 0x92, it knows the id no more
  out5  W_SUBACK  SUBACK!   FREE      REFUSED       3.9.3: not made again
  out5  W_UNSUBACK UNSUBACK! FREE     REFUSED       3.11.3
  in5   HELD      PUBREL!   ABSENT    PUBCOMP       3.6.2.1: 0x92, it knows the id no more
  in5   ABSENT    PUBREL!   ABSENT    PUBCOMP
  window FULL     publish   FULL      WAIT          3.3.4: in its slot
  window FULL     subscribe FULL      SUBSCRIBE     what is no PUBLISH passes
  window FULL     PUBACK    OPEN      -             4.9
  window FULL     PUBREC    FULL      PUBREL        4.9: it counts until its PUBCOMP
  window FULL     PUBREC!   OPEN      -             4.9
  window FULL     PUBCOMP   OPEN      -             4.9
  window FULL     resume1   FULL      PUBLISH,DUP   4.4: the first of them again, the others wait
  end5  W_PUBACK  taken     W_PUBACK  PUBLISH,DUP   4.4: as after any lost connection; 3.3.2.3.4: with its topic
  end5  W_PUBREC  taken     W_PUBREC  PUBLISH,DUP
  end5  W_PUBCOMP taken     W_PUBCOMP PUBREL
  end5  W_PUBACK  expired   W_PUBACK  PUBLISH       3.1.2.11.2: as a new one
  end5  W_PUBREC  expired   W_PUBREC  PUBLISH
  end5  W_PUBCOMP expired   FREE      -             it was the broker's since its PUBREC
"""

from micropython import const

from umqtt.errors import ProtocolError
from umqtt.wire import FIRST_BYTE, LEVEL_5, PACKET_ID, PAYLOAD, PUBACK_BYTE, PUBCOMP_BYTE, PUBREC_BYTE, PUBREL_BYTE
from umqtt.wire import QOS_2, REFUSED, SENT, SUBACK_BYTE, SUBSCRIBE_BYTE, TOPIC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from umqtt.hints import OnEnded

_HELD = const(20)  # ids that Mosquitto leaves unreleased; room for more is taken from the heap
_FREE = const(0)  # a packet id that is none


class Session:
    """What both ends must remember between connections. `inflight`: slots, 1..65535; then: how many are in use."""

    on_ended: "OnEnded | None" = None  # of the program: told of each exchange that ended
    _error_words = ""  # the last error
    protocol: int  # the level

    def __init__(self, inflight: int) -> None:
        self.pid = 0  # the packet id given out last
        self.inflight = 0
        self._packet_slots = []
        while len(self._packet_slots) < inflight:
            self._packet_slots.append([_FREE, 0, b"", b""])
        self._slots_sent = 0
        self._resent_count = 0
        # Until it is told: (packet id or a list of them, return codes) of what has ended.
        self._news: "tuple | None" = None
        self._suback_codes = b""  # of the last SUBACK
        # The packet in the making, IN_USE: see `_take_turn` of the client, and what is MQTT 5's.
        self._draft = [_FREE, 0, b"", b"", 0, b""]
        self._most_qos = 2  # that the broker is known to do
        self._held_packet_ids = [_FREE] * _HELD  # incoming QoS 2 ids, from their delivery to PUBREL
        self._granted_qos = {}  # filter with its length before it: QoS

    def pending(self, packet_id: int) -> bool:
        """Return whether the exchange of `packet_id`, which `publish` returned, has not ended yet."""
        return packet_id > 0 and self._slot_index(packet_id) >= 0

    def _slot_index(self, packet_id):
        """The index of the slot of `packet_id`, -1 when there is none."""
        i = 0
        for slot in self._packet_slots:
            if slot[PACKET_ID] == packet_id:
                return i
            i += 1
        return -1

    def _take_slot(self):
        """Take a slot, there must be a free one, for the packet in `_draft`, with a new packet id. Returns it."""
        packet_id = self.pid % 65535 + 1
        while self.inflight and self._slot_index(packet_id) >= 0:
            packet_id = packet_id % 65535 + 1
        slot = self._packet_slots[self.inflight]
        draft = self._draft
        slot[FIRST_BYTE] = draft[FIRST_BYTE]
        slot[TOPIC] = draft[TOPIC]
        slot[PAYLOAD] = draft[PAYLOAD]
        slot[PACKET_ID] = self.pid = packet_id  # last: a slot that has an id is whole, whenever Ctrl-C comes
        self.inflight += 1
        return slot

    def _free_slot(self, index):
        """Give the slot at `index` back."""
        slot = self._packet_slots[index]
        slot[PACKET_ID] = _FREE
        slot[TOPIC] = slot[PAYLOAD] = b""
        self.inflight -= 1
        if index < self._slots_sent:
            self._slots_sent -= 1
        if index < self.inflight:
            self._packet_slots.append(self._packet_slots.pop(index))

    def _on_ack(self, first_byte, packet_id):
        """An ack that begins with first_byte came for packet_id; the return codes of a SUBACK are in `_suback_codes`.

        Returns the first byte of the answer, 0 for none. Raises ProtocolError: a VIOLATION; nothing has changed.
        """
        if first_byte == PUBREL_BYTE:
            if packet_id in self._held_packet_ids:
                self._held_packet_ids[self._held_packet_ids.index(packet_id)] = _FREE
            return PUBCOMP_BYTE
        index = 0
        slot = self._packet_slots[0]  # one message at a time is the rule
        if slot[PACKET_ID] != packet_id:
            index = self._slot_index(packet_id)
            slot = self._packet_slots[index]
        sent = slot[FIRST_BYTE]
        if index < 0 or not sent & SENT:
            return PUBREL_BYTE if first_byte == PUBREC_BYTE else 0
        if first_byte == PUBREC_BYTE and (sent < PUBACK_BYTE and sent & QOS_2 or sent & ~SENT == PUBREL_BYTE):
            slot[FIRST_BYTE] = PUBREL_BYTE | SENT
            slot[TOPIC] = slot[PAYLOAD] = b""
            return PUBREL_BYTE
        # The type of an ack is that of the packet it answers, and 1.
        if first_byte >> 4 != (sent >> 4) + 1:
            raise ProtocolError("ack of the wrong kind")
        if sent >= SUBSCRIBE_BYTE:
            self._on_filters(slot, first_byte == SUBACK_BYTE)
        elif sent < PUBACK_BYTE and sent & QOS_2:
            self._most_qos = 1
            self._error_words = "the broker answers QoS 2 with PUBACK: QoS 1 from now on"
        self._free_slot(index)
        if self.on_ended is not None:
            self._news = packet_id, self._suback_codes if first_byte == SUBACK_BYTE else b""
        return 0

    def _on_filters(self, slot, granted):
        # SUBACK (granted) or UNSUBACK came for the packet of this slot
        filters = slot[PAYLOAD]
        codes = self._suback_codes
        at = count = 0
        while at < len(filters):
            end = at + 2 + (filters[at] << 8 | filters[at + 1])
            qos = None
            if granted and count < len(codes):
                code = codes[count]
                if code < REFUSED or code > REFUSED and self.protocol < LEVEL_5:
                    qos = filters[end]
                    if code > 2:
                        raise ProtocolError("SUBACK: return code")
            self._subscribed(filters[at:end], qos)
            at = end + granted
            count += 1
        if granted and len(codes) != count:
            raise ProtocolError("SUBACK: return codes")
        waiting = slot[TOPIC]  # of the call that waits for the codes
        slot[TOPIC] = b""  # first: a slot that Ctrl-C leaves in flight is sent again, with what stands there
        if isinstance(waiting, bytearray) and (granted or self.protocol == LEVEL_5):
            waiting.extend(codes)

    def _subscribed(self, topic_filter, qos):
        """The broker has granted `topic_filter` with `qos`, or, None, has it no more."""
        self._granted_qos[topic_filter] = qos
        if qos is None:
            del self._granted_qos[topic_filter]

    def _resume(self, present):
        """A connection is up; present: the broker kept the session [4.4]. All in flight is to be sent (again), in its
        old order."""
        used = []
        free = []
        ended_ids = []
        for slot in self._packet_slots:  # not the first so many: Ctrl-C may have come while one was given back
            if not slot[PACKET_ID] or not present and slot[FIRST_BYTE] & ~SENT == PUBREL_BYTE:
                if slot[PACKET_ID]:
                    ended_ids.append(slot[PACKET_ID])
                slot[PACKET_ID] = _FREE
                free.append(slot)
                continue
            if not present:
                slot[FIRST_BYTE] &= ~SENT
            elif slot[FIRST_BYTE] & SENT:
                self._resent_count += 1
            used.append(slot)
        self.inflight = len(used)
        self._packet_slots = used + free
        self._slots_sent = 0
        if ended_ids and self.on_ended is not None:
            self._news = ended_ids, b""
        if not present:
            for i in range(len(self._held_packet_ids)):
                self._held_packet_ids[i] = _FREE
