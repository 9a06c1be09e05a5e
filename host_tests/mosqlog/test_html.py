"""The HTML report: sound by itself, and looked at in a headless browser."""

import json
import re
import struct
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tools.mosqlog import html, strips
from tools.mosqlog.analyse import SEQUENCE, Analyser
from tools.mosqlog.cluster import Log
from tools.mosqlog.model import Client, Session
from tools.mosqlog.parse import Parser

from .browser import Browser, chromium
from .program import LOG, run

WITH_BROWSER = pytest.mark.skipif(not chromium(), reason="no Chromium to look at the report with: make extras")
FIELD = Path(__file__).parent / "field"
START = 1795348560


def analysed(lines, name=None, files=("mosquitto.log",)):
    log = Log(name, list(files), Parser(), Analyser(sequence=SEQUENCE))
    for line in lines:
        log.analyser.feed(log.parser.parse(line))
    log.analyser.finish()
    return log


def report(tmp_path, *logs):
    html.write(list(logs), str(tmp_path / "report.html"))
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def real(tmp_path):
    with open(LOG, "rb") as lines:
        return report(tmp_path, analysed(lines))


def fleet(clients):
    """A day of a fleet: a tenth of it falls out again and again, the others now and then."""
    story = []
    for i in range(clients):
        name, t = f"sensor-{i * 7919 % 1000003:08d}-in-building-{i % 40}", START + i % 600
        for j in range(60 if i % 10 == 0 else 3):
            story.append(
                (
                    t,
                    f"{t}: New client connected from 10.1.{i // 250}.{i % 250}:{20000 + j} as {name} "
                    f"(p2, c1, k60, u'fleet').",
                )
            )
            if i % 100 == 0:
                story.append(
                    (
                        t,
                        f"{t}: Received PUBLISH from {name} (d0, q1, r0, m{j + 1}, 'building/{i % 40}/sensor/"
                        f"{i}/temperature', ... (54 bytes))",
                    )
                )
            t += 20 + (i * 31 + j * 17) % (40 if i % 10 == 0 else 20000)
            story.append((t, f"{t}: Client {name} {'closed its connection' if i % 10 == 0 else 'disconnected'}."))
            t += 5
    return [line for _, line in sorted(story, key=lambda each: each[0])]


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


def test_every_tag_is_closed_and_nothing_is_loaded(tmp_path):
    page = real(tmp_path)
    for tag, attributes in parsed(page).seen:
        assert tag not in ("link", "img", "iframe", "object", "base"), tag
        assert "src" not in attributes and "style" not in attributes
        assert attributes.get("href", "#").startswith("#")
    assert not re.search(r"url\((?!#)|@import", page)


