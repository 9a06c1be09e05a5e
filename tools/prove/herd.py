"""`make herd`: ten thousand boards in virtual time, with the client's own retry policy.

    python -m tools.prove.herd [BOARDS] [--seed S] [--docs]

Three questions of an operator: what comes at a broker after an outage, what the keep-alives of idle boards cost it,
what Home Assistant's discovery sends when all boards start at once. The policy that decides when a board tries again is
the client's (umqtt.reconnect), with the firmware's figures, on a virtual clock; the broker is a queue that lets in so
many connections a second.
"""

from __future__ import annotations

import argparse
import errno
import heapq
import math
import random
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Tuple

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "host_tests"), str(ROOT / "firmware"), str(ROOT / "firmware" / "lib")]

import fakes.shim  # noqa: E402, F401 - what the firmware takes from MicroPython

# isort: split
import announcement  # noqa: E402
from umqtt import reconnect as client_policy  # noqa: E402

from tools.prove import operators_page  # noqa: E402

READINGS = 7  # of the example configuration, each time
PUBLISH_HEAD_B = 7


class VirtualTime:
    """Milliseconds that pass only when the simulation says so; the firmware's policy reads them."""

    def __init__(self, seed: int) -> None:
        self.now_ms = 0
        self.random = random.Random(seed)

    def __enter__(self) -> VirtualTime:
        self.before = {name: getattr(client_policy, name) for name in ("ticks_ms", "ticks_diff", "getrandbits")}
        client_policy.ticks_ms = lambda: self.now_ms
        client_policy.ticks_diff = lambda later, earlier: later - earlier
        client_policy.getrandbits = self.random.getrandbits
        return self

    def __exit__(self, *_: object) -> None:
        for name, value in self.before.items():
            setattr(client_policy, name, value)


class Always:
    """A policy to compare with: the same pause each time."""

    def __init__(self, pause_ms: int) -> None:
        self.pause_ms = pause_ms
        self.count = 0

    def failed(self, _words: str) -> None:
        self.count += 1


class Doubling:
    """A policy to compare with: the pause doubles, without chance."""

    def __init__(self, first_ms: int, most_ms: int) -> None:
        self.first_ms, self.most_ms = first_ms, most_ms
        self.count = 0
        self.pause_ms = 0

    def failed(self, _words: str) -> None:
        self.pause_ms = min(self.most_ms, self.first_ms << min(self.count, 16))
        self.count += 1


class OurPolicy:
    """umqtt.reconnect with the firmware's pauses (node.py): a connection that lasted is lost, or an attempt fails."""

    inflight = 0
    _fault = OSError(errno.ECONNREFUSED)
    _error_words = "refused"

    def __init__(self) -> None:
        self.reconnect = client_policy.Reconnect(1000, 60000)

    def diag(self) -> Dict[str, str]:
        return {"error": self._error_words}

    def failed(self, _words: str) -> None:
        self.reconnect.lost(self)

    @property
    def pause_ms(self) -> int:
        return self.reconnect.pause_left_ms()


POLICIES: Dict[str, Callable] = {
    "the firmware": OurPolicy,
    "every 5 s": lambda: Always(5000),
    "doubling to 60 s": lambda: Doubling(1000, 60000),
}  # fmt: skip


@dataclass
class Outage:
    """What happens. refused: the broker's port is closed, so an attempt fails at once; else nobody answers.

    logins_per_s: what the broker manages (Mosquitto without TLS thousands, with TLS some hundreds a core).
    """

    boards: int = 10000
    away_s: float = 8.0
    refused: bool = True
    timeout_s: float = 10.0
    keepalive_s: float = 60.0
    interval_s: float = 60.0
    logins_per_s: float = 2000.0
    queue: int = 64


