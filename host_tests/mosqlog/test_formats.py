"""Golden files: every row of the format table for each version family, line by line with what it
must mean; and real logs of whole brokers."""

import re
from pathlib import Path

import pytest

from tools.mosqlog import parse
from tools.mosqlog.events import (
    Ack,
    Broker,
    Connack,
    Connected,
    Control,
    Ended,
    Event,
    Filter,
    Granted,
    Publish,
    Removed,
    Unknown,
    Will,
    WillTopic,
)
from tools.mosqlog.parse import Parser

HERE = Path(__file__).parent
FAMILIES = sorted((HERE / "golden").glob("*.txt"))
REAL = sorted((HERE / "logs").glob("*.log"))


def pairs(path):
    lines = path.read_text().splitlines()
    return list(zip(lines[0::2], lines[1::2]))


@pytest.mark.parametrize("path", FAMILIES, ids=lambda path: path.stem)
def test_every_row_means_what_the_golden_file_says(path):
    parser = Parser()
    for line, wanted in pairs(path):
        event = parser.parse(line)
        assert event.t == 1795348562
        assert re.sub(r"t=1795348562(, )?", "", repr(event), count=1) == wanted.strip(), line


@pytest.mark.parametrize("path", FAMILIES, ids=lambda path: path.stem)
def test_a_line_alone_means_the_same_unless_its_place_matters(path):
    placed = (Will, WillTopic, Filter, Granted, Removed)
    parser = Parser()
    for line, _ in pairs(path):
        in_place, alone = parser.parse(line), parse.parse(line.encode() + b"\r\n")
        if not isinstance(in_place, placed):
            assert alone == in_place


def test_the_families_cover_1_3_to_2_1_and_every_event():
    assert [path.stem for path in FAMILIES] == ["1.3", "1.4", "1.5", "1.6", "2.0", "2.1", "around"]
    seen = {wanted.split("(")[0].strip() for path in FAMILIES for _, wanted in pairs(path)}
    events = {kind.__name__ for kind in Event.__args__}
    assert seen == events - {"Detail"}  # Detail is what a TAB line is without its place


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_every_line_of_a_real_log_is_understood(path):
    parser = Parser()
    unknown = [event for event in map(parser.parse, path.open("rb")) if isinstance(event, Unknown)]
    assert unknown == []


def events(name):
    parser = Parser()
    return [parser.parse(line) for line in (HERE / "logs" / name).open("rb")]


def test_the_2014_log_without_its_tabs_is_read():
    found = events("mosquitto-1.3.log")
    assert found[1] == Connected(1403334375, "zhoujing", "203.0.113.163", None, False, 60, "joyo", False)
    assert found[4:6] == [
        Filter(1403334375, "zhoujing", "jiji/chat/9", 2, False),
        Granted(1403334375, "zhoujing", "jiji/chat/9", 2),
    ]
    assert [event.how for event in found if isinstance(event, Ended)] == ["takeover", "timeout", "closed", "closed"]


@pytest.mark.parametrize(
    "name, version",
    [
        ("mosquitto-2.0.11.log", "2.0.11"),
        ("mosquitto-2.0.11-isotime.log", "2.0.11"),
        ("mosquitto-2.0.21.log", "2.0.21"),
        ("mosquitto-2.1.2.log", "2.1.2"),
    ],
)
def test_a_real_log_begins_and_ends_with_its_broker(name, version):
    brokers = [event for event in events(name) if isinstance(event, Broker)]
    assert [event.state for event in brokers] == ["starting", "running", "terminating"]
    assert {event.version for event in brokers} == {version}


def test_both_time_formats_of_one_scenario_give_the_same_events():
    def timeless(name):
        return [
            re.sub(r"(?:\d+\.\d+\.\d+\.\d+:)?\d{5}", "N", repr(event._replace(t=None)))
            for event in events(name)
            if isinstance(event, (Publish, Ack, Control, Connack))
        ]

    plain, iso = timeless("mosquitto-2.0.11.log"), timeless("mosquitto-2.0.11-isotime.log")
    assert plain == iso and len(plain) == 30


def test_a_line_that_mosquitto_cut_keeps_what_is_sure():
    line = "1795348562: Received PUBLISH from dev (d0, q1, r0, m7, 't/" + "x" * 930
    assert parse.parse(line) == Publish(1795348562, False, "dev", False, 1, False, 7, "t/" + "x" * 930, None)
    assert isinstance(parse.parse(line[:500]), Unknown)  # somebody else cut that one
    cut_in_a_character = (line[:600] + "é" * 200).encode()[:-1]
    assert parse.parse(cut_in_a_character).topic.endswith("é\udcc3")
    assert isinstance(parse.parse("1795348562: Received PINGREQ from " + "x" * 950), Unknown)


def test_a_line_in_the_place_of_a_subscription_is_one_only_when_it_names_the_filter():
    parser = Parser()
    for line, kind in [
        ("Received SUBSCRIBE from dev", Control),
        ("\ta/b (QoS 1)", Filter),
        ("dev 1 other", Unknown),
        ("dev 1 a/b", Granted),
        ("Received UNSUBSCRIBE from dev", Control),
        ("\ta/b", Filter),
        ("dev other", Unknown),
        ("dev a/b", Unknown),
    ]:
        assert type(parser.parse(line)) is kind, line


@pytest.mark.parametrize("tab", ["\t", "#011", "    ", "        ", ""])
def test_filters_are_known_whatever_became_of_their_tab(tab):
    parser = Parser()
    lines = [
        "Received SUBSCRIBE from dev",
        tab + "a/b (QoS 1)",
        "dev 1 a/b",
        "Received UNSUBSCRIBE from dev",
        tab + "a/b",
        "dev a/b",
    ]
    found = [parser.parse("1795348562: " + line) for line in lines]
    assert found[1:3] == [Filter(1795348562, "dev", "a/b", 1, False), Granted(1795348562, "dev", "a/b", 1)]
    assert found[5] == Removed(1795348562, "dev", "a/b")
    if tab:
        assert found[4] == Filter(1795348562, "dev", "a/b", None, False)
