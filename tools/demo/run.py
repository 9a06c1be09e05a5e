"""`make run`: the real firmware on a real MicroPython publishes to a real broker, and an independent client watches.

    python -m tools.demo.run [--readings N] [--interval S] [--qos 0|1|2] [--heap-kb 40] [--protocol 4|5|auto]
                              [--sleep | --aio] [--web [PORT]] [--ha]

Ends with 0 when every reading that the firmware published was received once (after Ctrl-C as well, when the run was
endless), 1 when one was lost or came twice or nothing could be run, 130 after Ctrl-C before all N were there. Ctrl-C
ends everything cleanly, whenever it comes; a SIGKILL of this program ends the others, too (on Linux).
"""

import argparse
import contextlib
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional

from tools.broker import Broker, BrokerError
from tools.build import BuildError, build
from tools.demo.cuttable_link import Link
from tools.demo.home import Home
from tools.demo.owner import Owner
from tools.demo.watch import Reading, Tally, Watcher, plain, screen
from tools.demo.web import Page
from tools.firmware_process import BoardError, HostBoard
from tools.foreground import own_foreground
from tools.home_assistant.client import HomeAssistant, HomeAssistantError
from tools.printable import let_any_text_out, printable

AIO_PROGRAM = Path(__file__).with_name("aio_main.py")
FIRST_READING_TIMEOUT_S = 60
SILENCE_TIMEOUT_S = 60
LAST_READINGS_TIMEOUT_S = 10
CATCH_UP_TIMEOUT_S = 90  # the firmware's pause between two attempts is 60 s at most
EXPIRE_S = 600  # of a reading with MQTT 5, which shows it
FRESH_S = 2.0  # its time is in whole seconds
SENSORS = [
    {"type": "internal", "name": "chip"},
    {"type": "dht22", "name": "room", "pin": 4},
    {"type": "adc", "name": "battery", "pin": 34, "ratio": 2.0},
    {"type": "sht4x", "name": "porch"},
]
I2C = {"sda": 21, "scl": 22}
BOARD = "host"
ROOM = SENSORS[1:2]  # two readings a wake: a few of them already take several wakes
SLEEPER = {"keep_in": "rtc", "deep_sleep": True, "connect_every": 3, "awake_ms": 10000, "sensors": ROOM}
# What 40 KiB of heap can hold is enough until a dead link is noticed: the times are for a network within this computer.
AWAKE = {"queue": 32, "timeout_s": 2, "wifi_timeout_s": 3}
# What the buttons of the page do costs no reading when these wait on flash. The short times are for who watches.
TROUBLED = {"keep_in": "flash", "queue_kb": 1024, "timeout_s": 2, "keepalive_s": 5}
ESP32_HEAP_KB = 56  # the code that keeps readings over a sleep or a cut needs an ESP32
ESP8266_HEAP_KB = 40  # 38, and what stands in for the port's own


# Set by Ctrl-C and other signals that ask to end. A flag, no exception: one that comes between the start of a process
# and the note of it would leave that process behind.
asked_to_end = threading.Event()
asked_twice = threading.Event()


def ask_to_end(*_: object) -> None:
    """The signals' handler."""
    (asked_twice if asked_to_end.is_set() else asked_to_end).set()


def has_owner(opts: argparse.Namespace) -> bool:
    """Whether somebody commands the board: one that is awake, with the firmware on it."""
    return not (opts.sleep or opts.aio)


def config(port: int, opts: argparse.Namespace) -> dict:
    """What config.json holds on this board. --sleep: it sleeps between readings, and connects at every third wake."""
    return {
        "wifi_ssid": "host", "wifi_password": "password", "broker": "127.0.0.1", "port": port, "client_id": BOARD,
        "qos": opts.qos, "interval_s": opts.interval, "ntp_host": "", "stop_pin": HostBoard.STOP_PIN,
        "commands": has_owner(opts), "log_b": 0, "ha_prefix": "homeassistant" if opts.ha else "",
        "i2c": I2C, "sensors": SENSORS, "protocol": opts.protocol, "expire_s": 0 if opts.protocol == 4 else EXPIRE_S,
        **AWAKE,
        **(TROUBLED if opts.web is not None else {}), **(SLEEPER if opts.sleep else {}),
    }  # fmt: skip


