"""What reaches a terminal is what it says, whoever wrote it."""

import pytest

from tools import printable
from tools.printable import quoted


@pytest.mark.parametrize("evil", [
    "\x1b]0;title\x07", "\x1b[2J", "\x1b[6n", "\x9b6n", "\rover", "\x08\x08", "\x7f", "\x00", "a\u202eb", "\u2066",
])  # fmt: skip
def test_no_control_character_of_a_board_reaches_the_terminal_and_none_is_hidden(evil):
    said = printable.printable("before " + evil + " after")
    assert said.startswith("before ") and said.endswith(" after") and "\\" in said
    assert all(sign.isprintable() for sign in said), said


def test_what_is_text_stays_as_it_is():
    for text in ("21.5 °C\n\tnext\n", "日本語", "a\\b"):
        assert printable.printable(text) == text
    assert printable.printable("line\r\nline") == "line\nline"


def test_a_path_is_one_word_of_the_users_shell(monkeypatch):
    assert quoted("a/b.bin") == "a/b.bin" and quoted("my board's/x.bin") == "'my board'\"'\"'s/x.bin'"
    monkeypatch.setattr(printable, "SHELL_IS_POSIX", False)
    assert quoted("C:\\my boards\\x.bin") == '"C:\\my boards\\x.bin"'
