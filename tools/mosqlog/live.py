"""What happens while a log is followed, told once.

A trouble is whoever is in trouble (a client, an address, a bridge, the broker) and a kind of finding. It is told when
it comes up, and again only when it comes back after AGAIN_S without it. What was in the log before the program caught
up with it is told once, in one line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Optional, Tuple

from . import words
from .findings import KINDS
from .model import Session, Subject

Key = Tuple[Optional[str], str, str, str]  # broker, whoever is in trouble, kind of finding

AGAIN_S = 3600
_GOOD_ENDS = ("open", "clean", "broker-stopped")


@dataclass
class Alarm:
    """A finding as it happens: `count` times so far, `t` the time of the latest (None: the log has no times),
    `example` its particulars. `standing`: it was in the log before the program caught up with it."""

    broker: str | None
    subject: Subject
    code: str
    t: float | None
    count: int
    example: dict[str, object] = field(default_factory=dict)
    standing: bool = False

    @property
    def weight(self) -> int:
        return KINDS[self.code].weight

    def text(self) -> str:
        """In one line, without the client and the time."""
        times = f"{self.count:,} times: " if self.count > 1 else ""
        example = words.example(self.example)
        return f"{times}{KINDS[self.code].title}" + (f": {example}" if example else "")


@dataclass
class SessionChange:
    """A session that began or ended."""

    broker: str | None
    subject: Subject
    session: Session

    @property
    def t(self) -> float | None:
        return self.session.start if self.session.end is None else self.session.end

    @property
    def is_trouble(self) -> bool:
        """Whether a finding tells of this end, too."""
        return self.session.how not in _GOOD_ENDS

    def text(self) -> str:
        address = f", from {words.shown(self.session.address)}" if self.session.address and not self.session.end else ""
        return words.HOWS[self.session.how] + address


class Live:
    """Takes what an Analyser tells, and passes on what a person should hear.

    on_alarm(Alarm) and on_session(SessionChange) are called when something is to be told."""

    def __init__(self, on_alarm: Callable[[Alarm], None], on_session: Callable[[SessionChange], None]):
        self._on_alarm, self._on_session = on_alarm, on_session
        self._caught_up: set[str | None] = set()
        self._last_t: dict[Key, float | None] = {}
        self._latest: Alarm | None = None

    def teller(self, broker: str | None) -> Callable[[str, Subject, object], None]:
        """The `tell` of the Analyser of that broker."""

        def tell(kind: str, subject: Subject, thing) -> None:
            if broker not in self._caught_up:
                return
            if kind == "session":
                self._on_session(SessionChange(broker, subject, thing))
            elif kind == "finding":
                example = {name: value for name, value in thing.items() if name not in ("code", "t")}
                self._found(Alarm(broker, subject, thing["code"], thing["t"], 1, example))

        return tell

    def caught_up(self, broker: str | None, subjects: list[Subject]) -> None:
        """The log has been read as far as it goes: tells once what was found in it, and from here on what comes."""
        if broker in self._caught_up:
            return
        self._caught_up.add(broker)
        for subject in subjects:
            for finding in subject.worst():
                self._last_t[_key(broker, subject, finding.code)] = finding.last
                example = dict(finding.examples[-1]) if finding.examples else {}
                example.pop("t", None)
                self._on_alarm(Alarm(broker, subject, finding.code, finding.last, finding.count, example, True))

    def _found(self, alarm: Alarm) -> None:
        key = _key(alarm.broker, alarm.subject, alarm.code)
        known, before = key in self._last_t, self._last_t.get(key)
        self._last_t[key] = alarm.t
        twin, self._latest = self._latest, alarm
        if known and (before is None or alarm.t is None or alarm.t - before < AGAIN_S) or _same(twin, alarm):
            return
        finding = alarm.subject.findings.get(alarm.code)
        alarm.count = finding.count if finding else 1
        self._on_alarm(alarm)


def _same(first: Alarm | None, second: Alarm) -> bool:
    """Whether both are of one event: a refused login is found with its client and with its address."""
    return (
        first is not None
        and first.subject is not second.subject
        and (first.broker, first.code, first.t, first.example) == (second.broker, second.code, second.t, second.example)
    )


def _key(broker: str | None, subject: Subject, code: str) -> Key:
    # A client may have the id that is another's address.
    return broker, type(subject).__name__, subject.id, code
