"""The firmware in an ESP8266's ROM partition, executed where it lies: at the 28 KB of heap that such a board has."""

import json

import pytest
from conftest import config, mpremote, tool, until

from tools.build import romfs
from tools.demo.watch import Watcher
from tools.device import deploy as program
from tools.device.chips import MIB, rom
from tools.device.deploy import Firmware, Found, check_path, plan
from tools.device.serial_port import ToolError

PUT = """
import os
def put(path, text=''):
    at = ''
    for name in path.split('/')[1:-1]:
        at += '/' + name
        try:
            os.mkdir(at)
        except OSError:
            pass
    with open(path, 'w') as f:
        f.write(text)
"""


def deploy(board, *arguments, **more):
    return tool("deploy", "--port", board.port, "--first-readings", "30", *arguments, **more)


def put(board, *lines):
    done = mpremote(board, "exec", PUT + "\n".join(lines))
    assert done.returncode == 0, done.stdout


def names(board):
    return set(mpremote(board, "fs", "tree").stdout.replace("|", " ").split())


def test_stock_mpremote_builds_queries_and_writes_a_romfs(flashed, tmp_path):
    board = flashed("esp8266")
    said = mpremote(board, "romfs", "query").stdout
    assert "ROMFS0 partition has size 327680 bytes" in said and "Not a valid ROMFS" in said, said
    folder = tmp_path / "rom"
    (folder / "lib").mkdir(parents=True)
    for text in ("1", "2"):  # the second over the first
        (folder / "top.py").write_text("x = %s + len('%s')\n" % (text, "y" * 9000))
        (folder / "lib" / "deep.py").write_text("y = " + text)
        done = mpremote(board, "romfs", "deploy", str(folder))
        assert done.returncode == 0 and "ROMFS image deployed" in done.stdout, done.stdout
        said = mpremote(board, "exec", "import sys, top, deep\nprint(top.x, deep.y, sys.path)").stdout.strip()
        assert said == text.join(("900", " ")) + text + " ['', '.frozen', '/.frozen', '/rom', '/rom/lib', '/lib', '/']"
    offset, size_b = rom("esp8266", b"/rom/lib")
    assert board.flash.read_bytes()[offset : offset + 3] == b"\xd2\xcd\x31" and offset + size_b == MIB


def test_a_program_is_executed_where_it_lies(flashed, tmp_path):
    board = flashed("esp8266")
    (tmp_path / "rom").mkdir()
    (tmp_path / "rom" / "big.py").write_text("def f():\n" + "    print('nothing of this')\n" * 3000)
    done = mpremote(board, "romfs", "deploy", str(tmp_path / "rom"))
    assert done.returncode == 0, done.stdout
    said = mpremote(board, "exec", "import gc; gc.collect(); a = gc.mem_free(); import big; gc.collect();"
                                   " print(a - gc.mem_free())").stdout  # fmt: skip
    assert int(said) < 1500, said


def test_the_rom_is_nor_flash_and_an_esp32_has_none(flashed):
    board = flashed("esp8266")
    said = mpremote(board, "exec", """
import vfs
m = vfs.rom_ioctl(2, 0)
print(vfs.rom_ioctl(1), len(m), vfs.rom_ioctl(3, 0, 5000), vfs.rom_ioctl(4, 0, 4094, b'\\x0f\\x0f\\x0f\\x0f'))
vfs.rom_ioctl(4, 0, 4094, b'\\xfc\\xfc')
print(bytes(m[4092:4100]), vfs.rom_ioctl(3, 0, 4096), bytes(m[4092:4100]), vfs.rom_ioctl(9))
""").stdout.splitlines()  # fmt: skip
    assert said[0] == "1 327680 4 0"
    assert said[1] == r"b'\xff\xff\x0c\x0c\x0f\x0f\xff\xff' 4 b'\xff\xff\xff\xff\x0f\x0f\xff\xff' -22"
    done = mpremote(flashed("esp32", name="other"), "romfs", "query")
    assert "ROMFS is not enabled on this device" in done.stdout


