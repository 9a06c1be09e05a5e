"""A virtual millisecond clock with the tick period of the 32-bit ports (2**30 ms) on every interpreter, and what
happens at which time.

Nothing here waits: `sleep_ms`, and a fake `poll`, let the time pass and run what falls due on the way.
"""

PERIOD_MS = 1 << 30

# Where a new clock starts. The runners run every test twice: EARLY_MS, and LATE_MS, 700 ms before the wrap.
EARLY_MS = 5_000
LATE_MS = PERIOD_MS - 700
start_ms = EARLY_MS
# A test file that has one of these names lives by the clock.
CLOCK_NAMES = ("Clock", "World", "Desk", "Commanded", "pair", "pair5", "connected5", "aio_pair", "aio_pair5")


def ticks_add(ticks, delta):
    return (ticks + delta) % PERIOD_MS


def ticks_diff(later, earlier):
    return ((later - earlier + PERIOD_MS // 2) % PERIOD_MS) - PERIOD_MS // 2


class Stuck(AssertionError):
    """The code under test waits for something that will never come, or spins without letting time pass."""


class Clock:
    """`now`: unwrapped ms since some start. `at(delay_ms, f, *args)` makes f happen when the time has come."""

    def __init__(self, start=None):
        self.now = start_ms if start is None else start
        self._due = []  # (time, f, args), soonest first, equals in the order of their coming
        self._turns = 0
        self._running = False

    def ticks_ms(self):
        return self.now % PERIOD_MS

    def at(self, delay_ms, function, *args):
        due = self.now + delay_ms
        place = len(self._due)
        while place and self._due[place - 1][0] > due:
            place -= 1
        event = (due, function, args)
        self._due.insert(place, event)
        return event

    def drop(self, event):
        """Take an event back; one that has happened already is no error."""
        self._due = [other for other in self._due if other is not event]

    def run_due(self):
        """What is due now happens. A test's peer may cause more; a peer that calls the client from here would be a
        mistake."""
        if self._running:
            return
        self._turns += 1
        if self._turns > 200_000:
            raise Stuck("200000 turns at one moment: something spins")
        self._running = True
        try:
            while self._due and self._due[0][0] <= self.now:
                _, function, args = self._due.pop(0)
                function(*args)
        finally:
            self._running = False

    def until(self, ready, ms=None):
        """Let up to `ms` pass (None: for ever), event by event, until ready() is true. Returns ready()."""
        end = None if ms is None else self.now + ms
        self.run_due()
        while not ready():
            nxt = self._due[0][0] if self._due else None
            if nxt is None and end is None:
                raise Stuck("waits for ever, and nothing is going to happen")
            if end is not None and (nxt is None or nxt > end):
                nxt = end
            if nxt > self.now:
                self._turns = 0
                self.now = nxt
            self.run_due()
            if end is not None and self.now >= end:
                return ready()
        return True

    def sleep_ms(self, ms):
        self.until(lambda: False, ms)

    def sleep(self, seconds):
        self.sleep_ms(int(seconds * 1000))
