"""From a board with MicroPython to readings in Mosquitto, and everything that may be in the way of it."""

import json
import sys
import threading

import pytest
from conftest import config, logs_until, mpremote, run, tool, until

from tools.demo.watch import Watcher
from tools.device.deploy import (
    MANIFEST,
    OLDEST,
    Firmware,
    Found,
    build_firmware,
    check_version,
    mpy_version,
    plan,
    prove_imports,
)  # fmt: skip
from tools.device.serial_port import ToolError, repl


def deploy(board, *arguments):
    return tool("deploy", "--port", board.port, "--first-readings", "120", *arguments)


def configure(board, broker, tmp_path, **more):
    (tmp_path / "config.json").write_text(json.dumps(config(broker, **more)))
    done = tool("config", "--port", board.port, "--file", str(tmp_path / "config.json"))
    assert done.returncode == 0, done.stdout


def next_reading(watcher):
    return until(watcher, lambda reading: True)


@pytest.mark.parametrize("chip", ["esp32", "esp8266"])
def test_a_blank_board_becomes_readings_in_mosquitto(boards, images, broker, tmp_path, chip):
    board = boards(chip)
    flash = tool("flash", "--port", board.port, "--firmware", str(images[chip]))
    assert flash.returncode == 0, flash.stdout
    configure(board, broker, tmp_path)
    with Watcher(broker.port) as watcher:
        done = deploy(board)
        assert done.returncode == 0, done.stdout
        assert "import umqtt is %s/lib/umqtt" % ("/rom" if chip == "esp8266" else "") in done.stdout
        assert "the first readings reached the broker" in done.stdout
        first = next_reading(watcher)
        assert first.sensor.startswith("chip/") and first.qos == 2
        # and again after the power was gone
        board.stop()
        board = boards(chip)
        until(watcher, lambda reading: reading.seq == 1)


@pytest.mark.parametrize("keep_in", ["rtc", "flash"])
def test_an_esp8266_publishes_what_it_keeps_over_a_reset(deployed, broker, tmp_path, keep_in):
    # the code that takes the most heap, on a MicroPython without binascii.crc32
    board = deployed("esp8266")
    # seldom enough that the slowest machine sends what it measures
    configure(board, broker, tmp_path, keep_in=keep_in, queue_kb=4, interval_s=2)
    with Watcher(broker.port) as watcher:
        done = deploy(board)
        assert done.returncode == 0, done.stdout
        seqs = [next_reading(watcher).seq for _ in range(4)]
        mpremote(board, "reset")
        while seqs[-1] < 14:
            seqs.append(next_reading(watcher).seq)
        assert sorted(set(seqs)) == list(range(seqs[0], seqs[0] + len(set(seqs)))), seqs


def test_two_boards_at_once(deployed, broker, tmp_path):
    with Watcher(broker.port) as watcher:
        running = [deployed("esp32", name=name) for name in ("one", "two")]
        for i, board in enumerate(running):
            configure(board, broker, tmp_path, topic="boards", client_id="node%d" % i,
                      sensors=[{"type": "internal", "name": "chip%d" % i}])  # fmt: skip
            done = deploy(board)
            assert done.returncode == 0, done.stdout
        for name in ("chip0", "chip1"):  # the second was deployed last: both are alive since then
            until(watcher, lambda reading: reading.sensor.startswith(name + "/"))


def test_a_second_deployment_copies_nothing_and_a_changed_file_alone(flashed):
    board = flashed("esp32")
    first = deploy(board)
    assert first.returncode == 0 and " 0 removed, 0 unchanged" in first.stdout, first.stdout
    assert "config.json is not on the board yet" in first.stdout
    assert "\n0 files written, 0 removed" in deploy(board).stdout
    mpremote(board, "exec", "with open('/lib/umqtt/wire.mpy', 'ab') as f: f.write(b'x')")
    third = deploy(board, "--floor", "150000")
    assert "\n1 files written, 0 removed" in third.stdout and "/lib/umqtt/wire.mpy" in third.stdout
    assert third.returncode == 1 and "needed are 150000" in third.stdout


