"""Times as they stand in logs: recognised anywhere in a text, or given as strftime(3) spells them."""

from __future__ import annotations

import calendar
import re
import time
from typing import NamedTuple

_ENGLISH = "jan feb mar apr may jun jul aug sep oct nov dec"
# Syslog writes the months of the system's language; the first that has a word keeps it.
_LANGUAGES = (
    _ENGLISH,
    "jan feb m\u00e4r apr mai jun jul aug sep okt nov dez",  # German
    "jan feb mrt apr mei jun jul aug sep okt nov dec",  # Dutch
    "janv f\u00e9vr mars avr mai juin juil ao\u00fbt sept oct nov d\u00e9c",  # French
    "ene feb mar abr may jun jul ago sep oct nov dic",  # Spanish
    "gen feb mar apr mag giu lug ago set ott nov dic",  # Italian
    "jan fev mar abr mai jun jul ago set out nov dez",  # Portuguese
    "sty lut mar kwi maj cze lip sie wrz pa\u017a lis gru",  # Polish
    "jan feb mar apr maj jun jul aug sep okt nov dec",  # Danish, Swedish
    "jan feb mar apr mai jun jul aug sep okt nov des",  # Norwegian
    "led \u00fano b\u0159e dub kv\u011b \u010den \u010dvc srp z\u00e1\u0159 \u0159\u00edj lis pro",  # Czech
    "jan febr m\u00e1rc \u00e1pr m\u00e1j j\u00fan j\u00fal aug szept okt nov dec",  # Hungarian
    "tammi helmi maalis huhti touko kes\u00e4 hein\u00e4 elo syys loka marras joulu",  # Finnish
    "\u044f\u043d\u0432 \u0444\u0435\u0432 \u043c\u0430\u0440 \u0430\u043f\u0440 \u043c\u0430\u0439 "
    "\u0438\u044e\u043d \u0438\u044e\u043b \u0430\u0432\u0433 \u0441\u0435\u043d \u043e\u043a\u0442 "
    "\u043d\u043e\u044f \u0434\u0435\u043a",  # Russian
    "oca \u015fub mar nis may haz tem a\u011fu eyl eki kas ara",  # Turkish
    "ian feb mar apr mai iun iul aug sep oct noi dec",  # Romanian
)
_MONTHS: dict[str, int] = {}
for _language in _LANGUAGES:
    for _number, _name in enumerate(_language.split(), 1):
        _MONTHS.setdefault(_name, _number)
        _MONTHS.setdefault(_name[:3], _number)
_MONTHS.update({"\u043c\u0430\u044f": 5, "mrz": 3, "jui": 6})
_WORD = r"[^\W\d_]+\.?"
_DIRECTIVES = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d\d)",
    "m": r"(?P<m>\d\d)",
    "d": r"(?P<d>\d\d)",
    "e": r"(?P<d>[ \d]\d)",
    "H": r"(?P<H>\d\d)",
    "k": r"(?P<H>[ \d]\d)",
    "M": r"(?P<M>\d\d)",
    "S": r"(?P<S>\d\d(?:[.,]\d{1,9})?)",
    "I": r"(?P<I>\d\d)",
    "p": r"(?P<p>[AaPp]\.?[Mm]\.?)",
    "b": rf"(?P<b>{_WORD})",
    "B": rf"(?P<b>{_WORD})",
    "h": rf"(?P<b>{_WORD})",
    "a": _WORD,
    "A": _WORD,
    "z": r"(?P<z>Z|[+-]\d\d:?\d\d)",
    "Z": r"(?P<Z>[A-Za-z]{1,5}|[+-]\d\d)",
    "s": r"(?P<s>\d{9,11}(?:\.\d{1,9})?)",
    "j": r"(?P<j>\d{3})",
    "u": r"\d",
    "w": r"\d",
    "U": r"\d\d",
    "V": r"\d\d",
    "W": r"\d\d",
    "n": r"\n",
    "t": r"\t",
    "%": "%",
    "G": r"\d{4}",
    "g": r"\d\d",
    "C": r"\d\d",
    "P": r"(?P<p>[ap]m)",
    "l": r"(?P<I>[ \d]\d)",
}
_COMPOSED = {
    "T": "%H:%M:%S",
    "R": "%H:%M",
    "F": "%Y-%m-%d",
    "D": "%m/%d/%y",
    "x": "%m/%d/%y",
    "X": "%H:%M:%S",
    "r": "%I:%M:%S %p",
    "c": "%a %b %e %H:%M:%S %Y",
}


