"""`ntptime` that finds the host's clock right already; the script's "ntp" is what a server answers instead, in seconds
of the port's epoch, one for each question."""

import fake_board

host = "pool.ntp.org"
timeout = 1
asked = []
answer = [None]  # what was set last


def time():
    if not fake_board.script.get("clock", True):
        raise OSError(110)
    return fake_board.value("ntp") if "ntp" in fake_board.script.get("values", {}) else fake_board.now_s()


def settime():
    asked.append(host)
    answer[0] = time()
