"""What did the board say last? The newest bytes of its log, a copy of what goes to the serial port."""

import builtins

_said = print
_buf = bytearray()
_total = 0  # bytes since the start


def keep(size_b: int) -> None:
    """From now on the last size_b bytes are kept."""
    global _buf
    _buf = bytearray(size_b)
    builtins.print = _print


def _print(*words, **how):
    global _total
    _said(*words, **how)
    try:
        text = (" ".join([str(word) for word in words]) + "\n").encode()[-len(_buf) :]
        at = _total % len(_buf)
        first_b = min(len(text), len(_buf) - at)
        _buf[at : at + first_b] = text[:first_b]
        _buf[: len(text) - first_b] = text[first_b:]
        _total += len(text)
    except MemoryError:
        pass  # the serial port had it


def total() -> int:
    """How many bytes were said since the start."""
    return _total


def since(at: int):
    """(text, end): what was said from byte `at` on, as far as it is kept; the byte behind it."""
    first = max(at, _total - len(_buf))
    got = bytes([_buf[i % len(_buf)] for i in range(first, _total)])
    while got and got[0] & 0xC0 == 0x80:  # the rest of a character
        got = got[1:]
    return str(got, "utf-8"), _total
