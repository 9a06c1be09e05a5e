"""`make fleet N=200`: so many boards of the whole firmware against one Mosquitto that is restarted, killed, cut off.

    python -m tools.prove.fleet [N] [--events restart,update,kill] [--interval S] [--away S] [--docs]

Each board is a process of the 32-bit MicroPython with a board's heap and the firmware as it is deployed to an ESP32;
all talk to the broker over one link. They are told another interval, and `make ota` updates them, some at a time. An
independent client with a kept session counts every reading by the number that the firmware gave it, and notes when each
board says that it is back. tools/mosqlog must read the same story in the broker's log.
Exit status: 0 when every reading arrived once or was counted as dropped by its board, nothing came twice, every board
came back and the log agrees; 1 else; 2 when it cannot be run. --docs writes docs/fleet.svg and the figures of
docs/operators.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import paho.mqtt.client as paho

from tools.broker import BrokerError
from tools.build import build
from tools.firmware_process import RESET_STATUS, SUMMARY, BoardError, HostBoard, micropython
from tools.prove import broker_makes, operators_page
from tools.prove.link import Link

HEAP_KB = 110  # an ESP32 has that: the firmware lies in it, for one in ROM cannot be updated over the air
COMMAND = "interval"
OTA_KEY = "0123456789abcdef" * 4
OLD, NEW = b"umqtt-node: started by", b"umqtt-node: renewed by"  # the update says so as it starts
KEPT = "kept"  # the first word of an update that a board has taken for good
AT_A_TIME = 4  # such a part of the boards is updated at the same time
COUNTER = "counter"  # the independent client, and its user
SENSORS = [
    {"type": "internal", "name": "chip"}, {"type": "dht22", "name": "room", "pin": 4},
    {"type": "ds18b20", "name": "water", "pin": 5}, {"type": "adc", "name": "battery", "pin": 34, "ratio": 2.0},
]  # fmt: skip
KEEP_ALIVE_S = 15
START_GAP_S = 0.02
UNSAVED_S = 3  # what a killed Mosquitto acknowledged and had not yet saved: its autosave_interval, and its own time
ALL_BACK_S = 90
STEADY_S = 12  # the firmware takes a connection of 10 s for one that lasted: what happens next is a new outage
END_S = 40
EVENTS = ("restart", "network", "password", "command", "update", "kill")
ANSWERED = ("command", "update")  # nothing is away; each board answers


@dataclass
class Event:
    """Something that happened to all boards at once; `back_s`: seconds from its end until each board was back."""

    kind: str
    away_s: float
    back_s: List[float] = field(default_factory=list)
    untouched: int = 0  # boards whose connection went on
    connects: int = 0  # while it lasted and until all were back
    last: str = ""  # the board that was back last


class Counter:
    """The independent client. Its session is kept, so that what comes while it is away waits for it."""

    def __init__(self, port: int) -> None:
        self.seqs: Dict[str, List[int]] = {}
        self.online: Dict[str, List[float]] = {}
        self.answers: Dict[str, List[float]] = {}  # to commands
        self.updates: Dict[str, List[Tuple[float, str]]] = {}  # when an update ended on a board, and its words
        self.lock = threading.Lock()
        ready = threading.Event()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, COUNTER, clean_session=False)
        self.client.username_pw_set(COUNTER, broker_makes.PASSWORD)
        self.client.reconnect_delay_set(1, 1)
        self.client.max_queued_messages_set(0)
        self.client.on_connect = lambda client, *_: client.subscribe("fleet/#", 2)
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.on_message = self._message
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        if not ready.wait(20):
            raise BrokerError("the counting client is not let in")

    def _message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        _, name, *rest = message.topic.split("/")
        with self.lock:
            if rest == ["status"] and message.payload == b"online" and not message.retain:
                self.online.setdefault(name, []).append(time.monotonic())
            elif rest == ["ack", COMMAND] and json.loads(message.payload)["ok"]:
                self.answers.setdefault(name, []).append(time.monotonic())
            elif rest == ["ack", "ota"]:
                self.updates.setdefault(name, []).append((time.monotonic(), json.loads(message.payload)["words"]))
            elif len(rest) == 2 and rest[0] not in ("ack", "cmd", "ota"):
                self.seqs.setdefault(name, []).append(json.loads(message.payload)["seq"])

    def command(self, names: List[str], payload: str) -> None:
        """Send COMMAND to all of them, in QoS 2."""
        with self.lock:
            self.answers = {}
        for name in names:
            self.client.publish("fleet/%s/cmd/%s" % (name, COMMAND), payload, 2)

    def answered(self) -> Dict[str, List[float]]:
        """Board -> when it answered the latest command."""
        with self.lock:
            return {name: list(times) for name, times in self.answers.items()}

    def back_since(self, since_s: float) -> Dict[str, float]:
        """Board -> when it last said `online` after that."""
        with self.lock:
            return {name: times[-1] for name, times in self.online.items() if times[-1] > since_s}

    def count(self) -> int:
        with self.lock:
            return sum(len(numbers) for numbers in self.seqs.values())

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class FleetBroker(broker_makes.Mosquitto):
    """The project's Mosquitto with persistence; the boards' password can be changed while it runs."""

    extra = "max_inflight_messages 200\n"
    with_rules = False  # a file of passwords is read anew at SIGHUP

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name, folder)
        self.users[COUNTER] = broker_makes.PASSWORD

    def set_password(self, password: str) -> None:
        """Of the boards: the broker reads it anew, and throws out who came in with another."""
        self.users[broker_makes.USER] = password
        self.write_passwords()
        self.signal(signal.SIGHUP)


class Boards:
    """N boards that share what is the same on all: the image in flash and the modules that stand in for hardware."""

    def __init__(self, folder: Path, count: int, config: Callable[[str], dict]) -> None:
        self.folder = folder
        self.processes: Dict[str, subprocess.Popen] = {}
        self.names = ["dev-%03d" % i for i in range(count)]
        self.over = threading.Event()
        self.starter = threading.Thread(target=self._start_again, daemon=True)
        build(folder / "template" / "board")
        self.update = folder / "update"
        shutil.copytree(folder / "template" / "board", self.update)
        app = (self.update / "app.mpy").read_bytes()
        (self.update / "app.mpy").write_bytes(app.replace(OLD, NEW))
        self.template = HostBoard(folder / "template" / "board", config("template"), HEAP_KB, in_place=False)
        own = "../" + self.template.root.name
        for name in self.names:
            shutil.copytree(self.template.root, folder / name)
            (folder / name / "config.json").write_text(json.dumps(config(name)))
        self.commands = {name: [str(folder / name) if part == own else part for part in self.template.command]
                         for name in self.names}  # fmt: skip

    def start(self) -> None:
        for name in self.names:
            self._start(name)
            time.sleep(START_GAP_S)
        self.starter.start()

    def _start(self, name: str) -> None:
        with open(self.folder / (name + ".log"), "ab") as log:
            self.processes[name] = subprocess.Popen(
                self.commands[name], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.template.env,
                start_new_session=True, cwd=self.template.folder,
            )  # fmt: skip

    def _start_again(self) -> None:
        # a board that has reset itself
        while not self.over.wait(0.1):
            for name in self.names:
                if self.processes[name].poll() == RESET_STATUS:
                    self._start(name)

    def running(self) -> int:
        return sum(process.poll() is None for process in self.processes.values())

    def memory_b(self) -> Tuple[float, float]:
        """Means of a process: its own dirty pages, and its share of all."""
        own, share = [], []
        for process in self.processes.values():
            try:
                text = Path("/proc/%d/smaps_rollup" % process.pid).read_text()
            except OSError:
                continue
            own.append(1024 * sum(int(number) for number in re.findall(r"Private_Dirty: *(\d+)", text)))
            share.append(1024 * sum(int(number) for number in re.findall(r"^Pss: *(\d+)", text, re.M)))
        return (statistics.mean(own), statistics.mean(share)) if own else (0, 0)

    def cpu_s(self) -> float:
        """Of all together since their start."""
        ticks = 0
        for process in self.processes.values():
            try:
                parts = Path("/proc/%d/stat" % process.pid).read_text().rpartition(")")[2].split()
            except OSError:
                continue
            ticks += int(parts[11]) + int(parts[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Press all stop buttons, and wait."""
        for name in self.names:
            (self.folder / name / "stop").touch()
        end_s = time.monotonic() + END_S
        while self.running() and time.monotonic() < end_s:
            time.sleep(0.1)

    def said(self, name: str) -> str:
        """All that a board has printed."""
        return (self.folder / (name + ".log")).read_text(errors="replace")

    def figures(self) -> Dict[str, List[Dict[str, int]]]:
        """What each board says of itself at the end of each of its lives."""
        out = {}
        for name in self.names:
            lives = [[pair.split("=") for pair in line.split()] for line in SUMMARY.findall(self.said(name))]
            if lives:
                out[name] = [{key: int(value) for key, value in life} for life in lives]
        return out

    def words(self) -> Dict[str, int]:
        """The lines that the boards printed, without numbers, and how many boards printed each."""
        lines: Dict[str, int] = {}
        for name in self.names:
            for line in {re.sub(r"\d+", "N", text.replace(name, "NAME")) for text in self.said(name).splitlines()}:
                lines[line] = lines.get(line, 0) + 1
        return lines

    def close(self) -> None:
        self.over.set()
        if self.starter.is_alive():
            self.starter.join()
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()


