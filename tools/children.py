"""Child processes that end with us, however we end."""

import ctypes
import os
import signal
import subprocess
import sys
from typing import List

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """For preexec_fn: the process is killed when the one that started it is gone, killed outright as well (Linux)."""
    if _LIBC:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def start(command: List[str], **more) -> subprocess.Popen:
    """subprocess.Popen without standard input, in a session of its own: Ctrl-C is for us, who end it in our order.

    Call it in the main thread: Linux takes the end of the thread for that of the parent.
    """
    ours = os.getpid()

    def before() -> None:
        end_with_parent()
        if os.getppid() != ours:  # we were gone already
            os._exit(1)

    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=before if _LIBC else None, **more
    )
