"""What the targets write: a picture that is an SVG with every board in it, pages with their marks."""

import xml.dom.minidom

import pytest

from tools.prove import brokers_page, deviations, operators_page
from tools.prove.checks import CHECKS
from tools.prove.fleet import Event
from tools.prove.interop import Result, Verdict


def test_the_picture_holds_every_board_that_came_back():
    events = [Event("restart", 8, [0.1, 0.2, 3.7]), Event("password", 8, [])]
    svg = xml.dom.minidom.parseString(operators_page.histogram(4, events))
    bars = [r for r in svg.getElementsByTagName("rect") if r.getAttribute("class") == "bar"]
    assert len(bars) == 2  # two in the first half second, one in the eighth
    heights = [float(r.getAttribute("height")) for r in bars]
    assert heights[0] == 2 * heights[1]
    words = " ".join(t.firstChild.data for t in svg.getElementsByTagName("text"))
    assert "3 of 4 boards were away" in words and "0 of 4 boards were away" in words


def test_only_what_stands_between_the_marks_is_replaced():
    page = "head\n<!-- made by make x: begin -->\nold\n<!-- made by make x: end -->\ntail\n"
    assert brokers_page.between(page, "make x", ["new"]) == page.replace("old", "new")
    with pytest.raises(ValueError, match="no marks"):
        brokers_page.between(page, "make y", [])


def test_both_pages_have_the_marks_of_what_makes_them():
    for page, marks in ((brokers_page.PAGE, ["make interop", "make cluster"]),
                        (operators_page.PAGE, ["make fleet", "make herd"])):  # fmt: skip
        for mark in marks:
            assert brokers_page.between(page.read_text(), mark, ["x"])


def test_every_deviation_names_checks_that_exist_and_says_both_sides():
    for d in deviations.DEVIATIONS:
        assert set(d.checks.split()) <= set(CHECKS), d
        assert d.broker_does and d.client_does


def test_what_two_brokers_do_not_do_stands_once_and_names_both():
    verdicts = [Verdict("qos2", "broker", remarks=["slow"]), Verdict("row_in", "pass")]
    results = [Result(name, name, "Debian", verdicts=verdicts) for name in ("rabbitmq-bookworm", "rabbitmq-trixie")]
    results += [Result("mosquitto", "mosquitto", "Debian", verdicts=[Verdict("qos2", "pass")])]
    lines = brokers_page.page_lines(results)
    told = [line for line in lines if "it answers a PUBLISH of QoS 2 with PUBACK" in line]
    assert len(told) == 1 and told[0].startswith("| 1, 2 | QoS 2, both ways |"), told
    assert "- rabbitmq-trixie: slow." in lines and not [line for line in lines if line.startswith("- mosquitto")]
