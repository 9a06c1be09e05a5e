"""`make bench PORT= HOST=` times the operations on a board: here on the virtual one, over loopback."""

import sys

from conftest import mpremote, run

from tools.measure import size


def test_every_operation_is_timed_on_the_board(flashed, tmp_path):
    board = flashed("esp32")
    library = tmp_path / "lib"
    library.mkdir()
    size.compile_library(library)
    done = mpremote(board, "mkdir", ":/lib", "+", "cp", "-r", str(library / "umqtt"), ":/lib/")
    assert done.returncode == 0, done.stdout
    done = run(sys.executable, "-m", "tools.measure.bench", "--port", board.port, "--host", "127.0.0.1")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stdout
    for kind in ("native", "simple"):
        timed = {line[1] for line in lines if line[0] == kind}
        assert {"publish0", "publish1", "publish2", "ping", "idle"} <= timed, done.stdout
    assert {line[0] for line in lines} == {"native", "simple"} and all(line[3] == "ms" for line in lines), done.stdout


def test_a_board_without_the_library_is_told(flashed):
    done = run(sys.executable, "-m", "tools.measure.bench", "--port", flashed("esp32").port, "--host", "127.0.0.1")
    assert done.returncode == 1 and "ImportError" in done.stdout, done.stdout
