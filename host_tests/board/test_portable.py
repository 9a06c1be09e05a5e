"""The tools of a real board need pyserial, not a Unix: they start and work where Unix's modules and calls are not."""

import json
import sys
import types

import pytest
from conftest import config, mpremote, run

from tools.device import serial_port
from tools.device.serial_port import ToolError

# Runs argv[1] as a program, with what Windows has not taken from this project's files. pyserial, mpremote and esptool
# have ways of their own there, and keep what they need.
WITHOUT_UNIX = """
import builtins, os, runpy, signal, sys
for name in ("fchmod", "fchown", "fork", "getuid", "geteuid", "getgid", "getpgrp", "setpgid", "setsid", "tcsetpgrp",
             "tcgetpgrp", "openpty", "mkfifo", "uname", "killpg", "set_blocking", "pread", "pwrite"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "SIGTSTP", "SIGTTOU", "SIGPIPE"):
    delattr(signal, name)
real = builtins.__import__
def refuse(name, names=None, *rest, **more):
    where = (names or {}).get("__file__") or ""
    if name.split(".")[0] in ("grp", "pwd", "fcntl", "pty", "tty", "termios", "resource") and "/tools/" in where:
        raise ImportError("No module named %r on Windows" % name)
    return real(name, names, *rest, **more)
builtins.__import__ = refuse
sys.argv[:] = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
BOARD_TOOLS = ("flash", "config", "deploy", "image", "logs", "mip", "build")


def without_unix(name, *arguments, **more):
    return run(
        sys.executable,
        "-c",
        WITHOUT_UNIX,
        "tools.build" if name == "build" else "tools.device." + name,
        *arguments,
        **more,
    )


@pytest.mark.parametrize("name", BOARD_TOOLS)
def test_a_board_tool_starts_where_there_is_no_unix(name):
    done = without_unix(name, *([] if name == "build" else ["--help"]))
    assert done.returncode == 0 and "Traceback" not in done.stdout, done.stdout


def test_from_a_bare_board_to_readings_where_there_is_no_unix(boards, images, broker, tmp_path):
    board = boards("esp32")
    (tmp_path / "c.json").write_text(json.dumps(config(broker)))
    for name, *arguments in (
        ("flash", "--firmware", str(images["esp32"])),
        ("config", "--file", str(tmp_path / "c.json")),
        ("deploy",),
        ("logs", "--seconds", "0.2"),
    ):
        done = without_unix(name, "--port", board.port, *arguments)
        assert done.returncode == 0, done.stdout
    out = tmp_path / "whole.bin"
    done = without_unix("image", "--firmware", str(images["esp32"]), "--config", str(tmp_path / "c.json"), "--output",
                        str(out))  # fmt: skip
    assert done.returncode == 0 and out.stat().st_size > 1 << 20, done.stdout
    assert "wifi_ssid" in mpremote(board, "fs", "cat", ":config.json").stdout


def test_a_windows_port_is_a_name_and_no_file(monkeypatch):
    monkeypatch.setattr(serial_port, "PORTS_ARE_FILES", False)
    plugged = [types.SimpleNamespace(device="COM7", vid=0x10C4), types.SimpleNamespace(device="COM1", vid=None)]
    monkeypatch.setattr(serial_port, "comports", lambda: plugged)
    assert serial_port.choose("") == "COM7" and serial_port.choose("com1") == "com1"
    with pytest.raises(ToolError, match="no port COM9. There is COM7"):
        serial_port.choose("COM9")
    plugged.clear()
    with pytest.raises(ToolError, match="PORT=COM3"):
        serial_port.choose("")


def test_a_port_that_windows_does_not_let_us_open_is_in_use():
    said = "could not open port 'COM7': PermissionError(13, 'Access is denied.', None, 5)"
    assert "in use by another program" in serial_port.in_words("COM7", serial_port.SerialException(said))
