"""Times, sizes and findings in words, for the terminal and the HTML report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from . import events
from .model import Account, Client, Restart, Session, Subject

HOWS = {
    "clean": "disconnected",
    "closed": "closed without DISCONNECT",
    "timeout": "keep-alive missed",
    "takeover": "taken over",
    "protocol-error": "protocol error",
    "malformed": "malformed packet",
    "oversize": "packet too large",
    "not-authorised": "not authorised",
    "refused": "login refused",
    "tls": "TLS failed",
    "denied": "denied by the broker",
    "no-memory": "broker out of memory",
    "administrative": "put out by the administrator",
    "error": "socket error",
    "broker-stopped": "broker stopped",
    "replaced": "end not logged",
    "open": "connected",
}


def shown(text: str) -> str:
    """Printable: control characters and bytes that are not UTF-8 become \\xNN. An id can hold a
    terminal's escape sequences."""
    if text.isprintable():
        return text
    raw = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(
        char if char.isprintable() else f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}"
        for char in raw
    )


def named(subject: Subject) -> str:
    """The subject's id, printable; a stranger's whom no line names is called so."""
    return shown(subject.id) or "(address not logged)"


def kind(subject: Subject) -> str:
    """What it is: broker, bridge, client, family or stranger."""
    return type(subject).__name__.lower()


def sound(text: str) -> str:
    """Text that can be written as UTF-8: bytes that are not stand as \\xNN."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def moment(t: float | None, day: bool = True) -> str:
    """A time of the log, in the log's own zone (UTC for epoch seconds)."""
    if t is None:
        return "?"
    try:
        text = time.strftime("%Y-%m-%d %H:%M:%S" if day else "%H:%M:%S", time.gmtime(t))
    except (ValueError, OverflowError, OSError):
        return str(t)
    return text if t == int(t) else f"{text}.{min(round(t % 1 * 1000), 999):03d}"


