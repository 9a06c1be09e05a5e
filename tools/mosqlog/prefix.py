"""Where the message of a line begins, and the time before it.

People's logs carry whatever their container, journal, syslog, grep or chat put before each line. So shapes are not
listed here: a line whose message is known shows where the prefix ends, and the prefix, with its figures and times made
general, is the shape of lines to come. A shape ends with the broker's own time and ": ", or with a header (of syslog,
a container, ...). Where neither a shape nor a message fits, the line is not the broker's.

Of two times before a message the broker's own, the one next to it, is the true one; the header's is taken when it is
the finer of the same second, and alone when there is no other.
"""

from __future__ import annotations

import json
import re
import time
from typing import NamedTuple

from . import stamp

SHAPES = 64  # remembered; the oldest gives way
_DAY_S = 86400
_ZONE_STEP_S = 1800  # zones differ by halves of an hour
ANSI = re.compile(r"\x1b\[[0-9;]*[mK]")  # colours, and what grep puts behind them: an id can hold other escapes
_NAKED_ANSI = re.compile(r"^(?:\[\d{1,2}(?:;\d{1,3})*m)+|(?:\[\d{0,2}(?:;\d{1,3})*m)+$")  # a copy has lost the ESC

_STRONG = (  # beginnings that no other program's log has
    r"New (?:connection from |client connected from |bridge connected from )",
    r"Received (?:PUB[A-Z]+|SUBSCRIBE|UNSUBSCRIBE|PINGREQ|PINGRESP|DISCONNECT|AUTH|SUBACK|UNSUBACK) from ",
    r"Sending (?:PUB[A-Z]+|SUBACK|UNSUBACK|PINGREQ|PINGRESP|DISCONNECT|AUTH|CONNACK) to ",
    r"Client .{1,300}? (?:closed its connection\.|has exceeded timeout, disconnecting|disconnected due to |"
    r"disconnected, (?:not authorised|session taken|bad user|no longer|client|server|bad auth)|"
    r"already connected, closing old|been disconnected by admin|\[\S+\] disconnected: )",
    r"Socket (?:error|read error|write error) on client ",
    r"Bad socket read/write on client ",
    r"mosquitto version \S+ ",
    r"Config loaded from ",
    r"Opening \w+ listen socket on ",
    r"Saving in-memory database",
    r"Will message specified \(",
    r"No will message specified\.",
    r"(?:Denied|Rejected) PUBLISH (?:from|to) ",
    r"Dropp(?:ed|ing) too large ",
    r"Outgoing messages are being dropped",
    r"Expiring (?:persistent )?client ",
    r"Unable to accept new connection, ",
    r"dynsec: \S+ \| ",
    r"Connecting bridge ",
    r"Bridge \S+ (?:sending|doing) ",
    r"Received CONNACK on connection ",
    r"Restored \d+ ",
    r"OpenSSL Error(?:\[\d+\])?: ",
    r"Using default config\.",
    r"Starting in local only mode",
    r"Warning: Mosquitto should not",
    r"Warning: Received PUB",
    r"Error (?:saving in-memory|restoring persistent|creating bridge|opening (?:acl|password))",
    r"Error: Unable to (?:open (?:log|pw|acl|config)|load (?:CA|server)|start any)",
    r"Error: Couldn't open database",
    r"Connection Refused: ",
    r"Client connection from \S+ (?:denied|failed)",
    r"TLS support (?:NOT )?available",
    r"(?:Bridge|Persistence|TLS-PSK|Websockets) support (?:NOT )?available",
    r"Protocol error from ",
)
_WEAK = (  # those that need a prefix which is a broker's beyond doubt
    r"Client .{1,300}? disconnected(?:\.|: )",
    r"Error: ",
    r"Warning: ",
    r"Error \w",
    r"Loading (?:config|plugin)",
    r"Reloading config",
    r"Info: ",
    r"Plugin ",
    r"Invalid ",
    r"Unable to ",
    r"\|-- ",
    r"The '",
)
_HEAD = re.compile(r"(?<![\w-])(?:" + "|".join(_STRONG) + ")")
_WEAK_HEAD = re.compile(r"(?<![\w-])(?:" + "|".join(_WEAK) + ")")
_AT_ONCE = re.compile(r"\t|#011|" + _HEAD.pattern)
# How a prefix without the broker's own time ends: a tag and a colon, a container's bar, a stream's name, a quote.
_HEADER_END = re.compile(
    r"(?:^<\d+>1 .* (?:-|\]) (?:\ufeff)?|[\w)\]}]: ?|\| ?|\] ?|> ?|[\"'] ?|\t|"
    r"(?:stdout|stderr)(?: [FP])? |\$SYS/broker/log/\S+ )$"
)
_QUOTE = re.compile(r"[\"'`]$")
_TAG = re.compile(r"[\w./-]+(?:\[\d+\])?:\s?$")
_LEVEL = r"emerg|alert|crit|critical|err|error|warn|warning|notice|info|debug"
_GENERAL = re.compile(r"\d+|\b(?:" + _LEVEL + r")\b", re.IGNORECASE)
_PIECE = re.compile(r"\d|[^\W\d_]+|.", re.DOTALL)


