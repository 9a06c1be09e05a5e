"""A headless Chromium to look at a report with, over the pipe of its DevTools protocol: no port, no library."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHED = ROOT / ".cache" / "chromium" / "chromium"  # of `make extras`
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
TIMEOUT_S = 60


def chromium() -> str | None:
    """$CHROMIUM, the one of `make extras`, the one on PATH; or None."""
    on_path = next(filter(None, map(shutil.which, NAMES)), None)
    return os.environ.get("CHROMIUM") or (str(CACHED) if CACHED.exists() else on_path)


class Browser:
    """One page. A context manager. `errors` are what its console complained of, exceptions and violations of the
    Content-Security-Policy among them."""

    def __init__(self, folder: Path, width: int, height: int = 1000):
        self.folder, self.width, self.height = folder, width, height
        self.errors: list[str] = []
        self._last, self._unread = 0, b""
        self._came: list[dict] = []

    def __enter__(self) -> Browser:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        moved_in, moved_out = (fcntl.fcntl(each, fcntl.F_DUPFD, 20) for each in (theirs_in, theirs_out))

        def as_the_protocol_has_it() -> None:
            os.dup2(moved_in, 3)
            os.dup2(moved_out, 4)

        self._process = subprocess.Popen(
            [
                chromium(),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--remote-debugging-pipe",
                "--hide-scrollbars",
                f"--user-data-dir={self.folder}/profile",
                "about:blank",
            ],
            preexec_fn=as_the_protocol_has_it,
            pass_fds=(3, 4),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(moved_in)
        os.close(moved_out)
        os.close(theirs_in)
        os.close(theirs_out)
        self._session = None
        targets = self._call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")
        self._call("Performance.enable", timeDomain="threadTicks")
        self.resize(self.width, self.height)
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait(TIMEOUT_S)
        os.close(self._out)
        os.close(self._in)

    def open(self, page: Path | str) -> None:
        """Loads a file or an address; returns when it is loaded and drawn."""
        self._call("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        while not any(each.get("method") == "Page.loadEventFired" for each in self._came):
            self._take()
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")

    def resize(self, width: int, height: int) -> None:
        """As a window of that size; below 600 as a telephone."""
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def run(self, script: str):
        """The value of an expression, awaited. Raises AssertionError with the page's exception."""
        answer = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def busy_s(self) -> float:
        """CPU seconds that the page has taken so far: what it takes to open on a machine that does nothing else."""
        metrics = {each["name"]: each["value"] for each in self._call("Performance.getMetrics")["metrics"]}
        return metrics["TaskDuration"]

    def screenshot(self, path: Path, whole: bool = False) -> None:
        """A PNG of what is seen, or of the whole page."""
        answer = self._call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _call(self, method: str, **parameters: object) -> dict:
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._take()
            if answer.get("id") == self._last:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _take(self) -> dict:
        while b"\0" not in self._unread:
            part = os.read(self._in, 1 << 16)
            assert part, "the browser ended"
            self._unread += part
        raw, _, self._unread = self._unread.partition(b"\0")
        message = json.loads(raw)
        self._came.append(message)
        parameters = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(parameters["exceptionDetails"]["text"])
        if message.get("method") == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.errors.append(parameters["entry"]["text"])
        if message.get("method") == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "assert"):
            self.errors.append(str(parameters["args"]))
        return message
