"""A TCP link on loopback between clients and one server: it keeps every byte with its time, and fails when told to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Callable, List, Optional, Tuple

CLIENT = "C"
BROKER = "B"
READ_B = 65536
CALL_TIMEOUT_S = 60
POLL_S = 0.02


@dataclass
class Cut:
    """A connection ends after so many bytes in both directions together; by RST, else by FIN."""

    after_b: int
    by_reset: bool


@dataclass
class Connection:
    """One connection as it went over the link. `chunks`: (seconds, CLIENT or BROKER, bytes) in their order."""

    number: int
    began_s: float
    ended_s: float = 0.0
    ended_by: str = ""  # CLIENT, BROKER, or "link" when it was cut here
    refused: bool = False  # the server behind the link did not take it
    chunks: List[Tuple[float, str, bytes]] = field(default_factory=list)


class Link:
    """`port` leads to target_port. Its methods may be called from any thread; they take effect before they return.

    plan: called for each new connection, says when it is cut (None: never). keep_bytes: False where many clients
    would fill the memory.
    """

    def __init__(self, target_port: int, keep_bytes: bool = True) -> None:
        self.target_port = target_port
        self.keep_bytes = keep_bytes
        self.plan: Optional[Callable[[], Optional[Cut]]] = None
        self.connections: List[Connection] = []
        self.port = 0
        self._silent = False
        self._refusing = False
        self._open: dict = {}  # Connection: its two writers
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._main, args=(started,), daemon=True)
        self._thread.start()
        if not started.wait(CALL_TIMEOUT_S):
            raise RuntimeError("the link does not start")

    def _main(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        started.set()
        self._loop.run_forever()
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1000)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(len(self.connections), time.monotonic())
        self.connections.append(connection)
        writers = [writer]
        self._open[connection.number] = (connection, writers)
        try:
            early = b""
            if self._silent:
                # of a cable that is pulled no connection comes about: who has given up until then never was there
                early, is_there = await self._hold(reader)
                if not is_there:
                    return
            try:
                up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
            except OSError:
                connection.refused = True
                _reset(writer)
                return
            writers.append(up_writer)
            if early:
                connection.chunks += [(time.monotonic(), CLIENT, early)] if self.keep_bytes else []
                up_writer.write(early)
            budget = [None, False]
            cut = self.plan() if self.plan else None
            if cut:
                budget = [cut.after_b, cut.by_reset]
            first = asyncio.ensure_future(self._copy(connection, CLIENT, reader, up_writer, budget))
            second = asyncio.ensure_future(self._copy(connection, BROKER, up_reader, writer, budget))
            await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
            for task in (first, second):
                task.cancel()
            await asyncio.gather(first, second, return_exceptions=True)
            if connection.ended_by == "link" and budget[1]:
                for each in writers:
                    _reset(each)
        finally:
            connection.ended_s = time.monotonic()
            connection.ended_by = connection.ended_by or "link"
            self._open.pop(connection.number, None)
            for each in writers:
                with contextlib.suppress(OSError, RuntimeError):
                    each.close()

    async def _hold(self, reader: asyncio.StreamReader) -> Tuple[bytes, bool]:
        """Wait until the silence is over: what the client has sent, and whether it is still there."""
        early = await reader.read(READ_B)
        while self._silent:
            await asyncio.sleep(POLL_S)
        try:
            more = await asyncio.wait_for(reader.read(READ_B), POLL_S)
        except (asyncio.TimeoutError, ConnectionError) as error:
            return early, isinstance(error, asyncio.TimeoutError)
        return early + more, bool(more)

    async def _copy(self, connection, by, reader, writer, budget) -> None:
        try:
            while True:
                data = await reader.read(READ_B)
                while self._silent:
                    await asyncio.sleep(POLL_S)
                if not data:
                    connection.ended_by = connection.ended_by or by
                    with contextlib.suppress(OSError):  # what is under way to the other side arrives before its FIN
                        await writer.drain()
                    return
                if budget[0] is not None:
                    data = data[: max(0, budget[0])]
                    budget[0] -= len(data)
                if self.keep_bytes:
                    connection.chunks.append((time.monotonic(), by, data))
                writer.write(data)
                await writer.drain()
                if budget[0] is not None and budget[0] <= 0:
                    connection.ended_by = "link"
                    return
        except (OSError, ConnectionError):
            connection.ended_by = connection.ended_by or by

    def _call(self, coroutine) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(CALL_TIMEOUT_S)

    def cut_all(self, by_reset: bool = True) -> int:
        """End all connections. Returns how many there were."""
        count = len(self._open)

        async def cut() -> None:
            for connection, writers in list(self._open.values()):
                connection.ended_by = "link"
                for writer in writers:
                    _reset(writer) if by_reset else writer.close()

        self._call(cut())
        return count

    def refuse(self) -> None:
        """End all connections and take none until `accept`: the port is closed."""

        async def close() -> None:
            self._server.close()

        if not self._refusing:
            self._refusing = True
            self._call(close())
            self.cut_all()

    def accept(self) -> None:
        """Undo `refuse` and `silence`."""
        self._silent = False
        if self._refusing:
            self._call(self._listen())
            self._refusing = False

    def silence(self) -> None:
        """Forward nothing more, and end nothing: a cable that was pulled. New connections hear nothing."""
        self._silent = True

    def open_count(self) -> int:
        """Connections that are open now."""
        return len(self._open)

    def close(self) -> None:
        """End all connections and the thread."""

        async def end() -> None:
            self._server.close()
            self._silent = False
            for _, writers in list(self._open.values()):
                for writer in writers:
                    _reset(writer)
            for _ in range(int(CALL_TIMEOUT_S / POLL_S)):
                if not self._open:
                    break
                await asyncio.sleep(POLL_S)  # each connection ends by itself, and notes that it did

        self._call(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_TIMEOUT_S)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close by RST: a link that failed, not one that was closed."""
    sock = writer.transport.get_extra_info("socket")
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
