"""transport: which socket is asked for, and what the ports want to be asked. The other ways in which a socket fails
stand in story/test_connecting.py."""

import socket

import fakes.shim  # noqa: F401
from fakes.check import equal
from umqtt import transport

SOURCE_FORM_ONLY = "shipped, these names are others"


class Ports:
    """A socket module that notes what it was asked. found: what its look-up returns; only_looked_up: its `connect`
    takes nothing else, as the unix port's."""

    SOCK_STREAM = 77

    def __init__(self, found=(), only_looked_up=False):
        self.found = found
        self.only_looked_up = only_looked_up
        self.asked = []

    def getaddrinfo(self, *args):
        self.asked.append(("look up",) + args)
        return self.found

    def socket(self, *args):
        self.asked.append(("socket",) + args)
        return self

    def settimeout(self, timeout_s):
        self.asked.append(("timeout", timeout_s))

    def setsockopt(self, *args):
        self.asked.append(("option",) + args)

    def connect(self, address):
        if self.only_looked_up and not isinstance(address, bytes):
            raise TypeError("object with buffer protocol required")
        self.asked.append(("connect", address))


def with_ports(ports, call, *args):
    keep = transport.socket
    transport.socket = ports
    try:
        return call(*args)
    finally:
        transport.socket = keep


def test_an_address_needs_no_look_up_and_is_one_of_ipv4():
    address = transport.resolve("10.0.0.1", 1883, None)
    equal(address, (("10.0.0.1", 1883), socket.AF_INET, ("10.0.0.1", 1883), 0))


def test_a_name_is_looked_up_for_tcp_and_the_first_that_is_found_counts_with_its_family():
    ports = Ports([(10, 1, 0, "", b"first"), (2, 1, 0, "", b"second")])
    address = with_ports(ports, transport.resolve, "broker", 1883, None)
    equal(address[:3], (("broker", 1883), 10, b"first"))
    equal(with_ports(ports, transport.open_socket, address), ports)
    with_ports(ports, transport.connect, ports, address)
    equal(
        ports.asked,
        [
            ("look up", "broker", 1883, 0, 77),
            ("socket", 10),
            ("timeout", 0),
            ("option", 6, 1, 1),  # IPPROTO_TCP, TCP_NODELAY
            ("connect", b"first"),
        ],
    )


def test_a_port_whose_connect_takes_what_its_look_up_returns_gets_that():
    ports = Ports([(2, 1, 0, "", b"raw"), (2, 1, 0, "", b"other")], only_looked_up=True)
    with_ports(ports, transport.connect, ports, transport.resolve("10.0.0.1", 1883, None))
    equal(ports.asked, [("look up", "10.0.0.1", 1883, 0, 77), ("connect", b"raw")])


def test_link_errors_have_the_ports_number_or_that_of_any_input_and_output():
    import errno

    from umqtt.errors import link_error

    equal(link_error("ETIMEDOUT", "words").args, (errno.ETIMEDOUT, "words"))
    equal(link_error("ENOSUCHNAME", "words").args, (errno.EIO, "words"))
