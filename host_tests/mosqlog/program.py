"""Runs the program as a user does."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOGS = Path(__file__).parent / "logs"
LOG = str(LOGS / "mosquitto-2.0.21.log")


def raw(*arguments, stdin=None, env=None):
    """-> (exit status, standard output, standard error), as bytes"""
    done = subprocess.run(
        [sys.executable, "-m", "tools.mosqlog", *map(str, arguments)],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        timeout=300,
        env={**os.environ, **(env or {})},
    )
    return done.returncode, done.stdout, done.stderr


def run(*arguments, stdin=None, env=None, encoding="utf-8"):
    """-> (exit status, standard output, standard error)"""
    status, out, err = raw(*arguments, stdin=stdin, env=env)
    return status, out.decode(encoding), err.decode(encoding)


def objects(*arguments, stdin=None):
    """The objects of a run with --json that has nothing to complain of."""
    status, out, err = run("--json", *arguments, stdin=stdin)
    assert (status, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def following(*arguments, env=None):
    """The program as it follows a log, when it has caught up with it; `complaints` are those before that."""
    program = subprocess.Popen(
        [sys.executable, "-m", "tools.mosqlog", "--follow", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    )
    program.complaints = []
    while not program.complaints or "following" not in program.complaints[-1]:
        program.complaints.append(program.stderr.readline())
        assert program.complaints[-1], "the program ended"
    program.complaints.pop()
    return program
