"""The totals as metrics, in a text file for node_exporter's textfile collector. docs/mosqlog-data.md names them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from . import words
from .cluster import Log
from .findings import KINDS


def write(logs: list[Log], path: str, watched: Iterable[str] = ()) -> None:
    """Replaces the file at once or not at all. Clients that are `watched` have series of their own; all others are
    only counted, because every id would be a series for ever. Raises OSError."""
    registry = CollectorRegistry()
    registry.register(_Totals(logs, list(watched)))
    write_to_textfile(path, registry)


class _Totals:
    def __init__(self, logs: list[Log], watched: list[str]):
        self._logs, self._watched = logs, watched

    def describe(self) -> list[Metric]:
        return []  # nothing is read before it is written

    def collect(self) -> Iterator[Metric]:
        for name, kind, text, labels, samples in (*_METRICS, *_OF_CLIENTS):
            family = (CounterMetricFamily if kind == "counter" else GaugeMetricFamily)(
                name, text, labels=["broker", *labels]
            )
            for log in self._logs:
                for values, number in samples(log, self._watched):
                    if number is not None:
                        family.add_metric([log.name or "", *map(words.shown, values)], number)
            yield family


def _restarts(log: Log, watched: list[str]):
    announced = Counter(restart.announced for restart in log.analyser.broker.restarts)
    return [(["yes"], announced[True]), (["no"], announced[False])]


def _ends(log: Log, watched: list[str]):
    ends: Counter[str] = Counter()
    for client in log.analyser.clients.values():
        ends.update(client.ends)
    return [([how], ends[how]) for how in sorted(ends)]


def _findings(log: Log, watched: list[str]):
    found = Counter({("client", code): 0 for code in KINDS})  # a counter that is not there yet cannot rise
    for subject in log.subjects():
        for code, finding in subject.findings.items():
            found[words.kind(subject), code] += finding.count
    return list(found.items())


def _ill_subjects(log: Log, watched: list[str]):
    ill = Counter({("client", code): 0 for code in KINDS})
    ill.update((words.kind(subject), code) for subject in log.subjects() for code in subject.findings)
    return list(ill.items())


def _both_ways(received: str, sent: str):
    def samples(log: Log, watched: list[str]):
        return [
            (["received"], sum(getattr(client, received) for client in log.analyser.clients.values())),
            (["sent"], sum(getattr(client, sent) for client in log.analyser.clients.values())),
        ]

    return samples


def _one(number):
    return lambda log, watched: [([], number(log.analyser))]


def _of_client(number):
    return lambda log, watched: [
        ([name], number(log.analyser.clients[name])) for name in watched if name in log.analyser.clients
    ]


_METRICS = (
    ("mosqlog_lines", "counter", "Lines of the log that were read", [], _one(lambda analyser: analyser.account.lines)),
    (
        "mosqlog_lines_not_understood",
        "counter",
        "Lines that no version of Mosquitto is known to write",
        [],
        _one(lambda analyser: analyser.account.unknown),
    ),
    (
        "mosqlog_last_line_timestamp_seconds",
        "gauge",
        "Time of the last line, seconds since 1970",
        [],
        _one(lambda analyser: analyser.account.last),
    ),
    (
        "mosqlog_clients",
        "gauge",
        "Client ids seen",
        [],
        _one(lambda analyser: len(analyser.clients) + analyser.forgotten),
    ),
    (
        "mosqlog_clients_connected",
        "gauge",
        "Clients with an open session",
        [],
        _one(lambda analyser: sum(client.session is not None for client in analyser.clients.values())),
    ),
    (
        "mosqlog_clients_with_findings",
        "gauge",
        "Clients with any finding",
        [],
        _one(lambda analyser: sum(bool(client.findings) for client in analyser.clients.values())),
    ),
    ("mosqlog_tcp_connections", "counter", "TCP connections accepted", [], _one(lambda analyser: analyser.accepts)),
    (
        "mosqlog_connects",
        "counter",
        "CONNECTs accepted",
        [],
        _one(lambda analyser: sum(client.connects for client in analyser.clients.values()) + analyser.forgotten),
    ),
    ("mosqlog_connects_refused", "counter", "CONNECTs refused", [], _one(lambda analyser: analyser.refused)),
    ("mosqlog_session_ends", "counter", "Sessions that ended, by how", ["how"], _ends),
    (
        "mosqlog_wills_fired",
        "counter",
        "Last wills that the broker had to send",
        [],
        _one(lambda analyser: sum(client.wills_fired for client in analyser.clients.values())),
    ),
    (
        "mosqlog_findings",
        "counter",
        "Times that each kind of trouble was found, by whose it is",
        ["of", "code"],
        _findings,
    ),
    (
        "mosqlog_finding_subjects",
        "gauge",
        "Clients, addresses, bridges, families and brokers with each kind of trouble",
        ["of", "code"],
        _ill_subjects,
    ),
    (
        "mosqlog_messages",
        "counter",
        "PUBLISH packets received from and sent to clients",
        ["direction"],
        _both_ways("received", "sent"),
    ),
    ("mosqlog_payload_bytes", "counter", "Bytes of their payloads", ["direction"], _both_ways("received_b", "sent_b")),
    (
        "mosqlog_broker_restarts",
        "counter",
        "Restarts of the broker; announced: no after a kill or a crash",
        ["announced"],
        _restarts,
    ),
)
_OF_CLIENTS = (
    (
        "mosqlog_client_connected",
        "gauge",
        "1 while the client has an open session (--client)",
        ["client"],
        _of_client(lambda client: int(client.session is not None)),
    ),
    (
        "mosqlog_client_trouble",
        "gauge",
        "Trouble of the client: the sum of its findings' weights (--client)",
        ["client"],
        _of_client(lambda client: client.weight),
    ),
    (
        "mosqlog_client_connects",
        "counter",
        "CONNECTs of the client that were accepted (--client)",
        ["client"],
        _of_client(lambda client: client.connects),
    ),
    (
        "mosqlog_client_last_seen_timestamp_seconds",
        "gauge",
        "Last line that named the client (--client)",
        ["client"],
        _of_client(lambda client: client.last_seen),
    ),
)
NAMES = tuple(name + ("_total" if kind == "counter" else "") for name, kind, *_ in (*_METRICS, *_OF_CLIENTS))
