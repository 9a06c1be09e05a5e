"""The exceptions of the library, and OSErrors in words. Imports nothing of ours."""

import errno


class MQTTException(Exception):
    """The broker said no: args are (code, reason in words). CONNACK codes 1 to 5 [3.2.2.3], 0x80 from a SUBACK
    [3.9.3]. `payload`: of a message that `on_refused` is told of as over a quota (0x97)."""

    payload: "bytes | bytearray | memoryview | str"


class ProtocolError(MQTTException):
    """The broker broke the protocol: args are (broken rule in words,). The connection is closed, the session is
    sound."""


def link_error(name: str, words: str) -> OSError:
    """An OSError with this port's number for errno `name`: ETIMEDOUT is 110, 116 or absent (then EIO, 5)."""
    return OSError(getattr(errno, name, 5), words)
