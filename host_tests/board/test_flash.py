"""`make flash` and the stock esptool 4 and 5 against virtual boards; cables pulled, wrong images, no board."""

import fcntl
import functools
import hashlib
import http.server
import os
import re
import ssl
import subprocess
import sys
import threading
import types

import pytest
from conftest import ROOT, mpremote, run, tool

from tools.device.chips import CHIPS, MIB, with_esp8266_flash
from tools.device.flash import DIGESTS, NEWEST, RELEASES, check_image, fetch, image_chip, variant
from tools.device.serial_port import ToolError
from tools.virtual_board import fake_image

OLDER = "esptool==4.12.0"  # the last line for Python 3.9, where it is the pinned one


@pytest.fixture(scope="session")
def esptool4():
    """A Python that has esptool 4, in .cache."""
    folder = ROOT / ".cache" / "esptool4"
    python = folder / "bin" / "python"
    folder.parent.mkdir(exist_ok=True)
    with open(folder.parent / "esptool4.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if run(str(python) if python.exists() else "false", "-m", "esptool", "version").returncode:
            made = run(sys.executable, "-m", "venv", "--clear", str(folder))
            if made.returncode == 0:
                made = run(str(python), "-m", "pip", "-q", "install", OLDER, timeout_s=300)
            if made.returncode:
                pytest.skip("esptool 4 cannot be installed: " + made.stdout.strip()[-200:])
    return str(python)


@pytest.fixture(params=["the pinned esptool", "esptool 4"])
def python(request):
    return sys.executable if request.param == "the pinned esptool" else request.getfixturevalue("esptool4")


@pytest.mark.parametrize("chip", ["esp32", "esp8266"])
def test_a_blank_board_is_flashed_and_starts(boards, images, chip, python):
    board = boards(chip)
    assert board.wait_log("there is no program")
    done = tool("flash", "--port", board.port, "--firmware", str(images[chip]), "--python", python)
    assert done.returncode == 0, done.stdout
    assert "%s with 4 MiB" % CHIPS[chip].label in done.stdout and "Hash of data verified" in done.stdout
    data = images[chip].read_bytes()
    if chip == "esp8266":  # it has no other way to know how much flash it has
        data = with_esp8266_flash(data, 4 * MIB)
    at = CHIPS[chip].image_offset
    flash = board.flash.read_bytes()
    assert flash[at : at + len(data)] == data
    assert flash[at + len(data) :].strip(b"\xff") == b""
    assert mpremote(board, "eval", "6*7").stdout.strip() == "42"


def test_stock_esptool_reads_verifies_and_erases_without_the_stub_too(boards, images, tmp_path):
    board = boards("esp32")
    esptool = functools.partial(run, sys.executable, "-m", "esptool", "--port", board.port)
    image = str(images["esp32"])
    done = esptool("--no-stub", "write_flash", "0x1000", image)
    assert "Hash of data verified" in done.stdout, done.stdout
    done = esptool("verify_flash", "0x1000", image)
    assert done.returncode == 0 and re.search("verify OK|Verification successful", done.stdout), done.stdout
    done = esptool("read_flash", "0x1000", "8192", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == images["esp32"].read_bytes()[:8192], done.stdout
    done = esptool("erase_region", "0x1000", "0x1000")
    assert board.flash.read_bytes()[0x1000:0x2000] == b"\xff" * 4096, done.stdout
    done = esptool("verify_flash", "0x1000", image)
    assert done.returncode and "failed" in done.stdout.lower()


def test_over_rfc2217_esptool_resets_the_board_itself(boards, images):
    board = boards("esp32", "--rfc2217")
    assert board.port.startswith("rfc2217://127.0.0.1:")
    done = run(sys.executable, "-m", "esptool", "--port", board.port, "write_flash", "0x1000", str(images["esp32"]))
    assert done.returncode == 0 and "NOT reset" not in done.stdout, done.stdout
    log = board.log.read_text()
    assert log.index("reset into the ROM's loader") < log.index("MicroPython starts")
    cause = mpremote(board, "resume", "exec", "import machine; print(machine.reset_cause())")
    assert cause.stdout.strip() == "2", cause.stdout  # the EN pin


def test_the_wrong_image_changes_nothing(boards, images):
    board = boards("esp32")
    done = tool("flash", "--port", board.port, "--firmware", str(images["esp8266"]))
    assert done.returncode == 1
    assert "wrong image: it is for ESP8266, the chip is ESP32" in done.stdout
    assert board.flash.read_bytes().strip(b"\xff") == b""


def test_the_wrong_chip_changes_nothing(boards, images):
    board = boards("esp8266")
    done = tool("flash", "--port", board.port, "--firmware", str(images["esp32"]), "--board", "esp32")
    assert done.returncode == 1 and "BOARD=esp32, but the chip" in done.stdout
    assert board.flash.read_bytes().strip(b"\xff") == b""


@pytest.mark.parametrize("chip", ["esp32", "esp8266"])
def test_every_kind_of_damage_to_an_image_is_seen(images, chip):
    good = images[chip].read_bytes()
    check_image(good, CHIPS[chip])
    assert image_chip(good) == chip
    for length_b in (0, 100, len(good) // 2, len(good) - 1):
        with pytest.raises(ToolError):
            check_image(good[:length_b], CHIPS[chip])
    for at in (0x20, len(good) - 500, len(good) - 3):
        bad = bytearray(good)
        bad[at] ^= 1
        with pytest.raises(ToolError, match="not (whole|intact)"):
            check_image(bytes(bad), CHIPS[chip])
    with pytest.raises(ToolError, match="no image for an ESP chip"):
        check_image(b"<html>" * 1000, CHIPS[chip])


@pytest.mark.parametrize("chip", ["esp32", "esp8266"])
def test_a_cable_pulled_while_flashing_is_told_and_the_next_run_mends_it(boards, tmp_path, chip):
    fake_image.build(chip, tmp_path / "image.bin", code_b=96 * 1024)
    board = boards(chip, "--unplug-after", "70000")
    flash = ("flash", "--port", board.port, "--firmware", str(tmp_path / "image.bin"))
    done = tool(*flash)
    assert done.returncode == 1 and board.ended()
    assert "run this again" in done.stdout and "Traceback" not in done.stdout, done.stdout
    assert "went away" in done.stdout or "serial exception" in done.stdout.lower(), done.stdout
    written = board.flash.read_bytes().strip(b"\xff")
    assert written and not written.endswith((tmp_path / "image.bin").read_bytes()[-100:])  # in the middle
    board = boards(chip)
    assert tool(*flash).returncode == 0
    assert mpremote(board, "eval", "6*7").stdout.strip() == "42"


def test_files_are_kept_when_asked_for(flashed, images):
    board = flashed("esp32")
    mpremote(board, "exec", "open('mine', 'w').close()")
    flash = ("flash", "--port", board.port, "--firmware", str(images["esp32"]))
    assert tool(*flash, "--keep-files").returncode == 0
    assert "mine" in mpremote(board, "fs", "ls").stdout
    assert tool(*flash).returncode == 0
    assert "mine" not in mpremote(board, "fs", "ls").stdout


def test_ports_and_files_that_are_none_are_told_in_words(boards, tmp_path, images):
    flash = functools.partial(tool, "flash", "--firmware", str(images["esp32"]), "--port")
    done = flash(str(tmp_path / "nothing"))
    assert done.returncode == 2 and "there is no port" in done.stdout
    (tmp_path / "file").write_text("")
    done = flash(str(tmp_path / "file"))
    assert done.returncode == 2 and "is not a serial port" in done.stdout
    done = tool("flash", "--firmware", "README.md", "--port", boards("esp32").port)
    assert done.returncode == 1 and "no image for an ESP chip" in done.stdout, done.stdout
    done = tool("flash", "--firmware", str(tmp_path / "x.bin"), "--port", "/dev/null")
    assert done.returncode == 2 and "there is no file" in done.stdout
    for name in ("flash", "deploy", "config", "logs", "image", "mip"):
        done = tool(name, "--help")
        assert done.returncode == 0 and len(done.stdout) > 300
        assert "usage: make %s" % name in done.stdout and "Exit status: 0" in done.stdout


def test_a_port_without_permission_names_the_group(boards):
    real = os.path.realpath(boards("esp32").port)
    os.chmod(real, 0)
    code = "import os\nfrom tools.device import serial_port\nos.geteuid() or os.setuid(65534)\n"
    code += "serial_port.run_tool('flash', lambda: serial_port.choose(%r))"
    done = run(sys.executable, "-c", code % real)
    assert done.returncode == 2 and "usermod -aG" in done.stdout and "log out" in done.stdout, done.stdout


def test_no_permission_in_words():
    from tools.device.serial_port import no_permission

    assert "sudo usermod -aG" in no_permission("/dev/null") and "log out" in no_permission("/dev/null")


def test_a_port_in_use_is_told(flashed, images):
    board = flashed("esp32")
    code = "import serial, time; s = serial.Serial(%r, exclusive=True); print('open', flush=True); time.sleep(600)"
    holder = subprocess.Popen([sys.executable, "-c", code % board.port], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"open\n"
        for command in (("deploy",), ("logs",), ("flash", "--firmware", str(images["esp32"]))):
            done = tool(command[0], "--port", board.port, *command[1:])
            assert done.returncode == 1 and "in use by another program" in done.stdout, done.stdout
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_a_board_that_does_not_answer_is_told(tmp_path):
    master, slave = os.openpty()
    try:
        done = tool("flash", "--port", os.ttyname(slave), "--firmware", "1.26.1", env={"ESPTOOL_CFGFILE": os.devnull})
        assert done.returncode == 1 and "Hold its BOOT" in done.stdout, done.stdout
    finally:
        os.close(master)
        os.close(slave)


class Site(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def site(tmp_path, images):
    """A download site with the one image, and one that is damaged."""
    folder = tmp_path / "site" / "resources" / "firmware"
    folder.mkdir(parents=True)
    image = images["esp32"].read_bytes()
    for version, data in (("1.26.1", image), ("1.25.0", image[:-100])):
        (folder / ("ESP32_GENERIC-%s-v%s.bin" % (RELEASES[version], version))).write_bytes(data)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Site, directory=str(tmp_path / "site"))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield "http://127.0.0.1:%d" % server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_esp8266_gets_the_image_that_has_a_rom_partition():
    assert variant(CHIPS["esp8266"], "1.26.1", 4 * MIB) == "ESP8266_GENERIC-FLASH_2M_ROMFS"
    assert variant(CHIPS["esp8266"], "1.26.1", 0) == "ESP8266_GENERIC-FLASH_2M_ROMFS"  # esptool did not say
    assert variant(CHIPS["esp8266"], "1.24.1", 4 * MIB) == "ESP8266_GENERIC"  # there was none yet
    assert variant(CHIPS["esp8266"], "1.26.1", MIB) == "ESP8266_GENERIC-FLASH_1M"
    assert variant(CHIPS["esp32"], "1.26.1", MIB) == "ESP32_GENERIC"


def test_an_image_that_the_firmware_does_not_fit_is_flashed_but_told(boards, images):
    done = tool("flash", "--port", boards("esp8266").port, "--firmware", str(images["esp8266 without ROM"]))
    assert done.returncode == 0 and "note: this MicroPython has no ROM partition" in done.stdout, done.stdout


def test_a_release_is_fetched_checked_and_kept(site, images, tmp_path, capsys):
    chip = CHIPS["esp32"]
    assert "ESP32_GENERIC-%s-v1.26.1.bin" % RELEASES["1.26.1"] not in DIGESTS  # else this site could not serve it
    fetch(chip, "1.26.1", 0, site, "", tmp_path / "unknown")
    assert "no SHA-256 of ESP32_GENERIC-20250911-v1.26.1.bin is known here" in capsys.readouterr().out
    digest = hashlib.sha256(images["esp32"].read_bytes()).hexdigest()
    path = fetch(chip, "1.26.1", 0, site, digest, tmp_path / "cache")
    assert path.read_bytes() == images["esp32"].read_bytes()
    assert fetch(chip, "1.26.1", 0, "http://127.0.0.1:9", "", tmp_path / "cache") == path  # no second time
    with pytest.raises(ToolError, match="has the SHA-256.*removed it"):
        fetch(chip, "1.26.1", 0, site, "0" * 64, tmp_path / "cache")
    assert not path.exists()
    with pytest.raises(ToolError, match="has the SHA-256"):
        fetch(chip, "1.26.1", 0, site, "0" * 64, tmp_path / "cache")
    path.write_bytes(images["esp32"].read_bytes()[:-1])  # of a disk that failed
    with pytest.raises(ToolError, match="not whole.*removed it"):
        fetch(chip, "1.26.1", 0, site, "", tmp_path / "cache")
    with pytest.raises(ToolError, match="not whole"):
        fetch(chip, "1.25.0", 0, site, "", tmp_path / "cache")
    with pytest.raises(ToolError, match="cannot fetch"):
        fetch(chip, "1.24.1", 0, site, "", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_image_whose_digest_is_pinned_is_known_by_it(site, images, tmp_path, monkeypatch, capsys):
    chip, name = CHIPS["esp32"], "ESP32_GENERIC-%s-v1.26.1.bin" % RELEASES["1.26.1"]
    monkeypatch.setitem(DIGESTS, name, "f" * 64)
    with pytest.raises(ToolError, match="not f{64}: this is not the image that it should be"):
        fetch(chip, "1.26.1", 0, site, "", tmp_path / "cache")
    monkeypatch.setitem(DIGESTS, name, hashlib.sha256(images["esp32"].read_bytes()).hexdigest())
    assert fetch(chip, "1.26.1", 0, site, "", tmp_path / "cache").exists()
    assert "as it must be" in capsys.readouterr().out


def test_every_pinned_digest_is_of_a_release_that_is_fetched():
    names = {"%s-%s-v%s.bin" % (variant(chip, version, 4 * MIB), date, version)
             for chip in CHIPS.values() for version, date in RELEASES.items()}  # fmt: skip
    assert set(DIGESTS) <= names and all(re.fullmatch("[0-9a-f]{64}", digest) for digest in DIGESTS.values())
    assert list(RELEASES)[0].startswith("1.22.") and list(RELEASES)[-1] == NEWEST


@pytest.fixture
def secure_site(site, tmp_path, monkeypatch):
    """An https server, trusted here, that redirects what it is asked for to the address in `target`."""
    from test_config_tls import HERE, Authority

    authority = Authority("the site's CA")
    authority.issue(tmp_path, HERE)
    (tmp_path / "ca.pem").write_bytes(authority.pem())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    target = [site]

    class Redirects(Site):
        def do_GET(self):  # noqa: N802 - http.server's name
            if target[0]:
                self.send_response(302)
                self.send_header("Location", target[0] + self.path)
                self.end_headers()
            else:
                super().do_GET()

    folder = str(tmp_path / "site")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Redirects, directory=folder))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "broker.pem", tmp_path / "broker.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield "https://127.0.0.1:%d" % server.server_port, target
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_redirect_from_https_to_plain_http_is_not_followed(secure_site, tmp_path):
    url, target = secure_site
    with pytest.raises(ToolError, match="sends us on to http://127.0.0.1.*which is not https"):
        fetch(CHIPS["esp32"], "1.26.1", 0, url, "", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    target[0] = ""
    assert fetch(CHIPS["esp32"], "1.26.1", 0, url, "", tmp_path / "cache").exists()


def test_plain_http_is_asked_for_nothing_that_could_not_be_known_again(tmp_path):
    with pytest.raises(ToolError, match="plain http, and no SHA-256"):
        fetch(CHIPS["esp32"], "1.26.1", 0, "http://mirror.example", "", tmp_path / "cache")


def test_the_port_is_found_when_there_is_one_board(monkeypatch):
    from tools.device import serial_port

    def plugged(*rows):
        monkeypatch.setattr(
            serial_port,
            "comports",
            lambda: [types.SimpleNamespace(device=device, vid=vendor) for device, vendor in rows],
        )

    plugged(("/dev/ttyUSB0", 0x10C4), ("/dev/ttyS0", None), ("/dev/ttyACM3", 0x1234))
    assert serial_port.choose("") == "/dev/ttyUSB0"
    plugged(("/dev/ttyUSB1", 0x1A86), ("/dev/ttyUSB0", 0x10C4))
    with pytest.raises(ToolError, match="several boards: /dev/ttyUSB0, /dev/ttyUSB1") as caught:
        serial_port.choose("")
    assert caught.value.status == 2
    with pytest.raises(ToolError, match="no port /dev/ttyNO. There is /dev/ttyUSB0, /dev/ttyUSB1"):
        serial_port.choose("/dev/ttyNO")
    plugged(("/dev/ttyS0", None))
    with pytest.raises(ToolError, match="no board found.*make board"):
        serial_port.choose("")
