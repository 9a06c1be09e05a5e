"""Kill the firmware, the link and the broker at random, and count every reading at an independent client.

    python -m tools.prove.kills [N] [--seed S] [--qos Q] [--broker-kill] [--app] [--forget] [--peers FOLDER]

A real MicroPython runs host_tests/power/node.py (store and outbox on) against a real Mosquitto with persistence,
through a proxy. N times it is killed with SIGKILL; between, links are cut after some bytes or stalled, and the broker
is stopped (SIGTERM, so that its database is whole) and started. A paho-mqtt client with a kept session counts.

--broker-kill: SIGKILL for the broker too. It forgets what it had acknowledged since it last saved: what is missing
must stand acknowledged in its log, and what it hands out twice is its own.
--app: the whole firmware, as `make run` runs it, with its readings kept on flash.
--forget: the firmware loses its journal at each start. --peers FOLDER: FOLDER/umqtt/robust.py of micropython-lib in
the firmware's place. Both for comparison.

Exit status: 0 nothing lost and nothing twice (in QoS 1: nothing lost), 1 else, 2 MicroPython or Mosquitto is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "host_tests")]

import run_mpy  # noqa: E402

from tools import broker as brokers  # noqa: E402
from tools.build import build  # noqa: E402
from tools.firmware_process import HostBoard  # noqa: E402
from tools.mosqlog import events, parse  # noqa: E402

CONF = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 1
max_queued_messages 0
log_type all
"""
NODE = ROOT / "host_tests" / "power" / "node.py"
PEER_NODE = ROOT / "host_tests" / "power" / "peer_node.py"
INTERVAL_MS = 10
HEAP_KB = 56  # the least of an ESP32
START_TIMEOUT_S = 20
END_TIMEOUT_S = 90
QUIET_S = 5


class Broker:
    """Mosquitto that is stopped and started on one port. Its log goes on in one file."""

    def __init__(self, folder: Path) -> None:
        program = brokers.mosquitto()
        if not program:
            raise brokers.BrokerError("there is no Mosquitto: run `make setup`")
        self.command = [program, "-c", str(folder / "mosquitto.conf")]
        self.port = brokers.free_port()
        self.log = folder / "broker.log"
        conf = CONF.format(port=self.port, folder=folder) + ("user root\n" if os.geteuid() == 0 else "")
        (folder / "mosquitto.conf").write_text(conf)
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        end_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < end_s and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise brokers.BrokerError("the broker does not start: " + self.log.read_text(errors="replace")[-300:])

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process:
            self.process.send_signal(how)
            self.process.wait(START_TIMEOUT_S)
            self.process = None


class Proxy(threading.Thread):
    """A TCP link that can be cut and stalled. `cut_after_b`: bytes (both directions) until the next cut, 0: none."""

    def __init__(self, target: int) -> None:
        super().__init__(daemon=True)
        self.target = target
        self.port = 0
        self.cut_after_b = 0
        self.cuts = 0
        self.stalled = False
        self.writers: set[asyncio.StreamWriter] = set()
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()

    def run(self) -> None:
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self._accepted, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        self.loop.run_forever()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, up_writer}
        self.writers |= both
        await asyncio.gather(self._copy(reader, up_writer, both), self._copy(up_reader, writer, both))
        self.writers -= both

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, both: set) -> None:
        try:
            while True:
                data = await reader.read(4096)
                if not data:
                    break
                while self.stalled:
                    await asyncio.sleep(0.02)
                if self.cut_after_b:
                    if self.cut_after_b <= len(data):
                        data = data[: self.cut_after_b]
                        self.cut_after_b = -1
                    else:
                        self.cut_after_b -= len(data)
                writer.write(data)
                await writer.drain()
                if self.cut_after_b < 0:
                    self.cut_after_b = 0
                    self.cuts += 1
                    break
        except OSError:
            pass
        for each in both:
            each.close()

    def end(self) -> None:
        async def leave() -> None:
            for writer in self.writers:
                writer.transport.abort()
            self.loop.stop()

        asyncio.run_coroutine_threadsafe(leave(), self.loop)
        self.join(5)


