"""A real Home Assistant, a real Mosquitto and the whole firmware on the 32-bit MicroPython. Without one of them the
tests are skipped, and say so."""

import contextlib
import shutil
import sys
from pathlib import Path

import pytest

from tools import firmware_process
from tools.broker import Broker, BrokerError
from tools.build import build
from tools.home_assistant.client import HomeAssistant, why_not

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "firmware"))  # for on_board

HEAP_KB = 56  # an ESP32's is larger


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    if why_not():
        pytest.skip(why_not())
    if not firmware_process.micropython():
        pytest.skip("no MicroPython: run `make setup`")
    folder = tmp_path_factory.mktemp("built") / "firmware"
    build(folder)
    return folder


@pytest.fixture
def broker(built, tmp_path):
    try:
        with Broker(tmp_path) as running:
            yield running
    except BrokerError as e:
        pytest.skip("no broker: %s" % e)


@pytest.fixture
def home(broker):
    with HomeAssistant(broker.port) as running:
        yield running


@pytest.fixture
def node(built, broker, tmp_path):
    """node(**config) starts one; it runs until the test ends, or until its stop()."""

    with contextlib.ExitStack() as running:

        def start(**config):
            root = tmp_path / ("node%d" % len(list(tmp_path.glob("node*")))) / "root"
            shutil.copytree(built, root)
            given = {
                "wifi_ssid": "lab", "broker": "127.0.0.1", "port": broker.port, "client_id": "n1", "interval_s": 0.5,
                "stop_pin": firmware_process.HostBoard.STOP_PIN, "ntp_host": "", "ha_prefix": "homeassistant",
                "sensors": [{"type": "internal", "name": "chip"}, {"type": "dht22", "name": "room", "pin": 4}],
            }  # fmt: skip
            board = firmware_process.HostBoard(root, {**given, **config}, HEAP_KB)
            return running.enter_context(board)

        yield start
