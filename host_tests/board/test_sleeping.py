"""Boards that sleep, that are slow, and that vanish: they are waited for, never called broken, and never erased."""

import json
import re
import signal
import subprocess
import sys

import pytest
from conftest import ENV, PATIENCE_S, ROOT, config, logs_until, mpremote, tool

import tools.device.config
from tools.device import deploy, logs, serial_port
from tools.device.serial_port import ToolError, repl

# A board that is awake for a moment and then asleep for SLEEP_MS, and says how often it woke.
SLEEPER = "import machine, time\nprint('awake')\ntime.sleep_ms(300)\nmachine.deepsleep(%d)\n"


def with_main(board, text, tmp_path):
    """Put this program on the board and start it."""
    (tmp_path / "main.py").write_text(text)
    done = mpremote(board, "fs", "cp", str(tmp_path / "main.py"), ":main.py", "+", "exec", "--no-follow",
                    "import machine; machine.reset()")  # fmt: skip
    assert done.returncode == 0, done.stdout


def asleep(board, tmp_path, sleep_ms):
    """Let the board sleep, with a program that wakes for 0.3 s."""
    with_main(board, SLEEPER % sleep_ms, tmp_path)
    assert board.wait_log("after %d ms" % sleep_ms)


def test_deploy_and_config_wait_for_the_wake_of_a_board_that_sleeps(flashed, broker, tmp_path):
    board = flashed("esp32")
    asleep(board, tmp_path, 6000)
    (tmp_path / "c.json").write_text(json.dumps(config(broker, deep_sleep=True, keep_in="rtc", interval_s=6)))
    done = tool("config", "--port", board.port, "--file", str(tmp_path / "c.json"))
    assert done.returncode == 0, done.stdout
    done = tool("deploy", "--port", board.port)
    assert done.returncode == 0 and "the first readings reached the broker" in done.stdout, done.stdout
    assert board.wait_log("cause 4")
    done = tool("deploy", "--port", board.port)
    assert done.returncode == 0 and "\n0 files written" in done.stdout, done.stdout


def test_a_chip_that_is_deaf_while_it_boots_is_caught_before_it_sleeps_again(flashed, tmp_path):
    board = flashed("esp32", "--boot-ms", "900")
    with_main(board, "import machine, time\ntime.sleep_ms(2000)\nmachine.deepsleep(3000)\n", tmp_path)
    assert board.wait_log("after 3000 ms")
    with repl(board.port) as transport:
        assert transport.eval("6*7") == 42


def test_a_board_that_does_not_wake_in_time_is_told_how_to_catch_it_and_never_to_be_erased(
    flashed, tmp_path, monkeypatch, capsys
):
    board = flashed("esp32")
    asleep(board, tmp_path, 600_000)
    monkeypatch.setattr(serial_port, "ANSWER_S", 0.3)
    for main, arguments in ((deploy.main, ()), (tools.device.config.main, ()), (logs.main, ("--crashes",))):
        with pytest.raises(ToolError, match="was silent") as told:
            main(["--port", board.port, "--wait", "1", *arguments])
        said = str(told.value) + capsys.readouterr().err
        assert all(words in said for words in ("sleeps", "RESET", "stop button", "--wait", "Waiting up to")), said
        assert "make flash" not in said, said


def test_a_reset_over_the_cable_wakes_a_board_whose_port_has_the_line(flashed, tmp_path):
    board = flashed("esp32", "--rfc2217")
    asleep(board, tmp_path, 600_000)
    with repl(board.port, soft_reset=False) as transport:
        assert transport.eval("6*7") == 42


def test_a_chip_without_a_program_is_told_to_be_flashed(boards):
    for name in ("deploy", "config"):
        done = tool(name, "--port", boards("esp32", name=name).port)
        assert done.returncode == 1 and "there is no program" in done.stdout, done.stdout
        assert "`make flash`" in done.stdout, done.stdout


