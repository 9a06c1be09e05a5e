"""What did the board say last? The newest bytes of its log, a copy of what goes to the serial port. The command `log`
reads them: byte n since the start is ring[n % len(ring)], the next one would be number `total`."""

import builtins

ring = bytearray()
total = 0
_said = print


def keep(size_b: int) -> None:
    """From now on the last size_b bytes are kept."""
    global ring
    ring = bytearray(size_b)
    builtins.print = _print


def _print(*words, **how):
    global total
    _said(*words, **how)
    try:
        text = (" ".join([str(word) for word in words]) + "\n").encode()[-len(ring) :]
        at = total % len(ring)
        first_b = min(len(text), len(ring) - at)
        ring[at : at + first_b] = text[:first_b]
        ring[: len(text) - first_b] = text[first_b:]
        total += len(text)
    except MemoryError:
        pass  # the serial port had it
