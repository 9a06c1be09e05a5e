"""Troubles are told once and tried again; the crash log is bounded; the time is right, or said to be unknown."""

import os
import sys

from fakes.check import equal, raises
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
    world = World()
    trouble = retry.Trouble("pump", 1000, 8000)
    for _ in range(200):
        trouble.attempt(fail)
        world.clock.sleep_ms(500)
    equal(world.said, ["pump: no answer; trying again"])
    count = trouble.count
    trouble.ended()
    trouble.ended()
    equal(world.said[1:], ["pump: well again after %d failures" % count])


def test_another_reason_is_told_again():
    world = World()
    trouble = retry.Trouble("pump", 1, 1)
    trouble.attempt(fail)
    world.clock.sleep_ms(2)
    trouble.attempt(fail, "on fire")
    equal(world.said[1], "pump: on fire; trying again")


def test_pauses_grow_to_their_limit_and_are_random():
    world = World()
    trouble = retry.Trouble("pump", 1000, 8000)
    first = []
    late = []
    for _ in range(60):
        trouble.count = trouble.out_ms = 0
        trouble.failed("x")
        first.append(trouble.pause_ms)
        trouble.count = 9
        trouble.out_ms = 60000
        trouble.failed("x")
        late.append(trouble.pause_ms)
    assert min(first) > 0 and max(first) <= 1000 and len(set(first)) > 20
    assert 4000 < max(late) <= 8000 and min(late) < 4000
    assert world.said == ["pump: x; trying again"]


def test_nothing_is_tried_during_the_pause():
    world = World()
    trouble = retry.Trouble("pump", 5000, 5000)
    calls = []
    trouble.attempt(fail)
    pause_ms = trouble.pause_ms
    equal(trouble.attempt(calls.append, 1), None)
    world.clock.sleep_ms(pause_ms)
    equal(trouble.attempt(calls.append, 2), True)
    equal(calls, [2])


def test_errors_of_the_ports_are_said_in_words():
    for error, part in (
        (OSError(111), "refused (111)"),
        (OSError(104), "refused (104)"),
        (OSError(116), "no answer (116)"),
        (OSError(-202), "no such name"),
        (OSError(24), "no socket is free (24)"),
        (OSError(28), "the flash is full (28)"),
        (MemoryError("memory allocation failed"), "no memory"),
        (MemoryError(), "no memory"),
        (OSError(110, "no answer in time"), "no answer in time"),
        (OSError(5, 7), "the flash cannot be read or written (5)"),
        (OSError("[addrinfo error -2]"), "addrinfo"),
        (Broken("x"), "Broken"),
        (Broken(), "Broken"),
    ):
        assert part in reasons.words(error), (error, reasons.words(error))
    equal((reasons.words(MemoryError()), reasons.words(OSError("on fire"))), ("no memory", "on fire"))
    # by their names in errno.h, those of lwIP, and of the look-ups of both ports
    for codes, part in (
        ((104, 111), "is the broker running, is the port right?"),  # ECONNRESET, ECONNREFUSED
        # EAGAIN, ETIMEDOUT, EHOSTUNREACH, EINPROGRESS; lwIP: ETIMEDOUT, EHOSTUNREACH, EINPROGRESS
        ((11, 110, 113, 115, 116, 118, 119), "is it running, is the address right?"),
        ((12,), "no memory for it"),  # ENOMEM
        ((23, 24), "no socket is free"),  # ENFILE, EMFILE
        ((28,), "delete files, or lower queue_kb"),  # ENOSPC
        ((5, 19), "the flash cannot be read or written"),  # EIO, ENODEV
        ((2,), "no such file"),  # ENOENT
        ((107, 128), "not connected"),  # ENOTCONN, and lwIP's
        ((-2, -3, -202), "no such name, or no name server answers"),
    ):
        for code in codes:
            said = reasons.words(OSError(code))
            assert part in said and (code < 0 or "(%d)" % code in said), (code, said)
    for code in (1, 3, 4, 6, 13, 20, 25, 29, 106, 108, 112, 114, 117, 120, 127, 129, -1, -4, -203):
        assert str(code) in reasons.words(OSError(code)) and "?" not in reasons.words(OSError(code)), code


def test_the_crash_log_keeps_the_newest_and_stays_small():
    place = Folder()
    path = place.__enter__() + "/crash.log"
    World()
    try:
        for i in range(60):
            try:
                raise Broken("number %d" % i)
            except Broken as error:
                health.crashed(error, path)
        size = os.stat(path)[6]
        assert 2000 < size <= 2048, size
        with open(path) as file:
            text = file.read()
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
            except Broken as error:
                health.crashed(error, path)
            sizes.append(os.stat(path)[6])
    finally:
        place.__exit__()
    assert sizes[0] and sizes == sizes[:1] * 3, sizes


class LongLog(str):
    """A text to which there is no memory to add another."""

    def __add__(self, _):
        raise MemoryError


class LongFile:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def read(self):
        return LongLog("what crashed before")


