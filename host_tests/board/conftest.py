"""Virtual boards, images for them, and a Mosquitto: each board a process of its own, ended with the test."""

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tools.broker import Broker, BrokerError
from tools.device.chips import CHIPS, MIB, with_esp8266_flash
from tools.virtual_board import fake_image
from tools.virtual_board.nor_flash import NorFlash

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 180  # only what hangs takes so long: nothing here depends on how fast this or another process is
ENV = {k: v for k, v in os.environ.items() if not k.startswith("UMQTT_") and k not in ("PORT", "FIRMWARE", "BOARD")}
# esptool's own times are for a chip, not for a process that waits for its turn on a busy machine
ENV["PYTHONPATH"] = str(ROOT)  # tools are modules, whatever folder a test is in
ENV["ESPTOOL_CFGFILE"] = str(Path(__file__).with_name("esptool.cfg"))


class BoardProcess:
    """A virtual board that runs. `port`: what esptool and mpremote are given; `flash`: its flash file."""

    def __init__(self, folder: Path, chip: str, *options: str):
        self.chip = chip
        self.flash = folder / "flash"
        self.link = folder / "port"
        self.log = folder / "board.log"
        command = [sys.executable, "-m", "tools.virtual_board", "--chip", chip, "--flash", str(self.flash), "-v"]
        command += ["--link", str(self.link), *options]
        # a board that is killed on purpose leaves its scratch folder: here, where it goes with the test
        env = dict(os.environ, TMPDIR=str(folder))
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=log)
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_S)
        line = self.process.stdout.readline().decode() if ready else ""
        assert " on " in line, "the board does not start: " + self.log.read_text()
        self.port = line.split(" on ")[1].strip()
        if self.port.startswith("rfc2217:"):
            self.port += "?timeout=%d" % PATIENCE_S  # pyserial's own 3 s are too few on a busy machine

    def ended(self) -> bool:
        """Whether the board was unplugged."""
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            return False
        return True

    def wait_log(self, text: str, timeout_s: float = PATIENCE_S) -> bool:
        """Whether the board's own log says it in time."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if text in self.log.read_text():
                return True
            time.sleep(0.02)
        return False

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def boards(tmp_path):
    """boards(chip, *options, name="a") starts one; the same name again: the same flash."""
    running = []

    def start(chip="esp32", *options, name="a"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        board = BoardProcess(folder, chip, *options)
        running.append(board)
        return board

    yield start
    for board in running:
        board.stop()


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """images[chip]: a stand-in image that esptool accepts and the virtual board starts; the ESP8266's has a ROM
    partition, images["esp8266 without ROM"] has none."""
    folder = tmp_path_factory.mktemp("images")
    found = {}
    for chip in ("esp32", "esp8266"):
        found[chip] = folder / (chip + ".bin")
        fake_image.build(chip, found[chip])
    plain = found["esp8266 without ROM"] = folder / "esp8266-plain.bin"
    fake_image.build("esp8266", plain, rom=False)
    return found


def leave_factory(folder: Path, chip: str, image: Path) -> None:
    """A flash with MicroPython on it, and no files."""
    flash = NorFlash(str(folder / "flash"), 4 * MIB)
    data = image.read_bytes()
    flash.program(CHIPS[chip].image_offset, with_esp8266_flash(data, 4 * MIB) if chip == "esp8266" else data)
    flash.close()


@pytest.fixture
def flashed(boards, images, tmp_path):
    """flashed(chip, *options, name=...): a board that left the factory with MicroPython on it, and no files."""

    def start(image="esp32", *options, name="a"):
        chip = image.split()[0]
        (tmp_path / name).mkdir(exist_ok=True)
        leave_factory(tmp_path / name, chip, images[image])
        return boards(chip, *options, name=name)

    return start


@pytest.fixture(scope="session")
def deployed_flash(images, tmp_path_factory):
    """deployed_flash(chip): the content of its flash after `make deploy`, without a config.json; made once for all."""
    together = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        together = together.parent  # of all workers

    def content(chip):
        folder = together / ("deployed-" + chip)
        with open(together / (folder.name + ".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "done").exists():
                folder.mkdir(exist_ok=True)
                leave_factory(folder, chip, images[chip])
                board = BoardProcess(folder, chip)
                try:
                    done = tool("deploy", "--port", board.port)
                finally:
                    board.stop()
                assert done.returncode == 0, done.stdout
                (folder / "done").touch()
        return (folder / "flash").read_bytes()

    return content


@pytest.fixture
def deployed(boards, deployed_flash, tmp_path):
    """deployed(chip, *options, name=...): a board with the firmware on it and no config.json, where its deployment is
    not what the test is about."""

    def start(chip="esp32", *options, name="a"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "flash").write_bytes(deployed_flash(chip))
        return boards(chip, *options, name=name)

    return start


@pytest.fixture
def broker(tmp_path):
    try:
        with Broker(tmp_path) as running:
            yield running
    except BrokerError as error:
        pytest.skip("no broker: %s; `make setup` gets Mosquitto" % error)


def run(*command: str, timeout_s: float = PATIENCE_S, env=None) -> subprocess.CompletedProcess:
    """Run to the end; stdout holds both outputs."""
    return subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=timeout_s, env={**ENV, **(env or {})},
    )  # fmt: skip


def tool(name: str, *arguments: str, **more) -> subprocess.CompletedProcess:
    """One of the project's host tools."""
    return run(sys.executable, "-m", "tools.device." + name, *arguments, **more)


