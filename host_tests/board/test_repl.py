"""The REPL's modes, with an engine that only notes what it is asked."""

import pytest

from tools.virtual_board.repl import WINDOW_B, Repl, wants_more


class Engine:
    def __init__(self):
        self.started, self.typed, self.resets, self.interrupts = [], b"", [], 0
        self.takes_interrupts = True

    def start(self, source, interactive):
        self.started.append((source, interactive))

    def interrupt(self):
        self.interrupts += 1
        return self.takes_interrupts

    def type(self, data):
        self.typed += data

    def soft_reset(self, run_main):
        self.resets.append(run_main)


class Terminal:
    def __init__(self):
        self.engine = Engine()
        self.said = b""
        self.repl = Repl(self._say, self.engine, b"banner\r\n")
        self.repl.startup()
        self.repl.ready()
        self.take()

    def _say(self, data):
        self.said += data

    def take(self):
        said, self.said = self.said, b""
        return said

    def type(self, data):
        self.repl.feed(data)
        return self.take()


@pytest.fixture
def terminal():
    return Terminal()


def test_a_line_is_echoed_and_run(terminal):
    assert terminal.type(b"1 + 1\r") == b"1 + 1\r\n"
    assert terminal.engine.started == [(b"1 + 1", True)]
    terminal.repl.finished(b"", False)
    assert terminal.take() == b">>> "


def test_backspace_takes_the_last_letter(terminal):
    terminal.type(b"ab\x7f\x08c\r")
    assert terminal.engine.started == [(b"c", True)]


def test_a_block_waits_for_an_empty_line(terminal):
    assert terminal.type(b"if x:\r").endswith(b"... ")
    assert terminal.type(b"    y\r").endswith(b"... ")
    assert not terminal.engine.started
    terminal.type(b"\r")
    assert terminal.engine.started == [(b"if x:\n    y\n", True)]


@pytest.mark.parametrize("source", ["f(", "x = [1,", "'''a", "a \\", "def f():", "@g", 'f("""x\n', "for i in (1,\n2):"])
def test_an_unfinished_line_wants_more(source):
    assert wants_more(source)


@pytest.mark.parametrize("source", ["f()", "'('", "x = 1  # (", "'a", "iffy = 1", "if x:\n  y\n", "')' + '''(''' "])
def test_a_finished_line_is_run(source):
    assert not wants_more(source)


def test_raw_mode_runs_without_echo(terminal):
    assert terminal.type(b"\x01").endswith(b"raw REPL; CTRL-B to exit\r\n>")
    assert terminal.type(b"print(1)\x04") == b"OK"
    assert terminal.engine.started == [(b"print(1)", False)]
    terminal.repl.finished(b"", False)
    assert terminal.take() == b"\x04\x04>"


def test_a_traceback_comes_between_the_two_ends(terminal):
    terminal.type(b"\x01x\x04")
    terminal.repl.finished(b"Traceback", False)
    assert terminal.take().endswith(b"\x04Traceback\x04>")


def test_raw_paste_grants_a_window_at_a_time(terminal):
    terminal.type(b"\x01")
    assert terminal.type(b"\x05A\x01") == b"R\x01\x80\x00\x01"
    assert terminal.type(b"a" * (WINDOW_B - 1)) == b""
    assert terminal.type(b"aa") == b"\x01"
    assert terminal.type(b"\x04") == b"\x04"
    assert terminal.engine.started == [(b"a" * (WINDOW_B + 1), False)]


def test_raw_paste_can_be_given_up(terminal):
    terminal.type(b"\x01\x05A\x01abc\x03")
    assert not terminal.engine.started
    terminal.type(b"x\x04")
    assert terminal.engine.started == [(b"x", False)]


def test_ctrl_d_resets_softly_and_raw_mode_leaves_main_out(terminal):
    assert b"soft reboot" in terminal.type(b"\x04")
    assert b"OK\r\nMPY: soft reboot\r\n" in terminal.type(b"\x01\x04")
    assert terminal.engine.resets == [True, False]


def test_sys_exit_resets_softly(terminal):
    terminal.type(b"x\r")
    terminal.repl.finished(b"", True)
    assert terminal.engine.resets == [True]


def test_ctrl_c_stops_the_program_and_the_rest_is_its_input(terminal):
    terminal.type(b"x\r")
    terminal.type(b"yes\x03")
    assert terminal.engine.interrupts == 1 and terminal.engine.typed == b"yes"


def test_what_follows_a_ctrl_c_in_which_the_board_resets_is_lost(terminal):
    terminal.type(b"x()\r")

    def interrupt():
        terminal.repl.is_off = True
        return True

    terminal.engine.interrupt = interrupt
    terminal.type(b"\x03\x01abc")
    assert terminal.engine.typed == b""


def test_a_program_that_switched_ctrl_c_off_gets_it_as_input(terminal):
    terminal.engine.takes_interrupts = False
    terminal.type(b"x\r")
    terminal.type(b"\x03")
    assert terminal.engine.typed == b"\x03"


def test_paste_mode_takes_lines_as_they_are(terminal):
    terminal.type(b"\x05if x:\r y\r\x04")
    assert terminal.engine.started == [(b"if x:\n y\n", False)]
    terminal.repl.finished(b"", False)
    terminal.take()
    terminal.type(b"\x05abc\x03")
    assert len(terminal.engine.started) == 1