class Several:
    """Shows everything on each of several displays."""

    def __init__(self, displays: List[Any]):
        self.displays = displays

    def reading(self, reading: Reading, tally: Tally) -> None:
        for display in self.displays:
            display.reading(reading, tally)

    def line(self, text: str) -> None:
        for display in self.displays:
            display.line(text)


class Trouble:
    """What the page's buttons do. They are pressed in the page's threads and done by turn(), in ours: a broker that a
    thread started would end with it."""

    def __init__(self, broker: Broker, link: Link):
        self.broker, self.link = broker, link
        self.page: Optional[Page] = None
        self.pressed: queue.Queue[str] = queue.Queue()
        self.does = {
            "stop-broker": broker.stop, "start-broker": broker.start_again,
            "cut-link": link.cut, "mend-link": link.mend,
        }  # fmt: skip

    def is_there(self) -> bool:
        """Whether somebody made trouble: then silence is no failure."""
        return self.broker.running is None or self.link.is_cut

    def turn(self) -> None:
        """Do what the buttons ask for."""
        while not self.pressed.empty():
            self._do(self.pressed.get())

    def _do(self, name: str) -> None:
        try:
            self.does[name]()
        except BrokerError as error:
            if self.page:
                self.page.line("run: %s" % error)
        self.tell()

    def tell(self) -> None:
        """Send the page how it is."""
        if self.page:
            self.page.send("state", broker_runs=self.broker.running is not None, link_is_whole=not self.link.is_cut)

    def end(self) -> None:
        """All is well again, for the last readings."""
        for name in ("mend-link", "start-broker"):
            self._do(name)


def watch(
    watcher: Watcher,
    board: HostBoard,
    tally: Tally,
    show: Any,
    opts: argparse.Namespace,
    trouble: Optional[Trouble],
    home: Optional[Home],
) -> None:
    """Show readings as they come until so many as asked for are there (0: for ever), or until asked to end; a board
    that sleeps has slept by then, and Home Assistant shows it. Raises BoardError, HomeAssistantError."""
    quiet_since_s, patience_s = time.monotonic(), FIRST_READING_TIMEOUT_S
    owner = Owner(watcher, BOARD, opts.interval)
    while not asked_to_end.is_set():
        enough = opts.readings and len(tally.received) >= opts.readings
        if enough and (board.has_woken() or not opts.sleep) and (not home or home.has_all()):
            return
        for line in board.new_lines():
            show.line("board: " + line)
        if not board.is_running():
            raise BoardError(board.end_in_words())
        if trouble:
            trouble.turn()
        if has_owner(opts):
            owner.turn(tally, show)
        if home:
            home.turn(show)
        reading = next_reading(watcher, 0.1)
        if reading:
            quiet_since_s, patience_s = time.monotonic(), SILENCE_TIMEOUT_S
            tally.add(reading)
            if not enough:
                show.reading(reading, tally)
        elif trouble and trouble.is_there():
            quiet_since_s = time.monotonic()
        elif time.monotonic() - quiet_since_s > patience_s:
            raise BoardError("no reading for %d s" % patience_s)


def next_reading(watcher: Watcher, timeout_s: float) -> Optional[Reading]:
    try:
        return watcher.readings.get(timeout=timeout_s)
    except queue.Empty:
        return None


