"""`make cluster`: clients with several brokers in their list, while nodes are killed, stopped and cut off.

    python -m tools.prove.cluster [--kind rabbitmq|mosquitto|both] [--faults N] [--seed S] [--docs]

rabbitmq: three nodes on loopback whose sessions are quorum queues; each pair of nodes talks over a link that can be
cut. mosquitto: two brokers with a bridge. A publisher (20 messages a second, QoS 1) and a subscriber with a kept
session run on the 32-bit MicroPython with all brokers in their list. After each fault both must go on; when all is well
each must go back to the first of its list; at the end everything that was acknowledged must have arrived. Exit status:
0 when it has and nobody is stuck, 1 else, 2 when it cannot be run.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional

from tools.broker import BrokerError
from tools.firmware_process import micropython
from tools.prove import broker_makes, brokers_page
from tools.prove.brokers_page import shown
from tools.prove.epmd import NameServer
from tools.prove.interop import library
from tools.prove.link import Link

DEVICE = Path(__file__).with_name("cluster_device.py")
HEAP_KB = 128
RECOVER_S = 60  # so long nobody may stand still after a fault
TOGETHER_S = 90
CALM_S = 3
FINISH_S = 60
CUT_OFF_S = 3
BACK_S = 240  # 3 s, doubled at each loss of a node that was gone back to and was not well for long
TICK_S = 6  # the nodes of a cluster notice a silent one after this


class Client:
    """A publisher or subscriber, and what it said with the time it was heard."""

    def __init__(self, interpreter: str, lib: Path, role: str, name: str, ports: List[int]) -> None:
        self.role, self.name, self.ports = role, name, ports
        self.accepted: Dict[int, float] = {}
        self.acknowledged = 0  # all before it are
        self.progress: List[float] = []  # when something was acknowledged, or received
        self.received: List[int] = []
        self.at: Optional[int] = None  # the port that it is connected to
        self.ups: List[float] = []
        self.words: List[str] = []
        self.subscribed = threading.Event()
        self.total: Optional[int] = None
        login = [broker_makes.USER, broker_makes.PASSWORD]
        self.process = subprocess.Popen(
            [interpreter, "-X", "heapsize=%dk" % HEAP_KB, str(DEVICE), str(lib), role, name, "1",
             ",".join(map(str, ports)), *login],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.listening = threading.Thread(target=self._listen, daemon=True)
        self.listening.start()

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            now_s = time.monotonic()
            word, _, rest = line.strip().partition(" ")
            if word == "A":
                self.accepted[int(rest)] = now_s
            elif word == "D":
                self.acknowledged = int(rest)
                self.progress.append(now_s)
            elif word == "R":
                self.received.append(int(rest))
                self.progress.append(now_s)
            elif word == "U":
                self.at = int(rest)
                self.ups.append(now_s)
            elif word == "S":
                self.subscribed.set()
            elif word == "L":
                self.words.append(rest)
            elif word == "END":
                self.total = int(rest)
            elif word != "I":
                self.words.append(line.strip())

    def is_at_its_first(self) -> bool:
        """Whether the broker that it was connected to last is the one that it prefers."""
        return self.at == self.ports[0]

    def finish(self) -> None:
        """Let it finish what is in flight, and end it."""
        assert self.process.stdin
        try:
            self.process.stdin.write("stop\n")
            self.process.stdin.flush()
            self.process.wait(FINISH_S)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGINT)  # its traceback says where it stands
            time.sleep(CALM_S)
        except OSError:
            pass
        self.close()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.listening.join()  # its last words are heard, too


class RabbitCluster:
    """Three nodes; `links[i][j]` is the way from node i to node j."""

    title = "RabbitMQ, three nodes, quorum sessions"
    faults = ("kill", "stop", "cut off")
    excuses = ()

    def __init__(self, name: str, folder: Path, size: int = 3) -> None:
        self.names = [NameServer() for _ in range(size)]
        self.nodes: List[broker_makes.RabbitMQ] = []
        self.links: List[Dict[int, Link]] = []
        labels = ["rabbit%d" % (i + 1) for i in range(size)]
        listed = "\n".join("cluster_formation.classic_config.nodes.%d = %s@localhost" % (i + 1, label)
                           for i, label in enumerate(labels))  # fmt: skip
        for i, label in enumerate(labels):
            self.names[i].others = [other for other in self.names if other is not self.names[i]]
            node = broker_makes.RabbitMQ(name, folder / label, label, self.names[i])
            node.ticktime_s = TICK_S
            node.extra = (
                "mqtt.durable_queue_type = quorum\ncluster_formation.peer_discovery_backend = classic_config\n" + listed
            )
            self.nodes.append(node)
        for i in range(size):
            self.links.append({})
            for j in range(size):
                if i != j:
                    link = self.links[i][j] = Link(self.names[j].port_of(labels[j]), keep_bytes=False)
                    self.names[i].routes[labels[j]] = link.port

    @property
    def ports(self) -> List[int]:
        return [node.port for node in self.nodes]

    def start(self) -> None:
        """Start all; returns when they are one cluster. Raises BrokerError."""
        threads = [threading.Thread(target=node.start) for node in self.nodes]
        for thread in threads:
            thread.start()
            time.sleep(2)  # the first forms the cluster, the others join it
        for thread in threads:
            thread.join()
        end_s = time.monotonic() + TOGETHER_S
        while time.monotonic() < end_s:
            if all(node.process and node.process.poll() is None for node in self.nodes) and self.is_whole():
                time.sleep(CALM_S)
                return
            time.sleep(0.2)
        raise BrokerError("the nodes do not become one cluster")

    def is_whole(self) -> bool:
        """Whether each pair of nodes is connected."""
        size = len(self.nodes)
        return all(self.links[i][j].open_count() + self.links[j][i].open_count() for i in range(size) for j in range(i))

    def hurt(self, fault: str, at: int) -> None:
        """Do something bad to a node."""
        if fault == "kill":
            self.nodes[at].stop(hard=True)
        elif fault == "stop":
            self.nodes[at].signal(signal.SIGSTOP)
        else:
            for i in range(len(self.nodes)):
                if i != at:
                    self.links[i][at].refuse()
                    self.links[at][i].refuse()

    def heal(self, fault: str, at: int) -> None:
        """Undo it; returns when the node takes clients again."""
        if fault == "kill":
            self.nodes[at].start()
        elif fault == "stop":
            self.nodes[at].signal(signal.SIGCONT)
        else:
            for i in range(len(self.nodes)):
                if i != at:
                    self.links[i][at].accept()
                    self.links[at][i].accept()
        end_s = time.monotonic() + TOGETHER_S
        while not (self.is_whole() and self.nodes[at].is_ready()):
            if time.monotonic() > end_s:
                raise BrokerError("node %d does not come back after %s" % (at + 1, fault))
            time.sleep(0.2)
        time.sleep(CALM_S)

    def close(self) -> None:
        for node in self.nodes:
            node.signal(signal.SIGCONT)
            node.stop(hard=True)
        for ways in self.links:
            for link in ways.values():
                link.close()
        for names in self.names:
            names.close()


class BridgedMosquittos:
    """Two Mosquittos; the second has a bridge to the first for all topics, both ways."""

    title = "Mosquitto, two with a bridge"
    faults = ("restart", "stop", "kill")
    # a Mosquitto that is killed forgets what it acknowledged since it last saved
    excuses = ("kill",)

    def __init__(self, name: str, folder: Path) -> None:
        self.nodes = [broker_makes.Mosquitto(name, folder / label) for label in ("first", "second")]
        self.nodes[1].extra = (
            "connection bridge\naddress 127.0.0.1:%d\ntopic cluster/# both 1\ncleansession false\nrestart_timeout 1\n"
            "remote_username %s\nremote_password %s\nkeepalive_interval 5\n"
        ) % (self.nodes[0].port, broker_makes.USER, broker_makes.PASSWORD)

    @property
    def ports(self) -> List[int]:
        return [node.port for node in self.nodes]

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        time.sleep(CALM_S)

    def hurt(self, fault: str, at: int) -> None:
        if fault == "stop":
            self.nodes[at].signal(signal.SIGSTOP)
        else:
            self.nodes[at].stop(hard=fault == "kill")

    def heal(self, fault: str, at: int) -> None:
        if fault == "stop":
            self.nodes[at].signal(signal.SIGCONT)
        else:
            self.nodes[at].start()
        time.sleep(2 * CALM_S)

    def close(self) -> None:
        for node in self.nodes:
            node.signal(signal.SIGCONT)
            node.stop()


class Story:
    """What was done to a cluster, and how the two clients took it."""

    def __init__(self, place, publisher: Client, subscriber: Client) -> None:
        self.place, self.publisher, self.subscriber = place, publisher, subscriber
        self.rows: List[Dict] = []
        self.excused: List[tuple] = []  # (from, to): what was acknowledged then may be lost by the broker
        self.wrong: List[str] = []
        self.account: List[str] = []
        self.back_s = 0.0

    def fault(self, kind: str, at: int, lasts_s: float) -> None:
        """One fault at a node, until both clients go on and it lasted."""
        hit = [client.role for client in (self.publisher, self.subscriber) if self.node(client) == at]
        began_s = time.monotonic()
        if kind in self.place.excuses:
            self.excused.append((began_s - 3, began_s + 3))
        self.place.hurt(kind, at)
        end_s = began_s + RECOVER_S
        waits: Dict[str, Optional[float]] = {"pub": None, "sub": None}
        while time.monotonic() < end_s and (None in waits.values() or time.monotonic() < began_s + lasts_s):
            for client in (self.publisher, self.subscriber):
                if waits[client.role] is None:
                    waits[client.role] = self.recovered(client, began_s, kind, client.role in hit)
            time.sleep(0.02)
        for role, wait in waits.items():
            if wait is None:
                client = self.publisher if role == "pub" else self.subscriber
                self.wrong.append("%s stands still %d s after %s of node %d (%s)" % (
                    role, RECOVER_S, kind, at + 1, "; ".join(client.words[-2:])))  # fmt: skip
        self.place.heal(kind, at)
        row = {"fault": kind, "node": at + 1, "hit": hit, **waits, "now": self._where()}
        self.rows.append(row)
        print(
            "  %-8s node %d, hit %-9s goes on after: publisher %s, subscriber %s; then at nodes %s"
            % (kind, at + 1, "+".join(hit) or "nobody", shown(waits["pub"]), shown(waits["sub"]), row["now"]),
            flush=True,
        )

    @staticmethod
    def recovered(client: Client, since_s: float, kind: str, was_hit: bool) -> Optional[float]:
        """Seconds from the fault to the first progress after it, of a client that was on the node on its new link."""
        ups = [up_s for up_s in client.ups if up_s > since_s]
        if not ups and (was_hit and kind != "cut off"):
            return None
        # of one that was cut off with its node, an answer that was under way is no progress
        from_s = ups[0] if ups else since_s + (CUT_OFF_S if was_hit else 0.05)
        after = [came_s for came_s in client.progress[-200:] if came_s > from_s]
        return after[0] - since_s if after else None

    def node(self, client: Client) -> int:
        """At which node the client was last."""
        ports = self.place.ports
        return ports.index(client.at) if client.at in ports else 0

    def _where(self) -> str:
        return "%d, %d" % (self.node(self.publisher) + 1, self.node(self.subscriber) + 1)

    def way_back(self) -> None:
        """All is well: wait until each client is at the first node of its list."""
        began_s = time.monotonic()
        clients = [self.publisher, self.subscriber]
        while not all(client.is_at_its_first() for client in clients):
            if time.monotonic() - began_s > BACK_S:
                self.wrong += ["the %s is not back at the first node of its list after %d s" % (client.role, BACK_S)
                               for client in clients if not client.is_at_its_first()]  # fmt: skip
                break
            time.sleep(0.1)
        self.back_s = time.monotonic() - began_s
        time.sleep(CALM_S)

    def finish(self) -> List[str]:
        """Stop the publisher, wait for what is on its way; the lines of the account."""
        self.publisher.finish()
        total = self.publisher.total
        end_s = time.monotonic() + FINISH_S
        while total is not None and time.monotonic() < end_s:
            if set(range(total)) <= set(self.subscriber.received):
                break
            time.sleep(0.1)
        time.sleep(1)
        self.subscriber.finish()
        got = self.subscriber.received
        if total is None or self.publisher.acknowledged < total:
            self.wrong.append("the publisher ended with %s of %s acknowledged (%s)" % (
                self.publisher.acknowledged, total, "; ".join(self.publisher.words[-3:])))  # fmt: skip
        lost = [number for number in range(self.publisher.acknowledged) if number not in set(got)]
        excused = [
            number
            for number in lost
            if any(earlier_s < self.publisher.accepted[number] < later_s for earlier_s, later_s in self.excused)
        ]
        lost = [number for number in lost if number not in excused]
        if lost:
            self.wrong.append("%d acknowledged messages did not arrive: %s" % (len(lost), lost[:20]))
        waits = {
            role: [row[role] for row in self.rows if row[role] is not None and role in row["hit"]]
            for role in ("pub", "sub")
        }
        gaps = [
            later_s - earlier_s for earlier_s, later_s in zip(self.subscriber.progress, self.subscriber.progress[1:])
        ]
        return [
            "%d published and acknowledged, %d lost%s, %d repeated, %d faults" % (
                self.publisher.acknowledged, len(lost),
                " (and %d that a killed broker had not saved)" % len(excused) if self.place.excuses else "",
                len(got) - len(set(got)), len(self.rows)),
            "a publisher that was hit goes on after %s, a subscriber after %s; longest silence at the subscriber %s" % (
                _spread(waits["pub"]), _spread(waits["sub"]), shown(max(gaps, default=None))),
            "at the end the publisher is at node %d, the subscriber at node %d, the first of their lists, %s after the"
            " last fault" % (self.node(self.publisher) + 1, self.node(self.subscriber) + 1, shown(self.back_s)),
        ]  # fmt: skip


def _spread(times: List[float]) -> str:
    if not times:
        return "-"
    return "%s (median of %d; most %s)" % (shown(statistics.median(times)), len(times), shown(max(times)))


def plan(faults: tuple, count: int) -> List[tuple]:
    """(fault, whose node: "pub" or "sub") in turn: each fault at the publisher's node, then at the subscriber's."""
    return [(faults[i % len(faults)], ("pub", "sub")[i // len(faults) % 2]) for i in range(count)]


def tell(make: Callable, opts: argparse.Namespace, interpreter: str, lib: Path) -> Story:
    """Run one story. Raises BrokerError."""
    rng = random.Random(opts.seed)
    place = make()
    clients: List[Client] = []
    try:
        print(place.title + ":", flush=True)
        place.start()
        ports = place.ports
        subscriber = Client(interpreter, lib, "sub", "sub", ports[1:] + ports[:1])
        clients.append(subscriber)
        if not subscriber.subscribed.wait(RECOVER_S):
            raise BrokerError("the subscriber does not get in: " + "; ".join(subscriber.words[-3:]))
        publisher = Client(interpreter, lib, "pub", "pub", ports)
        clients.append(publisher)
        time.sleep(2)
        story = Story(place, publisher, subscriber)
        for fault, whose in plan(place.faults, opts.faults):
            victim = publisher if whose == "pub" else subscriber
            story.fault(fault, story.node(victim), rng.uniform(6, 10))
        story.way_back()
        story.account = story.finish()
        for line in story.account:
            print("  " + line)
        for line in story.wrong:
            print("  WRONG: " + line)
        return story
    finally:
        for client in clients:
            client.close()
        place.close()


def main() -> int:
    args = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    args.add_argument("--kind", choices=("rabbitmq", "mosquitto", "both"), default="both")
    args.add_argument("--rabbitmq", default="rabbitmq-trixie", help="which RabbitMQ of .cache/brokers")
    args.add_argument("--faults", type=int, default=6)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--docs", action="store_true", help="write the figures into docs/brokers.md")
    args.add_argument("--keep", type=Path, help="leave the nodes' folders with their logs here")
    opts = args.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    interpreter = micropython()
    if not interpreter:
        print("cluster: there is no MicroPython: `make setup` tries to get one", file=sys.stderr)
        return 2
    folder = opts.keep or Path(tempfile.mkdtemp(prefix="cluster-"))
    made: Dict[str, Callable] = {
        "rabbitmq": lambda: RabbitCluster(opts.rabbitmq, folder / "rabbitmq"),
        "mosquitto": lambda: BridgedMosquittos("mosquitto", folder / "mosquitto"),
    }
    stories = []
    try:
        lib = library(folder)
        for kind, make in made.items():
            if opts.kind in (kind, "both"):
                stories.append(tell(make, opts, interpreter, lib))
    except BrokerError as error:
        print("cluster: %s" % error, file=sys.stderr)
        return 2
    finally:
        if not opts.keep:
            shutil.rmtree(folder, ignore_errors=True)
    if opts.docs:
        brokers_page.write_cluster(stories)
    return 1 if any(story.wrong for story in stories) else 0


if __name__ == "__main__":
    sys.exit(main())
