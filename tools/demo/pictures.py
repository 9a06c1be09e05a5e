"""`make pictures`: the pictures in README, of real runs: docs/run.svg (`make run` in a terminal) and docs/run-web.png
(its page, in a headless Chromium). Takes a minute."""

import argparse
import io
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import List

from rich.console import Console

from host_tests.mosqlog.browser import Browser, chromium
from tools.build import build
from tools.demo import run
from tools.demo.watch import Reading, Screen, Tally

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
WIDTH = 92  # columns of the terminal
ROWS = 16  # readings: two measurements
BROKER_AWAY_S = 8
LATE_S = 14
SIZE = (1000, 700)  # of the page, in pixels


class Kept:
    """A display that keeps what a terminal would show."""

    def __init__(self) -> None:
        self.lines: List[str] = []
        self.screen = Screen(Console(width=WIDTH, height=ROWS + 6, file=io.StringIO()), None)  # type: ignore[arg-type]
        self.tally = Tally()

    def reading(self, reading: Reading, tally: Tally) -> None:
        self.screen.rows.append(reading)
        self.tally = tally

    def line(self, text: str) -> None:
        self.lines.append(text)


def svg(kept: Kept, last: List[str]) -> str:
    """The terminal at the end of the run. Nothing in it comes from elsewhere: rich's own template fetches a font."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print("$ make run READINGS=%d" % len(kept.screen.rows), highlight=False, style="bold")
    for line in kept.lines:
        console.print(line, markup=False, highlight=False)
    console.print(kept.screen.table(kept.tally))
    for line in last:
        console.print(line, markup=False, highlight=False)
    made = console.export_svg(title="umqtt-node", unique_id="run")
    return re.sub(r"@font-face \{.*?\}\s*", "", made, flags=re.S)


def terminal() -> None:
    """Write docs/run.svg."""
    opts = argparse.Namespace(
        readings=ROWS, interval=1.0, qos=2, sleep=False, aio=False, ha=False, web=None, heap_kb=run.ESP8266_HEAP_KB
    )  # fmt: skip
    kept, last = Kept(), []
    with tempfile.TemporaryDirectory(prefix="pictures-") as scratch:
        build(Path(scratch) / "board")
        status = run.run(opts, Path(scratch), kept, last.append)
    if status:
        raise SystemExit("pictures: the run ended with %d" % status)
    (DOCS / "run.svg").write_text(svg(kept, last), encoding="utf-8")


def page() -> None:
    """Write docs/run-web.png: the broker was away for a while."""
    if not chromium():
        raise SystemExit("pictures: there is no Chromium; `make extras` gets one")
    command = [sys.executable, "-m", "tools.demo.run", "--readings", "0", "--web"]
    with (
        tempfile.TemporaryDirectory(prefix="pictures-") as scratch,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started,
        Browser(Path(scratch), *SIZE) as browser,
    ):
        line = ""
        while not line.startswith("The page is "):
            line = started.stdout.readline()
        browser.open(line.split()[3])
        time.sleep(LATE_S)
        browser.run("document.getElementById('broker').click()")
        time.sleep(BROKER_AWAY_S)
        browser.run("document.getElementById('broker').click()")
        while browser.run("document.getElementById('state').textContent") != "well":
            time.sleep(0.2)
        time.sleep(LATE_S)
        browser.screenshot(DOCS / "run-web.png")
        started.send_signal(signal.SIGINT)
        started.stdout.read()


if __name__ == "__main__":
    terminal()
    page()
