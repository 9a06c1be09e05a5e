"""The HTML report: sound by itself, and looked at in a headless browser."""

import json
import re
import shutil
import subprocess
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tools.mosqlog import html
from tools.mosqlog.analyse import SEQUENCE, Analyser
from tools.mosqlog.parse import Parser

LOGS = Path(__file__).parent / "logs"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="mosqlog-") as name:
        yield Path(name)


def report(folder, lines):
    analyser, parser = Analyser(sequence=SEQUENCE), Parser()
    for line in lines:
        analyser.feed(parser.parse(line))
    analyser.finish()
    html.write(analyser, ["mosquitto.log"], str(folder / "report.html"))
    return (folder / "report.html").read_text(encoding="utf-8")


def real(folder):
    return report(folder, (LOGS / "mosquitto-2.0.21.log").open("rb"))


class Nesting(HTMLParser):
    """Fails on an end tag that does not close the tag opened last."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], ""

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in ("br", "meta", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open[-3:], self.getpos())
        self.open.pop()

    def handle_data(self, data):
        self.text += data


def parsed(page):
    parser = Nesting()
    parser.feed(page)
    assert parser.open == []
    return parser


def test_every_tag_is_closed_and_nothing_is_loaded(folder):
    page = real(folder)
    seen = parsed(page)
    for tag, attributes in seen.seen:
        assert tag not in ("link", "img", "iframe", "object", "base"), tag
        assert "src" not in attributes
        assert not attributes.get("href", "#").startswith(("http", "//"))
    assert "url(" not in page and "@import" not in page


def test_ids_and_topics_are_text_and_never_code(folder):
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    page = report(folder, [
        f"1795348562: New client connected from 10.0.0.7:5 as {evil} (p2, c1, k60, u'{evil}').",
        f"1795348563: Received PUBLISH from {evil} (d1, q1, r0, m1, '{evil}', ... (5 bytes))",
        f"1795348564: Client {evil} disconnected: {evil}."])
    seen = parsed(page)
    assert sum(tag == "script" for tag, _ in seen.seen) == 1
    assert not any(tag == "img" or any(name.startswith("on") for name in attributes)
                   for tag, attributes in seen.seen)
    assert evil in seen.text


def test_a_log_without_times_or_clients_has_a_report_too(folder):
    assert "The log has no times" in report(folder, ["Received PINGREQ from a"])
    parsed(report(folder, []))


_LOOK = """{
const box = x => x.getBoundingClientRect();
const rows = [...document.querySelectorAll('#timeline g[data-client]')];
const svg = box(document.querySelector('#timeline'));
const find = document.getElementById('find');
find.value = 'TWIN'; find.dispatchEvent(new Event('input'));
const visible = rows.filter(x => x.style.display !== 'none').map(x => x.dataset.client);
const table = [...document.querySelectorAll('#fleet tr[data-client]')].filter(x => x.style.display !== 'none').length;
find.value = ''; find.dispatchEvent(new Event('input'));
const third = document.querySelectorAll('details')[2];
const before = third.open;
document.querySelector('#timeline a[href="#c2"]').dispatchEvent(new MouseEvent('click', {bubbles: true}));
const sequences = [...document.querySelectorAll('details[open] svg.sequence')];
const tops = rows.map(x => box(x.querySelector('text')).top);
const out = {errors: window.errors, rows: rows.length, bars: document.querySelectorAll('#timeline rect').length,
  outside: [...document.querySelectorAll('#timeline rect')].filter(
    x => box(x).left < svg.left || box(x).right > svg.right + 1 || box(x).width < 1).length,
  names_outside: rows.filter(x => box(x.querySelector('text')).left < svg.left - 1).length,
  rows_apart: tops.every((y, i) => !i || y > tops[i - 1]),
  visible, table, opened: [before, third.open], sequences: sequences.length,
  arrows: sequences.length ? sequences[0].querySelectorAll('path').length : 0,
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  height: svg.height};
document.title = JSON.stringify(out);
}"""


def looked_at(folder, width):
    page = (folder / "report.html").read_text(encoding="utf-8")
    page = page.replace("<head>", "<head><script>window.errors = []; "
                        "addEventListener('error', e => errors.push(e.message));</script>")
    page = page.replace("</body>", f"<script>{_LOOK}</script></body>")
    (folder / "looked.html").write_text(page, encoding="utf-8")
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         f"--user-data-dir={folder}/profile", f"--window-size={width},1000", "--virtual-time-budget=5000", "--dump-dom",
         (folder / "looked.html").as_uri()], capture_output=True, timeout=120)
    title = re.search(r"<title>(.*?)</title>", done.stdout.decode(), re.DOTALL)
    assert title and title[1].startswith("{"), done.stderr.decode()[-2000:]
    return json.loads(title[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))


@pytest.mark.skipif(not BROWSER, reason="no Chromium on PATH to look at the report with: apt-get install chromium")
@pytest.mark.parametrize("width", [1280, 500])
def test_the_report_is_drawn_and_works_in_a_browser(folder, width):
    real(folder)
    seen = looked_at(folder, width)
    assert seen["errors"] == []
    assert (seen["rows"], seen["bars"]) == (17, 23)      # clients and CONNECTs in the log
    assert (seen["outside"], seen["names_outside"], seen["overflow"]) == (0, 0, 0)
    assert seen["rows_apart"] and seen["height"] > 100
    assert seen["visible"] == ["twin"] and seen["table"] == 1
    assert seen["opened"] == [False, True]
    assert seen["sequences"] >= 2 and seen["arrows"] == 9