def test_a_port_that_is_not_there_yet_is_waited_for(boards, images, tmp_path):
    port = tmp_path / "late" / "port"
    done = tool("deploy", "--port", str(port))
    assert done.returncode == 2 and "--wait" in done.stdout, done.stdout
    started = []
    command = [sys.executable, "-m", "tools.device.deploy", "--port", str(port), "--wait", "60"]
    asked = subprocess.Popen(command, cwd=ROOT, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert "Waiting for it" in asked.stdout.readline()
        started.append(boards("esp32", name="late"))
        rest = asked.communicate(timeout=PATIENCE_S)[0]
    finally:
        asked.kill()
        asked.wait()
    assert "there is no program" in rest, rest


def test_a_board_that_is_silent_for_12_seconds_after_copying_is_waited_for(flashed, monkeypatch):
    board = flashed("esp32", "--stall", "60000", "12")
    done = tool("deploy", "--port", board.port)
    assert "busy" in board.log.read_text(), "the board was never slow"
    assert done.returncode == 0 and "import umqtt is /lib/umqtt" in done.stdout, done.stdout


def test_a_board_that_falls_silent_for_good_is_told_not_waited_for_without_end(flashed, monkeypatch):
    board = flashed("esp32")
    monkeypatch.setattr(serial_port, "SILENCE_S", 1)
    monkeypatch.setattr(serial_port, "ANSWER_S", 1)
    with pytest.raises(ToolError, match="has answered, and is silent now") as told, repl(board.port) as transport:
        transport.exec("import time; time.sleep(20)")
    assert "make flash" not in str(told.value)


def test_each_file_on_the_board_is_hashed_once_and_only_those_that_are_ours(flashed, monkeypatch, capsys):
    board = flashed("esp32")
    said = []
    real = serial_port.Transport.exec

    def recording(self, command, data_consumer=None):
        got = real(self, command, data_consumer)
        said.append(got.decode())
        return got

    monkeypatch.setattr(serial_port.Transport, "exec", recording)
    mpremote(board, "exec", "f = open('journal.0', 'wb'); f.write(bytes(4000)); f.close()")
    for run in ("first", "second"):
        said.clear()
        deploy.deploy(board.port, "", None, None, 30)
        hashed = [re.findall(r"\('(/[^']+)', '[0-9a-f]{64}'\)", text) for text in said]
        hashed = [path for paths in hashed for path in paths]
        assert len(hashed) == len(set(hashed)) and "/journal.0" not in hashed, hashed
        assert run == "first" or len(hashed) == len(deploy.build_firmware(False).files)


def running(board):
    """Whether the board's program runs: what it prints is heard."""
    import serial

    with serial.Serial(board.port, timeout=PATIENCE_S) as port:
        return port.read_until(b"tick").endswith(b"tick")


TICKS = "import time\nwhile True:\n    print('tick')\n    time.sleep_ms(50)\n"
GOOD = {"UMQTT_WIFI_SSID": "net", "UMQTT_BROKER": "10.0.0.1"}


@pytest.mark.parametrize(("env", "options", "status"), [
    (GOOD, (), 0),
    ({**GOOD, "UMQTT_QOS": "7"}, (), 1),
    (GOOD, ("--says-version", "1.20.0"), 1),
])  # fmt: skip
def test_config_never_leaves_the_program_stopped(flashed, tmp_path, env, options, status):
    board = flashed("esp32", *options)
    with_main(board, TICKS, tmp_path)
    done = tool("config", "--port", board.port, env=env)
    assert done.returncode == status, done.stdout
    assert running(board)
    if options:
        assert "MicroPython 1.20.0; this firmware needs 1.22" in done.stdout, done.stdout
        assert "config.json" not in mpremote(board, "fs", "ls").stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_tool_that_is_ended_within_leaves_the_program_running(flashed, tmp_path, number):
    board = flashed("esp32")
    with_main(board, TICKS, tmp_path)
    code = "import time\nfrom tools.device.serial_port import repl, run_tool\ndef main():\n"
    code += "    with repl(%r) as t:\n        print('stopped', flush=True)\n        t.exec('while True: pass')\n"
    code += "run_tool('x', main)"
    with subprocess.Popen([sys.executable, "-c", code % board.port], stdout=subprocess.PIPE, env=ENV,
                          stderr=subprocess.DEVNULL) as started:  # fmt: skip
        assert started.stdout.readline() == b"stopped\n"
        started.send_signal(number)
        assert started.wait(PATIENCE_S) in (130, 128 + number)
    assert running(board)


def test_what_a_board_says_cannot_steer_the_terminal(flashed, tmp_path):
    board = flashed("esp32")
    evil = "import time\nwhile True:\n    print('\\x1b]0;evil\\x07\\x9b6n')\n    time.sleep(1)\n"
    with_main(board, evil, tmp_path)
    heard = logs_until(board, "6n")
    mpremote(board, "exec", "with open('config.json', 'w') as f: f.write('{\"user\": \"\\\\u001b[2J\"}')")
    shown = tool("config", "--port", board.port, env=GOOD)
    assert shown.returncode == 1, shown.stdout  # no broker takes such a name
    for said, visible in ((heard, "\\x1b"), (shown.stdout, "\\u001b")):
        assert visible in said and "\x1b" not in said and "\x9b" not in said, ascii(said)


def test_logs_say_after_five_seconds_of_silence_what_may_be_wrong(flashed, tmp_path):
    board = flashed("esp32")
    asleep(board, tmp_path, 600_000)
    done = tool("logs", "--port", board.port, "--seconds", "6")
    assert done.returncode == 0 and "nothing for 5 s" in done.stdout, done.stdout
    assert all(words in done.stdout for words in ("sleeps", "right port", "RESET")), done.stdout
    assert "make flash" not in done.stdout


def test_logs_follow_a_port_that_goes_away_and_comes_back(flashed, boards, tmp_path):
    board = flashed("esp32")
    with_main(board, TICKS, tmp_path)
    with subprocess.Popen([sys.executable, "-m", "tools.device.logs", "--port", board.port], cwd=ROOT, env=ENV,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as started:  # fmt: skip
        try:
            for _ in range(2):
                while started.stdout.readline() != "tick\n":
                    assert started.poll() is None
                board.stop()
                while "went away" not in started.stdout.readline():
                    assert started.poll() is None
                board = boards("esp32")
            while started.stdout.readline() != "tick\n":
                assert started.poll() is None
            started.send_signal(signal.SIGINT)
            started.stdout.read()
            assert started.wait(PATIENCE_S) == 0
        finally:
            started.kill()


def test_logs_say_which_lines_are_not_ours(flashed, tmp_path):
    board = flashed("esp32")
    both = "import time\nwhile True:\n    print('wifi:NAN WiFi stop\\nwifi: joined lab')\n    time.sleep(1)\n"
    with_main(board, both, tmp_path)
    said = logs_until(board, "\nwifi: joined lab\n", "\n[chip] wifi:NAN WiFi stop\n")
    assert said.count("are the chip's own system's (ESP-IDF), not the firmware's") == 1, said


NOISE = "import os, sys, time\nwhile True:\n    sys.stdout.buffer.write(%s)\n    time.sleep_ms(5)\n"


@pytest.mark.parametrize(
    "text",
    [
        "import machine, time\nprint('boom')\ntime.sleep_ms(50)\nmachine.reset()\n",
        NOISE % "os.urandom(200)",
        "import machine, time\nprint('awake')\ntime.sleep_ms(2000)\nmachine.deepsleep(2000)\n",
    ],
    ids=["crash loop", "noise", "awake for two seconds"],
)
def test_a_board_is_caught_in_a_crash_loop_in_noise_and_in_a_short_wake(flashed, tmp_path, text):
    board = flashed("esp32")
    with_main(board, text, tmp_path)
    for _ in range(3):
        with repl(board.port) as transport:
            assert transport.eval("6*7") == 42


def test_logs_show_what_never_ends_its_line_and_say_that_it_is_no_text(capsys):
    lines = logs.Lines()
    noise = bytes(range(11, 256)) * 4
    for _ in range(20):
        lines.feed(noise.replace(b"\n", b""))
    shown, told = capsys.readouterr()
    assert len(shown) > 10_000 and len(lines.text) <= logs.LONGEST
    assert told.count("what comes is no text") == 1 and "115200" in told, told
    lines = logs.Lines()
    for _ in range(200):
        lines.feed("wifi: \x1b[32mGrüße aus der Küche\x1b[0m, 21.5 °C, 温度はかるく\n".encode())
    assert "no text" not in capsys.readouterr().err
