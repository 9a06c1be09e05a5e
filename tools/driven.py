"""A program that is driven from outside, a line of Python at a time: host_tests/fakes/device.py, tools/prove/device.py.

It answers each line on its standard output: `= REPR` for a value, `! NAME (ARGS)` for an exception.
"""

import ast
import os
import re
import select
import subprocess
import time
from typing import Any, Tuple


class DeviceError(Exception):
    """What the code in the program raised: `kind` is the class's name, `given` the exception's arguments."""

    def __init__(self, kind: str, given: Tuple) -> None:
        super().__init__("%s%r" % (kind, given))
        self.kind = kind
        self.given = given


class NoAnswer(AssertionError):
    """The program has ended, says nothing in time, or something else; the words say which."""


class Driven:
    """process: its standard input and output are pipes without a buffer."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self._read = b""

    def do(self, code: str, timeout_s: float = 30) -> Any:
        """Run a line; its value, a str where it is no literal. Blocks. Raises DeviceError, NoAnswer."""
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(code.encode() + b"\n")
        except OSError:
            raise NoAnswer("it has ended before: " + code) from None
        end_s = time.monotonic() + timeout_s
        while b"\n" not in self._read:
            left_s = end_s - time.monotonic()
            if left_s <= 0 or not select.select([self.process.stdout], [], [], left_s)[0]:
                raise NoAnswer("no answer to %s in %d s" % (code, timeout_s))
            got = os.read(self.process.stdout.fileno(), 65536)
            if not got:
                raise NoAnswer("it ended at: " + code)
            self._read += got
        line, _, self._read = self._read.partition(b"\n")
        text = line.decode()
        if text.startswith("= "):
            try:
                return ast.literal_eval(text[2:])
            except (ValueError, SyntaxError):
                return text[2:]
        match = re.match(r"! (\w+) (.*)", text)
        if match:
            raise DeviceError(match.group(1), ast.literal_eval(match.group(2)))
        raise NoAnswer("it said: " + text)