def test_stale_files_go_and_what_is_not_ours_stays(deployed):
    board = deployed("esp32")
    done = mpremote(board, "exec", """
import json, os
def put(path, text=''):
    with open(path, 'w') as f:
        f.write(text)
with open('%s') as f:
    ours = json.load(f)
put('%s', json.dumps(ours + ['/lib/umqtt/old.mpy']))
os.mkdir('/umqtt')
for path in ('config.json', 'journal.0', 'mine.py', 'app.py', 'lib/umqtt/old.mpy', 'umqtt/simple.py'):
    put(path, '{}')
""" % (MANIFEST, MANIFEST))  # fmt: skip
    assert done.returncode == 0, done.stdout
    done = deploy(board)
    assert done.returncode == 1 and "wifi_ssid is missing" in done.stdout  # of the config.json that stayed
    assert "\n0 files written, 3 removed" in done.stdout, done.stdout
    listed = mpremote(board, "fs", "tree").stdout
    assert all(name in listed for name in ("config.json", "journal.0", "mine.py"))
    assert "old.mpy" not in listed and "app.py" not in listed


def test_the_trap_of_the_frozen_umqtt_is_sprung_and_caught(flashed, deployed):
    board = flashed("esp32", name="copied")
    # a copy without our boot.py: what everybody does first
    said = mpremote(board, "exec", "import umqtt.simple\nprint(umqtt.__path__)")
    assert said.stdout.strip() == "/.frozen/umqtt"
    board.stop()
    board = deployed("esp32")
    mpremote(board, "exec", "with open('boot.py', 'w') as f: pass")
    again = deploy(board)
    assert again.returncode == 0 and "/boot.py" in again.stdout  # deploy mends it
    # a boot.py of ours that forgot the path
    mpremote(board, "exec", "with open('boot.py', 'w') as f: pass")
    with pytest.raises(ToolError, match="frozen") as caught, repl(board.port) as transport:
        prove_imports(transport, build_firmware(False), Found(transport), 0)
    assert "boot.py must put /lib first" in str(caught.value)
    # another package in the way, which has all the names that the program asks for
    mpremote(
        board,
        "exec",
        """
import os
os.mkdir('/umqtt')
for n in os.listdir('/lib/umqtt'):
    with open('/lib/umqtt/' + n, 'rb') as f, open('/umqtt/' + n, 'wb') as g:
        g.write(f.read())
""",
    )
    with pytest.raises(ToolError, match="gives umqtt, not /lib/umqtt"), repl(board.port) as transport:
        prove_imports(transport, build_firmware(False), Found(transport), 0)
    mpremote(board, "fs", "rm", "-r", ":umqtt")
    # and one where only the old names are imported, which the frozen package has
    with repl(board.port) as transport:
        assert transport.exec("import umqtt.simple; print(umqtt.__path__)").strip() == b"/.frozen/umqtt"


@pytest.mark.parametrize("after_b", [2000, 30000])
def test_a_cable_pulled_while_deploying_is_told_and_the_next_run_mends_it(flashed, boards, after_b):
    board = flashed("esp32", "--unplug-after", str(after_b))
    done = deploy(board)
    assert done.returncode == 1 and board.ended(), done.stdout
    assert "went away" in done.stdout and "Traceback" not in done.stdout, done.stdout
    board = boards("esp32")
    again = deploy(board)
    assert again.returncode == 0 and "import umqtt is /lib/umqtt" in again.stdout, again.stdout
    assert "\n0 files written, 0 removed" in deploy(board).stdout


def test_a_full_file_system_is_told_before_anything_is_changed(flashed):
    board = flashed("esp32")
    fill = "f=open('big','wb')\nfor i in range(490): f.write(b'x'*4096)\nf.close()"
    assert mpremote(board, "exec", fill).returncode == 0
    before = mpremote(board, "fs", "ls").stdout
    done = deploy(board)
    assert done.returncode == 1 and "file system is full" in done.stdout, done.stdout
    assert mpremote(board, "fs", "ls").stdout == before


