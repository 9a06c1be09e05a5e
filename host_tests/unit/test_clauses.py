"""Every clause of MQTT 5 that binds a client stands in docs/mqtt5.md once, with a test that exists or a reason."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CPYTHON_ONLY = "it reads the tests"

# Clauses of the standard that bind a client, or both ends, by section: how many, and which.
BINDING = {
    "1.5.4": "1 2 3",
    "1.5.5": "1",
    "1.5.7": "1",
    "2.1.3": "1",
    "2.2.1": "2 3 5",
    "2.2.2": "1",
    "3.1.0": "1",
    "3.1.2": "1 4 9 11 12 13 16 17 18 19 20 21 23 30",
    "3.1.3": "1 2 3 4 11 12",
    "3.2.2": "4 5 11 14 15 17 18 21",
    "3.3.1": "1 2 3 4",
    "3.3.2": "1 2 7 8 9 10 13 14 19",
    "3.3.4": "1 6 7 8",
    "3.4.2": "1 2 3",
    "3.5.2": "1 2 3",
    "3.6.1": "1",
    "3.6.2": "1 2 3",
    "3.7.2": "1 2 3",
    "3.8.1": "1",
    "3.8.3": "1 2 4 5",
    "3.10.1": "1",
    "3.10.2": "1 2",
    "3.14.1": "1",
    "3.14.2": "1 3 4",
    "3.14.4": "1 2",
    "3.15.1": "1",
    "3.15.2": "1 2 3",
    "4.1.0": "1",
    "4.2": "1",
    "4.3.1": "1",
    "4.3.2": "1 2 3 4 5",
    "4.3.3": "1 2 3 4 5 6 7 8 9 10 11 12 13",
    "4.4.0": "1 2",
    "4.5.0": "2",
    "4.6.0": "1 2 3 4",
    "4.7.0": "1",
    "4.7.1": "1 2",
    "4.7.3": "1 2 3",
    "4.8.2": "1 2",
    "4.9.0": "1 2 3",
    "4.12.0": "3 5 7",
    "4.12.1": "1 2",
    "4.13.2": "1",
}
MANY = 132
WITHOUT_A_TEST = 14  # fewer is better; one more needs a reason that a review believes


def rows():
    """[(clause, tests, the whole cell)] of the page."""
    page = (ROOT / "docs" / "mqtt5.md").read_text()
    found = re.findall(r"^\| (\d[\d.]*-\d+) \| (.*) \|$", page, re.M)
    return [(clause, re.findall(r"`(test_\w+)`", cell), cell) for clause, cell in found]


def test_every_clause_that_binds_a_client_has_one_row():
    wanted = ["%s-%s" % (section, number) for section in BINDING for number in BINDING[section].split()]
    assert [clause for clause, _, _ in rows()] == wanted
    assert len(wanted) == MANY


def test_each_names_a_test_that_there_is_or_a_reason():
    there = set()
    for path in (ROOT / "host_tests").rglob("test_*.py"):
        there.update(re.findall(r"^def (test_\w+)", path.read_text(), re.M))
    for clause, tests, cell in rows():
        assert all(test in there for test in tests), (clause, tests)
        assert tests or len(cell) > 10, clause
    assert sum(not tests for _, tests, _ in rows()) <= WITHOUT_A_TEST