def catch_up(watcher: Watcher, board: HostBoard, tally: Tally, show: Any, interval_s: float) -> None:
    """Let the board send what it kept while there was trouble: until a reading comes at once, or Ctrl-C comes again."""
    deadline_s = time.monotonic() + CATCH_UP_TIMEOUT_S
    told = False
    while time.monotonic() < deadline_s and board.is_running() and not asked_twice.is_set():
        for line in board.new_lines():
            show.line("board: " + line)
        reading = next_reading(watcher, 0.1)
        if reading:
            tally.add(reading)
            show.reading(reading, tally)
            if reading.taken_s is None or reading.received_s - reading.taken_s < interval_s + FRESH_S:
                return
        elif not told and time.monotonic() > deadline_s - CATCH_UP_TIMEOUT_S + interval_s + FRESH_S:
            told = True
            show.line("run: waiting for what the board keeps; Ctrl-C again leaves it there")


def finish(watcher: Watcher, board: HostBoard, tally: Tally, show: Any, count: int) -> Optional[dict]:
    """Stop the firmware and take the readings that are still on their way; returns the firmware's own figures. More
    than `count` (0: endless) are counted, and not shown."""

    def take(reading: Reading) -> None:
        enough = count and len(tally.received) >= count
        tally.add(reading)
        if not enough:
            show.reading(reading, tally)

    board.stop()
    for line in board.new_lines():
        show.line("board: " + line)
    said = board.figures()
    deadline_s = time.monotonic() + LAST_READINGS_TIMEOUT_S
    while said and len(tally.received) < said["published"] and time.monotonic() < deadline_s:
        reading = next_reading(watcher, 0.1)
        if reading:
            take(reading)
    watcher.settle()  # what comes twice comes now
    while not watcher.readings.empty():
        take(watcher.readings.get())
    return said


def summary(said: Optional[dict], tally: Tally, board: HostBoard, broker: Broker, count: int) -> List[str]:
    """The last lines. When all is well and so many as asked for came, they are of those; what the firmware published
    while it was being stopped has a line of its own."""
    published = said["published"] if said else 0
    received, lost = len(tally.received), tally.lost(published)
    heap = "%d B of %d KiB" % (said["heap_low_b"], board.heap_kb) if said and board.heap_kb else "not told"
    lines, more = [], 0
    if count and received >= count and not lost and not tally.repeated:
        published, more = count, published - count
        received = count
    lines.append("%d published, %d received, %d lost, %d repeated" % (published, received, lost, tally.repeated))
    if more:
        lines.append("%d more were published before the firmware had stopped, and received" % more)
    lines.append("lowest free heap: " + heap + (", %d wakes" % board.starts if board.starts > 1 else ""))
    lines.append("%s, %s" % (board.name, broker.name))
    return lines


@contextlib.contextmanager
def page_of(trouble: Optional[Trouble], tcp_port: int) -> Iterator[List[Page]]:
    """The page in a list; an empty list when there is no `trouble` to make, and so no page. Raises BoardError."""
    if not trouble:
        yield []
        return
    try:
        page = Page(sorted(trouble.does), trouble.pressed.put, tcp_port)
    except OSError as error:
        raise BoardError("no page on port %d: %s" % (tcp_port, error.strerror)) from None
    with page:
        trouble.page = page
        print("The page is %s (Ctrl-C ends it)" % page.url, flush=True)
        yield [page]


