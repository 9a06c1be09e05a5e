"""What stands before the message of a log line: syslog, journald or docker headers and the time."""

from __future__ import annotations

import calendar
import re
import time

_MONTHS = {name: n for n, name in enumerate(
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)}
_WORD = r"[^\W\d_]+\.?"
_DIRECTIVES = {
    "Y": r"(?P<Y>\d{4})", "y": r"(?P<y>\d\d)", "m": r"(?P<m>\d\d)", "d": r"(?P<d>\d\d)",
    "e": r"(?P<d>[ \d]\d)", "H": r"(?P<H>\d\d)", "k": r"(?P<H>[ \d]\d)", "M": r"(?P<M>\d\d)",
    "S": r"(?P<S>\d\d(?:[.,]\d{1,9})?)", "I": r"(?P<I>\d\d)", "p": r"(?P<p>[AaPp]\.?[Mm]\.?)",
    "b": rf"(?P<b>{_WORD})", "B": rf"(?P<b>{_WORD})", "h": rf"(?P<b>{_WORD})", "a": _WORD,
    "A": _WORD, "z": r"(?P<z>Z|[+-]\d\d:?\d\d)", "Z": r"(?P<Z>[A-Za-z]{1,5}|[+-]\d\d)",
    "s": r"(?P<s>\d{9,11}(?:\.\d{1,9})?)", "j": r"(?P<j>\d{3})", "u": r"\d", "w": r"\d",
    "U": r"\d\d", "V": r"\d\d", "W": r"\d\d", "n": r"\n", "t": r"\t", "%": "%", "G": r"\d{4}",
    "g": r"\d\d", "C": r"\d\d", "P": r"(?P<p>[ap]m)", "l": r"(?P<I>[ \d]\d)",
}
_COMPOSED = {"T": "%H:%M:%S", "R": "%H:%M", "F": "%Y-%m-%d", "D": "%m/%d/%y", "x": "%m/%d/%y",
             "X": "%H:%M:%S", "r": "%I:%M:%S %p", "c": "%a %b %e %H:%M:%S %Y"}

# Tried in this order; the one that fitted last is tried first. Day before month where a log
# leaves it open: `--time-format` says it exactly.
_USUAL = (
    "%s", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S %z",
    "%Y-%m-%d %H:%M:%S %Z", "%Y/%m/%d %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S",
    "%d/%m/%y %H:%M:%S", "%m/%d/%y %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%d-%m-%Y %H:%M:%S",
    "%d-%b-%Y %H:%M:%S", "%d/%b/%Y:%H:%M:%S", "%d/%b/%Y:%H:%M:%S %z", "%b %e %H:%M:%S",
    "%b %e %Y %H:%M:%S", "%b %e, %Y %H:%M:%S", "%d %b %Y %H:%M:%S", "%a %b %e %H:%M:%S %Y",
    "%a %d %b %Y %H:%M:%S", "%a, %d %b %Y %H:%M:%S %z", "%a %d %b %Y %H:%M:%S %p %Z",
    "%Y%m%d-%H%M%S", "%Y%m%dT%H%M%S", "%Y%m%d %H:%M:%S", "%Y-%m-%dT%H%M%S", "%H:%M:%S",
    "%I:%M:%S %p",
)
_ISO = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
_SYSLOG = r"[^\W\d_]{3,5}\.? [ \d]\d \d\d:\d\d:\d\d(?:\.\d{1,9})?"
_HEADERS = (
    # RFC 3164 and journalctl -o short, short-precise; -o short-iso, short-unix, rsyslog's own
    re.compile(rf"(?:<\d+>)?({_SYSLOG}) \S+ [^\s:\[\]]+(?:\[\d+\])?: "),
    re.compile(rf"(?:<\d+>)?({_ISO}|\d{{10}}\.\d+) \S+ "
               r"(?:[^\s:\[\]]+\[\d+\]|[^\s:\[\]]*mosquitto[^\s:\[\]]*): "),
    re.compile(rf"<\d+>1 ({_ISO}) \S+ \S+ \S+ \S+ (?:-|\[.*?\]) \ufeff?"),      # RFC 5424
    re.compile(rf"((?:{_ISO})?) ?[\w.-]*mosquitto[\w.-]* *\| "),                # docker compose
    re.compile(rf"({_ISO}) (?=\d|[A-Z]|\t|mosquitto)"),                         # docker logs -t
)


