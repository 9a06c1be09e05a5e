"""AUTH [5.0: 4.12], for a client of umqtt.v5 that is given `authentication`."""

from micropython import const

from umqtt import wire
from umqtt.errors import link_error
from umqtt.properties import AUTH_DATA, BROKEN, IN_AUTH, METHOD, TO_AUTH, broken, encode, found_in
from umqtt.wire import IN_USE

_AUTH_BYTE = const(0xF0)
_CONTINUE = const(0x18)
_AGAIN = const(0x19)
_NOT_AUTHORISED = const(0x87)
_NO_REASON = const(0)  # before CONNECT nothing else may leave


class Authentication:
    """method and f as the client was given them."""

    def __init__(self, method, f):
        self.method = method
        self.f = f

    def answer(self, data):
        """What f answers to the broker's data. Raises ProtocolError for anything that f raises, and for what is no
        data."""
        try:
            answer = self.f(data)
            if answer is not None:
                wire.text(answer, wire.ANY_BYTES, "data")
            return answer
        except Exception as wrong:
            raise broken("authentication: %s" % wrong, _NO_REASON if data is None else _NOT_AUTHORISED)

    def go_on(self, client, buf, length) -> None:
        """An AUTH came. Raises ProtocolError."""
        found = found_in(buf, 1, length, IN_AUTH)
        code = buf[0] if length else 0
        if code not in (0, _CONTINUE) or not (client._link_up or code) or length and found.get(METHOD) != self.method:
            raise broken("AUTH out of place", BROKEN)
        data = self.answer(found.get(AUTH_DATA))
        if code:
            self._send(client, _CONTINUE, data)

    def again(self, client) -> None:
        """Begin anew on the connection that is up. Raises OSError."""
        if not client._link_up:
            raise link_error("ENOTCONN", "not connected")
        data = self.answer(None)
        client._hold()
        try:
            self._send(client, _AGAIN, data)
        finally:
            client._draft[IN_USE] = 0

    def _send(self, client, code, data):
        own = {METHOD: self.method}
        if data is not None:
            own[AUTH_DATA] = data
        client._send_packet([0, _AUTH_BYTE, bytes((code,)) + encode(own, TO_AUTH), b""])
