"""The log itself, its times told in this machine's zone.

A time that says when it was (epoch seconds, or with a zone) is told in local time; one without a zone is as local
as the log has it, and stays. The rest of a line is left as it is, but for what could move a terminal's cursor."""

from __future__ import annotations

import datetime
import functools
import re

from . import words

_HEAD = 120  # a time stands within the first characters of a line
_EPOCH = re.compile(r"(?<![\d.:])(\d{10})(\.\d{1,9})?(?=[\s:\])|])")
_ZONED = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})? ?(?:Z\b|UTC\b|[+-]\d\d:?\d\d)")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_FRACTION = re.compile(r"[.,](\d{1,9})")


def local(line: str) -> str:
    """The line with its first times in local time, printable."""
    line = _COLOUR.sub("", line)
    head, rest = line[:_HEAD], line[_HEAD:]
    if not rest or " " in rest:  # a word that is cut at _HEAD is no time
        head = _EPOCH.sub(_of_epoch, head, count=1)
        head = _ZONED.sub(_of_zoned, head, count=2)
    return words.shown((head + rest).rstrip("\r").replace("\t", "    "))


def _of_epoch(match: re.Match[str]) -> str:
    return local_second(match[1])[0] + (match[2] or "") + local_second(match[1])[1]


@functools.lru_cache(maxsize=16)  # most lines are of the same second as the one before
def local_second(figures: str) -> tuple[str, str]:
    """Date and time of an epoch second, and their zone."""
    when = datetime.datetime.fromtimestamp(int(figures)).astimezone()
    return f"{when:%Y-%m-%d %H:%M:%S}", f"{when:%z}"


def _of_zoned(match: re.Match[str]) -> str:
    text = match[0].replace(",", ".")
    fraction = _FRACTION.search(text)
    text = _FRACTION.sub("", text).replace("UTC", "+00:00").replace("Z", "+00:00").replace(" +", "+")
    if text[-3] != ":":
        text = text[:-2] + ":" + text[-2:]
    try:
        when = datetime.datetime.fromisoformat(text)
        return _told(when.astimezone(), f".{fraction[1]}" if fraction else "")
    except (ValueError, OverflowError):
        return match[0]  # figures in the form of a time that are none


def _told(when: datetime.datetime, fraction: str) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S}{fraction}{when:%z}"
