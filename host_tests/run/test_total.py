"""The last line of `make test`: every layer is counted, and nothing is passed over in silence."""

import os
import subprocess
import sys

import pytest

from tools.total import figures

ROOT = __file__.rsplit("/host_tests/", 1)[0]
MAKEFILE = (
    """
good other: ; @echo $@ begins; sleep 0.2; echo 2 passed, 1 skipped in 0.1s
bad: ; @echo bad begins; echo "1 passed, 1 failed, 0 skipped"; exit 1
silent: ; @echo nothing to say
dies: ; @echo 5 passed; exit 3
leaves: ; @touch $$TMPDIR/forgotten; echo $$TMPDIR; echo 1 passed
computes: ; @%s -c "while __import__('time').process_time() < 1: pass"; echo 1 passed
"""
    % sys.executable
)


@pytest.mark.parametrize(("line", "passed", "failed", "skipped"), [
    ("== 3 failed, 10 passed, 2 skipped, 1 error in 1.2s ==", 10, 4, 2),
    ("1 passed, 2 errors in 1.2s", 1, 2, 0),
    ("7 passed, 0 failed, 1 skipped", 7, 0, 1),
    ("1 xpassed, 2 xfailed", 0, 1, 2),
    ("no tests ran in 0.1s", 0, 0, 0),
])  # fmt: skip
def test_the_total_knows_the_words_of_every_runner(line, passed, failed, skipped):
    got = figures(line)
    assert (got["passed"], got["failed"], got["skipped"]) == (passed, failed, skipped)


@pytest.fixture
def total(tmp_path):
    (tmp_path / "Makefile").write_text(MAKEFILE)

    def run(*arguments):
        command = [sys.executable, "-m", "tools.total", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": ROOT, "PATH": "/usr/bin:/bin"}, text=True,
                              stdout=subprocess.PIPE, timeout=60)  # fmt: skip
        return done.returncode, done.stdout.splitlines()

    return run


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_last_line_is_the_sum_of_all_targets(total, jobs):
    status, lines = total("--jobs", jobs, "good", "other")
    assert status == 0 and lines[-1] == "4 passed, 0 failed, 2 skipped"
    assert lines[-2].startswith("2 layers, ") and lines[-2].endswith(" s of CPU")


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_a_target_that_fails_dies_or_tests_nothing_is_red_and_named(total, jobs):
    status, lines = total("--jobs", jobs, "good", "bad", "silent", "dies")
    assert status == 1 and lines[-2:] == ["Failed: bad silent dies", "8 passed, 3 failed, 1 skipped"]


def test_what_a_target_computes_is_counted_in_what_it_starts_too(total):
    _, lines = total("computes")
    assert float(lines[-2].split()[2]) >= 1, lines


def test_the_lines_of_targets_side_by_side_are_not_mixed(total):
    _, lines = total("--jobs", "2", "good", "other")
    for name in ("good", "other"):
        begin = lines.index("== " + name)
        assert lines[begin + 1] == name + " begins" and lines[begin + 3].startswith("-- %s: " % name)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_temporary_files_that_a_target_leaves_are_told_and_go_with_its_folder(total, jobs):
    status, lines = total("--jobs", jobs, "leaves", "good")
    assert status == 0 and "leaves left temporary files: forgotten" in lines, lines
    folder = next(line for line in lines if "umqtt-leaves-" in line)
    assert not os.path.exists(folder) and not [line for line in lines if line.startswith("good left")], lines
