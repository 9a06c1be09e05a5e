"""Which firmware starts: an update on trial, the old one when it does not hold, safe mode in a boot loop."""

import os
import sys

from fakes.check import equal, raises
from fakes.folder import Folder
from on_board import fake_board

import slots

POWER_ON, DEEP_SLEEP, SOFT_RESET = 1, 4, 5


class Flash(Folder):
    """The root of a board, with /ota and the folders of updates 1 and 2."""

    def __enter__(self):
        slots.ROOT = super().__enter__() + "/"
        for name in ("ota", "ota/1", "ota/2"):
            os.mkdir(slots.ROOT + name)
        fake_board.use({})
        return self

    def __exit__(self, *_):
        super().__exit__()
        slots.ROOT = ""

    def start(self, cause=POWER_ON):
        """(kind, the update that runs or "") of a start."""
        fake_board.cause[0] = cause
        before = list(sys.path)
        try:
            kind = slots.choose()
            added = sys.path[: len(sys.path) - len(before)]
        finally:
            sys.path[:] = before
        if added:
            equal(added[0], added[1] + "/lib")
        return kind, added[1].split("/")[-1] if added else ""


def offer(run, old=""):
    slots.write("boot.new", {"run": run, "digest": "d" + run, "old": {"run": old, "digest": "d" + old}})


def keep():
    os.rename(slots.at("boot.try"), slots.at("boot"))


def test_a_board_that_was_never_updated_writes_nothing_and_runs_the_cables_firmware():
    with Flash() as flash:
        for name in ("ota/1", "ota/2", "ota"):
            os.rmdir(slots.ROOT + name)
        equal(flash.start(), (0, ""))
        equal(os.listdir(slots.ROOT), [])


def test_an_update_is_on_trial_until_it_is_kept():
    with Flash() as flash:
        offer("1")
        sys.modules["slots"] = slots
        equal(flash.start(), (slots.TRIAL, "1"))
        assert "slots" not in sys.modules, "on the heap"
        keep()
        slots.well()
        equal(flash.start(), (slots.COUNTED, "1"))


def test_three_starts_that_reach_nothing_bring_the_old_one_back():
    with Flash() as flash:
        slots.write("boot", {"run": "1", "digest": "d1", "old": {}})
        offer("2", "1")
        for cause in (POWER_ON, DEEP_SLEEP, POWER_ON):
            equal(flash.start(cause), (slots.TRIAL, "2"))
        equal(flash.start(), (slots.COUNTED, "1"))
        equal(slots.read("why"), {"digest": "d2", "why": "in 3 starts it did not reach the broker"})
        equal(slots.read("starts"), {"starts": 1}, "the old one has all of its own starts")
        assert slots.is_there(slots.at("boot.bad")) and not slots.is_there(slots.at("boot.try"))


def test_a_trial_that_ends_by_itself_is_over_at_once():
    with Flash() as flash:
        offer("1")
        flash.start()
        raises(fake_board.Reset, slots.ended, "ImportError: no module named wifi")
        equal(flash.start(), (slots.COUNTED, ""))
        equal(slots.read("why"), {"digest": "d1", "why": "ImportError: no module named wifi"})


def test_a_program_that_ends_and_is_not_on_trial_leaves_the_prompt():
    with Flash() as flash:
        flash.start()
        equal(slots.ended("the stop button"), None)


def test_six_starts_in_a_row_that_come_to_nothing_are_a_boot_loop():
    with Flash() as flash:
        for _ in range(6):
            equal(flash.start(), (slots.COUNTED, ""))
        equal(flash.start(), (slots.SAFE, ""))
        equal(flash.start(DEEP_SLEEP), (slots.SAFE, ""), "a sleeper stays safe over its sleeps")
        equal(flash.start(), (slots.COUNTED, ""), "after a reset the whole firmware gets one more start")
        equal(flash.start(), (slots.SAFE, ""))


def test_a_start_that_came_to_something_ends_the_count():
    with Flash() as flash:
        for _ in range(3 * slots.MOST_STARTS):
            equal(flash.start(), (slots.COUNTED, ""))
            slots.well()


def test_wakes_from_sleep_are_not_counted_and_write_nothing():
    with Flash() as flash:
        for _ in range(3 * slots.MOST_STARTS):
            equal(flash.start(DEEP_SLEEP), (0, ""))
        assert not slots.is_there(slots.at("starts"))


def test_starts_from_the_prompt_are_not_counted():
    with Flash() as flash:
        for _ in range(3 * slots.MOST_STARTS):
            equal(flash.start(SOFT_RESET), (0, ""))


def test_an_update_that_was_kept_and_then_loops_goes_back_to_the_one_before():
    with Flash() as flash:
        slots.write("boot", {"run": "2", "digest": "d2", "old": {"run": "1", "digest": "d1"}})
        for _ in range(slots.MOST_STARTS):
            equal(flash.start(), (slots.COUNTED, "2"))
        equal(flash.start(), (slots.COUNTED, "1"))
        equal(slots.read("why")["digest"], "d2")
        slots.write("boot", {"run": "2"})  # which tells of none before: the cable's
        equal([flash.start()[1] for _ in range(slots.MOST_STARTS)], ["2"] * (slots.MOST_STARTS - 1) + [""])


def test_safe_mode_comes_when_the_cables_firmware_loops_as_well():
    with Flash() as flash:
        slots.write("boot", {"run": "1", "digest": "d1", "old": {"run": "", "digest": ""}})
        kinds = [flash.start() for _ in range(2 * slots.MOST_STARTS + 1)]
        equal([run for _, run in kinds], ["1"] * slots.MOST_STARTS + [""] * (slots.MOST_STARTS + 1))
        equal(kinds[-1][0], slots.SAFE)


def test_an_update_whose_folder_was_removed_by_cable_does_not_hide_the_cables_firmware():
    with Flash() as flash:
        slots.write("boot", {"run": "1", "digest": "d1", "old": {}})
        os.rmdir(slots.at("1"))
        equal(flash.start(), (slots.COUNTED, ""))


def test_a_flash_that_cannot_be_written_to_still_starts_what_it_names():
    with Flash() as flash:
        slots.write("boot", {"run": "1", "digest": "d1", "old": {}})
        os.mkdir(slots.at("part"))  # which no file can be opened as
        equal(flash.start(), (0, "1"))
