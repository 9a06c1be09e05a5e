"""The run behind docs/mosqlog.png: a real Mosquitto with a small fleet on it for about two and a half minutes, some
of it in trouble on purpose.

    python -m host_tests.mosqlog.fleet FOLDER       leaves mosquitto.log and report.html in FOLDER
        --log LOG           no run: the report of this log
        --picture FILE.png  how the report looks at 1280 pixels
"""

from __future__ import annotations

import argparse
import random
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

from tools.mosqlog import __main__ as mosqlog

from . import browser, scenes
from .scenes import PINGREQ, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Broker, Wire

LENGTH_S = 150
RESTART_S = 95
BROKEN = (OSError, EOFError)


def sensor(broker: Broker, name: str, seed: int, end: float, qos: int) -> None:
    """Publishes every few seconds, reconnects after a pause when the broker goes."""
    dice, pid = random.Random(seed), 0
    while time.monotonic() < end:
        try:
            wire = Wire(broker)
            wire.connect(name, clean=False, keepalive_s=10, user="u", password="p", will=f"t/{name}/gone")
            while time.monotonic() < end:
                pid = pid % 65535 + 1
                wire.publish(f"t/{name}/temperature", b"%.2f" % dice.gauss(21, 1), qos=qos, pid=pid)
                if qos == 1:
                    wire.expect(PUBACK)
                elif qos == 2:
                    wire.expect(PUBREC)
                    wire.ack(PUBREL, pid)
                    wire.expect(PUBCOMP)
                pause(end, dice.uniform(1, 4))
                wire.send(PINGREQ)
                wire.expect(scenes.PINGRESP)
            wire.leave()
        except BROKEN:
            pause(end, dice.uniform(1, 3))


def pause(end: float, seconds: float) -> None:
    time.sleep(max(0, min(seconds, end - time.monotonic())))


def battery(broker: Broker, end: float) -> None:
    """Wakes, publishes, says goodbye, sleeps."""
    pid = 0
    while time.monotonic() < end:
        try:
            wire = Wire(broker)
            wire.connect("battery-6", clean=False, keepalive_s=10)
            pid += 1
            wire.publish("t/battery-6/level", b"3.7", qos=1, pid=pid)
            wire.expect(PUBACK)
            wire.leave()
        except BROKEN:
            pass
        pause(end, 12)


def dashboard(broker: Broker, end: float) -> None:
    """Listens to all with QoS 1, acknowledges at once, but once leaves a message waiting."""
    lazy = True
    while time.monotonic() < end:
        try:
            wire = Wire(broker)
            wire.connect("dashboard", clean=False, keepalive_s=30)
            wire.send(scenes.SUBSCRIBE, b"\0\1" + scenes.text("t/#") + b"\1")
            wire.socket.settimeout(1)
            since = time.monotonic()
            while time.monotonic() < end:
                try:
                    body = wire.expect(PUBLISH)
                except socket.timeout:
                    wire.send(PINGREQ)
                    continue
                if wire.head & 6:
                    if lazy and time.monotonic() - since > 40:
                        lazy = False
                        wire.leave()
                        raise EOFError
                    size = body[0] << 8 | body[1]
                    wire.ack(PUBACK, body[2 + size] << 8 | body[3 + size])
        except BROKEN:
            pause(end, 2)


def crashing(broker: Broker, end: float) -> None:
    """Connects, publishes once and is gone, without a goodbye."""
    while time.monotonic() < end:
        try:
            wire = Wire(broker)
            wire.connect("esp-flaky", keepalive_s=15, will="t/esp-flaky/gone")
            wire.publish("t/esp-flaky/boot", b"1")
            pause(end, 6)
            wire.drop()
        except BROKEN:
            pass
        pause(end, 5)


def silent(broker: Broker, end: float) -> None:
    """Hangs: the connection stays open and nothing comes."""
    while time.monotonic() < end:
        try:
            wire = Wire(broker)
            wire.connect("esp-hangs", keepalive_s=8, will="t/esp-hangs/gone")
            for _ in range(4):
                wire.publish("t/esp-hangs/humidity", b"55")
                pause(end, 3)
            wire.socket.settimeout(max(1, end - time.monotonic()))
            wire.gone()
        except BROKEN:
            pass
        pause(end, 4)


def twin(broker: Broker, source: str, end: float) -> None:
    """One of two devices with the same id; comes back when it is thrown out."""
    while time.monotonic() < end:
        try:
            wire = Wire(broker, source)
            wire.connect("device-17", keepalive_s=30)
            wire.publish("t/device-17/hello", source.encode())
            wire.socket.settimeout(max(1, end - time.monotonic()))
            wire.gone()
        except BROKEN:
            pass
        pause(end, 7 if source == "127.0.0.1" else 9)


def odd(broker: Broker, end: float) -> None:
    """Wrong password, forbidden topic, a repeated and an unfinished message, now and then."""
    doings = [scenes.stranger, scenes.forbidden, scenes.twice, scenes.half, scenes.stranger]
    while doings and time.monotonic() < end:
        pause(end, 17)
        try:
            doings.pop()(broker)
        except BROKEN:
            pass


def run(folder: Path) -> Path:
    """Blocks for LENGTH_S. Returns the log."""
    broker = Broker(folder)
    broker.start()
    end = time.monotonic() + LENGTH_S
    jobs = [(sensor, f"sensor-{i}", i, end, i % 3) for i in range(1, 6)]
    jobs += [
        (battery, end),
        (dashboard, end),
        (crashing, end),
        (silent, end),
        (twin, "127.0.0.1", end),
        (twin, "127.0.0.2", end),
        (odd, end),
    ]
    threads = [threading.Thread(target=device, args=(broker, *rest), daemon=True) for device, *rest in jobs]
    for thread in threads:
        thread.start()
        time.sleep(0.3)
    time.sleep(RESTART_S)
    broker.stop()
    time.sleep(4)
    broker.start()
    for thread in threads:
        thread.join(LENGTH_S)
    broker.stop()
    return broker.log


def picture(report: Path, path: Path) -> None:
    """The time lines of a report as they look at 1280 pixels, in the colours of daylight."""
    with tempfile.TemporaryDirectory(prefix="mosqlog-") as folder, browser.Browser(Path(folder), 1280) as page:
        page.open(report)
        page.run("document.querySelectorAll('.totals, .panel, #findings, .tools, h1 + p, h1').forEach(x => x.remove())")
        page.run("[...document.querySelectorAll('h2')].forEach(x => x.nextElementSibling?.id || x.remove())")
        last = page.run("document.getElementById('clients').getBoundingClientRect().bottom")
        page.resize(1280, round(last) + 12)
        page.screenshot(path)


def main() -> int:
    arguments = argparse.ArgumentParser(prog="fleet")
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--log", type=Path)
    arguments.add_argument("--picture", type=Path)
    given = arguments.parse_args()
    if given.picture and not browser.chromium():
        arguments.error("no Chromium to take a picture with: make extras")
    given.folder.mkdir(parents=True, exist_ok=True)
    given.folder.chmod(0o755)  # run as root, Mosquitto reads its files as somebody else
    log = given.log or run(given.folder)
    report = given.folder / "report.html"
    status = mosqlog.main([str(log), "--html", str(report), "--top", "5"])
    if given.picture:
        picture(report, given.picture)
    return status


if __name__ == "__main__":
    sys.exit(main())