def test_only_the_reports_own_script_and_style_may_run(tmp_path):
    page = real(tmp_path)
    policy = next(
        attributes["content"]
        for tag, attributes in parsed(page).seen
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    assert page.count("<script>") == 1 and page.count("<style>") == 1


EVIL = '</script><script>window.owned = 1</script>"\'><img src=x onerror="window.owned = 2">'
EVIL_STORY = [
    f"{START}: mosquitto version 2.0.{EVIL} starting",
    f"{START}: New connection from {EVIL} on port 1883.",
    f"{START + 2}: New client connected from 10.0.0.7:5 as {EVIL} (p2, c1, k60, u'{EVIL}').",
    f"{START + 2}: Will message specified (4 bytes) (r0, q1).",
    f"{START + 2}: \t{EVIL}",
    f"{START + 2}: Received SUBSCRIBE from {EVIL}",
    f"{START + 2}: \t{EVIL} (QoS 1)",
    f"{START + 2}: {EVIL} 1 {EVIL}",
    f"{START + 3}: Received PUBLISH from {EVIL} (d1, q1, r0, m1, '{EVIL}', ... (5 bytes))",
    f"{START + 3}: Denied PUBLISH from {EVIL} (d0, q0, r0, m0, '{EVIL}', ... (5 bytes))",
    f"{START + 4}: Client {EVIL} disconnected: {EVIL}.",
    f"{START + 4}: Protocol error from {EVIL}: {EVIL}",
    f"{START + 5}: Client {EVIL}x disconnected, not authorised.",
]


def test_ids_and_topics_are_text_and_never_code(tmp_path, monkeypatch):
    for in_page in (html.IN_PAGE, 0):  # in the page itself, and in the data of its script
        monkeypatch.setattr(html, "IN_PAGE", in_page)
        page = report(tmp_path, analysed(EVIL_STORY, name=EVIL, files=[EVIL]))
        seen = parsed(page)
        assert sum(tag == "script" for tag, _ in seen.seen) == 2
        assert not any(
            tag == "img" or any(name.startswith("on") for name in attributes) for tag, attributes in seen.seen
        )
        assert page.count("</script>") == 2
        assert EVIL in seen.text


def test_a_log_without_times_or_clients_has_a_report_too(tmp_path):
    assert "The log has no times" in report(tmp_path, analysed(["Received PINGREQ from a"]))
    parsed(report(tmp_path, analysed([])))


def test_a_long_id_is_cut_and_the_whole_is_in_its_title(tmp_path):
    name = "n" * 200
    seen = parsed(report(tmp_path, analysed([f"{START}: Received PINGREQ from {name}"])))
    assert name not in seen.text
    assert any(attributes.get("title") == name for _, attributes in seen.seen)


def test_figures_that_are_not_in_the_log_are_not_in_the_totals(tmp_path):
    page = report(tmp_path, analysed([f"{START}: New client connected from 1.1.1.1 as a (c1, k60)."]))
    assert "messages in" not in page and "0 in, 0 out" not in page
    page = real(tmp_path)
    assert "messages in" in page and "2 in, 0 out" in page


def test_a_refused_login_is_counted_once_though_client_and_address_have_it(tmp_path):
    text = parsed(report(tmp_path, analysed((FIELD / "11-ha-addon7-not-authorised.log").open("rb")))).text
    assert re.search(r"login refused refused-login6 times: 3 clients, 3 addresses", text)
    assert re.search(r"6\s*CONNECTs refused", text)


def test_an_end_without_a_begin_is_drawn_as_that_and_no_connect_is_claimed(tmp_path):
    page = report(tmp_path, analysed((FIELD / "52-only-ends-logged.log").open("rb")))
    assert "begin not logged</span>" in page and ">connected</span>" not in page
    assert "CONNECTs accepted" not in page and "0 connects" not in page


def test_an_event_that_hit_many_is_in_the_time_line_and_in_words(tmp_path):
    page = report(tmp_path, analysed((FIELD / "63-all-time-out-after-save.log").open("rb")))
    assert page.count('class="storm"/></svg>many fell out at once') == 1
    assert page.split("</symbol>")[0].count('height="100%" class="storm"') == 3
    assert "the disk stalls the broker while it saves" in parsed(page).text


def test_several_brokers_are_in_one_report_and_told_apart(tmp_path):
    north = analysed([f"{START}: Received PINGREQ from lamp"], "north", ["n.log"])
    south = analysed([f"{START}: Received PINGREQ from lamp"], "south", ["s.log"])
    text = parsed(report(tmp_path, north, south)).text
    assert "north: lamp" in text and "south: lamp" in text and "n.log" in text
    assert "With more than one broker" in text and "lamp10north, south" in text


def test_the_report_of_5000_clients_is_under_3_mb(tmp_path):
    page = report(tmp_path, analysed(fleet(5000)))
    assert len(page.encode()) < 3_000_000
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1])
    assert len(data["clients"]) == 4950 and page.count('class="client"') == 50


def test_a_client_asked_for_comes_first(tmp_path):
    log = analysed(fleet(200))
    wanted = min(log.analyser.clients.values(), key=lambda client: client.weight).id
    html.write([log], str(tmp_path / "report.html"), [wanted])
    page = (tmp_path / "report.html").read_text()
    assert re.search(r'id="c0" data-client="([^"]*)"', page)[1] == wanted


# -- the bars


def client(*sessions):
    made = Client("a")
    made.sessions = [Session(start=start, end=end, how=how) for start, end, how in sessions]
    return made


SPAN = strips.Span(0, 1000)


