"""`make web`: the folder's page in a headless Chromium, which flashes a virtual board and sets its WiFi with ESP Web
Tools; the firmware's Improv with Improv's own client under node."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from conftest import ENV, PATIENCE_S, tool, until
from serial_bridge import SerialBridge

from host_tests.mosqlog.browser import Browser, chromium
from tools.broker import Broker, BrokerError
from tools.demo.watch import Watcher
from tools.device.chips import MIB
from tools.device.config import shown
from tools.device.serial_port import ToolError
from tools.device.web import for_many
from tools.virtual_board.nor_flash import NorFlash

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache" / "web"
NETWORK, PASSWORD, SECRET = "café at the lab", "12345678", "geheim-wort-7"
STAMP = CACHE / "stamp"
MISSING = STAMP.read_text() if STAMP.exists() else "`python3 tools/setup/get.py web` was not run"
needs_web_tools = pytest.mark.skipif(not list(CACHE.glob("*/sha256")), reason="no ESP Web Tools: " + MISSING)
needs_node = pytest.mark.skipif(not shutil.which("node"), reason="no node: `apt install nodejs`")
needs_chromium = pytest.mark.skipif(not chromium(), reason="no Chromium: `make extras` gets one")
# What a user does in the dialog of ESP Web Tools: press what bears these words, if it is there already.
PRESS = """(words => {
    const dialog = document.querySelector('ewt-install-dialog');
    const buttons = [...dialog?.shadowRoot.querySelectorAll('ew-list-item, ew-text-button') ?? []];
    const found = buttons.find(each => each.textContent.trim().startsWith(words));
    found?.click();
    return !!found;
})(%s)"""
CHOOSE = """(name => {
    const networks = document.querySelector('ewt-install-dialog').shadowRoot.querySelector('ew-filled-select');
    networks?.select(name);
    networks?.dispatchEvent(new Event('change'));
    return networks?.value == name;
})(%s)"""
ADAPTER = """import('/serial/web_serial.mjs').then(({ BridgedPort }) => {
    const port = new BridgedPort(location.origin);
    navigator.serial.requestPort = async () => port;
})"""


@pytest.fixture(scope="module")
def page(images, tmp_path_factory):
    """(the folder that `make web` made for both chips, the broker that it names)."""
    out = tmp_path_factory.mktemp("web") / "out"
    firmware = "%s %s" % (images["esp32"], images["esp8266"])
    try:
        with Broker(out.parent) as broker:
            env = {"UMQTT_BROKER": "127.0.0.1", "UMQTT_PORT": str(broker.port), "UMQTT_INTERVAL_S": "0.5",
                   "UMQTT_NTP_HOST": "", "UMQTT_WIFI_SSID": "mine", "UMQTT_WIFI_PASSWORD": SECRET}  # fmt: skip
            done = tool("web", "--firmware", firmware, "--output", str(out), env=env)
            assert done.returncode == 0, done.stdout
            yield out, broker
    except BrokerError as error:
        pytest.skip("no broker: %s; `make setup` gets Mosquitto" % error)


def in_reach(tmp_path):
    """The options of a board that has two networks in reach. --raw-output: what Improv writes is binary."""
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"wifi": {NETWORK: PASSWORD, "next door": "87654321"}}))
    return ("--raw-output", "--script", str(script))


@needs_web_tools
def test_the_folder_has_an_image_for_each_chip_and_no_wifi(page):
    folder, _ = page
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [build["chipFamily"] for build in manifest["builds"]] == ["ESP32", "ESP8266"]
    for build in manifest["builds"]:
        (part,) = build["parts"]
        image = (folder / part["path"]).read_bytes()
        assert part["offset"] == 0 and b"127.0.0.1" in image
        assert b'"wifi_ssid":' not in image and SECRET.encode() not in image
    assert "Apache License" in (folder / "esp-web-tools" / "LICENSE").read_text()


@needs_web_tools
def test_what_is_of_one_board_or_secret_is_refused_and_the_old_folder_stays(images, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "index.html").write_text("old")
    arguments = ["web", "--firmware", str(images["esp32"]), "--output", str(tmp_path / "out")]
    login = {"UMQTT_BROKER": "b", "UMQTT_USER": "me", "UMQTT_PASSWORD": SECRET}
    for env, words in (
        ({"UMQTT_BROKER": "b", "UMQTT_CLIENT_ID": "kitchen"}, "client_id: of one board"),
        (login, "password: whoever can load the page can read it"),
        ({}, "broker is missing"),
        ({"UMQTT_BROKER": "b", "UMQTT_QOS": "7"}, "qos is 7"),
    ):
        done = tool(*arguments, env=env)
        assert done.returncode == 1 and words in done.stdout and SECRET not in done.stdout, done.stdout
        assert (tmp_path / "out" / "index.html").read_text() == "old"
    done = tool(*arguments, "--with-secrets", env=login)
    assert done.returncode == 0 and "old" not in (tmp_path / "out" / "index.html").read_text(), done.stdout
    assert SECRET.encode() in (tmp_path / "out" / "esp32.bin").read_bytes()


def test_what_a_driver_of_ones_own_calls_a_token_or_a_key_is_for_no_page_and_no_terminal():
    sensors = [{"type": "internal"}, {"type": "mine", "token": SECRET, "login": {"apiKey": SECRET}}]
    config = {"broker": "b", "sensors": sensors}
    with pytest.raises(ToolError) as refused:
        for_many(config, False)
    assert str(refused.value).startswith("sensors[1]: whoever can load the page can read it")
    assert for_many(config, True)["sensors"] == sensors
    lines = shown(config)
    assert SECRET not in "".join(lines) and '"type": "mine"' in "".join(lines), lines


@needs_node
@needs_web_tools
@pytest.mark.parametrize("chip", ["esp32", "esp8266"])
def test_improvs_own_client_sets_the_wifi_of_a_board_from_its_first_moment_on(chip, page, boards, tmp_path):
    folder, _ = page
    (tmp_path / "a").mkdir()
    flash = NorFlash(str(tmp_path / "a" / "flash"), 4 * MIB)
    flash.program(0, (folder / (chip + ".bin")).read_bytes())
    flash.close()
    board = boards(chip, *in_reach(tmp_path))
    sdk = next(CACHE.glob("improv-wifi-serial-sdk-*"))
    with SerialBridge(board.port, folder) as bridge:
        done = subprocess.run(
            ["node", str(HERE / "improv_client.mjs"), str(sdk), bridge.address, NETWORK, PASSWORD],
            capture_output=True, text=True, timeout=PATIENCE_S, env=ENV,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    learned = json.loads(done.stdout)
    assert learned["info"]["firmware"] == learned["info"]["name"] == "umqtt-node"
    assert learned["info"]["chipFamily"] == chip.upper()
    names = [network["name"] for network in learned["networks"]]
    assert sorted(names) == sorted([NETWORK, "next door", "other"]), "its client has an order of its own"
    assert learned["refused"] == "UNABLE_TO_CONNECT"
    states = [learned[when] for when in ("state", "afterRefused", "afterwards")]
    assert states == [2, 2, 4], "ready, ready again, provisioned"
    assert learned["errors"] == []
    assert board.wait_log("the program resets the board")


@needs_chromium
@needs_web_tools
def test_a_browser_flashes_a_blank_board_and_sets_its_wifi_and_readings_arrive(page, boards, tmp_path):
    folder, broker = page
    board = boards("esp32", "--rfc2217", *in_reach(tmp_path))
    watching, bridged = Watcher(broker.port), SerialBridge(board.port, folder)
    with watching as watcher, bridged as bridge, Browser(tmp_path, 900) as browser:
        browser.open(bridge.address + "/")
        assert browser.errors == [], "the page itself complains of nothing, its Content-Security-Policy included"
        browser.run(ADAPTER)
        browser.run("document.querySelector('esp-web-install-button button').click()")
        for words in ("Install umqtt-node", "Install", "Next"):
            wait_until(browser, PRESS % json.dumps(words))
        wait_until(browser, CHOOSE % json.dumps(NETWORK))
        password = "document.querySelector('ewt-install-dialog').shadowRoot.querySelector('[name=password]')"
        wait_until(browser, "!!%s" % password)
        browser.run("%s.value = %s" % (password, json.dumps(PASSWORD)))
        wait_until(browser, PRESS % json.dumps("Connect"))
        shown = "document.querySelector('ewt-install-dialog').shadowRoot.querySelector('ewt-page-message')?.label"
        wait_until(browser, shown + " == 'Device connected to the network!'")
        assert until(watcher, lambda reading: reading.sensor.startswith("internal"))
    assert any("rts" in signals for signals in bridge.signals), "it was reset by its lines"


def wait_until(browser, expression):
    end = time.monotonic() + PATIENCE_S
    while not browser.run(expression):
        assert time.monotonic() < end, (expression, browser.errors)
        time.sleep(0.05)
