"""What is known after a log was read: the data that `analyse` fills and that the views show.

Everything that can be in trouble is a Subject: the broker, a client, a stranger (an address that never became a
client), a bridge of the broker, a family of ids. Each has findings; what a finding means and what to do stands in
`findings.KINDS`, the facts of one occurrence in `Finding.examples` (`words.example` puts them into a sentence).

Times are seconds since 1970 (UTC, or as the log has them where it names no zone), None where the log has no times. Ids,
users, topics and words of the broker are str; bytes that are not UTF-8 are lone surrogates (`words.shown` prints them).
"""

from __future__ import annotations

import ipaddress
import sys
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field

from .events import Event, Publish, Time
from .findings import Finding

_SLOTS = {"slots": True} if sys.version_info >= (3, 10) else {}  # a fleet has many sessions: half the memory

DELAYS_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
SESSIONS = 256  # kept per client; beyond that neighbours among the older are merged


def host(address: str | None, has_port: bool | None = None) -> str:
    """IP of IP:PORT, and of IP. 2.x writes the port behind an IPv6 address too, without brackets, and 1.x writes no
    port at all; has_port says which it is, None: not known. Then the last group is a port when it cannot belong to
    the address, or is a decimal from 1024 on behind an address that is whole without it."""
    text = address or ""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    ip, colon, last = text.rpartition(":")
    if not colon or has_port is False:
        return text
    if ":" not in ip:
        return ip
    if not (last.isdecimal() and last[0] != "0" and int(last) <= 65535 and _is_ipv6(ip)):
        return text
    return ip if has_port or not _is_ipv6(text) or int(last) >= 1024 else text


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text.partition("%")[0])
        return True
    except ValueError:
        return False


@dataclass(**_SLOTS)
class Session:
    """One connection of a client."""

    start: Time = None  # None: its begin is not in the log
    address: str | None = None  # IP or IP:PORT
    end: Time = None  # None: it is open, or `how` is "open"
    how: str = "open"  # one of events.HOWS, "broker-stopped", "replaced" (no line said how), "open"
    user: str | None = None
    protocol: int | None = None  # 3, 4 (3.1.1), 5
    clean: bool | None = None
    keepalive_s: int | None = None
    present: bool | None = None  # session present, as the CONNACK said
    will: str | None = None  # its topic, "" when a will was left and its topic not logged, None: none logged
    received: int = 0  # PUBLISH packets from the client
    sent: int = 0  # and to it
    merged: int = 1  # how many sessions this one stands for (its times then span them all)
    together: bool = False  # it ended with many others at once: see Analyser.storms


@dataclass(**_SLOTS)
class Flow:
    """A QoS 1 or 2 message on its way."""

    t: Time
    sent: bool  # by the broker
    pid: int
    qos: int
    topic: str
    size_b: int | None
    step: str = "PUBLISH"  # the last packet seen of it
    copies: int = 1

    @classmethod
    def begun(cls, event: Publish) -> Flow:
        return cls(event.t, event.sent, event.pid, event.qos, event.topic, event.size_b)


