"""`protocol="auto"` of umqtt.v5: MQTT 5, and 3.1.1 with a broker that does not know 5."""

from micropython import const

from umqtt.errors import MQTTException, link_error
from umqtt.wire import LEVEL_5

_LEVEL_4 = const(4)
_LEVEL_REFUSED = const(0x84)
_LEVEL_REFUSED_BY_4 = const(1)  # a return code of MQTT 3.1.1


class Fallback:
    """Tries the levels in turn, until one has connected: it puts itself in front of two calls of the client."""

    def __init__(self, client):
        self.client = client
        self._plain_connect = client.connect
        self._plain_on_fault = client._on_fault
        client.connect = self.connect
        client._on_fault = self.on_fault

    def connect(self, timeout_ms=None):
        level = self.client.protocol
        try:
            return self._plain_connect(timeout_ms)
        except (OSError, MQTTException):
            if level == self.client.protocol:
                raise
        return self._plain_connect(timeout_ms)

    def on_fault(self, fault):
        client = self.client
        if client._send_packet and client._is_connecting and not client._connect_count and fault.args:
            # A broker that does not know level 5 says so, or just closes. One that was told to end a session has closed
            # without a word of ours.
            if isinstance(fault, OSError) and fault.args[-1] or fault.args[0] in (_LEVEL_REFUSED_BY_4, _LEVEL_REFUSED):
                if client.protocol == LEVEL_5:  # no refusal of ours: the other level is tried without a long pause
                    fault = link_error("ECONNABORTED", str(fault.args[-1]))
                client.protocol = LEVEL_5 + _LEVEL_4 - client.protocol
        self._plain_on_fault(fault)
