"""The real MicroPython behind a virtual board: one process from one reset to the next."""

import json
import os
import select
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import List, Optional, Protocol

from tools.children import end_with_parent

AGENT = Path(__file__).with_name("agent.py")
_HEAD = struct.Struct("<BII")
SIGINT_APART_S = 0.05  # MicroPython ends on a second one that comes before it has seen the first
START_S = 120  # on a busy machine; in vain when the interpreter hangs
BUSY_S = 0.25  # a program that computes for so long is interrupted wherever it is
_HOST_HEAP_B = 600_000  # what the agent itself may take on top of the board's heap


class Died(Exception):
    """The interpreter ended by itself: machine.reset(), a crash. `status`: as subprocess has it."""

    def __init__(self, status: Optional[int], said: str = ""):
        super().__init__("the interpreter ended with status %s %s" % (status, said))
        self.status = status


class Listener(Protocol):
    """Who hears of the interpreter."""

    def printed(self, data: bytes) -> None: ...
    def done(self, error: bytes, exited: bool) -> None: ...  # a traceback or b""; ended by SystemExit
    def kept(self, rtc: bytes) -> None: ...  # RTC memory was written
    def resets(self, cause: int, sleep_ms: int) -> None: ...  # machine.reset(), machine.deepsleep()


def words_of_heap(micropython: str) -> int:
    """How many times what a board's objects take those of this MicroPython do: 2 where it is one of 64 bits."""
    asked = [micropython, "-c", "import sys; print(1 if sys.maxsize < 1 << 31 else 2)"]
    return int(subprocess.run(asked, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True).stdout or 2)


class Interpreter:
    """Starts MicroPython with this description of the board. Raises Died when it does not come up."""

    def __init__(
        self,
        micropython: str,
        description: dict,
        listener: Listener,
    ):
        self._listener = listener
        self._control, theirs = socket.socketpair()
        self._stdin, self._typed = os.pipe()
        self._number = 0
        self._begun = False
        self._interrupt = False
        self._interrupted = 0.0  # monotonic time of the last Ctrl-C
        self._inbox = b""
        # a collection takes as long as the heap is large
        heap_b = words_of_heap(micropython) * (description["free_heap"] + _HOST_HEAP_B)
        try:
            self._process = subprocess.Popen(
                [micropython, "-X", "heapsize=%d" % heap_b, str(AGENT), str(theirs.fileno())],
                stdin=self._stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                env={"MICROPYPATH": ""},
                bufsize=0,
                preexec_fn=end_with_parent,
            )
        finally:
            theirs.close()
        os.set_blocking(self._process.stdout.fileno(), False)
        self._post(b"I", json.dumps(description).encode())
        self._control.settimeout(START_S)
        while not self._inbox.startswith(b"D"):
            try:
                data = self._control.recv(4096)
            except OSError:  # no answer in time, or its end
                data = b""
            if not data:
                self._process.kill()
                self._process.wait()
                said = os.read(self._process.stdout.fileno(), 4096)
                self.kill()
                raise Died(self._process.returncode, said.decode("utf-8", "replace"))
            self._inbox += data
        self._inbox = b""

    def readers(self) -> List[int]:
        return [self._process.stdout.fileno(), self._control.fileno()]

    def ready(self, readable: List[int]) -> None:
        """Take what has come. Raises Died."""
        if self._process.stdout.fileno() in readable:
            self.output()
        if self._control.fileno() in readable:
            self._take()

    def output(self) -> None:
        """Hand on what the program has printed."""
        while True:
            try:
                data = os.read(self._process.stdout.fileno(), 65536)
            except BlockingIOError:
                return
            if not data:
                return
            self._listener.printed(data)

    def _take(self) -> None:
        try:
            data = self._control.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.output()
            raise Died(self._process.wait())
        self._inbox += data
        while len(self._inbox) >= _HEAD.size:
            kind, number, size_b = _HEAD.unpack_from(self._inbox)
            if len(self._inbox) < _HEAD.size + size_b:
                return
            data = self._inbox[_HEAD.size : _HEAD.size + size_b]
            self._inbox = self._inbox[_HEAD.size + size_b :]
            if number == self._number:  # else said twice, for a Ctrl-C fell into the saying
                self._heard(chr(kind), data)

    def _heard(self, kind: str, data: bytes) -> None:
        if kind == "B":
            self._begun = True
            if self._interrupt:
                self.interrupt()
        elif kind == "N":
            self._begun = False
        elif kind == "M":
            self._listener.kept(data)
        else:
            self._number += 1  # whatever comes with the old number is a repetition
            self.output()
            if kind == "R":
                self._listener.resets(*struct.unpack("<II", data))
            else:
                self._listener.done(data, kind == "X")

    def _post(self, kind: bytes, data: bytes) -> None:
        self._control.setblocking(True)
        self._control.sendall(_HEAD.pack(kind[0], self._number, len(data)) + data)

    def run(self, kind: bytes, source: bytes) -> None:
        """Run source: b"F" the file of that name, b"C" code, b"S" a line of the friendly REPL."""
        self._number += 1
        self._begun = self._interrupt = False
        self._post(kind, source)

    def interrupt(self) -> bool:
        """Ctrl-C. False when the program has switched it off (`micropython.kbd_intr(-1)`)."""
        if not self._begun:
            self._interrupt = True
            return True
        self._await_rest()
        if select.select([self._control], [], [], 0)[0]:  # it may have ended meanwhile
            self._take()
            if not self._begun:
                return True
        now = time.monotonic()
        if now - self._interrupted < SIGINT_APART_S:
            return True
        if not self._catches_sigint():
            return False
        self._interrupted = now
        self._process.send_signal(signal.SIGINT)
        return True

    def _await_rest(self) -> None:
        """Wait, a moment at most, until the interpreter sleeps in the system: the unix port raises KeyboardInterrupt
        out of the signal itself, and one that ends a garbage collection half way lets the next free what is in use."""
        end = time.monotonic() + BUSY_S
        while time.monotonic() < end:
            try:
                with open("/proc/%d/stat" % self._process.pid) as file:
                    if file.read().rpartition(") ")[2][:1] != "R":
                        return
            except OSError:
                return
            time.sleep(0.001)

    def _catches_sigint(self) -> bool:
        try:
            with open("/proc/%d/status" % self._process.pid) as file:
                caught = next(line.split()[1] for line in file if line.startswith("SigCgt:"))
        except (OSError, StopIteration):
            return False
        return bool(int(caught, 16) >> (signal.SIGINT - 1) & 1)

    def type(self, data: bytes) -> None:
        """Into the program's stdin. What does not fit is lost, as in a UART's buffer."""
        if select.select([], [self._typed], [], 0)[1]:
            os.write(self._typed, data)

    def untyped(self) -> bytes:
        """What was typed and not read by the program: the REPL's to take."""
        data = b""
        while select.select([self._stdin], [], [], 0)[0]:
            data += os.read(self._stdin, 4096)
        return data

    def kill(self) -> None:
        """Power off."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._control.close()
        os.close(self._stdin)
        os.close(self._typed)
