"""`machine.WDT`: counts its feeds, for a test to look at."""


class WDT:
    feeds = timeout = 0

    def __init__(self, id=0, timeout=5000):
        WDT.timeout = timeout

    def feed(self):
        WDT.feeds += 1