def test_sessions_that_can_be_drawn_apart_are_not_merged():
    bars = strips.bars(client((0, 10, "clean"), (20, 500, "timeout"), (600, None, "open")), SPAN, 10)
    assert [(bar.start, bar.end, bar.how, bar.count) for bar in bars] == [
        (0, 10, "clean", 1),
        (20, 500, "timeout", 1),
        (600, 1000, "open", 1),
    ]


def test_sessions_too_close_are_one_bar_with_their_worst_end_and_all_are_counted():
    short = [(i / 10, i / 10 + 0.05, "timeout" if i % 2 else "clean") for i in range(20)]
    flapping = client(*short, (500, 900, "clean"))
    bars = strips.bars(flapping, SPAN, 10)
    assert sum(bar.count for bar in bars) == 21 and len(bars) < 10
    assert bars[0].how == "timeout" and bars[-1].count == 1 and bars[-1].start == 500


@pytest.mark.parametrize("at_most", [4, 50])
def test_there_are_never_more_bars_than_asked_for(at_most):
    many = client(*[(i * 4, i * 4 + 3, "closed") for i in range(250)])
    bars = strips.bars(many, SPAN, at_most)
    assert len(bars) <= at_most and sum(bar.count for bar in bars) == 250
    assert all(before.end <= after.start for before, after in zip(bars, bars[1:]))


def test_a_session_whose_begin_is_not_known_begins_at_the_earliest_where_the_last_ended():
    bars = strips.bars(client((100, 200, "clean"), (None, 300, "timeout")), SPAN, 10)
    assert [(bar.start, bar.end, bar.begun) for bar in bars] == [(100, 200, True), (200, 300, False)]


@pytest.mark.parametrize(
    "length_s, labels",
    [
        (3, ["11-22 11:56:00", "11:56:01", "11:56:02", "11:56:03"]),
        (90000, ["11-22 12:00", "18:00", "11-23 00:00", "06:00", "12:00"]),
        (20 * 86400, ["2026-11-26", "2026-12-03", "2026-12-10"]),
    ],
)
def test_the_axis_has_round_times(length_s, labels):
    assert [label for _, label in strips.ticks(strips.Span(START, START + length_s))] == labels


def test_every_way_to_end_has_a_rank_and_a_colour_of_its_own():
    from tools.mosqlog import words

    assert set(words.HOWS) <= set(strips.WORST_FIRST)
    coloured = set(re.findall(r"\.([a-z-]+)(?=[^{}]*\{ fill: #|[^{}]*\{ fill: var\(--dim\))", html.STYLE))
    assert set(words.HOWS) <= coloured


# -- in a browser

_LOOK = """(() => {
const box = x => x.getBoundingClientRect();
const rows = [...document.querySelectorAll('.client')];
const strips = rows.map(row => row.querySelector('.strip'));
const bars = strips.map(strip => [...strip.querySelectorAll('.bar, .several, .unbegun')]);
const ends = new Set([...document.querySelectorAll('.strip rect:not(.bar):not(.several):not(.unbegun)')].map(
  x => x.getAttribute('class')));
const key = new Set([...document.querySelectorAll('.key rect:not(.bar):not(.several):not(.unbegun)')].map(
  x => x.getAttribute('class')));
const neutral = new Set(bars.flat().map(x => getComputedStyle(x).fill));
return {rows: rows.length, bars: bars.flat().length,
  outside: bars.flat().filter((x, i) => box(x).left < -1 || box(x).right > innerWidth + 1).length,
  overlap: rows.filter((row, i) => i && box(row).top < box(rows[i - 1]).bottom - 1).length,
  narrow: strips.filter(x => box(x).width < Math.min(250, innerWidth * .8)).length,
  ends: [...ends].sort(), key: [...key].sort(), neutral: neutral.size,
  overflow: document.documentElement.scrollWidth - innerWidth};
})()"""
_FIND = """(wanted => {
const find = document.getElementById('find');
find.value = wanted; find.dispatchEvent(new Event('input'));
const rows = [...document.querySelectorAll('.client')];
return rows.filter(x => x.getBoundingClientRect().height).map(x => x.dataset.client);
})"""


def size_of(png):
    return struct.unpack(">II", png.read_bytes()[16:24])


