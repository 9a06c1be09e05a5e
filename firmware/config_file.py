"""How is config.json written by the board itself? As a whole or not at all, a line for each key."""

import json

import probation

NAME = "config.json"


def load() -> dict:
    """What it holds. Raises OSError, ValueError."""
    with open(NAME, "rb") as f:
        if f.read(3) != b"\xef\xbb\xbf":  # which editors of Windows put in front of UTF-8
            f.seek(0)
        return json.load(f)


def write(given: dict, on_trial: bool = False) -> None:
    """It holds this from now on; on_trial: at the next start, and for good only when the board reaches its broker with
    it. Raises OSError, and nothing has changed."""
    if on_trial:
        probation.offer(NAME, lines(given))
    else:
        probation.write(NAME, lines(given))


def lines(given: dict):
    """The file, in pieces: one after another takes less of the heap."""
    mark = "{\n  "
    for key in sorted(given):
        yield ("%s%s: %s" % (mark, json.dumps(key), json.dumps(given[key]))).encode()
        mark = ",\n  "
    yield b"\n}\n"
