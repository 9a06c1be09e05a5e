"""Which messages are still wanted, and for how long."""

import fakes.shim  # noqa: F401
from fakes.check import equal

SOURCE_FORM_ONLY = "shipped, these names are others"


def test_what_a_message_has_left_to_live_is_told_by_a_clock_that_is_set():
    from struct import pack

    from umqtt.wanted import Chooser

    class Watch:
        now = 0

        def clock(self):
            return self.now

    set_s, watch, chooser = 600000000, Watch(), Chooser()
    for taken_s, now_s, left_s in (
        (set_s, set_s, 100),
        (set_s, set_s + 40, 60),
        (set_s, set_s + 99, 1),
        (set_s, set_s + 100, 1),
        (set_s, set_s + 500, 1),
        (set_s - 1, set_s + 40, 100),
        (set_s, set_s - 1, 100),
        (5, 45, 100),
        (set_s + 40, 45, 100),
        (5, set_s + 40, 100),
    ):
        watch.now = now_s
        equal(chooser.left_s(watch, pack(">III", 1, taken_s, 100)), left_s, (taken_s - set_s, now_s - set_s))
