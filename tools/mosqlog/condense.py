"""The packets of each client between its other lines, as one event: what a busy log mostly is, for a fraction of the
work.

    condenser = Condenser(parser)
    for event in condenser.events(block): analyser.feed(event)
    for event in condenser.rest(): analyser.feed(event)

Nine lines of ten of a full log are plain PUBLISH packets, their acknowledgements and PINGREQs, and they repeat each
other but for time and packet id. Such a line is recognised by the text around its packet id, taken apart once, and then
only counted. All that is out of the ordinary (a DUP, a packet id in use, an ack without its message, an error code) is
parsed as any other line, after the client's packets so far were handed on: for each client the order of its lines is
kept, and the Analyser comes to the same result (test_condense.py holds that).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from . import events, parse
from .events import Time
from .flows import SLOW_ACK_S
from .model import Delays, Flow

LINES = 200_000  # that may be on the way before they are handed on
ENTRIES = 30_000  # texts that are remembered
HANDED_ON = ("", "with QoS 1", "with QoS 2")  # a flow that the Analyser has, by its QoS


class TopicCount(NamedTuple):
    """Messages of one topic to or from the client."""

    topic: str
    sent: bool
    count: int
    size_b: int  # of all of them
    first: Time
    last: Time


class Traffic(NamedTuple):
    """Plain packets of one client, from one of its other lines to the next."""

    t: Time  # of the last of them
    client: str
    heard_first: Time  # when packets came from the client; None: none did, or the log has no times
    heard_last: Time
    heard: bool
    silences: list[tuple[float, float]]  # between two of its packets: when it ended, seconds (from 2 s on)
    longest_silence_s: float
    pings: int
    topics: list[TopicCount]
    delays: dict[bool, Delays]  # by `sent`
    slow: list[tuple[Flow, float]]  # flows of SLOW_ACK_S or more, and seconds
    opened: dict[bool, dict[str, Time]]  # by `sent`: packet ids that flows began with first; see Condenser
    flows: list[Flow]  # that are still on their way


class Tick(NamedTuple):
    """Time went on, by lines that are counted in a Traffic to come."""

    t: Time
    lines: int


class _Entry:
    """One text of a PUBLISH, but for time and packet id."""

    __slots__ = ("run", "listener", "flows", "sent", "qos", "topic", "size_b", "count", "first", "last")

    def __init__(self, run: _Run, event: events.Publish):
        self.run, self.sent, self.qos = run, event.sent, event.qos
        self.listener = None if event.sent else run  # that hears the client
        self.flows = None if not event.qos else run.to_client if event.sent else run.from_client
        self.topic, self.size_b = event.topic, event.size_b or 0
        self.count = 0
        self.first: Time = None
        self.last: Time = None


class _AckForm:
    """One text of an ack, but for time and packet id."""

    __slots__ = ("run", "listener", "flows", "kind", "name", "ends", "to_client", "start", "stop", "at_once", "first")

    def __init__(self, run: _Run, event: events.Ack, start: int, stop: int):
        self.run, self.listener, self.name = run, None if event.sent else run, event.name
        # PUBREL goes the way of its PUBLISH, the others against it.
        self.to_client = event.sent if event.name == "PUBREL" else not event.sent
        self.flows = run.to_client if self.to_client else run.from_client
        self.kind = tuple if event.name == "PUBACK" else list  # of a flow of QoS 1, and of QoS 2
        self.ends = event.name in ("PUBACK", "PUBCOMP")
        self.start, self.stop = start, stop
        self.at_once = 0  # messages that were finished in the second they began
        self.first: tuple[str, Time] = ("", None)

    def first_at_once(self, topic: str, t: Time) -> None:
        """A message was finished in the second it began, the first since the client was handed on."""
        self.at_once, self.first = 1, (topic, t)
        self.run.forms.append(self)


class _Run:
    """What a client has sent and got since it was handed on last."""

    __slots__ = (
        "client",
        "last",
        "heard",
        "heard_first",
        "silences",
        "longest_s",
        "pings",
        "entries",
        "from_client",
        "to_client",
        "forms",
        "delays",
        "slow",
        "opened",
        "busy",
    )

    def __init__(self, client: str):
        self.client = client
        # Flows by packet id: (time, entry) with QoS 1, [time, entry, last packet] with QoS 2, HANDED_ON.
        self.from_client: dict[str, tuple | list | str] = {}
        self.to_client: dict[str, tuple | list | str] = {}
        self.busy = False
        self.begin()

    def begin(self) -> None:
        self.last: Time = None  # of its acks
        self.heard: Time = None
        self.heard_first: Time = None
        self.silences: list[tuple[float, float]] = []
        self.longest_s = 0.0
        self.pings = 0
        self.entries: list[_Entry] = []
        self.forms: list[_AckForm] = []  # of its acks that finished messages at once
        self.delays: dict[bool, Delays] = {}
        self.slow: list[tuple[Flow, float]] = []
        self.opened: dict[bool, dict[str, Time]] = {False: {}, True: {}}

    def speaks(self, t: Time) -> None:
        """A packet came from the client, at another time than the one before."""
        if t is None:
            return
        heard = self.heard
        self.heard = t
        if heard is None:
            self.heard_first = t
        elif t - heard >= 2:
            self.silences.append((t, t - heard))
        elif t - heard > self.longest_s:
            self.longest_s = t - heard

    def finished(self, entry: _Entry, begun: Time, t: Time) -> None:
        """The last ack of a message came."""
        if t is None or begun is None:
            return
        delays = self.delays.get(entry.sent)
        if delays is None:
            delays = self.delays[entry.sent] = Delays()
        delay_s = max(0, t - begun)
        delays.add(delay_s, entry.topic, begun)
        if delay_s >= SLOW_ACK_S:
            self.slow.append((Flow(begun, entry.sent, 0, entry.qos, entry.topic, entry.size_b), delay_s))

    def all_delays(self) -> dict[bool, Delays]:
        """Those of whole seconds and those at once, by `sent`."""
        for form in self.forms:
            topic, t = form.first
            if t is not None:
                self.delays.setdefault(form.to_client, Delays()).add_at_once(form.at_once, topic, t)
            form.at_once = 0
        return self.delays


class Condenser:
    """parser: of the log. from_the_start: nothing of the log comes before these lines; else a Traffic says which flows
    began in it, for the Analyser to see whether their packet ids were in use."""

    def __init__(self, parser: parse.Parser, from_the_start: bool = True):
        self._parser, self._from_the_start = parser, from_the_start
        self._runs: dict[str, _Run] = {}
        self._busy: list[_Run] = []
        self._publishes: dict[str, dict[str, _Entry]] = {}
        self._acks: dict[str, _AckForm] = {}
        self._pings: dict[str, _Run | None] = {}
        self._entries = 0
        self._waiting = 0  # lines on the way
        self._stamp, self._t = "\n", None  # what the line before began with, and its time

    def events(self, block: str) -> Iterator[events.Event | Traffic | Tick]:
        """The events of the next lines, whole ones, plain packets as Traffic, later."""
        publishes, acks, pings, busy = self._publishes, self._acks, self._pings, self._busy
        parser, from_the_start = self._parser, self._from_the_start
        ticked: Time = None
        for t, texts, own in self._seconds(block):
            if own and t != ticked:
                yield Tick(t, 0)
                ticked = t
            others = 0
            for text in texts:
                try:
                    if text[-2] == ")":
                        head, _, rest = text.partition(", m")
                        pid, _, tail = rest.partition(", ")
                        try:
                            entry = publishes[head][tail]
                        except KeyError:
                            entry = self._new_publish(t, text, head, pid, tail)
                        if entry is not None:
                            flows = entry.flows
                            if flows is None or pid not in flows:
                                if flows is not None:
                                    flows[pid] = (t, entry) if entry.qos == 1 else [t, entry, "PUBLISH"]
                                    if not from_the_start:
                                        entry.run.opened[entry.sent].setdefault(pid, t)
                                count = entry.count
                                if not count:
                                    entry.first = t
                                    self._touch(entry)
                                entry.count = count + 1
                                entry.last = t
                                listener = entry.listener
                                if listener is not None and listener.heard != t:
                                    listener.speaks(t)
                                continue
                    elif text[-1] == ")":
                        head, _, tail = text.rpartition("(")
                        try:
                            form = acks[head]
                        except KeyError:
                            form = self._new_ack(t, text, head, tail)
                        if form is not None:
                            pid = tail[form.start : form.stop]
                            flows, listener = form.flows, form.listener
                            if form.ends:
                                flow = flows.pop(pid, None)
                                if type(flow) is form.kind:
                                    if listener is None:
                                        form.run.last = t
                                    elif listener.heard != t:
                                        listener.speaks(t)
                                    if flow[0] != t:
                                        form.run.finished(flow[1], flow[0], t)
                                    elif form.at_once:
                                        form.at_once += 1
                                    else:
                                        form.first_at_once(flow[1].topic, t)
                                    continue
                                if flow is not None:
                                    flows[pid] = flow
                            else:
                                flow = flows.get(pid)
                                # A repetition (of PUBREL, above all) is out of the ordinary.
                                if type(flow) is list and flow[2] != form.name:
                                    if listener is None:
                                        form.run.last = t
                                    elif listener.heard != t:
                                        listener.speaks(t)
                                    flow[2] = form.name
                                    continue
                    elif text in pings:
                        run = pings[text]
                        if run is not None:
                            if not run.busy:
                                run.busy = True
                                busy.append(run)
                            run.pings += 1
                            if run.heard != t:
                                run.speaks(t)
                        parser.elsewhere()
                        continue
                except IndexError:  # no text at all
                    pass
                others += 1
                for event in parser.all_of(t, text, own):
                    yield from self._other(event)
            quick = len(texts) - others
            if quick:
                self._waiting += quick
                yield Tick(t, quick)
        if self._waiting > LINES:
            yield from self.rest()

    def _seconds(self, block: str) -> Iterator[tuple[Time, list[str], bool]]:
        """The messages of lines that stand together and begin alike (with the same second), and their time; a line
        whose message does not simply begin behind a prefix alone. With each whether they are the broker's."""
        if "\r" in block:
            block = block.replace("\r\n", "\n")
        stamp, t, reach = self._stamp, self._t, 1000
        at, end = 0, len(block)
        while at < end:
            if not block.startswith(stamp, at):
                stop = block.find("\n", at)
                stop = end if stop < 0 else stop
                line = block[at:stop]
                t, text, own = self._parser.split(line)
                width = len(line) - len(text)
                if not own or width <= 0 or line[width:] != text:
                    yield t, [text], own
                    at, stamp = stop + 1, "\n"  # no line begins so
                    continue
                stamp = line[:width]
            begin, upto = at, min(end, at + reach)
            texts = block[at + len(stamp) : upto].split("\n" + stamp)
            # The last piece goes on to the end of what was looked at: one line of this stamp, and others.
            last = texts[-1]
            stop = last.find("\n")
            if stop >= 0:
                at = upto - len(last) + stop + 1
                texts[-1] = last[:stop]
            else:
                stop = block.find("\n", upto)
                stop = end if stop < 0 else stop
                texts[-1] = last + block[upto:stop]
                at = stop + 1
            reach = min(max(2 * (at - begin), 500), 100_000)
            if block.count("\n", begin, at - 1) == len(texts) - 1:
                yield t, texts, True
            else:  # lines of other seconds in between: one by one
                for line in block[begin : at - 1].split("\n"):
                    yield self._alone(line)
        self._stamp, self._t = stamp, t

    def _alone(self, line: str) -> tuple[Time, list[str], bool]:
        t, text, own = self._parser.split(line)
        return t, [text], own

    def rest(self) -> Iterator[Traffic]:
        """All that is on the way."""
        self._waiting = 0
        for run in self._busy:
            if run.busy:
                yield self._handed_on(run)
        self._busy.clear()
        if self._entries > ENTRIES:
            self._entries = 0
            for remembered in (self._publishes, self._acks, self._pings, self._runs):
                remembered.clear()

    def begin_anew(self) -> None:
        """The next lines do not follow those before: nothing of what is on the way goes on."""
        for run in self._runs.values():
            run.from_client.clear()
            run.to_client.clear()
        self._stamp = "\n"
        self._parser.elsewhere()

    def _other(self, event: events.Event) -> Iterator[events.Event | Traffic]:
        """A line that is no plain packet: the packets of its client come before it."""
        kind = type(event)
        if kind in (events.Broker, events.Host, events.Violation):
            yield from self.rest()
        else:
            run = self._runs.get(getattr(event, "client", None) or "")
            if run is not None and run.busy:
                yield self._handed_on(run)
            if kind is events.Control:
                self._new_ping(event)
            elif kind is events.Publish and event.qos:
                self._flows_of(event.client, event.sent)[str(event.pid)] = HANDED_ON[event.qos]
            elif kind is events.Ack:
                self._acked(event)
        yield event

    def _acked(self, event: events.Ack) -> None:
        """The Analyser gets an ack, which may be the last of a flow that it has."""
        flows = self._flows_of(event.client, event.sent if event.name == "PUBREL" else not event.sent)
        last = HANDED_ON[{"PUBACK": 1, "PUBCOMP": 2}.get(event.name, 0)]
        flow = flows.get(str(event.pid))
        if type(flow) is str and (flow == last or (event.code or 0) >= 128):
            del flows[str(event.pid)]

    def _flows_of(self, client: str, to_client: bool) -> dict[str, tuple | list | str]:
        run = self._run(client)
        return run.to_client if to_client else run.from_client

    def _handed_on(self, run: _Run) -> Traffic:
        topics = []
        for entry in run.entries:
            topics.append(
                TopicCount(entry.topic, entry.sent, entry.count, entry.count * entry.size_b, entry.first, entry.last)
            )
            entry.count = 0
        flows = []
        for sent, open_flows in ((False, run.from_client), (True, run.to_client)):
            for pid, flow in open_flows.items():
                if type(flow) is not str and pid.isdecimal():
                    begun, entry, *step = flow
                    flows.append(Flow(begun, sent, int(pid), entry.qos, entry.topic, entry.size_b, *step))
                    open_flows[pid] = HANDED_ON[entry.qos]
        flows.sort(key=lambda flow: flow.t or 0)
        times = [entry.last for entry in run.entries] + [run.last, run.heard]
        last = max((t for t in times if t is not None), default=None)
        heard = run.heard is not None or run.pings > 0 or any(not entry.sent for entry in run.entries)
        if run.silences:
            run.longest_s = max(silence_s for _, silence_s in run.silences)
        traffic = Traffic(
            last,
            run.client,
            run.heard_first,
            run.heard,
            heard,
            run.silences,
            run.longest_s,
            run.pings,
            topics,
            run.all_delays(),
            run.slow,
            run.opened,
            flows,
        )
        run.busy = False
        run.begin()
        return traffic

    def _touch(self, entry: _Entry) -> None:
        """The entry counts for the first time since its client was handed on."""
        run = entry.run
        run.entries.append(entry)
        if not run.busy:
            run.busy = True
            self._busy.append(run)

    def _run(self, client: str) -> _Run:
        run = self._runs.get(client)
        if run is None:
            run = self._runs[client] = _Run(client)
        return run

    def _new_publish(self, t: Time, text: str, head: str, pid: str, tail: str) -> _Entry | None:
        """The entry of a PUBLISH whose text is new; None when it is not a plain one, or when its packet id does not
        stand where it was looked for (an id can hold anything)."""
        event = self._parser.understood(t, text, True)
        if (
            type(event) is not events.Publish
            or event.dup
            or event.size_b is None
            or not pid.isdecimal()
            or int(pid) != event.pid
            or not head.endswith(f" (d0, q{event.qos}, r{int(event.retain)}")
            or not head.startswith(
                ("Received PUBLISH from " + event.client + " (", "Sending PUBLISH to " + event.client + " (")
            )
        ):
            return None
        self._entries += 1
        entry = self._publishes.setdefault(head, {})[tail] = _Entry(self._run(event.client), event)
        return entry

    def _new_ack(self, t: Time, text: str, head: str, tail: str) -> _AckForm | None:
        event = self._parser.understood(t, text, True)
        if (
            type(event) is not events.Ack
            or event.code
            or not head.endswith(f" {event.name} {'to' if event.sent else 'from'} {event.client} ")
        ):
            return None
        start = 5 if tail.startswith("Mid: ") else 1
        pid = str(event.pid)
        if not tail.startswith(pid, start):
            return None
        self._entries += 1
        form = self._acks[head] = _AckForm(self._run(event.client), event, start, start + len(pid) - len(tail))
        return form

    def _new_ping(self, event: events.Control) -> None:
        """From now on a PINGREQ of this client, and the answer, are only counted."""
        if event.name == "PINGREQ" and not event.sent and len(event.client) < 400:
            self._entries += 1
            self._pings["Received PINGREQ from " + event.client] = self._run(event.client)
            self._pings["Sending PINGRESP to " + event.client] = None