@WITH_BROWSER
@pytest.mark.parametrize("width", [1280, 420])
def test_the_report_is_drawn_and_works_in_a_browser(tmp_path, width):
    real(tmp_path)
    with Browser(tmp_path, width) as page:
        page.open(tmp_path / "report.html")
        seen = page.run(_LOOK)
        assert seen["rows"] == 18
        assert (seen["outside"], seen["overlap"], seen["narrow"], seen["overflow"]) == (0, 0, 0, 0)
        assert seen["ends"] == seen["key"] == ["clean", "closed", "malformed", "protocol-error", "takeover", "timeout"]
        assert seen["neutral"] <= 2  # a bar is neutral, its end has the colour
        assert page.run(f"{_FIND}('TWI')") == ["twin", "twice"]
        assert len(page.run(f"{_FIND}('')")) == 18
        page.run("document.querySelector('.client summary').click()")
        opened = page.run("(x => [x.open, x.innerText])(document.querySelector('.client'))")
        assert opened[0] and "Give every device an id of its own" in opened[1] and "127.0.0.2" in opened[1]
        page.run("document.querySelectorAll('details').forEach(x => x.open = true)")
        assert page.run("document.documentElement.scrollWidth - innerWidth") == 0
        page.screenshot(tmp_path / "seen.png", whole=True)
        assert size_of(tmp_path / "seen.png")[0] == width
        assert page.errors == []


@WITH_BROWSER
def test_5000_clients_open_at_once_and_the_rest_is_one_click_away(tmp_path):
    report(tmp_path, analysed(fleet(5000)))
    with Browser(tmp_path, 1280) as page:
        page.open(tmp_path / "report.html")
        assert page.busy_s() < 2
        assert page.run(_LOOK)["rows"] == 50
        page.run("document.getElementById('more').click()")
        assert page.run("document.querySelectorAll('.client').length") == 250
        found = page.run(f"{_FIND}('-building-39')")
        assert 100 < len(found) <= 250 and all(name.endswith("-39") for name in found)
        page.run(f"{_FIND}('')")
        page.run("document.getElementById('all').click()")
        seen = page.run(_LOOK)
        assert seen["rows"] == 5000
        assert (seen["outside"], seen["overlap"], seen["overflow"]) == (0, 0, 0)
        weights = page.run("[...document.querySelectorAll('.badge')].map(x => +x.textContent)")
        assert weights == sorted(weights, reverse=True)
        page.run("document.querySelectorAll('.client')[400].querySelector('summary').click()")
        page.run("new Promise(done => setTimeout(done))")
        assert "flapping" in page.run("document.querySelectorAll('.client')[400].innerText")
        assert page.errors == []


@WITH_BROWSER
@pytest.mark.parametrize("in_page", [50, 0])
def test_hostile_names_in_every_field_do_nothing(tmp_path, monkeypatch, in_page):
    monkeypatch.setattr(html, "IN_PAGE", in_page)
    report(tmp_path, analysed(EVIL_STORY, name=EVIL, files=[EVIL]))
    with Browser(tmp_path, 420) as page:
        page.open(tmp_path / "report.html")
        page.run("document.getElementById('all').click()")
        page.run("document.querySelectorAll('details').forEach(x => x.open = true)")
        page.run("new Promise(done => setTimeout(done))")
        assert page.run("window.owned") is None
        assert page.run("document.documentElement.scrollWidth - innerWidth") == 0
        assert page.errors == []


@WITH_BROWSER
def test_a_foreign_script_is_refused_by_the_page_itself(tmp_path):
    real(tmp_path)
    foreign = "<script>window.owned = 1</script>"
    path = tmp_path / "report.html"
    path.write_text(path.read_text().replace("</body>", foreign + "</body>"))
    with Browser(tmp_path, 1280) as page:
        page.open(path)
        assert page.run("window.owned") is None
        assert any("Content Security Policy" in error for error in page.errors)


def test_the_program_writes_the_report(tmp_path):
    status, _, err = run("--html", tmp_path / "r.html", f"north={LOG}", f"south={LOG}")
    assert status == 0 and "report in" in err
    parsed((tmp_path / "r.html").read_text(encoding="utf-8"))
