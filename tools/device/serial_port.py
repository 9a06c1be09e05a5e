"""Serial ports: find the board's, catch a board that sleeps, talk to it with mpremote's transport, and say in words why
that fails."""

import argparse
import contextlib
import os
import re
import signal
import stat
import struct
import subprocess
import sys
import time
from typing import Callable, Iterator, List, Optional, Tuple

from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport
from serial import SerialException
from serial.tools.list_ports import comports

from tools.printable import let_any_text_out, printable

try:
    import grp
except ImportError:  # Windows
    grp = None

# makers of the USB-serial chips on ESP boards: Silicon Labs, WCH, FTDI, Prolific, Espressif
USB_MAKERS = {0x10C4, 0x1A86, 0x0403, 0x067B, 0x303A}
GONE = (SerialException, OSError)
LOST = (TransportError, struct.error, *GONE)  # what talking to a board raises; struct.error: cut off within a command
PORTS_ARE_FILES = os.name == "posix"
ANSWER_S = 4.0  # a program that runs is interrupted by then
SILENCE_S = 60.0  # a board that has answered may say nothing for so long: it imports, writes flash, starts
WAIT_S = 90.0  # for the wake of a board that sleeps
TRY_S = 1.0
NUDGE_S = 0.1  # between two Ctrl-C to a silent board: its wake may be short
ASLEEP = (
    "A board that sleeps answers only while it is awake: press RESET, or hold its stop button while it wakes, or give"
    ' it more time: ARGS="--wait 600"'
)
# of the chip's own start: there is no program in the flash
BLANK = re.compile(r"invalid header: 0x[0-9a-f]+|flash read err|No bootable app")


def parser(target: str, description: str, *variables: str) -> argparse.ArgumentParser:
    """For the tool behind `make TARGET VARIABLE=...`; it takes --port when PORT is among the variables."""
    words = "".join(" [%s=...]" % name for name in variables)
    parser = argparse.ArgumentParser(
        prog="make " + target,
        usage='make %s%s [ARGS="options"]' % (target, words),
        description=description,
        epilog="Exit status: 0 done; 1 something is wrong, in words; 2 called wrongly, or there is no board.",
    )
    if "PORT" in variables:
        parser.add_argument("--port", default=os.environ.get("PORT", ""),
                       help="serial port; default: PORT, or the only board that is plugged in")  # fmt: skip
    return parser


def seconds(text: str) -> float:
    """A number of seconds from the command line, 0 or more."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value


def add_wait(options: argparse.ArgumentParser) -> None:
    """--wait, for the tools that stop the board's program."""
    options.add_argument("--wait", type=seconds, metavar="S",
                   help="wait so long for a board that sleeps, and for a port that is not there while it does;"
                   " default: %d for a silent board" % WAIT_S)  # fmt: skip


class ToolError(Exception):
    """Why a tool gives up: what is wrong and what to do. `status`: the exit status."""

    def __init__(self, text: str, status: int = 1):
        super().__init__(text)
        self.status = status


def boards() -> List[str]:
    """The ports behind which an ESP board may be."""
    return sorted(found.device for found in comports() if found.vid in USB_MAKERS)


def choose(port: str, wait_s: Optional[float] = None) -> str:
    """`port`, checked, or the only board when it is empty; a port that is not there is waited for. Raises ToolError."""
    end = time.monotonic() + (wait_s or 0)
    told = False
    while True:
        try:
            return _checked(port)
        except NoPort as error:
            if time.monotonic() >= end:
                raise
            if not told:
                print("%s. Waiting for it" % str(error).split(".")[0], file=sys.stderr, flush=True)
            told = True
            time.sleep(0.1)


def _checked(port: str) -> str:
    if not port:
        found = boards()
        if len(found) == 1:
            return found[0]
        if found:
            raise ToolError("several boards: %s. Name one: PORT=%s" % (", ".join(found), found[0]), 2)
        raise NoPort(
            "no board found. Plug it in (a cable that carries data, not power alone), or name its port:"
            " PORT=%s. Without a board: `make board`" % ("/dev/ttyUSB0" if PORTS_ARE_FILES else "COM3")
        )
    if "://" in port:
        return port
    if PORTS_ARE_FILES:
        try:
            mode = os.stat(port).st_mode
        except OSError:
            raise _no_such(port) from None
        if not stat.S_ISCHR(mode):
            raise ToolError("%s is not a serial port" % port, 2)
        if not os.access(port, os.R_OK | os.W_OK):
            raise ToolError(no_permission(port), 2)
    elif port.upper() not in [p.device.upper() for p in comports()]:
        raise _no_such(port)
    return port


