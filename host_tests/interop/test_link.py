"""The link of `make interop` and `make fleet`: it carries bytes, keeps them, and fails as a network fails."""

import socket
import threading

import pytest

from tools.prove.link import BROKER, CLIENT, Cut, Link


class Echo:
    """A server that sends back what it hears; `heard` counts its connections that sent something."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.heard = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with connection:
            try:
                while data := connection.recv(1000):
                    self.heard.append(data)
                    connection.sendall(data)
            except OSError:
                pass

    def close(self):
        self.socket.close()


@pytest.fixture
def echo():
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def link(echo):
    made = Link(echo.port)
    yield made
    made.close()


def dial(link):
    return socket.create_connection(("127.0.0.1", link.port), timeout=60)


def test_it_carries_bytes_both_ways_and_keeps_them(link):
    with dial(link) as s:
        s.sendall(b"hello")
        assert s.recv(10) == b"hello"
    assert [(by, data) for _, by, data in link.connections[0].chunks] == [(CLIENT, b"hello"), (BROKER, b"hello")]


def test_a_planned_cut_comes_after_so_many_bytes_of_both_directions(link):
    link.plan = lambda: Cut(7, True)
    with dial(link) as s:
        s.sendall(b"hello")
        with pytest.raises(ConnectionResetError):
            while s.recv(10):
                pass
    assert b"".join(data for _, _, data in link.connections[0].chunks) == b"hellohe"
    assert link.connections[0].ended_by == "link"


def test_refused_is_a_closed_port_and_accept_opens_the_same_one(link):
    with dial(link) as s:
        s.sendall(b"x")
        assert s.recv(1) == b"x"
        link.refuse()
        with pytest.raises(ConnectionResetError):
            s.recv(1)
        with pytest.raises(ConnectionRefusedError):
            dial(link)
    link.accept()
    with dial(link) as s:
        s.sendall(b"y")
        assert s.recv(1) == b"y"


def test_in_silence_nothing_arrives_and_who_has_given_up_was_never_there(link, echo):
    with dial(link) as s:
        s.sendall(b"old")
        assert s.recv(3) == b"old"
        link.silence()
        s.sendall(b"late")
        with dial(link) as gone:
            gone.sendall(b"ghost")
        with dial(link) as waiting:
            waiting.sendall(b"new")
            waiting.settimeout(0.2)
            with pytest.raises(socket.timeout):
                waiting.recv(3)
            link.accept()
            waiting.settimeout(60)
            assert waiting.recv(3) == b"new"
        assert s.recv(4) == b"late"
    assert b"ghost" not in echo.heard