def compiled(time_format: str) -> re.Pattern[str]:
    """The pattern of a strftime text. Raises ValueError for a directive it does not know."""
    time_format = re.sub(r"%(.)", lambda match: _COMPOSED.get(match[1], match[0]), time_format, flags=re.DOTALL)
    out, seen, i = [], set(), 0
    while i < len(time_format):
        if time_format[i] != "%":
            out.append(re.escape(time_format[i]))
            i += 1
            continue
        letter = time_format[i + 1 : i + 2]
        if letter not in _DIRECTIVES or not letter:
            raise ValueError(
                f"time format {time_format!r}: %{letter} is not known; use those of "
                f"strftime(3), for example %Y-%m-%dT%H:%M:%S"
            )
        part = _DIRECTIVES[letter]
        name = re.match(r"\(\?P<(\w)>", part)
        if name and name[1] in seen:
            part = "(?:" + part[part.index(">") + 1 :]
        seen.update(name[1] if name else "")
        out.append(part)
        i += 2
    return re.compile("".join(out))


# The kinds of time that are looked for, the longer before those that they contain. Groups are named by their strftime
# letters, f is a fraction of a second.
_DAY_NAME = r"(?:[^\W\d_]{2,4}\.?,? )?"
_CLOCK = (
    r"(?P<H>\d\d?)(?P<colon>[:.h]?)(?P<M>\d\d)(?P=colon)(?P<S>\d\d)(?P<f>[.,]\d{1,9})?(?!\d)"
    r"(?:\s?(?P<p>[AaPp]\.?[Mm]\b\.?))?"
)
_ZONE = r"(?:\s?(?P<z>Z|[+-]\d\d:?\d\d)(?![\w-])|\s(?P<Z>[A-Z]{3,5}|[+-]\d\d)(?=[\s:\])]|$))?"
_BETWEEN = r"[T \t_|,;@/-]{1,3}"
_YMD = r"(?P<Y>\d{4})(?P<dash>[-/._]?)(?P<m>\d\d)(?P=dash)(?P<d>\d\d)"
_DMY = r"(?P<d>\d\d?)(?P<dash>[-/.])(?P<m>\d\d?)(?P=dash)(?P<Y>\d{4})"
_DMY2 = r"(?P<d>\d\d)(?P<dash>[-/.])(?P<m>\d\d)(?P=dash)(?P<y>\d\d)"
_BDY = r"(?P<b>[^\W\d_]{3,9})\.?[ ]+(?P<d>\d\d?)(?:,? (?P<Y>\d{4}))?"
_DBY = r"(?P<d>\d\d?)(?P<dash>[-/. ])[ ]?(?P<b>[^\W\d_]{3,9})\.?(?:(?P=dash)(?P<Y>\d{4}))?"
_DBY2 = r"(?P<d>\d\d)(?P<dash>[-/])(?P<b>[^\W\d_]{3,9})(?P=dash)(?P<y>\d\d)"
# A figure before it would be a part of it; a colon can be grep's, but not before hours.
_KINDS = {
    name: re.compile((r"(?<![\w.:])" if name.startswith("clock") else r"(?<![\w.])") + pattern)
    for name, pattern in {
        "epoch": r"(?P<s>[12]\d{9}(?:\.\d{1,9})?)(?!\d)(?![.]\d)",
        "epoch ms": r"(?P<ms>1\d{12})(?!\d)",
        "epoch us": r"(?P<us>1\d{15})(?!\d)",
        "ctime": rf"{_DAY_NAME}(?P<b>[^\W\d_]{{3,9}})\.? +(?P<d>\d\d?) {_CLOCK}(?: [A-Z]{{3,5}})? (?P<Y>\d{{4}})(?!\d)",
        "iso": rf"{_DAY_NAME}{_YMD}{_BETWEEN}{_CLOCK}{_ZONE}",
        "dmy": rf"{_DAY_NAME}{_DMY}{_BETWEEN}{_CLOCK}{_ZONE}",
        "dmy2": rf"{_DMY2}{_BETWEEN}{_CLOCK}{_ZONE}",
        "bdy": rf"{_DAY_NAME}{_BDY}{_BETWEEN}{_CLOCK}{_ZONE}",
        "dby": rf"{_DAY_NAME}{_DBY}[: ,T]{{1,2}}{_CLOCK}{_ZONE}",
        "dby2": rf"{_DBY2}[: ,T]{{1,2}}{_CLOCK}{_ZONE}",
        "clock ymd": rf"{_CLOCK}[ ,]{{1,2}}{_YMD}(?!\d)",
        "clock dmy": rf"{_CLOCK}[ ,]{{1,2}}{_DMY}(?!\d)",
        "cjk": rf"(?P<m>\d\d?)[\u6708\uc6d4] ?(?P<d>\d\d?)[\u65e5\uc77c]? {_CLOCK}",
        "md": rf"(?P<m>\d\d)[-/](?P<d>\d\d) {_CLOCK}",
        "julian": rf"(?P<Y>\d{{4}})[-.]?(?P<j>\d{{3}}){_BETWEEN}{_CLOCK}",
        "clock": r"(?P<H>\d\d?):(?P<M>\d\d):(?P<S>\d\d)(?P<f>[.,]\d{1,9})?(?!\d|:\d)(?:\s?(?P<p>[AaPp]\.?[Mm]\b\.?))?",
    }.items()
}
YEARLESS = ("bdy", "dby", "md", "cjk")  # kinds that may have no year
DAY_OR_MONTH = ("dmy", "dmy2", "clock dmy")  # kinds that leave open which comes first