def test_a_crash_for_which_there_is_no_memory_leaves_the_log_as_it_was():
    World()
    opened = []

    def open_long(path, mode="r"):
        opened.append(mode)
        return LongFile()

    health.open = open_long
    try:
        raise Broken("x")
    except Broken as error:
        health.crashed(error)
    finally:
        del health.open
    equal(opened, ["r"], "it was emptied")


def test_a_crash_log_that_cannot_be_written_is_no_crash():
    world = World()
    try:
        raise Broken("x")
    except Broken as error:
        health.crashed(error, "no such folder/crash.log")
    assert "no such folder" in world.said[-1]


def test_uptime_counts_across_the_wrap_of_the_ticks():
    world = World()
    for _ in range(30):
        world.clock.sleep_ms(86400000)
        clock.uptime_s()
    equal(clock.uptime_s(), 30 * 86400)


def test_the_time_of_a_moment_before_the_clock_was_set():
    world = World()
    world.epoch_s = 100
    equal(clock.unix_s(0), None)
    world.clock.sleep_ms(5000)
    up_s = clock.uptime_s()
    world.clock.sleep_ms(7000)
    world.epoch_s = NOW_S
    equal(clock.unix_s(up_s), NOW_S + 5)


def test_the_clock_of_a_board_counts_from_2000():
    from time import gmtime

    world = World()
    real = clock.gmtime
    clock.gmtime = lambda since_2000_s: gmtime(since_2000_s + 946684800)
    try:
        world.epoch_s = NOW_S - 946684800
        equal(clock.unix_s(0), NOW_S)
        world.epoch_s = 60
        equal(clock.unix_s(0), None)
    finally:
        clock.gmtime = real


def test_a_clock_is_not_set_to_a_time_that_cannot_be():
    import fake_board
    import ntptime

    world = World()
    world.epoch_s = 100  # not set
    zero_s = (1 << 32) - 2208988800  # what MicroPython's ntptime makes of a server that says "not now"
    for year_s in (0, 100, 946684800, 4102444801 + 86400, 1 << 40, zero_s, zero_s - 946684800):
        fake_board.script["values"] = {"ntp": [year_s]}
        said = str(raises(OSError, clock.sync, "time.example"))
        assert said == "time.example answered a time that cannot be: check ntp_host", said
        equal(ntptime.answer, [None])
    fake_board.script["values"] = {"ntp": [NOW_S]}
    clock.sync("time.example")
    equal((ntptime.answer[0], ntptime.host, ntptime.timeout), (NOW_S, "time.example", 2))
    ntptime.answer[0] = None


def test_a_clock_that_runs_is_moved_by_days_only_by_two_answers_that_agree():
    import fake_board
    import ntptime

    world = World()
    world.epoch_s = NOW_S
    away = NOW_S + 400 * 86400
    fake_board.script["values"] = {"ntp": [away, NOW_S]}
    assert "and then another one" in str(raises(OSError, clock.sync, "t"))
    equal(ntptime.answer, [None])
    fake_board.script["values"] = {"ntp": [away, away + 2]}
    clock.sync("t")
    equal(ntptime.answer, [away])
    ntptime.answer[0] = None
    fake_board.turn.clear()
    fake_board.script["values"] = {"ntp": [NOW_S + 86000, 0]}
    clock.sync("t")  # by less than a day at once: no other answer is asked for
    equal(ntptime.answer, [NOW_S + 86000])
    ntptime.answer[0] = None


def test_what_the_time_server_does_not_do_is_told_with_the_key():
    import ntptime

    World()
    real = ntptime.time
    for error, words in (
        (OSError(110), "t does not answer (110): check ntp_host"),
        (OSError(-2), "t is no name that can be looked up (-2): check ntp_host"),
        (OSError(-3), "t is no name that can be looked up (-3): check ntp_host"),
        (OSError(-202), "t is no name that can be looked up (-202): check ntp_host"),
        (IndexError("list index out of range"), "t does not answer (list index out of range): check ntp_host"),
    ):

        def time(error=error):
            raise error

        ntptime.time = time
        equal(str(raises(OSError, clock.sync, "t")), words)
        assert ntptime.time is time, "the port's own again"
    ntptime.time = real


def test_the_clock_begins_with_the_program_and_a_time_that_no_calendar_has_is_none():
    world = World()
    world.epoch_s = 10**18
    equal(clock.stamp(), 0)
    del sys.modules["clock"]
    import clock as fresh

    sys.modules["clock"] = clock
    assert fresh is not clock
    equal(fresh.uptime_s(), 0)


def test_no_age_is_counted_from_a_clock_that_is_not_set():
    world = World()
    for epoch_s, stamp in ((100, 0), (NOW_S, NOW_S), (4102444801 + 86400, 0)):
        world.epoch_s = epoch_s
        equal(clock.stamp(), stamp)


def test_a_pause_is_never_longer_than_the_outage_so_far():
    world = World()
    trouble = retry.Trouble("broker", 1000, 60000)
    longest = 0
    for _ in range(12):
        trouble.failed("refused")
        longest = max(longest, trouble.pause_ms)
        world.clock.sleep_ms(500)
    assert longest <= 6000, longest


