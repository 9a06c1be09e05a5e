"""The board tells of itself: the message at each start, the crash log, the last lines of the log."""

import builtins
import json
import os
import sys

from commanded import PRINT, Commanded
from fakes.check import equal, raises
from fakes.folder import write
from fakes.net import Plan
from on_board import NOW_S

import fake_board
import tail


def test_diagnostics_come_once_at_each_start_retained():
    with Commanded(deep_sleep=True, keep_in="rtc") as world:
        for _ in range(3):
            got = raises(fake_board.Reset, world.boot().run)
            world.clock.sleep_ms(got.args[1])
        told = [
            json.loads(bytes(payload).decode())
            for topic, payload, _ in world.broker.accepted
            if topic == "umqtt/n1/diag"
        ]
        equal(len(told), 1, "a wake is no start")
        equal(told[0]["reset"], "power on")
        equal((told[0]["rssi_dbm"], told[0]["ip"], told[0]["interval_s"]), (-61, "127.0.0.1", 60))
        equal((told[0]["time"], told[0]["micropython"].count(".")), (NOW_S + told[0]["up_s"], 2))
        for key in ("version", "micropython", "port", "heap_b", "connects", "resends", "error", "ip", "up_s"):
            assert key in told[0], key
        assert "umqtt/n1/diag" in world.broker.retained
    with Commanded(diag=False) as world:
        world.run(30000)
        equal([topic for topic, _, _ in world.broker.accepted if topic.endswith("/diag")], [])
    with Commanded() as world:
        fake_board.script["values"] = {}  # not one sensor answers
        world.run(5000)
        equal(len([topic for topic, _, _ in world.broker.accepted if topic.endswith("/diag")]), 1)


def test_the_crash_log_comes_oldest_first_and_goes_once_the_broker_has_it():
    with Commanded() as world:
        log = "".join(["Traceback %d äöü\n" % i for i in range(90)])
        write("crash.log", log.encode())
        world.run(5000)
        taken = ""
        for i in range(3):
            world.send("crash")
            words = world.answers("crash")[-1][1]
            equal("send crash again" in words, i + 1 < 3 and len(log) > 1024 * (i + 1), words)
            taken += words.split("\n(")[0]
            assert taken.endswith("\n"), "whole lines"
            left_b = len(log.encode()) - len(taken.encode())
            assert not left_b or "\n(%d B more" % left_b in words, (left_b, words[-40:])
            if "crash.log" not in os.listdir("."):
                break
        equal(taken, log)
        write("crash.log", b"half a character \x80\xc3")
        world.send("crash")
        equal(world.answers("crash")[-1], (True, "half a character ??"))
        world.send("crash")
        equal(world.answers("crash")[-1], (True, "no crash since the last one that was taken"))


def test_an_empty_crash_log_is_none():
    with Commanded() as world:
        world.run(5000)
        write("crash.log", b"")
        world.send("crash")
        equal(world.answers("crash"), [(True, "no crash since the last one that was taken")])


def test_the_crash_log_stays_when_the_answer_does_not_arrive():
    with Commanded() as world:
        write("crash.log", b"Traceback\n")
        world.run(5000)
        link = world.broker.kept("n1").link
        world.broker.inject("umqtt/n1/cmd/crash", "", 0)
        link.plan = Plan(cut_out=link.out_b + 10, how="silence")
        world.run(2000)
        assert "crash.log" in os.listdir(".")
        world.run(300000)
        equal(world.answers("crash"), [(True, "Traceback\n")])
        assert "crash.log" not in os.listdir(".")


def test_the_last_lines_are_told_and_each_further_one_when_asked_for():
    with Commanded() as world:
        tail.keep(100)
        for i in range(30):
            print("line", i)
        world.run(5000)
        world.send("log", "2")
        equal(world.answers("log"), [(True, "line 28\nline 29\n")])
        world.send("log", "")
        assert world.answers("log")[-1][1].endswith("line 29\n")
        equal(len(world.answers("log")[-1][1].encode()), 100)
        world.send("log", "on 60")
        print("ä new", 1)
        print("second")
        world.run(6000)
        lines = [bytes(payload).decode() for topic, payload, _ in world.broker.accepted if topic == "umqtt/n1/log"]
        equal(lines, ["ä new 1", "second"])
        world.clock.sleep_ms(60000)
        world.run(6000)
        print("third")
        world.run(6000)
        equal(len([topic for topic, _, _ in world.broker.accepted if topic == "umqtt/n1/log"]), 2, "a minute is over")
        world.send("log", "on")
        equal(world.answers("log")[-1], (True, "lines for 600 s"))
        for seconds, is_right in (("1", True), ("86400", True), ("86401", False), ("0", False)):
            world.send("log", "on " + seconds)
            equal(world.answers("log")[-1][0], is_right, seconds)
        world.send("log", "off")
        print("third")
        world.run(6000)
        equal(len([topic for topic, _, _ in world.broker.accepted if topic == "umqtt/n1/log"]), 2)
    with Commanded() as world:
        tail.keep(4000)
        tail.total = 0
        world.run(5000)
        print("first")
        world.send("log")
        equal(world.answers("log"), [(True, "first\n")])
    with Commanded(log_b=0) as world:
        world.run(5000)
        world.send("log")
        assert "log_b is 0" in world.answers("log")[0][1]


def test_the_last_lines_begin_with_a_whole_character_wherever_the_ring_is_cut():
    from commands.log import since

    said = "\u00e4\u00f6\u00e9\u20ac!\n"
    real, tail._said = tail._said, lambda *_: None
    try:
        for size_b in range(1, 34):
            tail.keep(size_b)
            tail.total = 0
            for _ in range(3):
                print(said[:-1])
            text, end_b = since(0)
            assert (3 * said).endswith(text) and size_b - 3 < len(text.encode()) <= size_b, (size_b, text)
            equal(since(end_b), ("", end_b))
        equal(text, 3 * said)
    finally:
        tail._said = real
        builtins.print = PRINT


def test_lines_that_are_kept_go_to_the_serial_line_as_well_from_the_first_one_on():
    from commands.log import since

    heard = []
    del sys.modules["tail"]
    try:
        import tail as fresh

        fresh._said = lambda *words, **how: heard.append((words, how))
        fresh.keep(40)
        print("first", 1)
        print("second", end="!")
        builtins.print = PRINT
        equal(heard, [(("first", 1), {}), (("second",), {"end": "!"})])
        equal(since(0), ("first 1\nsecond\n", 15))
    finally:
        builtins.print = PRINT
        sys.modules["tail"] = tail
