"""`make run` as a user meets it: a process of its own, its words, its exit status, and nothing left behind."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from tools import firmware_process
from tools.demo import run

ROOT = Path(__file__).resolve().parents[2]
RUN = [sys.executable, "-m", "tools.demo.run", "--interval", "0.3"]
END_TIMEOUT_S = 240  # only what hangs takes so long
TOTAL = re.compile(r"^(\d+) published, (\d+) received, (\d+) lost, (\d+) repeated$", re.M)
ROW = re.compile(r"^\d\d:\d\d:\d\d\.\d{3}  \S+/\S+ .* QoS 2  ", re.M)


@pytest.fixture
def mark(tmp_path):
    """An environment whose processes and temporary files can be told from all others; none may be left."""
    env = dict(os.environ, UMQTT_MARK=uuid.uuid4().hex, TMPDIR=str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    yield env
    assert processes_of(env) == []
    assert list((tmp_path / "tmp").iterdir()) == []


def processes_of(env):
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if env["UMQTT_MARK"].encode() in environ.read_bytes():
                found.append((environ.parent / "cmdline").read_bytes())
        except OSError:
            continue  # ended meanwhile, or somebody else's
    return found


def until_a_row(started):
    """Read on until a reading is shown; what was read."""
    text = ""
    deadline_s = time.monotonic() + END_TIMEOUT_S
    while not ROW.search(text):
        assert time.monotonic() < deadline_s, text
        line = started.stdout.readline()
        assert line, "ended early: " + text
        text += line
    return text


def at_terminal(env, command, ctrl_c_at=""):
    """(exit status, what was on the screen) of a command at a terminal of its own; Ctrl-C is pressed there when
    `ctrl_c_at` is on the screen."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(ROOT)
        os.execvpe(command[0], command, env)
    text, deadline_s = b"", time.monotonic() + END_TIMEOUT_S
    while time.monotonic() < deadline_s:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            text += os.read(terminal, 65536)
        except OSError:  # Linux: the other side is closed
            break
        if ctrl_c_at and ctrl_c_at.encode() in text:
            os.write(terminal, b"\x03")
            ctrl_c_at = ""
    else:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), text.decode()