def test_sizes_are_measured_on_the_board(flashed, deployed):
    board = flashed("esp32", name="blank")
    nothing = run(sys.executable, "-m", "tools.measure.device_size", "--port", board.port)
    assert nothing.returncode == 1 and "`make deploy`" in nothing.stdout, nothing.stdout
    board.stop()
    board = deployed("esp32")
    done = run(sys.executable, "-m", "tools.measure.device_size", "--port", board.port)
    assert done.returncode == 0, done.stdout
    taken = {line.split()[0]: int(line.split()[-2]) for line in done.stdout.splitlines()}
    assert 1000 < taken["umqtt.client"] < taken["together"] < 40_000


def test_why_readings_do_not_arrive_is_told(deployed, broker, tmp_path):
    board = deployed("esp32")
    configure(board, broker, tmp_path, port=1)
    done = tool("deploy", "--port", board.port, "--first-readings", "8")
    assert done.returncode == 1
    assert "the readings do not arrive: broker: " in done.stdout, done.stdout
    mpremote(board, "exec", "with open('config.json', 'w') as f: f.write('{\"brokr\": 1}')")
    done = deploy(board)
    assert done.returncode == 1 and "config.json: " in done.stdout, done.stdout


def test_a_board_without_micropython_is_told(boards):
    done = deploy(boards("esp32"))
    assert done.returncode == 1 and "make flash" in done.stdout


def test_logs_follow_without_stopping_the_program(deployed, broker, tmp_path):
    board = deployed("esp32")
    configure(board, broker, tmp_path, sensors=[{"type": "dht22", "name": "room", "pin": 4}], interval_s=0.2)
    assert deploy(board).returncode == 0
    with Watcher(broker.port) as watcher:
        first = next_reading(watcher).seq
        trouble = threading.Timer(1, broker.stop)
        trouble.start()
        said = logs_until(board, "trying again")
        assert "broker: " in said and "\\r" not in said, said
        trouble.join()
        broker.start_again()
        until(watcher, lambda reading: reading.seq > first + 4)  # they go on
        crashes = tool("logs", "--port", board.port, "--crashes")
        assert crashes.returncode == 0 and "no crash was noted" in crashes.stdout
        until(watcher, lambda reading: reading.seq == 1)  # it was started again


def found(version, mpy):
    made = Found.__new__(Found)
    made.version, made.mpy = version, mpy
    return made


def test_a_micropython_that_cannot_load_our_mpy_is_refused_in_words():
    check_version(found((1, 26, 1), mpy_version() | 0x2B00))
    with pytest.raises(ToolError, match=r"MicroPython 1.21.0; this firmware needs %d.%d" % OLDEST):
        check_version(found((1, 21, 0), 6))
    with pytest.raises(ToolError, match="loads .mpy version 7, and mpy-cross here makes version 6"):
        check_version(found((1, 40, 0), 7))


def test_the_plan_writes_main_last_and_removes_twins():
    wanted = {"/main.py": b"m", "/app.mpy": b"a", "/lib/umqtt/wire.mpy": b"w"}
    there = Found.__new__(Found)
    there.files = {"/app.py": "?", "/umqtt/x.py": "?", "/other.py": "?", "/old.mpy": "?"}
    there.folders = set()
    write, remove, _ = plan(Firmware(wanted, b"", ["/app.mpy", "/lib/umqtt/wire.mpy"]), there, ["/old.mpy"])
    assert write == ["/app.mpy", "/lib/umqtt/wire.mpy", "/main.py"]
    assert remove == ["/app.py", "/old.mpy", "/umqtt/x.py"]


def test_the_plan_ends_updates_over_the_air_and_first_what_starts_them():
    there = Found.__new__(Found)
    there.files = dict.fromkeys(["/ota/1/app.mpy", "/ota/1/lib/x.mpy", "/ota/1.list", "/ota/boot", "/ota/taken"], "?")
    there.folders = {"/ota", "/ota/1", "/ota/1/lib"}
    _, remove, folders = plan(Firmware({"/app.mpy": b"a"}, b"", ["/app.mpy"]), there, [])
    assert remove == ["/ota/boot", "/ota/1.list", "/ota/1/app.mpy", "/ota/1/lib/x.mpy"]
    assert folders == ["/ota/1/lib", "/ota/1"], "what is in a folder goes before it; the newest manifest stays known"