def run(opts: argparse.Namespace, folder: Path, show_on: Any = None, say: Callable[[str], object] = print) -> int:
    """The exit status. `folder`/board holds the firmware. show_on: a display in the terminal's place; `say` takes the
    last lines. Raises BrokerError, BoardError."""
    tally, why = Tally(), ""
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Broker(folder, keeps=opts.web is not None))
        protocol = opts.protocol if broker.is_reference else 4  # amqtt knows no other
        watcher = stack.enter_context(Watcher(broker.port, opts.web is not None, protocol))
        link = trouble = None
        if opts.web is not None:
            if not broker.is_reference:
                raise BrokerError("WEB=1 stops and starts the broker, and wants Mosquitto for that")
            link = stack.enter_context(Link(broker.port))
            trouble = Trouble(broker, link)
        home = Home(stack.enter_context(HomeAssistant(broker.port))) if opts.ha else None
        board = HostBoard(folder / "board", config(link.port if link else broker.port, opts), opts.heap_kb)
        for note in board.notes + ([] if broker.is_reference else ["The broker is " + broker.name + "."]):
            print("note: " + note, flush=True)
        pages = stack.enter_context(page_of(trouble, opts.web or 0))
        for page in pages:
            page.send("about", text="%s publishes to %s; paho-mqtt, an independent client, receives." % (
                board.name, broker.name))  # fmt: skip
        if trouble:
            trouble.tell()
        with (screen if sys.stdout.isatty() else plain)() as display, board:
            show = Several([show_on or display, *pages])
            try:
                watch(watcher, board, tally, show, opts, trouble, home)
            except (BoardError, HomeAssistantError) as error:
                why = str(error)
            if trouble:
                trouble.end()
                catch_up(watcher, board, tally, show, opts.interval)
            said = finish(watcher, board, tally, show, opts.readings)
        lines = summary(said, tally, board, broker, opts.readings)
        if home:
            lines.append(home.line())
        for line in lines:
            say(line)
        for page in pages:
            page.send("end", text=lines[0])
        if not said:
            why = why or "the firmware did not say its figures"
        if why:
            print("run: %s. It said last:" % why, file=sys.stderr)
            print("\n".join("  " + printable(line) for line in board.last_lines()), file=sys.stderr)
            return 1
        if tally.lost(said["published"] if said else 0) or tally.repeated or home and home.wrong():
            return 1
        return 130 if len(tally.received) < opts.readings else 0


def main() -> int:
    args = argparse.ArgumentParser(description="Watch the firmware publish, on this computer.")
    args.add_argument("--readings", type=int, default=20, help="stop after so many, 0: go on until Ctrl-C")
    args.add_argument("--interval", type=float, default=1.0, help="seconds between two measurements")
    args.add_argument("--qos", type=int, default=2, choices=(0, 1, 2))
    args.add_argument(
        "--protocol", type=lambda word: word if word == "auto" else int(word), default=4, choices=(4, 5, "auto"),
        help="of MQTT: 4 is 3.1.1, 5, auto",
    )  # fmt: skip
    args.add_argument("--sleep", action="store_true", help="a board that sleeps between its readings")
    args.add_argument("--aio", action="store_true", help="a program on umqtt.aio in the firmware's place")
    args.add_argument("--ha", action="store_true", help="a real Home Assistant that shows the board")
    args.add_argument("--web", type=int, nargs="?", const=0, metavar="TCP_PORT",
                      help="a page on this computer, too: a line per sensor, buttons that make trouble")  # fmt: skip
    args.add_argument(
        "--heap-kb",
        type=int,
        help="heap of the board in KiB; an ESP8266 has 38 and what stands in for its port, an ESP32 56 or more",
    )
    opts = args.parse_args()
    if opts.aio and opts.sleep:
        args.error("the program on umqtt.aio does not sleep")
    if opts.ha and opts.aio:
        args.error("the program on umqtt.aio announces nothing to Home Assistant")
    if opts.protocol != 4 and opts.aio:
        args.error("the program on umqtt.aio speaks MQTT 3.1.1")
    is_esp32 = opts.sleep or opts.aio or opts.ha or opts.web is not None or opts.protocol != 4
    opts.heap_kb = opts.heap_kb or (ESP32_HEAP_KB if is_esp32 else ESP8266_HEAP_KB)
    if opts.readings < 0:
        args.error("READINGS is a count; 0 is for endless")
    let_any_text_out()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask_to_end)
    folder = Path(tempfile.mkdtemp(prefix="umqtt-run-"))
    try:
        with own_foreground():
            build(folder / "board")
            if opts.aio:
                shutil.copyfile(AIO_PROGRAM, folder / "board" / "main.py")
            return run(opts, folder)
    except (BrokerError, BoardError, BuildError, HomeAssistantError) as error:
        print("run: %s" % error, file=sys.stderr)
        return 1
    except BrokenPipeError:  # `make run | head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