def test_what_would_hide_the_rom_goes_and_what_is_not_ours_stays(flashed, broker, tmp_path):
    board = flashed("esp8266", "--free-heap", "70000")
    (tmp_path / "config.json").write_text(json.dumps(config(broker)))
    assert tool("config", "--port", board.port, "--file", str(tmp_path / "config.json")).returncode == 0
    first = deploy(board, "--romfs", "0")
    assert first.returncode == 0 and "import umqtt is /lib/umqtt" in first.stdout, first.stdout
    put(board, "put('/lib/umqtt/old.mpy'); put('/umqtt/x.py'); put('/lib/app.py'); put('/config.py', '1/0')",
        "put('/journal.0', 'readings'); put('/mine/own.py')")  # fmt: skip
    with Watcher(broker.port) as watcher:
        done = deploy(board)
        assert done.returncode == 0 and "import umqtt is /rom/lib/umqtt" in done.stdout, done.stdout
        assert until(watcher, lambda reading: True).sensor.startswith("chip/")
    listed = mpremote(board, "exec", "import os\nfor d in ('/', '/lib', '/mine'): print(d, sorted(os.listdir(d)))")
    assert listed.stdout.replace("\r", "") == (
        "/ ['boot.py', 'config.checked', 'config.json', 'deployed.json', 'journal.0', 'lib', 'main.py', 'mine',"
        " 'rom']\n"
        "/lib []\n/mine ['own.py']\n"
    )
    again = deploy(board)
    assert again.returncode == 0 and "ROM partition: " in again.stdout and ", unchanged" in again.stdout
    assert "\n0 files written, 0 removed" in again.stdout
    # and back
    back = deploy(board, env={"ROMFS": "0"})
    assert back.returncode == 0 and "import umqtt is /lib/umqtt" in back.stdout, back.stdout


def test_a_sensor_of_ones_own_that_hides_ours_is_told(flashed):
    board = flashed("esp8266")
    put(board, "put('/sensors/mine.py')")
    done = deploy(board)
    assert done.returncode == 1 and "`import sensors` on the board takes /sensors, not /rom/sensors" in done.stdout
    assert "firmware/sensors" in done.stdout
    put(board, "os.remove('/sensors/mine.py')")  # its folder stays, and would still hide ours
    assert deploy(board).returncode == 0


@pytest.mark.parametrize("after_b", [3000, 20000, 45000])
def test_a_cable_pulled_while_the_rom_is_written_is_told_and_the_next_run_mends_it(deployed, boards, after_b):
    board = deployed("esp8266")
    put(board, "import vfs; vfs.rom_ioctl(4, 0, 100, bytes(64))")  # so that it is written anew
    board.stop()
    board = boards("esp8266", "--unplug-after", str(after_b))
    done = deploy(board)
    assert done.returncode == 1 and board.ended(), done.stdout
    assert "this again" in done.stdout and "Traceback" not in done.stdout, done.stdout
    board = boards("esp8266")
    assert "main.py" not in names(board)  # half a program does not start
    again = deploy(board)
    assert again.returncode == 0 and "import umqtt is /rom/lib/umqtt" in again.stdout, again.stdout


def test_no_rom_partition_is_told_and_where_to_get_one(flashed):
    board = flashed("esp8266 without ROM")
    done = deploy(board, env={"ROMFS": "1"})
    assert done.returncode == 1 and "no ROM partition" in done.stdout and "FLASH_2M_ROMFS" in done.stdout
    done = deploy(board)
    assert done.returncode == 1 and "FLASH_2M_ROMFS" in done.stdout, done.stdout
    assert "heap is too small" in done.stdout or "of heap are left on the board" in done.stdout
    done = deploy(board, env={"ROMFS": "yes"})
    assert done.returncode == 2 and "ROMFS is 0 or 1, not yes" in done.stdout
    done = deploy(flashed("esp32", name="other"), "--romfs", "1")
    assert done.returncode == 1 and "those for ESP32 have none and need none" in done.stdout