def test_what_answers_and_is_no_broker_is_told_in_words():
    from umqtt.client import MQTTException, ProtocolError

    for error, part in (
        (ProtocolError("packet malformed or out of place"), "is it a web server"),
        (MQTTException(2, "x"), "check client_id"),
        (MQTTException(4, "x"), "check user and password"),
        (MQTTException(5, "x"), "not authorised"),
        (MQTTException(9, "strange"), "the broker refused: strange"),
        (MQTTException(1, "x"), "does not speak MQTT 3.1.1"),
        (MQTTException(3, "x"), "not available"),
        (MQTTException(6, "x"), "the broker refused: x"),
        (MQTTException(0, "x"), "the broker refused: x"),
        (MQTTException(0x84, "the broker speaks another"), "the broker speaks another: set protocol to 4"),
        (MQTTException(0x85, "bad id"), "the broker refused: bad id: check client_id"),
        (MQTTException(0x86, "x"), "x: check user and password"),
        (MQTTException(0x9C, "x"), "x: check broker"),
        (MQTTException(0x9D, "x"), "x: check broker"),
    ):
        said = reasons.words(error)
        assert part in said and not said[0].isdigit(), said
    for code in (0x83, 0x87, 0x9B, 0x9E):
        equal(reasons.words(MQTTException(code, "the broker is tired")), "the broker is tired")


def test_the_first_pause_is_as_long_as_the_one_who_fails_asks_for():
    for first_ms in (20, 5000):
        pauses_ms = []
        for _ in range(60):
            trouble = retry.Trouble("clock", first_ms, 600000)
            trouble.failed("no answer")
            pauses_ms.append(trouble.pause_ms)
        assert first_ms // 2 < max(pauses_ms) <= first_ms, (first_ms, max(pauses_ms))


def test_a_pause_doubles_from_the_first_to_the_most_and_counts_the_outage():
    world = World()

    class Most:
        """A random number that is the highest in every range."""

        def __mod__(self, count):
            return count - 1

    real = retry.getrandbits
    retry.getrandbits = lambda bits: Most()
    try:
        trouble = retry.Trouble("x")
        equal(
            (trouble.first_ms, trouble.most_ms, trouble.pause_ms, trouble.since, trouble.out_ms), (1000, 60000, 0, 0, 0)
        )
        limits = []
        for away_ms in (0, 500, 1500, 4000, 4000, 90000, 1000):
            world.clock.sleep_ms(away_ms)
            trouble.failed("x")
            limits.append(trouble.pause_ms)
        equal(limits, [1000, 1000, 2000, 6000, 10000, 32000, 60000])
        equal((trouble.count, trouble.out_ms), (7, 60000))
        trouble.ended()
        equal((trouble.count, trouble.out_ms, trouble.words), (0, 0, ""))
        trouble.failed("x")
        equal(world.said[-1], "x: x; trying again", "told again after it was well")
    finally:
        retry.getrandbits = real


def test_the_clock_counts_seconds_and_milliseconds():
    world = World()
    world.epoch_s = NOW_S
    for _ in range(5):
        world.clock.sleep_ms(300)
        clock.uptime_s()
    equal(clock.uptime_s(), 1)
    world.clock.sleep_ms(500)
    equal(clock.uptime_s(), 2)
    equal(clock.now_ms(), NOW_S * 1000 + 2000)
    for since_2000_s, can_be in ((1704067199, 0), (1704067200, 1704067200), (4102444799, 4102444799), (4102444800, 0)):
        clock.time = lambda since_2000_s=since_2000_s: since_2000_s
        if (
            since_2000_s < 1 << 31 or sys.implementation.name != "micropython"
        ):  # whose host port knows no time after 2038
            equal(clock.stamp(), can_be)


def test_a_jump_of_a_day_and_an_answer_a_minute_off_are_the_limits():
    import fake_board
    import ntptime

    world = World()
    world.epoch_s = NOW_S
    for answers, set_to in (
        ([NOW_S + 86400, NOW_S], NOW_S + 86400),  # it is asked once
        ([NOW_S + 86401, NOW_S], None),
        ([NOW_S + 86401, NOW_S + 86461], NOW_S + 86401),
        ([NOW_S + 86401, NOW_S + 86462], None),
    ):
        ntptime.answer[0] = None
        fake_board.turn.clear()
        fake_board.script["values"] = {"ntp": answers}
        try:
            clock.sync("t")
        except OSError:
            pass
        equal((ntptime.answer[0], ntptime.timeout), (set_to, 2))
    ntptime.answer[0] = None


def test_a_watchdog_is_there_where_it_is_wanted_and_the_chip_has_none_of_its_own():
    from machine_wdt import WDT

    real = health.sys
    try:
        for platform, timeout_s, timeout_ms in (("esp32", 300, 300000), ("esp32", 0, 0), ("esp8266", 300, 0)):
            health.sys = type("Sys", (), {"platform": platform})
            WDT.timeout = WDT.feeds = 0
            health.watchdog(timeout_s)()
            equal((WDT.timeout, WDT.feeds), (timeout_ms, 1 if timeout_ms else 0))
    finally:
        health.sys = real
