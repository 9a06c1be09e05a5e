"""What may reach a terminal: a board's text with its control characters made visible, a path as a shell takes it, and
signs that the terminal's encoding has."""

import re
import shlex
import subprocess
import sys

# C0 but for tab and newline, DEL, C1, and the signs that turn the direction of writing: each can make a terminal show
# what is not there, or answer as if the user had typed.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
SHELL_IS_POSIX = sys.platform != "win32"


def printable(text: str) -> str:
    """The text for a terminal: lines and tabs stay, each other control character is written as \\x1b."""
    return _CONTROL.sub(lambda sign: ascii(sign.group())[1:-1], text.replace("\r\n", "\n"))


def quoted(path: object) -> str:
    """A path as one word of the user's shell."""
    return shlex.quote(str(path)) if SHELL_IS_POSIX else subprocess.list2cmdline([str(path)])


def let_any_text_out() -> None:
    """Let print() replace what the terminal's encoding has not (a degree sign on an ASCII terminal), not raise."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def fits(text: str) -> bool:
    """Whether standard output's encoding has every sign of the text."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
