"""`ntptime` that finds the host's clock right already."""

import fake_board

host = "pool.ntp.org"
timeout = 1
asked = []


def settime():
    asked.append(host)
    if not fake_board.script.get("clock", True):
        raise OSError(110)
