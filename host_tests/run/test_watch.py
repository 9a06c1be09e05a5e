"""What the watcher counts and what it takes for a reading."""

import xml.etree.ElementTree as ET
from types import SimpleNamespace

import pytest

from tools.demo import pictures
from tools.demo.watch import Reading, Tally, parse

GOOD = b'{"value":21.5,"unit":"\xc2\xb0C","time":1795466220,"seq":17}'


def test_the_picture_of_a_run_shows_it_and_takes_nothing_from_elsewhere():
    kept, tally = pictures.Kept(), Tally()
    kept.line("board: <wifi> & more")
    tally.add(reading(1))
    kept.reading(reading(1), tally)
    made = pictures.svg(kept, ["1 published, 1 received, 0 lost, 0 repeated"])
    root = ET.fromstring(made)  # it is XML
    words = "".join(root.itertext()).replace("\xa0", " ")
    assert "board: <wifi> & more" in words and "room/temperature" in words and "0 lost, 0 repeated" in words
    assert "url(http" not in made and "@import" not in made and not [e for e in root.iter() if "script" in e.tag]


def reading(seq, taken_s=100, received_s=100.0):
    return Reading("room/temperature", 21.5, "°C", seq, taken_s, received_s, 2)


def message(payload, topic="umqtt/host/room/temperature"):
    return SimpleNamespace(topic=topic, payload=payload, qos=2)


def test_a_reading_that_comes_twice_is_repeated_not_received_twice():
    tally = Tally()
    for seq in (1, 2, 2, 3, 2):
        tally.add(reading(seq))
    assert (len(tally.received), tally.repeated, tally.lost(3)) == (3, 2, 0)


def test_a_repeated_reading_does_not_hide_a_lost_one():
    tally = Tally()
    for seq in (1, 1, 3):
        tally.add(reading(seq))
    assert tally.lost(3) == 1


def test_a_reading_is_taken_apart():
    got = parse(message(GOOD))
    assert (got.sensor, got.value, got.unit, got.seq, got.taken_s) == ("room/temperature", 21.5, "°C", 17, 1795466220)


@pytest.mark.parametrize("payload", [b"online", b"", b"{}", b"[1]", b'{"value":1}', b"\xff", b"1"])
def test_what_is_no_reading_is_passed_over(payload):
    assert parse(message(payload)) is None


@pytest.mark.parametrize(("taken_s", "received_s", "words"), [
    (100, 100.9, "< 1 s"), (100, 101.1, "< 2 s"), (100, 103.2, "< 4 s"), (101, 100.9, "< 1 s"),
    (None, 100.0, "clock not set"),
])  # fmt: skip
def test_the_delay_is_told_in_the_whole_seconds_that_the_firmware_knows(taken_s, received_s, words):
    assert reading(1, taken_s, received_s).delay() == words