@dataclass
class Account:
    """What became of the readings."""

    boards: int
    taken: int = 0
    received: int = 0
    dropped: int = 0
    lost: int = 0
    unsaved: int = 0  # acknowledged by a broker that was killed before it had saved them
    repeated: int = 0
    silent: List[str] = field(default_factory=list)  # boards that did not end by themselves
    heap_low_b: int = 0
    own_b: float = 0
    share_b: float = 0
    cpu_percent: float = 0
    events: List[Event] = field(default_factory=list)
    wrong: List[str] = field(default_factory=list)
    log_says: List[str] = field(default_factory=list)
    dropped_by: Dict[str, int] = field(default_factory=dict)


def acknowledged_before_kills(log: str) -> Dict[str, int]:
    """Client -> messages that a Mosquitto acknowledged (PUBREC) within UNSAVED_S before it was killed, by its log."""
    recent: List[Tuple[int, str]] = []
    counts: Dict[str, int] = {}
    for line in log.splitlines():
        match = re.match(r"(\d+): Sending PUBREC to (\S+) ", line)
        if match:
            recent.append((int(match[1]), match[2]))
        elif line.endswith(" terminating"):
            recent = []  # it saves what it has
        elif line.endswith(" starting"):
            last_s = recent[-1][0] if recent else 0
            for at_s, client in recent:
                if at_s >= last_s - UNSAVED_S:
                    counts[client] = counts.get(client, 0) + 1
            recent = []
    return counts


