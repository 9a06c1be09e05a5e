"""`protocol="auto"` of umqtt.v5: MQTT 5, and 3.1.1 with a broker that does not know 5."""

from time import ticks_diff, ticks_ms

from micropython import const

from umqtt.wire import FIRST_BYTE, LEVEL_5, PAYLOAD, SENT, SUBSCRIBE_BYTE

_LEVEL_4 = const(4)
_QOS = const(3)  # a mask: of the options of a subscription
# A return code of MQTT 3.1.1, a reason code, the words of umqtt.handshake for a CONNACK of MQTT 3.1.1.
_ANSWERS_OF_4 = 1, 0x84, "CONNACK without properties"


class Fallback:
    """Tries level 4 where 5 is not taken, within the same attempt to connect: it puts itself in front of four calls of
    the client. Level 4 stays once it was accepted; until then each attempt begins with 5."""

    def __init__(self, client):
        self.client = client
        self._was_tried = False  # level 4, by the attempt that was the last to begin
        self._plain_begin_connect = client._begin_connect
        self._plain_on_fault = client._on_fault
        self._plain_link_lost = client._link_lost
        self._plain_resume = client._resume
        client._begin_connect = self.begin_connect
        client._on_fault = self.on_fault
        client._link_lost = self.link_lost
        client._resume = self.resume

    def begin_connect(self, timeout_ms=None):
        client = self.client
        if self._was_tried and not client._connect_count:
            client.protocol = LEVEL_5  # who has not accepted 4 may not have refused 5: a proxy closes both
        self._was_tried = client.protocol == _LEVEL_4
        self._plain_begin_connect(timeout_ms)

    def resume(self, present):
        """Level 4 knows no options of a subscription, and takes them for a malformed packet."""
        client = self.client
        if client.protocol == _LEVEL_4:
            for topic_filter in client._granted_qos:
                client._granted_qos[topic_filter] &= _QOS
            for slot in client._packet_slots[: client.inflight]:
                if slot[FIRST_BYTE] & ~SENT == SUBSCRIBE_BYTE:
                    payload = bytearray(slot[PAYLOAD])
                    at = 0
                    while at < len(payload):
                        at += 2 + (payload[at] << 8 | payload[at + 1])
                        payload[at] &= _QOS
                        at += 1
                    slot[PAYLOAD] = bytes(payload)
        self._plain_resume(present)

    def on_fault(self, fault):
        client = self.client
        goes_on = False
        if client._send_packet and client._is_connecting and fault.args:
            # A broker that does not know level 5 says so, or just closes: then it has never taken 5 before.
            is_closed = isinstance(fault, OSError)
            says_no = not is_closed and fault.args[0] in _ANSWERS_OF_4
            if is_closed and not fault.args[-1]:
                self._was_tried = False  # accepted: this has ended a session, and closed without a word of ours
            elif client.protocol == LEVEL_5 and (says_no or is_closed and not client._connect_count):
                client.protocol = _LEVEL_4
                goes_on = self._was_tried = ticks_diff(client._connect_end, ticks_ms()) > 0
        self._plain_on_fault(fault)
        client._is_connecting = goes_on

    def link_lost(self):
        # the attempt goes on, from its dialling
        return 0 if self.client._is_connecting else self._plain_link_lost()