class Counter:
    """The independent client: the numbers of the readings in the order in which they came."""

    def __init__(self, port: int) -> None:
        self.came: list[int] = []
        self.last_s = time.monotonic()
        self.subscribed = threading.Event()
        client = self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, "counter", clean_session=False)
        client.reconnect_delay_set(1, 1)
        client.on_message = self._message
        client.on_connect = lambda *_: client.subscribe("kills/#", 2)
        client.on_subscribe = lambda *_: self.subscribed.set()
        client.connect_async("127.0.0.1", port)
        client.loop_start()
        if not self.subscribed.wait(START_TIMEOUT_S):
            raise brokers.BrokerError("the counting client is not let in")

    def _message(self, client: object, userdata: object, message: paho.MQTTMessage) -> None:
        if message.topic.endswith("/diag"):  # how the board is
            return
        if message.payload.startswith(b"{"):  # the whole firmware's: it counts from 1
            self.came.append(json.loads(message.payload)["seq"] - 1)
        elif not message.topic.endswith("/status"):
            self.came.append(int(message.topic.split("/")[1]))
        self.last_s = time.monotonic()

    def end(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Node:
    """The firmware as a process; its output goes on in one file."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.command = command
        self.log = folder / "node.log"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> bool:
        """Returns whether it was alive."""
        alive = self.process is not None and self.process.poll() is None
        if self.process:
            self.process.kill()
            self.process.wait()
        return alive

    def end(self) -> int:
        """Wait for its own end. Returns how many readings it took, -1 when it did not end well."""
        assert self.process
        try:
            self.process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        last = self.log.read_text(errors="replace").strip().splitlines()[-1:]
        return int(last[0].split()[1]) if last and last[0].startswith("taken ") else -1


class App:
    """The whole firmware in Node's place: the board of `make run`, its readings kept on flash."""

    def __init__(self, folder: Path, port: int, qos: int) -> None:
        build(folder / "board")
        config = {
            "wifi_ssid": "kills", "broker": "127.0.0.1", "port": port, "client_id": "node", "topic": "kills",
            "qos": qos, "interval_s": 0.1, "timeout_s": 2, "keepalive_s": 5, "ntp_host": "", "keep_in": "flash",
            "stop_pin": HostBoard.STOP_PIN,
            "sensors": [{"type": "dht22", "pin": 4, "name": "room"}],
        }  # fmt: skip
        self.board = HostBoard(folder / "board", config, HEAP_KB)
        self.log = self.board.log

    def start(self) -> None:
        self.board.start()

    def kill(self) -> bool:
        """Returns whether it was alive."""
        process = self.board.running
        alive = process is not None and process.poll() is None
        if process:
            process.kill()
            process.wait()
        return alive

    def end(self) -> int:
        """Press the stop button; start it again until all that waits was sent. Returns how many readings it took."""
        ask = (
            "import sys; sys.path.insert(0, %r); from umqtt.store import *; from umqtt.outbox import *;"
            "s = Store(FileJournal('journal')); o = Outbox('queue', s); print(o.next, o.waiting, s.window)"
        ) % str(ROOT / "firmware" / "lib")
        for _ in range(8):
            time.sleep(2)
            self.board.stop()
            got = subprocess.run([run_mpy.interpreter(), "-c", ask], cwd=self.board.root, stdout=subprocess.PIPE)
            taken, waiting, in_flight = (int(number) for number in got.stdout.split())
            if not waiting and not in_flight:
                return taken
            (self.board.root / "stop").unlink()
            self.start()
        return -1


def acknowledged(log: Path) -> set[int]:
    """The readings that the broker acknowledged to the node, as its log says."""
    topics: dict[int, str] = {}
    acked = set()
    for line in log.read_bytes().splitlines():
        event = parse.parse(line)
        if getattr(event, "client", None) != "node":
            continue
        if isinstance(event, events.Publish) and not event.sent and event.topic.startswith("kills/"):
            topics[event.pid] = event.topic
        elif (
            isinstance(event, events.Ack) and event.sent and event.name in ("PUBACK", "PUBREC") and event.pid in topics
        ):
            acked.add(int(topics[event.pid].split("/")[1]))
    return acked


def chaos(args: argparse.Namespace, node: Node | App, proxy: Proxy, broker: Broker) -> dict[str, int]:
    """Returns what was done how often."""
    rnd = random.Random(args.seed)
    did = {"killed": 0, "broker restarts": 0, "stalls": 0}
    node.start()
    for _ in range(args.n):
        if rnd.random() < 0.5:
            proxy.cut_after_b = rnd.randint(1, 1500)
        if rnd.random() < 0.15:
            did["stalls"] += 1
            proxy.stalled = True
            time.sleep(rnd.uniform(0.1, 2.5))
            proxy.stalled = False
        if rnd.random() < 0.15:
            did["broker restarts"] += 1
            broker.stop(signal.SIGKILL if args.broker_kill else signal.SIGTERM)
            time.sleep(rnd.uniform(0, 0.3))
            broker.start()
        time.sleep(rnd.uniform(0.5, 2.5) if args.app else rnd.uniform(0.02, 0.6))
        did["killed"] += node.kill()
        node.start()
    return did


def report(args: argparse.Namespace, did: dict[str, int], taken: int, counter: Counter, broker: Broker) -> int:
    came = counter.came
    lost = sorted(set(range(taken)) - set(came))
    repeated = len(came) - len(set(came))
    disordered = sum(later < earlier for earlier, later in zip(came, came[1:]))
    print(", ".join("%s %d" % (key, value) for key, value in did.items()))
    print("readings taken %d, arrived %d, lost %d, repeated %d, out of order %d"
          % (taken, len(set(came)), len(lost), repeated, disordered))  # fmt: skip
    if lost:
        print("lost: " + " ".join(map(str, lost[:40])))
    if args.broker_kill:
        acked = acknowledged(broker.log)
        blamed = [number for number in lost if number not in acked]
        print("acknowledged in the broker's log %d, missing and not among them %d" % (len(acked), len(blamed)))
        return 1 if blamed else 0
    if args.qos == 1:
        return 1 if lost else 0
    return 1 if lost or repeated or disordered else 0


def run(args: argparse.Namespace, folder: Path) -> int:
    micropython = run_mpy.interpreter()
    if not micropython:
        raise brokers.BrokerError("there is no MicroPython: run `make setup`")
    broker = Broker(folder)
    proxy = Proxy(broker.port)
    state = folder / "flash"
    state.mkdir()
    counter = node = None
    try:
        broker.start()
        proxy.start()
        proxy.ready.wait()
        counter = Counter(broker.port)
        command = [micropython, str(PEER_NODE if args.peers else NODE), str(state), str(proxy.port)]
        command += [str(args.qos), str(INTERVAL_MS), args.peers or str(args.forget)]
        node = App(folder, proxy.port, args.qos) if args.app else Node(command, folder)
        did = chaos(args, node, proxy, broker)
        proxy.cut_after_b = 0
        time.sleep(1)  # however slow the machine, its last life takes readings
        (state / "stop").touch()
        taken = node.end()
        did["links cut"] = proxy.cuts
        end_s = time.monotonic() + END_TIMEOUT_S
        while len(set(counter.came)) < taken and time.monotonic() < min(end_s, counter.last_s + QUIET_S):
            time.sleep(0.05)
        time.sleep(0.5)  # for one that would come twice
        if taken < 0:
            print("the firmware did not end by itself: " + node.log.read_text(errors="replace")[-500:])
            return 1
        return report(args, did, taken, counter, broker)
    finally:
        if node:
            node.kill()
        if counter:
            counter.end()
        if proxy.is_alive():
            proxy.end()
        broker.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("n", nargs="?", type=int, default=50, help="kills")
    parser.add_argument("--seed", type=int, default=None, help="the same chaos again (its timing differs)")
    parser.add_argument("--qos", type=int, default=2, choices=(1, 2))
    parser.add_argument("--broker-kill", action="store_true", help="SIGKILL for the broker too")
    parser.add_argument("--app", action="store_true", help="the whole firmware, as `make run` runs it, keep_in flash")
    parser.add_argument("--forget", action="store_true", help="the firmware loses its journal at each start")
    parser.add_argument("--peers", default="", help="folder with micropython-lib's umqtt/robust.py")
    args = parser.parse_args()
    if args.seed is None:
        args.seed = random.randrange(10000)
    print("seed %d" % args.seed)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # through the finally's: no process is left behind
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    try:
        return run(args, folder)
    except KeyboardInterrupt:
        return 130
    except brokers.BrokerError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        if os.environ.get("KEEP"):
            print("kept: %s" % folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
