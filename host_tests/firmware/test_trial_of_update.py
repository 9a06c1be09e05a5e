"""How a start is judged while the node runs: an update on trial that does not reach the broker, a start that lasts,
safe mode that is not for ever."""

import os
import sys
import time

from fakes.check import equal, raises
from fakes.folder import Folder
from on_board import World, fake_board

import slots

NO_NETWORK = {"wifi": {"another": "x"}}
LIMIT_MS = 180000
SLEEP_MS = time.sleep_ms


class Flash(Folder):
    def __enter__(self):
        slots.ROOT = super().__enter__() + "/"
        self.home = os.getcwd()
        os.chdir(slots.ROOT)  # as a board's program, which is in /
        os.mkdir(slots.ROOT + "ota")
        return self

    def __exit__(self, *_):
        if sys.implementation.name != "micropython":
            time.sleep_ms = SLEEP_MS
        os.chdir(self.home)
        super().__exit__()
        slots.ROOT = ""


def make_world(script, start):
    """A node whose start is of this kind."""
    sys.modules["slots"] = slots  # which the node forgets, and this test must not
    sys.modules.pop("trial", None)
    world = World(script, commands=True, reset_after_s=0)
    if sys.implementation.name != "micropython":  # whose `time` nobody can change
        time.sleep_ms = world.clock.sleep_ms
    world.node.cfg.update(start=start, came_back=(), trials=slots.trials())
    world.node.trials = world.node.cfg["trials"] or start
    return world


def test_an_update_that_does_not_reach_the_broker_in_time_is_gone_back_from_at_once():
    with Flash():
        slots.write("boot.try", {"run": "1", "digest": "d1", "old": {}})
        world = make_world(NO_NETWORK, slots.TRIAL)
        world.run(LIMIT_MS - 5000)
        assert slots.is_there(slots.at("boot.try"))
        raises(fake_board.Reset, world.run, 20000)
        equal(slots.read("why"), {"digest": "d1", "why": "it did not reach the broker in 180 s"})
        assert slots.is_there(slots.at("boot.bad")) and not slots.is_there(slots.at("boot.try"))


def test_a_start_that_lasts_a_minute_is_counted_no_more_with_a_broker_or_without():
    for script in (None, NO_NETWORK):
        with Flash():
            slots.write("starts", {"starts": 3})
            world = make_world(script, slots.COUNTED)
            world.run(50000)
            equal(slots.read("starts"), {"starts": 3})
            world.run(30000)
            assert not slots.is_there(slots.at("starts"))
            equal([name for name in ("slots", "probation", "trial") if name in sys.modules], [], "on the heap")


def test_a_start_that_crashes_again_and_again_stays_counted():
    with Flash():
        slots.write("starts", {"starts": 3})
        world = make_world(None, slots.COUNTED)

        def crash():
            raise ValueError("again")

        world.node.measure = crash
        raises(fake_board.Reset, world.run, 600000)  # after 8 crashes
        equal(slots.read("starts"), {"starts": 3})


def test_an_update_that_ends_the_program_is_gone_back_from_and_its_reason_is_told():
    with Flash():
        slots.write("boot.try", {"run": "1", "digest": "d1", "old": {}})
        world = make_world(None, slots.TRIAL)
        import trial

        began = world.clock.now
        raises(fake_board.Reset, trial.failed, world.node.cfg, ValueError("no such pin"))
        if sys.implementation.name != "micropython":
            equal(world.clock.now - began, 2000, "in which Ctrl-C prevents the reset")
        equal(slots.read("why"), {"digest": "d1", "why": "ValueError: no such pin"})
        assert slots.is_there(slots.at("boot.bad")) and not slots.is_there(slots.at("boot.try"))


def test_safe_mode_ends_after_an_hour_with_a_reset():
    with Flash():
        slots.write("starts", {"starts": slots.MOST_STARTS + 1})
        world = make_world(None, slots.SAFE)
        world.run(3500000)
        raises(fake_board.Reset, world.run, 200000)
        assert slots.is_there(slots.at("starts"))


def at_uptime(world, uptime_s):
    """A node that has been up for so many seconds, and its judge."""
    import trial

    world.clock.sleep_ms(uptime_s * 1000 - (world.clock.now - world.began))
    return trial


def test_each_limit_is_over_when_the_second_after_it_has_come():
    for script, start, limit_s in ((NO_NETWORK, slots.TRIAL, 180), (None, slots.SAFE, 3600)):
        with Flash():
            slots.write("boot.try" if start == slots.TRIAL else "starts", {"run": "1", "digest": "d", "starts": 9})
            world = make_world(script, start)
            world.run(1000)
            at_uptime(world, limit_s).judge(world.node)
            raises(fake_board.Reset, at_uptime(world, limit_s + 1).judge, world.node)
    with Flash():
        slots.write("starts", {"starts": 3})
        world = make_world(NO_NETWORK, slots.COUNTED)
        at_uptime(world, 60).judge(world.node)
        equal((slots.read("starts"), world.node.trials), ({"starts": 3}, slots.COUNTED))
        at_uptime(world, 61).judge(world.node)
        equal((slots.is_there(slots.at("starts")), world.node.trials, world.node.cfg["start"]), (False, 0, 0))


def test_an_update_is_kept_once_its_connection_has_stood_for_more_than_ten_seconds():
    with Flash():
        slots.write("boot.try", {"run": "1", "digest": "d1", "old": {}})
        world = make_world({"wifi": {"another": "x"}}, slots.TRIAL)
        world.run(30000)
        fake_board.script["wifi"] = {"lab": "12345678"}
        while world.node.client is None or not world.node.client.isconnected():
            world.run(100)
        from_s = world.node.up_s
        assert from_s > 20, from_s
        import trial

        trial.clear_moved = None  # an update moves nothing
        at_uptime(world, from_s + 10).judge(world.node)
        assert slots.is_there(slots.at("boot.try"))
        at_uptime(world, from_s + 11).judge(world.node)
        equal(slots.read("boot"), {"run": "1", "digest": "d1", "old": {}})
        equal((world.node.cfg["trials"], world.node.trials), ((), slots.TRIAL), "it has yet to last")


def test_a_wake_that_comes_to_its_sleep_is_none_of_a_boot_loop_but_in_safe_mode():
    for starts, is_counted in ((3, False), (slots.MOST_STARTS + 1, True)):
        with Flash():
            slots.write("starts", {"starts": starts})
            world = make_world(None, slots.COUNTED)
            import trial

            trial.slept(world.node)
            equal(slots.is_there(slots.at("starts")), is_counted)


def test_a_broker_that_acknowledges_nothing_is_none_that_an_update_has_reached():
    with Flash():
        slots.write("boot.try", {"run": "1", "digest": "d1", "old": {}})
        world = make_world(None, slots.TRIAL)
        world.broker._incoming = lambda link, kept, packet: None
        world.run(LIMIT_MS - 5000)
        assert slots.is_there(slots.at("boot.try"))
        raises(fake_board.Reset, world.run, 20000)
        assert slots.is_there(slots.at("boot.bad"))