def wait_for(condition) -> bool:
    """Whether it comes true."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def until(watcher, is_it):
    """The next reading that `is_it`, however many come before."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        reading = watcher.readings.get(timeout=PATIENCE_S)
        if is_it(reading):
            return reading
    raise AssertionError("no such reading came")


def logs_until(board: BoardProcess, *words: str) -> str:
    """What `make logs` shows until it has shown all of these words; it is ended with Ctrl-C then, and ends well."""
    command = [sys.executable, "-m", "tools.device.logs", "--port", board.port]
    shown = ""
    with subprocess.Popen(command, cwd=ROOT, env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as started:  # fmt: skip
        timer = threading.Timer(PATIENCE_S, started.kill)
        timer.start()
        try:
            while not all(word in shown for word in words):
                line = started.stdout.readline()
                assert line, shown
                shown += line
            started.send_signal(signal.SIGINT)
            shown += started.stdout.read()
            assert started.wait(PATIENCE_S) == 0, shown
        finally:
            timer.cancel()
            started.kill()
    return shown


def mpremote(board: BoardProcess, *arguments: str, **more) -> subprocess.CompletedProcess:
    """The stock mpremote. It waits 10 s for the REPL, which are too few for a board on a busy machine: then it did
    nothing, and is asked again."""
    for _ in range(6):
        done = run(sys.executable, "-m", "mpremote", "connect", board.port, *arguments, **more)
        if "could not enter raw repl" not in done.stdout:
            break
    return done


def config(broker: Broker, **more) -> dict:
    """What config.json holds on a board of the tests."""
    return {
        "wifi_ssid": "host", "wifi_password": "password", "broker": "127.0.0.1", "port": broker.port,
        "interval_s": 0.5, "ntp_host": "", "sensors": [{"type": "internal", "name": "chip"}], **more,
    }  # fmt: skip


def at_terminal(command, answers=(), ctrl_c_at="", timeout_s: float = PATIENCE_S, env=None):
    """Run at a terminal of its own: each time it waits at a question the next answer is typed.

    `ctrl_c_at`: Ctrl-C is pressed when this is on the screen. Returns (exit status, all that was on the screen).
    """
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(ROOT)
        os.execvpe(command[0], command, {**ENV, **(env or {})})
    said, answers, end = b"", list(answers), time.monotonic() + timeout_s
    answered_b = 0  # so much was said when the last question was answered: a slow tool may not have read that yet
    try:
        while time.monotonic() < end:
            ready, _, _ = select.select([terminal], [], [], 0.1)
            if not ready:
                if answers and said.endswith(b": ") and len(said) > answered_b:
                    answered_b = len(said)
                    os.write(terminal, answers.pop(0).encode())
                continue
            try:
                data = os.read(terminal, 4096)
            except OSError:  # its end
                break
            said += data
            if ctrl_c_at and ctrl_c_at.encode() in said:
                os.write(terminal, b"\x03")
                ctrl_c_at = ""
    finally:
        if time.monotonic() >= end:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
    return os.waitstatus_to_exitcode(status), said.decode(errors="replace").replace("\r\n", "\n")
