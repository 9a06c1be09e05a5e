"""The prefix of a line: every header and time format gives the same message and the same second."""

import time

import pytest

from tools.mosqlog.events import Control, Unknown
from tools.mosqlog.parse import Parser, parse
from tools.mosqlog.stamp import compiled

START = 1795348562  # 2026-11-22 11:56:02 UTC
NOW = START + 3600
PING = "Received PINGREQ from a"


@pytest.mark.parametrize(
    "prefix",
    [
        "1795348562: ",
        "2026-11-22T11:56:02: ",
        "2026-11-22T11:56:02Z: ",
        "2026-11-22T13:56:02+0200: ",
        "2026-11-22T13:56:02+02:00: ",
        "2026-11-22 11:56:02: ",
        "[2026-11-22 11:56:02]: ",
        "2026/11/22 11:56:02: ",
        "22/11/2026 11:56:02: ",
        "11/22/2026 11:56:02: ",
        "11/22/26 11:56:02: ",
        "22.11.2026 11:56:02: ",
        "22-Nov-2026 11:56:02: ",
        "Nov 22 11:56:02: ",
        "Sun Nov 22 11:56:02 2026: ",
        "Sun 22 Nov 2026 11:56:02 AM UTC: ",
        "20261122-115602: ",
        "Nov 22 11:56:02 box mosquitto[123]: ",
        "<30>Nov 22 11:56:02 box mosquitto[123]: ",
        "Nov 22 11:56:02 box mosquitto[123]: 1795348562: ",
        "2026-11-22T11:56:02+0000 box mosquitto[123]: ",
        "2026-11-22T11:56:02+00:00 box mosquitto: ",
        "1795348562.000000 box mosquitto[123]: ",
        "<30>1 2026-11-22T11:56:02Z box mosquitto 123 - - ",
        "mosquitto-1  | 1795348562: ",
        "2026-11-22 13:56:02 mosquitto  | 1795348562: ",
        "nov 22 11:56:02 localhost.localdomain mosquitto[4046]: 1795348562: ",
        "ott 22 11:56:02 localhost.localdomain mosquitto[4046]: 1795348562: ",  # an Italian October
        "2026-11-22T11:56:02.000000000Z 1795348562: ",
        "2026-11-22T11:56:02Z ",
    ],
)
def test_every_prefix_gives_the_second_and_the_message(prefix):
    assert Parser(now=NOW).parse(prefix + PING) == Control(START, False, "PINGREQ", "a")


def test_no_prefix_gives_no_time():
    assert parse(PING) == Control(None, False, "PINGREQ", "a")


def test_the_finer_time_of_a_header_is_kept():
    line = "2026-11-22T11:56:02.250000000Z 1795348562: " + PING
    assert parse(line).t == START + 0.25


def test_a_header_far_from_the_brokers_own_time_does_not_win():
    line = "2026-11-22T11:58:02.250000000Z 1795348562: " + PING
    assert parse(line).t == START


def test_hours_only_go_on_after_midnight():
    parser = Parser()
    assert [parser.parse(t + ": " + PING).t for t in ("23:59:59", "00:00:01", "00:00:02")] == [86399, 86401, 86402]


def test_a_time_without_a_year_lies_in_the_past():
    new_year = time.mktime(time.strptime("2026-01-01", "%Y-%m-%d"))
    t = Parser(now=new_year).parse("Dec 31 23:00:00 box mosquitto[1]: " + PING).t
    assert time.gmtime(t).tm_year == 2025


def test_a_format_of_ones_own_is_read_exactly():
    line = "03|04|26 o'clock 11 05:06: " + PING
    parser = Parser("%m|%d|%y o'clock %H %M:%S")
    assert parser.parse(line) == Control(1772622306, False, "PINGREQ", "a")


def test_an_ambiguous_day_is_settled_by_the_format():
    line = "03/04/2026 00:00:00: " + PING
    assert time.gmtime(Parser("%m/%d/%Y %H:%M:%S").parse(line).t).tm_mon == 3
    assert time.gmtime(Parser("%d/%m/%Y %H:%M:%S").parse(line).t).tm_mon == 4


def test_an_unreadable_format_is_refused_in_words():
    with pytest.raises(ValueError, match="%Q is not known"):
        Parser("%Q")
    with pytest.raises(ValueError, match="% is not known"):
        compiled("12%")


def test_a_strange_prefix_is_learnt_from_its_shape():
    parser = Parser()
    assert parser.parse("day 7 at 5h: " + PING) == Control(None, False, "PINGREQ", "a")
    assert parser.parse("day 8 at 9h: Received SUBSCRIBE from a").name == "SUBSCRIBE"
    assert parser.parse("day 8 at 9h: \tx (QoS 1)").filter == "x"
    assert parser.parse("day 8 at 9h: a 1 x").qos == 1  # nothing but its shape tells this one


@pytest.mark.parametrize(
    "line",
    [
        "1795348562: x: Received PINGREQ from a",
        "1795348562: \tfoo: New client connected from 1.1.1.1 as victim (c1, k60).",
        "something 2 happened here: but what Received PINGREQ from a",
        "99/99/2026 11:56:02: " + "hello",
    ],
)
def test_a_message_inside_another_text_is_not_an_event(line):
    assert type(parse(line)).__name__ in ("Unknown", "Detail")


def test_figures_that_are_no_time_give_no_time():
    assert parse("25:61:99: " + PING).t is None
    assert parse("2026-13-41T11:56:02: hello") == Unknown(None, "2026-13-41T11:56:02: hello")


def test_no_line_takes_long_to_be_refused():
    lines = [
        "a.." * 15 + "1: x",
        "1." * 25 + ": x",
        "[1] " * 12 + ": y",
        "a as " * 9000 + "(p2, c1",
        "New client connected from " + "a as b (p2, c0, k6" * 3000,
        "Client " + " disconnected: " * 4000,
        "Received PUBLISH from " + "x (d0, q0, r0, m1, '" * 3000,
        "Invalid QoS in PUBLISH from " + " in PUBLISH from" * 4000,
    ]
    began = time.process_time()
    for line in lines:
        parse(line)
    assert time.process_time() - began < 2
