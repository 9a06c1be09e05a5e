"""Serial ports: find the board's, open it with mpremote's transport, and say in words why that fails."""

import argparse
import contextlib
import grp
import os
import stat
import subprocess
import sys
from typing import Callable, Iterator, List, Tuple

from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport
from serial import SerialException
from serial.tools.list_ports import comports

# makers of the USB-serial chips on ESP boards: Silicon Labs, WCH, FTDI, Prolific, Espressif
USB_MAKERS = {0x10C4, 0x1A86, 0x0403, 0x067B, 0x303A}
GONE = (SerialException, OSError)


def parser(target: str, description: str, *variables: str) -> argparse.ArgumentParser:
    """For the tool behind `make TARGET VARIABLE=...`; it takes --port when PORT is among the variables."""
    words = "".join(" [%s=...]" % name for name in variables)
    p = argparse.ArgumentParser(
        prog="make " + target,
        usage='make %s%s [ARGS="options"]' % (target, words),
        description=description,
        epilog="Exit status: 0 done; 1 something is wrong, in words; 2 called wrongly, or there is no board.",
    )
    if "PORT" in variables:
        p.add_argument("--port", default=os.environ.get("PORT", ""),
                       help="serial port; default: PORT, or the only board that is plugged in")  # fmt: skip
    return p


class ToolError(Exception):
    """Why a tool gives up: what is wrong and what to do. `status`: the exit status."""

    def __init__(self, text: str, status: int = 1):
        super().__init__(text)
        self.status = status


def boards() -> List[str]:
    """The ports behind which an ESP board may be."""
    return sorted(p.device for p in comports() if p.vid in USB_MAKERS)


def choose(port: str) -> str:
    """`port`, checked, or the only board when it is empty. Raises ToolError."""
    if not port:
        found = boards()
        if len(found) == 1:
            return found[0]
        if found:
            raise ToolError("several boards: %s. Name one: PORT=%s" % (", ".join(found), found[0]), 2)
        raise ToolError(
            "no board found. Plug it in (a cable that carries data, not power alone), or name its port:"
            " PORT=/dev/ttyUSB0. Without a board: `make board`",
            2,
        )
    if "://" in port:
        return port
    try:
        mode = os.stat(port).st_mode
    except OSError:
        others = boards()
        hint = "There is %s" % ", ".join(others) if others else "No board is plugged in"
        raise ToolError("there is no port %s. %s" % (port, hint), 2) from None
    if not stat.S_ISCHR(mode):
        raise ToolError("%s is not a serial port" % port, 2)
    if not os.access(port, os.R_OK | os.W_OK):
        raise ToolError(no_permission(port), 2)
    return port


def no_permission(port: str) -> str:
    """What to do about a port that this user may not open."""
    try:
        group = grp.getgrgid(os.stat(port).st_gid).gr_name
    except (KeyError, OSError):
        group = "dialout"
    return (
        "no permission to open %s. It belongs to the group %s: `sudo usermod -aG %s $USER`,"
        " then log out and in again" % (port, group, group)
    )


def in_words(port: str, e: Exception) -> str:
    """Why talking to the board failed."""
    text = str(e)
    if "could not enter raw repl" in text or "timeout" in text or "could not exec" in text:
        return (
            "the board at %s does not answer as MicroPython does. Is MicroPython on it (`make flash`)? Is the port the"
            " right one? A board whose watchdog or deep sleep is quick may need a second try" % port
        )
    if "failed to access" in text or "use" in text and "port" in text:
        return "%s is in use by another program: end it (a monitor, `make logs`, `make repl`)" % port
    if "ENOSPC" in text or getattr(e, "errno", 0) == 28:
        return "the board's file system is full"
    if isinstance(e, TransportExecError):
        return "the board said: " + (text.strip().splitlines() or ["nothing"])[-1]
    return "the board at %s went away (%s). Plug it in and run this again" % (port, text)


class _Quiet:
    """Swallows what mpremote prints before it raises."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


@contextlib.contextmanager
def repl(port: str, soft_reset: bool = True) -> Iterator[SerialTransport]:
    """The board's raw REPL, its program stopped. `soft_reset`: with the heap as after boot.py.

    Leaves the board at its friendly REPL. Raises ToolError.
    """
    transport = None
    try:
        with contextlib.redirect_stdout(_Quiet()):
            transport = SerialTransport(port, baudrate=115200)
            enter(transport, soft_reset)
        yield transport
        transport.exit_raw_repl()
    except (TransportError, *GONE) as e:
        raise ToolError(in_words(port, e)) from None
    finally:
        if transport:
            with contextlib.suppress(*GONE):
                transport.close()


def enter(transport: SerialTransport, soft_reset: bool) -> None:
    """Into the raw REPL. A board that has just been reset may miss the first try. Raises TransportError."""
    for more in (True, False):
        try:
            transport.enter_raw_repl(soft_reset=soft_reset, timeout_overall=4)
            return
        except TransportError:
            if not more:
                raise


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
    try:
        status = main()
    except ToolError as e:
        print("%s: %s" % (name, e), file=sys.stderr)
        status = e.status
    except (KeyboardInterrupt, EOFError):  # Ctrl-C, and Ctrl-D at a question
        print("%s: interrupted; running it again mends what is half done" % name, file=sys.stderr)
        status = 130
    sys.exit(status)