class NoPort(ToolError):
    """The port is not there, at this moment."""

    def __init__(self, text: str):
        super().__init__(text, 2)


def _no_such(port: str) -> NoPort:
    others = boards()
    hint = "There is %s" % ", ".join(others) if others else "No board is plugged in"
    return NoPort("there is no port %s. %s. The port of a board with a USB of its own (S2, S3, C3, C6) goes when it"
                  ' sleeps: ARGS="--wait 600" waits for it' % (port, hint))  # fmt: skip


def no_permission(port: str) -> str:
    """What to do about a port that this user may not open."""
    group = "dialout"
    if grp:
        with contextlib.suppress(KeyError, OSError):
            group = grp.getgrgid(os.stat(port).st_gid).gr_name
    return (
        "no permission to open %s. It belongs to the group %s: `sudo usermod -aG %s $USER`,"
        " then log out and in again" % (port, group, group)
    )


def in_words(port: str, error: Exception) -> str:
    """Why talking to a board that has answered failed."""
    text = str(error)
    if isinstance(error, TransportExecError):
        return "the board said: " + printable((text.strip().splitlines() or ["nothing"])[-1])
    if isinstance(error, struct.error) or (isinstance(error, TransportError) and "failed to access" not in text):
        return (
            "the board at %s has answered, and is silent now or says something else (%s). Press RESET and run this"
            " again; if it stays so, docs/board.md has more to try" % (port, printable(text))
        )
    in_use = "failed to access" in text or "lock" in text or "busy" in text or ("use" in text and "port" in text)
    if in_use or isinstance(error, PermissionError) or "PermissionError" in text:  # so Windows says it
        return "%s is in use by another program: end it (a monitor, `make logs`, `make repl`)" % port
    if "ENOSPC" in text or getattr(error, "errno", 0) == 28:
        return "the board's file system is full"
    return "the board at %s went away (%s). Plug it in and run this again" % (port, printable(text))


class _Quiet:
    """Swallows what mpremote prints before it raises."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


class Transport(SerialTransport):
    """mpremote's transport to a board that may be slow: only SILENCE_S without a byte end a command."""

    def __init__(self, port: str):
        with contextlib.redirect_stdout(_Quiet()):
            super().__init__(port, baudrate=115200, timeout=SILENCE_S)

    def read_until(self, min_num_bytes, ending, timeout=10, data_consumer=None, timeout_overall=None):
        if timeout_overall is None and timeout is not None:
            timeout = max(timeout, SILENCE_S)
        return super().read_until(min_num_bytes, ending, timeout, data_consumer, timeout_overall)

    def enter(self, soft_reset: bool, timeout_s: float) -> None:
        """Into the raw REPL; `soft_reset`: with the heap as after boot.py. Raises TransportError."""
        with contextlib.redirect_stdout(_Quiet()):
            self.enter_raw_repl(soft_reset=soft_reset, timeout_overall=timeout_s)

    def settle(self) -> None:
        """Read on until nothing more comes: a slow board answers each try."""
        self.read_until(1, b"no board says this", timeout=3 * NUDGE_S, timeout_overall=ANSWER_S)

    def leave(self) -> None:
        """Stop what runs in the raw REPL, and start the board's program again. Waits for the prompt, a moment."""
        self.serial.write(b"\r\x03")
        self.exit_raw_repl()
        super().read_until(1, b">>> ", timeout=ANSWER_S)
        self.serial.write(b"\x04")
        self.serial.flush()

    def pulse_reset(self) -> bool:
        """Reset the board by its RTS line, which also wakes it; whether the port has such lines."""
        try:
            self.serial.dtr = False  # GPIO0 stays high: the program starts, not the loader
            self.serial.rts = True
            time.sleep(0.1)
            self.serial.rts = False
        except GONE:
            return False
        return True


@contextlib.contextmanager
def repl(port: str, soft_reset: bool = True, wait_s: Optional[float] = None) -> Iterator[Transport]:
    """The board's raw REPL, its program stopped; `soft_reset`: with the heap as after boot.py. A board that sleeps is
    waited for. Whatever happens within, the board's program is started again. Raises ToolError.
    """
    transport = None
    try:
        transport = catch(port, WAIT_S if wait_s is None else wait_s)
        try:
            if soft_reset:
                transport.enter(True, SILENCE_S)
            yield transport
        finally:
            if transport.in_raw_repl:
                with contextlib.suppress(*LOST):
                    transport.leave()
    except LOST as error:
        raise ToolError(in_words(port, error)) from None
    finally:
        if transport:
            with contextlib.suppress(*GONE):
                transport.close()


