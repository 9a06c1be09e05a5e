"""`ssl` for the programs of examples/, as micropython-lib's, which a board has frozen: contexts over those of `tls`."""

import tls
from tls import *  # noqa: F403


class SSLContext:
    def __init__(self, protocol):
        self._inner = tls.SSLContext(protocol)
        self._inner.verify_mode = tls.CERT_NONE
        self.wrap_socket = self._inner.wrap_socket

    def __setattr__(self, name, value):
        if name == "verify_mode":
            self._inner.verify_mode = value
        else:
            super().__setattr__(name, value)

    def load_verify_locations(self, cafile=None, cadata=None):
        self._inner.load_verify_locations(content(cafile) if cafile else cadata)

    def load_cert_chain(self, certfile, keyfile):
        self._inner.load_cert_chain(content(certfile), content(keyfile))


def content(given):
    if not isinstance(given, str):
        return given
    with open(given, "rb") as file:
        return file.read()
