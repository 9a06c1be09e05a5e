"""What a CONNACK of MQTT 5 may be, where no connection can show it."""

from fakes.bench5 import pair5
from fakes.check import equal, raises
from umqtt import handshake
from umqtt.errors import ProtocolError

SOURCE_FORM_ONLY = "shipped, what is beneath the client has other names"


def test_a_connack_that_memory_cannot_hold_is_refused_with_that_reason():
    _, client = pair5()
    fault = raises(ProtocolError, handshake.take_connack, client, 0x20, bytearray(16), 17)
    equal((fault.reason, "17 B" in str(fault)), (0x95, True))