def catch(port: str, wait_s: float) -> Transport:
    """The board in its raw REPL: at once when its program runs, at its next wake within wait_s when it is silent.

    Raises ToolError with what may be wrong when nothing answers, or another program than MicroPython does.
    """
    transport = Transport(port)
    pulse = time.monotonic() + ANSWER_S
    end = pulse + wait_s
    lines = False
    said = b""
    try:
        while True:
            data, transport = _nudge(port, transport, end)
            said = (said + data)[-2000:]
            words = printable(said.decode("utf-8", "replace"))
            if BLANK.search(words):
                raise ToolError("there is no program on the board at %s (it says: %s). Put MicroPython onto it:"
                                " `make flash`" % (port, BLANK.search(words).group()))  # fmt: skip
            if data:  # it may be the chip that boots, and is deaf yet: short tries, not one long one
                with contextlib.suppress(TransportError):
                    transport.enter(False, TRY_S)
                    transport.settle()
                    transport.enter(False, ANSWER_S)
                    return transport
            now = time.monotonic()
            if pulse and now >= pulse:
                pulse = 0.0
                lines = transport.pulse_reset()  # wakes it, where the port has the lines
                if lines:
                    end = max(end, now + ANSWER_S)
                elif wait_s:
                    print("the board at %s is silent: it may be asleep. Waiting up to %d s for its wake; RESET wakes it"
                          " at once, Ctrl-C gives up" % (port, wait_s), file=sys.stderr, flush=True)  # fmt: skip
            elif now >= end:
                raise ToolError(_why_silent(port, words, wait_s, lines))
    except BaseException:
        with contextlib.suppress(*GONE):
            transport.close()
        raise


def _nudge(port: str, transport: Transport, end: float) -> Tuple[bytes, Transport]:
    """Ctrl-C and Ctrl-A, which MicroPython answers in every state, and what comes then.

    A port that vanishes (a board with a USB of its own goes to sleep) is opened again when it is back, until `end`.
    Raises what opening it raises then.
    """
    try:
        transport.serial.write(b"\r\x03\x01")
        time.sleep(NUDGE_S)
        return transport.serial.read(transport.serial.in_waiting), transport
    except GONE:
        with contextlib.suppress(*GONE):
            transport.close()
        while True:
            try:
                return b"", Transport(port)
            except LOST:
                if time.monotonic() >= end:
                    raise
                time.sleep(NUDGE_S)


def _why_silent(port: str, words: str, wait_s: float, lines: bool) -> str:
    last = [line for line in words.splitlines() if line.strip()][-1:]
    if last:
        return (
            "the board at %s does not answer as MicroPython does; it says: %s. Is the port the right one? Does another"
            " program than MicroPython run on it (docs/board.md)? %s" % (port, last[0].strip()[:120], ASLEEP)
        )
    tried = ", a reset over the cable included" if lines else ""
    return "the board at %s was silent for %d s%s. Is the port the right one, has the board power? %s" % (
        port, ANSWER_S + wait_s, tried, ASLEEP,
    )  # fmt: skip


def stream(command: List[str], show: Callable[[bytes], object]) -> Tuple[int, str]:
    """Run a program, its output to `show` as it comes; (exit status, all of the output). It ends with us."""
    env = dict(os.environ, PYTHONUNBUFFERED="1")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, bufsize=0)
    said = b""
    try:
        while True:
            data = os.read(process.stdout.fileno(), 4096)
            if not data:
                break
            said += data
            show(data)
        process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return process.returncode, said.decode("utf-8", "replace")


def run_tool(name: str, main) -> None:
    """Call main(), and end the program with its status or with a ToolError's sentence."""

    def ended(number, _frame):
        raise SystemExit(128 + number)  # through every `finally`: the board's program is started again

    for signal_name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, signal_name, None)
        if number and signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, ended)
    let_any_text_out()
    try:
        status = main()
    except ToolError as error:
        print("%s: %s" % (name, printable(str(error))), file=sys.stderr)
        status = error.status
    except BrokenPipeError:  # `make logs | head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except (KeyboardInterrupt, EOFError):  # Ctrl-C, and Ctrl-D at a question
        print("%s: interrupted; running it again mends what is half done" % name, file=sys.stderr)
        status = 130
    sys.exit(status)
