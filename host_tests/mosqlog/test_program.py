"""The program as people and other programs use it."""

import gzip
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from .program import LOG, ROOT, objects, run


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="mosqlog-") as name:
        yield Path(name)


def test_the_summary_names_the_worst_client_and_what_to_do():
    status, out, err = run(LOG)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("client"))
    assert lines[first + 1].startswith("twin ") and "two-devices" in lines[first + 1]
    assert "To do: Give every device an id of its own" in out
    assert "\x1b" not in out


def in_a_terminal(command, columns=120, stdout=None, **env):
    """What a command writes to the terminal that its standard error, and its output, go to."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=stdout or theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": str(columns), **env},
    ) as program:
        os.close(theirs)
        out = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux: the other side is closed
                break
            if not part:
                break
            out += part
    os.close(ours)
    assert program.returncode == 0
    return out.decode()


def test_a_terminal_gets_colours_and_no_color_is_obeyed():
    command = [sys.executable, "-m", "tools.mosqlog", LOG]
    assert "\x1b[1;31m" in in_a_terminal(command)
    assert "31m" not in in_a_terminal(command, NO_COLOR="1")


def test_the_table_fits_a_terminal_of_80_columns():
    out = in_a_terminal([sys.executable, "-m", "tools.mosqlog", LOG], 80, NO_COLOR="1")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", out).splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("twin ") and "2 x two-devices" in line for line in lines)


def test_progress_is_shown_to_a_terminal_only_for_a_long_log():
    program = "import sys, tools.mosqlog.__main__ as m; m.PROGRESS_B = int(sys.argv[1]); m.main([sys.argv[2]])"
    assert "100%" in in_a_terminal([sys.executable, "-c", program, "1", LOG], stdout=subprocess.DEVNULL)
    assert in_a_terminal([sys.executable, "-c", program, "1000000", LOG], stdout=subprocess.DEVNULL) == ""


def test_standard_input_and_gzip_give_the_same_as_the_file(folder):
    raw = Path(LOG).read_bytes()
    wanted = objects(LOG)
    from_stdin = objects("-", stdin=raw)
    assert from_stdin[1:] == wanted[1:] and from_stdin[0]["files"] == ["-"]
    assert objects("-", stdin=gzip.compress(raw))[1:] == wanted[1:]
    (folder / "m.log.gz").write_bytes(gzip.compress(raw))
    assert objects(str(folder / "m.log.gz"))[1:] == wanted[1:]


def test_windows_line_ends_change_nothing(folder):
    (folder / "m.log").write_bytes(Path(LOG).read_bytes().replace(b"\n", b"\r\n"))
    assert objects(str(folder / "m.log"))[1:] == objects(LOG)[1:]


def test_a_log_cut_into_rotated_files_gives_the_same(folder):
    lines = Path(LOG).read_bytes().splitlines(keepends=True)
    (folder / "m.log.2.gz").write_bytes(gzip.compress(b"".join(lines[:60])))
    (folder / "m.log.1").write_bytes(b"".join(lines[60:120]))
    (folder / "m.log").write_bytes(b"".join(lines[120:]))
    paths = [str(folder / name) for name in ("m.log", "m.log.1", "m.log.2.gz")]
    assert objects(*paths)[1:] == objects(LOG)[1:]


def test_every_finding_is_in_the_manual():
    from tools.mosqlog.findings import KINDS

    page = (ROOT / "docs" / "mosqlog-findings.md").read_text()
    for code, kind in KINDS.items():
        row = f"| `{code}` | {kind.weight} | {kind.title} | {kind.means} | {kind.do} |"
        assert row.replace(" | ", "\0").replace("|", "\\|").replace("\0", " | ")[1:-2] in page, row


def test_who_was_connected_is_told_in_both_time_forms():
    epoch = objects("--at", "1795466814", LOG)[-1]
    assert (epoch["type"], epoch["t"], epoch["clients"]) == ("connected_at", 1795466814, ["silent"])
    assert objects("--at", "2026-11-23T20:46:54", LOG)[-1] == epoch


def test_one_client_is_shown_with_its_packets():
    status, out, _ = run(LOG, "--client", "deaf")
    assert status == 0
    assert "<-- PUBLISH t/deaf (QoS 1, id 1, DUP, 5 B)" in out and "--> PUBACK 1" in out
    assert "twin" not in out


def test_a_client_that_is_not_there_is_answered_with_those_that_are():
    status, _, err = run(LOG, "--client", "dea")
    assert "no client 'dea' in this log; there are deaf" in err


def test_unknown_lines_are_counted_and_shown_on_request():
    raw = Path(LOG).read_bytes() + b"1795466900: something new\n"
    assert "1 lines not understood" in run("-", stdin=raw)[1]
    assert "unknown: something new" in run("--unknown", "-", stdin=raw)[1]
    head, unknown, *_ = objects("--unknown", "-", stdin=raw)
    assert head["type"] == "log" and (unknown["t"], unknown["text"]) == (1795466900, "something new")


def test_an_id_cannot_move_the_cursor_of_the_operator():
    raw = b"1795348562: Received PINGREQ from \x1b[2J\x1b]0;owned\x07\xff\n"
    for arguments in ((), ("--client", "\x1b[2J\x1b]0;owned\x07\udcff"), ("--json",), ("--unknown",)):
        status, out, err = run(*arguments, "-", stdin=raw)
        assert status == 0 and "\x1b" not in out + err and "\x07" not in out + err
        assert "\\x1b[2J" in out or "\\u001b[2J" in out


def test_a_log_that_is_none_is_told(folder):
    (folder / "x").write_text("hello\n" * 100)
    status, out, _ = run(str(folder / "x"))
    assert status == 0 and "Hardly a line is Mosquitto's" in out


def test_an_empty_log_is_no_error(folder):
    (folder / "x").write_text("")
    assert run(str(folder / "x"))[0] == 0


def test_a_log_without_packets_says_how_to_get_them():
    assert "log_type all" in run("-", stdin=b"1: New client connected from 1.1.1.1 as a (c1, k60).\n")[1]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["/does/not/exist"], "does not exist"),
        ([LOG, "-"], "goes alone"),
        (["--at", "noon", LOG], "is not a time"),
        (["--time-format", "%Q", LOG], "%Q is not known"),
        (["--top", "0", LOG], "give 1 or more"),
        (["--html", "/does/not/exist/r.html", LOG], "cannot be written"),
        ([], "required: LOG"),
    ],
)
def test_mistakes_are_answered_in_words(arguments, words):
    status, _, err = run(*arguments)
    assert status == 2 and words in err and "Traceback" not in err


@pytest.mark.parametrize("option", ["--json", "--top=3"])
def test_a_reader_that_has_seen_enough_is_no_error(folder, option):
    log = folder / "log"
    log.write_bytes(b"".join(b"%d: %s\n" % (i, b"x" * 99) for i in range(2000)))
    with subprocess.Popen(
        [sys.executable, "-m", "tools.mosqlog", option, "--unknown", str(log)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as program:
        assert program.stdout.read(10)
        program.stdout.close()  # much more is to come than a pipe holds
        assert (program.wait(60), program.stderr.read()) == (0, b"")


def test_a_report_that_cannot_be_written_leaves_the_old_one(folder):
    report = folder / "report.html"
    report.write_text("old")
    assert run("--html", str(report), str(folder / "no.log"))[0] == 2
    assert report.read_text() == "old"
    assert run("--html", str(report), LOG)[0] == 0
    assert report.read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in folder.iterdir()) == ["report.html"]


def test_the_example_of_the_manual_runs(folder, monkeypatch, capsys):
    page = (ROOT / "docs" / "mosqlog.md").read_text()
    code = page.split("```python\n")[1].split("```")[0]
    (folder / "mosquitto.log").write_text("Received PINGREQ from dev\n")
    monkeypatch.chdir(folder)
    exec(compile(code, "docs/mosqlog.md", "exec"), {})
    assert "Session" in capsys.readouterr().out