def compiled(time_format: str) -> re.Pattern[str]:
    """The pattern of a strftime text. Raises ValueError for a directive it does not know."""
    time_format = re.sub(r"%(.)", lambda m: _COMPOSED.get(m[1], m[0]), time_format, flags=re.DOTALL)
    out, seen, i = [], set(), 0
    while i < len(time_format):
        if time_format[i] != "%":
            out.append(re.escape(time_format[i]))
            i += 1
            continue
        letter = time_format[i + 1:i + 2]
        if letter not in _DIRECTIVES or not letter:
            raise ValueError(f"time format {time_format!r}: %{letter} is not known; use those of "
                             f"strftime(3), for example %Y-%m-%dT%H:%M:%S")
        part = _DIRECTIVES[letter]
        name = re.match(r"\(\?P<(\w)>", part)
        if name and name[1] in seen:
            part = "(?:" + part[part.index(">") + 1:]
        seen.update(name[1] if name else "")
        out.append(part)
        i += 2
    return re.compile("".join(out))


def _usual(time_format: str) -> re.Pattern[str]:
    return re.compile(r"[\[(<]?" + compiled(time_format).pattern + r"[\])>]?: ")


_USUAL_PATTERNS = [_usual(text) for text in _USUAL]
_HEADER_PATTERNS = [compiled(text) for text in (
    "%s", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S%z",
    "%b %e %H:%M:%S")]
# A text of no usual form that could still be a time: figures, and words as in names of days.
_STRANGE = re.compile(
    r"(?=[^:]*\d)(?=.{1,60}?: )([^\W_]{1,9}(?:[ ,./:+|\[\]()-]{1,3}[^\W_]{1,9})*[\].)]?): "
    r"(?=New c|New b|Received [A-Z]+ f|Sending [A-Z]+ t|Client .*\.$|mosquitto version "
    r"|Config loaded|Opening |\t|Will m|No will m)")
_NO_STAMP = ("Received ", "Sending ", "Client ", "New ", "\t", "No will ")     # to save the search
_LETTERS = re.compile(r"[^\W\d_]+")


def seconds(m: re.Match[str], now: float) -> float | None:
    """Seconds since 1970 of a match of compiled(); None when it is no time. Without a zone it is
    taken as written, without a year it is the latest before `now`, without a date 1970-01-01."""
    g = m.groupdict()
    if g.get("s"):
        return float(g["s"]) if "." in g["s"] else int(g["s"])
    year = int(g.get("Y") or 0) or (2000 + int(g["y"]) if g.get("y") else 0)
    month, day = int(g.get("m") or 0), int(g.get("d") or 0)
    if g.get("b"):
        month = _MONTHS.get(g["b"].rstrip(".")[:3].lower(), 0)
        if not month:
            return None
    if g.get("j"):
        month, day = 1, int(g["j"])
        if not 1 <= day <= 366:
            return None
    elif not month and not day and not year:
        year, month, day = 1970, 1, 1
    elif not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    hour, minute = int(g.get("H") or 0), int(g.get("M") or 0)
    if g.get("I"):
        hour = int(g["I"]) % 12 + (12 if (g.get("p") or "a")[0] in "pP" else 0)
    second = float((g.get("S") or "0").replace(",", "."))
    if hour > 23 or minute > 59 or second >= 61:
        return None
    yearless = not year
    year = year or time.gmtime(now).tm_year
    t = calendar.timegm((year, month, day, hour, minute, 0)) + second
    if yearless and t > now + 86400:
        t = calendar.timegm((year - 1, month, day, hour, minute, 0)) + second
    zone = g.get("z")
    if zone and zone != "Z":
        offset_s = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
        t -= offset_s if zone[0] == "+" else -offset_s
    return int(t) if t == int(t) else t


