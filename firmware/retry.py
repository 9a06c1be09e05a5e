"""When is it tried again? One thing that can fail: told once, tried again after a pause."""

from random import getrandbits
from sys import modules
from time import ticks_diff, ticks_ms


class Trouble:
    """Something called `name` that can fail. It is told once in words, and tried again after a random pause that
    doubles from first_ms to most_ms (0: a second, a minute), but is never longer than the outage so far: after a short
    one all is back soon."""

    # An object gets its own of these once it fails: most never do, and each of its own takes 8 B.
    first_ms = 1000
    most_ms = 60000
    words = ""
    count = 0  # failures since it was well
    out_ms = 0  # the outage so far, counted up to most_ms
    since = pause_ms = 0

    def __init__(self, name: str, first_ms: int = 0, most_ms: int = 0):
        self.name = name
        if first_ms:
            self.first_ms = first_ms
            self.most_ms = most_ms

    def due(self) -> bool:
        """Whether it may be tried: it is well, or the pause after its failure is over."""
        # after six days without a question the difference is negative: that pause is over, too
        return not self.count or not 0 <= ticks_diff(ticks_ms(), self.since) < self.pause_ms

    def attempt(self, f, *args):
        """f(*args), or True when that is nothing. None when it failed, and without a call while a pause lasts."""
        if not self.due():
            return None
        try:
            return f(*args) or True
        except Exception as e:  # of the ports' drivers each raises its own
            self.failed(e)

    def failed(self, e) -> None:
        """It did not work, again or for the first time. e: the exception, or the reason in words."""
        now = ticks_ms()
        if self.count:
            self.out_ms = min(self.most_ms, self.out_ms + max(0, ticks_diff(now, self.since)))
        limit_ms = min(self.most_ms, self.first_ms << min(self.count, 16), max(self.first_ms, self.out_ms))
        self.pause_ms = 1 + getrandbits(24) % limit_ms
        self.since = now
        self.count += 1
        if not isinstance(e, str):
            # only when something fails, and forgotten again: it costs nothing else
            from reasons import words

            e = words(e, self.name)
            del words, modules["reasons"]
        if e != self.words:
            self.words = e
            print("%s: %s; trying again" % (self.name, e))

    def ended(self) -> None:
        """It works."""
        if self.count:
            print("%s: well again after %d failures" % (self.name, self.count))
            self.count = self.out_ms = 0
            self.words = ""