def test_with_too_little_heap_for_mpremote_the_rom_is_written_in_small_pieces(flashed):
    board = flashed("esp8266", "--free-heap", "20000")
    done = deploy(board)
    assert done.returncode == 0 and "writing in small pieces" in done.stdout, done.stdout
    assert "import umqtt is /rom/lib/umqtt" in done.stdout and ", written" in done.stdout
    assert ", unchanged" in deploy(board).stdout


def test_a_firmware_that_is_too_large_is_told_before_anything_is_changed(flashed, monkeypatch):
    board = flashed("esp8266")
    put(board, "put('/main.py', 'print(1)')")
    monkeypatch.setattr(program, "build_firmware", lambda in_rom: Firmware({}, bytes(327681), []))
    with pytest.raises(ToolError, match="the firmware has 327681 B, the board's ROM partition 327680 B"):
        program.deploy(board.port, "", None, None, 30)
    assert "main.py" in names(board)


def firmware(*modules, in_rom=True):
    return Firmware({"/main.py": b"m"}, b"rom" if in_rom else b"", list(modules))


def on_board(*files, folders=()):
    found = Found.__new__(Found)
    found.files, found.folders = dict.fromkeys(files, "?"), set(folders)
    return found


def test_the_plan_removes_twins_wherever_they_would_be_found_first():
    ours = firmware("/app.mpy", "/lib/umqtt/wire.mpy", "/sensors/adc.mpy")
    write, remove, hollow = plan(
        ours,
        on_board("/app.py", "/app.mpy", "/lib/app.mpy", "/application.py", "/app.json", "/lib/umqtt/mine.py",
                 "/lib/umqtt.py", "/lib/other/wire.py", "/sensors/adc.py", "/umqtt.py", "/umqttx/y.py",
                 folders=("/lib", "/lib/umqtt", "/sensors", "/lib/other", "/umqtt", "/umqttx")),
        [],
    )  # fmt: skip
    assert write == ["/main.py"]
    assert sorted(remove) == [
        "/app.mpy", "/app.py", "/lib/app.mpy", "/lib/umqtt.py", "/lib/umqtt/mine.py", "/sensors/adc.py", "/umqtt.py",
    ]  # fmt: skip
    assert hollow == ["/lib/umqtt", "/sensors", "/umqtt"]
    assert plan(ours, on_board("/sensors/mine.py", folders=("/sensors",)), [])[1:] == ([], [])


PATH = ["/lib", "/rom/lib", "", ".frozen", "/rom", "/rom/lib", "/lib"]


def test_the_path_is_followed_as_the_board_does():
    ours = firmware("/app.mpy", "/lib/umqtt/wire.mpy")
    check_path(ours, on_board("/main.py", "/app.json"), PATH)
    for file, folders, first in (("/app.py", (), "/app"), ("/x", ("/app",), "/app"), ("/lib/app.mpy", (), "/lib/app"),
                                 ("/x", ("/umqtt", "/lib/umqtt"), "/lib/umqtt")):  # fmt: skip
        with pytest.raises(ToolError, match="takes %s, not /rom" % first):
            check_path(ours, on_board(file, folders=folders), PATH)
    with pytest.raises(ToolError, match="takes nothing, not /rom/app"):
        check_path(ours, on_board(), [""])
    check_path(firmware("/app.mpy", in_rom=False), on_board("/app.mpy"), PATH)
    with pytest.raises(ToolError, match="takes /lib/app, not /app"):
        check_path(firmware("/app.mpy", in_rom=False), on_board("/app.mpy", "/lib/app.py"), PATH)


def test_only_compiled_files_get_into_the_image(tmp_path):
    (tmp_path / "a.mpy").write_bytes(b"compiled")
    empty = len(romfs(tmp_path))
    (tmp_path / "b.py").write_text("source")
    assert len(romfs(tmp_path)) == empty