@dataclass
class Herd:
    """What came of it. Times count from the end of the outage."""

    back_s: List[float] = field(default_factory=list)
    attempts: int = 0
    failed_after: int = 0  # attempts that the broker, back again, did not serve in time
    most_in_100_ms: int = 0  # attempts, after the outage
    most_in_1_s: int = 0
    dropped: int = 0
    longest_wait_s: float = 0.0

    def at(self, part: float) -> float:
        return self.back_s[min(len(self.back_s) - 1, int(len(self.back_s) * part))] if self.back_s else 0.0


def after_an_outage(outage: Outage, policy: Callable, seed: int = 1, give_up_s: float = 3600) -> Herd:
    """Play an outage for all boards, in virtual time."""
    herd = Herd()
    with VirtualTime(seed) as time:
        end_ms = int(outage.away_s * 1000)
        service_ms = 1000 / outage.logins_per_s
        free_at_ms = 0.0  # when the broker is done with whom it has let wait
        events: List[Tuple[int, int]] = []  # (when, board): its next attempt
        policies = [policy() for _ in range(outage.boards)]
        for board in range(outage.boards):
            # a closed port resets all connections at once; a silent network is noticed by each in its time
            noticed_ms = 0 if outage.refused else int(time.random.uniform(0.5, 1.25) * outage.keepalive_s * 1000)
            if outage.refused or noticed_ms < end_ms:
                events.append((noticed_ms, board))
            else:
                herd.back_s.append(0.0)  # it never knew
        heapq.heapify(events)
        tried: List[int] = []
        while events and events[0][0] < end_ms + give_up_s * 1000:
            time.now_ms, board = heapq.heappop(events)
            herd.attempts += 1
            if time.now_ms < end_ms:
                failed_ms = time.now_ms + (0 if outage.refused else int(outage.timeout_s * 1000))
                if not outage.refused and failed_ms >= end_ms:
                    # the SYN that TCP sends again reaches the broker
                    failed_ms = end_ms
            else:
                tried.append(time.now_ms - end_ms)
                free_at_ms = max(free_at_ms, time.now_ms) + service_ms
                wait_s = (free_at_ms - time.now_ms) / 1000
                herd.longest_wait_s = max(herd.longest_wait_s, wait_s)
                if wait_s <= outage.timeout_s:
                    herd.back_s.append((free_at_ms - end_ms) / 1000)
                    continue
                herd.failed_after += 1
                failed_ms = time.now_ms + int(outage.timeout_s * 1000)
            time.now_ms = failed_ms
            policies[board].failed("refused")
            heapq.heappush(events, (failed_ms + policies[board].pause_ms, board))
    herd.back_s.sort()
    herd.most_in_100_ms = _most(tried, 100)
    herd.most_in_1_s = _most(tried, 1000)
    for back_s in herd.back_s:
        waiting = (outage.away_s + back_s) / outage.interval_s * READINGS
        herd.dropped += max(0, int(waiting) - outage.queue)
    return herd


def _most(times_ms: List[int], within_ms: int) -> int:
    """The largest number of events in any window of that length."""
    most = begin = 0
    times_ms = sorted(times_ms)
    for end, t in enumerate(times_ms):
        while t - times_ms[begin] >= within_ms:
            begin += 1
        most = max(most, end - begin + 1)
    return most


def keep_alive_load(boards: int, keepalive_s: float, interval_s: float, qos: int) -> Dict[str, float]:
    """Packets a second at the broker, both directions: of readings, and of pings.

    A board pings when for 3/4 of its keep-alive it sent nothing or heard nothing: QoS 0 is not answered, so it spares
    no ping.
    """
    flow, after_s = (1, 2, 4)[qos], 0.75 * keepalive_s
    pings_a_second = (math.ceil(interval_s / after_s) - 1) / interval_s if qos else 1 / after_s
    return {
        "readings": boards * READINGS * flow / interval_s,
        "pings": 2 * boards * pings_a_second,
        "dead_after_s": 1.25 * keepalive_s,  # a board notices a dead link
        "will_after_s": 1.5 * keepalive_s,  # the broker notices a dead board
    }


