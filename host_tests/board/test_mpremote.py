"""The stock mpremote takes the virtual board for a real one."""

import os
import re
import shlex
import subprocess
import sys
import time

import pytest
import serial
from conftest import PATIENCE_S, mpremote, run, wait_for

from tools.device.chips import filesystem


def execute(board, source):
    done = mpremote(board, "exec", source)
    assert done.returncode == 0, done.stdout
    return done.stdout.replace("\r\n", "\n").strip()


@pytest.fixture(scope="module", params=["esp32", "esp8266"])
def chip(request):
    return request.param


def test_a_blank_board_has_no_repl(boards):
    board = boards("esp32")
    assert board.wait_log("there is no program")
    with serial.Serial(board.port, timeout=PATIENCE_S) as port:
        port.write(b"\r\x03")
        for _ in range(2):  # it starts again and again, as the chip does
            assert port.read_until(b"invalid header: 0xffffffff\r\n").endswith(b"invalid header: 0xffffffff\r\n")
    assert board.log.read_text().count("there is no program") == 1


def test_the_board_is_what_it_says(flashed, chip):
    board = flashed(chip)
    said = execute(board, "import sys, os, gc\nprint(sys.platform, os.uname()[0], sys.path, 1 << 30)\ngc.collect()\n"
                          "print(gc.mem_free())")  # fmt: skip
    first, free = said.splitlines()
    root = ", '/'" if chip == "esp8266" else ""
    assert first == "%s %s ['', '.frozen', '/.frozen', '/lib'%s] 1073741824" % (chip, chip, root)
    low, high = {"esp32": (147_000, 149_000), "esp8266": (27_000, 28_500)}[chip]
    assert low < int(free) < high


def test_an_esp8266_has_not_all_that_an_esp32_has(flashed, chip):
    ask = "import binascii, random\nprint(hasattr(binascii, 'crc32'), hasattr(random, 'choice'),"
    said = execute(flashed(chip), ask + " hasattr(random, 'getrandbits'), binascii.hexlify(b'a'))")
    assert said == {"esp32": "True True", "esp8266": "False False"}[chip] + " True b'61'"