def when(text: str) -> float:
    """A time as a person gives it: epoch seconds, or a date and time as 2026-11-22T11:56:02.
    Raises ValueError with an example."""
    for pattern in _HEADER_PATTERNS:
        m = pattern.fullmatch(text)
        t = m and seconds(m, time.time())
        if t is not None:
            return t
    raise ValueError(f"{text!r} is not a time; give it as 2026-11-22T11:56:02 or 1795348562")


class Splitter:
    """Takes the prefix off the lines of one log. See parse.Parser for the arguments."""

    def __init__(self, time_format: str | None = None, now: float | None = None):
        self.now = time.time() if now is None else now
        self._patterns = _USUAL_PATTERNS
        if time_format is not None:
            self._patterns = [re.compile(compiled(time_format).pattern + ": "), *_USUAL_PATTERNS]
        self._fitted = 0                # index of the pattern that fitted last
        self._shape: re.Pattern[str] | None = None      # of a strange prefix seen
        self._cached = ("", None)       # prefix of the last line and its time
        self._header = ("", None)       # and its header
        self._dateless = None           # last time of a log that has hours only
        self._days_s = 0

    def split(self, line: str) -> tuple[float | None, str]:
        """-> (seconds since 1970 or None, the message)."""
        if line[10:12] == ": " and line[:10].isdecimal():
            return int(line[:10]), line[12:]
        if line.startswith(_NO_STAMP):
            return None, line
        header, outer = self._header
        if not header or not line.startswith(header):
            t, text = self._stamped(line)
            if t is not None or text is not line:
                return t, text
            header, outer = self._headed(line)
            if not header:
                return self._strange(line)
        rest = line[len(header):]
        if rest[10:12] == ": " and rest[:10].isdecimal():
            inner, text = int(rest[:10]), rest[12:]
        else:
            inner, text = self._stamped(rest)
        # Mosquitto's own time is the true one, the header's the finer one.
        if inner is None or (outer is not None and 0 <= outer - inner < 1):
            inner = outer
        return inner, text

    def _headed(self, line: str) -> tuple[str, float | None]:
        """The header of the line and its time; remembered, for the next line often has the same."""
        for pattern in _HEADERS:
            m = pattern.match(line)
            if m:
                self._header = m[0], self._time(m[1], _HEADER_PATTERNS)
                return self._header
        return "", None

    def _stamped(self, line: str) -> tuple[float | None, str]:
        cached, t = self._cached
        if cached and line.startswith(cached):
            return t, line[len(cached):]
        patterns = self._patterns
        order = [self._fitted, *range(len(patterns))] if self._fitted else range(len(patterns))
        for i in order:
            m = patterns[i].match(line)
            if m:
                t = seconds(m, self.now)
                if t is None:
                    continue
                self._fitted = i
                t = self._dated(t)
                self._cached = (m[0], t)
                return t, line[m.end():]
        return None, line

    def _strange(self, line: str) -> tuple[float | None, str]:
        if self._shape is None:
            m = _STRANGE.match(line)
            if m:
                # The same figures and words in other lines, whatever they say.
                shape = re.sub(r"\d", "0", _LETTERS.sub("a", m[0]))
                self._shape = re.compile("".join(
                    r"\d" if c == "0" else r"[^\W\d_]+" if c == "a" else re.escape(c)
                    for c in shape))
        m = self._shape and self._shape.match(line)
        return (None, line[m.end():]) if m else (None, line)

    def _dated(self, t: float) -> float:
        if t >= 86400 or t < 0:
            return t
        if self._dateless is not None and t < self._dateless - 43200:
            self._days_s += 86400
        self._dateless = t
        return t + self._days_s

    def _time(self, text: str, patterns: list[re.Pattern[str]]) -> float | None:
        for pattern in patterns:
            m = pattern.fullmatch(text)
            if m:
                return seconds(m, self.now)
        return None
