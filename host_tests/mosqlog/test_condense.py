"""Condensed or line by line, by one process or by two: the result is the same."""

import dataclasses
import random

import pytest

from tools.mosqlog import condense, jobs
from tools.mosqlog.analyse import Analyser
from tools.mosqlog.condense import Condenser
from tools.mosqlog.model import Client
from tools.mosqlog.parse import Parser

from .make_log import lines as long_log
from .program import LOGS
from .test_field import FIELD

IDS = ("dev", "a b, m7, c", "x (d0, q1, r0, m1, 'y", "é)", "tab\tid")


def random_log(seed, count=1500):
    """Clients that publish, acknowledge, ping, come and go at random, right and wrong; two of their lines in a hundred
    have another prefix."""
    dice, t, out = random.Random(seed), 1795000000, []
    for _ in range(count):
        t += dice.choice((0, 0, 0, 1, 2, 40))
        who, pid, qos = dice.choice(IDS), dice.randint(1, 4), dice.randint(0, 2)
        way, ack = dice.choice((("Received PUBLISH from", "Sending {} to"), ("Sending PUBLISH to", "Received {} from")))
        again = int(dice.random() < 0.1)
        text = dice.choice(
            (
                f"{way} {who} (d{again}, q{qos}, r0, m{qos and pid}, 't/{pid % 2}, m1', ... (9 bytes))",
                f"{way} {who} (d0, q1, r0, m{pid}, 't', ... (9 bytes))",
                f"{way} {who} (d0, q2, r0, m{pid}, 't', ... (9 bytes))",
                f"{ack.format('PUBACK')} {who} (m{pid}, rc0)",
                f"{ack.format('PUBACK')} {who} (Mid: {pid}, RC:0)",
                f"{ack.format('PUBREC')} {who} (m{pid}, rc{dice.choice((0, 0, 135))})",
                f"{ack.format('PUBREL')} {who} (m{pid})",
                f"{ack.format('PUBREL')} {who} (Mid: {pid})",
                f"{ack.format('PUBCOMP')} {who} (m{pid})",
                f"Received PINGREQ from {who}",
                f"Sending PINGRESP to {who}",
                f"New client connected from 10.0.0.7:5{pid}000 as {who} (p2, c{pid % 2}, k{dice.choice((0, 10, 60))}).",
                f"Sending CONNACK to {who} ({pid % 2}, 0)",
                f"Received DISCONNECT from {who}",
                f"Client {who} disconnected.",
                f"Client {who} closed its connection.",
                f"Client {who} has exceeded timeout, disconnecting.",
                f"Received SUBSCRIBE from {who}",
                "\tt/# (QoS 1)",
                f"{who} 1 t/#",
                f"Sending SUBACK to {who}",
                "",
                "mosquitto version 2.0.18 starting" if dice.random() < 0.05 else "something else (x))",
            )
        )
        stamp = f"{t}: " if dice.random() < 0.98 else f"mosquitto-1  | {t}: "
        out.append(stamp + text)
    return out


def by_line(lines):
    analyser, parser = Analyser(), Parser()
    parser.learn(lines)
    for event in parser.events(lines):
        analyser.feed(event)
    analyser.finish()
    return analyser


def condensed(lines, size, anew=False):
    """In blocks of so many lines. anew: each by a condenser that does not know those before, as with --jobs."""
    analyser, parser = Analyser(), Parser()
    parser.learn(lines)
    condenser = Condenser(parser, from_the_start=not anew)
    for i in range(0, len(lines), size):
        if anew:
            condenser.begin_anew()
        for event in condenser.events("\n".join(lines[i : i + size]) + "\n"):
            analyser.feed(event)
        if anew:
            for event in condenser.rest():
                analyser.feed(event)
    for event in condenser.rest():
        analyser.feed(event)
    analyser.finish()
    return analyser


def all_of(analyser):
    """Everything that is known, to be compared."""

    def plain(subject, *left_out):
        known = {
            field.name: getattr(subject, field.name)
            for field in dataclasses.fields(subject)
            if field.name not in ("findings", "trail", *left_out)
        }
        # What is sent to a client that is away counts for no session, or for the one that its next packet shows.
        if isinstance(subject, Client):
            known["sessions"] = [dataclasses.replace(session, sent=0) for session in subject.sessions]
            known["session"] = subject.session and dataclasses.replace(subject.session, sent=0)
        findings = getattr(subject, "findings", {})
        known["findings"] = {code: (each.count, each.first, each.last) for code, each in findings.items()}
        return known

    return {
        "account": plain(analyser.account),
        "broker": plain(analyser.broker),
        "storms": analyser.storms,
        "clients": {name: plain(client) for name, client in analyser.clients.items()},
        "strangers": {name: plain(each, "rhythm") for name, each in analyser.strangers.items()},
        "topics": {name: plain(topic) for name, topic in analyser.topics.items()},
    }


@pytest.mark.parametrize("seed", range(12))
def test_condensed_is_the_same_as_line_by_line(seed):
    lines = random_log(seed)
    wanted = all_of(by_line(lines))
    for size in (7, 400, 10_000):
        assert all_of(condensed(lines, size)) == wanted, size


def test_condensing_does_condense():
    """Of a busy log next to nothing is left to be fed."""
    lines = "".join(long_log(300_000, clients=50)).splitlines()
    parser = Parser()
    condenser = Condenser(parser)
    events = [*condenser.events("\n".join(lines) + "\n"), *condenser.rest()]
    assert len([event for event in events if type(event) is not condense.Tick]) < len(lines) / 5


@pytest.mark.parametrize("path", sorted([*LOGS.glob("*.log"), *FIELD.glob("*.log")]), ids=lambda path: path.stem)
def test_a_real_log_is_the_same_condensed(path):
    lines = path.read_text(errors="surrogateescape").splitlines()
    assert all_of(condensed(lines, 50)) == all_of(by_line(lines))


def test_a_log_without_times_is_the_same_condensed():
    lines = [line.partition(": ")[2] for line in random_log(3)]
    assert all_of(condensed(lines, 400)) == all_of(by_line(lines))


def test_several_processes_come_to_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "BLOCK_B", 60_000)
    monkeypatch.setattr(jobs.read, "CHUNK_B", 20_000)
    text = "".join(long_log(600_000, clients=40))
    (tmp_path / "log").write_text(text)
    found = []
    for processes in (1, 2):
        analyser = Analyser()
        for event in jobs.events([str(tmp_path / "log")], Parser(), pytest.fail, jobs=processes):
            analyser.feed(event)
        analyser.finish()
        found.append(all_of(analyser))
    assert found[0] == found[1] == all_of(by_line(text.splitlines()))