def start(env, *args):
    return subprocess.Popen(
        [*RUN, *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def finished(env, *args):
    return subprocess.run([*RUN, *args], env=env, capture_output=True, text=True, timeout=END_TIMEOUT_S)


def test_each_reading_is_a_line_and_the_end_says_that_none_was_lost(mark):
    done = finished(mark, "--readings", "5")
    assert done.returncode == 0, done.stdout + done.stderr
    published, received, lost, repeated = map(int, TOTAL.search(done.stdout).groups())
    assert received == published == len(ROW.findall(done.stdout)) == 5
    assert lost == repeated == 0
    # what the firmware measured at the same time, and published while it was being stopped, is counted too
    assert re.search(r"^3 more were published before the firmware had stopped, and received$", done.stdout, re.M)
    assert re.search(r"^lowest free heap: \d+ B of \d+ KiB$", done.stdout, re.M)
    assert re.search(r"^(MicroPython|CPython) \d.*, (Mosquitto|amqtt) \d", done.stdout, re.M)


def test_the_owner_commands_the_board_and_it_answers(mark):
    done = finished(mark, "--readings", "30")
    assert done.returncode == 0, done.stdout + done.stderr
    (free_b,) = map(int, re.findall(r"^lowest free heap: (\d+) B of 40 KiB$", done.stdout, re.M))
    assert free_b >= 8192, "a 301st name takes 2,264 B more: micropython.qstr_info(1) lists them"
    for line in (
        "owner: umqtt/host/cmd/read ", "board answers read: 8 readings", "owner: umqtt/host/cmd/interval 0.15",
        "board answers interval: interval_s is 0.15",
    ):  # fmt: skip
        assert line in done.stdout.splitlines(), done.stdout
    rows = [line for line in ROW.findall(done.stdout) if "chip/uptime" in line]
    assert len(rows) == 4, "one of four measurements was asked for"


def test_a_board_that_sleeps_has_slept_however_few_readings_are_asked_for(mark):
    for count in ("1", "5"):
        done = finished(mark, "--readings", count, "--sleep")
        assert done.returncode == 0, done.stdout + done.stderr
        assert TOTAL.search(done.stdout).groups() == (count, count, "0", "0"), done.stdout
        assert len(ROW.findall(done.stdout)) == int(count) and "woke from deep sleep" in done.stdout
        assert int(re.search(r", (\d+) wakes$", done.stdout, re.M).group(1)) > 1


def test_a_board_that_speaks_mqtt_5_shows_its_words_and_what_is_left_of_each_reading(mark):
    for protocol, more in (("5", ()), ("auto", ("--sleep",))):
        done = finished(mark, "--readings", "5", "--protocol", protocol, *more)
        assert done.returncode == 0, done.stdout + done.stderr
        assert TOTAL.search(done.stdout).groups()[:3] == ("5", "5", "0"), done.stdout
        assert "board: broker: MQTT 5, it keeps the session for " in done.stdout
        left = [int(n) for n in re.findall(r", expires in (\d+) s$", done.stdout, re.M)]
        assert len(left) == 5 and all(590 < n <= 600 for n in left), done.stdout


def test_a_program_on_asyncio_takes_the_firmwares_place(mark):
    started = start(mark, "--aio", "--readings", "8")
    said = started.communicate(timeout=END_TIMEOUT_S)[0]
    assert started.returncode == 0, said
    assert TOTAL.search(said).groups()[2:] == ("0", "0"), said
    assert "board: the blinking was late by" in said and " chip/late " in said, said


def test_a_terminal_that_knows_only_ascii_is_given_that(mark):
    for terminal in (False, True):
        env = dict(mark, PYTHONIOENCODING="ascii", LC_ALL="C", TERM="xterm", COLUMNS="100", LINES="30")
        if terminal:
            status, said = at_terminal(env, [*RUN, "--readings", "5"])
        else:
            done = finished(env, "--readings", "5")
            status, said = done.returncode, done.stdout + done.stderr
        assert status == 0 and "0 lost, 0 repeated" in said and said.isascii(), said
        assert re.search(r"chip/temperature .* C ", said), said


def test_ctrl_c_at_make_run_ends_an_endless_run_with_0(mark):
    if not shutil.which("make"):
        pytest.skip("there is no make here")
    env = {k: v for k, v in mark.items() if k not in ("MAKEFLAGS", "MFLAGS")}
    status, said = at_terminal(env, ["make", "run", "READINGS=0"], ctrl_c_at="chip/heap")
    assert status == 0 and "0 lost, 0 repeated" in said, (status, said)
    assert "***" not in said and "Interrupt" not in said, said


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
@pytest.mark.parametrize("more", [[], ["--sleep"], ["--web"]])
def test_a_runner_that_is_killed_outright_leaves_no_process(mark, tmp_path, more):
    with start(mark, "--readings", "0", *more) as started:
        until_a_row(started)
        assert len(processes_of(mark)) >= 2 + (not more)  # the runner, the broker, the firmware unless it sleeps
        os.kill(started.pid, signal.SIGKILL)
        started.stdout.read()  # their end, too: they have the pipe
    deadline_s = time.monotonic() + END_TIMEOUT_S
    while processes_of(mark):
        assert time.monotonic() < deadline_s, processes_of(mark)
        time.sleep(0.02)
    for left in (tmp_path / "tmp").iterdir():  # files nobody could remove any more
        shutil.rmtree(left)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_an_endless_run_with_its_summary(mark, number):
    with start(mark, "--readings", "0") as started:
        until_a_row(started)
        os.killpg(started.pid, number)
        rest = started.stdout.read()
    assert TOTAL.search(rest), rest
    assert started.returncode == 0, rest


def test_a_run_cut_short_does_not_count_as_done(mark):
    with start(mark, "--readings", "10000") as started:
        until_a_row(started)
        os.killpg(started.pid, signal.SIGINT)
        rest = started.stdout.read()
    assert started.returncode == 130, rest


def test_ctrl_c_at_any_moment_of_the_start_leaves_nothing(mark):
    for delay_s in (0.0, 0.1, 0.2, 0.3, 0.5, 0.8):
        with start(mark, "--readings", "10000") as started:
            # the moment is the point here: any is right, none is waited for
            select.select([], [], [], delay_s)
            os.killpg(started.pid, signal.SIGINT)
            started.stdout.read()
        assert started.returncode in (1, 130, -signal.SIGINT)
        assert processes_of(mark) == []


def test_a_reader_that_goes_away_ends_it(mark):
    with start(mark, "--readings", "10000") as started:
        until_a_row(started)
        started.stdout.close()
        assert started.wait(END_TIMEOUT_S) == 1


def test_in_a_terminal_it_is_a_table(mark):
    env = dict(mark, TERM="xterm", COLUMNS="100", LINES="30")
    status, said = at_terminal(env, [*RUN, "--readings", "5"])
    assert status == 0 and "delay" in said and "│" in said and "0 lost, 0 repeated" in said, said


def test_a_reading_that_does_not_arrive_ends_it_with_1(mark, tmp_path):
    real = firmware_process.micropython()
    if not real:
        pytest.skip("no MicroPython here to be falsified")
    # a firmware that says it published one more than it did
    liar = tmp_path / "micropython"
    liar.write_text("#!/bin/bash\nset -o pipefail\n'%s' \"$@\" | sed -u 's/ published=/ published=1/'\n" % real)
    liar.chmod(0o755)
    done = finished(dict(mark, MICROPYTHON=str(liar)), "--readings", "5")
    assert done.returncode == 1, done.stdout
    assert int(TOTAL.search(done.stdout).group(3)) >= 10


@pytest.mark.parametrize("name", ["MICROPYTHON", "MOSQUITTO"])
def test_a_program_that_cannot_be_run_is_named(mark, name):
    done = finished(dict(mark, **{name: "/no/such/program"}), "--readings", "5")
    assert done.returncode == 1
    assert done.stderr == "run: %s=/no/such/program cannot be run; name the program with its path\n" % name


def test_a_firmware_that_ends_by_itself_is_told_with_its_last_words(mark, tmp_path):
    real = firmware_process.micropython()
    if not real:
        pytest.skip("no MicroPython here")
    broken = tmp_path / "micropython"
    broken.write_text("#!/bin/sh\ncase $1 in -c) exec '%s' \"$@\";; esac\necho out of order\nexit 1\n" % real)
    broken.chmod(0o755)
    done = finished(dict(mark, MICROPYTHON=str(broken)), "--readings", "5")
    assert done.returncode == 1
    assert "the firmware ended by itself. It said last:\n  out of order" in done.stderr


def test_a_micropython_that_executes_nothing_in_place_gets_files_and_a_larger_heap(mark, tmp_path):
    real = firmware_process.micropython()
    if not real:
        pytest.skip("no MicroPython here")
    older = tmp_path / "micropython"
    older.write_text("#!/bin/sh\ncase $* in *'import flash'*) exit 1;; esac\nexec '%s' \"$@\"\n" % real)
    older.chmod(0o755)
    done = finished(dict(mark, MICROPYTHON=str(older)), "--readings", "5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "note: This MicroPython executes nothing in place" in done.stdout


def test_a_firmware_that_does_not_stop_is_killed_and_has_no_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(firmware_process, "STOP_TIMEOUT_S", 0.2)
    monkeypatch.setattr(firmware_process, "micropython", lambda: None)
    (tmp_path / "board").mkdir()
    board = firmware_process.HostBoard(tmp_path / "board", {}, 38)
    board.command = [sys.executable, "-c", "import time; time.sleep(60)"]
    began_s = time.monotonic()
    with board:
        pid = board.running.pid
        board.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert time.monotonic() - began_s < 50
    assert board.figures() is None


def test_without_any_micropython_it_runs_on_cpython_and_says_so(monkeypatch, capsys):
    monkeypatch.setattr(firmware_process, "micropython", lambda: None)
    monkeypatch.setattr(sys, "argv", ["run.py", "--readings", "5", "--interval", "0.3"])
    kept = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        status = run.main()
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    said = capsys.readouterr()
    assert status == 0, said.out + said.err
    assert "note: There is no MicroPython here: the firmware runs on CPython" in said.out
    assert re.search(r"^CPython \S+ instead of MicroPython, ", said.out, re.M)
