"""Changes of one token: a change that a test sees is noticed, one that it cannot see is not."""

import ast
import json
import subprocess
import sys

import pytest

from tools.prove import mutants
from tools.prove.noticed import NO_END

RETRY = "firmware/retry.py"
SOURCE = (mutants.ROOT / RETRY).read_text()
HEALTH = str(mutants.ROOT / "host_tests" / "firmware" / "test_health.py")


def of_health(name):
    return {"path": HEALTH, "test": name, "start": "early", "s": 0.01}


TOLD = [
    of_health("test_errors_of_the_ports_are_said_in_words"),
    of_health("test_a_trouble_is_told_once_and_its_end_too"),
]


@pytest.fixture(scope="module")
def child():
    one = mutants.Child()
    yield one
    one.close()


def test_the_file_as_it_is_and_one_without_a_comment_are_noticed_by_no_test(child):
    for text in (SOURCE, ast.unparse(ast.parse(SOURCE))):
        assert mutants.notices(child, text, RETRY, TOLD) is None


def test_the_test_that_is_red_is_named(child):
    silent = SOURCE.replace("print(", "str(")
    assert silent != SOURCE
    assert mutants.notices(child, silent, RETRY, TOLD) is TOLD[1]


def test_a_file_that_cannot_be_imported_and_one_that_comes_to_no_end_are_noticed(child):
    assert mutants.notices(child, "import nothing_of_this_name", RETRY, TOLD)
    endless = SOURCE.replace("self.name = name", "self.name = name\n        while True: pass")
    assert child.ask(RETRY, TOLD[1:], text=endless) == NO_END
    assert mutants.notices(child, SOURCE, RETRY, TOLD) is None


def test_only_tests_that_run_the_line_are_asked(child):
    called = [{**each, "calls": ["retry.py:failed"]} for each in TOLD]
    lines = mutants.Lines(child, RETRY, SOURCE, called)
    at = {text.strip(): i for i, text in enumerate(SOURCE.splitlines(), 1)}
    assert lines.wanted(at["self.words = e"]) == called[1:]
    assert lines.wanted(at["self.count = self.out_ms = 0"]) == called[1:]
    assert mutants.Lines(child, RETRY, SOURCE, called[:1]).wanted(at["self.words = e"]) == []
    assert called[1] in lines.wanted(at["most_ms = 60000"])  # at the import: whoever calls the file


def test_every_kind_of_change_is_one_token():
    tree = ast.parse("def f(a):\n    if a < 3 and True:\n        a += b - 1\n        g(a)\n")
    found = {what: mutants.mutant(tree, i, what) for i, _, what in mutants.places(tree)}
    assert "a <= 3" in found["comparison"] and "or True" in found["and/or"] and "and False" in found["True/False"]
    assert "b + 1" in found["sum"] and "pass" in found["statement left out"]
    assert set(found) == {"comparison", "and/or", "True/False", "number + 1", "sum", "statement left out"}


def test_a_file_of_which_one_test_is_skipped_has_its_others(tmp_path):
    path = tmp_path / "test_skipped.py"
    path.write_text("from fakes.check import skip\n\n\ndef test_a():\n    skip('here')\n\n\ndef test_b():\n    pass\n")
    command = [sys.executable, "-m", "tools.prove.noticed", "calls", str(path)]
    told = subprocess.run(command, cwd=mutants.ROOT, env=mutants.environment(), capture_output=True, text=True)
    assert "test_b" in [test["test"] for test in json.loads(told.stdout)], told.stderr
