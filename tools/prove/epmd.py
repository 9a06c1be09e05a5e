"""A name server of Erlang's distribution (epmd) on a free port, so that no other Erlang of this machine is met.

It may name a link in the place of a node's own port: that is how two nodes of a cluster are cut off from each other.
"""

from __future__ import annotations

import socketserver
import struct
import threading
from typing import Dict

from tools.broker import free_port

ALIVE2_REQ, ALIVE2_X_RESP, ALIVE2_RESP = 120, 118, 121
PORT_PLEASE2_REQ, PORT2_RESP = 122, 119
NAMES_REQ = 110


class _Talk(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        head = self._exactly(2)
        if not head:
            return
        body = self._exactly(struct.unpack(">H", head)[0])
        names: NameServer = self.server.names  # type: ignore[attr-defined]
        if not body:
            return
        if body[0] == ALIVE2_REQ:
            port, name_b = struct.unpack(">H", body[1:3])[0], struct.unpack(">H", body[9:11])[0]
            name = body[11 : 11 + name_b].decode()
            names.nodes[name] = body
            names.own_ports[name] = port
            is_new = body[5] << 8 | body[6] >= 6
            answer = struct.pack(">BBI", ALIVE2_X_RESP, 0, 1) if is_new else struct.pack(">BBH", ALIVE2_RESP, 0, 1)
            self.request.sendall(answer)
            self.request.recv(1)  # the node is there as long as this connection is
            names.nodes.pop(name, None)
        elif body[0] == PORT_PLEASE2_REQ:
            name = body[1:].decode()
            known = names.known(name)
            if known is None:
                self.request.sendall(struct.pack(">BB", PORT2_RESP, 1))
            else:
                self.request.sendall(struct.pack(">BBH", PORT2_RESP, 0, names.route(name)) + known[3:])
        elif body[0] == NAMES_REQ:
            lines = "".join("name %s at port %d\n" % (n, names.own_ports[n]) for n in list(names.nodes))
            self.request.sendall(struct.pack(">I", names.port) + lines.encode())

    def _exactly(self, count: int) -> bytes:
        got = b""
        while len(got) < count:
            more = self.request.recv(count - len(got))
            if not more:
                return b""
            got += more
        return got


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class NameServer:
    """`port` is what ERL_EPMD_PORT says to a node. `shares`: a dict of NameServers that know each other's nodes.

    routes: node's short name -> the port that this server tells for it, in the place of the node's own.
    """

    def __init__(self) -> None:
        self.nodes: Dict[str, bytes] = {}
        self.own_ports: Dict[str, int] = {}
        self.routes: Dict[str, int] = {}
        self.others: list = []
        self._server = _Server(("127.0.0.1", 0), _Talk)
        self._server.names = self  # type: ignore[attr-defined]
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def port_of(self, name: str) -> int:
        """The port that a node is to listen on; it is the same at each of its starts."""
        return self.own_ports.setdefault(name, free_port())

    def known(self, name: str):
        """What the node said when it came, also to another server; None when it is not there."""
        for names in (self, *self.others):
            if name in names.nodes:
                return names.nodes[name]
        return None

    def route(self, name: str) -> int:
        """The port to reach a node at."""
        if name in self.routes:
            return self.routes[name]
        for names in (self, *self.others):
            if name in names.nodes:
                return names.own_ports[name]
        return 0

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
