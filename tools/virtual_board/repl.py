"""MicroPython's REPL as a terminal sees it: friendly, paste, raw and raw-paste mode.

Bytes from the port in (`feed`), text out through `send`; what is to be run goes to the `engine`, which calls
`finished` when it has ended. Holds no interpreter and does no I/O.
"""

import struct
from typing import Callable, Protocol

WINDOW_B = 128  # of raw-paste mode, as on the boards
_RAW_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
_COMPOUND = ("if", "while", "for", "try", "with", "def", "class", "async", "@", "else", "elif")


class Engine(Protocol):
    """What runs the code."""

    def start(self, source: bytes, interactive: bool) -> None: ...
    def interrupt(self) -> bool: ...  # False when the program has switched Ctrl-C off
    def type(self, data: bytes) -> None: ...  # into the running program's stdin
    def soft_reset(self, run_main: bool) -> None: ...


def wants_more(source: str) -> bool:
    """Whether the friendly REPL waits for another line after `source`."""
    lines = source.split("\n")
    quote, depth, at = "", 0, 0
    while at < len(source):
        rest = source[at:]
        if quote:
            if rest[0] == "\\":
                at += 1
            elif rest.startswith(quote):
                at += len(quote) - 1
                quote = ""
            elif rest[0] == "\n" and len(quote) == 1:
                quote = ""  # an unfinished string is the compiler's to refuse
        elif rest[0] == "#":
            at = source.find("\n", at)
            if at < 0:
                break
        elif rest[0] in "'\"":
            quote = rest[0] * 3 if rest.startswith(rest[0] * 3) else rest[0]
            at += len(quote) - 1
        elif rest[0] in "([{":
            depth += 1
        elif rest[0] in ")]}":
            depth -= 1
        at += 1
    if len(quote) == 3 or depth > 0 or source.endswith("\\"):
        return True
    first = lines[0].split(" ")[0].split(":")[0]
    compound = first in _COMPOUND or lines[0].startswith("@")
    return compound and lines[-1].strip() != ""


class Repl:
    """One terminal. `banner` is what the friendly REPL says when it begins."""

    def __init__(self, send: Callable[[bytes], None], engine: Engine, banner: bytes):
        self._send = send
        self._engine = engine
        self._banner = banner
        self.mode = "friendly"
        self.running = ""  # "", "startup", "raw" or "line"
        self.is_off = False  # the board was reset: the bytes that follow are lost
        self._line = b""
        self._block = b""
        self._window = 0
        self._modes = {
            "friendly": self._friendly,
            "paste": self._paste,
            "raw": self._raw,
            "raw-paste": self._raw_paste,
        }

    @property
    def idle_at_prompt(self) -> bool:
        """Whether the friendly REPL waits at an empty line."""
        return self.mode == "friendly" and not self.running and not self._line

    def startup(self) -> None:
        """The board has begun to run boot.py and main.py."""
        self._line = self._block = b""
        self.running = "startup"

    def ready(self) -> None:
        """boot.py and main.py have ended: show the prompt."""
        self.running = ""
        self._send(_RAW_BANNER if self.mode == "raw" else self._banner + b">>> ")

    def finished(self, error: bytes, exited: bool) -> None:
        """The code that was started has ended, with this traceback or none; `exited`: by SystemExit."""
        raw, self.running = self.running == "raw", ""
        self._send(b"\x04" + error + b"\x04" if raw else error)
        if exited:
            self._soft_reset()
            return
        self._send(b">" if raw else b">>> ")

    def feed(self, data: bytes) -> None:
        """Take what the host typed."""
        for i in range(len(data)):
            if self.is_off:
                return
            char = data[i : i + 1]
            if not self.running:
                self._modes[self.mode](char)
            elif char != b"\x03" or not self._engine.interrupt():
                self._engine.type(char)  # what the program does not read is fed to us when it ends

    def _start(self, source: bytes, why: str, interactive: bool = False) -> None:
        self.running = why
        self._engine.start(source, interactive)

    def _soft_reset(self) -> None:
        self._send(b"MPY: soft reboot\r\n")
        self._engine.soft_reset(self.mode != "raw")

    def _to_friendly(self) -> None:
        self.mode, self._line, self._block = "friendly", b"", b""
        self._send(b"\r\n" + self._banner + b">>> ")

    def _raw(self, char: bytes) -> None:
        if char == b"\x01" and self._line == b"\x05A":
            self.mode, self._line, self._window = "raw-paste", b"", WINDOW_B
            self._send(b"R\x01" + struct.pack("<H", WINDOW_B) + b"\x01")
        elif char == b"\x01":
            self._line = b""
            self._send(_RAW_BANNER)
        elif char == b"\x02":
            self._to_friendly()
        elif char == b"\x03":
            self._line = b""
        elif char == b"\x04":
            source, self._line = self._line, b""
            self._send(b"OK")
            if source:
                self._start(source, "raw")
            else:
                self._send(b"\r\n")
                self._soft_reset()
        else:
            self._line += char

    def _raw_paste(self, char: bytes) -> None:
        if char == b"\x04":
            source, self._line, self.mode = self._line, b"", "raw"
            self._send(b"\x04")
            self._start(source, "raw")
        elif char == b"\x03":
            self._line, self.mode = b"", "raw"
            self._send(b"\x04\x04\x04>")
        else:
            self._line += char
            self._window -= 1
            if not self._window:
                self._window = WINDOW_B
                self._send(b"\x01")

    def _paste(self, char: bytes) -> None:
        if char == b"\x04":
            source, self._line, self.mode = self._line.replace(b"\r", b"\n"), b"", "friendly"
            self._send(b"\r\n")
            self._start(source, "line")
        elif char == b"\x03":
            self._line, self.mode = b"", "friendly"
            self._send(b"\r\n>>> ")
        else:
            self._line += char
            self._send(b"\r\n=== " if char == b"\r" else char)

    def _friendly(self, char: bytes) -> None:
        if char == b"\x01":
            self.mode, self._line, self._block = "raw", b"", b""
            self._send(b"\r\n" + _RAW_BANNER)
        elif char == b"\x02":
            self._to_friendly()
        elif char == b"\x03":
            self._line = self._block = b""
            self._send(b"\r\n>>> ")
        elif char == b"\x04" and not self._line:
            self._send(b"\r\n")
            self._soft_reset()
        elif char == b"\x05":
            self.mode, self._line = "paste", b""
            self._send(b"\r\npaste mode; Ctrl-C to cancel, Ctrl-D to finish\r\n=== ")
        elif char in b"\x7f\x08":
            if self._line:
                self._line = self._line[:-1]
                self._send(b"\b \b")
        elif char == b"\r":
            self._enter()
        elif char >= b" " or char == b"\t":
            self._line += char
            self._send(char)

    def _enter(self) -> None:
        self._send(b"\r\n")
        source, self._line = self._block + self._line, b""
        if not source.strip():
            self._block = b""
            self._send(b">>> ")
        elif wants_more(source.decode("utf-8", "replace")):
            self._block = source + b"\n"
            self._send(b"... ")
        else:
            self._block = b""
            self._start(source, "line", interactive=True)
