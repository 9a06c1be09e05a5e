"""What a terminal shows: of any width, in any encoding, with colours or without."""

import io
import re
import sys

import pytest

from tools.mosqlog.__main__ import main

from .program import LOG, run
from .test_program import in_a_terminal

PROGRAM = sys.executable
QUESTIONS = [
    [],
    ["--client", "deaf"],
    ["--client", "twin", "--connected", "--gone", "1s", "--talkers"],
    ["--address", "127.0.0.0/8"],
]
STRANGE = "Gerät-ß€-温度-\U0001f321-\x9b31m"


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).splitlines()


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("arguments", QUESTIONS, ids=" ".join)
def test_every_answer_fits_its_terminal(columns, arguments):
    lines = plain(in_a_terminal([PROGRAM, "-m", "tools.mosqlog", LOG, *arguments], columns))
    assert max(map(len, lines)) <= columns
    assert len(lines) > 5


def test_at_40_columns_nothing_that_80_tell_is_missing():
    told = {
        columns: " ".join(" ".join(plain(in_a_terminal([PROGRAM, "-m", "tools.mosqlog", LOG], columns))).split())
        for columns in (40, 80)
    }
    for words in ("twin", "2 x two-devices", "3 x taken-over", "steady", "1 x keepalive-missed"):
        assert all(words in text for text in told.values()), words
    assert "findings 2 x two-devices, 3 x taken-over" in " ".join(told[40].split())


def test_a_long_id_is_folded_and_whole(tmp_path):
    name = "sensor-" + "0123456789" * 12
    (tmp_path / "log").write_text(f"1795348562: New client connected from 10.0.0.7:1 as {name} (p2, c1, k60).\n")
    lines = plain(in_a_terminal([PROGRAM, "-m", "tools.mosqlog", str(tmp_path / "log"), "--connected"], 40))
    assert max(map(len, lines)) <= 40
    assert name in "".join(line.strip() for line in lines)


def written(encoding, monkeypatch, *arguments):
    """What the program writes to a standard output of that encoding, decoded."""
    out, err = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(err, encoding))
    assert main(list(map(str, arguments))) == 0
    sys.stdout.flush()
    sys.stderr.flush()
    return out.getvalue().decode(encoding) + err.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "cp437", "utf-16", "utf-8"])
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--client", STRANGE],
        ["--lines"],
        ["--json"],
        ["--unknown"],
        ["--connected", "--talkers"],
        ["--client", "nobody"],
    ],
    ids=" ".join,
)
def test_any_encoding_of_the_output_takes_any_id(tmp_path, monkeypatch, encoding, arguments):
    log = tmp_path / "log"
    log.write_bytes(
        f"1795348562: New client connected from 10.0.0.7:1 as {STRANGE} (p2, c1, k60).\n"
        f"1795348563: Received PUBLISH from {STRANGE} (d0, q0, r0, m0, '{STRANGE}', ... (5 bytes))\n"
        f"1795348564: {STRANGE}\n".encode()
    )
    text = written(encoding, monkeypatch, *arguments, log)
    assert "Ger" in text and "\x9b" not in text and "\x1b" not in text


def test_in_a_small_encoding_a_letter_stands_as_its_figures(tmp_path):
    log = tmp_path / "log"
    log.write_bytes("1795348562: Received PINGREQ from 温度-ß\n".encode())
    assert "\\u6e29\\u5ea6-ß" in run("--connected", log, env={"PYTHONIOENCODING": "cp1252"}, encoding="cp1252")[1]


def test_no_color_is_obeyed_also_while_following_and_in_lines():
    for arguments in ([], ["--lines"], ["--client", "twin"]):
        assert "\x1b[" not in re.sub(
            r"\x1b\[[01]?m|\x1b\[[23]?m",
            "",
            in_a_terminal([PROGRAM, "-m", "tools.mosqlog", LOG, *arguments], NO_COLOR="1"),
        )
