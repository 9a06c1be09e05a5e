"""A configuration that the board will refuse is refused here, before it is written, with a status that says so."""

import json

import pytest
from conftest import ROOT, mpremote, tool

GOOD = {"wifi_ssid": "net", "broker": "10.0.0.1"}
EXAMPLE = json.loads((ROOT / "firmware" / "config.example.json").read_text())
# What a file may hold that passes as JSON, and what must be said of it.
REFUSED = [
    ({"sensors": [{"type": "dth22", "pin": 4}]}, 'dth22", which there is not; the closest is dht22'),
    ({"sensors": [{"type": "../app"}]}, "../app"),
    ({"sensors": [{"type": "internal"}, {"type": "dht22"}]}, "type dht22: pin is missing; needed is the GPIO"),
    ({"sensors": [{"type": "adc", "pin": 34, "ratio": "2"}]}, 'ratio is "2" (a text); needed is a number from 0.001'),
    ({"sensors": [{"type": "ds18b20", "pin": 5, "rom": "28ff"}]}, "rom is '28ff'"),
    ({"sensors": [{"type": "adc", "pin": 99}]}, "pin is 99; needed is a GPIO that an ESP32 can use so"),
    ({"sensors": "internal"}, "a list of 1 to 16"),
    ({"wifi_ssid": EXAMPLE["wifi_ssid"]}, "as in the example"),
    ({"wifi_password": EXAMPLE["wifi_password"]}, "as in the example"),
    ({"tls": True, "tls_ca": "ca.der"}, "ca.der"),
]


@pytest.mark.parametrize(("more", "words"), REFUSED)
def test_what_the_board_would_refuse_is_refused_for_an_image_and_nothing_is_written(images, tmp_path, more, words):
    (tmp_path / "c.json").write_text(json.dumps({**GOOD, **more}))
    out = tmp_path / "out"
    done = tool("config", "--file", str(tmp_path / "c.json"), "--output", str(out))
    assert done.returncode in (1, 2) and words in done.stdout and not out.exists(), done.stdout
    done = tool("image", "--config", str(tmp_path / "c.json"), "--firmware", str(images["esp32"]), "--output", str(out))
    assert done.returncode in (1, 2) and words in done.stdout and not out.exists(), done.stdout


def test_what_the_board_would_refuse_is_refused_and_the_board_keeps_what_it_has(flashed, tmp_path):
    board = flashed("esp32")
    (tmp_path / "c.json").write_text(json.dumps(GOOD))
    assert tool("config", "--port", board.port, "--file", str(tmp_path / "c.json")).returncode == 0
    before = mpremote(board, "fs", "cat", ":config.json").stdout
    for more, words in (REFUSED[0], REFUSED[-1]):
        (tmp_path / "c.json").write_text(json.dumps({**GOOD, **more}))
        done = tool("config", "--port", board.port, "--file", str(tmp_path / "c.json"))
        assert done.returncode == 1 and words in done.stdout, done.stdout
    assert mpremote(board, "fs", "cat", ":config.json").stdout == before


def test_a_damaged_pem_on_the_board_is_told(flashed, tmp_path):
    board = flashed("esp32")
    mpremote(board, "exec", "with open('ca.der', 'w') as f: f.write('-----BEGIN CERTIFICATE-----\\nMII\\n-----END "
                            "CERTIFICATE-----\\n')")  # fmt: skip
    (tmp_path / "c.json").write_text(json.dumps({**GOOD, "tls": True, "tls_ca": "ca.der"}))
    done = tool("config", "--port", board.port, "--file", str(tmp_path / "c.json"))
    assert done.returncode == 1 and "ca.der on the board is no certificate" in done.stdout, done.stdout


def test_a_firmware_on_the_board_that_refuses_it_is_believed(flashed, tmp_path):
    # an older one, which knows less keys
    board = flashed("esp32")
    (tmp_path / "main.py").write_text("print('config.json: queue_kb is not a key; the closest is queue')\n")
    for path in (tmp_path / "main.py", tmp_path / "app.mpy"):
        path.touch()
        assert mpremote(board, "fs", "cp", str(path), ":" + path.name).returncode == 0
    (tmp_path / "c.json").write_text(json.dumps(GOOD))
    done = tool("config", "--port", board.port, "--file", str(tmp_path / "c.json"))
    assert done.returncode == 1 and "the firmware there refuses it" in done.stdout, done.stdout
    assert "queue_kb is not a key" in done.stdout and "make deploy" in done.stdout, done.stdout
