"""Mosquitto log lines, versions 1.3 to 2.1, as typed events.

    parse(line) -> Event            one line by itself
    Parser().parse(line) -> Event   the lines of one log in order: also knows the lines that only
                                    mean something after another one (filters, the will's topic)

As the oracle of a test: start Mosquitto with `log_type all` to stderr into a file, then

    events = [parse(line) for line in open(path, "rb")]
    assert Publish(t, False, "dev", dup=True, ...) in events      or
    assert [e.pid for e in events if isinstance(e, Ack) and e.name == "PUBREL"] == [7]

Never raises on input, never invents: a line that is not recognised whole is `Unknown`. The events: events.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from .events import (
    Ack,
    Broker,
    Connected,
    Control,
    Detail,
    Ended,
    Event,
    Filter,
    Foreign,
    Granted,
    Note,
    Plugin,
    Publish,
    Removed,
    Time,
    Tls,
    Trouble,
    Unknown,
    Violation,
    Will,
    WillTopic,
)
from .message import around, event_of, untidied
from .prefix import Split, Splitter

LEARN_LINES = 2000  # at the beginning of a log
_ASKED = re.compile(r"(.*) \((?:QoS ([0-2])|(denied))\)")
_QOS_FILTER = re.compile(r"([0-2]) (.*)")


def parse(line: bytes | str) -> Event:
    """The event of one line, its end of line included or not. Never raises, keeps no state."""
    t, text, own = Splitter().split(_text(line))
    return event_of(t, text) or around(t, text, Unknown if own else Foreign)


def _text(line: bytes | str) -> str:
    if isinstance(line, bytes):
        line = line.decode("utf-8", "surrogateescape")
    # NULs: a log truncated while Mosquitto has it open begins with a hole of them.
    return line.rstrip("\r\n").lstrip("\0\ufeff")


# Lines that were glued together: behind the end of a message the next one's time stands without a line's end.
_GLUED = re.compile(
    r"(?<=[.)\w])\s*(?=[12]\d{9}: "
    r"(?:New|Client|Received|Sending|Socket|mosquitto|Will|No will|Saving|Error) )"
)


class Parser:
    """The lines of one log, in order: resolves what depends on the lines before.

    time_format: the `log_timestamp_format` of the broker, None to recognise the usual ones.
    now: when the log was written last, seconds since 1970, for times without a year; None is now.
    Raises ValueError for a time_format that it cannot read.
    """

    def __init__(self, time_format: str | None = None, now: Time = None):
        self.time_format = time_format
        self._prefix = Splitter(time_format, now)
        self._client: str | None = None  # of the CONNECT, SUBSCRIBE or UNSUBSCRIBE
        self._place = ""  # "will", "SUBSCRIBE", "UNSUBSCRIBE" or nowhere
        self._filter = ""  # the last one asked for

    def written(self, now: float) -> None:
        """What follows is from a file written last at `now`, for times without a year."""
        self._prefix.now = now

    @property
    def dated(self) -> bool:
        """False when the log's times are hours without a date, whose days are counted from line to line."""
        return not self._prefix.dateless

    def learn(self, lines: Sequence[str]) -> None:
        """Looks at the first lines of the log for what stands before their messages; parses nothing."""
        self._prefix.learn([_text(line) for line in lines[:LEARN_LINES]])

    def events(self, lines: Iterable[bytes | str]) -> Iterator[Event]:
        """The events of lines. A line in which several were glued together gives several."""
        for line in lines:
            yield from self.all_of(*self.split(line))

    def all_of(self, t: Time, text: str, own: bool) -> Iterator[Event]:
        """The event of a line that split() took apart, or those of several lines that were glued together."""
        event = self.understood(t, text, own)
        if type(event) not in _GLUABLE or not _GLUED.search(text):
            yield event
            return
        first, *others = _GLUED.split(text)
        yield self.understood(t, first, own)
        for line in others:
            yield self.parse(line)

    def parse(self, line: bytes | str) -> Event:
        """The event of the next line. Never raises."""
        return self.understood(*self._prefix.split(_text(line)))

    def split(self, line: bytes | str) -> Split:
        """Takes the prefix off the next line, for understood()."""
        return self._prefix.split(_text(line))

    def elsewhere(self) -> None:
        """A packet that was not passed through here came: filters to come are not of the SUBSCRIBE before it."""
        self._place = ""

    def understood(self, t: Time, text: str, own: bool) -> Event:
        """The event of a line that split() took apart."""
        event = event_of(t, text)
        kind = type(event)
        if kind is Publish or kind is Ack:  # nine lines of ten: as little as possible
            return event
        if not own:
            return event if event is not None and kind not in _WEAK else around(t, text)
        if event is None or kind is Detail:
            return self._in_place(t, text, event) or event or untidied(t, text) or around(t, text, Unknown)
        if kind is Control:
            if not event.sent:
                self._place, self._client = event.name, event.client
                self._filter = ""
            elif event.name in ("SUBACK", "UNSUBACK"):
                self._place = ""
        elif kind is Connected:
            self._place, self._client = "", event.client
        elif kind is Will:
            self._place = "will"
            return event._replace(client=self._client)
        return event

    def _in_place(self, t: Time, text: str, detail: Detail | None) -> Event | None:
        place, client = self._place, self._client
        # Some copies of a log have lost their TABs, or have blanks instead.
        asked = detail.text if detail else text.lstrip(" ")
        if place == "will":
            self._place = ""
            return WillTopic(t, client, asked) if detail or asked != text else None
        if place not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return None
        if not detail and self._filter and text.startswith(client + " "):
            rest = text[len(client) + 1 :]
            if place == "UNSUBSCRIBE" and rest == self._filter:
                return Removed(t, client, rest)
            match = place == "SUBSCRIBE" and _QOS_FILTER.fullmatch(rest)
            if match and match[2] == self._filter:
                return Granted(t, client, match[2], int(match[1]))
        if place == "UNSUBSCRIBE":
            self._filter = asked
            return Filter(t, client, asked, None, False) if detail or asked != text else None
        match = _ASKED.fullmatch(asked)
        if not match:
            return None
        self._filter = match[1]
        return Filter(t, client, match[1], match[2] and int(match[2]), bool(match[3]))


_GLUABLE = (Unknown, Foreign, Ended, Violation, Note, Trouble, Broker, Control, Tls)
_WEAK = (Note, Trouble, Plugin, Violation, Detail)  # what other programs' lines look like too
