"""`make run`: the real firmware on a real MicroPython publishes to a real broker, and an independent client watches.

    python tools/run.py [--readings N] [--interval S] [--qos 0|1|2] [--heap-kb 38] [--sleep]

Ends with 0 when every reading that the firmware published was received once, 1 when one was lost or came twice or
nothing could be run, 130 after Ctrl-C before all N were there. Ctrl-C ends everything cleanly, whenever it comes.
"""

import argparse
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.broker import Broker, BrokerError
from tools.build import BuildError, build
from tools.host_board import BoardError, HostBoard
from tools.watch import Reading, Tally, Watcher, plain, screen

FIRST_READING_TIMEOUT_S = 60
SILENCE_TIMEOUT_S = 60
LAST_READINGS_TIMEOUT_S = 10
SENSORS = [
    {"type": "internal", "name": "chip"},
    {"type": "dht22", "name": "room", "pin": 4},
    {"type": "ds18b20", "name": "water", "pin": 5},
    {"type": "adc", "name": "battery", "pin": 34, "ratio": 2.0},
]


# Set by Ctrl-C and other signals that ask to end. A flag, no exception: one that comes between the start of a process
# and the note of it would leave that process behind.
asked_to_end = threading.Event()


def config(port: int, interval_s: float, qos: int, sleep: bool) -> dict:
    """What config.json holds on this board; `sleep`: it sleeps between readings, and connects at every third wake."""
    sleeper = {"keep_in": "rtc", "deep_sleep": True, "connect_every": 3, "awake_ms": 10000} if sleep else {}
    return {
        **sleeper,
        "wifi_ssid": "host", "wifi_password": "password", "broker": "127.0.0.1", "port": port, "client_id": "host",
        "qos": qos, "interval_s": interval_s, "ntp_host": "", "stop_pin": HostBoard.STOP_PIN, "sensors": SENSORS,
    }  # fmt: skip


def watch(watcher: Watcher, board: HostBoard, tally: Tally, show: Any, count: int) -> None:
    """Show readings as they come until `count` are there (0: for ever), or until asked to end. Raises BoardError."""
    quiet_since_s, patience_s = time.monotonic(), FIRST_READING_TIMEOUT_S
    while not asked_to_end.is_set() and (not count or len(tally.received) < count):
        for line in board.new_lines():
            show.line("board: " + line)
        if not board.is_running():
            raise BoardError(board.end_in_words())
        reading = next_reading(watcher, 0.1)
        if reading:
            quiet_since_s, patience_s = time.monotonic(), SILENCE_TIMEOUT_S
            tally.add(reading)
            show.reading(reading, tally)
        elif time.monotonic() - quiet_since_s > patience_s:
            raise BoardError("no reading for %d s" % patience_s)


def next_reading(watcher: Watcher, timeout_s: float) -> Optional[Reading]:
    try:
        return watcher.readings.get(timeout=timeout_s)
    except queue.Empty:
        return None


def finish(watcher: Watcher, board: HostBoard, tally: Tally, show: Any) -> Optional[dict]:
    """Stop the firmware and take the readings that are still on their way; returns the firmware's own figures."""
    board.stop()
    for line in board.new_lines():
        show.line("board: " + line)
    said = board.figures()
    deadline_s = time.monotonic() + LAST_READINGS_TIMEOUT_S
    while said and len(tally.received) < said["published"] and time.monotonic() < deadline_s:
        reading = next_reading(watcher, 0.1)
        if reading:
            tally.add(reading)
            show.reading(reading, tally)
    watcher.settle()  # what comes twice comes now
    while not watcher.readings.empty():
        reading = watcher.readings.get()
        tally.add(reading)
        show.reading(reading, tally)
    return said


def summary(said: Optional[dict], tally: Tally, board: HostBoard, broker: Broker) -> list[str]:
    published = said["published"] if said else 0
    heap = "%d B of %d KiB" % (said["heap_low_b"], board.heap_kb) if said and board.heap_kb else "not told"
    return [
        "%d published, %d received, %d lost, %d repeated" % (
            published, len(tally.received), tally.lost(published), tally.repeated),
        "lowest free heap: " + heap + (", %d wakes" % board.starts if board.starts > 1 else ""),
        "%s, %s" % (board.name, broker.name),
    ]  # fmt: skip


def run(opts: argparse.Namespace, folder: Path) -> int:
    tally, trouble = Tally(), ""
    with Broker(folder) as broker, Watcher(broker.port) as watcher:
        board = HostBoard(folder / "board", config(broker.port, opts.interval, opts.qos, opts.sleep), opts.heap_kb)
        for note in board.notes + ([] if broker.is_reference else ["The broker is " + broker.name + "."]):
            print("note: " + note, flush=True)
        with (screen if sys.stdout.isatty() else plain)() as show, board:
            try:
                watch(watcher, board, tally, show, opts.readings)
            except BoardError as e:
                trouble = str(e)
            said = finish(watcher, board, tally, show)
        for line in summary(said, tally, board, broker):
            print(line)
        if not said:
            trouble = trouble or "the firmware did not say its figures"
        if trouble:
            print("run: %s. It said last:" % trouble, file=sys.stderr)
            print("\n".join("  " + line for line in board.last_lines()), file=sys.stderr)
            return 1
        if tally.lost(said["published"] if said else 0) or tally.repeated:
            return 1
        return 130 if len(tally.received) < opts.readings else 0


def main() -> int:
    args = argparse.ArgumentParser(description="Watch the firmware publish, on this computer.")
    args.add_argument("--readings", type=int, default=20, help="stop after so many, 0: go on until Ctrl-C")
    args.add_argument("--interval", type=float, default=1.0, help="seconds between two measurements")
    args.add_argument("--qos", type=int, default=2, choices=(0, 1, 2))
    args.add_argument("--sleep", action="store_true", help="a board that sleeps between its readings")
    args.add_argument("--heap-kb", type=int, help="heap of the board in KiB; an ESP8266 has 38, an ESP32 56 or more")
    opts = args.parse_args()
    # the code that keeps readings over a sleep needs an ESP32
    opts.heap_kb = opts.heap_kb or (56 if opts.sleep else 38)
    if opts.readings < 0:
        args.error("READINGS is a count; 0 is for endless")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: asked_to_end.set())
    folder = Path(tempfile.mkdtemp(prefix="umqtt-run-"))
    try:
        build(folder / "board")
        return run(opts, folder)
    except (BrokerError, BoardError, BuildError) as e:
        print("run: %s" % e, file=sys.stderr)
        return 1
    except BrokenPipeError:  # `make run | head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
