"""Is a change to be kept? A file is replaced only once the board has reached its broker with the new one.

What a file NAME is replaced by stands beside it, and the states are names: each step is one rename, so a power cut
leaves the old one or the new one, whole. No module of ours is imported here.

    NAME.new  offered, not yet tried     NAME.try  being tried since the last start     NAME.bad  tried, and not kept
    NAME.why  why it ended the program, where it did
"""

import os

from micropython import const

NEW = const(".new")
TRIED = const(".try")
BAD = const(".bad")
WHY = const(".why")
LIMIT_S = const(180)  # from the start until the broker is reached; then the old one is back


def _is_there(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False


def write(path: str, pieces) -> None:
    """The file as a whole or not at all, from an iterable of bytes. Blocks for flash. Raises OSError."""
    part = path + ".part"
    try:
        with open(part, "wb") as f:
            for piece in pieces:
                f.write(piece)
        os.rename(part, path)
    except OSError:
        if _is_there(part):
            os.remove(part)
        raise


def offer(name: str, pieces) -> None:
    """The bytes of `pieces` are to be tried in the place of file `name` at the next start. Raises OSError; nothing has
    changed then."""
    write(name + NEW, pieces)


def refuse_another(name: str) -> None:
    """Raises ValueError while one is offered or on trial: of two changes at a time one would be lost."""
    if _is_there(name + NEW) or _is_there(name + TRIED):
        raise ValueError("another change is on trial: send this one again when that has ended")


def choose(name: str) -> str:
    """At a start: the path of the one that counts now. What the start before tried without keeping it is given up."""
    if _is_there(name + TRIED):
        os.rename(name + TRIED, name + BAD)
    elif _is_there(name + NEW):
        os.rename(name + NEW, name + TRIED)
        return name + TRIED
    return name


def keep(name: str) -> None:
    """The broker was reached: what is on trial takes the place of `name`."""
    os.rename(name + TRIED, name)


def failed(name: str) -> bool:
    """Whether one was tried and not kept, which nobody was told yet."""
    return _is_there(name + BAD)


def why(name: str) -> str:
    """Why it was not kept, "" when nothing was noted."""
    try:
        with open(name + WHY) as f:
            return f.read()
    except OSError:
        return ""


def forget(name: str) -> None:
    """It was told."""
    if _is_there(name + WHY):
        os.remove(name + WHY)
    os.remove(name + BAD)
