"""Read the bytes of a link as MQTT 3.1.1 packets, and tell which clause the client or the broker broke.

The codec is this file's own: it shares no line with the library that it judges.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Dict, Iterable, Iterator, List, Optional, Tuple

from tools.prove.link import BROKER, CLIENT, Connection

NAMES = ("", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
         "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "")  # fmt: skip
FLAGS_OF = {"PUBREL": 2, "SUBSCRIBE": 2, "UNSUBSCRIBE": 2}  # [MQTT-2.2.2-1]
ANSWER_TIME_S = 5  # an answer that has not come after so long on a live connection does not come
KEEP_ALIVE_SLACK_S = 1.0


@dataclass
class Packet:
    """One control packet. `time_s` is when its last byte passed."""

    time_s: float
    by: str
    name: str
    flags: int
    body: bytes
    pid: int = 0
    topic: bytes = b""
    payload: bytes = b""

    @property
    def qos(self) -> int:
        return self.flags >> 1 & 3

    @property
    def dup(self) -> bool:
        return bool(self.flags & 8)

    @property
    def retain(self) -> bool:
        return bool(self.flags & 1)

    def __str__(self) -> str:
        what = " %r %d B qos %d%s" % (self.topic, len(self.payload), self.qos, " dup" if self.dup else "")
        return "%s>%s %s%s%s" % (self.by, "CB"[self.by == CLIENT], self.name, what if self.topic else "",
                                 " id %d" % self.pid if self.pid else "")  # fmt: skip


@dataclass(frozen=True)
class Breach:
    """A rule of MQTT 3.1.1 that one side broke. `by`: CLIENT or BROKER."""

    by: str
    clause: str
    words: str


def _split(chunks: Iterable[Tuple[float, str, bytes]]) -> Iterator[Packet]:
    waiting = {CLIENT: bytearray(), BROKER: bytearray()}
    for time_s, by, data in chunks:
        left = waiting[by]
        left += data
        while len(left) >= 2:
            length, shift, at = 0, 0, 1
            while True:
                if at >= len(left):
                    length = -1
                    break
                length |= (left[at] & 127) << shift
                shift += 7
                at += 1
                if not left[at - 1] & 128:
                    break
            if length < 0 or len(left) < at + length:
                break
            yield _packet(time_s, by, left[0], bytes(left[at : at + length]))
            del left[: at + length]


def _packet(time_s: float, by: str, first: int, body: bytes) -> Packet:
    packet = Packet(time_s, by, NAMES[first >> 4], first & 15, body)
    if packet.name == "PUBLISH":
        topic_b = int.from_bytes(body[:2], "big")
        packet.topic = body[2 : 2 + topic_b]
        rest = body[2 + topic_b :]
        if packet.qos:
            packet.pid, rest = int.from_bytes(rest[:2], "big"), rest[2:]
        packet.payload = rest
    elif packet.name[:3] in ("PUB", "SUB", "UNS"):
        packet.pid = int.from_bytes(body[:2], "big")
    return packet


def packets(connection: Connection) -> List[Packet]:
    """The whole packets of a connection, both directions in the order in which they passed."""
    return list(_split(connection.chunks))


def client_id(connection: Connection) -> str:
    """Of the CONNECT, "" where none came."""
    for packet in packets(connection):
        if packet.name == "CONNECT":
            at = 2 + int.from_bytes(packet.body[:2], "big") + 4
            return packet.body[at + 2 : at + 2 + int.from_bytes(packet.body[at : at + 2], "big")].decode(
                "utf-8", "replace"
            )
    return ""


class _Side:
    """What one side of a session has sent in QoS 1 and 2 and is not yet done with, over all its connections."""

    def __init__(self) -> None:
        self.in_flight: Dict[int, Packet] = {}
        self.released: set = set()  # ids whose PUBREC came
        self.sent_here: set = set()  # ids sent on this connection


class Witness:
    """Reads the connections of one client in their order; `breaches` is what was broken.

    stopped: the client's process was stopped on purpose, so its silence is no breach.
    """

    def __init__(self, stopped: bool = False) -> None:
        self.breaches: List[Breach] = []
        self.stopped = stopped
        self.was_cut = False  # what the client sent last may not have passed the link
        self.sides = {CLIENT: _Side(), BROKER: _Side()}

    def note(self, by: str, clause: str, words: str) -> None:
        self.breaches.append(Breach(by, clause, words))

    def read(self, connection: Connection) -> None:
        """Judge one connection. What was cut is not held against anybody."""
        all_packets = packets(connection)
        if not all_packets:
            return
        self._begin(all_packets)
        wanted: Dict[str, List[Tuple[Packet, Tuple[str, ...]]]] = {CLIENT: [], BROKER: []}
        disconnected = False
        for packet in all_packets:
            other = BROKER if packet.by == CLIENT else CLIENT
            if packet.by == CLIENT and disconnected:
                self.note(CLIENT, "MQTT-3.14.4-2", "%s after DISCONNECT" % packet.name)
            if packet.name != "PUBLISH" and packet.flags != FLAGS_OF.get(packet.name, 0):
                self.note(packet.by, "MQTT-2.2.2-2", "%s with flags %d" % (packet.name, packet.flags))
            if packet.name == "DISCONNECT":
                disconnected = True
            elif packet.name == "PUBLISH":
                self._publish(packet)
            if packet.pid and packet.name in ("PUBACK", "PUBREC", "PUBCOMP", "PUBREL"):
                self._answer(packet)
            self._expect(packet, wanted, other)
        self._unanswered(connection, wanted, all_packets, disconnected)
        if not self.stopped:
            self._keep_alive(all_packets)
        self.was_cut = self.was_cut or connection.ended_by == "link"

    def _begin(self, all_packets: List[Packet]) -> None:
        for by in (CLIENT, BROKER):
            self.sides[by].sent_here = set()
            own = [packet for packet in all_packets if packet.by == by]
            first = "CONNECT" if by == CLIENT else "CONNACK"
            if own and own[0].name != first:
                self.note(by, "MQTT-3.1.0-1" if by == CLIENT else "MQTT-3.2.0-1", "%s comes first" % own[0].name)
            if sum(packet.name == first for packet in own) > 1:
                self.note(by, "MQTT-3.1.0-2", "a second %s" % first)
        self.is_resumed = False
        self.is_old = False
        for packet in all_packets:
            if packet.name == "CONNECT":
                name_b = int.from_bytes(packet.body[:2], "big")
                self.is_old = packet.body[2 + name_b] == 3
                self.keep_alive_s = int.from_bytes(packet.body[4 + name_b : 6 + name_b], "big")
                is_clean = bool(packet.body[3 + name_b] & 2)
            elif packet.name == "CONNACK":
                self.is_resumed = not is_clean and (bool(packet.body[0] & 1) or self.is_old)
                if is_clean and packet.body[0] & 1:
                    self.note(BROKER, "MQTT-3.2.2-1", "session present after a clean session")
                if not self.is_resumed and not packet.body[1]:
                    self.sides = {CLIENT: _Side(), BROKER: _Side()}

    def _publish(self, packet: Packet) -> None:
        side = self.sides[packet.by]
        if not packet.topic or b"+" in packet.topic or b"#" in packet.topic:
            self.note(packet.by, "MQTT-3.3.2-2", "PUBLISH with topic %r" % packet.topic)
        if not packet.qos:
            if packet.dup:
                self.note(packet.by, "MQTT-3.3.1-2", "DUP in QoS 0")
            return
        if packet.qos == 3:
            self.note(packet.by, "MQTT-3.3.1-4", "QoS 3")
        if not packet.pid:
            self.note(packet.by, "MQTT-2.3.1-1", "packet id 0")
        before = side.in_flight.get(packet.pid)
        if before:
            same = (before.topic, before.payload, before.qos) == (packet.topic, packet.payload, packet.qos)
            if self.was_cut and packet.pid not in side.sent_here and packet.dup and same:
                pass  # its acknowledgement may have been lost in the cut
            elif packet.pid in side.released and packet.qos == 2:
                self.note(packet.by, "MQTT-4.3.3-1", "PUBLISH again after its PUBREC")
            elif packet.pid in side.sent_here:
                self.note(packet.by, "MQTT-2.3.1-2" if not same else "MQTT-4.4.0-1",
                          "id in use again" if not same else "PUBLISH again on one connection")  # fmt: skip
            elif not packet.dup and same:
                self.note(packet.by, "MQTT-3.3.1-1", "PUBLISH again without DUP")
            elif not same:
                self.note(packet.by, "MQTT-2.3.1-2", "id of a message in flight for another")
        elif packet.dup and packet.by == CLIENT and not self.is_old and not self.was_cut:
            self.note(packet.by, "MQTT-3.3.1-1", "DUP at the first sending")
        side.released.discard(packet.pid)
        side.in_flight[packet.pid] = packet
        side.sent_here.add(packet.pid)

    def _answer(self, packet: Packet) -> None:
        sender = self.sides[packet.by if packet.name == "PUBREL" else (BROKER if packet.by == CLIENT else CLIENT)]
        message = sender.in_flight.get(packet.pid)
        if packet.name == "PUBREL":
            if message and packet.pid not in sender.released:
                self.note(packet.by, "MQTT-4.3.3-1", "PUBREL before the PUBREC")
            return
        if message is None:
            # a repetition of what the other has done with; the client may only answer what it was sent
            return
        if packet.name == "PUBACK" and message.qos == 2:
            self.note(packet.by, "MQTT-4.3.3-2", "PUBACK to a PUBLISH of QoS 2")
        if packet.name == "PUBREC" and message.qos == 1:
            self.note(packet.by, "MQTT-4.3.2-2", "PUBREC to a PUBLISH of QoS 1")
        if packet.name == "PUBREC":
            sender.released.add(packet.pid)
        else:
            del sender.in_flight[packet.pid]
            sender.released.discard(packet.pid)

    def _expect(self, packet: Packet, wanted: dict, other: str) -> None:
        answers: Tuple[str, ...] = ()
        if packet.name == "PUBLISH" and packet.qos:
            answers = ("PUBACK", "PUBREC")
        elif packet.name in ("PUBREL", "SUBSCRIBE", "UNSUBSCRIBE", "PINGREQ"):
            answers = ({"PUBREL": "PUBCOMP", "SUBSCRIBE": "SUBACK", "UNSUBSCRIBE": "UNSUBACK",
                        "PINGREQ": "PINGRESP"}[packet.name],)  # fmt: skip
        for i, (asked, names) in enumerate(wanted[packet.by]):
            if packet.name in names and asked.pid == packet.pid:
                del wanted[packet.by][i]
                break
        if answers:
            wanted[other].append((packet, answers))

    def _unanswered(self, connection: Connection, wanted: dict, all_packets: List[Packet], disconnected: bool) -> None:
        clauses = {"PUBLISH": "MQTT-4.3.3-2", "PUBREL": "MQTT-4.3.3-2", "SUBSCRIBE": "MQTT-3.8.4-1",
                   "UNSUBSCRIBE": "MQTT-3.10.4-4", "PINGREQ": "MQTT-3.12.4-1"}  # fmt: skip
        end_s = connection.ended_s or all_packets[-1].time_s
        for by in (CLIENT, BROKER):
            for asked, _ in wanted[by]:
                # one that ended the connection soon after is not late
                if end_s - asked.time_s > ANSWER_TIME_S and not (by == CLIENT and self.stopped):
                    clause = "MQTT-4.3.2-2" if asked.name == "PUBLISH" and asked.qos == 1 else clauses[asked.name]
                    self.note(by, clause, "%s is not answered" % asked.name)

    def _keep_alive(self, all_packets: List[Packet]) -> None:
        last_s: Optional[float] = None
        for packet in all_packets:
            if packet.by == CLIENT:
                if last_s is not None and self.keep_alive_s:
                    silence_s = packet.time_s - last_s
                    if silence_s > self.keep_alive_s + KEEP_ALIVE_SLACK_S:
                        self.note(CLIENT, "MQTT-3.1.2-23", "silent for %.1f s of %d" % (silence_s, self.keep_alive_s))
                last_s = packet.time_s


def judge(connections: Iterable[Connection], stopped: bool = False) -> Counter:
    """Breach -> how often, over all connections, each client's by itself."""
    by_client: Dict[str, Witness] = {}
    for connection in connections:
        name = client_id(connection)
        if name or connection.chunks:
            by_client.setdefault(name, Witness(stopped)).read(connection)
    return Counter(breach for witness in by_client.values() for breach in witness.breaches)
