"""Whose turn it is: how a call waits for that of another thread, and knows that it runs in a callback of the scheduler.

Another thread runs where this one sleeps.
"""

import sys

import fakes.shim  # noqa: F401 - before the library
from fakes.check import equal, raises, skip
from umqtt import turns
from umqtt.wire import FIRST_BYTE, IN_USE, PAYLOAD, TOPIC

SOURCE_FORM_ONLY = "shipped, what is beneath the client has other names"


def runs_at_once(f, argument):
    f(argument)


def queue_is_full(f, argument):
    raise RuntimeError("schedule queue full")


def runs_later(f, argument):
    pass


class Port:
    def __init__(self, platform):
        self.platform = platform


class Patched:
    """Names of the module have other values within."""

    def __init__(self, **values):
        self.values = values

    def __enter__(self):
        self.kept = {name: getattr(turns, name) for name in self.values}
        self._put(self.values)

    def __exit__(self, *fault):
        self._put(self.kept)

    def _put(self, values):
        for name in values:
            setattr(turns, name, values[name])


class Sleeping:
    """`sleep_ms` in which another thread, which holds the client, does `work` with its mark, a draft's IN_USE."""

    def __init__(self, work):
        self.client = turns.Turns(1)
        self.draft = self.client._draft
        self.draft[IN_USE] = 1
        self.work = work
        self.slept_ms = 0

    def __call__(self, ms):
        assert self.slept_ms < 10_000, "it waits for ever"
        self.slept_ms += ms
        self.work(self)

    def take_turn(self):
        with Patched(sleep_ms=self):
            equal((self.client._take_turn(), self.draft[IN_USE]), (True, 1))


def test_a_call_goes_on_as_soon_as_another_thread_has_ended_its_own():
    def work(sleeping):
        if sleeping.slept_ms == 5:
            sleeping.draft[IN_USE] = 0

    sleeping = Sleeping(work)
    sleeping.take_turn()
    equal(sleeping.slept_ms, 5)


def test_a_thread_that_makes_one_call_after_the_other_is_never_broken_into():
    def work(sleeping):
        assert sleeping.draft[IN_USE] > 1, "the mark of its call was taken away"
        sleeping.draft[IN_USE] = 1 if sleeping.slept_ms < 5000 else 0

    sleeping = Sleeping(work)
    sleeping.take_turn()
    equal(sleeping.slept_ms, 5000)


def test_a_mark_that_ctrl_c_has_left_behind_counts_for_a_second():
    sleeping = Sleeping(lambda sleeping: None)
    sleeping.take_turn()
    assert 900 < sleeping.slept_ms < 1100, sleeping.slept_ms


def test_a_call_beneath_a_stream_or_in_a_callback_of_the_scheduler_is_refused_at_once():
    for stream, schedule in ((None, queue_is_full), (object(), runs_at_once)):
        sleeping = Sleeping(lambda sleeping: None)
        sleeping.client._stream = stream
        sleeping.draft[FIRST_BYTE : PAYLOAD + 1] = 0x30, b"topic", b"payload"
        with Patched(sleep_ms=sleeping, schedule=schedule):
            fault = raises(OSError, sleeping.client._hold, 0x82, b"", b"filter")
        assert "another call" in str(fault), fault
        equal(sleeping.draft[FIRST_BYTE : PAYLOAD + 1], [0x30, b"topic", b"payload"], "another call's packet")
        equal((sleeping.slept_ms, sleeping.draft[TOPIC]), (0, b"topic"))


def test_what_is_scheduled_in_a_callback_of_the_scheduler_does_not_run():
    other_thread = object()
    for schedule, thread, platform, is_scheduled in (
        (runs_later, None, "unix", True),
        (runs_at_once, None, "unix", False),
        (runs_later, None, "unix", True),
        (runs_at_once, None, "esp32", False),
        (queue_is_full, None, "unix", True),
        (queue_is_full, other_thread, "rp2", False),  # there callbacks run in the main thread alone
        (runs_later, other_thread, "esp32", True),
    ):
        ident = turns._main_thread if thread is None else thread
        with Patched(schedule=schedule, get_ident=lambda ident=ident: ident, sys=Port(platform)):
            equal(turns.is_scheduled(), is_scheduled, (platform, thread))


def test_what_is_scheduled_outside_of_one_may_run_at_any_of_some_jumps():
    class Ran:
        """A set that the callback fills at one look, for each is a jump."""

        def __init__(self, at):
            self.looks_left = at

        def discard(self, item):
            pass

        def __bool__(self):
            self.looks_left -= 1
            return self.looks_left <= 0

    for at in range(1, 6):
        with Patched(_ran=Ran(at), schedule=runs_later):
            equal(turns.is_scheduled(), False, at)


def test_a_port_without_threads_or_without_a_scheduler_has_neither_to_mind():
    if sys.implementation.name != "cpython":
        skip("needs CPython's importlib")
    import importlib.util
    import types

    for missing in ("_thread", "micropython"):
        kept = sys.modules[missing]
        sys.modules[missing] = types.SimpleNamespace(const=kept.const) if missing == "micropython" else None
        try:
            spec = importlib.util.spec_from_file_location("turns_of_such_a_port", turns.__file__)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        finally:
            sys.modules[missing] = kept
        equal(bool(module.is_scheduled()), False, missing)
        module.schedule = queue_is_full
        equal(module.is_scheduled(), missing == "_thread", missing)