def discovery_load(boards: int) -> Dict[str, float]:
    """Retained messages and bytes when all boards announce themselves, by the firmware's own discovery."""

    class Sensor:
        fields = (("temperature", "°C", 1), ("humidity", "%", 1))

    class Source:
        name = "room"
        sensor = Sensor

    class Node:
        client_id = "umqtt-30aea4f60123"
        topic = "umqtt/umqtt-30aea4f60123/"

    class Announcer:
        node = Node
        id = Node.client_id
        cfg = {"ha_prefix": "homeassistant", "interval_s": 60, "deep_sleep": False, "will": True, "ha_url": ""}

    told = [announcement.announcement(Announcer, Source, number) for number in (0, 1)]
    sizes = [len(topic.encode()) + len(payload.encode()) + PUBLISH_HEAD_B for topic, payload in told]
    size_b = statistics.mean(sizes)
    return {"messages": boards * READINGS, "bytes_each": size_b, "megabytes": boards * READINGS * size_b / 1e6}


SCENES: List[Tuple[str, Outage]] = [
    ("broker restarts, 8 s", Outage()),
    ("broker away for 60 s", Outage(away_s=60)),
    ("broker away for an hour", Outage(away_s=3600)),
    ("the same with TLS, 200 logins a second", Outage(away_s=3600, logins_per_s=200)),
    ("network silent for 2 minutes", Outage(away_s=120, refused=False)),
]


LOADS = ((60, 60, 2), (60, 60, 1), (60, 60, 0), (60, 30, 1), (300, 60, 1), (300, 600, 1))


def lines(boards: int, seed: int) -> List[str]:
    """The whole report, as Markdown."""
    out = ["| outage | who decides | most attempts in 100 ms / 1 s | back: median, 90 %, last, s | not served in time |"
           " attempts a board |", "|---|---|--:|--:|--:|--:|"]  # fmt: skip
    for words, outage in SCENES:
        outage.boards = boards
        for name, policy in POLICIES.items():
            herd = after_an_outage(outage, policy, seed)
            gone = " (%d never)" % (boards - len(herd.back_s)) if len(herd.back_s) < boards else ""
            out.append("| %s | %s | %d / %d | %.1f, %.1f, %.1f%s | %d | %.1f |" % (
                words, name, herd.most_in_100_ms, herd.most_in_1_s, herd.at(0.5), herd.at(0.9), herd.at(1), gone,
                herd.failed_after, herd.attempts / boards))  # fmt: skip
    out += ["", "| `keepalive_s` | `interval_s` | QoS | readings, packets/s | pings, packets/s | a board sees a dead"
            " link after | the will comes after |", "|--:|--:|--:|--:|--:|--:|--:|"]  # fmt: skip
    for keepalive_s, interval_s, qos in LOADS:
        load = keep_alive_load(boards, keepalive_s, interval_s, qos)
        out.append("| %d | %d | %d | %.0f | %.0f | %.0f s | %.0f s |" % (
            keepalive_s, interval_s, qos, load["readings"], load["pings"], load["dead_after_s"],
            load["will_after_s"]))  # fmt: skip
    found = discovery_load(boards)
    out += ["", "Discovery: %d retained messages of %d B, %.1f MB, when all start at once; Home Assistant reads them"
            " all again at each of its own starts." % (
                found["messages"], found["bytes_each"], found["megabytes"])]  # fmt: skip
    return out


def main() -> int:
    args = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    args.add_argument("boards", nargs="?", type=int, default=10000)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--docs", action="store_true", help="write the tables of docs/operators.md")
    opts = args.parse_args()
    if opts.boards < 1:
        args.error("BOARDS is from 1")
    made = lines(opts.boards, opts.seed)
    print("\n".join(made))
    if opts.docs:
        operators_page.write_herd(["%d boards:" % opts.boards, "", *made])
    return 0


if __name__ == "__main__":
    sys.exit(main())