def span(seconds: float | None) -> str:
    """Seconds as 1.2 ms, 45 s, 3 min 20 s, 5 h 12 min, 3 d 4 h."""
    if seconds is None:
        return "?"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms" if seconds else "0 s"
    if seconds < 100:
        return f"{seconds:.3g} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60)} s"
    if hours < 48:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def size(size_b: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size_b < 1000 or unit == "GB":
            return f"{size_b:.3g} {unit}" if size_b < 1000 else f"{size_b:.0f} {unit}"
        size_b /= 1000
    return ""


def rate(per_s: float | None) -> str:
    if per_s is None:
        return ""
    for unit, unit_s in (("s", 1), ("min", 60), ("h", 3600), ("day", 86400)):
        if per_s * unit_s >= 1 or unit == "day":
            return f"{per_s * unit_s:.3g} a {unit}"
    return ""


def duration_s(session: Session, last: float | None) -> float | None:
    """How long it lasted, or has until the end of the log; None when that is not known."""
    end = last if session.end is None else session.end
    if session.start is None or end is None:
        return None
    return max(0, end - session.start)


def restart(restart: Restart) -> str:
    """When and how the broker came back."""
    said = "restarted" if restart.announced else "restarted without having stopped"
    why = f": {shown(restart.why)}" if restart.why else "" if restart.announced else ": killed or crashed"
    at_most = "" if restart.announced or restart.why else "at most "
    away = f" after {at_most}{span(restart.away_s)}" if restart.away_s is not None else ""
    return f"{moment(restart.t)} broker {restart.version} {said}{away}{why}"


def clock(account: Account) -> list[str]:
    """What a reader must know of the log's times; nothing when they are sound."""
    notes = []
    if account.timeless and account.first is None:
        notes.append(
            "No time can be read in this log, so nothing is said about durations. If its lines have times, "
            "--time-format tells how they are written, as log_timestamp_format in mosquitto.conf does."
        )
    if account.steps_back:
        t, back_s = account.steps_back[0]
        more = f", and {len(account.steps_back) - 1} more times" if len(account.steps_back) > 1 else ""
        why = " (summer time ended)" if 3590 <= back_s <= 3610 else ""
        notes.append(
            f"The clock went back by {span(back_s)} at {moment(t)}{why}{more}: the log was put together from "
            f"several, or the host's time was set. Durations across that are not counted."
        )
    return notes


def storm(example: Mapping[str, object]) -> str:
    """An event that hit many at once: the example of a `many-at-once` finding."""
    of = f" of {example['connected']}" if example.get("connected") is not None else ""
    within = f" within {span(_number(example['within_s']))}" if example.get("within_s") else " in the same second"
    hows = _hows_phrase(example)
    return f"{example['clients']}{of} clients{within} ({hows}): {cause(example)}"


def cause(facts: Mapping[str, object]) -> str:
    """What a storm was probably due to, with the facts that say so."""
    saved = (
        f"{span(_number(facts['saved_before_s']))} after the broker began to save its database"
        if "saved_before_s" in facts
        else ""
    )
    told = {
        "saved": f"{saved}: the disk stalls the broker while it saves (it is one thread and then answers nobody)",
        "stalled": "the broker or its host was stalled",
        "silence": "the broker heard nobody: the network before it was gone, or the broker or its host stood still",
        "takeover": "all came back while their old connections were still open: the network was interrupted",
        "one-address": f"all from {shown(str(facts.get('address')))}: that host, gateway or program, "
        "not single devices",
        "network": "their connections were cut together: a switch, access point, proxy or the broker's network",
        "unknown": "something that they have in common",
    }[str(facts.get("cause", "unknown"))]
    signs = []
    if "early" in facts:
        signs.append(f'{facts["early"]} keep-alives "missed" up to {span(_number(facts["early_s"]))} before their time')
    if "connect_waited_s" in facts:
        signs.append(f"CONNECTs had waited up to {span(_number(facts['connect_waited_s']))}")
    if "lull_s" in facts and facts.get("cause") != "saved":
        signs.append(f"the log was silent for {span(_number(facts['lull_s']))} before")
    if saved and facts.get("cause") != "saved":
        signs.append(saved)
    return told + (f" ({'; '.join(signs)})" if signs else "")


def _number(value: object) -> float:
    return float(str(value))


def ends(client: Client) -> str:
    """How its sessions ended, the most frequent first: "3 keep-alive missed, 1 DISCONNECT"."""
    counts = sorted(client.ends.items(), key=lambda end: (-end[1], end[0]))
    return ", ".join(f"{count} {HOWS[how]}" for how, count in counts)


def example(facts: Mapping[str, object]) -> str:
    """One example of a finding, without its time."""
    if "cause" in facts:
        return storm(facts)
    parts = [
        part for name, part in ((name, phrase(facts)) for name, phrase in _PHRASES.items() if name in facts) if part
    ]
    return ", ".join(parts)


def _packet_phrase(facts: Mapping[str, object]) -> str:
    qos = f" QoS {facts['qos']}" if "qos" in facts else ""
    return f"{facts.get('packet', 'PUBLISH')} {facts['pid']}{qos}"


def _words_phrase(facts: Mapping[str, object]) -> str:
    times = f" ({facts['times']} times)" if "times" in facts else ""
    said = (
        f"code {facts['connack']}: {shown(str(facts['words']))}"
        if "connack" in facts
        else f'"{shown(str(facts["words"]))}"'
    )
    return said + times


def _silent_phrase(facts: Mapping[str, object]) -> str:
    keepalive = f" (keep-alive {facts['keepalive_s']} s)" if facts.get("keepalive_s") else ""
    return f"last packet {span(_number(facts['silent_s']))} before{keepalive}"


def _early_phrase(facts: Mapping[str, object]) -> str:
    return (
        f'{shown(str(facts["client"]))} "missed" its keep-alive of {facts["keepalive_s"]} s '
        f"{span(_number(facts['early_s']))} before it could have"
    )


def _away_phrase(facts: Mapping[str, object]) -> str:
    after = "the broker's restart" if facts["after"] == "restart" else "many had fallen out at once"
    away_s, others_s = span(_number(facts["away_s"])), span(_number(facts["others_s"]))
    back = "back" if facts["back"] else "not back"
    return f"{back} {away_s} after {after}; half of {facts['others']} others within {others_s}"


def _ends_phrase(facts: Mapping[str, object]) -> str:
    if "within_s" not in facts:
        return f"{facts['ends']} ends, one every {span(_number(facts['every_s']))}"
    return (
        f"{facts['ends']} ends within {span(_number(facts['within_s']))}, one every {span(_number(facts['every_s']))}"
    )


def _hows_phrase(facts: Mapping[str, object]) -> str:
    hows = facts["hows"]
    return ", ".join(f"{count} {HOWS.get(how, how)}" for how, count in hows.items()) if isinstance(hows, dict) else ""


def _every_phrase(facts: Mapping[str, object]) -> str:
    if isinstance(facts.get("ends"), int) or facts["every_s"] is None:
        return ""
    return f"every {span(_number(facts['every_s']))}"


def _ports_phrase(facts: Mapping[str, object]) -> str:
    ports = facts["ports"]
    return f"port {', '.join(map(str, ports))}" if isinstance(ports, dict) and ports else ""


def _family_phrase(facts: Mapping[str, object]) -> str:
    whose = f"user {shown(str(facts['user']))}" if facts.get("user") else f"{shown(str(facts['address']))}"
    return f"{facts['ids']:,} ids like {shown(str(facts['stem']))} of {whose}"


def _everybody_phrase(facts: Mapping[str, object]) -> str:
    since = f" since the start of {facts['version']}" if facts.get("version") and facts.get("since") is not None else ""
    return (
        f"{facts['refused']} logins of {facts['clients']} clients, not one let in{since}: the broker's credentials, "
        f"not the devices"
    )


def _address_phrase(facts: Mapping[str, object]) -> str:
    return f"from {shown(str(facts['address']))}" if facts["address"] and "stem" not in facts else ""


# The parts of a sentence by the fields of an example, in this order; the whole example is at hand for each.
_PHRASES: dict[str, Callable[[Mapping[str, object]], str]] = {
    "pid": _packet_phrase,
    "packet": lambda facts: "" if "pid" in facts else str(facts["packet"]),
    "topic": lambda facts: f"'{shown(str(facts['topic']))}'" if facts["topic"] is not None else "",
    "sent": lambda facts: "to the client" if facts["sent"] else "from the client",
    "last": lambda facts: f"last seen: {facts['last']}",
    "delay_s": lambda facts: f"took {span(_number(facts['delay_s']))}",
    "gap_s": lambda facts: f"silent for {span(_number(facts['gap_s']))} with keep-alive {facts['keepalive_s']} s",
    "old": lambda facts: f"{shown(str(facts['old']))} put out by {shown(str(facts['new']))}",
    "a": lambda facts: f"{shown(str(facts['a']))} and {shown(str(facts['b']))}",
    "stem": _family_phrase,
    "refused": _everybody_phrase,
    "connections": lambda facts: f"{facts['connections']} connections",
    "sessions": lambda facts: f"{facts['sessions']} sessions of {span(_number(facts['each_s']))} each",
    "times": lambda facts: "" if "words" in facts else f"{facts['times']} times",
    "id": lambda facts: f"as {shown(str(facts['id']))}" if facts["id"] else "",
    "address": _address_phrase,
    "ports": _ports_phrase,
    "port": lambda facts: f"port {facts['port']}",
    "after_s": lambda facts: f"after {span(_number(facts['after_s']))}",
    "silent_s": _silent_phrase,
    "early_s": _early_phrase,
    "away_s": _away_phrase,
    "connect_waited_s": lambda facts: f"the CONNECT of {shown(str(facts['client']))} was answered "
    f"{span(_number(facts['connect_waited_s']))} after its connection",
    "ends": _ends_phrase,
    "hows": _hows_phrase,
    "every_s": _every_phrase,
    "plain": lambda facts: shown(str(facts["plain"])),
    "words": _words_phrase,
    "will": lambda facts: f"its will '{shown(str(facts['will']))}' was sent" if facts["will"] else "its will was sent",
    "do": lambda facts: shown(str(facts["do"])),
    "why": lambda facts: str(facts["why"]),
}


def packet(event: events.Event) -> str:
    """The label of an arrow of the sequence chart."""
    if isinstance(event, events.Publish):
        flags = f"QoS {event.qos}" + (f", id {event.pid}" if event.qos else "")
        flags += (", DUP" if event.dup else "") + (", retain" if event.retain else "")
        size = "cut" if event.size_b is None else f"{event.size_b} B"
        return f"PUBLISH {shown(event.topic)} ({flags}, {size})"
    if isinstance(event, events.Ack):
        code = f", code {event.code}" if event.code else ""
        return f"{event.name} {event.pid}{code}"
    if isinstance(event, events.Connected):
        return f"CONNECT ({'clean' if event.clean else 'keeps its session'}, keep-alive {event.keepalive_s} s)"
    if isinstance(event, events.Connack):
        return "CONNACK" + (" (session present)" if event.session_present else "")
    if isinstance(event, events.Ended):
        return HOWS.get(event.how, event.how) + (f": {shown(event.detail)}" if event.detail else "")
    if isinstance(event, events.Refused):
        return f"PUBLISH {shown(event.topic or '')} ({event.why})"
    if isinstance(event, events.UnknownPid):
        return f"{event.name} {event.pid} (unknown id)"
    return getattr(event, "name", type(event).__name__)
