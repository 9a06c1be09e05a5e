"""`make run WEB=1`: the page shows what arrives, its buttons make trouble, and nobody else's do."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from host_tests.mosqlog.browser import Browser, chromium
from tools import broker as brokers
from tools.broker import Broker
from tools.demo.cuttable_link import Link
from tools.demo.watch import Reading, Tally, Watcher
from tools.demo.web import FOLDER, Page

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 240  # only what hangs takes so long
needs_mosquitto = pytest.mark.skipif(not brokers.mosquitto(), reason="no Mosquitto: `make setup` gets one")


@pytest.fixture
def page():
    pressed = []
    with Page(["stop-broker"], pressed.append) as page:
        page.pressed = pressed
        yield page


def ask(page, method, path, host=None, token=None):
    """(status, headers, body)."""
    port = page.server.server_port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    headers = {"Host": host or "127.0.0.1:%d" % port, **({"X-Token": token} if token else {})}
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    got = answer.status, dict(answer.headers), answer.read() if path != "/events" else answer.readline()
    connection.close()
    return got


def test_only_the_pages_own_buttons_do_something(page):
    assert ask(page, "POST", "/stop-broker")[0] == 403
    assert ask(page, "POST", "/stop-broker", token="0" * 32)[0] == 403
    assert ask(page, "POST", "/stop-broker", host="evil.example", token=page.token)[0] == 403
    assert ask(page, "POST", "/format-disk", token=page.token)[0] == 404
    assert page.pressed == []
    assert ask(page, "POST", "/stop-broker", token=page.token)[0] == 204
    assert page.pressed == ["stop-broker"]


def test_the_page_is_told_to_nobody_who_comes_by_another_name(page):
    for path in ("/", "/events", "/page.js"):
        status, _, body = ask(page, "GET", path, host="evil.example")
        assert status == 403 and page.token.encode() not in body
    assert ask(page, "GET", "/../run.py")[0] == ask(page, "GET", "/page.js/../../run.py")[0] == 404
    assert page.server.server_address[0] == "127.0.0.1"


def test_nothing_on_the_page_comes_from_elsewhere(page):
    for path in ("/", "/page.js", "/page.css"):
        status, headers, body = ask(page, "GET", path)
        assert status == 200 and "default-src 'none'" in headers["Content-Security-Policy"]
        addresses = set(re.findall(rb"https?://[^\"'` ]+", body)) - {b"http://www.w3.org/2000/svg"}
        assert not addresses and b"unsafe-inline" not in headers["Content-Security-Policy"].encode()
    assert sorted(p.name for p in FOLDER.iterdir()) == ["index.html", "page.css", "page.js"]


def test_a_page_that_is_opened_late_hears_what_came_before_and_one_that_returns_only_what_it_missed(page):
    for number in range(3):
        page.line("line %d" % number)
    late, returned = page.subscribe(0), page.subscribe(2)
    page.line("line 3")
    assert [json.loads(late.get_nowait()[1])["text"][-1] for _ in range(4)] == list("0123")
    assert [json.loads(returned.get_nowait()[1])["text"][-1] for _ in range(2)] == list("23")
    assert ask(page, "GET", "/events")[2] == b"id: 1\n"


def test_what_a_later_reading_overtook_is_lost_only_when_it_stays_away():
    tally = Tally()

    def add(seq, at_s):
        tally.add(Reading("x", 1, "", seq, None, at_s, 2))

    add(1, 100)
    add(4, 101)
    assert tally.lost_so_far(102) == 0 and tally.lost_so_far(112) == 2
    add(2, 113)
    assert tally.lost_so_far(114) == 1 and tally.repeated == 0


@needs_mosquitto
def test_a_cut_link_is_reset_and_refused_until_it_is_mended(tmp_path):
    with Broker(tmp_path) as broker, Link(broker.port) as link, Watcher(link.port) as watcher:
        gone, back = threading.Event(), threading.Event()
        watcher.client.on_disconnect = lambda *_: gone.set()
        watcher.client.on_connect = lambda *_: back.set()
        link.cut()
        assert gone.wait(TIMEOUT_S) and not back.wait(2)
        link.mend()
        assert back.wait(TIMEOUT_S)


@needs_mosquitto
def test_a_broker_that_is_stopped_keeps_what_it_has_for_who_subscribed(tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    with Broker(folder, keeps=True) as broker:
        with Watcher(broker.port, keeps_session=True):
            pass
        other = paho.Client(paho.CallbackAPIVersion.VERSION2, "other")
        other.connect("127.0.0.1", broker.port)
        other.loop_start()
        other.publish("umqtt/host/a/b", b'{"value":1,"unit":"","time":1,"seq":1}', qos=2).wait_for_publish(TIMEOUT_S)
        other.disconnect()
        other.loop_stop()
        broker.stop()
        broker.start_again()
        with Watcher(broker.port, keeps_session=True) as watcher:
            assert watcher.readings.get(timeout=TIMEOUT_S).sensor == "a/b"


@pytest.fixture
def browser(tmp_path):
    if not chromium():
        pytest.skip("no Chromium here: `make extras` gets one")
    with Browser(tmp_path / "browser", 1100) as browser:
        yield browser


def wait_for(browser, condition, words):
    """Until the expression is true in the page."""
    end_s = time.monotonic() + TIMEOUT_S
    while not browser.run(condition):
        assert time.monotonic() < end_s, "%s\n%s" % (words, browser.run("document.body.innerText"))
        time.sleep(0.1)


def text(name):
    return "document.getElementById('%s').textContent" % name


@needs_mosquitto
def test_in_a_browser_a_stopped_broker_and_a_cut_link_lose_nothing(browser, tmp_path):
    (tmp_path / "tmp").mkdir()
    env = dict(os.environ, TMPDIR=str(tmp_path / "tmp"))
    command = [sys.executable, "-m", "tools.demo.run", "--readings", "0", "--web", "--interval", "0.3"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as started:
        try:
            said = []
            while not said or "The page is" not in said[-1]:
                said.append(started.stdout.readline())
                assert said[-1], "".join(said)
            reader = threading.Thread(target=lambda: said.extend(started.stdout), daemon=True)
            reader.start()
            browser.open(said[-1].split()[3])
            wait_for(browser, text("state") + " == 'well' && document.querySelectorAll('.sensor polyline').length == 8",
                     "eight lines")  # fmt: skip
            for button, on in (("broker", "Start the broker"), ("link", "Mend the link")):
                browser.run("document.getElementById('%s').click()" % button)
                wait_for(browser, "%s == '%s'" % (text(button), on), "trouble is shown")
                wait_for(browser, text("state") + " == 'in trouble'", "trouble is told")
                time.sleep(4)  # readings that wait for so long are shaded
                received = int(browser.run(text("received")))
                browser.run("document.getElementById('%s').click()" % button)
                wait_for(browser, "Number(%s) > %d" % (text("received"), received + 7), "readings go on")
                wait_for(browser, text("state") + " == 'well'", "all is well again")
            assert browser.run("document.querySelectorAll('.sensor rect').length") > 0  # those that waited
            started.send_signal(signal.SIGINT)
            wait_for(browser, text("state") + " == 'ended'", "the end is told")
            assert browser.run("[%s, %s]" % (text("lost"), text("repeated"))) == ["0", "0"]
            assert started.wait(TIMEOUT_S) == 0
            reader.join(TIMEOUT_S)
        finally:
            started.kill()
    assert " 0 lost, 0 repeated\n" in "".join(said), "".join(said)
    assert [e for e in browser.errors if "ERR_CONNECTION" not in e and "ERR_INCOMPLETE" not in e] == []
