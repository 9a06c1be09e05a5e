"""The link between the board of `make run` and its broker: a relay on loopback that can be cut and mended."""

import contextlib
import socket
import struct
import threading
from typing import Set

_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: close() resets the connection


class Link:
    """`with Link(target_port) as link:` listens on `link.port`. While `is_cut` every connection is reset."""

    def __init__(self, target_port: int):
        self.target_port = target_port
        self.is_cut = False
        self._open: Set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> "Link":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def cut(self) -> None:
        """Reset what is open, and refuse what comes, until mend()."""
        with self._lock:
            self.is_cut = True
            for sock in self._open:
                _reset(sock)

    def mend(self) -> None:
        self.is_cut = False

    def _accept(self) -> None:
        while True:
            try:
                board, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._carry, args=(board,), daemon=True).start()

    def _carry(self, board: socket.socket) -> None:
        try:
            broker = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
            broker.settimeout(None)
        except OSError:  # the broker is down
            _reset(board)
            board.close()
            return
        for sock in (board, broker):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open |= {board, broker}
            if self.is_cut:
                _reset(board)
                _reset(broker)
        back = threading.Thread(target=_copy, args=(broker, board), daemon=True)
        back.start()
        _copy(board, broker)
        back.join()
        with self._lock:
            self._open -= {board, broker}
        board.close()
        broker.close()

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._listener.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while True:
            data = source.recv(4096)
            if not data:
                break
            target.sendall(data)
    except OSError:
        pass
    for sock in (source, target):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _reset(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        sock.shutdown(socket.SHUT_RDWR)
