"""What an operation costs: this client as a board loads it, peers, and the floor (a bare socket), as ratios.

    python3 -m tools.measure.bench [--peers DIR] [--check] [--docs] [--port DEVICE --host ADDRESS]

Instructions are user instructions under valgrind's callgrind on the 64-bit MicroPython, heap is of the 32-bit one: both
are exact on one machine, and --check (exit status 1) holds them against budgets.json. Times are told, never
tested, the clients taking turns. Ours is measured in the form that is shipped, the others, which tools/setup/peers.py
has got, as they are; --peers: one more, in a folder. --port: time on a board (a serial device for mpremote) with the
library in its /lib and its network up; it connects back to --host, this machine's address in that network. Exit status
2: a tool is missing.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple, Optional

from tools.measure import size
from tools.measure.bench_peer import Peer

OPS = Path(__file__).resolve().parent / "bench_ops.py"
DOCS = size.ROOT / "docs" / "bench.md"
PEERS = size.ROOT / ".cache" / "peers"
PEER_OPS = Path(__file__).resolve().parent / "bench_peers.py"
OPERATIONS = ["publish0", "publish1", "publish2", "receive_view", "receive_callback", "ping", "idle", "route"]
ABLE = {
    "native": ["publish0", "publish1", "publish2", "receive_view", "receive_callback", "ping", "idle"],
    "v5": ["publish0", "publish1", "publish2", "receive_view", "receive_callback"],
    "prepared": ["publish0", "publish1"],
    "simple": ["publish0", "publish1", "publish2", "receive_callback", "ping", "idle"],
    "aio": ["publish0", "publish1", "publish2", "receive_callback", "idle"],
    "aio_v5": ["publish0", "publish1", "publish2", "receive_callback", "idle"],
    "routes": ["route"],
    "floor": ["publish0", "publish1", "publish2", "receive_view", "receive_callback", "ping"],
    "simple2": ["publish0", "publish1", "receive_callback", "ping", "idle"],
    "mqtt_async": ["publish0", "publish1", "receive_callback"],
    "mqtt_as": ["publish0", "publish1", "receive_callback"],
    "aiomqttc": ["publish0", "publish1", "receive_callback"],
    "chumicro": ["publish0", "publish1", "receive_callback", "idle"],
}
# What each package of tools/setup/peers.py is in bench_ops.py or bench_peers.py.
PEER_KINDS = {
    "umqtt.simple-1.3.4": "simple",
    "umqtt.simple2-2.2.0": "simple2",
    "mqtt-async-0.7b4": "mqtt_async",
    "aiomqttc-1.0.7": "aiomqttc",
    "chumicro-mqtt-0.30.3": "chumicro",
}
ACK_DELAY_S = (
    0.002  # under valgrind: long enough for the client to be waiting in every round, so that each costs the same
)
FEW, MANY = 50, 250
TIMED = {"publish0": 3000, "publish1": 2000, "publish2": 1000, "receive_view": 1500, "receive_callback": 1500}
TIMED.update(ping=2000, idle=3000, route=3000)
REPEATS = 3
BOARD_ROUNDS = 50  # their QoS 0 messages fit a board's TCP window of 5.7 KB


class Client(NamedTuple):
    """A row: what bench_ops.py or bench_peers.py calls it, and the folder that holds its modules."""

    name: str
    kind: str
    path: str
    is_ours: bool = True

    def able(self, operation: str) -> bool:
        return operation in ABLE[self.kind] and (self.is_ours or operation != "publish2")

    def program(self) -> Path:
        return OPS if self.is_ours or self.kind in ("simple", "floor") else PEER_OPS


class Cost(NamedTuple):
    instructions: Optional[float]
    writes: Optional[float]
    heap_b: float
    us: float
    segments: Optional[float] = None


def ops(command: list, client: Client, operation: str, rounds: int, delay_s: float = 0) -> tuple:
    """Run bench_ops.py once; returns (ms, heap bytes, TCP segments with data)."""
    with Peer(delay_s) as peer:
        got = subprocess.run(
            [*command, str(client.program()), client.kind, operation, str(rounds), "127.0.0.1", str(peer.port)],
            env={**os.environ, "MICROPYPATH": client.path + ":.frozen"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
    text = got.stdout.decode(errors="replace")
    found = re.search(r"^measured (-?\d+) (-?\d+)$", text, re.M)
    if not found:
        raise RuntimeError("%s, %s:\n%s" % (client.name, operation, text[-2000:]))
    return int(found.group(1)), int(found.group(2)), peer.segments


def profile(client: Client, operation: str, rounds: int) -> tuple:
    """(instructions, write calls, TCP segments or None) of a whole run under callgrind: so slow that no two packets can
    share a segment."""
    with tempfile.TemporaryDirectory() as tmp:
        out = Path(tmp) / "callgrind.out"
        wrapper = Path(size.micropython(64)).resolve()
        tree = wrapper.parent / "root-amd64"
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=%s" % out]
        loader = next(tree.glob("**/ld-linux-x86-64.so.2"), None)
        if loader:  # the wrapper is a shell script: what it starts is measured
            command += [
                str(loader),
                "--library-path",
                str(tree / "usr/lib/x86_64-linux-gnu"),
                str(tree / "usr/bin/micropython"),
            ]
        else:
            command += [str(wrapper)]
        segments = ops([*command, "-X", "heapsize=8m"], client, operation, rounds, ACK_DELAY_S)[2]
        text = out.read_text()
    total = int(re.search(r"^(?:summary|totals): (\d+)", text, re.M).group(1))
    names = dict(re.findall(r"^c?fn=(\(\d+\)) (.+)$", text, re.M))
    writes = 0
    for name, calls in re.findall(r"^cfn=(\(\d+\)).*\ncalls=(\d+)", text, re.M):
        if names[name] in ("write", "__write", "send"):
            writes += int(calls)
    return total, writes, segments


def measure(client: Client, operation: str, with_valgrind: bool) -> Cost:
    heap = [ops([size.micropython(32), "-X", "heapsize=4m"], client, operation, rounds)[1] for rounds in (FEW, MANY)]
    per = MANY - FEW
    instructions = writes = segments = None
    if with_valgrind:
        few, many = profile(client, operation, FEW), profile(client, operation, MANY)
        instructions, writes, segments = (
            None if many_of_it is None else (many_of_it - few_of_it) / per for few_of_it, many_of_it in zip(few, many)
        )
    return Cost(instructions, writes, max(0, heap[1] - heap[0]) / per, 0, segments)


def passed_over(budgets: list, client: str, operation: str, cost: Cost) -> list:
    """A line for each budget of the operation that its cost exceeds; what was not measured exceeds nothing."""
    failed = []
    for budget in budgets:
        got = getattr(cost, budget["figure"])
        # rounded: one read in hundreds may be cut in two by TCP, which takes 48 B for a view of the rest
        if (
            (budget["client"], budget["operation"]) == (client, operation)
            and got is not None
            and round(got) > budget["checked"]
        ):
            failed.append(
                "%s %s %s: %d, the budget is %d" % (client, operation, budget["figure"], got, budget["checked"])
            )
    return failed


def timed(clients: list, operation: str) -> dict:
    """Microseconds per operation, the clients in turn, the median of REPEATS rounds."""
    us: dict = {client.name: [] for client in clients}
    for _ in range(REPEATS):
        for client in clients:
            command = [size.micropython(32), "-X", "heapsize=4m"]
            rounds = FEW  # a peer that waits for delayed ACKs takes 44 ms for one
            if ops(command, client, operation, rounds)[0] < 4 * rounds:
                rounds = TIMED[operation]
            us[client.name].append(ops(command, client, operation, rounds)[0] * 1000 / rounds)
    return {name: statistics.median(got) for name, got in us.items()}


def board(port: str, host: str) -> None:
    """Time the native client and umqtt.simple on a board; prints a line for each operation. Raises RuntimeError."""
    for kind in ("native", "simple"):
        for operation in ABLE[kind]:
            with Peer(listen=host) as peer:
                argv = ["bench", kind, operation, str(BOARD_ROUNDS), host, str(peer.port)]
                # /lib first: firmware has a umqtt of its own frozen in
                code = "import sys\nsys.path.insert(0, '/lib')\nsys.argv[:] = %r\n%s" % (argv, OPS.read_text())
                got = subprocess.run(
                    [sys.executable, "-m", "mpremote", "connect", port, "exec", code],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
            text = got.stdout.decode(errors="replace")
            found = re.search(r"^measured (-?\d+) (-?\d+)", text, re.M)
            if not found:
                raise RuntimeError("%s, %s on %s:\n%s" % (kind, operation, port, text[-2000:]))
            ms, heap_b = (int(number) / BOARD_ROUNDS for number in found.groups())
            print("%-8s %-9s %8.2f ms %6.0f B" % (kind, operation, ms, heap_b), flush=True)


def peers(also: str) -> list:
    """The clients of others that are there: those of .cache/peers, and those of the folder `also`."""
    found = [
        Client(name, kind, str(PEERS / name), False)
        for name, kind in PEER_KINDS.items()
        if (PEERS / name / "pins").exists()
    ]
    for inside in ("", "micropython/umqtt.simple"):
        if also and Path(also, inside, "umqtt", "simple.py").exists():
            found.append(Client("umqtt.simple of PEERS", "simple", str(Path(also, inside)), False))
    if also and Path(also, "mqtt_as", "__init__.py").exists():
        found.append(Client("mqtt_as of PEERS", "mqtt_as", also, False))
    return found


def budget_table(budgets: list, measured: dict) -> list:
    """Each budget and what was reached. measured: {(client, operation): Cost}."""
    out = ["| | figure | reached | checked | budget | aim |", "|---|---|--:|--:|--:|--:|"]
    for budget in budgets:
        got = measured.get((budget["client"], budget["operation"]))
        reached = getattr(got, budget["figure"]) if got else None
        words = "%s, %s" % (budget["client"], budget["operation"])
        cells = [words, budget["figure"], "-" if reached is None else "%d" % round(reached)]
        out.append(
            "| %s |" % " | ".join(cells + [str(budget.get(column, "")) for column in ("checked", "budget", "aim")])
        )
    return out


def table(operation: str, costs: dict) -> list:
    floor = costs.get("floor")
    out = [
        "",
        "**%s**" % operation,
        "",
        "| | instructions | x floor | writes | segments | heap B | us | x floor |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, cost in costs.items():
        ratio = "%.1f" % (cost.instructions / floor.instructions) if floor and cost.instructions else "-"
        slower = "%.1f" % (cost.us / floor.us) if floor and floor.us else "-"
        out.append(
            "| %s | %s | %s | %s | %s | %.0f | %.1f | %s |"
            % (name, "%.0f" % cost.instructions if cost.instructions else "-", ratio,
               "-" if cost.writes is None else "%.1f" % cost.writes,
               "-" if cost.segments is None else "%.1f" % cost.segments, cost.heap_b, cost.us, slower)
        )  # fmt: skip
    return out


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--peers", default="", metavar="DIR", help="a folder with another umqtt, or micropython-lib")
    args.add_argument("--check", action="store_true", help="fail when a budget is passed")
    args.add_argument("--docs", action="store_true", help="write the tables into docs/bench.md")
    args.add_argument("--port", default="", help="a board's serial device")
    args.add_argument("--host", default="", help="this machine's address as the board sees it")
    opts = args.parse_args()
    if opts.port and not opts.host:
        args.error("--port needs --host, the address of this machine that the board can reach")
    others = peers(opts.peers)
    if opts.peers and not any(client.path.startswith(opts.peers) for client in others):
        args.error("no umqtt/simple.py, micropython/umqtt.simple or mqtt_as/__init__.py in %s" % opts.peers)
    if opts.port:
        try:
            board(opts.port, opts.host)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 1
        return 0
    with_valgrind = bool(shutil.which("valgrind"))
    if not with_valgrind:
        print("Instructions and writes are left out: there is no valgrind (apt install valgrind).")
    lines: list = []
    failed: list = []
    try:
        with tempfile.TemporaryDirectory() as tmp:
            form = size.compile_library(Path(tmp))
            clients = [Client("native", "native", tmp), Client("umqtt.simple", "simple", tmp)]
            if "publisher" in form.modules:
                clients.insert(1, Client("prepared", "prepared", tmp))
            clients += [Client("v5", "v5", tmp)]
            clients += [Client("aio", "aio", tmp), Client("aio_v5", "aio_v5", tmp), Client("routes", "routes", tmp)]
            clients += [*others, Client("floor", "floor", tmp)]
            budgets = json.loads(size.BUDGETS.read_text())["operations"]
            measured: dict = {}
            for operation in OPERATIONS:
                able = [client for client in clients if client.able(operation)]
                us = timed(able, operation)
                costs = {
                    client.name: measure(client, operation, with_valgrind)._replace(us=us[client.name])
                    for client in able
                }
                measured.update({(name, operation): cost for name, cost in costs.items()})
                lines += table(operation, costs)
                print("\n".join(table(operation, costs)), flush=True)
                for name in costs:
                    failed += passed_over(budgets, name, operation, costs[name])
            lines[:0] = ["", *budget_table(budgets, measured)]
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    if opts.docs:
        page = DOCS.read_text()
        DOCS.write_text(
            page.split("<!-- bench -->")[0]
            + "<!-- bench -->"
            + "\n".join(lines)
            + "\n<!-- /bench -->"
            + page.split("<!-- /bench -->")[1]
        )
    if opts.check and failed:
        print("\n".join("A budget is passed: " + words for words in failed), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
