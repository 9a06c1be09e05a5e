"""The name server of the cluster's nodes speaks epmd's protocol, and tells a link in the place of a node."""

import socket
import struct
import time

from tools.prove.epmd import NameServer


def ask(server, body):
    s = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    s.sendall(struct.pack(">H", len(body)) + body)
    return s


def register(server, name, port):
    body = struct.pack(">BHBBHH", 120, port, 77, 0, 6, 5) + struct.pack(">H", len(name)) + name + b"\0\0"
    s = ask(server, body)
    assert s.recv(6) == struct.pack(">BBI", 118, 0, 1)
    return s


def port_of(server, name):
    with ask(server, b"\x7a" + name) as s:
        got = s.recv(100)
    return struct.unpack(">H", got[2:4])[0] if got[1] == 0 else None


def test_a_node_is_known_while_its_connection_lasts_and_by_its_link_where_there_is_one():
    server = NameServer()
    try:
        assert port_of(server, b"rabbit1") is None
        node = register(server, b"rabbit1", 4711)
        assert port_of(server, b"rabbit1") == 4711
        server.routes["rabbit1"] = 4712
        assert port_of(server, b"rabbit1") == 4712
        with ask(server, b"n") as s:
            assert b"name rabbit1 at port 4711" in s.recv(200)
        node.close()
        end_s = time.monotonic() + 60
        while port_of(server, b"rabbit1"):
            assert time.monotonic() < end_s, "it is still known after its end"
    finally:
        server.close()


def test_nodes_of_another_server_are_found():
    one, two = NameServer(), NameServer()
    try:
        two.others = [one]
        with register(one, b"rabbit1", 4711):
            assert port_of(two, b"rabbit1") == 4711
    finally:
        one.close()
        two.close()
