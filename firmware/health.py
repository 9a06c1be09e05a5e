"""Is the program well? The watchdog, and the log of what should not have been."""

import gc
import sys

from micropython import const

_CRASH_LOG_B = const(2048)


def watchdog(timeout_s: int):
    """The function that feeds a watchdog which resets the board after timeout_s without it; on 0, and on ESP8266, it
    does nothing.

    On ESP32 it cannot be stopped again: it resets a board whose program was ended by Ctrl-C, too. ESP8266 has one of
    its own.
    """
    if not timeout_s or sys.platform == "esp8266":
        return bool
    from machine import WDT

    return WDT(timeout=timeout_s * 1000).feed


def crashed(e, path: str = "") -> None:
    """Print the exception and append it to the crash log, which keeps the newest 2048 B; the same one again is not
    written again. Raises nothing: where memory is what lacks, as much is told as fits."""
    try:
        try:
            _log(e, path or "crash.log")  # not the default: that would be a name
        except MemoryError:
            gc.collect()
            print("crash: no memory to tell more:", e.__class__.__name__, gc.mem_free(), "B free")
    except Exception:
        pass  # not even that: whoever called goes on, or resets the board


def _log(e, path):
    import io

    text = io.StringIO()
    sys.print_exception(e, text)
    text = text.getvalue()
    print(text)
    try:
        log = ""
        try:
            with open(path) as f:
                log = f.read()
        except (OSError, ValueError):
            pass  # the first crash, or a file whose end a power cut has garbled
        if not log.endswith(text):  # a crash at each turn must not wear out the flash
            log = (log + text)[-_CRASH_LOG_B:]  # before the file is emptied: there may be no memory for it
            with open(path, "w") as f:
                f.write(log)
    except OSError as full:
        print(path, full)
