"""A board's start: boot.py, which says where modules come from, and main.py, which chooses the firmware and runs it."""

import builtins
import sys

from fakes.check import equal
from on_board import HOST_TESTS  # noqa: F401 - with it come the paths

MINUTE_MS = 60000


class Standin:
    """In the place of a module."""

    def __init__(self, **what):
        for name, value in what.items():
            setattr(self, name, value)


class Start:
    """One start: the modules that the two files ask for stand in, and each notes in `did` what it was asked for.
    `raising`: {"module.function": what it raises}."""

    def __init__(self, config, raising):
        self.config = config
        self.raising = raising
        self.did = []
        self.said = ""

    def call(self, what, answer=None):
        def called(*args):
            self.did.append((what,) + args)
            if what in self.raising:
                raise self.raising[what]
            return answer

        return called

    def run(self, name, **modules):
        """The file as a board runs it."""
        real = {module: sys.modules[module] for module in modules if module in sys.modules}
        sys.modules.update(modules)
        real_print = builtins.print
        builtins.print = self.say
        try:
            __import__(name)
        finally:
            builtins.print = real_print
            for module in list(modules) + [name]:
                sys.modules.pop(module, None)
            sys.modules.update(real)

    def say(self, *words):
        if "print" in self.raising:
            raise self.raising["print"]
        self.said += " ".join([str(word) for word in words]) + "\n"


def start(config=None, **raising):
    """main.py's run. raising: MODULE_FUNCTION=exception."""
    started = Start(config, {what.replace("_", ".", 1): error for what, error in raising.items()})
    started.run(
        "main",
        time=Standin(ticks_ms=lambda: 321, sleep_ms=started.call("time.sleep_ms")),
        slots=Standin(choose=started.call("slots.choose"), ended=started.call("slots.ended")),
        config=Standin(take=started.call("config.take", config)),
        gc=Standin(collect=started.call("gc.collect")),
        app=Standin(run=started.call("app.run")),
        improv=Standin(serve=started.call("improv.serve"), interrupted=started.call("improv.interrupted")),
        machine=Standin(reset=started.call("machine.reset")),
    )
    return started


LOADED = [("slots.choose",), ("config.take",), ("gc.collect",)]


def test_a_start_runs_the_chosen_firmware_with_its_configuration_and_the_time_at_which_it_began():
    config = {"interval_s": 10}
    started = start(config)
    equal(started.did, LOADED + [("app.run", config, 321)])
    equal(started.said, "")


def test_without_a_configuration_a_start_asks_for_wifi():
    equal(start(None).did, LOADED + [("improv.serve",)])


def test_ctrl_c_at_any_moment_of_a_start_asks_improv_and_resets_nothing():
    for what in ("slots_choose", "config_take", "app_run"):
        started = start({"interval_s": 10}, **{what: KeyboardInterrupt()})
        equal(started.did[-1], ("improv.interrupted",))
        equal([call for call in started.did if call[0] == "machine.reset"], [])


def test_a_firmware_that_cannot_be_loaded_says_so_is_counted_and_starts_again_in_a_minute():
    for what in ("slots_choose", "config_take", "app_run"):
        started = start({"interval_s": 10}, **{what: ImportError("no module named 'node'")})
        assert "no module named" in started.said and "Trying again in a minute" in started.said, started.said
        ended, slept, reset = started.did[-3:]
        equal((ended[0], "no module named" in ended[1]), ("slots.ended", True))
        equal((slept, reset), (("time.sleep_ms", MINUTE_MS), ("machine.reset",)))


def test_a_start_that_fails_ends_at_no_prompt_though_it_can_be_neither_told_nor_counted():
    for raising in (
        {"slots_ended": MemoryError()},
        {"slots_ended": OSError(28)},  # flash is full: the update on trial cannot be put aside
        {"print": MemoryError()},
    ):
        started = start({"interval_s": 10}, app_run=MemoryError("memory allocation failed"), **raising)
        equal(started.did[-2:], [("time.sleep_ms", MINUTE_MS), ("machine.reset",)])


def test_our_library_is_found_before_the_one_that_the_firmware_has_frozen():
    for path in (
        ["", ".frozen", "/lib"],
        [".frozen", "/lib"],
        ["", ".frozen", "/lib", "/rom", "/rom/lib"],
        ["/lib", "", ".frozen"],
        ["", ".frozen"],
    ):
        before = list(path)
        thresholds = []
        for _ in range(2):
            Start(None, {}).run("boot", sys=Standin(path=path), gc=Standin(threshold=thresholds.append))
            equal(sorted(path[:2]), ["/lib", "/rom/lib"])
            equal(len(path) <= len(before) + 2, True, path)
        assert len(thresholds) == 2 and 0 < thresholds[0] < 4096, thresholds
