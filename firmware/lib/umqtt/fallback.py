"""`protocol="auto"` of umqtt.v5: MQTT 5, and 3.1.1 with a broker that does not know 5."""

from micropython import const

from umqtt.errors import MQTTException, link_error
from umqtt.wire import FIRST_BYTE, LEVEL_5, PAYLOAD, SENT, SUBSCRIBE_BYTE

_LEVEL_4 = const(4)
_QOS = const(3)  # a mask: of the options of a subscription
# A return code of MQTT 3.1.1, a reason code, the words of umqtt.handshake for a CONNACK of MQTT 3.1.1.
_ANSWERS_OF_4 = 1, 0x84, "CONNACK without properties"


class Fallback:
    """Tries the levels in turn, until one has connected: it puts itself in front of three calls of the client."""

    def __init__(self, client):
        self.client = client
        self._plain_connect = client.connect
        self._plain_on_fault = client._on_fault
        client.connect = self.connect
        client._on_fault = self.on_fault
        self._plain_resume = client._resume
        client._resume = self.resume

    def connect(self, timeout_ms=None):
        level = self.client.protocol
        try:
            return self._plain_connect(timeout_ms)
        except (OSError, MQTTException):
            if level == self.client.protocol:
                raise
        return self._plain_connect(timeout_ms)

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
        if client._send_packet and client._is_connecting and not client._connect_count and fault.args:
            # A broker that does not know level 5 says so, or just closes. One that was told to end a session has closed
            # without a word of ours.
            if isinstance(fault, OSError) and fault.args[-1] or fault.args[0] in _ANSWERS_OF_4:
                if client.protocol == LEVEL_5:  # no refusal of ours: the other level is tried without a long pause
                    fault = link_error("ECONNABORTED", str(fault.args[-1]))
                client.protocol = LEVEL_5 + _LEVEL_4 - client.protocol
        self._plain_on_fault(fault)