class Span(NamedTuple):
    """Where a time stands in a text, and of which kind it is."""

    start: int
    end: int
    kind: str


def spans(text: str) -> list[Span]:
    """The times in a text, from left to right."""
    for kind, pattern in _KINDS.items():
        match = pattern.search(text)
        while match:
            if _plausible(match):
                left = spans(text[: match.start()])
                right = spans(text[match.end() :])
                return [
                    *left,
                    Span(match.start(), match.end(), kind),
                    *(Span(span.start + match.end(), span.end + match.end(), span.kind) for span in right),
                ]
            match = pattern.search(text, match.start() + 1)
    return []


def _plausible(match: re.Match[str]) -> bool:
    word = match.groupdict().get("b")
    return word is None or month(word) != 0


def leading(text: str) -> Span | None:
    """The time that a text begins with, behind brackets or a syslog priority; None: there is none."""
    start = _BEFORE.match(text).end()  # type: ignore[union-attr]
    for kind, pattern in _KINDS.items():
        match = pattern.match(text, start)
        if match and _plausible(match):
            return Span(match.start(), match.end(), kind)
    return None


_BEFORE = re.compile(r"(?:<\d{1,3}>\d?\s?|[\[(\"'>]|\s)*")


def month(word: str) -> int:
    """1 to 12 of a month's name or its short form in one of many languages, 0: it is none."""
    word = word.rstrip(".").lower()
    return _MONTHS.get(word) or _MONTHS.get(word[:3], 0)


def pattern_of(kind: str) -> str:
    """The pattern of a kind of time, without names for its groups."""
    return re.sub(r"\(\?P=colon\)|\(\?P=dash\)", r"[-/._ :h]?", re.sub(r"\(\?P<\w+>", "(?:", _KINDS[kind].pattern))


def value(kind: str, text: str, now: float, month_first: bool = False) -> float | None:
    """Seconds since 1970 of a time of this kind; see seconds()."""
    match = _KINDS[kind].fullmatch(text)
    if match is None:
        return None
    t = seconds(match, now, month_first)
    return seconds(match, now, not month_first) if t is None and kind in DAY_OR_MONTH else t


def seconds(match: re.Match[str], now: float, month_first: bool = False) -> float | None:
    """Seconds since 1970 of a match of compiled(); None when it is no time. Without a zone it is
    taken as written, without a year it is the latest before `now`, without a date 1970-01-01."""
    groups = match.groupdict()
    if groups.get("s"):
        return float(groups["s"]) if "." in groups["s"] else int(groups["s"])
    if groups.get("ms"):
        return int(groups["ms"]) / 1000
    if groups.get("us"):
        return int(groups["us"]) / 1_000_000
    year = int(groups.get("Y") or 0) or (2000 + int(groups["y"]) if groups.get("y") else 0)
    month_of_year, day = int(groups.get("m") or 0), int(groups.get("d") or 0)
    if groups.get("b"):
        month_of_year = month(groups["b"])
        if not month_of_year:
            return None
    elif month_first:
        month_of_year, day = day, month_of_year
    if groups.get("j"):
        month_of_year, day = 1, int(groups["j"])
        if not 1 <= day <= 366:
            return None
    elif not month_of_year and not day and not year:
        year, month_of_year, day = 1970, 1, 1
    elif not (1 <= month_of_year <= 12 and 1 <= day <= 31):
        return None
    hour, minute = int(groups.get("H") or 0), int(groups.get("M") or 0)
    if groups.get("I"):
        hour = int(groups["I"]) % 12 + (12 if (groups.get("p") or "a")[0] in "pP" else 0)
    elif (groups.get("p") or "a")[0] in "pP" and hour < 12:
        hour += 12
    elif (groups.get("p") or "p")[0] in "aA" and hour == 12:
        hour = 0
    second = float((groups.get("S") or "0").replace(",", ".")) + float((groups.get("f") or ".0").replace(",", "."))
    if hour > 23 or minute > 59 or second >= 61:
        return None
    yearless = not year
    year = year or time.gmtime(now).tm_year
    t = calendar.timegm((year, month_of_year, day, hour, minute, 0)) + second
    if yearless and t > now + 86400:
        t = calendar.timegm((year - 1, month_of_year, day, hour, minute, 0)) + second
    zone = groups.get("z")
    if zone and zone != "Z":
        offset_s = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
        t -= offset_s if zone[0] == "+" else -offset_s
    return int(t) if t == int(t) else t


def when(text: str) -> float:
    """A time as a person gives it: epoch seconds, or a date and time as 2026-11-22T11:56:02.
    Raises ValueError with an example."""
    for kind in ("epoch", "iso", "bdy"):
        t = value(kind, text, time.time())
        if t is not None:
            return t
    raise ValueError(f"{text!r} is not a time; give it as 2026-11-22T11:56:02 or 1795348562")
