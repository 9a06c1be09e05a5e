"""crash: the crash log, the oldest part of it first; that part is gone from the board once the broker has it."""

import os

from probation import write

_FILE = "crash.log"
_PART_B = 1024


def carry_out(node, payload: bytes, flags: int) -> str:
    nothing = "no crash since the last one that was taken"
    try:
        with open(_FILE, "rb") as f:
            part = f.read(_PART_B)
            if len(part) == _PART_B:
                part = part[: part.rfind(b"\n") + 1] or part
            f.seek(len(part))
            rest_b = len(f.read())
    except OSError:
        return nothing
    if not part:
        return nothing
    taken_b = len(part)
    node.listener.afterwards(lambda node: cut(taken_b))
    try:
        words = str(part, "utf-8")
    except UnicodeError:  # garbled by a power cut
        words = str(bytes([b if b < 128 else 63 for b in part]), "utf-8")
    return words + ("\n(%d B more: send crash again)" % rest_b if rest_b else "")


def cut(taken_b: int) -> None:
    """The first bytes were taken."""
    with open(_FILE, "rb") as f:
        f.seek(taken_b)
        rest = f.read()
    if rest:
        write(_FILE, (rest,))
    else:
        os.remove(_FILE)
