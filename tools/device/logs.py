"""`make logs`: what the board's program says on its serial port, until Ctrl-C. The program goes on running.

Tracebacks are told in the names of the source at hand (tools/ship/translate.py).
Exit status: 0 after Ctrl-C or --seconds, 1 when something is wrong, in words; 2 no board.
"""

import codecs
import re
import sys
import time
from typing import Callable, List, Optional

import serial

from tools.device.serial_port import (
    GONE,
    ToolError,
    add_wait,
    boards,
    choose,
    in_words,
    parser,
    repl,
    run_tool,
    seconds,
)
from tools.foreground import own_foreground
from tools.printable import printable
from tools.ship import ShipError
from tools.ship.translate import Translator, is_told

QUIET_S = 5.0  # after so long it is said what may be wrong
LONGEST = 1000  # a line longer than that is shown as far as it is: it may be none, and never end
IDLE_S = 0.3  # a line that has not ended by then is shown as far as it is: a prompt
# ESP-IDF's log, with its level or (from its WiFi library) without, and what the ROM says of a start. The firmware has
# a space after its colons.
_CHIP = re.compile(
    r"(\\x1b\[[\d;]*m)?([EWIDV] \(\d+\) |wifi:\S|phy_init:|ets [A-Z]|rst:0x|configsip:|clk_drv:|mode:|load:0x|entry 0x"
    r"|ho \d|invalid header)"
)
_NO_TEXT = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f\ufffd]")
NOISE_WORDS = (
    "what comes is no text: a program that sends bytes, another baud rate than 115200, a bad cable, or a supply that"
    " breaks down. RESET shows whether the start is readable"
)
CHIP_WORDS = "lines marked [chip] are the chip's own system's (ESP-IDF), not the firmware's"


def marked(line: str) -> str:
    """A printable line of a board's log: [chip] stands before one that is not the firmware's."""
    return "[chip] " + line if _CHIP.match(line) else line


class Lines:
    """Bytes of a board in, lines on the terminal out, each as `translated` has it."""

    def __init__(self, translated: Callable[[str], str] = str) -> None:
        self.translated = translated
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.text = ""
        self.begun = False  # a part of the line is on the terminal
        self.told = False
        self.strange = self.heard = 0  # signs of late: those of no text, all
        self.told_noise = False

    def feed(self, data: bytes) -> None:
        """Show the lines that are whole."""
        came = self.decoder.decode(data)
        *lines, self.text = (self.text + came).replace("\r\n", "\n").split("\n")
        for line in lines:
            self._show(line.rstrip("\r"), "\n")
        if len(self.text) > LONGEST:
            self.idle()
        self.strange = self.strange * 7 // 8 + len(_NO_TEXT.findall(came))
        self.heard = self.heard * 7 // 8 + len(came)
        if self.heard > LONGEST and self.strange * 4 > self.heard and not self.told_noise:
            self.told_noise = True
            note(NOISE_WORDS)

    def idle(self) -> None:
        """Show a line that has not ended."""
        if self.text and not self.text.endswith("\r"):
            text, self.text = self.text, ""
            self._show(text, "")

    def _show(self, line: str, end: str) -> None:
        line = printable(line)
        if not self.begun:
            line = marked(self.translated(line))
        if line.startswith("[chip] ") and not self.told:
            self.told = True
            note(CHIP_WORDS)
        self.begun = not end
        print(line, end=end, flush=True)


def note(text: str) -> None:
    """Our own word beside the board's."""
    print("logs: " + text, file=sys.stderr, flush=True)


def opened(port: str):
    """The port, open; opening it does not reset the board. Raises SerialException, OSError, ToolError."""
    try:
        device = serial.serial_for_url(port, baudrate=115200, timeout=0.1, exclusive=True, do_not_open=True)
        device.dtr = device.rts = False
        device.open()
    except GONE as error:
        if "lock" in str(error) or "busy" in str(error) or isinstance(error, PermissionError):
            raise ToolError(in_words(port, OSError("port in use"))) from None
        raise
    return device


class SourceNames:
    """The lines of a traceback in the names of the source at hand, which is read when the first one comes."""

    def __init__(self) -> None:
        self.translator: Optional[Translator] = None

    def line(self, text: str) -> str:
        if not is_told(text):
            return text
        if not self.translator:
            try:
                self.translator = Translator()
            except ShipError as error:
                note("tracebacks are shown as the board has them, for the source here cannot be shipped: %s" % error)
                self.translator = Translator({"folder": "", "functions": {}, "inlined": {}, "attributes": {}})
        return self.translator.line(text)


def follow(port: str, limit_s: float) -> None:
    """Print every line as it comes; a port that goes away is followed back. Raises ToolError."""
    end = time.monotonic() + limit_s if limit_s else float("inf")
    lines = Lines(SourceNames().line)
    try:
        device = opened(port)
    except GONE as error:
        raise ToolError(in_words(port, error)) from None
    heard = time.monotonic()
    told = False
    while time.monotonic() < end:
        try:
            data = device.read(device.in_waiting or 1)
        except GONE:
            device.close()
            lines.idle()
            note("%s went away: unplugged, or a board with a USB of its own that sleeps. Waiting for it" % port)
            device = _back(port, end)
            if not device:
                return
            note("%s is back" % port)
            heard = time.monotonic()
            continue
        if data:
            lines.feed(data)
            heard, told = time.monotonic(), False
        quiet_s = time.monotonic() - heard
        if quiet_s > IDLE_S:
            lines.idle()
        if quiet_s > QUIET_S and not told:
            told = True
            note(_why_quiet(port))
    device.close()


def _back(port: str, end: float):
    """The port, open again; None when it is not back by `end`."""
    while time.monotonic() < end:
        try:
            return opened(port)
        except GONE:
            time.sleep(0.05)
    return None


def _why_quiet(port: str) -> str:
    others = [name for name in boards() if name != port]
    return (
        "nothing for %d s. A board that sleeps, or measures seldom (interval_s), says something only then. Else:"
        " is %s the right port%s? Does the program run? RESET starts it, `make deploy` proves that it works"
        % (QUIET_S, port, " (there is also %s)" % ", ".join(others) if others else "")
    )


def crash_log(port: str, wait_s: Optional[float]) -> None:
    """Print what the program noted of its crashes; it is stopped for that, and started again. Raises ToolError."""
    with repl(port, soft_reset=False, wait_s=wait_s) as transport:
        try:
            text = printable(transport.fs_readfile("/crash.log").decode("utf-8", "replace")).strip()
            print("\n".join(map(SourceNames().line, text.split("\n"))))
        except OSError:
            print("no crash was noted")


def main(argv: Optional[List[str]] = None) -> int:
    options = parser("logs", "Show what the board's program says, until Ctrl-C. %s." % CHIP_WORDS.capitalize(), "PORT")
    options.add_argument("--crashes", action="store_true", help="show the crash log instead; restarts the program")
    options.add_argument("--seconds", type=seconds, default=0, help="stop after so long")
    add_wait(options)
    args = options.parse_args(argv)
    port = choose(args.port, args.wait)
    if args.crashes:
        crash_log(port, args.wait)
        return 0
    with own_foreground():
        try:
            follow(port, args.seconds)
        except KeyboardInterrupt:
            print()
    return 0


if __name__ == "__main__":
    run_tool("logs", main)
