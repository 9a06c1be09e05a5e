"""Troubles are told once and tried again; the crash log is bounded; the time is right, or said to be unknown."""

import os

from fakes.check import equal
from fakes.folder import Folder
from on_board import NOW_S, World

import clock
import health
import reasons
import retry


class Broken(Exception):
    pass


def fail(words="no answer"):
    raise OSError(words)


def test_a_trouble_is_told_once_and_its_end_too():
    w = World()
    t = retry.Trouble("pump", 1000, 8000)
    for _ in range(200):
        t.attempt(fail)
        w.clock.sleep_ms(500)
    equal(w.said, ["pump: no answer; trying again"])
    n = t.count
    t.ended()
    t.ended()
    equal(w.said[1:], ["pump: well again after %d failures" % n])


def test_another_reason_is_told_again():
    w = World()
    t = retry.Trouble("pump", 1, 1)
    t.attempt(fail)
    w.clock.sleep_ms(2)
    t.attempt(fail, "on fire")
    equal(w.said[1], "pump: on fire; trying again")


def test_pauses_grow_to_their_limit_and_are_random():
    w = World()
    t = retry.Trouble("pump", 1000, 8000)
    first = []
    late = []
    for _ in range(60):
        t.count = t.out_ms = 0
        t.failed("x")
        first.append(t.pause_ms)
        t.count = 9
        t.out_ms = 60000
        t.failed("x")
        late.append(t.pause_ms)
    assert min(first) > 0 and max(first) <= 1000 and len(set(first)) > 20
    assert 4000 < max(late) <= 8000 and min(late) < 4000
    assert w.said == ["pump: x; trying again"]


def test_nothing_is_tried_during_the_pause():
    w = World()
    t = retry.Trouble("pump", 5000, 5000)
    calls = []
    t.attempt(fail)
    pause_ms = t.pause_ms
    equal(t.attempt(calls.append, 1), None)
    w.clock.sleep_ms(pause_ms)
    equal(t.attempt(calls.append, 2), True)
    equal(calls, [2])


def test_errors_of_the_ports_are_said_in_words():
    for e, part in (
        (OSError(111), "refused (111)"),
        (OSError(104), "refused (104)"),
        (OSError(116), "no answer (116)"),
        (OSError(-202), "no such name"),
        (OSError(24), "no socket is free (24)"),
        (OSError(28), "the flash is full (28)"),
        (MemoryError("memory allocation failed"), "no memory"),
        (OSError(110, "no answer in time"), "no answer in time"),
        (OSError("[addrinfo error -2]"), "addrinfo"),
        (Broken("x"), "Broken"),
        (Broken(), "Broken"),
    ):
        assert part in reasons.words(e), (e, reasons.words(e))


def test_the_crash_log_keeps_the_newest_and_stays_small():
    place = Folder()
    path = place.__enter__() + "/crash.log"
    World()
    try:
        for i in range(60):
            try:
                raise Broken("number %d" % i)
            except Broken as e:
                health.crashed(e, path)
        size = os.stat(path)[6]
        assert size <= 2100, size
        with open(path) as f:
            text = f.read()
        assert "number 59" in text and "number 0\n" not in text
    finally:
        place.__exit__()


def test_the_same_crash_again_is_not_written_again():
    place = Folder()
    path = place.__enter__() + "/crash.log"
    World()
    sizes = []
    try:
        for _ in range(3):
            try:
                raise Broken("again")
            except Broken as e:
                health.crashed(e, path)
            sizes.append(os.stat(path)[6])
    finally:
        place.__exit__()
    assert sizes[0] and sizes == sizes[:1] * 3, sizes


def test_a_crash_log_that_cannot_be_written_is_no_crash():
    w = World()
    try:
        raise Broken("x")
    except Broken as e:
        health.crashed(e, "no such folder/crash.log")
    assert "no such folder" in w.said[-1]


def test_uptime_counts_across_the_wrap_of_the_ticks():
    w = World()
    for _ in range(30):
        w.clock.sleep_ms(86400000)
        clock.uptime_s()
    equal(clock.uptime_s(), 30 * 86400)


def test_the_time_of_a_moment_before_the_clock_was_set():
    w = World()
    w.epoch_s = 100
    equal(clock.unix_s(0), None)
    w.clock.sleep_ms(5000)
    up_s = clock.uptime_s()
    w.clock.sleep_ms(7000)
    w.epoch_s = NOW_S
    equal(clock.unix_s(up_s), NOW_S + 5)


def test_boards_count_from_2000():
    from time import gmtime

    w = World()
    real = clock.gmtime
    clock.gmtime = lambda s: gmtime(s + 946684800)
    try:
        w.epoch_s = NOW_S - 946684800
        equal(clock.unix_s(0), NOW_S)
        w.epoch_s = 60
        equal(clock.unix_s(0), None)
    finally:
        clock.gmtime = real