@dataclass(**_SLOTS)
class Delays:
    """Seconds from PUBLISH to the last ack: a histogram and the worst one."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(DELAYS_S) + 1))
    count: int = 0
    total_s: float = 0.0
    worst_s: float = -1.0
    worst_topic: str = ""
    worst_t: Time = None

    def add(self, delay_s: float, topic: str, t: Time) -> None:
        """t: when the message was published."""
        self.counts[bisect_left(DELAYS_S, delay_s)] += 1
        self.count, self.total_s = self.count + 1, self.total_s + delay_s
        if delay_s > self.worst_s:
            self.worst_s, self.worst_topic, self.worst_t = delay_s, topic, t

    def add_at_once(self, count: int, topic: str, t: Time) -> None:
        """So many that were finished in the second they began; topic and t: of the first."""
        self.counts[0] += count
        self.count += count
        if self.worst_s < 0:
            self.worst_s, self.worst_topic, self.worst_t = 0, topic, t

    def merge(self, later: Delays) -> None:
        """Adds those of a later time."""
        self.counts = [ours + theirs for ours, theirs in zip(self.counts, later.counts)]
        self.count, self.total_s = self.count + later.count, self.total_s + later.total_s
        if later.worst_s > self.worst_s:
            self.worst_s, self.worst_topic, self.worst_t = later.worst_s, later.worst_topic, later.worst_t

    def at_most_s(self, part: float) -> float:
        """The bound that `part` (0..1) of the delays kept, one of DELAYS_S or the worst."""
        below, wanted = 0, part * self.count
        for i, count in enumerate(self.counts):
            below += count
            if below >= wanted and i < len(DELAYS_S):
                return min(DELAYS_S[i], self.worst_s)
        return self.worst_s


@dataclass(**_SLOTS)
class Topic:
    first: Time = None
    last: Time = None  # when a message came in
    received: int = 0
    received_b: int = 0
    sent: int = 0
    sent_b: int = 0

    def rate(self) -> float | None:
        """Messages received a second, None where the log is too short to tell."""
        if self.received < 2 or self.first is None or not self.last or self.last <= self.first:
            return None
        return (self.received - 1) / (self.last - self.first)


@dataclass(**_SLOTS)
class Rhythm:
    """When something happened again and again: is it a clock's work?"""

    count: int = 0
    times: deque[float] = field(default_factory=lambda: deque(maxlen=32))  # the latest

    def add(self, t: Time) -> None:
        self.count += 1
        if t is not None:
            self.times.append(t)

    def every_s(self) -> float | None:
        """The period, when three quarters of the latest gaps keep it within 5 % (or 1.5 s, for times are whole
        seconds); None when there is no rhythm or there are fewer than four."""
        times = sorted(self.times)
        if len(times) < 4:
            return None
        gaps = sorted(after - before for before, after in zip(times, times[1:]))
        middle = gaps[len(gaps) // 2]
        slack = max(1.5, middle / 20)
        steady = [gap for gap in gaps if abs(gap - middle) <= slack]
        if middle < 2 or len(steady) * 4 < len(gaps) * 3:
            return None
        return sum(steady) / len(steady)


@dataclass(**_SLOTS)
class Subject:
    """Whoever can be in trouble."""

    id: str
    findings: dict[str, Finding] = field(default_factory=dict)  # by code
    last_seen: Time = None  # the last line that named it
    return_s: float = 0.0  # of a client: until it was back after an outage that hit many, the longest

    @property
    def weight(self) -> int:
        return sum(finding.weight for finding in self.findings.values())

    def worst(self) -> list[Finding]:
        """The findings, the heaviest first."""
        return sorted(self.findings.values(), key=lambda finding: (-finding.weight, finding.code))


@dataclass(**_SLOTS)
class Trail:
    """What the lines to come are judged by; the analyser's own."""

    ended_t: Time = None  # the latest end, and how: the next line may be its echo
    ended_how: str = ""
    said_goodbye: bool = False  # DISCONNECT came; the broker's own line, if any, ends nothing more
    taken_over: Session | None = None  # the session that a takeover ended, until the CONNECT that did it
    takeovers: list[tuple[Time, str, str]] = field(default_factory=list)  # time, old IP, new IP: the last four
    broken: list[Time] = field(default_factory=list)  # when sessions broke off, the last five
    flapping: bool = False  # it was at the latest end


@dataclass(**_SLOTS)
class Client(Subject):
    """All that is known of one client id."""

    sessions: list[Session] = field(default_factory=list)  # the oldest first; see SESSIONS
    session: Session | None = None  # the open one
    connects: int = 0  # sessions whose begin is in the log
    refused: int = 0  # CONNECTs refused
    ends: dict[str, int] = field(default_factory=dict)  # how its sessions ended: count
    bridge: bool = False  # another broker's bridge ("New bridge connected")
    flows: dict[tuple[bool, int], Flow] = field(default_factory=dict)  # in flight, by (sent, pid)
    received: int = 0  # PUBLISH packets from the client
    received_b: int = 0
    sent: int = 0  # and to it
    sent_b: int = 0
    pings: int = 0
    last_heard: Time = None  # the last packet from the client in this session
    longest_silence_s: float = 0.0  # within a session
    wills_fired: int = 0  # sessions with a will that ended so that the broker sends it
    connected_s: float = 0.0  # in sessions that have ended and whose begin is in the log
    beginless: int = 0  # ends whose begin is not in the log: how long those sessions were is not known
    delays: dict[bool, Delays] = field(default_factory=dict)  # by `sent`
    subscriptions: dict[str, int] = field(default_factory=dict)  # in force: filter to QoS
    packets: deque[Event] | None = None  # the last ones, when they were asked for
    family: str | None = None  # the stem of its id, when it is one of a Family
    trail: Trail = field(default_factory=Trail)

    def take_complaint(self, t: Time) -> str:
        """Takes back the broker's complaint that came at t: it belongs to what follows it. "" when there is none."""
        complaint = self.findings.get("misbehaved")
        if complaint is None or complaint.last != t or not complaint.examples:
            return ""
        complaint.count -= 1
        if not complaint.count:
            del self.findings["misbehaved"]
        return str(complaint.examples.pop()["words"])


@dataclass
class Family(Subject):
    """Ids that differ in a random part only and come from one address or one user, one after the other: one device
    that makes itself a new id each time. `id` is the stem with `*` for the part that changes."""

    ids: int = 0  # how many different ids
    address: str | None = None  # IP, None: several
    user: str | None = None
    open_now: int = 0
    open_at_most: int = 0  # sessions open at one time
    returned: int = 0  # ids that came again
    ends: dict[str, int] = field(default_factory=dict)
    first: Time = None
    last: Time = None
    last_id: str = ""


@dataclass
class Stranger(Subject):
    """An address (IP; "" where the log does not name it) whose connections ended before they were sessions: port
    checks, wrong passwords, TLS that failed. `id` is the address."""

    connections: int = 0  # those that did not become sessions
    refused: int = 0  # of these, logins that the broker refused
    ports: dict[int, int] = field(default_factory=dict)  # port of the broker: count
    ends: dict[str, int] = field(default_factory=dict)  # one of events.HOWS or "tls": count
    ids: dict[str, int] = field(default_factory=dict)  # client ids it gave: count (at most 20)
    tls: dict[str, int] = field(default_factory=dict)  # OpenSSL's words: count (at most 20)
    rhythm: Rhythm = field(default_factory=Rhythm)
    first: Time = None
    last: Time = None
    sessions: int = 0  # connections from here that did become sessions of clients

    @property
    def every_s(self) -> float | None:
        """The period in which it comes, None when there is none."""
        return self.rhythm.every_s()


@dataclass
class Bridge(Subject):
    """A bridge that this broker makes to another. `id` is its name in the configuration."""

    address: str = ""  # host:port of the other side, the latest
    addresses: dict[str, int] = field(default_factory=dict)  # all of them: attempts
    state: str = "connecting"  # connecting, connected, failed, closed
    asked: bool = False  # its CONNECT was logged, in the latest attempt
    attempts: int = 0
    connects: int = 0  # attempts that became connections, where the log tells (CONNACK)
    failures: dict[str, int] = field(default_factory=dict)  # why, in words: count
    local_id: str | None = None  # the client id it has on this broker
    remote_id: str | None = None
    rhythm: Rhythm = field(default_factory=Rhythm)  # of the attempts
    client: Client | None = None  # its packets and its queue: what was sent, flows open, messages dropped
    first: Time = None
    last: Time = None


@dataclass
class Restart:
    t: Time
    version: str
    announced: bool  # "terminating" came before; else it was killed or crashed
    why: str = ""  # the words of the kernel, systemd or the container about it
    away_s: float | None = None  # from the end (or those words, else the last line: then at most) to the start


@dataclass
class Broker(Subject):
    """The broker itself: what it and its host say about it."""

    versions: list[str] = field(default_factory=list)
    restarts: list[Restart] = field(default_factory=list)
    up: bool | None = None  # None: not known, the log began in the middle
    started: Time = None
    ports: dict[int, str] = field(default_factory=dict)  # listeners: "ipv4", "ipv6", "websockets"
    last_saved: Time = None  # when it began to save its database


@dataclass
class Storm:
    """Many sessions that ended within seconds: one event."""

    first: Time
    last: Time
    clients: list[str]  # their ids (at most 1000)
    count: int  # how many
    connected: int | None  # of how many that were connected then; None: not known
    ends: dict[str, int]  # how: count
    cause: str  # "saved", "stalled", "silence", "network", "one-address", "takeover", "unknown"
    facts: dict[str, object] = field(default_factory=dict)  # what the cause was read from, see words.storm


@dataclass
class Refusal:
    """One login that the broker refused."""

    t: Time
    client: str | None  # the id it gave, None: not logged
    address: str | None  # IP or IP:PORT; None: not logged or not certain
    user: str | None  # of this client's earlier sessions; Mosquitto does not log the one refused
    why: str  # the broker's words, or of the code in its CONNACK


@dataclass
class Audit:
    """An administrator's command to the dynamic security plugin."""

    t: Time
    client: str
    user: str
    command: str  # createClient, setClientPassword, ...
    arguments: dict[str, str]  # username, rolename, ...

    @property
    def changes(self) -> bool:
        """Whether it changes anything, or only asks."""
        return not self.command.startswith(("get", "list"))


@dataclass
class Account:
    """The log as such."""

    lines: int = 0
    foreign: int = 0  # lines that are not the broker's
    unknown: int = 0  # lines of the broker that are not understood
    first: Time = None  # of the broker's own lines
    last: Time = None
    now: Time = None  # of the latest line; it can be before `last`
    steps_back: list[tuple[float, float]] = field(default_factory=list)  # (time, seconds) the clock went back
    timeless: int = 0  # the broker's lines that have no time, or one that could not be read