class Split(NamedTuple):
    """A line taken apart. `own`: it is the broker's; else `text` is the whole line."""

    t: float | None
    text: str
    own: bool


class _Shape(NamedTuple):
    pattern: re.Pattern[str]
    kinds: tuple[str, ...]  # of the groups, which are the times in it
    stamped: bool  # the last of them is the broker's own
    quoted: str  # what closes the quote that the prefix opens
    trusted: bool  # its lines are the broker's, whatever they say


class Splitter:
    """Takes the prefix off the lines of one log.

    time_format: the broker's log_timestamp_format, None to recognise it. now: when the log was written last, seconds
    since 1970, for times without a year; None is now. Raises ValueError for a time_format that cannot be read."""

    def __init__(self, time_format: str | None = None, now: float | None = None):
        self.now = time.time() if now is None else now
        self.month_first = False  # of 03/04/2026; learn() settles it where the log does
        self._given = re.compile(stamp.compiled(time_format).pattern + r"(?=: )") if time_format is not None else None
        self._shapes: list[_Shape] = []
        self._last_prefix, self._last_t, self._last_quote = "", None, ""
        self._last_own: float | None = None
        self._last_dated: float | None = None  # the latest time with a year, of a header
        self._header_offset_s: float | None = None  # the broker's own time less its header's
        self._clock_days_s, self._last_clock = 0, None  # of a log that has hours only
        self._values: dict[tuple[str, str], float | None] = {}

    def learn(self, lines: list[str]) -> None:
        """Looks at the first lines before they are split: which shapes there are, and whether 03/04 is March or
        April."""
        for line in lines:
            self.split(line)
        firsts, seconds = set(), set()
        for line in lines[:2000]:
            for span in stamp.spans(line[:80]):
                if span.kind in stamp.DAY_OR_MONTH:
                    numbers = re.findall(r"\d+", line[span.start : span.end])
                    first, second = numbers[3:5] if span.kind == "clock dmy" else numbers[:2]
                    firsts.add(int(first))
                    seconds.add(int(second))
        # A day that stands still while the other figure runs is a month; a figure above 12 is a day.
        self.month_first = max(seconds, default=0) > 12 >= max(firsts, default=0)
        if any(shape.stamped for shape in self._shapes):
            self._shapes = [shape for shape in self._shapes if shape.stamped or shape.trusted]
        self._last_prefix, self._last_clock, self._clock_days_s = "", None, 0
        self._values.clear()

    @property
    def dateless(self) -> bool:
        """Some lines have hours without a date."""
        return any("clock" in shape.kinds or "given" in shape.kinds for shape in self._shapes)

    @property
    def stampless(self) -> bool:
        """No line so far had a prefix."""
        return not self._shapes and self._last_own is None

    def split(self, line: str) -> Split:
        """Never raises."""
        if line[10:12] == ": " and line[:10].isdecimal() and line[0] in "12":
            self._last_own = t = int(line[:10])
            return Split(t, line[12:], True)
        if self._last_prefix and line.startswith(self._last_prefix):
            text = line[len(self._last_prefix) :]
            return Split(self._last_t, text if not self._last_quote else self._unquoted(text, self._last_quote), True)
        return self._split(line)

    def _split(self, line: str) -> Split:
        if "\x1b" in line:
            line = ANSI.sub("", line)
        if line[-1:] == "m" or line[:1] == "[":
            line = _NAKED_ANSI.sub("", line)
        if line[:1] == "{" and line.rstrip()[-1:] == "}":
            unpacked = _unpacked(line, self.now)
            if unpacked:
                inner = self.split(unpacked[1])
                return Split(self._finer(inner.t, unpacked[0]), inner.text, inner.own)
        if line[10:12] == ": " and line[:10].isdecimal() and line[0] in "12":
            return self.split(line)
        if _AT_ONCE.match(line):
            return Split(None, line, True)
        for i, shape in enumerate(self._shapes):
            match = shape.pattern.match(line)
            if match:
                if i:
                    self._shapes.insert(0, self._shapes.pop(i))
                return self._taken(line, shape, match)
        return self._learnt(line)

    def _taken(self, line: str, shape: _Shape, match: re.Match[str]) -> Split:
        values = [self._value(kind, text) for kind, text in zip(shape.kinds, match.groups())]
        text = line[match.end() :]
        if shape.stamped:
            own = self._dated(values[-1], shape.kinds[-1])
            if own is not None:
                self._last_own = own
                if len(values) > 1 and values[0] is not None and own >= _DAY_S:
                    if shape.kinds[0] in stamp.YEARLESS and abs(own - values[0]) > 2 * _DAY_S:
                        values[0] = stamp.value(shape.kinds[0], match[1], own + 7 * _DAY_S) or own  # of the same year
                    if abs(own - values[0]) < 2 * _DAY_S:
                        self._header_offset_s = _rounded(own - values[0])
            t = self._finer(own, values[0] if len(values) > 1 else None)
        else:
            t = self._dated(values[0], shape.kinds[0]) if values else None
        if t is not None and t >= _DAY_S and not set(shape.kinds[-1:]) & set(stamp.YEARLESS):
            self._last_dated = t
        self._last_prefix, self._last_t, self._last_quote = match[0], t, shape.quoted
        if shape.quoted:
            text = self._unquoted(text, shape.quoted)
        return Split(t, text, True)

    @staticmethod
    def _unquoted(text: str, quote: str) -> str:
        end = text.rfind(quote)
        return text[:end] if end >= 0 and len(text) - end <= 3 else text

    @staticmethod
    def _finer(own: float | None, header: float | None) -> float | None:
        return header if header is not None and (own is None or 0 <= header - own < 1) else own

    def _learnt(self, line: str) -> Split:
        head = _HEAD.search(line)
        if head is None or not self._learn_shape(line[: head.start()], strong=True):
            head = _WEAK_HEAD.search(line)
            if head is None or not self._learn_shape(line[: head.start()], strong=False):
                return self._strange_or_foreign(line)
        shape = self._shapes[0]
        match = shape.pattern.match(line)
        return self._taken(line, shape, match) if match else Split(None, line, False)

    def _learn_shape(self, prefix: str, strong: bool) -> bool:
        """Whether a shape was made of the prefix; it is the first then."""
        if not prefix or len(prefix) > 400:
            return False
        spans = self._spans(prefix)
        stamps = [span for span in spans if _ends_a_stamp(prefix[span.end :])]
        stamped = bool(stamps) and not prefix[stamps[-1].end :].lstrip("])}>:").strip(" \t\"'")
        if stamps and not stamped and stamps[-1].kind != "clock":
            # The broker's message begins behind its stamp: this head stands somewhere within it.
            return False
        named = re.search(r"(?i)mosquitto|mqtt|broker", prefix) is not None
        if not stamped:
            if not _HEADER_END.search(prefix) and not (spans and prefix[spans[-1].end :].strip() == ""):
                return self._learn_strange(prefix) if strong and not spans else False
            if not strong and not named:
                return False
            if not named and any(shape.stamped for shape in self._shapes):
                return False  # another program speaks like a broker
            if not spans and prefix.endswith(": ") and not _TAG.search(prefix):
                return self._learn_strange(prefix)
        self._remember(prefix, spans, stamped, trusted=stamped or named)
        return True

    def _spans(self, prefix: str) -> list[stamp.Span]:
        match = self._given.search(prefix) if self._given else None
        if match is None:
            return stamp.spans(prefix)
        return [*stamp.spans(prefix[: match.start()]), stamp.Span(match.start(), match.end(), "given")]

    def _remember(self, prefix: str, spans: list[stamp.Span], stamped: bool, trusted: bool) -> None:
        pieces, at = [], 0
        for span in spans:
            pieces.append(_general(prefix[at : span.start]))
            # The look-behind of a kind would fail here: what stands before is part of the shape.
            pieces.append("(" + self._pattern_of(span.kind) + ")")
            at = span.end
        pieces.append(_general(prefix[at:]))
        before_message = prefix[: spans[-1].start] if stamped else prefix
        opened = _QUOTE.search(before_message.rstrip())
        pattern = re.compile("".join(pieces))
        self._shapes.insert(
            0, _Shape(pattern, tuple(span.kind for span in spans), stamped, opened[0] if opened else "", trusted)
        )
        del self._shapes[SHAPES:]

    def _pattern_of(self, kind: str) -> str:
        if kind == "given" and self._given:
            return re.sub(r"\(\?P<\w>", "(?:", self._given.pattern)
        return stamp.pattern_of(kind)

    def _learn_strange(self, prefix: str) -> bool:
        """A prefix in which no time is recognised: the same figures and words in other lines, whatever they say."""
        if not prefix.endswith(": ") or len(prefix) > 60 or not re.search(r"\d", prefix) or ": " in prefix[:-2]:
            return False
        shape = "".join(
            r"\d" if piece[0].isdecimal() else r"[^\W\d_]+" if piece[0].isalpha() else re.escape(piece)
            for piece in _PIECE.findall(prefix)
        )
        self._shapes.insert(0, _Shape(re.compile(shape), (), False, "", True))
        return True

    def _strange_or_foreign(self, line: str) -> Split:
        return Split(self._header_time(line), line, self.stampless)

    def _header_time(self, line: str) -> float | None:
        """The time of a line that is not the broker's, in the broker's zone and year."""
        span = stamp.leading(line[:100])
        if span is None or span.kind == "clock":
            return None
        t = self._value(span.kind, line[span.start : span.end])
        if t is None or span.kind.startswith("epoch"):
            return t
        return t + (self._header_offset_s or 0)

    def _value(self, kind: str, text: str) -> float | None:
        cached = self._values.get((kind, text))
        if cached is not None:
            return cached
        now = self.now
        dated = self._last_own if self._last_own is not None and self._last_own > _DAY_S else self._last_dated
        if dated is not None and kind in stamp.YEARLESS:
            now = dated + 7 * _DAY_S  # a time without a year lies near those that have one
        if kind == "given" and self._given:
            match = self._given.match(text + ": ")
            t = stamp.seconds(match, now) if match else None
        else:
            t = stamp.value(kind, text, now, self.month_first)
        if len(self._values) > 1000:
            self._values.clear()
        self._values[kind, text] = t
        return t

    def _dated(self, t: float | None, kind: str) -> float | None:
        if t is None or kind != "clock" and not 0 <= t < _DAY_S:
            return t
        if self._last_clock is not None and t < self._last_clock - _DAY_S / 2:
            self._clock_days_s += _DAY_S
        self._last_clock = t
        return t + self._clock_days_s