def by_life(seqs: List[int]) -> List[List[int]]:
    """The numbers of a board's readings as they came, divided where it began to count anew: its first reading behind a
    later one."""
    lives: List[List[int]] = []
    for seq in seqs:
        if not lives or seq == 1 and lives[-1][-1] > 1:
            lives.append([])
        lives[-1].append(seq)
    return lives


class Run:
    """One run of `make fleet`."""

    def __init__(self, opts: argparse.Namespace, folder: Path) -> None:
        self.opts = opts
        self.broker = FleetBroker("mosquitto", folder / "broker")
        self.broker.start()
        self.link = Link(self.broker.port, keep_bytes=False)
        self.counter = Counter(self.broker.port)
        self.boards = Boards(folder / "boards", opts.n, self._config)
        self.account = Account(opts.n)

    def _config(self, name: str) -> dict:
        return {
            "wifi_ssid": "host", "wifi_password": "password", "broker": "127.0.0.1", "port": self.link.port,
            "user": broker_makes.USER, "password": broker_makes.PASSWORD, "client_id": name, "topic": "fleet",
            "keepalive_s": KEEP_ALIVE_S, "timeout_s": 5, "interval_s": self.opts.interval, "ntp_host": "",
            "stop_pin": HostBoard.STOP_PIN, "sensors": SENSORS, "commands": True, "log_b": 0, "ota_key": OTA_KEY,
        }  # fmt: skip

    def command(self) -> None:
        """Tell all boards another interval: each obeys once, and stays connected."""
        event = Event("command", 0)
        before = len(self.link.connections)
        began_s = time.monotonic()
        self.counter.command(self.boards.names, "%g" % (self.opts.interval * 0.9))
        while len(self.counter.answered()) < self.opts.n and time.monotonic() < began_s + ALL_BACK_S:
            time.sleep(0.1)
        time.sleep(STEADY_S)  # what comes twice comes now
        answered = self.counter.answered()
        event.back_s = sorted(times[0] - began_s for times in answered.values())
        event.last = max(answered, key=lambda name: answered[name][0], default="")
        event.connects = len(self.link.connections) - before
        self.account.events.append(event)
        print("  %-8s answers: %s" % (event.kind, self._spread(event.back_s)), flush=True)
        twice = sum(len(times) > 1 for times in answered.values())
        if len(answered) < self.opts.n or twice:
            self.account.wrong.append("%d boards of %d have answered the command, %d of them twice" % (
                len(answered), self.opts.n, twice))  # fmt: skip

    def update(self) -> None:
        """`make ota` for all boards, a part of them at a time: each starts with the new firmware once, and keeps it."""
        event = Event("update", 0)
        before = len(self.link.connections)
        folder = self.boards.folder
        keys, config = folder / "keys.json", folder / "owner.json"
        keys.write_text(json.dumps({"fleet/" + name: OTA_KEY for name in self.boards.names}))
        owner = {"broker": "127.0.0.1", "port": self.broker.port, "user": COUNTER, "password": broker_makes.PASSWORD}
        config.write_text(json.dumps(owner))
        began_s = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "tools.device.ota", "--topic", "fleet", "--config", str(config), "--keys", str(keys),
             "--parallel", str(max(1, self.opts.n // AT_A_TIME)), "--folder", str(self.boards.update)],
            cwd=broker_makes.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        time.sleep(STEADY_S)  # what comes twice comes now
        with self.counter.lock:
            ended = {name: list(times) for name, times in self.counter.updates.items()}
        kept = {name: times[0][0] for name, times in ended.items() if times[0][1].startswith(KEPT)}
        event.back_s = sorted(at_s - began_s for at_s in kept.values())
        event.last = max(kept, key=lambda name: kept[name], default="")
        event.connects = len(self.link.connections) - before
        self.account.events.append(event)
        print("  %-8s kept: %s" % (event.kind, self._spread(event.back_s)), flush=True)
        starts = [self.boards.said(name).count(NEW.decode()) for name in self.boards.names]
        once = sum(count == 1 for count in starts)
        twice = sum(len(times) > 1 for times in ended.values())
        if done.returncode or len(kept) < self.opts.n or once < self.opts.n or twice:
            self.account.wrong.append(
                "%d boards of %d have kept the update, %d started with it once, %d answered twice; make ota: %s"
                % (len(kept), self.opts.n, once, twice, done.stdout[-300:])
            )

    def event(self, kind: str) -> None:
        """Let something happen for `away` seconds, and wait until all boards are back."""
        away_s = 2 * KEEP_ALIVE_S if kind == "network" else self.opts.away  # so long that all notice
        event = Event(kind, away_s)
        before = len(self.link.connections)
        began_s = time.monotonic()
        does = {"restart": self._restart, "kill": self._kill, "network": self._network, "password": self._password}
        does[kind](away_s)
        ended_s = time.monotonic()
        end_s = ended_s + ALL_BACK_S
        steady_s = ended_s + STEADY_S  # so long nobody may be missed who was not thrown out
        while time.monotonic() < end_s:
            back = self.counter.back_since(began_s)
            all_open = self.link.open_count() >= self.opts.n
            if all_open and len(back) + self._never_away(before) >= self.opts.n and time.monotonic() > steady_s:
                break
            time.sleep(0.1)
        back = self.counter.back_since(ended_s)
        event.back_s = sorted(back_again_s - ended_s for back_again_s in back.values())
        event.last = max(back, key=lambda name: back[name], default="")
        event.untouched = self.opts.n - len(back)
        event.connects = len(self.link.connections) - before
        self.account.events.append(event)
        print(
            "  %-8s away %4.1f s; back after it: %s; %d untouched, %d connections made"
            % (kind, away_s, self._spread(event.back_s), event.untouched, event.connects),
            flush=True,
        )
        if self.link.open_count() < self.opts.n:
            self.account.wrong.append("%d boards are not back %d s after the %s" % (
                self.opts.n - self.link.open_count(), ALL_BACK_S, kind))  # fmt: skip

    def _never_away(self, before: int) -> int:
        """Boards whose connection from before the event is still open."""
        return sum(1 for connection in self.link.connections[:before] if not connection.ended_s)

    def _restart(self, away_s: float) -> None:
        self.broker.stop()
        time.sleep(away_s)
        self.broker.start()

    def _kill(self, away_s: float) -> None:
        self.broker.stop(hard=True)
        time.sleep(away_s)
        self.broker.start()

    def _network(self, away_s: float) -> None:
        self.link.silence()
        time.sleep(away_s)
        self.link.accept()

    def _password(self, away_s: float) -> None:
        self.broker.set_password("another")
        time.sleep(away_s)
        self.broker.set_password(broker_makes.PASSWORD)

    @staticmethod
    def _spread(times: List[float]) -> str:
        if not times:
            return "nobody was away"
        return "first %.1f s, median %.1f, 90 %% %.1f, last %.1f" % (
            times[0], statistics.median(times), times[int(len(times) * 0.9)], times[-1])  # fmt: skip

    def go(self) -> Account:
        """Run it. Raises BrokerError, BoardError."""
        account = self.account
        self.boards.start()
        end_s = time.monotonic() + ALL_BACK_S
        while len(self.counter.back_since(0)) < self.opts.n:
            if time.monotonic() > end_s:
                raise BoardError("only %d of %d boards came" % (len(self.counter.back_since(0)), self.opts.n))
            time.sleep(0.1)
        print("  %d boards are connected" % self.opts.n, flush=True)
        cpu_s, from_s = self.boards.cpu_s(), time.monotonic()
        time.sleep(2 * STEADY_S)
        account.cpu_percent = 100 * (self.boards.cpu_s() - cpu_s) / (time.monotonic() - from_s) / self.opts.n
        account.own_b, account.share_b = self.boards.memory_b()
        for kind in self.opts.events:
            if kind in ANSWERED:
                {"command": self.command, "update": self.update}[kind]()
            else:
                self.event(kind)
                time.sleep(STEADY_S)
        self.boards.stop()
        self._settle()
        self._count()
        self._read_log()
        return account

    def _settle(self) -> None:
        count, quiet_s = -1, 0.0
        while quiet_s < 2:
            time.sleep(0.5)
            quiet_s = quiet_s + 0.5 if self.counter.count() == count else 0.0
            count = self.counter.count()

    def _count(self) -> None:
        account = self.account
        figures = self.boards.figures()
        forgotten = acknowledged_before_kills(self.broker.log.read_text(errors="replace"))
        account.silent = sorted(set(self.boards.names) - set(figures))
        for name, lives in figures.items():
            came = by_life(self.counter.seqs.get(name, []))
            received = sum(len(set(seqs)) for seqs in came)
            taken, dropped = (sum(life[key] for life in lives) for key in ("taken", "dropped"))
            missing = taken - received
            account.taken += taken
            account.received += received
            account.repeated += sum(len(seqs) - len(set(seqs)) for seqs in came)
            account.dropped += dropped
            unsaved = min(max(0, missing - dropped), forgotten.get(name, 0))
            account.unsaved += unsaved
            account.lost += missing - dropped - unsaved
            if dropped:
                account.dropped_by[name] = dropped
            if missing < dropped:
                account.wrong.append("%s says that it dropped %d, and only %d are missing" % (name, dropped, missing))
            if len(came) != len(lives):
                account.wrong.append(
                    "%s has counted its readings from 1 in %d lives, of %d" % (name, len(came), len(lives))
                )
        account.heap_low_b = min((life["heap_low_b"] for lives in figures.values() for life in lives), default=0)
        if account.silent:
            account.wrong.append(
                "%d boards did not end by their button: %s" % (len(account.silent), account.silent[:5])
            )
        if account.lost:
            account.wrong.append("%d readings were neither received nor counted as dropped" % account.lost)
        if account.repeated:
            account.wrong.append("%d readings came twice" % account.repeated)
        if account.dropped:
            account.wrong.append("%d readings were dropped by %d boards whose queue was full" % (
                account.dropped, len(account.dropped_by)))  # fmt: skip

    def _read_log(self) -> None:
        """mosqlog's story of the broker's log, held against what was done."""
        account = self.account
        done = subprocess.run(
            [sys.executable, "-m", "tools.mosqlog", "--json", "--top", "100000", str(self.broker.log)],
            cwd=broker_makes.ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        told = [json.loads(line) for line in done.stdout.splitlines()]
        head = next(o for o in told if o["type"] == "log")
        restarts = [o["announced"] for o in told if o["type"] == "restart"]
        clients = {o["client"]: o for o in told if o["type"] == "client"}
        wanted = [event.kind == "restart" for event in account.events if event.kind in ("restart", "kill")]
        seen = len(set(self.boards.names) & set(clients))
        order = [name for name in clients if name in self.boards.names]
        said = {name: len(times) for name, times in self.counter.online.items()}
        fewer = [
            name for name in self.boards.names if clients.get(name, {"connects": 0})["connects"] < said.get(name, 0)
        ]
        account.log_says = [
            "%d of %d boards, %d restarts (%s), %d lines, %d of them not understood" % (
                seen, self.opts.n, len(restarts),
                ", ".join("stopped" if announced else "killed" for announced in restarts) or "-",
                head["lines"], head["unknown"]),
            "%d connects of boards, %d times a board said that it is back" % (
                sum(clients[name]["connects"] for name in order), sum(said.values())),
        ]  # fmt: skip
        slowest = max(
            (event for event in account.events if event.back_s and event.away_s),
            key=lambda event: event.away_s + event.back_s[-1],
            default=None,
        )
        if slowest:
            account.log_says.append("the board that was away longest, %s (%.0f s), is number %d of %d in its list" % (
                slowest.last, slowest.away_s + slowest.back_s[-1], order.index(slowest.last) + 1, len(order),
            ))  # fmt: skip
        if restarts != wanted:
            account.wrong.append("mosqlog tells restarts %r, they were %r" % (restarts, wanted))
        if seen != self.opts.n:
            account.wrong.append("mosqlog tells of %d boards" % seen)
        if fewer:
            account.wrong.append("mosqlog tells of fewer connects than %d boards had: %s" % (len(fewer), fewer[:5]))
        if head["unknown"]:
            account.wrong.append("mosqlog does not understand %d lines" % head["unknown"])

    def close(self) -> None:
        self.boards.close()
        self.counter.close()
        self.link.close()
        self.broker.stop()


def report(account: Account) -> List[str]:
    """The account in lines."""
    return [
        "%d readings taken, %d received, %d dropped by full queues, %d lost, %d repeated%s" % (
            account.taken, account.received, account.dropped, account.lost, account.repeated,
            "; %d that the killed broker had acknowledged and not saved" % account.unsaved if account.unsaved else ""),
        "a board takes %.0f kB of memory of its own and %.2f %% of a core; lowest free heap %d B of %d KiB" % (
            account.own_b / 1000, account.cpu_percent, account.heap_low_b, HEAP_KB),
        *["mosqlog: " + line for line in account.log_says],
        *["WRONG: " + line for line in account.wrong],
    ]  # fmt: skip


def main() -> int:
    args = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    args.add_argument("n", nargs="?", type=int, default=200, help="boards")
    args.add_argument(
        "--events", default=",".join(EVENTS), type=lambda text: [kind for kind in text.split(",") if kind]
    )
    args.add_argument("--interval", type=float, default=10, help="seconds between two measurements of a board")
    args.add_argument("--away", type=float, default=8, help="seconds that the broker is away")
    args.add_argument("--docs", action="store_true", help="write docs/fleet.svg and the figures of docs/operators.md")
    args.add_argument("--keep", type=Path, help="leave the boards' and the broker's logs here")
    opts = args.parse_args()
    unknown = set(opts.events) - set(EVENTS)
    if unknown or opts.n < 1:
        args.error("events are %s; N is from 1" % ", ".join(EVENTS))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = opts.keep or Path(tempfile.mkdtemp(prefix="fleet-"))
    run = None
    try:
        if not micropython():
            raise BoardError("there is no MicroPython: `make setup` tries to get one")
        run = Run(opts, folder)
        print("%d boards, %s, %s" % (opts.n, run.boards.template.name, run.broker.title), flush=True)
        account = run.go()
        for line in report(account):
            print(line)
        for line, boards in sorted(run.boards.words().items(), key=lambda item: -item[1])[:12]:
            print("  %4d boards said: %s" % (boards, line))
        if opts.docs:
            operators_page.write_fleet(account)
    except (BrokerError, BoardError) as error:
        print("fleet: %s" % error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        if run:
            run.close()
        if not opts.keep:
            shutil.rmtree(folder, ignore_errors=True)  # a minute for 200 boards with two firmwares each
    return 1 if account.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
