"""Whose is Ctrl-C: a program that ends well on it takes the terminal for itself, so that a `make` around it does not
call that an error."""

import contextlib
import os
import signal
from typing import Iterator


@contextlib.contextmanager
def own_foreground() -> Iterator[None]:
    """Be alone in the terminal's foreground. Nothing happens without a terminal, in the background, on Windows, or when
    this process leads its group (it was not started by a `make`)."""
    if not hasattr(os, "tcsetpgrp") or os.getpgrp() == os.getpid():
        yield
        return
    group = os.getpgrp()
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        yield
        return
    try:
        if os.tcgetpgrp(terminal) != group:
            yield
            return
        # in a group of our own we are in the background for a moment: what we do to the terminal must not stop us; nor
        # may Ctrl-Z, of which the shell would not hear
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTTOU, signal.SIGTSTP)}
        os.setpgid(0, 0)
        os.tcsetpgrp(terminal, os.getpid())
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.tcsetpgrp(terminal, group)
                os.setpgid(0, group)
            for number, handler in before.items():
                signal.signal(number, handler)
    finally:
        os.close(terminal)
