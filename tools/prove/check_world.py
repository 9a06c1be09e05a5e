"""What a check of `make interop` works with: a broker behind a link, boards that it drives, an independent client."""

from __future__ import annotations

import contextlib
import queue
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import paho.mqtt.client as paho

from tools.driven import Driven, NoAnswer
from tools.prove.broker_makes import Server
from tools.prove.link import Connection, Link
from tools.prove.witness import Packet, packets

DEVICE = Path(__file__).with_name("device.py")
HEAP_KB = 128  # an ESP32 has about that; the compiled library and the program of a check take 40
ANSWER_S = 20
SETTLE_S = 0.4


class Failed(Exception):
    """A check did not hold; the words say what happened."""


class NotOffered(Exception):
    """The broker has no such thing, or not as it is configured here."""


class Board(Driven):
    """device.py under MicroPython."""

    def __init__(self, interpreter: str, library: Path) -> None:
        process = subprocess.Popen(
            [interpreter, "-X", "heapsize=%dk" % HEAP_KB, str(DEVICE), str(library)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
        )  # fmt: skip
        super().__init__(process)

    def do(self, code: str, timeout_s: float = 40) -> Any:
        """Run a line of Python on the board; its value. Raises DeviceError, and Failed when nothing comes back."""
        try:
            return super().do(code, timeout_s)
        except NoAnswer as error:
            raise Failed("the board: %s" % error) from None

    def serve(self, ms: int, until: str = "", client: str = "c") -> bool:
        """Let its client work for ms, or until an expression is true."""
        return bool(self.do("serve(%s, %d%s)" % (client, ms, ", lambda: " + until if until else ""), ms / 1000 + 20))

    def inbox(self) -> List[Tuple]:
        """What its callback got so far: (topic, payload, retained)."""
        return self.do("inbox")

    def freeze(self) -> None:
        """Stop the process as it stands; its connection stays open."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Cut its power. The kernel closes its connection."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()


class Observer:
    """paho-mqtt at the broker, over a link that only listens. What comes is (topic, payload, qos, retained)."""

    def __init__(self, server: Server, filters: str, qos: int, client_id: str) -> None:
        self.link = Link(server.port)
        self.messages: queue.Queue[Tuple] = queue.Queue()
        self.seen: List[Tuple] = []
        ready = threading.Event()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id, clean_session=True)
        if server.login:
            self.client.username_pw_set(*server.login)
        self.client.max_queued_messages_set(0)
        self.client.on_message = lambda _c, _u, message: self.messages.put(
            (message.topic, message.payload, message.qos, bool(message.retain))
        )
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.on_connect = lambda client, *_: client.subscribe(filters, qos) if filters else ready.set()
        self.client.connect("127.0.0.1", self.link.port)
        self.client.loop_start()
        if not ready.wait(ANSWER_S):
            self.close()
            raise Failed("the independent client is not let in or not subscribed")

    def publish(self, topic: str, payload: Any, qos: int = 0, retain: bool = False) -> None:
        """Publish; returns when it is acknowledged, or after ANSWER_S."""
        self.client.publish(topic, payload, qos, retain).wait_for_publish(ANSWER_S)

    def take(self, timeout_s: float = ANSWER_S) -> Tuple:
        """The next message. Raises Failed."""
        try:
            self.seen.append(self.messages.get(timeout=timeout_s))
        except queue.Empty:
            raise Failed("nothing arrived in %g s%s" % (
                timeout_s, ", after %r" % (self.seen[-1],) if self.seen else "")) from None  # fmt: skip
        return self.seen[-1]

    def quiet(self, time_s: float = SETTLE_S) -> List[Tuple]:
        """What is there, and what comes until nothing has come for time_s."""
        got = []
        while True:
            try:
                got.append(self.messages.get(timeout=time_s))
            except queue.Empty:
                return got

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        self.link.close()


class World:
    """One check's: a link of its own to the broker, names that no other check uses."""

    def __init__(self, server: Server, interpreter: str, library: Path, name: str) -> None:
        self.server, self.interpreter, self.library = server, interpreter, library
        self.name = name
        self.link = Link(server.port)
        self.remarks: List[str] = []  # true of the broker, and no failure
        self.was_frozen = False
        self._made: List[Any] = []

    def board(self, make: bool = True, client_id: str = "", **arguments: Any) -> Board:
        """A board; with `make` its client is `c`, not yet connected. arguments: of MQTTClient."""
        board = Board(self.interpreter, self.library)
        self._made.append(board)
        if make:
            self.client(board, client_id or "%s-%d" % (self.name, len(self._made)), **arguments)
        return board

    def client(self, board: Board, client_id: str, **arguments: Any) -> None:
        """Make `c` on the board, with the broker's login and the callback that keeps what comes."""
        words: Dict[str, str] = {}
        if self.server.login:
            words = {"user": repr(self.server.login[0]), "password": repr(self.server.login[1])}
        for key, value in arguments.items():
            words[key] = value if key == "reconnect" else repr(value)
        board.do("c = MQTTClient(%r, '127.0.0.1', %d, %s)" % (
            client_id, self.link.port, ", ".join("%s=%s" % item for item in words.items())))  # fmt: skip
        board.do("c.set_callback(keep)")

    def observer(self, filters: str = "", qos: int = 2) -> Observer:
        observer = Observer(self.server, filters, qos, "obs-%s-%d" % (self.name, len(self._made)))
        self._made.append(observer)
        return observer

    def observed(self) -> List[Connection]:
        """What passed between the broker and the independent clients."""
        return [connection for made in self._made if isinstance(made, Observer) for connection in made.link.connections]

    def packets(self, connection: Optional[Connection] = None) -> List[Packet]:
        """What passed the link, in one connection or in all."""
        which = [connection] if connection else list(self.link.connections)
        return [packet for connection in which for packet in packets(connection)]

    def sent(self, name: str, by: str) -> List[Packet]:
        return [packet for packet in self.packets() if packet.name == name and packet.by == by]

    def close(self) -> None:
        for made in self._made:
            made.close()
        self.link.close()


def must(holds: Any, words: str) -> None:
    """Raises Failed with the words unless it holds."""
    if not holds:
        raise Failed(words)


def wait_for(holds: Any, timeout_s: float, words: str) -> None:
    """Wait until holds() is true; Failed with the words when it does not come true."""
    end_s = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > end_s:
            raise Failed(words)
        time.sleep(0.02)
