"""`make logs`: what the board's program says on its serial port, until Ctrl-C. The program goes on running.

Exit status: 0 after Ctrl-C or --seconds, 1 when the board went away, 2 no board.
"""

import sys
import time
from pathlib import Path
from typing import List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import serial

from tools.ports import GONE, ToolError, choose, in_words, parser, repl, run_tool


def follow(port: str, seconds: float) -> None:
    """Print every line as it comes. Raises ToolError."""
    try:
        device = serial.serial_for_url(port, baudrate=115200, timeout=0.2, exclusive=True, do_not_open=True)
        device.dtr = device.rts = False  # opening the port must not reset the board
        device.open()
    except GONE as e:
        busy = "lock" in str(e) or "busy" in str(e)
        raise ToolError(in_words(port, OSError("port in use") if busy else e)) from None
    end = time.monotonic() + seconds if seconds else float("inf")
    with device:
        try:
            while time.monotonic() < end:
                data = device.read(device.in_waiting or 1)
                sys.stdout.write(data.decode("utf-8", "replace").replace("\r\n", "\n"))
                sys.stdout.flush()
        except GONE as e:
            raise ToolError(in_words(port, e)) from None


def crash_log(port: str) -> None:
    """Print what the program noted of its crashes; it is stopped for that, and started again. Raises ToolError."""
    with repl(port, soft_reset=False) as transport:
        try:
            print(transport.fs_readfile("/crash.log").decode("utf-8", "replace").strip())
        except OSError:
            print("no crash was noted")
        transport.serial.write(b"\x02\x04")
        transport.in_raw_repl = False


def main(argv: Optional[List[str]] = None) -> int:
    p = parser("logs", "Show what the board's program says, until Ctrl-C.", "PORT")
    p.add_argument("--crashes", action="store_true", help="show the crash log instead; restarts the program")
    p.add_argument("--seconds", type=float, default=0, help="stop after so long")
    a = p.parse_args(argv)
    port = choose(a.port)
    try:
        if a.crashes:
            crash_log(port)
        else:
            follow(port, a.seconds)
    except KeyboardInterrupt:
        print()
    return 0


if __name__ == "__main__":
    run_tool("logs", main)