def test_files_go_there_and_back(flashed, chip, tmp_path):
    board = flashed(chip)
    (tmp_path / "fw" / "sub").mkdir(parents=True)
    blob = os.urandom(5000)
    (tmp_path / "fw" / "sub" / "blob").write_bytes(blob)
    done = mpremote(board, "fs", "cp", "-r", str(tmp_path / "fw"), ":", "+", "fs", "cp", ":fw/sub/blob",
                    str(tmp_path / "back"), "+", "fs", "ls", "+", "df")  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "back").read_bytes() == blob
    assert "boot.py" in done.stdout and ".frozen" not in done.stdout
    # it lies in the flash where stock MicroPython's file system does, and littlefs tools read it
    offset, size_b = filesystem(chip, 4 << 20)
    assert str(size_b) in done.stdout
    from littlefs import LittleFS

    fs = LittleFS(block_size=4096, block_count=size_b // 4096, mount=False)
    fs.context.buffer = bytearray(board.flash.read_bytes()[offset : offset + size_b])
    fs.mount()
    with fs.open("/fw/sub/blob", "rb") as file:
        assert file.read() == blob


def test_a_full_file_system_says_so(flashed):
    board = flashed("esp32")
    said = execute(board, "n=0\ntry:\n with open('big','wb') as f:\n  while True:\n   n += f.write(b'x'*4096)\n"
                          "except OSError as e:\n print(e.errno, n)")  # fmt: skip
    errno, number = said.split()
    assert errno == "28" and 1_900_000 < int(number) < 2_097_152


def test_the_heap_has_an_end(flashed):
    done = mpremote(flashed("esp8266"), "exec", "a = bytearray(40000)")
    assert done.returncode and "MemoryError" in done.stdout


def test_an_exception_is_told_with_its_line(flashed):
    done = mpremote(flashed("esp32"), "exec", "x = 1\n1/0")
    assert done.returncode == 1
    assert 'File "<stdin>", line 2' in done.stdout and "ZeroDivisionError" in done.stdout
    assert "agent.py" not in done.stdout


def test_main_runs_after_a_reset_and_ctrl_c_stops_it(flashed, tmp_path):
    board = flashed("esp32")
    main = tmp_path / "main.py"
    main.write_text("n = 0\nwhile True:\n    n += 1\n    if not n % 1000: print('main runs')\n")
    mpremote(board, "fs", "cp", str(main), ":main.py", "+", "exec", "--no-follow", "import machine; machine.reset()")
    with serial.Serial(board.port, timeout=PATIENCE_S) as port:
        assert port.read_until(b"main runs").endswith(b"main runs")
    assert mpremote(board, "resume", "eval", "n > 0").stdout.strip() == "True"  # without a soft reset
    assert mpremote(board, "exec", "print('n' in globals())").stdout.strip() == "False"  # with one, main.py left out


def test_ctrl_c_is_never_lost_nor_deadly(flashed, tmp_path):
    board = flashed("esp32")
    main = tmp_path / "main.py"
    main.write_text("import gc\nfor i in range(100): gc.collect()\nprint('main ended')\nwhile True: pass\n")
    assert mpremote(board, "fs", "cp", str(main), ":main.py").returncode == 0
    with serial.Serial(board.port, timeout=PATIENCE_S) as port:
        for wait_ms in (0, 1, 2, 5, 10, 20, 40, 80):
            port.write(b"\r\x02\x04")
            assert port.read_until(b"soft reboot\r\n").endswith(b"soft reboot\r\n")
            time.sleep(wait_ms / 1000)  # the point: at whatever stage of its start
            port.write(b"\x03")
            assert port.read_until(b">>> ").endswith(b">>> "), wait_ms
    assert "interpreter ended" not in board.log.read_text()


def test_boot_py_that_fails_keeps_main_from_running(flashed, tmp_path):
    board = flashed("esp32")
    (tmp_path / "boot.py").write_text("1/0\n")
    (tmp_path / "main.py").write_text("print('main ran')\n")
    for name in ("boot.py", "main.py"):
        mpremote(board, "fs", "cp", str(tmp_path / name), ":" + name)
    with serial.Serial(board.port, timeout=PATIENCE_S) as port:
        port.write(b"\x02\x04")
        said = port.read_until(b"information.\r\n>>> ")
        said += port.read_until(b"information.\r\n>>> ")
    assert b"ZeroDivisionError" in said and b"main ran" not in said


def test_input_reads_what_is_typed(flashed):
    board = flashed("esp32")
    with serial.Serial(board.port, timeout=PATIENCE_S) as port:
        port.write(b"\r\x03")
        port.read_until(b">>> ")
        port.write(b"print(input('name? ') * 2)\r")
        assert port.read_until(b"name? ").endswith(b"name? ")
        port.write(b"ab\n")
        assert b"abab" in port.read_until(b">>> ")


def test_reset_causes_and_rtc_memory_are_a_boards(flashed, chip):
    board = flashed(chip)
    power_on, by_program, deep, soft = {"esp32": (1, 2, 4, 5), "esp8266": (0, 6, 5, 4)}[chip]
    ask = "import machine; print(machine.reset_cause(), machine.RTC().memory())"
    restart = "import machine; machine.RTC().memory(b'kept'); machine.%s"
    assert execute(board, ask).startswith("%d b''" % soft)  # mpremote resets softly before it runs anything
    for count, (call, cause) in enumerate((("reset()", by_program), ("deepsleep(300)", deep))):
        assert mpremote(board, "exec", "--no-follow", restart % call).returncode == 0
        assert wait_for(lambda wanted=count + 2: board.log.read_text().count("MicroPython starts") >= wanted)
        done = mpremote(board, "resume", "exec", ask)
        assert done.stdout.split() == [str(cause), "b'kept'"]
    board.stop()


def test_power_on_is_power_on_and_forgets_rtc_memory(flashed, boards):
    board = flashed("esp32")
    execute(board, "import machine; machine.RTC().memory(b'kept')")
    board.stop()
    again = boards("esp32")
    said = mpremote(again, "resume", "exec", "import machine; print(machine.reset_cause(), machine.RTC().memory())")
    assert said.stdout.split() == ["1", "b''"]


def test_two_boards_are_two(flashed):
    one, two = flashed("esp32", name="one"), flashed("esp8266", name="two")
    ids = {execute(board, "import machine; print(machine.unique_id())") for board in (one, two)}
    assert len(ids) == 2
    execute(one, "open('mine', 'w').close()")
    assert "mine" not in mpremote(two, "fs", "ls").stdout


def test_mount_runs_code_from_the_host(flashed, tmp_path):
    board = flashed("esp32", "--raw-output")
    (tmp_path / "here.py").write_text("print('from the host')\n")
    done = mpremote(board, "mount", str(tmp_path), "exec", "import here")
    assert "from the host" in done.stdout, done.stdout


def test_the_example_on_the_port_ends_with_the_board(boards):
    board = boards("esp32")
    board.stop()
    assert not board.link.exists() and not board.link.is_symlink()
    assert board.process.returncode == 0


def test_a_killed_board_leaves_no_interpreter(flashed):
    board = flashed("esp32")
    mpremote(board, "exec", "--no-follow", "while True: pass")
    children = subprocess.run(["ps", "--ppid", str(board.process.pid), "-o", "pid="], stdout=subprocess.PIPE, text=True)
    (child,) = children.stdout.split()
    board.process.kill()
    board.process.wait()
    assert wait_for(lambda: not os.path.exists("/proc/%s" % child))


def test_a_second_board_of_a_kind_has_a_port_and_a_flash_of_its_own(tmp_path):
    from tools.virtual_board.__main__ import take_flash

    taken = [take_flash("", tmp_path, "esp32", 1 << 20) for _ in range(3)]
    assert [name for _, name in taken] == ["esp32", "esp32-2", "esp32-3"]
    taken[0][0].close()
    taken.append(take_flash("", tmp_path, "esp32", 1 << 20))
    assert taken[-1][1] == "esp32"
    done = run(sys.executable, "-m", "tools.virtual_board", "--flash", taken[1][0].path, "--flash-size", "1")
    assert done.returncode == 2 and "is the flash of a board that runs" in done.stdout, done.stdout
    for chip, _ in taken:
        chip.close()


def test_what_make_board_says_can_be_typed_wherever_the_clone_is(tmp_path):
    from tools.virtual_board.__main__ import next_steps
    from tools.virtual_board.nor_flash import NorFlash

    folder = tmp_path / "my clone"
    folder.mkdir()
    flash = NorFlash(str(folder / "esp32.flash"), 4 << 20)
    said = next_steps("esp32", str(folder / "esp32"), flash)
    flash.close()
    assert "export PORT='%s'\n" % (folder / "esp32") in said
    image = re.search("FIRMWARE=(.*)", said).group(1)
    assert image.startswith("'") and os.path.exists(shlex.split(image)[0])


def test_make_board_says_what_is_missing():
    done = run(sys.executable, "-m", "tools.virtual_board", "--micropython", "/nowhere/micropython")
    assert done.returncode == 2 and "make setup" in done.stdout
    done = run(sys.executable, "-m", "tools.virtual_board", "--help")
    assert done.returncode == 0 and "--unplug-after" in done.stdout