def _ends_a_stamp(rest: str) -> bool:
    return rest.startswith((": ", "]: ", "): ", ">: ", "}: ")) or rest in (":", "]:")


def _rounded(difference_s: float) -> float:
    """To what zones can differ by: a header that the journal wrote minutes late is no other zone."""
    return round(difference_s / _ZONE_STEP_S) * _ZONE_STEP_S


def _general(text: str) -> str:
    """The pattern of a piece of prefix: its figures and its level may differ."""
    out, at = [], 0
    for match in _GENERAL.finditer(text):
        out.append(re.escape(text[at : match.start()]))
        out.append(r"\d+" if match[0][0].isdecimal() else f"(?i:{_LEVEL})")
        at = match.end()
    return "".join(out) + re.escape(text[at:])


_TEXT_KEYS = ("log", "MESSAGE", "message", "msg", "line", "text", "body")
_TIME_KEYS = ("__REALTIME_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP", "time", "timestamp", "@timestamp", "ts")
_NAME_KEYS = ("SYSLOG_IDENTIFIER", "CONTAINER_NAME", "_COMM")


def _unpacked(line: str, now: float) -> tuple[float | None, str] | None:
    """Time and text of a line of docker's json-file, of journalctl -o json and their like; None: it is none."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    text = next((fields[key] for key in _TEXT_KEYS if isinstance(fields.get(key), (str, list))), None)
    if isinstance(text, list):  # what is not UTF-8, journald writes as numbers
        try:
            text = bytes(text).decode("utf-8", "surrogateescape")
        except (TypeError, ValueError):
            return None
    if text is None:
        return None
    t = None
    for key in _TIME_KEYS:
        raw = str(fields.get(key, ""))
        kind = "epoch us" if len(raw) == 16 and raw.isdecimal() else "iso"
        t = stamp.value(kind, raw, now) if raw else None
        if t is not None:
            break
    name = next((str(fields[key]) for key in _NAME_KEYS if fields.get(key)), "")
    text = text.rstrip("\r\n")
    if name and "mosquitto" not in name.lower() and not _AT_ONCE.match(text):
        text = f"{name}: {text}"
    return t, text
